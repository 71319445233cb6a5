"""The `crm` scenario: a software company over two observed years, and the truth of why its customers leave.

Five families of indicators act: usage (how much, and whether it fell), adoption of key features, NPS, support and payment.
Adoption is the use of any key feature in four weeks, the kind `usage` with `where`; it is in the formula, so leaving no
driver out. Nothing else acts: no frailty, no calendar, no effect of the term, the segment or the current plan. So the
proportional-hazards model of the formula is true, and Cox's estimates are consistent for these numbers.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from survival.simulate.scenario import Scenario, register

KEY_FEATURES = ("automation", "integrations")
LOGS_FROM, UNTIL, HISTORY_DAYS = dt.date(2023, 1, 1), dt.date(2024, 12, 31), 450

INDICATORS = {
    "low_usage": {"kind": "usage", "measure": "quantity", "window": 28, "below": 5},
    "usage_drop": {"kind": "usage_decline", "window": 14, "baseline": 56, "below": 0.5, "lag": 7},
    "adopted": {"kind": "usage", "window": 28, "where": {"feature": list(KEY_FEATURES)}, "at_least": 1},
    "detractor": {"kind": "nps", "at_most": 6, "expires": 180},
    "open_ticket": {"kind": "open_tickets", "at_least": 2},
    "overdue": {"kind": "overdue", "grace": 3, "at_least": 1},
}
LOG_HAZARD_RATIOS = {
    "low_usage": 0.6,
    "usage_drop": 0.5,
    "adopted": -0.5,
    "detractor": 0.6,
    "open_ticket": 0.7,
    "overdue": 0.8,
    "plan[T.pro]": -0.3,
    "plan[T.starter]": 0.25,
}


def baseline_hazard(days: int) -> NDArray[np.float64]:
    """Hazard per day at tenure 0 ... days: a peak in the second month, bumps at each monthly bill and each anniversary.

    It depends on tenure alone. Rounded, so that the truth as written is the truth as used.
    """
    tenure = np.arange(days + 1, dtype=np.float64)
    level = 0.00042 + 0.0011 * (tenure / 45.0) * np.exp(1.0 - tenure / 45.0)
    bill = np.where((tenure % 30 < 2) & (tenure >= 30), 1.8, 1.0)
    anniversary = np.where((tenure % 365 < 2) & (tenure >= 365), 5.0, 1.0)
    hazard = np.round(level * np.maximum(bill, anniversary), 8)
    hazard[0] = 0.0  # nobody leaves on the day of signing up
    return hazard


CRM = register(
    Scenario(
        name="crm",
        description="a CRM product sold by the seat, monthly or by the year",
        logs_from=LOGS_FROM,
        until=UNTIL,
        history_days=HISTORY_DAYS,
        indicators=INDICATORS,
        log_hazard_ratios=LOG_HAZARD_RATIOS,
        baseline=baseline_hazard((UNTIL - LOGS_FROM).days + HISTORY_DAYS),
    )
)

PRICE_RISE = register(
    replace(
        CRM,
        name="crm_price_rise",
        description="the same company, whose starter plan costs more from 2024-10-01: its customers leave 2.5 times as often",
        changes={dt.date(2024, 10, 1): {"plan[T.starter]": 0.9163}},
    )
)
