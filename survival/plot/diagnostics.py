"""Does the model fit? The form of each number, and churns seen against expected by predicted risk."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from survival.plot import style
from survival.plot.forest import covariate_label
from survival.plot.numbers import count
from survival.plot.style import Drawing

WIDEST = math.log(16)  # of the log ratios drawn
SKEWED = 10  # largest value over the median range, from which the axis is logarithmic
SERIES = ("o", "s", "D", "^")


@style.figure_function
def functional_form(
    bins: pd.DataFrame,
    curve: pd.DataFrame,
    *,
    labels: Mapping[str, str] | None = None,
    tests: Mapping[str, str] | None = None,
    title: str = "",
) -> Drawing:
    """One panel a covariate: log of churns seen over expected in each range of its values, the model's line, the spline with its band.

    `bins`: columns covariate, mean, log_ratio, ci_lower, ci_upper (NA: no churn, drawn as an arrow at the foot). `curve`: covariate,
    value, linear, spline, ci_lower, ci_upper. All log hazard ratios against the covariate's mean. `tests`: covariate -> what its test says.
    """
    covariates = style.groups_in_order(curve["covariate"]) if len(curve) else []
    if not covariates:
        return style.message("There is no number whose form could be checked.")
    columns = min(2, len(covariates))
    rows = -(-len(covariates) // columns)
    panel_w, panel_h, gap_x, gap_y, left, bottom = 3.0, 2.0, 1.3, 0.95, 0.75, 0.85
    top = 0.5 + (0.3 if title else 0)
    width = max(4.9, left + columns * panel_w + (columns - 1) * gap_x + 0.75)
    figure = style.new_figure(width, bottom + rows * panel_h + (rows - 1) * gap_y + top)
    for i, covariate in enumerate(covariates):
        r, c = divmod(i, columns)
        y = bottom + (rows - 1 - r) * (panel_h + gap_y)
        axes = style.axes_in_inches(figure, left + c * (panel_w + gap_x), y, panel_w, panel_h)
        _form(axes, bins[bins["covariate"] == covariate], curve[curve["covariate"] == covariate])
        name = (labels or {}).get(str(covariate), covariate_label(str(covariate)))
        said = (tests or {}).get(str(covariate), "")
        axes.set_title(
            style.shorten(name, panel_w, 9, "bold") + (f"\n{said}" if said else ""), fontsize=9, linespacing=1.1
        )
        scale = " (log scale)" if axes.get_xscale() == "log" else ""
        axes.set_xlabel(style.shorten(name, panel_w - 0.8) + scale)
    w, h = figure.get_size_inches()
    key = "Dots: churns observed over expected in a range of values. Solid: spline, pointwise band. Dashed: the model's line"
    figure.text(0.1 / w, 0.12 / h, style.wrap(key, w - 0.2, 8), fontsize=8, color=style.SOFT)
    if title:
        figure.text(left / w, 1 - 0.08 / h, title, fontweight="bold", fontsize=9.5, va="top")
    return figure


def _form(axes: Axes, bins: pd.DataFrame, curve: pd.DataFrame) -> None:
    x, y = bins["mean"].to_numpy(float), bins["log_ratio"].to_numpy(float)
    low, high = bins["ci_lower"].to_numpy(float), bins["ci_upper"].to_numpy(float)
    value = curve["value"].to_numpy(float)
    line, spline, lower, upper = (curve[c].to_numpy(float) for c in ("linear", "spline", "ci_lower", "ci_upper"))
    axes.axhline(0, color=style.SOFT, linewidth=0.9, linestyle=(0, (1, 2)))
    axes.fill_between(value, lower, upper, color=style.NOMINAL[0], alpha=0.16, linewidth=0, zorder=1)
    axes.plot(value, spline, color=style.NOMINAL[0], zorder=3)
    axes.plot(value, line, color=style.ON, linestyle=(0, (5, 1.6)), linewidth=1.4, zorder=3)
    known = np.concatenate([y, low, high, line, spline])
    known = np.clip(known[np.isfinite(known)], -WIDEST, WIDEST)
    margin = 0.08 * max(float(np.ptp(known)), 0.2)
    limits = (float(known.min()) - margin, float(known.max()) + margin)
    axes.set_ylim(*limits)
    there = np.isfinite(y)
    axes.vlines(
        x[there], np.nan_to_num(low, nan=limits[0])[there], np.minimum(high, limits[1])[there], color=style.INK, linewidth=1.0,
        zorder=2,
    )  # fmt: skip
    axes.plot(x[there], y[there], linestyle="none", marker="o", markersize=4, color=style.INK, zorder=4)
    axes.plot(
        x[~there], np.full(int((~there).sum()), limits[0]), linestyle="none", marker="v", markersize=5, color=style.INK,
        clip_on=False, zorder=4,
    )  # fmt: skip
    _value_axis(axes, np.array([*x, *value]), x)
    axes.set_ylabel("Log hazard ratio")
    _ratios_at_right(axes)


def _value_axis(axes: Axes, ends: np.ndarray, middles: np.ndarray) -> None:
    """Linear, but logarithmic where half of the dots would crowd at the foot of the axis."""
    low, high = float(ends.min()), float(ends.max())
    if low > 0 and high > SKEWED * float(np.median(middles)):
        axes.set_xscale("log")
        axes.set_xlim(low / 1.15, high * 1.15)
        ticks = [t * 10.0**k for k in range(-6, 9) for t in (1, 2, 5) if low / 1.15 <= t * 10.0**k <= high * 1.15]
        axes.set_xticks(ticks, labels=[f"{t:g}" if t < 1e4 else count(t) for t in ticks])
        axes.set_xticks([], minor=True)
        return
    pad = 0.03 * max(high - low, 1e-9)
    axes.set_xlim(low - pad, high + pad)


def _ratios_at_right(axes: Axes) -> None:
    right = axes.secondary_yaxis("right")
    low, high = np.exp(axes.get_ylim())
    ticks = style.log_ratio_ticks(low, high, most=6)
    right.set_yticks(np.log(ticks), labels=[f"{t:g}" for t in ticks])
    right.set_ylabel("Hazard ratio")
    right.spines["right"].set_visible(True)


@style.figure_function
def risk_groups(groups: pd.DataFrame, cells: pd.DataFrame | None = None, *, title: str = "") -> Drawing:
    """Left: churn rates seen against expected, a dot a group of risk, on log axes; right: their ratio, by period of tenure.

    `groups`: columns group, ratio, ci_lower, ci_upper, expected_rate, observed_rate, rate_lower, rate_upper (churns in 30 customer
    days). `cells`: group, period (in words), ratio, ci_lower, ci_upper; None or one period: of all tenures.
    """
    if len(groups) == 0:
        return style.message("There are no groups of risk to compare.")
    side, wide, left, gap, bottom = 2.7, 3.4, 0.8, 0.95, 0.95
    top = 0.4 + (0.3 if title else 0)
    figure = style.new_figure(left + side + gap + wide + 0.2, bottom + side + top)
    _rates(style.axes_in_inches(figure, left, bottom, side, side), groups)
    periods = style.groups_in_order(cells["period"]) if cells is not None and len(cells) else []
    axes = style.axes_in_inches(figure, left + side + gap, bottom, wide, side)
    if cells is None or len(periods) < 2:
        _by_group(axes, {"": groups})
    else:
        _by_group(axes, {str(p): cells[cells["period"] == p] for p in periods})
    w, h = figure.get_size_inches()
    key = f"Group 1 of {len(groups)}: the lowest risk. Triangle at the edge: beyond it"
    figure.text(0.1 / w, 0.12 / h, key, fontsize=8, color=style.SOFT)
    if title:
        figure.text(left / w, 1 - 0.08 / h, title, fontweight="bold", fontsize=9.5, va="top")
    return figure


def _rates(axes: Axes, groups: pd.DataFrame) -> None:
    x, y, low, high = (
        100 * groups[c].to_numpy(float) for c in ("expected_rate", "observed_rate", "rate_lower", "rate_upper")
    )
    known = np.concatenate([x, y, low, high])
    known = known[np.isfinite(known) & (known > 0)]
    floor = float(np.concatenate([x[x > 0], y[y > 0]]).min())
    limits = (max(float(known.min()), floor / 3) / 1.25, float(known.max()) * 1.25)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*limits)
    axes.set_ylim(*limits)
    axes.plot(limits, limits, color=style.SOFT, linewidth=0.9, linestyle=(0, (5, 1.6)), zorder=1)
    axes.vlines(x, np.maximum(low, limits[0]), high, color=style.NOMINAL[0], linewidth=1.3, zorder=2)
    axes.plot(x[y > 0], y[y > 0], linestyle="none", marker="o", markersize=4.6, color=style.NOMINAL[0], zorder=3)
    ticks = [t * 10.0**k for k in range(-3, 4) for t in (1, 2, 5) if limits[0] <= t * 10.0**k <= limits[1]]
    shown = ticks if len(ticks) <= 7 else ticks[:: -(-len(ticks) // 7)]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(shown, labels=[f"{t:g}%" for t in shown])
        axis.set_ticks([], minor=True)
    axes.grid()
    axes.set_xlabel("Expected churns in 30 customer days")
    axes.set_ylabel("Observed churns in 30 customer days")
    axes.set_title("Rates", fontsize=9)


def _by_group(axes: Axes, series: Mapping[str, pd.DataFrame]) -> None:
    every = pd.concat(list(series.values()))
    seen = every[["ratio", "ci_lower", "ci_upper"]].to_numpy(float)
    seen = seen[np.isfinite(seen) & (seen > 0)]
    low, high = max(min([*seen, 0.7]) / 1.1, 1 / 8), min(max([*seen, 1.4]) * 1.1, 8.0)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    ticks = style.log_ratio_ticks(low, high, most=7)
    axes.set_yticks(ticks, labels=[f"{t:g}" for t in ticks])
    axes.set_yticks([], minor=True)
    axes.grid(axis="y")
    axes.axhline(1, color=style.SOFT, linewidth=0.9)
    spread = np.linspace(-0.22, 0.22, len(series)) if len(series) > 1 else [0.0]
    for i, (name, rows) in enumerate(series.items()):
        x, y = rows["group"].to_numpy(float) + spread[i], rows["ratio"].to_numpy(float)
        colour, inside = style.NOMINAL[i % len(style.NOMINAL)], (y >= low) & (y <= high)
        lower, upper = (np.clip(rows[c].to_numpy(float), low, high) for c in ("ci_lower", "ci_upper"))
        axes.vlines(x, lower, upper, color=colour, linewidth=1.2)
        axes.plot(
            x[inside], y[inside], linestyle="none", marker=SERIES[i % len(SERIES)], markersize=4.6, color=colour, label=name,
            markerfacecolor="white" if i == 2 else colour,
        )  # fmt: skip
        for beyond, edge, marker in ((y < low, low, "v"), (y > high, high, "^")):
            axes.plot(
                x[beyond],
                np.full(int(beyond.sum()), edge),
                linestyle="none",
                marker=marker,
                color=colour,
                clip_on=False,
            )
    numbers = np.unique(every["group"].to_numpy(int))
    axes.set_xlim(numbers.min() - 0.6, numbers.max() + 0.6)
    axes.set_xticks(numbers, labels=[count(n) for n in numbers])
    axes.set_xlabel("Group of predicted risk")
    axes.set_ylabel("Observed over expected churns")
    axes.set_title("Ratios" if len(series) < 2 else "Ratios, by period of tenure", fontsize=9)
    if len(series) > 1:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=len(series), fontsize=8, handletextpad=0.2,
                    columnspacing=1.0)  # fmt: skip
