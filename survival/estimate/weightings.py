"""Weights of rank tests: which tenures count more when groups are compared."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from survival.errors import ArgumentError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Table:
    """The risk sets of one stratum, at its T event times over k groups.

    at_risk (T, k) weight at risk;  events (T, k) weight of churns;  total (T,) and churned (T,) their sums
    """

    at_risk: Floats
    events: Floats
    total: Floats
    churned: Floats


Weighting = Callable[[Table], Floats]


def _kept_before(table: Table) -> Floats:
    """Kaplan-Meier of all groups together just before each event time (T,)."""
    kept = np.cumprod(np.maximum(table.total - table.churned, 0.0) / table.total)
    return np.concatenate(([1.0], kept[:-1]))


def _peto(table: Table) -> Floats:
    """Peto & Peto's retention at each event time, which stays above 0: the product of 1 - d/(n+1)."""
    return np.cumprod(1 - table.churned / (table.total + 1), dtype=np.float64)


def fleming_harrington(p: float, q: float) -> Weighting:
    """S(t-)^p (1 - S(t-))^q: early differences with p, late ones with q; (0, 0) is the log-rank test."""

    def weight(table: Table) -> Floats:
        kept = _kept_before(table)
        return np.asarray(kept**p * (1 - kept) ** q)

    return weight


#: name -> weight (T,) of each event time
WEIGHTINGS: dict[str, Weighting] = {
    "logrank": lambda table: np.ones_like(table.total),
    "gehan": lambda table: table.total,
    "tarone-ware": lambda table: np.sqrt(table.total),
    "peto": _peto,
    "modified-peto": lambda table: _peto(table) * table.total / (table.total + 1),
}
MAX_COMBO = "max-combo"
COMBINED = (
    "fleming-harrington(0, 0)", "fleming-harrington(1, 0)", "fleming-harrington(0, 1)", "fleming-harrington(1, 1)",
)  # fmt: skip
_NUMBER = r"\s*(\d+\.?\d*|\.\d+)\s*"
_PATTERN = re.compile(rf"fleming-harrington\({_NUMBER},{_NUMBER}\)")


def weightings_of(name: str) -> list[tuple[str, Weighting]]:
    """The weightings that a name means, each with its own name: one, or the four of max-combo.

    ArgumentError with all names for one that is not there.
    """
    if name == MAX_COMBO:
        return [one for part in COMBINED for one in weightings_of(part)]
    if name in WEIGHTINGS:
        return [(name, WEIGHTINGS[name])]
    match = _PATTERN.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        allowed = ", ".join(map(repr, [*WEIGHTINGS, "fleming-harrington(p, q)", MAX_COMBO]))
        raise ArgumentError(f"weighting must be one of {allowed}; got {name!r}")
    p, q = (float(number) for number in match.groups())
    return [(f"fleming-harrington({p:g}, {q:g})", fleming_harrington(p, q))]
