"""Retention curves by cohort with risk tables, fixed tenures, RMST, medians, rank tests, the cohort triangle."""

from __future__ import annotations

from survival.experiment.characteristics import with_characteristics
from survival.experiment.closing import closing_blocks
from survival.experiment.hazard_blocks import hazard_ratio_blocks
from survival.experiment.models import models
from survival.experiment.retention import headline, retention_blocks
from survival.experiment.study import Study
from survival.report.document import Report


def run(study: Study) -> Report:
    """Compare the cohorts' retention under each definition; with `model.formula`, their hazard ratios too."""
    blocks = with_characteristics(study, retention_blocks(study), by_cohort=True)
    fitted = models(study) if study.config.model.formula else []
    if fitted:
        blocks += hazard_ratio_blocks(study, fitted)
    blocks += closing_blocks(study, retention=True, models=fitted)
    return study.report(blocks, headline=headline(study))
