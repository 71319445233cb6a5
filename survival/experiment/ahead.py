"""The part of a report about who is still here: conditional retention, mean days to come, cohorts since a landmark."""

from __future__ import annotations

from typing import Any

import pandas as pd

from survival.cohorts import COHORT
from survival.errors import ArgumentError, StructureError
from survival.estimate.curves import Curves
from survival.estimate.intervals import normal_quantile
from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.landmark import landmark
from survival.estimate.rank_tests import rank_test
from survival.estimate.rmst import rmst
from survival.experiment.curve_figures import share_options
from survival.experiment.samples import sample_of, under
from survival.experiment.study import Study
from survival.findings import Finding
from survival.plot.conditional import MOST_BANDS, conditional_retention
from survival.plot.numbers import confidence, count, decimal, p_phrase, percent, percent_with_interval
from survival.report.curve_titles import Kept, conditional_title
from survival.report.displays import retention_display
from survival.report.document import Block, Figure, Table

NEXT = 365  # days after the tenure reached over which mean days are counted
OF_A_SPELL: dict[str, Any] = {"customer": "customer", "spell": "spell"}


def given_tenures(study: Study) -> list[float]:
    """The tenures from which retention is read anew."""
    asked = study.config.retention.conditional
    return [float(t) for t in (study.config.retention.at if asked is None else asked)]


