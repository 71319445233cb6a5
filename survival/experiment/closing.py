"""The end of every report: what was found about the data, who was counted, the methods, the config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import yaml

from survival.audit import CATALOGUE
from survival.experiment.fingerprints import hash_of
from survival.experiment.models import Models
from survival.experiment.study import Study
from survival.findings import Finding
from survival.plot.numbers import count
from survival.report.document import Block, Bullets, Facts, Findings, Paragraph, Preformatted, Section, Table
from survival.report.methods import methods_hazard_ratios, methods_retention, references
from survival.report.methods_curves import methods_topics
from survival.report.methods_ratios import ratio_topics

AUDIT_COLUMNS = ["id", "severity", "subject", "message", "figure", "allowed"]


def closing_blocks(study: Study, *, retention: bool, models: Sequence[Models] = ()) -> list[Block]:
    """Audit, attrition, ledger, methods, config. Call it last: it shows what was noted until then."""
    return [*_audit(study), *_data(study), *_methods(study, retention, models), *_reproduction(study)]


def _audit(study: Study) -> list[Block]:
    findings = study.findings()
    frame = pd.DataFrame([f.row() for f in findings], columns=AUDIT_COLUMNS)
    return [
        Section("What to know before relying on this"),
        Findings(_together(findings)),
        Table("audit", "Findings", frame, shown=False),
    ]


def _together(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings as they are shown: those of one kind that are accepted for one reason in a single line, which lists them.

    tables/audit.csv has every one of them.
    """
    kinds: dict[tuple[str, ...], list[Finding]] = {}
    for number, finding in enumerate(findings):
        alone = () if finding.allowed else (str(number),)
        kinds.setdefault((finding.id, finding.severity, finding.allowed, *alone), []).append(finding)
    return tuple(same[0] if len(same) == 1 else _one_line(same) for same in kinds.values())


def _one_line(same: Sequence[Finding]) -> Finding:
    """circularity of `silence: low`, `silence: drop` and `gone: low` -> about "silence: low, drop; gone: low"."""
    about: dict[str, list[str]] = {}
    for finding in same:
        definition, _, subject = finding.subject.rpartition(": ")
        about.setdefault(definition, []).append(subject)
    listed = "; ".join(f"{name}: {', '.join(of)}" if name else ", ".join(of) for name, of in about.items())
    meaning = CATALOGUE.get(same[0].id, "")
    message = f"{meaning}, {count(len(same))} times" if meaning else f"{count(len(same))} findings"
    return replace(same[0], subject=listed, message=f"{message}; tables/audit.csv has each with its numbers", figure="")


def _data(study: Study) -> list[Block]:
    note = "With a reason: customers who do not reach the step. A step's customers = those of the one before - those set aside."
    ledger = "Rows read = rows used + rows set aside, each for one reason. The file ledger.csv holds this table."
    return [
        Section("Who was counted"),
        Table("attrition", "From rows read to rows fitted", study.attrition(), notes=(note,)),
        Table("ledger", "Rows read, used and set aside, by table", study.tables.ledger, notes=(ledger,)),
        *([Table("indicators", "What the indicators mean", _indicators(study))] if study.indicators else []),
    ]


def _indicators(study: Study) -> pd.DataFrame:
    rows = [[name, study.labels.get(name, ""), described(spec)] for name, spec in study.indicators.items()]
    return pd.DataFrame(rows, columns=["indicator", "label", "meaning"])


def described(spec: Any) -> str:
    """A definition or an indicator in a line: its kind, then what was given, and every default that is not nothing."""
    given = spec.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    meant = spec.model_dump(mode="json", exclude_none=True)
    parts = [f"{key} {_plain(value)}" for key, value in meant.items() if key != "kind" and (key in given or value)]
    return f"{spec.kind}: {'; '.join(parts)}" if parts else str(spec.kind)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} = {_plain(inner)}" for key, inner in value.items())
    return ", ".join(map(_plain, value)) if isinstance(value, list) else str(value)


def _methods(study: Study, retention: bool, models: Sequence[Models]) -> list[Block]:
    churn = "; ".join(f"{name} ({described(study.config.churn[name])})" for name in study.definitions)
    texts = []
    if retention:
        how = study.config.retention
        tests = [how.tests[0], *(["trend"] if study.ordered else []), "pairwise"] if study.has_cohorts else []
        if study.config.study == "churn_rate":  # its curves are of everybody, or of causes
            tests = []
        texts.append(
            methods_retention(
                level=study.config.level,
                interval=how.interval,
                late_entry=study.late_entry,
                tests=tests,
                adjust=how.adjust,
                churn=churn,
            )
        )
        texts += [said] if (said := methods_topics(study.topics)) else []
    for made in models:
        texts.append(_model_methods(study, made, churn="" if texts else churn))
    texts += [said] if (said := ratio_topics(study.topics)) else []
    cited = references(*texts)
    return [Section("Methods"), *map(Paragraph, texts), *([Bullets(cited)] if cited else [])]


def _model_methods(study: Study, made: Models, churn: str) -> str:
    full, lags = made.full, study.config.lag_profile if study.indicators else ()
    text = methods_hazard_ratios(
        customers=full.customers, events=full.events, episodes=full.episodes, ties=full.options.ties, robust=full.options.robust,
        strata=full.options.strata, penalizer=study.config.model.penalizer, level=study.config.level, late_entry=study.late_entry,
        lags=lags if study.lags_profiled else (), churn=churn,
    )  # fmt: skip
    return f"{made.definition}: {text}" if len(study.definitions) > 1 else text


def _reproduction(study: Study) -> list[Block]:
    observed = study.tables.observed
    config = study.config.resolved()
    days = {name: study.spells(name) for name in study.definitions}
    facts = [
        ("Observed", f"{observed.from_ or 'no start'} to {observed.until or 'no end'} ({observed.timezone})"),
        *(
            (f"Warm-up, {name}", f"{spells.warm_up} days after the start, for customers who signed up before it")
            for name, spells in days.items()
        ),
        *(
            (f"Churns, {name}", f"{count(spells.churns)} of {count(spells.customers)} customers at risk")
            for name, spells in days.items()
        ),
        ("Config", hash_of(config)[:12]),
        *((f"Data: {table}", _print(files)) for table, files in study.tables.fingerprint.items()),
    ]
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=110)
    return [Section("To reproduce this"), Facts(tuple(facts)), Preformatted(text, "The resolved config")]


def _print(files: Any) -> str:
    """The first twelve digits of each file's SHA-256."""
    return ", ".join(f"{name} {values['sha256'][:12]}" for name, values in files.items())
