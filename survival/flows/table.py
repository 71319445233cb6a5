"""Flows, the sufficient statistic of all estimates: time x pattern -> entered, exited, events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survival.errors import ConservationError

_SUM_TOLERANCE = 1e-9  # relative: weights are summed in different orders


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

    def __post_init__(self) -> None:
        for name in ("time", "pattern", "entered", "exited", "events", "deaths", "began", "ended"):
            array = getattr(self, name)
            if array.shape != self.time.shape:
                raise ConservationError(f"flows: {name} has shape {array.shape}, time has {self.time.shape}")
            array.flags.writeable = False
        self._balance("entered", "exited")
        self._balance("began", "ended")

    def _balance(self, into: str, out: str) -> None:
        entered, left = getattr(self, into).sum(), getattr(self, out).sum()
        if abs(entered - left) > _SUM_TOLERANCE * max(1.0, abs(entered)):
            raise ConservationError(
                f"flows: {into} sums to {entered!r} and {out} to {left!r}; they must be equal"
            )

    @property
    def person_days(self) -> float:
        """Total weight x days at risk."""
        return float(self.time @ (self.exited - self.entered))

    @property
    def total_events(self) -> float:
        """Total weight of events."""
        return float(self.events.sum())
