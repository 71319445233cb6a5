"""What must hold for every company: no look-ahead, buckets do not matter, a null end is an open end, sums are exact."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from companies import FIRST, opened, random_company
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from survival.churn import Cancellation, Inactivity, parse_definition, spells
from survival.data import tables_from_frames
from survival.episodes import episodes
from survival.flows.door import flows
from survival.indicators import Indicator, Nps, OpenTickets, Overdue, Usage, UsageDecline

SETTINGS = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])

EVERY_INDICATOR: dict[str, Indicator] = {
    "low": Usage(window=7, below=2),
    "total": Usage(window=7, lag=3),
    "days": Usage(window=10, measure="active_days"),
    "kinds": Usage(window=5, measure="features", where={"member_id": ["ann"]}),
    "people": Usage(window=5, measure="members", at_most=1),
    "drop": UsageDecline(window=5, baseline=9, below=0.5, lag=2),
    "ratio": UsageDecline(window=3, baseline=4, measure="active_days"),
    "score": Nps(expires=9),
    "unanswered": Nps.model_validate({"is": "unanswered", "lag": 4}),
    "tickets": OpenTickets(),
    "late": Overdue(grace=2, at_least=1),
}


def rows_of(tables: Any, definition: Any, update_every: int) -> pd.DataFrame:
    return episodes(spells(tables, definition), EVERY_INDICATOR, update_every=update_every).build().frame()


@given(st.integers(0, 10**9), st.integers(5, 44), st.sampled_from([1, 7]), st.sampled_from([0, 10, None]))
@SETTINGS
def test_no_look_ahead(seed: int, cut: int, update_every: int, start: int | None) -> None:
    """Without all that happened after day t, no covariate at risk on t or before is any different."""
    company = random_company(seed, 40, start, 45, 3)
    before: list[dict[tuple[str, int], tuple[Any, ...]]] = []
    for after in (None, FIRST + cut):
        with opened(company, after=after) as tables:
            frame = rows_of(tables, parse_definition({"kind": "inactivity", "window": 15}), update_every)
        before.append(_by_day(frame, {c.id: FIRST + cut - c.signup for c in company.customers}))
    whole, truncated = before
    assert whole == truncated
    assert len(whole) > 0 or all(c.signup >= FIRST + cut for c in company.customers) or start is not None


def _by_day(frame: pd.DataFrame, last: dict[str, int]) -> dict[tuple[str, int], tuple[Any, ...]]:
    """(customer, tenure t) -> covariates, for every day at risk whose covariates are of day `last` or before."""
    found = {}
    for row in frame.itertuples():
        values = tuple(None if v != v else v for v in (getattr(row, name) for name in EVERY_INDICATOR))
        for t in range(row.start + 1, min(row.stop, last[row.customer_id] + 1) + 1):
            found[row.customer_id, t] = values
    return _until_exit(found, last)


def _until_exit(found: dict[tuple[str, int], Any], last: dict[str, int]) -> dict[tuple[str, int], Any]:
    # Churn by silence is the same in both up to the cut; the day after it is at risk in both only without an exit.
    return {(c, t): v for (c, t), v in found.items() if t <= last[c]}


@given(st.integers(0, 10**9), st.sampled_from([1, 7, 30]))
@SETTINGS
def test_buckets_do_not_matter(seed: int, update_every: int) -> None:
    company = random_company(seed, 40, 10, 45, 3)
    results = []
    for buckets in (1, 3):
        with opened(company, buckets) as tables:
            built = episodes(spells(tables, Cancellation(gap=1)), EVERY_INDICATOR, update_every=update_every).build()
            results.append((built.frame(), flows(built, ["low", "plan", "score"])))
    (one, a), (three, b) = results
    pd.testing.assert_frame_equal(one, three)
    pd.testing.assert_frame_equal(a.patterns, b.patterns)
    for name in ("time", "pattern", "entered", "exited", "events", "began", "ended"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def day(n: int) -> dt.date:
    return dt.date(2024, 1, 1) + dt.timedelta(days=n)


def one_customer(**tables: list[dict[str, Any]]) -> Any:
    """A customer `c` who signed up on day 0, with days as numbers."""
    raw = {
        name: pd.DataFrame(
            [{"customer_id": "c", **{k: day(v) if k.endswith("_on") and v is not None else v for k, v in row.items()}}
             for row in rows]
        )
        for name, rows in tables.items()
    }  # fmt: skip
    customers = pd.DataFrame({"customer_id": ["c"], "signed_up_on": [day(0)]})
    return tables_from_frames({"customers": customers, **raw}, until=day(40))


def test_an_unresolved_ticket_stays_open() -> None:
    """GREATEST skips nulls in some engines: clipping an open end with it closed the ticket at entry."""
    tickets = [{"opened_on": 5, "resolved_on": None}, {"opened_on": 7, "resolved_on": 9}]
    subscriptions = [{"started_on": 0, "ended_on": 20, "plan": "basic"}]
    with one_customer(tickets=tickets, subscriptions=subscriptions) as tables:
        built = episodes(spells(tables, Cancellation()), {"open": OpenTickets()}).build()
        found = built.frame()[["start", "stop", "event", "open"]].to_numpy().tolist()
    assert found == [[0, 5, 0, 0], [5, 7, 0, 1], [7, 9, 0, 2], [9, 20, 1, 1]]


def test_tenths_add_up_and_are_gone_when_the_window_is() -> None:
    """0.1 + 0.2 is 0.3 here, and what is taken away leaves exactly nothing."""
    usage = [{"used_on": d, "feature": "f", "quantity": q} for d, q in ((1, 0.1), (2, 0.2), (3, 0.7))]
    indicators = {"level": Usage(window=3), "flag": Usage(window=3, above=0.3), "none": Usage(window=3, at_most=0)}
    with one_customer(usage=usage) as tables:
        built = episodes(spells(tables, Inactivity(window=30)), indicators).build()
        found = built.frame()[["start", "stop", "level", "flag", "none"]].to_numpy().tolist()
    # `none` waits until three days have been lived: from day 2, when the level is 0.3.
    assert found == [
        [0, 1, 0.0, 0, 0], [1, 2, 0.1, 0, 0], [2, 3, 0.3, 0, 0], [3, 4, 1.0, 1, 0], [4, 5, 0.9, 1, 0],
        [5, 6, 0.7, 1, 0], [6, 33, 0.0, 0, 1],
    ]  # fmt: skip


@pytest.mark.parametrize("big", [1.0, 1e12])
def test_decline_is_compared_exactly(big: float) -> None:
    """3 in 3 days after 10 in 5 is one half; `below 0.5` is off, `at_most 0.5` on, whatever the size."""
    usage = [{"used_on": 2, "feature": "f", "quantity": 10 * big}, {"used_on": 7, "feature": "f", "quantity": 3 * big}]
    indicators = {
        "below": UsageDecline(window=3, baseline=5, below=0.5),
        "at_most": UsageDecline(window=3, baseline=5, at_most=0.5),
        "just_above": UsageDecline(window=3, baseline=5, below=0.500000000001),
    }
    with one_customer(usage=usage) as tables:
        built = episodes(spells(tables, Inactivity(window=30)), indicators).build()
        frame = built.frame()
    # From day 7 (the window holds day 7, the baseline days 0-4) to day 8, when the baseline still holds day 2.
    row = frame[(frame.start <= 7) & (frame.stop > 7)].iloc[0]
    assert [row["below"], row["at_most"], row["just_above"]] == [0, 1, 1]


def test_nine_decimals_are_kept_and_more_are_rounded() -> None:
    for quantity, level in ((0.000000001, 0.000000001), (1 / 3, 0.333333333)):
        usage = [{"used_on": 3, "feature": "f", "quantity": quantity}]
        with one_customer(usage=usage) as tables:
            built = episodes(spells(tables, Inactivity(window=30)), {"x": Usage(window=3)}).build()
            assert built.frame()["x"].tolist() == [0.0, level, 0.0]
