"""Reverse causality: what is seen at once but not some weeks earlier may be the decision, not its cause."""

from __future__ import annotations

import numpy as np
import pandas as pd

from survival.findings import Finding

_WEEKS = 28  # days of lag from which on a sign of the future is worth having
_STRONG, _FADED = np.log(1.5), 0.5  # log hazard ratio at lag 0; share of it that is left


def fading(profile: pd.DataFrame) -> tuple[Finding, ...]:
    """Covariates whose log hazard ratio falls below half when the indicators are read four weeks earlier or more.

    `profile`: lag, covariate, hazard_ratio; one definition.
    """
    wide = np.log(profile.pivot_table(index="covariate", columns="lag", values="hazard_ratio", sort=False))
    later = [lag for lag in wide.columns if lag >= _WEEKS]
    if 0 not in wide.columns or not later:
        return ()
    return tuple(
        _finding(str(name), float(row[0]), float(row[later[0]]), int(later[0]))
        for name, row in wide.iterrows()
        if abs(row[0]) >= _STRONG and row[later[0]] * np.sign(row[0]) < _FADED * abs(row[0])
    )


def _finding(name: str, now: float, then: float, lag: int) -> Finding:
    figure = f"HR {np.exp(now):.2f} at lag 0, {np.exp(then):.2f} at lag {lag}"
    message = (
        f"'{name}' fades when it is read earlier ({figure} days): it may come with the decision to leave instead of before it. Use it "
        "to foretell churn, and claim no cause"
    )
    return Finding("fades-with-lag", "note", name, message, figure)
