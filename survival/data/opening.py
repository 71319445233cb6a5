"""Open, check and count: raw tables in, `Tables` out, every problem in one error."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from survival.data import contract as c
from survival.data.checking import Check, Progress
from survival.data.contract import CONTRACT, nearest
from survival.data.engine import Engine
from survival.data.files import fingerprint_files, found_files
from survival.data.ledger import ledger_frame
from survival.data.notes import findings
from survival.data.reading import Need, Reading, plan_reading
from survival.data.source import Opener, Source, frame_source
from survival.data.spec import DataSpec, DateFormat, Observed, TableSpec
from survival.data.tables import Tables
from survival.errors import DataError

_EPOCH = dt.date(1970, 1, 1)
_ROWS_PER_BUCKET = 10_000_000
_DATABASE = "duckdb://"


def open_tables(
    spec: DataSpec,
    *,
    root: Path,
    need: Need | None = None,
    optional: Need | None = None,
    workspace: Path | None = None,
    progress: Progress | None = None,
    buckets: int | None = None,
    memory_limit: str | None = None,
    threads: int | None = None,
) -> Tables:
    """Read and check the tables of a config.

    `root` is where relative paths start. `need` names the tables and the columns that definitions and indicators read
    (None: everything configured), `optional` the columns that are read where a source has them (`may_need(...)`; None: the
    quantity of usage and the end_reason of subscriptions). `workspace` is the folder for the scratch database, `progress`
    is told each step.
    Raises DataError, which names every problem at once.
    """
    engine = Engine(workspace, memory_limit=memory_limit, threads=threads, timezone=spec.observed.timezone)
    try:
        names = _names(spec.tables, need)
        problems = _unmapped(spec.tables, need) + _period(spec.observed)
        derive = spec.tables["customers"].derive_from if "customers" in spec.tables else None
        opener = Opener(engine, root, database_of(spec.engine, root))
        sources: dict[str, Source] = {}
        for name in [*names, *([derive] if derive and derive not in names else [])]:
            if spec.tables[name].derive_from is None:
                try:
                    sources[name] = opener.open(name, spec.tables[name])
                except DataError as error:
                    problems.append(str(error))
        prints = {n: fingerprint_files(s.files, root) for n, s in sources.items()}
        return _checked(
            engine,
            spec,
            sources,
            names,
            problems,
            need=need,
            optional=optional,
            root=root,
            buckets=buckets,
            prints=prints,
            progress=progress,
        )
    except BaseException:
        engine.close()
        raise


def tables_from_frames(
    frames: Mapping[str, pd.DataFrame | pa.Table],
    *,
    from_: dt.date | None = None,
    until: dt.date | None = None,
    timezone: str = "UTC",
    warm_up: int | str = "auto",
    buckets: int | None = None,
    need: Need | None = None,
    specs: Mapping[str, Mapping[str, Any]] | None = None,
    date_format: DateFormat | None = None,
    progress: Progress | None = None,
) -> Tables:
    """Tables from frames in memory, through the same checks as files; for notebooks and tests.

    Frames have logical column names, or `specs` maps them as a config would (`{"usage": {"columns": {...}}}`);
    `specs={"customers": {"derive_from": "orders"}}` needs no customers frame. Dates are dates, timestamps or ISO text.
    """
    tables = {name: {"table": name} for name in frames}
    tables |= {name: {**tables.get(name, {}), **given} for name, given in (specs or {}).items()}
    observed = {"from": from_, "until": until, "timezone": timezone, "warm_up": warm_up}
    spec = DataSpec.model_validate({"tables": tables, "observed": observed, "date_format": date_format})
    engine = Engine(timezone=timezone)
    try:
        names = _names(spec.tables, need)
        problems = _unmapped(spec.tables, need) + _period(spec.observed)
        sources = {name: frame_source(engine, name, frame) for name, frame in frames.items()}
        return _checked(
            engine, spec, sources, names, problems, need=need, root=Path(), buckets=buckets, progress=progress
        )
    except BaseException:
        engine.close()
        raise


def fingerprint_inputs(spec: DataSpec, *, root: Path, need: Need | None = None) -> dict[str, dict[str, dict[str, Any]]]:
    """Table -> file -> size and sha256, without reading the tables: to see whether a run would repeat an earlier one."""
    prints = {}
    for name, table in spec.tables.items():
        if table.derive_from is None and (need is None or name in need or name in _always(spec.tables)):
            database = database_of(spec.engine, root)
            bare = [database] if database is not None else []
            files = found_files(name, table.paths, root) if table.path is not None else bare
            prints[name] = fingerprint_files(files, root)
    return prints


def epoch_day(day: dt.date | None) -> int | None:
    """Days since 1970-01-01."""
    return None if day is None else (day - _EPOCH).days


def _always(tables: Mapping[str, TableSpec]) -> set[str]:
    """customers, and what they are derived from."""
    derive = tables["customers"].derive_from if "customers" in tables else None
    return {"customers", *([derive] if derive else [])}


def _names(tables: Mapping[str, TableSpec], need: Need | None) -> list[str]:
    """The tables that are checked, in the order of the contract; customers first."""
    return [n for n in CONTRACT if n in tables and (need is None or n in need or n == "customers")]


def _unmapped(tables: Mapping[str, TableSpec], need: Need | None) -> list[str]:
    there = ", ".join(tables) or "none"
    wanted = ["customers", *(n for n in need or () if n != "customers")]
    return [
        f"{name}: this table is needed, and data.tables does not have it; it has: {there}{nearest(name, tables)}"
        for name in wanted
        if name not in tables
    ]


def _period(observed: Observed) -> list[str]:
    if observed.from_ is not None and observed.until is not None and observed.from_ > observed.until:
        return [f"observed: from ({observed.from_}) is after until ({observed.until}); nobody could be observed"]
    return []


def database_of(engine: str, root: Path) -> Path | None:
    """The database file that `engine` names, if any. Raises DataError for an engine that this version does not have."""
    if engine == "duckdb":
        return None
    if not engine.startswith(_DATABASE):
        raise DataError(f"engine: {engine!r} is not available; use 'duckdb', or 'duckdb://FILE.duckdb' for its tables")
    return found_files("engine", [engine.removeprefix(_DATABASE)], root)[0]


def _checked(
    engine: Engine,
    spec: DataSpec,
    sources: Mapping[str, Source],
    names: list[str],
    problems: list[str],
    *,
    need: Need | None,
    optional: Need | None = None,
    root: Path,
    buckets: int | None,
    prints: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Progress | None = None,
) -> Tables:
    """Plan every reading, then check every table that can be; DataError with all problems."""
    until, from_day = epoch_day(spec.observed.until), epoch_day(spec.observed.from_)
    readings, missing = _readings(spec, sources, names, need, optional)
    problems = problems + missing
    bad = {problem.partition(":")[0] for problem in problems}  # what else is wrong can be told from the others
    derive = spec.tables["customers"].derive_from if "customers" in spec.tables else None
    if {"customers", derive} & bad or "observed" in bad or "customers" not in readings:
        _raise(problems)
    check = Check(engine, sources, readings, until, root, derive, progress or (lambda step: None))
    customers = check.customers()
    facts = {}
    if customers is not None:
        checked = {name: check.facts(name, customers) for name in names if name != "customers" and name not in bad}
        facts = {name: table for name, table in checked.items() if table is not None}
        check.problems += _nobody(check)
    _raise(problems + check.problems)
    assert customers is not None  # or there was a problem
    buckets = buckets or max(1, -(-max((check.counts[name].used for name in facts), default=0) // _ROWS_PER_BUCKET))
    for name in facts:
        check.in_order_of_customers(name, buckets)
    return Tables(
        engine=engine,
        customers=customers,
        facts=facts,
        observed=spec.observed,
        from_day=from_day,
        until_day=until,
        ledger=ledger_frame(check.counts),
        findings=findings(check, customers, facts, from_day),
        fingerprint=prints or {},
        n_customers=check.counts["customers"].used,
        buckets=buckets,
        staged=check.staged,
    )


def _readings(
    spec: DataSpec, sources: Mapping[str, Source], names: list[str], need: Need | None, optional: Need | None
) -> tuple[dict[str, Reading], list[str]]:
    readings, problems = {}, []
    for name in CONTRACT:
        if name in sources:
            table = spec.tables[name]
            have = sources[name].columns
            readings[name], missing = plan_reading(name, table, have, need, spec.date_format, optional, spec.nulls)
            problems += missing
    if "customers" in names and spec.tables["customers"].derive_from is not None:
        columns = {"customer_id": "customer_id", "signed_up_on": "signed_up_on"}
        readings["customers"] = Reading(CONTRACT["customers"], columns, {}, {}, {}, derived=True)
        problems += _underivable(need)
    return readings, problems


def _underivable(need: Need | None) -> list[str]:
    wanted = set((need or {}).get("customers", ())) - {"customer_id", "signed_up_on"}
    return [
        f"customers: the column {column!r} is needed, but derived customers have only customer_id and signed_up_on; "
        "give customers a file of their own"
        for column in sorted(wanted)
    ]


def _nobody(check: Check) -> list[str]:
    count = check.counts["customers"]
    if count.used or (check.derive_from is not None and check.problems):  # what they derive from has said why
        return []
    why = (
        ", ".join(f"{n:,} {c.REASONS[code]}" for code, n in sorted(count.reasons.items()) if n)
        or "the source has no rows"
    )
    return [f"customers: nobody is left of {count.read:,} rows: {why}"]


def _raise(problems: list[str]) -> None:
    if problems:
        head = "" if len(problems) == 1 else f"{len(problems)} problems with the data:\n"
        raise DataError(head + "\n".join(f"- {p}" if head else p for p in problems))
