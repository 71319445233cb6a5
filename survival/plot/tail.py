"""Retention within and beyond the data: what was observed solid, what is extrapolated dashed on a shaded ground."""

from __future__ import annotations

import pandas as pd

from survival.plot import style
from survival.plot.style import Drawing

GROUND = "#f3f1ec"
MOST = 6


@style.figure_function
def extrapolated_retention(
    tails: pd.DataFrame, *, by: str = "by", ordered: bool = False, title: str = "", ylabel: str = "Customers retained"
) -> Drawing:
    """Draw retention curves with their extrapolated tails, up to six groups.

    `tails`: columns `by`, tenure (days), retention, ci_lower, ci_upper, model, extrapolated (as `Tails.tidy`). The shaded
    ground begins where the first group's data end; each group's tail is dashed from where its own data end.
    """
    if len(tails) == 0:
        return style.message("Nobody was at risk: there is no curve to draw.")
    groups = style.groups_in_order(tails[by])
    shown = groups[:MOST]
    labels = [style.shorten(str(g), 1.6) for g in shown]
    alone = len(shown) == 1
    right = 0.35 if alone else max(map(style.text_width, labels)) + 0.4
    figure = style.new_figure(0.8 + 5.6 + right, 3.1 + 1.0 + (0.42 if title else 0.3))
    axes = style.axes_in_inches(figure, 0.8, 1.0, 5.6, 3.1)
    horizon, ends, splices = float(tails["tenure"].max()), [], []
    for group, colour in zip(shown, style.colours(len(shown), ordered=ordered)):
        rows = tails[tails[by] == group].sort_values("tenure", kind="stable")
        seen, more = rows[~rows["extrapolated"].astype(bool)], rows[rows["extrapolated"].astype(bool)]
        axes.step(seen["tenure"], seen["retention"], where="post", color=colour)
        axes.fill_between(
            seen["tenure"], seen["ci_lower"], seen["ci_upper"], step="post", color=colour, alpha=0.16, linewidth=0
        )
        if len(more):
            joined = pd.concat([seen.tail(1), more])
            axes.plot(joined["tenure"], joined["retention"], color=colour, linestyle=(0, (4, 2)))
            axes.fill_between(
                joined["tenure"], joined["ci_lower"], joined["ci_upper"], color=colour, alpha=0.1, linewidth=0
            )
            axes.plot(
                seen["tenure"].tail(1), seen["retention"].tail(1), marker="o", markersize=3.5, color=colour, zorder=4
            )
            splices.append((float(seen["tenure"].iloc[-1]), str(more["model"].iloc[0]), str(group)))
        ends.append((float(rows["retention"].iloc[-1]), colour))
    if splices:
        first = min(t for t, _, _ in splices)
        axes.axvspan(first, horizon, color=GROUND, linewidth=0, zorder=0)
        words = f"extrapolated: {model_name(splices[0][1])}" if alone else "extrapolated"
        axes.text(first + 0.01 * horizon, 0.985, words, fontsize=8, color=style.SOFT, va="top", ha="left")
    style.percent_axis(axes)
    axes.set_xlim(0, horizon if horizon > 0 else 1)
    style.tenure_axis(axes, style.tenure_ticks(horizon))
    axes.set_ylabel(ylabel)
    axes.set_title(title, pad=10)
    if not alone:
        for (end, colour), label, place in zip(ends, labels, style.spread([e for e, _ in ends], 0.053, 0.02, 0.98)):
            axes.annotate(
                label, (1, end), (1.03, float(place)), xycoords="axes fraction", textcoords="axes fraction",
                color=style.text_colour(colour), va="center", annotation_clip=False,
                arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0},
            )  # fmt: skip
    w, h = figure.get_size_inches()
    missing = f"Not shown: the last {len(groups) - MOST} of {len(groups)}. " if len(groups) > MOST else ""
    if splices and not alone:
        models = "; ".join(f"{group}: {model_name(model)}" for _, model, group in splices)
        line = style.shorten(f"{missing}Models: {models}", 5.5 + right, 8)
        figure.text(0.8 / w, 0.27 / h, line, fontsize=8, color=style.SOFT)
    foot = "Solid: observed. Dashed: a model; its band spans all models not told apart by the data."
    figure.text(0.8 / w, 0.1 / h, foot, fontsize=8, color=style.SOFT)
    return figure


def model_name(model: str) -> str:
    """A family as it is written: Weibull has a capital."""
    return model.replace("weibull", "Weibull")
