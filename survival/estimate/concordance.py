"""Concordance on risk sets: at each event time, who left is compared with those at risk then who stay longer.

With late entry and changing covariates only customers at risk at the same time are comparable. Equal to R's
survival::concordance(coxph): ties in the score count half; pairs of events at one time do not count; pairs are
within strata; the standard error is from the influence of each customer (infinitesimal jackknife).

Pairs are counted as dominance sums, "weight of the first c points that lie at slots <= k", with the points in order of
score: a grid of blocks of points x slots, and direct comparison inside one block. O((n + e) sqrt(K)) at worst,
no loop over events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from survival.estimate.parallel import together
from survival.estimate.risk_sets import Floats, Ints, RiskSets, sums_by

_TIE = 1e-12  # scores this close, relative to the largest, are one score: equal rows may differ in the last bit
_CELLS = 500_000  # grid cells, or direct comparisons, alive at a time: they stay in cache
_CELL_COST = 3.0  # points x slots of the grid against queries x points of a block


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


@dataclass(frozen=True, eq=False)
class _Events:
    """The events in order of score: sorted place of their row, slot, weight; (e,) each."""

    place: Ints
    slot: Ints
    weight: Floats


def concordance(sets: RiskSets, score: Floats, weight: Floats | None, unit: Ints | None) -> Concordance:
    """Concordance of the risk score (n,) of the design rows.

    For episodes, `weight` (n,) and `unit` (n,), whose influence is one (codes from 0), give the standard error.
    """
    order = _ordered(score)
    place = np.empty(score.size, order.first.dtype)
    place[order.rows] = np.arange(score.size, dtype=place.dtype)
    by_score = np.argsort(place[sets.event_row], kind="stable")
    row = sets.event_row[by_score]
    events = _Events(place[row], sets.event_slot[by_score], sets.event_weight[by_score])
    moves = _moves_in_order(sets, order.rows)
    tasks: list[Callable[[], tuple[Floats, ...]]] = [lambda: _leavers(sets, order, events, moves)]
    if weight is not None and unit is not None and sets.episodes:
        tasks.append(lambda: _stayers(sets.slots, order, events, moves[0]))
    (concordant, discordant, tied), *stayers = together(tasks)
    totals = [float(events.weight @ counts) for counts in (concordant, discordant, tied)]
    pairs = sum(totals)
    if pairs <= 0:
        return Concordance(np.nan, np.nan, *totals)
    somers = (totals[0] - totals[1]) / pairs
    if not stayers or weight is None or unit is None:
        return Concordance((somers + 1) / 2, np.nan, *totals)
    balance, compared = stayers[0]
    compared *= somers
    balance -= compared
    influence = np.empty(score.size)
    influence[order.rows] = balance
    influence[row] += concordant - discordant - somers * (concordant + discordant + tied)
    influence *= weight
    by_unit = np.bincount(unit, influence)
    return Concordance((somers + 1) / 2, float(np.sqrt(by_unit @ by_unit)) / pairs / 2, *totals)


def _ordered(score: Floats) -> _Order:
    rows = np.argsort(score)
    ordered = score[rows]
    new = np.concatenate(([True], np.diff(ordered) > _TIE * max(1.0, float(np.abs(ordered[[0, -1]]).max()))))
    small = np.int32 if score.size < 2**28 else np.int64  # half the memory to touch
    start = np.flatnonzero(new).astype(small)
    size = np.diff(np.append(start, score.size))
    return _Order(rows, np.repeat(start, size), np.repeat(start + size, size))


def _moves_in_order(sets: RiskSets, rows: Ints) -> tuple[NDArray[Any], Floats, NDArray[Any]]:
    """Slots (m,) and weights (m,) of the movements, row after row, and where each row's begin (n + 1,)."""
    if not sets.episodes:
        moves = sets.moves[:, rows]
        return moves.indices, moves.data, moves.indptr.astype(np.intp)
    # Two movements a row: gathered as one wide element each, which is much faster than indexing pairs.
    slot = np.ascontiguousarray(sets.between).view(np.int64).ravel()[rows].view(np.int32)
    weight = np.repeat(sets.weight[rows], 2)
    weight[1::2] *= -1.0
    small = np.int32 if rows.size < 2**28 else np.int64
    return slot, weight, np.arange(0, 2 * rows.size + 2, 2, dtype=small)


def _leavers(
    sets: RiskSets, order: _Order, events: _Events, moves: tuple[NDArray[Any], Floats, NDArray[Any]]
) -> tuple[Floats, Floats, Floats]:
    """(e,) for each event the weight of those at risk who stay and have a lower score, a higher one, the same."""
    slot, mass = events.slot, events.weight
    point_slot, point_weight, pointer = moves
    first, after = order.first[events.place], order.after[events.place]
    # Tied ones (or patterns); an episode by itself has only itself between lower and upto.
    some = np.flatnonzero(after - first > 1) if sets.episodes else np.arange(slot.size)
    queries = [(pointer[first], (slot,)), (pointer[after[some]], (slot[some],))]
    (lower,), (upto_tied,) = _dominance(point_slot, point_weight, queries, sets.slots)
    upto = lower + mass
    upto[some] = upto_tied
    everyone = np.cumsum(sums_by(point_slot, point_weight, sets.slots))[slot]
    # Those who leave at the same time are not compared.
    leaving = _leaving(slot, first, mass)
    higher = (everyone - upto) - (leaving[2] - leaving[1])
    return lower - leaving[0], higher, (upto - lower) - (leaving[1] - leaving[0])


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


