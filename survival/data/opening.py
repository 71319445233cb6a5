"""Open, check and count: raw tables in, `Tables` out, every problem in one error."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from survival.data.classify import coerced, staged_customers, staged_facts
from survival.data.contract import CONTRACT
from survival.data.engine import Engine
from survival.data.finish import finished_customers, finished_facts
from survival.data.reading import Need, Reading, plan_reading
from survival.data.source import Source, frame_source
from survival.data.spec import DateFormat, Observed, TableSpec
from survival.data.tables import Tables
from survival.errors import DataError

_EPOCH = dt.date(1970, 1, 1)


def epoch_day(day: dt.date | None) -> int | None:
    """Days since 1970-01-01."""
    return None if day is None else (day - _EPOCH).days


def tables_from_frames(
    frames: Mapping[str, pd.DataFrame | pa.Table],
    *,
    from_: dt.date | None = None,
    until: dt.date | None = None,
    timezone: str = "UTC",
    warm_up: int | str = "auto",
    buckets: int | None = None,
    need: Need | None = None,
    specs: Mapping[str, TableSpec] | None = None,
    date_format: DateFormat | None = None,
) -> Tables:
    """Tables from frames in memory with logical column names, through the same checks as files."""
    observed = Observed.model_validate(
        {"from": from_, "until": until, "timezone": timezone, "warm_up": warm_up}
    )
    engine = Engine(timezone=timezone)
    try:
        sources = {name: frame_source(engine, name, frame) for name, frame in frames.items()}
        return _checked(engine, sources, observed, need, buckets)
    except BaseException:
        engine.close()
        raise


def _checked(
    engine: Engine, sources: Mapping[str, Source], observed: Observed, need: Need | None, buckets: int | None
) -> Tables:
    until = epoch_day(observed.until)
    readings: dict[str, Reading] = {}
    problems: list[str] = []
    for name in CONTRACT:
        if name in sources and (need is None or name in need or name == "customers"):
            spec = TableSpec(table=name)
            readings[name], found = plan_reading(name, spec, sources[name].columns, need, None)
            problems += found
    if problems:
        raise DataError("\n".join(problems))

    def rows(name: str) -> ir.Table:
        parts = [coerced(p.table, readings[name]) for p in sources[name].parts]
        return parts[0] if len(parts) == 1 else parts[0].union(*parts[1:])

    staged = engine.create(
        "customers__rows", staged_customers(rows("customers"), readings["customers"], until)
    )
    customers = finished_customers(engine, staged, readings["customers"])
    facts = {}
    for name in readings:
        if name != "customers":
            stage = engine.create(f"{name}__rows", staged_facts(rows(name), customers, readings[name], until))
            facts[name] = finished_facts(engine, stage, readings[name], until)
    return Tables(
        engine,
        customers,
        facts,
        observed,
        epoch_day(observed.from_),
        until,
        pd.DataFrame(),
        (),
        {},
        engine.count(customers),
        buckets or 1,
    )
