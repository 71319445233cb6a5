"""The audit of one definition of a study: every trap in turn, before anything is fitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from survival.audit.attributes import attributes
from survival.audit.calendar import calendar_findings
from survival.audit.causes import causes
from survival.audit.cohorts import small_cohorts
from survival.audit.covariates import coefficients, covariates, few_events, kinds, missing_values, switches
from survival.audit.filters import filters
from survival.audit.logs import logs_end_early
from survival.audit.returns import returns, unclustered
from survival.audit.structure import structure
from survival.audit.ties import ties
from survival.churn.spells import Spells
from survival.cohorts import COHORT
from survival.data import Tables
from survival.episodes import BuiltEpisodes
from survival.estimate.design import formula_variables
from survival.findings import Finding
from survival.flows.door import flows
from survival.flows.table import Flows


@dataclass(frozen=True)
class Case:
    """What one definition of a study will be estimated from, and how.

    spells   who was at risk; their tables may have a column `cohort`
    built    the episodes of the model's indicators; None when the study has no formula
    formula  of the model, with the columns by which it is stratified and its method for ties
    missing  what the config says about missing values, of all covariates or of each
    robust   what the config says about the variance; None: clustered by customer where customers have several rows
    curves   whether retention curves are drawn
    """

    spells: Spells
    built: BuiltEpisodes | None = None
    formula: str = ""
    strata: tuple[str, ...] = ()
    method: str = "efron"
    missing: str | Mapping[str, str] = "error"
    curves: bool = True
    cohort_by: str = ""
    robust: bool | None = None
    _flows: dict[tuple[str, ...], Flows] = field(default_factory=dict, compare=False)

    @property
    def tables(self) -> Tables:
        """The checked tables."""
        return self.spells.tables

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every name of the model: of its formula, then its strata."""
        read = formula_variables(self.formula) if self.formula and self.built is not None else ()
        return tuple(dict.fromkeys([*read, *(self.strata if self.built is not None else ())]))

    @property
    def columns(self) -> list[str]:
        """The columns of customers in use, but those made from the signup day."""
        indicators = self.built.indicators if self.built is not None else {}
        made = (COHORT, "signup_month", "signup_quarter", "signup_year")
        named = [*self.names, *([self.cohort_by] if self.cohort_by else [])]
        return list(dict.fromkeys(n for n in named if n not in indicators and n not in made))

    @property
    def read(self) -> set[str]:
        """The tables that decide who left."""
        return set(self.spells.definition.reads()) - {"customers"}

    def counts(self, by: Sequence[str]) -> Flows:
        """The flows of the spells by columns of customers."""
        key = tuple(by)
        if key not in self._flows:
            self._flows[key] = flows(self.spells, by=by)
        return self._flows[key]


def audit(case: Case) -> tuple[Finding, ...]:
    """Every finding of one definition that counts alone can tell: nothing is fitted, and no row is looped over.

    Findings of the tables, of the definition and of the indicators' look-back are those of `Tables`, `Spells`, `Episodes`;
    the rebuild from truncated facts is `look_ahead`, which costs as much as building the episodes again.
    """
    return tuple(_findings(case))


def _findings(case: Case) -> Iterator[Finding]:
    spells, about = case.spells, case.spells.definition.kind
    yield from structure(spells)
    yield from logs_end_early(case.tables, case.read)
    yield from filters(case.tables, case.read)
    yield from calendar_findings(spells)
    yield from causes(spells, curves=case.curves)
    yield from returns(spells, case.read)
    yield from attributes(spells, case.columns)
    fixed = tuple(n for n in case.strata if n in case.tables.customers.columns)  # those that do not change
    if case.formula:
        yield from unclustered(spells, case.robust)
        yield from ties(case.counts(fixed), case.method, about, fixed)
    if COHORT in case.tables.customers.columns and case.curves:
        yield from small_cohorts(case.counts([COHORT]), about)
    if case.built is not None and case.names:
        yield from _of_the_model(case, case.built, about)


def _of_the_model(case: Case, built: BuiltEpisodes, about: str) -> Iterator[Finding]:
    yield from missing_values(built, case.names, case.missing)
    kind = kinds(built, [n for n in case.names if n not in case.strata])
    flags, texts = ([n for n in kind if kind[n] == what] for what in ("flag", "text"))
    if "identifier" in kind.values():  # said by `attributes`
        return
    counts = flows(built, by=[*flags, *texts])
    if flags or texts:
        yield from covariates(switches(counts, flags, texts))
    numbers = [n for n in kind if kind[n] == "number"]
    yield from few_events(counts.total_events, coefficients(case.formula, counts.patterns, numbers), about)
