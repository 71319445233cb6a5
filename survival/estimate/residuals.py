"""Residuals of a Cox fit by episode, and the cluster-robust variance from them.

Definitions and signs of R's residuals.coxph: martingale and score residuals are per unit of weight, dfbeta is weighted.
Sources: Therneau & Grambsch (2000), chapters 4 and 7; Lin & Wei (1989) for the robust variance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from survival.estimate.parallel import over_rows
from survival.estimate.partial_likelihood import BLOCK, Likelihood, cumulative, mean_at_events
from survival.estimate.risk_sets import Floats, Ints, RiskSets


def martingale(sets: RiskSets, at: Likelihood) -> Floats:
    """(n,) events minus expected events of each episode, per unit of weight."""
    begin, end = sets.bounds()
    total = cumulative(at.moments.d1, sets)
    residual = -at.risk * (total[end] - total[begin])
    row, slot = sets.event_row, sets.event_slot
    residual[row] += 1.0 + at.risk[row] * at.moments.d1c[slot]
    return residual


def deviance(martingales: Floats, events: Floats) -> Floats:
    """Deviance residuals from martingale residuals and event counts, one of each per row or per customer."""
    some = np.where(events > 0, events, 1.0)
    log_part = np.where(events > 0, events * (np.log(some) + np.log1p(-martingales / some)), 0.0)
    return np.sign(martingales) * np.sqrt(np.maximum(-2.0 * (martingales + log_part), 0.0)) + 0.0


def score(sets: RiskSets, x: Floats, at: Likelihood) -> Floats:
    """(n, p) score residuals, per unit of weight: the terms of the score that each episode contributes."""
    pieces = _score_blocks(sets, x, at, None)
    return np.concatenate([block for _, block in pieces]) if len(x) else np.zeros_like(x)


def robust_meat(sets: RiskSets, x: Floats, at: Likelihood, weight: Floats, unit: Ints) -> Floats:
    """(p, p) sum over units (codes from 0) of the outer products of their weighted score residuals.

    Runs over the episodes in order of unit, a block at a time and in threads: nothing of size n x p is made.
    """
    order, starts = rows_by_unit(unit)
    terms, slot = score_terms(sets, at), slot_of_event(sets)

    def part(units: slice) -> Floats:
        meat = np.zeros((x.shape[1], x.shape[1]))
        for sums in _unit_sums(sets, x, at, weight, terms, slot, order, starts, units):
            meat += np.dot(sums.T, sums)  # gives the interpreter lock back, which @ does not
        return meat

    return np.sum(over_rows(part, starts.size - 1, held=0), axis=0)


def unit_scores(sets: RiskSets, x: Floats, at: Likelihood, weight: Floats, unit: Ints) -> tuple[Ints, Floats]:
    """(u,) a row of each unit, in order of its code, and (u, p) the sums over its episodes of weighted score residuals.

    As `robust_meat`, a block at a time: what is made is as long as there are units.
    """
    order, starts = rows_by_unit(unit)
    terms, slot = score_terms(sets, at), slot_of_event(sets)

    def part(units: slice) -> list[Floats]:
        return list(_unit_sums(sets, x, at, weight, terms, slot, order, starts, units))

    sums = [block for blocks in over_rows(part, starts.size - 1, held=0) for block in blocks]
    first = starts[:-1] if order is None else order[starts[:-1]]
    return first, np.concatenate(sums) if sums else np.zeros((0, x.shape[1]))


def rows_by_unit(unit: Ints) -> tuple[Ints | None, Ints]:
    """The order of the rows (n,) in which each unit's follow each other (None: as they are), and where each begins (u + 1,)."""
    order = None if (unit[1:] >= unit[:-1]).all() else np.argsort(unit, kind="stable")
    ordered = unit if order is None else unit[order]
    return order, np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1], [True])))


def slot_of_event(sets: RiskSets) -> NDArray[np.int32]:
    """(n,) the slot of each episode's event, -1 without."""
    slot = np.full(sets.rows, -1, np.int32)
    slot[sets.event_row] = sets.event_slot
    return slot


def _unit_sums(
    sets: RiskSets, x: Floats, at: Likelihood, weight: Floats, terms: ScoreTerms, slot: NDArray[np.int32],
    order: Ints | None, starts: Ints, units: slice,
) -> Iterator[Floats]:  # fmt: skip
    """(some units, p) summed scores of a range of units, block after block."""
    for pieces in _blocks_of_units(starts, units):
        sums: Floats = np.zeros(())
        for cuts in pieces:
            rows: Any = slice(int(cuts[0]), int(cuts[-1]))
            rows = rows if order is None else order[rows]
            sums = sums + terms.summed(sets.between[rows], x[rows], at.risk[rows], weight[rows], slot[rows], cuts)
        yield sums


def _blocks_of_units(starts: Ints, units: slice) -> Iterator[list[Ints]]:
    """As many units as a block of rows holds: where each begins and the last ends; of one that is longer, its pieces."""
    low = units.start
    while low < units.stop:
        high = min(int(np.searchsorted(starts, starts[low] + 4 * BLOCK, side="right")) - 1, units.stop)
        if high > low:
            yield [starts[low : high + 1]]
        else:
            high = low + 1
            edges = np.append(np.arange(starts[low], starts[high], 4 * BLOCK), starts[high])
            yield [edges[i : i + 2] for i in range(edges.size - 1)]
        low = high


