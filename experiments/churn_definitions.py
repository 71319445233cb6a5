"""The same customers under every definition of churn: who is lost, when, and which conclusions depend on it."""

from __future__ import annotations

from survival.experiment.causes import cause_blocks
from survival.experiment.characteristics import with_characteristics
from survival.experiment.closing import closing_blocks
from survival.experiment.definition_blocks import definition_blocks, headline
from survival.experiment.definition_ratios import fitted
from survival.experiment.definitions import definitions
from survival.experiment.study import Study
from survival.report.document import Report


def run(study: Study) -> Report:
    """Put two or more definitions side by side: retention, overlap, dates, causes, and with `model.formula` hazard ratios."""
    found = definitions(study)
    made = fitted(study)
    blocks = with_characteristics(study, definition_blocks(study, found, made))
    blocks += cause_blocks(study)
    blocks += closing_blocks(study, retention=True, models=made.models if made is not None else ())
    return study.report(blocks, headline=headline(found))
