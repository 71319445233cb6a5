"""The largest of several correlated chi-square statistics: max-combo, with its joint distribution."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtri
from scipy.stats import qmc

Floats = NDArray[np.float64]
_SINGULAR = 1e-10  # of the largest eigenvalue: below it a direction has no variance
_LATITUDES, _LONGITUDES = 240, 480
_POINTS = 14  # 2^14 quasi-random directions in more than three dimensions


def inverse_root(variance: Floats) -> Floats:
    """R (r, k) with R'R the pseudo-inverse of `variance` (k, k); r directions have variance."""
    values, vectors = np.linalg.eigh(variance)
    real = values > _SINGULAR * max(float(values[-1]), 0.0)
    if values[-1] <= 0:
        return np.zeros((0, variance.shape[0]))
    return (vectors[:, real] / np.sqrt(values[real])).T


def statistics(excess: Floats, variance: Floats) -> tuple[Floats, list[int]]:
    """Chi-square of each excess: excess (m, k), variance (m, m, k, k) between them -> (m,), degrees of freedom."""
    roots = [inverse_root(variance[a, a]) for a in range(excess.shape[0])]
    return np.array([((root @ u) ** 2).sum() for root, u in zip(roots, excess)]), [len(root) for root in roots]


def largest_p(largest: float, variance: Floats) -> float:
    """P(the largest of m chi-squares of jointly normal excesses with covariance (m, m, k, k) reaches `largest`).

    The excesses are F y with y standard normal in the r dimensions that the covariance has, the chi-squares y'Q y. In polar
    coordinates y = ρ u each reaches c where ρ² >= c / u'Q u, and ρ² is chi-square with r degrees of freedom whatever the
    direction: the probability is the mean over directions of the tail beyond c / max u'Q u. So small p keep their digits.
    """
    m, k = variance.shape[0], variance.shape[2]
    joint = variance.transpose(0, 2, 1, 3).reshape(m * k, m * k)
    values, vectors = np.linalg.eigh(joint)
    real = values > _SINGULAR * max(float(values[-1]), 0.0)
    rank = int(real.sum())
    if values[-1] <= 0:
        return float("nan")
    factor = (vectors[:, real] * np.sqrt(values[real])).reshape(m, k, rank)
    directions, weights = _directions(rank)
    most = np.zeros(len(directions))
    for part, own in zip(factor, (variance[a, a] for a in range(m))):
        most = np.maximum(most, ((directions @ (inverse_root(own) @ part).T) ** 2).sum(axis=1))
    with np.errstate(divide="ignore"):
        return float(weights @ chdtrc(rank, largest / most))


@lru_cache(maxsize=16)
def _directions(rank: int) -> tuple[Floats, Floats]:
    """Unit vectors (n, rank) and weights (n,) that add up to 1: grids up to three dimensions, then quasi-random."""
    if rank == 1:
        return np.ones((1, 1)), np.ones(1)
    angle = 2 * np.pi * (np.arange(_LONGITUDES) + 0.5) / _LONGITUDES
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    if rank == 2:
        return circle, np.full(_LONGITUDES, 1 / _LONGITUDES)
    if rank == 3:
        height, weight = leggauss(_LATITUDES)
        ring = np.sqrt(1 - height**2)[:, None, None] * circle
        points = np.concatenate([ring, np.broadcast_to(height[:, None, None], (*ring.shape[:2], 1))], axis=2)
        return points.reshape(-1, 3), np.repeat(weight / 2 / _LONGITUDES, _LONGITUDES)
    normal = ndtri(qmc.Sobol(rank, scramble=True, rng=0).random_base2(_POINTS))
    return normal / np.linalg.norm(normal, axis=1, keepdims=True), np.full(2**_POINTS, 0.5**_POINTS)
