"""beta(t): the smoothed scaled Schoenfeld residuals of a covariate over tenure, and the constant that the model fitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from survival.plot import style
from survival.plot.forest import covariate_label
from survival.plot.numbers import p_phrase
from survival.plot.style import Drawing


@style.figure_function
def schoenfeld(
    smooth: pd.DataFrame,
    fitted: Mapping[str, float],
    *,
    points: pd.DataFrame | None = None,
    ph_p: Mapping[str, float] | None = None,
    labels: Mapping[str, str] | None = None,
    title: str = "",
) -> Drawing:
    """One panel a covariate (after Grambsch and Therneau 1994).

    `smooth`: columns covariate, tenure (days), coef, ci_lower, ci_upper: beta(t) with its band, log hazard ratios. `fitted`:
    covariate -> the model's constant log hazard ratio. `points`: columns covariate, tenure, coef: scaled residuals plus the
    constant. `ph_p`: covariate -> p of the proportional-hazards test. The right-hand axis reads the same as hazard ratios.
    """
    covariates = style.groups_in_order(smooth["covariate"]) if len(smooth) else []
    if not covariates:
        return style.message("There is no beta(t) to draw.")
    columns = min(2, len(covariates))
    rows = -(-len(covariates) // columns)
    panel_w, panel_h, gap_x, gap_y, left, bottom = 3.0, 2.0, 1.25, 0.75, 0.75, 0.8
    top = 0.5 + (0.3 if title else 0)
    figure = style.new_figure(
        max(5.1, left + columns * panel_w + (columns - 1) * gap_x + 0.75),
        bottom + rows * panel_h + (rows - 1) * gap_y + top,
    )
    horizon = float(smooth["tenure"].max())
    for i, covariate in enumerate(covariates):
        r, c = divmod(i, columns)
        y = bottom + (rows - 1 - r) * (panel_h + gap_y)
        axes = style.axes_in_inches(figure, left + c * (panel_w + gap_x), y, panel_w, panel_h)
        dots = points[points["covariate"] == covariate] if points is not None else None
        _panel(axes, smooth[smooth["covariate"] == covariate], fitted.get(str(covariate)), dots, horizon)
        p = (ph_p or {}).get(str(covariate))
        axes.set_title(_title(labels or {}, str(covariate), p, panel_w), fontsize=9, linespacing=1.1)
    w, h = figure.get_size_inches()
    figure.text(left / w, 0.32 / h, "Tenure in months of 30.4375 days" if horizon >= 70 else "Tenure in days")
    key = "Solid: β(t), pointwise band. Dashed: the model's constant. Dotted: HR 1"
    figure.text(left / w, 0.12 / h, key, fontsize=8, color=style.SOFT)
    if title:
        figure.text(left / w, 1 - 0.08 / h, title, fontweight="bold", fontsize=9.5, va="top")
    return figure


def _title(labels: Mapping[str, str], covariate: str, p: float | None, width: float) -> str:
    """The covariate's name, below it what the test says."""
    name = style.shorten(labels.get(covariate, covariate_label(covariate)), width, 9, "bold")
    return name if p is None else f"{name}\nPH test: {p_phrase(p)}"


def _panel(axes: Any, rows: pd.DataFrame, constant: float | None, dots: pd.DataFrame | None, horizon: float) -> None:
    rows = rows.sort_values("tenure", kind="stable")
    t = rows["tenure"].to_numpy(float)
    coef, lower, upper = (rows[c].to_numpy(float) for c in ("coef", "ci_lower", "ci_upper"))
    axes.axhline(0, color=style.SOFT, linewidth=0.9, linestyle=(0, (1, 2)))
    if dots is not None:
        axes.plot(
            dots["tenure"], dots["coef"], linestyle="none", marker=".", markersize=2.5, color=style.GHOST, zorder=1,
            rasterized=len(dots) > 2000,
        )  # fmt: skip
    axes.fill_between(t, lower, upper, color=style.NOMINAL[0], alpha=0.16, linewidth=0, zorder=2)
    axes.plot(t, coef, color=style.NOMINAL[0], zorder=3)
    if constant is not None and np.isfinite(constant):
        axes.axhline(constant, color=style.ON, linestyle=(0, (5, 1.6)), linewidth=1.3, zorder=3)
    known = np.r_[coef, lower, upper, 0.0, constant if constant is not None else 0.0]
    known = known[np.isfinite(known)]
    margin = 0.08 * max(float(np.ptp(known)), 0.2)
    axes.set_ylim(known.min() - margin, known.max() + margin)  # the smooth decides: residuals may lie outside
    axes.set_xlim(0, horizon if horizon > 0 else 1)
    style.tenure_axis(axes, style.tenure_ticks(horizon, 7), label=False, days_below=False)
    axes.set_ylabel("Log hazard ratio β(t)")
    right = axes.secondary_yaxis("right")
    low, high = np.exp(axes.get_ylim())
    ticks = style.log_ratio_ticks(low, high, most=6)
    right.set_yticks(np.log(ticks), labels=[f"{x:g}" for x in ticks])
    right.set_ylabel("Hazard ratio")
    right.spines["right"].set_visible(True)
