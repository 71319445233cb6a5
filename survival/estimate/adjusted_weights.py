"""Balancing weights: customers of each group weighted so that its covariates are distributed as those of the reference.

The weights of inverse probability (Robins, Hernán & Brumback 2000; survminer's `marginal`): a multinomial logistic model of who
is in which group, fitted to counts by covariate pattern.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from survival.errors import EstimationError
from survival.estimate.risk_sets import Floats

_STEPS = 60
_CONVERGED = 1e-12  # of the log likelihood, relative
_NEVER = 1e-6  # a probability below which nobody of a group is to be expected


@dataclass(frozen=True, eq=False)
class Balance:
    """weight (G, P) of one customer of each group by pattern, mean 1 within a group; effective (G,) sample sizes (Kish 1965)."""

    weight: Floats
    effective: Floats


def balancing_weights(x: Floats, counts: Floats, reference: Floats | None, labels: list[str]) -> Balance:
    """Weights P(reference | x) / P(group | x) of customers, from a model of group on x.

    x (P, c) the coded covariates of the patterns; counts (G, P) the customers of each group; reference (P,) those of another
    population, or None for all groups together. Raises EstimationError where a group has next to nobody of a kind that the
    reference has.
    """
    rows = counts if reference is None else np.vstack((counts, reference))
    design = _independent(np.column_stack((np.ones(len(x)), _scaled(x))), rows.sum(axis=0))
    chance = _multinomial(design, rows)
    groups = counts.shape[0]
    top = np.ones(len(x)) if reference is None else chance[groups]
    wanted = rows.sum(axis=0) > 0 if reference is None else reference > 0
    _refuse_never(chance[:groups][:, wanted] / top[wanted], labels)
    weight = top / np.maximum(chance[:groups], np.finfo(float).tiny)
    weight /= (weight * counts).sum(axis=1, keepdims=True) / counts.sum(axis=1, keepdims=True)
    effective = (weight * counts).sum(axis=1) ** 2 / (weight**2 * counts).sum(axis=1)
    return Balance(np.where(counts > 0, weight, 0.0), effective)


def _refuse_never(chance: Floats, labels: list[str]) -> None:
    worst = chance.min(axis=1, initial=1.0)
    bad = [label for label, low in zip(labels, worst) if low < _NEVER]
    if bad:
        raise EstimationError(
            f"balancing weights do not exist: next to nobody of {', '.join(bad)} has covariates that others have, so no weight "
            "makes them alike. Leave out the covariate that separates them, merge its levels, or take method='conditional', "
            "which fills the gap by the model",
            finding="no-overlap",
        )


def _scaled(x: Floats) -> Floats:
    spread = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def _independent(design: Floats, weight: Floats) -> Floats:
    """The columns that no earlier ones reproduce, among patterns that somebody has."""
    kept: list[int] = []
    there = design[weight > 0]
    basis = np.empty((there.shape[0], 0))
    for j in range(design.shape[1]):
        column = there[:, j] - basis @ (basis.T @ there[:, j])
        column -= basis @ (basis.T @ column)
        size = float(np.linalg.norm(column))
        if size > 1e-9 * max(1.0, float(np.linalg.norm(there[:, j]))):
            basis = np.column_stack((basis, column / size))
            kept.append(j)
    return design[:, kept]


def _multinomial(design: Floats, counts: Floats) -> Floats:
    """(G, P) fitted probabilities by Newton's method, the first group being the reference; the step is halved where it fails."""
    groups, c = counts.shape[0], design.shape[1]
    total = counts.sum(axis=0)
    beta = np.zeros((groups - 1, c))
    chance, value = _chance(design, beta, counts)
    for _ in range(_STEPS):
        score = ((counts - total * chance)[1:] @ design).ravel()
        information = np.empty((groups - 1, c, groups - 1, c))
        for k in range(groups - 1):
            for m in range(k + 1):
                mass = total * chance[k + 1] * ((k == m) - chance[m + 1])
                information[k, :, m, :] = information[m, :, k, :] = (design * mass[:, None]).T @ design
        size = (groups - 1) * c
        step = np.linalg.lstsq(information.reshape(size, size), score, rcond=None)[0].reshape(beta.shape)
        for _ in range(30):
            new_chance, new_value = _chance(design, beta + step, counts)
            if new_value >= value - _CONVERGED * abs(value):
                break
            step = step / 2
        beta, chance, gain, value = beta + step, new_chance, new_value - value, new_value
        if abs(gain) <= _CONVERGED * abs(value) and np.abs(step).max(initial=0.0) < 1e-8:
            return chance
    return chance  # probabilities that run to 0 are refused by name


def _chance(design: Floats, beta: Floats, counts: Floats) -> tuple[Floats, float]:
    linear = np.vstack((np.zeros(len(design)), beta @ design.T))
    linear -= linear.max(axis=0)
    log_total = np.log(np.exp(linear).sum(axis=0))
    return np.exp(linear - log_total), float((counts * (linear - log_total)).sum())
