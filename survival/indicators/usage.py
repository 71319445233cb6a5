"""Usage: how much a customer did in the last days, and whether that is less than before."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from survival.churn.definition import Reads
from survival.churn.where import Where
from survival.indicators.deltas import Channel, Distinct, Trailing, conditions
from survival.indicators.indicator import Sums, Windowed, register_indicator
from survival.indicators.threshold import Level

Measure = Literal["quantity", "active_days", "features", "members"]
VALUES = {"features": "feature", "members": "member_id"}  # measure -> the column whose values are counted


class _Measured(Windowed):
    measure: Measure = Field("quantity", description="what is counted in the window")
    window: int = Field(30, ge=1, description="days, the day itself included")
    where: Where = Field({}, description="rows that count: column -> accepted values")
    young: Literal["off", "literal"] = Field(
        "off", description="a below or at_most flag of a customer younger than the window: off, or as the numbers say"
    )

    def reads(self) -> Reads:
        """Days of usage, and the columns that the measure and `where` need."""
        needed = {VALUES[self.measure]} if self.measure in VALUES else set()
        return {"customers": {"customer_id", "signed_up_on"}, "usage": {"customer_id", "used_on", *needed, *self.where}}

    def may_read(self) -> Reads:
        """quantity; without it each row counts 1."""
        return {"usage": {"quantity"}} if self.measure == "quantity" else {}

    def trailing(self, window: int, shift: int) -> Channel:
        """The measure in the `window` days that end `shift` days ago."""
        where = conditions(self.where)
        if self.measure in VALUES:
            return Distinct(shift=shift, window=window, table="usage", column=VALUES[self.measure], where=where)
        return Trailing(shift=shift, window=window, table="usage", measure=self.measure, where=where)


@register_indicator
class Usage(_Measured):
    """The measure in the last `window` days: quantity, active days, distinct features or distinct members."""

    kind: Literal["usage"] = "usage"

    @property
    def days_read(self) -> int:
        """The window."""
        return self.window

    def measured(self) -> tuple[Channel, ...]:
        """One trailing count."""
        return (self.trailing(self.window, self.lag),)

    def level(self, sums: Sums) -> Level:
        """The count."""
        return sums(self.measured()[0])


@register_indicator
class UsageDecline(_Measured):
    """The rate per day of the recent `window` over that of the `baseline` days just before it: (r/w) / (B/b).

    x/0 is infinite, 0/0 undefined. A threshold t is compared exactly: r b against t B w.
    """

    kind: Literal["usage_decline"] = "usage_decline"
    baseline: int = Field(90, ge=1, description="days just before the window")

    @property
    def days_read(self) -> int:
        """Window and baseline."""
        return self.window + self.baseline

    def measured(self) -> tuple[Channel, ...]:
        """The recent count, and that of the baseline, which ends `window` days earlier."""
        return self.trailing(self.window, self.lag), self.trailing(self.baseline, self.lag + self.window)

    def level(self, sums: Sums) -> Level:
        """The ratio of the two rates."""
        recent, before = (sums(channel) for channel in self.measured())
        return Level(
            numerator=recent.numerator,
            denominator=before.numerator,
            up=self.baseline,
            down=self.window,
            defined=(recent.numerator != 0) | (before.numerator != 0),
            bound=max(recent.bound, before.bound),
        )
