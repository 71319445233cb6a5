"""`survival check` and the audit of a run: text, JSON, strict, allow, and every problem at once with its line or rows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from audit_companies import company

from survival.cli import main
from survival.report.tables import read_csv
from survival.simulate import simulate

CONFIG = """\
study: {study}
data:
  tables:
    customers: {{path: customers.csv}}
    subscriptions: {{path: subscriptions.csv}}
    usage: {{path: usage.csv}}
  observed: {{until: 2023-12-31}}
churn:
  cancellation: {{kind: cancellation}}
indicators:
  low: {{kind: usage, window: 28, below: 3}}
model: {{formula: low + plan}}
lag_profile: []
"""


def survival(*arguments: object, here: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The `survival` command; its exit code."""
    monkeypatch.chdir(here)
    monkeypatch.setattr("sys.argv", ["survival", *map(str, arguments)])
    try:
        main()
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


def project(folder: Path, config: str = CONFIG, study: str = "hazard_ratios", **attributes: object) -> Path:
    """A clean small company whose plan is drawn at random, as CSV files beside the config mine.yaml."""
    made = company(41, n=250)
    plan = np.where(made.rng.random(made.n) < 0.5, "basic", "pro")
    people = made.customers(**{"plan": plan, **{k: v(made) if callable(v) else v for k, v in attributes.items()}})
    people.to_csv(folder / "customers.csv", index=False)
    made.subscriptions().to_csv(folder / "subscriptions.csv", index=False)
    made.usage().assign(feature="reports").to_csv(folder / "usage.csv", index=False)
    (folder / "mine.yaml").write_text(config.format(study=study), encoding="utf-8")
    return folder


def test_a_clean_project_passes_and_json_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project(tmp_path)
    assert survival("check", "mine.yaml", "--look-ahead", here=tmp_path, monkeypatch=monkeypatch) == 0
    text = capsys.readouterr().out
    assert "note: look-ahead-tested (cancellation): rebuilt from what was known on 2022-09-09, " in text
    assert text.rstrip().endswith("found")
    assert "warning" not in text
    assert survival("check", "mine.yaml", "--json", here=tmp_path, monkeypatch=monkeypatch) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["ok"] is True
    assert {f["severity"] for f in value["findings"]} == {"note"}
    assert {row["table"] for row in value["ledger"]} == {"customers", "subscriptions", "usage"}
    assert sum(row["customers"] for row in value["at_risk"]) == 250


