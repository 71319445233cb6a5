"""Definitions side by side: whom one loses and the other does too, and how many days apart."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle

from survival.plot import style
from survival.plot.cohort_triangle import SCALE
from survival.plot.numbers import count, percent
from survival.plot.style import Drawing

CELL_W, CELL_H = 1.35, 0.56
MOST_PAIRS = 15
SAME_DAY = "same day"
FIRST_SIDE = ("#0b3f7f", "#2f6ea8", "#73a6cf", "#b7d2e8")  # far to near, dark to light
SECOND_SIDE = ("#f3c9a5", "#e39a5d", "#c4651f", "#7a3206")  # near to far, light to dark
MIDDLE = "#e4e6e9"


@style.figure_function
def overlap_matrix(overlap: pd.DataFrame, *, labels: Mapping[str, str] | None = None, title: str = "") -> Drawing:
    """Of the customers lost under the row's definition, the share lost under the column's too.

    `overlap`: columns definition_a (row), definition_b (column), churned_a, churned_both: counts among customers at risk under
    both; a row whose definitions are the same has all that it loses. The darker the cell, the larger the share.
    """
    names = style.groups_in_order(overlap["definition_a"]) if len(overlap) else []
    if not names:
        return style.message("There are no definitions to compare.")
    said = [(labels or {}).get(str(n), str(n)) for n in names]
    words = [style.wrap(s, 1.9, 9) for s in said]
    corner = "Of those lost under …"
    left = (
        max(style.text_width(corner, 8.5), *(style.text_width(line) for word in words for line in word.split("\n")))
        + 0.25
    )
    heads = [style.wrap(s, CELL_W - 0.1, 8.5) for s in said]
    top = 0.62 + (0.15 if any("\n" in head for head in heads) else 0) + (0.3 if title else 0)
    n = len(names)
    figure = style.new_figure(max(left + n * CELL_W + 0.15, 5.2), n * CELL_H + top + 0.12)
    axes = style.axes_in_inches(figure, left, 0.12, n * CELL_W, n * CELL_H)
    axes.set_xlim(-0.5, n - 0.5)
    axes.set_ylim(n - 0.5, -0.5)
    axes.axis("off")
    for r in overlap.to_dict("records"):
        _cell(axes, names.index(r["definition_b"]), names.index(r["definition_a"]), r)
    w, h = figure.get_size_inches()
    for i, (word, head) in enumerate(zip(words, heads)):
        figure.text(
            (left - 0.12) / w, (0.12 + CELL_H * (n - i - 0.5)) / h, word, ha="right", va="center", linespacing=1.1
        )
        figure.text(
            (left + CELL_W * (i + 0.5)) / w, (0.19 + CELL_H * n) / h, head, ha="center", fontsize=8.5, linespacing=1.1
        )
    above = (0.19 + CELL_H * n + (0.34 if any("\n" in head for head in heads) else 0.19)) / h
    figure.text((left + 0.05) / w, above, "… also lost under", fontsize=8.5, color=style.SOFT)
    figure.text((left - 0.12) / w, above, corner, fontsize=8.5, color=style.SOFT, ha="right")
    if title:
        figure.text(0.1 / w, 1 - 0.1 / h, title, fontweight="bold", fontsize=9.5, va="top")
    return figure


def _cell(axes: mpl.axes.Axes, x: int, y: int, r: Mapping[str, object]) -> None:
    lost, both = float(r["churned_a"]), float(r["churned_both"])  # type: ignore[arg-type]
    share = both / lost if lost > 0 else float("nan")
    same = x == y
    colour = "#ffffff" if same or share != share else mpl.colors.to_hex(SCALE(share))
    edge = style.RULE if same else "white"
    axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=colour, edgecolor=edge, linewidth=0.8))
    ink = "white" if not same and share == share and style.lightness(colour) < 58 else style.INK
    if same:
        axes.text(
            x, y, f"{count(lost)}\nlost", ha="center", va="center", color=style.SOFT, fontsize=8.5, linespacing=1.2
        )
        return
    axes.text(x, y - 0.14, percent(share, 0), ha="center", va="center", color=ink, fontweight="bold", fontsize=10)
    axes.text(x, y + 0.23, f"{count(both)} of {count(lost)}", ha="center", va="center", color=ink, fontsize=7.5)


@style.figure_function
def days_apart(apart: pd.DataFrame, *, labels: Mapping[str, str] | None = None, title: str = "") -> Drawing:
    """Which definition dates the loss first, and by how many days, of customers lost under both: a bar a pair.

    `apart`: columns definition_a, definition_b, side ('a first', 'same day', 'b first'), days (the class, '' for the same day),
    customers. Classes keep the frame's order, on both sides the same. Bars are centred on the same day.
    """
    known = (
        apart[apart.groupby(["definition_a", "definition_b"])["customers"].transform("sum") > 0]
        if len(apart)
        else apart
    )
    if len(known) == 0:
        return style.message("Nobody was lost under two definitions.")
    pairs = list(dict.fromkeys(zip(known["definition_a"], known["definition_b"])))[:MOST_PAIRS]
    said = {n: (labels or {}).get(str(n), str(n)) for pair in pairs for n in pair}
    classes = [c for c in pd.unique(known["days"]) if c]
    wide = max(style.text_width(f"{said[n]} first", 8.5) for pair in pairs for n in pair) + 0.25
    bar, row, axis = 0.22, 0.42, 4.6
    top, bottom = 0.62 + (0.3 if title else 0), 0.5
    figure = style.new_figure(wide * 2 + axis + 0.85, bottom + row * len(pairs) + top)
    axes = style.axes_in_inches(figure, wide, bottom, axis, row * len(pairs))
    spans = [_bar(axes, known, pair, i, classes, bar / row) for i, pair in enumerate(pairs)]
    reach = min(1.0, max(0.3, *(abs(x) for low, high, _ in spans for x in (low, high))) * 1.04)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(len(pairs) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.axvline(0, color=style.SOFT, linewidth=0.8, zorder=0)
    step = 0.25 if reach > 0.5 else 0.1
    ticks = np.arange(-np.floor(reach / step), np.floor(reach / step) + 1) * step
    axes.set_xticks(ticks, labels=[f"{abs(100 * t):.0f}%" for t in ticks])
    axes.set_xlabel("Share of the customers lost under both (centred on the same day)")
    w, h = figure.get_size_inches()
    for i, ((a, b), (_, _, n)) in enumerate(zip(pairs, spans)):
        y = (bottom + row * (len(pairs) - i - 0.5)) / h
        figure.text((wide - 0.1) / w, y, f"{said[a]} first", ha="right", va="center", fontsize=8.5)
        figure.text((wide + axis + 0.1) / w, y, f"{said[b]} first", va="center", fontsize=8.5)
        figure.text(1 - 0.1 / w, y, count(n), va="center", ha="right", fontsize=8.5)
    figure.text(
        1 - 0.1 / w, (bottom + row * len(pairs) + 0.06) / h, "customers", ha="right", fontsize=8.5, color=style.SOFT
    )
    _key(figure, classes, wide, bottom + row * len(pairs) + 0.26, axis)
    if title:
        figure.text(0.1 / w, 1 - 0.1 / h, title, fontweight="bold", fontsize=9.5, va="top")
    return figure


def _colours(classes: list[str]) -> dict[tuple[str, str], str]:
    """Colours of (side, class): the further apart the days, the darker."""
    n = len(classes)
    near_to_far = list(reversed(FIRST_SIDE))
    pick = [round(i * 3 / max(n - 1, 1)) for i in range(n)]
    sides = {("a first", c): near_to_far[k] for c, k in zip(classes, pick)}
    return sides | {("b first", c): SECOND_SIDE[k] for c, k in zip(classes, pick)} | {(SAME_DAY, ""): MIDDLE}


def _bar(
    axes: mpl.axes.Axes, frame: pd.DataFrame, pair: tuple[str, str], y: int, classes: list[str], height: float
) -> tuple[float, float, float]:
    mine = frame[(frame["definition_a"] == pair[0]) & (frame["definition_b"] == pair[1])]
    n = float(mine["customers"].sum())
    share = {(r.side, r.days): float(r.customers) / n for r in mine.itertuples()}
    colours = _colours(classes)
    same = share.get((SAME_DAY, ""), 0.0)
    pieces = [(-same / 2, same, (SAME_DAY, ""))]
    low, high = -same / 2, same / 2
    for one in classes:
        low -= share.get(("a first", one), 0.0)
        pieces.append((low, share.get(("a first", one), 0.0), ("a first", one)))
        pieces.append((high, share.get(("b first", one), 0.0), ("b first", one)))
        high += share.get(("b first", one), 0.0)
    for start, size, kind in pieces:
        if size <= 0:
            continue
        axes.barh(y, size, left=start, height=height, color=colours[kind], edgecolor="white", linewidth=0.6)
        if size >= 0.08:
            ink = "white" if style.lightness(colours[kind]) < 58 else style.INK
            axes.text(start + size / 2, y, f"{100 * size:.0f}%", ha="center", va="center", fontsize=7.5, color=ink)
    return low, high, n


def _key(figure: Drawing, classes: list[str], left: float, y: float, axis: float) -> None:
    """The classes in the order in which the bars hold them."""
    w, h = figure.get_size_inches()
    colours = _colours(classes)
    order = [*(("a first", c) for c in reversed(classes)), (SAME_DAY, ""), *(("b first", c) for c in classes)]
    texts = [c or "same day" for _, c in order]
    widths = [style.text_width(t, 7.5) + 0.3 for t in texts]
    x = left + (axis - sum(widths)) / 2
    for kind, text, wide in zip(order, texts, widths):
        box = Rectangle((x / w, y / h), 0.13 / w, 0.11 / h, facecolor=colours[kind], transform=figure.transFigure)
        figure.add_artist(box)
        figure.text((x + 0.17) / w, (y + 0.055) / h, text, fontsize=7.5, va="center_baseline")
        x += wide
    middle = left + axis / 2
    figure.text(
        (middle - 0.5) / w, (y + 0.2) / h, "days earlier than the other", fontsize=7.5, color=style.SOFT, ha="right"
    )
    figure.text(
        (middle + 0.5) / w, (y + 0.2) / h, "days earlier than the other", fontsize=7.5, color=style.SOFT, ha="left"
    )
