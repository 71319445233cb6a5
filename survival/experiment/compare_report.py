"""What a comparison of two runs says: sentences, a page, plain text, JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from survival.estimate.kaplan_meier import kaplan_meier
from survival.experiment.compare import EVERYBODY, Comparison, Run
from survival.experiment.compare_words import label, main_sentence, ratios_title, retention_title, sentences
from survival.plot.forest import forest
from survival.plot.numbers import confidence, count, decimal, p_value, percent, ratio, ratio_with_interval
from survival.plot.retention import retention_curves
from survival.report.document import Block, Bullets, Figure, Paragraph, Report, Section, Table

PAIRED = (
    "Intervals of differences come from each customer's influence on both estimates (Wei, Lin and Weissfeld 1989): customers who are "
    "in both runs make the estimates go together, and that is taken into account. p is adjusted for the number of comparisons "
    "(Holm), by definition; what is the same by necessity, since no customer differs, is no comparison. A difference says that the "
    "numbers moved, not why: read what went in first."
)
PERIODS = (
    "Runs with an observed period that begins after the first signup follow customers of all tenures from that day on. Their retention at "
    "a tenure is put together from the churn rates at each tenure up to it, as they were in that period; it is not the share of one group "
    "of customers followed from signup."
)
STATUSES = (
    "Retained: still a customer when the run's observed period ends. Set aside: not at risk in that run, such as who had left before it "
    "begins. Not there: not in its data."
)


# --- The page --------------------------------------------------------------------------------------------------------


def page(c: Comparison) -> Report:
    """The comparison as a report."""
    said = sentences(c)
    blocks: list[Block] = [
        Section("What moved"),
        Bullets(tuple(said), key=True),
        *([Bullets(c.notes)] if c.notes else []),
        Section("What went in"),
        *([Table("inputs", "Not the same in both runs", c.inputs)] if len(c.inputs) else [Paragraph(said[0])]),
        *_customer_blocks(c), *_ratio_blocks(c), *_retention_blocks(c),
        Section("Method"), Paragraph(PAIRED), *([Paragraph(PERIODS)] if _late(c) else []),
    ]  # fmt: skip
    subtitle = f"{c.names[0]} against {c.names[1]}"
    return Report(
        f"What changed: {c.after.manifest.get('title', c.names[1])}", subtitle, tuple(blocks), headline=main_sentence(c)
    )


def _late(c: Comparison) -> bool:
    return any(run.config.get("data", {}).get("observed", {}).get("from") for run in (c.before, c.after))


def _customer_blocks(c: Comparison) -> list[Block]:
    if c.statuses.empty:
        return []
    notes = [f"{count(c.shared or 0)} customers are in the data of both runs. {STATUSES}"]
    if len(c.changed):
        named = "by id" if c.before.names_customers and c.after.names_customers else "by pseudonym, a hash of the id"
        who = "One changed and is" if len(c.changed) == 1 else f"The {count(len(c.changed))} who changed are"
        notes.append(f"{who} in tables/changed_customers.csv, {named}.")
    title = f"From which status to which: {c.names[0]} to {c.names[1]}"
    return [
        Section("Customers"),
        Table("statuses", title, c.statuses, notes=tuple(notes)),
        Table("changed_customers", "Who changed", c.changed, shown=False),
    ]


def _ratio_blocks(c: Comparison) -> list[Block]:
    if c.ratios.empty:
        return []
    labels = c.after.config.get("labels", {})
    text = pd.DataFrame(
        {
            "Churn definition": c.ratios["definition"],
            "Covariate": [label(v, labels) for v in c.ratios["covariate"]],
            **{
                f"{called}: HR ({confidence(c.level)} CI)": _side(c.ratios, side, run)
                for side, called, run in zip(("before", "after"), c.names, (c.before, c.after))
            },
            f"Ratio ({c.names[1]} : {c.names[0]})": [
                _ratio_text(v) for v in c.ratios[["ratio", "ratio_lower", "ratio_upper"]].to_numpy(float)
            ],
            "Adjusted p": [p_value(v) for v in c.ratios["p_adjusted"]],
        }
    )
    drawn = [
        c.ratios.rename(columns={side: "hazard_ratio", f"{side}_lower": "ci_lower", f"{side}_upper": "ci_upper"})
        .assign(run=called, p=c.ratios["covariate"].map(_p_of(run, str(name))), said=_said(c.ratios, run))
        .query("definition == @name")
        for name in list(dict.fromkeys(c.ratios["definition"]))[:1]
        for side, called, run in zip(("before", "after"), c.names, (c.before, c.after))
    ]
    columns = ["run", "covariate", "hazard_ratio", "ci_lower", "ci_upper", "p", "said"]
    rows = pd.concat(drawn, ignore_index=True)[columns]
    name = c.ratios["definition"].iloc[0]
    return [
        Section("Hazard ratios"),
        Figure(
            "forest", ratios_title(c, str(name)),
            f"Multivariable Cox models{_sizes(c, str(name))}; {confidence(c.level)} intervals; overlapping intervals say little about a "
            "difference.",
            "Forest plot of the hazard ratios of both runs; the same numbers are in the table below.",
            forest(rows, by="run", labels=labels, level=c.level), ("ratios_drawn",),
        ),
        Table("ratios_drawn", "Hazard ratios as drawn", rows, shown=False),
        Table("hazard_ratios", "Hazard ratios in both runs, and their ratio", c.ratios, text),
    ]  # fmt: skip


def _said(ratios: pd.DataFrame, run: Run) -> list[str | None]:
    """What stands in place of a hazard ratio that the run did not ask for; None for those that it did."""
    there = {name: run.in_model(str(name)) for name in ratios["definition"].unique()}
    return [
        None if str(covariate) in there[name] else "not in the model" if there[name] else "not in the run"
        for name, covariate in zip(ratios["definition"], ratios["covariate"])
    ]


def _side(ratios: pd.DataFrame, side: str, run: Run) -> list[str]:
    """The cells of one run: its hazard ratios with their intervals."""
    values = ratios[[side, f"{side}_lower", f"{side}_upper"]].to_numpy(float)
    return [said or ratio_with_interval(*v) for said, v in zip(_said(ratios, run), values)]


def _sizes(c: Comparison, definition: str) -> str:
    """: b1, 245 churns of 741 customers; b2, 171 churns of 609 customers."""
    sizes = [(called, run.size(definition)) for called, run in zip(c.names, (c.before, c.after))]
    said = [f"{called}, {count(s[1])} churns of {count(s[0])} customers" for called, s in sizes if s is not None]
    return ": " + "; ".join(said) if said else " of each run"


def _p_of(run: Run, definition: str) -> dict[str, float]:
    """p of each covariate of the run's multivariable model."""
    assert run.ratios is not None  # or there is nothing to compare
    mine = run.ratios[(run.ratios["model"] == "multivariable") & (run.ratios["definition"] == definition)]
    return dict(zip(mine["covariate"].astype(str), mine["p"].astype(float)))


