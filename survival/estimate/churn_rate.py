"""Churn rates of calendar months, quarters and years, of customers and of revenue, and whether they change.

A rate is who churned within a period among who was a customer when it began. Who joins and leaves within it is counted
beside. A month is a number, 12 x year + month - 1; counts come from months of entry and exit, so nothing here depends on
how many customers there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import betaincinv, chdtrc

from survival.errors import ArgumentError
from survival.estimate.intervals import normal_quantile

Floats = NDArray[np.float64]
MONTHS = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True)
class Band:
    """A published range of churn rates: of whom, per `month` or `year`, from low to high."""

    maturity: str
    per: str
    low: float
    high: float


#: Rules of thumb about subscription software. Monthly and yearly ranges come from two sources and do not follow from each other.
BANDS = (
    Band("established", "year", 0.05, 0.07),
    Band("established", "month", 0.01, 0.03),
    Band("newer", "year", 0.10, 0.15),
    Band("newer", "month", 0.03, 0.05),
)


def exact_interval(lost: NDArray[np.number], of: NDArray[np.number], level: float = 0.95) -> tuple[Floats, Floats]:
    """Clopper and Pearson's interval (m,), (m,) of the shares lost/of; NaN where `of` is 0. Source: R's binom.test."""
    normal_quantile(level)
    x, n = np.asarray(lost, np.float64), np.asarray(of, np.float64)
    if ((x < 0) | (x > n)).any():
        raise ArgumentError("churned must lie between 0 and the customers at the start")
    tail = (1 - level) / 2
    low = np.where(x > 0, betaincinv(np.maximum(x, 1e-300), n - x + 1, tail), 0.0)
    high = np.where(x < n, betaincinv(x + 1, np.maximum(n - x, 1e-300), 1 - tail), 1.0)
    return np.where(n > 0, low, np.nan), np.where(n > 0, high, np.nan)


def churn_rates(cells: pd.DataFrame, first: int, last: int, per: str = "month", level: float = 0.95) -> pd.DataFrame:
    """One row a whole calendar month, quarter or year between the months `first` and `last`.

    cells: entered, left (months), churned, spells (as `survival.churn.calendar`). Columns: period (2024-03, 2024-Q1, 2024),
    customers_at_start, churned, joined_and_left, then for months monthly_rate, for others rate (of the whole period) and
    monthly_rate (the constant monthly rate that makes it), annualised_rate = 1 - (1 - monthly)^12, ci_lower, ci_upper
    (exact, of the first rate in the row). Periods without customers at their start are left out.
    """
    if per not in MONTHS:
        raise ArgumentError(f"per must be one of {', '.join(map(repr, MONTHS))}; got {per!r}")
    begins = whole_periods(first, last, per)
    length = MONTHS[per]
    counts = cells["spells"].to_numpy(np.int64)
    entered, left = cells["entered"].to_numpy(np.int64), cells["left"].to_numpy(np.int64)
    churned = cells["churned"].to_numpy(bool)
    # A row a cell, a column a period: cells are pairs of months, few whatever the customers.
    there = (entered[:, None] < begins) & (left[:, None] >= begins)
    leaves = (left[:, None] >= begins) & (left[:, None] < begins + length) & churned[:, None]
    n, lost = counts @ there, counts @ (there & leaves)
    passing = counts @ ((entered[:, None] >= begins) & leaves)
    keep = n > 0
    n, lost, passing, begins = n[keep], lost[keep], passing[keep], begins[keep]
    rate = lost / np.maximum(n, 1)
    low, high = exact_interval(lost, n, level)
    monthly = 1 - (1 - rate) ** (1 / length)
    table = pd.DataFrame(
        {
            "period": [period_label(m, per) for m in begins],
            "customers_at_start": n,
            "churned": lost,
            "joined_and_left": passing,
        }
    )
    if per != "month":
        table["rate"] = rate
    return table.assign(
        monthly_rate=monthly, annualised_rate=1 - (1 - rate) ** (12 / length), ci_lower=low, ci_upper=high
    )


def whole_periods(first: int, last: int, per: str) -> NDArray[np.int64]:
    """The first months of the periods that lie wholly between two months."""
    length = MONTHS[per]
    begin = -(-first // length) * length
    return np.arange(begin, last - length + 2, length, dtype=np.int64)


def period_label(month: int, per: str) -> str:
    """2024-03, 2024-Q1 or 2024 of a month's number."""
    year, m = divmod(int(month), 12)
    return {"month": f"{year:04d}-{m + 1:02d}", "quarter": f"{year:04d}-Q{m // 3 + 1}", "year": f"{year:04d}"}[per]


