"""Customers in a model: by how much each moves the coefficients, and how far they lie from what it expects."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from survival.plot import style
from survival.plot.forest import covariate_label
from survival.plot.numbers import count, decimal
from survival.plot.style import Drawing

LINE = 0.3  # inches a covariate
SIZE = 8.5


@style.figure_function
def influence(
    distribution: pd.DataFrame, customers: pd.DataFrame, *, labels: Mapping[str, str] | None = None, title: str = ""
) -> Drawing:
    """One line a covariate: how customers' dfbetas are spread, in standard errors, and those of the strongest customers.

    `distribution`: columns covariate, minimum, p1, p99, maximum (dfbeta in standard errors), change_low, change_high (of the hazard
    ratio when one customer is left out, as shares). `customers`: covariate, in_errors, refitted.
    """
    if len(distribution) == 0:
        return style.message("There is no influence to draw.")
    rows = distribution.to_dict("records")
    called = [(labels or {}).get(str(r["covariate"]), covariate_label(str(r["covariate"]))) for r in rows]
    names = [style.name_beside(name, SIZE) for name in called]
    moves = [f"{_signed(r['change_low'])} to {_signed(r['change_high'])}" for r in rows]
    left = max(1.2, *(style.text_width(n, SIZE) for n in names)) + 0.25
    right = max(1.3, *(style.text_width(m, SIZE) for m in moves)) + 0.3
    wide, bottom, top = 3.4, 0.85, 0.42 + (0.32 if title else 0)
    body = LINE * len(rows)
    figure = style.new_figure(left + wide + right, bottom + body + top)
    axes = style.axes_in_inches(figure, left, bottom, wide, body)
    for y, r in enumerate(rows):
        mine = customers[customers["covariate"] == r["covariate"]]
        _spread(axes, y, r, mine)
    furthest = float(np.abs(distribution[["minimum", "maximum"]].to_numpy(float)).max())
    axes.set_xlim(-1.1 * furthest, 1.1 * furthest)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.axvline(0, color=style.SOFT, linewidth=0.9, zorder=1)
    axes.grid(axis="x")
    axes.set_xlabel("Change of the coefficient by one customer, in standard errors (dfbeta)")
    w, h = figure.get_size_inches()
    for y, (name, move) in enumerate(zip(names, moves)):
        at = (bottom + body - LINE * (y + 0.5)) / h
        figure.text(0.1 / w, at, name, va="center_baseline", fontsize=SIZE)
        figure.text((left + wide + 0.2) / w, at, move, va="center_baseline", fontsize=SIZE)
    figure.text((left + wide + 0.2) / w, (bottom + body + 0.1) / h, "HR without one", fontsize=SIZE, color=style.SOFT)
    key = "Bar: 98% of customers. Line: all. Dots: the strongest; filled: the model was refitted without them"
    figure.text(0.1 / w, 0.12 / h, style.wrap(key, w - 0.2, 8), fontsize=8, color=style.SOFT)
    if title:
        figure.text(0.1 / w, 1 - 0.1 / h, title, fontweight="bold", fontsize=9.5, va="top")
    return figure


def _signed(share: float) -> str:
    size = abs(share)
    text = decimal(100 * share, 0 if size >= 0.0995 else 1 if size >= 0.00095 else 2)
    return f"{'+' if share > 0 and text.strip('0.') else ''}{text}%"


def _spread(axes: Axes, y: int, r: dict, customers: pd.DataFrame) -> None:
    axes.plot([r["minimum"], r["maximum"]], [y, y], color=style.SOFT, linewidth=0.9, zorder=2)
    axes.plot([r["p1"], r["p99"]], [y, y], color=style.NOMINAL[2], linewidth=6, zorder=2)
    refitted = customers["refitted"].to_numpy(bool)
    x = customers["in_errors"].to_numpy(float)
    for inside, fill in ((refitted, style.NOMINAL[0]), (~refitted, "white")):
        axes.plot(
            x[inside], np.full(int(inside.sum()), y), linestyle="none", marker="o", markersize=5, color=style.NOMINAL[0],
            markerfacecolor=fill, zorder=3,
        )  # fmt: skip


@style.figure_function
def deviance_residuals(bins: pd.DataFrame, *, limit: float = 3.0, title: str = "") -> Drawing:
    """Histograms of customers' deviance residuals, who churned above who stayed, on one axis.

    `bins`: columns churned (bool), lower, upper, customers. `limit`: where the dotted lines are.
    """
    if len(bins) == 0:
        return style.message("There are no residuals to draw.")
    left, wide, tall, gap, bottom = 0.85, 5.2, 1.15, 0.5, 0.6
    top = 0.35 + (0.3 if title else 0)
    figure = style.new_figure(left + wide + 0.25, bottom + 2 * tall + gap + top)
    low, high = min(float(bins["lower"].min()), -limit) - 0.2, max(float(bins["upper"].max()), limit) + 0.2
    looks = ((True, "Churned", style.ON), (False, "Stayed", style.OFF))
    for i, (churned, name, colour) in enumerate(looks):
        axes = style.axes_in_inches(figure, left, bottom + (1 - i) * (tall + gap), wide, tall)
        rows = bins[bins["churned"] == churned]
        edges = rows["lower"].to_numpy(float)
        axes.bar(
            edges, rows["customers"], width=rows["upper"].to_numpy(float) - edges, align="edge", color=colour, linewidth=0.4,
            edgecolor="white",
        )  # fmt: skip
        axes.set_xlim(low, high)
        for x in (-limit, limit):
            axes.axvline(x, color=style.SOFT, linewidth=0.9, linestyle=(0, (1, 2)))
        axes.set_title(f"{name}: {count(int(rows['customers'].sum()))} customers", fontsize=9)
        most = float(rows["customers"].max()) if len(rows) else 1.0
        ticks = _round_ticks(most)
        axes.set_yticks(ticks, labels=[count(t) for t in ticks])
        axes.grid(axis="y")
        if i == 0:
            axes.set_xticklabels([])
        else:
            axes.set_xlabel("Deviance residual (above 0: left earlier than expected; below: stayed longer)")
    w, h = figure.get_size_inches()
    figure.text(0.1 / w, (bottom + tall + gap / 2) / h, "Customers", rotation=90, va="center")
    if title:
        figure.text(left / w, 1 - 0.08 / h, title, fontweight="bold", fontsize=9.5, va="top")
    return figure


def _round_ticks(most: float) -> list[float]:
    step = next(s * 10.0**k for k in range(9) for s in (1, 2, 5) if most / (s * 10.0**k) <= 4)
    return [step * i for i in range(int(most // step) + 1)]
