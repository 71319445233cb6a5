"""Hazards over tenure: the smoothed baseline, and what each flag does to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from survival.plot import style
from survival.plot.numbers import decimal
from survival.plot.style import Drawing

PER_DAYS = 30.0
MOST_CURVES = 6
STATES: tuple[tuple[str, str, Any], ...] = (("off", style.OFF, (0, (5, 1.6))), ("on", style.ON, "solid"))


@style.figure_function
def smoothed_hazard(
    hazard: pd.DataFrame,
    *,
    by: str | None = None,
    bandwidth: float | None = None,
    per_days: float = PER_DAYS,
    title: str = "",
    subject: str = "Churn hazard",
) -> Drawing:
    """Draw a smoothed hazard with its band.

    `hazard`: columns tenure (days), hazard (a day), ci_lower, ci_upper (a day; may be missing), and `by` for several curves
    (up to six). The axis shows the hazard per `per_days` days, from 0. `bandwidth` in days is stated in the figure; None: read
    from the frame's column of that name.
    """
    if len(hazard) == 0:
        return style.message("No churn was seen: there is no hazard to draw.")
    everyone = style.groups_in_order(hazard[by]) if by else [None]
    groups = everyone[:MOST_CURVES]
    labels = [style.shorten(str(g), 1.7) for g in groups]
    right = 0.3 if len(groups) == 1 else max(map(style.text_width, labels)) + 0.45
    figure = style.new_figure(0.95 + 5.4 + right, 3.85 if title else 3.7)
    axes = style.axes_in_inches(figure, 0.95, 0.68, 5.4, 2.75)
    palette = style.colours(len(groups))
    top = 0.0
    for group, colour, dash in zip(groups, palette, style.dashes(len(groups))):
        rows = hazard if group is None else hazard[hazard[by] == group]
        top = max(top, _hazard_line(axes, rows, per_days, colour, dash))
    ends = [_last_value(hazard if g is None else hazard[hazard[by] == g], "hazard") * per_days for g in groups]
    _hazard_axes(axes, hazard, top, f"{subject}\nper {per_days:g} days")
    if len(groups) > 1:
        high = axes.get_ylim()[1]
        for label, colour, end, at in zip(labels, palette, ends, style.spread(ends, 0.06 * high, 0, high)):
            axes.annotate(
                label, (1, end), (1.03, at), xycoords=axes.get_yaxis_transform(), textcoords=axes.get_yaxis_transform(),
                color=style.text_colour(colour), va="center", arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7},
            )  # fmt: skip
    stated = _bandwidth(hazard, bandwidth)
    if len(everyone) > MOST_CURVES:
        stated += f"; not shown: the last {len(everyone) - MOST_CURVES} of {len(everyone)}"
    if stated:
        axes.text(1, 1.02, stated, transform=axes.transAxes,
            ha="right", va="bottom", fontsize=8, color=style.SOFT,
        )  # fmt: skip
    if title:
        axes.set_title(title, pad=10)
    return figure


def _bandwidth(hazard: pd.DataFrame, bandwidth: float | None) -> str:
    """'bandwidth 42 days', or the range of those in the frame."""
    widths = sorted(hazard["bandwidth"].dropna().unique()) if "bandwidth" in hazard else []
    widths = widths if bandwidth is None else [bandwidth]
    texts = [decimal(w, 0 if w >= 10 else 1) for w in (widths[:1] + widths[-1:])]
    if not texts:
        return ""
    return f"bandwidth {texts[0]} days" if texts[0] == texts[-1] else f"bandwidths {texts[0]} to {texts[-1]} days"


def _last_value(rows: pd.DataFrame, column: str) -> float:
    known = rows[column].dropna()
    return float(known.iloc[-1]) if len(known) else 0.0


def _hazard_line(axes: Axes, rows: pd.DataFrame, per_days: float, colour: str, dash: Any) -> float:
    """Draw one hazard; returns how high the axis should reach: all of the band, up to 1.6 times the curve's peak."""
    rows = rows.sort_values("tenure", kind="stable")
    t, h = rows["tenure"].to_numpy(float), rows["hazard"].to_numpy(float) * per_days
    axes.plot(t, h, color=colour, linestyle=dash)
    peak = float(np.nanmax(h, initial=0))
    if {"ci_lower", "ci_upper"} <= set(rows.columns) and rows["ci_upper"].notna().any():
        low, high = rows["ci_lower"].to_numpy(float) * per_days, rows["ci_upper"].to_numpy(float) * per_days
        axes.fill_between(t, low, high, color=colour, alpha=0.16, linewidth=0)
        return min(float(np.nanmax(high, initial=0)), 1.6 * peak) if peak else float(np.nanmax(high, initial=0))
    return peak


def _hazard_axes(axes: Axes, frame: pd.DataFrame, top: float, ylabel: str) -> None:
    horizon = float(frame["tenure"].max())
    axes.set_xlim(0, horizon if horizon > 0 else 1)
    axes.set_ylim(0, 1.08 * top if top > 0 else 1)
    axes.yaxis.set_major_locator(_few_ticks())
    axes.grid(axis="y")
    style.tenure_axis(axes, style.tenure_ticks(horizon))
    axes.set_ylabel(ylabel)


