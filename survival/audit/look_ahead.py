"""The rebuild-truncated test: cut the facts at a day, rebuild, and nothing before that day may differ.

It asks the user's own data, definitions and indicators, registered ones included: whatever differs was not known then.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from survival.churn.definition import Definition
from survival.churn.spells import Spells, spells
from survival.data import Tables, as_of
from survival.episodes import BuiltEpisodes, episodes
from survival.errors import DataError
from survival.findings import Finding
from survival.indicators import Indicator

_SHARES = (0.35, 0.65, 0.9)  # of the observed period
_DAYS_OF_MONTH = (9, 17, 25)  # mid-month, on different weekdays: no monthly or weekly total is complete then
_EPOCH = dt.date(1970, 1, 1)
_TOLERANCE = 1e-9  # relative: a level summed in other units


@dataclass(frozen=True)
class Difference:
    """What differs before a day of truncation: customers, the first of them, and the first day on which it does."""

    what: str
    customers: int
    example: str
    day: int


def look_ahead(full: BuiltEpisodes | Spells, *, days: Sequence[int] | None = None) -> tuple[Finding, ...]:
    """Rebuild the spells, and the indicators of `full`, from what was known at the close of each of `days` (epoch days).

    An error for the definition and for every indicator that differs before the cut; else a note that says what was tried.
    Costs as much as the first build, for every day.
    """
    built = full if isinstance(full, BuiltEpisodes) else None
    made = full.spells if isinstance(full, BuiltEpisodes) else full
    chosen = list(cut_days(made.tables) if days is None else days)
    done: list[int] = []
    worst: dict[str, Difference] = {}
    for day in chosen:
        found = _cut(made, built, day)
        if found is None:
            continue
        done.append(day)
        for one in found:
            if one.what not in worst or worst[one.what].customers < one.customers:
                worst[one.what] = one
    if not worst:
        return _passed(made.definition, built, done)
    return tuple(_finding(one, made, done) for one in worst.values())


def cut_days(tables: Tables) -> list[int]:
    """Three days of the observed period, in the middle of months."""
    first = tables.engine.rows(tables.customers.aggregate(day=ibis._.signup.min()))[0]["day"]
    if first is None or tables.until_day is None:
        return []
    begin = first if tables.from_day is None else max(first, tables.from_day)
    found = []
    for share, month_day in zip(_SHARES, _DAYS_OF_MONTH):
        day = begin + int(share * (tables.until_day - begin))
        date = (_EPOCH + dt.timedelta(days=day)).replace(day=month_day)
        if begin < (date - _EPOCH).days < tables.until_day:
            found.append((date - _EPOCH).days)
    return found


def _cut(made: Spells, built: BuiltEpisodes | None, day: int) -> list[Difference] | None:
    """What differs when only the facts up to `day` are known; None when nobody was at risk by then."""
    tables = as_of(made.tables, day)
    try:
        known = spells(tables, made.definition, warm_up=made.warm_up)
    except DataError:
        return None
    different = _spells_differ(made, known)
    found = [different] if different else []
    if built is not None and built.indicators:
        again = episodes(known, built.indicators, update_every=built.update_every).build()
        found += _covariates_differ(built, again)
        tables.engine.drop(again.table.get_name())
    tables.engine.drop(known.table.get_name())
    return found


def _spells_differ(full: Spells, known: Spells) -> Difference | None:
    """Spells at risk by the cut that ended, began or entered otherwise than all facts say."""
    then = known.at_risk.select("customer", "spell", o="origin", e="entry", x="exit", c="churned")
    rows = then.left_join(full.at_risk.drop("cause", "aside"), ["customer", "spell"])
    same = (rows.origin == rows.o) & (rows.entry == rows.e)
    stays = (rows.exit > rows.x) | ((rows.exit == rows.x) & ~rows.churned)
    same = same & rows.c.ifelse((rows.exit == rows.x) & rows.churned, stays)
    wrong = rows.filter(~same.fill_null(False))
    day = (wrong.o + (wrong.exit < wrong.x).ifelse(wrong.exit, wrong.x)).fill_null(wrong.o + wrong.e)
    return _difference(full.tables, wrong.select("customer", day=day), "")


def _covariates_differ(full: BuiltEpisodes, known: BuiltEpisodes) -> Iterator[Difference]:
    """Indicators whose course before the cut is another with all facts: compared one by one, change by change."""
    end = known.spells.at_risk.select("customer", "spell", "origin", last="exit")
    for name in full.indicators:
        all_facts = full.merged([name]).join(end, ["customer", "spell"])
        all_facts = all_facts.filter(all_facts.start < all_facts.last)
        mine = all_facts.select("customer", "spell", "start", value=name)
        then = known.merged([name]).select("customer", "spell", "start", value=name)
        both = mine.outer_join(then, ["customer", "spell", "start"], rname="{name}_then")
        missing = both.customer.isnull() | both.customer_then.isnull()
        wrong = both.filter(missing | ~_equal(both.value, both.value_then))
        who = wrong.select(
            customer=wrong.customer.fill_null(wrong.customer_then), spell=wrong.spell.fill_null(wrong.spell_then),
            start=wrong.start.fill_null(wrong.start_then),
        )  # fmt: skip
        dated = who.join(end, ["customer", "spell"])
        found = _difference(full.spells.tables, dated.select("customer", day=dated.origin + dated.start), name)
        if found:
            yield found


def _equal(a: ir.Value, b: ir.Value) -> ir.BooleanValue:
    if not a.type().is_floating():
        return a.identical_to(b)
    near = (a - b).abs() <= _TOLERANCE * (a.abs() + b.abs() + 1.0)
    return (a == b).fill_null(False) | near.fill_null(False) | (a.isnull() & b.isnull())


def _difference(tables: Tables, rows: ir.Table, what: str) -> Difference | None:
    """`rows` has customer and the epoch day on which something differs."""
    named = rows.join(tables.customers.select("customer", "customer_id"), "customer")
    counts = named.aggregate(n=named.customer.nunique(), who=named.customer_id.argmin(named.day), day=named.day.min())
    row = tables.engine.rows(counts)[0]
    return Difference(what, row["n"], row["who"], int(row["day"])) if row["n"] else None


def _dates(days: Sequence[int]) -> str:
    return ", ".join((_EPOCH + dt.timedelta(days=day)).isoformat() for day in days)


def _finding(one: Difference, made: Spells, days: Sequence[int]) -> Finding:
    what = f"the indicator '{one.what}'" if one.what else f"churn by {made.definition.kind}"
    message = (
        f"{what} of {one.customers:,} customers (such as {one.example}, from {_dates([one.day])} on) depends on facts of later days: "
        f"rebuilt from what was known on {_dates(days)} it is another. It knows the future, so it foretells churn. Place each "
        "change on the day on which its fact became known"
    )
    return Finding("look-ahead", "error", one.what or made.definition.kind, message, f"customers={one.customers}")


def _passed(definition: Definition, built: BuiltEpisodes | None, days: Sequence[int]) -> tuple[Finding, ...]:
    indicators: Mapping[str, Indicator] = built.indicators if built is not None else {}
    if not days:
        message = "the rebuild from truncated facts could not be tried: it needs signup dates, observed.until, and time between them"
        return (Finding("look-ahead-not-tested", "note", definition.kind, message),)
    what = f"churn and {len(indicators)} indicators" if indicators else "churn"
    message = f"rebuilt from what was known on {_dates(days)}: nothing before these days differs ({what})"
    return (Finding("look-ahead-tested", "note", definition.kind, message, _dates(days)),)
