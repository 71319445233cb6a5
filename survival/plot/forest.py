"""Forest plot: hazard ratios with intervals on a log axis, the numbers in columns beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from survival.plot import style
from survival.plot.numbers import NOT_ESTIMABLE, confidence, is_missing, p_value, ratio_with_interval
from survival.plot.style import Drawing

MODELS = ("univariable", "multivariable")
LOOKS = {0: ("#0b3f7f", "s", 5.0), 1: ("#cf5200", "o", 4.6), 2: ("#00704f", "D", 4.4), 3: ("#8a2b6f", "^", 5.0)}
SINGLE = ("#0b3f7f", "s", 5.4)
WIDEST = 32.0  # intervals beyond 1/32 to 32 end in an arrow; the estimates themselves are always inside
ROW = 0.3
_CATEGORICAL = re.compile(
    r"\bC\(\s*`?([^(),`]+?)`?\s*(?:,(?:[^()]|\((?:[^()]|\([^()]*\))*\))*)?\)"
)  # C(plan, contr.treatment("pro"))


@dataclass(frozen=True)
class Row:
    """One line of the plot: its label, and (ratio, lower, upper, p) per model; `reference` rows have none."""

    label: str
    values: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)
    reference: bool = False
    indent: bool = False
    said: Mapping[str, str] = field(default_factory=dict)


def covariate_label(name: str) -> str:
    """formulaic's names made readable: 'plan[T.pro]' -> 'plan: pro', 'a:b' -> 'a × b', 'C(seats, contr.sum)' -> 'seats'."""
    parts = factors_of(_CATEGORICAL.sub(r"\1", name))
    said = " × ".join(re.sub(r"\[(?:T\.)?(.*)\]$", r": \1", part, flags=re.DOTALL) for part in parts)
    return " ".join(said.split())  # a level may hold line breaks, as quoted cells of a CSV file do


def factor_level(name: str) -> tuple[str, str] | None:
    """The factor and the level of a column such as 'plan[T.pro]'; None for numbers and interactions."""
    found = None if is_interaction(name) else re.match(r"(.*?)\[T\.(.*)\]$", name, re.DOTALL)
    return (found[1], " ".join(found[2].split())) if found else None


def is_interaction(name: str) -> bool:
    """Whether a term or column is a product, as 'overdue:plan[T.pro]'."""
    return len(factors_of(name)) > 1


def factors_of(name: str) -> list[str]:
    """What an interaction multiplies; the name itself where it is none. A colon in brackets is of a level, as in 'ad[T.a: b]'."""
    parts, depth = [""], 0
    for letter in name:
        depth = max(depth + (letter == "[") - (letter == "]"), 0)
        if letter == ":" and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return parts if not depth else re.split(r":(?![^\[]*\])", name)  # a level with a lone bracket


@style.figure_function
def forest(
    hazard_ratios: pd.DataFrame,
    *,
    labels: Mapping[str, str] | None = None,
    references: Mapping[str, str] | None = None,
    title: str = "",
    by: str = "model",
    level: float = 0.95,
    more: str = "higher churn rate",
    less: str = "lower churn rate",
) -> Drawing:
    """Draw a forest plot from hazard_ratios.csv.

    `hazard_ratios`: columns covariate, hazard_ratio, ci_lower, ci_upper, p, and `by` (model, or definition) for up to four sets
    side by side. NA hazard_ratio: 'not estimable', or the words of a column `said` where it has some. Rows keep the frame's
    order. `labels`: covariate -> what to call it. `references`: factor -> its reference level, drawn as a row above that
    factor's levels. `level`: of the intervals.
    """
    if len(hazard_ratios) == 0:
        return style.message("No hazard ratio was estimated.")
    sets = _sets(hazard_ratios, by)
    rows = _rows(hazard_ratios, sets, by, labels or {}, references or {})
    figure = _draw(rows, sets, title, more, less, level)
    left_out = hazard_ratios[by].nunique() - len(sets) if sets != [""] else 0
    if left_out:
        w, h = figure.get_size_inches()
        figure.text(
            0.1 / w,
            0.1 / h,
            f"Not shown: the last {left_out} of {left_out + len(sets)}",
            fontsize=7.5,
            color=style.SOFT,
        )
    return figure


def _sets(frame: pd.DataFrame, by: str) -> list[str]:
    if by not in frame.columns:
        return [""]
    found = [str(s) for s in style.groups_in_order(frame[by])]
    return [m for m in MODELS if m in found] if set(found) <= set(MODELS) else found[:4]


