"""Intervals, bands, comparisons, weighted tests and hazards by billing cycle, worked by hand on seven customers."""

from __future__ import annotations

from fractions import Fraction as F
from itertools import combinations
from math import erf
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from survival.errors import ArgumentError, StructureError
from survival.estimate.adjustments import adjusted
from survival.estimate.crossing import bridge_within, hall_wellner_critical, stationary_within
from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.landmark import landmark
from survival.estimate.max_combo import largest_p
from survival.estimate.permutation import permutation_test
from survival.estimate.piecewise import piecewise_hazard
from survival.estimate.rank_tests import rank_test
from survival.estimate.revenue import revenue_retention
from survival.estimate.rmst import rmst
from survival.flows.frames import episode_arrays, flows_of

SEVEN = pd.DataFrame(
    {
        "stop": [3, 5, 5, 8, 10, 12, 12],
        "event": [1, 1, 0, 1, 0, 1, 0],
        "plan": ["a", "b", "a", "b", "a", "b", "a"],
        "mrr": [100, 0, 50, 10, 20, 10, 10],
    }
)
LATE = pd.DataFrame({"start": [0, 0, 2, 3, 3, 5, 0], "stop": [4, 6, 6, 5, 9, 9, 2], "event": [1, 1, 0, 1, 1, 0, 0]})
FLOWS = flows_of(episode_arrays(SEVEN, "stop", "event", keep=["plan"]), ["plan"])
Z = 1.959963984540054
S8, V8 = 15 / 28, 59 / 420  # retention at 8, and Greenwood's sum


def test_logit_and_arcsin_intervals() -> None:
    logit = kaplan_meier(SEVEN, interval="logit").at(8).iloc[0]
    centre, wide = np.log(15 / 13), Z * np.sqrt(V8) / (13 / 28)
    np.testing.assert_allclose(
        [logit["ci_lower"], logit["ci_upper"]], 1 / (1 + np.exp(-centre + np.array([wide, -wide])))
    )
    arcsin = kaplan_meier(SEVEN, interval="arcsin").at(8).iloc[0]
    wide = Z * np.sqrt(V8) * np.sqrt(15 / 13) / 2
    np.testing.assert_allclose(arcsin["ci_lower"], np.sin(np.arcsin(np.sqrt(S8)) - wide) ** 2)
    none = kaplan_meier(SEVEN, interval="none")
    assert none.tidy()[["ci_lower", "ci_upper"]].isna().all().all()
    assert none.quantile(0.5)["tenure"].tolist() == [12]


def test_bands_by_hand() -> None:
    curves = kaplan_meier(SEVEN, interval="plain")
    # n = 7; Greenwood's sums at 3 and 12 are 1/42 and 1/42 + 1/30 + 1/12 + 1/2
    first, last = 7 / 42, 7 * (V8 + 1 / 2)
    critical = hall_wellner_critical(0.95, first / (1 + first), last / (1 + last))
    made = curves.band("hall-wellner").set_index("tenure")
    np.testing.assert_allclose(made["critical_value"], critical)
    np.testing.assert_allclose(made.loc[8, "band_lower"], max(S8 - critical * S8 * (1 + 7 * V8) / np.sqrt(7), 0))
    assert made["band_lower"].isna().tolist() == [True, False, False, False, False, False]
    # Equal precision: a = 1/7 at 3, 0.29 at 5, 0.5 at 8 and 10, 0.82 at 12, all between 0.05 and 0.95
    equal = curves.band("equal-precision").set_index("tenure")
    se = 5 / 7 * np.sqrt(1 / 42 + 1 / 30)
    np.testing.assert_allclose(equal.loc[5, "band_lower"], 5 / 7 - equal["critical_value"].iloc[0] * se)
    short = curves.band("equal-precision", since=5, until=10)
    assert short["tenure"][short["band_lower"].notna()].tolist() == [5, 8, 10]
    assert Z < short["critical_value"].iloc[0] < equal["critical_value"].iloc[0]


