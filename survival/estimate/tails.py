"""Beyond the data: retention extrapolated by a parametric tail, chosen by how well it foretold what was held back.

Everything beyond the last tenure with enough customers at risk is extrapolation, and a column says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survival.errors import ArgumentError, EstimationError
from survival.estimate import parametric
from survival.estimate.cohort_counts import CohortCounts, cohort_counts
from survival.estimate.intervals import normal_quantile, retention_interval
from survival.estimate.kaplan_meier import product_limit
from survival.estimate.parametric import Family, ParametricFit, TenureData
from survival.findings import Finding

Floats = NDArray[np.float64]
MODELS = (
    "exponential", "weibull", "log-normal", "log-logistic", "generalized gamma", "piecewise exponential",
    "shifted beta geometric",
)  # fmt: skip
YEAR = 365.25
MONTH = 30.4375
MIN_AT_RISK = 30
CUT_SHARE = 2 / 3  # of what was observed: fitted to; the rest judges
POINTS = 200


@dataclass(frozen=True, eq=False)
class Candidate:
    """One model of one group: fitted up to the cut (`early`, judged by `error`) and to everything (`fit`)."""

    name: str
    early: ParametricFit | None
    fit: ParametricFit | None
    error: float
    reason: str


@dataclass(frozen=True, eq=False)
class Tail:
    """One group: the Kaplan-Meier curve (time, retention, variance of its log; m rows) up to `splice`, then the model."""

    risk: CohortCounts
    time: Floats
    retention: Floats
    variance: Floats
    splice: float
    cut: float
    noise: float
    candidates: tuple[Candidate, ...]
    chosen: Candidate | None


@dataclass(frozen=True, eq=False)
class Tails:
    """Retention with an extrapolated tail, by group."""

    tails: tuple[Tail, ...]
    horizon: float
    level: float
    findings: tuple[Finding, ...]

    def tidy(self) -> pd.DataFrame:
        """by, tenure, retention, ci_lower, ci_upper, model, extrapolated.

        Kaplan-Meier while extrapolated is False; then that curve's last value times the model's conditional retention.
        Beyond the data the interval holds if the model does; it says nothing about a wrong one.
        """
        return pd.concat([self._rows(tail) for tail in self.tails], ignore_index=True)

    def _rows(self, tail: Tail) -> pd.DataFrame:
        seen = tail.time <= tail.splice
        parts = [
            _part(tail, tail.time[seen], tail.retention[seen], tail.variance[seen], "kaplan-meier", False, self.level)
        ]
        if tail.chosen is not None and tail.chosen.fit is not None and self.horizon > tail.splice:
            grid = np.linspace(tail.splice, self.horizon, POINTS + 1)[1:]
            kept, variance = _beyond(tail, tail.chosen.fit, grid)
            parts.append(_part(tail, grid, kept, variance, tail.chosen.name, True, self.level))
        return pd.concat(parts, ignore_index=True)

    def models(self) -> pd.DataFrame:
        """by, model, chosen, cut, error, noise, log_likelihood, aic, parameters, reason; in order of error.

        error: root mean square of model - Kaplan-Meier after the cut, both given retention until it, weighted by who is at
        risk; noise: what a true model would have of it, from the curve's own standard error: errors below it are not told
        apart. log_likelihood, aic, parameters: of the fit to everything.
        """
        rows = []
        for tail in self.tails:
            for one in sorted(tail.candidates, key=lambda c: (np.isnan(c.error), c.error)):
                fitted = one.fit
                text = "" if fitted is None else ", ".join(f"{k} = {v:.6g}" for k, v in fitted.parameters.items())
                rows.append(
                    [tail.risk.label, one.name, one is tail.chosen, tail.cut, one.error, tail.noise,
                     np.nan if fitted is None else fitted.log_likelihood, np.nan if fitted is None else fitted.aic, text,
                     one.reason]
                )  # fmt: skip
        columns = ["by", "model", "chosen", "cut", "error", "noise", "log_likelihood", "aic", "parameters", "reason"]
        return pd.DataFrame(rows, columns=columns)

    def remaining(self, given_tenure: float = 0.0) -> pd.DataFrame:
        """Expected days still to come for who is there at `given_tenure`, up to the horizon.

        by, given_tenure, horizon, model, days, se, ci_lower, ci_upper, extrapolated_share (of the days).
        """
        return self._integrated(given_tenure, 0.0, "days", 1.0)

    def lifetime_value(self, mrr: float, discount_rate: float, given_tenure: float = 0.0) -> pd.DataFrame:
        """Expected revenue still to come, discounted to `given_tenure` by `discount_rate` a year, up to the horizon.

        by, given_tenure, horizon, model, mrr, discount_rate, value, se, ci_lower, ci_upper, extrapolated_share. Revenue is
        mrr a month of 30.4375 days while the customer stays: no expansion, no costs. Raises ArgumentError.
        """
        if not 0 <= discount_rate < 10:
            raise ArgumentError(f"discount_rate is a share a year, such as 0.1 for 10 %; got {discount_rate!r}")
        if not np.isfinite(mrr) or mrr < 0:
            raise ArgumentError(f"mrr must be a number of at least 0; got {mrr!r}")
        table = self._integrated(given_tenure, float(np.log1p(discount_rate)) / YEAR, "value", mrr / MONTH)
        table.insert(4, "mrr", mrr)
        table.insert(5, "discount_rate", discount_rate)
        return table

    def _integrated(self, given: float, discount: float, what: str, unit: float) -> pd.DataFrame:
        if not 0 <= given < self.horizon:
            raise ArgumentError(f"given_tenure must be from 0 to below the horizon {self.horizon:g}; got {given!r}")
        z, rows = normal_quantile(self.level), []
        for tail in self.tails:
            total, se, share = _area(tail, given, self.horizon, discount)
            name = tail.chosen.name if tail.chosen is not None else ""
            value, error = unit * total, unit * se
            rows.append(
                [
                    tail.risk.label,
                    given,
                    self.horizon,
                    name,
                    value,
                    error,
                    max(value - z * error, 0.0),
                    value + z * error,
                    share,
                ]
            )
        columns = ["by", "given_tenure", "horizon", "model", what, "se", "ci_lower", "ci_upper", "extrapolated_share"]
        return pd.DataFrame(rows, columns=columns)


def extrapolate(
    frame: Any,
    stop: str = "stop",
    event: str = "event",
    start: str | None = None,
    by: str | Sequence[str] | None = None,
    weights: str | None = None,
    customer: str | None = None,
    spell: str | None = None,
    *,
    horizon: float = 5 * YEAR,
    models: Sequence[str] | None = None,
    cut: float | None = None,
    period: float | None = None,
    min_at_risk: float = MIN_AT_RISK,
    level: float = 0.95,
    order: Sequence[Any] | None = None,
) -> Tails:
    """Retention up to `horizon`: Kaplan-Meier while `min_at_risk` are at risk, a parametric tail beyond.

    Every model is fitted up to `cut` (default: two thirds of what is observed) and judged by what it foretold after it; the
    one with the smallest error is fitted again to everything. models: names among exponential, weibull, log-normal,
    log-logistic, generalized gamma, piecewise exponential, and with `period` (days between renewals) shifted beta geometric;
    default: all of them. Frames or Flows, late entry as in `kaplan_meier`; cost by tenures, not customers.

    A model that cannot be fitted is a finding and the others go on. Raises ArgumentError for options out of their rule.
    Source: likelihoods as lifelines' fitters with entry, and R's survreg; Fader & Hardie 2007.
    """
    normal_quantile(level)
    wanted = _wanted(models, period)
    if not np.isfinite(horizon) or horizon <= 0:
        raise ArgumentError(f"horizon must be a tenure in days above 0; got {horizon!r}")
    sets = cohort_counts(frame, stop, event, start, by=by, weights=weights, customer=customer, spell=spell, order=order)
    tails, findings = [], list(sets.findings)
    for risk in sets:
        tail = _tail(risk, wanted, cut, period, min_at_risk)
        tails.append(tail)
        findings += _findings(tail, horizon)
    return Tails(tuple(tails), float(horizon), level, tuple(findings))


def _wanted(models: Sequence[str] | None, period: float | None) -> list[str]:
    if period is not None and not (np.isfinite(period) and period > 0):
        raise ArgumentError(f"period must be the days between two renewals, above 0; got {period!r}")
    if models is None:
        return [name for name in MODELS if period is not None or name != MODELS[-1]]
    for name in models:
        if name not in MODELS:
            raise ArgumentError(f"models must be among {', '.join(map(repr, MODELS))}; got {name!r}")
    if MODELS[-1] in models and period is None:
        raise ArgumentError("the shifted beta geometric needs period=, the days between two renewals")
    return list(models)


def _tail(risk: CohortCounts, names: Sequence[str], cut: float | None, period: float | None, least: float) -> Tail:
    retention, variance = product_limit(risk.at_risk, risk.events, risk.left_over)
    empty = np.flatnonzero(risk.after[:-1] == 0)
    rows = int(empty[0]) + 1 if empty.size else risk.time.size
    many = np.flatnonzero((risk.at_risk[:rows] >= least) & (retention[:rows] > 0))
    last = int(many[-1]) if many.size else int(np.flatnonzero(retention[:rows] > 0)[-1])
    splice = float(risk.time[last])
    begin = float(risk.time[0])
    at = float(np.floor(begin + CUT_SHARE * (splice - begin))) if cut is None else float(cut)
    if not begin < at < splice:
        raise ArgumentError(
            f"'{risk.label}': the cut {at:g} must lie inside what is observed with enough customers, {begin:g} to {splice:g}"
        )
    data = TenureData(risk.time[:rows], risk.events[:rows], (risk.after - risk.at_risk)[:rows])
    judged = _Judged(risk, retention, variance, at, last)
    candidates = tuple(_candidate(name, data, judged, period) for name in names)
    known = [c for c in candidates if c.fit is not None and np.isfinite(c.error)]
    chosen = min(known, key=lambda c: c.error) if known else None
    return Tail(risk, risk.time[:rows], retention[:rows], variance[:rows], splice, at, judged.noise, candidates, chosen)


class _Judged:
    """What happened after the cut: conditional retention (j,) at tenures (j,), weights, the curve's own error."""

    def __init__(self, risk: CohortCounts, retention: Floats, variance: Floats, cut: float, last: int) -> None:
        before = int(np.searchsorted(risk.time, cut, side="right")) - 1
        rows = slice(before + 1, last + 1)
        self.cut, self.time = cut, risk.time[rows]
        self.kept = retention[rows] / retention[before]
        self.weight = risk.at_risk[rows] * np.diff(np.concatenate(([cut], self.time)))
        mean_square = self.kept**2 * (variance[rows] - variance[before])
        self.noise = float(np.sqrt(self.weight @ mean_square / self.weight.sum()))

    def error(self, fit: ParametricFit) -> float:
        """Root mean square difference between the model and the curve, both given retention until the cut."""
        foretold = np.exp(fit.cumulative_hazard(np.array([self.cut])) - fit.cumulative_hazard(self.time))
        return float(np.sqrt(self.weight @ (foretold - self.kept) ** 2 / self.weight.sum()))


