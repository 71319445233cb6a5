"""Definitions of churn side by side: counted by hand, agreement from the literature's formulas, one run of the whole study."""

from __future__ import annotations

import math
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from captions import complaints, figures_of

import survival as sv
from survival import plot
from survival.churn import parse_definition, spells
from survival.churn.side_by_side import side_by_side
from survival.data import tables_from_frames
from survival.errors import ArgumentError, SurvivalError
from survival.estimate.agreement import agreement, gap_quantiles
from survival.estimate.related_fits import coefficient_differences
from survival.experiment import run as runs
from survival.experiment.formulas import terms, without
from survival.plot.agreement import days_apart, overlap_matrix
from survival.plot.grouped_forest import grouped_forest
from survival.report.definition_wording import (
    change,
    changes_summary,
    conclusion,
    conclusion_sentence,
    days_sentence,
    echo_sentence,
    nothing_changes,
    overlap_sentence,
    retention_by_definition,
)
from survival.report.tables import read_csv
from survival.report.wording import Phrase
from survival.simulate import simulate

ROOT = Path(__file__).resolve().parent.parent

# --- who and when, by hand -------------------------------------------------------------------------------------------


def company(buckets: int = 1) -> sv.Tables:
    """Five customers from 1 January 2024 to 30 April. Silence is lost after 30 days.

    a: cancels on day 20, last use on day 10 (silent on day 40). b: stays and uses. c: stays, silent from day 5 (lost on 35).
    d: cancels on day 60, silent from day 10 (lost on 40): silence 20 days earlier. e: no subscription, never uses (lost on 30).
    """
    day = lambda n: (pd.Timestamp("2024-01-01") + pd.Timedelta(days=n)).date().isoformat()  # noqa: E731
    customers = pd.DataFrame({"customer_id": list("abcde"), "signed_up_on": day(0)})
    subscriptions = pd.DataFrame(
        {"customer_id": list("abcd"), "started_on": day(0), "ended_on": [day(20), None, None, day(60)], "plan": "p"}
    )
    use = [("a", 10), ("c", 5), ("d", 10), *(("b", n) for n in range(0, 121, 10))]
    usage = pd.DataFrame([(c, day(n), "f") for c, n in use], columns=["customer_id", "used_on", "feature"])
    frames = {"customers": customers, "subscriptions": subscriptions, "usage": usage}
    return tables_from_frames(frames, until=pd.Timestamp("2024-04-30").date(), buckets=buckets)


@pytest.mark.parametrize("buckets", [1, 2])
def test_side_by_side_by_hand(buckets: int) -> None:
    with company(buckets) as tables:
        made = {
            "cancelled": spells(tables, parse_definition({"kind": "cancellation"})),
            "silent": spells(tables, parse_definition({"kind": "inactivity", "window": 30})),
        }
        found = side_by_side(made)
        assert [found.at_risk(n) for n in found.names] == [4, 5]
        assert [found.churned(n) for n in found.names] == [2, 4]
        assert found.at_risk_under_all == 4
        assert found.states["customers"].sum() == 5
        # Of a, b, c, d: a and d lost under both, c under silence alone, b under neither.
        assert found.counts().iloc[0].tolist() == ["cancelled", "silent", 4, 2, 0, 1, 1]
        gaps = found.gaps["cancelled", "silent"]
        assert gaps.to_dict("list") == {"gap": [-20, 20], "customers": [1, 1]}
        marked = sv.flows(found.marked(made["silent"]), by=["at_risk_under_all"])
        assert marked.patterns["at_risk_under_all"].tolist() == ["no", "yes"]
        assert marked.events.sum() == 4
        with pytest.raises(ArgumentError, match="two or more"):
            side_by_side({"cancelled": made["cancelled"]})


def test_agreement_is_the_literatures() -> None:
    # 20 and 15 of 50 agree: 0.7 observed, 0.5 expected, kappa 0.4; Jaccard 20/35.
    one = agreement([20], [5], [10], [15]).iloc[0]
    assert one["share_agreeing"] == pytest.approx(0.7)
    assert one["kappa"] == pytest.approx(0.4)
    assert one["jaccard"] == pytest.approx(20 / 35)
    draws = np.random.default_rng(1).multinomial(50, np.array([20, 5, 10, 15]) / 50, size=40_000)
    assert one["kappa_se"] == pytest.approx(agreement(*draws.T)["kappa"].std(), rel=0.02)
    whole = agreement([10], [0], [0], [10]).iloc[0]
    assert (whole["kappa"], whole["kappa_lower"], whole["jaccard_upper"]) == (1, 1, 1)
    assert math.isnan(agreement([0], [0], [0], [9])["jaccard"].iloc[0])
    with pytest.raises(ArgumentError, match="negative"):
        agreement([-1], [0], [0], [1])


