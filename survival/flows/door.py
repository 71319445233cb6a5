"""The one door from the data engine to arrays: episodes become counts by tenure and pattern."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from survival.churn.spells import Spells
from survival.data import Tables
from survival.episodes import BuiltEpisodes, Episodes
from survival.errors import ConservationError, DataError
from survival.flows.table import UNKNOWN_CAUSE, Flows

COUNTS = ("entered", "exited", "events", "began", "ended", "episodes")


def flows(source: Spells | Episodes | BuiltEpisodes, by: Sequence[str] = (), *, causes: bool = False) -> Flows:
    """Who entered, left and churned at each tenure, by pattern of `by`: indicators, and columns of customers.

    With `causes` the churns are also counted by their cause, `(unknown)` where the definition gives none.

    Spells count as one episode each. Indicators that `by` does not name are merged away first, so that `episodes`
    counts neighbours with equal covariates once. Patterns and rows are sorted; an undefined level is a pattern of its
    own (NaN). Raises DataError for an unknown name, ConservationError if churns or person-days differ from the source.
    """
    if isinstance(source, Episodes):
        source = source.build()
    if not isinstance(source, Spells | BuiltEpisodes):
        raise DataError(
            f"flows takes what `spells` or `episodes` returns; got {type(source).__name__}. Estimates read frames as they are"
        )
    names = list(dict.fromkeys(by))
    indicators = [n for n in names if isinstance(source, BuiltEpisodes) and n in source.indicators]
    tables = source.tables if isinstance(source, Spells) else source.spells.tables
    attributes = [n for n in names if n not in indicators]
    unknown = [n for n in attributes if n not in tables.customers.columns]
    if unknown:
        known = ", ".join(
            [*(source.covariates if isinstance(source, BuiltEpisodes) else ()), *tables.customers.columns]
        )
        raise DataError(f"flows: {unknown[0]!r} is neither an indicator nor a column of customers; known: {known}")
    rows = source.merged(indicators) if isinstance(source, BuiltEpisodes) else _whole_spells(source)
    frame = _counted(tables, rows, names, attributes)
    result = _assembled(frame, names, source.customers)
    _conserve(result, source)
    return _with_causes(result, _churns(tables, source, names, attributes), names) if causes else result


def _whole_spells(spells: Spells) -> ir.Table:
    rows = spells.at_risk
    return rows.select(
        "customer", "spell", start=rows.entry, stop=rows.exit, event=rows.churned.cast("int8"), began=1, ended=1
    )


def _counted(tables: Tables, rows: ir.Table, names: list[str], attributes: list[str]) -> pd.DataFrame:
    """time, the columns `names`, and the counts: one GROUP BY a bucket, then one over their results."""
    name = tables.engine.fresh("flows")
    partial = tables.filled(name, lambda part: _grouped(part.mine(rows), part, names, attributes))
    frame = tables.engine.arrow(_summed(partial, names)).to_pandas()
    tables.engine.drop(name)
    return frame


def _grouped(rows: ir.Table, tables: Tables, names: list[str], attributes: list[str]) -> ir.Table:
    if attributes:
        rows = rows.join(tables.customers.select("customer", *attributes), "customer")
    into = rows.select(
        *names, time=rows.start, entered=1, exited=0, events=0, began=rows.began.cast("int32"), ended=0, episodes=1
    )
    out = rows.select(
        *names,
        time=rows.stop,
        entered=0,
        exited=1,
        events=rows.event.cast("int32"),
        began=0,
        ended=rows.ended.cast("int32"),
        episodes=0,
    )
    return _summed(into.cast(_INTEGERS).union(out.cast(_INTEGERS)), names)


def _churns(tables: Tables, source: Spells | BuiltEpisodes, names: list[str], attributes: list[str]) -> pd.DataFrame:
    """time, the columns `names`, cause, churns: one GROUP BY over the churns alone, which are the ends of spells."""
    if isinstance(source, Spells):
        rows = source.at_risk.filter(source.at_risk.churned).rename(stop="exit")
    else:
        rows = source.table.filter(source.table.event == 1)
    if attributes:
        rows = rows.join(tables.customers.select("customer", *attributes), "customer")
    rows = rows.select(*names, time=rows.stop.cast("int32"), cause=rows.cause.fill_null(UNKNOWN_CAUSE))
    counted = rows.group_by("time", *names, "cause").aggregate(churns=rows.count().cast("float64"))
    return tables.engine.arrow(counted).to_pandas()


def _with_causes(result: Flows, churns: pd.DataFrame, names: list[str]) -> Flows:
    """The flows with their events split by cause; ConservationError when a churn finds no place."""
    causes, code = np.unique(churns["cause"].to_numpy(str), return_inverse=True)
    pattern = np.zeros(len(churns), np.intp)
    if names:
        known = result.patterns.assign(pattern=np.arange(len(result.patterns)))
        pattern = churns[names].merge(known, on=names, how="left")["pattern"].to_numpy(np.intp)
    width = float(result.time.max()) + 1
    place = np.searchsorted(result.pattern * width + result.time, pattern * width + churns["time"].to_numpy(float))
    events = np.zeros((causes.size, result.time.size))
    np.add.at(events, (code, place), churns["churns"].to_numpy(float))
    return replace(result, causes=tuple(causes.tolist()), cause_events=events, cause_deaths=events.copy())


_INTEGERS = dict.fromkeys(("time", *COUNTS), "int32")


def _summed(rows: ir.Table, names: list[str]) -> ir.Table:
    sums = {count: rows[count].sum().cast("float64") for count in COUNTS}
    return rows.group_by("time", *names).aggregate(**sums)


def _assembled(frame: pd.DataFrame, names: list[str], customers: int) -> Flows:
    """Sorted by pattern, then time."""
    if names:
        groups = frame.groupby(names, dropna=False, sort=True, observed=True)
        frame = frame.assign(pattern=groups.ngroup())
    else:
        frame = frame.assign(pattern=0)
    frame = frame.sort_values(["pattern", "time"], ignore_index=True)
    patterns = frame.drop_duplicates("pattern")[names].reset_index(drop=True)

    def column(name: str) -> np.ndarray:
        return frame[name].to_numpy(np.float64, copy=True)

    return Flows(
        time=column("time"),
        pattern=frame["pattern"].to_numpy(np.intp, copy=True),
        entered=column("entered"),
        exited=column("exited"),
        events=column("events"),
        deaths=column("events"),
        began=column("began"),
        ended=column("ended"),
        patterns=patterns if names else pd.DataFrame(index=range(1)),
        customers=customers,
        episodes=int(frame["episodes"].sum()),
    )


def _conserve(result: Flows, source: Spells | BuiltEpisodes) -> None:
    churns = source.churns if isinstance(source, Spells) else source.events
    spells = source if isinstance(source, Spells) else source.spells
    for what, here, there in (
        ("churns", result.total_events, churns),
        ("person-days", result.person_days, source.person_days),
        ("spells", float(result.began.sum()), spells.count),
    ):
        if here != there:
            raise ConservationError(f"flows: {here:g} {what}, the episodes have {there}")
