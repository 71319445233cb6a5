"""The clock of a definition: the day of tenure 0, and the placing of calendar days on it.

The origin takes the place of signup: what ended before it is not used, and silence is counted from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

import ibis
import ibis.expr.types as ir
from pydantic import Field, model_validator

from survival.churn.definition import NOTHING_TO_LEAVE, Definition, Reads, enters_late, outcome
from survival.churn.where import never_occurring
from survival.findings import Finding

if TYPE_CHECKING:
    from survival.data import Tables

Origin = Literal["signup", "first_payment", "first_order", "activation"]
SpellsKept = Annotated[
    Literal["first", "all"], Field(description="a customer's first time at risk only, or every return too")
]
Clock = Annotated[
    Literal["reset", "continue"], Field(description="tenure of a return: from the return, or from the origin on")
]
NEVER = {"first_payment": "never paid", "first_order": "never ordered", "activation": "never activated"}
SOURCE: dict[str, tuple[str, str, tuple[str, ...]]] = {  # origin -> table, its day, the columns that must be there
    "first_payment": ("invoices", "paid", ("due_on", "paid_on")),
    "first_order": ("orders", "day", ("ordered_on",)),
    "activation": ("usage", "day", ("used_on",)),
}


class Anchored(Definition):
    """A definition whose tenure may start at signup, at the first payment or order, or at the activation."""

    origin: Origin = Field("signup", description="the day of tenure 0; who never reaches it is never at risk")
    activated_by: tuple[str, ...] = Field((), description="features whose first use is the activation; default: any")

    @model_validator(mode="after")
    def _activation(self) -> Self:
        if self.activated_by and self.origin != "activation":
            raise ValueError("activated_by: needs `origin: activation`")
        return self

    @property
    def clock_origin(self) -> str:
        """What tenure is counted from."""
        features = " or ".join(sorted(set(self.activated_by)))
        return f"{self.origin} by {features}" if features else self.origin

    def origin_reads(self) -> Reads:
        """What the origin is read from, and the signup."""
        reads: Reads = {"customers": {"customer_id", "signed_up_on"}}
        if self.origin != "signup":
            table, _, columns = SOURCE[self.origin]
            reads[table] = {"customer_id", *columns, *(["feature"] if self.activated_by else [])}
        return reads

    def people(self, tables: Tables) -> ir.Table:
        """customer, signup, origin (epoch days; a null origin: never reached)."""
        people = tables.customers.select("customer", "signup")
        if self.origin == "signup":
            return people.mutate(origin=people.signup)
        table, day, _ = SOURCE[self.origin]
        facts = tables.facts[table]
        if self.activated_by:
            facts = facts.filter(facts.feature.isin(self.activated_by))
        firsts = facts.group_by("customer").aggregate(first=facts[day].min())
        rows = people.left_join(firsts, "customer")
        # What was paid before signup counts from signup on.
        early = (rows["first"] < rows.signup).fill_null(False)
        return rows.select("customer", "signup", origin=early.ifelse(rows.signup, rows["first"]).cast("int32"))

    def unseen_origins(self, tables: Tables) -> tuple[Finding, ...]:
        """Of who signed up before the logs begin, the first payment or use may have been before them; features unheard of."""
        strange = never_occurring(
            tables, "usage", {"feature": self.activated_by} if self.activated_by else {}, self.kind
        )
        if self.origin == "signup" or tables.from_day is None:
            return strange
        rows = self.people(tables)
        late = rows.filter(rows.origin.notnull(), enters_late(tables, rows.signup))
        n = tables.engine.count(late)
        if not n:
            return strange
        message = (
            f"{n:,} customers signed up before observed.from: if their {self.clock_origin.replace('_', ' ')} was before the "
            "logs begin, their tenure is counted from a later one. Filter them, or count from signup."
        )
        return (*strange, Finding("origin-unseen", "warning", self.kind, message, f"late={n}"))

    def never(self, rows: ir.Table) -> ir.StringValue:
        """Why a customer cannot be used: no origin; null for the others."""
        return rows.origin.isnull().ifelse(NEVER.get(self.origin, NOTHING_TO_LEAVE), ibis.null("string"))


def on_clock(
    rows: ir.Table, *, begins: ir.Value, ends: ir.Value, aside: ir.Value, reset: bool = False, **columns: ir.Value
) -> ir.Table:
    """The outcome of spells whose `begins` and `ends` are epoch days; `rows` has customer, spell and origin.

    With `reset` a return (spell 1, 2, ...) has a clock of its own, which starts when it begins.
    """
    origin = rows.origin
    if reset:
        origin = (rows.spell > 0).fill_null(False).ifelse(begins, origin)
    return outcome(
        rows,
        spell=rows.spell.fill_null(0),
        origin=origin,
        begins=(begins < origin).ifelse(0, begins - origin),
        ends=ends - origin,
        aside=aside,
        **columns,
    )
