"""Whole runs: what they leave, that they repeat to the byte, and that nothing half-written ever stands under results/."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from survival.cli import main
from survival.errors import ResultsError, SurvivalError
from survival.experiment import run as runs
from survival.report.tables import read_csv
from survival.simulate import simulate

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ("crm_cohort_retention", "crm_hazard_ratios")
COLUMNS = {
    "retention": "definition, cohort, tenure, at_risk, events, censored, entered, retention, ci_lower, ci_upper",
    "retention_at": "definition, cohort, tenure, at_risk, retention, ci_lower, ci_upper",
    "rank_tests": "definition, test, cohort_a, cohort_b, statistic, df, p, p_adjusted",
    "rmst": "definition, cohort, horizon, rmst, se, ci_lower, ci_upper",
    "hazard_ratios": "definition, model, covariate, coef, hazard_ratio, ci_lower, ci_upper, se, robust_se, z, p, "
    "exposed_share, events_exposed, ph_statistic, ph_p",
    "fit": "definition, customers, episodes, events, person_days, log_likelihood_null, log_likelihood, lr_statistic, df, p, "
    "aic, concordance, iterations",
    "attrition": "definition, step, reason, customers, episodes, churns, person_days",
    "lag_profile": "definition, lag, covariate, hazard_ratio, ci_lower, ci_upper",
    "audit": "id, severity, subject, message, figure, allowed",
}
OF_STUDY = {
    "crm_cohort_retention": ("retention", "retention_at", "rank_tests", "rmst", "attrition", "audit"),
    "crm_hazard_ratios": ("hazard_ratios", "fit", "lag_profile", "attrition", "audit"),
}


def survival(*arguments: object, monkeypatch: pytest.MonkeyPatch, here: Path) -> int:
    """The `survival` command; its exit code."""
    monkeypatch.chdir(here)
    monkeypatch.setattr("sys.argv", ["survival", *map(str, arguments)])
    try:
        main()
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a simulated company of 700 customers and both experiments run."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "configs").mkdir()
    for name in CONFIGS:
        shutil.copy(ROOT / "configs" / f"{name}.yaml", folder / "configs")
    simulate("crm", customers=700, seed=11, out=folder / "data" / "crm")
    run(folder, *CONFIGS)
    return folder


def run(folder: Path, *names: str, overrides: tuple[str, ...] = (), force: bool = False) -> None:
    runs.run_all([folder / "configs" / f"{n}.yaml" for n in names], overrides, None, force, runs.Console(quiet=True))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_run_leaves_every_file_and_fixed_column(project: Path, name: str) -> None:
    folder = project / "results" / name
    for file in ("report.html", "report.md", "ledger.csv", "manifest.json"):
        assert (folder / file).stat().st_size > 0
    for table in OF_STUDY[name]:
        frame = read_csv(folder / "tables" / f"{table}.csv")
        assert list(frame.columns) == COLUMNS[table].split(", ")
        assert len(frame) > 0
    figures = {p.suffix for p in (folder / "figures").iterdir()}
    assert figures - {".csv"} == {".svg", ".png"}  # and what is drawn from no table of the report
    assert len(list((folder / "figures").glob("*.svg"))) == len(list((folder / "figures").glob("*.png"))) >= 4
    for table in (folder / "tables").glob("*.tex"):
        assert table.with_suffix(".csv").exists()
        assert table.with_suffix(".html").exists()
    assert (project / "results" / "index.html").read_text().count(f"{name}/report.html") >= 1


def test_the_manifest_says_what_was_run(project: Path) -> None:
    manifest = json.loads((project / "results" / "crm_hazard_ratios" / "manifest.json").read_text())
    assert manifest["seed"] == 7
    assert manifest["config"]["churn"]["cancellation"]["kind"] == "cancellation"
    assert manifest["config"]["model"]["ties"] == "efron"
    assert set(manifest["data"]) == {"customers", "subscriptions", "usage", "nps", "tickets", "invoices"}
    assert {"config", "data", "code", "versions"} == set(manifest["identity"])
    assert {f["id"] for f in manifest["warnings"]} >= {"late-entry"}


def test_the_headline_of_hazard_ratios_is_the_largest_clear_one(project: Path) -> None:
    folder = project / "results" / "crm_hazard_ratios"
    headline = json.loads((folder / "manifest.json").read_text())["headline"]
    rows = read_csv(folder / "tables" / "hazard_ratios.csv").query("model == 'multivariable'")
    clear = rows[(rows["ci_lower"] > 1) | (rows["ci_upper"] < 1)]
    top = clear.loc[clear["coef"].abs().idxmax()]
    assert headline.startswith("cancellation: Customers with ")
    assert f"{top['hazard_ratio']:.2f}" in headline
    assert f"CI {top['ci_lower']:.2f}–{top['ci_upper']:.2f}" in headline


class Links(HTMLParser):
    """Everything that a page would fetch or jump to."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.jumps: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids |= {given["id"]} if given.get("id") else set()
        self.fetched += [given[k] or "" for k in ("src", "data", "srcset") if k in given]
        self.jumps += [given["href"] or ""] if "href" in given else []


