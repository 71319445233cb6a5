"""Streams: deltas placed on a spell's clock, before anything is aggregated.

`place` turns the day of a change into the tenure at which it takes effect: moved up to the next mark, clipped to entry,
dropped at or after exit. Streams are wide, one float64 column per channel, so that one GROUP BY and one running sum serve
all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir

from survival.churn.where import accepted
from survival.indicators.deltas import Age, Channel, Conditions, Trailing
from survival.indicators.quantities import Quantities, whole_amount

if TYPE_CHECKING:
    from survival.data import Tables

Columns = Mapping[Channel, str]  # channel -> its column in the wide rows
Source = tuple[str, Conditions]  # measure, where


def snapped(tenure: ir.IntegerValue, update_every: int) -> ir.IntegerValue:
    """Up to the next mark 0, n, 2n, ...; a change on a mark stays."""
    if update_every == 1:
        return tenure
    up = tenure + (update_every - 1) - (tenure - 1) % update_every
    return (tenure <= 0).ifelse(0, up)  # remainders of negative numbers differ between engines


def clipped(mark: ir.IntegerValue, entry: ir.IntegerValue) -> ir.IntegerValue:
    """Not before entry, which sees the level of the last mark. Not GREATEST, which skips nulls."""
    return (mark < entry).ifelse(entry, mark).cast("int32")


def streams(
    tables: Tables, spine: ir.Table, columns: Columns, update_every: int, quantities: Quantities
) -> list[ir.Table]:
    """Wide rows (customer, spell, at, a column per channel) of every channel, placed on the clocks of `spine`.

    `spine` has customer, spell, origin, entry, exit. `quantities` has the unit of every channel.
    """
    trailing = [c for c in columns if isinstance(c, Trailing)]
    wide = [
        _scan(tables, spine, [c for c in trailing if c.table == table], columns, update_every, quantities)
        for table in sorted({c.table for c in trailing})
    ]
    ticking = [c for c in columns if isinstance(c, Age)]
    wide += [_ticking(tables, spine, ticking, columns, update_every)] if ticking else []
    single = [c for c in columns if not isinstance(c, Trailing | Age)]
    return [*wide, *([_placed(tables, spine, single, columns, update_every, quantities)] if single else [])]


def opening(spine: ir.Table, columns: Columns) -> ir.Table:
    """A row of zeros at the entry of every spell: each has a first episode."""
    return _wide(spine, spine.entry, columns, {})


def _wide(rows: ir.Table, at: ir.IntegerValue, columns: Columns, amounts: Mapping[str, ir.Value]) -> ir.Table:
    zero = ibis.literal(0.0)
    sums = {name: amounts.get(name, zero) for name in columns.values()}
    return rows.select(customer=rows.customer, spell=rows.spell, at=at, **sums)


def _placed(
    tables: Tables,
    spine: ir.Table,
    channels: Sequence[Channel],
    columns: Columns,
    update_every: int,
    quantities: Quantities,
) -> ir.Table:
    """The deltas of several channels under one another, placed by one join."""
    parts = []
    for i, channel in enumerate(channels):
        deltas = channel.scaled(tables, quantities.unit(channel))
        which = ibis.literal(i, "int32")
        parts.append(deltas.select("customer", "amount", day=(deltas.day + channel.shift).cast("int32"), which=which))
    rows = parts[0] if len(parts) == 1 else parts[0].union(*parts[1:])
    rows = rows.join(spine, "customer")
    tenure = rows.day - rows.origin
    mark = snapped(tenure, update_every)
    foreseen = [i for i, channel in enumerate(channels) if not channel.snaps]
    if foreseen and update_every > 1:
        mark = rows.which.isin(foreseen).ifelse(tenure, mark)
    rows = rows.mutate(at=clipped(mark, rows.entry))
    rows = rows.filter(rows["at"] < rows.exit)
    zero = ibis.literal(0.0)
    amounts = {columns[c]: (rows.which == i).ifelse(rows.amount, zero) for i, c in enumerate(channels)}
    return _wide(rows, rows["at"], columns, amounts)


def _ticking(tables: Tables, spine: ir.Table, channels: Sequence[Age], columns: Columns, update_every: int) -> ir.Table:
    """Ages grow by themselves: a row at entry and at every mark after it."""
    rows = spine.join(tables.customers.select("customer", "signup"), "customer")
    rows = rows.mutate(since=(rows.origin - rows.signup).cast("int32"), last=rows.entry - rows.entry % update_every)
    rows = rows.mutate(mark=ibis.range(rows["last"], rows.exit, update_every).unnest().cast("int32"))
    amounts: dict[str, ir.Value] = {}
    for channel in channels:
        now = rows.since + rows.mark - channel.shift
        now = (now < 0).ifelse(0, now)
        grown = now - (now < update_every).ifelse(0, now - update_every)
        amounts[columns[channel]] = (rows.mark == rows["last"]).ifelse(now, grown).cast("float64")
    return _wide(rows, clipped(rows.mark, rows.entry), columns, amounts)


def _scan(
    tables: Tables,
    spine: ir.Table,
    channels: Sequence[Trailing],
    columns: Columns,
    update_every: int,
    quantities: Quantities,
) -> ir.Table:
    """All trailing sums of one table from one scan: summed per customer and mark, then exploded over their offsets."""
    sources = {key: f"v{i}" for i, key in enumerate(dict.fromkeys((c.measure, c.where) for c in channels))}
    offsets = sorted({o for c in channels for o in (c.shift, c.shift + c.window)})
    decimals = max(quantities.unit(c).decimals for c in channels)
    rows = _daily(tables, channels[0].table, sources, decimals, by_day=update_every == 1)
    rows = rows.join(spine, "customer")
    rows = rows.mutate(tenure=rows.day - rows.origin)
    rows = rows.filter(rows.tenure + offsets[0] < rows.exit)
    rows = _to_marks(rows, list(sources.values()), offsets, update_every)
    rows = rows.mutate(which=ibis.array(list(range(len(offsets)))).unnest())
    marks = [rows[f"mark{o % update_every}"] + (o - o % update_every) for o in offsets]
    rows = rows.mutate(at=clipped(_chosen(rows.which, marks), rows.entry))
    rows = rows.filter(rows["at"] < rows.exit)
    zero = ibis.literal(0.0)
    amounts = {}
    for channel in channels:
        value = rows[sources[channel.measure, channel.where]]
        comes, goes = offsets.index(channel.shift), offsets.index(channel.shift + channel.window)
        amounts[columns[channel]] = (rows.which == comes).ifelse(value, (rows.which == goes).ifelse(-value, zero))
    # Summed here, over its own channels only: this is the long stream, and most channels are not in it.
    rows = rows.select("customer", "spell", "at", **amounts)
    rows = rows.group_by("customer", "spell", "at").aggregate(**{name: rows[name].sum() for name in amounts})
    return _wide(rows, rows["at"], columns, {name: rows[name] for name in amounts})


def _chosen(which: ir.IntegerColumn, values: Sequence[ir.IntegerValue]) -> ir.IntegerValue:
    result = values[-1]
    for i in range(len(values) - 2, -1, -1):
        result = (which == i).ifelse(values[i], result)
    return result


def _daily(tables: Tables, table: str, sources: Mapping[Source, str], decimals: int, by_day: bool) -> ir.Table:
    """customer, day, one column per (measure, where); one row a day if a count of days, or daily marks, ask for it."""
    facts = tables.facts[table]
    values: dict[str, ir.Value] = {}
    for (measure, where), name in sources.items():
        condition = accepted(facts, dict(where), f"indicator on {table}")
        value = whole_amount(facts, "quantity", decimals) if measure == "quantity" else ibis.literal(1.0)
        values[name] = value if condition is None else condition.ifelse(value, ibis.literal(0.0))
    rows = facts.select("customer", "day", **values)
    counts_days = any(measure == "active_days" for measure, _ in sources)
    if not counts_days and not by_day:
        return rows
    sums = {
        name: rows[name].max() if measure == "active_days" else rows[name].sum()
        for (measure, _), name in sources.items()
    }
    return rows.group_by("customer", "day").aggregate(**sums)


def _to_marks(rows: ir.Table, values: Sequence[str], offsets: Sequence[int], update_every: int) -> ir.Table:
    """One row per customer, spell and mark: mark{r} is where a change r days after the fact takes effect.

    Offsets that are equal modulo `update_every` share a mark, up to whole steps.
    """
    if update_every == 1:
        return rows.mutate(mark0=rows.tenure)
    marks = {
        f"mark{r}": snapped_any(rows.tenure + r, update_every) for r in sorted({o % update_every for o in offsets})
    }
    rows = rows.mutate(**marks)
    keys = ["customer", "spell", "entry", "exit", *marks]
    return rows.group_by(keys).aggregate(**{name: rows[name].sum() for name in values})


def snapped_any(tenure: ir.IntegerValue, update_every: int) -> ir.IntegerValue:
    """Up to the next multiple, negative tenures too: whole steps may be added afterwards."""
    rest = tenure % update_every
    rest = (rest < 0).ifelse(rest + update_every, rest)
    return (rest == 0).ifelse(tenure, tenure + update_every - rest).cast("int32")
