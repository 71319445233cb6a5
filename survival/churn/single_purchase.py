"""Single purchase: a customer who does not order a second time within `window` days of the first order is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import ibis
import ibis.expr.types as ir
from pydantic import Field

from survival.churn.definition import NOTHING_TO_LEAVE, Definition, Reads, last_day, outcome, register_definition

if TYPE_CHECKING:
    from survival.data import Tables


@register_definition
class SinglePurchase(Definition):
    """Tenure is counted from the first order. Lost on that day + `window` if no other day by then, that one included,
    has an order; a second order censors on its day. Two orders on one day count once.
    """

    kind: Literal["single_purchase"] = "single_purchase"
    window: int = Field(90, ge=1, description="days after the first order within which a second one keeps the customer")

    @property
    def look_back(self) -> int:
        """The window."""
        return self.window

    @property
    def windows(self) -> dict[str, int]:
        """Orders, and the window."""
        return {"orders": self.window}

    @property
    def clock_origin(self) -> str:
        """The first order."""
        return "first_order"

    def reads(self) -> Reads:
        """Days of orders, and signup, which says who enters late."""
        return {"customers": {"customer_id", "signed_up_on"}, "orders": {"customer_id", "ordered_on"}}

    def outcomes(self, tables: Tables) -> ir.Table:
        """The first order of every customer, and what became of it; without an order there is nothing to leave."""
        until = last_day(tables, self.kind)
        orders = tables.facts["orders"].select("customer", "day")
        firsts = orders.group_by("customer").aggregate(first=orders.day.min())
        orders = orders.join(firsts, "customer")
        days = orders.group_by("customer").aggregate(
            first=orders["first"].min(), second=orders.day.min(where=orders.day > orders["first"])
        )
        rows = tables.customers.select("customer").left_join(days, "customer")
        lost = rows["first"] + self.window
        again = (rows.second <= lost).fill_null(False)
        churned = ~again & (lost <= until).fill_null(False)
        ends = again.ifelse(rows.second, churned.ifelse(lost, until))
        return outcome(
            rows,
            origin=rows["first"],
            begins=0,
            ends=ends - rows["first"],
            left=again | churned,
            churned=churned,
            aside=rows["first"].isnull().ifelse(NOTHING_TO_LEAVE, ibis.null("string")),
        )
