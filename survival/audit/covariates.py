"""What can be said about covariates before any fit, from counts alone: separation, constants, twins, too few churns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survival.episodes import BuiltEpisodes
from survival.errors import ArgumentError, EstimationError
from survival.estimate.design import design
from survival.findings import Finding
from survival.flows.table import Flows

MAX_LEVELS = 50  # of a text covariate; more are no factor but an identifier
_NO_SUCH_FUNCTION = ("NameError", "AttributeError")
FEW = 10  # churns for each coefficient
_TWINS, _NEAR = 1 - 1e-9, 0.98  # correlation over person-days

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Switches:
    """0/1 covariates over the patterns of some flows: names (q,), on (q, P), person-days (P,), churns (P,)."""

    names: tuple[str, ...]
    on: Floats
    days: Floats
    events: Floats


def switches(flows: Flows, flags: Sequence[str], texts: Sequence[str]) -> Switches:
    """The flags, and each level of each text (`plan[T.pro]`), of flows by these columns."""
    size = len(flows.patterns)
    names, rows = [], []
    for name in flags:
        names.append(name)
        rows.append(flows.patterns[name].to_numpy(float))
    for name in texts:
        column = flows.patterns[name].astype(object)
        levels = sorted(column.dropna().unique(), key=str)
        for level in levels[1:] if len(levels) == 2 else levels:  # of two levels, either says all
            names.append(f"{name}[T.{level}]")
            rows.append((column == level).to_numpy(float))
    days = np.bincount(flows.pattern, flows.time * (flows.exited - flows.entered), minlength=size).astype(float)
    events = np.bincount(flows.pattern, flows.events, minlength=size).astype(float)
    return Switches(tuple(names), np.array(rows).reshape(len(names), size), days, events)


def covariates(found: Switches, *, about: str = "") -> tuple[Finding, ...]:
    """Switches that are never or always on, that have churns on one side only, and pairs that say the same."""
    findings: list[Finding] = []
    varying: list[int] = []
    for i, name in enumerate(found.names):
        said = _constant(found, i, name) or _separation(found, i, name)
        findings += said
        if not said:
            varying.append(i)
    return (*findings, *_twins(found, varying))


def _constant(found: Switches, i: int, name: str) -> list[Finding]:
    on, total = float(found.days @ found.on[i]), float(found.days.sum())
    if 0 < on < total:
        return []
    state = "on" if on else "off"
    message = f"'{name}' is {state} on all days at risk: its hazard ratio cannot be told from the baseline. Leave it out of the formula"
    return [Finding("constant-covariate", "warning", name, message, f"{state} on {total:,.0f} days")]


def _separation(found: Switches, i: int, name: str) -> list[Finding]:
    on = found.on[i]
    days, events = (
        (float(found.days @ on), float(found.days @ (1 - on))),
        (float(found.events @ on), float(found.events @ (1 - on))),
    )
    if min(events) > 0 or sum(events) == 0:
        return []
    expected = sum(events) * days[0 if events[0] == 0 else 1] / sum(days)
    figure = f"{_churns(events[0])} in {days[0]:,.0f} days at 1, {_churns(events[1])} in {days[1]:,.0f} days at 0"
    side = "on" if events[0] == 0 else "off"
    message = (
        f"nobody churns while '{name}' is {side} ({figure}; {expected:.1f} churns were to be expected there), so its hazard ratio has "
        "no finite estimate (separation). Leave it out, merge levels, or pass a penalizer"
    )
    return [Finding("separation", "warning", name, message, figure)]


def _churns(events: float) -> str:
    return f"{events:,.0f} churn{'' if events == 1 else 's'}"


def _twins(found: Switches, varying: Sequence[int]) -> list[Finding]:
    """Pairs of switches that are on together (or one exactly when the other is off), weighted by person-days."""
    if len(varying) < 2:
        return []
    x, weight = found.on[list(varying)], found.days / found.days.sum()
    centred = x - (x @ weight)[:, None]
    spread = np.sqrt((centred**2) @ weight)
    correlation = (centred * weight) @ centred.T / np.outer(spread, spread)
    findings = []
    for i, j in combinations(range(len(varying)), 2):
        one, other, r = found.names[varying[i]], found.names[varying[j]], float(correlation[i, j])
        if abs(r) < _NEAR or one.partition("[")[0] == other.partition("[")[0]:
            continue
        exact = abs(r) >= _TWINS
        how = "always" if exact else "nearly always"
        what = f"{how} on together" if r > 0 else f"{how} one on and the other off"
        message = f"'{one}' and '{other}' are {what}: their hazard ratios cannot be told apart. Leave one of them out"
        id_, severity = ("collinear", "warning") if exact else ("nearly-collinear", "note")
        findings.append(Finding(id_, severity, f"{one}, {other}", message, f"r={r:.4f}"))  # type: ignore[arg-type]
    return findings


def coefficients(formula: str, patterns: pd.DataFrame, numbers: Sequence[str]) -> int | str:
    """How many coefficients the formula has where its flags and texts take the values of `patterns`; 0: cannot be told.

    A formula that calls what does not exist gives the words for it.
    """
    frame = patterns.dropna().reset_index(drop=True)
    frame = frame.assign(**{name: np.linspace(1.0, 2.0, len(frame)) ** (i + 1) for i, name in enumerate(numbers)})
    try:
        return len(design(frame, formula)[1].names)
    except EstimationError as error:
        if isinstance(error, ArgumentError) and any(f"[{kind}: " in str(error) for kind in _NO_SUCH_FUNCTION):
            return str(error)
        return 0  # the made-up numbers do not suit a transform; the fit says what is wrong, if anything is


def few_events(events: float, coefficients: int | str, subject: str) -> tuple[Finding, ...]:
    """Fewer than ten churns for each coefficient (Peduzzi, Concato & Feinstein 1995); a formula that has none."""
    if isinstance(coefficients, str):
        message = f"the model of '{subject}' cannot be estimated: {coefficients}. Name a function that formulaic or numpy (np.) has"
        return (Finding("no-model", "error", subject, message),)
    if not coefficients or events >= FEW * coefficients:
        return ()
    message = (
        f"{_churns(events)} for {coefficients} coefficient{'' if coefficients == 1 else 's'}: fewer than {FEW} for each, so hazard "
        "ratios are unstable and their intervals too narrow. Leave covariates out, merge levels, observe for longer, or pass a penalizer"
    )
    return (
        Finding("few-events", "warning", subject, message, f"{events / coefficients:.1f} churns for each coefficient"),
    )


def missing_values(built: BuiltEpisodes, names: Sequence[str], missing: str | Mapping[str, str]) -> tuple[Finding, ...]:
    """Covariates without a value while the config does not say what to do: customers and churns that would be lost.

    `missing`: error, drop, level or carry, or covariate -> one of them. `level` says nothing of numbers, which have none.
    """
    rows = built.expression()
    rules = {name: missing.get(name, "error") if isinstance(missing, Mapping) else missing for name in names}
    asked = [
        name for name, rule in rules.items() if rule == "error" or (rule == "level" and rows[name].type().is_numeric())
    ]
    if not asked:
        return ()
    gaps = {name: _gap(rows, name) for name in asked}
    counts = rows.aggregate(
        n=rows.count(), **{f"g{i}": gap.cast("int64").sum() for i, gap in enumerate(gaps.values())},
        **{f"c{i}": rows.customer.nunique(where=gap) for i, gap in enumerate(gaps.values())},
        **{f"e{i}": rows.event.cast("int64").sum(where=gap) for i, gap in enumerate(gaps.values())},
    )  # fmt: skip
    row = built.spells.tables.engine.rows(counts)[0]
    return tuple(
        Finding(
            "missing-covariate", "error", name,
            f"no value of '{name}' in {row[f'g{i}']:,} of {row['n']:,} episodes, of {row[f'c{i}']:,} customers, with "
            f"{row[f'e{i}'] or 0:,} churns. {_way_out(name, rules[name], isinstance(missing, Mapping))}",
            f"episodes={row[f'g{i}']}, customers={row[f'c{i}']}, churns={row[f'e{i}'] or 0}",
        )
        for i, name in enumerate(asked)
        if row[f"g{i}"]
    )  # fmt: skip


def _way_out(name: str, rule: str, by_covariate: bool) -> str:
    key = f"model.missing.{name}" if by_covariate else "model.missing"
    way = "`level` to give text a level of its own, or " if rule == "error" else "(numbers have no `level`) or "
    return (
        f"Set `{key}: drop` to leave them out, {way}`carry` to take the last value known before; a threshold makes a flag, which is "
        "never missing"
    )


def _gap(rows: Any, name: str) -> Any:
    column = rows[name]
    empty = column.isnull()  # noqa: PD003
    return empty | column.isnan().fill_null(False) if column.type().is_floating() else empty


def kinds(built: BuiltEpisodes, names: Sequence[str]) -> Mapping[str, str]:
    """Each covariate as `flag`, `text` (few levels), `number`, or `identifier` (text of many levels)."""
    customers = built.spells.tables.customers
    result: dict[str, str] = {}
    for name in names:
        if name in built.indicators:
            text = built.table[name].type().is_string()
            result[name] = "flag" if built.indicators[name].is_flag else "text" if text else "number"
        elif customers[name].type().is_string() or customers[name].type().is_boolean():
            levels = built.spells.tables.engine.rows(customers.aggregate(n=ibis._[name].nunique()))[0]["n"]
            result[name] = "text" if levels <= MAX_LEVELS else "identifier"
        else:
            result[name] = "number"
    return result
