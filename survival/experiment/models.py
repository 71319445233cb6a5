"""The Cox models of a study: fitted with its options, and what cannot be estimated noted by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from survival.audit import fading
from survival.errors import EstimationError
from survival.estimate.cox import cox, cox_univariable
from survival.estimate.cox_fit import CoxFit
from survival.estimate.design import Coding, Levels, term_formulas
from survival.estimate.factors import factor_levels, factor_variable
from survival.estimate.hazard import hazard
from survival.estimate.smoothing import smooth_hazard
from survival.experiment.study import Study
from survival.findings import Finding
from survival.plot.forest import factors_of, is_interaction
from survival.plot.numbers import count
from survival.report.diagnostics_captions import sample

RATIO_COLUMNS = [
    "definition", "model", "covariate", "coef", "hazard_ratio", "ci_lower", "ci_upper", "se", "robust_se", "z", "p",
    "exposed_share", "events_exposed", "ph_statistic", "ph_p",
]  # fmt: skip
FIT_COLUMNS = [
    "definition", "customers", "episodes", "events", "person_days", "log_likelihood_null", "log_likelihood",
    "lr_statistic", "df", "p", "aic", "concordance", "iterations",
]  # fmt: skip

FEW_AT_RISK = 0.05  # share of the largest number at risk below which a smoothed hazard is not drawn
MIN_AT_RISK = 50  # customers in a state below which its hazard is not drawn
MIN_STEPS = 5  # event times that make a smoothed hazard worth drawing


@dataclass(frozen=True, eq=False)
class Models:
    """The multivariable model of one definition, and the univariable one of each term."""

    definition: str
    full: CoxFit
    alone: dict[str, CoxFit]

    @property
    def coding(self) -> Coding:
        """How the columns of the model are made."""
        assert isinstance(self.full.coding, Coding)  # no coefficient of a study's model changes with tenure
        return self.full.coding

    @property
    def references(self) -> dict[str, str]:
        """Each factor of the formula, as written there, and the level that its others are compared with."""
        return {name: levels[0] for name, levels in self.factors.items()}

    @property
    def factors(self) -> dict[str, Levels]:
        """Each factor of the formula, as written there, and its levels, the reference first."""
        return factor_levels(self.coding)

    @property
    def variables(self) -> dict[str, str]:
        """Each factor of the formula, as written there, and its column."""
        return {factor: factor_variable(self.coding, factor) for factor in self.factors}


def models(study: Study, formulas: Mapping[str, str] | None = None) -> list[Models]:
    """The models of every definition. One that has none is noted and the others go on; when none has, EstimationError.

    `formulas`: definition -> its formula, where that is not the config's (definitions that it leaves out have no model).
    """
    found: list[Models] = []
    failures: list[str] = []
    whole = study.config.model.formula or ""
    for name in study.definitions if formulas is None else formulas:
        try:
            frame = study.episodes(name)
            study.step(f"{name}: Cox models")
            found.append(_models(study, name, frame, whole if formulas is None else formulas[name]))
        except EstimationError as error:
            failures.append(f"{name}: {error}")
            message = f"the model of '{name}' cannot be estimated: {error}"
            study.note([Finding(getattr(error, "finding", "") or "no-model", "error", name, message)])
    if not found:
        raise EstimationError("no model could be estimated. " + " ".join(failures))
    return found


def _models(study: Study, name: str, frame: pd.DataFrame, formula: str) -> Models:
    full = cox(frame, formula, **options(study))
    study.note(full.findings, about=name)
    study.fits[name] = full
    return Models(
        name, full, _alone(study, frame, [text for text in term_formulas(formula).values() if not is_interaction(text)])
    )


def _alone(study: Study, frame: pd.DataFrame, terms: list[str]) -> dict[str, CoxFit]:
    """The univariable models that can be estimated, by term; why others cannot, the findings of the full model say."""
    if not terms:
        return {}
    return cox_univariable(frame, " + ".join(terms), **{**options(study), "not_estimable": "skip"})


def headline(study: Study, all_models: list[Models]) -> str:
    """One sentence for the index page: how many churned, and how many covariates the first model holds."""
    full = all_models[0].full
    return f"{all_models[0].definition}: {count(full.events)} churns of {count(full.customers)} customers, {len(full.names)} covariates."


def options(study: Study) -> dict[str, Any]:
    """The options of every fit of the study."""
    model = study.config.model
    return {
        "start": "start", "stop": "stop", "event": "event", "customer": "customer", "spell": "spell",
        "strata": model.strata, "ties": model.ties, "robust": model.robust, "penalizer": model.penalizer,
        "level": study.config.level, "not_estimable": "drop",
    }  # fmt: skip


def hazard_ratios(study: Study, all_models: list[Models]) -> pd.DataFrame:
    """tables/hazard_ratios.csv: univariable and multivariable, with exposure and the test of proportional hazards."""
    parts = []
    for made in all_models:
        exposed = exposure(study, made)
        alone = [_with_ph(fit) for fit in made.alone.values()]
        fitted = pd.concat(alone, ignore_index=True) if alone else pd.DataFrame(columns=["covariate"])
        univariable = exposed[["covariate"]].merge(fitted, on="covariate", how="left")  # not estimable: empty
        for model, rows in (("univariable", univariable), ("multivariable", _with_ph(made.full))):
            rows = rows[~rows["covariate"].map(is_interaction).astype(bool)] if model == "univariable" else rows
            parts.append(
                rows.merge(exposed, on="covariate", how="left").assign(definition=made.definition, model=model)
            )
    return pd.concat(parts, ignore_index=True)[RATIO_COLUMNS]


def _with_ph(fit: CoxFit) -> pd.DataFrame:
    """tidy(), with ph_statistic and ph_p of each coefficient (1 df)."""
    tests = fit.proportional_hazards().rename(columns={"statistic": "ph_statistic", "p": "ph_p"})
    return fit.tidy().merge(tests[["covariate", "ph_statistic", "ph_p"]], on="covariate", how="left")


def exposure(study: Study, made: Models) -> pd.DataFrame:
    """covariate, exposed_share of person-days, events_exposed; for flags and levels of text, empty for numbers."""
    frame = study.episodes(made.definition)
    days = (frame["stop"] - frame["start"]).to_numpy(float)
    event = frame["event"].to_numpy(float)
    matrix = made.coding.encode(frame)
    switch = np.array([all(_is_switch(study, part) for part in factors_of(name)) for name in made.full.names])
    share = np.where(switch, days @ matrix / days.sum(), np.nan)
    events = np.where(switch, event @ matrix, np.nan)
    return pd.DataFrame({"covariate": list(made.full.names), "exposed_share": share, "events_exposed": events})


def _is_switch(study: Study, factor: str) -> bool:
    """Whether a factor of a covariate's name is 0 or 1 by kind: a flag, or a level of text."""
    return "[T." in factor or (factor in study.indicators and study.indicators[factor].is_flag)


