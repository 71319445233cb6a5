"""The definitions of later kinds on customers worked by hand; every number here was counted on a calendar."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from survival.churn import (
    Cancellation,
    Definition,
    Downgrade,
    FirstOf,
    Inactivity,
    NonRenewal,
    SinglePurchase,
    combined,
    spells,
)
from survival.data import Tables, tables_from_frames
from survival.errors import ConfigError, DataError
from survival.experiment.attrition import attrition

Rows = list[dict[str, Any]]


def company(signups: list[str], *, until: str, start: str | None = None, **tables: Rows) -> Tables:
    customers = pd.DataFrame([{"customer_id": f"c{i}", "signed_up_on": s} for i, s in enumerate(signups)])
    frames = {"customers": customers, **{name: pd.DataFrame(rows) for name, rows in tables.items()}}
    from_ = None if start is None else dt.date.fromisoformat(start)
    return tables_from_frames(frames, from_=from_, until=dt.date.fromisoformat(until), warm_up=0)


def bought(customer: int, started: str, ended: str | None, **more: Any) -> dict[str, Any]:
    common = {"plan": "basic", "mrr": 10.0, "billing_period_months": 12, "end_reason": None, "is_trial": False}
    return {"customer_id": f"c{customer}", "started_on": started, "ended_on": ended, **common, **more}


def found(tables: Tables, definition: Definition) -> list[tuple[Any, ...]]:
    rows = tables.engine.rows(spells(tables, definition).table.order_by("customer", "spell"))
    return [(r["entry"], r["exit"], r["churned"], r["cause"], r["aside"]) for r in rows]


def test_a_term_ends_where_the_month_does() -> None:
    """A year from 29 February ends on 28 February; a day less is ended early, and nobody renews after 14 days."""
    rows = [
        bought(0, "2024-02-29", "2025-02-28", end_reason="price"),
        bought(1, "2024-02-29", "2025-02-27", end_reason="price"),
        bought(2, "2024-02-29", "2025-02-28"), bought(2, "2025-03-14", None),  # renewed on the last day of grace
        bought(3, "2024-02-29", "2025-02-28", end_reason="x"), bought(3, "2025-03-15", None),  # a day late
        bought(4, "2024-02-29", "2025-01-01", billing_period_months=1),
        bought(5, "2024-02-29", "2024-04-01", billing_period_months=1), bought(5, "2024-04-01", None),
        bought(6, "2024-02-29", "2025-02-28"), bought(6, "2025-02-28", "2025-03-20", billing_period_months=1),
    ]  # fmt: skip
    with company(["2024-02-29"] * 7, until="2025-04-30", subscriptions=rows) as tables:
        assert found(tables, NonRenewal(causes={"voluntary": ("price",)})) == [
            (0, 365, True, "voluntary", None),
            (0, 364, False, None, None),
            (0, 412, False, None, None),  # 30 April is day 426; censored 14 days earlier
            (0, 365, True, "x", None),  # an unmapped reason keeps its name
            (None, None, False, None, "nothing to leave"),
            (32, 412, False, None, None),  # at risk from the first fixed term, 1 April
            (0, 385, False, None, None),  # the chain ends with a month, which is no term
        ]
        assert found(tables, NonRenewal(grace=0))[2] == (0, 365, True, None, None)
        assert found(tables, NonRenewal(min_term_months=1))[4] == (0, 307, True, None, None)


def test_three_tenths_are_three_tenths() -> None:
    """0.1 + 0.2 is not less than 0.3 in decimals, and not more."""
    day = "2024-01-01"
    rows = [
        bought(0, day, "2024-01-11", mrr=0.1), bought(0, day, "2024-01-11", mrr=0.2), bought(0, "2024-01-11", None, mrr=0.3),
        bought(1, day, "2024-01-11", mrr=0.3), bought(1, "2024-01-11", None, mrr=0.29),
        bought(2, day, "2024-01-11", mrr=100), bought(2, "2024-01-11", None, mrr=90),
        bought(3, day, "2024-01-11", mrr=None), bought(3, "2024-01-11", "2024-01-21", mrr=5), bought(3, "2024-01-21", None, mrr=4),
        bought(4, day, "2024-01-11", mrr=9), bought(4, "2024-01-12", None, mrr=1),  # a hole of a day is leaving
    ]  # fmt: skip
    with company([day] * 5, until="2024-01-31", subscriptions=rows) as tables:
        assert [row[:3] for row in found(tables, Downgrade())] == [
            (0, 30, False), (0, 10, True), (0, 10, True), (0, 20, True), (0, 10, False),
        ]  # fmt: skip
        assert [row[1:3] for row in found(tables, Downgrade(min_drop="0.1"))] == [
            (30, False), (30, False), (30, False), (20, True), (10, False),
        ]  # fmt: skip
        noted = [(f.id, f.figure) for f in spells(tables, Downgrade()).findings]
        assert noted == [("unknown-mrr", "share=0.083")]


def test_a_plan_has_its_place() -> None:
    day = "2024-01-01"
    rows = [
        bought(0, day, None, plan="basic"), bought(0, day, "2024-01-11", plan="pro"), bought(1, day, None, plan="gold"),
    ]  # fmt: skip
    with company([day] * 2, until="2024-01-31", subscriptions=rows) as tables:
        assert found(tables, Downgrade(plan_order=("basic", "pro", "gold")))[0][1:3] == (10, True)
        assert found(tables, Downgrade(plan_order=("pro", "basic", "gold")))[0][1:3] == (30, False)
        with pytest.raises(DataError, match=r"plan_order \(basic, pro\) has no place for 'gold' \(1 rows\)"):
            spells(tables, Downgrade(plan_order=("basic", "pro")))


def test_a_refusal_names_the_plans_of_all_buckets() -> None:
    day = "2024-01-01"
    rows = [bought(i, day, None, plan=("basic", "gold", "old")[i % 3]) for i in range(9)]
    with company([day] * 9, until="2024-01-31", subscriptions=rows) as tables:
        several = combined({"d": Downgrade(plan_order=("basic",)), "c": Cancellation(), "f": FirstOf(of=("c", "d"))})
        for definition in (several["d"], several["f"]):
            with pytest.raises(DataError, match=r"no place for 'gold' \(3 rows\), 'old' \(3 rows\)"):
                spells(replace(tables, buckets=4), definition)


def test_single_purchase_by_hand() -> None:
    def order(customer: int, *days: str) -> Rows:
        return [{"customer_id": f"c{customer}", "ordered_on": day} for day in days]

    orders = [
        *order(0, "2024-01-10", "2024-01-10"), *order(1, "2024-01-10", "2024-01-31", "2024-02-09"),
        *order(2, "2024-01-10", "2024-02-10"), *order(3, "2024-02-10"), *order(5, "2024-01-10", "2024-02-09"),
    ]  # fmt: skip
    with company(["2024-01-01"] * 6, until="2024-02-20", orders=orders) as tables:
        assert [row[1:] for row in found(tables, SinglePurchase(window=30))] == [
            (30, True, None, None),  # two orders on one day count once
            (21, False, None, None),
            (30, True, None, None),  # the second order came a day late
            (10, False, None, None),
            (None, False, None, "nothing to leave"),
            (30, False, None, None),  # on the very last day of the window
        ]
        rows = tables.engine.rows(spells(tables, SinglePurchase(window=30)).table.order_by("customer"))
        assert [row["origin"] for row in rows[:4]] == [19732, 19732, 19732, 19763]  # 10 January, 10 February


def test_the_first_of_two() -> None:
    """Cause and exit of the earliest; on the same day the order of `of` decides; who lacks a subscription is removed."""
    rows = [
        bought(0, "2024-01-01", "2024-01-11", end_reason="price"),
        bought(1, "2024-01-01", "2024-01-31"),
        bought(2, "2024-01-01", "2024-03-01"),
        bought(4, "2024-01-21", None),
    ]
    used = [{"customer_id": "c2", "used_on": "2024-01-25", "feature": "f"}]
    either = {"gone": Cancellation(), "quiet": Inactivity(window=30)}
    with company(["2024-01-01"] * 5, until="2024-03-31", subscriptions=rows, usage=used) as tables:
        both = {"x": FirstOf(of=("gone", "quiet")), "y": FirstOf(of=("quiet", "gone"))}
        made = combined({**either, **both})
        assert found(tables, made["x"]) == [
            (0, 10, True, "gone", None),
            (0, 30, True, "gone", None),
            (0, 54, True, "quiet", None),
            (None, None, False, None, "nothing to leave"),
            (20, 30, True, "quiet", None),  # the latest entry: nobody can cancel before 21 January
        ]
        assert found(tables, made["y"])[1] == (0, 30, True, "quiet", None)
        (finding,) = spells(tables, made["x"]).findings
        assert (finding.id, finding.severity, finding.figure) == ("first-of-removes", "warning", "share=0.200")
        with pytest.raises(ConfigError, match="fill them in with `combined`"):
            spells(tables, FirstOf(of=("gone", "quiet")))


RETURNING = [
    bought(0, "2024-01-01", "2024-01-11"), bought(0, "2024-01-21", "2024-01-31"), bought(0, "2024-02-20", None),
    bought(1, "2024-01-01", "2024-01-01"), bought(1, "2024-01-05", "2024-01-09", end_reason="price"),
]  # fmt: skip


def test_returns_on_both_clocks() -> None:
    with company(["2024-01-01"] * 3, until="2024-03-01", subscriptions=RETURNING) as tables:
        reset = spells(tables, Cancellation(spells="all"))
        assert found(tables, reset.definition) == [
            (0, 10, True, None, None), (0, 10, True, None, None), (0, 10, False, None, None),
            (0, 0, True, None, "left on the first day"), (0, 4, True, "price", None),
            (None, None, False, None, "nothing to leave"),
        ]  # fmt: skip
        ongoing = found(tables, Cancellation(spells="all", clock="continue"))
        assert [row[:2] for row in ongoing[:5]] == [(0, 10), (20, 30), (50, 60), (0, 0), (4, 8)]
        # A customer counts once, though one of the spells is set aside.
        assert (reset.customers, reset.count, reset.churns, reset.person_days) == (2, 4, 3, 34)
        assert reset.counts["customers"].tolist() == [2, 0, 1]
        steps = attrition("x", tables.ledger, reset, None, None)
        assert steps[steps["reason"] == ""]["customers"].tolist() == [3, 3, 2, 2]


def test_the_origin_takes_the_place_of_signup() -> None:
    """A trial before the first payment is not the chain that counts; silence is counted from the activation."""
    rows = [bought(0, "2024-01-01", "2024-01-15", is_trial=True), bought(0, "2024-01-20", "2024-02-19"),
            bought(1, "2024-01-01", "2024-01-15")]  # fmt: skip
    paid = [{"customer_id": "c0", "due_on": "2024-01-20", "paid_on": "2024-01-20"},
            {"customer_id": "c1", "due_on": "2024-01-20", "paid_on": None}]  # fmt: skip
    used = [{"customer_id": "c0", "used_on": d, "feature": f} for d, f in (("2024-02-10", "a"), ("2024-02-14", "b"))]
    with company(
        ["2024-01-01"] * 2, until="2024-03-31", start="2024-01-02", subscriptions=rows, usage=used, invoices=paid
    ) as tables:
        paying = Cancellation(origin="first_payment")
        assert found(tables, paying) == [(0, 30, True, None, None), (None, None, False, None, "never paid")]
        assert [(f.id, f.figure) for f in spells(tables, paying).findings] == [("origin-unseen", "late=1")]
        assert found(tables, Cancellation(trials="exclude"))[0] == (19, 49, True, None, None)
        assert found(tables, Inactivity(window=10, origin="activation"))[0] == (0, 14, True, None, None)
        by_b = Inactivity(window=10, origin="activation", activated_by=("b",))
        assert found(tables, by_b) == [(0, 10, True, None, None), (None, None, False, None, "never activated")]
