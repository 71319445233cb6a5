"""What changes with the definition of churn, in plain sentences: whom it counts as lost, when, and which ratios it moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from survival.plot.forest import covariate_label
from survival.plot.numbers import confidence, count, counted, is_missing, p_phrase, percent, ratio
from survival.report.wording import Phrase, phrase_for

HIGHER, LOWER, UNCLEAR = "higher", "lower", "unclear"
LOST, NOT_COMPARED = "not estimable", "not compared"
ALPHA = 0.05


def conclusion(row: Mapping[str, Any]) -> str:
    """What a hazard ratio and its interval say: higher, lower, unclear, or not estimable."""
    low, high = row.get("ci_lower"), row.get("ci_upper")
    if is_missing(row.get("hazard_ratio")) or is_missing(low) or is_missing(high):
        return LOST
    return HIGHER if float(low) > 1 else LOWER if float(high) < 1 else UNCLEAR  # type: ignore[arg-type]


def change(conclusions: Sequence[str]) -> str:
    """What differs among the conclusions of several definitions: direction, significance, or none; '' for fewer than two."""
    known = [c for c in conclusions if c in (HIGHER, LOWER, UNCLEAR)]
    if len(known) < 2:
        return ""
    if HIGHER in known and LOWER in known:
        return "direction"
    return "significance" if UNCLEAR in known and set(known) != {UNCLEAR} else "none"


def conclusion_sentence(rows: Sequence[Mapping[str, Any]], phrase: Phrase | None = None, *, level: float = 0.95) -> str:
    """How the conclusion about one covariate changes with the definition; '' where it does not.

    `rows`: the covariate's rows of conclusions.csv, one a definition, in the order of the config: definition, covariate,
    hazard_ratio, ci_lower, ci_upper, conclusion, p_adjusted (of the difference from the first definition with an estimate),
    conclusion_same_covariates.
    """
    kind = change([str(r["conclusion"]) for r in rows])
    if kind in ("", "none"):
        return ""
    by = {c: [r for r in rows if r["conclusion"] == c] for c in (HIGHER, LOWER, UNCLEAR)}
    parts = [f"{_rate(c)} under {_under(by[c], level)}" for c in (HIGHER, LOWER) if by[c]]
    text = f"{_subject(str(rows[0]['covariate']), phrase)} left at {', and '.join(parts)}"
    if by[UNCLEAR]:
        text += f"; no clear difference was seen under {_under(by[UNCLEAR], level)}"
    return f"{text}. {_weight(rows, kind)}{_same_covariates(rows)}"


def _subject(covariate: str, phrase: Phrase | None) -> str:
    phrase = phrase or phrase_for(covariate, number=False)
    if phrase.step:
        return f"With {phrase.step}, customers"
    if phrase.who:
        return phrase.who[:1].upper() + phrase.who[1:]
    return f"Together ({phrase.what or covariate_label(covariate)}), customers"


def _rate(one: str) -> str:
    return f"a {one} rate"


def _under(rows: Sequence[Mapping[str, Any]], level: float) -> str:
    said = [f"{r['definition']} ({_ratio(r, level if i == 0 else None)})" for i, r in enumerate(rows)]
    return listed(said)


def _ratio(row: Mapping[str, Any], level: float | None) -> str:
    limits = f"{ratio(row['ci_lower'], limit=True)}–{ratio(row['ci_upper'], limit=True)}"
    return f"HR {ratio(row['hazard_ratio'])}, {f'{confidence(level)} CI ' if level else ''}{limits}"


def _weight(rows: Sequence[Mapping[str, Any]], kind: str) -> str:
    """Whether the ratios themselves differ: one clear and one not is no evidence of that."""
    known = [r for r in rows if r["conclusion"] in (HIGHER, LOWER, UNCLEAR)]
    first = known[0]
    others = [r for r in known[1:] if r["conclusion"] != first["conclusion"]] or known[1:]
    tested = [r for r in others if not is_missing(r.get("p_adjusted"))]
    clear = [r for r in tested if float(r["p_adjusted"]) < ALPHA]
    if not tested:
        return ""
    if not clear:
        p = min(float(r["p_adjusted"]) for r in tested)
        what = (
            "the change of direction may be chance"
            if kind == "direction"
            else "it may be chance that one interval holds 1 and the other does not"
        )
        return f"The ratios themselves do not clearly differ (adjusted {p_phrase(p)}), so {what}."
    said = listed([f"{r['definition']} (adjusted {p_phrase(r['p_adjusted'])})" for r in clear])
    return f"The ratio under {first['definition']} itself differs from that under {said}."


def _same_covariates(rows: Sequence[Mapping[str, Any]]) -> str:
    """Whether the change is still there when every definition's model holds the same covariates."""
    again = [str(r.get("conclusion_same_covariates") or "") for r in rows]
    if not any(again):
        return ""
    there = change(again)
    if not there:
        return ""
    seen = "is the same" if there == change([str(r["conclusion"]) for r in rows]) else "is another one"
    if there == "none":
        return " With the same covariates in every model the change goes away."
    return f" With the same covariates in every model the change {seen}."


