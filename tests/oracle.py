"""A brute-force oracle: day by day, customer by customer, written from the text of the semantics and nothing else.

It knows no deltas, no running sums, no marks in a table: for each day at risk it asks what the level was at the close of
the last mark, by counting facts. Days are epoch days. Slow, and meant to be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from math import inf
from typing import Any

Row = dict[str, Any]


@dataclass
class Customer:
    """A customer with the raw rows of each table, dates as epoch days."""

    id: str
    signup: int | None
    attributes: Row = field(default_factory=dict)
    subscriptions: list[Row] = field(default_factory=list)  # started, ended, end_reason, id
    usage: list[Row] = field(default_factory=list)  # day, feature, quantity, member
    nps: list[Row] = field(default_factory=list)  # day, score
    tickets: list[Row] = field(default_factory=list)  # opened, resolved, category
    invoices: list[Row] = field(default_factory=list)  # due, paid


@dataclass
class Company:
    customers: list[Customer]
    start: int | None  # observed.from
    until: int
    warm_up: int


@dataclass
class Spell:
    entry: int | None
    exit: int | None
    churned: bool
    cause: str | None
    aside: str | None


# --- what of a customer's rows has happened -------------------------------------------------------------------------


def known(customer: Customer, until: int) -> Customer:
    """The rows that are used: not after `until`, not before signup; an end after `until` has not happened."""
    signup = customer.signup
    assert signup is not None

    def points(rows: list[Row]) -> list[Row]:
        return [r for r in rows if signup <= r["day"] <= until]

    def intervals(rows: list[Row], first: str, last: str, ordered: bool = True) -> list[Row]:
        kept = []
        for r in rows:
            a, b = r[first], r[last]
            if ordered and b is not None and b < a:
                continue  # ended before it started
            dated = a if b is None else min(a, b)
            if dated > until:
                continue
            if dated < signup and b is not None and max(a, b) <= signup:
                continue  # does not reach past signup
            kept.append({**r, last: None if b is None or b > until else b})
        return kept

    return Customer(
        customer.id,
        signup,
        customer.attributes,
        intervals(customer.subscriptions, "started", "ended"),
        points(customer.usage),
        points(customer.nps),
        intervals(customer.tickets, "opened", "resolved"),
        intervals(customer.invoices, "due", "paid", ordered=False),
    )


def meets(row: Row, where: dict[str, list[str]]) -> bool:
    return all(row.get(column) is not None and str(row[column]) in values for column, values in where.items())


# --- churn ----------------------------------------------------------------------------------------------------------


def spell_of(company: Company, customer: Customer, definition: Row) -> Spell:
    kind = definition["kind"]
    rows = known(customer, company.until)
    if kind == "cancellation":
        return _cancellation(company, rows, definition)
    assert kind == "inactivity"
    return _inactivity(company, rows, definition)


def _late_entry(company: Company, customer: Customer) -> int | None:
    if company.start is None or customer.signup >= company.start:
        return None
    return company.start + company.warm_up - customer.signup


def _spell(
    company: Company, customer: Customer, begins: int, ends: int, left: bool, churned: bool, cause: str | None
) -> Spell:
    late = _late_entry(company, customer)
    entry = begins if late is None else max(begins, late)
    aside = None
    if ends <= entry:
        if not left:
            aside = "began on the last day"
        elif entry > begins:
            aside = "left before entry"
        else:
            aside = "left on the first day"
    return Spell(entry, ends, churned, cause if churned else None, aside)


def _cancellation(company: Company, customer: Customer, definition: Row) -> Spell:
    gap = definition.get("gap", 0)
    rows = list(customer.subscriptions)
    if not rows:
        return Spell(None, None, False, None, "nothing to leave")
    begins = min(r["started"] for r in rows)
    chain: list[Row] = [r for r in rows if r["started"] == begins]
    grew = True
    while grew:
        end = inf if any(r["ended"] is None for r in chain) else max(r["ended"] for r in chain)
        more = [r for r in rows if r not in chain and r["started"] <= end + gap]
        chain += more
        grew = bool(more)
    signup = customer.signup
    start = max(begins, signup) - signup
    horizon = company.until - gap
    if end > horizon:
        return _spell(company, customer, start, horizon - signup, False, False, None)
    last = max((r for r in chain if r["ended"] == end), key=lambda r: (r["started"], r["id"]))
    reasons = definition.get("reasons")
    counts = reasons is None or last["end_reason"] in reasons
    return _spell(company, customer, start, int(end) - signup, True, counts, last["end_reason"])


def _inactivity(company: Company, customer: Customer, definition: Row) -> Spell:
    window, signup = definition["window"], customer.signup
    active = {r["day"] for r in customer.usage if meets(r, definition.get("where", {}))}
    late = company.start is not None and signup < company.start
    last = company.start if late else signup
    backdated = definition.get("dated") == "last_activity"
    for day in range(last, company.until + 1):
        if day in active:
            last = day
        elif day - last == window:
            return _spell(company, customer, 0, (last if backdated else day) - signup, True, True, None)
    end = company.until - window if backdated else company.until
    return _spell(company, customer, 0, end - signup, False, False, None)


# --- indicators -----------------------------------------------------------------------------------------------------


def covariate(customer: Customer, indicator: Row, mark: int) -> Any:
    """The value at the close of tenure `mark` (days since signup); None: undefined."""
    tenure = mark - indicator.get("lag", 0)
    value = _level(customer, indicator, customer.signup + tenure, tenure)
    flag = [(side, indicator[side]) for side in ("below", "at_most", "at_least", "above") if side in indicator]
    if "is" in indicator:
        return int(_is(value, indicator["is"]))
    if not flag:
        return None if value is None else float(value)
    side, threshold = flag[0]
    if value is None or (side in ("below", "at_most") and _young(indicator, tenure)):
        return 0
    threshold = Fraction(Decimal(str(threshold)))
    return int(
        {
            "below": value < threshold,
            "at_most": value <= threshold,
            "at_least": value >= threshold,
            "above": value > threshold,
        }[side]
    )


def _is(score: Any, group: str) -> bool:
    if score is None:
        return group == "unanswered"
    return group == ("detractor" if score <= 6 else "passive" if score <= 8 else "promoter")


def _young(indicator: Row, tenure: int) -> bool:
    if indicator["kind"] not in ("usage", "usage_decline") or indicator.get("young") == "literal":
        return False
    return tenure < indicator["window"] + indicator.get("baseline", 0) - 1


def _level(customer: Customer, indicator: Row, day: int, tenure: int) -> Any:
    kind = indicator["kind"]
    if kind == "usage":
        return _used(customer, indicator, day - indicator["window"] + 1, day)
    if kind == "usage_decline":
        w, b = indicator["window"], indicator["baseline"]
        recent = _used(customer, indicator, day - w + 1, day)
        before = _used(customer, indicator, day - w - b + 1, day - w)
        if before == 0:
            return None if recent == 0 else inf
        return Fraction(recent, w) / Fraction(before, b)
    if kind == "nps":
        answered = [r["day"] for r in customer.nps if r["day"] <= day]
        if not answered:
            return None
        latest = max(answered)
        if indicator.get("expires") is not None and day >= latest + indicator["expires"]:
            return None
        return min(r["score"] for r in customer.nps if r["day"] == latest)
    if tenure < 0:
        return 0  # before signup + lag there are none
    if kind == "open_tickets":
        return sum(
            r["opened"] <= day and (r["resolved"] is None or day < r["resolved"])
            for r in customer.tickets
            if meets(r, indicator.get("where", {}))
        )
    assert kind == "overdue"
    grace = indicator.get("grace", 0)
    return sum(day > r["due"] + grace and (r["paid"] is None or day < r["paid"]) for r in customer.invoices)


def _used(customer: Customer, indicator: Row, first: int, last: int) -> Any:
    rows = [r for r in customer.usage if first <= r["day"] <= last and meets(r, indicator.get("where", {}))]
    measure = indicator.get("measure", "quantity")
    if measure == "quantity":
        return sum((Fraction(Decimal(str(1 if r["quantity"] is None else r["quantity"]))) for r in rows), Fraction(0))
    if measure == "active_days":
        return len({r["day"] for r in rows})
    column = {"features": "feature", "members": "member_id"}[measure]
    return len({r[column] for r in rows if r[column] is not None})


# --- episodes and flows ---------------------------------------------------------------------------------------------


def episodes_of(
    company: Company, definition: Row, indicators: dict[str, Row], update_every: int
) -> list[tuple[Any, ...]]:
    """(customer, start, stop, event, cause, *covariates), neighbours with equal covariates merged."""
    result: list[tuple[Any, ...]] = []
    for customer in company.customers:
        spell = spell_of(company, customer, definition)
        if spell.aside is not None:
            continue
        rows = known(customer, company.until)
        pieces: list[list[Any]] = []
        for t in range(spell.entry + 1, spell.exit + 1):
            mark = (t - 1) // update_every * update_every
            values = tuple(covariate(rows, indicator, mark) for indicator in indicators.values())
            if pieces and pieces[-1][2] == values:
                pieces[-1][1] = t
            else:
                pieces.append([t - 1, t, values])
        for i, (start, stop, values) in enumerate(pieces):
            event = int(spell.churned and i == len(pieces) - 1)
            result.append((customer.id, start, stop, event, spell.cause if event else None, *values))
    return result


def flows_of(rows: list[tuple[Any, ...]], by: list[int]) -> dict[tuple[Any, ...], list[int]]:
    """(pattern of the columns `by`, tenure) -> entered, exited, events, from episodes that are already merged."""
    counts: dict[tuple[Any, ...], list[int]] = {}
    for row in rows:
        pattern = tuple(row[i] for i in by)
        counts.setdefault((*pattern, row[1]), [0, 0, 0])[0] += 1
        leaving = counts.setdefault((*pattern, row[2]), [0, 0, 0])
        leaving[1] += 1
        leaving[2] += row[3]
    return counts
