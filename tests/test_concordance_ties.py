"""Which scores are tied: those of equal covariates, wherever they are, and no others, whatever the largest score."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from survival.estimate.concordance import concordance, linear_predictor
from survival.estimate.cox import cox
from survival.estimate.risk_sets import RiskSets, episode_risk_sets
from survival.flows.frames import episode_arrays, flows_of


def sets_of(n: int) -> RiskSets:
    rng = np.random.default_rng(2)
    start = np.floor(rng.uniform(0, 50, n))
    return episode_risk_sets(start, start + rng.integers(1, 60, n), rng.random(n) < 0.4, np.ones(n))


@pytest.mark.parametrize("kind", ["outlier", "heavy", "near", "offset"])
def test_scores_are_told_apart_as_their_ranks(kind: str) -> None:
    """An outlier, a heavy tail, and long runs of scores that are close to the next one, tie nobody."""
    n = 3_000
    normal = np.random.default_rng(3).normal(size=n)
    score = {
        "outlier": np.where(np.arange(n) == 7, 1e11, normal),
        "heavy": -1e-8 * np.exp(5 * normal),
        "near": np.concatenate(([1.0], 1e-13 * np.arange(1, n))),
        "offset": np.round(normal, 1) * 1e-9 + 5,
    }[kind]
    rank = np.unique(score, return_inverse=True)[1].astype(float)
    ours, expected = (concordance(sets_of(n), s, np.ones(n), np.arange(n)) for s in (score, rank))
    assert ours == expected
    assert (ours.tied > 0) == (kind == "offset")


def test_scores_that_are_rounding_say_nothing() -> None:
    n = 500
    found = concordance(sets_of(n), 1e-14 * np.random.default_rng(3).normal(size=n), None, None)
    assert found.value == 0.5
    assert found.concordant + found.discordant == 0


@pytest.mark.parametrize("order", ["C", "F"])
def test_equal_rows_have_one_score_to_the_last_bit(order: str) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(7, 20))
    many = np.asarray(np.tile(rows, (30_011, 1))[3:], order=order)  # type: ignore[call-overload]
    offset = np.tile(rng.normal(size=7), 30_011)[3:]
    beta = rng.normal(size=20)
    assert np.unique(linear_predictor(many, beta)).size == 7
    assert np.unique(linear_predictor(many, beta, offset)).size == 7
    np.testing.assert_allclose(linear_predictor(many, beta, offset), many @ beta + offset, rtol=1e-12, atol=1e-12)


def test_frames_and_flows_count_the_same_ties() -> None:
    """Of a heavy-tailed number with repeated values, beside flags; the episodes pass by in batches for the error."""
    rng = np.random.default_rng(4)
    n = 4_000
    frame = pd.DataFrame({"customer": np.arange(n), "start": 0.0, "stop": rng.integers(1, 40, n).astype(float)})
    frame["fee"] = np.exp(3 * np.round(rng.normal(size=n), 1))
    frame["flag"], frame["event"] = rng.integers(0, 2, n), rng.random(n) < 0.5
    whole = cox(frame, "fee + flag", start="start", customer="customer", robust=True)
    arrays = episode_arrays(frame, "stop", "event", "start", customer="customer", keep=["fee", "flag"])
    flows = cox(flows_of(arrays, ["fee", "flag"]), "fee + flag")
    ties = frame.groupby(["fee", "flag"]).ngroup().to_numpy(float)
    score = np.unique(linear_predictor(frame[["fee", "flag"]].to_numpy(float), whole.coefficients)).size
    assert score == np.unique(ties).size
    for fit in (flows, flows.robust_from([frame[:1_500], frame[1_500:]])):
        assert fit.concordance.tied == pytest.approx(whole.concordance.tied, rel=1e-12)
        assert fit.concordance.value == pytest.approx(whole.concordance.value, rel=1e-12)
    assert fit.concordance.standard_error == pytest.approx(whole.concordance.standard_error, rel=1e-9)
