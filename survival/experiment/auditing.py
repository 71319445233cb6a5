"""The audit of a study: it runs before anything is fitted, and stops what the config does not allow."""

from __future__ import annotations

from collections.abc import Iterable

from survival.audit import Case, audit, look_ahead
from survival.errors import AuditError
from survival.experiment.config import Experiment
from survival.experiment.formulas import formula_of
from survival.experiment.study import Study
from survival.findings import Finding

DRAW_NO_CURVES = ("hazard_ratios", "early_warning")  # studies of models: one minus a curve is not what they show


def audited(study: Study, *, rebuild: bool = False) -> tuple[Finding, ...]:
    """Everything that the audit finds under every definition, noted for the report; all findings of the study so far.

    `rebuild`: also the test for looking ahead, which builds everything again from truncated facts.
    """
    for name in study.definitions:
        case = _case(study, name)
        study.step(f"{name}: audit")
        study.note(audit(case), about=name)
        if rebuild:
            study.step(f"{name}: rebuilding from truncated facts")
            study.note(look_ahead(case.built or case.spells), about=name)
    return study.findings()


def _case(study: Study, name: str) -> Case:
    config = study.config
    return Case(
        spells=study.spells(name),
        built=study.built(name) if config.model.formula else None,
        formula=formula_of(config, name),
        strata=config.model.strata,
        method=config.model.ties,
        missing=config.model.missing,
        curves=config.study not in DRAW_NO_CURVES,
        robust=config.model.robust,
        cohort_by=config.cohorts.by if config.cohorts else "",
    )


def stopping(config: Experiment, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those that stop a run: errors, and with `strict: true` warnings, that `allow` does not name."""
    grave = ("error", "warning") if config.strict else ("error",)
    return tuple(f for f in findings if f.severity in grave and not f.allowed)


def refuse(study: Study) -> None:
    """Raises AuditError with every finding that stops the run."""
    found = stopping(study.config, study.findings())
    if not found:
        return
    why = " (strict: true)" if study.config.strict else ""
    lines = [f"  {f.severity}: {f.id} ({f.subject}): {f.message}." for f in found]
    raise AuditError(
        "\n".join(
            [
                f"the audit stops this run before anything is fitted{why}:",
                *lines,
                "  Mend what is wrong, or accept a finding in the config with the reason: allow: {ID: why}.",
            ]
        )
    )
