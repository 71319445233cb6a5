"""A step curve over tenure, ready to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from survival.plot import style

_NONE = np.zeros(0)


@dataclass(frozen=True)
class Curve:
    """One cohort's steps: tenures (days), retention and band from each tenure on, with colour and dashes.

    `censored`: tenures at which somebody's observation ended. `whole`: a simultaneous band (tenures, lower, upper) to be drawn in
    place of the pointwise one.
    """

    label: str
    tenure: np.ndarray
    retention: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    colour: str
    dash: Any
    censored: np.ndarray = field(default_factory=lambda: _NONE)
    whole: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    @property
    def stop(self) -> float:
        """The tenure at which the curve ends."""
        return float(self.tenure[~np.isnan(self.retention)].max(initial=0))

    @property
    def last(self) -> float:
        """Retention where the curve ends."""
        known = self.retention[~np.isnan(self.retention)]
        return float(known[-1]) if len(known) else 1.0

    def at(self, tenures: np.ndarray) -> np.ndarray:
        """Retention at these tenures; NaN before the curve's start and after its end."""
        i = np.searchsorted(self.tenure, tenures, side="right") - 1
        return np.where((i >= 0) & (tenures <= self.tenure[-1]), self.retention[np.maximum(i, 0)], np.nan)


def curves_of(
    frame: pd.DataFrame,
    by: str,
    groups: Sequence[Any],
    ordered: bool,
    horizon: float,
    *,
    marks: bool = False,
    bands: pd.DataFrame | None = None,
) -> list[Curve]:
    """A curve for each group of a frame with columns `by`, tenure, retention, ci_lower, ci_upper, up to `horizon` days.

    `marks`: with the tenures of the column `censored`. `bands`: columns `by`, tenure, band_lower, band_upper (as `Curves.band`).
    """
    palette = style.colours(len(groups), ordered=ordered)
    # Ordered cohorts differ by lightness alone: dashes would hide the order.
    dashes = ["solid"] * len(groups) if ordered and len(groups) > 2 else style.dashes(len(groups))
    out = []
    for group, colour, dash in zip(groups, palette, dashes):
        rows = frame[frame[by] == group].sort_values("tenure", kind="stable")
        t, s, low, high = (
            rows[c].to_numpy(float, na_value=np.nan) for c in ("tenure", "retention", "ci_lower", "ci_upper")
        )
        ended = t[(rows["censored"].to_numpy(float) > 0) & (t <= horizon)] if marks else _NONE
        if not s[0] >= 1:  # the curve starts at 1; without a row that says where, at 0
            t, s, low, high = np.r_[0.0, t], np.r_[1.0, s], np.r_[np.nan, low], np.r_[np.nan, high]
        # A curve at 1 has no interval: the band starts from it.
        low, high = (np.where((s == 1) & np.isnan(low), 1.0, low), np.where((s == 1) & np.isnan(high), 1.0, high))
        t, s, low, high = _changes(*_until(horizon, t, s, low, high))
        whole = None if bands is None else _whole(bands[bands[by] == group], horizon)
        out.append(Curve(str(group), t, s, low, high, colour, dash, ended, whole))
    return out


def _until(horizon: float, t: np.ndarray, *steps: np.ndarray) -> tuple[np.ndarray, ...]:
    """The steps up to the horizon; a curve that goes on beyond it is drawn to it."""
    inside = t <= horizon
    if inside.all() or not inside.any() or not np.isfinite(steps[0][~inside][0]):
        return (t[inside], *(v[inside] for v in steps))
    return (np.r_[t[inside], horizon], *(np.r_[v[inside], v[inside][-1]] for v in steps))


def _whole(rows: pd.DataFrame, horizon: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The band where it holds: tenures, lower and upper limit."""
    rows = rows.sort_values("tenure", kind="stable")
    t, low, high = (rows[c].to_numpy(float, na_value=np.nan) for c in ("tenure", "band_lower", "band_upper"))
    cut = _until(horizon, t, low, high)
    return cut[0], cut[1], cut[2]


def _changes(t: np.ndarray, *steps: np.ndarray) -> tuple[np.ndarray, ...]:
    """Only the tenures at which a step changes, and the last: tenures with censoring alone draw nothing."""
    same = [(v[1:] == v[:-1]) | (np.isnan(v[1:]) & np.isnan(v[:-1])) for v in steps]
    keep = np.r_[True, ~np.all(same, axis=0)] if len(t) else np.zeros(0, dtype=bool)
    keep[-1:] = True
    return (t[keep], *(v[keep] for v in steps))


def draw_curve(axes: Axes, curve: Curve, *, band: bool = True, solid: bool = False, width: float = 1.7) -> None:
    """Draw one curve as steps that hold from each tenure to the next, with its band and its marks of censoring."""
    dash = "solid" if solid else curve.dash
    axes.step(
        curve.tenure, curve.retention, where="post", color=curve.colour, linestyle=dash, linewidth=width,
        label=curve.label,
    )  # fmt: skip
    if band:
        t, low, high = curve.whole or (curve.tenure, curve.lower, curve.upper)
        axes.fill_between(t, low, high, step="post", color=curve.colour, alpha=0.16, linewidth=0)
    if len(curve.censored):
        axes.plot(
            curve.censored, curve.at(curve.censored), linestyle="none", marker="|", markersize=5, markeredgewidth=0.6,
            color=curve.colour, gid="censored",
        )  # fmt: skip
