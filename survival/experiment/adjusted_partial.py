"""Partial effects in a report: what the multivariable model predicts at the values of one covariate, the others held."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from survival.errors import EstimationError
from survival.estimate.design import formula_variables, term_variables
from survival.estimate.wald import terms_are_zero
from survival.experiment.curve_figures import share_options
from survival.experiment.models import Models
from survival.experiment.samples import under
from survival.experiment.study import Study
from survival.findings import Finding
from survival.plot.adjusted import partial_effects as draw
from survival.plot.numbers import confidence, count, percent_with_interval
from survival.report.curve_titles import predicted_title
from survival.report.diagnostics_captions import sample
from survival.report.document import Block, Figure, Section, Table

SHARES = (0.1, 0.5, 0.9)  # of a number's values over the episodes
OFF_ON = {0: "off", 1: "on"}
COLUMNS = ["definition", "covariate", "value", "tenure", "retention", "se", "ci_lower", "ci_upper"]


def partial_blocks(study: Study, all_models: Sequence[Models]) -> list[Block]:
    """A figure for each name of `model.partial_effects`; nothing without any."""
    names = study.config.model.partial_effects
    blocks = [block for made in all_models for name in names for block in _of_one(study, made, name)]
    return [Section("What does the model predict?"), *blocks] if blocks else []


def _of_one(study: Study, made: Models, name: str) -> list[Block]:
    frame = study.episodes(made.definition)
    held = _held(study, made, name, frame)
    table = f"partial_effects_{study.slug(made.definition)}_{_slug(name)}"
    try:
        effects = made.full.partial_effects(name, _values(study, made, name, frame), at=held)
        at = made.full.partial_effects(
            name, _values(study, made, name, frame), at=held, tenures=list(study.config.retention.at)
        )
    except EstimationError as error:
        message = f"what the model predicts by '{name}' is not shown: {error}"
        study.note([Finding("no-model", "note", name, message)], about=made.definition)
        return []
    if _is_flag(study, name):
        effects, at = (rows.assign(value=rows["value"].map(OFF_ON)) for rows in (effects, at))
    label = study.labels.get(name, name.replace("_", " "))
    shown = effects.assign(definition=made.definition)[COLUMNS]
    return [
        Figure(
            name=table,
            title=under(study, made.definition, predicted_title(at, label, _term_p(study, made, name))),
            caption=_caption(study, made, held),
            alt=f"Predicted retention by {label} under {made.definition}; the table has the numbers.",
            figure=draw(shown[["covariate", "value", "tenure", "retention", "ci_lower", "ci_upper"]], label=label, title=label,
                        **share_options(study)),
            source=(table,),
        ),
        Table(f"{table}_at", f"Predicted retention by {label}, {made.definition}", at.assign(definition=made.definition)[COLUMNS],
              _shown(study, label, at)),
        Table(table, f"Predicted retention by {label}, curves, {made.definition}", shown, shown=False),
    ]  # fmt: skip


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _is_flag(study: Study, name: str) -> bool:
    return name in study.indicators and study.indicators[name].is_flag


def _values(study: Study, made: Models, name: str, frame: pd.DataFrame) -> list[Any] | None:
    """None where the model knows them: levels of text, 0 and 1 of a flag, strata."""
    if name in made.full.options.strata or made.coding.levels.get(name) is not None:
        return None
    values = frame[name].to_numpy(float)
    found = np.unique(values)
    if found.size > len(SHARES):
        found = np.unique(np.quantile(values, SHARES, method="nearest"))
    return [float(v) for v in found]


def _held(study: Study, made: Models, name: str, frame: pd.DataFrame) -> dict[str, Any]:
    """The other covariates: the reference level, 0 of a flag, the mean of a number, the stratum with most time at risk."""
    days = (frame["stop"] - frame["start"]).to_numpy(float)
    held: dict[str, Any] = {}
    references = {made.variables[factor]: level for factor, level in made.references.items()}
    for other in dict.fromkeys([*formula_variables(made.full.options.formula), *made.full.options.strata]):
        levels = made.coding.levels.get(other)
        if other == name:
            continue
        if other in made.full.options.strata:
            held[other] = pd.Series(days).groupby(frame[other].to_numpy()).sum().idxmax()
        elif levels is not None:
            held[other] = references.get(other, levels[0])
        elif set(pd.unique(frame[other])) <= {0, 1}:
            held[other] = 0
        else:
            held[other] = float(np.average(frame[other].to_numpy(float), weights=days))
    return held


def _term_p(study: Study, made: Models, name: str) -> float | None:
    """p of the Wald test of the term as a whole; None for strata, and where it is part of other terms too."""
    within = [term for term, read in term_variables(study.config.model.formula or "").items() if name in read]
    tests = terms_are_zero(made.full).set_index("term")["p"]
    return float(tests[within[0]]) if len(within) == 1 and within[0] in tests.index else None


def _caption(study: Study, made: Models, held: dict[str, Any]) -> str:
    words = "; ".join(
        f"{study.labels.get(name, name.replace('_', ' '))}: {_word(study, name, v)}" for name, v in held.items()
    )
    others = f" The other covariates are held at one value each ({words})." if words else ""
    variance = "robust variance of the coefficients" if made.full.options.robust else "model-based variance"
    return (
        f"{sample(made.full.customers, made.full.events)} Predicted by the multivariable Cox model for "
        f"customers whose covariates keep these values all the time, which few do where they change over time.{others} Bands: "
        f"pointwise {confidence(study.config.level)}, log-log ({variance}). Not what would happen if a value were changed."
    )


def _word(study: Study, name: str, value: Any) -> str:
    if _is_flag(study, name):
        return OFF_ON[int(value)]
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _shown(study: Study, label: str, at: pd.DataFrame) -> pd.DataFrame:
    """A row a value, a column a tenure."""
    cells = [percent_with_interval(r.retention, r.ci_lower, r.ci_upper) for r in at.itertuples()]
    values = at["value"].map(lambda v: f"{v:g}" if isinstance(v, float) else str(v))
    wide = pd.DataFrame({"value": values, "tenure": at["tenure"], "cell": cells})
    table = pd.DataFrame({label[:1].upper() + label[1:]: list(dict.fromkeys(wide["value"]))})
    for tenure, rows in wide.groupby("tenure", sort=True):
        table[f"{count(float(str(tenure)))} days ({confidence(study.config.level)} CI)"] = rows["cell"].to_list()
    return table
