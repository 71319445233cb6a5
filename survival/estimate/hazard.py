"""Nelson-Aalen: the cumulative hazard of churn by tenure, and the hazard smoothed from its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from survival.errors import ArgumentError
from survival.estimate.cohort_counts import CohortCounts, cohort_counts, counts
from survival.estimate.intervals import normal_quantile, one_of, positive_interval
from survival.estimate.smoothing import smooth_hazard
from survival.findings import Finding

Floats = NDArray[np.float64]
MIN_AT_RISK = 10  # as R's muhaz: with fewer at risk a single churn is a spike


@dataclass(frozen=True, eq=False)
class CohortHazard:
    """One group: steps d/n of the cumulative hazard (m,), their variances d/n² (m,), on the rows of its counts."""

    counts: CohortCounts
    increment: Floats
    variance: Floats

    def __post_init__(self) -> None:
        self.increment.flags.writeable = False
        self.variance.flags.writeable = False


@dataclass(frozen=True, eq=False)
class Hazards:
    """Cumulative hazards by group."""

    hazards: tuple[CohortHazard, ...]
    level: float
    interval: str
    findings: tuple[Finding, ...]

    @property
    def groups(self) -> list[Any]:
        """Labels of the groups, in their order."""
        return [hazard.counts.label for hazard in self.hazards]

    def tidy(self) -> pd.DataFrame:
        """by, tenure, at_risk, events, hazard (the step), cumulative_hazard, se, ci_lower, ci_upper.

        se and the interval are of the cumulative hazard; no interval (NaN) while it is 0. Rows as in
        retention.
        """
        return pd.concat([self._rows(hazard) for hazard in self.hazards], ignore_index=True)

    def _rows(self, hazard: CohortHazard) -> pd.DataFrame:
        total, se = np.cumsum(hazard.increment), np.sqrt(np.cumsum(hazard.variance))
        low, high = positive_interval(total, se, self.level, self.interval)
        rows = hazard.counts
        return pd.DataFrame(
            {
                "by": [rows.label] * rows.time.size,
                "tenure": rows.time,
                "at_risk": counts(rows.at_risk),
                "events": counts(rows.events),
                "hazard": hazard.increment,
                "cumulative_hazard": total,
                "se": se,
                "ci_lower": low,
                "ci_upper": high,
            }
        )

    def smooth(
        self, bandwidth: float | None = None, at: ArrayLike | None = None, min_at_risk: float = MIN_AT_RISK
    ) -> pd.DataFrame:
        """The hazard per unit of tenure, smoothed: by, tenure, hazard, se, ci_lower, ci_upper, bandwidth.

        From the smallest entry to the last tenure with `min_at_risk` at risk; a group without such events
        has no rows. See `smooth_hazard` for the method and the bandwidth.
        """
        if at is not None and not np.isfinite(np.asarray(at, np.float64)).all():
            raise ArgumentError(f"at must be finite tenures; got {at!r}")
        parts = [_smoothed(hazard, bandwidth, at, min_at_risk, self.level) for hazard in self.hazards]
        return pd.concat(parts, ignore_index=True)


def hazard(
    frame: Any,
    stop: str = "stop",
    event: str = "event",
    start: str | None = None,
    by: str | Sequence[str] | None = None,
    weights: str | None = None,
    customer: str | None = None,
    spell: str | None = None,
    level: float = 0.95,
    interval: Literal["log", "plain"] = "log",
    order: Sequence[Any] | None = None,
) -> Hazards:
    """Nelson-Aalen estimate of the cumulative hazard with its interval, by group; `.smooth()` for the
    hazard itself.

    Steps d/n and their variance d/n², weighted counts included, are those of R's survfit(ctype = 1): cumhaz
    and std.chaz. Arguments and errors are those of `kaplan_meier`. Source: Aalen 1978.
    """
    one_of(interval, ("log", "plain"), "interval")
    normal_quantile(level)
    sets = cohort_counts(frame, stop, event, start, by=by, weights=weights, customer=customer, spell=spell, order=order)
    return Hazards(tuple(_hazard(group) for group in sets), level, interval, sets.findings)


def _hazard(group: CohortCounts) -> CohortHazard:
    increment, variance = np.zeros_like(group.time), np.zeros_like(group.time)
    here = group.events > 0
    increment[here] = group.events[here] / group.at_risk[here]
    variance[here] = increment[here] / group.at_risk[here]
    return CohortHazard(group, increment, variance)


def _smoothed(
    hazard: CohortHazard, bandwidth: float | None, at: ArrayLike | None, min_at_risk: float, level: float
) -> pd.DataFrame:
    group = hazard.counts
    many = group.at_risk >= min_at_risk
    columns = ["by", "tenure", "hazard", "se", "ci_lower", "ci_upper", "bandwidth"]
    if not (many & (group.events > 0)).any():
        return pd.DataFrame({name: pd.Series(dtype=object if name == "by" else float) for name in columns})
    # Not the last event: an interval that ends because somebody churned has too high a hazard at its end.
    until = group.time[many][-1]
    use = (group.events > 0) & (group.time <= until)
    curve = smooth_hazard(
        group.time[use],
        hazard.increment[use],
        hazard.variance[use],
        lower=float(group.time[0]),
        upper=float(until),
        bandwidth=bandwidth,
        at=at,
        level=level,
    )
    table = curve.tidy()
    table.insert(0, "by", [group.label] * len(table))
    return table
