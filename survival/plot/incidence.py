"""Where customers went, by tenure: shares lost to each cause, stacked, with those retained on top."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from survival.plot import style
from survival.plot.style import Drawing

MOST_CAUSES = 7
MOST_PANELS = 12
RETAINED = "#eceef0"
OTHERS = "other causes"
TALL = 0.052  # of a label, as a share of the panel's height


@style.figure_function
def stacked_incidence(
    incidence: pd.DataFrame,
    *,
    by: str = "cohort",
    labels: Mapping[str, str] | None = None,
    horizon: float | None = None,
    title: str = "",
) -> Drawing:
    """Draw cumulative incidence as stacked areas, a panel a group.

    `incidence`: columns `by`, cause, tenure (days), incidence (as cumulative_incidence.csv; NA ends the curves). The largest
    cause lies at the bottom; causes beyond seven are drawn together. What is left above all causes are customers retained: at
    every tenure the parts add up to 100 %. A group's panel ends where its curves end.
    """
    known = incidence[incidence["incidence"].notna()] if len(incidence) else incidence
    if len(known) == 0:
        return style.message("Nobody churned: there is no cause to draw.")
    groups = style.groups_in_order(known[by])
    horizon = float(horizon if horizon is not None else known["tenure"].max())
    causes = _causes(known)
    names = [(labels or {}).get(c, c.replace("_", " ")) for c in causes]
    colours = style.colours(len(causes))
    if len(groups) == 1:
        return _single(known, causes, names, colours, horizon, title)
    return _panels(known, by, groups, causes, names, colours, horizon, title)


def _causes(frame: pd.DataFrame) -> list[str]:
    """The causes, the largest first, the small ones beyond seven as one."""
    last = frame.groupby("cause", observed=True)["incidence"].max().sort_values(ascending=False, kind="stable")
    names = [str(c) for c in last.index]
    return names if len(names) <= MOST_CAUSES else [*names[: MOST_CAUSES - 1], OTHERS]


def _levels(rows: pd.DataFrame, causes: Sequence[str], horizon: float) -> tuple[np.ndarray, np.ndarray]:
    """Tenures (m,) and the upper edges (C, m) of the areas."""
    wide = rows.pivot_table(index="tenure", columns="cause", values="incidence", aggfunc="first", observed=True)
    wide = wide[wide.index <= horizon].ffill().fillna(0.0)
    rest = [c for c in wide.columns if str(c) not in causes]
    if rest:
        wide[OTHERS] = wide[rest].sum(axis=1)
    values = np.array([wide[c].to_numpy(float) if c in wide else np.zeros(len(wide)) for c in causes])
    return wide.index.to_numpy(float), np.cumsum(values, axis=0)


def _draw(
    axes: Axes,
    rows: pd.DataFrame,
    causes: Sequence[str],
    colours: Sequence[str],
    horizon: float,
    *,
    hatched: bool = False,
) -> np.ndarray:
    """The areas, `hatched` where a legend names them; returns their upper edges where they end (C,)."""
    time, edges = _levels(rows, causes, horizon)
    lower = np.zeros(time.size)
    for upper, colour, hatch in zip(edges, colours, style.HATCHES):
        # A white edge parts neighbours for who cannot tell the colours apart.
        axes.fill_between(
            time, lower, upper, step="post", facecolor=colour, edgecolor="#ffffff80", linewidth=0,
            hatch=hatch if hatched else None,
        )  # fmt: skip
        axes.step(time, upper, where="post", color="white", linewidth=0.8)
        lower = upper
    axes.fill_between(time, lower, 1.0, step="post", color=RETAINED, linewidth=0)
    if time.size and time[-1] < 0.98 * horizon:
        axes.axvline(time[-1], color=style.SOFT, linewidth=0.8, linestyle=(0, (2, 2)))
    return edges[:, -1] if time.size else np.zeros(len(causes))


def _single(
    frame: pd.DataFrame, causes: list[str], names: list[str], colours: list[str], horizon: float, title: str
) -> Drawing:
    said = [style.shorten(n, 2.0) for n in [*names, "retained"]]
    right = max(map(style.text_width, said)) + 0.95
    figure = style.new_figure(0.8 + 5.4 + right, 3.1 + 0.62 + (0.42 if title else 0.15))
    axes = style.axes_in_inches(figure, 0.8, 0.62, 5.4, 3.1)
    ends = _draw(axes, frame, causes, colours, horizon)
    _axes(axes, horizon, "Share of customers")
    axes.set_title(title, pad=10)
    lower = np.concatenate(([0.0], ends))
    upper = np.concatenate((ends, [1.0]))
    places = style.spread(list((lower + upper) / 2), TALL, 0.02, 0.98)
    inks = [*[style.text_colour(c) for c in colours], style.SOFT]
    for low, high, place, name, ink in zip(lower, upper, places, said, inks):
        text = f"{name}  {100 * (high - low):.1f}%"
        axes.annotate(
            text, (1.0, (low + high) / 2), (1.035, float(place)), xycoords="axes fraction", textcoords="axes fraction",
            color=ink, va="center", ha="left", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": ink, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 0},
        )  # fmt: skip
    return figure


def _panels(
    frame: pd.DataFrame, by: str, groups: Sequence[Any], causes: list[str], names: list[str], colours: list[str],
    horizon: float, title: str,
) -> Drawing:  # fmt: skip
    shown = list(groups[:MOST_PANELS])
    columns = min(3 if len(shown) <= 9 else 4, len(shown))
    rows = math.ceil(len(shown) / columns)
    wide, tall, gap_x, gap_y, left, bottom = 2.35, 1.6, 0.3, 0.55, 0.8, 0.82
    keys = [
        Patch(facecolor=c, edgecolor="#ffffff80", linewidth=0, hatch=hatch, label=style.shorten(n, 1.7))
        for c, n, hatch in zip(colours, names, style.HATCHES)
    ]
    keys.append(Patch(facecolor=RETAINED, label="retained"))
    width = left + columns * wide + (columns - 1) * gap_x + 0.25
    per_row = max(1, int((width - left) // (max(style.text_width(str(k.get_label()), 8.5) for k in keys) + 0.55)))
    lines = math.ceil(len(keys) / per_row)
    top = 0.35 + 0.2 * lines + (0.28 if title else 0.05)
    figure = style.new_figure(width, bottom + rows * tall + (rows - 1) * gap_y + top)
    w, h = figure.get_size_inches()
    for i, group in enumerate(shown):
        r, c = divmod(i, columns)
        corner = (left + c * (wide + gap_x), bottom + (rows - 1 - r) * (tall + gap_y))
        axes = style.axes_in_inches(figure, *corner, wide, tall)
        _draw(axes, frame[frame[by] == group], causes, colours, horizon, hatched=True)
        style.percent_axis(axes)
        axes.set_xlim(0, horizon if horizon > 0 else 1)
        style.tenure_axis(axes, style.tenure_ticks(horizon, 5), label=False, days_below=False)
        axes.set_title(style.shorten(str(group), wide, 9, "bold"), fontsize=9, pad=4)
        if c:
            axes.set_yticklabels([])
    # Matplotlib fills columns first; readers read along lines.
    along = [keys[i] for c in range(per_row) for i in range(c, len(keys), per_row)]
    figure.legend(
        handles=along, loc="upper left", bbox_to_anchor=(left / w, 1 - (0.36 if title else 0.1) / h), ncols=per_row,
        borderpad=0, borderaxespad=0, handlelength=1.8, handleheight=1.0, columnspacing=1.4,
    )  # fmt: skip
    text = "Tenure in months of 30.4375 days" if horizon >= 70 else "Tenure in days"
    figure.text(left / w, 0.32 / h, text)
    if len(groups) > MOST_PANELS:
        missing = f"Not shown: the last {len(groups) - MOST_PANELS} of {len(groups)} cohorts"
        figure.text(left / w, 0.12 / h, missing, fontsize=8, color=style.SOFT)
    figure.text(0.08 / w, 0.5, "Share of customers", rotation=90, va="center")
    if title:
        figure.text(left / w, 1 - 0.1 / h, title, fontweight="bold", fontsize=9.5, va="top")
    return figure


def _axes(axes: Axes, horizon: float, ylabel: str) -> None:
    style.percent_axis(axes)
    axes.set_axisbelow(False)
    axes.grid(axis="y", alpha=0.35)
    axes.set_xlim(0, horizon if horizon > 0 else 1)
    style.tenure_axis(axes, style.tenure_ticks(horizon))
    axes.set_ylabel(ylabel)
