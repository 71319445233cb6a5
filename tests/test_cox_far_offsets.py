"""Offsets far apart along a covariate, and strata whose risks differ by 1e12: R's figures of the data without them, moved.

R's own coxph calls a flag with an offset of -30 singular (NA). An offset of c times a covariate moves its coefficient by -c, and a
constant one of a stratum moves nothing; so the references are those of `cox_inference.R`, which R reaches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_cox_inference import REFERENCE, assert_close, fit, frame

from survival.errors import ArgumentError, CollinearityError
from survival.estimate.cox import cox, cox_univariable
from survival.flows.frames import episode_arrays, flows_of


@pytest.mark.parametrize("apart", [-25.0, -30.0, 60.0, -500.0])
@pytest.mark.parametrize("name", list(REFERENCE["offsets"]))
def test_an_offset_along_a_flag_moves_its_coefficient(name: str, apart: float) -> None:
    case = REFERENCE["offsets"][name]
    options: dict[str, Any] = {
        "ties": case["ties"][0], "strata": "region" if case["strata"][0] else (),
        "weights": "weight" if case["weighted"][0] else None, "robust": case["robust"][0],
    }  # fmt: skip
    data = frame().assign(known=lambda f: f["known"] + apart * f["flag"])
    ours = fit("usage + flag + plan", data, offset="known", **options)
    near = 1e-8 + 1e-13 * abs(apart)  # of digits: a number holds 16
    assert_close(ours.coefficients + apart * np.array([0, 1, 0, 0]), case["coef"], near)
    assert_close(ours.variance, case["var"], near)
    assert_close(ours.log_likelihood, case["loglik"][1], 1e-11 + 1e-14 * abs(apart))
    assert_close(ours.residuals("martingale")["martingale"], case["martingale"], 100 * near)
    row = pd.DataFrame({"usage": [0.3], "flag": [1], "plan": ["pro"], "known": [0.7 + apart], "region": ["north"]})
    curve, theirs = ours.predict_survival(row, case["prediction"]["time"]), case["prediction"]
    assert_close(curve["survival"], theirs["surv"], 100 * near)
    assert_close(curve["se"], theirs["se"], 100 * near)


@pytest.mark.parametrize("apart", [1e6, -1e6])
def test_a_million_along_a_flag(apart: float) -> None:
    """While both values of the flag are at risk there is a log likelihood of no effects; else the offsets are refused, by name."""
    data = frame()[["stop", "event", "usage", "flag"]]
    last = data.groupby("flag")["stop"].max().min()
    data = data.assign(o=lambda f: apart * f["flag"], event=lambda f: f["event"] * (f["stop"] <= last))
    plain, moved = (cox(data, "usage + flag", offset=offset) for offset in (None, "o"))
    assert_close(np.add(moved.coefficients, [0, apart]), plain.coefficients, 3e-5)  # 11 digits of the million
    assert_close(moved.variance, plain.variance, 3e-5)
    with pytest.raises(ArgumentError, match="extreme offsets"):
        cox(data.assign(o=apart * data["usage"]), "usage + flag", offset="o")


def test_alone_from_flows_and_with_exact_ties() -> None:
    data = frame().assign(o=lambda f: -40.0 * (f["plan"] == "pro"))
    plain = fit("flag + plan", robust=False)
    arrays = episode_arrays(data, "stop", "event", "start", customer="customer", keep=["flag", "plan", "o"])
    flows = cox(flows_of(arrays, ["flag", "plan", "o"]), "flag + plan", offset="o")
    assert_close(flows.coefficients, np.add(plain.coefficients, [0, 40, 0]), 1e-9)
    alone = cox_univariable(data, "flag + plan", offset="o", start="start", customer="customer", robust=False)
    assert_close(alone["plan"].coefficients, np.add(fit("plan").coefficients, [40, 0]), 1e-9)
    exact = fit("flag + plan", data, offset="o", ties="exact")
    assert_close(exact.coefficients, np.add(fit("flag + plan", ties="exact").coefficients, [0, 40, 0]), 1e-9)


def test_what_offsets_leave_unseen_is_said() -> None:
    """`late` is seen only where a hundred log risks lie between it and who leaves: not separation, and not a constant covariate."""
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"x": rng.normal(size=80), "far": np.repeat([0.0, -200.0], 40), "event": np.repeat([1, 0], 40)})
    data["late"], data["stop"] = (data["far"] < 0) * rng.integers(0, 2, 80), rng.permutation(80) + 1.0
    with pytest.raises(
        CollinearityError, match=r"'late': the offsets of customers who are compared differ by up to 200"
    ):
        cox(data, "x + late", offset="far", penalizer=[0.0, 0.0])
    dropped = cox(data, "x + late", offset="far", not_estimable="drop")
    assert np.isnan(dropped.coefficients[1])
    assert_close(dropped.coefficients[0], cox(data, "x", offset="far").coefficients[0])


def test_a_stratum_of_small_hazards_after_one_of_large_ones_keeps_its_digits() -> None:
    case = REFERENCE["offsets"]["efron_strata_weights"]
    data = frame().assign(  # south first, with a baseline hazard 1e12 times as large
        region=lambda f: f["region"].replace("south", "a south"),
        known=lambda f: f["known"] - np.log(1e12) * (f["region"] == "a south"),
    )
    ours = fit("usage + flag + plan", data, offset="known", strata="region", weights="weight", robust=True)
    hazard = ours.baseline().groupby("stratum")["hazard"].max()
    assert hazard["a south"] > 1e11 * hazard["north"]
    row = pd.DataFrame({"usage": [0.3], "flag": [1], "plan": ["pro"], "known": [0.7], "region": ["north"]})
    curve, theirs = ours.predict_survival(row, case["prediction"]["time"]), case["prediction"]
    assert_close(curve["survival"], theirs["surv"])
    assert_close(curve["se"], theirs["se"])
    assert_close(curve["ci_lower"], theirs["lower"])


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_a_penalised_maximum_far_from_0(l1_ratio: float) -> None:
    """The score there, of the sum of its residuals, is the slope of the penalty on the standardised coefficients."""
    data = frame().assign(o=lambda f: -60.0 * f["flag"])
    ours = fit("usage + flag", data, offset="o", penalizer=0.01, l1_ratio=l1_ratio, robust=False)
    assert abs(ours.coefficients[1]) > 5
    score = ours.residuals("score", by="episode")[["usage", "flag"]].sum().to_numpy()
    spread = data[["usage", "flag"]].std().to_numpy()
    size = ours.coefficients * spread
    slope = 0.01 * len(data) * spread * (l1_ratio * np.sign(size) + (1 - l1_ratio) * size)
    np.testing.assert_allclose(score, slope, rtol=1e-6, atol=1e-6)
