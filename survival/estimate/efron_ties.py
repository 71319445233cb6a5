"""Efron's sums over the d events of one time, in a number of terms that does not grow with d.

With c = l/d for l = 0…d-1, every sum that Efron's correction needs is of a smooth function of c: log, inverse and inverse
square of S0 - c E0, times powers of c. Where d is large the l are cut into panels whose lengths double with the distance from
l = d, next to which the function may have a pole (at c = S0/E0 >= 1), and each panel is replaced by the few points and
weights that sum every polynomial of degree < 2 x POINTS over its integers exactly: Gauss's rule for the discrete Chebyshev
polynomials (Szegő 1939, section 2.8). The pole is at least a panel's length away, so that the error falls as (3 + sqrt 8)^(-2 x
POINTS), to below rounding. All weights are positive: nothing cancels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

ONE_BY_ONE = 64  # up to so many tied events each is a term
POINTS = 12
_NEAR = 16  # the last l, next to the pole, are terms of their own


def efron_terms(deaths: Ints) -> tuple[Ints, Floats, Floats]:
    """For the numbers of tied events (m,): which of the m a term is of (L,), its c (L,), how many of the l it stands for (L,).

    Terms of one time add up to its number of events.
    """
    many = deaths > ONE_BY_ONE
    near = np.where(many, _NEAR, deaths)
    which = np.repeat(np.arange(deaths.size), near)
    number = np.arange(which.size) - np.repeat(np.cumsum(near) - near, near)
    last = (deaths[which] - 1 - number) / deaths[which]
    if not many.any():
        return which, last, np.ones(which.size)
    parts = [(which, last, np.ones(which.size))]
    begin, rows = _NEAR, np.flatnonzero(many)
    while rows.size:  # as often as the largest number of events can be halved
        size = np.minimum(begin, deaths[rows] - begin)
        sizes, kind = np.unique(size, return_inverse=True)
        place, weight = _rule(sizes)
        away = begin + 1 + place[kind]  # from l = d
        row = np.repeat(rows, POINTS)
        parts.append((row, 1.0 - away.ravel() / deaths[row], weight[kind].ravel()))
        begin *= 2
        rows = rows[deaths[rows] > begin]
    which, share, count = (np.concatenate(arrays) for arrays in zip(*parts))
    kept = count > 0
    return which[kept], share[kept], count[kept]


def _rule(sizes: Ints) -> tuple[Floats, Floats]:
    """Points (s, POINTS) and weights (s, POINTS) of Gauss's rule for the sum over 0…M-1, for each M in sizes (s,)."""
    m = sizes[:, None].astype(np.float64)
    k = np.arange(1, POINTS)
    beside = np.sqrt(np.maximum(k**2 * (m**2 - k**2), 0.0) / (4.0 * (4.0 * k**2 - 1.0)))
    matrix = np.zeros((sizes.size, POINTS, POINTS))
    matrix[:, k, k - 1] = matrix[:, k - 1, k] = beside
    points, vectors = np.linalg.eigh(matrix)
    weights = vectors[:, 0, :] ** 2
    weights[weights < 1e-28] = 0.0  # of a panel with fewer integers than points
    return points + (m - 1.0) / 2.0, weights * m
