"""Raw tables for the tests of the data room: short to write, opened, read back as plain rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pandas as pd

from survival.data import Tables, tables_from_frames

EPOCH = dt.date(1970, 1, 1)
UNTIL = dt.date(2024, 12, 31)


def epoch(iso: str) -> int:
    """An ISO date as an epoch day."""
    return (dt.date.fromisoformat(iso) - EPOCH).days


def customers(*ids: str, signed_up_on: str = "2024-01-10") -> pd.DataFrame:
    """Customers who all signed up on one day."""
    return pd.DataFrame({"customer_id": list(ids), "signed_up_on": [signed_up_on] * len(ids)})


def frame(columns: str, *rows: tuple[Any, ...]) -> pd.DataFrame:
    """A frame of text (None stays null) with blank-separated column names."""
    return pd.DataFrame(list(rows), columns=columns.split(), dtype=object)


def opened(frames: Mapping[str, pd.DataFrame], **options: Any) -> Tables:
    """The checked tables, known until the end of 2024 unless the test says otherwise."""
    return tables_from_frames(frames, **{"until": UNTIL, **options})


def rows(tables: Tables, name: str, *columns: str) -> list[tuple[Any, ...]]:
    """The rows of a checked table as sorted tuples of the columns named (all without)."""
    table = tables.customers if name == "customers" else tables.facts[name]
    names = list(columns or table.columns)
    values = tables.engine.arrow(table.select(*names)).to_pylist()
    return sorted((tuple(v[n] for n in names) for v in values), key=repr)


def reasons(tables: Tables, name: str) -> dict[str, int]:
    """reason -> rows of one table in the ledger."""
    ledger = tables.ledger[tables.ledger["table"] == name]
    return dict(zip(ledger["reason"], ledger["rows"].astype(int), strict=True))


def finding(tables: Tables, id_: str, subject: str) -> str:
    """The message of the one finding with this id and subject."""
    (found,) = [f for f in tables.findings if (f.id, f.subject) == (id_, subject)]
    return found.message


def subjects(tables: Tables, id_: str) -> set[str]:
    """What the findings of one id are about."""
    return {f.subject for f in tables.findings if f.id == id_}
