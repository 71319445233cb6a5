"""The band of a smoothed hazard: corrected for the bias of smoothing, with limits for few events.

A hazard smoothed over a bandwidth is too low at a peak and too high in a valley, and a band of the smoothed estimate does
not know it. The band is therefore that of an estimate whose kernels have no second moment either, which follows a parabola,
at the same bandwidth: its bias is of a smaller order, and its larger variance is what the correction costs. Source: Calonico,
Cattaneo & Farrell 2018 (JASA 113), "robust bias correction"; local polynomial kernels: Fan & Gijbels 1996, section 3.2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

Floats = NDArray[np.float64]


def quadratic_kernel(at: Floats, steps: Floats, bandwidth: float, lower: float, upper: float) -> Floats:
    """Kernel weights (g, m), per unit of tenure, with mass 1 and neither first nor second moment.

    Epanechnikov's kernel on the part of (t - b, t + b) inside [lower, upper], times the parabola that makes it so there.
    """
    c = _parabola(at, bandwidth, lower, upper)
    z = (at[:, None] - steps[None, :]) / bandwidth
    inside = (np.abs(z) <= 1) & (steps >= lower) & (steps <= upper)
    return np.where(inside, 0.75 * (1 - z**2) * (c[:, 0] + c[:, 1] * z + c[:, 2] * z**2), 0.0) / bandwidth


def own_weight(at: Floats, bandwidth: float, lower: float, upper: float) -> Floats:
    """The weight (g,) of a step at the point itself."""
    return np.asarray(0.75 * _parabola(at, bandwidth, lower, upper)[:, 0, 0] / bandwidth)


def _parabola(at: Floats, bandwidth: float, lower: float, upper: float) -> Floats:
    """Coefficients (g, 3, 1) of the parabola at each point."""
    high, low = np.minimum(1.0, (at - lower) / bandwidth), np.maximum(-1.0, (at - upper) / bandwidth)
    moments = np.array([_moment(high, j) - _moment(low, j) for j in range(5)])
    system = np.array([[moments[i + j] for j in range(3)] for i in range(3)]).transpose(2, 0, 1)
    one = np.zeros((at.size, 3, 1))
    one[:, 0] = 1.0
    return np.linalg.solve(system, one)


def _moment(z: Floats, j: int) -> Floats:
    """∫ 0.75 (1 - x²) x^j dx up to z, from 0."""
    return np.asarray(0.75 * (z ** (j + 1) / (j + 1) - z ** (j + 3) / (j + 3)))


def gamma_limits(value: Floats, variance: Floats, largest: Floats, level: float) -> tuple[Floats, Floats]:
    """Limits (g,), (g,) of sums of weighted Poisson counts: value and variance (g,), and the largest weight (g,) of a count.

    Exact for equal weights (Garwood 1936); never below 0, and a limit above 0 where nobody churned. Source: Fay & Feuer 1997.
    """
    tail = (1 - level) / 2
    value = np.maximum(value, 0.0)
    low = np.zeros_like(value)
    some = (value > 0) & (variance > 0)
    low[some] = variance[some] / value[some] * gammaincinv(value[some] ** 2 / variance[some], tail)
    above, wide = value + largest, variance + largest**2
    return low, np.where(above > 0, wide / above * gammaincinv(above**2 / wide, 1 - tail), np.nan)
