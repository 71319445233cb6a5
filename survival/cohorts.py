"""Cohorts: groups of customers that are fixed at signup, by period, by an attribute, or by cuts of a number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Self

import ibis
import ibis.expr.types as ir
from pydantic import Field, model_validator

from survival.errors import DataError
from survival.spec import Spec, Written

if TYPE_CHECKING:
    from survival.data import Tables

COHORT = "cohort"
EVERYBODY = "all"
MISSING = "(missing)"
PERIODS = ("signup_month", "signup_quarter", "signup_year")


class CohortSpec(Spec):
    """What customers are grouped by: a signup period, a column of customers, or a number cut at `cuts`."""

    by: str = Field(description="signup_month, signup_quarter, signup_year, or a column of customers")
    cuts: tuple[Written, ...] = Field((), description="ascending; [10, 50] gives <10, 10 to <50, >=50")

    @model_validator(mode="after")
    def _sensible_cuts(self) -> Self:
        if self.cuts and self.by in PERIODS:
            raise ValueError(f"{self.by} takes no cuts")
        if any(not cut.is_finite() for cut in self.cuts):
            raise ValueError("cuts are finite numbers")
        if any(a >= b for a, b in pairwise(self.cuts)):
            raise ValueError(f"cuts ascend; got {', '.join(map(_written, self.cuts))}")
        return self


def with_cohort(tables: Tables, spec: CohortSpec | None) -> Tables:
    """The same tables, their customers with the text columns `cohort` (None: `all`) and the three of `PERIODS`.

    Raises DataError for a column that customers lack, for cuts of a column that is no number, and when customers have
    a column of one of these names already.
    """
    people = tables.customers
    for name in (COHORT, *PERIODS):
        if name in people.columns:
            raise DataError(f"customers: the column {name!r} has the name of a cohort; map it to another name")
    periods = {name: _period(people.signup, name) for name in PERIODS}
    if spec is None:
        cohort: ir.StringValue = ibis.literal(EVERYBODY)
    elif spec.by in PERIODS:
        cohort = periods[spec.by]
    else:
        cohort = _of_attribute(people, spec)
    return replace(tables, customers=people.mutate(**{COHORT: cohort}, **periods))


def _period(signup: ir.IntegerValue, name: str) -> ir.StringValue:
    date = ibis.date(1970, 1, 1) + signup.as_interval("D")
    year = date.year().cast("string")
    label = {
        "signup_month": year + "-" + date.month().cast("string").lpad(2, "0"),
        "signup_quarter": year + "-Q" + date.quarter().cast("string"),
        "signup_year": year,
    }[name]
    return label.fill_null(MISSING)


def _of_attribute(people: ir.Table, spec: CohortSpec) -> ir.StringValue:
    if spec.by not in people.columns:
        known = ", ".join([*PERIODS, *(c for c in people.columns if c not in ("customer", "customer_id", "signup"))])
        raise DataError(f"cohorts: customers has no column {spec.by!r}; by can be one of {known}")
    column = people[spec.by]
    if spec.cuts:
        if not column.type().is_numeric():
            raise DataError(f"cohorts: cuts need numbers, and customers.{spec.by} holds text in some rows")
        return _between(column.cast("float64"), spec.cuts)
    if not column.type().is_numeric():
        return column.cast("string").fill_null(MISSING)
    # 10.0 is written 10: a whole number in a column that is read as float.
    whole = (column == column.floor()) & (column.abs() < 1e15)
    text = whole.ifelse(whole.ifelse(column, 0).cast("int64").cast("string"), column.cast("string"))
    return text.fill_null(MISSING)


def _between(value: ir.FloatingValue, cuts: tuple[Decimal, ...]) -> ir.StringValue:
    labels = cut_labels(cuts)
    result: ir.StringValue = ibis.literal(labels[-1])
    for cut, label in reversed(list(zip(cuts, labels))):
        result = (value < float(cut)).ifelse(label, result)
    return value.isnull().ifelse(MISSING, result)


def cut_labels(cuts: tuple[Decimal, ...]) -> list[str]:
    """`<10`, `10 to <50`, `>=50`, in their order."""
    text = [_written(cut) for cut in cuts]
    between = [f"{low} to <{high}" for low, high in pairwise(text)]
    return [f"<{text[0]}", *between, f">={text[-1]}"]


def _written(cut: Decimal) -> str:
    """As in the config, 10 and 0.5; never 1E+1."""
    return f"{cut.normalize():f}"


def cohort_order(spec: CohortSpec | None, labels: Iterable[str]) -> list[str]:
    """The labels that occur, in order: cuts from low to high, numbers by value, others as sorted; missing last."""
    there = set(labels)
    rest = sorted(there - {MISSING})
    if spec is not None and spec.cuts:
        rest = [label for label in cut_labels(spec.cuts) if label in there]
    else:
        values = [_number(label) for label in rest]
        known = [v for v in values if v is not None]
        if rest and len(known) == len(rest):
            rest = [label for _, label in sorted(zip(known, rest))]
    return [*rest, *([MISSING] if MISSING in there else [])]


def _number(label: str) -> float | None:
    try:
        return float(label)
    except ValueError:
        return None


def is_ordered(spec: CohortSpec | None) -> bool:
    """Whether the cohorts have an order of their own, as periods and cuts do."""
    return spec is not None and (spec.by in PERIODS or bool(spec.cuts))
