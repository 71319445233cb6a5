"""Recorded: the customers table already says how long each customer stayed, and whether they left."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

import ibis
import ibis.expr.types as ir
from pydantic import Field, model_validator

from survival.churn.definition import Definition, Reads, outcome, register_definition
from survival.churn.where import FALSE, TRUE
from survival.errors import DataError

if TYPE_CHECKING:
    from survival.data import Tables

_EPOCH = dt.date(1970, 1, 1)
DAYS = {"day": 1.0, "week": 7.0, "month": 30.4375}
UNKNOWN_OUTCOME = "churned is unknown"
UNKNOWN_TENURE = "tenure is unknown"


@register_definition
class Recorded(Definition):
    """A customers table that holds a tenure (with its unit) or a churn date, and a churned column.

    Days are round(months x 30.4375), half to even as in R and Python. A tenure needs no signup date; where there is
    one, `observed` applies as it does everywhere.
    """

    kind: Literal["recorded"] = "recorded"
    tenure: str | None = Field(None, description="column of customers that holds the tenure; default: tenure")
    unit: Literal["day", "week", "month"] = Field("day", description="unit of the tenure")
    churned_on: str | None = Field(None, description="column of customers that holds the day of churn")
    churned: str | None = Field(
        None,
        description="column that says whether the customer left; default: churned, or whether there is a churned_on",
    )

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or values.get("churned_on") is not None:
            return values
        named = {"tenure": "tenure", "churned": "churned"}
        return {**named, **{k: v for k, v in values.items() if v is not None or k not in named}}

    @model_validator(mode="after")
    def _one_clock(self) -> Self:
        if self.tenure is not None and self.churned_on is not None:
            raise ValueError("give either tenure (with unit) or churned_on")
        return self

    def reads(self) -> Reads:
        """The columns named; signed_up_on for a churn date only."""
        named = {c for c in (self.tenure, self.churned_on, self.churned) if c}
        return {"customers": {"customer_id", *named, *([] if self.tenure else ["signed_up_on"])}}

    def outcomes(self, tables: Tables) -> ir.Table:
        """Every customer's recorded end; one after `until` has not happened yet."""
        rows = self._rows(tables)
        horizon = ibis.null("int32") if tables.until_day is None else tables.until_day - rows.signup
        beyond = (rows.ends > horizon).fill_null(False) if tables.until_day is not None else ibis.literal(False)
        unknown = rows.churned.isnull().ifelse(
            UNKNOWN_OUTCOME, rows.ends.isnull().ifelse(UNKNOWN_TENURE, ibis.null("string"))
        )
        left = rows.churned.fill_null(False) & ~beyond
        return outcome(
            rows,
            origin=rows.signup,
            begins=0,
            ends=beyond.ifelse(horizon, rows.ends),
            left=left,
            churned=left,
            aside=unknown,
        )

    def _rows(self, tables: Tables) -> ir.Table:
        """customer, signup, ends (days), churned (null: unknown)."""
        people = tables.customers
        if self.tenure is not None:
            ends = in_days(people[self.tenure], DAYS[self.unit])
            return people.select("customer", "signup", ends=ends, churned=_truth(people[self.churned]))
        day = people[self.churned_on]
        churned = day.notnull() if self.churned is None else _truth(people[self.churned])
        stopped = day.fill_null(tables.until_day) if tables.until_day is not None else day
        return people.select("customer", "signup", ends=(stopped - people.signup).cast("int32"), churned=churned)

    def check(self, tables: Tables) -> None:
        """Raises DataError for what would lose a churn: text for a number, a negative tenure, no truth value."""
        people = tables.customers
        for column in (self.tenure, self.churned_on, self.churned):
            if column is not None and column not in people.columns:
                raise DataError(f"recorded: customers has no column {column!r}; it has {', '.join(people.columns)}")
        if self.tenure is not None and not people[self.tenure].type().is_numeric():
            self._refuse(tables, people[self.tenure].try_cast("float64").isnull(), self.tenure, "is no number of days")
        if self.churned_on is not None and not people[self.churned_on].type().is_integer():
            raise DataError(f"recorded: churned_on names {self.churned_on!r}, which holds no dates")
        if self.churned is not None and not people[self.churned].type().is_boolean():
            said = people[self.churned]
            self._refuse(
                tables, said.notnull() & _truth(said).isnull(), self.churned, "is not yes or no (true/false, 1/0)"
            )
        rows = self._rows(tables)
        first = self.tenure or self.churned_on or ""
        self._refuse(
            tables, None, first, "gives a churn before signup, or a negative tenure", rows.filter(rows.ends < 0)
        )
        if self.churned_on is not None and self.churned is not None:
            undated = _truth(people[self.churned]).fill_null(False) & people[self.churned_on].isnull()
            self._refuse(tables, undated, self.churned_on, "is empty for a customer who left")

    def _refuse(
        self, tables: Tables, bad: ir.BooleanValue | None, column: str, what: str, rows: ir.Table | None = None
    ) -> None:
        people = tables.customers
        found = people.filter(bad) if rows is None else people.semi_join(rows, "customer")
        shown = tables.engine.rows(found.select("customer_id", column).order_by("customer_id").limit(5))
        if shown:
            dated = column == self.churned_on
            examples = ", ".join(f"{r['customer_id']}: {_said(r[column], dated)}" for r in shown)
            raise DataError(f"customers: {column} {what}, for {examples}. Mend the file, or filter it with `where`")


def _said(value: Any, dated: bool) -> str:
    """A value as the file has it: a day is a date."""
    if value is None:
        return "nothing"
    return (_EPOCH + dt.timedelta(days=int(value))).isoformat() if dated else repr(value)


def in_days(tenure: ir.NumericValue, days: float) -> ir.IntegerValue:
    """Whole days, half to even; engines round halves away from zero, which R and Python do not."""
    exact = tenure.cast("float64") * days
    up = (exact + 0.5).floor()
    tie_to_odd = (up == exact + 0.5) & (up % 2 == 1)
    return tie_to_odd.ifelse(up - 1, up).cast("int32")


def _truth(column: ir.Column) -> ir.BooleanValue:
    """true/false, t/f, yes/no, 1/0 in any case; anything else is null."""
    if column.type().is_boolean():
        return column
    if column.type().is_numeric():
        return (column == 1).ifelse(True, (column == 0).ifelse(False, ibis.null("boolean")))
    text = column.lower().strip()
    yes, no = text.isin(sorted(TRUE)), text.isin(sorted(FALSE))
    return yes.ifelse(True, no.ifelse(False, ibis.null("boolean")))
