"""The parts of a report about retention: curves with risk tables, fixed tenures, RMST, medians, rank tests, the triangle."""

from __future__ import annotations

import numpy as np
import pandas as pd

from survival.experiment.adjusted_blocks import adjusted_blocks, adjusted_sentence
from survival.experiment.ahead import ahead_blocks, ahead_sentence
from survival.experiment.comparisons import comparison_blocks, difference_sentence
from survival.experiment.curve_figures import (
    BAND_WORDS,
    NO_BAND,
    bands_said,
    bars_drawn,
    curve_options,
    medians,
    options_said,
    printed_tests,
    tenure_options,
    whole_bands,
)
from survival.experiment.retention_numbers import (
    entering_late,
    horizon,
    mark_note,
    marked,
    number_blocks,
    rank_tests,
    retention_at,
)
from survival.experiment.samples import sample_of, sized, under
from survival.experiment.study import Study
from survival.experiment.terms import billing_sentence, terms_blocks
from survival.experiment.triangle_blocks import triangle_blocks
from survival.findings import Finding
from survival.plot.bands import simultaneous_band
from survival.plot.numbers import confidence, percent_with_interval
from survival.plot.retention import retention_curves
from survival.report.curve_titles import bands_title, retention_title
from survival.report.displays import retention_display
from survival.report.document import Block, Bullets, Figure, Section, Table
from survival.report.wording import followed, rank_test_sentence, retention_range

MONTH = 30.4375  # days
_MONTHS_OF_TRIANGLE = 24


def retention_blocks(study: Study) -> list[Block]:
    """Everything about retention, one section a definition, then what all of them share."""
    at, tests, until = retention_at(study), rank_tests(study), horizon(study)
    blocks: list[Block] = []
    for name in study.definitions:
        blocks.append(Section(f"Retention: {name}"))
        blocks.append(Bullets(tuple(_sentences(study, name, at, tests)), key=True))
        blocks.append(_curves_figure(study, name, tests))
        blocks.append(_at_table(study, name, at))
        blocks += _bands(study, name)
        blocks += comparison_blocks(study, name, until)
        if study.has_cohorts:
            blocks += triangle_blocks(study, name, triangle(study, name))
        for title, more in (
            ("cohorts as if their customers were alike", adjusted_blocks(study, name)),
            ("who is still here", ahead_blocks(study, name)),
            ("terms and returns", terms_blocks(study, name)),
        ):
            blocks += [Section(f"{name}: {title}", level=3), *more] if any(_is_shown(block) for block in more) else []
    if study.has_cohorts:
        cells = pd.concat([triangle(study, name) for name in study.definitions], ignore_index=True)
        blocks.append(Table("cohort_triangle", "Cohort triangle", cells, shown=False))
    return [*blocks, Section("Retention in numbers"), *number_blocks(study, at, tests)]


def _is_shown(block: Block) -> bool:
    return not isinstance(block, Table) or block.shown


def headline(study: Study) -> str:
    """One sentence for the index page: the range of retention over cohorts, of the first definition."""
    name = study.definitions[0]
    return f"{name}: {_at_longest(study, retention_at(study), name)}"


def _sentences(study: Study, name: str, at: pd.DataFrame, tests: pd.DataFrame) -> list[str]:
    first = study.config.retention.tests[0]
    rows = tests[(tests["definition"] == name) & tests["test"].isin([first, "trend"])].to_dict("records")
    called = "log-rank test" if first == "logrank" else f"{first} test"
    cohorts = len(study.cohort_labels(name))
    more = [
        difference_sentence(study, name),
        adjusted_sentence(study, name),
        ahead_sentence(study, name),
        billing_sentence(study, name),
    ]
    said = [
        _at_longest(study, at, name),
        *dict.fromkeys(
            rank_test_sentence(row, cohorts).replace("log-rank test", called) for row in rows
        ),  # none: said once
    ]
    if more[0] and " clearly from that of " in more[0] and more[1]:
        more[1] = f"For comparison, {more[1][0].lower()}{more[1][1:]}"
    return [*said, *(sentence for sentence in more if sentence)]


def _at_longest(study: Study, at: pd.DataFrame, name: str) -> str:
    """Retention at the longest of the tenures asked for that some cohort reaches; of cohorts seen from signup, if any."""
    fewest = max(study.config.retention.mask_below, 1)
    mine, late = followed(at[at["definition"] == name], fewest), entering_late(study, name)
    from_signup = mine[~mine["cohort"].isin(list(late))]
    seen = bool(from_signup["retention"].notna().any())
    known = (from_signup if seen else mine).dropna(subset=["retention"])
    if known.empty:
        return "No cohort was observed long enough for any of the tenures asked for."
    until = float(known["tenure"].max())
    return (
        retention_range(mine, until, starts=late, fewest=fewest)
        if seen
        else retention_range(mine, until, starts={}, seen="observed then", fewest=fewest)
    )


