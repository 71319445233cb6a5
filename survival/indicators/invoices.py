"""Payment over time: invoices that are not paid in time, and changes of the method of payment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import ibis
import ibis.expr.types as ir
from pydantic import Field

from survival.churn.definition import Reads
from survival.churn.where import Where
from survival.indicators.deltas import Channel, Dated, conditions, delta_rows, meeting
from survival.indicators.indicator import Sums, Windowed, register_indicator
from survival.indicators.threshold import Level

if TYPE_CHECKING:
    from survival.data import Tables


@dataclass(frozen=True)
class PaidLate(Dated):
    """Invoices that turned out in the window not to be paid `grace` days after they were due."""

    grace: int

    def dated(self, tables: Tables) -> ir.Table:
        """One an invoice, on the first day on which it is known."""
        rows = meeting(tables, "invoices", self.where)
        rows = rows.filter(rows.paid.isnull() | (rows.paid > rows.due + self.grace))
        return delta_rows(rows, rows.due + self.grace + 1, 1.0)


@dataclass(frozen=True)
class MethodChanged(Dated):
    """Payments in the window by another method than the one before; of unknown method they are passed over."""

    def dated(self, tables: Tables) -> ir.Table:
        """One a change, on the day of payment; payments of one day in the order of their due dates, then methods."""
        rows = meeting(tables, "invoices", self.where)
        rows = rows.filter(rows.paid.notnull() & rows.method.notnull())
        before = rows.method.lag().over(ibis.window(group_by="customer", order_by=["paid", "due", "method"]))
        rows = rows.mutate(before=before)
        changed = rows.filter((rows.before != rows.method).fill_null(False))
        return delta_rows(changed, changed.paid, 1.0)


class _OfInvoices(Windowed):
    window: int = Field(90, ge=1, description="days, the day itself included")
    where: Where = Field({}, description="invoices that count: column -> accepted values")
    young: Literal["off", "literal"] = Field(
        "off", description="a below or at_most flag of a customer younger than the window: off, or as the numbers say"
    )

    @property
    def days_read(self) -> int:
        """The window."""
        return self.window

    def reads(self) -> Reads:
        """Invoices with both dates."""
        return {
            "customers": {"customer_id", "signed_up_on"},
            "invoices": {"customer_id", "due_on", "paid_on", *self.where},
        }

    def level(self, sums: Sums) -> Level:
        """The count."""
        return sums(self.measured()[0])


@register_indicator
class LatePayments(_OfInvoices):
    """Invoices not paid by due + `grace`, counted in the window from due + grace + 1, the first day it is known."""

    kind: Literal["late_payments"] = "late_payments"
    grace: int = Field(0, ge=0, description="days after the due date that are not yet late")

    @property
    def days_read(self) -> int:
        """The window and the grace."""
        return self.window + self.grace

    @property
    def lived(self) -> int:
        """The window: before it an invoice was not late either."""
        return self.window

    def measured(self) -> tuple[Channel, ...]:
        """Invoices that became late."""
        return (PaidLate(self.lag, self.window, conditions(self.where), self.grace),)


@register_indicator
class MethodChange(_OfInvoices):
    """Changes of the method between successive paid invoices, dated by the payment, in the last `window` days."""

    kind: Literal["method_change"] = "method_change"

    def reads(self) -> Reads:
        """Invoices with both dates and the method."""
        reads = super().reads()
        return {**reads, "invoices": {*reads["invoices"], "method"}}

    def measured(self) -> tuple[Channel, ...]:
        """Changes."""
        return (MethodChanged(self.lag, self.window, conditions(self.where)),)
