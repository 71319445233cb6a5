"""Adjusted curves of a study: the groups as observed, and as if they had the same customers in some attributes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from survival.churn.stays import stays
from survival.cohorts import COHORT
from survival.errors import EstimationError
from survival.estimate.adjusted import AdjustedCurves, adjusted_curves
from survival.estimate.adjustments import adjusted
from survival.estimate.cox import cox
from survival.estimate.cox_fit import CoxFit
from survival.estimate.design import MISSING_LEVEL
from survival.experiment.comparisons import reference_cohort
from survival.experiment.study import Study
from survival.findings import Finding
from survival.flows.door import flows
from survival.flows.table import Flows
from survival.plot.numbers import count

MOST = 5_000_000  # spells that are held as a frame; flows hold any number
OBSERVED, ADJUSTED = "observed", "adjusted"
_LIMITS = {"difference": "", "ci_lower": "_lower", "ci_upper": "_upper"}  # column of an estimate: how its name ends
_MADE: WeakKeyDictionary[Study, dict[str, Adjusted | None]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Adjusted:
    """The curves of one definition, the model that they are from, and the group that the others are compared with."""

    definition: str
    curves: AdjustedCurves
    fit: CoxFit
    reference: Any
    customers: float
    events: float


def adjusted_of(study: Study, name: str) -> Adjusted | None:
    """Computed once; None without the key `adjusted`, and, with a note, where it cannot be estimated."""
    if study.config.adjusted is None:
        return None
    known = _MADE.setdefault(study, {})
    if name not in known:
        study.step(f"{name}: adjusted curves")
        try:
            known[name] = _adjusted(study, name)
        except EstimationError as error:
            known[name] = None
            message = f"adjusted curves cannot be estimated: {error}"
            study.note([Finding(error.finding or "no-model", "warning", "adjusted", message)], about=name)
    return known[name]


def _adjusted(study: Study, name: str) -> Adjusted | None:
    spec = study.config.adjusted
    assert spec is not None
    by, level, interval = spec.by, study.config.level, study.config.retention.interval
    one_by_one = study.several_spells(name) or spec.method == "marginal"
    if one_by_one and study.spells(name).count > MOST:
        message = (
            f"adjusted curves of {count(study.spells(name).count)} spells add up by customer, for whom they are read as a frame of at "
            f"most {count(MOST)}: they are left out"
        )
        study.note([Finding("no-model", "note", "adjusted", message)], about=name)
        return None
    names = list(dict.fromkeys([by, *spec.covariates]))
    options: dict[str, Any] = {"ties": study.config.model.ties, "level": level, "not_estimable": "drop"}
    frame: Any
    if one_by_one:
        frame = _handled_frame(study, name, stays(study.spells(name), names), names)
        options |= {"start": "start", "customer": "customer", "spell": "spell"}
        groups, people = frame[by].nunique(), float(frame["customer"].nunique())
    else:
        frame = _handled_flows(study, name, flows(study.spells(name), by=names), names)
        groups, people = frame.patterns[by].nunique(), float(frame.began.sum())
    if groups < 2:
        message = f"adjusted curves compare groups, and '{by}' has only one"
        study.note([Finding("no-model", "note", "adjusted", message)], about=name)
        return None
    fit = cox(frame, spec.formula, strata=by, **options)
    study.note(fit.findings, about=name)
    groups_seen = pd.unique(frame[by] if isinstance(frame, pd.DataFrame) else frame.patterns[by])
    order = study.cohort_labels(name) if by == COHORT else _unknown_last(groups_seen)
    made = adjusted_curves(fit, frame, by, method=spec.method, interval=interval, order=order)
    study.note([f for f in made.findings if f not in study.curves(name).findings], about=name)
    return Adjusted(name, made, fit, _reference(study, name, made), people, float(fit.events))


def _unknown_last(groups: Iterable[Any]) -> list[Any] | None:
    """The groups in sorted order, those without a value last; None where everybody has one."""
    found = list(groups)
    return sorted(found, key=lambda g: (g == MISSING_LEVEL, str(g))) if MISSING_LEVEL in found else None


def _reference(study: Study, name: str, made: AdjustedCurves) -> Any:
    """The cohort that the report compares with; of other groups the largest of those first observed."""
    if made.by == COHORT:
        wanted = reference_cohort(study, name)
        return next(label for label in made.groups if str(label) == wanted)
    entered = [float(c.risk.entered.sum()) if c.entry == made.begin.min() else -1.0 for c in made.crude.curves]
    return made.groups[int(np.argmax(entered))]


def _handled_frame(study: Study, name: str, frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    gone = _missing(study, name, frame, names, np.ones(len(frame)))
    return frame[~gone].reset_index(drop=True)


def _handled_flows(study: Study, name: str, counted: Flows, names: Sequence[str]) -> Flows:
    """The flows without the patterns that lack a value, or with a level of their own for it."""
    patterns = counted.patterns.copy()
    began = np.bincount(counted.pattern, counted.began, minlength=len(patterns))
    gone = _missing(study, name, patterns, names, began)
    kept = ~gone[counted.pattern]
    number = np.cumsum(~gone) - 1
    arrays = {n: getattr(counted, n)[kept] for n in ("time", "entered", "exited", "events", "deaths", "began", "ended")}
    left = int(arrays["began"].sum())
    return replace(
        counted, **arrays, pattern=number[counted.pattern[kept]].astype(np.intp),
        patterns=patterns[~gone].reset_index(drop=True), customers=left, episodes=left,
    )  # fmt: skip


def _missing(study: Study, name: str, rows: pd.DataFrame, names: Sequence[str], customers: np.ndarray) -> np.ndarray:
    """Which rows are left out for a missing value; text gets a level of its own in place with `missing: level`.

    Raises EstimationError with `missing: error`, and for numbers with `level`.
    """
    rule = study.config.model.missing  # one for all covariates, or one for each
    gone = np.zeros(len(rows), bool)
    for column in names:
        empty = rows[column].isna().to_numpy(bool)
        if not empty.any():
            continue
        n = count(float(customers[empty].sum()))
        number = pd.api.types.is_numeric_dtype(rows[column])
        how: str = rule.get(column, "error") if isinstance(rule, Mapping) else rule
        if how == "error" or (how == "level" and number):
            key = f"model.missing.{column}" if isinstance(rule, Mapping) else "model.missing"
            level = "" if number else f", or `level` to give them a level '{MISSING_LEVEL}'"
            raise EstimationError(
                f"'{column}' has no value for {n} customers. Set `{key}: drop` to leave them out{level}"
            )
        if how == "level":
            rows[column] = rows[column].astype(object).where(~empty, MISSING_LEVEL)
        else:
            gone |= empty
    if gone.any():
        lost, total = float(customers[gone].sum()), float(customers.sum())
        message = (
            f"{count(lost)} of {count(total)} customers have no value of what is adjusted for and are not in the adjusted "
            "curves, nor in those beside them. Compare with `model.missing: level`"
        )
        study.note([Finding("missing-dropped", "warning", "adjusted", message, count(lost))], about=name)
    return gone


def curve_rows(made: Adjusted) -> pd.DataFrame:
    """tables/adjusted_retention_*.csv: group, curve (observed, adjusted), tenure, at_risk, retention, se, ci_lower, ci_upper."""
    columns = ["by", "tenure", "at_risk", "retention", "se", "ci_lower", "ci_upper"]
    parts = [
        made.curves.crude.tidy()[columns].assign(curve=OBSERVED),
        made.curves.tidy()[columns].assign(curve=ADJUSTED),
    ]
    both = pd.concat(parts, ignore_index=True)
    both = both.rename(columns={"by": "group"}).assign(definition=made.definition)
    order = ["definition", "group", "curve", *columns[1:]]
    return both[order]


def at_tenures(study: Study, made: Adjusted) -> pd.DataFrame:
    """tables/adjusted_at_*.csv: definition, group, reference, tenure, at_risk; observed and adjusted retention, and their
    differences from the reference, each with _lower and _upper; p of the adjusted difference, and p_adjusted over the table."""
    tenures = list(study.config.retention.at)
    observed, adjusted_at = made.curves.crude.at(tenures), made.curves.at(tenures)
    table = adjusted_at[["by", "tenure", "at_risk"]].rename(columns={"by": "group"})
    table.insert(0, "definition", made.definition)
    table.insert(2, "reference", made.reference)
    for kind, rows in ((OBSERVED, observed), (ADJUSTED, adjusted_at)):
        for column, end in _LIMITS.items():
            table[f"{kind}{end}"] = rows["retention" if not end else column].to_numpy(float)
    key = pd.MultiIndex.from_frame(table[["group", "tenure"]])
    for kind, rows in _pairs(study, made, tenures).items():
        found = _against(rows, made.reference).reindex(key)
        for column, end in _LIMITS.items():
            table[f"{kind}_difference{end}"] = found[column].to_numpy(float)
        table["p"] = found["p"].to_numpy(float)  # at last, of the adjusted difference
    table["p_adjusted"] = adjusted(table["p"].to_numpy(float), study.config.retention.adjust)
    return table


def _pairs(study: Study, made: Adjusted, tenures: list[int]) -> dict[str, pd.DataFrame]:
    crude, bare = made.curves.crude, study.config.retention.interval == "none"
    found = {
        OBSERVED: replace(crude, interval="plain" if bare else crude.interval)
        .differences(tenures, adjust="none")
        .table,
        ADJUSTED: made.curves.differences(tenures, adjust="none").table,
    }
    if bare:
        return {kind: rows.assign(ci_lower=np.nan, ci_upper=np.nan, p=np.nan) for kind, rows in found.items()}
    return found


def _against(pairs: pd.DataFrame, reference: Any) -> pd.DataFrame:
    """Each other group minus the reference, by group and tenure."""
    mine = pairs[(pairs["cohort_a"] == reference) | (pairs["cohort_b"] == reference)]
    turned = (mine["cohort_b"] == reference).to_numpy()
    sign = np.where(turned, -1.0, 1.0)
    low, high = mine["ci_lower"].to_numpy(float), mine["ci_upper"].to_numpy(float)
    found = pd.DataFrame(
        {
            "group": np.where(turned, mine["cohort_a"], mine["cohort_b"]),
            "tenure": mine["tenure"].to_numpy(float),
            "difference": sign * mine["difference"].to_numpy(float),
            "ci_lower": np.where(turned, -high, low),
            "ci_upper": np.where(turned, -low, high),
            "p": mine["p"].to_numpy(float),
        }
    )
    return found.set_index(["group", "tenure"])
