"""What definitions that read subscriptions share: which rows count, and what a churn is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import ibis
import ibis.expr.types as ir
from pydantic import AfterValidator, Field

from survival.churn.anchored import Anchored
from survival.churn.definition import Reads

if TYPE_CHECKING:
    from survival.data import Tables


def _disjoint(groups: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    seen: dict[str, str] = {}
    for group, reasons in groups.items():
        for reason in reasons:
            if reason in seen:
                where = f"twice in {group!r}" if seen[reason] == group else f"in {seen[reason]!r} and in {group!r}"
                raise ValueError(f"the end_reason {reason!r} is {where}")
            seen[reason] = group
    return groups


Causes = Annotated[
    dict[str, tuple[str, ...]],
    AfterValidator(_disjoint),
    Field(description="cause -> the end_reasons that it groups; others keep their own name"),
]


class Subscribed(Anchored):
    """A definition that reads subscriptions; those that end at or before the origin are not used."""

    trials: Literal["include", "exclude", "stratum"] = Field(
        "include",
        description="subscriptions with is_trial: as others, not at all, or as others with a column `trial` "
        "(yes, no, unknown: the customer's first subscription is one) for strata, cohorts and formulas",
    )

    def subscription_reads(self, *more: str) -> Reads:
        """The origin, and subscriptions with start, end and `more`."""
        trial = [] if self.trials == "include" else ["is_trial"]
        reads = self.origin_reads()
        return {**reads, "subscriptions": {"customer_id", "started_on", "ended_on", *trial, *more}}

    def subscriptions(self, tables: Tables, people: ir.Table) -> ir.Table:
        """The rows that count, on the calendar. `people` has customer and origin."""
        rows = tables.facts["subscriptions"]
        if self.trials == "exclude":
            rows = rows.filter(~rows.is_trial.fill_null(False))
        if self.origin == "signup":  # the tables have been checked against it
            return rows
        rows = rows.join(people.select("customer", "origin"), "customer")
        over = ((rows.started < rows.origin) & (rows.ended <= rows.origin)).fill_null(False)
        return rows.filter(rows.origin.notnull(), ~over).drop("origin")


def grouped(end_reason: ir.StringValue, causes: dict[str, tuple[str, ...]]) -> ir.StringValue:
    """The group of an end_reason, or its own name."""
    named = [(end_reason.isin(reasons).fill_null(False), ibis.literal(g)) for g, reasons in causes.items() if reasons]
    return ibis.cases(*named, else_=end_reason) if named else end_reason
