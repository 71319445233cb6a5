"""A brute-force oracle of every churn definition: day by day, customer by customer, from the text of the semantics alone.

It knows no chains as tables and no windows: it walks the days of one customer's life and asks what was true at the close
of each. Days are epoch days; a spell is (spell, origin, entry, exit, churned, cause, aside).
"""

from __future__ import annotations

import calendar
import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import oracle
from oracle import Company, Customer, Row, covariate, meets

EPOCH = dt.date(1970, 1, 1)
NEVER = {"first_payment": "never paid", "first_order": "never ordered", "activation": "never activated"}


@dataclass(frozen=True)
class Outcome:
    """What a definition says of a spell, on the calendar: from which day one can be lost, and how it ended."""

    spell: int
    origin: int | None  # the day of tenure 0
    begins: int | None
    ends: int | None
    left: bool = False
    churned: bool = False
    cause: str | None = None
    aside: str | None = None


@dataclass(frozen=True)
class Spell:
    spell: int
    origin: int | None
    entry: int | None
    exit: int | None
    churned: bool
    cause: str | None
    aside: str | None


def date(day: int) -> dt.date:
    return EPOCH + dt.timedelta(days=day)


def months_later(day: int, months: int) -> int:
    """The same day of the month, so many months later; the last of the month where there is no such day."""
    start = date(day)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return (dt.date(year, month + 1, min(start.day, last)) - EPOCH).days


def known(customer: Customer, until: int) -> Customer:
    """The rows that are used: orders are points, as usage is."""
    rows = oracle.known(customer, until)
    signup = customer.signup
    rows.orders = [r for r in getattr(customer, "orders", []) if signup <= r["day"] <= until]
    return rows


# --- spells ---------------------------------------------------------------------------------------------------------


def spells_of(company: Company, customer: Customer, definition: Row, all_: dict[str, Row] | None = None) -> list[Spell]:
    rows = known(customer, company.until)
    return [_placed(company, customer, o) for o in outcomes(company, rows, definition, all_ or {})]


def _placed(company: Company, customer: Customer, o: Outcome) -> Spell:
    if o.aside is not None:
        return Spell(o.spell, o.origin, None, None, False, None, o.aside)
    entry = max(o.begins, o.origin)
    waits = company.start is not None and customer.signup < company.start
    late = waits and company.start + company.warm_up > entry
    if late:
        entry = company.start + company.warm_up
    aside = None
    if o.ends <= entry:
        if not o.left:
            aside = "began on the last day"
        elif late or o.ends < entry:
            aside = "left before entry"
        else:
            aside = "left on the first day"
    cause = o.cause if o.churned else None
    return Spell(o.spell, o.origin, entry - o.origin, o.ends - o.origin, o.churned, cause, aside)


def outcomes(company: Company, customer: Customer, definition: Row, all_: dict[str, Row]) -> list[Outcome]:
    kind = definition["kind"]
    if kind == "first_of":
        return [_first_of(company, customer, definition, all_)]
    if kind == "single_purchase":
        return [_single_purchase(company, customer, definition)]
    origin = _origin(customer, definition)
    if origin is None:
        return [Outcome(0, None, None, None, aside=NEVER[definition["origin"]])]
    if kind == "inactivity":
        return _inactivity(company, customer, definition, origin)
    rows = [r for r in customer.subscriptions if _counts(r, definition, origin)]
    walk = {"cancellation": _cancellation, "non_renewal": _non_renewal, "downgrade": _downgrade}[kind]
    return walk(company, rows, definition, origin) or [Outcome(0, origin, None, None, aside="nothing to leave")]


def _origin(customer: Customer, definition: Row) -> int | None:
    kind = definition.get("origin", "signup")
    if kind == "signup":
        return customer.signup
    if kind == "first_payment":
        days = [r["paid"] for r in customer.invoices if r["paid"] is not None]
    elif kind == "first_order":
        days = [r["day"] for r in customer.orders]
    else:
        features = definition.get("activated_by")
        days = [r["day"] for r in customer.usage if not features or r["feature"] in features]
    return max(min(days), customer.signup) if days else None