def test_critical_values_at_their_limits() -> None:
    assert hall_wellner_critical(0.95, 0.0, 1.0) == pytest.approx(1.358099, abs=1e-6)  # Kolmogorov's
    k = 0.8
    at_one = erf(k / 0.5 / np.sqrt(2))
    assert bridge_within(k, 0.5, 0.5) == pytest.approx(at_one, abs=1e-12)  # one time: |N(0, 1/4)| <= k
    assert bridge_within(k, 0.5, 0.501) == pytest.approx(at_one, abs=0.03)
    assert stationary_within(Z, 0.0) == pytest.approx(0.95, abs=1e-9)
    assert stationary_within(2.5, 1.0) < stationary_within(2.5, 0.5) < stationary_within(2.5, 0.0)


def test_given_still_here() -> None:
    curves = kaplan_meier(SEVEN)
    table = curves.given(5)
    assert table["tenure"].tolist() == [5, 8, 10, 12]
    assert table["at_risk"].tolist() == [4, 4, 3, 2]
    np.testing.assert_allclose(table["retention"], [1, 3 / 4, 3 / 4, 3 / 8])
    np.testing.assert_allclose(
        table["se"], [0, *(s * v**0.5 for s, v in ((3 / 4, 1 / 12), (3 / 4, 1 / 12), (3 / 8, 7 / 12)))]
    )
    spread = Z * np.sqrt(1 / 12) / np.log(3 / 4)
    np.testing.assert_allclose(table["ci_lower"][1], 0.75 ** np.exp(-spread))
    assert curves.given(5, until=10)["tenure"].tolist() == [5, 8, 10]
    with pytest.raises(ArgumentError, match="known from tenure 0 to 12"):
        curves.given(12.5)
    residual = curves.mean_residual([0, 5, 6, 13], 10)
    np.testing.assert_allclose(residual["mean_residual"], [111 / 14, 4.5, 3.5, np.nan])  # 3 + 2·3/4, then a day less
    np.testing.assert_allclose(residual["se"][1:3], 1.5 * np.sqrt(1 / 12))
    np.testing.assert_allclose(residual["se"][0], rmst(SEVEN, 10).tidy()["se"][0])


def test_landmark_starts_anew() -> None:
    here = landmark(SEVEN, 5)
    assert here[["start", "stop"]].to_numpy().tolist() == [[0, 3], [0, 5], [0, 7], [0, 7]]
    assert here["plan"].tolist() == ["b", "a", "b", "a"]
    table = kaplan_meier(here, start="start").tidy()
    np.testing.assert_allclose(table["retention"], [1, 3 / 4, 3 / 4, 3 / 8])
    from_flows = kaplan_meier(landmark(FLOWS, 5), by="plan").tidy()
    pd.testing.assert_frame_equal(from_flows, kaplan_meier(here, start="start", by="plan").tidy())
    late = landmark(LATE, 3, start="start", clock="continue")
    assert late["start"].tolist() == [3, 3, 3, 3, 3, 5]
    assert len(landmark(LATE, 3, start="start", present_only=True)) == 5
    rows = {"id": [1, 1, 2], "start": [0, 4, 6], "stop": [4, 9, 8], "event": [0, 1, 0]}
    present = landmark(rows, 4, start="start", customer="id", present_only=True)
    assert present[["id", "start", "stop"]].to_numpy().tolist() == [[1, 0, 5]]
    with pytest.raises(StructureError, match="nobody is at risk after 12"):
        landmark(SEVEN, 12)
    with pytest.raises(ArgumentError, match="flows hold no customers"):
        landmark(FLOWS, 5, present_only=True)
    with pytest.raises(ArgumentError, match="clock must be"):
        landmark(SEVEN, 5, clock="restart")


def test_difference_of_two_plans_at_eight() -> None:
    # a: one of 4 leaves at 3, S = 3/4; b: one of 3 at 5, one of 2 at 8, S = 1/3
    se = np.sqrt(3 / 64 + 2 / 27)
    plain = kaplan_meier(SEVEN, by="plan", interval="plain").differences([8, 100]).tidy()
    row = plain.iloc[0]
    np.testing.assert_allclose([row["difference"], row["se"], row["z"]], [-5 / 12, se, -5 / 12 / se])
    np.testing.assert_allclose([row["ci_lower"], row["ci_upper"]], [-5 / 12 - Z * se, -5 / 12 + Z * se])
    assert np.isnan(plain["p"][1])  # nobody is followed so far
    assert plain["p_adjusted"][0] == plain["p"][0]
    curves = kaplan_meier(SEVEN, by="plan")
    a, b = curves.at(8).itertuples()
    mover = curves.differences(8).tidy().iloc[0]
    np.testing.assert_allclose(
        mover["ci_lower"], -5 / 12 - np.hypot(b.retention - b.ci_lower, a.ci_upper - a.retention)
    )
    g = [-np.log(-np.log(s)) for s in (3 / 4, 1 / 3)]
    v = [1 / 12 / np.log(3 / 4) ** 2, (2 / 3) / np.log(1 / 3) ** 2]
    np.testing.assert_allclose(mover["z"], (g[1] - g[0]) / np.sqrt(sum(v)))
    np.testing.assert_allclose(curves.equality(8)["statistic"], mover["z"] ** 2)
    np.testing.assert_allclose(curves.equality(8)["p"], mover["p"])


