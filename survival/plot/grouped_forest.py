"""Hazard ratios of several analyses under each covariate: definitions, subgroups, periods of tenure, sensitivity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from survival.plot import style
from survival.plot.forest import Row, covariate_label, ratio_axis
from survival.plot.numbers import NOT_ESTIMABLE, confidence, count, is_missing, p_value, ratio_with_interval
from survival.plot.style import Drawing

MARKERS = ("s", "o", "D", "^", "v", "P", "X")
LINE, HEAD, GAP = 0.192, 0.215, 0.06  # inches: a row, the covariate above its rows, the space before it
AXIS = 2.7
INDENT = 0.3
SIZE = 8.5


@dataclass(frozen=True)
class _Line:
    """One line of the figure: a covariate's name (no row), or a row with its numbers as text."""

    y: float
    text: str
    row: Row | None = None
    look: int = 0
    cells: tuple[str, ...] = ()
    said: str = ""
    group: str = ""


@style.figure_function
def grouped_forest(
    ratios: pd.DataFrame,
    *,
    row: str,
    group: str = "covariate",
    labels: Mapping[str, str] | None = None,
    row_labels: Mapping[str, str] | None = None,
    counts: Mapping[str, str] | None = None,
    notes: Mapping[str, str] | None = None,
    note_title: str = "",
    title: str = "",
    looks: bool = True,
    level: float = 0.95,
    more: str = "higher churn rate",
    less: str = "lower churn rate",
) -> Drawing:
    """Draw a forest plot with a block a covariate and a line an analysis.

    `ratios`: columns `group`, `row`, hazard_ratio, ci_lower, ci_upper, p, and where a line has no numbers `said`, the words that
    stand for them ('' or NA elsewhere). Blocks and lines keep the frame's order. `labels`, `row_labels`: what to call groups and
    rows. `counts`: column -> its title, written beside each line. `notes`: group -> text at the right of the covariate's own line
    (a test), under `note_title`. `looks`: the same row has the same colour and marker in every block; else all look alike.
    `level`: of the intervals.
    """
    if len(ratios) == 0:
        return style.message("No hazard ratio was estimated.")
    lines = _lines(ratios, group, row, labels or {}, row_labels or {}, list(counts or {}))
    return _draw(lines, list((counts or {}).values()), notes or {}, note_title, title, looks, (more, less), level)


def _lines(
    frame: pd.DataFrame,
    group: str,
    row: str,
    labels: Mapping[str, str],
    row_labels: Mapping[str, str],
    counted: list[str],
) -> list[_Line]:
    kinds = [str(k) for k in style.groups_in_order(frame[row])]
    lines: list[_Line] = []
    y = 0.0
    for one in style.groups_in_order(frame[group]):
        y += GAP if lines else 0
        called = style.name_beside(labels.get(str(one), covariate_label(str(one))), SIZE, "bold")
        lines.append(_Line(y + HEAD / 2, called, group=str(one)))
        y += HEAD
        for r in frame[frame[group] == one].to_dict("records"):
            name = str(r[row])
            values = tuple(
                float("nan") if is_missing(r[c]) else float(r[c]) for c in ("hazard_ratio", "ci_lower", "ci_upper", "p")
            )
            said = "" if is_missing(r.get("said")) else str(r["said"])
            text = style.name_beside(row_labels.get(name, name), SIZE)
            drawn = Row(text, {"": values})  # type: ignore[dict-item]
            cells = tuple(count(r[c]) for c in counted)
            lines.append(_Line(y + LINE / 2, text, drawn, kinds.index(name), cells, said))
            y += LINE
    return lines


def _draw(
    lines: list[_Line], titles: list[str], notes: Mapping[str, str], note_title: str, title: str, looks: bool,
    sides: tuple[str, str], level: float,
) -> Drawing:  # fmt: skip
    rows = [line for line in lines if line.row is not None]
    key = INDENT if looks else 0.12
    left = max(1.2, *(style.text_width(line.text, SIZE) + 0.12 + (key if line.row else 0) for line in lines)) + 0.2
    counts = [max(0.55, style.text_width(t, SIZE) + 0.15) for t in titles]
    numbers = [_text(line) for line in rows]
    wide = max(1.1, *(style.text_width(n) for n in numbers))
    last = 0.75
    noted = max([style.text_width(note_title, SIZE), *(style.text_width(n, SIZE) for n in notes.values())], default=0.0)
    noted += 0.25 if notes else 0
    top, bottom = 0.36 + (0.32 if title else 0), 0.68
    body = lines[-1].y + LINE / 2 + 0.06
    width = left + sum(counts) + AXIS + 0.2 + wide + last + noted + 0.1
    figure = style.new_figure(width, top + body + bottom)
    axes = style.axes_in_inches(figure, left + sum(counts) + 0.05, bottom, AXIS, body, facecolor="none")
    ratio_axis(axes, [line.row for line in rows if line.row is not None], *sides)
    axes.set_ylim(body, 0)
    _bands(figure, lines, body, bottom)
    for line in rows:
        _point(axes, line, looks)
    _texts(figure, lines, numbers, bottom + body, left, counts, looks)
    right = left + sum(counts) + AXIS + 0.25
    _heads(figure, titles, bottom + body, left, counts, right, wide + last, f"HR ({confidence(level)} CI)")
    if notes:
        _notes(figure, lines, notes, note_title, bottom + body, width)
    if title:
        figure.text(0.1 / width, 1 - 0.1 / figure.get_figheight(), title, fontweight="bold", fontsize=9.5, va="top")
    return figure


