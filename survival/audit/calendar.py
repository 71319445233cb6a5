"""Churn by the calendar: days without churn that tenure does not explain, at both ends of the data and between."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray

from survival.churn.spells import Spells
from survival.findings import Finding

_CELLS = 4_000_000  # of the table signup day x tenure; longer histories are counted in steps of several days
_EXPECTED = 20.0  # churns that must be missing before a quiet stretch means anything
_QUIET = 0.02  # share of the expected churns up to which a stretch is quiet
_START, _TAIL = 28, 7  # days that a quiet stretch lasts, at the start and at the end
_PAUSES = 1.5  # ... and how many times the longest pause between churns elsewhere
_BLOCK, _SHOCK, _SURPRISE = 30, 2.0, 8.0  # days; observed / expected; in standard deviations of Poisson counts
_EPOCH = dt.date(1970, 1, 1)

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Calendar:
    """Churns by calendar day (m,), observed and as expected from tenure alone; `first` epoch day, `unit` days a step.

    Expected: the hazard of each tenure, times who was at risk at it on that day.
    """

    first: int
    unit: int
    observed: Floats
    expected: Floats

    def day(self, step: int) -> dt.date:
        """The date on which a step begins."""
        return _EPOCH + dt.timedelta(days=self.first + step * self.unit)


def calendar(spells: Spells) -> Calendar | None:
    """Observed and expected churns by calendar day; None without dates or churns."""
    counts = _counts(spells)
    if counts is None or not counts["churns"].any():
        return None
    origin, entry, leave = counts["origin"], counts["entry"], counts["exit"]
    first, span, longest = int(origin.min()), int(np.ptp(origin)) + 1, int(leave.max()) + 1
    unit = 1
    while (span // unit + 1) * (longest // unit + 2) > _CELLS:
        unit += 1
    row, begin, end = (origin - first) // unit, (entry + 1) // unit, leave // unit
    shape = (span // unit + 1, longest // unit + 2)
    at_risk, churns = np.zeros(shape), np.zeros(shape)
    np.add.at(at_risk, (row, begin), counts["rows"])
    np.add.at(at_risk, (row, end + 1), -counts["rows"])
    np.add.at(churns, (row, end), counts["churns"])
    at_risk = at_risk.cumsum(axis=1)
    total = at_risk.sum(axis=0)
    hazard = np.divide(churns.sum(axis=0), total, out=np.zeros_like(total), where=total > 0)
    day = np.add.outer(np.arange(shape[0]), np.arange(shape[1])).ravel()
    observed = np.bincount(day, churns.ravel())
    last = int(np.flatnonzero(np.bincount(day, at_risk.ravel()) > 0).max())
    expected = np.bincount(day, (at_risk * hazard).ravel())
    return Calendar(first, unit, observed[: last + 1].astype(float), expected[: last + 1].astype(float))


def _counts(spells: Spells) -> dict[str, NDArray[np.int64]] | None:
    """origin, entry, exit, rows, churns: spells that agree in all three days are one row."""
    rows: ir.Table = spells.at_risk.filter(spells.at_risk.origin.notnull())
    grouped = rows.group_by("origin", "entry", "exit").aggregate(
        rows=rows.count(), churns=rows.churned.cast("int32").sum()
    )
    frame = spells.tables.engine.arrow(grouped)
    if not frame.num_rows:
        return None
    return {name: frame[name].to_numpy().astype(np.int64) for name in frame.column_names}


def calendar_findings(spells: Spells) -> tuple[Finding, ...]:
    """Survivors only, an unconfirmed tail, and months with far more churn than tenure explains."""
    found = calendar(spells)
    if found is None:
        return ()
    return (*_starts_late(spells, found), *_tail(spells, found), *_shocks(spells, found))


def _starts_late(spells: Spells, found: Calendar) -> tuple[Finding, ...]:
    """Customers whose early companions are missing: they were recorded because they had survived."""
    steps, missing = _quiet(found.observed, found.expected)
    if steps * found.unit < _START or not _unusual(found, steps):
        return ()
    day = found.day(steps)
    message = (
        f"hardly anybody churns before {day}, although customers were at risk then and {missing:.0f} churns were to be "
        "expected from the tenures alone: it looks as if only those were recorded who were still there when recording "
        f"began. Set observed.from to {day} or later, so that they enter late"
    )
    return (
        Finding("survivors-only", "warning", spells.definition.kind, message, f"expected={missing:.0f}, until={day}"),
    )


def _tail(spells: Spells, found: Calendar) -> tuple[Finding, ...]:
    """Nobody churns in the last days: churn there could not be seen or confirmed yet, so those days are no survival."""
    steps, missing = _quiet(found.observed[::-1], found.expected[::-1])
    if steps * found.unit < _TAIL or not _unusual(found, steps):
        return ()
    day = found.day(found.observed.size - steps - 1)
    message = (
        f"hardly anybody churns after {day}, in the last {steps * found.unit} days, although {missing:.0f} churns were to be "
        "expected: they were not recorded or could not be confirmed yet, and counting these days as survival makes retention "
        f"look better than it is. Set observed.until to {day}, or let the definition censor before it can tell"
    )
    figure = f"days={steps * found.unit}, expected={missing:.0f}"
    return (Finding("unconfirmed-tail", "warning", spells.definition.kind, message, figure),)


def _quiet(observed: Floats, expected: Floats) -> tuple[int, float]:
    """The longest stretch from the first step on with hardly any of the expected churns: steps, expected in it."""
    total, hoped = observed.cumsum(), expected.cumsum()
    quiet = np.flatnonzero((total <= _QUIET * hoped) & (hoped >= _EXPECTED))
    steps = int(quiet.max()) + 1 if quiet.size else 0
    return steps, float(hoped[steps - 1]) if steps else 0.0


def _unusual(found: Calendar, steps: int) -> bool:
    """Longer than the pauses between churns that this company knows, such as those between its billing days."""
    days = np.flatnonzero(found.observed > 0)
    middle = days[int(0.05 * days.size) : int(np.ceil(0.95 * days.size))]
    return steps > _PAUSES * np.diff(middle).max(initial=1)


def _shocks(spells: Spells, found: Calendar) -> tuple[Finding, ...]:
    """Calendar months in which everybody leaves more, whatever the tenure: a price rise, an outage."""
    edges = np.arange(0, found.observed.size, max(1, _BLOCK // found.unit))
    observed, expected = np.add.reduceat(found.observed, edges), np.add.reduceat(found.expected, edges)
    shock = (observed >= _SHOCK * expected) & (observed - expected >= _SURPRISE * np.sqrt(np.maximum(expected, 1.0)))
    if not shock.any():
        return ()
    shown = [
        f"{observed[i]:.0f} from {found.day(int(edges[i]))} ({expected[i]:.0f} expected)" for i in np.flatnonzero(shock)
    ]
    message = (
        f"in some stretches of {_BLOCK} days far more customers churn than their tenures explain: {'; '.join(shown[:3])}. A "
        "cohort that lived through them looks bad without being so; add a calendar period to the model, or to strata"
    )
    return (
        Finding(
            "calendar-shock", "note", spells.definition.kind, message, f"{int(shock.sum())} of {edges.size} stretches"
        ),
    )
