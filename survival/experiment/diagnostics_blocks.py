"""The part of a report that asks whether the model fits: form of numbers, single customers, agreement by risk, outliers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from survival.experiment.diagnostics import Outliers, agreement, forms, outliers, strongest
from survival.experiment.log_log import OF, distances, log_log_curves
from survival.experiment.models import MIN_AT_RISK, Models
from survival.experiment.phrases import shown_labels, titled
from survival.experiment.study import Study
from survival.plot.diagnostics import functional_form, risk_groups
from survival.plot.diagnostics_customers import deviance_residuals, influence
from survival.plot.diagnostics_log_log import log_minus_log
from survival.plot.forest import covariate_label
from survival.plot.numbers import confidence, count, decimal, p_phrase, ratio, ratio_with_interval
from survival.report import diagnostics_captions as captions
from survival.report import diagnostics_wording as words
from survival.report.document import Block, Bullets, Figure, Paragraph, Section, Table

FAR_CHURNED, FAR_STAYED = 0.0041, words.FAR**2 / 2  # expected churns at which a deviance residual is 3 and -3


def diagnostics_blocks(study: Study, all_models: Sequence[Models]) -> list[Block]:
    """The checks that `diagnostics:` names, of every definition's multivariable model; [] where it names none."""
    wanted = study.config.checked
    if not wanted:
        return []
    blocks: list[Block] = [Section("Model diagnostics")]
    kept: dict[str, list[pd.DataFrame]] = {}
    for name, check in CHECKS.items():
        if name not in wanted:
            continue
        made_of = [block for made in all_models for block in check(study, made, kept)]
        if study.config.diagnostics is True and all(isinstance(block, Paragraph) for block in made_of):
            continue  # nobody asked, and there is nothing to check
        blocks += [Section(TITLES[name], 3), *made_of]
        study.used(f"diagnostics {name}")
    whole = [Table(name, *ALL[name], pd.concat(parts, ignore_index=True), shown=False) for name, parts in kept.items()]
    return [*blocks, *whole]


Kept = dict[str, list[pd.DataFrame]]


def _form(study: Study, made: Models, kept: Kept) -> list[Block]:
    found, labels = forms(study, made), shown_labels(study, made)
    rows = found.tests.to_dict("records")
    if not rows:
        return [Paragraph(_said(study, made, words.NO_NUMBER))]
    kept.setdefault("functional_form", []).append(found.tests)
    slug = study.slug(made.definition)
    tests = {str(r["covariate"]): f"Spline against line: {p_phrase(r['p'])}" for r in rows}
    return [
        _bullets(study, made, tuple(words.form_sentence(r, _label(labels, r["covariate"])) for r in rows)),
        Figure(
            name=f"functional_form_{slug}",
            title=titled(study, made, words.form_title(rows)),
            caption=captions.form_caption(_sample(made), study.config.level, made.full.options.robust),
            alt=f"Log hazard ratio against the value of {', '.join(_label(labels, n) for n in tests)}: observed, line and spline.",
            figure=functional_form(found.bins, found.curve, labels=labels, tests=tests),
            source=(f"functional_form_bins_{slug}", f"functional_form_curve_{slug}"),
        ),
        Table(f"functional_form_bins_{slug}", "Churns observed and expected by value", found.bins, shown=False),
        Table(f"functional_form_curve_{slug}", "Line and spline by value", found.curve, shown=False),
    ]


def _influence(study: Study, made: Models, kept: Kept) -> list[Block]:
    found, labels = strongest(study, made), shown_labels(study, made)
    kept.setdefault("influence", []).append(found.customers)
    rows, slug = found.customers.to_dict("records"), study.slug(made.definition)
    full = made.full
    said = words.influence_sentences(rows, labels, customers=full.customers, events=full.events, refits=found.refits)
    return [
        _bullets(study, made, said),
        Figure(
            name=f"influence_{slug}",
            title=titled(study, made, words.influence_title(rows)),
            caption=captions.influence_caption(_sample(made), made.full.options.robust, found.refits),
            alt="For each covariate the spread of customers' influence on its coefficient; the table below has the strongest customers.",
            figure=influence(found.spread, found.customers, labels=labels),
            source=(f"influence_spread_{slug}", "influence"),
        ),
        Table(f"influence_spread_{slug}", "Spread of customers' influence", found.spread, shown=False),
        Table(
            f"influence_{slug}",
            f"The customers that move the hazard ratios most, {made.definition}",
            found.customers,
            _influence_display(found.customers, labels),
            notes=("SE: standard error of the coefficient. Without: hazard ratio when the customer is left out; * refitted, else from "
                   "dfbeta. The CSV has more of them. Days of tenure from entry to leaving or the end of observation.",),
        ),
    ]  # fmt: skip


