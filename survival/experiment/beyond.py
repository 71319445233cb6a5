"""The part of a report beyond the data: extrapolated retention, expected remaining tenure, lifetime value."""

from __future__ import annotations

import numpy as np
import pandas as pd

from survival.errors import EstimationError
from survival.estimate.tails import YEAR, Tails, extrapolate
from survival.experiment.study import Study
from survival.findings import Finding
from survival.plot.numbers import count, decimal, percent
from survival.plot.tail import extrapolated_retention
from survival.report.document import Block, Figure, Paragraph, Section, Table

HORIZON = 5 * YEAR
DISCOUNT = 0.10  # a year, stated beside every value
GIVEN = (0, 180, 365)


def tail_blocks(study: Study, name: str, mrr: float | None) -> list[Block]:
    """Retention up to five years with its tail, days still to come, and with `mrr` (mean of today's customers) their value."""
    study.step(f"{name}: beyond the data")
    try:
        made = extrapolate(study.flows(name), horizon=HORIZON, level=study.config.level)
    except EstimationError as error:
        study.note([Finding("no-tail", "note", name, f"nothing is extrapolated: {error}")], about=name)
        return []
    study.note(made.findings, about=name)
    slug = study.slug(name)
    tail = made.tails[0]
    if tail.chosen is None or tail.splice >= HORIZON:
        return []
    text = (
        f"Observed to day {count(tail.splice)} (30 customers at risk); beyond that a model speaks. Each was fitted to the first "
        f"{count(tail.cut)} days and judged by what it foretold after them; the {tail.chosen.name} was off least. Everything in this "
        f"section up to {count(round(HORIZON / YEAR))} years is an extrapolation of that kind."
    )
    blocks: list[Block] = [
        Section(f"Beyond the data: {name}"),
        Paragraph(text),
        Figure(
            name=f"extrapolated_{slug}",
            title=f"Retention, observed and extrapolated, {name}",
            caption=f"Solid: Kaplan-Meier. Dashed, on shaded ground: extrapolated by the {tail.chosen.name} model; its band holds only if "
            "one of the models that the time after the cut does not tell apart does.",
            alt=f"Retention under {name}: observed, then extrapolated to five years; the numbers are in the table of that name.",
            figure=extrapolated_retention(made.tidy()),
            source=(f"extrapolated_{slug}",),
        ),
        Table(f"extrapolated_{slug}", "Retention with its tail", made.tidy(), shown=False),
        _models(made, slug),
        _value(study, made, slug, mrr),
    ]
    return blocks


def _models(made: Tails, slug: str) -> Table:
    frame = made.models()
    shown = pd.DataFrame(
        {
            "Model": frame["model"],
            "Off after the cut (points)": [decimal(100 * e, 2) for e in frame["error"]],
            "AIC": [decimal(a, 1) for a in frame["aic"]],
            "": np.where(frame["chosen"], "chosen", np.where(frame["rival"], "not told from it", "")),
        }
    )
    note = (
        f"Off: root mean square difference in retention between model and curve after day {count(made.tails[0].cut)}, given retention "
        f"until then, in percentage points. A true model would be off by about {decimal(100 * made.tails[0].noise, 2)}: models that differ "
        "by less are not told apart, and intervals beyond the data span all of them."
    )
    return Table(f"tail_models_{slug}", "Which tail foretold best?", frame, shown, notes=(note,))


def _value(study: Study, made: Tails, slug: str, mrr: float | None) -> Table:
    reached = [g for g in GIVEN if g < made.tails[0].splice]
    days = pd.concat([made.remaining(g) for g in reached], ignore_index=True)
    frame = days.rename(columns={"days": "remaining_days"}).drop(columns="by")
    level = f"{100 * study.config.level:g}% CI"
    shown = pd.DataFrame(
        {
            "Customer for (days)": [count(g) for g in frame["given_tenure"]],
            f"Days still to come within five years ({level})": [
                f"{count(round(r.remaining_days))} ({count(round(r.ci_lower))}–{count(round(r.ci_upper))})" for r in frame.itertuples()
            ],
            "of which extrapolated": [percent(s) for s in frame["extrapolated_share"]],
        }
    )  # fmt: skip
    notes = ["Restricted to five years from signup. Intervals span the models that are not told apart."]
    if mrr is not None:
        values = pd.concat([made.lifetime_value(mrr, DISCOUNT, g) for g in reached], ignore_index=True)
        frame = frame.assign(
            mrr=mrr,
            discount_rate=DISCOUNT,
            value=values["value"],
            value_lower=values["ci_lower"],
            value_upper=values["ci_upper"],
        )
        shown[f"Discounted revenue ({level})"] = [
            f"{count(round(r.value))} ({count(round(r.ci_lower))}–{count(round(r.ci_upper))})"
            for r in values.itertuples()
        ]
        notes.append(
            f"Revenue: {decimal(mrr, 2)} a month (the mean of customers at the last month's start), discounted at {percent(DISCOUNT, 0)} a "
            "year, without expansion or costs, and as if churn did not depend on what a customer pays."
        )
    return Table(f"remaining_{slug}", "What is still to come", frame, shown, notes=tuple(notes))
