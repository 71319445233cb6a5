"""Hazard ratios by lag: does an indicator still tell when it is read days earlier?"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from survival.plot import style
from survival.plot.forest import WIDEST, covariate_label
from survival.plot.numbers import count
from survival.plot.style import Drawing


@style.figure_function
def lag_profile(profile: pd.DataFrame, *, labels: Mapping[str, str] | None = None, title: str = "") -> Drawing:
    """One panel a covariate, hazard ratio with interval against the lag in days.

    `profile`: columns lag (days), covariate, hazard_ratio, ci_lower, ci_upper, as lag_profile.csv. NA rows are left blank and
    marked at the foot. Panels share both axes; the y axis is logarithmic.
    """
    covariates = style.groups_in_order(profile["covariate"]) if len(profile) else []
    if not covariates:
        return style.message("There is no lag profile to draw.")
    columns = min(3, len(covariates))
    rows = math.ceil(len(covariates) / columns)
    panel_w, panel_h, gap_x, gap_y, left, bottom = 2.35, 1.6, 0.32, 0.62, 0.85, 0.62
    known = labels or {}
    names = [style.wrap(known.get(str(c), covariate_label(str(c))), panel_w, 9, "bold") for c in covariates]
    second_line = 0.15 if any("\n" in n for n in names) else 0
    gap_y, top = gap_y + second_line, 0.35 + second_line + (0.3 if title else 0)
    figure = style.new_figure(
        left + columns * panel_w + (columns - 1) * gap_x + 0.25, bottom + rows * panel_h + (rows - 1) * gap_y + top
    )
    lags = np.unique(profile["lag"].to_numpy(float))
    limits = _limits(profile)
    for i, covariate in enumerate(covariates):
        r, c = divmod(i, columns)
        y = bottom + (rows - 1 - r) * (panel_h + gap_y)
        axes = style.axes_in_inches(figure, left + c * (panel_w + gap_x), y, panel_w, panel_h)
        _panel(axes, profile[profile["covariate"] == covariate], lags, limits)
        if c:
            axes.set_yticklabels([])
        axes.set_title(names[i], fontsize=9, pad=5, linespacing=1.1)
    w, h = figure.get_size_inches()
    figure.text(0.08 / w, 0.5, "Hazard ratio (log scale)", rotation=90, va="center")
    lost = bool(profile["hazard_ratio"].isna().any())
    figure.text(left / w, 0.12 / h, "Lag of the indicators (days)" + ("; n.e.: not estimable" if lost else ""))
    if title:
        figure.text(left / w, 1 - 0.08 / h, title, fontweight="bold", fontsize=9.5, va="top")
    return figure


def _limits(profile: pd.DataFrame) -> tuple[float, float]:
    seen = profile[["hazard_ratio", "ci_lower", "ci_upper"]].to_numpy(float)
    seen = seen[np.isfinite(seen) & (seen > 0)]
    low, high = min([*seen, 0.7]) / 1.1, max([*seen, 1.4]) * 1.1
    return max(low, 1 / WIDEST), min(high, WIDEST)


def _panel(axes: Axes, rows: pd.DataFrame, lags: np.ndarray, limits: tuple[float, float]) -> None:
    rows = rows.sort_values("lag", kind="stable")
    x, hr = rows["lag"].to_numpy(float), rows["hazard_ratio"].to_numpy(float)
    low, high = rows["ci_lower"].to_numpy(float), rows["ci_upper"].to_numpy(float)
    axes.set_yscale("log")
    axes.set_ylim(*limits)
    ticks = style.log_ratio_ticks(*limits, most=5)
    axes.set_yticks(ticks, labels=[f"{t:g}" for t in ticks])
    axes.set_yticks([], minor=True)
    axes.axhline(1, color=style.SOFT, linewidth=0.9)
    axes.grid(axis="y")
    axes.vlines(x, np.clip(low, *limits), np.clip(high, *limits), color=style.NOMINAL[0], linewidth=1.3)
    axes.plot(x, hr, color=style.NOMINAL[0], marker="o", markersize=4, linewidth=0.9)
    span = max(float(lags.max() - lags.min()), 1.0)
    axes.set_xlim(lags.min() - 0.05 * span, lags.max() + 0.05 * span)
    kept = [lags[0]]
    for lag in lags[1:]:  # every lag has its tick, but a label only where there is room
        if lag - kept[-1] >= 0.1 * span:
            kept.append(lag)
    axes.set_xticks(lags, labels=[count(lag) if lag in kept else "" for lag in lags])
    for lag, value in zip(x, hr):
        if not np.isfinite(value):
            axes.text(lag, limits[0] * 1.06, "n.e.", fontsize=7, color=style.SOFT, ha="center", va="bottom")
