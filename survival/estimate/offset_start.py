"""Where Newton begins when offsets are far apart.

At beta = 0 an offset of -30 along a flag leaves those who have it a ten-trillionth of the risk: sums there have no digit of them, and
the likelihood is flat. The maximum is where the coefficients make up for the offset; so what they can make up for is the start, and
which columns the data can tell is asked of the data without the offset, since the risk sets are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from survival.errors import CollinearityError
from survival.estimate.cox_data import CoxData
from survival.estimate.cox_objective import objective_of
from survival.estimate.cox_options import Options
from survival.estimate.estimability import NO_VARIATION
from survival.estimate.objectives import CoxPoint, Objective, start_of
from survival.estimate.risk_sets import Floats

_FAR = 15.0  # largest difference of log risk, within a stratum, at which the sums at beta = 0 hold all digits that are needed


def far_apart(data: CoxData) -> float:
    """The largest difference of two offsets in a stratum, if it is far; else 0."""
    if data.offset is None or float(np.ptp(data.offset)) <= _FAR:
        return 0.0
    if data.stratum is None:
        return float(np.ptp(data.offset))
    low, high = np.full(len(data.strata), np.inf), np.full(len(data.strata), -np.inf)
    np.minimum.at(low, data.stratum, data.offset)
    np.maximum.at(high, data.stratum, data.offset)
    widest = float((high - low).max())
    return widest if widest > _FAR else 0.0


def levelled(data: CoxData) -> CoxData:
    """The same data with offsets far apart around what the coefficients cannot make up for, so that no risk vanishes at that start."""
    if not far_apart(data):
        return data
    assert data.offset is not None
    rest = float(data.offset.mean() - data.x.mean(axis=0) @ _slopes(data, data.offset))
    level = min(rest, float(data.offset.max()))  # nor at beta = 0
    return replace(data, offset=data.offset - level, offset_centre=data.offset_centre + level)


def without_offset(data: CoxData, options: Options) -> tuple[CoxPoint, Floats]:
    """The likelihood at beta = 0 without the offset, and its information (p, p)."""
    objective = objective_of(replace(data, offset=None), options)
    null = start_of(objective, data.x.shape[1])
    return null, objective.information(null)


def nearer_start(data: CoxData, objective: Objective, null: CoxPoint) -> CoxPoint:
    """The likelihood where the coefficients make up for the offset, by least squares within strata; `null` if that is no better."""
    assert data.offset is not None
    near = objective.evaluate(-_slopes(data, data.offset))
    return null if near is None or not near.log_likelihood > null.log_likelihood else near


def refuse_overwhelmed(data: CoxData, information: Floats, apart: float, names: Sequence[str]) -> None:
    """CollinearityError for columns of which the likelihood at the start, with information (p, p), has no digit left.

    apart: what `far_apart` says; 0: nothing to refuse."""
    if not apart:
        return
    none = np.diag(information) <= NO_VARIATION * data.sets.event_total.sum()
    if not none.any():
        return
    which = tuple(name for name, bad in zip(names, none) if bad)
    raise CollinearityError(
        f"{', '.join(map(repr, which))}: the offsets of customers who are compared differ by up to {apart:.4g}, which is a risk "
        f"{np.exp(min(apart, 700.0)):.1g} times as large; beside that the data say nothing of it. Look for extreme offsets, or put "
        "what the offset stands for into strata",
        covariates=which,
        finding="no-variation",
    )


def _slopes(data: CoxData, offset: Floats) -> Floats:
    """(p,) least squares slopes of the offset (n,) on the inner columns, each stratum with a level of its own."""
    x = data.x
    product, with_offset = x.T @ x, x.T @ offset
    code = np.zeros(len(x), np.intp) if data.stratum is None else data.stratum
    strata = len(data.strata)
    count = np.maximum(np.bincount(code, minlength=strata), 1.0)
    sums = np.column_stack([np.bincount(code, column, strata) for column in x.T])
    level = np.bincount(code, offset, strata) / count
    product -= sums.T @ (sums / count[:, None])
    return np.asarray(np.linalg.lstsq(product, with_offset - sums.T @ level, rcond=1e-12)[0], np.float64)
