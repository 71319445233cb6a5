"""The numbers of a figure's curves, carried inside its SVG, so that a page can show them under the pointer."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

_KEY = "curves of this figure: "
_DAYS = 240  # days of a panel of which the numbers are carried
_UNLESS_TOLD = {"unit": "days", "per": "1", "scale": "percent"}


def tell(axes: Axes, **what: str) -> None:
    """Keep with the axes how their numbers are written: `unit` of tenure and days `per` unit, `scale` (percent, share)."""
    # The label of axes is not drawn, and is kept with them.
    axes.set_label(" ".join(f"{key}={value}" for key, value in (_told(axes) | what).items()))


def _told(axes: Axes) -> dict[str, str]:
    return _UNLESS_TOLD | dict(part.split("=", 1) for part in str(axes.get_label()).split() if "=" in part)


def readings(figure: Figure) -> str:
    """The labelled steps of each panel as JSON after a key; nothing when there are none.

    [{"box": left, bottom, right, top as shares of the figure, "span": days at its left and right edge, "unit": of tenure
    as the axis has it, "per": days in one, "scale": percent or share, "days": [day], "curves": [{"name", "colour", "values": [on that
    scale, rounded once, as it is shown; null beyond its end]}]}]
    """
    panels = []
    for axes in figure.axes:
        curves = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
        if not curves or "scale=" not in str(axes.get_label()):  # not shares, such as log(−log)
            continue
        left, right = axes.get_xlim()
        last = min(right, max(float(np.max(line.get_xdata())) for line in curves))
        days = np.unique(np.round(np.linspace(0, last, _DAYS + 1)))
        place, told = axes.get_position(), _told(axes)
        panels.append(
            {
                "box": [round(v, 4) for v in (place.x0, place.y0, place.x1, place.y1)],
                "span": [round(left, 2), round(right, 2)],
                "unit": told["unit"],
                "per": float(told["per"]),
                "scale": told["scale"],
                "days": days.astype(int).tolist(),
                "curves": [_curve(line, days, told["scale"]) for line in curves],
            }
        )
    return _KEY + json.dumps(panels, separators=(",", ":")) if panels else ""


def _curve(line: Line2D, days: np.ndarray, scale: str) -> dict[str, Any]:
    tenure, value = (np.asarray(v, dtype=float) for v in line.get_data())
    place = np.clip(np.searchsorted(tenure, days, side="right") - 1, 0, None)
    there = (days >= tenure[0]) & (days <= tenure[-1]) & np.isfinite(value[place])
    factor, places = (1, 3) if scale == "share" else (100, 1)
    values = [round(factor * float(v), places) if ok else None for v, ok in zip(value[place], there)]
    return {"name": str(line.get_label()), "colour": to_hex(line.get_color()), "values": values}


def readings_of(svg: bytes) -> str:
    """The JSON that an SVG carries; nothing when it carries none."""
    found = re.search(rf"{_KEY}(.*?)</dc:description>".encode(), svg, re.DOTALL)
    return unescape(found.group(1).decode()) if found else ""
