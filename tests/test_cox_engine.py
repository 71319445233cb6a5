"""The Cox engine's short cuts give what the long way gives."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import survival.estimate.warm_start as warm_start
from survival.errors import EstimationError, SeparationError
from survival.estimate import blas_threads
from survival.estimate.cox import cox, cox_univariable
from survival.estimate.efron_ties import efron_terms
from survival.estimate.levels import Levels, factors
from survival.estimate.objectives import Partial
from survival.estimate.slot_index import SlotIndex

SUMS = {
    "log": lambda c, u: np.log1p(-c * u),
    "1/D": lambda c, u: 1 / (1 - c * u),
    "c/D": lambda c, u: c / (1 - c * u),
    "1/D²": lambda c, u: 1 / (1 - c * u) ** 2,
    "c/D²": lambda c, u: c / (1 - c * u) ** 2,
    "c²/D²": lambda c, u: c * c / (1 - c * u) ** 2,
}


@pytest.mark.parametrize("share", [1.0, 1 - 1e-9, 0.999, 0.5, 1e-3, 1e-8])
@pytest.mark.parametrize("what", SUMS)
def test_efron_terms_sum_as_each_tied_event_by_itself(what: str, share: float) -> None:
    """share: E0/S0, the part of those at risk that churns. 1.0 is everybody, where D of the last one is 1/d."""
    deaths = np.array([1, 2, 64, 65, 77, 80, 81, 128, 1000, 4097, 300_001])
    which, c, count = efron_terms(deaths)
    np.testing.assert_allclose(np.bincount(which, count), deaths, rtol=1e-14)
    f = SUMS[what]
    got = np.bincount(which, count * f(c, share))
    direct = [math.fsum(f(np.arange(d) / d, share)) for d in deaths]
    np.testing.assert_allclose(got, direct, rtol=2e-13, atol=1e-300)


def test_efron_terms_do_not_grow_with_the_events() -> None:
    which, _, _ = efron_terms(np.array([10**3, 10**6, 10**9]))
    assert (np.bincount(which) < [100, 220, 340]).all()


def many_episodes(n: int = 120_000, seed: int = 3, strata: int = 3) -> pd.DataFrame:
    """Episodes of several customers with whole-day ties, skewed covariates, weights and strata."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "start": rng.integers(0, 300, n).astype(float),
            "flag": (rng.random(n) < 0.1).astype(float),
            "number": rng.normal(1e6, 3.0, n),
            "skewed": rng.exponential(size=n) * 1e-6,
            "plan": rng.choice(["basic", "pro", "team"], n),
            "region": rng.integers(0, strata, n),
            "weight": rng.choice([0.5, 1.0, 2.5], n),
            "customer": rng.integers(0, n // 3, n),
            "offset": rng.normal(size=n) * 0.2,
        }
    )
    risk = 0.002 * np.exp(frame["flag"] - 0.2 * (frame["number"] - 1e6) + 4e5 * frame["skewed"] + frame["offset"])
    wait = np.ceil(rng.exponential(1 / risk))
    stay = rng.integers(1, 120, n)
    frame["stop"] = frame["start"] + np.minimum(wait, stay)
    frame["event"] = (wait <= stay).astype(int)
    return frame


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ties": "breslow", "strata": "region"},
        {"weights": "weight", "cluster": "customer"},
        {"penalizer": 0.01, "offset": "offset"},
    ],
)
def test_a_preview_on_a_sample_changes_the_steps_and_not_the_answer(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    frame, formula = many_episodes(), "flag + number + skewed + plan"
    with_preview = cox(frame, formula, start="start", **options)
    monkeypatch.setattr(warm_start, "WORTH", 10**9)
    plain = cox(frame, formula, start="start", **options)
    assert with_preview.iterations < plain.iterations
    np.testing.assert_allclose(with_preview.coefficients, plain.coefficients, rtol=1e-11)
    np.testing.assert_allclose(np.diag(with_preview.variance), np.diag(plain.variance), rtol=1e-7)
    assert with_preview.log_likelihood == pytest.approx(plain.log_likelihood, rel=1e-13)
    assert with_preview.log_likelihood_null == plain.log_likelihood_null
    assert with_preview.score_statistic == plain.score_statistic


def test_separation_is_named_with_a_preview_too() -> None:
    frame = many_episodes()
    frame["never"] = ((frame["event"] == 0) & (frame["flag"] == 1)).astype(float)
    with pytest.raises(SeparationError, match="never"):
        cox(frame, "number + never + skewed", start="start")
    # Two that separate together only: the sum of both is 0 at every event.
    rng = np.random.default_rng(0)
    noise = rng.normal(size=len(frame))
    frame["one"], frame["two"] = noise, -noise - (frame["event"] == 0) * rng.exponential(size=len(frame))
    with pytest.raises(SeparationError) as caught:
        cox(frame, "one + two", start="start")
    assert set(caught.value.covariates) == {"one", "two"}


@pytest.mark.parametrize("clusters", [7, 40_000])
def test_robust_variance_adds_up_score_residuals_in_any_order(clusters: int) -> None:
    """A cluster longer than a block of rows, and many small ones; rows sorted by cluster and not."""
    frame = many_episodes(60_000)
    frame["cluster"] = np.random.default_rng(5).integers(0, clusters, len(frame))
    fit = cox(frame, "flag + number + skewed", start="start", cluster="cluster", weights="weight", strata="region")
    score = fit.residuals("score")[list(fit.names)].to_numpy() * frame[["weight"]].to_numpy()
    sums = pd.DataFrame(score).groupby(frame["cluster"]).sum().to_numpy()
    by_hand = fit.model_variance @ (sums.T @ sums) @ fit.model_variance
    np.testing.assert_allclose(fit.variance, by_hand, rtol=1e-9)
    ordered = cox(frame.sort_values("cluster"), "flag + number + skewed", start="start", cluster="cluster",
                  weights="weight", strata="region")  # fmt: skip
    np.testing.assert_allclose(ordered.variance, fit.variance, rtol=1e-9)


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        (4_000, {"strata": "region", "weights": "weight", "cluster": "customer"}),
        (4_000, {"offset": "offset", "ties": "breslow"}),
        (4_000, {"penalizer": 0.01}),
        (120_000, {"strata": "region", "weights": "weight", "cluster": "customer"}),
        (120_000, {}),
    ],
)
def test_univariable_fits_share_a_start_and_equal_separate_ones(rows: int, options: dict[str, Any]) -> None:
    frame = many_episodes(rows)
    together = cox_univariable(frame, "flag + number + plan", start="start", **options)
    assert list(together) == ["flag", "number", "plan"]
    assert together["plan"].names == ("plan[T.pro]", "plan[T.team]")
    for term, fit in together.items():
        alone = cox(frame, term, start="start", **options)
        np.testing.assert_allclose(fit.coefficients, alone.coefficients, rtol=1e-9)
        # With many rows the one by itself stops a step earlier, where its variance is exact to 1e-7.
        np.testing.assert_allclose(fit.variance, alone.variance, rtol=1e-7, atol=1e-15)
        np.testing.assert_allclose(fit.model_variance, alone.model_variance, rtol=1e-7, atol=1e-15)
        assert fit.log_likelihood_null == pytest.approx(alone.log_likelihood_null, rel=1e-14)
        assert fit.score_statistic == pytest.approx(alone.score_statistic, rel=1e-10)
        martingale = fit.residuals("martingale")["martingale"]
        np.testing.assert_allclose(martingale, alone.residuals("martingale")["martingale"], rtol=1e-7, atol=1e-8)
        assert fit.concordance.value == pytest.approx(alone.concordance.value, rel=1e-13)
        pd.testing.assert_frame_equal(fit.proportional_hazards(), alone.proportional_hazards(), rtol=1e-6)


