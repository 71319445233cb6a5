"""Hard numbers give the right answer or a refusal by name: scales, offsets, overflow, near-collinearity, ridge."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxTimeVaryingFitter

from survival.errors import CollinearityError, ConvergenceError
from survival.estimate.cox import cox


def people(n: int = 300, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, flag = rng.normal(size=n), rng.integers(0, 2, n)
    wait = np.ceil(rng.exponential(20 * np.exp(-0.5 * x - 0.3 * flag)))
    stop = np.minimum(wait, rng.integers(5, 40, n))
    frame = pd.DataFrame(
        {"customer": np.arange(n), "start": 0.0, "stop": stop, "event": wait <= stop, "x": x, "flag": flag}
    )
    frame["plan"] = rng.choice(["basic", "pro", "trial"], n)
    return frame


def test_offsets_and_scales_leave_the_inference_alone() -> None:
    frame = people()
    base = cox(frame, "x + flag").tidy()
    for scale, offset, tolerance in (
        (1, 1e6, 1e-7),
        (1e9, 0, 1e-9),
        (1e-9, 0, 1e-9),
        (1e-9, 1e-3, 1e-7),
        (1e9, 1e15, 1e-7),
    ):
        tidy = cox(frame.assign(x=frame["x"] * scale + offset), "x + flag").tidy()
        np.testing.assert_allclose(tidy["z"], base["z"], rtol=tolerance)
        np.testing.assert_allclose(tidy["coef"] * [scale, 1], base["coef"], rtol=tolerance)


def test_a_first_step_that_overflows() -> None:
    """One enormous value among ordinary ones: exp(x beta) overflows unless it is shifted and the step halved."""
    frame = people(200)
    frame.loc[0, ["x", "stop", "event"]] = [1e5, 1.0, True]
    fit = cox(frame, "x + flag")
    assert fit._data is not None
    at = fit._data[1]
    assert np.abs(at.score).max() < 1e-6 * len(frame)
    assert np.isfinite(fit.tidy()[["coef", "se", "p"]].to_numpy()).all()


def test_forty_correlated_covariates() -> None:
    rng = np.random.default_rng(1)
    n, p = 3000, 40
    shared = rng.normal(size=(n, 1))
    x = 0.95 * shared + np.sqrt(1 - 0.95**2) * rng.normal(size=(n, p))
    wait = np.ceil(rng.exponential(30 * np.exp(-0.2 * x[:, 0])))
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(p)]).assign(stop=np.minimum(wait, 60), event=wait <= 60)
    fit = cox(frame, " + ".join(f"x{i}" for i in range(p)))
    assert fit._data is not None
    at = fit._data[1]
    assert np.abs(at.score).max() < 1e-6
    assert np.linalg.eigvalsh(fit.variance).min() > 0


def test_one_event_in_each_of_many_strata() -> None:
    """Matched sets: a conditional logistic regression; two in a set, so it is a logistic one on the difference."""
    rng = np.random.default_rng(2)
    sets = 400
    x = rng.normal(size=(sets, 2))
    first = rng.random(sets) < 1 / (1 + np.exp(-(x[:, 0] - x[:, 1])))
    frame = pd.DataFrame(
        {
            "stop": 1,
            "event": np.column_stack([first, ~first]).ravel(),
            "x": x.ravel(),
            "set": np.repeat(np.arange(sets), 2),
        }
    )
    fit = cox(frame, "x", strata="set")
    difference = np.where(first, 1, -1) * (x[:, 0] - x[:, 1])
    share = 1 / (1 + np.exp(-fit.coefficients[0] * difference))
    assert ((1 - share) * difference).sum() == pytest.approx(0, abs=1e-8)
    assert fit.model_variance[0, 0] == pytest.approx(1 / (share * (1 - share) * difference**2).sum(), rel=1e-9)


def test_near_collinearity_is_answered_or_refused() -> None:
    frame = people(500)
    noise = np.random.default_rng(9).normal(size=500)
    near = cox(frame.assign(z=frame["x"] + 1e-3 * noise), "x + z")
    other = cox(frame.assign(z=1e-3 * noise), "x + z")
    assert near.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-11)
    assert near.coefficients[1] == pytest.approx(other.coefficients[1], rel=1e-6)
    with pytest.raises(CollinearityError):
        cox(frame.assign(z=frame["x"] + 1e-7 * noise), "x + z")


def test_ridge_is_that_of_lifelines() -> None:
    frame = people(200).drop(columns="plan")
    for penalizer in (0.01, 1.0):
        ours = cox(frame, "x + flag", start="start", penalizer=penalizer).tidy()
        theirs = CoxTimeVaryingFitter(penalizer=penalizer).fit(
            frame, id_col="customer", event_col="event", start_col="start", stop_col="stop",
            fit_options={"precision": 1e-14, "step_size": 1.0},
        )  # fmt: skip
        np.testing.assert_allclose(ours["coef"], theirs.params_[["x", "flag"]], rtol=1e-6)
        np.testing.assert_allclose(ours["se"], theirs.standard_errors_[["x", "flag"]], rtol=1e-6)


def test_ridge_gives_separation_a_finite_answer() -> None:
    frame = people().assign(churny=lambda f: f["event"].astype(int))
    fit = cox(frame, "x + churny", penalizer=0.01)
    assert 0.5 < fit.coefficients[1] < 20


def test_no_convergence_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from survival.estimate import cox_fitting as module

    original = module.maximise
    monkeypatch.setattr(module, "maximise", lambda *a, **k: original(*a, **{**k, "max_iterations": 1}))
    with pytest.raises(ConvergenceError, match="did not converge: after 1 iterations"):
        cox(people(), "x")
