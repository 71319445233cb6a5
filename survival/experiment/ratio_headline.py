"""The sentence of a run with hazard ratios for the index page and for the table of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

from survival.experiment.models import Models
from survival.experiment.phrases import phrases
from survival.experiment.study import Study
from survival.indicators import circularity
from survival.plot.numbers import count
from survival.report.document import Block, Table
from survival.report.wording import hazard_findings


def strongest_finding(study: Study, all_models: Sequence[Models], blocks: Sequence[Block]) -> str:
    """What the first definition's model says of its largest clear hazard ratio; that none is clear, where none is.

    `blocks`: the report's, with the table hazard_ratios. Indicators that restate this churn (finding circularity) are no finding.
    """
    made = all_models[0]
    frame = next(block.frame for block in blocks if isinstance(block, Table) and block.name == "hazard_ratios")
    used = {name: one for name, one in study.indicators.items() if name in made.full.names}
    restating = {finding.subject for finding in circularity(study.config.churn[made.definition], used)}
    rows = frame[(frame["definition"] == made.definition) & (frame["model"] == "multivariable")]
    rows = rows[~rows["covariate"].isin(restating) & rows["hazard_ratio"].notna()]
    clear = rows[(rows["ci_lower"] > 1) | (rows["ci_upper"] < 1)]
    if len(clear):
        said = hazard_findings(
            clear, phrases(study, made), events=made.full.events, references=made.references, level=study.config.level
        )[0]
        return f"{made.definition}: {said}"
    of = f"{count(made.full.events)} churns of {count(made.full.customers)} customers"
    if rows.empty:
        return f"{made.definition}: no hazard ratio could be estimated ({of})."
    none = "the hazard ratio is not" if len(rows) == 1 else f"none of {count(len(rows))} hazard ratios is"
    return f"{made.definition}: {none} clearly different from 1 ({of})."
