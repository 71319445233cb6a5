"""What a scenario is: dates, indicator definitions, true log hazard ratios and a baseline; and the registry of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from survival.errors import ArgumentError

_EPOCH = dt.date(1970, 1, 1)


def epoch_day(date: dt.date) -> int:
    """Days from 1970-01-01 to `date`."""
    return (date - _EPOCH).days


@dataclass(frozen=True)
class Scenario:
    """A company in numbers; everything that the truth of its churn consists of.

    logs_from, until   the observed days, both inside; usage, NPS and orders are complete between them
    history_days       the company's first signup is this many days before `logs_from`
    indicators         name -> definition, word for word as under `indicators:` in a config
    log_hazard_ratios  covariate -> true coefficient: every indicator, and `plan[T.*]` of the plan at signup
    baseline           (longest tenure + 1,) hazard per day at that tenure, all flags off and plan at its first level
    changes            day -> covariate -> what is added to its true coefficient from that day on
    """

    name: str
    description: str
    logs_from: dt.date
    until: dt.date
    history_days: int
    indicators: Mapping[str, Mapping[str, Any]]
    log_hazard_ratios: Mapping[str, float]
    baseline: NDArray[np.float64]
    changes: Mapping[dt.date, Mapping[str, float]] = field(default_factory=dict)

    def effects(self, day: int) -> dict[str, float]:
        """The true coefficients on an epoch day."""
        effects = dict(self.log_hazard_ratios)
        for since, added in self.changes.items():
            if day >= epoch_day(since):
                effects |= {name: effects.get(name, 0.0) + change for name, change in added.items()}
        return effects

    @property
    def first_day(self) -> int:
        """Epoch day of the company's first signup."""
        return epoch_day(self.logs_from) - self.history_days

    @property
    def last_day(self) -> int:
        """Epoch day of `until`."""
        return epoch_day(self.until)

    @property
    def formula(self) -> str:
        """The model that the hazard obeys: every indicator, and the plan at signup."""
        return " + ".join([*self.indicators, "plan"])


SCENARIOS: dict[str, Scenario] = {}


def register(company: Scenario) -> Scenario:
    """Make a scenario known by its name."""
    SCENARIOS[company.name] = company
    return company


def find_scenario(name: str) -> Scenario:
    """The scenario of that name; raises ArgumentError, naming those there are."""
    if name not in SCENARIOS:
        raise ArgumentError(f"scenario must be one of {', '.join(sorted(SCENARIOS))}; received {name!r}")
    return SCENARIOS[name]
