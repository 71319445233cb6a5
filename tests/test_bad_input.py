"""Users' mistakes, each tried: one clear message, exit code 2, no traceback, earlier results untouched."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from survival.cli import main

CONFIG = """\
study: hazard_ratios
data:
  tables:
    customers: {path: customers.csv}
    subscriptions: {path: subscriptions.csv}
    tickets: {path: tickets.csv}
  observed: {from: 2023-01-01, until: 2023-12-31}
churn: {cancellation: {kind: cancellation}}
indicators: {open_ticket: {kind: open_tickets, at_least: 1}}
cohorts: {by: segment}
lag_profile: []
model: {formula: open_ticket + plan + seats, robust: true}
"""
Frames = dict[str, pd.DataFrame]


def company(n: int = 120, seed: int = 5) -> Frames:
    """Customers who signed up in 2023, half of whom left; tickets of a third of them."""
    random = np.random.default_rng(seed)
    signup = pd.Timestamp("2023-01-01") + pd.to_timedelta(random.integers(0, 200, n), unit="D")
    stay = pd.to_timedelta(random.integers(5, 300, n), unit="D")
    ended = (signup + stay).strftime("%Y-%m-%d").where((signup + stay <= "2023-12-31") & (random.random(n) < 0.7), "")
    names = [f"c{i:03}" for i in range(n)]
    customers = pd.DataFrame({"customer_id": names, "signed_up_on": signup.strftime("%Y-%m-%d")})
    customers["plan"] = random.choice(["basic", "pro"], n)
    customers["segment"] = random.choice(["small", "large"], n)
    customers["seats"] = random.integers(1, 50, n).astype(str)
    subscriptions = pd.DataFrame({"customer_id": names, "started_on": customers["signed_up_on"], "ended_on": ended})
    subscriptions["plan"] = customers["plan"]
    with_ticket = np.sort(random.choice(n, n // 3, replace=False))
    opened = signup[with_ticket] + pd.to_timedelta(random.integers(1, 100, n // 3), unit="D")
    tickets = pd.DataFrame({"customer_id": np.array(names)[with_ticket], "opened_on": opened.strftime("%Y-%m-%d")})
    tickets["resolved_on"] = (opened + pd.to_timedelta(random.integers(1, 60, n // 3), unit="D")).strftime("%Y-%m-%d")
    return {"customers": customers, "subscriptions": subscriptions, "tickets": tickets}


def write(folder: Path, frames: Frames, config: str = CONFIG) -> None:
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    (folder / "mine.yaml").write_text(config)


def told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str]:
    """Exit code and what stands on standard error, on one line."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["survival", *(arguments or ("run", "mine.yaml"))])
    code = 0
    try:
        main()
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return code, re.sub(r"\s+", " ", said)


def change(table: str, column: str, rows: int | slice, value: object) -> Callable[[Frames], None]:
    def apply(frames: Frames) -> None:
        frames[table] = frames[table].astype({column: object})
        frames[table].loc[rows, column] = value

    return apply


def drop(table: str, column: str) -> Callable[[Frames], None]:
    return lambda frames: frames.update({table: frames[table].drop(columns=column)})


def filled(table: str, column: str, values: Callable[[pd.DataFrame], object]) -> Callable[[Frames], None]:
    return lambda frames: frames.update({table: frames[table].assign(**{column: values(frames[table])})})


