"""What has no estimate is refused by name, or left out and listed; hard numbers give the right answer or a refusal."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

from survival.errors import (
    ArgumentError,
    CollinearityError,
    EstimationError,
    NoEventsError,
    SeparationError,
    StructureError,
)
from survival.estimate.cox import cox, cox_univariable
from survival.estimate.design import design, formula_variables, term_formulas, term_variables
from survival.experiment.formulas import without as without_names
from survival.flows.columns import counted
from survival.flows.frames import episode_arrays, flows_of


def people(n: int = 300, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, flag = rng.normal(size=n), rng.integers(0, 2, n)
    wait = np.ceil(rng.exponential(20 * np.exp(-0.5 * x - 0.3 * flag)))
    stop = np.minimum(wait, rng.integers(5, 40, n))
    frame = pd.DataFrame(
        {"customer": np.arange(n), "start": 0.0, "stop": stop, "event": wait <= stop, "x": x, "flag": flag}
    )
    frame["plan"] = rng.choice(["basic", "pro", "trial"], n)
    return frame


# ---- what is not estimable ----


def test_separation_names_the_flag_and_its_table() -> None:
    frame = people().assign(churny=lambda f: f["event"].astype(int))
    frame.loc[frame.index % 7 == 0, "churny"] = 1
    with pytest.raises(SeparationError, match=r"separation by 'churny'.*no finite estimate") as caught:
        cox(frame, "x + churny")
    assert caught.value.covariates == ("churny",)
    table = caught.value.table
    assert list(table["value"]) == ["= 0", "= 1"]
    assert list(table["events"]) == [0, frame["event"].sum()]
    assert table["episodes"].sum() == len(frame)
    assert list(table["episodes"]) == [(frame["churny"] == 0).sum(), (frame["churny"] == 1).sum()]
    assert caught.value.finding == "separation"


def test_separation_towards_zero_and_from_flows() -> None:
    frame = people().assign(safe=lambda f: (~f["event"] & (f["x"] > 0)).astype(int))
    with pytest.raises(SeparationError) as caught:
        cox(frame, "flag + safe")
    assert caught.value.covariates == ("safe",)
    flows = flows_of(episode_arrays(frame, "stop", "event", keep=["flag", "safe"]), ["flag", "safe"])
    with pytest.raises(SeparationError) as again:
        cox(flows, "flag + safe")
    assert again.value.covariates == ("safe",)
    assert list(again.value.table["events"]) == list(caught.value.table["events"])


def test_separation_by_a_reference_level_names_all_its_dummies() -> None:
    """No event in the reference level: every other level runs away together, and none does so alone."""
    frame = people()
    frame["event"] &= frame["plan"] != "basic"
    with pytest.raises(SeparationError) as caught:
        cox(frame, "x + plan")
    assert caught.value.covariates == ("plan[T.pro]", "plan[T.trial]")


def test_separation_along_a_combination() -> None:
    """Events lie where a - b is largest; neither a nor b separates by itself."""
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    frame = pd.DataFrame({"stop": rng.integers(1, 20, 200), "event": a - b >= 2, "a": a, "b": b})
    frame = pd.concat([frame[~frame["event"]].assign(stop=30), frame[frame["event"] & (frame["a"] - frame["b"] == 3)]])
    with pytest.raises(SeparationError) as caught:
        cox(frame, "a + b")
    assert caught.value.covariates == ("a", "b")


def test_a_number_that_separates() -> None:
    frame = people(40).assign(order=lambda f: -f["stop"], event=True)
    with pytest.raises(SeparationError) as caught:
        cox(frame, "order")
    assert caught.value.covariates == ("order",)
    assert caught.value.table["events"].sum() == 40


def test_strong_but_finite_effects_are_fitted() -> None:
    """One event on the other side keeps the estimate finite: about log odds of 1e4, and the score is zero there."""
    frame = people(4000).assign(churny=lambda f: f["event"].astype(int))
    first = frame.index[frame["event"]][0]
    frame.loc[first, "churny"] = 0
    fit = cox(frame, "churny")
    assert 5 < fit.coefficients[0] < 15
    assert fit._data is not None
    at = fit._data[1]
    assert abs(at.score[0]) < 1e-5


@pytest.mark.parametrize("value", [0, 1.5, 1e6])
def test_constant(value: float) -> None:
    with pytest.raises(CollinearityError, match="constant covariate .flat = ") as caught:
        cox(people().assign(flat=value), "x + flat")
    assert caught.value.covariates == ("flat",)


def test_single_level_of_text_is_a_constant() -> None:
    with pytest.raises(CollinearityError, match=r"plan\[T.pro\]"):
        cox(people().assign(plan="pro"), "x + plan")


def test_collinear_names_the_columns_that_reproduce_it() -> None:
    frame = people().assign(twice=lambda f: 2 * f["x"] - 3 * f["flag"] + 7)
    with pytest.raises(CollinearityError, match=r"twice = 2 x x \+ -3 x flag \(\+ a constant\)") as caught:
        cox(frame, "x + flag + twice")
    assert caught.value.covariates == ("twice",)
    assert list(caught.value.table["reproduced_by"]) == ["x", "flag"]
    np.testing.assert_allclose(caught.value.table["slope"], [2, -3], rtol=1e-8)


def test_what_strata_or_risk_sets_fix() -> None:
    frame = people()
    with pytest.raises(CollinearityError, match="all who are at risk together") as caught:
        cox(frame.assign(pro=frame["plan"] == "pro"), "x + pro", strata="plan")
    assert caught.value.covariates == ("pro",)
    assert caught.value.finding == "no-variation"
    # Varies over customers, but only where nobody leaves any more.
    late = frame["stop"] >= frame["stop"].max()
    frame = frame.assign(event=frame["event"] & ~late)
    never = frame.assign(start=np.where(late, 100.0, 0.0), stop=np.where(late, 101.0, frame["stop"]), odd=late)
    with pytest.raises(CollinearityError) as caught:
        cox(never, "x + odd", start="start")
    assert caught.value.covariates == ("odd",)


def test_drop_lists_what_is_not_estimable_and_fits_the_others() -> None:
    frame = people().assign(churny=lambda f: f["event"].astype(int), flat=1, copy=lambda f: f["x"])
    with pytest.raises(EstimationError):
        cox(frame, "x + churny + flat + copy + flag")
    fit = cox(frame, "x + churny + flat + copy + flag", not_estimable="drop")
    alone = cox(frame, "x + flag")
    tidy = fit.tidy()
    assert list(tidy["covariate"]) == ["x", "churny", "flat", "copy", "flag"]
    assert tidy.iloc[1:4][["coef", "hazard_ratio", "ci_lower", "ci_upper", "se", "z", "p"]].isna().all(axis=None)
    numbers = ["coef", "se", "p", "ci_lower", "ci_upper"]
    np.testing.assert_allclose(tidy.iloc[[0, 4]][numbers], alone.tidy()[numbers], rtol=1e-9)
    assert {(f.id, f.subject) for f in fit.findings if f.id != "start-ignored"} == {
        ("separation", "churny"), ("constant-covariate", "flat"), ("collinear", "copy"),
    }  # fmt: skip
    assert fit.glance()["df"].item() == 2
    ph = fit.proportional_hazards().set_index("covariate")
    assert ph.loc[["churny", "flat", "copy"], "p"].isna().all()
    assert ph.loc["GLOBAL", "statistic"] == pytest.approx(alone.proportional_hazards().iloc[-1]["statistic"])
    rows = frame.iloc[:3]
    pd.testing.assert_frame_equal(fit.predict_survival(rows, [5.0]), alone.predict_survival(rows, [5.0]))
    assert "separation" in repr(fit)
    singles = cox_univariable(frame, "x + flag", not_estimable="drop")
    assert set(singles) == {"x", "flag"}
    with pytest.raises(SeparationError):
        cox(frame, "churny", not_estimable="drop")


def test_no_events() -> None:
    with pytest.raises(NoEventsError, match="no events"):
        cox(people().assign(event=0), "x")
    with pytest.raises(NoEventsError):
        cox(people().assign(w=lambda f: (~f["event"]).astype(float)), "x", weights="w")


# ---- arguments and data ----


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("x + flga", r"the formula names 'flga'|'flga' is not in the frame; did you mean 'flag'"),
        ("x +", "cannot be read"),
        ("event ~ x", "without '~'"),
        ("1", "names no covariate"),
        ("nofunction(x)", "cannot be evaluated"),
    ],
)
def test_formulas(formula: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        cox(people(), formula)


def test_formula_names_nearest_pattern_column_of_flows() -> None:
    flows = flows_of(episode_arrays(people(), "stop", "event", keep=["flag"]), ["flag"])
    with pytest.raises(ArgumentError, match="did you mean 'flag'"):
        cox(flows, "flags")
    with pytest.raises(ArgumentError, match="flows have no customer"):
        cox(flows, "flag", customer="customer")
    with pytest.raises(ArgumentError, match="flows have no robust variance"):
        cox(flows, "flag", robust=True)
    with pytest.raises(ArgumentError, match="not by 'customer': flows are sums over customers"):
        cox(flows, "flag").residuals("score", by="customer")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ties": "exakt"}, "ties must be one of efron, breslow, exact; got 'exakt'"),
        ({"robust": "yes"}, "robust must be"),
        ({"penalizer": -1}, "penalizer must be"),
        ({"level": 95}, "level must be between 0 and 1"),
        ({"not_estimable": "ignore"}, "not_estimable must be"),
        ({"strata": "plam"}, "'plam' is not in the frame; did you mean 'plan'"),
        ({"spell": "customer"}, "without customer"),
    ],
)
def test_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        cox(people(), "x", **options)


def test_a_missing_stratum_is_called_a_stratum() -> None:
    with pytest.raises(StructureError, match="strata column 'plan' has missing values.*: 1 row. .*row 5"):
        cox(people().assign(plan=lambda f: f["plan"].where(f.index != 5)), "x", strata="plan")


@pytest.mark.parametrize(
    ("count", "words"), [(1, "1 event"), (0, "0 events"), (1234567, "1,234,567 events"), (0.25, "0.25 events")]
)
def test_counts_in_words(count: float, words: str) -> None:
    assert counted(count, "event") == words


def test_missing_covariates_are_counted() -> None:
    frame = people()
    frame.loc[:4, "x"] = np.nan
    frame.loc[:1, "plan"] = None
    with pytest.raises(StructureError, match="'x' in 5 rows, 'plan' in 2 rows"):
        cox(frame, "x + flag + plan")
    with pytest.raises(StructureError, match="infinite in 1 row"):
        cox(people().assign(x=lambda f: f["x"].where(f.index != 3, np.inf)), "x")
    with pytest.raises(StructureError, match=r"'np.log\(flag\)'"):
        cox(people(), "np.log(flag)")
    with pytest.raises(StructureError, match="holds dates"):
        cox(people().assign(x=pd.Timestamp("2024-01-01")), "x")


def test_text_is_coded_against_the_first_sorted_level() -> None:
    frame = people()
    fit = cox(frame, "x + plan + flag")
    assert fit.names == ("x", "plan[T.pro]", "plan[T.trial]", "flag")
    as_category = frame.assign(plan=pd.Categorical(frame["plan"], categories=["trial", "zzz", "pro", "basic"]))
    other = cox(as_category, "x + plan + flag")
    assert other.names == fit.names
    np.testing.assert_array_equal(other.coefficients, fit.coefficients)
    by_formulaic = cox(frame, "x + C(plan) + flag:x + flag + plan:flag")
    assert by_formulaic.names[:4] == ("x", "C(plan)[T.pro]", "C(plan)[T.trial]", "flag")
    dummies = frame.assign(pro=frame["plan"] == "pro", trial=(frame["plan"] == "trial").astype("boolean"))
    by_hand = cox(dummies, "x + pro + trial + flag")
    np.testing.assert_allclose(by_hand.coefficients, fit.coefficients, rtol=1e-10)
    without = cox(frame, "0 + x + plan + flag")
    np.testing.assert_allclose(without.coefficients, fit.coefficients, rtol=1e-10)


def test_names_that_a_formula_reads() -> None:
    formula = "bs(x, df=4) + plan:np.log(`odd name` + y) + center(z) + `a b` + {q ** 2} + C(seats, Treatment(2))"
    assert formula_variables(formula) == ("x", "plan", "odd name", "y", "z", "a b", "q", "seats")
    frame = people().assign(**{"odd name": lambda f: f["flag"]})
    fit = cox(frame, "bs(x, df=4) + center(`odd name`)")
    again = fit.predict_survival(frame.iloc[:20], [5.0, 9.0])
    assert again["survival"].between(0, 1, inclusive="neither").all()
    # Stateful terms are evaluated with what was fitted: the same rows alone give the same prediction.
    few = fit.predict_survival(frame.iloc[3:5], [5.0, 9.0])
    np.testing.assert_allclose(few["survival"], again["survival"].iloc[6:10], rtol=1e-12)


def test_other_frames_give_the_same_fit() -> None:
    import pyarrow as pa

    frame = people()
    base = cox(frame, "x + plan")
    table = pa.Table.from_pandas(frame)
    assert cox(table, "x + plan") == base
    assert cox({name: frame[name].to_numpy() for name in frame}, "x + plan") == base


# ---- the result ----


def test_the_result_is_immutable_comparable_and_saveable() -> None:
    frame = people()
    fit = cox(frame, "x + plan", customer="customer")
    with pytest.raises(AttributeError):
        fit.events = 3  # type: ignore[misc]
    for array in (fit.coefficients, fit.variance, fit.base.hazard):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    back = pickle.loads(pickle.dumps(fit))
    assert back == fit
    assert back != cox(frame, "x")
    pd.testing.assert_frame_equal(back.tidy(), fit.tidy())
    pd.testing.assert_frame_equal(back.baseline(), fit.baseline())
    pd.testing.assert_frame_equal(back.predict_survival(frame[:2], [3]), fit.predict_survival(frame[:2], [3]))
    with pytest.raises(ArgumentError, match="a saved fit does not carry"):
        back.residuals("score")
    with pytest.raises(ArgumentError, match="residuals must be one of martingale"):
        fit.residuals("pearson")
    with pytest.raises(ArgumentError, match="transform must be one of km"):
        fit.proportional_hazards("sqrt")


def test_columns_of_the_frames() -> None:
    fit = cox(people(), "x + plan", customer="customer", level=0.9)
    assert list(fit.tidy()) == [
        "covariate", "coef", "hazard_ratio", "ci_lower", "ci_upper", "se", "robust_se", "z", "p", "level",
    ]  # fmt: skip
    assert list(fit.glance()) == [
        "customers", "episodes", "events", "person_time", "log_likelihood_null", "log_likelihood", "lr_statistic",
        "wald_statistic", "score_statistic", "df", "p", "aic", "concordance", "concordance_se", "iterations", "ties",
    ]  # fmt: skip
    assert list(fit.baseline())[:5] == ["stratum", "tenure", "hazard", "cumulative_hazard", "survival"]
    tidy = fit.tidy()
    np.testing.assert_allclose(np.log(tidy["ci_upper"]) - tidy["coef"], 1.6448536269514722 * tidy["se"], rtol=1e-12)
    assert not fit.options.robust  # one row a customer


def test_residuals_add_up() -> None:
    frame = people().assign(w=lambda f: 1 + f["customer"] % 3)
    fit = cox(frame, "x + flag", customer="customer", weights="w")
    martingale = fit.residuals("martingale")
    assert (martingale["martingale"] * frame["w"]).sum() == pytest.approx(0, abs=1e-9)
    assert list(martingale.columns) == ["customer", "start", "stop", "event", "martingale"]
    assert np.abs((fit.residuals("score")[["x", "flag"]].T * frame["w"]).sum(axis=1)).max() < 1e-7
    schoenfeld = fit.residuals("schoenfeld")
    assert len(schoenfeld) == frame["event"].sum()
    weight = frame.set_index("customer")["w"][schoenfeld["customer"]].to_numpy()
    assert np.abs(weight @ schoenfeld[["x", "flag"]].to_numpy()).max() < 1e-7
    robust = cox(frame, "x + flag", customer="customer", weights="w", robust=True)
    dfbeta = robust.residuals("dfbeta", by="customer")[["x", "flag"]].to_numpy()
    np.testing.assert_allclose(dfbeta.T @ dfbeta, robust.variance, rtol=1e-9)


def test_one_cluster_has_no_variance_between_clusters() -> None:
    frame = pd.DataFrame({"stop": [1.0, 2, 3, 4, 5, 6], "event": 1, "x": [0, 1, 0, 1, 1, 0], "team": "a"})
    with pytest.raises(ArgumentError, match="only one unit"):
        cox(frame, "x", cluster="team")
    assert not cox(frame, "x", cluster="team", robust=False).options.robust


def test_terms_of_columns_with_odd_names_can_be_written_again() -> None:
    """A term's name has lost its quotes: one model a term, and a formula without some, need them."""
    formula = "`monthly fee` + np.log(`T-x` + 1):plan + bs(seats, df=4) + a * b"
    read = {term: set(names) for term, names in term_variables(formula).items()}
    assert read == {
        "monthly fee": {"monthly fee"}, "np.log(`T-x` + 1):plan": {"T-x", "plan"}, "bs(seats, df=4)": {"seats"},
        "a": {"a"}, "b": {"b"}, "a:b": {"a", "b"},
    }  # fmt: skip
    again = " + ".join(term_formulas(formula).values())
    assert {term: set(names) for term, names in term_variables(again).items()} == read
    assert without_names(formula, ["plan", "b"]) == "`monthly fee` + bs(seats, df=4) + a"


