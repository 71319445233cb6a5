"""Survival along covariate paths: against numerical derivatives, and relations that must hold."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from survival.errors import ArgumentError, StructureError
from survival.estimate.cox import cox
from survival.estimate.cox_fit import CoxFit
from survival.estimate.partial_likelihood import evaluate, sum_over_events
from survival.estimate.risk_sets import RiskSets, episode_risk_sets


def company(seed: int = 4, customers: int = 150) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for customer in range(customers):
        cuts = np.sort(rng.choice(np.arange(2, 40), rng.integers(2, 5), replace=False))
        region = rng.choice(["a", "b"])
        for i, (start, stop) in enumerate(pairwise(cuts)):
            event = rng.random() < 0.6 and i == cuts.size - 2
            rows.append((customer, start, stop, event, rng.normal(), rng.integers(0, 2), region))
    return pd.DataFrame(rows, columns=["customer", "start", "stop", "event", "x", "flag", "region"])


PATH = pd.DataFrame(
    {"customer": 9, "start": [4, 10, 20], "stop": [10, 20, 30], "x": [0.5, -1.0, 2.0], "flag": [0, 1, 1], "region": "a"}
)


def fitted(frame: pd.DataFrame, **options: object) -> CoxFit:
    return cox(frame, "x + flag", start="start", customer="customer", **{"robust": False, **options})


def path_hazard(sets: RiskSets, x: np.ndarray, beta: np.ndarray, until: float) -> tuple[float, float]:
    """Cumulative hazard of PATH from 4 to `until`, and the variance of the hazard's own increments, at a given beta."""
    at = evaluate(sets, x, sum_over_events(sets, x), beta)
    assert at is not None
    total = own = 0.0
    for slot in np.flatnonzero(sets.deaths > 0):
        time = sets.slot_time[slot]
        piece = PATH[(PATH["start"] < time) & (time <= PATH["stop"])]
        if len(piece) and time <= until:
            risk = float(np.exp(piece[["x", "flag"]].to_numpy(float)[0] @ beta - at.shift))
            total += risk * at.moments.d1[slot]
            own += risk**2 * at.moments.d2[slot]
    return total, own


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_standard_error_on_a_changing_path_is_the_delta_method(ties: str) -> None:
    """Var H = own part + g' V g with g = dH/dbeta, taken numerically: the baseline moves with beta too."""
    frame = company()
    fit = fitted(frame, ties=ties)
    sets = episode_risk_sets(
        frame["start"].to_numpy(float), frame["stop"].to_numpy(float), frame["event"].to_numpy(bool),
        np.ones(len(frame)), efron=ties == "efron",
    )  # fmt: skip
    x, h = frame[["x", "flag"]].to_numpy(float), 1e-5
    for until in (9.0, 18.0, 30.0):
        total, own = path_hazard(sets, x, fit.coefficients, until)
        slope = np.array(
            [
                (
                    path_hazard(sets, x, fit.coefficients + e, until)[0]
                    - path_hazard(sets, x, fit.coefficients - e, until)[0]
                )
                / (2 * h)
                for e in np.eye(2) * h
            ]
        )
        ours = fit.predict_survival(PATH, [until]).iloc[0]
        assert ours["customer"] == 9
        assert ours["survival"] == pytest.approx(np.exp(-total), rel=1e-9)
        error = np.sqrt(own + slope @ fit.variance @ slope)
        assert ours["se"] == pytest.approx(np.exp(-total) * error, rel=1e-6)


def test_pieces_that_do_not_change_are_one_row() -> None:
    frame = company()
    fit = fitted(frame, strata="region")
    path = PATH.assign(x=0.3, flag=1)
    row = path.iloc[:1]
    whole = fit.predict_survival(path, [5, 12, 25, 35])
    one = fit.predict_survival(row, [5, 12, 25, 35])
    np.testing.assert_allclose(whole[["survival", "se", "ci_lower"]], one[["survival", "se", "ci_lower"]], rtol=1e-12)
    # The last piece goes on: the tenure 35 lies beyond both.
    longer = fit.predict_survival(path.assign(stop=[10, 20, 39]), [35])
    assert longer["survival"].iloc[0] == pytest.approx(whole["survival"].iloc[-1], rel=1e-12)


def test_conditional_survival_is_the_ratio() -> None:
    fit = fitted(company())
    whole = fit.predict_survival(PATH, [12, 20, 28]).set_index("tenure")["survival"]
    given = fit.predict_survival(PATH, [12, 20, 28], given_tenure=12).set_index("tenure")
    assert given.loc[12.0, "survival"] == 1.0
    assert np.isnan(given.loc[12.0, "ci_lower"])
    np.testing.assert_allclose(given.loc[[20, 28], "survival"], whole[[20, 28]] / whole[12], rtol=1e-12)
    before = fit.predict_survival(PATH, [11], given_tenure=12)
    assert before["survival"].isna().all()


