"""Relations that must hold for Cox fits, on random small data, and brute force for what has a plain definition."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from survival.errors import EstimationError
from survival.estimate import concordance as concordance_module
from survival.estimate import dominance
from survival.estimate.concordance import concordance
from survival.estimate.cox import cox, cox_univariable
from survival.estimate.cox_fit import CoxFit
from survival.estimate.partial_likelihood import evaluate, information, sum_over_events
from survival.estimate.risk_sets import RiskSets, episode_risk_sets
from survival.flows.frames import episode_arrays, flows_of, pattern_codes

seeds = st.integers(0, 2**31)
ties = st.sampled_from(["efron", "breslow"])
few = settings(max_examples=15, deadline=None)


def company(seed: int, customers: int = 25, *, tied: bool = True) -> pd.DataFrame:
    """Episodes with late entry, ties (or none), changing covariates, unequal weights and two regions."""
    rng = np.random.default_rng(seed)
    rows = []
    for customer in range(customers):
        cuts = np.sort(rng.choice(np.arange(0, 13), rng.integers(2, 5), replace=False)).astype(float)
        if not tied:
            cuts[1:] += rng.random(cuts.size - 1) * 0.9
        churned = rng.random() < 0.7
        region, weight = rng.choice(["a", "b"]), rng.integers(1, 5) / 2
        for i, (start, stop) in enumerate(pairwise(cuts)):
            event = churned and i == cuts.size - 2
            row = (customer, start, stop, event, rng.integers(-3, 4), rng.integers(0, 2), region, weight)
            rows.append(row)
    names = ["customer", "start", "stop", "event", "x", "flag", "region", "weight"]
    return pd.DataFrame(rows, columns=names)


def fit(frame: Any, **options: Any) -> CoxFit:
    """The fit, or reject the example: small random data often separate."""
    chosen = {"start": "start", "customer": "customer", **options}
    try:
        return cox(frame, "x + flag", **chosen)
    except EstimationError:
        reject()


def same(a: CoxFit, b: CoxFit, tolerance: float = 1e-7) -> None:
    np.testing.assert_allclose(a.coefficients, b.coefficients, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(a.variance, b.variance, rtol=10 * tolerance, atol=tolerance)
    np.testing.assert_allclose(a.log_likelihood, b.log_likelihood, rtol=1e-10)
    np.testing.assert_allclose(a.log_likelihood_null, b.log_likelihood_null, rtol=1e-12)
    assert a.concordance.value == pytest.approx(b.concordance.value, rel=1e-12)
    left, right = (f.proportional_hazards()["statistic"] for f in (a, b))
    np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-8)


@few
@given(seeds, ties)
def test_row_order_changes_nothing(seed: int, method: str) -> None:
    frame = company(seed)
    options = {"ties": method, "weights": "weight", "strata": "region"}
    base = fit(frame, **options)
    shuffled = frame.sample(frac=1, random_state=seed % 1000)
    other = fit(shuffled, **options)
    same(base, other)
    mine = base.residuals("martingale")["martingale"].to_numpy()
    theirs = other.residuals("martingale")["martingale"].to_numpy()
    np.testing.assert_allclose(mine[shuffled.index], theirs, atol=1e-7)


@few
@given(seeds, ties)
def test_cutting_an_episode_changes_nothing(seed: int, method: str) -> None:
    frame = company(seed)
    middle = (frame["start"] + frame["stop"]) / 2
    early, late = frame.assign(stop=middle, event=False), frame.assign(start=middle)
    base, other = (fit(f, ties=method, weights="weight") for f in (frame, pd.concat([early, late])))
    same(base, other)
    assert base.person_time == pytest.approx(other.person_time, rel=1e-12)
    assert (base.events, base.customers) == (other.events, other.customers)


@few
@given(seeds, ties)
def test_an_episode_that_spans_no_event_is_inert(seed: int, method: str) -> None:
    frame = company(seed)
    inert = frame.assign(
        customer=frame["customer"] + 1000, start=frame["start"] + 0.1, stop=frame["start"] + 0.9, event=False
    )
    same(fit(frame, ties=method, strata="region"), fit(pd.concat([frame, inert]), ties=method, strata="region"))


@few
@given(seeds, ties)
def test_recoding_covariates_and_time(seed: int, method: str) -> None:
    frame = company(seed)
    base = fit(frame, ties=method)
    other = fit(frame.assign(x=frame["x"] * -250.0 + 1e6, flag=1 - frame["flag"]), ties=method)
    np.testing.assert_allclose(other.coefficients * [-250.0, -1.0], base.coefficients, rtol=1e-6, atol=1e-8)
    assert other.log_likelihood == pytest.approx(base.log_likelihood, rel=1e-9)
    months = frame.assign(start=frame["start"] / 30.4375, stop=frame["stop"] / 30.4375)
    same(base, fit(months, ties=method))


@few
@given(seeds)
def test_weight_two_is_two_copies(seed: int) -> None:
    """Exact with Breslow ties; the cluster of the copies is the customer they are copies of."""
    frame = company(seed)
    twice = pd.concat([frame, frame.assign(customer=frame["customer"] + 1000)])
    twice["who"] = twice["customer"] % 1000
    weighted = fit(frame.assign(two=2.0), ties="breslow", weights="two", robust=True)
    copied = fit(twice, ties="breslow", cluster="who")
    np.testing.assert_allclose(weighted.coefficients, copied.coefficients, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(weighted.model_variance, copied.model_variance, rtol=1e-7)
    np.testing.assert_allclose(weighted.variance, copied.variance, rtol=1e-7, atol=1e-12)
    assert weighted.log_likelihood == pytest.approx(copied.log_likelihood, rel=1e-10)
    np.testing.assert_allclose(weighted.baseline()["hazard"], copied.baseline()["hazard"], rtol=1e-7)


@few
@given(seeds, ties)
def test_flows_give_the_same_fit(seed: int, method: str) -> None:
    frame = company(seed)
    episodes = fit(frame, ties=method, strata="region", robust=False)
    arrays = episode_arrays(frame, "stop", "event", "start", customer="customer", keep=["x", "flag", "region"])
    codes, patterns = pattern_codes(arrays.columns, ["x", "flag", "region"], len(arrays))
    flows = flows_of(arrays, codes=codes, patterns=patterns)
    other = fit(flows, ties=method, strata="region", start=None, customer=None)
    same(episodes, other)
    assert (episodes.customers, episodes.events) == (other.customers, other.events)
    assert episodes.person_time == pytest.approx(other.person_time)
    pd.testing.assert_frame_equal(episodes.baseline(), other.baseline(), rtol=1e-7)


@few
@given(seeds, ties)
def test_weighted_flows_give_the_same_coefficients(seed: int, method: str) -> None:
    frame = company(seed)
    episodes = fit(frame, ties=method, weights="weight", robust=False)
    arrays = episode_arrays(frame, "stop", "event", "start", weights="weight", customer="customer", keep=["x", "flag"])
    codes, patterns = pattern_codes(arrays.columns, ["x", "flag"], len(arrays))
    other = fit(flows_of(arrays, codes=codes, patterns=patterns), ties=method, start=None, customer=None)
    np.testing.assert_allclose(episodes.coefficients, other.coefficients, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(episodes.variance, other.variance, rtol=1e-6, atol=1e-8)


# ---- kernels against plain Python ----


def kernel(frame: pd.DataFrame, method: str) -> tuple[RiskSets, np.ndarray]:
    region = frame["region"].map({"a": 0, "b": 1}).to_numpy(np.intp)
    columns = [frame[name].to_numpy(float) for name in ("start", "stop")]
    event = frame["event"].to_numpy(bool)
    sets = episode_risk_sets(*columns, event, frame["weight"].to_numpy(), region, 2, efron=method == "efron")
    return sets, frame[["x", "flag"]].to_numpy(float) - 0.5


def plain_log_likelihood(frame: pd.DataFrame, x: np.ndarray, beta: np.ndarray, method: str) -> float:
    """The textbook formula, one event time after the other."""
    eta, w = x @ beta, frame["weight"].to_numpy()
    total = 0.0
    events = frame[frame["event"]]
    for (region, time), tied in events.groupby(["region", "stop"]):
        there = ((frame["region"] == region) & (frame["start"] < time) & (time <= frame["stop"])).to_numpy()
        rows = tied.index.to_numpy()
        everyone, leaving = (w * np.exp(eta))[there].sum(), (w * np.exp(eta))[rows].sum()
        total += (w * eta)[rows].sum()
        for step in range(len(rows)):
            share = step / len(rows) if method == "efron" else 0.0
            total -= w[rows].mean() * np.log(everyone - share * leaving)
    return total


@few
@given(seeds, ties)
def test_likelihood_score_and_information_are_those_of_the_textbook(seed: int, method: str) -> None:
    frame = company(seed)
    if not frame["event"].any():
        reject()
    sets, x = kernel(frame, method)
    events = sum_over_events(sets, x)
    beta, h = np.array([0.3, -0.4]), 1e-5
    at = evaluate(sets, x, events, beta)
    assert at is not None
    assert at.log_likelihood == pytest.approx(plain_log_likelihood(frame, x, beta, method), rel=1e-11)
    for j, step in enumerate(np.eye(2) * h):
        up, down = evaluate(sets, x, events, beta + step), evaluate(sets, x, events, beta - step)
        assert up is not None
        assert down is not None
        assert at.score[j] == pytest.approx((up.log_likelihood - down.log_likelihood) / (2 * h), abs=1e-5)
        np.testing.assert_allclose(information(sets, x, at)[j], (down.score - up.score) / (2 * h), atol=1e-6)


@settings(max_examples=5, deadline=None)
@given(seeds, st.sampled_from([("breslow", True), ("efron", False)]))
def test_robust_variance_is_the_infinitesimal_jackknife(seed: int, method: tuple[str, bool]) -> None:
    """Σ (dβ/dw_i w_i)² over customers, by moving each customer's weight a little (exact where no ties are corrected)."""
    frame = company(seed, 16, tied=method[1])
    options = {"ties": method[0], "weights": "weight", "robust": True}
    base = fit(frame, **options)
    total, h = np.zeros((2, 2)), 1e-4
    for who in frame["customer"].unique():
        mine = frame["customer"] == who
        up, down = (
            fit(frame.assign(weight=np.where(mine, frame["weight"] * f, frame["weight"])), **options).coefficients
            for f in (1 + h, 1 - h)
        )
        total += np.outer(up - down, up - down) / (2 * h) ** 2
    np.testing.assert_allclose(base.variance, total, rtol=1e-4, atol=1e-8)


