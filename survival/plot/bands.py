"""A retention curve with the interval at each tenure and the band that holds the whole curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from survival.plot import style
from survival.plot.curve_options import options_of
from survival.plot.style import Drawing

MOST, ACROSS = 16, 4


@style.figure_function
def simultaneous_band(
    band: pd.DataFrame,
    *,
    by: str = "by",
    horizon: float | None = None,
    title: str = "",
    ylabel: str = "Customers retained",
    unit: str | None = None,
    breaks: float | Sequence[float] | None = None,
    until: float | None = None,
    scale: str = "percent",
) -> Drawing:
    """Draw `Curves.band().tidy`-like frames, one panel a group (up to sixteen, four in a row).

    `band`: columns `by`, tenure (days), retention, ci_lower, ci_upper, band_lower, band_upper. The pointwise interval is
    filled; the limits of the band are thin lines, only where it holds. `unit`, `breaks`, `until`, `scale`: as in `retention_curves`.
    """
    how = options_of(unit, breaks, until, scale=scale)
    groups = style.groups_in_order(band[by]) if len(band) else []
    if not groups:
        return style.message("Nobody was at risk: there is no curve to draw.")
    shown = groups[:MOST]
    horizon = how.horizon(float(band["tenure"].max() if horizon is None else horizon))
    wide, high, gap = (
        (5.6, 3.0, 0.4) if len(shown) == 1 else (3.0, 2.3, 0.35) if len(shown) <= ACROSS else (2.1, 1.5, 0.3)
    )
    rows, columns = -(-len(shown) // ACROSS), min(len(shown), ACROSS)
    left, bottom, between, top = 0.8, 0.92, 0.62, 0.3 + (0.25 if title else 0) if len(shown) > 1 or title else 0.15
    size = left + columns * (wide + gap) - gap + 0.25, bottom + rows * (high + between) - between + top
    figure = style.new_figure(*size)
    for number, group in enumerate(shown):
        row, column = divmod(number, ACROSS)
        corner = left + column * (wide + gap), bottom + (rows - 1 - row) * (high + between)
        axes = style.axes_in_inches(figure, *corner, wide, high)
        _panel(axes, band[band[by] == group], style.colours(len(shown))[number] if rows == 1 else style.NOMINAL[0])
        style.percent_axis(axes, scale=how.scale)
        axes.set_xlim(0, horizon)
        most = 9 if len(shown) == 1 else 6 if rows == 1 else 5
        how.fitted_axis(
            axes, horizon, wide, most=most, label=column == 0 and row == rows - 1, days_below=row == rows - 1
        )
        if column:
            axes.set_yticklabels([])
        elif row == rows // 2:
            axes.set_ylabel(ylabel)
        if len(shown) > 1:
            axes.set_title(style.shorten(str(group), wide, 9, "bold"), fontsize=9, pad=4)
    _words(figure, left, title, len(groups))
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    columns = ("retention", "ci_lower", "ci_upper", "band_lower", "band_upper")
    t = rows["tenure"].to_numpy(float)
    kept, low, high, lower, upper = (rows[c].to_numpy(float, na_value=np.nan) for c in columns)
    axes.fill_between(t, low, high, step="post", color=colour, alpha=0.22, linewidth=0)
    for limit in (lower, upper):
        axes.step(t, limit, where="post", color=colour, linewidth=0.9, linestyle=(0, (4, 1.5)), gid="band")
    axes.step(t, kept, where="post", color=colour)


def _words(figure: Drawing, left: float, title: str, groups: int) -> None:
    width, height = figure.get_size_inches()
    text = (
        "Filled: the interval at each tenure by itself. Dashed: the band that holds the whole curve between its ends."
    )
    if groups > MOST:
        text += f" Not shown: the last {groups - MOST} of {groups}."
    figure.text(left / width, 0.1 / height, text, fontsize=7.5, color=style.SOFT)
    if title:
        figure.text(left / width, 1 - 0.08 / height, title, fontweight="bold", fontsize=9.5, va="top")
