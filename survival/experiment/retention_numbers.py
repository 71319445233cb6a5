"""Retention in numbers: the tables that all definitions share, with fixed columns, and how they are shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from survival.cohorts import COHORT
from survival.errors import ArgumentError
from survival.estimate.permutation import permutation_test
from survival.estimate.rank_tests import rank_test
from survival.experiment.comparisons import ADJUSTED_BY, comparable, mean_differences, means
from survival.experiment.study import Study
from survival.findings import Finding
from survival.report.document import Block, Paragraph, Table

PAIR_ALPHA = 0.05


def entering_late(study: Study, name: str) -> dict[str, float]:
    """Cohorts without anybody at risk at signup, and the tenure at which the first enters: their curves start there at 1."""
    curves = study.curves(name).curves
    return {str(curve.risk.label): curve.entry for curve in curves if curve.entry > 0}


def marked(study: Study, name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with an asterisk at the cohorts that enter late."""
    late = entering_late(study, name)
    return frame.assign(cohort=[f"{c}*" if c in late else c for c in frame["cohort"]])


def mark_note(study: Study, name: str) -> str:
    """What the asterisk means; nothing where there is none."""
    late = entering_late(study, name)
    if not late:
        return ""
    days = ", ".join(f"{cohort} from day {tenure:g}" for cohort, tenure in late.items())
    return f"* Not observed from signup: retention among those who were customers when first observed ({days})."


