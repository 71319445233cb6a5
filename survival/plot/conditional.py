"""Retention of those who are still here: one curve for each tenure reached so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from survival.plot import style
from survival.plot.curve_options import options_of
from survival.plot.numbers import count
from survival.plot.style import Drawing

MOST = 6
ROOM = 0.95  # of the axis: a curve that starts later is not drawn
MOST_BANDS = 3  # curves: more bands would hide each other
WIDTH, HEIGHT = 5.6, 3.0


@style.figure_function
def conditional_retention(
    given: pd.DataFrame,
    *,
    horizon: float | None = None,
    title: str = "",
    ylabel: str = "Still retained",
    unit: str | None = None,
    breaks: float | Sequence[float] | None = None,
    until: float | None = None,
    band: str = "pointwise",
    scale: str = "percent",
) -> Drawing:
    """Draw frames of `Curves.given` under each other, of one group.

    `given`: columns given, tenure (days), retention, ci_lower, ci_upper. Each curve starts at 100 % at its `given`; the axis is
    tenure since signup, so that the curves show whether who has stayed longer leaves more slowly. Up to six curves; bands for up to three.
    `unit`, `breaks`, `until`, `band` (pointwise or none), `scale`: as in `retention_curves`; a curve that starts after `until` is
    not drawn.
    """
    how = options_of(unit, breaks, until, band=band, scale=scale)
    starts = sorted(given["given"].unique()) if len(given) else []
    if not starts:
        return style.message("Nobody reached these tenures: there is no curve to draw.")
    horizon = how.horizon(float(given["tenure"].max() if horizon is None else horizon))
    there = [start for start in starts if start < ROOM * horizon] if until is not None else starts
    if not there:
        return style.message("The axis ends before the first of these tenures.")
    shown = there[:MOST]
    labels = [_label(start) for start in shown]
    right = max(map(style.text_width, labels)) + 0.35
    figure = style.new_figure(0.8 + WIDTH + right, 0.92 + HEIGHT + (0.42 if title else 0.15))
    axes = style.axes_in_inches(figure, 0.8, 0.92, WIDTH, HEIGHT)
    palette, ends = style.colours(len(shown), ordered=True), []
    for start, colour in zip(shown, palette):
        mine = given[given["given"] == start]
        rows = mine[mine["tenure"] <= horizon]
        t, kept = rows["tenure"].to_numpy(float), rows["retention"].to_numpy(float)
        stop = min(horizon, float(mine["tenure"].max()))
        if how.band != "none" and len(shown) <= MOST_BANDS:
            low, high = (rows[c].to_numpy(float, na_value=np.nan) for c in ("ci_lower", "ci_upper"))
            axes.fill_between(t, low, high, step="post", color=colour, alpha=0.16, linewidth=0)
        axes.step(np.append(t, stop), np.append(kept, kept[-1]), where="post", color=colour, label=_label(start))
        axes.plot([start], [1], marker="o", markersize=4, color=colour, clip_on=False, zorder=4)
        ends.append((stop, float(kept[-1])))
    style.percent_axis(axes, scale=how.scale)
    axes.set_xlim(0, horizon)
    how.fitted_axis(axes, horizon, WIDTH)
    axes.set_ylabel(ylabel)
    places = style.spread([end for _, end in ends], 0.053, 0.02, 0.98)
    for label, colour, (stop, end), at in zip(labels, palette, ends, places):
        axes.annotate(
            label, (stop / horizon, end), (1.025, at), xycoords=axes.get_yaxis_transform(), textcoords=axes.get_yaxis_transform(),
            color=style.text_colour(colour), va="center",
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip
    axes.set_title(title, pad=10)
    text = "Each curve: customers who reached the tenure of its dot, from there on."
    if len(starts) > len(shown):
        text += f" Not shown: the last {len(starts) - len(shown)} of {len(starts)}."
    figure.text(0.8 / figure.get_figwidth(), 0.1 / figure.get_figheight(), text, fontsize=7.5, color=style.SOFT)
    return figure


def _label(start: float) -> str:
    return "from signup" if start <= 0 else f"given day {count(round(start))}"
