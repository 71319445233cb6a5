"""What stands under a table of hazard ratios: what the columns mean, ties, variance, missing values; and its terms as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from survival.estimate.wald import inflation, terms_are_zero
from survival.experiment.models import Models
from survival.experiment.phrases import factor_labels
from survival.experiment.study import Study
from survival.plot.forest import covariate_label
from survival.plot.numbers import count, decimal, p_value, percent
from survival.report.document import Table

MEANING = (
    "HR: hazard ratio; CI: confidence interval. Time exposed: share of all customer days on which the flag was on "
    "(or the level held); empty for numbers. PH test: score test of proportional hazards of the multivariable model, 1 df."
)


def ratio_notes(study: Study, made: Models) -> tuple[str, ...]:
    """The footnotes of the table of one definition's hazard ratios."""
    return (MEANING, _counted(made), f"{_ties(study, made)} {_variance(made)}", _missing(study, made))


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
    """What became of missing values, by covariate."""
    gaps, built = study.gaps(made.definition), study.built(made.definition)
    if gaps.empty:
        return "Missing values: none."
    left_out = built.rows - len(study.episodes(made.definition))
    lost = built.events - int(study.episodes(made.definition)["event"].sum())
    whole = (
        f" {count(left_out)} of {count(built.rows)} episodes, with {count(lost)} churns, are left out."
        if left_out
        else ""
    )
    return f"Missing values: {'; '.join(_gap(row) for row in gaps.itertuples())}.{whole}"


def _gap(row: Any) -> str:
    """seats in 12 episodes, left out (drop)."""
    n = f"{row.covariate} in {count(row.episodes)} episode{'' if row.episodes == 1 else 's'}"
    if row.policy == "level":
        return f"{n}, a level of its own (level)"
    if row.policy == "drop":
        return f"{n}, left out (drop)"
    known = f"{count(row.filled)} with the last value known before (carry)"
    return f"{n}, {known}" + (f" and {count(row.left_out)} without one, left out" if row.left_out else "")


def term_tests(all_models: Sequence[Models]) -> pd.DataFrame:
    """tables/terms.csv: definition, term, statistic, df, p (Wald test that all its coefficients are 0), gvif, gvif_per_df."""
    parts = [
        terms_are_zero(made.full)
        .merge(inflation(made.full).drop(columns="df"), on="term")
        .assign(definition=made.definition)
        for made in all_models
    ]
    columns = ["definition", "term", "statistic", "df", "p", "gvif", "gvif_per_df"]
    return pd.concat(parts, ignore_index=True)[columns]


def terms_table(study: Study, all_models: Sequence[Models]) -> Table:
    """Each term of the multivariable models as a whole."""
    study.used("terms")
    frame = term_tests(all_models)
    labels = {name: text for made in all_models for name, text in factor_labels(study, made).items()}
    shown = pd.DataFrame(
        {
            **({"Churn definition": frame["definition"]} if len(study.definitions) > 1 else {}),
            "Term": [labels.get(t, covariate_label(t)) for t in frame["term"]],
            "Wald χ²": [decimal(x) for x in frame["statistic"]],
            "df": [count(n) for n in frame["df"]],
            "p": [p_value(p) for p in frame["p"]],
            "Inflation of the SE": [decimal(x) for x in frame["gvif_per_df"]],
        }
    )
    note = (
        "All coefficients of a term together, from the same variance as the intervals. Inflation: factor by which the other terms widen "
        "this one's standard error (generalised variance inflation per degree of freedom, Fox and Monette 1992); 1 where they do not."
    )
    return Table("terms", "Each term as a whole", frame, shown, notes=(note,))
