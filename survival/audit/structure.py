"""Whether spells are what spells must be: dated forwards, not overlapping, one end each."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from survival.churn.spells import Spells
from survival.findings import Finding

_SHOWN = 5


def structure(spells: Spells) -> tuple[Finding, ...]:
    """Spells of one customer that overlap in time, or that share a number: possible in a definition of one's own only."""
    rows = spells.at_risk
    twice = rows.group_by("customer", "spell").having(ibis._.count() > 1).aggregate(events=rows.churned.sum())
    doubles = _who(spells, twice)
    several = _who(spells, twice.filter(twice.events > 1))
    return (
        *_said(spells, "second-terminal-event", several, "have a spell that ends in churn twice"),
        *([] if several else _said(spells, "duplicate-spell", doubles, "have a spell that is there twice")),
        *_said(spells, "overlap", _who(spells, _overlapping(rows)), "have spells that overlap in time"),
    )


def _overlapping(rows: ir.Table) -> ir.Table:
    """Spells that begin before the one before them ended."""
    dated = rows.select("customer", begin=rows.origin + rows.entry, end=rows.origin + rows.exit)
    order = ibis.window(group_by="customer", order_by=["begin", "end"])
    dated = dated.mutate(before=dated.end.lag().over(order))
    return dated.filter(dated.begin < dated.before)


def _who(spells: Spells, rows: ir.Table) -> list[str]:
    people = spells.tables.customers.select("customer", "customer_id")
    names = people.semi_join(rows, "customer").select("customer_id").order_by("customer_id")
    return [row["customer_id"] for row in spells.tables.engine.rows(names.limit(_SHOWN + 1))]


def _said(spells: Spells, id_: str, who: list[str], what: str) -> list[Finding]:
    if not who:
        return []
    shown = ", ".join(who[:_SHOWN]) + (" and others" if len(who) > _SHOWN else "")
    message = (
        f"customers {shown} {what} under this definition, so they would be counted more than once. The definition's outcomes "
        "must give each (customer, spell) once, and a customer's spells one after the other"
    )
    return [Finding(id_, "error", spells.definition.kind, message, shown)]
