"""The section "Model diagnostics": what it says for each outcome, its figures, and its numbers in a study."""

from __future__ import annotations

import io
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import survival as sv
from survival import plot
from survival.errors import ConfigError
from survival.experiment.config import load
from survival.experiment.diagnostics import agreement, customer_names, forms, numbers_of, outliers, strongest
from survival.experiment.diagnostics_blocks import CHECKS, diagnostics_blocks
from survival.experiment.kept_customers import pseudonyms
from survival.experiment.log_log import _without_curve, distances, log_log, log_log_curves
from survival.experiment.models import models
from survival.experiment.study import Study, opened
from survival.plot.diagnostics import functional_form, risk_groups
from survival.plot.diagnostics_customers import deviance_residuals, influence
from survival.plot.diagnostics_log_log import log_minus_log
from survival.plot.style import recipe_of, redrawn
from survival.report import diagnostics_wording as words
from survival.report.document import Bullets, Figure, Paragraph, Section, Table
from survival.report.methods import references
from survival.report.methods_ratios import ratio_topics
from survival.report.saved import document_files
from survival.simulate import simulate

ROOT = Path(__file__).resolve().parent.parent
SMALL = (
    "model.formula=low_usage + overdue + open_ticket + plan + seats + sessions",
    "indicators.sessions={kind: usage, measure: active_days, window: 28}", "model.subgroups=[]", "sensitivity={}", "lag_profile=[]",
    "update_every=7", "diagnostics=[functional_form, influence, calibration, outliers, log_log]",
)  # fmt: skip


class Quiet:
    def __call__(self, name: str) -> None: ...

    def part(self, done: int, total: int) -> None: ...


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("diagnostics")
    (folder / "configs").mkdir()
    shutil.copy(ROOT / "configs" / "crm_hazard_ratios.yaml", folder / "configs")
    simulate("crm", customers=500, seed=4, out=folder / "data" / "crm")
    return folder


def loaded(project: Path, *settings: str) -> Any:
    return load(project / "configs" / "crm_hazard_ratios.yaml", (*SMALL, *settings))[0]


@pytest.fixture(scope="module")
def study(project: Path):  # type: ignore[no-untyped-def]
    with opened(loaded(project), project, Quiet()) as made:  # type: ignore[arg-type]
        yield made


# --- In words --------------------------------------------------------------------------------------------------------


def form_row(**given: Any) -> dict[str, Any]:
    row = {
        "covariate": "seats", "events": 500, "p": 0.001, "bend": 0.4, "low": 1.0, "middle": 5.0, "high": 50.0, "rise_low": 0.8,
        "rise_high": 0.5,
    }  # fmt: skip
    row |= given
    return {**row, "form": words.form_of(row)}


@pytest.mark.parametrize(
    ("given", "form", "said"),
    [
        ({"events": 12}, words.FEW, "Seats: 12 churns are too few to tell a bend from a straight line."),
        ({"p": np.nan}, words.FEW, "too few"),
        ({"p": 0.31}, words.LINE, "no clear departure from a straight line was found (test of a spline against the line: p = 0.31)"),
        ({"bend": 0.04}, words.SMALL, "never further apart than a factor of 1.04 in the hazard; the line is close enough"),
        ({}, words.FLATTENS, "larger difference at low values than at high ones"),
        ({}, words.FLATTENS, "try its logarithm, log(seats + 1), or a spline, bs(seats, df=4)"),
        ({"low": -3.0}, words.FLATTENS, "try a spline, bs(seats, df=4), or groups"),
        ({"rise_high": 20.0}, words.STEEPENS, "or a flag above a threshold"),
        ({"rise_high": -0.6}, words.TURNS, "the hazard turns around 5"),
        ({"rise_high": -0.01}, words.BENDS, "the spline bends away from the line"),
        ({"low": 5.0}, words.BENDS, "try a spline, bs(seats, df=4), or groups"),
        ({"covariate": "log(seats)"}, words.FLATTENS, "a spline or groups in the formula would show the form"),
    ],
)  # fmt: skip
def test_each_form_of_a_number_has_its_sentence(given: dict[str, Any], form: str, said: str) -> None:
    row = form_row(**given)
    assert row["form"] == form
    assert said in words.form_sentence(row, "seats")


