"""Profile-likelihood intervals: the values of a coefficient that a likelihood-ratio test does not reject.

The profile at b is the maximum over the other coefficients; its slope is the score of b there, so that its end points
are found by Newton's method, kept between what is inside and what is outside. Venzon & Moolgavkar (1988); for Firth's
penalty Heinze & Schemper (2001). The likelihood takes a customer's spells as independent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from survival.errors import ConvergenceError
from survival.estimate.newton import NOISE, Maximum, invert, maximise
from survival.estimate.objectives import CoxPoint, Objective
from survival.estimate.risk_sets import Floats

_CLOSE = 1e-9  # of the drop of the log likelihood
_STEPS = 60
_FAR = 2.0**20  # in standard errors: a side on which the profile has not dropped by here has no end


class Profiler:
    """The profile of `objective` minus Σ ridge/2 beta² around its maximum."""

    def __init__(
        self, objective: Objective, best: Maximum[CoxPoint], ridge: Floats, events: float, noise: float = NOISE
    ) -> None:
        self.objective, self.best, self.ridge, self.events, self.noise = objective, best, ridge, events, noise
        self.top = self._value(best.at)
        self.variance = invert(best.information)

    def interval(self, j: int, level: float) -> tuple[float, float]:
        """End points of coefficient j; infinite on a side where the likelihood never drops far enough."""
        drop = float(stats.chi2.ppf(level, 1)) / 2
        return self._end(j, -1.0, drop), self._end(j, 1.0, drop)

    def p_value(self, j: int) -> float:
        """Of the likelihood-ratio test that coefficient j is 0."""
        gap = self.top - self._value(self._at(j, 0.0, self._along(j, 0.0)))
        return float(stats.chi2.sf(max(2 * gap, 0.0), 1))

    def _value(self, at: CoxPoint) -> float:
        return at.log_likelihood - float((self.ridge / 2 * at.beta) @ at.beta)

    def _along(self, j: int, b: float) -> Floats:
        """Where the other coefficients would be if the likelihood were quadratic."""
        step = (b - self.best.beta[j]) / self.variance[j, j]
        return self.best.beta + step * self.variance[j]

    def _end(self, j: int, side: float, drop: float) -> float:
        middle, unit = float(self.best.beta[j]), float(np.sqrt(self.variance[j, j]))
        inside, outside = middle, side * np.inf
        b = middle + side * np.sqrt(2 * drop) * unit
        start = self._along(j, b)
        for _ in range(_STEPS):
            at = self._at(j, b, start)
            gap = self._value(at) - self.top + drop
            slope = float(at.score[j] - self.ridge[j] * b)
            if abs(gap) <= _CLOSE * drop:
                return b - gap / slope if slope * side < 0 else b
            inside, outside = (b, outside) if gap > 0 else (inside, b)
            if abs(inside - middle) > _FAR * unit:
                return side * np.inf
            new = b - gap / slope if slope * side < 0 else np.nan
            furthest = middle + 2 * (inside - middle) + side * unit if np.isinf(outside) else outside
            if not min(inside, furthest) < new < max(inside, furthest):
                new = furthest if np.isinf(outside) else (inside + outside) / 2
            start, b = at.beta + (new - b) * self._slopes(j), new
        raise ConvergenceError(f"the end of a profile-likelihood interval was not found (coefficient {j + 1})")

    def _slopes(self, j: int) -> Floats:
        return self.variance[j] / self.variance[j, j]

    def _at(self, j: int, b: float, start: Floats) -> CoxPoint:
        """The maximum over the other coefficients when coefficient j is b."""
        others = np.delete(np.arange(start.size), j)
        fixed = _Fixed(self.objective, j, b)
        for begin in (start, self.best.beta):
            first = fixed.evaluate(begin[others])
            if first is not None:
                break
        if first is None:
            raise ConvergenceError(f"the profile likelihood is not finite at {b:.4g} (coefficient {j + 1})")
        if others.size:
            found = maximise(
                fixed.evaluate, fixed.information, first, fixed.information(first), ridge=self.ridge[others],
                events=self.events, max_iterations=1000, noise=self.noise,
            )  # fmt: skip
            first = found.at
        return first.whole


@dataclass(frozen=True, eq=False)
class _Part:
    """A point seen from all coefficients but one."""

    beta: Floats
    log_likelihood: float
    score: Floats
    whole: CoxPoint


class _Fixed:
    """The objective as a function of all coefficients but the j-th, which is b."""

    def __init__(self, objective: Objective, j: int, b: float) -> None:
        self.objective, self.j, self.b = objective, j, b

    def evaluate(self, beta: Floats) -> _Part | None:
        at = self.objective.evaluate(np.insert(beta, self.j, self.b))
        return None if at is None else _Part(beta, at.log_likelihood, np.delete(at.score, self.j), at)

    def information(self, at: _Part) -> Floats:
        whole = self.objective.information(at.whole)
        return np.delete(np.delete(whole, self.j, 0), self.j, 1)
