"""The cohort triangle: retention of each cohort after each month of tenure, as a heat map with its numbers."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke

from survival.plot import style
from survival.plot.calendar_strip import HEIGHT, draw_strip
from survival.plot.numbers import count
from survival.plot.style import Drawing

# White to dark blue, even in lightness: in grey it still reads as low to high.
SCALE = LinearSegmentedColormap.from_list(
    "retention", ["#f4f8fc", "#c3daee", "#7fb1d9", "#3b7fb9", "#0b3f7f", "#06244a"]
)
INCOMPLETE: dict[str, Any] = {
    "facecolor": "white",
    "edgecolor": "#c3c8ce",
    "hatch": "//////",
    "linewidth": 0.0,
}  # no colour of the scale
HALO = [Stroke(linewidth=2.2, foreground="white"), Normal()]
MONTHS_WITH_INTERVALS = 16
WITH_INTERVALS = "interval, n at risk at the start"


@style.figure_function
def cohort_triangle(
    cells: pd.DataFrame,
    *,
    mask_below: float = 10,
    title: str = "",
    cohort_name: str = "Cohort",
    calendar: pd.DataFrame | None = None,
    intervals: bool = False,
) -> Drawing:
    """Draw the triangle.

    `cells`: one row a cell, columns cohort, customers (of the cohort), month (whole months of tenure, 30.4375 days each),
    at_risk (at the start of the cell), retention (at its end), complete (False when some of the cohort could not be observed
    until then: the cell is hatched). Cells with fewer than `mask_below` at risk hold no number, those with nobody are
    blank. Colours span the retention seen. `calendar`: months for a strip below (see `calendar_strip`): what hits all cohorts at
    once lies on a diagonal of the triangle, and stands out there. `intervals`: a second line in each cell with the limits, from
    columns ci_lower and ci_upper, and a third with the number at risk; for triangles of at most 16 months.
    """
    cells = cells.dropna(subset=["month"]) if len(cells) else cells
    cohorts = style.groups_in_order(cells["cohort"]) if len(cells) else []
    if not cohorts:
        return style.message("There is no cohort to draw.")
    months = list(range(int(cells["month"].min()), int(cells["month"].max()) + 1))
    width = 0.42 if len(months) <= 16 else 0.36 if len(months) <= 26 else 0.3
    height, size = (0.27, 8) if len(months) <= 16 else (0.25, 7) if len(months) <= 26 else (0.22, 6)
    intervals = intervals and len(months) <= MONTHS_WITH_INTERVALS
    width, height = (0.5, 0.44) if intervals else (width, height)
    names = [style.shorten(str(c), 1.9) for c in cohorts]
    n_width = 0.75
    left = max([*map(style.text_width, names), style.text_width(cohort_name, 8.5, "bold") + 0.05]) + 0.25 + n_width
    top = 0.52 + (0.3 if title else 0)
    body_w, body_h = width * len(months), height * len(cohorts)
    legend_w = 4.6
    strip = HEIGHT + 0.12 if calendar is not None and len(calendar) else 0.0
    width_in = max(left + body_w + 0.2, 0.25 + legend_w + 0.6, 5.6 if strip else 0)
    figure = style.new_figure(width_in, 0.72 + strip + body_h + top)
    axes = style.axes_in_inches(figure, left, 0.72 + strip, body_w, body_h)
    span = _span(cells, mask_below)
    _cells(axes, cells, cohorts, mask_below, span, size, intervals)
    _frame(axes, cells, cohorts, names, months, left, body_w, n_width, cohort_name, WITH_INTERVALS * intervals)
    _legend(figure, span, mask_below, strip)
    if calendar is not None and strip:
        draw_strip(figure, calendar, 0.25, 0.1, width_in - 0.45)
    if title:
        w, h = figure.get_size_inches()
        figure.text(0.12 / w, 1 - 0.1 / h, title, fontweight="bold", fontsize=9.5, va="top")
    return figure


def _span(cells: pd.DataFrame, mask_below: float) -> tuple[float, float]:
    """Colours from the lowest to the highest retention seen, rounded outward to 10 %."""
    seen = cells.loc[cells["at_risk"] >= mask_below, "retention"].dropna()
    if seen.empty:
        return 0.0, 1.0
    low = np.floor(10 * float(seen.min()) + 1e-9) / 10
    return min(low, 0.9), 1.0


def _cells(
    axes: Axes, cells: pd.DataFrame, cohorts: list, mask_below: float, span: tuple[float, float], size: float,
    intervals: bool,
) -> None:  # fmt: skip
    norm = Normalize(*span)
    row_of = {c: i for i, c in enumerate(cohorts)}
    for r in cells.to_dict("records"):
        n, value, complete = r["at_risk"], r["retention"], r["complete"]
        if not n > 0:  # nobody was observed there: nothing to show, nothing to hide
            continue
        x, y = int(r["month"]), row_of[r["cohort"]]
        small = not n >= mask_below or value != value
        colour = SCALE(norm(value)) if complete and not small else "white"
        if not small and not complete:
            axes.add_patch(Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, gid="incomplete", **INCOMPLETE))
        else:
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=0.8))
        if small:
            axes.text(x, y, "·", ha="center", va="center", fontsize=size + 5, color=style.SOFT)
            continue
        dark = bool(complete) and style.lightness(mpl.colors.to_hex(colour)) < 58
        ink, halo = ("white", None) if dark else (style.INK, None) if complete else (style.INK, HALO)
        top = y - 0.24 if intervals else y
        axes.text(x, top, f"{100 * value:.0f}", ha="center", va="center", fontsize=size, color=ink, path_effects=halo)
        if intervals:
            axes.text(x, y + 0.08, _limits(r), ha="center", va="center", fontsize=5.5, color=ink, path_effects=halo)
            axes.text(
                x, y + 0.34, f"n {count(n)}", ha="center", va="center", fontsize=5.5, color=ink, path_effects=halo
            )


def _limits(r: dict) -> str:
    low, high = float(r["ci_lower"]), float(r["ci_upper"])
    return "" if low != low or high != high else f"{100 * low:.0f}–{100 * high:.0f}"


def _frame(
    axes: Axes, cells: pd.DataFrame, cohorts: list, names: list[str], months: list[int], left: float, body_w: float,
    n_width: float, cohort_name: str, intervals: str = "",
) -> None:  # fmt: skip
    axes.set_xlim(months[0] - 0.5, months[-1] + 0.5)
    axes.set_ylim(len(cohorts) - 0.5, -0.5)
    axes.xaxis.tick_top()
    every = 1 if len(months) <= 26 else 2
    axes.set_xticks(months[::every], labels=[str(m) for m in months[::every]])
    axes.set_yticks([])
    axes.tick_params(length=0, pad=2)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.xaxis.set_label_position("top")
    said = "Tenure (months of 30.4375 days); cells: % retained" + (f", {intervals}" if intervals else "")
    axes.set_xlabel(said, labelpad=4, loc="left")
    sizes = cells.groupby("cohort", observed=True)["customers"].first()
    per_inch = 1 / body_w
    start, end = -(left - 0.12) * per_inch, -0.14 * per_inch
    for i, (cohort, name) in enumerate(zip(cohorts, names)):
        axes.text(start, i, name, transform=axes.get_yaxis_transform(), va="center", ha="left")
        axes.text(
            end,
            i,
            count(sizes[cohort]),
            transform=axes.get_yaxis_transform(),
            va="center",
            ha="right",
            color=style.SOFT,
        )
    for x, text, align in ((start, cohort_name, "left"), (end, "customers", "right")):
        axes.annotate(
            text, (x, 1), (0, 4), xycoords="axes fraction", textcoords="offset points", ha=align, va="bottom",
            fontsize=8.5, fontweight="bold" if align == "left" else "normal", annotation_clip=False,
        )  # fmt: skip


def _legend(figure: Drawing, span: tuple[float, float], mask_below: float, above: float) -> None:
    low, high = span
    bar = style.axes_in_inches(figure, 0.25, above + 0.34, 1.7, 0.12)
    bar.imshow(np.linspace(0, 1, 64)[None, :], aspect="auto", cmap=SCALE, extent=(low, high, 0, 1))
    bar.set_yticks([])
    ticks = [low, (low + high) / 2, high]
    bar.set_xticks(ticks, labels=[f"{100 * t:.0f}%" for t in ticks], fontsize=7.5)
    for spine in bar.spines.values():
        spine.set_visible(False)
    bar.tick_params(length=2, pad=1)
    w, h = figure.get_size_inches()
    box = Rectangle((2.3 / w, (above + 0.34) / h), 0.2 / w, 0.12 / h, transform=figure.transFigure, **INCOMPLETE)
    figure.add_artist(box)
    figure.text(2.56 / w, (above + 0.4) / h, "not all observed until then", fontsize=7.5, va="center")
    figure.text(2.4 / w, (above + 0.19) / h, "·", fontsize=13, va="center", ha="center", color=style.SOFT)
    figure.text(2.56 / w, (above + 0.19) / h, f"fewer than {count(mask_below)} at risk", fontsize=7.5, va="center")
