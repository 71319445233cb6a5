"""The publishable report: what goes before churn, by how much, when, how early, and how sure that is."""

from __future__ import annotations

from survival.experiment.adjusted_blocks import adjusted_section
from survival.experiment.adjusted_partial import partial_blocks
from survival.experiment.characteristics import with_characteristics
from survival.experiment.closing import closing_blocks
from survival.experiment.diagnostics_blocks import diagnostics_blocks
from survival.experiment.hazard_blocks import (
    hazard_curve_blocks,
    hazard_ratio_blocks,
    lag_blocks,
    proportional_hazards_blocks,
)
from survival.experiment.hazard_detail_blocks import sensitivity_blocks, subgroup_blocks
from survival.experiment.models import models
from survival.experiment.ratio_headline import strongest_finding
from survival.experiment.study import Study
from survival.report.document import Report


def run(study: Study) -> Report:
    """Univariable and multivariable Cox models of each definition, with the checks that a reader of them asks for."""
    study.require_formula()
    fitted = models(study)
    blocks = [
        *with_characteristics(study, hazard_ratio_blocks(study, fitted)),
        *hazard_curve_blocks(study, fitted),
        *proportional_hazards_blocks(study, fitted),
        *diagnostics_blocks(study, fitted),
        *subgroup_blocks(study, fitted),
        *adjusted_section(study, fitted),
        *partial_blocks(study, fitted),
        *lag_blocks(study, fitted),
        *sensitivity_blocks(study, fitted),
    ]
    blocks += closing_blocks(study, retention=False, models=fitted)
    return study.report(blocks, headline=strongest_finding(study, fitted, blocks))
