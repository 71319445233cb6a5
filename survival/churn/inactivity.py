"""Inactivity: a customer is lost after `window` days without a row in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import ibis
import ibis.expr.types as ir
from pydantic import Field

from survival.churn.definition import Definition, Reads, enters_late, last_day, outcome, register_definition
from survival.churn.where import Where, accepted
from survival.findings import Finding

if TYPE_CHECKING:
    from survival.data import Tables

DATE_COLUMN = {"usage": "used_on", "orders": "ordered_on"}


@register_definition
class Inactivity(Definition):
    """Lost on the last active day + `window`; activity on that very day keeps the customer.

    Signup counts as activity; for who signed up before `observed.from`, that day counts instead, because the log is
    not complete before it. `dated: last_activity` backdates the loss, for comparison only: nobody can know it then.
    """

    kind: Literal["inactivity"] = "inactivity"
    window: int = Field(30, ge=1, description="days without activity after which a customer is lost")
    table: Literal["usage", "orders"] = "usage"
    where: Where = Field({}, description="rows that count as activity: column -> accepted values")
    dated: Literal["confirmed", "last_activity"] = Field(
        "confirmed", description="day of the loss: when it is certain, or (never for a model) the last active day"
    )

    @property
    def look_back(self) -> int:
        """The window."""
        return self.window

    @property
    def windows(self) -> dict[str, int]:
        """The table read, and the window."""
        return {self.table: self.window}

    def reads(self) -> Reads:
        """Days of activity, and the columns of `where`."""
        return {
            "customers": {"customer_id", "signed_up_on"},
            self.table: {"customer_id", DATE_COLUMN[self.table], *self.where},
        }

    def outcomes(self, tables: Tables) -> ir.Table:
        """The first silence of every customer that lasted `window` days."""
        until = last_day(tables, self.kind)
        last = self._last_active(tables)
        rows = tables.customers.select("customer", "signup").left_join(last, "customer")
        left = (rows.last + self.window <= until).fill_null(False)
        backdated = self.dated == "last_activity"
        leaving = rows.last if backdated else rows.last + self.window
        ends = left.ifelse(leaving, until - self.window if backdated else until) - rows.signup
        return outcome(rows, origin=rows.signup, begins=0, ends=ends, left=left, churned=left)

    def _last_active(self, tables: Tables) -> ir.Table:
        """customer, last: the first active day that no activity follows within `window` days."""
        people = tables.customers
        since = enters_late(tables, people.signup).ifelse(tables.from_day or 0, people.signup)
        firsts = people.select(customer=people.customer, day=since.cast("int32"))
        facts = tables.facts[self.table]
        condition = accepted(facts, self.where, f"inactivity on {self.table}")
        facts = (facts if condition is None else facts.filter(condition)).select("customer", "day")
        rows = facts.join(firsts.rename(since="day"), "customer")
        active = firsts.union(rows.filter(rows.day > rows.since).select("customer", "day"))
        following = active.day.lead().over(ibis.window(group_by="customer", order_by="day"))
        active = active.mutate(silence=following - active.day)
        silent = active.filter(active.silence.isnull() | (active.silence > self.window))
        return silent.group_by("customer").aggregate(last=silent.day.min())

    def findings(self, tables: Tables) -> tuple[Finding, ...]:
        """Backdated churn gives every leaver `window` days of immortal time."""
        if self.dated != "last_activity":
            return ()
        return (
            Finding(
                "immortal-time",
                "warning",
                self.kind,
                f"dated: last_activity puts churn {self.window} days before anyone could know it: whatever depends on "
                "still being active is then protected by definition. Leave `dated` out, except to compare.",
                f"window={self.window}",
            ),
        )
