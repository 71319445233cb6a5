"""Retention of those who are still here: one curve for each tenure reached so far."""

from __future__ import annotations

import numpy as np
import pandas as pd

from survival.plot import style
from survival.plot.numbers import count
from survival.plot.style import Drawing

MOST = 6
MOST_BANDS = 3  # curves: more bands would hide each other
WIDTH, HEIGHT = 5.6, 3.0


@style.figure_function
def conditional_retention(
    given: pd.DataFrame, *, horizon: float | None = None, title: str = "", ylabel: str = "Still retained"
) -> Drawing:
    """Draw frames of `Curves.given` under each other, of one group.

    `given`: columns given, tenure (days), retention, ci_lower, ci_upper. Each curve starts at 100 % at its `given`; the axis is
    tenure since signup, so that the curves show whether who has stayed longer leaves more slowly. Up to six curves; bands for up to three.
    """
    starts = sorted(given["given"].unique()) if len(given) else []
    if not starts:
        return style.message("Nobody reached these tenures: there is no curve to draw.")
    shown = starts[:MOST]
    horizon = float(given["tenure"].max() if horizon is None else horizon)
    labels = [_label(start) for start in shown]
    right = max(map(style.text_width, labels)) + 0.35
    figure = style.new_figure(0.8 + WIDTH + right, 0.92 + HEIGHT + (0.42 if title else 0.15))
    axes = style.axes_in_inches(figure, 0.8, 0.92, WIDTH, HEIGHT)
    palette, ends = style.colours(len(shown), ordered=True), []
    for start, colour in zip(shown, palette):
        rows = given[(given["given"] == start) & (given["tenure"] <= horizon)]
        t, kept = rows["tenure"].to_numpy(float), rows["retention"].to_numpy(float)
        if len(shown) <= MOST_BANDS:
            low, high = (rows[c].to_numpy(float, na_value=np.nan) for c in ("ci_lower", "ci_upper"))
            axes.fill_between(t, low, high, step="post", color=colour, alpha=0.16, linewidth=0)
        axes.step(np.append(t, horizon), np.append(kept, kept[-1]), where="post", color=colour, label=_label(start))
        axes.plot([start], [1], marker="o", markersize=4, color=colour, clip_on=False, zorder=4)
        ends.append(float(kept[-1]))
    style.percent_axis(axes)
    axes.set_xlim(0, horizon)
    style.tenure_axis(axes, style.tenure_ticks(horizon))
    axes.set_ylabel(ylabel)
    for label, colour, end, at in zip(labels, palette, ends, style.spread(ends, 0.053, 0.02, 0.98)):
        axes.annotate(
            label, (1, end), (1.025, at), xycoords=axes.get_yaxis_transform(), textcoords=axes.get_yaxis_transform(),
            color=style.text_colour(colour), va="center",
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip
    axes.set_title(title, pad=10)
    text = "Each curve: customers who reached the tenure of its dot, from there on."
    if len(starts) > MOST:
        text += f" Not shown: the last {len(starts) - MOST} of {len(starts)}."
    figure.text(0.8 / figure.get_figwidth(), 0.1 / figure.get_figheight(), text, fontsize=7.5, color=style.SOFT)
    return figure


def _label(start: float) -> str:
    return "from signup" if start <= 0 else f"given day {count(round(start))}"
