"""Cancellation: churn is the day on which a customer's chain of subscriptions ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import ibis
import ibis.expr.types as ir
from pydantic import Field

from survival.churn.definition import (
    FOREVER,
    NOTHING_TO_LEAVE,
    Definition,
    Reads,
    last_day,
    outcome,
    register_definition,
)
from survival.findings import Finding

if TYPE_CHECKING:
    from survival.data import Tables

SHORT_BREAK = 3  # days: a break as short as this looks like a late renewal
MANY_SHORT_BREAKS = 0.05  # share of the chains' ends


@register_definition
class Cancellation(Definition):
    """Subscriptions that touch, overlap, or start at most `gap` days after the latest end form one chain.

    Churn is the first day without the first chain; that it is over is known `gap` days later, so everyone is censored
    at until - gap at the latest. With `reasons`, only an end_reason among them is churn; others, and none, censor.
    """

    kind: Literal["cancellation"] = "cancellation"
    gap: int = Field(0, ge=0, description="days between two subscriptions that still make one chain")
    reasons: tuple[str, ...] | None = Field(None, description="end_reasons that count as churn; default: all")

    def reads(self) -> Reads:
        """Subscriptions with start and end; end_reason when `reasons` are given."""
        columns = {"customer_id", "started_on", "ended_on"} | ({"end_reason"} if self.reasons is not None else set())
        return {"customers": {"customer_id", "signed_up_on"}, "subscriptions": columns}

    def may_read(self) -> Reads:
        """The cause of a churn is its end_reason; subscription_id breaks ties."""
        return {"subscriptions": {"end_reason", "subscription_id"}}

    def outcomes(self, tables: Tables) -> ir.Table:
        """The first chain of every customer; without a subscription there is nothing to leave."""
        chain = first_chain(tables.facts["subscriptions"], self.gap)
        rows = tables.customers.select("customer", "signup").left_join(chain, "customer")
        horizon = last_day(tables, self.kind) - self.gap
        left = rows.ended <= horizon
        begins = (rows.started < rows.signup).ifelse(rows.signup, rows.started) - rows.signup
        ends = left.ifelse(rows.ended, horizon) - rows.signup
        churned = left & self._counts(rows.end_reason)
        return outcome(
            rows,
            origin=rows.signup,
            begins=begins,
            ends=ends,
            left=left.fill_null(False),
            churned=churned.fill_null(False),
            cause=churned.fill_null(False).ifelse(rows.end_reason, ibis.null("string")),
            aside=rows.started.isnull().ifelse(NOTHING_TO_LEAVE, ibis.null("string")),
        )

    def _counts(self, end_reason: ir.StringValue) -> ir.BooleanValue:
        if self.reasons is None:
            return ibis.literal(True)
        return end_reason.isin(self.reasons).fill_null(False) if self.reasons else ibis.literal(False)

    def findings(self, tables: Tables) -> tuple[Finding, ...]:
        """Many chains broken by 1 to 3 days: a longer `gap`, or `ends: inclusive`, is probably meant."""
        rows = chained(tables.facts["subscriptions"], self.gap)
        pause = rows.started - rows.reach
        breaks = rows.filter(rows.opens, rows.reach.notnull()).aggregate(
            broken=ibis._.count(), one=(pause == 1).sum(), short=((pause >= 1) & (pause <= SHORT_BREAK)).sum()
        )
        chains = rows.group_by("customer", "chain").aggregate(ended=rows.open_end.max())
        finals = chains.group_by("customer").aggregate(ended=chains.ended.max())
        closed = finals.filter(finals.ended < FOREVER).aggregate(closed=ibis._.count())
        broken, one, short = tables.engine.rows(breaks)[0].values()
        ends = (broken or 0) + tables.engine.rows(closed)[0]["closed"]
        if not short or short <= MANY_SHORT_BREAKS * ends:
            return ()
        inclusive = " One day is what `ends: inclusive` under data.tables.subscriptions would explain." if one else ""
        return (
            Finding(
                "short-gaps",
                "warning",
                self.kind,
                f"{short} of {ends} ends of a chain of subscriptions are followed by a new one within {SHORT_BREAK} "
                f"days: these are counted as churn. Set `gap: {SHORT_BREAK}` if they are late renewals.{inclusive}",
                f"short={short}, one_day={one}, ends={ends}",
            ),
        )


def chained(subscriptions: ir.Table, gap: int) -> ir.Table:
    """Each subscription with `open_end`, `reach` (latest end before it), `opens` a chain, and its `chain` (1, 2, ...)."""
    rows = subscriptions.mutate(open_end=subscriptions.ended.fill_null(FOREVER))
    before = ibis.window(group_by="customer", order_by=["started", "row"], preceding=(None, 1))
    rows = rows.mutate(reach=rows.open_end.max().over(before))
    rows = rows.mutate(opens=(rows.started > rows.reach + gap).fill_null(True))
    upto = ibis.window(group_by="customer", order_by=["started", "row"], preceding=None, following=0)
    return rows.mutate(chain=rows.opens.cast("int32").sum().over(upto))


def first_chain(subscriptions: ir.Table, gap: int) -> ir.Table:
    """customer, started, ended (FOREVER: still running), end_reason of the row that ends the chain."""
    rows = chained(subscriptions, gap)
    rows = rows.filter(rows.chain == 1)
    if "end_reason" not in rows.columns:
        rows = rows.mutate(end_reason=ibis.null("string"))
    # Ties on the end: the latest started, then the largest id.
    last = [rows.open_end.desc(), rows.started.desc()]
    last += [rows.subscription_id.desc()] if "subscription_id" in rows.columns else []
    order = ibis.window(group_by="customer", order_by=[*last, rows.row.desc()])
    rows = rows.mutate(
        rank=ibis.row_number().over(order), first=rows.started.min().over(ibis.window(group_by="customer"))
    )
    rows = rows.filter(rows["rank"] == 0)
    return rows.select("customer", started=rows["first"], ended=rows.open_end, end_reason=rows.end_reason)
