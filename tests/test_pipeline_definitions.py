"""Churn definitions on examples worked by hand, their findings, and what they refuse."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any, Literal

import ibis.expr.types as ir
import pandas as pd
import pytest

from survival.churn import (
    Cancellation,
    Definition,
    Inactivity,
    Recorded,
    definition_kinds,
    outcome,
    parse_definition,
    register_definition,
    spells,
)
from survival.churn import definition as definition_module
from survival.data import Tables, tables_from_frames
from survival.errors import ConfigError, DataError


def day(n: int | None) -> dt.date | None:
    return None if n is None else dt.date(2024, 1, 1) + dt.timedelta(days=n)


def dated(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([{k: day(v) if k.endswith("_on") else v for k, v in row.items()} for row in rows])


def company(signups: list[int], start: int | None = None, until: int = 100, **tables: list[dict[str, Any]]) -> Tables:
    customers = dated([{"customer_id": f"c{i}", "signed_up_on": s} for i, s in enumerate(signups)])
    frames = {"customers": customers, **{name: dated(rows) for name, rows in tables.items()}}
    return tables_from_frames(frames, from_=day(start), until=day(until), warm_up=0)


def subscription(
    customer: int, start: int, end: int | None, reason: str | None = None, id_: str = ""
) -> dict[str, Any]:
    return {
        "customer_id": f"c{customer}",
        "started_on": start,
        "ended_on": end,
        "plan": "basic",
        "end_reason": reason,
        "subscription_id": id_ or f"{customer}-{start}",
    }


def found(tables: Tables, definition: Definition, warm_up: int | None = None) -> list[tuple[Any, ...]]:
    rows = tables.engine.rows(spells(tables, definition, warm_up=warm_up).table.order_by("customer"))
    return [(r["entry"], r["exit"], r["churned"], r["cause"], r["aside"]) for r in rows]


def test_cancellation_by_hand() -> None:
    """Signups on day 10 (and one on 95), until day 100."""
    rows = [
        subscription(0, 10, 20, "price"), subscription(0, 20, 30, "moved"),  # touch: one chain to day 30
        subscription(1, 10, 20, "price"), subscription(1, 21, None),  # a hole of a day
        subscription(2, 15, None),  # nobody can leave before day 15
        subscription(3, 0, 40),  # reaches past signup
        subscription(4, 10, 100, "price"),  # ends on the last day: that counts
        subscription(5, 10, 101, "price"),  # ends after it: has not happened
        subscription(6, 10, 10, "price"),
        subscription(8, 100, None),
        subscription(9, 12, 50, "a", "x"), subscription(9, 14, 50, "b", "w"), subscription(9, 14, 50, "c", "z"),
    ]  # fmt: skip
    tables = company([10, 10, 10, 10, 10, 10, 10, 10, 95, 10], subscriptions=rows)
    assert found(tables, Cancellation()) == [
        (0, 20, True, "moved", None),
        (0, 10, True, "price", None),
        (5, 90, False, None, None),
        (0, 30, True, None, None),
        (0, 90, True, "price", None),
        (0, 90, False, None, None),
        (0, 0, True, "price", "left on the first day"),
        (None, None, False, None, "nothing to leave"),
        (5, 5, False, None, "began on the last day"),
        (2, 40, True, "c", None),  # ties: the latest started, then the largest id
    ]
    with_gap = found(tables, Cancellation(gap=1))
    assert with_gap[1] == (0, 89, False, None, None)  # bridged; censored a day early, when a gap can be told
    assert with_gap[4] == (0, 89, False, None, None)
    assert found(tables, Cancellation(reasons=("price",)))[:2] == [
        (0, 20, False, None, None),  # left for another reason: censored then
        (0, 10, True, "price", None),
    ]
    tables.close()


def test_late_entry_waits_for_the_warm_up() -> None:
    rows = [subscription(0, -50, 30), subscription(1, -50, None), subscription(2, 10, 20), subscription(3, -50, 7)]
    with company([-50, -50, 10, -50], start=0, subscriptions=rows) as tables:
        assert found(tables, Cancellation(), warm_up=7) == [
            (57, 80, True, None, None),
            (57, 150, False, None, None),
            (0, 10, True, None, None),  # signed up after `from`: no waiting
            (57, 57, True, None, "left before entry"),  # on the day of entry: not observed
        ]
        assert spells(tables, Cancellation(), warm_up=7).warm_up == 7


def test_inactivity_by_hand() -> None:
    def use(customer: int, *days: int) -> list[dict[str, Any]]:
        return [{"customer_id": f"c{customer}", "used_on": d, "feature": "f", "quantity": 0} for d in days]

    rows = [*use(0, 15, 45), *use(1, 15, 46), *use(2), *use(3, 75), *use(4, 85)]
    with company([10, 10, 10, 50, -100], start=0, usage=rows) as tables:
        assert found(tables, Inactivity(window=30)) == [
            (0, 65, True, None, None),  # day 45 is on the very day, and keeps; lost on day 75
            (0, 35, True, None, None),  # 31 days of silence: lost on day 45
            (0, 30, True, None, None),  # signup counts as activity
            (0, 50, False, None, None),
            (100, 130, True, None, None),  # `from` counts as activity; lost on day 30
        ]
        assert found(tables, Inactivity(window=30, dated="last_activity"))[:4] == [
            (0, 35, True, None, None),
            (0, 5, True, None, None),
            (0, 0, True, None, "left on the first day"),
            (0, 20, False, None, None),  # censored at until - window
        ]
        assert spells(tables, Inactivity(window=30)).findings == ()
        assert [f.id for f in spells(tables, Inactivity(window=30, dated="last_activity")).findings] == [
            "immortal-time"
        ]


def recorded(rows: list[dict[str, Any]], until: int | None = None, **definition: Any) -> list[tuple[Any, ...]]:
    frame = dated([{"customer_id": f"c{i:03d}", **row} for i, row in enumerate(rows)])
    spec = Recorded(**definition)
    with tables_from_frames({"customers": frame}, until=day(until), need=spec.reads()) as tables:
        return [row[:3] + row[4:] for row in found(tables, spec)]


def test_recorded_tenure() -> None:
    rows = [(8, "Yes"), (24, "no"), (0, "no"), (0, "yes"), (None, "yes"), (3, None), (1.5, "1")]
    raw = [{"tenure": t, "churned": c} for t, c in rows]
    assert recorded(raw, unit="month") == [
        (0, 244, True, None),  # 243.5, half to even
        (0, 730, False, None),  # 730.5, half to even
        (0, 0, False, "began on the last day"),
        (0, 0, True, "left on the first day"),
        (None, None, False, "tenure is unknown"),
        (None, None, False, "churned is unknown"),
        (0, 46, True, None),
    ]
    assert [row[1] for row in recorded(raw, unit="week")[:2]] == [56, 168]
    assert [row[1] for row in recorded(raw)[:2]] == [8, 24]


def test_recorded_tenure_in_columns_of_any_name() -> None:
    raw = [{"months": 2, "Churn": "Yes"}, {"months": 3, "Churn": "No"}]
    spec = {"tenure": "months", "unit": "month", "churned": "Churn"}
    assert recorded(raw, **spec) == [(0, 61, True, None), (0, 91, False, None)]


def test_recorded_churn_date() -> None:
    raw = [
        {"signed_up_on": 0, "churned_on": 30},
        {"signed_up_on": 10, "churned_on": None},
        {"signed_up_on": 0, "churned_on": 101},
    ]
    assert recorded(raw, until=100, churned_on="churned_on") == [
        (0, 30, True, None),
        (0, 90, False, None),
        (0, 100, False, None),  # has not happened yet
    ]


@pytest.mark.parametrize(
    ("raw", "definition", "message"),
    [
        ([{"months": 3, "Churn": "maybe"}], {"tenure": "months", "churned": "Churn"}, "is not yes or no"),
        ([{"months": "x", "Churn": "no"}], {"tenure": "months", "churned": "Churn"}, "is no number"),
        ([{"months": -3, "Churn": "no"}], {"tenure": "months", "churned": "Churn"}, "negative tenure, for c000: -3"),
        (
            [{"signed_up_on": 9, "churned_on": 3}],
            {"churned_on": "churned_on"},
            "before signup.* for c000: 2024-01-04. ",
        ),
        (
            [{"signed_up_on": 9, "churned_on": None, "left": "yes"}],
            {"churned_on": "churned_on", "churned": "left"},
            "churned_on is empty for a customer who left, for c000: nothing",
        ),
    ],
)
def test_recorded_refuses(raw: list[dict[str, Any]], definition: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        recorded(raw, until=100, **definition)


def test_short_breaks_suggest_a_gap() -> None:
    rows = [subscription(i, 0, 30) for i in range(4)] + [subscription(i, 31, None) for i in range(2)]
    with company([0, 0, 0, 0], subscriptions=rows) as tables:
        (finding,) = spells(tables, Cancellation()).findings
        assert (finding.id, finding.severity) == ("short-gaps", "warning")
        assert finding.figure == "short=2, one_day=2, ends=4"
        assert "ends: inclusive" in finding.message
        assert spells(tables, Cancellation(gap=3)).findings == ()


def test_nothing_to_leave_is_told() -> None:
    rows = [subscription(i, 0, 30) for i in range(9)]
    with company([0] * 10, subscriptions=rows) as tables:
        result = spells(tables, Cancellation())
    assert [(f.id, f.severity, f.figure) for f in result.findings] == [("nothing-to-leave", "note", "share=0.100")]
    assert result.counts.to_dict("list") == {
        "aside": [None, "nothing to leave"],
        "customers": [9, 1],
        "spells": [9, 1],
        "churns": [9, 0],
        "person_days": [270, 0],
    }
    assert (result.customers, result.churns, result.person_days) == (9, 9, 270)


def test_nobody_at_risk_is_an_error() -> None:
    with (
        company([0, 0], subscriptions=[subscription(0, 0, 0)]) as tables,
        pytest.raises(DataError, match="nobody is at risk .*left on the first day: 1, nothing to leave: 1"),
    ):
        spells(tables, Cancellation())


def test_until_is_needed() -> None:
    frames = {
        "customers": dated([{"customer_id": "c0", "signed_up_on": 0}]),
        "subscriptions": dated([subscription(0, 0, 5)]),
    }
    with tables_from_frames(frames) as tables, pytest.raises(DataError, match="needs observed.until"):
        spells(tables, Cancellation())


def test_where_is_checked() -> None:
    use = [{"customer_id": "c0", "used_on": 3, "feature": "f", "quantity": 2}]
    with company([0], usage=use) as tables:
        assert found(tables, Inactivity(window=30, where={"quantity": [2]}))[0][1] == 33
        with pytest.raises(DataError, match="names the column 'colour'"):
            spells(tables, Inactivity(where={"colour": ["red"]}))
        with pytest.raises(DataError, match="are not numbers"):
            spells(tables, Inactivity(where={"quantity": ["many"]}))


def test_kinds_are_looked_up() -> None:
    assert {"cancellation", "inactivity", "recorded"} <= set(definition_kinds())
    assert parse_definition({"kind": "inactivity", "window": 90, "table": "orders"}) == Inactivity(
        window=90, table="orders"
    )
    with pytest.raises(ConfigError, match="Did you mean 'inactivity'"):
        parse_definition({"kind": "inactivty"})
    with pytest.raises(ConfigError, match="window"):
        parse_definition({"kind": "inactivity", "window": 0})
    with pytest.raises(ConfigError, match="either tenure"):
        parse_definition({"kind": "recorded", "tenure": "a", "churned_on": "b"})


def test_a_user_registers_a_definition() -> None:
    """Lost a fixed number of days after signup: the smallest definition there is."""

    @register_definition
    class Expires(Definition):
        kind: Literal["expires_in_a_test"] = "expires_in_a_test"
        days: int = 10

        def reads(self) -> dict[str, set[str]]:
            return {"customers": {"customer_id", "signed_up_on"}}

        def outcomes(self, tables: Tables) -> ir.Table:
            people = tables.customers
            return outcome(people, origin=people.signup, begins=0, ends=self.days, left=True, churned=True)

    try:
        with company([0, 5]) as tables:
            rows = found(tables, parse_definition({"kind": "expires_in_a_test", "days": 3}))
        assert rows == [(0, 3, True, None, None)] * 2
        with pytest.raises(ConfigError, match="is taken"):

            @register_definition
            class Other(Definition):
                kind: Literal["expires_in_a_test"] = "expires_in_a_test"
    finally:
        definition_module._definitions._classes.pop("expires_in_a_test")


def test_months_are_rounded_as_r_does() -> None:
    """round(months x 30.4375): every tie from 1 to 120 months, against decimal arithmetic."""
    months = list(range(121))
    rows = recorded([{"tenure": m, "churned": "no"} for m in months], unit="month")
    exact = [(Decimal(m) * Decimal("30.4375")).quantize(Decimal(1), "ROUND_HALF_EVEN") for m in months]
    assert [row[1] for row in rows] == [int(d) for d in exact]
