"""The seven logical tables as raw columns: codes become ids and names, sentinels become nulls, later dates are unknown yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from survival.simulate.billing import END_REASONS, METHODS
from survival.simulate.calendar import NEVER, Rows
from survival.simulate.company import Lives
from survival.simulate.customers import CHANNELS, COUNTRIES, PLANS, SEGMENTS, Customers, stream
from survival.simulate.scenario import Scenario, epoch_day
from survival.simulate.support import CATEGORIES, PRIORITIES
from survival.simulate.usage import FEATURES

_TEXT, _DATE, _TIME, _NUMBER, _WHOLE, _FLAG = (
    pa.string(),
    pa.date32(),
    pa.timestamp("s"),
    pa.float64(),
    pa.int32(),
    pa.bool_(),
)
SCHEMAS: dict[str, pa.Schema] = {
    name: pa.schema([("customer_id", _TEXT), *columns])
    for name, columns in {
        "customers": [
            ("signed_up_on", _DATE),
            ("plan", _TEXT),
            ("segment", _TEXT),
            ("channel", _TEXT),
            ("country", _TEXT),
            ("seats", _WHOLE),
        ],
        "subscriptions": [
            ("subscription_id", _TEXT),
            ("started_on", _DATE),
            ("ended_on", _DATE),
            ("plan", _TEXT),
            ("mrr", _NUMBER),
            ("billing_period_months", _WHOLE),
            ("end_reason", _TEXT),
            ("auto_renew", _FLAG),
            ("is_trial", _FLAG),
        ],
        "usage": [("used_on", _DATE), ("feature", _TEXT), ("quantity", _WHOLE), ("member_id", _TEXT)],
        "orders": [("ordered_on", _DATE), ("amount", _NUMBER)],
        "nps": [("answered_on", _DATE), ("score", _WHOLE)],
        "tickets": [
            ("ticket_id", _TEXT),
            ("opened_on", _TIME),
            ("resolved_on", _TIME),
            ("category", _TEXT),
            ("priority", _TEXT),
        ],
        "invoices": [
            ("invoice_id", _TEXT),
            ("due_on", _DATE),
            ("paid_on", _DATE),
            ("amount", _NUMBER),
            ("method", _TEXT),
        ],
    }.items()
}
_EXPORT_DAYS = 14  # the export was made so long after `until`: resolutions and payments up to then are in it
_USAGE_PILOT_DAYS, _EARLIER_SHARE = 45, 0.4  # what there is of the time before the logs were complete


def dates(days: NDArray[np.int64]) -> pa.Array:
    """Epoch days as dates; NEVER is null."""
    return pa.array(days.astype(np.int32), pa.int32(), mask=days == NEVER).cast(_DATE)


def times(days: NDArray[np.int64], seconds: NDArray[np.int64]) -> pa.Array:
    """Epoch days and seconds of the day as timestamps without zone; NEVER is null."""
    return pa.array(days * 86_400 + seconds, pa.int64(), mask=days == NEVER).cast(_TIME)


def labels(codes: NDArray[Any], names: Sequence[str]) -> pa.Array:
    """Codes as text; a negative code is null."""
    return pa.array(list(names)).take(pa.array(codes.astype(np.int32), mask=codes < 0))


def numbered(letter: str, numbers: NDArray[Any]) -> pa.Array:
    """Ids: a letter and at least six digits."""
    digits = pc.utf8_lpad(pc.cast(pa.array(numbers), _TEXT), 6, "0")
    return pc.binary_join_element_wise(letter, digits, "")


class Tables:
    """Makes the raw tables of a company's `Lives`; rows from before the logs are there in part only.

    Open tickets and unpaid invoices of that time are all there, as they are when a company moves to a new system.
    """

    def __init__(self, scenario: Scenario, customers: Customers, seed: int) -> None:
        self._customers, self._seed = customers, seed
        self._logs_from = epoch_day(scenario.logs_from)
        self._until, self._exported_on = scenario.last_day, scenario.last_day + _EXPORT_DAYS
        self.ids = numbered("C", np.arange(1, customers.n + 1))
        self._usage_rng = stream(seed, "usage pilot")
        self._offsets = np.concatenate([[0], np.cumsum(customers.members)[:-1]])
        self._member_ids = self._name_members()

    def _name_members(self) -> pa.Array:
        """Ids of all members, customer after customer."""
        members = self._customers.members
        owner = np.repeat(np.arange(len(members)), members)
        number = np.arange(len(owner)) - np.repeat(self._offsets, members) + 1
        text = pc.utf8_lpad(pc.cast(pa.array(number), _TEXT), 2, "0")
        return pc.binary_join_element_wise(self.ids.take(pa.array(owner)), text, "-m")

    def customers(self) -> pa.Table:
        """One row a customer."""
        who = self._customers
        columns = [
            self.ids,
            dates(who.signup),
            labels(who.plan, PLANS),
            labels(who.segment, SEGMENTS),
            labels(who.channel, CHANNELS),
            labels(who.country, COUNTRIES),
            pa.array(who.seats),
        ]
        return pa.table(columns, SCHEMAS["customers"])

    def subscriptions(self, lives: Lives) -> pa.Table:
        """Chains of rows; renewal is unknown for a few, and so is the price."""
        rows, rng = lives.subscriptions.take(), stream(self._seed, "subscription attributes")
        who, plan, n = rows["customer"], rows["plan"], len(rows["customer"])
        renews = pa.array(rng.random(n) < 0.85, mask=rng.random(n) < 0.03)
        mrr = pa.array(lives.mrr(who, plan), mask=rng.random(n) < 0.005)
        columns = [
            self.ids.take(pa.array(who)),
            numbered("S", np.arange(1, n + 1)),
            dates(rows["started_on"]),
            dates(rows["ended_on"]),
            labels(plan, PLANS),
            mrr,
            pa.array(np.where(self._customers.annual[who], 12, 1).astype(np.int32)),
            labels(rows["end_reason"], END_REASONS),
            renews,
            pa.array(np.zeros(n, dtype=bool)),
        ]
        return pa.table(columns, SCHEMAS["subscriptions"])

    def usage(self, rows: Rows) -> pa.Table | None:
        """The uses gathered so far; None when there are none."""
        taken = rows.take()
        if not taken:
            return None
        day = taken["used_on"]
        pilot = (day >= self._logs_from - _USAGE_PILOT_DAYS) & (self._usage_rng.random(len(day)) < 0.5)
        kept = (day >= self._logs_from) | pilot
        who, day, feature, quantity, member = (
            taken[name][kept] for name in ("customer", "used_on", "feature", "quantity", "member")
        )
        columns = [
            self.ids.take(pa.array(who)),
            dates(day),
            labels(feature, FEATURES),
            pa.array(quantity),
            self._member_ids.take(pa.array(self._offsets[who] + member)),
        ]
        return pa.table(columns, SCHEMAS["usage"])

    def orders(self, lives: Lives) -> pa.Table:
        """Orders of add-ons."""
        rows = self._known(lives.orders.take(), "ordered_on", None)
        columns = [self.ids.take(pa.array(rows["customer"])), dates(rows["ordered_on"]), pa.array(rows["amount"])]
        return pa.table(columns, SCHEMAS["orders"])

    def nps(self, lives: Lives) -> pa.Table:
        """NPS answers."""
        rows = self._known(lives.nps.take(), "answered_on", None)
        score = pa.array(rows["score"].astype(np.int32))
        columns = [self.ids.take(pa.array(rows["customer"])), dates(rows["answered_on"]), score]
        return pa.table(columns, SCHEMAS["nps"])

    def tickets(self, lives: Lives) -> pa.Table:
        """Tickets with the time of day; one resolved within its day was never open at a close."""
        rows, rng = self._known(lives.tickets.take(), "opened_on", "resolved_on"), stream(self._seed, "hours")
        opened, resolved, n = rows["opened_on"], rows["resolved_on"], len(rows["customer"])
        at = rng.integers(8 * 3600, 18 * 3600, n)
        later = np.where(resolved == opened, at + rng.integers(60, 5 * 3600, n), rng.integers(28_800, 64_800, n))
        columns = [
            self.ids.take(pa.array(rows["customer"])),
            numbered("T", np.arange(1, n + 1)),
            times(opened, at),
            times(resolved, later),
            labels(rows["category"], CATEGORIES),
            labels(rows["priority"], PRIORITIES),
        ]
        return pa.table(columns, SCHEMAS["tickets"])

    def invoices(self, lives: Lives) -> pa.Table:
        """Invoices; what was not yet paid when the customer left is often never paid."""
        rows, rng = self._known(lives.invoices.take(), "due_on", "paid_on"), stream(self._seed, "bad debts")
        who, paid = rows["customer"], rows["paid_on"]
        left = lives.left_on[who]
        lost = (left > 0) & (paid > left) & (rng.random(len(who)) < 0.5)
        columns = [
            self.ids.take(pa.array(who)),
            numbered("I", np.arange(1, len(who) + 1)),
            dates(rows["due_on"]),
            dates(np.where(lost, NEVER, paid)),
            pa.array(rows["amount"]),
            labels(rows["method"], METHODS),
        ]
        return pa.table(columns, SCHEMAS["invoices"])

    def _known(self, rows: dict[str, NDArray[Any]], date: str, end: str | None) -> dict[str, NDArray[Any]]:
        """The rows that the export has: all since the logs began, all still open then, of the others a part."""
        rng = stream(self._seed, f"earlier {date}")
        kept = rows[date] >= self._logs_from
        if end is not None:
            kept |= (rows[end] == NEVER) | (rows[end] >= self._logs_from)
        kept |= rng.random(len(kept)) < _EARLIER_SHARE
        known = {name: column[kept] for name, column in rows.items()}
        if end is not None:
            known[end] = np.where(known[end] > self._exported_on, NEVER, known[end])
        return known
