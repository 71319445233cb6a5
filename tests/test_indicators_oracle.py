"""Every kind of indicator with every option against the day-by-day oracle, on random companies."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from companies import DAYS, FEATURES, ZONES
from detailed import PLANS, detailed_company, detailed_tables
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import Company, Row, spell_of
from oracle_indicators import KINDS, STATES, WINDOWED, episodes_of

from survival.churn import Spells, parse_definition, spells
from survival.data import Tables
from survival.episodes import episodes
from survival.errors import DataError
from survival.indicators import CalendarSpec, calendar_period, indicator_kinds, parse_indicator

CUSTOMERS = 24
SETTINGS = settings(
    max_examples=7, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
SIDES = ["none", "none", "below", "at_most", "at_least", "above"]
THRESHOLDS = {
    "adoption": [0, 0.5, 0.67, 1],
    "abandonment": [0, 1, 2],
    "repeat_tickets": [0, 1, 2, 2.5],
    "slow_resolution": [0, 1, 4.5, 8],
    "silence": [-1, 0, 1, 6, 6.5, 20],
    "late_payments": [0, 1, 2],
    "method_change": [0, 1, 2],
    "auto_renew_off": [0, 1],
    "mrr": [0, 0.1, 0.3, 10.09, 49],
    "plan": [1, 2, 3],
}
WHERE = {
    "usage": [{}, {"member_id": ["ann"]}, {"feature": list(FEATURES[:2])}],
    "tickets": [{}, {"category": ["bug"]}],
    "invoices": [{}, {"method": ["card"]}],
    "subscriptions": [{}, {"plan": ["basic", "pro"]}, {"auto_renew": ["no"]}],
}
TABLE = {
    "adoption": "usage", "abandonment": "usage", "repeat_tickets": "tickets", "slow_resolution": "tickets",
    "silence": "tickets", "late_payments": "invoices", "method_change": "invoices",
}  # fmt: skip


@st.composite
def companies(draw: st.DrawFn) -> Company:
    start = draw(st.sampled_from([None, 0, 10, 25]))
    until = draw(st.sampled_from([28, 29, 45, DAYS]))
    return detailed_company(draw(st.integers(0, 10**9)), CUSTOMERS, start, until, draw(st.sampled_from([0, 3, 9])))


@st.composite
def definitions(draw: st.DrawFn) -> Row:
    if draw(st.booleans()):
        return {"kind": "cancellation", "gap": draw(st.integers(0, 4))}
    return {"kind": "inactivity", "window": draw(st.integers(3, 20))}


@st.composite
def indicators(draw: st.DrawFn, kind: str) -> Row:
    result: Row = {"kind": kind, "lag": draw(st.sampled_from([0, 0, 1, 5, 7, 13]))}
    result["where"] = draw(st.sampled_from(WHERE[TABLE.get(kind, "subscriptions")]))
    if kind in WINDOWED:
        result["window"] = draw(st.sampled_from([1, 2, 5, 7, 14]))
        result["young"] = draw(st.sampled_from(["off", "literal"]))
    if kind in ("adoption", "abandonment"):
        result["features"] = draw(st.sampled_from([list(FEATURES), ["reports"], ["quotes", "never used"]]))
    if kind == "adoption":
        result["window"] = draw(st.sampled_from([result["window"], "ever"]))
    if kind == "abandonment":
        result["baseline"] = draw(st.sampled_from([1, 3, 7, 21]))
    if kind == "repeat_tickets":
        result["per"] = draw(st.sampled_from([None, "category"]))
    if kind == "late_payments":
        result["grace"] = draw(st.sampled_from([0, 3, 8]))
    if kind == "plan" and draw(st.booleans()):
        result["plan_order"] = list(draw(st.permutations(PLANS)))
    side = draw(st.sampled_from(SIDES))
    if side == "none" or (kind == "plan" and "plan_order" not in result):
        return result
    return {**result, side: draw(st.sampled_from(THRESHOLDS[kind]))}


def spells_or_none(company: Company, tables: Tables, definition: Row) -> Spells | None:
    """None when the oracle has nobody at risk; the pipeline says so too."""
    if any(spell_of(company, c, definition).aside is None for c in company.customers):
        return spells(tables, parse_definition(definition))
    with pytest.raises(DataError, match="nobody is at risk"):
        spells(tables, parse_definition(definition))
    return None


def rows_of(tables: Tables, found: Spells, named: dict[str, Row], update_every: int) -> list[tuple[Any, ...]]:
    parsed = {name: parse_indicator(value) for name, value in named.items()}
    built = episodes(found, parsed, update_every=update_every).build()
    columns = ["customer_id", "start", "stop", "event", "cause", *named]
    table = built.arrow().select(columns)
    return list(zip(*(table[name].to_pylist() for name in columns)))


def test_every_kind_has_an_oracle() -> None:
    others = {"usage", "usage_decline", "nps", "open_tickets", "overdue"}  # those of oracle.py
    here = {kind for kind, cls in indicator_kinds().items() if cls.__module__.startswith("survival.")}
    assert here == {*KINDS, *others}
    assert set(KINDS) == {*TABLE, *STATES}


@given(
    companies(),
    definitions(),
    st.tuples(*(indicators(kind) for kind in 2 * KINDS)),
    st.sampled_from([1, 1, 7, 30, 4]),
    st.sampled_from([1, 3]),
    st.sampled_from(ZONES),
)
@SETTINGS
def test_episodes(
    company: Company, definition: Row, several: tuple[Row, ...], update_every: int, buckets: int, zone: str | None
) -> None:
    named = {f"x{i}": indicator for i, indicator in enumerate(several)}
    with detailed_tables(company, buckets, zone=zone) as tables:
        found = spells_or_none(company, tables, definition)
        if found is None:
            return
        assert rows_of(tables, found, named, update_every) == episodes_of(company, definition, named, update_every)


PERIODS: list[Row] = [
    {"by": "month"},
    {"by": "quarter"},
    {"by": "year"},
    {"cuts": {"price_rise": dt.date(2024, 2, 29), "outage": dt.date(2024, 3, 4)}},
    {"cuts": {"never": dt.date(2030, 1, 1)}},
]


@given(companies(), definitions(), st.sampled_from([1, 7, 30]), st.sampled_from([1, 3]))
@settings(SETTINGS, max_examples=4)
def test_calendar_periods(company: Company, definition: Row, update_every: int, buckets: int) -> None:
    """Together with an indicator, which waits for marks; the calendar does not, and a lag does not move it."""
    tickets: Row = {"kind": "repeat_tickets", "window": 5}
    named = {f"p{i}": {"kind": "calendar", **spec} for i, spec in enumerate(PERIODS)} | {"n": tickets}
    with detailed_tables(company, buckets) as tables:
        found = spells_or_none(company, tables, definition)
        if found is None:
            return
        periods = [calendar_period(tables, CalendarSpec.model_validate(spec)).with_lag(7) for spec in PERIODS]
        parsed = {**{f"p{i}": period for i, period in enumerate(periods)}, "n": parse_indicator(tickets)}
        built = episodes(found, parsed, update_every=update_every).build()
        columns = ["customer_id", "start", "stop", "event", "cause", *named]
        table = built.arrow().select(columns)
        rows = list(zip(*(table[name].to_pylist() for name in columns)))
    assert rows == episodes_of(company, definition, named, update_every)
