"""Episodes: (start, stop] with the covariates known at the close of day `start`, from spells and indicators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from survival.churn.spells import Spells
from survival.errors import ConservationError, DataError
from survival.findings import Finding
from survival.indicators.deltas import Channel
from survival.indicators.indicator import Indicator
from survival.indicators.look_back import circularity, unbounded
from survival.indicators.quantities import Quantities
from survival.indicators.streams import opening, streams
from survival.indicators.threshold import Level

if TYPE_CHECKING:
    from survival.data import Tables

RESERVED = ("customer", "customer_id", "spell", "start", "stop", "event", "began", "ended", "cause")
FLAGS_PER_PATTERN = 60  # bits of an int64, with room for the sign

Progress = Callable[[int, int], None]  # buckets done, buckets in all


@dataclass(frozen=True, eq=False)
class Episodes:
    """A plan: nothing is computed until `build`. See `episodes`."""

    spells: Spells
    indicators: Mapping[str, Indicator]
    attributes: tuple[str, ...]
    update_every: int

    def build(self, progress: Progress | None = None) -> BuiltEpisodes:
        """Compute the episodes bucket by bucket into the scratch database, and check that nothing got lost (`counted`)."""
        tables = self.spells.tables
        quantities = Quantities.of(tables, _channels(self.indicators))
        name = tables.engine.fresh("episodes")

        def rows(part: Tables) -> ir.Table:
            return _bucket(part, part.mine(self.spells.at_risk), self.indicators, self.update_every, quantities)

        table = tables.filled(name, rows, progress)
        return self.counted(table)

    def counted(self, table: ir.Table) -> BuiltEpisodes:
        """The episodes of this plan that stand in a table of the scratch database, with their totals.

        Raises ConservationError if customers, churns or person-days differ from those of the spells.
        """
        totals = _totals(self.spells.tables, table)
        built = BuiltEpisodes(self.spells, self.indicators, self.attributes, self.update_every, table, *totals)
        built._conserve()
        return built

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Circularity, histories that no warm-up completes, and what the indicators themselves find."""
        tables = self.spells.tables
        own = [
            replace(f, subject=name if f.subject == i.kind else f.subject)
            for name, i in self.indicators.items() for f in i.findings(tables)
        ]  # fmt: skip
        late = _late(self.spells) if any(not i.is_bounded for i in self.indicators.values()) else 0
        return (*circularity(self.spells.definition, self.indicators), *unbounded(self.indicators, late), *own)


@dataclass(frozen=True, eq=False)
class BuiltEpisodes:
    """Episodes in the scratch database; neighbours with equal covariates are one row.

    `table` holds customer, spell, start, stop (tenure, days), event, began, ended (0/1: churn at stop; no episode of
    the spell before; none after), cause, and the indicators: a flag as int8, a level as float64 (null: undefined)
    or text.
    """

    spells: Spells
    indicators: Mapping[str, Indicator]
    attributes: tuple[str, ...]
    update_every: int
    table: ir.Table
    customers: int
    rows: int
    events: int
    person_days: int

    @property
    def covariates(self) -> tuple[str, ...]:
        """The indicators, in their order."""
        return tuple(self.indicators)

    def merged(self, covariates: Sequence[str]) -> ir.Table:
        """The columns of `table` with these indicators only; neighbours that they do not tell apart are one row."""
        keep = [name for name in self.covariates if name in covariates]
        if len(keep) == len(self.covariates):
            return self.table
        everything = ["customer", "spell"]
        whole = ibis.window(group_by=everything)
        rows = self.table
        rows = rows.select(
            *everything,
            *keep,
            at=rows.start,
            began=rows.began,
            exit=rows.stop.max().over(whole),
            churned=rows.event.max().over(whole),
            reason=rows.cause.max().over(whole),
        )
        rows = changes(rows, keep)
        rows = rows.mutate(following=rows["at"].lead().over(ibis.window(group_by=everything, order_by="at")))
        last = rows.following.isnull()  # noqa: PD003
        return rows.select(
            *everything,
            start=rows["at"],
            stop=last.ifelse(rows.exit, rows.following),
            event=last.ifelse(rows.churned, 0).cast("int8"),
            began=rows.began,
            ended=last.cast("int8"),
            cause=last.ifelse(rows.reason, ibis.null("string")),
            **{name: rows[name] for name in keep},
        )

    def expression(self) -> ir.Table:
        """All columns in their fixed order: ids, start, stop, event, cause, indicators, attributes; not sorted."""
        people = self.spells.tables.customers.select(*dict.fromkeys(("customer", "customer_id", *self.attributes)))
        rows = self.table.join(people, "customer")
        columns = ["customer_id", "customer", "spell", "start", "stop", "event", "cause"]
        return rows.select(*dict.fromkeys([*columns, *self.covariates, *self.attributes]))

    def arrow(self) -> pa.Table:
        """All rows, ordered by customer, spell, start."""
        rows = self.expression()
        return self.spells.tables.engine.arrow(rows.order_by("customer", "spell", "start"))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The same rows as Arrow batches, bucket by bucket, each customer's rows together and in order."""
        tables, rows = self.spells.tables, self.expression()
        for k in range(tables.buckets):
            part = tables.bucket(k).mine(rows)
            yield from tables.engine.batches(part.order_by("customer", "spell", "start"))

    def frame(self) -> pd.DataFrame:
        """The same rows as a pandas frame."""
        return self.arrow().to_pandas()

    def _conserve(self) -> None:
        """Customers, churns and days at risk are those of the spells."""
        for what, here, there in (
            ("customers", self.customers, self.spells.customers),
            ("churns", self.events, self.spells.churns),
            ("person-days", self.person_days, self.spells.person_days),
        ):
            if here != there:
                raise ConservationError(f"episodes: {here} {what}, the spells have {there}")


