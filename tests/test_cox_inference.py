"""Offsets, exact ties, tenure effects, hypotheses, profile intervals and Firth's penalty equal R's, or brute force."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from survival.errors import ArgumentError, SeparationError
from survival.estimate.cox import cox, cox_univariable, prepare
from survival.estimate.cox_fit import CoxFit
from survival.estimate.cox_objective import objective_of
from survival.estimate.cox_options import checked_options
from survival.estimate.hypotheses import compare_fits
from survival.flows.frames import episode_arrays, flows_of, pattern_codes
from survival.flows.table import Flows

HERE = Path(__file__).parent / "references"
REFERENCE = json.loads((HERE / "cox_inference.json").read_text())
PLAIN = {"usage": "usage", "flag": "flag", "planpro": "plan[T.pro]", "plantrial": "plan[T.trial]"}


@cache
def frame() -> pd.DataFrame:
    return pd.DataFrame(REFERENCE["data"])


def few() -> pd.DataFrame:
    return pd.DataFrame(REFERENCE["few"])


def fit(formula: str, data: pd.DataFrame | Flows | None = None, **options: Any) -> CoxFit:
    given = {"start": "start", "customer": "customer", **options} if not isinstance(data, Flows) else options
    return cox(frame() if data is None else data, formula, **given)


def assert_close(ours: Any, theirs: Any, tolerance: float = 1e-8) -> None:
    ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * 1e-2 * max(1.0, np.abs(theirs).max()))


def assert_estimates(ours: CoxFit, case: dict[str, Any], order: list[int] | None = None) -> None:
    """`order`: R's column of each of ours."""
    pick = order or list(range(len(ours.names)))
    assert_close(ours.coefficients, np.array(case["coef"])[pick])
    assert_close(ours.variance, np.array(case["var"])[np.ix_(pick, pick)])
    if "naive" in case:
        assert_close(ours.model_variance, np.array(case["naive"])[np.ix_(pick, pick)])
    assert_close([ours.log_likelihood_null, ours.log_likelihood], case["loglik"], 1e-11)
    if "score" in case:
        assert_close(ours.score_statistic, case["score"][0])
        assert_close(ours.wald_statistic, case["wald"][0])


# ---- offsets ----


@pytest.mark.parametrize("name", list(REFERENCE["offsets"]))
def test_offsets(name: str) -> None:
    case = REFERENCE["offsets"][name]
    strata = "region" if case["strata"][0] else ()
    weights = "weight" if case["weighted"][0] else None
    ours = fit(
        "usage + flag + plan",
        offset="known",
        ties=case["ties"][0],
        strata=strata,
        weights=weights,
        robust=case["robust"][0],
    )
    assert_estimates(ours, case)
    assert_close(ours.residuals("martingale")["martingale"], case["martingale"])
    assert_close(ours.residuals("score")[list(ours.names)].to_numpy().T, case["score_residuals"])
    assert_close(ours.proportional_hazards("km")["statistic"], case["zph"])
    assert_close(ours.concordance.value, case["concordance"][0], 1e-12)
    assert_close(ours.concordance.standard_error, case["concordance_se"][0], 1e-10)
    row = pd.DataFrame({"usage": [0.3], "flag": [1], "plan": ["pro"], "known": [0.7], "region": ["north"]})
    theirs = case["prediction"]
    curve = ours.predict_survival(row, theirs["time"])
    assert_close(curve["survival"], theirs["surv"])
    assert_close(curve["se"], theirs["se"])
    assert_close(curve["ci_lower"], theirs["lower"])


def test_a_constant_offset_changes_nothing_but_the_baseline() -> None:
    base = fit("usage + flag")
    moved = fit("usage + flag", frame().assign(o=1e6 + 0.0), offset="o")
    assert_close(moved.coefficients, base.coefficients, 1e-12)
    small = fit("usage + flag", frame().assign(o=2.5), offset="o")
    assert_close(small.baseline()["hazard"] * np.exp(2.5), base.baseline()["hazard"], 1e-12)
    with pytest.raises(ArgumentError, match="'knwon' is not in the frame; did you mean 'known'"):
        fit("usage", offset="knwon")


