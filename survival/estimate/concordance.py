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
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from survival.estimate.parallel import together
from survival.estimate.risk_sets import Floats, Ints, RiskSets, sums_by

_TIE = 1e-12  # scores this close, relative to the largest, are one score: equal rows may differ in the last bit
_CELLS = 250_000  # grid cells, or direct comparisons, alive at a time: they stay in cache
_BITS = 12  # a block has at most 2^12 points
_CELL_COST = 6.0  # points x slots of the grid against queries x points of a block


@dataclass(frozen=True)
class Concordance:
    """Share of comparable pairs ordered as predicted, its standard error (NaN from flows), weighted pair counts."""

    value: float
    standard_error: float
    concordant: float
    discordant: float
    tied: float

    @property
    def somers(self) -> float:
        """Somers' d: 2 x value - 1."""
        return 2 * self.value - 1

    def with_error(self, squares: float) -> Concordance:
        """With the standard error from the sum of squares of the units' influence."""
        return replace(
            self, standard_error=float(np.sqrt(squares)) / (self.concordant + self.discordant + self.tied) / 2
        )


@dataclass(frozen=True, eq=False)
class _Order:
    """rows (n,) in order of score; first, after (n,) by sorted place: rows with a smaller, with a smaller or equal score."""

    rows: NDArray[Any]
    first: NDArray[Any]
    after: NDArray[Any]


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
    events, row = _events(sets, order)
    moves = _moves_in_order(sets, order.rows)
    tasks: list[Callable[[], tuple[Floats, ...]]] = [lambda: _leavers(sets, order, events, moves)]
    if weight is not None and unit is not None and sets.episodes:
        tasks.append(lambda: _stayers(sets.slots, order, events, moves[0]))
    counts, *stayers = together(tasks)
    found = _value(events, counts)
    if not stayers or weight is None or unit is None or np.isnan(found.value):
        return found
    balance, compared = stayers[0]
    compared *= found.somers
    balance -= compared
    influence = np.empty(score.size)
    influence[order.rows] = balance
    influence[row] += _of_leavers(counts, found.somers)
    influence *= weight
    by_unit = np.bincount(unit, influence)
    return found.with_error(float(by_unit @ by_unit))


def _events(sets: RiskSets, order: _Order) -> tuple[_Events, Ints]:
    """The events in order of score, and their design rows."""
    place = np.empty(order.rows.size, order.first.dtype)
    place[order.rows] = np.arange(place.size, dtype=place.dtype)
    place = place[sets.event_row]
    by_score = np.argsort(place, kind="stable")
    events = _Events(place[by_score], sets.event_slot[by_score], sets.event_weight[by_score])
    return events, sets.event_row[by_score]


def _value(events: _Events, counts: tuple[Floats, ...]) -> Concordance:
    totals = [float(events.weight @ count) for count in counts]
    pairs = sum(totals)
    value = ((totals[0] - totals[1]) / pairs + 1) / 2 if pairs > 0 else np.nan
    return Concordance(value, np.nan, *totals)


def _of_leavers(counts: tuple[Floats, ...], somers: float) -> Floats:
    concordant, discordant, tied = counts
    return concordant - discordant - somers * (concordant + discordant + tied)


class Standing:
    """The concordance of design rows, and what any episode of theirs has in it: for episodes that pass by in batches."""

    def __init__(self, sets: RiskSets, score: Floats) -> None:
        order = _ordered(score)
        events, row = _events(sets, order)
        counts = _leavers(sets, order, events, _moves_in_order(sets, order.rows))
        self.concordance = _value(events, counts)
        self._slots, self._near = sets.slots, _nearness(score)
        self._score = score[row]
        self._points = _points(row.size, sets.slots, np.float64)
        self._points.slot[: row.size], self._points.weight[: row.size] = events.slot, events.weight
        self._until = np.concatenate(([0.0], np.cumsum(sums_by(events.slot, events.weight, sets.slots))))
        keys, first = np.unique(self._key(events.slot, self._score), return_index=True)
        self._keys, self._net = keys, _of_leavers(counts, self.concordance.somers)[first]

    def _key(self, slot: NDArray[Any], score: Floats) -> Ints:
        """One number for the events of one slot and score."""
        return slot.astype(np.intp) * (self._score.size + 1) + np.searchsorted(self._score, score - self._near)

    def influence(self, score: Floats, between: NDArray[np.int32], slot: NDArray[np.int32]) -> Floats:
        """(m,) of episodes, per unit of weight: slots at risk (m, 2), slot of the event or -1 (m,). NaN for an event that is
        none of the design's."""
        order = np.argsort(score)
        ordered, happened = score[order], slot[order] >= 0
        first, after = (np.searchsorted(self._score, ordered + by) for by in (-self._near, self._near))
        early, late = between[order, 0] - 1, between[order, 1] - 1 - happened
        queries = [_Query(first, early, late), _Query(after, early, late)]
        lower, upto = _dominance(self._points, queries, self._slots)
        everyone = self._until[late + 1] - self._until[early + 1]
        balance = everyone - lower - upto - self.concordance.somers * everyone
        key = self._key(slot[order[happened]], ordered[happened])
        place = np.minimum(np.searchsorted(self._keys, key), self._keys.size - 1)
        balance[happened] += np.where(self._keys[place] == key, self._net[place], np.nan)
        result = np.empty(score.size)
        result[order] = balance
        return result


