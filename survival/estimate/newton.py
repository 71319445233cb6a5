"""Newton-Raphson with step halving for a concave log likelihood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from scipy import linalg

from survival.errors import ConvergenceError
from survival.estimate.risk_sets import Floats

LIKELIHOOD_TOLERANCE = 1e-9  # relative change of the log likelihood, as R's coxph.control
_DECREMENT = 1e-18  # score' information^-1 score per event; one last step from here is exact to rounding
NOISE = 1e-9  # a decrement this small that no longer falls is rounding
_HALVINGS = 60  # far from the maximum, where an offset has left no curvature, a step may be 1e10 too long
_PROPOSALS = 3  # first steps that may be proposed
_CLOSE = 1e-8  # decrement per event below which Newton's own step is as good as any
_SLOW = 0.05  # Newton's decrement falls quadratically; when it only falls by a factor, beta runs away


class Point(Protocol):
    """A log likelihood at beta (p,), and its gradient."""

    @property
    def beta(self) -> Floats:
        """(p,)."""

    @property
    def log_likelihood(self) -> float:
        """At beta."""

    @property
    def score(self) -> Floats:
        """(p,) gradient."""


P = TypeVar("P", bound=Point)


@dataclass(frozen=True, eq=False)
class Maximum(Generic[P]):
    """Where Newton stopped: `at` the likelihood at the last evaluated beta, `beta` one free step further.

    information (p, p) includes the ridge; null is the likelihood at beta = 0, null_information its information.
    runaway: the likelihood is flat while beta still moves along `direction` (p,): to be proven a separation.
    """

    beta: Floats
    at: P
    information: Floats
    null: P
    null_information: Floats
    iterations: int
    runaway: bool
    direction: Floats


def maximise(
    evaluate: Callable[[Floats], P | None],
    information: Callable[[P], Floats],
    null: P,
    null_information: Floats,
    ridge: float | Floats = 0.0,
    separated: Callable[[Floats], bool] = lambda direction: False,
    events: float = 1.0,
    max_iterations: int = 100,
    noise: float = NOISE,
    propose: Callable[[Floats, Floats, Floats], Floats | None] | None = None,
    enough: float = _DECREMENT,
    settled: Callable[[Floats], bool] = lambda step: True,
) -> Maximum[P]:
    """Maximise log_likelihood(beta) - Σ ridge/2 beta² from `null`, for most models beta = 0.

    ridge: a number, or (p,). events: how many there are, the unit of the score's size.
    propose: (beta, gradient, information) -> a better step than Newton's, or None; it is taken for the first steps where the
    likelihood does not fall. enough: score' information^-1 score per event from which the last step is free, if the information
    is `settled`: what the step (p,) would change of it is too little to matter.
    Stops when the log likelihood changes by less than 1e-9, relatively, and the scaled score is small. While
    beta moves on a flat likelihood, `separated` is asked whether the step (p,) is a direction in which the
    likelihood never falls. Raises ConvergenceError when it does not get there.
    """
    at, info = null, null_information + ridge * np.eye(null.beta.size)
    previous, change, slow = np.inf, np.inf, 0
    last = enough * max(events, 1.0)
    for iteration in range(max_iterations + 1):
        gradient = at.score - ridge * at.beta
        step = _solve(info, gradient)
        decrement = float(gradient @ step)
        flat = change <= LIKELIHOOD_TOLERANCE
        if not decrement >= 0:
            break  # the information is no longer positive definite: rounding has eaten it
        if decrement <= _DECREMENT * max(events, 1.0) or (decrement <= last and settled(step)):
            return Maximum(at.beta + step, at, info, null, null_information, iteration, False, step)
        if flat and decrement <= noise and decrement > 0.25 * previous:
            runaway = separated(step) or separated(-step)  # a step too far out comes back
            return Maximum(at.beta, at, info, null, null_information, iteration, runaway, step)
        slow = slow + 1 if decrement > _SLOW * previous else 0
        suspect = slow >= 2 if flat else slow > 0 and slow % 4 == 0
        proposal = None
        if propose is not None and iteration < _PROPOSALS and decrement > _CLOSE * events:
            proposal = propose(at.beta, gradient, info)
        new = None if proposal is None else _climb(evaluate, at, proposal, ridge, halvings=1)
        if new is None:
            new = None if suspect and separated(step) else _climb(evaluate, at, step, ridge)
        if new is None or iteration == max_iterations:
            # Nothing on the way is better: rounding decides, or the likelihood rises for ever.
            runaway = decrement > NOISE and separated(step)
            if runaway or decrement <= NOISE:
                return Maximum(at.beta, at, info, null, null_information, iteration, runaway, step)
            break
        change = abs(new.log_likelihood - at.log_likelihood) / max(abs(null.log_likelihood), 1e-300)
        previous, at = decrement, new
        info = information(at) + ridge * np.eye(at.beta.size)
    if separated(at.beta):
        return Maximum(at.beta, at, info, null, null_information, iteration, True, at.beta)
    if change == 0:  # only steps of no length can be evaluated
        raise ConvergenceError(
            "the Cox model did not converge: towards its maximum relative risks differ by more than sums over risk sets can hold. "
            "Look for extreme offsets and covariates, above all of customers who enter late"
        )
    raise ConvergenceError(
        f"the Cox model did not converge: after {iteration} iterations the log likelihood still changes by "
        f"{change:.1g}, relatively. Look for covariates with extreme values, or pass a penalizer"
    )


def _climb(
    evaluate: Callable[[Floats], P | None], at: P, step: Floats, ridge: float | Floats, halvings: int = _HALVINGS
) -> P | None:
    """The likelihood after the longest of step, step/2, step/4, … that does not go down."""

    def value(point: P) -> float:
        return point.log_likelihood - float((ridge / 2 * point.beta) @ point.beta)

    floor = value(at) - 1e-12 * abs(value(at))
    for halving in range(halvings):
        new = evaluate(at.beta + step / 2**halving)
        if new is not None and value(new) >= floor:
            return new
    return None


def _solve(information: Floats, gradient: Floats) -> Floats:
    """information^-1 gradient, equilibrated; least squares when it is singular to rounding."""
    scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
    try:
        factor = linalg.cho_factor(information / np.outer(scale, scale))
        return linalg.cho_solve(factor, gradient / scale) / scale
    except linalg.LinAlgError:
        return np.linalg.lstsq(information / np.outer(scale, scale), gradient / scale, rcond=1e-12)[0] / scale


def invert(information: Floats) -> Floats:
    """Inverse of a symmetric positive definite matrix, equilibrated."""
    scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
    inverse = linalg.pinvh(information / np.outer(scale, scale), rtol=1e-14) / np.outer(scale, scale)
    return (inverse + inverse.T) / 2
