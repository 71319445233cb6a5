"""The table under retention curves: numbers at risk, churned and censored so far, each under its tick.

survminer's `risk.table`, `cumevents` and `cumcensor`. At every tenure and for every group entered = at risk + churned + censored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from survival.errors import ArgumentError
from survival.plot import style
from survival.plot.curve import Curve
from survival.plot.numbers import count
from survival.plot.style import Drawing

ROW, HEAD, GAP = 0.19, 0.21, 0.1  # inches: a row, the title of a block, what is free below and between blocks
TITLES = {"at_risk": "Number at risk", "churned": "Number churned so far", "censored": "Number censored so far"}
SHORT = {"at_risk": "at risk", "churned": "churned", "censored": "censored"}


@dataclass(frozen=True)
class Block:
    """One table: what it counts, and a text for each group and tick."""

    row: str
    cells: tuple[tuple[str, ...], ...]


def numbers(
    curves: pd.DataFrame,
    at_risk: pd.DataFrame | None,
    by: str,
    groups: Sequence[Any],
    ticks: np.ndarray,
    rows: Sequence[str],
) -> list[Block]:
    """The blocks asked for, in that order.

    `at_risk`: columns `by`, tenure and at_risk (churned, censored); what it lacks is counted from `curves`, which then need
    the columns entered, events, censored (as retention.csv). Raises ArgumentError where neither has them.
    """
    return [Block(row, _cells(curves, at_risk, by, groups, ticks, row)) for row in rows]


def _cells(
    curves: pd.DataFrame, at_risk: pd.DataFrame | None, by: str, groups: Sequence[Any], ticks: np.ndarray, row: str
) -> tuple[tuple[str, ...], ...]:
    if at_risk is not None and row in at_risk:
        known = {(g, float(t)): n for g, t, n in zip(at_risk[by], at_risk["tenure"], at_risk[row])}
        return tuple(tuple(count(known[g, t]) if (g, t) in known else "" for t in map(float, ticks)) for g in groups)
    missing = [c for c in ("entered", "events", "censored") if c not in curves]
    if missing:
        raise ArgumentError(
            f"rows: {row} is counted from the columns entered, events and censored of the curves; {', '.join(missing)} is not there. "
            "Draw the frame of `Curves.tidy()`, or give the numbers."
        )
    return tuple(tuple(count(n) for n in _so_far(curves[curves[by] == group], ticks, row)) for group in groups)


def _so_far(rows: pd.DataFrame, ticks: np.ndarray, row: str) -> np.ndarray:
    """Customers by the close of each tick (m,): at risk then (start <= t < stop), churned or censored until then."""
    rows = rows.sort_values("tenure", kind="stable")
    entered, churned, censored = (rows[c].to_numpy(float) for c in ("entered", "events", "censored"))
    steps = {"churned": churned, "censored": censored}.get(row, entered - churned - censored)
    total = np.concatenate(([0.0], np.cumsum(steps)))
    # A tick within a millionth of a tenure in the data is that tenure.
    found = np.searchsorted(rows["tenure"].to_numpy(float), ticks * (1 + 1e-9) + 1e-6, side="right")
    return np.round(total[found], 6)


def shown_ticks(
    blocks: Sequence[Block], ticks: np.ndarray, labels: Sequence[str], width: float, last: float
) -> np.ndarray:
    """Which ticks (indices) have room for their label and their numbers on an axis of `width` inches that ends at `last`."""
    if not len(ticks):
        return np.zeros(0, dtype=int)
    texts = [*labels, *(cell for block in blocks for line in block.cells for cell in line)]
    widest = max((style.text_width(text, 8.5) for text in texts), default=0.0) + 0.1
    kept = [0]
    for i in range(1, len(ticks)):
        if (ticks[i] - ticks[kept[-1]]) * width / max(last, 1e-9) >= widest:
            kept.append(i)
    return np.array(kept)


def height(blocks: Sequence[Block], groups: int) -> float:
    """Inches that the blocks take below the axis' own words."""
    return sum(HEAD + ROW * groups for _ in blocks) + GAP * len(blocks)


def first_width(blocks: Sequence[Block]) -> float:
    """Inches of the widest number under the first tick: half of it hangs left of the axis."""
    return max((style.text_width(line[0], 8.5) for block in blocks for line in block.cells if line), default=0.0)


def draw(
    figure: Drawing, axes: Axes, drawn: Sequence[Curve], labels: Sequence[str], blocks: Sequence[Block], ticks: np.ndarray, left: float,
    width: float, bottom: float = 0.0,
) -> None:  # fmt: skip
    """The blocks from `bottom` (inches) up, the last one lowest; each shares its x axis with the curves."""
    bottom += GAP
    for block in reversed(blocks):
        _draw_block(figure, axes, drawn, labels, block, ticks, (left, bottom, width))
        bottom += ROW * len(drawn) + HEAD + GAP


def _draw_block(
    figure: Drawing, axes: Axes, drawn: Sequence[Curve], labels: Sequence[str], block: Block, ticks: np.ndarray,
    place: tuple[float, float, float],
) -> None:  # fmt: skip
    (w, h), n, (left, bottom, width) = figure.get_size_inches(), len(drawn), place
    table = style.axes_in_inches(figure, left, bottom, width, ROW * n, sharex=axes)
    table.set_gid("risk-table" if block.row == "at_risk" else f"{block.row}-table")
    table.set_ylim(n - 0.5, -0.5)
    table.axis("off")
    figure.text(
        0.12 / w, (bottom + 0.07 + ROW * n) / h, TITLES[block.row], va="bottom", fontsize=8.5, fontweight="bold"
    )
    for i, (curve, label, cells) in enumerate(zip(drawn, labels, block.cells)):
        for tick, cell in zip(ticks, cells):
            table.text(tick, i, cell, ha="center", va="center", fontsize=8.5, clip_on=False)
        y = (bottom + ROW * (n - i - 0.5)) / h
        if n > 1:
            key = Line2D([0.12 / w, 0.38 / w], [y, y], color=curve.colour, linestyle=curve.dash, linewidth=1.7)
            key.set_transform(figure.transFigure)
            figure.add_artist(key)
        figure.text((0.45 if n > 1 else 0.12) / w, y, label, va="center", ha="left")
