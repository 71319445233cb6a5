"""The part of a report that compares groups as if they had the same customers: a figure, a table and a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from survival.cohorts import COHORT
from survival.experiment.adjusted import Adjusted, adjusted_of, at_tenures, curve_rows
from survival.experiment.comparisons import ADJUSTED_BY, ALPHA, MARK
from survival.experiment.curve_figures import share_options, tenure_options
from survival.experiment.models import Models
from survival.experiment.retention_numbers import entering_late, mark_note
from survival.experiment.samples import under
from survival.experiment.study import Study
from survival.plot.adjusted import adjusted_retention
from survival.plot.curve_options import options_of
from survival.plot.numbers import confidence, count, decimal, p_phrase, percent_with_interval
from survival.report.curve_titles import adjusted_title
from survival.report.diagnostics_captions import sample
from survival.report.document import Block, Bullets, Figure, Section, Table
from survival.report.wording import days_and_months

MOST_ROWS = 20  # of the table


def adjusted_section(study: Study, all_models: Sequence[Models]) -> list[Block]:
    """Its own section, of all definitions; nothing without the key `adjusted`."""
    blocks: list[Block] = []
    for made in all_models:
        found = adjusted_blocks(study, made.definition)
        said = adjusted_sentence(study, made.definition)
        blocks += [*([Bullets((said,))] if said and found else []), *found]
    return [Section("Do the groups differ when their customers are alike?"), *blocks] if blocks else []


def adjusted_blocks(study: Study, name: str) -> list[Block]:
    """The curves as observed beside the adjusted ones, and both at fixed tenures."""
    made = adjusted_of(study, name)
    if made is None:
        return []
    study.used("adjusted-weights" if made.curves.method == "marginal" else "adjusted")
    slug, frame, at = study.slug(name), curve_rows(made), at_tenures(study, made)
    longest = max(curve.end for curve in made.curves.crude.curves)
    axis = options_of(**tenure_options(study))
    at_risk = made.curves.crude.numbers_at_risk(axis.ticks(axis.horizon(longest))).rename(columns={"by": "group"})
    groups = _groups(study, made)
    return [
        Figure(
            name=f"adjusted_retention_{slug}",
            title=under(study, name, adjusted_title(at, groups, _covariates(study), name_of=_named_as(made))),
            caption=_caption(study, made),
            alt=f"Retention curves by {groups} under {name}, as observed and adjusted for {_covariates(study)}; the table has the numbers.",
            figure=adjusted_retention(
                _marked(study, made, frame[["group", "curve", "tenure", "retention", "ci_lower", "ci_upper"]]),
                _marked(study, made, at_risk) if "at_risk" in study.config.retention.figure.rows else None,
                by="group",
                ordered=study.ordered and made.curves.by == COHORT,
                horizon=longest,
                adjusted_for=_covariates(study),
                **share_options(study),
            ),
            source=(f"adjusted_retention_{slug}",),
        ),
        Table(
            f"adjusted_at_{slug}",
            f"Retention by {groups}, as observed and adjusted for {_covariates(study)}, {name}",
            at,
            _shown(study, made, at),
            notes=_notes(study, made, at),
        ),
        Table(f"adjusted_retention_{slug}", f"Adjusted curves, {name}", frame, shown=False),
        Table(
            f"adjusted_model_{slug}",
            f"The Cox model that the curves are adjusted by, {name}",
            made.fit.tidy().assign(definition=name),
            shown=False,
        ),
    ]


def adjusted_sentence(study: Study, name: str) -> str | None:
    """The largest difference from the reference as observed, and the same difference adjusted; None where all are 0.0 points."""
    made = adjusted_of(study, name)
    if made is None:
        return None
    rows = at_tenures(study, made)
    both = rows[rows["observed_difference"].notna() & rows["adjusted_difference"].notna()]
    if both.empty:
        return None
    tenure = both["tenure"].max()
    last = both[both["tenure"] == tenure]
    row: Any = last.loc[last["observed_difference"].abs().idxmax()]
    if float(_points(abs(row["observed_difference"]))) == 0:
        return None
    level = study.config.level
    most = f" (the largest of {len(last)} differences)" if len(last) > 1 else ""
    far, who, others = _far(row, "observed", level), str(row["group"]), str(row["reference"])
    if made.curves.by != COHORT:
        by = _named(study, made.curves.by)
        who, others = f"customers with {by} “{who}”", f"those with {by} “{others}”"
    first = (
        f"After {days_and_months(float(tenure))}, retention of {who} was {far} than that of {others} as observed{most}"
    )
    second = f"adjusted for {_covariates(study)} it was {_far(row, 'adjusted', level)}"
    return f"{first}; {second}."


def _far(row: Any, kind: str, level: float) -> str:
    """'9.1 points lower (95% CI −12.0 to −6.2)'."""
    value = row[f"{kind}_difference"]
    low, high = row[f"{kind}_difference_lower"], row[f"{kind}_difference_upper"]
    how = f"{decimal(100 * abs(value), 1)} points {'higher' if value > 0 else 'lower'}"
    return how if low != low else f"{how} ({confidence(level)} CI {_points(low)} to {_points(high)})"


def _points(share: float) -> str:
    return decimal(100 * share, 1)


def _named(study: Study, name: str) -> str:
    return study.labels.get(name, name.replace("_", " "))


def _covariates(study: Study) -> str:
    assert study.config.adjusted is not None
    words = [_named(study, name) for name in study.config.adjusted.covariates]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _groups(study: Study, made: Adjusted) -> str:
    return study.cohort_title.lower() if made.curves.by == COHORT else _named(study, made.curves.by)


def _named_as(made: Adjusted) -> str:
    """What stands before a group's name: 2023-Q1 alone does not say what it is."""
    return "cohort " if made.curves.by == COHORT else ""


