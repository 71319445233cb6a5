"""Several definitions of churn on the same customers: curves, overlap, days apart, and what becomes of the hazard ratios."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd

from survival.churn.side_by_side import SHARED, SideBySide, side_by_side
from survival.churn.stays import stays
from survival.errors import ConfigError, EstimationError
from survival.estimate.adjustments import holm
from survival.estimate.agreement import agreement, gap_quantiles
from survival.estimate.cox import cox
from survival.estimate.cox_fit import CoxFit
from survival.estimate.curves import Curves
from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.related_fits import coefficient_differences, customer_influence
from survival.estimate.rmst import rmst as restricted_means
from survival.experiment.formulas import circular, formula_of, terms, without
from survival.experiment.models import Models, models, options
from survival.experiment.study import Study
from survival.findings import Finding
from survival.flows.door import flows
from survival.report.definition_wording import LOST, NOT_COMPARED, change, conclusion

ALL, UNDER_ALL = "all", "at risk under all definitions"
CLASSES = (("1–7", 7), ("8–30", 30), ("31–90", 90), ("over 90", np.inf))
CONCLUSION_COLUMNS = [
    "covariate", "definition", "hazard_ratio", "ci_lower", "ci_upper", "p", "conclusion", "ratio_to_first", "ratio_lower",
    "ratio_upper", "p_difference", "p_adjusted", "conclusion_same_covariates", "change",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Population:
    """Some customers under one definition: what their curve is made of (flows, or stays where customers have several), the
    columns of stays, the column that tells them apart from others and their value in it, and the curve."""

    data: Any
    columns: dict[str, str]
    by: str | None
    curves: Curves

    def rmst(self, horizon: float, level: float) -> pd.DataFrame:
        """One row: by, horizon, rmst, se, ci_lower, ci_upper; the variance adds up by customer where they have several spells."""
        means = restricted_means(
            self.data, horizon=horizon, by=self.by, level=level, robust=bool(self.columns), **self.columns
        ).tidy()
        return means[means["by"].astype(str) == str(self.curves.groups[0])]


@dataclass(frozen=True, eq=False)
class Definitions:
    """The definitions of a study side by side. everybody: definition -> all at risk under it; shared: the same of those at risk
    under all definitions, empty where these are the same customers, or nobody."""

    study: Study
    beside: SideBySide
    everybody: dict[str, Population]
    shared: dict[str, Population]

    @property
    def names(self) -> tuple[str, ...]:
        """The definitions, the primary one first."""
        return self.beside.names

    @property
    def curves(self) -> dict[str, Curves]:
        """Definition -> the curve of all at risk under it."""
        return {name: one.curves for name, one in self.everybody.items()}


def definitions(study: Study) -> Definitions:
    """Spells and curves of every definition, on the same tables. Raises ConfigError for fewer than two definitions."""
    if len(study.definitions) < 2:
        raise ConfigError(
            f"this study compares definitions of churn and needs two or more; it models {', '.join(study.definitions)} only. "
            "Add one under churn:, or name more in model.churn."
        )
    made = {name: study.spells(name) for name in study.definitions}
    study.step("definitions side by side")
    beside = side_by_side(made)
    everybody = {name: _population(study, name, None) for name in made}
    for name, one in everybody.items():
        study.note(one.curves.findings, about=name)
    n = beside.at_risk_under_all
    same = not n or all(beside.at_risk(name) == n for name in made)
    return Definitions(
        study, beside, everybody, {} if same else {name: _population(study, name, beside) for name in made}
    )


def _population(study: Study, name: str, shared: SideBySide | None) -> Population:
    """Everybody at risk, or with `shared` those at risk under all definitions."""
    config = study.config
    at_risk = study.spells(name) if shared is None else shared.marked(study.spells(name))
    by, names = (None, []) if shared is None else (SHARED, [SHARED])
    several = study.several_spells(name)  # flows do not know whose spells they are
    data: Any = stays(at_risk, names) if several else flows(at_risk, by=names)
    columns = {"start": "start", "customer": "customer", "spell": "spell"} if several else {}
    values = (data if several else data.patterns)[SHARED] if by else []
    order = sorted(set(values), reverse=True) if by else None  # yes, then no
    made = kaplan_meier(
        data, by=by, order=order, level=config.level, interval=config.retention.interval, robust=several, **columns
    )
    return Population(data, columns, by, Curves(made.curves[:1], made.level, made.interval, made.findings, made.robust))


def retention_frame(found: Definitions) -> pd.DataFrame:
    """tables/retention.csv: of all at risk under each definition, then of those at risk under all."""
    columns = ["cohort", "tenure", "at_risk", "events", "censored", "entered", "retention", "ci_lower", "ci_upper"]
    return _by_cohort(found, lambda one: one.curves.tidy(), columns)


def retention_at(found: Definitions) -> pd.DataFrame:
    """tables/retention_at.csv."""
    columns = ["cohort", "tenure", "at_risk", "retention", "ci_lower", "ci_upper"]
    return _by_cohort(found, lambda one: one.curves.at(list(found.study.config.retention.at)), columns)


def rmst(found: Definitions) -> pd.DataFrame:
    """tables/rmst.csv: mean days retained until the longest tenure asked for that every curve reaches."""
    config = found.study.config
    every = [one.curves.curves[0].end for one in [*found.everybody.values(), *found.shared.values()]]
    until = config.retention.horizon or max(
        (t for t in config.retention.at if t <= min(every)), default=int(min(every))
    )
    columns = ["cohort", "horizon", "rmst", "se", "ci_lower", "ci_upper"]
    return _by_cohort(found, lambda one: one.rmst(until, config.level), columns)


def _by_cohort(found: Definitions, frame_of: Callable[[Population], pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    parts = []
    for cohort, populations_ in ((ALL, found.everybody), (UNDER_ALL, found.shared)):
        for name, one in populations_.items():
            parts.append(frame_of(one).assign(definition=name, cohort=cohort))
    return pd.concat(parts, ignore_index=True)[["definition", *columns]]


# --- who, and when -----------------------------------------------------------------------------------------------------


def populations(found: Definitions) -> pd.DataFrame:
    """tables/definitions.csv: customers at risk and lost under each definition, and among those at risk under all."""
    beside, states = found.beside, found.beside.states
    everywhere = (states[list(beside.names)] != "not at risk").all(axis=1)
    rows = [
        [
            name, beside.at_risk(name), beside.churned(name), beside.churned(name) / beside.at_risk(name),
            found.study.spells(name).person_days, beside.at_risk_under_all,
            int(states.loc[everywhere & (states[name] == "churned"), "customers"].sum()),
        ]
        for name in beside.names
    ]  # fmt: skip
    columns = ["definition", "customers", "churned", "share", "person_days", "at_risk_under_all", "churned_under_all"]
    return pd.DataFrame(rows, columns=columns)


def agreement_frame(found: Definitions) -> pd.DataFrame:
    """tables/agreement.csv: a row a pair of definitions, among customers at risk under both."""
    counts = found.beside.counts()
    both, first, second = counts["churned_both"], counts["churned_a_only"], counts["churned_b_only"]
    measures = agreement(both, first, second, counts["stayed_both"], found.study.config.level)
    return pd.concat([counts, measures], axis=1)


def overlap_frame(pairs: pd.DataFrame, found: Definitions) -> pd.DataFrame:
    """Both directions of every pair and the diagonal: definition_a, definition_b, churned_a, churned_both."""
    known = {}
    for r in pairs.itertuples():
        known[r.definition_a, r.definition_b] = (r.churned_both + r.churned_a_only, r.churned_both)
        known[r.definition_b, r.definition_a] = (r.churned_both + r.churned_b_only, r.churned_both)
    for name in found.names:
        known[name, name] = (found.beside.churned(name),) * 2
    rows = [[a, b, *known[a, b]] for a, b in product(found.names, repeat=2)]
    return pd.DataFrame(rows, columns=["definition_a", "definition_b", "churned_a", "churned_both"])


def days_between(found: Definitions) -> pd.DataFrame:
    """tables/days_between.csv: days from the loss under a to that under b, of customers lost under both whose dates are known."""
    rows = []
    for a, b in combinations(found.names, 2):
        gaps = found.beside.gaps[a, b]
        n, day = gaps["customers"], gaps["gap"]
        total = int(n.sum())
        mean = float((n * day).sum() / total) if total else float("nan")
        ends = [float(day.min()), float(day.max())] if total else [float("nan")] * 2
        counts = [int(n[side].sum()) for side in (day > 0, day == 0, day < 0)]
        rows.append([a, b, total, *counts, mean, ends[0], *gap_quantiles(gaps), ends[1]])
    columns = [
        "definition_a", "definition_b", "customers", "a_first", "same_day", "b_first", "mean", "minimum", "tenth",
        "lower_quartile", "median", "upper_quartile", "ninetieth", "maximum",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def days_apart(found: Definitions) -> pd.DataFrame:
    """tables/days_apart.csv: the same in classes of days, for each side: definition_a, definition_b, side, days, customers."""
    rows = []
    for a, b in combinations(found.names, 2):
        gaps = found.beside.gaps[a, b]
        for side, sign in (("a first", 1), ("b first", -1)):
            low = 0.0
            for text, high in CLASSES:
                inside = (sign * gaps["gap"] > low) & (sign * gaps["gap"] <= high)
                rows.append([a, b, side, text, int(gaps.loc[inside, "customers"].sum())])
                low = high
        rows.append([a, b, "same day", "", int(gaps.loc[gaps["gap"] == 0, "customers"].sum())])
    return pd.DataFrame(rows, columns=["definition_a", "definition_b", "side", "days", "customers"])


# --- hazard ratios -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Compared:
    """The models of the definitions: each without the indicators that its definition is built from (`left_out`), and, where
    these differ, once more with the covariates that all have (`same`)."""

    models: list[Models]
    left_out: dict[str, tuple[str, ...]]
    same: dict[str, CoxFit]


def compared(study: Study) -> Compared:
    """Fit the formula under every definition, circular indicators left out and named."""
    formula = study.config.model.formula or ""
    left_out = {name: circular(study.config, name) for name in study.definitions}
    formulas = {name: formula_of(study.config, name) for name in study.definitions}
    for name in [n for n, text in formulas.items() if not text]:
        message = f"'{name}' has no model: every term of the formula reads the table that the definition reads"
        study.note([Finding("no-model", "warning", name, message)])
        formulas.pop(name)
    if not formulas:
        raise EstimationError(
            "no definition has a term that it is not built from; name other indicators in model.formula"
        )
    made = models(study, formulas)
    return Compared(made, left_out, _with_the_same(study, formula, left_out, [m.definition for m in made]))


def _with_the_same(
    study: Study, formula: str, left_out: dict[str, tuple[str, ...]], names: Sequence[str]
) -> dict[str, CoxFit]:
    """Each definition's fit with the terms that no definition leaves out; none where all have the same already."""
    everything = sorted({name for one in names for name in left_out[one]})
    text = without(formula, everything)
    if not text or len({left_out[n] for n in names}) < 2:
        return {}
    fits = {}
    for name in names:
        try:
            fits[name] = cox(study.episodes(name), text, **options(study))
        except EstimationError:
            continue  # why, the findings of its own model say
    return fits


