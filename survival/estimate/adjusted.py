"""Adjusted (standardised) retention curves: what the curves of groups would be if the groups had the same customers.

Sources: Makuch 1982 (direct standardisation); Therneau, Crowson & Atkinson, "Adjusted survival curves" (2015, a vignette of R's
survival), whose names the methods have in survminer's ggadjustedcurves. What each of them answers: docs/estimates.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import ndtr

from survival.errors import ArgumentError
from survival.estimate.adjusted_influence import RobustVariance, dfbeta_by_unit
from survival.estimate.adjusted_means import Mixture, ModelVariance, Steps, Uncertainty, means
from survival.estimate.adjusted_population import (
    Groups,
    Population,
    borrowed_levels,
    groups_of,
    held_variables,
    inner_rows,
    reference_population,
)
from survival.estimate.adjusted_weights import balancing_weights
from survival.estimate.adjustments import adjusted
from survival.estimate.comparisons import Comparisons, different_entry, step_values
from survival.estimate.curves import Curves
from survival.estimate.design import formula_variables, term_variables
from survival.estimate.intervals import INTERVALS, Interval, normal_quantile, one_of, retention_interval
from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.risk_sets import Floats
from survival.estimate.tenure_effects import TenureCoding
from survival.findings import Finding

if TYPE_CHECKING:
    from survival.estimate.cox_fit import CoxFit

Method = Literal["conditional", "average", "marginal"]
METHODS: tuple[str, ...] = ("conditional", "average", "marginal")
HOLD: tuple[str, ...] = ("entry",)
_CELLS = 4_000_000  # tenures x groups², or strata², alive at a time


class Source(Protocol):
    """What curves are read off."""

    def at(self, tenures: Floats) -> tuple[Floats, Floats]:
        """(G, T) retention, NaN where it is not known, and (T, G, G) its covariance."""
        ...


@dataclass(frozen=True, eq=False)
class _Predicted:
    steps: Steps
    beta: Floats
    uncertainty: Uncertainty
    mixtures: tuple[Mixture, ...]

    def at(self, tenures: Floats) -> tuple[Floats, Floats]:
        return means(self.steps, self.beta, self.uncertainty, self.mixtures, tenures)


@dataclass(frozen=True, eq=False)
class _Weighted:
    curves: Curves

    def at(self, tenures: Floats) -> tuple[Floats, Floats]:
        values = [step_values(curve, tenures) for curve in self.curves.curves]
        retention = np.array([value for value, _ in values])
        covariance = np.zeros((tenures.size, len(values), len(values)))
        for k, (value, of_log) in enumerate(values):
            covariance[:, k, k] = np.where(value > 0, value**2 * of_log, np.nan)
        return retention, covariance


@dataclass(frozen=True, eq=False)
class AdjustedCurves:
    """Adjusted curves of G groups beside their crude ones.

    crude: the Kaplan-Meier curves of the same customers. begin, end (G,): tenures between which each adjusted curve is known; it
    starts at 1 at `begin`. covariates: what is adjusted for. standardised_to: to whom, in words. variance: `model`, `robust`
    (coefficients and baseline by customer), or `robust coefficients` (where the fit does not hold its episodes).
    """

    by: str
    method: str
    crude: Curves
    begin: Floats
    end: Floats
    tenures: Floats
    covariates: tuple[str, ...]
    standardised_to: str
    variance: str
    level: float
    interval: Interval
    findings: tuple[Finding, ...]
    source: Source
    asked: bool = False

    @property
    def groups(self) -> list[Any]:
        """Labels of the groups, in their order."""
        return self.crude.groups

    def tidy(self) -> pd.DataFrame:
        """A row for each group and tenure: by, tenure, at_risk, retention, se, ci_lower, ci_upper.

        Tenures: those asked for, else each group's start and the event times that it was observed at. at_risk: the group's own
        customers, entry < tenure <= exit. se is of retention; no interval where the curve is 1.
        """
        table = self.at(self.tenures)
        if self.asked:
            return table
        group = np.repeat(np.arange(len(self.groups)), self.tenures.size)
        tenure = table["tenure"].to_numpy(float)
        return table[(tenure >= self.begin[group]) & (tenure <= self.end[group])].reset_index(drop=True)

    def at(self, tenures: ArrayLike) -> pd.DataFrame:
        """The same at fixed tenures; NaN where a group was not observed."""
        wanted = _days(tenures)
        retention, se = np.empty((2, len(self.groups), wanted.size))
        for part, value, covariance in self._blocks(wanted):
            retention[:, part] = value
            se[:, part] = np.sqrt(np.maximum(np.einsum("tgg->gt", covariance), 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            of_log = np.where(retention > 0, (se / retention) ** 2, np.inf)
        low, high = retention_interval(retention.ravel(), of_log.ravel(), self.level, self.interval)
        return self.crude.at(wanted)[["by", "tenure", "at_risk"]].assign(
            retention=retention.ravel(), se=se.ravel(), ci_lower=low, ci_upper=high
        )

    def differences(self, tenures: ArrayLike, adjust: str = "holm") -> Comparisons:
        """Adjusted retention of every two groups at fixed tenures, the later minus the earlier in the order of the groups.

        .tidy(): as that of `Curves.differences`. Limits are difference ± z se, with the covariance of the two curves, which share
        coefficients. Groups first observed at different tenures are not compared (NaN, with a finding).
        """
        wanted = _days(tenures)
        pairs = list(combinations(range(len(self.groups)), 2))
        if not pairs:
            raise ArgumentError("differences compare groups: there is only one curve")
        retention, covariance = (
            np.empty((len(self.groups), wanted.size)),
            np.empty((wanted.size, *2 * (len(self.groups),))),
        )
        for part, value, some in self._blocks(wanted):
            retention[:, part], covariance[part] = value, some
        parts = [self._pair(a, b, wanted, retention, covariance) for a, b in pairs]
        table = pd.concat(parts, ignore_index=True)
        table["p_adjusted"] = adjusted(table["p"].to_numpy(float), adjust)
        table["level"] = self.level
        return Comparisons(table, different_entry(self.begin.tolist()))

    def _pair(self, a: int, b: int, tenures: Floats, retention: Floats, covariance: Floats) -> pd.DataFrame:
        known = np.where(self.begin[a] == self.begin[b], 1.0, np.nan)
        at_a, at_b = retention[a] * known, retention[b] * known
        spread = covariance[:, a, a] + covariance[:, b, b] - 2 * covariance[:, a, b]
        se, difference, wide = np.sqrt(np.maximum(spread, 0.0)) * known, at_b - at_a, normal_quantile(self.level)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(se > 0, difference / se, np.nan)
        labels = [[self.groups[k]] * tenures.size for k in (a, b)]
        return pd.DataFrame(
            {
                "tenure": tenures, "cohort_a": labels[0], "cohort_b": labels[1], "retention_a": at_a, "retention_b": at_b,
                "difference": difference, "se": se, "ci_lower": difference - wide * se, "ci_upper": difference + wide * se,
                "z": z, "p": 2 * ndtr(-np.abs(z)),
            }
        )  # fmt: skip

    def _blocks(self, tenures: Floats) -> Any:
        """Slices of the tenures with their retention (G, t) and covariance (t, G, G)."""
        wide = max(len(self.groups), self.source.steps.strata if isinstance(self.source, _Predicted) else 1)
        step = max(1, _CELLS // wide**2)
        for low in range(0, tenures.size, step):
            part = slice(low, low + step)
            yield part, *self.source.at(tenures[part])

    def __repr__(self) -> str:
        return (
            f"AdjustedCurves({self.method}, by {self.by}: {', '.join(map(str, self.groups))}; adjusted for "
            f"{', '.join(self.covariates) or 'nothing'}; {self.standardised_to}; {self.level:g} {self.interval} intervals)"
        )


def adjusted_curves(
    fit: CoxFit,
    frame: Any,
    by: str,
    *,
    tenures: Sequence[float] | None = None,
    method: Method = "conditional",
    reference: Any = None,
    hold: str | None = None,
    level: float | None = None,
    interval: Interval = "log-log",
    order: Sequence[Any] | None = None,
) -> AdjustedCurves:
    """Retention by group as if the groups had the same covariates, from a Cox fit.

    frame: the customers' episodes with the columns of the fit, or flows by `by` and its covariates. by: the groups, fixed for a
    customer.
    conditional: each group's curve is the mean prediction over the reference population with `by` set to the group (direct
    standardisation, g-formula); `by` is in the formula, or one of the strata: then each group has its own baseline.
    average: the mean prediction over the group's own customers; not adjusted, what the model makes of the group as it is.
    marginal: Kaplan-Meier with weights that make each group's covariates those of the reference; the model of survival is not
    used, its covariates are. Needs episodes.
    reference: customers to standardise to, a row each (or episodes, or flows); default: all customers of the frame. They are
    taken as given: intervals hold for a population of just these covariates.
    hold: 'entry' keeps covariates that change at their value on entry; without it they are refused.
    level: default, that of the fit. order: of the groups.

    Curves start at 1 at a group's first entry and end where the group does: beyond, the model would speak for customers whom
    nobody saw. Raises ArgumentError (columns, a group that changes or is not estimable, covariates that change, coefficients
    that change with tenure), EstimationError (no weights that balance), StructureError.
    """
    one_of(method, METHODS, "method")
    one_of(interval, INTERVALS, "interval")
    level = fit.options.level if level is None else level
    normal_quantile(level)
    if hold is not None:
        one_of(hold, HOLD, "hold")
    _refuse_model(fit, by, method)
    groups = groups_of(fit, frame, by, hold, level, interval, order)
    population = groups.everybody if reference is None else reference_population(fit, reference, by, hold)
    to = "all customers of the groups together" if reference is None else "the reference population"
    if method == "marginal":
        weighted, findings = _marginal(fit, groups, by, None if reference is None else population, level, interval)
        source: Source = weighted
        variance, spans = "robust", [(curve.entry, curve.end) for curve in weighted.curves.curves]
    else:
        source, variance = predicted = _predicted(fit, groups, by, population if method == "conditional" else None)
        spans, findings = [(one.begin, one.end) for one in predicted[0].mixtures], _not_estimable(fit)
    begin, end = np.array(spans).T
    if method == "conditional":
        findings = (*findings, *borrowed_levels(groups, population))
    if method == "average":
        to = "the customers of each group"
    grid = np.unique(np.concatenate((fit.base.time, begin, end))) if tenures is None else _days(tenures)
    return AdjustedCurves(
        by, method, groups.crude, begin, end, grid, tuple(held_variables(fit, by)), to, variance, level, interval,
        (*groups.crude.findings, *findings), source, tenures is not None,
    )  # fmt: skip


def _refuse_model(fit: CoxFit, by: str, method: str) -> None:
    if isinstance(fit.coding, TenureCoding):
        raise ArgumentError(
            "adjusted_curves: coefficients that change with tenure are not averaged; stratify by the term that changes "
            "(strata=), or use fit.predict_survival"
        )
    names = formula_variables(fit.options.formula)
    if by not in names and by not in fit.options.strata and method == "conditional":
        raise ArgumentError(
            f"by='{by}' is not in the model, which then predicts the same for all groups: add it to the formula, or fit with "
            f"strata=['{by}'] for a baseline of each group's own"
        )
    if by in names and method != "marginal":
        estimated, read = {fit.names[j] for j in fit.estimated}, term_variables(fit.options.formula)
        missing = [
            fit.names[j]
            for term, columns in fit.terms.items()
            if by in read[term]
            for j in columns
            if fit.names[j] not in estimated
        ]
        if missing:
            raise ArgumentError(
                f"by='{by}': the coefficient of {', '.join(missing)} is not estimable, so the group's curve is not known. "
                f"Merge levels, or fit with strata=['{by}']"
            )


def _not_estimable(fit: CoxFit) -> tuple[Finding, ...]:
    left = [name for j, name in enumerate(fit.names) if j not in fit.estimated]
    if not left:
        return ()
    message = (
        f"not adjusted for {', '.join(left)}, whose coefficient is not estimable: counted as at the reference level"
    )
    return (Finding("not-adjusted", "warning", ", ".join(left), message),)


def _predicted(fit: CoxFit, groups: Groups, by: str, population: Population | None) -> tuple[_Predicted, str]:
    """Mean predictions over a population, or (None) over each group's own customers."""
    mixtures = []
    for k, curve in enumerate(groups.crude.curves):
        people = Population(groups.everybody.patterns, groups.weight[k]) if population is None else population
        there = people.weight > 0
        rows = people.patterns[there].reset_index(drop=True).assign(**{by: curve.risk.label})
        x, offset, stratum = inner_rows(fit, rows)
        begin = max(curve.entry, float(fit.base.first_entry[stratum].max()))
        end = min(curve.end, float(fit.base.last_exit[stratum].min()))
        weight = people.weight[there] / people.weight.sum()
        mixtures.append(Mixture(weight, x, offset, stratum, begin, end))
    steps = Steps(fit.base, fit.inner[0].size)
    uncertainty, named = _uncertainty(fit, steps)
    return _Predicted(steps, fit.inner[0], uncertainty, tuple(mixtures)), named


