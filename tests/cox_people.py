"""Customers with a number, a flag and a plan, whose churn depends on the first two."""

from __future__ import annotations

import numpy as np
import pandas as pd


def people(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    x, flag = rng.normal(size=n), rng.integers(0, 2, n)
    wait = np.ceil(rng.exponential(20 * np.exp(-0.5 * x - 0.3 * flag)))
    stop = np.minimum(wait, rng.integers(5, 40, n))
    frame = pd.DataFrame(
        {"customer": np.arange(n), "start": 0.0, "stop": stop, "event": wait <= stop, "x": x, "flag": flag}
    )
    return frame.assign(plan=rng.choice(["basic", "pro", "trial"], n))
