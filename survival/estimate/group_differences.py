"""How far apart groups of customers are in one variable: standardised mean differences, and the tests of a Table 1.

All from counts by value and group, so that a million customers cost no more than their different values. Standardised
differences do not grow with the sample, as test statistics do; see `characteristics` for which to show.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Floats = NDArray[np.float64]

_CHANCE = 0.05
_ZERO = 1e-12  # of a variance of shares, which are at most 1: rounding only
_EXACT_BELOW = 50  # R's wilcox.test: exact for smaller groups without ties
_EXPECTED = 5.0  # counts from which Pearson's statistic is taken to be chi-squared
_COCHRAN = (1.0, 0.8)  # else no expected count below 1, and this share of them at least _EXPECTED (Cochran 1954)

WILCOXON, KRUSKAL = "Wilcoxon rank sum", "Kruskal-Wallis"
CHI_SQUARED, FISHER, TOO_FEW = "Pearson chi-squared", "Fisher exact", "too few for a test"


def number_smd(mean_a: float, sd_a: float, mean_b: float, sd_b: float) -> float:
    """|difference of means| / sqrt(mean of the two variances) (Cohen 1988; Austin 2009); infinite where nothing varies."""
    difference, spread = abs(mean_a - mean_b), float(np.sqrt((sd_a**2 + sd_b**2) / 2))
    if not np.isfinite(difference) or not np.isfinite(spread):
        return float("nan")
    if spread == 0.0:
        return 0.0 if difference == 0.0 else float("inf")
    return difference / spread


def level_smd(shares_a: Floats, shares_b: Floats) -> float:
    """The distance of Yang & Dalton (2012) between the shares (k,) of the same k levels in two groups.

    sqrt(d' S^- d) with S the mean of the two multinomial covariance matrices; for two levels |p_a - p_b| over the root of
    the mean of p(1 - p). With all k levels and the pseudo-inverse it is what leaving out any one level gives. Infinite
    where the groups differ in a direction in which neither varies (each has only levels that the other lacks).
    """
    d = shares_a - shares_b
    within = [np.diag(p) - np.outer(p, p) for p in (shares_a, shares_b)]
    values, vectors = np.linalg.eigh((within[0] + within[1]) / 2)
    along = vectors.T @ d
    varies = values > _ZERO
    if (np.abs(along[~varies]) > np.sqrt(_ZERO)).any():
        return float("inf")
    return float(np.sqrt(np.sum(np.square(along[varies]) / values[varies])))


def largest(pairs: Floats) -> tuple[float, tuple[int, int] | None]:
    """The largest of the distances (G, G) between any two groups, and which two; NaN and None where none is known."""
    best, which = float("nan"), None
    for a, b in combinations(range(len(pairs)), 2):
        if not np.isnan(pairs[a, b]) and (which is None or pairs[a, b] > best):
            best, which = float(pairs[a, b]), (a, b)
    return best, which


def by_chance(sizes: Floats, df: int) -> float:
    """What the largest distance between any two of these groups (G,) stays below in 95 of 100 samples if none differ.

    n_a n_b / (n_a + n_b) times the squared distance is then chi-squared with `df` degrees of freedom (levels - 1; numbers: 1) in large
    samples; the chances of all pairs are added (Bonferroni), so it is rather too large than too small. NaN below two groups.
    """
    pairs = np.array([1 / a + 1 / b for a, b in combinations(sizes.tolist(), 2)])
    if not pairs.size or df < 1:
        return float("nan")

    def excess(distance: float) -> float:
        return float(stats.chi2.sf(distance**2 / pairs, df).sum()) - _CHANCE

    upper = float(np.sqrt(stats.chi2.isf(_CHANCE / pairs.size, df) * pairs.max()))
    return float(optimize.brentq(excess, 0.0, upper * 1.001, xtol=1e-10)) if pairs.size > 1 else upper


def rank_test_of_counts(counts: Floats) -> tuple[str, float, float]:
    """Test, statistic and p of one distribution in all groups; counts (U, G) by value, ascending, and group.

    Two groups: Wilcoxon's W of the first as R's `wilcox.test` has it, normal with correction for ties and continuity, exact below
    50 in each group without ties. More: Kruskal-Wallis with correction for ties, as `kruskal.test`.
    """
    counts = counts[:, counts.sum(axis=0) > 0]
    ties, sizes = counts.sum(axis=1), counts.sum(axis=0)
    n = float(ties.sum())
    if counts.shape[1] < 2 or np.count_nonzero(ties) < 2:
        return TOO_FEW, float("nan"), float("nan")
    ranks = np.cumsum(ties) - ties + (ties + 1) / 2
    sums = ranks @ counts
    tied = float(np.sum(ties * (ties**2 - 1)))
    if counts.shape[1] == 2:
        return (WILCOXON, *_wilcoxon(counts, float(sums[0]), sizes, tied))
    h = 12 / (n * (n + 1)) * float(np.sum(np.square(sums / sizes - (n + 1) / 2) * sizes)) / (1 - tied / (n**3 - n))
    return KRUSKAL, h, float(stats.chi2.sf(h, counts.shape[1] - 1))


def _wilcoxon(counts: Floats, rank_sum: float, sizes: Floats, tied: float) -> tuple[float, float]:
    a, b = float(sizes[0]), float(sizes[1])
    w = rank_sum - a * (a + 1) / 2
    if tied == 0 and max(a, b) < _EXACT_BELOW:
        first, second = (np.flatnonzero(counts[:, j]) for j in (0, 1))
        return w, float(stats.mannwhitneyu(first, second, method="exact").pvalue)
    variance = a * b / 12 * (a + b + 1 - tied / ((a + b) * (a + b - 1)))
    z = max(abs(w - a * b / 2) - 0.5, 0.0) / np.sqrt(variance)
    return w, float(min(1.0, 2 * stats.norm.sf(z)))


def level_test_of_counts(counts: Floats) -> tuple[str, float, float]:
    """Test, statistic and p of the same shares in all groups; counts (k, G) by level and group.

    Pearson's chi-squared without Yates' correction where every expected count is 5 or more; else Fisher's exact test of a 2 x 2
    table; else chi-squared where Cochran's rule allows it, and no test where it does not.
    """
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    if min(counts.shape) < 2:
        return TOO_FEW, float("nan"), float("nan")
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    if expected.min() < _EXPECTED and counts.shape == (2, 2):
        return FISHER, float("nan"), float(stats.fisher_exact(counts.astype(np.int64)).pvalue)
    least, share = _COCHRAN
    if expected.min() < _EXPECTED and (expected.min() < least or (expected >= _EXPECTED).mean() < share):
        return TOO_FEW, float("nan"), float("nan")
    statistic = float(np.sum(np.square(counts - expected) / expected))
    return CHI_SQUARED, statistic, float(stats.chi2.sf(statistic, (counts.shape[0] - 1) * (counts.shape[1] - 1)))
