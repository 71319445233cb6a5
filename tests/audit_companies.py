"""Small companies with a known truth for the tests of the audit: drawn at once, no loop over customers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survival import cox, episodes, parse_definition, parse_indicator, spells, tables_from_frames
from survival.audit import Case, audit
from survival.churn import Spells
from survival.data import Tables
from survival.episodes import BuiltEpisodes
from survival.findings import Finding

FIRST, UNTIL = dt.date(2022, 1, 1), dt.date(2023, 12, 31)
DAYS = (UNTIL - FIRST).days


def date(day: NDArray[Any]) -> Any:
    """Days since FIRST as dates; NaN: none."""
    days = np.asarray(day, float)
    known = ~np.isnan(days)
    dates = np.full(days.shape, "NaT", "datetime64[D]")
    dates[known] = np.datetime64(FIRST) + days[known].astype("timedelta64[D]")
    return pd.Series(dates.astype("datetime64[s]"))


@dataclass(frozen=True)
class Company:
    """n customers who sign up evenly over the two years and leave at a constant rate; usage has nothing to do with it.

    signup (n,) days since FIRST; life (n,) days until they leave, whether or not that is observed
    """

    rng: np.random.Generator
    signup: NDArray[np.int64]
    life: NDArray[np.int64]

    @property
    def n(self) -> int:
        return self.signup.size

    @property
    def left(self) -> NDArray[np.bool_]:
        return self.signup + self.life <= DAYS

    @property
    def stays(self) -> NDArray[np.int64]:
        """Days as a customer that are observed."""
        return np.minimum(self.life, DAYS - self.signup)

    def customers(self, **attributes: Any) -> pd.DataFrame:
        ids = [f"c{i:05d}" for i in range(self.n)]
        return pd.DataFrame({"customer_id": ids, "signed_up_on": date(self.signup), **attributes})

    def subscriptions(self, **columns: Any) -> pd.DataFrame:
        ended = date(np.where(self.left, self.signup + self.life, np.nan))
        frame = pd.DataFrame({"started_on": date(self.signup), "ended_on": ended, "plan": "basic", **columns})
        frame.insert(0, "customer_id", self.customers()["customer_id"])
        return frame

    def usage(self, a_day: float = 0.2, until: int = DAYS) -> pd.DataFrame:
        """Uses at the same rate all the time, whatever becomes of the customer."""
        count = self.rng.poisson(a_day * (self.stays + 1))
        who = np.repeat(np.arange(self.n), count)
        day = self.signup[who] + (self.rng.random(who.size) * (self.stays[who] + 1)).astype(int)
        rows = pd.DataFrame({"customer_id": [f"c{i:05d}" for i in who], "used_on": date(day)})
        return rows[day <= until].reset_index(drop=True)

    def tables(self, frames: dict[str, pd.DataFrame] | None = None, **options: Any) -> Tables:
        made = frames or {"customers": self.customers(), "subscriptions": self.subscriptions()}
        return tables_from_frames(made, **{"until": UNTIL, **options})


def company(seed: int, n: int = 1500, days: float = 300.0, longest: int = DAYS) -> Company:
    """`days`: mean life."""
    rng = np.random.default_rng(seed)
    signup = np.sort(rng.integers(0, longest, n))
    return Company(rng, signup, 1 + rng.exponential(days, n).astype(int))


def found(
    made: Spells, built: BuiltEpisodes | None = None, formula: str = "", **options: Any
) -> dict[str, list[Finding]]:
    """id -> findings, those of tables, definition and indicators with those of the audit."""
    result: dict[str, list[Finding]] = {}
    for finding in (*made.tables.findings, *made.findings, *audit(Case(made, built, formula, **options))):
        result.setdefault(finding.id, []).append(finding)
    return result


def grave(findings: dict[str, list[Finding]]) -> set[str]:
    """The ids of what is no note."""
    return {id_ for id_, each in findings.items() if any(f.severity != "note" for f in each)}


def of_cancellation(tables: Tables, **options: Any) -> Spells:
    return spells(tables, parse_definition({"kind": "cancellation", **options}))


def built(made: Spells, attributes: Sequence[str] = (), **indicators: dict[str, Any]) -> BuiltEpisodes:
    """Episodes with indicators as a config would write them."""
    parsed = {name: parse_indicator(value) for name, value in indicators.items()}
    return episodes(made, parsed, attributes=attributes).build()


def hazard_ratio(episodes_: BuiltEpisodes, formula: str, **options: Any) -> float:
    """The hazard ratio of the first coefficient."""
    fit = cox(episodes_.frame(), formula, start="start", customer="customer", **options)
    return float(fit.tidy()["hazard_ratio"].iloc[0])


def retention(made: Spells, tenure: int) -> float:
    """The Kaplan-Meier curve at a tenure."""
    from survival import flows, kaplan_meier

    return float(kaplan_meier(flows(made)).at([tenure])["retention"].iloc[0])
