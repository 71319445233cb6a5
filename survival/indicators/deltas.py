"""Deltas: on which day a running sum changes for whom, and by how much. Levels are running sums of deltas.

A channel is one running sum. Equal channels, of two indicators on the same window, are summed once. Amounts are whole
numbers held as float64: exact up to 2^53, whatever the order of summation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir

from survival.churn.where import accepted

if TYPE_CHECKING:
    from survival.data import Tables

Conditions = tuple[tuple[str, tuple[str, ...]], ...]  # a hashable `where`


def conditions(where: Mapping[str, tuple[str, ...]]) -> Conditions:
    """`where` as a value that channels can be compared by."""
    return tuple(sorted(where.items()))


@dataclass(frozen=True)
class Channel:
    """One running sum; `shift` moves each of its changes so many days later."""

    shift: int

    def deltas(self, tables: Tables) -> ir.Table:
        """customer, day (epoch day, before the shift), amount (float64, whole numbers)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Lived(Channel):
    """0 until `shift` days have passed since signup, then 1."""

    def deltas(self, tables: Tables) -> ir.Table:
        """One change per customer."""
        people = tables.customers
        return people.select(customer=people.customer, day=people.signup, amount=ibis.literal(1.0))


@dataclass(frozen=True)
class Trailing(Channel):
    """What happened in the last `window` days: a sum of `quantity` (scaled to whole numbers) or of `active_days`.

    The scan of its table is shared with the other trailing sums (streams.py), so it has no deltas of its own.
    """

    window: int
    table: str
    measure: str
    where: Conditions


@dataclass(frozen=True)
class Distinct(Channel):
    """How many different values of `column` occurred in the last `window` days; a null is no value."""

    window: int
    table: str
    column: str
    where: Conditions

    def deltas(self, tables: Tables) -> ir.Table:
        """+1 when a value is used after a pause of `window` days or more, -1 when `window` days have passed.

        Several uses on one day need no DISTINCT: between them the pause is 0.
        """
        facts = tables.facts[self.table]
        used = facts[self.column].notnull()
        condition = accepted(facts, dict(self.where), f"indicator on {self.table}")
        facts = facts.filter(used if condition is None else used & condition)
        days = facts.select("customer", "day", value=facts[self.column])
        order = ibis.window(group_by=["customer", "value"], order_by="day")
        days = days.mutate(before=days.day.lag().over(order), after=days.day.lead().over(order))
        comes = days.filter(days.before.isnull() | (days.before + self.window < days.day))
        goes = days.filter(days.after.isnull() | (days.after > days.day + self.window))
        return _changes(comes, comes.day, 1.0).union(_changes(goes, goes.day + self.window, -1.0))


@dataclass(frozen=True)
class Open(Channel):
    """How many rows are open: opened + `delay` <= d < closed; the part before signup is cut off."""

    table: str
    opened: str
    closed: str
    delay: int
    where: Conditions

    def deltas(self, tables: Tables) -> ir.Table:
        """+1 when a row opens, -1 when it closes; a row that is never open on a day has none."""
        facts = tables.facts[self.table]
        condition = accepted(facts, dict(self.where), f"indicator on {self.table}")
        facts = facts if condition is None else facts.filter(condition)
        rows = facts.join(tables.customers.select("customer", "signup"), "customer")
        start = rows[self.opened] + self.delay
        # Not GREATEST: it skips nulls, and an open end is a null.
        rows = rows.select("customer", start=(start < rows.signup).ifelse(rows.signup, start), end=rows[self.closed])
        rows = rows.filter(rows.end.isnull() | (rows.end > rows.start))
        closed = rows.filter(rows.end.notnull())
        return _changes(rows, rows.start, 1.0).union(_changes(closed, closed.end, -1.0))


@dataclass(frozen=True)
class LatestScore(Channel):
    """The latest score plus one, in force for `expires` days (None: for ever); 0: no answer is in force."""

    expires: int | None

    def deltas(self, tables: Tables) -> ir.Table:
        """Up on the day of an answer, down when the next one comes or it expires; two on a day: the lower."""
        facts = tables.facts["nps"]
        answers = facts.group_by("customer", "day").aggregate(score=facts.score.min())
        following = answers.day.lead().over(ibis.window(group_by="customer", order_by="day"))
        if self.expires is None:
            end = following
        else:
            stale = answers.day + self.expires
            end = (following < stale).fill_null(False).ifelse(following, stale)
        answers = answers.mutate(end=end, amount=(answers.score + 1).cast("float64"))
        over = answers.filter(answers.end.notnull())
        return _changes(answers, answers.day, answers.amount).union(_changes(over, over.end, -over.amount))


def _changes(rows: ir.Table, day: ir.IntegerValue, amount: ir.FloatingValue | float) -> ir.Table:
    value = ibis.literal(amount) if isinstance(amount, float) else amount
    return rows.select(customer=rows.customer, day=day.cast("int32"), amount=value)
