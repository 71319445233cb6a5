"""Titles of figures of retention that say what is seen: a difference only where its test or its interval says so.

Made from the rows of the tables beside the figures. Days are days of tenure.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd

from survival.plot.numbers import confidence, count, decimal, is_missing, p_phrase, percent, percent_with_interval
from survival.report.definition_wording import listed

ALPHA = 0.05
NONE_ASKED = "any tenure that was asked for"
_STAYS = {"first stay": "first stays", "second stay": "second stays", "third stay and later": "third and later stays"}


def days(tenure: float) -> str:
    """'365 days', '1 day'."""
    return f"{count(tenure)} day{'' if tenure == 1 else 's'}"


def retention_title(at: pd.DataFrame, test: str, p: float | None, late: Collection[str], churns: float) -> str:
    """How many stay, and whether the cohorts differ.

    `at`: one definition's rows of retention_at.csv. `test`, `p`: the overall test of the cohorts, None where there is none.
    `late`: cohorts that are first observed after signup, whose curves start at 1 there and do not compare.
    """
    cohorts = int(at["cohort"].nunique())
    if not churns:
        return "No customer churned in what was observed"
    known = at[at["retention"].notna() & ~at["cohort"].isin(list(late))]
    rows = known[known["tenure"] == known["tenure"].max()]
    if cohorts == 1:
        if rows.empty:
            return f"No customer was observed from signup to {NONE_ASKED}"
        row: Any = rows.iloc[0]
        kept = percent_with_interval(row["retention"], row["ci_lower"], row["ci_upper"])
        return f"After {days(row['tenure'])} {kept} of customers were still there"
    between = f"between the {'two' if cohorts == 2 else count(cohorts)} cohorts"
    if is_missing(p):
        said = f"Retention of {'both' if cohorts == 2 else count(cohorts)} cohorts"
    elif float(p or 0.0) < ALPHA:
        said = f"Retention differs {between} ({test} {p_phrase(p)})"
    else:
        said = f"No clear difference in retention {between} ({test} {p_phrase(p)})"
    if rows.empty:
        return said
    span = _span(rows, "cohort", "retention")
    if len(rows) == cohorts:
        return f"{said}: {span} after {days(rows['tenure'].iloc[0])}"
    of = "the one" if len(rows) == 1 else f"the {count(len(rows))}"
    return f"{said}: {span} after {days(rows['tenure'].iloc[0])}, of {of} seen from signup until then"


def _span(rows: pd.DataFrame, name: str, value: str) -> str:
    """'51% (basic) to 63% (pro)'; '51%' where that is all."""
    low, high = rows.loc[rows[value].idxmin()], rows.loc[rows[value].idxmax()]
    least, most = percent(low[value], 0), percent(high[value], 0)
    if len(rows) == 1:
        return f"{least} ({low[name]})"
    return f"{least} in each" if least == most else f"{least} ({low[name]}) to {most} ({high[name]})"


def bands_title(band: pd.DataFrame, level: float, by: str = "cohort") -> str:
    """Which bands of whole curves lie apart. `band`: columns `by`, tenure, band_lower, band_upper, as `Curves.band`."""
    groups = list(pd.unique(band[by]))
    known = band.dropna(subset=["band_lower", "band_upper"])
    if known.empty:
        return "No band that holds a whole curve is to be had"
    if len(groups) == 1:
        wide = known["band_upper"] - known["band_lower"]
        return f"The {confidence(level)} band of the whole curve is at most {decimal(100 * wide.max(), 0)} points wide"
    pairs = _pairs_apart(known, by)
    several = len(groups) * (len(groups) - 1) // 2
    if not pairs:
        whose = f"{groups[0]} and {groups[1]}" if several == 1 else "every two cohorts"
        return f"The bands that hold the whole curves of {whose} overlap at every tenure"
    if several == 1:
        return f"The bands that hold the whole curves of {groups[0]} and {groups[1]} lie apart from day {count(pairs[0][2])}"
    if len(pairs) == 1:
        a, b, since = pairs[0]
        return f"The bands that hold whole curves lie apart for one of {count(several)} pairs: {a} and {b}, from day {count(since)}"
    which = "all" if len(pairs) == several else f"{count(len(pairs))} of"
    return f"The bands that hold whole curves lie apart somewhere for {which} {count(several)} pairs of cohorts"


def _pairs_apart(known: pd.DataFrame, by: str) -> list[tuple[str, str, float]]:
    """The pairs whose bands do not touch at some tenure at which both hold, with the first such tenure."""
    grid = np.unique(known["tenure"].to_numpy(float))
    names = list(pd.unique(known[by]))
    low, high = np.full((len(grid), len(names)), np.nan), np.full((len(grid), len(names)), np.nan)
    for j, name in enumerate(names):
        rows = known[known[by] == name].sort_values("tenure", kind="stable")
        t = rows["tenure"].to_numpy(float)
        place = np.searchsorted(t, grid, side="right") - 1
        there = (place >= 0) & (grid <= t[-1])
        low[there, j] = rows["band_lower"].to_numpy(float)[place[there]]
        high[there, j] = rows["band_upper"].to_numpy(float)[place[there]]
    found = []
    for j, name in enumerate(names):
        apart = (low[:, [j]] > high[:, j + 1 :]) | (high[:, [j]] < low[:, j + 1 :])  # a comparison with NaN is false
        first = apart.argmax(axis=0)
        found += [(str(name), str(names[j + 1 + k]), float(grid[first[k]])) for k in np.flatnonzero(apart.any(axis=0))]
    return found


def difference_title(curve: pd.DataFrame) -> str:
    """Where the band of the difference leaves 0 outside. `curve`: the rows of difference_curve_*.csv, b minus a."""
    a, b = str(curve["cohort_a"].iloc[0]), str(curve["cohort_b"].iloc[0])
    known = curve.dropna(subset=["band_lower", "band_upper"])
    above, below = known["band_lower"].to_numpy(float) > 0, known["band_upper"].to_numpy(float) < 0
    if not (above | below).any():
        return f"Retention of {b} and {a} cannot be told apart: the band of their difference holds 0 at every tenure"
    if above.any() and below.any():
        return f"Retention of {b} is clearly above that of {a} at some tenures and clearly below at others"
    t, apart = known["tenure"].to_numpy(float), above | below
    last = int(np.flatnonzero(apart)[-1])
    end = " on" if last + 1 >= len(t) else f" to day {count(t[last + 1])}"
    through = "" if apart[int(apart.argmax()) : last + 1].all() else ", with gaps"
    higher = "above" if above.any() else "below"
    return f"Retention of {b} is clearly {higher} that of {a} from day {count(t[int(apart.argmax())])}{end}{through}"


def adjusted_title(at: pd.DataFrame, groups: str, words: str, *, name_of: str = "") -> str:
    """The clearest adjusted difference at the longest tenure compared. `at`: rows of adjusted_at_*.csv.

    `groups`: what divides the customers ('plan'), `words`: what is adjusted for; `name_of`: 'cohort ' before a cohort's name.
    """
    rows = at[at["adjusted_difference"].notna() & (at["group"].astype(str) != at["reference"].astype(str))]
    if rows.empty:
        return f"Retention by {groups}, as observed and adjusted for {words}: no two groups can be compared"
    rows = rows[rows["tenure"] == rows["tenure"].max()]
    after, reference = f"after {days(rows['tenure'].iloc[0])}", f"{name_of}{rows['reference'].iloc[0]}"
    lead = f"Adjusted for {words}, "
    clear = rows[rows["p_adjusted"] < ALPHA]
    if clear.empty and rows["p_adjusted"].notna().any():
        if len(rows) == 1:
            return f"{lead}retention of {name_of}{rows['group'].iloc[0]} is not clearly different from that of {reference} {after}"
        which = "neither of the two" if len(rows) == 2 else f"none of the {count(len(rows))}"
        return f"{lead}retention of {which} groups compared is clearly different from that of {reference} {after}"
    shown = rows if clear.empty else clear
    row: Any = shown.loc[shown["adjusted_difference"].abs().idxmax()]
    higher = "higher" if row["adjusted_difference"] > 0 else "lower"
    text = (
        f"{lead}retention of {name_of}{row['group']} is {_points(abs(row['adjusted_difference']))} {higher} than that of "
        f"{reference} {after}"
    )
    if row["observed_difference"] == row["observed_difference"]:
        text += f" (as observed {_points_signed(row['observed_difference'], row['adjusted_difference'])})"
    return text if len(clear) < 2 else f"{text}; {_of(len(clear), len(rows))} differ clearly"


def _points(share: float) -> str:
    text = decimal(100 * share, 1)
    return f"{text} point{'' if text == '1.0' else 's'}"


def _points_signed(observed: float, adjusted: float) -> str:
    """The observed difference beside the adjusted one: with its direction where that is another."""
    if observed * adjusted >= 0:
        return decimal(100 * abs(observed), 1)
    return f"{decimal(100 * abs(observed), 1)} {'higher' if observed > 0 else 'lower'}"


def _of(some: int, every: int) -> str:
    return f"{count(some)} of {count(every)}" if some < every else "both" if every == 2 else f"all {count(every)}"


Kept = tuple[float, float, float]  # retention, and the limits of its interval


def conditional_title(reached: float, ahead: float, after: Kept, new: Kept | None) -> str:
    """How many of those who have stayed so long stay on, beside how many of the new ones; each with its interval."""
    text = (
        f"Of customers still here after {days(reached)}, {percent_with_interval(*after)} stayed another {count(ahead)}"
    )
    return text if new is None else f"{text}; of new ones {percent_with_interval(*new)}"


def revenue_title(rows: pd.DataFrame, level: float) -> str:
    """Revenue retained less customers retained. `rows`: tenure, difference, ci_lower, ci_upper."""
    known = rows[rows["difference"].notna()]
    if known.empty:
        return f"No customer was observed to {NONE_ASKED}"
    row: Any = known.loc[known["tenure"].idxmax()]
    after, ci = f"After {days(row['tenure'])}", ""
    if not is_missing(row["ci_lower"]):
        low, high = (("+" if row[c] > 0 else "") + decimal(100 * row[c], 1) for c in ("ci_lower", "ci_upper"))
        ci = f" ({confidence(level)} CI {low} to {high})"
        if row["ci_lower"] <= 0 <= row["ci_upper"]:
            points = ("+" if row["difference"] > 0 else "") + decimal(100 * row["difference"], 1)
            return f"{after} the shares of revenue and of customers retained are not clearly different: {points} points{ci}"
    more = "larger" if row["difference"] > 0 else "smaller"
    return (
        f"{after} the share of revenue retained is {_points(abs(row['difference']))} {more} than that of customers{ci}"
    )


def stays_title(at: pd.DataFrame) -> str:
    """How many of first and of later stays go on. `at`: by (first stay, ...), tenure, retention, ci_lower, ci_upper."""
    known = at[at["retention"].notna()]
    both = known.groupby("tenure")["by"].nunique()
    long = both.index[both == both.max()] if len(both) else []
    if not len(long):
        return f"No stay was observed to {NONE_ASKED}"
    rows = known[known["tenure"] == max(long)]
    said = [
        f"{percent_with_interval(r.retention, r.ci_lower, r.ci_upper)} of {_STAYS.get(str(r.by), str(r.by))}"
        for r in rows.itertuples()
    ]
    return f"After {days(max(long))} {listed(said)} went on"


def departures_title(at: pd.DataFrame) -> str:
    """How often customers have left by the longest tenure. `at`: tenure, mean_count, ci_lower, ci_upper."""
    known = at[at["mean_count"].notna()]
    if known.empty:
        return f"No customer was observed to {NONE_ASKED}"
    row: Any = known.loc[known["tenure"].idxmax()]
    limits = "" if is_missing(row["ci_lower"]) else f" ({decimal(row['ci_lower'])}–{decimal(row['ci_upper'])})"
    return f"Within {days(row['tenure'])} a customer leaves {decimal(row['mean_count'])} times on average{limits}"


def causes_title(tidy: pd.DataFrame) -> str:
    """The most frequent cause. `tidy`: rows of cumulative_incidence.csv: cause, events."""
    events = tidy.groupby("cause", sort=False, observed=True)["events"].sum()
    most, total = float(events.max()), float(events.sum())
    if not total:
        return "Nobody churned of any cause"
    first = [f"“{cause}”" for cause in events.index[events == most]]
    n, of = count(len(events)), f"{count(most)} of {count(total)} churns"
    if len(first) == 1:
        return f"Of {n} causes {first[0]} is the most frequent: {of}"
    return f"Of {n} causes {listed(first)} are the most frequent: {of} each"


def extrapolated_title(tail: pd.DataFrame, model: str, until: str) -> str:
    """What was observed and what a model says at the end. `tail`: rows of extrapolated_*.csv of everybody."""
    beyond = tail["extrapolated"].astype(bool)
    seen: Any = tail[~beyond & tail["retention"].notna()].iloc[-1]
    end: Any = tail[beyond].iloc[-1]
    observed = percent_with_interval(seen["retention"], seen["ci_lower"], seen["ci_upper"])
    said = percent_with_interval(end["retention"], end["ci_lower"], end["ci_upper"])
    return f"{observed} of customers stay {days(seen['tenure'])} as observed; by the {model} model {said} stay {until}"


def predicted_title(at: pd.DataFrame, label: str, p: float | None) -> str:
    """The range of what a model predicts, and whether its term is clear. `at`: value, tenure, retention of one covariate.

    `p`: of the term as a whole; None where it is no term of its own.
    """
    known = at[at["retention"].notna()]
    unclear = p is not None and not is_missing(p) and p >= ALPHA
    lead = f"Predicted retention does not differ clearly by {label} ({p_phrase(p)})" if unclear else ""
    if known.empty:
        return lead or f"Retention that the model predicts by {label}"
    rows = known[known["tenure"] == known["tenure"].max()]
    named = rows.assign(value=_values(rows["value"]))
    after = f"after {days(rows['tenure'].iloc[0])}"
    low, high = named.loc[named["retention"].idxmin()], named.loc[named["retention"].idxmax()]
    least, most = percent(low["retention"], 0), percent(high["retention"], 0)
    span = f"{least} ({low['value']}) to {most} ({high['value']})" if least != most else f"{least} at each value"
    return f"{lead}: {span} {after}" if lead else f"By {label} the model predicts retention of {span} {after}"


def _values(values: pd.Series) -> Sequence[str]:
    if not pd.api.types.is_numeric_dtype(values):
        return [str(v) for v in values]
    return [decimal(v, 0) if float(v).is_integer() else f"{v:.4g}" for v in values]
