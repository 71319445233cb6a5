"""Maximum of log L(beta) - Σ lasso |beta| - Σ ridge/2 beta²: Newton's quadratic model, by coordinate descent.

The model of each step is p x p, so its solution costs nothing beside one pass over the data; coordinate descent finds
which coefficients are not zero, and a linear solve makes these exact. Sources: Friedman, Hastie & Tibshirani (2010);
Simon et al. (2011); Lee, Sun & Saunders (2014) for the convergence of proximal Newton steps.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from survival.errors import ConvergenceError
from survival.estimate.newton import Maximum
from survival.estimate.objectives import CoxPoint, Objective
from survival.estimate.risk_sets import Floats

_KKT = 1e-10  # of the gradient, in units of the square root of the information: standard errors of the coefficients
_SWEEPS = 200
_STEPS = 100
_HALVINGS = 30


def maximise_penalised(
    objective: Objective, start: CoxPoint, null: CoxPoint, null_information: Floats, ridge: Floats, lasso: Floats
) -> Maximum[CoxPoint]:
    """The maximum, from `start` (a warm start, or null); ridge, lasso (p,) on the scale of the log likelihood.

    Raises ConvergenceError when the conditions of optimality (Karush-Kuhn-Tucker) are not met after 100 steps.
    """
    at = start
    for iteration in range(_STEPS):
        information = null_information if at is null else objective.information(at)
        unit = np.sqrt(np.maximum(np.diag(information) + ridge, 1e-300))
        gap = kkt_gap(at.beta, at.score, ridge, lasso)
        if float((gap / unit).max(initial=0.0)) <= _KKT:
            held = information + np.diag(ridge)
            return Maximum(at.beta, at, held, null, null_information, iteration, False, np.zeros_like(at.beta))
        target = _quadratic(at.beta, at.score, information, ridge, lasso)
        new = _climb(objective, at, target - at.beta, ridge, lasso)
        if new is None:
            break
        at = new
    worst = float((gap / unit).max(initial=0.0))
    if worst <= 1e3 * _KKT:  # rounding decides
        held = information + np.diag(ridge)
        return Maximum(at.beta, at, held, null, null_information, iteration, False, np.zeros_like(at.beta))
    raise ConvergenceError(
        f"the penalised Cox model did not converge: after {iteration + 1} steps the conditions of its maximum are off by "
        f"{worst:.1g} standard errors. Look for covariates with extreme values, or pass a larger penalizer"
    )


def kkt_gap(beta: Floats, score: Floats, ridge: Floats, lasso: Floats) -> Floats:
    """(p,) how far each coefficient is from optimality: |score - ridge beta - lasso sign(beta)|, or, at zero, what
    |score| exceeds lasso by."""
    gradient = score - ridge * beta
    moved = np.abs(gradient - lasso * np.sign(beta))
    return np.where(beta != 0, moved, np.maximum(np.abs(gradient) - lasso, 0.0))


def penalty(beta: Floats, ridge: Floats, lasso: Floats) -> float:
    """What is taken from the log likelihood."""
    return float(lasso @ np.abs(beta) + (ridge / 2 * beta) @ beta)


def _climb(objective: Objective, at: CoxPoint, step: Floats, ridge: Floats, lasso: Floats) -> CoxPoint | None:
    """The point after the longest of step, step/2, … that does not go down."""
    floor = at.log_likelihood - penalty(at.beta, ridge, lasso)
    floor -= 1e-13 * abs(floor)
    for halving in range(_HALVINGS):
        new = objective.evaluate(at.beta + step / 2**halving)
        if new is not None and new.log_likelihood - penalty(new.beta, ridge, lasso) >= floor:
            return new
    return None


def _quadratic(beta: Floats, score: Floats, information: Floats, ridge: Floats, lasso: Floats) -> Floats:
    """Maximum of the quadratic model: score'(b - beta) - ½ (b - beta)' information (b - beta) - penalties of b."""
    b = beta.copy()
    curve = np.maximum(np.diag(information) + ridge, 1e-300)
    linear = score + information @ beta
    for _ in range(_SWEEPS):
        before = b.copy()
        for j in range(b.size):
            rest = linear[j] - information[j] @ b + information[j, j] * b[j]
            b[j] = np.sign(rest) * max(abs(rest) - lasso[j], 0.0) / curve[j]
        if np.abs((b - before) * np.sqrt(curve)).max(initial=0.0) <= 1e-13:
            break
    return _exact(b, linear, information, ridge, lasso)


def _exact(b: Floats, linear: Floats, information: Floats, ridge: Floats, lasso: Floats) -> Floats:
    """The same maximum by a linear solve over the coefficients that are not zero, when that keeps their signs."""
    active = np.flatnonzero(b)
    if not active.size:
        return b
    matrix = information[np.ix_(active, active)] + np.diag(ridge[active])
    sign = np.sign(b[active])
    try:
        solved = linalg.cho_solve(linalg.cho_factor(matrix), linear[active] - lasso[active] * sign)
    except linalg.LinAlgError:
        return b
    if (np.sign(solved) != sign).any():
        return b
    result = np.zeros_like(b)
    result[active] = solved
    return result
