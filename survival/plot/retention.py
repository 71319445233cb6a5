"""Retention curves by cohort: steps with bands, numbers at risk aligned under the axis, small multiples beyond a few."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from survival.plot import style
from survival.plot.numbers import count
from survival.plot.style import Drawing

BANDS_UP_TO = 4
TOGETHER_UP_TO = {True: 8, False: 6}  # ordered cohorts share a palette and stay readable a little longer
MOST_FACETS = 36


@dataclass(frozen=True)
class Curve:
    """One cohort's steps: tenures (days), retention and band at and after each, with colour and dashes."""

    label: str
    tenure: np.ndarray
    retention: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    colour: str
    dash: Any


@style.figure_function
def retention_curves(
    curves: pd.DataFrame,
    at_risk: pd.DataFrame | None = None,
    *,
    by: str = "cohort",
    ordered: bool = False,
    horizon: float | None = None,
    layout: str = "auto",
    title: str = "",
    ylabel: str = "Customers retained",
) -> Drawing:
    """Draw Kaplan-Meier curves.

    `curves`: columns `by`, tenure (days), retention, ci_lower, ci_upper (as retention.csv; NA ends a curve). `at_risk`: columns
    `by`, tenure, at_risk, the numbers at risk start <= t < stop; its tenures become the ticks. Groups keep the order of the
    frame (or of a categorical column). `ordered`: groups have an order (periods, cuts) and take a sequential palette.
    `layout`: together | facets | auto (facets when more than 6 groups, 8 if ordered). Bands are drawn for up to 4 curves in
    one panel, and in every facet.
    """
    groups = style.groups_in_order(curves[by]) if len(curves) else []
    if not groups:
        return style.message("Nobody was at risk: there is no curve to draw.")
    horizon = float(horizon if horizon is not None else curves["tenure"].max())
    drawn = _curves(curves, by, groups, ordered, horizon)
    ticks = _ticks(at_risk, horizon)
    facets = layout == "facets" or (layout == "auto" and len(drawn) > TOGETHER_UP_TO[ordered])
    if facets and len(drawn) > 1:
        return _facets(drawn, _numbers(at_risk, by, groups, ticks), ticks, horizon, title, ylabel)
    return _together(drawn, _numbers(at_risk, by, groups, ticks), ticks, horizon, title, ylabel)


def _curves(
    frame: pd.DataFrame, by: str, groups: Sequence[Any], ordered: bool, horizon: float
) -> list[Curve]:
    palette, dashes = style.colours(len(groups), ordered=ordered), style.dashes(len(groups))
    out = []
    for group, colour, dash in zip(groups, palette, dashes):
        rows = frame[frame[by] == group].sort_values("tenure", kind="stable")
        t, s, low, high = (
            rows[c].to_numpy(float, na_value=np.nan) for c in ("tenure", "retention", "ci_lower", "ci_upper")
        )
        if len(s) == 0 or not s[0] >= 1:  # the curve starts at 1 where the first customer enters
            t, s, low, high = np.r_[0.0, t], np.r_[1.0, s], np.r_[np.nan, low], np.r_[np.nan, high]
        # A curve at 1 or 0 has no interval; the band closes onto it there.
        low, high = (
            np.where((s == 1) & np.isnan(low), 1.0, low),
            np.where((s == 1) & np.isnan(high), 1.0, high),
        )
        inside = t <= horizon
        t, s, low, high = t[inside], s[inside], low[inside], high[inside]
        out.append(Curve(str(group), t, s, low, high, colour, dash))
    return out


def _ticks(at_risk: pd.DataFrame | None, horizon: float) -> np.ndarray:
    if at_risk is None or len(at_risk) == 0:
        return style.tenure_ticks(horizon)
    tenures = np.unique(at_risk["tenure"].to_numpy(float))
    return tenures[tenures <= horizon + 1e-9]


def _numbers(
    at_risk: pd.DataFrame | None, by: str, groups: Sequence[Any], ticks: np.ndarray
) -> list[list[str]] | None:
    """The risk table as text: one row a group, one number a tick."""
    if at_risk is None or len(at_risk) == 0:
        return None
    known = {(g, float(t)): n for g, t, n in zip(at_risk[by], at_risk["tenure"], at_risk["at_risk"])}
    return [[count(known[g, t]) if (g, t) in known else "" for t in map(float, ticks)] for g in groups]