def test_the_crm_company_raises_no_warning_that_is_not_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With late entrants and rows of every kind of dirt; open tickets and invoices of earlier years are all there."""
    simulate("crm", customers=1500, seed=5, out=tmp_path / "data" / "crm")
    config = Path(__file__).parent.parent / "configs" / "crm_hazard_ratios.yaml"
    (tmp_path / "configs").mkdir()
    reason = "open tickets and unpaid invoices of earlier years are all there"
    text = f"extends: {config}\nstrict: true\nallow: {{unbounded-look-back: {reason}}}\n"
    (tmp_path / "configs" / "crm.yaml").write_text(text, encoding="utf-8")
    assert survival("check", "configs/crm.yaml", "--json", here=tmp_path, monkeypatch=monkeypatch) == 0
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert {f["id"] for f in findings if f["severity"] != "note"} == {"unbounded-look-back"}
    assert {f["allowed"] for f in findings if f["severity"] != "note"} == {reason}


def test_an_error_stops_the_run_before_anything_is_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = CONFIG.replace("low + plan", "low + status")
    project(tmp_path, config, status=lambda made: np.where(made.left, "gone", "here"))
    assert survival("check", "mine.yaml", here=tmp_path, monkeypatch=monkeypatch) == 2
    assert "error: restates-outcome (status)" in capsys.readouterr().out
    assert survival("run", "mine.yaml", here=tmp_path, monkeypatch=monkeypatch) == 2
    said = capsys.readouterr().err
    assert "the audit stops this run before anything is fitted" in said
    assert "Cox models" not in said
    assert not (tmp_path / "results" / "mine").exists()


def test_strict_stops_at_warnings_and_allow_prints_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = CONFIG.replace("{{kind: cancellation}}", "{{kind: inactivity, window: 30}}").replace(
        "window: 28", "window: 60"
    )
    config = config.replace("cancellation:", "silence:").replace("low + plan", "plan + low") + "strict: true\n"
    project(tmp_path, config)
    assert survival("run", "mine.yaml", here=tmp_path, monkeypatch=monkeypatch) == 2
    said = capsys.readouterr().err
    assert "(strict: true)" in said
    assert "warning: circularity (low)" in said
    allowed = config + "allow: {{circularity: to see how much of it is circular}}\n"
    (tmp_path / "mine.yaml").write_text(allowed.format(study="hazard_ratios"), encoding="utf-8")
    assert survival("run", "mine.yaml", here=tmp_path, monkeypatch=monkeypatch) == 0
    audit = read_csv(tmp_path / "results/mine/tables/audit.csv").set_index("id")
    assert audit.loc["circularity", "allowed"] == "to see how much of it is circular"
    assert "to see how much of it is circular" in (tmp_path / "results/mine/report.html").read_text(encoding="utf-8")
    manifest = json.loads((tmp_path / "results/mine/manifest.json").read_text(encoding="utf-8"))
    assert [w["allowed"] for w in manifest["warnings"] if w["id"] == "circularity"] == [
        "to see how much of it is circular"
    ]


@pytest.mark.parametrize(
    ("allow", "said"),
    [
        ("circularty: because", "line 14, allow.circularty: no finding 'circularty'. Did you mean 'circularity'?"),
        ('circularity: " "', "line 14, allow.circularity: give the reason"),
    ],
)
def test_allow_names_findings_and_reasons(
    allow: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project(tmp_path, CONFIG + f"allow: {{{{{allow}}}}}\n")
    assert survival("check", "mine.yaml", here=tmp_path, monkeypatch=monkeypatch) == 2
    assert said in capsys.readouterr().err


def test_one_check_names_every_problem_of_config_and_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown key, kind, name and finding; a missing column, an unreadable end and one id for two customers."""
    config = (
        CONFIG.replace("window: 28, below: 3", "windw: 28, below: 3")
        .replace("low + plan", "low + plann")
        .replace("churn:\n", "churn:\n  silence: {{kind: inactivty}}\n")
    )
    project(tmp_path, config + "allow: {{seperation: known}}\n")
    usage = pd.read_csv(tmp_path / "usage.csv").rename(columns={"used_on": "when"})
    usage.to_csv(tmp_path / "usage.csv", index=False)
    rows = pd.read_csv(tmp_path / "subscriptions.csv", dtype=str)
    rows.loc[6, "ended_on"] = "soon"
    rows.to_csv(tmp_path / "subscriptions.csv", index=False)
    people = pd.read_csv(tmp_path / "customers.csv", dtype=str)
    people = pd.concat([people, people.head(1).assign(signed_up_on="2023-05-05")])
    people.to_csv(tmp_path / "customers.csv", index=False)
    assert survival("check", "mine.yaml", here=tmp_path, monkeypatch=monkeypatch) == 2
    said = capsys.readouterr().err
    for problem in (
        "mine.yaml: 4 problems",
        "mine.yaml, line 9, churn.silence.kind: unknown kind 'inactivty'. Did you mean 'inactivity'?",
        "mine.yaml, line 12, indicators.low.windw: unknown key. Did you mean 'window'?",
        "mine.yaml, line 13, model.formula: 'plann' is no indicator, no column of customers and no cohort. Did you mean 'plan'?",
        "mine.yaml, line 15, allow.seperation: no finding 'seperation'. Did you mean 'separation'?",
        "problems with the data:",
        "one value of customer_id stands for rows with different contents: 'c00000' has signed_up_on",
        "subscriptions.csv, row 7, customer c00006",
        "'soon'",
    ):
        assert problem in said, said
    assert survival("check", "mine.yaml", "--json", here=tmp_path, monkeypatch=monkeypatch) == 2
    value = json.loads(capsys.readouterr().out)
    assert value["ok"] is False
    assert any("'soon'" in line for line in value["problems"])
    # with a config that can be used, the tables say the rest
    (tmp_path / "mine.yaml").write_text(CONFIG.format(study="hazard_ratios"), encoding="utf-8")
    assert survival("check", "mine.yaml", here=tmp_path, monkeypatch=monkeypatch) == 2
    said = capsys.readouterr().err
    assert "usage: no column 'used_on'; the source has: customer_id, when" in said
    assert "'soon'" in said
    assert "'c00000' has signed_up_on" in said


