"""The Cox engine's short cuts give what the long way gives."""

from __future__ import annotations

import math

import numpy as np
import pytest

from survival.estimate.efron_ties import efron_terms

SUMS = {
    "log": lambda c, u: np.log1p(-c * u),
    "1/D": lambda c, u: 1 / (1 - c * u),
    "c/D": lambda c, u: c / (1 - c * u),
    "1/D²": lambda c, u: 1 / (1 - c * u) ** 2,
    "c/D²": lambda c, u: c / (1 - c * u) ** 2,
    "c²/D²": lambda c, u: c * c / (1 - c * u) ** 2,
}


@pytest.mark.parametrize("share", [1.0, 1 - 1e-9, 0.999, 0.5, 1e-3, 1e-8])
@pytest.mark.parametrize("what", SUMS)
def test_efron_terms_sum_as_each_tied_event_by_itself(what: str, share: float) -> None:
    """share: E0/S0, the part of those at risk that churns. 1.0 is everybody, where D of the last one is 1/d."""
    deaths = np.array([1, 2, 64, 65, 77, 80, 81, 128, 1000, 4097, 300_001])
    which, c, count = efron_terms(deaths)
    np.testing.assert_allclose(np.bincount(which, count), deaths, rtol=1e-14)
    f = SUMS[what]
    got = np.bincount(which, count * f(c, share))
    direct = [math.fsum(f(np.arange(d) / d, share)) for d in deaths]
    np.testing.assert_allclose(got, direct, rtol=2e-13, atol=1e-300)


def test_efron_terms_do_not_grow_with_the_events() -> None:
    which, _, _ = efron_terms(np.array([10**3, 10**6, 10**9]))
    assert (np.bincount(which) < [100, 220, 340]).all()
