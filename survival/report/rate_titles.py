"""Titles of figures of churn rates: how much churns in a period, and whether it changes."""

from __future__ import annotations

import pandas as pd

from survival.plot.numbers import counted, is_missing, p_phrase, percent, percent_with_interval

ALPHA = 0.05


def months_title(rate: float, lower: float, upper: float, months: int) -> str:
    """The pooled rate of the latest months."""
    over = "in the one month observed" if months == 1 else f"over the last {months} months"
    pooled = percent_with_interval(rate, lower, upper)
    return f"Of the customers at the start of a month {pooled} churned in it, {over}"


def quarters_title(p: float | None, odds_ratio: float, departure_p: float | None, quarters: int) -> str:
    """Whether the quarterly rate rises or falls; without a test, that there is none."""
    over = f"over {counted(quarters, 'quarter')}"
    if is_missing(p):
        return f"Whether the quarterly churn rate rises or falls could not be tested {over}"
    assert p is not None
    if p >= ALPHA:
        return f"No clear rise or fall of the quarterly churn rate {over} ({p_phrase(p)})"
    steady = "" if is_missing(departure_p) or (departure_p or 0.0) >= ALPHA else ", but not steadily"
    return f"The quarterly churn rate {'fell' if odds_ratio < 1 else 'rose'} {over}{steady} ({p_phrase(p)})"


def revenue_title(revenue: pd.DataFrame, churned: float, latest: int) -> str:
    """Revenue lost beside customers lost over the latest months. `revenue`: mrr_at_start, mrr_lost; `churned`: rate of customers."""
    rows = revenue.tail(latest)
    start = float(rows["mrr_at_start"].sum())
    if not start:
        return "No revenue at the start of any month"
    over = "in the one month observed" if len(rows) == 1 else f"over the last {len(rows)} months"
    lost = percent(float(rows["mrr_lost"].sum()) / start)
    return f"Of the revenue at the start of a month {lost} was lost with customers who churned, {over} (customers: {percent(churned)})"
