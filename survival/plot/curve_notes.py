"""What is written into a figure of retention curves: median lines with their values, and the test with its name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import Normal, Stroke

from survival.plot import style
from survival.plot.curve import Curve
from survival.plot.curve_options import CurveOptions
from survival.plot.direct_labels import Box, overlap, passes
from survival.plot.numbers import is_missing, p_phrase

MEDIAN = (0, (1, 1.5))  # the dots of a median line
SIZE, LINE = 8.0, 0.15  # points; inches from line to line
_NAMES = {
    "logrank": "log-rank",
    "gehan": "Gehan",
    "tarone-ware": "Tarone-Ware",
    "peto": "Peto",
    "modified-peto": "modified Peto",
}
_HALO = [Stroke(linewidth=2.5, foreground="white"), Normal()]


def name_of_test(test: str) -> str:
    """A test of rank_tests.csv as it is written: 'log-rank', 'Gehan', 'Fleming-Harrington(0, 1)'."""
    if test.startswith("permutation of "):
        return f"permutation {name_of_test(test.removeprefix('permutation of '))}"
    return _NAMES.get(test, test.replace("fleming-harrington", "Fleming-Harrington"))


def lines_of_tests(tests: pd.DataFrame | None, kind: str = "") -> list[str]:
    """A line for each test of all groups together: 'stratified log-rank p < 0.001'. Pairs are left to tables.

    `tests`: columns test and p (as `rank_test(...).tidy()`); `kind` goes before the name: stratified, robust.
    """
    if tests is None:
        return []
    first, lines = "", []
    for test, p in zip(tests["test"].astype(str), tests["p"]):
        if test == "pairwise":
            continue
        name = name_of_test(test)
        if test == "trend":
            name = f"{first} trend".strip()
        first = first or name
        lines.append(f"{kind} {name} {p_phrase(p)}".strip())
    return lines


def median_values(medians: pd.DataFrame, by: str, groups: Sequence[Any]) -> list[float]:
    """The median of each group (column median_tenure, else tenure, in days); NaN where it is not reached."""
    value = "median_tenure" if "median_tenure" in medians else "tenure"
    known = {g: float(t) for g, t in zip(medians[by], medians[value]) if not is_missing(t)}
    return [known.get(g, math.nan) for g in groups]


def median_lines(
    axes: Axes, drawn: Sequence[Curve], labels: Sequence[str], values: Sequence[float], how: CurveOptions, width: float
) -> tuple[list[Box], list[str]]:
    """Dotted lines from one half down to each median, its value beside the foot. `width` of the axes in inches.

    Returns the places taken by text (axes' data), and what to say of medians that have no line.
    """
    edge = axes.get_xlim()[1]
    inside = [v for v in values if not is_missing(v) and v <= edge]
    if inside:
        axes.plot([0, max(inside)], [0.5, 0.5], color=style.SOFT, linewidth=0.8, linestyle=MEDIAN, gid="median")
    taken: list[Box] = []
    for curve, value in sorted(zip(drawn, values), key=lambda pair: float(pair[1])):
        if is_missing(value) or value > edge:
            continue
        axes.plot([value, value], [0, 0.5], color=curve.colour, linewidth=0.9, linestyle=MEDIAN, gid="median")
        others = [v for v in inside if v != value]
        taken.append(_value(axes, drawn, curve.colour, float(value), others, how.tenure(float(value)), width, taken))
    none = [label for label, v in zip(labels, values) if is_missing(v)]
    alone = len(labels) == 1
    beyond = [
        how.tenure(float(v)) if alone else f"{label} {how.tenure(float(v))}"
        for label, v in zip(labels, values)
        if not is_missing(v) and v > edge
    ]
    said = ["median not reached" + ("" if alone else f": {', '.join(none)}")] if none else []
    said += [f"median beyond the axis: {', '.join(beyond)}"] if beyond else []
    return taken, said


def _value(
    axes: Axes, drawn: Sequence[Curve], ink: str, value: float, others: Sequence[float], text: str, width: float,
    taken: Sequence[Box],
) -> Box:  # fmt: skip
    """The value beside its line, right of it and low, unless curves, other medians' lines or their values are in the way."""
    edge, high = axes.get_xlim()[1], _tall(axes)
    wide, space = style.text_width(text, SIZE) / width * edge, 0.006 * edge
    sides = [x for x in (value + space, value - space - wide) if x >= 0 and x + wide <= edge] or [value + space]
    boxes = [(x, x + wide, low, low + high) for low in np.arange(0.012, 0.5 - high, high) for x in sides]

    def cost(box: Box) -> int:
        lines = sum(box[0] < other < box[1] for other in others)
        return lines + 2 * sum(passes(c, box) for c in drawn) + 20 * sum(overlap(box, other) for other in taken)

    box = min(boxes, key=cost)  # the first of the cheapest
    axes.text(
        box[0], (box[2] + box[3]) / 2, text, fontsize=SIZE, va="center", color=style.text_colour(ink), zorder=5,
        path_effects=_HALO, gid="median-value",
    )  # fmt: skip
    return box


def corner_text(axes: Axes, lines: Sequence[str], drawn: Sequence[Curve], taken: Sequence[Box], width: float) -> None:
    """These lines in the corner where they meet fewest curves and no other text: lower left first."""
    if not lines:
        return
    edge = axes.get_xlim()[1]
    wide, high = max(style.text_width(line, SIZE + 0.5) for line in lines) / width * edge, _tall(axes) * len(lines)
    lefts, lows = (0.015 * edge, 0.5 * (edge - wide), edge - wide - 0.01 * edge), (0.03, 0.13, 0.25, 0.97 - high, 0.5)
    boxes = [(x, x + wide, low, low + high) for low in lows for x in lefts]

    def cost(box: Box) -> int:
        return sum(passes(c, box) for c in drawn) + 3 * sum(overlap(box, other) for other in taken)

    best = min(boxes, key=cost)  # the first of the cheapest
    axes.text(
        best[0], best[3], "\n".join(lines), fontsize=SIZE + 0.5, va="top", ha="left", zorder=6, linespacing=1.35,
        path_effects=_HALO, gid="tests",
    )  # fmt: skip


def _tall(axes: Axes) -> float:
    """Height of a line of text as a share of the axes'."""
    figure = axes.get_figure()
    assert figure is not None
    return LINE / (axes.get_position().height * figure.get_size_inches()[1])  # type: ignore[union-attr]
