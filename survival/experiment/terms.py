"""The parts of a report that the terms of subscriptions allow: hazard by billing cycle, revenue beside customers; and returns."""

from __future__ import annotations

import numpy as np
import pandas as pd

from survival.churn.stays import BILLING, MRR
from survival.cohorts import COHORT
from survival.errors import EstimationError
from survival.estimate.churn_rate import exact_interval
from survival.estimate.piecewise import MONTH, piecewise_hazard
from survival.estimate.recurrent import mean_cumulative_count, stay_curves
from survival.estimate.revenue import RevenueRetention, revenue_retention
from survival.experiment.curve_figures import curve_options, medians, options_said, share_options, tenure_options
from survival.experiment.samples import under
from survival.experiment.study import Study
from survival.findings import Finding
from survival.plot.mean_count import mean_counts
from survival.plot.numbers import confidence, count, counted, decimal, p_value, percent, percent_with_interval, ratio
from survival.plot.piecewise import piecewise_hazard as draw_pieces
from survival.plot.retention import bands_drawn, retention_curves
from survival.plot.revenue import revenue_retention_curves
from survival.report.curve_titles import departures_title, revenue_title, stays_title
from survival.report.document import Block, Figure, Table

AT_RISK = 20  # customers on average in a piece: with fewer a single churn is a spike
MOST = 5_000_000  # spells that are held as a frame, beside flows that hold any number
FEW = 30  # customers whose billing period is known: fewer make no bars worth drawing


def terms_blocks(study: Study, name: str) -> list[Block]:
    """What the subscriptions' terms and later spells allow; nothing where the data have neither."""
    blocks: list[Block] = []
    known = _known_terms(study, name)
    if MRR in known and study.config.retention.revenue:
        blocks += _revenue(study, name, study.stays(name))
    if BILLING in known and study.config.retention.billing:
        blocks += _billing(study, name, study.stays(name))
    return [*blocks, *(_returns(study, name) if study.several_spells(name) else [])]


def _known_terms(study: Study, name: str) -> set[str]:
    """What the subscriptions say of how a stay began; nothing where the spells are too many for a frame in memory."""
    bought = study.tables.facts.get("subscriptions")
    if bought is None or study.config.study != "cohort_retention":
        return set()
    known = {MRR, BILLING} & set(bought.columns)
    if known and study.spells(name).count > MOST:
        message = (
            f"revenue retention and the hazard by billing cycle add up by customer, and {count(study.spells(name).count)} spells are "
            f"more than the {count(MOST)} that are read for them: they are left out"
        )
        study.note([Finding("terms-left-out", "note", "subscriptions", message)], about=name)
        return set()
    return known


# --- Revenue ---------------------------------------------------------------------------------------------------------


def _revenue(study: Study, name: str, stays: pd.DataFrame) -> list[Block]:
    known = stays[stays[MRR].notna() & (stays[MRR] >= 0)]
    if not (known[MRR] > 0).any():
        return []
    unknown = len(stays) - len(known)
    if unknown:
        of = f"{count(unknown)} of {count(len(stays))} {_who(study, name)}"
        message = f"{of} began without a known mrr: they are not in revenue retention"
        study.note(
            [Finding("unknown-mrr", "note", "revenue retention", message, counted(unknown, _who(study, name)[:-1]))],
            about=name,
        )
    interval = study.config.retention.interval
    given = {"customer": "customer", "spell": "spell", "level": study.config.level, "interval": interval}
    study.used("revenue")
    made = revenue_retention(known, MRR, start="start", **given)  # type: ignore[arg-type]
    at, slug = list(study.config.retention.at), study.slug(name)
    rows = made.differences(at)
    tables = [_revenue_table(study, name, made, rows)]
    if study.has_cohorts:
        labels = study.cohort_labels(name)
        by = revenue_retention(known, MRR, start="start", by=COHORT, order=labels, **given)  # type: ignore[arg-type]
        each = by.differences(at).rename(columns={"by": "cohort"}).assign(definition=name)
        tables.append(
            Table(
                f"revenue_retention_by_cohort_{slug}", f"Revenue beside customers by cohort, {name}", each, shown=False
            )
        )
    figure = Figure(
        name=f"revenue_retention_{slug}",
        title=under(study, name, revenue_title(rows, study.config.level)),
        caption=f"{_known_of(study, name, known)} Kaplan-Meier curves of these and of the monthly recurring revenue they began with; "
        f"{confidence(study.config.level)} {interval} intervals, variance by customer. Revenue above customers: those who leave pay less.",
        alt=f"Retention curves of customers and of revenue under {name}; the numbers are in the table.",
        figure=revenue_retention_curves(made.tidy(), **share_options(study)),
        source=(f"revenue_retention_curves_{slug}",),
    )
    return [
        figure,
        *tables,
        Table(f"revenue_retention_curves_{slug}", f"Revenue retention curves, {name}", made.tidy(), shown=False),
    ]