@dataclass(frozen=True, eq=False)
class ScoreTerms:
    """What score residuals are made of, by slot: hazard (K,), share of ties (K,), and one table (3 K, p) of the mean covariates
    that a risk set, a tie and an event take away."""

    hazard: Floats
    tied: Floats
    table: Floats

    def summed(
        self, between: NDArray[np.int32], x: Floats, risk: Floats, weight: Floats, slot: NDArray[np.int32], starts: Ints
    ) -> Floats:
        """(u, p) weighted score residuals of m episodes, added up by unit.

        between (m, 2) slots at risk; slot (m,) of its event, -1 without; starts (u + 1,) where each unit's episodes begin.
        """
        size, k = len(x), self.hazard.size
        mass = weight * risk
        pointer = starts - starts[0]
        event = np.flatnonzero(slot >= 0)
        hazard = np.take(self.hazard, between)
        own = mass * (hazard[:, 0] - hazard[:, 1])
        own[event] += weight[event] + mass[event] * self.tied[slot[event]]
        moving = np.column_stack((-mass, mass)).ravel()
        units = starts.size - 1
        sums = sparse.csr_matrix((own, np.arange(size), pointer), shape=(units, size)) @ x
        sums += sparse.csr_matrix((moving, between.ravel(), 2 * pointer), shape=(units, 3 * k)) @ self.table
        taken = np.column_stack((-mass[event], -weight[event])).ravel()
        where = np.column_stack((slot[event] + k, slot[event] + 2 * k)).ravel()
        until = 2 * np.searchsorted(event, pointer)
        sums += sparse.csr_matrix((taken, where, until), shape=(units, 3 * k)) @ self.table
        return np.asarray(sums)


def score_terms(sets: RiskSets, at: Likelihood) -> ScoreTerms:
    """Of the likelihood `at` its maximum."""
    m, s1, e1 = at.moments, at.sums.s1, at.sums.e1
    mean_hazard = cumulative(m.d2[:, None] * s1 - m.d2c[:, None] * e1, sets)
    tied_mean = m.d2c[:, None] * s1 - m.d2cc[:, None] * e1
    table = np.concatenate((mean_hazard, tied_mean, mean_at_events(at, sets)))
    return ScoreTerms(cumulative(m.d1, sets), m.d1c, table)


def _score_blocks(sets: RiskSets, x: Floats, at: Likelihood, order: Ints | None) -> Iterator[tuple[int, Floats]]:
    """Score residuals (rows, p) block by block, in row order or in `order`, each with its first position."""
    begin, end = sets.bounds()
    m, s1, e1 = at.moments, at.sums.s1, at.sums.e1
    hazard = cumulative(m.d1, sets)
    mean_hazard = cumulative(m.d2[:, None] * s1 - m.d2c[:, None] * e1, sets)
    mean = mean_at_events(at, sets)
    tied_mean = m.d2c[:, None] * s1 - m.d2cc[:, None] * e1
    slot_of = np.full(x.shape[0], -1, np.int32)
    slot_of[sets.event_row] = sets.event_slot
    for low in range(0, x.shape[0], BLOCK):
        rows = slice(low, low + BLOCK) if order is None else order[low : low + BLOCK]
        a, b, r, z = begin[rows], end[rows], at.risk[rows, None], x[rows]
        residual = z * (hazard[a] - hazard[b])[:, None]
        residual += mean_hazard[b]
        residual -= mean_hazard[a]
        residual *= r
        slot = slot_of[rows]
        event = np.flatnonzero(slot >= 0)
        k, ze = slot[event], z[event]
        residual[event] += ze - mean[k] + r[event] * (ze * m.d1c[k, None] - tied_mean[k])
        yield low, residual


def schoenfeld(sets: RiskSets, x: Floats, at: Likelihood) -> tuple[Ints, Floats]:
    """(e,) event numbers in order of stratum, time and row, and (e, p) covariates minus their mean at risk."""
    order = np.lexsort((sets.event_row, sets.event_slot))
    slot = sets.event_slot[order]
    return order, x[sets.event_row[order]] - mean_at_events(at, sets)[slot]


def scaled_schoenfeld(
    residuals: Floats, stratum: Ints, used: Floats, information: Floats, beta: Floats
) -> tuple[Floats, Floats]:
    """(e, p) Schoenfeld residuals scaled to estimates of beta at their time, and their (p, p) variance; as R's cox.zph.

    stratum (e,) of each event; used (S, p) the events of each stratum if the covariate varies in it, else 0:
    where it does not, the scaled residual is NaN.
    """
    shared = np.minimum(used[:, :, None], used[:, None, :]).sum(axis=0)
    average = information / np.where(shared > 0, shared, 1.0)
    scaled = np.full_like(residuals, np.nan)
    kinds, which = np.unique(used > 0, axis=0, return_inverse=True)
    for kind, there in enumerate(kinds):
        rows = np.flatnonzero(which.ravel()[stratum] == kind)
        if there.any() and rows.size:
            columns = np.flatnonzero(there)
            inverse = np.linalg.inv(average[np.ix_(columns, columns)])
            scaled[np.ix_(rows, columns)] = residuals[np.ix_(rows, columns)] @ inverse + beta[columns]
    return scaled, np.asarray(np.linalg.inv(average), np.float64)
