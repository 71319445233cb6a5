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
from survival.estimate.bands import KINDS, BandKind, band
from survival.estimate.cohort_counts import CohortCounts, counts
from survival.estimate.comparisons import Comparisons, cohort, difference_curve, differences, equality
from survival.estimate.conditional import conditional, mean_residual
from survival.estimate.intervals import INTERVALS, Interval, one_of, retention_interval
from survival.findings import Finding
from survival.flows.frames import TIMEFIX

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """One group's curve over the m rows of its risk set; NaN from row `rows` on, where it has ended.

    retention (m,) share who have not churned by the tenure of the row, that tenure included
    variance  (m,) the variance of log retention: Greenwood's sum, or the robust one
    wider     (m,) by how much intervals are wider than normal ones, where a few customers make the variance uncertain
    """

    risk: CohortCounts
    retention: Floats
    variance: Floats
    rows: int
    wider: Floats | None = None

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
    def spread(self) -> Floats:
        """The variance of log retention that intervals are made of (m,)."""
        return self.variance if self.wider is None else self.variance * self.wider**2

    @property
    def se(self) -> Floats:
        """Standard error of retention (m,); NaN at 0, where Greenwood's sum is infinite."""
        known = self.retention > 0
        se = np.full(self.retention.shape, np.nan)
        se[known] = self.retention[known] * np.sqrt(self.variance[known])
        return se