@pytest.mark.parametrize("offset", [None, "offset"])
def test_sums_by_level_are_the_likelihood_of_the_rows(offset: str | None) -> None:
    frame = many_episodes(6_000)
    fit = cox(frame, "plan + flag + number", start="start", strata="region", weights="weight", offset=offset)
    data, _ = fit._data
    assert factors(data) == {0, 1, 2}
    part = data.columns([0, 1])
    rows = Partial(part.sets, part.x, part.offset)
    null = rows.evaluate(np.zeros(2))
    assert null is not None
    levels = Levels(part.sets, part.x, part.offset, *part.range(), null.likelihood)
    for beta in ([0.0, 0.0], [0.7, -1.2], [40.0, -3.0], [-2.0, -60.0]):
        there, here = rows.evaluate(np.array(beta)), levels.evaluate(np.array(beta))
        assert there is not None
        assert here is not None
        assert here.log_likelihood == pytest.approx(there.log_likelihood, rel=1e-13)
        np.testing.assert_allclose(here.score, there.score, rtol=1e-9, atol=1e-9)
        information = rows.information(there)
        np.testing.assert_allclose(levels.information(here), information, rtol=1e-9, atol=1e-9)
        whole = levels.complete(here).likelihood
        risk, mine = (np.log(at.risk) + at.shift for at in (there.likelihood, whole))
        np.testing.assert_allclose(mine, risk, rtol=1e-12, atol=1e-12)


