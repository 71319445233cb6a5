"""What stands under the figures of a model's diagnostics: sample, method, intervals."""

from __future__ import annotations

from survival.plot.numbers import confidence, count, counted


def sample(customers: float, events: float) -> str:
    """Whom a figure is of."""
    return f"{counted(customers, 'customer')}, {counted(events, 'churn')}."


def form_caption(whom: str, level: float, robust: bool) -> str:
    """Of the functional form of numbers."""
    return (
        f"{whom} Dots: churns observed over those expected by the multivariable model with the covariate at its mean, in ranges of its "
        f"values with about as many expected churns each ({confidence(level)} intervals of a Poisson count): martingale residuals on "
        "the log scale, the line added back. "
        "Curve: restricted cubic spline in the line's place; pointwise "
        f"{confidence(level)} band from the {_variance(robust)} variance. Log hazard ratios against the mean; the curve ends at the "
        "1st and 99th hundredth of the expected churns."
    )


def influence_caption(whom: str, robust: bool, refits: int) -> str:
    """Of the influence of customers."""
    exact = f"filled: the model was refitted without them, {count(refits)} in all" if refits else "none was refitted"
    right = "from the refitted model where there is one, else from dfbeta" if refits else "from dfbeta"
    return (
        f"{whom} dfbeta: first-order change of a coefficient between all customers and all but one, summed over the customer's "
        f"episodes, in standard errors ({_variance(robust)} variance). Bar: 1st to 99th hundredth of customers; line: smallest to "
        f"largest; dots: the strongest customers of each covariate ({exact}). Right: smallest and largest change of the hazard ratio "
        f"when one customer is left out, {right}."
    )


def agreement_caption(whom: str, level: float, groups: int, test: str) -> str:
    """Of churns observed and expected by risk; `test` in words."""
    return (
        f"{whom} Customer days in {count(groups)} groups by the risk that the model gives them, lowest first, each with about as many "
        "expected churns; a customer whose covariates change moves between groups. "
        f"Bars: {confidence(level)} intervals of a Poisson count, the expected churns taken as known. Score test of Gronnesby and "
        f"Borgan, model-based variance: {test}."
    )


def outlier_caption(whom: str, limit: float) -> str:
    """Of deviance residuals."""
    return (
        f"{whom} Deviance residual of each customer: churns observed less expected (martingale residual, summed over the customer's "
        f"episodes), made more symmetric. Dotted: −{limit:g} and {limit:g}. Where few churn, two humps are usual: those who churned "
        "and those who stayed."
    )


def log_log_caption(whom: str, level: float, fewest: int) -> str:
    """Of log-minus-log curves."""
    return (
        f"{whom} Log of the Nelson-Aalen cumulative hazard, log(−log S), of customers at each level, not adjusted for the other "
        f"covariates, from the tenure at which {count(fewest)} customers are at each level of the panel and while as many are at this one; "
        f"pointwise {confidence(level)} bands. Parallel curves: "
        "proportional hazards. The test above a panel is of the multivariable model."
    )


def _variance(robust: bool) -> str:
    return "robust" if robust else "model-based"
