"""Tickets, and the state of having too many open; NPS answers, and the state of being a detractor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from survival.simulate.calendar import NEVER, Day, Rows
from survival.simulate.customers import Customers, stream
from survival.simulate.windows import Agenda

CATEGORIES = ("how-to", "bug", "billing", "integration", "performance")
PRIORITIES = ("low", "normal", "high", "urgent")
_CALM, _TROUBLED = 0.006, 0.11  # tickets a day
_TROUBLE_BEGINS, _TROUBLE_ENDS = 1 / 230, 1 / 28  # per day
_NEVER_RESOLVED = 0.01
_LONGEST = 75  # days to resolve
_SURVEY_DAYS = 91  # between two NPS surveys
_SECOND_ANSWER = 0.04  # another member answers on the same day


class Support:
    """Tickets opened per day; `open_ticket` and who is in trouble, as of the close of the last day stepped."""

    def __init__(self, customers: Customers, indicators: Mapping[str, Mapping[str, Any]], seed: int) -> None:
        self._rng = stream(seed, "tickets")
        self._least = indicators["open_ticket"]["at_least"]
        self.troubled = np.zeros(customers.n, dtype=bool)
        self._open = np.zeros(customers.n, dtype=np.int16)
        self._resolved = Agenda(_LONGEST, customers.n)
        self.rows = Rows()

    def step(self, day: Day, active: NDArray[np.intp]) -> None:
        """Draw the day's tickets of the `active` customers, resolve those due, and close the day."""
        trouble, draw = self.troubled[active], self._rng.random(len(active))
        trouble = np.where(trouble, draw >= _TROUBLE_ENDS, draw < _TROUBLE_BEGINS)
        self.troubled[active] = trouble
        arrivals = self._rng.random(len(active)) < np.where(trouble, _TROUBLED, _CALM)
        who = np.repeat(active[arrivals], 1 + (self._rng.random(int(arrivals.sum())) < 0.15))
        takes = self._days_to_resolve(who)
        resolved = np.where(takes < 0, NEVER, day.number + takes)
        self.rows.add(
            customer=who,
            opened_on=np.full(len(who), day.number),
            resolved_on=resolved,
            category=self._rng.choice(len(CATEGORIES), len(who), p=[0.35, 0.25, 0.15, 0.15, 0.1]),
            priority=self._rng.choice(len(PRIORITIES), len(who), p=[0.25, 0.5, 0.18, 0.07]),
        )
        np.add.at(self._open, who, 1)
        ends = takes >= 0
        self._resolved.plan(who[ends], takes[ends], -1)
        self._open += self._resolved.close()

    def _days_to_resolve(self, who: NDArray[np.intp]) -> NDArray[np.int64]:
        """Whole days, 0 within the day; -1 for a ticket that nobody ever resolves."""
        days = self._rng.lognormal(np.log(np.where(self.troubled[who], 9.0, 3.0)), 1.0)
        whole = np.minimum(days.astype(np.int64), _LONGEST)
        return np.where(self._rng.random(len(who)) < _NEVER_RESOLVED, -1, whole)

    def flags(self) -> dict[str, NDArray[np.bool_]]:
        """The state (n,) at the close of the day: opened <= day < resolved counts as open."""
        return {"open_ticket": self._open >= self._least}


class Satisfaction:
    """NPS answers; `detractor` as of the close of the last day stepped."""

    def __init__(self, customers: Customers, indicators: Mapping[str, Mapping[str, Any]], seed: int) -> None:
        self._rng = stream(seed, "nps")
        self._customers = customers
        self._definition = indicators["detractor"]
        self._phase = self._rng.integers(30, 30 + _SURVEY_DAYS, customers.n)
        self._answers = self._rng.beta(3.0, 3.0, customers.n)  # share of surveys answered
        self._score = np.full(customers.n, 10, dtype=np.int8)
        self._answered_on = np.full(customers.n, NEVER)
        self.rows = Rows()

    def step(self, day: Day, active: NDArray[np.intp], troubled: NDArray[np.bool_]) -> None:
        """Ask the `active` customers whose survey is due; two answers on a day: the lower counts."""
        since = day.number - self._customers.signup[active] - self._phase[active]
        asked = active[(since >= 0) & (since % _SURVEY_DAYS == 0)]
        who = asked[self._rng.random(len(asked)) < self._answers[asked]]
        first = self._scores(who, troubled)
        again = self._rng.random(len(who)) < _SECOND_ANSWER
        second = self._scores(who, troubled)
        self._score[who] = np.where(again, np.minimum(first, second), first)
        self._answered_on[who] = day.number
        everyone = np.concatenate([who, who[again]])
        scores = np.concatenate([first, second[again]])
        self.rows.add(customer=everyone, answered_on=np.full(len(everyone), day.number), score=scores)

    def _scores(self, who: NDArray[np.intp], troubled: NDArray[np.bool_]) -> NDArray[np.int8]:
        mean = 8.2 + 1.5 * self._customers.mood[who] - 1.5 * troubled[who]
        return np.clip(np.rint(mean + self._rng.standard_normal(len(who))), 0, 10).astype(np.int8)

    def flags(self, today: int) -> dict[str, NDArray[np.bool_]]:
        """The state (n,) at the close of `today`: the last answer counts for `expires` days, its own included."""
        valid = today - self._answered_on < self._definition["expires"]
        return {"detractor": (self._score <= self._definition["at_most"]) & valid}
