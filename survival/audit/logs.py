"""Logs that end before `observed.until`: silence after their end is no fact."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

import ibis
import ibis.expr.types as ir
import numpy as np

from survival.data import Tables
from survival.data.contract import CONTRACT
from survival.findings import Finding

_DAYS = 7  # without a row, up to until, that mean nothing
_PAUSES = 3  # times the longest pause of the log's last year
_YEAR = 365
_ROWS = 200  # in that year, below which a log is too thin to tell
_EPOCH = dt.date(1970, 1, 1)


def logs_end_early(tables: Tables, read: Collection[str]) -> tuple[Finding, ...]:
    """Tables among `read` whose last row comes long before `observed.until`, by their own rhythm."""
    until = tables.until_day
    if until is None:
        return ()
    return tuple(f for name in tables.facts if name in read for f in _ends_early(tables, name, until))


def _ends_early(tables: Tables, name: str, until: int) -> tuple[Finding, ...]:
    rows = _days(tables.facts[name], name)
    last = tables.engine.rows(rows.aggregate(day=rows.day.max()))[0]["day"]
    if last is None or until - last <= _DAYS:
        return ()
    recent = rows.filter(rows.day > last - _YEAR)
    by_day = tables.engine.arrow(recent.group_by("day").aggregate(n=ibis._.count()))
    days = np.sort(by_day["day"].to_numpy())
    if by_day["n"].to_numpy().sum() < _ROWS or until - last <= _PAUSES * np.diff(days).max(initial=1):
        return ()
    date = _EPOCH + dt.timedelta(days=int(last))
    message = (
        f"{name}: the last row is dated {date}, {until - last:,} days before observed.until. If the log was exported then, "
        f"silence after it is no fact: set observed.until to {date}"
    )
    return (Finding("log-ends-early", "warning", name, message, f"days={until - last}"),)


def _days(rows: ir.Table, name: str) -> ir.Table:
    """Every day on which something was written to the table: beginnings and ends."""
    logical = CONTRACT[name]
    first = rows.select(day=rows[logical.first])
    return first if logical.last is None else first.union(rows.select(day=rows[logical.last]))
