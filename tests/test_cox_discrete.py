"""The discrete-time model equals R's glm(binomial("cloglog")) on one row a person-period, with its observed information."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from survival.errors import ArgumentError, CollinearityError, SeparationError
from survival.estimate.complementary_log_log import DiscreteTime
from survival.estimate.cox import cox, prepare
from survival.estimate.cox_options import checked_options
from survival.estimate.discrete_cox import discrete_cox
from survival.estimate.objectives import Partial
from survival.flows.frames import episode_arrays, flows_of, pattern_codes

HERE = Path(__file__).parent / "references"
REFERENCE = json.loads((HERE / "cox_discrete.json").read_text())["discrete"]
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("usage + flag + plan", {}),
    "weights_strata": ("usage + flag", {"weights": "weight", "strata": "region"}),
    "offset": ("usage + plan", {"offset": "known"}),
}
OPTIONS: dict[str, Any] = {"start": "start", "customer": "customer"}


def frame() -> pd.DataFrame:
    return pd.DataFrame(json.loads((HERE / "cox_inference.json").read_text())["data"])


def assert_close(ours: Any, theirs: Any, tolerance: float = 1e-7) -> None:
    ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * 1e-2 * max(1.0, np.abs(theirs).max()))


@pytest.mark.parametrize("name", list(CASES))
def test_it_is_a_binomial_model_of_person_periods(name: str) -> None:
    formula, options = CASES[name]
    case = REFERENCE[name]
    fit = discrete_cox(frame(), formula, robust=False, **OPTIONS, **options)
    assert_close(fit.coefficients, case["coef"])
    assert_close(fit.variance, case["var"])
    assert_close([fit.log_likelihood_null, fit.log_likelihood], case["loglik"], 1e-11)
    robust = discrete_cox(frame(), formula, **OPTIONS, **options)
    assert robust.options.robust
    assert_close(robust.variance, case["robust"])
    assert_close(robust.tidy()["robust_se"], np.sqrt(np.diag(case["robust"])))
    # The expected information, which glm reports, is another estimate of the same.
    assert_close(fit.tidy()["se"], np.sqrt(np.diag(case["expected_var"])), 0.1)
    periods = fit.baseline()
    key = periods["tenure"].map("{:02.0f}".format)
    key = key if name != "weights_strata" else periods["stratum"] + " " + key
    assert key.tolist() == case["period"]
    assert_close(periods["log_hazard"], case["log_hazard"])
    assert_close(periods["se"], case["log_hazard_se"])
    assert_close(periods["at_risk"], case["at_risk"])
    assert_close(periods["events"], case["events"])
    assert_close(periods["hazard"], -np.expm1(-np.exp(case["log_hazard"])))
    assert fit.person_periods == pytest.approx(sum(case["at_risk"]))


def test_from_flows_and_of_whole_periods() -> None:
    data = frame()
    arrays = episode_arrays(data, "stop", "event", "start", customer="customer", keep=["flag", "plan"])
    codes, patterns = pattern_codes(arrays.columns, ["flag", "plan"], len(arrays))
    flows = discrete_cox(flows_of(arrays, codes=codes, patterns=patterns), "flag + plan")
    episodes = discrete_cox(data, "flag + plan", robust=False, **OPTIONS)
    assert_close(flows.coefficients, episodes.coefficients, 1e-9)
    assert_close(flows.variance, episodes.variance, 1e-8)
    pd.testing.assert_frame_equal(flows.baseline(), episodes.baseline(), rtol=1e-8)
    # A cycle of 30 days, events anywhere in it, censored at its end.
    rng = np.random.default_rng(1)
    early = np.where(data["event"] == 1, rng.uniform(0.1, 29, len(data)), 0.0)
    days = data.assign(start=data["start"] * 30, stop=data["stop"] * 30 - early)
    cycles = discrete_cox(days, "flag + plan", period=30, robust=False, **OPTIONS)
    assert_close(cycles.coefficients, episodes.coefficients, 1e-10)
    assert_close(cycles.log_likelihood, episodes.log_likelihood, 1e-12)
    # Who is cut off within a cycle is not counted in it; a change within a cycle holds at its end.
    longer = pd.concat([days, days.iloc[:5].assign(customer=-1 - np.arange(5), start=3.0, stop=29.0, event=0)])
    assert_close(
        discrete_cox(longer, "flag + plan", period=30, robust=False, **OPTIONS).log_likelihood,
        cycles.log_likelihood,
        1e-12,
    )


def test_it_recovers_the_hazard_ratio_that_ties_hide() -> None:
    """Half leave in every cycle: Breslow is far off, Efron nearer, the discrete-time model right."""
    rng = np.random.default_rng(7)
    n = 20_000
    x = rng.integers(0, 2, n)
    months = rng.exponential(1.2 / np.exp(0.7 * x))
    data = pd.DataFrame({"stop": np.minimum(np.ceil(months), 4), "event": months <= 4, "x": x})
    fit = discrete_cox(data, "x")
    breslow, efron = (cox(data, "x", ties=ties).coefficients[0] for ties in ("breslow", "efron"))
    assert abs(fit.coefficients[0] - 0.7) < 3 * fit.tidy()["se"][0]
    assert abs(fit.coefficients[0] - 0.7) < abs(efron - 0.7) < abs(breslow - 0.7)
    continuous = cox(data.assign(stop=np.minimum(months, 4)), "x")
    assert abs(fit.coefficients[0] - continuous.coefficients[0]) < 0.02


def test_score_and_information_are_derivatives() -> None:
    fit = discrete_cox(frame(), "usage + flag + plan", **OPTIONS, weights="weight")
    assert fit._data is not None
    objective = fit._data[1]
    beta, h = np.array([0.3, -0.2, 0.5, 0.1]), 1e-5
    at = objective.evaluate(beta)
    assert at is not None
    for j, step in enumerate(np.eye(4) * h):
        up, down = objective.evaluate(beta + step), objective.evaluate(beta - step)
        assert up is not None
        assert down is not None
        assert at.score[j] == pytest.approx((up.log_likelihood - down.log_likelihood) / (2 * h), abs=1e-5)
        np.testing.assert_allclose(objective.information(at)[j], (down.score - up.score) / (2 * h), atol=1e-5)


@pytest.mark.parametrize("size", [1.0, 5.0, 20.0, 60.0])
def test_relative_risks_that_are_far_apart_are_right_or_refused(size: float) -> None:
    """The binomial likelihood in plain numbers, at the hazard found; beyond arithmetic the point is refused, not wrong."""
    rng = np.random.default_rng(3)
    right = 0
    for _ in range(40):
        n = int(rng.integers(4, 40))
        data = pd.DataFrame(
            {"stop": 1.0, "event": rng.permutation(n) < rng.integers(1, n - 1), "x": rng.normal(size=n)}
        )
        held, _ = prepare(data, *checked_options("x", ties="breslow"))
        at = DiscreteTime(Partial(held.sets, held.x, None)).evaluate(np.array([size]))
        if at is None:
            assert size > 1
            continue
        right += 1
        log_mean = np.log(at.hazard[0]) - at.likelihood.shift + size * held.x[:, 0]
        mean = np.exp(log_mean)
        events = data["event"].to_numpy()
        plain = np.log(-np.expm1(-mean[events])).sum() - mean[~events].sum()
        slope = (mean[events] / np.expm1(np.minimum(mean[events], 700))).sum() - mean[~events].sum()
        assert at.log_likelihood == pytest.approx(plain, rel=1e-6)
        assert slope == pytest.approx(0, abs=1e-5 * max(1.0, mean[~events].sum()))
    assert right >= (40 if size == 1 else 3)


def test_hypotheses_profiles_and_periods_in_which_all_leave() -> None:
    fit = discrete_cox(frame(), "usage + flag + plan", robust=False, **OPTIONS)
    joint = fit.hypothesis("plan")
    assert joint.df == 2
    wald = fit.coefficients[2:] @ np.linalg.solve(fit.variance[2:, 2:], fit.coefficients[2:])
    assert joint.statistic == pytest.approx(wald, rel=1e-10)
    end = np.log(fit.profile_intervals("usage")["ci_lower"].item())
    held = frame().assign(o=lambda f: end * f["usage"])
    fixed = discrete_cox(held, "flag + plan", offset="o", robust=False, **OPTIONS)
    assert 2 * (fit.log_likelihood - fixed.log_likelihood) == pytest.approx(3.841458820694124, rel=1e-7)
    last = pd.DataFrame(
        {"customer": [-1, -2], "start": 40.0, "stop": 41.0, "event": 1, "usage": [0.0, 2.0], "flag": [0, 1]}
    )
    more = discrete_cox(pd.concat([frame(), last]), "usage + flag", robust=False, **OPTIONS)
    alone = discrete_cox(frame(), "usage + flag", robust=False, **OPTIONS)
    assert_close(more.coefficients, alone.coefficients, 1e-9)
    assert more.baseline()["hazard"].iloc[-1] == 1
    assert_close(more.log_likelihood, alone.log_likelihood, 1e-12)
    assert list(fit.glance())[:4] == ["customers", "person_periods", "events", "periods"]
    assert "Discrete-time" in repr(fit)
    saved = pickle.loads(pickle.dumps(fit))
    pd.testing.assert_frame_equal(saved.tidy(), fit.tidy())
    with pytest.raises(ArgumentError, match="a saved fit does not carry"):
        saved.profile_intervals()


def test_what_it_refuses() -> None:
    data = frame()
    with pytest.raises(SeparationError) as caught:
        discrete_cox(data.assign(told=data["event"]), "usage + told", **OPTIONS)
    assert caught.value.covariates == ("told",)
    apart = pd.DataFrame({"stop": [1, 1, 2, 2], "event": [1, 1, 0, 0], "x": [3.0, 2.0, 1.0, 0.0]})
    with pytest.raises(SeparationError):
        discrete_cox(apart, "x")
    with pytest.raises(CollinearityError):
        discrete_cox(data.assign(twice=2 * data["usage"]), "usage + twice", **OPTIONS)
    flows = flows_of(episode_arrays(data, "stop", "event", keep=["flag"]), ["flag"])
    for call, message in (
        (lambda: discrete_cox(data, "usage", period=-1, **OPTIONS), "period must be"),
        (lambda: discrete_cox(flows, "flag", period=30), "flows are counted by their own times"),
    ):
        with pytest.raises(ArgumentError, match=message):
            call()
