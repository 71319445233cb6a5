"""Four studies at a level of 97.5 % with `retention.figure:` set.

The level is said as it was given, in every table, caption, sentence and file: no 95 %, no 98 %. The figures of retention curves have
what the config asks for, and are drawn again from the CSV files beside them, to the byte.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from captions import complaints, figures_of

from survival import plot
from survival.errors import ConfigError
from survival.experiment import run as runs
from survival.experiment.config import load
from survival.experiment.rerender import rerender
from survival.plot.numbers import confidence
from survival.report.saved import read_document
from survival.report.tables import read_csv
from survival.simulate import simulate

BASE: dict[str, Any] = {
    "level": 0.975,
    "data": {
        "tables": {n: {"path": f"data/{n}.parquet"} for n in ("customers", "subscriptions", "usage", "tickets")},
        "observed": {"from": "2023-01-01", "until": "2024-12-31"},
    },
    "churn": {"cancellation": {"kind": "cancellation"}},
    "lag_profile": [0, 14],
    "figures": ["svg"],
}
FIGURE = {
    "rows": ["at_risk", "churned", "censored"], "p_value": True, "median": True, "unit": "months", "breaks": 4, "until": 20,
    "band": "simultaneous", "censor_marks": True, "scale": "share", "censored_bars": True,
}  # fmt: skip
MODEL = {
    "churn": "cancellation",
    "formula": "open_ticket + plan",
    "subgroups": ["segment"],
    "partial_effects": ["plan"],
}
CHECKS = ["functional_form", "influence", "calibration", "outliers", "log_log"]
TICKETS = {"open_ticket": {"kind": "open_tickets", "at_least": 1}}
TWO = {"cancellation": {"kind": "cancellation"}, "inactivity": {"kind": "inactivity", "window": 60}}
STUDIES: dict[str, dict[str, Any]] = {
    "cohort_retention": {
        "cohorts": {"by": "plan"},
        "retention": {"at": [90, 180], "bands": "hall-wellner", "figure": FIGURE, "compare": ["basic", "pro"]},
        "adjusted": {"by": "plan", "for": ["segment"]},
    },
    "churn_rate": {"retention": {"at": [90, 180], "figure": FIGURE}},
    "hazard_ratios": {
        "indicators": TICKETS,
        "model": MODEL,
        "diagnostics": CHECKS,
        "retention": {"figure": {"unit": "years"}},
    },
    "churn_definitions": {
        "churn": TWO,
        "indicators": TICKETS,
        "model": {"formula": "open_ticket + plan"},
        "retention": {"at": [90], "figure": FIGURE},
    },
}
# What stands behind a level; "95% of customers" or a retention of 98% is none.
MEANT = re.compile(
    r"\b(?:95|98)(?:\.0)?\s?\\?%\s*(?:CI|confidence|interval|limit|band|log|plain|Wald|exact|equal|Hall|\$)", re.I
)
GIVEN = re.compile(r"97\.5\s?\\?%\s*(?:CI|confidence|interval|log|Wald|bands|intervals|equal|Hall)", re.I)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("levels")
    (folder / "configs").mkdir()
    for study, more in STUDIES.items():
        (folder / "configs" / f"{study}.yaml").write_text(yaml.safe_dump(BASE | {"study": study} | more))
    simulate("crm", customers=300, seed=5, out=folder / "data")
    runs.run_all(sorted((folder / "configs").glob("*.yaml")), [], None, False, runs.Console(quiet=True))
    return folder / "results"


def texts(folder: Path) -> dict[str, str]:
    """Every text of a run but the config and the raw numbers: report, tables for publishing, titles and captions."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".html", ".md", ".tex"} or path.name == "document.json":
            found[path.name] = path.read_text()
        elif path.suffix == ".docx":
            with zipfile.ZipFile(path) as parts:
                found[path.name] = re.sub(r"<[^>]+>", " ", parts.read("word/document.xml").decode())
    return found


@pytest.mark.parametrize("study", STUDIES)
def test_no_other_level_is_named(project: Path, study: str) -> None:
    said = texts(project / study)
    assert {Path(name).suffix for name in said} == {".html", ".md", ".tex", ".docx", ".json"}
    wrong = {name: MEANT.findall(text) for name, text in said.items() if MEANT.search(text)}
    assert wrong == {}
    assert len(GIVEN.findall(said["report.md"])) >= 4
    assert any(GIVEN.search(text) for name, text in said.items() if name.endswith(".docx"))


def test_limits_without_a_header_of_their_own_have_the_level(project: Path) -> None:
    said = texts(project / "churn_rate")
    assert "97.5% CI, lower" in said["churn_rate.md"]
    assert "97.5\\% CI, lower" in said["churn_rate.tex"]
    assert "Rate of the period (97.5% CI)" in said["churn_rate_quarters_cancellation.md"]
    assert "Here (97.5% CI)" in said["churn_rate_bands_cancellation.md"]


