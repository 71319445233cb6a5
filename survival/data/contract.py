"""The tables contract: the logical tables of a study, their columns, and what each becomes once checked.

Everything that follows (opening, coercing, classifying, counting) reads this file; nothing else knows a column's name or type.
All days are int32 epoch days (days since 1970-01-01).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["id", "text", "date", "number", "count", "flag"]

CHECKED_TYPES: dict[Kind, str] = {
    "id": "string",
    "text": "string",
    "date": "int32",
    "number": "float64",
    "count": "int32",
    "flag": "boolean",
}


@dataclass(frozen=True)
class Column:
    """A logical column: what users call it, what kind of value it holds, and its name in the checked table.

    `required` must be there for the table to be used at all; `key` columns that are read may not be null, except where
    `nullable` gives null a meaning (a running subscription, an open ticket). `welcome` columns change what a row says (how
    much was used, why somebody left): they are read where the source has them, unless a caller names the optional ones.
    """

    name: str
    kind: Kind
    stored: str
    required: bool = False
    key: bool = False
    nullable: bool = False
    low: float | None = None
    high: float | None = None
    fill: float | None = None
    welcome: bool = False

    @property
    def type(self) -> str:
        """The Ibis type of the checked column."""
        return CHECKED_TYPES[self.kind]


@dataclass(frozen=True)
class LogicalTable:
    """A logical table: its columns, its identifier, and the dates that place a row in time.

    `first` and `last` are checked columns: a point fact has only `first`, an interval reaches from `first` to `last`
    (null = still running). `ordered` says that last < first is impossible (an invoice may well be paid before it is due).
    """

    name: str
    columns: tuple[Column, ...]
    identifier: str | None = None
    first: str = "day"
    last: str | None = None
    ordered: bool = True
    open_ended: bool = False  # takes further columns as attributes under their own names

    def column(self, name: str) -> Column:
        """The column users call `name`."""
        return next(c for c in self.columns if c.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        """The logical names, in the order of the contract."""
        return tuple(c.name for c in self.columns)


def _customer() -> Column:
    return Column("customer_id", "id", "customer_id", required=True, key=True)


def _day(name: str, stored: str = "day") -> Column:
    return Column(name, "date", stored, required=True, key=True)


def _end(name: str, stored: str) -> Column:
    return Column(name, "date", stored, required=True, key=True, nullable=True)


CONTRACT: dict[str, LogicalTable] = {
    t.name: t
    for t in (
        LogicalTable(
            "customers",
            (
                _customer(),
                _day("signed_up_on", "signup"),
                Column("tenure", "number", "tenure", low=0, high=100_000),
                Column("churned", "flag", "churned"),
                Column("churned_on", "date", "churned_on"),
            ),
            identifier="customer_id",
            first="signup",
            open_ended=True,
        ),
        LogicalTable(
            "subscriptions",
            (
                _customer(),
                _day("started_on", "started"),
                _end("ended_on", "ended"),
                Column("plan", "text", "plan", key=True),
                Column("subscription_id", "id", "subscription_id"),
                Column("mrr", "number", "mrr"),
                Column("billing_period_months", "count", "billing_period_months"),
                Column("end_reason", "text", "end_reason", welcome=True),
                Column("auto_renew", "flag", "auto_renew"),
                Column("is_trial", "flag", "is_trial"),
            ),
            identifier="subscription_id",
            first="started",
            last="ended",
        ),
        LogicalTable(
            "usage",
            (
                _customer(),
                _day("used_on"),
                Column("feature", "text", "feature", key=True),
                Column("quantity", "number", "quantity", low=0, fill=1, welcome=True),
                Column("member_id", "id", "member_id"),
            ),
        ),
        LogicalTable("orders", (_customer(), _day("ordered_on"), Column("amount", "number", "amount"))),
        LogicalTable(
            "nps",
            (
                _customer(),
                _day("answered_on"),
                Column("score", "count", "score", required=True, key=True, low=0, high=10),
            ),
        ),
        LogicalTable(
            "tickets",
            (
                _customer(),
                _day("opened_on", "opened"),
                _end("resolved_on", "resolved"),
                Column("ticket_id", "id", "ticket_id"),
                Column("category", "text", "category"),
                Column("priority", "text", "priority"),
            ),
            identifier="ticket_id",
            first="opened",
            last="resolved",
        ),
        LogicalTable(
            "invoices",
            (
                _customer(),
                _day("due_on", "due"),
                _end("paid_on", "paid"),
                Column("invoice_id", "id", "invoice_id"),
                Column("amount", "number", "amount"),
                Column("method", "text", "method"),
            ),
            identifier="invoice_id",
            first="due",
            last="paid",
            ordered=False,
        ),
    )
}

# The one reason of a row set aside, in the order in which they are judged; the position is the code in the scratch tables.
REASONS = (
    "used",
    "filtered",
    "null key",
    "unreadable value",
    "unknown customer",
    "duplicate",
    "ended before it started",
    "out of range",
    "after until",
    "before signup",
)
USED, FILTERED, NULL_KEY, UNREADABLE, UNKNOWN, DUPLICATE, ENDED_EARLY, RANGE, AFTER, BEFORE = range(len(REASONS))


def nearest(name: str, allowed: Iterable[str]) -> str:
    """A hint for a name that is not there, ` (did you mean 'plan'?)`, or nothing when no name is near."""
    by_folded = {a.casefold(): a for a in allowed}
    near = difflib.get_close_matches(name.casefold(), list(by_folded), n=1, cutoff=0.6)
    return f" (did you mean {by_folded[near[0]]!r}?)" if near else ""
