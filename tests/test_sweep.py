"""Grids of runs and runs side by side: named, summed up, never interleaved, one that fails alone, and Ctrl-C is clean."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from survival.cli import main
from survival.errors import ConfigError, SurvivalError
from survival.experiment import check
from survival.experiment import run as runs
from survival.experiment.checkable import where
from survival.experiment.side_by_side import shares
from survival.experiment.sweep import Point, points
from survival.report.tables import read_csv
from survival.simulate import simulate

CONFIG = """\
title: Choices
study: cohort_retention
data:
  tables:
    customers:     {path: data/customers.parquet}
    subscriptions: {path: data/subscriptions.parquet}
  observed: {from: 2023-01-01, until: 2024-12-31}
churn:
  cancellation: {kind: cancellation}
cohorts: {by: plan}
model: {formula: plan}
"""
GRID = CONFIG + "sweep:\n  model.ties: [efron, breslow]\n  churn.cancellation.gap: [0, 5]\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "configs").mkdir()
    simulate("crm", customers=250, seed=4, out=folder / "data")
    return folder


def written(folder: Path, text: str, name: str = "choices") -> Path:
    path = folder / "configs" / f"{name}.yaml"
    path.write_text(text)
    return path


def run(*paths: Path, jobs: int = 1, force: bool = False, results: Path | None = None) -> None:
    runs.run_all(list(paths), [], results, force, runs.Console(quiet=True), jobs)


def test_every_combination_is_a_run_and_one_page_sums_them_up(project: Path, tmp_path: Path) -> None:
    run(written(project, GRID), results=tmp_path)
    names = [f"choices--ties={t}--gap={g}" for t in ("efron", "breslow") for g in (0, 5)]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*names, "choices", "index.html"])
    for name in names:
        manifest = json.loads((tmp_path / name / "manifest.json").read_text())
        ties, gap = re.fullmatch(r"choices--ties=(\w+)--gap=(\d+)", name).groups()
        assert manifest["config"]["model"]["ties"] == ties
        assert manifest["config"]["churn"]["cancellation"]["gap"] == int(gap)
        assert manifest["point"] == {"ties": ties, "gap": gap}
        assert manifest["title"] == f"Choices (ties = {ties}, gap = {gap})"
    summary = read_csv(tmp_path / "choices" / "tables" / "hazard_ratios.csv")
    assert set(summary["run"]) == {f"ties {t}, gap {g}" for t in ("efron", "breslow") for g in (0, 5)}
    own = read_csv(tmp_path / names[0] / "tables" / "hazard_ratios.csv").query("model == 'multivariable'")
    mine = summary[summary["run"] == "ties efron, gap 0"]
    assert mine["hazard_ratio"].tolist() == own["hazard_ratio"].tolist()
    manifest = json.loads((tmp_path / "choices" / "manifest.json").read_text())
    assert manifest["title"] == "Choices"
    assert manifest["points"] == names
    page = (tmp_path / "choices" / "report.html").read_text()
    assert "4 runs, by ties, gap" in page
    fits = pd.concat([read_csv(tmp_path / name / "tables" / "fit.csv") for name in names])
    ends = [f"{n:,.0f}" for n in (fits["customers"].min(), fits["customers"].max())]
    assert f"{' to '.join(dict.fromkeys(ends))} customers and " in page
    assert " in each run. Multivariable Cox models, 95% intervals" in page
    index = (tmp_path / "index.html").read_text()
    assert index.count('href="choices/report.html"') >= 1
    assert "choices--ties%3Defron--gap%3D5/report.html" in index
    assert '<h2><a href="choices--' not in index  # the points are in the card of their sweep
    stamps = [(tmp_path / name / "report.html").stat().st_mtime_ns for name in names]
    run(written(project, GRID), results=tmp_path)
    assert [(tmp_path / name / "report.html").stat().st_mtime_ns for name in names] == stamps  # nothing changed: kept


@pytest.mark.parametrize(
    ("sweep", "names"),
    [
        ("", [""]),
        ("sweep: {level: [0.9, 0.95]}\n", ["--level=0.9", "--level=0.95"]),
        ("sweep: {model.formula: [plan, plan + seats]}\n", ["--formula=plan", "--formula=plan_+_seats"]),
        ("sweep: {retention.at: [[30], [30, 90]]}\n", ["--at=1", "--at=2"]),
        ("sweep: {model: {ties: [efron, breslow]}}\n", ["--ties=efron", "--ties=breslow"]),
        ("sweep: {a.window: [1], b.window: [2]}\n", ["--a.window=1--b.window=2"]),
        ("sweep: {cohorts: [null, {by: plan}]}\n", ["--cohorts=1", "--cohorts=2"]),
        ("sweep: {level: [0.9], seed: [1, 2]}\n", ["--level=0.9--seed=1", "--level=0.9--seed=2"]),
    ],
)
def test_names_of_points(project: Path, sweep: str, names: list[str]) -> None:
    assert [p.suffix for p in points(written(project, CONFIG + sweep))] == names


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ("sweep: {model.tiez: [efron]}\n", r"choices.yaml, line 12, model.tiez: unknown key. Did you mean 'ties'"),
        ("sweep:\n  model.ties: [efron, effron]\n", r"line 13, model.ties: got 'effron'. Did you mean 'efron'"),
        ("sweep:\n  model.ties: efron\n", r"line 13, sweep.model.ties: got 'efron'; give a list"),
        ("sweep:\n  level: []\n", r"line 13, sweep.level: got \[\]; give a list"),
        ("sweep: {level: [0.9, 0.9]}\n", r"line 12, sweep.level: a value stands twice"),
        ("sweep: {name: [a, b]}\n", r"line 12, sweep.name: this key cannot be swept"),
        ("sweep: [1]\n", r"line 12, sweep: give dotted keys"),
        ("sweep: {title.x: [1, 2]}\n", r"line 12: 'title' holds a value and not keys"),
        (
            "sweep: {seed: [" + ", ".join(map(str, range(201))) + "]}\n",
            r"line 12, sweep: 201 combinations; at most 200",
        ),
    ],
)
def test_a_sweep_that_cannot_be_is_said_with_its_line_before_anything_runs(
    project: Path, tmp_path: Path, sweep: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(written(project, CONFIG + sweep), results=tmp_path / "results")
    assert not (tmp_path / "results").exists()


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "survival", "run", *map(str, arguments)]


def test_runs_side_by_side_give_the_same_bytes_and_do_not_mix_their_messages(project: Path, tmp_path: Path) -> None:
    """Two configs and a third that fails when its data are read: the others are there, the exit code is 2."""
    good = [written(project, CONFIG, "one"), written(project, CONFIG + "level: 0.9\n", "two")]
    bad = written(project, CONFIG.replace("2023-01-01", "2001-01-01").replace("2024-12-31", "2001-12-31"), "bad")
    done = subprocess.run(
        command(*good, bad, "--jobs", 2, "--results", tmp_path / "parallel"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "bad.yaml: " in done.stderr
    assert "nobody is left" in done.stderr
    assert sorted(p.name for p in (tmp_path / "parallel").iterdir()) == ["index.html", "one", "two"]
    headed = [
        line for line in done.stderr.splitlines() if re.match(r"(one|two): cohort_retention|  wrote .*(one|two)/", line)
    ]
    first, second = (re.search(r"one|two", headed[i]).group() for i in (0, 2))
    assert [re.search(r"one|two", line).group() for line in headed] == [first, first, second, second]
    run(*good, results=tmp_path / "alone")
    for file in sorted((tmp_path / "alone").rglob("*")):
        if file.is_file() and file.name not in ("manifest.json", "index.html"):
            assert file.read_bytes() == (tmp_path / "parallel" / file.relative_to(tmp_path / "alone")).read_bytes()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_ctrl_c_stops_all_runs_and_leaves_nothing(project: Path, tmp_path: Path, how: signal.Signals) -> None:
    """A polite end (handled as Ctrl-C is) and the worst: the workers go with their parent, and nothing half-written stays."""
    out = tmp_path / "results"
    path = written(project, CONFIG + "sweep: {level: [0.8, 0.9, 0.95, 0.99]}\n", "many")
    process = subprocess.Popen(
        command(path, "--jobs", 2, "--results", out),
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    until = time.monotonic() + 60
    while not (out.exists() and list(out.glob(".partial-*"))) and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(how)
    said = process.communicate(timeout=60)[1]
    assert "Traceback" not in said
    if how != signal.SIGKILL:
        assert process.returncode == 130
        assert "survival: Interrupted. Earlier results are untouched" in said
    until = time.monotonic() + 20
    while (list(out.glob(".partial-*")) or list(tmp_path.glob("survival-*"))) and time.monotonic() < until:
        time.sleep(0.1)
    assert list(out.glob(".partial-*")) == []
    assert list(tmp_path.glob("survival-*")) == []  # the scratch databases


def test_memory_and_cores_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SURVIVAL_MEMORY", "SURVIVAL_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    for given, each in (("4GiB", "1024MiB"), ("2000MB", "500MiB"), ("600MiB", "256MiB"), ("1.5 GiB", "384MiB")):
        monkeypatch.setenv("SURVIVAL_MEMORY", given)
        assert shares(4)["SURVIVAL_MEMORY"] == each
    assert shares(4)["SURVIVAL_THREADS"] == shares(4)["OPENBLAS_NUM_THREADS"] == "2"
    assert shares(16)["SURVIVAL_THREADS"] == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert shares(4)["OMP_NUM_THREADS"] == "3"


def test_two_configs_cannot_write_one_folder(project: Path, tmp_path: Path) -> None:
    one = written(project, CONFIG + "sweep: {level: [0.9]}\n", "one")
    other = written(project, yaml.safe_dump({**yaml.safe_load(CONFIG), "name": "one"}), "other")
    with pytest.raises(SurvivalError, match="two configs write it"):
        run(one, other, results=tmp_path / "results")


CHECKED = """\
study: cohort_retention
data:
  tables:
    customers:     {path: data/customers.parquet}
    subscriptions: {path: data/subscriptions.parquet}
    usage:         {path: data/usage.parquet}
  observed: {from: 2023-01-01, until: 2024-12-31}
