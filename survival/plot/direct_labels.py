"""The name of each curve beside the curve itself, so that nobody has to match colours with a legend."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import Normal, Stroke

from survival.plot import style
from survival.plot.curve import Curve

Box = tuple[float, float, float, float]  # left, right, low, high
TALL = 0.05  # of a label, in shares retained
SHIFTS = (0, 0.04, -0.04, 0.08, -0.08, 0.12, -0.12, 0.16, -0.16, 0.2, -0.2, 0.26, -0.26)


def direct_labels(axes: Axes, drawn: Sequence[Curve], labels: Sequence[str], width: float) -> list[Box]:
    """Name each curve: in the margin when it reaches the right edge, else at its end. `width` of the axes in inches.

    Returns the places inside the axes that names take.
    """
    edge = axes.get_xlim()[1]
    late = [i for i, c in enumerate(drawn) if c.stop >= 0.97 * edge]
    places = style.spread([drawn[i].last for i in late], 0.053, 0.02, 0.98)
    for i, place in zip(late, places):
        _in_margin(axes, drawn[i], labels[i], float(place))
    taken: list[Box] = []
    for i in sorted(set(range(len(drawn))) - set(late), key=lambda i: drawn[i].stop):
        wide = style.text_width(labels[i], 8) / width * edge
        taken.append(_at_end(axes, drawn, drawn[i], labels[i], wide, taken))
    return taken


def _in_margin(axes: Axes, curve: Curve, label: str, place: float) -> None:
    axes.annotate(
        "", (1.0, curve.last), (1.025, place), xycoords="axes fraction", textcoords="axes fraction",
        arrowprops={"arrowstyle": "-", "color": curve.colour, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip
    ink = style.text_colour(curve.colour)
    axes.text(1.03, place, label, transform=axes.transAxes, color=ink, va="center", ha="left")


def _at_end(axes: Axes, drawn: Sequence[Curve], curve: Curve, label: str, wide: float, taken: Sequence[Box]) -> Box:
    """Mark a curve's end and name it there, at the nearest height that meets fewest curves and no other label."""
    edge, end = axes.get_xlim()[1], curve.last
    x = curve.stop + 0.015 * edge
    best, least = end, math.inf
    for shift in SHIFTS:
        box = (x, x + wide, end + shift - TALL / 2, end + shift + TALL / 2)
        if box[2] < 0.01 or box[3] > 0.99 or any(overlap(box, other) for other in taken):
            continue
        cost = sum(passes(c, box) for c in drawn) + 4 * abs(shift)
        if cost < least:
            best, least = end + shift, cost
    axes.plot([curve.stop], [end], marker="o", markersize=3.2, color=curve.colour, clip_on=False, zorder=4)
    line = {"arrowstyle": "-", "color": curve.colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 2}
    axes.annotate(
        label, (curve.stop, end), (x, best), textcoords="data", color=style.text_colour(curve.colour), fontsize=8,
        va="center", arrowprops=line if best != end else None, annotation_clip=False, zorder=5,
        path_effects=[Stroke(linewidth=2.5, foreground="white"), Normal()],
    )  # fmt: skip
    return (x, x + wide, best - TALL / 2, best + TALL / 2)


def overlap(a: Box, b: Box) -> bool:
    """Do these boxes share a place?"""
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]


def passes(curve: Curve, box: Box) -> bool:
    """Does the curve run through this box?"""
    s = curve.at(np.linspace(box[0], box[1], 12))
    return bool(np.any((s >= box[2]) & (s <= box[3])))
