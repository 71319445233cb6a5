"""The walk through the calendar: each day some leave, given the states at the close of the day before; the others live on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from survival.simulate.billing import AddOns, Payments, Subscriptions
from survival.simulate.calendar import Day, Rows
from survival.simulate.customers import PLANS, Customers, stream
from survival.simulate.scenario import Scenario
from survival.simulate.support import Satisfaction, Support
from survival.simulate.usage import Usage

Flags = dict[str, NDArray[np.bool_]]
Observer = Callable[[int, NDArray[np.intp], NDArray[np.intp], Flags], None]
_FLUSH_ROWS = 1_000_000


@dataclass(frozen=True, eq=False)
class Lives:
    """What happened: when each customer left, and all facts but usage, which went to the sink on the way.

    left_on (n,) epoch day, 0 for who did not leave by the last day
    """

    left_on: NDArray[np.int64]
    subscriptions: Rows
    orders: Rows
    nps: Rows
    tickets: Rows
    invoices: Rows
    mrr: Callable[[NDArray[np.intp], NDArray[np.int8]], NDArray[np.float64]]


class Company:
    """All processes of a company and the hazard that couples them to leaving."""

    def __init__(self, scenario: Scenario, customers: Customers, seed: int) -> None:
        self._scenario, self._customers = scenario, customers
        self._rng = stream(seed, "leaving")
        self.usage = Usage(customers, scenario.indicators, seed)
        self.support = Support(customers, scenario.indicators, seed)
        self.satisfaction = Satisfaction(customers, scenario.indicators, seed)
        self.payments = Payments(customers, scenario.indicators, seed)
        self.subscriptions = Subscriptions(customers, seed)
        self.orders = AddOns(customers, seed)

    def live(
        self,
        write_usage: Callable[[Rows], None],
        observe: Observer | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Lives:
        """Go through every day from the first signup to the last observed day.

        `observe(day, at risk, leavers, flags)` is called before anybody leaves: `flags` are the states (n,) at the close
        of the day before. `progress(done, total)` counts days.
        """
        first, last = self._scenario.first_day, self._scenario.last_day
        left_on = np.zeros(self._customers.n, dtype=np.int64)
        active = np.empty(0, dtype=np.intp)
        flags: Flags = {name: np.zeros(len(left_on), dtype=bool) for name in self._scenario.indicators}
        for number in range(first, last + 1):
            day = Day.at(number)
            leavers = self._leavers(number, active, flags)
            if observe is not None:
                observe(number, active, leavers, flags)
            left_on[leavers] = number
            self.subscriptions.leave(day, leavers, flags["overdue"])
            active = np.concatenate([active[left_on[active] == 0], self._arrivals(number)])
            flags = self._step(day, active)
            if self.usage.rows.count >= _FLUSH_ROWS:
                write_usage(self.usage.rows)
            if progress is not None:
                progress(number - first + 1, last - first + 1)
        write_usage(self.usage.rows)
        self.subscriptions.finish(last, active)
        return self._lives(left_on)

    def _leavers(self, today: int, active: NDArray[np.intp], flags: Flags) -> NDArray[np.intp]:
        """Who leaves today: with probability 1 - exp(-h0(tenure) exp(x'b)), x as of yesterday's close."""
        effects = self._scenario.effects(today)
        of_plan = np.array([effects.get(f"plan[T.{plan}]", 0.0) for plan in PLANS])
        log_ratio = of_plan[self._customers.plan[active]]
        for name, on in flags.items():
            log_ratio = log_ratio + effects[name] * on[active]
        hazard = self._scenario.baseline[today - self._customers.signup[active]] * np.exp(log_ratio)
        return active[self._rng.random(len(active)) < -np.expm1(-hazard)]

    def _arrivals(self, today: int) -> NDArray[np.intp]:
        begin, end = np.searchsorted(self._customers.signup, [today, today + 1])
        return np.arange(begin, end)

    def _step(self, day: Day, active: NDArray[np.intp]) -> Flags:
        """Let the day happen to the `active` customers; the states at its close."""
        self.usage.step(day, active)
        self.support.step(day, active)
        self.satisfaction.step(day, active, self.support.troubled)
        billed = self.subscriptions.step(day, active)
        self.payments.step(day, billed, self.subscriptions.bill(billed))
        self.orders.step(day, active)
        flags = self.usage.flags(day.number - self._customers.signup)
        return flags | self.satisfaction.flags(day.number) | self.support.flags() | self.payments.flags()

    def _lives(self, left_on: NDArray[np.int64]) -> Lives:
        return Lives(
            left_on=left_on,
            subscriptions=self.subscriptions.rows,
            orders=self.orders.rows,
            nps=self.satisfaction.rows,
            tickets=self.support.rows,
            invoices=self.payments.rows,
            mrr=self.subscriptions.mrr,
        )
