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

import pytest
import yaml

from survival.errors import ConfigError, SurvivalError
from survival.experiment import run as runs
from survival.experiment.side_by_side import shares
from survival.experiment.sweep import points
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
