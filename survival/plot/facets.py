"""Small multiples of retention curves: one panel a cohort, the others in grey behind it, numbers at risk under it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from survival.plot import style
from survival.plot.curve import Curve, draw_curve
from survival.plot.style import Drawing

LINES_UP_TO = 12  # beyond, the range that all cohorts span stands behind each
MOST = 36
GRID = 60


def facets(
    everyone: list[Curve], numbers: list[list[str]] | None, ticks: np.ndarray, horizon: float, title: str, ylabel: str
) -> Drawing:
    """The figure: `numbers` has a row a curve and a text a tick (None: no risk table)."""
    shown = everyone[:MOST]
    columns, panel, most_ticks = (3, (2.35, 1.5), 5) if len(shown) <= 9 else (4, (1.85, 1.25), 4)
    rows = math.ceil(len(shown) / columns)
    gap_x, gap_y = 0.3, 0.72 if numbers else 0.5
    left, bottom, top = 0.95, 0.98 if numbers else 0.76, 0.62 if title else 0.3
    width = left + columns * panel[0] + (columns - 1) * gap_x + 0.25
    figure = style.new_figure(width, bottom + rows * panel[1] + (rows - 1) * gap_y + top)
    few = ticks[:: max(1, math.ceil(len(ticks) / most_ticks))]
    last = max(horizon, float(ticks.max(initial=0)))
    for i, curve in enumerate(shown):
        r, c = divmod(i, columns)
        corner = (left + c * (panel[0] + gap_x), bottom + (rows - 1 - r) * (panel[1] + gap_y))
        axes = style.axes_in_inches(figure, *corner, *panel)
        _crowd(axes, from_signup(everyone), horizon)
        draw_curve(axes, curve, solid=True, width=1.8)
        style.percent_axis(axes)
        axes.set_xlim(0, last if last > 0 else 1)
        style.tenure_axis(axes, few, label=False, days_below=False)
        axes.set_title(style.shorten(curve.label, panel[0], 9, "bold"), fontsize=9, pad=4)
        if c:
            axes.set_yticklabels([])
        if numbers:
            _numbers(axes, few, numbers[i][:: max(1, math.ceil(len(ticks) / most_ticks))], label=c == 0)
    _texts(figure, few, title, ylabel, left, numbers is not None, len(everyone), len(from_signup(everyone)))
    return figure


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


def _numbers(axes: Axes, ticks: np.ndarray, cells: Sequence[str], *, label: bool) -> None:
    for tick, cell in zip(ticks, cells):
        axes.annotate(
            cell, (tick, 0), (0, -17), xycoords=axes.get_xaxis_transform(), textcoords="offset points",
            ha="center", va="top", fontsize=7.5, color=style.INK, annotation_clip=False, gid="risk-table",
        )  # fmt: skip
    if label:
        axes.annotate(
            "at risk", (0, 0), (-17, -17), xycoords="axes fraction", textcoords="offset points", ha="right", va="top",
            fontsize=7.5, color=style.SOFT, annotation_clip=False,
        )  # fmt: skip


def _texts(
    figure: Drawing, ticks: np.ndarray, title: str, ylabel: str, left: float, table: bool, cohorts: int, crowd: int
) -> None:
    width, height = figure.get_size_inches()
    text = "Tenure in months of 30.4375 days" if style.by_month(ticks) else "Tenure in days"
    text += "; below: number at risk" if table else ""
    figure.text(left / width, 0.33 / height, text, ha="left")
    whose = "all cohorts" if crowd == cohorts else f"the {crowd} cohorts seen from the earliest tenure"
    grey = whose if crowd <= LINES_UP_TO else f"the range of {whose}"
    missing = f". Not shown: the last {cohorts - MOST} of {cohorts} cohorts" if cohorts > MOST else ""
    figure.text(left / width, 0.14 / height, f"Grey: {grey}{missing}", fontsize=8, color=style.SOFT, ha="left")
    figure.text(0.08 / width, 0.5, ylabel, rotation=90, va="center", ha="left")
    if title:
        figure.text(left / width, 1 - 0.12 / height, title, fontsize=9.5, fontweight="bold", va="top", ha="left")
