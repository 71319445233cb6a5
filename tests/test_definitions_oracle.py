"""Every churn definition with every option equals the brute-force oracle, row for row, on random companies."""

from __future__ import annotations

from typing import Any

import pytest
from companies import ZONES
from companies_definitions import DAYS, FIRST, PLANS, opened, random_company
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from oracle import Company, Row
from oracle_definitions import Spell, episodes_of, spells_of

from survival.churn import Definition, Spells, combined, parse_definition, spells
from survival.data import Tables
from survival.episodes import episodes
from survival.errors import DataError
from survival.flows.door import flows
from survival.indicators import parse_indicator

CUSTOMERS = 200
SETTINGS = settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=(Phase.explicit, Phase.generate),  # a seed does not shrink
)
KINDS = ("cancellation", "non_renewal", "downgrade", "inactivity", "single_purchase", "first_of")
CAUSES = [{}, {"voluntary": ["price", "moved"], "involuntary": ["payment_failed"]}, {"money": ["price"], "none": []}]
ORIGINS: list[Row] = [
    {}, {}, {}, {"origin": "first_payment"}, {"origin": "first_order"}, {"origin": "activation"},
    {"origin": "activation", "activated_by": ["reports"]}, {"origin": "activation", "activated_by": ["quotes", "reports"]},
]  # fmt: skip
RETURNS: list[Row] = [
    {},
    {"spells": "all"},
    {"spells": "all", "clock": "continue"},
    {"spells": "all", "clock": "reset"},
]
TRIALS: list[Row] = [{}, {}, {"trials": "exclude"}, {"trials": "include"}]


# seed, customers, from, until, warm-up: the arguments of `random_company`, which are shorter to show than a company
COMPANIES = st.tuples(
    st.integers(0, 10**9),
    st.just(CUSTOMERS),
    st.sampled_from([None, 0, 10, 25]),
    st.sampled_from([28, 29, 45, DAYS]),
    st.sampled_from([0, 3, 9]),
)


@st.composite
def definitions(draw: st.DrawFn, kind: str, origin: Row | None = None, returns: list[Row] = RETURNS) -> Row:
    """One definition of a kind, as a config would write it."""
    base: Row = {"kind": kind, **(draw(st.sampled_from(ORIGINS)) if origin is None else origin)}
    back, trials = draw(st.sampled_from(returns)), draw(st.sampled_from(TRIALS))
    if kind == "cancellation":
        reasons = draw(st.sampled_from([None, None, ["price"], ["price", "payment_failed"], []]))
        chosen = {} if reasons is None else {"reasons": reasons}
        causes = draw(st.sampled_from(CAUSES))
        return {**base, **chosen, **back, **trials, "gap": draw(st.sampled_from([0, 0, 1, 3])), "causes": causes}
    if kind == "non_renewal":
        grace, least = draw(st.sampled_from([0, 2, 14])), draw(st.sampled_from([1, 1, 2, 12]))
        causes = draw(st.sampled_from(CAUSES))
        return {**base, **trials, "grace": grace, "min_term_months": least, "causes": causes}
    if kind == "downgrade":
        drop = draw(st.sampled_from([{}, {}, {"min_drop": 0.1}, {"min_drop": 0.0005}, {"min_drop": "0.5"}]))
        order = draw(st.sampled_from([None, None, PLANS, PLANS[::-1]]))
        return {**base, **back, **trials, **(drop if order is None else {"plan_order": list(order)})}
    if kind == "inactivity":
        options = draw(
            st.sampled_from([{}, {"dated": "last_activity"}, {"table": "orders"}, {"where": {"feature": ["reports"]}}])
        )
        return {**base, **back, **options, "window": draw(st.sampled_from([1, 4, 9, 20]))}
    return {"kind": "single_purchase", "window": draw(st.sampled_from([1, 7, 20]))}


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Row]:
    """A definition of every kind, and a first_of that combines others of one origin, one of them a first_of again."""
    found = {kind: draw(definitions(kind)) for kind in KINDS[:-1]}
    origin = draw(st.sampled_from(ORIGINS))
    kinds = draw(st.permutations(KINDS[:4]))
    parts = {f"part_{kind}": draw(definitions(kind, origin, [{}])) for kind in kinds[:3]}
    a, b, c = parts
    inner = {"inner": {"kind": "first_of", "of": [b, a]}}
    return {**found, **parts, **inner, "outer": {"kind": "first_of", "of": draw(st.permutations([c, "inner"]))}}


def parsed(config: dict[str, Row]) -> dict[str, Definition]:
    return combined({name: parse_definition(value) for name, value in config.items()})


def expected_spells(company: Company, name: str, config: dict[str, Row]) -> dict[tuple[str, int], Spell]:
    return {(c.id, s.spell): s for c in company.customers for s in spells_of(company, c, config[name], config)}


def found_spells(tables: Tables, made: Spells) -> dict[tuple[str, int], Spell]:
    ids = dict(zip(*(tables.engine.arrow(tables.customers)[c].to_pylist() for c in ("customer", "customer_id"))))
    rows = tables.engine.rows(made.table)
    columns = ("spell", "origin", "entry", "exit", "churned", "cause", "aside")
    found = {(ids[row["customer"]], row["spell"]): Spell(*(row[c] for c in columns)) for row in rows}
    assert len(found) == len(rows)
    return found