def _uncertainty(fit: CoxFit, steps: Steps) -> tuple[Uncertainty, str]:
    if fit.options.robust and fit._data is not None and fit._data[0].episodes is not None:
        data, at = fit._data
        return RobustVariance(steps, fit.inner[1], dfbeta_by_unit(data, at, fit._model_inner()), data, at), "robust"
    return ModelVariance(steps, fit.inner[1]), "robust coefficients" if fit.options.robust else "model"


def _marginal(
    fit: CoxFit, groups: Groups, by: str, reference: Population | None, level: float, interval: Interval
) -> tuple[_Weighted, tuple[Finding, ...]]:
    episodes = groups.episodes
    if episodes is None or groups.group is None or groups.pattern is None:
        raise ArgumentError(
            "method='marginal' weights customers, whom flows do not hold: give the frame of episodes, or method='conditional'"
        )
    patterns, counts, other = groups.everybody.patterns, groups.weight, None
    if reference is not None:
        patterns = pd.concat([patterns, reference.patterns], ignore_index=True)
        counts = np.hstack((counts, np.zeros((len(counts), len(reference.patterns)))))
        other = np.concatenate((np.zeros(counts.shape[1] - len(reference.patterns)), reference.weight))
    labels = groups.crude.groups
    x = _coded(fit, patterns, by, labels)
    balance = balancing_weights(x, counts, other, [str(label) for label in labels])
    weight = episodes.weight * balance.weight[groups.group, groups.pattern]
    table = pd.DataFrame(
        {
            "start": episodes.start, "stop": episodes.stop, "event": episodes.event, "weight": weight,
            "group": groups.group, "customer": episodes.customer, "spell": episodes.spell, "unit": groups.unit,
        }
    )  # fmt: skip
    made = kaplan_meier(
        table, start="start", by="group", weights="weight", customer="customer", spell="spell", level=level, interval=interval,
        robust=True, cluster="unit",
    )  # fmt: skip
    return _Weighted(made), _few_left(balance.effective, counts.sum(axis=1), labels)