@pytest.mark.parametrize("name", CONFIGS)
def test_the_report_needs_no_network_and_jumps_only_inside(project: Path, name: str) -> None:
    page = Links()
    page.feed((project / "results" / name / "report.html").read_text())
    assert [f for f in page.fetched if not f.startswith("data:")] == []
    assert [j for j in page.jumps if not j.startswith("#")] == []
    assert {j[1:] for j in page.jumps} <= page.ids


def test_attrition_adds_up_and_ends_in_the_fit(project: Path) -> None:
    tables = project / "results" / "crm_hazard_ratios" / "tables"
    steps, fit = read_csv(tables / "attrition.csv"), read_csv(tables / "fit.csv")
    kept = steps[steps["reason"].isna()].set_index("step")
    assert list(kept.index) == ["read", "customers", "with something to leave", "at risk", "episodes", "fitted"]
    aside = steps[steps["reason"].notna()].groupby("step")["customers"].sum()
    for before, after in zip(kept.index[:-1], kept.index[1:]):
        assert kept.loc[before, "customers"] == kept.loc[after, "customers"] + aside.get(after, 0)
    for column, figure in (("customers", "customers"), ("churns", "events"), ("person_days", "person_days")):
        assert kept.loc["at risk", column] == kept.loc["fitted", column] == fit[figure].iloc[0]
    curve = read_csv(project / "results" / "crm_cohort_retention" / "tables" / "retention.csv")
    totals = curve.groupby("definition")[["entered", "events", "censored"]].sum()
    assert (totals["entered"] == totals["events"] + totals["censored"]).all()


def test_the_same_run_again_is_kept_and_forced_it_gives_the_same_bytes(project: Path) -> None:
    folder = project / "results" / "crm_cohort_retention"
    before, stamp = contents(folder), (folder / "report.html").stat().st_mtime_ns
    run(project, "crm_cohort_retention")
    assert (folder / "report.html").stat().st_mtime_ns == stamp
    run(project, "crm_cohort_retention", force=True)
    assert (folder / "report.html").stat().st_mtime_ns > stamp
    after = contents(folder)
    assert set(after) == set(before)
    assert [n for n in after if after[n] != before[n]] == ["manifest.json"]


def test_a_changed_config_or_changed_data_is_computed_again(project: Path, tmp_path: Path) -> None:
    copy = tmp_path / "project"
    shutil.copytree(project, copy)
    folder = copy / "results" / "crm_cohort_retention"
    stamp = (folder / "report.html").stat().st_mtime_ns
    run(copy, "crm_cohort_retention", overrides=("retention.interval=plain",))
    changed = (folder / "report.html").stat().st_mtime_ns
    assert changed > stamp
    file = copy / "data" / "crm" / "customers.parquet"
    frame = pd.read_parquet(file)
    frame.drop(index=frame.index[-1]).to_parquet(file)
    run(copy, "crm_cohort_retention", overrides=("retention.interval=plain",))
    assert (folder / "report.html").stat().st_mtime_ns > changed


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), RuntimeError("bug")]
)
def test_a_run_that_ends_early_leaves_earlier_results(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    copy = tmp_path / "project"
    shutil.copytree(project, copy)
    before = contents(copy / "results")

    def fail(report: object, folder: Path, formats: object) -> None:
        (folder / "half.html").write_text("half")
        raise error

    monkeypatch.setattr(runs, "write", fail)
    expected = SurvivalError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        run(copy, "crm_cohort_retention", force=True)
    assert contents(copy / "results") == before


def test_one_run_that_fails_does_not_stop_the_others(project: Path, tmp_path: Path) -> None:
    copy = tmp_path / "project"
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns("results"))
    config = copy / "configs" / "crm_hazard_ratios.yaml"
    config.write_text(
        config.read_text().replace("until: 2024-12-31", "until: 2020-12-31").replace("from: 2023", "from: 2020")
    )
    with pytest.raises(SurvivalError, match=r"crm_hazard_ratios.yaml: .*nobody is left"):
        run(copy, "crm_hazard_ratios", "crm_cohort_retention")
    assert [p.name for p in sorted((copy / "results").iterdir())] == ["crm_cohort_retention", "index.html"]


