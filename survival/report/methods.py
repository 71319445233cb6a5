"""The methods paragraph of a report, assembled from the options that were used, with its references."""

from __future__ import annotations

from collections.abc import Sequence

from survival.plot.numbers import confidence, count
from survival.report.methods_curves import CURVE_REFERENCES
from survival.report.methods_ratios import RATIO_REFERENCES

ASSOCIATION = (
    "Hazard ratios say how the churn rates of customers differed; "
    "they do not show what would happen if an indicator were changed."
)

REFERENCES = {
    "Kaplan and Meier 1958": "Kaplan EL, Meier P. Nonparametric estimation from incomplete observations. JASA 1958;53:457–481.",
    "Mantel 1966": "Mantel N. Evaluation of survival data and two new rank order statistics arising in its consideration. "
    "Cancer Chemotherapy Reports 1966;50:163–170.",
    "Holm 1979": "Holm S. A simple sequentially rejective multiple test procedure. "
    "Scandinavian Journal of Statistics 1979;6:65–70.",
    "Cox 1972": "Cox DR. Regression models and life-tables. JRSS B 1972;34:187–220.",
    "Andersen and Gill 1982": "Andersen PK, Gill RD. Cox's regression model for counting processes. "
    "Annals of Statistics 1982;10:1100–1120.",
    "Efron 1977": "Efron B. The efficiency of Cox's likelihood function for censored data. JASA 1977;72:557–565.",
    "Breslow 1974": "Breslow N. Covariance analysis of censored survival data. Biometrics 1974;30:89–99.",
    "Lin and Wei 1989": "Lin DY, Wei LJ. The robust inference for the Cox proportional hazards model. JASA 1989;84:1074–1078.",
    "Grambsch and Therneau 1994": "Grambsch PM, Therneau TM. Proportional hazards tests and diagnostics based on weighted "
    "residuals. Biometrika 1994;81:515–526.",
}
_INTERVALS = {
    "log-log": "the log-log scale", "log": "the log scale", "plain": "the plain scale", "logit": "the logit scale",
    "arcsin": "the arcsine scale",
}  # fmt: skip
_ADJUSTED = {
    "holm": "adjusted by Holm's method (Holm 1979)",
    "bh": "adjusted for the false discovery rate (Benjamini and Hochberg 1995)",
    "bonferroni": "adjusted by Bonferroni's method",
    "none": "not adjusted for their number",
}


def methods_retention(
    *,
    level: float = 0.95,
    interval: str = "log-log",
    late_entry: bool = False,
    tests: Sequence[str] = ("logrank",),
    adjust: str = "holm",
    churn: str = "",
) -> str:
    """The methods paragraph of retention curves. `tests` among logrank, trend, pairwise; `churn` says what counts as churn."""
    limits = f"and {confidence(level)} confidence intervals on {_INTERVALS.get(interval, '')} with Greenwood's variance"
    scale = limits if interval in _INTERVALS else "and without intervals"
    text = [f"Churn: {churn.rstrip('.')}."] if churn else []
    text.append(
        "Retention was estimated by the product-limit method (Kaplan and Meier 1958), with customers still there at the "
        f"end of observation censored {scale}."
    )
    if late_entry:
        text.append(
            "Customers who signed up before the logs begin enter late, at their tenure when observation starts."
        )
    if "logrank" in tests:
        text.append("Cohorts were compared by the log-rank test (Mantel 1966).")
    if "trend" in tests:
        text.append("Trend over ordered cohorts was tested with scores 1 to k.")
    if "pairwise" in tests:
        text.append(f"Pairs of cohorts were compared with p values {_ADJUSTED[adjust]}.")
    return " ".join(text)


def methods_hazard_ratios(
    *,
    customers: float,
    events: float,
    episodes: float | None = None,
    ties: str = "efron",
    robust: bool = True,
    strata: Sequence[str] = (),
    penalizer: float = 0.0,
    ph_transform: str = "km",
    level: float = 0.95,
    late_entry: bool = False,
    lags: Sequence[float] = (),
    churn: str = "",
) -> str:
    """The methods paragraph of a Cox model, from the options that were used."""
    text = [f"Churn: {churn.rstrip('.')}."] if churn else []
    cut = f" in {count(episodes)} episodes" if episodes is not None and episodes != customers else ""
    text.append(
        f"Hazard ratios are from Cox models (Cox 1972) with tenure in days as time scale and covariates that change over "
        f"time in counting-process form (Andersen and Gill 1982), on {count(customers)} customers{cut} with "
        f"{count(events)} churns. A covariate's value on a day is what was known at the close of the day before."
    )
    if late_entry:
        text.append(
            "Customers who signed up before the logs begin enter late, at their tenure when observation starts."
        )
    method = {"efron": "Efron's method (Efron 1977)", "breslow": "Breslow's method (Breslow 1974)"}[ties]
    text.append(f"Ties were handled by {method}.")
    if strata:
        text.append(f"The baseline hazard was stratified by {_list(strata)}.")
    if penalizer:
        text.append(
            f"Coefficients were shrunk by a ridge penalty of {penalizer:g}, so intervals do not cover as named."
        )
    variance = "a variance robust to the dependence of one customer's episodes (Lin and Wei 1989)"
    text.append(
        f"Intervals are {confidence(level)} Wald intervals from {variance if robust else 'the model-based variance'}."
    )
    scale = {"km": "one minus the Kaplan-Meier estimate", "identity": "tenure", "log": "log tenure", "rank": "ranks"}
    text.append(
        f"Proportional hazards were tested against {scale[ph_transform]} by the score test on Schoenfeld residuals "
        "(Grambsch and Therneau 1994)."
    )
    if lags:
        text.append(
            f"All models were refitted with every indicator read {_list([count(x) for x in lags])} days earlier."
        )
    return " ".join([*text, ASSOCIATION])


def references(*texts: str) -> tuple[str, ...]:
    """The full references of what these texts cite, in alphabetical order."""
    known = REFERENCES | CURVE_REFERENCES | RATIO_REFERENCES
    cited = {key for key in known for text in texts if key in text}
    return tuple(sorted(known[key] for key in cited))


def _list(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
