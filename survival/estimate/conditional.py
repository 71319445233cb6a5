"""What is ahead of a customer who is still here: conditional retention, mean residual tenure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from survival.estimate.intervals import normal_quantile, retention_interval

if TYPE_CHECKING:
    from survival.estimate.curves import Curve

Floats = NDArray[np.float64]


def conditional(curve: Curve, given: float, level: float, interval: str) -> dict[str, Any]:
    """Rows of one curve after `given`: by, given, tenure, at_risk, events, retention, se, ci_lower, ci_upper.

    retention is S(t) / S(given) with Greenwood's sum over the events in between: the curve started anew at `given`, at 1
    on its first row.
    """
    risk, time = curve.risk, curve.risk.time[: curve.rows]
    row = int(np.searchsorted(time, given, side="right")) - 1
    known = curve.entry <= given <= curve.end and curve.retention[row] > 0
    later = slice(row + 1, curve.rows) if known else slice(0, 0)
    share = curve.retention[later] / curve.retention[row]
    variance = curve.variance[later] - curve.variance[row] if known else curve.variance[later]
    se = np.full(share.shape, np.nan)
    se[share > 0] = (share * np.sqrt(np.where(share > 0, variance, 0.0)))[share > 0]
    low, high = retention_interval(share, variance, level, interval)
    first = [1.0] if known else []

    def column(start: list[float], values: Floats) -> Floats:
        return np.concatenate((start if known else [], values))

    tenure = column([given], risk.time[later])
    return {
        "by": [risk.label] * tenure.size,
        "given": np.full(tenure.size, given),
        "tenure": tenure,
        "at_risk": column([float(risk.after[row])], risk.at_risk[later]),
        "events": column([0.0], risk.events[later]),
        "retention": column(first, share),
        "se": column([0.0], se),
        "ci_lower": column([np.nan], low),
        "ci_upper": column([np.nan], high),
    }


def mean_residual(curve: Curve, tenures: Floats, horizon: float, level: float) -> dict[str, Any]:
    """by, tenure, horizon, mean_residual, se, ci_lower, ci_upper: mean days between `tenures` (q,) and `horizon` kept.

    ∫ S(t) dt / S(u) from u to the horizon, for who is still here at u; the variance is that of a restricted mean, over
    the events after u. NaN beyond the curve, and where it has fallen to 0.
    """
    risk, rows = curve.risk, curve.rows
    time, retention = risk.time[:rows], curve.retention[:rows]
    inside = int(np.searchsorted(time, horizon, side="right"))
    pieces = retention[:inside] * np.diff(np.append(time[:inside], horizon))
    area = np.append(np.cumsum(pieces[::-1])[::-1], 0.0)  # from each row to the horizon
    n, d, left = risk.at_risk[:inside], risk.events[:inside], risk.left_over[:inside]
    step = np.zeros(inside)
    np.divide(d, n * left, out=step, where=(d > 0) & (left > 0))
    spread = np.append(np.cumsum((area[:-1] ** 2 * step)[::-1])[::-1], 0.0)
    row = np.clip(np.searchsorted(time, tenures, side="right") - 1, 0, max(inside - 1, 0))
    here, later = retention[row], np.minimum(row + 1, inside)
    known = (curve.entry <= tenures) & (tenures <= horizon) & (horizon <= curve.end) & (here > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(known, (area[row] - here * (tenures - time[row])) / here, np.nan)
        se = np.where(known, np.sqrt(spread[later]) / here, np.nan)
    z = normal_quantile(level)
    return {
        "by": [risk.label] * tenures.size,
        "tenure": tenures,
        "horizon": np.full(tenures.size, horizon),
        "mean_residual": mean,
        "se": se,
        "ci_lower": mean - z * se,
        "ci_upper": mean + z * se,
    }
