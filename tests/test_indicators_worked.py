"""The indicators on adoption, support, payment and subscriptions, and calendar periods, on examples worked by hand."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from survival.churn import Cancellation, spells
from survival.data import Tables, tables_from_frames
from survival.episodes import episodes
from survival.errors import DataError
from survival.estimate.cox import cox
from survival.indicators import (
    Abandonment,
    Adoption,
    AutoRenewOff,
    CalendarSpec,
    Indicator,
    LatePayments,
    MethodChange,
    Mrr,
    Overdue,
    Plan,
    RepeatTickets,
    Silence,
    SlowResolution,
    calendar_period,
    unbounded,
)


def day(n: int | None) -> dt.date | None:
    return None if n is None else dt.date(2024, 1, 1) + dt.timedelta(days=n)


def stays(length: int = 40, **tables: list[dict[str, Any]]) -> Tables:
    """Customer c signs up on day 0 and leaves on day `length`; days are numbers."""
    rows = {
        "customers": [{"signed_up_on": 0}],
        "subscriptions": [{"started_on": 0, "ended_on": length, "plan": "basic"}],
        **tables,
    }
    frames = {
        name: pd.DataFrame(
            [{"customer_id": "c", **{k: day(v) if k.endswith("_on") else v for k, v in row.items()}} for row in part]
        )
        for name, part in rows.items()
    }
    return tables_from_frames(frames, until=day(60), warm_up=0)


def steps(tables: Tables, indicator: Indicator, update_every: int = 1, gap: int = 20) -> list[tuple[int, Any]]:
    """(start, value) of each episode; None: undefined."""
    with tables:
        built = episodes(spells(tables, Cancellation(gap=gap)), {"x": indicator}, update_every=update_every).build()
        table = built.arrow()
    return list(zip(table["start"].to_pylist(), table["x"].to_pylist()))


USES = [{"used_on": d, "feature": f} for d, f in ((2, "a"), (2, "b"), (4, "a"), (20, "c"), (21, "b"))]


@pytest.mark.parametrize(
    ("indicator", "expected"),
    [
        (Adoption(features=("a", "b"), window=5), [(0, 0), (2, 1), (7, 0.5), (9, 0), (21, 0.5), (26, 0)]),
        (Adoption(features=("a", "b"), window=5, lag=3), [(0, 0), (5, 1), (10, 0.5), (12, 0), (24, 0.5), (29, 0)]),
        (Adoption(features=("a", "c", "x"), window="ever"), [(0, 0), (2, 1 / 3), (20, 2 / 3)]),
        (Adoption(features=("a", "b", "c"), window="ever", at_least=0.6), [(0, 0), (2, 1)]),
        (Adoption(features=("a",), window="ever", below=1), [(0, 1), (2, 0)]),  # no window to live through
        (Adoption(features=("a",), window=5, below=1), [(0, 0), (9, 1)]),  # off until day 4
        (Adoption(features=("a",), window=5, below=1, young="literal"), [(0, 1), (2, 0), (9, 1)]),
        # `a` is missed from day 4 + 3 on and forgotten on day 4 + 3 + 6, `b` from 2 + 3 to 2 + 3 + 6
        (Abandonment(features=("a", "b"), window=3, baseline=6), [(0, 0), (5, 1), (7, 2), (11, 1), (13, 0), (24, 1), (30, 0)]),
        (Abandonment(features=("b", "c"), window=3, baseline=30, at_least=1), [(0, 0), (5, 1), (21, 0), (23, 1)]),
    ],
)  # fmt: skip
def test_features(indicator: Indicator, expected: list[tuple[int, Any]]) -> None:
    assert steps(stays(usage=USES), indicator) == [(at, pytest.approx(value)) for at, value in expected]


TICKETS = [
    {"opened_on": a, "resolved_on": b, "category": c}
    for a, b, c in ((-6, 2, "bug"), (3, 3, "bug"), (4, 14, "bill"), (5, None, "bug"), (5, 75, None), (30, 31, "bill"))
]


@pytest.mark.parametrize(
    ("indicator", "expected"),
    [
        # that of before signup is no opening; two on day 5
        (RepeatTickets(window=5), [(0, 0), (3, 1), (4, 2), (5, 4), (8, 3), (9, 2), (10, 0), (30, 1), (35, 0)]),
        (RepeatTickets(window=5, per="category"), [(0, 0), (3, 1), (5, 2), (8, 1), (10, 0), (30, 1), (35, 0)]),
        (RepeatTickets(window=5, at_least=2, lag=2, where={"category": ["bug"]}), [(0, 0), (7, 1), (10, 0)]),
        # true dates: 8 days for the first; 0 for the second; 10; 1
        (SlowResolution(window=4), [(0, None), (2, 8), (3, 4), (6, 0), (7, None), (14, 10), (18, None), (31, 1), (35, None)]),
        (SlowResolution(window=4, above=4), [(0, 0), (2, 1), (3, 0), (14, 1), (18, 0)]),
        (SlowResolution(window=4, at_most=4), [(0, 0), (3, 1), (7, 0), (31, 1), (35, 0)]),
        (Silence(at_least=10), [(0, 0), (15, 1), (30, 0)]),
        (Silence(above=10, lag=1), [(0, 0), (17, 1), (31, 0)]),
        (Silence(below=3), [(0, 1), (8, 0), (30, 1), (33, 0)]),  # day 3 is the day of a ticket
        (Silence(at_most=-1), [(0, 0)]),
        (Silence(at_least=0), [(0, 1)]),
        (Silence(at_least=1e15), [(0, 0)]),
    ],
)  # fmt: skip
def test_tickets(indicator: Indicator, expected: list[tuple[int, Any]]) -> None:
    assert steps(stays(tickets=TICKETS), indicator) == expected


def test_silence_grows_by_itself_at_every_mark() -> None:
    level = [n - max([0, *(t for t in (3, 4, 5, 30) if t <= n)]) for n in range(40)]
    merged = [(n, v) for n, v in enumerate(level) if n == 0 or v != level[n - 1]]
    assert steps(stays(tickets=TICKETS), Silence()) == merged
    assert steps(stays(tickets=TICKETS), Silence(), 7) == [(0, 0), (7, 2), (14, 9), (21, 16), (28, 23), (35, 5)]
    assert steps(stays(tickets=TICKETS), Silence(lag=10), 7) == [(0, 0), (21, 6), (28, 13), (35, 20)]


INVOICES = [
    {"due_on": a, "paid_on": b, "method": m}
    for a, b, m in (
        (2, 2, "card"), (4, 9, "sepa"), (10, 12, None), (15, 15, "sepa"), (20, 18, "card"), (17, 18, "sepa"), (25, None, "cash"),
        (28, 65, "cash"),
    )
]  # fmt: skip


@pytest.mark.parametrize(
    ("indicator", "expected"),
    [
        # late on days 5, 11, 18 (paid on 18 what was due on 17), 26 and 29
        (LatePayments(window=8), [(0, 0), (5, 1), (11, 2), (13, 1), (18, 2), (19, 1), (29, 2), (34, 1), (37, 0)]),
        (LatePayments(window=8, grace=2), [(0, 0), (7, 1), (15, 0), (28, 1), (31, 2), (36, 1), (39, 0)]),
        (LatePayments(window=8, grace=2, at_least=2, lag=1), [(0, 0), (32, 1), (37, 0)]),
        (LatePayments(window=8, grace=2, below=1), [(0, 0), (15, 1), (28, 0), (39, 1)]),  # the window is lived on day 7
        # card to sepa on 9; the unknown one is passed over; on 18 sepa (due 17) stays, then card (due 20)
        (MethodChange(window=5), [(0, 0), (9, 1), (14, 0), (18, 1), (23, 0)]),
        (MethodChange(window=10, at_least=2), [(0, 0), (18, 1), (19, 0)]),
    ],
)
def test_invoices(indicator: Indicator, expected: list[tuple[int, Any]]) -> None:
    assert steps(stays(invoices=INVOICES), indicator) == expected


SUBSCRIPTIONS = [
    {"subscription_id": i, "started_on": a, "ended_on": b, "plan": p, "mrr": m, "auto_renew": r}
    for i, (a, b, p, m, r) in enumerate(
        (
            (-9, 10, "pro", 20.1, True), (2, 6, "basic", 9.9, False), (2, 4, "top", None, False), (8, 8, "top", 99, True),
            (15, 40, "basic", 9.9, False), (18, 20, "basic", 0.1, None), (25, 30, "pro", 5, False),
        )
    )
]  # fmt: skip


@pytest.mark.parametrize(
    ("indicator", "expected"),
    [
        # nothing runs on days 10-14: held. Zero days are never running. 9.9 + 0.1 is 10.
        (Mrr(), [(0, 20.1), (2, 30), (6, 20.1), (15, 9.9), (18, 10), (20, 9.9), (25, 14.9), (30, 9.9)]),
        (Mrr(lag=4), [(0, 20.1), (6, 30), (10, 20.1), (19, 9.9), (22, 10), (24, 9.9), (29, 14.9), (34, 9.9)]),
        (Mrr(at_least=10, where={"plan": ["basic"]}), [(0, 0), (18, 1), (20, 0)]),
        (AutoRenewOff(), [(0, 0), (15, 1), (18, 0), (20, 1)]),
        (AutoRenewOff(lag=2, below=1), [(0, 1), (17, 0), (20, 1), (22, 0)]),
        (Plan(), [(0, "pro"), (2, "top"), (4, "basic"), (6, "pro"), (15, "basic"), (25, "pro"), (30, "basic")]),
        (Plan(where={"plan": ["top"]}), [(0, "(none)"), (2, "top")]),
        (Plan(plan_order=("basic", "pro", "top")), [(0, 2), (2, 3), (4, 2), (15, 1), (25, 2), (30, 1)]),
        (Plan(plan_order=("top", "basic", "pro"), at_most=2), [(0, 0), (15, 1), (25, 0), (30, 1)]),
        (Plan(plan_order=("basic", "pro", "top"), where={"plan": ["top"]}, lag=1), [(0, 0), (3, 3)]),
    ],
)
def test_subscriptions(indicator: Indicator, expected: list[tuple[int, Any]]) -> None:
    assert steps(stays(subscriptions=SUBSCRIPTIONS), indicator) == expected


def test_a_plan_that_is_not_in_the_order() -> None:
    with pytest.raises(DataError, match=r"the plan 'top' is not in plan_order \(basic, pro\)"):
        steps(stays(subscriptions=SUBSCRIPTIONS), Plan(plan_order=("basic", "pro")))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Plan(at_least=1), "a plan is text; a threshold needs plan_order"),
        (lambda: Plan(plan_order=("a", "a")), "each plan once"),
        (lambda: Adoption(features=()), "at least 1 item"),
        (lambda: Adoption(features=("a", "a")), "'a' is there twice"),
        (lambda: Adoption(features=("a",), window=0), "a whole number of days, 1 or more, or ever"),
        (lambda: CalendarSpec(), "either by or cuts"),
        (lambda: CalendarSpec(by="year", cuts={"a": dt.date(2024, 1, 1)}), "either by or cuts"),
        (
            lambda: CalendarSpec(cuts={"a": dt.date(2024, 1, 1), "b": dt.date(2024, 1, 1)}),
            "a and b begin on the same day",
        ),
        (lambda: CalendarSpec(cuts={"(before)": dt.date(2024, 1, 1)}), "before the first cut"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make()


def test_look_back() -> None:
    bounded = {
        "a": Adoption(features=("a",), window=28, lag=3),
        "b": Abandonment(features=("a",), window=14, baseline=56, lag=7),
        "c": RepeatTickets(window=30),
        "d": SlowResolution(window=60, lag=1),
        "e": LatePayments(window=90, grace=3, lag=2),
        "f": MethodChange(window=90),
    }
    assert {name: i.look_back for name, i in bounded.items()} == {"a": 31, "b": 77, "c": 30, "d": 61, "e": 95, "f": 90}
    endless = {
        "ever": Adoption(features=("a",), window="ever", lag=3),
        "silence": Silence(lag=4),
        "renew": AutoRenewOff(lag=5),
        "mrr": Mrr(),
        "plan": Plan(lag=6),
        "overdue": Overdue(),
    }
    assert [i.look_back for i in endless.values()] == [3, 4, 5, 0, 6, 0]
    assert [f.subject for f in unbounded({**bounded, **endless}, 1)] == list(endless)


def test_churn_of_the_first_of_a_month_is_of_that_month() -> None:
    """Day 60 is 1 March 2024: at risk on it is who is there at the close of day 59."""
    with stays(60) as tables:
        found = spells(tables, Cancellation())
        spec = CalendarSpec(cuts={"outage": dt.date(2024, 2, 20), "price_rise": dt.date(2024, 3, 1)})
        rows = {}
        for name, calendar in (("by", CalendarSpec(by="month")), ("cuts", spec), ("year", CalendarSpec(by="year"))):
            built = episodes(found, {"calendar": calendar_period(tables, calendar)}, update_every=30).build()
            rows[name] = built.frame()[["start", "stop", "event", "calendar"]].to_numpy().tolist()
    assert rows["by"] == [[0, 30, 0, "2024-01"], [30, 59, 0, "2024-02"], [59, 60, 1, "2024-03"]]
    assert rows["cuts"] == [[0, 49, 0, "(before)"], [49, 59, 0, "outage"], [59, 60, 1, "price_rise"]]
    assert rows["year"] == [[0, 60, 1, "2024"]]


def test_text_that_changes_over_time_in_a_formula() -> None:
    """Plans as levels of a factor, with an interaction: the fit is that of dummies made by hand."""
    people = [{"customer_id": f"c{i}", "signed_up_on": day(0)} for i in range(60)]
    rows: list[dict[str, Any]] = []
    for i in range(60):
        switch, end = day(3 + i % 7), day(12 + (i * 7) % 40)
        first = {"customer_id": f"c{i}", "started_on": day(0), "ended_on": switch, "mrr": i % 4}
        then = {"customer_id": f"c{i}", "started_on": switch, "ended_on": end, "mrr": i % 5}
        rows += [{**first, "plan": "pro" if i % 3 else "basic"}, {**then, "plan": ("top", "pro", "basic")[i % 3]}]
    tables = tables_from_frames({"customers": pd.DataFrame(people), "subscriptions": pd.DataFrame(rows)}, until=day(45))
    with tables:
        built = episodes(spells(tables, Cancellation()), {"plan": Plan(), "paying": Mrr(at_least=2)}).build()
        frame = built.frame()
    assert set(frame["plan"]) == {"basic", "pro", "top"}
    assert frame.groupby("customer_id")["plan"].nunique().max() == 2
    fit = cox(frame, "plan + paying + plan:paying", start="start", stop="stop", event="event", customer="customer_id")
    hand = frame.assign(pro=(frame.plan == "pro") * 1, top=(frame.plan == "top") * 1)
    hand = hand.assign(pro_paying=hand.pro * hand.paying, top_paying=hand.top * hand.paying)
    same = cox(
        hand,
        "pro + top + paying + pro_paying + top_paying",
        start="start",
        stop="stop",
        event="event",
        customer="customer_id",
    )
    assert set(fit.names) == {"plan[T.pro]", "plan[T.top]", "paying", "plan[T.pro]:paying", "plan[T.top]:paying"}
    assert fit.log_likelihood == pytest.approx(same.log_likelihood, abs=1e-9)
    mine, theirs = (dict(zip(f.tidy()["covariate"], f.tidy()["coef"])) for f in (fit, same))
    assert mine["plan[T.top]:paying"] == pytest.approx(theirs["top_paying"], abs=1e-7)
    assert mine["plan[T.pro]"] == pytest.approx(theirs["pro"], abs=1e-7)
