"""What a customer subscribes to: whether it renews itself, what it brings in, which plan it is.

These are states: with nothing running they hold their last level (else they would say who has left), and before
signup + lag they have their level of the signup day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import ibis
import ibis.expr.types as ir
from pydantic import Field, field_validator, model_validator

from survival.churn.definition import Reads
from survival.churn.where import Where
from survival.errors import DataError
from survival.indicators.deltas import Channel, Conditions, Unit, conditions, delta_rows, meeting
from survival.indicators.indicator import Indicator, Sums, register_indicator
from survival.indicators.quantities import whole_amount
from survival.indicators.threshold import Level

if TYPE_CHECKING:
    from survival.data import Tables

NO_PLAN = "(none)"


@dataclass(frozen=True)
class Running(Channel):
    """A state of the subscriptions that run at the close of a day: started <= d < ended, from signup on."""

    where: Conditions

    def spans(self, tables: Tables) -> ir.Table:
        """Subscriptions that run on a day at least: their columns, with `since` (not before signup) and signup."""
        rows = meeting(tables, "subscriptions", self.where)
        rows = rows.join(tables.customers.select("customer", "signup"), "customer")
        rows = rows.mutate(since=(rows.started < rows.signup).ifelse(rows.signup, rows.started))
        return rows.filter(rows.ended.isnull() | (rows.ended > rows.since))

    def held(self, states: ir.Table) -> ir.Table:
        """The deltas of `states` (customer, signup, day, level: one row a change day with something running)."""
        before = states.level.lag().over(ibis.window(group_by="customer", order_by="day")).fill_null(0.0)
        rows = states.mutate(amount=states.level - before)
        rows = rows.filter(rows.amount != 0)
        # The level of the signup day comes without lag.
        return delta_rows(rows, (rows.day == rows.signup).ifelse(rows.day - self.shift, rows.day), rows.amount)


@dataclass(frozen=True)
class Summed(Running):
    """A sum over the running subscriptions; held when nothing runs."""

    def summed(self, spans: ir.Table, unit: Unit) -> ir.FloatingValue:
        """What a subscription adds while it runs."""
        raise NotImplementedError

    def state(self, total: ir.FloatingColumn) -> ir.FloatingValue:
        """The level, from the sum."""
        return total

    def scaled(self, tables: Tables, unit: Unit) -> ir.Table:
        """Changes of the sum, on days at whose close something runs."""
        rows = self.spans(tables)
        rows = rows.select("customer", "signup", "since", "ended", value=self.summed(rows, unit))
        comes = rows.select("customer", "signup", day=rows.since, n=ibis.literal(1.0), value=rows.value)
        over = rows.filter(rows.ended.notnull())
        goes = over.select("customer", "signup", day=over.ended, n=ibis.literal(-1.0), value=-over.value)
        both = comes.union(goes)
        daily = both.group_by("customer", "signup", "day").aggregate(n=both.n.sum(), value=both.value.sum())
        so_far = ibis.window(group_by="customer", order_by="day", preceding=None, following=0)
        daily = daily.mutate(n=daily.n.sum().over(so_far), value=daily.value.sum().over(so_far))
        daily = daily.filter(daily.n > 0)
        return self.held(daily.select("customer", "signup", "day", level=self.state(daily.value)))


@dataclass(frozen=True)
class RunningMrr(Summed):
    """Monthly recurring revenue; unknown counts 0."""

    @property
    def amounts(self) -> tuple[str, str] | None:
        """Revenue may have decimals."""
        return "subscriptions", "mrr"

    def summed(self, spans: ir.Table, unit: Unit) -> ir.FloatingValue:
        """Its mrr."""
        return whole_amount(spans, "mrr", unit.decimals)


@dataclass(frozen=True)
class NoneRenews(Summed):
    """1 while each of the running subscriptions is known not to renew itself."""

    def summed(self, spans: ir.Table, unit: Unit) -> ir.FloatingValue:
        """1 if it renews, or may."""
        return spans.auto_renew.fill_null(True).cast("float64")

    def state(self, total: ir.FloatingColumn) -> ir.FloatingValue:
        """Nothing that renews."""
        return (total == 0).cast("float64")


@dataclass(frozen=True)
class RunningPlan(Running):
    """The plan as a number: the best rank in `order` (1: the lowest), or, without one, that of the latest started."""

    order: tuple[str, ...]

    def labels(self, tables: Tables) -> tuple[str, ...] | None:
        """The plans in sorted order; with an `order` ranks are numbers, and a plan that is not in it is an error."""
        rows = meeting(tables, "subscriptions", self.where)
        found = {row["plan"] for row in tables.engine.rows(rows.select("plan").distinct())}
        found.discard(None)
        if not self.order:
            return tuple(sorted(found))
        unknown = sorted(found - set(self.order))
        if unknown:
            raise DataError(
                f"subscriptions: the plan {unknown[0]!r} is not in plan_order ({', '.join(self.order)}); "
                "add every plan, or leave rows out by `where`"
            )
        return None

    def scaled(self, tables: Tables, unit: Unit) -> ir.Table:
        """On each day on which something starts or ends: the greatest of those that run."""
        rows = self.spans(tables)
        names = self.order or unit.labels or ()
        codes = [(rows.plan == name, ibis.literal(i, "int64")) for i, name in enumerate(names, start=1)]
        zero = ibis.literal(0, "int64")
        rows = rows.mutate(code=ibis.cases(*codes, else_=zero) if codes else zero)
        if self.order:
            rows = rows.mutate(rank=rows.code)
        else:  # the turn decides, and the rank carries the code
            ids = ["subscription_id"] if "subscription_id" in rows.columns else []
            by = ibis.window(group_by="customer", order_by=["started", *ids, "plan"])
            rows = rows.mutate(rank=ibis.row_number().over(by) * (len(names) + 1) + rows.code)
        rows = rows.select("customer", "signup", "since", "ended", "rank")
        ended = rows.filter(rows.ended.notnull())
        days = rows.select("customer", day=rows.since).union(ended.select("customer", day=ended.ended)).distinct()
        there = rows.join(days, "customer")
        there = there.filter((there.since <= there.day) & (there.ended.isnull() | (there.ended > there.day)))
        best = there.group_by("customer", "signup", "day").aggregate(best=there["rank"].max())
        code = best.best if self.order else best.best % (len(names) + 1)
        return self.held(best.select("customer", "signup", "day", level=code.cast("float64")))


class _OfSubscriptions(Indicator):
    where: Where = Field({}, description="subscriptions that count: column -> accepted values")

    @property
    def is_bounded(self) -> bool:
        """A subscription may have started at any time."""
        return False

    def reads(self) -> Reads:
        """Subscriptions with both dates."""
        return {
            "customers": {"customer_id", "signed_up_on"},
            "subscriptions": {"customer_id", "started_on", "ended_on", self._column, *self.where},
        }

    @property
    def _column(self) -> str:
        raise NotImplementedError

    def level(self, sums: Sums) -> Level:
        """The state."""
        return sums(self.channels()[0])


@register_indicator
class AutoRenewOff(_OfSubscriptions):
    """1 when none of the running subscriptions renews itself; of one that is not known this cannot be said: 0."""

    kind: Literal["auto_renew_off"] = "auto_renew_off"

    @property
    def is_flag(self) -> bool:
        """0 or 1 by itself."""
        return True

    @property
    def _column(self) -> str:
        return "auto_renew"

    def channels(self) -> tuple[Channel, ...]:
        """Whether nothing renews."""
        return (NoneRenews(self.lag, conditions(self.where)),)

    def value(self, sums: Sums) -> ir.Value:
        """Whether nothing renews, or that number against the threshold."""
        level = self.level(sums)
        return level.numerator > 0 if self.threshold is None else level.compared(*self.threshold)


@register_indicator
class Mrr(_OfSubscriptions):
    """The sum of mrr over the running subscriptions; unknown counts 0."""

    kind: Literal["mrr"] = "mrr"

    @property
    def _column(self) -> str:
        return "mrr"

    def channels(self) -> tuple[Channel, ...]:
        """The sum."""
        return (RunningMrr(self.lag, conditions(self.where)),)


@register_indicator
class Plan(_OfSubscriptions):
    """The plan of the latest started of the running subscriptions, as text: `(none)` before the first.

    With `plan_order` it is a number, the best rank among the running ones: 1 for the lowest plan, 0 before the first.
    """

    kind: Literal["plan"] = "plan"
    plan_order: tuple[str, ...] = Field((), description="all plans from the lowest to the highest; default: text")

    @field_validator("plan_order")
    @classmethod
    def _each_once(cls, order: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(order)) < len(order):
            raise ValueError("plan_order: each plan once")
        return order

    @model_validator(mode="after")
    def _ranks_have_thresholds(self) -> Self:
        if self.threshold is not None and not self.plan_order:
            raise ValueError(f"{self.threshold[0]}: a plan is text; a threshold needs plan_order")
        return self

    @property
    def _column(self) -> str:
        return "plan"

    def may_read(self) -> Reads:
        """subscription_id breaks ties between those started on one day."""
        return {} if self.plan_order else {"subscriptions": {"subscription_id"}}

    def channels(self) -> tuple[Channel, ...]:
        """The plan as a number."""
        return (RunningPlan(self.lag, conditions(self.where), self.plan_order),)

    def value(self, sums: Sums) -> ir.Value:
        """The rank, the flag, or the text."""
        return super().value(sums) if self.plan_order else self.level(sums).text(NO_PLAN)
