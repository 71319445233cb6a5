"""Ties: how large a part of the risk set leaves on one day, which is what tells the approximations for ties apart."""

from __future__ import annotations

from survival.estimate.cohort_counts import cohort_counts
from survival.findings import Finding
from survival.flows.table import Flows

BRESLOW, DISCRETE = 0.02, 0.15  # tie shares above which Breslow is biased, and above which Efron is too


def tie_share(flows: Flows, strata: tuple[str, ...] = ()) -> float:
    """Share of the risk set that leaves together with a churn, averaged over the churns; a churn alone on its day counts 0.

    Near 0: every method for ties gives the same. Breslow's estimates shrink by about half of it.
    """
    tied, events = 0.0, 0.0
    for group in cohort_counts(flows, strata=list(strata) or None):
        several = group.events > 1
        tied += float((group.events[several] ** 2 / group.at_risk[several]).sum())
        events += float(group.events.sum())
    return tied / events if events else 0.0


def ties(flows: Flows, method: str, subject: str, strata: tuple[str, ...] = ()) -> tuple[Finding, ...]:
    """A warning where the method for ties in use is biased; a note where the other one would be."""
    share = tie_share(flows, strata)
    figure = f"share={share:.4f}"
    if share > DISCRETE:
        message = (
            f"on the day of a churn {share:.1%} of those at risk leave together, as at billing dates: time is discrete here, and "
            "hazard ratios of a continuous-time model, Efron's too, are closer to 1 than the truth. Read them beside a "
            "discrete-time fit (complementary log-log), or date churn to the day"
        )
        return (Finding("ties", "warning", subject, message, figure),)
    if share <= BRESLOW:
        return ()
    message = f"on the day of a churn {share:.1%} of those at risk leave together: Breslow's method shrinks hazard ratios towards 1"
    if method == "breslow":
        return (Finding("ties", "warning", subject, f"{message}. Use `ties: efron`", figure),)
    return (Finding("ties", "note", subject, f"{message}, Efron's, which is used, hardly does", figure),)
