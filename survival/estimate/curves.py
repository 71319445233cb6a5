"""Retention curves as values: tables, retention at fixed tenures, quantiles, numbers at risk, restricted means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from survival.errors import ArgumentError
from survival.estimate.areas import RestrictedMean, RestrictedMeans, area
from survival.estimate.cohort_counts import CohortCounts, counts
from survival.estimate.intervals import Interval, retention_interval
from survival.findings import Finding
from survival.flows.frames import TIMEFIX

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """One group's curve over the m rows of its risk set; NaN from row `rows` on, where it has ended.

    retention (m,) share who have not churned by the tenure of the row, that tenure included
    variance  (m,) Greenwood's sum, the variance of log retention
    """

    risk: CohortCounts
    retention: Floats
    variance: Floats
    rows: int

    def __post_init__(self) -> None:
        self.retention.flags.writeable = False
        self.variance.flags.writeable = False

    @property
    def entry(self) -> float:
        """The smallest entry, where the curve starts at 1."""
        return float(self.risk.time[0])

    @property
    def end(self) -> float:
        """The last tenure that somebody is followed to without a hole: beyond it nothing is known."""
        return float(self.risk.time[self.rows - 1])

    @property
    def se(self) -> Floats:
        """Standard error of retention (m,); NaN at 0, where Greenwood's sum is infinite."""
        known = self.retention > 0
        se = np.full(self.retention.shape, np.nan)
        se[known] = self.retention[known] * np.sqrt(self.variance[known])
        return se


@dataclass(frozen=True, eq=False)
class Curves:
    """Retention curves, one a group, with the options they were made with and what there is to say about them."""

    curves: tuple[Curve, ...]
    level: float
    interval: Interval
    findings: tuple[Finding, ...]

    def __len__(self) -> int:
        return len(self.curves)

    @property
    def groups(self) -> list[Any]:
        """Labels of the groups, in their order; `all` when there is but everybody."""
        return [curve.risk.label for curve in self.curves]

    def tidy(self) -> pd.DataFrame:
        """A row for each group and tenure with an entry, an event or a censoring.

        by, tenure, at_risk, events, censored, entered, retention, se, ci_lower, ci_upper. at_risk = entry <
        tenure <= exit; se is of retention; the interval is empty (NaN) where the curve is 1 or 0.
        """
        return _stacked([self._rows(curve) for curve in self.curves])

    def _rows(self, curve: Curve) -> dict[str, Any]:
        risk = curve.risk
        low, high = retention_interval(curve.retention, curve.variance, self.level, self.interval)
        return {
            "by": [risk.label] * risk.time.size,
            "tenure": risk.time,
            "at_risk": risk.at_risk,
            "events": risk.events,
            "censored": risk.censored,
            "entered": risk.entered,
            "retention": curve.retention,
            "se": curve.se,
            "ci_lower": low,
            "ci_upper": high,
        }

    def at(self, tenures: ArrayLike) -> pd.DataFrame:
        """Retention at fixed tenures: by, tenure, at_risk, retention, se, ci_lower, ci_upper.

        NaN below the smallest entry and beyond the last exit of a group.
        """
        wanted = _tenures(tenures)
        return _stacked([self._at(curve, wanted) for curve in self.curves])

    def _at(self, curve: Curve, wanted: Floats) -> dict[str, Any]:
        risk = curve.risk
        tenure = _snapped(wanted, risk.time)
        row = np.searchsorted(risk.time, tenure, side="right") - 1
        known = (tenure >= curve.entry) & (tenure <= curve.end)
        low, high = retention_interval(curve.retention, curve.variance, self.level, self.interval)

        def pick(values: Floats) -> Floats:
            return np.where(known, values[row], np.nan)

        return {
            "by": [risk.label] * wanted.size,
            "tenure": wanted,
            "at_risk": _next(risk.at_risk, np.searchsorted(risk.time, tenure, side="left")),
            "retention": pick(curve.retention),
            "se": pick(curve.se),
            "ci_lower": pick(low),
            "ci_upper": pick(high),
        }

    def numbers_at_risk(self, tenures: ArrayLike) -> pd.DataFrame:
        """The table under a figure: by, tenure, at_risk, where at risk is start <= tenure < stop."""
        wanted = _tenures(tenures)
        return _stacked([_under_figure(curve.risk, wanted) for curve in self.curves])

    def quantile(self, p: ArrayLike = 0.5) -> pd.DataFrame:
        """The tenure by which a share p has churned: by, p, tenure, ci_lower, ci_upper; p = 0.5 is the
        median.

        NaN where a curve or its limit does not fall that far. Source: R's quantile.survfit (the middle of
        the flat piece where the curve is exactly 1 - p; limits read off the pointwise interval in the same
        way).
        """
        shares = np.atleast_1d(np.asarray(p, np.float64))
        if not bool(((shares >= 0) & (shares <= 1)).all()):
            raise ArgumentError(f"p must be shares between 0 and 1; got {p!r}")
        return _stacked([self._quantile(curve, shares) for curve in self.curves])

    def _quantile(self, curve: Curve, shares: Floats) -> dict[str, Any]:
        low, high = retention_interval(curve.retention, curve.variance, self.level, self.interval)
        time, rows = np.concatenate(([curve.entry], curve.risk.time[: curve.rows])), curve.rows

        def read(limit: Floats) -> Floats:
            return _first_reached(time, np.concatenate(([0.0], 1.0 - limit[:rows])), shares)

        return {
            "by": [curve.risk.label] * shares.size,
            "p": shares,
            "tenure": read(curve.retention),
            "ci_lower": read(low),
            "ci_upper": read(high),
        }

    def rmst(self, horizon: float) -> pd.DataFrame:
        """Restricted mean tenure up to `horizon`: by, horizon, rmst, se, ci_lower, ci_upper (see `rmst`)."""
        return self.restricted_means(horizon).tidy()

    def restricted_means(self, horizon: float) -> RestrictedMeans:
        """Restricted means with findings: NaN for a horizon before the smallest entry or beyond the end."""
        if (
            isinstance(horizon, bool)
            or not isinstance(horizon, int | float | np.number)
            or not np.isfinite(horizon)
        ):
            raise ArgumentError(f"horizon must be a finite tenure, such as 365; got {horizon!r}")
        known = [curve.entry <= horizon <= curve.end for curve in self.curves]
        means = [_mean(curve, float(horizon), inside) for curve, inside in zip(self.curves, known)]
        outside = [_unknown(curve, float(horizon)) for curve, inside in zip(self.curves, known) if not inside]
        return RestrictedMeans(tuple(means), float(horizon), self.level, (*self.findings, *outside))

    def __repr__(self) -> str:
        described = ", ".join(f"{label} (to {curve.end:g})" for label, curve in zip(self.groups, self.curves))
        return f"Curves({described}; {self.level:g} {self.interval} intervals, {len(self.findings)} findings)"


