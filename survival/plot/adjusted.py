"""Adjusted curves beside those observed, and curves at chosen values of one covariate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from survival.plot import style
from survival.plot.curve import Curve, curves_of, draw_curve
from survival.plot.curve_options import CurveOptions, options_of
from survival.plot.direct_labels import direct_labels
from survival.plot.numbers import count, decimal
from survival.plot.retention import BANDS_UP_TO, retention_curves
from survival.plot.risk_table import Block, shown_ticks
from survival.plot.style import Drawing

OBSERVED, ADJUSTED = "observed", "adjusted"
TOGETHER_UP_TO = 4  # beyond, a panel a group
MOST = 36
WIDTH, HEIGHT, ROW = 3.5, 2.9, 0.19  # inches: a panel, and a row of the risk table
GREY_DASH: Any = (0, (3, 1.4))


@style.figure_function
def adjusted_retention(
    curves: pd.DataFrame,
    at_risk: pd.DataFrame | None = None,
    *,
    by: str = "cohort",
    ordered: bool = False,
    horizon: float | None = None,
    adjusted_for: str = "",
    title: str = "",
    ylabel: str = "Customers retained",
    unit: str | None = None,
    breaks: float | Sequence[float] | None = None,
    until: float | None = None,
    band: str = "pointwise",
    scale: str = "percent",
) -> Drawing:
    """Draw the curves of groups as observed and adjusted: side by side, or for many groups a panel each with both.

    `curves`: columns `by`, curve (`observed` or `adjusted`), tenure (days), retention, ci_lower, ci_upper (NA ends a curve).
    `at_risk`: columns `by`, tenure, at_risk, the numbers at risk start <= t < stop; its tenures become the ticks.
    `adjusted_for`: words above the adjusted curves, such as `plan and country`. Groups keep the order of the frame.
    `unit`, `breaks`, `until`, `band` (pointwise or none), `scale`: as in `retention_curves`.
    """
    how = options_of(unit, breaks, until, band=band, scale=scale)
    known = curves[curves["retention"].notna()] if len(curves) else curves
    groups = style.groups_in_order(known[by]) if len(known) else []
    if not groups:
        return style.message("Nobody was at risk: there is no curve to draw.")
    horizon = how.horizon(float(known["tenure"].max() if horizon is None else horizon))
    pair = [_curves(known, kind, by, groups, ordered, horizon) for kind in (OBSERVED, ADJUSTED)]
    heads = ["As observed", f"Adjusted for {adjusted_for}" if adjusted_for else "Adjusted"]
    many = len(groups) > TOGETHER_UP_TO
    numbers = _numbers(
        at_risk, by, groups, horizon, 5 if many else 6, how, _panel_size(len(groups))[1][0] if many else WIDTH
    )
    return (_panels if many else _side_by_side)(pair, groups, numbers, horizon, heads, title, ylabel, how)


def _curves(
    frame: pd.DataFrame, kind: str, by: str, groups: Sequence[Any], ordered: bool, horizon: float
) -> dict[str, Curve]:
    """The curves of one kind by label; a group keeps its colour where it has none of this kind."""
    rows = frame[frame["curve"] == kind]
    there = set(rows[by])
    palette, dashes = style.colours(len(groups), ordered=ordered), style.dashes(len(groups))
    found = {}
    for group, colour, dash in zip(groups, palette, dashes):
        if group in there:
            (curve,) = curves_of(rows[rows[by] == group], by, [group], ordered, horizon)
            line = "solid" if ordered and len(groups) > 2 else dash
            found[str(group)] = Curve(
                curve.label, curve.tenure, curve.retention, curve.lower, curve.upper, colour, line
            )
    return found


def _numbers(
    at_risk: pd.DataFrame | None,
    by: str,
    groups: Sequence[Any],
    horizon: float,
    most: int,
    how: CurveOptions,
    width: float,
) -> tuple[np.ndarray, list[list[str]]] | None:
    """The risk table as text: its tenures, and a row a group."""
    if at_risk is None or not len(at_risk):
        return None
    tenures = np.unique(at_risk["tenure"].to_numpy(float))
    tenures = tenures[tenures <= 1.01 * horizon]
    known = {(g, float(t)): n for g, t, n in zip(at_risk[by], at_risk["tenure"], at_risk["at_risk"])}
    cells = [[count(known[g, t]) if (g, t) in known else "" for t in map(float, tenures)] for g in groups]
    if how.unit is None and how.breaks is None:
        kept = np.arange(0, len(tenures), max(1, math.ceil(len(tenures) / most)))
    else:
        block = Block("at_risk", tuple(map(tuple, cells)))
        kept = shown_ticks([block], tenures, how.written(tenures), width, max(horizon, float(tenures.max(initial=0))))
    return tenures[kept], [[line[i] for i in kept] for line in cells]


def _side_by_side(
    pair: list[dict[str, Curve]], groups: Sequence[Any], numbers: Any, horizon: float, heads: list[str], title: str,
    ylabel: str, how: CurveOptions,
) -> Drawing:  # fmt: skip
    names = [style.shorten(str(g), 1.5) for g in groups]
    widest = max(map(style.text_width, names))
    left = max(0.8, widest + 0.75) if numbers else 0.8
    margin = widest + 0.42
    under = 0.72 + ROW * len(groups) + 0.1 if numbers else 0.66
    figure = style.new_figure(left + 2 * (WIDTH + margin) + 0.1, under + HEIGHT + (0.62 if title else 0.36))
    ticks = numbers[0] if numbers else how.ticks(horizon, 6)
    last = max(horizon, float(ticks.max(initial=0)))
    for i, (curves, head) in enumerate(zip(pair, heads)):
        axes = style.axes_in_inches(figure, left + i * (WIDTH + margin), under, WIDTH, HEIGHT)
        _one(axes, curves, dict(zip(map(str, groups), names)), last, len(groups), how)
        if numbers:
            how.draw_axis(axes, ticks, ticks, days_below=False)
        else:
            how.fitted_axis(axes, horizon, WIDTH, most=6, days_below=False)
        if i:
            axes.set_yticklabels([])
        else:
            axes.set_ylabel(ylabel)
        axes.set_title(style.shorten(head, WIDTH + margin, 9.5, "bold"), fontsize=9.5, pad=6)
        if numbers and not i:
            _risk_table(figure, axes, pair, groups, names, numbers, left)
    if title:
        w, h = figure.get_size_inches()
        figure.text(left / w, 1 - 0.1 / h, title, fontweight="bold", fontsize=9.5, va="top")
    return figure


def _one(
    axes: Axes, curves: dict[str, Curve], names: dict[str, str], last: float, groups: int, how: CurveOptions
) -> None:
    for curve in curves.values():
        draw_curve(axes, curve, band=how.band != "none" and groups <= BANDS_UP_TO)
    style.percent_axis(axes, scale=how.scale)
    axes.set_xlim(0, last if last > 0 else 1)
    if groups > 1:
        direct_labels(axes, list(curves.values()), [names[label] for label in curves], WIDTH)


def _risk_table(
    figure: Drawing, axes: Axes, pair: list[dict[str, Curve]], groups: Sequence[Any], names: list[str], numbers: Any,
    left: float,
) -> None:  # fmt: skip
    """Numbers at risk under the curves as observed; the adjusted ones are of the same customers."""
    w, h = figure.get_size_inches()
    n, (ticks, rows) = len(groups), numbers
    table = style.axes_in_inches(figure, left, 0.1, WIDTH, ROW * n, sharex=axes)
    table.set_gid("risk-table")
    table.set_ylim(n - 0.5, -0.5)
    table.axis("off")
    figure.text(0.12 / w, (0.17 + ROW * n) / h, "Number at risk", va="bottom", fontsize=8.5, fontweight="bold")
    for i, (group, name, cells) in enumerate(zip(groups, names, rows)):
        for tick, cell in zip(ticks, cells):
            table.text(tick, i, cell, ha="center", va="center", fontsize=8.5, clip_on=False)
        y = (0.1 + ROW * (n - i - 0.5)) / h
        curve = next((curves[str(group)] for curves in pair if str(group) in curves), None)
        if curve is not None:
            key = Line2D([0.12 / w, 0.38 / w], [y, y], color=curve.colour, linestyle=curve.dash, linewidth=1.7)
            key.set_transform(figure.transFigure)
            figure.add_artist(key)
        figure.text(0.45 / w, y, name, va="center", ha="left")


def _panels(
    pair: list[dict[str, Curve]], groups: Sequence[Any], numbers: Any, horizon: float, heads: list[str], title: str,
    ylabel: str, how: CurveOptions,
) -> Drawing:  # fmt: skip
    shown = [str(g) for g in groups[:MOST]]
    columns, panel = _panel_size(len(shown))
    gap_x, gap_y, left, top = 0.3, 0.72 if numbers else 0.5, 0.95, 0.62 if title else 0.32
    rows, bottom = math.ceil(len(shown) / columns), 1.2 if numbers else 0.98
    size = left + columns * (panel[0] + gap_x) - gap_x + 0.25, bottom + rows * (panel[1] + gap_y) - gap_y + top
    figure = style.new_figure(*size)
    ticks = numbers[0] if numbers else how.ticks(horizon, 5)
    observed, adjusted = pair
    for i, name in enumerate(shown):
        r, c = divmod(i, columns)
        corner = left + c * (panel[0] + gap_x), bottom + (rows - 1 - r) * (panel[1] + gap_y)
        axes = style.axes_in_inches(figure, *corner, *panel)
        if name in observed:
            o = observed[name]
            axes.step(
                o.tenure, o.retention, where="post", color=style.INK, linewidth=1.1, linestyle=GREY_DASH, zorder=3,
                label="as observed",
            )  # fmt: skip
        if name in adjusted:
            a = adjusted[name]
            plain = Curve("adjusted", a.tenure, a.retention, a.lower, a.upper, style.NOMINAL[2], "solid")
            draw_curve(
                axes, plain, band=how.band != "none", solid=True, width=2.6
            )  # still seen where the observed one lies on it
        style.percent_axis(axes, scale=how.scale)
        axes.set_xlim(0, max(horizon, float(ticks.max(initial=0))) or 1)
        if numbers:
            how.draw_axis(axes, ticks, ticks, label=False, days_below=False)
        else:
            how.fitted_axis(axes, horizon, panel[0], most=5, label=False, days_below=False)
        axes.set_title(style.shorten(name, panel[0], 9, "bold"), fontsize=9, pad=4)
        if c:
            axes.set_yticklabels([])
        if numbers:
            _under(axes, ticks, numbers[1][i], label=c == 0)
    _words(figure, how.axis_words(ticks), heads, title, ylabel, left, len(groups), numbers is not None)
    return figure


def _panel_size(groups: int) -> tuple[int, tuple[float, float]]:
    """Panels beside each other, and their width and height (inches)."""
    return (3, (2.35, 1.6)) if groups <= 9 else (4, (1.85, 1.35))


def _under(axes: Axes, ticks: np.ndarray, cells: Sequence[str], *, label: bool) -> None:
    """Numbers at risk under one panel."""
    for tick, cell in zip(ticks, cells):
        axes.annotate(
            cell, (tick, 0), (0, -17), xycoords=axes.get_xaxis_transform(), textcoords="offset points", ha="center",
            va="top", fontsize=7.5, color=style.INK, annotation_clip=False, gid="risk-table",
        )  # fmt: skip
    if label:
        axes.annotate(
            "at risk", (0, 0), (-17, -17), xycoords="axes fraction", textcoords="offset points", ha="right", va="top",
            fontsize=7.5, color=style.SOFT, annotation_clip=False,
        )  # fmt: skip


def _words(
    figure: Drawing, axis: str, heads: list[str], title: str, ylabel: str, left: float, groups: int, table: bool
) -> None:
    w, h = figure.get_size_inches()
    figure.text(left / w, 0.52 / h, axis + ("; below: number at risk" if table else ""))
    missing = f". Not shown: the last {groups - MOST} of {groups}" if groups > MOST else ""
    keys: tuple[tuple[float, str, Any, float], ...] = (
        (left, style.NOMINAL[2], "solid", 2.6),
        (0.0, style.INK, GREY_DASH, 1.1),
    )
    for x, colour, dash, width in keys:
        start = x or left + 0.55 + style.text_width(heads[1], 8.5)
        key = Line2D([start / w, (start + 0.3) / w], [0.28 / h] * 2, color=colour, linestyle=dash, linewidth=width)
        key.set_transform(figure.transFigure)
        figure.add_artist(key)
        words = heads[1] if x == left else f"as observed{missing}"
        figure.text((start + 0.36) / w, 0.28 / h, words, fontsize=8.5, va="center")
    figure.text(0.08 / w, 0.5, ylabel, rotation=90, va="center")
    if title:
        figure.text(left / w, 1 - 0.1 / h, title, fontweight="bold", fontsize=9.5, va="top")


@style.figure_function
def partial_effects(
    effects: pd.DataFrame,
    *,
    label: str = "",
    horizon: float | None = None,
    title: str = "",
    ylabel: str = "Predicted retention",
    unit: str | None = None,
    breaks: float | Sequence[float] | None = None,
    until: float | None = None,
    band: str = "pointwise",
    scale: str = "percent",
) -> Drawing:
    """Draw the frame of `fit.partial_effects`: a curve with its band for each value of the covariate, named beside it.

    `effects`: columns covariate, value, tenure (days), retention, ci_lower, ci_upper. `label`: what the covariate is called, by
    default its name. Numbers are taken as ordered, and have a sequential palette. `unit` to `scale`: as in `retention_curves`.
    """
    if not len(effects):
        return style.message("There is no value to draw.")
    name = label or str(effects["covariate"].iloc[0]).replace("_", " ")
    number = pd.api.types.is_numeric_dtype(effects["value"])
    shown = effects.sort_values("value", kind="stable") if number else effects
    values = [
        f"{name} {decimal(v, 0) if float(v).is_integer() else f'{v:.4g}'}" if number else f"{v}" for v in shown["value"]
    ]
    return retention_curves(
        shown.assign(value=values), by="value", ordered=bool(number), horizon=horizon, title=title or f"By {name}", ylabel=ylabel,
        layout="together", unit=unit, breaks=breaks, until=until, band=band, scale=scale,
    )  # fmt: skip
