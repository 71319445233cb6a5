"""Elastic net over a path of penalizers, and its choice by cross-validation of customers.

The scale of the penalizer is that of `cox`: n x penalizer x (l1_ratio Σ|b| + (1 - l1_ratio) / 2 Σb²), which is glmnet's
lambda x n, for coefficients b of columns of standard deviation 1 (with n - 1; glmnet divides by n). Cross-validation is by
the partial likelihood that the left-out customers add, log L(all) - log L(others) at the coefficients of the others
(Verweij & van Houwelingen 1993; glmnet's grouped = TRUE): risk sets of one fold alone would be small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from survival.errors import ArgumentError
from survival.estimate import estimability
from survival.estimate.cox import prepare
from survival.estimate.cox_data import CoxData
from survival.estimate.cox_options import checked_options
from survival.estimate.elastic_net import maximise_penalised
from survival.estimate.objectives import CoxPoint, Partial, start_of
from survival.estimate.risk_sets import Floats, Ints, episode_risk_sets


@dataclass(frozen=True, eq=False)
class CoxPath:
    """The fits along m penalizers (m,), the largest first: coefficients (m, p) in the user's units, log_likelihood (m,)."""

    names: tuple[str, ...]
    l1_ratio: float
    penalizers: Floats
    coefficients: Floats
    log_likelihood: Floats
    log_likelihood_null: float

    def tidy(self) -> pd.DataFrame:
        """One row a penalizer and covariate: penalizer, covariate, coef, hazard_ratio."""
        coef = self.coefficients.ravel()
        return pd.DataFrame(
            {
                "penalizer": np.repeat(self.penalizers, len(self.names)),
                "covariate": list(self.names) * self.penalizers.size,
                "coef": coef,
                "hazard_ratio": np.exp(coef),
            }
        )

    def glance(self) -> pd.DataFrame:
        """One row a penalizer: penalizer, nonzero, log_likelihood."""
        nonzero = (self.coefficients != 0).sum(axis=1)
        return pd.DataFrame({"penalizer": self.penalizers, "nonzero": nonzero, "log_likelihood": self.log_likelihood})


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """The path, and for each penalizer the partial-likelihood deviance (m,) per event left out and its standard error (m,).

    best has the smallest deviance; one_se is the largest penalizer within one standard error of it. Pass either to `cox`.
    """

    path: CoxPath
    deviance: Floats
    standard_error: Floats
    best: float
    one_se: float

    def tidy(self) -> pd.DataFrame:
        """One row a penalizer: penalizer, deviance, se, nonzero."""
        shown = {"deviance": self.deviance, "se": self.standard_error, "nonzero": self.path.glance()["nonzero"]}
        return pd.DataFrame({"penalizer": self.path.penalizers, **shown})


def cox_path(
    frame: Any,
    formula: str,
    *,
    l1_ratio: float = 1.0,
    penalizers: Sequence[float] | None = None,
    steps: int = 50,
    smallest: float = 1e-3,
    factors: Sequence[float] | Mapping[str, float] | float = 1.0,
    **options: Any,
) -> CoxPath:
    """Elastic-net Cox fits from the penalizer at which every coefficient is 0 down to `smallest` times it.

    penalizers: the values, in place of `steps` on a logarithmic grid; each fit starts from the one before. factors: what
    each column's penalizer is multiplied by, 0 for one that is always in the model. Other options as `cox`, frame or flows.
    Raises as `cox`.
    """
    data = _data(frame, formula, l1_ratio, factors, options)
    grid = _grid(data, l1_ratio, penalizers, steps, smallest)
    return _path(data, _partial(data, None), l1_ratio, grid)


def cox_cross_validate(
    frame: Any,
    formula: str,
    *,
    l1_ratio: float = 1.0,
    penalizers: Sequence[float] | None = None,
    steps: int = 50,
    smallest: float = 1e-3,
    factors: Sequence[float] | Mapping[str, float] | float = 1.0,
    folds: int = 10,
    seed: int = 0,
    **options: Any,
) -> CrossValidation:
    """The path of `cox_path` with each penalizer's deviance on customers left out.

    folds: parts into which the customers (or clusters) fall at random by `seed`, all rows of one together. A frame with
    `customer` (or `cluster`); without, each row is its own. Raises ArgumentError for flows, which have no customers.
    """
    data = _data(frame, formula, l1_ratio, factors, options)
    if data.unit is None or data.episodes is None:
        raise ArgumentError(
            "cox_cross_validate splits customers, and flows are sums over them: pass the frame of episodes"
        )
    units = int(data.unit.max()) + 1
    if isinstance(folds, bool) or not isinstance(folds, int) or not 2 <= folds <= units:
        raise ArgumentError(f"folds must be a whole number from 2 to the number of customers, {units:,}; got {folds!r}")
    grid = _grid(data, l1_ratio, penalizers, steps, smallest)
    whole = _partial(data, None)
    path = _path(data, whole, l1_ratio, grid)
    fold = np.random.default_rng(seed).permutation(np.arange(units) % folds)[data.unit]
    deviance, events = np.empty((folds, grid.size)), np.empty(folds)
    for k in range(folds):
        deviance[k], events[k] = _left_out(data, whole, np.flatnonzero(fold != k), l1_ratio, grid)
    mean = deviance.sum(axis=0) / events.sum()
    share = events / events.sum()
    each = deviance / events[:, None]
    error = np.sqrt(share @ (each - mean) ** 2 / (folds - 1))
    least = int(np.argmin(mean))
    one_se = int(np.flatnonzero(mean <= mean[least] + error[least])[0])
    return CrossValidation(path, mean, error, float(grid[least]), float(grid[one_se]))


