"""Curves, quantiles, restricted means, hazards and rank tests against R's survival (tests/references/curves.R)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from survival.estimate.curves import Curves
from survival.estimate.hazard import hazard
from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.rank_tests import rank_test
from survival.estimate.rmst import rmst

CASES = json.loads((Path(__file__).parent / "references" / "curves.json").read_text())
INTERVALS = ("log-log", "log", "plain")
CLOSE = {"rtol": 1e-10, "atol": 1e-13}  # R writes 17 digits; both sum in other orders


def numbers(values: list[Any]) -> np.ndarray:
    return np.array(values, float)


def of(table: pd.DataFrame, group: str) -> pd.DataFrame:
    return table[table["by"] == group]


def arguments(case: dict[str, Any]) -> dict[str, Any]:
    data = pd.DataFrame(case["data"])
    there = set(data.columns)
    return {
        "frame": data,
        "start": "start" if "start" in there else None,
        "by": "group",
        "weights": "weight" if "weight" in there else None,
        "customer": "customer" if "customer" in there else None,
    }


def without_intervals_at_one(retention: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """R gives [1, 1] at 1 for log and plain; we say that a curve at 1 has no interval."""
    return np.where(retention == 1, np.nan, limit)


def fitted(name: str, interval: Any = "log-log") -> Curves:
    return kaplan_meier(**arguments(CASES[name]), interval=interval, robust=False)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("interval", INTERVALS)
def test_curves_equal_survfit(name: str, interval: str) -> None:
    curves = fitted(name, interval)
    tidy = curves.tidy()
    for group, reference in CASES[name]["curves"].items():
        expected = reference[interval]
        times, retention = numbers(expected["time"]), numbers(expected["surv"])
        at = of(curves.at(times), group)
        np.testing.assert_allclose(at["at_risk"], numbers(expected["n.risk"]), **CLOSE)
        np.testing.assert_allclose(at["retention"], retention, **CLOSE)
        np.testing.assert_allclose(at["se"], numbers(expected["se"]), **CLOSE)
        for ours, theirs in (("ci_lower", "lower"), ("ci_upper", "upper")):
            limit = without_intervals_at_one(retention, numbers(expected[theirs]))
            np.testing.assert_allclose(at[ours], limit, **CLOSE)
        own = of(tidy, group)
        churned = numbers(expected["n.event"]) > 0
        np.testing.assert_allclose(own["events"][own["events"] > 0], numbers(expected["n.event"])[churned], **CLOSE)
        left = numbers(expected["n.censor"])
        np.testing.assert_allclose(own["censored"][own["censored"] > 0], left[left > 0], **CLOSE)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("interval", INTERVALS)
def test_quantiles_equal_quantile_survfit(name: str, interval: str) -> None:
    quantiles = fitted(name, interval).quantile(CASES[name]["probs"])
    for group, reference in CASES[name]["curves"].items():
        own, expected = of(quantiles, group), reference[interval]
        for ours, theirs in (("tenure", "quantile"), ("ci_lower", "q.lower"), ("ci_upper", "q.upper")):
            np.testing.assert_allclose(own[ours], numbers(expected[theirs]), **CLOSE)


@pytest.mark.parametrize("name", CASES)
def test_retention_at_fixed_tenures_equals_summary_survfit(name: str) -> None:
    curves = fitted(name)
    for group, reference in CASES[name]["curves"].items():
        expected = reference["at"]
        # summary.survfit knows the curve below the smallest entry and says 1; we say that nothing is known there.
        entry = float(of(curves.tidy(), group)["tenure"].iloc[0])
        known = numbers(expected["time"]) >= entry
        at = of(curves.at(numbers(expected["time"])[known]), group)
        for ours, theirs in (("retention", "surv"), ("se", "se"), ("ci_lower", "lower"), ("ci_upper", "upper")):
            desired = numbers(expected[theirs])[known]
            if ours.startswith("ci"):
                desired = without_intervals_at_one(at["retention"].to_numpy(), desired)
            np.testing.assert_allclose(at[ours], desired, **CLOSE)


@pytest.mark.parametrize("name", CASES)
def test_restricted_means_equal_survmean(name: str) -> None:
    horizon = next(iter(CASES[name]["curves"].values()))["rmean"]["horizon"][0]
    means = rmst(horizon=horizon, **arguments(CASES[name]), robust=False)
    tidy = means.tidy().set_index("by")
    ends = fitted(name).tidy().groupby("by")["tenure"].max()
    checked = 0
    for group, reference in CASES[name]["curves"].items():
        if horizon > ends[group]:
            assert np.isnan(tidy.loc[group, "rmst"])  # R carries the last value on; we do not know
            continue
        checked += 1
        np.testing.assert_allclose(tidy.loc[group, "rmst"], reference["rmean"]["rmst"][0], **CLOSE)
        np.testing.assert_allclose(tidy.loc[group, "se"], reference["rmean"]["se"][0], **CLOSE)
    assert checked > 0


@pytest.mark.parametrize("name", CASES)
def test_cumulative_hazards_equal_survfit(name: str) -> None:
    tidy = hazard(**arguments(CASES[name])).tidy()
    for group, reference in CASES[name]["curves"].items():
        expected, own = reference["log-log"], of(tidy, group)
        row = np.searchsorted(own["tenure"], numbers(expected["time"]) * (1 + 1e-9), side="right") - 1
        np.testing.assert_allclose(own["cumulative_hazard"].to_numpy()[row], numbers(expected["cumhaz"]), **CLOSE)
        np.testing.assert_allclose(own["se"].to_numpy()[row], numbers(expected["std.chaz"]), **CLOSE)


RANKED = [name for name, case in CASES.items() if case["ranks"]]


@pytest.mark.parametrize("name", RANKED)
def test_rank_tests_equal_survdiff_and_the_exact_score_test(name: str) -> None:
    case, options = CASES[name], arguments(CASES[name])
    strata = "strata" if "strata" in case["data"] else None
    result = rank_test(**options, strata=strata, pairwise="holm", trend=True)
    tests, expected = result.tidy(), case["ranks"]
    overall, trend = tests.iloc[0], tests.iloc[1]
    assert [overall["test"], trend["test"]] == ["logrank", "trend"]
    assert overall["df"] == len(case["curves"]) - 1
    tight = {"rtol": 1e-8}  # a solved system on each side
    np.testing.assert_allclose(
        [overall["statistic"], overall["p"]], [expected["statistic"][0], expected["p"][0]], **tight
    )
    np.testing.assert_allclose(
        [trend["statistic"], trend["p"]], [expected["trend"][0], expected["trend_p"][0]], **tight
    )
    pairs = tests[tests["test"] == "pairwise"]
    assert pairs["cohort_a"].tolist() == expected["a"]
    assert pairs["cohort_b"].tolist() == expected["b"]
    np.testing.assert_allclose(pairs["statistic"], numbers(expected["pair_statistic"]), **tight)
    np.testing.assert_allclose(pairs["p"], numbers(expected["pair_p"]), **tight)
    np.testing.assert_allclose(pairs["p_adjusted"], numbers(expected["pair_holm"]), **tight)
    groups = result.groups()
    np.testing.assert_allclose(groups["observed"], numbers(expected["observed"]), **CLOSE)
    np.testing.assert_allclose(groups["expected"], numbers(expected["expected"]), **CLOSE)
