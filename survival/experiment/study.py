"""What a study works with: the config, the checked tables, and the steps that all studies share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from survival.churn import Definition, Spells, spells, with_trial
from survival.churn.stays import stays
from survival.cohorts import COHORT, EVERYBODY, PERIODS, cohort_order, is_ordered, with_cohort
from survival.data import Tables, open_tables
from survival.episodes import BuiltEpisodes, Episodes, episodes
from survival.errors import ConfigError, DataError
from survival.estimate.cox_fit import CoxFit
from survival.estimate.curves import Curves
from survival.estimate.kaplan_meier import kaplan_meier
from survival.experiment.attrition import attrition
from survival.experiment.config import Experiment
from survival.experiment.episode_cache import EpisodeCache
from survival.experiment.missing import handled, handling
from survival.experiment.progress import Steps
from survival.experiment.references import (
    adjusted_names,
    customer_columns,
    made_columns,
    model_names,
    used_indicators,
    uses_calendar,
)
from survival.findings import Finding
from survival.flows.door import flows
from survival.flows.table import Flows
from survival.indicators import CALENDAR, Indicator, calendar_period, may_need, needs, warm_up_days
from survival.plot.numbers import counted
from survival.report.document import Block, Report, Table
from survival.report.tables import display_frame

SAID_ONCE = ("separation", "constant-covariate", "collinear", "competing-causes")  # by the audit, then by the fit
REVENUE_STUDIES = frozenset({"churn_rate"})
TERMS_STUDIES = frozenset({"cohort_retention"})  # mrr and billing periods of subscriptions that are read anyway


@contextmanager
def opened(config: Experiment, root: Path, step: Steps) -> Iterator[Study]:
    """A study on the checked tables of `config`; the scratch database is removed when the block ends."""
    step("reading and checking the tables")
    with open_tables(config.data, root=root, need=needed(config), optional=wanted(config)) as tables:
        yield Study(config, tables, step, EpisodeCache.of(root))


def needed(config: Experiment) -> dict[str, set[str]]:
    """Tables and columns that must be there: of the definitions modelled, the indicators in use, the model's names."""
    need = needs(*_readers(config))
    need.setdefault("customers", set()).update({"customer_id", *customer_columns(config)})
    grouped_by = [*([config.cohorts.by] if config.cohorts else []), *adjusted_names(config)]
    if set(PERIODS) & {*grouped_by, *model_names(config), *config.model.subgroups} or uses_calendar(config):
        need["customers"].add("signed_up_on")
    if _reads_revenue(config):
        need["customers"].add("signed_up_on")
        need.setdefault("subscriptions", set()).update({"customer_id", "started_on", "ended_on"})
    return need


def wanted(config: Experiment) -> dict[str, set[str]]:
    """Optional columns that are used where they are mapped."""
    optional = may_need(*_readers(config))
    if _reads_revenue(config):
        optional.setdefault("subscriptions", set()).add("mrr")
    if config.study in TERMS_STUDIES and "subscriptions" in needs(*_readers(config)):
        kept = {"mrr": config.retention.revenue, "billing_period_months": config.retention.billing}
        optional.setdefault("subscriptions", set()).update(name for name, wanted_ in kept.items() if wanted_)
    return optional


def _reads_revenue(config: Experiment) -> bool:
    """Whether the study counts revenue beside customers, where subscriptions are there to read it from."""
    return config.study in REVENUE_STUDIES and "subscriptions" in config.data.tables


def _readers(config: Experiment) -> list[Definition | Indicator]:
    read = dict.fromkeys([*config.modelled, *config.sensitivity.churn])
    return [config.churn[n] for n in read] + [config.indicators[n] for n in used_indicators(config)]


