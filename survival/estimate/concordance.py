"""Concordance on risk sets: at each event, who left is compared with those at risk then who stay longer.

With late entry and changing covariates only customers at risk at the same time are comparable. Equal to R's
survival::concordance(coxph): ties in the score count half; pairs of events at one time do not count; pairs are
within strata; the standard error is from the influence of each customer (infinitesimal jackknife).

Pairs are counted as dominance sums, "weight of points with position < p and slot <= k", by a grid of blocks of
positions x slots and direct comparison inside one block: O(n sqrt(K)) at worst and no loop over events.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from survival.estimate.risk_sets import Floats, Ints, RiskSets, sums_by

_TIE = (
    1e-12  # scores this close, relative to the largest, are one score: equal rows may differ in the last bit
)
_CELLS = 4_000_000  # grid cells alive at a time
_PAIR_COST = 8.0  # one direct comparison costs as much as so many grid cells


@dataclass(frozen=True)
class Concordance:
    """Share of comparable pairs ordered as predicted, its standard error (NaN from flows), weighted pair counts."""

    value: float
    standard_error: float
    concordant: float
    discordant: float
    tied: float


def concordance(sets: RiskSets, score: Floats, weight: Floats | None, unit: Ints | None) -> Concordance:
    """Concordance of the risk score (n,) of the design rows.

    For episodes, `weight` (n,) and `unit` (n,), whose influence is one (codes from 0), give the standard error.
    """
    first, after = _positions(score)
    # An event leaves before its own slot: those who leave at the same time are not compared.
    move_row = np.repeat(np.arange(score.size), np.diff(sets.moves.indptr))
    points = (
        np.concatenate((first[move_row], first[sets.event_row], first[sets.event_row])),
        np.concatenate((sets.moves.indices, sets.event_slot, sets.event_slot + 1)).astype(np.intp),
        np.concatenate((sets.moves.data, -sets.event_weight, sets.event_weight)),
    )
    lower, upto, everyone = _compare(
        points, first[sets.event_row], after[sets.event_row], sets.event_slot, sets
    )
    concordant, tied = lower, upto - lower
    discordant = everyone - upto
    totals = [float(sets.event_weight @ counts) for counts in (concordant, discordant, tied)]
    pairs = sum(totals)
    if pairs <= 0:
        return Concordance(np.nan, np.nan, *totals)
    somers = (totals[0] - totals[1]) / pairs
    error = np.nan
    if weight is not None and unit is not None and sets.episodes:
        influence = _influence(sets, first, after, (concordant, discordant, tied), somers)
        by_unit = np.bincount(unit, weight * influence)
        error = float(np.sqrt(by_unit @ by_unit)) / pairs / 2
    return Concordance((somers + 1) / 2, error, *totals)


def _positions(score: Floats) -> tuple[Ints, Ints]:
    """(n,), (n,): how many rows have a smaller score, and how many a smaller or equal one."""
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    new = np.concatenate(([True], np.diff(ordered) > _TIE * max(1.0, float(np.abs(ordered[[0, -1]]).max()))))
    start = np.flatnonzero(new)
    group = np.cumsum(new) - 1
    first, after = np.empty(score.size, np.intp), np.empty(score.size, np.intp)
    first[order] = start[group]
    after[order] = np.append(start[1:], score.size)[group]
    return first, after


def _influence(
    sets: RiskSets, first: Ints, after: Ints, own: tuple[Floats, Floats, Floats], somers: float
) -> Floats:
    """(n,) change of (concordant - discordant) - somers x pairs per unit of weight of each episode: as the one who
    leaves (`own`, by event) and as the one who stays."""
    begin, end = (bound.astype(np.intp) for bound in sets.bounds())
    end[sets.event_row] -= 1
    some = np.flatnonzero(end > begin)
    begin, end = begin[some], end[some]
    points = (first[sets.event_row], sets.event_slot, sets.event_weight)
    # Events strictly before slot k are those at slots <= k - 1.
    late = _compare(points, first[some], after[some], end - 1, sets)
    early = _compare(points, first[some], after[some], begin - 1, sets)
    lower, upto, everyone = (b - a for a, b in zip(early, late))
    stays = (everyone - upto) - lower - somers * everyone
    concordant, discordant, tied = own
    leaves = concordant - discordant - somers * (concordant + discordant + tied)
    total = np.zeros(first.size)
    total[some] = stays
    total[sets.event_row] += leaves
    return total


def _compare(
    points: tuple[Ints, Ints, Floats], first: Ints, after: Ints, slot: Ints, sets: RiskSets
) -> tuple[Floats, Floats, Floats]:
    """For queries (position range, slot): weight of points up to the slot with a lower, with a lower or equal
    position, and of all; only within the query's stratum."""
    order = np.argsort(points[0], kind="stable")
    position, at, weight = points[0][order], points[1][order], points[2][order]
    both = np.concatenate((np.searchsorted(position, first), np.searchsorted(position, after)))
    sums = _dominance(at, weight, both, np.concatenate((slot, slot)), sets.slots)
    everyone = np.cumsum(sums_by(at, weight, sets.slots))
    return sums[: slot.size], sums[slot.size :], np.where(slot >= 0, everyone[slot], 0.0)


