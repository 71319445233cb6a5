"""Curves and tests worked by hand on seven customers, and the rules that R does not have."""

from __future__ import annotations

from fractions import Fraction as F

import numpy as np
import pandas as pd
import pytest

from survival.errors import ArgumentError, ConservationError, StructureError
from survival.estimate.hazard import hazard
from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.rank_tests import holm, rank_test
from survival.estimate.rmst import rmst
from survival.flows.frames import episode_arrays, flows_of
from survival.flows.table import Flows

SEVEN = pd.DataFrame(
    {"stop": [3, 5, 5, 8, 10, 12, 12], "event": [1, 1, 0, 1, 0, 1, 0], "plan": ["a", "b", "a", "b", "a", "b", "a"]}
)
LATE = pd.DataFrame({"start": [0, 0, 2, 3, 3, 5, 0], "stop": [4, 6, 6, 5, 9, 9, 2], "event": [1, 1, 0, 1, 1, 0, 0]})
Z = 1.959963984540054


def test_seven_customers() -> None:
    table = kaplan_meier(SEVEN).tidy()
    assert table["by"].tolist() == ["all"] * 6
    assert table["tenure"].tolist() == [0, 3, 5, 8, 10, 12]
    assert table["at_risk"].tolist() == [0, 7, 6, 4, 3, 2]
    assert table["events"].tolist() == [0, 1, 1, 1, 0, 1]
    assert table["censored"].tolist() == [0, 0, 1, 0, 1, 1]
    assert table["entered"].tolist() == [7, 0, 0, 0, 0, 0]
    expected = [1, F(6, 7), F(5, 7), F(15, 28), F(15, 28), F(15, 56)]
    np.testing.assert_allclose(table["retention"], [float(s) for s in expected], rtol=1e-15)
    # Greenwood at 8: S² (1/(7·6) + 1/(6·5) + 1/(4·3)), by hand (15/28)² · 59/420
    np.testing.assert_allclose(table["se"][3], 15 / 28 * np.sqrt(59 / 420), rtol=1e-14)
    assert list(table.columns) == [
        "by", "tenure", "at_risk", "events", "censored", "entered", "retention", "se", "ci_lower", "ci_upper",
    ]  # fmt: skip
    assert all(table[name].dtype == np.int64 for name in ("at_risk", "events", "censored", "entered"))


def test_seven_customers_intervals() -> None:
    s, se = 15 / 28, np.sqrt(59 / 420)  # se of log S at tenure 8
    loglog = kaplan_meier(SEVEN).at(8).iloc[0]
    spread = Z * se / np.log(s)
    np.testing.assert_allclose([loglog["ci_lower"], loglog["ci_upper"]], [s ** np.exp(-spread), s ** np.exp(spread)])
    plain = kaplan_meier(SEVEN, interval="plain").at(8).iloc[0]
    np.testing.assert_allclose([plain["ci_lower"], plain["ci_upper"]], [s - Z * s * se, s + Z * s * se])
    log = kaplan_meier(SEVEN, interval="log", level=0.9).at(8).iloc[0]
    z = 1.6448536269514722
    np.testing.assert_allclose([log["ci_lower"], log["ci_upper"]], [s * np.exp(-z * se), s * np.exp(z * se)])
    assert s * np.exp(z * se) < 1


@pytest.mark.parametrize("interval", ["log-log", "log", "plain"])
def test_a_curve_at_one_or_zero_has_no_interval(interval: str) -> None:
    table = kaplan_meier({"stop": [2, 2, 4], "event": [0, 1, 1]}, interval=interval).tidy()
    assert table["retention"].tolist() == pytest.approx([1, 2 / 3, 0])
    assert table["ci_lower"].isna().tolist() == [True, False, True]
    assert table["ci_upper"].isna().tolist() == [True, False, True]
    assert table["se"].isna().tolist() == [False, False, True]


def test_seven_customers_restricted_mean() -> None:
    # 3·1 + 2·6/7 + 3·5/7 + 2·15/28; areas to the right of 3, 5, 8: 69/14, 45/14, 15/14
    table = rmst(SEVEN, 10).tidy()
    areas = np.array([69 / 14, 45 / 14, 15 / 14])
    variance = areas**2 @ [1 / 42, 1 / 30, 1 / 12]
    np.testing.assert_allclose(table["rmst"], 111 / 14, rtol=1e-14)
    np.testing.assert_allclose(table["se"], np.sqrt(variance), rtol=1e-14)
    np.testing.assert_allclose(table["ci_upper"], 111 / 14 + Z * np.sqrt(variance), rtol=1e-14)
    assert list(table.columns) == ["by", "horizon", "rmst", "se", "ci_lower", "ci_upper"]


