"""The parts of a report about churn rates of calendar periods: months, quarters, years, bands, trend, revenue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from survival.churn.calendar import Calendar, calendar
from survival.errors import EstimationError
from survival.estimate.churn_rate import (
    RateTrend,
    against_bands,
    bands_compounded,
    churn_rates,
    exact_interval,
    net_revenue,
    rate_trend,
    revenue_rates,
)
from survival.experiment.samples import under
from survival.experiment.study import Study
from survival.findings import Finding
from survival.plot.churn_rate import churn_rates as draw_rates
from survival.plot.numbers import confidence, count, counted, p_phrase, percent, percent_with_interval, ratio
from survival.report.document import Block, Bullets, Figure, Paragraph, Section, Table
from survival.report.rate_titles import months_title, quarters_title, revenue_title
from survival.report.tables import display_frame

RATE_COLUMNS = [
    "period", "customers_at_start", "churned", "joined_and_left", "monthly_rate", "annualised_rate", "ci_lower", "ci_upper",
]  # fmt: skip
BANDS_SAID = (
    "Rules of thumb for subscription software: established 5–7% a year and 1–3% a month; newer up to 10–15% a year and 3–5% a "
    "month. The monthly and the yearly band are two sources and do not follow from each other: compounded over a year, 1–3% a "
    "month is 11–31%, and 5–7% a year is 0.4–0.6% a month. A company can lie within one band and outside the other."
)
TREND_ALPHA = 0.05
LATEST = 12  # months that stand for now
Headed = Callable[[str], str]  # a finding as a title


@dataclass(frozen=True, eq=False)
class Rates:
    """The rates of one definition."""

    definition: str
    months: pd.DataFrame
    quarters: pd.DataFrame
    years: pd.DataFrame
    trend: RateTrend | None
    revenue: pd.DataFrame | None
    net: pd.DataFrame | None = None

    @property
    def mean_mrr(self) -> float | None:
        """Mean monthly recurring revenue of a customer at the start of the last month; None where it is not known."""
        if self.revenue is None:
            return None
        last = self.revenue.iloc[-1]
        return float(last["mrr_at_start"] / last["customers_at_start"])


def rates(study: Study, name: str) -> Rates:
    """Rates under one definition. Raises EstimationError when no month was observed from its first day to its last."""
    at_risk = study.spells(name)
    study.step(f"{name}: churn by calendar month")
    found = calendar(at_risk)
    level = study.config.level
    tables = [churn_rates(found.cells, found.first, found.last, per, level) for per in ("month", "quarter", "year")]
    months, quarters, years = tables
    if months.empty:
        raise EstimationError(
            f"{name}: no calendar month was observed from its first day to its last; observe a longer period"
        )
    study.used("rates")
    trend = rate_trend(quarters["churned"], quarters["customers_at_start"], level) if len(quarters) > 2 else None
    _note(study, name, found, trend)
    revenue = revenue_rates(found.revenue, level) if found.revenue is not None else None
    known = revenue if revenue is not None and len(revenue) else None
    study.used(*(["rate-trend"] if trend is not None else []), *(["revenue-rates"] if known is not None else []))
    net = net_revenue(found.revenue) if found.revenue is not None and known is not None else None
    return Rates(name, months, quarters, _compared(years, months), trend, known, net)


def _compared(years: pd.DataFrame, months: pd.DataFrame) -> pd.DataFrame:
    """The years, with the rate that their twelve monthly rates compound to beside."""
    kept = months.assign(year=months["period"].str[:4], stay=1 - months["monthly_rate"])
    product = 1 - kept.groupby("year")["stay"].prod()
    return years.assign(compounded_rate=years["period"].map(product).to_numpy(float))


def _note(study: Study, name: str, found: Calendar, trend: RateTrend | None) -> None:
    notes = []
    if trend is None:
        message = "fewer than three whole quarters were observed: the direction of the churn rate is not tested"
        notes.append(Finding("no-trend-test", "note", name, message))
    unknown = 0 if found.revenue is None else int(found.revenue["unknown"].max())
    if unknown:
        message = (
            f"up to {count(unknown)} customers at the start of a month have a subscription without mrr: they are not in "
            "the revenue rates"
        )
        notes.append(Finding("unknown-mrr", "note", name, message, counted(unknown, "customer")))
    study.note(notes, about=name)


def headline(made: Rates) -> str:
    """One sentence for the index page."""
    last = _latest(made)
    return f"{made.definition}: {percent(last['rate'])} a month over the last {last['months']} months."


def _latest(made: Rates, level: float = 0.95) -> dict[str, float]:
    """The pooled monthly rate of the latest months, with its exact interval."""
    rows = made.months.tail(LATEST)
    lost, of = int(rows["churned"].sum()), int(rows["customers_at_start"].sum())
    low, high = exact_interval(np.array([lost]), np.array([of]), level)
    return {"months": len(rows), "rate": lost / of, "low": float(low[0]), "high": float(high[0]), "churned": lost}


def rate_blocks(study: Study, made: Rates) -> list[Block]:
    """Everything about the rates of one definition."""
    slug, headed = study.slug(made.definition), partial(under, study, made.definition)
    first = made.definition == study.definitions[0]
    name = "churn_rate" if first else f"churn_rate_{slug}"
    blocks: list[Block] = [
        Section(f"Churn rate: {made.definition}"),
        Bullets(tuple(_sentences(made, study.config.level)), key=True),
    ]
    blocks += [_months_figure(made, slug, name, study.config.level, headed), _months_table(made, name)]
    if len(made.quarters):
        blocks += _quarters(made, slug, study.config.level, headed)
    if len(made.years):
        blocks.append(_years_table(made, slug, study.config.level))
    blocks += _bands(made, slug, study.config.level)
    return blocks + (_revenue(made, slug, study.config.level, headed) if made.revenue is not None else [])


def _sentences(made: Rates, level: float) -> list[str]:
    last, until = _latest(made, level), made.months["period"].iloc[-1]
    pooled = percent_with_interval(last["rate"], last["low"], last["high"])
    year_long = percent(1 - (1 - last["rate"]) ** 12)
    over = f"in {until}" if last["months"] == 1 else f"over the {last['months']} months to {until}"
    said = [
        f"Of the customers at the start of a month, {pooled} churned in it, {over} "
        f"(exact {confidence(level)} interval); kept up for a year, that is {year_long}."
    ]
    if len(made.years):
        year = made.years.iloc[-1]
        share = percent_with_interval(year["rate"], year["ci_lower"], year["ci_upper"])
        said.append(
            f"Of the customers at the start of {year['period']}, {share} churned by its end. Its monthly rates compound to "
            f"{percent(year['compounded_rate'])}: they also count those who joined during the year."
        )
    return [*said, _trend_sentence(made)]


def _trend_sentence(made: Rates) -> str:
    trend, quarters = made.trend, made.quarters
    if trend is None or np.isnan(trend.p):
        return "The direction over quarters could not be tested."
    over = f"over the {len(quarters)} quarters from {quarters['period'].iloc[0]} to {quarters['period'].iloc[-1]}"
    odds = f"odds of churning {ratio(trend.odds_ratio)} times those of the quarter before"
    test = f"test for trend: {p_phrase(trend.p)}"
    if 1e-3 < trend.odds_ratio < 1e3:  # beyond: nobody churned before some quarter, or everybody after it
        test += f"; {odds}, {ratio(trend.ci_lower, limit=True)} to {ratio(trend.ci_upper, limit=True)}"
    if trend.p >= TREND_ALPHA:
        return f"No clear rise or fall of the quarterly rate was seen {over} ({test})."
    text = f"The quarterly rate {'fell' if trend.odds_ratio < 1 else 'rose'} {over} ({test})."
    if trend.departure_p < TREND_ALPHA:
        text += f" A steady change does not describe it, though: quarters differ beside the trend ({p_phrase(trend.departure_p)})."
    return text


def _at_start(periods: pd.DataFrame) -> str:
    """'1,049 to 2,909 customers at the start'."""
    least, most = periods["customers_at_start"].min(), periods["customers_at_start"].max()
    return (
        f"{count(least)} to {count(most)} customers at the start"
        if least < most
        else f"{count(most)} customers at the start"
    )


def _months_figure(made: Rates, slug: str, name: str, level: float, headed: Headed) -> Figure:
    bands, last = bands_compounded(), _latest(made, level)
    return Figure(
        name=f"churn_rate_{slug}",
        title=headed(months_title(last["rate"], last["low"], last["high"], int(last["months"]))),
        caption=f"Share of the customers at the start of each month who churned in it, with exact (Clopper-Pearson) {confidence(level)} "
        f"intervals: {_at_start(made.months)} of a month, {counted(made.months['churned'].sum(), 'churn')}. Behind: published monthly "
        "bands.",
        alt=f"Monthly churn rates under {made.definition} with intervals, before two bands; the numbers are in the table.",
        figure=draw_rates(made.months, bands=bands[bands["per"] == "month"]),
        source=(name,),
    )


def _months_table(made: Rates, name: str) -> Table:
    notes = (
        "Churned: among customers at the start of the month; joined and left: within the month, beside. Interval: exact, of the "
        "monthly rate. Annualised: 1 − (1 − monthly)^12.",
        "Only months observed from their first day to their last. Customers observed late count from the month after they enter.",
    )
    return Table(name, f"Churn by calendar month, {made.definition}", made.months[RATE_COLUMNS], notes=notes)


def _quarters(made: Rates, slug: str, level: float, headed: Headed) -> list[Block]:
    trend = made.trend
    line, text = None, ""
    frame = made.quarters
    if trend is not None and not np.isnan(trend.p):
        line = _line(made.quarters, trend)
        text = f"trend: {p_phrase(trend.p)}"
        frame = frame.assign(trend_rate=line["rate"].to_numpy())
    name = f"churn_rate_quarters_{slug}"
    figure = Figure(
        name=name,
        title=headed(_quarters_finding(made)),
        caption=f"Share of the customers at the start of each quarter who churned in it, with exact (Clopper-Pearson) {confidence(level)} "
        f"intervals: {_at_start(made.quarters)} of a quarter, {counted(made.quarters['churned'].sum(), 'churn')}."
        + (" Dashed: the logistic line whose slope is tested (Cochran-Armitage)." if line is not None else ""),
        alt=f"Quarterly churn rates under {made.definition} with intervals and a fitted line; the numbers are in the table.",
        figure=draw_rates(made.quarters, rate="rate", trend=line, trend_text=text, ylabel="Churned in the quarter"),
        source=(name,),
    )
    shown = display_frame(_shares(made.quarters, level))
    blocks: list[Block] = [figure, Table(name, f"Churn by quarter, {made.definition}", frame, shown)]
    if trend is not None:
        note = (
            "Cochran-Armitage test of a trend over the quarters, test of equal rates, and what is left beside the trend. Who leaves in a "
            "quarter is not at the start of the next, so the counts are binomial given who is there."
        )
        blocks.append(
            Table(f"churn_rate_trend_{slug}", f"Does the rate change? {made.definition}", trend.tidy(), notes=(note,))
        )
    return blocks


def _quarters_finding(made: Rates) -> str:
    trend = made.trend
    if trend is None:
        return quarters_title(None, 1.0, None, len(made.quarters))
    return quarters_title(trend.p, trend.odds_ratio, trend.departure_p, len(made.quarters))


def _of_customers(made: Rates) -> float:
    """The churn rate of customers over the latest months of which revenue is known."""
    assert made.revenue is not None
    rows = made.months[made.months["period"].isin(made.revenue["period"].tail(LATEST))]
    return float(rows["churned"].sum() / rows["customers_at_start"].sum())


def _line(quarters: pd.DataFrame, trend: RateTrend) -> pd.DataFrame:
    """The logistic line with the fitted slope through the quarters, its level such that churns add up."""
    n, slope = quarters["customers_at_start"].to_numpy(float), np.log(trend.odds_ratio)
    scores, low, high = np.arange(len(quarters)), -30.0, 30.0
    total = float(quarters["churned"].sum())
    for _ in range(80):  # the sum of fitted churns rises with the level: halve
        middle = (low + high) / 2
        fitted = float(n @ (1 / (1 + np.exp(-(middle + slope * scores)))))
        low, high = (middle, high) if fitted < total else (low, middle)
    return pd.DataFrame({"period": quarters["period"], "rate": 1 / (1 + np.exp(-(low + slope * scores)))})


def _shares(frame: pd.DataFrame, level: float) -> pd.DataFrame:
    """Rates of a whole period as text; the interval is theirs."""
    rate = [percent_with_interval(r.rate, r.ci_lower, r.ci_upper) for r in frame.itertuples()]
    monthly = [percent(r) for r in frame["monthly_rate"]]
    annual = [percent(r) for r in frame["annualised_rate"]]
    kept = frame[["period", "customers_at_start", "churned", "joined_and_left"]]
    return kept.assign(
        **{
            f"Rate of the period ({confidence(level)} CI)": rate,
            "as a monthly rate": monthly,
            "as an annual rate": annual,
        }
    )


def _years_table(made: Rates, slug: str, level: float) -> Table:
    shown = _shares(made.years, level).drop(columns="as an annual rate")
    shown["compounded from its months"] = [percent(r) for r in made.years["compounded_rate"]]
    note = (
        "The rate of a year follows its first day's customers to its last. The compounded one multiplies twelve monthly rates, "
        "each among those who were there when its month began, newcomers included: where newcomers leave faster, it is the larger one."
    )
    return Table(
        f"churn_rate_years_{slug}", f"Churn by calendar year, {made.definition}", made.years, display_frame(shown), notes=(note,)
    )  # fmt: skip


def _bands(made: Rates, slug: str, level: float) -> list[Block]:
    last = _latest(made, level)
    parts = [against_bands(last["rate"], last["low"], last["high"], "month")]
    if len(made.years):
        year = made.years.iloc[-1]
        parts.append(against_bands(year["rate"], year["ci_lower"], year["ci_upper"], "year"))
    frame = pd.concat(parts, ignore_index=True)
    shown = pd.DataFrame(
        {
            "Companies": frame["maturity"],
            "Per": frame["per"],
            "Band": [f"{100 * a:g}–{100 * b:g}%" for a, b in zip(frame["band_low"], frame["band_high"])],
            f"Here ({confidence(level)} CI)": [
                percent_with_interval(r.rate, r.ci_lower, r.ci_upper) for r in frame.itertuples()
            ],
            "The whole interval is": frame["verdict"],
        }
    )
    both = bands_compounded()
    compounding = pd.DataFrame(
        {
            "Companies": both["maturity"],
            "Stated": [f"{100 * a:g}–{100 * b:g}% a {p}" for a, b, p in zip(both["low"], both["high"], both["per"])],
            "a month": [f"{100 * a:.1f}–{100 * b:.1f}%" for a, b in zip(both["monthly_low"], both["monthly_high"])],
            "a year": [f"{100 * a:.1f}–{100 * b:.1f}%" for a, b in zip(both["annual_low"], both["annual_high"])],
        }
    )
    return [
        Paragraph(BANDS_SAID),
        Table(f"churn_rate_bands_{slug}", f"Against published bands, {made.definition}", frame, shown),
        Table(f"bands_compounded_{slug}", "What the bands say over a month and over a year", both, compounding),
    ]


def _revenue(made: Rates, slug: str, level: float, headed: Headed) -> list[Block]:
    assert made.revenue is not None
    name, bands = f"revenue_churn_{slug}", bands_compounded()
    notes = (
        "Monthly recurring revenue, at the start of the month, of customers who churned in it, over that of all customers then. "
        "Interval: exact for an effective number of customers, wide where a few pay much. Contraction and expansion of those who stay are "
        "in the table after this one.",
    )
    return [
        Figure(
            name=name,
            title=headed(revenue_title(made.revenue, _of_customers(made), LATEST)),
            caption="Share of the monthly recurring revenue at the start of each month that belonged to customers who churned in it: "
            f"{_at_start(made.revenue)} of a month, {counted(made.months['churned'].sum(), 'churn')} in all. Exact {confidence(level)} "
            "intervals for an effective number of customers (Korn and Graubard 1998).",
            alt=f"Monthly revenue churn under {made.definition} with intervals; the numbers are in the table.",
            figure=draw_rates(made.revenue, bands=bands[bands["per"] == "month"], ylabel="Revenue lost in the month"),
            source=(name,),
        ),
        Table(name, f"Revenue churn by calendar month, {made.definition}", made.revenue, notes=notes),
        *_net(made, slug),
    ]


def _net(made: Rates, slug: str) -> list[Block]:
    """Gross and net revenue retention by month; compounded over the latest twelve months in the note."""
    if made.net is None or made.net.empty:
        return []
    frame, last = made.net, made.net.tail(LATEST)
    shown = pd.DataFrame(
        {
            "Month": frame["period"],
            "Revenue at start": [count(round(v)) for v in frame["mrr_at_start"]],
            "Lost": [count(round(v)) for v in frame["mrr_lost"]],
            "Contraction": [count(round(v)) for v in frame["contraction"]],
            "Expansion": [count(round(v)) for v in frame["expansion"]],
            "Gross retention": [percent(v) for v in frame["gross_retention"]],
            "Net retention": [percent(v) for v in frame["net_retention"]],
        }
    )
    gross, net = (percent(float(last[c].prod())) for c in ("gross_retention", "net_retention"))
    notes = (
        f"The {len(last)} months to {last['period'].iloc[-1]} compound to {gross} gross and {net} net.",
        "Gross: without what left with its customer and what those who stay pay less; net: with what they pay more. Newcomers are in "
        "neither.",
    )
    return [
        Table(f"net_revenue_{slug}", f"Gross and net revenue retention, {made.definition}", frame, shown, notes=notes)
    ]
