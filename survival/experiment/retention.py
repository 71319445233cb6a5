"""The parts of a report about retention: curves with risk tables, fixed tenures, RMST, medians, rank tests, the triangle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from survival.estimate.rank_tests import rank_test
from survival.experiment.study import Study
from survival.findings import Finding
from survival.plot.cohort_triangle import cohort_triangle
from survival.plot.numbers import count, percent_with_interval
from survival.plot.retention import retention_curves
from survival.plot.style import tenure_ticks
from survival.report.displays import retention_display
from survival.report.document import Block, Bullets, Figure, Paragraph, Section, Table
from survival.report.wording import rank_test_sentence, retention_range

MONTH = 30.4375  # days
_MONTHS_OF_TRIANGLE = 24
PAIR_ALPHA = 0.05


def retention_blocks(study: Study) -> list[Block]:
    """Everything about retention, one section a definition, then what all of them share."""
    at, tests = retention_at(study), rank_tests(study)
    blocks: list[Block] = []
    for name in study.definitions:
        blocks.append(Section(f"Retention: {name}"))
        blocks.append(Bullets(tuple(_sentences(study, name, at, tests)), key=True))
        blocks.append(_curves_figure(study, name))
        blocks.append(_at_table(study, name, at))
        if study.has_cohorts:
            blocks.append(_triangle_figure(study, name))
    return [*blocks, Section("Retention in numbers"), *_tables(study, at, tests)]


def headline(study: Study) -> str:
    """One sentence for the index page: the range of retention over cohorts, of the first definition."""
    name = study.definitions[0]
    return f"{name}: {_at_longest(study, retention_at(study), name)}"


def _sentences(study: Study, name: str, at: pd.DataFrame, tests: pd.DataFrame) -> list[str]:
    compared = tests[(tests["definition"] == name) & tests["test"].isin(["logrank", "trend"])].to_dict("records")
    cohorts = len(study.cohort_labels(name))
    return [_at_longest(study, at, name), *(rank_test_sentence(row, cohorts) for row in compared)]


def _at_longest(study: Study, at: pd.DataFrame, name: str) -> str:
    """Retention at the longest of the tenures asked for that some cohort reaches; of cohorts seen from signup, if any."""
    mine, late = at[at["definition"] == name], entering_late(study, name)
    from_signup = mine[~mine["cohort"].isin(list(late))]
    rows = from_signup if from_signup["retention"].notna().any() else mine
    known = rows[rows["retention"].notna()]
    if known.empty:
        return "No cohort was observed long enough for any of the tenures asked for."
    return retention_range(rows, float(known["tenure"].max()))


def entering_late(study: Study, name: str) -> dict[str, float]:
    """Cohorts without anybody at risk at signup, and the tenure at which the first enters: their curves start there at 1."""
    curves = study.curves(name).curves
    return {str(curve.risk.label): curve.entry for curve in curves if curve.entry > 0}


def _marked(study: Study, name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with an asterisk at the cohorts that enter late."""
    late = entering_late(study, name)
    return frame.assign(cohort=[f"{c}*" if c in late else c for c in frame["cohort"]])


def _mark_note(study: Study, name: str) -> str:
    """What the asterisk means; nothing where there is none."""
    late = entering_late(study, name)
    if not late:
        return ""
    days = ", ".join(f"{cohort} from day {tenure:g}" for cohort, tenure in late.items())
    return f"* Not observed from signup: retention among those who were customers when first observed ({days})."


