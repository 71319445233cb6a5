"""Churn definitions, and the spells that they turn tables into."""

from survival.churn.cancellation import Cancellation
from survival.churn.definition import (
    NOTHING_TO_LEAVE,
    OUTCOME,
    Definition,
    definition_kinds,
    last_day,
    outcome,
    parse_definition,
    register_definition,
)
from survival.churn.downgrade import Downgrade
from survival.churn.first_of import FirstOf, combined, combining_mistakes
from survival.churn.inactivity import Inactivity
from survival.churn.non_renewal import NonRenewal
from survival.churn.recorded import Recorded
from survival.churn.single_purchase import SinglePurchase
from survival.churn.spells import BEGAN_LAST_DAY, LEFT_BEFORE_ENTRY, LEFT_FIRST_DAY, Spells, spells
from survival.churn.trials import TRIAL, with_trial

__all__ = [
    "BEGAN_LAST_DAY",
    "LEFT_BEFORE_ENTRY",
    "LEFT_FIRST_DAY",
    "NOTHING_TO_LEAVE",
    "OUTCOME",
    "TRIAL",
    "Cancellation",
    "Definition",
    "Downgrade",
    "FirstOf",
    "Inactivity",
    "NonRenewal",
    "Recorded",
    "SinglePurchase",
    "Spells",
    "combined",
    "combining_mistakes",
    "definition_kinds",
    "last_day",
    "outcome",
    "parse_definition",
    "register_definition",
    "spells",
    "with_trial",
]
