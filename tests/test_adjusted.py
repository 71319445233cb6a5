"""Adjusted curves and partial effects: brute force, relations that must hold, a known truth, and what is refused."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest

import survival as sv
from survival.errors import ArgumentError, EstimationError
from survival.estimate import adjusted_means
from survival.estimate.adjusted import adjusted_curves
from survival.estimate.adjusted_weights import balancing_weights
from survival.estimate.cox import cox
from survival.flows.frames import episode_arrays, flows_of
from survival.plot.adjusted import adjusted_retention
from survival.plot.adjusted import partial_effects as draw_effects
from survival.plot.style import svg_bytes, tenure_ticks

AT = [20.0, 50.0, 80.0]


def company(customers: int = 300, seed: int = 3, effect: float = -0.5) -> pd.DataFrame:
    """Heavy users (x) are more often on `pro` and leave sooner; some enter late; whole days."""
    rng = np.random.default_rng(seed)
    x, segment = np.round(rng.normal(size=customers), 1), rng.choice(list("abc"), customers)
    pro = rng.random(customers) < 1 / (1 + np.exp(-(x + (segment == "b"))))
    rate = np.exp(0.7 * x + 0.4 * (segment == "c") + effect * pro) / 60
    start = np.where(rng.random(customers) < 0.3, rng.integers(1, 15, customers), 0)
    life, until = start + np.ceil(rng.exponential(1 / rate)), start + np.ceil(rng.uniform(20, 150, customers))
    return pd.DataFrame(
        {
            "customer": np.arange(customers), "start": start, "stop": np.minimum(life, until),
            "event": (life <= until).astype(int), "x": x, "segment": segment, "plan": np.where(pro, "pro", "basic"),
            "region": rng.choice(["north", "south"], customers),
        }
    )  # fmt: skip


def fitted(frame: pd.DataFrame, formula: str = "plan + x + segment", **options: Any) -> sv.CoxFit:
    return cox(frame, formula, **{"start": "start", "customer": "customer", "robust": False, **options})


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return company()


def mean_prediction(fit: sv.CoxFit, rows: pd.DataFrame) -> np.ndarray:
    return fit.predict_survival(rows, AT).groupby("tenure")["survival"].mean().to_numpy()


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("plan + x + segment", {}),
        ("plan * segment + bs(x, df=3)", {}),
        ("x + segment", {"strata": ["plan", "region"]}),
        ("plan + x", {"strata": "region", "ties": "breslow"}),
    ],
)
def test_conditional_and_average_are_means_of_predictions(
    data: pd.DataFrame, formula: str, options: dict[str, Any]
) -> None:
    fit = fitted(data, formula, **options)
    made, own = adjusted_curves(fit, data, "plan"), adjusted_curves(fit, data, "plan", method="average")
    rows = data[["x", "segment", "region"]]
    assert made.groups == ["basic", "pro"]
    for plan in made.groups:
        mine = made.at(AT)
        expected = mean_prediction(fit, rows.assign(plan=plan))
        assert mine.loc[mine["by"] == plan, "retention"].to_numpy() == pytest.approx(expected, rel=1e-12)
        mine = own.at(AT)
        expected = mean_prediction(fit, data.loc[data["plan"] == plan, ["x", "segment", "region", "plan"]])
        assert mine.loc[mine["by"] == plan, "retention"].to_numpy() == pytest.approx(expected, rel=1e-12)


def test_tidy_starts_at_one_and_ends_where_the_group_does(data: pd.DataFrame) -> None:
    made = adjusted_curves(fitted(data), data, "plan")
    tidy = made.tidy()
    for plan, rows in tidy.groupby("by"):
        own = data[data["plan"] == plan]
        assert rows["tenure"].iloc[0] == own["start"].min() == 0
        assert rows["retention"].iloc[0] == 1.0
        assert np.isnan(rows["ci_lower"].iloc[0])
        assert rows["tenure"].max() == own["stop"].max()
        assert (np.diff(rows["retention"]) <= 0).all()
        inside = rows.iloc[1:]
        assert (inside["ci_lower"] < inside["retention"]).all()
        assert (inside["retention"] < inside["ci_upper"]).all()
        at_risk = [int(((own["start"] < t) & (t <= own["stop"])).sum()) for t in rows["tenure"]]
        assert rows["at_risk"].tolist() == at_risk
    assert np.isnan(made.at([1e4])["retention"]).all()
    asked = adjusted_curves(fitted(data), data, "plan", tenures=AT).tidy()
    pd.testing.assert_frame_equal(asked, made.at(AT))


@pytest.mark.parametrize("options", [{}, {"robust": True}, {"strata": "plan", "formula": "x + segment"}])
def test_cutting_and_shuffling_rows_and_small_blocks_change_nothing(
    data: pd.DataFrame, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = adjusted_curves(fitted(data, **options), data, "plan")
    long = data[data["stop"] - data["start"] > 9]
    first, rest = long.assign(stop=long["start"] + 9, event=0), long.assign(start=long["start"] + 9)
    cut = pd.concat([data.drop(long.index), first, rest]).sample(frac=1, random_state=1, ignore_index=True)
    monkeypatch.setattr(adjusted_means, "_CELLS", 500)
    again = adjusted_curves(fitted(cut, **options), cut, "plan")
    pd.testing.assert_frame_equal(again.tidy(), whole.tidy(), rtol=1e-9)
    pd.testing.assert_frame_equal(again.differences(AT).tidy(), whole.differences(AT).tidy(), rtol=1e-8)


def test_flows_give_the_curves_of_their_episodes(data: pd.DataFrame) -> None:
    by = ["plan", "x", "segment", "region"]
    counted = flows_of(episode_arrays(data, "stop", "event", "start", customer="customer", keep=by), by)
    mine = cox(counted, "x + segment", strata="plan")
    made = adjusted_curves(mine, counted, "plan")
    whole = adjusted_curves(fitted(data, "x + segment", strata="plan"), data, "plan")
    pd.testing.assert_frame_equal(made.tidy(), whole.tidy(), rtol=1e-9)
    same = adjusted_curves(mine, counted, "plan", reference=counted)
    pd.testing.assert_frame_equal(same.tidy(), made.tidy(), rtol=1e-12)
    with pytest.raises(ArgumentError, match="marginal.*flows do not hold"):
        adjusted_curves(mine, counted, "plan", method="marginal")
    with pytest.raises(ArgumentError, match="'size' is no column of the flows' patterns"):
        adjusted_curves(mine, counted, "size", method="average")


def test_whole_weights_are_customers(data: pd.DataFrame) -> None:
    weight = 1 + (np.arange(len(data)) % 3)
    repeated = data.loc[data.index.repeat(weight)].assign(customer=np.arange(weight.sum()))
    weighted = data.assign(w=weight)
    breslow = {"ties": "breslow"}  # Efron's correction takes a weight for one tie
    mine = adjusted_curves(fitted(weighted, weights="w", **breslow), weighted, "plan")
    theirs = adjusted_curves(fitted(repeated, **breslow), repeated, "plan")
    pd.testing.assert_frame_equal(mine.at(AT), theirs.at(AT), rtol=1e-9, check_dtype=False)


def test_differences_have_the_covariance_of_curves_that_share_coefficients(data: pd.DataFrame) -> None:
    made = adjusted_curves(fitted(data), data, "plan")
    (row,) = made.differences([50]).tidy().to_dict("records")
    at = made.at([50]).set_index("by")
    assert row["difference"] == pytest.approx(at.loc["pro", "retention"] - at.loc["basic", "retention"], abs=1e-14)
    apart = float(np.hypot(*at["se"]))
    assert row["se"] != pytest.approx(apart, rel=0.02)
    assert row["ci_upper"] - row["difference"] == pytest.approx(1.959963985 * row["se"], rel=1e-8)
    _, covariance = made.source.at(np.array([50.0]))
    expected = np.sqrt(covariance[0, 0, 0] + covariance[0, 1, 1] - 2 * covariance[0, 0, 1])
    assert row["se"] == pytest.approx(expected, rel=1e-12)


def test_a_group_that_enters_late_starts_at_one_there_and_is_not_compared(data: pd.DataFrame) -> None:
    late = data[(data["plan"] == "basic") | (data["stop"] > 30)]
    late = late.assign(start=np.where(late["plan"] == "pro", 30, late["start"]))
    fit = fitted(late)
    made = adjusted_curves(fit, late, "plan")
    assert made.begin.tolist() == [0, 30]
    pro = made.tidy().query("by == 'pro'")
    assert (pro["tenure"].iloc[0], pro["retention"].iloc[0]) == (30, 1.0)
    expected = fit.predict_survival(late[["x", "segment"]].assign(plan="pro"), [50], given_tenure=30)["survival"].mean()
    assert made.at([50])["retention"].iloc[1] == pytest.approx(expected, rel=1e-12)
    compared = made.differences([50])
    assert compared.tidy()["difference"].isna().all()
    assert [f.id for f in compared.findings] == ["different-entry"]


def test_who_is_alike_is_not_adjusted_away() -> None:
    """With the same customers in both groups, the curves with a baseline each are near those observed, and exactly so
    where no covariate matters."""
    data = company(seed=8)
    twins = pd.concat([data.assign(plan=p, customer=data["customer"] + k) for k, p in enumerate(["basic", "pro"])])
    twins["customer"] = np.arange(len(twins))
    made = adjusted_curves(fitted(twins, "x + segment", strata="plan"), twins, "plan", method="marginal")
    assert made.at(AT)["retention"].to_numpy() == pytest.approx(made.crude.at(AT)["retention"].to_numpy(), rel=1e-9)
    assert made.differences(AT).tidy()["difference"].to_numpy() == pytest.approx([0, 0, 0], abs=1e-9)


@pytest.mark.parametrize("method", ["conditional", "marginal"])
def test_a_known_truth_is_recovered_where_the_curves_as_observed_mislead(method: Any) -> None:
    data = company(20_000, seed=11)
    risk = np.exp(0.7 * data["x"] + 0.4 * (data["segment"] == "c")).to_numpy() / 60
    # Days are rounded up: who leaves by day t has lived less than t.
    truth = {p: np.exp(-np.outer(AT, risk * e)).mean(axis=1) for p, e in (("basic", 1.0), ("pro", np.exp(-0.5)))}
    made = adjusted_curves(fitted(data, robust=True), data, "plan", method=method)
    true = truth["pro"] - truth["basic"]
    found, crude = made.differences(AT).tidy(), made.crude.differences(AT).tidy()
    assert (np.abs(found["difference"] - true) < 3 * found["se"]).all()
    assert (np.abs(crude["difference"] - true) > 5 * crude["se"]).all()
    assert (found["se"] < 0.012).all()


def test_balancing_weights_of_one_factor_are_ratios_of_shares() -> None:
    counts = np.array([[30.0, 10.0], [5.0, 15.0]])
    made = balancing_weights(np.array([[0.0], [1.0]]), counts, None, ["a", "b"])
    ratio = (counts.sum(axis=0) / 60) / (counts / counts.sum(axis=1, keepdims=True))
    assert made.weight == pytest.approx(ratio, rel=1e-9)
    assert made.effective[0] == pytest.approx(40**2 / (ratio[0] ** 2 @ counts[0]), rel=1e-9)
    other = balancing_weights(np.array([[0.0], [1.0]]), counts, np.array([0.0, 7.0]) + 1, ["a", "b"])
    wanted = np.array([1, 8]) / 9 / (counts / counts.sum(axis=1, keepdims=True))
    assert other.weight == pytest.approx(wanted, rel=1e-8)
    with pytest.raises(EstimationError, match="next to nobody of b has covariates that others have") as error:
        balancing_weights(np.array([[0.0], [1.0]]), np.array([[30.0, 10.0], [5.0, 0.0]]), None, ["a", "b"])
    assert error.value.finding == "no-overlap"


def test_uneven_weights_are_said(data: pd.DataFrame) -> None:
    rare = data.sample(300, replace=True, weights=np.exp(1.5 * data["x"]), random_state=2)[["x", "segment"]]
    made = adjusted_curves(fitted(data), data, "plan", method="marginal", reference=rare)
    assert "uneven-weights" in [f.id for f in made.findings]


def test_covariates_that_change_are_refused_or_held_at_entry(data: pd.DataFrame) -> None:
    long = data[data["stop"] - data["start"] > 9]
    first, rest = long.assign(stop=long["start"] + 9, event=0), long.assign(start=long["start"] + 9, x=long["x"] + 1)
    changing = pd.concat([data.drop(long.index), first, rest], ignore_index=True)
    fit = fitted(changing)
    with pytest.raises(ArgumentError, match=r"'x' changes within .* customers.*hold='entry'"):
        adjusted_curves(fit, changing, "plan")
    held = adjusted_curves(fit, changing, "plan", hold="entry")
    at_entry = data[["x", "segment"]]  # everybody began as before
    expected = mean_prediction(fit, at_entry.assign(plan="pro"))
    assert held.at(AT)["retention"].to_numpy()[3:] == pytest.approx(expected, rel=1e-12)
    moving = changing.assign(plan=np.where(changing["start"] > 20, "pro", changing["plan"]))
    with pytest.raises(ArgumentError, match="by='plan' changes within .*partial_effects"):
        adjusted_curves(fitted(moving), moving, "plan", hold="entry")


def test_what_cannot_be_adjusted_is_refused(data: pd.DataFrame) -> None:
    fit = fitted(data)
    for given, said in (
        ({"by": "region"}, "by='region' is not in the model.*strata"),
        ({"method": "direct"}, "method must be one of"),
        ({"hold": "now"}, "hold must be one of"),
        ({"tenures": [np.nan]}, "tenures must be a list of days"),
        ({"level": 95}, "level must be a share"),
        ({"by": "plam", "method": "average"}, "did you mean 'plan'"),
        ({"reference": data.iloc[:0]}, "the frame has no customers"),
        ({"reference": data.assign(segment="z")}, "levels that were not fitted: z"),
    ):
        with pytest.raises(ArgumentError, match=said):
            adjusted_curves(fit, data, **{"by": "plan", **given})
    one = data[~((data["plan"] == "pro") & (data["region"] == "south"))]
    with pytest.raises(ArgumentError, match="strata that were not fitted"):
        adjusted_curves(fitted(one, "x", strata=["plan", "region"]), one, "plan")
    with pytest.raises(ArgumentError, match="coefficients that change with tenure"):
        adjusted_curves(fitted(data, time_varying={"x": [30]}), data, "plan")
    many = data.assign(many=data["customer"])
    with pytest.raises(ArgumentError, match="more than 60 curves"):
        adjusted_curves(fitted(many, "many + x"), many, "many")
    safe = data.assign(event=np.where(data["plan"] == "pro", 0, data["event"]))
    with pytest.raises(ArgumentError, match=r"coefficient of plan\[T.pro\] is not estimable"):
        adjusted_curves(fitted(safe, not_estimable="drop"), safe, "plan")


def test_a_level_that_is_not_estimable_is_said(data: pd.DataFrame) -> None:
    safe = data.assign(event=np.where(data["segment"] == "c", 0, data["event"]))
    made = adjusted_curves(fitted(safe, not_estimable="drop"), safe, "plan")
    assert [f.id for f in made.findings if f.id == "not-adjusted"] == ["not-adjusted"]


def test_a_group_without_a_level_borrows_from_the_others(data: pd.DataFrame) -> None:
    fewer = data[(data["plan"] == "basic") | (data["segment"] != "b")]
    made = adjusted_curves(fitted(fewer), fewer, "plan")
    (said,) = [f for f in made.findings if f.id == "borrowed-levels"]
    assert said.subject == "pro"
    assert "(pro: segment 'b')" in said.message
    own = fewer[fewer["plan"] == "pro"]
    assert not [
        f.id for f in adjusted_curves(fitted(fewer), fewer, "plan", reference=own).findings if "borrowed" in f.id
    ]
    with pytest.raises(EstimationError, match="next to nobody of pro"):
        adjusted_curves(fitted(fewer), fewer, "plan", method="marginal")


def test_a_saved_fit_has_robust_coefficients_only(data: pd.DataFrame) -> None:
    fit = fitted(data, robust=True)
    saved = pickle.loads(pickle.dumps(fit))
    whole, kept = adjusted_curves(fit, data, "plan"), adjusted_curves(saved, data, "plan")
    assert (whole.variance, kept.variance) == ("robust", "robust coefficients")
    assert kept.at(AT)["retention"].tolist() == whole.at(AT)["retention"].tolist()
    assert kept.at(AT)["se"].to_numpy() == pytest.approx(whole.at(AT)["se"].to_numpy(), rel=0.05)
    assert "robust" not in repr(whole)
    assert "adjusted for x, segment; all customers" in repr(whole)


def test_the_variance_adds_up_by_cluster(data: pd.DataFrame) -> None:
    """Everybody twice, in one cluster: the variance of one."""
    twice = pd.concat([data.assign(firm=data["customer"])] * 2).assign(customer=np.arange(2 * len(data)))
    one = adjusted_curves(fitted(data, "x", strata="plan", ties="breslow", robust=True), data, "plan")
    both = adjusted_curves(
        fitted(twice, "x", strata="plan", ties="breslow", robust=True, cluster="firm"), twice, "plan"
    )
    assert both.at(AT)["se"].to_numpy() == pytest.approx(one.at(AT)["se"].to_numpy(), rel=1e-9)
    weighted = adjusted_curves(fitted(twice, "x", strata="plan", cluster="firm"), twice, "plan", method="marginal")
    alone = adjusted_curves(fitted(data, "x", strata="plan"), data, "plan", method="marginal")
    assert weighted.at(AT)["se"].to_numpy() == pytest.approx(alone.at(AT)["se"].to_numpy(), rel=1e-7)


def test_a_cluster_in_several_strata_is_one_unit() -> None:
    """Each basic customer and a pro one make a firm: their influences are added before they are squared."""
    data = company(80)
    firm = data.groupby("plan").cumcount()
    mine = data.assign(firm=firm)
    options = {"strata": "plan", "robust": True, "ties": "breslow"}
    made = adjusted_curves(fitted(mine, "x", **options, cluster="firm"), mine, "plan")
    alone = adjusted_curves(fitted(mine, "x", **options), mine, "plan")
    assert made.differences([50]).tidy()["se"].iloc[0] != pytest.approx(
        alone.differences([50]).tidy()["se"].iloc[0], rel=1e-3
    )
    influence = []
    step, rows = 1e-4, data[["x"]]
    for one in range(int(firm.max()) + 1):
        moved = []
        for sign in (1, -1):
            weights = mine.assign(w=np.where(firm == one, 1 + sign * step, 1.0))
            fit = fitted(weights, "x", strata="plan", ties="breslow", weights="w")
            at = adjusted_curves(fit, weights, "plan", reference=rows).at([50])["retention"].to_numpy()
            moved.append(at[1] - at[0])
        influence.append((moved[0] - moved[1]) / (2 * step))
    assert made.differences([50]).tidy()["se"].iloc[0] == pytest.approx(np.linalg.norm(influence), rel=1e-6)


# --- Partial effects -------------------------------------------------------------------------------------------------


def test_partial_effects_are_predictions_at_chosen_values(data: pd.DataFrame) -> None:
    fit = fitted(data.assign(flag=(data["x"] > 0).astype(int)), "plan + x + segment + flag")
    made = fit.partial_effects("plan", tenures=AT)
    assert made.columns.tolist() == ["covariate", "value", "tenure", "retention", "se", "ci_lower", "ci_upper"]
    assert made["value"].tolist() == ["basic"] * 3 + ["pro"] * 3
    held = {"x": [data["x"].mean()] * 2, "segment": ["a"] * 2, "flag": [0, 0]}
    expected = fit.predict_survival(pd.DataFrame({"plan": ["basic", "pro"], **held}), AT)
    assert made["retention"].to_numpy() == pytest.approx(expected["survival"].to_numpy(), rel=1e-12)
    assert made["ci_lower"].to_numpy() == pytest.approx(expected["ci_lower"].to_numpy(), rel=1e-12)
    assert fit.partial_effects("flag", tenures=[50])["value"].tolist() == [0, 1]
    chosen = fit.partial_effects("x", [-1, 2], at={"plan": "pro", "segment": "c", "flag": 1}, tenures=[50])
    rows = pd.DataFrame({"plan": "pro", "x": [-1, 2], "segment": "c", "flag": 1})
    assert chosen["retention"].tolist() == fit.predict_survival(rows, [50])["survival"].tolist()
    typical = fit.partial_effects("x", frame=data.assign(flag=1), tenures=[50])
    assert typical["value"].tolist() == np.quantile(data["x"], [0.1, 0.5, 0.9], method="nearest").tolist()
    modes = {"plan": data["plan"].mode()[0], "segment": data["segment"].mode()[0], "flag": 1}
    rows = pd.DataFrame({"x": typical["value"], **modes})
    assert typical["retention"].tolist() == fit.predict_survival(rows, [50])["survival"].tolist()
    assert fit.partial_effects("plan")["retention"].notna().all()


def test_partial_effects_of_strata(data: pd.DataFrame) -> None:
    fit = fitted(data, "x", strata=["plan", "region"])
    made = fit.partial_effects("plan", at={"region": "north", "x": 0}, tenures=[50])
    rows = pd.DataFrame({"plan": ["basic", "pro"], "region": "north", "x": 0})
    assert made["retention"].tolist() == fit.predict_survival(rows, [50])["survival"].tolist()
    with pytest.raises(ArgumentError, match=r"baseline of its own.*at={'region': 'north'}"):
        fit.partial_effects("plan")


def test_partial_effects_refuse_what_the_model_does_not_have(data: pd.DataFrame) -> None:
    fit = fitted(data, "plan + log(x + 9) + segment")
    for call, said in (
        (lambda: fit.partial_effects("plam"), "the model has no 'plam'; did you mean 'plan'"),
        (lambda: fit.partial_effects("plan", at={"plan": "pro"}), "leave it out of `at`"),
        (lambda: fit.partial_effects("x"), "'x' is a number: say at which values="),
        (lambda: fit.partial_effects("plan"), "say at which 'x' to hold it"),
        (lambda: fit.partial_effects("plan", ["gold"], at={"x": 0}), "levels that were not fitted: gold"),
        (lambda: fit.partial_effects("plan", [], at={"x": 0}), "at least one value"),
    ):
        with pytest.raises(ArgumentError, match=said):
            call()
    saved = pickle.loads(pickle.dumps(fitted(data)))
    with pytest.raises(ArgumentError, match="say at which 'x'"):
        saved.partial_effects("plan")


# --- Figures ---------------------------------------------------------------------------------------------------------


def both(made: sv.AdjustedCurves) -> tuple[pd.DataFrame, pd.DataFrame]:
    parts = [made.crude.tidy().assign(curve="observed"), made.tidy().assign(curve="adjusted")]
    at_risk = made.crude.numbers_at_risk(tenure_ticks(140))
    return pd.concat(parts, ignore_index=True).rename(columns={"by": "cohort"}), at_risk.rename(
        columns={"by": "cohort"}
    )


def texts(figure: Any) -> list[str]:
    return [t.get_text() for axes in figure.axes for t in axes.texts] + [t.get_text() for t in figure.texts]


def test_few_groups_are_drawn_side_by_side_with_their_numbers_at_risk(data: pd.DataFrame) -> None:
    curves, at_risk = both(adjusted_curves(fitted(data), data, "plan"))
    figure = adjusted_retention(curves, at_risk, adjusted_for="x and segment")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["As observed", "", "Adjusted for x and segment"]
    assert texts(figure).count("basic") == 3  # beside each curve, and in the table
    assert str(int((data["start"] == 0)[data["plan"] == "pro"].sum())) in texts(figure)
    observed, _, adjusted = figure.axes
    lines = [np.asarray(axes.get_lines()[0].get_ydata())[-1] for axes in (observed, adjusted)]
    assert lines[0] != lines[1]
    assert svg_bytes(figure) == svg_bytes(adjusted_retention(curves, at_risk, adjusted_for="x and segment"))


def test_many_groups_have_a_panel_each_and_an_empty_frame_says_so(data: pd.DataFrame) -> None:
    groups = data.assign(plan=[f"g{i % 6}" for i in range(len(data))])
    curves, at_risk = both(adjusted_curves(fitted(groups), groups, "plan"))
    figure = adjusted_retention(curves, at_risk, adjusted_for="x")
    assert [axes.get_title(loc="left") for axes in figure.axes] == [f"g{i}" for i in range(6)]
    assert all(len(axes.get_lines()) == 2 for axes in figure.axes)
    assert "as observed" in texts(figure)
    assert "no curve" in texts(adjusted_retention(curves.iloc[:0]))[0]


def test_partial_effects_are_drawn_a_curve_a_value(data: pd.DataFrame) -> None:
    fit = fitted(data)
    assert {"basic", "pro"} <= set(texts(draw_effects(fit.partial_effects("plan"))))
    numbers = texts(draw_effects(fit.partial_effects("x", [1, -1]), label="usage"))
    assert {"usage −1", "usage 1"} <= set(numbers)