def test_a_level_keeps_its_digits() -> None:
    levels = (0.9, 0.95, 0.975, 0.98, 0.99, 0.999, 0.9995, 2 / 3)
    assert [confidence(level) for level in levels[:-1]] == ["90%", "95%", "97.5%", "98%", "99%", "99.9%", "99.95%"]
    assert confidence(levels[-1]).startswith("66.66")
    assert confidence(1 - 0.05) == "95%"


def test_a_forest_of_means_names_the_level_of_its_frame() -> None:
    frame = pd.DataFrame(
        {"by": ["a"], "horizon": [365.0], "rmst": [200.0], "ci_lower": [190.0], "ci_upper": [210.0], "level": [0.9]}
    )
    assert "days (90% CI)" in [t.get_text() for t in plot.rmst_forest(frame).texts]
    assert "days (95% CI)" in [t.get_text() for t in plot.rmst_forest(frame.drop(columns="level")).texts]


# --- retention.figure ------------------------------------------------------------------------------------------------

DRAWN = {
    "cohort_retention": "retention_cancellation",
    "churn_definitions": "retention",
    "churn_rate": "extrapolated_cancellation",
}


@cache
def figure_of(folder: Path, name: str) -> Any:
    """The figure of a run as it was saved."""
    return next(f for f in read_document(folder)[0].figures() if f.name == name)


def arguments(folder: Path, name: str) -> dict[str, Any]:
    """What the figure was drawn with."""
    return dict(figure_of(folder, name).figure.recipe.arguments)


def caption(folder: Path, name: str) -> str:
    return str(figure_of(folder, name).caption)


@pytest.mark.parametrize("study", STUDIES)
def test_every_figure_says_what_is_seen_of_whom_and_how(project: Path, study: str) -> None:
    figures = list(figures_of(project / study))
    assert len(figures) >= {"cohort_retention": 7, "churn_rate": 5, "hazard_ratios": 9, "churn_definitions": 4}[study]
    assert complaints(figures, "97.5%") == []


@pytest.mark.parametrize(
    "name", ["retention_bands_cancellation", "difference_curve_cancellation", "adjusted_retention_cancellation",
             "conditional_cancellation", "revenue_retention_cancellation"]
)  # fmt: skip
def test_other_figures_over_tenure_follow_the_axis_too(project: Path, name: str) -> None:
    made = figure_of(project / "cohort_retention", name).figure
    panels = [axes for axes in made.axes if axes.get_gid() != "risk-table"]
    assert panels
    for axes in panels:
        assert axes.get_xlim() == (0, 20 * 30.4375)
        assert [t.get_text() for t in axes.get_xticklabels()] == ["0", "4", "8", "12", "16", "20"]
    words = {axes.get_xlabel() for axes in panels} | {t.get_text() for t in made.texts}
    assert any(re.match(r"Tenure (\(months|in months) of 30\.4375 days", text) for text in words)
    if not name.startswith("difference"):  # in points
        assert [t.get_text() for t in panels[0].get_yticklabels()] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    if name.startswith("adjusted"):  # with the numbers of its own ticks, those of the curves as observed
        rows = read_csv(project / "cohort_retention" / "tables" / "retention.csv").query(
            "cohort == 'pro' and tenure <= 12 * 30.4375"
        )
        there = rows["entered"].sum() - rows["events"].sum() - rows["censored"].sum()
        (table,) = (axes for axes in made.axes if axes.get_gid() == "risk-table")
        assert table.texts[6 + 3].get_text() == f"{there:g}"


def test_what_the_model_predicts_follows_the_axis_too(project: Path) -> None:
    made = figure_of(project / "hazard_ratios", "partial_effects_cancellation_plan").figure
    assert made.axes[0].get_xlabel() == "Tenure (years of 365.25 days)"
    assert all(float(t.get_text()) < 6 for t in made.axes[0].get_xticklabels())


@pytest.mark.parametrize("study", DRAWN)
def test_figures_are_drawn_again_from_what_was_saved(project: Path, tmp_path: Path, study: str) -> None:
    folder = tmp_path / study
    shutil.copytree(project / study, folder)
    before = {p.name: p.read_bytes() for p in (folder / "figures").iterdir()}
    rerender(folder)
    assert {p.name: p.read_bytes() for p in (folder / "figures").iterdir()} == before
    given = arguments(folder, DRAWN[study])
    assert {k: given[k] for k in ("rows", "unit", "breaks", "until", "scale")} == {
        "rows": ("at_risk", "churned", "censored"), "unit": "months", "breaks": 4.0, "until": 20.0, "scale": "share",
    }  # fmt: skip


