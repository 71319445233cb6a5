"""Wrong arguments of Cox fits end in one ArgumentError that says what it was, what was received, and the way out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from cox_people import people

from survival.errors import ArgumentError, CollinearityError, EstimationError
from survival.estimate.cox import cox
from survival.estimate.cox_fit import CoxFit
from survival.estimate.discrete_cox import discrete_cox
from survival.estimate.hypotheses import compare_fits
from survival.estimate.risk_groups import risk_groups
from survival.flows.frames import episode_arrays, flows_of


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return people()


@pytest.fixture(scope="module")
def fit(frame: pd.DataFrame) -> CoxFit:
    return cox(frame, "x + flag")


def refused(message: str) -> Any:
    return pytest.raises(ArgumentError, match=message)


def broken(_: Any) -> Any:
    raise RuntimeError("no such table")


@pytest.mark.parametrize("role", ["stop", "event", "start", "customer", "spell", "cluster", "weights", "offset"])
def test_columns_are_named_by_text(frame: pd.DataFrame, role: str) -> None:
    for value, received in ((frame["x"], "a value of type Series"), (3, "3"), (["x"], r"\['x'\]")):
        with refused(f"{role} must be the name of a column, as text; got {received}.*{role}='{role}'"):
            cox(frame, "x", **{role: value})
    with refused("weights must be the name"):
        discrete_cox(frame, "x", weights=np.ones(len(frame)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strata": 3}, r"strata must be .* got 3\. Leave it out"),
        ({"strata": None}, r"strata must be .* got None\. Leave it out"),
        ({"strata": ["plan", 3]}, r"got \['plan', 3\]"),
        ({"event": None}, "event must be the name of a column"),
        ({"level": "a"}, "level must be between 0 and 1, such as 0.95; got 'a'"),
        ({"ties": ["efron"]}, "ties must be one of efron, breslow, exact"),
        ({"time_varying": {"x": ["a"]}}, r"time_varying of 'x' must be .*cuts such as \[90, 365\]; got \['a'\]"),
        ({"time_varying": {"x": [[1, 2], [3]]}}, "time_varying of 'x' must be"),
        ({"time_varying": {"x": lambda _: "late"}}, r"term 'x'\) must take an array .*ValueError"),
        ({"time_varying": {"x": lambda tenure: tenure[:2]}}, r"function of 'x:f\(tenure\)' \(term 'x'\)"),
    ],
)
def test_options(frame: pd.DataFrame, options: dict[str, Any], message: str) -> None:
    with refused(message):
        cox(frame, "x", **options)


def test_a_function_of_tenure_that_fails_is_the_cause(frame: pd.DataFrame) -> None:
    with refused(
        r"function of 'plan\[T.pro\]:broken\(tenure\)' \(term 'plan'\).*RuntimeError: no such table"
    ) as caught:
        cox(frame, "plan", time_varying={"plan": broken})
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"offset": "zz"}, "offset='zz' is no column of the flows' patterns; there are: flag"),
        ({"stop": "other"}, "flows have no column stop='other'.*Leave stop out"),
        ({"event": "other"}, "flows have no column event='other'"),
    ],
)
def test_flows(frame: pd.DataFrame, options: dict[str, Any], message: str) -> None:
    counted = flows_of(episode_arrays(frame, "stop", "event", "start", keep=["flag"]), ["flag"])
    for model in (cox, discrete_cox):
        with refused(message):
            model(counted, "flag", **options)
    assert cox(counted, "flag", stop="stop", event="event").events == frame["event"].sum()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1, 2]] * 300, "covariate 'c' must hold a number or a text in each row; it has values of type list"),
        (np.arange(300) + 1j, "covariate 'c' holds complex numbers"),
        ((np.arange(300) + 1j).astype(object), "covariate 'c' holds complex numbers"),
        (np.arange(300) * 1e200, "too large for arithmetic: 'c'; divide"),
        (np.arange(300) % 2 * 1e-160, "the values of 'c' are too small for arithmetic: multiply them"),
        (np.arange(300) % 2 * 1e-320, "the values of 'c' are too small for arithmetic: multiply them"),
    ],
)
def test_values_of_a_covariate(frame: pd.DataFrame, values: Any, message: str) -> None:
    wrong = frame.assign(c=pd.Series(list(values), index=frame.index))
    for model in (cox, discrete_cox):
        with refused(message):
            model(wrong, "x + c")


@pytest.mark.parametrize("options", [{"strata": "parts"}, {"customer": "parts"}, {"cluster": "parts"}])
def test_lists_tell_no_groups_apart(frame: pd.DataFrame, options: dict[str, Any]) -> None:
    with refused("one of 'parts' holds lists or the like .*numbers or text"):
        cox(frame.assign(parts=[[1]] * len(frame)), "x", **options)


@pytest.mark.parametrize("names", [["plan"], ("plan",), np.array(["plan"]), pd.Index(["plan"]), {"plan"}])
def test_any_list_of_names_is_a_list_of_strata(frame: pd.DataFrame, names: Any) -> None:
    assert cox(frame, "x", strata=names) == cox(frame, "x", strata="plan")


def test_terms_too_large_and_what_is_just_not(frame: pd.DataFrame) -> None:
    with refused(r"too large for arithmetic: 'np.exp\(x \* 200\)'"):
        cox(frame, "flag + np.exp(x * 200)")
    plain = cox(frame, "x").tidy()
    for scale in (1e140, 1e-140):
        other = cox(frame.assign(x=frame["x"] * scale), "x").tidy()
        np.testing.assert_allclose(other[["z", "p"]], plain[["z", "p"]], rtol=1e-8)
        np.testing.assert_allclose(other[["coef", "se"]] * scale, plain[["coef", "se"]], rtol=1e-8)


def test_what_is_asked_of_a_fit(frame: pd.DataFrame, fit: CoxFit) -> None:
    discrete = discrete_cox(frame, "x + flag")
    for one in (fit, discrete):
        with refused("level must be between 0 and 1, such as 0.95; got 'a'"):
            one.profile_intervals(level="a")
        with refused("3 .*there are: x, flag"):
            one.profile_intervals(3)
        with refused(r"must have 2 columns of numbers, .*got \[\['a'\]\]"):
            one.hypothesis([["a"]])
        with refused("value must be 1 numbers, one for each row; got 'a'"):
            one.hypothesis([[1, 0]], value="a")
        with refused("value='a' goes with a matrix"):
            one.hypothesis("x", value="a")
    for tenures in ("a", ["a"], [[1, 2], [3]]):
        with refused("tenures must be a list of days"):
            fit.predict_survival(frame[:2], tenures)
    with refused(r"given_tenure must be .*got \[1, 2\]"):
        fit.predict_survival(frame[:2], [3], given_tenure=[1, 2])  # type: ignore[arg-type]


@pytest.mark.parametrize("groups", ["a", 0, 1, 2.5, True])
def test_groups_of_risk(fit: CoxFit, groups: Any) -> None:
    with refused(f"groups must be a whole number of at least 2; got {groups!r}. Leave it out"):
        risk_groups(fit, groups=groups)
    with refused("periods must be a whole number of at least 1; got 0"):
        risk_groups(fit, periods=0)


# ---- nested fits ----


def test_fits_that_cannot_be_compared(frame: pd.DataFrame, fit: CoxFit) -> None:
    with refused("needs at least two fits; got 1"):
        compare_fits(fit)
    with refused(r"compares fits of cox\(...\); got 'a'"):
        compare_fits(fit, "a")  # type: ignore[arg-type]
    with refused(
        "got a value of type DiscreteFit. Fits of discrete_cox: test what the larger one adds by its hypothesis"
    ):
        compare_fits(*(discrete_cox(frame, formula) for formula in ("x", "x + flag")))  # type: ignore[arg-type]


def test_one_coefficient_is_nested_in_one_for_each_period(frame: pd.DataFrame, fit: CoxFit) -> None:
    """The same as by the data cut at the periods' ends."""
    periods = cox(frame, "x + flag", time_varying={"flag": [5, 10]})
    table = compare_fits(fit, periods)
    assert list(table["model"]) == ["x + flag", "x + flag, flag by period of tenure (cut at 5, 10)"]
    edges = [0.0, 5.0, 10.0, np.inf]
    pieces = []
    for k in range(3):
        held = frame[frame["stop"] > edges[k]]
        until = np.minimum(held["stop"], edges[k + 1])
        of_period = {f"in_{j}": held["flag"] * (j == k) for j in range(3)}
        pieces.append(
            held.assign(start=edges[k], stop=until, event=held["event"] & (until == held["stop"]), **of_period)
        )
    cut = pd.concat(pieces, ignore_index=True)
    by_hand = compare_fits(*(cox(cut, f"x + {terms}", start="start") for terms in ("flag", "in_0 + in_1 + in_2")))
    columns = ["log_likelihood", "df", "statistic", "df_change", "p"]
    np.testing.assert_allclose(table[columns], by_hand[columns], rtol=1e-8)
    assert table["df_change"].iloc[1] == 2
    with refused(r"'x \+ flag, flag by period of tenure \(cut at 5, 10\)' is not nested in 'x \+ flag'"):
        compare_fits(periods, fit)