def _dominance(at: Ints, weight: Floats, count: Ints, slot: Ints, slots: int) -> Floats:
    """(q,) for each query the weight of the first `count` points among those with at <= slot."""
    size = _block_size(at.size, count.size, slots)
    blocks = at.size // size + 1
    padded = np.full(blocks * size, slots, np.intp)
    padded[: at.size] = at
    mass = np.zeros(blocks * size)
    mass[: at.size] = weight
    block, rest = np.divmod(count, size)
    result = _whole_blocks(padded, mass, size, block, slot, slots)
    if size > 1:
        result += _inside_block(padded.reshape(blocks, size), mass.reshape(blocks, size), block, rest, slot)
    return result


def _block_size(points: int, queries: int, slots: int) -> int:
    """Balances the grid (points / size x slots) with the comparisons (queries x size)."""
    balanced = np.sqrt(points * slots / (_PAIR_COST * max(queries, 1)))
    return int(np.clip(max(balanced, points * slots / _CELLS), 1, 4096))


def _whole_blocks(at: Ints, weight: Floats, size: int, block: Ints, slot: Ints, slots: int) -> Floats:
    """Weight of the points of all blocks before `block` with at <= slot; the grid is made a few blocks at a time."""
    result = np.zeros(block.size)
    rows = at.size // size
    step = max(1, 2 * _CELLS // slots)
    order = np.argsort(block, kind="stable") if rows > step else None
    carried = np.zeros(slots)
    width = slots + 1  # the last column takes the padding
    for low in range(0, rows, step):
        high = min(low + step, rows)
        part = slice(low * size, high * size)
        cell = np.repeat(np.arange(high - low) * width, size) + at[part]
        grid = sums_by(cell, weight[part], (high - low) * width).reshape(high - low, width)
        grid = np.cumsum(grid[:, :slots], axis=1)
        np.cumsum(grid, axis=0, out=grid)
        if order is None:
            here: Ints | slice = slice(None)
        else:
            here = order[
                np.searchsorted(block, low, sorter=order) : np.searchsorted(block, high, sorter=order)
            ]
        row, column = block[here] - low, slot[here]
        before = grid[np.maximum(row - 1, 0), column]
        result[here] = np.where((row > 0) & (column >= 0), before, 0.0) + np.where(
            column >= 0, carried[column], 0.0
        )
        carried = carried + grid[-1]
    return result


def _inside_block(at: Ints, weight: Floats, block: Ints, rest: Ints, slot: Ints) -> Floats:
    """Weight of the first `rest` points of `block` with at <= slot, by direct comparison."""
    result = np.zeros(block.size)
    size = at.shape[1]
    number = np.arange(size)
    step = max(1, _CELLS // (4 * size))
    for low in range(0, block.size, step):
        part = slice(low, low + step)
        counted = (at[block[part]] <= slot[part, None]) & (number < rest[part, None])
        result[part] = np.einsum("ij,ij->i", counted, weight[block[part]])
    return result
