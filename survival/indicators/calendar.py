"""Calendar periods as a covariate: months, quarters, years, or from dates with a name, such as a price rise.

Episodes are cut at the borders of the periods. A day at risk belongs to the period of its own date: churn on 1 March is
churn in March. That looks nothing ahead, since the date of the next day is known at the close of a day; so the borders
wait for no mark, and a lag does not move them.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import ibis
import ibis.expr.types as ir
from pydantic import Field, field_validator, model_validator

from survival.churn.definition import Reads
from survival.errors import DataError
from survival.indicators.deltas import Channel, delta_rows
from survival.indicators.indicator import Indicator, Sums
from survival.indicators.threshold import Level
from survival.spec import Spec

if TYPE_CHECKING:
    from survival.data import Tables

CALENDAR = "calendar"
BEFORE = "(before)"
_EPOCH = dt.date(1970, 1, 1)
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


class CalendarSpec(Spec):
    """`by` month, quarter or year, or `cuts`: what begins on which date."""

    by: Literal["month", "quarter", "year"] | None = None
    cuts: dict[str, dt.date] = Field(
        {}, description="name: the first day of the period, such as price_rise: 2024-03-01"
    )

    @field_validator("cuts")
    @classmethod
    def _in_order(cls, cuts: dict[str, dt.date]) -> dict[str, dt.date]:
        return dict(sorted(cuts.items(), key=lambda cut: cut[1]))

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.by is None) == (not self.cuts):
            raise ValueError("either by or cuts")
        for (a, first), (b, second) in pairwise(self.cuts.items()):
            if first == second:
                raise ValueError(f"{a} and {b} begin on the same day")
        if BEFORE in self.cuts:
            raise ValueError(f"{BEFORE!r} is the name of the time before the first cut")
        return self


@dataclass(frozen=True)
class Periods(Channel):
    """The number of the period: 0 before the first of `borders` (epoch days), 1 from it on, ..."""

    snaps: ClassVar[bool] = False
    borders: tuple[int, ...]
    names: tuple[str, ...]

    def labels(self, tables: Tables) -> tuple[str, ...] | None:
        """The names of the periods."""
        return self.names

    def deltas(self, tables: Tables) -> ir.Table:
        """One up at the close of the day before each period."""
        people = tables.customers.select("customer")
        if not self.borders:
            return delta_rows(people, ibis.literal(0, "int32"), 0.0)
        rows = people.mutate(day=ibis.array([day - 1 for day in self.borders]).unnest())
        return delta_rows(rows, rows.day, 1.0)


class CalendarPeriod(Indicator):
    """The calendar period of a day at risk, as text; made by `calendar_period`, and no kind of the config's indicators."""

    kind: Literal["calendar"] = "calendar"
    first: str = Field(description="what the time before the first border is called")
    periods: tuple[tuple[str, int], ...] = Field((), description="name and first day (epoch day) of the later periods")

    def with_lag(self, lag: int) -> Self:
        """The same: the calendar is known beforehand."""
        return self

    def reads(self) -> Reads:
        """The signup, on whose clock the borders are placed."""
        return {"customers": {"customer_id", "signed_up_on"}}

    def channels(self) -> tuple[Channel, ...]:
        """The number of the period."""
        return (Periods(0, tuple(day for _, day in self.periods), tuple(name for name, _ in self.periods)),)

    def level(self, sums: Sums) -> Level:
        """The number of the period."""
        return sums(self.channels()[0])

    def value(self, sums: Sums) -> ir.Value:
        """The name of the period."""
        return self.level(sums).text(self.first)


def calendar_period(tables: Tables, spec: CalendarSpec) -> CalendarPeriod:
    """The covariate `calendar` of these tables: 2024-03, 2024-Q1, 2024, or `(before)` and the names of the cuts.

    Raises DataError when customers have no signup date or the data no last day.
    """
    if spec.cuts:
        return CalendarPeriod(first=BEFORE, periods=tuple((n, (day - _EPOCH).days) for n, day in spec.cuts.items()))
    signup = tables.customers.signup
    since = tables.engine.rows(tables.customers.aggregate(since=signup.min()))[0]["since"]
    if since is None or tables.until_day is None:
        raise DataError("calendar: needs signed_up_on and observed.until, between which the periods lie")
    assert spec.by is not None  # by or cuts
    step = _MONTHS[spec.by]
    begin, end = (_EPOCH + dt.timedelta(days=int(day)) for day in (since, tables.until_day))
    months = range((begin.year * 12 + begin.month - 1) // step * step, end.year * 12 + end.month, step)
    periods = [(_name(month, spec.by), (dt.date(month // 12, month % 12 + 1, 1) - _EPOCH).days) for month in months]
    return CalendarPeriod(first=periods[0][0], periods=tuple(periods[1:]))


def _name(month: int, by: str) -> str:
    """As cohorts are called: 2024-03, 2024-Q1, 2024."""
    year = str(month // 12)
    return {"month": f"{year}-{month % 12 + 1:02d}", "quarter": f"{year}-Q{month % 12 // 3 + 1}", "year": year}[by]
