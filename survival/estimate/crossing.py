"""Critical values of simultaneous bands, computed: how far a Brownian bridge strays anywhere between two times."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

Floats = NDArray[np.float64]
_NODES = 80
_NARROWEST = 1e-3  # of a range of a: below it the range is taken as wide, which is on the safe side
_SHORTEST = 0.01  # stretch of τ: a shorter one is taken as long, on the safe side; polynomials do not resolve it
_DEGREE = 60  # of the polynomials for the stationary process, whose eigenfunctions are smooth
_FURTHEST = 7.0  # standard deviations: 1e-11 beyond, at each time


@lru_cache(maxsize=1024)
def hall_wellner_critical(level: float, low: float, high: float) -> float:
    """k with P(|B(a)| <= k for all low <= a <= high) = level; B a Brownian bridge, 0 <= low <= high <= 1."""
    return float(brentq(lambda k: bridge_within(k, low, high) - level, 1e-6, 4.0, xtol=1e-10))


@lru_cache(maxsize=1024)
def equal_precision_critical(level: float, low: float, high: float) -> float:
    """c with P(|B(a)| / √(a (1 - a)) <= c for all low <= a <= high) = level; 0 < low <= high < 1.

    In the time τ = ½ log(a / (1 - a)) the ratio is the stationary Ornstein-Uhlenbeck process with covariance e^-|Δτ|.
    """
    lasts = 0.5 * (np.log(high / (1 - high)) - np.log(low / (1 - low)))
    return float(brentq(lambda c: stationary_within(c, float(lasts)) - level, 1e-2, _FURTHEST, xtol=1e-10))


def bridge_within(k: float, low: float, high: float) -> float:
    """P(|B(a)| <= k for all low <= a <= high) of a Brownian bridge B on [0, 1].

    Over its values x, y at the two ends, where it is normal, times the chance that the path between them stays
    inside, which is Lévy's sum over reflections. Gauss-Legendre over the two ends. Source: Hall & Wellner 1980;
    Chung 1986 has the same integral.
    """
    if low == high:
        return float(2 * ndtr(k / np.sqrt(low * (1 - low))) - 1)
    high = min(1.0, max(high, low + _NARROWEST))
    low = min(low, high - _NARROWEST)
    step = high - low
    if k < 0.2 * np.sqrt(step):  # below 1e-13
        return 0.0
    if low <= 0 and high >= 1:
        n = np.arange(1, 101)
        return float(1 + 2 * np.sum((-1.0) ** n * np.exp(-2 * n**2 * k**2)))
    x, at_x = _ends(k, low, step)
    y, at_y = _ends(k, 1 - high, step)
    inside = _stays(x[:, None], y[None, :], k, step)  # density of the steps from x to y without leaving
    return float((at_x * _pinned(x, low)) @ inside @ (at_y * _pinned(y, 1 - high)) * np.sqrt(2 * np.pi))


def _ends(k: float, pinned: float, step: float) -> tuple[Floats, Floats]:
    """Nodes and weights for the value at an end that lies `pinned` from where the bridge is tied to 0."""
    if pinned <= 0:
        return np.zeros(1), np.ones(1)
    spread = np.sqrt(pinned * (1 - pinned))
    reach = min(k, 9 * spread)
    nodes, weights = _gauss(int(max(_NODES, 6 * reach / min(np.sqrt(step), spread))))
    return reach * nodes, reach * weights


@lru_cache(maxsize=64)
def _gauss(n: int) -> tuple[Floats, Floats]:
    return leggauss(n)


def _pinned(x: Floats, distance: float) -> Floats:
    """Density at x (n,) of a Brownian motion after `distance`; 1 at the tied end itself."""
    if distance <= 0:
        return np.ones_like(x)
    return np.exp(-(x**2) / (2 * distance)) / np.sqrt(2 * np.pi * distance)


def _stays(x: Floats, y: Floats, k: float, step: float) -> Floats:
    """Density of a Brownian motion from x to y in `step` that stays within ±k, by reflections."""
    total = np.zeros(np.broadcast_shapes(x.shape, y.shape))
    most = int(2 * np.sqrt(step) / k) + 2
    for m in range(-most, most + 1):
        total += np.exp(-((y - x + 4 * m * k) ** 2) / (2 * step))
        total -= np.exp(-((y + x - 2 * k + 4 * m * k) ** 2) / (2 * step))
    return np.maximum(total, 0.0) / np.sqrt(2 * np.pi * step)


def stationary_within(c: float, lasts: float) -> float:
    """P(|X(τ)| <= c for 0 <= τ <= lasts), X stationary normal with covariance e^-|Δτ|.

    Σ_j e^(-λ_j·lasts) ⟨1, f_j⟩² over the even eigenfunctions f_j of -f'' + x f' that vanish at ±c, found by Galerkin's
    method on polynomials; all under the standard normal density φ.
    """
    if lasts <= 0:
        return float(2 * ndtr(c) - 1)
    lasts = max(lasts, _SHORTEST)
    nodes, weights = _gauss(2 * _DEGREE)
    x = c * nodes
    density = weights * c * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    values, slopes = _even_polynomials(nodes, c)
    mass, stiffness = values @ (density[:, None] * values.T), slopes @ (density[:, None] * slopes.T)
    # ∫ f' g' φ is the form of -f'' + x f' under φ; Cholesky makes the problem an ordinary symmetric one.
    root = np.linalg.cholesky(mass)
    inverse = np.linalg.inv(root)
    rates, vectors = np.linalg.eigh(inverse @ stiffness @ inverse.T)
    share = vectors.T @ (inverse @ (values @ density))
    return float(np.exp(-rates * lasts) @ share**2)


def _even_polynomials(nodes: Floats, c: float) -> tuple[Floats, Floats]:
    """Even Legendre polynomials on [-c, c] less their value at the ends, and their slopes: (degree/2, nodes)."""
    legendre, slope = [np.ones_like(nodes), nodes], [np.zeros_like(nodes), np.ones_like(nodes)]
    for n in range(1, _DEGREE):
        legendre.append(((2 * n + 1) * nodes * legendre[n] - n * legendre[n - 1]) / (n + 1))
        slope.append(slope[n - 1] + (2 * n + 1) * legendre[n])
    even = range(2, _DEGREE + 1, 2)
    # P_n - P_(n-2) vanishes at the ends and keeps the mass matrix well conditioned.
    values = np.array([(legendre[n] - legendre[n - 2]) / np.sqrt(2 * n - 1) for n in even])
    slopes = np.array([(slope[n] - slope[n - 2]) / np.sqrt(2 * n - 1) / c for n in even])
    return values, slopes