def _who(study: Study, name: str) -> str:
    return "spells" if study.several_spells(name) else "customers"


def _known_of(study: Study, name: str, stays: pd.DataFrame) -> str:
    """'1,371 customers, 497 churns.': of stays of which something more is known."""
    customers, churns = counted(stays["customer"].nunique(), "customer"), counted(stays["event"].sum(), "churn")
    spells = f"{counted(len(stays), 'spell')}, " if study.several_spells(name) else ""
    return f"{customers}, {spells}{churns}."


def _revenue_table(study: Study, name: str, made: RevenueRetention, rows: pd.DataFrame) -> Table:
    level = f"{confidence(study.config.level)} CI"
    paid = made.revenue.at(rows["tenure"])
    kept = made.customers.at(rows["tenure"])
    shown = pd.DataFrame(
        {
            "After": [f"{count(t)} days" for t in rows["tenure"]],
            f"Customers ({level})": [percent_with_interval(r.retention, r.ci_lower, r.ci_upper) for r in kept.itertuples()],
            f"Revenue ({level})": [percent_with_interval(r.retention, r.ci_lower, r.ci_upper) for r in paid.itertuples()],
            f"Revenue minus customers, points ({level})": [
                "–" if r.difference != r.difference
                else f"{decimal(100 * r.difference, 1)} ({decimal(100 * r.ci_lower, 1)} to {decimal(100 * r.ci_upper, 1)})"
                for r in rows.itertuples()
            ],
            "p": [p_value(p) for p in rows["p"]],
        }
    )  # fmt: skip
    note = "Revenue: what each customer paid a month when first observed; expansion and contraction are not in it."
    together = " All cohorts together; by cohort in the CSV of that name." if study.has_cohorts else ""
    frame = rows.drop(columns="by").assign(definition=name)
    return Table(
        f"revenue_retention_{study.slug(name)}",
        f"Revenue beside customers, {name}",
        frame,
        shown,
        notes=(note + together,),
    )


# --- Billing cycles --------------------------------------------------------------------------------------------------


def _billing(study: Study, name: str, stays: pd.DataFrame) -> list[Block]:
    known = stays[stays[BILLING].notna() & (stays[BILLING] > 0)]
    sizes = known.groupby(BILLING)["customer"].size()
    periods = [float(p) for p in sizes.index[sizes >= FEW]][:4]
    if not periods:
        return []
    labels = [_billed(p) for p in periods]
    frame = known[known[BILLING].isin(periods)].assign(billed=known[BILLING].map(dict(zip(periods, labels))))
    made = piecewise_hazard(
        frame, start="start", by="billed", width=MONTH, offset=MONTH / 2, order=labels, level=study.config.level
    )
    every, slug = made.tidy().rename(columns={"by": "billed"}).assign(definition=name), study.slug(name)
    table = every
    thin = table["person_time"] < AT_RISK * (table["stop"] - table["start"])
    table = table[~thin.groupby(table["billed"], sort=False).cummax()].reset_index(drop=True)
    if table.empty:
        return []
    study.note(made.findings, about=name)
    study.used("billing")
    note = "" if not study.several_spells(name) else " The limits take every spell for a customer of its own."
    return [
        Figure(
            name=f"billing_{slug}",
            title=under(study, name, _billing_title(study, table, every[every["billed"] == _billed(12.0)])),
            caption=f"{_known_of(study, name, frame)} {counted(table['events'].sum(), 'churn')} in the bars. "
            "Churns by time at risk, month by month of tenure; each bar is centred on a whole month since the start, so that a "
            f"renewal falls into the middle of one. By the billing period that a customer began with, "
            f"as long as {AT_RISK} were at risk on average; {confidence(study.config.level)} exact Poisson limits.{note}",
            alt=f"Bars of the churn hazard under {name} by month of tenure, a panel a billing period; the numbers are in the table.",
            figure=draw_pieces(table, by="billed"),
            source=(f"billing_{slug}",),
        ),
        Table(f"billing_{slug}", f"Hazard by billing cycle, {name}", table, shown=False),
    ]


