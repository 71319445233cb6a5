"""Residuals of a Cox fit from flows: sums over the episodes of a pattern, exactly those of the episodes.

Flows hold who entered and left with each covariate pattern, so that martingale and score residuals added up by pattern, or by pattern
and event time, are sums over movements; a Schoenfeld residual depends on pattern and time alone. What a single customer adds is not
in them. Sources as `residuals`; case weights count in the sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from survival.errors import ArgumentError
from survival.estimate.cox_data import CoxData
from survival.estimate.partial_likelihood import Likelihood, cumulative, exposure, mean_at_events
from survival.estimate.risk_sets import Floats, Ints, sums_by
from survival.estimate.tenure_effects import TenureCoding

WAYS = ("pattern", "tenure")
_MOST_CELLS = 30_000_000  # patterns x slots


@dataclass(frozen=True, eq=False)
class Sums:
    """Of m cells, patterns or patterns at event times: events (m,) by weight, martingale (m,) and score (m, p) sums.

    pattern (m,); slot (m,) and at_risk (m,) by weight at an event time, None for whole patterns.
    """

    pattern: Ints
    slot: Ints | None
    at_risk: Floats | None
    events: Floats
    martingale: Floats
    score: Floats


def by_pattern(data: CoxData, at: Likelihood) -> Sums:
    """The sums over all episodes of each pattern."""
    sets, x, risk, m = data.sets, data.x, at.risk, at.moments
    s1, e1 = at.sums.s1, at.sums.e1
    row, slot, weight, n = sets.event_row, sets.event_slot, sets.event_weight, sets.rows
    events = sums_by(row, weight, n)
    expected = risk * (exposure(sets, cumulative(m.d1, sets)) - sums_by(row, weight * m.d1c[slot], n))
    means = exposure(sets, cumulative(m.d2[:, None] * s1 - m.d2c[:, None] * e1, sets)) * risk[:, None]
    tied = (m.d2c[:, None] * s1 - m.d2cc[:, None] * e1)[slot] * risk[row, None]
    np.subtract.at(means, row, weight[:, None] * (tied + mean_at_events(at, sets)[slot]))
    martingale = events - expected
    return Sums(np.arange(n), None, None, events, martingale, x * martingale[:, None] + means)


def by_tenure(data: CoxData, at: Likelihood) -> Sums:
    """The sums at each event time over the episodes of each pattern with somebody at risk; by stratum, time and pattern."""
    sets, m = data.sets, at.moments
    if sets.slots * sets.rows > _MOST_CELLS:
        raise ArgumentError(
            f"residuals by tenure make a row for each pattern at each event time: {sets.rows:,} x {sets.slots:,}, too many for "
            "memory. Take by='pattern', or flows of fewer covariates"
        )
    there = np.cumsum(sets.moves.toarray(), axis=0)
    there[there <= 1e-9 * np.abs(there).max(initial=0.0)] = 0.0
    lost = np.zeros_like(there)
    np.add.at(lost, (sets.event_slot, sets.event_row), sets.event_weight)
    slot, pattern = np.nonzero((there > 0) & (sets.deaths > 0)[:, None])
    at_risk, events = there[slot, pattern], lost[slot, pattern]
    risk = at.risk[pattern]
    martingale = events - risk * (at_risk * m.d1[slot] - events * m.d1c[slot])
    s1, e1 = at.sums.s1, at.sums.e1
    mean = (m.d2[:, None] * s1 - m.d2c[:, None] * e1)[slot]
    tied = (m.d2c[:, None] * s1 - m.d2cc[:, None] * e1)[slot]
    score = data.x[pattern] * martingale[:, None] - events[:, None] * mean_at_events(at, sets)[slot]
    score += risk[:, None] * (at_risk[:, None] * mean - events[:, None] * tied)
    return Sums(pattern, slot, at_risk, events, martingale, score)


def flow_residuals(
    kind: str, by: str | None, data: CoxData, at: Likelihood, scale: Floats, variance: Floats
) -> pd.DataFrame:
    """Martingale, deviance, score or dfbeta sums in the user's units; variance (q, q) the inverse information."""
    if by not in (None, *WAYS):
        raise ArgumentError(
            f"a fit from flows has residuals by 'pattern', or by 'tenure' (each pattern at each event time), not by {by!r}: flows are "
            "sums over customers. Fit the frame of episodes; for the robust variance alone, robust_from(...)"
        )
    refuse_tenure_effects(data)
    sums = by_tenure(data, at) if by == "tenure" else by_pattern(data, at)
    head: dict[str, Any] = {"pattern": sums.pattern}
    if sums.slot is not None:
        head |= {"stratum": [data.strata[code] for code in data.sets.slot_stratum[sums.slot]]}
        head |= {"tenure": data.sets.slot_time[sums.slot], "at_risk": sums.at_risk}
    head["events"] = sums.events
    if kind == "martingale":
        return pd.DataFrame({**head, "martingale": sums.martingale})
    if kind == "deviance":
        return pd.DataFrame({**head, "deviance": _deviance(sums.events, sums.martingale)})
    values = sums.score * scale if kind == "score" else sums.score @ variance / scale
    return pd.concat([pd.DataFrame(head), pd.DataFrame(values, columns=list(data.names))], axis=1)


def _deviance(events: Floats, martingale: Floats) -> Floats:
    """Signed roots of Poisson deviances, 2 (O log(O / E) - (O - E)). R's formula for single customers, O log E in place of
    O log(E / O), is the same for one event and no deviance for several."""
    some = np.where(events > 0, events, 1.0)
    log_part = np.where(events > 0, events * np.log1p(-martingale / some), 0.0)
    return np.sign(martingale) * np.sqrt(np.maximum(-2.0 * (martingale + log_part), 0.0)) + 0.0


def refuse_tenure_effects(data: CoxData) -> None:
    """Its rows are patterns cut at event times, which are no patterns of the flows."""
    if isinstance(data.coding, TenureCoding):
        raise ArgumentError("a fit from flows with time_varying has no residuals by pattern: fit the frame of episodes")
