"""The parts of a report about hazard ratios: findings in words, forest plot, tables, tests, hazards, the lag profile."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from survival.experiment.hazard_detail_blocks import period_blocks
from survival.experiment.models import (
    FEW_AT_RISK,
    MIN_AT_RISK,
    Models,
    by_flag,
    fits,
    global_ph_tests,
    hazard_ratios,
    lag_profile,
    smoothed_baseline,
)
from survival.experiment.phrases import factor_labels, phrases, references_said, shown_labels, titled
from survival.experiment.study import Study
from survival.experiment.table_notes import ratio_notes, terms_table
from survival.indicators import circularity
from survival.plot.forest import covariate_label, forest
from survival.plot.hazard import hazard_by_flag, smoothed_hazard
from survival.plot.lag_profile import lag_profile as draw_lag_profile
from survival.plot.numbers import confidence, ratio_with_interval
from survival.plot.schoenfeld import schoenfeld
from survival.report.diagnostics_captions import sample
from survival.report.displays import hazard_ratio_display
from survival.report.document import Block, Bullets, Figure, Paragraph, Section, Table
from survival.report.tables import display_frame
from survival.report.titles import changing_title, flags_title, forest_title, hazard_title, hazards_title, lag_title
from survival.report.wording import hazard_findings

PH_ALPHA = 0.05
FIT_NOTE = (
    "Customers: at risk. Episodes: neighbours with equal covariates merged. p: likelihood ratio test against no covariates. "
    "Concordance: of pairs of customers at risk together at a churn."
)


def hazard_ratio_blocks(study: Study, all_models: Sequence[Models]) -> list[Block]:
    """Findings, forest plot and table of every definition; the CSV holds all of them."""
    frame = hazard_ratios(study, list(all_models))
    blocks: list[Block] = []
    for made in all_models:
        mine = frame[frame["definition"] == made.definition]
        blocks.append(Section(f"Hazard ratios: {made.definition}"))
        blocks.append(Bullets(sentences(study, made, mine), key=True))
        blocks.append(_forest(study, made, mine))
        blocks.append(_ratio_table(study, made, mine))
    blocks.append(Table("hazard_ratios", "Hazard ratios, all columns", frame, shown=False))
    blocks.append(terms_table(study, all_models))
    table = fits(list(all_models))
    blocks.append(Table("fit", "The models", table, turned(table), notes=(FIT_NOTE,)))
    return blocks


def sentences(study: Study, made: Models, rows: pd.DataFrame) -> tuple[str, ...]:
    """What the multivariable model says, a sentence a covariate, clear differences first; circular indicators named as such."""
    said = hazard_findings(
        rows,
        phrases(study, made),
        events=made.full.events,
        references=made.references,
        level=study.config.level,
        lead=True,
    )
    circular = circularity(
        study.config.churn[made.definition], {n: i for n, i in study.indicators.items() if n in made.full.names}
    )
    names = ", ".join(study.labels.get(finding.subject, finding.subject) for finding in circular)
    if not circular:
        return said
    return (
        *said,
        f"Beware: {names} and this definition of churn read the same table within the definition's window, so these ratios partly "
        "restate churn (finding circularity).",
    )


def _forest(study: Study, made: Models, rows: pd.DataFrame) -> Figure:
    return Figure(
        name=f"forest_{study.slug(made.definition)}",
        title=titled(study, made, forest_title(rows, shown_labels(study, made))),
        caption=f"{_sample(made)} Hazard ratios of Cox models; {confidence(study.config.level)} intervals from the {_variance(made)}. "
        "Univariable: one term at a time. Multivariable: all terms together.",
        alt="Forest plot of hazard ratios with their intervals on a log axis; the same numbers are in the table below.",
        figure=forest(rows, labels=factor_labels(study, made), references=made.references, level=study.config.level),
        source=("hazard_ratios",),
    )


def _variance(made: Models) -> str:
    return "robust variance, clustered by customer" if made.full.options.robust else "model-based variance"


def _sample(made: Models) -> str:
    return sample(made.full.customers, made.full.events)


def _ratio_table(study: Study, made: Models, rows: pd.DataFrame) -> Table:
    labels, level = shown_labels(study, made), study.config.level
    return Table(
        f"hazard_ratios_{study.slug(made.definition)}",
        f"Hazard ratios of churn, {made.definition}",
        rows,
        display=hazard_ratio_display(rows, labels=labels, references=made.references, level=level),
        notes=ratio_notes(study, made),
    )


def turned(table: pd.DataFrame) -> pd.DataFrame:
    """A row a figure, a column a definition: a wide table that fits on a page."""
    display = display_frame(table)
    names = display.pop(display.columns[0])
    turned = display.T.set_axis([str(name) for name in names], axis=1)
    return turned.rename_axis("Figure").reset_index()


def proportional_hazards_blocks(study: Study, all_models: Sequence[Models]) -> list[Block]:
    """The global tests; of the covariates whose test fails, beta(t) and a hazard ratio for each period of tenure."""
    frame = global_ph_tests(list(all_models))
    overall = frame[frame["covariate"] == "GLOBAL"].drop(columns="covariate")
    note = "Global score tests, all covariates together; those of each covariate are with the hazard ratios (km), and all in the CSV."
    if (frame["df"] == 0).any():
        note += " Covariates that vary at one event time only cannot be tested; they have no p, and no part in the degrees of freedom."
    blocks: list[Block] = [
        Section("Do the hazard ratios change with tenure?"),
        Table(
            "ph_tests",
            "Tests of proportional hazards, by transform of tenure",
            frame,
            study.display(overall),
            notes=(note,),
        ),
    ]
    for made in all_models:
        tests = made.full.proportional_hazards().set_index("covariate").drop(index="GLOBAL")
        failing = [name for name in tests.index if tests.loc[name, "p"] < PH_ALPHA]
        if not failing:
            text = titled(study, made, _none_fails(tests["p"]))
            text = text[:1].upper() + text[1:] if len(all_models) == 1 else text
            blocks.append(Paragraph(text))
            continue
        blocks += [*_schoenfeld(study, made, failing, tests["p"]), *period_blocks(study, made, failing)]
    return blocks


def _none_fails(p: pd.Series) -> str:
    """What is said where no test fails; p of each covariate, NaN where it has none."""
    if not p.notna().any():
        return "no covariate could be tested, so no ratio is drawn over tenure."
    return f"no covariate fails the test at p < {PH_ALPHA:g}, so no ratio is drawn over tenure."


def _schoenfeld(study: Study, made: Models, failing: list[str], p: pd.Series) -> list[Block]:
    effects = made.full.time_varying_effects().rename(columns={"estimate": "coef"})
    effects = effects[effects["covariate"].isin(failing)]
    slug = study.slug(made.definition)
    tidy = made.full.tidy().set_index("covariate")["coef"]
    labels = shown_labels(study, made)
    named = ", ".join(labels.get(name, covariate_label(name)) for name in failing)
    figure = Figure(
        name=f"schoenfeld_{slug}",
        title=titled(study, made, changing_title(len(failing), int(p.notna().sum()), PH_ALPHA)),
        caption=f"{_sample(made)} Covariates whose test of proportional hazards has p < {PH_ALPHA:g}: smoothed scaled Schoenfeld residuals "
        f"of the multivariable Cox model (natural spline, 4 df) with a pointwise {confidence(study.config.level)} band; the horizontal "
        "line is the constant that the model fits.",
        alt=f"Log hazard ratio against tenure for {named}; the numbers are in the table of the same name.",
        figure=schoenfeld(
            effects, {n: float(tidy[n]) for n in failing}, ph_p={n: float(p[n]) for n in failing}, labels=labels
        ),
        source=(f"schoenfeld_{slug}",),
    )
    return [figure, Table(f"schoenfeld_{slug}", f"beta(t), {made.definition}", effects, shown=False)]


def hazard_curve_blocks(study: Study, all_models: Sequence[Models]) -> list[Block]:
    """The smoothed baseline hazard, and cumulative and smoothed hazard with each flag off and on."""
    blocks: list[Block] = [Section("When do customers leave?")]
    for made in all_models:
        study.step(f"{made.definition}: hazards over tenure")
        blocks += [*_baseline(study, made), *_by_flag(study, made)]
    return blocks


def _baseline(study: Study, made: Models) -> list[Block]:
    slug, frame = study.slug(made.definition), smoothed_baseline(study, made)
    strata = made.full.options.strata
    references = references_said(study, made)
    at = f"every flag off{f', {references}' if references else ''}, every number 0"
    figure = Figure(
        name=f"baseline_hazard_{slug}",
        title=titled(study, made, hazard_title(frame)),
        caption=f"{_sample(made)} Hazard of a customer with {at}{f', by {chr(44).join(strata)}' if strata else ''}: steps of the "
        "Cox baseline smoothed by an Epanechnikov kernel with boundary correction; the bandwidth is chosen by cross-validation; "
        f"pointwise {confidence(study.config.level)} band. "
        f"Drawn while at least {FEW_AT_RISK:.0%} of the largest number are at risk.",
        alt=f"Smoothed baseline hazard over tenure under {made.definition}; the numbers are in the table baseline_hazard_{slug}.",
        figure=smoothed_hazard(frame, by="stratum" if strata else None),
        source=(f"baseline_hazard_{slug}",),
    )
    return [figure, Table(f"baseline_hazard_{slug}", "Smoothed baseline hazard", frame, shown=False)]


def _by_flag(study: Study, made: Models) -> list[Block]:
    totals, smooths = by_flag(study, made)
    if totals.empty:
        return []
    slug = study.slug(made.definition)
    flags = ", ".join(study.labels.get(n, n) for n in dict.fromkeys(totals["covariate"]))
    words = "among customers while a flag is on and while it is off; a customer whose flag changes passes from one to the other"
    return [
        Figure(
            name=f"cumulative_hazard_{slug}",
            title=titled(study, made, flags_title(totals, study.config.level)),
            caption=f"{_sample(made)} Nelson-Aalen estimates {words}. Unadjusted for the other covariates; pointwise "
            f"{confidence(study.config.level)} bands.",
            alt=f"Cumulative hazard over tenure, flag off against on, for {flags}.",
            figure=hazard_by_flag(totals, labels=study.labels),
            source=(f"cumulative_hazard_{slug}",),
        ),
        Table(f"cumulative_hazard_{slug}", "Cumulative hazard by flag", totals, shown=False),
        Figure(
            name=f"hazard_by_flag_{slug}",
            title=titled(study, made, hazards_title(smooths, study.config.level)),
            caption=f"{_sample(made)} Steps of the Nelson-Aalen estimates smoothed by an Epanechnikov kernel, its bandwidth chosen by "
            f"cross-validation: {words}. Unadjusted for the other covariates; pointwise {confidence(study.config.level)} bands. Drawn "
            f"while at least {MIN_AT_RISK} customers are in the state.",
            alt=f"Smoothed hazard over tenure, flag off against on, for {flags}.",
            figure=hazard_by_flag(smooths, value="hazard", labels=study.labels),
            source=(f"hazard_by_flag_{slug}",),
        ),
        Table(f"hazard_by_flag_{slug}", "Smoothed hazard by flag", smooths, shown=False),
    ]


def lag_blocks(study: Study, all_models: Sequence[Models]) -> list[Block]:
    """Whether what is seen at once is also seen earlier: every indicator lagged together."""
    if not study.config.lag_profile or not study.indicators:
        return []
    profile, samples = lag_profile(study, list(all_models))
    blocks: list[Block] = [
        Section("Is it seen early enough to act?"),
        Paragraph(
            "Usage may fall because a customer has already decided to leave. At a lag of 0 days this looks the same as a fall that comes "
            "long before. A hazard ratio that fades when the indicators are read weeks earlier is a sign that the decision came first."
        ),
    ]
    for made in all_models:
        mine = profile[profile["definition"] == made.definition]
        figure = Figure(
            name=f"lag_profile_{study.slug(made.definition)}",
            title=titled(study, made, lag_title(mine)),
            caption=f"{samples.get(made.definition, '')} The multivariable Cox model with every indicator read that many days earlier; all "
            "lags on one risk set, that of the "
            f"longest. Points are estimates, bars {confidence(study.config.level)} intervals from the {_variance(made)}.",
            alt="Hazard ratio of each indicator against the lag in days; the numbers are in the table below.",
            figure=draw_lag_profile(mine, labels=study.labels),
            source=("lag_profile",),
        )
        blocks.append(figure)
    return [
        *blocks,
        Table(
            "lag_profile",
            f"Hazard ratios ({confidence(study.config.level)} CI) by lag of the indicators",
            profile,
            _by_lag(study, profile),
        ),
    ]


def _by_lag(study: Study, profile: pd.DataFrame) -> pd.DataFrame:
    """A row a covariate, a column a lag: HR with its interval."""
    rows = profile.assign(
        covariate=[study.labels.get(c, covariate_label(c)) for c in profile["covariate"]],
        text=[ratio_with_interval(r.hazard_ratio, r.ci_lower, r.ci_upper) for r in profile.itertuples()],
        days=[f"{lag} days" for lag in profile["lag"]],
    )
    keys = ["definition", "covariate"] if len(study.definitions) > 1 else ["covariate"]
    wide = rows.pivot_table(index=keys, columns="days", values="text", aggfunc="first", sort=False)
    return wide.rename(columns=str).rename_axis(None, axis=1).reset_index().rename(columns=str.capitalize)
