"""More than one way to leave: one minus a Kaplan-Meier curve is then not the share lost to one of them."""

from __future__ import annotations

from typing import Any

import ibis

from survival.churn.spells import Spells
from survival.findings import Finding

_MANY = 0.01  # share of all ends that are ends for another reason


def causes(spells: Spells, *, curves: bool) -> tuple[Finding, ...]:
    """Ends that this definition does not count as churn, and churns of several causes.

    `curves`: the study draws retention curves, which then are misread; without, hazard ratios are cause-specific.
    """
    other, churns = _other_ends(spells)
    by_cause = _by_cause(spells)
    found = []
    if other > _MANY * max(1, other + churns):
        found.append(_other(spells, other, churns, curves))
    if len(by_cause) > 1:
        shown = ", ".join(f"{cause}: {n:,}" for cause, n in by_cause[:5])
        message = (
            f"churn has {len(by_cause)} causes ({shown}). The curves show leaving for whatever reason; how many are lost to one of "
            "them is its cumulative incidence, not one minus a curve in which the others are censored"
        )
        found.append(Finding("several-causes", "note", spells.definition.kind, message, f"{len(by_cause)} causes"))
    return tuple(found)


def _other(spells: Spells, other: int, churns: int, curves: bool) -> Finding:
    use = (
        "one minus the retention curve is not the share of customers lost: it says how many would be lost if nobody could leave "
        "otherwise, and over all causes it adds up to more than those who left. Draw the cumulative incidence"
        if curves
        else "the hazard ratios are cause-specific: they say who leaves for this cause among those still there"
    )
    message = f"{other:,} customers left for a reason that does not count as churn here and are censored ({churns:,} churned): {use}"
    severity: Any = "warning" if curves else "note"
    return Finding("competing-causes", severity, spells.definition.kind, message, f"other={other}, churned={churns}")


def _other_ends(spells: Spells) -> tuple[int, int]:
    """Spells censored before the last day on which anybody is: something ended them. And churns."""
    rows = spells.at_risk.filter(spells.at_risk.origin.notnull())
    horizon = rows.filter(~rows.churned).aggregate(day=(ibis._.origin + ibis._.exit).max())
    last = spells.tables.engine.rows(horizon)[0]["day"]
    if last is None:
        return 0, spells.churns
    ended = ~rows.churned & (rows.origin + rows.exit < last)
    return int(spells.tables.engine.rows(rows.aggregate(n=ended.sum()))[0]["n"] or 0), spells.churns


def _by_cause(spells: Spells) -> list[tuple[str, int]]:
    rows = spells.at_risk.filter(spells.at_risk.churned, spells.at_risk.cause.notnull())
    counted = spells.tables.engine.rows(rows.group_by("cause").aggregate(n=ibis._.count()))
    return sorted(((row["cause"], row["n"]) for row in counted), key=lambda pair: (-pair[1], pair[0]))