def _stayers(slots: int, order: _Order, events: _Events, point_slot: Ints) -> tuple[Floats, Floats]:
    """(n,) by sorted place, for each episode over the events while it is at risk and stays: their weight with a higher score
    (concordant pairs) minus that with a lower one, and the weight of all."""
    slot, mass = events.slot, events.weight
    begin, end = point_slot[0::2], point_slot[1::2].copy()
    end[events.place] -= 1
    before = np.zeros(begin.size + 1, order.first.dtype)
    np.cumsum(np.bincount(events.place, minlength=begin.size), out=before[1:])
    first, after = before[order.first], before[order.after]
    some = np.flatnonzero(after > first)  # tied with an event
    # Events at slots < k are those at slots <= k - 1.
    queries = [(first, (end - 1, begin - 1)), (after[some], (end[some] - 1, begin[some] - 1))]
    (late, early), (late_upto, early_upto) = _dominance(slot, mass, queries, slots)
    lower = np.subtract(late, early, out=late)
    tied = late_upto - early_upto - lower[some]
    total = np.concatenate(([0.0], np.cumsum(sums_by(slot, mass, slots))))
    everyone = np.subtract(total[end], total[begin], out=early)
    lower *= -2.0  # higher - lower = everyone - 2 lower - tied
    lower += everyone
    lower[some] -= tied
    return lower, everyone


Query = tuple[Ints, tuple[Ints, ...]]


def _dominance(at: Ints, weight: Floats, queries: Sequence[Query], slots: int) -> list[tuple[Floats, ...]]:
    """For each query (count (q,), slots (q,) …): the weight of the first `count` points among those with at <= slot, for each
    of the slots. The counts never fall along a query. Points (m,)."""
    asked = sum(count.size * len(many) for count, many in queries)
    bits = int(np.clip(np.log2(_CELL_COST * at.size * slots / max(asked, 1)) / 2, 0, 12))
    blocks = (at.size >> bits) + 1
    padded = np.full(blocks << bits, slots, np.int32)
    padded[: at.size] = at
    mass = np.zeros(blocks << bits)
    mass[: at.size] = weight
    by_block: tuple[NDArray[np.integer], Floats] = padded.reshape(blocks, -1), mass.reshape(blocks, -1)
    results = _whole_blocks(*by_block, bits, queries, slots)
    if bits:
        for (count, many), sums in zip(queries, results):
            _add_inside_block(sums, *by_block, bits, count, many)
    return results


def _whole_blocks(
    at: NDArray[np.integer], weight: Floats, bits: int, queries: Sequence[Query], slots: int
) -> list[tuple[Floats, ...]]:
    """Weight of the points with at <= slot in all blocks before that of each query; a few blocks at a time, so that the grid
    stays in cache. at, weight (blocks, 2^bits)."""
    results = [tuple(np.empty(count.size) for _ in many) for count, many in queries]
    width = slots + 1  # the last column takes the padding
    carried = np.zeros(width)
    step = max(1, _CELLS // width)
    for low in range(0, len(at), step):
        high = min(low + step, len(at))
        cell = at[low:high] + np.arange(1, high - low + 1)[:, None] * width
        grid = sums_by(cell.ravel(), weight[low:high].ravel(), (high - low + 1) * width).reshape(-1, width)
        np.cumsum(grid, axis=1, out=grid)
        grid[0] = carried
        np.cumsum(grid, axis=0, out=grid)
        carried = grid[-1].copy()
        grid[:, -1] = 0.0  # what slot -1 finds: the last cell of the row before
        cells = grid.ravel()
        for (count, many), sums in zip(queries, results):
            here = slice(*np.searchsorted(count, np.array([low << bits, high << bits], count.dtype)))
            row = ((count[here] >> bits).astype(np.intp) - low) * width
            for slot, result in zip(many, sums):
                np.take(cells, row + slot[here], out=result[here], mode="wrap")
    return results


def _add_inside_block(
    results: tuple[Floats, ...],
    at: NDArray[np.integer],
    weight: Floats,
    bits: int,
    count: Ints,
    slots: tuple[Ints, ...],
) -> None:
    """Add the weight of the points before `count` in its own block with at <= slot, by direct comparison."""
    number = np.arange(1 << bits, dtype=np.int32)
    step = max(1, _CELLS >> (bits + 2))
    for low in range(0, count.size, step):
        part = slice(low, low + step)
        block, rest = count[part] >> bits, count[part] & ((1 << bits) - 1)
        here, mass = at[block], weight[block]
        mass *= number < rest[:, None]
        for slot, result in zip(slots, results):
            result[part] += np.einsum("ij,ij->i", here <= slot[part, None], mass)
