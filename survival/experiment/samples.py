"""Whom the figures of a definition are of, for their captions and titles."""

from __future__ import annotations

from survival.experiment.study import Study
from survival.plot.numbers import counted


def sample_of(study: Study, name: str) -> str:
    """Whom the curves of a definition are of: '743 customers, 247 churns.', with spells where customers have several."""
    return f"{sized(study, name)}."


def sized(study: Study, name: str) -> str:
    """'743 customers, 247 churns'; '743 customers, 912 spells, 416 churns'."""
    at_risk = study.spells(name)
    spells = f"{counted(at_risk.count, 'spell')}, " if study.several_spells(name) else ""
    return f"{counted(at_risk.customers, 'customer')}, {spells}{counted(at_risk.churns, 'churn')}"


def under(study: Study, name: str, finding: str) -> str:
    """A figure's title: the finding, after the definition that it is of where there are several."""
    return f"{name}: {finding}" if len(study.definitions) > 1 else finding


def sizes_of_cohorts(study: Study, name: str, cohorts: tuple[str, ...]) -> str:
    """'basic, 426 customers, 170 churns; pro, 500 customers, 160 churns.' (spells where customers have several)."""
    rows = study.curves(name).tidy()
    who = "spell" if study.several_spells(name) else "customer"
    sums = rows.assign(by=rows["by"].astype(str)).groupby("by", sort=False)[["entered", "events"]].sum()
    said = [
        f"{name_}, {counted(float(n), who)}, {counted(float(churns), 'churn')}"
        for name_, n, churns in sums.loc[list(cohorts)].itertuples(name=None)
    ]
    return f"{'; '.join(said)}."
