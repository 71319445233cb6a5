"""Gray's test: is the share lost to a cause the same in all groups?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtrc

from survival.errors import ArgumentError
from survival.estimate.causes import CAUSE, CauseCounts, Causes, cause_counts
from survival.estimate.cohort_counts import names_of
from survival.estimate.kaplan_meier import product_limit
from survival.findings import Finding

Floats = NDArray[np.float64]
_SINGULAR = 1e-10  # of the largest eigenvalue: below it the groups were never compared


@dataclass(frozen=True, eq=False)
class Layer:
    """One stratum at its T times with a churn, over k groups; one cause against all others.

    at_risk, own, other (T, k): at risk, churns by the cause and by the others; before, after (T, k) retention just
    before and at the time; lost (T, k) incidence of the cause just before
    """

    at_risk: Floats
    own: Floats
    other: Floats
    before: Floats
    after: Floats
    lost: Floats


@dataclass(frozen=True, eq=False)
class GrayTests:
    """One test a cause."""

    causes: tuple[str, ...]
    statistic: Floats
    df: NDArray[np.intp]
    p: Floats
    groups: tuple[Any, ...]
    findings: tuple[Finding, ...]

    def tidy(self) -> pd.DataFrame:
        """cause, test, statistic, df, p."""
        return pd.DataFrame(
            {"cause": list(self.causes), "test": "gray", "statistic": self.statistic, "df": self.df, "p": self.p}
        )


def gray_test(
    frame: Any,
    cause: str = CAUSE,
    stop: str = "stop",
    event: str | None = "event",
    start: str | None = None,
    by: str | Sequence[str] | None = None,
    strata: str | Sequence[str] | None = None,
    rho: float = 0.0,
    weights: str | None = None,
    customer: str | None = None,
    spell: str | None = None,
    order: Sequence[Any] | None = None,
) -> GrayTests:
    """Compare the cumulative incidence of each cause between the groups of `by`, within `strata`.

    Where a log-rank test of one cause compares its rate among those still there, this compares the shares lost to it. rho
    weights times by (1 - F)^rho. Late entry enters through the risk sets. Data as in `cumulative_incidence`. A cause
    without churns to compare has NaN. Raises ArgumentError for fewer than two groups.
    Source: Gray 1988, Annals of Statistics 16:1141-1154; R's cmprsk::cuminc (everybody enters at 0).
    """
    if not names_of(by):
        raise ArgumentError("gray_test compares groups: name the column that holds them in `by`")
    if isinstance(rho, bool) or not isinstance(rho, int | float) or not np.isfinite(rho):
        raise ArgumentError(f"rho must be a finite number; got {rho!r}")
    found = cause_counts(
        frame, cause, stop, event, start, by=by, strata=strata, weights=weights, customer=customer, spell=spell,
        order=order,
    )  # fmt: skip
    numbers = {group.risk.number: group.risk.label for group in found.groups}
    labels = tuple(numbers[number] for number in sorted(numbers))
    if len(labels) < 2:
        raise ArgumentError(f"gray_test needs two groups or more; '{by}' has only {list(labels)}")
    results = [_test(_layers(found, i, sorted(numbers)), rho) for i in range(len(found.labels))]
    statistic, df = np.array([r[0] for r in results]), np.array([r[1] for r in results], np.intp)
    p = np.array([chdtrc(d, x) if d else np.nan for x, d in results])
    return GrayTests(found.labels, statistic, df, p, labels, found.findings + _findings(found.labels, df, len(labels)))


def _layers(found: Causes, cause: int, numbers: Sequence[int]) -> list[Layer]:
    column = {number: i for i, number in enumerate(numbers)}
    strata: dict[Any, list[CauseCounts]] = {}
    for group, layer in zip(found.groups, found.strata):
        strata.setdefault(layer, []).append(group)
    return [_layer(groups, cause, column) for groups in strata.values()]


def _layer(groups: Sequence[CauseCounts], cause: int, column: dict[int, int]) -> Layer:
    times = np.unique(np.concatenate([g.risk.time[g.risk.events > 0] for g in groups]))
    shape = (times.size, len(column))
    at_risk, own, other, lost = (np.zeros(shape) for _ in range(4))
    before, after = np.ones(shape), np.ones(shape)
    for group in groups:
        i, risk = column[group.risk.number], group.risk
        retention, _ = product_limit(risk.at_risk, risk.events, risk.left_over)
        until = np.concatenate(([1.0], retention[:-1]))
        incidence = np.cumsum(until * group.events[cause] / np.where(risk.at_risk > 0, risk.at_risk, 1.0))
        row = np.searchsorted(risk.time, times, side="left")
        at_risk[:, i] = np.append(risk.at_risk, 0.0)[row]
        # Once a curve is at 0 nobody can be lost to any cause: who enters later has no place in the comparison.
        at_risk[np.append(until, until[-1])[row] <= 0, i] = 0.0
        here = np.flatnonzero(risk.events > 0)
        place = np.searchsorted(times, risk.time[here])
        own[place, i] = group.events[cause][here]
        other[place, i] = risk.events[here] - group.events[cause][here]
        reached = np.searchsorted(risk.time, times, side="right")
        before[:, i] = np.concatenate(([1.0], retention))[row]
        after[:, i] = np.concatenate(([1.0], retention))[reached]
        lost[:, i] = np.concatenate(([0.0], incidence))[row]
    gone = at_risk <= 0
    own[gone], other[gone] = 0.0, 0.0
    return Layer(at_risk, own, other, before, after, lost)


def _test(layers: Sequence[Layer], rho: float) -> tuple[float, int]:
    """Chi-square and degrees of freedom of one cause, over strata."""
    parts = [_score(layer, rho) for layer in layers]
    score, variance = sum(p[0] for p in parts), sum(p[1] for p in parts)
    values, vectors = np.linalg.eigh(variance)
    real = values > _SINGULAR * max(float(values[-1]), 0.0)
    if not values[-1] > 0:
        return np.nan, 0
    return float(((vectors[:, real].T @ score) ** 2 / values[real]).sum()), int(real.sum())


def _score(layer: Layer, rho: float) -> tuple[Floats, Floats]:
    """Score (k,) and its variance (k, k) of one stratum.

    With h = n/S(t-) of a group, its subdistribution risk set is R = h (1 - F(t-)). The score is Σ (1 - F0)^rho (d - D R/ΣR)
    with F0 the pooled incidence, dF0 = D/Σh. Its variance propagates the steps of every group's cause and of the others
    through F0 and R, with the correction (n - d)/(n - 1) for ties.
    """
    here = layer.at_risk > 0
    h = np.where(here, layer.at_risk / np.where(here, layer.before, 1.0), 0.0)
    total, own = h.sum(axis=1), layer.own.sum(axis=1)
    seen = total > 0
    layer = Layer(*(getattr(layer, n)[seen] for n in ("at_risk", "own", "other", "before", "after", "lost")))
    h, total, own, here = h[seen], total[seen], own[seen], here[seen]
    subset = h * (1.0 - layer.lost)
    step = own / total
    pooled = np.cumsum(step)
    earlier = 1.0 - np.concatenate(([0.0], pooled[:-1]))
    weight = np.where(earlier > 0, earlier, 0.0) ** rho
    expected = own[:, None] * subset / subset.sum(axis=1, keepdims=True)
    score = (weight[:, None] * (layer.own - expected)).sum(axis=0)

    share = h / total[:, None]
    a = weight[:, None, None] * (h[:, :, None] * (np.eye(h.shape[1]) - share[:, None, :]))
    hazard = np.divide(step, earlier, out=np.zeros_like(step), where=earlier > 0)
    c = np.cumsum(a * hazard[:, None, None], axis=0)
    to_come = c[-1] - c
    own_variance, other_variance = _steps(layer, total, own, here)
    safe = np.where(layer.after > 0, layer.after, 1.0)
    left = np.where(layer.after > 0, (1.0 - pooled)[:, None] / safe, 0.0)
    by_own = a + (1.0 - left)[:, None, :] * to_come
    by_other = left[:, None, :] * to_come
    variance = np.einsum("tik,tjk,tk->ij", by_own, by_own, own_variance)
    variance += np.einsum("tik,tjk,tk->ij", by_other, by_other, other_variance)
    return score, variance


def _steps(layer: Layer, total: Floats, own: Floats, here: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Variances (T, k), (T, k) of the steps of the cause (under one pooled incidence), and of the other causes."""
    n, s = np.where(here, layer.at_risk, 1.0), layer.before
    trials = total[:, None] * s
    fewer = np.where(
        (own[:, None] > 1) & (trials > 1), 1.0 - (own[:, None] - 1) / np.where(trials > 1, trials - 1, 1.0), 1.0
    )
    mine = np.where(here & (own[:, None] > 0), fewer * s * own[:, None] / (total[:, None] * n), 0.0)
    d = layer.other
    fewer = np.where((d > 1) & (n > 1), 1.0 - (d - 1) / np.where(n > 1, n - 1, 1.0), 1.0)
    others = np.where(here & (layer.after > 0), fewer * s**2 * d / n**2, 0.0)
    return mine, others


def _findings(causes: Sequence[str], df: NDArray[np.intp], groups: int) -> tuple[Finding, ...]:
    message = (
        f"{groups} groups give fewer than {groups - 1} degrees of freedom: there are no churns by this cause, or some "
        "groups are never at risk together with others at one. Compare groups that overlap in tenure"
    )
    return tuple(
        Finding("groups-not-compared", "warning", cause, message, f"df {d}")
        for cause, d in zip(causes, df)
        if d < groups - 1
    )
