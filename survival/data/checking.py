"""The walk through the data room: raw sources -> one reason a row -> checked tables, ledger, findings, problems."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import ibis.expr.types as ir

from survival.data import contract as c
from survival.data.classify import coerced, first_day, staged_customers, staged_facts
from survival.data.contract import Column
from survival.data.duplicates import without_copies
from survival.data.engine import Engine, plainly
from survival.data.evidence import unreadable, values_of
from survival.data.finish import finished_customers, finished_facts
from survival.data.ledger import Count, conserve, counted
from survival.data.reading import Reading
from survival.data.source import Source
from survival.data.tables import of_bucket
from survival.errors import DataError

Progress = Callable[[str], None]


@dataclass
class Check:
    """One run of the checks; collects what it finds, so that one error can name every problem at once."""

    engine: Engine
    sources: Mapping[str, Source]
    readings: Mapping[str, Reading]
    until: int | None
    root: Path
    derive_from: str | None = None
    progress: Progress = lambda step: None
    counts: dict[str, Count] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    unreadable: dict[tuple[str, str], str] = field(default_factory=dict)
    staged: dict[str, ir.Table] = field(default_factory=dict)

    def customers(self) -> ir.Table | None:
        """The checked customers; None when they cannot be read."""
        reading = self.readings["customers"]
        if self.derive_from is None:
            staged = self._staged("customers", lambda: staged_customers(self._rows("customers"), reading, self.until))
        else:
            staged = self._staged("customers", lambda: staged_customers(self._derived(), reading, self.until))
        if staged is None:
            return None
        customers = finished_customers(self.engine, staged, reading)
        self._conserve("customers", customers)
        return customers

    def facts(self, name: str, customers: ir.Table) -> ir.Table | None:
        """A checked fact table; None when it cannot be read."""
        reading = self.readings[name]
        staged = self._staged(name, lambda: staged_facts(self._rows(name), customers, reading, self.until))
        if staged is None:
            return None
        facts = finished_facts(self.engine, staged, reading, self.until)
        self._conserve(name, facts)
        return facts

    def in_order_of_customers(self, name: str, buckets: int) -> None:
        """Write a staging table again, bucket by bucket: the engine then reads a bucket without passing over the others.

        Without it K buckets cost K passes over the whole table, and the time grows with the square of its rows.
        """
        staged, people = self.staged[name], self.counts["customers"].used
        if buckets == 1:
            return
        old = staged.get_name()
        ordered = self.engine.create(self.engine.fresh(old), staged.filter(staged["customer"].isnull()))
        for k in range(buckets):
            self.engine.insert(ordered.get_name(), of_bucket(staged, k, buckets, people))
        self.engine.drop(old)
        self.engine.view(old, ordered)

    def _rows(self, name: str) -> ir.Table:
        """All parts of a source, coerced to the same types."""
        reading = self.readings[name]
        textual = {
            a
            for a, source in reading.attributes.items()
            if not all(p.table[source].type().is_numeric() for p in self.sources[name].parts)
        }
        parts = [coerced(p.table, reading, self.engine.step, textual) for p in self.sources[name].parts]
        return parts[0] if len(parts) == 1 else parts[0].union(*parts[1:])

    def _derived(self) -> ir.Table:
        """Customers as the facts of another table show them: signup is the day of the first readable one."""
        name = str(self.derive_from)
        rows, reading = self._rows(name), self.readings[name]
        readable = rows.filter(~rows["_filtered"] & ~rows["_null"] & (rows["_column"] == 0))
        dated = readable.select("customer_id", "_filtered", "_null", "_column", _day=first_day(readable, reading))
        grouped = dated.group_by(["customer_id", "_filtered", "_null", "_column"]).aggregate(signup=dated["_day"].min())
        return grouped.select("customer_id", "signup", "_column", "_filtered", "_null")

    def _staged(self, name: str, expression: Callable[[], ir.Table]) -> ir.Table | None:
        """The staging table, judged and counted; a source that breaks while it is read is a problem."""
        self.progress(f"check {name}")
        reading = self.readings[name]
        try:
            with self.engine.small_right():
                staged = self.engine.create(f"{name}__rows", expression())
            staged, ambiguous = without_copies(self.engine, staged, reading)
            read = self._read(name, staged)
        except (DataError, duckdb.Error) as error:
            what = str(error) if isinstance(error, DataError) else plainly(error)
            self.problems.append(f"{name}: cannot be read: {what}")
            return None
        self.problems += ambiguous
        self.counts[name] = counted(self.engine, staged, read, reading)
        self.staged[name] = staged
        self._judge(name)
        return staged

    def _read(self, name: str, staged: ir.Table) -> int:
        """How many rows the source holds, counted apart from the classification."""
        if name == "customers" and self.derive_from is not None:
            return self.engine.count(staged)  # what is read here are the ids that another table's rows gave
        return sum(self.engine.count(p.table) for p in self.sources[name].parts)

    def _judge(self, name: str) -> None:
        """Unreadable values, an unreadable end, a filter that keeps nothing."""
        count, reading = self.counts[name], self.readings[name]
        for column, rows in count.unreadable.items():
            self.unreadable[name, column.name] = self._evidence(name, column, rows)
        ends = [text for (table, column), text in self.unreadable.items() if (table, column) == (name, "ended_on")]
        self.problems += [f"{name}: {text}. A churn would vanish with each of these rows" for text in ends]
        unread = sum(count.unreadable.values())
        if not ends and unread and unread == count.meant - count.reasons.get(c.NULL_KEY, 0):
            texts = [text for (table, _), text in self.unreadable.items() if table == name]
            self.problems += [f"{name}: no row can be read: {'; '.join(texts)}"]
        if count.read and not count.meant:
            held = {s: values_of(self.engine, self.sources[name], s) for s in reading.where}
            shown = "; ".join(f"{s} holds {', '.join(map(repr, values)) or 'nothing'}" for s, values in held.items())
            self.problems.append(f"{name}: `where` keeps none of {count.read:,} rows: {shown}")

    def _evidence(self, name: str, column: Column, rows: int) -> str:
        return unreadable(self.engine, self.sources[name], self.readings[name], column, rows, self.root)

    def _conserve(self, name: str, checked: ir.Table) -> None:
        conserve(self.counts[name], self.engine.count(checked))