def test_difference_over_all_tenures() -> None:
    curves = kaplan_meier(SEVEN, by="plan")
    table = curves.difference_curve("a", "b", draws=2000).tidy()
    assert table["tenure"].tolist() == [0, 3, 5, 8, 12]
    np.testing.assert_allclose(table["difference"], [0, 1 / 4, -1 / 12, -5 / 12, -3 / 4])
    assert table["band_lower"].isna().tolist() == [True, True, False, False, True]  # at 12 nobody of b is left
    assert (table["critical_value"] > Z).all()
    again = curves.difference_curve("a", "b", draws=2000).tidy()
    pd.testing.assert_frame_equal(table, again)  # seeded
    # A band at one tenure is the interval there.
    one = curves.difference_curve("a", "b", since=8, until=8, draws=40_000).tidy()
    assert one["critical_value"][0] == pytest.approx(Z, abs=0.03)
    with pytest.raises(ArgumentError, match="no curve is called 'c'"):
        curves.difference_curve("a", "c")


def test_cohorts_first_seen_at_different_tenures_are_not_compared() -> None:
    data = pd.concat([LATE.assign(plan="a"), LATE.assign(plan="b", start=LATE["start"] + 1, stop=LATE["stop"] + 1)])
    curves = kaplan_meier(data, start="start", by="plan")
    found = curves.differences(5)
    assert [finding.id for finding in found.findings] == ["different-entry"]
    assert found.tidy()[["difference", "p"]].isna().all().all()
    # Nor are they in the test that all are equal: it compares those seen from the first tenure, here but one.
    assert curves.equality(5)[["statistic", "p"]].isna().all().all()
    assert curves.equality(5)["df"].tolist() == [0]
    means = rmst(data, 6, start="start", by="plan").differences()
    assert [finding.id for finding in means.findings] == ["different-entry"]
    assert means.tidy()[["difference", "ratio", "p"]].isna().all().all()
    both = landmark(data, 1, start="start", clock="continue")
    assert kaplan_meier(both, start="start", by="plan").differences(5).findings == ()


def test_restricted_means_compared() -> None:
    made = rmst(SEVEN, 10, by="plan").differences().tidy().iloc[0]
    # a: 3 + 7·3/4;  b: 5 + 3·2/3 + 2·1/3
    a, b = 8.25, 23 / 3
    va = (7 * 3 / 4) ** 2 / 12
    vb = (3 * 2 / 3 + 2 / 3) ** 2 / 6 + (2 / 3) ** 2 / 2
    np.testing.assert_allclose(made["difference"], b - a)
    np.testing.assert_allclose(made["se"], np.sqrt(va + vb))
    spread = np.sqrt(va / a**2 + vb / b**2)
    np.testing.assert_allclose([made["ratio"], made["ratio_upper"]], [b / a, b / a * np.exp(Z * spread)])
    chosen = rmst(SEVEN[:6], by="plan")
    assert chosen.horizon == 10  # a ends there
    assert [finding.id for finding in chosen.findings] == ["horizon-chosen"]


