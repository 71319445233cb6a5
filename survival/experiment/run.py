"""Run experiments: load every config first, then compute each into results/NAME/, whole or not at all."""

from __future__ import annotations

import datetime as dt
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from survival.data import fingerprint_inputs
from survival.errors import ConfigError, DataError, SurvivalError
from survival.experiment import studies
from survival.experiment.auditing import audited, refuse
from survival.experiment.columns import check_inputs, located
from survival.experiment.config import Experiment, load
from survival.experiment.fingerprints import code_hash, hash_of, versions
from survival.experiment.kept_customers import write_customers
from survival.experiment.progress import steps
from survival.experiment.results import finished, read_manifest, replacing, write_manifest, write_text
from survival.experiment.source import Source, read
from survival.experiment.study import Study, needed, opened
from survival.report.document import Report
from survival.report.index import IndexEntry, index_html
from survival.report.write import write


@dataclass(frozen=True)
class Job:
    """One config, ready to run: nothing has been computed yet."""

    path: Path
    root: Path
    experiment: Experiment
    source: Source
    study: studies.StudyModule
    target: Path


def project_root(config: Path) -> Path:
    """The folder that paths in a config are relative to: the parent of `configs/`, else the config's own folder."""
    folder = config.resolve().parent
    return folder.parent if folder.name == "configs" else folder


def run_all(
    configs: Sequence[Path], overrides: Sequence[str], results: Path | None, force: bool, console: Console
) -> None:
    """Run each config; one that fails is said and the others go on.

    Raises ConfigError before anything is computed when a config cannot be used, SurvivalError at the end when a run failed.
    """
    jobs = prepare(configs, overrides, results)
    failures: list[str] = []
    for job in jobs:
        try:
            _run(job, force, console)
        except SurvivalError as error:
            failures.append(f"{job.path}: {error}")
            if len(jobs) > 1:
                console.print(
                    f"{job.experiment.name}: failed; the reason is given at the end", highlight=False, markup=False
                )
    for folder in dict.fromkeys(job.target.parent for job in jobs):
        try:
            _write_index(folder)
        except SurvivalError as error:
            failures.append(str(error))
    if failures:
        raise SurvivalError("\n".join(failures))


def prepare(configs: Sequence[Path], overrides: Sequence[str], results: Path | None) -> list[Job]:
    """Every config loaded and checked, with the files and names that it names. Raises ConfigError with all problems."""
    jobs: list[Job] = []
    problems: list[str] = []
    for path in configs:
        try:
            job = job_of(path, overrides, results)
            check_inputs(job.path, job.experiment, job.source, job.root)
            jobs.append(job)
        except SurvivalError as error:
            problems.append(str(error))
    targets = [job.target for job in jobs]
    twice = sorted({str(target) for target in targets if targets.count(target) > 1})
    problems += [f"{target}: two configs write it. Give one of them another `name:`." for target in twice]
    if problems:
        raise ConfigError("\n".join(problems))
    return jobs


def job_of(path: Path, overrides: Sequence[str] = (), results: Path | None = None) -> Job:
    """One config, checked."""
    root = project_root(path)
    known = known_studies(path, overrides, root)
    experiment, source = load(path, overrides, list(known))
    folder = results.resolve() if results is not None else root / "results"
    return Job(path, root, experiment, source, known[experiment.study], folder / experiment.name)


def known_studies(path: Path, overrides: Sequence[str], root: Path) -> dict[str, studies.StudyModule]:
    """Every study by name. The one that the config names is loaded, because it may register kinds of its own."""
    known = studies.available(root)
    named = known.get(str(read(path, overrides).values.get("study")))
    if named is not None:
        studies.load(named)
    return known


def _run(job: Job, force: bool, console: Console) -> None:
    try:
        _run_located(job, force, console)
    except DataError as error:
        raise located(error, job.source) from None


def _run_located(job: Job, force: bool, console: Console) -> None:
    began = time.perf_counter()
    identity = _identity(job)
    earlier = read_manifest(job.target)
    if not force and earlier is not None and earlier.get("identity") == identity:
        console.print(f"{job.experiment.name}: unchanged, kept {_shown(job.target)}/report.html", highlight=False)
        return
    console.print(f"{job.experiment.name}: {job.experiment.study}", highlight=False)
    started = dt.datetime.now(dt.UTC)
    with replacing(job.target) as folder, steps(console) as step, opened(job.experiment, job.root, step) as study:
        audited(study)
        refuse(study)
        report = _reported(job, study)
        step("writing the report")
        files = write(report, folder, job.experiment.figures)
        study.tables.ledger.to_csv(folder / "ledger.csv", index=False, lineterminator="\n")
        study.write_episodes(folder)
        write_customers(study, folder)
        seconds = round(time.perf_counter() - began, 3)
        facts = {"started": started.isoformat(timespec="seconds"), "seconds": seconds, "identity": identity}
        write_manifest(folder, _manifest(job, report, study, [str(f) for f in files]) | facts)
        warnings = [f for f in study.findings() if f.severity != "note" and not f.allowed]
    for finding in warnings:
        console.print(f"  {finding.severity}: {finding.message}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"  wrote {_shown(job.target)}/report.html in {seconds:.1f} s", highlight=False)


def _reported(job: Job, study: Study) -> Report:
    report = studies.load(job.study)(study)
    if not isinstance(report, Report):
        raise ConfigError(
            f"{job.study.path}: run(study) must return a survival.report.Report, not {type(report).__name__}."
        )
    return report


def _identity(job: Job) -> dict[str, Any]:
    """What a run depends on: equal identities give equal results, so nothing needs to be computed again."""
    return {
        "config": hash_of(job.experiment.resolved()),
        "data": hash_of(fingerprint_inputs(job.experiment.data, root=job.root, need=needed(job.experiment))),
        "code": code_hash(job.study.path),
        "versions": hash_of(versions()),
    }


def _manifest(job: Job, report: Report, study: Study, files: list[str]) -> dict[str, Any]:
    first = next(report.figures(), None)
    return {
        "name": job.experiment.name,
        "title": report.title,
        "study": job.experiment.study,
        "headline": report.headline or report.subtitle,
        "thumbnail": f"figures/{first.name}.png" if first and "png" in job.experiment.figures else "",
        "config": job.experiment.resolved(),
        "data": dict(study.tables.fingerprint),
        "versions": versions(),
        "git_commit": _git_commit(job.root),
        "seed": job.experiment.seed,
        "warnings": [finding.row() for finding in study.findings()],
        "files": files,
    }


def _git_commit(root: Path) -> str | None:
    """The commit that the project stands on, with `-dirty` for uncommitted changes; None where there is no git."""
    try:
        described = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()


def _write_index(results: Path) -> None:
    entries = [
        IndexEntry(
            folder.name, m.get("title", folder.name), m.get("study", ""), m.get("headline", ""), m.get("thumbnail", "")
        )
        for folder, m in finished(results)
    ]
    if entries:
        write_text(results / "index.html", index_html(entries))


def _shown(path: Path) -> str:
    """A path as the user would write it: relative to where they stand, if below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