def draw_curve(axes: Axes, curve: Curve, *, band: bool = True, width: float = 1.7) -> None:
    """Draw one curve as steps that hold from each tenure to the next, with its band."""
    axes.step(
        curve.tenure, curve.retention, where="post", color=curve.colour, linestyle=curve.dash, linewidth=width
    )
    if band:
        axes.fill_between(
            curve.tenure, curve.lower, curve.upper, step="post", color=curve.colour, alpha=0.16, linewidth=0
        )


def _last(curve: Curve) -> float:
    known = curve.retention[~np.isnan(curve.retention)]
    return float(known[-1]) if len(known) else 1.0


def _panel(axes: Axes, ticks: np.ndarray, horizon: float) -> None:
    style.percent_axis(axes)
    last = max(horizon, float(ticks.max(initial=0)))
    axes.set_xlim(0, last if last > 0 else 1)


def _together(
    drawn: list[Curve],
    numbers: list[list[str]] | None,
    ticks: np.ndarray,
    horizon: float,
    title: str,
    ylabel: str,
) -> Drawing:
    labels = [style.shorten(c.label, 1.7) for c in drawn]
    widest = max(style.text_width(label) for label in labels)
    alone = len(drawn) == 1
    left = max(0.75, widest + 0.62) if numbers else 0.75
    right = 0.3 if alone else widest + 0.45
    row = 0.19
    under = (0.72 + row * len(drawn) + 0.12) if numbers else 0.62
    top = 0.42 if title else 0.15
    width, height = left + 5.6 + right, under + 3.1 + top
    figure = style.new_figure(width, height)
    axes = style.axes_in_inches(figure, left, under, 5.6, 3.1)
    for curve in drawn:
        draw_curve(axes, curve, band=len(drawn) <= BANDS_UP_TO)
    _panel(axes, ticks, horizon)
    style.tenure_axis(axes, ticks)
    axes.set_ylabel(ylabel)
    if title:
        axes.set_title(title, pad=10)
    if not alone:
        _direct_labels(axes, drawn, labels)
    if numbers:
        _risk_table(figure, axes, drawn, labels, numbers, ticks, (left, row, len(drawn)))
    return figure


