"""Levels as exact fractions of whole numbers, and thresholds as the decimals that were written."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import gcd

import ibis
import ibis.expr.types as ir

EXACT = 2.0**53  # whole numbers up to here are exact as float64


@dataclass(frozen=True)
class Level:
    """A level as `numerator x up / (denominator x down)`; both columns hold whole numbers, as float64.

    `up` and `down` are positive. `denominator` None is 1. `defined` None: always; otherwise where the level is. A
    numerator over a denominator of 0 is infinite. `bound` is the greatest absolute value that a column can take.
    `labels` are what the levels 1, 2, ... of a text are called.
    """

    numerator: ir.NumericValue
    denominator: ir.NumericValue | None = None
    up: int = 1
    down: int = 1
    defined: ir.BooleanValue | None = None
    bound: float = 2.0**31
    labels: tuple[str, ...] | None = None

    def text(self, nothing: str) -> ir.StringValue:
        """The label of the level: the first for 1, the second for 2, ...; `nothing` for 0."""
        code = self.numerator.cast("int32")
        labels = [(code == i, ibis.literal(label)) for i, label in enumerate(self.labels or (), start=1)]
        return ibis.cases(*labels, else_=ibis.literal(nothing)) if labels else ibis.literal(nothing)

    def number(self) -> ir.NumericValue:
        """The level as float64; null where it is undefined."""
        top = self.numerator * float(self.up)
        if self.denominator is None:
            value = top / float(self.down)
        else:
            ratio = top / (self.denominator == 0).ifelse(1.0, self.denominator * float(self.down))
            value = (self.denominator == 0).ifelse(float("inf"), ratio)
        return value if self.defined is None else self.defined.ifelse(value, ibis.null("float64"))

    def compared(self, how: str, threshold: Decimal) -> ir.BooleanValue:
        """Whether the level is `below`, `at_most`, `at_least` or `above` the threshold, exactly; undefined is off."""
        top, bottom = threshold.as_integer_ratio()
        left, right = self.up * bottom, self.down * top
        common = gcd(left, right) or 1
        left, right = left // common, right // common
        # Products beyond 2^53 are compared as decimals of 38 digits; floats are faster, and exact below.
        wide = max(self.bound, 1.0) * max(left, abs(right)) >= EXACT
        a, b = _times(self.numerator, left, wide), _times(self.denominator, right, wide)
        on = {"below": a < b, "at_most": a <= b, "at_least": a >= b, "above": a > b}[how]
        return on if self.defined is None else self.defined & on


def _times(column: ir.NumericValue | None, factor: int, wide: bool) -> ir.NumericValue:
    """`column` (None: 1) x `factor`."""
    if not wide:
        return ibis.literal(float(factor)) if column is None else column * float(factor)
    whole = ibis.literal(Decimal(factor), "decimal(38, 0)")
    return whole if column is None else column.cast("decimal(38, 0)") * whole
