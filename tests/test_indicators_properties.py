"""What must hold for every kind of indicator: no look-ahead, buckets do not matter, nobody is lost."""

from __future__ import annotations

import datetime as dt
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from companies import DAYS, FIRST
from detailed import PLANS, detailed_company, detailed_tables
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from survival.churn import combined, parse_definition, spells
from survival.data import Tables
from survival.episodes import BuiltEpisodes, episodes
from survival.flows.door import flows
from survival.indicators import (
    Abandonment,
    Adoption,
    AutoRenewOff,
    CalendarSpec,
    Indicator,
    LatePayments,
    MethodChange,
    Mrr,
    Nps,
    OpenTickets,
    Overdue,
    Plan,
    RepeatTickets,
    Silence,
    SlowResolution,
    Usage,
    UsageDecline,
    calendar_period,
    indicator_kinds,
)

SETTINGS = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FEATURES = ("reports", "quotes")

EVERY_INDICATOR: dict[str, Indicator] = {
    "usage": Usage(window=7, measure="members"),
    "decline": UsageDecline(window=5, baseline=9, below=0.5, lag=2),
    "adoption": Adoption(features=FEATURES, window=6),
    "ever": Adoption(features=FEATURES, window="ever", lag=3),
    "abandonment": Abandonment(features=FEATURES, window=3, baseline=8),
    "score": Nps(expires=9),
    "open": OpenTickets(),
    "repeat": RepeatTickets(window=9),
    "one_category": RepeatTickets(window=14, per="category"),
    "slow": SlowResolution(window=9),
    "silence": Silence(lag=1),
    "quiet": Silence(at_least=6),
    "overdue": Overdue(grace=2),
    "late": LatePayments(window=14, grace=3),
    "method": MethodChange(window=20),
    "renewal": AutoRenewOff(lag=2),
    "mrr": Mrr(),
    "plan": Plan(lag=1),
    "rank": Plan(plan_order=PLANS, at_most=2),
}


def test_every_kind_is_here() -> None:
    kinds = {kind for kind, cls in indicator_kinds().items() if cls.__module__.startswith("survival.")}
    assert kinds == {indicator.kind for indicator in EVERY_INDICATOR.values()}


DEFINITIONS: dict[str, dict[str, Any]] = {
    "silent": {"kind": "inactivity", "window": 15},
    "silent_again": {"kind": "inactivity", "window": 5, "spells": "all"},
    "cancelled": {"kind": "cancellation", "gap": 2},
    "every_chain": {"kind": "cancellation", "spells": "all", "clock": "continue"},
    "not_renewed": {"kind": "non_renewal", "grace": 2, "min_term_months": 1},
    "pays_less": {"kind": "downgrade", "min_drop": 0.1},
    "lower_plan": {"kind": "downgrade", "plan_order": list(PLANS), "spells": "all"},
    "one_order": {"kind": "single_purchase", "window": 20},
    "since_activation": {"kind": "cancellation", "origin": "activation"},
    "first": {"kind": "first_of", "of": ["silent", "pays_less"]},
}
PARSED = combined({name: parse_definition(value) for name, value in DEFINITIONS.items()})


def built(tables: Tables, update_every: int, definition: str = "silent") -> BuiltEpisodes:
    found = spells(tables, PARSED[definition])
    calendar = calendar_period(tables, CalendarSpec(cuts={"leap_day": dt.date(2024, 2, 29)}))
    return episodes(found, {**EVERY_INDICATOR, "calendar": calendar}, update_every=update_every).build()


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_no_look_ahead(definition: str) -> None:
    """Without all that happened after day t, no covariate at risk on t or before is any different.

    One large company of a fresh seed for each definition: compiling a build takes longer than running it.
    """
    seed = Random().randrange(10**9)
    random = Random(seed)
    day, update_every, start = FIRST + random.randint(5, 44), random.choice([1, 7]), random.choice([10, None, 0])
    company = detailed_company(seed, 150, start, 45, 3)
    days = []
    for after in (None, day):
        with detailed_tables(company, after=after) as tables:
            days.append(_by_day(built(tables, update_every, definition), day))
    whole, truncated = days
    both = whole.keys() & truncated.keys()
    assert {key: whole[key] for key in both} == {key: truncated[key] for key in both}, seed
    # Whether a break is a gap is known only later, so who is at risk in the last days before t may differ.
    delay = DEFINITIONS[definition].get("gap", DEFINITIONS[definition].get("grace", 0))
    assert all(at > day - delay for *_, at in whole.keys() ^ truncated.keys()), seed


def _by_day(built: BuiltEpisodes, last: int) -> dict[tuple[str, int, int], tuple[Any, ...]]:
    """(customer, spell, epoch day) -> covariates, for every day at risk up to day `last`."""
    rows = built.spells.tables.engine.rows(built.spells.at_risk.select("customer", "spell", "origin"))
    origins = {(row["customer"], row["spell"]): row["origin"] for row in rows}
    names = [*EVERY_INDICATOR, "calendar"]
    found = {}
    for row in built.frame().itertuples():
        origin = origins[row.customer, row.spell]
        values = tuple(None if v != v else v for v in (getattr(row, name) for name in names))
        for t in range(row.start + 1, min(row.stop, last - origin) + 1):
            found[row.customer_id, row.spell, origin + t] = values
    return found


@given(st.integers(0, 10**9), st.sampled_from([1, 7, 30]))
@settings(SETTINGS, max_examples=2)
def test_buckets_do_not_matter_and_nobody_is_lost(seed: int, update_every: int) -> None:
    company = detailed_company(seed, 30, 10, DAYS, 3)
    results = []
    for buckets in (1, 3):
        with detailed_tables(company, buckets) as tables:
            made = built(tables, update_every)
            frame = made.frame()
            results.append((frame, flows(made, ["plan", "silence", "calendar"])))
            assert (frame["stop"] - frame["start"]).sum() == made.spells.person_days
            assert frame["event"].sum() == made.spells.churns
            assert frame["customer"].nunique() == made.spells.customers
    (one, a), (three, b) = results
    pd.testing.assert_frame_equal(one, three)
    pd.testing.assert_frame_equal(a.patterns, b.patterns)
    for name in ("time", "pattern", "entered", "exited", "events", "began", "ended"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("name", [n for n in EVERY_INDICATOR if n != "silence"])
def test_a_lag_moves_every_change(name: str) -> None:
    """From signup + lag on, the covariate with a lag is what it was without, so many days earlier.

    Silence as a level is left out: it changes every day.
    """
    company = detailed_company(4, 60, None, DAYS, 0)
    lag, indicator = 6, EVERY_INDICATOR[name]
    with detailed_tables(company) as tables:
        found = spells(tables, parse_definition({"kind": "inactivity", "window": 20}))
        pair = {"now": indicator.with_lag(0), "later": indicator.with_lag(lag)}
        frame = episodes(found, pair).build().frame()
    days = {
        (row.customer_id, t): (row.now, row.later) for row in frame.itertuples() for t in range(row.start, row.stop)
    }
    compared = changed = 0
    for (customer, t), (_, later) in days.items():
        if t >= lag:
            before = days[customer, t - lag][0]
            assert later == before or (later != later and before != before)
            compared += 1
            changed += later != days[customer, t][0] and later == later
    assert compared > 500
    assert changed > 0
