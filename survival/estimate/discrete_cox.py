"""Discrete-time proportional hazards: a complementary log-log model with a baseline for each period.

For churn that happens at billing dates: who leaves within a cycle is counted at its end, so that ties are no accident to
correct for. Its coefficients are log hazard ratios of the continuous-time model that lies behind the periods, and can be
read beside a Cox fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from survival.errors import ArgumentError
from survival.estimate import estimability
from survival.estimate.complementary_log_log import DiscretePoint, DiscreteTime
from survival.estimate.cox import prepare
from survival.estimate.cox_data import CoxData
from survival.estimate.cox_fit import coefficient_table
from survival.estimate.cox_objective import profile_table
from survival.estimate.cox_options import Options, checked_level, checked_options, names_among
from survival.estimate.design import formula_variables
from survival.estimate.hypotheses import Hypothesis, wald_test
from survival.estimate.newton import Maximum, invert, maximise
from survival.estimate.objectives import Partial, start_of
from survival.estimate.profile import Profiler
from survival.estimate.risk_sets import Floats
from survival.flows.columns import read_columns
from survival.flows.frames import episode_arrays
from survival.flows.table import Flows


@dataclass(frozen=True, eq=False, repr=False)
class DiscreteFit:
    """A discrete-time proportional-hazards fit of p columns.

    coefficients (p,) log hazard ratios; variance (p, p) what inference uses, model_variance (p, p) the inverse observed
    information, the periods solved out. log_likelihood is the binomial one of all person-periods.
    """

    options: Options
    period: float | None
    names: tuple[str, ...]
    terms: dict[str, tuple[int, ...]]
    coefficients: Floats
    variance: Floats
    model_variance: Floats
    log_likelihood_null: float
    log_likelihood: float
    iterations: int
    customers: int
    events: int
    person_periods: float
    periods: pd.DataFrame
    _data: tuple[CoxData, DiscreteTime, Maximum[Any]] | None = field(repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_data": None}

    def tidy(self) -> pd.DataFrame:
        """The columns of `CoxFit.tidy`."""
        options = self.options
        return coefficient_table(
            self.names, self.coefficients, self.model_variance, self.variance, options.level, options.robust
        )

    def glance(self) -> pd.DataFrame:
        """One row: customers, person_periods, events, periods, log likelihoods, lr_statistic, df, p, aic, iterations."""
        df = len(self.names)
        ratio = 2 * (self.log_likelihood - self.log_likelihood_null)
        row = {
            "customers": self.customers,
            "person_periods": self.person_periods,
            "events": self.events,
            "periods": len(self.periods),
            "log_likelihood_null": self.log_likelihood_null,
            "log_likelihood": self.log_likelihood,
            "lr_statistic": ratio,
            "df": df,
            "p": float(stats.chi2.sf(ratio, df)),
            "aic": 2 * (df + len(self.periods)) - 2 * self.log_likelihood,
            "iterations": self.iterations,
        }
        return pd.DataFrame([row])

    def baseline(self) -> pd.DataFrame:
        """Where every covariate is 0: stratum, tenure (the period's end), at_risk, events, log_hazard, se (of log_hazard),
        hazard (the probability to leave in the period), ci_lower, ci_upper (of hazard). Periods without events have none."""
        return self.periods.copy()

    def hypothesis(self, hypothesis: Any, value: Any = None, robust: bool | None = None) -> Hypothesis:
        """Wald test of linear hypotheses: see `CoxFit.hypothesis`."""
        return wald_test(self, hypothesis, value, robust)

    def profile_intervals(self, covariates: Sequence[str] | None = None, level: float | None = None) -> pd.DataFrame:
        """Profile-likelihood intervals, the periods' baseline profiled too: see `CoxFit.profile_intervals`."""
        names = names_among(covariates, self.names, "is no column of this fit")
        if self._data is None:
            raise ArgumentError("profile_intervals needs the data, which a saved fit does not carry: fit again")
        data, objective, best = self._data
        profile = Profiler(objective, best, np.zeros(len(self.names)), float(self.events))
        columns = [self.names.index(name) for name in names]
        level = self.options.level if level is None else checked_level(level)
        return profile_table(profile, names, columns, level, data.scale)

    def __repr__(self) -> str:
        head = (
            f"Discrete-time proportional hazards of {self.events:,} events in {self.person_periods:,.0f} person-periods of "
            f"{self.customers:,} customers"
        )
        shown = self.tidy()[["covariate", "coef", "hazard_ratio", "ci_lower", "ci_upper", "z", "p"]]
        return f"{head}\n{shown.to_string(index=False, float_format=lambda v: f'{v:.4g}')}"


def discrete_cox(
    frame: Any,
    formula: str,
    *,
    period: float | None = None,
    stop: str = "stop",
    event: str = "event",
    start: str | None = None,
    customer: str | None = None,
    spell: str | None = None,
    cluster: str | None = None,
    strata: str | Sequence[str] = (),
    weights: str | None = None,
    offset: str | None = None,
    robust: bool | None = None,
    level: float = 0.95,
) -> DiscreteFit:
    """Fit P(leave in a period | still there) = 1 - exp(-exp(a_period + x'b)): a complementary log-log model.

    frame: episodes (start, stop], or flows whose times are periods. period: the length of one, in units of tenure (30, for
    billing cycles of 30 days); None, tenure counts periods already. With `period`, who leaves within a period is counted at
    its end, with the covariates of that day; who is cut off within one is not counted in it; who stays has
    the covariates that hold at its end.
    Other arguments as `cox`, and the same errors; the baseline is by period and stratum. Source: Prentice & Gloeckler
    (1978); R's glm(event ~ factor(period) + x, binomial("cloglog")) on one row a person-period, but for the standard
    errors, which are of the observed and not the expected information.
    """
    if isinstance(frame, Flows) and period is not None:
        raise ArgumentError("flows are counted by their own times: round tenure to periods before, or pass the frame")
    options, asked = checked_options(
        formula, stop=stop, event=event, start=start, customer=customer, spell=spell, cluster=cluster, strata=strata,
        weights=weights, offset=offset, ties="breslow", robust=robust, level=level,
    )  # fmt: skip
    if period is not None:
        frame, options = _by_period(frame, options, period)
    data, options = prepare(frame, options, asked)
    objective = DiscreteTime(Partial(data.sets, data.x, data.offset))
    maximum = _maximum(data, objective)
    at = maximum.at
    assert isinstance(at, DiscretePoint)
    model = invert(maximum.information)
    variance = _robust(data, objective, at, model) if options.robust else model
    unit = np.outer(data.scale, data.scale)
    return DiscreteFit(
        options, period, data.names, dict(data.coding.terms), maximum.beta / data.scale, variance / unit, model / unit,
        maximum.null.log_likelihood, at.log_likelihood, maximum.iterations, data.customers,
        int(data.sets.deaths.sum()), _person_periods(data), _periods(data, objective, at, options.level),
        (data, objective, maximum),
    )  # fmt: skip


def _by_period(frame: Any, options: Options, period: float) -> tuple[pd.DataFrame, Options]:
    """The episodes in whole periods, without those that reach the end of none."""
    if isinstance(period, bool) or not isinstance(period, int | float) or not 0 < period < np.inf:
        raise ArgumentError(f"period must be a length of tenure above 0, such as 30; got {period!r}")
    names = [options.stop, options.event, options.start, options.customer, options.spell, options.cluster]
    names += [options.weights, options.offset, *options.strata, *formula_variables(options.formula)]
    table = read_columns(frame, names)
    held = episode_arrays(
        table, options.stop, options.event, options.start, weights=options.weights, customer=options.customer,
        spell=options.spell,
    )  # fmt: skip
    near = 1e-9  # a tenure of 3 x 0.1 is the end of the third period of 0.1
    first = np.floor(held.start / period + near)
    last = np.where(held.event, np.ceil(held.stop / period - near), np.floor(held.stop / period + near))
    rows = last > first
    if not rows.any():
        raise ArgumentError(f"period={period:g} is longer than everybody's time at risk")
    start = options.start or "period_start"
    moved = table.assign(**{start: first, options.stop: last, options.event: held.event})[rows]
    return moved.reset_index(drop=True), replace(options, start=start)


def _maximum(data: CoxData, objective: DiscreteTime) -> Maximum[Any]:
    estimability.refuse_constant(data.low, data.high, data.names)
    null = start_of(objective, data.x.shape[1])
    information = objective.information(null)
    estimability.refuse_unidentified(data.sets, information, data.scale, data.names)

    def refuse(columns: Any) -> None:
        if columns.size:
            estimability.refuse_separated(data.sets, data.x, data.centre, data.scale, data.names, columns)

    inner = ((data.low - data.centre) / data.scale, (data.high - data.centre) / data.scale)
    refuse(estimability.separated_alone(data.sets, data.x, null.likelihood, *inner))
    events = float(data.sets.deaths.sum())
    maximum = maximise(
        objective.evaluate, objective.information, null, information, events=events, separated=objective.never_falls
    )
    if maximum.runaway:
        refuse(np.flatnonzero(estimability.leading(maximum.direction)))
    return maximum


def _robust(data: CoxData, objective: DiscreteTime, at: DiscretePoint, model: Floats) -> Floats:
    assert data.episodes is not None
    assert data.unit is not None
    each = objective.influence(at) * data.episodes.weight[:, None]
    total = np.column_stack([np.bincount(data.unit, column) for column in each.T])
    return np.asarray(model @ (total.T @ total) @ model, np.float64)


def _person_periods(data: CoxData) -> float:
    """Weight at risk, over the periods with events."""
    there = np.cumsum(np.asarray(data.sets.moves.sum(axis=1)).ravel())
    return float(there[data.sets.event_slots].sum())


def _periods(data: CoxData, objective: DiscreteTime, at: DiscretePoint, level: float) -> pd.DataFrame:
    sets, live = data.sets, data.sets.event_slots
    zero = -data.centre / data.scale
    there = np.cumsum(np.asarray(sets.moves.sum(axis=1)).ravel())
    variance = objective.log_hazard_variance(at, zero, objective.information(at))
    with np.errstate(divide="ignore"):
        log_hazard = np.log(at.hazard) - at.likelihood.shift - data.offset_centre + zero @ at.beta
    log_hazard = np.where(at.hazard > 0, log_hazard, np.inf)[live]  # all leave
    se = np.where(np.isfinite(log_hazard), np.sqrt(variance[live]), np.nan)
    half = stats.norm.ppf(0.5 + level / 2) * se
    with np.errstate(over="ignore"):  # far from the data, as the quantity itself
        lower, hazard, upper = (-np.expm1(-np.exp(log_hazard + shift)) for shift in (-half, 0.0, half))
    return pd.DataFrame(
        {
            "stratum": [data.strata[code] for code in sets.slot_stratum[live]],
            "tenure": sets.slot_time[live],
            "at_risk": there[live],
            "events": sets.event_total[live],
            "log_hazard": log_hazard,
            "se": se,
            "hazard": hazard,
            "ci_lower": lower,
            "ci_upper": upper,
        }
    )