def test_a_missing_file_is_said_with_its_line_before_anything_is_computed(project: Path, tmp_path: Path) -> None:
    copy = tmp_path / "project"
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns("results"))
    (copy / "data" / "crm" / "nps.parquet").unlink()
    with pytest.raises(
        SurvivalError, match=r"crm_hazard_ratios.yaml, line \d+, data.tables.nps: no file .*nps.parquet"
    ):
        run(copy, "crm_cohort_retention", "crm_hazard_ratios")
    assert not (copy / "results").exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_has_a_message_of_its_own(project: Path, tmp_path: Path, how: signal.Signals) -> None:
    """Ctrl-C, or a scheduler's time limit, in the middle of a run: 130, one message, nothing half-written or left in scratch."""
    copy = tmp_path / "project"
    shutil.copytree(project, copy)
    before = contents(copy / "results")
    command = [sys.executable, "-m", "survival", "run", "configs/crm_hazard_ratios.yaml", "--force"]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {**os.environ, "TMPDIR": str(scratch)}
    process = subprocess.Popen(command, cwd=copy, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    said = ""
    while "episodes" not in said and process.poll() is None:
        said += process.stderr.readline()
    assert list(scratch.iterdir())
    process.send_signal(how)
    said += process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "survival: Interrupted. Earlier results are untouched" in said
    assert "Traceback" not in said
    assert contents(copy / "results") == before
    assert not list(scratch.iterdir())


def test_results_go_where_they_are_told(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = survival(
        "run", project / "configs" / "crm_cohort_retention.yaml", "--results", tmp_path / "out", "--set", "name=other",
        monkeypatch=monkeypatch, here=tmp_path,
    )  # fmt: skip
    assert code == 0
    assert (tmp_path / "out" / "other" / "report.html").exists()
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ResultsError, match="cannot be written"), runs.replacing(file / "run"):
        pass


def test_episodes_are_kept_on_request(project: Path, tmp_path: Path) -> None:
    copy = tmp_path / "project"
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns("results"))
    run(copy, "crm_hazard_ratios", overrides=("keep_episodes=true", "lag_profile=[]"))
    folder = copy / "results" / "crm_hazard_ratios"
    kept, fit = pd.read_parquet(folder / "episodes.parquet"), read_csv(folder / "tables" / "fit.csv")
    assert list(kept.columns[:6]) == ["customer_id", "spell", "start", "stop", "event", "cause"]
    assert {"low_usage", "overdue", "plan"} <= set(kept.columns)
    assert len(kept) == fit["episodes"].iloc[0]
    assert kept["event"].sum() == fit["events"].iloc[0]
    assert (kept["stop"] - kept["start"]).sum() == fit["person_days"].iloc[0]


def test_a_study_of_ones_own_is_one_file(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "project"
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns("results"))
    (copy / "experiments").mkdir()
    (copy / "experiments" / "mine.py").write_text(
        '"""Counts churns."""\n\nfrom survival.report.document import Paragraph\n\n\n'
        "def run(study):\n"
        "    churns = study.spells('cancellation').churns\n"
        "    return study.report([Paragraph(f'{churns} churns')], headline='counted')\n"
    )
    run(copy, "crm_cohort_retention", overrides=("study=mine", "name=mine"))
    churns = (
        read_csv(project / "results/crm_cohort_retention/tables/attrition.csv")
        .query("definition == 'cancellation' and step == 'at risk' and reason.isna()")["churns"]
        .iloc[0]
    )
    assert f"{churns:.0f} churns" in (copy / "results" / "mine" / "report.html").read_text()
    assert survival("studies", monkeypatch=monkeypatch, here=copy) == 0
    said = capsys.readouterr().out
    assert "mine                 Counts churns." in said
    assert "cohort_retention     Retention curves by cohort" in said


def test_init_writes_a_folder_that_runs_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert survival("init", tmp_path / "research", monkeypatch=monkeypatch, here=tmp_path) == 0
    folder = tmp_path / "research"
    assert {p.name for p in folder.iterdir()} == {"configs", "experiments", "Makefile", ".gitignore"}
    assert {p.name for p in (folder / "experiments").iterdir()} >= {"cohort_retention.py", "hazard_ratios.py"}
    simulate("crm", customers=300, seed=3, out=folder / "data" / "crm")
    assert survival("run", "configs/crm_cohort_retention.yaml", monkeypatch=monkeypatch, here=folder) == 0
    assert (folder / "results" / "index.html").exists()
    assert survival("init", folder, monkeypatch=monkeypatch, here=tmp_path) == 2


def test_check_reads_and_fits_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("survival.estimate.cox.cox", None)
    assert survival("check", "configs/crm_hazard_ratios.yaml", monkeypatch=monkeypatch, here=project) == 0
    said = capsys.readouterr().out
    assert "Rows read, used and set aside" in said
    assert "left before entry" in said
    assert "late-entry" in said


def test_schema_is_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert survival("schema", monkeypatch=monkeypatch, here=tmp_path) == 0
    assert "churn" in json.loads(capsys.readouterr().out)["properties"]
