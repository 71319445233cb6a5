"""Cumulative incidence by cause of churn: Aalen-Johansen, with late entry, weights, variance and intervals.

One minus a Kaplan-Meier curve that censors the other causes is not the share lost to a cause: over the causes it adds up
to more than everybody who left. These shares add up to one minus retention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from survival.errors import ArgumentError
from survival.estimate.causes import CAUSE, CauseCounts, Causes, cause_counts
from survival.estimate.cohort_counts import counts
from survival.estimate.intervals import normal_quantile, one_of
from survival.estimate.kaplan_meier import product_limit
from survival.findings import Finding

Floats = NDArray[np.float64]
INTERVALS = ("log-log", "log", "plain")


@dataclass(frozen=True, eq=False)
class GroupIncidence:
    """One group: C causes over the m rows of its risk sets; NaN where the curves have ended.

    incidence (C, m) share lost to each cause by the tenure of the row; retention (m,) what none of them took;
    variance (C, m) of incidence; rows: how many before the risk set empties
    """

    counts: CauseCounts
    incidence: Floats
    retention: Floats
    variance: Floats
    rows: int

    def __post_init__(self) -> None:
        for name in ("incidence", "retention", "variance"):
            getattr(self, name).flags.writeable = False


@dataclass(frozen=True, eq=False)
class Incidences:
    """Cumulative incidence by group and cause, with the options it was made with and what there is to say."""

    groups: tuple[GroupIncidence, ...]
    causes: tuple[str, ...]
    level: float
    interval: str
    findings: tuple[Finding, ...]

    def tidy(self) -> pd.DataFrame:
        """A row for each group, cause and tenure with an entry, a churn or a censoring.

        by, cause, tenure, at_risk, events, incidence, se, ci_lower, ci_upper. events are of the cause; se is of the
        incidence; no interval (NaN) where it is 0 or 1. At each tenure the causes and retention add up to 1.
        """
        parts = [self._rows(group, i) for group in self.groups for i in range(len(self.causes))]
        table = pd.concat(parts, ignore_index=True)
        for name in ("at_risk", "events"):
            table[name] = counts(table[name].to_numpy(float))
        return table

    def at(self, tenures: ArrayLike) -> pd.DataFrame:
        """Incidence at fixed tenures: by, cause, tenure, incidence, se, ci_lower, ci_upper.

        NaN below the smallest entry and beyond the last exit of a group.
        """
        wanted = np.atleast_1d(np.asarray(tenures, np.float64))
        if wanted.ndim != 1 or not np.isfinite(wanted).all():
            raise ArgumentError(f"tenures must be finite numbers; got {tenures!r}")
        parts = []
        for group in self.groups:
            time = group.counts.risk.time
            row = np.searchsorted(time, wanted, side="right") - 1
            known = (wanted >= time[0]) & (wanted <= time[group.rows - 1])
            for i in range(len(self.causes)):
                rows = self._rows(group, i).drop(columns=["at_risk", "events"]).iloc[np.maximum(row, 0)]
                rows = rows.assign(tenure=wanted)
                rows.loc[~known, ["incidence", "se", "ci_lower", "ci_upper"]] = np.nan
                parts.append(rows)
        return pd.concat(parts, ignore_index=True)

    def _rows(self, group: GroupIncidence, i: int) -> pd.DataFrame:
        se = np.sqrt(group.variance[i])
        low, high = incidence_interval(group.incidence[i], se, self.level, self.interval)
        risk = group.counts.risk
        return pd.DataFrame(
            {
                "by": [risk.label] * risk.time.size,
                "cause": self.causes[i],
                "tenure": risk.time,
                "at_risk": risk.at_risk,
                "events": group.counts.events[i],
                "incidence": group.incidence[i],
                "se": se,
                "ci_lower": low,
                "ci_upper": high,
            }
        )

    def __repr__(self) -> str:
        groups = ", ".join(str(group.counts.risk.label) for group in self.groups)
        return f"Incidences({groups}; causes {', '.join(self.causes)}; {self.level:g} {self.interval} intervals)"


def cumulative_incidence(
    frame: Any,
    cause: str = CAUSE,
    stop: str = "stop",
    event: str | None = "event",
    start: str | None = None,
    by: str | Sequence[str] | None = None,
    weights: str | None = None,
    customer: str | None = None,
    spell: str | None = None,
    level: float = 0.95,
    interval: str = "log-log",
    order: Sequence[Any] | None = None,
) -> Incidences:
    """The share of customers lost to each cause by each tenure, one set of curves a group (Aalen-Johansen).

    `frame` holds episodes (start, stop] with a column `cause` that names the cause of each event (an event without one is
    `(unknown)`), or is Flows counted with causes=True. `event=None`: a row has an event where it names a cause. Other
    arguments are those of `kaplan_meier`. The variance is Greenwood's, carried to several causes: multinomial steps of the
    risk sets. Late entry enters through the risk sets.

    Intervals: log-log, log(-log F); log; plain. Raises ArgumentError, StructureError, NoEventsError.
    Source: Aalen & Johansen 1978; R's survfit with a factor as event. R's standard errors are the infinitesimal
    jackknife: the same when all enter together with one weight, close otherwise.
    """
    one_of(interval, INTERVALS, "interval")
    normal_quantile(level)
    found = cause_counts(
        frame, cause, stop, event, start, by=by, weights=weights, customer=customer, spell=spell, order=order
    )
    groups = tuple(_incidence(one) for one in found.groups)
    return Incidences(groups, found.labels, level, interval, found.findings + tuple(_findings(found, groups)))


def _incidence(group: CauseCounts) -> GroupIncidence:
    risk = group.risk
    retention, _ = product_limit(risk.at_risk, risk.events, risk.left_over)
    before = np.concatenate(([1.0], retention[:-1]))
    safe = np.where(risk.at_risk > 0, risk.at_risk, 1.0)
    incidence = np.cumsum(before * group.events / safe, axis=1)
    variance = _variance(incidence, before, group.events, risk.events, safe, risk.left_over)
    empty = np.flatnonzero(risk.after[:-1] == 0)
    rows = int(empty[0]) + 1 if empty.size else risk.time.size
    for array in (incidence, variance):
        array[:, rows:] = np.nan
    retention[rows:] = np.nan
    return GroupIncidence(group, incidence, retention, variance, rows)


def _variance(incidence: Floats, before: Floats, events: Floats, all_events: Floats, n: Floats, left: Floats) -> Floats:
    """Variance (C, m): the sum over u <= t of the step's variance, carried forward to t.

    A step at u moves F(t) by S(u-)/n for who leaves by the cause, and by -(F(t) - F(u)) / (1 - d/n) / n for all who leave:
    V(t) = Σ S²d(n - d)/n³ - 2 Σ (F(t) - F(u)) S d/n² + Σ (F(t) - F(u))² D/(n(n - D)), d of the cause, D of all.
    """
    own = before**2 * events * (n - events) / n**3
    cross = before * events / n**2
    common = np.divide(all_events, n * left, out=np.zeros_like(n), where=left > 0)

    def total(values: Floats) -> Floats:
        return np.cumsum(values, axis=-1)

    f = incidence
    return np.maximum(
        total(own) - 2 * (f * total(cross) - total(f * cross))
        + f**2 * total(common) - 2 * f * total(f * common) + total(f**2 * common),
        0.0,
    )  # fmt: skip


def incidence_interval(f: Floats, se: Floats, level: float, interval: str) -> tuple[Floats, Floats]:
    """Interval (m,), (m,) of an incidence inside (0, 1); NaN at 0 and 1. Source: R's survfit_confint."""
    z = normal_quantile(level)
    low, high = np.full(f.shape, np.nan), np.full(f.shape, np.nan)
    inside = (f > 0) & (f < 1) & (se > 0)
    p, s = f[inside], se[inside]
    if interval == "plain":
        low[inside], high[inside] = np.maximum(p - z * s, 0.0), np.minimum(p + z * s, 1.0)
    elif interval == "log":
        low[inside], high[inside] = p * np.exp(-z * s / p), np.minimum(p * np.exp(z * s / p), 1.0)
    else:
        spread = z * s / (p * np.log(p))
        low[inside], high[inside] = p ** np.exp(-spread), p ** np.exp(spread)
    return low, high


def _findings(found: Causes, groups: Sequence[GroupIncidence]) -> list[Finding]:
    notes = []
    for group in groups:
        risk = group.counts.risk
        if group.rows < risk.time.size:
            end, back = float(risk.time[group.rows - 1]), float(risk.time[group.rows])
            message = f"nobody is at risk between tenure {end:g} and {back:g}: the curves end at {end:g}. Start later"
            notes.append(Finding("risk-set-empties", "warning", str(risk.label), message, f"{end:g} to {back:g}"))
    return notes
