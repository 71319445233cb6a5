"""What a comparison of two runs says in sentences: inputs, customers, retention, hazard ratios; what is clear before what is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from survival.experiment.compare import ABSENT, CHURNED, EVERYBODY, RETAINED, Comparison
from survival.plot.forest import covariate_label
from survival.plot.numbers import confidence, count, decimal, percent, ratio
from survival.report.definition_wording import listed

CLEAR = 0.05  # of p adjusted for the number of comparisons


def sentences(c: Comparison) -> list[str]:
    """The comparison in plain words, what is clear first."""
    return [_went_in(c), *_of_customers(c), *_of_retention(c), *_of_ratios(c)]


def _went_in(c: Comparison) -> str:
    if c.inputs.empty:
        return "Config, data, code and versions are the same in both runs."
    parts = []
    for what, one, many in (
        ("config", "one key of the config", "{} keys of the config"),
        ("data", "one data file", "{} data files"),
        ("version", "the version of one package", "the versions of {} packages"),
        ("code", "the code", ""),
    ):
        rows = c.inputs[c.inputs["what"] == what]
        if len(rows):
            keys = f" ({', '.join(map(str, rows['key']))})" if what == "config" and len(rows) <= 4 else ""
            parts.append((one if len(rows) == 1 else many.format(len(rows))) + keys)
    text = f"Not the same in both runs: {', '.join(parts)}.{_observed(c)}"
    meant = c.inputs[
        (c.inputs["what"] == "config") & c.inputs["key"].str.match(r"churn\.|indicators\.|model\.|update_every")
    ]
    if len(meant):
        text += " Definitions, indicators or the model changed, so the numbers below move with them as well as with the customers."
    return text


def _observed(c: Comparison) -> str:
    """What period each run observed, where they differ."""
    periods = [run.config.get("data", {}).get("observed", {}) for run in (c.before, c.after)]
    said = [(period.get("from") or "the first signup", period.get("until") or "the last fact") for period in periods]
    if said[0] == said[1]:
        return ""
    whole = [f"{name} observes {since} to {until}" for name, (since, until) in zip(c.names, said)]
    return f" {whole[0]}, {whole[1]}."


def main_sentence(c: Comparison) -> str:
    """What to take home of the comparison: the largest clear change, of everybody's retention first."""
    clear = [
        s
        for s in [*_of_retention(c), *_of_ratios(c)]
        if re.match(r"(Retention|The hazard ratio) of .* (rose|fell) from", s)
    ]
    if clear:
        return clear[0]
    if c.retention.empty and c.ratios.empty:
        return _went_in(c)
    return f"Neither retention nor a hazard ratio moved clearly between {c.names[0]} and {c.names[1]}."


def _of_customers(c: Comparison) -> Iterator[str]:
    for name in dict.fromkeys(c.statuses["definition"]):
        rows = c.statuses[c.statuses["definition"] == name].set_index(["before", "after"])["customers"]
        yield f"Under {name}, {_stayed(rows, c.names)} {_came_and_went(rows, c.names)}"
        back = int(rows.get((CHURNED, RETAINED), 0))
        if back:
            who = "One customer counts" if back == 1 else f"{count(back)} customers count"
            such = "This customer" if back == 1 else "Such customers"
            yield (
                f"{who} as churned under {name} in {c.names[0]} and as retained in {c.names[1]}. {such} came back, or data, definition or "
                "observed period changed."
            )


def _stayed(rows: pd.Series, names: tuple[str, str]) -> str:
    """269 of the 2,166 customers who were retained in q3 and are at risk in q4 too churned in q4."""
    left, kept = int(rows.get((RETAINED, CHURNED), 0)), int(rows.get((RETAINED, RETAINED), 0))
    first, second = names
    if not left + kept:
        retained = int(rows[[b == RETAINED for b, _ in rows.index]].sum())
        if not retained:
            return f"no customer was retained in {first}."
        reasons = [
            f"{count(n)} {after.removeprefix('set aside: ')}"
            for (before, after), n in rows.items()
            if before == RETAINED
        ]
        who = "the one customer" if retained == 1 else f"none of the {count(retained)} customers"
        verb = "is not" if retained == 1 else "is"
        return f"{who} who {'was' if retained == 1 else 'were'} retained in {first} {verb} at risk in {second} ({listed(reasons)})."
    if left + kept == 1:
        did = "churned" if left else "did not churn"
        return f"the one customer who was retained in {first} and is at risk in {second} too {did} in {second}."
    group = f"customers who were retained in {first} and are at risk in {second} too churned in {second}."
    if not left:
        return f"none of the {count(kept)} {group}"
    if not kept:
        return f"all {count(left)} {group}"
    return f"{'one' if left == 1 else count(left)} of the {count(left + kept)} {group}"


def _came_and_went(rows: pd.Series, names: tuple[str, str]) -> str:
    new = int(rows[[b == ABSENT for b, _ in rows.index]].sum())
    gone = int(rows[[a == ABSENT for _, a in rows.index]].sum())
    if not new and not gone:
        return "The same customers are in the data of both."
    said = [
        f"{'one customer is' if n == 1 else f'{count(n)} customers are'} in the data of {there} only"
        for n, there in ((new, names[1]), (gone, names[0]))
        if n
    ]
    return f"{listed(said)[:1].upper()}{listed(said)[1:]}."