def _at_table(study: Study, name: str, at: pd.DataFrame) -> Table:
    rows = at[at["definition"] == name]
    kind = f"{confidence(study.config.level)} {study.config.retention.interval} intervals"
    notes = [f"{kind}, {variance(study, name)}. A dash: not observed then.", mark_note(study, name)]
    return Table(
        f"retention_at_{study.slug(name)}",
        f"Retention at fixed tenures, {name}",
        rows,
        display=retention_display(marked(study, name, rows), study.config.level),
        notes=tuple(filter(None, notes)),
    )


def variance(study: Study, name: str) -> str:
    """What the intervals of the curves rest on."""
    if study.several_spells(name):
        return "variance by customer (infinitesimal jackknife), since customers have several spells"
    return "Greenwood's variance"


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


def _curves_figure(study: Study, name: str, tests: pd.DataFrame) -> Figure:
    curves = study.curves(name)
    frame = marked(study, name, curves.tidy().rename(columns={"by": "cohort"}))
    bands, middle = (_marked(study, name, made(study, [(name, curves)], "cohort")) for made in (whole_bands, medians))
    printed, kind = printed_tests(study, name, tests)
    groups, variance = len(curves.groups), _of_variance(study, name)
    said = bands_said(study, groups, variance, whole=bands is not None, ordered=study.ordered)
    return Figure(
        name=f"retention_{study.slug(name)}",
        title=under(study, name, _finding(study, name, tests)),
        caption=f"Kaplan-Meier curves of {sized(study, name)}{said}. "
        f"{options_said(study, tests=printed, kind=kind, bars=bars_drawn(study, name, groups))} {mark_note(study, name)}".strip(),
        alt=f"Retention curves by cohort under {name}; " + _in_words(study, name),
        figure=retention_curves(
            frame,
            ordered=study.ordered,
            horizon=max(curve.end for curve in curves.curves),
            tests=printed,
            test_kind=kind,
            medians=middle,
            **curve_options(study, bands, "cohort"),
        ),
        source=("retention",),
    )


def _finding(study: Study, name: str, tests: pd.DataFrame) -> str:
    """Whether cohorts differ by the first of the tests, and how many of each stay."""
    rows, first = retention_at(study), study.config.retention.tests[0]
    overall = tests[(tests["definition"] == name) & (tests["test"] == first)]
    p = float(overall["p"].iloc[0]) if len(overall) else None
    test = "log-rank" if first == "logrank" else first
    late = entering_late(study, name)
    mine = followed(rows[rows["definition"] == name], study.config.retention.mask_below)
    return retention_title(mine, test, p, late, study.spells(name).churns)


def _marked(study: Study, name: str, frame: pd.DataFrame | None) -> pd.DataFrame | None:
    return None if frame is None else marked(study, name, frame)


def _in_words(study: Study, name: str) -> str:
    """The curves at the longest tenure asked for, as text for who cannot see them."""
    at = study.curves(name).at(list(study.config.retention.at))
    known = at[at["retention"].notna()]
    last = known[known["tenure"] == known["tenure"].max()]
    values = [f"{r.by} {percent_with_interval(r.retention, r.ci_lower, r.ci_upper)}" for r in last.itertuples()]
    return (
        f"retention at day {last['tenure'].iloc[0]:g}: {'; '.join(values)}." if values else "no curve is long enough."
    )


def _bands(study: Study, name: str) -> list[Block]:
    """The bands that hold whole curves, where they are asked for."""
    kind = study.config.retention.bands
    if kind == "none" or study.config.retention.interval == "none":
        return []
    if study.several_spells(name):
        study.note([Finding("no-band", "note", "retention.bands", NO_BAND)], about=name)
        return []
    frame, table = study.curves(name).band(kind).rename(columns={"by": "cohort"}), f"retention_bands_{study.slug(name)}"
    study.used(kind)
    words = BAND_WORDS[kind].replace(" bands", "")
    return [
        Figure(
            name=table,
            title=under(study, name, bands_title(frame, study.config.level)),
            caption=f"{sample_of(study, name)} Kaplan-Meier curves. Filled: pointwise {confidence(study.config.level)} "
            f"{study.config.retention.interval} intervals (Greenwood). Lines: the {words} band, inside which the whole "
            "curve lies with that confidence, drawn where it holds. Bands that overlap do not show that two curves are the same.",
            alt=f"Retention curves under {name} with simultaneous bands; the numbers are in the table.",
            figure=simultaneous_band(
                frame, by="cohort", **tenure_options(study), scale=study.config.retention.figure.scale
            ),
            source=(table,),
        ),
        Table(table, f"Bands of whole curves, {name}", frame.assign(definition=name), shown=False),
    ]


def _of_variance(study: Study, name: str) -> str:
    return "by customer" if study.several_spells(name) else "Greenwood"
