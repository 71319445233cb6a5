"""Support: tickets that wait for an answer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from survival.churn.definition import Reads
from survival.churn.where import Where
from survival.indicators.deltas import Channel, Open, conditions
from survival.indicators.indicator import Indicator, Sums, register_indicator
from survival.indicators.threshold import Level


@register_indicator
class OpenTickets(Indicator):
    """Tickets open on a day: opened <= d < resolved; one opened before signup counts from signup."""

    kind: Literal["open_tickets"] = "open_tickets"
    where: Where = Field({}, description="tickets that count: column -> accepted values")

    @property
    def is_bounded(self) -> bool:
        """A ticket may have been open for any time."""
        return False

    def reads(self) -> Reads:
        """Tickets with both dates, and the columns of `where`."""
        return {
            "customers": {"customer_id", "signed_up_on"},
            "tickets": {"customer_id", "opened_on", "resolved_on", *self.where},
        }

    def channels(self) -> tuple[Channel, ...]:
        """Tickets open."""
        where = conditions(self.where)
        return (Open(shift=self.lag, table="tickets", opened="opened", closed="resolved", delay=0, where=where),)

    def level(self, sums: Sums) -> Level:
        """Tickets open."""
        return sums(self.channels()[0])