def fits(all_models: list[Models]) -> pd.DataFrame:
    """tables/fit.csv: one row a definition."""
    rows = [
        m.full.glance().assign(definition=m.definition).rename(columns={"person_time": "person_days"})
        for m in all_models
    ]
    return pd.concat(rows, ignore_index=True)[FIT_COLUMNS]


def global_ph_tests(all_models: list[Models]) -> pd.DataFrame:
    """The global test of proportional hazards of each definition under every transform of time."""
    parts = []
    for made in all_models:
        for transform in ("km", "identity", "log", "rank"):
            tests = made.full.proportional_hazards(transform)
            parts.append(tests.assign(definition=made.definition, transform=transform))
    return pd.concat(parts, ignore_index=True)[["definition", "transform", "covariate", "statistic", "df", "p"]]


def lag_profile(study: Study, all_models: list[Models]) -> tuple[pd.DataFrame, dict[str, str]]:
    """tables/lag_profile.csv: the model refitted with every indicator read so many days earlier, on one risk set; and of each
    definition its customers and churns there, in words."""
    columns = ["definition", "lag", "covariate", "hazard_ratio", "ci_lower", "ci_upper"]
    parts = [pd.DataFrame(columns=columns)]
    samples: dict[str, str] = {}
    for made in all_models:
        mine = []
        for lag, frame in study.lagged_episodes(made.definition, study.config.lag_profile):
            rows = _lagged(study, made, lag, frame)
            mine.append(rows.assign(definition=made.definition, lag=lag)[columns])
            samples[made.definition] = sample(frame["customer"].nunique(), frame["event"].sum())
        if mine:
            study.note(fading(pd.concat(mine, ignore_index=True)), about=made.definition)
        parts += mine
    return pd.concat([p for p in parts if len(p)] or parts, ignore_index=True), samples


