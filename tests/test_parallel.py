"""Threads: as many as SURVIVAL_THREADS says, and numbers that do not depend on how many."""

from __future__ import annotations

import threading
import time

import numpy as np
import pandas as pd
import pytest

from survival.errors import StructureError
from survival.estimate import parallel, partial_likelihood
from survival.estimate.cox import cox
from survival.estimate.parallel import over_rows, ranges, threads, together


def seen(tasks: int) -> int:
    """How many threads work on so many tasks."""

    def task() -> int:
        time.sleep(0.002)
        return threading.get_ident()

    return len(set(together([task] * tasks)))


@pytest.mark.parametrize("given", ["1", "2", "3"])
def test_environment_says_how_many(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("SURVIVAL_THREADS", given)
    assert threads() == int(given)
    assert seen(24) == int(given)


@pytest.mark.parametrize("given", ["", "0", "many", "-2"])
def test_else_as_many_as_cores(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("SURVIVAL_THREADS", given)
    monkeypatch.setattr("os.cpu_count", lambda: 5)
    assert threads() == 5


def test_one_thread_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SURVIVAL_THREADS", "1")
    assert set(together([threading.get_ident] * 5)) == {threading.get_ident()}


def test_ranges_depend_on_rows_and_results_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen where results are short; four where they are as long as a quarter of the rows."""
    assert ranges(1_300_000, 700) == 16
    assert ranges(1_300_000, 70_000) == 4
    assert ranges(200_000, 0) == 6
    rows = 300_001
    cuts = {}
    for given in ("1", "4"):
        monkeypatch.setenv("SURVIVAL_THREADS", given)
        cuts[given] = over_rows(lambda part: (part.start, part.stop), rows, 1000)
    assert cuts["1"] == cuts["4"]
    assert [low for low, _ in cuts["1"]] == [0, *(high for _, high in cuts["1"][:-1])]
    assert cuts["1"][-1][1] == rows
    assert all(low % 1000 == 0 for low, _ in cuts["1"])


def test_a_task_may_have_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when every thread is waiting."""

    def slow() -> int:
        time.sleep(0.001)
        return 1

    monkeypatch.setenv("SURVIVAL_THREADS", "2")
    assert together([lambda: sum(together([slow] * 6))] * 6) == [6] * 6


def test_numbers_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fit, robust variance and concordance, to the last bit; enough rows that they are cut into ranges."""
    rng = np.random.default_rng(7)
    n = 210_000
    start = np.floor(rng.random(n) * 200)
    frame = pd.DataFrame({"start": start, "stop": start + rng.integers(1, 60, n), "event": rng.random(n) < 0.03})
    frame["x"], frame["flag"], frame["customer"] = rng.normal(size=n), rng.integers(0, 2, n), np.arange(n) // 3
    found = []
    for given in ("1", "3"):
        monkeypatch.setenv("SURVIVAL_THREADS", given)
        fit = cox(frame, "x + flag", start="start", cluster="customer")
        found.append((fit.coefficients, fit.variance, fit.model_variance, fit.glance().to_numpy()))
    for one, other in zip(*found):
        assert (one == other).all()


def test_the_caller_does_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many short tasks are not left to the other threads while the caller waits for one at a time."""
    monkeypatch.setenv("SURVIVAL_THREADS", "2")
    for _ in range(3):
        by: list[int] = []

        def task(by: list[int] = by) -> None:
            time.sleep(0.002)
            by.append(threading.get_ident())

        together([task] * 24)
        assert len(by) == 24
        if by.count(threading.get_ident()) >= 8:
            return
    raise AssertionError(f"{by.count(threading.get_ident())} of 24 tasks were the caller's")


@pytest.mark.parametrize("given", ["1", "2"])
def test_what_is_wrong_with_episodes_is_said_first(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """Also where they are read beside the covariates, and without the other error behind it."""
    monkeypatch.setenv("SURVIVAL_THREADS", given)
    monkeypatch.setattr(parallel, "WORTH", 2)
    frame = pd.DataFrame(
        {"start": [0.0, 9.0, 0.0], "stop": [2.0, 3.0, 4.0], "event": [1, 1, 0], "x": [1.0, np.nan, 2.0]}
    )
    with pytest.raises(StructureError, match="'start' must be before 'stop'") as told:
        cox(frame, "x", start="start")
    assert told.value.__context__ is None
    with pytest.raises(StructureError, match="missing values: 'x' in 1 row"):
        cox(frame.assign(start=0.0), "x", start="start")


def test_sums_of_many_slots_are_the_same_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """No ties but one, late entry, strata: risk sets are summed column by column."""
    rng = np.random.default_rng(11)
    n = 400
    start = rng.random(n) * 5
    frame = pd.DataFrame({"start": start, "stop": start + rng.exponential(4, n), "event": rng.random(n) < 0.6})
    frame.loc[1, "stop"] = frame.loc[0, "stop"] = 12.0
    frame["x"], frame["y"], frame["group"] = rng.normal(size=n), rng.integers(0, 2, n), rng.integers(0, 3, n)
    one = cox(frame, "x + y", start="start", strata="group")
    monkeypatch.setattr(partial_likelihood, "WORTH", 1)
    monkeypatch.setenv("SURVIVAL_THREADS", "3")
    other = cox(frame, "x + y", start="start", strata="group")
    assert other.coefficients.tolist() == one.coefficients.tolist()
    assert other.variance.tolist() == one.variance.tolist()
