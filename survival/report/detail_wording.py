"""Hazard ratios by period of tenure, by subgroup, and under other settings, in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from survival.plot.forest import covariate_label
from survival.plot.numbers import count, is_missing, p_phrase, ratio_with_interval
from survival.report.definition_wording import LOST, change, conclusion, listed
from survival.report.wording import Phrase

ALPHA = 0.05


def about(covariate: str, phrase: Phrase | None, labels: Mapping[str, str]) -> str:
    """How a sentence begins that is about one covariate: 'For customers with two or more open tickets'."""
    if phrase is not None and (phrase.who or phrase.step):
        return f"For {phrase.who or phrase.step}"
    return f"For {labels.get(covariate, covariate_label(covariate))}"


def period_sentence(
    rows: Sequence[Mapping[str, Any]], phrase: Phrase | None = None, *, labels: Mapping[str, str] | None = None
) -> str:
    """How one covariate's ratio changes with tenure.

    `rows`: its rows of period_hazard_ratios.csv, in the order of the periods: covariate, period, hazard_ratio, ci_lower, ci_upper,
    p_equal.
    """
    start = about(str(rows[0]["covariate"]), phrase, labels or {})
    known = [r for r in rows if not is_missing(r["hazard_ratio"])]
    if not known:
        return f"{start} no hazard ratio could be estimated in any period of tenure."
    parts = [f"{_ratio(r)} {r['period']}" for r in known]
    lost = [str(r["period"]) for r in rows if is_missing(r["hazard_ratio"])]
    text = f"{start} the hazard ratio was {listed(parts)}"
    text += f"; {listed(lost)} it could not be estimated" if lost else ""
    p = rows[0].get("p_equal")
    if is_missing(p) or len(known) < 2:
        return f"{text}."
    same = "" if float(p) < ALPHA else "; the periods do not clearly differ, so the change may lie within them"  # type: ignore[arg-type]
    return f"{text} (test of one ratio for all periods: {p_phrase(p)}{same})."


def _ratio(row: Mapping[str, Any]) -> str:
    return ratio_with_interval(row["hazard_ratio"], row["ci_lower"], row["ci_upper"])


def interaction_sentence(
    rows: Sequence[Mapping[str, Any]], phrase: Phrase | None = None, *, labels: Mapping[str, str] | None = None
) -> str:
    """One covariate's ratio in each level of a subgroup, where they differ after adjustment; '' where they do not.

    `rows`: covariate, subgroup, level, hazard_ratio, ci_lower, ci_upper, p_interaction, p_adjusted.
    """
    first = rows[0]
    if is_missing(first["p_adjusted"]) or float(first["p_adjusted"]) >= ALPHA:
        return ""
    start = about(str(first["covariate"]), phrase, labels or {})
    named = (labels or {}).get(str(first["subgroup"]), str(first["subgroup"]))
    levels = [r for r in rows if r["level"] != "all customers" and not is_missing(r["hazard_ratio"])]
    known = [f"{_ratio(r)} where {named} is “{r['level']}”" for r in levels]
    if not known:  # a term of several columns, as a whole
        return (
            f"{start} the hazard ratios differed by {named} (test of interaction of all its levels together: "
            f"{p_phrase(first['p_interaction'])}, adjusted {p_phrase(first['p_adjusted'])})."
        )
    return (
        f"{start} the hazard ratio differed by {named}: {listed(known)} (test of interaction: {p_phrase(first['p_interaction'])}, "
        f"adjusted {p_phrase(first['p_adjusted'])})."
    )


def subgroup_summary(tests: int, raw: int, clear: int) -> str:
    """How many interactions were tested, and what is left after adjustment: subgroups are where chance is found."""
    if not tests:
        return "No interaction could be tested."
    were = "interaction was" if tests == 1 else "interactions were"
    has = "none has" if not raw else f"{count(raw)} {'has' if raw == 1 else 'have'}"
    text = (
        f"{count(tests)} {were} tested; {has} p < {ALPHA:g}"
        if tests > 1
        else f"One {were} tested; it {'has' if raw else 'does not have'} p < {ALPHA:g}"
    )
    text += f", {count(clear) if clear else 'none'} after Holm's adjustment." if raw and tests > 1 else "."
    if not clear:
        text += " So no ratio is shown to differ between the subgroups; one that is clear in one level only is no evidence of it."
    return text


def setting(value: str) -> str:
    """A `value` of sensitivity.csv within a sentence: 'churn: silence' as 'churn defined as silence'."""
    return f"churn defined as {value.removeprefix('churn: ')}" if value.startswith("churn: ") else value


def sensitivity_sentence(rows: Sequence[Mapping[str, Any]], phrase: Phrase | None, labels: Mapping[str, str]) -> str:
    """Where one covariate's conclusion is another than as configured; '' where it stands.

    `rows`: its rows of sensitivity.csv, the first as configured: covariate, value, hazard_ratio, ci_lower, ci_upper, said.
    """
    first, *others = rows
    compared = [r for r in others if not r.get("said") and conclusion(r) != LOST]
    changed = [r for r in compared if change([conclusion(first), conclusion(r)]) not in ("none", "")]
    if not changed:
        return ""
    start = about(str(first["covariate"]), phrase, labels)
    said = listed([f"{_ratio(r)} with {setting(str(r['value']))}" for r in changed])
    return f"{start} the conclusion changes: HR {_ratio(first)} as configured, {said}."


def sensitivity_summary(covariates: int, changed: int, variants: Sequence[str]) -> str:
    """Whether the conclusions stand under all other settings."""
    tried = f"The model was fitted again with {listed([setting(v) for v in variants])}."
    if not changed:
        return f"{tried} No conclusion changes: each ratio that could be compared is on the same side of 1, or as unclear, as before."
    stands = covariates - changed
    return f"{tried} Of {count(covariates)} conclusions {count(stands)} stand{'s' if stands == 1 else ''} throughout."
