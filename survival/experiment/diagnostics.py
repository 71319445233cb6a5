"""The numbers of a model's diagnostics as tidy frames: form of numbers, influence of customers, agreement by risk, outliers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from survival.errors import EstimationError
from survival.estimate.cox import cox
from survival.estimate.customer_residuals import Influence, customer_influence, customer_residuals
from survival.estimate.design import term_variables
from survival.estimate.functional_form import functional_form, has_form
from survival.estimate.intervals import normal_quantile
from survival.estimate.risk_groups import RiskGroups, risk_groups
from survival.experiment.kept_customers import pseudonyms
from survival.experiment.models import Models, options
from survival.experiment.periods import period_label
from survival.experiment.study import Study
from survival.findings import Finding
from survival.report.definition_wording import conclusion
from survival.report.diagnostics_wording import FAR, NOT_NAMED, form_of

STRONGEST = 3  # customers listed for each covariate
MOST_REFITS, REFITTED_EPISODES = (
    8,
    3_000_000,
)  # customers without whom the model is refitted, and episodes in all these fits
LISTED = 5  # customers with large residuals, of those who churned and of those who stayed
BIN = 0.1  # of the histogram of deviance residuals

FORM = [
    "definition", "covariate", "events", "knots", "statistic", "df", "p", "bend", "low", "middle", "high", "rise_low", "rise_high", "form",
]  # fmt: skip
INFLUENCE = [
    "definition", "covariate", "customer", "entered", "left", "churned", "dfbeta", "in_errors", "hazard_ratio", "hazard_ratio_without",
    "change", "refitted", "conclusion", "conclusion_without",
]  # fmt: skip
SPREAD = ["covariate", "minimum", "p1", "median", "p99", "maximum", "change_low", "change_high"]
OUTLIERS = ["definition", "customer", "entered", "left", "churned", "expected", "martingale", "deviance"]
BINS = ["churned", "lower", "upper", "customers"]


@dataclass(frozen=True, eq=False)
class Forms:
    """tests: FORM, a row a number; bins and curve as `FunctionalForm` has them, with the covariate."""

    tests: pd.DataFrame
    bins: pd.DataFrame
    curve: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Strongest:
    """customers: INFLUENCE, the strongest of each covariate; spread: SPREAD, a row a covariate; refits: how many fits."""

    customers: pd.DataFrame
    spread: pd.DataFrame
    refits: int


@dataclass(frozen=True, eq=False)
class Outliers:
    """listed: OUTLIERS; bins: BINS, of all customers; far_churned, far_stayed: how many have a residual beyond FAR."""

    listed: pd.DataFrame
    bins: pd.DataFrame
    far_churned: int
    far_stayed: int


def numbers_of(study: Study, made: Models) -> list[str]:
    """The covariates whose form can be checked: numbers of more than two values that no other term of the formula reads."""
    full = made.full
    read = {term: set(names) for term, names in term_variables(full.options.formula).items()}
    flags = {name for name, indicator in study.indicators.items() if indicator.is_flag}
    names = []
    for term, columns in full.terms.items():
        name = full.names[columns[0]]
        plain = len(columns) == 1 and columns[0] in full.estimated
        shared = any(
            read.get(term, set()) & names for other, names in read.items() if other != term
        )  # an interaction, a polynomial
        if plain and not shared and "[T." not in name and term not in flags:
            names.append(name)
    return [name for name in names if has_form(full, name)]


def forms(study: Study, made: Models) -> Forms:
    """The functional form of every number of the model."""
    tests, bins, curves = [], [], []
    for name in numbers_of(study, made):
        study.step(f"{made.definition}: form of {name}")
        try:
            form = functional_form(made.full, name)
        except EstimationError as error:
            message = (
                f"the form of '{name}' cannot be checked: with a spline in its place the model has no estimate: {error}"
            )
            study.note([Finding("no-model", "note", name, message)], about=made.definition)
            continue
        low, middle, high = form.quantiles
        row = {
            "definition": made.definition, "covariate": name, "events": made.full.events, "knots": len(form.knots),
            "statistic": form.statistic, "df": form.df, "p": form.p, "bend": form.bend, "low": low, "middle": middle, "high": high,
            "rise_low": form.rises[0], "rise_high": form.rises[1],
        }  # fmt: skip
        tests.append({**row, "form": form_of(row)})
        bins.append(form.bins.assign(covariate=name))
        curves.append(form.curve.assign(covariate=name))
    none = pd.DataFrame(columns=["covariate"])
    return Forms(
        pd.DataFrame(tests, columns=FORM),
        pd.concat(bins, ignore_index=True) if bins else none,
        pd.concat(curves, ignore_index=True) if curves else none,
    )


def strongest(study: Study, made: Models) -> Strongest:
    """Customers' influence on every coefficient, and the model refitted without the strongest of them."""
    study.step(f"{made.definition}: influence of single customers")
    full, influence = made.full, customer_influence(made.full)
    people = customer_residuals(full).drop(columns="customer")
    coefficient = np.array([full.coefficients[full.names.index(n)] for n in influence.names])
    chosen = {j: _extreme(influence.dfbeta[:, j]) for j in range(len(influence.names))}
    spread = normal_quantile(full.options.level) * influence.standard_error
    refits = _refits(study, made, influence, _candidates(influence, chosen, coefficient, spread))
    named = customer_names(study, {influence.customer[i] for rows in chosen.values() for i in rows})
    rows = []
    for j, name in enumerate(influence.names):
        for i in chosen[j]:
            refitted = influence.customer[i] in refits
            without = (
                refits[influence.customer[i]].get(name, np.nan) if refitted else coefficient[j] - influence.dfbeta[i, j]
            )
            rows.append({
                "definition": made.definition, "covariate": name, "customer": named[influence.customer[i]],
                **people.iloc[i][["entered", "left", "churned"]].to_dict(),
                "dfbeta": influence.dfbeta[i, j], "in_errors": influence.dfbeta[i, j] / influence.standard_error[j],
                "hazard_ratio": np.exp(coefficient[j]), "hazard_ratio_without": np.exp(without),
                "change": np.exp(without - coefficient[j]) - 1, "refitted": refitted,
                "conclusion": _conclusion(coefficient[j], spread[j]), "conclusion_without": _conclusion(without, spread[j]),
            })  # fmt: skip
    return Strongest(pd.DataFrame(rows, columns=INFLUENCE), _spread_of(influence, coefficient, refits), len(refits))


