"""Small multiples of retention curves: one panel a cohort, the others in grey behind it, numbers at risk under it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from survival.plot import style
from survival.plot.curve import Curve, draw_curve
from survival.plot.curve_notes import corner_text, median_lines
from survival.plot.curve_options import CurveOptions
from survival.plot.risk_table import SHORT, Block, shown_ticks
from survival.plot.style import Drawing

LINES_UP_TO = 12  # beyond, the range that all cohorts span stands behind each
MOST = 36
GRID = 60
LINE = 0.145  # inches from a row of numbers to the next


def facets(
    everyone: list[Curve], blocks: Sequence[Block], ticks: np.ndarray, horizon: float, title: str, ylabel: str,
    how: CurveOptions, words: Sequence[str] = (), medians: Sequence[float] | None = None,
) -> Drawing:  # fmt: skip
    """The figure: `blocks` are the tables under each panel, `words` the tests in a line below all, `medians` a tenure a curve."""
    shown = everyone[:MOST]
    columns, panel = (3, (2.35, 1.5)) if len(shown) <= 9 else (4, (1.85, 1.25))
    rows = math.ceil(len(shown) / columns)
    gap_x, gap_y = 0.3, 0.5 + (0.22 + LINE * (len(blocks) - 1) if blocks else 0.0)
    left, bottom, top = 0.95, gap_y + 0.26 + (0.19 if words else 0.0), 0.62 if title else 0.3
    width = left + columns * panel[0] + (columns - 1) * gap_x + 0.25
    figure = style.new_figure(width, bottom + rows * panel[1] + (rows - 1) * gap_y + top)
    last = max(horizon, float(ticks.max(initial=0)))
    few = _few(blocks, ticks, how, panel[0], last, 5 if columns == 3 else 4)
    for i, curve in enumerate(shown):
        r, c = divmod(i, columns)
        corner = (left + c * (panel[0] + gap_x), bottom + (rows - 1 - r) * (panel[1] + gap_y))
        axes = style.axes_in_inches(figure, *corner, *panel)
        _crowd(axes, from_signup(everyone), horizon)
        draw_curve(axes, curve, band=how.band != "none", solid=True, width=1.8)
        style.percent_axis(axes, scale=how.scale)
        axes.set_xlim(0, last if last > 0 else 1)
        how.draw_axis(axes, ticks[few], ticks, label=False, days_below=False)
        axes.set_title(style.shorten(curve.label, panel[0], 9, "bold"), fontsize=9, pad=4)
        if c:
            axes.set_yticklabels([])
        if medians is not None:
            _, more = median_lines(axes, [curve], [curve.label], [medians[i]], how, panel[0])
            corner_text(axes, more, [curve], [], panel[0])
        for line, block in enumerate(blocks):
            _numbers(axes, ticks[few], [block.cells[i][j] for j in few], SHORT[block.row], line, label=c == 0)
    below = "; below: " + ", ".join(SHORT[b.row] for b in blocks) if blocks else ""
    _texts(figure, how.axis_words(ticks[few]) + below, title, ylabel, left, everyone, words)
    return figure


def _few(
    blocks: Sequence[Block], ticks: np.ndarray, how: CurveOptions, width: float, last: float, most: int
) -> np.ndarray:
    """The ticks (indices) that a small panel has room for: every second, third, …"""
    if how.unit is None and how.breaks is None:
        return np.arange(0, len(ticks), max(1, math.ceil(len(ticks) / most)))
    return shown_ticks(blocks, ticks, how.written(ticks), width, last)


def from_signup(everyone: list[Curve]) -> list[Curve]:
    """The curves that start first. Those of cohorts that enter late start at 1 later, and would lift the range of the others."""
    first = min(float(c.tenure[0]) for c in everyone)
    return [c for c in everyone if float(c.tenure[0]) == first]


def _crowd(axes: Axes, everyone: list[Curve], horizon: float) -> None:
    """The other cohorts behind one: thin grey lines, or, where they are many, the range they span."""
    grid = np.linspace(0, horizon, GRID)
    values = np.array([c.at(grid) for c in everyone])
    if len(everyone) <= LINES_UP_TO:
        axes.plot(grid, values.T, color=style.GHOST, linewidth=0.6)
        return
    some = ~np.all(np.isnan(values), axis=0)
    low, high = np.nanmin(values[:, some], axis=0), np.nanmax(values[:, some], axis=0)
    axes.fill_between(grid[some], low, high, color="#dfe2e5", linewidth=0)


def _numbers(axes: Axes, ticks: np.ndarray, cells: Sequence[str], row: str, line: int, *, label: bool) -> None:
    down = -17 - 72 * LINE * line
    for tick, cell in zip(ticks, cells):
        axes.annotate(
            cell, (tick, 0), (0, down), xycoords=axes.get_xaxis_transform(), textcoords="offset points",
            ha="center", va="top", fontsize=7.5, color=style.INK, annotation_clip=False,
            gid="risk-table" if row == "at risk" else f"{row}-table",
        )  # fmt: skip
    if label:
        axes.annotate(
            row, (0, 0), (-17, down), xycoords="axes fraction", textcoords="offset points", ha="right", va="top",
            fontsize=7.5, color=style.SOFT, annotation_clip=False,
        )  # fmt: skip


def _texts(
    figure: Drawing, axis: str, title: str, ylabel: str, left: float, everyone: Sequence[Curve], words: Sequence[str]
) -> None:
    width, height = figure.get_size_inches()
    cohorts, crowd = len(everyone), len(from_signup(list(everyone)))
    figure.text(left / width, (0.33 + (0.19 if words else 0.0)) / height, axis, ha="left")
    if words:
        figure.text(left / width, 0.33 / height, "; ".join(words), ha="left", gid="tests")
    whose = "all cohorts" if crowd == cohorts else f"the {crowd} cohorts seen from the earliest tenure"
    grey = whose if crowd <= LINES_UP_TO else f"the range of {whose}"
    missing = f". Not shown: the last {cohorts - MOST} of {cohorts} cohorts" if cohorts > MOST else ""
    figure.text(left / width, 0.14 / height, f"Grey: {grey}{missing}", fontsize=8, color=style.SOFT, ha="left")
    figure.text(0.08 / width, 0.5, ylabel, rotation=90, va="center", ha="left")
    if title:
        figure.text(left / width, 1 - 0.12 / height, title, fontsize=9.5, fontweight="bold", va="top", ha="left")
