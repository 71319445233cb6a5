"""Trials: who began with one, as a column of customers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import ibis

from survival.errors import DataError

if TYPE_CHECKING:
    from survival.data import Tables

TRIAL = "trial"


def with_trial(tables: Tables) -> Tables:
    """The same tables, their customers with the text column `trial`: whether the first subscription is one.

    yes or no; `unknown` where is_trial is null, and without a subscription. It is known when the customer begins.
    Raises DataError when customers have such a column already.
    """
    people = tables.customers
    if TRIAL in people.columns:
        raise DataError(
            f"customers: the column {TRIAL!r} has the name that `trials: stratum` gives; map it to another name"
        )
    rows = tables.facts["subscriptions"]
    order = ibis.window(group_by="customer", order_by=["started", "row"])
    rows = rows.mutate(place=ibis.row_number().over(order))
    firsts = rows.filter(rows.place == 0).select("customer", "is_trial")
    joined = people.left_join(firsts, "customer")
    said = joined.is_trial.ifelse("yes", "no")
    value = joined.is_trial.isnull().ifelse("unknown", said)
    return replace(tables, customers=joined.select(*people.columns, **{TRIAL: value}))
