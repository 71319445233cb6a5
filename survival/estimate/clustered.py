"""Rank tests whose variance adds up by customer: for spells, or accounts, that are no independent customers.

What an episode adds to observed minus expected, U = Σ w (1{its group} - share of the group at risk)(dN - Y dΛ), is summed
by unit, and the variance of U is the sum of squares over units: the robust score test of a Cox model with the groups as
covariates (Lin & Wei 1989; R's coxph(ties = "breslow", cluster =)$rscore).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from survival.estimate.weightings import Table

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Members:
    """The n episodes of one stratum: start, stop, event, weight (n,), column (n,) of the group, unit (n,) codes."""

    start: Floats
    stop: Floats
    event: NDArray[np.bool_]
    weight: Floats
    column: Codes
    unit: Codes

    def of(self, columns: Sequence[int]) -> Members:
        """The episodes of these groups alone, numbered in this order."""
        number = np.full(int(self.column.max()) + 1 + max(columns), -1, np.intp)
        number[list(columns)] = np.arange(len(columns))
        mine = number[self.column] >= 0
        return Members(
            self.start[mine], self.stop[mine], self.event[mine], self.weight[mine], number[self.column[mine]], self.unit[mine]
        )  # fmt: skip


def clustered_variance(
    tables: Sequence[Table], layers: Sequence[Members], weight_of: Sequence[Floats], units: int
) -> Floats:
    """Variance (m, m, k, k) of the excess in m weightings; weight_of: (m, T) for each table."""
    m, k = weight_of[0].shape[0], tables[0].at_risk.shape[1]
    total = np.zeros((units, m, k))
    for table, members, weight in zip(tables, layers, weight_of):
        if not table.total.size:
            continue
        for a in range(m):
            own = _influence(table, members, weight[a])
            for column in range(k):
                total[:, a, column] += np.bincount(members.unit, weights=own[:, column], minlength=units)
    flat = total.reshape(units, m * k)
    return (flat.T @ flat).reshape(m, k, m, k).transpose(0, 2, 1, 3)


def _influence(table: Table, members: Members, weight: Floats) -> Floats:
    """What each episode adds to the excess of each group (n, k)."""
    times = np.unique(members.stop[members.event & (members.weight > 0)])
    share = table.at_risk / table.total[:, None]
    hazard = weight * table.churned / table.total
    none = np.zeros((1, share.shape[1]))
    lived = np.concatenate((none[:, 0], np.cumsum(hazard)))
    others = np.concatenate((none, np.cumsum(hazard[:, None] * share, axis=0)))
    begin, end = (np.searchsorted(times, time, side="right") for time in (members.start, members.stop))
    out = others[end] - others[begin]
    rows = np.arange(members.stop.size)
    out[rows, members.column] -= lived[end] - lived[begin]
    event = np.flatnonzero(members.event & (members.weight > 0))
    place = end[event] - 1
    out[event] -= weight[place, None] * share[place]
    out[event, members.column[event]] += weight[place]
    return np.asarray(out * members.weight[:, None])
