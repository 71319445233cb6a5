"""Subscriptions with their changes of plan and renewals, the invoices they raise, and the state of being overdue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from survival.simulate.calendar import NEVER, Day, Rows
from survival.simulate.customers import PLANS, PRICE, Customers, stream
from survival.simulate.windows import Agenda

END_REASONS = (
    "upgrade",
    "downgrade",
    "renewal",
    "price",
    "missing_features",
    "competitor",
    "no_longer_needed",
    "payment_failed",
)
METHODS = ("card", "transfer", "direct_debit")
UPGRADE, DOWNGRADE, RENEWAL, LAPSE, RUNNING = 0, 1, 2, 7, -1
_LEAVING = np.array([0.3, 0.2, 0.25, 0.25])  # of reasons 3 to 6
_LAPSE_WHEN_OVERDUE, _LAPSE_OTHERWISE = 0.5, 0.02
_UPGRADES, _DOWNGRADES = 1 / 700, 1 / 1100  # per day
_NOTICE = 0.01  # of the running ones: an end after the last observed day, which has not happened yet
_YEAR_DISCOUNT = 0.85
_LATEST = 80  # days from due to paid
_NEVER_PAID = 0.002


class Subscriptions:
    """One chain of rows a customer, from signup to the day of leaving: a plan each, and a year each when yearly.

    The hazard does not know the current plan, the term or the price: only the plan at signup acts.
    """

    def __init__(self, customers: Customers, seed: int) -> None:
        self._rng = stream(seed, "subscriptions")
        self._customers = customers
        self._plan = customers.plan.copy()
        self._started = customers.signup.copy()
        months = customers.signup.astype("datetime64[D]").astype("datetime64[M]")
        self._billing_day = (customers.signup.astype("datetime64[D]") - months).astype(np.int64) + 1
        self._term_month = months.astype(np.int64) % 12 + 1
        self._changes_on = customers.signup.copy()  # the last day on which a row began
        self.rows = Rows()

    def step(self, day: Day, active: NDArray[np.intp]) -> NDArray[np.intp]:
        """Renew and change the subscriptions of the `active` customers; who is billed today (their indices)."""
        due = active[day.falls_on(self._billing_day[active])]
        yearly = self._customers.annual[due]
        ends = yearly & (self._term_month[due] == day.month) & (day.number > self._started[due])
        self._next_row(day, due[ends], RENEWAL, self._plan[due[ends]])
        changed = self._change_plans(day, active)
        new = active[self._customers.annual[active] & (self._changes_on[active] == day.number)]
        return np.union1d(due[~yearly], np.union1d(new, changed[self._customers.annual[changed]]))

    def _change_plans(self, day: Day, active: NDArray[np.intp]) -> NDArray[np.intp]:
        draw = self._rng.random(len(active))
        free, plan = self._started[active] < day.number, self._plan[active]
        up = free & (draw < _UPGRADES) & (plan < len(PLANS) - 1)
        down = free & (draw > 1 - _DOWNGRADES) & (plan > 0)
        self._next_row(day, active[up], UPGRADE, plan[up] + 1)
        self._next_row(day, active[down], DOWNGRADE, plan[down] - 1)
        changed = active[up | down]
        yearly = changed[self._customers.annual[changed]]  # a changed yearly plan begins a new year
        self._billing_day[yearly], self._term_month[yearly] = day.of_month, day.month
        return changed

    def _next_row(self, day: Day, who: NDArray[np.intp], reason: int, plan: NDArray[np.int8]) -> None:
        self._end(who, np.full(len(who), day.number), np.full(len(who), reason))
        self._started[who] = self._changes_on[who] = day.number
        self._plan[who] = plan

    def leave(self, day: Day, who: NDArray[np.intp], overdue: NDArray[np.bool_]) -> None:
        """End the chains of `who` today; who is overdue (n,) often leaves because payment failed."""
        lapses = self._rng.random(len(who)) < np.where(overdue[who], _LAPSE_WHEN_OVERDUE, _LAPSE_OTHERWISE)
        spoken = 3 + self._rng.choice(len(_LEAVING), len(who), p=_LEAVING)
        self._end(who, np.full(len(who), day.number), np.where(lapses, LAPSE, spoken))

    def finish(self, last: int, active: NDArray[np.intp]) -> None:
        """Write the running rows of those still `active` at the close of `last`; a few have given notice for later."""
        notice = self._rng.random(len(active)) < _NOTICE
        end = last + self._rng.integers(1, 60, len(active))
        reason = np.where(notice, 3 + self._rng.choice(len(_LEAVING), len(active), p=_LEAVING), RUNNING)
        self._end(active, np.where(notice, end, NEVER), reason)

    def _end(self, who: NDArray[np.intp], on: NDArray[np.int64], reason: NDArray[np.int64]) -> None:
        self.rows.add(customer=who, started_on=self._started[who], ended_on=on, plan=self._plan[who], end_reason=reason)

    def mrr(self, who: NDArray[np.intp], plan: NDArray[np.int8]) -> NDArray[np.float64]:
        """Monthly price of `who` on `plan`."""
        discount = np.where(self._customers.annual[who], _YEAR_DISCOUNT, 1.0)
        return np.round(PRICE[plan] * self._customers.seats[who] * discount, 2)

    def bill(self, who: NDArray[np.intp]) -> NDArray[np.float64]:
        """What an invoice of `who` asks for."""
        months = np.where(self._customers.annual[who], 12, 1)
        return np.round(self.mrr(who, self._plan[who]) * months, 2)


class Payments:
    """Invoices and when they are paid; `overdue` as of the close of the last day stepped."""

    def __init__(self, customers: Customers, indicators: Mapping[str, Mapping[str, Any]], seed: int) -> None:
        self._rng = stream(seed, "invoices")
        self._customers = customers
        self._grace = indicators["overdue"]["grace"]
        self._least = indicators["overdue"]["at_least"]
        self._method = self._rng.choice(len(METHODS), customers.n, p=[0.55, 0.25, 0.2])
        self._p_late = np.clip(0.14 * np.exp(0.8 * customers.thrift), 0.0, 0.8)
        self._unpaid = np.zeros(customers.n, dtype=np.int16)
        self._changes = Agenda(_LATEST, customers.n)
        self.rows = Rows()

    def step(self, day: Day, billed: NDArray[np.intp], amount: NDArray[np.float64]) -> None:
        """Raise an invoice, due today, for each of `billed`, draw when it will be paid, and close the day."""
        delay = self._delays(billed)
        switch = self._rng.random(len(billed)) < 0.01
        self._method[billed[switch]] = self._rng.integers(0, len(METHODS), int(switch.sum()))
        never = self._rng.random(len(billed)) < _NEVER_PAID
        paid = np.where(never, NEVER, np.maximum(day.number + delay, self._customers.signup[billed]))
        dates = np.full(len(billed), day.number)
        method = self._method[billed].astype(np.int8)
        self.rows.add(customer=billed, due_on=dates, paid_on=paid, amount=amount, method=method)
        known = self._grace + 1  # the first day on which an unpaid invoice is overdue
        late = never | (delay > known)
        self._changes.plan(billed[late], np.full(int(late.sum()), known), 1)
        ends = late & ~never
        self._changes.plan(billed[ends], delay[ends], -1)
        self._unpaid += self._changes.close()

    def _delays(self, billed: NDArray[np.intp]) -> NDArray[np.int64]:
        """Days from due to paid, negative when paid early."""
        late = self._rng.random(len(billed)) < self._p_late[billed]
        prompt = self._rng.integers(-4, self._grace + 1, len(billed))
        days = 1 + self._rng.gamma(1.3, 16.0, len(billed)).astype(np.int64)
        return np.where(late, np.minimum(days, _LATEST), prompt)

    def flags(self) -> dict[str, NDArray[np.bool_]]:
        """The state (n,) at the close of the day: unpaid though day > due + grace."""
        return {"overdue": self._unpaid >= self._least}


class AddOns:
    """Orders of add-ons now and then, without any effect on leaving."""

    def __init__(self, customers: Customers, seed: int) -> None:
        self._rng = stream(seed, "orders")
        self._rate = np.exp(0.5 * self._rng.standard_normal(customers.n)) / 150
        self.rows = Rows()

    def step(self, day: Day, active: NDArray[np.intp]) -> None:
        """Draw the day's orders of the `active` customers."""
        who = active[self._rng.random(len(active)) < self._rate[active]]
        amount = np.round(self._rng.lognormal(4.0, 0.8, len(who)), 2)
        self.rows.add(customer=who, ordered_on=np.full(len(who), day.number), amount=amount)