def _mean(curve: Curve, horizon: float, known: bool) -> RestrictedMean:
    if not known:
        return RestrictedMean(curve.risk.label, float("nan"), float("nan"))
    risk = curve.risk
    return RestrictedMean(
        risk.label, *area(risk.time, curve.retention, risk.at_risk, risk.events, risk.left_over, horizon)
    )


def _unknown(curve: Curve, horizon: float) -> Finding:
    if horizon > curve.end:
        message = f"the horizon {horizon:g} is beyond the last exit {curve.end:g}: choose an earlier one"
    else:
        message = f"the horizon {horizon:g} is before the smallest entry {curve.entry:g}: choose a later one"
    return Finding("horizon-out-of-range", "warning", str(curve.risk.label), message, f"{curve.end:g}")


def _under_figure(risk: CohortCounts, wanted: Floats) -> dict[str, Any]:
    before = np.concatenate(([0.0], risk.after))  # before the smallest entry nobody is at risk
    row = np.searchsorted(risk.time, _snapped(wanted, risk.time), side="right")
    return {"by": [risk.label] * wanted.size, "tenure": wanted, "at_risk": before[row]}


def _next(values: Floats, row: NDArray[np.intp]) -> Floats:
    return np.concatenate((values, [0.0]))[row]


def _tenures(tenures: ArrayLike) -> Floats:
    wanted = np.atleast_1d(np.asarray(tenures, np.float64))
    if wanted.ndim != 1 or not bool(np.isfinite(wanted).all()):
        raise ArgumentError(f"tenures must be finite numbers; got {tenures!r}")
    return wanted


def _snapped(wanted: Floats, time: Floats) -> Floats:
    """A tenure within rounding of one in the data is that one (see timefix)."""
    right = np.clip(np.searchsorted(time, wanted), 0, time.size - 1)
    left = np.maximum(right - 1, 0)
    nearest = np.where(np.abs(time[left] - wanted) < np.abs(time[right] - wanted), time[left], time[right])
    close = np.abs(nearest - wanted) <= TIMEFIX * np.maximum(np.abs(time).mean(), np.abs(wanted))
    return np.where(close, nearest, wanted)


def _first_reached(time: Floats, churned: Floats, shares: Floats) -> Floats:
    """R's findq: where a step function `churned` (m,) of `time` (m,) first reaches each of `shares`; NaN if never."""
    last_time, tolerance = time[-1], TIMEFIX
    distinct = ~pd.Series(churned).duplicated().to_numpy()
    time, churned = time[distinct], churned[distinct]
    known = np.flatnonzero(~np.isnan(churned))
    order = known[np.argsort(churned[known], kind="stable")]
    level = np.append(churned[order], np.nan)
    padded = np.append(time[order], np.nan)
    low = padded[np.searchsorted(level[:-1] + tolerance, shares)]
    high = padded[np.searchsorted(level[:-1] - tolerance, shares)]
    found = (low + high) / 2
    found[shares == 0] = time[0]
    at_end = np.abs(shares - churned[-1]) < tolerance
    found[at_end] = (low[at_end] + last_time) / 2
    return found


def _stacked(parts: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Parts of one table under each other; counts that are whole in all of them are integers."""
    columns = {}
    for name in parts[0]:
        if name == "by":
            columns[name] = pd.Series([label for part in parts for label in part[name]])
        else:
            values = np.concatenate([part[name] for part in parts])
            is_count = name in ("at_risk", "events", "censored", "entered")
            columns[name] = pd.Series(counts(values) if is_count else values)
    return pd.DataFrame(columns)
