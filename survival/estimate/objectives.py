"""What a Cox fit maximises, behind one face: evaluate at beta, and the information there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from survival.errors import ArgumentError
from survival.estimate import estimability
from survival.estimate.newton import Point
from survival.estimate.partial_likelihood import Likelihood, evaluate, information, sum_over_events
from survival.estimate.risk_sets import Floats, RiskSets


class CoxPoint(Point, Protocol):
    """A point whose `likelihood` is the partial likelihood at the same beta: for baseline and residuals."""

    @property
    def likelihood(self) -> Likelihood:
        """Of Efron's or Breslow's form."""


class Objective(Protocol):
    """A log likelihood of p coefficients."""

    def evaluate(self, beta: Floats) -> CoxPoint | None:
        """At `beta`; None where it is not finite."""

    def information(self, at: CoxPoint) -> Floats:
        """(p, p) minus the second derivatives (of Firth's: of the likelihood without its penalty)."""

    def never_falls(self, direction: Floats) -> bool:
        """Whether the likelihood has no maximum because it never falls along `direction` (p,)."""


@dataclass(frozen=True, eq=False)
class PartialPoint:
    """The partial likelihood itself."""

    likelihood: Likelihood

    @property
    def beta(self) -> Floats:
        """(p,)."""
        return self.likelihood.beta

    @property
    def log_likelihood(self) -> float:
        """At beta."""
        return self.likelihood.log_likelihood

    @property
    def score(self) -> Floats:
        """(p,)."""
        return self.likelihood.score


class Partial:
    """The partial likelihood with Efron's or Breslow's ties, as `sets` say; x (n, p), offset (n,) or None."""

    def __init__(self, sets: RiskSets, x: Floats, offset: Floats | None) -> None:
        self.sets, self.x, self.offset = sets, x, offset
        self._total = sum_over_events(sets, x)

    def evaluate(self, beta: Floats) -> PartialPoint | None:
        """At `beta`."""
        at = evaluate(self.sets, self.x, self._total, beta, self.offset)
        return None if at is None else PartialPoint(at)

    def information(self, at: CoxPoint) -> Floats:
        """(p, p)."""
        return information(self.sets, self.x, at.likelihood)

    def never_falls(self, direction: Floats) -> bool:
        """See `Objective`."""
        return estimability.is_recession(self.sets, self.x, direction)


def start_of(objective: Objective, p: int) -> CoxPoint:
    """The point at beta = 0. Raises ArgumentError when even there the sums are not finite."""
    null = objective.evaluate(np.zeros(p))
    if null is None:
        raise ArgumentError(
            "the covariates or offsets are too large for arithmetic, or relative risks differ by billions among customers who "
            "enter late: divide them by their unit (thousands, millions), and look for extreme offsets"
        )
    return null
