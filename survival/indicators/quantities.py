"""Units: amounts as whole numbers, so that running sums are exact and a window that is empty again sums to 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir

from survival.indicators.deltas import Channel, Unit
from survival.indicators.threshold import EXACT, Level

if TYPE_CHECKING:
    from survival.data import Tables

MOST_DECIMALS = 9
UNKNOWN = {"quantity": 1.0, "mrr": 0.0}  # what an amount counts that is null; another column's: nothing


@dataclass(frozen=True)
class Quantities:
    """The unit of every channel, found in one look at the whole tables: buckets share it."""

    units: Mapping[Channel, Unit] = field(default_factory=dict)

    @classmethod
    def of(cls, tables: Tables, channels: Iterable[Channel]) -> Quantities:
        """As many decimals as the data have, up to 9; fewer if sums would no longer be exact."""
        found: dict[tuple[str, str], Unit] = {}
        units: dict[Channel, Unit] = {}
        for channel in channels:
            source = channel.amounts
            if source is not None and source not in found:
                found[source] = _unit(tables, *source)
            unit = Unit() if source is None else found[source]
            units[channel] = replace(unit, labels=channel.labels(tables))
        return cls(units)

    def unit(self, channel: Channel) -> Unit:
        """What one unit of the channel means."""
        return self.units.get(channel, Unit())

    def level(self, channel: Channel, total: ir.NumericValue) -> Level:
        """The running sum of a channel, in its own unit."""
        unit = self.unit(channel)
        return Level(total, down=10**unit.decimals, bound=unit.bound, labels=unit.labels)


def _unit(tables: Tables, table: str, column: str) -> Unit:
    facts = tables.facts[table]
    if column not in facts.columns:
        return Unit(0, float(tables.engine.count(facts)))
    amount = facts[column].fill_null(UNKNOWN.get(column, 0.0))

    def off(decimals: int) -> ir.IntegerValue:
        scale = float(10**decimals)
        return ((amount * scale).round() / scale != amount).cast("int32").sum().fill_null(0)

    total = amount.abs().sum().fill_null(0.0)
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
    return Unit(decimals, bound * 10**decimals)


def whole_amount(facts: ir.Table, column: str, decimals: int) -> ir.FloatingValue:
    """The amount in units of 10^-decimals; without the column each row counts what an unknown one does."""
    unknown = UNKNOWN.get(column, 0.0)
    if column not in facts.columns:
        return ibis.literal(unknown * 10**decimals)
    amount = facts[column].fill_null(unknown)
    return amount if decimals == 0 else (amount * float(10**decimals)).round().cast("float64")
