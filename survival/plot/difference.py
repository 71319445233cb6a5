"""The difference of retention between two cohorts over tenure, with its pointwise and its simultaneous band."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from survival.plot import style
from survival.plot.curve_options import CurveOptions, options_of
from survival.plot.style import Drawing

WIDTH, HEIGHT = 5.6, 2.9


@style.figure_function
def retention_difference(
    difference: pd.DataFrame,
    *,
    horizon: float | None = None,
    title: str = "",
    ylabel: str = "Customers retained",
    unit: str | None = None,
    breaks: float | Sequence[float] | None = None,
    until: float | None = None,
) -> Drawing:
    """Draw `Curves.difference_curve(a, b).tidy()`.

    `difference`: columns cohort_a, cohort_b, tenure (days), difference (b - a, a share), ci_lower, ci_upper, band_lower,
    band_upper, of one pair. Dark: the pointwise interval; light: the band that holds the whole curve. Tenures where the band
    leaves 0 outside are marked on the zero line. `unit`, `breaks`, `until`: of the axis of tenure, as in `retention_curves`.
    """
    how = options_of(unit, breaks, until)
    rows = difference.dropna(subset=["difference"])
    if rows.empty:
        return style.message("The two cohorts have no tenure in common: there is no difference to draw.")
    a, b = str(rows["cohort_a"].iloc[0]), str(rows["cohort_b"].iloc[0])
    horizon = how.horizon(float(rows["tenure"].max() if horizon is None else horizon))
    longest = min(horizon, float(rows["tenure"].max()))
    rows = rows[rows["tenure"] <= horizon]
    figure = style.new_figure(1.05 + WIDTH + 0.25, 0.92 + HEIGHT + (0.45 if title else 0.18))
    axes = style.axes_in_inches(figure, 1.05, 0.92, WIDTH, HEIGHT)
    time = np.append(rows["tenure"].to_numpy(float), longest)
    values = {c: 100 * np.append(rows[c], rows[c].iloc[-1]) for c in ("difference", "ci_lower", "ci_upper")}
    bands = {c: 100 * np.append(rows[c], rows[c].iloc[-1]) for c in ("band_lower", "band_upper")}
    colour = style.NOMINAL[0]
    axes.fill_between(
        time, bands["band_lower"], bands["band_upper"], step="post", color=colour, alpha=0.13, linewidth=0
    )
    axes.fill_between(time, values["ci_lower"], values["ci_upper"], step="post", color=colour, alpha=0.2, linewidth=0)
    axes.step(time, values["difference"], where="post", color=colour)
    _axes(axes, horizon, a, b, ylabel, how)
    _apart(axes, time, bands["band_lower"], bands["band_upper"])
    figure.text(
        1.05 / figure.get_figwidth(),
        0.1 / figure.get_figheight(),
        "Dark: at each tenure by itself. Light: at all tenures together; the bar on the zero line: where it leaves 0 outside.",
        fontsize=7,
        color=style.SOFT,
    )
    if title:
        axes.set_title(title, pad=10)
    return figure


def _axes(axes: Axes, horizon: float, a: str, b: str, ylabel: str, how: CurveOptions) -> None:
    low, high = axes.get_ylim()
    reach = max(abs(low), abs(high), 2.0)
    low, high = max(-reach, 1.15 * low - 1), min(reach, 1.15 * high + 1)
    axes.set_ylim(min(low, -0.12 * (high - low)), max(high, 0.12 * (high - low)))
    axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:+.0f}".replace("-", "−") if round(y) else "0")
    axes.grid(axis="y")
    axes.axhline(0, color=style.SOFT, linewidth=0.9, zorder=1)
    axes.set_xlim(0, horizon)
    how.fitted_axis(axes, horizon, WIDTH)
    first, second = (style.shorten(name, 1.3) for name in (b, a))
    axes.set_ylabel(f"{ylabel}, percentage points\n{first} minus {second}")
    for y, text, va in (
        (0.99, f"{style.shorten(b, 2)} keeps more", "top"),
        (0.01, f"{style.shorten(a, 2)} keeps more", "bottom"),
    ):
        axes.text(0.99, y, text, transform=axes.transAxes, ha="right", va=va, fontsize=8, color=style.SOFT)


def _apart(axes: Axes, time: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """A bar on the zero line where the whole-curve band leaves it outside."""
    apart = (low[:-1] > 0) | (high[:-1] < 0)
    edges = np.diff(np.concatenate(([False], apart, [False])).astype(int))
    for start, stop in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)):
        axes.plot([time[start], time[stop]], [0, 0], color=style.ON, linewidth=3.2, zorder=3, gid="apart")
