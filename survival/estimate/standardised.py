"""Observed against expected churns: a ratio with an exact interval."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from survival.errors import ArgumentError
from survival.estimate.piecewise import poisson_limits


def observed_over_expected(observed: ArrayLike, expected: ArrayLike, level: float = 0.95) -> pd.DataFrame:
    """observed, expected, ratio, ci_lower, ci_upper of m counts; the interval is exact for a Poisson count (Garwood 1936).

    NaN where nothing was expected. Raises ArgumentError for negative numbers, or a level outside 0 to 1.
    """
    n, e = np.asarray(observed, np.float64), np.asarray(expected, np.float64)
    if (n < 0).any() or (e < 0).any():
        raise ArgumentError("observed_over_expected: counts cannot be negative")
    if not 0 < level < 1:
        raise ArgumentError(f"level must be between 0 and 1, such as 0.95; got {level!r}")
    low, high = poisson_limits(n, level)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio, lower, upper = (np.where(e > 0, x / e, np.nan) for x in (n, low, high))
    return pd.DataFrame({"observed": n, "expected": e, "ratio": ratio, "ci_lower": lower, "ci_upper": upper})
