"""From rows read to rows fitted: customers, episodes, churns and person-days at each step, and why some were set aside."""

from __future__ import annotations

from typing import Any

import pandas as pd

from survival.churn import NOTHING_TO_LEAVE, Spells
from survival.episodes import BuiltEpisodes
from survival.errors import ConservationError

COLUMNS = ["definition", "step", "reason", "customers", "episodes", "churns", "person_days"]


def attrition(
    name: str, ledger: pd.DataFrame, spells: Spells, built: BuiltEpisodes | None, fitted: pd.DataFrame | None,
    lost: pd.DataFrame | None = None,
) -> pd.DataFrame:  # fmt: skip
    """One row a step (no reason), after one row for each reason why customers do not reach it.

    Steps: read, customers, with something to leave, at risk, and, where a model was fitted, episodes and fitted. `lost`: what was
    left out of the fit for each covariate without a value (`Handled.lost`). Raises
    ConservationError when the customers of a step and those set aside are not those of the step before.
    """
    rows = [*_of_tables(ledger), *_of_spells(spells.counts)]
    if built is not None:
        rows.append(_row("episodes", "", built.customers, built.rows, built.events, built.person_days))
    if built is not None and fitted is not None:
        rows += _of_fit(built, fitted, lost)
    frame = pd.DataFrame(rows, columns=COLUMNS[1:])
    frame.insert(0, "definition", name)
    _conserve(frame)
    return frame


def _row(
    step: str, reason: str, customers: Any, episodes: Any = None, churns: Any = None, person_days: Any = None
) -> list[Any]:
    return [step, reason, customers, episodes, churns, person_days]


def _of_tables(ledger: pd.DataFrame) -> list[list[Any]]:
    mine = ledger[ledger["table"] == "customers"]
    used = mine[mine["reason"] == "used"]["rows"].sum()
    aside = mine[(mine["reason"] != "used") & (mine["rows"] > 0)]
    reasons = [_row("customers", reason, rows) for reason, rows in zip(aside["reason"], aside["rows"])]
    return [_row("read", "", mine["rows"].sum()), *reasons, _row("customers", "", used)]


def _of_spells(counts: pd.DataFrame) -> list[list[Any]]:
    """`counts`: one row a reason (null: at risk) with customers, churns, person_days."""
    nothing = counts[counts["aside"] == NOTHING_TO_LEAVE]
    others = counts[counts["aside"].notna() & (counts["aside"] != NOTHING_TO_LEAVE)]
    risk = counts[counts["aside"].isna()]
    total = int(counts["customers"].sum())
    return [
        *(_row("with something to leave", r.aside, r.customers) for r in nothing.itertuples()),
        _row("with something to leave", "", total - int(nothing["customers"].sum())),
        *(_row("at risk", r.aside, r.customers, None, r.churns) for r in others.itertuples()),
        _row("at risk", "", risk["customers"].sum(), None, risk["churns"].sum(), risk["person_days"].sum()),
    ]


def _of_fit(built: BuiltEpisodes, fitted: pd.DataFrame, lost: pd.DataFrame | None) -> list[list[Any]]:
    """Raises ConservationError unless the episodes, churns and person-days fitted and left out are those built."""
    customers, churns = fitted["customer"].nunique(), int(fitted["event"].sum())
    days = int((fitted["stop"] - fitted["start"]).sum())
    gone = [] if lost is None else list(lost.itertuples(index=False))
    for what, there, here in (
        ("episodes", built.rows, len(fitted) + sum(int(r.episodes) for r in gone)),
        ("churns", built.events, churns + sum(int(r.churns) for r in gone)),
        ("person-days", built.person_days, days + sum(int(r.person_days) for r in gone)),
    ):
        if there != here:
            raise ConservationError(f"attrition: {there} {what} were built, {here} are fitted or left out")
    reasons = [
        _row("fitted", f"missing covariate: {r.covariate}", r.customers, r.episodes, int(r.churns), int(r.person_days))
        for r in gone
    ]
    return [*reasons, _row("fitted", "", customers, len(fitted), churns, days)]


def _conserve(frame: pd.DataFrame) -> None:
    kept = frame[frame["reason"] == ""].set_index("step")["customers"]
    aside = frame[frame["reason"] != ""].groupby("step")["customers"].sum()
    for before, after in zip(kept.index[:-1], kept.index[1:]):
        there, here = int(kept[before]), int(kept[after] + aside.get(after, 0))
        if there != here:
            raise ConservationError(
                f"attrition: {there} customers at '{before}', {here} kept or set aside at '{after}'"
            )
