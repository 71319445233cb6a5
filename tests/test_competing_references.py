"""Competing causes, recurrent events and their tests against R (tests/references/competing.R)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from survival.estimate.causes import read_cause
from survival.estimate.cumulative_incidence import cumulative_incidence
from survival.estimate.fine_gray import cox_by_cause, fine_gray, weighted_rows
from survival.estimate.gray_test import gray_test
from survival.estimate.recurrent import mean_cumulative_count, stay_curves

R = json.loads((Path(__file__).parent / "references" / "competing.json").read_text())
CLOSE = {"rtol": 1e-9, "atol": 1e-12}  # R writes 15 digits; both sum in other orders


def data(name: str) -> pd.DataFrame:
    return pd.DataFrame(R["incidence"][name]["data"])


def there(frame: pd.DataFrame, *names: str) -> dict[str, str]:
    roles = {"weight": "weights"}
    return {roles.get(name, name): name for name in names if name in frame}


def numbers(values: Any) -> np.ndarray:
    return np.array(values, float)


@pytest.mark.parametrize("name", R["incidence"])
@pytest.mark.parametrize("interval", ["log-log", "log", "plain"])
def test_incidence_equals_survfit(name: str, interval: str) -> None:
    frame = data(name)
    made = cumulative_incidence(frame, by="group", interval=interval, **there(frame, "start", "weight", "customer"))
    assert made.causes == tuple(sorted({c for c in frame["cause"] if isinstance(c, str)}))
    for group, expected in R["incidence"][name]["curves"].items():
        at = made.at(expected["time"])
        for i, cause in enumerate(expected["causes"]):
            own = at[(at["by"] == group) & (at["cause"] == cause)]
            np.testing.assert_allclose(own["incidence"], numbers(expected["incidence"])[:, i], **CLOSE)
            # R's jackknife is Greenwood's variance when all enter together with weight 1, several rows or not.
            if name in ("late", "weighted"):
                continue
            np.testing.assert_allclose(own["se"], numbers(expected["jackknife"])[:, i], **CLOSE)
            lower, upper = (numbers(expected[interval][side])[:, i] for side in ("lower", "upper"))
            inside = own["ci_lower"].notna().to_numpy()
            assert inside[(own["incidence"] > 0) & (own["incidence"] < 1)].all()
            np.testing.assert_allclose(own["ci_lower"][inside], lower[inside], **CLOSE)
            np.testing.assert_allclose(own["ci_upper"][inside], upper[inside], **CLOSE)


@pytest.mark.parametrize("name", R["incidence"])
def test_variance_equals_the_product_of_matrices(name: str) -> None:
    frame = data(name)
    made = cumulative_incidence(frame, by="group", **there(frame, "start", "weight", "customer"))
    for group, curve in R["incidence"][name]["curves"].items():
        expected = curve["greenwood"]
        at = made.at(expected["time"])
        for i, cause in enumerate(curve["causes"]):
            own = at[(at["by"] == group) & (at["cause"] == cause)]
            np.testing.assert_allclose(own["incidence"], numbers(expected["incidence"])[:, i], **CLOSE)
            np.testing.assert_allclose(own["se"], numbers(expected["se"])[:, i], rtol=1e-8, atol=1e-9)
            if name == "late":  # another estimate of the same error
                jackknife = numbers(curve["jackknife"])[:, i]
                at_r = made.at(curve["time"])
                mine = at_r[(at_r["by"] == group) & (at_r["cause"] == cause)]["se"].to_numpy()
                late = mine > 0.01
                np.testing.assert_allclose(mine[late], jackknife[late], rtol=0.06)


@pytest.mark.parametrize("name", R["gray"])
def test_gray_equals_cmprsk(name: str) -> None:
    frame = data("ties" if name == "strata" else name)
    made = gray_test(frame, by="group", strata="strata" if name == "strata" else None).tidy()
    expected = R["gray"][name]
    np.testing.assert_allclose(made["statistic"], numbers(expected["statistic"]), rtol=1e-9)
    np.testing.assert_allclose(made["p"], numbers(expected["p"]), rtol=1e-8)
    assert made["df"].tolist() == expected["df"]


@pytest.mark.parametrize("name", R["fine_gray"])
def test_fine_gray_equals_finegray_with_coxph(name: str) -> None:
    frame, expected = data(name), R["fine_gray"][name]
    roles, cause = there(frame, "start", "customer"), expected["cause"][0]
    for ties in ("efron", "breslow"):
        made = fine_gray(frame, "x + z", causes=[cause], ties=ties, **roles).tidy()
        for column, key in (("coef", "coef"), ("robust_se", "robust_se"), ("se", "se")):
            np.testing.assert_allclose(made[column], numbers(expected[ties][key]), rtol=1e-7, atol=1e-10)
    assert made["model"].tolist() == ["fine-gray"] * 2
    assert made["cause"].tolist() == [cause] * 2
    if name == "fine":  # at tied times crr counts who is censored on the day of a churn otherwise
        np.testing.assert_allclose(made["coef"], numbers(expected["crr"]["coef"]), rtol=1e-8)
        # crr's variance also knows that the weights are estimated.
        np.testing.assert_allclose(made["robust_se"], numbers(expected["crr"]["se"]), rtol=0.005)


@pytest.mark.parametrize("name", ["ties", "fine", "late", "several"])
def test_weighted_rows_equal_those_of_finegray(name: str) -> None:
    frame, expected = data(name), R["fine_gray"][name]
    roles = there(frame, "start", "customer")
    episodes, said = read_cause(frame, "cause", "stop", "event", roles.get("start"), customer=roles.get("customer"))
    own = (said == expected["cause"][0]).to_numpy() & episodes.event
    rows = weighted_rows(episodes, own, np.zeros(len(frame), np.intp))
    ids = frame["customer"] if "customer" in frame else pd.Series(range(1, len(frame) + 1))
    mine = rows.assign(id=ids.to_numpy()[rows["row"]])[["id", "fg_start", "fg_stop", "fg_event", "fg_weight"]]
    theirs = pd.DataFrame({key: numbers(values) for key, values in expected["rows"].items()})
    np.testing.assert_allclose(
        mine.sort_values(["id", "fg_start"]).to_numpy(float), theirs.sort_values(["id", "start"]).to_numpy(), **CLOSE
    )


def test_cox_by_cause_is_cox_with_the_others_censored() -> None:
    frame = data("mgus")
    made = cox_by_cause(frame, "x + z")
    by_hand = frame.assign(event=(frame["cause"] == "pcm").astype(int)).drop(columns="cause")
    from survival.estimate.cox import cox

    pd.testing.assert_frame_equal(made["pcm"].tidy(), cox(by_hand, "x + z").tidy())
    assert made.tidy()["model"].unique().tolist() == ["cause-specific"]
    assert made.glance()["events"].sum() == frame["event"].sum()


@pytest.mark.parametrize("group", R["recurrent"]["curves"])
def test_mean_count_equals_survfit_clustered(group: str) -> None:
    frame, expected = pd.DataFrame(R["recurrent"]["data"]), R["recurrent"]["curves"][group]
    made = mean_cumulative_count(frame, "customer", start="start", by="group")
    at = made.at(expected["time"])
    own = at[at["by"] == group]
    np.testing.assert_allclose(own["mean_count"], numbers(expected["mean"]), **CLOSE)
    np.testing.assert_allclose(own["se"], numbers(expected["se"]), rtol=1e-8, atol=1e-10)
    tidy = made.tidy()
    tidy = tidy[(tidy["by"] == group) & (tidy["events"] > 0)]
    seen = numbers(expected["events"]) > 0
    assert tidy["events"].tolist() == numbers(expected["events"])[seen].tolist()
    assert tidy["at_risk"].tolist() == numbers(expected["at_risk"])[seen].tolist()


def test_first_stays_on_the_gap_clock_equal_survfit() -> None:
    frame, expected = pd.DataFrame(R["recurrent"]["data"]), R["recurrent"]["gap"]
    made = stay_curves(frame, "customer", "spell", start="start")
    at = made.at(expected["time"])
    own = at[at["by"] == "first stay"]
    np.testing.assert_allclose(own["retention"], numbers(expected["surv"]), **CLOSE)
    inside = own["ci_lower"].notna().to_numpy()
    np.testing.assert_allclose(own["ci_lower"][inside], numbers(expected["lower"])[inside], **CLOSE)
    np.testing.assert_allclose(own["ci_upper"][inside], numbers(expected["upper"])[inside], **CLOSE)
    assert [f.id for f in made.findings] == ["later-stays-selected"]
