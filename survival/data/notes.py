"""Findings about the data: what a reader of the results should know, with the numbers and a way out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping

import ibis
import ibis.expr.types as ir

from survival.data import contract as c
from survival.data.checking import Check
from survival.data.evidence import NO_VALUE, nulls_hint, strangers
from survival.data.ledger import Count
from survival.findings import Finding

_EPOCH = dt.date(1970, 1, 1)
_TOO_MANY = 0.05  # share of a table set aside above which the reader is warned
_LATE = 30  # days between the first signup and the first fact above which the log is taken to begin late
_STEADY = ("subscriptions", "usage", "orders")  # a first survey or ticket may well come late


def findings(
    check: Check, customers: ir.Table, facts: Mapping[str, ir.Table], from_day: int | None
) -> tuple[Finding, ...]:
    """All findings of the data room, in the order of the tables."""
    return (
        *_unreadable(check),
        *_set_aside(check, customers),
        *_entries(check, customers, from_day),
        *_late_logs(check, customers, facts, from_day),
        *_attributes(check),
        *_mixed(check, customers),
    )


def _unreadable(check: Check) -> Iterator[Finding]:
    for (table, column), text in check.unreadable.items():
        yield Finding(
            "unreadable-values",
            "warning",
            f"{table}.{column}",
            f"{table}: {text}. These rows are set aside",
            str(next(n for k, n in check.counts[table].unreadable.items() if k.name == column)),
        )


def _set_aside(check: Check, customers: ir.Table) -> Iterator[Finding]:
    for name, count in check.counts.items():
        if not count.read:
            yield Finding(
                "empty-table", "warning", name, f"{name}: the source has no rows; nothing is known from it", "0"
            )
        elif count.lost > _TOO_MANY * count.meant:
            why = ", ".join(f"{n:,} {c.REASONS[code]}" for code, n in _lost(count))
            who = ""
            if count.reasons.get(c.UNKNOWN) and name in check.sources:
                who = f". {strangers(check.engine, check.sources[name], check.readings[name], customers)}"
            yield Finding(
                "set-aside",
                "warning",
                name,
                f"{name}: {count.lost:,} of {count.meant:,} rows {'is' if count.lost == 1 else 'are'} set aside "
                f"({count.lost / count.meant:.1%}): {why}{who}. "
                "See ledger.csv; mend the source, or say with `where` which rows are meant",
                f"{count.lost / count.meant:.1%} of rows",
            )


def _lost(count: Count) -> list[tuple[int, int]]:
    return sorted((code, n) for code, n in count.reasons.items() if code > c.FILTERED and n)


def _entries(check: Check, customers: ir.Table, from_day: int | None) -> Iterator[Finding]:
    if from_day is None:
        return
    late = check.engine.count(customers.filter(customers["signup"] < from_day))
    if late:
        total = check.counts["customers"].used
        yield Finding(
            "late-entry",
            "note",
            "customers",
            f"{late:,} of {total:,} customers signed up before observed.from ({_day(from_day)}): they are at risk only from "
            "then on (after the warm-up), and those who left earlier are not in the data",
            f"{late / total:.1%} of customers",
        )


def _late_logs(
    check: Check, customers: ir.Table, facts: Mapping[str, ir.Table], from_day: int | None
) -> Iterator[Finding]:
    """The first fact comes much later than the first signup (or `from`): the log began late, and silence is no fact."""
    begin = check.engine.rows(customers.aggregate(day=customers["signup"].min()))[0]["day"]
    if begin is None:
        return
    since = begin if from_day is None else max(begin, from_day)
    what = "the first signup" if since == begin else "observed.from"
    for name, table in facts.items():
        first = check.engine.rows(table.aggregate(day=table[c.CONTRACT[name].first].min()))[0]["day"]
        if first is not None and first - since > _LATE:
            yield Finding(
                "log-starts-late",
                "warning" if name in _STEADY else "note",
                name,
                f"{name}: the first row is dated {_day(first)}, {first - since:,} days after {what} ({_day(since)}). If the "
                f"log began then, customers of before enter late: set observed.from to {_day(first)} or later",
                f"{first - since:,} days",
            )


def _attributes(check: Check) -> Iterator[Finding]:
    names = list(check.readings["customers"].attributes)
    if names:
        yield Finding(
            "attributes-as-of-signup",
            "note",
            "customers",
            f"the attributes {', '.join(names)} are taken to be as of signup; this cannot be checked from the data. The "
            "hazard ratio of one that was changed later (a current plan, a last login) looks better than it is",
            f"{len(names)} attribute{'' if len(names) == 1 else 's'}",
        )


_DECIMAL_COMMA = r"^[+-]?[0-9][0-9.]*,[0-9]+$"


def _mixed(check: Check, customers: ir.Table) -> Iterator[Finding]:
    """Attributes that hold numbers but for some rows: they are read as text, and a formula would make a level of each number."""
    texts = [name for name in check.readings["customers"].attributes if customers[name].type().is_string()]
    for name in texts:
        column = customers[name]
        read = column.strip().try_cast("float64")
        number = (read.isnan() | read.isinf()).ifelse(ibis.null("float64"), read)
        text = column.notnull() & number.isnull()
        commas = text & column.strip().re_search(_DECIMAL_COMMA)
        counts = customers.aggregate(
            text=text.sum(),
            numbers=number.notnull().sum(),
            one=column.min(where=text),
            commas=commas.sum(),
            such=column.min(where=commas),
        )
        row = check.engine.rows(counts)[0]
        if row["commas"] and row["commas"] == row["text"]:
            yield Finding(
                "text-among-numbers",
                "warning",
                f"customers.{name}",
                f"{name} holds decimal commas, such as {row['such']!r}, in {row['commas']:,} rows: it is read as text, and a formula would "
                "compare every number as a level of its own. Write the numbers with a point",
                f"{row['commas']:,} of {row['text'] + row['numbers']:,} values",
            )
            continue
        if row["text"] and row["numbers"] > row["text"]:
            yield Finding(
                "text-among-numbers",
                "warning",
                f"customers.{name}",
                f"{name} holds numbers in {row['numbers']:,} rows and text such as {row['one']!r} in {row['text']:,}: it is read as "
                "text, and a formula would compare every number as a level of its own. Mend those rows, or leave them out with "
                f"`where`{_or_nulls(name, row['one'])}",
                f"{row['text']:,} of {row['text'] + row['numbers']:,} values",
            )


def _or_nulls(column: str, text: str) -> str:
    return f". {nulls_hint('customers', column, [text])}" if text.lower() in NO_VALUE else ""


def _day(epoch_day: int) -> str:
    return (_EPOCH + dt.timedelta(days=epoch_day)).isoformat()
