"""Terms of a fit as a whole: Wald tests of all their levels, of equal coefficients, and variance inflation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from survival.errors import ArgumentError
from survival.estimate.cox_fit import CoxFit
from survival.estimate.hypotheses import wald_test


def terms_are_zero(fit: CoxFit) -> pd.DataFrame:
    """All coefficients of a term together: term, statistic, df, p, from the variance that the fit's inference uses.

    Coefficients that could not be estimated are left out of their term. As car::Anova(fit, test.statistic = "Wald").
    """
    rows = [[term, *_joint(fit, _estimated(fit, columns), equal=False)] for term, columns in fit.terms.items()]
    return pd.DataFrame(rows, columns=["term", "statistic", "df", "p"])


def inflation(fit: CoxFit) -> pd.DataFrame:
    """How much the other terms inflate a term's variance: term, df, gvif, and gvif_per_df = gvif^(1 / (2 df)).

    Generalised variance inflation (Fox & Monette 1992), from the correlations of the coefficients under the model-based variance,
    as car::vif of a coxph fit. gvif_per_df of 1 df is the factor by which the standard error grows: its square is the usual VIF.
    """
    known = list(fit.estimated)
    variance = fit.model_variance[np.ix_(known, known)]
    unit = np.sqrt(np.diag(variance))
    correlation = variance / np.outer(unit, unit)
    whole = np.linalg.det(correlation)
    rows = []
    for term, columns in fit.terms.items():
        mine = [known.index(j) for j in _estimated(fit, columns)]
        others = [i for i in range(len(known)) if i not in mine]
        parts = [float(np.linalg.det(correlation[np.ix_(i, i)])) if i else 1.0 for i in (mine, others)]
        gvif = parts[0] * parts[1] / whole if mine and whole > 0 else float("nan")
        rows.append([term, len(mine), gvif, gvif ** (1 / (2 * len(mine))) if mine else float("nan")])
    return pd.DataFrame(rows, columns=["term", "df", "gvif", "gvif_per_df"])


def coefficients_are_equal(fit: CoxFit, names: Sequence[str]) -> tuple[float, int, float]:
    """Statistic, df and p of the test that these coefficients are all the same; those not estimable are left out (NaN below two).

    Raises ArgumentError for a name that is no coefficient.
    """
    strange = [name for name in names if name not in fit.names]
    if strange:
        raise ArgumentError(f"'{strange[0]}' is no coefficient of the model; it has {', '.join(fit.names)}")
    return _joint(fit, _estimated(fit, [fit.names.index(name) for name in names]), equal=True)


def _estimated(fit: CoxFit, columns: Sequence[int]) -> list[int]:
    return [j for j in columns if j in fit.estimated]


def _joint(fit: CoxFit, places: Sequence[int], *, equal: bool) -> tuple[float, int, float]:
    """The test that the coefficients at `places` are 0, or with `equal` that each is the first."""
    tested = places[1:] if equal else places
    if not tested:
        return float("nan"), 0, float("nan")
    matrix = np.zeros((len(tested), len(fit.names)))
    matrix[np.arange(len(tested)), list(tested)] = 1.0
    if equal:
        matrix[:, places[0]] = -1.0
    found = wald_test(fit, matrix)
    return found.statistic, found.df, found.p
