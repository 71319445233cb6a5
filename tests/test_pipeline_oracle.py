"""The pipeline equals the brute-force oracle, row for row, on random small companies."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest
from companies import DAYS, FEATURES, opened, random_company
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import Company, Row, episodes_of, flows_of, spell_of

from survival.churn import Spells, parse_definition, spells
from survival.data import Tables
from survival.episodes import BuiltEpisodes, episodes
from survival.errors import DataError
from survival.flows.door import flows
from survival.indicators import parse_indicator

CUSTOMERS = 40
KINDS = (*3 * ("usage",), *2 * ("usage_decline",), "nps", "nps", "open_tickets", "overdue")
SETTINGS = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@st.composite
def companies(draw: st.DrawFn) -> Company:
    start = draw(st.sampled_from([None, 0, 10, 25]))
    until = draw(st.sampled_from([28, 29, 45, DAYS]))
    return random_company(draw(st.integers(0, 10**9)), CUSTOMERS, start, until, draw(st.sampled_from([0, 3, 9])))


@st.composite
def definitions(draw: st.DrawFn) -> Row:
    if draw(st.booleans()):
        return {
            "kind": "cancellation",
            "gap": draw(st.integers(0, 4)),
            "reasons": draw(st.sampled_from([None, ["price"], ["price", "payment_failed"], ["other"]])),
        }
    return {
        "kind": "inactivity",
        "window": draw(st.integers(1, 20)),
        "dated": draw(st.sampled_from(["confirmed", "last_activity"])),
        "where": draw(st.sampled_from([{}, {"feature": ["reports"]}, {"feature": ["reports", "quotes"]}])),
    }


@st.composite
def thresholds(draw: st.DrawFn, values: list[float]) -> Row:
    side = draw(st.sampled_from(["none", "below", "at_most", "at_least", "above"]))
    return {} if side == "none" else {side: draw(st.sampled_from(values))}


@st.composite
def indicators(draw: st.DrawFn, kind: str) -> Row:
    result: Row = {"kind": kind, "lag": draw(st.sampled_from([0, 0, 1, 5, 7, 13]))}
    if kind in ("usage", "usage_decline"):
        result["measure"] = draw(st.sampled_from(["quantity", "active_days", "features", "members"]))
        result["window"] = draw(st.sampled_from([1, 2, 5, 7, 14]))
        result["young"] = draw(st.sampled_from(["off", "literal"]))
        result["where"] = draw(st.sampled_from([{}, {"feature": list(FEATURES[:2])}, {"member_id": ["ann"]}]))
        if kind == "usage_decline":
            result["baseline"] = draw(st.sampled_from([1, 3, 7, 21]))
        values = [0, 0.1, 0.3, 1, 2, 2.6] if kind == "usage" else [0, 0.1, 0.5, 1, 1.5]
        return {**result, **draw(thresholds(values))}
    if kind == "nps":
        result["expires"] = draw(st.sampled_from([1, 5, 9, None]))
        group = draw(st.sampled_from([None, None, None, "detractor", "passive", "promoter", "unanswered"]))
        return {**result, "is": group} if group else {**result, **draw(thresholds([0, 6, 6.5, 10]))}
    if kind == "overdue":
        return {**result, "grace": draw(st.sampled_from([0, 3, 8])), **draw(thresholds([0, 1, 2]))}
    result["where"] = draw(st.sampled_from([{}, {"category": ["bug"]}]))
    return {**result, **draw(thresholds([0, 1, 2, 2.5]))}


def pipeline_rows(built: BuiltEpisodes) -> list[tuple[Any, ...]]:
    columns = ["customer_id", "start", "stop", "event", "cause", *built.covariates]
    table = built.arrow().select(columns)
    return list(zip(*(table[name].to_pylist() for name in columns)))


def spells_or_none(company: Company, tables: Tables, definition: Row) -> Spells | None:
    """None when the oracle has nobody at risk; the pipeline says so too."""
    if any(spell_of(company, c, definition).aside is None for c in company.customers):
        return spells(tables, parse_definition(definition))
    with pytest.raises(DataError, match="nobody is at risk"):
        spells(tables, parse_definition(definition))
    return None


@given(companies(), st.lists(definitions(), min_size=4, max_size=4), st.sampled_from([1, 3]))
@SETTINGS
def test_spells(company: Company, several: list[Row], buckets: int) -> None:
    with opened(company, buckets) as tables:
        ids = dict(zip(*(tables.engine.arrow(tables.customers)[c].to_pylist() for c in ("customer", "customer_id"))))
        for definition in several:
            expected = {c.id: spell_of(company, c, definition) for c in company.customers}
            found = spells_or_none(company, tables, definition)
            if found is None:
                continue
            rows = tables.engine.rows(found.table)
            assert len(rows) == len(expected)
            for row in rows:
                e = expected[ids[row["customer"]]]
                assert (row["aside"], row["entry"], row["exit"]) == (e.aside, e.entry, e.exit)
                assert (row["churned"], row["cause"]) == (e.churned, e.cause)


@given(
    companies(),
    definitions(),
    st.tuples(*(indicators(kind) for kind in KINDS)),
    st.sampled_from([1, 1, 7, 30, 4]),
    st.sampled_from([1, 3]),
)
@SETTINGS
def test_episodes_and_flows(
    company: Company, definition: Row, several: tuple[Row, ...], update_every: int, buckets: int
) -> None:
    named = {f"x{i}": indicator for i, indicator in enumerate(several)}
    with opened(company, buckets) as tables:
        found = spells_or_none(company, tables, definition)
        if found is None:
            return
        parsed = {name: parse_indicator(value) for name, value in named.items()}
        built = episodes(found, parsed, update_every=update_every).build()
        expected = episodes_of(company, definition, named, update_every)
        assert pipeline_rows(built) == expected
        chosen = Random(len(expected)).sample(sorted(named), 2)
        _flows_agree(company, definition, {n: named[n] for n in chosen}, update_every, built)


def _flows_agree(company: Company, definition: Row, named: dict[str, Row], every: int, built: BuiltEpisodes) -> None:
    """Of two of the indicators: the others are merged away."""
    rows = episodes_of(company, definition, named, every)
    expected = flows_of(rows, by=[5, 6])
    result = flows(built, list(named))
    assert result.episodes == len(rows)
    patterns = [tuple(None if math.isnan(v) else v for v in p) for p in result.patterns.to_numpy(float)]
    found = {
        (*patterns[p], t): [a, b, c]
        for p, t, a, b, c in zip(result.pattern, result.time, result.entered, result.exited, result.events)
    }
    assert found == expected


@pytest.mark.parametrize("definition", [{"kind": "cancellation", "gap": 2}, {"kind": "inactivity", "window": 9}])
def test_flows_of_spells_by_attribute(definition: Row) -> None:
    company = random_company(5, 200, 10, 45, 3)
    plan = {c.id: c.attributes["plan"] for c in company.customers}
    rows = [(*r, plan[r[0]]) for r in episodes_of(company, definition, {}, 1)]
    expected = flows_of(rows, by=[5])
    with opened(company, 3) as tables:
        result = flows(spells(tables, parse_definition(definition)), ["plan"])
    names = [None if p != p else p for p in result.patterns["plan"]]
    found = {
        (names[p], t): [a, b, c]
        for p, t, a, b, c in zip(result.pattern, result.time, result.entered, result.exited, result.events)
    }
    assert found == expected
    assert result.customers == result.episodes == len(rows)
