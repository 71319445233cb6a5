"""The cluster-robust variance of a fit from flows, from its episodes in one pass and bounded memory.

Flows are sums over customers, so that they cannot say how much each customer weighs in the fit. The episodes can, a batch at a
time: the sums over risk sets are those of the fit, an episode adds its score residual to its customer's, and a customer's sum is
squared when the next one begins.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from survival.errors import ArgumentError
from survival.estimate.concordance import Standing, linear_predictor
from survival.estimate.design import Coding, formula_variables
from survival.estimate.newton import invert
from survival.estimate.residuals import score_terms
from survival.estimate.risk_sets import Floats, Ints
from survival.estimate.slot_index import SlotIndex
from survival.flows.columns import complete, numbers, read_columns
from survival.flows.frames import TIMEFIX, arrays_of

if TYPE_CHECKING:
    from survival.estimate.cox_fit import CoxFit

_AWAY = 1e-6  # by how many standard errors, or what share, the episodes' totals may miss those of the fit: rounding


@dataclass(frozen=True)
class Columns:
    """Names of the columns of the episodes."""

    start: str | None
    stop: str
    event: str
    customer: str
    cluster: str | None
    weights: str | None

    @property
    def unit(self) -> str:
        """Whose rows add up."""
        return self.cluster or self.customer


def robust_from(fit: CoxFit, batches: Iterable[Any], columns: Columns) -> CoxFit:
    """See `CoxFit.robust_from`."""
    _refuse_kinds(fit)
    stream = _Stream(fit, columns)
    for batch in batches:
        stream.add(pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch)
    stream.check()
    p = fit.inner[0].size
    meat = stream.finished()
    variance = fit._model_inner() @ meat[:p, :p] @ fit._model_inner()
    beta, _, centre, scale = fit.inner
    index = np.ix_(fit.estimated, fit.estimated)
    outer = np.full_like(fit.model_variance, np.nan)
    outer[index] = variance / np.outer(scale, scale)
    robust = replace(
        fit,
        options=replace(
            fit.options,
            robust=True,
            start=columns.start,
            stop=columns.stop,
            event=columns.event,
            customer=columns.customer,
            cluster=columns.cluster,
            weights=columns.weights,
        ),
        variance=outer,
        wald_statistic=float(beta @ invert(variance) @ beta),
        inner=(beta, variance, centre, scale),
    )
    robust.__dict__["concordance"] = stream.standing.concordance.with_error(float(meat[p, p]))
    return robust


def _refuse_kinds(fit: CoxFit) -> None:
    options = fit.options
    if options.ties == "exact" or options.time_varying or options.penalised:
        raise ArgumentError(
            "robust_from is for fits with efron or breslow ties, without time_varying and without a penalizer"
        )


class _Stream:
    """Sums by cluster of all episodes so far: of the score residuals, and last of the influence on the concordance."""

    def __init__(self, fit: CoxFit, columns: Columns) -> None:
        self.fit, self.columns = fit, columns
        self.data, self.at = fit._held("robust_from")
        sets = self.data.sets
        live = sets.event_slots
        strata = len(self.data.strata)
        self.index = SlotIndex(sets.slot_time[live], sets.slot_stratum[live].astype(np.intp), strata)
        self.times = None if self.data.flows is None else np.unique(self.data.flows.time)
        self.terms = score_terms(sets, self.at)
        linear = linear_predictor(self.data.x, fit.inner[0], self.data.offset)
        self.standing = Standing(sets, linear, float(np.abs(fit.inner[0]).sum()))
        p = fit.inner[0].size + 1
        self.meat, self.total, self.open = np.zeros((p, p)), np.zeros(p), np.zeros(p)
        self.who: Any = None
        self.events = self.person_time = 0.0
        self.clusters = 0

    def add(self, batch: Any) -> None:
        """One batch; the rows of a cluster follow each other, within batches and from one to the next."""
        fit, names = self.fit, self.columns
        wanted = [names.stop, names.event, names.start, names.weights, names.unit, fit.options.offset]
        table = read_columns(batch, [*wanted, *formula_variables(fit.options.formula), *fit.options.strata])
        if not len(table):
            return
        held = arrays_of(table, names.stop, names.event, names.start, weights=names.weights)
        stratum = self._stratum(table)
        between = self.index.between(self._known(held.start), self._known(held.stop), stratum)
        happened = held.event & (held.weight > 0)
        slot = np.where(happened, between[:, 1] - 1, -1).astype(np.int32)
        x = self._inner(table)
        offset = self._offset(table)
        risk = np.exp(x @ self.at.beta + offset - self.at.shift)
        influence = held.weight * self.standing.influence(linear_predictor(x, fit.inner[0], offset), between, slot)
        who = complete(table, names.unit, "cluster").to_numpy()
        starts = np.flatnonzero(np.concatenate(([True], who[1:] != who[:-1], [True])))
        sums = np.column_stack(
            (self.terms.summed(between, x, risk, held.weight, slot, starts), np.add.reduceat(influence, starts[:-1]))
        )
        self.total += sums.sum(axis=0)
        self.events += float(np.count_nonzero(happened))
        self.person_time += held.person_days
        if self.who is not None and who[0] == self.who:
            sums[0] += self.open
        else:
            self._close()
        self.meat += sums[:-1].T @ sums[:-1]
        self.clusters += len(sums) - 1
        self.open, self.who = sums[-1], who[-1]

    def _close(self) -> None:
        if self.who is not None:
            self.meat += np.outer(self.open, self.open)
            self.clusters += 1
        self.open, self.who = np.zeros_like(self.open), None

    def finished(self) -> Floats:
        """(p + 1, p + 1) sum over clusters of the outer products of their sums."""
        self._close()
        return self.meat

    def check(self) -> None:
        """Refuse episodes that are not those of the fit, and clusters in pieces."""
        self._close()
        error = np.sqrt(np.diag(self.fit._model_inner()))
        away = np.abs(self.total[:-1] - self.at.score) * error
        if (
            self.events != self.fit.events
            or abs(self.person_time - self.fit.person_time) > _AWAY * self.fit.person_time
            or (away > _AWAY).any()
        ):
            raise ArgumentError(
                f"robust_from: these are not the episodes of the fit: {self.events:,.0f} events and {self.person_time:,.0f} days "
                f"at risk, the fit has {self.fit.events:,} and {self.fit.person_time:,.0f}; score residuals are off by "
                f"{away.max():.2g} standard errors. Pass every batch, once, with the covariates of the fit"
            )
        if self.columns.cluster is None and self.clusters > self.fit.customers:
            raise ArgumentError(
                f"robust_from: {self.clusters:,} runs of '{self.columns.unit}', but the fit has {self.fit.customers:,} "
                "customers: the rows of a customer must follow each other, from one batch to the next too"
            )

    def _known(self, time: Floats) -> Floats:
        """Times that are, up to rounding, times of the flows."""
        times = self.times
        if times is None or (time == np.rint(time)).all():
            return time
        place = np.clip(np.searchsorted(times, time), 1, times.size - 1)
        nearest = np.where(time - times[place - 1] <= times[place] - time, times[place - 1], times[place])
        close = np.abs(nearest - time) <= TIMEFIX * np.maximum(1.0, np.abs(times).mean())
        return np.where(close, nearest, time)

    def _inner(self, table: pd.DataFrame) -> Floats:
        """(m, q) inner covariates."""
        fit = self.fit
        assert isinstance(fit.coding, Coding)  # tenure's is refused
        columns = [fit.columns[j] for j in fit.estimated]
        return (fit.coding.encode(table)[:, columns] - fit.inner[2]) * (
            1.0 / fit.inner[3]
        )  # as `standardised` has them, bit by bit

    def _offset(self, table: pd.DataFrame) -> Floats | float:
        name = self.fit.options.offset
        return 0.0 if name is None else numbers(table, name, "offset") - self.fit.offset_centre

    def _stratum(self, table: pd.DataFrame) -> Ints | None:
        """(m,) codes, None without strata; ArgumentError for one that was not fitted."""
        strata = list(self.fit.options.strata)
        if not strata:
            return None
        known, here = (pd.MultiIndex.from_frame(frame[strata]) for frame in (self.fit.stratum_values, table))
        code: NDArray[np.intp] = known.get_indexer(here)
        if (code < 0).any():
            strange = sorted({", ".join(map(str, row)) for row in here[code < 0].unique()})
            raise ArgumentError(f"strata that were not fitted: {'; '.join(strange[:5])}")
        return code
