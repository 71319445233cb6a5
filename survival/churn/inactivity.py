"""Inactivity: a customer is lost after `window` days without a row in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import ibis
import ibis.expr.types as ir
from pydantic import Field

from survival.churn.anchored import Anchored, Clock, SpellsKept, on_clock
from survival.churn.definition import Reads, enters_late, last_day, register_definition
from survival.churn.where import Where, accepted, never_occurring
from survival.findings import Finding

if TYPE_CHECKING:
    from survival.data import Tables

DATE_COLUMN = {"usage": "used_on", "orders": "ordered_on"}


@register_definition
class Inactivity(Anchored):
    """Lost on the last active day + `window`; activity on that very day keeps the customer.

    The origin (signup) counts as activity; for who signed up before `observed.from`, that day counts instead, because
    the log is not complete before it. With `spells: all` the next active day begins a spell of its own.
    `dated: last_activity` backdates the loss, for comparison only: nobody can know it then.
    """

    kind: Literal["inactivity"] = "inactivity"
    window: int = Field(30, ge=1, description="days without activity after which a customer is lost")
    table: Literal["usage", "orders"] = "usage"
    where: Where = Field({}, description="rows that count as activity: column -> accepted values")
    dated: Literal["confirmed", "last_activity"] = Field(
        "confirmed", description="day of the loss: when it is certain, or (never for a model) the last active day"
    )
    spells: SpellsKept = "first"
    clock: Clock = "reset"

    @property
    def look_back(self) -> int:
        """The window."""
        return self.window

    @property
    def windows(self) -> dict[str, int]:
        """The table read, and the window."""
        return {self.table: self.window}

    def reads(self) -> Reads:
        """Days of activity, and the columns of `where`; what the origin is read from."""
        reads = self.origin_reads()
        activity = {"customer_id", DATE_COLUMN[self.table], *self.where}
        return {**reads, self.table: reads.get(self.table, set()) | activity}

    def outcomes(self, tables: Tables) -> ir.Table:
        """The first silence of every customer that lasted `window` days; with `spells: all`, each."""
        until = last_day(tables, self.kind)
        people = self.people(tables)
        rows = people.left_join(self._silences(tables, people), "customer")
        rows = rows.mutate(spell=rows.spell.fill_null(0))
        left = (rows.last + self.window <= until).fill_null(False)
        backdated = self.dated == "last_activity"
        leaving = rows.last if backdated else rows.last + self.window
        return on_clock(
            rows,
            begins=(rows.spell == 0).ifelse(rows.origin, rows.began),
            ends=left.ifelse(leaving, until - self.window if backdated else until),
            reset=self.clock == "reset",
            left=left,
            churned=left,
            aside=self.never(rows),
        )

    def _silences(self, tables: Tables, people: ir.Table) -> ir.Table:
        """customer, spell, began (null: at the origin), last: the active days that none follows within `window` days."""
        people = people.filter(people.origin.notnull())
        late = enters_late(tables, people.signup) & (people.origin < (tables.from_day or 0))
        since = late.ifelse(tables.from_day or 0, people.origin)
        firsts = people.select(customer=people.customer, day=since.cast("int32"))
        facts = tables.facts[self.table]
        condition = accepted(facts, self.where, f"inactivity on {self.table}")
        facts = (facts if condition is None else facts.filter(condition)).select("customer", "day")
        rows = facts.join(firsts.rename(since="day"), "customer")
        active = firsts.union(rows.filter(rows.day > rows.since).select("customer", "day"))
        following = active.day.lead().over(ibis.window(group_by="customer", order_by="day"))
        active = active.mutate(following=following)
        silent = active.filter(active.following.isnull() | (active.following - active.day > self.window))
        if self.spells == "first":
            ends = silent.group_by("customer").aggregate(last=silent.day.min())
            return ends.mutate(spell=ibis.literal(0, "int32"), began=ibis.null("int32"))
        order = ibis.window(group_by="customer", order_by="day")
        return silent.select(
            "customer",
            last=silent.day,
            spell=ibis.row_number().over(order).cast("int32"),
            began=silent.following.lag().over(order),
        )

    def findings(self, tables: Tables) -> tuple[Finding, ...]:
        """Values of `where` that do not occur; backdated churn, which gives every leaver `window` days of immortal time."""
        unseen = (*self.unseen_origins(tables), *never_occurring(tables, self.table, self.where, self.kind))
        if self.dated != "last_activity":
            return unseen
        return (
            *unseen,
            Finding(
                "immortal-time",
                "warning",
                self.kind,
                f"dated: last_activity puts churn {self.window} days before anyone could know it: whatever depends on "
                "still being active is then protected by definition. Leave `dated` out, except to compare.",
                f"window={self.window}",
            ),
        )
