"""Covariates without a value: an error until the config says what to do with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pandas as pd

from survival.errors import EstimationError
from survival.findings import Finding

MISSING_LEVEL = "(missing)"
Missing = Literal["error", "drop", "level", "carry"]


def handled(frame: pd.DataFrame, names: Sequence[str], missing: Missing) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """The episodes without missing values in the columns `names`, and what that cost.

    `error` raises EstimationError naming each column with its count; `drop` leaves the episodes out; `level` gives text a
    level of its own, and raises for numbers, which have none; `carry` takes the last value known before in the spell, and
    leaves out what comes before the first.
    """
    counts = {name: int(frame[name].isna().sum()) for name in names}
    gaps = {name: n for name, n in counts.items() if n}
    if not gaps:
        return frame, ()
    if missing == "error":
        raise EstimationError(
            f"covariates without a value: {_listed(gaps, len(frame))}. Set `model.missing: drop` to leave those episodes out, "
            f"`level` to give text a level '{MISSING_LEVEL}', or `carry` to take the last value known before."
        )
    if missing == "level":
        return _levelled(frame, gaps), ()
    if missing == "carry":
        return _carried(frame, gaps)
    kept = frame.dropna(subset=list(gaps))
    lost = int(frame["event"].sum() - kept["event"].sum())
    message = (
        f"{len(frame) - len(kept):,} of {len(frame):,} episodes, with {lost:,} churns, have no value of a covariate and are left "
        "out (`missing: drop`). Compare with `missing: level`, or leave the covariate out of the formula."
    )
    return kept.reset_index(drop=True), (
        Finding("missing-dropped", "warning", ", ".join(gaps), message, _listed(gaps, len(frame))),
    )


def _levelled(frame: pd.DataFrame, gaps: dict[str, int]) -> pd.DataFrame:
    numbers = [name for name in gaps if pd.api.types.is_numeric_dtype(frame[name])]
    if numbers:
        raise EstimationError(
            f"`model.missing: level` cannot give a number a level: {_listed({n: gaps[n] for n in numbers}, len(frame))}. "
            "Use a threshold (a flag is never missing), `missing: drop`, or leave it out."
        )
    return frame.assign(**{name: frame[name].astype(object).fillna(MISSING_LEVEL) for name in gaps})


def _carried(frame: pd.DataFrame, gaps: dict[str, int]) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """The last value known before in the same spell of the customer; a frame has each spell's episodes in order."""
    names = list(gaps)
    empty = frame[names].isna()
    filled = frame[names].groupby([frame["customer"], frame["spell"]], sort=False).ffill()
    still = filled.isna().any(axis=1)
    carried = empty.any(axis=1) & ~still
    frame = frame.assign(**{name: filled[name] for name in names})
    message = (
        f"{_cost(frame, carried)} take the last known value of a covariate from earlier in the spell (`missing: carry`): "
        f"an answer that has expired speaks on. {_cost(frame, still)} have no earlier value and are left out. "
        "Compare with `missing: drop`."
    )
    severity: Literal["warning", "note"] = "warning" if still.any() else "note"
    finding = Finding("missing-carried", severity, ", ".join(gaps), message, _listed(gaps, len(frame)))
    return frame[~still].reset_index(drop=True), (finding,)


def _cost(frame: pd.DataFrame, rows: pd.Series) -> str:
    mine = frame[rows]
    days = int((mine["stop"] - mine["start"]).sum())
    return (
        f"{len(mine):,} of {len(frame):,} episodes, with {int(mine['event'].sum()):,} churns and {days:,} person-days,"
    )


def _listed(gaps: dict[str, int], total: int) -> str:
    return ", ".join(f"'{name}' in {n:,} of {total:,} episodes" for name, n in gaps.items())