def _nearness(score: Floats) -> float:
    """How far apart two scores may be that are one."""
    return _TIE * max(1.0, float(np.abs(score).max()))


def _ordered(score: Floats) -> _Order:
    n = score.size
    small = np.int32 if n < 2**28 else np.int64  # half the memory to touch
    rows = _argsort(score, small)
    ordered = score[rows]
    step = np.diff(ordered)
    new = step > _nearness(ordered[[0, -1]])
    first, after = np.arange(n, dtype=small), np.arange(1, n + 1, dtype=small)
    if not new.all():
        first[1:][~new] = 0
        np.maximum.accumulate(first, out=first)
        after[:-1][~new] = n
        after = np.minimum.accumulate(after[::-1])[::-1]
    return _Order(rows, first, after)


def _argsort(score: Floats, kind: Any) -> NDArray[Any]:
    """Rows in order of score. The row's number rides in the low bits of its score as an integer: sorting values is several times
    faster than sorting places. Scores that the integers cannot tell apart are put right afterwards."""
    low, high, bits = float(score.min()), float(score.max()), int(score.size - 1).bit_length()
    if not 0 < high - low < np.inf:
        return np.argsort(score, kind="stable").astype(kind)
    key = ((score - low) * ((2.0 ** (62 - bits) - 1) / (high - low))).astype(np.int64)
    key <<= bits
    key |= np.arange(score.size)
    key.sort()
    key &= (1 << bits) - 1
    rows = key.astype(kind)
    ordered = score[rows]
    if (ordered[1:] < ordered[:-1]).any():
        rows = rows[np.argsort(ordered, kind="stable")]  # linear where nearly all is in order
    return rows


@dataclass(frozen=True, eq=False)
class _Points:
    """slot and weight of m points, in arrays long enough for whole blocks: slot K and weight 0 beyond `count`."""

    slot: NDArray[np.int32]
    weight: NDArray[Any]
    count: int

    def blocks(self, bits: int) -> tuple[NDArray[np.int32], NDArray[Any]]:
        """(blocks, 2^bits) each."""
        size = ((self.count >> bits) + 1) << bits
        return self.slot[:size].reshape(-1, 1 << bits), self.weight[:size].reshape(-1, 1 << bits)


def _points(count: int, slots: int, kind: Any) -> _Points:
    slot, weight = np.empty(count + (1 << _BITS), np.int32), np.empty(count + (1 << _BITS), kind)
    slot[count:], weight[count:] = slots, 0
    return _Points(slot, weight, count)


def _moves_in_order(sets: RiskSets, rows: Ints) -> tuple[_Points, NDArray[Any]]:
    """The movements as points, row after row, and where each row's begin (n + 1,)."""
    if not sets.episodes:
        moves = sets.moves[:, rows]
        points = _points(moves.nnz, sets.slots, np.float64)
        points.slot[: points.count], points.weight[: points.count] = moves.indices, moves.data
        return points, moves.indptr.astype(np.intp)
    points = _points(2 * rows.size, sets.slots, np.int8 if sets.unit else np.float64)
    # Two movements a row: gathered as one wide element each, which is much faster than indexing pairs.
    pairs = np.ascontiguousarray(sets.between).view(np.int64).ravel()
    np.take(pairs, rows, out=points.slot[: points.count].view(np.int64), mode="wrap")
    weight = points.weight[: points.count].reshape(-1, 2)
    weight[:, 0] = 1 if sets.unit else sets.weight[rows]
    np.negative(weight[:, 0], out=weight[:, 1])
    small = np.int32 if rows.size < 2**28 else np.int64
    return points, np.arange(0, 2 * rows.size + 2, 2, dtype=small)