def test_what_the_sentence_suggests_can_be_fitted() -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"stop": rng.integers(1, 50, 300), "event": 1, "seats": rng.poisson(6, 300)})
    for term in ("log(seats + 1)", "bs(seats, df=4)"):
        assert np.isfinite(sv.cox(frame, term).coefficients).all()


def test_titles_of_forms_count_what_bends() -> None:
    line, bent, few = form_row(p=0.5), form_row(), form_row(events=5)
    assert words.form_title([line]) == "No clear departure of the number from a straight line"
    assert words.form_title([line, line]) == "No clear departure of any of the 2 numbers from a straight line"
    assert words.form_title([bent]) == "The number does not follow its line"
    assert words.form_title([bent, line, bent]) == "2 of 3 numbers do not follow their line"
    assert words.form_title([bent, line]) == "1 of 2 numbers does not follow its line"
    assert words.form_title([few]) == "Too few churns to say whether the number departs from a straight line"


def moved(**given: Any) -> dict[str, Any]:
    row = {
        "covariate": "x", "customer": "c1", "in_errors": 0.1, "change": -0.012, "refitted": False, "conclusion": "higher",
        "conclusion_without": "higher",
    }  # fmt: skip
    return row | given


def test_influence_is_said_with_how_it_was_found() -> None:
    approximate = words.influence_sentences([moved()], {"x": "usage"}, customers=900, events=300, refits=0)
    assert approximate[0] == (
        "Leaving out any one customer moves no hazard ratio by more than 1.2% (that of usage; approximated from dfbeta for each of 900 "
        "customers; the model was not refitted). In standard errors no coefficient moves by more than 0.10 (usage)."
    )
    nothing = words.influence_sentences([moved(change=-1.1e-16)], {"x": "usage"}, customers=900, events=300, refits=0)
    assert nothing[0].startswith("Leaving out any one customer moves no hazard ratio by more than 0.05% (")
    assert "No conclusion rests on one customer" in approximate[1]
    assert len(approximate) == 2
    exact = words.influence_sentences([moved(refitted=True)], {}, customers=900, events=300, refits=1)
    assert "the model was refitted without the strongest customer; for the others of 900" in exact[0]
    assert "without each of the 3 strongest customers" in words.influence_sentences(
        [moved()], {}, customers=900, events=300, refits=3
    )[0]  # fmt: skip
    assert words.influence_title([moved(), moved(change=-0.04)]) == "No customer moves a hazard ratio by more than 4%"
    assert words.influence_title([moved(), moved(change=0.23)]) == "One customer moves a hazard ratio by 23%"
    other = moved(conclusion_without="unclear")
    assert words.influence_title([other, other]).endswith("by more than 1.2%, but 1 conclusion rests on one customer")
    two = [moved(change=0.5), other, {**other, "covariate": "y"}]
    assert words.influence_title(two) == "One customer moves a hazard ratio by 50%; 2 conclusions rest on one customer"
    assert words.influence_sentences(two, {"x": "usage"}, customers=900, events=300, refits=0)[0].startswith(
        "Leaving out one customer moves the hazard ratio of usage by 50%, and no other by more ("
    )


