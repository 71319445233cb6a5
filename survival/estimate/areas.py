"""Areas under retention curves: restricted mean tenure with the standard error of the estimate."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from survival.errors import ArgumentError
from survival.estimate.adjustments import adjusted
from survival.estimate.comparisons import Comparisons, different_entry
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
    """Restricted means of all groups up to one horizon; `entries` are where their areas start."""

    means: tuple[RestrictedMean, ...]
    horizon: float
    level: float
    findings: tuple[Finding, ...]
    entries: tuple[float, ...]

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

    def differences(self, adjust: str = "holm") -> Comparisons:
        """Every two groups, the later minus, and divided by, the earlier in their order.

        .tidy(): cohort_a, cohort_b, horizon, rmst_a, rmst_b, difference (b - a), se, ci_lower, ci_upper, p, p_adjusted,
        ratio (b / a), ratio_lower, ratio_upper, ratio_p, ratio_p_adjusted, level. The ratio's interval and test are those of
        its logarithm. p is adjusted over the pairs. Groups first observed at different tenures are not compared (NaN, with a
        finding). Source: R's survRM2::rmst2 (Uno et al. 2014), whose arm 1 is b.
        """
        if len(self.means) < 2:
            raise ArgumentError("differences compare groups: there is only one")
        pairs = list(combinations(range(len(self.means)), 2))
        table = pd.DataFrame([self._pair(a, b) for a, b in pairs])
        table.insert(10, "p_adjusted", adjusted(table["p"].to_numpy(float), adjust))
        table["ratio_p_adjusted"] = adjusted(table["ratio_p"].to_numpy(float), adjust)
        table["level"] = self.level
        return Comparisons(table, different_entry(self.entries))

    def _pair(self, one: int, two: int) -> dict[str, Any]:
        a, b = self.means[one], self.means[two]
        z, nan = normal_quantile(self.level), float("nan")
        same = self.entries[one] == self.entries[two]
        difference, se = (b.mean - a.mean, float(np.hypot(a.se, b.se))) if same else (nan, nan)
        shared = same and a.mean > 0 and b.mean > 0
        ratio = float(np.log(b.mean / a.mean)) if shared else nan
        spread = float(np.hypot(a.se / a.mean, b.se / b.mean)) if shared else nan
        return {
            "cohort_a": a.label,
            "cohort_b": b.label,
            "horizon": self.horizon,
            "rmst_a": a.mean,
            "rmst_b": b.mean,
            "difference": difference,
            "se": se,
            "ci_lower": difference - z * se,
            "ci_upper": difference + z * se,
            "p": _two_sided(difference, se),
            "ratio": float(np.exp(ratio)),
            "ratio_lower": float(np.exp(ratio - z * spread)),
            "ratio_upper": float(np.exp(ratio + z * spread)),
            "ratio_p": _two_sided(ratio, spread),
        }


def _two_sided(estimate: float, se: float) -> float:
    return float(2 * ndtr(-abs(estimate) / se)) if se > 0 else float("nan")


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
