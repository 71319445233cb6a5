"""Spells: each customer's time at risk under one definition, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir
import pandas as pd

from survival.churn.definition import NOTHING_TO_LEAVE, Definition, enters_late
from survival.errors import ConservationError, DataError
from survival.findings import Finding

if TYPE_CHECKING:
    from survival.data import Tables

LEFT_FIRST_DAY = "left on the first day"
LEFT_BEFORE_ENTRY = "left before entry"
BEGAN_LAST_DAY = "began on the last day"
MUCH_SET_ASIDE = 0.05  # share of customers with nothing to leave that the reader must hear of


@dataclass(frozen=True, eq=False)
class Spells:
    """One row per (customer, spell), every customer included: customers = at risk + set aside by reason.

    `table` holds customer, spell, origin (epoch day or null), entry and exit (tenure, days; null with nothing to
    leave), churned, cause (null unless churned), aside (why there is no day at risk; null: at risk in (entry, exit]).
    `counts` has one row per reason: aside (null: at risk), customers, spells, churns, person_days. A customer counts
    once: at risk if any spell is, else under the reason of the first spell.
    """

    tables: Tables
    definition: Definition
    table: ir.Table
    warm_up: int
    counts: pd.DataFrame
    findings: tuple[Finding, ...]

    @property
    def at_risk(self) -> ir.Table:
        """The spells with at least one day at risk."""
        return self.table.filter(self.table.aside.isnull())  # noqa: PD003

    @property
    def customers(self) -> int:
        """Customers at risk."""
        return self._total("customers")

    @property
    def count(self) -> int:
        """Spells at risk."""
        return self._total("spells")

    @property
    def churns(self) -> int:
        """Churns among those at risk."""
        return self._total("churns")

    @property
    def person_days(self) -> int:
        """Days at risk, of all together."""
        return self._total("person_days")

    def _total(self, column: str) -> int:
        return int(self.counts.loc[self.counts["aside"].isna(), column].sum())


def spells(tables: Tables, definition: Definition, *, warm_up: int | None = None) -> Spells:
    """The spells of all customers under `definition`, materialised bucket by bucket in the scratch database.

    `warm_up` in days (default: `observed.warm_up`; `auto` is then the definition's own look-back, and a caller who
    has indicators passes `warm_up_days(...)`). Raises DataError when nobody is at risk.
    """
    days = _warm_up(tables, definition, warm_up)
    if tables.from_day is not None and tables.until_day is not None and tables.from_day > tables.until_day:
        raise DataError("observed: from lies after until; nothing can be observed")
    definition.check(tables)
    name = tables.engine.fresh("spells")
    table = tables.filled(name, lambda part: _placed(part, definition.outcomes(part), days))
    _conserve(tables, table)
    counts = _counts(tables, table)
    _somebody(definition, counts)
    findings = (*definition.findings(tables), *_much_set_aside(tables, definition, counts))
    return Spells(tables, definition, table, days, counts, findings)


def _warm_up(tables: Tables, definition: Definition, warm_up: int | None) -> int:
    if warm_up is not None:
        if warm_up < 0:
            raise DataError(f"warm_up: a whole number of days, 0 or more; got {warm_up}")
        return warm_up
    said = tables.observed.warm_up
    return definition.look_back if said == "auto" else int(said)


def _placed(tables: Tables, outcomes: ir.Table, warm_up: int) -> ir.Table:
    """Entry, exit and the reason for having no day at risk."""
    people = tables.customers.select("customer", "signup")
    rows = outcomes.join(people, "customer")
    waits = enters_late(tables, rows.signup)
    since = ((tables.from_day or 0) + warm_up - rows.origin).fill_null(0)
    late = waits & (since > rows.begins)
    entry = late.ifelse(since, rows.begins)
    nobody = rows.aside.notnull()  # noqa: PD004
    before = late | (rows.ends < entry)
    reason = rows.left.ifelse(before.ifelse(LEFT_BEFORE_ENTRY, LEFT_FIRST_DAY), BEGAN_LAST_DAY)
    aside = nobody.ifelse(rows.aside, (rows.ends <= entry).ifelse(reason, ibis.null("string")))
    none = ibis.null("int32")
    return rows.select(
        "customer",
        "spell",
        "origin",
        entry=nobody.ifelse(none, entry.cast("int32")),
        exit=nobody.ifelse(none, rows.ends.cast("int32")),
        churned=rows.churned & ~nobody,
        cause=nobody.ifelse(ibis.null("string"), rows.cause),
        aside=aside,
    )


def _counts(tables: Tables, table: ir.Table) -> pd.DataFrame:
    at_risk_first = ibis.window(group_by="customer", order_by=[table.aside.notnull(), table.spell])  # noqa: PD004
    rows = table.mutate(counted=ibis.row_number().over(at_risk_first) == 0)
    grouped = rows.group_by("aside").aggregate(
        customers=rows.counted.cast("int32").sum(),
        spells=rows.count(),
        churns=rows.churned.cast("int32").sum(),
        person_days=rows.aside.isnull().ifelse(rows.exit - rows.entry, 0).sum(),  # noqa: PD003
    )
    frame = tables.engine.arrow(grouped).to_pandas()
    whole = ["customers", "spells", "churns", "person_days"]
    return frame.astype(dict.fromkeys(whole, "int64")).sort_values("aside", na_position="first", ignore_index=True)


def _conserve(tables: Tables, table: ir.Table) -> None:
    """Every customer is at risk or set aside, and no spell is there twice."""
    per_spell = table.group_by("customer", "spell").aggregate(rows=table.count())
    sums = per_spell.aggregate(customers=per_spell.customer.nunique(), twice=(per_spell.rows > 1).sum())
    customers, twice = tables.engine.rows(sums)[0].values()
    if customers != tables.n_customers or twice:
        raise ConservationError(
            f"spells: {tables.n_customers} customers were read, {customers} have a spell, {twice or 0} spells are double"
        )


def _somebody(definition: Definition, counts: pd.DataFrame) -> None:
    if counts["aside"].isna().any():
        return
    reasons = ", ".join(f"{row.aside}: {row.customers:,}" for row in counts.itertuples())
    raise DataError(
        f"churn definition {definition.kind!r}: nobody is at risk ({reasons or 'no customers'}). "
        "Look at observed.from, until and warm_up, and at the dates of the tables"
    )


def _much_set_aside(tables: Tables, definition: Definition, counts: pd.DataFrame) -> tuple[Finding, ...]:
    n = int(counts.loc[counts["aside"] == NOTHING_TO_LEAVE, "customers"].sum())
    if n <= MUCH_SET_ASIDE * tables.n_customers:
        return ()
    figure = f"share={n / tables.n_customers:.3f}"
    if definition.parts:
        message = (
            f"{n:,} of {tables.n_customers:,} customers have nothing to leave under one of {', '.join(definition.parts)}, and are "
            "therefore removed under all of them: the results speak for the others only. Leave out the part that does not "
            "concern everybody."
        )
        return (Finding("first-of-removes", "warning", definition.kind, message, figure),)
    message = (
        f"{n:,} of {tables.n_customers:,} customers have nothing to leave under this definition and are never at risk: "
        "the results speak for the others only."
    )
    return (Finding("nothing-to-leave", "note", definition.kind, message, figure),)