def _ratio_text(values: Any) -> str:
    value, low, high = values
    return (
        ratio_with_interval(value, low, high)
        if np.isfinite(low)
        else f"{ratio(value)} (no interval)"
        if np.isfinite(value)
        else "–"
    )


def _retention_blocks(c: Comparison) -> list[Block]:
    if c.retention.empty:
        return []
    rows, note = _that_differ(c.retention)
    text = pd.DataFrame(
        {
            "Churn definition": rows["definition"],
            "Cohort": rows["cohort"].replace({EVERYBODY: "everybody"}),
            "Tenure (days)": rows["tenure"].map(count),
            c.names[0]: rows["before"].map(percent),
            c.names[1]: rows["after"].map(percent),
            f"Difference, points ({confidence(c.level)} CI)": [
                _points(v) for v in rows[["difference", "difference_lower", "difference_upper"]].to_numpy(float)
            ],
            "Adjusted p": [p_value(v) for v in rows["p_adjusted"]],
        }
    )
    return [
        Section("Retention"),
        *_curves(c),
        Table("retention", "Retention in both runs, and the difference", c.retention, text, notes=note),
    ]


def _that_differ(retention: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows that are shown: of everybody, and of cohorts where retention is not the very same in both runs; and a note on the rest."""
    same = (retention["difference"] == 0) & (retention["cohort"] != EVERYBODY)
    if not same.any():
        return retention, ()
    n = int(same.sum())
    left_out = f"{count(n)} of {count(len(retention))} rows {'is' if n == 1 else 'are'} left out: retention of that cohort to that tenure"
    note = f"{left_out} is the same in both runs. They count among the comparisons that p is adjusted for, and the CSV has them."
    return retention[~same], (note,)


def _points(values: Any) -> str:
    value, low, high = (("+" if v > 0 else "") + decimal(100 * v, 1) for v in values)
    return f"{value} ({low} to {high})"


def _curves(c: Comparison) -> list[Block]:
    """Everybody's curve in both runs, under the first definition."""
    name = c.retention["definition"].iloc[0]
    parts, sizes = [], []
    for run, called in zip((c.before, c.after), c.names):
        assert run.customers is not None  # or there were no differences of retention
        rows = run.customers[(run.customers["definition"] == name) & run.customers["aside"].isna()]
        parts.append(rows[["entry", "exit", "churned"]].astype({"entry": float, "exit": float}).assign(run=called))
        sizes.append(
            f"{called}, {count(int(rows['churned'].sum()))} churns of {count(rows['customer'].nunique())} customers"
        )
    curves = kaplan_meier(
        pd.concat(parts), start="entry", stop="exit", event="churned", by="run", order=list(c.names), level=c.level
    )
    frame = curves.tidy().rename(columns={"by": "run"})
    frame = frame.assign(run=frame["run"].astype(str))
    kept = frame[["run", "tenure", "at_risk", "retention", "ci_lower", "ci_upper"]]
    return [
        Figure(
            "retention", retention_title(c, str(name)),
            f"Kaplan-Meier curves of all customers at risk: {'; '.join(sizes)}. Bands: pointwise "
            f"{confidence(c.level)} log-log intervals (Greenwood).",
            "Retention curves of both runs over tenure; retention at fixed tenures is in the table below.",
            retention_curves(kept, by="run"), ("retention_curves",),
        ),
        Table("retention_curves", "Retention curves as drawn", kept, shown=False),
    ]  # fmt: skip


# --- Text and JSON ---------------------------------------------------------------------------------------------------


def as_text(c: Comparison) -> str:
    """To read on a terminal."""
    lines = [f"{c.names[0]} against {c.names[1]}", ""]
    lines += [f"* {sentence}" for sentence in [*sentences(c), *c.notes]]
    for title, frame in (("What went in", c.inputs), ("Customers", c.statuses)):
        if len(frame):
            lines += ["", title, frame.to_string(index=False)]
    return "\n".join(lines)


def as_json(c: Comparison) -> str:
    """One JSON object: names, findings, notes, and every table as records."""
    tables = {
        "inputs": c.inputs, "customers": c.statuses, "changed_customers": c.changed, "hazard_ratios": c.ratios, "retention": c.retention,
    }  # fmt: skip
    records = {n: json.loads(f.to_json(orient="records", double_precision=15)) for n, f in tables.items()}
    value = {
        "before": c.names[0], "after": c.names[1], "customers_in_both": c.shared, "level": c.level, "findings": sentences(c),
        "notes": list(c.notes), **records,
    }  # fmt: skip
    return json.dumps(value, indent=2, ensure_ascii=False)
