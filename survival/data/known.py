"""The facts as they stood at the close of a day: what a rebuild may know when it asks whether anything looked ahead."""

from __future__ import annotations

from dataclasses import replace

import ibis
import ibis.expr.types as ir

from survival.data.contract import CONTRACT, LogicalTable
from survival.data.tables import Tables

_WITH_THE_END = {"subscriptions": ("end_reason",)}  # columns that are written down when the row ends, and not before


def as_of(tables: Tables, day: int) -> Tables:
    """The same tables with `until` moved to the epoch day `day`: later rows are not there, later ends have not happened.

    Customers who sign up later are not there either; their other columns are as they are, since nothing dates them.
    Shares the engine of `tables`.
    """
    customers = tables.customers.filter(tables.customers.signup <= day)
    known = {name: _known(table, CONTRACT[name], day) for name, table in tables.facts.items()}
    numbers = (
        range(tables.n_customers) if tables.numbers is None else tables.numbers
    )  # of all: some are missing between
    n = tables.engine.count(customers)
    return replace(tables, customers=customers, facts=known, until_day=day, n_customers=n, findings=(), numbers=numbers)


def _known(rows: ir.Table, logical: LogicalTable, day: int) -> ir.Table:
    first = rows[logical.first]
    if logical.last is None:
        return rows.filter(first <= day)
    last = rows[logical.last]
    dated = first if logical.ordered else (last < first).fill_null(False).ifelse(last, first)
    over = (last <= day).fill_null(False)
    hidden = {name: over.ifelse(rows[name], ibis.null(rows[name].type())) for name in _hidden(logical)}
    return rows.filter(dated <= day).mutate(**hidden)


def _hidden(logical: LogicalTable) -> tuple[str, ...]:
    return (str(logical.last), *_WITH_THE_END.get(logical.name, ()))
