"""The calendar beside a cohort triangle: months in which more, or fewer, leave than their tenures explain."""

from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from survival.plot import style
from survival.plot.style import Drawing

# Fewer than expected: blue; more: brown. White where they agree. The far ends differ in hue; number and bar say the direction.
FEWER_MORE = LinearSegmentedColormap.from_list("fewer_more", ["#0b3f7f", "#73a6cf", "#ffffff", "#e39a5d", "#7a3206"])
WIDEST = math.log(3)  # of the colours: a third to three times what was expected
FEWEST = 5.0  # churns expected in a month below which its ratio is noise
CELL, ROW = 0.36, 0.27  # inches
HEIGHT = 1.02  # of the strip with its words
LETTERS = "JFMAMJJASOND"


@style.figure_function
def calendar_strip(months: pd.DataFrame, *, title: str = "") -> Drawing:
    """Draw the strip by itself.

    `months`: columns period (2024-03), expected (churns), ratio (observed over expected), ci_lower, ci_upper, in any order. A month
    whose interval excludes 1 is framed, its number bold; one with fewer than five expected has a dot, no number.
    """
    if len(months) == 0:
        return style.message("There is no calendar to draw.")
    width = max(CELL * len(_span(months)), 4.2)
    figure = style.new_figure(0.25 + width + 0.2, HEIGHT + 0.1 + (0.3 if title else 0))
    draw_strip(figure, months, 0.25, 0.1, width)
    if title:
        w, h = figure.get_size_inches()
        figure.text(0.12 / w, 1 - 0.1 / h, title, fontweight="bold", fontsize=9.5, va="top")
    return figure


def draw_strip(figure: Drawing, months: pd.DataFrame, left: float, bottom: float, width: float) -> Axes:
    """Draw the strip into a figure, in inches from its lower left corner; months narrower than their number go without it."""
    span = _span(months)
    cell = min(CELL, width / len(span))
    axes = style.axes_in_inches(figure, left, bottom + 0.34, cell * len(span), ROW)
    axes.set_gid("calendar-strip")
    axes.set_xlim(-0.5, len(span) - 0.5)
    axes.set_ylim(0, 1)
    axes.axis("off")
    for r in months.to_dict("records"):
        _month(axes, span.index(str(r["period"])), r, cell)
    for i, month in enumerate(span):
        axes.text(i, 1.12, LETTERS[int(month[5:7]) - 1], ha="center", va="bottom", fontsize=7, color=style.SOFT)
        if month.endswith("-01") or i == 0:
            axes.annotate(
                month[:4],
                (i - 0.5, 0),
                (1, -3),
                textcoords="offset points",
                va="top",
                fontsize=7.5,
                annotation_clip=False,
            )
            axes.plot([i - 0.5, i - 0.5], [-0.35, 1.0], color=style.SOFT, linewidth=0.7, clip_on=False)
    w, h = figure.get_size_inches()
    figure.text(
        left / w, (bottom + 0.34 + ROW + 0.19) / h, "By calendar month: churns, as a multiple of what tenure alone makes expect",
        fontsize=8.5,
    )  # fmt: skip
    _key(figure, left, bottom)
    return axes


def _span(months: pd.DataFrame) -> list[str]:
    """Every month from the first to the last, those without a row too."""
    periods = pd.period_range(min(months["period"]), max(months["period"]), freq="M")
    return [str(p) for p in periods]


def _month(axes: Axes, x: int, r: dict, cell: float) -> None:
    ratio = float(r["ratio"])
    if not np.isfinite(ratio):
        return
    if float(r["expected"]) < FEWEST:
        axes.text(x, 0.5, "·", ha="center", va="center", fontsize=12, color=style.SOFT)
        return
    place = 0.5 + 0.5 * float(np.clip(math.log(max(ratio, 1e-9)) / WIDEST, -1, 1))
    colour = mpl.colors.to_hex(FEWER_MORE(place))
    clear = float(r["ci_lower"]) > 1 or float(r["ci_upper"]) < 1
    box = Rectangle((x - 0.5, 0), 1, 1, facecolor=colour, edgecolor=style.RULE, linewidth=0.6)
    axes.add_patch(box)
    if f"{ratio:.1f}" != "1.0":  # the direction for who cannot tell brown from blue
        level = 0.9 if ratio > 1 else 0.1
        axes.plot(
            [x - 0.3, x + 0.3], [level, level], color=style.INK, linewidth=1.6, solid_capstyle="butt", gid="direction"
        )
    if clear:
        axes.add_patch(Rectangle((x - 0.46, 0.05), 0.92, 0.9, fill=False, edgecolor=style.INK, linewidth=1.1, zorder=3))
    if cell >= 0.25:
        ink = "white" if style.lightness(colour) < 58 else style.INK
        weight = "bold" if clear else "normal"
        axes.text(x, 0.5, f"{ratio:.1f}", ha="center", va="center_baseline", fontsize=7, color=ink, fontweight=weight)


def _key(figure: Drawing, left: float, bottom: float) -> None:
    w, h = figure.get_size_inches()
    box = Rectangle((left / w, (bottom + 0.02) / h), 0.16 / w, 0.11 / h, fill=False, edgecolor=style.INK, linewidth=1.1)
    box.set_transform(figure.transFigure)
    figure.add_artist(box)
    text = "interval excludes 1. Brown, bar on top: more than expected; blue, bar below: fewer. Dot: under 5 expected"
    figure.text((left + 0.23) / w, (bottom + 0.075) / h, text, fontsize=7.5, va="center_baseline", color=style.SOFT)
