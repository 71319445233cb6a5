"""Mean predictions of a Cox fit over populations of covariate patterns, and their covariance by the delta method.

Ŝ_g(t) = Σ_i w_i exp(-r_i H(t)) over the patterns i of group g, with r = exp(x'β) and H the baseline of the pattern's stratum. With
dH = -M'dβ + dW, M the integral of the mean covariates at risk (Therneau & Grambsch 2000, section 10.2):

    dŜ_g = -Σ_i w_i S_i r_i (x_i H - M)' dβ - Σ_i w_i S_i r_i dW,     dβ and dW uncorrelated under the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from survival.estimate.baseline import Baseline
from survival.estimate.risk_sets import Floats, Ints

_CELLS = 2_000_000  # patterns x tenures alive at a time


@dataclass(frozen=True, eq=False)
class Mixture:
    """One group's population: P patterns, their shares weight (P,), and where its curve is known.

    x (P, q) inner covariates, offset (P,), stratum (P,); the curve starts at 1 at `begin` and is not known after `end`.
    """

    weight: Floats
    x: Floats
    offset: Floats
    stratum: Ints
    begin: float
    end: float


class Uncertainty(Protocol):
    """Covariances of (dβ, dW) when the baseline is counted from a tenure on."""

    @property
    def coefficients(self) -> Floats:
        """(q, q) of dβ."""
        ...

    def of_baseline(self, begin: float, tenures: Floats) -> tuple[Floats, Floats]:
        """(T, S, S) of dW between strata, and (T, q, S) of dβ with dW, at tenures (T,)."""
        ...


@dataclass(frozen=True, eq=False)
class Steps:
    """A baseline as step functions of tenure, a stratum at a time; q the number of coefficients."""

    base: Baseline
    q: int

    @property
    def strata(self) -> int:
        """S."""
        return self.base.first_entry.size

    def between(self, values: Floats, stratum: int, begin: float, tenures: Floats) -> Floats:
        """(T, ...) the sum of values (m, ...) of the stratum's event times after `begin` up to each of the tenures (T,)."""
        low, high = np.searchsorted(self.base.stratum, [stratum, stratum + 1])
        time = self.base.time[low:high]
        total = np.concatenate((np.zeros_like(values[:1]), np.cumsum(values[low:high], axis=0)))
        before = total[np.searchsorted(time, begin, side="right")]
        return total[np.searchsorted(time, np.maximum(tenures, begin), side="right")] - before


@dataclass(frozen=True, eq=False)
class ModelVariance:
    """The variance of coefficients given, and the model's of the baseline."""

    steps: Steps
    coefficients: Floats

    def of_baseline(self, begin: float, tenures: Floats) -> tuple[Floats, Floats]:
        """See `Uncertainty`: strata do not share events, and dβ has no part in dW."""
        s = self.steps.strata
        own = np.zeros((tenures.size, s, s))
        for k in range(s):
            own[:, k, k] = self.steps.between(self.steps.base.variance, k, begin, tenures)
        return own, np.zeros((tenures.size, self.steps.q, s))


def means(
    steps: Steps, beta: Floats, uncertainty: Uncertainty, mixtures: Sequence[Mixture], tenures: Floats
) -> tuple[Floats, Floats]:
    """(G, T) mean survival of each mixture at tenures (T,), and the covariance (T, G, G) between mixtures.

    NaN where a curve is not known, and between mixtures that begin at different tenures.
    """
    g, t = len(mixtures), tenures.size
    survival, covariance = np.full((g, t), np.nan), np.full((t, g, g), np.nan)
    for begin in sorted({one.begin for one in mixtures}):
        mine = [k for k in range(g) if mixtures[k].begin == begin]
        parts = [_mean(steps, beta, mixtures[k], tenures) for k in mine]
        slope, own = np.array([p[1] for p in parts]), np.array([p[2] for p in parts])
        base, cross = uncertainty.of_baseline(begin, tenures)
        total = np.einsum("gtp,pq,htq->tgh", slope, uncertainty.coefficients, slope, optimize=True)
        total += np.einsum("gts,tsr,htr->tgh", own, base, own, optimize=True)
        mixed = np.einsum("gtp,tps,hts->tgh", slope, cross, own, optimize=True)
        total += mixed + mixed.transpose(0, 2, 1)
        for i, k in enumerate(mine):
            known = (tenures >= begin) & (tenures <= mixtures[k].end)
            survival[k] = np.where(known, parts[i][0], np.nan)
            total[~known, i, :] = np.nan
            total[~known, :, i] = np.nan
        covariance[:, np.array(mine)[:, None], mine] = total
    return survival, covariance


def _mean(steps: Steps, beta: Floats, group: Mixture, tenures: Floats) -> tuple[Floats, Floats, Floats]:
    """(T,) mean survival, (T, q) its slope in the coefficients, (T, S) its slope in each stratum's cumulative hazard."""
    t, q = tenures.size, beta.size
    mean, slope, own = np.zeros(t), np.zeros((t, q)), np.zeros((t, steps.strata))
    moved = np.zeros(t, bool)
    for k in np.unique(group.stratum):
        rows = np.flatnonzero(group.stratum == k)
        hazard = steps.between(steps.base.hazard, int(k), group.begin, tenures)
        center = steps.between(steps.base.mean_hazard, int(k), group.begin, tenures)
        risk = np.exp(group.x[rows] @ beta + group.offset[rows])
        weight = group.weight[rows]
        loaded = np.column_stack((weight, weight * risk, (weight * risk)[:, None] * group.x[rows]))
        sums = _sums(risk, loaded, hazard)
        mean += sums[:, 0]
        moved |= hazard > 0
        own[:, k] = -sums[:, 1]
        slope -= sums[:, 2:] * hazard[:, None] - sums[:, 1, None] * center
    return np.where(moved, np.minimum(mean, 1.0), 1.0), slope, own  # exactly 1 until somebody leaves


def _sums(risk: Floats, loaded: Floats, hazard: Floats) -> Floats:
    """(T, c) sums over patterns of exp(-risk x hazard) times each column of loaded (P, c), in blocks of bounded memory."""
    sums = np.zeros((hazard.size, loaded.shape[1]))
    wide = max(1, min(hazard.size, _CELLS // max(1, min(risk.size, 20_000))))
    deep = max(1, _CELLS // wide)
    for low in range(0, hazard.size, wide):
        part = slice(low, low + wide)
        for first in range(0, risk.size, deep):
            rows = slice(first, first + deep)
            sums[part] += np.exp(-np.outer(hazard[part], risk[rows])) @ loaded[rows]
    return sums
