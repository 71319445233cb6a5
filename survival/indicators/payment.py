"""Payment: invoices that are late."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from survival.churn.definition import Reads
from survival.churn.where import Where
from survival.indicators.deltas import Channel, Open, conditions
from survival.indicators.indicator import Indicator, Sums, register_indicator
from survival.indicators.threshold import Level


@register_indicator
class Overdue(Indicator):
    """Invoices unpaid on a day d > due + `grace`; the day of payment is no longer overdue."""

    kind: Literal["overdue"] = "overdue"
    grace: int = Field(0, ge=0, description="days after the due date that are not yet overdue")
    where: Where = Field({}, description="invoices that count: column -> accepted values")

    @property
    def days_read(self) -> int:
        """The grace."""
        return self.grace

    @property
    def is_bounded(self) -> bool:
        """An invoice may be overdue for any time."""
        return False

    def reads(self) -> Reads:
        """Invoices with both dates, and the columns of `where`."""
        return {
            "customers": {"customer_id", "signed_up_on"},
            "invoices": {"customer_id", "due_on", "paid_on", *self.where},
        }

    def channels(self) -> tuple[Channel, ...]:
        """Invoices overdue."""
        where = conditions(self.where)
        return (Open(shift=self.lag, table="invoices", opened="due", closed="paid", delay=self.grace + 1, where=where),)

    def level(self, sums: Sums) -> Level:
        """Invoices overdue."""
        return sums(self.channels()[0])
