"""Random companies for the definition tests: terms, prices, plans, trials and orders on top of `companies`."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

import companies
import pandas as pd
from companies import DAYS, FIRST, date
from oracle import Company, Customer, Row
from oracle_definitions import months_later

from survival.data import Tables, tables_from_frames

PLANS = ("basic", "pro", "team")
SUBSCRIPTIONS = {
    "started": "started_on",
    "ended": "ended_on",
    "plan": "plan",
    "mrr": "mrr",
    "billing_period_months": "billing_period_months",
    "end_reason": "end_reason",
    "is_trial": "is_trial",
    "id": "subscription_id",
}


@dataclass
class Buyer(Customer):
    orders: list[Row] = field(default_factory=list)  # day


def random_company(seed: int, customers: int, start: int | None, until: int, warm_up: int) -> Company:
    """As `companies.random_company`; a third of the customers sign up around 31 January, where months are clipped."""
    base = companies.random_company(seed, customers, start, until, warm_up)
    random = Random(seed + 1)
    people = []
    for person in base.customers:
        buyer = Buyer(**{name: getattr(person, name) for name in Customer.__dataclass_fields__})
        buyer.subscriptions = _subscriptions(random, buyer.id, buyer.signup, random.choice([FIRST - 1, buyer.signup]))
        buyer.orders = _orders(random, buyer.signup)
        people.append(buyer)
    return Company(people, base.start, base.until, base.warm_up)


def _subscriptions(random: Random, name: str, signup: int, start: int) -> list[Row]:
    rows: list[Row] = []
    start = random.choice([start, signup, signup - 5, signup + 4])
    for i in range(random.choice([0, 1, 1, 2, 3, 5, 8])):
        months = random.choice([None, 1, 1, 2, 12])
        agreed = months_later(start, months or 1)
        end = random.choice(
            [None, start, start + random.randint(1, 12), agreed, agreed - 1, agreed + random.randint(0, 9)]
        )
        rows.append(
            {
                "started": start,
                "ended": end,
                "plan": random.choice(PLANS),
                "mrr": random.choice([None, 0, 0.1, 0.2, 0.3, 19.99, 20, 20, 100]),
                "billing_period_months": months,
                "end_reason": random.choice(["price", "payment_failed", "moved", None]),
                "is_trial": random.choice([True, False, False, None]),
                "id": f"{name}-{i}",
            }
        )
        base = end if end is not None and random.random() < 0.8 else start
        start = base + random.choice([-3, 0, 0, 0, 1, 2, 3, 7])
    return rows


def _orders(random: Random, signup: int) -> list[Row]:
    days = [random.randint(signup - 6, signup + 45) for _ in range(random.choice([0, 1, 1, 2, 3, 9]))]
    return [{"day": random.choice([day, signup])} for day in days] + [{"day": day} for day in days[:1]]


def frames(company: Company, after: int | None = None) -> dict[str, pd.DataFrame]:
    """Raw logical tables. With `after`, only what is known at the close of that day."""
    tables = companies.frames(company, after)
    tables["subscriptions"] = _frame(company, "subscriptions", SUBSCRIPTIONS, after)
    tables["orders"] = _frame(company, "orders", {"day": "ordered_on"}, after)
    return tables


def _frame(company: Company, table: str, columns: dict[str, str], after: int | None) -> pd.DataFrame:
    rows: list[Row] = []
    for customer in company.customers:
        for row in getattr(customer, table):
            seen = companies._as_of(row, after)
            if seen is not None:
                values: dict[str, Any] = {
                    to: date(seen[of]) if of in companies.DATES else seen[of] for of, to in columns.items()
                }
                rows.append({"customer_id": customer.id, **values})
    return pd.DataFrame(rows, columns=["customer_id", *columns.values()])


def opened(company: Company, buckets: int = 1, after: int | None = None, zone: str | None = None) -> Tables:
    """The company through the checks of the data room; with a `zone`, from moments."""
    return tables_from_frames(
        companies.moments(frames(company, after), zone, len(company.customers)),
        from_=date(company.start),
        until=date(company.until),
        timezone=zone or "UTC",
        warm_up=company.warm_up,
        buckets=buckets,
    )


__all__ = ["DAYS", "FIRST", "PLANS", "Buyer", "frames", "opened", "random_company"]