def test_a_conclusion_that_rests_on_one_customer_is_named() -> None:
    rows = [moved(), moved(customer="c7", conclusion_without="unclear", in_errors=0.9), moved(change=np.nan)]
    said = words.influence_sentences(rows, {"x": "usage"}, customers=60, events=20, refits=0)
    assert (
        "the ratio of usage would be not clearly different from 1 instead of clearly above 1 without customer c7 (approximately)"
        in said[1]
    )
    assert "One customer alone moves the coefficient of usage by more than 0.5 standard errors" in said[2]
    assert said[3] == "With 20 churns, each of them weighs much."
    hidden = words.influence_sentences(
        [moved(customer=words.NOT_NAMED, conclusion_without="lower", refitted=True)],
        {},
        customers=60,
        events=90,
        refits=1,
    )
    assert "the ratio of x would be clearly below 1 instead of clearly above 1 without one customer." in hidden[1]


def group_rows(*pairs: tuple[float, float], **given: Any) -> list[dict[str, Any]]:
    return [{"group": i + 1, "observed": o, "expected": e, "ratio": o / e, **given} for i, (o, e) in enumerate(pairs)]


def test_agreement_by_risk_has_a_sentence_for_each_outcome() -> None:
    good = group_rows((50, 48.0), (90, 92.0))
    said = words.agreement_sentences(good, [], 0.4, None)
    assert (
        "agree at every level of predicted risk: in 2 groups of risk the observed number is between 0.98 and 1.04 times"
        in said[0]
    )
    assert len(said) == 2
    assert "not how well it foretells others" in said[-1]
    bad = words.agreement_sentences(group_rows((20, 48.0), (120, 92.0)), [], 0.0001, 0.2)
    assert "do not agree at every level of predicted risk (test: p < 0.001)" in bad[0]
    assert "in group 1 of 2 (1: the lowest risk), where 20 churned and 48.0 were expected" in bad[0]
    assert bad[1] == "Within periods of tenure no clear difference is seen (test: p = 0.20)."
    cells = group_rows((30, 40.0), (20, 8.0), since=90.0, until=math.inf)
    later = words.agreement_sentences(good, cells, 0.4, 0.01)
    assert (
        "Within periods of tenure they differ (test: p = 0.010), most in group 2 from day 91, where 20 churned"
        in later[1]
    )
    assert words.agreement_sentences(good, cells, 0.4, 0.5)[1].startswith("Nor do they clearly differ")
    few = words.agreement_sentences(group_rows((5, 4.0), (6, 7.0)), [], 0.4, None)
    assert few == ("11 churns are too few to compare groups of risk.",)
    assert words.form_sentence(form_row(p=0.5), "log(seats + 1)").startswith("log(seats + 1): no clear")
    exactly = words.agreement_sentences(good, cells, math.nan, 0.01)
    assert (
        exactly[0] == "The model has a coefficient for each of the 2 groups of predicted risk, so it fits them exactly."
    )


def test_titles_of_agreement_follow_the_tests() -> None:
    good = group_rows((50, 48.0), (90, 92.0))
    assert (
        words.agreement_title(good, 0.4, None) == "Observed and expected churns do not clearly differ by predicted risk"
    )
    assert words.agreement_title(good, 0.01, 0.3) == "Observed and expected churns differ by predicted risk"
    assert words.agreement_title(good, 0.4, 0.01).endswith("but do in some period of tenure")
    assert words.agreement_title(good[:1], 0.4, 0.01) == (
        "Too few churns to say whether observed and expected churns differ by predicted risk"
    )


def test_outliers_are_counted_on_either_side() -> None:
    assert words.outlier_sentence(0, 0, 100, 0.0041, 4.5).startswith("No customer has a deviance residual beyond 3")
    both = words.outlier_sentence(3, 1, 1000, 0.0041, 4.5)
    assert (
        "4 of 1,000 customers have a deviance residual beyond 3: 3 churned where fewer than 0.0041 churns were expected"
        in both
    )
    assert "1 stayed though more than 4.5 churns were expected" in both
    assert words.outlier_title(0, 10) == "No customer's deviance residual is beyond 3"
    assert words.outlier_title(1, 10) == "1 of 10 deviance residuals is beyond 3"


