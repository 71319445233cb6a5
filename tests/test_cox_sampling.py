"""Samples of customers and of risk sets estimate what all customers do, with honest standard errors; cch equals R's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from survival.errors import ArgumentError
from survival.estimate.cox import cox
from survival.estimate.sampling import case_cohort, sample_customers, sample_risk_sets

REFERENCE = json.loads((Path(__file__).parent / "references" / "cox_discrete.json").read_text())
TRUTH = np.array([0.7, -0.5])


def company(seed: int, customers: int = 1500) -> pd.DataFrame:
    """A flag that may be raised once (two rows then), a number, late entry, few churners; hazard ratios exp(TRUTH)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=customers)
    entry = np.where(rng.random(customers) < 0.3, rng.integers(1, 10, customers), 0).astype(float)
    raised = entry + rng.exponential(20, customers)
    pressure = rng.exponential(120, customers) * np.exp(-TRUTH[1] * x)  # hazard before the flag, used up over time
    before = np.minimum(raised - entry, pressure)
    wait = entry + np.where(before < pressure, before + (pressure - before) / np.exp(TRUTH[0]), pressure)
    end = entry + rng.uniform(5, 40, customers)
    stop, event = np.minimum(wait, end), wait <= end
    base = pd.DataFrame(
        {"customer": np.arange(customers), "start": entry, "stop": stop, "event": event, "x": x, "flag": 0}
    )
    cut = raised < stop
    early = base[cut].assign(stop=raised[cut], event=False)
    late = base[cut].assign(start=raised[cut], flag=1)
    return pd.concat([base[~cut], early, late]).sort_values(["customer", "start"], ignore_index=True)


