"""Kaplan-Meier retention curves with Greenwood's variance; late entry, weights, several rows a customer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from survival.estimate.cohort_counts import CohortCounts, Counts
from survival.estimate.curves import Curve, Curves
from survival.estimate.influence import Rows, counts_and_rows, robust_variance
from survival.estimate.intervals import INTERVALS, Interval, normal_quantile, one_of
from survival.findings import Finding
from survival.flows.table import Flows

Floats = NDArray[np.float64]


def kaplan_meier(
    frame: Any,
    stop: str = "stop",
    event: str = "event",
    start: str | None = None,
    by: str | Sequence[str] | None = None,
    weights: str | None = None,
    customer: str | None = None,
    spell: str | None = None,
    level: float = 0.95,
    interval: Interval = "log-log",
    order: Sequence[Any] | None = None,
    robust: bool | None = None,
    cluster: str | None = None,
) -> Curves:
    """Retention by tenure, one curve a group: the share of customers who have not churned.

    `frame` holds episodes (start, stop] or is `Flows`. Without `start` everybody enters at 0. A curve
    starts at 1 at the smallest entry of its group. With `customer`, cuts between two episodes of a customer
    are neither entry nor censoring. `order` fixes the order of the groups.

    Whole weights count customers, and variances are Greenwood's. They are the infinitesimal jackknife by customer (R's
    survfit(robust = TRUE, id =)) with `robust` True; with weights that are no counts (revenue, shares); and when a customer
    has several spells in a group, which are no independent customers. With `cluster` they add up by that column (accounts of
    one company; R's survfit(cluster =)). `robust` False asks for Greenwood's formula all the same. Flows hold no customers:
    they have Greenwood's only, which takes every spell for a customer of its own.

    Raises ArgumentError and StructureError (see `episode_arrays`). Source: R's survfit; Kaplan & Meier 1958.
    """
    one_of(interval, INTERVALS, "interval")
    normal_quantile(level)
    sets, rows = counts_and_rows(
        frame, stop, event, start, by=by, weights=weights, customer=customer, spell=spell, order=order, robust=robust,
        cluster=cluster,
    )  # fmt: skip
    return curves_of_counts(sets, rows, frame, level, interval)


def curves_of_counts(
    sets: Counts, rows: dict[int, Rows] | None, frame: Any, level: float, interval: Interval
) -> Curves:
    """The curves of counts; with the `rows` of each group variances add up by customer."""
    curves = tuple(_curve(risk, None if rows is None else rows[risk.number]) for risk in sets)
    findings = [finding for curve in curves for finding in _findings(curve)]
    said = (*sets.findings, *findings, *_one_cause_only(frame))
    return Curves(curves, level, interval, said, rows is not None)


def _one_cause_only(frame: Any) -> tuple[Finding, ...]:
    """A curve that censors the other causes is not the share kept from this one: it is drawn, but not silently."""
    cause = frame.only if isinstance(frame, Flows) else ""
    if not cause:
        return ()
    message = (
        f"churns by '{cause}' only; who left by another cause counts as censored. One minus this curve is not the share of "
        "customers lost to the cause (over all causes such shares add up to more than everybody who left): use "
        "cumulative_incidence"
    )
    return (Finding("competing-causes", "warning", cause, message),)


def product_limit(at_risk: Floats, events: Floats, left_over: Floats) -> tuple[Floats, Floats]:
    """Retention (m,) and Greenwood's sum (m,), the variance of its logarithm (infinite once retention is 0)."""
    share = np.ones_like(at_risk)
    np.divide(left_over, at_risk, out=share, where=at_risk > 0)
    step = np.zeros_like(at_risk)
    here = events > 0
    with np.errstate(divide="ignore"):
        step[here] = events[here] / (at_risk[here] * left_over[here])
    return np.cumprod(share, dtype=np.float64), np.cumsum(step, dtype=np.float64)


def _curve(risk: CohortCounts, rows_at_risk: Rows | None) -> Curve:
    retention, variance = product_limit(risk.at_risk, risk.events, risk.left_over)
    if rows_at_risk is not None:
        variance = np.where(retention > 0, robust_variance(rows_at_risk, risk), np.inf)
    empty = np.flatnonzero(risk.after[:-1] == 0)
    rows = int(empty[0]) + 1 if empty.size else risk.time.size
    retention[rows:] = np.nan
    variance[rows:] = np.nan
    return Curve(risk, retention, variance, rows)


def _findings(curve: Curve) -> list[Finding]:
    risk, end = curve.risk, float(curve.risk.time[curve.rows - 1])
    if curve.rows < risk.time.size:
        back = float(risk.time[curve.rows])
        message = (
            f"nobody is at risk between tenure {end:g} and {back:g}: the curve ends at {end:g}. "
            "Start later, or compare on what is left"
        )
        return [Finding("risk-set-empties", "warning", str(risk.label), message, f"{end:g} to {back:g}")]
    zero = np.flatnonzero((curve.retention == 0) & (risk.after > 0))
    if not zero.size:
        return []
    tenure, others = float(risk.time[zero[0]]), float(risk.after[zero].max())
    message = (
        f"everybody at risk at tenure {tenure:g} churned while others entered: retention is 0 from there on, "
        f"with up to {others:g} still at risk. Few were at risk early; start later"
    )
    return [Finding("risk-set-empties", "warning", str(risk.label), message, f"{tenure:g}")]