EXCESS = {3: -F(3, 7), 5: F(1, 2), 8: F(1, 2), 12: F(1, 2)}  # of b, one event at each tenure
SPREAD = {3: F(12, 49), 5: F(1, 4), 8: F(1, 4), 12: F(1, 4)}
BEFORE = {3: F(1), 5: F(6, 7), 8: F(5, 7), 12: F(15, 28)}  # retention of all just before
PETO = {3: F(7, 8), 5: F(3, 4), 8: F(3, 5), 12: F(2, 5)}
RISK = {3: 7, 5: 6, 8: 4, 12: 2}
WEIGHTS: dict[str, dict[int, Any]] = {
    "gehan": RISK,
    "tarone-ware": {t: n**0.5 for t, n in RISK.items()},
    "peto": PETO,
    "modified-peto": {t: PETO[t] * F(n, n + 1) for t, n in RISK.items()},
    "fleming-harrington(1, 0)": BEFORE,
    "fleming-harrington(0, 1)": {t: 1 - s for t, s in BEFORE.items()},
    "fleming-harrington(0.5, 2)": {t: float(s) ** 0.5 * float(1 - s) ** 2 for t, s in BEFORE.items()},
}


def by_hand(weight: dict[int, Any]) -> float:
    excess = sum(float(weight[t] * 1.0) * float(EXCESS[t]) for t in EXCESS)
    return excess**2 / sum(float(weight[t] * 1.0) ** 2 * float(SPREAD[t]) for t in SPREAD)


@pytest.mark.parametrize("weighting", WEIGHTS)
def test_weighted_tests(weighting: str) -> None:
    made = rank_test(SEVEN, by="plan", weighting=weighting)
    np.testing.assert_allclose(made.tests[0].statistic, by_hand(WEIGHTS[weighting]), rtol=1e-12)
    assert (made.tests[0].test, made.weighting) == (weighting, weighting)
    np.testing.assert_allclose(rank_test(FLOWS, by="plan", weighting=weighting).tests[0].p, made.tests[0].p, rtol=1e-12)
    if weighting == "gehan":
        np.testing.assert_allclose(made.tests[0].statistic, 9 / 26, rtol=1e-12)


def test_max_combo() -> None:
    made = rank_test(SEVEN, by="plan", weighting="max-combo", pairwise="bh")
    parts = made.components()
    assert parts["test"].tolist() == [f"fleming-harrington({p}, {q})" for p, q in ((0, 0), (1, 0), (0, 1), (1, 1))]
    assert made.tests[0].statistic == parts["statistic"].max()
    assert parts["p"].min() < made.tests[0].p < parts["p"].sum()
    np.testing.assert_allclose(made.tests[1].p, made.tests[0].p, rtol=1e-9)  # the only pair
    same = np.ones((2, 2, 1, 1))  # one statistic twice is one statistic
    assert largest_p(3.841458820694124, same) == pytest.approx(0.05, rel=1e-9)
    apart = np.eye(2)[:, :, None, None]  # two independent ones
    assert largest_p(4.0, apart) == pytest.approx(1 - (1 - 0.04550026389635842) ** 2, rel=1e-4)
    assert largest_p(60.0, apart) == pytest.approx(2 * 9.484e-15, rel=1e-2)  # far out, no digits are lost
    four = np.eye(4)[:, :, None, None]
    assert largest_p(4.0, four) == pytest.approx(1 - (1 - 0.04550026389635842) ** 4, rel=5e-3)


def test_exact_permutation() -> None:
    hazard = {3: F(1, 7), 5: F(1, 7) + F(1, 6), 8: F(1, 7) + F(1, 6) + F(1, 4), 12: F(1, 7) + F(1, 6) + F(3, 4)}
    hazard[10] = hazard[8]
    scores = [F(int(e)) - hazard[t] for t, e in zip(SEVEN["stop"], SEVEN["event"])]
    assert sum(scores) == 0
    sums = [abs(sum(scores[i] for i in chosen)) for chosen in combinations(range(7), 3)]
    observed = abs(sum(s for s, plan in zip(scores, SEVEN["plan"]) if plan == "b"))
    p = sum(s >= observed for s in sums) / 35
    result = permutation_test(SEVEN, by="plan", pairwise="holm")
    assert (result.tests[0].arrangements, result.tests[0].exact) == (35, True)
    np.testing.assert_allclose(result.tidy()["p"], [p, p])
    drawn = permutation_test(SEVEN, by="plan", permutations=33, seed=4).tests[0]
    assert not drawn.exact
    assert drawn.p == permutation_test(SEVEN, by="plan", permutations=33, seed=4).tests[0].p
    many = pd.concat([SEVEN.assign(s=s) for s in "xy"], ignore_index=True)
    layered = permutation_test(many, by="plan", strata="s", permutations=4000).tests[0]
    assert layered.p == pytest.approx(rank_test(many, by="plan", strata="s").tests[0].p, abs=0.08)


