"""The random companies of `companies`, with plans, revenue, renewal and methods of payment on their rows."""

from __future__ import annotations

from random import Random

from companies import COLUMNS, opened, random_company
from oracle import Company

from survival.data import Tables

PLANS = ("basic", "pro", "top")
METHODS = ("card", "sepa", None)
DETAILED = {
    **COLUMNS,
    "subscriptions": {**COLUMNS["subscriptions"], "plan": "plan", "mrr": "mrr", "auto_renew": "auto_renew"},
    "invoices": {**COLUMNS["invoices"], "method": "method"},
}


def detailed_company(seed: int, customers: int, start: int | None, until: int, warm_up: int) -> Company:
    """Subscriptions overlap more often than in `random_company`, and start together on one day."""
    company = random_company(seed, customers, start, until, warm_up)
    random = Random(seed + 1)
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
        for row in customer.invoices:
            row["method"] = random.choice(METHODS)
        if random.random() < 0.3:  # many tickets, so that categories compete
            first = customer.signup
            customer.tickets += [
                {"opened": first + random.randint(0, 30), "resolved": None, "category": random.choice(["bug", "bill"])}
                for _ in range(random.randint(3, 9))
            ]
    return company


def detailed_tables(company: Company, buckets: int = 1, after: int | None = None) -> Tables:
    """The company through the checks of the data room."""
    return opened(company, buckets, after, DETAILED)
