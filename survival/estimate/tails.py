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

from survival.errors import ArgumentError
from survival.estimate.cohort_counts import cohort_counts
from survival.estimate.intervals import normal_quantile, retention_interval
from survival.estimate.parametric import ParametricFit
from survival.estimate.tail_models import MODELS, Tail, tail_of
from survival.findings import Finding

Floats = NDArray[np.float64]
YEAR = 365.25
MONTH = 30.4375
MIN_AT_RISK = 30
POINTS = 200


@dataclass(frozen=True, eq=False)
class Tails:
    """Retention with an extrapolated tail, by group."""

    tails: tuple[Tail, ...]
    horizon: float
    level: float
    findings: tuple[Finding, ...]

    def tidy(self) -> pd.DataFrame:
        """by, tenure, retention, ci_lower, ci_upper, model, extrapolated.

        Kaplan-Meier while extrapolated is False; then that curve's last value times the chosen model's conditional retention.
        Beyond the data the interval spans those of all models that the time after the cut does not tell apart; it holds if
        one of them does.
        """
        return pd.concat([self._rows(tail) for tail in self.tails], ignore_index=True)

    def _rows(self, tail: Tail) -> pd.DataFrame:
        seen = tail.time <= tail.splice
        parts = [
            _part(tail, tail.time[seen], tail.retention[seen], tail.variance[seen], "kaplan-meier", False, self.level)
        ]
        if tail.chosen is not None and tail.chosen.fit is not None and self.horizon > tail.splice:
            grid = np.linspace(tail.splice, self.horizon, POINTS + 1)[1:]
            fits = [one.fit for one in tail.rivals if one.fit is not None]
            each = [_part(tail, grid, *_beyond(tail, fit, grid), tail.chosen.name, True, self.level) for fit in fits]
            low = np.min([part["ci_lower"] for part in each], axis=0)
            high = np.max([part["ci_upper"] for part in each], axis=0)
            parts.append(each[0].assign(ci_lower=low, ci_upper=high))
        return pd.concat(parts, ignore_index=True)

    def models(self) -> pd.DataFrame:
        """by, model, chosen, rival, cut, error, noise, log_likelihood, aic, parameters, reason; in order of error.

        error: root mean square of model - Kaplan-Meier after the cut, both given retention until it, weighted by who is at
        risk; noise: what a true model would have of it, from the curve's own standard error. rival: off by no more than the
        chosen one and noise. log_likelihood, aic, parameters: of the fit to everything.
        """
        rows = []
        for tail in self.tails:
            for one in sorted(tail.candidates, key=lambda c: (np.isnan(c.error), c.error)):
                fitted = one.fit
                text = "" if fitted is None else ", ".join(f"{k} = {v:.6g}" for k, v in fitted.parameters.items())
                rows.append(
                    [tail.risk.label, one.name, one is tail.chosen, one in tail.rivals, tail.cut, one.error, tail.noise,
                     np.nan if fitted is None else fitted.log_likelihood, np.nan if fitted is None else fitted.aic, text,
                     one.reason]
                )  # fmt: skip
        columns = [
            "by",
            "model",
            "chosen",
            "rival",
            "cut",
            "error",
            "noise",
            "log_likelihood",
            "aic",
            "parameters",
            "reason",
        ]
        return pd.DataFrame(rows, columns=columns)

    def remaining(self, given_tenure: float = 0.0) -> pd.DataFrame:
        """Expected days still to come for who is there at `given_tenure`, up to the horizon.

        by, given_tenure, horizon, model, days, se, ci_lower, ci_upper, extrapolated_share (of the days). se is given the
        chosen model; the interval spans those of all models not told apart.
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
            each = [_area(tail, one.fit, given, self.horizon, discount) for one in tail.rivals]
            total, se, share = each[0] if each else (np.nan, np.nan, np.nan)
            low = min((value - z * error for value, error, _ in each), default=np.nan)
            high = max((value + z * error for value, error, _ in each), default=np.nan)
            name = tail.chosen.name if tail.chosen is not None else ""
            limits = [unit * max(low, 0.0), unit * high]
            rows.append([tail.risk.label, given, self.horizon, name, unit * total, unit * se, *limits, share])
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
    Tenures that are all whole are days: a churn on day t fell between t - 1 and t, and the likelihood knows it.
    Source: otherwise likelihoods as lifelines' fitters with entry, and R's survreg; Fader & Hardie 2007.
    """
    normal_quantile(level)
    wanted = _wanted(models, period)
    if not np.isfinite(horizon) or horizon <= 0:
        raise ArgumentError(f"horizon must be a tenure in days above 0; got {horizon!r}")
    sets = cohort_counts(frame, stop, event, start, by=by, weights=weights, customer=customer, spell=spell, order=order)
    tails, findings = [], list(sets.findings)
    for risk in sets:
        tail = tail_of(risk, wanted, cut, period, min_at_risk)
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


