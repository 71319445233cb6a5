"""What the diagnostics of a model say, in plain sentences: form, influence, agreement by risk, outliers, log-log curves.

No test proves that a model is right; sentences say what was found, how large it is, and what could be tried.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from survival.plot.forest import covariate_label
from survival.plot.numbers import count, decimal, is_missing, p_phrase, percent, ratio
from survival.report.definition_wording import HIGHER, LOWER, UNCLEAR, listed

ALPHA = 0.05
FEW_CHURNS = 30  # below which none of these checks has power
SMALL_BEND = math.log(1.1)  # 10% in the hazard
LARGE_CHANGE = 0.1  # share of a hazard ratio by which one customer may move it without a word
LARGE_MOVE = 0.5  # standard errors by which one customer may move a coefficient without a word
FAR = 3.0  # deviance residuals beyond are listed

NOT_NAMED = "not named"  # customers, where the config keeps their names back

SIDES = {HIGHER: "clearly above 1", LOWER: "clearly below 1", UNCLEAR: "not clearly different from 1"}

NO_NUMBER = "the model holds no number of more than two values, so there is no form to check."
NO_LEVELS = "the model holds no flag or factor with enough customers for log-minus-log curves."
PARALLEL = "Where hazards are proportional, log-minus-log curves are parallel: the ratio of the cumulative hazards stays the same."

LINE, SMALL, FLATTENS, STEEPENS, TURNS, BENDS, FEW = (
    "line",
    "small bend",
    "flattens",
    "steepens",
    "turns",
    "bends",
    "few",
)


def form_of(row: Mapping[str, Any]) -> str:
    """Which form a number has, from its row of functional_form.csv: events, p, bend, low, middle, high, rise_low, rise_high."""
    if float(row["events"]) < FEW_CHURNS or is_missing(row["p"]):
        return FEW
    if float(row["p"]) >= ALPHA:
        return LINE
    if float(row["bend"]) < SMALL_BEND:
        return SMALL
    below, above = float(row["middle"]) - float(row["low"]), float(row["high"]) - float(row["middle"])
    if below <= 0 or above <= 0:
        return BENDS
    first, then = float(row["rise_low"]) / below, float(row["rise_high"]) / above
    rises = sorted((abs(float(row["rise_low"])), abs(float(row["rise_high"]))))
    if first * then < 0:
        return TURNS if rises[0] > 0.25 * rises[1] else BENDS
    return FLATTENS if abs(then) < abs(first) else STEEPENS


def form_sentence(row: Mapping[str, Any], label: str) -> str:
    """Whether a straight line describes a number, and what could be tried. `row`: as `form_of`, with covariate and form."""
    form, test = str(row["form"]), f"test of a spline against the line: {p_phrase(row['p'])}"
    name = _start(label)
    if form == FEW:
        return f"{name}: {count(row['events'])} churns are too few to tell a bend from a straight line."
    if form == LINE:
        return f"{name}: no clear departure from a straight line was found ({test})."
    factor = decimal(math.exp(float(row["bend"])))
    if form == SMALL:
        return (
            f"{name}: the test finds a bend ({test}), but line and spline are never further apart than a factor of {factor} in "
            "the hazard; the line is close enough."
        )
    shape = {
        FLATTENS: "a unit more goes with a larger difference at low values than at high ones",
        STEEPENS: "a unit more goes with a larger difference at high values than at low ones",
        TURNS: f"the hazard turns around {_value(row['middle'])}: below it goes one way, above the other",
        BENDS: "the spline bends away from the line",
    }[form]
    return (
        f"{name}: a straight line does not hold ({test}); {shape}. Line and spline differ by a factor of up to {factor} in the "
        f"hazard. Its one hazard ratio is an average; {_advice(form, str(row['covariate']), row)}."
    )


def _advice(form: str, name: str, row: Mapping[str, Any]) -> str:
    if not name.isidentifier():
        return "a spline or groups in the formula would show the form"
    bent = f"a spline, bs({name}, df=4)"
    if form == FLATTENS and float(row["low"]) >= 0:
        return f"try its logarithm, log({name} + 1), or {bent}"
    if form == STEEPENS:
        return f"try {bent}, or a flag above a threshold"
    return f"try {bent}, or groups"


def _value(x: float) -> str:
    return count(x) if float(x).is_integer() else f"{float(x):.3g}"


def _start(label: str) -> str:
    """A label as the beginning of a sentence; an expression such as log(seats) stays as it is written."""
    return label if "(" in label or "." in label else label[:1].upper() + label[1:]


def form_title(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many numbers bend, of all that were checked."""
    bent = sum(str(r["form"]) in (FLATTENS, STEEPENS, TURNS, BENDS) for r in rows)
    few = sum(str(r["form"]) == FEW for r in rows)
    if few == len(rows):
        return f"Too few churns to say whether {'the number departs' if len(rows) == 1 else 'the numbers depart'} from a straight line"
    if not bent:
        which = "the number" if len(rows) == 1 else f"any of the {count(len(rows))} numbers"
        return f"No clear departure of {which} from a straight line"
    if len(rows) == 1:
        return "The number does not follow its line"
    return f"{count(bent)} of {count(len(rows))} numbers {'does' if bent == 1 else 'do'} not follow {'its' if bent == 1 else 'their'} line"


