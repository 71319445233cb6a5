"""Hazard ratios by period of tenure, for covariates whose ratio is not constant."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from survival.errors import EstimationError
from survival.estimate.cox import cox
from survival.estimate.tenure_effects import TenureCoding
from survival.estimate.wald import coefficients_are_equal
from survival.experiment.formulas import formula_of
from survival.experiment.models import Models, options
from survival.experiment.study import Study
from survival.findings import Finding
from survival.plot.numbers import count

COLUMNS = [
    "definition", "covariate", "period", "since", "until", "events", "coef", "hazard_ratio", "ci_lower", "ci_upper", "p", "p_equal",
]  # fmt: skip


def cuts_of(study: Study, name: str) -> tuple[int, ...]:
    """Where tenure is cut: `model.periods`, else the median tenure of those who churned."""
    frame = study.episodes(name)
    stops = frame.loc[frame["event"] == 1, "stop"]
    chosen = study.config.model.periods or (int(np.median(stops)),)
    return tuple(c for c in chosen if stops.min() <= c < stops.max())  # some churns on either side of each


def period_ratios(study: Study, made: Models, failing: Sequence[str]) -> pd.DataFrame:
    """One model in which the terms of the `failing` covariates have a ratio in each period, the others one ratio.

    COLUMNS: tenures (since, until], churns of everybody in it, and p_equal, a Wald test that a covariate's ratios are the same in
    all periods. Empty where there is nothing to cut, or no estimate, which is noted.
    """
    cuts = cuts_of(study, made.definition)
    failing_terms = [t for t, columns in made.full.terms.items() if any(made.full.names[j] in failing for j in columns)]
    if not cuts or not failing_terms:
        return pd.DataFrame(columns=COLUMNS)
    study.step(f"{made.definition}: hazard ratios by period of tenure")
    try:
        fit = cox(
            study.episodes(made.definition), formula_of(study.config, made.definition), **options(study),
            time_varying=dict.fromkeys(failing_terms, cuts),
        )  # fmt: skip
    except EstimationError as error:
        message = f"hazard ratios by period of tenure cannot be estimated: {error}"
        study.note([Finding("no-model", "note", "periods", message)], about=made.definition)
        return pd.DataFrame(columns=COLUMNS)
    assert isinstance(fit.coding, TenureCoding)
    tidy = fit.tidy().set_index("covariate")
    events = _events(study, made.definition, cuts)
    rows = []
    for base, name in enumerate(fit.coding.base.names):
        mine = [e for e in fit.coding.effects if e.base == base and (np.isfinite(e.low) or np.isfinite(e.high))]
        p_equal = coefficients_are_equal(fit, [e.name for e in mine])[2] if mine else np.nan
        for effect in mine:
            since, until = max(effect.low, 0.0), effect.high
            r = tidy.loc[effect.name]
            values = [float(r[c]) for c in ("coef", "hazard_ratio", "ci_lower", "ci_upper", "p")]
            rows.append(
                [made.definition, name, period_label(since, until), since, until, events[since], *values, p_equal]
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def period_label(since: float, until: float) -> str:
    """'up to day 180', 'day 181 to 365', 'from day 366'."""
    if since <= 0:
        return f"up to day {count(until)}"
    return f"from day {count(since + 1)}" if np.isinf(until) else f"day {count(since + 1)} to {count(until)}"


def _events(study: Study, name: str, cuts: Sequence[int]) -> dict[float, int]:
    """Churns in each period, by where it begins."""
    frame = study.episodes(name)
    stops = frame.loc[frame["event"] == 1, "stop"]
    edges = [0, *cuts, np.inf]
    return {float(low): int(((stops > low) & (stops <= high)).sum()) for low, high in pairwise(edges)}
