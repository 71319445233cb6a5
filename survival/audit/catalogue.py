"""Every finding there is, by its id: what `allow:` in a config may name. docs/audit.md explains those of the audit."""

from __future__ import annotations

CATALOGUE: dict[str, str] = {
    # the data
    "attributes-as-of-signup": "attributes are taken to be as of signup",
    "empty-table": "a source without rows",
    "late-entry": "customers who signed up before the logs are complete",
    "log-ends-early": "the log ends long before observed.until",
    "log-starts-late": "the log begins long after the first signup",
    "outcome-dependent-filter": "rows set aside more often because somebody left",
    "set-aside": "many rows of a table set aside",
    "text-among-numbers": "numbers read as text because of a few rows",
    "unreadable-values": "values that cannot be read",
    # churn
    "calendar-shock": "far more churn in some months than tenures explain",
    "competing-causes": "ends for other reasons are censored",
    "duplicate-spell": "a spell that is there twice",
    "first-of-removes": "a part of first_of removes customers",
    "immortal-time": "a fact that takes time to happen, or churn dated back",
    "look-ahead": "a rebuild from truncated facts differs",
    "look-ahead-not-tested": "no rebuild was possible",
    "look-ahead-tested": "a rebuild from truncated facts agrees",
    "never-occurs": "texts that the config names and no row of the table holds",
    "nothing-to-leave": "customers who are never at risk",
    "origin-unseen": "tenure counted from a payment or a use that may not be the first",
    "overlap": "spells of one customer that overlap",
    "restates-outcome": "an attribute that tells who left",
    "returns": "customers who come back",
    "second-terminal-event": "two churns in one spell",
    "several-causes": "churn of more than one cause",
    "short-gaps": "chains of subscriptions broken for a few days",
    "survivors-only": "those who left early are not in the data",
    "unconfirmed-tail": "churn at the end is not recorded or confirmed yet",
    "unknown-mrr": "subscriptions without an amount",
    # covariates
    "circularity": "an indicator restates churn",
    "collinear": "covariates that reproduce one another",
    "constant-covariate": "a covariate of one value",
    "fades-with-lag": "a hazard ratio that fades when the indicator is read earlier",
    "few-events": "fewer than ten churns for a coefficient",
    "missing-carried": "missing values carried from earlier episodes",
    "missing-covariate": "covariates without a value, and no rule for them",
    "missing-dropped": "episodes left out for missing values",
    "nearly-collinear": "covariates that nearly reproduce one another",
    "no-variation": "a covariate that varies in no risk set",
    "separation": "churn on one side of a covariate only",
    "ties": "many leave on the same day",
    "too-many-levels": "a text covariate of very many levels",
    "unbounded-look-back": "a history that no warm-up completes",
    "unclustered-returns": "several spells of a customer counted as if they were customers",
    # estimates
    "different-entry": "cohorts that are first observed at different tenures",
    "extrapolated": "a tail that nobody has lived yet",
    "gaps": "gaps between episodes of one customer",
    "groups-not-compared": "groups without a common risk set",
    "horizon-chosen": "a horizon that was chosen from the data",
    "horizon-out-of-range": "a horizon that was not observed",
    "landmark-beyond-data": "a landmark that was not observed",
    "later-stays-selected": "later stays of those who came back",
    "no-band": "a curve without a simultaneous band",
    "no-model": "a model that cannot be estimated",
    "no-permutation-test": "a permutation test that could not be made",
    "no-returns": "returns that cannot be shown",
    "no-tail": "no model of the tail",
    "no-trend-test": "cohorts without a test of trend",
    "permutation-late-entry": "a permutation test of customers who enter late",
    "risk-set-empties": "nobody at risk for a while",
    "small-cohort": "cohorts of few customers",
    "start-ignored": "a column of starts that is not used",
    "tail-not-fitted": "a tail model that could not be fitted",
    "weights-are-no-counts": "weights where counts are needed",
}


def register_finding(id_: str, meaning: str) -> None:
    """Make the id of a finding of one's own known, so that a config may allow it."""
    CATALOGUE[id_] = meaning
