"""What findings and errors show: the first offending rows, and the likely way out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir

from survival.data.classify import COLUMN, coerced, judged
from survival.data.coerce import raw_text
from survival.data.contract import Column
from survival.data.engine import Engine
from survival.data.formats import COMMON, pattern_of
from survival.data.reading import Reading
from survival.data.source import Source

# What exports write where there is no value; read as such only when the config says so, for a plan may be named NA.
NO_VALUE = frozenset(
    (
        "null",
        "(null)",
        "<null>",
        "\\n",
        "na",
        "n/a",
        "#n/a",
        "<na>",
        "nan",
        "nat",
        "none",
        "nil",
        "missing",
        "-",
        "--",
        "?",
    )
)
_FIRST = 3
_SAMPLE = 200
_EXPECTED = {
    "date": "a date (ISO, like 2024-12-31, unless date_format says otherwise)",
    "number": "a number like 1234.5",
    "count": "a whole number",
    "flag": "true/false, t/f, yes/no or 1/0",
}


def unreadable(engine: Engine, source: Source, reading: Reading, column: Column, rows: int, root: Path) -> str:
    """`12 rows have an unreadable ended_on: 'soon' (FILE, row 3), ...; expected ...` and the way out."""
    found = _first(engine, source, reading, column, _SAMPLE if column.kind == "date" else _FIRST, root)
    shown = ", ".join(
        f"{_quoted(r['_raw'])} ({r['_place']}, row {r['_row']}, customer {r['_who']})" for r in found[:_FIRST]
    )
    plural = "row has" if rows == 1 else "rows have"
    called = reading.columns[column.name]
    name = column.name if called == column.name else f"{column.name} (column {called!r})"
    way = _way_out(reading, column, [r["_raw"] for r in found])
    return f"{rows:,} {plural} an unreadable {name}: {shown}; expected {_expected(reading, column)}{way}"


def _quoted(raw: str) -> str:
    """In quotes as it is in the file: Python would double the backslash."""
    return f"'{raw}'" if raw.isprintable() and "'" not in raw else repr(raw)


def _way_out(reading: Reading, column: Column, raw: list[str]) -> str:
    """A key of the config that would read the values, if there is one."""
    words = sorted({text.strip() for text in raw if text.strip().lower() in NO_VALUE})
    others = [text for text in raw if text.strip().lower() not in NO_VALUE]
    way = f". {nulls_hint(reading.logical.name, column.name, words)}" if words else ""
    if column.kind == "date" and (others or not words):
        way += f". {_date_hint(reading, column, others)}"
    return way


def nulls_hint(table: str, column: str, words: Sequence[str]) -> str:
    """How to say that some texts mean that there is no value."""
    listed = ", ".join(f'"{word}"' if "\\" not in word else f"'{word}'" for word in words)
    what = f"{' and '.join(words)} mean{'s' if len(words) == 1 else ''} that there is no value"
    return f"If {what}, set data.nulls: [{listed}], or for this column only: tables.{table}.nulls: {{{column}: [{listed}]}}"


def _expected(reading: Reading, column: Column) -> str:
    formats = reading.formats.get(column.name)
    return f"a date like {' or '.join(formats)}" if formats else _EXPECTED[column.kind]


def _date_hint(reading: Reading, column: Column, raw: list[str]) -> str:
    tried = reading.formats.get(column.name, ())
    fitting = [f for f in COMMON if f not in tried and all(pattern_of(f).reads(text) for text in raw)]
    key = f"tables.{reading.logical.name}.date_format"
    if not fitting or not raw:
        return f"Name their format with {key}: {{{column.name}: ...}}"
    either = " or ".join(f'"{f}"' for f in fitting[:2])
    more = f'["{tried[0]}", {either}]' if tried else either
    return f"Way out: {key}: {{{column.name}: {more}}}"


def _first(
    engine: Engine, source: Source, reading: Reading, column: Column, limit: int, root: Path
) -> list[dict[str, Any]]:
    """The first rows whose first unreadable column is `column`, in the order of the files."""
    code = judged(reading).index(column) + 1
    found: list[dict[str, Any]] = []
    with engine.in_order():
        for part in source.parts:
            for place, table in part.pieces(root):
                numbered = table.mutate(_row=ibis.row_number() + 1)
                extra = {
                    "_row": numbered["_row"],
                    "_raw": raw_text(numbered[reading.columns[column.name]]),
                    "_who": raw_text(numbered[reading.columns["customer_id"]]),
                }
                rows = coerced(numbered, reading, engine.step, **extra)
                bad = rows.filter(~rows["_filtered"] & ~rows["_null"] & (rows[COLUMN] == code))
                here = engine.rows(bad.select("_row", "_raw", "_who").order_by("_row").limit(limit - len(found)))
                found += [{**r, "_place": place} for r in here]
                if len(found) >= limit:
                    return found
    return found


def strangers(engine: Engine, source: Source, reading: Reading, customers: ir.Table) -> str:
    """The first customer ids of a fact table that customers does not have, beside ids that it has."""
    ids = [p.table.select(_id=raw_text(p.table[reading.columns["customer_id"]])) for p in source.parts]
    every = ids[0] if len(ids) == 1 else ids[0].union(*ids[1:])
    unknown = every.filter(every["_id"].notnull()).anti_join(customers, every["_id"] == customers["customer_id"])
    first = [r["_id"] for r in engine.rows(unknown.distinct().order_by("_id").limit(_FIRST))]
    known = [r["customer_id"] for r in engine.rows(customers.order_by("customer").select("customer_id").limit(_FIRST))]
    return f"unknown ids like {', '.join(map(repr, first))}; customers has ids like {', '.join(map(repr, known))}"


def values_of(engine: Engine, source: Source, column: str) -> list[str]:
    """Some values of a source column, for a `where` that keeps nothing."""
    texts = [p.table.select(_v=raw_text(p.table[column])) for p in source.parts]
    every = texts[0] if len(texts) == 1 else texts[0].union(*texts[1:])
    rows = engine.rows(every.filter(every["_v"].notnull()).distinct().order_by("_v").limit(8))
    return [r["_v"] for r in rows]