def test_seven_customers_quantiles() -> None:
    # The curve is 15/28 from 8 and 15/56 from 12: the median is 12, and nobody knows when three quarters are gone.
    table = kaplan_meier(SEVEN).quantile([0.1, 0.5, 0.75])
    np.testing.assert_array_equal(table["tenure"], [3, 12, np.nan])
    assert kaplan_meier(LATE.assign(start=LATE["start"] + 1, stop=LATE["stop"] + 1), start="start").quantile(0)[
        "tenure"
    ].tolist() == [1]  # nobody has churned at the smallest entry
    flat = kaplan_meier({"stop": [1, 2, 3, 4], "event": [1, 1, 1, 1]}).quantile(0.5)
    assert flat["tenure"].tolist() == [2.5]  # exactly one half from 2 to 3: the middle, as R has it


def test_seven_customers_late_entry() -> None:
    table = kaplan_meier(LATE, start="start").tidy()
    assert table["tenure"].tolist() == [0, 2, 3, 4, 5, 6, 9]
    assert table["at_risk"].tolist() == [0, 3, 3, 5, 4, 4, 2]
    assert table["entered"].tolist() == [3, 1, 2, 0, 1, 0, 0]
    assert table["censored"].tolist() == [0, 1, 0, 0, 0, 1, 1]
    expected = [1, 1, 1, F(4, 5), F(3, 5), F(9, 20), F(9, 40)]
    np.testing.assert_allclose(table["retention"], [float(s) for s in expected], rtol=1e-15)


def test_numbers_at_risk_under_a_figure_count_who_enters_then() -> None:
    curves = kaplan_meier(LATE, start="start")
    assert curves.numbers_at_risk([-1, 0, 1, 2, 3, 5, 6, 9, 20])["at_risk"].tolist() == [0, 3, 3, 3, 5, 4, 2, 0, 0]
    assert curves.at([0, 1, 2, 3, 5, 6, 9, 20])["at_risk"].tolist() == [0, 3, 3, 3, 4, 4, 2, 0]


def test_a_curve_starts_at_its_smallest_entry_and_ends_at_its_last_exit() -> None:
    late = {"start": [10, 12], "stop": [15, 20], "event": [1, 0]}
    curves = kaplan_meier(late, start="start")
    at = curves.at([5, 10, 14.5, 15, 20, 21])
    np.testing.assert_array_equal(at["retention"], [np.nan, 1, 1, 0.5, 0.5, np.nan])
    area = curves.rmst(20)
    assert area["rmst"].tolist() == [5 + 5 * 0.5]  # from 10, not from 0
    beyond, before = rmst(late, 21, start="start"), rmst(late, 9, start="start")
    assert np.isnan(beyond.tidy().loc[0, "rmst"])
    assert np.isnan(before.tidy().loc[0, "se"])
    assert [finding.id for finding in beyond.findings + before.findings] == ["horizon-out-of-range"] * 2
    assert "beyond the last exit 20" in beyond.findings[0].message


def test_a_risk_set_that_empties_and_refills_ends_the_curve() -> None:
    hole = {"start": [0, 0, 7, 7], "stop": [3, 4, 9, 10], "event": [1, 0, 1, 0]}
    curves = kaplan_meier(hole, start="start")
    table = curves.tidy()
    assert table["tenure"].tolist() == [0, 3, 4, 7, 9, 10]
    np.testing.assert_array_equal(table["retention"], [1, 0.5, 0.5, np.nan, np.nan, np.nan])
    assert table["at_risk"].tolist() == [0, 2, 1, 0, 2, 1]
    (finding,) = curves.findings
    assert (finding.id, finding.severity, finding.figure) == ("risk-set-empties", "warning", "4 to 7")
    assert curves.at([4, 5, 9])["retention"].isna().tolist() == [False, True, True]
    assert curves.quantile(0.9)["tenure"].isna().all()
    assert np.isnan(curves.rmst(9)["rmst"][0])