def _all_marked(study: Study, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame of all definitions, cohorts that enter late marked."""
    parts = [_marked(study, name, frame[frame["definition"] == name]) for name in study.definitions]
    return pd.concat(parts, ignore_index=True)


def _mark_notes(study: Study, more: str = "") -> tuple[str, ...]:
    """What the asterisk means in a table of all definitions; nothing where no cohort enters late."""
    if not any(entering_late(study, name) for name in study.definitions):
        return ()
    tail = f"; {more}" if more else ""
    return (
        f"* Not observed from signup: of those who were customers when first observed, not to be compared with the others{tail}.",
    )


def _at_table(study: Study, name: str, at: pd.DataFrame) -> Table:
    rows = at[at["definition"] == name]
    kind = f"{study.config.level:.0%} {study.config.retention.interval} intervals"
    notes = [f"{kind}, Greenwood's variance. A dash: not observed then.", _mark_note(study, name)]
    return Table(
        f"retention_at_{study.slug(name)}",
        f"Retention at fixed tenures, {name}",
        rows,
        display=retention_display(_marked(study, name, rows)),
        notes=tuple(filter(None, notes)),
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
        means = study.curves(name).restricted_means(until)
        frame = means.tidy()
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
    """tables/rank_tests.csv: overall, trend where cohorts are ordered, and every pair with Holm's adjustment."""
    columns = ["test", "cohort_a", "cohort_b", "statistic", "df", "p", "p_adjusted"]

    def one(name: str) -> pd.DataFrame:
        if len(study.curves(name).groups) < 2:
            return pd.DataFrame(columns=columns)
        flows, labels = study.flows(name), study.cohort_labels(name)
        tests = rank_test(flows, by="cohort", trend=study.ordered, pairwise="holm", order=labels)
        study.note(tests.findings, about=name)
        return tests.tidy()

    return by_definition(study, one, columns)


def triangle(study: Study, name: str) -> pd.DataFrame:
    """Cohort x month of tenure: customers, at_risk at the cell's start, retention at its end, whether all were seen to its end."""
    curves = study.curves(name)
    longest = max(curve.end for curve in curves.curves)
    months = np.arange(1, max(1, min(_MONTHS_OF_TRIANGLE, int(longest // MONTH))) + 1)
    cells = curves.at(months * MONTH).rename(columns={"by": "cohort"})
    starts = curves.numbers_at_risk((months - 1) * MONTH)
    rows = curves.tidy()
    censored = rows[rows["censored"] > 0].groupby("by", sort=False)["tenure"].min()
    entered = rows.groupby("by", sort=False)["entered"].sum()
    first_loss = cells["cohort"].map(censored).fillna(np.inf).to_numpy(float)
    return pd.DataFrame(
        {
            "definition": name,
            "cohort": cells["cohort"],
            "customers": cells["cohort"].map(entered).to_numpy(float),
            "month": np.tile(months, len(curves.groups)),
            "tenure": cells["tenure"],
            "at_risk": starts["at_risk"].to_numpy(float),
            "retention": cells["retention"],
            "ci_lower": cells["ci_lower"],
            "ci_upper": cells["ci_upper"],
            "complete": (first_loss >= cells["tenure"].to_numpy(float)) & cells["retention"].notna().to_numpy(),
        }
    )


def _curves_figure(study: Study, name: str) -> Figure:
    curves = study.curves(name)
    frame = _marked(study, name, curves.tidy().rename(columns={"by": "cohort"}))
    longest = max(curve.end for curve in curves.curves)
    at_risk = _marked(study, name, curves.numbers_at_risk(tenure_ticks(longest)).rename(columns={"by": "cohort"}))
    customers, churns = frame["entered"].sum(), frame["events"].sum()
    interval = f"{study.config.level:.0%} {study.config.retention.interval} intervals"
    return Figure(
        name=f"retention_{study.slug(name)}",
        title=f"Customers retained by tenure, {name}",
        caption=f"Kaplan-Meier curves of {count(customers)} customers, {count(churns)} of whom churned; bands are {interval} "
        f"(Greenwood), pointwise. Below: customers at risk at that tenure. {_mark_note(study, name)}".strip(),
        alt=f"Retention curves by cohort under {name}; " + _in_words(study, name),
        figure=retention_curves(frame, at_risk, ordered=study.ordered, horizon=longest),
        source=("retention",),
    )


def _in_words(study: Study, name: str) -> str:
    """The curves at the longest tenure asked for, as text for who cannot see them."""
    at = study.curves(name).at(list(study.config.retention.at))
    known = at[at["retention"].notna()]
    last = known[known["tenure"] == known["tenure"].max()]
    values = [f"{r.by} {percent_with_interval(r.retention, r.ci_lower, r.ci_upper)}" for r in last.itertuples()]
    return (
        f"retention at day {last['tenure'].iloc[0]:g}: {'; '.join(values)}." if values else "no curve is long enough."
    )


def _triangle_figure(study: Study, name: str) -> Figure:
    mask = study.config.retention.mask_below
    return Figure(
        name=f"cohort_triangle_{study.slug(name)}",
        title=f"Retention by cohort and month of tenure, {name}",
        caption="Each cell is the cohort's Kaplan-Meier retention at the end of that month (30.4375 days). Grey: some of the cohort "
        f"could not be observed to its end. Cells with fewer than {mask} customers at risk at their start show no number. "
        f"{_mark_note(study, name)}".strip(),
        alt=f"Heat map of retention under {name}: a row a cohort, a column a month of tenure; its numbers are in the table.",
        figure=cohort_triangle(
            _marked(study, name, triangle(study, name)), mask_below=mask, cohort_name=study.cohort_title
        ),
        source=("cohort_triangle",),
    )


def _tables(study: Study, at: pd.DataFrame, tests: pd.DataFrame) -> list[Block]:
    until = f"{horizon(study):g}"
    median, means = medians(study), rmst(study)
    blocks: list[Block] = [
        Table("retention", "Retention curves", retention(study), shown=False),
        Table("retention_at", "Retention at fixed tenures", at, shown=False),
        Table(
            "medians", "Median tenure, days", median, study.display(_all_marked(study, median)),
            notes=("A dash: more than half were still customers at the end.", *_mark_notes(study)),
        ),
        Table(
            "rmst", f"Mean days retained until day {until} (restricted mean, RMST)", means,
            study.display(_all_marked(study, means)), notes=_mark_notes(study, "the mean counts days from then on"),
        ),
    ]  # fmt: skip
    if study.has_cohorts:
        cells = pd.concat([triangle(study, name) for name in study.definitions], ignore_index=True)
        blocks.append(Table("cohort_triangle", "Cohort triangle", cells, shown=False))
    if tests.empty:
        blocks.append(Paragraph("There is one cohort only, so there is nothing to compare."))
    return [*blocks, _rank_table(study, tests)]


def _rank_table(study: Study, tests: pd.DataFrame) -> Table:
    """Every test in the CSV; shown are the overall ones and the pairs that differ."""
    pairs = tests["test"] == "pairwise"
    shown = tests[~pairs | (tests["p_adjusted"] < PAIR_ALPHA)]
    what = (
        f"{int(pairs.sum())} pairs of cohorts were compared; shown: adjusted p below {PAIR_ALPHA:g}; the CSV has all."
    )
    notes = (
        "Hypergeometric variance on the risk sets. Pairs: p adjusted by Holm over the pairs of one definition.",
        what,
    )
    return Table("rank_tests", "Do cohorts differ? Log-rank tests", tests, study.display(shown), notes=notes)
