"""Differences between coefficients of Cox models that were fitted to the same customers, who churn under several definitions."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from survival.errors import ArgumentError
from survival.estimate.cox_fit import CoxFit


def coefficient_differences(fit: CoxFit, other: CoxFit, level: float = 0.95) -> pd.DataFrame:
    """Coefficients of `fit` minus those of `other`, for the covariates that both have, as ratios of hazard ratios.

    The fits share customers, so their coefficients are dependent: the variance of a difference comes from the sums of both
    fits' dfbetas by customer (Wei, Lin & Weissfeld 1989, JASA 84:1065-1073); it is that of R's coxph on the two data sets
    stacked, `strata` and interactions by data set, `cluster` by customer. Columns covariate, difference, se, ratio, ci_lower,
    ci_upper, p; NaN where either is not estimable. Raises ArgumentError for fits without a customer column.
    """
    for one in (fit, other):
        if one.options.customer is None:
            raise ArgumentError("coefficient_differences needs fits with customer=..., to know whose episodes are whose")
    names = [name for name in fit.names if name in other.names]
    mine, theirs = _influence(fit, names), _influence(other, names)
    changes = mine.sub(theirs, fill_value=0.0)  # who is in one fit only counts in that one
    se = np.sqrt(np.square(changes.to_numpy(float)).sum(axis=0))
    at = [dict(zip(one.names, one.coefficients)) for one in (fit, other)]
    difference = np.array([at[0][name] - at[1][name] for name in names], dtype=float)
    half = stats.norm.ppf(0.5 + level / 2) * se
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        z = np.where(difference == 0, 0.0, difference / se)
        return pd.DataFrame(
            {
                "covariate": names, "difference": difference, "se": se, "ratio": np.exp(difference),
                "ci_lower": np.exp(difference - half), "ci_upper": np.exp(difference + half),
                "p": 2 * stats.norm.sf(np.abs(z)),
            }
        )  # fmt: skip


def _influence(fit: CoxFit, names: list[str]) -> pd.DataFrame:
    """dfbeta sums, a row a customer, NaN in what the fit could not estimate."""
    frame = fit.residuals("dfbeta", by="customer").set_index("customer")
    return frame.reindex(columns=names)
