"""Hazard ratios over the runs of a sweep: a panel a covariate, a row a run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.ticker import NullLocator

from survival.plot import style
from survival.plot.forest import covariate_label
from survival.plot.style import Drawing

PANELS, ACROSS = 12, 4  # panels in all, and in a row
_WIDTH, _ROW, _GAP = 1.75, 0.24, 0.75  # inches: of a panel, of a run, between rows of panels


@style.figure_function
def sweep_ratios(
    ratios: pd.DataFrame, *, labels: Mapping[str, str] | None = None, runs: str = "run", title: str = ""
) -> Drawing:
    """Draw each covariate's hazard ratio in every run.

    `ratios`: columns `runs`, covariate, hazard_ratio, ci_lower, ci_upper, in the order of the runs; NA: not estimated there.
    """
    known = ratios[np.isfinite(ratios["hazard_ratio"].astype(float))]
    covariates = style.groups_in_order(known["covariate"])[:PANELS] if len(known) else []
    if not covariates:
        return style.message("No hazard ratio was estimated.")
    names = [str(r) for r in style.groups_in_order(ratios[runs])]
    shown = [style.shorten(n, 2.6, 8.5) for n in names]
    left, columns = max(style.text_width(n, 8.5) for n in shown) + 0.3, min(ACROSS, len(covariates))
    lines, height = -(-len(covariates) // columns), _ROW * len(names) + 0.1
    low, high = _limits(known)
    total = (left + columns * (_WIDTH + 0.2) + 0.1, lines * (height + _GAP) + (0.35 if title else 0.1))
    figure = style.new_figure(*total)
    if title:
        figure.text(0.1 / total[0], 1 - 0.1 / total[1], title, va="top", weight="bold", fontsize=9.5)
    for i, covariate in enumerate(covariates):
        across, down = i % columns, i // columns
        bottom = total[1] - (0.35 if title else 0.1) - 0.25 - (down + 1) * height - down * (_GAP)
        axes = style.axes_in_inches(figure, left + across * (_WIDTH + 0.2), bottom, _WIDTH, height)
        rows = known[known["covariate"] == covariate].set_index(
            known[known["covariate"] == covariate][runs].astype(str)
        )
        axes.axvline(1, color=style.SOFT, linewidth=0.8)
        for y, name in enumerate(names):
            if name in rows.index:
                r = rows.loc[name]
                axes.plot(
                    [max(r["ci_lower"], low), min(r["ci_upper"], high)], [y, y], color=style.NOMINAL[0], linewidth=1.4
                )
                axes.plot([r["hazard_ratio"]], [y], "s", color=style.NOMINAL[0], markersize=4)
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        ticks = style.log_ratio_ticks(low, high, 4)
        axes.set_xticks(ticks, labels=[f"{t:g}" for t in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_yticks(range(len(names)), labels=shown if across == 0 else [""] * len(names))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        label = (labels or {}).get(str(covariate), covariate_label(str(covariate)))
        axes.set_title(style.shorten(label, _WIDTH, 8.5, "bold"), fontsize=8.5, pad=4)
        if down == lines - 1 or i + columns >= len(covariates):
            axes.set_xlabel("Hazard ratio (log scale)", fontsize=8)
    return figure


def _limits(ratios: pd.DataFrame) -> tuple[float, float]:
    """Of the log axis that all panels share: every estimate, and intervals as far as they are not absurd."""
    value = ratios["hazard_ratio"].to_numpy(float)
    low = np.minimum(np.clip(ratios["ci_lower"].to_numpy(float), value / 3, None), value)
    high = np.maximum(np.clip(ratios["ci_upper"].to_numpy(float), None, value * 3), value)
    return float(min(np.nanmin(low), 0.9) / 1.08), float(max(np.nanmax(high), 1.1) * 1.08)
