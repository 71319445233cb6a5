"""What a run says of its findings: whose they are, each once, numbers with their unit, and captions that explain what is there."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from survival.experiment import run as runs
from survival.experiment.closing import _together
from survival.findings import Finding
from survival.report import Findings, Report, to_html
from survival.report.render import said, to_markdown
from survival.report.tables import read_csv
from survival.simulate import simulate

CONFIG = {
    "study": "churn_definitions",
    "data": {
        "tables": {n: {"path": f"data/{n}.parquet"} for n in ("customers", "subscriptions", "usage", "tickets")},
        "observed": {"from": "2023-01-01", "until": "2024-12-31"},
    },
    "churn": {
        "downgrade": {"kind": "downgrade", "plan_order": ["starter", "basic", "pro"]},
        "silence": {"kind": "inactivity", "window": 30},
    },
    "indicators": {
        "low": {"kind": "usage", "window": 28, "below": 5},
        "drop": {"kind": "usage_decline", "window": 14, "baseline": 28, "below": 0.5},
        "open": {"kind": "open_tickets", "at_least": 1},
    },
    "model": {"formula": "low + drop + open"},
    "lag_profile": [],
    "allow": {"circularity": "left out of those models", "unbounded-look-back": "all is in the files"},
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a run with two definitions, and what it printed."""
    folder = tmp_path_factory.mktemp("words")
    simulate("crm", customers=300, seed=4, out=folder / "data")
    (folder / "mine.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    out = io.StringIO()
    runs.run_all([folder / "mine.yaml"], [], None, False, Console(file=out, width=200))
    return folder / "results" / "mine", out.getvalue()


def test_a_warning_names_its_definition(ran: tuple[Path, str]) -> None:
    printed = [line for line in ran[1].splitlines() if line.startswith("  warning: ")]
    assert len(printed) == 1, ran[1]
    assert printed[0].startswith("  warning: competing-causes (downgrade): ")
    assert "Draw the cumulative incidence" in printed[0]


def test_what_is_accepted_for_one_reason_is_one_line(ran: tuple[Path, str]) -> None:
    folder, _ = ran
    text = (folder / "report.md").read_text()
    assert text.count("Accepted: ") == 2
    lines = [line for line in text.splitlines() if "(circularity)" in line]
    assert lines == [
        "- **Warning** silence: low, drop (circularity): an indicator restates churn, 2 times; tables/audit.csv has each with its numbers. "
        "Accepted: left out of those models."
    ]
    assert text.index("(competing-causes)") < text.index("(circularity)"), "what is not accepted comes first"
    audit = read_csv(folder / "tables" / "audit.csv")
    assert audit.loc[audit["id"] == "circularity", "subject"].tolist() == ["silence: low", "silence: drop"]
    assert (folder / "report.html").read_text().count("<i>Accepted: ") == 2


def test_findings_of_several_definitions_in_one_line() -> None:
    subjects = ("a: x", "a: y", "b: x")
    accepted = [Finding("circularity", "warning", s, "m", allowed="why") for s in subjects]
    alone = [
        Finding("circularity", "warning", "a: z", "m"),
        Finding("circularity", "warning", "b: z", "m", allowed="else"),
    ]
    said_ = _together([*accepted, *alone])
    assert [f.subject for f in said_] == ["a: x, y; b: x", "a: z", "b: z"]
    assert said_[0].message.startswith("an indicator restates churn, 3 times")
    assert [f.subject for f in _together([Finding("one's-own", "note", s, "m", allowed="w") for s in ("x", "y")])] == [
        "x, y"
    ]


@pytest.mark.parametrize(
    ("message", "figure", "expected"),
    [
        ("719 of 3,000 customers", "719 of 3000", "719 of 3,000 customers."),
        ("they enter late", "24.0% of customers", "they enter late (24.0% of customers)."),
        ("its lag of 0 days is below 30.", "lag=0, window=30", "its lag of 0 days is below 30."),
        ("is it so?", "", "is it so?"),
        ("some overlap.", "c1, c2", "some overlap (c1, c2)."),
        ("customers: 2 of 9 rows are set aside", "", "2 of 9 rows are set aside."),
    ],
)
def test_a_figure_is_said_where_the_message_lacks_it(message: str, figure: str, expected: str) -> None:
    finding = Finding("late-entry", "note", "customers", message, figure)
    assert said(finding) == expected
    report = Report("R", blocks=(Findings((finding,)),))
    assert f"customers (late-entry): {expected}\n" in to_markdown(report)
    assert f"(<code>late-entry</code>): {expected}\n" in to_html(report)


def test_no_audit_line_ends_in_a_bare_number(ran: tuple[Path, str]) -> None:
    text = (ran[0] / "report.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith(("- **Note**", "- **Warning**"))]
    assert len(lines) > 5
    assert [line for line in lines if not line.endswith(".")] == []
    assert not any(f" {end}" in line for line in lines for end in ("0.2", "2.", "5."))
    figures = read_csv(ran[0] / "tables" / "audit.csv")["figure"].dropna()
    assert [f for f in figures if str(f).replace(".", "").isdigit()] == []


def test_not_compared_is_explained_where_it_occurs(ran: tuple[Path, str]) -> None:
    assert (ran[0] / "report.md").read_text().count("Not compared: the indicator reads the table") == 1
