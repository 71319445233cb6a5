"""Spells as a frame: one row a stay of a customer, with the terms it began on. For estimates that add up by customer."""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir
import pandas as pd

from survival.churn.calendar import exact_sum
from survival.churn.spells import Spells

MRR, BILLING = "mrr", "billing_period_months"


def stays(spells: Spells, attributes: Sequence[str] = ()) -> pd.DataFrame:
    """The spells at risk: customer, spell, since, start, stop, event, then `attributes` of customers, mrr, billing_period_months.

    start and stop are tenures (days) on the clock of the spell; `since` the days from the origin of the customer's first
    spell to that of this one (0 where origins are not known). mrr: the sum over the subscriptions running at the close of the
    day of entry, missing where one is unknown or none runs; billing_period_months: the longest of them. Both are columns only
    where subscriptions have them. Rows are sorted by customer and spell.
    """
    rows, tables = spells.at_risk, spells.tables
    first = ibis.window(group_by="customer")
    since = (rows.origin - rows.origin.min().over(first)).fill_null(0)
    frame = rows.select(
        "customer", "spell", "origin", since=since, start="entry", stop="exit", event=rows.churned.cast("int8")
    )
    if attributes:
        frame = frame.join(tables.customers.select("customer", *attributes), "customer")
    begun = _terms(spells)
    if begun is not None:
        frame = frame.left_join(begun, ["customer", "spell"]).drop("customer_right", "spell_right")
    found = tables.engine.arrow(frame.drop("origin")).to_pandas()
    return found.sort_values(["customer", "spell"], ignore_index=True)


def _terms(spells: Spells) -> ir.Table | None:
    """customer, spell and the terms of the subscriptions running when the spell is first observed."""
    bought = spells.tables.facts.get("subscriptions")
    known = [] if bought is None else [name for name in (MRR, BILLING) if name in bought.columns]
    if bought is None or not known:
        return None
    rows = spells.at_risk.select("customer", "spell", day=spells.at_risk.origin + spells.at_risk.entry)
    both = rows.join(bought.select("customer", "started", "ended", *known), "customer")
    running = both.filter((both.started <= both.day) & (both.ended.isnull() | (both.ended > both.day)))  # noqa: PD003
    terms: dict[str, ir.Value] = {}
    if MRR in known:
        paid = exact_sum(running.mrr)
        terms[MRR] = running.mrr.isnull().any().ifelse(ibis.null("float64"), paid)  # noqa: PD003
    if BILLING in known:
        terms[BILLING] = running[BILLING].max()
    return running.group_by("customer", "spell").aggregate(**terms)