def _text(line: _Line) -> str:
    if line.said:
        return line.said
    values = line.row.values[""] if line.row else ()
    return ratio_with_interval(*values[:3])


def _bands(figure: Drawing, lines: Sequence[_Line], body: float, bottom: float) -> None:
    """A light band behind each covariate's own line, across the figure."""
    h = figure.get_figheight()
    for line in lines:
        if line.row is None:
            at = (0, (bottom + body - line.y - HEAD / 2) / h)
            band = Rectangle(at, 1, HEAD / h, facecolor="#f0f1f4", linewidth=0, zorder=-5, transform=figure.transFigure)
            figure.add_artist(band)


def _look(line: _Line, looks: bool) -> tuple[str, str]:
    place = line.look if looks else 0
    return style.NOMINAL[place % len(style.NOMINAL)], MARKERS[place % len(MARKERS)]


def _point(axes: Axes, line: _Line, looks: bool) -> None:
    assert line.row is not None
    centre, lower, upper, _ = line.row.values[""]
    if not np.isfinite(centre) or line.said:
        return
    colour, marker = _look(line, looks)
    low, high = axes.get_xlim()
    if np.isfinite(lower) and np.isfinite(upper):
        axes.plot([max(lower, low), min(upper, high)], [line.y, line.y], color=colour, linewidth=1.4, zorder=2)
        for limit, beyond, arrow in ((low, lower < low, "<"), (high, upper > high, ">")):
            if beyond:
                axes.plot([limit], [line.y], marker=arrow, color=colour, markersize=5, clip_on=False, zorder=3)
    axes.plot([centre], [line.y], marker=marker, color=colour, markersize=4.8, linestyle="none", zorder=3)


def _texts(
    figure: Drawing,
    lines: Sequence[_Line],
    numbers: Sequence[str],
    top: float,
    left: float,
    counts: Sequence[float],
    looks: bool,
) -> None:
    w, h = figure.get_size_inches()
    right = left + sum(counts) + AXIS + 0.25
    wide = max(1.1, *(style.text_width(n) for n in numbers))
    texts = iter(numbers)
    for line in lines:
        y = (top - line.y) / h
        if line.row is None:
            figure.text(0.1 / w, y, line.text, va="center_baseline", fontsize=SIZE, fontweight="bold")
            continue
        colour, marker = _look(line, looks)
        figure.text((0.1 + (INDENT if looks else 0.12)) / w, y, line.text, va="center_baseline", fontsize=SIZE)
        if looks:
            dot = Line2D(
                [0.24 / w],
                [y],
                marker=marker,
                color=colour,
                markersize=4.6,
                linestyle="none",
                transform=figure.transFigure,
            )
            figure.add_artist(dot)
        x = left
        for cell, column in zip(line.cells, counts):
            x += column
            figure.text((x - 0.08) / w, y, cell, va="center_baseline", ha="right", fontsize=SIZE)
        text = next(texts)
        soft = bool(line.said) or text == NOT_ESTIMABLE
        figure.text(right / w, y, text, va="center_baseline", fontsize=SIZE, color=style.SOFT if soft else style.INK)
        if not soft:
            p = p_value(line.row.values[""][3])
            figure.text((right + wide + 0.68) / w, y, p, va="center_baseline", ha="right", fontsize=SIZE)


def _heads(
    figure: Drawing,
    titles: Sequence[str],
    top: float,
    left: float,
    counts: Sequence[float],
    right: float,
    wide: float,
    ratios: str,
) -> None:
    w, h = figure.get_size_inches()
    y = (top + 0.1) / h
    x = left
    for text, column in zip(titles, counts):
        x += column
        figure.text((x - 0.08) / w, y, text, fontsize=SIZE, color=style.SOFT, ha="right")
    figure.text(right / w, y, ratios, fontsize=SIZE, color=style.SOFT)
    figure.text((right + wide - 0.07) / w, y, "p", fontsize=SIZE, color=style.SOFT, ha="right")


def _notes(
    figure: Drawing, lines: Sequence[_Line], notes: Mapping[str, str], note_title: str, top: float, width: float
) -> None:
    h = figure.get_figheight()
    figure.text((width - 0.12) / width, (top + 0.1) / h, note_title, fontsize=SIZE, color=style.SOFT, ha="right")
    for line in lines:
        if line.row is None and line.group in notes:
            figure.text(
                (width - 0.12) / width,
                (top - line.y) / h,
                notes[line.group],
                va="center_baseline",
                ha="right",
                fontsize=SIZE,
            )
