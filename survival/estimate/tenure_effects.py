"""Coefficients that change with tenure: x times f(tenure), or a coefficient for each period of tenure.

Only who is at risk at an event time counts, so x f(tenure) is exact when every episode is cut at every event time within it
(R's coxph with tt()); a coefficient by period needs cuts at the periods' ends only (survSplit and x:strata(period)). From
flows each (pattern, event time) with somebody at risk is one row, whatever the number of customers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from survival.errors import ArgumentError
from survival.estimate.cox_options import Tenure
from survival.estimate.design import Coding, Levels
from survival.estimate.risk_sets import Floats, Ints, RiskSets
from survival.flows.frames import EpisodeArrays
from survival.flows.table import Flows

_MOST_VALUES = 240_000_000  # of the covariates of the cut episodes: 2 GB
_FUNCTIONS: Mapping[str, Callable[[Floats], Floats]] = {"log": np.log, "sqrt": np.sqrt, "identity": np.asarray}


@dataclass(frozen=True, eq=False)
class Effect:
    """One column of the model: column `base` of the formula times f(tenure), or within (low, high] of tenure."""

    base: int
    name: str
    function: str | Callable[[Floats], Floats] | None = None
    low: float = -np.inf
    high: float = np.inf
    term: str = ""

    def at(self, column: Floats, tenure: Floats) -> Floats:
        """(n,) the column at these tenures (n,)."""
        if self.function is None:
            if self.low == -np.inf and self.high == np.inf:
                return column
            return np.where((self.low < tenure) & (tenure <= self.high), column, 0.0)
        values = self._values(tenure)
        if values.shape != tenure.shape or not np.isfinite(values).all():
            raise self._refusal(tenure, "")
        return column * values

    def _values(self, tenure: Floats) -> Floats:
        known = _FUNCTIONS[self.function] if isinstance(self.function, str) else self.function
        assert known is not None
        try:
            with np.errstate(all="ignore"):
                return np.asarray(known(tenure), np.float64)
        except Exception as error:  # the user's own code
            raise self._refusal(tenure, f" It ended in {type(error).__name__}: {error}") from error

    def _refusal(self, tenure: Floats, why: str) -> ArgumentError:
        return ArgumentError(
            f"time_varying: the function of '{self.name}' (term '{self.term}') must take an array of tenures and give one "
            f"finite number for each tenure, from {tenure.min():g} to {tenure.max():g}.{why}"
        )


@dataclass(frozen=True, eq=False)
class TenureCoding:
    """A formula's coding and how its columns change with tenure; `cuts` None: at every event time."""

    base: Coding
    effects: tuple[Effect, ...]
    terms: Mapping[str, tuple[int, ...]]
    cuts: tuple[float, ...] | None

    @property
    def names(self) -> tuple[str, ...]:
        """(p,) names of the columns."""
        return tuple(effect.name for effect in self.effects)

    @property
    def levels(self) -> Mapping[str, Levels | None]:
        """As `Coding.levels`."""
        return self.base.levels

    def columns(self, columns: Sequence[Floats], tenure: Floats) -> list[Floats]:
        """The p columns (n,) of the model from the formula's, at these tenures (n,)."""
        return [effect.at(columns[effect.base], tenure) for effect in self.effects]

    def of_term(self, term: str) -> Coding | TenureCoding:
        """See `Coding.of_term`; a plain coding when this term's coefficients do not change."""
        base = self.base.of_term(term)
        effects = [self.effects[j] for j in self.terms[term]]
        if all(effect.name in base.names for effect in effects):
            return base
        place = {column: i for i, column in enumerate(self.base.terms[term])}
        own = tuple(replace(effect, base=place[effect.base]) for effect in effects)
        return TenureCoding(base, own, {term: tuple(range(len(own)))}, self.cuts)

    def grid(self, event_times: Floats) -> Floats:
        """Where covariates change with tenure."""
        return np.unique(event_times) if self.cuts is None else np.array(self.cuts)


def by_tenure(coding: Coding, varying: Sequence[tuple[str, Tenure]]) -> TenureCoding:
    """The coding with these terms' coefficients changing. Raises ArgumentError for a term that the formula has not."""
    asked = dict(varying)
    strange = [term for term in asked if term not in coding.terms]
    if strange:
        raise ArgumentError(
            f"time_varying names '{strange[0]}'; the terms of the formula are: {', '.join(coding.terms)}"
        )
    effects: list[Effect] = []
    terms = {}
    for term, columns in coding.terms.items():
        first = len(effects)
        for j in columns:
            effects += [replace(effect, term=term) for effect in _effects(j, coding.names[j], asked.get(term))]
        terms[term] = tuple(range(first, len(effects)))
    periods = [value for value in asked.values() if isinstance(value, tuple)]
    cuts = tuple(sorted({cut for value in periods for cut in value})) if len(periods) == len(asked) else None
    return TenureCoding(coding, tuple(effects), terms, cuts)


