"""Churn rates along the calendar: months as points with intervals, published bands behind them, quarters with their trend."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from survival.plot import style
from survival.plot.style import Drawing

# Light and darker, so that a grey printer keeps them apart; a line of white between them.
BAND_COLOURS = {"established": "#e6f1e9", "newer": "#e6cfa4"}
LABELS_UP_TO = 14
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@style.figure_function
def churn_rates(
    rates: pd.DataFrame,
    *,
    bands: pd.DataFrame | None = None,
    rate: str = "monthly_rate",
    trend: pd.DataFrame | None = None,
    trend_text: str = "",
    title: str = "",
    ylabel: str = "Churned in the month",
) -> Drawing:
    """Draw rates of calendar periods with their intervals.

    `rates`: columns period, `rate`, ci_lower, ci_upper (of that rate), in the order of time. `bands`: columns maturity, low,
    high of the same period, drawn behind. `trend`: columns period, rate: a fitted line; `trend_text` says what its test found.
    """
    if len(rates) == 0:
        return style.message("No calendar period was observed from its first day to its last.")
    figure = style.new_figure(
        0.85 + 6.0 + (0.3 if bands is None or not len(bands) else 1.15), 3.0 + 0.75 + (0.42 if title else 0.28)
    )
    axes = style.axes_in_inches(figure, 0.85, 0.75, 6.0, 3.0)
    x = np.arange(len(rates), dtype=float)
    value = rates[rate].to_numpy(float)
    low, high = rates["ci_lower"].to_numpy(float), rates["ci_upper"].to_numpy(float)
    top = _top(value, high, bands)
    _bands(axes, bands, top)
    axes.vlines(x, low, np.minimum(high, top), color=style.NOMINAL[0], linewidth=1.2)
    beyond = high > top  # the limit is in the table
    axes.plot(
        x[beyond], np.full(int(beyond.sum()), top), marker="^", linestyle="none", color=style.NOMINAL[0], markersize=4.5,
        clip_on=False, gid="beyond",
    )  # fmt: skip
    axes.plot(x, value, linestyle="none", marker="o", markersize=4.5, color=style.NOMINAL[0], zorder=3)
    if trend is not None and len(trend):
        axes.plot(x, trend["rate"].to_numpy(float), color=style.ON, linestyle=(0, (5, 2)), linewidth=1.4, zorder=2)
    if trend_text:
        axes.text(0.99, 0.985, trend_text, transform=axes.transAxes, ha="right", va="top", fontsize=8, color=style.ON)
    axes.set_xlim(-0.6, len(rates) - 0.4)
    axes.set_ylim(0, top)
    _ticks(axes, [str(p) for p in rates["period"]])
    step = next(s for s in (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if top / s <= 7)
    ticks = np.arange(0, top + 1e-9, step)
    axes.set_yticks(ticks, labels=[f"{100 * t:.{1 if step < 0.01 else 0}f}%" for t in ticks])
    axes.grid(axis="y")
    axes.set_ylabel(ylabel)
    axes.set_title(title, pad=10)
    return figure


def _top(value: np.ndarray, high: np.ndarray, bands: pd.DataFrame | None) -> float:
    """All points, intervals up to 1.8 times the largest, and the bands unless they lie far above."""
    peak = float(np.nanmax(value, initial=0.0))
    top = max(peak, min(float(np.nanmax(high, initial=0.0)), 1.8 * peak)) or 0.01
    if bands is not None and len(bands):
        edge = float(bands["high"].max())
        top = max(top, min(edge, 3 * top))
    return min(1.08 * top, 1.0) if top < 1 else 1.0


def _bands(axes: Axes, bands: pd.DataFrame | None, top: float) -> None:
    if bands is None or not len(bands):
        return
    for row in bands.itertuples():
        low, high = min(float(row.low), top), min(float(row.high), top)
        if high <= low:
            continue
        axes.axhspan(low, high, color=BAND_COLOURS.get(str(row.maturity), style.RULE), linewidth=0, zorder=0)
        axes.axhline(high, color="white", linewidth=1.2, zorder=0.1)
        words = f"{row.maturity}\n{100 * float(row.low):g}–{100 * float(row.high):g}%"
        place = (low + high) / 2
        axes.annotate(
            words, (1, place), (6, 0), xycoords=axes.get_yaxis_transform(), textcoords="offset points", fontsize=8,
            color=style.SOFT, va="center", annotation_clip=False,
        )  # fmt: skip


def _ticks(axes: Axes, periods: list[str]) -> None:
    """Every period named while there is room; months under their year."""
    monthly = all(len(p) == 7 and p[4] == "-" and p[5:].isdigit() for p in periods)
    quarterly = all(len(p) == 7 and p[5] == "Q" for p in periods)
    step = 1 if len(periods) <= LABELS_UP_TO or (quarterly and len(periods) <= 20) else 3
    places = [
        i
        for i, p in enumerate(periods)
        if step == 1 or (not monthly and i % step == 0) or (monthly and int(p[5:]) % 3 == 1)
    ]
    names = [MONTHS[int(p[5:]) - 1] if monthly else p[5:] if quarterly else p for p in (periods[i] for i in places)]
    axes.set_xticks(places, labels=names)
    if not (monthly or quarterly):
        return
    for i in places:
        if i == places[0] or periods[i][:4] != periods[places[places.index(i) - 1]][:4]:
            axes.annotate(
                periods[i][:4], (i, 0), (0, -17), xycoords=axes.get_xaxis_transform(), textcoords="offset points", ha="center",
                va="top", fontsize=8, color=style.SOFT, annotation_clip=False,
            )  # fmt: skip
    axes.set_xlabel("Month" if monthly else "Quarter", labelpad=14)