def test_customers_move_as_one_when_labels_are_dealt() -> None:
    whole = pd.DataFrame({"id": range(7), "start": 0}).join(SEVEN)
    first, second = whole[whole["stop"] > 4].assign(stop=4, event=0), whole[whole["stop"] > 4].assign(start=4)
    cut = pd.concat([whole[whole["stop"] <= 4], first, second])
    for weighting in ("logrank", "max-combo"):
        one = permutation_test(whole, start="start", by="plan", weighting=weighting).tests[0]
        two = permutation_test(cut, start="start", by="plan", customer="id", weighting=weighting).tests[0]
        np.testing.assert_allclose([two.statistic, two.p], [one.statistic, one.p], rtol=1e-12)
    cut.loc[cut["start"] == 4, "plan"] = "a"
    with pytest.raises(StructureError, match="two groups"):
        permutation_test(cut, start="start", by="plan", customer="id")
    from_flows = permutation_test(FLOWS, by="plan").tests[0]  # all enter at 0: who left when says who there is
    np.testing.assert_allclose(from_flows.p, permutation_test(SEVEN, by="plan").tests[0].p)


def test_hazard_by_billing_cycle() -> None:
    table = piecewise_hazard(SEVEN, cuts=[0, 5, 10]).tidy()
    assert table[["start", "stop"]].to_numpy().tolist() == [[0, 5], [5, 10], [10, 12]]
    assert table["events"].tolist() == [2, 1, 1]  # who leaves on day 5 belongs to the first five days
    assert table["person_time"].tolist() == [33, 18, 4]
    np.testing.assert_allclose(table["hazard"], [2 / 33, 1 / 18, 1 / 4])
    np.testing.assert_allclose(table["se"][0], np.sqrt(2) / 33)
    np.testing.assert_allclose([table["ci_lower"][0] * 33, table["ci_upper"][0] * 33], [0.242209, 7.224688], rtol=1e-5)
    monthly = piecewise_hazard(SEVEN.assign(stop=SEVEN["stop"] * 10)).tidy()
    np.testing.assert_allclose(monthly["stop"], [30.4375, 60.875, 91.3125, 120])
    assert monthly["person_time"].sum() == SEVEN["stop"].sum() * 10
    centred = piecewise_hazard(SEVEN.assign(stop=SEVEN["stop"] * 10), offset=30.4375 / 2).tidy()
    np.testing.assert_allclose(centred["stop"][:2], [15.21875, 45.65625])
    weighted = piecewise_hazard(SEVEN.assign(w=0.5), weights="w")
    assert [finding.id for finding in weighted.findings] == ["weights-are-no-counts"]
    assert weighted.tidy()["ci_lower"].isna().all()
    pd.testing.assert_frame_equal(
        piecewise_hazard(FLOWS, by="plan", width=4).tidy(), piecewise_hazard(SEVEN, by="plan", width=4).tidy()
    )
    none = piecewise_hazard({"stop": [40, 50], "event": [0, 0]}, width=25).tidy()
    assert none["ci_lower"].tolist() == [0, 0]
    np.testing.assert_allclose(none["ci_upper"] * none["person_time"], 3.688879, rtol=1e-6)
    for wrong in ({"cuts": [3, 3]}, {"width": 0}):
        with pytest.raises(ArgumentError, match="cuts must be increasing|width must be above 0"):
            piecewise_hazard(SEVEN, **wrong)  # type: ignore[arg-type]


def test_revenue_beside_customers() -> None:
    both = revenue_retention(SEVEN, "mrr")
    first = both.differences(3).iloc[0]
    np.testing.assert_allclose([first["customers"], first["revenue"]], [6 / 7, 1 / 2])
    # Influence of one customer at 3: on revenue -100·100/200² for the leaver, mrr·100/200² for the others;
    # on customers -6/49 and 1/49.
    revenue = np.array([-0.25, *(np.array([0, 50, 10, 20, 10, 10]) * 100 / 200**2)])
    heads = np.array([-6, 1, 1, 1, 1, 1, 1]) / 49
    np.testing.assert_allclose(both.revenue.at(3)["se"], np.sqrt((revenue**2).sum()))
    np.testing.assert_allclose(first["se"], np.sqrt(((revenue - heads) ** 2).sum()))
    assert first["ci_upper"] > first["difference"] + Z * first["se"]  # as wide as leaving one out and Student make it
    table = both.tidy()
    assert table.groupby("weighting")["at_risk"].max().to_dict() == {"customers": 7, "revenue": 200}
    assert both.revenue.robust
    with pytest.raises(ArgumentError, match="flows do not hold"):
        revenue_retention(FLOWS, "mrr")