def test_a_curve_that_falls_to_zero_while_others_are_there_is_said() -> None:
    curves = kaplan_meier({"start": [0, 2, 2], "stop": [3, 9, 9], "event": [1, 1, 0]}, start="start")
    assert curves.findings == ()
    dropped = kaplan_meier({"start": [0, 3, 3], "stop": [3, 9, 9], "event": [1, 1, 0]}, start="start")
    assert dropped.tidy()["retention"].tolist() == [1, 0, 0]  # as R says
    assert [finding.id for finding in dropped.findings] == ["risk-set-empties"]


def test_cuts_are_neither_entry_nor_censoring_and_gaps_are_both() -> None:
    rows = pd.DataFrame(
        {"id": ["x", "x", "x", "y"], "start": [0, 4, 7, 0], "stop": [4, 6, 9, 8], "event": [0, 0, 1, 0]}
    )
    curves = kaplan_meier(rows, start="start", customer="id")
    table = curves.tidy()
    assert table["tenure"].tolist() == [0, 6, 7, 8, 9]
    assert table["entered"].tolist() == [2, 0, 1, 0, 0]
    assert table["censored"].tolist() == [0, 1, 0, 1, 0]
    assert table["at_risk"].tolist() == [0, 2, 1, 2, 1]
    assert [finding.id for finding in curves.findings] == ["gaps"]
    blind = kaplan_meier(rows, start="start").tidy()  # without customer every row is its own
    assert blind["tenure"].tolist() == [0, 4, 6, 7, 8, 9]
    assert blind["entered"].sum() == 4


def test_who_changes_group_leaves_one_and_enters_the_other() -> None:
    rows = {"id": [1, 1, 2], "start": [0, 5, 0], "stop": [5, 9, 7], "event": [0, 1, 1], "plan": ["pro", "free", "pro"]}
    table = kaplan_meier(rows, start="start", by="plan", customer="id").tidy()
    assert table["by"].tolist() == ["free", "free", "pro", "pro", "pro"]
    assert table["entered"].tolist() == [1, 0, 2, 0, 0]
    assert table["censored"].tolist() == [0, 0, 0, 1, 0]
    assert table["at_risk"].tolist() == [0, 1, 0, 2, 1]


def test_seven_customers_logrank() -> None:
    # a leaves at 3 (event), 5, 10, 12; b at 5, 8, 12 (events). Events in b against expectation and variance:
    # t = 3: n 7, b 3;  t = 5: n 6, b 3;  t = 8: n 4, b 2;  t = 12: n 2, b 1; one event each
    shares = [F(3, 7), F(1, 2), F(1, 2), F(1, 2)]
    excess = 3 - sum(shares)
    variance = sum(share * (1 - share) for share in shares)
    result = rank_test(SEVEN, by="plan", pairwise="holm", trend=True)
    table = result.tidy()
    assert list(table.columns) == ["test", "cohort_a", "cohort_b", "statistic", "df", "p", "p_adjusted"]
    assert table["test"].tolist() == ["logrank", "trend", "pairwise"]
    np.testing.assert_allclose(table["statistic"], [float(excess**2 / variance)] * 3, rtol=1e-12)
    assert table["df"].tolist() == [1, 1, 1]
    assert table.loc[2, ["cohort_a", "cohort_b"]].tolist() == ["a", "b"]
    assert table["p_adjusted"].isna().tolist() == [True, True, False]
    assert result.groups()["observed"].tolist() == [1, 3]
    np.testing.assert_allclose(result.groups()["expected"], [4 - float(sum(shares)), float(sum(shares))], rtol=1e-14)


def test_pairs_without_events_are_na_and_holm_skips_them() -> None:
    data = {"stop": [2, 4, 5, 6, 7, 8], "event": [0, 0, 0, 0, 1, 1], "g": [1, 1, 2, 2, 10, 10]}
    table = rank_test(data, by="g", pairwise="holm").tidy()
    assert table["cohort_a"].tolist()[1:] == [1, 1, 2]  # numbers by value: 1, 2, 10
    assert table["cohort_b"].tolist()[1:] == [2, 10, 10]
    assert table["p"].isna().tolist() == [True] * 4  # the two events are when nobody of another group is at risk
    np.testing.assert_allclose(
        holm(np.array([0.01, np.nan, 0.04, 0.03, 0.5])), [0.04, np.nan, 0.09, 0.09, 0.5], rtol=1e-14
    )