def revenue_rates(revenue: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Monthly revenue churn: recurring revenue of who churned in the month over that of all customers at its start.

    revenue: month, known, unknown, mrr, mrr_lost, squares, squares_lost (as `survival.churn.calendar`). Columns: period,
    customers_at_start (with known mrr), mrr_at_start, mrr_lost, monthly_rate, annualised_rate, ci_lower, ci_upper. The
    interval is Clopper and Pearson's for an effective number of customers (Korn & Graubard 1998), the smaller of r(1 - r)
    over the variance of a ratio of sums, Σ w²(c - r)² / (Σ w)², and of (Σ w)² / Σ w²: a few large customers make it wide,
    and where all pay the same it is the exact one. Contraction and expansion of who stays are not in it.
    """
    rows = revenue[revenue["mrr"] > 0]
    total, lost = rows["mrr"].to_numpy(float), rows["mrr_lost"].to_numpy(float)
    squares, gone = rows["squares"].to_numpy(float), rows["squares_lost"].to_numpy(float)
    rate = lost / total
    variance = (gone * (1 - 2 * rate) + squares * rate**2) / total**2
    low, high = effective_interval(rate, variance, total**2 / squares, level)
    return pd.DataFrame(
        {
            "period": [period_label(m, "month") for m in rows["month"]],
            "customers_at_start": rows["known"].to_numpy(),
            "mrr_at_start": total,
            "mrr_lost": lost,
            "monthly_rate": rate,
            "annualised_rate": 1 - (1 - rate) ** 12,
            "ci_lower": low,
            "ci_upper": high,
        }
    )


def net_revenue(revenue: pd.DataFrame) -> pd.DataFrame:
    """Revenue kept of what there was at each month's start, before and after what those who stay pay more.

    revenue: as `revenue_rates`, with contraction and expansion. Columns: period, mrr_at_start, mrr_lost, contraction,
    expansion, gross_retention = 1 - (lost + contraction) / start, net_retention, which adds the expansion; newcomers are in
    neither. No intervals: how much a customer expands has no law that a few months could show.
    """
    rows = revenue[revenue["mrr"] > 0]
    total, lost, less, more = (rows[c].to_numpy(float) for c in ("mrr", "mrr_lost", "contraction", "expansion"))
    return pd.DataFrame(
        {
            "period": [period_label(m, "month") for m in rows["month"]],
            "mrr_at_start": total,
            "mrr_lost": lost,
            "contraction": less,
            "expansion": more,
            "gross_retention": 1 - (lost + less) / total,
            "net_retention": 1 - (lost + less - more) / total,
        }
    )


def effective_interval(share: Floats, variance: Floats, equal: Floats, level: float) -> tuple[Floats, Floats]:
    """Exact limits (m,), (m,) of shares of sums, for so many customers as would give their variance if all were equal.

    share, variance (m,) of Σ w c / Σ w; equal (m,) = (Σ w)² / Σ w², the number of equal customers that weights w are worth.
    The variance is itself uncertain where few left, so no more customers than `equal` count. Source: Korn & Graubard 1998.
    """
    known = (share > 0) & (share < 1) & (variance > 0)
    worth = np.divide(share * (1 - share), variance, out=np.full_like(share, np.inf), where=known)
    of = np.minimum(worth, equal)
    return exact_interval(np.clip(share, 0.0, 1.0) * of, of, level)


@dataclass(frozen=True)
class RateTrend:
    """Does a rate rise or fall over k periods in order? Chi-squares, degrees of freedom, p; odds ratio per period.

    statistic, p: the Cochran-Armitage test with scores 1..k; homogeneity and its p: are all rates equal; departure and its
    p: what differs beside the trend. odds_ratio, ci_lower, ci_upper: a logistic line, its step from a period to the next.
    """

    periods: int
    statistic: float
    p: float
    homogeneity: float
    homogeneity_p: float
    departure: float
    departure_p: float
    odds_ratio: float
    ci_lower: float
    ci_upper: float

    def tidy(self) -> pd.DataFrame:
        """test (trend, equal rates, beside the trend), statistic, df, p, odds_ratio, ci_lower, ci_upper."""
        k, nan = self.periods, float("nan")
        rows = [
            ["trend", self.statistic, 1, self.p, self.odds_ratio, self.ci_lower, self.ci_upper],
            ["equal rates", self.homogeneity, k - 1, self.homogeneity_p, nan, nan, nan],
            ["beside the trend", self.departure, k - 2, self.departure_p, nan, nan, nan],
        ]
        return pd.DataFrame(rows, columns=["test", "statistic", "df", "p", "odds_ratio", "ci_lower", "ci_upper"])


def rate_trend(churned: NDArray[np.number], at_start: NDArray[np.number], level: float = 0.95) -> RateTrend:
    """Test whether churn rates rise or fall along periods in order. Raises ArgumentError for fewer than three periods.

    Who leaves in a period is no longer there in the next, so given who is there at each start the counts are binomial.
    Source: Cochran 1954, Armitage 1955; R's prop.trend.test, prop.test without correction, glm(binomial).
    """
    x, n = np.asarray(churned, np.float64), np.asarray(at_start, np.float64)
    if x.size < 3 or x.shape != n.shape:
        raise ArgumentError(f"a trend needs three periods or more; got {x.size}")
    k, nan = x.size, float("nan")
    pooled = x.sum() / n.sum()
    if not 0 < pooled < 1:
        return RateTrend(k, *([nan] * 9))
    scores = np.arange(1.0, k + 1)
    centred = scores - (n @ scores) / n.sum()
    spread = pooled * (1 - pooled)
    trend = float((centred @ x) ** 2 / (spread * (n @ centred**2)))
    overall = float(((x - n * pooled) ** 2 / (n * spread)).sum())
    beside = max(overall - trend, 0.0)
    slope, se = _logistic_slope(x, n, centred)
    half = normal_quantile(level) * se
    with np.errstate(over="ignore"):  # nobody churns but in the last period: the odds have no finite ratio
        odds = [float(np.exp(x)) for x in (slope, slope - half, slope + half)]
    return RateTrend(
        k, trend, float(chdtrc(1, trend)), overall, float(chdtrc(k - 1, overall)), beside, float(chdtrc(k - 2, beside)),
        *odds,
    )  # fmt: skip


def _logistic_slope(x: Floats, n: Floats, scores: Floats) -> tuple[float, float]:
    """Slope and standard error of logit(rate) on the scores, by Newton's method."""
    design = np.column_stack((np.ones_like(scores), scores))
    beta = np.array([np.log(x.sum() / (n.sum() - x.sum())), 0.0])
    information = np.eye(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ beta))
        information = design.T @ (design * (n * p * (1 - p))[:, None])
        step = np.linalg.solve(information, design.T @ (x - n * p))
        beta = beta + step
        if np.abs(step).max() < 1e-12:
            break
    return float(beta[1]), float(np.sqrt(np.linalg.inv(information)[1, 1]))


