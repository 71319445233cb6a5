"""What stands under a table of hazard ratios: what the columns mean, ties, variance, missing values, factors as a whole."""

from __future__ import annotations

import numpy as np
import pandas as pd

from survival.estimate.wald import terms_are_zero
from survival.experiment.models import Models
from survival.experiment.study import Study
from survival.plot.numbers import count, decimal, p_phrase, percent

MEANING = (
    "HR: hazard ratio; CI: confidence interval. Time exposed: share of all customer days on which the flag was on "
    "(or the level held); empty for numbers. PH test: score test of proportional hazards of the multivariable model, 1 df."
)


def ratio_notes(study: Study, made: Models) -> tuple[str, ...]:
    """The footnotes of the table of one definition's hazard ratios."""
    return (
        MEANING,
        _counted(made),
        f"{_ties(study, made)} {_variance(made)}",
        _missing(study, made),
        *_factors(study, made),
    )


def _counted(made: Models) -> str:
    full = made.full
    return f"{count(full.customers)} customers, {count(full.events)} churns, {count(full.person_time)} customer days."


def _ties(study: Study, made: Models) -> str:
    frame = study.episodes(made.definition)
    days = frame.loc[frame["event"] == 1, ["stop", *made.full.options.strata]]
    share = float(days.duplicated(keep=False).mean()) if len(days) else 0.0
    within = " of the same stratum" if made.full.options.strata else ""
    method = f"Ties: {made.full.options.ties.capitalize()}'s method"
    return f"{method}; {percent(share, 0)} of churns share their day of tenure with another{within}."


def _variance(made: Models) -> str:
    if not made.full.options.robust:
        return "Variance: model-based."
    tidy = made.full.tidy()
    ratio = (tidy["robust_se"] / tidy["se"]).dropna()
    if not len(ratio):
        return "Variance: robust, clustered by customer."
    beside = f"{decimal(ratio.min())} to {decimal(ratio.max())} times the model-based"
    return f"Variance: robust, clustered by customer; its standard errors are {beside}."


def _missing(study: Study, made: Models) -> str:
    built, fitted, rule = study.built(made.definition), study.episodes(made.definition), study.config.model.missing
    left_out = built.rows - len(fitted)
    if left_out:
        lost = built.events - int(fitted["event"].sum())
        return (
            f"Missing values: {count(left_out)} of {count(built.rows)} episodes, with {count(lost)} churns, are left out "
            f"(missing: {rule})."
        )
    if rule == "error":
        return "Missing values: none."
    return {
        "drop": "Missing values: none were found, so nothing is left out.",
        "level": "Missing values: text without a value is a level of its own, (missing).",
        "carry": "Missing values: the last value known before is carried forward.",
    }[rule]


def _factors(study: Study, made: Models) -> tuple[str, ...]:
    """Terms of several coefficients, tested as a whole."""
    tests = terms_are_zero(made.full)
    several: pd.DataFrame = tests[tests["df"] > 1]
    said = [
        f"{study.labels.get(r.term, r.term)} χ² = {decimal(r.statistic)}, {count(r.df)} df, {p_phrase(r.p)}"
        for r in several.itertuples()
        if np.isfinite(r.statistic)
    ]
    return (f"All levels together (Wald tests): {'; '.join(said)}.",) if said else ()
