"""Restricted means by cohort, and what each keeps more than the first: a forest of days."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from survival.plot import style
from survival.plot.numbers import MISSING, confidence, count, decimal, is_missing, p_value
from survival.plot.style import Drawing

ROW, AXIS = 0.3, 2.9
MOST = 40


@style.figure_function
def rmst_forest(
    means: pd.DataFrame, differences: pd.DataFrame | None = None, *, by: str = "by", title: str = "", unit: str = "days"
) -> Drawing:
    """Draw `rmst(...).tidy()`, and with `.differences().tidy()` each pair below it.

    `means`: columns `by`, horizon, rmst, ci_lower, ci_upper. `differences`: cohort_a, cohort_b, difference, ci_lower,
    ci_upper, p_adjusted (p without it); drawn on an axis of their own around 0. A mean that is not known is a row that says so.
    """
    if means.empty:
        return style.message("There is no group whose mean tenure could be drawn.")
    horizon = float(means["horizon"].iloc[0])
    upper = [
        _row(str(g), v, lo, hi) for g, v, lo, hi in zip(means[by], means["rmst"], means["ci_lower"], means["ci_upper"])
    ]
    lower = [] if differences is None else _pairs(differences)
    left_out = max(len(upper) - MOST, 0) + max(len(lower) - MOST, 0)
    upper, lower = upper[:MOST], lower[:MOST]
    names = [style.wrap(row[0], 2.6, 8.5) for row in upper + lower]
    left = max(1.0, max(style.text_width(line, 8.5) for name in names for line in name.split("\n"))) + 0.3
    wide = max(1.3, max(style.text_width(row[4]) for row in upper + lower)) + 0.15
    right = wide + (0.75 if lower else 0.1)
    between = 0.85 if lower else 0.0
    top, bottom = 0.35 + (0.32 if title else 0), 0.62 + (0.2 if left_out else 0)
    figure = style.new_figure(left + AXIS + 0.2 + right, top + bottom + between + ROW * (len(upper) + len(lower)))
    place = bottom + between + ROW * len(lower)
    _panel(figure, upper, names[: len(upper)], left, place, zero=False)
    heading = f"Mean {unit} kept of {count(horizon)}"
    interval = f"{unit} ({_level(means)})"
    _headings(figure, left, place + ROW * len(upper), heading, interval, "")
    if lower:
        _panel(figure, lower, names[len(upper) :], left, bottom, zero=True)
        p = "adj. p" if differences is not None and "p_adjusted" in differences else "p"
        _headings(figure, left, bottom + ROW * len(lower), f"Difference in {unit}", interval, p)
    w, h = figure.get_size_inches()
    if left_out:
        figure.text(0.1 / w, 0.08 / h, f"Not shown: the last {left_out} rows", fontsize=7.5, color=style.SOFT)
    if title:
        figure.text(0.1 / w, 1 - 0.1 / h, title, fontweight="bold", fontsize=9.5, va="top")
    return figure


def _level(means: pd.DataFrame) -> str:
    """Of the intervals: of the frame's column `level`; frames without one are at 95 %."""
    return f"{confidence(float(means['level'].iloc[0]) if 'level' in means else 0.95)} CI"


def _row(
    label: str, value: object, low: object, high: object, p: object = ""
) -> tuple[str, float, float, float, str, str]:
    if is_missing(value):
        return (label, np.nan, np.nan, np.nan, "not known", "")
    v, lo, hi = float(value), float(low), float(high)  # type: ignore[arg-type]
    text = f"{decimal(v, 1)} ({decimal(lo, 1)} to {decimal(hi, 1)})"
    shown = "" if p == "" else MISSING if is_missing(p) else p_value(float(p))  # type: ignore[arg-type]
    return (label, v, lo, hi, text, shown)


def _pairs(differences: pd.DataFrame) -> list[tuple[str, float, float, float, str, str]]:
    p = differences["p_adjusted" if "p_adjusted" in differences else "p"]
    columns = (differences[c] for c in ("cohort_a", "cohort_b", "difference", "ci_lower", "ci_upper"))
    return [_row(f"{b} minus {a}", v, lo, hi, q) for a, b, v, lo, hi, q in zip(*columns, p)]


def _panel(
    figure: Drawing,
    rows: Sequence[tuple[str, float, float, float, str, str]],
    names: Sequence[str],
    left: float,
    bottom: float,
    *,
    zero: bool,
) -> None:
    w, h = figure.get_size_inches()
    for number in range(0, len(rows), 2):
        y = bottom + ROW * (len(rows) - number - 1)
        figure.add_artist(
            Rectangle((0, y / h), 1, ROW / h, facecolor="#f4f5f7", linewidth=0, zorder=-5, transform=figure.transFigure)
        )
    axes = style.axes_in_inches(figure, left, bottom, AXIS, ROW * len(rows), facecolor="none")
    _axis(axes, rows, zero=zero)
    colour, marker = (style.ON, "D") if zero else (style.NOMINAL[0], "s")
    for y, (_, value, low, high, _, _) in enumerate(rows):
        if np.isfinite(value):
            axes.plot([low, high], [y, y], color=colour, linewidth=1.4, zorder=2)
            axes.plot([value], [y], marker=marker, color=colour, markersize=5 if not zero else 4.4, zorder=3)
    for number, (row, name) in enumerate(zip(rows, names)):
        y = (bottom + ROW * (len(rows) - number - 0.5)) / h
        figure.text(0.1 / w, y, name, va="center", fontsize=8.5, linespacing=1.1)
        ink = style.INK if np.isfinite(row[1]) else style.SOFT
        figure.text((left + AXIS + 0.2) / w, y, row[4], va="center", color=ink)
        figure.text(1 - 0.1 / w, y, row[5], va="center", ha="right")


def _axis(axes: Axes, rows: Sequence[tuple[str, float, float, float, str, str]], *, zero: bool) -> None:
    seen = [x for row in rows for x in row[1:4] if np.isfinite(x)] or [0.0, 1.0]
    low, high = min([*seen, *([0.0] if zero else [])]), max([*seen, *([0.0] if zero else [])])
    pad = 0.06 * max(high - low, 1e-6)
    axes.set_xlim(low - pad, high + pad)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda x, _: decimal(x, 0) if abs(x - round(x)) < 1e-9 else decimal(x, 1))
    axes.grid(axis="x", zorder=0)
    if zero:
        axes.axvline(0, color=style.SOFT, linewidth=0.9, zorder=1)


def _headings(figure: Drawing, left: float, top: float, axis: str, numbers: str, p: str) -> None:
    w, h = figure.get_size_inches()
    for x, text, align in ((left, axis, "left"), (left + AXIS + 0.2, numbers, "left"), (w - 0.1, p, "right")):
        figure.text(x / w, (top + 0.1) / h, text, fontsize=8.5, color=style.SOFT, ha=align)
