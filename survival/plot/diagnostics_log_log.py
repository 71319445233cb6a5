"""Log-minus-log curves: parallel where hazards are proportional."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from survival.plot import style
from survival.plot.forest import covariate_label
from survival.plot.numbers import count
from survival.plot.style import Drawing

DAYS = (1, 2, 3, 7, 14, 30, 60, 90, 180, 365, 730, 1095, 1825, 3650)
MOST = 1.4  # inches for the name of a level


@style.figure_function
def log_minus_log(
    curves: pd.DataFrame,
    *,
    labels: Mapping[str, str] | None = None,
    tests: Mapping[str, str] | None = None,
    title: str = "",
) -> Drawing:
    """One panel a covariate: log of the cumulative hazard, log(-log S), of each of its levels against tenure on a log axis.

    `curves`: columns covariate, state, tenure (days), log_cumulative_hazard, ci_lower, ci_upper; NA where it is not drawn. `tests`:
    covariate -> what the test of proportional hazards says.
    """
    known = curves[curves["log_cumulative_hazard"].notna() & (curves["tenure"] > 0)] if len(curves) else curves
    covariates = style.groups_in_order(known["covariate"]) if len(known) else []
    if not covariates:
        return style.message("There are no curves to compare.")
    columns = min(2, len(covariates))
    rows = -(-len(covariates) // columns)
    beside = min(MOST, max(style.text_width(str(state), 8) for state in pd.unique(known["state"])))
    panel_w, panel_h, gap_x, gap_y, left, bottom = 3.0, 2.0, 0.6 + beside, 0.75, 0.75, 0.62
    top = 0.5 + (0.3 if title else 0)
    width = max(4.6, left + columns * panel_w + (columns - 1) * gap_x + beside + 0.2)
    figure = style.new_figure(width, bottom + rows * panel_h + (rows - 1) * gap_y + top)
    limits = (float(known["tenure"].min()), float(known["tenure"].max()))
    for i, covariate in enumerate(covariates):
        r, c = divmod(i, columns)
        y = bottom + (rows - 1 - r) * (panel_h + gap_y)
        axes = style.axes_in_inches(figure, left + c * (panel_w + gap_x), y, panel_w, panel_h)
        _panel(axes, known[known["covariate"] == covariate], limits)
        name = (labels or {}).get(str(covariate), covariate_label(str(covariate)))
        said = (tests or {}).get(str(covariate), "")
        axes.set_title(
            style.shorten(name, panel_w, 9, "bold") + (f"\n{said}" if said else ""), fontsize=9, linespacing=1.1
        )
        if c == 0:
            axes.set_ylabel("Log of cumulative hazard")
    w, h = figure.get_size_inches()
    figure.text(left / w, 0.12 / h, "Tenure in days (log scale)")
    if title:
        figure.text(left / w, 1 - 0.08 / h, title, fontweight="bold", fontsize=9.5, va="top")
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, limits: tuple[float, float]) -> None:
    states = style.groups_in_order(rows["state"])
    two = {"off", "on"} >= set(map(str, states))
    colours = [style.OFF if str(s) == "off" else style.ON for s in states] if two else style.colours(len(states))
    axes.set_xscale("log")
    axes.set_xlim(limits[0], limits[1] * 1.02 if limits[1] > limits[0] else limits[0] + 1)
    ends = []
    for state, colour, dash in zip(states, colours, style.dashes(len(states))):
        mine = rows[rows["state"] == state].sort_values("tenure", kind="stable")
        t, y = mine["tenure"].to_numpy(float), mine["log_cumulative_hazard"].to_numpy(float)
        low, high = mine["ci_lower"].to_numpy(float), mine["ci_upper"].to_numpy(float)
        axes.fill_between(t, low, high, step="post", color=colour, alpha=0.13, linewidth=0)
        axes.plot(t, y, color=colour, linestyle=dash, drawstyle="steps-post", linewidth=1.5)
        ends.append(float(y[-1]))
    shown = rows["log_cumulative_hazard"].to_numpy(float)
    margin = 0.06 * max(float(np.ptp(shown)), 0.5)
    axes.set_ylim(float(shown.min()) - margin, float(shown.max()) + margin)
    low, high = axes.get_ylim()
    for state, colour, place in zip(states, colours, style.spread(ends, 0.09 * (high - low), low, high)):
        axes.annotate(
            style.shorten(str(state), MOST, 8), (1.02, (place - low) / (high - low)), xycoords="axes fraction", fontsize=8,
            va="center", color=style.text_colour(colour), annotation_clip=False,
        )  # fmt: skip
    ticks = [d for d in DAYS if limits[0] <= d <= limits[1]]
    ticks = sorted(_kept(ticks, *limits))
    axes.set_xticks(ticks, labels=[count(t) for t in ticks])
    axes.set_xticks([], minor=True)
    axes.grid()


def _kept(ticks: list[int], low: float, high: float) -> list[int]:
    """From the longest tenure down, those with room for their label."""
    room = (high / low) ** 0.14 if high > low else 1.0
    kept: list[int] = []
    for tick in reversed(ticks):
        if not kept or kept[-1] / tick >= room:
            kept.append(tick)
    return kept