def influence_sentences(
    rows: Sequence[Mapping[str, Any]], labels: Mapping[str, str], *, customers: float, events: float, refits: int
) -> tuple[str, ...]:
    """By how much one customer moves the hazard ratios, and whether a conclusion rests on one.

    `rows`: of influence.csv: covariate, customer, in_errors, change (of the ratio, as a share), refitted, conclusion,
    conclusion_without. `refits`: without how many customers the model was refitted.
    """
    known = [r for r in rows if not is_missing(r["change"])]
    if not known:
        return ("The influence of single customers could not be computed.",)
    top = max(known, key=lambda r: abs(float(r["change"])))
    most = abs(float(top["change"]))
    who = "the strongest customer" if refits == 1 else f"each of the {count(refits)} strongest customers"
    how = (
        f"the model was refitted without {who}; for the others of {count(customers)} the change is approximated from dfbeta"
        if refits
        else f"approximated from dfbeta for each of {count(customers)} customers; the model was not refitted"
    )
    named = _label(labels, top)
    said = [
        f"Leaving out one customer moves the hazard ratio of {named} by {_share(most)}, and no other by more ({how})."
        if most > LARGE_CHANGE
        else f"Leaving out any one customer moves no hazard ratio by more than {_share(most)} (that of {named}; {how})."
    ]
    heaviest = max(rows, key=lambda r: abs(float(r["in_errors"])))
    named = _label(labels, heaviest)
    said[0] += (
        f" In standard errors no coefficient moves by more than {decimal(abs(float(heaviest['in_errors'])))} ({named})."
    )
    said.append(_conclusions(rows, labels))
    heavy = sorted({str(r["covariate"]) for r in rows if abs(float(r["in_errors"])) > LARGE_MOVE})
    if heavy:
        names = listed([labels.get(n, covariate_label(n)) for n in heavy])
        said.append(
            f"One customer alone moves the coefficient of {names} by more than {LARGE_MOVE:g} standard errors: look at that customer's "
            "data before relying on it."
        )
    if events < FEW_CHURNS:
        said.append(f"With {count(events)} churns, each of them weighs much.")
    return tuple(said)


def _share(x: float) -> str:
    if x < 5e-4:
        return "0.05%"  # no hazard ratio is read to more digits
    return f"{100 * x:.2g}%" if x < 0.1 else percent(x, 0)


