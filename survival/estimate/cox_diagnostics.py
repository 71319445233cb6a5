"""Frames of residuals and of the test of proportional hazards, from the kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from survival.errors import ArgumentError
from survival.estimate import residuals as kernels
from survival.estimate.cox_data import CoxData
from survival.estimate.flow_residuals import flow_residuals, refuse_tenure_effects
from survival.estimate.partial_likelihood import Likelihood, information
from survival.estimate.proportional_hazards import score_test, smooth, transformed_times
from survival.estimate.risk_sets import Floats, Ints

KINDS = ("martingale", "deviance", "score", "dfbeta", "schoenfeld", "scaled_schoenfeld")


def proportional_hazards(
    names: Sequence[str], estimated: Sequence[int], data: CoxData, at: Likelihood, transform: str
) -> pd.DataFrame:
    """covariate, statistic, df, p; NaN for what was not estimable; the last row is GLOBAL."""
    g = transformed_times(data.sets, transform, data.at_risk())
    test = score_test(data.sets, data.x, at, g)
    place = [*estimated, len(names)]
    columns = {}
    for name, values in (("statistic", test.statistic), ("df", test.df), ("p", test.p)):
        columns[name] = np.full(len(names) + 1, np.nan)
        columns[name][place] = values
    return pd.DataFrame({"covariate": [*names, "GLOBAL"], **columns})


def proportional_hazards_by_term(
    terms: Mapping[str, Sequence[int]], estimated: Sequence[int], data: CoxData, at: Likelihood, transform: str
) -> pd.DataFrame:
    """term, statistic, df, p, over the columns of each term that were estimable; the last row is GLOBAL."""
    g = transformed_times(data.sets, transform, data.at_risk())
    place = {column: i for i, column in enumerate(estimated)}
    groups = {term: [place[j] for j in columns if j in place] for term, columns in terms.items()}
    known = [group for group in groups.values() if group]
    test = score_test(data.sets, data.x, at, g, known)
    table = pd.DataFrame({"statistic": test.statistic, "df": test.df, "p": test.p})
    table.insert(0, "term", [*(term for term, group in groups.items() if group), "GLOBAL"])
    return table


def residuals(
    kind: str, by: str | None, data: CoxData, at: Likelihood, beta: Floats, scale: Floats, variance: Floats
) -> pd.DataFrame:
    """Residuals of `kind` in the user's units; variance (q, q) the inverse information of the inner columns."""
    if kind not in KINDS:
        raise ArgumentError(f"residuals must be one of {', '.join(KINDS)}; got {kind!r}")
    if kind in ("schoenfeld", "scaled_schoenfeld"):
        if by is not None:
            raise ArgumentError(f"{kind} residuals are of events; leave `by` out")
        return _by_event(kind, data, at, beta, scale)
    if data.episodes is None:
        return flow_residuals(kind, by, data, at, scale, variance)
    if by not in (None, "episode", "customer"):
        raise ArgumentError(f"by must be 'episode' or 'customer'; got {by!r}")
    if kind in ("martingale", "deviance"):
        values = kernels.martingale(data.sets, at)
        return _martingale(kind, values, data, by or ("customer" if kind == "deviance" else "episode"))
    values = kernels.score(data.sets, data.x, at)
    values = values * scale if kind == "score" else (values @ variance / scale) * data.episodes.weight[:, None]
    frame = pd.DataFrame(values, columns=list(data.names))
    return _by_unit(frame, data) if by == "customer" else _beside_episodes(frame, data)


def _martingale(kind: str, values: Floats, data: CoxData, by: str) -> pd.DataFrame:
    assert data.episodes is not None
    events = data.episodes.event.astype(np.float64)
    frame = pd.DataFrame({"martingale": values, "event": events})
    if by == "customer":
        frame = _by_unit(frame, data)
    if kind == "deviance":
        frame["deviance"] = kernels.deviance(frame["martingale"].to_numpy(), frame["event"].to_numpy())
    frame = frame.drop(columns=["event", *(["martingale"] if kind == "deviance" else [])])
    return frame if by == "customer" else _beside_episodes(frame, data)


