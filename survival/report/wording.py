"""Results in plain sentences. They say how churn rates differed, never why, and never more than the interval does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from survival.plot.forest import covariate_label, factor_level, factors_of, is_interaction
from survival.plot.numbers import confidence, count, decimal, is_missing, months, p_phrase, percent, ratio

FEW_EVENTS = 10
INTERACTS = " It is part of an interaction: this ratio is that where the other part is 0 or at its reference level."


@dataclass(frozen=True)
class Phrase:
    """How to speak of a covariate.

    A flag or level of a factor: `who` ('customers with two or more open tickets') against `others` ('the others'). A number:
    `step` ('each further seat') and `what` ('the number of seats'). Only `what`: an interaction.
    """

    who: str = ""
    others: str = "the others"
    step: str = ""
    what: str = ""


def phrase_for(covariate: str, *, number: bool, references: Mapping[str, str] | None = None) -> Phrase:
    """Words for a covariate that nobody described, from its name alone."""
    if is_interaction(covariate):
        return Phrase(what=covariate_label(covariate))
    dummy = factor_level(covariate)
    if number:
        return Phrase(step=f"each further unit of {covariate}", what=covariate)
    if dummy:
        factor, level = dummy
        return level_phrase(factor, level, (references or {}).get(factor))
    return Phrase(who=f"customers with {covariate}")


def level_phrase(factor: str, level: str, reference: str | None) -> Phrase:
    """Words for one level of a text covariate against the reference level."""
    others = f"those with {factor} “{reference}”" if reference else f"those at the reference level of {factor}"
    return Phrase(who=f"customers with {factor} “{level}”", others=others)


def yes_phrase(what: str) -> Phrase:
    """Words for a number of 0 and 1 only, such as SeniorCitizen: two groups, no unit."""
    return Phrase(who=f"customers with {what} = 1", others=f"those with {what} = 0")


def hazard_sentence(
    row: Mapping[str, Any],
    phrase: Phrase | None = None,
    *,
    adjusted: bool = True,
    events: float | None = None,
    references: Mapping[str, str] | None = None,
    level: float = 0.95,
    ph_alpha: float = 0.05,
) -> str:
    """What one row of hazard_ratios.csv says.

    `row`: covariate, hazard_ratio, ci_lower, ci_upper, p, exposed_share and events_exposed (NA for numbers), ph_p.
    `adjusted`: from a multivariable model. `events`: all churns of the model, to see when few are among the others.
    """
    number = is_missing(row.get("exposed_share")) and is_missing(row.get("events_exposed"))
    phrase = phrase or phrase_for(str(row["covariate"]), number=number, references=references)
    if is_missing(row["hazard_ratio"]):
        return _not_estimable(row, phrase, events)
    equal = ", the other covariates being equal" if adjusted else ""
    if is_interaction(str(row["covariate"])) and not phrase.who and not phrase.step:
        text = _interaction(row, phrase, level)
    elif not _clear(row):
        text = _null(row, phrase, equal, level)
    elif phrase.who:
        text = f"{_upper(phrase.who)} left at {_clear_words(row, phrase.others, equal, level)}"
    else:
        text = f"With {phrase.step}, customers left at {_clear_words(row, '', equal, level)}"
    return text + _few(row, phrase, events) + _not_proportional(row, ph_alpha)


LEAD = "Each of these sentences compares customers who are equal in the other covariates of the model."


def hazard_findings(
    frame: pd.DataFrame,
    phrases: Mapping[str, Phrase] | None = None,
    *,
    model: str = "multivariable",
    events: float | None = None,
    references: Mapping[str, str] | None = None,
    level: float = 0.95,
    lead: bool = False,
) -> tuple[str, ...]:
    """A sentence for each covariate of a model: clear differences first, the largest first, then the rest in their order.

    `lead`: that the other covariates are equal is said once, before all of them, where there are several.
    """
    rows = frame[frame["model"] == model].to_dict("records") if "model" in frame else frame.to_dict("records")

    def rank(row: Mapping[str, Any]) -> tuple[int, float]:
        if is_missing(row["hazard_ratio"]):
            return 2, 0.0
        return (0, -abs(float(row["coef"]))) if _clear(row) else (1, 0.0)

    crossed = {part for row in rows for part in _crossed(str(row["covariate"]))}
    adjusted = model == "multivariable"
    once = lead and adjusted and sum(not is_missing(row["hazard_ratio"]) for row in rows) > 1
    said = tuple(
        hazard_sentence(
            row,
            (phrases or {}).get(str(row["covariate"])),
            adjusted=adjusted and not once,
            events=events,
            references=references,
            level=level,
        )
        + (INTERACTS if row["covariate"] in crossed and not is_missing(row["hazard_ratio"]) else "")
        for row in sorted(rows, key=rank)
    )
    return (LEAD, *said) if once else said


def _crossed(covariate: str) -> list[str]:
    """The covariates that an interaction multiplies; none for a covariate alone."""
    parts = factors_of(covariate)
    return parts if len(parts) > 1 else []


def _clear(row: Mapping[str, Any]) -> bool:
    low, high = row.get("ci_lower"), row.get("ci_upper")
    if is_missing(low) or is_missing(high):
        return False
    return bool(float(low) > 1 or float(high) < 1)  # type: ignore[arg-type]


def _numbers(row: Mapping[str, Any], level: float) -> str:
    low, high = row.get("ci_lower"), row.get("ci_upper")
    return f"{confidence(level)} CI {ratio(low, limit=True)}–{ratio(high, limit=True)}, {p_phrase(row.get('p'))}"


def _clear_words(row: Mapping[str, Any], others: str, equal: str, level: float) -> str:
    """'1.84 times the rate of the others (...)', or where that reads badly 'a rate 59% lower than the others (HR ...)'."""
    hr, said = float(row["hazard_ratio"]), _numbers(row, level)
    if hr >= 1.095 or not _difference(hr):
        return f"{ratio(hr, limit=True)} times the rate" + (f" of {others}" if others else "") + f"{equal} ({said})."
    than = f" than {others}" if others else ""
    return f"a rate {_difference(hr)}{than}{equal} (HR {ratio(hr, limit=True)}, {said})."


def _interaction(row: Mapping[str, Any], phrase: Phrase, level: float) -> str:
    """A product of covariates: its ratio is one of hazard ratios."""
    said = f"ratio of hazard ratios {ratio(row['hazard_ratio'])}, {_numbers(row, level)}"
    if not _clear(row):
        return f"No clear interaction was seen in {phrase.what} ({said})."
    how = "higher" if float(row["hazard_ratio"]) > 1 else "lower"
    return f"Together ({phrase.what}) the churn rate was {how} than the two ratios multiplied ({said})."


def _difference(hr: float) -> str:
    """'59% lower', '28% higher', '3.25 times as high'; '' when it rounds to nothing."""
    if hr >= 2:
        return f"{ratio(hr)} times as high"
    share = abs(hr - 1)
    places = 0 if share >= 0.02 else 1
    text = percent(share, places)
    return "" if float(text[:-1]) == 0 else f"{text} {'lower' if hr < 1 else 'higher'}"


def _null(row: Mapping[str, Any], phrase: Phrase, equal: str, level: float) -> str:
    subject = f"between {phrase.who} and {phrase.others}" if phrase.who else f"with {phrase.step}"
    text = f"No clear difference in churn rate was seen {subject}{equal}: HR {ratio(row['hazard_ratio'])}"
    text += f" ({_numbers(row, level)})"
    if is_missing(row.get("ci_lower")) or is_missing(row.get("ci_upper")):
        return text + "."
    low, high = _difference(float(row["ci_lower"])), _difference(float(row["ci_upper"]))
    if not low or not high:
        return text + "."
    return f"{text}. The data are compatible with a rate from {low} to {high}."


def _not_estimable(row: Mapping[str, Any], phrase: Phrase, events: float | None) -> str:
    exposed = row.get("events_exposed")
    who = phrase.who or phrase.what or phrase.step
    text = f"For {who} no hazard ratio could be estimated"
    share = row.get("exposed_share")
    if not is_missing(share) and phrase.who and float(share) in (0.0, 1.0):  # type: ignore[arg-type]
        return f"{text}: {'nobody was ever' if float(share) == 0 else 'everybody always was'} among them."  # type: ignore[arg-type]
    if not is_missing(exposed) and float(exposed) == 0:  # type: ignore[arg-type]
        return f"{text}: no churn was seen among them."
    if not is_missing(exposed) and events is not None and float(exposed) == events:  # type: ignore[arg-type]
        return f"{text}: every churn was seen among them."
    return f"{text}; the audit says why."


def _few(row: Mapping[str, Any], phrase: Phrase, events: float | None) -> str:
    exposed = row.get("events_exposed")
    if is_missing(exposed) or not phrase.who:
        return ""
    exposed = float(exposed)  # type: ignore[arg-type]
    if exposed < FEW_EVENTS:
        return f" {_only(exposed)} among {phrase.who}, so this is uncertain."
    if events is not None and events - exposed < FEW_EVENTS:
        where = "at all other levels together" if "[T." in str(row["covariate"]) else f"among {phrase.others}"
        return f" {_only(events - exposed)} {where}, so this is uncertain."
    return ""


def _only(n: float) -> str:
    return (
        "No churn was seen"
        if n == 0
        else f"Only {count(n)} churn{'' if n == 1 else 's'} {'was' if n == 1 else 'were'} seen"
    )


def _not_proportional(row: Mapping[str, Any], alpha: float) -> str:
    p = row.get("ph_p")
    if is_missing(p) or float(p) >= alpha:  # type: ignore[arg-type]
        return ""
    return (
        f" The ratio changed with tenure (test of proportional hazards: {p_phrase(p)}), "
        "so this is an average over the tenures observed."
    )


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


# --- Retention -------------------------------------------------------------------------------------------------------


def days_and_months(days: float) -> str:
    """'365 days (12.0 months)'; below 60 days without months."""
    text = f"{count(days)} day{'' if days == 1 else 's'}"
    return text if days < 60 else f"{text} ({decimal(months(days), 1)} months)"


def retention_sentence(row: Mapping[str, Any], *, level: float = 0.95) -> str:
    """What one row of retention_at.csv says (cohort, tenure, retention, ci_lower, ci_upper)."""
    cohort = str(row["cohort"])
    of = "customers" if cohort == "all" else f"the customers of cohort {cohort}"
    when = days_and_months(float(row["tenure"]))
    if is_missing(row["retention"]):
        return f"Retention of {of} after {when} is not known: nobody was observed that long."
    interval = ""
    if not is_missing(row.get("ci_lower")) and not is_missing(row.get("ci_upper")):
        low, high = float(row["ci_lower"]), float(row["ci_upper"])
        interval = f" ({confidence(level)} CI {decimal(100 * low, 1)}–{decimal(100 * high, 1)})"
    return f"After {when}, {percent(row['retention'])}{interval} of {of} were still there."


def followed(frame: pd.DataFrame, fewest: float) -> pd.DataFrame:
    """Rows of retention_at.csv, without the retention of cohorts of which hardly anybody was followed that long.

    Of a cohort that signed up over a quarter, those of its first days alone may reach the last tenure: its curve is flat there
    for want of customers. at_risk over retention is how many were followed that long, whether they stayed or had left by then;
    below `fewest` retention is NA. Where that leaves nothing, the rows are as they were.
    """
    thin = (frame["retention"] > 0) & (frame["at_risk"] < fewest * frame["retention"])
    left = frame.assign(retention=frame["retention"].mask(thin))
    return left if left["retention"].notna().any() else frame


def retention_range(
    frame: pd.DataFrame,
    tenure: float,
    *,
    starts: Mapping[str, float] | None = None,
    seen: str = "seen from signup until then",
    fewest: int = 1,
) -> str:
    """The lowest and the highest cohort at one tenure of retention_at.csv; one cohort: its sentence; none: ''.

    A cohort observed only from a later tenure on (late entry) has a curve that starts at 1 there, so its retention is among
    those still there then and does not compare: it is left out, and counted. `starts`: cohort -> where its curve starts
    (days); without it such cohorts are known by an earlier tenure in the frame at which nothing is known. `fewest`: below it
    retention was taken out (`followed`).
    """
    rows = frame[frame["tenure"] == tenure]
    late = {c for c, t in (starts or {}).items() if t > 0} if starts is not None else _late_cohorts(frame, tenure)
    known = rows[rows["retention"].notna() & ~rows["cohort"].isin(late)]
    if known.empty:
        return ""
    if len(known) == 1 and len(rows) == 1:
        return retention_sentence(known.iloc[0].to_dict())
    low, high = known.loc[known["retention"].idxmin()], known.loc[known["retention"].idxmax()]
    of = f" of the {_cohorts(len(known))} {seen}" if len(known) < len(rows) else ""
    least, most = percent(low["retention"]), percent(high["retention"])
    text = f"After {days_and_months(tenure)}, retention{of} "
    if least == most:
        text += f"was {least} in each" if of else f"was {least} in each of the {_cohorts(len(known))}"
    else:
        text += f"ran from {least} (cohort {low['cohort']}) to {most} (cohort {high['cohort']})"
    if len(known) == 1:
        text = retention_sentence(known.iloc[0].to_dict())[:-1]
    unknown = int((rows["retention"].isna() & ~rows["cohort"].isin(late)).sum())
    left_out = int(rows["cohort"].isin(late).sum())
    later = f"{count(left_out)} that {'was' if left_out == 1 else 'were'} first observed later"
    short = f"{count(unknown)} that {'was' if unknown == 1 else 'were'} not observed that long"
    if fewest > 1:
        short = f"{count(unknown)} with fewer than {count(fewest)} customers observed that long"
    parts = [said for n, said in ((left_out, later), (unknown, short)) if n]
    is_ = "is" if unknown + left_out == 1 else "are"
    return f"{text}; {' and '.join(parts)} {is_} left out." if parts else f"{text}."


def _late_cohorts(frame: pd.DataFrame, tenure: float) -> set[str]:
    """Cohorts about which less is known earlier: retention missing at a tenure, known at a later one."""
    known, earlier = (frame[frame["retention"].notna()], frame[frame["retention"].isna() & (frame["tenure"] < tenure)])
    last_known = known.groupby("cohort", observed=True)["tenure"].max()
    gaps = earlier.groupby("cohort", observed=True)["tenure"].min()
    return {c for c, gap in gaps.items() if c in last_known.index and last_known[c] > gap}


def _cohorts(n: int) -> str:
    return f"{n} cohort{'' if n == 1 else 's'}"


def rank_test_sentence(row: Mapping[str, Any], cohorts: int, *, alpha: float = 0.05) -> str:
    """What a row of rank_tests.csv says (test logrank or trend; statistic, df, p)."""
    if is_missing(row.get("p")):
        return "The cohorts' retention curves could not be compared by a test."
    numbers = f"χ² = {decimal(row['statistic'], 2)}, {count(row['df'])} df, {p_phrase(row['p'])}"
    differ = float(row["p"]) < alpha
    if row["test"] == "trend":
        seen = (
            "Retention differed along the order" if differ else "No clear trend in retention was seen along the order"
        )
        return f"{seen} of the {count(cohorts)} cohorts (log-rank test for trend: {numbers})."
    which = "two" if cohorts == 2 else count(cohorts)
    if differ:
        return f"The retention curves of the {which} cohorts differed (log-rank test: {numbers})."
    return (
        f"No clear difference between the retention curves of the {which} cohorts was seen (log-rank test: {numbers})."
    )
