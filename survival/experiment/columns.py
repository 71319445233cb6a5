"""Names in a config that only the header of the customers table can explain."""

from __future__ import annotations

from pathlib import Path

from survival.cohorts import COHORT, PERIODS
from survival.data import customer_attributes, found_files
from survival.errors import ConfigError, DataError
from survival.experiment.config import Experiment
from survival.experiment.problems import Problem, listing, render, suggestion
from survival.experiment.references import adjusted_names, formula_names, made_columns, model_names, used_indicators
from survival.experiment.source import Source
from survival.experiment.study import needed
from survival.indicators import CALENDAR


def check_inputs(path: Path, experiment: Experiment, source: Source, root: Path) -> None:
    """Raises ConfigError for files that are not there and for names that mean nothing, before anything is computed."""
    problems = []
    tables = experiment.data.tables
    read = {*needed(experiment), *(t.derive_from for t in tables.values() if t.derive_from)}
    for name, table in tables.items():
        if table.path is not None and name in read:
            try:
                found_files(name, table.paths, root)
            except DataError as error:
                problems.append(Problem(("data", "tables", name), str(error).removeprefix(f"{name}: ")))
    if problems:
        raise ConfigError(render(path, source, problems))
    check_names(path, experiment, source, root)


def located(error: DataError, source: Source) -> DataError:
    """The error with the place in the config of each table, or definition, that its lines are about."""
    return type(error)("\n".join(_placed(line, source) for line in str(error).splitlines()))


def _placed(line: str, source: Source) -> str:
    bare = line.removeprefix("- ")
    subject, _, said = bare.partition(": ")
    for path in (("data", "tables", subject), ("churn", subject)):
        if path in source.places:
            return f"{line[: len(line) - len(bare)]}{source.place(path)}, {'.'.join(path)}: {said}"
    return line


def check_names(path: Path, experiment: Experiment, source: Source, root: Path) -> None:
    """Raises ConfigError for names of the model that are no indicator, column of customers or cohort, or that are two of them."""
    problems = name_problems(experiment, root)
    if problems:
        raise ConfigError(render(path, source, problems))


def name_problems(experiment: Experiment, root: Path) -> list[Problem]:
    """The same as a list.

    Reads the header of the customers table only; one that cannot be read is left to `open_tables`, which says why.
    """
    subgroups = experiment.model.subgroups
    problems = period_problems(experiment)
    by_column = experiment.cohorts is not None and experiment.cohorts.by not in PERIODS
    described, adjusted = experiment.characteristics.columns, adjusted_names(experiment)
    if not any((model_names(experiment), subgroups, by_column, described, adjusted)):
        return problems
    try:
        columns = customer_attributes(experiment.data, root=root)
    except DataError:
        return problems
    problems += _cohort_problems(experiment, columns)
    problems += [p for name in model_names(experiment) for p in _problems(name, experiment, columns)]
    problems += [p for name in subgroups for p in _subgroup_problems(name, experiment, columns)]
    problems += [p for name in described for p in _described_problems(name, experiment, columns)]
    return problems + [p for name in adjusted for p in _adjusted_problems(name, experiment, columns)]


def period_problems(experiment: Experiment) -> list[Problem]:
    """An observed period that ends before it begins."""
    observed = experiment.data.observed
    if observed.from_ is None or observed.until is None or observed.from_ <= observed.until:
        return []
    message = f"got {observed.until}, which is before observed.from ({observed.from_}): nobody could be observed."
    return [Problem(("data", "observed", "until"), message)]


def _cohort_problems(experiment: Experiment, columns: list[str]) -> list[Problem]:
    """Cohorts are by signup period, or by a column of customers."""
    there = [*PERIODS, *columns, *made_columns(experiment)]
    if experiment.cohorts is None or experiment.cohorts.by in there:
        return []
    by = experiment.cohorts.by
    message = (
        f"'{by}' is no signup period and no column of customers.{suggestion(by, there)} Allowed: {listing(there)}."
    )
    return [Problem(("cohorts", "by"), message)]


def _subgroup_problems(name: str, experiment: Experiment, columns: list[str]) -> list[Problem]:
    """Subgroups are by what does not change over time, or by a flag that the formula reads anyway."""
    there = [*columns, *made_columns(experiment), COHORT, *PERIODS]
    flags = [n for n in used_indicators(experiment) if experiment.indicators[n].is_flag]
    place = ("model", "subgroups")
    if name == COHORT and not experiment.cohorts:
        return [Problem(place, "'cohort' is named, but the config has no `cohorts:`. Add one, such as {by: plan}.")]
    if name in there or name in flags:
        return []
    near = suggestion(name, [*there, *flags])
    lists = f"Columns of customers: {listing(columns)}. Flags of the formula: {listing(flags)}."
    return [Problem(place, f"'{name}' is no column of customers, no cohort and no flag of the formula.{near} {lists}")]


def _described_problems(name: str, experiment: Experiment, columns: list[str]) -> list[Problem]:
    """Characteristics are columns of customers, or covariates that the table shows anyway."""
    there = [*columns, *made_columns(experiment), COHORT, *PERIODS]
    if name in there or name in model_names(experiment):
        return []
    unused = " Indicators are shown when the formula names them." if name in experiment.indicators else ""
    message = f"'{name}' is no column of customers.{unused}{suggestion(name, there)} Columns of customers: {listing(columns)}."
    return [Problem(("characteristics", "columns"), message)]


def _adjusted_problems(name: str, experiment: Experiment, columns: list[str]) -> list[Problem]:
    """Groups and what they are adjusted for are fixed for a customer: no indicator, which changes over time."""
    assert experiment.adjusted is not None
    place = ("adjusted", "by" if name == experiment.adjusted.by else "for")
    if name == COHORT and not experiment.cohorts:
        return [Problem(place, "'cohort' is named, but the config has no `cohorts:`. Add one, or name another column.")]
    there = [*columns, *made_columns(experiment), COHORT, *PERIODS]
    if name in there:
        return []
    if name in experiment.indicators:
        why = (
            f"'{name}' is an indicator: it changes over time, and what a customer does later may follow from the group."
        )
        return [Problem(place, f"{why} Name columns of customers: {listing(columns)}.")]
    return [
        Problem(place, f"'{name}' is no column of customers.{suggestion(name, there)} Allowed: {listing(columns)}.")
    ]


def _problems(name: str, experiment: Experiment, columns: list[str]) -> list[Problem]:
    place = ("model", "formula" if name in formula_names(experiment.model.formula) else "strata")
    columns = [*columns, *made_columns(experiment)]
    if name == CALENDAR and experiment.calendar and name in columns:
        return [
            Problem(
                place, f"'{name}' is made by `calendar:` and a column of customers. Map the column to another name."
            )
        ]
    known = [*experiment.indicators, *columns, COHORT, *PERIODS, *([CALENDAR] if experiment.calendar else [])]
    if name not in known:
        near = suggestion(name, known)
        there = f"Indicators: {listing(experiment.indicators)}. Columns of customers: {listing(columns)}."
        return [Problem(place, f"'{name}' is no indicator, no column of customers and no cohort.{near} {there}")]
    if name in experiment.indicators and name in columns:
        return [Problem(place, f"'{name}' is an indicator and a column of customers. Rename the indicator.")]
    return []