def made_or_none(tables: Tables, definition: Definition, expected: dict[Any, Spell]) -> Spells | None:
    """None when the oracle has nobody at risk; the pipeline says so too."""
    if any(s.aside is None for s in expected.values()):
        return spells(tables, definition)
    with pytest.raises(DataError, match="nobody is at risk"):
        spells(tables, definition)
    return None


@given(COMPANIES, configs(), st.sampled_from([1, 3]), st.sampled_from(ZONES))
@SETTINGS
def test_spells_of_every_kind(drawn: tuple[Any, ...], config: dict[str, Row], buckets: int, zone: str | None) -> None:
    company = random_company(*drawn)
    with opened(company, buckets, zone=zone) as tables:
        for name, definition in parsed(config).items():
            expected = expected_spells(company, name, config)
            made = made_or_none(tables, definition, expected)
            if made is None:
                continue
            assert found_spells(tables, made) == expected, (name, config)
            _conserved(company, made, expected)


def _conserved(company: Company, made: Spells, expected: dict[tuple[str, int], Spell]) -> None:
    """Customers are at risk or set aside, once; churns and days at risk are those of the oracle, to the flows."""
    at_risk = {k: s for k, s in expected.items() if s.aside is None}
    assert made.counts["customers"].sum() == len(company.customers)
    assert made.customers == len({name for name, _ in at_risk})
    assert made.count == len(at_risk)
    assert made.churns == sum(s.churned for s in at_risk.values())
    assert made.person_days == sum(s.exit - s.entry for s in at_risk.values())
    counted = flows(made)
    assert (counted.total_events, counted.person_days) == (made.churns, made.person_days)


INDICATORS: dict[str, Row] = {
    "low": {"kind": "usage", "window": 7, "below": 2},
    "total": {"kind": "usage", "window": 5, "lag": 3},
    "drop": {"kind": "usage_decline", "window": 5, "baseline": 9, "below": 0.5, "lag": 2},
    "score": {"kind": "nps", "expires": 9},
    "tickets": {"kind": "open_tickets"},
    "late": {"kind": "overdue", "grace": 2, "at_least": 1},
}


@given(
    COMPANIES,
    st.one_of(*(definitions(kind, returns=RETURNS[1:]) for kind in ("cancellation", "downgrade", "inactivity"))),
    st.sampled_from([1, 7, 4]),
    st.sampled_from([1, 3]),
)
@SETTINGS
def test_episodes_of_returns(drawn: tuple[Any, ...], definition: Row, update_every: int, buckets: int) -> None:
    """History carries over to later spells, marks are on the spell's clock, the young are counted from signup."""
    company = random_company(*drawn)
    with opened(company, buckets) as tables:
        expected = episodes_of(company, definition, INDICATORS, update_every)
        made = made_or_none(tables, parse_definition(definition), expected_spells(company, "x", {"x": definition}))
        if made is None:
            return
        named = {name: parse_indicator(value) for name, value in INDICATORS.items()}
        built = episodes(made, named, update_every=update_every).build()
        columns = ["customer_id", "spell", "start", "stop", "event", "cause", *INDICATORS]
        rows = built.arrow().select(columns)
        assert list(zip(*(rows[name].to_pylist() for name in columns))) == expected
        assert flows(built).customers == len({row[0] for row in expected})


def delay_of(definition: Definition) -> int:
    """Days after the exit until it is known."""
    if definition.parts:
        return max(map(delay_of, definition.parts.values()))
    backdated = getattr(definition, "dated", "confirmed") == "last_activity"
    return (
        getattr(definition, "window", 0) if backdated else getattr(definition, "gap", getattr(definition, "grace", 0))
    )


def known_by(found: dict[tuple[str, int], Spell], day: int, delay: int) -> dict[tuple[str, int], Any]:
    """What may be said at the close of `day`: whole spells that are over and known to be, when the others began."""
    said: dict[tuple[str, int], Any] = {}
    for key, s in found.items():
        if s.exit is None or s.origin is None:
            continue
        if s.origin + max(s.entry, s.exit) + delay <= day:
            said[key] = s
        elif s.origin + s.entry + delay <= day and s.aside is None:
            said[key] = (s.origin, s.entry)
    return said


@given(COMPANIES, configs(), st.integers(5, 44))
@settings(SETTINGS, max_examples=3)
def test_no_look_ahead(drawn: tuple[Any, ...], config: dict[str, Row], cut: int) -> None:
    """Without all that happened after day t, nothing that was known by then is any different."""
    company, definitions = random_company(*drawn), parsed(config)
    said: list[dict[str, Any]] = []
    day = FIRST + cut
    for after in (None, day):
        with opened(company, after=after) as tables:
            said.append({n: _said(tables, d, day) for n, d in definitions.items()})
    whole, truncated = said
    for name in definitions:
        if whole[name] is not None and truncated[name] is not None:
            assert whole[name] == truncated[name], (name, config)


def _said(tables: Tables, definition: Definition, day: int) -> Any:
    try:
        made = spells(tables, definition)
    except DataError as error:
        if "nobody is at risk" in str(error):
            return None
        raise
    return known_by(found_spells(tables, made), day, delay_of(definition))
