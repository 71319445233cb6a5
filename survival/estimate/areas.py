"""Areas under retention curves: restricted mean tenure with the standard error of the estimate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survival.estimate.intervals import normal_quantile
from survival.findings import Finding

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RestrictedMean:
    """One group's restricted mean and its standard error, in the unit of tenure; NaN when it is not known."""

    label: Any
    mean: float
    se: float


@dataclass(frozen=True)
class RestrictedMeans:
    """Restricted means of all groups up to one horizon."""

    means: tuple[RestrictedMean, ...]
    horizon: float
    level: float
    findings: tuple[Finding, ...]

    def tidy(self) -> pd.DataFrame:
        """by, horizon, rmst, se, ci_lower, ci_upper; se is of the estimate, the interval is rmst ± z se."""
        z = normal_quantile(self.level)
        mean = np.array([one.mean for one in self.means])
        se = np.array([one.se for one in self.means])
        return pd.DataFrame(
            {
                "by": [one.label for one in self.means],
                "horizon": self.horizon,
                "rmst": mean,
                "se": se,
                "ci_lower": mean - z * se,
                "ci_upper": mean + z * se,
            }
        )


def area(
    time: Floats, retention: Floats, at_risk: Floats, events: Floats, left_over: Floats, horizon: float
) -> tuple[float, float]:
    """Area A(time[0], horizon) under a curve given at times (m,), and the standard error of this estimate.

    Its variance is Σ A(t_i, horizon)² d_i / (n_i (n_i - d_i)) over the event times t_i <= horizon; after
    the last customer nothing is left to vary. Source: R's survmean; Klein & Moeschberger 2003, section 4.5.
    """
    inside = slice(0, int(np.searchsorted(time, horizon, side="right")))
    pieces = retention[inside] * np.diff(np.append(time[inside], horizon))
    beyond = np.cumsum(pieces[::-1])[::-1]
    n, d, left = at_risk[inside], events[inside], left_over[inside]
    use = (d > 0) & (left > 0)
    variance = beyond[use] ** 2 @ (d[use] / (n[use] * left[use]))
    return float(pieces.sum()), float(np.sqrt(variance))
