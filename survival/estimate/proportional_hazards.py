"""Does a hazard ratio change with tenure? The score test of R's cox.zph (survival >= 3.0), and smoothed beta(t).

The test asks whether adding x * g(t) improves the fit, by its score: no refit, and unlike the older
approximation it does not assume the covariates' variance constant over time (Grambsch & Therneau 1994; Therneau 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from survival.errors import ArgumentError
from survival.estimate.newton import invert
from survival.estimate.partial_likelihood import Likelihood, information
from survival.estimate.risk_sets import Floats, RiskSets
from survival.estimate.strata_sums import before

TRANSFORMS = ("km", "identity", "log", "rank")
SPLINE_DF = 4  # as R's plot.cox.zph
_TESTABLE = 1e-9  # share of the variance of x * g(t) that must be left beside x; less is rounding


@dataclass(frozen=True, eq=False)
class ScoreTest:
    """statistic (m + 1,), df (m + 1,), p (m + 1,): each group of columns, then all together; NaN, 0, NaN where nothing can be tested."""

    statistic: Floats
    df: Floats
    p: Floats


def transformed_times(sets: RiskSets, transform: str, at_risk: Floats) -> Floats:
    """(K,) g(t) of each slot, centred at its unweighted mean over the events; 0 in the empty slots.

    at_risk (K,) unweighted number at risk, pooled over strata, at the slot's time (for `km`). `rank` ranks among events,
    ties averaged; `km` is 1 - the Kaplan-Meier just before t. Raises ArgumentError for another name, or log
    of a time that is not positive.
    """
    if transform not in TRANSFORMS:
        raise ArgumentError(f"transform must be one of {', '.join(TRANSFORMS)}; got {transform!r}")
    live = sets.event_slots
    times, deaths = sets.slot_time[live], sets.deaths[live]
    if transform == "log" and (times <= 0).any():
        raise ArgumentError("transform='log' needs event times above 0; take 'km', 'rank' or 'identity'")
    distinct, first, place = np.unique(times, return_index=True, return_inverse=True)
    events = np.bincount(place, deaths)
    if transform == "km":
        survival = np.cumprod(1.0 - events / at_risk[live][first])
        by_time = 1.0 - np.concatenate(([1.0], survival[:-1]))
    elif transform == "rank":
        by_time = np.cumsum(events) - (events - 1.0) / 2.0
    else:
        by_time = np.log(distinct) if transform == "log" else distinct
    g = np.zeros(sets.slots)
    g[live] = by_time[place] - by_time @ events / events.sum()
    return g


def score_test(
    sets: RiskSets, x: Floats, at: Likelihood, g: Floats, groups: Sequence[Sequence[int]] | None = None
) -> ScoreTest:
    """Score test of x * g(t), per group of columns (default: each its own) and together; x (n, p), g (K,) centred.

    A column that varies among those at risk at one event time only says nothing about change: what x * g(t) has beside x is 0 but for
    rounding (R's cox.zph stops there as singular). Such a column has a NaN statistic and p, and df 0; groups, and all together,
    are tested over what is left, with the rank of its variance as df.
    """
    first = information(sets, x, at)
    cross = information(sets, x, at, g)
    second = information(sets, x, at, g * g)
    m, s1, e1 = at.moments, at.sums.s1, at.sums.e1
    u = (sets.event_weight * g[sets.event_slot]) @ x[sets.event_row]
    u = u - (g * m.d1) @ s1 + (g * m.d1c) @ e1
    variance = second - cross @ invert(first) @ cross
    unit = np.maximum(np.diag(second), _rounding(sets, x, at, g * g) / _TESTABLE)
    groups = [[j] for j in range(u.size)] if groups is None else groups
    parts = [list(group) for group in groups] + [list(range(u.size))]
    tests = [_quadratic(u[part], variance[np.ix_(part, part)], unit[part]) for part in parts]
    statistic, df = np.array(tests).T
    return ScoreTest(statistic, df, stats.chi2.sf(statistic, df))


def _quadratic(u: Floats, variance: Floats, unprojected: Floats) -> tuple[float, float]:
    """u' variance^-1 u and its rank, over what can be told from rounding; NaN and 0 when nothing can.

    unprojected (q,): the variances before the score part was projected out, the unit of the rounding.
    """
    keep = np.flatnonzero(np.diag(variance) > _TESTABLE * unprojected)
    if not keep.size:
        return np.nan, 0.0
    u, variance, unit = u[keep], variance[np.ix_(keep, keep)], np.sqrt(unprojected[keep])
    size, direction = np.linalg.eigh(variance / np.outer(unit, unit))
    there = size > _TESTABLE
    if there.all():
        return float(u @ invert(variance) @ u), float(u.size)
    along = (u / unit) @ direction[:, there]
    return float(along @ (along / size[there])) if there.any() else np.nan, float(there.sum())


def _rounding(sets: RiskSets, x: Floats, at: Likelihood, g: Floats) -> Floats:
    """(p,) by how much the diagonal of the information with time weights g (K,) may be off: a row's exposure is a difference of
    sums over all earlier times of its stratum."""
    total = before(g * at.moments.d1, sets.last_slot)[sets.last_slot]
    weight = sets.weight * total[sets.bounds()[0]] if sets.episodes else abs(sets.moves).T @ total
    return 8 * np.finfo(np.float64).eps * np.einsum("i,ij,ij->j", at.risk * weight, x, x)


def smooth(g: Floats, residual: Floats, variance: float, grid: Floats, level: float) -> tuple[Floats, Floats, Floats]:
    """Natural cubic spline (4 df) of scaled Schoenfeld residuals (e,) on transformed time (e,), with a pointwise
    band at `grid`: estimate, lower, upper; NaN when the events have too few distinct times. As R's plot.cox.zph."""
    keep = np.isfinite(residual)
    both = np.concatenate((grid, g))
    knots = np.quantile(both, np.linspace(0, 1, SPLINE_DF))
    basis = _natural_spline(g[keep], knots)
    if keep.sum() < SPLINE_DF or np.linalg.matrix_rank(basis) < SPLINE_DF:
        nothing = np.full(grid.size, np.nan)
        return nothing, nothing, nothing
    at_grid = _natural_spline(grid, knots)
    inverse = np.linalg.pinv(basis)
    estimate = at_grid @ (inverse @ residual[keep])
    spread = np.einsum("ij,ij->i", at_grid @ (inverse @ inverse.T), at_grid)
    half = stats.norm.ppf(0.5 + level / 2) * np.sqrt(variance * spread)
    return estimate, estimate - half, estimate + half


def _natural_spline(time: Floats, knots: Floats) -> Floats:
    """(m, number of knots) basis of cubic splines that are linear beyond the outer knots (truncated powers)."""
    low, high = knots[0], knots[-1]
    width = high - low if high > low else 1.0
    t, k = (time - low) / width, (knots - low) / width

    def part(j: int) -> Floats:
        cubes = np.maximum(t - k[j], 0.0) ** 3 - np.maximum(t - k[-1], 0.0) ** 3
        return cubes / (k[-1] - k[j]) if k[-1] > k[j] else np.zeros_like(t)

    last = part(len(k) - 2)
    return np.column_stack([np.ones_like(t), t] + [part(j) - last for j in range(len(k) - 2)])
