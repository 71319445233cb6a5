"""Revenue kept beside customers kept: two curves of the same customers, and their difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from survival.errors import ArgumentError
from survival.estimate.cohort_counts import CohortCounts
from survival.estimate.comparisons import step_values
from survival.estimate.curves import Curve, Curves
from survival.estimate.influence import (
    Changes,
    Rows,
    changes,
    counts_and_rows,
    fourth_moments,
    hazard_sums,
    moments,
    products,
    t_over_normal,
)
from survival.estimate.intervals import INTERVALS, Interval, normal_quantile, one_of
from survival.estimate.kaplan_meier import curves_of_counts
from survival.flows.table import Flows

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RevenueRetention:
    """Curves of customers and of their revenue, by group, and the variance of log retention of each pair's difference.

    pairs: for each group that has both, the two curves, the tenures where either changes (m,), the standard error (m,) of
    revenue retention minus customer retention there, and how much wider than a normal one its interval is (m,).
    """

    customers: Curves
    revenue: Curves
    pairs: tuple[tuple[Curve, Curve, Floats, Floats, Floats], ...]

    def tidy(self) -> pd.DataFrame:
        """weighting (customers, revenue), then the columns of `Curves.tidy`; at_risk, events ... of revenue are sums of it."""
        return pd.concat(
            [
                curves.tidy().assign(weighting=name).pipe(_first, "weighting")
                for name, curves in (("customers", self.customers), ("revenue", self.revenue))
            ],
            ignore_index=True,
        )

    def differences(self, tenures: ArrayLike) -> pd.DataFrame:
        """Revenue kept minus customers kept: by, tenure, customers, revenue, difference, se, ci_lower, ci_upper, z, p, level.

        Above 0: the customers who leave pay less than those who stay. The two curves are of the same customers, and the
        variance of their difference is too (infinitesimal jackknife, se). Where few customers pay most, that variance is
        itself uncertain: limits and p are wider than difference ± z se by the factors that `revenue_retention` names.
        """
        wanted = np.atleast_1d(np.asarray(tenures, np.float64))
        z = normal_quantile(self.customers.level)
        parts = []
        for customers, revenue, grid, spread, wider in self.pairs:
            kept, paid = step_values(customers, wanted)[0], step_values(revenue, wanted)[0]
            row = np.searchsorted(grid, wanted, side="right") - 1
            difference = paid - kept
            se = np.where(np.isfinite(difference), spread[row], np.nan)
            half = wider[row] * se
            with np.errstate(divide="ignore", invalid="ignore"):
                score = np.where(se > 0, difference / half, np.nan)
            parts.append(
                pd.DataFrame(
                    {
                        "by": [customers.risk.label] * wanted.size,
                        "tenure": wanted,
                        "customers": kept,
                        "revenue": paid,
                        "difference": difference,
                        "se": se,
                        "ci_lower": difference - z * half,
                        "ci_upper": difference + z * half,
                        "z": score,
                        "p": 2 * ndtr(-np.abs(score)),
                        "level": self.customers.level,
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)


def _first(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    return frame[[name, *(column for column in frame.columns if column != name)]]


def revenue_retention(
    frame: Any,
    revenue: str,
    stop: str = "stop",
    event: str = "event",
    start: str | None = None,
    by: str | Sequence[str] | None = None,
    customer: str | None = None,
    spell: str | None = None,
    level: float = 0.95,
    interval: Interval = "log-log",
    order: Sequence[Any] | None = None,
) -> RevenueRetention:
    """The share of revenue that has not left with its customer, beside the share of customers.

    `revenue` is a column of weights >= 0, such as mrr at signup; with `customer` it may change between episodes, and then it
    is the revenue at risk that counts: expansion is not retention. Customers without revenue count among customers only.
    Both variances add up by customer; se are those of R's survfit(robust = TRUE). Where a few customers pay most they are too
    small and uncertain, so intervals of revenue and of the difference are wider: each influence is divided by one minus the
    customer's share of the revenue that entered (the jackknife of leaving the customer out), and Student's quantile takes the
    place of the normal one, with the degrees of freedom of that sum of squares. Raises ArgumentError for flows, which hold no customers.
    """
    if isinstance(frame, Flows):
        raise ArgumentError("revenue retention adds up by customer, whom flows do not hold: give the frame of episodes")
    one_of(interval, INTERVALS, "interval")
    normal_quantile(level)
    made: list[tuple[Curves, dict[int, Rows]]] = []
    for weights in (None, revenue):
        sets, rows = counts_and_rows(
            frame, stop, event, start, by=by, weights=weights, customer=customer, spell=spell, order=order, robust=True
        )
        assert rows is not None  # robust
        made.append((curves_of_counts(sets, rows, frame, level, interval), rows))
    (customers, heads), (paying, sums) = made
    money = tuple(_wider(curve, sums[curve.risk.number], level) for curve in paying.curves)
    paying = replace(paying, curves=money)
    there = {curve.risk.number: curve for curve in money}
    pairs = [
        (curve, there[number], *_spread(curve, there[number], heads[number], sums[number], level))
        for curve in customers.curves
        if (number := curve.risk.number) in there
    ]
    return RevenueRetention(customers, paying, tuple(pairs))


def _left_out(rows: Rows, risk: CohortCounts) -> Rows:
    """The rows with weights divided by one minus their share: what leaving the customer out would change."""
    share = np.minimum(rows.weight / max(float(risk.entered.sum()), 1e-300), 0.5)
    return replace(rows, weight=rows.weight / (1 - share))


def _wider(curve: Curve, rows: Rows, level: float) -> Curve:
    """The revenue curve, with what its intervals are wider by (m,)."""
    part = [changes(_left_out(rows, curve.risk), curve.risk)]
    slope = np.column_stack([np.ones(curve.risk.time.size), hazard_sums(curve.risk)[0]])
    second, factor = _factor(part, curve.risk.time, slope, rows, level)
    with np.errstate(divide="ignore", invalid="ignore"):
        grown = np.where(curve.variance > 0, np.sqrt(second / curve.variance), 1.0)
    return replace(curve, wider=np.maximum(grown, 1.0) * factor)


def _factor(part: list[Changes], grid: Floats, slope: Floats, rows: Rows, level: float) -> tuple[Floats, Floats]:
    """Σ u² (m,) of u = slope·x, and Student's quantile over the normal one (m,)."""
    second = np.maximum(np.einsum("mi,mij,mj->m", slope, moments(part, grid), slope), 0.0)
    a = products(slope, double=True)
    fourth = np.einsum("mi,mij,mj->m", a, fourth_moments(part, grid), a)
    return second, t_over_normal(second, fourth, np.unique(rows.customer).size, level)


