"""Churn by calendar month against what tenure alone makes expect: the strip beside a cohort triangle."""

from __future__ import annotations

import numpy as np
import pandas as pd

from survival.audit.calendar import calendar
from survival.estimate.standardised import observed_over_expected
from survival.experiment.study import Study

COLUMNS = ["definition", "period", "churned", "expected", "ratio", "ci_lower", "ci_upper"]


def calendar_months(study: Study, name: str) -> pd.DataFrame:
    """tables/calendar_months.csv: COLUMNS, a row a calendar month with somebody at risk; empty where there is no calendar.

    expected: churns in the month if the hazard depended on tenure alone, as it is over the whole period; the months add up to the
    churns observed. So a month that hits all cohorts (a price rise, an outage) stands out, whatever their ages.
    """
    found = calendar(study.spells(name))
    if found is None:
        return pd.DataFrame(columns=COLUMNS)
    months = np.array([found.day(step).strftime("%Y-%m") for step in range(len(found.observed))])
    frame = pd.DataFrame({"period": months, "churned": found.observed, "expected": found.expected})
    by_month = frame.groupby("period", sort=True)[["churned", "expected"]].sum()
    by_month = by_month[by_month["expected"] > 0]
    ratios = observed_over_expected(by_month["churned"], by_month["expected"], study.config.level)
    whole = pd.DataFrame({"definition": name, "period": by_month.index}).join(
        ratios.rename(columns={"observed": "churned"})
    )
    return whole.astype({"churned": int})[COLUMNS]
