"""Functional form, influence, risk groups and residuals of customers: R's numbers, and relations that must hold."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import survival as sv
from survival.errors import ArgumentError
from survival.estimate.customer_residuals import customer_influence, customer_residuals, expected_churns
from survival.estimate.functional_form import bins_of, functional_form, knots_of, spline_columns
from survival.estimate.risk_groups import group_of, risk_groups

REFERENCE = json.loads((Path(__file__).parent / "references" / "cox_checks.json").read_text())
CASES = range(len(REFERENCE["cases"]))
DATA = pd.DataFrame(REFERENCE["data"])


def close(ours: Any, theirs: Any, rtol: float = 1e-7, atol: float = 1e-9) -> None:
    np.testing.assert_allclose(np.asarray(ours, float), np.array(theirs, float), rtol=rtol, atol=atol)


@cache
def fitted(number: int) -> tuple[dict[str, Any], sv.CoxFit]:
    case = REFERENCE["cases"][number]
    strata = ["region"] if case["strata"] else []
    formula = "flag + seats" if case["strata"] else "flag + seats + region"
    fit = sv.cox(DATA, formula, start="start", customer="customer", ties=case["ties"], strata=strata, robust=True)
    return case, fit


@pytest.mark.parametrize("number", CASES)
def test_residuals_of_customers_are_those_of_r(number: int) -> None:
    case, fit = fitted(number)
    close(fit.coefficients, case["coefficients"])
    ours = customer_residuals(fit)
    close(ours["churned"], case["churned"])
    close(ours["expected"], case["expected"])
    close(ours["deviance"], case["deviance"], atol=1e-7)
    assert ours["martingale"].sum() == pytest.approx(0, abs=1e-8)
    assert ours["churned"].sum() == DATA["event"].sum() == pytest.approx(ours["expected"].sum())
    first = DATA.groupby("customer")
    close(ours["entered"], first["start"].min())
    close(ours["left"], first["stop"].max())


@pytest.mark.parametrize("number", CASES)
def test_influence_of_customers_is_that_of_r(number: int) -> None:
    case, fit = fitted(number)
    ours = customer_influence(fit)
    order = np.argsort(ours.customer)
    close(ours.dfbeta[order][:60].T, case["dfbeta"])
    close(ours.in_errors[order][:60].T, case["in_errors"])
    close(np.abs(ours.in_errors).max(axis=0), case["largest"])
    close((ours.in_errors**2).sum(axis=0), np.ones(len(fit.names)))
    strongest = ours.customer[np.abs(ours.in_errors[:, 1]).argmax()]
    assert strongest == case["strongest"]


@pytest.mark.parametrize("number", CASES)
def test_the_functional_form_is_that_of_r(number: int) -> None:
    case, fit = fitted(number)
    ours = functional_form(fit, "seats", points=7)
    close(ours.knots, case["knots"])
    assert ours.df == len(case["knots"]) - 2
    assert ours.statistic == pytest.approx(case["statistic"], rel=1e-7)
    assert ours.robust
    close(ours.curve["value"], case["at"])
    close(ours.curve["linear"], case["linear"])
    close(ours.curve["spline"], case["spline"], rtol=1e-6)
    close(ours.curve["ci_upper"] - ours.curve["spline"], case["half"], rtol=1e-6)
    assert ours.bins["observed"].sum() == DATA["event"].sum() == pytest.approx(ours.bins["expected"].sum())
    # R's sums by value, added up within the bins; a bin of one value has R's ratio.
    edges = ours.bins[["lower", "upper"]].to_numpy()
    values = np.array(case["values"])
    inside = [(values >= low - 1e-9) & (values <= high + 1e-9) for low, high in edges]
    assert np.sum(inside) == values.size, "every value is in one bin"
    close(ours.bins["observed"], [np.array(case["seen"])[m].sum() for m in inside])
    close(ours.bins["expected"], [np.array(case["due"])[m].sum() for m in inside])
    single = [i for i, m in enumerate(inside) if m.sum() == 1]
    assert len(single) >= 3
    close(ours.bins["log_ratio"].iloc[single], [np.array(case["log_ratio"])[inside[i]][0] for i in single])


@pytest.mark.parametrize("number", CASES)
def test_the_groups_of_risk_are_those_of_r(number: int) -> None:
    case, fit = fitted(number)
    ours = risk_groups(fit, groups=5, periods=2)
    for name in ("observed", "expected", "days"):
        close(ours.groups[name], case[f"group_{name}"])
    close(ours.cells["observed"], case["cell_observed"])
    close(ours.cells["expected"], case["cell_expected"])
    assert ours.cells["until"].tolist()[:5] == [case["cut"]] * 5
    assert ours.overall.statistic == pytest.approx(case["group_statistic"], rel=1e-7)
    assert ours.overall.df == 4
    assert ours.by_period is not None
    assert ours.by_period.statistic == pytest.approx(case["cell_statistic"], rel=1e-7)
    assert risk_groups(fit, groups=3, periods=1).overall.statistic == pytest.approx(case["group_three"], rel=1e-7)