def _few_ticks() -> MaxNLocator:
    return MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10])


@style.figure_function
def hazard_by_flag(
    frame: pd.DataFrame,
    *,
    value: str = "cumulative_hazard",
    labels: Mapping[str, str] | None = None,
    per_days: float = PER_DAYS,
    title: str = "",
) -> Drawing:
    """Small multiples, one a flag: the hazard with the flag off and on.

    `frame`: columns covariate, state ('off' or 'on'), tenure (days), `value` (cumulative_hazard, drawn as steps; or hazard a
    day, drawn smooth and per `per_days` days), ci_lower, ci_upper of that value (may be missing). Panels share both axes.
    """
    flags = style.groups_in_order(frame["covariate"]) if len(frame) else []
    if not flags:
        return style.message("The model has no flag to draw.")
    columns = min(3, len(flags))
    rows = math.ceil(len(flags) / columns)
    panel_w, panel_h, gap_x, gap_y, left, bottom = 2.35, 1.75, 0.32, 0.62, 0.8, 0.6
    names = [style.wrap((labels or {}).get(str(f), str(f)), panel_w, 9, "bold") for f in flags]
    second_line = 0.15 if any("\n" in n for n in names) else 0
    gap_y, top = gap_y + second_line, 0.66 + second_line + (0.3 if title else 0)
    width = left + columns * panel_w + (columns - 1) * gap_x + 0.25
    figure = style.new_figure(max(width, 4.6), bottom + rows * panel_h + (rows - 1) * gap_y + top)
    steps, scale = value.startswith("cumulative"), 1.0 if value.startswith("cumulative") else per_days
    high = _common_top(frame, value, scale)
    horizon = float(frame["tenure"].max())
    for i, flag in enumerate(flags):
        r, c = divmod(i, columns)
        y = bottom + (rows - 1 - r) * (panel_h + gap_y)
        axes = style.axes_in_inches(figure, left + c * (panel_w + gap_x), y, panel_w, panel_h)
        _flag_panel(axes, frame[frame["covariate"] == flag], value, scale, steps)
        axes.set_xlim(0, horizon if horizon > 0 else 1)
        axes.set_ylim(0, high)
        axes.yaxis.set_major_locator(_few_ticks())
        axes.grid(axis="y")
        style.tenure_axis(axes, style.tenure_ticks(horizon, 5), label=False, days_below=False)
        if c:
            axes.set_yticklabels([])
        axes.set_title(names[i], fontsize=9, pad=5, linespacing=1.1)
    _flag_labels(figure, steps, per_days, left, title, horizon)
    return figure


def _common_top(frame: pd.DataFrame, value: str, scale: float) -> float:
    """One y axis for all panels: the curves, and their bands up to 1.6 times the highest curve."""
    peak = float(np.nanmax(frame[value].to_numpy(float), initial=0))
    band = float(np.nanmax(frame["ci_upper"].to_numpy(float), initial=0)) if "ci_upper" in frame else 0.0
    return 1.05 * scale * (max(peak, min(band, 1.6 * peak)) or 1.0)


def _flag_panel(axes: Axes, rows: pd.DataFrame, value: str, scale: float, steps: bool) -> None:
    for state, colour, dash in STATES:
        part = rows[rows["state"] == state].sort_values("tenure", kind="stable")
        t, v = part["tenure"].to_numpy(float), part[value].to_numpy(float) * scale
        axes.plot(t, v, color=colour, linestyle=dash, drawstyle="steps-post" if steps else "default")
        if {"ci_lower", "ci_upper"} <= set(part.columns):
            low, high = part["ci_lower"].to_numpy(float) * scale, part["ci_upper"].to_numpy(float) * scale
            axes.fill_between(t, low, high, step="post" if steps else None, color=colour, alpha=0.16, linewidth=0)


def _flag_labels(figure: Drawing, steps: bool, per_days: float, left: float, title: str, horizon: float) -> None:
    w, h = figure.get_size_inches()
    keys = [
        Line2D([], [], color=style.ON, label="on"),
        Line2D([], [], color=style.OFF, linestyle=(0, (5, 1.6)), label="off"),
    ]
    figure.legend(
        handles=keys, loc="upper left", bbox_to_anchor=(left / w, 1 - (0.36 if title else 0.1) / h), ncols=2,
        borderpad=0, borderaxespad=0, handlelength=2.4, columnspacing=1.6,
    )  # fmt: skip
    figure.text(
        0.08 / w, 0.5, "Cumulative hazard" if steps else f"Hazard per {per_days:g} days", rotation=90, va="center"
    )
    text = "Tenure in months of 30.4375 days" if horizon >= 70 else "Tenure in days"
    figure.text(left / w, 0.12 / h, text)
    if title:
        figure.text(left / w, 1 - 0.08 / h, title, fontweight="bold", fontsize=9.5, va="top")
