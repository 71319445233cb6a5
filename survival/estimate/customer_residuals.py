"""What a Cox fit says of each customer: churns expected and seen, and by how much they move the coefficients.

Martingale and deviance residuals, and dfbeta, summed over a customer's episodes: R's residuals(fit, collapse = id). Arrays are as
long as there are episodes or customers; nothing of episodes x covariates is made. Source: Therneau & Grambsch (2000), chapters 4 and 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from survival.errors import ArgumentError
from survival.estimate import residuals as kernels
from survival.estimate.cox_data import CoxData
from survival.estimate.cox_fit import CoxFit
from survival.estimate.partial_likelihood import Likelihood
from survival.estimate.risk_sets import Floats, Ints


@dataclass(frozen=True, eq=False)
class Influence:
    """By how much each of u customers moves the q estimated coefficients.

    names (q,) of the covariates; customer (u,) who; dfbeta (u, q) about coefficient with minus without the customer, first order;
    standard_error (q,) that of the fit's intervals.
    """

    names: tuple[str, ...]
    customer: Any
    dfbeta: Floats
    standard_error: Floats

    @property
    def in_errors(self) -> Floats:
        """(u, q) dfbeta in standard errors. Of a robust fit the squares of a column add up to 1: shares of its variance."""
        return self.dfbeta / self.standard_error

    def without(self) -> Floats:
        """(u, q) by what the hazard ratio would be multiplied without the customer."""
        return np.exp(-self.dfbeta)


def held(fit: CoxFit, what: str) -> tuple[CoxData, Likelihood]:
    """The data of a fit to episodes. Raises ArgumentError for flows, a saved fit, exact ties."""
    data, at = fit._held("residuals")
    if data.episodes is None:
        raise ArgumentError(f"{what} is of episodes: fit the frame of episodes, not its flows")
    return data, at


def expected_churns(fit: CoxFit) -> tuple[Floats, Floats]:
    """(n,) churns seen in each episode and (n,) expected under the fit: their difference is the martingale residual."""
    data, at = held(fit, "the number of expected churns")
    assert data.episodes is not None
    events = data.episodes.event.astype(np.float64)
    return events, events - kernels.martingale(data.sets, at)


def customer_residuals(fit: CoxFit) -> pd.DataFrame:
    """A row a customer: customer, entered and left (days of tenure), churned, expected (churns), martingale, deviance.

    churned counts churns; expected is the customer's cumulative hazard. Raises ArgumentError for a fit from flows.
    """
    data, _ = held(fit, "the residuals of customers")
    events, expected = expected_churns(fit)
    assert data.episodes is not None
    assert data.unit is not None
    order, starts = kernels.rows_by_unit(data.unit)
    first, begins = (starts[:-1] if order is None else order[starts[:-1]]), starts[:-1]

    def reduced(add: np.ufunc, values: Floats) -> Floats:
        return np.asarray(add.reduceat(values if order is None else values[order], begins))

    churned, total = reduced(np.add, events), reduced(np.add, expected)
    return pd.DataFrame(
        {
            "customer": _who(data, first),
            "entered": reduced(np.minimum, data.episodes.start),
            "left": reduced(np.maximum, data.episodes.stop),
            "churned": churned,
            "expected": total,
            "martingale": churned - total,
            "deviance": kernels.deviance(churned - total, churned),
        }
    )


def customer_influence(fit: CoxFit) -> Influence:
    """dfbeta of every customer. Raises ArgumentError for a fit from flows."""
    data, at = held(fit, "influence")
    assert data.episodes is not None
    assert data.unit is not None
    first, scores = kernels.unit_scores(data.sets, data.x, at, data.episodes.weight, data.unit)
    known = list(fit.estimated)
    place, scale = np.ix_(known, known), fit.inner[3]
    scores @= fit.model_variance[place] * scale[:, None]  # scores are of the scaled columns
    names = tuple(fit.names[j] for j in known)
    return Influence(names, _who(data, first), scores, np.sqrt(np.diag(fit.variance)[known]))


def _who(data: CoxData, rows: Ints) -> Any:
    labels = data.unit_labels
    return data.unit[rows] if labels is None and data.unit is not None else np.asarray(labels)[rows]