def _data(frame: Any, formula: str, l1_ratio: float, factors: Any, options: dict[str, Any]) -> CoxData:
    for name in ("penalizer", "firth", "not_estimable"):
        if name in options:
            raise ArgumentError(f"{name} is no option of a path of penalizers")
    if options.get("ties") == "exact":
        raise ArgumentError("a path of penalizers needs ties='efron' or 'breslow'")
    if not l1_ratio > 0:
        raise ArgumentError(f"l1_ratio of a path must be above 0, up to 1 (lasso); got {l1_ratio!r}")
    if np.ndim(factors) == 0 and factors == 0:
        raise ArgumentError("factors are 0 for every column: there is nothing to penalise")
    checked, robust = checked_options(formula, penalizer=factors, l1_ratio=l1_ratio, **options)
    data, _ = prepare(frame, checked, robust)
    estimability.refuse_constant(data.low, data.high, data.names)
    return data


def _partial(data: CoxData, rows: Ints | None) -> Partial:
    """The likelihood of all rows, or of some."""
    if rows is None:
        return Partial(data.sets, data.x, data.offset)
    held = data.episodes
    assert held is not None
    stratum = None if data.stratum is None else data.stratum[rows]
    sets = episode_risk_sets(
        held.start[rows], held.stop[rows], held.event[rows], held.weight[rows], stratum, len(data.strata),
        efron=data.sets.tied.size > 0,
    )  # fmt: skip
    return Partial(sets, data.x[rows], None if data.offset is None else data.offset[rows])


def _grid(data: CoxData, l1_ratio: float, penalizers: Any, steps: int, smallest: float) -> Floats:
    if penalizers is not None:
        given = np.atleast_1d(np.asarray(penalizers, np.float64))
        if given.ndim != 1 or not given.size or not (given > 0).all() or not np.isfinite(given).all():
            raise ArgumentError(f"penalizers must be numbers above 0; got {penalizers!r}")
        return np.sort(given)[::-1]
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
        raise ArgumentError(f"steps must be a whole number of at least 2; got {steps!r}")
    if not 0 < smallest < 1:
        raise ArgumentError(f"smallest must be between 0 and 1; got {smallest!r}")
    partial = _partial(data, None)
    drawn = data.penalty > 0
    if not drawn.any():
        raise ArgumentError("factors are 0 for every column: there is nothing to penalise")
    null = start_of(partial, drawn.size)
    nothing = np.where(drawn, 1e12 * data.rows, 0.0)  # only the columns that are always in the model
    start = maximise_penalised(partial, null, null, partial.information(null), np.zeros(drawn.size), nothing).at
    top = float((np.abs(start.score[drawn]) / data.penalty[drawn]).max()) / (data.rows * l1_ratio)
    return top * np.geomspace(1.0, smallest, steps)


def _points(partial: Partial, whole: Floats, l1_ratio: float, grid: Floats) -> list[CoxPoint]:
    """The maximum at each penalizer; whole (p,) rows x factor of each column."""
    null = start_of(partial, whole.size)
    information = partial.information(null)
    points: list[CoxPoint] = []
    for value in grid:
        lasso, ridge = value * l1_ratio * whole, value * (1.0 - l1_ratio) * whole
        start = points[-1] if points else null
        points.append(maximise_penalised(partial, start, null, information, ridge, lasso).at)
    return points


def _path(data: CoxData, partial: Partial, l1_ratio: float, grid: Floats) -> CoxPath:
    points = _points(partial, data.penalty * data.rows, l1_ratio, grid)
    coefficients = np.array([point.beta for point in points]) / data.scale
    values = np.array([point.log_likelihood for point in points])
    null = start_of(partial, data.x.shape[1]).log_likelihood
    return CoxPath(data.names, float(l1_ratio), grid, coefficients, values, null)


def _left_out(data: CoxData, whole: Partial, rows: Ints, l1_ratio: float, grid: Floats) -> tuple[Floats, float]:
    """-2 (log L of all - log L of `rows`) at the fits of `rows`, for each penalizer, and the weight of the events left out."""
    part = _partial(data, rows)
    estimability.refuse_no_events(part.sets)
    points = _points(part, data.penalty * rows.size, l1_ratio, grid)
    deviance = np.empty(grid.size)
    for i, point in enumerate(points):
        everyone = whole.evaluate(point.beta)
        deviance[i] = -2 * (everyone.log_likelihood - point.log_likelihood) if everyone is not None else np.inf
    left = float(whole.sets.event_total.sum() - part.sets.event_total.sum())
    if not left > 0:
        raise ArgumentError("a fold of customers has no events: take fewer folds")
    return deviance, left
