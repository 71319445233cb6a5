"""Checked tables: what every room above reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import ibis.expr.types as ir
import pandas as pd

from survival.data.engine import Engine
from survival.data.spec import Observed
from survival.errors import MemoryLimitError
from survival.findings import Finding

Progress = Callable[[int, int], None]  # parts done, parts in all


@dataclass(frozen=True, eq=False)
class Tables:
    """Checked facts in a scratch database; close it, or use it in a `with` block.

    customers   one row a customer: customer int32 (0..n-1), customer_id, signup int32 epoch day, attributes
    facts       logical name -> Ibis table, columns as in the contract; days are int32 epoch days
    from_day    epoch day from which the logs are complete, or None; until_day likewise the last day known
    ledger      [table, rows_read, used, set_aside, reason, rows]: one row per table and reason, `used` among them
    findings    what the reader should know about the data
    fingerprint table -> file -> size and sha256 of the inputs
    buckets     K; `bucket(k)` has the k-th of K equal ranges of customers
    staged      logical name -> every row as it was read, with its reason under `_reason` (0: used); for the audit
    numbers     the numbers among which the customers' are, by default 0..n-1; `is_part`: these are a bucket of others
    """

    engine: Engine
    customers: ir.Table
    facts: Mapping[str, ir.Table]
    observed: Observed
    from_day: int | None
    until_day: int | None
    ledger: pd.DataFrame
    findings: tuple[Finding, ...]
    fingerprint: Mapping[str, Mapping[str, Any]]
    n_customers: int
    buckets: int
    staged: Mapping[str, ir.Table] = field(default_factory=dict)
    numbers: range | None = None
    is_part: bool = False

    @property
    def _numbers(self) -> range:
        return range(self.n_customers) if self.numbers is None else self.numbers

    def bucket(self, k: int) -> Tables:
        """The same tables for the customers of bucket k (0 <= k < buckets); shares the engine."""
        if not 0 <= k < self.buckets:
            raise ValueError(f"bucket must be in 0..{self.buckets - 1}, not {k}")
        return self if self.buckets == 1 else self._within(part_of(self._numbers, k, self.buckets))

    def _within(self, numbers: range) -> Tables:
        """The same tables for the customers of these numbers."""
        return replace(
            self,
            customers=_of(self.customers, numbers),
            facts={name: _of(table, numbers) for name, table in self.facts.items()},
            n_customers=len(numbers),
            buckets=1,
            numbers=numbers,
            is_part=True,
        )

    def mine(self, rows: ir.Table) -> ir.Table:
        """Those of `rows` that are of the customers of these tables, when they are a bucket of others."""
        return _of(rows, self._numbers) if self.is_part else rows

    def filled(self, name: str, rows: Callable[[Tables], ir.Table], progress: Progress | None = None) -> ir.Table:
        """The table `name` of the scratch database, with `rows` of each bucket; buckets too large for the memory are halved.

        `rows` gives what is to be computed for the customers of some tables, and needs no others for it. `progress` is told
        how many parts are done, and how many there are.
        """
        waiting = [self.bucket(k) for k in range(self.buckets)]
        table: ir.Table | None = None
        done = 0
        while waiting:
            part = waiting.pop(0)
            try:
                found = rows(part)
                if table is None:
                    table = self.engine.create(name, found)
                else:
                    self.engine.insert(name, found)
            except MemoryLimitError:
                if part.n_customers < 2:
                    raise
                # The others are of about the same size.
                waiting = [p._within(part_of(p._numbers, k, 2)) for p in (part, *waiting) for k in (0, 1)]
                continue
            done += 1
            if progress is not None:
                progress(done, done + len(waiting))
        assert table is not None  # there is at least one bucket
        return table

    def close(self) -> None:
        """Remove the scratch database; the tables cannot be read afterwards."""
        self.engine.close()

    def __enter__(self) -> Tables:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def part_of(numbers: range, k: int, parts: int) -> range:
    """The k-th of `parts` equal parts of the numbers."""
    n = len(numbers)
    return numbers[k * n // parts : (k + 1) * n // parts]


def of_bucket(rows: ir.Table, k: int, buckets: int, customers: int) -> ir.Table:
    """The rows of the k-th of `buckets` equal ranges of customers 0..customers-1."""
    return _of(rows, part_of(range(customers), k, buckets))


def _of(rows: ir.Table, numbers: range) -> ir.Table:
    return rows.filter((rows["customer"] >= numbers.start) & (rows["customer"] < numbers.stop))