def test_models_that_change_with_tenure_are_told_apart(frame: pd.DataFrame, fit: CoxFit) -> None:
    fading = cox(frame, "x + flag", time_varying={"flag": "log"})
    table = compare_fits(fit, fading)
    assert list(table["model"]) == ["x + flag", "x + flag, flag with log of tenure"]
    assert table["statistic"].iloc[1] == pytest.approx(2 * (fading.log_likelihood - fit.log_likelihood), rel=1e-9)
    periods = cox(frame, "x + flag", time_varying={"flag": [5, 10]})
    with refused("flag with log of tenure' is not nested in 'x .* flag by period of tenure"):
        compare_fits(fading, periods)


def test_formulas_of_several_parts_and_weights_that_are_no_numbers(frame: pd.DataFrame) -> None:
    with refused(r"'x \| flag' has several parts"):
        cox(frame, "x | flag")
    for weight, size in ((1e300, "large"), (1e-300, "small")):
        with refused(f"the weights 'w' are too {size} for arithmetic"):
            cox(frame.assign(w=weight), "x", weights="w")
    moderate = cox(frame.assign(w=1e90), "x", weights="w", robust=False)
    np.testing.assert_allclose(moderate.coefficients, cox(frame, "x").coefficients, rtol=1e-9)


def test_columns_that_firths_penalty_cannot_tell_apart_are_named(frame: pd.DataFrame) -> None:
    with pytest.raises(CollinearityError, match="flag") as collinear:
        cox(frame.assign(twice=2.0 * frame["flag"]), "x + flag + twice", firth=True)
    assert collinear.value.covariates == ("twice",)
    dropped = cox(
        frame.assign(twice=2.0 * frame["flag"]), "x + flag + twice", firth=True, not_estimable="drop", robust=False
    )
    np.testing.assert_allclose(dropped.coefficients[:2], cox(frame, "x + flag", firth=True).coefficients, rtol=1e-7)


def test_a_message_names_ten_columns_and_counts_the_others(frame: pd.DataFrame) -> None:
    """Numbers read as text are a level each."""
    with pytest.raises(EstimationError, match=r"and \d+ more") as raised:
        cox(frame.assign(x=frame["x"].astype(str)), "x")
    assert len(raised.value.covariates) > 50
    assert len(str(raised.value)) < 1600
