"""The oracle of the indicators on adoption, support, payment and subscriptions: day by day, from the text of the semantics.

No running sums and no intervals: for a customer and a day it looks at all rows and asks what is true. The flags, lags,
marks and episodes around it are those of `oracle`.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import oracle
from oracle import Company, Customer, Row, known, spell_of

WINDOWED = ("adoption", "abandonment", "repeat_tickets", "slow_resolution", "late_payments", "method_change")
STATES = ("auto_renew_off", "mrr", "plan")
KINDS = (*WINDOWED, *STATES, "silence")


def meets(row: Row, where: dict[str, list[str]]) -> bool:
    """As in `oracle`, with yes and no for what is true and false."""
    answers = {k: {True: "yes", False: "no"}[v] if isinstance(v, bool) else v for k, v in row.items()}
    return oracle.meets(answers, where)


def covariate(customer: Customer, indicator: Row, mark: int) -> Any:
    """The value at the close of day signup + `mark`; None: undefined."""
    if indicator["kind"] == "calendar":
        return period(indicator, customer.signup + mark + 1)
    if indicator["kind"] not in KINDS:
        return oracle.covariate(customer, indicator, mark)
    tenure = mark - indicator.get("lag", 0)
    value = _level(customer, indicator, tenure)
    side = next((s for s in ("below", "at_most", "at_least", "above") if s in indicator), None)
    if side is None:
        return value if value is None or isinstance(value, str) else float(value)
    if value is None or (side in ("below", "at_most") and _young(indicator, tenure)):
        return 0
    bound = Fraction(Decimal(str(indicator[side])))
    return int(
        {"below": value < bound, "at_most": value <= bound, "at_least": value >= bound, "above": value > bound}[side]
    )


def _young(indicator: Row, tenure: int) -> bool:
    window = indicator.get("window", "none")
    if indicator["kind"] not in WINDOWED or window == "ever" or indicator.get("young") == "literal":
        return False
    return tenure < window + indicator.get("baseline", 0) - 1


def _level(customer: Customer, indicator: Row, tenure: int) -> Any:
    kind = indicator["kind"]
    where = indicator.get("where", {})
    if kind in STATES:
        return _state(customer, indicator, max(tenure, 0))  # before signup + lag: the level of the signup day
    if tenure < 0:
        return None if kind == "slow_resolution" else 0
    day = customer.signup + tenure
    if kind in ("adoption", "abandonment"):
        return _features(customer, indicator, [r for r in customer.usage if meets(r, where)], day)
    if kind in ("late_payments", "method_change"):
        return _payments(customer, indicator, [r for r in customer.invoices if meets(r, where)], day)
    return _tickets(customer, indicator, [r for r in customer.tickets if meets(r, where)], day)


def _features(customer: Customer, indicator: Row, uses: list[Row], day: int) -> Any:
    def used(first: int, last: int) -> set[str]:
        return {r["feature"] for r in uses if first <= r["day"] <= last} & set(indicator["features"])

    w = indicator["window"]
    if indicator["kind"] == "adoption":
        first = customer.signup if w == "ever" else day - w + 1
        return Fraction(len(used(first, day)), len(indicator["features"]))
    return len(used(day - w - indicator["baseline"] + 1, day - w) - used(day - w + 1, day))


def _tickets(customer: Customer, indicator: Row, tickets: list[Row], day: int) -> Any:
    if indicator["kind"] == "silence":
        return day - max([customer.signup, *(r["opened"] for r in tickets if customer.signup <= r["opened"] <= day)])
    first = max(day - indicator["window"] + 1, customer.signup)
    if indicator["kind"] == "slow_resolution":
        took = [r["resolved"] - r["opened"] for r in tickets if r["resolved"] and first <= r["resolved"] <= day]
        return Fraction(sum(took), len(took)) if took else None
    opened = [r for r in tickets if first <= r["opened"] <= day]
    if indicator.get("per") is None:
        return len(opened)
    return max([0, *Counter(r["category"] for r in opened if r["category"] is not None).values()])


def _payments(customer: Customer, indicator: Row, invoices: list[Row], day: int) -> int:
    first = max(day - indicator["window"] + 1, customer.signup)
    if indicator["kind"] == "late_payments":
        grace = indicator["grace"]
        late = [r["due"] for r in invoices if r["paid"] is None or r["paid"] > r["due"] + grace]
        return sum(first <= due + grace + 1 <= day for due in late)
    paid = [r for r in invoices if r["paid"] is not None and r["method"] is not None]
    paid.sort(key=lambda r: (r["paid"], r["due"], r["method"]))
    changes = [b["paid"] for a, b in pairwise(paid) if a["method"] != b["method"]]
    return sum(first <= changed <= day for changed in changes)


def _state(customer: Customer, indicator: Row, tenure: int) -> Any:
    """With nothing running the level of the last day on which something ran; before the first 0 or (none)."""
    mine = [r for r in customer.subscriptions if meets(r, indicator.get("where", {}))]
    for day in range(customer.signup + tenure, customer.signup - 1, -1):
        running = [r for r in mine if r["started"] <= day and (r["ended"] is None or day < r["ended"])]
        if running:
            return _of_running(running, indicator)
    return "(none)" if indicator["kind"] == "plan" and "plan_order" not in indicator else 0


def _of_running(running: list[Row], indicator: Row) -> Any:
    if indicator["kind"] == "auto_renew_off":
        return int(all(r["auto_renew"] is False for r in running))
    if indicator["kind"] == "mrr":
        return sum(Fraction(Decimal(str(r["mrr"] or 0))) for r in running)
    if "plan_order" in indicator:
        return max(indicator["plan_order"].index(r["plan"]) + 1 for r in running)
    return max(running, key=lambda r: (r["started"], r["id"]))["plan"]


def period(indicator: Row, day: int) -> str:
    """The name of the calendar period of a day at risk."""
    date = dt.date(1970, 1, 1) + dt.timedelta(days=day)
    if "cuts" in indicator:
        passed = [(at, name) for name, at in indicator["cuts"].items() if at <= date]
        return max(passed)[1] if passed else "(before)"
    names = {
        "month": f"{date.year}-{date.month:02d}",
        "quarter": f"{date.year}-Q{(date.month + 2) // 3}",
        "year": str(date.year),
    }
    return names[indicator["by"]]


def episodes_of(
    company: Company, definition: Row, indicators: dict[str, Row], update_every: int
) -> list[tuple[Any, ...]]:
    """(customer, start, stop, event, cause, *covariates); the calendar waits for no mark."""
    result: list[tuple[Any, ...]] = []
    for customer in company.customers:
        spell = spell_of(company, customer, definition)
        if spell.aside is not None:
            continue
        rows = known(customer, company.until)
        pieces: list[list[Any]] = []
        for t in range(spell.entry + 1, spell.exit + 1):
            mark = (t - 1) // update_every * update_every
            values = tuple(covariate(rows, i, t - 1 if i["kind"] == "calendar" else mark) for i in indicators.values())
            if pieces and pieces[-1][2] == values:
                pieces[-1][1] = t
            else:
                pieces.append([t - 1, t, values])
        for i, (start, stop, values) in enumerate(pieces):
            event = int(spell.churned and i == len(pieces) - 1)
            result.append((customer.id, start, stop, event, spell.cause if event else None, *values))
    return result