def episodes(
    spells: Spells, indicators: Mapping[str, Indicator], *, attributes: Sequence[str] = (), update_every: int = 1
) -> Episodes:
    """Cut each spell where an indicator changes; `attributes` are columns of customers, joined as they are.

    Covariates change at marks only: tenure 0, n, 2n, ... for `update_every` n. Raises DataError for a name that means
    two things or nothing, and for indicators on spells without a signup date.
    """
    columns = spells.tables.customers.columns
    for name in indicators:
        if name in RESERVED:
            raise DataError(f"indicator {name!r}: this is a column of every episode; choose another name")
        if name in attributes:
            raise DataError(f"{name!r} names an indicator and a column of customers; rename one of them")
    for name in attributes:
        if name not in columns:
            raise DataError(f"customers has no column {name!r}; it has {', '.join(columns)}")
    if update_every < 1:
        raise DataError(f"update_every: a whole number of days, 1 or more; got {update_every}")
    for name, indicator in indicators.items():
        for table in indicator.reads():
            if table != "customers" and table not in spells.tables.facts:
                raise DataError(f"indicator {name!r} reads the table {table!r}, which is not there")
    if indicators:
        _need_origins(spells)
    return Episodes(spells, dict(indicators), tuple(attributes), update_every)


def _need_origins(spells: Spells) -> None:
    rows = spells.at_risk
    undated = spells.tables.engine.count(rows.filter(rows.origin.isnull()))  # noqa: PD003
    if undated:
        raise DataError(
            f"{undated:,} customers have a recorded tenure but no signup date: dated facts cannot be placed on their "
            "clock. Map signed_up_on, or leave the indicators out"
        )


def _late(spells: Spells) -> int:
    """Customers at risk who signed up before the log is complete."""
    day = spells.tables.from_day
    if day is None:
        return 0
    people = spells.tables.customers.select("customer", "signup")
    rows = spells.at_risk.join(people, "customer")
    return spells.tables.engine.count(rows.filter(rows.signup < day).select("customer").distinct())


def _bucket(
    tables: Tables, spells: ir.Table, indicators: Mapping[str, Indicator], update_every: int, quantities: Quantities
) -> ir.Table:
    """The episodes of one bucket: streams -> one row a change day -> levels -> changes only -> stop."""
    columns = {channel: f"c{i}" for i, channel in enumerate(_channels(indicators))}
    spine = spells.select("customer", "spell", "origin", "entry", "exit")
    parts = [opening(spine, columns), *streams(tables, spine, columns, update_every, quantities)]
    if len(parts) == 1:
        rows = parts[0]
    else:
        everything = reduce(lambda a, b: a.union(b), parts)
        rows = everything.group_by("customer", "spell", "at").aggregate(
            **{name: everything[name].sum() for name in columns.values()}
        )
    so_far = ibis.window(group_by=["customer", "spell"], order_by="at", preceding=None, following=0)
    levels = rows.select(
        "customer", "spell", "at", **{name: rows[name].sum().over(so_far) for name in columns.values()}
    )
    values = {name: indicator.value(_reader(levels, columns, quantities)) for name, indicator in indicators.items()}
    valued = levels.select("customer", "spell", "at", **_packed(indicators, values))
    covariates = [name for name in valued.columns if name not in ("customer", "spell", "at")]
    return _cut(changes(valued, covariates), spells, indicators)