def test_revenue_intervals_by_leaving_each_customer_out() -> None:
    """At day 8, by brute force: each influence over one minus the customer's share, and Student's quantile."""
    data = SEVEN.assign(mrr=[10.0, 20, 30, 5, 80, 15, 40])
    both = revenue_retention(data, "mrr")
    at = both.revenue.at([8]).iloc[0]
    stop, event, w = (data[c].to_numpy(float) for c in ("stop", "event", "mrr"))

    def influence(w: np.ndarray) -> np.ndarray:
        days = np.unique(stop[(event == 1) & (stop <= 8)])
        n = np.array([w[stop >= t].sum() for t in days])
        d = np.array([w[(stop == t) & (event == 1)].sum() for t in days])
        lived = np.array([(d / (n * (n - d)))[days <= min(s, 8)].sum() for s in stop])
        own = np.array([1 / (n - d)[days == s][0] if e and s <= 8 else 0.0 for s, e in zip(stop, event)])
        return np.asarray(w * (lived - own))

    def limits(u: np.ndarray) -> tuple[float, float]:
        v, n = (u**2).sum(), u.size
        return v, float(student.ppf(0.975, min(2 * v**2 / ((u**4).sum() - v**2 / n), n)))

    u = influence(w)
    assert at["se"] == pytest.approx(at["retention"] * np.sqrt((u**2).sum()))
    v, quantile = limits(u / (1 - w / w.sum()))
    power = quantile * np.sqrt(v) / np.log(at["retention"])
    np.testing.assert_allclose([at["ci_lower"], at["ci_upper"]], at["retention"] ** np.exp([-power, power]), rtol=1e-9)
    gap = both.differences([8]).iloc[0]
    one, kept = influence(np.ones(7)), both.customers.at([8])["retention"].iloc[0]
    assert gap["se"] == pytest.approx(np.sqrt(((at["retention"] * u - kept * one) ** 2).sum()))
    v, quantile = limits(at["retention"] * u / (1 - w / w.sum()) - kept * one * 7 / 6)
    assert gap["ci_upper"] - gap["difference"] == pytest.approx(quantile * np.sqrt(v), rel=1e-9)


def test_weights_that_are_no_counts_are_robust_and_say_what_they_cannot() -> None:
    half = SEVEN.assign(w=SEVEN["mrr"] / 7)
    curves = kaplan_meier(half, weights="w")
    assert curves.robust
    assert not kaplan_meier(SEVEN, weights="mrr").robust
    scaled = kaplan_meier(half.assign(w=half["w"] * 1000.5), weights="w").tidy()
    np.testing.assert_allclose(scaled["se"], curves.tidy()["se"], rtol=1e-10)  # in which currency does not matter
    for ask in (curves.band, lambda: curves.given(3), lambda: curves.mean_residual(3, 10), lambda: curves.rmst(10)):
        with pytest.raises(ArgumentError, match="robust variance"):
            ask()
    with pytest.raises(ArgumentError, match="flows do not hold"):
        kaplan_meier(FLOWS, robust=True)
    plain = kaplan_meier(SEVEN, robust=True).tidy()["se"]
    np.testing.assert_allclose(plain, kaplan_meier(SEVEN).tidy()["se"], rtol=1e-12)  # Greenwood's, without late entry


def test_adjustments() -> None:
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.5])
    np.testing.assert_allclose(adjusted(p, "bh"), [0.04, np.nan, 0.16 / 3, 0.16 / 3, 0.5])
    np.testing.assert_allclose(adjusted(p, "bonferroni"), [0.04, np.nan, 0.16, 0.12, 1])
    np.testing.assert_allclose(adjusted(p, "none"), p)
