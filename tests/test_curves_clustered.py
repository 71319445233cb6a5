"""Variances that add up by customer: several spells, accounts of one company; against R (tests/references/curves3.R)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from survival.errors import ArgumentError, StructureError
from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.rank_tests import rank_test
from survival.estimate.rmst import rmst
from survival.flows.frames import episode_arrays, flows_of

R = json.loads((Path(__file__).parent / "references" / "curves3.json").read_text())
SPELLS = pd.DataFrame(R["spells"])
TWO = SPELLS[SPELLS["group"] != "c"]
CLOSE = {"rtol": 1e-10, "atol": 1e-13}


def numbers(values: list[Any]) -> np.ndarray:
    return np.array(values, float)


@pytest.mark.parametrize("given", [{"customer": "customer", "spell": "spell"}, {"cluster": "customer"}])
@pytest.mark.parametrize("group", ["a", "b", "c"])
def test_curves_of_several_spells_equal_survfit_clustered(group: str, given: dict[str, str]) -> None:
    expected = R["curves"][group]
    curves = kaplan_meier(SPELLS, start="start", by="group", **given)  # type: ignore[arg-type]
    times = numbers(expected["time"])
    rows = curves.at(times)
    rows = rows[rows["by"] == group]
    known = numbers(expected["surv"]) > 0
    inside = known & (numbers(expected["surv"]) < 1)
    np.testing.assert_allclose(rows["retention"], numbers(expected["surv"]), **CLOSE)
    np.testing.assert_allclose(rows["se"][known], numbers(expected["se"])[known], **CLOSE)
    np.testing.assert_allclose(rows["ci_lower"][inside], numbers(expected["lower"])[inside], **CLOSE)
    np.testing.assert_allclose(rows["ci_upper"][inside], numbers(expected["upper"])[inside], **CLOSE)
    means = rmst(SPELLS, 12, start="start", by="group", **given).tidy()  # type: ignore[arg-type]
    np.testing.assert_allclose(means.loc[means["by"] == group, "se"], numbers(expected["rmst.se"]), rtol=1e-9)
    assert curves.robust


def test_a_second_spell_that_repeats_the_first_says_nothing_new() -> None:
    first = SPELLS[SPELLS["spell"] == 1]
    twice = pd.concat([first, first.assign(spell=2)])
    once = kaplan_meier(first, start="start", customer="customer", spell="spell", robust=True).tidy()
    robust = kaplan_meier(twice, start="start", customer="customer", spell="spell").tidy()
    greenwood = kaplan_meier(twice, start="start", customer="customer", spell="spell", robust=False).tidy()
    np.testing.assert_allclose(robust["se"], once["se"], rtol=1e-12)
    np.testing.assert_allclose(robust["retention"], greenwood["retention"])
    # Greenwood's formula takes the copies for as many customers more.
    late = once["tenure"] >= 5
    assert (greenwood["se"][late] < 0.75 * robust["se"][late]).all()


@pytest.mark.parametrize(
    ("case", "data", "more"), [("three", SPELLS, {}), ("two", TWO, {}), ("stratified", SPELLS, {"strata": "strata"})]
)
def test_logrank_by_customer_equals_the_robust_score_test(case: str, data: pd.DataFrame, more: dict[str, str]) -> None:
    for given in ({"customer": "customer", "spell": "spell"}, {"cluster": "customer"}):
        made = rank_test(data, start="start", by="group", **given, **more).tests[0]  # type: ignore[arg-type]
        np.testing.assert_allclose(made.statistic, R["tests"][case]["robust"][0], rtol=1e-9)


def test_trend_pairs_and_other_weightings_by_customer() -> None:
    tests = rank_test(SPELLS, start="start", by="group", cluster="customer", trend=True, pairwise="none").tests
    np.testing.assert_allclose(tests[1].statistic, R["tests"]["trend"]["robust"][0], rtol=1e-9)
    pair = next(test for test in tests if (test.cohort_a, test.cohort_b) == ("a", "b"))
    np.testing.assert_allclose(pair.statistic, R["tests"]["two"]["robust"][0], rtol=1e-9)
    gehan = rank_test(TWO, start="start", by="group", cluster="customer", weighting="gehan").tests[0]
    np.testing.assert_allclose(gehan.statistic, R["gehan"][0], rtol=1e-9)
    combined = rank_test(TWO, start="start", by="group", cluster="customer", weighting="max-combo")
    parts = [
        rank_test(TWO, start="start", by="group", cluster="customer", weighting=part.test).tests[0]
        for part in combined.parts
    ]
    np.testing.assert_allclose([part.statistic for part in combined.parts], [part.statistic for part in parts])
    assert combined.tests[0].statistic == pytest.approx(max(part.statistic for part in parts))


def test_one_spell_each_is_left_as_it_was() -> None:
    first = SPELLS[SPELLS["spell"] == 1]
    plain = kaplan_meier(first, start="start", by="group").tidy()
    made = kaplan_meier(first, start="start", by="group", customer="customer", spell="spell")
    pd.testing.assert_frame_equal(made.tidy(), plain)
    assert not made.robust
    tested = rank_test(first, start="start", by="group", customer="customer", spell="spell").tidy()
    pd.testing.assert_frame_equal(tested, rank_test(first, start="start", by="group").tidy())


def test_seven_rows_of_four_customers_by_hand() -> None:
    """n and d: 7, 1 at day 1; 6, 2 at day 2; 3, 1 at day 4. By day 2 retention is 6/7 x 4/6 = 4/7."""
    frame = pd.DataFrame(
        {
            "customer": [1, 1, 2, 2, 3, 3, 4],
            "spell": [1, 2, 1, 2, 1, 2, 1],
            "stop": [1, 2, 2, 3, 4, 5, 5],
            "event": [1, 1, 1, 0, 1, 0, 0],
        }
    )
    # Of log retention at day 2, an episode's influence is G(min(stop, 2)) - 1{churned by 2} / (n - d), G = Σ d/(n (n - d)):
    # G(1) = 1/42, G(2) = 1/42 + 2/24 = 3/28; churned on day 1: - 1/6, on day 2: - 1/4.
    g1, g2 = 1 / 42, 1 / 42 + 2 / 24
    by_customer = [(g1 - 1 / 6) + (g2 - 1 / 4), (g2 - 1 / 4) + g2, g2 + g2, g2]
    made = kaplan_meier(frame, customer="customer", spell="spell").at([2])
    assert made["retention"].iloc[0] == pytest.approx(4 / 7)
    assert made["se"].iloc[0] == pytest.approx(4 / 7 * np.sqrt(sum(u * u for u in by_customer)))


def test_flows_and_unknown_clusters_are_refused() -> None:
    flows = flows_of(episode_arrays(SPELLS, "stop", "event", "start", keep=["group"]), ["group"])
    with pytest.raises(ArgumentError, match="cluster='customer' adds up by customer"):
        kaplan_meier(flows, by="group", cluster="customer")
    with pytest.raises(ArgumentError, match="cluster='customer' adds up by customer"):
        rank_test(flows, by="group", cluster="customer")
    with pytest.raises(StructureError, match="cluster column 'account' has missing values"):
        kaplan_meier(SPELLS.assign(account=[None, *["x"] * (len(SPELLS) - 1)]), start="start", cluster="account")
