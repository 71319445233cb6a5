"""`where` of a definition or an indicator: logical column -> accepted values, as text."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import ibis.expr.types as ir
from pydantic import BeforeValidator

from survival.data.contract import nearest
from survival.errors import DataError
from survival.findings import Finding

if TYPE_CHECKING:
    from survival.data import Tables

TRUE = frozenset({"true", "t", "yes", "y", "1"})
FALSE = frozenset({"false", "f", "no", "n", "0"})


def _as_text(value: Any) -> Any:
    """One value or a list of them; numbers as they are written (YAML 1.2: `NO` is text)."""
    if not isinstance(value, Mapping):
        return value
    return {
        column: tuple(str(v) for v in (values if isinstance(values, list | tuple) else [values]))
        for column, values in value.items()
    }


_SHOWN = 12  # values in a message
Where = Annotated[dict[str, tuple[str, ...]], BeforeValidator(_as_text)]


def accepted(table: ir.Table, where: Mapping[str, tuple[str, ...]], subject: str) -> ir.BooleanValue | None:
    """The condition that a row of `table` meets `where`; None without one. A null is never accepted.

    Raises DataError for a column that the table lacks, or a value that its column cannot hold.
    """
    condition: ir.BooleanValue | None = None
    for column, values in sorted(where.items()):
        if column not in table.columns:
            columns = ", ".join(c for c in table.columns if c != "customer")
            raise DataError(f"{subject}: where names the column {column!r}; the table has {columns}")
        inside = table[column].isin(_typed(table[column], values, f"{subject}: where {column}")).fill_null(False)
        condition = inside if condition is None else condition & inside
    return condition


def never_occurring(
    tables: Tables, table: str, named: Mapping[str, Collection[str]], subject: str
) -> tuple[Finding, ...]:
    """Texts that a config names (column -> values) and no row of the table holds: misspelt, they leave rows out in silence."""
    if not named:
        return ()
    facts, found = tables.facts[table], []
    for column, values in named.items():
        if column not in facts.columns or not facts[column].type().is_string():
            continue
        there = facts.filter(facts[column].isin(sorted(values))).select(column).distinct()
        missing = sorted(set(values) - {row[column] for row in tables.engine.rows(there)})
        if missing:
            found.append(_missing(tables, table, column, missing, len(set(values)), subject))
    return tuple(found)


def _missing(tables: Tables, table: str, column: str, missing: list[str], named: int, subject: str) -> Finding:
    facts = tables.facts[table]
    some = facts.filter(facts[column].notnull()).select(column).distinct().order_by(column).limit(_SHOWN)
    there = [row[column] for row in tables.engine.rows(some)]
    more = ", ..." if len(there) == _SHOWN else ""
    near = nearest(missing[0], there) if len(missing) == 1 else ""
    every = len(missing) == named
    what = "so no row counts at all" if every else "the other values that are named do occur"
    message = (
        f"no row of {table} has the {column} {' or '.join(map(repr, missing))}{near}; {what}. {table}.{column} holds "
        f"{', '.join(map(repr, there)) or 'nothing'}{more}. Spell it as the table does, or leave it out"
    )
    return Finding("never-occurs", "warning" if every else "note", subject, message, f"{len(missing)} of {named}")


def _typed(column: ir.Column, values: tuple[str, ...], place: str) -> list[Any]:
    if column.type().is_string():
        return list(values)
    if column.type().is_boolean():
        known = {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}
        unknown = [v for v in values if v.lower() not in known]
        if unknown:
            raise DataError(f"{place}: {unknown[0]!r} is not true or false, and the column holds only these")
        return [known[v.lower()] for v in values]
    try:
        return [float(v) for v in values]
    except ValueError:
        raise DataError(f"{place}: {list(values)} are not numbers, and the column holds numbers") from None
