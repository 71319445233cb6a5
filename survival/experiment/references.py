"""Names in a config that must mean something: definitions, indicators, columns, cohorts, studies."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from survival.audit import CATALOGUE
from survival.churn import TRIAL, Definition, FirstOf, combining_mistakes
from survival.cohorts import COHORT, PERIODS
from survival.errors import ArgumentError
from survival.estimate.design import formula_variables, term_variables
from survival.experiment.problems import Problem, listing, suggestion
from survival.indicators import CALENDAR

if TYPE_CHECKING:
    from survival.experiment.config import Experiment


def formula_names(formula: str | None) -> list[str]:
    """The names that a right-hand side reads, in order of appearance; none without a formula."""
    return list(_variables(formula)) if formula else []


@lru_cache(maxsize=64)
def _variables(formula: str) -> tuple[str, ...]:
    return formula_variables(formula)  # parsing costs a millisecond, and every look at a study's indicators asks


def model_names(experiment: Experiment) -> list[str]:
    """Every name that the model reads: of its formula, then its strata."""
    names = [*formula_names(experiment.model.formula), *experiment.model.strata]
    return list(dict.fromkeys(names))


def used_indicators(experiment: Experiment) -> list[str]:
    """The indicators "in use": those that the model's formula or strata name, in the order of the config."""
    return [name for name in experiment.indicators if name in model_names(experiment)]


def uses_calendar(experiment: Experiment) -> bool:
    """Whether the model names the covariate `calendar` that the config makes."""
    return experiment.calendar is not None and CALENDAR in model_names(experiment)


def customer_columns(experiment: Experiment) -> list[str]:
    """The names of the model, of the cohorts, the characteristics and the adjusted curves that must be columns of `customers`."""
    made = (COHORT, *PERIODS, *made_columns(experiment), *([CALENDAR] if experiment.calendar else []))
    read = [*model_names(experiment), *experiment.model.subgroups, *experiment.characteristics.columns]
    read += adjusted_names(experiment)
    names = [n for n in read if n not in experiment.indicators and n not in made]
    by = experiment.cohorts.by if experiment.cohorts else None
    return list(dict.fromkeys([*names, *([by] if by and by not in made else [])]))


def adjusted_names(experiment: Experiment) -> list[str]:
    """The columns of customers that adjusted curves read: the groups, and what is adjusted for."""
    spec = experiment.adjusted
    return [] if spec is None else [spec.by, *spec.covariates]


def made_columns(experiment: Experiment) -> tuple[str, ...]:
    """The columns of customers that the definitions make: `trial`, where one has `trials: stratum`."""
    modelled = [experiment.churn[name] for name in experiment.modelled if name in experiment.churn]
    return (TRIAL,) if any(_stratifies(definition, experiment) for definition in modelled) else ()


def _stratifies(definition: Definition, experiment: Experiment) -> bool:
    if isinstance(definition, FirstOf):
        if combining_mistakes(experiment.churn):
            return False
        return any(_stratifies(experiment.churn[name], experiment) for name in definition.of)
    return getattr(definition, "trials", None) == "stratum"


def unresolved(experiment: Experiment, studies: Sequence[str] | None) -> list[Problem]:
    """Every name that means nothing, or two things; what a table lacks is found when its header is read."""
    problems = [*_unknown_study(experiment, studies), *_unknown_definitions(experiment), *_unmapped_tables(experiment)]
    problems += [Problem(("churn", name, "of"), message) for name, message in combining_mistakes(experiment.churn)]
    unreadable = _unreadable_formula(experiment)
    problems += unreadable or [*_two_meanings(experiment), *_no_cohort(experiment), *_unknown_effects(experiment)]
    problems += [] if unreadable else _no_such_covariate(experiment)
    problems += _adjusted_for_itself(experiment)
    return [*problems, *_reserved(experiment), *_unknown_findings(experiment)]


def _unknown_findings(experiment: Experiment) -> list[Problem]:
    """Keys of `allow` that are no finding, and findings that are allowed without a reason."""
    problems = []
    for id_, reason in experiment.allow.items():
        if id_ not in CATALOGUE:
            there = suggestion(id_, CATALOGUE) or f" Allowed: {listing(sorted(CATALOGUE))}."
            problems.append(Problem(("allow", id_), f"no finding '{id_}'.{there}"))
        elif not reason.strip():
            problems.append(Problem(("allow", id_), "give the reason for accepting it; the report prints it."))
    return problems


