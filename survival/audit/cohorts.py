"""Cohorts too small to be compared."""

from __future__ import annotations

from survival.cohorts import COHORT
from survival.findings import Finding
from survival.flows.table import Flows

SMALL = 30  # customers; a retention of one half is then known to about 18 points either way


def small_cohorts(flows: Flows, subject: str) -> tuple[Finding, ...]:
    """Cohorts of `flows` by cohort in which fewer than SMALL spells are at risk; nothing where there is one cohort."""
    if COHORT not in flows.patterns or len(flows.patterns) < 2:
        return ()
    sizes = {str(name): float(flows.began[flows.pattern == i].sum()) for i, name in enumerate(flows.patterns[COHORT])}
    small = {name: size for name, size in sizes.items() if size < SMALL}
    if not small:
        return ()
    shown = ", ".join(f"{name} ({size:.0f})" for name, size in list(small.items())[:8])
    message = (
        f"{len(small)} of {len(sizes)} cohorts have fewer than {SMALL} customers at risk: {shown}. They look good or bad by "
        "chance: read their intervals, or use longer signup periods"
    )
    return (Finding("small-cohort", "note", subject, message, f"{len(small)} of {len(sizes)} cohorts"),)
