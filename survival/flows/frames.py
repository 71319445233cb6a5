"""Frames of episodes: validated arrays (start, stop], event, weight, customer; and their flows.

R's `survival` is the model: `Surv(start, stop, event)`, ties by `aeqSurv` (timefix), structure as
`survcheck` sees it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survival.errors import ArgumentError, StructureError
from survival.findings import Finding
from survival.flows.columns import column_names, complete, numbers, read_columns, refuse
from survival.flows.structure import check_units, cuts_of, units_of
from survival.flows.table import Flows

_BLOCK = 32_768  # rows whose temporaries are alive at a time
_MARKS = 1 << 22  # of a table of a byte each, many times the times that are within rounding of each other
TIMEFIX = float(np.sqrt(np.finfo(np.float64).eps))  # R's aeqSurv: times closer than this, relatively, are one time


@dataclass(frozen=True, eq=False)
class EpisodeArrays:
    """n episodes (start, stop] in the order of the rows they came from; all arrays are read-only.

    start, stop  (n,) float, after timefix
    event        (n,) bool, an event at stop
    weight       (n,) float >= 0
    customer     (n,) int code 0..n_customers-1 in order of appearance; a row each when no customer column
                 is named
    spell        (n,) int code of (customer, spell)
    began        (n,) bool, start is no cut: no episode of the same spell stops there with the same weight
    ended        (n,) bool, stop is no cut
    columns      the other columns that were asked for, by row
    """

    start: NDArray[np.float64]
    stop: NDArray[np.float64]
    event: NDArray[np.bool_]
    weight: NDArray[np.float64]
    customer: NDArray[np.intp]
    spell: NDArray[np.intp]
    began: NDArray[np.bool_]
    ended: NDArray[np.bool_]
    columns: pd.DataFrame
    customers: int
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        for name in ("start", "stop", "event", "weight", "customer", "spell", "began", "ended"):
            getattr(self, name).flags.writeable = False

    def __len__(self) -> int:
        return self.start.size

    @property
    def person_days(self) -> float:
        """Total weight x days at risk."""
        return float(self.weight @ (self.stop - self.start))


def episode_arrays(
    frame: Any,
    stop: str,
    event: str,
    start: str | None = None,
    *,
    weights: str | None = None,
    customer: str | None = None,
    spell: str | None = None,
    keep: Sequence[str] = (),
) -> EpisodeArrays:
    """Read and validate episodes from a frame (see `read_columns` for what a frame is).

    Without `start` everybody enters at 0. `keep` names further columns to carry along unchecked. With
    `customer` (and `spell`) the structure within each (customer, spell) is checked: no overlap, at most one
    event, on the last row. Raises ArgumentError (a column that is not there) or StructureError (NaN or
    infinity, start >= stop, an event that is not 0 or 1, negative weights, bad structure), naming the
    column and the first offending rows and customers.
    """
    if spell is not None and customer is None:
        raise ArgumentError(f"spell='{spell}' was given without customer: name the customer column too")
    table = read_columns(frame, [stop, event, start, weights, customer, spell, *keep])
    there = column_names(frame)
    return arrays_of(table, stop, event, start, weights=weights, customer=customer, spell=spell, keep=keep, there=there)


def arrays_of(
    table: pd.DataFrame,
    stop: str,
    event: str,
    start: str | None = None,
    *,
    weights: str | None = None,
    customer: str | None = None,
    spell: str | None = None,
    keep: Sequence[str] = (),
    there: Sequence[str] | None = None,
) -> EpisodeArrays:
    """`episode_arrays` of a table that has these columns, with rows numbered from 0. there: all the columns that the user has."""
    if spell is not None and customer is None:
        raise ArgumentError(f"spell='{spell}' was given without customer: name the customer column too")
    if not len(table):
        raise StructureError("the frame has no rows: nobody is at risk")
    who = None if customer is None else complete(table, customer, "customer")
    starts, stops = _times(table, start, stop, who)
    happened = _events(table, event, who)
    weight = _weights(table, weights, who)
    codes, units, customers = units_of(table, customer, spell)
    findings = _ignored_start(table.columns if there is None else there, start)
    began = ended = np.ones(len(table), bool)
    if who is not None:
        order = np.lexsort((starts, units)) if not _is_sorted(units, starts) else None
        findings += check_units(order, units, starts, stops, happened, who, (start, stop, event))
        began, ended = cuts_of(order, units, starts, stops, weight)
    columns = table[list(dict.fromkeys(keep))]
    return EpisodeArrays(starts, stops, happened, weight, codes, units, began, ended, columns, customers, findings)


def _times(
    table: pd.DataFrame, start: str | None, stop: str, who: pd.Series | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    stops = numbers(table, stop, "stop", who)
    if start is None:
        refuse(stops <= 0, f"'{stop}' must be after 0, the entry of everybody", {stop: stops}, who)
        stops = timefix(stops)[0]
        return np.zeros_like(stops), stops
    starts = numbers(table, start, "start", who)
    shown = {start: starts, stop: stops}
    refuse(starts >= stops, f"'{start}' must be before '{stop}'", shown, who)
    starts, stops = timefix(starts, stops)
    refuse(starts >= stops, f"'{start}' and '{stop}' are one time up to rounding", shown, who)
    return starts, stops


def _events(table: pd.DataFrame, name: str, who: pd.Series | None) -> NDArray[np.bool_]:
    column = table[name]
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "b":
        return column.to_numpy(bool, copy=True)
    values = numbers(table, name, "event", who)
    bad = (values != 0) & (values != 1)
    refuse(bad, f"event column '{name}' must be 0/1 or true/false", {name: column}, who)
    return values == 1


def _weights(table: pd.DataFrame, name: str | None, who: pd.Series | None) -> NDArray[np.float64]:
    if name is None:
        return np.broadcast_to(1.0, len(table))  # no memory for what is 1 in every row
    values = numbers(table, name, "weights", who)
    refuse(values < 0, f"weights column '{name}' has negative weights", {name: values}, who)
    if not values.any():
        raise StructureError(f"weights column '{name}': every weight is 0, nobody is at risk")
    return values.copy()


def _ignored_start(there: Iterable[str], start: str | None) -> tuple[Finding, ...]:
    if start is not None or "start" not in there:
        return ()
    message = "the column 'start' is not used: everybody enters at 0. Pass start='start' to use it."
    return (Finding("start-ignored", "warning", "start", message),)


def _is_sorted(units: NDArray[np.intp], starts: NDArray[np.float64]) -> bool:
    later = (units[1:] > units[:-1]) | ((units[1:] == units[:-1]) & (starts[1:] >= starts[:-1]))
    return bool(later.all())


def timefix(*times: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Make times within rounding of each other equal, over all arrays together; source: R's
    survival::aeqSurv.

    Sorted distinct times y are tied to their predecessor when the step is at most sqrt(machine eps),
    absolutely or relative to mean(|y|); every run of tied times becomes its first.
    """
    if all(_whole_days(array) for array in times):
        return tuple(array.copy() for array in times)
    held = np.concatenate(times)
    held.sort()
    distinct = held[np.concatenate(([True], held[1:] != held[:-1]))]
    step = np.diff(distinct)
    tied = (step <= TIMEFIX) | (step <= TIMEFIX * np.abs(distinct).mean())
    if not tied.any():
        return tuple(array.copy() for array in times)
    first = np.maximum.accumulate(np.where(np.concatenate(([True], ~tied)), np.arange(distinct.size), 0))
    moved, onto = distinct[1:][tied], distinct[first[1:][tied]]
    return tuple(_moved(array, moved, onto) for array in times)


