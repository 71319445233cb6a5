"""Random small companies for the pipeline tests: about sixty days around a leap day, and every odd history."""

from __future__ import annotations

import datetime as dt
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
from oracle import Company, Customer, Row

from survival.data import Tables, tables_from_frames

EPOCH = dt.date(1970, 1, 1)
FIRST = (dt.date(2024, 2, 1) - EPOCH).days  # 29 February 2024 is day 28 of it
DAYS = 60
FEATURES = ("reports", "pipeline", "quotes")
REASONS = ("price", "payment_failed", None)


def random_company(seed: int, customers: int, start: int | None, until: int, warm_up: int) -> Company:
    """Facts from twenty days before FIRST to ten days after the last possible `until`."""
    random = Random(seed)
    people = [_customer(random, f"c{i:03d}") for i in range(customers)]
    for person in people:
        person.signup = min(person.signup, FIRST + until)
    return Company(people, None if start is None else FIRST + start, FIRST + until, warm_up)


def _customer(random: Random, name: str) -> Customer:
    signup = FIRST + random.randint(-15, 55)
    attributes = {"plan": random.choice(["basic", "pro", None]), "seats": random.choice([1, 9, 10, 49, 50, 120])}
    busy = random.choice([0, 2, 8, 25, 60])
    return Customer(
        name,
        signup,
        attributes,
        _subscriptions(random, name, signup),
        [_use(random, signup) for _ in range(random.randint(0, busy))],
        [{"day": _day(random, signup), "score": random.randint(0, 10)} for _ in range(random.choice([0, 2, 6]))],
        [_interval(random, signup, "opened", "resolved", category=random.choice(["bug", "bill", None]))
         for _ in range(random.choice([0, 2, 6]))],
        [_invoice(random, signup) for _ in range(random.choice([0, 2, 6]))],
    )  # fmt: skip


def _day(random: Random, signup: int) -> int:
    """Mostly in the customer's time; on signup, before it, and after the end of all logs too."""
    return random.choice(
        [signup, random.randint(signup - 8, signup + 30), random.randint(FIRST - 20, FIRST + DAYS + 10)]
    )


def _use(random: Random, signup: int) -> Row:
    return {
        "day": _day(random, signup),
        "feature": random.choice([*FEATURES]),
        "quantity": random.choice([None, 0, 1, 3, 0.1, 0.2, 2.5]),
        "member_id": random.choice(["ann", "bob", None]),
    }


def _interval(random: Random, signup: int, first: str, last: str, **more: Any) -> Row:
    start = _day(random, signup)
    end = random.choice([None, start, start + 1, start + random.randint(2, 9), start + random.randint(1, 40)])
    return {first: start, last: end, **more}


def _invoice(random: Random, signup: int) -> Row:
    due = _day(random, signup)
    return {"due": due, "paid": random.choice([None, due, due + random.randint(-6, 20), due + random.randint(1, 4)])}


def _subscriptions(random: Random, name: str, signup: int) -> list[Row]:
    rows: list[Row] = []
    start = random.choice([signup, signup, signup - 5, signup + 4])
    for i in range(random.choice([0, 1, 1, 2, 3, 5])):
        end = random.choice([None, start, start + random.randint(1, 12), start + random.randint(1, 40)])
        rows.append({"started": start, "ended": end, "end_reason": random.choice(REASONS), "id": f"{name}-{i}"})
        base = end if end is not None and random.random() < 0.8 else start
        start = base + random.choice([-3, 0, 0, 1, 2, 3, 7])
    return rows


def date(day: int | None) -> dt.date | None:
    return None if day is None else EPOCH + dt.timedelta(days=day)


def frames(
    company: Company, after: int | None = None, mapping: dict[str, dict[str, str]] | None = None
) -> dict[str, pd.DataFrame]:
    """The company as raw logical tables. With `after`, only what is known at the close of that day.

    `mapping`: table -> key of a row -> logical column; default: COLUMNS.
    """
    mapped = COLUMNS if mapping is None else mapping
    tables: dict[str, list[Row]] = {
        "customers": [{"customer_id": c.id, "signed_up_on": date(c.signup), **c.attributes} for c in company.customers]
    }
    for name, columns in mapped.items():
        rows = tables.setdefault(name, [])
        for customer in company.customers:
            for row in getattr(customer, name):
                seen = _as_of(row, after)
                if seen is not None:
                    values = {to: date(seen[of]) if of in DATES else seen.get(of) for of, to in columns.items()}
                    rows.append({"customer_id": customer.id, **values})
    columns = {name: ["customer_id", *names.values()] for name, names in mapped.items()}
    return {name: pd.DataFrame(rows, columns=columns.get(name)) for name, rows in tables.items()}


def _as_of(row: Row, after: int | None) -> Row | None:
    """A row as it stood at the close of day `after`: later rows are not there, later ends have not happened."""
    if after is None:
        return row
    days = [row[d] for d in DATES if row.get(d) is not None]
    if min(days) > after:
        return None
    return {
        k: None if k in ("ended", "resolved", "paid") and v is not None and v > after else v for k, v in row.items()
    }


DATES = ("day", "started", "ended", "opened", "resolved", "due", "paid")
COLUMNS = {
    "subscriptions": {"started": "started_on", "ended": "ended_on", "end_reason": "end_reason", "id": "subscription_id"},
    "usage": {"day": "used_on", "feature": "feature", "quantity": "quantity", "member_id": "member_id"},
    "nps": {"day": "answered_on", "score": "score"},
    "tickets": {"opened": "opened_on", "resolved": "resolved_on", "category": "category"},
    "invoices": {"due": "due_on", "paid": "paid_on"},
}  # fmt: skip


ZONES = (None, None, "America/New_York", "Asia/Kolkata")  # None: plain dates, which no zone shifts


def moments(frames: dict[str, pd.DataFrame], zone: str | None, seed: int) -> dict[str, pd.DataFrame]:
    """The same days as moments of a time zone, written with other offsets: cut to the zone's day they are the same again."""
    if zone is None:
        return frames
    random = Random(seed)

    def moment(value: Any) -> Any:
        if not isinstance(value, dt.date):
            return value
        local = dt.datetime(value.year, value.month, value.day, random.randrange(24), 30, tzinfo=ZoneInfo(zone))
        offset = dt.timezone(dt.timedelta(minutes=random.choice([-720, -330, 0, 60, 840])))
        return local.astimezone(offset).isoformat()

    return {name: frame.map(moment) if len(frame) else frame for name, frame in frames.items()}


def opened(
    company: Company,
    buckets: int = 1,
    after: int | None = None,
    mapping: dict[str, dict[str, str]] | None = None,
    zone: str | None = None,
) -> Tables:
    """The company through the checks of the data room; with a `zone`, from moments."""
    return tables_from_frames(
        moments(frames(company, after, mapping), zone, len(company.customers)),
        from_=date(company.start),
        until=date(company.until),
        timezone=zone or "UTC",
        warm_up=company.warm_up,
        buckets=buckets,
    )
