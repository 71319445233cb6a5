"""How retention curves are to be drawn: what stands under the axis, its unit and ticks, bands, marks. Checked once, in one place."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from survival.errors import ArgumentError
from survival.plot import style
from survival.plot.numbers import DAYS_PER_MONTH, decimal
from survival.plot.readings import tell
from survival.plot.risk_table import shown_ticks

ROWS = ("at_risk", "churned", "censored")
UNITS = {"days": 1.0, "months": DAYS_PER_MONTH, "years": 365.25}  # days
BANDS = ("pointwise", "simultaneous", "none")
SCALES = ("percent", "share")
MOST_TICKS = 400
_STEPS = {
    "days": (1, 2, 7, 14, 30, 60, 90, 180, 365, 730, 1825),
    "months": (1, 2, 3, 6, 12, 24, 36, 60, 120),
    "years": (0.25, 0.5, 1, 2, 5, 10),
}
_WORDS = {
    "days": "Tenure (days)",
    "months": "Tenure (months of 30.4375 days)",
    "years": "Tenure (years of 365.25 days)",
}


@dataclass(frozen=True)
class CurveOptions:
    """Options of a figure of retention curves, as `retention_curves` explains them. Raises ArgumentError for a wrong one."""

    rows: tuple[str, ...] = ()
    unit: str | None = None
    breaks: float | tuple[float, ...] | None = None
    until: float | None = None
    band: str = "pointwise"
    censor_marks: bool = False
    scale: str = "percent"
    censored_bars: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            _one_of("rows", row, ROWS)
        if len(set(self.rows)) < len(self.rows):
            raise ArgumentError(f"rows: each once; got {', '.join(self.rows)}")
        if self.unit is not None:
            _one_of("unit", self.unit, tuple(UNITS))
        _one_of("band", self.band, BANDS)
        _one_of("scale", self.scale, SCALES)
        if self.until is not None and not (_is_number(self.until) and self.until > 0):
            raise ArgumentError(f"until must be a tenure above 0, in {self.unit or 'days'}; got {self.until!r}")
        _check_breaks(self.breaks)

    @property
    def days(self) -> float:
        """Days in the unit that `breaks` and `until` are counted in: without a unit they are days."""
        return UNITS[self.unit or "days"]

    def horizon(self, longest: float) -> float:
        """Where the axis ends, in days: at `until`, else at `longest`."""
        return longest if self.until is None else self.until * self.days

    def ticks(self, horizon: float, most: int = 9) -> np.ndarray:
        """Tenures in days for ticks and the table below: as asked for, else round ones."""
        if isinstance(self.breaks, tuple):
            places = np.unique(np.asarray(self.breaks, dtype=float)) * self.days
            return places[places <= horizon * (1 + 1e-9)]
        if self.breaks is not None:
            return _every(self.breaks * self.days, horizon, f"breaks {self.breaks:g}")
        if self.unit is None:
            return style.tenure_ticks(horizon, most)
        steps = [s * self.days for s in _STEPS[self.unit]]
        step = next((s for s in steps if horizon / s <= most - 1 + 1e-9), steps[-1])
        return _every(step, horizon, "this")

    def draw_axis(
        self, axes: Axes, ticks: np.ndarray, every: np.ndarray, *, label: bool = True, days_below: bool = True
    ) -> None:
        """`ticks` with their labels in the unit asked for; without one in months with days below (`style.tenure_axis`).

        `every`: all ticks asked for; those that there is no room to label are marked by a shorter line.
        """
        if self.breaks is not None:
            axes.set_xticks(np.setdiff1d(every, ticks), minor=True)
        if self.unit is None:
            style.tenure_axis(axes, ticks, label=label, days_below=days_below)
            return
        tell(axes, unit=self.unit, per=repr(self.days))
        axes.set_xticks(ticks, labels=self.written(ticks))
        if label:
            axes.set_xlabel(_WORDS[self.unit])

    def fitted_axis(
        self, axes: Axes, horizon: float, width: float, *, most: int = 9, label: bool = True, days_below: bool = True
    ) -> np.ndarray:
        """Draw the axis of tenure with as many of its ticks as `width` inches have room for, and return these (days)."""
        every = self.ticks(horizon, most)
        kept = every
        if self.unit is not None or self.breaks is not None:
            last = max(horizon, float(every.max(initial=0)))
            kept = every[shown_ticks([], every, self.written(every), width, last)]
        self.draw_axis(axes, kept, every, label=label, days_below=days_below)
        return kept

    def written(self, tenures: Sequence[float] | np.ndarray) -> list[str]:
        """Tenures in days as numbers of the unit, all with the same decimals."""
        values = np.asarray(tenures, dtype=float) / self.days
        places = next((p for p in (0, 1) if np.allclose(values, np.round(values, p), atol=0.5 / self.days + 1e-9)), 2)
        return [decimal(v, places) for v in values]

    def tenure(self, days: float) -> str:
        """One tenure with its unit: '212 days', '6.9 months'; without a unit in days, beyond 70 of them in months."""
        unit = self.unit or ("days" if days < 70 else "months")
        value = days / UNITS[unit]
        places = {"days": 0 if value.is_integer() else 1, "months": 1, "years": 2}[unit]
        return f"{decimal(value, places)} {unit}"

    def axis_words(self, ticks: np.ndarray) -> str:
        """What the axis shows, for figures of many panels that have one line for all."""
        if self.unit is not None:
            return _WORDS[self.unit].replace("(", "in ").replace(")", "").replace("  ", " ")
        return "Tenure in months of 30.4375 days" if style.by_month(ticks) else "Tenure in days"


def options_of(
    unit: str | None = None,
    breaks: float | Sequence[float] | None = None,
    until: float | None = None,
    *,
    rows: Sequence[str] = (),
    band: str = "pointwise",
    censor_marks: bool = False,
    scale: str = "percent",
    censored_bars: bool = False,
) -> CurveOptions:
    """The options as the arguments of a figure have them: `rows` and `breaks` as one or several."""
    steps = breaks if breaks is None or isinstance(breaks, int | float) else tuple(breaks)
    asked = (rows,) if isinstance(rows, str) else tuple(rows)
    return CurveOptions(asked, unit, steps, until, band, censor_marks, scale, censored_bars)


def _every(step: float, horizon: float, what: str) -> np.ndarray:
    number = math.floor(horizon / step + 0.02 * min(1.0, style.DAYS_PER_MONTH / step)) + 1 if horizon > 0 else 1
    if number > MOST_TICKS:
        raise ArgumentError(
            f"{what} makes {number:,} ticks up to day {horizon:,.0f}; at most {MOST_TICKS}: take a larger step"
        )
    return np.arange(number) * step


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(float(value))


def _check_breaks(breaks: Any) -> None:
    if breaks is None:
        return
    if isinstance(breaks, tuple):
        if not breaks or not all(_is_number(b) and b >= 0 for b in breaks):
            raise ArgumentError(f"breaks must be tenures of 0 or more, such as (0, 90, 365); got {breaks!r}")
        if len(breaks) > MOST_TICKS:
            raise ArgumentError(f"breaks: at most {MOST_TICKS} ticks; got {len(breaks):,}")
    elif not (_is_number(breaks) and breaks > 0):
        raise ArgumentError(f"breaks must be a step above 0, or the tenures themselves; got {breaks!r}")


def _one_of(argument: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        near = difflib.get_close_matches(str(value), allowed, n=1, cutoff=0.5)
        meant = f" Did you mean '{near[0]}'?" if near else ""
        raise ArgumentError(f"{argument} must be one of {', '.join(allowed)}; got {value!r}.{meant}")
