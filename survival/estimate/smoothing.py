"""A hazard smoothed from the steps of a cumulative hazard, with boundary kernels and a pointwise band.

Works on any steps: Nelson-Aalen of a cohort, or the baseline of a Cox model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from survival.errors import ArgumentError
from survival.estimate.intervals import normal_quantile
from survival.estimate.smoothing_band import gamma_limits, own_weight, quadratic_kernel

Floats = NDArray[np.float64]
POINTS = 201  # grid of a drawn hazard
_BINS = 400  # steps are put together in so many bins to choose a bandwidth, whatever their number
_CANDIDATES = 24
_CELLS = 1_000_000  # kernel weights held at a time
_WHOLE = 1e-6  # of a cell: rounding


@dataclass(frozen=True, eq=False)
class SmoothHazard:
    """Hazard per unit of tenure (g,) at `tenure` (g,), its standard error, band, bandwidth and how that was chosen.

    lower, upper (g,): pointwise limits of the true hazard, corrected for the bias of smoothing (see `smoothing_band`), so
    that the curve need not lie in their middle. se: of the smoothed hazard.
    """

    tenure: Floats
    hazard: Floats
    se: Floats
    lower: Floats
    upper: Floats
    level: float
    bandwidth: float
    chosen: str

    def __post_init__(self) -> None:
        for name in ("tenure", "hazard", "se", "lower", "upper"):
            getattr(self, name).flags.writeable = False

    def tidy(self) -> pd.DataFrame:
        """tenure, hazard, se, ci_lower, ci_upper, bandwidth; the band is pointwise."""
        return pd.DataFrame(
            {
                "tenure": self.tenure,
                "hazard": self.hazard,
                "se": self.se,
                "ci_lower": self.lower,
                "ci_upper": self.upper,
                "bandwidth": self.bandwidth,
            }
        )


def smooth_hazard(
    time: ArrayLike,
    increment: ArrayLike,
    variance: ArrayLike,
    *,
    lower: float = 0.0,
    upper: float | None = None,
    bandwidth: float | None = None,
    at: ArrayLike | None = None,
    level: float = 0.95,
) -> SmoothHazard:
    """Smooth the steps of a cumulative hazard: Σ_j K_b(t - t_j) ΔH_j, with variance Σ_j K_b(t - t_j)² ΔV_j.

    time, increment, variance: (m,) distinct step times, steps >= 0 and variances of the steps. [lower,
    upper] is where the hazard was observed (default: 0 to the last step). K is the Epanechnikov kernel with
    half-width `bandwidth`; within a bandwidth of either end the boundary kernels of Müller & Wang (1994,
    Biometrics 50, table 1) take its place, so that the ends are not pulled down. `at` (g,) defaults to a
    grid of 201 points; NaN outside [lower, upper]. Where the boundary kernel turns negative the hazard is 0.
    Tenures in whole days stand for the day that ends there, so the ends are half of the smallest step later: else the kernels
    at an end would miss half a day's mass, a tenth of the hazard at day 0.

    The band is pointwise, of the true hazard rather than of its smoothed shape: robust bias correction with a local
    parabola at the same bandwidth, and limits of weighted Poisson sums (see `smoothing_band`).

    The default bandwidth minimises the least-squares cross-validation score ∫w h² - 2 Σ w_i K_b(t_i - t_j) ΔH_i ΔH_j,
    where each step's own term counts with ΔH_i² - ΔV_i, its square less its noise: on a lattice of days the square is mostly
    signal, and without ties nothing of it is left, as in Ramlau-Hansen 1983. w = ΔH/ΔV is the number at risk, since otherwise
    the few at the end decide for everybody. Candidates lie between
    the pilot bandwidth of R's muhaz, (upper - lower) / (8 e^0.2) with e the effective number of events
    (ΣΔH)² / ΣΔV, and a third of the range. Raises ArgumentError for steps that cannot be a hazard's or a
    bandwidth out of range.
    """
    steps, increments, variances = _steps(time, increment, variance, lower, upper)
    upper = float(steps.max()) if upper is None else float(upper)
    normal_quantile(level)
    if not lower < upper:
        raise ArgumentError(f"lower must be before upper; got {lower!r} and {upper!r}")
    chosen = "given"
    if bandwidth is None:
        bandwidth, chosen = choose_bandwidth(steps, increments, variances, lower, upper), "cross-validation"
    elif not 0 < bandwidth <= (upper - lower) / 2:
        raise ArgumentError(f"bandwidth must be above 0 and at most half of [{lower:g}, {upper:g}]; got {bandwidth!r}")
    points = np.linspace(lower, upper, POINTS) if at is None else np.atleast_1d(np.asarray(at, np.float64))
    made = _smooth(points, steps, increments, variances, bandwidth, *_ends(steps, lower, upper), level)
    made[:, (points < lower) | (points > upper)] = np.nan
    return SmoothHazard(points.copy(), made[0], made[1], made[2], made[3], level, float(bandwidth), chosen)


def _ends(steps: Floats, lower: float, upper: float) -> tuple[float, float]:
    """Where the mass of the steps begins and ends: a step of a lattice stands for the cell around it.

    The cells are as wide as the smallest distance between steps; the first begins around the first point after `lower`, the
    last ends around the last point up to `upper`. Times without a lattice have cells of next to no width.
    """
    distinct = np.unique(steps)
    if distinct.size < 2:
        return lower, upper
    cell = float(np.diff(distinct).min())
    first = (distinct[0] - lower) / cell
    before = first - np.ceil(first - _WHOLE) + 1  # of a cell from `lower` to the first point after it
    after = (upper - distinct[0]) / cell
    return lower + (before - 0.5) * cell, distinct[0] + (np.floor(after + _WHOLE) + 0.5) * cell


def _steps(
    time: ArrayLike, increment: ArrayLike, variance: ArrayLike, lower: float, upper: float | None
) -> tuple[Floats, Floats, Floats]:
    steps, increments, variances = (np.asarray(values, np.float64) for values in (time, increment, variance))
    if not steps.shape == increments.shape == variances.shape or steps.ndim != 1 or not steps.size:
        raise ArgumentError(
            "time, increment and variance must be arrays of one length, with at least one step; got shapes "
            f"{steps.shape}, {increments.shape}, {variances.shape}"
        )
    for name, values in (("time", steps), ("increment", increments), ("variance", variances)):
        if not np.isfinite(values).all():
            raise ArgumentError(
                f"{name} has NaN or infinite values, first at position {np.argmin(np.isfinite(values))}"
            )
    if (increments < 0).any() or (variances < 0).any() or not increments.any():
        raise ArgumentError("increments and variances must not be negative, and some increment must be above 0")
    inside = (steps >= lower) & (steps <= (steps.max() if upper is None else upper))
    if not increments[inside].any():
        raise ArgumentError(f"no step lies between {lower:g} and {upper!r}: nothing to smooth")
    return steps[inside], increments[inside], variances[inside]


def _smooth(
    at: Floats, steps: Floats, increments: Floats, variances: Floats, bandwidth: float, lower: float, upper: float,
    level: float,
) -> Floats:  # fmt: skip
    """Hazard, standard error, limits (4, g) at points (g,), some points at a time so that memory does not grow with g x m."""
    out = np.empty((4, at.size))
    at = np.clip(at, lower, upper)
    some = max(1, _CELLS // steps.size)
    unit = np.divide(variances, increments, out=np.zeros_like(increments), where=increments > 0)  # 1 / at risk
    known = increments > 0
    for first in range(0, at.size, some):
        part = slice(first, first + some)
        here = at[part]
        kernel = boundary_kernel(here, steps, bandwidth, lower, upper)
        out[0, part], out[1, part] = np.maximum(kernel @ increments, 0.0), np.sqrt(kernel**2 @ variances)
        kernel = quadratic_kernel(here, steps, bandwidth, lower, upper)
        own = np.abs(own_weight(here, bandwidth, lower, upper)) * np.interp(here, steps[known], unit[known])
        largest = np.maximum(own, np.abs(kernel * unit).max(axis=1))
        out[2:, part] = gamma_limits(kernel @ increments, kernel**2 @ variances, largest, level)
    return out


def boundary_kernel(at: Floats, steps: Floats, bandwidth: float, lower: float, upper: float) -> Floats:
    """Kernel weights (g, m), per unit of tenure; each row has mass 1 and, in the limit, no first moment.

    With z = (t - t_j)/b and q = the distance to the nearer end in bandwidths, at most 1, the kernel at the
    lower end is 12/(1+q)⁴ (z+1) (z(1-2q) + (3q²-2q+1)/2) on [-1, q], and its mirror image at the upper end;
    q = 1 is Epanechnikov's.
    """
    low, high = (at - lower) / bandwidth, (upper - at) / bandwidth
    q = np.clip(np.minimum(low, high), 0.0, 1.0)[:, None]
    mirror = np.where(high < low, -1.0, 1.0)[:, None]
    z = mirror * (at[:, None] - steps[None, :]) / bandwidth
    weight = 12 / (1 + q) ** 4 * (z + 1) * (z * (1 - 2 * q) + (3 * q**2 - 2 * q + 1) / 2)
    return np.where((z >= -1) & (z <= q), weight, 0.0) / bandwidth


def choose_bandwidth(steps: Floats, increments: Floats, variances: Floats, lower: float, upper: float) -> float:
    """Bandwidth by least-squares cross-validation (see `smooth_hazard`); a third of the range for few steps."""
    span = upper - lower
    events = increments.sum() ** 2 / variances.sum() if variances.any() else float(steps.size)
    candidates = np.geomspace(min(span / (8 * max(events, 1.0) ** 0.2), span / 3), span / 3, _CANDIDATES)
    times, masses, own, precision = _binned(steps, increments, variances, lower, upper)
    if times.size < 3:
        return span / 3
    # Months or weeks are a lattice: a bandwidth that hardly sees the neighbour draws its teeth.
    candidates = np.maximum(candidates, min(2 * float(np.median(np.diff(times))), span / 3))
    scores = [_cross_validation(times, masses, own, precision, width, lower, upper) for width in candidates]
    return float(candidates[int(np.argmin(scores))])


def _binned(
    steps: Floats, increments: Floats, variances: Floats, lower: float, upper: float
) -> tuple[Floats, Floats, Floats, Floats]:
    """Times, masses, their variances and precision (mass over variance, about the number at risk), in bins."""
    use = increments > 0
    steps, increments, variances = steps[use], increments[use], variances[use]
    if steps.size <= _BINS:
        return steps, increments, variances, _precision(increments, variances)
    number = np.minimum(((steps - lower) / (upper - lower) * _BINS).astype(np.intp), _BINS - 1)
    mass, centre, spread = (
        np.bincount(number, weights=values).astype(np.float64) for values in (increments, increments * steps, variances)
    )
    full = mass > 0
    return centre[full] / mass[full], mass[full], spread[full], _precision(mass[full], spread[full])


def _precision(mass: Floats, variance: Floats) -> Floats:
    if not (variance > 0).all():
        return np.ones_like(mass)
    precision = mass / variance
    return precision / precision.max()


def _cross_validation(
    times: Floats, masses: Floats, own: Floats, precision: Floats, width: float, lower: float, upper: float
) -> float:
    grid = np.linspace(lower, upper, POINTS)
    hazard = boundary_kernel(grid, times, width, lower, upper) @ masses
    between = boundary_kernel(times, times, width, lower, upper)
    crossed = (precision * masses) @ between @ masses - (precision * np.diagonal(between)) @ own
    return float(np.trapezoid(np.interp(grid, times, precision) * hazard**2, grid) - 2 * crossed)
