"""Differences between coefficients of Cox models that were fitted to the same customers, who churn under several definitions."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from survival.errors import ArgumentError
from survival.estimate.cox_fit import CoxFit


def coefficient_differences(
    fit: CoxFit, other: CoxFit, level: float = 0.95, *, influence: tuple[pd.DataFrame, pd.DataFrame] | None = None
) -> pd.DataFrame:
    """Coefficients of `fit` minus those of `other`, for the covariates that both have, as ratios of hazard ratios.

    The fits share customers, so their coefficients are dependent: the variance of a difference comes from the sums of both
    fits' dfbetas by customer (Wei, Lin & Weissfeld 1989, JASA 84:1065-1073); it is that of R's coxph on the two data sets
    stacked, `strata` and interactions by data set, `cluster` by customer. Columns covariate, difference, se, ratio, ci_lower,
    ci_upper, p; NaN where either is not estimable. `influence`: what `customer_influence` gave for each, where it
    is needed for several pairs. Raises ArgumentError for fits without a customer column.
    """
    for one in (fit, other):
        if one.options.customer is None:
            raise ArgumentError(
                "coefficient_differences needs fits with customer=..., to know whose episodes are whose"
            )
    names = [name for name in fit.names if name in other.names]
    made = influence or (customer_influence(fit), customer_influence(other))
    mine, theirs = (one.reindex(columns=names) for one in made)  # NaN in what a fit could not estimate
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


def customer_influence(fit: CoxFit) -> pd.DataFrame:
    """Sums of the dfbetas, a row a customer (the index), a column a covariate that was estimated."""
    return fit.residuals("dfbeta", by="customer").set_index("customer")
