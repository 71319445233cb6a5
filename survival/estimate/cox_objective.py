"""Which likelihood the options of a Cox fit ask for, and what is drawn from a finished one: profile intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from survival.errors import ArgumentError
from survival.estimate.cox_data import CoxData
from survival.estimate.cox_options import Options
from survival.estimate.exact_ties import ExactTies
from survival.estimate.firth import Firth
from survival.estimate.newton import NOISE, Maximum
from survival.estimate.objectives import CoxPoint, Objective, Partial
from survival.estimate.profile import Profiler
from survival.estimate.risk_sets import Floats

FIRTH_NOISE = 1e-17  # Firth's steps shrink by a factor, not quadratically: they go on for longer


def objective_of(data: CoxData, options: Options) -> Objective:
    """What a fit of these columns and options maximises, in their inner units, without a penalizer's terms."""
    partial = Partial(data.sets, data.x, data.offset)
    if options.ties == "exact":
        return ExactTies(partial)
    return Firth(partial, data.scale) if options.firth else partial


def penalties(data: CoxData, options: Options) -> tuple[Floats, Floats]:
    """ridge (p,) and lasso (p,) of the inner columns, on the scale of the log likelihood."""
    whole = data.penalty * data.rows
    return (1.0 - options.l1_ratio) * whole, options.l1_ratio * whole


def profile_intervals(
    names: Sequence[str], columns: Sequence[int], level: float, data: CoxData, options: Options, beta: Floats
) -> pd.DataFrame:
    """See `CoxFit.profile_intervals`; `columns` of the inner columns, `names` theirs, beta (q,) the inner maximum."""
    if options.penalised and options.l1_ratio:
        raise ArgumentError("profile intervals need a smooth likelihood: not with l1_ratio above 0")
    objective = objective_of(data, options)
    at = objective.evaluate(beta)
    assert at is not None  # the fit was evaluated next to it
    ridge = penalties(data, options)[0]
    information = objective.information(at) + np.diag(ridge)
    best: Maximum[CoxPoint] = Maximum(beta, at, information, at, information, 0, False, np.zeros_like(beta))
    noise = FIRTH_NOISE if options.firth else NOISE
    profile = Profiler(objective, best, ridge, float(data.sets.deaths.sum()), noise)
    return profile_table(profile, names, columns, level, data.scale)


def profile_table(
    profile: Profiler, names: Sequence[str], columns: Sequence[int], level: float, scale: Floats
) -> pd.DataFrame:
    """covariate, coef, hazard_ratio, ci_lower, ci_upper, p, level of these columns; scale (p,) of the inner units."""
    if not 0 < level < 1:
        raise ArgumentError(f"level must be between 0 and 1, such as 0.95; got {level!r}")
    unit = scale[list(columns)]
    ends = np.array([profile.interval(j, level) for j in columns]) / unit[:, None]
    coef = profile.best.beta[list(columns)] / unit
    with np.errstate(over="ignore"):
        return pd.DataFrame(
            {
                "covariate": list(names),
                "coef": coef,
                "hazard_ratio": np.exp(coef),
                "ci_lower": np.exp(ends[:, 0]),
                "ci_upper": np.exp(ends[:, 1]),
                "p": [profile.p_value(j) for j in columns],
                "level": level,
            }
        )
