"""Revenue retained beside customers retained: two curves of the same customers, a panel a cohort."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from survival.plot import style
from survival.plot.curve import Curve, curves_of, draw_curve
from survival.plot.curve_options import CurveOptions, options_of
from survival.plot.style import Drawing

MOST = 9
LINE = 0.165  # inches: a label's line
WEIGHTINGS = ("customers", "revenue")


@style.figure_function
def revenue_retention_curves(
    curves: pd.DataFrame,
    *,
    by: str = "by",
    horizon: float | None = None,
    title: str = "",
    ylabel: str = "Share retained",
    unit: str | None = None,
    breaks: float | Sequence[float] | None = None,
    until: float | None = None,
    band: str = "pointwise",
    scale: str = "percent",
) -> Drawing:
    """Draw the two retention curves of each cohort with their bands, up to nine cohorts.

    `curves`: columns weighting (customers, revenue), `by`, tenure (days), retention, ci_lower, ci_upper (as
    `RevenueRetention.tidy`; NA ends a curve, and a band where it has no limits). Where revenue lies above customers, who
    leaves pays less than who stays. A cohort without revenue has the curve of its customers alone.
    `unit`, `breaks`, `until`, `band` (pointwise or none), `scale`: as in `retention_curves`.
    """
    how = options_of(unit, breaks, until, band=band, scale=scale)
    groups = style.groups_in_order(curves[by]) if len(curves) else []
    if not groups:
        return style.message("Nobody was at risk: there is no curve to draw.")
    shown = groups[:MOST]
    horizon = how.horizon(float(curves["tenure"].max() if horizon is None else horizon))
    columns = min(3, len(shown))
    rows = math.ceil(len(shown) / columns)
    wide, tall = (5.4, 3.1) if len(shown) == 1 else (2.7, 1.9) if columns == 2 else (2.2, 1.6)
    margin = max(map(style.text_width, WEIGHTINGS)) + 0.35  # right of each panel: the names of its curves
    left, bottom, gap = 0.8, 0.92, 0.55
    top = (0.3 if len(shown) > 1 else 0.12) + (0.28 if title else 0.0)
    figure = style.new_figure(left + columns * (wide + margin), bottom + rows * (tall + gap) - gap + top)
    for i, group in enumerate(shown):
        r, c = divmod(i, columns)
        corner = (left + c * (wide + margin), bottom + (rows - 1 - r) * (tall + gap))
        axes = style.axes_in_inches(figure, *corner, wide, tall)
        ticks = _panel(axes, curves[curves[by] == group], horizon, (wide, tall), how, few=len(shown) > 1)
        if len(shown) > 1:
            axes.set_title(style.shorten(str(group), wide, 9, "bold"), fontsize=9, pad=4)
        if c:
            axes.set_yticklabels([])
    _words(figure, groups, how, ticks, horizon, left, title, ylabel)
    return figure


def _panel(
    axes: Axes, frame: pd.DataFrame, horizon: float, size: tuple[float, float], how: CurveOptions, *, few: bool
) -> np.ndarray:
    """One cohort's pair of curves; returns the ticks of the axis (days)."""
    drawn = _pair(frame, horizon)
    for curve in drawn:
        draw_curve(axes, curve, band=how.band != "none")
    style.percent_axis(axes, scale=how.scale)
    axes.set_xlim(0, horizon if horizon > 0 else 1)
    ticks = how.fitted_axis(axes, horizon, size[0], most=5 if few else 9, label=False, days_below=not few)
    _labels(axes, drawn, size)
    return ticks


def _labels(axes: Axes, drawn: Sequence[Curve], size: tuple[float, float]) -> None:
    """Each curve's name right of where the longer of the two ends; `size` of the panel in inches."""
    edge, end = axes.get_xlim()[1], max(curve.stop for curve in drawn)
    places = style.spread([curve.last for curve in drawn], LINE / size[1], 0.03, 0.97)
    for curve, place in zip(drawn, places):
        axes.annotate(
            curve.label, (curve.stop / edge, curve.last), (end / edge + 0.16 / size[0], float(place)), xycoords="axes fraction",
            textcoords="axes fraction", color=style.text_colour(curve.colour), va="center", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": curve.colour, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip


def _pair(frame: pd.DataFrame, horizon: float) -> list[Curve]:
    there = [name for name in WEIGHTINGS if (frame["weighting"] == name).any()]
    return curves_of(frame, "weighting", there, False, horizon)


def _words(
    figure: Drawing, groups: Sequence[Any], how: CurveOptions, ticks: np.ndarray, horizon: float, left: float, title: str, ylabel: str
) -> None:  # fmt: skip
    width, height = figure.get_size_inches()
    text = how.axis_words(ticks)
    if how.unit is None and len(groups) == 1 and horizon >= 60:
        text += " (below: in days)" if style.by_month(ticks) else " (below: in months)"
    figure.text(left / width, 0.36 / height, text)
    foot = "Revenue above customers: who leaves pays less than who stays. Expansion is not counted."
    if len(groups) > MOST:
        foot = f"Not shown: the last {len(groups) - MOST} of {len(groups)}. {foot}"
    foot = style.wrap(foot, width - left - 0.1, 8)
    figure.text(left / width, 0.3 / height, foot, fontsize=8, color=style.SOFT, va="top")
    figure.text(0.08 / width, float(np.mean([0.92 / height, 1 - 0.3 / height])), ylabel, rotation=90, va="center")
    if title:
        figure.text(left / width, 1 - 0.1 / height, title, fontweight="bold", fontsize=9.5, va="top")