def _candidate(name: str, data: TenureData, judged: _Judged, period: float | None) -> Candidate:
    early = None
    try:
        held = data.until(judged.cut)
        early = parametric.fit(_family(name, held, period), held)
        return Candidate(name, early, parametric.fit(_family(name, data, period), data), judged.error(early), "")
    except EstimationError as error:
        return Candidate(name, early, None, np.nan, str(error))


def _family(name: str, data: TenureData, period: float | None) -> Family:
    if name == "piecewise exponential":
        return (
            parametric.piecewise(parametric.quantile_breaks(data)) if data.events.sum() > 0 else parametric.EXPONENTIAL
        )
    if name == "shifted beta geometric":
        assert period is not None
        renewals = data.time / period
        whole = bool(np.all(np.abs(renewals - np.rint(renewals)) < 1e-9))
        return parametric.shifted_beta_geometric(period, whole=whole)
    return {
        family.name: family
        for family in (
            parametric.EXPONENTIAL, parametric.WEIBULL, parametric.LOG_NORMAL, parametric.LOG_LOGISTIC,
            parametric.GENERALIZED_GAMMA,
        )
    }[name]  # fmt: skip


def _at_splice(tail: Tail) -> tuple[float, float]:
    row = int(np.searchsorted(tail.time, tail.splice, side="right")) - 1
    return float(tail.retention[row]), float(tail.variance[row])


