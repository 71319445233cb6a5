"""Quantities as whole numbers: running sums of them are exact, so a window that is empty again sums to 0."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis.expr.types as ir

from survival.indicators.deltas import Channel, Trailing
from survival.indicators.threshold import EXACT, Level

if TYPE_CHECKING:
    from survival.data import Tables

MOST_DECIMALS = 9


@dataclass(frozen=True)
class Quantities:
    """How quantities become whole numbers, and how great a sum of them can get."""

    decimals: int = 0
    bound: float = 0.0

    @classmethod
    def of(cls, tables: Tables, channels: Iterable[Channel]) -> Quantities:
        """As many decimals as the data have, up to 9; fewer if sums would no longer be exact."""
        if not any(isinstance(c, Trailing) and c.measure == "quantity" for c in channels):
            return cls()
        facts = tables.facts["usage"]
        if "quantity" not in facts.columns:
            return cls(0, float(tables.engine.count(facts)))
        quantity = facts.quantity.fill_null(1.0)

        def off(decimals: int) -> ir.IntegerValue:
            scale = float(10**decimals)
            return ((quantity * scale).round() / scale != quantity).cast("int32").sum().fill_null(0)

        total = quantity.abs().sum().fill_null(0.0)
        row = tables.engine.rows(facts.aggregate(total=total, off0=off(0)))[0]
        bound, exact = row["total"], [0]
        if row["off0"]:
            each = {f"off{d}": off(d) for d in range(1, MOST_DECIMALS + 1)}
            counts = tables.engine.rows(facts.aggregate(**each))[0]
            exact = [d for d in range(1, MOST_DECIMALS + 1) if not counts[f"off{d}"]]
        decimals = exact[0] if exact else MOST_DECIMALS
        if bound * 10**decimals >= EXACT:  # sums are within a customer: a closer look
            per_customer = facts.group_by("customer").aggregate(total=total)
            bound = tables.engine.rows(per_customer.aggregate(most=per_customer.total.max()))[0]["most"]
        while decimals > 0 and bound * 10**decimals >= EXACT:
            decimals -= 1
        return cls(decimals, bound * 10**decimals)

    def level(self, channel: Channel, total: ir.NumericValue) -> Level:
        """The running sum of a channel, in its own unit."""
        if isinstance(channel, Trailing) and channel.measure == "quantity":
            return Level(total, down=10**self.decimals, bound=self.bound)
        return Level(total)