def _rows(
    frame: pd.DataFrame, sets: Sequence[str], by: str, labels: Mapping[str, str], references: Mapping[str, str]
) -> list[Row]:
    rows: list[Row] = []
    announced: set[str] = set()
    for covariate in style.groups_in_order(frame["covariate"]):
        name = str(covariate)
        factor, level = factor_level(name) or ("", "")
        if factor in references:
            if factor not in announced:
                announced.add(factor)
                rows.append(Row(labels.get(factor, covariate_label(factor)), reference=False))
                rows.append(Row(str(references[factor]), reference=True, indent=True))
            text, indent = labels.get(name, level), True
        else:
            text, indent = labels.get(name, covariate_label(name)), False
        here = frame[frame["covariate"] == covariate]
        values, said = {}, {}
        for one in sets:
            found = here if one == "" else here[here[by].astype(str) == one]
            if len(found):
                r = found.iloc[0]
                values[one] = tuple(
                    float("nan") if is_missing(r[c]) else float(r[c])
                    for c in ("hazard_ratio", "ci_lower", "ci_upper", "p")
                )
                if "said" in found and not is_missing(r["said"]) and r["said"]:
                    said[one] = str(r["said"])
        rows.append(Row(text, values, indent=indent, said=said))  # type: ignore[arg-type]
    return rows


def axis_limits(rows: Sequence[Row]) -> tuple[float, float]:
    """Limits of the axis: all intervals, with 1 inside, at least 0.5 to 2."""
    seen = [x for row in rows for v in row.values.values() for x in v[:3] if np.isfinite(x) and x > 0]
    ratios = [v[0] for row in rows for v in row.values.values() if np.isfinite(v[0]) and v[0] > 0]
    low, high = min([*seen, 0.55]) / 1.12, max([*seen, 1.8]) * 1.12
    # Every estimate is inside; an interval that reaches beyond them and beyond WIDEST is cut.
    return max(low, min([1 / WIDEST, *(r / 1.5 for r in ratios)])), min(high, max([WIDEST, *(1.5 * r for r in ratios)]))


def _draw(rows: list[Row], sets: list[str], title: str, more: str, less: str, level: float) -> Drawing:
    names = [style.wrap(r.label, 2.5 - 0.15 * r.indent, 8.5) for r in rows]
    lines = [(line, r.indent) for n, r in zip(names, rows) for line in n.split("\n")]
    left = max(1.0, max(style.text_width(line, 8.5) + 0.15 * indent for line, indent in lines)) + 0.3
    axis = 2.9 if len(sets) <= 2 else 3.4
    texts = {
        s: [r.said.get(s) or (ratio_with_interval(*r.values[s][:3]) if s in r.values else "") for r in rows]
        for s in sets
    }
    wide = {s: max(1.1, max(style.text_width(t) for t in texts[s])) for s in sets}
    column = 0.72
    right = sum(wide[s] + column + 0.2 for s in sets) + 0.1
    top, bottom = (0.55 if sets[0] else 0.35) + (0.32 if title else 0), 0.72
    width, height = left + axis + 0.2 + right, top + bottom + ROW * len(rows)
    figure = style.new_figure(width, height)
    axes = style.axes_in_inches(figure, left, bottom, axis, ROW * len(rows), facecolor="none")
    _stripes(figure, len(rows), bottom)
    ratio_axis(axes, rows, more, less)
    for i, one in enumerate(sets):
        _points(axes, rows, one, i, len(sets))
    _labels(figure, rows, names, left, bottom)
    x = left + axis + 0.2
    for i, one in enumerate(sets):
        colour = style.text_colour(LOOKS[i][0]) if len(sets) > 1 else style.INK
        _column(figure, rows, texts[one], one, x, wide[one], column, bottom, colour, level)
        if len(sets) > 1:
            _key(figure, x + 0.05, bottom + ROW * len(rows) + 0.39, i)
        x += wide[one] + column + 0.2
    if title:
        figure.text(0.1 / width, 1 - 0.1 / height, title, fontweight="bold", fontsize=9.5, va="top")
    return figure


def _stripes(figure: Drawing, n: int, bottom: float) -> None:
    """Every other row on light grey, across the figure, to lead the eye from label to numbers."""
    height = figure.get_figheight()
    for i in range(0, n, 2):
        y = (bottom + ROW * (n - i - 1)) / height
        figure.add_artist(
            Rectangle(
                (0, y), 1, ROW / height, facecolor="#f4f5f7", linewidth=0, zorder=-5, transform=figure.transFigure
            )
        )