def _billed(months: float) -> str:
    names = {1.0: "billed monthly", 3.0: "billed quarterly", 6.0: "billed half-yearly", 12.0: "billed yearly"}
    return names.get(months, f"billed every {months:g} months")


def billing_sentence(study: Study, name: str) -> str | None:
    """Whether who renews leaves at renewals: the hazard in the pieces at renewal against that between them."""
    if BILLING not in _known_terms(study, name) or not study.config.retention.billing:
        return None
    stays = study.stays(name)
    yearly = stays[stays[BILLING] == 12]
    if len(yearly) < FEW:
        return None
    odds = _at_renewals(
        piecewise_hazard(yearly, start="start", width=MONTH, offset=MONTH / 2).tidy(), study.config.level
    )
    if odds is None:
        return None
    said = f"rate ratio {_ratio_said(odds, study.config.level)}"
    if odds[1] <= 1 <= odds[2]:
        return f"No clear change of the churn rate was seen in the months of yearly renewals ({said})."
    if not odds[0]:
        return f"No customer billed yearly left in the month of a renewal ({said})."
    times = f"at {ratio(odds[0])} times the rate of the months in between ({said.partition(', ')[2]})"
    return f"In the month of a renewal customers billed yearly left {times}."


def _ratio_said(odds: list[float], level: float) -> str:
    """'0.55, 95% CI 0.15–1.42'; where nobody churned, 0 and not a small number."""
    value, low, high = ("0" if x == 0 else ratio(x) for x in odds)
    return f"{value}, {confidence(level)} CI {low}–{high}"


def _at_renewals(pieces: pd.DataFrame, level: float) -> list[float] | None:
    """Of customers billed yearly: churn rate in months of renewal over that between, with its limits; None where not known.

    `pieces`: their rows of start, stop (days), events, person_time.
    """
    middle = (pieces["start"] + pieces["stop"]) / 2 / MONTH
    renewal = ((middle / 12 - (middle / 12).round()).abs() < 0.5 / 12) & (middle > 6)
    at, between = (
        pieces.loc[renewal, ["events", "person_time"]].sum(),
        pieces.loc[~renewal, ["events", "person_time"]].sum(),
    )
    if not at["person_time"] or not between["events"]:
        return None
    # Of all churns those at renewals are binomial given their number: an exact interval of the ratio of two Poisson rates.
    low, high = exact_interval(at[["events"]].to_numpy(float), np.array([at["events"] + between["events"]]), level)
    scale = between["person_time"] / at["person_time"]
    share = at["events"] / (at["events"] + between["events"])
    return [float(scale * x / (1 - x)) if x < 1 else np.inf for x in (share, low[0], high[0])]


def _billing_title(study: Study, table: pd.DataFrame, yearly: pd.DataFrame) -> str:
    """What `billing_sentence` says; without yearly bills the month with the highest churn rate of the largest group."""
    odds = _at_renewals(yearly, study.config.level)
    if odds is not None:
        said = f"rate ratio {_ratio_said(odds, study.config.level)}"
        if odds[1] <= 1 <= odds[2]:
            return f"No clear change of the churn rate in the months of yearly renewals ({said})"
        if not odds[0]:
            return f"No customer billed yearly left in the month of a renewal ({said})"
        return f"The churn rate is {'higher' if odds[0] > 1 else 'lower'} in the months of yearly renewals than between them ({said})"
    billed = table.groupby("billed", sort=False)["person_time"].sum().idxmax()
    rows = table[table["billed"] == billed]
    if not rows["events"].sum():
        return f"None of the customers {billed} churned in these months"
    top = rows.loc[rows["hazard"].idxmax()]
    month = count(round((top["start"] + top["stop"]) / 2 / MONTH)) if top["start"] > 0 else "0"
    where = "in the first half month" if month == "0" else f"around month {month} of tenure"
    rate, low, high = (30 * float(top[c]) for c in ("hazard", "ci_lower", "ci_upper"))
    return f"Customers {billed} leave at the highest rate {where}: {percent_with_interval(rate, low, high)} in 30 days"


