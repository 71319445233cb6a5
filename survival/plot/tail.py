"""Retention within and beyond the data: what was observed solid, what is extrapolated dashed on a shaded ground."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from survival.plot import risk_table, style
from survival.plot.curve import Curve
from survival.plot.curve_notes import corner_text, median_lines, median_values
from survival.plot.curve_options import CurveOptions, options_of
from survival.plot.style import Drawing

GROUND = "#f3f1ec"
MOST = 6
WIDTH, HEIGHT, FOOT = 5.6, 3.1, 0.38  # inches: the panel, and the two lines at the foot


@style.figure_function
def extrapolated_retention(
    tails: pd.DataFrame,
    observed: pd.DataFrame | None = None,
    *,
    by: str = "by",
    ordered: bool = False,
    title: str = "",
    ylabel: str = "Customers retained",
    rows: Sequence[str] | None = None,
    medians: pd.DataFrame | None = None,
    unit: str | None = None,
    breaks: float | Sequence[float] | None = None,
    until: float | None = None,
    band: str = "pointwise",
    scale: str = "percent",
) -> Drawing:
    """Draw retention curves with their extrapolated tails, up to six groups.

    `tails`: columns `by`, tenure (days), retention, ci_lower, ci_upper, model, extrapolated (as `Tails.tidy`). The shaded
    ground begins where the first group's data end; each group's tail is dashed from where its own data end. `observed`: the
    curves of the data (as `Curves.tidy`), from which the tables under the axis are counted. The other options are those of
    `retention_curves`; a median that is not reached within the data has no line.
    """
    if len(tails) == 0:
        return style.message("Nobody was at risk: there is no curve to draw.")
    asked = rows if rows is not None else ("at_risk",) if observed is not None else ()
    how = options_of(unit, breaks, until, rows=asked, band=band, scale=scale)
    groups = style.groups_in_order(tails[by])
    shown = groups[:MOST]
    horizon = how.horizon(float(tails["tenure"].max()))
    palette = style.colours(len(shown), ordered=ordered)
    drawn = [_curve(tails[(tails[by] == g) & (tails["tenure"] <= horizon)], str(g), c) for g, c in zip(shown, palette)]
    labels = [style.shorten(curve.label, 1.6) for curve in drawn]
    every = how.ticks(horizon)
    last = max(horizon, float(every.max(initial=0))) or 1.0
    blocks = risk_table.numbers(observed if observed is not None else tails, None, by, shown, every, how.rows)
    kept = risk_table.shown_ticks(blocks, every, how.written(every), WIDTH, last)
    blocks = [risk_table.Block(b.row, tuple(tuple(line[i] for i in kept) for line in b.cells)) for b in blocks]
    alone, widest = len(shown) == 1, max(map(style.text_width, labels))
    left = max(0.8, widest + 0.58 + risk_table.first_width(blocks) / 2) if blocks else 0.8
    right = 0.35 if alone else widest + 0.4
    under = FOOT + (0.62 if not blocks else 0.72 - risk_table.HEAD + risk_table.height(blocks, len(shown)))
    figure = style.new_figure(left + WIDTH + right, under + HEIGHT + (0.42 if title else 0.3))
    axes = style.axes_in_inches(figure, left, under, WIDTH, HEIGHT)
    splices = [s for g, curve in zip(shown, drawn) if (s := _draw(axes, tails[tails[by] == g], curve, how, horizon))]
    _ground(axes, splices, last, alone)
    style.percent_axis(axes, scale=how.scale)
    axes.set_xlim(0, last)
    how.draw_axis(axes, every[kept], every)
    axes.set_ylabel(ylabel)
    axes.set_title(title, pad=10)
    if not alone:
        _names(axes, drawn, labels)
    if medians is not None:
        taken, words = median_lines(axes, drawn, labels, median_values(medians, by, shown), how, WIDTH)
        corner_text(axes, words, drawn, taken, WIDTH)
    risk_table.draw(figure, axes, drawn, labels, blocks, every[kept], left, WIDTH, FOOT)
    _foot(figure, left, right, splices if not alone else [], len(groups))
    return figure


def _curve(rows: pd.DataFrame, label: str, colour: str) -> Curve:
    rows = rows.sort_values("tenure", kind="stable")
    t, s, low, high = (
        rows[c].to_numpy(float, na_value=np.nan) for c in ("tenure", "retention", "ci_lower", "ci_upper")
    )
    return Curve(label, t, s, low, high, colour, "solid")


def _draw(
    axes: Axes, rows: pd.DataFrame, curve: Curve, how: CurveOptions, horizon: float
) -> tuple[float, str, str] | None:
    """The two parts of a curve; where and by which model it goes on, None where it does not."""
    rows = rows[rows["tenure"] <= horizon].sort_values("tenure", kind="stable")
    beyond = rows["extrapolated"].astype(bool)
    seen, more, colour = rows[~beyond], rows[beyond], curve.colour
    axes.step(seen["tenure"], seen["retention"], where="post", color=colour)
    if how.band != "none":
        axes.fill_between(
            seen["tenure"], seen["ci_lower"], seen["ci_upper"], step="post", color=colour, alpha=0.16, linewidth=0
        )
    if more.empty:
        return None
    joined = pd.concat([seen.tail(1), more])
    axes.plot(joined["tenure"], joined["retention"], color=colour, linestyle=(0, (4, 2)))
    if how.band != "none":
        axes.fill_between(
            joined["tenure"], joined["ci_lower"], joined["ci_upper"], color=colour, alpha=0.1, linewidth=0
        )
    axes.plot(seen["tenure"].tail(1), seen["retention"].tail(1), marker="o", markersize=3.5, color=colour, zorder=4)
    return float(seen["tenure"].iloc[-1]), str(more["model"].iloc[0]), curve.label


def _ground(axes: Axes, splices: Sequence[tuple[float, str, str]], last: float, alone: bool) -> None:
    if not splices:
        return
    first = min(t for t, _, _ in splices)
    axes.axvspan(first, last, color=GROUND, linewidth=0, zorder=0)
    axes.axvline(first, color=style.RULE, linewidth=0.8, zorder=0.5)
    words = f"extrapolated: {model_name(splices[0][1])}" if alone else "extrapolated"
    axes.text(first + 0.01 * last, 0.985, words, fontsize=8, color=style.SOFT, va="top", ha="left")


def _names(axes: Axes, drawn: Sequence[Curve], labels: Sequence[str]) -> None:
    places = style.spread([curve.last for curve in drawn], 0.053, 0.02, 0.98)
    for curve, label, place in zip(drawn, labels, places):
        axes.annotate(
            label, (1, curve.last), (1.03, float(place)), xycoords="axes fraction", textcoords="axes fraction",
            color=style.text_colour(curve.colour), va="center", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": curve.colour, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip


def _foot(figure: Drawing, left: float, right: float, splices: Sequence[tuple[float, str, str]], groups: int) -> None:
    (w, h), missing = (
        figure.get_size_inches(),
        f"Not shown: the last {groups - MOST} of {groups}. " if groups > MOST else "",
    )
    if splices:
        models = "; ".join(f"{group}: {model_name(model)}" for _, model, group in splices)
        line = style.shorten(f"{missing}Models: {models}", 5.5 + right, 8)
        figure.text(left / w, 0.27 / h, line, fontsize=8, color=style.SOFT)
    foot = "Solid: observed. Dashed: a model; its band spans all models not told apart by the data."
    figure.text(left / w, 0.1 / h, foot, fontsize=8, color=style.SOFT)


def model_name(model: str) -> str:
    """A family as it is written: Weibull has a capital."""
    return model.replace("weibull", "Weibull")
