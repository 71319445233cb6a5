"""What the retention study reports beside its curves: differences, who is still here, revenue, billing, returns, options."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from captions import complaints, figures_of

from survival.churn import parse_definition, spells
from survival.churn.stays import stays
from survival.data import tables_from_frames
from survival.errors import ConfigError, SurvivalError
from survival.estimate.adjustments import holm
from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.rank_tests import rank_test
from survival.experiment import run as runs
from survival.experiment.config import load
from survival.plot.bands import simultaneous_band
from survival.plot.conditional import conditional_retention
from survival.plot.difference import retention_difference
from survival.plot.mean_count import mean_counts
from survival.plot.piecewise import piecewise_hazard as draw_pieces
from survival.plot.retention import retention_curves
from survival.plot.revenue import revenue_retention_curves
from survival.plot.style import svg_bytes, tenure_ticks
from survival.report.tables import read_csv
from survival.simulate import simulate

CONFIG: dict[str, Any] = {
    "title": "Who stays?",
    "study": "cohort_retention",
    "data": {
        "tables": {n: {"path": f"data/{n}.parquet"} for n in ("customers", "subscriptions", "usage")},
        "observed": {"from": "2023-01-01", "until": "2024-12-31"},
    },
    "churn": {
        "cancellation": {"kind": "cancellation"},
        "inactivity": {"kind": "inactivity", "window": 30, "spells": "all"},
    },
    "cohorts": {"by": "plan"},
    "retention": {
        "at": [90, 180],
        "bands": "hall-wellner",
        "tests": ["logrank", "max-combo"],
        "permutations": 49,
        "quantiles": [0.25, 0.5],
        "landmark": 60,
        "compare": ["basic", "pro"],
        "reference": "pro",
    },
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("retention")
    (folder / "configs").mkdir()
    (folder / "configs" / "stay.yaml").write_text(yaml.safe_dump(CONFIG))
    simulate("crm", customers=900, seed=5, out=folder / "data")
    runs.run_all([folder / "configs" / "stay.yaml"], [], None, False, runs.Console(quiet=True))
    return folder / "results" / "stay"


def table(project: Path, name: str) -> pd.DataFrame:
    return read_csv(project / "tables" / f"{name}.csv")


def test_every_figure_says_what_is_seen_of_whom_and_how(project: Path) -> None:
    figures = {name: (title, caption) for name, title, caption in figures_of(project)}
    assert {
        "retention_bands_cancellation",
        "difference_curve_cancellation",
        "stays_inactivity",
        "departures_inactivity",
    } <= set(figures)
    assert complaints((name, *texts) for name, texts in figures.items()) == []
    left = pd.concat([table(project, "retention").assign(n=1)]).query("definition == 'inactivity'")
    said = figures["retention_inactivity"][1]
    assert f"{left['entered'].sum():,} spells, {left['events'].sum():,} churns" in said, "spells are no customers"
    p = table(project, "rank_tests").query("definition == 'cancellation' and test == 'logrank'")["p"].iloc[0]
    differ = (
        "Retention differs between the 3 cohorts"
        if p < 0.05
        else "No clear difference in retention between the 3 cohorts"
    )
    assert figures["retention_cancellation"][0].startswith(f"cancellation: {differ} (log-rank p ")
    said = (project / "report.md").read_text()
    pieces = table(project, "billing_cancellation").query("billed == 'billed yearly'")
    middle = (pieces["start"] + pieces["stop"]) / 2 / 30.4375
    assert pieces.loc[((middle - 12).abs() < 0.6) | ((middle - 24).abs() < 0.6), "events"].sum() == 0
    none = "No customer billed yearly left in the month of a renewal (rate ratio 0, 95% CI 0–"
    assert figures["billing_cancellation"][0].startswith(f"cancellation: {none}")
    assert f"- {none}" in said
    rate = re.search(r"rate ratio ([\d.]+), 95% CI ([\d.–]+)", figures["billing_inactivity"][0])
    assert rate, "some leave at renewals"
    assert rate[0] in said or f"left at {rate[1]} times the rate of the months in between (95% CI {rate[2]})" in said


def test_differences_are_those_of_the_curves_against_the_reference(project: Path) -> None:
    found = table(project, "retention_differences_cancellation")
    at = table(project, "retention_at")
    at = at[at["definition"] == "cancellation"].set_index(["cohort", "tenure"])["retention"]
    assert found["reference"].unique().tolist() == ["pro"]
    assert found["cohort"].tolist() == ["basic", "basic", "starter", "starter"]
    for row in found.itertuples():
        assert row.difference == pytest.approx(at[row.cohort, row.tenure] - at["pro", row.tenure], abs=1e-12)
        assert row.ci_lower < row.difference < row.ci_upper
    np.testing.assert_allclose(found["p_adjusted"], holm(found["p"].to_numpy()))
    pairs = table(project, "rmst_differences")
    assert len(pairs) == 6
    means = table(project, "rmst").set_index(["definition", "cohort"])["rmst"]
    for row in pairs.itertuples():
        expected = means[row.definition, row.cohort_b] - means[row.definition, row.cohort_a]
        assert row.difference == pytest.approx(expected, abs=1e-9)
        assert row.ratio_lower < row.ratio < row.ratio_upper


def test_who_is_still_here_is_a_ratio_of_retentions(project: Path) -> None:
    given = table(project, "conditional_cancellation").set_index(["given", "days_ahead"])
    curve = table(project, "conditional_curves_cancellation")
    later = curve[(curve["given"] == 90) & (curve["tenure"] <= 270)]["retention"].iloc[-1]
    assert given.loc[(90, 180), "retention"] == later
    assert (given["ci_lower"] < given["retention"]).all()
    days = table(project, "mean_days_ahead_cancellation").set_index("given")
    assert (days["mean_days"] < 365).all()
    assert days.loc[90, "mean_days"] > 180 * given.loc[(90, 180), "retention"]


def test_several_spells_are_compared_by_customer(project: Path) -> None:
    at = table(project, "retention_at")
    report = (project / "report.md").read_text()
    assert "variance by customer (infinitesimal jackknife), since customers have several spells" in report
    assert "Variance by customer, where customers have several spells" in report
    assert at[at["definition"] == "inactivity"]["ci_lower"].notna().all()
    tests = table(project, "rank_tests")
    mine = tests[tests["definition"] == "inactivity"]
    assert mine["test"].tolist() == [
        "logrank",
        "pairwise",
        "pairwise",
        "pairwise",
        "max-combo",
        "permutation of logrank",
    ]
    assert table(project, "departures_inactivity")["mean_count"].max() > 1
    assert set(table(project, "stays_inactivity")["by"]) == {"first stay", "second stay", "third stay and later"}
    assert not (project / "tables" / "departures_cancellation.csv").exists()


def test_options_are_followed(project: Path) -> None:
    bands = table(project, "retention_bands_cancellation")
    assert set(bands["cohort"]) == {"basic", "pro", "starter"}
    held = bands.dropna(subset=["band_lower"])
    assert (held["band_lower"] <= held["ci_lower"] + 1e-12).mean() > 0.9
    shares = table(project, "tenure_quantiles")
    assert sorted(shares["share"].unique()) == [0.25, 0.5]
    landmark = table(project, "landmark_cancellation")
    assert landmark["landmark"].unique().tolist() == [60]
    at_once = landmark.set_index(["cohort", "tenure"])["retention"]
    curve = table(project, "retention")
    curve = curve[(curve["definition"] == "cancellation") & (curve["cohort"] == "pro")].set_index("tenure")["retention"]
    assert at_once["pro", 90] == pytest.approx(curve.loc[:150].iloc[-1] / curve.loc[:60].iloc[-1], rel=1e-9)
    assert table(project, "difference_curve_cancellation")["cohort_b"].unique().tolist() == ["pro"]
    assert (project / "figures" / "difference_curve_cancellation.svg").exists()


DRAWN = {
    "conditional_cancellation": ("conditional_curves_cancellation", conditional_retention),
    "revenue_retention_cancellation": ("revenue_retention_curves_cancellation", revenue_retention_curves),
    "billing_cancellation": ("billing_cancellation", lambda frame: draw_pieces(frame, by="billed")),
    "departures_inactivity": ("departures_inactivity", mean_counts),
    "difference_curve_cancellation": ("difference_curve_cancellation", retention_difference),
    "retention_bands_cancellation": (
        "retention_bands_cancellation",
        lambda frame: simultaneous_band(frame, by="cohort"),
    ),
}


@pytest.mark.parametrize("figure", DRAWN)
def test_figures_are_redrawn_from_their_csv(project: Path, figure: str) -> None:
    source, draw = DRAWN[figure]
    drawn, there = svg_bytes(draw(table(project, source))), (project / "figures" / f"{figure}.svg").read_bytes()
    assert drawn.split(b"<defs>", 1)[1] == there.split(b"<defs>", 1)[1]  # before it: the title that the report gives


def test_first_and_later_stays_are_redrawn(project: Path) -> None:
    frame = table(project, "stays_inactivity")
    longest = frame.loc[frame["retention"].notna(), "tenure"].max()
    numbers = [
        {"by": by, "tenure": t, "at_risk": int(rows.loc[rows["tenure"] > t, "at_risk"].iloc[0]) if (rows["tenure"] > t).any() else 0}
        for by, rows in frame.groupby("by", sort=False)
        for t in tenure_ticks(longest)
    ]  # fmt: skip
    drawing = retention_curves(frame, pd.DataFrame(numbers), by="by", ordered=True, horizon=longest)
    assert len(svg_bytes(drawing)) == pytest.approx(
        (project / "figures" / "stays_inactivity.svg").stat().st_size, rel=0.02
    )


def test_revenue_and_billing_come_from_the_subscriptions(project: Path) -> None:
    rows = table(project, "revenue_retention_cancellation")
    np.testing.assert_allclose(rows["difference"], rows["revenue"] - rows["customers"])
    billed = table(project, "billing_cancellation")
    assert billed["billed"].unique().tolist() == ["billed monthly", "billed yearly"]
    inner = billed[billed["start"] > 0]
    np.testing.assert_allclose((inner["start"] / 30.4375) % 1, 0.5)
    report = (project / "report.md").read_text()
    assert re.search(r"of yearly renewals \(rate ratio|In the month of a renewal customers billed yearly", report)


def test_nothing_is_said_where_nothing_is_known(project: Path) -> None:
    path = project.parents[1] / "configs" / "stay.yaml"
    off = [
        "name=less", "churn.inactivity=null", "retention.revenue=false", "retention.billing=false", "retention.conditional=[]",
        "retention.bands=none", "retention.landmark=null", "retention.interval=none", "retention.permutations=0",
        "retention.tests=[gehan]", "retention.adjust=bh",
    ]  # fmt: skip
    runs.run_all([path], off, None, False, runs.Console(quiet=True))
    less = project.parent / "less" / "tables"
    gone = ("conditional", "revenue", "billing", "retention_bands", "landmark", "difference")
    assert not [p.name for p in less.glob("*.csv") if p.name.startswith(gone)]
    assert read_csv(less / "retention_at.csv")["ci_lower"].isna().all()
    said = (project.parent / "less" / "report.md").read_text()
    assert "(gehan test: " in said
    assert "log-rank" not in said.split("## Methods")[0]
    assert "Gehan EA." in said
    assert "Benjamini Y, Hochberg Y." in said
    assert "without intervals" in said


def test_a_snapshot_has_no_triangle(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    tenure = np.tile([1, 2, 3, 5, 8, 13], 30)  # half of each tenure, the shortest too, are still customers
    lines = [f"{i},{'ab'[i // 12 % 2]},{t},{'Yes' if i // 6 % 2 else 'No'}" for i, t in enumerate(tenure)]
    (tmp_path / "customers.csv").write_text("\n".join(["customer_id,plan,tenure,churned", *lines]))
    config = {
        "study": "cohort_retention",
        "data": {"tables": {"customers": {"path": "customers.csv"}}},
        "churn": {"recorded": {"kind": "recorded", "tenure": "tenure", "unit": "month", "churned": "churned"}},
        "cohorts": {"by": "plan"},
        "retention": {"at": [60, 180], "mask_below": 0},
    }
    (tmp_path / "configs" / "snap.yaml").write_text(yaml.safe_dump(config))
    runs.run_all([tmp_path / "configs" / "snap.yaml"], [], None, False, runs.Console(quiet=True))
    report = (tmp_path / "results" / "snap" / "report.md").read_text()
    assert "There is no cohort triangle" in report
    assert not (tmp_path / "results" / "snap" / "figures" / "cohort_triangle_recorded.svg").exists()
    assert len(read_csv(tmp_path / "results" / "snap" / "tables" / "cohort_triangle.csv")) == 2 * 13
    # Two cohorts: the difference over all tenures is drawn without being asked for.
    assert (tmp_path / "results" / "snap" / "figures" / "difference_curve_recorded.svg").exists()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("retention.tests", "[logrank, gehann]", r"line \d+, retention\.tests.*weighting must be one of"),
        ("retention.tests", "[gehan, gehan]", r"each test once"),
        ("retention.bands", "wide", r"retention\.bands.*equal-precision"),
        ("retention.interval", "wald", r"retention\.interval.*logit"),
        ("retention.bandz", "none", r"retention\.bandz.*Did you mean 'bands'"),
        ("retention.quantiles", "[1.5]", r"retention\.quantiles"),
        ("beyond.models", "[gompertz]", r"'gompertz' is no model"),
        ("beyond.models", "[shifted beta geometric]", r"give `period`"),
        ("beyond.discount_rate", "-1", r"beyond\.discount_rate"),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path: Path, key: str, value: str, said: str) -> None:
    section, name = key.split(".")
    text = yaml.safe_dump({k: v for k, v in CONFIG.items() if k != "retention"}) + f"{section}:\n  {name}: {value}\n"
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said) as error:
        load(tmp_path / "bad.yaml")
    assert re.search(rf"line {len(text.splitlines())}|line {len(text.splitlines()) - 1}", str(error.value))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("retention.reference=prp", r"retention\.reference: 'prp' is no cohort of cancellation\. Did you mean 'pro'\?"),
        ("retention.compare=[pro, gold]", r"retention\.compare: 'gold' is no cohort"),
    ],
)
def test_cohorts_that_are_not_there(project: Path, override: str, said: str) -> None:
    path = project.parents[1] / "configs" / "stay.yaml"
    with pytest.raises(SurvivalError, match=said):
        runs.run_all([path], ["name=wrong", override], None, False, runs.Console(quiet=True))


def test_stays_begin_on_the_terms_of_their_first_day() -> None:
    bought = pd.DataFrame(
        {
            "subscription_id": ["s1", "s2", "s3", "s4"],
            "customer_id": ["a", "a", "b", "a"],
            "started_on": ["2024-01-01", "2024-01-01", "2024-01-05", "2024-03-01"],
            "ended_on": ["2024-02-01", "2024-02-01", None, None],
            "mrr": [10.0, 5.0, None, 40.0],
            "billing_period_months": [1, 12, 1, 3],
        }
    )
    people = pd.DataFrame({"customer_id": ["a", "b"], "signed_up_on": ["2024-01-01", "2024-01-05"], "plan": ["x", "y"]})
    with tables_from_frames({"customers": people, "subscriptions": bought}, until="2024-04-30") as tables:
        made = stays(spells(tables, parse_definition({"kind": "cancellation", "spells": "all"})), ["plan"])
    assert made["plan"].tolist() == ["x", "x", "y"]
    assert made["since"].tolist() == [0, 60, 0]
    assert made["event"].tolist() == [1, 0, 0]
    assert made["mrr"].tolist()[:2] == [15.0, 40.0]
    assert np.isnan(made["mrr"].iloc[2])
    assert made["billing_period_months"].tolist() == [12, 3, 1]
    curves = kaplan_meier(made, start="start", customer="customer", spell="spell")
    assert curves.robust
    assert rank_test(made, start="start", by="plan", customer="customer", spell="spell").tests[0].df == 1


def test_too_many_spells_for_a_frame_leave_the_terms_out(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("survival.experiment.terms.MOST", 100)
    path = project.parents[1] / "configs" / "stay.yaml"
    options = ["name=many", "churn.inactivity=null", "retention.permutations=0", "retention.bands=none"]
    runs.run_all([path], options, None, False, runs.Console(quiet=True))
    report = (project.parent / "many" / "report.md").read_text()
    assert "(terms-left-out)" in report
    assert not (project.parent / "many" / "tables" / "revenue_retention_cancellation.csv").exists()