def _influence_display(frame: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    """The two strongest of each covariate."""
    frame = frame.groupby("covariate", sort=False).head(2)
    first = ~frame["covariate"].duplicated()
    return pd.DataFrame(
        {
            "Covariate": [_label(labels, c) if f else "" for c, f in zip(frame["covariate"], first)],
            "Customer": list(frame["customer"]),
            "Days": [f"{count(r.entered)}–{count(r.left)}" for r in frame.itertuples()],
            "Churned": [_yes(n) for n in frame["churned"]],
            "dfbeta (SE)": [decimal(x, 3) for x in frame["in_errors"]],
            "HR": [_exact(x) for x in frame["hazard_ratio"]],
            "Without": [f"{_exact(r.hazard_ratio_without)}{'*' if r.refitted else ''}" for r in frame.itertuples()],
            "Change": [f"{'+' if x > 0 else ''}{decimal(100 * x, 2)}%" for x in frame["change"]],
        }
    )


def _exact(x: float) -> str:
    return decimal(x, 3) if 0.1 <= x < 10 else ratio(x)


def _agreement(study: Study, made: Models, kept: Kept) -> list[Block]:
    found = agreement(study, made)
    groups, cells = found.groups, found.cells
    kept.setdefault("risk_groups", []).append(groups.assign(definition=made.definition))
    tests = [("risk", found.overall), *([("risk and period", found.by_period)] if found.by_period else [])]
    made_tests = [
        {"definition": made.definition, "test": n, "statistic": t.statistic, "df": t.df, "p": t.p} for n, t in tests
    ]
    kept.setdefault("risk_group_tests", []).append(pd.DataFrame(made_tests))
    later = found.by_period.p if found.by_period else None
    rows, slug = groups.to_dict("records"), study.slug(made.definition)
    said = words.agreement_sentences(rows, cells.to_dict("records"), found.overall.p, later)
    test = f"{p_phrase(found.overall.p)}, {found.overall.df} df"
    test += f"; by period of tenure {p_phrase(later)}, {found.by_period.df} df" if found.by_period else ""
    return [
        _bullets(study, made, said),
        Figure(
            name=f"risk_groups_{slug}",
            title=titled(study, made, words.agreement_title(rows, found.overall.p, later)),
            caption=captions.agreement_caption(_sample(made), study.config.level, len(rows), test),
            alt="Observed against expected churn rates by group of predicted risk, and their ratio; the table below has the numbers.",
            figure=risk_groups(groups, cells),
            source=(f"risk_groups_{slug}", f"risk_groups_by_period_{slug}"),
        ),
        Table(
            f"risk_groups_{slug}",
            f"Observed and expected churns by predicted risk, {made.definition}",
            groups,
            pd.DataFrame(
                {
                    "Group of risk": [count(n) for n in groups["group"]],
                    "Customer days": [count(n) for n in groups["days"]],
                    "Observed": [count(n) for n in groups["observed"]],
                    "Expected": [decimal(x, 1) for x in groups["expected"]],
                    f"Observed over expected ({_percent(study)} CI)": [
                        ratio_with_interval(r.ratio, r.ci_lower, r.ci_upper) for r in groups.itertuples()
                    ],
                }
            ),
            notes=("All groups together: observed and expected churns are equal by construction.",),
        ),
        Table(f"risk_groups_by_period_{slug}", "The same by period of tenure", cells, shown=False),
    ]  # fmt: skip


def _outliers(study: Study, made: Models, kept: Kept) -> list[Block]:
    found, slug = outliers(study, made), study.slug(made.definition)
    kept.setdefault("outliers", []).append(found.listed)
    far, customers = found.far_churned + found.far_stayed, made.full.customers
    said = words.outlier_sentence(found.far_churned, found.far_stayed, customers, FAR_CHURNED, FAR_STAYED)
    return [
        _bullets(study, made, (said,)),
        Figure(
            name=f"deviance_{slug}",
            title=titled(study, made, words.outlier_title(far, customers)),
            caption=captions.outlier_caption(_sample(made), words.FAR),
            alt="Two histograms of deviance residuals: customers who churned, and customers who stayed.",
            figure=deviance_residuals(found.bins, limit=words.FAR),
            source=(f"deviance_{slug}",),
        ),
        Table(f"deviance_{slug}", "Histogram of deviance residuals", found.bins, shown=False),
        _outlier_table(made, found, slug),
    ]


def _outlier_table(made: Models, found: Outliers, slug: str) -> Table:
    frame = found.listed
    shown = pd.DataFrame(
        {
            "Customer": frame["customer"],
            "Days": [f"{count(r.entered)}–{count(r.left)}" for r in frame.itertuples()],
            "Churned": [_yes(n) for n in frame["churned"]],
            "Expected churns": [f"{x:#.2g}" if x < 0.1 else decimal(x) for x in frame["expected"]],
            "Deviance residual": [decimal(x) for x in frame["deviance"]],
        }
    )
    note = "Of those who churned and of those who stayed, the customers furthest from what the model expects. Days of tenure."
    return Table(f"outliers_{slug}", f"Customers least like the model, {made.definition}", frame, shown, notes=(note,))


def _log_log(study: Study, made: Models, kept: Kept) -> list[Block]:
    curves, left_out = log_log_curves(study, made)
    labels, slug = shown_labels(study, made), study.slug(made.definition)
    missing = [Paragraph(_said(study, made, words.without_curves(_named(labels, left_out))))] if left_out else []
    if curves.empty:
        return [Paragraph(_said(study, made, words.NO_LEVELS)), *missing]
    tests = made.full.proportional_hazards(terms=True).set_index("term")["p"].to_dict()
    apart = distances(curves, tests)
    kept.setdefault("log_log_distances", []).append(apart.assign(definition=made.definition))
    said = {str(name): f"PH test: {p_phrase(tests.get(name))}" for name in pd.unique(curves["covariate"])}
    failing = sum(tests.get(str(name), 1.0) < words.ALPHA for name in pd.unique(curves["covariate"]))
    return [
        Paragraph(words.PARALLEL),
        _bullets(study, made, tuple(words.log_log_sentence(r, _label(labels, r["covariate"])) for r in apart.to_dict("records"))),
        *missing,
        Figure(
            name=f"log_log_{slug}",
            title=titled(study, made, f"{count(failing)} of {count(len(said))} sets of curves are not parallel by the test"
                         if failing else "No test finds that the log-minus-log curves are not parallel"),
            caption=captions.log_log_caption(_sample(made), study.config.level, MIN_AT_RISK),
            alt=f"Log-minus-log curves against tenure on a log axis for {', '.join(_label(labels, n) for n in said)}.",
            figure=log_minus_log(curves, labels=labels, tests=said),
            source=(f"log_log_{slug}",),
        ),
        Table(f"log_log_{slug}", "Log-minus-log curves", curves, shown=False),
    ]  # fmt: skip


Check = Callable[[Study, Models, Kept], list[Block]]
CHECKS: dict[str, Check] = {
    "functional_form": _form, "influence": _influence, "calibration": _agreement, "outliers": _outliers, "log_log": _log_log,
}  # fmt: skip
TITLES = {
    "functional_form": "Does each number act along a straight line?",
    "influence": "Does a result rest on single customers?",
    "calibration": "Does the model expect the right number of churns?",
    "outliers": "Whom does the model not describe?",
    "log_log": "Are the log-minus-log curves parallel?",
}
ALL: dict[str, tuple[str]] = {
    "functional_form": ("Tests of the form of each number",),
    "influence": ("Customers that move the hazard ratios most, all columns",),
    "risk_groups": ("Observed and expected churns by predicted risk, all columns",),
    "risk_group_tests": ("Tests that observed and expected churns agree",),
    "outliers": ("Customers least like the model, all columns",),
    "log_log_distances": ("Distance of log-minus-log curves",),
}


def _bullets(study: Study, made: Models, sentences: Sequence[str]) -> Bullets:
    return Bullets(tuple(titled(study, made, sentence) for sentence in sentences))


def _label(labels: dict[str, str], name: Any) -> str:
    return labels.get(str(name), covariate_label(str(name)))


def _named(labels: dict[str, str], left_out: Mapping[str, str]) -> dict[str, str]:
    """By label; a level after its covariate's."""
    parts = {name: name.partition(OF) for name in left_out}
    return {
        f"{_label(labels, parts[n][0])}{OF if parts[n][2] else ''}{parts[n][2]}": why for n, why in left_out.items()
    }


def _said(study: Study, made: Models, text: str) -> str:
    text = titled(study, made, text)
    return text[:1].upper() + text[1:] if len(study.definitions) == 1 else text


def _sample(made: Models) -> str:
    return captions.sample(made.full.customers, made.full.events)


def _percent(study: Study) -> str:
    return confidence(study.config.level)


def _yes(churned: float) -> str:
    return "yes" if churned == 1 else "no" if churned == 0 else count(churned)
