"""How a report speaks of each covariate of a model: by its label, else its name."""

from __future__ import annotations

import pandas as pd

from survival.experiment.models import Models
from survival.experiment.samples import under
from survival.experiment.study import Study
from survival.plot.forest import factor_level
from survival.report.wording import Phrase, level_phrase, phrase_for, yes_phrase


def phrases(study: Study, made: Models) -> dict[str, Phrase]:
    """Words for each covariate of the model. A number of 0 and 1 only speaks of groups, not of a unit."""
    frame = study.episodes(made.definition)
    return {name: _phrase(study, made, name, frame) for name in made.full.names}


def _phrase(study: Study, made: Models, name: str, frame: pd.DataFrame) -> Phrase:
    words = study.labels.get(name, name)
    if name in study.indicators:
        is_group = study.indicators[name].is_flag
        return (
            Phrase(who=f"customers with {words}")
            if is_group
            else Phrase(step=f"each further unit of {words}", what=words)
        )
    if name in frame and is_yes_or_no(frame[name]):
        return yes_phrase(words)
    dummy = factor_level(name)
    if dummy and dummy[0] in made.references:
        return level_phrase(_called(study, made, dummy[0]), dummy[1], made.references[dummy[0]])
    if name in frame:
        return Phrase(step=f"each further unit of {words}", what=words)
    return phrase_for(name, number="[T." not in name, references=made.references)


def shown_labels(study: Study, made: Models) -> dict[str, str]:
    """The study's labels, and those of the levels of a labelled factor: 'contract: One year'."""
    labels = factor_labels(study, made)
    for name in made.full.names:
        dummy = factor_level(name)
        if dummy and dummy[0] in labels:
            labels.setdefault(name, f"{labels[dummy[0]]}: {dummy[1]}")
    return labels


def factor_labels(study: Study, made: Models) -> dict[str, str]:
    """The study's labels, and those of its columns for factors that are written in another way, as C(contract)."""
    written = {factor: _called(study, made, factor) for factor, column in made.variables.items() if factor != column}
    return written | study.labels


def references_said(study: Study, made: Models) -> str:
    """'channel organic; plan basic': the levels that others are compared with."""
    return "; ".join(f"{_called(study, made, factor)} {level}" for factor, level in made.references.items())


def _called(study: Study, made: Models, factor: str) -> str:
    column = made.variables[factor]
    return study.labels.get(factor, study.labels.get(column, column))


def titled(study: Study, made: Models, finding: str) -> str:
    """A figure's title: the finding, after the definition that it is of where there are several."""
    return under(study, made.definition, finding)


def is_yes_or_no(column: pd.Series) -> bool:
    """Whether a number is 0 and 1 only: it divides customers into two groups."""
    return bool(pd.api.types.is_numeric_dtype(column)) and set(pd.unique(column.dropna())) == {0, 1}