def _all_marked(study: Study, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame of all definitions, cohorts that enter late marked."""
    parts = [marked(study, name, frame[frame["definition"] == name]) for name in study.definitions]
    return pd.concat(parts, ignore_index=True)


def _mark_notes(study: Study, more: str = "") -> tuple[str, ...]:
    """What the asterisk means in a table of all definitions; nothing where no cohort enters late."""
    if not any(entering_late(study, name) for name in study.definitions):
        return ()
    tail = f"; {more}" if more else ""
    return (
        f"* Not observed from signup: of those who were customers when first observed, not to be compared with the others{tail}.",
    )


def by_definition(study: Study, frame_of: Callable[[str], pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """The frames of all definitions in one, `definition` first, `by` called `cohort`, and just these columns."""
    parts = [frame_of(name).rename(columns={"by": "cohort"}).assign(definition=name) for name in study.definitions]
    return pd.concat(parts, ignore_index=True)[["definition", *columns]]


def retention(study: Study) -> pd.DataFrame:
    """tables/retention.csv."""
    columns = ["cohort", "tenure", "at_risk", "events", "censored", "entered", "retention", "ci_lower", "ci_upper"]
    return by_definition(study, lambda name: study.curves(name).tidy(), columns)


def retention_at(study: Study) -> pd.DataFrame:
    """tables/retention_at.csv."""
    columns = ["cohort", "tenure", "at_risk", "retention", "ci_lower", "ci_upper"]
    return by_definition(study, lambda name: study.curves(name).at(list(study.config.retention.at)), columns)


def quantiles(study: Study) -> pd.DataFrame | None:
    """tables/tenure_quantiles.csv: tenures by which other shares than a half have left; None where none is asked for."""
    asked = list(study.config.retention.quantiles)
    if set(asked) <= {0.5}:
        return None
    columns = ["cohort", "p", "tenure", "ci_lower", "ci_upper"]
    frame = by_definition(study, lambda name: study.curves(name).quantile(asked), columns)
    return frame.rename(columns={"p": "share", "tenure": "tenure_by_then"})


def medians(study: Study) -> pd.DataFrame:
    """Median tenure by cohort; empty where retention stays above one half."""
    frame = by_definition(
        study, lambda name: study.curves(name).quantile([0.5]), ["cohort", "tenure", "ci_lower", "ci_upper"]
    )
    return frame.rename(columns={"tenure": "median_tenure"})


def horizon(study: Study) -> float:
    """Of RMST: as configured, else the longest configured tenure that some cohort of some definition reaches."""
    if study.config.retention.horizon is not None:
        return float(study.config.retention.horizon)
    longest = max(curve.end for name in study.definitions for curve in study.curves(name).curves)
    return float(max((t for t in study.config.retention.at if t <= longest), default=longest))


def rmst(study: Study) -> pd.DataFrame:
    """tables/rmst.csv; which cohorts have none, and why, is noted."""
    until = horizon(study)

    def one(name: str) -> pd.DataFrame:
        frame = means(study, name, until).tidy()
        unknown = [str(label) for label in frame.loc[frame["rmst"].isna(), "by"]]
        if unknown:
            message = (
                f"the mean within {until:g} days is not known for {len(unknown)} of {len(frame)} cohorts, which were not observed "
                f"until then or enter later: {', '.join(unknown)}. Set `retention.horizon` to a tenure that they reach."
            )
            study.note(
                [Finding("horizon-out-of-range", "note", "RMST", message, f"{len(unknown)} of {len(frame)}")],
                about=name,
            )
        return frame

    return by_definition(study, one, ["cohort", "horizon", "rmst", "se", "ci_lower", "ci_upper"])


def rank_tests(study: Study) -> pd.DataFrame:
    """tables/rank_tests.csv: overall, trend where cohorts are ordered, and every pair with adjusted p; then the other tests."""
    columns = ["test", "cohort_a", "cohort_b", "statistic", "df", "p", "p_adjusted"]
    how = study.config.retention

    def one(name: str) -> pd.DataFrame:
        if len(study.curves(name).groups) < 2:
            return pd.DataFrame(columns=columns)
        several = study.several_spells(name)
        data: Any = study.stays(name) if several else study.flows(name)
        given: dict[str, Any] = {"start": "start", "customer": "customer", "spell": "spell"} if several else {}
        given |= {"by": COHORT, "order": study.cohort_labels(name)}
        first = rank_test(data, weighting=how.tests[0], trend=study.ordered, pairwise=how.adjust, **given)
        study.note(first.findings, about=name)
        study.used(*how.tests, *(["by-customer"] if several else []))
        tables = [first.tidy(), *(rank_test(data, weighting=test, **given).tidy() for test in how.tests[1:])]
        return pd.concat([*tables, *_permuted(study, name)], ignore_index=True)

    return by_definition(study, one, columns)


def _permuted(study: Study, name: str) -> list[pd.DataFrame]:
    """The first test with its p from dealing the cohorts to the customers anew."""
    how = study.config.retention
    if not how.permutations:
        return []
    try:
        made = permutation_test(
            study.stays(name), start="start", by=COHORT, customer="customer", spell="spell", weighting=how.tests[0],
            order=study.cohort_labels(name), permutations=how.permutations, seed=study.config.seed,
        )  # fmt: skip
    except ArgumentError as error:
        study.note([Finding("no-permutation-test", "note", "retention.permutations", str(error))], about=name)
        return []
    if study.late_entry:
        message = (
            "customers enter late: a permutation test is right only when entry does not depend on the cohort, as it does "
            "for signup periods"
        )
        study.note([Finding("permutation-late-entry", "warning", "retention.permutations", message)], about=name)
    study.used("permutation")
    frame = made.tidy().head(1)
    return [frame.assign(test=f"permutation of {how.tests[0]}", df=float("nan"))]


def number_blocks(study: Study, at: pd.DataFrame, tests: pd.DataFrame) -> list[Block]:
    """Medians, means and tests of all definitions, and the CSV of the curves."""
    study.used("rmst")
    until = f"{horizon(study):g}"
    median, mean, others = medians(study), rmst(study), quantiles(study)
    blocks: list[Block] = [
        Table("retention", "Retention curves", retention(study), shown=False),
        Table("retention_at", "Retention at fixed tenures", at, shown=False),
        Table(
            "medians", "Median tenure, days", median, study.display(_all_marked(study, median)),
            notes=("A dash: more than half were still customers at the end.", *_mark_notes(study)),
        ),
        Table(
            "rmst", f"Mean days retained until day {until} (restricted mean, RMST)", mean,
            study.display(_all_marked(study, mean)), notes=_mark_notes(study, "the mean counts days from then on"),
        ),
    ]  # fmt: skip
    if others is not None:
        note = "A dash: that share had not left by the end."
        shown = study.display(_all_marked(study, others))
        blocks.insert(
            3,
            Table(
                "tenure_quantiles",
                "Tenures by which shares of customers had left, days",
                others,
                shown,
                notes=(note, *_mark_notes(study)),
            ),
        )
    pairs = [
        mean_differences(study, n, horizon(study)).assign(definition=n)
        for n in study.definitions
        if comparable(study, n)
    ]
    if pairs:
        frame = pd.concat(pairs, ignore_index=True)
        blocks.append(Table("rmst_differences", "Mean days retained, every pair of cohorts", frame, shown=False))
    if tests.empty:
        blocks.append(Paragraph("There is one cohort only, so there is nothing to compare."))
    return [*blocks, _rank_table(study, tests)]


def _rank_table(study: Study, tests: pd.DataFrame) -> Table:
    """Every test in the CSV; shown are the overall ones and the pairs that differ."""
    how, pairs = study.config.retention, tests["test"] == "pairwise"
    shown = tests[~pairs | (tests["p_adjusted"] < PAIR_ALPHA)]
    what = (
        f"{int(pairs.sum())} pairs of cohorts were compared; shown: adjusted p below {PAIR_ALPHA:g}; the CSV has all."
    )
    several = any(study.several_spells(name) for name in study.definitions)
    how_sure = (
        "Variance by customer, where customers have several spells"
        if several
        else "Hypergeometric variance on the risk sets"
    )
    by = ADJUSTED_BY.get(how.adjust)
    family = f"Pairs: p adjusted by {by} over the pairs of one definition." if by else "Pairs: p not adjusted."
    title = "Do cohorts differ? Log-rank tests" if how.tests == ("logrank",) else "Do cohorts differ? Rank tests"
    late = {(name, cohort) for name in study.definitions for cohort in entering_late(study, name)}
    sides = {
        side: [f"{c}*" if (d, c) in late else c for d, c in zip(shown["definition"], shown[side])]
        for side in ("cohort_a", "cohort_b")
    }
    stars = any(str(c).endswith("*") for side in sides.values() for c in side)
    notes = ["* Not observed from signup: compared at the tenures at which both cohorts are."] if stars else []
    display = study.display(shown.assign(**sides))
    return Table(
        "rank_tests", title, tests, display, notes=(f"{how_sure}. {family}", *([what] if pairs.any() else []), *notes)
    )
