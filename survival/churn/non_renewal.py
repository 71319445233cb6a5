"""Non-renewal: churn is the day on which a fixed term ends and no subscription follows within the grace period."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import ibis
import ibis.expr.types as ir
from pydantic import Field

from survival.churn.anchored import on_clock
from survival.churn.chains import chained, ending_rows
from survival.churn.definition import NOTHING_TO_LEAVE, Reads, last_day, register_definition
from survival.churn.subscribed import Causes, Subscribed, grouped
from survival.findings import Finding

if TYPE_CHECKING:
    from survival.data import Tables

LONGEST_TERM = 12_000  # months: a longer term ends after every date


@register_definition
class NonRenewal(Subscribed):
    """A subscription of `min_term_months` or more is a fixed term. Subscriptions that start at most `grace` days after the
    latest end form one chain; the customer's chain is the one in which the first fixed term begins, and they are at
    risk from then on. Churn if the row that ends the chain is a fixed term and ended no earlier than agreed; any other
    end censors.
    """

    kind: Literal["non_renewal"] = "non_renewal"
    grace: int = Field(14, ge=0, description="days after the end of a term within which a new one is a renewal")
    min_term_months: int = Field(12, ge=1, description="a billing period of so many months or more is a fixed term")
    causes: Causes = {}

    def reads(self) -> Reads:
        """Subscriptions with start, end and term; end_reason when `causes` are given."""
        return self.subscription_reads("billing_period_months", *(["end_reason"] if self.causes else []))

    def may_read(self) -> Reads:
        """The cause of a churn is its end_reason; subscription_id breaks ties."""
        return {"subscriptions": {"end_reason", "subscription_id"}}

    def outcomes(self, tables: Tables) -> ir.Table:
        """The chain of each customer's first fixed term; without one there is nothing to leave."""
        people = self.people(tables)
        rows = people.left_join(self._ends(self.subscriptions(tables, people)), "customer")
        rows = rows.mutate(spell=ibis.literal(0, "int32"))
        horizon = last_day(tables, self.kind) - self.grace
        left = (rows.ended <= horizon).fill_null(False)
        churned = left & (rows.ended >= rows.agreed).fill_null(False)
        nothing = rows.began.isnull().ifelse(NOTHING_TO_LEAVE, ibis.null("string"))
        return on_clock(
            rows,
            begins=rows.began,
            ends=left.ifelse(rows.ended, horizon),
            left=left,
            churned=churned,
            cause=churned.ifelse(grouped(rows.end_reason, self.causes), ibis.null("string")),
            aside=ibis.coalesce(self.never(rows), nothing),
        )

    def _ends(self, subscriptions: ir.Table) -> ir.Table:
        """customer, began (the first fixed term), ended, agreed (end of a fixed term as agreed, else null), end_reason."""
        rows = chained(subscriptions, self.grace)
        if "end_reason" not in rows.columns:
            rows = rows.mutate(end_reason=ibis.null("string"))
        none = ibis.null("int32")
        fixed = (rows.billing_period_months >= self.min_term_months).fill_null(False)
        rows = rows.mutate(fixed=fixed, fixed_chain=fixed.ifelse(rows.chain, none))
        whole = ibis.window(group_by="customer")
        rows = rows.mutate(mine=rows.fixed_chain.min().over(whole))
        rows = rows.filter(rows.chain == rows.mine)
        rows = rows.mutate(began=rows.fixed.ifelse(rows.started, none).min().over(whole))
        rows = ending_rows(rows)
        agreed = months_later(rows.started, rows.billing_period_months)
        return rows.select(
            "customer", "began", "end_reason", ended=rows.open_end, agreed=rows.fixed.ifelse(agreed, none)
        )

    def findings(self, tables: Tables) -> tuple[Finding, ...]:
        """Origins that the logs may not show."""
        return self.unseen_origins(tables)


def months_later(day: ir.IntegerValue, months: ir.IntegerValue) -> ir.IntegerValue:
    """The epoch day so many calendar months after `day`, clipped to the end of the month."""
    whole = (months > LONGEST_TERM).ifelse(LONGEST_TERM, months)
    date = ibis.date(1970, 1, 1) + day.as_interval("D") + whole.as_interval("M")
    return date.epoch_days().cast("int32")