def test_given_tenure_by_column_and_many_subjects() -> None:
    frame = company()
    fit = cox(frame, "x + flag", start="start", customer="customer", strata="region")
    people = pd.DataFrame(
        {
            "customer": ["ann", "bob", "cid"],
            "x": [0.0, 1.0, -1.0],
            "flag": [1, 0, 1],
            "region": list("aba"),
            "so_far": [5, 9, 20],
        }
    )
    table = fit.predict_survival(people, [10, 25], given_tenure="so_far")
    assert list(table["customer"]) == ["ann", "ann", "bob", "bob", "cid", "cid"]
    for who, alone in people.groupby("customer"):
        mine = fit.predict_survival(alone, [10, 25], given_tenure=float(alone["so_far"].iloc[0]))
        np.testing.assert_allclose(table[table["customer"] == who]["survival"], mine["survival"], rtol=1e-14)
    assert table[(table["customer"] == "cid") & (table["tenure"] == 10)]["survival"].isna().all()
    moved = table[table["survival"] < 1]
    assert len(moved) == 3
    assert ((moved["ci_lower"] < moved["survival"]) & (moved["survival"] < moved["ci_upper"])).all()


def test_beyond_what_was_seen_there_is_no_number() -> None:
    frame = company()
    fit = fitted(frame)
    last, first = frame["stop"].max(), frame["start"].min()
    row = frame.iloc[:1][["x", "flag"]]
    table = fit.predict_survival(row, [first - 1, first, last, last + 1]).set_index("tenure")["survival"]
    assert np.isnan(table[first - 1])
    assert table[first] == 1
    assert 0 < table[last] < 1
    assert np.isnan(table[last + 1])


def test_baseline_is_the_prediction_at_zero() -> None:
    fit = fitted(company(), strata="region")
    for stratum, part in fit.baseline().groupby("stratum"):
        zero = pd.DataFrame({"x": [0.0], "flag": [0], "region": [stratum]})
        table = fit.predict_survival(zero, part["tenure"].to_list())
        for name in ("survival", "ci_lower", "ci_upper"):
            np.testing.assert_allclose(table[name], part[name], rtol=1e-10)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"region": "c"}, ArgumentError, "strata that were not fitted"),
        ({"stop": [12, 20, 30]}, StructureError, "pieces of one path overlap"),
        ({"stop": [4, 20, 30]}, StructureError, "must start before it stops"),
        ({"x": [0.0, np.nan, 1.0]}, StructureError, "'x' in 1 row"),
    ],
)
def test_paths_that_make_no_sense(change: dict[str, object], error: type[Exception], message: str) -> None:
    fit = fitted(company(), strata="region")
    with pytest.raises(error, match=message):
        fit.predict_survival(PATH.assign(**change), [20])


def test_rows_that_make_no_sense() -> None:
    frame = company().assign(plan=lambda f: np.where(f["customer"] % 2, "pro", "basic"))
    fit = cox(frame, "x + plan", start="start", customer="customer")
    row = frame.iloc[:1][["x", "plan"]]
    with pytest.raises(ArgumentError, match="levels that were not fitted: gold"):
        fit.predict_survival(row.assign(plan="gold"), [20])
    with pytest.raises(ArgumentError, match="'plan' is not in the frame"):
        fit.predict_survival(row.drop(columns="plan"), [20])
    with pytest.raises(ArgumentError, match="given_tenure is before"):
        fit.predict_survival(row, [20], given_tenure=0)
    with pytest.raises(ArgumentError, match="tenures must be a list of days"):
        fit.predict_survival(row, [])


@pytest.mark.parametrize("x", [700.0, 1e3, 1e100, 1e149])
def test_risks_beyond_what_a_number_holds_end_in_0_or_1(x: float) -> None:
    """Without a warning (pytest makes one an error); the interval is that of the log hazard, which is all to one side."""
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"x": rng.normal(size=300), "event": rng.random(300) < 0.8})
    data["stop"] = np.ceil(rng.exponential(10 * np.exp(-0.7 * data["x"])))
    ours = cox(data, "x")
    high, low = (ours.predict_survival(pd.DataFrame({"x": [end * x]}), [5.0, 20.0]) for end in (1, -1))
    assert (high[["survival", "se", "ci_lower", "ci_upper"]] == 0).all(axis=None)
    assert (low[["survival", "ci_lower", "ci_upper"]] == 1).all(axis=None)
    assert (low["se"] < 1e-100).all()
