"""`survival check`: read a config and its data, say what was set aside and what the audit finds, fit nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from survival.churn import combined, combining_mistakes
from survival.data import open_tables
from survival.errors import ArgumentError, DataError, SurvivalError
from survival.experiment.auditing import audited, refused
from survival.experiment.columns import located, name_problems, period_problems
from survival.experiment.config import Experiment, ModelSpec, load_partly
from survival.experiment.problems import render
from survival.experiment.progress import Steps, steps
from survival.experiment.references import formula_names
from survival.experiment.run import known_studies, project_root
from survival.experiment.source import Source
from survival.experiment.study import Study, needed, opened, wanted
from survival.findings import Finding


@dataclass(frozen=True, eq=False)
class Checked:
    """What a check says: how many rows were used, who is at risk, what was found, and what would stop a run."""

    path: Path
    ledger: pd.DataFrame
    at_risk: pd.DataFrame
    findings: tuple[Finding, ...]
    refused: tuple[Finding, ...]

    def as_json(self) -> str:
        """One JSON object: config, ok, findings, at_risk, ledger."""
        value = {
            "config": str(self.path),
            "ok": not self.refused,
            "findings": [finding.row() for finding in self.findings],
            "at_risk": _records(self.at_risk),
            "ledger": _records(self.ledger),
        }
        return json.dumps(value, indent=2, ensure_ascii=False)

    def as_text(self) -> str:
        """The same to read: the most severe findings last, where the eye is."""
        order = {"note": 0, "warning": 1, "error": 2}
        parts = [_table("Rows read, used and set aside", self.ledger), _table("Customers at risk", self.at_risk)]
        for finding in sorted(self.findings, key=lambda f: order[f.severity]):
            parts.append(f"{finding.severity}: {finding.id} ({finding.subject}): {finding.message}")
            parts += [f"  allowed: {finding.allowed}"] if finding.allowed else []
        n = len(self.findings)
        stops = f", {len(self.refused)} of which would stop a run" if self.refused else ""
        return "\n".join([*parts, f"{self.path}: {n if n else 'nothing'} found{stops}"])


def check(
    config: Path, overrides: Sequence[str], console: Console, *, as_json: bool = False, rebuild: bool = False
) -> bool:
    """Print what was read, who is at risk and every finding; whether nothing stops a run. `rebuild`: test for looking ahead.

    Raises SurvivalError with every problem of the config and of the tables at once; as JSON they are printed instead.
    """
    try:
        checked = _checked(config, overrides, console, rebuild)
    except SurvivalError as error:
        if not as_json:
            raise
        lines = [line.strip() for line in str(error).splitlines()]
        print(json.dumps({"config": str(config), "ok": False, "problems": lines}, indent=2, ensure_ascii=False))
        return False
    print(checked.as_json() if as_json else checked.as_text())
    return not checked.refused


def _checked(path: Path, overrides: Sequence[str], console: Console, rebuild: bool) -> Checked:
    root = project_root(path)
    experiment, source, problems = load_partly(path, overrides, list(known_studies(path, overrides, root)))
    usable = _usable(experiment) if problems else experiment
    named = name_problems(usable, root) if usable is not None else []
    problems = problems + [p for p in named if p not in problems]
    with steps(console) as step:
        if problems:
            said = [render(path, source, problems), *(_of_the_tables(usable, source, root, step) if usable else [])]
            raise SurvivalError("\n".join(said))
        assert experiment is not None  # or there was a problem
        try:
            with opened(experiment, root, step) as study:
                at_risk = _at_risk(study)
                findings = audited(study, rebuild=rebuild)
                return Checked(path, study.tables.ledger, at_risk, findings, refused(study))
        except DataError as error:
            raise located(error, source) from None


def _usable(experiment: Experiment | None) -> Experiment | None:
    """The experiment without what is named among its problems and would hide others: its tables can still be checked.

    A formula that cannot be read, definitions that cannot be combined.
    """
    if experiment is None:
        return None
    churn = dict(experiment.churn)
    while broken := [name for name, _ in combining_mistakes(churn)]:
        churn = {name: definition for name, definition in churn.items() if name not in broken}
    if not churn:
        return None
    model = experiment.model
    try:
        formula_names(model.formula)
    except ArgumentError:
        model = model.model_copy(update={"formula": None})
    modelled = [name for name in experiment.modelled if name in churn]
    model = model.model_copy(update={"churn": tuple(modelled or churn)})
    return experiment.model_copy(update={"churn": combined(churn), "model": model})


def _of_the_tables(experiment: Experiment, source: Source, root: Path, step: Steps) -> list[str]:
    """What is wrong with the tables, apart from what the config names wrongly."""
    data = experiment.data
    if period_problems(experiment):  # said already
        data = data.model_copy(update={"observed": data.observed.model_copy(update={"from_": None})})
    known = [name for name in formula_names(experiment.model.formula) if name in experiment.indicators]
    model = ModelSpec(churn=experiment.model.churn, formula=" + ".join(known) or None)
    safe = experiment.model_copy(update={"model": model, "cohorts": None, "data": data})
    need = {name: columns for name, columns in needed(safe).items() if name in data.tables}
    step("reading and checking the tables")
    try:
        open_tables(data, root=root, need=need, optional=wanted(safe)).close()
    except DataError as error:
        return [str(located(error, source))]
    return []


def _at_risk(study: Study) -> pd.DataFrame:
    parts = []
    for name in study.definitions:
        counts = study.spells(name).counts.rename(columns={"aside": "reason"}).assign(definition=name)
        counts["reason"] = counts["reason"].fillna("at risk")
        parts.append(counts[["definition", "reason", "customers", "churns", "person_days"]])
    return pd.concat(parts, ignore_index=True)


def _table(title: str, frame: pd.DataFrame) -> str:
    return f"{title}\n{frame.to_string(index=False)}\n"


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return json.loads(frame.to_json(orient="records"))
