"""Titles of figures: true by the numbers and their intervals, grammatical where there is one of something or nothing at all."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from captions import CAUSAL

from survival.report.curve_titles import (
    adjusted_title,
    bands_title,
    causes_title,
    conditional_title,
    departures_title,
    difference_title,
    extrapolated_title,
    predicted_title,
    retention_title,
    revenue_title,
    stays_title,
)
from survival.report.rate_titles import months_title, quarters_title
from survival.report.rate_titles import revenue_title as revenue_churn_title
from survival.report.titles import changing_title, periods_title

NA = math.nan


def rows(columns: str, *values: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(list(values), columns=columns.split())


def at(*values: tuple[Any, ...]) -> pd.DataFrame:
    """cohort, tenure, retention; the interval 2 points to both sides."""
    frame = rows("cohort tenure retention", *values)
    return frame.assign(ci_lower=frame["retention"] - 0.02, ci_upper=frame["retention"] + 0.02)


TWO = at(("a", 90, 0.9), ("a", 365, 0.512), ("b", 90, 0.8), ("b", 365, 0.634))

THREE = at(("a", 1, 0.9), ("b", 1, 0.9), ("c", 1, 0.9))
ONE = "51% (a) after 365 days, of the one seen from signup until then"
ALIKE, DIFFERS = "No clear difference in retention between", "Retention differs between"


@pytest.mark.parametrize(
    ("frame", "p", "late", "churns", "title"),
    [
        (TWO, 0.0004, [], 9, DIFFERS + " the two cohorts (log-rank p < 0.001): 51% (a) to 63% (b) after 365 days"),
        (TWO, 0.4, [], 9, ALIKE + " the two cohorts (log-rank p = 0.40): 51% (a) to 63% (b) after 365 days"),
        (TWO, 0.05, [], 9, ALIKE + " the two cohorts (log-rank p = 0.050): 51% (a) to 63% (b) after 365 days"),
        (TWO, None, [], 9, "Retention of both cohorts: 51% (a) to 63% (b) after 365 days"),
        (TWO, NA, [], 0, "No customer churned in what was observed"),
        (TWO, 0.01, ["b"], 9, DIFFERS + " the two cohorts (log-rank p = 0.010): " + ONE),
        (TWO, 0.01, ["a", "b"], 9, DIFFERS + " the two cohorts (log-rank p = 0.010)"),
        (THREE, 0.9, [], 3, ALIKE + " the 3 cohorts (log-rank p = 0.90): 90% in each after 1 day"),
        (at(("all", 90, 0.8), ("all", 365, NA)), None, [], 5, "After 90 days 80.0% (78.0–82.0) of customers were still there"),
        (at(("all", 90, NA)), None, [], 5, "No customer was observed from signup to any tenure that was asked for"),
        (at(("a", 90, NA), ("b", 90, NA)), NA, [], 5, "Retention of both cohorts"),
    ],
)  # fmt: skip
def test_retention(frame: pd.DataFrame, p: float | None, late: list[str], churns: int, title: str) -> None:
    assert retention_title(frame, "log-rank", p, late, churns) == title


def band(**groups: list[tuple[float, float, float]]) -> pd.DataFrame:
    parts = [rows("tenure band_lower band_upper", *values).assign(cohort=name) for name, values in groups.items()]
    return pd.concat(parts, ignore_index=True)


def test_bands_lie_apart_only_where_both_hold() -> None:
    a, b = [(0, NA, NA), (10, 0.8, 0.9), (30, 0.7, 0.8)], [(5, 0.85, 0.95), (20, 0.5, 0.65)]
    # From 20 to 30 that of b is at most 0.65 and that of a at least 0.8; at 30 that of b holds no longer.
    assert bands_title(band(a=a, b=b), 0.95) == "The bands that hold the whole curves of a and b lie apart from day 20"
    near = [(5, 0.85, 0.95), (20, 0.5, 0.8)]
    assert (
        bands_title(band(a=a, b=near), 0.95)
        == "The bands that hold the whole curves of a and b overlap at every tenure"
    )
    three = band(a=a, b=b, c=near)
    assert (
        bands_title(three, 0.95)
        == "The bands that hold whole curves lie apart for one of 3 pairs: a and b, from day 20"
    )
    other = band(a=a, b=b, c=[(x, y - 0.45, z - 0.45) for x, y, z in near])
    assert bands_title(other, 0.95) == "The bands that hold whole curves lie apart somewhere for all 3 pairs of cohorts"
    after = band(a=a, b=[(40, 0.1, 0.2), (50, 0.1, 0.2)])  # that of a holds until 30 only
    assert bands_title(after, 0.95).endswith("overlap at every tenure")
    assert bands_title(band(a=a), 0.975) == "The 97.5% band of the whole curve is at most 10 points wide"
    assert bands_title(band(a=[(0, NA, NA)]), 0.95) == "No band that holds a whole curve is to be had"


def test_differences_by_the_band_and_not_by_the_interval() -> None:
    def curve(*limits: tuple[float, float]) -> pd.DataFrame:
        frame = pd.DataFrame(
            [(10 * i, *pair) for i, pair in enumerate(limits)], columns=["tenure", "band_lower", "band_upper"]
        )
        return frame.assign(cohort_a="a", cohort_b="b", ci_lower=0.2, ci_upper=0.3)

    no, up, down = (-0.1, 0.1), (0.1, 0.2), (-0.2, -0.1)
    apart = "Retention of b and a cannot be told apart: the band of their difference holds 0 at every tenure"
    assert difference_title(curve(no, no)) == apart
    assert difference_title(curve((NA, NA))) == apart
    assert difference_title(curve(no, up, up)) == "Retention of b is clearly above that of a from day 10 on"
    assert difference_title(curve(no, up, no)) == "Retention of b is clearly above that of a from day 10 to day 20"
    assert (
        difference_title(curve(down, no, down, no))
        == "Retention of b is clearly below that of a from day 0 to day 30, with gaps"
    )
    assert "above that of a at some tenures and clearly below" in difference_title(curve(up, no, down))


def adjusted(*values: tuple[Any, ...]) -> pd.DataFrame:
    frame = rows("group tenure observed_difference adjusted_difference p_adjusted", *values)
    return frame.assign(reference="basic")


def test_adjusted_differences() -> None:
    def said(*values: tuple[Any, ...], **more: str) -> str:
        return adjusted_title(adjusted(*values), "plan", "segment", **more).removeprefix(
            "Adjusted for segment, retention of "
        )

    base, early = ("basic", 365, NA, NA, NA), ("pro", 90, 0.5, 0.5, 1e-9)
    clear, slight = ("pro", 365, 0.138, 0.01, 0.01), ("top", 365, -0.02, -0.137, 0.04)
    assert said(base, early, clear) == "pro is 1.0 point higher than that of basic after 365 days (as observed 13.8)"
    assert said(base, clear, slight) == (
        "top is 13.7 points lower than that of basic after 365 days (as observed 2.0); both differ clearly"
    )
    assert said(base, clear, ("top", 365, 0.02, -0.137, 0.04)).endswith("(as observed 2.0 higher); both differ clearly")
    unclear = ("pro", 365, 0.1, 0.1, 0.06)
    assert said(base, early, unclear) == "pro is not clearly different from that of basic after 365 days"
    assert said(base, unclear, ("top", 365, 0.1, 0.1, 0.9), name_of="cohort ") == (
        "neither of the two groups compared is clearly different from that of cohort basic after 365 days"
    )
    assert said(base, clear, ("top", 365, 0.1, 0.0, 0.9)).endswith("(as observed 13.8)")
    assert "pro is 10.0 points higher" in said(base, ("pro", 365, NA, 0.1, NA)), "without intervals: what is estimated"
    assert said(base) == "Retention by plan, as observed and adjusted for segment: no two groups can be compared"


def test_those_still_here_revenue_returns_and_causes() -> None:
    kept, new = (0.732, 0.695, 0.765), (0.623, NA, NA)
    assert conditional_title(180, 365, kept, new) == (
        "Of customers still here after 180 days, 73.2% (69.5–76.5) stayed another 365; of new ones 62.3%"
    )
    assert (
        conditional_title(1, 30, kept, None)
        == "Of customers still here after 1 day, 73.2% (69.5–76.5) stayed another 30"
    )
    columns = "tenure difference ci_lower ci_upper"
    more = rows(columns, (90, 0.5, 0.4, 0.6), (365, 0.0662, 0.004, 0.129), (730, NA, NA, NA))
    assert revenue_title(more, 0.95) == (
        "After 365 days the share of revenue retained is 6.6 points larger than that of customers (95% CI +0.4 to +12.9)"
    )
    alike = rows(columns, (90, -0.01, -0.02, 0.0))
    assert revenue_title(alike, 0.9) == (
        "After 90 days the shares of revenue and of customers retained are not clearly different: −1.0 points (90% CI −2.0 to 0.0)"
    )
    assert revenue_title(rows(columns, (90, -0.01, NA, NA)), 0.9).endswith(
        "is 1.0 point smaller than that of customers"
    )
    stays = pd.DataFrame(
        {"by": ["first stay", "second stay", "third stay and later"] * 2, "tenure": [90] * 3 + [365] * 3,
         "retention": [0.9, 0.8, 0.7, 0.5, 0.4, NA], "ci_lower": NA, "ci_upper": NA}
    )  # fmt: skip
    assert (
        stays_title(stays)
        == "After 90 days 90.0% of first stays, 80.0% of second stays and 70.0% of third and later stays went on"
    )
    assert stays_title(stays.head(1)) == "After 90 days 90.0% of first stays went on"
    counts = rows("tenure mean_count ci_lower ci_upper", (90, 0.2, 0.1, 0.3), (365, 1.1, 1.0, 1.2))
    assert departures_title(counts) == "Within 365 days a customer leaves 1.10 times on average (1.00–1.20)"
    nothing = [revenue_title(more.tail(1), 0.9), departures_title(counts.head(0)), stays_title(stays.tail(1))]
    assert [text.partition(" was ")[0] for text in nothing] == ["No customer", "No customer", "No stay"]
    causes = rows("cause events", ("price", 3), ("other", 5), ("price", 4))
    assert causes_title(causes) == "Of 2 causes “price” is the most frequent: 7 of 12 churns"
    tied = rows("cause events", ("price", 5), ("other", 5), ("third", 1))
    assert causes_title(tied) == "Of 3 causes “price” and “other” are the most frequent: 5 of 11 churns each"
    assert causes_title(causes.assign(events=0)) == "Nobody churned of any cause"


def test_what_models_say() -> None:
    tail = rows(
        "tenure retention ci_lower ci_upper extrapolated",
        (0, 1.0, NA, NA, False), (1088, 0.413, 0.37, 0.455, False), (1826, 0.319, 0.256, 0.366, True),
    )  # fmt: skip
    assert extrapolated_title(tail, "Weibull", "five years") == (
        "41.3% (37.0–45.5) of customers stay 1,088 days as observed; by the Weibull model 31.9% (25.6–36.6) stay five years"
    )
    values = rows(
        "value tenure retention", ("basic", 90, 0.9), ("pro", 90, 0.9), ("basic", 365, 0.66), ("pro", 365, 0.75)
    )
    assert (
        predicted_title(values, "plan", 0.01)
        == "By plan the model predicts retention of 66% (basic) to 75% (pro) after 365 days"
    )
    assert predicted_title(values, "plan", None).startswith("By plan the model predicts")
    assert predicted_title(values, "plan", 0.3) == (
        "Predicted retention does not differ clearly by plan (p = 0.30): 66% (basic) to 75% (pro) after 365 days"
    )
    seats = rows("value tenure retention", (2.0, 90, 0.911), (17.75, 90, 0.912))
    assert (
        predicted_title(seats, "seats", 0.01)
        == "By seats the model predicts retention of 91% at each value after 90 days"
    )
    assert (
        changing_title(1, 1, 0.05)
        == "The hazard ratio changes with tenure by the test of proportional hazards (p < 0.05)"
    )
    assert changing_title(1, 4, 0.05).startswith("1 of 4 hazard ratios changes with tenure")
    assert changing_title(2, 2, 0.05).startswith("Both hazard ratios change with tenure")
    assert [periods_title(*n) for n in ((0, 1), (0, 3), (1, 1), (1, 3), (3, 3))] == [
        "The hazard ratio does not clearly differ between periods of tenure",
        "No hazard ratio clearly differs between periods of tenure",
        "The hazard ratio differs between periods of tenure",
        "1 of 3 hazard ratios differs between periods of tenure",
        "All 3 hazard ratios differ between periods of tenure",
    ]


def test_rates() -> None:
    assert months_title(0.031, 0.028, 0.035, 12) == (
        "Of the customers at the start of a month 3.1% (2.8–3.5) churned in it, over the last 12 months"
    )
    assert months_title(0.031, 0.028, 0.035, 1).endswith("churned in it, in the one month observed")
    assert (
        quarters_title(0.06, 0.9, 0.5, 7)
        == "No clear rise or fall of the quarterly churn rate over 7 quarters (p = 0.060)"
    )
    assert quarters_title(0.0004, 0.9, 0.5, 7) == "The quarterly churn rate fell over 7 quarters (p < 0.001)"
    assert (
        quarters_title(0.01, 1.2, 0.01, 7)
        == "The quarterly churn rate rose over 7 quarters, but not steadily (p = 0.010)"
    )
    assert (
        quarters_title(None, 1.0, None, 1)
        == "Whether the quarterly churn rate rises or falls could not be tested over 1 quarter"
    )
    revenue = rows("mrr_at_start mrr_lost", (9000.0, 9000.0), (100.0, 1.0), (300.0, 9.0))
    assert revenue_churn_title(revenue, 0.04, 2) == (
        "Of the revenue at the start of a month 2.5% was lost with customers who churned, over the last 2 months (customers: 4.0%)"
    )
    assert revenue_churn_title(revenue.assign(mrr_at_start=0.0), 0.04, 2) == "No revenue at the start of any month"


def test_no_title_claims_a_cause() -> None:
    assert CAUSAL.search("Tickets increase churn due to price")
    assert not CAUSAL.search("Of 2 causes “price” is the most frequent: 7 of 12 churns")
