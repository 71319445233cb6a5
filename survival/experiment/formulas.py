"""Formulas taken apart: their terms, what is left without some names, and the formula that a definition is modelled with."""

from __future__ import annotations

from collections.abc import Collection

from survival.estimate.design import term_formulas, term_variables
from survival.experiment.config import Experiment
from survival.experiment.references import used_indicators
from survival.indicators import circularity

COMPARE_DEFINITIONS = frozenset(
    {"churn_definitions"}
)  # studies that fit no indicator which the definition is built from


def terms(formula: str) -> dict[str, tuple[str, ...]]:
    """Each term of a right-hand side and the names that it reads, in their order."""
    return term_variables(formula)


def without(formula: str, names: Collection[str]) -> str:
    """The formula without the terms that read one of `names`; '' when nothing is left."""
    if not names or not formula:
        return formula
    written = term_formulas(formula)
    return " + ".join(written[term] for term, read in terms(formula).items() if not set(read) & set(names))


def circular(config: Experiment, name: str) -> tuple[str, ...]:
    """The indicators in use that read the table whose silence is this churn, within its window."""
    used = {n: config.indicators[n] for n in used_indicators(config)}
    return tuple(finding.subject for finding in circularity(config.churn[name], used))


def formula_of(config: Experiment, name: str) -> str:
    """The formula of a definition's model: the config's, in a study of definitions without what the definition is built from."""
    formula = config.model.formula or ""
    return without(formula, circular(config, name)) if config.study in COMPARE_DEFINITIONS else formula