def _effects(base: int, name: str, how: Tenure | None) -> list[Effect]:
    if how is None:
        return [Effect(base, name)]
    if isinstance(how, tuple):
        edges = (-np.inf, *how, np.inf)
        return [Effect(base, f"{name}:{_period(*edge)}", None, *edge) for edge in pairwise(edges)]
    called = how if isinstance(how, str) else getattr(how, "__name__", "f").replace("<lambda>", "f")
    label = "tenure" if called == "identity" else f"{called}(tenure)"
    return [Effect(base, name), Effect(base, f"{name}:{label}", how)]


def _period(low: float, high: float) -> str:
    return f"({max(low, 0):g}, {high:g}]" if high < np.inf else f"({low:g}, inf)"


def cut_episodes(episodes: EpisodeArrays, sets: RiskSets, coding: TenureCoding) -> tuple[Ints, EpisodeArrays]:
    """The episode (m,) that each piece is of, and the pieces: cut where the columns change with tenure."""
    if coding.cuts is None:
        grid = sets.slot_time
        first, last = (bound.astype(np.intp) for bound in sets.bounds())
        last = last - ((last > first) & (grid[last - 1] == episodes.stop))
    else:
        grid = np.array(coding.cuts)
        first, last = inner_points(grid, episodes.start, episodes.stop)
    pieces, columns = int((last - first).sum()) + len(episodes), len(coding.names)
    if pieces * columns > _MOST_VALUES:
        raise ArgumentError(
            f"time_varying compares everybody at risk at each event time: {pieces:,} rows of {columns} columns, too many for "
            "memory. Give periods of tenure, such as [90, 365], in place of a function, or fit flows, or a sample of the risk sets "
            "(sample_risk_sets)"
        )
    row, begin, end, is_first, is_last = cut(grid, first, last, episodes.start, episodes.stop)
    return row, replace(
        episodes,
        start=begin,
        stop=end,
        event=episodes.event[row] & is_last,
        weight=episodes.weight[row],
        customer=episodes.customer[row],
        spell=episodes.spell[row],
        began=episodes.began[row] & is_first,
        ended=episodes.ended[row] & is_last,
        columns=episodes.columns.iloc[:0],
    )


def inner_points(grid: Floats, begin: Floats, end: Floats) -> tuple[Ints, Ints]:
    """[first, last) of the points of `grid`, sorted, that lie strictly within each (begin, end)."""
    first = np.searchsorted(grid, begin, side="right")
    return first, np.maximum(np.searchsorted(grid, end, side="left"), first)


def cut(
    grid: Floats, first: Ints, last: Ints, begin: Floats, end: Floats
) -> tuple[Ints, Floats, Floats, NDArray[np.bool_], NDArray[np.bool_]]:
    """The pieces of each (begin, end] at its points first..last-1 of the grid: row, begin, end, and whether they are
    the first, the last of their row; (m,) each."""
    count = last - first + 1
    row = np.repeat(np.arange(first.size), count)
    number = np.arange(row.size) - np.repeat(np.cumsum(count) - count, count)
    is_first, is_last = number == 0, number == count[row] - 1
    point = first[row] + number
    low = grid[np.where(is_first, 0, point - 1)] if grid.size else begin[row]
    high = grid[np.where(is_last, 0, point)] if grid.size else end[row]
    return row, np.where(is_first, begin[row], low), np.where(is_last, end[row], high), is_first, is_last


def cell_flows(flows: Flows, sets: RiskSets) -> tuple[Ints, Floats, Floats, Flows]:
    """Flows of one row a (pattern, event time) with somebody at risk: the pattern (c,), the time (c,), how many
    are at risk (c,), and the flows, whose patterns are these rows."""
    k, patterns = sets.slots, len(flows.patterns)
    if k * patterns > _MOST_VALUES // 8:
        raise ArgumentError(
            f"time_varying from flows makes a row for each pattern at each event time: {patterns:,} x {k:,} rows, too many "
            "for memory. Leave out covariates with many values, or round tenure"
        )
    there = np.cumsum(sets.moves.toarray(), axis=0)
    there[there <= 1e-9 * np.abs(there).max(initial=0.0)] = 0.0
    events, deaths = np.zeros_like(there), np.zeros_like(there)
    np.add.at(events, (sets.event_slot, sets.event_row), sets.event_weight)
    np.add.at(deaths, (sets.event_slot, sets.event_row), sets.event_count)
    slot, pattern = np.nonzero((there > 0) & (sets.deaths > 0)[:, None])
    stratum = sets.slot_stratum
    before = np.concatenate(([np.nan], sets.slot_time[:-1]))
    own = np.concatenate(([False], stratum[1:] == stratum[:-1]))
    before = np.where(own, before, sets.slot_time - 1.0)
    entry, exit_, count = before[slot], sets.slot_time[slot], there[slot, pattern]
    none, number = np.zeros_like(count), np.arange(slot.size)

    def both(first: Floats, second: Floats) -> Floats:
        return np.concatenate((first, second))

    entered, exited = both(count, none), both(none, count)
    cells = Flows(
        both(entry, exit_), np.concatenate((number, number)), entered, exited,
        both(none, events[slot, pattern]), both(none, deaths[slot, pattern]), entered.copy(), exited.copy(),
        flows.patterns.iloc[pattern].reset_index(drop=True), flows.customers, flows.episodes,
    )  # fmt: skip
    return pattern, exit_, count, cells
