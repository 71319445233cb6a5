"""Each fit of `cox_univariable` is the model of its own term: it reads the columns of this term, and no others."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cox_people import people

from survival.estimate.adjusted import adjusted_curves
from survival.estimate.cox import cox, cox_univariable
from survival.estimate.cox_fit import CoxFit
from survival.estimate.design import term_formulas
from survival.flows.frames import episode_arrays, flows_of

TERMS = ["x", "flag", "plan", "`monthly fee`", "bs(q, df=4)", "{q ** 2}", "C(plan, Treatment('pro'))"]
READ = ["x", "flag", "plan", "monthly fee", "q", "q", "plan"]
ROLES = ["customer", "start", "stop", "event"]


def base() -> pd.DataFrame:
    frame = people().assign(q=lambda f: f["x"] + 3)
    return frame.assign(**{"monthly fee": frame["x"] + 2.0 * frame["flag"]})


@pytest.fixture(scope="module")
def fits() -> dict[str, CoxFit]:
    return cox_univariable(base(), " + ".join(TERMS), customer="customer", start="start", robust=True)


def same(mine: pd.DataFrame, other: pd.DataFrame, columns: list[str], rtol: float = 1e-9) -> None:
    np.testing.assert_allclose(mine[columns], other[columns], rtol=rtol)


@pytest.mark.parametrize(("term", "read"), list(zip(TERMS, READ)))
def test_it_is_the_fit_of_the_term_alone(fits: dict[str, CoxFit], term: str, read: str) -> None:
    frame = base()
    own = frame[["customer", read]].iloc[:25]
    name = next(name for name, text in term_formulas(" + ".join(TERMS)).items() if text == term)
    mine = fits[name]
    alone = cox(frame, term, customer="customer", start="start", robust=True)
    assert mine.options == alone.options or vars(mine.options) == vars(alone.options)
    assert (mine.names, mine.terms, mine.coding.names) == (alone.names, alone.terms, alone.coding.names)
    assert repr(mine) == repr(alone)
    predicted = mine.predict_survival(own, [5, 20])
    same(predicted, alone.predict_survival(own, [5, 20]), ["survival", "se", "ci_lower", "ci_upper"])
    assert 0 < predicted["survival"].min() < predicted["survival"].max() < 1
    given = {"frame": own, "tenures": [5, 20]}
    same(mine.partial_effects(read, **given), alone.partial_effects(read, **given), ["retention", "se"])
    back = pickle.loads(pickle.dumps(mine))
    pd.testing.assert_frame_equal(back.predict_survival(own, [5, 20]), predicted)


def test_adjusted_curves_and_streaming_read_the_term_only(fits: dict[str, CoxFit]) -> None:
    frame = base()
    own = frame[[*ROLES, "plan"]]
    alone = cox(own, "plan", customer="customer", start="start", robust=True)
    curves = [adjusted_curves(fit, own, "plan", method="conditional").tidy() for fit in (fits["plan"], alone)]
    same(curves[0], curves[1], ["retention", "se"])
    counted = flows_of(
        episode_arrays(frame, "stop", "event", "start", customer="customer", keep=["flag", "plan"]), ["flag", "plan"]
    )
    streamed = cox_univariable(counted, "flag + plan")["plan"].robust_from([own])
    np.testing.assert_allclose(streamed.variance, alone.variance, rtol=1e-9)


@pytest.mark.parametrize("varying", [{"flag": [5, 10]}, {"flag": "log"}, {"plan": [10]}])
def test_coefficients_that_change_with_tenure(varying: dict[str, Any]) -> None:
    frame = people()
    made = cox_univariable(frame, "flag + plan", customer="customer", time_varying=varying)
    for term, mine in made.items():
        own = frame[["customer", term]]
        alone = cox(
            frame,
            term,
            customer="customer",
            robust=mine.options.robust,
            time_varying=varying if term in varying else None,
        )
        assert mine.names == alone.names
        assert vars(mine.options) == vars(alone.options)
        tables = [fit.predict_survival(own.iloc[:20], [5, 20]) for fit in (mine, alone)]
        same(*tables, ["survival", "se"], 1e-8)


def test_penalizers_of_the_term_only() -> None:
    frame = people()
    made = cox_univariable(frame, "x + plan", penalizer={"plan": 0.1}, l1_ratio=0.5)
    assert vars(made["x"].options) == vars(cox(frame, "x").options)
    assert vars(made["plan"].options) == vars(cox(frame, "plan", penalizer={"plan": 0.1}, l1_ratio=0.5).options)
    assert cox_univariable(frame, "x + plan", penalizer=[0.1, 0.2, 0.3])["plan"].options.penalizer == (0.2, 0.3)


def test_an_interaction_is_coded_as_in_the_whole_formula() -> None:
    frame = people()
    made = cox_univariable(frame, "plan * flag")["plan:flag"]
    assert made.options.formula == "plan:flag"
    assert made.names == ("plan[T.pro]:flag", "plan[T.trial]:flag")  # of plan:flag alone, basic has a column too
    by_hand = frame.assign(
        pro=(frame["plan"] == "pro") * frame["flag"], trial=(frame["plan"] == "trial") * frame["flag"]
    )
    other = cox(by_hand, "pro + trial")
    rows = [made.predict_survival(frame[["plan", "flag"]][:9], [5]), other.predict_survival(by_hand[:9], [5])]
    same(*rows, ["survival", "se"])


def test_a_term_that_lost_columns_predicts_with_the_others() -> None:
    """Left out because it cannot be estimated, the column of a level is not in the predictions either."""
    frame = people()
    frame["event"] &= frame["plan"] != "trial"
    made = cox_univariable(frame, "x + plan", not_estimable="drop")["plan"]
    assert np.isnan(made.coefficients).tolist() == [False, True]
    other = cox(frame.assign(pro=frame["plan"] == "pro"), "pro")
    mine = made.predict_survival(pd.DataFrame({"plan": ["basic", "pro"]}), [5, 20])
    same(mine, other.predict_survival(pd.DataFrame({"pro": [False, True]}), [5, 20]), ["survival", "se"])


@pytest.mark.parametrize("seed", [173, 266, 542, 785, 809, 918, 1255])
def test_a_factor_of_many_levels_loses_the_same_levels_alone(seed: int) -> None:
    """30 levels in 60 rows, weights that are no counts, offsets: what rounding leaves of a level that nobody has is not a customer."""
    rng = np.random.default_rng([seed, 59])
    n = 60
    data = pd.DataFrame({"plan": rng.choice([f"plan {i:02d}" for i in range(30)], n), "usage": rng.normal(size=n)})
    data["start"], data["w"], data["o"] = rng.integers(0, 4, n) * 1.0, rng.integers(1, 4, n) + 0.5, rng.normal(size=n)
    data["stop"], data["event"] = data["start"] + rng.integers(1, 13, n), rng.random(n) < 0.6
    options: dict[str, Any] = {"offset": "o", "robust": False, "not_estimable": "drop"}
    options |= {"start": "start"} if seed % 2 else {}
    options |= {"weights": "w"} if seed % 3 else {}
    whole = cox(data.drop(columns="start" if not seed % 2 else []), "plan", **options)
    alone = cox_univariable(data.drop(columns="start" if not seed % 2 else []), "usage + plan", **options)["plan"]
    assert [f.subject for f in alone.findings] == [f.subject for f in whole.findings]
    np.testing.assert_allclose(alone.coefficients, whole.coefficients, rtol=1e-7)
    np.testing.assert_allclose(alone.variance, whole.variance, rtol=1e-6)
