"""Covariates without a value: an error until the config says what to do with them, with all or with each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BeforeValidator

from survival.errors import EstimationError
from survival.estimate.design import MISSING_LEVEL
from survival.experiment.problems import suggestion
from survival.findings import Finding

Policy = Literal["error", "drop", "level", "carry"]
POLICIES: tuple[Policy, ...] = ("error", "drop", "level", "carry")


def _known(value: Any) -> Any:
    """One message, where pydantic has one for each of the types."""
    for policy in value.values() if isinstance(value, Mapping) else [value]:
        if policy not in POLICIES:
            raise ValueError(
                f"got {policy!r}.{suggestion(str(policy), POLICIES)} Allowed: {', '.join(POLICIES)}, for all covariates or for each, as "
                "in {seats: drop, plan: level}"
            )
    return value


Missing = Annotated[Policy | dict[str, Policy], BeforeValidator(_known)]


@dataclass(frozen=True, eq=False)
class Handled:
    """The episodes without missing values, and what that cost.

    gaps: a row for each covariate with missing values: covariate, policy, episodes (without a value), left_out, filled;
    lost: a row for each covariate for which episodes are left out: covariate, customers (of whom nothing is left), episodes, churns,
    person_days. An episode is counted once, under the first such covariate.
    """

    frame: pd.DataFrame
    findings: tuple[Finding, ...]
    gaps: pd.DataFrame
    lost: pd.DataFrame


def policy(missing: Policy | Mapping[str, Policy], name: str) -> Policy:
    """What is done where the covariate has no value; of a mapping that does not name it, that is an error."""
    return missing.get(name, "error") if isinstance(missing, Mapping) else missing


def handled(
    frame: pd.DataFrame, names: Sequence[str], missing: Policy | Mapping[str, Policy]
) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """The episodes without missing values in the columns `names`, and what that cost: see `handling`."""
    made = handling(frame, names, missing)
    return made.frame, made.findings


def handling(frame: pd.DataFrame, names: Sequence[str], missing: Policy | Mapping[str, Policy]) -> Handled:
    """The episodes without missing values in the columns `names`, and what that cost.

    `error` raises EstimationError naming each column with its count; `drop` leaves the episodes out; `level` gives text a
    level of its own, and raises for numbers, which have none; `carry` takes the last value known before in the spell, and
    leaves out what comes before the first. `missing`: one of these, or covariate -> one of these.
    """
    empty = {name: frame[name].isna().to_numpy(bool) for name in names}
    empty = {name: rows for name, rows in empty.items() if rows.any()}
    rules = {name: policy(missing, name) for name in empty}
    of = {rule: {n: int(empty[n].sum()) for n, chosen in rules.items() if chosen == rule} for rule in POLICIES}
    if of["error"]:
        raise EstimationError(_refusal(of["error"], len(frame), isinstance(missing, Mapping)))
    filled, findings = _levelled(frame, of["level"]), list[Finding]()
    if of["drop"]:
        findings.append(_dropped(frame, of["drop"], np.logical_or.reduce([empty[n] for n in of["drop"]])))
    gone = {name: empty[name] for name in of["drop"]}
    if of["carry"]:
        filled = _carried(filled, list(of["carry"]))
        gone |= {name: filled[name].isna().to_numpy(bool) for name in of["carry"]}
        before = np.logical_or.reduce([empty[n] for n in of["carry"]])
        findings.append(_carrying(frame, of["carry"], before, np.logical_or.reduce([gone[n] for n in of["carry"]])))
    gaps = pd.DataFrame(
        [[n, rules[n], int(empty[n].sum()), int(gone[n].sum()) if n in gone else 0] for n in empty],
        columns=["covariate", "policy", "episodes", "left_out"],
    )
    out = np.logical_or.reduce(list(gone.values())) if gone else np.zeros(len(frame), bool)
    kept = filled[~out].reset_index(drop=True) if out.any() else filled
    lost = _lost(frame, {n: gone[n] for n in empty if n in gone}, kept)
    return Handled(kept, tuple(findings), gaps.assign(filled=gaps["episodes"] - gaps["left_out"]), lost)


def _refusal(gaps: Mapping[str, int], total: int, by_covariate: bool) -> str:
    key = "model.missing" if not by_covariate else f"model.missing.{next(iter(gaps))}"
    return (
        f"covariates without a value: {_listed(gaps, total)}. Set `{key}: drop` to leave those episodes out, "
        f"`level` to give text a level '{MISSING_LEVEL}', or `carry` to take the last value known before."
    )


def _dropped(frame: pd.DataFrame, gaps: Mapping[str, int], out: np.ndarray) -> Finding:
    lost = int(frame["event"].to_numpy()[out].sum())
    message = (
        f"{int(out.sum()):,} of {len(frame):,} episodes, with {lost:,} churns, have no value of a covariate and are left "
        "out (`missing: drop`). Compare with `missing: level`, or leave the covariate out of the formula."
    )
    return Finding("missing-dropped", "warning", ", ".join(gaps), message, _listed(gaps, len(frame)))


def _levelled(frame: pd.DataFrame, gaps: Mapping[str, int]) -> pd.DataFrame:
    numbers = [name for name in gaps if pd.api.types.is_numeric_dtype(frame[name])]
    if numbers:
        raise EstimationError(
            f"`model.missing: level` cannot give a number a level: {_listed({n: gaps[n] for n in numbers}, len(frame))}. "
            "Use a threshold (a flag is never missing), `missing: drop`, or leave it out."
        )
    return frame.assign(**{name: frame[name].astype(object).fillna(MISSING_LEVEL) for name in gaps})


def _carried(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """The last value known before in the same spell of the customer; a frame has each spell's episodes in order."""
    filled = frame[names].groupby([frame["customer"], frame["spell"]], sort=False).ffill()
    return frame.assign(**{name: filled[name] for name in names})


