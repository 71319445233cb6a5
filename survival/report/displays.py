"""Tables as a paper prints them, made from the raw frames that others read."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from survival.plot.forest import covariate_label, factor_level
from survival.plot.numbers import (
    MISSING,
    confidence,
    count,
    is_missing,
    p_value,
    percent,
    percent_with_interval,
    ratio_with_interval,
)

_CI = "(CI)"  # in the columns, until the level is written


def hazard_ratio_display(
    hazard_ratios: pd.DataFrame,
    *,
    labels: Mapping[str, str] | None = None,
    references: Mapping[str, str] | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """One row a covariate: exposure, churns, and for each model HR (95% CI) and p; at the end the PH test of the last model.

    `hazard_ratios`: one definition's rows of hazard_ratios.csv. `references`: factor -> reference level, a row of its own.
    """
    models = [str(m) for m in pd.unique(hazard_ratios["model"])]
    rows: list[dict[str, str]] = []
    announced: set[str] = set()
    for covariate in pd.unique(hazard_ratios["covariate"]):
        factor, _ = factor_level(str(covariate)) or ("", "")
        if factor in (references or {}) and factor not in announced:
            announced.add(factor)
            rows.append(_reference(factor, (references or {})[factor], models, labels or {}))
        label = (labels or {}).get(str(covariate), covariate_label(str(covariate)))
        rows.append(_row(hazard_ratios[hazard_ratios["covariate"] == covariate], label, models))
    frame = pd.DataFrame(rows, columns=_columns(models), dtype=object).fillna("")
    return frame.rename(columns=lambda c: c.replace(_CI, f"({confidence(level)} CI)"))


def _columns(models: list[str]) -> list[str]:
    pairs = [c for m in models for c in (f"{m.capitalize()} HR {_CI}", f"p, {m}")]
    return ["Covariate", "Time exposed", "Churned while exposed", *pairs, "PH test, p"]


def _reference(factor: str, level: str, models: list[str], labels: Mapping[str, str]) -> dict[str, str]:
    row = {"Covariate": f"{labels.get(factor, covariate_label(factor))}: {level}"}
    return row | {f"{m.capitalize()} HR {_CI}": "reference" for m in models}


def _row(rows: pd.DataFrame, label: str, models: list[str]) -> dict[str, str]:
    by_model = {str(r["model"]): r for r in rows.to_dict("records")}
    last = next(by_model[m] for m in reversed(models) if m in by_model)
    row = {
        "Covariate": label,
        "Time exposed": percent(last["exposed_share"]),
        "Churned while exposed": count(last["events_exposed"]),
        "PH test, p": p_value(last["ph_p"]),
    }
    for model, r in by_model.items():
        row[f"{model.capitalize()} HR {_CI}"] = ratio_with_interval(r["hazard_ratio"], r["ci_lower"], r["ci_upper"])
        row[f"p, {model}"] = MISSING if is_missing(r["hazard_ratio"]) else p_value(r["p"])
    return row


def retention_display(retention_at: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """One row a cohort, one column a tenure: retention with its interval.

    `retention_at`: one definition's rows of retention_at.csv. A cohort not observed that long has an en dash.
    """
    tenures = sorted(pd.unique(retention_at["tenure"]))
    cells = {
        (r["cohort"], r["tenure"]): percent_with_interval(r["retention"], r["ci_lower"], r["ci_upper"])
        for r in retention_at.to_dict("records")
    }
    rows = [[str(c), *(cells.get((c, t), MISSING) for t in tenures)] for c in pd.unique(retention_at["cohort"])]
    return pd.DataFrame(
        rows, columns=["Cohort", *(f"{count(t)} days ({confidence(level)} CI)" for t in tenures)], dtype=object
    )
