"""Does a hazard ratio stand when the definition of churn, or how often covariates are read, is another?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from survival.churn import spells
from survival.episodes import episodes
from survival.errors import EstimationError
from survival.estimate.cox import cox
from survival.experiment.formulas import circular, without
from survival.experiment.missing import handled
from survival.experiment.models import Models, options
from survival.experiment.references import model_names
from survival.experiment.study import Study
from survival.findings import Finding
from survival.indicators import warm_up_days

COLUMNS = [
    "definition", "varied", "value", "covariate", "customers", "events", "hazard_ratio", "ci_lower", "ci_upper", "p", "said",
]  # fmt: skip
AS_CONFIGURED = "as configured"


@dataclass(frozen=True)
class _Variant:
    """One other way to run the model: what is varied, its value as text, the definition and the days between marks."""

    varied: str
    value: str
    definition: str
    update_every: int


def sensitivity(study: Study, made: Models) -> pd.DataFrame:
    """tables/sensitivity.csv: the multivariable model as configured, and under each definition and each `update_every` of
    `sensitivity:`. Every variant is what the config with that one key changed would give; indicators that another definition is
    built from are left out of its model (`said`). Empty without variants."""
    variants = _variants(study, made.definition)
    if not variants:
        return pd.DataFrame(columns=COLUMNS)
    parts = [_rows(made.definition, "", AS_CONFIGURED, made.full.customers, made.full.events, made.full.tidy())]
    for one in variants:
        study.step(f"{made.definition}: {one.value}")
        parts.append(_variant(study, made, one))
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def _variants(study: Study, name: str) -> list[_Variant]:
    config = study.config
    every = [
        _Variant("update_every", f"covariates read every {n} days" if n > 1 else "covariates read every day", name, n)
        for n in config.sensitivity.update_every
        if n != config.update_every
    ]
    others = [
        _Variant("churn", f"churn: {other}", other, config.update_every)
        for other in config.sensitivity.churn
        if other != name
    ]
    return [*every, *others]


def _variant(study: Study, made: Models, one: _Variant) -> pd.DataFrame:
    config, definition = study.config, study.config.churn[one.definition]
    out = circular(config, one.definition) if one.varied == "churn" else ()
    formula = without(config.model.formula or "", out)
    waits = warm_up_days(study.tables.observed, definition, study.indicators, one.update_every)
    try:
        if not formula:
            raise EstimationError("every term reads what the definition is built from")
        at_risk = spells(study.tables, definition, warm_up=waits)
        planned = episodes(at_risk, study.covariates, attributes=study.attributes, update_every=one.update_every)
        frame = study.build(planned).frame()
        fit = cox(handled(frame, model_names(config), config.model.missing)[0], formula, **options(study))
    except EstimationError as error:
        message = f"{one.value}: the model cannot be estimated: {error}"
        study.note([Finding("no-model", "note", one.value, message)], about=made.definition)
        tidy = made.full.tidy().assign(hazard_ratio=np.nan, ci_lower=np.nan, ci_upper=np.nan, p=np.nan)
        return _rows(made.definition, one.varied, one.value, 0, 0, tidy)
    tidy = made.full.tidy()[["covariate"]].merge(fit.tidy(), on="covariate", how="left")
    rows = _rows(made.definition, one.varied, one.value, fit.customers, fit.events, tidy)
    absent = ~rows["covariate"].isin(fit.names)
    return rows.assign(said=np.where(absent, "not compared", ""))


def _rows(definition: str, varied: str, value: str, customers: int, events: int, tidy: pd.DataFrame) -> pd.DataFrame:
    kept = tidy[["covariate", "hazard_ratio", "ci_lower", "ci_upper", "p"]]
    return kept.assign(definition=definition, varied=varied, value=value, customers=customers, events=events, said="")[
        COLUMNS
    ]
