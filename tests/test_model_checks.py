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
from survival.estimate.risk_groups import risk_groups
from survival.flows.frames import episode_arrays, flows_of
from survival.report.diagnostics_wording import form_of

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


def company(customers: int, seed: int, rate) -> pd.DataFrame:  # type: ignore[no-untyped-def]
    """Customers with a number of seats and a flag, whose daily hazard is `rate(seats, flag)`, watched for 200 days."""
    rng = np.random.default_rng(seed)
    seats = np.round(np.exp(rng.normal(1.5, 1.0, customers))) + 1
    flag = rng.integers(0, 2, customers)
    days = np.ceil(rng.exponential(1 / rate(seats, flag)))
    return pd.DataFrame(
        {
            "customer": np.arange(customers), "start": 0.0, "stop": np.minimum(days, 200.0), "event": (days <= 200).astype(int),
            "seats": seats, "flag": flag,
        }
    )  # fmt: skip


def fit_of(frame: pd.DataFrame, formula: str = "seats + flag") -> sv.CoxFit:
    return sv.cox(frame, formula, start="start", customer="customer", robust=True)


def test_a_number_that_acts_by_its_logarithm_bends_and_its_logarithm_does_not() -> None:
    frame = company(4000, 5, lambda seats, flag: np.exp(-5 - 0.6 * np.log(seats) + 0.5 * flag))
    bent = functional_form(fit_of(frame), "seats")
    assert bent.p < 1e-6
    assert bent.bend > 0.2
    row = {"events": 1000, "p": bent.p, "bend": bent.bend, **dict(zip(("rise_low", "rise_high"), bent.rises))}
    assert form_of({**row, **dict(zip(("low", "middle", "high"), bent.quantiles))}) == "flattens"
    straight = functional_form(fit_of(frame.assign(seats=np.log(frame["seats"]))), "seats")
    assert straight.p > 0.05
    # The spline and the dots find the truth, -0.6 log(seats), where the line does not.
    truth = -0.6 * np.log(bent.curve["value"])
    gap = bent.curve["spline"] - truth
    assert np.ptp(gap[bent.curve["value"].between(*bent.quantiles[::2])]) < 0.3
    assert np.ptp((bent.bins["log_ratio"] + 0.6 * np.log(bent.bins["mean"]))[1:-1]) < 0.5
    assert np.ptp(bent.bins["log_ratio"]) > 1


def test_what_the_model_leaves_out_is_seen_in_the_groups_of_risk() -> None:
    frame = company(4000, 6, lambda seats, flag: np.exp(-5.5 + np.where(flag == 1, 0.5 - 0.08 * seats, 0.04 * seats)))
    assert risk_groups(fit_of(frame)).overall.p < 1e-4
    assert risk_groups(fit_of(frame, "seats * flag")).overall.p > 0.01


def test_a_ratio_that_changes_with_tenure_is_seen_in_the_periods_only() -> None:
    frame = company(6000, 7, lambda seats, flag: np.exp(-5.2 + 0 * seats))
    rng = np.random.default_rng(1)
    early = rng.exponential(1 / np.exp(-5.2 + np.where(frame["flag"] == 1, 0.9, -0.9)))
    late = 60 + rng.exponential(1 / np.exp(-5.2 - np.where(frame["flag"] == 1, 0.9, -0.9)))
    days = np.ceil(np.where(early <= 60, early, late))
    frame = frame.assign(stop=np.minimum(days, 200.0), event=(days <= 200).astype(int))
    found = risk_groups(fit_of(frame, "flag"), periods=2)
    assert len(found.groups) == 2
    assert found.overall.df == 0, "a model of one flag fits both of its groups exactly"
    assert np.isnan(found.overall.p)
    np.testing.assert_allclose(found.groups["ratio"], 1, atol=1e-6)
    assert found.by_period is not None
    assert found.by_period.p < 1e-10
    assert found.by_period.df == 1


