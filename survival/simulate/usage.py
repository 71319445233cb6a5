"""Daily usage, and the three states that come of it: little use, falling use, use of key features."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from survival.simulate.calendar import Day, Rows
from survival.simulate.customers import Customers, stream
from survival.simulate.windows import History, WindowSum

FEATURES = ("contacts", "dashboard", "email", "pipeline", "reports", "automation", "integrations")
_COMMON = np.array([0.35, 0.25, 0.2, 0.12, 0.08])  # how often the first five are used
_KEY_SHARE = 0.3  # of an adopter's uses, those of the last two features
_ADOPTERS = 0.4
_ADOPTION_DAYS = 120.0  # mean tenure at adoption
_WEEKEND = 0.35
_SLACKENS, _RECOVERS = 1 / 500, 1 / 55  # per day: a team loses the habit, and finds it again
_SLACK = 0.15  # use in such a spell, as a share of the usual


class Usage:
    """Uses per day; `low_usage`, `usage_drop` and `adopted` as of the close of the last day stepped."""

    def __init__(self, customers: Customers, indicators: Mapping[str, Mapping[str, Any]], seed: int) -> None:
        self._rng = stream(seed, "usage")
        self._customers = customers
        self._low, self._drop, self._key = (indicators[k] for k in ("low_usage", "usage_drop", "adopted"))
        n = customers.n
        habit = np.array([0.85, 1.0, 1.3])[customers.segment] * np.exp(0.55 * customers.engagement)
        self._p_active = np.minimum(0.22 * habit, 0.9)
        self._extra = 0.15 * np.minimum(habit, 3.0)  # uses beyond the first on an active day
        adopter = self._rng.random(n) < _ADOPTERS
        adopted = customers.signup + np.ceil(self._rng.exponential(_ADOPTION_DAYS, n)).astype(np.int64)
        self._adopts_on = np.where(adopter, adopted, np.iinfo(np.int64).max)
        self._slack = np.zeros(n, dtype=bool)
        self._windows()
        self.rows = Rows()

    def _windows(self) -> None:
        n, lag = self._customers.n, self._drop["lag"]
        back = lag + self._drop["window"] + self._drop["baseline"]
        self._all, self._keys = History(back + 1, n), History(self._key["window"] + 1, n)
        self._low_sum = WindowSum(self._all, self._low["window"])
        self._recent = WindowSum(self._all, self._drop["window"], lag)
        self._base = WindowSum(self._all, self._drop["baseline"], lag + self._drop["window"])
        self._key_sum = WindowSum(self._keys, self._key["window"])

    def step(self, day: Day, active: NDArray[np.intp]) -> None:
        """Draw the day's uses of the `active` customers (their indices) and close the day."""
        self._move_habits(active)
        rate = self._p_active[active] * (_WEEKEND if day.weekday >= 5 else 1.25)
        rate *= np.where(self._slack[active], _SLACK, 1.0)
        users = active[self._rng.random(len(active)) < rate]
        who = np.repeat(users, 1 + self._rng.poisson(self._extra[users]))
        quantity = self._rng.integers(1, 4, len(who)).astype(np.int32)
        feature = self._features(day, who)
        member = (self._rng.random(len(who)) ** 2 * self._customers.members[who]).astype(np.int32)
        dates = np.full(len(who), day.number, dtype=np.int32)
        self.rows.add(customer=who, used_on=dates, feature=feature, quantity=quantity, member=member)
        self._close(who, quantity, feature)

    def _move_habits(self, active: NDArray[np.intp]) -> None:
        slack = self._slack[active]
        draw = self._rng.random(len(active))
        self._slack[active] = np.where(slack, draw >= _RECOVERS, draw < _SLACKENS)

    def _features(self, day: Day, who: NDArray[np.intp]) -> NDArray[np.int8]:
        common = np.searchsorted(np.cumsum(_COMMON)[:-1], self._rng.random(len(who)), side="right")
        key = len(_COMMON) + self._rng.integers(0, len(FEATURES) - len(_COMMON), len(who))
        takes_key = (self._adopts_on[who] <= day.number) & (self._rng.random(len(who)) < _KEY_SHARE)
        return np.where(takes_key, key, common).astype(np.int8)

    def _close(self, who: NDArray[np.intp], quantity: NDArray[np.int32], feature: NDArray[np.int8]) -> None:
        n = self._customers.n
        key = feature >= len(_COMMON)
        self._all.push(np.bincount(who, quantity, n).astype(np.int32))
        self._keys.push(np.bincount(who[key], quantity[key], n).astype(np.int32))
        for window in (self._low_sum, self._recent, self._base, self._key_sum):
            window.close()

    def flags(self, tenure: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
        """The states (n,) at the close of the day, given tenure (n,) then.

        A newcomer is not a decliner: a `below` flag is off until its window (and baseline) has been lived, lag aside.
        """
        drop = self._drop
        lived = tenure - drop["lag"] >= drop["window"] + drop["baseline"] - 1
        share = Fraction(str(drop["below"]))  # (r / w) / (B / b) < t in whole numbers; 0 / 0 and x / 0 are off
        left = self._recent.total.astype(np.int64) * drop["baseline"] * share.denominator
        right = self._base.total.astype(np.int64) * drop["window"] * share.numerator
        return {
            "low_usage": (self._low_sum.total < self._low["below"]) & (tenure >= self._low["window"] - 1),
            "usage_drop": (left < right) & lived,
            "adopted": self._key_sum.total >= self._key["at_least"],
        }
