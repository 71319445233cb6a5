"""The parts of a report that ask whether hazard ratios hold: over tenure, in subgroups, and with other settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from survival.experiment.models import Models
from survival.experiment.periods import period_ratios
from survival.experiment.phrases import phrases, shown_labels, titled
from survival.experiment.sensitivity import AS_CONFIGURED, sensitivity
from survival.experiment.study import Study
from survival.experiment.subgroups import LIKELIHOOD_RATIO, ROBUST_WALD, WALD, WHOLE, subgroup_ratios
from survival.plot.forest import covariate_label
from survival.plot.grouped_forest import grouped_forest
from survival.plot.numbers import confidence, count, decimal, p_value, ratio_with_interval
from survival.report.detail_wording import (
    interaction_sentence,
    period_sentence,
    sensitivity_sentence,
    sensitivity_summary,
    setting,
    subgroup_summary,
)
from survival.report.diagnostics_captions import sample
from survival.report.document import Block, Bullets, Figure, Paragraph, Section, Table
from survival.report.titles import periods_title

ALPHA = 0.05
MOST_FACTS = 12  # sentences of one list
_TOPICS = {LIKELIHOOD_RATIO: "interaction-likelihood", ROBUST_WALD: "interaction-robust", WALD: "interaction-wald"}
_NOT_COMPARED = " Not compared: the indicator reads the table whose silence is that churn."
_ADJUSTED = (
    "Adjusted by Holm's method over one test for each covariate and subgroup. A covariate of several levels is tested as a whole (all its "
    "ratios together); the rows of its single levels are not adjusted: they only say where a difference lies."
)
_NO_TEST = (
    "A dash under χ²: no test, since the ratio can be estimated in fewer than two levels of the subgroup: in the others nobody, or no "
    "churn, is at one of the values that it compares."
)
_TEST_NOTES = {
    LIKELIHOOD_RATIO: "Likelihood-ratio test: the model with a coefficient in each level against the one with a single coefficient.",
    ROBUST_WALD: "Wald test that the coefficients of all levels are equal, with the variance clustered by customer. With that variance a "
    "likelihood-ratio test is not valid: the likelihood does not know which episodes are of one customer.",
    WALD: "Wald test that the coefficients of all levels that have an estimate are equal, where a likelihood-ratio test is not to be "
    "had: a level has no estimate, or the model is penalised.",
}


def period_blocks(study: Study, made: Models, failing: Sequence[str]) -> list[Block]:
    """Hazard ratios by period of tenure of the covariates whose test of proportional hazards fails."""
    frame = period_ratios(study, made, failing)
    slug = study.slug(made.definition)
    if frame.empty:
        return []
    study.used("periods")
    words, labels = phrases(study, made), shown_labels(study, made)
    groups = [(str(name), rows.to_dict("records")) for name, rows in frame.groupby("covariate", sort=False)]
    notes = {name: p_value(rows[0]["p_equal"]) for name, rows in groups}
    clear = sum(rows[0]["p_equal"] < ALPHA for _, rows in groups)
    what = periods_title(clear, len(groups))
    return [
        Bullets(tuple(period_sentence(rows, words.get(name), labels=labels) for name, rows in groups)),
        Figure(
            name=f"periods_{slug}",
            title=titled(study, made, what),
            caption=f"{_sample(made)} One multivariable Cox model: these terms have a hazard ratio in each period of tenure and the "
            f"others one for all; {_intervals(study, made)} Right: Wald test that a covariate's ratios are equal.",
            alt="Forest plot of hazard ratios by period of tenure for each covariate that fails the test; the table has the numbers.",
            figure=grouped_forest(
                frame, row="period", labels=labels, counts={"events": "Churned"}, notes=notes, note_title="One ratio, p",
                level=study.config.level
            ),
            source=(f"period_hazard_ratios_{slug}",),
        ),
        Table(
            f"period_hazard_ratios_{slug}",
            f"Hazard ratios by period of tenure, {made.definition}",
            frame,
            _shown(frame, labels, "period", "Period", "p_equal", "One ratio, p", study.config.level),
            notes=("Churned: of all customers, in the period. Days of tenure; the last day named is inside.",),
        ),
    ]  # fmt: skip


def subgroup_blocks(study: Study, all_models: Sequence[Models]) -> list[Block]:
    """A forest plot a subgroup, tests of interaction, and what is left of them after adjustment."""
    if not study.config.model.subgroups:
        return []
    study.used("subgroups")
    blocks: list[Block] = [Section("Do the hazard ratios differ between customers?")]
    parts = []
    for made in all_models:
        frame = subgroup_ratios(study, made)
        parts.append(frame)
        if frame.empty:
            continue
        study.used(*(_TOPICS[test] for test in _TOPICS if (frame["interaction_test"] == test).any()))
        blocks += _subgroups(study, made, frame)
    whole = [p for p in parts if len(p)] or parts[:1]
    return [
        *blocks,
        Table("subgroups", "Hazard ratios in subgroups, all columns", pd.concat(whole, ignore_index=True), shown=False),
    ]


def _subgroups(study: Study, made: Models, frame: pd.DataFrame) -> list[Block]:
    words, labels = phrases(study, made), shown_labels(study, made)
    tests = frame.drop_duplicates(["subgroup", "covariate"])
    known = tests[tests["p_adjusted"].notna()]  # a term of several columns counts once
    summary = subgroup_summary(
        len(known), int((known["p_interaction"] < ALPHA).sum()), int((known["p_adjusted"] < ALPHA).sum())
    )
    said = [
        interaction_sentence(rows.to_dict("records"), words.get(str(key[1])), labels=labels)
        for key, rows in frame.groupby(["subgroup", "covariate"], sort=False)
    ]
    facts = [text for text in said if text][:MOST_FACTS]
    blocks: list[Block] = [Paragraph(summary), *([Bullets(tuple(facts))] if facts else [])]
    for name in pd.unique(frame["subgroup"]):
        whole = frame[frame["subgroup"] == name]
        mine = whole[whole["level"] != WHOLE]
        notes = {str(c): p_value(p) for c, p in mine.groupby("covariate", sort=False)["p_interaction"].first().items()}
        adjusted = whole.drop_duplicates("covariate")["p_adjusted"].dropna()
        clear = int((adjusted < ALPHA).sum())
        shown = labels.get(str(name), str(name).replace("_", " "))
        finding = (
            f"The hazard ratios of {clear} of {len(adjusted)} covariates differ"
            if clear
            else "No hazard ratio clearly differs"
        )
        blocks.append(
            Figure(
                name=f"subgroups_{study.slug(made.definition)}_{_slug(str(name))}",
                title=titled(study, made, f"{finding} by {shown}"),
                caption=f"{_sample(made)} Hazard ratio of each covariate within each level of {shown}, from the multivariable Cox model "
                f"with that covariate's coefficient in each level in place of one; {_intervals(study, made)} Right: {_tested(mine)} of "
                "interaction, not adjusted for the number of tests. Churned: in the level.",
                alt=f"Forest plot: for each covariate its hazard ratio in every level of {shown}; the table subgroups has the numbers.",
                figure=grouped_forest(
                    mine, row="level", labels=labels, counts={"events": "Churned"}, notes=notes, note_title="Interaction, p",
                    level=study.config.level
                ),
                source=("subgroups",),
            )
        )  # fmt: skip
    return [*blocks, _interactions(study, made, tests, labels)]


def _tested(frame: pd.DataFrame) -> str:
    """Which tests a frame of subgroups holds, for a caption."""
    there = set(frame["interaction_test"])
    if {LIKELIHOOD_RATIO, WALD} <= there:
        return "likelihood-ratio test (Wald where a level has no estimate)"
    return f"{LIKELIHOOD_RATIO.replace(' ', '-') if LIKELIHOOD_RATIO in there else next(iter(there))} test"


def _interactions(study: Study, made: Models, tests: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    """One row a covariate and subgroup: the test of interaction and what is left of it after adjustment."""
    kept = [
        "definition",
        "subgroup",
        "covariate",
        "interaction_test",
        "interaction_statistic",
        "interaction_df",
        "p_interaction",
    ]
    frame = tests[[*kept, "p_adjusted"]].reset_index(drop=True)
    shown = pd.DataFrame(
        {
            "Subgroup": [labels.get(g, g.replace("_", " ")) for g in frame["subgroup"]],
            "Covariate": [labels.get(c, covariate_label(c)) for c in frame["covariate"]],
            "χ² (df)": [
                f"{decimal(s)} ({d})" if s == s else "–" for s, d in zip(frame["interaction_statistic"], frame["interaction_df"])
            ],
            "p": [p_value(p) for p in frame["p_interaction"]],
            "p, adjusted": [p_value(p) for p in frame["p_adjusted"]],
        }
    )  # fmt: skip
    used = [note for test, note in _TEST_NOTES.items() if (frame["interaction_test"] == test).any()]
    notes = (
        *used,
        *([_ADJUSTED] if len(frame) > 1 else []),
        *([_NO_TEST] if frame["p_interaction"].isna().any() else []),
    )
    title = f"Tests of interaction, {made.definition}"
    return Table(f"interactions_{study.slug(made.definition)}", title, frame, shown, notes=notes)


def sensitivity_blocks(study: Study, all_models: Sequence[Models]) -> list[Block]:
    """The model again under other definitions and other days between marks, beside the one that was configured."""
    if not (study.config.sensitivity.churn or study.config.sensitivity.update_every):
        return []
    study.used("sensitivity")
    blocks: list[Block] = [Section("Do the conclusions stand with other settings?")]
    parts = []
    for made in all_models:
        frame = sensitivity(study, made)
        parts.append(frame)
        if len(frame):
            blocks += _sensitivity(study, made, frame)
    return [
        *blocks,
        Table("sensitivity", "Hazard ratios with other settings", pd.concat(parts, ignore_index=True), shown=False),
    ]


def _sensitivity(study: Study, made: Models, frame: pd.DataFrame) -> list[Block]:
    words, labels = phrases(study, made), shown_labels(study, made)
    said = [
        sensitivity_sentence(rows.to_dict("records"), words.get(str(name)), labels)
        for name, rows in frame.groupby("covariate", sort=False)
    ]
    facts = [text for text in said if text]
    variants = [str(v) for v in pd.unique(frame["value"]) if v != AS_CONFIGURED]
    total = int(frame["covariate"].nunique())
    firsts = frame.groupby("value", sort=False)[["customers", "events"]].first()
    sizes = "; ".join(f"{setting(str(v))}: {sample(n, churns)[:-1]}" for v, n, churns in firsts.itertuples(name=None))
    finding = (
        f"{len(facts)} of {total} conclusions depend{'s' if len(facts) == 1 else ''} on a setting"
        if facts
        else "The conclusions do not depend on these settings"
    )
    order = frame.sort_values(
        "covariate", key=lambda c: c.map({n: i for i, n in enumerate(made.full.names)}), kind="stable"
    )
    return [
        Paragraph(sensitivity_summary(total, len(facts), variants)),
        *([Bullets(tuple(facts))] if facts else []),
        Figure(
            name=f"sensitivity_{study.slug(made.definition)}",
            title=titled(study, made, finding),
            caption=f"The multivariable Cox model as configured and with one setting changed at a time ({sizes}); "
            f"{_intervals(study, made)}{_NOT_COMPARED if (frame['said'] == 'not compared').any() else ''}",
            alt="Forest plot: for each covariate its hazard ratio as configured and with each other setting; the table has the numbers.",
            figure=grouped_forest(order, row="value", labels=labels, level=study.config.level),
            source=("sensitivity",),
        ),
    ]  # fmt: skip


def _sample(made: Models) -> str:
    return sample(made.full.customers, made.full.events)


def _intervals(study: Study, made: Models) -> str:
    variance = "robust variance, clustered by customer" if made.full.options.robust else "model-based variance"
    return f"{confidence(study.config.level)} intervals from the {variance}."


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name.lower())


def _shown(
    frame: pd.DataFrame, labels: Mapping[str, str], row: str, row_title: str, test: str, test_title: str, level: float
) -> pd.DataFrame:
    """A row a line: covariate and test at the covariate's first line only."""
    first = ~frame["covariate"].duplicated()
    return pd.DataFrame(
        {
            "Covariate": [labels.get(c, covariate_label(c)) if f else "" for c, f in zip(frame["covariate"], first)],
            row_title: frame[row],
            "Churned": [count(n) for n in frame["events"]],
            f"HR ({confidence(level)} CI)": [
                ratio_with_interval(r.hazard_ratio, r.ci_lower, r.ci_upper) for r in frame.itertuples()
            ],
            "p": [p_value(p) for p in frame["p"]],
            test_title: [p_value(p) if f else "" for p, f in zip(frame[test], first)],
        }
    )
