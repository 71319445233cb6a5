"""Checked tables: what every room above reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import ibis.expr.types as ir
import pandas as pd

from survival.data.engine import Engine
from survival.data.spec import Observed
from survival.findings import Finding


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

    def bucket(self, k: int) -> Tables:
        """The same tables for the customers of bucket k (0 <= k < buckets); shares the engine."""
        if not 0 <= k < self.buckets:
            raise ValueError(f"bucket must be in 0..{self.buckets - 1}, not {k}")
        if self.buckets == 1:
            return self

        first, end = _range(k, self.buckets, self.n_customers)
        return replace(
            self,
            customers=self.mine(self.customers, k),
            facts={name: self.mine(table, k) for name, table in self.facts.items()},
            n_customers=end - first,
        )

    def mine(self, rows: ir.Table, k: int) -> ir.Table:
        """Those of `rows` that are of the customers of bucket k."""
        return rows if self.buckets == 1 else of_bucket(rows, k, self.buckets, self.n_customers)

    def close(self) -> None:
        """Remove the scratch database; the tables cannot be read afterwards."""
        self.engine.close()

    def __enter__(self) -> Tables:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def of_bucket(rows: ir.Table, k: int, buckets: int, customers: int) -> ir.Table:
    """The rows of the k-th of `buckets` equal ranges of customers 0..customers-1."""
    first, end = _range(k, buckets, customers)
    return rows.filter((rows["customer"] >= first) & (rows["customer"] < end))


def _range(k: int, buckets: int, customers: int) -> tuple[int, int]:
    return k * customers // buckets, (k + 1) * customers // buckets