def _extreme(dfbeta: np.ndarray) -> list[int]:
    """The customers that move one coefficient most, and the one that moves it most the other way; strongest first."""
    order = np.argsort(-np.abs(dfbeta), kind="stable")
    first = [int(i) for i in order[:STRONGEST]]
    ends = [int(np.argmin(dfbeta)), int(np.argmax(dfbeta))]
    return sorted({*first, *ends}, key=lambda i: (-abs(dfbeta[i]), i))


def _candidates(
    influence: Influence, chosen: dict[int, list[int]], coefficient: np.ndarray, spread: np.ndarray
) -> list[int]:
    """Whom to leave out first: who would change a conclusion by dfbeta, then the strongest of each covariate."""
    changing = [
        (-_strength(influence, i, j), i)
        for j, rows in chosen.items()
        for i in rows
        if _conclusion(coefficient[j] - influence.dfbeta[i, j], spread[j]) != _conclusion(coefficient[j], spread[j])
    ]
    strongest_of = [(-_strength(influence, rows[0], j), rows[0]) for j, rows in chosen.items()]
    return list(dict.fromkeys(i for _, i in [*sorted(changing), *sorted(strongest_of)]))


def _strength(influence: Influence, i: int, j: int) -> float:
    """By how many standard errors a customer moves a coefficient, without sign."""
    return abs(float(influence.dfbeta[i, j] / influence.standard_error[j]))