def test_quantiles_of_counted_days() -> None:
    gaps = pd.DataFrame({"gap": [-3, 0, 7], "customers": [1, 2, 1]})
    assert gap_quantiles(gaps, (0.0, 0.25, 0.5, 0.75, 0.76, 1.0)) == [-3, -3, 0, 0, 7, 7]
    assert all(map(math.isnan, gap_quantiles(gaps.iloc[:0])))


def test_differences_between_fits_are_those_of_the_stacked_model() -> None:
    """As in R: coxph(Surv(start, stop, event) ~ x + g + x:set + g:set + strata(set), cluster = customer)."""
    rng = np.random.default_rng(5)
    n = 150
    x, g, base = rng.normal(size=n), rng.integers(0, 2, n), rng.exponential(1, n)

    def episodes(b: float, noise: np.ndarray, keep: np.ndarray) -> pd.DataFrame:
        t, c = np.ceil(60 * base * np.exp(-b * x) * noise), rng.integers(20, 120, n)
        whole = pd.DataFrame(
            {"customer": np.arange(n), "x": x, "g": g, "start": 0, "stop": np.minimum(t, c), "event": t <= c}
        )
        first, rest = whole.copy(), whole[whole["stop"] > 2].copy()
        first.loc[rest.index, "stop"] = rest["stop"] // 2
        first.loc[rest.index, "event"] = False
        rest = rest.assign(start=rest["stop"] // 2, x=rest["x"] + 0.3)
        both = pd.concat([first, rest]).sort_values(["customer", "start"])
        return both[both["customer"].isin(keep)].astype({"event": int})

    a = episodes(0.5, np.ones(n), np.arange(140))
    b = episodes(0.2, rng.uniform(0.5, 1.5, n), np.arange(10, n))
    fits = [sv.cox(f, "x + g", start="start", customer="customer") for f in (a, b)]
    found = coefficient_differences(*fits)
    stacked = pd.concat([a.assign(set="a", xa=a["x"], ga=a["g"]), b.assign(set="b", xa=0.0, ga=0)])
    whole = sv.cox(stacked, "x + g + xa + ga", start="start", cluster="customer", strata="set").tidy().iloc[2:]
    for mine, theirs in (
        ("difference", "coef"),
        ("se", "robust_se"),
        ("ratio", "hazard_ratio"),
        ("p", "p"),
        ("ci_upper", "ci_upper"),
    ):
        np.testing.assert_allclose(found[mine], whole[theirs], rtol=1e-7)
    itself = coefficient_differences(fits[0], fits[0])
    assert itself["p"].tolist() == [1, 1]
    with pytest.raises(ArgumentError, match="customer"):
        coefficient_differences(sv.cox(a, "x", start="start", cluster="customer"), fits[0])


def test_formulas_lose_the_terms_that_read_a_name() -> None:
    assert terms("a + b:c + np.log(d)") == {"a": ("a",), "np.log(d)": ("d",), "b:c": ("b", "c")}
    assert set(without("a + b + a:b + np.log(a) + c", {"a"}).split(" + ")) == {"b", "c"}
    assert without("a", {"a"}) == ""
    assert without("a + b", ()) == "a + b"


# --- words -----------------------------------------------------------------------------------------------------------

TICKETS = Phrase(who="customers with two or more open tickets")


def said(definition: str, hr: float, low: float, high: float, p: float = math.nan, same: str = "") -> dict:
    row = {"covariate": "open_ticket", "definition": definition, "hazard_ratio": hr, "ci_lower": low, "ci_upper": high}
    return row | {"conclusion": conclusion(row), "p_adjusted": p, "conclusion_same_covariates": same}


CLEAR, UNCLEAR, BELOW = (1.84, 1.52, 2.23), (1.05, 0.86, 1.28), (0.5, 0.4, 0.7)
SENTENCES = {
    "significance, and the ratios differ": (
        [said("ended", *CLEAR), said("silent", *UNCLEAR, p=0.004)],
        "Customers with two or more open tickets left at a higher rate under ended (HR 1.84, 95% CI 1.52–2.23); no clear difference "
        "was seen under silent (HR 1.05, 95% CI 0.86–1.28). The ratio under ended itself differs from that under silent (adjusted "
        "p = 0.004).",
    ),
    "significance, perhaps by chance": (
        [said("ended", *CLEAR), said("silent", *UNCLEAR, p=0.4)],
        "Customers with two or more open tickets left at a higher rate under ended (HR 1.84, 95% CI 1.52–2.23); no clear difference "
        "was seen under silent (HR 1.05, 95% CI 0.86–1.28). The ratios themselves do not clearly differ (adjusted p = 0.40), so it "
        "may be chance that one interval holds 1 and the other does not.",
    ),
    "direction, gone with the same covariates": (
        [said("ended", *CLEAR, same="higher"), said("silent", *BELOW, p=1e-6, same="higher")],
        "Customers with two or more open tickets left at a higher rate under ended (HR 1.84, 95% CI 1.52–2.23), and a lower rate under "
        "silent (HR 0.50, 95% CI 0.40–0.70). The ratio under ended itself differs from that under silent (adjusted p < 0.001). With "
        "the same covariates in every model the change goes away.",
    ),
    "one that was not compared": ([said("ended", *CLEAR), said("silent", *(math.nan,) * 3)], ""),
    "no change": ([said("ended", *CLEAR), said("silent", 1.5, 1.2, 1.9, p=0.2)], ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", SENTENCES)
def test_a_change_has_its_sentence(kind: str) -> None:
    rows, expected = SENTENCES[kind]
    assert conclusion_sentence(rows, TICKETS) == expected
    assert not re.search(r"caus|because|due to|effect|leads? to|driv|prevent", expected, re.I)


def test_changes() -> None:
    assert change(["higher", "lower", "unclear"]) == "direction"
    assert change(["lower", "unclear"]) == "significance"
    assert change(["unclear", "unclear", "not compared"]) == "none"
    assert change(["higher", "not compared"]) == ""


def test_what_does_not_change_is_said() -> None:
    assert nothing_changes({"a": "none", "b": "none"}, 2, 3, 0, 4) == (
        "2 covariates could be compared under two or more of the 3 definitions. None of the conclusions changes: what goes with a "
        "clearly higher or lower churn rate under one definition does so under each of the others for which it could be compared. "
        "None of the 4 differences in size from the first definition is clear after Holm's adjustment."
    )
    assert "For 1 of them the conclusion is the same" in nothing_changes({"a": "none", "b": "direction"}, 2, 3, 1, 1)
    assert nothing_changes({}, 0, 2, 0, 0).startswith("No covariate could be compared")


def test_changes_are_named() -> None:
    kinds = {"a": "direction", "plan[T.pro]": "significance", "c": "none", "d": "significance"}
    assert changes_summary(kinds, {"a": "open tickets"}) == (
        "Whether the churn rate is higher or lower depends on the definition for open tickets; whether a difference is clear at all "
        "depends on it for plan: pro and d."
    )
    assert (
        changes_summary({"d": "significance"}, {})
        == "Whether a difference is clear at all depends on the definition for d."
    )
    assert changes_summary({"c": "none"}, {}) == ""


def test_overlap_days_and_echoes_are_said() -> None:
    pair = {
        "definition_a": "x",
        "definition_b": "y",
        "at_risk_both": 50,
        "churned_both": 9,
        "churned_a_only": 1,
        "churned_b_only": 9,
    }
    assert overlap_sentence(pair) == (
        "Of 10 customers lost under x, 90% were also lost under y; of 18 lost under y, 50% were also lost under x."
    )
    empty = overlap_sentence(pair | {"churned_both": 0, "churned_a_only": 0})
    assert empty == "Nobody was lost under x among the 50 customers at risk under both x and y."
    both = overlap_sentence(pair | {"churned_both": 0, "churned_a_only": 0, "churned_b_only": 0})
    assert both == "Nobody was lost under x or y among the 50 customers at risk under both x and y."
    one = overlap_sentence(pair | {"churned_both": 1, "churned_a_only": 0, "churned_b_only": 0})
    assert one == "The one customer lost under x was also lost under y, and no other was."
    days = {
        "definition_a": "x",
        "definition_b": "y",
        "customers": 9,
        "same_day": 2,
        "median": -1.0,
        "lower_quartile": -4.0,
        "upper_quartile": 2.0,
    }
    assert days_sentence(days) == (
        "For the 9 customers lost under both x and y, y dates the loss 1 day earlier than x (median; middle half −2 to 4)."
    )
    assert "agree in the median (22% on the same day)" in days_sentence(days | {"median": 0})
    assert days_sentence(days | {"customers": 0}) == ""
    echo = {"definition_a": "x", "definition_b": "y", "a_first": 8, "churned_b": 16}
    assert echo_sentence(echo).startswith("50% of those lost under y (8 of 16) had been lost under x on an earlier day")
    assert echo_sentence(echo | {"a_first": 3}) == ""
    at = [{"definition": d, "retention": r} for d, r in (("x", 0.5), ("y", math.nan), ("z", 0.25))]
    assert retention_by_definition(at, 365) == "After 365 days, 50.0% were still customers under x and 25.0% under z."


# --- figures ---------------------------------------------------------------------------------------------------------


def texts(figure: plot.Drawing) -> list[str]:
    return [t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text"))]


def test_grouped_forest_draws_each_line_where_it_is() -> None:
    rows = pd.DataFrame([said("ended", *CLEAR, p=0.1), said("silent", *BELOW), said("other", *(math.nan,) * 3)]).assign(
        p=0.01, events=7
    )
    frame = pd.concat([rows, rows.assign(covariate="plan[T.pro]")]).assign(said="")
    frame.loc[frame["definition"] == "other", "said"] = "not compared"
    figure = grouped_forest(
        frame, row="definition", counts={"events": "Churned"}, notes={"open_ticket": "p = 0.3"}, note_title="Test"
    )
    points = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 1]
    assert [line.get_xdata()[0] for line in points] == [1.84, 0.5, 1.84, 0.5]
    heights = [line.get_ydata()[0] for line in points]
    assert heights == sorted(heights)
    assert [line.get_marker() for line in points] == ["s", "o", "s", "o"]
    words = texts(figure)
    assert words.count("not compared") == 2
    assert words.count("1.84 (1.52–2.23)") == 2
    assert {"plan: pro", "Churned", "p = 0.3", "Test"} <= set(words)
    assert texts(grouped_forest(frame.iloc[:0], row="definition")) == ["No hazard ratio was estimated."]


def test_overlap_and_days_are_drawn_as_they_are() -> None:
    overlap = pd.DataFrame(
        [("x", "x", 10, 10), ("x", "y", 10, 9), ("y", "x", 18, 9), ("y", "y", 18, 18)],
        columns=["definition_a", "definition_b", "churned_a", "churned_both"],
    )
    words = texts(overlap_matrix(overlap))
    assert {"90%", "9 of 10", "50%", "9 of 18", "10\nlost", "18\nlost"} <= set(words)
    apart = pd.DataFrame(
        [("x", "y", "a first", "1–7", 6), ("x", "y", "b first", "1–7", 1), ("x", "y", "same day", "", 3)],
        columns=["definition_a", "definition_b", "side", "days", "customers"],
    )
    bars = days_apart(apart).axes[0].patches
    assert sorted((round(b.get_x(), 3), round(b.get_width(), 3)) for b in bars) == [
        (-0.75, 0.6),
        (-0.15, 0.3),
        (0.15, 0.1),
    ]
    assert texts(days_apart(apart.assign(customers=0))) == ["Nobody was lost under two definitions."]


# --- the study -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("definitions")
    (folder / "configs").mkdir()
    for name in ("crm_churn_definitions", "crm_hazard_ratios"):
        shutil.copy(ROOT / "configs" / f"{name}.yaml", folder / "configs")
    simulate("crm", customers=350, seed=11, out=folder / "data" / "crm")
    run(folder)
    return folder


def run(folder: Path, *overrides: str) -> None:
    runs.run_all([folder / "configs" / "crm_churn_definitions.yaml"], overrides, None, False, runs.Console(quiet=True))


def table(project: Path, name: str) -> pd.DataFrame:
    return read_csv(project / "results" / "crm_churn_definitions" / "tables" / f"{name}.csv")


def test_every_figure_says_what_is_seen_of_whom_and_how(project: Path) -> None:
    figures = list(figures_of(project / "results" / "crm_churn_definitions"))
    assert {"retention", "overlap", "days_apart", "forest_definitions"} <= {name for name, *_ in figures}
    assert complaints(figures) == []


def test_the_study_leaves_its_tables_and_they_agree(project: Path) -> None:
    names = ["cancellation", "inactivity_30", "inactivity_60", "downgrade"]
    pairs, days, people = table(project, "agreement"), table(project, "days_between"), table(project, "definitions")
    assert people["definition"].tolist() == names
    cells = pairs[["churned_both", "churned_a_only", "churned_b_only", "stayed_both"]].sum(axis=1)
    assert (cells == pairs["at_risk_both"]).all()
    assert len(pairs) == len(days) == 6
    assert (days["customers"] == pairs["churned_both"]).all()
    assert (days[["a_first", "same_day", "b_first"]].sum(axis=1) == days["customers"]).all()
    assert (
        table(project, "days_apart").groupby(["definition_a", "definition_b"], sort=False)["customers"].sum().tolist()
    ) == days["customers"].tolist()
    nested = pairs.set_index(["definition_a", "definition_b"]).loc[("inactivity_30", "inactivity_60")]
    assert nested["churned_b_only"] == 0, "60 days of silence hold 30 of them"
    curve = table(project, "retention")
    everybody = curve[curve["cohort"] == "all"].groupby("definition")[["entered", "events"]].sum().loc[names]
    assert everybody["entered"].tolist() == people["customers"].tolist()
    assert everybody["events"].tolist() == people["churned"].tolist()
    shared = (
        curve[curve["cohort"] == "at risk under all definitions"]
        .groupby("definition")[["entered", "events"]]
        .sum()
        .loc[names]
    )
    assert set(shared["entered"]) == set(people["at_risk_under_all"])
    assert shared["events"].tolist() == people["churned_under_all"].tolist()


def test_indicators_that_a_definition_is_built_from_are_not_compared(project: Path) -> None:
    rows = table(project, "conclusions").set_index(["covariate", "definition"])
    ratios = table(project, "hazard_ratios")
    full = ratios[ratios["model"] == "multivariable"].set_index(["covariate", "definition"])["hazard_ratio"]
    for covariate in ("low_usage", "usage_drop", "adopted"):
        for definition in ("inactivity_30", "inactivity_60"):
            assert rows.loc[(covariate, definition), "conclusion"] == "not compared"
            assert (covariate, definition) not in full.index
        assert (covariate, "cancellation") in full.index
    known = rows["hazard_ratio"].dropna()
    np.testing.assert_allclose(known, full.loc[known.index])
    first = known.xs("cancellation", level="definition")
    against = rows["ratio_to_first"].dropna()
    np.testing.assert_allclose(against, known[against.index] / first[against.index.get_level_values(0)].to_numpy())
    tested = rows["p_difference"].notna()
    assert (rows.loc[tested, "p_adjusted"] >= rows.loc[tested, "p_difference"]).all()


def test_the_report_says_who_is_at_risk_and_what_changes(project: Path) -> None:
    folder = project / "results" / "crm_churn_definitions"
    text, people = (folder / "report.md").read_text(), table(project, "definitions")
    assert f"{people['at_risk_under_all'].iloc[0]:,} under all of them" in text
    assert (
        "Left out under inactivity\\_30 and inactivity\\_60, which are built from the same log: low usage, usage "
        "halved and a key feature in use." in text
    )
    assert "could be compared under two or more of the 4 definitions" in text
    for figure in ("retention", "overlap", "days_apart", "forest_definitions", "causes_cancellation"):
        assert (folder / "figures" / f"{figure}.svg").exists()
    assert len(table(project, "cumulative_incidence")) > 0


def test_one_definition_cannot_be_compared(project: Path) -> None:
    with pytest.raises(SurvivalError, match=r"needs two or more; it models cancellation only"):
        run(project, "model.churn=[cancellation]")


def test_returns_are_counted_by_customer_and_a_formula_of_nothing_but_circular_terms_is_said(project: Path) -> None:
    run(
        project, "name=odd", "model.churn=[inactivity_30, inactivity_60]", "model.formula=low_usage", "churn.inactivity_30.spells=all",
        "retention.horizon=180",
    )  # fmt: skip
    folder = project / "results" / "odd"
    text = (folder / "report.md").read_text()
    assert "No hazard ratio could be estimated under any definition; the findings below say why." in text
    assert "Greenwood's variance, by customer where they have several spells" in text
    people = read_csv(folder / "tables" / "definitions.csv").set_index("definition")
    curve = read_csv(folder / "tables" / "retention.csv")
    churns = curve[curve["cohort"] == "all"].groupby("definition")["events"].sum()
    assert churns["inactivity_30"] > people.loc["inactivity_30", "churned"], "some were lost more than once"
    assert churns["inactivity_60"] == people.loc["inactivity_60", "churned"]
    means = read_csv(folder / "tables" / "rmst.csv")
    assert means["horizon"].unique().tolist() == [180]
    assert means["se"].gt(0).all()
