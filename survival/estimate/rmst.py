"""Restricted mean tenure by group: how many days of the first year a customer stays, on average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from survival.estimate.areas import RestrictedMean, RestrictedMeans
from survival.estimate.curves import Curves
from survival.estimate.influence import Rows, counts_and_rows, robust_area_variance
from survival.estimate.intervals import normal_quantile
from survival.estimate.kaplan_meier import curves_of_counts
from survival.findings import Finding


def rmst(
    frame: Any,
    horizon: float | None = None,
    stop: str = "stop",
    event: str = "event",
    start: str | None = None,
    by: str | Sequence[str] | None = None,
    weights: str | None = None,
    customer: str | None = None,
    spell: str | None = None,
    level: float = 0.95,
    order: Sequence[Any] | None = None,
    robust: bool | None = None,
    cluster: str | None = None,
) -> RestrictedMeans:
    """Mean days kept up to `horizon` (in the unit of tenure), by group: the area under the retention curve.

    Without a horizon it is the longest that every group supports, the earliest of their last exits; a finding states it.
    The area starts at the smallest entry of the group. NaN, with a finding, for a horizon beyond the last exit or before
    the smallest entry. `.differences()` compares the groups. Arguments are those of `kaplan_meier`. Source: R's
    print.survfit(rmean =), Irwin 1949; for `robust` the influence of each customer on the area.
    """
    normal_quantile(level)
    sets, rows = counts_and_rows(
        frame, stop, event, start, by=by, weights=weights, customer=customer, spell=spell, order=order, robust=robust,
        cluster=cluster,
    )  # fmt: skip
    curves = curves_of_counts(sets, None, frame, level, "log-log")
    said: tuple[Finding, ...] = ()
    if horizon is None:
        horizon = min(curve.end for curve in curves.curves)
        said = (_chosen(curves, horizon),)
    means = curves.restricted_means(horizon)
    found = means.means if rows is None else tuple(_robust(mean, curves, rows, horizon) for mean in means.means)
    return RestrictedMeans(found, means.horizon, level, (*means.findings, *said), means.entries)


def _robust(mean: RestrictedMean, curves: Curves, rows: dict[int, Rows], horizon: float) -> RestrictedMean:
    if mean.mean != mean.mean:
        return mean
    (curve,) = (one for one in curves.curves if one.risk.label == mean.label)
    variance = robust_area_variance(rows[curve.risk.number], curve.risk, curve.retention, float(horizon))
    return RestrictedMean(mean.label, mean.mean, variance**0.5)


def _chosen(curves: Curves, horizon: float) -> Finding:
    shortest = next(curve for curve in curves.curves if curve.end == horizon)
    message = (
        f"means are within {horizon:g}, the longest tenure that every group reaches ({shortest.risk.label} ends there)"
    )
    return Finding("horizon-chosen", "note", str(shortest.risk.label), message, f"{horizon:g}")