def _unknown_study(experiment: Experiment, studies: Sequence[str] | None) -> list[Problem]:
    if studies is None or experiment.study in studies:
        return []
    near = suggestion(experiment.study, studies)
    return [Problem(("study",), f"no study '{experiment.study}'.{near} Allowed: {listing(studies)}.")]


def _unknown_definitions(experiment: Experiment) -> list[Problem]:
    known = list(experiment.churn)
    named = [(("model", "churn"), name) for name in experiment.modelled]
    named += [(("sensitivity", "churn"), name) for name in experiment.sensitivity.churn]
    return [
        Problem(path, f"no definition '{name}' under churn.{suggestion(name, known)} Allowed: {listing(known)}.")
        for path, name in named
        if name not in known
    ]


def _unreadable_formula(experiment: Experiment) -> list[Problem]:
    try:
        formula_names(experiment.model.formula)
    except ArgumentError as error:
        return [Problem(("model", "formula"), f"{error}. Write it as in: low_usage + plan.")]
    return []


def _unknown_effects(experiment: Experiment) -> list[Problem]:
    """Partial effects of what the model does not read."""
    known = model_names(experiment)
    return [
        Problem(
            ("model", "partial_effects"), f"the model has no '{n}'.{suggestion(n, known)} Allowed: {listing(known)}."
        )
        for n in experiment.model.partial_effects
        if n not in known
    ]


def _adjusted_for_itself(experiment: Experiment) -> list[Problem]:
    """Groups that are compared as if they were alike in what makes them groups."""
    spec, cohorts = experiment.adjusted, experiment.cohorts
    if spec is None:
        return []
    column = {COHORT: cohorts.by} if cohorts else {}
    by = column.get(spec.by, spec.by)
    same = [term for term, read in term_variables(spec.formula).items() if {column.get(n, n) for n in read} == {by}]
    groups = f"cohorts by {by}" if spec.by == COHORT and cohorts else f"adjusted.by: {spec.by}"
    return [
        Problem(
            ("adjusted", "for"),
            f"cannot adjust {by} for {term}: the groups ({groups}) are made by it, and customers of one group do not differ in it. "
            "Leave it out, or name another column in adjusted.by.",
        )
        for term in same
    ]


def _two_meanings(experiment: Experiment) -> list[Problem]:
    both = [
        n for n in formula_names(experiment.model.formula) if n in experiment.indicators and n in (COHORT, *PERIODS)
    ]
    return [
        Problem(("model", "formula"), f"'{n}' names an indicator and the cohort. Rename the indicator.") for n in both
    ]


def _no_such_covariate(experiment: Experiment) -> list[Problem]:
    """Keys of `model.missing` that the model does not read."""
    missing = experiment.model.missing
    read = list(dict.fromkeys([*model_names(experiment), *adjusted_names(experiment)]))
    return [
        Problem(
            ("model", "missing", name),
            f"the model has no covariate '{name}'.{suggestion(name, read)} It has: {listing(read)}.",
        )
        for name in (missing if isinstance(missing, dict) else ())
        if name not in read
    ]


def _unmapped_tables(experiment: Experiment) -> list[Problem]:
    """A definition or an indicator that reads a table which the config does not map."""
    mapped = experiment.data.tables
    single = {
        name: spec for name, spec in experiment.churn.items() if not isinstance(spec, FirstOf)
    }  # the parts are there
    read = [(("churn", name), spec.reads()) for name, spec in single.items()]
    read += [(("indicators", name), spec.reads()) for name, spec in experiment.indicators.items()]
    return [
        Problem(path, f"reads the table '{table}', which data.tables does not map. Mapped: {listing(mapped)}.")
        for path, tables in read
        for table in tables
        if table not in mapped
    ]


def _reserved(experiment: Experiment) -> list[Problem]:
    taken = {"customer", "customer_id", "spell", "start", "stop", "event", "cause", COHORT, *PERIODS}
    taken |= {*made_columns(experiment), *([CALENDAR] if experiment.calendar else [])}
    return [
        Problem(("indicators", name), f"'{name}' is a column of every episode. Choose another name.")
        for name in experiment.indicators
        if name in taken
    ]


def _no_cohort(experiment: Experiment) -> list[Problem]:
    if COHORT not in model_names(experiment) or experiment.cohorts:
        return []
    return [
        Problem(
            ("model", "formula"), "'cohort' is named, but the config has no `cohorts:`. Add one, such as {by: plan}."
        )
    ]
