"""Dominance sums against their definition, and a concordance of many events whose memory does not grow with the data."""

from __future__ import annotations

import tracemalloc
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from survival.estimate import dominance as module
from survival.estimate.concordance import concordance
from survival.estimate.dominance import Points, Queries, Turned, dominance
from survival.estimate.risk_sets import episode_risk_sets

seeds = st.integers(0, 2**31)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(0, 40), st.integers(1, 30), st.integers(0, 60), st.sampled_from([0, 1, 2, 5]))
def test_sums_are_those_of_the_definition(seed: int, e: int, levels: int, m: int, bits: int) -> None:
    """Below sums, and what points hear, of queries in three parts; groups of one point to groups of all."""
    rng = np.random.default_rng(seed)
    points = Points(rng.integers(0, levels, e), rng.normal(size=e), levels)
    place = np.sort(rng.integers(0, e + 1, m))
    level, other = rng.integers(0, levels + 1, (2, m))
    weight = rng.normal(size=m)
    sums, parts = [], []
    with mock.patch.object(module, "_BITS", (bits, bits)):
        for part in np.array_split(np.arange(m), 3):
            query = Queries(place[part], ((level[part], 1.0), (other[part], -1.0)), weight[part])
            (below,), (heard,) = dominance(points, [query])
            sums.append(below)
            parts.append(heard)
    before = np.arange(e) < place[:, None]
    first, second = (points.level < at[:, None] for at in (level, other))
    expected = (before * (first * 1.0 - second) * points.weight).sum(axis=1)
    np.testing.assert_allclose(np.concatenate(sums), expected, atol=1e-12)
    reached = ~before * ((points.level >= level[:, None]) * 1.0 - (points.level >= other[:, None]))
    np.testing.assert_allclose(Turned.total(parts, points), weight @ reached, atol=1e-12)


def test_memory_is_a_few_numbers_a_row() -> None:
    """Beside the score: the order of the rows, one result, and tables that depend on the number of event times."""
    rng = np.random.default_rng(3)
    n = 400_000
    start = rng.random(n) * 300
    stop = start + rng.random(n) * 60
    sets = episode_risk_sets(start, stop, rng.random(n) < 0.05, np.ones(n))
    score, unit = rng.normal(size=n), np.arange(n) // 4
    tracemalloc.start()
    try:
        found = concordance(sets, score, np.ones(n), unit)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.standard_error == pytest.approx(0.002, rel=0.2)
    assert peak < 60 * n