def _beyond(tail: Tail, fit: ParametricFit, grid: Floats) -> tuple[Floats, Floats]:
    """Retention at tenures beyond the splice, and the variance of its logarithm: the curve's plus the model's."""
    kept, variance = _at_splice(tail)

    def lost(theta: Floats) -> Floats:
        return fit.cumulative_hazard(grid, theta) - fit.cumulative_hazard(np.array([tail.splice]), theta)

    slope = fit.gradient(lost)
    return kept * np.exp(-lost(fit.theta)), variance + np.einsum("ij,jk,ik->i", slope, fit.covariance, slope)


def _part(
    tail: Tail, time: Floats, kept: Floats, variance: Floats, model: str, extrapolated: bool, level: float
) -> pd.DataFrame:
    low, high = retention_interval(kept, variance, level, "log-log")
    return pd.DataFrame(
        {
            "by": [tail.risk.label] * time.size, "tenure": time, "retention": kept, "ci_lower": low, "ci_upper": high,
            "model": model, "extrapolated": extrapolated,
        }
    )  # fmt: skip


def _area(tail: Tail, given: float, horizon: float, discount: float) -> tuple[float, float, float]:
    """∫ exp(-discount (t - given)) S(t)/S(given) dt from given to horizon, its standard error, the extrapolated share.

    The variance is that of a restricted mean on the observed part (each churn takes away all that lies beyond it, the tail
    included), plus the model's on the rest.
    """
    if tail.chosen is None or tail.chosen.fit is None or given < tail.time[0]:
        return np.nan, np.nan, np.nan
    splice = max(min(tail.splice, horizon), given)
    if given > tail.splice:
        start, observed, beyond, use = 1.0, 0.0, np.zeros(0), np.zeros(0, bool)
        inside = slice(0, 0)
    else:
        row = int(np.searchsorted(tail.time, given, side="right")) - 1
        inside = slice(row, int(np.searchsorted(tail.time, splice, side="right")))
        kept = tail.retention[inside] / tail.retention[row]
        edges = np.append(np.maximum(tail.time[inside], given), splice)
        pieces = kept * (_discounted(edges[1:] - given, discount) - _discounted(edges[:-1] - given, discount))
        observed, start = float(pieces.sum()), float(kept[-1])
        beyond = np.cumsum(pieces[::-1])[::-1]
        use = (tail.risk.events[inside] > 0) & (tail.risk.left_over[inside] > 0) & (tail.time[inside] > given)
    fit = tail.chosen.fit
    grid = np.linspace(splice, horizon, 4 * POINTS + 1)
    weight = np.exp(-discount * (grid - given))

    def rest(theta: Floats) -> Floats:
        kept = np.exp(fit.cumulative_hazard(grid[:1], theta) - fit.cumulative_hazard(grid, theta))
        return np.asarray(np.trapezoid(weight * kept, grid))

    more = float(rest(fit.theta)) if horizon > splice else 0.0
    slope = start * fit.gradient(rest) if horizon > splice else np.zeros(fit.theta.size)
    variance = float(slope @ fit.covariance @ slope)
    if use.any():
        n, d, left = (a[inside][use] for a in (tail.risk.at_risk, tail.risk.events, tail.risk.left_over))
        variance += float((beyond[use] + start * more) ** 2 @ (d / (n * left)))
    total = observed + start * more
    return total, float(np.sqrt(variance)), start * more / total if total > 0 else np.nan


def _discounted(days: Floats, discount: float) -> Floats:
    """∫ exp(-discount t) dt from 0."""
    return days if discount == 0 else -np.expm1(-discount * days) / discount


def _findings(tail: Tail, horizon: float) -> list[Finding]:
    label = str(tail.risk.label)
    notes = []
    failed = [c for c in tail.candidates if c.reason]
    if failed:
        message = "; ".join(f"{c.name}: {c.reason}" for c in failed)
        notes.append(Finding("tail-not-fitted", "note", label, message, f"{len(failed)} of {len(tail.candidates)}"))
    if tail.chosen is None:
        notes.append(
            Finding("no-tail", "warning", label, "no model of the tail could be fitted: nothing is extrapolated")
        )
    elif horizon > tail.splice:
        message = (
            f"beyond day {tail.splice:g} retention is extrapolated by the {tail.chosen.name} model, which was off by "
            f"{100 * tail.chosen.error:.1f} points of retention on average after day {tail.cut:g} when fitted up to it. "
            "Intervals there hold only if the model does"
        )
        notes.append(Finding("extrapolated", "note", label, message, f"{tail.splice:g} to {horizon:g}"))
    return notes