def test_log_log_curves_are_said_as_ratios() -> None:
    row = {
        "state": "on",
        "reference": "off",
        "since": 30.0,
        "until": 300.0,
        "first": math.log(2),
        "last": 0.0,
        "ph_p": 0.03,
    }
    assert words.log_log_sentence(row, "low usage") == (
        "Low usage, on against off: the ratio of the cumulative hazards is 2.00 at day 30 and 1.00 at day 300 (test of proportional "
        "hazards in the model: p = 0.030)."
    )
    assert "too few churns" in words.log_log_sentence({**row, "first": math.nan}, "low usage")


def test_the_methods_cite_what_was_used() -> None:
    text = ratio_topics([f"diagnostics {name}" for name in CHECKS])
    assert len(references(text)) == 3
    assert "1996" in text
    assert ratio_topics(["diagnostics influence"]).count("dfbeta") == 1


# --- Figures ---------------------------------------------------------------------------------------------------------


def form_frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    x = np.linspace(1, 60, 30)
    bins = pd.DataFrame(
        {"covariate": "seats", "mean": [1.0, 2, 4, 9, 40], "log_ratio": [0.3, 0.2, np.nan, -0.2, -0.5],
         "ci_lower": [0.1, 0, np.nan, -0.5, -0.8], "ci_upper": [0.5, 0.4, 0.2, 0.1, -0.1]}
    )  # fmt: skip
    curve = pd.DataFrame({"covariate": "seats", "value": x, "linear": -x / 80, "spline": -np.log(x) / 6})
    return bins, curve.assign(ci_lower=curve["spline"] - 0.2, ci_upper=curve["spline"] + 0.2)


def group_frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    n = np.arange(1, 5)
    groups = pd.DataFrame(
        {"group": n, "ratio": [0.8, 1.1, 0.0, 1.0], "ci_lower": [0.5, 0.9, 0.0, 0.9], "ci_upper": [1.2, 1.4, 0.6, 1.1],
         "expected_rate": n / 100, "observed_rate": [0.008, 0.022, 0.0, 0.04], "rate_lower": [0.005, 0.018, 0.0, 0.036],
         "rate_upper": [0.012, 0.028, 0.018, 0.044]}
    )  # fmt: skip
    cells = pd.concat([groups.assign(period=p) for p in ("up to day 90", "day 91 to 200", "from day 201")])
    return groups, cells.reset_index(drop=True)


def influence_frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    spread = pd.DataFrame({"covariate": ["a", "plan[T.pro]"], "minimum": [-0.3, -0.2], "p1": [-0.1, -0.05], "p99": [0.1, 0.2],
                           "maximum": [0.2, 0.4], "change_low": [-0.01, -0.21], "change_high": [0.0002, 0.1]})  # fmt: skip
    customers = pd.DataFrame({"covariate": ["a", "plan[T.pro]"], "in_errors": [-0.3, 0.4], "refitted": [True, False]})
    return spread, customers


def residual_bins() -> pd.DataFrame:
    low = np.round(np.arange(-15, 35) / 10, 1)
    return pd.DataFrame({"churned": low > 0, "lower": low, "upper": low + 0.1, "customers": np.arange(1, 51)})


def curves() -> pd.DataFrame:
    t = np.arange(5.0, 400, 5)
    parts = [
        pd.DataFrame({"covariate": "flag", "state": s, "tenure": t, "log_cumulative_hazard": np.log(t / 400) + shift})
        for s, shift in (("off", 0.0), ("on", 0.7))
    ]
    both = pd.concat(parts, ignore_index=True)
    return both.assign(ci_lower=both["log_cumulative_hazard"] - 0.1, ci_upper=both["log_cumulative_hazard"] + 0.1)


