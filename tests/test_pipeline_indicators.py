"""Indicators, warm-up, findings and cohorts on examples worked by hand."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any, Literal

import pandas as pd
import pytest

from survival.churn import Cancellation, Inactivity, Recorded, parse_definition, spells
from survival.cohorts import CohortSpec, cohort_order, with_cohort
from survival.data import Observed, Tables, tables_from_frames
from survival.episodes import episodes
from survival.errors import ConfigError, ConservationError, DataError
from survival.flows.door import flows
from survival.indicators import (
    Channel,
    Indicator,
    Level,
    Lived,
    Nps,
    OpenTickets,
    Overdue,
    Usage,
    UsageDecline,
    circularity,
    indicator_kinds,
    look_back,
    needs,
    parse_indicator,
    register_indicator,
    unbounded,
    warm_up_days,
)
from survival.indicators import indicator as indicator_module


def day(n: int | None) -> dt.date | None:
    return None if n is None else dt.date(2024, 1, 1) + dt.timedelta(days=n)


def stays(length: int = 40, start: int | None = None, **tables: list[dict[str, Any]]) -> Tables:
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
    return tables_from_frames(frames, from_=day(start), until=day(60), warm_up=0)


def steps(tables: Tables, indicator: Indicator, update_every: int = 1) -> list[tuple[int, Any]]:
    """(start, value) of each episode; None: undefined."""
    with tables:
        built = episodes(spells(tables, Cancellation()), {"x": indicator}, update_every=update_every).build()
        table = built.arrow()
    return list(zip(table["start"].to_pylist(), table["x"].to_pylist()))


def used(*rows: tuple[int, float, str, str | None]) -> list[dict[str, Any]]:
    return [{"used_on": d, "quantity": q, "feature": f, "member_id": m} for d, q, f, m in rows]


USES = used((2, 3, "a", "ann"), (2, 1, "b", None), (4, 2, "a", "bob"), (20, 5, "c", "ann"))


@pytest.mark.parametrize(
    ("indicator", "expected"),
    [
        (Usage(window=5), [(0, 0), (2, 4), (4, 6), (7, 2), (9, 0), (20, 5), (25, 0)]),
        (Usage(window=5, measure="active_days"), [(0, 0), (2, 1), (4, 2), (7, 1), (9, 0), (20, 1), (25, 0)]),
        (Usage(window=5, measure="features"), [(0, 0), (2, 2), (7, 1), (9, 0), (20, 1), (25, 0)]),
        (Usage(window=5, measure="members"), [(0, 0), (2, 1), (4, 2), (7, 1), (9, 0), (20, 1), (25, 0)]),
        (Usage(window=5, lag=3), [(0, 0), (5, 4), (7, 6), (10, 2), (12, 0), (23, 5), (28, 0)]),
        (Usage(window=5, where={"feature": ["a"]}), [(0, 0), (2, 3), (4, 5), (7, 2), (9, 0)]),
        (Usage(window=5, at_least=4), [(0, 0), (2, 1), (7, 0), (20, 1), (25, 0)]),
        (Usage(window=5, above=4), [(0, 0), (4, 1), (7, 0), (20, 1), (25, 0)]),
        (Usage(window=5, below=4, lag=1), [(0, 0), (8, 1), (21, 0), (26, 1)]),  # young until day 5, and 6 then
        (Usage(window=10, at_most=0), [(0, 0), (14, 1), (20, 0), (30, 1)]),
        (Usage(window=10, at_most=0, young="literal"), [(0, 1), (2, 0), (14, 1), (20, 0), (30, 1)]),
        # recent days d-1..d, baseline d-5..d-2: (r/2) / (B/4)
        (
            UsageDecline(window=2, baseline=4),
            [(0, None), (2, float("inf")), (4, 1.0), (6, 0.0), (10, None), (20, float("inf")), (22, 0.0), (26, None)],
        ),
        (UsageDecline(window=2, baseline=4, below=0.5), [(0, 0), (6, 1), (10, 0), (22, 1), (26, 0)]),
        (UsageDecline(window=2, baseline=4, at_least=1), [(0, 0), (2, 1), (6, 0), (20, 1), (22, 0)]),
    ],
)
def test_usage(indicator: Indicator, expected: list[tuple[int, Any]]) -> None:
    assert steps(stays(usage=USES), indicator) == expected


@pytest.mark.parametrize(
    ("every", "lag", "expected"),
    [
        (7, 0, [(0, 0), (7, 2), (14, 0), (21, 5), (28, 0)]),  # at day 7 the window holds days 3-7
        (7, 3, [(0, 0), (7, 6), (14, 0)]),  # the use of day 20 would come on day 28, when its window ends
        (30, 0, [(0, 0)]),
    ],
)
def test_changes_move_up_to_the_next_mark(every: int, lag: int, expected: list[tuple[int, Any]]) -> None:
    assert steps(stays(usage=USES), Usage(window=5, lag=lag), update_every=every) == expected


def test_entry_sees_the_level_of_the_last_mark() -> None:
    """Entry on day 10 with marks every 7: the level of day 7, and that of day 14 from then on."""
    with stays(start=10, usage=used((5, 1, "a", None), (9, 1, "a", None))) as tables:
        built = episodes(spells(tables, Cancellation()), {"x": Usage(window=20)}, update_every=7).build()
        rows = built.frame()[["start", "stop", "x"]].to_numpy().tolist()
    assert rows == [[10, 14, 1], [14, 28, 2], [28, 35, 1], [35, 40, 0]]


ANSWERS = [{"answered_on": d, "score": s} for d, s in ((3, 9), (3, 6), (10, 8), (30, 10))]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [(0, None), (3, 6), (10, 8), (30, 10)]),  # two on a day: the lower
        ({"expires": 5}, [(0, None), (3, 6), (8, None), (10, 8), (15, None), (30, 10), (35, None)]),
        ({"expires": 8}, [(0, None), (3, 6), (10, 8), (18, None), (30, 10), (38, None)]),  # superseded in force
        ({"expires": 7, "lag": 2}, [(0, None), (5, 6), (12, 8), (19, None), (32, 10), (39, None)]),
        ({"at_most": 6}, [(0, 0), (3, 1), (10, 0)]),  # unanswered is off at once: no window to live through
        ({"expires": 5, "is": "unanswered"}, [(0, 1), (3, 0), (8, 1), (10, 0), (15, 1), (30, 0), (35, 1)]),
        ({"is": "detractor"}, [(0, 0), (3, 1), (10, 0)]),
        ({"is": "passive"}, [(0, 0), (10, 1), (30, 0)]),
        ({"is": "promoter"}, [(0, 0), (30, 1)]),
    ],
)
def test_nps(options: dict[str, Any], expected: list[tuple[int, Any]]) -> None:
    assert steps(stays(nps=ANSWERS), Nps.model_validate(options)) == expected


def test_open_tickets() -> None:
    days = [(-5, 3), (2, None), (4, 4), (6, 8), (7, 61), (-9, 0)]
    tickets = [{"opened_on": a, "resolved_on": b, "category": "bug"} for a, b in days]
    # The first is clipped to signup; the third is never open at a close; the fifth is resolved after `until`.
    expected = [(0, 1), (2, 2), (3, 1), (6, 2), (7, 3), (8, 2)]
    assert steps(stays(tickets=tickets), OpenTickets()) == expected
    assert steps(stays(tickets=tickets), OpenTickets(lag=2)) == [
        (0, 0),
        (2, 1),
        (4, 2),
        (5, 1),
        (8, 2),
        (9, 3),
        (10, 2),
    ]
    assert steps(stays(tickets=tickets), OpenTickets(where={"category": ["bill"]})) == [(0, 0)]


def test_overdue() -> None:
    days = [(2, 2), (4, 9), (10, None), (20, 15), (30, 34)]
    invoices = [{"due_on": a, "paid_on": b} for a, b in days]
    assert steps(stays(invoices=invoices), Overdue()) == [(0, 0), (5, 1), (9, 0), (11, 1), (31, 2), (34, 1)]
    assert steps(stays(invoices=invoices), Overdue(grace=4)) == [(0, 0), (15, 1)]
    assert steps(stays(invoices=invoices), Overdue(grace=3, above=0)) == [(0, 0), (8, 1), (9, 0), (14, 1)]


def test_an_event_belongs_to_the_episode_that_ends_on_its_day() -> None:
    """A fact of the day of churn explains nothing; one of the day before may."""
    tickets = [{"opened_on": 39, "resolved_on": None}, {"opened_on": 40, "resolved_on": None}]
    with stays(tickets=tickets) as tables:
        built = episodes(spells(tables, Cancellation()), {"open": OpenTickets()}).build()
        rows = built.frame()[["start", "stop", "event", "open"]].to_numpy().tolist()
    assert rows == [[0, 39, 0, 0], [39, 40, 1, 1]]


@pytest.mark.parametrize("threshold", ["below", "at_most", "at_least", "above"])
def test_thresholds_are_the_decimals_that_were_written(threshold: str) -> None:
    """0.1 + 0.2 against 0.3, which are equal here and not as floats."""
    expected = {"below": 0, "at_most": 1, "at_least": 1, "above": 0}[threshold]
    indicator = parse_indicator({"kind": "usage", "window": 9, "young": "literal", threshold: 0.3})
    found = steps(stays(usage=used((1, 0.1, "a", None), (2, 0.2, "a", None))), indicator)
    assert [value for start, value in found if start <= 2][-1] == expected
    assert indicator.threshold == (threshold, Decimal("0.3"))


def test_look_back_and_warm_up() -> None:
    indicators = {
        "a": Usage(window=28, lag=3),
        "b": UsageDecline(window=14, baseline=56, lag=7),
        "c": Nps(expires=50),
        "d": Overdue(grace=3, lag=1),
    }
    assert {name: i.look_back for name, i in indicators.items()} == {"a": 31, "b": 77, "c": 50, "d": 4}
    assert (Nps(lag=2).look_back, OpenTickets(lag=5).look_back) == (2, 5)
    assert look_back(Inactivity(window=90), indicators.values()) == 90
    assert look_back(Cancellation(), []) == 0
    auto = Observed()
    assert warm_up_days(auto, Cancellation(), indicators, 7) == 83
    assert warm_up_days(auto, Inactivity(window=90), indicators, 7) == 96
    assert warm_up_days(Observed(warm_up=5), Inactivity(window=90), indicators, 7) == 5
    assert Usage(window=28).with_lag(14).look_back == 42


def test_circularity() -> None:
    indicators = {"low": Usage(window=28), "late": Usage(window=28, lag=30), "nps": Nps(), "drop": UsageDecline(lag=29)}
    found = circularity(Inactivity(window=30), indicators)
    assert [(f.id, f.severity, f.subject, f.figure) for f in found] == [
        ("circularity", "warning", "low", "lag=0, window=30"),
        ("circularity", "warning", "drop", "lag=29, window=30"),
    ]
    assert circularity(Inactivity(window=30, table="orders"), indicators) == ()
    assert circularity(Cancellation(), indicators) == ()


def test_histories_that_no_warm_up_completes() -> None:
    indicators = {"open": OpenTickets(), "ever": Nps(), "soon": Nps(expires=9), "low": Usage()}
    assert [f.subject for f in unbounded(indicators, 3)] == ["open", "ever"]
    assert unbounded(indicators, 0) == ()
    with stays(start=5, tickets=[{"opened_on": 1, "resolved_on": None}]) as tables:
        plan = episodes(spells(tables, Cancellation()), {"open": OpenTickets()})
        assert [(f.id, f.figure) for f in plan.findings] == [("unbounded-look-back", "late=1")]


def test_what_is_read() -> None:
    assert needs(Inactivity(where={"feature": ["a"]}), Nps()) == {
        "customers": {"customer_id", "signed_up_on"},
        "usage": {"customer_id", "used_on", "feature"},
        "nps": {"customer_id", "answered_on", "score"},
    }
    assert needs(Recorded()) == {"customers": {"customer_id", "tenure", "churned"}}


def test_one_threshold_at_most() -> None:
    assert {"usage", "usage_decline", "nps", "open_tickets", "overdue"} <= set(indicator_kinds())
    assert not Usage().is_flag
    assert Nps.model_validate({"is": "promoter"}).is_flag
    for wrong in ({"kind": "usage", "below": 1, "above": 3}, {"kind": "nps", "is": "passive", "below": 4}):
        with pytest.raises(ConfigError, match="one threshold at most"):
            parse_indicator(wrong)
    with pytest.raises(ConfigError, match="Did you mean 'usage'"):
        parse_indicator({"kind": "usag"})
    with pytest.raises(
        ConfigError, match=r"of kind 'usage': windw: unknown key\. Did you mean 'window'\? Allowed: .*window"
    ):
        parse_indicator({"kind": "usage", "windw": 3})
    with pytest.raises(ConfigError, match=r"is: got 'detractr'\. Did you mean 'detractor'\?"):
        parse_indicator({"kind": "nps", "is": "detractr"})
    with pytest.raises(
        ConfigError, match=r"churn definition of kind 'inactivity': window_days: unknown key\. Did you mean 'window'"
    ):
        parse_definition({"kind": "inactivity", "window_days": 30})
    with pytest.raises(ConfigError, match="finite"):
        parse_indicator({"kind": "usage", "below": float("inf")})


def test_names_that_cannot_be() -> None:
    with stays() as tables:
        found = spells(tables, Cancellation())
        for name, message in (("stop", "a column of every episode"), ("x", "reads the table 'usage'")):
            with pytest.raises(DataError, match=message):
                episodes(found, {name: Usage()})
        with pytest.raises(DataError, match="no column 'colour'"):
            episodes(found, {}, attributes=["colour"])
        with pytest.raises(DataError, match="'colour' is neither"):
            flows(found, ["colour"])


def test_dated_facts_need_a_signup() -> None:
    customers = pd.DataFrame({"customer_id": ["c"], "tenure": [9], "churned": ["yes"]})
    nps = pd.DataFrame({"customer_id": ["c"], "answered_on": [day(3)], "score": [9]})
    need = {**needs(Recorded()), "nps": {"customer_id", "answered_on", "score"}}
    with tables_from_frames({"customers": customers, "nps": nps}, need=need) as tables:
        found = spells(tables, Recorded())
        assert flows(found).time.tolist() == [0.0, 9.0]
        with pytest.raises(DataError, match="no signup date"):
            episodes(found, {"x": Nps()})


def test_nothing_is_lost_silently() -> None:
    """A spell that disappears on the way to episodes stops the run."""
    with stays() as tables:
        found = spells(tables, Cancellation())
        counts = found.counts.assign(churns=found.counts["churns"] + 1)
        object.__setattr__(found, "counts", counts)
        with pytest.raises(ConservationError, match="1 churns, the spells have 2"):
            episodes(found, {}).build()
        with pytest.raises(ConservationError, match="1 churns, the episodes have 2"):
            flows(found)


def test_a_user_registers_an_indicator() -> None:
    """Days since signup have passed: the smallest indicator there is."""

    @register_indicator
    class Settled(Indicator):
        kind: Literal["settled_in_a_test"] = "settled_in_a_test"
        after: int = 10

        def reads(self) -> dict[str, set[str]]:
            return {"customers": {"customer_id", "signed_up_on"}}

        def channels(self) -> tuple[Channel, ...]:
            return (Lived(shift=self.after + self.lag),)

        def level(self, sums: Any) -> Level:
            return sums(self.channels()[0])

    try:
        assert steps(stays(), parse_indicator({"kind": "settled_in_a_test", "lag": 2})) == [(0, 0), (12, 1)]
    finally:
        indicator_module._indicators._classes.pop("settled_in_a_test")


def people(**columns: list[Any]) -> Tables:
    n = len(next(iter(columns.values())))
    frame = {
        "customer_id": [f"c{i}" for i in range(n)],
        "signed_up_on": [dt.date(2023, 11, 30)] * n,
        "tenure": [5] * n,
        "churned": ["no"] * n,
        **columns,
    }
    return tables_from_frames({"customers": pd.DataFrame(frame)}, until=dt.date(2024, 12, 31))


@pytest.mark.parametrize(
    ("spec", "columns", "expected"),
    [
        (None, {"plan": ["a", "b"]}, ["all"]),
        (
            {"by": "signup_month"},
            {"signed_up_on": [dt.date(2024, 10, 1), dt.date(2024, 2, 29), dt.date(2023, 12, 31)]},
            ["2023-12", "2024-02", "2024-10"],
        ),
        (
            {"by": "signup_quarter"},
            {"signed_up_on": [dt.date(2024, 10, 1), dt.date(2024, 3, 31), dt.date(2024, 4, 1)]},
            ["2024-Q1", "2024-Q2", "2024-Q4"],
        ),
        ({"by": "signup_year"}, {"signed_up_on": [dt.date(2024, 1, 1), dt.date(2023, 12, 31)]}, ["2023", "2024"]),
        ({"by": "plan"}, {"plan": ["pro", "basic", None]}, ["basic", "pro", "(missing)"]),
        ({"by": "seats"}, {"seats": ["10", "9", "100", None]}, ["9", "10", "100", "(missing)"]),
        ({"by": "seats"}, {"seats": ["0.5", "10"]}, ["0.5", "10"]),
        (
            {"by": "seats", "cuts": [10, 50]},
            {"seats": [9.5, 10, 49, 50, None]},
            ["<10", "10 to <50", ">=50", "(missing)"],
        ),
        ({"by": "seats", "cuts": [0.5]}, {"seats": [0.5, 7]}, [">=0.5"]),
    ],
)
def test_cohorts(spec: dict[str, Any] | None, columns: dict[str, list[Any]], expected: list[str]) -> None:
    parsed = None if spec is None else CohortSpec.model_validate(spec)
    with people(**columns) as tables:
        grouped = with_cohort(tables, parsed)
        result = flows(spells(grouped, Recorded()), ["cohort"])
        labels = cohort_order(parsed, result.patterns["cohort"])
        each = result.began
    assert labels == expected
    assert each.sum() == len(next(iter(columns.values())))


def test_cohorts_refuse() -> None:
    with people(plan=["a", "b"]) as tables:
        with pytest.raises(DataError, match="no column 'plam'"):
            with_cohort(tables, CohortSpec(by="plam"))
        with pytest.raises(DataError, match="cuts need numbers"):
            with_cohort(tables, CohortSpec(by="plan", cuts=(Decimal(3),)))
    with people(cohort=["a"]) as tables, pytest.raises(DataError, match="the name of a cohort"):
        with_cohort(tables, None)
    for wrong in ({"by": "seats", "cuts": [5, 3]}, {"by": "signup_year", "cuts": [3]}):
        with pytest.raises(ValueError, match="cuts"):
            CohortSpec.model_validate(wrong)
