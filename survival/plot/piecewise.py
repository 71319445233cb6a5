"""The hazard by billing cycle as bars with exact limits: renewals stand out where a smoother hides them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from survival.plot import style
from survival.plot.numbers import counted
from survival.plot.style import Drawing

PER_DAYS = 30.0
MOST = 4
WIDTH = 5.6


@style.figure_function
def piecewise_hazard(
    hazard: pd.DataFrame,
    *,
    by: str | None = None,
    smooth: pd.DataFrame | None = None,
    per_days: float = PER_DAYS,
    title: str = "",
    subject: str = "Churn hazard",
) -> Drawing:
    """Draw `piecewise_hazard(...).tidy()`.

    `hazard`: columns start, stop (days), events, hazard (a day), ci_lower, ci_upper, and `by` for up to four groups, a panel
    each. `smooth`: columns tenure, hazard (and `by`), a smoothed hazard to lay over it as a line.
    """
    if hazard.empty:
        return style.message("Nobody was at risk: there is no hazard to draw.")
    everyone = style.groups_in_order(hazard[by]) if by else [None]
    groups = everyone[:MOST]
    high = 2.9 if len(groups) == 1 else 1.45
    gap, bottom, top = 0.42, 0.92, (0.36 if title else 0.2) + (0.16 if len(groups) > 1 else 0)
    figure = style.new_figure(0.95 + WIDTH + 0.25, bottom + len(groups) * (high + gap) - gap + top)
    limit = _top(hazard) * per_days
    until = float(hazard["stop"].max())
    for number, group in enumerate(groups):
        place = bottom + (len(groups) - 1 - number) * (high + gap)
        axes = style.axes_in_inches(figure, 0.95, place, WIDTH, high)
        rows = hazard if group is None else hazard[hazard[by] == group]
        over = smooth if smooth is None or group is None or by not in smooth else smooth[smooth[by] == group]
        _bars(axes, rows, over, per_days, limit)
        axes.set_xlim(0, until)
        style.tenure_axis(
            axes, style.tenure_ticks(until), label=number == len(groups) - 1, days_below=number == len(groups) - 1
        )
        if group is not None and len(everyone) > 1:
            axes.set_title(style.shorten(str(group), WIDTH, 9, "bold"), fontsize=9, pad=4)
    width, height = figure.get_size_inches()
    figure.text(
        0.1 / width, (bottom + height - top) / 2 / height, f"{subject} per {per_days:g} days", rotation=90, va="center"
    )
    beyond = bool((hazard["ci_upper"] * per_days > limit).any())
    _words(figure, title, smooth is not None, len(everyone), beyond)
    return figure


def _top(hazard: pd.DataFrame) -> float:
    """Room for every bar, and for the limits unless one of a short or nearly empty piece would flatten all others."""
    width = hazard["stop"] - hazard["start"]
    rows = hazard[width >= width.median() / 2]
    bars, limits = float(hazard["hazard"].max()), max(float(rows["ci_upper"].max()), float(hazard["hazard"].max()))
    return 1.08 * min(limits, 2.2 * bars) if bars > 0 and limits == limits else max(bars, 1e-9) * 1.15


def _bars(axes: Axes, rows: pd.DataFrame, smooth: pd.DataFrame | None, per_days: float, limit: float) -> None:
    start, stop, value, low, high = (
        rows[c].to_numpy(float, na_value=np.nan) for c in ("start", "stop", "hazard", "ci_lower", "ci_upper")
    )
    colour = style.NOMINAL[0]
    axes.bar(
        start,
        value * per_days,
        width=stop - start,
        align="edge",
        color=colour,
        alpha=0.28,
        edgecolor=colour,
        linewidth=0.7,
    )
    middle = (start + stop) / 2
    axes.vlines(middle, low * per_days, np.minimum(high * per_days, limit), color=colour, linewidth=1.3, gid="limits")
    beyond = high * per_days > limit
    below = ScaledTranslation(
        0, -2 / 72, axes.figure.dpi_scale_trans
    )  # its tip at the edge, under the number of churns
    axes.plot(
        middle[beyond],
        np.full(beyond.sum(), limit),
        marker="^",
        linestyle="none",
        color=colour,
        markersize=4,
        clip_on=False,
        transform=axes.transData + below,
    )
    if smooth is not None:
        axes.plot(smooth["tenure"], smooth["hazard"] * per_days, color=style.NOMINAL[1], linewidth=1.4)
    axes.set_ylim(0, limit)
    axes.grid(axis="y")
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:.2g}")
    total = counted(float(rows["events"].sum()), "churn")
    axes.text(1, 1.02, total, transform=axes.transAxes, ha="right", va="bottom", fontsize=8, color=style.SOFT)


def _words(figure: Drawing, title: str, smooth: bool, groups: int, beyond: bool) -> None:
    width, height = figure.get_size_inches()
    text = "Bars: churns by time at risk, with exact Poisson limits" + ("; arrow: beyond the axis." if beyond else ".")
    text += " Line: smoothed hazard." if smooth else ""
    if groups > MOST:
        text += f" Not shown: the last {groups - MOST} of {groups}."
    figure.text(0.95 / width, 0.1 / height, text, fontsize=7.5, color=style.SOFT)
    if title:
        figure.text(0.95 / width, 1 - 0.08 / height, title, fontweight="bold", fontsize=9.5, va="top")
