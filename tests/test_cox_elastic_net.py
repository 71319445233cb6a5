"""Elastic net: conditions of optimality, an independent program, the path, and cross-validation by customer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from survival.errors import ArgumentError
from survival.estimate.cox import cox
from survival.estimate.cox_path import cox_cross_validate, cox_path
from survival.flows.frames import episode_arrays, flows_of

NAMES = [f"x{j}" for j in range(8)]
FORMULA = " + ".join(NAMES)


def company(customers: int = 300, seed: int = 4, rows: int = 1) -> pd.DataFrame:
    """Three covariates that matter among eight correlated ones; several rows a customer when rows > 1."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(customers, 1))
    x = 0.6 * shared + 0.8 * rng.normal(size=(customers, 8))
    x[:, 5] = x[:, 5] > 0.5
    rate = np.exp(0.6 * x[:, 0] - 0.5 * x[:, 1] + 0.4 * x[:, 5])
    wait = np.ceil(rng.exponential(12 / rate))
    stop = np.minimum(wait, rng.integers(5, 25, customers))
    frame = pd.DataFrame(x, columns=NAMES).assign(
        customer=np.arange(customers), stop=stop, event=wait <= stop, begin=0.0
    )
    frame["weight"] = rng.integers(1, 4, customers) / 2
    if rows == 1:
        return frame
    middle = np.floor(frame["stop"] / 2)
    late = frame.assign(begin=middle)[frame["stop"] > 1]
    early = frame.assign(stop=middle, event=False)[middle > 0]
    return pd.concat([early, late, frame[frame["stop"] <= 1]]).sort_values(["customer", "begin"], ignore_index=True)


def gradient_gap(
    frame: pd.DataFrame, beta: np.ndarray, penalizer: float, l1_ratio: float, **options: Any
) -> np.ndarray:
    """What the optimum's conditions miss by, from score residuals of an unpenalised likelihood at beta (its offset)."""
    held = frame.assign(held=frame[NAMES] @ beta, noise=np.random.default_rng(0).normal(size=len(frame)))
    at = cox(held, f"noise + {FORMULA}", start="begin", customer="customer", offset="held", penalizer=1e9, **options)
    weight = held[options["weights"]].to_numpy() if "weights" in options else np.ones(len(held))
    scale = frame[NAMES].std().to_numpy()
    score = (weight @ at.residuals("score")[NAMES].to_numpy()) / scale / len(frame)
    b = beta * scale
    ridge = penalizer * (1 - l1_ratio) * b
    on = np.abs(score - ridge - penalizer * l1_ratio * np.sign(b))
    return np.where(beta != 0, on, np.maximum(np.abs(score) - penalizer * l1_ratio, 0.0))


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5, 0.1])
@pytest.mark.parametrize("options", [{}, {"ties": "breslow", "weights": "weight"}])
def test_the_conditions_of_optimality_hold(l1_ratio: float, options: dict[str, Any]) -> None:
    frame = company(rows=2)
    fit = cox(frame, FORMULA, start="begin", customer="customer", penalizer=0.04, l1_ratio=l1_ratio, **options)
    zero = fit.coefficients == 0
    assert zero.any() or l1_ratio < 0.2
    assert (~zero).sum() >= 3
    assert gradient_gap(frame, fit.coefficients, 0.04, l1_ratio, **options).max() < 1e-7
    tidy = fit.tidy()
    assert tidy["se"].isna().tolist() == zero.tolist()
    assert np.isfinite(fit.predict_survival(frame.iloc[:2], [3.0])["survival"]).all()


def test_it_is_the_elastic_net_of_scikit_survival() -> None:
    """Coxnet (glmnet's algorithm): columns of variance 1 with n - 1, log likelihood / n."""
    linear = pytest.importorskip("sksurv.linear_model")
    frame = company()
    scaled = (frame[NAMES] / frame[NAMES].std()).to_numpy()
    y = np.array(list(zip(frame["event"], frame["stop"])), dtype=[("event", bool), ("time", float)])
    alphas = [0.2, 0.08, 0.03, 0.01]
    model = linear.CoxnetSurvivalAnalysis(l1_ratio=0.7, alphas=alphas, tol=1e-14, max_iter=1_000_000)
    model.fit(scaled, y)
    ours = cox_path(frame, FORMULA, l1_ratio=0.7, penalizers=alphas, ties="breslow")
    np.testing.assert_allclose(ours.coefficients * frame[NAMES].std().to_numpy(), model.coef_.T, atol=2e-7)
    assert (ours.coefficients == 0).any()


def test_the_path_is_that_of_single_fits_and_starts_at_zero() -> None:
    frame = company()
    path = cox_path(frame, FORMULA, steps=12)
    assert (path.coefficients[0] == 0).all()
    assert path.glance()["nonzero"].tolist() == sorted(path.glance()["nonzero"])
    assert path.penalizers[-1] == pytest.approx(path.penalizers[0] * 1e-3)
    just_below = cox(frame, FORMULA, penalizer=path.penalizers[0] * 0.999, l1_ratio=1.0)
    assert (just_below.coefficients != 0).sum() == 1
    for i in (3, 7, 11):
        alone = cox(frame, FORMULA, penalizer=path.penalizers[i], l1_ratio=1.0)
        np.testing.assert_allclose(alone.coefficients, path.coefficients[i], rtol=1e-7, atol=1e-10)
    assert len(path.tidy()) == 12 * 8
    free = cox(frame, FORMULA)
    tiny = cox_path(frame, FORMULA, penalizers=[1e-9])
    np.testing.assert_allclose(tiny.coefficients[0], free.coefficients, rtol=1e-5)


