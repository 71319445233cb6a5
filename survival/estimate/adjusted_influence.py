"""The infinitesimal jackknife of a Cox fit's baseline, together with that of its coefficients.

A customer's influence on the cumulative hazard at x = 0 is W_i(t) = Σ w [event by t] (Σ_l 1/(d D_l) + r φ) - w r (A(t) - A(start)),
with D_l the risk sums of the ties, A = ∫ Σ_l v/D_l² and φ the part of A in which Efron's tied events have left: linear in A(t)
while at risk, so that sums of squares over customers are running sums of what changes at entries and exits. That on the
coefficients is the customer's dfbeta. Sources: Lin & Wei 1989; Reid & Crépeau 1985; weights and ties as R's agfit4.c.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from survival.estimate.adjusted_means import Steps
from survival.estimate.cox_data import CoxData
from survival.estimate.influence import Changes, moments
from survival.estimate.partial_likelihood import BLOCK, Likelihood, cumulative
from survival.estimate.residuals import score_terms
from survival.estimate.risk_sets import Floats, Ints


@dataclass(frozen=True, eq=False)
class RobustVariance:
    """Variances that add up by customer (or cluster); see `Uncertainty`.

    coefficients (q, q) the robust variance of the inner coefficients; dfbeta (units, q); data and at are the fit's.
    """

    steps: Steps
    coefficients: Floats
    dfbeta: Floats
    data: CoxData
    at: Likelihood

    def of_baseline(self, begin: float, tenures: Floats) -> tuple[Floats, Floats]:
        """See `Uncertainty`."""
        s, order = self.steps.strata, np.argsort(tenures, kind="stable")
        grid, back = np.unique(tenures[order], return_inverse=True)
        level = np.column_stack([self._level(k, begin, grid) for k in range(s)])  # A(t) of each stratum
        parts = self._changes(begin)
        own, cross = np.zeros((grid.size, s, s)), np.zeros((grid.size, self.steps.q, s))
        for some in self._together(parts):
            x = moments([parts[k] for k in some], grid)
            for i, k in enumerate(some):
                for j, m in enumerate(some):
                    a, b = level[:, k], level[:, m]
                    corner = x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
                    own[:, k, m] = corner[:, 0, 0] + b * corner[:, 0, 1] + a * corner[:, 1, 0] + a * b * corner[:, 1, 1]
        for k, part in enumerate(parts):
            cross[:, :, k] = self._with_coefficients(part, grid, level[:, k])
        place = np.empty(tenures.size, np.intp)
        place[order] = back
        return own[place], cross[place]

    def _slots(self, stratum: int) -> tuple[int, int]:
        low, high = np.searchsorted(self.data.sets.slot_stratum, [stratum, stratum + 1])
        return int(low), int(high)

    def _level(self, stratum: int, begin: float, tenures: Floats) -> Floats:
        low, high = self._slots(stratum)
        time = self.data.sets.slot_time[low : high - 1]  # without the empty slot
        return self._total[low + np.searchsorted(time, np.maximum(tenures, begin), side="right")]

    @property
    def _unit(self) -> float:
        return float(np.exp(-self.at.shift))

    @property
    def _total(self) -> Floats:
        return cumulative(self.at.moments.d2, self.data.sets) * self._unit

    def _changes(self, begin: float) -> list[Changes]:
        """Of each stratum, the steps of W as constant + slope · A, for the rows that are at risk after `begin`."""
        sets, m, episodes = self.data.sets, self.at.moments, self.data.episodes
        assert episodes is not None
        assert self.data.unit is not None
        total, unit = self._total, self._unit
        stratum = np.zeros(sets.rows, np.intp) if self.data.stratum is None else self.data.stratum
        lost = np.zeros(sets.rows)
        weight = np.where(sets.event_total > 0, sets.event_total, 1.0)[sets.event_slot]
        lost[sets.event_row] = (m.d1[sets.event_slot] / weight) * unit
        lost[sets.event_row] += self.at.risk[sets.event_row] * m.d2c[sets.event_slot] * unit
        first = np.array([self._slots(k)[0] for k in range(self.steps.strata)])
        begun = first + [int((self.base_times(k) <= begin).sum()) for k in range(self.steps.strata)]
        low, high = sets.bounds()
        found = []
        for k in range(self.steps.strata):
            rows = np.flatnonzero((stratum == k) & (episodes.stop > begin) & (episodes.weight > 0))
            w = episodes.weight[rows]
            mass = w * self.at.risk[rows]
            enter, leave = total[np.maximum(low[rows], begun[k])], total[high[rows]]
            step = np.concatenate(
                (np.column_stack((mass * enter, -mass)), np.column_stack((w * lost[rows] - mass * leave, mass)))
            )
            time = np.concatenate((np.maximum(episodes.start[rows], begin), episodes.stop[rows]))
            found.append(Changes(time, np.tile(self.data.unit[rows], 2), step))
        return found

    def base_times(self, stratum: int) -> Floats:
        """The event times of a stratum."""
        low, high = self._slots(stratum)
        return self.data.sets.slot_time[low : high - 1]

    def _together(self, parts: list[Changes]) -> list[list[int]]:
        """Strata that share a customer are added up together; else each by itself, which is much less work."""
        alone = [np.unique(part.customer) for part in parts]
        shared = sum(units.size for units in alone) > np.unique(np.concatenate(alone)).size
        return [list(range(len(parts)))] if shared else [[k] for k in range(len(parts))]

    def _with_coefficients(self, part: Changes, grid: Floats, level: Floats) -> Floats:
        """(T, q) Σ over customers of dfbeta x W(t)."""
        row = np.searchsorted(grid, part.time, side="left")
        found = np.empty((grid.size, self.steps.q))
        for j in range(self.steps.q):
            loaded = self.dfbeta[part.customer, j, None] * part.step
            sums = [np.cumsum(np.bincount(row, c, minlength=grid.size + 1)[: grid.size]) for c in loaded.T]
            found[:, j] = sums[0] + level * sums[1]
        return found


def dfbeta_by_unit(data: CoxData, at: Likelihood, inverse: Floats) -> Floats:
    """(units, q) influence of each unit on the inner coefficients, a block of episodes at a time."""
    assert data.episodes is not None
    assert data.unit is not None
    sets, terms = data.sets, score_terms(data.sets, at)
    slot = np.full(sets.rows, -1, np.int32)
    slot[sets.event_row] = sets.event_slot
    sums = np.zeros((int(data.unit.max()) + 1, data.x.shape[1]))
    for low in range(0, sets.rows, BLOCK):
        rows = slice(low, min(low + BLOCK, sets.rows))
        each: Ints = np.arange(rows.stop - low + 1)
        block = terms.summed(
            sets.between[rows], data.x[rows], at.risk[rows], data.episodes.weight[rows], slot[rows], each
        )
        np.add.at(sums, data.unit[rows], block)
    return sums @ inverse