def _by_unit(frame: pd.DataFrame, data: CoxData) -> pd.DataFrame:
    """Sums by the unit of the robust variance, in order of appearance."""
    sums = frame.groupby(_labels(data), sort=False).sum()
    return sums.rename_axis("customer").reset_index()


def _labels(data: CoxData) -> Any:
    return data.unit_labels if data.unit_labels is not None else data.unit


def _beside_episodes(frame: pd.DataFrame, data: CoxData) -> pd.DataFrame:
    episodes = data.episodes
    assert episodes is not None
    beside = {"start": episodes.start, "stop": episodes.stop, "event": episodes.event}
    who = {} if data.unit_labels is None else {"customer": data.unit_labels}
    return pd.concat([pd.DataFrame({**who, **beside}), frame], axis=1)


def _by_event(kind: str, data: CoxData, at: Likelihood, beta: Floats, scale: Floats) -> pd.DataFrame:
    order, values = kernels.schoenfeld(data.sets, data.x, at)
    slot = data.sets.event_slot[order]
    plain = kind == "schoenfeld"
    values = values * scale if plain else _scaled(values, slot, data, at, beta)[0] / scale
    head: dict[str, Any] = {
        "stratum": [data.strata[code] for code in data.sets.slot_stratum[slot]],
        "tenure": data.sets.slot_time[slot],
    }
    if data.unit_labels is not None:
        head["customer"] = data.unit_labels[data.sets.event_row[order]]
    if data.flows is not None:
        refuse_tenure_effects(data)
        head |= {"pattern": data.sets.event_row[order], "events": data.sets.event_count[order]}
    return pd.concat([pd.DataFrame(head), pd.DataFrame(values, columns=list(data.names))], axis=1)


def _scaled(values: Floats, slot: Ints, data: CoxData, at: Likelihood, beta: Floats) -> tuple[Floats, Floats]:
    stratum = data.sets.slot_stratum[slot].astype(np.intp)
    info = information(data.sets, data.x, at)
    return kernels.scaled_schoenfeld(values, stratum, _used(data), info, beta)


def _used(data: CoxData) -> Floats:
    """(S, q) events of each stratum, for the covariates that vary in it; else 0."""
    strata, q = len(data.strata), data.x.shape[1]
    events = np.bincount(data.sets.slot_stratum, data.sets.deaths, minlength=strata)
    code = np.zeros(len(data.x), np.intp) if data.stratum is None else data.stratum
    low, high = np.full((strata, q), np.inf), np.full((strata, q), -np.inf)
    np.minimum.at(low, code, data.x)
    np.maximum.at(high, code, data.x)
    return events[:, None] * (high - low > 1e-10)


def time_varying_effects(
    data: CoxData, at: Likelihood, beta: Floats, scale: Floats, transform: str, points: int, level: float
) -> pd.DataFrame:
    """covariate, tenure, estimate, ci_lower, ci_upper, level: smoothed scaled Schoenfeld residuals."""
    if not (isinstance(points, int) and points >= 2):
        raise ArgumentError(f"points must be a whole number of at least 2; got {points!r}")
    order, values = kernels.schoenfeld(data.sets, data.x, at)
    each = np.repeat(
        np.arange(order.size), data.sets.event_count[order].astype(np.intp)
    )  # flows: events alike are one row
    slot, values = data.sets.event_slot[order][each], values[each]
    scaled, variance = _scaled(values, slot, data, at, beta)
    g = transformed_times(data.sets, transform, data.at_risk())[slot]
    grid = np.linspace(g.min(), g.max(), points)
    distinct, first = np.unique(g, return_index=True)
    tenure = np.interp(grid, distinct, data.sets.slot_time[slot][first])
    frames = []
    for j, name in enumerate(data.names):
        curves = smooth(g, scaled[:, j], float(variance[j, j]), grid, level)
        estimate, lower, upper = (curve / scale[j] for curve in curves)
        frames.append(
            pd.DataFrame(
                {"covariate": name, "tenure": tenure, "estimate": estimate, "ci_lower": lower, "ci_upper": upper}
            )
        )
    return pd.concat(frames, ignore_index=True).assign(level=level)
