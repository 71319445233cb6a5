"""Retention curves by cohort: steps with bands, counts aligned under the axis, small multiples beyond a few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from survival.errors import ArgumentError
from survival.plot import censored_bars as censored
from survival.plot import risk_table, style
from survival.plot.curve import Curve, curves_of, draw_curve
from survival.plot.curve_notes import corner_text, lines_of_tests, median_lines, median_values
from survival.plot.curve_options import CurveOptions, options_of
from survival.plot.direct_labels import direct_labels
from survival.plot.facets import facets
from survival.plot.style import Drawing

BANDS_UP_TO = 4
TOGETHER_UP_TO = {True: 8, False: 6}  # ordered cohorts share a palette and stay readable a little longer
WIDTH, HEIGHT = 5.6, 3.1  # inches: the panel


@style.figure_function
def retention_curves(
    curves: pd.DataFrame,
    at_risk: pd.DataFrame | None = None,
    *,
    by: str = "cohort",
    ordered: bool = False,
    horizon: float | None = None,
    layout: Literal["auto", "together", "facets"] = "auto",
    title: str = "",
    ylabel: str = "Customers retained",
    rows: Sequence[str] | None = None,
    tests: pd.DataFrame | None = None,
    test_kind: str = "",
    medians: pd.DataFrame | None = None,
    unit: str | None = None,
    breaks: float | Sequence[float] | None = None,
    until: float | None = None,
    band: str = "pointwise",
    bands: pd.DataFrame | None = None,
    censor_marks: bool = False,
    scale: str = "percent",
    censored_bars: bool = False,
) -> Drawing:
    """Draw Kaplan-Meier curves.

    `curves`: columns `by`, tenure (days), retention, ci_lower, ci_upper (as retention.csv; NA ends a curve). `at_risk`: columns
    `by`, tenure, at_risk, the numbers at risk start <= t < stop; its tenures become the ticks (`tenure_ticks` proposes some).
    Groups keep the order of the frame, or of a categorical column. `ordered`: the groups have an order (periods, cuts) and
    take a sequential palette. `layout` auto: small multiples for more than 6 groups, 8 if ordered. Bands are drawn for up to
    4 curves in one panel, and in every small multiple. `horizon`: days at which the axis ends.

    `rows`: tables under the axis, of at_risk, churned, censored (so far), counted from the columns entered, events, censored of
    `curves`; default: at_risk where `at_risk` is given. `tests`: rows of `rank_test(...).tidy()`, printed with their names, after
    `test_kind` (stratified, robust). `medians`: `by` and a tenure (columns tenure or median_tenure), drawn as dotted lines.
    `unit`: days, months, years; `breaks` (a step, or the ticks) and `until` (the axis' end, before `horizon`) are in that unit,
    in days without one. `band`: pointwise, simultaneous (limits in `bands`, as `Curves.band`), none. `censor_marks`: a tick on
    the curve wherever an observation ended. `scale`: percent, share. `censored_bars`: bars of how many observations ended, by tenure,
    at the foot; not of small multiples. Raises ArgumentError for any other value.
    """
    asked = rows if rows is not None else ("at_risk",) if at_risk is not None and len(at_risk) else ()
    how = options_of(
        unit, breaks, until, rows=asked, band=band, censor_marks=censor_marks, scale=scale, censored_bars=censored_bars
    )
    _check(curves, how, bands)
    groups = style.groups_in_order(curves[by]) if len(curves) else []
    if not groups:
        return style.message("Nobody was at risk: there is no curve to draw.")
    horizon = how.horizon(float(horizon if horizon is not None else curves["tenure"].max()))
    drawn = curves_of(
        curves, by, groups, ordered, horizon, marks=censor_marks, bands=bands if band == "simultaneous" else None
    )
    ticks = _ticks(at_risk, how, horizon)
    given = at_risk if _covers(at_risk, ticks) else None
    blocks = risk_table.numbers(curves, given, by, groups, ticks, how.rows)
    words, values = lines_of_tests(tests, test_kind), None if medians is None else median_values(medians, by, groups)
    if not in_one_panel(len(drawn), ordered=ordered, layout=layout):
        return facets(drawn, blocks, ticks, horizon, title, ylabel, how, words, values)
    ended = censored.numbers(curves, by, groups, horizon) if censored_bars else None
    return _together(drawn, blocks, ticks, horizon, title, ylabel, how, words, values, ended)


def in_one_panel(groups: int, *, ordered: bool = False, layout: str = "auto") -> bool:
    """Whether `retention_curves` draws so many groups in one panel, and not in small multiples."""
    many = groups > TOGETHER_UP_TO[ordered]
    return groups < 2 or not (layout == "facets" or (layout == "auto" and many))


def bands_drawn(groups: int, *, ordered: bool = False, layout: str = "auto") -> bool:
    """Whether `retention_curves` draws bands for so many groups."""
    return groups <= BANDS_UP_TO or not in_one_panel(groups, ordered=ordered, layout=layout)


def _check(curves: pd.DataFrame, how: CurveOptions, bands: pd.DataFrame | None) -> None:
    if how.band == "simultaneous" and bands is None:
        raise ArgumentError("band simultaneous needs the limits: give `bands`, the frame of `Curves.band()`")
    if how.censor_marks and "censored" not in curves:
        raise ArgumentError("censor_marks needs the column censored of the curves: draw the frame of `Curves.tidy()`")


def _ticks(at_risk: pd.DataFrame | None, how: CurveOptions, horizon: float) -> np.ndarray:
    if at_risk is None or len(at_risk) == 0 or how.unit is not None or how.breaks is not None:
        return how.ticks(horizon)
    tenures = np.unique(at_risk["tenure"].to_numpy(float))
    return tenures[tenures <= 1.01 * horizon]


def _covers(at_risk: pd.DataFrame | None, ticks: np.ndarray) -> bool:
    """Whether the numbers given are those of these ticks."""
    return at_risk is not None and len(at_risk) > 0 and bool(np.isin(ticks, at_risk["tenure"].to_numpy(float)).all())


def _together(
    drawn: list[Curve], blocks: list[risk_table.Block], ticks: np.ndarray, horizon: float, title: str, ylabel: str,
    how: CurveOptions, words: list[str], medians: list[float] | None, ended: np.ndarray | None,
) -> Drawing:  # fmt: skip
    labels = [style.shorten(c.label, 1.6) for c in drawn]
    widest, alone = max(map(style.text_width, labels)), len(drawn) == 1
    last = max(horizon, float(ticks.max(initial=0)))
    kept = risk_table.shown_ticks(blocks, ticks, how.written(ticks), WIDTH, last)
    blocks = [risk_table.Block(b.row, tuple(tuple(line[i] for i in kept) for line in b.cells)) for b in blocks]
    every, ticks = ticks, ticks[kept]
    left = max(0.8, widest + 0.58 + risk_table.first_width(blocks) / 2) if blocks else 0.8
    table = risk_table.height(blocks, len(drawn)) - risk_table.HEAD
    foot = censored.height(ended is not None)
    under, top = foot + (table + 0.72 if blocks else 0.62), (0.42 if title else 0.15)
    figure = style.new_figure(left + WIDTH + (0.3 if alone else widest + 0.4), under + HEIGHT + top)
    axes = style.axes_in_inches(figure, left, under, WIDTH, HEIGHT)
    for curve in drawn:
        draw_curve(axes, curve, band=how.band != "none" and len(drawn) <= BANDS_UP_TO)
    style.percent_axis(axes, scale=how.scale)
    axes.set_xlim(0, last if last > 0 else 1)
    how.draw_axis(axes, ticks, every)
    axes.set_ylabel(ylabel)
    axes.set_title(title, pad=10)
    taken = [] if alone else direct_labels(axes, drawn, labels, WIDTH)
    if medians is not None:
        places, more = median_lines(axes, drawn, labels, medians, how, WIDTH)
        taken, words = [*taken, *places], [*words, *more]
    corner_text(axes, words, drawn, taken, WIDTH)
    risk_table.draw(figure, axes, drawn, labels, blocks, ticks, left, WIDTH, foot)
    if ended is not None:
        censored.draw(figure, axes, drawn, ended, horizon, (left, WIDTH))
    return figure
