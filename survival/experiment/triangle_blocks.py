"""The cohort triangle of a report: retention by cohort and month of tenure, its inference, and the calendar beside it."""

from __future__ import annotations

import pandas as pd

from survival.experiment.calendar_months import calendar_months
from survival.experiment.retention_numbers import entering_late, mark_note, marked
from survival.experiment.samples import sample_of, under
from survival.experiment.study import Study
from survival.plot.cohort_triangle import MONTHS_WITH_INTERVALS, cohort_triangle
from survival.plot.numbers import confidence, count, counted, percent
from survival.report.document import Block, Figure, Paragraph, Table

FIRST_YEAR = 12  # months of the second triangle, where the first has no room for intervals


def triangle_blocks(study: Study, name: str, cells: pd.DataFrame) -> list[Block]:
    """The triangle with the calendar below it, and its first year with intervals and numbers at risk.

    `cells`: as cohort_triangle.csv. A sentence instead where not one cell could be observed whole, and all of it would be hatched.
    """
    if not bool(cells["complete"].any()):
        return [
            Paragraph(
                "There is no cohort triangle: the cohorts' customers were first and last seen at tenures of their own, so no cohort could "
                "be watched as a whole to the end of any month. The curves above use what was observed of each customer; the numbers by "
                "month are in tables/cohort_triangle.csv."
            )
        ]
    study.used("calendar")
    slug, months = study.slug(name), calendar_months(study, name)
    long = int(cells["month"].max()) > MONTHS_WITH_INTERVALS
    blocks: list[Block] = [_figure(study, name, cells, months, f"cohort_triangle_{slug}", intervals=not long)]
    if long:
        year = cells[cells["month"] <= FIRST_YEAR]
        blocks.append(_figure(study, name, year, None, f"cohort_triangle_year_{slug}", intervals=True))
    return [*blocks, Table(f"calendar_months_{slug}", "Churn by calendar month", months, shown=False)]


def _figure(
    study: Study, name: str, cells: pd.DataFrame, months: pd.DataFrame | None, file: str, *, intervals: bool
) -> Figure:
    mask, beside = study.config.retention.mask_below, months is not None and len(months) > 0
    sources = ("cohort_triangle", *([f"calendar_months_{study.slug(name)}"] if beside else []))
    level = f"{confidence(study.config.level)} {study.config.retention.interval} interval"
    below = f" Below it the {level} and the number at risk at the month's start." if intervals else ""
    calendar = (
        " Below: churns of each calendar month over those expected if the hazard depended on tenure alone "
        f"({confidence(study.config.level)} exact Poisson intervals); a "
        "month that hits every cohort lies on a diagonal of the triangle and stands out there."
        if beside
        else ""
    )
    return Figure(
        name=file,
        title=under(study, name, _finding(study, name, cells)),
        caption=f"{sample_of(study, name)} Each cell: the cohort's Kaplan-Meier retention at the end of that month "
        f"(30.4375 days), in percent.{below} Hatched: some of the cohort could not be observed to its end. Cells with fewer than "
        f"{mask} customers at risk at their start show no number.{calendar} {mark_note(study, name)}".strip(),
        alt=f"Heat map of retention under {name}: a row a cohort, a column a month of tenure; its numbers are in the table.",
        figure=cohort_triangle(
            marked(study, name, cells), mask_below=mask, cohort_name=study.cohort_title, calendar=months, intervals=intervals
        ),
        source=sources,
    )  # fmt: skip


def _finding(study: Study, name: str, cells: pd.DataFrame) -> str:
    """The range of retention over cohorts seen from signup, at the last month that half of them were wholly observed to."""
    seen = cells["complete"] & (cells["at_risk"] >= study.config.retention.mask_below)
    known = cells[seen & ~cells["cohort"].isin(list(entering_late(study, name)))]
    reached = known.groupby("month")["cohort"].nunique()
    months = reached.index[reached >= max(2, known["cohort"].nunique() / 2)]
    if not len(months):
        return "Too few cohorts were seen whole from signup to compare them at the end of a month"
    rows = known[known["month"] == months.max()]
    every = int(cells["cohort"].nunique())
    low, high = rows.loc[rows["retention"].idxmin()], rows.loc[rows["retention"].idxmax()]
    after, least, most = (
        f"After {counted(months.max(), 'month')}",
        percent(low["retention"], 0),
        percent(high["retention"], 0),
    )
    if least == most:
        return f"{after} retention is {least} in each of {count(len(rows))} cohorts"
    whose = f"retention of the {count(len(rows))} of {count(every)} cohorts seen whole from signup"
    whose = "retention" if len(rows) == every else whose
    return f"{after} {whose} runs from {least} (cohort {low['cohort']}) to {most} (cohort {high['cohort']})"
