"""Two independent Python packages give the same Cox models where they can fit them: lifelines and scikit-survival."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter, CoxTimeVaryingFitter

from survival.estimate.cox import cox

HERE = Path(__file__).parent / "references"
NAMES = ["fin", "age", "prio"]
FORMULA = "fin + age + prio"


def rossi() -> pd.DataFrame:
    frame = pd.read_csv(HERE / "cox_rossi.csv").rename(columns={"week": "stop", "arrest": "event"})
    return frame.assign(weight=1.0 + frame.index % 3)[[*NAMES, "wexp", "stop", "event", "weight"]]


def test_lifelines_with_strata_weights_and_a_robust_variance() -> None:
    frame = rossi()
    theirs = CoxPHFitter()
    options = {"precision": 1e-12, "r_precision": 1e-14}
    theirs.fit(frame, "stop", "event", weights_col="weight", strata=["wexp"], robust=True, fit_options=options)
    ours = cox(frame, FORMULA, weights="weight", strata="wexp", robust=True)
    np.testing.assert_allclose(ours.coefficients, theirs.params_[NAMES], rtol=1e-7)
    assert ours.log_likelihood == pytest.approx(theirs.log_likelihood_, rel=1e-10)


def test_lifelines_on_start_and_stop() -> None:
    heart = pd.read_csv(HERE / "cox_heart.csv")
    names = ["age", "year", "surgery", "transplant"]
    theirs = CoxTimeVaryingFitter().fit(
        heart, id_col="id", event_col="event", start_col="start", stop_col="stop", fit_options={"precision": 1e-12}
    )
    ours = cox(heart, " + ".join(names), start="start", customer="id", robust=False)
    np.testing.assert_allclose(ours.coefficients, theirs.params_[names], rtol=1e-6)
    np.testing.assert_allclose(ours.tidy()["se"], theirs.standard_errors_[names], rtol=1e-6)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("alpha", [0.0, 3.0])
def test_scikit_survival_with_ties_and_ridge(ties: str, alpha: float) -> None:
    """Its ridge is alpha / 2 x |coefficients|² of the columns as they are, log likelihood undivided by n."""
    linear = pytest.importorskip("sksurv.linear_model")
    frame = rossi()
    y = np.array(list(zip(frame["event"] == 1, frame["stop"])), dtype=[("event", bool), ("time", float)])
    model = linear.CoxPHSurvivalAnalysis(alpha=alpha, ties=ties, tol=1e-14, n_iter=200).fit(
        frame[NAMES].to_numpy(float), y
    )
    scale = frame[NAMES].std().to_numpy()
    ours = cox(frame, FORMULA, ties=ties, penalizer=list(alpha / len(frame) / scale**2))
    np.testing.assert_allclose(ours.coefficients, model.coef_, rtol=1e-6)
