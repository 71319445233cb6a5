"""Residuals from flows are those of the episodes, added up by pattern, or by pattern and event time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from survival.errors import ArgumentError, EstimationError
from survival.estimate.cox import cox
from survival.estimate.cox_fit import CoxFit
from survival.flows.frames import episode_arrays, flows_of, pattern_codes

seeds = st.integers(0, 2**31)
ties = st.sampled_from(["efron", "breslow"])
few = settings(max_examples=15, deadline=None)
BY = ["x", "flag", "region", "size"]
NAMES = ["x", "flag"]


def company(seed: int, customers: int = 40) -> pd.DataFrame:
    """Episodes with late entry, ties, changing covariates, weights, an offset and two regions."""
    rng = np.random.default_rng(seed)
    rows = []
    for customer in range(customers):
        cuts = np.sort(rng.choice(np.arange(13), rng.integers(2, 5), replace=False)).astype(float)
        churned, region, size = rng.random() < 0.7, rng.choice(["a", "b"]), float(rng.integers(0, 2))
        weight = rng.integers(1, 5) / 2
        for i, (start, stop) in enumerate(pairwise(cuts)):
            event = churned and i == cuts.size - 2
            rows.append((customer, start, stop, event, rng.integers(0, 3), rng.integers(0, 2), region, size, weight))
    return pd.DataFrame(rows, columns=["customer", "start", "stop", "event", "x", "flag", "region", "size", "weight"])


def both(frame: pd.DataFrame, **options: Any) -> tuple[CoxFit, CoxFit, np.ndarray]:
    """The fit to the frame, that from its flows, and each row's pattern; small random data often separate: rejected."""
    arrays = episode_arrays(frame, "stop", "event", "start", weights="weight", customer="customer", keep=BY)
    codes, patterns = pattern_codes(arrays.columns, BY, len(arrays))
    flows = flows_of(arrays, codes=codes, patterns=patterns)
    given_frame: dict[str, Any] = {"start": "start", "customer": "customer", "weights": "weight", "robust": False}
    chosen = {"strata": "region", "offset": "size", **options}
    try:
        return cox(frame, "x + flag", **given_frame, **chosen), cox(flows, "x + flag", **chosen), codes
    except EstimationError:
        reject()


def assert_close(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(np.asarray(ours, float), np.asarray(theirs, float), rtol=1e-6, atol=1e-7)


@few
@given(seeds, ties)
def test_sums_by_pattern(seed: int, method: str) -> None:
    frame = company(seed)
    episodes, flows, codes = both(frame, ties=method)
    weight = frame["weight"].to_numpy()
    made = flows.residuals("martingale")
    assert made["pattern"].tolist() == list(range(codes.max() + 1))
    assert_close(made["events"], np.bincount(codes, weight * frame["event"]))
    martingale = np.bincount(codes, weight * episodes.residuals("martingale")["martingale"])
    assert_close(made["martingale"], martingale)
    assert abs(made["martingale"].sum()) < 1e-8 * weight.sum()
    for kind, factor in (("score", weight), ("dfbeta", np.ones(len(frame)))):
        theirs = [np.bincount(codes, factor * column) for column in episodes.residuals(kind)[NAMES].to_numpy().T]
        assert_close(flows.residuals(kind)[NAMES].T, theirs)
    events = np.bincount(codes, weight * frame["event"])
    expected = events - martingale
    half = np.where(events > 0, events * np.log(np.where(events > 0, events, 1) / np.maximum(expected, 1e-300)), 0.0)
    assert_close(
        flows.residuals("deviance")["deviance"], np.sign(martingale) * np.sqrt(np.maximum(2 * (half - martingale), 0))
    )


def cut_everywhere(frame: pd.DataFrame) -> pd.DataFrame:
    """Each row as one row a day: all event times are among its ends."""
    days = [
        row._replace(start=float(day), stop=float(day + 1), event=row.event and day + 1 == row.stop)
        for row in frame.itertuples(index=False)
        for day in range(int(row.start), int(row.stop))
    ]
    return pd.DataFrame(days, columns=frame.columns)


@few
@given(seeds, ties)
def test_sums_by_pattern_and_tenure(seed: int, method: str) -> None:
    """Those of episodes cut at every day, added up by pattern and day, on the days with events."""
    frame = cut_everywhere(company(seed, 30))
    episodes, flows, codes = both(frame, ties=method)
    weight = frame["weight"]
    keys = [frame["region"], frame["stop"], pd.Series(codes)]
    martingale = episodes.residuals("martingale")["martingale"]
    parts = {"at_risk": weight, "events": weight * frame["event"], "martingale": weight * martingale}
    score = episodes.residuals("score")[NAMES].mul(weight, axis=0)
    theirs = pd.DataFrame(parts).join(score).groupby(keys).sum()
    theirs = theirs[theirs["events"].groupby(level=[0, 1]).transform("sum") > 0]
    made = flows.residuals("martingale", by="tenure").join(flows.residuals("score", by="tenure")[NAMES])
    assert made["stratum"].tolist() == theirs.index.get_level_values(0).tolist()
    assert made["tenure"].tolist() == theirs.index.get_level_values(1).tolist()
    assert made["pattern"].tolist() == theirs.index.get_level_values(2).tolist()
    assert_close(made[theirs.columns], theirs)
    whole = flows.residuals("martingale")["martingale"]
    assert_close(np.bincount(made["pattern"], made["martingale"], minlength=len(whole)), whole)


@few
@given(seeds, ties)
def test_schoenfeld_has_a_row_for_events_alike(seed: int, method: str) -> None:
    frame = company(seed)
    episodes, flows, codes = both(frame, ties=method)
    happened = np.flatnonzero(frame["event"])
    order = happened[np.lexsort((happened, frame["stop"].iloc[happened], frame["region"].iloc[happened]))]
    for kind in ("schoenfeld", "scaled_schoenfeld"):
        theirs = episodes.residuals(kind).assign(pattern=codes[order]).drop(columns="customer")
        grouped = theirs.groupby(["stratum", "tenure", "pattern"])
        made = flows.residuals(kind).set_index(["stratum", "tenure", "pattern"])
        assert made.index.tolist() == grouped.size().index.tolist()
        assert made["events"].tolist() == grouped.size().tolist()
        assert_close(made[NAMES], grouped[NAMES].first())
        assert_close(made[NAMES], grouped[NAMES].last())


def test_what_flows_do_not_hold_is_refused() -> None:
    _, flows, _ = both(company(4))
    for by in ("customer", "episode"):
        with pytest.raises(ArgumentError, match=f"not by '{by}': flows are sums over customers"):
            flows.residuals("dfbeta", by=by)
    with pytest.raises(ArgumentError, match="residuals are of events; leave `by` out"):
        flows.residuals("schoenfeld", by="pattern")
    frame = company(4)
    arrays = episode_arrays(frame, "stop", "event", "start", customer="customer", keep=BY)
    cut = cox(flows_of(arrays, BY), "x + flag", time_varying={"x": "identity"})
    for kind in ("score", "schoenfeld"):
        with pytest.raises(ArgumentError, match="with time_varying has no residuals by pattern"):
            cut.residuals(kind)