# --- Returns ---------------------------------------------------------------------------------------------------------


def _of_stays(stays: pd.DataFrame) -> str:
    who, left = counted(stays["customer"].nunique(), "customer"), counted(stays["event"].sum(), "churn")
    return f"{who}, {counted(len(stays), 'stay')}, {left}."


def _stay_bands(study: Study, groups: int) -> str:
    kind = study.config.retention.interval
    if "none" in (kind, study.config.retention.figure.band) or not bands_drawn(groups, ordered=True):
        return ""
    return f"; pointwise {confidence(study.config.level)} {kind} bands, variance by customer"


def _returns(study: Study, name: str) -> list[Block]:
    """How often customers leave, and whether later stays last as long; on the clock since the first signup."""
    stays, slug, level = study.stays(name), study.slug(name), study.config.level
    total = stays.assign(start=stays["start"] + stays["since"], stop=stays["stop"] + stays["since"])
    study.step(f"{name}: who left and came back")
    try:
        counted = mean_cumulative_count(total, "customer", start="start", spell="spell", level=level)
        curves = stay_curves(
            total,
            "customer",
            "spell",
            start="start",
            clock="gap",
            level=level,
            interval=study.config.retention.interval,
        )
    except EstimationError as error:
        study.note([Finding("no-returns", "note", name, f"returns are not shown: {error}")], about=name)
        return []
    study.note(curves.findings, about=name)
    study.used("returns")
    frame, longest = curves.tidy(), max(curve.end for curve in curves.curves)
    table = counted.tidy()
    at = counted.at(list(study.config.retention.at))
    rows = at.assign(definition=name)[["definition", "tenure", "mean_count", "se", "ci_lower", "ci_upper"]]
    shown = pd.DataFrame(
        {
            "By": [f"{count(t)} days" for t in rows["tenure"]],
            f"Departures per customer ({confidence(level)} CI)": [
                "–" if r.mean_count != r.mean_count
                else f"{decimal(r.mean_count, 2)} ({decimal(r.ci_lower, 2)}–{decimal(r.ci_upper, 2)})"
                for r in rows.itertuples()
            ],
        }
    )  # fmt: skip
    again = percent(1 - stays["customer"].nunique() / len(stays))
    return [
        Figure(
            name=f"departures_{slug}",
            title=under(study, name, departures_title(at)),
            caption=f"{_of_stays(stays)} Mean number of departures of a customer who is present (mean cumulative count), by tenure since "
            f"the first signup; pointwise {confidence(level)} band, variance by customer.",
            alt=f"Mean cumulative count of departures under {name}; the numbers are in the table.",
            figure=mean_counts(table, **tenure_options(study)),
            source=(f"departures_{slug}",),
        ),
        Table(
            f"departures_at_{slug}",
            f"Departures per customer, {name}",
            rows,
            shown,
            notes=(f"{again} of the stays are returns.",),
        ),
        Table(f"departures_{slug}", f"Departures per customer, curve, {name}", table, shown=False),
        Figure(
            name=f"stays_{slug}",
            title=under(study, name, stays_title(curves.at(list(study.config.retention.at)))),
            caption=f"{_of_stays(stays)} Kaplan-Meier retention from the start of each stay{_stay_bands(study, len(curves.groups))}. Later "
            "stays are of customers who left and came back within what was observed; they do not show that a return "
            f"changes how long one stays. {options_said(study)}".strip(),
            alt=f"Retention curves of first, second and later stays under {name}; the numbers are in the table.",
            figure=retention_curves(
                frame,
                by="by",
                ordered=True,
                horizon=longest,
                medians=medians(study, [(name, curves)], "by"),
                **curve_options(study, None, "by"),
            ),
            source=(f"stays_{slug}",),
        ),
        Table(f"stays_{slug}", f"First and later stays, {name}", frame, shown=False),
    ]
