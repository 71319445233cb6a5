"""Fewer customers, the same hazard ratios: samples of those who stayed, of the risk sets, and case-cohort designs.

Churners carry the information; of the many who stay a part is enough when it is weighted (or the likelihood is that of the
sample). Sources: Lin & Ying (1993) and Binder (1992) for weights and their robust variance; Thomas (1977) and
Goldstein & Langholz (1992) for sampled risk sets; Prentice (1986), Self & Prentice (1988) and Therneau & Li (1999) for
case-cohort fits, as R's survival::cch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survival.errors import ArgumentError
from survival.estimate.cox import cox
from survival.estimate.cox_fit import CoxFit
from survival.estimate.cox_options import one_of
from survival.estimate.newton import invert
from survival.estimate.risk_sets import Floats, Ints
from survival.flows.columns import column_names, complete, read_columns
from survival.flows.frames import episode_arrays

METHODS = ("prentice", "self-prentice", "lin-ying")
_AWAY = -100.0  # an offset that takes a row out of the risk sets and leaves its event


def sample_customers(
    frame: Any, customer: str, event: str, *, fraction: float, seed: int = 0, weight: str = "sampling_weight"
) -> pd.DataFrame:
    """All customers with an event, and each other with probability `fraction`: their rows, with a column of weights.

    weight: 1 for customers with an event, 1 / fraction for the others. Fit with cox(..., weights=weight,
    customer=customer, robust=True): the estimates are those of all customers but for chance, which the robust standard
    errors include. Who is drawn depends on seed and the customer's own id alone, so that parts of a large base
    can be sampled one after the other, each customer whole. Raises ArgumentError, StructureError.
    """
    _check_fraction(fraction)
    names = column_names(frame)
    if weight in names:
        raise ArgumentError(f"there is a column '{weight}' already: name another with weight=")
    table = read_columns(frame, names)
    codes, who = pd.factorize(complete(table, customer, "customer"))
    happened = np.zeros(len(who), bool)
    happened[codes[table[event].to_numpy(bool)]] = True
    kept = happened | (_uniform(who, seed) < fraction)
    values = np.where(happened, 1.0, 1.0 / fraction)[codes]
    return table.assign(**{weight: values})[kept[codes]].reset_index(drop=True)


def sample_risk_sets(
    frame: Any,
    stop: str = "stop",
    event: str = "event",
    start: str | None = None,
    *,
    controls: int,
    customer: str | None = None,
    strata: str | Sequence[str] = (),
    seed: int = 0,
    risk_set: str = "risk_set",
) -> pd.DataFrame:
    """Each event with `controls` customers drawn from those at risk then: a nested case-control sample.

    Rows are those of the frame that hold at the event, with `event` 1 for who leaves and 0 for the controls, and the number of
    the event in the column `risk_set`. Fit with cox(sample, formula, stop=stop, event=event, strata=risk_set,
    ties="breslow"), without start and customer: a control may be drawn at several events, and its model standard errors are
    right. Fewer controls where fewer are at risk (of the same `strata`). Raises ArgumentError, StructureError.
    """
    if isinstance(controls, bool) or not isinstance(controls, int) or controls < 1:
        raise ArgumentError(f"controls must be a whole number of at least 1; got {controls!r}")
    names = column_names(frame)
    if risk_set in names:
        raise ArgumentError(f"there is a column '{risk_set}' already: name another with risk_set=")
    table = read_columns(frame, names)
    held = episode_arrays(table, stop, event, start, customer=customer)
    by = [strata] if isinstance(strata, str) else list(strata)
    group = table.groupby(by, sort=True, observed=True).ngroup().to_numpy() if by else np.zeros(len(table), np.intp)
    cases = np.flatnonzero(held.event)
    drawn = _draw_at_risk(held.start, held.stop, held.customer, group, cases, controls, np.random.default_rng(seed))
    number = np.concatenate((np.arange(cases.size), np.repeat(np.arange(cases.size), controls)))
    rows = np.concatenate((cases, drawn.ravel()))
    kept = rows >= 0
    order = np.argsort(number[kept], kind="stable")
    rows, number = rows[kept][order], number[kept][order]
    sample = table.iloc[rows].reset_index(drop=True)
    is_case = np.concatenate((np.ones(cases.size, bool), np.zeros(drawn.size, bool)))[kept][order]
    return sample.assign(**{stop: held.stop[cases][number], event: is_case, risk_set: number})


def case_cohort(
    frame: Any,
    formula: str,
    *,
    subcohort: str,
    cohort_size: int,
    customer: str,
    method: str = "prentice",
    stop: str = "stop",
    event: str = "event",
    start: str | None = None,
    level: float = 0.95,
) -> CoxFit:
    """A Cox fit of a random subcohort and all churners outside it, as R's survival::cch.

    subcohort: the column that is true in the rows of customers of the subcohort; cohort_size: how many customers it was
    drawn from. method: prentice (churners outside the subcohort are at risk only when they leave), self-prentice (they are at
    risk never), lin-ying (those who stay are weighted up). The standard errors include the sampling of the subcohort.
    Raises ArgumentError for rows outside the subcohort without an event, and as `cox`.
    """
    one_of("method", method, METHODS)
    table = read_columns(frame, column_names(frame)).copy()
    held = episode_arrays(table, stop, event, start, customer=customer)
    inside = table[subcohort].to_numpy(bool)
    churned = np.zeros(held.customers, bool)
    churned[held.customer[held.event]] = True
    strange = ~inside & ~churned[held.customer]
    if strange.any():
        who = table[customer][strange].iloc[0]
        raise ArgumentError(
            f"customer {who} is outside the subcohort and did not leave: such rows are no part of the design"
        )
    sampled = np.zeros(held.customers, bool)
    sampled[held.customer[inside]] = True
    if not int(sampled.sum()) <= cohort_size or int((churned | sampled).sum()) > cohort_size:
        raise ArgumentError(f"cohort_size={cohort_size:,} is less than the {held.customers:,} customers of the frame")
    table = table.assign(
        **{stop: held.stop, event: held.event, "cch_start": held.start, "cch_offset": 0.0, "cch_inside": inside}
    )
    options: dict[str, Any] = {"stop": stop, "event": event, "start": "cch_start", "level": level, "robust": False}
    if method == "lin-ying":
        stayers = int((sampled & ~churned).sum())
        share = stayers / (cohort_size - int(churned.sum()))
        table["cch_offset"] = np.where(churned[held.customer], 0.0, -np.log(share))
        return _lin_ying(table, formula, customer, ~churned, held.customer, share, options)
    share = int(sampled.sum()) / cohort_size
    return _prentice(table, formula, customer, method, share, options)


def _lin_ying(
    table: pd.DataFrame, formula: str, customer: str, stayed: NDArray[np.bool_], code: Ints, share: float, options: Any
) -> CoxFit:
    fit = cox(table, formula, customer=customer, offset="cch_offset", **options)
    dfbeta = _by_customer(fit, code)[stayed]
    away = dfbeta - dfbeta.mean(axis=0)
    return _with_variance(fit, fit.model_variance + (1 - share) * away.T @ away)


def _prentice(
    table: pd.DataFrame, formula: str, customer: str, method: str, share: float, options: dict[str, Any]
) -> CoxFit:
    """Churners outside the subcohort enter just before they leave; the variance is that of Self & Prentice's fit."""
    stop, event = options["stop"], options["event"]
    cases = table[table[event]]
    times = np.unique(table[[stop, "cch_start"]].to_numpy())
    before = times[np.searchsorted(times, cases[stop].to_numpy()) - 1]
    moment = cases.assign(cch_start=(before + cases[stop]) / 2, cch_offset=_AWAY)
    cohort = table[table["cch_inside"]]
    both = pd.concat([moment, cohort.assign(**{event: False})], ignore_index=True)
    apart = cox(both, formula, offset="cch_offset", **options)
    code = pd.factorize(cohort[customer])[0]
    dfbeta = apart.residuals("dfbeta")[list(apart.names)].to_numpy()[len(moment) :]
    summed = np.column_stack([np.bincount(code, column) for column in dfbeta.T])
    variance = apart.model_variance + (1 - share) * summed.T @ summed
    if method == "self-prentice":
        return _with_variance(apart, variance)
    late = moment[~moment["cch_inside"]].assign(cch_offset=0.0)
    own = cox(pd.concat([cohort, late], ignore_index=True), formula, **options)
    return _with_variance(own, variance)