def ratio_axis(axes: Axes, rows: Sequence[Row], more: str, less: str) -> None:
    """A log axis of hazard ratios over rows 0, 1, ... from the top, with a line at 1 and what either side means."""
    low, high = axis_limits(rows)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    ticks = style.log_ratio_ticks(low, high)
    axes.set_xticks(ticks, labels=[f"{t:g}" for t in ticks])
    axes.set_xticks([], minor=True)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.axvline(1, color=style.SOFT, linewidth=0.9, zorder=1)
    axes.grid(axis="x", zorder=0)
    axes.set_xlabel("Hazard ratio (log scale)", labelpad=14)
    at_one = (np.log(1 / low)) / np.log(high / low)
    for shift, text, align in ((-0.02, f"← {less}", "right"), (0.02, f"{more} →", "left")):
        axes.annotate(
            text, (at_one + shift, 0), (0, -18), xycoords="axes fraction", textcoords="offset points", ha=align, va="top",
            fontsize=7.5, color=style.SOFT, annotation_clip=False,
        )  # fmt: skip


def _points(axes: Axes, rows: Sequence[Row], one: str, i: int, n: int) -> None:
    colour, marker, size = LOOKS[i] if n > 1 else SINGLE
    shift = (i - (n - 1) / 2) * min(0.32, 0.8 / n)
    low, high = axes.get_xlim()
    for y, row in enumerate(rows):
        if one not in row.values or not np.isfinite(row.values[one][0]):
            continue
        centre, lower, upper, _ = row.values[one]
        at = y + shift
        if np.isfinite(lower) and np.isfinite(upper):
            axes.plot([max(lower, low), min(upper, high)], [at, at], color=colour, linewidth=1.4, zorder=2)
            for limit, beyond, arrow in ((low, lower < low, "<"), (high, upper > high, ">")):
                if beyond:
                    axes.plot([limit], [at], marker=arrow, color=colour, markersize=5, clip_on=False, zorder=3)
        if low <= centre <= high:
            axes.plot(
                [centre], [at], marker=marker, color=colour, markersize=size, zorder=3, linestyle="none",
                markerfacecolor="white" if n > 1 and i == 0 else colour, markeredgewidth=1.2,
            )  # fmt: skip


def _key(figure: Drawing, x: float, y: float, i: int) -> None:
    colour, marker, size = LOOKS[i]
    w, h = figure.get_size_inches()
    line = Line2D(
        [x / w], [y / h], marker=marker, color=colour, markersize=size, markeredgewidth=1.2, linestyle="none",
        markerfacecolor="white" if i == 0 else colour, transform=figure.transFigure,
    )  # fmt: skip
    figure.add_artist(line)


def _labels(figure: Drawing, rows: Sequence[Row], names: Sequence[str], left: float, bottom: float) -> None:
    w, h = figure.get_size_inches()
    for i, (row, name) in enumerate(zip(rows, names)):
        y = bottom + ROW * (len(rows) - i - 0.5)
        weight = "normal" if row.values or row.reference else "bold"
        figure.text(
            (0.1 + 0.15 * row.indent) / w, y / h, name, va="center", fontsize=8.5, fontweight=weight, linespacing=1.1
        )


def _column(
    figure: Drawing, rows: Sequence[Row], texts: Sequence[str], one: str, x: float, wide: float, column: float,
    bottom: float, colour: str, level: float,
) -> None:  # fmt: skip
    w, h = figure.get_size_inches()
    n = len(rows)
    top = bottom + ROW * n
    if one:
        shift = 0.17 if colour != style.INK else 0  # room for the marker
        figure.text(
            (x + shift) / w,
            (top + 0.39) / h,
            one.capitalize() if one in MODELS else one,
            color=colour,
            fontweight="bold",
            va="center",
        )
    figure.text(x / w, (top + 0.1) / h, f"HR ({confidence(level)} CI)", fontsize=8.5, color=style.SOFT)
    figure.text((x + wide + column) / w, (top + 0.1) / h, "p", fontsize=8.5, color=style.SOFT, ha="right")
    for i, (row, text) in enumerate(zip(rows, texts)):
        y = (bottom + ROW * (n - i - 0.5)) / h
        if row.reference:
            figure.text(x / w, y, "1 (reference)", va="center", color=style.SOFT)
        elif one in row.values:
            lost = text == NOT_ESTIMABLE or one in row.said
            figure.text(x / w, y, text, va="center", color=style.SOFT if lost else style.INK)
            if not lost:
                figure.text((x + wide + column) / w, y, p_value(row.values[one][3]), va="center", ha="right")
