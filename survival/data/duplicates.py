"""Duplicates by identifier: exact copies are set aside, different contents under one identifier are an error."""

from __future__ import annotations

import datetime as dt
from typing import Any

import ibis
import ibis.expr.types as ir

from survival.data import contract as c
from survival.data.classify import COLUMN, REASON, RESIDUE
from survival.data.engine import Engine
from survival.data.reading import Reading

_SHOWN = 3
_EPOCH = dt.date(1970, 1, 1)
_DAYS = {k.stored for t in c.CONTRACT.values() for k in t.columns if k.kind == "date"}


def without_copies(engine: Engine, staged: ir.Table, reading: Reading) -> tuple[ir.Table, list[str]]:
    """The staging table with all copies but one marked `duplicate`, and the problems that different contents are.

    Copies agree in everything, so also in every other reason; filtered rows are not judged.
    """
    if not reading.identified:
        return staged, []
    identifier = str(reading.logical.identifier)
    judged = staged.filter((staged[REASON] != c.FILTERED) & staged[identifier].notnull())
    counted = judged.group_by(identifier).aggregate(_n=judged.count())
    twice = engine.create(engine.fresh("twice"), counted.filter(counted["_n"] > 1).select(_id=identifier))
    if engine.count(twice) == 0:
        return staged, []
    copies = judged.semi_join(twice, judged[identifier] == twice["_id"])
    problems = _contradictions(engine, copies, identifier, reading)
    return _marked(engine, staged, twice, identifier), problems


def _marked(engine: Engine, staged: ir.Table, twice: ir.Table, identifier: str) -> ir.Table:
    filtered = staged[REASON] == c.FILTERED
    key = ibis.cases((filtered, ibis.null("string")), else_=staged[identifier])
    keyed = staged.mutate(_key=key)
    single = keyed.anti_join(twice, keyed["_key"] == twice["_id"])
    several = keyed.semi_join(twice, keyed["_key"] == twice["_id"])
    copy = several.mutate(_copy=ibis.row_number().over(group_by="_key"))
    later = (copy["_copy"] > 0) & ((copy[REASON] == c.USED) | (copy[REASON] > c.DUPLICATE))
    reason = ibis.cases((later, ibis.literal(c.DUPLICATE, type="int8")), else_=copy[REASON])
    marked = copy.mutate(**{REASON: reason}).select(*staged.columns)
    return engine.create(engine.fresh(f"{staged.get_name()}_once"), single.select(*staged.columns).union(marked))


def _contradictions(engine: Engine, copies: ir.Table, identifier: str, reading: Reading) -> list[str]:
    """Identifiers whose rows differ, with the values that do."""
    contents = [n for n in copies.columns if n not in (identifier, "customer", REASON, COLUMN)]
    tests = {f"_d{i}": _differs(copies, n) for i, n in enumerate(contents)}
    grouped = copies.group_by(identifier).aggregate(_rows=copies.count(), **tests)
    anywhere = ibis.literal(False)
    for name in tests:
        anywhere = anywhere | grouped[name]
    differing = grouped.filter(anywhere)
    first = engine.rows(differing.order_by(identifier).limit(_SHOWN))
    if not first:
        return []
    names = {k.stored: k.name for k in reading.read}
    several = engine.count(differing)
    which, them = ("one value", "one") if several == 1 else (f"{several:,} values", "one of each")
    shown = [_shown(engine, copies, identifier, row, contents, names) for row in first]
    return [
        f"{reading.logical.name}: {which} of {identifier} stand{'s' if several == 1 else ''} for rows with different "
        f"contents: {'; '.join(shown)}. Mend the file, or leave {them} out with `where`"
    ]


def _differs(rows: ir.Table, name: str) -> ir.BooleanScalar:
    value = rows[name].cast("int8") if rows[name].type().is_boolean() else rows[name]
    partly_null = (value.count() > 0) & (value.count() < rows.count())
    return ((value.max() != value.min()) | partly_null).fill_null(False)


def _shown(
    engine: Engine, copies: ir.Table, identifier: str, row: dict[str, Any], contents: list[str], names: dict[str, str]
) -> str:
    rows = engine.rows(copies.filter(copies[identifier] == row[identifier]).limit(_SHOWN))
    parts = []
    for i, column in enumerate(contents):
        if row[f"_d{i}"]:
            values = sorted({_readable(r[column], copies[column].type().is_integer(), column) for r in rows})
            parts.append(
                f"{names.get(column, 'an unreadable value' if column == RESIDUE else column)} " + " / ".join(values)
            )
    return f"{row[identifier]!r} has " + ", ".join(parts)


def _readable(value: Any, whole: bool, column: str) -> str:
    if value is None:
        return "nothing"
    if whole and column in _DAYS:
        return (_EPOCH + dt.timedelta(days=int(value))).isoformat()
    return repr(value.replace("\x1f", " ").strip()) if isinstance(value, str) else str(value)
