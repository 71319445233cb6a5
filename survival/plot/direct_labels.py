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
SIDE = 0.015  # between a curve's end and its name, in shares of the axis
SHIFTS = (0, 0.04, -0.04, 0.08, -0.08, 0.12, -0.12, 0.16, -0.16, 0.2, -0.2, 0.26, -0.26)


def direct_labels(axes: Axes, drawn: Sequence[Curve], labels: Sequence[str], width: float) -> list[Box]:
    """Name each curve: at its end where there is room for the name, else in the margin. `width` of the axes in inches.

    Returns the places inside the axes that names take.
    """
    edge = axes.get_xlim()[1]
    wide = [style.text_width(label, 8) / width * edge for label in labels]
    late = [i for i, c in enumerate(drawn) if c.stop + SIDE * edge + wide[i] > edge]
    places = style.spread([drawn[i].last for i in late], 0.053, 0.02, 0.98)
    for i, place in zip(late, places):
        _in_margin(axes, drawn[i], labels[i], float(place))
    taken: list[Box] = []
    # The last to end first: its name lies to the right, out of the way of the lines to the others' names.
    for i in sorted(set(range(len(drawn))) - set(late), key=lambda i: -drawn[i].stop):
        taken.append(_at_end(axes, drawn, drawn[i], labels[i], wide[i], taken))
    return taken


def _in_margin(axes: Axes, curve: Curve, label: str, place: float) -> None:
    end = curve.stop / axes.get_xlim()[1]
    if end < 0.97:
        axes.plot([curve.stop], [curve.last], marker="o", markersize=3.2, color=curve.colour, clip_on=False, zorder=4)
    axes.annotate(
        "", (1.0 if end >= 0.97 else end, curve.last), (1.025, place), xycoords="axes fraction", textcoords="axes fraction",
        arrowprops={"arrowstyle": "-", "color": curve.colour, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip
    ink = style.text_colour(curve.colour)
    axes.text(1.03, place, label, transform=axes.transAxes, color=ink, va="center", ha="left")


def _at_end(axes: Axes, drawn: Sequence[Curve], curve: Curve, label: str, wide: float, taken: Sequence[Box]) -> Box:
    """Mark a curve's end and name it there, at the nearest place that meets fewest curves and no other label."""
    edge, end = axes.get_xlim()[1], curve.last
    side = SIDE * edge
    best, least = (curve.stop + side, curve.stop + side + wide, end - TALL / 2, end + TALL / 2), math.inf
    for left in (curve.stop + side, curve.stop - side - wide):
        for shift in SHIFTS:
            box = (left, left + wide, end + shift - TALL / 2, end + shift + TALL / 2)
            if left < 0 or box[2] < 0.01 or box[3] > 0.99 or any(overlap(box, other) for other in taken):
                continue
            cost = sum(passes(c, box) for c in drawn) + 4 * abs(shift) + (0.3 if left < curve.stop else 0)
            cost += 2 * sum(_crosses((curve.stop, end), _foot(box, curve.stop), other) for other in taken)
            if cost < least:
                best, least = box, cost
    axes.plot([curve.stop], [end], marker="o", markersize=3.2, color=curve.colour, clip_on=False, zorder=4)
    line = {"arrowstyle": "-", "color": curve.colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 2}
    right = best[0] >= curve.stop
    axes.annotate(
        label, (curve.stop, end), _foot(best, curve.stop), textcoords="data", color=style.text_colour(curve.colour), fontsize=8,
        va="center", ha="left" if right else "right", annotation_clip=False, zorder=5,
        arrowprops=line if (best[2] + best[3]) / 2 != end else None, path_effects=[Stroke(linewidth=2.5, foreground="white"), Normal()],
    )  # fmt: skip
    return best


def _foot(box: Box, x: float) -> tuple[float, float]:
    """Where the line to a label ends: the middle of the side that is nearer to `x`."""
    return (box[0] if box[0] >= x else box[1], (box[2] + box[3]) / 2)


def _crosses(a: tuple[float, float], b: tuple[float, float], box: Box) -> bool:
    """Does the straight line from a to b run through this box?"""
    x, y = (np.linspace(p, q, 15) for p, q in zip(a, b))
    return bool(np.any((x > box[0]) & (x < box[1]) & (y > box[2]) & (y < box[3])))


def overlap(a: Box, b: Box) -> bool:
    """Do these boxes share a place?"""
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]


def passes(curve: Curve, box: Box) -> bool:
    """Does the curve run through this box?"""
    s = curve.at(np.linspace(box[0], box[1], 12))
    s = s[~np.isnan(s)]
    low, high = (pick(s[:-1], s[1:]) for pick in (np.minimum, np.maximum))  # a step between two places is drawn upright
    return bool(np.any((high >= box[2]) & (low <= box[3])) or np.any((s >= box[2]) & (s <= box[3])))