class Study:
    """The config, the checked tables, and what was computed from them so far; each thing is computed once.

    A study composes these with the library's functions and returns a Report. `step(name)` says what begins.
    """

    def __init__(self, config: Experiment, tables: Tables, step: Steps, cache: EpisodeCache | None = None) -> None:
        self.config = config
        self.step = step
        self._cache = cache
        self.tables = with_cohort(with_trial(tables) if made_columns(config) else tables, config.cohorts)
        self._noted: list[Finding] = list(tables.findings)
        self._spells: dict[str, Spells] = {}
        self._stays: dict[str, pd.DataFrame] = {}
        self._flows: dict[str, Flows] = {}
        self._curves: dict[str, Curves] = {}
        self._built: dict[str, BuiltEpisodes] = {}
        self._fitted: dict[str, pd.DataFrame] = {}
        self._gaps: dict[str, pd.DataFrame] = {}
        self._lost: dict[str, pd.DataFrame] = {}
        self.fits: dict[str, CoxFit] = {}  # the model of each definition that the run keeps customers' influence on
        self._lagged = False
        self.topics: list[str] = []

    # What the config says

    @property
    def definitions(self) -> tuple[str, ...]:
        """The churn definitions that the study models."""
        return self.config.modelled

    @property
    def indicators(self) -> dict[str, Indicator]:
        """The indicators in use: those that the model names."""
        return {name: self.config.indicators[name] for name in used_indicators(self.config)}

    @cached_property
    def covariates(self) -> dict[str, Indicator]:
        """What changes over time in the model: the indicators in use, and the calendar period where it names one."""
        if self.config.calendar is None or not uses_calendar(self.config):
            return self.indicators
        return {**self.indicators, CALENDAR: calendar_period(self.tables, self.config.calendar)}

    @property
    def has_cohorts(self) -> bool:
        """Whether the config divides the customers into cohorts."""
        return self.config.cohorts is not None

    @property
    def ordered(self) -> bool:
        """Whether the cohorts have an order: periods of signup, cuts of a number."""
        return is_ordered(self.config.cohorts)

    @property
    def cohort_title(self) -> str:
        """What the cohorts are called on axes and in tables."""
        by = self.config.cohorts.by if self.config.cohorts else EVERYBODY
        return by.replace("_", " ").capitalize()

    def slug(self, name: str) -> str:
        """`name` as part of a file's name: lower case, and different for different definitions."""
        slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "definition"
        same = [n for n in self.definitions if re.sub(r"[^a-z0-9]+", "_", n.lower()).strip("_") == slug]
        return slug if len(same) < 2 else f"{slug}_{same.index(name) + 1}"

    @property
    def labels(self) -> dict[str, str]:
        """What reports call the covariates: as the config says, else an indicator's name with blanks."""
        return {name: name.replace("_", " ") for name in self.config.indicators} | self.config.labels

    @property
    def lags_profiled(self) -> bool:
        """Whether the model was refitted with lagged indicators."""
        return self._lagged

    @property
    def late_entry(self) -> bool:
        """Whether somebody enters after tenure 0, under any definition."""
        return any(
            curve.entry > 0 or curve.risk.entered[1:].any() for n in self.definitions for curve in self.curves(n).curves
        )

    def require_formula(self) -> None:
        """Raises ConfigError when the config has no formula to fit."""
        if not self.config.model.formula:
            raise ConfigError(
                "model.formula is required by this study: name indicators and columns, such as low_usage + plan."
            )

    # What is computed

    def spells(self, name: str) -> Spells:
        """Every customer's time at risk under the definition; late entrants wait for the longest look-back in use."""
        if name not in self._spells:
            self.step(f"{name}: who was at risk, and when they left")
            made = self._made_spells(name, self._warm_up(name, self.indicators))
            self.note(made.findings, about=name)
            self._spells[name] = made
        return self._spells[name]

    def _made_spells(self, name: str, warm_up: int) -> Spells:
        """Spells; when nobody is at risk, what was noticed about the data is said with it, since it is the likely reason."""
        try:
            return spells(self.tables, self.config.churn[name], warm_up=warm_up)
        except DataError as error:
            noticed = [f"{finding.message}" for finding in self._noted if finding.severity == "warning"]
            raise DataError("\n".join([f"{name}: {error}", *noticed])) from None

    def _warm_up(self, name: str, indicators: dict[str, Indicator]) -> int:
        return warm_up_days(self.tables.observed, self.config.churn[name], indicators, self.config.update_every)

    def flows(self, name: str) -> Flows:
        """The flows by cohort: all that curves and rank tests need."""
        if name not in self._flows:
            self._flows[name] = flows(self.spells(name), by=[COHORT])
        return self._flows[name]

    def stays(self, name: str) -> pd.DataFrame:
        """The spells at risk with their cohort, and the mrr and billing period they began on: see `survival.churn.stays`."""
        if name not in self._stays:
            self._stays[name] = stays(self.spells(name), [COHORT])
        return self._stays[name]

    def several_spells(self, name: str) -> bool:
        """Whether customers have several spells, so that variances must add up by customer instead of by spell."""
        return self.spells(name).count > self.spells(name).customers

    def cohort_labels(self, name: str) -> list[str]:
        """The cohorts with somebody at risk, in their order."""
        return cohort_order(self.config.cohorts, self.flows(name).patterns[COHORT])

    def curves(self, name: str) -> Curves:
        """Kaplan-Meier curves by cohort."""
        if name not in self._curves:
            flows_by_cohort = self.flows(name)
            self.step(f"{name}: retention curves")
            labels, interval = self.cohort_labels(name), self.config.retention.interval
            data: Any = flows_by_cohort
            given: dict[str, Any] = {}
            if self.several_spells(name):  # flows do not know whose spells they are
                data, given = self.stays(name), {"start": "start", "customer": "customer", "spell": "spell"}
            made = kaplan_meier(
                data, by=COHORT, order=labels, level=self.config.level, interval=interval, robust=bool(given), **given
            )
            self.note(made.findings, about=name)
            self._curves[name] = made
        return self._curves[name]

    def episodes(self, name: str) -> pd.DataFrame:
        """The episodes that models are fitted to: covariates of the formula, missing values dealt with as configured."""
        if name not in self._fitted:
            made = handling(self.built(name).frame(), model_names(self.config), self.config.model.missing)
            self.note(made.findings, about=name)
            self._fitted[name], self._gaps[name], self._lost[name] = made.frame, made.gaps, made.lost
        return self._fitted[name]

    def gaps(self, name: str) -> pd.DataFrame:
        """The covariates of the model with missing values, and what became of them: see `Handled.gaps`."""
        self.episodes(name)
        return self._gaps[name]

    def built(self, name: str) -> BuiltEpisodes:
        """The same in the scratch database, as they are counted: missing values included."""
        if name not in self._built:
            at_risk = self.spells(name)
            self.step(f"{name}: episodes")
            every = self.config.update_every
            planned = episodes(at_risk, self.covariates, attributes=self.attributes, update_every=every)
            self.note(planned.findings, about=name)
            self._built[name] = self.build(planned)
        return self._built[name]

    def build(self, planned: Episodes) -> BuiltEpisodes:
        """The episodes of a plan: those of an earlier run where nothing that they depend on has changed."""
        if self._cache is None:
            return planned.build(progress=self.step.part)
        return self._cache.built(planned, self.config.data, self.step.part)

    def lagged_episodes(self, name: str, lags: Iterable[int]) -> Iterator[tuple[int, pd.DataFrame]]:
        """The same, once for each lag of all indicators together; all on the risk set of the longest lag."""
        lags, self._lagged = list(lags), True
        longest = {n: i.with_lag(max(lags)) for n, i in self.covariates.items()}
        shared = self._made_spells(name, self._warm_up(name, longest))
        for lag in lags:
            self.step(f"{name}: lag of {lag} days")
            lagged = {n: i.with_lag(lag) for n, i in self.covariates.items()}
            planned = episodes(shared, lagged, attributes=self.attributes, update_every=self.config.update_every)
            yield lag, handled(self.build(planned).frame(), model_names(self.config), self.config.model.missing)[0]

    @property
    def attributes(self) -> list[str]:
        """The columns of customers that episodes carry: of the formula, strata and subgroups, and the cohort."""
        read = [*model_names(self.config), *self.config.model.subgroups]
        names = [name for name in read if name not in self.covariates]
        return list(dict.fromkeys([*names, COHORT]))

    # What the reader is told

    def used(self, *topics: str) -> None:
        """Topics of the methods paragraph (`survival.report.methods_curves`) that what is shown rests on."""
        self.topics += [topic for topic in topics if topic not in self.topics]

    def note(self, findings: Iterable[Finding], about: str = "") -> None:
        """Keep findings for the report; `about` says under which definition, where there are several."""
        prefix = f"{about}: " if about and len(self.definitions) > 1 else ""
        for finding in findings:
            named = finding
            if prefix:  # "downgrade" and not "downgrade: downgrade" where a definition is called as its kind
                subject = about if finding.subject == about else f"{prefix}{finding.subject}"
                named = replace(finding, subject=subject)
            said = named.id in SAID_ONCE and any((f.id, f.subject) == (named.id, named.subject) for f in self._noted)
            if not said and named not in self._noted:
                self._noted.append(named)

    def findings(self) -> tuple[Finding, ...]:
        """Everything noted so far, those that the config allows with the reason given there."""
        return tuple(replace(f, allowed=self.config.allow.get(f.id, "")) for f in self._noted)

    def attrition(self) -> pd.DataFrame:
        """tables/attrition.csv: customers, episodes, churns and person-days at each step, and why some were set aside."""
        parts = [
            attrition(
                name,
                self.tables.ledger,
                self.spells(name),
                self._built.get(name),
                self._fitted.get(name),
                self._lost.get(name),
            )
            for name in self.definitions
        ]
        return pd.concat(parts, ignore_index=True)

    def display(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame as it is shown: formatted, and without the column `definition` where there is but one."""
        kept = frame if len(self.definitions) > 1 else frame.drop(columns="definition")
        return display_frame(kept, self.config.level)

    def report(self, blocks: Sequence[Block], headline: str) -> Report:
        """The report of these blocks under the config's title; `headline` is its sentence on the index page."""
        names = "definition" if len(self.definitions) == 1 else "definitions"
        observed = self.tables.observed
        period = f"{observed.from_ or 'start'} to {observed.until}; " if observed.until else ""
        subtitle = (
            f"{counted(self.tables.n_customers, 'customer')}; {period}churn {names}: {', '.join(self.definitions)}"
        )
        meta = {"study": self.config.study, "made with": f"churn-survival {version('churn-survival')}"}
        at_level = [replace(b, level=self.config.level) if isinstance(b, Table) else b for b in blocks]
        return Report(self.config.title or self.config.name, subtitle, tuple(at_level), meta, headline)

    def write_episodes(self, folder: Path) -> None:
        """`episodes.parquet` with `keep_episodes: true`; with several definitions, `definition` is its first column."""
        if not self.config.keep_episodes:
            return
        parts = [self.episodes(name).drop(columns="customer").assign(definition=name) for name in self.definitions]
        kept = pd.concat(parts, ignore_index=True)
        first = ["definition"] if len(parts) > 1 else []
        columns = [*first, *[c for c in kept.columns if c != "definition"]]
        kept[columns].to_parquet(folder / "episodes.parquet", index=False)
