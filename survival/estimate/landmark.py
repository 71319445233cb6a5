"""A new origin: who is still here at a tenure, followed from there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survival.errors import ArgumentError, StructureError
from survival.flows.columns import column_names, read_columns
from survival.flows.frames import episode_arrays
from survival.flows.structure import units_of
from survival.flows.table import Flows

Floats = NDArray[np.float64]


def landmark(
    frame: Any,
    at: float,
    stop: str = "stop",
    event: str = "event",
    start: str | None = None,
    *,
    customer: str | None = None,
    spell: str | None = None,
    present_only: bool = False,
    clock: str = "reset",
) -> Any:
    """Episodes (or flows) after tenure `at`: what lies before is cut off, and with `clock="reset"` time begins anew there.

    Who churned or left at `at` or before is gone. Who enters after `at` enters late, unless `present_only` keeps only the
    customers (spells) that are at risk just after `at`: the landmark population, for whom everything known by then may be a
    covariate. A frame comes back as pandas with all its columns, `start` (named "start" if there was none) and `stop`
    changed; flows as flows. `clock="continue"` keeps tenures as they are.

    Raises ArgumentError for a clock that is neither, and for flows with `present_only` (flows hold no customers);
    StructureError when nobody is left. Source: Anderson, Cain & Gelber 1983.
    """
    if clock not in ("reset", "continue"):
        raise ArgumentError(f"clock must be 'reset' or 'continue'; got {clock!r}")
    if isinstance(at, bool) or not isinstance(at, int | float | np.number) or not np.isfinite(at):
        raise ArgumentError(f"at must be a finite tenure, such as 180; got {at!r}")
    shift = float(at) if clock == "reset" else 0.0
    if isinstance(frame, Flows):
        if present_only:
            raise ArgumentError("flows hold no customers, so who was present is not known: give the frame of episodes")
        return _flows(frame, float(at), shift)
    episodes = episode_arrays(frame, stop, event, start, customer=customer, spell=spell)
    kept = episodes.stop > at
    if present_only:
        units = units_of(read_columns(frame, [customer, spell]), customer, spell)[1] if customer else episodes.spell
        here = np.zeros(int(units.max()) + 1, bool)
        here[units[(episodes.start <= at) & kept]] = True
        kept &= here[units]
    if not kept.any():
        raise StructureError(f"nobody is at risk after {at:g}: the last exit is at {episodes.stop.max():g}")
    table = read_columns(frame, column_names(frame) or [stop, event, start, customer, spell]).loc[kept]
    return table.assign(
        **{start or "start": np.maximum(episodes.start[kept], at) - shift, stop: episodes.stop[kept] - shift}
    ).reset_index(drop=True)


def _flows(flows: Flows, at: float, shift: float) -> Flows:
    later = flows.time > at
    if not later.any():
        raise StructureError(f"nobody is at risk after {at:g}: the last exit is at {flows.time.max():g}")
    patterns = len(flows.patterns)
    change = np.where(later, 0.0, flows.entered - flows.exited)
    here = np.bincount(flows.pattern, weights=change, minlength=patterns).astype(np.float64)
    here[np.abs(here) <= 1e-11 * np.bincount(flows.pattern, weights=flows.entered, minlength=patterns)] = 0.0
    present = np.flatnonzero(here > 0)

    def column(values: Floats, first: Floats) -> Floats:
        return np.concatenate((first, values[later]))

    none, few = np.zeros(present.size), here[present]
    began = column(flows.began, few)
    return replace(
        flows,
        time=column(flows.time, np.full(present.size, at)) - shift,
        pattern=np.concatenate((present, flows.pattern[later])).astype(np.intp),
        entered=column(flows.entered, few),
        exited=column(flows.exited, none),
        events=column(flows.events, none),
        deaths=column(flows.deaths, none),
        began=began,
        ended=column(flows.ended, none),
        patterns=flows.patterns if patterns else pd.DataFrame(index=range(1)),
        customers=round(float(began.sum())),
        episodes=round(float(column(flows.entered, few).sum())),
        cause_events=_split(flows.cause_events, later, present.size),
        cause_deaths=_split(flows.cause_deaths, later, present.size),
    )


def _split(by_cause: Floats, later: NDArray[np.bool_], present: int) -> Floats:
    """Events by cause (C, m) after the landmark; none at it."""
    if not by_cause.size:
        return by_cause
    return np.concatenate((np.zeros((by_cause.shape[0], present)), by_cause[:, later]), axis=1)