def _spread(customers: Curve, revenue: Curve, heads: Rows, sums: Rows, level: float) -> tuple[Floats, Floats, Floats]:
    """Tenures (m,), the standard error (m,) of the difference of the two retentions there, and what to widen it by (m,)."""
    grid = np.unique(np.concatenate((customers.risk.time, revenue.risk.time)))
    columns = []
    for sign, curve in ((1.0, revenue), (-1.0, customers)):
        kept = sign * step_values(curve, grid)[0]
        row = np.maximum(np.searchsorted(curve.risk.time, grid, side="right") - 1, 0)
        columns += [kept, kept * hazard_sums(curve.risk)[0][row]]
    slope = np.column_stack(columns)
    x = moments([changes(sums, revenue.risk), changes(heads, customers.risk)], grid)
    se = np.sqrt(np.maximum(np.einsum("mi,mij,mj->m", slope, x, slope), 0.0))
    outer = [
        changes(_left_out(sums, revenue.risk), revenue.risk),
        changes(_left_out(heads, customers.risk), customers.risk),
    ]
    second, factor = _factor(outer, grid, slope, heads, level)
    with np.errstate(divide="ignore", invalid="ignore"):
        grown = np.where(se > 0, np.sqrt(second) / se, 1.0)
    return grid, se, np.maximum(grown, 1.0) * factor