def test_factors_and_penalizers_by_column() -> None:
    frame = company()
    kept = cox_path(frame, FORMULA, steps=5, factors={name: 0.0 if name == "x3" else 1.0 for name in NAMES})
    assert kept.coefficients[0, 3] != 0
    assert (np.delete(kept.coefficients[0], 3) == 0).all()
    assert kept.coefficients[0, 3] == pytest.approx(cox(frame, "x3").coefficients[0], rel=1e-6)
    by_name = cox(frame, FORMULA, penalizer={"x0": 0.3, "x5": 0.1})
    by_place = cox(frame, FORMULA, penalizer=[0.3, 0, 0, 0, 0, 0.1, 0, 0])
    np.testing.assert_array_equal(by_name.coefficients, by_place.coefficients)
    alike = cox(frame, FORMULA, penalizer=[0.05] * 8)
    np.testing.assert_allclose(alike.coefficients, cox(frame, FORMULA, penalizer=0.05).coefficients, rtol=1e-12)
    for bad, message in (([0.1], "1 numbers for 8 columns"), ({"x9": 1.0}, "names 'x9'"), ([-1] * 8, "at least 0")):
        with pytest.raises(ArgumentError, match=message):
            cox(frame, FORMULA, penalizer=bad)
    with pytest.raises(ArgumentError, match="pass penalizer too"):
        cox(frame, FORMULA, l1_ratio=0.5)
    with pytest.raises(ArgumentError, match="smooth likelihood"):
        cox(frame, FORMULA, penalizer=0.05, l1_ratio=1.0).profile_intervals()


def test_a_path_from_flows() -> None:
    frame = company().assign(a=lambda f: (f["x0"] > 0).astype(int), b=lambda f: f["x1"].round().clip(-1, 1))
    flows = flows_of(episode_arrays(frame, "stop", "event", keep=["a", "b", "x5"]), ["a", "b", "x5"])
    from_flows = cox_path(flows, "a + b + x5", steps=6, l1_ratio=0.5)
    episodes = cox_path(frame, "a + b + x5", steps=6, l1_ratio=0.5)
    np.testing.assert_allclose(from_flows.coefficients, episodes.coefficients, rtol=1e-7, atol=1e-10)


def test_cross_validation_leaves_customers_out() -> None:
    """Against the definition, by fits of the frames without each fold and the likelihood of all at their coefficients."""
    frame = company(120, rows=2)
    options: dict[str, Any] = {"start": "begin", "customer": "customer", "ties": "breslow"}
    grid = [0.1, 0.02, 0.004]
    got = cox_cross_validate(frame, "x0 + x1 + x2", penalizers=grid, folds=4, seed=3, **options)
    fold = np.random.default_rng(3).permutation(np.arange(120) % 4)[frame["customer"]]
    spread = frame[["x0", "x1", "x2"]].std().to_numpy()
    expected = np.zeros(3)
    for k in range(4):
        part = frame[fold != k]
        for i, value in enumerate(grid):
            # The same penalty on the coefficients of columns scaled by all customers.
            ratio = spread / part[["x0", "x1", "x2"]].std().to_numpy()
            fit = cox(part, "x0 + x1 + x2", penalizer=list(value * ratio), l1_ratio=1.0, **options)
            values = []
            for rows in (frame, part):
                held = rows.assign(held=rows[["x0", "x1", "x2"]] @ fit.coefficients)
                values.append(cox(held, "x7", offset="held", **options).log_likelihood_null)
            expected[i] += -2 * (values[0] - values[1])
    np.testing.assert_allclose(got.deviance, expected / frame["event"].sum(), rtol=1e-8)
    assert got.best in grid
    assert got.one_se >= got.best
    again = cox_cross_validate(frame, "x0 + x1 + x2", penalizers=grid, folds=4, seed=3, **options)
    np.testing.assert_array_equal(got.deviance, again.deviance)
    assert list(got.tidy()) == ["penalizer", "deviance", "se", "nonzero"]


def test_cross_validation_finds_what_matters() -> None:
    frame = company(800, rows=2)
    options: dict[str, Any] = {"start": "begin", "customer": "customer"}
    chosen = cox_cross_validate(frame, FORMULA, folds=5, steps=25, **options)
    fit = cox(frame, FORMULA, penalizer=chosen.best, l1_ratio=1.0, **options)
    assert {"x0", "x1", "x5"} <= {name for name, b in zip(NAMES, fit.coefficients) if b}
    sparse = cox(frame, FORMULA, penalizer=chosen.one_se, l1_ratio=1.0, **options)
    assert {"x0", "x1"} <= {name for name, b in zip(NAMES, sparse.coefficients) if b}
    assert (sparse.coefficients == 0).sum() >= 3


def test_what_a_path_refuses() -> None:
    frame = company(60)
    flows = flows_of(episode_arrays(frame, "stop", "event", keep=["x5"]), ["x5"])
    cases: list[tuple[Any, str]] = [
        (lambda: cox_cross_validate(flows, "x5"), "flows are sums over them"),
        (lambda: cox_cross_validate(frame, "x5", folds=1), "folds must be"),
        (lambda: cox_path(frame, "x5", penalizers=[-1.0]), "numbers above 0"),
        (lambda: cox_path(frame, "x5", l1_ratio=0.0), "above 0"),
        (lambda: cox_path(frame, "x5", firth=True), "no option of a path"),
        (lambda: cox_path(frame, "x5", factors=0.0), "nothing to penalise"),
        (lambda: cox_path(frame, "x5", ties="exact"), "efron"),
    ]
    for call, message in cases:
        with pytest.raises(ArgumentError, match=message):
            call()
