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
from survival.experiment.data_settings import refuse_settings
from survival.experiment.fingerprints import code_hash, hash_of, versions
from survival.experiment.kept_customers import write_customers
from survival.experiment.progress import steps
from survival.experiment.results import read_manifest, replacing, write_manifest
from survival.experiment.results_index import write_index
from survival.experiment.side_by_side import Order, side_by_side
from survival.experiment.source import Setting, Source, read
from survival.experiment.study import Study, needed, opened
from survival.experiment.sweep import WHOLE, Point, points
from survival.experiment.sweep_summary import summarise
from survival.report.document import Report
from survival.report.write import write


@dataclass(frozen=True)
class Job:
    """One config, or one point of its sweep, ready to run: nothing has been computed yet."""

    path: Path
    root: Path
    experiment: Experiment
    source: Source
    study: studies.StudyModule
    target: Path
    point: Point = WHOLE
    sweep: str = ""  # the name of the config that this is a point of


def project_root(config: Path) -> Path:
    """The folder that paths in a config are relative to: the parent of `configs/`, else the config's own folder."""
    folder = config.resolve().parent
    return folder.parent if folder.name == "configs" else folder


def run_all(
    configs: Sequence[Path],
    overrides: Sequence[str],
    results: Path | None,
    force: bool,
    console: Console,
    jobs: int = 1,
) -> None:
    """Run each config and each point of its sweep, `jobs` at a time; one that fails is said and the others go on.

    Raises ConfigError before anything is computed when a config cannot be used, SurvivalError at the end when a run failed.
    """
    prepared = prepare(configs, overrides, results)
    failures: list[str] = []
    if jobs > 1 and len(prepared) > 1:
        failures += side_by_side([_order(job, overrides, results, force) for job in prepared], jobs, console)
    else:
        for job in prepared:
            try:
                run_one(job, force, console)
            except SurvivalError as error:
                failures.append(f"{_called(job)}: {error}")
                if len(prepared) > 1:
                    text = f"{job.experiment.name}: failed; the reason is given at the end"
                    console.print(text, highlight=False, markup=False)
    try:
        for sweep in dict.fromkeys((job.target.parent, job.sweep) for job in prepared if job.sweep):
            made = [job for job in prepared if (job.target.parent, job.sweep) == sweep]
            summarise(sweep[0] / sweep[1], sweep[1], made[0].experiment, [(job.point, job.target) for job in made])
            console.print(
                f"{sweep[1]}: {len(made)} runs side by side in {_shown(sweep[0] / sweep[1])}/report.html",
                highlight=False,
            )
        for folder in dict.fromkeys(job.target.parent for job in prepared):
            write_index(folder)
    except SurvivalError as error:
        failures.append(str(error))
    if failures:
        raise SurvivalError("\n".join(failures))


def _called(job: Job) -> str:
    return f"{job.path} ({job.experiment.name})" if job.sweep else str(job.path)


def _order(job: Job, overrides: Sequence[str], results: Path | None, force: bool) -> Order:
    return Order(job.experiment.name, _called(job), job.path, tuple(overrides), results, force, job.point.suffix)


def prepare(configs: Sequence[Path], overrides: Sequence[str], results: Path | None) -> list[Job]:
    """Every config loaded and checked, with the files and names that it names. Raises ConfigError with all problems."""
    jobs: list[Job] = []
    problems: list[str] = []
    for path in configs:
        try:
            grid = points(path, overrides)
        except SurvivalError as error:
            problems.append(str(error))
            continue
        for point in grid:
            try:
                job = job_of(path, overrides, results, point)
                check_inputs(job.path, job.experiment, job.source, job.root)
                jobs.append(job)
            except SurvivalError as error:
                problems.append(str(error))
    targets = [*(job.target for job in jobs), *{job.target.parent / job.sweep for job in jobs if job.sweep}]
    twice = sorted({str(target) for target in targets if targets.count(target) > 1})
    problems += [f"{target}: two configs write it. Give one of them another `name:`." for target in twice]
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))
    return jobs


def job_of(path: Path, overrides: Sequence[str] = (), results: Path | None = None, point: Point = WHOLE) -> Job:
    """One config, or one point of its sweep, checked."""
    root = project_root(path)
    known = known_studies(path, overrides, root, point.settings)
    experiment, source = load(path, overrides, list(known), point.settings)
    folder = results.resolve() if results is not None else root / "results"
    study = known[experiment.study]
    if not point.suffix:
        return Job(path, root, experiment, source, study, folder / experiment.name)
    name = experiment.name
    title = f"{experiment.title or name} ({', '.join(f'{key} = {value}' for key, value in point.values)})"
    named = experiment.model_copy(update={"name": name + point.suffix, "title": title})
    return Job(path, root, named, source, study, folder / named.name, point, name)


def known_studies(
    path: Path, overrides: Sequence[str], root: Path, point: Sequence[Setting] = ()
) -> dict[str, studies.StudyModule]:
    """Every study by name. The one that the config names is loaded, because it may register kinds of its own."""
    known = studies.available(root)
    named = known.get(str(read(path, overrides, point).values.get("study")))
    if named is not None:
        studies.load(named)
    return known


def run_one(job: Job, force: bool, console: Console) -> None:
    """Compute one job into its folder, unless nothing that it depends on has changed."""
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
        refuse_settings(job.path, study, job.source)
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
        console.print(f"  {finding.line}", highlight=False, markup=False, soft_wrap=True)
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
        **({"sweep": job.sweep, "point": dict(job.point.values)} if job.sweep else {}),
        "numbers": _numbers(study),
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


def _numbers(study: Study) -> dict[str, int]:
    """What the index says of a run beside its headline: of the first definition."""
    spells = study.spells(study.definitions[0])
    return {"customers at risk": spells.customers, "churned": spells.churns}


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


def _shown(path: Path) -> str:
    """A path as the user would write it: relative to where they stand, if below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