def _has_a_maximum(frame: pd.DataFrame, columns: np.ndarray, exact: bool) -> bool:
    """By a linear program over all pairs of who leaves and who could have left, one event after the other."""
    start, stop, event, stratum = (frame[name].to_numpy() for name in ("start", "stop", "event", "s"))
    rows = []
    for i in np.flatnonzero(event):
        there = (start < stop[i]) & (stop >= stop[i]) & (stratum == stratum[i])
        rows.append(columns[i] - columns[there & ~(exact & event & (stop == stop[i]))])
    above = np.vstack(rows)
    found = optimize.linprog(-above.sum(axis=0), A_ub=-above, b_ub=np.zeros(len(above)), bounds=(-1, 1))
    return bool(-found.fun < 1e-6)


@pytest.mark.parametrize("ties", ["efron", "breslow", "exact"])
def test_separation_is_found_where_there_is_no_maximum_and_nowhere_else(ties: str) -> None:
    """Small data with several columns, most of which separate together only, or where a tie leaves nobody."""
    seen = {True: 0, False: 0}
    for seed in range(40):
        rng = np.random.default_rng([seed, 17])
        n = int(rng.choice([10, 20, 40]))
        frame = pd.DataFrame({"x": rng.normal(size=n), "g": rng.integers(0, 2, n), "p": rng.choice(list("uvwxyz"), n)})
        frame["start"] = rng.integers(0, 4, n) * 1.0 * (seed % 2)
        frame["stop"], frame["s"] = frame["start"] + rng.integers(1, rng.choice([5, 15]), n), rng.integers(0, 2, n)
        frame["event"] = rng.random(n) < rng.choice([0.3, 0.6, 0.9])
        formula = ["x + g + p", "p + g", "x * g"][seed % 3]
        try:
            cox(frame, formula, start="start", strata="s", ties=ties, robust=False)
            found = True
        except SeparationError:
            found = False
        except (CollinearityError, NoEventsError):
            continue
        columns = np.column_stack(design(frame, formula)[0])
        assert found == _has_a_maximum(frame, columns, ties == "exact"), (seed, formula)
        seen[found] += 1
    assert min(seen.values()) >= 8
