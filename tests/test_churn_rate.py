"""Churn rates on the calendar: by hand, against a day-by-day count, against R, and the study that shows them."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from captions import complaints, figures_of
from scipy.stats import beta

from survival.churn import parse_definition, spells
from survival.churn.calendar import calendar
from survival.data import Tables, tables_from_frames
from survival.errors import ArgumentError, DataError
from survival.estimate.churn_rate import (
    against_bands,
    bands_compounded,
    churn_rates,
    exact_interval,
    net_revenue,
    period_label,
    rate_trend,
    revenue_rates,
)
from survival.experiment import run as runs
from survival.plot.churn_rate import churn_rates as draw
from survival.plot.incidence import stacked_incidence
from survival.plot.numbers import p_phrase
from survival.plot.style import svg_bytes
from survival.plot.tail import extrapolated_retention
from survival.report.tables import csv_text, read_csv
from survival.simulate import simulate

ROOT = Path(__file__).resolve().parent.parent
R = json.loads((ROOT / "tests" / "references" / "competing.json").read_text())["rates"]

# signed up, left, mrr: seven customers around the turn of the year.
SEVEN = [
    ("2023-11-10", "2023-12-31", 10),  # leaves on the last day of December
    ("2023-11-30", "2024-01-01", 20),  # leaves on the first of January
    ("2023-12-01", None, 30),  # joins on the first of December: not there at its start
    ("2023-12-05", "2023-12-20", 40),  # joins and leaves within December
    ("2023-12-31", "2024-02-15", None),  # mrr unknown
    ("2024-01-31", "2024-02-01", 60),  # joins one month, leaves the next
    ("2023-11-01", None, 70),
]


def company(rows: list[tuple[str, str | None, float | None]], until: str = "2024-03-15", **observed: Any) -> Tables:
    ids = [f"c{i}" for i in range(len(rows))]
    people = pd.DataFrame({"customer_id": ids, "signed_up_on": [r[0] for r in rows]})
    bought = pd.DataFrame(
        {"customer_id": ids, "started_on": [r[0] for r in rows], "ended_on": [r[1] for r in rows], "plan": "p",
         "mrr": [r[2] for r in rows]}
    )  # fmt: skip
    return tables_from_frames(
        {"customers": people, "subscriptions": bought}, until=dt.date.fromisoformat(until), **observed
    )


def cancellation(tables: Tables) -> Any:
    return spells(tables, parse_definition({"kind": "cancellation"}))


def test_seven_customers_by_hand() -> None:
    with company(SEVEN) as tables:
        found = calendar(cancellation(tables))
    months = churn_rates(found.cells, found.first, found.last).set_index("period")
    # March is not over on the 15th; before December nobody was there at a month's start.
    assert months.index.tolist() == ["2023-12", "2024-01", "2024-02"]
    assert months["customers_at_start"].tolist() == [3, 4, 4]
    assert months["churned"].tolist() == [1, 1, 2]
    assert months["joined_and_left"].tolist() == [1, 0, 0]
    np.testing.assert_allclose(months["monthly_rate"], [1 / 3, 1 / 4, 1 / 2])
    np.testing.assert_allclose(months["annualised_rate"], 1 - (1 - months["monthly_rate"]) ** 12)
    revenue = revenue_rates(found.revenue).set_index("period")
    assert revenue["mrr_at_start"].tolist() == [100, 120, 160]
    assert revenue["mrr_lost"].tolist() == [10, 20, 60]
    assert found.revenue["unknown"].tolist() == [0, 1, 1]
    # Two numbers of equal customers that would be as uncertain: r (1 - r) over Σ m²(c - r)² / (Σ m)², and (Σ m)² / Σ m².
    m, c, r = np.array([10, 20, 70]), np.array([1, 0, 0]), 0.1
    worth = min(r * (1 - r) / ((m**2 * (c - r) ** 2).sum() / 100**2), 100**2 / (m**2).sum())
    expected = [beta.ppf(0.025, r * worth, worth - r * worth + 1), beta.ppf(0.975, r * worth + 1, worth - r * worth)]
    np.testing.assert_allclose(revenue[["ci_lower", "ci_upper"]].iloc[0], expected)


def test_revenue_of_customers_who_all_pay_the_same_has_the_exact_interval() -> None:
    row = {"month": 24290, "known": 40, "unknown": 0, "mrr": 40 * 9.0, "mrr_lost": 3 * 9.0, "squares": 40 * 81.0}
    lost = revenue_rates(pd.DataFrame([{**row, "squares_lost": 3 * 81.0}]))
    nobody = revenue_rates(pd.DataFrame([{**row, "mrr_lost": 0.0, "squares_lost": 0.0}]))
    for made, count in ((lost, 3), (nobody, 0)):
        low, high = exact_interval(np.array([count]), np.array([40]))
        np.testing.assert_allclose(made[["ci_lower", "ci_upper"]].iloc[0], [low[0], high[0]], rtol=1e-10, atol=1e-12)


def test_quarters_follow_their_first_day() -> None:
    with company(SEVEN, until="2024-06-30") as tables:
        found = calendar(cancellation(tables))
    quarters = churn_rates(found.cells, found.first, found.last, "quarter").set_index("period")
    assert quarters.index.tolist() == ["2024-Q1", "2024-Q2"]
    # At the start of January: c1, c2, c4, c6; c1 and c4 leave in the quarter; c5 joins and leaves within it.
    assert quarters.loc["2024-Q1", ["customers_at_start", "churned", "joined_and_left"]].tolist() == [4, 2, 1]
    np.testing.assert_allclose(quarters.loc["2024-Q1", "monthly_rate"], 1 - 0.5 ** (1 / 3))
    np.testing.assert_allclose(quarters.loc["2024-Q1", "annualised_rate"], 1 - 0.5**4)
    assert churn_rates(found.cells, found.first, found.last, "year").empty


def test_the_month_in_which_the_last_customers_leave_counts() -> None:
    gone = [("2024-01-10", "2024-03-01", 10), ("2024-01-20", "2024-03-01", 10), ("2024-01-20", "2024-02-20", 5)]
    with company(gone, until="2024-06-30") as tables:
        found = calendar(cancellation(tables))
    months = churn_rates(found.cells, found.first, found.last)
    assert months[["period", "customers_at_start", "churned"]].to_numpy().tolist() == [
        ["2024-02", 3, 1],
        ["2024-03", 2, 2],
    ]
    assert revenue_rates(found.revenue)["mrr_lost"].tolist() == [5, 20]
    with company(gone, until="2024-03-15") as tables:  # March is not over
        found = calendar(cancellation(tables))
    assert churn_rates(found.cells, found.first, found.last)["period"].tolist() == ["2024-02"]


def test_late_entrants_count_from_the_month_after_they_are_seen() -> None:
    with company(SEVEN, from_=dt.date(2023, 12, 1)) as tables:
        found = calendar(cancellation(tables))
    assert period_label(found.first, "month") == "2024-01"
    months = churn_rates(found.cells, found.first, found.last)
    assert months["customers_at_start"].tolist() == [4, 4]


def _day_by_day(rows: list[tuple[str, str | None, float | None]], first: str, last: str) -> list[list[Any]]:
    """Another way to count: walk every customer through every day."""
    day = dt.date.fromisoformat
    counted = []
    for period in pd.period_range(first, last, freq="M"):
        begin, end = period.start_time.date(), period.end_time.date()
        there = [r for r in rows if day(r[0]) < begin and (r[1] is None or day(r[1]) >= begin)]
        lost = [r for r in there if r[1] is not None and day(r[1]) <= end]
        inside = [r for r in rows if begin <= day(r[0]) <= end and r[1] and day(r[0]) < day(r[1]) <= end]
        paid = sum(r[2] or 0 for r in there)
        counted.append([str(period), len(there), len(lost), len(inside), paid, sum(r[2] or 0 for r in lost)])
    return counted


@pytest.mark.parametrize("seed", range(4))
def test_equal_to_a_count_day_by_day(seed: int) -> None:
    random, origin, rows = Random(seed), dt.date(2023, 10, 20), []
    for _ in range(120):
        start = origin + dt.timedelta(days=random.randint(0, 200))
        end = start + dt.timedelta(days=random.choice([1, 5, 30, 31, random.randint(1, 150)]))
        gone = random.random() < 0.7 and end <= dt.date(2024, 5, 31)
        rows.append((start.isoformat(), end.isoformat() if gone else None, random.choice([1, 10.5, 200])))
    with company(rows, until="2024-05-31", buckets=random.choice([1, 3])) as tables:
        found = calendar(cancellation(tables))
    made = churn_rates(found.cells, found.first, found.last)
    revenue = revenue_rates(found.revenue)
    expected = [r for r in _day_by_day(rows, "2023-11", "2024-05") if r[1]]
    assert made[["period", "customers_at_start", "churned", "joined_and_left"]].to_numpy().tolist() == [
        r[:4] for r in expected
    ]
    np.testing.assert_allclose(revenue[["mrr_at_start", "mrr_lost"]], [r[4:] for r in expected])


def test_tenures_without_dates_have_no_calendar() -> None:
    people = pd.DataFrame({"customer_id": ["a", "b"], "tenure": [3, 5], "churned": ["yes", "no"]})
    need = {"customers": {"customer_id", "tenure", "churned"}}
    with tables_from_frames({"customers": people}, need=need) as tables:
        found = spells(tables, parse_definition({"kind": "recorded", "unit": "month"}))
        with pytest.raises(DataError, match="needs signup dates"):
            calendar(found)


def test_exact_intervals_and_trend_equal_r() -> None:
    low, high = exact_interval(np.array(R["exact_lost"]), np.array(R["exact_start"]))
    np.testing.assert_allclose(np.column_stack((low, high)), R["exact"], rtol=1e-10, atol=1e-15)
    assert np.isnan(exact_interval(np.array([0]), np.array([0]))[0]).all()
    made = rate_trend(np.array(R["lost"]), np.array(R["start"]))
    np.testing.assert_allclose([made.statistic, made.p], R["trend"], rtol=1e-10)
    np.testing.assert_allclose(made.homogeneity, R["homogeneity"][0], rtol=1e-10)
    np.testing.assert_allclose(made.departure, R["homogeneity"][0] - R["trend"][0], rtol=1e-10)
    slope, se = R["logit"][:2]
    np.testing.assert_allclose(np.log(made.odds_ratio), slope, rtol=1e-8)
    np.testing.assert_allclose(np.log(made.ci_upper), slope + 1.959963984540054 * se, rtol=1e-8)


def test_trend_asks_for_three_periods_and_says_nothing_without_churn() -> None:
    with pytest.raises(ArgumentError, match="three periods or more; got 2"):
        rate_trend(np.array([1, 2]), np.array([10, 10]))
    assert rate_trend(np.zeros(4), np.full(4, 10)).tidy()["p"].isna().all()
    with pytest.raises(ArgumentError, match="between 0 and the customers"):
        exact_interval(np.array([3]), np.array([2]))
    with pytest.raises(ArgumentError, match="per must be one of"):
        churn_rates(pd.DataFrame(), 0, 1, "week")


def test_a_rate_that_jumps_from_0_to_1_has_no_finite_odds_ratio() -> None:
    trend = rate_trend([0, 0, 0, 80], [20, 40, 60, 80])  # warnings are errors here
    assert trend.odds_ratio > 1e6
    assert trend.ci_upper == np.inf


def test_monthly_and_yearly_bands_are_two_statements() -> None:
    table = bands_compounded().set_index(["maturity", "per"])
    np.testing.assert_allclose(table.loc[("established", "month"), "annual_low"], 1 - 0.99**12)
    np.testing.assert_allclose(table.loc[("established", "year"), "monthly_high"], 1 - 0.93 ** (1 / 12))
    assert table.loc[("established", "month"), "annual_low"] > table.loc[("established", "year"), "high"]
    verdicts = against_bands(0.02, 0.015, 0.035, "month").set_index("maturity")["verdict"]
    assert verdicts.to_dict() == {"established": "not clear", "newer": "not clear"}
    assert against_bands(0.2, 0.18, 0.22, "year")["verdict"].tolist() == ["above", "above"]
    assert against_bands(0.06, 0.055, 0.065, "year")["verdict"].tolist() == ["within", "below"]


# --- The study -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "configs").mkdir()
    shutil.copy(ROOT / "configs" / "crm_churn_rate.yaml", folder / "configs")
    simulate("crm", customers=700, seed=11, out=folder / "data" / "crm")
    runs.run_all([folder / "configs" / "crm_churn_rate.yaml"], (), None, False, runs.Console(quiet=True))
    return folder / "results" / "crm_churn_rate"


def test_the_study_leaves_the_fixed_columns(results: Path) -> None:
    rates = read_csv(results / "tables" / "churn_rate.csv")
    columns = "period, customers_at_start, churned, joined_and_left, monthly_rate, annualised_rate, ci_lower, ci_upper"
    assert list(rates.columns) == columns.split(", ")
    assert rates["period"].tolist() == [str(p) for p in pd.period_range("2023-02", "2024-12", freq="M")]
    incidence = read_csv(results / "tables" / "cumulative_incidence.csv")
    columns = "definition, cohort, cause, tenure, at_risk, events, incidence, ci_lower, ci_upper"
    assert list(incidence.columns) == columns.split(", ")
    attrition = read_csv(results / "tables" / "attrition.csv")
    assert incidence["events"].sum() == attrition[attrition["step"] == "at risk"]["churns"].iloc[-1]


def test_every_figure_says_what_is_seen_of_whom_and_how(results: Path) -> None:
    figures = {name: (title, caption) for name, title, caption in figures_of(results)}
    assert complaints((name, *texts) for name, texts in figures.items()) == []
    months = read_csv(results / "tables" / "churn_rate.csv").tail(12)
    rate = f"{100 * months['churned'].sum() / months['customers_at_start'].sum():.1f}%"
    assert figures["churn_rate_cancellation"][0].startswith(f"Of the customers at the start of a month {rate} (")
    revenue = read_csv(results / "tables" / "revenue_churn_cancellation.csv").tail(12)
    lost = f"{100 * revenue['mrr_lost'].sum() / revenue['mrr_at_start'].sum():.1f}%"
    assert figures["revenue_churn_cancellation"][0].startswith(
        f"Of the revenue at the start of a month {lost} was lost"
    )
    trend = read_csv(results / "tables" / "churn_rate_trend_cancellation.csv")["p"].iloc[0]
    assert figures["churn_rate_quarters_cancellation"][0].startswith(
        "No clear" if trend >= 0.05 else "The quarterly churn rate"
    )


def test_the_report_says_what_it_must(results: Path) -> None:
    text = (results / "report.md").read_text()
    assert "two sources and do not follow from each other" in text
    assert "test for trend: p" in text
    assert "Beyond the data" in text
    assert "extrapolat" in text
    assert "discounted at 10% a year" in text
    assert "as if churn did not depend on what a customer pays" in text


def test_figures_redraw_from_their_tables(results: Path) -> None:
    tables = results / "tables"

    def again(name: str, figure: Any) -> None:
        assert (
            svg_bytes(figure).split(b"<defs>", 1)[1]
            == (results / "figures" / f"{name}.svg").read_bytes().split(b"<defs>", 1)[1]
        )

    bands = read_csv(tables / "bands_compounded_cancellation.csv")
    monthly = bands[bands["per"] == "month"]
    again("churn_rate_cancellation", draw(read_csv(tables / "churn_rate.csv"), bands=monthly))
    revenue = read_csv(tables / "revenue_churn_cancellation.csv")
    again("revenue_churn_cancellation", draw(revenue, bands=monthly, ylabel="Revenue lost in the month"))
    quarters = read_csv(tables / "churn_rate_quarters_cancellation.csv")
    line = quarters[["period", "trend_rate"]].rename(columns={"trend_rate": "rate"})
    trend = read_csv(tables / "churn_rate_trend_cancellation.csv").set_index("test")
    text = f"trend: {p_phrase(trend.loc['trend', 'p'])}"
    quarterly = draw(quarters, rate="rate", trend=line, trend_text=text, ylabel="Churned in the quarter")
    again("churn_rate_quarters_cancellation", quarterly)
    incidence = read_csv(tables / "cumulative_incidence.csv")
    again("causes_cancellation", stacked_incidence(incidence))
    tail = pd.read_csv(tables / "extrapolated_cancellation.csv", float_precision="round_trip")
    observed = pd.read_csv(tables / "observed_cancellation.csv", float_precision="round_trip")
    again("extrapolated_cancellation", extrapolated_retention(tail, observed, rows=("at_risk",)))
    assert csv_text(incidence) == (tables / "cumulative_incidence.csv").read_text()


def test_gross_and_net_revenue_by_hand() -> None:
    """Seven subscriptions of five customers in February: 10 lost, 15 less (20 to 5), 30 more (30 to 60), others as they were."""
    bought = [
        ("a", "2024-01-01", "2024-02-20", 10),  # leaves
        ("b", "2024-01-01", "2024-02-10", 20),  # moves down to 5
        ("b", "2024-02-10", None, 5),
        ("c", "2024-01-01", None, 30),
        ("c", "2024-02-05", None, 30),  # a second one beside the first
        ("d", "2024-01-01", None, 40),  # stays as is
        ("e", "2024-02-02", None, 99),  # a newcomer of February
    ]
    frame = pd.DataFrame(bought, columns=["customer_id", "started_on", "ended_on", "mrr"]).assign(plan="p")
    people = (
        frame.groupby("customer_id", as_index=False)["started_on"].min().rename(columns={"started_on": "signed_up_on"})
    )
    with tables_from_frames({"customers": people, "subscriptions": frame}, until=dt.date(2024, 3, 31)) as tables:
        found = calendar(cancellation(tables))
    made = net_revenue(found.revenue).set_index("period")
    assert made.index.tolist() == ["2024-02", "2024-03"]
    february = made.loc["2024-02"]
    assert february[["mrr_at_start", "mrr_lost", "contraction", "expansion"]].tolist() == [100, 10, 15, 30]
    assert february["gross_retention"] == pytest.approx(0.75)
    assert february["net_retention"] == pytest.approx(1.05)
    # The start of March is the end of February and its newcomer; censored on the last day of March, all are followed to it.
    assert made.loc["2024-03", "mrr_at_start"] == 100 - 10 - 15 + 30 + 99
    assert made.loc["2024-03", ["mrr_lost", "contraction", "expansion"]].tolist() == [0, 0, 0]
    assert revenue_rates(found.revenue)["mrr_lost"].tolist() == [10, 0]