def test_a_column_that_only_an_indicator_reads_is_named_beside_the_config_s_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = CONFIG.replace("kind: usage, window", "kind: usage, where: {{feture: [x]}}, window") + "seeed: 7\n"
    project(tmp_path, wrong)
    assert survival("check", "mine.yaml", here=tmp_path, monkeypatch=monkeypatch) == 2
    said = capsys.readouterr().err
    assert "seeed: unknown key" in said
    assert "no logical column 'feture'" in said


def test_a_cohort_that_is_no_column_is_named_where_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt signup period is a problem of `cohorts.by`, and is said with the other problems of the config."""
    project(tmp_path, CONFIG.replace("low + plan", "low + plann") + "cohorts: {{by: signup_quartr}}\n")
    assert survival("check", "mine.yaml", here=tmp_path, monkeypatch=monkeypatch) == 2
    said = capsys.readouterr().err
    assert "mine.yaml: 2 problems" in said, said
    assert (
        "cohorts.by: 'signup_quartr' is no signup period and no column of customers. Did you mean 'signup_quarter'?"
        in said
    )


def test_ends_for_other_reasons_warn_a_study_of_curves_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = CONFIG.replace("{{kind: cancellation}}", "{{kind: cancellation, reasons: [price]}}")
    project(tmp_path, config)
    rows = pd.read_csv(tmp_path / "subscriptions.csv", dtype=str)
    rows["end_reason"] = np.where(np.arange(len(rows)) % 2, "price", "moved")
    rows.to_csv(tmp_path / "subscriptions.csv", index=False)
    for study, severity in (("hazard_ratios", "note"), ("cohort_retention", "warning")):
        (tmp_path / "mine.yaml").write_text(config.format(study=study), encoding="utf-8")
        assert survival("check", "mine.yaml", "--json", here=tmp_path, monkeypatch=monkeypatch) == 0
        findings = json.loads(capsys.readouterr().out)["findings"]
        assert [f["severity"] for f in findings if f["id"] == "competing-causes"] == [severity]


@pytest.mark.parametrize(
    ("find", "put", "said"),
    [
        ("observed: {{until", "observed: {{from: 2024-06-01, until", r"line 7, data.observed.until: got 2023-12-31, which is before"),
        ("formula: low + plan", "formula: low + + * plan (", r"line 12, model.formula: formula .* cannot be read"),
        ("formula: low + plan", "formula: low + foo(plan)", r"error: no-model .*name 'foo' is not defined.*Name a function"),
        ("{{kind: cancellation}}", "{{kind: first_of, of: [cancellation, x]}}\n  x: {{kind: cancellation}}",
         r"line 9, churn.cancellation.of: it is a part of itself"),
        ("{{kind: cancellation}}", "{{kind: downgrade, plan_order: [a, b]}}",
         r"line 9, churn.cancellation: downgrade: plan_order \(a, b\) has no place for 'basic'"),
        ("{{path: usage.csv}}", "{{path: usage.csv, columns: {{feature: what}}}}", r"line 6, data.tables.usage: no column 'what'"),
        ("until: 2023-12-31", "until: 2023-12-31, warm_up: 3 weeks", r"line 7, data.observed.warm_up: a whole number of days"),
        ("{{kind: cancellation}}", "{{kind: inactivity, where: {{feature: [reprots]}}}}",
         r"warning: never-occurs \(inactivity\): no row of usage has .* 'reprots' \(did you mean 'reports'\?\); so no row counts"),
        ("below: 3}}", "below: 3, where: {{feature: [nothing, reports]}}}}", r"never-occurs \(low\)"),
    ],
)  # fmt: skip
def test_a_check_of_a_wrong_config_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], find: str, put: str, said: str
) -> None:
    """One problem, said once, with its line or its id; no traceback."""
    assert find in CONFIG
    project(tmp_path, CONFIG.replace(find, put))
    code = survival("check", "mine.yaml", here=tmp_path, monkeypatch=monkeypatch)
    printed = capsys.readouterr()
    text = " ".join((printed.out + printed.err).split())
    assert re.search(said, text), text
    assert (code == 0) == ("never-occurs" in said)
    assert text.count("is before observed.from") + text.count("is after until") <= 1
