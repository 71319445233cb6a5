"""How often customers have left, on average, by tenure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from survival.plot import style
from survival.plot.curve_options import options_of
from survival.plot.style import Drawing

MOST = 6
BANDS_UP_TO = 4


@style.figure_function
def mean_counts(
    frame: pd.DataFrame,
    *,
    by: str = "by",
    ordered: bool = False,
    horizon: float | None = None,
    title: str = "",
    ylabel: str = "Departures per customer, mean",
    unit: str | None = None,
    breaks: float | Sequence[float] | None = None,
    until: float | None = None,
) -> Drawing:
    """Draw mean cumulative counts as steps with their bands, up to six groups.

    `frame`: columns `by`, tenure (days), mean_count, ci_lower, ci_upper (as `MeanCounts.tidy`).
    `unit`, `breaks`, `until`: of the axis of tenure, as in `retention_curves`.
    """
    how = options_of(unit, breaks, until)
    if len(frame) == 0:
        return style.message("Nobody was observed: there is nothing to count.")
    groups = style.groups_in_order(frame[by])
    shown = groups[:MOST]
    labels = [style.shorten(str(g), 1.6) for g in shown]
    alone = len(shown) == 1
    right = 0.35 if alone else max(map(style.text_width, labels)) + 0.4
    figure = style.new_figure(0.85 + 5.4 + right, 3.0 + 0.7 + (0.42 if title else 0.28))
    axes = style.axes_in_inches(figure, 0.85, 0.7, 5.4, 3.0)
    horizon = how.horizon(float(horizon if horizon is not None else frame["tenure"].max()))
    ends, top = [], 0.0
    dashes = ["solid"] * len(shown) if ordered else style.dashes(len(shown))
    for group, colour, dash in zip(shown, style.colours(len(shown), ordered=ordered), dashes):
        rows = frame[(frame[by] == group) & (frame["tenure"] <= horizon)].sort_values("tenure", kind="stable")
        axes.step(rows["tenure"], rows["mean_count"], where="post", color=colour, linestyle=dash)
        if len(shown) <= BANDS_UP_TO:
            axes.fill_between(
                rows["tenure"], rows["ci_lower"], rows["ci_upper"], step="post", color=colour, alpha=0.16, linewidth=0
            )
            top = max(
                top,
                min(
                    float(np.nanmax(rows["ci_upper"].to_numpy(float), initial=0)), 1.6 * float(rows["mean_count"].max())
                ),
            )
        top = max(top, float(rows["mean_count"].max()))
        ends.append((float(rows["tenure"].iloc[-1]), float(rows["mean_count"].iloc[-1]), colour))
    high = 1.06 * top if top > 0 else 1.0
    axes.set_xlim(0, horizon if horizon > 0 else 1)
    axes.set_ylim(0, high)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(axis="y")
    how.fitted_axis(axes, horizon, 5.4)
    axes.set_ylabel(ylabel)
    axes.set_title(title, pad=10)
    if not alone:
        for (t, end, colour), label, place in zip(
            ends, labels, style.spread([e / high for _, e, _ in ends], 0.055, 0.02, 0.98)
        ):
            axes.annotate(
                label, (min(t / horizon, 1.0), end / high), (1.03, float(place)), xycoords="axes fraction",
                textcoords="axes fraction", color=style.text_colour(colour), va="center", annotation_clip=False,
                arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0},
            )  # fmt: skip
    if len(groups) > MOST:
        missing = f"not shown: the last {len(groups) - MOST} of {len(groups)}"
        axes.text(1, 1.02, missing, transform=axes.transAxes, ha="right", va="bottom", fontsize=8, color=style.SOFT)
    return figure
