"""`where` of a definition or an indicator: logical column -> accepted values, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import ibis.expr.types as ir
from pydantic import BeforeValidator

from survival.errors import DataError

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
