"""A fit from flows gets the robust variance of the episodes, which pass by in batches."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from survival.errors import ArgumentError
from survival.estimate.cox import cox
from survival.estimate.cox_fit import CoxFit
from survival.flows.frames import episode_arrays, flows_of

COVARIATES = ["flag", "plan"]


def customers(n: int = 3_000, seed: int = 2) -> pd.DataFrame:
    """About three episodes each, one after the other, sorted by customer; few covariate patterns, ties, late entry."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(n), 3)
    length = rng.integers(1, 60, 3 * n)
    first = np.repeat(rng.integers(0, 100, n), 3)
    stop = first + np.cumsum(length.reshape(n, 3), axis=1).ravel()
    frame = pd.DataFrame({"customer": who, "start": (stop - length).astype(float), "stop": stop.astype(float)})
    frame["flag"] = (rng.random(3 * n) < 0.3).astype(float)
    frame["plan"] = np.repeat(rng.choice(["basic", "pro", "team"], n), 3)
    frame["region"] = np.repeat(rng.choice(["north", "south"], n), 3)
    frame["event"] = rng.random(3 * n) < 0.1 * np.exp(0.5 * frame["flag"])
    after = frame.groupby("customer")["event"].cumsum() - frame["event"]
    return frame[after == 0].reset_index(drop=True)


def both(frame: pd.DataFrame, **options: object) -> tuple[CoxFit, CoxFit]:
    arrays = episode_arrays(frame, "stop", "event", "start", customer="customer", keep=[*COVARIATES, "region"])
    flows = flows_of(arrays, [*COVARIATES, "region"])
    formula = " + ".join(COVARIATES)
    whole = cox(frame, formula, start="start", customer="customer", robust=True, **options)
    return cox(flows, formula, **options), whole


def pieces(frame: pd.DataFrame, rows: int) -> Iterator[pa.RecordBatch]:
    """Batches that cut customers in two."""
    yield from pa.Table.from_pandas(frame, preserve_index=False).to_batches(max_chunksize=rows)


@pytest.mark.parametrize("rows", [1, 7, 100_000])
@pytest.mark.parametrize("options", [{}, {"ties": "breslow"}, {"strata": "region"}])
def test_streaming_gives_the_variance_of_the_frame(rows: int, options: dict[str, object]) -> None:
    frame = customers(60 if rows == 1 else 2_000)
    fit, whole = both(frame, **options)
    robust = fit.robust_from(pieces(frame, rows))
    np.testing.assert_allclose(robust.variance, whole.variance, rtol=1e-9)
    np.testing.assert_allclose(robust.model_variance, whole.model_variance, rtol=1e-9)
    assert robust.wald_statistic == pytest.approx(whole.wald_statistic, rel=1e-9)
    pd.testing.assert_frame_equal(robust.tidy(), whole.tidy(), rtol=1e-8)
    assert not np.allclose(robust.variance, fit.variance, rtol=1e-3)  # it is another variance
    assert robust.concordance.value == pytest.approx(whole.concordance.value, rel=1e-12)
    assert robust.concordance.standard_error == pytest.approx(whole.concordance.standard_error, rel=1e-9)
    assert np.isnan(fit.concordance.standard_error)


def test_times_that_are_ties_up_to_rounding_are_found() -> None:
    frame = customers(800)
    frame["start"], frame["stop"] = frame["start"] * 0.1, frame["stop"] * 0.1
    fit, whole = both(frame)
    robust = fit.robust_from([frame[:500], frame[500:]])
    np.testing.assert_allclose(robust.variance, whole.variance, rtol=1e-9)


def test_memory_is_that_of_a_batch() -> None:
    peaks = []
    for n in (8_000, 40_000):
        frame = customers(n)
        fit, _ = both(frame)
        tracemalloc.start()
        fit.robust_from(frame[low : low + 2_000] for low in range(0, len(frame), 2_000))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]  # five times the episodes; the cells of the flows fill up a little


def test_other_episodes_and_customers_in_pieces_are_refused() -> None:
    frame = customers(500)
    fit, _ = both(frame)
    with pytest.raises(ArgumentError, match="not the episodes of the fit"):
        fit.robust_from([frame[:-50]])
    with pytest.raises(ArgumentError, match="off by"):
        fit.robust_from([frame.assign(flag=frame["flag"].to_numpy()[::-1])])
    with pytest.raises(ArgumentError, match="must follow each other"):
        fit.robust_from([frame.sort_values("start")])
    with pytest.raises(ArgumentError, match="strata that were not fitted: east"):
        both(frame, strata="region")[0].robust_from([frame.assign(region="east")])
    with pytest.raises(ArgumentError, match="'plan' is not in the frame"):
        fit.robust_from([frame.drop(columns="plan")])
    penalised = both(frame, penalizer=0.1)[0]
    with pytest.raises(ArgumentError, match="without a penalizer"):
        penalised.robust_from([frame])