@few
@given(seeds)
def test_two_group_score_test_is_the_log_rank_test_without_ties(seed: int) -> None:
    frame = company(seed, tied=False)
    try:
        statistic = cox(frame, "flag", start="start", customer="customer").score_statistic
    except EstimationError:
        reject()
    observed = expected = variance = 0.0
    for _, row in frame[frame["event"]].iterrows():
        at_risk = frame[(frame["start"] < row["stop"]) & (row["stop"] <= frame["stop"])]
        share = at_risk["flag"].mean()
        observed, expected, variance = observed + row["flag"], expected + share, variance + share * (1 - share)
    assert statistic == pytest.approx((observed - expected) ** 2 / variance, rel=1e-8)


# ---- concordance by counting every pair ----


def plain_concordance(frame: pd.DataFrame, score: np.ndarray) -> tuple[float, float]:
    start, stop, event, w = (frame[name].to_numpy() for name in ("start", "stop", "event", "weight"))
    region = frame["region"].to_numpy()
    n = len(frame)
    good, bad, tied = np.zeros(n), np.zeros(n), np.zeros(n)
    for i in np.flatnonzero(event):
        for j in range(n):
            later = stop[j] > stop[i] or (stop[j] == stop[i] and not event[j])
            if region[i] != region[j] or not (start[j] < stop[i] and later):
                continue
            kind = good if score[j] < score[i] else bad if score[j] > score[i] else tied
            kind[i] += w[j]
            kind[j] += w[i]
    pairs = (w * (good + bad + tied)).sum() / 2
    somers = (w * (good - bad)).sum() / 2 / pairs
    influence = w * (good - bad - somers * (good + bad + tied)) / pairs
    by_customer = pd.Series(influence).groupby(frame["customer"]).sum()
    return (somers + 1) / 2, float(np.sqrt((by_customer**2).sum()) / 2)


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(2, 60), st.sampled_from([(0, 3, 2), (1, 40, 7), (5, 65_536, 16_384)]))
def test_concordance_counts_pairs(seed: int, customers: int, sizes: tuple[int, int, int]) -> None:
    """Also with blocks of one or two events and parts of a few rows, so that many of each are passed through."""
    frame = company(seed, customers)
    if not frame["event"].any():
        reject()
    rng = np.random.default_rng(seed)
    score = rng.integers(0, rng.integers(2, 3 * customers), len(frame)).astype(float)
    sets, _ = kernel(frame, "efron")
    unit = frame["customer"].to_numpy()
    bits, rows, chunk = sizes
    with (
        mock.patch.object(dominance, "_BITS", (bits, bits)),
        mock.patch.object(dominance, "_CHUNK", chunk),
        mock.patch.object(concordance_module, "_ROWS", rows),
    ):
        ours = concordance(sets, score, frame["weight"].to_numpy(), unit)
    if ours.concordant + ours.discordant + ours.tied == 0:
        reject()
    value, error = plain_concordance(frame, score)
    assert ours.value == pytest.approx(value, rel=1e-12)
    assert ours.standard_error == pytest.approx(error, rel=1e-9, abs=1e-12)


def test_univariable_fits_are_those_of_one_term() -> None:
    frame = company(11, 60).assign(plan=lambda f: np.array(["basic", "pro", "trial"])[f["customer"] % 3])
    options: dict[str, Any] = {"start": "start", "customer": "customer", "strata": "region"}
    fits = cox_univariable(frame, "x + flag + plan", **options)
    assert list(fits) == ["x", "flag", "plan"]
    for term, many in fits.items():
        alone = cox(frame, term, **options)
        pd.testing.assert_frame_equal(many.tidy(), alone.tidy(), rtol=1e-9)
        pd.testing.assert_frame_equal(many.glance(), alone.glance(), rtol=1e-9)
        rows = frame.iloc[:2]
        pd.testing.assert_frame_equal(
            many.predict_survival(rows, tenures=[3.0]), alone.predict_survival(rows, tenures=[3.0])
        )
