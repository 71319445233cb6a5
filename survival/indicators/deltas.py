"""Deltas: on which day a running sum changes for whom, and by how much. Levels are running sums of deltas.

A channel is one running sum. Equal channels, of two indicators on the same window, are summed once. Amounts are whole
numbers held as float64: exact up to 2^53, whatever the order of summation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

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
class Unit:
    """What one unit of a running sum means: 10^-decimals, or, with `labels`, the k-th of them (1, 2, ...; 0: none).

    `bound` is the greatest absolute value of a sum.
    """

    decimals: int = 0
    bound: float = 2.0**31
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Channel:
    """One running sum; `shift` moves each of its changes so many days later."""

    snaps: ClassVar[bool] = True  # changes wait for the next mark; False: a change that was known beforehand
    shift: int

    @property
    def amounts(self) -> tuple[str, str] | None:
        """Table and column of the amounts that are summed, if they may have decimals; sets the unit."""
        return None

    def labels(self, tables: Tables) -> tuple[str, ...] | None:
        """What the levels 1, 2, ... are called, read from all the tables once; None: they are numbers."""
        return None

    def deltas(self, tables: Tables) -> ir.Table:
        """customer, day (epoch day, before the shift), amount (float64, whole numbers)."""
        raise NotImplementedError

    def scaled(self, tables: Tables, unit: Unit) -> ir.Table:
        """`deltas` in the unit that was found; a channel with `amounts` or `labels` writes this instead."""
        return self.deltas(tables)


@dataclass(frozen=True)
class Lived(Channel):
    """0 until `shift` days have passed since signup, then 1."""

    def deltas(self, tables: Tables) -> ir.Table:
        """One change per customer."""
        people = tables.customers
        return people.select(customer=people.customer, day=people.signup, amount=ibis.literal(1.0))


@dataclass(frozen=True)
class Age(Channel):
    """Days since signup, `shift` days ago; 0 before. It grows by itself at every mark (streams.py), without facts."""


@dataclass(frozen=True)
class Trailing(Channel):
    """What happened in the last `window` days: a sum of `quantity` (scaled to whole numbers) or of `active_days`.

    The scan of its table is shared with the other trailing sums (streams.py), so it has no deltas of its own.
    """

    window: int
    table: str
    measure: str
    where: Conditions

    @property
    def amounts(self) -> tuple[str, str] | None:
        """Quantities may have decimals."""
        return (self.table, "quantity") if self.measure == "quantity" else None


@dataclass(frozen=True)
class Distinct(Channel):
    """How many different values of `column` occurred in the last `window` days (None: ever); a null is no value.

    `among` names the values that count (empty: all).
    """

    window: int | None
    table: str
    column: str
    where: Conditions
    among: tuple[str, ...] = ()

    def deltas(self, tables: Tables) -> ir.Table:
        """+1 when a value is used after a pause of `window` days or more, -1 when `window` days have passed.

        Several uses on one day need no DISTINCT: between them the pause is 0.
        """
        days = self._days(tables)
        if self.window is None:
            firsts = days.group_by("customer", "value").aggregate(day=days.day.min())
            return delta_rows(firsts, firsts.day, 1.0)
        order = ibis.window(group_by=["customer", "value"], order_by="day")
        days = days.mutate(before=days.day.lag().over(order), after=days.day.lead().over(order))
        comes = days.filter(days.before.isnull() | (days.before + self.window < days.day))
        goes = days.filter(days.after.isnull() | (days.after > days.day + self.window))
        return delta_rows(comes, comes.day, 1.0).union(delta_rows(goes, goes.day + self.window, -1.0))

    def _days(self, tables: Tables) -> ir.Table:
        """customer, day, value: each use that counts."""
        facts = meeting(tables, self.table, self.where)
        facts = facts.filter(facts[self.column].notnull())
        if self.among:
            facts = facts.filter(facts[self.column].isin(self.among))
        return facts.select("customer", "day", value=facts[self.column])


@dataclass(frozen=True)
class Dated(Channel):
    """What happened in the last `window` days, as amounts dated by `dated`; what was before signup does not count."""

    window: int
    where: Conditions

    def dated(self, tables: Tables) -> ir.Table:
        """customer, day, amount (float64, whole numbers)."""
        raise NotImplementedError

    def deltas(self, tables: Tables) -> ir.Table:
        """The amount on its day, and back when the window has passed."""
        rows = self.dated(tables).join(tables.customers.select("customer", "signup"), "customer")
        rows = rows.filter(rows.day >= rows.signup)
        return delta_rows(rows, rows.day, rows.amount).union(delta_rows(rows, rows.day + self.window, -rows.amount))


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
        facts = meeting(tables, self.table, self.where)
        rows = facts.join(tables.customers.select("customer", "signup"), "customer")
        start = rows[self.opened] + self.delay
        # Not GREATEST: it skips nulls, and an open end is a null.
        rows = rows.select("customer", start=(start < rows.signup).ifelse(rows.signup, start), end=rows[self.closed])
        rows = rows.filter(rows.end.isnull() | (rows.end > rows.start))
        closed = rows.filter(rows.end.notnull())
        return delta_rows(rows, rows.start, 1.0).union(delta_rows(closed, closed.end, -1.0))


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
        return delta_rows(answers, answers.day, answers.amount).union(delta_rows(over, over.end, -over.amount))


def meeting(tables: Tables, table: str, where: Conditions) -> ir.Table:
    """The rows of a table that meet `where`."""
    facts = tables.facts[table]
    condition = accepted(facts, dict(where), f"indicator on {table}")
    return facts if condition is None else facts.filter(condition)


def delta_rows(rows: ir.Table, day: ir.IntegerValue, amount: ir.FloatingValue | float) -> ir.Table:
    """customer, day, amount, as `Channel.deltas` gives them."""
    value = ibis.literal(amount) if isinstance(amount, float) else amount
    return rows.select(customer=rows.customer, day=day.cast("int32"), amount=value)