FIGURES = {
    "form": lambda: functional_form(*form_frames(), tests={"seats": "p = 0.01"}, labels={"seats": "$eats <b>"}, title="T"),
    "groups": lambda: risk_groups(*group_frames(), title="T"),
    "groups, one period": lambda: risk_groups(group_frames()[0]),
    "influence": lambda: influence(*influence_frames(), title="T"),
    "residuals": lambda: deviance_residuals(residual_bins(), title="T"),
    "log-log": lambda: log_minus_log(curves(), tests={"flag": "p = 0.5"}, title="T"),
}  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_frame_gives_the_same_bytes_and_it_can_be_drawn_again(name: str) -> None:
    figure = FIGURES[name]()
    png, svg = plot.png_bytes(figure), plot.svg_bytes(figure)
    assert plot.svg_bytes(FIGURES[name]()) == svg
    recipe = recipe_of(figure)
    assert recipe is not None
    assert plot.svg_bytes(redrawn(recipe)) == svg
    assert len(svg) < 150_000
    grey = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    assert grey.min() < 60, "something dark is left in grey"
    for text in [*figure.texts, *(axes.title for axes in figure.axes), *(axes.xaxis.label for axes in figure.axes)]:
        box = text.get_window_extent()
        assert box.x0 >= -1, text.get_text()
        assert box.x1 <= figure.bbox.width + 1, text.get_text()


@pytest.mark.parametrize(
    ("draw", "columns"),
    [
        (lambda f: functional_form(f, f), ["covariate"]),
        (risk_groups, ["group"]),
        (lambda f: influence(f, f), ["covariate"]),
        (deviance_residuals, ["churned", "customers"]),
        (log_minus_log, ["covariate", "tenure", "log_cumulative_hazard"]),
    ],
)
def test_an_empty_frame_is_said_in_words(draw: Any, columns: list[str]) -> None:
    figure = draw(pd.DataFrame(columns=columns))
    assert not figure.axes
    assert plot.png_bytes(figure)


def test_figures_hold_their_numbers() -> None:
    bins, curve = form_frames()
    axes = functional_form(bins, curve).axes[0]
    assert axes.get_xscale() == "log", "ranges that crowd at the foot are drawn on a log axis"
    spline, line, dots = axes.lines[1], axes.lines[2], axes.lines[3]
    np.testing.assert_array_equal(spline.get_ydata(), curve["spline"])
    np.testing.assert_array_equal(line.get_ydata(), curve["linear"])
    np.testing.assert_array_equal(dots.get_ydata(), bins["log_ratio"].dropna())
    even = bins.assign(mean=[1.0, 2, 3, 4, 5])
    assert functional_form(even, curve.assign(value=np.linspace(1, 6, 30))).axes[0].get_xscale() == "linear"
    groups, cells = group_frames()
    left, right = risk_groups(groups, cells).axes[:2]
    assert [len(line.get_xdata()) for line in left.lines] == [2, 3], "the diagonal; a group without churns has no dot"
    assert [t.get_text() for t in right.get_legend().get_texts()] == list(pd.unique(cells["period"]))
    bars = deviance_residuals(residual_bins()).axes
    assert sum(p.get_height() for a in bars for p in a.patches) == sum(range(1, 51))


# --- In a study ------------------------------------------------------------------------------------------------------


def test_the_form_of_numbers_only_is_checked(study: Study) -> None:
    made = models(study)[0]
    assert numbers_of(study, made) == ["seats", "sessions"]
    found = forms(study, made)
    assert found.tests["covariate"].tolist() == ["seats", "sessions"]
    assert (found.tests["events"] == made.full.events).all()
    for _, rows in found.bins.groupby("covariate"):
        assert rows["observed"].sum() == made.full.events
        assert rows["expected"].sum() == pytest.approx(made.full.events)
    assert found.curve.groupby("covariate").size().tolist() == [60, 60]


def test_a_number_that_two_terms_read_has_no_line_to_check(project: Path) -> None:
    formula = "model.formula=overdue + seats + I(seats * seats) + log(sessions + 1) + overdue:plan"
    with opened(loaded(project, formula), project, Quiet()) as polynomial:  # type: ignore[arg-type]
        assert numbers_of(polynomial, models(polynomial)[0]) == ["log(sessions + 1)"]


