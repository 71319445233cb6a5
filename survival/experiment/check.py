"""`survival check`: read a config and its data, say what was set aside and noticed, fit nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console

from survival.episodes import episodes
from survival.experiment.columns import check_names
from survival.experiment.progress import steps
from survival.experiment.run import job_of
from survival.experiment.study import Study, opened


def check(config: Path, overrides: Sequence[str], console: Console) -> bool:
    """Print the ledger, the customers at risk and every finding; whether none of them is an error.

    Raises ConfigError or DataError as a run would.
    """
    job = job_of(config, overrides)
    check_names(job.path, job.experiment, job.source, job.root)
    with steps(console) as step, opened(job.experiment, job.root, step) as study:
        at_risk = _at_risk(study)
        ledger, findings = study.tables.ledger, study.findings()
    print(_table("Rows read, used and set aside", ledger))
    print(_table("Customers at risk", at_risk))
    for finding in findings:
        print(f"{finding.severity}: {finding.id} ({finding.subject}): {finding.message}")
        if finding.allowed:
            print(f"  allowed: {finding.allowed}")
    print(
        f"{job.path}: {'nothing' if not findings else len(findings)} found"
        if len(findings) != 1
        else f"{job.path}: 1 found"
    )
    return not any(f.severity == "error" and not f.allowed for f in findings)


def _at_risk(study: Study) -> pd.DataFrame:
    parts = []
    for name in study.definitions:
        made = study.spells(name)
        if study.indicators:
            study.note(episodes(made, study.indicators, attributes=study.attributes).findings, about=name)
        counts = made.counts.rename(columns={"aside": "reason"}).assign(definition=name)
        counts["reason"] = counts["reason"].fillna("at risk")
        parts.append(counts[["definition", "reason", "customers", "churns", "person_days"]])
    return pd.concat(parts, ignore_index=True)


def _table(title: str, frame: pd.DataFrame) -> str:
    return f"{title}\n{frame.to_string(index=False)}\n"
