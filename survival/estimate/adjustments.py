"""p values of several tests at once: Holm's, Benjamini and Hochberg's, Bonferroni's adjustment."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from survival.estimate.intervals import one_of

Floats = NDArray[np.float64]
ADJUSTMENTS = ("holm", "bh", "bonferroni", "none")


def adjusted(p: Floats, method: str) -> Floats:
    """Adjusted p values (m,); a missing one (NaN) is no test. Source: R's p.adjust."""
    one_of(method, ADJUSTMENTS, "adjust")
    out = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    out[tested] = _METHODS[method](p[tested])
    return out


def holm(p: Floats) -> Floats:
    """Holm's step-down adjustment of p values (m,), some of them perhaps missing (NaN)."""
    return adjusted(p, "holm")


def _holm(p: Floats) -> Floats:
    order = np.argsort(p, kind="stable")
    out = np.empty_like(p)
    out[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)), 1.0)
    return out


def _bh(p: Floats) -> Floats:
    order = np.argsort(-p, kind="stable")
    out = np.empty_like(p)
    out[order] = np.minimum(np.minimum.accumulate(p[order] * p.size / np.arange(p.size, 0, -1)), 1.0)
    return out


def _bonferroni(p: Floats) -> Floats:
    return np.minimum(p * p.size, 1.0)


def _none(p: Floats) -> Floats:
    return p.copy()


_METHODS: dict[str, Callable[[Floats], Floats]] = {"holm": _holm, "bh": _bh, "bonferroni": _bonferroni, "none": _none}
