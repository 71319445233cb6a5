"""From staging tables to the checked ones: numbered customers, facts with exactly the contract's columns."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from survival.data import contract as c
from survival.data.classify import REASON
from survival.data.coerce import number
from survival.data.contract import Column
from survival.data.engine import Engine
from survival.data.reading import Reading


def finished_customers(engine: Engine, staged: ir.Table, reading: Reading) -> ir.Table:
    """customers(customer, customer_id, signup, typed columns, attributes), numbered 0..n-1 in the order of customer_id."""
    used = staged.filter(staged[REASON] == c.USED)
    numeric = _numeric_attributes(engine, used, reading)
    columns: dict[str, ir.Value] = {
        "customer": ibis.row_number().over(order_by=[used["customer_id"]]).cast("int32"),
        "customer_id": used["customer_id"],
        "signup": used["signup"] if "signed_up_on" in reading.columns else ibis.null("int32"),
    }
    columns |= {k.stored: used[k.stored] for k in reading.read if k.stored not in columns}
    columns |= {a: number(used[a]) if a in numeric else used[a] for a in reading.attributes}
    return engine.create("customers", used.select(**columns))


def _numeric_attributes(engine: Engine, used: ir.Table, reading: Reading) -> set[str]:
    """Attributes whose every non-blank value is a number."""
    if not reading.attributes:
        return set()
    counts = {
        f"a{i}": (used[a].notnull() & number(used[a]).isnull()).sum().fill_null(0)
        for i, a in enumerate(reading.attributes)
    }
    row = engine.rows(used.aggregate(**counts))[0]
    return {a for i, a in enumerate(reading.attributes) if row[f"a{i}"] == 0}


def finished_facts(engine: Engine, staged: ir.Table, reading: Reading, until: int | None) -> ir.Table:
    """The used rows under the contract's columns; those not read are null. A view: the staging table holds the rows once."""
    logical = reading.logical
    used = staged.filter(staged[REASON] == c.USED)
    read = {k.stored for k in reading.read}
    columns: dict[str, ir.Value] = {"customer": used["customer"].cast("int32")}
    for column in logical.columns[1:]:
        columns[column.stored] = _value(used, column, column.stored in read)
    if logical.last is not None and until is not None:
        last = columns[logical.last]
        columns[logical.last] = ibis.cases((last > until, ibis.null("int32")), else_=last)
    if logical.name != "subscriptions":
        return engine.view(logical.name, used.select(**columns))
    rows = used.select(**columns)
    keys = [rows[k] for k in ("customer", "started", "subscription_id", "ended", "plan")]
    keys += [rows[k.stored] for k in logical.columns if k.stored not in ("customer_id", "started", "ended", "plan")]
    order = ibis.row_number().over(order_by=keys).cast("int32")
    return engine.create(logical.name, rows.select("customer", order.name("row"), *list(columns)[1:]))


def _value(used: ir.Table, column: Column, read: bool) -> ir.Value:
    value = used[column.stored] if read else ibis.null(column.type)
    if column.fill is None:
        return value
    return value.fill_null(column.fill) if read else ibis.literal(column.fill, type=column.type)
