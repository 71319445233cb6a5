"""Churns and their causes: flows that count each cause, from a frame or from flows that have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survival.errors import ArgumentError, NoEventsError
from survival.estimate.cohort_counts import CohortCounts, cohort_counts, names_of
from survival.findings import Finding
from survival.flows.columns import column_names, read_columns, refuse
from survival.flows.frames import EpisodeArrays, episode_arrays, flows_of
from survival.flows.table import UNKNOWN_CAUSE, Flows

Floats = NDArray[np.float64]
CAUSE = "cause"


@dataclass(frozen=True, eq=False)
class CauseCounts:
    """One group: the counts of its risk sets (m rows), and its churns by cause (C, m)."""

    risk: CohortCounts
    events: Floats

    def __post_init__(self) -> None:
        self.events.flags.writeable = False


@dataclass(frozen=True, eq=False)
class Causes:
    """The counts of all groups by cause; `labels` are the C causes, `strata[i]` the stratum of `groups[i]`."""

    groups: tuple[CauseCounts, ...]
    strata: tuple[Any, ...]
    labels: tuple[str, ...]
    findings: tuple[Finding, ...]


def cause_counts(
    frame: Any,
    cause: str = CAUSE,
    stop: str = "stop",
    event: str | None = "event",
    start: str | None = None,
    *,
    by: str | Sequence[str] | None = None,
    strata: str | Sequence[str] | None = None,
    weights: str | None = None,
    customer: str | None = None,
    spell: str | None = None,
    order: Sequence[Any] | None = None,
) -> Causes:
    """Counts by cause of churn, by group; see `cohort_counts` and `read_cause`. Raises NoEventsError without a churn."""
    if isinstance(frame, Flows):
        if not frame.causes:
            only = f" They hold the churns of '{frame.only}' only." if frame.only else ""
            raise ArgumentError(f"these flows do not know causes: count them with flows(..., causes=True).{only}")
        flows, findings = frame, tuple[Finding, ...]()
    else:
        groups = [*names_of(strata), *names_of(by)]
        episodes, said = read_cause(
            frame, cause, stop, event, start, weights=weights, customer=customer, spell=spell, keep=groups
        )
        flows, findings = flows_by_cause(episodes, said, groups), episodes.findings
    # What is at risk does not depend on what counts as an event: the rows of all these counts are the same.
    whole = cohort_counts(flows, by=by, strata=strata, order=order)
    single = [cohort_counts(flows.of_cause(name), by=by, strata=strata, order=order) for name in flows.causes]
    rows = [
        CauseCounts(risk, np.array([one.groups[i].events for one in single])) for i, risk in enumerate(whole.groups)
    ]
    return Causes(tuple(rows), whole.strata, flows.causes, findings)


def read_cause(
    frame: Any,
    cause: str,
    stop: str,
    event: str | None,
    start: str | None,
    *,
    weights: str | None = None,
    customer: str | None = None,
    spell: str | None = None,
    keep: Sequence[str] = (),
) -> tuple[EpisodeArrays, pd.Series]:
    """Episodes, and the cause (n,) of each event as text; `(unknown)` for an event without one.

    With `event` None a row has an event where its cause is neither missing nor empty. Raises StructureError for a
    cause on a row without an event: the event column then already censors some causes.
    """
    if event is None:
        names = column_names(frame)
        table = read_columns(frame, names or [cause, stop, start, weights, customer, spell, *keep])
        event = "event"
        while event in table.columns:
            event += "_"
        table[event] = ~_blank(read_columns(table, [cause])[cause])
    else:
        # Read at once: an Arrow stream can be read but once.
        wanted = [stop, event, start, weights, customer, spell, cause, *keep]
        table = read_columns(frame, [*wanted, *(["start"] if "start" in column_names(frame) else [])])
    episodes = episode_arrays(
        table, stop, event, start, weights=weights, customer=customer, spell=spell, keep=[*keep, cause]
    )
    values = episodes.columns[cause]
    blank = _blank(values)
    bad = ~blank & ~episodes.event
    problem = f"cause column '{cause}' names a cause where '{event}' is 0; one of the two is wrong"
    refuse(bad, problem, {cause: values}, None if customer is None else table[customer])
    text = values.astype(object).where(~blank, UNKNOWN_CAUSE).map(str)
    return episodes, text.where(episodes.event, "")


def _blank(values: pd.Series) -> NDArray[np.bool_]:
    return (values.isna() | (values.astype(object) == "")).to_numpy(bool)


def flows_by_cause(episodes: EpisodeArrays, cause: pd.Series, by: Sequence[str]) -> Flows:
    """The flows of the episodes by the columns `by`, with events and deaths of every cause that occurs."""
    labels = sorted(set(cause[episodes.event & (episodes.weight > 0)]))
    if not labels:
        raise NoEventsError("nobody churned: there is no cause to estimate")
    whole = flows_of(episodes, by)
    said = cause.to_numpy(object)
    single = [flows_of(replace(episodes, event=episodes.event & (said == name)), by) for name in labels]
    events, deaths = np.array([one.events for one in single]), np.array([one.deaths for one in single])
    return replace(whole, causes=tuple(labels), cause_events=events, cause_deaths=deaths)