def test_groups_that_never_meet_are_a_finding() -> None:
    data = {
        "start": [0, 0, 0, 0, 50, 50],
        "stop": [3, 4, 5, 6, 60, 61],
        "event": [1, 0, 1, 1, 1, 1],
        "g": ["a", "a", "b", "b", "c", "c"],
    }
    result = rank_test(data, by="g", start="start")
    assert result.tests[0].df == 1
    assert [finding.id for finding in result.findings] == ["groups-not-compared"]
    two = rank_test({key: values[:4] for key, values in data.items()}, by="g", start="start")
    np.testing.assert_allclose(result.tests[0].statistic, two.tests[0].statistic, rtol=1e-12)
    assert two.findings == ()


def test_order_of_the_groups() -> None:
    given = kaplan_meier(SEVEN, by="plan", order=["b", "not there", "a"])
    assert given.groups == ["b", "a"]
    assert kaplan_meier(SEVEN.assign(plan=pd.Categorical(SEVEN["plan"], ["b", "a"])), by="plan").groups == ["b", "a"]
    assert kaplan_meier(SEVEN.assign(plan=[10, 9, 10, 9, 10, 9, 100]), by="plan").groups == [9, 10, 100]
    both = kaplan_meier(SEVEN.assign(year=[1, 1, 1, 1, 2, 2, 2]), by=["year", "plan"])
    assert both.groups == ["1, a", "1, b", "2, a", "2, b"]
    with pytest.raises(ArgumentError, match=r"order must name every group.*'a'"):
        kaplan_meier(SEVEN, by="plan", order=["b"])


def test_the_trend_follows_the_order() -> None:
    data = SEVEN.assign(plan=["x", "z", "y", "z", "x", "y", "z"])
    plain = rank_test(data, by="plan", trend=True).tidy()["statistic"]
    turned = rank_test(data, by="plan", trend=True, order=["y", "x", "z"]).tidy()["statistic"]
    np.testing.assert_allclose(plain[0], turned[0], rtol=1e-12)
    assert abs(plain[1] - turned[1]) > 0.01


def test_stratified_logrank_adds_up_the_strata() -> None:
    one, two = SEVEN.assign(s=1), SEVEN.assign(s=2, plan=list("bbabaab"), stop=SEVEN["stop"] + 1)
    both = pd.concat([one, two])
    parts = [rank_test(part, by="plan").groups() for part in (one, two)]
    result = rank_test(both, by="plan", strata="s")
    np.testing.assert_allclose(result.expected, parts[0]["expected"] + parts[1]["expected"], rtol=1e-14)
    assert abs(result.tests[0].statistic - rank_test(both, by="plan").tests[0].statistic) > 1e-3


def test_what_cannot_be_asked_says_what_can() -> None:
    with pytest.raises(ArgumentError, match=r"weighting must be one of 'logrank', .*; got 'wilcoxon'"):
        rank_test(SEVEN, by="plan", weighting="wilcoxon")
    with pytest.raises(ArgumentError, match=r"pairwise must be one of 'holm', 'bh', .*; got 'tukey'"):
        rank_test(SEVEN, by="plan", pairwise="tukey")
    with pytest.raises(ArgumentError, match="has only \\['a'\\]"):
        rank_test(SEVEN.assign(plan="a"), by="plan")
    with pytest.raises(ArgumentError, match="in `by`"):
        rank_test(SEVEN)
    with pytest.raises(ArgumentError, match="both by and strata"):
        rank_test(SEVEN, by="plan", strata="plan")
    with pytest.raises(ArgumentError, match=r"interval must be one of 'log-log', 'log', 'plain', .*; got 'loglog'"):
        kaplan_meier(SEVEN, interval="loglog")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="level must be a share between 0 and 1"):
        kaplan_meier(SEVEN, level=95)
    with pytest.raises(ArgumentError, match="horizon must be a finite tenure"):
        rmst(SEVEN, float("inf"))
    with pytest.raises(ArgumentError, match="p must be shares"):
        kaplan_meier(SEVEN).quantile(50)
    with pytest.raises(ArgumentError, match="tenures must be finite"):
        kaplan_meier(SEVEN).at([1, np.nan])


def test_flows_are_taken_as_they_are() -> None:
    flows = flows_of(episode_arrays(SEVEN, "stop", "event", keep=["plan"]), ["plan"])
    pd.testing.assert_frame_equal(kaplan_meier(flows, by="plan").tidy(), kaplan_meier(SEVEN, by="plan").tidy())
    pd.testing.assert_frame_equal(kaplan_meier(flows).tidy(), kaplan_meier(SEVEN).tidy())
    with pytest.raises(ArgumentError, match=r"'country' is no column of the flows' patterns \(there: plan\)"):
        kaplan_meier(flows, by="country")
    with pytest.raises(ArgumentError, match="flows already hold"):
        kaplan_meier(flows, weights="w")