def _counts(row: Row, definition: Row, origin: int) -> bool:
    if definition.get("trials") == "exclude" and row["is_trial"]:
        return False
    return not (row["started"] < origin and row["ended"] is not None and row["ended"] <= origin)


def _returned(definition: Row, spell: int, origin: int, began: int) -> int:
    """The day of tenure 0 of a spell."""
    return began if spell > 0 and definition.get("clock", "reset") == "reset" else origin


# --- kinds ----------------------------------------------------------------------------------------------------------

FAR = 10**7  # a day after all others


def _end(row: Row) -> int:
    return FAR if row["ended"] is None else row["ended"]


def chains(rows: list[Row], gap: int) -> list[list[Row]]:
    """Grown row by row: whatever touches, overlaps or starts at most `gap` days after the end so far."""
    left, found = list(rows), []
    while left:
        chain = [min(left, key=lambda r: r["started"])]
        while True:
            reach = max(_end(r) for r in chain)
            more = [r for r in left if r not in chain and r["started"] <= reach + gap]
            if not more:
                break
            chain += more
        found.append(chain)
        left = [r for r in left if r not in chain]
    return found


def _last_row(chain: list[Row]) -> Row:
    return max(chain, key=lambda r: (_end(r), r["started"], r["id"]))


def _group(reason: str | None, definition: Row) -> str | None:
    for cause, reasons in definition.get("causes", {}).items():
        if reason in reasons:
            return cause
    return reason


def _cancellation(company: Company, rows: list[Row], definition: Row, origin: int) -> list[Outcome]:
    gap, reasons = definition.get("gap", 0), definition.get("reasons")
    found = []
    for i, chain in enumerate(chains(rows, gap)):
        began, last = min(r["started"] for r in chain), _last_row(chain)
        start = _returned(definition, i, origin, began)
        if _end(last) + gap > company.until:  # that it is over cannot be known yet
            found.append(Outcome(i, start, began, company.until - gap))
            break
        churned = reasons is None or last["end_reason"] in reasons
        found.append(Outcome(i, start, began, _end(last), True, churned, _group(last["end_reason"], definition)))
    return found if definition.get("spells") == "all" else found[:1]


def _non_renewal(company: Company, rows: list[Row], definition: Row, origin: int) -> list[Outcome]:
    grace, least = definition.get("grace", 14), definition.get("min_term_months", 12)

    def fixed(row: Row) -> bool:
        return row["billing_period_months"] is not None and row["billing_period_months"] >= least

    for chain in chains(rows, grace):
        terms = [r["started"] for r in chain if fixed(r)]
        if not terms:
            continue
        last = _last_row(chain)
        if _end(last) + grace > company.until:
            return [Outcome(0, origin, min(terms), company.until - grace)]
        churned = fixed(last) and _end(last) >= months_later(last["started"], last["billing_period_months"])
        cause = _group(last["end_reason"], definition)
        return [Outcome(0, origin, min(terms), _end(last), True, churned, cause)]
    return []


def _downgrade(company: Company, rows: list[Row], definition: Row, origin: int) -> list[Outcome]:
    found = []
    for i, chain in enumerate(chains(rows, 0)):
        began = max(min(r["started"] for r in chain), origin)
        start = _returned(definition, i, origin, began)
        outcome = Outcome(i, start, began, company.until)
        for day in range(began, company.until + 1):
            running = [r for r in chain if r["started"] <= day < _end(r)]
            if not running:
                outcome = Outcome(i, start, began, day, True)
                break
            before = [r for r in chain if r["started"] <= day - 1 < _end(r)] if day > began else []
            if before and _lower(_price(running, definition), _price(before, definition), definition):
                outcome = Outcome(i, start, began, day, True, True)
                break
        found.append(outcome)
    return found if definition.get("spells") == "all" else found[:1]


