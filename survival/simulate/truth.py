"""What is true of a simulated company, as `truth.json` says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from survival.simulate.company import Lives
from survival.simulate.customers import PLANS
from survival.simulate.scenario import Scenario, epoch_day

_MODEL = (
    "On calendar day d a customer of tenure t = d - signed_up_on > 0 leaves with probability"
    " 1 - exp(-baseline.hazard[t] * exp(sum of log_hazard_ratios over the covariates that are on at the close of day"
    " d - 1)). The indicators are those of `indicators`, the plan is the attribute of `customers` as of signup, not the"
    " current one. Nothing else acts: no frailty, no calendar, no effect of term, segment, channel, country or seats."
    " Leaving is the end of the first chain of subscriptions, lapses (payment_failed) included; the end reason is drawn"
    " after the fact and depends on `overdue`, so hazards by cause are not proportional to these."
)


def truth_of(
    company: Scenario,
    customers: int,
    seed: int,
    kind: str,
    lives: Lives,
    rows: Mapping[str, int],
    set_aside: Mapping[str, Mapping[str, int]],
) -> dict[str, Any]:
    """The truth as plain values: definitions as a config writes them, coefficients, baseline, and what was written.

    `set_aside` is by table and reason what a reader must set aside, `counts` is of true customers, without the dirt.
    """
    left, begin = lives.left_on, epoch_day(company.logs_from)
    model = _MODEL.replace("no calendar, ", "no calendar but `changes`, ") if company.changes else _MODEL
    return {
        "scenario": company.name,
        "description": company.description,
        "seed": seed,
        "format": kind,
        "observed": {"from": company.logs_from.isoformat(), "until": company.until.isoformat()},
        "churn": {"cancellation": {"kind": "cancellation"}},
        "indicators": {name: dict(definition) for name, definition in company.indicators.items()},
        "formula": company.formula,
        "log_hazard_ratios": dict(company.log_hazard_ratios),
        **(
            {"changes": {day.isoformat(): dict(added) for day, added in company.changes.items()}}
            if company.changes
            else {}
        ),
        "reference": {"plan": min(PLANS)},
        "model": model,
        "baseline": {
            "unit": "per day, at tenure 0, 1, 2, ... days, all flags off, plan at its reference",
            "hazard": company.baseline.tolist(),
        },
        "counts": {
            "customers": customers,
            "left": int(np.count_nonzero(left)),
            "left_before_logs": int(np.count_nonzero((left > 0) & (left < begin))),
            "left_while_observed": int(np.count_nonzero(left >= begin)),
        },
        "rows": dict(rows),
        "set_aside": {name: dict(reasons) for name, reasons in set_aside.items()},
    }
