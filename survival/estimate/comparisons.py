"""Differences of retention between cohorts: at fixed tenures with tests, and over all tenures with a band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtr

from survival.errors import ArgumentError
from survival.estimate.adjustments import adjusted
from survival.estimate.intervals import normal_quantile, retention_interval, transformed
from survival.findings import Finding

if TYPE_CHECKING:
    from survival.estimate.curves import Curve

Floats = NDArray[np.float64]
_CELLS = 4_000_000  # simulated values held at a time


@dataclass(frozen=True, eq=False)
class Comparisons:
    """A table of comparisons and what there is to say about them."""

    table: pd.DataFrame
    findings: tuple[Finding, ...]

    def tidy(self) -> pd.DataFrame:
        """The table, a copy."""
        return self.table.copy()


def different_entry(entries: Sequence[float]) -> tuple[Finding, ...]:
    """A finding when cohorts are first observed at different tenures: their retentions then answer different questions."""
    distinct = sorted(set(entries))
    if len(distinct) < 2:
        return ()
    shown = ", ".join(f"{entry:g}" for entry in distinct[:5])
    message = (
        f"the cohorts are first observed at different tenures ({shown}): retention since the one is not retention since the "
        f"other, so such pairs are not compared. Start all at {distinct[-1]:g} with `landmark`"
    )
    return (Finding("different-entry", "warning", "cohorts", message, f"{distinct[0]:g} to {distinct[-1]:g}"),)


def differences(curves: Sequence[Curve], tenures: Floats, level: float, interval: str, adjust: str) -> Comparisons:
    """See `Curves.differences`."""
    parts = [_pair(a, b, tenures, level, interval) for a, b in combinations(curves, 2)]
    if not parts:
        raise ArgumentError("differences compare cohorts: there is only one curve")
    table = pd.concat(parts, ignore_index=True)
    table["p_adjusted"] = adjusted(table["p"].to_numpy(float), adjust)
    table["level"] = level
    return Comparisons(table, different_entry([curve.entry for curve in curves]))


def step_values(curve: Curve, tenures: Floats) -> tuple[Floats, Floats]:
    """Retention and variance of its logarithm at tenures (q,); NaN where the curve is not known."""
    row = np.searchsorted(curve.risk.time, tenures, side="right") - 1
    known = (tenures >= curve.entry) & (tenures <= curve.end)
    return np.where(known, curve.retention[row], np.nan), np.where(known, curve.variance[row], np.nan)


def _pair(a: Curve, b: Curve, tenures: Floats, level: float, interval: str) -> pd.DataFrame:
    (at_a, var_a), (at_b, var_b) = step_values(a, tenures), step_values(b, tenures)
    if a.entry != b.entry:
        at_a, at_b = np.full(tenures.size, np.nan), np.full(tenures.size, np.nan)
    difference = at_b - at_a
    with np.errstate(invalid="ignore"):
        se = np.hypot(at_a * np.sqrt(var_a), at_b * np.sqrt(var_b))
    if interval == "plain":
        z = normal_quantile(level)
        low, high = difference - z * se, difference + z * se
    else:  # the distances of the single limits, squared and added: MOVER (Newcombe 1998; Zou & Donner 2008)
        (low_a, high_a), (low_b, high_b) = (
            retention_interval(s, v, level, interval) for s, v in ((at_a, var_a), (at_b, var_b))
        )
        low = difference - np.hypot(at_b - low_b, high_a - at_a)
        high = difference + np.hypot(high_b - at_b, at_a - low_a)
    statistic = _z(at_a, var_a, at_b, var_b, interval)
    return pd.DataFrame(
        {
            "tenure": tenures,
            "cohort_a": [a.risk.label] * tenures.size,
            "cohort_b": [b.risk.label] * tenures.size,
            "retention_a": at_a,
            "retention_b": at_b,
            "difference": difference,
            "se": se,
            "ci_lower": low,
            "ci_upper": high,
            "z": statistic,
            "p": 2 * ndtr(-np.abs(statistic)),
        }
    )


def _z(at_a: Floats, var_a: Floats, at_b: Floats, var_b: Floats, interval: str) -> Floats:
    """Standardised difference of the transformed retentions; NaN where a curve is at 1 or 0. Source: Klein et al. 2007."""
    with np.errstate(invalid="ignore"):
        g_a, se_a = transformed(at_a, np.sqrt(var_a), interval)
        g_b, se_b = transformed(at_b, np.sqrt(var_b), interval)
        return (g_b - g_a) / np.hypot(se_a, se_b)


def equality(curves: Sequence[Curve], tenures: Floats, interval: str) -> pd.DataFrame:
    """tenure, statistic, df, p: are all cohorts' retentions at a tenure equal? Cohorts not known there are left out, and so
    are those first observed later than the first: their retention is not retention since the same tenure.

    Σ (g_i - ḡ)² / v_i with ḡ the mean weighted by 1 / v_i: chi-square with one degree less than cohorts (Klein et al. 2007).
    """
    first = min(curve.entry for curve in curves)
    values = [step_values(curve, tenures) for curve in curves if curve.entry == first]
    with np.errstate(invalid="ignore"):
        moved = [transformed(s, np.sqrt(v), interval) for s, v in values]
    g, se = np.array([one[0] for one in moved]), np.array([one[1] for one in moved])
    known = np.isfinite(g) & np.isfinite(se)
    weight = np.where(known, 1 / np.where(known, se, 1.0) ** 2, 0.0)
    g = np.where(known, g, 0.0)
    number = known.sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean = (weight * g).sum(axis=0) / weight.sum(axis=0)
    statistic = np.where(number > 1, (weight * (g - mean) ** 2).sum(axis=0), np.nan)
    df = np.maximum(number - 1, 0)
    p = [float(chdtrc(n, x)) if n else np.nan for n, x in zip(df, statistic)]
    return pd.DataFrame({"tenure": tenures, "statistic": statistic, "df": df, "p": p})


def difference_curve(
    a: Curve, b: Curve, level: float, since: float | None, until: float | None, draws: int, seed: int
) -> Comparisons:
    """See `Curves.difference_curve`."""
    end = min(a.end, b.end)
    grid = np.unique(np.concatenate([c.risk.time[: c.rows][c.risk.events[: c.rows] > 0] for c in (a, b)]))
    grid = np.unique(np.concatenate(([max(a.entry, b.entry)], grid[grid < end], [end])))
    (at_a, var_a), (at_b, var_b) = step_values(a, grid), step_values(b, grid)
    findings = different_entry([a.entry, b.entry])
    if findings:
        at_a, at_b = np.full(grid.size, np.nan), np.full(grid.size, np.nan)
    with np.errstate(invalid="ignore"):
        se = np.hypot(at_a * np.sqrt(var_a), at_b * np.sqrt(var_b))
    use = np.isfinite(se) & (var_a > 0) & (var_b > 0)  # both have fallen
    use &= (grid >= (-np.inf if since is None else since)) & (grid <= (np.inf if until is None else until))
    critical = np.nan
    if use.any():
        scales = [(s[use] / se[use], v[use]) for s, v in ((at_a, var_a), (at_b, var_b))]
        critical = simulated_critical(scales, level, draws, seed)
    wide = np.where(use, critical * se, np.nan)
    z, difference = normal_quantile(level), at_b - at_a
    table = pd.DataFrame(
        {
            "cohort_a": [a.risk.label] * grid.size,
            "cohort_b": [b.risk.label] * grid.size,
            "tenure": grid,
            "difference": difference,
            "se": se,
            "ci_lower": difference - z * se,
            "ci_upper": difference + z * se,
            "band_lower": difference - wide,
            "band_upper": difference + wide,
            "critical_value": critical,
            "level": level,
        }
    )
    return Comparisons(table, findings)


def simulated_critical(scales: Sequence[tuple[Floats, Floats]], level: float, draws: int, seed: int) -> float:
    """The level quantile of max_t |Σ_c f_c(t) W_c(v_c(t))|: independent Brownian motions W_c, f_c and v_c (m,), v increasing.

    Source: Parzen, Wei & Ying 1997, with normal increments for the martingale of each curve.
    """
    random = np.random.default_rng(seed)
    m, found = scales[0][0].size, []
    steps = [(factor, np.sqrt(np.diff(variance, prepend=0.0))) for factor, variance in scales]
    for first in range(0, draws, max(1, _CELLS // m)):
        rows = min(max(1, _CELLS // m), draws - first)
        process = np.zeros((rows, m))
        for factor, step in steps:
            process += factor * np.cumsum(step * random.standard_normal((rows, m)), axis=1)
        found.append(np.abs(process).max(axis=1))
    return float(np.quantile(np.concatenate(found), level))


def cohort(curves: Sequence[Curve], label: Any) -> Curve:
    """The curve of that label; ArgumentError with the labels that are there."""
    for curve in curves:
        if curve.risk.label == label:
            return curve
    raise ArgumentError(f"no curve is called {label!r}; there are {[c.risk.label for c in curves]}")
