"""Chains: subscriptions of one customer that follow one another without a break, or with a short one."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from survival.churn.definition import FOREVER


def chained(subscriptions: ir.Table, gap: int) -> ir.Table:
    """Each subscription with `open_end`, `reach` (latest end before it), `opens` a chain, and its `chain` (1, 2, ...)."""
    rows = subscriptions.mutate(open_end=subscriptions.ended.fill_null(FOREVER))
    before = ibis.window(group_by="customer", order_by=["started", "row"], preceding=(None, 1))
    rows = rows.mutate(reach=rows.open_end.max().over(before))
    rows = rows.mutate(opens=(rows.started > rows.reach + gap).fill_null(True))
    upto = ibis.window(group_by="customer", order_by=["started", "row"], preceding=None, following=0)
    return rows.mutate(chain=rows.opens.cast("int32").sum().over(upto))


def ending_rows(rows: ir.Table) -> ir.Table:
    """Of `chained` rows the one that ends its chain, with `first`, the day on which the chain starts.

    Ties on the end: the latest started, then the largest id.
    """
    last = [rows.open_end.desc(), rows.started.desc()]
    last += [rows.subscription_id.desc()] if "subscription_id" in rows.columns else []
    whole = ["customer", "chain"]
    order = ibis.window(group_by=whole, order_by=[*last, rows.row.desc()])
    rows = rows.mutate(place=ibis.row_number().over(order), first=rows.started.min().over(ibis.window(group_by=whole)))
    return rows.filter(rows.place == 0).drop("place")


def chains(subscriptions: ir.Table, gap: int, *, every: bool) -> ir.Table:
    """customer, chain (1, 2, ...), started, ended (FOREVER: still running), end_reason of the row that ends the chain.

    Only the first chain of each customer unless `every`.
    """
    rows = chained(subscriptions, gap)
    if not every:
        rows = rows.filter(rows.chain == 1)
    if "end_reason" not in rows.columns:
        rows = rows.mutate(end_reason=ibis.null("string"))
    rows = ending_rows(rows)
    return rows.select("customer", "chain", "end_reason", started=rows["first"], ended=rows.open_end)
