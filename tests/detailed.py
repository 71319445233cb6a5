"""The random companies of `companies`, with plans, revenue, renewal, terms, methods of payment and orders."""

from __future__ import annotations

from random import Random

from companies import COLUMNS, opened, random_company
from companies_definitions import Buyer
from oracle import Company, Customer

from survival.data import Tables

PLANS = ("basic", "pro", "top")
METHODS = ("card", "sepa", None)
DETAILED = {
    **COLUMNS,
    "subscriptions": {**COLUMNS["subscriptions"], "plan": "plan", "mrr": "mrr", "auto_renew": "auto_renew",
                      "billing_period_months": "billing_period_months"},
    "invoices": {**COLUMNS["invoices"], "method": "method"},
    "orders": {"day": "ordered_on"},
}  # fmt: skip


def detailed_company(seed: int, customers: int, start: int | None, until: int, warm_up: int) -> Company:
    """Subscriptions overlap more often than in `random_company`, and start together on one day."""
    company = random_company(seed, customers, start, until, warm_up)
    random = Random(seed + 1)
    company.customers = [
        Buyer(**{name: getattr(c, name) for name in Customer.__dataclass_fields__}) for c in company.customers
    ]
    for customer in company.customers:
        for row in list(customer.subscriptions):
            if random.random() < 0.5:
                more = {**row, "started": row["started"] + random.choice([-4, 0, 0, 3]), "id": row["id"] + "+"}
                ends = [None, more["started"], more["started"] + random.randint(1, 25)]
                customer.subscriptions.append({**more, "ended": random.choice(ends)})
        for row in customer.subscriptions:
            row["plan"] = random.choice(PLANS)
            row["mrr"] = random.choice([None, 0, 9.99, 49, 0.1, 0.2])
            row["auto_renew"] = random.choice([True, False, False, None])
            row["billing_period_months"] = random.choice([None, 1, 1, 2])
        for row in customer.invoices:
            row["method"] = random.choice(METHODS)
        if random.random() < 0.3:  # many tickets, so that categories compete
            first = customer.signup
            customer.tickets += [
                {"opened": first + random.randint(0, 30), "resolved": None, "category": random.choice(["bug", "bill"])}
                for _ in range(random.randint(3, 9))
            ]
    for customer in company.customers:
        days = [random.randint(-6, 45) for _ in range(random.choice([0, 1, 1, 2, 3, 9]))]
        customer.orders = [{"day": customer.signup + random.choice([day, 0])} for day in days]
    return company


def detailed_tables(company: Company, buckets: int = 1, after: int | None = None, zone: str | None = None) -> Tables:
    """The company through the checks of the data room; with a `zone`, from moments."""
    return opened(company, buckets, after, DETAILED, zone)