def retention_title(c: Comparison, name: str) -> str:
    """What moved of everybody's retention, as a title; with no row of everybody, what is drawn."""
    mine = c.retention["definition"] == name
    said = _of_retention(replace(c, retention=c.retention[mine & (c.retention["cohort"] == EVERYBODY)]))
    return next(said, f"Retention of all customers in both runs, {name}.")[:-1]


def ratios_title(c: Comparison, name: str) -> str:
    """How many hazard ratios moved clearly, and the one that moved most."""
    rows = c.ratios[c.ratios["definition"] == name]
    tested = rows[rows["p_adjusted"].notna()]
    if len(rows) and (rows["ratio"] == 1).all():
        return f"The hazard ratios under {name} are the same in both runs"
    if tested.empty:
        return f"Hazard ratios under {name} in both runs: how sure the changes are is not known"
    clear = tested[tested["p_adjusted"] < CLEAR]
    if clear.empty:
        which = "The hazard ratio did not move" if len(tested) == 1 else f"None of {len(tested)} hazard ratios moved"
        return f"{which} clearly between {c.names[0]} and {c.names[1]}, {name}"
    row = clear.loc[np.log(clear["ratio"]).abs().idxmax()]
    moved = f"{label(row['covariate'], c.after.config.get('labels', {}))}, from {ratio(row['before'])} to {ratio(row['after'])}"
    if len(tested) == 1:
        return f"The hazard ratio moved clearly, {name}: {moved}"
    most = "most of all that" if len(clear) > 1 else "that"
    return f"{len(clear)} of {len(tested)} hazard ratios moved clearly, {name}: {most} of {moved}"


def _of_retention(c: Comparison) -> Iterator[str]:
    for name in dict.fromkeys(c.retention["definition"]):
        rows = c.retention[c.retention["definition"] == name]
        everyone = rows[rows["cohort"] == EVERYBODY]
        clear = everyone[everyone["p_adjusted"] < CLEAR]
        if len(rows) and (rows["difference"] == 0).all():
            yield f"Retention under {name} is the same at every tenure that was asked for."
        elif len(clear):
            yield _retention(c, clear.loc[clear["difference"].abs().idxmax()], "all customers", name)
        elif len(everyone):
            days = ", ".join(str(t) for t in everyone["tenure"])
            yield f"Retention of all customers under {name} (day {days}) did not move clearly."
        others = rows[(rows["cohort"] != EVERYBODY) & (rows["p_adjusted"] < CLEAR)]
        largest = others.assign(size=others["difference"].abs()).sort_values("size", ascending=False)
        for _, row in largest.drop_duplicates("cohort").head(3).iterrows():
            yield _retention(c, row, f"cohort {row['cohort']}", name)


def _retention(c: Comparison, row: pd.Series, who: str, name: str) -> str:
    """Retention of cohort starter at day 90 under cancellation fell from 80.4% to 63.0%: 17.5 points lower (95% interval 7.2 to 27.8)."""
    down = row["difference"] < 0
    low, high = sorted((-100 if down else 100) * row[f"difference_{end}"] for end in ("lower", "upper"))
    return (
        f"Retention of {who} at day {row['tenure']} under {name} {'fell' if down else 'rose'} from {percent(row['before'])} to "
        f"{percent(row['after'])}: {decimal(abs(100 * row['difference']), 1)} points {'lower' if down else 'higher'} "
        f"({confidence(c.level)} interval {decimal(low, 1)} to {decimal(high, 1)})."
    )


def _of_ratios(c: Comparison) -> Iterator[str]:
    labels = c.after.config.get("labels", {})
    for name in dict.fromkeys(c.ratios["definition"]):
        rows = c.ratios[c.ratios["definition"] == name]
        clear = rows[rows["p_adjusted"] < CLEAR]
        for _, row in clear.iterrows():
            up = row["ratio"] > 1
            low, high = sorted((row["ratio_lower"], row["ratio_upper"]))
            limits = f"{confidence(c.level)} interval {ratio(low, limit=True)} to {ratio(high, limit=True)}"
            yield (
                f"The hazard ratio of {label(row['covariate'], labels)} under {name} {'rose' if up else 'fell'} from "
                f"{ratio(row['before'])} to {ratio(row['after'])}: {ratio(row['ratio'])} times what it was ({limits})."
            )
        known, rest = rows["p_adjusted"].notna(), rows[rows["p_adjusted"] >= CLEAR]
        if len(rows) and (rows["ratio"] == 1).all():
            yield f"The hazard ratios under {name} are the same."
        elif len(rest):
            yield _unmoved(name, len(rest), bool(len(clear)))
        if not known.any() and rows["ratio"].notna().any():
            yield f"Under {name} it is not known how sure the changes of hazard ratios are (no influence was kept)."


def _unmoved(name: str, ratios: int, some: bool) -> str:
    """Under cancellation, none of the other 5 hazard ratios moved clearly; that is no evidence that they are as they were."""
    if some and ratios == 1:
        return f"Under {name}, the other hazard ratio did not move clearly; that is no evidence that it is as it was."
    which = f"none of the other {ratios} hazard ratios" if some else "no hazard ratio"
    return f"Under {name}, {which} moved clearly; that is no evidence that they are as they were."


def label(covariate: Any, labels: dict[str, str]) -> str:
    """What the reports call a covariate."""
    return str(labels.get(str(covariate), covariate_label(str(covariate))))
