"""Intervals, bands, differences, weighted tests, robust variances and hazards against R (tests/references/curves2.R)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from survival.estimate.crossing import equal_precision_critical, hall_wellner_critical
from survival.estimate.hazard import hazard
from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.landmark import landmark
from survival.estimate.permutation import permutation_test
from survival.estimate.piecewise import piecewise_hazard
from survival.estimate.rank_tests import rank_test
from survival.estimate.revenue import revenue_retention
from survival.estimate.rmst import rmst

R = json.loads((Path(__file__).parent / "references" / "curves2.json").read_text())
LATE, EARLY, SEVERAL = (pd.DataFrame(R[name]) for name in ("late", "early", "several"))
CLOSE = {"rtol": 1e-10, "atol": 1e-13}  # the same sums in another order


def numbers(values: list[Any]) -> np.ndarray:
    return np.array(values, float)


@pytest.mark.parametrize("interval", ["log-log", "log", "plain", "logit", "arcsin"])
def test_intervals_and_quantiles_equal_survfit(interval: Any) -> None:
    expected = R["intervals"][interval]
    curves = kaplan_meier(LATE, start="start", interval=interval)
    at = curves.at(numbers(expected["time"]))
    inside = numbers(expected["surv"]) < 1  # R gives [1, 1] at 1
    for ours, theirs in (("ci_lower", "lower"), ("ci_upper", "upper")):
        np.testing.assert_allclose(at[ours][inside], numbers(expected[theirs])[inside], **CLOSE)
    quantiles = curves.quantile([0.1, 0.25, 0.5])
    for ours, theirs in (("tenure", "quantile"), ("ci_lower", "q.lower"), ("ci_upper", "q.upper")):
        np.testing.assert_allclose(quantiles[ours], numbers(expected[theirs]), **CLOSE)


@pytest.mark.parametrize("group", ["a", "b"])
def test_robust_variances_equal_survfit_robust(group: str) -> None:
    expected = R["robust"][group]
    data = SEVERAL[SEVERAL["group"] == group]
    both = revenue_retention(data, "weight", start="start", customer="customer")
    times = numbers(expected["time"])
    at = both.revenue.at(times)
    known = numbers(expected["surv"]) > 0
    inside = known & (numbers(expected["surv"]) < 1)
    np.testing.assert_allclose(at["retention"], numbers(expected["surv"]), **CLOSE)
    np.testing.assert_allclose(at["se"][known], numbers(expected["se"])[known], **CLOSE)
    weighted = kaplan_meier(data, start="start", weights="weight", customer="customer", robust=True).at(times)
    np.testing.assert_allclose(weighted["ci_lower"][inside], numbers(expected["lower"])[inside], **CLOSE)
    np.testing.assert_allclose(weighted["ci_upper"][inside], numbers(expected["upper"])[inside], **CLOSE)
    # Revenue knows that its variance rests on a few: wider than R's on both sides.
    assert (at["ci_lower"][inside] < weighted["ci_lower"][inside]).all()
    assert (at["ci_upper"][inside] > weighted["ci_upper"][inside]).all()
    np.testing.assert_allclose(both.customers.at(times)["se"][known], numbers(expected["customers.se"])[known], **CLOSE)
    difference = both.differences(times)
    np.testing.assert_allclose(difference["se"][known], numbers(expected["difference.se"])[known], rtol=1e-8)
    means = rmst(data, 12, start="start", customer="customer", weights="weight").means[0]
    np.testing.assert_allclose([means.mean, means.se], [expected["rmst"][0], expected["rmst.se"][0]], **CLOSE)


def test_conditional_retention_equals_survfit_from_a_start_time() -> None:
    expected = R["conditional"]
    given = kaplan_meier(LATE, start="start").given(expected["given"][0])
    assert given.loc[0, ["tenure", "retention"]].tolist() == [5, 1]
    rows = given.set_index("tenure").loc[numbers(expected["time"])]
    inside = numbers(expected["surv"]) < 1
    np.testing.assert_allclose(rows["retention"], numbers(expected["surv"]), **CLOSE)
    np.testing.assert_allclose(rows["se"], numbers(expected["se"]), **CLOSE)
    np.testing.assert_allclose(rows["ci_lower"][inside], numbers(expected["lower"])[inside], **CLOSE)
    np.testing.assert_allclose(rows["ci_upper"][inside], numbers(expected["upper"])[inside], **CLOSE)
    residual = kaplan_meier(LATE, start="start").mean_residual(5, expected["horizon"][0]).iloc[0]
    np.testing.assert_allclose(residual["mean_residual"], expected["residual"][0], **CLOSE)
    np.testing.assert_allclose(residual["se"], expected["residual.se"][0], **CLOSE)
    present = landmark(LATE, 5, start="start", present_only=True, clock="continue")
    at = kaplan_meier(present, start="start").at(numbers(expected["present.time"]))
    np.testing.assert_allclose(at["retention"], numbers(expected["present.surv"]), **CLOSE)


def test_differences_at_fixed_tenures() -> None:
    expected = R["differences"]
    at = numbers(expected["at"])
    plain = kaplan_meier(LATE, start="start", by="group", interval="plain").differences(at).tidy()
    loglog = kaplan_meier(LATE, start="start", by="group").differences(at, adjust="bh").tidy()
    for number, pair in enumerate(expected["pairs"]):
        for table, names in (
            (plain, {"difference": "difference", "se": "se", "ci_lower": "lower", "ci_upper": "upper", "z": "z.plain"}),
            (loglog, {"ci_lower": "mover.lower", "ci_upper": "mover.upper", "z": "z.loglog"}),
        ):
            rows = table.iloc[3 * number : 3 * number + 3]
            assert rows["cohort_a"].tolist() + rows["cohort_b"].tolist() == pair["a"] * 3 + pair["b"] * 3
            for ours, theirs in names.items():
                np.testing.assert_allclose(rows[ours], numbers(pair[theirs]), **CLOSE)
    equal = kaplan_meier(LATE, start="start", by="group").equality(at)
    np.testing.assert_allclose(equal["statistic"], numbers(expected["statistic"]), rtol=1e-9)
    np.testing.assert_allclose(equal["p"], numbers(expected["p"]), rtol=1e-9)
    assert equal["df"].tolist() == [2, 2, 2]


@pytest.mark.parametrize("adjust", ["holm", "bh"])
def test_restricted_means_compared_as_survrm2_does(adjust: str) -> None:
    expected = R["rmst"]
    table = rmst(LATE, expected["horizon"][0], start="start", by="group").differences(adjust).tidy()
    names = {"difference": "difference", "se": "se", "p": "p", "ratio": "ratio", "ratio_lower": "ratio.lower"}
    for ours, theirs in {**names, "ratio_upper": "ratio.upper", "ratio_p": "ratio.p"}.items():
        np.testing.assert_allclose(table[ours], [pair[theirs][0] for pair in expected["pairs"]], **CLOSE)
    np.testing.assert_allclose(table["p_adjusted"], numbers(expected[adjust]), **CLOSE)


CASES = {"late": (LATE, "start", "strata"), "early": (EARLY, None, "strata"), "unstratified": (LATE, "start", None)}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("weighting", R["tests"]["late"])
def test_weighted_rank_tests(case: str, weighting: str) -> None:
    expected, (data, start, strata) = R["tests"][case][weighting], CASES[case]
    tables = {
        adjust: rank_test(
            data, start=start, by="group", strata=strata, weighting=weighting, trend=True, pairwise=adjust
        ).tidy()
        for adjust in ("holm", "bh")
    }
    table = tables["holm"]
    tight = {"rtol": 1e-8}  # a solved system on each side
    assert table["test"].tolist() == [weighting, "trend", *["pairwise"] * 3]
    np.testing.assert_allclose(table.loc[0, ["statistic", "p"]].astype(float), numbers(expected["test"]), **tight)
    np.testing.assert_allclose(table.loc[1, ["statistic", "p"]].astype(float), numbers(expected["trend"]), **tight)
    np.testing.assert_allclose(table["statistic"][2:], numbers(expected["pairs"]), **tight)
    np.testing.assert_allclose(table["p"][2:], numbers(expected["pairs.p"]), **tight)
    for adjust, made in tables.items():
        np.testing.assert_allclose(made["p_adjusted"][2:], numbers(expected[adjust]), **tight)


@pytest.mark.parametrize(("case", "pair"), [("late", "ab"), ("early", "ab"), ("ac", "ac")])
def test_max_combo_equals_the_multivariate_normal_integral(case: str, pair: str) -> None:
    expected = R["combo"][case]
    data = (LATE if case == "late" else EARLY)[lambda d: d["group"].isin(list(pair))]
    result = rank_test(
        data, start="start" if case == "late" else None, by="group", strata="strata", weighting="max-combo"
    )
    z = np.array([value[0] for value in expected["z"].values()])
    assert result.components()["test"].tolist() == list(expected["z"])
    np.testing.assert_allclose(result.components()["statistic"], z**2, rtol=1e-9)
    np.testing.assert_allclose(result.tests[0].statistic, (z**2).max(), rtol=1e-9)
    assert result.tests[0].p == pytest.approx(expected["p"][0], abs=2e-6)  # Genz's error estimate is below 1e-7


def test_max_combo_of_three_groups() -> None:
    result = rank_test(LATE, start="start", by="group", strata="strata", weighting="max-combo")
    expected = R["combo"]["three"]
    np.testing.assert_allclose(result.components()["statistic"], numbers(expected["statistic"]), rtol=1e-8)
    assert result.tests[0].df == 2
    assert result.tests[0].p == pytest.approx(expected["p"][0], abs=2e-3)  # R's has 400,000 draws


def test_exact_permutation_equals_coin() -> None:
    result = permutation_test(pd.DataFrame(R["permutation"]["data"]), by="group").tests[0]
    assert (result.exact, result.arrangements) == (True, 1716)
    np.testing.assert_allclose(result.p, R["permutation"]["p"][0], rtol=1e-12)


def test_critical_values_equal_those_of_other_methods_and_of_printed_tables() -> None:
    expected = R["critical"]
    for number, (low, high) in enumerate(zip(expected["low"], expected["high"])):
        assert hall_wellner_critical(0.95, low, high) == pytest.approx(expected["hall"][number], abs=1e-8)
        assert equal_precision_critical(0.95, low, high) == pytest.approx(expected["equal"][number], abs=1e-8)
    assert hall_wellner_critical(0.95, 0.0, 0.5) == pytest.approx(expected["hall.from.0"][0], abs=1e-8)
    assert hall_wellner_critical(0.99, 0.1, 0.6) == pytest.approx(expected["hall.99"][0], abs=1e-8)
    assert equal_precision_critical(0.99, 0.1, 0.6) == pytest.approx(expected["equal.99"][0], abs=1e-8)
    for high, printed in zip(expected["table.hall.high"], expected["table.hall"]):
        assert hall_wellner_critical(0.95, 0.0, high) == pytest.approx(printed, abs=6e-5)  # four decimals
    for high, printed in zip(expected["table.equal.high"], expected["table.equal"]):
        # Nair's table holds an approximation of the tail, which is 0.2 % off here; ours is the value itself.
        assert equal_precision_critical(0.95, 0.1, high) == pytest.approx(printed, rel=3e-3)


def test_simultaneous_bands() -> None:
    expected = R["band"]
    curves = kaplan_meier(EARLY[EARLY["group"] == "a"])
    cases = [
        ("hall-wellner", "log-log", "hall.loglog", "time"),
        ("hall-wellner", "plain", "hall.plain", "time"),
        ("equal-precision", "log-log", "equal.loglog", "equal.time"),
    ]
    for kind, interval, name, time in cases:
        made = curves.band(kind, interval=interval).set_index("tenure")  # type: ignore[arg-type]
        rows = made.loc[numbers(expected[time])]
        assert made["critical_value"].iloc[0] == pytest.approx(expected[name.split(".")[0]][0], abs=1e-8)
        np.testing.assert_allclose(rows["band_lower"], numbers(expected[name]["lower"]), rtol=1e-7)
        np.testing.assert_allclose(rows["band_upper"], numbers(expected[name]["upper"]), rtol=1e-7)


def test_piecewise_hazards_equal_pyears_and_poisson_test() -> None:
    expected = R["piecewise"]
    made = piecewise_hazard(LATE, start="start", by="group", cuts=numbers(expected["cuts"])).tidy()
    for group, reference in expected["groups"].items():
        rows = made[made["by"] == group]
        np.testing.assert_allclose(rows["events"], numbers(reference["events"]), **CLOSE)
        np.testing.assert_allclose(rows["person_time"], numbers(reference["time"]), **CLOSE)
        np.testing.assert_allclose(rows["hazard"], numbers(reference["events"]) / numbers(reference["time"]), **CLOSE)
        np.testing.assert_allclose(rows["ci_lower"], numbers(reference["lower"]), rtol=1e-9)
        np.testing.assert_allclose(rows["ci_upper"], numbers(reference["upper"]), rtol=1e-9)


def test_smoothed_hazard_equals_the_kernels_of_muhaz() -> None:
    expected = R["smooth"]
    at = numbers(expected["at"])
    made = hazard(LATE, start="start").smooth(bandwidth=expected["bandwidth"][0], at=at, min_at_risk=1)
    np.testing.assert_allclose(made["hazard"], numbers(expected["hazard"]), **CLOSE)
    np.testing.assert_allclose(made["se"], numbers(expected["se"]), **CLOSE)
    np.testing.assert_allclose(made["ci_lower"], numbers(expected["lower"]), rtol=1e-9)
    np.testing.assert_allclose(made["ci_upper"], numbers(expected["upper.limit"]), rtol=1e-9)