def against_bands(rate: float, low: float, high: float, per: str) -> pd.DataFrame:
    """A rate with its interval beside each band of its period: maturity, per, band_low, band_high, verdict.

    verdict: below, within or above, said of the whole interval; `not clear` when the interval crosses an edge of the band.
    """
    rows = []
    for band in BANDS:
        if band.per == per:
            rows.append([band.maturity, per, band.low, band.high, rate, low, high, _verdict(low, high, band)])
    columns = ["maturity", "per", "band_low", "band_high", "rate", "ci_lower", "ci_upper", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def _verdict(low: float, high: float, band: Band) -> str:
    if np.isnan(low) or np.isnan(high):
        return "not known"
    if high < band.low:
        return "below"
    if low > band.high:
        return "above"
    return "within" if band.low <= low and high <= band.high else "not clear"


def bands_compounded() -> pd.DataFrame:
    """What each band is over a month and over a year: maturity, per, low, high, monthly_low, monthly_high, annual_low, ...

    A monthly band compounded over 12 months, and a yearly band as a constant monthly rate: the two are not one statement.
    """
    rows = []
    for band in BANDS:
        months = MONTHS[band.per]
        monthly = [1 - (1 - x) ** (1 / months) for x in (band.low, band.high)]
        annual = [1 - (1 - x) ** (12 / months) for x in (band.low, band.high)]
        rows.append([band.maturity, band.per, band.low, band.high, *monthly, *annual])
    columns = ["maturity", "per", "low", "high", "monthly_low", "monthly_high", "annual_low", "annual_high"]
    return pd.DataFrame(rows, columns=columns)