def test_several_definitions_are_told_apart(project: Path) -> None:
    two = (
        "churn.inactivity={kind: inactivity, window: 30}",
        "model.churn=[cancellation, inactivity]",
        "diagnostics=true",
    )
    with opened(loaded(project, *two, "model.formula=overdue + seats"), project, Quiet()) as both:  # type: ignore[arg-type]
        blocks = diagnostics_blocks(both, models(both))
    said = [text for b in blocks if isinstance(b, Bullets) for text in b.items]
    assert {text.split(":")[0] for text in said} == {"cancellation", "inactivity"}
    tables = {b.name: b.frame for b in blocks if isinstance(b, Table)}
    assert tables["risk_groups"]["definition"].unique().tolist() == ["cancellation", "inactivity"]
    assert sum(isinstance(b, Figure) for b in blocks) == 8


def test_customers_are_left_out_as_the_table_says(study: Study) -> None:
    made = models(study)[0]
    found = strongest(study, made)
    dfbeta = made.full.residuals("dfbeta", by="customer")
    assert found.customers["covariate"].unique().tolist() == list(made.full.names)
    assert 1 <= found.refits <= 8
    for name, rows in found.customers.groupby("covariate"):
        values = dfbeta[str(name)]
        assert rows["dfbeta"].abs().max() == pytest.approx(values.abs().max())
        assert [rows["dfbeta"].min(), rows["dfbeta"].max()] == pytest.approx([values.min(), values.max()])
    exact = found.customers[found.customers["refitted"]].iloc[0]
    code = dfbeta.loc[(dfbeta[exact["covariate"]] - exact["dfbeta"]).abs().idxmin(), "customer"]
    assert customer_names(study, [code])[code] == exact["customer"]
    frame = study.episodes("cancellation")
    again = sv.cox(frame[frame["customer"] != code], made.full.options.formula, start="start", customer="customer")
    ratio = again.tidy().set_index("covariate").loc[exact["covariate"], "hazard_ratio"]
    assert exact["hazard_ratio_without"] == pytest.approx(ratio)
    assert exact["change"] == pytest.approx(ratio / exact["hazard_ratio"] - 1)
    rest = found.customers[~found.customers["refitted"]]
    np.testing.assert_allclose(rest["hazard_ratio_without"], rest["hazard_ratio"] * np.exp(-rest["dfbeta"]))
    spread = found.spread.set_index("covariate")
    scaled = dfbeta[list(made.full.names)] / np.sqrt(np.diag(made.full.variance))
    np.testing.assert_allclose(spread.loc[list(made.full.names), "maximum"], scaled.max(), rtol=1e-9)
    np.testing.assert_allclose(spread.loc[list(made.full.names), "p1"], scaled.quantile(0.01), rtol=1e-9)


def test_groups_and_outliers_add_up_to_everybody(study: Study) -> None:
    made = models(study)[0]
    found = agreement(study, made)
    assert found.groups["observed"].sum() == found.cells["observed"].sum() == made.full.events
    assert found.groups["expected"].sum() == pytest.approx(made.full.events)
    assert found.groups["days"].sum() == pytest.approx(made.full.person_time)
    assert found.cells["days"].sum() == pytest.approx(made.full.person_time)
    assert found.groups["expected_rate"].is_monotonic_increasing
    people = outliers(study, made)
    assert people.bins["customers"].sum() == made.full.customers
    assert people.bins.loc[people.bins["churned"], "customers"].sum() == made.full.events
    assert len(people.listed) == 10
    assert people.listed["churned"].tolist() == [1] * 5 + [0] * 5
    deviance = made.full.residuals("deviance")["deviance"]
    assert people.listed["deviance"].iloc[0] == pytest.approx(deviance.max())
    assert people.listed["deviance"].iloc[5] == pytest.approx(deviance.min())
    assert people.far_churned + people.far_stayed == (deviance.abs() > 3).sum()


