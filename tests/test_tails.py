"""Beyond the data: likelihoods against R, lifelines and published fits, then tails, remaining tenure and value by hand."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import lifelines
import numpy as np
import pandas as pd
import pytest

from survival.errors import ArgumentError
from survival.estimate.cohort_counts import cohort_counts
from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.parametric import (
    EXPONENTIAL,
    GENERALIZED_GAMMA,
    LOG_LOGISTIC,
    LOG_NORMAL,
    WEIBULL,
    TenureData,
    fit,
    log_likelihood,
    piecewise,
    shifted_beta_geometric,
)
from survival.estimate.tails import extrapolate
from survival.flows.frames import episode_arrays, flows_of
from survival.plot.mean_count import mean_counts
from survival.plot.tail import extrapolated_retention

REFERENCES = json.loads((Path(__file__).parent / "references" / "competing.json").read_text())
BREAKS = np.array([30.0, 60.0, 100.0])


def data_of(frame: pd.DataFrame, start: str | None = None, step: float = 0.0) -> TenureData:
    group = cohort_counts(frame, start=start).groups[0]
    return TenureData(group.time, group.events, group.after - group.at_risk, step)


def company(n: int = 2500, seed: int = 3) -> pd.DataFrame:
    """Gamma tenures, a third of the customers entering late, all censored at a time of their own; days to two decimals."""
    rng = np.random.default_rng(seed)
    tenure = rng.gamma(1.4, 60, n)
    entry = np.where(rng.random(n) < 0.35, rng.uniform(0, 60, n), 0).round(2)
    censored = entry + rng.uniform(20, 150, n)
    frame = pd.DataFrame(
        {"start": entry, "stop": np.minimum(tenure, censored).round(2), "event": (tenure <= censored).astype(int)}
    )
    return frame[frame["stop"] > frame["start"]].reset_index(drop=True)


@pytest.mark.parametrize(
    ("family", "key"),
    [(EXPONENTIAL, "exponential"), (WEIBULL, "weibull"), (LOG_NORMAL, "log_normal"), (LOG_LOGISTIC, "log_logistic")],
)
def test_fits_equal_survreg(family: object, key: str) -> None:
    expected = REFERENCES["parametric"][key]
    made = fit(family, data_of(pd.DataFrame(REFERENCES["incidence"]["fine"]["data"])))
    np.testing.assert_allclose(made.log_likelihood, expected["log_likelihood"], rtol=1e-11)
    location = -made.theta[0] if key == "exponential" else made.theta[0]
    np.testing.assert_allclose(location, expected["location"], rtol=1e-6)
    if key != "exponential":
        scale = np.exp(made.theta[1]) if key == "log_normal" else np.exp(-made.theta[1])
        np.testing.assert_allclose(scale, expected["scale"], rtol=1e-6)


@pytest.mark.parametrize(
    ("family", "theirs"),
    [
        (WEIBULL, lifelines.WeibullFitter()),
        (LOG_NORMAL, lifelines.LogNormalFitter()),
        (LOG_LOGISTIC, lifelines.LogLogisticFitter()),
        (GENERALIZED_GAMMA, lifelines.GeneralizedGammaFitter()),
        (piecewise(BREAKS), lifelines.PiecewiseExponentialFitter(BREAKS.tolist())),
    ],
    ids=["weibull", "log-normal", "log-logistic", "generalized gamma", "piecewise"],
)
def test_late_entry_equals_lifelines(family: object, theirs: object) -> None:
    frame = company()
    made = fit(family, data_of(frame, "start"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.fit(frame["stop"], frame["event"], entry=frame["start"])
    # Ours is at least as high: lifelines stops a little earlier.
    assert made.log_likelihood >= theirs.log_likelihood_ - 1e-8
    np.testing.assert_allclose(made.log_likelihood, theirs.log_likelihood_, rtol=1e-7)
    at = np.array([10.0, 50.0, 90.0, 200.0])
    survival = np.exp(-made.cumulative_hazard(at))
    np.testing.assert_allclose(survival, theirs.survival_function_at_times(at), rtol=5e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kept", "alpha", "beta", "likelihood"),
    [  # Fader and Hardie 2007: "High End" and "Regular" customers, seven renewals
        ([0.869, 0.743, 0.653, 0.593, 0.551, 0.517, 0.491], 0.668, 3.806, -1611.2),
        ([0.631, 0.468, 0.382, 0.326, 0.289, 0.262, 0.241], 0.704, 1.182, -1680.3),
    ],
)
def test_the_published_shifted_beta_geometric(kept: list[float], alpha: float, beta: float, likelihood: float) -> None:
    left = -np.diff(np.round(1000 * np.array([1.0, *kept]))).astype(int)
    rows = [{"stop": k + 1, "event": 1} for k, lost in enumerate(left) for _ in range(lost)]
    rows += [{"stop": 7, "event": 0}] * (1000 - len(rows))
    made = fit(shifted_beta_geometric(1.0), data_of(pd.DataFrame(rows), step=1.0))
    np.testing.assert_allclose([made.parameters["alpha"], made.parameters["beta"]], [alpha, beta], atol=6e-4)
    np.testing.assert_allclose(made.log_likelihood, likelihood, atol=0.06)
    # r(2) = S(2)/S(1) = (beta + 1) / (alpha + beta + 1)
    kept_twice = np.exp(made.cumulative_hazard(np.array([1.0])) - made.cumulative_hazard(np.array([2.0])))
    np.testing.assert_allclose(kept_twice, (beta + 1) / (alpha + beta + 1), rtol=1e-3)


def test_renewals_part_of_the_way_count_for_that_part() -> None:
    rng = np.random.default_rng(5)
    n, a, b = 8000, 0.8, 6.0
    chance = rng.beta(a, b, n)
    renewals = rng.geometric(chance)
    # Within a period churn falls by a constant hazard; observation ends in the middle of periods.
    inside = -np.log1p(-rng.random(n) * chance) / -np.log1p(-chance)
    tenure, censored = (30 * (renewals - 1 + inside)).round(1) + 0.1, rng.uniform(30, 700, n).round(1)
    frame = pd.DataFrame({"stop": np.minimum(tenure, censored), "event": (tenure <= censored).astype(int)})
    made = fit(shifted_beta_geometric(30.0), data_of(frame)).parameters
    np.testing.assert_allclose([made["alpha"], made["beta"]], [a, b], rtol=0.15)


def test_the_likelihood_by_hand() -> None:
    # Three customers, one of whom enters at 2: churn at 3, churn at 5, censored at 4, under a hazard of 0.1.
    frame = pd.DataFrame({"start": [0, 2, 0], "stop": [3, 5, 4], "event": [1, 1, 0]})
    data = data_of(frame, "start")
    assert data.exposure == 3 + 3 + 4
    np.testing.assert_allclose(log_likelihood(EXPONENTIAL, data, np.array([np.log(0.1)])), 2 * np.log(0.1) - 1.0)
    made = fit(EXPONENTIAL, data)
    np.testing.assert_allclose([made.parameters["rate"], made.covariance[0, 0]], [0.2, 1 / 2], rtol=1e-6)
    # On whole days a churn at 3 fell between 2 and 3.
    days = data_of(frame, "start", step=1.0)
    np.testing.assert_allclose(
        log_likelihood(EXPONENTIAL, days, np.array([np.log(0.1)])), 2 * np.log(np.expm1(0.1)) - 1.0
    )
    np.testing.assert_allclose(fit(EXPONENTIAL, days).parameters["rate"], -np.log(1 - 2 / 10), rtol=1e-6)
    # Cut at 3.5: (0, 3] with its churn, (2, 3.5] and (0, 3.5] without.
    held = data.until(3.5)
    assert held.exposure == 3 + 1.5 + 3.5
    assert held.events.sum() == 1


def test_whole_days_do_not_bend_the_tail() -> None:
    rng = np.random.default_rng(8)
    n, shape, scale = 60000, 0.6, 40.0
    frame = pd.DataFrame({"stop": np.minimum(np.ceil(scale * rng.weibull(shape, n)), 300), "event": 1})
    frame["event"] = (frame["stop"] < 300).astype(int)
    made = extrapolate(frame, models=["weibull"], horizon=1000).tails[0].chosen.fit.parameters
    np.testing.assert_allclose([made["shape"], made["scale"]], [shape, scale], rtol=0.015)
    late = fit(WEIBULL, data_of(frame)).parameters  # as if each churn fell at the end of its day
    assert late["shape"] > 1.05 * shape


def test_tails_are_labelled_and_continue_the_curve() -> None:
    frame = company()
    made = extrapolate(frame, start="start", horizon=400)
    tidy = made.tidy()
    tail = made.tails[0]
    curve = kaplan_meier(frame, start="start").tidy()
    seen = tidy[~tidy["extrapolated"]]
    assert (seen["model"] == "kaplan-meier").all()
    np.testing.assert_allclose(seen["retention"], curve["retention"][curve["tenure"] <= tail.splice])
    assert curve[curve["tenure"] > tail.splice]["at_risk"].max() < 30
    beyond = tidy[tidy["extrapolated"]]
    assert beyond["tenure"].min() > tail.splice
    assert beyond["tenure"].max() == 400
    assert (beyond["model"] == tail.chosen.name).all()
    joined = np.r_[seen["retention"].iloc[-1], beyond["retention"]]
    assert (np.diff(joined) <= 0).all()
    assert (beyond["ci_lower"] < beyond["retention"]).all()
    models = made.models()
    assert models["chosen"].tolist() == [True] + [False] * 5
    assert models["error"].is_monotonic_increasing
    assert "extrapolated" in [f.id for f in made.findings]


def test_flows_give_the_same_tail_as_customers() -> None:
    frame = company().round({"start": 0, "stop": 0})
    frame = frame[frame["stop"] > frame["start"]].assign(plan=lambda d: np.where(d.index % 2, "a", "b"))
    counted = flows_of(episode_arrays(frame, "stop", "event", "start", keep=["plan"]), ["plan"])
    one = extrapolate(frame, start="start", by="plan", horizon=300, models=["weibull", "exponential"])
    two = extrapolate(counted, by="plan", horizon=300, models=["weibull", "exponential"])
    pd.testing.assert_frame_equal(one.tidy(), two.tidy())
    pd.testing.assert_frame_equal(one.models(), two.models())


def test_a_million_times_the_customers_have_the_same_tail() -> None:
    data = data_of(company(), "start")
    for family in (WEIBULL, GENERALIZED_GAMMA):
        one = fit(family, data)
        many = fit(family, TenureData(data.time, 1e6 * data.events, 1e6 * data.net))
        np.testing.assert_allclose(many.theta, one.theta, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(1e6 * many.covariance, one.covariance, rtol=1e-3, atol=1e-9)
        np.testing.assert_allclose(many.log_likelihood, 1e6 * one.log_likelihood, rtol=1e-10)


def test_remaining_tenure_and_value_of_a_constant_hazard() -> None:
    # Everybody is censored at 10 but for one churn, so nearly all is extrapolated by a chance of 1 in 499 each day.
    frame = pd.DataFrame({"stop": [9.0] + [10.0] * 49, "event": [1] + [0] * 49})
    made = extrapolate(frame, horizon=3000, models=["exponential"], cut=9.5)
    rate, kept = -np.log(1 - 1 / 499), 49 / 50
    area = 9 + kept + kept * (1 - np.exp(-rate * 2990)) / rate
    remaining = made.remaining().iloc[0]
    np.testing.assert_allclose(remaining["days"], area, rtol=1e-4)
    np.testing.assert_allclose(remaining["extrapolated_share"], 1 - (9 + kept) / area, rtol=1e-4)
    given = made.remaining(100.0).iloc[0]
    np.testing.assert_allclose(given["days"], (1 - np.exp(-rate * 2900)) / rate, rtol=1e-4)
    assert given["extrapolated_share"] == 1
    discount = np.log(1.1) / 365.25
    value = made.lifetime_value(30.4375, 0.1, 100.0).iloc[0]
    np.testing.assert_allclose(value["value"], (1 - np.exp(-(rate + discount) * 2900)) / (rate + discount), rtol=1e-4)
    assert value["discount_rate"] == 0.1
    np.testing.assert_allclose(made.lifetime_value(30.4375, 0.0).iloc[0]["value"], area, rtol=1e-4)


def test_a_model_that_cannot_be_fitted_is_named() -> None:
    frame = pd.DataFrame({"stop": [5.0] * 40 + [20.0] * 60, "event": [1] + [0] * 99})
    made = extrapolate(frame, horizon=100, cut=10)
    failed = made.models().query("error.isna()")
    assert len(failed) > 0
    assert failed["reason"].str.contains("no maximum inside|too few").all()
    assert "tail-not-fitted" in [f.id for f in made.findings]
    assert made.tails[0].chosen is not None


def test_what_cannot_be_asked() -> None:
    frame = company(400)
    for arguments, message in (
        ({"models": ["gompertz"]}, "models must be among"),
        ({"models": ["shifted beta geometric"]}, "needs period="),
        ({"period": -1}, "period must be"),
        ({"horizon": 0}, "horizon must be"),
        ({"cut": 4000}, "must lie inside what is observed"),
    ):
        with pytest.raises(ArgumentError, match=message):
            extrapolate(frame, start="start", **arguments)
    made = extrapolate(frame, start="start", models=["exponential"])
    with pytest.raises(ArgumentError, match="discount_rate is a share"):
        made.lifetime_value(10, -0.1)
    with pytest.raises(ArgumentError, match="given_tenure must be"):
        made.remaining(1e6)


def test_figures_take_empty_frames_and_many_groups() -> None:
    assert extrapolated_retention(pd.DataFrame()).texts[0].get_text().startswith("Nobody")
    assert mean_counts(pd.DataFrame()).texts[0].get_text().startswith("Nobody")
    frame = company().assign(plan=lambda d: [f"plan {i % 8}" for i in d.index])
    tidy = extrapolate(frame, start="start", by="plan", models=["exponential"], horizon=300).tidy()
    drawn = extrapolated_retention(tidy)
    assert "Not shown: the last 2 of 8" in " ".join(t.get_text() for t in drawn.texts)
    steps = pd.DataFrame(
        {"by": "x", "tenure": [0.0, 50.0, 90.0], "mean_count": [0, 0.5, 1.5], "ci_lower": np.nan, "ci_upper": np.nan}
    )
    axes = mean_counts(steps).axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0, 0.5, 1.5])
