"""Differences between two estimates that may share customers, from each customer's influence on either.

Where some customers are in both samples, the estimates go together and the variance of their difference is not the sum of
two variances. It is the sum over customers of the squared difference of their influences: for who is in one sample only,
what the sum of variances has; for who is in both, what is left after both influences have been taken together (Wei, Lin &
Weissfeld 1989, JASA 84:1065-1073; R's `coxph` on stacked data with `cluster`). Without shared customers it is the usual
robust variance of independent samples.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


def retention_by_customer(
    entry: Floats, exit_: Floats, churned: NDArray[np.bool_], customer: pd.Series, at: Floats
) -> tuple[Floats, pd.DataFrame]:
    """Kaplan-Meier retention at the tenures `at` (k,), and each customer's influence on it (a row a customer, k columns).

    `entry`, `exit_` (n,) tenures with entry < exit, `churned` (n,) whether the spell ended in churn at `exit_`, `customer`
    (n,) whose it is. NaN beyond the last tenure at which somebody was at risk. The squared influences of one sample add
    up to the variance of the infinitesimal jackknife (R's survfit(robust = TRUE)); with one spell each from 0, Greenwood's.
    """
    time, events, at_risk = _risk(entry, exit_, churned)
    left = at_risk - events
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.where(left > 0, events / (at_risk * left), 0.0)
        own = np.where(left > 0, 1 / left, 0.0)
    total = np.cumsum(steps)
    kept: Floats = np.cumprod(left / at_risk, dtype=np.float64)
    value = np.where(at <= exit_.max(initial=0.0), _step(kept, time, at, 1.0), np.nan)
    until = np.minimum(exit_[:, None], at[None, :])
    gone = churned[:, None] & (exit_[:, None] <= at[None, :])
    on_log = _step(total, time, until, 0.0) - _step(total, time, np.minimum(entry[:, None], at[None, :]), 0.0)
    on_log -= gone * _step(own, time, exit_, 0.0)[:, None]
    frame = pd.DataFrame(on_log * value[None, :], index=pd.Index(customer, name="customer"), columns=list(at))
    return value, frame.groupby(level=0, sort=True).sum()


def _risk(entry: Floats, exit_: Floats, churned: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Event times, churns there, and those at risk: entered before, not gone before."""
    time, events = np.unique(exit_[churned], return_counts=True)
    entered = np.searchsorted(np.sort(entry), time, side="left")
    gone = np.searchsorted(np.sort(exit_), time, side="left")
    return time, events.astype(float), (entered - gone).astype(float)


def _step(values: Floats, time: Floats, wanted: Floats, before: float) -> Floats:
    """A step function given at `time`, at `wanted`."""
    return np.concatenate(([before], values))[np.searchsorted(time, wanted, side="right")]


def difference(
    before: Floats, after: Floats, of_before: pd.DataFrame, of_after: pd.DataFrame, level: float = 0.95
) -> pd.DataFrame:
    """after - before (k,) with its standard error, interval and p, from the influences: a row a customer, k columns.

    Columns difference, se, ci_lower, ci_upper, p. Without any difference in any customer, the standard error is 0 and p is 1.
    """
    columns = range(len(before))
    mine, theirs = of_before.set_axis(columns, axis=1), of_after.set_axis(columns, axis=1)
    unlike = theirs.sub(mine, fill_value=0.0).to_numpy(float)
    change, se = after - before, np.sqrt(np.square(unlike).sum(axis=0))
    half = stats.norm.ppf(0.5 + level / 2) * se
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(change == 0, 1.0, 2 * stats.norm.sf(np.abs(change / se)))
    p = np.where(np.isnan(change), np.nan, p)
    return pd.DataFrame({"difference": change, "se": se, "ci_lower": change - half, "ci_upper": change + half, "p": p})
