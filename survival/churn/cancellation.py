"""Cancellation: churn is the day on which a customer's chain of subscriptions ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import ibis
import ibis.expr.types as ir
from pydantic import Field

from survival.churn.anchored import Clock, SpellsKept, on_clock
from survival.churn.chains import chained, chains
from survival.churn.definition import FOREVER, NOTHING_TO_LEAVE, Reads, last_day, register_definition
from survival.churn.subscribed import Causes, Subscribed, grouped
from survival.findings import Finding

if TYPE_CHECKING:
    from survival.data import Tables

SHORT_BREAK = 3  # days: a break as short as this looks like a late renewal
MANY_SHORT_BREAKS = 0.05  # share of the chains' ends


@register_definition
class Cancellation(Subscribed):
    """Subscriptions that touch, overlap, or start at most `gap` days after the latest end form one chain.

    Churn is the first day without the first chain; that it is over is known `gap` days later, so everyone is censored
    at until - gap at the latest. With `reasons`, only an end_reason among them is churn; others, and none, censor. With
    `spells: all` every later chain is a spell of its own.
    """

    kind: Literal["cancellation"] = "cancellation"
    gap: int = Field(0, ge=0, description="days between two subscriptions that still make one chain")
    reasons: tuple[str, ...] | None = Field(None, description="end_reasons that count as churn; default: all")
    causes: Causes = {}
    spells: SpellsKept = "first"
    clock: Clock = "reset"

    def reads(self) -> Reads:
        """Subscriptions with start and end; end_reason when `reasons` or `causes` are given."""
        return self.subscription_reads(*(["end_reason"] if self.reasons is not None or self.causes else []))

    def may_read(self) -> Reads:
        """The cause of a churn is its end_reason; subscription_id breaks ties."""
        return {"subscriptions": {"end_reason", "subscription_id"}}

    def outcomes(self, tables: Tables) -> ir.Table:
        """The first chain of every customer, or each; without a subscription there is nothing to leave."""
        people = self.people(tables)
        made = chains(self.subscriptions(tables, people), self.gap, every=self.spells == "all")
        rows = people.left_join(made, "customer")
        rows = rows.mutate(spell=rows.chain.cast("int32") - 1)
        horizon = last_day(tables, self.kind) - self.gap
        left = (rows.ended <= horizon).fill_null(False)
        churned = left & self._counts(rows.end_reason)
        nothing = rows.started.isnull().ifelse(NOTHING_TO_LEAVE, ibis.null("string"))
        return on_clock(
            rows,
            begins=rows.started,
            ends=left.ifelse(rows.ended, horizon),
            reset=self.clock == "reset",
            left=left,
            churned=churned,
            cause=churned.ifelse(grouped(rows.end_reason, self.causes), ibis.null("string")),
            aside=ibis.coalesce(self.never(rows), nothing),
        )

    def _counts(self, end_reason: ir.StringValue) -> ir.BooleanValue:
        if self.reasons is None:
            return ibis.literal(True)
        return end_reason.isin(self.reasons).fill_null(False) if self.reasons else ibis.literal(False)

    def findings(self, tables: Tables) -> tuple[Finding, ...]:
        """Many chains broken by 1 to 3 days: a longer `gap`, or `ends: inclusive`, is probably meant."""
        rows = chained(self.subscriptions(tables, self.people(tables)), self.gap)
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
            return self.unseen_origins(tables)
        inclusive = " One day is what `ends: inclusive` under data.tables.subscriptions would explain." if one else ""
        return (
            *self.unseen_origins(tables),
            Finding(
                "short-gaps",
                "warning",
                self.kind,
                f"{short:,} of {ends:,} ends of a chain of subscriptions are followed by a new one within {SHORT_BREAK} "
                f"days: these are counted as churn. Set `gap: {SHORT_BREAK}` if they are late renewals.{inclusive}",
                f"short={short}, one_day={one}, ends={ends}",
            ),
        )
