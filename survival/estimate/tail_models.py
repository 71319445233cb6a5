"""Which parametric tail foretells best: models fitted up to a cut and judged by what happened after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from survival.errors import ArgumentError, EstimationError
from survival.estimate import parametric
from survival.estimate.cohort_counts import CohortCounts
from survival.estimate.kaplan_meier import product_limit
from survival.estimate.parametric import Family, ParametricFit, TenureData

Floats = NDArray[np.float64]
MODELS = (
    "exponential", "weibull", "log-normal", "log-logistic", "generalized gamma", "piecewise exponential",
    "shifted beta geometric",
)  # fmt: skip
CUT_SHARE = 2 / 3  # of what was observed: fitted to; the rest judges


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

    @property
    def rivals(self) -> tuple[Candidate, ...]:
        """The chosen model, then those that the time after the cut does not tell from it: off by no more than noise."""
        if self.chosen is None:
            return ()
        near = [c for c in self.candidates if c.fit is not None and c.error <= self.chosen.error + self.noise]
        return (self.chosen, *(c for c in near if c is not self.chosen))


def tail_of(risk: CohortCounts, names: Sequence[str], cut: float | None, period: float | None, least: float) -> Tail:
    """The curve of one group, every model fitted to it, and the chosen one. Raises ArgumentError for a cut outside the data."""
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
    data = TenureData(
        risk.time[:rows],
        risk.events[:rows],
        (risk.after - risk.at_risk)[:rows],
        1.0 if _whole(risk.time[:rows]) else 0.0,
    )
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
        if name == "shifted beta geometric" and period is not None and _whole(data.time / period):
            held, data = (
                replace(held, step=period),
                replace(data, step=period),
            )  # renewals only: nobody leaves in between
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
        return parametric.shifted_beta_geometric(period)
    return {
        family.name: family
        for family in (
            parametric.EXPONENTIAL, parametric.WEIBULL, parametric.LOG_NORMAL, parametric.LOG_LOGISTIC,
            parametric.GENERALIZED_GAMMA,
        )
    }[name]  # fmt: skip


def _whole(values: Floats) -> bool:
    return bool(np.all(np.abs(values - np.rint(values)) < 1e-9))