def _conclusions(rows: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> str:
    changed = _changed(rows)
    if not changed:
        return "No conclusion rests on one customer: whoever is left out, each ratio stays on its side of 1, or as unclear."
    parts = [
        f"the ratio of {_label(labels, r)} would be {_side(r['conclusion_without'])} instead of {_side(r['conclusion'])} without "
        f"{_who(r['customer'])}{'' if bool(r['refitted']) else ' (approximately)'}"
        for r in {str(r["covariate"]): r for r in reversed(changed)}.values()
    ]
    return f"Some conclusions rest on one customer, as their interval ends close to 1: {listed(list(reversed(parts)))}."


def _changed(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [r for r in rows if str(r["conclusion"]) != str(r["conclusion_without"])]


def _side(said: Any) -> str:
    return SIDES.get(str(said), str(said))


def _label(labels: Mapping[str, str], row: Mapping[str, Any]) -> str:
    return labels.get(str(row["covariate"]), covariate_label(str(row["covariate"])))


def _who(customer: Any) -> str:
    return "one customer" if str(customer) == NOT_NAMED else f"customer {customer}"


def influence_title(rows: Sequence[Mapping[str, Any]]) -> str:
    """The largest change of a ratio, and how many conclusions rest on one customer."""
    most = max((abs(float(r["change"])) for r in rows if not is_missing(r["change"])), default=0.0)
    rest = len({str(r["covariate"]) for r in _changed(rows)})
    conclusions = f"{count(rest)} conclusion{'' if rest == 1 else 's'} rest{'s' if rest == 1 else ''} on one customer"
    if most > LARGE_CHANGE:
        return f"One customer moves a hazard ratio by {_share(most)}{f'; {conclusions}' if rest else ''}"
    return f"No customer moves a hazard ratio by more than {_share(most)}{f', but {conclusions}' if rest else ''}"


def agreement_sentences(
    groups: Sequence[Mapping[str, Any]], cells: Sequence[Mapping[str, Any]], p: float, p_periods: float | None
) -> tuple[str, ...]:
    """Whether observed and expected churns agree by risk, and by risk within periods of tenure.

    `groups`, `cells`: rows of risk_groups.csv: group, observed, expected, ratio; of cells with since, until (days of tenure).
    """
    total = sum(float(r["observed"]) for r in groups)
    if total < FEW_CHURNS or len(groups) < 2:
        return (f"{count(total)} churns are too few to compare groups of risk.",)
    said = [_by_risk(groups, p)]
    agrees = not is_missing(p) and float(p) >= ALPHA
    if p_periods is not None and not is_missing(p_periods):
        said.append(_by_period(cells, p_periods, agrees))
    said.append(
        "The comparison is with the customers that the model was fitted to, so it says whether the model describes them, "
        "not how well it foretells others."
    )
    return tuple(said)


def _by_risk(groups: Sequence[Mapping[str, Any]], p: float) -> str:
    if is_missing(p):
        return f"The model has a coefficient for each of the {count(len(groups))} groups of predicted risk, so it fits them exactly."
    ratios = [float(r["ratio"]) for r in groups]
    span = f"between {ratio(min(ratios))} and {ratio(max(ratios))} times"
    if float(p) >= ALPHA:
        return (
            f"Observed and expected churns agree at every level of predicted risk: in {count(len(groups))} groups of risk the observed "
            f"number is {span} the expected one (test: {p_phrase(p)})."
        )
    worst = _furthest(groups)
    return (
        f"Observed and expected churns do not agree at every level of predicted risk (test: {p_phrase(p)}): the observed number is {span} "
        f"the expected one, and furthest from it in group {count(worst['group'])} of {count(len(groups))} (1: the lowest risk), where "
        f"{count(worst['observed'])} churned and {decimal(worst['expected'], 1)} were expected. A number that bends, or an interaction "
        "that the formula leaves out, can be the reason."
    )


def _by_period(cells: Sequence[Mapping[str, Any]], p: float, agrees: bool) -> str:
    if float(p) >= ALPHA:
        return f"Nor do they clearly differ within periods of tenure (test: {p_phrase(p)})." if agrees else (
            f"Within periods of tenure no clear difference is seen (test: {p_phrase(p)})."
        )  # fmt: skip
    worst = _furthest(cells)
    return (
        f"Within periods of tenure they differ (test: {p_phrase(p)}), most in group {count(worst['group'])} "
        f"{_period(worst)}, where {count(worst['observed'])} churned and {decimal(worst['expected'], 1)} were expected: hazard ratios "
        "that change with tenure are a usual reason."
    )


def _furthest(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return max(rows, key=lambda r: (float(r["observed"]) - float(r["expected"])) ** 2 / max(float(r["expected"]), 1.0))


def _period(row: Mapping[str, Any]) -> str:
    since, until = float(row["since"]), float(row["until"])
    if since <= 0:
        return f"up to day {count(until)}"
    return f"from day {count(since + 1)}" if math.isinf(until) else f"from day {count(since + 1)} to {count(until)}"


def agreement_title(groups: Sequence[Mapping[str, Any]], p: float, p_periods: float | None) -> str:
    """Whether the model's numbers agree with what was seen."""
    if sum(float(r["observed"]) for r in groups) < FEW_CHURNS or len(groups) < 2:
        return "Too few churns to say whether observed and expected churns differ by predicted risk"
    if not is_missing(p) and float(p) < ALPHA:
        return "Observed and expected churns differ by predicted risk"
    if p_periods is not None and not is_missing(p_periods) and float(p_periods) < ALPHA:
        return "Observed and expected churns do not clearly differ by predicted risk, but do in some period of tenure"
    return "Observed and expected churns do not clearly differ by predicted risk"


def outlier_sentence(far_churned: int, far_stayed: int, customers: float, limit: float, stayed: float) -> str:
    """How many customers the model foretells badly. `limit`: expected churns of a churned one whose residual is `FAR`; `stayed`:
    those of one who stayed."""
    beyond = f"beyond {FAR:g}"
    if not far_churned + far_stayed:
        return f"No customer has a deviance residual {beyond}: nobody's stay was wholly out of line with the model."
    parts = []
    if far_churned:
        parts.append(f"{count(far_churned)} churned where fewer than {decimal(limit, 4)} churns were expected")
    if far_stayed:
        parts.append(f"{count(far_stayed)} stayed though more than {decimal(stayed, 1)} churns were expected")
    n = far_churned + far_stayed
    return (
        f"{count(n)} of {count(customers)} customers {'has' if n == 1 else 'have'} a deviance residual {beyond}: {listed(parts)}. "
        "Who leaves within days of entering always has a large one. The largest are listed, so that their data can be looked at; "
        "they are no reason to leave customers out."
    )


def outlier_title(far: int, customers: float) -> str:
    """How many customers lie far from what the model expects."""
    if not far:
        return f"No customer's deviance residual is beyond {FAR:g}"
    return f"{count(far)} of {count(customers)} deviance residuals {'is' if far == 1 else 'are'} beyond {FAR:g}"


def log_log_sentence(row: Mapping[str, Any], label: str) -> str:
    """How the distance of two log-minus-log curves changes. `row`: state, reference, since, until (days), first, last, ph_p."""
    name = f"{_start(label)}, {row['state']} against {row['reference']}"
    if is_missing(row["first"]) or is_missing(row["last"]):
        return f"{name}: too few churns to say whether the curves are parallel."
    p = row["ph_p"]
    test = "" if is_missing(p) else f" (test of proportional hazards in the model: {p_phrase(p)})"
    first, last = (ratio(math.exp(float(row[end]))) for end in ("first", "last"))
    return (
        f"{name}: the ratio of the cumulative hazards is {first} at day {count(row['since'])} and {last} at day "
        f"{count(row['until'])}{test}."
    )


def without_curves(left_out: Mapping[str, str]) -> str:
    """Which covariates or levels have no log-minus-log curve, and why: label -> reason."""
    return f"Without a curve: {'; '.join(f'{label} ({why})' for label, why in left_out.items())}."
