"""Filters that depend on the outcome: rows that were set aside more often because somebody left."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from survival.churn.definition import FOREVER
from survival.data import Tables
from survival.data import contract as c
from survival.data.contract import CONTRACT
from survival.findings import Finding

_EARLY = 31  # days within which a subscription ends early
_RECENT = 30  # days before until
_DIFFERENCE = 0.05  # of the shares set aside
_ODDS = 2.0
_SURPRISE = 4.0  # standard errors
_NOT_FILTERS = (c.DUPLICATE, c.AFTER)  # copies, and what has not happened yet


@dataclass(frozen=True)
class Shares:
    """How many rows of two groups there are, and how many of them were set aside."""

    rows: tuple[int, int]
    aside: tuple[int, int]

    @property
    def differ(self) -> bool:
        """Whether the first group loses a larger share, by far more than chance."""
        (n1, n0), (a1, a0) = self.rows, self.aside
        if not n1 or not n0:
            return False
        p1, p0, p = a1 / n1, a0 / n0, (a1 + a0) / (n1 + n0)
        error = sqrt(p * (1 - p) * (1 / n1 + 1 / n0))
        odds = (a1 + 0.5) * (n0 - a0 + 0.5) / ((n1 - a1 + 0.5) * (a0 + 0.5))
        return p1 - p0 >= _DIFFERENCE and odds >= _ODDS and p1 - p0 >= _SURPRISE * error

    def words(self, first: str, second: str) -> str:
        """`12 of 40 that ended (30.0%), 0 of 50 that run (0.0%)`."""
        both = zip(self.aside, self.rows, (first, second))
        return ", ".join(f"{a:,} of {n:,} {what} ({a / n:.1%})" for a, n, what in both)


def filters(tables: Tables, read: Collection[str]) -> tuple[Finding, ...]:
    """Set-aside rows of the tables in `read` whose share depends on leaving, on leaving early, or on being gone."""
    return (*_ended(tables, read), *_gone(tables, read))


def _ended(tables: Tables, read: Collection[str]) -> Iterator[Finding]:
    """Subscriptions: those that ended against those that run, and those that ended early against those that ended later."""
    if "subscriptions" not in read or "subscriptions" not in tables.staged:
        return
    rows = _judged(tables.staged["subscriptions"])
    ended = (rows.ended <= (FOREVER if tables.until_day is None else tables.until_day)).fill_null(False)
    length = ended.ifelse(rows.ended - rows.started, ibis.null("int32"))
    rows = rows.mutate(over=ended, early=(length <= _EARLY).fill_null(False))
    counted = _counted(tables, rows.group_by("_reason", "over", "early"))
    reasons = _reasons(counted)
    first = _shares(counted, counted["over"], ~counted["over"])
    if first.differ:
        yield _finding(
            "subscriptions", f"subscriptions that ended are set aside more often than those that run: "
            f"{first.words('that ended', 'that run')}", reasons, first,
        )  # fmt: skip
    second = _shares(counted, counted["over"] & counted["early"], counted["over"] & ~counted["early"])
    if second.differ:
        yield _finding(
            "subscriptions", f"subscriptions that ended within {_EARLY} days are set aside more often than those that ended "
            f"later: {second.words('early', 'later')}. Without early leavers retention looks better than it is", reasons, second,
        )  # fmt: skip


def _gone(tables: Tables, read: Collection[str]) -> Iterator[Finding]:
    """Rows of customers who are not among the customers: when the left ones were removed, these rows become rare at the end."""
    if tables.until_day is None:
        return
    for name in tables.facts:
        if name not in read or name not in tables.staged or name == "subscriptions":
            continue
        rows = tables.staged[name]
        unknown = rows["_reason"] == c.UNKNOWN
        rows = rows.filter(unknown | (rows["_reason"] == c.USED))
        recent = rows[CONTRACT[name].first] > tables.until_day - _RECENT
        counted = _counted(tables, rows.mutate(recent=recent.fill_null(False)).group_by("_reason", "recent"))
        shares = _shares(counted, ~counted["recent"], counted["recent"])
        if shares.differ:
            text = (
                f"{name}: rows of customers who are not among the customers are common before the last {_RECENT} days and rare "
                f"in them: {shares.words('earlier', 'recent')}. It looks as if customers who left were removed"
            )
            yield _finding(name, text, "unknown customer", shares)


def _judged(rows: ir.Table) -> ir.Table:
    return rows.filter(rows["_reason"].notin(_NOT_FILTERS))


def _counted(tables: Tables, groups: Any) -> pd.DataFrame:
    frame = tables.engine.arrow(groups.aggregate(n=ibis._.count())).to_pandas()
    flags = {name: frame[name].fillna(False).astype(bool) for name in ("over", "early", "recent") if name in frame}
    return frame.assign(aside=frame["_reason"] != c.USED, **flags)


def _shares(counted: pd.DataFrame, first: pd.Series, second: pd.Series) -> Shares:
    def total(mine: pd.Series) -> int:
        return int(counted.loc[mine, "n"].sum())

    aside = counted["aside"]
    return Shares((total(first), total(second)), (total(first & aside), total(second & aside)))


def _reasons(counted: pd.DataFrame) -> str:
    by_reason = counted[counted["aside"]].groupby("_reason")["n"].sum().sort_values(ascending=False)
    return ", ".join(c.REASONS[int(code)] for code in by_reason.index)


def _finding(table: str, text: str, reasons: str, shares: Shares) -> Finding:
    message = (
        f"{text} (reasons: {reasons}). A filter that depends on the outcome bends every result: filter by what was known at "
        "signup, or keep all rows; if this is meant, allow it with the reason"
    )
    figure = f"{shares.aside[0]}/{shares.rows[0]} against {shares.aside[1]}/{shares.rows[1]}"
    return Finding("outcome-dependent-filter", "warning", table, message, figure)
