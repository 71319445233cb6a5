"""The part of a report beyond the data: extrapolated retention, expected remaining tenure, lifetime value."""

from __future__ import annotations

import numpy as np
import pandas as pd

from survival.errors import EstimationError
from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.tails import YEAR, Tails, extrapolate
from survival.experiment.curve_figures import axis_options, medians, no_test, options_said, tail_band
from survival.experiment.samples import sample_of, under
from survival.experiment.study import Study
from survival.findings import Finding
from survival.plot.numbers import confidence, count, decimal, percent
from survival.plot.tail import extrapolated_retention, model_name
from survival.report.curve_titles import extrapolated_title
from survival.report.document import Block, Figure, Paragraph, Section, Table


def tail_blocks(study: Study, name: str, mrr: float | None) -> list[Block]:
    """Retention up to five years with its tail, days still to come, and with `mrr` (mean of today's customers) their value."""
    study.step(f"{name}: beyond the data")
    how = study.config.beyond
    try:
        made = extrapolate(
            study.flows(name), horizon=how.horizon, models=how.models, period=how.period, min_at_risk=how.min_at_risk,
            level=study.config.level,
        )  # fmt: skip
    except EstimationError as error:
        study.note([Finding("no-tail", "note", name, f"nothing is extrapolated: {error}")], about=name)
        return []
    study.note(made.findings, about=name)
    slug = study.slug(name)
    tail = made.tails[0]
    if tail.chosen is None or tail.splice >= how.horizon:
        return []
    study.used("tails", *(["shifted beta geometric"] if how.period else []))
    chosen, tail_rows = model_name(tail.chosen.name), made.tidy()
    observed = kaplan_meier(study.flows(name), level=study.config.level)
    no_test(study, name, "churn_rate draws one curve for all customers, so there is nothing to test")
    text = (
        f"Observed to day {count(tail.splice)} ({how.min_at_risk} customers at risk); beyond that a model speaks. Each was fitted to "
        f"the first {count(tail.cut)} days and judged by what it foretold after them; the {chosen} was off least. Everything in this "
        f"section up to {_years(how.horizon)} is an extrapolation of that kind."
    )
    blocks: list[Block] = [
        Section(f"Beyond the data: {name}"),
        Paragraph(text),
        Figure(
            name=f"extrapolated_{slug}",
            title=under(study, name, extrapolated_title(tail_rows, chosen, _years(how.horizon))),
            caption=f"{sample_of(study, name)} Solid: Kaplan-Meier{_band_said(study)}. Dashed, on shaded ground: extrapolated by "
            f"the {chosen} model; its band holds only if one of the models that the time after the cut does not tell apart does. "
            f"{options_said(study, marks=False)}".strip(),
            alt=f"Retention under {name}: observed, then extrapolated to {_years(how.horizon)}; the numbers are in the table of that name.",
            figure=extrapolated_retention(
                tail_rows,
                observed.tidy(),
                medians=medians(study, [(name, observed)], "by"),
                band=tail_band(study),
                **axis_options(study),
            ),
            source=(f"extrapolated_{slug}", f"observed_{slug}"),
        ),
        Table(f"observed_{slug}", "Retention curve of all customers", observed.tidy(), shown=False),
        Table(f"extrapolated_{slug}", "Retention with its tail", tail_rows, shown=False),
        _models(made, slug),
        _value(study, made, slug, mrr),
    ]
    return blocks


def _band_said(study: Study) -> str:
    if study.config.retention.figure.band == "none":
        return ""
    return f" with pointwise {confidence(study.config.level)} log-log intervals (Greenwood)"


def _models(made: Tails, slug: str) -> Table:
    frame = made.models()
    shown = pd.DataFrame(
        {
            "Model": [model_name(m) for m in frame["model"]],
            "Off after the cut (points)": [decimal(100 * e, 2) for e in frame["error"]],
            "AIC": [decimal(a, 1) for a in frame["aic"]],
            "Choice": np.where(frame["chosen"], "chosen", np.where(frame["rival"], "not told from it", "")),
        }
    )
    note = (
        f"Off: root mean square difference in retention between model and curve after day {count(made.tails[0].cut)}, given retention "
        f"until then, in percentage points. A true model would be off by about {decimal(100 * made.tails[0].noise, 2)}: models that differ "
        "by less are not told apart, and intervals beyond the data span all of them."
    )
    return Table(f"tail_models_{slug}", "Which tail foretold best?", frame, shown, notes=(note,))


def _value(study: Study, made: Tails, slug: str, mrr: float | None) -> Table:
    how = study.config.beyond
    until = _years(how.horizon)
    reached = [g for g in how.given if g < made.tails[0].splice]
    days = pd.concat([made.remaining(g) for g in reached], ignore_index=True)
    frame = days.rename(columns={"days": "remaining_days"}).drop(columns="by")
    level = f"{confidence(study.config.level)} CI"
    shown = pd.DataFrame(
        {
            "Customer for (days)": [count(g) for g in frame["given_tenure"]],
            f"Days still to come within {until} ({level})": [
                f"{count(round(r.remaining_days))} ({count(round(r.ci_lower))}–{count(round(r.ci_upper))})" for r in frame.itertuples()
            ],
            "of which extrapolated": [percent(s) for s in frame["extrapolated_share"]],
        }
    )  # fmt: skip
    notes = [f"Restricted to {until} from signup. Intervals span the models that are not told apart."]
    if mrr is not None:
        values = pd.concat([made.lifetime_value(mrr, how.discount_rate, g) for g in reached], ignore_index=True)
        frame = frame.assign(
            mrr=mrr,
            discount_rate=how.discount_rate,
            value=values["value"],
            value_lower=values["ci_lower"],
            value_upper=values["ci_upper"],
        )
        shown[f"Discounted revenue ({level})"] = [
            f"{count(round(r.value))} ({count(round(r.ci_lower))}–{count(round(r.ci_upper))})"
            for r in values.itertuples()
        ]
        notes.append(
            f"Revenue: {decimal(mrr, 2)} a month (the mean of customers at the last month's start), discounted at "
            f"{100 * how.discount_rate:g}% a year, without expansion or costs, and as if churn did not depend on what a customer pays."
        )
    return Table(f"remaining_{slug}", "What is still to come", frame, shown, notes=tuple(notes))


def _years(days: float) -> str:
    """'five years', or '1,000 days'."""
    years = days / YEAR
    words = {1: "one year", 2: "two years", 3: "three years", 4: "four years", 5: "five years", 10: "ten years"}
    return (
        words.get(round(years), f"{round(years)} years")
        if abs(years - round(years)) < 0.005 and years > 0.5
        else f"{count(days)} days"
    )