def _reader(levels: ir.Table, columns: Mapping[Channel, str], quantities: Quantities) -> Callable[[Channel], Level]:
    return lambda channel: quantities.level(channel, levels[columns[channel]])


def _channels(indicators: Mapping[str, Indicator]) -> list[Channel]:
    """Every running sum that is needed, once."""
    return list(dict.fromkeys(c for i in indicators.values() for c in i.channels()))


def _flags(indicators: Mapping[str, Indicator]) -> list[str]:
    return [name for name, indicator in indicators.items() if indicator.is_flag]


def _packed(indicators: Mapping[str, Indicator], values: Mapping[str, ir.Value]) -> dict[str, ir.Value]:
    """Flags as bits of integers, so that one comparison sees a change of any of them; levels as they are."""
    flags = _flags(indicators)
    packed: dict[str, ir.Value] = {}
    for start in range(0, len(flags), FLAGS_PER_PATTERN):
        bits = [
            values[name].ifelse(ibis.literal(1 << i, "int64"), ibis.literal(0, "int64"))
            for i, name in enumerate(flags[start : start + FLAGS_PER_PATTERN])
        ]
        packed[f"pattern{start // FLAGS_PER_PATTERN}"] = reduce(lambda a, b: a + b, bits)
    packed.update({f"level_{name}": values[name] for name in indicators if name not in flags})
    return packed


def changes(rows: ir.Table, covariates: Sequence[str]) -> ir.Table:
    """Only the rows (customer, spell, at) at which a covariate changes, and the first: equal neighbours are one."""
    order = ibis.window(group_by=["customer", "spell"], order_by="at")
    changed = rows["at"].lag().over(order).isnull()  # noqa: PD003
    for name in covariates:
        changed = changed | ~rows[name].identical_to(rows[name].lag().over(order))
    rows = rows.mutate(changed=changed)
    return rows.filter(rows.changed).drop("changed")


def _cut(rows: ir.Table, spells: ir.Table, indicators: Mapping[str, Indicator]) -> ir.Table:
    """Stop is the next change, or the exit; the event belongs to the last episode."""
    order = ibis.window(group_by=["customer", "spell"], order_by="at")
    rows = rows.mutate(following=rows["at"].lead().over(order))
    ends = spells.select("customer", "spell", "entry", "exit", "churned", "cause")
    rows = rows.join(ends, ["customer", "spell"])
    last = rows.following.isnull()  # noqa: PD003
    event = last & rows.churned
    flags = _flags(indicators)
    values: dict[str, ir.Value] = {}
    for name in indicators:
        if name in flags:
            i = flags.index(name)
            bit = ibis.literal(1 << (i % FLAGS_PER_PATTERN), "int64")
            values[name] = ((rows[f"pattern{i // FLAGS_PER_PATTERN}"] & bit) > 0).cast("int8")
        else:
            level = rows[f"level_{name}"]
            values[name] = level if level.type().is_string() else level.cast("float64")
    return rows.select(
        "customer",
        "spell",
        start=rows["at"],
        stop=last.ifelse(rows.exit, rows.following),
        event=event.cast("int8"),
        began=(rows["at"] == rows.entry).cast("int8"),
        ended=last.cast("int8"),
        cause=event.ifelse(rows.cause, ibis.null("string")),
        **values,
    )


def _totals(tables: Tables, table: ir.Table) -> tuple[int, int, int, int]:
    sums = table.aggregate(
        customers=table.customer.nunique(),
        rows=table.count(),
        events=table.event.sum(),
        days=(table.stop - table.start).sum(),
    )
    row = tables.engine.rows(sums)[0]
    return int(row["customers"]), int(row["rows"]), int(row["events"] or 0), int(row["days"] or 0)
