"""What real exports carry besides the facts: rows that a reader must set aside, each for one reason, counted here.

No row here changes the truth once it is set aside by the rules of the tables contract. Usage, orders and NPS have no
identifier, so two equal rows are two facts there, and none is repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from survival.simulate.calendar import NEVER
from survival.simulate.customers import Customers, stream
from survival.simulate.scenario import Scenario, epoch_day
from survival.simulate.tables import SCHEMAS, dates, numbered, times

_SHARE = 0.001  # of a table's rows, for each kind of dirt; at least two rows
_AFTER_UNTIL = 10  # facts dated up to so many days after `until`
_BEFORE_SIGNUP = 20  # and so many before signup

_KINDS: Mapping[str, Sequence[str]] = {
    "customers": ["null key", "duplicate", "after until"],
    "subscriptions": ["unknown customer", "duplicate", "ended before it started", "after until"],
    "usage": ["null key", "unknown customer", "after until", "before signup"],
    "orders": ["unknown customer", "after until", "before signup"],
    "nps": ["unknown customer", "out of range", "after until", "before signup"],
    "tickets": ["unknown customer", "duplicate", "ended before it started", "after until", "before signup"],
    "invoices": ["unknown customer", "duplicate", "after until"],
}
_BEGINS = {
    "customers": "signed_up_on",
    "subscriptions": "started_on",
    "usage": "used_on",
    "orders": "ordered_on",
    "nps": "answered_on",
    "tickets": "opened_on",
    "invoices": "due_on",
}
_ENDS = {"subscriptions": "ended_on", "tickets": "resolved_on", "invoices": "paid_on"}
_IDS = {"subscriptions": "subscription_id", "tickets": "ticket_id", "invoices": "invoice_id"}
_SPOILT: Mapping[str, Sequence[Mapping[str, str]]] = {
    "customers": [{"signed_up_on": "soon"}],
    "subscriptions": [{"started_on": "31/31/2023"}],
    "usage": [{"used_on": "2023-02-30"}, {"used_on": "2024-03-01", "quantity": "many"}],
    "orders": [{"ordered_on": "2024-03-01", "amount": "see invoice"}],
    "nps": [{"answered_on": "2024-03-01", "score": "very good"}],
    "tickets": [{"opened_on": "yesterday"}],
    "invoices": [{"due_on": "on receipt"}],
}


def unreadable(customers: Customers) -> dict[str, list[dict[str, str]]]:
    """For CSV: table -> lines with a value that cannot be read, of known customers; never an unreadable end."""
    lines: dict[str, list[dict[str, str]]] = {}
    who = cycle(numbered("C", np.arange(1, min(customers.n, 50) + 1)).to_pylist())
    for name, spoilt in _SPOILT.items():
        lines[name] = []
        for place, values in enumerate(spoilt):
            owner = f"test{place}" if name == "customers" else next(who)
            ids = {_IDS[name]: f"lost{place}"} if name in _IDS else {}
            filled = {"plan": "basic"} if name == "subscriptions" else {}
            filled |= {"feature": "email"} if name == "usage" else {}
            lines[name].append({"customer_id": owner, **ids, **filled, **values})
    return lines


class Dirt:
    """Makes dirty rows for tables; `set_aside[table][reason]` counts them under the ledger's reasons."""

    def __init__(self, scenario: Scenario, customers: Customers, left_on: NDArray[np.int64], seed: int) -> None:
        self._rng = stream(seed, "dirt")
        self._begin, self._until = epoch_day(scenario.logs_from), scenario.last_day
        self._ids = numbered("C", np.arange(1, customers.n + 1))
        self._signup = customers.signup
        self._running = np.flatnonzero(left_on == 0)
        self._recent = np.flatnonzero(customers.signup > self._begin + _BEFORE_SIGNUP)
        self.set_aside: dict[str, Counter[str]] = {name: Counter() for name in SCHEMAS}

    def soil(self, name: str, clean: pa.Table) -> pa.Table:
        """`clean` with dirty rows among it, in random order."""
        soiled = pa.concat_tables([clean, self.rows(name, clean, clean.num_rows)])
        return soiled.take(pa.array(self._rng.permutation(soiled.num_rows)))

    def rows(self, name: str, like: pa.Table, of: int) -> pa.Table:
        """Dirty rows for a table of `of` rows, made after the example of the clean rows `like`."""
        count = max(2, round(_SHARE * of))
        pieces = [like.slice(0, 0)]
        for reason in _KINDS[name] if like.num_rows else ():
            piece = self._make(name, reason, like.take(pa.array(self._rng.integers(0, like.num_rows, count))))
            if piece is not None:
                self.set_aside[name][reason] += count
                pieces.append(piece)
        return pa.concat_tables(pieces)

    def _make(self, name: str, reason: str, rows: pa.Table) -> pa.Table | None:
        """`rows` spoilt so that they must be set aside for `reason`; None when no customer fits."""
        n = rows.num_rows
        if reason == "duplicate":
            return rows  # exact copies, each beyond its original
        rows = self._renumber(name, reason, rows)
        if reason == "null key":
            column = "signed_up_on" if name == "customers" else "customer_id"
            return _replace(rows, column, pa.nulls(n, rows.schema.field(column).type))
        if reason in ("unknown customer", "ended before it started", "out of range"):
            return self._spoil(name, reason, rows)
        who = self._running if reason == "after until" else self._recent
        if not len(who):
            return None
        who = self._rng.choice(who, n)
        ahead, behind = self._rng.integers(1, _AFTER_UNTIL + 1, n), self._rng.integers(2, _BEFORE_SIGNUP, n)
        day = self._until + ahead if reason == "after until" else self._signup[who] - behind
        end = np.full(n, NEVER) if reason == "after until" else day + 1
        if name != "customers":
            rows = _replace(rows, "customer_id", self._ids.take(pa.array(who)))
        return self._date(name, rows, day, end)

    def _renumber(self, name: str, reason: str, rows: pa.Table) -> pa.Table:
        """New identifiers, so that no spoilt row is taken for a copy."""
        column = "customer_id" if name == "customers" else _IDS.get(name)
        if column is None:
            return rows
        letter = "".join(word[0] for word in reason.split()).upper()
        return _replace(rows, column, numbered(f"{letter}-", np.arange(1, rows.num_rows + 1)))

    def _spoil(self, name: str, reason: str, rows: pa.Table) -> pa.Table:
        n = rows.num_rows
        if reason == "unknown customer":  # the ids of those who signed up after `until` are among them
            ghosts = (
                numbered("AU-", np.arange(1, n + 1)) if name == "subscriptions" else numbered("X", np.arange(1, n + 1))
            )
            return _replace(rows, "customer_id", ghosts)
        if reason == "out of range":
            return _replace(rows, "score", pa.array(np.full(n, 11, dtype=np.int32)))
        day = self._rng.integers(self._begin, self._until, n)
        return self._date(name, rows, day, day - self._rng.integers(2, 40, n))

    def _date(self, name: str, rows: pa.Table, day: NDArray[np.int64], end: NDArray[np.int64]) -> pa.Table:
        rows = _replace(rows, _BEGINS[name], _as_column(rows, _BEGINS[name], day))
        if name in _ENDS:
            rows = _replace(rows, _ENDS[name], _as_column(rows, _ENDS[name], end))
        return rows


def _as_column(rows: pa.Table, column: str, days: NDArray[np.int64]) -> pa.Array:
    if pa.types.is_timestamp(rows.schema.field(column).type):
        return times(days, np.full(len(days), 43_200))
    return dates(days)


def _replace(rows: pa.Table, column: str, values: pa.Array) -> pa.Table:
    place = rows.schema.get_field_index(column)
    return rows.set_column(place, rows.schema.field(place), values)
