"""One look for every figure, and the only place where a figure becomes bytes.

Fonts are DejaVu Sans, which matplotlib carries, drawn as outlines: a figure looks the same everywhere. Text is never read
as mathematics, so a cohort named `$10` stays what it is. Colours differ in lightness as well as in hue, and lines in dashes,
so that figures survive colour blindness and a grey printer. Same frame, same bytes.
"""

from __future__ import annotations

import inspect
import io
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, wraps
from importlib import import_module
from itertools import pairwise
from typing import Any, ParamSpec

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.text import Text
from matplotlib.textpath import TextPath

from survival.errors import ArgumentError
from survival.plot.numbers import DAYS_PER_MONTH, count, decimal
from survival.plot.readings import readings, tell

Drawing = Figure
P = ParamSpec("P")

INK = "#1c1f23"
SOFT = "#5a6068"  # 6.3:1 on white
RULE = "#d5d8dc"
GHOST = "#c3c7cc"
# Lightness L* 27, 51, 59, 41, 35, 14, 47: hues of Okabe and Ito (2008), moved apart in lightness; each at least 3:1 on white.
NOMINAL = ("#0b3f7f", "#cf5200", "#3a97cf", "#00704f", "#8a2b6f", "#202428", "#8a6d00")
DASHES: tuple[Any, ...] = (
    "solid",
    (0, (5, 1.6)),
    (0, (1.2, 1.2)),
    (0, (6, 1.5, 1.2, 1.5)),
    (0, (3, 1.2)),
    (0, (6, 1.2, 1.2, 1.2, 1.2, 1.2)),
    (0, (9, 2)),
)
HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "++++", "oooo")  # of areas that a legend names
OFF, ON = "#3a97cf", "#9b3a00"

STYLE: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.labelsize": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.7,
    "lines.solid_capstyle": "butt",
    "lines.dash_capstyle": "butt",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "svg.fonttype": "path",
    "svg.hashsalt": "churn-survival",
    "pdf.fonttype": 42,
    "path.simplify": False,
    "hatch.linewidth": 0.6,
}


@contextmanager
def look() -> Iterator[None]:
    """Matplotlib's defaults plus this style, whatever the user's own settings are; restored afterwards."""
    with matplotlib.style.context(STYLE, after_reset=True), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as a box; the caption says so, and the tables hold it in full.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        yield


@dataclass(frozen=True, eq=False)
class Recipe:
    """How a figure was drawn: `module:function`, and its arguments by name (frames are the caller's own)."""

    function: str
    arguments: Mapping[str, Any]


