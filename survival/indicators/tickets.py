"""Support over time: tickets that come again, take long, or do not come at all."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR
from typing import TYPE_CHECKING, Literal

import ibis
import ibis.expr.types as ir
from pydantic import Field

from survival.churn.definition import Reads
from survival.churn.where import Where
from survival.indicators.deltas import Age, Channel, Conditions, Dated, conditions, delta_rows, meeting
from survival.indicators.indicator import Indicator, Sums, Windowed, register_indicator
from survival.indicators.threshold import Level

if TYPE_CHECKING:
    from survival.data import Tables


NEVER = 1_000_000  # days: longer than any history, and a day so much later is still an int32


@dataclass(frozen=True)
class Opened(Dated):
    """Tickets opened in the window."""

    def dated(self, tables: Tables) -> ir.Table:
        """One a ticket."""
        rows = meeting(tables, "tickets", self.where)
        return delta_rows(rows, rows.opened, 1.0)


@dataclass(frozen=True)
class OpenedInOneCategory(Dated):
    """Tickets opened in the window in the category that has most of them; a ticket without category is in none."""

    def deltas(self, tables: Tables) -> ir.Table:
        """The maximum as a sum: how many k there are such that some category has k tickets or more."""
        rows = meeting(tables, "tickets", self.where)
        rows = rows.join(tables.customers.select("customer", "signup"), "customer")
        rows = rows.filter(rows.category.notnull() & (rows.opened >= rows.signup))
        rows = rows.select("customer", "category", "opened")
        both = rows.select("customer", "category", day=rows.opened, by=ibis.literal(1.0)).union(
            rows.select("customer", "category", day=(rows.opened + self.window).cast("int32"), by=ibis.literal(-1.0))
        )
        steps = _levels(both, ["customer", "category"])
        low, high = steps.before.cast("int64"), steps.after.cast("int64")
        rises = high > low
        k = ibis.range(rises.ifelse(low, high), rises.ifelse(high, low), 1).unnest()
        crossed = steps.select("customer", "day", k=k, by=rises.ifelse(1.0, -1.0))
        some = _levels(crossed, ["customer", "k"])
        some = some.mutate(amount=(some.after > 0).cast("float64") - (some.before > 0).cast("float64"))
        return delta_rows(some, some.day, some.amount)


def _levels(changes: ir.Table, key: list[str]) -> ir.Table:
    """Days on which the running sum of `by` changes: key, day, before, after (whole numbers, as float64)."""
    daily = changes.group_by(*key, "day").aggregate(by=changes.by.sum())
    daily = daily.filter(daily.by != 0)
    so_far = ibis.window(group_by=key, order_by="day", preceding=None, following=0)
    daily = daily.mutate(after=daily.by.sum().over(so_far))
    return daily.mutate(before=daily.after - daily.by)


@dataclass(frozen=True)
class Resolved(Dated):
    """Of the tickets resolved in the window: how many, or, with `days`, the days that they took. True dates."""

    days: bool

    def dated(self, tables: Tables) -> ir.Table:
        """On the day of resolution."""
        rows = meeting(tables, "tickets", self.where)
        rows = rows.filter(rows.resolved.notnull())
        took = (rows.resolved - rows.opened).cast("float64") if self.days else 1.0
        return delta_rows(rows, rows.resolved, took)


@dataclass(frozen=True)
class LastOpened(Channel):
    """The tenure at which the last ticket was opened; 0 (signup) before the first."""

    where: Conditions

    def deltas(self, tables: Tables) -> ir.Table:
        """The days since the ticket before, or signup."""
        rows = _openings(tables, self.where)
        before = rows.day.lag().over(ibis.window(group_by="customer", order_by="day"))
        rows = rows.mutate(amount=(rows.day - before.fill_null(rows.day)).cast("float64"))
        return delta_rows(rows, rows.day, rows.amount)


@dataclass(frozen=True)
class Quiet(Channel):
    """1 from `days` days after a ticket, or signup, until the next ticket."""

    days: int
    where: Conditions

    def deltas(self, tables: Tables) -> ir.Table:
        """Up when the days have passed without a ticket, down on the day of the next."""
        rows = _openings(tables, self.where)
        rows = rows.mutate(after=rows.day.lead().over(ibis.window(group_by="customer", order_by="day")))
        rows = rows.filter(rows.after.isnull() | (rows.after > rows.day + self.days))
        ended = rows.filter(rows.after.notnull())
        return delta_rows(rows, rows.day + self.days, 1.0).union(delta_rows(ended, ended.after, -1.0))


def _openings(tables: Tables, where: Conditions) -> ir.Table:
    """customer, day: signup, and the days on which tickets were opened since."""
    people = tables.customers.select("customer", "signup")
    rows = meeting(tables, "tickets", where).join(people, "customer")
    rows = rows.filter(rows.opened >= rows.signup).select("customer", day=rows.opened.cast("int32"))
    return rows.union(people.select("customer", day=people.signup.cast("int32"))).distinct()


class _OfTickets(Windowed):
    window: int = Field(30, ge=1, description="days, the day itself included")
    where: Where = Field({}, description="tickets that count: column -> accepted values")
    young: Literal["off", "literal"] = Field(
        "off", description="a below or at_most flag of a customer younger than the window: off, or as the numbers say"
    )

    @property
    def days_read(self) -> int:
        """The window."""
        return self.window


@register_indicator
class RepeatTickets(_OfTickets):
    """Tickets opened in the last `window` days; `per: category`: of the category with most. Not those before signup."""

    kind: Literal["repeat_tickets"] = "repeat_tickets"
    per: Literal["category"] | None = Field(None, description="category: the largest category; default: all together")

    def reads(self) -> Reads:
        """Tickets with the day of opening."""
        needed = {"category"} if self.per else set()
        return {
            "customers": {"customer_id", "signed_up_on"},
            "tickets": {"customer_id", "opened_on", "resolved_on", *needed, *self.where},
        }

    def measured(self) -> tuple[Channel, ...]:
        """Tickets opened."""
        kind = OpenedInOneCategory if self.per else Opened
        return (kind(self.lag, self.window, conditions(self.where)),)

    def level(self, sums: Sums) -> Level:
        """Tickets opened."""
        return sums(self.measured()[0])


@register_indicator
class SlowResolution(_OfTickets):
    """Mean days from opening to resolution of the tickets resolved in the last `window` days; without one undefined."""

    kind: Literal["slow_resolution"] = "slow_resolution"

    def reads(self) -> Reads:
        """Tickets with both dates."""
        return {
            "customers": {"customer_id", "signed_up_on"},
            "tickets": {"customer_id", "opened_on", "resolved_on", *self.where},
        }

    def measured(self) -> tuple[Channel, ...]:
        """Days to resolve, and tickets resolved."""
        where = conditions(self.where)
        return (Resolved(self.lag, self.window, where, days=True), Resolved(self.lag, self.window, where, days=False))

    def level(self, sums: Sums) -> Level:
        """The mean."""
        took, tickets = (sums(channel).numerator for channel in self.measured())
        return Level(numerator=took, denominator=tickets, defined=tickets > 0)


@register_indicator
class Silence(Indicator):
    """Days since the last ticket was opened, or since signup; a ticket from before signup does not count.

    As a level it changes at every mark, and makes an episode of each; as a flag it does not.
    """

    kind: Literal["silence"] = "silence"
    where: Where = Field({}, description="tickets that count: column -> accepted values")

    @property
    def is_bounded(self) -> bool:
        """The last ticket may be of any age."""
        return False

    def reads(self) -> Reads:
        """Tickets with the day of opening."""
        return {
            "customers": {"customer_id", "signed_up_on"},
            "tickets": {"customer_id", "opened_on", "resolved_on", *self.where},
        }

    def channels(self) -> tuple[Channel, ...]:
        """A flag needs the days on which it turns; the level needs the age and the last ticket."""
        where = conditions(self.where)
        if self.threshold is None:
            return Age(self.lag), LastOpened(self.lag, where)
        return () if self._turns_at < 1 else (Quiet(self.lag, self._turns_at, where),)

    @property
    def _turns_at(self) -> int:
        """The first whole number of days on the upper side of the threshold."""
        assert self.threshold is not None
        how, value = self.threshold
        upward = how in ("at_least", "below")
        days = int(value.to_integral_value(ROUND_CEILING if upward else ROUND_FLOOR)) + (0 if upward else 1)
        return min(days, NEVER)

    def level(self, sums: Sums) -> Level:
        """Age less the age at the last ticket."""
        age, last = (sums(channel).numerator for channel in self.channels())
        return Level(age - last)

    def value(self, sums: Sums) -> ir.Value:
        """The days, or whether there are enough of them."""
        if self.threshold is None:
            return super().value(sums)
        upper = self.threshold[0] in ("at_least", "above")
        if self._turns_at < 1:  # silence is never negative
            return ibis.literal(upper)
        quiet = sums(self.channels()[0]).numerator > 0
        return quiet if upper else ~quiet
