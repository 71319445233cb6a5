"""Churn rates by calendar month, quarter and year against published bands, their trend, causes, and what is to come."""

from __future__ import annotations

from survival.experiment.beyond import tail_blocks
from survival.experiment.causes import cause_blocks
from survival.experiment.closing import closing_blocks
from survival.experiment.rates import headline, rate_blocks, rates
from survival.experiment.study import Study
from survival.report.document import Block, Report


def run(study: Study) -> Report:
    """The rates of every definition, the shares lost to each cause, and retention beyond the data."""
    made = [rates(study, name) for name in study.definitions]
    blocks: list[Block] = [block for one in made for block in rate_blocks(study, one)]
    blocks += cause_blocks(study)
    for one in made:
        blocks += tail_blocks(study, one.definition, one.mean_mrr)
    blocks += closing_blocks(study, retention=True)
    return study.report(blocks, headline=headline(made[0]))