def _price(running: list[Row], definition: Row) -> Fraction | None:
    if "plan_order" in definition:
        return Fraction(max(definition["plan_order"].index(r["plan"]) for r in running))
    if any(r["mrr"] is None for r in running):
        return None
    return sum((Fraction(Decimal(str(r["mrr"]))) for r in running), Fraction(0))


def _lower(now: Fraction | None, before: Fraction | None, definition: Row) -> bool:
    if now is None or before is None:
        return False
    least = Fraction(Decimal(str(definition.get("min_drop", 0))))
    return now < before and before - now > least * before


def _inactivity(company: Company, customer: Customer, definition: Row, origin: int) -> list[Outcome]:
    window, backdated = definition["window"], definition.get("dated") == "last_activity"
    rows = getattr(customer, definition.get("table", "usage"))
    active = {r["day"] for r in rows if meets(r, definition.get("where", {}))}
    last: int | None = origin
    if company.start is not None and customer.signup < company.start:
        last = max(company.start, origin)
    found, began = [], origin
    for day in range(last, company.until + 1):
        if last is None and day in active:  # back again
            last = began = day
        elif last is not None and day in active:
            last = max(day, last)
        elif last is not None and day - last == window:
            start = _returned(definition, len(found), origin, began)
            found.append(Outcome(len(found), start, began, last if backdated else day, True, True))
            last = None
    if last is not None:
        start = _returned(definition, len(found), origin, began)
        found.append(Outcome(len(found), start, began, company.until - window if backdated else company.until))
    return found if definition.get("spells") == "all" else found[:1]


def _single_purchase(company: Company, customer: Customer, definition: Row) -> Outcome:
    days = sorted({r["day"] for r in customer.orders})
    if not days:
        return Outcome(0, None, None, None, aside="nothing to leave")
    first = days[0]
    for day in range(first + 1, company.until + 1):
        if day in days:
            return Outcome(0, first, first, day, True)
        if day == first + definition["window"]:
            return Outcome(0, first, first, day, True, True)
    return Outcome(0, first, first, company.until)


def _first_of(company: Company, customer: Customer, definition: Row, all_: dict[str, Row]) -> Outcome:
    parts = [(name, outcomes(company, customer, all_[name], all_)[0]) for name in definition["of"]]
    asides = [o.aside for _, o in parts if o.aside is not None]
    if asides:
        return Outcome(0, parts[0][1].origin, None, None, aside=asides[0])
    ends = min(o.ends for _, o in parts)
    then = [(name, o) for name, o in parts if o.ends == ends]
    cause = next((name for name, o in then if o.churned), None)
    begins = max(o.begins for _, o in parts)
    return Outcome(0, parts[0][1].origin, begins, ends, any(o.left for _, o in then), cause is not None, cause)


# --- episodes -------------------------------------------------------------------------------------------------------


def episodes_of(
    company: Company, definition: Row, indicators: dict[str, Row], update_every: int, all_: dict[str, Row] | None = None
) -> list[tuple[Any, ...]]:
    """(customer, spell, start, stop, event, cause, *covariates), neighbours with equal covariates merged.

    A covariate is that of the close of the last mark of the spell's clock; history and age are those of the customer.
    """
    result: list[tuple[Any, ...]] = []
    for customer in company.customers:
        rows = known(customer, company.until)
        for spell in spells_of(company, customer, definition, all_):
            if spell.aside is not None:
                continue
            pieces: list[list[Any]] = []
            for t in range(spell.entry + 1, spell.exit + 1):
                mark = (t - 1) // update_every * update_every
                age = spell.origin + mark - customer.signup
                values = tuple(covariate(rows, indicator, age) for indicator in indicators.values())
                if pieces and pieces[-1][2] == values:
                    pieces[-1][1] = t
                else:
                    pieces.append([t - 1, t, values])
            for i, (start, stop, values) in enumerate(pieces):
                event = int(spell.churned and i == len(pieces) - 1)
                cause = spell.cause if event else None
                result.append((customer.id, spell.spell, start, stop, event, cause, *values))
    return result
