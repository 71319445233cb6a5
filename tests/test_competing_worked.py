"""Competing causes and returns worked by hand on seven rows, what must hold for any data, and what is refused."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from survival.churn import parse_definition, spells
from survival.data import tables_from_frames
from survival.episodes import episodes
from survival.errors import ArgumentError, NoEventsError, StructureError
from survival.estimate.cox import cox
from survival.estimate.cumulative_incidence import cumulative_incidence
from survival.estimate.fine_gray import cox_by_cause, fine_gray
from survival.estimate.gray_test import gray_test
from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.recurrent import mean_cumulative_count, stay_curves
from survival.flows.door import flows
from survival.indicators import parse_indicator

# Seven customers; the fifth enters at 2. At risk 6, 6, 5, 4, 2, 1 at tenures 2, 3, 4, 5, 6, 8.
SEVEN = pd.DataFrame(
    {
        "start": [0, 0, 0, 0, 2, 0, 0],
        "stop": [2, 3, 4, 5, 5, 6, 8],
        "event": [1, 1, 0, 1, 1, 0, 1],
        "cause": ["price", "payment", None, "price", "payment", None, "price"],
    }
)


def test_incidence_by_hand() -> None:
    tidy = cumulative_incidence(SEVEN, start="start").tidy()
    price, payment = (tidy[tidy["cause"] == cause].set_index("tenure") for cause in ("price", "payment"))
    # S(2-) = 1: 1/6 to price, S = 5/6; at 3 5/6 x 1/6 to payment, S = 25/36; at 5 25/36 x 1/4 to each, S = 25/72.
    np.testing.assert_allclose(
        price["incidence"][[2, 3, 5, 8]], [1 / 6, 1 / 6, 1 / 6 + 25 / 144, 1 / 6 + 25 / 144 + 25 / 72]
    )
    np.testing.assert_allclose(payment["incidence"][[2, 3, 5, 8]], [0, 5 / 36, 5 / 36 + 25 / 144, 5 / 36 + 25 / 144])
    assert price["at_risk"].to_dict() == {0: 0, 2: 6, 3: 6, 4: 5, 5: 4, 6: 2, 8: 1}
    assert price["events"].sum() == 3
    assert payment["events"].sum() == 2
    # The first step alone is binomial: 1/6 x 5/6 / 6. At 3, payment: S² (1/6)(5/6)/6 + (1/6)² x (1/6)(5/6)/6.
    np.testing.assert_allclose(price["se"][2], np.sqrt(5 / 216))
    np.testing.assert_allclose(payment["se"][3], np.sqrt((25 / 36 + 1 / 36) * 5 / 216))
    assert np.isnan(payment["ci_lower"][2])


def test_causes_and_retention_add_up_to_one() -> None:
    made = cumulative_incidence(SEVEN, start="start")
    lost = made.tidy().groupby("tenure")["incidence"].sum()
    kept = kaplan_meier(SEVEN, start="start").tidy().set_index("tenure")["retention"]
    np.testing.assert_allclose(lost + kept, 1.0)


def test_one_cause_is_kaplan_meier_upside_down() -> None:
    one = SEVEN.assign(cause=["price" if e else None for e in SEVEN["event"]])
    incidence = cumulative_incidence(one, start="start", interval="plain").tidy()
    curve = kaplan_meier(one, start="start").tidy()
    np.testing.assert_allclose(incidence["incidence"], 1 - curve["retention"])
    np.testing.assert_allclose(incidence["se"][1:-1], curve["se"][1:-1])


def test_the_cause_alone_can_say_who_left() -> None:
    without = SEVEN.drop(columns="event")
    pd.testing.assert_frame_equal(
        cumulative_incidence(without, event=None, start="start").tidy(),
        cumulative_incidence(SEVEN, start="start").tidy(),
    )


def test_an_event_without_a_cause_has_an_unknown_one() -> None:
    frame = SEVEN.assign(cause=["price", None, None, "price", "", None, "price"])
    tidy = cumulative_incidence(frame, start="start").tidy()
    assert tidy.groupby("cause")["events"].sum().to_dict() == {"(unknown)": 2, "price": 3}


def test_a_cause_where_nothing_happened_is_refused() -> None:
    with pytest.raises(StructureError, match=r"names a cause where 'event' is 0.*row 2.*price"):
        cumulative_incidence(SEVEN.assign(cause="price"), start="start")


def test_nobody_left() -> None:
    with pytest.raises(NoEventsError, match="nobody churned"):
        cumulative_incidence(SEVEN.assign(event=0, cause=None), start="start")


def test_an_emptied_risk_set_ends_the_curves() -> None:
    frame = pd.DataFrame({"start": [0, 0, 6], "stop": [3, 4, 9], "event": [1, 0, 1], "cause": ["a", None, "b"]})
    made = cumulative_incidence(frame, start="start")
    assert [f.id for f in made.findings] == ["risk-set-empties"]
    assert made.tidy()["incidence"].isna().sum() == 2 * 2  # tenures 6 and 9, for both causes
    assert made.at([3, 4, 7])["incidence"].isna().tolist() == [False, False, True] * 2


@st.composite
def company(draw: Any) -> pd.DataFrame:
    n = draw(st.integers(4, 40))
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, 6), st.integers(1, 9), st.sampled_from([None, "a", "b", "c"]), st.sampled_from("xy")),
            min_size=n, max_size=n,
        )
    )  # fmt: skip
    frame = pd.DataFrame(rows, columns=["start", "long", "cause", "group"])
    return frame.assign(stop=frame["start"] + frame["long"], event=frame["cause"].notna().astype(int))


@given(company(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_order_and_cuts_change_nothing(frame: pd.DataFrame, random: Any) -> None:
    if not frame["event"].any():
        return
    made = cumulative_incidence(frame, start="start", by="group").tidy()
    parts = []
    for i, row in frame.iterrows():
        middle = random.randint(int(row["start"]), int(row["stop"]))
        first = row.to_dict() | {"customer": i}
        if row["start"] < middle < row["stop"]:
            parts += [first | {"stop": middle, "event": 0, "cause": None}, first | {"start": middle}]
        else:
            parts.append(first)
    random.shuffle(parts)
    again = cumulative_incidence(pd.DataFrame(parts), start="start", by="group", customer="customer").tidy()
    pd.testing.assert_frame_equal(made, again)
    retention = kaplan_meier(frame, start="start", by="group").tidy()
    total = made.groupby(["by", "tenure"], sort=True)["incidence"].sum(min_count=1).to_numpy()
    np.testing.assert_allclose(total, 1 - retention["retention"], atol=1e-12)
    assert (made["se"].dropna() >= 0).all()


def test_gray_of_one_cause_without_censoring_of_equal_groups_is_zero() -> None:
    twice = pd.concat([SEVEN.assign(group="x"), SEVEN.assign(group="y")])
    tests = gray_test(twice, start="start", by="group").tidy()
    np.testing.assert_allclose(tests["statistic"], 0, atol=1e-12)
    np.testing.assert_allclose(tests["p"], 1)


def test_gray_does_not_compare_groups_that_never_meet() -> None:
    apart = pd.concat(
        [SEVEN.assign(group="x"), SEVEN.assign(group="y", start=SEVEN["start"] + 20, stop=SEVEN["stop"] + 20)]
    )
    made = gray_test(apart, start="start", by="group")
    assert made.tidy()["p"].isna().all()
    assert {f.id for f in made.findings} == {"groups-not-compared"}


def test_gray_needs_groups() -> None:
    with pytest.raises(ArgumentError, match="name the column"):
        gray_test(SEVEN)
    with pytest.raises(ArgumentError, match="two groups or more"):
        gray_test(SEVEN.assign(group="x"), by="group")


def test_fine_gray_by_hand_keeps_who_left_otherwise() -> None:
    # Without censoring everybody who left by another cause stays for good: a Cox model of "never" with the end at infinity.
    frame = pd.DataFrame(
        {"stop": [1, 2, 3, 4, 5, 6, 7], "cause": list("abababa"), "x": [1, 0, 1, 1, 0, 1, 0], "event": 1}
    )
    made = fine_gray(frame, "x", causes=["a"])["a"].tidy()
    for_ever = frame.assign(
        event=(frame["cause"] == "a").astype(int), stop=frame["stop"].where(frame["cause"] == "a", 99)
    )
    np.testing.assert_allclose(made["coef"], cox(for_ever, "x").tidy()["coef"], rtol=1e-9)


def test_fine_gray_refuses_gaps_flows_and_unknown_causes() -> None:
    gap = pd.DataFrame(
        {
            "id": [1, 1, 2],
            "start": [0, 5, 0],
            "stop": [3, 8, 9],
            "event": [0, 1, 1],
            "cause": [None, "a", "b"],
            "x": 1.0,
        }
    )
    with pytest.raises(StructureError, match="customer 1 has a gap"):
        fine_gray(gap, "x", start="start", customer="id")
    with pytest.raises(ArgumentError, match=r"'rice' is no cause.*payment, price"):
        fine_gray(SEVEN.assign(x=range(7)), "x", start="start", causes=["rice"])
    with pytest.raises(ArgumentError, match="is no cause"):
        cox_by_cause(SEVEN.assign(x=range(7)), "x", start="start", causes=["rice"])


# --- From tables -----------------------------------------------------------------------------------------------------

DAY = dt.date(2024, 1, 1)


def company_tables(buckets: int = 1) -> Any:
    day = lambda n: DAY + dt.timedelta(days=int(n))  # noqa: E731
    plan = ["basic", "pro", "basic", "pro", "basic", "pro", "pro"]
    ends = [10, 20, None, 20, 30, None, 40]
    reasons = ["price", "payment_failed", None, "price", None, None, "price"]
    people = pd.DataFrame(
        {"customer_id": [f"c{i}" for i in range(7)], "signed_up_on": [day(i) for i in range(7)], "plan": plan}
    )
    bought = pd.DataFrame(
        {
            "customer_id": people["customer_id"], "started_on": people["signed_up_on"], "plan": plan, "end_reason": reasons,
            "ended_on": [None if e is None else day(i + e) for i, e in enumerate(ends)],
        }
    )  # fmt: skip
    used = pd.DataFrame({"customer_id": ["c1", "c4"], "used_on": [day(4), day(9)], "feature": "f"})
    return tables_from_frames(
        {"customers": people, "subscriptions": bought, "usage": used}, until=day(60), buckets=buckets
    )


@pytest.mark.parametrize("buckets", [1, 3])
def test_flows_from_tables_know_causes(buckets: int) -> None:
    with company_tables(buckets) as tables:
        found = spells(tables, parse_definition({"kind": "cancellation"}))
        counted = flows(found, by=["plan"], causes=True)
        built = episodes(found, {"used": parse_indicator({"kind": "usage", "window": 3})}, attributes=["plan"]).build()
        cut = flows(built, by=["used", "plan"], causes=True)
        frame = built.frame()
        plain = flows(found, by=["plan"])
    assert counted.causes == ("(unknown)", "payment_failed", "price")
    assert counted.cause_events.sum(axis=1).tolist() == [1, 1, 3]
    assert plain.causes == ()
    expected = cumulative_incidence(frame, start="start", by="plan", customer="customer_id", spell="spell").tidy()
    pd.testing.assert_frame_equal(cumulative_incidence(counted, by="plan").tidy(), expected)
    pd.testing.assert_frame_equal(cumulative_incidence(cut, by="plan").tidy(), expected)
    assert cut.cause_events.sum(axis=1).tolist() == [1, 1, 3]
    ratios = cox_by_cause(cut, "plan", causes=["price"]).tidy()
    whole = cox_by_cause(
        frame, "plan", causes=["price"], start="start", customer="customer_id", spell="spell", robust=False
    )
    np.testing.assert_allclose(ratios["coef"], whole.tidy()["coef"], rtol=1e-8)


def test_one_minus_kaplan_meier_of_one_cause_is_said_to_be_no_share() -> None:
    with company_tables() as tables:
        counted = flows(spells(tables, parse_definition({"kind": "cancellation"})), causes=True)
    price = counted.of_cause("price")
    found = kaplan_meier(price).findings
    assert [f.id for f in found] == ["competing-causes"]
    assert "cumulative_incidence" in found[0].message
    assert kaplan_meier(counted).findings == ()
    with pytest.raises(ArgumentError, match="do not know causes.*'price' only"):
        cumulative_incidence(price)
    with pytest.raises(ArgumentError, match="'late' is no cause"):
        counted.of_cause("late")


# --- Many stays ------------------------------------------------------------------------------------------------------

# c1 leaves at 2, is back from 3 to 6, when it leaves again; c2 leaves at 4; c3 stays to 5; c4 enters at 1 and leaves at 4.
STAYS = pd.DataFrame(
    {
        "customer": ["c1", "c1", "c2", "c3", "c4", "c4", "c5"],
        "spell": [0, 1, 0, 0, 0, 1, 0],
        "start": [0, 3, 0, 0, 1, 5, 0],
        "stop": [2, 6, 4, 5, 4, 8, 8],
        "event": [1, 1, 1, 0, 1, 0, 0],
    }
)


def test_mean_count_by_hand() -> None:
    tidy = mean_cumulative_count(STAYS, "customer", start="start").tidy().set_index("tenure")
    # At 2: c1 of c1, c2, c3, c4, c5. At 4: c2 and c4 of all five. At 6: c1 of c1, c4, c5.
    np.testing.assert_allclose(tidy["mean_count"][[0, 2, 4, 6, 8]], [0, 1 / 5, 3 / 5, 3 / 5 + 1 / 3, 3 / 5 + 1 / 3])
    assert tidy["at_risk"].to_dict() == {0: 0, 2: 5, 4: 5, 6: 3, 8: 2}
    # U at 2: 4/25 for c1, -1/25 for four others: Σ U² = 20/625. At 4: + 3/25 for c2 and c4, - 2/25 for the others.
    np.testing.assert_allclose(tidy["se"][2], np.sqrt(20 / 625))
    after = np.array([4 - 2, -1 + 3, -1 - 2, -1 + 3, -1 - 2]) / 25
    np.testing.assert_allclose(tidy["se"][4], np.sqrt((after**2).sum()))
    last = after + np.array([2 / 9, 0, 0, -1 / 9, -1 / 9])
    np.testing.assert_allclose(tidy["se"][6], np.sqrt((last**2).sum()))


def test_a_cut_changes_no_mean_count() -> None:
    cut = pd.concat(
        [
            STAYS[STAYS["customer"] != "c5"],
            pd.DataFrame({"customer": "c5", "spell": 0, "start": [0, 4], "stop": [4, 8], "event": 0}),
        ]
    )
    one, two = (mean_cumulative_count(f, "customer", start="start").tidy() for f in (STAYS, cut))
    pd.testing.assert_frame_equal(one[["tenure", "mean_count", "se"]], two[["tenure", "mean_count", "se"]])


def test_mean_count_refuses_overlap_and_changing_groups() -> None:
    with pytest.raises(ArgumentError, match="overlap on the clock, such as 'c1'"):
        mean_cumulative_count(STAYS.assign(start=0), "customer", start="start")
    with pytest.raises(ArgumentError, match="changes within a customer"):
        mean_cumulative_count(STAYS.assign(g=STAYS["spell"]), "customer", start="start", by="g")


def test_stays_on_both_clocks() -> None:
    gap = stay_curves(STAYS, "customer", "spell", start="start").tidy().set_index(["by", "tenure"])
    # First stays last 2, 4, 5+, 3, 8+ days; second ones 3, and 3 without an end.
    assert gap.loc[("first stay", 3), "at_risk"] == 4
    np.testing.assert_allclose(gap.loc[("first stay", 3), "retention"], 4 / 5 * 3 / 4)
    np.testing.assert_allclose(gap.loc[("second stay", 3), "retention"], 1 / 2)
    total = stay_curves(STAYS, "customer", "spell", start="start", clock="total").tidy().set_index(["by", "tenure"])
    assert total.loc[("second stay", 6), "at_risk"] == 2
    np.testing.assert_allclose(total.loc[("second stay", 6), "retention"], 1 / 2)
    with pytest.raises(ArgumentError, match="clock must be one of 'gap', 'total'"):
        stay_curves(STAYS, "customer", "spell", start="start", clock="calendar")
