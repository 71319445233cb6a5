"""What must hold for every kind of indicator: no look-ahead, buckets do not matter, nobody is lost."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from companies import DAYS, FIRST
from detailed import PLANS, detailed_company, detailed_tables
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from survival.churn import parse_definition, spells
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


def built(tables: Tables, update_every: int, only: Any = None) -> BuiltEpisodes:
    found = spells(tables, parse_definition({"kind": "inactivity", "window": 15}))
    calendar = calendar_period(tables, CalendarSpec(cuts={"leap_day": dt.date(2024, 2, 29)}))
    named = {**EVERY_INDICATOR, "calendar": calendar}
    chosen = {name: i for name, i in named.items() if only is None or name in only}
    return episodes(found, chosen, update_every=update_every).build()


@given(st.integers(0, 10**9), st.integers(5, 44), st.sampled_from([1, 7]), st.sampled_from([0, 10, None]))
@SETTINGS
def test_no_look_ahead(seed: int, cut: int, update_every: int, start: int | None) -> None:
    """Without all that happened after day t, no covariate at risk on t or before is any different."""
    company = detailed_company(seed, 25, start, 45, 3)
    last = {c.id: FIRST + cut - c.signup for c in company.customers}
    days = []
    for after in (None, FIRST + cut):
        with detailed_tables(company, after=after) as tables:
            days.append(_by_day(built(tables, update_every).frame(), last))
    whole, truncated = days
    assert whole == truncated


def _by_day(frame: pd.DataFrame, last: dict[str, int]) -> dict[tuple[str, int], tuple[Any, ...]]:
    """(customer, tenure t) -> covariates, for every day at risk up to day `last`."""
    names = [*EVERY_INDICATOR, "calendar"]
    found = {}
    for row in frame.itertuples():
        values = tuple(None if v != v else v for v in (getattr(row, name) for name in names))
        for t in range(row.start + 1, min(row.stop, last[row.customer_id]) + 1):
            found[row.customer_id, t] = values
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
