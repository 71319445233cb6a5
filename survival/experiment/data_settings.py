"""Settings that only the data can rule out: groups that are too many, functions of text; said before anything is fitted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from survival.cohorts import COHORT
from survival.errors import ArgumentError, ConfigError, StructureError
from survival.estimate.adjusted_population import MOST_GROUPS
from survival.estimate.design import design, term_formulas, term_variables
from survival.experiment.problems import Problem, listing, render
from survival.experiment.source import KeyPath, Source
from survival.experiment.study import Study
from survival.experiment.subgroups import MOST_LEVELS

_ROWS = 10_000  # different rows of what a term reads, on which it is tried


def refuse_settings(path: Path, study: Study, source: Source) -> None:
    """Raises ConfigError with every setting that the data do not allow."""
    problems = setting_problems(study)
    if problems:
        raise ConfigError(render(path, source, problems))


def setting_problems(study: Study) -> list[Problem]:
    """Every setting that the data do not allow. Reads the customers table, and who is at risk where groups seem too many."""
    model, spec = study.config.model, study.config.adjusted
    problems = list(_of_text(study, model.formula, ("model", "formula"))) if model.formula else []
    for name in model.subgroups:
        n = _levels(study, name, MOST_LEVELS)
        if n > MOST_LEVELS:
            way = "Name a column with fewer, or divide a number: cohorts: {by: NAME, cuts: [10, 50]} and the subgroup cohort."
            message = f"'{name}' has {n:,} levels, and hazard ratios are shown within at most {MOST_LEVELS}. {way}"
            problems.append(Problem(("model", "subgroups"), message))
    if spec is None:
        return problems
    n = _levels(study, spec.by, MOST_GROUPS)
    if n > MOST_GROUPS:
        groups = "there are" if spec.by == COHORT else f"'{spec.by}' has"
        way = "Name a text column with fewer, or divide a number: cohorts: {by: NAME, cuts: [10, 50]} and adjusted.by: cohort."
        problems.append(
            Problem(
                ("adjusted", "by"), f"{groups} {n:,} groups, more than the {MOST_GROUPS} that can be compared. {way}"
            )
        )
    return [*problems, *_of_text(study, spec.formula, ("adjusted", "for"))]


def _levels(study: Study, name: str, most: int) -> int:
    """Different values of a column of customers; where they are more than `most`, of those at risk under any one definition.

    0 for what is no column of customers: an indicator.
    """
    people = study.tables.customers
    if name not in people.columns:
        return 0
    known = people.filter(people[name].notnull())
    every = study.tables.engine.arrow(known.select(name).distinct()).num_rows
    if every <= most:
        return every
    at_risk = [known.semi_join(study.spells(definition).at_risk, "customer") for definition in study.definitions]
    return min(study.tables.engine.arrow(rows.select(name).distinct()).num_rows for rows in at_risk)


def _of_text(study: Study, formula: str, place: KeyPath) -> Iterator[Problem]:
    """Terms such as log(plan): a function of numbers, given text."""
    people, written = study.tables.customers, term_formulas(formula)
    for term, read in term_variables(formula).items():
        text = [name for name in read if name in people.columns and people[name].type().is_string()]
        if not text or not set(read) <= set(people.columns) or set(term.split(":")) == set(read):
            continue
        rows = study.tables.engine.arrow(people.select(*read).drop_null().distinct().limit(_ROWS)).to_pandas()
        try:
            design(rows, written[term])
        except StructureError:  # values out of a function's range: the fit names the rows
            continue
        except ArgumentError as error:
            if "NameError" in str(error):  # no such function, which the audit says
                continue
            what = f"customers.{listing(text)} holds text, in all rows or in some"
            way = f"Name a text column by itself, as in {text[0]}."
            yield Problem(place, f"{term} cannot be computed: {what}. {way}")
