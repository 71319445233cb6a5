"""Risks that differ by factors of a million billion: offsets, strata of other scales, rare flags, rows of weight 0."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from survival.errors import ArgumentError, SeparationError
from survival.estimate.cox import cox, cox_univariable
from survival.estimate.strata_sums import after, before
from survival.flows.frames import episode_arrays, flows_of


def people(n: int = 400, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.integers(0, 5, n).astype(float), "flag": rng.integers(0, 2, n)})
    wait, stay = rng.exponential(60 * np.exp(-0.3 * frame["x"])), rng.uniform(5, 120, n)
    frame["stop"], frame["event"] = np.ceil(np.minimum(wait, stay)), (wait <= stay).astype(int)
    return frame.assign(stratum=rng.choice(["a", "b", "c"], n), start=0.0)


def test_running_sums_of_strata_are_those_of_each_by_itself() -> None:
    rng = np.random.default_rng(0)
    lengths = [1, 5, 2, 64, 1, 33, 7]
    last = np.repeat(np.cumsum(lengths) - 1, lengths)
    for shape in ((last.size,), (last.size, 3)):
        values = rng.normal(size=shape) * np.repeat(10.0 ** np.arange(0, 21, 3), lengths).reshape(
            -1, *[1] * (len(shape) - 1)
        )
        parts = np.split(values, np.cumsum(lengths)[:-1])
        earlier = [np.concatenate([0 * part[:1], np.cumsum(part, axis=0)[:-1]]) for part in parts]
        later = [np.cumsum(part[::-1], axis=0)[::-1] - part for part in parts]
        np.testing.assert_allclose(before(values, last), np.concatenate(earlier), rtol=1e-14)
        scale = np.repeat([np.abs(part).sum() for part in parts], lengths).reshape(-1, *[1] * (len(shape) - 1))
        assert (np.abs(after(values, last) - np.concatenate(later)) <= 1e-14 * scale).all()


@pytest.mark.parametrize("away", [20.0, 40.0])
def test_what_is_constant_in_a_stratum_changes_nothing(away: float) -> None:
    """An offset, or prices in other currencies, cancel within the stratum: variances, tests and residuals too."""
    frame = people()
    frame["offset"] = np.where(frame["stratum"] == "a", -away, np.where(frame["stratum"] == "b", 0.0, away / 2))
    frame["price"] = frame["x"] + frame["offset"]
    flows = flows_of(episode_arrays(frame, "stop", "event", keep=["x", "flag", "stratum", "offset"]),
                     ["x", "flag", "stratum", "offset"])  # fmt: skip
    plain = cox(frame, "x + flag", strata="stratum", robust=True)
    fits = {
        "offset": cox(frame, "x + flag", strata="stratum", offset="offset", robust=True),
        "price": cox(frame, "price + flag", strata="stratum", robust=True),
        "flows": cox(flows, "x + flag", strata="stratum", offset="offset"),
    }
    for name, fit in fits.items():
        np.testing.assert_allclose(fit.coefficients, plain.coefficients, rtol=1e-8, err_msg=name)
        np.testing.assert_allclose(fit.model_variance, plain.model_variance, rtol=1e-7, err_msg=name)
        if name != "flows":
            np.testing.assert_allclose(fit.variance, plain.variance, rtol=1e-7, err_msg=name)
            martingale = plain.residuals("martingale")["martingale"]
            np.testing.assert_allclose(fit.residuals("martingale")["martingale"], martingale, rtol=1e-7, atol=1e-9)
        tested = fit.proportional_hazards("identity")["statistic"]
        np.testing.assert_allclose(tested, plain.proportional_hazards("identity")["statistic"], rtol=1e-6, err_msg=name)
    alone = cox_univariable(frame, "x + flag", strata="stratum", offset="offset", robust=True)
    np.testing.assert_allclose(
        alone["flag"].variance, cox(frame, "flag", strata="stratum", robust=True).variance, rtol=1e-7
    )


def test_an_offset_along_a_flag_is_taken_back_by_its_coefficient() -> None:
    frame = people(2000)
    plain = cox(frame, "flag")
    for away in (-15.0, 12.0, 18.0):
        moved = cox(frame.assign(offset=away * frame["flag"]), "flag", offset="offset")
        assert moved.coefficients[0] + away == pytest.approx(plain.coefficients[0], abs=1e-7)
        assert moved.variance[0, 0] == pytest.approx(plain.variance[0, 0], rel=1e-6)


def test_risks_that_drown_others_under_late_entry_are_refused() -> None:
    """Who enters late with e^40 times the risk of the others leaves no digit of the risk sets before."""
    frame = people()
    frame["start"] = np.where(np.arange(len(frame)) % 2, np.minimum(20.0, frame["stop"] - 1), 0.0)
    frame["offset"] = 0.0
    late = frame.index[(frame["start"] == 20) & (frame["event"] == 0)][0]
    frame.loc[late, "offset"] = 40.0
    for fit in (cox, cox_univariable):
        with pytest.raises(ArgumentError, match="enter late"):
            fit(frame, "flag + x", start="start", offset="offset")
    frame.loc[late, "offset"] = 12.0  # e^12 leaves enough
    assert np.isfinite(cox(frame, "flag + x", start="start", offset="offset").variance).all()


def test_rows_of_weight_0_hide_no_separation() -> None:
    frame = pd.DataFrame(
        {
            "x": [1, 1, 1, 0, 0, 0, 3.0], "stop": [1, 2, 3, 4, 5, 6, 9.0], "event": [1, 1, 1, 0, 0, 0, 0],
            "weight": [1, 1, 1, 1, 1, 1, 0.0],
        }
    )  # fmt: skip
    for rows in (frame, frame[frame["weight"] > 0]):
        with pytest.raises(SeparationError):
            cox(rows, "x", weights="weight")


def test_the_standard_error_of_a_rare_flag_is_exact_in_many_rows() -> None:
    """The information is that of the last step's point only where no row's risk moves any more."""
    rng = np.random.default_rng(3)
    n = 150_000
    frame = pd.DataFrame({"x": rng.normal(size=n), "stop": np.ceil(rng.exponential(300, n))})
    frame["event"] = (rng.random(n) < 0.2).astype(int)
    frame["rare"] = 0.0
    frame.loc[[*frame.index[frame["event"] == 1][:2], *frame.index[frame["event"] == 0][:3]], "rare"] = 1.0
    fit, exact = cox(frame, "rare"), cox_univariable(frame, "rare")["rare"]
    assert fit.variance[0, 0] == pytest.approx(exact.variance[0, 0], rel=1e-7)
    assert fit.coefficients[0] == pytest.approx(exact.coefficients[0], rel=1e-9)
