"""Firth's penalised likelihood from its definition, maximised by another program: strata, late entry, ties, an offset, separation.

The information is the numerical second derivative of a plain log likelihood, so that nothing is shared with the engine, nor with the R
script behind `test_cox_inference.py::test_firth`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

from survival.errors import SeparationError
from survival.estimate.cox import cox

SMALL = 1e-30  # of a step into the complex plane: derivatives without cancellation


def company(seed: int, n: int = 45) -> pd.DataFrame:
    """Late entry, whole-day ties, two regions with hazards of their own, an offset; nobody with `safe` churns."""
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 4, n).astype(float)
    stop = start + rng.integers(1, 7, n)
    frame = pd.DataFrame(
        {"start": start, "stop": stop, "region": rng.choice(["a", "b"], n), "known": rng.normal(size=n) / 2}
    )
    frame["usage"], frame["event"] = rng.normal(size=n).round(2), rng.random(n) < 0.6
    frame["safe"] = (~frame["event"] & (rng.random(n) < 0.5)).astype(float)
    return frame


def log_likelihood(frame: pd.DataFrame, ties: str) -> Callable[[np.ndarray], complex]:
    """Of beta (2,), real or complex: stratum after stratum, event time after event time, tied event after tied event."""
    sets = []
    for _, part in frame.groupby("region"):
        x, o = part[["usage", "safe"]].to_numpy(), part["known"].to_numpy()
        start, stop, event = (part[name].to_numpy() for name in ("start", "stop", "event"))
        for time in np.unique(stop[event]):
            at_risk, lost = (start < time) & (time <= stop), event & (stop == time)
            sets.append((x[at_risk], o[at_risk], lost[at_risk]))

    def value(beta: np.ndarray) -> complex:
        total: complex = 0.0
        for x, o, lost in sets:
            linear = x @ beta + o
            risk, deaths = np.exp(linear), int(lost.sum())
            total += linear[lost].sum()
            for i in range(deaths):
                share = i / deaths if ties == "efron" else 0.0
                total -= np.log(risk.sum() - share * risk[lost].sum())
        return total

    return value


def information(value: Callable[[np.ndarray], complex], beta: np.ndarray) -> np.ndarray:
    """Minus the second derivative: central differences of exact first derivatives."""
    unit, h = np.eye(beta.size), 1e-5

    def gradient(at: np.ndarray) -> np.ndarray:
        return np.array([value(at + 1j * SMALL * e).imag / SMALL for e in unit])

    found = np.array([(gradient(beta - h * e) - gradient(beta + h * e)) / (2 * h) for e in unit])
    return (found + found.T) / 2


@pytest.mark.parametrize(("seed", "ties"), [(1, "efron"), (2, "breslow")])
def test_the_maximum_is_that_of_the_definition(seed: int, ties: str) -> None:
    frame = company(seed)
    options: dict[str, Any] = {"start": "start", "strata": "region", "offset": "known", "ties": ties}
    with pytest.raises(SeparationError, match="safe"):
        cox(frame, "usage + safe", **options)
    ours = cox(frame, "usage + safe", firth=True, **options)
    plain = log_likelihood(frame, ties)

    def penalised(beta: np.ndarray) -> float:
        return plain(beta).real + float(np.linalg.slogdet(information(plain, beta))[1]) / 2

    close = {"xatol": 1e-8, "fatol": 1e-13}
    theirs = optimize.minimize(lambda beta: -penalised(beta), np.zeros(2), method="Nelder-Mead", options=close)
    np.testing.assert_allclose(ours.coefficients, theirs.x, rtol=1e-5, atol=1e-6)
    assert ours.log_likelihood == pytest.approx(-theirs.fun, rel=1e-9)
    assert ours.log_likelihood_null == pytest.approx(penalised(np.zeros(2)), rel=1e-9)
    np.testing.assert_allclose(ours.variance, np.linalg.inv(information(plain, ours.coefficients)), rtol=1e-6)