def test_an_offset_from_flows_and_as_a_coefficient_of_one() -> None:
    data = frame().assign(o=lambda f: 0.5 * f["flag"] - 0.25)
    arrays = episode_arrays(data, "stop", "event", "start", customer="customer", keep=["flag", "plan", "o"])
    codes, patterns = pattern_codes(arrays.columns, ["flag", "plan", "o"], len(arrays))
    flows = flows_of(arrays, codes=codes, patterns=patterns)
    alone = fit("flag + plan", data, robust=False)
    moved = cox(flows, "flag + plan", offset="o")
    assert_close(moved.coefficients, alone.coefficients - [0.5, 0, 0], 1e-9)
    assert_close(moved.log_likelihood, alone.log_likelihood, 1e-12)
    pd.testing.assert_frame_equal(
        moved.baseline(), fit("flag + plan", data, offset="o", robust=False).baseline(), rtol=1e-9
    )


# ---- exact ties ----

EXACT: dict[str, tuple[str, dict[str, Any]]] = {
    "start_stop": ("usage + flag + plan", {}),
    "strata": ("usage + flag", {"strata": "region"}),
    "offset": ("usage + flag", {"offset": "known"}),
    "flat": ("usage + plan", {"start": None, "customer": None}),
    "flat_strata": ("usage + flag + plan", {"start": None, "customer": None, "strata": "region", "offset": "known"}),
    "flags": ("flag + plan", {}),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", list(EXACT))
def test_exact_ties(name: str) -> None:
    formula, options = EXACT[name]
    case = REFERENCE["exact"][name]
    ours = fit(formula, frame() if "flat" in name else few(), ties="exact", **options)
    assert_estimates(ours, case)
    assert_close(ours.concordance.value, case["concordance"][0], 1e-12)
    assert not ours.options.robust


def flows_by(columns: list[str], data: pd.DataFrame | None = None) -> Flows:
    arrays = episode_arrays(
        frame() if data is None else data, "stop", "event", "start", customer="customer", keep=columns
    )
    codes, patterns = pattern_codes(arrays.columns, columns, len(arrays))
    return flows_of(arrays, codes=codes, patterns=patterns)


def test_exact_ties_from_flows() -> None:
    assert_estimates(cox(flows_by(["flag", "plan"], few()), "flag + plan", ties="exact"), REFERENCE["exact"]["flags"])


def howard(linear: np.ndarray, deaths: int) -> float:
    """log e_d by Howard's recursion, one customer after the other, in logarithms."""
    total = np.full(deaths + 1, -np.inf)
    total[0] = 0.0
    for eta in linear:
        total[1:] = np.logaddexp(total[1:], eta + total[:-1])
    return float(total[-1])


@pytest.mark.parametrize(
    ("size", "deaths"), [(2, 1), (2, 2), (5, 4), (40, 2), (60, 30), (300, 7), (900, 400), (900, 899)]
)
@pytest.mark.parametrize("spread", [0.0, 1.0, 4.0])
def test_the_fourier_sum_is_howards_recursion(size: int, deaths: int, spread: float) -> None:
    rng = np.random.default_rng(size + deaths)
    x = rng.normal(size=size)
    data = pd.DataFrame({"stop": 1.0, "event": np.arange(size) < deaths, "x": x, "o": spread * x})
    later = pd.DataFrame({"stop": [2.0, 2.0], "event": [True, False], "x": [0.0, 1.0], "o": 0.0})
    extra = pd.DataFrame({"stop": [3.0, 3.0], "event": [True, False], "x": [1.0, 0.0], "o": 0.0})
    both = pd.concat([data, later, extra], ignore_index=True)
    try:
        ours = cox(both, "x", ties="exact", offset="o")
    except SeparationError:
        pytest.skip("separated")
    by_time = [both, both[both["stop"] >= 2], both[both["stop"] >= 3]]
    theirs = both["o"][both["event"]].sum() - sum(
        howard(part["o"].to_numpy(), int((part["event"] & (part["stop"] == part["stop"].min())).sum()))
        for part in by_time
    )
    assert ours.log_likelihood_null == pytest.approx(theirs, rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("size", [20.0, 100.0, 600.0])
def test_exact_ties_of_relative_risks_that_are_far_apart(size: float) -> None:
    rng = np.random.default_rng(5)
    for _ in range(30):
        n = int(rng.integers(3, 60))
        leaving = rng.permutation(n) < rng.integers(2, n)
        data, options = prepare(
            pd.DataFrame({"stop": 1.0, "event": leaving, "x": rng.normal(size=n)}), *checked_options("x", ties="exact")
        )
        objective = objective_of(data, options)
        at = objective.evaluate(np.array([size]))
        assert at is not None
        linear = size * data.x[:, 0]
        assert at.log_likelihood == pytest.approx(linear[leaving].sum() - howard(linear, int(leaving.sum())), rel=1e-10)
        assert objective.information(at)[0, 0] > -1e-8


def test_exact_information_is_the_derivative_of_the_score() -> None:
    ours = fit("usage + flag + plan", ties="exact")
    assert ours._data is not None
    objective = objective_of(ours._data[0], ours.options)
    beta, h = np.array([0.3, -0.2, 0.5, 0.1]), 1e-5
    at = objective.evaluate(beta)
    assert at is not None
    for j, step in enumerate(np.eye(4) * h):
        up, down = objective.evaluate(beta + step), objective.evaluate(beta - step)
        assert up is not None
        assert down is not None
        assert at.score[j] == pytest.approx((up.log_likelihood - down.log_likelihood) / (2 * h), abs=1e-5)
        np.testing.assert_allclose(objective.information(at)[j], (down.score - up.score) / (2 * h), atol=1e-5)


def test_exact_ties_refuse_what_they_cannot_do() -> None:
    with pytest.raises(ArgumentError, match="weights are no counts"):
        fit("usage", ties="exact", weights="weight")
    with pytest.raises(ArgumentError, match="no robust variance"):
        fit("usage", ties="exact", robust=True)
    rng = np.random.default_rng(1)
    n = 400_000
    huge = pd.DataFrame({"stop": rng.integers(1, 400, n), "event": True, "x": rng.normal(size=n)})
    with pytest.raises(ArgumentError, match="ties='exact' is too much work here"):
        cox(huge, "x", ties="exact")
    ours = fit("usage + flag", ties="exact")
    for refused in (lambda: ours.residuals("score"), ours.proportional_hazards):
        with pytest.raises(ArgumentError, match="exact"):
            refused()


def test_exact_separation_is_of_the_largest_d() -> None:
    """The events are the two largest, not both the largest: no maximum for exact ties, one for Breslow's."""
    data = pd.DataFrame({"stop": [1, 1, 2, 2], "event": [1, 1, 0, 0], "x": [3.0, 2.0, 1.0, 0.0]})
    with pytest.raises(SeparationError) as caught:
        cox(data, "x", ties="exact")
    assert caught.value.covariates == ("x",)
    assert np.isfinite(cox(data, "x", ties="breslow").coefficients).all()


# ---- coefficients that change with tenure ----


def test_a_coefficient_times_log_tenure() -> None:
    case = REFERENCE["varying"]["log"]
    ours = fit("usage + flag + plan", time_varying={"flag": "log"})
    assert ours.names == ("usage", "flag", "flag:log(tenure)", "plan[T.pro]", "plan[T.trial]")
    assert_estimates(ours, case, [0, 1, 4, 2, 3])
    tt = REFERENCE["varying"]["tt"]
    order = [0, 1, 4, 2, 3]
    assert_close(ours.coefficients, np.array(tt["coef"])[order], 1e-7)
    assert_close(ours.model_variance, np.array(tt["var"])[np.ix_(order, order)], 1e-7)
    assert ours.episodes == len(frame())
    assert ours.person_time == (frame()["stop"] - frame()["start"]).sum()
    weighted = fit("usage + flag", time_varying={"flag": "log"}, strata="region", weights="weight", ties="breslow")
    assert_estimates(weighted, REFERENCE["varying"]["log_strata"])
    by_function = fit("usage + flag + plan", time_varying={"flag": np.log})
    assert_close(by_function.coefficients, ours.coefficients, 1e-12)


def test_a_text_covariate_times_the_root_of_tenure() -> None:
    ours = fit("usage + plan", time_varying={"plan": "sqrt"}, weights="weight")
    assert ours.names[1:] == ("plan[T.pro]", "plan[T.pro]:sqrt(tenure)", "plan[T.trial]", "plan[T.trial]:sqrt(tenure)")
    assert_estimates(ours, REFERENCE["varying"]["root_plan"], [0, 1, 3, 2, 4])


def test_a_coefficient_by_period() -> None:
    ours = fit("usage + flag", time_varying={"flag": [4, 8]})
    assert ours.names == ("usage", "flag:(0, 4]", "flag:(4, 8]", "flag:(8, inf)")
    assert_estimates(ours, REFERENCE["varying"]["periods"])
    both = fit("usage + flag", time_varying={"flag": [4, 8], "usage": "log"})
    assert both.names == ("usage", "usage:log(tenure)", "flag:(0, 4]", "flag:(4, 8]", "flag:(8, inf)")
    equal = fit("usage + flag", time_varying={"flag": [100]}, not_estimable="drop")
    assert_close(equal.coefficients[:2], fit("usage + flag").coefficients, 1e-9)


@pytest.mark.parametrize("varying", [{"flag": "log"}, {"flag": [4, 8]}, {"plan": "identity", "flag": [6]}])
def test_tenure_effects_from_flows(varying: dict[str, Any]) -> None:
    episodes = fit("flag + plan", time_varying=varying, robust=False, strata="region")
    flows = cox(flows_by(["flag", "plan", "region"]), "flag + plan", time_varying=varying, strata="region")
    assert flows.names == episodes.names
    assert_close(flows.coefficients, episodes.coefficients, 1e-9)
    assert_close(flows.variance, episodes.variance, 1e-8)
    assert (flows.episodes, flows.events, flows.customers) == (episodes.episodes, episodes.events, episodes.customers)
    assert_close(flows.proportional_hazards()["statistic"], episodes.proportional_hazards()["statistic"], 1e-7)
    pd.testing.assert_frame_equal(flows.baseline(), episodes.baseline(), rtol=1e-8)


def cut_at(data: pd.DataFrame, times: np.ndarray) -> pd.DataFrame:
    """Each row cut at the times within it, with flag x log(stop); row by row."""
    rows = []
    for _, row in data.iterrows():
        edges = [row["start"], *times[(times > row["start"]) & (times < row["stop"])], row["stop"]]
        for low, high in pairwise(edges):
            last = high == row["stop"]
            rows.append({**row, "start": low, "stop": high, "event": bool(row["event"]) and last})
    cut = pd.DataFrame(rows)
    return cut.assign(flag_log=cut["flag"] * np.log(cut["stop"]))


def test_survival_along_a_path_with_a_tenure_effect() -> None:
    theirs = REFERENCE["varying"]["path"]
    ours = fit("usage + flag", time_varying={"flag": "log"})
    path = pd.DataFrame({"start": [0.0, 4.0], "stop": [4.0, 5.0], "usage": [0.5, -0.4], "flag": [0, 1]})
    curve = ours.predict_survival(path, theirs["time"])
    assert_close(-np.log(curve["survival"]), theirs["cumhaz"])
    times = np.unique(frame()["stop"][frame()["event"] == 1])
    by_hand = fit("usage + flag + flag_log", cut_at(frame(), times))
    cut = by_hand.predict_survival(cut_at(path.assign(stop=[4.0, times.max()], event=0), times), theirs["time"])
    pd.testing.assert_frame_equal(curve.drop(columns="customer"), cut.drop(columns="customer"), rtol=1e-9)
    given = ours.predict_survival(path, [8.0], given_tenure=5.0)["survival"].item()
    at = curve.set_index("tenure")["survival"]
    assert given == pytest.approx(at[8.0] / at[5.0], rel=1e-10)


def test_a_function_of_tenure_refuses_what_memory_does_not_hold() -> None:
    n = 500_000
    huge = pd.DataFrame({"stop": np.arange(n) % 1000 + 1.0, "event": True, "x": np.arange(n) % 7})
    with pytest.raises(ArgumentError, match=r"250,[0-9,]* rows of 2 columns, too many for memory. Give periods"):
        cox(huge, "x", time_varying={"x": "log"})


def test_tenure_effects_by_term_and_what_is_refused() -> None:
    fits = cox_univariable(frame(), "usage + flag", start="start", time_varying={"flag": "log"})
    assert fits["flag"].names == ("flag", "flag:log(tenure)")
    for bad, message in (
        ({"flga": "log"}, "time_varying names 'flga'"),
        ({"flag": "cube"}, "must be one of log, identity, sqrt"),
        ({"flag": [8, 4]}, "increasing cuts"),
        ({"flag": lambda t: t / 0}, "one finite number for each tenure"),
        ("log", "must be {term"),
    ):
        with pytest.raises(ArgumentError, match=message), np.errstate(all="ignore"):
            fit("usage + flag", time_varying=bad)


# ---- hypotheses and nested fits ----


def assert_hypothesis(ours: Any, case: dict[str, Any]) -> None:
    assert_close([ours.statistic, ours.df, ours.p], [case["statistic"][0], case["df"][0], case["p"][0]])
    tidy = ours.tidy()
    assert_close(tidy["se"], case["se"])
    assert_close(tidy["estimate"] - tidy["value"], case["estimate"])


def test_linear_hypotheses() -> None:
    cases = REFERENCE["hypotheses"]
    full = fit("usage + flag + plan", weights="weight", robust=True)
    assert_hypothesis(full.hypothesis("plan[T.pro] = plan[T.trial]"), cases["one_robust"])
    two = ["usage + flag = 0", "2*plan[T.pro] - plan[T.trial] = 0.3"]
    assert_hypothesis(full.hypothesis(two), cases["two_robust"])
    assert_hypothesis(full.hypothesis(two, robust=False), cases["two_model"])
    matrix = full.hypothesis([[1, 1, 0, 0], [0, 0, 2, -1]], [0, 0.3])
    assert matrix.statistic == pytest.approx(full.hypothesis(two).statistic, rel=1e-12)
    plain = fit("usage + flag + plan", robust=False)
    assert_hypothesis(plain.hypothesis("plan"), cases["term"])
    one = plain.hypothesis("`usage`")
    assert one.p == pytest.approx(plain.tidy()["p"][0], rel=1e-10)
    assert "chi² = " in repr(one)
    period = fit("usage + flag", time_varying={"flag": [4, 8]})
    equal = period.hypothesis(["flag:(0, 4] = flag:(4, 8]", "`flag:(4, 8]` - flag:(8, inf) = 0"])
    chained = period.hypothesis("flag:(0, 4] = flag:(4, 8] = flag:(8, inf)")
    assert equal.df == 2
    assert equal.statistic == pytest.approx(chained.statistic, rel=1e-10)


@pytest.mark.parametrize(
    ("hypothesis", "message"),
    [
        ("usge = 0", "'usge' is no coefficient; did you mean 'usage'"),
        ("usage * flag = 0", "is not linear"),
        ("usage ** 2 = 0", "is not linear"),
        ("usage - = 0", "cannot be read"),
        (["usage = 0", "2*usage = 1"], "follows from the others"),
        ("0 = 1", "is empty or follows"),
        ([[1, 2]], "must have 4 columns"),
        ([], "must have 4 columns|nothing to test"),
    ],
)
def test_hypotheses_that_cannot_be_read(hypothesis: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        fit("usage + flag + plan").hypothesis(hypothesis)


def test_nested_fits_are_compared() -> None:
    case = REFERENCE["hypotheses"]["anova"]
    fits = [fit(formula, robust=False) for formula in ("usage", "usage + flag", "usage + flag + plan")]
    table = compare_fits(*fits)
    assert_close(table["log_likelihood"], case["loglik"], 1e-11)
    assert_close(table["statistic"][1:], case["statistic"])
    assert_close(table["df_change"][1:], case["df"])
    assert_close(table["p"][1:], case["p"])
    spline = fit("bs(usage, df=4) + flag", robust=False)
    assert compare_fits(fits[0], spline)["df_change"][1] == 4
    for wrong in ((fits[1], fits[0]), (fits[0], fit("flag + plan")), (fits[0], fit("usage + flag", offset="known"))):
        with pytest.raises(ArgumentError, match="compare_fits"):
            compare_fits(*wrong)


@pytest.mark.parametrize(
    ("case", "formula", "options"),
    [
        ("efron", "plan + usage + flag", {}),
        ("breslow_strata", "flag + plan + usage + flag:usage", {"ties": "breslow", "strata": "region"}),
        ("offset_strata", "usage + plan", {"offset": "known", "strata": "region"}),
        ("exact", "flag + usage", {"ties": "exact", "customer": None}),
        ("weighted", "plan + usage + flag", {"weights": "weight"}),
    ],
)
def test_terms_one_after_the_other(case: str, formula: str, options: dict[str, Any]) -> None:
    expected = REFERENCE["anovas"][case]
    table = fit(formula, few() if case == "exact" else None, robust=False, **options).anova()
    assert table["term"].tolist() == expected["term"]
    assert_close(table["log_likelihood"], expected["loglik"], 1e-9)
    for name in ("statistic", "df", "p"):
        assert_close(table[name][1:], expected[name][1:], 1e-6)


def test_terms_one_after_the_other_are_nested_fits() -> None:
    """From flows, with a coefficient by period, and with columns that have no estimate; refused where there is no such test."""
    data = frame().assign(twice=lambda d: 2 * d["flag"], always=1.0)
    whole = fit("flag + twice + plan + always", data, robust=False, not_estimable="drop")
    table = whole.anova()
    assert table["df"].tolist()[1:] == [1, 0, 2, 0]
    fits = [fit(formula, robust=False) for formula in ("flag", "flag + plan")]
    assert table["log_likelihood"].iloc[-1] == table["log_likelihood"].iloc[-2] == whole.log_likelihood
    assert_close(table["log_likelihood"][1:3], [fits[0].log_likelihood] * 2, 1e-11)
    assert_close(table["p"].iloc[3], compare_fits(*fits)["p"][1])
    assert np.isnan(table["p"].iloc[[0, 2, 4]]).all()
    counted = fit("flag + plan", flows_by(["flag", "plan"])).anova()
    assert_close(counted["statistic"][1:], table["statistic"][[1, 3]])
    periods = fit("plan + flag", robust=False, time_varying={"flag": [5]}).anova()
    assert periods["df"].tolist()[1:] == [2, 2]
    with pytest.raises(ArgumentError, match=r"anova: .* Test a term by fit.hypothesis\('flag'\)"):
        fit("flag + plan", cluster="region").anova()
    with pytest.raises(ArgumentError, match="compare_fits: .* Test what the larger model adds"):
        compare_fits(fit("flag", cluster="region"), fit("flag + plan", cluster="region"))
    with pytest.raises(ArgumentError, match="not comparable under a penalizer"):
        fit("flag + plan", robust=False, penalizer=0.1).anova()
    with pytest.raises(ArgumentError, match="Firth's penalty: see profile_intervals"):
        fit("flag + plan", robust=False, firth=True).anova()


@pytest.mark.parametrize("transform", ["km", "log", "identity"])
def test_proportional_hazards_by_term(transform: str) -> None:
    weights = None if transform == "identity" else "weight"
    table = fit("usage + flag + plan", weights=weights).proportional_hazards(transform, terms=True)
    case = REFERENCE["zph_terms"][transform]
    assert table["term"].tolist() == ["usage", "flag", "plan", "GLOBAL"]
    for column in ("statistic", "df", "p"):
        assert_close(table[column], case[column])


def test_smoothed_effects_from_flows() -> None:
    """Beside R's plot.cox.zph, to which those of episodes are compared in test_cox_references.py."""
    flows = cox(flows_by(["flag", "plan", "region"]), "flag + plan", strata="region")
    episodes = fit("flag + plan", strata="region", robust=False)
    for transform in ("km", "identity"):
        ours, theirs = (held.time_varying_effects(transform) for held in (flows, episodes))
        pd.testing.assert_frame_equal(ours, theirs, rtol=1e-7, atol=1e-9)


def test_two_spells_of_a_customer_are_one_unit() -> None:
    """The second spell begins at 0 again: allowed with `spell`, and clustered by customer."""
    data = frame()
    again = data.assign(spell=2, event=1 - data["event"] * (data["customer"] % 2))
    last = again.groupby("customer")["stop"].transform("max") == again["stop"]
    both = pd.concat([data.assign(spell=1), again.assign(event=again["event"] * last)], ignore_index=True)
    spells = fit("usage + flag", both, spell="spell")
    clustered = fit("usage + flag", both, customer=None, cluster="customer")
    assert spells.options.robust
    assert_close(spells.variance, clustered.variance, 1e-12)
    assert spells.customers == data["customer"].nunique()
    alone = fit("usage + flag", both.assign(row=np.arange(len(both))), customer="row", robust=True)
    assert not np.allclose(alone.variance, spells.variance, rtol=1e-3)


# ---- profile likelihood and Firth ----


def test_profile_intervals() -> None:
    ours = fit("usage + flag", few(), robust=False)
    lower, upper, p = np.array(REFERENCE["profiles"]["efron"]).T
    table = ours.profile_intervals()
    assert_close(np.log(table[["ci_lower", "ci_upper"]]).to_numpy(), np.column_stack([lower, upper]), 1e-7)
    assert_close(table["p"], p, 1e-8)
    strata = fit("usage + flag", few(), robust=False, weights="weight", ties="breslow", strata="region")
    lower, upper, p = np.array(REFERENCE["profiles"]["breslow_weights_strata"]).T
    table = strata.profile_intervals(level=0.9)
    assert_close(np.log(table[["ci_lower", "ci_upper"]]).to_numpy(), np.column_stack([lower, upper]), 1e-7)
    assert_close(table["p"], p, 1e-8)
    only = strata.profile_intervals("flag", level=0.9)
    assert only["covariate"].tolist() == ["flag"]
    assert only["ci_upper"].item() == pytest.approx(table["ci_upper"][1], rel=1e-9)
    with pytest.raises(ArgumentError, match="level must be between 0 and 1"):
        ours.profile_intervals(level=95)
    with pytest.raises(ArgumentError, match="'plan' has no estimate in this fit"):
        ours.profile_intervals("plan")


def test_an_end_of_a_profile_is_a_likelihood_ratio_test_at_its_level() -> None:
    """Also of exact ties, where no other program was asked."""
    cases: list[dict[str, Any]] = [{"ties": "exact"}, {"penalizer": 0.02, "robust": False}]
    for options in cases:
        data = few()
        ours = fit("usage + flag", data, **options)
        end = np.log(ours.profile_intervals("usage")["ci_upper"].item())
        fixed = fit("flag", data.assign(o=end * data["usage"]), offset="o", **options)
        spread = data["usage"].std()
        ridge = options.get("penalizer", 0.0) * len(data) / 2
        flag = data["flag"].std()
        top = ours.log_likelihood - ridge * ((ours.coefficients * [spread, flag]) ** 2).sum()
        there = fixed.log_likelihood - ridge * ((end * spread) ** 2 + (fixed.coefficients[0] * flag) ** 2)
        assert 2 * (top - there) == pytest.approx(3.841458820694124, rel=1e-7)


FIRTH: dict[str, tuple[str, dict[str, Any]]] = {
    "breast_breslow": ("T + N + G + CD", {"ties": "breslow"}),
    "breast_efron": ("T + N + G + CD", {"ties": "efron"}),
    "separated_efron": ("flag + safe", {"start": "start", "ties": "efron"}),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", list(FIRTH))
def test_firth(name: str) -> None:
    """breast: Heinze & Schemper (2001), where G has no finite estimate."""
    formula, options = FIRTH[name]
    case = REFERENCE["firth"][name]
    data = (
        few()
        if "separated" in name
        else pd.read_csv(HERE / "cox_breast.csv").rename(columns={"TIME": "stop", "CENS": "event"})
    )
    with pytest.raises(SeparationError, match="firth=True"):
        cox(data, formula, **options)
    ours = cox(data, formula, firth=True, **options)
    assert_close(ours.coefficients, case["coef"], 1e-7)
    assert_close(ours.variance, case["var"], 1e-7)
    assert_close([ours.log_likelihood_null, ours.log_likelihood], case["loglik"], 1e-10)
    lower, upper, p = np.array(case["profile"]).T
    table = ours.profile_intervals()
    assert_close(np.log(table[["ci_lower", "ci_upper"]]).to_numpy(), np.column_stack([lower, upper]), 2e-7)
    assert_close(table["p"], p, 1e-6)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_firths_score_is_the_derivative_of_its_penalised_likelihood(ties: str) -> None:
    ours = fit("usage + flag + plan", firth=True, ties=ties, weights="weight", strata="region", offset="known")
    assert ours._data is not None
    objective = objective_of(ours._data[0], ours.options)
    beta, h = np.array([0.3, -0.2, 0.5, 0.1]), 1e-5
    at = objective.evaluate(beta)
    assert at is not None
    for j, step in enumerate(np.eye(4) * h):
        up, down = objective.evaluate(beta + step), objective.evaluate(beta - step)
        assert up is not None
        assert down is not None
        assert at.score[j] == pytest.approx((up.log_likelihood - down.log_likelihood) / (2 * h), abs=1e-6)


def test_firth_from_flows_and_what_it_excludes() -> None:
    episodes = fit("flag + plan", firth=True, robust=False)
    flows = cox(flows_by(["flag", "plan"]), "flag + plan", firth=True)
    assert_close(flows.coefficients, episodes.coefficients, 1e-8)
    with pytest.raises(ArgumentError, match="leave penalizer out"):
        fit("usage", firth=True, penalizer=0.1)
    with pytest.raises(ArgumentError, match="needs ties="):
        fit("usage", firth=True, ties="exact")
