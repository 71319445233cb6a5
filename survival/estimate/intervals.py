"""Confidence limits of retention and hazards, as R's survfit makes them; also the shape of simultaneous bands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from survival.errors import ArgumentError

Floats = NDArray[np.float64]
Interval = Literal["log-log", "log", "plain", "logit", "arcsin", "none"]
INTERVALS: tuple[str, ...] = ("log-log", "log", "plain", "logit", "arcsin", "none")


def normal_quantile(level: float) -> float:
    """The two-sided standard normal quantile of a confidence level; ArgumentError unless 0 < level < 1."""
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
        raise ArgumentError(f"level must be a share between 0 and 1, such as 0.95; got {level!r}")
    return float(ndtri(0.5 + level / 2))


def one_of(value: Any, allowed: Sequence[str], argument: str) -> None:
    """ArgumentError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ArgumentError(f"{argument} must be one of {', '.join(map(repr, allowed))}; got {value!r}")


def retention_interval(retention: Floats, variance: Floats, level: float, interval: str) -> tuple[Floats, Floats]:
    """Interval (m,), (m,) of a retention curve; `variance` is Greenwood's sum, the variance of log retention.

    A curve at 1 or 0 has none (NaN); R gives [1, 1] there for `log` and `plain`. Source: R's survfit_confint.
    """
    return retention_limits(retention, normal_quantile(level) * np.sqrt(variance), interval)


def retention_limits(retention: Floats, spread: Floats, interval: str) -> tuple[Floats, Floats]:
    """Limits (m,), (m,) at `spread` (m,) times the slope of a transformation g from g(retention).

    `spread` is a multiple of the standard error of log retention: z of them for an interval, more for a band. g is
    log(-log S), log S, S, log(S/(1-S)) or arcsin √S; `none` has no limits, nor has a curve at 1 or 0 (NaN).
    """
    one_of(interval, INTERVALS, "interval")
    inside = (retention > 0) & (retention < 1) & np.isfinite(spread)
    if interval == "none":
        inside[:] = False
    s, wide = retention[inside], spread[inside]
    low, high = _LIMITS[interval](s, wide)
    return _placed(inside, low), _placed(inside, high)


def _plain(s: Floats, wide: Floats) -> tuple[Floats, Floats]:
    return np.maximum(s - wide * s, 0.0), np.minimum(s + wide * s, 1.0)


def _log(s: Floats, wide: Floats) -> tuple[Floats, Floats]:
    return s * np.exp(-wide), np.minimum(s * np.exp(np.minimum(wide, _FAR)), 1.0)


def _log_log(s: Floats, wide: Floats) -> tuple[Floats, Floats]:
    power = np.minimum(-wide / np.log(s), _FAR)
    return s ** np.exp(power), s ** np.exp(-power)


def _logit(s: Floats, wide: Floats) -> tuple[Floats, Floats]:
    odds, wide = np.log(s) - np.log1p(-s), wide / (1 - s)
    return expit(odds - wide), expit(odds + wide)


def _arcsin(s: Floats, wide: Floats) -> tuple[Floats, Floats]:
    angle, wide = np.arcsin(np.sqrt(s)), wide * np.sqrt(s / (1 - s)) / 2
    return np.sin(np.maximum(angle - wide, 0.0)) ** 2, np.sin(np.minimum(angle + wide, np.pi / 2)) ** 2


_FAR = 700.0  # exp of more overflows
_LIMITS: dict[str, Callable[[Floats, Floats], tuple[Floats, Floats]]] = {
    "log-log": _log_log,
    "log": _log,
    "plain": _plain,
    "logit": _logit,
    "arcsin": _arcsin,
    "none": _plain,
}


def transformed(retention: Floats, spread: Floats, interval: str) -> tuple[Floats, Floats]:
    """g(retention) (m,) with g increasing, and its standard error (m,); `spread` is that of log retention.

    g as in `retention_limits`, with -log(-log S) for log-log; NaN where a curve is at 1 or 0.
    """
    one_of(interval, tuple(name for name in INTERVALS if name != "none"), "interval")
    inside = (retention > 0) & (retention < 1)
    s = np.where(inside, retention, np.nan)
    if interval == "plain":
        return s, s * spread
    if interval == "log":
        return np.log(s), spread + 0 * s
    if interval == "log-log":
        return -np.log(-np.log(s)), -spread / np.log(s)
    if interval == "logit":
        return np.log(s) - np.log1p(-s), spread / (1 - s)
    return np.arcsin(np.sqrt(s)), spread * np.sqrt(s / (1 - s)) / 2


def positive_interval(value: Floats, se: Floats, level: float, interval: str) -> tuple[Floats, Floats]:
    """Interval of something positive, a hazard: `log`, value·exp(±z se/value), or `plain`; none (NaN) at 0."""
    one_of(interval, ("log", "plain"), "interval")
    z = normal_quantile(level)
    inside = value > 0
    v, s = value[inside], se[inside]
    if interval == "plain":
        return _placed(inside, np.maximum(v - z * s, 0.0)), _placed(inside, v + z * s)
    return _placed(inside, v * np.exp(-z * s / v)), _placed(inside, v * np.exp(z * s / v))


def _placed(where: NDArray[np.bool_], values: Floats) -> Floats:
    full = np.full(where.shape, np.nan)
    full[where] = values
    return full