@pytest.fixture(scope="module")
def draws() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Estimates and standard errors of 120 companies, by all customers and by each sample."""
    found: dict[str, list[Any]] = {"all": [], "customers": [], "risk sets": []}
    for seed in range(120):
        frame = company(seed)
        options: dict[str, Any] = {"start": "start", "customer": "customer"}
        found["all"].append(cox(frame, "flag + x", **options).tidy())
        part = sample_customers(frame, "customer", "event", fraction=0.15, seed=seed)
        found["customers"].append(cox(part, "flag + x", weights="sampling_weight", **options).tidy())
        sets = sample_risk_sets(frame, start="start", customer="customer", controls=4, seed=seed)
        found["risk sets"].append(cox(sets.drop(columns="start"), "flag + x", strata="risk_set", ties="breslow").tidy())
    columns = {"all": "robust_se", "customers": "robust_se", "risk sets": "se"}
    return {
        name: (np.array([t["coef"] for t in tables]), np.array([t[columns[name]] for t in tables]))
        for name, tables in found.items()
    }


@pytest.mark.parametrize("name", ["all", "customers", "risk sets"])
def test_samples_are_without_bias_and_their_errors_honest(draws: dict[str, Any], name: str) -> None:
    coef, se = draws[name]
    spread = coef.std(axis=0, ddof=1)
    bias = coef.mean(axis=0) - TRUTH
    assert (np.abs(bias) < 3.5 * spread / np.sqrt(len(coef))).all(), bias
    np.testing.assert_allclose(np.sqrt((se**2).mean(axis=0)), spread, rtol=0.2)
    covered = (np.abs(coef - TRUTH) < 1.96 * se).mean(axis=0)
    assert (covered > 0.87).all()


def test_a_sample_costs_some_precision_and_no_more(draws: dict[str, Any]) -> None:
    """Unweighted, the same rows would be far off: churners are over-represented."""
    full, part, sets = (draws[name][0].std(axis=0) for name in ("all", "customers", "risk sets"))
    assert (part > full).all()
    assert (part < 2 * full).all()
    assert (sets < 2 * full).all()
    frame = company(1)
    sample = sample_customers(frame, "customer", "event", fraction=0.15, seed=1)
    assert len(sample) < 0.45 * len(frame)


def test_who_is_drawn_depends_on_the_customer_alone() -> None:
    frame = company(3)
    whole = sample_customers(frame, "customer", "event", fraction=0.3, seed=5)
    half = frame["customer"] % 2 == 0
    parts = [sample_customers(part, "customer", "event", fraction=0.3, seed=5) for part in (frame[half], frame[~half])]
    together = pd.concat(parts).sort_values(["customer", "start"], ignore_index=True)
    pd.testing.assert_frame_equal(together, whole)
    other = sample_customers(frame, "customer", "event", fraction=0.3, seed=6)
    assert set(other["customer"]) != set(whole["customer"])
    churners = set(frame["customer"][frame["event"]])
    assert churners <= set(whole["customer"])
    assert (whole.groupby("customer").size() == frame.groupby("customer").size()[whole["customer"].unique()]).all()
    weights = whole.drop_duplicates("customer").set_index("customer")["sampling_weight"]
    assert (weights[list(churners)] == 1).all()
    assert weights.sum() == pytest.approx(1500, rel=0.1)
    pd.testing.assert_frame_equal(
        sample_customers(frame, "customer", "event", fraction=1.0).drop(columns="sampling_weight"), frame
    )


def test_controls_are_at_risk_distinct_and_of_the_stratum() -> None:
    frame = company(4).assign(region=lambda f: f["customer"] % 3)
    sets = sample_risk_sets(frame, start="start", customer="customer", controls=5, strata="region")
    assert sets["event"].sum() == frame["event"].sum() == sets["risk_set"].nunique()
    by_set = sets.groupby("risk_set")
    assert (by_set["event"].sum() == 1).all()
    assert (by_set["customer"].nunique() == by_set.size()).all()
    assert (by_set["region"].nunique() == 1).all()
    assert (by_set.size() == 6).mean() > 0.9
    assert (by_set["stop"].nunique() == 1).all()
    assert (sets["start"] < sets["stop"]).all()
    original = frame.merge(sets, on=["customer", "start"], suffixes=("", "_set"))
    assert (original["stop"] >= original["stop_set"]).all()
    everyone = sample_risk_sets(frame.iloc[:30], start="start", customer="customer", controls=40)
    whole = cox(frame.iloc[:60], "x", start="start", customer="customer", ties="breslow", robust=False)
    every = sample_risk_sets(frame.iloc[:60], start="start", customer="customer", controls=60)
    again = cox(every.drop(columns="start"), "x", strata="risk_set", ties="breslow")
    np.testing.assert_allclose(again.coefficients, whole.coefficients, rtol=1e-8)
    assert len(everyone) <= 31 * everyone["risk_set"].nunique()


@pytest.mark.parametrize("method", ["Prentice", "SelfPrentice", "LinYing"])
def test_case_cohort_fits_are_those_of_cch(method: str) -> None:
    """R's example: the National Wilms' Tumour Study."""
    ours = {"Prentice": "prentice", "SelfPrentice": "self-prentice", "LinYing": "lin-ying"}[method]
    frame = pd.DataFrame(REFERENCE["nwtco"])
    options: dict[str, Any] = {"subcohort": "sub", "customer": "seqno", "stop": "edrel", "event": "rel"}
    size = REFERENCE["cohort_size"][0]
    fit = case_cohort(frame, "advanced + unfavourable + age", cohort_size=size, method=ours, **options)
    case = REFERENCE["cohorts"][method]
    np.testing.assert_allclose(fit.coefficients, case["coef"], rtol=1e-8)
    np.testing.assert_allclose(fit.variance, case["var"], rtol=1e-7, atol=1e-12)
    cut = frame.assign(start=0.0)
    middle = cut["edrel"] / 2
    two = pd.concat([cut.assign(edrel=middle, rel=0), cut.assign(start=middle)])
    pieces = case_cohort(two, "advanced + unfavourable + age", cohort_size=size, method=ours, start="start", **options)
    np.testing.assert_allclose(pieces.coefficients, fit.coefficients, rtol=1e-8)
    np.testing.assert_allclose(pieces.variance, fit.variance, rtol=1e-7, atol=1e-12)


def test_what_samples_refuse() -> None:
    frame = company(5, 200)
    cases: list[tuple[Any, str]] = [
        (lambda: sample_customers(frame, "customer", "event", fraction=0), "fraction must be above 0"),
        (lambda: sample_customers(frame.assign(sampling_weight=1), "customer", "event", fraction=0.5), "another with weight="),
        (lambda: sample_risk_sets(frame, start="start", controls=0), "controls must be"),
        (lambda: sample_risk_sets(frame.assign(risk_set=1), start="start", controls=1), "another with risk_set="),
        (lambda: case_cohort(frame.assign(sub=False), "x", subcohort="sub", cohort_size=200, customer="customer", start="start"),
         "outside the subcohort and did not leave"),
        (lambda: case_cohort(frame.assign(sub=True), "x", subcohort="sub", cohort_size=20, customer="customer", start="start"),
         "cohort_size=20 is less than"),
    ]  # fmt: skip
    for call, message in cases:
        with pytest.raises(ArgumentError, match=message):
            call()
