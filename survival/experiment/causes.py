"""The parts of a report about why customers leave: shares lost to each cause by tenure, and whether cohorts differ."""

from __future__ import annotations

import pandas as pd

from survival.cohorts import COHORT
from survival.estimate.cumulative_incidence import Incidences, cumulative_incidence
from survival.estimate.gray_test import gray_test
from survival.experiment.samples import sample_of, under
from survival.experiment.study import Study
from survival.flows.door import flows
from survival.flows.table import Flows
from survival.plot.incidence import stacked_incidence
from survival.plot.numbers import confidence, percent_with_interval
from survival.report.curve_titles import causes_title
from survival.report.document import Block, Figure, Paragraph, Section, Table
from survival.report.tables import display_frame

COLUMNS = ["definition", "cohort", "cause", "tenure", "at_risk", "events", "incidence", "ci_lower", "ci_upper"]
NOTE = (
    "Aalen-Johansen estimates: at every tenure the shares and retention add up to 100%. One minus a Kaplan-Meier curve that "
    "censors the other causes would be larger, and is not the share lost to a cause."
)


def cause_blocks(study: Study) -> list[Block]:
    """Stacked incidence, shares at the tenures of `retention.at`, Gray's tests; nothing where no definition has causes."""
    made = {name: found for name in study.definitions if (found := _incidences(study, name)) is not None}
    if not made:
        return []
    study.used("causes")
    blocks: list[Block] = [Section("Why do customers leave?"), Paragraph(NOTE)]
    parts, tests = [], []
    for name, (counted, incidences) in made.items():
        tidy = incidences.tidy().rename(columns={"by": "cohort"}).assign(definition=name)
        parts.append(tidy[COLUMNS])
        blocks += [_figure(study, name, tidy), _at(study, name, incidences)]
        if len(incidences.groups) > 1:
            order = study.cohort_labels(name)
            study.used("gray")
            tests.append(gray_test(counted, by=COHORT, order=order).tidy().assign(definition=name))
    blocks.append(
        Table("cumulative_incidence", "Cumulative incidence", pd.concat(parts, ignore_index=True), shown=False)
    )
    if tests:
        frame = pd.concat(tests, ignore_index=True)[["definition", "cause", "statistic", "df", "p"]]
        note = "Gray's tests of equal cumulative incidence of each cause in all cohorts."
        blocks.append(Table("gray_tests", "Do cohorts differ by cause?", frame, study.display(frame), notes=(note,)))
    return blocks


def _incidences(study: Study, name: str) -> tuple[Flows, Incidences] | None:
    """Flows by cohort and cause, and the curves; None where churns have fewer than two causes."""
    if not study.spells(name).churns:
        return None
    counted = flows(study.spells(name), by=[COHORT], causes=True)
    if len(counted.causes) < 2:
        return None
    study.step(f"{name}: causes of churn")
    order = study.cohort_labels(name)
    made = cumulative_incidence(counted, by=COHORT, order=order, level=study.config.level)
    study.note(made.findings, about=name)
    return counted, made


def _figure(study: Study, name: str, tidy: pd.DataFrame) -> Figure:
    longest = float(tidy.loc[tidy["incidence"].notna(), "tenure"].max())
    return Figure(
        name=f"causes_{study.slug(name)}",
        title=under(study, name, causes_title(tidy)),
        caption=f"{sample_of(study, name)} Shares of customers lost to each cause by each tenure (Aalen-Johansen), stacked; grey: still "
        "customers. A dashed line ends what was observed of a cohort.",
        alt=f"Stacked areas of the share of customers lost to each cause over tenure under {name}; the numbers are in the table.",
        figure=stacked_incidence(tidy, labels=study.labels, horizon=longest),
        source=("cumulative_incidence",),
    )


def _at(study: Study, name: str, made: Incidences) -> Table:
    frame = made.at(list(study.config.retention.at)).rename(columns={"by": "cohort"})
    cells = frame.assign(
        text=[percent_with_interval(r.incidence, r.ci_lower, r.ci_upper) for r in frame.itertuples()],
        days=[f"{t:,.0f} days" for t in frame["tenure"]],
    )
    keys = ["cohort", "cause"] if len(made.groups) > 1 else ["cause"]
    wide = cells.pivot_table(index=keys, columns="days", values="text", aggfunc="first", sort=False)
    shown = display_frame(wide.rename_axis(None, axis=1).reset_index())
    level = f"{confidence(study.config.level)} log-log intervals."
    return Table(
        f"incidence_at_{study.slug(name)}", f"Share lost to each cause at fixed tenures, {name}",
        frame.assign(definition=name), shown, notes=(level,),
    )  # fmt: skip
