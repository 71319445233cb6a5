"""What an indicator is: channels (running sums), a level made of them, and perhaps a threshold that makes it a flag."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Self

import ibis.expr.types as ir
from pydantic import Field, model_validator

from survival.churn.definition import Reads
from survival.churn.registry import Registry
from survival.churn.where import never_occurring
from survival.findings import Finding
from survival.indicators.deltas import Channel, Lived
from survival.indicators.threshold import Level
from survival.spec import Spec, Written

if TYPE_CHECKING:
    from survival.data import Tables

Sums = Callable[[Channel], Level]  # the running sum of a channel, as a level
THRESHOLDS = ("below", "at_most", "at_least", "above")


class Indicator(Spec):
    """A time-varying covariate: a level over tenure, or, with one threshold, a flag of 0 and 1.

    A kind is a subclass with a field `kind: Literal["name"] = "name"`, registered by `@register_indicator`.
    """

    kind: str
    lag: int = Field(0, ge=0, description="days by which every change comes later")
    below: Written | None = Field(None, description="flag: the level is less than this")
    at_most: Written | None = Field(None, description="flag: the level is this or less")
    at_least: Written | None = Field(None, description="flag: the level is this or more")
    above: Written | None = Field(None, description="flag: the level is more than this")

    @model_validator(mode="after")
    def _one_threshold(self) -> Self:
        given = [name for name in THRESHOLDS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"one threshold at most; got {', '.join(given)}")
        for name in given:
            if not getattr(self, name).is_finite():
                raise ValueError(f"{name}: a finite number; got {getattr(self, name)}")
        return self

    @property
    def threshold(self) -> tuple[str, Decimal] | None:
        """Which side of which value makes the flag; None for a level."""
        for name in THRESHOLDS:
            value = getattr(self, name)
            if value is not None:
                return name, value
        return None

    @property
    def is_flag(self) -> bool:
        """0 or 1, and never undefined."""
        return self.threshold is not None

    @property
    def days_read(self) -> int:
        """Days that the level reads back from a day, without the lag: window (+ baseline) (+ grace) (+ expires)."""
        return 0

    @property
    def look_back(self) -> int:
        """`days_read` + lag; counts in `warm_up: auto`."""
        return self.days_read + self.lag

    @property
    def is_bounded(self) -> bool:
        """No fact older than the look-back changes the level."""
        return True

    def with_lag(self, lag: int) -> Self:
        """The same indicator, `lag` days late."""
        return self.model_copy(update={"lag": lag})

    def reads(self) -> Reads:
        """The tables and columns that must be there."""
        raise NotImplementedError

    def may_read(self) -> Reads:
        """Optional columns that are used when they are mapped."""
        return {}

    def findings(self, tables: Tables) -> tuple[Finding, ...]:
        """What a reader of results with this indicator must know: by default, texts that it names and no row holds."""
        (table, *_) = [name for name in self.reads() if name != "customers"] or [""]
        if table not in tables.facts:
            return ()
        named = {column: tuple(values) for column, values in getattr(self, "where", {}).items()}
        features = getattr(self, "features", ())
        every = [named, *([{"feature": features}] if features else [])]
        return tuple(found for one in every for found in never_occurring(tables, table, one, self.kind))

    def channels(self) -> tuple[Channel, ...]:
        """The running sums that the level and the flag need, lag included."""
        raise NotImplementedError

    def level(self, sums: Sums) -> Level:
        """The level on a day, from the running sums of that day."""
        raise NotImplementedError

    def value(self, sums: Sums) -> ir.Value:
        """The covariate on a day: a flag as boolean, a level as float64 (null: undefined)."""
        level = self.level(sums)
        if self.threshold is None:
            return level.number()
        return level.compared(*self.threshold)


class Windowed(Indicator):
    """An indicator on a window of days.

    A `below` or `at_most` flag is off until the window has been lived, counted from signup: a newcomer is not a
    decliner. `young: literal` counts from day 0.
    """

    young: str = "off"

    @property
    def lived(self) -> int:
        """Days that must have been lived: window (+ baseline); 0 without a window."""
        return self.days_read

    @property
    def _waits(self) -> Lived | None:
        if self.threshold is None or self.threshold[0] not in ("below", "at_most") or self.young == "literal":
            return None
        if self.lived == 0:
            return None
        return Lived(shift=self.lived - 1 + self.lag)

    def measured(self) -> tuple[Channel, ...]:
        """The channels of the level itself."""
        raise NotImplementedError

    def channels(self) -> tuple[Channel, ...]:
        """The channels of the level, and the age from which the flag may be on."""
        return (*self.measured(), *([self._waits] if self._waits else []))

    def value(self, sums: Sums) -> ir.Value:
        """The covariate on a day; see `Windowed`."""
        value = super().value(sums)
        return value if self._waits is None else value & (sums(self._waits).numerator > 0)


_indicators: Registry[Indicator] = Registry("indicator")
register_indicator = _indicators.register
indicator_kinds = _indicators.kinds
parse_indicator = _indicators.parse
