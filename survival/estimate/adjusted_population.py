"""Whom adjusted curves are of: the groups with their crude curves, and the distinct covariate patterns of customers.

Customers who share all covariates share their prediction, so that what follows costs patterns x tenures, not customers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from survival.errors import ArgumentError, EstimationError
from survival.estimate.curves import Curves
from survival.estimate.design import Coding, formula_variables
from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.risk_sets import Floats, Ints, sums_by
from survival.findings import Finding
from survival.flows.columns import column_names, numbers, read_columns
from survival.flows.frames import EpisodeArrays, arrays_of, pattern_codes
from survival.flows.table import Flows

if TYPE_CHECKING:
    from survival.estimate.cox_fit import CoxFit

MOST_GROUPS = 60
ENTRY = "entry"
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Population:
    """Customers by pattern: `patterns` (P rows) without the column of the groups, weight (P,) of the customers in each."""

    patterns: pd.DataFrame
    weight: Floats


@dataclass(frozen=True, eq=False)
class Groups:
    """The G groups of `by` and who is in them.

    crude: their Kaplan-Meier curves, in the order of the groups; everybody: all of their customers by pattern;
    weight (G, P) of each group's own customers by pattern. Of a frame: `episodes` with `group` and `pattern` (n,) of each
    episode's customer at entry, and `unit` (n,) of the robust variance; of flows None.
    """

    crude: Curves
    everybody: Population
    weight: Floats
    episodes: EpisodeArrays | None = None
    group: Ints | None = None
    pattern: Ints | None = None
    unit: Ints | None = None


def held_variables(fit: CoxFit, by: str) -> list[str]:
    """The columns that a customer's prediction reads beside the group: covariates, strata, offset."""
    options = fit.options
    names = [*formula_variables(options.formula), *options.strata, *([options.offset] if options.offset else [])]
    return [name for name in dict.fromkeys(names) if name != by]


def groups_of(fit: CoxFit, frame: Any, by: str, hold: str | None, level: float, interval: Any, order: Any) -> Groups:
    """The groups of `frame`, episodes with the columns of the fit, or flows. See `adjusted_curves` for what is refused."""
    if isinstance(frame, Flows):
        return _of_flows(fit, frame, by, hold, level, interval, order)
    options = fit.options
    times = [options.stop, options.event, options.start, options.weights, options.customer, options.spell]
    variables = held_variables(fit, by)
    table = read_columns(frame, [*times, options.cluster, by, *variables])
    given: dict[str, Any] = {"weights": options.weights, "customer": options.customer, "spell": options.spell}
    crude = kaplan_meier(
        table, options.stop, options.event, options.start, by=by, level=level, interval=interval, order=order,
        cluster=options.cluster, **given,
    )  # fmt: skip
    _few_groups(crude, by)
    episodes = arrays_of(table, options.stop, options.event, options.start, **given)
    first = _first_rows(episodes.customer, episodes.start)
    group = _group_codes(table[by], crude.groups)
    _refuse_changes(table, [by], first, episodes.customer, None, by)
    _refuse_changes(table, variables, first, episodes.customer, hold, by)
    code, patterns = pattern_codes(table.iloc[first], variables, first.size)
    shape = (len(crude.groups), len(patterns))
    cell = group[first] * shape[1] + code
    weight = sums_by(cell, episodes.weight[first], shape[0] * shape[1]).reshape(shape)
    everybody = Population(patterns, weight.sum(axis=0))
    customer = episodes.customer
    unit = pd.factorize(table[options.cluster])[0].astype(np.intp) if options.cluster else customer
    return Groups(crude, everybody, weight, episodes, group[first][customer], code[customer], unit)


def _of_flows(fit: CoxFit, flows: Flows, by: str, hold: str | None, level: float, interval: Any, order: Any) -> Groups:
    there, variables = list(flows.patterns.columns), held_variables(fit, by)
    missing = [name for name in [by, *variables] if name not in there]
    if missing:
        raise ArgumentError(
            f"'{missing[0]}' is no column of the flows' patterns (there: {', '.join(map(str, there))}); count flows by it too"
        )
    if hold is None and abs(flows.entered.sum() - flows.began.sum()) > _ROUNDING * flows.entered.sum():
        raise _changing("the flows are cut where covariates change", by)
    crude = kaplan_meier(flows, by=by, level=level, interval=interval, order=order)
    _few_groups(crude, by)
    began = sums_by(flows.pattern, flows.began, len(flows.patterns))
    group = _group_codes(flows.patterns[by], crude.groups)
    code, patterns = pattern_codes(flows.patterns, variables, len(flows.patterns))
    weight = np.zeros((len(crude.groups), len(patterns)))
    np.add.at(weight, (group, code), began)
    return Groups(crude, Population(patterns, weight.sum(axis=0)), weight)