EVERYTHING = slice(None)
MISTAKES: dict[str, tuple[Callable[[Frames], None], tuple[str, str] | None, str]] = {
    "missing column": (drop("tickets", "opened_on"), None, r"tickets: no column 'opened_on'; the source has: customer_id, resolved_on"),
    "missing attribute": (drop("customers", "seats"), None, r"line 12, model.formula: 'seats' is no indicator, no column of customers"),
    "misspelt name in the formula": (lambda f: None, ("open_ticket +", "open_tickt +"), r"open_tickt.*[Dd]id you mean 'open_ticket'"),
    "misspelt file": (lambda f: None, ("path: tickets.csv", "path: ticket.csv"), r"no file .*ticket.csv.*tickets.csv"),
    "a glob that matches nothing": (lambda f: None, ("path: tickets.csv", "path: 'tickets-*.csv'"), r"no file matches .*tickets-"),
    "dates that do not parse": (
        filled("customers", "signed_up_on", lambda f: pd.to_datetime(f["signed_up_on"]).dt.strftime("%d.%m.%Y")),
        None, r"signed_up_on.*date_format",
    ),
    "an end that does not parse": (change("subscriptions", "ended_on", 3, "soon"), None, r"ended_on.*soon"),
    "no events": (change("subscriptions", "ended_on", EVERYTHING, ""), None, r"no events"),
    "nobody at risk": (lambda f: None, ("from: 2023-01-01, until: 2023-12-31", "from: 2021-01-01, until: 2022-12-31"), r"nobody"),
    "from after until": (lambda f: None, ("from: 2023-01-01", "from: 2024-06-01"), r"which is before observed.from"),
    "a churn before signup": (change("subscriptions", "ended_on", EVERYTHING, "2022-01-01"), None, r"subscriptions"),
    "missing values": (change("customers", "seats", slice(0, 10), ""), None, r"'seats' in .* Set `model.missing: drop`"),
    "text in a number column": (change("customers", "seats", 4, "many"), ("plan + seats", "plan + seats + I(seats * 2)"), r"seats"),
    "one id, two customers": (
        lambda f: f.update(customers=pd.concat([f["customers"], f["customers"].head(1).assign(plan="other")])),
        None, r"customers.*c000",
    ),
    "an empty table": (lambda f: f.update(customers=f["customers"].head(0)), None, r"customers"),
    "a transformed text column": (
        lambda f: None, ("plan + seats", "log(plan) + C(segment)"),
        r"1 problem [^ ]*mine.yaml, line 12, model.formula: log\(plan\) cannot be computed: customers.plan holds text",
    ),
    "adjusted for a function of text": (
        lambda f: None, ("lag_profile: []", "adjusted: {by: plan, for: [log(segment), log(seats)]}"),
        r"1 problem [^ ]*mine.yaml, line 11, adjusted.for: log\(segment\) cannot be computed: customers.segment holds text",
    ),
    "adjusted by too many groups": (
        filled("customers", "seats", lambda f: [f"s{i % 70}" for i in range(len(f))]),
        ("lag_profile: []", "adjusted: {by: seats, for: [plan]}"),
        r"mine.yaml, line 11, adjusted.by: 'seats' has 70 groups, more than the 60 that can be compared",
    ),
    "subgroups of too many levels": (
        filled("customers", "seats", lambda f: [i % 9 for i in range(len(f))]),
        ("robust: true", "subgroups: [seats, plan]"), r"model.subgroups: 'seats' has 9 levels, and .* at most 8",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_has_one_clear_message(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, edit, message = MISTAKES[name]
    frames = company()
    spoil(frames)
    assert edit is None or edit[0] in CONFIG
    write(tmp_path, frames, CONFIG.replace(*edit) if edit else CONFIG)
    code, said = told(tmp_path, monkeypatch, capsys)
    assert code == 2, said
    assert re.search(message, said), said
    assert said.count("survival: ") == 1
    assert not (tmp_path / "results").exists() or list((tmp_path / "results").iterdir()) == []


def finding(folder: Path, id_: str) -> pd.DataFrame:
    audit = pd.read_csv(folder / "results" / "mine" / "tables" / "audit.csv")
    return audit[audit["id"] == id_]


def test_a_constant_flag_is_named_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, company(), CONFIG.replace("at_least: 1", "at_least: 0"))
    code, said = told(tmp_path, monkeypatch, capsys)
    assert code == 0, said
    named = finding(tmp_path, "constant-covariate")
    assert list(named["subject"].unique()) == ["open_ticket"]
    ratios = pd.read_csv(tmp_path / "results/mine/tables/hazard_ratios.csv").query("model == 'multivariable'")
    assert ratios.set_index("covariate")["hazard_ratio"].isna().to_dict() == {
        "open_ticket": True, "plan[T.pro]": False, "seats": False,
    }  # fmt: skip


def test_a_separated_flag_is_named_with_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = company()
    left = frames["subscriptions"]["ended_on"] != ""
    frames["customers"]["plan"] = np.where(left, "basic", frames["customers"]["plan"])
    write(tmp_path, frames)
    code, said = told(tmp_path, monkeypatch, capsys)
    assert code == 0, said
    named = finding(tmp_path, "separation")
    assert set(named["subject"]) == {"plan[T.pro]"}
    assert named["figure"].str.contains("0 churns in .* at 1").all()
    assert f"{int(left.sum())} churns" in named["figure"].iloc[0]
    page = (tmp_path / "results/mine/report.html").read_text()
    assert "no hazard ratio could be estimated: no churn was seen among them." in page


def test_a_definition_without_a_model_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = CONFIG.replace(
        "churn: {cancellation: {kind: cancellation}}",
        "churn: {none: {kind: cancellation, reasons: [x]}, all: {kind: cancellation}}",
    )
    frames = company()
    frames["subscriptions"]["end_reason"] = "price"
    write(tmp_path, frames, config)
    code, said = told(tmp_path, monkeypatch, capsys)
    assert code == 0, said
    assert set(pd.read_csv(tmp_path / "results/mine/tables/hazard_ratios.csv")["definition"]) == {"all"}
    audit = pd.read_csv(tmp_path / "results/mine/tables/audit.csv")
    assert "the model of 'none' cannot be estimated: no events" in " ".join(audit["message"])


def test_one_empty_cohort_is_simply_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of a segment signed up on the last day: nobody of it is at risk, which the attrition table says."""
    frames = company()
    late = frames["customers"]["segment"] == "large"
    for table, column in (("customers", "signed_up_on"), ("subscriptions", "started_on")):
        frames[table].loc[late, column] = "2023-12-31"
    frames["subscriptions"].loc[late, "ended_on"] = ""
    write(
        tmp_path,
        frames,
        CONFIG.replace("study: hazard_ratios", "study: cohort_retention").replace(
            "formula: open_ticket + plan + seats, ", ""
        ),
    )
    code, said = told(tmp_path, monkeypatch, capsys)
    assert code == 0, said
    curves = pd.read_csv(tmp_path / "results/mine/tables/retention.csv")
    assert set(curves["cohort"]) == {"small"}
    steps = pd.read_csv(tmp_path / "results/mine/tables/attrition.csv")
    assert steps[steps["reason"] == "began on the last day"]["customers"].sum() == late.sum()
    assert "There is one cohort only" in (tmp_path / "results/mine/report.html").read_text()


def test_text_in_a_number_column_is_counted_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = company()
    score = pd.DataFrame({"customer_id": frames["customers"]["customer_id"], "answered_on": "2023-08-01", "score": "3"})
    score.loc[:19, "score"] = "n/a"
    score.loc[20, "score"] = "11"
    config = CONFIG.replace("{path: tickets.csv}", "{path: tickets.csv}\n    nps: {path: nps.csv}")
    config = config.replace("open_ticket: {", "bad: {kind: nps, at_most: 6}, open_ticket: {").replace(
        "formula: open", "formula: bad + open"
    )
    write(tmp_path, frames | {"nps": score}, config)
    code, said = told(tmp_path, monkeypatch, capsys)
    assert code == 0, said
    ledger = pd.read_csv(tmp_path / "results/mine/ledger.csv").query("table == 'nps'").set_index("reason")["rows"]
    assert ledger["unreadable value"] == 20
    assert ledger["out of range"] == 1
    message = " ".join(finding(tmp_path, "unreadable-values")["message"])
    assert "n/a" in message


def test_text_among_the_numbers_of_an_attribute_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = company()
    change("customers", "seats", 4, "many")(frames)
    write(tmp_path, frames)
    code, said = told(tmp_path, monkeypatch, capsys)
    assert code == 0, said
    assert "seats holds numbers in 119 rows and text such as 'many' in 1: it is read as text" in said


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("tenure", "-3", "out of range"),
        ("tenure", "long", "unreadable value"),
        ("churned", "maybe", "unreadable value"),
    ],
)
def test_a_recorded_row_that_cannot_be_used_is_set_aside_and_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    column: str,
    value: str,
    reason: str,
) -> None:
    table = pd.DataFrame({"customer_id": list("abcdef"), "tenure": list("123456"), "churned": ["Yes", "No"] * 3})
    table.loc[2, column] = value
    table.to_csv(tmp_path / "customers.csv", index=False)
    (tmp_path / "mine.yaml").write_text(
        "study: cohort_retention\ndata: {tables: {customers: {path: customers.csv}}}\n"
        "churn: {recorded: {kind: recorded, tenure: tenure, unit: month, churned: churned}}\n"
    )
    code, said = told(tmp_path, monkeypatch, capsys)
    assert code == 0
    ledger = pd.read_csv(tmp_path / "results/mine/ledger.csv").set_index("reason")["rows"]
    assert ledger.to_dict() == {"used": 5, reason: 1}
    assert f"warning: set-aside (customers): 1 of 6 rows is set aside (16.7%): 1 {reason}" in said
    curves = pd.read_csv(tmp_path / "results/mine/tables/retention.csv")
    assert curves["entered"].sum() == 5
    assert curves["events"].sum() == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "nowhere.yaml"), "nowhere.yaml: cannot be read"),
        (("run", "mine.yaml", "--set", "model.ties"), "write it as key=value"),
        (("run", "mine.yaml", "--set", "study=nothing"), "no study 'nothing'"),
        (("run", "mine.yaml", "--results", "mine.yaml"), "cannot be written"),
        (("check", "mine.yaml", "--set", "churn.cancellation.gapp=2"), "Did you mean 'gap'?"),
        (
            ("check", "mine.yaml", "--set", "characteristics.columns=[segmnt]"),
            "mine.yaml: 1 problem --set characteristics.columns, characteristics.columns: 'segmnt' is no column of customers. "
            "Did you mean 'segment'? Columns of customers: plan, segment, seats. ",
        ),
        (
            ("check", "mine.yaml", "--set", "adjusted={for: [segmet], by: plan}"),
            "mine.yaml: 1 problem --set adjusted, adjusted.for: 'segmet' is no column of customers. Did you mean 'segment'? "
            "Allowed: plan, segment, seats. ",
        ),
        (
            (
                "check",
                "mine.yaml",
                "--set",
                "model.subgroups=[seats]",
                "--set",
                "adjusted={by: plan, for: [log(segment)]}",
            ),
            "survival: mine.yaml: 2 problems --set adjusted, adjusted.for: log(segment) cannot be computed",
        ),
        (
            (
                "check",
                "mine.yaml",
                "--set",
                "sweep={adjusted.by: [plan, seats], model.ties: [efron, breslow]}",
                "--set",
                "adjusted={by: plan, for: [log(segment)]}",
                "--set",
                "model.subgroups=[seats]",
            ),
            "mine.yaml: 2 problems",
        ),
        (("simulate", "--scenario", "nothing", "--out", "x"), "nothing"),
        (("simulate", "--customers", "0", "--out", "x"), "customers"),
        (("run",), "Missing argument"),
        (("fit", "mine.yaml"), "No such command"),
    ],
)
def test_the_command_line_says_what_is_wrong(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    write(tmp_path, company())
    code, heard = told(tmp_path, monkeypatch, capsys, *arguments)
    assert code == 2
    assert said in heard
    assert not (tmp_path / "results").exists()
