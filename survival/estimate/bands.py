"""Simultaneous bands of retention curves: the whole curve lies inside with the stated confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survival.errors import ArgumentError
from survival.estimate.crossing import equal_precision_critical, hall_wellner_critical
from survival.estimate.intervals import retention_interval, retention_limits

if TYPE_CHECKING:
    from survival.estimate.curves import Curve

Floats = NDArray[np.float64]
BandKind = Literal["equal-precision", "hall-wellner"]
KINDS = ("equal-precision", "hall-wellner")
EDGES = (0.05, 0.95)  # an equal-precision band needs a range of a inside (0, 1); Nair's advice


def band(
    curve: Curve, kind: str, level: float, interval: str, since: float | None, until: float | None
) -> pd.DataFrame:
    """Rows of one curve: by, tenure, retention, pointwise ci_lower, ci_upper, band_lower, band_upper, critical_value.

    See `Curves.band`.
    """
    n = float(curve.risk.entered.sum())
    rows = _rows(curve, kind, n, since, until)
    low, high = (np.full(curve.retention.size, np.nan) for _ in range(2))
    critical = np.nan
    if rows.any():
        spread, critical = _spread(curve.variance[rows], kind, level, n)
        low[rows], high[rows] = retention_limits(curve.retention[rows], spread, interval)
    pointwise = retention_interval(curve.retention, curve.variance, level, interval)
    return pd.DataFrame(
        {
            "by": [curve.risk.label] * curve.retention.size,
            "tenure": curve.risk.time,
            "retention": curve.retention,
            "ci_lower": pointwise[0],
            "ci_upper": pointwise[1],
            "band_lower": low,
            "band_upper": high,
            "critical_value": critical,
        }
    )


def _rows(curve: Curve, kind: str, n: float, since: float | None, until: float | None) -> NDArray[np.bool_]:
    """Rows (m,) that the band covers: where the curve has fallen and not to 0, within the range."""
    time, variance = curve.risk.time, curve.variance
    rows = (variance > 0) & np.isfinite(variance) & (curve.retention > 0)
    if since is not None and until is not None and since >= until:
        raise ArgumentError(f"since must be before until; got {since!r} and {until!r}")
    share = np.where(rows, n * variance / (1 + n * np.where(rows, variance, 0.0)), np.nan)
    if since is not None:
        rows &= time >= since
    elif kind == "equal-precision":
        rows &= ~(share < EDGES[0])
    if until is not None:
        rows &= time <= until
    elif kind == "equal-precision":
        rows &= ~(share > EDGES[1])
    return rows


def _spread(variance: Floats, kind: str, level: float, n: float) -> tuple[Floats, float]:
    """Half-width on the scale of log retention (r,) and the critical value; `variance` (r,) increases.

    a = nσ² / (1 + nσ²). √n (log Ŝ - log S) is W(nσ²) in the limit, and (1 - a) W(a / (1 - a)) a Brownian bridge.
    """
    share = n * variance / (1 + n * variance)
    low, high = float(share[0]), float(share[-1])
    if kind == "hall-wellner":
        critical = hall_wellner_critical(level, low, high)
        return critical * (1 + n * variance) / np.sqrt(n), critical
    critical = equal_precision_critical(level, low, high)
    return critical * np.sqrt(variance), critical