def _moved(array: NDArray[np.float64], moved: NDArray[np.float64], onto: NDArray[np.float64]) -> NDArray[np.float64]:
    """The array with the values `moved` (sorted; mostly few) replaced by those of `onto`."""
    marked = np.zeros(_MARKS, bool)
    marked[_mark(moved)] = True
    result = array.copy()
    for low in range(0, array.size, _BLOCK):
        part = array[low : low + _BLOCK]
        # Who may be among them: searching for all would take ten times as long.
        some = np.flatnonzero(marked[_mark(part)])
        place = np.minimum(np.searchsorted(moved, part[some]), moved.size - 1)
        hit = moved[place] == part[some]
        result[low : low + _BLOCK][some[hit]] = onto[place[hit]]
    return result


def _mark(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    """A place in a table of `_MARKS`, the same for equal values: the high bits of a product with an odd number."""
    values = values + 0.0  # -0.0 is 0.0
    return (values.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - _MARKS.bit_length() + 1)


def _whole_days(array: NDArray[np.float64]) -> bool:
    """Whole numbers, small enough that a step of 1 is above the relative tolerance: nothing to fix."""
    for low in range(0, array.size, _BLOCK):
        part = array[low : low + _BLOCK]
        if not (np.abs(part) < 0.5 / TIMEFIX).all() or (part != np.rint(part)).any():
            return False
    return True


def flows_of(
    episodes: EpisodeArrays,
    by: Sequence[str] = (),
    *,
    codes: NDArray[np.intp] | None = None,
    patterns: pd.DataFrame | None = None,
) -> Flows:
    """Reduce episodes to flows: time x pattern -> entered, exited, events. Rows of weight 0 are nobody.

    Either `by`, columns kept in `episodes` (each distinct combination is a pattern, in sorted order), or
    `codes` (n,) into the rows of `patterns`. With `by`, a customer who passes from one group to another
    leaves the one and enters the other; with `codes` (covariates that change) a cut stays a cut.
    """
    if (codes is None) != (patterns is None):
        raise ArgumentError("flows_of: give codes and patterns together, or by")
    began, ended = episodes.began, episodes.ended
    if codes is None or patterns is None:
        codes, patterns = pattern_codes(episodes.columns, by, len(episodes))
        if len(patterns) > 1:
            began, ended = _switches(episodes, codes)
    return _reduce(episodes, np.asarray(codes, np.intp), patterns.reset_index(drop=True), began, ended)


def pattern_codes(
    frame: pd.DataFrame, by: Sequence[str], rows: int, role: str = "by"
) -> tuple[NDArray[np.intp], pd.DataFrame]:
    """Codes (rows,) of the distinct combinations of the columns `by`, in sorted order, and these. role: what errors call them."""
    if not by:
        return np.zeros(rows, np.intp), pd.DataFrame(index=range(1))
    codes, levels = np.zeros(rows, np.int64), []
    for name in by:
        column = complete(frame, name, role)
        levels.append(pd.Categorical(column).remove_unused_categories())
        codes = codes * len(levels[-1].categories) + levels[-1].codes
        # Renumber at each step: the product of many columns would overflow.
        _, codes = np.unique(codes, return_inverse=True)
    first = np.unique(codes, return_index=True)[1]
    patterns = pd.DataFrame({name: level[first] for name, level in zip(by, levels)})
    for name in by:
        if not isinstance(frame[name].dtype, pd.CategoricalDtype):
            patterns[name] = frame[name].iloc[first].to_numpy()
    return codes.astype(np.intp), patterns


def _switches(episodes: EpisodeArrays, codes: NDArray[np.intp]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    if episodes.began.all():
        return episodes.began, episodes.ended
    order = np.lexsort((episodes.start, episodes.spell))
    return cuts_of(order, episodes.spell, episodes.start, episodes.stop, episodes.weight, codes)


def _reduce(
    episodes: EpisodeArrays,
    codes: NDArray[np.intp],
    patterns: pd.DataFrame,
    began: NDArray[np.bool_],
    ended: NDArray[np.bool_],
) -> Flows:
    times, index = _distinct(np.concatenate((episodes.start, episodes.stop)))
    key = np.concatenate((codes, codes)) * times.size + index
    cells, key = _cells(key, times.size * len(patterns))
    n, m = len(episodes), cells.size

    def total(cell: NDArray[np.intp], values: NDArray[Any]) -> NDArray[np.float64]:
        return np.bincount(cell, weights=values, minlength=m).astype(np.float64, copy=False)

    weight, happened, at_start, at_stop = episodes.weight, episodes.event, key[:n], key[n:]
    counts = [
        total(at_start, weight),
        total(at_stop, weight),
        total(at_stop, weight * happened),
        total(at_stop, happened & (weight > 0)),
        total(at_start, weight * began),
        total(at_stop, weight * ended),
    ]
    live = (counts[0] > 0) | (counts[1] > 0)
    entered, exited, events, deaths, arrived, left = (count[live] for count in counts)
    pattern, time = np.divmod(cells[live], times.size)
    return Flows(
        times[time], pattern.astype(np.intp), entered, exited, events, deaths, arrived, left,
        patterns, episodes.customers, n,
    )  # fmt: skip


def _distinct(times: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Sorted distinct times and the number of each; whole days by a table, without sorting."""
    low, high = times.min(), times.max()
    if high - low > 4 * times.size + 100_000 or not _whole_days(times):
        return np.unique(times, return_inverse=True)
    days, index = _cells((times - low).astype(np.intp), int(high - low) + 1)
    return days + low, index


def _cells(key: NDArray[np.intp], size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Distinct keys and their numbering; by a table when there are few possible keys, else by sorting."""
    if size > 4 * key.size + 1_000_000:
        return np.unique(key, return_inverse=True)
    there = np.zeros(size, bool)
    there[key] = True
    number = np.cumsum(there) - 1
    return np.flatnonzero(there), number[key]
