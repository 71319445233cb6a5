"""Retention curves by cohort: steps with bands, numbers at risk aligned under the axis, small multiples beyond a few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from survival.plot import style
from survival.plot.curve import Curve, curves_of, draw_curve
from survival.plot.direct_labels import direct_labels
from survival.plot.facets import facets
from survival.plot.numbers import count
from survival.plot.style import Drawing

BANDS_UP_TO = 4
TOGETHER_UP_TO = {True: 8, False: 6}  # ordered cohorts share a palette and stay readable a little longer
WIDTH, HEIGHT, ROW = 5.6, 3.1, 0.19  # inches: the panel, and a row of the risk table


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
) -> Drawing:
    """Draw Kaplan-Meier curves.

    `curves`: columns `by`, tenure (days), retention, ci_lower, ci_upper (as retention.csv; NA ends a curve). `at_risk`: columns
    `by`, tenure, at_risk, the numbers at risk start <= t < stop; its tenures become the ticks (`tenure_ticks` proposes some).
    Groups keep the order of the frame, or of a categorical column. `ordered`: the groups have an order (periods, cuts) and
    take a sequential palette. `layout` auto: small multiples for more than 6 groups, 8 if ordered. Bands are drawn for up to
    4 curves in one panel, and in every small multiple.
    """
    groups = style.groups_in_order(curves[by]) if len(curves) else []
    if not groups:
        return style.message("Nobody was at risk: there is no curve to draw.")
    horizon = float(horizon if horizon is not None else curves["tenure"].max())
    drawn = curves_of(curves, by, groups, ordered, horizon)
    ticks = _ticks(at_risk, horizon)
    numbers = _numbers(at_risk, by, groups, ticks)
    many = len(drawn) > TOGETHER_UP_TO[ordered]
    if len(drawn) > 1 and (layout == "facets" or (layout == "auto" and many)):
        return facets(drawn, numbers, ticks, horizon, title, ylabel)
    return _together(drawn, numbers, ticks, horizon, title, ylabel)


def _ticks(at_risk: pd.DataFrame | None, horizon: float) -> np.ndarray:
    if at_risk is None or len(at_risk) == 0:
        return style.tenure_ticks(horizon)
    tenures = np.unique(at_risk["tenure"].to_numpy(float))
    return tenures[tenures <= 1.01 * horizon]


def _numbers(at_risk: pd.DataFrame | None, by: str, groups: Sequence[Any], ticks: np.ndarray) -> list[list[str]] | None:
    """The risk table as text: one row a group, one number a tick."""
    if at_risk is None or len(at_risk) == 0:
        return None
    known = {(g, float(t)): n for g, t, n in zip(at_risk[by], at_risk["tenure"], at_risk["at_risk"])}
    return [[count(known[g, t]) if (g, t) in known else "" for t in map(float, ticks)] for g in groups]


def _together(
    drawn: list[Curve], numbers: list[list[str]] | None, ticks: np.ndarray, horizon: float, title: str, ylabel: str
) -> Drawing:
    labels = [style.shorten(c.label, 1.6) for c in drawn]
    widest, alone = max(map(style.text_width, labels)), len(drawn) == 1
    first_numbers = [style.text_width(row[0], 8.5) for row in numbers or [] if row]
    left = max(0.8, widest + 0.58 + max(first_numbers) / 2) if first_numbers else 0.8
    table = ROW * len(drawn) + 0.1
    under, top = (table + 0.72 if numbers else 0.62), (0.42 if title else 0.15)
    figure = style.new_figure(left + WIDTH + (0.3 if alone else widest + 0.4), under + HEIGHT + top)
    axes = style.axes_in_inches(figure, left, under, WIDTH, HEIGHT)
    for curve in drawn:
        draw_curve(axes, curve, band=len(drawn) <= BANDS_UP_TO)
    style.percent_axis(axes)
    last = max(horizon, float(ticks.max(initial=0)))
    axes.set_xlim(0, last if last > 0 else 1)
    style.tenure_axis(axes, ticks)
    axes.set_ylabel(ylabel)
    axes.set_title(title, pad=10)
    if not alone:
        direct_labels(axes, drawn, labels, WIDTH)
    if numbers:
        _risk_table(figure, axes, drawn, labels, numbers, ticks, left)
    return figure


def _risk_table(
    figure: Drawing,
    axes: Axes,
    drawn: list[Curve],
    labels: Sequence[str],
    numbers: list[list[str]],
    ticks: np.ndarray,
    left: float,
) -> None:
    """Numbers at risk under the axis: each stands under its tick because the two share their x axis."""
    w, h = figure.get_size_inches()
    n = len(drawn)
    table = style.axes_in_inches(figure, left, 0.1, WIDTH, ROW * n, sharex=axes)
    table.set_gid("risk-table")
    table.set_ylim(n - 0.5, -0.5)
    table.axis("off")
    figure.text(0.12 / w, (0.17 + ROW * n) / h, "Number at risk", va="bottom", fontsize=8.5, fontweight="bold")
    for i, (curve, label, cells) in enumerate(zip(drawn, labels, numbers)):
        for tick, cell in zip(ticks, cells):
            table.text(tick, i, cell, ha="center", va="center", fontsize=8.5, clip_on=False)
        y = (0.1 + ROW * (n - i - 0.5)) / h
        if n > 1:
            key = Line2D([0.12 / w, 0.38 / w], [y, y], color=curve.colour, linestyle=curve.dash, linewidth=1.7)
            key.set_transform(figure.transFigure)
            figure.add_artist(key)
        figure.text((0.45 if n > 1 else 0.12) / w, y, label, va="center", ha="left")