def conclusions(study: Study, made: Compared) -> pd.DataFrame:
    """tables/conclusions.csv: what each definition says of each covariate, and how its ratio differs from the first one's.

    `change` is of the covariate, on each of its rows. ratio_to_first: the hazard ratio over that of the first definition with an
    estimate, robust by customer across the definitions; p_adjusted: Holm's, over all of these in the table.
    """
    tidy = {m.definition: m.full.tidy().set_index("covariate") for m in made.models}
    same = {name: fit.tidy().set_index("covariate") for name, fit in made.same.items()}
    differences = _Differences({m.definition: m.full for m in made.models}, study.config.level)
    rows = []
    for covariate in _covariates(study, made):
        mine = [_row(covariate, name, tidy.get(name), same.get(name), made) for name in study.definitions]
        known = [r for r in mine if np.isfinite(r["hazard_ratio"])]
        for row in known[1:]:
            row |= differences.of(row["definition"], known[0]["definition"], covariate)
        said = change([r["conclusion"] for r in mine])
        rows += [r | {"change": said} for r in mine]
    frame = pd.DataFrame(rows, columns=CONCLUSION_COLUMNS)
    return frame.assign(p_adjusted=holm(frame["p_difference"].to_numpy(float)))


def _covariates(study: Study, made: Compared) -> list[str]:
    """Every covariate of any model, in the order of the formula."""
    places = {term: i for i, term in enumerate(terms(study.config.model.formula or ""))}
    found: dict[str, int] = {}
    for one in made.models:
        for term, columns in one.full.terms.items():
            for j in columns:
                found.setdefault(one.full.names[j], places.get(term, len(places)))
    return sorted(found, key=lambda name: found[name])


