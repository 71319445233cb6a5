"""Firth's penalised likelihood from its definition, maximised by another program: strata, late entry, ties, an offset, separation.

The information is the numerical second derivative of a plain log likelihood, so that nothing is shared with the engine, nor with the R
script behind `test_cox_inference.py::test_firth`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
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


COXPHF = json.loads((Path(__file__).parent / "references" / "cox_firth.json").read_text())
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "start_stop": ("usage + plan + safe", {"start": "start", "customer": "customer", "robust": False}),
    "two_separated": ("usage + safe + always", {"start": "start", "customer": "customer", "robust": False}),
    "help_page": ("x", {"start": "start"}),
    "help_page_log": ("x", {"start": "start", "time_varying": {"x": "log"}}),
    "help_page_three": ("x", {"stop": "time", "event": "cens"}),
    "breast": ("T + N + G + CD", {"stop": "TIME", "event": "CENS"}),
}


def close(ours: Any, theirs: Any, tolerance: float) -> None:
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs, np.float64), rtol=tolerance, atol=tolerance / 10)


@pytest.mark.filterwarnings("ignore::UserWarning")  # few events
@pytest.mark.parametrize("name", list(CASES))
def test_coxphf(name: str) -> None:
    """The R package itself: estimates, standard errors, profile intervals, penalised likelihood-ratio tests (references/cox_firth.R)."""
    (formula, options), case = CASES[name], COXPHF[name]
    frame = (
        pd.DataFrame(case["data"])
        if "data" in case
        else pd.read_csv(Path(__file__).parent / "references" / "cox_breast.csv")
    )
    ours = cox(frame.sample(frac=1.0, random_state=1), formula, ties="breslow", firth=True, **options)
    close(ours.coefficients, case["coef"], 3e-7)
    close(ours.variance, case["var"], 3e-7)
    close(2 * (ours.log_likelihood - ours.log_likelihood_null), case["likelihood_ratio"], 1e-9)
    table = ours.profile_intervals()
    close(np.log(table[["ci_lower", "ci_upper"]]), np.column_stack([case["lower"], case["upper"]]), 3e-7)
    close(table["p"], case["p"], 1e-6)


def test_a_printed_table_of_coxphf_and_two_customers_by_hand() -> None:
    """github.com/tidymodels/broom issue 1238 shows coxphf on the data of Heinze & Schemper (2001), to the digits printed;
    their section 2: of two customers the first leaves, and the estimate is log 3."""
    table = cox(
        pd.read_csv(Path(__file__).parent / "references" / "cox_breast.csv"),
        "T + N + G + CD", stop="TIME", event="CENS", ties="breslow", firth=True,
    ).profile_intervals()  # fmt: skip
    printed = np.array([[1.2244388, 1.3627461, 9.472184, 0.008225204], [0.9188882, 1.1204552, 5.832863, 0.025282830]])
    np.testing.assert_allclose(table[["coef", "ci_lower", "ci_upper", "p"]].head(2), printed, rtol=3e-7)
    pair = pd.DataFrame({"x": [1.0, 0.0], "stop": [1.0, 2.0], "event": [True, False]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert cox(pair, "x", firth=True).coefficients[0] == pytest.approx(np.log(3), rel=2e-8)
