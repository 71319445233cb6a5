"""What a model may name before any row is read: the columns in the header of the customers table."""

from __future__ import annotations

from pathlib import Path

from survival.data.contract import CONTRACT
from survival.data.engine import Engine
from survival.data.opening import database_of
from survival.data.source import Opener
from survival.data.spec import DataSpec
from survival.errors import DataError


def customer_attributes(spec: DataSpec, *, root: Path) -> list[str]:
    """Logical names of the columns of customers: mapped ones, and all others under their own name.

    None where customers are derived from another table. Raises DataError for a source that cannot be opened.
    """
    table = spec.tables.get("customers")
    if table is None:
        raise DataError("customers: data.tables does not have it")
    if table.derive_from is not None:
        return []
    with Engine() as engine:
        have = Opener(engine, root, database_of(spec.engine, root)).open("customers", table).columns
    sources = set(table.columns.values())
    keys = {column.name for column in CONTRACT["customers"].columns if column.required}
    named = [*table.columns, *(column for column in have if column not in sources)]
    return [name for name in named if name not in keys]
