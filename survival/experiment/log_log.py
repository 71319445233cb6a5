"""Log-minus-log curves of flags and factors, and how their distance changes with tenure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from survival.estimate.hazard import hazard
from survival.estimate.intervals import normal_quantile
from survival.experiment.models import MIN_AT_RISK, Models
from survival.experiment.study import Study
from survival.plot.forest import is_interaction

FEWEST_CHURNS = 10  # of a level before its distance from another is named
MOST_LEVELS = 6
POINTS = 120
OF = ": "  # between a covariate and its level
NO_CHURN = f"no churn while {MIN_AT_RISK} customers are at risk at each level"
# events: churns since the common start
CURVES = ["covariate", "state", "tenure", "at_risk", "events", "log_cumulative_hazard", "ci_lower", "ci_upper"]
DISTANCES = ["covariate", "state", "reference", "since", "until", "first", "last", "ph_p"]


def log_log_curves(study: Study, made: Models) -> tuple[pd.DataFrame, dict[str, str]]:
    """The curves, and each covariate (or 'covariate: level') that has none, and why.

    CURVES: log of the Nelson-Aalen cumulative hazard, log(-log S), of each level of each flag and factor of the model.

    Counted from the tenure at which MIN_AT_RISK customers are at each level: a flag that cannot be on before day 28 would else seem to
    cross the other curve. A customer whose flag changes passes from one to the other. POINTS rows a level at most.
    """
    frame = study.episodes(made.definition)
    parts = [pd.DataFrame(columns=CURVES)]
    found, left_out = _levels(study, made, frame)
    for name, states, order in found:
        study.step(f"{made.definition}: log-minus-log curves of {name}")
        # No customer is given: whoever changes state leaves one group and enters the other.
        columns = {"start": frame["start"], "stop": frame["stop"], "event": frame["event"], "state": states}
        rows = hazard(pd.DataFrame(columns, copy=False), start="start", by="state", order=order).tidy()
        parts.append(log_log(rows, study.config.level).assign(covariate=name)[CURVES])
        left_out |= _without_curve(name, order, rows, parts[-1])
    left_out = {name: left_out[name] for name in sorted(left_out, key=lambda n: _place(n, made))}
    return pd.concat([p for p in parts if len(p)] or parts, ignore_index=True), left_out


def _place(name: str, made: Models) -> int:
    """Of a term, or of the term of a level, in the formula."""
    terms = list(made.full.terms)
    return next(i for i, term in enumerate(terms) if name == term or name.startswith(f"{term}{OF}"))


def _without_curve(name: str, order: Sequence[str], rows: pd.DataFrame, curves: pd.DataFrame) -> dict[str, str]:
    """Why a level has no curve, or all have none."""
    most = rows.groupby("by", sort=False)["at_risk"].max()
    few = f"never {MIN_AT_RISK} customers at risk at once"
    why = {s: few if most.get(s, 0) < MIN_AT_RISK else NO_CHURN for s in order if s not in set(curves["state"])}
    if len(why) < len(order):
        return {f"{name}{OF}{state}": reason for state, reason in why.items()}
    short = [state for state, reason in why.items() if reason == few]
    return {name: f"{few} at {', '.join(short)}" if short else NO_CHURN}


def log_log(rows: pd.DataFrame, level: float) -> pd.DataFrame:
    """The curves from their common start, of the levels that have MIN_AT_RISK customers at some time; none of fewer than two.

    `rows`: `Hazards.tidy()`, by a column `by`.
    """
    many = rows[rows["at_risk"] >= MIN_AT_RISK].groupby("by", sort=False)["tenure"]
    since, until = many.min(), many.max()
    parts = []
    for state, mine in rows.groupby("by", sort=False):
        if len(since) < 2 or state not in since.index:
            continue  # a level that never has as many customers
        variance = np.diff(np.square(mine["se"].to_numpy(float)), prepend=0.0)
        inside = ((mine["tenure"] >= since.max()) & (mine["tenure"] <= until[state])).to_numpy()
        kept = mine[inside]
        total, spread = np.cumsum(kept["hazard"].to_numpy(float)), np.cumsum(variance[inside])
        known = kept[total > 0].assign(total=total[total > 0], spread=spread[total > 0])
        at = np.log(known["total"])
        half = normal_quantile(level) * np.sqrt(known["spread"]) / known["total"]
        known = known.assign(
            state=state,
            events=known["events"].cumsum(),
            log_cumulative_hazard=at,
            ci_lower=at - half,
            ci_upper=at + half,
        )
        parts.append(_thinned(known))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=CURVES)


def _thinned(rows: pd.DataFrame) -> pd.DataFrame:
    """About POINTS rows, evenly spread on the logarithm of tenure, the last among them."""
    if len(rows) <= POINTS:
        return rows
    tenure = rows["tenure"].to_numpy(float)
    grid = np.geomspace(max(tenure[0], 0.5), tenure[-1], POINTS)
    return rows.iloc[np.unique(np.clip(np.searchsorted(tenure, grid), 0, len(rows) - 1))]


def _levels(
    study: Study, made: Models, frame: pd.DataFrame
) -> tuple[list[tuple[str, pd.Series, list[str]]], dict[str, str]]:
    """Each flag and factor of the model: its name, the level of each episode, the levels in order, the reference first. And
    each other term and why it has no levels to draw."""
    found, left_out = [], dict[str, str]()
    for name in made.full.terms:
        if name in study.indicators and study.indicators[name].is_flag:
            states = frame[name].map({0: "off", 1: "on"})
            order = [state for state in ("off", "on") if (states == state).any()]
        elif name in made.factors:
            states, order = _text(frame[made.variables[name]]), list(made.factors[name])
        else:
            left_out[name] = "an interaction" if is_interaction(name) else "a number, which has no levels"
            continue
        if 1 < len(order) <= MOST_LEVELS:
            found.append((name, states, order))
        else:
            left_out[name] = "one level only" if len(order) < 2 else f"{len(order)} levels, more than {MOST_LEVELS}"
    return found, left_out


def _text(column: pd.Series) -> pd.Series:
    """The levels of a factor as its columns are named: C(seats)[T.2.0]."""
    return (column.astype(float) if pd.api.types.is_numeric_dtype(column) else column).astype(str)


def distances(curves: pd.DataFrame, ph_p: Mapping[str, float]) -> pd.DataFrame:
    """DISTANCES: by how much each level's curve is above that of the first, at the first and the last tenure at which both
    have FEWEST_CHURNS churns. ph_p: term -> p of its test of proportional hazards."""
    rows = []
    for name, mine in curves.groupby("covariate", sort=False):
        states = list(pd.unique(mine["state"]))
        first = _reached(mine[mine["state"] == states[0]])
        for state in states[1:]:
            rows.append(
                [name, state, states[0], *_apart(first, _reached(mine[mine["state"] == state])), ph_p.get(str(name))]
            )
    return pd.DataFrame(rows, columns=DISTANCES)


def _reached(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["events"] >= FEWEST_CHURNS]


def _apart(one: pd.DataFrame, other: pd.DataFrame) -> tuple[float, float, float, float]:
    if one.empty or other.empty:
        return (np.nan,) * 4
    since = max(float(one["tenure"].iloc[0]), float(other["tenure"].iloc[0]))
    until = min(float(one["tenure"].iloc[-1]), float(other["tenure"].iloc[-1]))
    if since >= until:
        return (np.nan,) * 4
    first, last = (_at(other, tenure) - _at(one, tenure) for tenure in (since, until))
    return since, until, first, last


def _at(rows: pd.DataFrame, tenure: float) -> float:
    place = int(np.searchsorted(rows["tenure"].to_numpy(float), tenure, side="right")) - 1
    return float(rows["log_cumulative_hazard"].iloc[place])