def figure_function(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Run a drawing function in the common look, and leave on the figure how it was drawn (`recipe_of`)."""
    signature = inspect.signature(draw)

    @wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with look():
            figure = draw(*args, **kwargs)
        arguments = signature.bind(*args, **kwargs).arguments
        figure.__dict__["recipe"] = Recipe(f"{draw.__module__}:{draw.__qualname__}", arguments)
        return figure

    return wrapped


def recipe_of(figure: Figure) -> Recipe | None:
    """How the figure was drawn; None when no drawing function of the package made it."""
    found = figure.__dict__.get("recipe")
    return found if isinstance(found, Recipe) else None


def redrawn(recipe: Recipe) -> Figure:
    """The figure again. Raises ArgumentError for a function that is not one of this room's."""
    module, _, name = recipe.function.partition(":")
    draw = getattr(import_module(module), name, None) if module.startswith("survival.plot.") else None
    if draw is None:
        raise ArgumentError(f"{recipe.function} draws no figure of this version")
    figure: Figure = draw(**recipe.arguments)
    return figure


def has_boxes(figure: Figure) -> bool:
    """Whether a text of the figure has letters that its font lacks, so that boxes stand for them."""
    font = get_font(findfont(FontProperties(family=STYLE["font.family"])))
    letters = {letter for text in figure.findobj(Text) for letter in text.get_text() if not letter.isspace()}
    return any(not font.get_char_index(ord(letter)) for letter in letters)


def svg_bytes(figure: Figure, title: str = "") -> bytes:
    """The figure as SVG; no date, no program, fixed ids; with the numbers of its curves inside."""
    named = {"Title": title, "Description": readings(figure)}
    return _bytes(figure, "svg", {"Date": None, "Creator": None, **{key: text for key, text in named.items() if text}})


def png_bytes(figure: Figure) -> bytes:
    """The figure as PNG at 200 dots an inch, without a software tag."""
    return _bytes(figure, "png", {"Software": None})


def pdf_bytes(figure: Figure, title: str = "") -> bytes:
    """The figure as PDF with its fonts inside; no date, no program."""
    none = {"CreationDate": None, "Creator": None, "Producer": None}
    return _bytes(figure, "pdf", {**none, **({"Title": title} if title else {})})


def _bytes(figure: Figure, kind: str, metadata: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    with look():
        figure.savefig(out, format=kind, dpi=200, metadata=metadata)
    return out.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches (no pyplot, so nothing global keeps it)."""
    return Figure(figsize=(width, height))


def axes_in_inches(figure: Figure, left: float, bottom: float, width: float, height: float, **kwargs: Any) -> Axes:
    """Axes placed in inches from the lower left corner: layout that does not depend on a solver."""
    w, h = figure.get_size_inches()
    return figure.add_axes((left / w, bottom / h, width / w, height / h), **kwargs)


@lru_cache(maxsize=4096)
def text_width(text: str, size: float = 9.0, weight: str = "normal") -> float:
    """Width of a line of text in inches, in the figures' font."""
    if not text.strip():
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        path = TextPath((0, 0), text, size=size, prop=FontProperties(family="DejaVu Sans", weight=weight), usetex=False)
    return float(path.get_extents().x1) / 72 if len(path.vertices) else 0.0


def shorten(text: str, width: float, size: float = 9.0, weight: str = "normal") -> str:
    """The text on one line, or its start and its end around an ellipsis, so that it fits into `width` inches."""
    text = " ".join(text.split()) if "\n" in text else text
    if text_width(text, size, weight) <= width:
        return text
    for keep in range(len(text) - 1, 1, -1):
        tail = keep // 3
        cut = text[: keep - tail].rstrip() + "…" + (text[-tail:].lstrip() if tail else "")
        if text_width(cut, size, weight) <= width:
            return cut
    return "…"


def name_beside(text: str, size: float = 9.0, weight: str = "normal") -> str:
    """A name for the left of a plot: on one line, and no longer than leaves the plot its room."""
    return shorten(text, 3.4, size, weight)


def wrap(text: str, width: float, size: float = 9.0, weight: str = "normal") -> str:
    """The text on one line, or broken between words into two, each shortened to `width` inches."""
    if text_width(text, size, weight) <= width:
        return text
    words = text.split(" ")
    fits = [i for i in range(1, len(words)) if text_width(" ".join(words[:i]), size, weight) <= width]
    if not fits:
        return shorten(text, width, size, weight)
    # The break that leaves the longer line shortest.
    cut = min(fits, key=lambda i: max(text_width(" ".join(p), size, weight) for p in (words[:i], words[i:])))
    return " ".join(words[:cut]) + "\n" + shorten(" ".join(words[cut:]), width, size, weight)


def colours(n: int, *, ordered: bool = False) -> list[str]:
    """n colours: dark to lighter along viridis for ordered groups, else of distinct hue and lightness."""
    if (ordered and n > 2) or n > len(NOMINAL):
        cmap = mpl.colormaps["viridis"]
        return [mpl.colors.to_hex(cmap(x)) for x in np.linspace(0.02, 0.58, n)]
    return list(NOMINAL[:n])


def dashes(n: int) -> list[Any]:
    """n line styles; they repeat after seven."""
    return [DASHES[i % len(DASHES)] for i in range(n)]


def lightness(colour: str) -> float:
    """CIE L* (0 black, 100 white) of a colour: what a grey printer makes of it."""
    rgb = np.array(mpl.colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    y = float(linear @ np.array([0.2126, 0.7152, 0.0722]))
    return 116 * (y ** (1 / 3) if y > (6 / 29) ** 3 else y / (3 * (6 / 29) ** 2) + 4 / 29) - 16


def text_colour(colour: str) -> str:
    """The colour, darkened until text in it has a contrast of 4.5:1 on white."""
    rgb = np.array(mpl.colors.to_rgb(colour))
    while lightness(mpl.colors.to_hex((rgb[0], rgb[1], rgb[2]))) > 49:
        rgb = rgb * 0.95
    return mpl.colors.to_hex((rgb[0], rgb[1], rgb[2]))


def groups_in_order(values: pd.Series) -> list[Any]:
    """The groups of a column: a categorical's order, else that of first appearance."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        present = set(values.dropna())
        return [c for c in values.cat.categories if c in present]
    return list(pd.unique(values.dropna()))


def tenure_ticks(horizon: float, most: int = 9) -> np.ndarray:
    """Tenures in days, from 0 up to `horizon`, for ticks and risk tables: whole months of 30.4375 days, below 70 days weeks."""
    if not math.isfinite(horizon) or horizon <= 0:
        return np.array([0.0])
    unit, steps = (DAYS_PER_MONTH, (1, 2, 3, 6, 12, 24, 36, 60, 120)) if horizon >= 70 else (1.0, (1, 2, 7, 14))
    step = next((s for s in steps if horizon / (s * unit) <= most - 1 + 1e-9), steps[-1])
    # 0.02: a horizon of 730 days ends at month 24 (730.5 days).
    return np.arange(0, math.floor(horizon / (step * unit) + 0.02) + 1) * step * unit


def by_month(ticks: np.ndarray) -> bool:
    """Do these tenures in days fall on whole months (within half a day)?"""
    return len(ticks) > 1 and bool(np.all(np.abs(ticks - np.round(ticks / DAYS_PER_MONTH) * DAYS_PER_MONTH) <= 0.5))


def tenure_axis(
    axes: Axes, ticks: Sequence[float] | np.ndarray, *, label: bool = True, days_below: bool = True
) -> None:
    """Ticks at these tenures: months with days below, or, when the ticks are not whole months, days with months below."""
    ticks = np.asarray(ticks, dtype=float)
    if by_month(ticks):
        first, second = [count(round(t / DAYS_PER_MONTH)) for t in ticks], [count(round(t)) for t in ticks]
        text = "Tenure in months of 30.4375 days (below: in days)" if days_below else "Tenure (months of 30.4375 days)"
    else:
        first, second = [count(t) for t in ticks], [decimal(t / DAYS_PER_MONTH, 1) for t in ticks]
        days_below = days_below and float(ticks.max(initial=0)) >= 60
        text = "Tenure in days (below: in months of 30.4375 days)" if days_below else "Tenure (days)"
    axes.set_xticks(ticks, labels=first)
    if days_below:
        for tick, below in zip(ticks, second):
            axes.annotate(
                below, (tick, 0), (0, -16), xycoords=axes.get_xaxis_transform(), textcoords="offset points",
                ha="center", va="top", fontsize=7, color=SOFT, annotation_clip=False,
            )  # fmt: skip
    if label:
        axes.set_xlabel(text, labelpad=14 if days_below else 4)


def percent_axis(axes: Axes, step: float = 0.2, *, scale: str = "percent") -> None:
    """A y axis of shares, always from 0 to 100 %; with the scale `share` from 0 to 1."""
    ticks = np.arange(0, 1 + step / 2, step)
    tell(axes, scale=scale)
    axes.set_ylim(0, 1.0)
    axes.set_yticks(ticks, labels=[f"{100 * t:.0f}%" if scale == "percent" else f"{t:.1f}" for t in ticks])
    axes.grid(axis="y")


def log_ratio_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Round hazard ratios between two limits for a log axis, always with 1."""
    fine = [0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.33, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 10, 20, 50, 100]
    for ladder in (
        fine,
        [0.01, 0.02, 0.05, 0.1, 0.2, 0.33, 0.5, 0.67, 1, 1.5, 2, 3, 5, 10, 20, 50, 100],
        [0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 10, 20, 50, 100],
        [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100],
    ):
        inside = [t for t in ladder if low <= t <= high]
        nearest = min((math.log(b / a) for a, b in pairwise(inside)), default=math.inf)
        if len(inside) <= most and nearest >= 0.11 * math.log(high / low):
            return inside or [1]
    return [t for t in (0.01, 0.1, 1, 10, 100) if low <= t <= high] or [1]


def message(text: str, width: float = 6.0, height: float = 1.6) -> Figure:
    """A figure that says in words why there is nothing to draw."""
    figure = new_figure(width, height)
    figure.text(0.5, 0.5, text, ha="center", va="center", color=SOFT, fontsize=10)
    return figure


def spread(values: Sequence[float], gap: float, low: float, high: float) -> np.ndarray:
    """Positions as near to `values` as a distance of at least `gap` between neighbours and the two limits allow.

    Labels beside curve ends. Least squares under an order (pool adjacent violators), then moved inside the limits.
    """
    order = np.argsort(np.asarray(values, dtype=float), kind="stable")
    wanted = np.asarray(values, dtype=float)[order] - gap * np.arange(len(order))
    blocks: list[list[float]] = []  # each: sum, number
    for w in wanted:
        blocks.append([float(w), 1.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, number = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += number
    level = np.concatenate([np.full(int(n), s / n) for s, n in blocks]) if blocks else np.array([])
    level = np.clip(level, low, max(low, high - gap * (len(order) - 1)))
    out = np.empty(len(order))
    out[order] = level + gap * np.arange(len(order))
    return out
