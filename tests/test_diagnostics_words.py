"""The section "Model diagnostics": what it says for each outcome, and its figures."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import survival as sv
from survival import plot
from survival.experiment.diagnostics_blocks import CHECKS
from survival.plot.diagnostics import functional_form, risk_groups
from survival.plot.diagnostics_customers import deviance_residuals, influence
from survival.plot.diagnostics_log_log import log_minus_log
from survival.plot.style import recipe_of, redrawn
from survival.report import diagnostics_wording as words
from survival.report.methods import references
from survival.report.methods_ratios import ratio_topics

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