def test_flows_that_are_no_history_are_refused() -> None:
    def flows(entered: list[float], exited: list[float]) -> Flows:
        one, zero = np.array(entered), np.zeros(2)
        return Flows(
            np.array([0.0, 5.0]), np.zeros(2, np.intp), one, np.array(exited), zero, zero.copy(), one.copy(),
            np.array(exited), pd.DataFrame(index=range(1)), 1, 1,
        )  # fmt: skip

    with pytest.raises(StructureError, match="more leave than entered before"):
        kaplan_meier(flows([0.0, 1.0], [1.0, 0.0]))
    with pytest.raises(ConservationError):
        flows([1.0, 0.0], [0.0, 2.0])


def test_seven_customers_hazard() -> None:
    table = hazard(SEVEN).tidy()
    np.testing.assert_allclose(table["hazard"], [0, 1 / 7, 1 / 6, 1 / 4, 0, 1 / 2], rtol=1e-15)
    np.testing.assert_allclose(table["cumulative_hazard"][3], 1 / 7 + 1 / 6 + 1 / 4, rtol=1e-15)
    se = np.sqrt(1 / 49 + 1 / 36 + 1 / 16)
    np.testing.assert_allclose(table["se"][3], se, rtol=1e-14)
    total = 1 / 7 + 1 / 6 + 1 / 4
    np.testing.assert_allclose(table["ci_upper"][3], total * np.exp(Z * se / total), rtol=1e-14)
    assert np.isnan(table["ci_lower"][0])
    plain = hazard(SEVEN, interval="plain").tidy()
    np.testing.assert_allclose(plain["ci_upper"][3], total + Z * se, rtol=1e-14)


def test_a_tail_of_few_keeps_its_digits() -> None:
    random = np.random.default_rng(11)
    weight, stop = random.random(20_000) * 1e3, random.permutation(20_000) + 1.0
    weight[np.argmax(stop)] = 1e-3
    table = kaplan_meier({"stop": stop, "event": random.random(20_000) < 0.5, "w": weight}, weights="w").tidy()
    np.testing.assert_allclose(table["at_risk"].iloc[-1], 1e-3, rtol=1e-13)  # 1e7 went before it
    np.testing.assert_allclose(table["at_risk"].iloc[1], weight.sum(), rtol=1e-13)


def test_tenures_that_are_none_are_refused_in_words() -> None:
    rows = pd.DataFrame({"stop": [10, 20, 30, 40], "event": [1, 0, 1, 0]})
    curves = kaplan_meier(rows)
    for call in (curves.at, curves.numbers_at_risk, curves.equality):
        with pytest.raises(ArgumentError, match=r"tenures must be finite numbers, such as \[30, 90\]; got 'a'"):
            call("a")
    with pytest.raises(ArgumentError, match="p must be shares between 0 and 1, such as 0.5 for the median; got 'a'"):
        curves.quantile("a")
    for wrong in ("a", [10, 20], None, float("inf")):
        with pytest.raises(ArgumentError, match="tenure must be one finite number, such as 90; got"):
            curves.given(wrong)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="until must be one finite number"):
        curves.given(10, until="a")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="until must not be before the tenure that is given, 20; got 10"):
        curves.given(20, until=10)
    with pytest.raises(ArgumentError, match="horizon must be one finite number"):
        curves.mean_residual([10], [20, 30])  # type: ignore[arg-type]
    assert curves.given(20, until=30)["retention"].tolist() == [1.0, 0.5]


def test_nobody_is_known_beyond_the_data() -> None:
    rows = pd.DataFrame({"stop": [10, 20, 30, 60, 60], "event": [1, 1, 1, 1, 1], "plan": list("aaabb")})
    curves = kaplan_meier(rows, by="plan")
    assert curves.given(40)["by"].unique().tolist() == ["b"], "one group's curve has ended, the other's has not"
    with pytest.raises(
        ArgumentError, match="nobody is known to be here at tenure 500: retention is known from tenure 0 to 60"
    ):
        curves.given(500)
    with pytest.raises(ArgumentError, match="nobody is known to be here at tenure 60: retention is 0 there"):
        curves.given(60)