def _caption(study: Study, made: Adjusted) -> str:
    curves, interval = made.curves, study.config.retention.interval
    groups, words = _groups(study, made), _covariates(study)
    whom = sample(made.customers, made.events)
    if curves.method == "marginal":
        how = (
            f"Adjusted: Kaplan-Meier curves with customers weighted so that every group has the {words} of all {count(made.customers)} "
            "customers."
        )
    else:
        how = (
            f"Adjusted: what a Cox model with {words}, and with a baseline of its own for each {groups}, predicts on average for all "
            f"{count(made.customers)} customers, as if each had been in that group (direct standardisation)."
        )
    variance = {"model": "delta method", "robust": "variance by customer"}.get(curves.variance, "delta method")
    bands = (
        ""
        if interval == "none"
        else f" Bands and intervals: pointwise {confidence(study.config.level)}, {interval} ({variance})."
    )
    late = len({float(b) for b in curves.begin}) > 1
    where = "A curve is drawn where its own group was observed" + (", from 100% at its first entry." if late else ".")
    return (
        f"{whom} As observed: Kaplan-Meier curves. {how}{bands} {where} Other differences "
        f"between the groups remain; the curves do not show what would happen if a customer changed group. {_mark_note(study, made)}"
    ).strip()


def _marked(study: Study, made: Adjusted, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with an asterisk at cohorts that enter late, as beside it in the report. A group of another kind is as it was."""
    if made.curves.by != COHORT:
        return frame
    late = entering_late(study, made.definition)
    return frame.assign(group=[f"{g}*" if str(g) in late else g for g in frame["group"]])


def _mark_note(study: Study, made: Adjusted) -> str:
    return mark_note(study, made.definition) if made.curves.by == COHORT else ""


def _shown(study: Study, made: Adjusted, at: pd.DataFrame) -> pd.DataFrame:
    """A row a group and tenure: retention and difference, each as observed and adjusted."""
    ci = f"({confidence(study.config.level)} CI)"
    known = _known(at)
    return pd.DataFrame(
        {
            _groups(study, made).capitalize(): _marked(study, made, known)["group"].astype(str),
            "After": [f"{count(t)} days" for t in known["tenure"]],
            f"As observed {ci}": [percent_with_interval(r.observed, r.observed_lower, r.observed_upper) for r in known.itertuples()],
            f"Adjusted {ci}": [percent_with_interval(r.adjusted, r.adjusted_lower, r.adjusted_upper) for r in known.itertuples()],
            f"Difference as observed, points {ci}": [_cell(r, "observed", made) for r in known.to_dict("records")],
            f"Difference adjusted, points {ci}": [_cell(r, "adjusted", made) for r in known.to_dict("records")],
        }
    )  # fmt: skip


def _known(at: pd.DataFrame) -> pd.DataFrame:
    """The rows that are shown: where they are many, those of the longest tenure at which groups are compared."""
    known = at[at["observed"].notna() | at["adjusted"].notna()]
    compared = known[known["adjusted_difference"].notna()]
    if len(known) <= MOST_ROWS or compared.empty:
        return known
    return known[known["tenure"] == compared["tenure"].max()]


def _cell(row: Any, kind: str, made: Adjusted) -> str:
    value = row[f"{kind}_difference"]
    if str(row["group"]) == str(made.reference):
        return "reference"
    if value != value:
        return "–"
    sign = "+" if value > 0 else ""
    low, high = row[f"{kind}_difference_lower"], row[f"{kind}_difference_upper"]
    text = f"{sign}{_points(value)}" if low != low else f"{sign}{_points(value)} ({_points(low)} to {_points(high)})"
    return f"{text} {MARK}" if kind == "adjusted" and row["p_adjusted"] < ALPHA else text


def _notes(study: Study, made: Adjusted, at: pd.DataFrame) -> tuple[str, ...]:
    how = ADJUSTED_BY.get(study.config.retention.adjust)
    tests = f"adjusted by {how} over the table" if how else "not adjusted for their number"
    notes = [f"Differences from {made.reference}. {MARK} p of the adjusted difference below {ALPHA:g}, {tests}."]
    if made.curves.method == "conditional":
        p = made.fit.proportional_hazards()["p"].iloc[-1]
        test = f"test that they do not change with tenure: {p_phrase(p)}"
        if p != p:
            test = "that they do not change with tenure could not be tested"
        notes.append(
            f"The hazard ratios of {_covariates(study)} are taken to be the same in every group and at every tenure ({test})."
        )
    if len({float(b) for b in made.curves.begin}) > 1:
        notes.append("A dash: not observed then, or first observed at another tenure than the group compared with.")
    notes += [said] if (said := _mark_note(study, made)) else []
    if at["tenure"].nunique() > _known(at)["tenure"].nunique():
        notes.append("Other tenures are in the CSV of that name.")
    return tuple(notes)
