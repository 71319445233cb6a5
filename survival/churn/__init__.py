"""Churn definitions, and the spells that they turn tables into."""

from survival.churn.cancellation import Cancellation
from survival.churn.definition import (
    NOTHING_TO_LEAVE,
    OUTCOME,
    Definition,
    definition_kinds,
    outcome,
    parse_definition,
    register_definition,
)
from survival.churn.inactivity import Inactivity
from survival.churn.recorded import Recorded
from survival.churn.spells import BEGAN_LAST_DAY, LEFT_BEFORE_ENTRY, LEFT_FIRST_DAY, Spells, spells

__all__ = [
    "BEGAN_LAST_DAY",
    "LEFT_BEFORE_ENTRY",
    "LEFT_FIRST_DAY",
    "NOTHING_TO_LEAVE",
    "OUTCOME",
    "Cancellation",
    "Definition",
    "Inactivity",
    "Recorded",
    "Spells",
    "definition_kinds",
    "outcome",
    "parse_definition",
    "register_definition",
    "spells",
]
