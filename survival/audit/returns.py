"""Customers who come back after they churned."""

from __future__ import annotations

from collections.abc import Collection

from survival.churn.spells import Spells
from survival.data.contract import CONTRACT
from survival.findings import Finding

_MANY = 0.05  # of those who churned


def returns(spells: Spells, read: Collection[str]) -> tuple[Finding, ...]:
    """Churned customers with facts after their churn, in the tables that the definition reads, where only first spells count."""
    if getattr(spells.definition, "spells", "first") != "first" or not spells.churns:
        return ()
    churned = spells.at_risk.filter(spells.at_risk.churned, spells.at_risk.origin.notnull())
    gone = churned.select("customer", day=churned.origin + churned.exit)
    for name in sorted(read):
        if name not in spells.tables.facts:
            continue
        facts = spells.tables.facts[name]
        last = facts.group_by("customer").aggregate(last=facts[CONTRACT[name].first].max())
        back = gone.join(last, "customer")
        n = spells.tables.engine.count(back.filter(back.last > back.day))
        if n > _MANY * spells.churns:
            return (_finding(spells, name, n),)
    return ()


def unclustered(spells: Spells, robust: bool | None) -> tuple[Finding, ...]:
    """A model-based variance (`robust: false`) although customers have several spells, which are not independent."""
    if robust is not False or spells.count == spells.customers:
        return ()
    several = spells.count - spells.customers
    message = (
        f"{spells.customers:,} customers have {spells.count:,} spells, and with `robust: false` each counts as a customer of its own: "
        "who left once leaves more easily again, so standard errors and p values come out too small. Leave `robust` out"
    )
    return (Finding("unclustered-returns", "warning", spells.definition.kind, message, f"later_spells={several}"),)


def _finding(spells: Spells, table: str, n: int) -> Finding:
    way = (
        "`spells: all` follows them too"
        if "spells" in type(spells.definition).model_fields
        else "say so with the results"
    )
    message = (
        f"{n:,} of {spells.churns:,} churned customers come back later ({table}): only the time until the first churn counts, and "
        f"they are not counted as new customers either; {way}"
    )
    return Finding("returns", "note", spells.definition.kind, message, f"{n:,} of {spells.churns:,} churned customers")
