"""The audit: each trap of churn analysis as a short function from tables, spells and episodes to findings."""

from survival.audit.case import Case, audit
from survival.audit.catalogue import CATALOGUE, register_finding
from survival.audit.lags import fading
from survival.audit.look_ahead import look_ahead

__all__ = ["CATALOGUE", "Case", "audit", "fading", "look_ahead", "register_finding"]