def _leavers(
    sets: RiskSets, order: _Order, events: _Events, moves: tuple[_Points, NDArray[Any]]
) -> tuple[Floats, Floats, Floats]:
    """(e,) for each event the weight of those at risk who stay and have a lower score, a higher one, the same."""
    slot, mass = events.slot, events.weight
    points, pointer = moves
    first, after = order.first[events.place], order.after[events.place]
    # Tied ones (or patterns); an episode by itself has only itself between lower and upto.
    some = np.flatnonzero(after - first > 1) if sets.episodes else np.arange(slot.size)
    queries = [_Query(pointer[first], None, slot), _Query(pointer[after[some]], None, slot[some])]
    lower, upto_tied = _dominance(points, queries, sets.slots)
    upto = lower + mass
    upto[some] = upto_tied
    moved = np.zeros(sets.slots)
    for i in range(0, points.count, _CELLS):  # in blocks, since bincount makes a copy in double precision
        part = slice(i, min(i + _CELLS, points.count))
        moved += sums_by(points.slot[part], points.weight[part], sets.slots)
    everyone = np.cumsum(moved)[slot]
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


def _stayers(slots: int, order: _Order, events: _Events, points: _Points) -> tuple[Floats, Floats]:
    """(n,) by sorted place, for each episode over the events while it is at risk and stays: their weight with a higher score
    (concordant pairs) minus that with a lower one, and the weight of all."""
    slot, mass = events.slot, events.weight
    pairs = points.slot[: points.count].reshape(-1, 2)
    early, late = pairs[:, 0] - 1, pairs[:, 1] - 1  # events at slots < k are those at slots <= k - 1
    late[events.place] -= 1
    before = np.zeros(len(pairs) + 1, order.first.dtype)
    np.cumsum(np.bincount(events.place, minlength=len(pairs)), out=before[1:])
    first, after = before[order.first], before[order.after]
    some = np.flatnonzero(after > first)  # tied with an event
    at = _points(slot.size, slots, np.float64)
    at.slot[: slot.size], at.weight[: slot.size] = slot, mass
    queries = [_Query(first, early, late), _Query(after[some], early[some], late[some])]
    del before, first, after
    lower, tied = _dominance(at, queries, slots)
    del queries
    tied -= lower[some]
    total = np.concatenate(([0.0], np.cumsum(sums_by(slot, mass, slots))))
    everyone = np.empty(lower.size)
    for i in range(0, lower.size, _CELLS):
        part = slice(i, i + _CELLS)
        np.take(total, late[part] + 1, out=everyone[part])
        everyone[part] -= np.take(total, early[part] + 1)
    lower *= -2.0  # higher - lower = everyone - 2 lower - tied
    lower += everyone
    lower[some] -= tied
    return lower, everyone


@dataclass(frozen=True, eq=False)
class _Query:
    """The weight of the first `count` (q,) points with early < slot <= late; early None: from the first slot. The counts never
    fall."""

    count: NDArray[Any]
    early: NDArray[Any] | None
    late: NDArray[Any]


def _dominance(points: _Points, queries: Sequence[_Query], slots: int) -> list[Floats]:
    """(q,) the weight that each query asks for."""
    asked = sum(query.count.size * (1 if query.early is None else 2) for query in queries)
    bits = int(np.clip(np.log2(_CELL_COST * points.count * slots / max(asked, 1)) / 2, 0, _BITS))
    blocks = points.blocks(bits)
    results = _whole_blocks(*blocks, bits, queries, slots)
    if bits:
        for query, sums in zip(queries, results):
            _add_inside_block(sums, *blocks, bits, query)
    return results


def _whole_blocks(
    at: NDArray[np.int32], weight: NDArray[Any], bits: int, queries: Sequence[_Query], slots: int
) -> list[Floats]:
    """Weight of the points of each query in all blocks before its own; a few blocks at a time, so that the grid stays in
    cache. at, weight (blocks, 2^bits)."""
    results = [np.empty(query.count.size) for query in queries]
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
        for query, result in zip(queries, results):
            here = slice(*np.searchsorted(query.count, np.array([low << bits, high << bits], query.count.dtype)))
            row = ((query.count[here] >> bits).astype(np.intp) - low) * width
            np.take(cells, row + query.late[here], out=result[here], mode="wrap")
            if query.early is not None:
                row += query.early[here]
                result[here] -= np.take(cells, row, mode="wrap")
    return results


def _add_inside_block(result: Floats, at: NDArray[np.int32], weight: NDArray[Any], bits: int, query: _Query) -> None:
    """Add the weight of the points of each query in its own block, by direct comparison."""
    number = np.arange(1 << bits, dtype=np.int32)
    step = max(1, _CELLS >> (bits + 2))
    count = query.count
    for low in range(0, count.size, step):
        part = slice(low, low + step)
        block, rest = count[part] >> bits, count[part] & ((1 << bits) - 1)
        here = at[block]
        there = here <= query.late[part, None]
        there &= number < rest[:, None]
        if query.early is not None:
            there &= here > query.early[part, None]
        if weight.dtype == np.int8:
            result[part] += np.einsum("ij,ij->i", there.view(np.int8), weight[block], dtype=np.int32)
        else:
            result[part] += np.einsum("ij,ij->i", there, weight[block])