def test_log_log_curves_start_together(study: Study) -> None:
    made = models(study)[0]
    found, left_out = log_log_curves(study, made)
    assert left_out == {"seats": "a number, which has no levels", "sessions": "a number, which has no levels"} | {
        n: w for n, w in left_out.items() if "at risk" in w
    }
    assert set(made.full.terms) == set(found["covariate"]) | {n for n in left_out if ": " not in n}, (
        "each is drawn or named"
    )
    assert set(found["covariate"]) <= {"low_usage", "overdue", "open_ticket", "plan"}
    assert "low_usage" in set(found["covariate"])
    starts = found[found["covariate"] == "low_usage"].groupby("state")["tenure"].min()
    assert (starts >= 28).all(), "low usage cannot be on before its window has passed"
    assert found.groupby(["covariate", "state"]).size().max() <= 120
    apart = distances(found, {"plan": 0.2})
    assert apart.loc[apart["covariate"] == "plan", "reference"].unique().tolist() == ["basic"]
    assert (apart.loc[apart["covariate"] == "plan", "ph_p"] == 0.2).all()


def test_a_log_log_curve_is_that_of_the_hazard_since_the_common_start() -> None:
    t = np.arange(1.0, 9)
    off = pd.DataFrame({"by": "off", "tenure": t, "at_risk": 90, "events": 9, "hazard": 0.1, "se": np.sqrt(0.01 * t)})
    on = off.assign(by="on", hazard=0.2, at_risk=np.where(t < 3, 10, 60))
    rows = log_log(pd.concat([off, on]), 0.95)
    np.testing.assert_allclose(rows.loc[rows["state"] == "off", "log_cumulative_hazard"], np.log(0.1 * np.arange(1, 7)))
    np.testing.assert_allclose(rows.loc[rows["state"] == "on", "log_cumulative_hazard"], np.log(0.2 * np.arange(1, 7)))
    np.testing.assert_allclose(rows["ci_upper"].iloc[0] - np.log(0.1), 1.959964 * 0.1 / 0.1, rtol=1e-6)
    apart = distances(rows.assign(covariate="x"), {})
    assert apart[["since", "until"]].to_numpy().tolist() == [[4, 8]], "from ten churns at each level"
    np.testing.assert_allclose(apart[["first", "last"]].to_numpy(float), np.log(2))


def test_covariates_without_log_log_curves_are_named(project: Path) -> None:
    settings = ("model.formula=overdue + seats + C(plan, contr.treatment('pro')) + plan:overdue",)
    with opened(loaded(project, *settings), project, Quiet()) as there:  # type: ignore[arg-type]
        made = models(there)[0]
        found, left_out = log_log_curves(there, made)
        factor = "C(plan, contr.treatment('pro'))"
        assert found.loc[found["covariate"] == factor, "state"].iloc[0] == "pro", "the reference first"
        assert left_out["seats"] == "a number, which has no levels"
        assert left_out["plan:overdue"] == "an interaction"
        assert next(iter(left_out)) == "seats", "in the order of the formula"
        said = next(
            b.text for b in diagnostics_blocks(there, [made]) if isinstance(b, Paragraph) and "Without" in b.text
        )
        assert said.startswith("Without a curve: seats (a number, which has no levels); ")


def test_a_level_of_few_customers_has_no_curve_and_the_others_have() -> None:
    t = np.arange(1.0, 9)
    one = pd.DataFrame({"by": "a", "tenure": t, "at_risk": 90, "events": 9, "hazard": 0.1, "se": np.sqrt(0.01 * t)})
    rows = pd.concat([one, one.assign(by="b"), one.assign(by="few", at_risk=49), one.assign(by="none", hazard=0.0)])
    curves = log_log(rows, 0.95)
    assert curves["state"].unique().tolist() == ["a", "b"]
    assert _without_curve("plan", ["a", "b", "few", "none"], rows, curves) == {
        "plan: few": "never 50 customers at risk at once", "plan: none": "no churn while 50 customers are at risk at each level",
    }  # fmt: skip
    two = rows[rows["by"].isin(["a", "few"])]
    assert log_log(two, 0.95).empty
    assert _without_curve("plan", ["a", "few"], two, log_log(two, 0.95)) == {
        "plan": "never 50 customers at risk at once at few"
    }