def test_only_flags_and_factors_are_summed_by_level() -> None:
    """Not columns with a third value, however rare, nor two flags that may both be on."""
    frame = many_episodes(6_000)
    frame["rare"] = frame["flag"].astype(float)
    frame.loc[4_000, "rare"] = 0.25
    both = pd.DataFrame({"a": frame["flag"], "b": frame["plan"] == "pro"}).astype(float)
    data, _ = cox(frame, "rare + plan + number", start="start")._data
    assert {data.names[j] for j in factors(data)} == {"plan[T.pro]", "plan[T.team]"}
    data, _ = cox(frame.assign(a=both["a"], b=both["b"]), "a + b", start="start")._data
    assert factors(data) == {0, 1}
    joined = replace(data, coding=replace(data.coding, terms={"a and b": (0, 1)}))
    assert factors(joined) == frozenset()


@pytest.mark.parametrize("kind", ["even", "skewed", "clumped", "one", "few"])
def test_slots_of_times_in_no_whole_days_are_those_of_a_search(kind: str) -> None:
    rng = np.random.default_rng(0)
    event = {
        "even": rng.random(500) * 700,
        "skewed": rng.exponential(size=500) ** 3,
        "clumped": np.append(rng.random(500) * 1e-9 + 1, 1e6),
        "one": np.array([3.5]),
        "few": np.repeat([0.1, 0.2, 0.7], 5),
    }[kind]
    index = SlotIndex(event, np.zeros(event.size, np.intp), 1)
    near = [np.nextafter(event, np.inf), np.nextafter(event, -np.inf), event, rng.random(2000) * event.max() * 1.2 - 1]
    time = np.concatenate([*near, [-1e300, 1e300]])
    found = index.at(time, np.zeros(1, np.intp))
    np.testing.assert_array_equal(found, np.searchsorted(np.unique(event), time, side="right"))
    np.testing.assert_array_equal(index.between(time, time, None)[:, 1], found)


def test_blas_threads_are_given_back() -> None:
    calls = blas_threads._openblas()
    if calls is None:
        pytest.skip("NumPy's BLAS here is not the OpenBLAS of its wheels")
    get, put = calls
    before = get()
    try:
        put(2)
        with pytest.raises(ZeroDivisionError), blas_threads.one_blas_thread(), blas_threads.one_blas_thread():
            assert get() == 1
            raise ZeroDivisionError
        assert get() == 2
    finally:
        put(before)


def test_univariable_fits_skip_a_term_that_has_no_estimate() -> None:
    frame = many_episodes(4_000).assign(constant=1.0)
    frame["never"] = ((frame["event"] == 0) & (frame["flag"] == 1)).astype(float)
    formula = "constant + number + never + plan"
    fits = cox_univariable(frame, formula, start="start", not_estimable="skip")
    assert list(fits) == ["number", "plan"]
    assert fits["number"].coefficients == pytest.approx(cox(frame, "number", start="start").coefficients, rel=1e-10)
    with pytest.raises(EstimationError, match="constant"):
        cox_univariable(frame, formula, start="start", not_estimable="drop")