def conditional(study: Study, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All customers: curves from each tenure reached (`Curves.given`), and a row for each tenure and number of days ahead."""
    curves, rows = [], []
    for given in given_tenures(study):
        curve = _from(study, name, given)
        if curve is None:
            continue
        end = float(curve["tenure"].max())
        curves.append(curve)
        for ahead in study.config.retention.at:
            at = curve[curve["tenure"] <= given + ahead].iloc[-1]
            known = given + ahead <= end
            values = [float(at[c]) if known else float("nan") for c in ("retention", "ci_lower", "ci_upper")]
            rows.append([name, given, float(ahead), *values])
    columns = ["definition", "given", "days_ahead", "retention", "ci_lower", "ci_upper"]
    whole = pd.concat(curves, ignore_index=True) if curves else pd.DataFrame()
    return whole, pd.DataFrame(rows, columns=columns)


def _from(study: Study, name: str, given: float) -> pd.DataFrame | None:
    """The curve of everybody who is still here at `given`, on the tenure since signup; None where nobody is."""
    level, interval = study.config.level, study.config.retention.interval
    if not study.several_spells(name):
        try:
            pooled = kaplan_meier(study.flows(name), level=level, interval=interval).given(given)
        except ArgumentError:  # nobody is observed then
            return None
        return None if pooled["tenure"].max() <= given else pooled
    try:
        later = landmark(study.stays(name), given, start="start", clock="continue", **OF_A_SPELL)
    except StructureError:
        return None
    made = kaplan_meier(later, start="start", level=level, interval=interval, **OF_A_SPELL).tidy()
    return made[made["tenure"] <= made.loc[made["retention"].notna(), "tenure"].max()].assign(given=given)


def mean_to_come(study: Study, name: str) -> pd.DataFrame:
    """Mean days kept of the next 365 by who has reached each tenure; NaN where that is not observed."""
    rows, z = [], normal_quantile(study.config.level)
    for given in given_tenures(study):
        until = given + NEXT
        if study.several_spells(name):
            try:
                later = landmark(study.stays(name), given, start="start", **OF_A_SPELL)
            except StructureError:
                continue
            (mean,) = rmst(later, float(NEXT), start="start", **OF_A_SPELL).means
            values = [mean.mean, mean.se, mean.mean - z * mean.se, mean.mean + z * mean.se]
        else:
            pooled = kaplan_meier(study.flows(name), level=study.config.level)
            row = pooled.mean_residual([given], until).iloc[0]
            values = [float(row[c]) for c in ("mean_residual", "se", "ci_lower", "ci_upper")]
        rows.append([name, given, until, *values])
    return pd.DataFrame(rows, columns=["definition", "given", "until", "mean_days", "se", "ci_lower", "ci_upper"])


def ahead_blocks(study: Study, name: str) -> list[Block]:
    """Retention of who is still here, of all cohorts together; and by cohort since the landmark, where one is asked for."""
    curves, at = conditional(study, name)
    blocks: list[Block] = []
    if not curves.empty:
        study.used("conditional")
        blocks = _conditional_blocks(study, name, curves, at)
    return [*blocks, *_landmark_blocks(study, name)]


def _conditional_blocks(study: Study, name: str, curves: pd.DataFrame, at: pd.DataFrame) -> list[Block]:
    slug, days = study.slug(name), mean_to_come(study, name)
    shown = pd.DataFrame({"Still here after": [f"{count(t)} days" for t in at["given"].unique()]})
    level = f"{confidence(study.config.level)} CI"
    for ahead in study.config.retention.at:
        rows = at[at["days_ahead"] == ahead]
        shown[f"{count(ahead)} more days ({level})"] = [
            percent_with_interval(r.retention, r.ci_lower, r.ci_upper) for r in rows.itertuples()
        ]
    kept = days.set_index("given").reindex(at["given"].unique())
    shown[f"Days kept of the next {NEXT} ({level})"] = [
        "–" if r.mean_days != r.mean_days else f"{decimal(r.mean_days, 0)} ({decimal(r.ci_lower, 0)}–{decimal(r.ci_upper, 0)})"
        for r in kept.itertuples()
    ]  # fmt: skip
    everybody = "All cohorts together. " if study.has_cohorts else ""
    note = f"{everybody}Retention among those who reached the first column's tenure, that many days later. A dash: not observed that long."
    source = f"conditional_curves_{slug}"
    return [
        Figure(
            name=f"conditional_{slug}",
            title=under(study, name, _finding(study, name, at)),
            caption=f"{sample_of(study, name)} Kaplan-Meier curves; each starts at the tenure of its dot, at 100% of the customers who "
            f"reached it.{_bands_said(study, name, curves)} A later curve that falls more slowly: "
            "those who have stayed longer leave more slowly.",
            alt=f"Retention curves under {name} from each tenure reached; the numbers are in the table.",
            figure=conditional_retention(curves, **share_options(study)),
            source=(source,),
        ),
        Table(f"conditional_{slug}", f"Retention given still here, {name}", at, shown, notes=(note,)),
        Table(source, f"Retention given still here, curves, {name}", curves, shown=False),
        Table(f"mean_days_ahead_{slug}", f"Mean days kept of the next {NEXT}, {name}", days, shown=False),
    ]


def _bands_said(study: Study, name: str, curves: pd.DataFrame) -> str:
    """The level and kind of the intervals, drawn or in the table, and what their variance is; nothing where there are none."""
    kind = study.config.retention.interval
    if kind == "none":
        return ""
    variance = "variance by customer" if study.several_spells(name) else "Greenwood's variance"
    said = f"pointwise {confidence(study.config.level)} {kind} intervals, {variance}"
    drawn = study.config.retention.figure.band != "none" and curves["given"].nunique() <= MOST_BANDS
    return f" Bands: {said}." if drawn else f" In the table: {said}."


def ahead_sentence(study: Study, name: str) -> str | None:
    """New customers against those still here at the middle tenure, over the same number of days; None where not known."""
    given = given_tenures(study)
    if not given:
        return None
    how = study.config.retention
    reached, ahead = given[len(given) // 2], max(how.at)
    after, new = _kept(study, name, reached, ahead), _kept(study, name, None, ahead)
    if after is None or new is None:
        return None
    return (
        f"Of the customers still here after {count(reached)} days {percent(after[0])} stayed another {count(ahead)} days; of new customers "
        f"{percent(new[0])}."
    )


def _finding(study: Study, name: str, at: pd.DataFrame) -> str:
    """The same as a title, at the longest number of days that is known, with intervals. `at`: as `conditional` has it."""
    known, given = at[at["retention"].notna()], given_tenures(study)
    if known.empty:
        return "Those still here were not observed for as many days more as were asked for"
    middle = given[len(given) // 2]
    mine = known[known["given"] == middle] if (known["given"] == middle).any() else known
    row: Any = mine.loc[mine["days_ahead"].idxmax()]
    return conditional_title(row["given"], row["days_ahead"], _values(row), _kept(study, name, None, row["days_ahead"]))


def _kept(study: Study, name: str, given: float | None, ahead: float) -> Kept | None:
    """Retention `ahead` days after `given` (None: after signup) with its interval; None where it is not known."""
    if given is None:
        return _kept_of_new(study, name, ahead)
    curve = _from(study, name, given)
    if curve is None or curve["tenure"].max() < given + ahead:
        return None
    return _values(curve.loc[curve["tenure"] <= given + ahead].iloc[-1])


def _kept_of_new(study: Study, name: str, ahead: float) -> Kept | None:
    how: dict[str, Any] = {"level": study.config.level, "interval": study.config.retention.interval}
    if study.several_spells(name):
        pooled = kaplan_meier(study.stays(name), start="start", **how, **OF_A_SPELL)
    else:
        pooled = kaplan_meier(study.flows(name), **how)
    if pooled.curves[0].entry > 0:
        return None
    found = _values(pooled.at([ahead]).iloc[0])
    return None if found[0] != found[0] else found


def _values(row: Any) -> Kept:
    return float(row["retention"]), float(row["ci_lower"]), float(row["ci_upper"])


# --- Since a landmark ------------------------------------------------------------------------------------------------


def since_landmark(study: Study, name: str, at: float) -> Curves | None:
    """Curves by cohort of who is still here at tenure `at`, tenure counted from there; None where nobody is."""
    found = _after(study, name, at)
    if found is None:
        return None
    later, columns = found
    how, order = study.config.retention, study.cohort_labels(name)
    return kaplan_meier(later, by=COHORT, level=study.config.level, interval=how.interval, order=order, **columns)


def _after(study: Study, name: str, at: float) -> tuple[Any, dict[str, Any]] | None:
    """Flows after the landmark, or stays where customers have several, and the columns of these; None where nobody is there."""
    several = study.several_spells(name)
    columns: dict[str, Any] = {"start": "start", **OF_A_SPELL} if several else {}
    try:
        return landmark(study.stays(name) if several else study.flows(name), at, **columns), columns
    except StructureError:
        return None


def _landmark_blocks(study: Study, name: str) -> list[Block]:
    at = study.config.retention.landmark
    if at is None:
        return []
    made = since_landmark(study, name, float(at))
    if made is None:
        message = f"nobody is at risk after {at} days: there is no retention since then"
        study.note([Finding("landmark-beyond-data", "warning", "retention.landmark", message, str(at))], about=name)
        return []
    study.note(made.findings, about=name)
    frame = (
        made.at(list(study.config.retention.at)).rename(columns={"by": "cohort"}).assign(definition=name, landmark=at)
    )
    study.used("landmark")
    late = [str(curve.risk.label) for curve in made.curves if curve.entry > 0]
    notes = [
        f"Tenure is counted from day {at}; only who was still a customer then is counted, so late entry before it does not matter."
    ]
    if late:
        notes.append(f"Still observed from later on only: {', '.join(late)}.")
    found = _after(study, name, float(at))
    if len(made.groups) > 1 and found is not None:
        later, columns = found
        test = rank_test(later, by=COHORT, weighting=study.config.retention.tests[0], **columns).tests[0]
        notes.append(f"Do these curves differ? {test.test}: {p_phrase(test.p)}.")
    return [
        Table(
            f"landmark_{study.slug(name)}", f"Retention of those still here after {at} days, {name}",
            frame[["definition", "landmark", "cohort", "tenure", "at_risk", "retention", "ci_lower", "ci_upper"]],
            retention_display(frame), notes=tuple(notes),
        )
    ]  # fmt: skip