def _lagged(study: Study, made: Models, lag: int, frame: pd.DataFrame) -> pd.DataFrame:
    """One fit at one lag; the rows that involve an indicator."""
    try:
        rows = cox(frame, study.config.model.formula or "", **options(study)).tidy()
    except EstimationError as error:
        message = f"with every indicator {lag} days earlier the model cannot be estimated: {error}"
        study.note([Finding("no-model", "note", f"lag {lag}", message)], about=made.definition)
        rows = made.full.tidy().assign(hazard_ratio=np.nan, ci_lower=np.nan, ci_upper=np.nan)
    return rows[[any(part in study.indicators for part in factors_of(name)) for name in rows["covariate"]]]


def smoothed_baseline(study: Study, made: Models) -> pd.DataFrame:
    """Hazard a day where every covariate is 0, smoothed: stratum, tenure, hazard, se, ci_lower, ci_upper, bandwidth.

    Up to the last tenure with FEW_AT_RISK of the largest number at risk: the few beyond would set the bandwidth for all.
    """
    frame = study.episodes(made.definition)
    counts = hazard(frame, start="start", by=list(study.config.model.strata) or None).tidy()
    columns = ["stratum", "tenure", "hazard", "se", "ci_lower", "ci_upper", "bandwidth"]
    parts = [pd.DataFrame(columns=columns)]
    for stratum, rows in made.full.baseline().groupby("stratum", sort=False):
        mine = counts[counts["by"].astype(str) == str(stratum)] if study.config.model.strata else counts
        many = mine[mine["at_risk"] >= FEW_AT_RISK * mine["at_risk"].max()]
        until = float(many["tenure"].max())  # not the last event: the hazard would look too high at its end
        rows = rows[rows["tenure"] <= until]
        if len(rows) < MIN_STEPS:
            continue
        variance = np.clip(np.diff(np.square(rows["se"].to_numpy(float)), prepend=0.0), 0.0, None)
        entry = float(mine["tenure"].min())
        curve = smooth_hazard(
            rows["tenure"], rows["hazard"], variance, lower=entry, upper=until, level=study.config.level
        )
        parts.append(curve.tidy().assign(stratum=str(stratum))[columns])
    return pd.concat(parts[1:] or parts, ignore_index=True)


def by_flag(study: Study, made: Models) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cumulative and smoothed hazard of customers while each flag is off and while it is on: covariate, state, tenure, ..."""
    frame = study.episodes(made.definition)
    flags = [name for name, indicator in study.indicators.items() if indicator.is_flag]
    totals, smooths = [], []
    for flag in flags:
        states = frame[flag].map({0: "off", 1: "on"})
        # No customer is given: whoever changes state leaves one group and enters the other.
        both = hazard(
            frame.assign(state=states), start="start", by="state", level=study.config.level, order=_order(states)
        )
        totals.append(both.tidy().assign(covariate=flag))
        smooths.append(both.smooth(min_at_risk=MIN_AT_RISK).assign(covariate=flag))
    return _states(totals), _states(smooths)


def _order(states: pd.Series) -> list[str]:
    return [state for state in ("off", "on") if (states == state).any()]


def _states(parts: list[pd.DataFrame]) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame(columns=["covariate", "state", "tenure"])
    frame = pd.concat(parts, ignore_index=True).rename(columns={"by": "state"})
    return frame[["covariate", *[c for c in frame.columns if c != "covariate"]]]
