"""The likelihood of a discrete-time proportional-hazards model: P(leave in period k | still there) = 1 - exp(-exp(a_k + x'b)).

Nobody's person-periods are written out: who stays through periods [a, b) adds -exp(x'b) Σ λ_k, λ = exp(a), so that the sums
over those at risk are the running sums of the Cox kernel, and only the events need a term each. The a_k are solved for at
each b, one equation a period, so that what is maximised is the profile over them: its score is that of b, its information
the Schur complement. Sources: Prentice & Gloeckler (1978); Jenkins (1995). The information is the observed one; R's
glm(binomial("cloglog")) reports the expected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from survival.estimate.estimability import tells_apart
from survival.estimate.newton import invert
from survival.estimate.objectives import CoxPoint, Partial
from survival.estimate.partial_likelihood import Likelihood, cumulative, exposure, weighted_gram
from survival.estimate.risk_sets import Floats, sums_by

_STEPS = 200
_LOST = 1e-10  # of the risk of all, that of those who stay: what is left of it after subtraction is rounding


@dataclass(frozen=True, eq=False)
class DiscretePoint:
    """At beta (p,): the profile log likelihood, its gradient, hazard (K,) the λ_k of each slot (0 where there is no event or
    all leave), and `likelihood` the sums over those at risk."""

    beta: Floats
    log_likelihood: float
    score: Floats
    hazard: Floats
    likelihood: Likelihood


@dataclass(frozen=True, eq=False)
class Curvature:
    """Second derivatives at a point: own (K,) of each a_k, mean (K, p) the cross terms divided by these, information (p, p)."""

    own: Floats
    mean: Floats
    information: Floats


class DiscreteTime:
    """`partial` must have Breslow's sets, whose event times are the periods."""

    def __init__(self, partial: Partial) -> None:
        self.partial = partial
        sets = partial.sets
        there = np.cumsum(np.asarray(sets.moves.sum(axis=1)).ravel())
        self._free = (sets.deaths > 0) & (there - sets.event_total > 1e-9 * there)  # else all leave: nothing to explain

    def evaluate(self, beta: Floats) -> DiscretePoint | None:
        """At `beta`; None where it is not finite, or relative risks are so far apart that sums lose those who stay."""
        point = self.partial.evaluate(beta)
        if point is None:
            return None
        at, sets = point.likelihood, self.partial.sets
        risk, slot, weight = at.risk[sets.event_row], sets.event_slot, sets.event_weight
        hazard = self._hazard(at)
        if hazard is None:
            return None
        mean = hazard[slot] * risk
        live = self._free[slot]
        if not (mean[live] > 0).all():
            return None
        value = float(weight[live] @ _log_expm1(mean[live]) - hazard @ at.sums.s0)
        pull = np.where(live, weight * _slope(np.where(live, mean, 1.0)), 0.0)
        score = pull @ self.partial.x[sets.event_row] - hazard @ at.sums.s1
        return DiscretePoint(at.beta, value, score, hazard, at) if np.isfinite(value) else None

    def information(self, at: CoxPoint) -> Floats:
        """(p, p) of the profile over the periods."""
        assert isinstance(at, DiscretePoint)
        return self.curvature(at).information

    def never_falls(self, direction: Floats) -> bool:
        """Whether in each period those who leave have the largest x'direction."""
        return tells_apart(self.partial.sets, self.partial.x, direction)

    def curvature(self, point: DiscretePoint) -> Curvature:
        """Second derivatives at a point."""
        sets, x, at = self.partial.sets, self.partial.x, point.likelihood
        bend = self._bend(point)
        row, slot = sets.event_row, sets.event_slot
        own = point.hazard * at.sums.s0 - sums_by(slot, bend, sets.slots)
        cross = point.hazard[:, None] * at.sums.s1
        np.subtract.at(cross, slot, bend[:, None] * x[row])
        weight = at.risk * exposure(sets, cumulative(point.hazard, sets))
        np.subtract.at(weight, row, bend)
        live = point.hazard > 0
        mean = np.where(live[:, None], cross / np.where(live, own, 1.0)[:, None], 0.0)
        total = weighted_gram(x, weight) - mean.T @ (own[:, None] * mean)
        return Curvature(np.where(live, own, np.inf), mean, (total + total.T) / 2)

    def influence(self, point: DiscretePoint) -> Floats:
        """(n, p) each row's term of the score of beta, per unit of weight, with the periods' own solved out; of episodes."""
        sets, x, at = self.partial.sets, self.partial.x, point.likelihood
        mean = self.curvature(point).mean
        total, held = cumulative(point.hazard, sets), cumulative(point.hazard[:, None] * mean, sets)
        begin, end = sets.bounds()
        result = -at.risk[:, None] * (x * (total[end] - total[begin])[:, None] - (held[end] - held[begin]))
        row, slot = sets.event_row, sets.event_slot
        expected = point.hazard[slot] * at.risk[row]
        live = self._free[slot]
        pull = np.where(live, _slope(np.where(live, expected, 1.0)), 0.0)
        np.add.at(result, row, pull[:, None] * (x[row] - mean[slot]))
        return result

    def log_hazard_variance(self, point: DiscretePoint, away: Floats, information: Floats) -> Floats:
        """(K,) variance of a_k + away'b, away (p,)."""
        curve = self.curvature(point)
        gap = curve.mean - away
        return 1.0 / curve.own + np.einsum("kp,pq,kq->k", gap, invert(information), gap)

    def _bend(self, point: DiscretePoint) -> Floats:
        sets = self.partial.sets
        mean = point.hazard[sets.event_slot] * point.likelihood.risk[sets.event_row]
        live = self._free[sets.event_slot]
        return np.where(live, sets.event_weight * _curve(np.where(live, mean, 1.0)), 0.0)

    def _hazard(self, at: Likelihood) -> Floats | None:
        """(K,) λ_k at which each period's expected events are its events: Newton in log λ, kept in bounds."""
        sets, free = self.partial.sets, self._free
        slot, weight, risk = sets.event_slot, sets.event_weight, at.risk[sets.event_row]
        everyone, leaving = at.sums.s0, sums_by(slot, weight * risk, sets.slots)
        staying = everyone - leaving
        hazard = np.zeros(sets.slots)
        if (staying[free] <= _LOST * everyone[free]).any():
            return None
        live = free[slot]
        slot, weight, risk = slot[live], weight[live], risk[live]
        low = np.log(sets.event_total[free] / everyone[free])  # λ S0 >= events
        high = np.maximum(low, np.log(sets.event_total[free] / staying[free])) + 1e-9
        place = np.cumsum(free) - 1
        mine, log_hazard = place[slot], low.copy()
        for _ in range(_STEPS):
            mean = np.exp(log_hazard)[mine] * risk
            gap = sums_by(mine, weight * _slope(mean), low.size) - np.exp(log_hazard) * everyone[free]
            slope = sums_by(mine, weight * _curve(mean), low.size) - np.exp(log_hazard) * everyone[free]
            low, high = np.where(gap > 0, log_hazard, low), np.where(gap < 0, log_hazard, high)
            new = log_hazard - gap / slope
            new = np.where((new >= low) & (new <= high), new, (low + high) / 2)
            if (np.abs(new - log_hazard) <= 1e-14 * np.maximum(1.0, np.abs(new))).all():
                break
            log_hazard = new
        hazard[free] = np.exp(log_hazard)
        return hazard


def _log_expm1(mean: Floats) -> Floats:
    """log(exp(m) - 1)."""
    return np.asarray(mean + np.log(-np.expm1(-mean)), np.float64)


def _slope(mean: Floats) -> Floats:
    """m / (1 - exp(-m)): derivative of log(exp(m) - 1) by log m."""
    safe = np.maximum(mean, 1e-300)
    return safe / -np.expm1(-safe)


def _curve(mean: Floats) -> Floats:
    """Its derivative by log m."""
    left = -np.expm1(-mean)
    small = mean < 1e-3  # (1 - e^-m - m e^-m) / (1 - e^-m)² m loses its digits there
    series = mean / 2 + mean**2 / 6
    with np.errstate(invalid="ignore", divide="ignore"):
        exact = mean * (left - mean * np.exp(-mean)) / left**2
    return np.where(small, series, exact)