@dataclass(frozen=True, eq=False)
class Curves:
    """Retention curves, one a group, with the options they were made with and what there is to say about them.

    robust: variances add up by customer (infinitesimal jackknife) instead of by Greenwood's formula.
    """

    curves: tuple[Curve, ...]
    level: float
    interval: Interval
    findings: tuple[Finding, ...]
    robust: bool = False

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
        low, high = retention_interval(curve.retention, curve.spread, self.level, self.interval)
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
        low, high = retention_interval(curve.retention, curve.spread, self.level, self.interval)

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
        shares = _numbers(p, "p must be shares between 0 and 1, such as 0.5 for the median")
        if not bool(((shares >= 0) & (shares <= 1)).all()):
            raise ArgumentError(f"p must be shares between 0 and 1, such as 0.5 for the median; got {p!r}")
        return _stacked([self._quantile(curve, shares) for curve in self.curves])

    def _quantile(self, curve: Curve, shares: Floats) -> dict[str, Any]:
        low, high = retention_interval(curve.retention, curve.spread, self.level, self.interval)
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

    def band(
        self,
        kind: BandKind = "equal-precision",
        since: float | None = None,
        until: float | None = None,
        level: float | None = None,
        interval: Interval | None = None,
    ) -> pd.DataFrame:
        """Bands that hold the whole curve: by, tenure, retention, ci_lower, ci_upper, band_lower, band_upper, critical_value.

        `equal-precision` (Nair 1984) is the pointwise interval widened everywhere by one factor; `hall-wellner` (1980) is
        narrow in the middle and wide at both ends. With the curves' `interval` as transformation (Borgan & Liestøl 1990).
        They hold between `since` and `until`: without these, equal precision covers 0.05 <= a <= 0.95, with a = nσ²/(1 + nσ²)
        and n the customers who entered, and Hall-Wellner every tenure from the first churn on. NaN elsewhere. Critical values
        are computed from the limit process (`crossing`), at the a that the band runs between.
        """
        self._greenwood("a simultaneous band", "it needs independent increments")
        one_of(kind, KINDS, "kind")
        level = self.level if level is None else level
        interval = self.interval if interval is None else interval
        rows = [band(curve, kind, level, interval, since, until) for curve in self.curves]
        return pd.concat(rows, ignore_index=True)

    def given(self, tenure: float, until: float | None = None) -> pd.DataFrame:
        """Retention of who is still here at `tenure`: by, given, tenure, at_risk, events, retention, se, ci_lower, ci_upper.

        S(t) / S(tenure) with the variance of what happens after; a row at `tenure` itself (retention 1), then one at each
        later row of the curve, up to `until`. No rows for a group whose curve does not reach `tenure`; ArgumentError when that is
        every group.
        """
        self._greenwood("conditional retention", "start the episodes anew with `landmark`")
        given = float(_snapped(_one(tenure, "tenure"), self.curves[0].risk.time)[0])
        table = _stacked([conditional(curve, given, self.level, self.interval) for curve in self.curves])
        if table.empty:
            first, last = min(curve.entry for curve in self.curves), max(curve.end for curve in self.curves)
            inside = first <= given <= last
            why = "retention is 0 there" if inside else f"retention is known from tenure {first:g} to {last:g}"
            raise ArgumentError(f"nobody is known to be here at tenure {given:g}: {why}. Give another tenure")
        last = np.inf if until is None else float(_one(until, "until")[0])
        if last < given:
            raise ArgumentError(f"until must not be before the tenure that is given, {given:g}; got {until!r}")
        return table[table["tenure"] <= last].reset_index(drop=True)

    def mean_residual(self, tenures: ArrayLike, horizon: float) -> pd.DataFrame:
        """Mean tenure still ahead, up to `horizon`, of who is here at `tenures`.

        by, tenure, horizon, mean_residual, se, ci_lower, ci_upper (± z se). The horizon is a tenure, not a length: at
        tenure u at most horizon - u is ahead. NaN where a curve does not reach.
        """
        self._greenwood("mean residual tenure", "start the episodes anew with `landmark` and take `rmst`")
        wanted, until = _tenures(tenures), float(_one(horizon, "horizon")[0])
        return _stacked([mean_residual(curve, wanted, until, self.level) for curve in self.curves])

    def differences(self, tenures: ArrayLike, adjust: str = "holm") -> Comparisons:
        """Retention of every two cohorts at fixed tenures, the later minus the earlier in the order of the groups.

        .tidy(): tenure, cohort_a, cohort_b, retention_a, retention_b, difference (b - a), se, ci_lower, ci_upper, z, p,
        p_adjusted, level. With `interval` plain: difference ± z se and its test. With the others: limits from the two
        single intervals (MOVER, Zou & Donner 2008) and the test of the difference of the transformed retentions (Klein,
        Logan, Harhoff & Andersen 2007), which keeps its level near 0 and 1. p is adjusted over all rows. Cohorts whose
        curves start at different tenures are not compared (NaN, with a finding).
        """
        _some_interval(self.interval)
        return differences(self.curves, _tenures(tenures), self.level, self.interval, adjust)

    def equality(self, tenures: ArrayLike) -> pd.DataFrame:
        """Are all cohorts' retentions at a tenure equal? tenure, statistic, df, p (chi-square, transformed by `interval`)."""
        _some_interval(self.interval)
        return equality(self.curves, _tenures(tenures), self.interval)

    def difference_curve(
        self,
        cohort_a: Any,
        cohort_b: Any,
        since: float | None = None,
        until: float | None = None,
        draws: int = 5000,
        seed: int = 0,
    ) -> Comparisons:
        """Retention of cohort_b minus that of cohort_a over all tenures that both reach, with a simultaneous band.

        .tidy(): cohort_a, cohort_b, tenure, difference, se, ci_lower, ci_upper (pointwise), band_lower, band_upper,
        critical_value, level. The band holds for all tenures between `since` and `until` at once, from where both curves
        have fallen; its critical value is the quantile of `draws` simulated maxima (Parzen, Wei & Ying 1997), `seed` fixed.
        """
        self._greenwood("a band of the difference", "it needs independent increments")
        a, b = cohort(self.curves, cohort_a), cohort(self.curves, cohort_b)
        return difference_curve(a, b, self.level, since, until, draws, seed)

    def _greenwood(self, what: str, way: str) -> None:
        if self.robust:
            raise ArgumentError(
                f"{what} is not to be had from curves with a robust variance: {way}, or take robust=False"
            )

    def rmst(self, horizon: float) -> pd.DataFrame:
        """Restricted mean tenure up to `horizon`: by, horizon, rmst, se, ci_lower, ci_upper (see `rmst`)."""
        return self.restricted_means(horizon).tidy()

    def restricted_means(self, horizon: float) -> RestrictedMeans:
        """Restricted means with findings: NaN for a horizon before the smallest entry or beyond the end."""
        if isinstance(horizon, bool) or not isinstance(horizon, int | float | np.number) or not np.isfinite(horizon):
            raise ArgumentError(f"horizon must be a finite tenure, such as 365; got {horizon!r}")
        self._greenwood("a restricted mean", "take `rmst` with the same weights")
        known = [curve.entry <= horizon <= curve.end for curve in self.curves]
        means = [_mean(curve, float(horizon), inside) for curve, inside in zip(self.curves, known)]
        outside = [_unknown(curve, float(horizon)) for curve, inside in zip(self.curves, known) if not inside]
        entries = tuple(curve.entry for curve in self.curves)
        return RestrictedMeans(tuple(means), float(horizon), self.level, (*self.findings, *outside), entries)

    def __repr__(self) -> str:
        described = ", ".join(f"{label} (to {curve.end:g})" for label, curve in zip(self.groups, self.curves))
        return f"Curves({described}; {self.level:g} {self.interval} intervals, {len(self.findings)} findings)"


def _some_interval(interval: str) -> None:
    one_of(interval, tuple(name for name in INTERVALS if name != "none"), "interval")


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
    rule = "tenures must be finite numbers, such as [30, 90]"
    wanted = _numbers(tenures, rule)
    if wanted.ndim != 1 or not bool(np.isfinite(wanted).all()):
        raise ArgumentError(f"{rule}; got {tenures!r}")
    return wanted


def _one(tenure: ArrayLike, name: str) -> Floats:
    """A single tenure, as an array of one."""
    rule = f"{name} must be one finite number, such as 90"
    wanted = _numbers(tenure, rule)
    if wanted.shape != (1,) or not np.isfinite(wanted[0]):
        raise ArgumentError(f"{rule}; got {tenure!r}")
    return wanted


def _numbers(values: ArrayLike, rule: str) -> Floats:
    try:
        return np.atleast_1d(np.asarray(values, np.float64))
    except (TypeError, ValueError):
        raise ArgumentError(f"{rule}; got {values!r}") from None


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
