"""The ledger: rows read = rows used + rows set aside by reason, for every table, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import ibis.expr.types as ir
import pandas as pd

from survival.data import contract as c
from survival.data.classify import COLUMN, REASON, judged
from survival.data.contract import Column
from survival.data.engine import Engine
from survival.data.reading import Reading
from survival.errors import ConservationError

COLUMNS = ("table", "rows_read", "used", "set_aside", "reason", "rows")


@dataclass(frozen=True)
class Count:
    """What became of a table's rows: `reasons` code -> rows, `unreadable` column -> rows."""

    table: str
    read: int
    reasons: Mapping[int, int]
    unreadable: Mapping[Column, int]

    @property
    def used(self) -> int:
        """Rows that are facts."""
        return self.reasons.get(c.USED, 0)

    @property
    def meant(self) -> int:
        """Rows that `where` leaves: those that the table is about."""
        return self.read - self.reasons.get(c.FILTERED, 0)

    @property
    def lost(self) -> int:
        """Rows set aside, not counting filtered ones."""
        return self.meant - self.used

    def rows(self) -> list[tuple[str, int, int, int, str, int]]:
        """The table's lines of the ledger: used, then each reason that occurred, in the order of judgement."""
        return [
            (self.table, self.read, self.used, self.read - self.used, reason, self.reasons.get(code, 0))
            for code, reason in enumerate(c.REASONS)
            if code == c.USED or self.reasons.get(code, 0)
        ]


def counted(engine: Engine, staged: ir.Table, read: int, reading: Reading) -> Count:
    """Count the staging table by reason; `read` is the number of rows that the source holds."""
    reasons: dict[int, int] = {}
    unreadable: dict[Column, int] = {}
    columns = judged(reading)
    for row in engine.rows(staged.group_by([REASON, COLUMN]).aggregate(n=staged.count())):
        reasons[row[REASON]] = reasons.get(row[REASON], 0) + row["n"]
        if row[REASON] == c.UNREADABLE:
            unreadable[columns[row[COLUMN] - 1]] = row["n"]
    return Count(reading.logical.name, read, reasons, unreadable)


def conserve(count: Count, checked_rows: int) -> None:
    """Raise ConservationError unless the source's rows are the checked table's and those set aside."""
    aside = sum(n for code, n in count.reasons.items() if code != c.USED)
    if count.read != checked_rows + aside or checked_rows != count.used:
        raise ConservationError(
            f"{count.table}: {count.read} rows read, but {checked_rows} in the checked table "
            f"(counted {count.used}) and {aside} set aside; read = used + set aside must hold"
        )


def ledger_frame(counts: Mapping[str, Count]) -> pd.DataFrame:
    """The ledger as a long frame with the columns table, rows_read, used, set_aside, reason, rows."""
    return pd.DataFrame([row for count in counts.values() for row in count.rows()], columns=list(COLUMNS))
