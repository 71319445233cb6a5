"""Who the customers are: when they signed up, their attributes, and the unseen traits that shape their facts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from survival.simulate.scenario import Scenario, epoch_day

PLANS = ("starter", "basic", "pro")  # in rising rank
PRICE = np.array([15.0, 29.0, 59.0])  # per seat and month
SEGMENTS = ("small", "mid", "enterprise")
CHANNELS = ("organic", "ads", "partner", "outbound")
COUNTRIES = ("US", "GB", "DE", "FR", "NO", "IN", "BR")
_EARLY_SHARE = 0.25  # signed up before the logs began
_PLAN_BY_SEGMENT = np.array([[0.50, 0.38, 0.12], [0.22, 0.48, 0.30], [0.05, 0.35, 0.60]])
_MOST_MEMBERS = 12  # of a customer's seats, so many members use the product


def stream(seed: int, name: str) -> np.random.Generator:
    """The random numbers of one process: a change in one process leaves the others' draws as they were."""
    return np.random.default_rng([seed, *name.encode()])


@dataclass(frozen=True, eq=False)
class Customers:
    """n customers in order of signup; every array has shape (n,). Traits are unseen: no table holds them.

    Traits act on facts only, never on leaving: given the indicators, the hazard does not know them.
    """

    signup: NDArray[np.int64]  # epoch day
    plan: NDArray[np.int8]  # index of PLANS, as of signup
    segment: NDArray[np.int8]
    channel: NDArray[np.int8]  # -1: unknown
    country: NDArray[np.int8]
    seats: NDArray[np.int32]
    annual: NDArray[np.bool_]  # pays by the year
    members: NDArray[np.int32]
    engagement: NDArray[np.float64]  # trait, standard normal
    mood: NDArray[np.float64]  # trait, standard normal, goes with engagement
    thrift: NDArray[np.float64]  # trait, standard normal: pays late

    @property
    def n(self) -> int:
        """How many customers."""
        return len(self.signup)


def draw_customers(company: Scenario, n: int, seed: int) -> Customers:
    """n customers of the company, drawn before anything happens."""
    rng = stream(seed, "customers")
    segment = rng.choice(len(SEGMENTS), n, p=[0.6, 0.3, 0.1]).astype(np.int8)
    plan = _choose(rng, _PLAN_BY_SEGMENT[segment])
    seats = np.ceil(np.array([3.0, 18.0, 70.0])[segment] * rng.lognormal(0.0, 0.6, n)).astype(np.int32)
    channel = rng.choice(len(CHANNELS), n, p=[0.4, 0.3, 0.2, 0.1]).astype(np.int8)
    channel[rng.random(n) < 0.015] = -1
    engagement = rng.standard_normal(n)
    return Customers(
        signup=_signups(rng, company, n),
        plan=plan,
        segment=segment,
        channel=channel,
        country=rng.choice(len(COUNTRIES), n, p=[0.4, 0.15, 0.12, 0.1, 0.08, 0.08, 0.07]).astype(np.int8),
        seats=seats,
        annual=rng.random(n) < np.array([0.15, 0.35, 0.6])[segment],
        members=np.minimum(seats, _MOST_MEMBERS),
        engagement=engagement,
        mood=0.5 * engagement + np.sqrt(0.75) * rng.standard_normal(n),
        thrift=rng.standard_normal(n),
    )


def _signups(rng: np.random.Generator, company: Scenario, n: int) -> NDArray[np.int64]:
    """Sorted signup days: a quarter before the logs began, the others evenly over the observed days."""
    begin = epoch_day(company.logs_from)
    early = rng.integers(company.first_day, begin, n)
    observed = rng.integers(begin, company.last_day + 1, n)
    return np.sort(np.where(rng.random(n) < _EARLY_SHARE, early, observed))


def _choose(rng: np.random.Generator, probabilities: NDArray[np.float64]) -> NDArray[np.int8]:
    """One category per row of `probabilities` (n, k)."""
    steps = np.cumsum(probabilities, axis=1)[:, :-1]
    return (rng.random(len(steps))[:, None] >= steps).sum(axis=1).astype(np.int8)
