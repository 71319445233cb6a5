"""How far two yes/no judgements of the same customers agree: Cohen's kappa and Jaccard's index, with intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from survival.errors import ArgumentError
from survival.estimate.intervals import normal_quantile

Floats = NDArray[np.float64]


def agreement(
    both: ArrayLike, first: ArrayLike, second: ArrayLike, neither: ArrayLike, level: float = 0.95
) -> pd.DataFrame:
    """Agreement of m pairs of judgements, each a 2 x 2 table of counts: both say yes, the first only, the second only, neither.

    share_agreeing: of all; jaccard: both / (both + first + second), with a Wilson interval; kappa (Cohen 1960): agreement
    beyond chance, with the Wald interval of Fleiss, Cohen & Everitt (1969). NaN where nothing can be said (nobody; no yes at
    all; judgements that do not vary). Raises ArgumentError for negative counts.
    """
    a, b, c, d = (np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in (both, first, second, neither))
    if any((x < 0).any() for x in (a, b, c, d)):
        raise ArgumentError("agreement: counts of customers cannot be negative")
    z = normal_quantile(level)
    n = a + b + c + d
    with np.errstate(invalid="ignore", divide="ignore"):
        kappa, se = _kappa(a / n, b / n, c / n, d / n, n)
        jaccard, low, high = _wilson(a, a + b + c, z)
        share = (a + d) / n
    return pd.DataFrame(
        {
            "share_agreeing": share, "jaccard": jaccard, "jaccard_lower": low, "jaccard_upper": high, "kappa": kappa,
            "kappa_se": se, "kappa_lower": np.maximum(kappa - z * se, -1.0), "kappa_upper": np.minimum(kappa + z * se, 1.0),
        }
    )  # fmt: skip


def _kappa(a: Floats, b: Floats, c: Floats, d: Floats, n: Floats) -> tuple[Floats, Floats]:
    """Kappa (m,) and its standard error (m,) from the shares of the four cells."""
    row, column = np.array([a + b, c + d]), np.array([a + c, b + d])
    observed, expected = a + d, (row * column).sum(axis=0)
    kappa = (observed - expected) / (1 - expected)
    left = 1 - kappa
    same = sum(p * (1 - (row[i] + column[i]) * left) ** 2 for i, p in enumerate((a, d)))
    other = left**2 * (b * (column[0] + row[1]) ** 2 + c * (column[1] + row[0]) ** 2)
    variance = (same + other - (kappa - expected * left) ** 2) / (n * (1 - expected) ** 2)
    return kappa, np.sqrt(np.clip(variance, 0, None))


def _wilson(yes: Floats, of: Floats, z: float) -> tuple[Floats, Floats, Floats]:
    share = yes / of
    centre = (share + z**2 / (2 * of)) / (1 + z**2 / of)
    half = z / (1 + z**2 / of) * np.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    return share, np.where(share == 0, 0.0, centre - half), np.where(share == 1, 1.0, centre + half)


def gap_quantiles(gaps: pd.DataFrame, shares: tuple[float, ...] = (0.1, 0.25, 0.5, 0.75, 0.9)) -> list[float]:
    """Quantiles of counted whole days (gap, customers): the smallest day by which at least that share is reached."""
    if not len(gaps):
        return [float("nan")] * len(shares)
    days, n = gaps["gap"].to_numpy(float), gaps["customers"].to_numpy(float).cumsum()
    return [float(days[np.searchsorted(n, share * n[-1] - 1e-9)]) for share in shares]
