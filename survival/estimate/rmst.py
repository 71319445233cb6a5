"""Restricted mean tenure by group: how many days of the first year a customer stays, on average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from survival.estimate.areas import RestrictedMeans
from survival.estimate.kaplan_meier import kaplan_meier


def rmst(
    frame: Any,
    horizon: float,
    stop: str = "stop",
    event: str = "event",
    start: str | None = None,
    by: str | Sequence[str] | None = None,
    weights: str | None = None,
    customer: str | None = None,
    spell: str | None = None,
    level: float = 0.95,
    order: Sequence[Any] | None = None,
) -> RestrictedMeans:
    """Mean days kept up to `horizon` (in the unit of tenure), by group: the area under the retention curve.

    The area starts at the smallest entry of the group. NaN, with a finding, for a horizon beyond the last
    exit or before the smallest entry. Arguments are those of `kaplan_meier`. Source: R's
    print.survfit(rmean =), Irwin 1949.
    """
    curves = kaplan_meier(frame, stop, event, start, by, weights, customer, spell, level, order=order)
    return curves.restricted_means(horizon)