def reference_population(fit: CoxFit, reference: Any, by: str, hold: str | None) -> Population:
    """The customers of another frame (a row each, or the first of their episodes), or of flows, by pattern."""
    variables = held_variables(fit, by)
    if isinstance(reference, Flows):
        code, patterns = pattern_codes(reference.patterns, variables, len(reference.patterns))
        return _somebody(Population(patterns, sums_by(code[reference.pattern], reference.began, len(patterns))))
    there, options = column_names(reference), fit.options
    who, start, weights = (
        name if name in there else None for name in (options.customer, options.start, options.weights)
    )
    table = read_columns(reference, [*variables, who, start, weights])
    rows = np.arange(len(table))
    if who is not None:
        customer = pd.factorize(table[who])[0].astype(np.intp)
        rows = _first_rows(customer, numbers(table, start, "start") if start else np.zeros(len(table)))
        _refuse_changes(table, variables, rows, customer, hold, by)
    code, patterns = pattern_codes(table.iloc[rows], variables, rows.size)
    each = numbers(table, weights, "weights")[rows] if weights else np.ones(rows.size)
    return _somebody(Population(patterns, sums_by(code, each, len(patterns))))


def _somebody(population: Population) -> Population:
    if not population.weight.sum() > 0:
        raise ArgumentError("reference: the frame has no customers; leave it out to standardise to those of the groups")
    return population


def _first_rows(customer: Ints, start: Floats) -> Ints:
    """The row of each customer's (codes from 0) earliest episode."""
    order = np.lexsort((start, customer))
    return order[np.searchsorted(customer[order], np.arange(int(customer.max(initial=-1)) + 1))]


def _few_groups(crude: Curves, by: str) -> None:
    if len(crude) > MOST_GROUPS:
        raise ArgumentError(
            f"by='{by}' has {len(crude):,} values, more than {MOST_GROUPS} curves: divide customers into fewer groups first"
        )


def _group_codes(column: pd.Series, labels: Sequence[Any]) -> Ints:
    place = {label: i for i, label in enumerate(labels)}
    codes, values = pd.factorize(column)
    return np.array([place[value] for value in values], np.intp)[codes]


def _refuse_changes(
    table: pd.DataFrame, names: Sequence[str], first: Ints, customer: Ints, hold: str | None, by: str
) -> None:
    """ArgumentError for columns that change within a customer, unless they are held at their value on entry."""
    if hold == ENTRY or first.size == len(table):
        return
    changed = {}
    for name in names:
        codes = pd.factorize(table[name])[0]
        other = codes != codes[first][customer]
        if other.any():
            changed[name] = int(np.unique(customer[other]).size)
    if not changed:
        return
    if by in changed:
        raise ArgumentError(
            f"by='{by}' changes within {changed[by]:,} customers: a group must be fixed for a customer. Name one that was known "
            "on entry; for a covariate that changes, fit.partial_effects draws retention with it held at a value"
        )
    raise _changing(", ".join(f"'{name}' changes within {n:,} customers" for name, n in changed.items()), by)


def _changing(what: str, by: str) -> EstimationError:
    return ArgumentError(
        f"{what}: what a customer does later may follow from '{by}' and from tenure, and there is no one value to average "
        "over. Fit a model of covariates that are fixed on entry, or pass hold='entry': retention if everybody kept the "
        "values of the day of entry"
    )


def borrowed_levels(groups: Groups, population: Population) -> tuple[Finding, ...]:
    """A note for groups without a customer of some level of text that the population has: their prediction is the model's alone."""
    said: dict[str, list[str]] = {}
    for name in population.patterns.columns:
        if pd.api.types.is_numeric_dtype(population.patterns[name]):
            continue
        wanted = population.patterns[name][population.weight > 0].unique()
        own = groups.everybody.patterns[name].to_numpy()
        for level in wanted:
            there = groups.weight[:, own == level].sum(axis=1)
            for k in np.flatnonzero(there == 0):
                said.setdefault(str(groups.crude.groups[int(k)]), []).append(f"{name} '{level}'")
    if not said:
        return ()
    listed = "; ".join(f"{group}: {', '.join(levels)}" for group, levels in said.items())
    message = (
        f"groups without customers of a kind that the reference has ({listed}): for these the adjusted curve rests on the ratio seen in "
        "other groups. Merge levels, or read it with care"
    )
    return (Finding("borrowed-levels", "note", ", ".join(said), message),)


def inner_rows(fit: CoxFit, rows: pd.DataFrame) -> tuple[Floats, Floats, Ints]:
    """Of patterns with all columns: x (P, q) in the fit's inner units, offset (P,), stratum (P,)."""
    assert isinstance(fit.coding, Coding)
    columns = fit.coding.encode(rows)[:, [fit.columns[j] for j in fit.estimated]]
    offset = np.zeros(len(rows))
    if fit.options.offset:
        offset = numbers(rows, fit.options.offset, "offset") - fit.offset_centre
    return (columns - fit.inner[2]) / fit.inner[3], offset, _strata(fit, rows)


def _strata(fit: CoxFit, rows: pd.DataFrame) -> Ints:
    names = list(fit.options.strata)
    if not names:
        return np.zeros(len(rows), np.intp)
    known = {row: code for code, row in enumerate(fit.stratum_values.itertuples(index=False, name=None))}
    wanted = list(rows[names].itertuples(index=False, name=None))
    strange = sorted({str(row) for row in wanted if row not in known})
    if strange:
        raise ArgumentError(f"strata that were not fitted: {', '.join(strange[:5])}; fitted: {'; '.join(fit.strata)}")
    return np.array([known[row] for row in wanted], np.intp)