def _row(
    covariate: str, name: str, tidy: pd.DataFrame | None, same: pd.DataFrame | None, made: Compared
) -> dict[str, Any]:
    missing = dict.fromkeys(("hazard_ratio", "ci_lower", "ci_upper", "p"), float("nan"))
    row: dict[str, Any] = {"covariate": covariate, "definition": name, **missing, "conclusion_same_covariates": ""}
    if tidy is not None and covariate in tidy.index:
        r = tidy.loc[covariate]
        row |= {c: float(r[c]) for c in missing}
        row["conclusion"] = conclusion(row)
    else:
        built_from = any(re.search(rf"\b{re.escape(n)}\b", covariate) for n in made.left_out.get(name, ()))
        row["conclusion"] = NOT_COMPARED if built_from else LOST
    if same is not None and covariate in same.index:
        row["conclusion_same_covariates"] = conclusion(same.loc[covariate].to_dict())
    return row


class _Differences:
    """Differences of each definition's coefficients from another's, computed once a pair."""

    def __init__(self, fits: dict[str, CoxFit], level: float) -> None:
        self._fits, self._level = fits, level
        self._influence = {name: customer_influence(fit) for name, fit in fits.items()}
        self._made: dict[tuple[str, str], pd.DataFrame] = {}

    def of(self, name: str, first: str, covariate: str) -> dict[str, float]:
        if (name, first) not in self._made:
            changes = coefficient_differences(
                self._fits[name],
                self._fits[first],
                self._level,
                influence=(self._influence[name], self._influence[first]),
            )
            self._made[name, first] = changes.set_index("covariate")
        row = self._made[name, first].loc[covariate]
        names = {"ratio": "ratio_to_first", "ci_lower": "ratio_lower", "ci_upper": "ratio_upper", "p": "p_difference"}
        return {there: float(row[here]) for here, there in names.items()}
