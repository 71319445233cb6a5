"""What was to be had from frames only: Fine and Gray's model and permutation tests from flows, equal to those of the frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from survival.errors import ArgumentError
from survival.estimate.causes import flows_by_cause, read_cause
from survival.estimate.fine_gray import fine_gray
from survival.estimate.permutation import customers_of, permutation_test
from survival.flows.frames import episode_arrays, flows_of
from survival.flows.table import Flows

R = json.loads((Path(__file__).parent / "references" / "competing.json").read_text())
SEVEN = pd.DataFrame(
    {"stop": [1, 2, 3, 4, 5, 6, 7], "event": [1, 1, 0, 1, 1, 0, 1], "cause": ["a", "b", None, "a", "b", None, "a"]}
).assign(x=[1, 0, 1, 0, 1, 1, 0])


def company(seed: int, n: int = 300, *, late: bool = False) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    x, z = random.integers(0, 2, n), random.integers(0, 3, n)
    start = random.integers(0, 15, n) if late else np.where(z == 2, 4, 0)
    stop = start + np.ceil(random.exponential(30 / (1 + 0.5 * x))).astype(int)
    limit = start + random.integers(5, 60, n)
    cause = random.choice(["price", "product", "payment"], n, p=[0.5, 0.3, 0.2])
    frame = pd.DataFrame(
        {"start": start, "stop": np.minimum(stop, limit), "event": (stop <= limit).astype(int), "x": x, "z": z}
    )
    return frame.assign(cause=np.where(frame["event"] == 1, cause, None), site=random.choice(["n", "s"], n))


def counted(frame: pd.DataFrame, by: list[str], start: str | None = "start") -> Flows:
    return flows_by_cause(*read_cause(frame, "cause", "stop", "event", start, keep=by), by)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("more", [{}, {"strata": "site"}, {"censoring_by": "site"}])
def test_fine_gray_from_flows_is_that_of_the_frame(ties: str, more: dict[str, str]) -> None:
    frame = company(1)
    given: dict[str, Any] = {"ties": ties, **more}
    expected = fine_gray(frame, "x + z", start="start", **given)
    made = fine_gray(counted(frame, ["x", "z", "site"]), "x + z", **given)
    for column in ("coef", "robust_se", "se", "ci_lower", "p"):
        np.testing.assert_allclose(made.tidy()[column], expected.tidy()[column], rtol=1e-6, atol=1e-12)
    assert made.tidy()["cause"].tolist() == expected.tidy()["cause"].tolist()
    np.testing.assert_allclose(made.glance()["log_likelihood"], expected.glance()["log_likelihood"], rtol=1e-9)
    np.testing.assert_allclose(made.glance()["wald_statistic"], expected.glance()["wald_statistic"], rtol=1e-6)


@pytest.mark.parametrize("name", ["ties", "fine"])
def test_fine_gray_from_flows_equals_r(name: str) -> None:
    frame, expected = pd.DataFrame(R["incidence"][name]["data"]), R["fine_gray"][name]
    cause = expected["cause"][0]
    flows = counted(frame, ["x", "z"], None)
    for ties in ("efron", "breslow"):
        made = fine_gray(flows, "x + z", causes=[cause], ties=ties).tidy()
        for column in ("coef", "robust_se", "se"):
            np.testing.assert_allclose(made[column], np.array(expected[ties][column], float), rtol=1e-7, atol=1e-10)


def test_late_entry_has_coefficients_and_says_why_it_has_no_robust_variance() -> None:
    frame = company(2, late=True)
    flows = counted(frame, ["x", "z"])
    with pytest.raises(ArgumentError, match="enter at several tenures, and the robust variance needs to know"):
        fine_gray(flows, "x + z")
    expected = fine_gray(frame, "x + z", start="start", robust=False).tidy()
    made = fine_gray(flows, "x + z", robust=False).tidy()
    for column in ("coef", "se"):
        np.testing.assert_allclose(made[column], expected[column], rtol=1e-6)


def test_seven_rows_by_hand() -> None:
    """Censored at 3 and 6: the chance of being observed is 1 to day 3, then 4/5, and 4/5 x 1/2 after day 6."""
    made = fine_gray(counted(SEVEN, ["x"], None), "x", causes=["a"], ties="breslow", robust=False)["a"]
    e = np.exp(float(made.tidy()["coef"].iloc[0]))
    # At 1: four with x, three without. At 4: those of 5 and 6 with x; those of 4 and 7 without, and 4/5 of who left by b at 2.
    # At 7: half of who left by b at 5 with x; who leaves then without, and 2/5 of the one of day 2.
    ones, zeros = np.array([4, 2, 1 / 2]), np.array([3, 2 + 4 / 5, 1 + 2 / 5])
    assert (np.array([1, 0, 0]) - ones * e / (ones * e + zeros)).sum() == pytest.approx(0, abs=1e-6)


def test_cost_is_of_cells_not_of_customers() -> None:
    flows = counted(company(3), ["x", "z"])
    many = Flows(
        flows.time, flows.pattern, *(1e6 * getattr(flows, n) for n in ("entered", "exited", "events", "deaths", "began", "ended")),
        flows.patterns, 10**6 * flows.customers, 10**6 * flows.episodes, flows.causes, 1e6 * flows.cause_events,
        1e6 * flows.cause_deaths,
    )  # fmt: skip
    one, million = fine_gray(flows, "x + z", ties="breslow"), fine_gray(many, "x + z", ties="breslow")
    np.testing.assert_allclose(million.tidy()["coef"], one.tidy()["coef"], rtol=1e-6)
    np.testing.assert_allclose(million.tidy()["robust_se"], one.tidy()["robust_se"] / 1000, rtol=1e-6)
    assert np.isfinite(fine_gray(many, "x + z", ties="efron").tidy()["robust_se"]).all()


def test_flows_that_cannot_be_followed_are_refused() -> None:
    moving = pd.DataFrame(
        {
            "id": [1, 1, 2],
            "start": [0, 3, 0],
            "stop": [3, 6, 5],
            "event": [0, 1, 1],
            "cause": [None, "a", "b"],
            "x": [0, 1, 0],
        }
    )
    episodes, said = read_cause(moving, "cause", "stop", "event", "start", customer="id", keep=["x"])
    with pytest.raises(ArgumentError, match="customers change their covariates"):
        fine_gray(flows_by_cause(episodes, said, ["x"]), "x")
    with pytest.raises(ArgumentError, match="do not know causes"):
        fine_gray(flows_of(episodes, ["x"]), "x")
    with pytest.raises(ArgumentError, match="flows already hold times"):
        fine_gray(counted(SEVEN, ["x"], None), "x", start="start")


@pytest.mark.parametrize("more", [{}, {"strata": "site"}, {"weighting": "max-combo"}])
def test_permutations_from_flows_are_those_of_the_customers(more: dict[str, str]) -> None:
    frame = company(4, 60)
    episodes = episode_arrays(frame, "stop", "event", "start", keep=["site", "z"])
    flows = flows_of(episodes, ["site", "z"])
    people = customers_of(flows)
    assert len(people) == len(frame)
    columns = ["site", "z", "start", "stop", "event"]
    pd.testing.assert_frame_equal(
        people[columns].sort_values(columns, ignore_index=True), frame[columns].sort_values(columns, ignore_index=True), check_dtype=False
    )  # fmt: skip
    made = permutation_test(flows, by="z", permutations=199, **more).tests[0]  # type: ignore[arg-type]
    expected = permutation_test(people, start="start", by="z", permutations=199, **more).tests[0]  # type: ignore[arg-type]
    assert (made.statistic, made.p) == (expected.statistic, expected.p)
    assert made.statistic == pytest.approx(
        permutation_test(frame, start="start", by="z", permutations=19, **more).tests[0].statistic
    )  # type: ignore[arg-type]


def test_permutations_need_to_know_who_there_is() -> None:
    frame = company(5, 60, late=True)
    flows = flows_of(episode_arrays(frame, "stop", "event", "start", keep=["z"]), ["z"])
    with pytest.raises(ArgumentError, match="do not say which there are: some enter late"):
        permutation_test(flows, by="z")
    with pytest.raises(ArgumentError, match="no counts"):
        weighted = flows_of(
            episode_arrays(company(5, 60).assign(w=0.5), "stop", "event", "start", weights="w", keep=["z"]), ["z"]
        )
        permutation_test(weighted, by="z")