def _by_customer(fit: CoxFit, code: Ints) -> Floats:
    values = fit.residuals("dfbeta", by="episode")[list(fit.names)].to_numpy()
    return np.column_stack([np.bincount(code, column) for column in values.T])


def _with_variance(fit: CoxFit, variance: Floats) -> CoxFit:
    """The fit with the variance of its design in place of the model's."""
    beta, _, centre, scale = fit.inner
    inner = variance * np.outer(scale, scale)
    wald = float(beta @ invert(inner) @ beta)
    return replace(
        fit, variance=variance, model_variance=variance.copy(), inner=(beta, inner, centre, scale), wald_statistic=wald
    )


def _check_fraction(fraction: float) -> None:
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 < fraction <= 1:
        raise ArgumentError(f"fraction must be above 0, up to 1; got {fraction!r}")


def _uniform(who: Any, seed: int) -> Floats:
    """(n,) numbers in [0, 1) from the ids and the seed alone."""
    key = f"{seed:016d}"[:16]
    hashed = pd.util.hash_array(np.array([str(name) for name in who], object), hash_key=key, categorize=False)
    return hashed.astype(np.float64) / 2.0**64


def _draw_at_risk(
    start: Floats, stop: Floats, who: Ints, group: Ints, cases: Ints, controls: int, rng: np.random.Generator
) -> Ints:
    """(e, controls) rows drawn without replacement from those at risk at each event, -1 where there are no more.

    Candidates are those of the group who stop at or after the event, a range of the rows in order of (group, stop); those
    not yet at risk, and those drawn already, are drawn again.
    """
    order = np.lexsort((stop, group))
    sorted_group, sorted_stop = group[order], stop[order]
    ends = np.searchsorted(sorted_group, group[cases], side="right")
    begins = np.searchsorted(sorted_group, group[cases], side="left")
    key = np.lexsort((stop[cases], group[cases]))
    first = np.empty(cases.size, np.intp)
    times = np.unique(stop)
    rank = np.searchsorted(times, sorted_stop) + sorted_group * (times.size + 1)
    first[key] = np.searchsorted(rank, (np.searchsorted(times, stop[cases]) + group[cases] * (times.size + 1))[key])
    drawn = np.full((cases.size, controls), -1, np.intp)
    need = np.ones((cases.size, controls), bool)
    for _ in range(400):
        rows = np.flatnonzero(need.any(axis=1))
        if not rows.size:
            break
        size = (ends - np.maximum(first, begins))[rows]
        pick = order[
            np.maximum(first, begins)[rows, None] + (rng.random((rows.size, controls)) * size[:, None]).astype(np.intp)
        ]
        pick = np.where(need[rows], pick, drawn[rows])
        there = (start[pick] < stop[cases[rows]][:, None]) & (who[pick] != who[cases[rows]][:, None])
        customer = np.where(there, who[pick], -1 - np.arange(controls))
        place = np.argsort(customer, axis=1, kind="stable")
        ordered = np.take_along_axis(customer, place, axis=1)
        twice = np.zeros_like(there)
        np.put_along_axis(twice, place[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
        good = there & ~twice
        drawn[rows] = np.where(good, pick, -1)
        need[rows] = ~good
    return drawn
