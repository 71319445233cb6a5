"""What a comparison of two runs says: sentences, a page, plain text, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from survival.estimate.kaplan_meier import kaplan_meier
from survival.experiment.compare import ABSENT, CHURNED, EVERYBODY, RETAINED, Comparison
from survival.plot.forest import covariate_label, forest
from survival.plot.numbers import confidence, count, decimal, p_value, percent, ratio_with_interval
from survival.plot.retention import retention_curves
from survival.report.document import Block, Bullets, Figure, Paragraph, Report, Section, Table

CLEAR = 0.05  # of p adjusted for the number of comparisons
PAIRED = (
    "Intervals of differences come from each customer's influence on both estimates (Wei, Lin and Weissfeld 1989): customers who are "
    "in both runs make the estimates go together, and that is taken into account. p is adjusted for the number of comparisons "
    "(Holm), by definition. A difference says that the numbers moved, not why: read what went in first."
)


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
    text = f"Not the same in both runs: {', '.join(parts)}."
    meant = c.inputs[
        (c.inputs["what"] == "config") & c.inputs["key"].str.match(r"churn\.|indicators\.|model\.|update_every")
    ]
    if len(meant):
        text += " Definitions, indicators or the model changed, so the numbers below move with them as well as with the customers."
    return text


def _of_customers(c: Comparison) -> Iterator[str]:
    for name in dict.fromkeys(c.statuses["definition"]):
        rows = c.statuses[c.statuses["definition"] == name].set_index(["before", "after"])["customers"]
        went = {
            pair: int(rows.get(pair, 0)) for pair in ((RETAINED, CHURNED), (RETAINED, RETAINED), (CHURNED, RETAINED))
        }
        new = int(rows[[b == ABSENT for b, _ in rows.index]].sum())
        gone = int(rows[[a == ABSENT for _, a in rows.index]].sum())
        still = went[RETAINED, RETAINED] + went[RETAINED, CHURNED]
        yield (
            f"Under {name}, {count(went[RETAINED, CHURNED])} of the {count(still)} customers who were retained in {c.names[0]} and are at "
            f"risk in {c.names[1]} too churned there; new in it: {count(new)}; no longer in the data: {count(gone)}."
        )
        if went[CHURNED, RETAINED]:
            yield (
                f"Counted as churned under {name} in {c.names[0]} and as retained in {c.names[1]}: {count(went[CHURNED, RETAINED])}. Such "
                "customers came back, or data, definition or observed period changed."
            )


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
            yield _retention(c, row, str(row["cohort"]), name)


def _retention(c: Comparison, row: pd.Series, who: str, name: str) -> str:
    """Retention of starter at day 90 under cancellation fell from 80.4% to 63.0%: 17.5 points lower (95% interval 7.2 to 27.8)."""
    down = row["difference"] < 0
    low, high = sorted((-100 if down else 100) * row[f"difference_{end}"] for end in ("lower", "upper"))
    return (
        f"Retention of {who} at day {row['tenure']} under {name} {'fell' if down else 'rose'} from {percent(row['before'])} to "
        f"{percent(row['after'])}: {abs(100 * row['difference']):.1f} points {'lower' if down else 'higher'} "
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
            yield (
                f"The hazard ratio of {_label(row['covariate'], labels)} under {name} {'rose' if up else 'fell'} from {row['before']:.2f} "
                f"to {row['after']:.2f}: {row['ratio']:.2f} times what it was ({confidence(c.level)} interval {low:.2f} to {high:.2f})."
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


def _label(covariate: Any, labels: dict[str, str]) -> str:
    return str(labels.get(str(covariate), covariate_label(str(covariate))))


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
        Section("Method"), Paragraph(PAIRED),
    ]  # fmt: skip
    subtitle = f"{c.names[0]} against {c.names[1]}"
    return Report(
        f"What changed: {c.after.manifest.get('title', c.names[1])}", subtitle, tuple(blocks), headline=said[-1]
    )


def _customer_blocks(c: Comparison) -> list[Block]:
    if c.statuses.empty:
        return []
    notes = [f"{count(c.shared or 0)} customers are in both runs."]
    if len(c.changed):
        named = "by id" if c.before.names_customers and c.after.names_customers else "by pseudonym, a hash of the id"
        notes.append(f"The {count(len(c.changed))} who changed are in tables/changed_customers.csv, {named}.")
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
            "Covariate": [_label(v, labels) for v in c.ratios["covariate"]],
            c.names[0]: [
                ratio_with_interval(*v) for v in c.ratios[["before", "before_lower", "before_upper"]].to_numpy(float)
            ],
            c.names[1]: [
                ratio_with_interval(*v) for v in c.ratios[["after", "after_lower", "after_upper"]].to_numpy(float)
            ],
            "Second : first": [
                _ratio_text(v) for v in c.ratios[["ratio", "ratio_lower", "ratio_upper"]].to_numpy(float)
            ],
            "Adjusted p": [p_value(v) for v in c.ratios["p_adjusted"]],
        }
    )
    drawn = [
        c.ratios.rename(columns={side: "hazard_ratio", f"{side}_lower": "ci_lower", f"{side}_upper": "ci_upper"})
        .assign(run=run, p=np.nan)
        .query("definition == @name")
        for name in list(dict.fromkeys(c.ratios["definition"]))[:1]
        for side, run in zip(("before", "after"), c.names)
    ]
    columns = ["run", "covariate", "hazard_ratio", "ci_lower", "ci_upper", "p"]
    rows = pd.concat(drawn, ignore_index=True)[columns]
    name = c.ratios["definition"].iloc[0]
    return [
        Section("Hazard ratios"),
        Figure(
            "forest", f"Hazard ratios in both runs, {name}",
            f"Multivariable Cox models of each run, {confidence(c.level)} intervals; overlapping intervals say little about a difference.",
            "Forest plot of the hazard ratios of both runs; the same numbers are in the table below.",
            forest(rows, by="run", labels=labels, level=c.level), ("ratios_drawn",),
        ),
        Table("ratios_drawn", "Hazard ratios as drawn", rows, shown=False),
        Table("hazard_ratios", "Hazard ratios in both runs, and their ratio", c.ratios, text),
    ]  # fmt: skip


def _ratio_text(values: Any) -> str:
    value, low, high = values
    return (
        ratio_with_interval(value, low, high)
        if np.isfinite(low)
        else f"{value:.2f} (no interval)"
        if np.isfinite(value)
        else "–"
    )


def _retention_blocks(c: Comparison) -> list[Block]:
    if c.retention.empty:
        return []
    text = pd.DataFrame(
        {
            "Churn definition": c.retention["definition"],
            "Cohort": c.retention["cohort"].replace({EVERYBODY: "everybody"}),
            "Tenure (days)": c.retention["tenure"].map(count),
            c.names[0]: c.retention["before"].map(percent),
            c.names[1]: c.retention["after"].map(percent),
            "Difference (points)": [
                _points(v) for v in c.retention[["difference", "difference_lower", "difference_upper"]].to_numpy(float)
            ],
            "Adjusted p": [p_value(v) for v in c.retention["p_adjusted"]],
        }
    )
    return [
        Section("Retention"),
        *_curves(c),
        Table("retention", "Retention in both runs, and the difference", c.retention, text),
    ]


def _points(values: Any) -> str:
    value, low, high = (100 * v for v in values)
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})".replace("-", "−")


def _curves(c: Comparison) -> list[Block]:
    """Everybody's curve in both runs, under the first definition."""
    name = c.retention["definition"].iloc[0]
    parts = []
    for run, called in zip((c.before, c.after), c.names):
        assert run.customers is not None  # or there were no differences of retention
        rows = run.customers[(run.customers["definition"] == name) & run.customers["aside"].isna()]
        parts.append(rows[["entry", "exit", "churned"]].astype({"entry": float, "exit": float}).assign(run=called))
    curves = kaplan_meier(
        pd.concat(parts), start="entry", stop="exit", event="churned", by="run", order=list(c.names), level=c.level
    )
    frame = curves.tidy().rename(columns={"by": "run"})
    frame = frame.assign(run=frame["run"].astype(str))
    kept = frame[["run", "tenure", "at_risk", "retention", "ci_lower", "ci_upper"]]
    return [
        Figure(
            "retention", f"Retention of all customers in both runs, {name}",
            f"Kaplan-Meier curves of all customers at risk in each run, with pointwise {confidence(c.level)} bands.",
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
