"""Adoption: which of the features that matter a customer uses, and which they gave up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import ibis
import ibis.expr.types as ir
from pydantic import BeforeValidator, Field, field_validator

from survival.churn.definition import Reads
from survival.churn.where import Where
from survival.indicators.deltas import Channel, Conditions, Distinct, conditions, delta_rows, meeting
from survival.indicators.indicator import Sums, Windowed, register_indicator
from survival.indicators.threshold import Level

if TYPE_CHECKING:
    from survival.data import Tables

EVER = "ever"


def _days_or_ever(value: Any) -> Any:
    if value == EVER or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise ValueError(f"a whole number of days, 1 or more, or ever; got {value!r}")


@dataclass(frozen=True)
class Abandoned(Channel):
    """How many of `among` were used in the `baseline` days before the last `window` days, but not in these."""

    window: int
    baseline: int
    where: Conditions
    among: tuple[str, ...]

    def deltas(self, tables: Tables) -> ir.Table:
        """Of each use: from `window` days on, unless used again by then, until the next use or the baseline's end."""
        facts = meeting(tables, "usage", self.where)
        days = facts.filter(facts.feature.isin(self.among)).select("customer", "day", value=facts.feature)
        order = ibis.window(group_by=["customer", "value"], order_by="day")
        days = days.mutate(after=days.day.lead().over(order))
        days = days.filter(days.after.isnull() | (days.after > days.day + self.window))
        forgotten = days.day + self.window + self.baseline
        end = (days.after < forgotten).fill_null(False).ifelse(days.after, forgotten)
        return delta_rows(days, days.day + self.window, 1.0).union(delta_rows(days, end, -1.0))


class _OfFeatures(Windowed):
    features: tuple[str, ...] = Field(min_length=1, description="the features that count")
    where: Where = Field({}, description="rows of usage that count: column -> accepted values")
    young: Literal["off", "literal"] = Field(
        "off", description="a below or at_most flag of a customer younger than the window: off, or as the numbers say"
    )

    @field_validator("features")
    @classmethod
    def _each_once(cls, features: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({f for f in features if features.count(f) > 1})
        if twice:
            raise ValueError(f"each feature once; {', '.join(map(repr, twice))} is there twice")
        return features

    def reads(self) -> Reads:
        """Days of usage with the feature, and the columns of `where`."""
        return {
            "customers": {"customer_id", "signed_up_on"},
            "usage": {"customer_id", "used_on", "feature", *self.where},
        }


@register_indicator
class Adoption(_OfFeatures):
    """The share of `features` used in the last `window` days, or, with `window: ever`, at any time since signup."""

    kind: Literal["adoption"] = "adoption"
    window: Annotated[Annotated[int, Field(ge=1)] | Literal["ever"], BeforeValidator(_days_or_ever)] = Field(
        30, description="days, the day itself included; or ever"
    )

    @property
    def days_read(self) -> int:
        """The window; 0 for ever."""
        return 0 if self.window == EVER else int(self.window)

    @property
    def is_bounded(self) -> bool:
        """A first use may be of any age."""
        return self.window != EVER

    def measured(self) -> tuple[Channel, ...]:
        """How many of the features."""
        window = None if self.window == EVER else int(self.window)
        where = conditions(self.where)
        among = tuple(sorted(self.features))
        return (Distinct(self.lag, window=window, table="usage", column="feature", where=where, among=among),)

    def level(self, sums: Sums) -> Level:
        """Features used over features that count."""
        return Level(sums(self.measured()[0]).numerator, down=len(self.features))


@register_indicator
class Abandonment(_OfFeatures):
    """How many of `features` were used in the `baseline` days just before the last `window` days, but not in these."""

    kind: Literal["abandonment"] = "abandonment"
    window: int = Field(30, ge=1, description="days without use, the day itself included")
    baseline: int = Field(90, ge=1, description="days just before the window")

    @property
    def days_read(self) -> int:
        """Window and baseline."""
        return self.window + self.baseline

    def measured(self) -> tuple[Channel, ...]:
        """Features given up."""
        among = tuple(sorted(self.features))
        return (Abandoned(self.lag, self.window, self.baseline, conditions(self.where), among),)

    def level(self, sums: Sums) -> Level:
        """Features given up."""
        return sums(self.measured()[0])
