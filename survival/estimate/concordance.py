"""Concordance on risk sets: at each event time, who left is compared with those at risk then who stay longer.

With late entry and changing covariates only customers at risk at the same time are comparable. Equal to R's
survival::concordance(coxph): ties in the score count half; pairs of events at one time do not count; pairs are
within strata; the standard error is from the influence of each customer (infinitesimal jackknife).

The events are points (`dominance`): their order is that of the score, their level the slot. Who is at risk asks for the weight of
the events of lower score while it is at risk and stays; turned round, each event gets the weight of those of lower score
who are at risk then and stay. Rows pass by in order of score, a chunk at a time: beside that order and one result, nothing has the
size of the data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from survival.estimate.dominance import Points, Queries, Turned, dominance
from survival.estimate.parallel import over_rows, together
from survival.estimate.risk_sets import Floats, Ints, RiskSets

_FLAT = (
    1e-12  # scores (log hazard ratios) within a range this short say nothing: coefficients that are 0 up to rounding
)
_ROUNDING = 2e-14  # of a score that was computed elsewhere, relative
_BLOCK = 8192  # rows whose scores stay in cache while columns are added
_ROWS = 65_536  # rows of the smallest part of the work: parts are fixed, so that sums over them round alike on every machine
_MOST_PARTS = 16


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
class _Events:
    """The e events in order of score.

    row (e,) of each; points: slot and weight; begins (g + 1,) where each group of one score begins; value (g,) its score.
    """

    row: Ints
    points: Points
    begins: NDArray[np.int32]
    value: Floats

    def first(self, score: Floats) -> NDArray[np.int32]:
        """(m,) how many events have a lower score."""
        return self.begins[np.searchsorted(self.value, score, side="left")]

    def after(self, score: Floats) -> NDArray[np.int32]:
        """(m,) how many events have a lower score or the same."""
        return self.begins[np.searchsorted(self.value, score, side="right")]


@dataclass(frozen=True, eq=False)
class _Counts:
    """(e,) for each event the weight of those at risk who stay and have a lower score, a higher one, the same."""

    concordant: Floats
    discordant: Floats
    tied: Floats

    def of(self, weight: Floats) -> Concordance:
        """The concordance; weight (e,) of the events."""
        totals = [float(weight @ count) for count in (self.concordant, self.discordant, self.tied)]
        pairs = sum(totals)
        value = ((totals[0] - totals[1]) / pairs + 1) / 2 if pairs > 0 else np.nan
        return Concordance(value, np.nan, *totals)

    def net(self, somers: float) -> Floats:
        """(e,) what each event has in its own pairs."""
        return self.concordant - self.discordant - somers * (self.concordant + self.discordant + self.tied)


def linear_predictor(x: Floats, beta: Floats, offset: Floats | float | None = None) -> Floats:
    """(n,) x (n, p) times beta (p,), plus the offset (n,): to the last bit the same for equal rows, wherever they are.

    A product by BLAS is not: it sums rows in another order at the end of a block. Ties of the score are ties of the covariates.
    """
    score, held = np.empty(len(x)), isinstance(offset, np.ndarray)

    def fill(part: slice) -> None:
        product = np.empty(_BLOCK)
        for low in range(part.start, part.stop, _BLOCK):
            rows = slice(low, min(low + _BLOCK, part.stop))
            total, more = score[rows], product[: rows.stop - low]
            total[:] = 0.0
            for j, coefficient in enumerate(beta):
                np.multiply(x[rows, j], coefficient, out=more)
                total += more
            if offset is not None:
                total += offset[rows] if held else offset  # type: ignore[index]

    over_rows(fill, len(x), _BLOCK)
    return score


def concordance(sets: RiskSets, score: Floats, weight: Floats | None, unit: Ints | None) -> Concordance:
    """Concordance of the risk score (n,) of the design rows: the `linear_predictor`, whose ties are exact.

    For episodes, `weight` (n,) and `unit` (n,), whose influence is one (codes from 0), give the standard error.
    """
    score = np.zeros_like(score) if _flat(score) else score
    events = _events(sets, score)
    if not sets.episodes:
        return _flow_counts(sets, events, score).of(events.points.weight)
    counts, balance = _episode_counts(sets, events, score, weight is not None and unit is not None)
    found = counts.of(events.points.weight)
    if balance is None or weight is None or unit is None or np.isnan(found.value):
        return found
    balance[events.row] += counts.net(found.somers)
    until, happened = _until(sets), _happened(sets)
    for low in range(0, balance.size, _ROWS):
        rows = slice(low, low + _ROWS)
        everyone = np.take(until, sets.between[rows, 1] - happened[rows])
        everyone -= np.take(until, sets.between[rows, 0])
        everyone *= 1.0 - found.somers
        balance[rows] += everyone
        balance[rows] *= weight[rows]
    by_unit = np.bincount(unit, balance)
    return found.with_error(float(by_unit @ by_unit))


def _flat(score: Floats) -> bool:
    return float(score.max()) - float(score.min()) <= _FLAT


def _events(sets: RiskSets, score: Floats) -> _Events:
    order = np.argsort(score[sets.event_row], kind="stable")
    row = sets.event_row[order]
    ordered = score[row]
    begins = np.concatenate(([0], np.flatnonzero(np.diff(ordered)) + 1, [row.size])).astype(np.int32)
    points = Points(sets.event_slot[order], sets.event_weight[order], sets.slots)
    return _Events(row, points, begins, ordered[begins[:-1]])


def _happened(sets: RiskSets) -> NDArray[np.int8]:
    """(n,) 1 for an episode with an event: it stays until the slot before."""
    happened = np.zeros(sets.rows, np.int8)
    happened[sets.event_row] = 1
    return happened


def _until(sets: RiskSets) -> Floats:
    """(K + 1,) weight of all events at earlier slots."""
    return np.concatenate(([0.0], np.cumsum(sets.event_total)))


# ---- counting ----


def _episode_counts(sets: RiskSets, events: _Events, score: Floats, influence: bool) -> tuple[_Counts, Floats | None]:
    """The counts of the events; and, if asked for, (n,) for each episode minus the weight of the events, while it is at risk and
    stays, that have a lower score, and again minus that of a lower score or the same."""
    rows, happened = _in_order(score), _happened(sets)
    below = np.empty(score.size) if influence else None
    size = max(_ROWS, -(-rows.size // _MOST_PARTS))
    work = partial(_episode_part, sets, events, score, happened, below)
    parts = together([partial(work, rows[low : low + size]) for low in range(0, rows.size, size)])
    upto, lower = (Turned.total([part[i] for part in parts], events.points) for i in (0, 1))
    everyone = sum((part[0].passed for part in parts), np.zeros(sets.slots + 1))[events.points.level]
    return _Counts(lower, everyone - upto, upto - lower), below


def _episode_part(
    sets: RiskSets, events: _Events, score: Floats, happened: NDArray[np.int8], below: Floats | None, rows: NDArray[Any]
) -> tuple[Turned, Turned]:
    """What the events hear of those with a lower score or the same, and of those with a lower one; fills `below` at the rows."""
    ordered = score[rows]
    if (ordered[1:] < ordered[:-1]).any():  # scores that `_in_order` could not tell apart
        order = np.argsort(ordered, kind="stable")
        rows, ordered = rows[order], ordered[order]
    first, after, own = events.first(ordered), events.after(ordered), happened[rows]
    del ordered
    weight = None if sets.unit else sets.weight[rows]
    at_risk = sets.between[rows]
    at_risk[:, 1] -= own
    everybody = Queries(first, ((at_risk[:, 0], 1.0), (at_risk[:, 1], -1.0)), weight)
    several = np.flatnonzero(after - first > own)  # tied with others: at the slot of its own event one is not compared
    few = 2 * several.size < rows.size
    again = several if few else np.arange(rows.size)
    asked = [everybody, everybody.of(again, after[again])]
    if few:
        asked.append(everybody.of(again, first[again], below=False))
    sums, heard = dominance(events.points, asked)
    if below is not None:
        same = sums[1] - sums[0][again]
        sums[0] *= 2.0
        sums[0][again] += same
        below[rows] = sums[0]
    return heard[0], heard[0].plus(heard[1], heard[2]) if few else heard[1]


def _in_order(score: Floats) -> NDArray[Any]:
    """Rows (n,) in order of score, but for scores that differ by less than a trillionth or so of their range. The row's number rides
    in the low bits of its score as an integer: sorting values is several times faster than sorting places."""
    n, bits = score.size, int(score.size - 1).bit_length()
    low, high = float(score.min()), float(score.max())
    rows = np.arange(n, dtype=np.int32 if n < 2**31 else np.int64)
    if not 0 < high - low < np.inf:
        return rows
    key, factor = np.empty(n, np.int64), (2.0 ** (62 - bits) - 1) / (high - low)
    for i in range(0, n, _ROWS):
        part = slice(i, min(i + _ROWS, n))
        key[part] = (score[part] - low) * factor  # cut to whole numbers
        key[part] = np.bitwise_or(np.left_shift(key[part], bits), rows[part])
    key.sort()
    key &= (1 << bits) - 1
    rows[:] = key
    return rows


def _flow_counts(sets: RiskSets, events: _Events, score: Floats) -> _Counts:
    """The counts of the events of flows, from the moves of all patterns and, where one has events, those who do not stay."""
    moves, order = sets.moves, np.argsort(score, kind="stable")
    column = np.repeat(np.arange(score.size), np.diff(moves.indptr))
    pattern = np.concatenate((column, sets.event_row, sets.event_row))
    slot = np.concatenate((moves.indices, sets.event_slot, sets.event_slot + 1)).astype(np.intp)
    weight = np.concatenate((moves.data, -sets.event_weight, sets.event_weight))
    place = np.empty(score.size, np.intp)
    place[order] = np.arange(score.size)
    by_score = np.argsort(place[pattern], kind="stable")
    pattern, slot, weight = pattern[by_score], slot[by_score], weight[by_score]
    asked = [Queries(at(score)[pattern], ((slot, 1.0),), weight, below=False) for at in (events.first, events.after)]
    _, (first, after) = dominance(events.points, asked)
    everyone = first.passed[events.points.level]
    upto, lower = (Turned.total([heard], events.points) for heard in (first, after))
    return _Counts(lower, everyone - upto, upto - lower)


class Standing:
    """The concordance of design rows, and what any episode of theirs has in it: for episodes that pass by in batches.

    size: that of the terms of a score, to tell its rounding; the sum of the sizes of the coefficients of standardised columns.
    """

    def __init__(self, sets: RiskSets, score: Floats, size: float) -> None:
        self._level = _flat(score)
        self._size = size
        score = np.zeros_like(score) if self._level else score
        self._events = _events(sets, score)
        if sets.episodes:
            counts, _ = _episode_counts(sets, self._events, score, influence=False)
        else:
            counts = _flow_counts(sets, self._events, score)
        self.concordance = counts.of(self._events.points.weight)
        self._until = _until(sets)
        group = np.repeat(np.arange(self._events.value.size), np.diff(self._events.begins))
        keys, first = np.unique(self._key(self._events.points.level, group), return_index=True)
        self._keys, self._net = keys, counts.net(self.concordance.somers)[first]

    def _key(self, slot: Ints, group: Ints) -> Ints:
        """One number for the events of one slot and score."""
        return slot * (self._events.value.size + 1) + group

    def _known(self, score: Floats) -> Floats:
        """(m,) the scores, those that are a score of the design's events up to rounding as that one: the nearest."""
        if self._level:
            return np.zeros_like(score)
        value = self._events.value
        above = np.minimum(np.searchsorted(value, score), value.size - 1)
        below = np.maximum(above - 1, 0)
        nearest = np.where(score - value[below] < value[above] - score, value[below], value[above])
        same = np.abs(nearest - score) <= _ROUNDING * np.maximum(np.abs(score), self._size)
        return np.where(same, nearest, score)

    def influence(self, score: Floats, between: NDArray[np.int32], slot: NDArray[np.int32]) -> Floats:
        """(m,) of episodes, per unit of weight: slots at risk (m, 2), slot of the event or -1 (m,). NaN for an event that is
        none of the design's."""
        score = self._known(score)
        order = np.argsort(score)
        ordered, happened = score[order], slot[order] >= 0
        stays = between[order].astype(np.intp)
        stays[:, 1] -= happened
        levels = ((stays[:, 0], 1.0), (stays[:, 1], -1.0))
        places = (self._events.first(ordered), self._events.after(ordered))
        sums, _ = dominance(self._events.points, [Queries(place, levels, turned=False) for place in places])
        balance = sums[0] + sums[1]
        balance += (1.0 - self.concordance.somers) * (self._until[stays[:, 1]] - self._until[stays[:, 0]])
        lost, value = ordered[happened], self._events.value
        group = np.minimum(np.searchsorted(value, lost), value.size - 1)
        key = np.where(value[group] == lost, self._key(slot[order[happened]].astype(np.intp), group), -1)
        place = np.minimum(np.searchsorted(self._keys, key), self._keys.size - 1)
        balance[happened] += np.where(self._keys[place] == key, self._net[place], np.nan)
        result = np.empty(score.size)
        result[order] = balance
        return result
