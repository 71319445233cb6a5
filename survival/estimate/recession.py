"""Whether a small Cox model has a finite maximum at all, by a linear program.

The likelihood has none if in some direction d the linear predictor of who leaves is nowhere below, and somewhere above, that of
another who could have left: x_i'd >= x_j'd for every event i and everybody j at risk then (Bryson & Johnson 1981; Jacobsen 1989). That
is a proof either way, where Newton's steps only suggest a direction; it has a row for each event and each customer at risk.
"""

from __future__ import annotations

import numpy as np
from scipy import optimize

from survival.estimate.estimability import intervals
from survival.estimate.risk_sets import Floats, Ints, RiskSets

_MOST_PAIRS = 50_000
_MOST_VALUES = 2_000_000  # pairs x columns: seconds
_ABOVE = 1e-3  # of x'd, with d up to 1 and x of variance 1
_BELOW = 1e-6  # the solver's tolerance


def recession(sets: RiskSets, x: Floats, among_stayers: bool) -> Floats | None:
    """(p,) a direction, its largest coordinate 1, in which the likelihood never falls; None if there is none, or too many pairs to ask.

    among_stayers: who leaves is compared with those who stay only (exact ties)."""
    first, second = _pairs(sets, among_stayers, min(_MOST_PAIRS, _MOST_VALUES // x.shape[1]))
    if not first.size:
        return None
    above = np.unique(x[first] - x[second], axis=0)
    found = optimize.linprog(-above.sum(axis=0), A_ub=-above, b_ub=np.zeros(len(above)), bounds=(-1.0, 1.0))
    if found.status != 0:
        return None
    gap = above @ found.x
    proven = gap.max() > _ABOVE and gap.min() >= -_BELOW * max(1.0, float(np.abs(above).max()))
    return np.asarray(found.x, np.float64) if proven else None


def _pairs(sets: RiskSets, among_stayers: bool, most: int) -> tuple[Ints, Ints]:
    """Rows of x: of an event, and of somebody at risk at its slot; empty when there are more than `most`, or flows hold no stayers."""
    none = np.zeros(0, np.intp)
    row, begin, end = intervals(sets)
    if among_stayers:
        if not sets.episodes:
            return none, none
        end = end - np.isin(row, sets.event_row)
    length = np.maximum(end - begin, 0)
    if int(length.sum()) > most:
        return none, none
    slot = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length) + np.repeat(begin, length)
    order = np.argsort(slot, kind="stable")
    member, count = np.repeat(row, length)[order], np.bincount(slot, minlength=sets.slots)
    start = np.cumsum(count) - count
    size = count[sets.event_slot]
    if int(size.sum()) > most:
        return none, none
    within = np.arange(int(size.sum())) - np.repeat(np.cumsum(size) - size, size)
    return np.repeat(sets.event_row, size).astype(np.intp), member[np.repeat(start[sets.event_slot], size) + within]