def _carrying(frame: pd.DataFrame, gaps: Mapping[str, int], empty: np.ndarray, still: np.ndarray) -> Finding:
    message = (
        f"{_cost(frame, empty & ~still)} take the last known value of a covariate from earlier in the spell (`missing: carry`): "
        f"an answer that has expired speaks on. {_cost(frame, still)} have no earlier value and are left out. "
        "Compare with `missing: drop`."
    )
    severity: Literal["warning", "note"] = "warning" if still.any() else "note"
    return Finding("missing-carried", severity, ", ".join(gaps), message, _listed(gaps, len(frame)))


def _cost(frame: pd.DataFrame, rows: np.ndarray) -> str:
    mine = frame[rows]
    days, churns = int((mine["stop"] - mine["start"]).sum()), int(mine["event"].sum())
    with_ = f"{churns:,} churn{'' if churns == 1 else 's'} and {days:,} person-days"
    return f"{len(mine):,} of {len(frame):,} episodes, with {with_},"


def _lost(frame: pd.DataFrame, gone: Mapping[str, np.ndarray], kept: pd.DataFrame) -> pd.DataFrame:
    columns = ["covariate", "customers", "episodes", "churns", "person_days"]
    if not gone:
        return pd.DataFrame(columns=columns)
    first = np.argmax(np.column_stack(list(gone.values())), axis=1)  # of the covariates that an episode lacks
    out = np.logical_or.reduce(list(gone.values()))
    rows = frame.loc[out, ["customer", "event"]].assign(
        days=(frame["stop"] - frame["start"])[out], covariate=np.array(list(gone), object)[first[out]]
    )
    leavers = rows[~rows["customer"].isin(kept["customer"])].drop_duplicates("customer")  # under their first episode's
    by = rows.groupby("covariate", sort=False)
    counts = pd.DataFrame({"episodes": by.size(), "churns": by["event"].sum(), "person_days": by["days"].sum()})
    counts["customers"] = leavers.groupby("covariate").size().reindex(counts.index).fillna(0).astype(int)
    return (
        counts.reindex([name for name in gone if name in counts.index]).rename_axis("covariate").reset_index()[columns]
    )


def _listed(gaps: Mapping[str, int], total: int) -> str:
    return ", ".join(f"'{name}' in {n:,} of {total:,} episodes" for name, n in gaps.items())