def test_the_section_holds_what_the_config_asks_for(study: Study) -> None:
    blocks = diagnostics_blocks(study, models(study))
    assert next(b.title for b in blocks if isinstance(b, Section)) == "Model diagnostics"
    assert sum(isinstance(b, Section) and b.level == 3 for b in blocks) == len(CHECKS)
    assert sum(isinstance(b, Figure) for b in blocks) == len(CHECKS)
    figures = [b for b in blocks if isinstance(b, Figure)]
    assert all("customers" in f.caption and "churns" in f.caption for f in figures)
    tables = {b.name: b.frame for b in blocks if isinstance(b, Table)}
    assert {"functional_form", "influence", "risk_groups", "risk_group_tests", "outliers", "log_log_distances"} <= set(
        tables
    )
    assert all(set(f.source) <= set(tables) for f in figures)
    # Every figure is drawn from the tables of the report: none needs a file of its own.
    extra = document_files(study.report(blocks, headline=""), ["svg"])
    assert set(extra) == {"document.json"}
    assert not {"ci", "CI"} & {c for t in tables.values() for c in t.columns}


@pytest.mark.parametrize(("setting", "sections"), [("false", 0), ("[outliers]", 1), ("true", 4), ("[]", 0)])
def test_checks_are_chosen(project: Path, study: Study, setting: str, sections: int) -> None:
    experiment = loaded(project, f"diagnostics={setting}")
    original, study.config = study.config, experiment
    try:
        blocks = diagnostics_blocks(study, models(study))
    finally:
        study.config = original
    assert sum(isinstance(b, Section) and b.level == 3 for b in blocks) == sections
    assert bool(blocks) == bool(sections)


def test_a_model_of_flags_has_no_section_about_numbers_unless_asked(project: Path) -> None:
    experiment = loaded(project, "model.formula=overdue + plan + I(seats > 5)", "diagnostics=true")
    with opened(experiment, project, Quiet()) as small:  # type: ignore[arg-type]
        made = models(small)
        titles = [b.title for b in diagnostics_blocks(small, made) if isinstance(b, Section)]
        small.config = loaded(
            project, "model.formula=overdue + plan", "diagnostics=[functional_form]", "keep_customers=none"
        )
        asked = diagnostics_blocks(small, made)
        names = customer_names(small, [0, 1])
        small.config = loaded(project, "model.formula=overdue + plan", "keep_customers=ids")
        ids = customer_names(small, [0, 1])
        small.config = loaded(project, "model.formula=overdue + plan")
        hashed = customer_names(small, [0, 1])
    assert not any("number act" in title for title in titles)
    assert [type(b) for b in asked] == [Section, Section, Paragraph]
    assert set(names.values()) == {words.NOT_NAMED}
    assert len(set(ids.values())) == 2
    assert hashed == dict(zip(ids, pseudonyms(pd.Series(list(ids.values())))))


def test_a_misspelt_check_is_named(project: Path) -> None:
    with pytest.raises(ConfigError, match="diagnostics") as error:
        loaded(project, "diagnostics=[influense]")
    assert "influence" in str(error.value)
    assert len(str(error.value)) < 900


def test_bullets_are_whole_sentences(study: Study) -> None:
    blocks = diagnostics_blocks(study, models(study))
    said = [text for b in blocks if isinstance(b, Bullets) for text in b.items]
    assert len(said) >= 10
    assert all(text[0].isupper() or text[0].isdigit() for text in said)
    assert all(text.endswith(".") for text in said)
    assert not any("cause" in text or "nan" in text for text in said)
