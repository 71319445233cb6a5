"""Cox models equal R's survival, on ties, weights, late entry, strata, several rows a customer, rounded times."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from survival.estimate.cox import cox
from survival.estimate.cox_fit import CoxFit

REFERENCE = json.loads((Path(__file__).parent / "references" / "cox.json").read_text())
CASES = list(REFERENCE["cases"])
CLOSE = 1e-8  # relative; R stops at a relative change of 1e-14, so both are at the maximum
COVARIATES = {
    "messy": "usage + flag + plan",
    "fractional": "usage + flag",
    "heart": "age + year + surgery + transplant",
    "rossi": "fin + age + prio",
    "recur": "age + treat",
}


def frame(name: str) -> pd.DataFrame:
    return pd.DataFrame(REFERENCE["data"][name])


def fitted(name: str) -> tuple[dict[str, Any], CoxFit]:
    case = REFERENCE["cases"][name]
    data = case["data"][0]
    recurrent = data == "recur"
    fit = cox(
        frame(data),
        COVARIATES[data],
        start="start",
        customer=None if recurrent else "customer",
        cluster="customer" if recurrent else None,
        strata="region" if case["strata"][0] else (),
        weights="weight" if case["weighted"][0] else None,
        ties=case["ties"][0],
        robust=case["robust"][0],
    )
    return case, fit


def assert_close(ours: Any, theirs: Any, tolerance: float = CLOSE, scale: float | None = None) -> None:
    theirs = np.asarray(theirs, float)
    ours = np.asarray(ours, float)
    assert ours.shape == theirs.shape
    size = np.abs(theirs[np.isfinite(theirs)]).max(initial=0.0) if scale is None else scale
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * 1e-3 + 1e-9 * size)


@pytest.mark.parametrize("name", CASES)
def test_estimates(name: str) -> None:
    case, fit = fitted(name)
    tidy, glance = fit.tidy(), fit.glance().iloc[0]
    assert_close(tidy["coef"], case["coef"])
    assert_close(tidy["se"] ** 2, np.diag(case["naive"]))
    assert_close(fit.variance, case["var"])
    assert_close(fit.model_variance, case["naive"])
    if case["robust"][0]:
        assert_close(tidy["robust_se"] ** 2, np.diag(case["var"]))
    else:
        assert tidy["robust_se"].isna().all()
    assert_close([glance["log_likelihood_null"], glance["log_likelihood"]], case["loglik"], 1e-11)
    assert_close(glance["score_statistic"], case["score"][0])
    assert_close(glance["wald_statistic"], case["wald"][0])
    assert_close(glance["lr_statistic"], case["lr"][0])
    assert glance["df"] == len(case["coef"])


@pytest.mark.parametrize("name", CASES)
def test_concordance(name: str) -> None:
    case, fit = fitted(name)
    glance = fit.glance().iloc[0]
    assert_close(glance["concordance"], case["concordance"][0], 1e-12)
    assert_close(glance["concordance"], case["concordance_coxph"][0], 1e-12)
    assert_close(glance["concordance_se"], case["concordance_se"][0], 1e-10)


@pytest.mark.parametrize("transform", ["km", "identity", "log", "rank"])
@pytest.mark.parametrize("name", CASES)
def test_proportional_hazards(name: str, transform: str) -> None:
    case, fit = fitted(name)
    table = fit.proportional_hazards(transform)
    reference = case["zph"][transform]
    assert list(table["covariate"]) == [*fit.names, "GLOBAL"]
    assert_close(table["statistic"], reference["statistic"])
    assert_close(table["df"], reference["df"], 0)
    assert_close(table["p"], reference["p"])


@pytest.mark.parametrize("name", CASES)
def test_baseline_at_zero(name: str) -> None:
    case, fit = fitted(name)
    ours, theirs = fit.baseline(), case["baseline"]
    assert list(ours["stratum"]) == theirs["stratum"]
    assert_close(ours["tenure"], theirs["time"], 1e-12)
    assert_close(ours["cumulative_hazard"], theirs["cumhaz"])
    assert_close(ours["se"], theirs["std.err"])
    np.testing.assert_allclose(ours["survival"], np.exp(-ours["cumulative_hazard"]), rtol=1e-14)
    by_stratum = ours.groupby("stratum")["hazard"].cumsum()
    np.testing.assert_allclose(by_stratum, ours["cumulative_hazard"], rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in CASES if "prediction" in REFERENCE["cases"][name]])
def test_survival_of_a_row(name: str) -> None:
    case, fit = fitted(name)
    reference = case["prediction"]
    row = pd.DataFrame(reference["row"])
    ours = fit.predict_survival(row, tenures=reference["time"])
    assert_close(ours["survival"], reference["surv"])
    # R's std.err is of the cumulative hazard.
    assert_close(ours["se"] / ours["survival"], reference["std.err"])
    assert_close(ours["ci_lower"], reference["lower"])
    assert_close(ours["ci_upper"], reference["upper"])


@pytest.mark.parametrize("name", [name for name in CASES if "path" in REFERENCE["cases"][name]])
def test_survival_along_a_path(name: str) -> None:
    case, fit = fitted(name)
    reference = case["path"]
    path = pd.DataFrame(reference["path"])
    ours = fit.predict_survival(path, tenures=reference["time"])
    assert_close(ours["survival"], np.exp(-np.asarray(reference["cumhaz"])))
    if path["usage"].nunique() == 1:
        # On a path that changes R 3.5 takes the last piece's covariates for the whole past: see the
        # numerical derivative in test_cox_prediction.py instead.
        assert_close(ours["se"] / ours["survival"], reference["std.err"])


@pytest.mark.parametrize("name", [name for name in CASES if "smooth" in REFERENCE["cases"][name]])
def test_smoothed_effects(name: str) -> None:
    case, fit = fitted(name)
    curves = fit.time_varying_effects(points=40)
    for j in range(2):
        ours = curves[curves["covariate"] == fit.names[j]]
        estimate, half = case["smooth"]["estimate"][j], np.array(case["smooth"]["half"][j])
        assert_close(ours["estimate"], estimate, scale=10 * np.abs(estimate).max())
        assert_close((ours["ci_upper"] - ours["ci_lower"]) / 2, half)
        assert ours["tenure"].is_monotonic_increasing


RESIDUALS = [name for name in CASES if "residuals" in REFERENCE["cases"][name]]


@pytest.mark.parametrize("name", RESIDUALS)
def test_residuals_by_episode(name: str) -> None:
    case, fit = fitted(name)
    reference = case["residuals"]
    assert_close(fit.residuals("martingale")["martingale"], reference["martingale"])
    assert_close(fit.residuals("deviance", by="episode")["deviance"], reference["deviance"])
    assert_close(fit.residuals("deviance")["deviance"], reference["deviance_by_customer"])
    for kind in ("score", "dfbeta"):
        assert_close(fit.residuals(kind)[list(fit.names)].to_numpy().T, reference[kind])


@pytest.mark.parametrize("name", RESIDUALS)
def test_residuals_by_event(name: str) -> None:
    case, fit = fitted(name)
    for kind in ("schoenfeld", "scaled_schoenfeld"):
        ours = fit.residuals(kind)[list(fit.names)].to_numpy()
        theirs = np.array(case["residuals"][kind]).T
        assert_close(ours.sum(axis=0), theirs.sum(axis=0), scale=np.abs(theirs).sum())
        # R leaves the order of tied events open: compare within each time and stratum, sorted.
        assert_close(np.sort(ours, axis=0), np.sort(theirs, axis=0), scale=np.abs(theirs).max())
