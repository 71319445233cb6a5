"""Counts by group: who is at risk, enters, churns and is censored at each tenure. All curves start here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survival.errors import ArgumentError, ConservationError, StructureError
from survival.findings import Finding
from survival.flows.frames import episode_arrays, flows_of, pattern_codes
from survival.flows.table import Flows

EVERYBODY = "all"  # the group of a table without groups
_ROUNDING = 1e-11  # of the weight summed: a risk set smaller than this is empty, its weight is rounding
_CONSERVED = 1e-9  # relative: person-time summed in two orders

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CohortCounts:
    """One group; m rows, one for each tenure with an entry, an event or a censoring.

    label, number  the group's name and its place in the order of the groups
    time           (m,) increasing
    at_risk        (m,) weight of episodes with start < time <= stop
    entered        (m,) weight of customers whose first episode starts at time
    events         (m,) weight of churns at time
    censored       (m,) weight of customers who leave at time without churn
    left_over      (m,) at_risk - events, exactly 0 when all at risk churn
    after          (m,) at risk just after time: start <= time < stop
    """

    label: Any
    number: int
    time: Floats
    at_risk: Floats
    entered: Floats
    events: Floats
    censored: Floats
    left_over: Floats
    after: Floats

    def __post_init__(self) -> None:
        for name in ("time", "at_risk", "entered", "events", "censored", "left_over", "after"):
            getattr(self, name).flags.writeable = False


@dataclass(frozen=True, eq=False)
class Counts:
    """The counts of all groups, in the order of the groups; `strata[i]` is the stratum of `groups[i]`."""

    groups: tuple[CohortCounts, ...]
    strata: tuple[Any, ...]
    findings: tuple[Finding, ...]

    def __iter__(self) -> Iterator[CohortCounts]:
        return iter(self.groups)


def cohort_counts(
    frame: Any,
    stop: str = "stop",
    event: str = "event",
    start: str | None = None,
    *,
    by: str | Sequence[str] | None = None,
    strata: str | Sequence[str] | None = None,
    weights: str | None = None,
    customer: str | None = None,
    spell: str | None = None,
    order: Sequence[Any] | None = None,
) -> Counts:
    """Counts by `by` (and within `strata`), from a frame of episodes or from Flows.

    Groups come as sorted (numbers by value, categories in their order), or in the `order` given; labels are
    the values of `by`, joined by a comma when it names several columns, and `all` without it.
    """
    groups, layers = names_of(by), names_of(strata)
    doubled = sorted(set(groups) & set(layers))
    if doubled:
        raise ArgumentError(f"{doubled} cannot be in both by and strata: groups are compared within strata")
    findings: tuple[Finding, ...] = ()
    if isinstance(frame, Flows):
        _no_columns(start=start, weights=weights, customer=customer, spell=spell)
        flows = frame
        _has_columns(flows, [*layers, *groups])
    else:
        episodes = episode_arrays(
            frame, stop, event, start, weights=weights, customer=customer, spell=spell, keep=[*layers, *groups]
        )
        flows, findings = flows_of(episodes, [*layers, *groups]), episodes.findings
    group, labels = labelled(flows.patterns, groups, order)
    stratum, layer_labels = labelled(flows.patterns, layers, None)
    found, found_strata = _split(flows, group, labels, stratum, layer_labels)
    return Counts(tuple(found), tuple(found_strata), findings)


def names_of(by: str | Sequence[str] | None) -> list[str]:
    """`by` as a list of column names."""
    if by is None:
        return []
    return [by] if isinstance(by, str) else list(by)


def _no_columns(**given: str | None) -> None:
    named = {name: value for name, value in given.items() if value is not None}
    if named:
        raise ArgumentError(f"flows already hold times, weights and customers; leave out {named}")


def _has_columns(flows: Flows, names: Sequence[str]) -> None:
    for name in names:
        if name not in flows.patterns.columns:
            there = ", ".join(map(str, flows.patterns.columns)) or "none"
            raise ArgumentError(f"'{name}' is no column of the flows' patterns (there: {there}); add it to `by`")


def labelled(
    patterns: pd.DataFrame, by: Sequence[str], order: Sequence[Any] | None
) -> tuple[NDArray[np.intp], list[Any]]:
    """Number of the group of each pattern (P,), and the labels of the groups in their order."""
    codes, groups = pattern_codes(patterns, by, len(patterns))
    if not by:
        return codes, [EVERYBODY]
    columns = [groups[name].astype(object).tolist() for name in by]
    labels = columns[0] if len(by) == 1 else [", ".join(map(str, values)) for values in zip(*columns)]
    if order is None:
        return codes, labels
    missing = [label for label in labels if label not in order]
    if missing:
        raise ArgumentError(f"order must name every group; the data also have {missing[:5]}, got {list(order)}")
    kept = [label for label in dict.fromkeys(order) if label in labels]
    rank = np.array([kept.index(label) for label in labels], np.intp)
    return rank[codes], kept


def _split(
    flows: Flows, group: NDArray[np.intp], labels: Sequence[Any], stratum: NDArray[np.intp], layers: Sequence[Any]
) -> tuple[list[CohortCounts], list[Any]]:
    cell = stratum[flows.pattern] * len(labels) + group[flows.pattern]
    order = np.argsort(cell, kind="stable")
    edges = np.flatnonzero(np.diff(cell[order])) + 1
    sets, strata = [], []
    for rows in np.split(order, edges):
        layer, number = divmod(int(cell[rows[0]]), len(labels))
        sets.append(_count(labels[number], number, flows, rows))
        strata.append(layers[layer])
    return sets, strata


def _count(label: Any, number: int, flows: Flows, rows: NDArray[np.intp]) -> CohortCounts:
    times, index = np.unique(flows.time[rows], return_inverse=True)

    def total(values: Floats) -> Floats:
        return np.bincount(index, weights=values[rows], minlength=times.size).astype(np.float64, copy=False)

    entered, exited, events = total(flows.entered), total(flows.exited), total(flows.events)
    began, ended = total(flows.began), total(flows.ended)
    at_risk, after = _at_risk(label, entered, exited)
    _conserve(label, times, at_risk, entered, exited)
    censored = _snap(ended - events, ended)
    # Cuts are no rows, unless what the flows call a cut moves weight between the groups of this very table.
    moved = np.abs(at_risk - after) > _ROUNDING * np.maximum(at_risk, after)
    kept = (began > 0) | (ended > 0) | moved
    left_over = np.maximum(_snap(at_risk - events, at_risk), 0.0)
    columns = (times, at_risk, began, events, censored, left_over, after)
    return CohortCounts(label, number, *(column[kept] for column in columns))


def _at_risk(label: Any, entered: Floats, exited: Floats) -> tuple[Floats, Floats]:
    """At risk at each time, start < t <= stop, and just after it, start <= t < stop; (m,), (m,).

    Summed from the nearer end, so that a tail of few customers keeps its digits beside many early ones.
    """
    change, moved = entered - exited, entered + exited
    forward, passed = np.concatenate(([0.0], np.cumsum(change))), np.concatenate(([0.0], np.cumsum(moved)))
    backward = np.concatenate((np.cumsum(-change[::-1])[::-1], [0.0]))
    ahead = np.concatenate((np.cumsum(moved[::-1])[::-1], [0.0]))
    near = passed <= ahead
    risk = _snap(np.where(near, forward, backward), np.where(near, passed, ahead))
    if (risk < 0).any():
        raise StructureError(f"flows of '{label}': more leave than entered before; are they from episodes?")
    return risk[:-1], risk[1:]


def _snap(values: Floats, scale: Floats) -> Floats:
    """Rounding of sums of weights is not somebody at risk."""
    return np.where(np.abs(values) <= _ROUNDING * scale, 0.0, values)


def _conserve(label: Any, times: Floats, at_risk: Floats, entered: Floats, exited: Floats) -> None:
    lived = float(at_risk[1:] @ np.diff(times))
    flowed = float((times - times[0]) @ (exited - entered))
    if abs(lived - flowed) > _CONSERVED * max(1.0, abs(flowed)):
        raise ConservationError(f"'{label}': person-time {lived!r} at risk and {flowed!r} in the flows")


def counts(values: Floats) -> NDArray[Any]:
    """Counts as integers where all are whole, so that a table of customers has no decimals."""
    whole = bool((values == np.rint(values)).all()) and bool((np.abs(values) < 2**53).all())
    return values.astype(np.int64) if whole else values
