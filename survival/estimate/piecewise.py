"""The hazard by billing cycle: churns divided by customer-days, piece by piece, so that renewals show as spikes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri

from survival.errors import ArgumentError
from survival.estimate.cohort_counts import CohortCounts, cohort_counts, counts
from survival.estimate.intervals import normal_quantile
from survival.findings import Finding
from survival.flows.columns import read_columns

Floats = NDArray[np.float64]
MONTH = 30.4375  # days


@dataclass(frozen=True, eq=False)
class PiecewiseHazard:
    """Hazards that are constant between cuts, by group."""

    table: pd.DataFrame
    level: float
    findings: tuple[Finding, ...]

    def tidy(self) -> pd.DataFrame:
        """by, start, stop, events, person_time, hazard (per unit of tenure), se, ci_lower, ci_upper, level.

        A piece is (start, stop], a churn at its stop included; the first starts at the group's smallest entry, the last
        stops at its last exit. A piece without anybody at risk has no hazard (NaN).
        """
        return self.table.copy()


def piecewise_hazard(
    frame: Any,
    stop: str = "stop",
    event: str = "event",
    start: str | None = None,
    by: str | Sequence[str] | None = None,
    cuts: ArrayLike | None = None,
    width: float = MONTH,
    offset: float = 0.0,
    weights: str | None = None,
    customer: str | None = None,
    spell: str | None = None,
    level: float = 0.95,
    order: Sequence[Any] | None = None,
) -> PiecewiseHazard:
    """Events over time at risk between cuts: given as `cuts`, else every `width` days from `offset` on (both in units of
    tenure; an offset of half a width puts renewals into the middle of the pieces).

    The hazard of a piece is its maximum-likelihood estimate when it is constant there, se its root of events over time at
    risk. Intervals are exact for a Poisson count (Garwood 1936), R's poisson.test; R's pyears gives the same rates. Weights
    must count customers for them: with other weights hazards have no interval, and a finding says so.

    Raises ArgumentError for cuts that do not increase or a width that is not above 0; see `episode_arrays` for the data.
    """
    normal_quantile(level)
    sets = cohort_counts(frame, stop, event, start, by=by, weights=weights, customer=customer, spell=spell, order=order)
    edges = _edges(cuts, width, offset, [group.time for group in sets])
    table = pd.concat([_pieces(group, edges, level) for group in sets], ignore_index=True)
    findings = list(sets.findings)
    if _counts_customers(frame, weights, sets.groups):
        table["events"] = counts(table["events"].to_numpy(float))
    else:
        table[["ci_lower", "ci_upper"]] = np.nan
        message = "the weights are no counts of customers, so churns are not Poisson: hazards have no interval"
        findings.append(Finding("weights-are-no-counts", "warning", str(weights or "weights"), message))
    table["level"] = level
    return PiecewiseHazard(table, level, tuple(findings))


def _counts_customers(frame: Any, weights: str | None, groups: Sequence[CohortCounts]) -> bool:
    """Are all weights whole? Flows no longer have the weights, but their sums."""
    if weights is not None:
        values = [read_columns(frame, [weights])[weights].to_numpy(float)]
    else:
        values = [column for group in groups for column in (group.events, group.entered, group.censored)]
    return all(bool((one == np.rint(one)).all()) for one in values)


def _edges(cuts: ArrayLike | None, width: float, offset: float, times: Sequence[Floats]) -> Floats:
    low, high = min(float(time[0]) for time in times), max(float(time[-1]) for time in times)
    if cuts is not None:
        edges = np.atleast_1d(np.asarray(cuts, np.float64))
        if edges.ndim != 1 or not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
            raise ArgumentError(f"cuts must be increasing tenures; got {cuts!r}")
        return edges
    if not (np.isfinite(width) and width > 0 and np.isfinite(offset)):
        raise ArgumentError(f"width must be above 0 and offset finite; got {width!r} and {offset!r}")
    first, last = int(np.floor((low - offset) / width)), int(np.ceil((high - offset) / width))
    if last - first > 100_000:
        raise ArgumentError(f"width {width!r} cuts {high - low:g} into more than 100,000 pieces")
    return (offset + width * np.arange(first, last + 1)).astype(np.float64)


def _pieces(group: CohortCounts, edges: Floats, level: float) -> pd.DataFrame:
    low, high = float(group.time[0]), float(group.time[-1])
    inner = edges[(edges > low) & (edges < high)]
    edges = np.concatenate(([low], inner, [high]))
    lived = np.concatenate(([0.0], np.cumsum(group.at_risk[1:] * np.diff(group.time))))
    time = np.diff(np.interp(edges, group.time, lived))
    churned = np.diff(
        np.concatenate(([0.0], np.cumsum(group.events)))[np.searchsorted(group.time, edges, side="right")]
    )
    somebody = time > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        hazard, se = (np.where(somebody, value / time, np.nan) for value in (churned, np.sqrt(churned)))
        low_limit, high_limit = (np.where(somebody, limit / time, np.nan) for limit in poisson_limits(churned, level))
    return pd.DataFrame(
        {
            "by": [group.label] * time.size,
            "start": edges[:-1],
            "stop": edges[1:],
            "events": churned,
            "person_time": time,
            "hazard": hazard,
            "se": se,
            "ci_lower": low_limit,
            "ci_upper": high_limit,
        }
    )


def poisson_limits(events: Floats, level: float) -> tuple[Floats, Floats]:
    """Exact limits (m,), (m,) of the mean of Poisson counts (m,); 0 below no events. Source: Garwood 1936."""
    tail = (1 - level) / 2
    low, high = np.zeros_like(events), np.empty_like(events)
    some = events > 0
    low[some] = chdtri(2 * events[some], 1 - tail) / 2
    high[:] = chdtri(2 * events + 2, tail) / 2
    return low, high