def _refits(study: Study, made: Models, influence: Influence, candidates: Sequence[int]) -> dict[Any, dict[str, float]]:
    """Customer -> the coefficients without them, of the first candidates, as many as fit the time."""
    frame, full = study.episodes(made.definition), made.full
    most = min(MOST_REFITS, REFITTED_EPISODES // max(len(frame), 1))
    found: dict[Any, dict[str, float]] = {}
    for i in candidates[:most]:
        who = influence.customer[i]
        try:
            fit = cox(frame[frame["customer"] != who], full.options.formula, **{**options(study), "robust": False})
        except EstimationError:
            continue
        found[who] = dict(zip(fit.names, fit.coefficients))
    return found


def _conclusion(coefficient: float, spread: float) -> str:
    if not np.isfinite(coefficient):
        return "not estimable"
    ratio, low, high = np.exp([coefficient, coefficient - spread, coefficient + spread])
    return conclusion({"hazard_ratio": ratio, "ci_lower": low, "ci_upper": high})


def _spread_of(influence: Influence, coefficient: np.ndarray, refits: dict[Any, dict[str, float]]) -> pd.DataFrame:
    """Quantiles of dfbeta in standard errors, and the ends of the change of the ratio: refitted where that was done."""
    columns = range(len(influence.names))  # one at a time: no second array of customers x covariates
    quantiles = np.array([np.quantile(influence.dfbeta[:, j], [0, 0.01, 0.5, 0.99, 1]) for j in columns]).T
    quantiles = quantiles / influence.standard_error
    known = {who: int(np.flatnonzero(influence.customer == who)[0]) for who in refits}
    change = np.empty((2, len(influence.names)))
    for j, name in enumerate(influence.names):
        moved = -influence.dfbeta[:, j]
        for who, i in known.items():
            moved[i] = refits[who].get(name, np.nan) - coefficient[j]
        change[:, j] = np.expm1([np.nanmin(moved), np.nanmax(moved)])
    return pd.DataFrame(
        {
            "covariate": list(influence.names),
            **dict(zip(SPREAD[1:6], quantiles)),
            "change_low": change[0],
            "change_high": change[1],
        }
    )


def agreement(study: Study, made: Models) -> RiskGroups:
    """Churns observed and expected by predicted risk and period; the cells have their period in words."""
    study.step(f"{made.definition}: observed and expected churns by risk")
    found = risk_groups(made.full)
    words = [period_label(since, until) for since, until in zip(found.cells["since"], found.cells["until"])]
    return RiskGroups(found.groups, found.cells.assign(period=words), found.overall, found.by_period)


def outliers(study: Study, made: Models) -> Outliers:
    """Customers whose stay is furthest from what the model expects."""
    people = customer_residuals(made.full)
    churned = people["churned"].to_numpy() > 0
    deviance = people["deviance"].to_numpy()
    far = np.abs(deviance) > FAR
    chosen = [*_furthest(deviance, churned), *_furthest(-deviance, ~churned)]
    listed = people.iloc[chosen]
    names = customer_names(study, set(listed["customer"]))
    listed = listed.assign(definition=made.definition, customer=[names[c] for c in listed["customer"]])[OUTLIERS]
    return Outliers(
        listed.reset_index(drop=True),
        _histogram(deviance, churned),
        int((far & churned).sum()),
        int((far & ~churned).sum()),
    )


def _furthest(values: np.ndarray, mine: np.ndarray) -> list[int]:
    """Of some of the customers, those with the largest values above 0, largest first."""
    there = np.flatnonzero(mine & (values > 0))
    return [int(i) for i in there[np.argsort(-values[there], kind="stable")[:LISTED]]]


def _histogram(deviance: np.ndarray, churned: np.ndarray) -> pd.DataFrame:
    step = np.floor(np.round(deviance / BIN, 9)).astype(int)  # a value on an edge is above it, whatever its last bits
    parts = []
    for kind in (True, False):
        place, customers = np.unique(step[churned == kind], return_counts=True)
        edges = np.round(np.column_stack((place, place + 1)) * BIN, 10)
        parts.append(
            pd.DataFrame({"churned": kind, "lower": edges[:, 0], "upper": edges[:, 1], "customers": customers})
        )
    return pd.concat(parts, ignore_index=True)[BINS]


def customer_names(study: Study, codes: Iterable[Any]) -> dict[Any, str]:
    """What reports call customers: as `keep_customers` says, their pseudonym, their id, or 'not named'."""
    wanted: Sequence[int] = sorted(int(code) for code in codes)
    how = study.config.keep_customers
    if how == "none" or not wanted:
        return dict.fromkeys(wanted, NOT_NAMED)
    rows = study.tables.customers.select("customer", "customer_id")
    frame = study.tables.engine.arrow(rows.filter(rows["customer"].isin(wanted)).order_by("customer")).to_pandas()
    named = frame["customer_id"].astype(str) if how == "ids" else pseudonyms(frame["customer_id"])
    return {int(code): str(name) for code, name in zip(frame["customer"], named)}
