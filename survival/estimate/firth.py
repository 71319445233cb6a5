"""Firth's penalty: log L + ½ log det(information), which has a finite maximum where the likelihood runs away.

The penalty's gradient needs third moments of each risk set, contracted with the inverse information A. With
h = x'Ax, m the mean and v the weight of each event,

    ½ ∂ log det I / ∂β_j = ½ Σ v (E[x_j h] - m_j E[h] - 2 E[x_j x'] A m + 2 m_j m'Am)

and every sum is one over the rows with the weights that the information and the residuals have: no third-order array.
Sources: Firth (1993); Heinze & Schemper (2001), whose estimates, with their standard errors from the inverse information
and their profile intervals, these are (R's coxphf takes Breslow's ties).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from survival.estimate.objectives import CoxPoint, Partial
from survival.estimate.partial_likelihood import Likelihood, cumulative, exposure
from survival.estimate.risk_sets import Floats, RiskSets


@dataclass(frozen=True, eq=False)
class FirthPoint:
    """The penalised log likelihood at beta (p,), its gradient, and the information (p, p) of the likelihood without penalty."""

    beta: Floats
    log_likelihood: float
    score: Floats
    likelihood: Likelihood
    information: Floats


class Firth:
    """The partial likelihood with Firth's penalty; scale (p,) of the columns, for the determinant in the user's units."""

    def __init__(self, partial: Partial, scale: Floats) -> None:
        self.partial = partial
        self._unit = float(np.log(scale).sum())

    def evaluate(self, beta: Floats) -> FirthPoint | None:
        """At `beta`; None where it, or the determinant, is not finite."""
        point = self.partial.evaluate(beta)
        if point is None:
            return None
        at, information = point.likelihood, self.partial.information(point)
        sign, log_det = np.linalg.slogdet(information)
        if sign <= 0 or not np.isfinite(log_det):
            return None
        inverse = np.asarray(np.linalg.inv(information), np.float64)
        score = at.score + penalty_gradient(self.partial.sets, self.partial.x, at, inverse)
        return FirthPoint(at.beta, at.log_likelihood + log_det / 2 + self._unit, score, at, information)

    def information(self, at: CoxPoint) -> Floats:
        """(p, p) of the likelihood without its penalty."""
        assert isinstance(at, FirthPoint)
        return at.information

    def never_falls(self, direction: Floats) -> bool:
        """Never: that is what the penalty is for."""
        return False


def penalty_gradient(sets: RiskSets, x: Floats, at: Likelihood, inverse: Floats) -> Floats:
    """(p,) gradient of ½ log det information, from the inverse information (p, p)."""
    m, s1, e1 = at.moments, at.sums.s1, at.sums.e1
    weight = at.risk * exposure(sets, cumulative(m.d1, sets))
    means = at.risk[:, None] * exposure(sets, cumulative(m.d2[:, None] * s1 - m.d2c[:, None] * e1, sets))
    if sets.tied.size:
        row, slot = sets.event_row[sets.tied], sets.event_slot[sets.tied]
        mass = sets.event_weight[sets.tied] * at.risk[row]
        np.subtract.at(weight, row, mass * m.d1c[slot])
        tied = m.d2c[slot, None] * s1[slot] - m.d2cc[slot, None] * e1[slot]
        np.subtract.at(means, row, mass[:, None] * tied)
    turned = x @ inverse
    size = np.einsum("ij,ij->i", turned, x)
    first = (size * weight) @ x - size @ means
    second = x.T @ np.einsum("ij,ij->i", turned, means)
    slot, share = sets.tie_slot, sets.tie_share[:, None]
    mean = (s1[slot] - share * e1[slot]) / (at.sums.s0[slot] - sets.tie_share * at.sums.e0[slot])[:, None]
    third = (sets.tie_weight * np.einsum("ij,ij->i", mean @ inverse, mean)) @ mean
    return np.asarray(first - 2 * second + 2 * third, np.float64) / 2
