"""The numbers of a figure's curves, carried inside its SVG, so that a page can show them under the pointer."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

_KEY = "curves of this figure: "
_DAYS = 240  # days of a panel of which the numbers are carried


def readings(figure: Figure) -> str:
    """The labelled steps of each panel as JSON after a key; nothing when there are none.

    [{"box": left, bottom, right, top as shares of the figure, "span": days at its left and right edge, "days": [day],
    "curves": [{"name", "colour", "values": [per cent, or null beyond its end]}]}]
    """
    panels = []
    for axes in figure.axes:
        curves = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
        if not curves:
            continue
        left, right = axes.get_xlim()
        last = min(right, max(float(np.max(line.get_xdata())) for line in curves))
        days = np.unique(np.round(np.linspace(0, last, _DAYS + 1)))
        place = axes.get_position()
        panels.append(
            {
                "box": [round(v, 4) for v in (place.x0, place.y0, place.x1, place.y1)],
                "span": [round(left, 2), round(right, 2)],
                "days": days.astype(int).tolist(),
                "curves": [_curve(line, days) for line in curves],
            }
        )
    return _KEY + json.dumps(panels, separators=(",", ":")) if panels else ""


def _curve(line: Line2D, days: np.ndarray) -> dict[str, Any]:
    tenure, value = (np.asarray(v, dtype=float) for v in line.get_data())
    place = np.clip(np.searchsorted(tenure, days, side="right") - 1, 0, None)
    there = (days >= tenure[0]) & (days <= tenure[-1]) & np.isfinite(value[place])
    values = [round(100 * float(v), 1) if ok else None for v, ok in zip(value[place], there)]
    return {"name": str(line.get_label()), "colour": to_hex(line.get_color()), "values": values}


def readings_of(svg: bytes) -> str:
    """The JSON that an SVG carries; nothing when it carries none."""
    found = re.search(rf"{_KEY}(.*?)</dc:description>".encode(), svg, re.DOTALL)
    return unescape(found.group(1).decode()) if found else ""
