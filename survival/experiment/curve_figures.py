"""`retention.figure` of a config: how the figures of retention curves are drawn, and what their captions say of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd

from survival.estimate.curves import Curves
from survival.experiment.study import Study
from survival.findings import Finding
from survival.plot.numbers import confidence
from survival.plot.retention import bands_drawn, in_one_panel

BAND_WORDS = {"equal-precision": "equal-precision bands (Nair 1984)", "hall-wellner": "Hall-Wellner bands"}
NO_BAND = "bands of whole curves need spells that are independent; customers with several spells have pointwise intervals only"
_BELOW = {"at_risk": "customers at risk at that tenure", "churned": "churned so far", "censored": "censored so far"}


def axis_options(study: Study) -> dict[str, Any]:
    """What every figure of retention curves is drawn with: rows, unit, breaks, until, scale."""
    how = study.config.retention.figure
    return {"rows": how.rows, "unit": how.unit, "breaks": how.breaks, "until": how.until, "scale": how.scale}


def tenure_options(study: Study) -> dict[str, Any]:
    """The axis of tenure of every figure over tenure: unit, breaks, until."""
    return {key: value for key, value in axis_options(study).items() if key in ("unit", "breaks", "until")}


def share_options(study: Study) -> dict[str, Any]:
    """The same and the axis of shares, and whether there are bands: they are pointwise where no other kind is offered."""
    how = study.config.retention.figure
    return {**tenure_options(study), "scale": how.scale, "band": "none" if how.band == "none" else "pointwise"}


def band_kind(study: Study) -> Literal["equal-precision", "hall-wellner"]:
    """Of bands that hold the whole curve: as `retention.bands` says, else equal precision."""
    kind = study.config.retention.bands
    return "equal-precision" if kind == "none" else kind


def whole_bands(study: Study, made: Sequence[tuple[str, Curves]], by: str) -> pd.DataFrame | None:
    """The simultaneous bands that the figure asks for, `by` naming the groups; None where it asks for none.

    `made`: definition and its curves. Where customers have several spells there is no such band, and the study notes it.
    """
    retention = study.config.retention
    if retention.figure.band != "simultaneous" or retention.interval == "none":
        return None
    robust = [name for name, curves in made if curves.robust]
    for name in robust:
        study.note([Finding("no-band", "note", "retention.figure.band", NO_BAND)], about=name)
    if robust:
        return None
    study.used(band_kind(study))
    parts = [curves.band(band_kind(study)).assign(definition=name) for name, curves in made]
    frame = pd.concat(parts, ignore_index=True)
    return frame if by == "definition" else frame.rename(columns={"by": by})


def curve_options(study: Study, bands: pd.DataFrame | None, by: str) -> dict[str, Any]:
    """Beside the axis: bands and marks of censoring."""
    how = study.config.retention.figure
    band = "none" if study.config.retention.interval == "none" else how.band
    if band == "simultaneous" and bands is None:
        band = "pointwise"
    limits = None if bands is None else bands[[by, "tenure", "band_lower", "band_upper"]]
    return {
        **axis_options(study),
        "band": band,
        "bands": limits,
        "censor_marks": how.censor_marks,
        "censored_bars": how.censored_bars,
    }


def tail_band(study: Study) -> Literal["pointwise", "none"]:
    """Of a curve that goes on beyond the data: its band spans models, so there is no simultaneous one."""
    if study.config.retention.figure.band == "simultaneous":
        why = "the band of an extrapolated curve spans models, and is pointwise"
        study.note([Finding("no-band", "note", "retention.figure.band", why)])
    return "none" if study.config.retention.figure.band == "none" else "pointwise"


def medians(study: Study, made: Sequence[tuple[str, Curves]], by: str) -> pd.DataFrame | None:
    """`by` and median_tenure of each curve, where the figure draws medians."""
    if not study.config.retention.figure.median:
        return None
    parts = [curves.quantile([0.5]).assign(definition=name) for name, curves in made]
    frame = pd.concat(parts, ignore_index=True).rename(columns={"tenure": "median_tenure"})
    frame = frame if by == "definition" else frame.rename(columns={"by": by})
    return frame[[by, "median_tenure"]]


def printed_tests(study: Study, name: str, tests: pd.DataFrame) -> tuple[pd.DataFrame | None, str]:
    """The rows of rank_tests.csv that are printed on the figure, and what goes before their names."""
    if not study.config.retention.figure.p_value:
        return None, ""
    shown = [study.config.retention.tests[0], "trend"]
    rows = tests.loc[(tests["definition"] == name) & tests["test"].isin(shown), ["test", "p"]]
    if rows.empty:
        no_test(study, name, "there is one cohort only, so no test is printed on the figure")
        return None, ""
    return rows, "robust" if study.several_spells(name) else ""


def no_test(study: Study, about: str, why: str) -> None:
    """Say once why `p_value` has nothing to print."""
    if study.config.retention.figure.p_value:
        study.note([Finding("no-p-value", "note", "retention.figure.p_value", why)], about=about)


def bars_drawn(study: Study, about: str, groups: int) -> bool:
    """Whether bars of censored customers have a place under the curves; where they are asked for and have none, that is noted."""
    here = in_one_panel(groups, ordered=study.ordered)
    if not here:
        no_bars(study, about, f"{groups} cohorts have a panel each, and no bars of censored customers")
    return here


def no_bars(study: Study, about: str, why: str) -> None:
    """Say once why `censored_bars` has nothing to draw."""
    if study.config.retention.figure.censored_bars:
        message = f"{why}; retention.csv has their numbers"
        study.note([Finding("no-bars", "note", "retention.figure.censored_bars", message)], about=about)


def bands_said(study: Study, groups: int, variance: str, *, whole: bool, ordered: bool, layout: str = "auto") -> str:
    """What a caption says of the bands, after a semicolon; nothing where there are none."""
    how = study.config.retention
    if how.interval == "none" or how.figure.band == "none" or not bands_drawn(groups, ordered=ordered, layout=layout):
        return ""
    level = confidence(study.config.level)
    if whole:
        return (
            f"; bands are {level} {BAND_WORDS[band_kind(study)]}, inside which a whole curve lies with that confidence"
        )
    return f"; bands are {level} {how.interval} intervals ({variance}), pointwise"


def options_said(
    study: Study,
    *,
    tests: pd.DataFrame | None = None,
    kind: str = "",
    each: str = "",
    marks: bool = True,
    bars: bool = True,
) -> str:
    """What a caption says of the rows below and of what is on the curves."""
    how = study.config.retention.figure
    below = "; ".join(_BELOW[row] for row in how.rows)
    said = [f"Below: {below}{each}." if below else ""]
    said += ["Dotted: median tenure." if how.median else ""]
    said += ["Strokes on a curve: somebody's observation ended." if how.censor_marks and marks else ""]
    said += [
        "Bars at the foot: customers whose observation ended (censored)."
        if how.censored_bars and marks and bars
        else ""
    ]
    if tests is not None:
        by = " (variance by customer)" if kind == "robust" else ""
        said.append(f"p: test that retention is the same in all cohorts{by}.")
    return " ".join(filter(None, said))