def _at_splice(tail: Tail) -> tuple[float, float]:
    row = int(np.searchsorted(tail.time, tail.splice, side="right")) - 1
    return float(tail.retention[row]), float(tail.variance[row])


def _beyond(tail: Tail, fit: ParametricFit, grid: Floats) -> tuple[Floats, Floats]:
    """Retention at tenures beyond the splice, and the variance of its logarithm: the curve's, the model's, and twice their
    covariance, since both rest on the same churns."""
    kept, variance = _at_splice(tail)

    def lost(theta: Floats) -> Floats:
        return fit.cumulative_hazard(grid, theta) - fit.cumulative_hazard(np.array([tail.splice]), theta)

    slope = fit.gradient(lost)
    rows = (tail.time <= tail.splice) & (tail.risk.events[: tail.time.size] > 0)
    shared = slope @ fit.covariance @ _common(tail, fit, rows, np.ones(int(rows.sum())))
    variance = variance + np.einsum("ij,jk,ik->i", slope, fit.covariance, slope) + 2 * shared
    return kept * np.exp(-lost(fit.theta)), np.maximum(variance, 0.0)


def _common(tail: Tail, fit: ParametricFit, rows: NDArray[np.bool_], weight: Floats) -> Floats:
    """Σ w(t) g(t) d/n (p,) over these churn tenures: the covariance of the score Σ g dM with the curve's Σ w dM/n."""
    n, d = tail.risk.at_risk[: tail.time.size][rows], tail.risk.events[: tail.time.size][rows]
    return (weight * d / n) @ fit.event_slopes(tail.time[rows])


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


def _area(
    tail: Tail, fit: ParametricFit | None, given: float, horizon: float, discount: float
) -> tuple[float, float, float]:
    """∫ exp(-discount (t - given)) S(t)/S(given) dt from given to horizon, its standard error, the extrapolated share.

    The variance is that of a restricted mean on the observed part (each churn takes away all that lies beyond it, the tail
    included), plus the model's on the rest.
    """
    if fit is None or given < tail.time[0]:
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
        weight = beyond[use] + start * more
        variance += float(weight**2 @ (d / (n * left)))
        rows = np.zeros(tail.time.size, bool)
        rows[np.arange(tail.time.size)[inside][use]] = True
        variance -= 2 * float(slope @ fit.covariance @ _common(tail, fit, rows, weight))
    total = observed + start * more
    return total, float(np.sqrt(max(variance, 0.0))), start * more / total if total > 0 else np.nan


def _discounted(days: Floats, discount: float) -> Floats:
    """∫ exp(-discount t) dt from 0."""
    return days if discount == 0 else -np.expm1(-discount * days) / discount


def _findings(tail: Tail, horizon: float) -> list[Finding]:
    label = str(tail.risk.label)
    notes = []
    failed = [c for c in tail.candidates if c.reason]
    if failed:
        message = "; ".join(f"{c.name}: {c.reason}" for c in failed)
        notes.append(
            Finding("tail-not-fitted", "note", label, message, f"{len(failed)} of {len(tail.candidates)} models")
        )
    if tail.chosen is None:
        notes.append(
            Finding("no-tail", "warning", label, "no model of the tail could be fitted: nothing is extrapolated")
        )
    elif horizon > tail.splice:
        message = (
            f"beyond day {tail.splice:,g} retention is extrapolated by the {tail.chosen.name} model, which was off by "
            f"{100 * tail.chosen.error:.1f} points of retention on average after day {tail.cut:,g} when fitted up to it. "
            f"Intervals there span {len(tail.rivals)} of {len(tail.candidates)} models, which the time after the cut does not tell "
            "apart, and hold only if one of them does"
        )
        notes.append(Finding("extrapolated", "note", label, message, f"day {tail.splice:,g} to {horizon:,g}"))
    return notes
