"""The partial likelihood of one flag or factor, from how many of each level are at risk and have the event at each slot.

Its risks take as many values as it has levels, so every sum over a risk set is a sum over levels: after one pass over the rows, at
beta = 0 and for all columns together, a model of one flag or factor costs event times x levels, whatever the number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from survival.estimate.cox_data import CoxData
from survival.estimate.objectives import CoxPoint, Partial, PartialPoint
from survival.estimate.parallel import over_rows
from survival.estimate.partial_likelihood import Likelihood, RiskSums, from_sums, less_between, sum_over_events
from survival.estimate.risk_sets import Floats, RiskSets

_BLOCK = 8192
_ROUNDING = 1e-12  # of the largest mass at risk


class Levels(Partial):
    """The partial likelihood of q columns with two values each, of which at most one has its larger value in a row.

    x (n, q); low, high (q,) the two values; null: the likelihood of these columns at beta = 0. `risk` of the points is that of the
    levels: `complete` gives the rows theirs.
    """

    def __init__(self, sets: RiskSets, x: Floats, offset: Floats | None, low: Floats, high: Floats, null: Likelihood):
        self.sets, self.x, self.offset, self.null = sets, x, offset, null
        self._total = sum_over_events(sets, x)
        self._constant = float(sets.event_weight @ offset[sets.event_row]) if offset is not None else 0.0
        self.values = np.vstack([low, low + np.diag(high - low)])  # (1 + q, q): nobody's level first
        count = sets.unit and offset is None
        self.at_risk = _by_level(null.sums.s0, null.sums.s1, low, high, count)
        self.tied = _by_level(null.sums.e0, null.sums.e1, low, high, count)

    def evaluate(self, beta: Floats) -> PartialPoint | None:
        """At `beta`."""
        predictor = self.values @ beta
        shift = float(predictor.max())
        risk = np.exp(predictor - shift)
        weighted = risk[:, None] * self.values
        sums = RiskSums(self.at_risk @ risk, self.at_risk @ weighted, self.tied @ risk, self.tied @ weighted)
        at = from_sums(self.sets, self._total, beta, risk, self.null.shift + shift, sums, self._constant)
        return None if at is None else PartialPoint(at)

    def information(self, at: CoxPoint) -> Floats:
        """(q, q)."""
        held, m = at.likelihood, at.likelihood.moments
        mass = held.risk * (m.d1 @ self.at_risk - m.d1c @ self.tied)
        return less_between(self.values.T @ (mass[:, None] * self.values), held, np.ones(self.sets.slots))

    def complete(self, at: CoxPoint) -> PartialPoint:
        """The same point with the risk (n,) of each row."""
        held = at.likelihood
        risk = np.empty(len(self.x))

        def fill(rows: slice) -> None:
            predictor = np.multiply(self.x[rows, 0], held.beta[0], out=risk[rows])
            for j in range(1, held.beta.size):  # a product with few columns is slow
                predictor += held.beta[j] * self.x[rows, j]
            predictor -= held.shift - self.null.shift
            np.exp(predictor, out=predictor)
            risk[rows] *= self.null.risk[rows]

        over_rows(fill, len(risk))
        return PartialPoint(replace(held, risk=risk))


def _by_level(whole: Floats, sums: Floats, low: Floats, high: Floats, count: bool) -> Floats:
    """(K, 1 + q) mass of each level, from that of all (K,) and the sums of the columns (K, q); count: they are whole numbers.

    What the subtraction leaves of a level that nobody has is 0: a coefficient that runs away would magnify it.
    """
    upper = (sums - whole[:, None] * low) / (high - low)
    levels = np.column_stack((whole - upper.sum(axis=1), upper))
    if count:
        return np.rint(levels)
    levels[np.abs(levels) <= _ROUNDING * np.abs(whole).max(initial=0.0)] = 0.0
    return levels


def factors(data: CoxData) -> frozenset[int]:
    """The columns of the terms of which each column has two values only, and no row has two high ones."""
    high = data.range()[1]
    found: set[int] = set()
    for columns in data.coding.terms.values():
        term = list(columns)
        if data.two_valued[term].all() and (len(term) == 1 or _exclude_each_other(data.x, high, term)):
            found.update(term)
    return frozenset(found)


def _exclude_each_other(x: Floats, high: Floats, columns: Sequence[int]) -> bool:
    """Whether no row of x (n, p) has the high value in two of the columns."""

    def alone(part: slice) -> bool:
        for i in range(part.start, part.stop, _BLOCK):
            block = x[i : min(i + _BLOCK, part.stop)]
            upper = np.zeros(len(block), np.int8)
            for j in columns:
                upper += block[:, j] > high[j] / 2  # the low value is below 0
            if upper.max() > 1:
                return False
        return True

    return all(over_rows(alone, len(x), _BLOCK))