def changes_summary(conclusions: Mapping[str, str], labels: Mapping[str, str]) -> str:
    """Which conclusions change with the definition, by name. `conclusions`: covariate -> its change (see `change`)."""
    by = {
        kind: [labels.get(c, covariate_label(c)) for c, k in conclusions.items() if k == kind]
        for kind in ("direction", "significance")
    }
    if not any(by.values()):
        return ""
    parts = []
    if by["direction"]:
        parts.append(
            f"Whether the churn rate is higher or lower depends on the definition for {listed(by['direction'])}"
        )
    if by["significance"]:
        start, on = ("whether", "it") if parts else ("Whether", "the definition")
        parts.append(f"{start} a difference is clear at all depends on {on} for {listed(by['significance'])}")
    return "; ".join(parts) + "."


def nothing_changes(conclusions: Mapping[str, str], compared: int, definitions: int, sizes: int, tested: int) -> str:
    """The paragraph about what stays the same.

    `conclusions`: covariate -> its change (see `change`) of those compared; `sizes` of `tested` differences from the first
    definition are clear after adjustment.
    """
    same = sum(kind == "none" for kind in conclusions.values())
    under = "both definitions" if definitions == 2 else f"two or more of the {count(definitions)} definitions"
    text = f"{count(compared)} covariate{'' if compared == 1 else 's'} could be compared under {under}. "
    if not compared:
        return (
            "No covariate could be compared under two definitions, so nothing can be said about what depends on them."
        )
    if same == compared:
        text += (
            "None of the conclusions changes: what goes with a clearly higher or lower churn rate under one definition does so "
            "under each of the others for which it could be compared."
        )
    elif same:
        text += f"For {count(same)} of them the conclusion is the same under each."
    else:
        text += "For none of them is the conclusion the same under each."
    if not tested:
        return text
    size = (
        f"{count(sizes) if sizes else 'None'} of the {count(tested)} differences in size from the first definition "
        f"{'are' if sizes > 1 else 'is'}"
        if tested > 1
        else f"{'The' if sizes else 'Not even the'} one difference in size that was tested is"
    )
    return f"{text} {size} clear after Holm's adjustment."


def overlap_sentence(row: Mapping[str, Any]) -> str:
    """Whom two definitions lose in common. `row`: one of agreement.csv."""
    a, b = row["definition_a"], row["definition_b"]
    both, of_a, of_b = (
        row["churned_both"],
        row["churned_both"] + row["churned_a_only"],
        row["churned_both"] + row["churned_b_only"],
    )
    if not of_a or not of_b:
        empty = [n for n, of in ((a, of_a), (b, of_b)) if not of]
        among = "one customer" if row["at_risk_both"] == 1 else f"{count(row['at_risk_both'])} customers"
        return f"Nobody was lost under {' or '.join(empty)} among the {among} at risk under both {a} and {b}."
    if of_a == of_b == both == 1:
        return f"The one customer lost under {a} was also lost under {b}, and no other was."
    return (
        f"Of {counted(of_a, 'customer')} lost under {a}, {percent(both / of_a, 0)} were also lost under {b}; of {count(of_b)} lost under "
        f"{b}, {percent(both / of_b, 0)} were also lost under {a}."
    )


def days_sentence(row: Mapping[str, Any]) -> str:
    """How far apart two definitions date the same loss. `row`: one of days_between.csv; '' when nobody was lost under both."""
    if not row["customers"]:
        return ""
    a, b, median = row["definition_a"], row["definition_b"], float(row["median"])
    many = f"{count(row['customers'])} customers" if row["customers"] > 1 else "one customer"
    who = f"For the {many} lost under both {a} and {b}"
    if median == 0:
        return (
            f"{who}, the dates agree in the median ({percent(row['same_day'] / row['customers'], 0)} on the same day)."
        )
    first, second = (a, b) if median > 0 else (b, a)
    days = f"{count(abs(median))} day{'' if abs(median) == 1 else 's'}"
    return f"{who}, {first} dates the loss {days} earlier than {second} (median; middle half {_range(row)})."


def _range(row: Mapping[str, Any]) -> str:
    """The quartiles as days from the earlier to the later definition: negative where the order is the other way round."""
    low, high = float(row["lower_quartile"]), float(row["upper_quartile"])
    if float(row["median"]) < 0:
        low, high = -high, -low
    return f"{_signed(low)} to {_signed(high)}"


def _signed(days: float) -> str:
    return count(days) if days >= 0 else f"−{count(-days)}"


def retention_by_definition(rows: Sequence[Mapping[str, Any]], tenure: float) -> str:
    """Retention at one tenure under each definition. `rows`: definition, retention, ci_lower, ci_upper."""
    known = [r for r in rows if not is_missing(r["retention"])]
    if not known:
        return ""
    first, *rest = known
    said = [f"{percent(first['retention'])} were still customers under {first['definition']}"]
    said += [f"{percent(r['retention'])} under {r['definition']}" for r in rest]
    return f"After {count(tenure)} days, {listed(said)}."


def echo_sentence(row: Mapping[str, Any], at_least: float = 0.25) -> str:
    """When many whom the second definition loses were lost under the first before: what that means for its indicators.

    `row`: one of days_between.csv with `churned_b`, customers lost under the second among those at risk under both; '' when fewer
    than `at_least` of these were lost under the first on an earlier day.
    """
    earlier, lost = row["a_first"], row["churned_b"]
    if not lost or earlier / lost < at_least:
        return ""
    a, b = row["definition_a"], row["definition_b"]
    return (
        f"{percent(earlier / lost, 0)} of those lost under {b} ({count(earlier)} of {count(lost)}) had been lost under {a} on an earlier "
        f"day: their indicators in between are of customers who had already gone, and ratios under {b} partly describe that."
    )


def listed(items: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