churn:
  silence: {kind: inactivity, window: 30}
indicators:
  low: {kind: usage, window: 28, below: 3}
model: {formula: low}
allow: {circularity: on purpose}
"""


def checks(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *more: str
) -> tuple[int, str]:
    """Exit code, and what the check prints: of a wrong config what is wrong."""
    monkeypatch.setattr("sys.argv", ["survival", "check", str(path), *more])
    with pytest.raises(SystemExit) as ended:
        main()
    out, steps = capsys.readouterr()
    return int(ended.value.code or 0), out or steps


def test_a_check_looks_at_every_combination_and_reads_the_data_once(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read, audits = [], []
    opening, auditing = check.open_tables, check.audited
    monkeypatch.setattr(check, "open_tables", lambda *a, **k: read.append(1) or opening(*a, **k))
    monkeypatch.setattr(check, "audited", lambda *a, **k: audits.append(1) or auditing(*a, **k))
    sweep = "sweep: {churn.silence.window: [30, 60], indicators.low.lag: [0, 35], level: [0.9, 0.95]}\n"
    path = written(project, CHECKED + sweep)
    code, text = checks(path, monkeypatch, capsys)
    assert code == 0
    assert len(read) == 1
    assert len(audits) == 4, "the level moves nothing that is audited"
    parts = re.findall(r"warning: circularity \(low\): .* lag of (\d+) .* window of (\d+).*\n  (where .*)\n", text)
    assert parts == [
        ("0", "30", "where window is 30 and lag is 0"),
        ("0", "60", "where window is 60 and lag is 0"),
        ("35", "60", "where window is 60 and lag is 35"),
    ]
    assert text.count("  allowed: on purpose") == 3
    assert re.search(r"\d+ found in 8 combinations$", text.rstrip())
    at_risk = [
        re.search(r"where .*", line) for line in text.splitlines() if line.split()[:3] == ["silence", "at", "risk"]
    ]
    said = [found.group() for found in at_risk if found]  # the warm-up, and so who is at risk, depends on both
    assert said == [f"where window is {w} and lag is {lag}" for w in (30, 60) for lag in (0, 35)], text

    value = json.loads(checks(path, monkeypatch, capsys, "--json", "--set", "allow=null", "--set", "strict=true")[1])
    assert value["ok"] is False
    assert [one["ok"] for one in value["combinations"]] == [False, False, True, True, False, False, False, False]
    found = [f for f in value["findings"] if f["id"] == "circularity"]
    assert [f["combinations"] for f in found] == [
        [f"window={w}--lag={lag}--level={level}" for level in (0.9, 0.95)] for w, lag in ((30, 0), (60, 0), (60, 35))
    ]
    assert {len(row["combinations"]) for row in value["ledger"]} == {8}


def test_a_check_of_a_sweep_says_each_problem_once_and_where(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = "seeed: 1\nsweep:\n  model.ties: [efron, breslow]\n  churn.silence.window: [30, -3, 60]\n"
    code, text = checks(written(project, CHECKED + sweep), monkeypatch, capsys)
    assert code == 2
    assert "choices.yaml: 2 problems" in text
    assert text.count("seeed: unknown key. Did you mean 'seed'?") == 1
    assert re.search(r"line 17, churn.silence.window: got -3; .* \[where window is -3\]", text)
    late = CHECKED + "sweep: {data.observed.until: [2024-12-31, 2001-12-31], level: [0.9, 0.95]}\n"
    code, text = checks(written(project, late.replace("from: 2023-01-01, ", "")), monkeypatch, capsys)
    assert code == 2
    assert len(re.findall(r"nobody is left of .* \[where until is 2001-12-31\]", text)) == 1
    assert text.count("until = 2024-12-31, level = 0.9 and 1 like it") == 1


def test_which_combinations() -> None:
    grid = [Point((), f"{a}{b}", (("a", a), ("b", b))) for a in "xyz" for b in "12"]
    assert where(grid, set(range(6))) == ""
    assert where(grid, {0, 1, 4, 5}) == "where a is x or z"
    assert where(grid, {1, 3}) == "where a is x or y and b is 2"
    assert where(grid, {0, 3}) == "in 2 of 6 combinations (a = x, b = 1; a = y, b = 2)"
    assert where(grid, {0, 1, 2, 3, 4}).endswith("; a = y, b = 2; and 1 more)")