def _direct_labels(axes: Axes, drawn: list[Curve], labels: Sequence[str]) -> None:
    """Each curve's name where it ends at the right, moved apart where ends meet, with a thin leader."""
    ends = [_last(c) for c in drawn]
    places = style.spread(ends, 0.053, 0.02, 0.98)
    edge = axes.get_xlim()[1]
    for curve, label, end, place in zip(drawn, labels, ends, places):
        stop = float(curve.tenure[~np.isnan(curve.retention)].max(initial=0))
        axes.annotate(
            "", (1.0, end), (1.025, place), xycoords="axes fraction", textcoords="axes fraction",
            arrowprops={"arrowstyle": "-", "color": curve.colour, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip
        if stop < edge:  # a curve that ends early is led to the edge
            axes.plot([stop, edge], [end, end], color=curve.colour, linewidth=0.6, linestyle=(0, (1, 3)))
        axes.text(
            1.03,
            place,
            label,
            transform=axes.transAxes,
            color=curve.colour,
            va="center",
            ha="left",
            fontsize=9,
        )


def _risk_table(
    figure: Drawing,
    axes: Axes,
    drawn: list[Curve],
    labels: Sequence[str],
    numbers: list[list[str]],
    ticks: np.ndarray,
    place: tuple[float, float, int],
) -> None:
    left, row, n = place
    table = style.axes_in_inches(figure, left, 0.1, 5.6, row * n, sharex=axes)
    table.set_ylim(n - 0.5, -0.5)
    table.axis("off")
    table.set_gid("risk-table")
    figure.text(
        0.12 / figure.get_figwidth(), (0.1 + row * n + 0.06) / figure.get_figheight(), "Number at risk",
        ha="left", va="bottom", fontsize=8.5, fontweight="bold",
    )  # fmt: skip
    for i, (curve, label, cells) in enumerate(zip(drawn, labels, numbers)):
        for tick, cell in zip(ticks, cells):
            table.text(tick, i, cell, ha="center", va="center", fontsize=8.5, clip_on=False)
        y = (0.1 + row * (n - i - 0.5)) / figure.get_figheight()
        x = 0.12 / figure.get_figwidth()
        key = 0.26 / figure.get_figwidth()
        if n > 1:
            line = Line2D([x, x + key], [y, y], color=curve.colour, linestyle=curve.dash, linewidth=1.7)
            line.set_transform(figure.transFigure)
            figure.add_artist(line)
        figure.text(
            x + (key * 1.25 if n > 1 else 0), y, label, color=curve.colour, va="center", ha="left", fontsize=9
        )


def _facets(
    drawn: list[Curve],
    numbers: list[list[str]] | None,
    ticks: np.ndarray,
    horizon: float,
    title: str,
    ylabel: str,
) -> Drawing:
    """One panel a cohort: its curve and band over all the others in grey, its numbers at risk under it."""
    left_out = len(drawn) - MOST_FACETS
    everyone, shown = drawn, drawn[:MOST_FACETS]
    columns = 3 if len(shown) <= 9 else 4
    rows = math.ceil(len(shown) / columns)
    panel = (2.35, 1.5) if columns == 3 else (1.85, 1.25)
    gap_x, gap_y = 0.3, 0.78 if numbers else 0.52
    left, bottom, top = 0.72, 0.92 if numbers else 0.7, 0.75 if title else 0.42
    width = left + columns * panel[0] + (columns - 1) * gap_x + 0.25
    height = bottom + rows * panel[1] + (rows - 1) * gap_y + top
    figure = style.new_figure(width, height)
    every = max(1, math.ceil(len(ticks) / (5 if columns == 3 else 4)))
    few = ticks[::every]
    for i, curve in enumerate(shown):
        r, c = divmod(i, columns)
        x, y = left + c * (panel[0] + gap_x), bottom + (rows - 1 - r) * (panel[1] + gap_y)
        axes = style.axes_in_inches(figure, x, y, *panel)
        for other in everyone:
            axes.step(other.tenure, other.retention, where="post", color=style.GHOST, linewidth=0.6)
        draw_curve(axes, Curve(**{**curve.__dict__, "dash": "solid"}), width=1.8)
        _panel(axes, ticks, horizon)
        style.tenure_axis(axes, few, label=False, days_below=False)
        axes.set_title(style.shorten(curve.label, panel[0], 9, "bold"), fontsize=9, color=curve.colour, pad=4)
        if c:
            axes.set_yticklabels([])
        if numbers:
            _facet_numbers(axes, few, numbers[i][::every], label=c == 0)
    _facet_labels(figure, few, title, ylabel, left, numbers is not None, left_out)
    return figure


def _facet_numbers(axes: Axes, ticks: np.ndarray, cells: Sequence[str], *, label: bool) -> None:
    for tick, cell in zip(ticks, cells):
        axes.annotate(
            cell, (tick, 0), (0, -17), xycoords=axes.get_xaxis_transform(), textcoords="offset points",
            ha="center", va="top", fontsize=7.5, color=style.INK, annotation_clip=False, gid="risk-table",
        )  # fmt: skip
    if label:
        axes.annotate(
            "at risk", (0, 0), (-18, -17), xycoords="axes fraction", textcoords="offset points", ha="right", va="top",
            fontsize=7.5, color=style.SOFT, annotation_clip=False,
        )  # fmt: skip


def _facet_labels(
    figure: Drawing, ticks: np.ndarray, title: str, ylabel: str, left: float, table: bool, left_out: int
) -> None:
    width, height = figure.get_size_inches()
    months = len(ticks) > 1 and ticks[1] >= 30
    text = "Tenure in months of 30.4375 days" if months else "Tenure in days"
    text += "; below: number at risk. Grey: the other cohorts" if table else ". Grey: the other cohorts"
    if left_out > 0:
        text += f". Not shown: the last {left_out} of {left_out + MOST_FACETS}"
    figure.text(left / width, 0.14 / height, text, fontsize=9, ha="left")
    figure.text(0.06 / width, 0.5, ylabel, rotation=90, va="center", ha="left", fontsize=9)
    if title:
        figure.text(
            left / width, 1 - 0.12 / height, title, fontsize=9.5, fontweight="bold", va="top", ha="left"
        )
