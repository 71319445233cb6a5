"""Where entries, exits and events lie among the event times: all that a Cox kernel needs beside covariates.

Episode i is at risk at the event times k in [a_i, b_i), a_i = event times <= start_i, b_i = event times <=
stop_i, so a sum over a risk set is a cumulative sum of what enters at a_i and leaves at b_i. Flows hold the
same movements, already added up by covariate pattern.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from survival.estimate.efron_ties import efron_terms
from survival.estimate.slot_index import SlotIndex
from survival.flows.table import Flows

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class RiskSets:
    """n design rows (episodes or patterns), K slots: each stratum's event times in order, then one empty
    slot.

    between      (n, 2) the slots [a, b) at which an episode is at risk; of flows (0, 2)
    weight       (n,) of an episode; of flows (0,)
    flow_moves   (K, n) sparse by column, of flows: +weight where a pattern is entered, -weight where it is left; of episodes None
    slot_time    (K,) event time; NaN in the empty slots
    slot_stratum (K,) stratum code
    last_slot    (K,) the empty slot of the same stratum
    event_row, event_slot, event_weight, event_count
                 (e,) design row, slot, summed weight and number of events
    deaths       (K,) number of events at the slot; event_total (K,) their summed weight
    tied         (f,) index into the e events of those that Efron corrects (slots with more than one event)
    tie_slot, tie_share, tie_weight
                 (L,) the terms of the ties: slot, c = l/d, mean weight x how many l it stands for (`efron_terms`; Breslow:
                 one term a slot, c = 0, summed weight)
    first_entry, last_exit  (S,) of each stratum; NaN when it has nobody
    """

    between: NDArray[np.int32]
    weight: Floats
    flow_moves: sparse.csc_matrix | None
    slot_time: Floats
    slot_stratum: Ints
    last_slot: Ints
    event_row: Ints
    event_slot: Ints
    event_weight: Floats
    event_count: Floats
    deaths: Floats
    event_total: Floats
    tied: Ints
    tie_slot: Ints
    tie_share: Floats
    tie_weight: Floats
    first_entry: Floats
    last_exit: Floats

    @property
    def slots(self) -> int:
        """K."""
        return self.slot_time.size

    @property
    def event_slots(self) -> Ints:
        """The slots that are event times, in order of stratum and time."""
        return np.flatnonzero(self.deaths > 0)

    @property
    def episodes(self) -> bool:
        """Whether a design row is one episode."""
        return self.flow_moves is None

    @property
    def rows(self) -> int:
        """n."""
        return len(self.between) if self.flow_moves is None else self.flow_moves.shape[1]

    @property
    def moves(self) -> sparse.csc_matrix:
        """(K, n) sparse by column, +weight where a row enters, -weight where it leaves; of episodes made anew at each call."""
        if self.flow_moves is not None:
            return self.flow_moves
        net = np.column_stack((self.weight, -self.weight)).ravel()
        pointer = np.arange(0, net.size + 2, 2)
        return sparse.csc_matrix((net, self.between.ravel(), pointer), shape=(self.slots, self.rows), copy=False)

    def bounds(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """(n,), (n,): the slots [a, b) at which each episode is at risk."""
        return self.between[:, 0], self.between[:, 1]

    def thinned(self, every: int) -> RiskSets:
        """The risk sets of every `every`-th episode, from the first; slots without events of theirs are left out."""
        if every not in self._samples:
            self._samples[every] = _every(self, every)
        return self._samples[every]

    @cached_property
    def _samples(self) -> dict[int, RiskSets]:
        return {}

    @cached_property
    def unit(self) -> bool:
        """Whether every episode weighs 1."""
        return self.episodes and bool((self.weight == 1.0).all())

    @cached_property
    def ties(self) -> TiedEvents:
        """The events that Efron corrects, by row."""
        row, slot, weight = self.event_row[self.tied], self.event_slot[self.tied], self.event_weight[self.tied]
        if (np.diff(row) < 0).any():
            order = np.argsort(row, kind="stable")
            row, slot, weight = row[order], slot[order], weight[order]
        there = np.zeros(self.slots, bool)
        there[slot] = True
        return TiedEvents(row, (np.cumsum(there) - 1)[slot], weight, np.flatnonzero(there))


@dataclass(frozen=True, eq=False)
class TiedEvents:
    """Of the f events that Efron corrects: design row, never falling, place of the slot among the T of them, summed weight; (f,) each.
    slots (T,): of times without ties there are none."""

    row: Ints
    place: Ints
    weight: Floats
    slots: Ints

    def within(self, rows: slice) -> tuple[Ints, Ints, Floats]:
        """Those of a range of rows: row counted from its first, place, weight."""
        part = slice(*np.searchsorted(self.row, (rows.start, rows.stop)))
        return self.row[part] - rows.start, self.place[part], self.weight[part]


def episode_risk_sets(
    start: Floats,
    stop: Floats,
    event: NDArray[np.bool_],
    weight: Floats,
    stratum: Ints | None = None,
    strata: int = 1,
    *,
    efron: bool = True,
) -> RiskSets:
    """Risk sets of n episodes (start, stop]; all arrays (n,), `stratum` codes 0..strata-1. Weight 0 is nobody."""
    event = event & (weight > 0)
    code = np.zeros(1, np.intp) if stratum is None else stratum
    rows = np.flatnonzero(event)
    index = SlotIndex(stop[rows], code if stratum is None else code[rows], strata)
    pair = index.between(start, stop, stratum)
    live = None if (weight > 0).all() else weight > 0
    spans = _spans(start, stop, live, stratum, strata)
    slot = pair[rows, 1].astype(np.intp) - 1
    return _finish(pair, weight, None, index, rows, slot, weight[rows], np.ones(rows.size), spans, efron)


def flow_risk_sets(flows: Flows, stratum: Ints | None = None, strata: int = 1, *, efron: bool = True) -> RiskSets:
    """Risk sets of flows; design row = pattern, `stratum` (P,) the stratum of each pattern."""
    order = np.argsort(flows.pattern, kind="stable")
    pattern, time = flows.pattern[order], flows.time[order]
    entered, exited = flows.entered[order], flows.exited[order]
    events, deaths = flows.events[order], flows.deaths[order]
    code = np.zeros(1, np.intp) if stratum is None else stratum[pattern]
    rows = np.flatnonzero(events > 0)
    index = SlotIndex(time[rows], code if stratum is None else code[rows], strata)
    slot = index.at(time, code)
    patterns = len(flows.patterns)
    pointer = np.concatenate(([0], np.cumsum(np.bincount(pattern, minlength=patterns))))
    moves = sparse.csc_matrix((entered - exited, slot, pointer), shape=(index.slots, patterns), copy=False)
    first = _spans(time, time, entered > 0, None if stratum is None else code, strata)[0]
    last = _spans(time, time, exited > 0, None if stratum is None else code, strata)[1]
    nobody = np.empty((0, 2), np.int32)
    return _finish(
        nobody,
        np.empty(0),
        moves,
        index,
        pattern[rows],
        slot[rows] - 1,
        events[rows],
        deaths[rows],
        (first, last),
        efron,
    )


def _every(sets: RiskSets, every: int) -> RiskSets:
    mine = sets.event_row % every == 0
    weight, count, slot = sets.event_weight[mine], sets.event_count[mine], sets.event_slot[mine]
    kept = np.zeros(sets.slots, bool)
    kept[slot] = True
    kept[sets.last_slot] = True
    before = np.cumsum(kept) - kept
    slot = before[slot]
    size = int(kept.sum())
    deaths, total = sums_by(slot, count, size), sums_by(slot, weight, size)
    return replace(
        sets,
        between=before.astype(np.int32)[sets.between[::every]],
        weight=sets.weight[::every].copy(),
        slot_time=sets.slot_time[kept],
        slot_stratum=sets.slot_stratum[kept],
        last_slot=before[sets.last_slot[kept]],
        event_row=sets.event_row[mine] // every,
        event_slot=slot,
        event_weight=weight,
        event_count=count,
        deaths=deaths,
        event_total=total,
        **_ties(slot, deaths, total, efron=sets.tied.size > 0),
    )


def sums_by(cell: NDArray[Any], values: NDArray[Any], size: int) -> Floats:
    """(size,) sums of values (m,) by cell (m,)."""
    return np.bincount(cell, values, minlength=size).astype(np.float64, copy=False)


def _spans(
    start: Floats, stop: Floats, live: NDArray[np.bool_] | None, stratum: Ints | None, strata: int
) -> tuple[Floats, Floats]:
    if live is not None:
        start, stop = start[live], stop[live]
        stratum = None if stratum is None else stratum[live]
    first, last = np.full(strata, np.inf), np.full(strata, -np.inf)
    if stratum is None:
        first[0], last[0] = start.min(initial=np.inf), stop.max(initial=-np.inf)
    else:
        np.minimum.at(first, stratum, start)
        np.maximum.at(last, stratum, stop)
    return np.where(np.isfinite(first), first, np.nan), np.where(np.isfinite(last), last, np.nan)


def _finish(
    between: NDArray[np.int32],
    weight: Floats,
    moves: sparse.csc_matrix | None,
    index: SlotIndex,
    event_row: Ints,
    event_slot: Ints,
    event_weight: Floats,
    event_count: Floats,
    spans: tuple[Floats, Floats],
    efron: bool,
) -> RiskSets:
    k = index.slots
    slot_time, slot_stratum = np.full(k, np.nan), np.empty(k, np.intp)
    slot_time[index.position] = index.times[index.cells % index.width - 1]
    counts = np.bincount(index.cell_stratum, minlength=index.strata) + 1
    slot_stratum[:] = np.repeat(np.arange(index.strata), counts)
    last_slot = np.repeat(np.cumsum(counts) - 1, counts)
    deaths = sums_by(event_slot, event_count, k)
    total = sums_by(event_slot, event_weight, k)
    return RiskSets(
        between, weight, moves, slot_time, slot_stratum, last_slot, event_row, event_slot, event_weight, event_count,
        deaths, total, **_ties(event_slot, deaths, total, efron), first_entry=spans[0], last_exit=spans[1],
    )  # fmt: skip


def _ties(event_slot: Ints, deaths: Floats, total: Floats, efron: bool) -> dict[str, Any]:
    """tied, tie_slot, tie_share and tie_weight of `RiskSets`."""
    live = np.flatnonzero(deaths > 0)
    if not efron:
        return {
            "tied": np.empty(0, np.intp), "tie_slot": live, "tie_share": np.zeros(live.size), "tie_weight": total[live],
        }  # fmt: skip
    number, share, count = efron_terms(np.rint(deaths[live]).astype(np.intp))
    mean = count * (total[live] / deaths[live])[number]
    tied = np.flatnonzero(deaths[event_slot] > 1)
    return {"tied": tied, "tie_slot": live[number], "tie_share": share, "tie_weight": mean}
