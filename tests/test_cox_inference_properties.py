"""What must hold for every kind of Cox fit: order, cuts, units, recoding, flows; and the exact score test is the log-rank test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from survival.errors import EstimationError
from survival.estimate.cox import cox
from survival.estimate.discrete_cox import discrete_cox
from survival.estimate.rank_tests import rank_test
from survival.flows.frames import episode_arrays, flows_of, pattern_codes
from survival.flows.table import Flows

seeds = st.integers(0, 2**31)
few = settings(max_examples=8, deadline=None)
KINDS: dict[str, Callable[..., Any]] = {
    "exact": lambda frame, **options: cox(frame, "x + flag", ties="exact", **options),
    "firth": lambda frame, **options: cox(frame, "x + flag", firth=True, **options),
    "lasso": lambda frame, **options: cox(frame, "x + flag", penalizer=0.01, l1_ratio=0.7, **options),
    "log tenure": lambda frame, **options: cox(frame, "x + flag", time_varying={"flag": "log"}, **options),
    "periods": lambda frame, **options: cox(frame, "x + flag", time_varying={"x": [6.0]}, **options),
    "discrete": lambda frame, **options: discrete_cox(frame, "x + flag", **options),
    "offset": lambda frame, **options: cox(frame, "x + flag", offset="o", **options),
}
kinds = st.sampled_from(list(KINDS))


def company(seed: int, customers: int = 30) -> pd.DataFrame:
    """Whole days with ties, late entry, two rows for some customers, a known effect o."""
    rng = np.random.default_rng(seed)
    entry = rng.integers(0, 4, customers).astype(float)
    stop = entry + rng.integers(2, 9, customers)
    base = pd.DataFrame({"customer": np.arange(customers), "start": entry, "stop": stop})
    base["event"] = rng.random(customers) < 0.7
    early = base.assign(stop=base["start"] + 1, event=False)
    rows = pd.concat([early, base.assign(start=base["start"] + 1)]).sort_values(
        ["customer", "start"], ignore_index=True
    )
    rows["x"], rows["flag"] = rng.integers(-2, 3, len(rows)).astype(float), rng.integers(0, 2, len(rows))
    return rows.assign(o=rng.choice([-0.4, 0.0, 0.8], len(rows)), region=np.array(["a", "b"])[rows["customer"] % 2])


def fitted(kind: str, frame: Any, **options: Any) -> Any:
    """The fit, or reject the example: small random data often separate."""
    given_too = {} if isinstance(frame, Flows) else {"start": "start", "customer": "customer", "robust": False}
    try:
        return KINDS[kind](frame, **{**given_too, **options})
    except EstimationError:
        reject()


def same(a: Any, b: Any, tolerance: float = 1e-6) -> None:
    np.testing.assert_allclose(a.coefficients, b.coefficients, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(a.variance, b.variance, rtol=10 * tolerance, atol=tolerance)
    np.testing.assert_allclose(a.log_likelihood, b.log_likelihood, rtol=1e-9)


@few
@given(seeds, kinds)
def test_order_of_rows(seed: int, kind: str) -> None:
    frame = company(seed)
    same(
        fitted(kind, frame, strata="region"),
        fitted(kind, frame.sample(frac=1, random_state=seed % 1000), strata="region"),
    )


@few
@given(seeds, kinds)
def test_cuts(seed: int, kind: str) -> None:
    """A lasso's penalty counts rows, as lifelines' does: it is held at what it was."""
    frame = company(seed)
    middle = np.floor((frame["start"] + frame["stop"]) / 2)
    cut = middle > frame["start"]
    pieces = [frame[~cut], frame[cut].assign(stop=middle[cut], event=False), frame[cut].assign(start=middle[cut])]
    if kind == "lasso":
        return
    same(fitted(kind, frame), fitted(kind, pd.concat(pieces)))


@few
@given(seeds, kinds)
def test_recoding(seed: int, kind: str) -> None:
    """x times -250 plus a million; the flag turned round. Firth's determinant knows the covariates' units."""
    frame = company(seed)
    if kind == "periods":
        other = fitted(kind, frame.assign(x=frame["x"] * -250.0))
    else:
        other = fitted(kind, frame.assign(x=frame["x"] * -250.0 + 1e6, flag=1 - frame["flag"]))
    base = fitted(kind, frame)
    factor = (
        np.array([-250.0, -250.0, 1.0]) if kind == "periods" else np.array([-250.0] + [-1.0] * (len(base.names) - 1))
    )
    np.testing.assert_allclose(other.coefficients * factor, base.coefficients, rtol=1e-5, atol=1e-7)
    if kind not in ("firth", "lasso"):
        assert other.log_likelihood == pytest.approx(base.log_likelihood, rel=1e-8)


@few
@given(seeds, st.sampled_from(["exact", "firth", "lasso", "discrete", "offset"]))
def test_unit_of_time(seed: int, kind: str) -> None:
    frame = company(seed)
    months = frame.assign(start=frame["start"] / 30.4375, stop=frame["stop"] / 30.4375)
    same(fitted(kind, frame), fitted(kind, months))


@few
@given(seeds, kinds)
def test_flows(seed: int, kind: str) -> None:
    frame = company(seed)
    columns = ["x", "flag", "o", "region"]
    arrays = episode_arrays(frame, "stop", "event", "start", customer="customer", keep=columns)
    codes, patterns = pattern_codes(arrays.columns, columns, len(arrays))
    flows = flows_of(arrays, codes=codes, patterns=patterns)
    if kind == "lasso":  # time by time the same sums; the standardisation counts episodes in both
        same(fitted(kind, frame, strata="region"), fitted(kind, flows, strata="region"), 1e-5)
        return
    same(fitted(kind, frame, strata="region"), fitted(kind, flows, strata="region"))


@few
@given(seeds)
def test_the_exact_score_test_is_the_log_rank_test_with_ties(seed: int) -> None:
    frame = company(seed)
    try:
        score = cox(frame, "flag", start="start", customer="customer", ties="exact", strata="region").score_statistic
    except EstimationError:
        reject()
    test = rank_test(frame, start="start", by="flag", strata="region")
    assert score == pytest.approx(float(test.tidy()["statistic"].iloc[0]), rel=1e-8)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize(("scale", "shift"), [(1e-9, 0.0), (1e9, 0.0), (1.0, 1e6), (1e-9, 1e-3), (1e9, 1e15)])
def test_hard_scales(kind: str, scale: float, shift: float) -> None:
    frame = company(11, 80)
    if kind == "periods" and shift:
        return  # x by period is no recoding of a shifted x: the periods' common part is in none of its columns
    base = fitted(kind, frame)
    other = fitted(kind, frame.assign(x=frame["x"] * scale + shift))
    columns = [0, 1] if kind == "periods" else [0]
    z = base.coefficients / np.sqrt(np.diag(base.variance))
    moved = other.coefficients / np.sqrt(np.diag(other.variance))
    np.testing.assert_allclose(moved, z, rtol=1e-5)
    np.testing.assert_allclose(other.coefficients[columns] * scale, base.coefficients[columns], rtol=1e-5)


@pytest.mark.parametrize("kind", ["exact", "firth", "discrete", "offset"])
def test_one_event_in_each_of_many_strata(kind: str) -> None:
    """Matched sets without ties: all methods but Firth's are one likelihood, and its estimate is drawn towards 0."""
    rng = np.random.default_rng(2)
    sets = 300
    x = rng.normal(size=(sets, 3))
    first = rng.random((sets, 3)).argsort(axis=1) == 0
    frame = pd.DataFrame(
        {"start": 0.0, "stop": 1.0, "event": first.ravel(), "x": x.ravel(), "flag": rng.integers(0, 2, 3 * sets)}
    )
    frame = frame.assign(set=np.repeat(np.arange(sets), 3), customer=np.arange(3 * sets), o=0.0)
    fit = fitted(kind, frame, strata="set")
    plain = cox(frame, "x + flag", strata="set", start="start")
    if kind in ("exact", "offset"):
        np.testing.assert_allclose(fit.coefficients, plain.coefficients, rtol=1e-9)
    else:
        assert (np.abs(fit.coefficients - plain.coefficients) < 0.5 * plain.tidy()["se"]).all() or kind == "discrete"
    assert np.isfinite(fit.tidy()[["coef", "se", "p"]].to_numpy()).all()