@pytest.mark.parametrize("number", CASES)
def test_cutting_and_shuffling_episodes_changes_nothing(number: int) -> None:
    _, fit = fitted(number)
    middle = np.floor((DATA["start"] + DATA["stop"]) / 2)
    cut = middle > DATA["start"]
    pieces = pd.concat(
        [DATA.assign(stop=np.where(cut, middle, DATA["stop"]), event=np.where(cut, 0, DATA["event"])), DATA[cut].assign(start=middle[cut])]
    ).sample(frac=1, random_state=2)  # fmt: skip
    again = sv.cox(pieces, fit.options.formula, start="start", customer="customer", ties=fit.options.ties,
                   strata=list(fit.options.strata), robust=True)  # fmt: skip
    one, two = (customer_influence(f) for f in (fit, again))
    place = {c: i for i, c in enumerate(two.customer)}
    close(one.dfbeta, two.dfbeta[[place[c] for c in one.customer]], rtol=1e-6)
    people = [customer_residuals(f).set_index("customer").sort_index() for f in (fit, again)]
    pd.testing.assert_frame_equal(*people, rtol=1e-6)
    forms = [functional_form(f, "seats") for f in (fit, again)]
    assert forms[0].statistic == pytest.approx(forms[1].statistic, rel=1e-5)
    pd.testing.assert_frame_equal(forms[0].bins, forms[1].bins, rtol=1e-6)
    groups = [risk_groups(f) for f in (fit, again)]
    pd.testing.assert_frame_equal(groups[0].cells, groups[1].cells, rtol=1e-6)
    assert groups[0].overall.statistic == pytest.approx(groups[1].overall.statistic, rel=1e-5)


def test_leaving_a_customer_out_does_what_dfbeta_says() -> None:
    case, fit = fitted(0)
    influence = customer_influence(fit)
    i = list(influence.customer).index(case["strongest"])
    close(fit.coefficients - influence.dfbeta[i], case["left"], rtol=0.2)
    left = sv.cox(DATA[DATA["customer"] != case["strongest"]], fit.options.formula, start="start", customer="customer")
    close(left.coefficients, case["left"])
    close(influence.without()[i], np.exp(-influence.dfbeta[i]))


def test_bins_hold_every_value_once_in_order() -> None:
    due = np.array([60.0, 1, 1, 1, 30, 30, 5, 5])
    bins = bins_of(due, 400)
    assert bins[0] == 0
    assert (np.diff(bins) >= 0).all()
    assert bins.max() + 1 == np.unique(bins).size <= 12
    assert bins_of(np.ones(100), 40).max() + 1 == 4
    np.testing.assert_allclose(np.bincount(bins_of(np.ones(120), 1e6)), 10)


def test_knots_are_at_different_values() -> None:
    assert knots_of(np.arange(101.0), np.ones(101), 50).tolist() == [10, 50, 90]
    assert len(knots_of(np.arange(101.0), np.ones(101), 500)) == 4
    heavy = knots_of(np.array([0.0, 1, 2, 3]), np.array([97.0, 1, 1, 1]), 500)
    assert len(heavy) == 3
    assert heavy[0] < heavy[1] < heavy[2]
    columns = spline_columns(np.array([-5.0, 200.0, 300.0, 400.0]), np.array([10.0, 50.0, 90.0]))
    assert columns[0, 0] == 0
    assert columns[3, 0] - columns[2, 0] == pytest.approx(columns[2, 0] - columns[1, 0]), "linear beyond the last knot"


def test_what_cannot_be_checked_is_refused_by_name() -> None:
    _, fit = fitted(0)
    with pytest.raises(ArgumentError, match="has 2 values"):
        functional_form(fit, "flag")
    with pytest.raises(ArgumentError, match="'seat' has no estimate"):
        functional_form(fit, "seat")
    from_flows = sv.cox(sv_flows(), "flag")
    for check in (customer_influence, customer_residuals, risk_groups, expected_churns):
        with pytest.raises(ArgumentError, match="fit the frame of episodes"):
            check(from_flows)


def sv_flows() -> sv.Flows:
    arrays = episode_arrays(DATA, "stop", "event", "start", customer="customer", keep=["flag"])
    return flows_of(arrays, ["flag"])
