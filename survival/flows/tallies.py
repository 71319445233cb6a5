"""Customers at entry and customer days by the value of one variable: what a table of characteristics needs, counted by the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from survival.churn.spells import Spells
from survival.cohorts import MISSING
from survival.data import Tables
from survival.episodes import BuiltEpisodes
from survival.errors import ConservationError, DataError

if TYPE_CHECKING:
    import ibis.expr.types as ir

COLUMNS = ("group", "value", "customers", "days")


def tallies(source: Spells | BuiltEpisodes, variable: str, by: str | None = None) -> pd.DataFrame:
    """A row a value of `variable` and group: group, value, customers, days; sorted, an unknown value (NaN, None) last.

    customers: how many have the value at the entry of their first spell at risk, that is at the close of the day with which
    it begins (start of the first episode): nothing later is looked at. days: customer days at risk with the value, of all
    spells. `variable` is an indicator of the episodes or a column of customers, `by` a column of customers (None: one
    group, ''). One GROUP BY a bucket; as many rows come back as there are different values. Raises DataError for an unknown
    name, ConservationError if customers or days are not those of the source.
    """
    spells = source if isinstance(source, Spells) else source.spells
    tables = spells.tables
    changing = isinstance(source, BuiltEpisodes) and variable in source.indicators
    for name in ([] if changing else [variable]) + ([by] if by else []):
        if name not in tables.customers.columns:
            raise DataError(f"tallies: {name!r} is neither an indicator nor a column of customers")
    rows = _rows(source, variable if changing else None)
    name = tables.engine.fresh("tally")
    partial = tables.filled(
        name, lambda part: _counted(_named(part.mine(rows), part, None if changing else variable, by))
    )
    frame = tables.engine.arrow(_summed(partial)).to_pandas()
    tables.engine.drop(name)
    if frame["value"].dtype == bool or frame["value"].dropna().map(type).eq(bool).any():
        frame["value"] = frame["value"].astype("boolean")
    frame = frame if by else frame.assign(group="")
    _conserve(frame, source, spells)
    return frame.sort_values(["group", "value"], ignore_index=True)[list(COLUMNS)]


def _rows(source: Spells | BuiltEpisodes, indicator: str | None) -> ir.Table:
    """customer, days, whether the row is the customer's entry (0 or 1), and the indicator as `value`."""
    spells = source if isinstance(source, Spells) else source.spells
    if isinstance(source, Spells):
        rows = source.at_risk
        rows = rows.select("customer", "spell", began=1, days=rows.exit - rows.entry)
    else:
        rows = source.table
        value = {} if indicator is None else {"value": rows[indicator]}
        rows = rows.select("customer", "spell", began=rows.began, days=rows.stop - rows.start, **value)
    if spells.count == spells.customers:
        return rows.drop("spell")
    at_risk = spells.at_risk
    first = at_risk.group_by("customer").aggregate(first=at_risk.spell.min())
    rows = rows.join(first, "customer")
    return rows.mutate(began=rows.began * (rows.spell == rows.first).cast("int8")).drop("spell", "first")


def _named(rows: ir.Table, tables: Tables, attribute: str | None, by: str | None) -> ir.Table:
    """group (with `by`), value, began, days."""
    people = tables.customers
    of = {"value": people[attribute]} if attribute else {}
    groups = {"group": people[by].cast("string").fill_null(MISSING)} if by else {}
    if of or groups:
        rows = rows.join(people.select("customer", **of, **groups), "customer")
    value = rows["value"]
    if not (value.type().is_numeric() or value.type().is_boolean()):
        value = value.cast("string")
    return rows.select(*groups, value=value, began=rows.began.cast("int64"), days=rows.days.cast("int64"))


def _counted(rows: ir.Table) -> ir.Table:
    sums = {"customers": rows.began.sum().cast("float64"), "days": rows.days.sum().cast("float64")}
    return rows.group_by(_keys(rows)).aggregate(**sums)


def _summed(rows: ir.Table) -> ir.Table:
    return rows.group_by(_keys(rows)).aggregate(customers=rows.customers.sum(), days=rows.days.sum())


def _keys(rows: ir.Table) -> list[str]:
    return [name for name in ("group", "value") if name in rows.columns]


def _conserve(frame: pd.DataFrame, source: Spells | BuiltEpisodes, spells: Spells) -> None:
    for what, here, there in (
        ("customers", frame["customers"].sum(), spells.customers),
        ("customer days", frame["days"].sum(), source.person_days),
    ):
        if not np.isclose(here, there, rtol=0, atol=0.5):
            raise ConservationError(f"tallies: {here:g} {what}, the episodes have {there:g}")
