"""Adjusted curves against R: survfit(fit, newdata) averaged, weighted survfit, the delta method and the jackknife written out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from survival.estimate.adjusted import AdjustedCurves, adjusted_curves
from survival.estimate.cox import cox

HERE = Path(__file__).parent / "references"
PLANS = ["basic", "pro", "starter"]
OF_CUSTOMER: dict[str, Any] = {"start": "start", "customer": "customer", "spell": "spell"}


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return pd.read_csv(HERE / "adjusted.csv")


@pytest.fixture(scope="module")
def r() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "adjusted.json").read_text())
    return found


def at(made: AdjustedCurves, r: dict[str, Any], column: str = "retention") -> np.ndarray:
    """(group, tenure), as a matrix of R is read."""
    assert made.groups == PLANS[: len(made.groups)]
    return made.at(r["tenures"])[column].to_numpy(float).reshape(len(made.groups), -1)


@pytest.mark.parametrize(
    ("key", "formula", "options"),
    [
        ("formula", "plan + segment + seats", {}),
        ("formula_breslow", "plan + segment + seats", {"ties": "breslow"}),
        ("strata", "segment + seats", {"strata": "plan"}),
        ("interaction", "plan * segment + log(seats)", {}),
    ],
)
def test_conditional_is_the_mean_of_survfit_over_all_customers(
    data: pd.DataFrame, r: dict[str, Any], key: str, formula: str, options: dict[str, Any]
) -> None:
    fit = cox(data, formula, **OF_CUSTOMER, **options)
    assert at(adjusted_curves(fit, data, "plan"), r) == pytest.approx(np.array(r[key]), rel=1e-9)


def test_another_population(data: pd.DataFrame, r: dict[str, Any]) -> None:
    fit = cox(data, "plan + segment + seats", **OF_CUSTOMER)
    large = data[data["segment"] == "large"]
    made = adjusted_curves(fit, data, "plan", reference=large)
    assert at(made, r) == pytest.approx(np.array(r["large"]), rel=1e-9)
    a_row_each = large.drop_duplicates("customer")[["segment", "seats"]]
    assert at(adjusted_curves(fit, data, "plan", reference=a_row_each), r) == pytest.approx(at(made, r), rel=1e-13)
    assert "reference" in made.standardised_to


def test_average_is_the_mean_over_the_own_customers(data: pd.DataFrame, r: dict[str, Any]) -> None:
    fit = cox(data, "plan + segment + seats", **OF_CUSTOMER)
    assert at(adjusted_curves(fit, data, "plan", method="average"), r) == pytest.approx(
        np.array(r["average"]), rel=1e-9
    )


@pytest.mark.parametrize(("key", "ties"), [("formula", "efron"), ("formula_breslow", "breslow")])
def test_standard_errors_of_the_model(data: pd.DataFrame, r: dict[str, Any], key: str, ties: str) -> None:
    fit = cox(data, "plan + segment + seats", **OF_CUSTOMER, ties=ties, robust=False)
    made = adjusted_curves(fit, data, "plan")
    assert made.variance == "model"
    # R's slopes are numerical derivatives.
    assert at(made, r, "se") == pytest.approx(np.array(r[f"{key}_se"]), rel=2e-6)


def test_a_population_of_one_kind_has_the_standard_error_of_survfit(data: pd.DataFrame, r: dict[str, Any]) -> None:
    fit = cox(data, "plan + segment + seats", **OF_CUSTOMER, robust=False)
    one = pd.DataFrame({"segment": ["mid", "mid"], "seats": [5, 5]})
    made = adjusted_curves(fit, data, "plan", reference=one)
    assert at(made, r)[1] == pytest.approx(r["single"]["retention"], rel=1e-9)
    assert at(made, r, "se")[1] == pytest.approx(r["single"]["se"], rel=1e-9)


@pytest.mark.parametrize(
    ("key", "formula", "options"),
    [
        ("formula_robust", "plan + segment + seats", {"ties": "breslow"}),
        ("formula_robust_efron", "plan + segment + seats", {"ties": "efron"}),
        ("strata_robust", "segment + seats", {"strata": "plan", "ties": "breslow"}),
    ],
)
def test_robust_standard_errors_are_the_jackknife_of_coefficients_and_baseline(
    data: pd.DataFrame, r: dict[str, Any], key: str, formula: str, options: dict[str, Any]
) -> None:
    """Customers have two spells: refitting with each customer's weight moved, their spells together."""
    fit = cox(data, formula, **OF_CUSTOMER, **options)
    made = adjusted_curves(fit, data, "plan")
    assert made.variance == "robust"
    assert at(made, r, "se") == pytest.approx(np.array(r[key]["se"]), rel=2e-6)
    pairs = made.differences(r["tenures"]).tidy()
    first = pairs[(pairs["cohort_a"] == "basic") & (pairs["cohort_b"] == "pro")]
    assert first["se"].to_numpy() == pytest.approx(r[key]["difference_se"], rel=2e-6)


@pytest.mark.parametrize(("key", "plans"), [("two", PLANS[:2]), ("three", PLANS)])
def test_marginal_is_the_weighted_survfit(data: pd.DataFrame, r: dict[str, Any], key: str, plans: list[str]) -> None:
    mine = data[data["plan"].isin(plans)]
    fit = cox(mine, "plan + segment + seats", **OF_CUSTOMER)
    made = adjusted_curves(fit, mine, "plan", method="marginal")
    # R's multinom stops a little before the maximum.
    tolerance = {"two": 1e-9, "three": 1e-6}[key]
    assert at(made, r) == pytest.approx(np.array(r[key]["retention"]), rel=tolerance)
    assert at(made, r, "se") == pytest.approx(np.array(r[key]["se"]), rel=tolerance)
