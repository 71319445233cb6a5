"""Flows, the sufficient statistic of all estimates: time x pattern -> entered, exited, events."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survival.errors import ArgumentError, ConservationError

UNKNOWN_CAUSE = "(unknown)"  # of a churn whose cause nobody wrote down
_SUM_TOLERANCE = 1e-9  # relative: weights are summed in different orders


def _no_causes() -> NDArray[np.float64]:
    return np.zeros((0, 0))


@dataclass(frozen=True, eq=False)
class Flows:
    """How many entered, left and churned, by tenure and covariate pattern; m rows over P patterns.

    time     (m,) float, days of tenure
    pattern  (m,) int, row of `patterns`
    entered  (m,) weight of episodes (start, stop] with start == time
    exited   (m,) weight of episodes with stop == time, events included
    events   (m,) weight of episodes with stop == time that end in an event
    deaths   (m,) how many such episodes, unweighted (Efron's correction needs it)
    began    (m,) the part of `entered` that is no cut between two episodes of one customer
    ended    (m,) the part of `exited` that is no such cut, events included
    patterns (P,) one row a combination of covariates, cohort, strata: the columns a model may name

    Where churns have causes: `causes` names C of them, and cause_events and cause_deaths (C, m) are `events` and
    `deaths` cause by cause. `only` is set on flows whose events are those of one cause, all others being censored.
    """

    time: NDArray[np.float64]
    pattern: NDArray[np.intp]
    entered: NDArray[np.float64]
    exited: NDArray[np.float64]
    events: NDArray[np.float64]
    deaths: NDArray[np.float64]
    began: NDArray[np.float64]
    ended: NDArray[np.float64]
    patterns: pd.DataFrame
    customers: int
    episodes: int
    causes: tuple[str, ...] = ()
    cause_events: NDArray[np.float64] = field(default_factory=_no_causes)
    cause_deaths: NDArray[np.float64] = field(default_factory=_no_causes)
    only: str = ""

    def __post_init__(self) -> None:
        for name in ("time", "pattern", "entered", "exited", "events", "deaths", "began", "ended"):
            array = getattr(self, name)
            if array.shape != self.time.shape:
                raise ConservationError(f"flows: {name} has shape {array.shape}, time has {self.time.shape}")
            array.flags.writeable = False
        self._balance("entered", "exited")
        self._balance("began", "ended")
        if self.causes:
            self._split_by_cause()

    def _split_by_cause(self) -> None:
        shape = (len(self.causes), self.time.size)
        for name, whole in (("cause_events", self.events), ("cause_deaths", self.deaths)):
            array = getattr(self, name)
            if array.shape != shape:
                raise ConservationError(f"flows: {name} has shape {array.shape}, not {shape}")
            if np.abs(array.sum(axis=0) - whole).max(initial=0.0) > _SUM_TOLERANCE * max(1.0, whole.max(initial=0.0)):
                raise ConservationError(f"flows: {name} of all causes do not add up to the events")
            array.flags.writeable = False

    def of_cause(self, cause: str) -> Flows:
        """The same flows with the churns of this cause as events; who leaves for another cause is censored then.

        Right for cause-specific hazards and their Cox models. One minus their Kaplan-Meier curve is not the share of
        customers lost to the cause: see `cumulative_incidence`. Raises ArgumentError for a cause that is not there.
        """
        if cause not in self.causes:
            there = ", ".join(self.causes) or "none: pass causes=True when counting flows"
            raise ArgumentError(f"'{cause}' is no cause of these flows; there are: {there}")
        row = self.causes.index(cause)
        events, deaths = self.cause_events[row].copy(), self.cause_deaths[row].copy()
        none = _no_causes()
        return replace(self, events=events, deaths=deaths, causes=(), cause_events=none, cause_deaths=none, only=cause)

    def _balance(self, into: str, out: str) -> None:
        entered, left = getattr(self, into).sum(), getattr(self, out).sum()
        if abs(entered - left) > _SUM_TOLERANCE * max(1.0, abs(entered)):
            raise ConservationError(f"flows: {into} sums to {entered!r} and {out} to {left!r}; they must be equal")

    @property
    def person_days(self) -> float:
        """Total weight x days at risk."""
        return float(self.time @ (self.exited - self.entered))

    @property
    def total_events(self) -> float:
        """Total weight of events."""
        return float(self.events.sum())
