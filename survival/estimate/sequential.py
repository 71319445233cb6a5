"""The terms of one fit, added one after the other: what each adds to the likelihood given those before it.

Source: R's survival::anova.coxph(fit), which also refuses robust fits. (R fits the smaller models of a weighted fit without the
weights; here they have them.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from survival.errors import ArgumentError
from survival.estimate.blas_threads import one_blas_thread
from survival.estimate.cox_objective import objective_of
from survival.estimate.newton import maximise

if TYPE_CHECKING:
    from survival.estimate.cox_fit import CoxFit


def anova(fit: CoxFit) -> pd.DataFrame:
    """See `CoxFit.anova`."""
    _refuse(fit)
    data, _ = fit._held("anova")
    place = {column: i for i, column in enumerate(fit.estimated)}
    columns = [[place[j] for j in mine if j in place] for mine in fit.terms.values()]
    value, kept, beta = [fit.log_likelihood_null], list[int](), np.zeros(0)
    with one_blas_thread():
        for added in columns:
            kept += added
            if len(kept) == len(place):
                value.append(fit.log_likelihood)
                continue
            if added:
                part = data.columns(kept)
                objective = objective_of(part, fit.options)
                # From the maximum without the new columns: there is one, since the whole model has one.
                at = objective.evaluate(np.concatenate((beta, np.zeros(len(added)))))
                assert at is not None
                events = float(data.sets.deaths.sum())
                found = maximise(
                    objective.evaluate, objective.information, at, objective.information(at), events=events
                )
                beta, latest = found.beta, found.at.log_likelihood
            value.append(latest if kept else value[0])
    df = np.array([np.nan, *map(len, columns)])
    statistic = np.concatenate(([np.nan], 2 * np.diff(value)))
    p = np.where(df > 0, stats.chi2.sf(statistic, np.where(df > 0, df, 1.0)), np.nan)
    return pd.DataFrame(
        {"term": ["NULL", *fit.terms], "log_likelihood": value, "statistic": statistic, "df": df, "p": p}
    )


def _refuse(fit: CoxFit) -> None:
    options = fit.options
    if options.robust:
        raise ArgumentError(
            "anova: likelihood-ratio tests take rows as independent, and this fit has the robust variance. Test a term by "
            f"fit.hypothesis('{next(iter(fit.terms), 'term')}'), which uses it; or, if rows are independent given their "
            "covariates (one spell a customer), fit with robust=False"
        )
    if options.penalised or options.firth:
        kind = (
            "Firth's penalty: see profile_intervals() for its likelihood-ratio tests"
            if options.firth
            else "a penalizer"
        )
        raise ArgumentError(f"anova: models of different size are not comparable under {kind}")
