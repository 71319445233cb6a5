"""Tests of proportional hazards of columns that vary at one event time only: nothing is said, and never from rounding."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from survival.estimate.cox import cox, cox_univariable
from survival.estimate.cox_fit import CoxFit

TRANSFORMS = ["km", "identity", "log", "rank"]


def once() -> pd.DataFrame:
    """f is 1 for three who are there at one event time only."""
    stop = [4.0, 4, 4, 4, 7, 9, 11, 12, 13, 14]
    event = [1, 0, 0, 1, 1, 0, 1, 1, 1, 0]
    return pd.DataFrame({"f": [1] * 3 + [0] * 7, "start": [2.0] * 3 + [0.0] * 7, "stop": stop, "event": event})


def company(seed: int, n: int = 60) -> pd.DataFrame:
    """The flag of three among many, beside a number; plan is the flag and another level together."""
    rng = np.random.default_rng(seed)
    stop, event = rng.integers(5, 40, n).astype(float), rng.integers(0, 2, n)
    many = pd.DataFrame({"x": rng.normal(size=n), "f": 0, "start": 0.0, "stop": stop, "event": event})
    few = pd.DataFrame({"x": [0.1, 0.3, -0.3], "f": 1, "start": 2.0, "stop": 4.0, "event": [1, 0, 0]})
    last = pd.DataFrame({"x": [-0.3], "f": 0, "start": 0.0, "stop": 4.0, "event": 1})
    frame = pd.concat([many, few, last], ignore_index=True)
    return frame.assign(plan=np.where(frame["f"] == 1, "trial", np.where(frame.index % 3 == 0, "pro", "basic")))


def by_definition(frame: pd.DataFrame, fit: CoxFit, columns: list[str], tested: list[int]) -> float:
    """The score test of x * time of the `tested` columns beside all of x, from the covariance of each risk set (Breslow)."""
    x = frame[columns].to_numpy(float)
    risk = np.exp(x @ fit.coefficients)
    times = frame.loc[frame["event"] == 1, "stop"]
    score, info = np.zeros(2 * len(columns)), np.zeros((2 * len(columns),) * 2)
    for i, time in times.items():
        there = ((frame["start"] < time) & (frame["stop"] >= time)).to_numpy()
        z = np.hstack((x, x * (time - times.mean())))
        mean = np.average(z[there], axis=0, weights=risk[there])
        score += z[frame.index.get_loc(i)] - mean
        info += np.cov(z[there].T, aweights=risk[there], ddof=0)
    keep = [*range(len(columns)), *(len(columns) + j for j in tested)]
    return float(score[keep] @ np.linalg.pinv(info[np.ix_(keep, keep)], rcond=1e-9) @ score[keep])


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_alone_it_cannot_be_tested(transform: str) -> None:
    for terms in (False, True):
        table = cox(once(), "f", start="start").proportional_hazards(transform, terms=terms)
        assert table["df"].tolist() == [0.0, 0.0]
        assert table[["statistic", "p"]].isna().all(axis=None)
    alone = cox_univariable(company(0), "x + f", start="start")["f"].proportional_hazards(transform)
    assert alone["p"].isna().all()


@pytest.mark.parametrize("seed", range(4))
def test_beside_others_these_are_tested(seed: int) -> None:
    frame = company(seed)
    fit = cox(frame, "x + f", start="start", ties="breslow")
    table = fit.proportional_hazards("identity")
    expected = by_definition(frame, fit, ["x", "f"], [0])
    np.testing.assert_allclose(table["statistic"], [expected, np.nan, expected], rtol=1e-8)
    assert table["df"].tolist() == [1.0, 0.0, 1.0]
    np.testing.assert_allclose(table["p"], stats.chi2.sf(table["statistic"], 1), rtol=1e-12)
    for transform in TRANSFORMS:
        table = fit.proportional_hazards(transform)
        assert np.isnan(table["statistic"][1])
        assert table["df"].tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_a_term_is_tested_over_what_is_left_of_it(unit: float) -> None:
    frame = company(1).assign(x=lambda d: unit * d["x"], trial=lambda d: d["f"], pro=lambda d: (d["plan"] == "pro") * 1)
    fit = cox(frame, "x + plan", start="start", ties="breslow")
    table = fit.proportional_hazards("identity", terms=True).set_index("term")
    plain = cox(frame.assign(x=frame["x"] / unit), "x + pro + trial", start="start", ties="breslow")
    columns = ["x", "pro", "trial"]
    expected = [by_definition(frame.assign(x=frame["x"] / unit), plain, columns, part) for part in ([0], [1], [0, 1])]
    np.testing.assert_allclose(table["statistic"], expected, rtol=1e-7)
    assert table["df"].tolist() == [1.0, 1.0, 2.0]


def test_two_event_times_are_enough_however_close() -> None:
    """Among many others: a flag that varies at two times next to each other, far from the first, has its test."""
    rng = np.random.default_rng(5)
    n = 3_000
    frame = pd.DataFrame({"f": 0, "start": 0.0, "stop": rng.permutation(n) + 1.0, "event": 1})
    few = pd.DataFrame({"f": 1, "start": 2_000.0, "stop": [2_001.0, 2_002, 2_002], "event": [1, 0, 0]})
    frame = pd.concat([frame, few], ignore_index=True)
    fit = cox(frame, "f", start="start", ties="breslow")
    table = fit.proportional_hazards("identity")
    assert table["df"].tolist() == [1.0, 1.0]
    own = frame[frame["stop"].between(2_001, 2_002) | (frame["stop"] > 2_002)].assign(
        event=lambda d: d["event"] * (d["stop"] <= 2_002)
    )
    np.testing.assert_allclose(
        table["statistic"], cox(own, "f", start="start", ties="breslow").proportional_hazards("identity")["statistic"],
        rtol=1e-6,
    )  # fmt: skip
