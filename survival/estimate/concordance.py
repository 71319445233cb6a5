"""Concordance on risk sets: at each event time, who left is compared with those at risk then who stay longer.

With late entry and changing covariates only customers at risk at the same time are comparable. Equal to R's
survival::concordance(coxph): ties in the score count half; pairs of events at one time do not count; pairs are
within strata; the standard error is from the influence of each customer (infinitesimal jackknife).

Pairs are counted as dominance sums, "weight of the first c points that lie at slots <= k", with the points in order of
score: a grid of blocks of points x slots, and direct comparison inside one block. O((n + e) sqrt(K)) at worst,
no loop over events.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from survival.estimate.risk_sets import Floats, Ints, RiskSets, sums_by

_TIE = (
    1e-12  # scores this close, relative to the largest, are one score: equal rows may differ in the last bit
)
_CELLS = 2_000_000  # grid cells, or direct comparisons, alive at a time
_CELL_COST = 0.75  # a grid cell costs so much of a direct comparison


@dataclass(frozen=True)
class Concordance:
    """Share of comparable pairs ordered as predicted, its standard error (NaN from flows), weighted pair counts."""

    value: float
    standard_error: float
    concordant: float
    discordant: float
    tied: float


@dataclass(frozen=True, eq=False)
class _Order:
    """rows (n,) in order of score; first, after (n,) by sorted place: rows with a smaller, with a smaller or equal score."""

    rows: Ints
    first: Ints
    after: Ints


def concordance(sets: RiskSets, score: Floats, weight: Floats | None, unit: Ints | None) -> Concordance:
    """Concordance of the risk score (n,) of the design rows.

    For episodes, `weight` (n,) and `unit` (n,), whose influence is one (codes from 0), give the standard error.
    """
    order = _ordered(score)
    place = np.empty(score.size, np.intp)
    place[order.rows] = np.arange(score.size)
    event = np.argsort(place[sets.event_row], kind="stable")  # the events in order of score
    at, slot, mass = place[sets.event_row[event]], sets.event_slot[event], sets.event_weight[event]
    moves = sets.moves[:, order.rows]
    everyone = np.cumsum(sums_by(moves.indices, moves.data, sets.slots))[slot]
    queries = [(moves.indptr[edge[at]].astype(np.intp), slot) for edge in (order.first, order.after)]
    lower, upto = _dominance(moves.indices, moves.data, queries, sets.slots)
    # Those who leave at the same time are not compared.
    leaving = _leaving(slot, order.first[at], mass)
    concordant, discordant = lower - leaving[0], (everyone - upto) - (leaving[2] - leaving[1])
    tied = (upto - lower) - (leaving[1] - leaving[0])
    totals = [float(mass @ counts) for counts in (concordant, discordant, tied)]
    pairs = sum(totals)
    if pairs <= 0:
        return Concordance(np.nan, np.nan, *totals)
    somers = (totals[0] - totals[1]) / pairs
    error = np.nan
    if weight is not None and unit is not None and sets.episodes:
        influence = np.empty(score.size)
        influence[order.rows] = _staying(sets, order, at, slot, mass, somers)
        influence[sets.event_row[event]] += (
            concordant - discordant - somers * (concordant + discordant + tied)
        )
        by_unit = np.bincount(unit, weight * influence)
        error = float(np.sqrt(by_unit @ by_unit)) / pairs / 2
    return Concordance((somers + 1) / 2, error, *totals)


def _ordered(score: Floats) -> _Order:
    rows = np.argsort(score)
    ordered = score[rows]
    new = np.concatenate(([True], np.diff(ordered) > _TIE * max(1.0, float(np.abs(ordered[[0, -1]]).max()))))
    start = np.flatnonzero(new)
    size = np.diff(np.append(start, score.size))
    return _Order(rows, np.repeat(start, size), np.repeat(start + size, size))


def _leaving(slot: Ints, group: Ints, mass: Floats) -> tuple[Floats, Floats, Floats]:
    """(e,) weight of the events at the same slot: with a lower score, with a lower or equal one, and all."""
    order = np.lexsort((group, slot))
    total = np.concatenate(([0.0], np.cumsum(mass[order])))
    new_slot = np.concatenate(([True], np.diff(slot[order]) != 0))
    new_group = new_slot | np.concatenate(([True], np.diff(group[order]) != 0))
    result = []
    for new, last in ((new_group, False), (new_group, True), (new_slot, True)):
        edge = np.append(np.flatnonzero(new), slot.size)
        result.append(total[edge[np.cumsum(new) - (0 if last else 1)]])
    begin = np.append(np.flatnonzero(new_slot), slot.size)[np.cumsum(new_slot) - 1]
    sums = []
    for values in result:
        back = np.empty(slot.size)
        back[order] = values - total[begin]
        sums.append(back)
    return sums[0], sums[1], sums[2]


def _staying(sets: RiskSets, order: _Order, at: Ints, slot: Ints, mass: Floats, somers: float) -> Floats:
    """(n,) by sorted place: change of (concordant - discordant) - somers x pairs per unit of weight of an episode as the
    one who stays: who leaves with a higher score makes the pair concordant. at, slot, mass: the events in order of score."""
    begin, end = (bound.astype(np.intp) for bound in sets.bounds())
    end[sets.event_row] -= 1
    begin, end = begin[order.rows], end[order.rows]
    before = np.concatenate(([0], np.cumsum(np.bincount(at, minlength=begin.size))))
    first, after = before[order.first], before[order.after]
    some = np.flatnonzero(after > first)  # tied with an event
    # Events at slots < k are those at slots <= k - 1.
    queries = [
        (first, end - 1),
        (first, begin - 1),
        (after[some], end[some] - 1),
        (after[some], begin[some] - 1),
    ]
    late, early, late_upto, early_upto = _dominance(slot, mass, queries, sets.slots)
    lower = late - early
    tied = np.zeros(begin.size)
    tied[some] = late_upto - early_upto - lower[some]
    total = np.concatenate(([0.0], np.cumsum(sums_by(slot, mass, sets.slots))))
    everyone = total[end] - total[begin]
    return everyone - tied - 2 * lower - somers * everyone


def _dominance(at: Ints, weight: Floats, queries: list[tuple[Ints, Ints]], slots: int) -> list[Floats]:
    """For each query (count (q,), slot (q,)) the weight of the first `count` points among those with at <= slot; the
    counts never fall. Points (m,)."""
    asked = sum(count.size for count, _ in queries)
    size = int(np.clip(np.sqrt(_CELL_COST * at.size * slots / max(asked, 1)), 1, 4096))
    blocks = at.size // size + 1
    padded = np.full(blocks * size, slots, np.intp)
    padded[: at.size] = at
    mass = np.zeros(blocks * size)
    mass[: at.size] = weight
    placed = [(*np.divmod(count, size), slot) for count, slot in queries]
    results = _whole_blocks(padded, mass, size, [(block, slot) for block, _, slot in placed], slots)
    if size > 1:
        by_block = padded.reshape(blocks, size), mass.reshape(blocks, size)
        for result, (block, rest, slot) in zip(results, placed):
            _add_inside_block(result, *by_block, block, rest, slot)
    return results


def _whole_blocks(
    at: Ints, weight: Floats, size: int, queries: list[tuple[Ints, Ints]], slots: int
) -> list[Floats]:
    """Weight of the points of all blocks before `block` with at <= slot; the grid is made a few blocks at a time."""
    results = [np.zeros(block.size) for block, _ in queries]
    width = slots + 1  # the last column takes the padding
    carried = np.zeros(width)
    blocks = at.size // size
    step = max(1, _CELLS // width)
    for low in range(0, blocks, step):
        high = min(low + step, blocks)
        part = slice(low * size, high * size)
        cell = np.repeat(np.arange(1, high - low + 1) * width, size) + at[part]
        grid = sums_by(cell, weight[part], (high - low + 1) * width).reshape(-1, width)
        np.cumsum(grid, axis=1, out=grid)
        grid[0] = carried
        np.cumsum(grid, axis=0, out=grid)
        for result, (block, slot) in zip(results, queries):
            here = slice(*np.searchsorted(block, [low, high]))
            result[here] = grid[block[here] - low, np.maximum(slot[here], 0)] * (slot[here] >= 0)
        carried = grid[-1].copy()
    return results


def _add_inside_block(result: Floats, at: Ints, weight: Floats, block: Ints, rest: Ints, slot: Ints) -> None:
    """Add the weight of the first `rest` points of `block` with at <= slot, by direct comparison."""
    size = at.shape[1]
    number = np.arange(size)
    step = max(1, _CELLS // size)
    for low in range(0, block.size, step):
        part = slice(low, low + step)
        counted = (at[block[part]] <= slot[part, None]) & (number < rest[part, None])
        result[part] += np.einsum("ij,ij->i", counted, weight[block[part]])