def test_the_figure_has_the_counts_medians_and_the_test_of_the_tables(project: Path) -> None:
    folder = project / "cohort_retention"
    given = arguments(folder, "retention_cancellation")
    figure = plot.retention_curves(**given)
    axes = figure.axes[0]
    said = next(t.get_text() for t in axes.texts if t.get_gid() == "tests").split("\n")
    tests = read_csv(folder / "tables" / "rank_tests.csv").set_index("test")["p"]
    p = tests["logrank"]
    assert said[0] == (
        "log-rank p < 0.001" if p < 0.001 else f"log-rank p = {p:.3f}" if p < 0.0995 else f"log-rank p = {p:.2f}"
    )
    assert axes.get_xlim() == (0, 20 * 30.4375)
    assert [t.get_text() for t in axes.get_xticklabels()] == ["0", "4", "8", "12", "16", "20"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    medians = read_csv(folder / "tables" / "medians.csv")["median_tenure"]
    drawn = [line.get_xdata()[0] for line in axes.lines if line.get_gid() == "median" and line.get_xdata()[0] > 0]
    assert sorted(drawn) == sorted(m for m in medians if m <= 20 * 30.4375)
    curve = read_csv(folder / "tables" / "retention.csv").query("cohort == 'starter' and tenure <= 12 * 30.4375")
    under = {a.get_gid(): [t.get_text() for t in a.texts] for a in figure.axes[1:]}
    place = 6 * list(dict.fromkeys(read_csv(folder / "tables" / "retention.csv")["cohort"])).index("starter") + 3
    assert under["churned-table"][place] == f"{curve['events'].sum():g}"
    assert under["censored-table"][place] == f"{curve['censored'].sum():g}"
    left = curve["entered"].sum() - curve["events"].sum() - curve["censored"].sum()
    assert under["risk-table"][place] == f"{left:g}"


def test_captions_say_what_is_drawn(project: Path) -> None:
    text = caption(project / "cohort_retention", "retention_cancellation")
    assert "bands are 97.5% Hall-Wellner bands, inside which a whole curve lies" in text
    assert "Below: customers at risk at that tenure; churned so far; censored so far." in text
    assert (
        "Dotted: median tenure. Strokes on a curve: somebody's observation ended. Bars at the foot: customers whose"
        in text
    )
    assert "observation ended (censored). p: test that" in text
    both = caption(project / "churn_definitions", "retention")
    assert "97.5% equal-precision bands" in both
    assert "p: test" not in both
    assert "Bars" not in both, "they would hold the same customers several times"
    report = (project / "churn_definitions" / "report.md").read_text()
    assert "so no test compares them" in report, "why nothing is printed is a finding"
    assert "the band of an extrapolated curve spans models" in (project / "churn_rate" / "report.md").read_text()
    said = caption(project / "churn_rate", "extrapolated_cancellation")
    assert "Strokes" not in said
    assert "Bars" not in said


def test_a_changed_p_in_the_csv_changes_the_figure(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(project / "cohort_retention", folder)
    path = folder / "tables" / "rank_tests.csv"
    lines = path.read_text().splitlines()
    at = lines[0].split(",").index("p")
    cells = lines[1].split(",")
    lines[1] = ",".join([*cells[:at], "0.25", *cells[at + 1 :]])
    path.write_text("\n".join(lines) + "\n")
    figure = plot.retention_curves(**arguments(folder, "retention_cancellation"))
    assert next(t.get_text() for t in figure.axes[0].texts if t.get_gid() == "tests").startswith("log-rank p = 0.25")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("rows", "[at_rsk]", r"retention\.figure\.rows.*got 'at_rsk'\. Did you mean 'at_risk'\?"),
        ("rows", "[churned, churned]", r"rows: each once; got churned, churned"),
        ("unit", "month", r"retention\.figure\.unit: got 'month'\. Did you mean 'months'\?"),
        ("band", "simultanous", r"retention\.figure\.band: got 'simultanous'\. Did you mean 'simultaneous'\?"),
        ("scale", "percents", r"Did you mean 'percent'\?"),
        ("breaks", "0", r"retention\.figure\.breaks: give a step above 0, such as 90, or the ticks.*got 0"),
        ("breaks", "[0, x]", r"retention\.figure\.breaks: give a step above 0.*got \[0, 'x'\]"),
        ("breaks", "[]", r"retention\.figure\.breaks: give a step above 0"),
        ("until", "-3", r"retention\.figure\.until: got -3; it should be greater than 0"),
        ("p_value", "maybe", r"retention\.figure\.p_value: got 'maybe'"),
        ("pvalue", "true", r"retention\.figure\.pvalue: unknown key\. Did you mean 'p_value'\?"),
        ("censor", "true", r"retention\.figure\.censor: unknown key\. Did you mean 'censor_marks'\?"),
    ],
)
def test_each_wrong_value_has_one_clear_error(tmp_path: Path, key: str, value: str, said: str) -> None:
    config = BASE | {"study": "cohort_retention"}
    (tmp_path / "bad.yaml").write_text(f"{yaml.safe_dump(config)}retention:\n  figure:\n    {key}: {value}\n")
    with pytest.raises(ConfigError, match=said) as error:
        load(tmp_path / "bad.yaml")
    assert "1 problem" in str(error.value)


def test_one_row_may_stand_without_brackets(tmp_path: Path) -> None:
    text = (
        yaml.safe_dump(BASE | {"study": "cohort_retention"}) + "retention: {figure: {rows: churned, breaks: [0, 30]}}\n"
    )
    (tmp_path / "good.yaml").write_text(text)
    figure = load(tmp_path / "good.yaml")[0].retention.figure
    assert figure.rows == ("churned",)
    assert figure.breaks == (0, 30)