def _coded(fit: CoxFit, patterns: pd.DataFrame, by: str, labels: Sequence[Any]) -> Floats:
    """(P, c) the formula's columns, without what `by` makes of them, and the other strata as 0 and 1."""
    assert not isinstance(fit.coding, TenureCoding)
    columns = fit.coding.encode(patterns.assign(**{by: labels[0]}))
    others = [name for name in fit.options.strata if name != by]
    flags = [pd.get_dummies(patterns[name].astype(str), drop_first=True).to_numpy(float) for name in others]
    return np.hstack([columns, *flags])


def _few_left(effective: Floats, customers: Floats, labels: Sequence[Any]) -> tuple[Finding, ...]:
    few = [k for k in range(len(labels)) if effective[k] < 0.5 * customers[k]]
    if not few:
        return ()
    said = ", ".join(f"{labels[k]} counts as {effective[k]:,.0f} of {customers[k]:,.0f}" for k in few)
    message = (
        f"few customers carry most of the weight ({said}): these groups have few customers of kinds that are common in the "
        "reference. method='conditional' borrows from the model instead"
    )
    return (Finding("uneven-weights", "warning", ", ".join(str(labels[k]) for k in few), message),)


def _days(tenures: Any) -> Floats:
    wanted = np.atleast_1d(np.asarray(tenures, np.float64))
    if wanted.ndim != 1 or not wanted.size or not bool(np.isfinite(wanted).all()):
        raise ArgumentError(f"tenures must be a list of days; got {tenures!r}")
    return wanted
