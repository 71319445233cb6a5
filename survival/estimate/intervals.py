"""Pointwise confidence intervals, as R's survfit makes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from survival.errors import ArgumentError

Floats = NDArray[np.float64]
Interval = Literal["log-log", "log", "plain"]
INTERVALS: tuple[str, ...] = ("log-log", "log", "plain")


def normal_quantile(level: float) -> float:
    """The two-sided standard normal quantile of a confidence level; ArgumentError unless 0 < level < 1."""
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
        raise ArgumentError(f"level must be a share between 0 and 1, such as 0.95; got {level!r}")
    return float(ndtri(0.5 + level / 2))


def one_of(value: Any, allowed: Sequence[str], argument: str) -> None:
    """ArgumentError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ArgumentError(f"{argument} must be one of {', '.join(map(repr, allowed))}; got {value!r}")


def retention_interval(
    retention: Floats, variance: Floats, level: float, interval: str
) -> tuple[Floats, Floats]:
    """Interval (m,), (m,) of a retention curve; `variance` is Greenwood's sum, the variance of log retention.

    A curve at 1 or 0 has none (NaN); R gives [1, 1] there for `log` and `plain`. Source: R's survfit_confint.
    """
    one_of(interval, INTERVALS, "interval")
    z = normal_quantile(level)
    inside = (retention > 0) & (retention < 1)
    s, se = retention[inside], np.sqrt(variance[inside])
    if interval == "plain":
        low, high = np.maximum(s - z * se * s, 0.0), np.minimum(s + z * se * s, 1.0)
    elif interval == "log":
        low, high = s * np.exp(-z * se), np.minimum(s * np.exp(z * se), 1.0)
    else:
        spread = z * se / np.log(s)
        low, high = s ** np.exp(-spread), s ** np.exp(spread)
    return _placed(inside, low), _placed(inside, high)


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
