"""Bars of customers whose observation ended, under retention curves: where a curve says less because few could be seen that long.

survminer's `ncensor.plot`, by day, week, month, quarter or year of tenure, so that the bars stay wide enough to be told apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from survival.errors import ArgumentError
from survival.plot import style
from survival.plot.curve import Curve
from survival.plot.numbers import DAYS_PER_MONTH, count
from survival.plot.style import Drawing

TALL, HEAD, FOOT = 0.62, 0.24, 0.12  # inches: the bars, their title above, what is free below
MOST_BARS = 80
STEPS = ((1.0, "day"), (7.0, "week"), (DAYS_PER_MONTH, "month"), (3 * DAYS_PER_MONTH, "quarter"), (365.25, "year"))


def height(asked: bool) -> float:
    """Inches that the bars take below everything else."""
    return TALL + HEAD + FOOT if asked else 0.0


def step_of(horizon: float) -> tuple[float, str]:
    """Days of a bar, and what they are called: the shortest step that makes at most 80 bars."""
    return next((s for s in STEPS if horizon / s[0] <= MOST_BARS), STEPS[-1])


def numbers(curves: pd.DataFrame, by: str, groups: Sequence[Any], horizon: float) -> np.ndarray:
    """Customers censored in each bar, (G, B): a bar holds its left edge, the last one also the end of the axis.

    `curves`: columns `by`, tenure (days), censored. Raises ArgumentError where the last is not there.
    """
    if "censored" not in curves:
        raise ArgumentError("censored_bars needs the column censored of the curves: draw the frame of `Curves.tidy()`")
    step, _ = step_of(horizon)
    bars = max(1, math.ceil(horizon / step - 1e-9))
    inside = curves[(curves["tenure"] <= horizon) & curves["censored"].notna()]
    place = np.minimum((inside["tenure"].to_numpy(float) / step + 1e-9).astype(int), bars - 1)
    weights = inside["censored"].to_numpy(float)
    mine = [(inside[by] == group).to_numpy(bool) for group in groups]
    return np.array([np.bincount(place[m], weights[m], minlength=bars) for m in mine])


def draw(
    figure: Drawing, axes: Axes, drawn: Sequence[Curve], values: np.ndarray, horizon: float, place: tuple[float, float]
) -> None:
    """The bars, stacked in the colours of the curves, at the foot of the figure; `place`: left edge and width of `axes` in inches."""
    (left, width), (w, h) = place, figure.get_size_inches()
    step, called = step_of(horizon)
    under = style.axes_in_inches(figure, left, FOOT, width, TALL, sharex=axes)
    under.set_gid("censored-bars")
    edges, floor = step * np.arange(values.shape[1]), np.zeros(values.shape[1])
    wide = np.minimum(step, horizon - edges) if horizon > 0 else np.full(values.shape[1], step)
    for curve, mine in zip(drawn, values):
        under.bar(edges, mine, wide, floor, align="edge", color=curve.colour, edgecolor="white", linewidth=0.4)
        floor = floor + mine
    top = float(floor.max(initial=0.0))
    under.set_ylim(0, 1.12 * top if top > 0 else 1.0)
    under.yaxis.set_major_locator(MaxNLocator(nbins=2, integer=True, steps=[1, 2, 5, 10]))
    under.yaxis.set_major_formatter(lambda y, _: count(round(y)))
    under.tick_params(axis="x", which="both", bottom=False, labelbottom=False)
    under.tick_params(axis="y", labelsize=7.5)
    figure.text(
        0.12 / w, (FOOT + TALL + 0.07) / h, f"Number censored, by {called} of tenure", va="bottom", fontsize=8.5,
        fontweight="bold",
    )  # fmt: skip
