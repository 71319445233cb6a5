"""Indicators: time-varying covariates made of dated facts, as running sums of deltas."""

from survival.indicators.adoption import Abandonment, Adoption
from survival.indicators.calendar import CALENDAR, CalendarSpec, calendar_period
from survival.indicators.deltas import (
    Age,
    Channel,
    Dated,
    Distinct,
    LatestScore,
    Lived,
    Open,
    Trailing,
    Unit,
    conditions,
    delta_rows,
    meeting,
)
from survival.indicators.indicator import Indicator, Windowed, indicator_kinds, parse_indicator, register_indicator
from survival.indicators.invoices import LatePayments, MethodChange
from survival.indicators.look_back import circularity, look_back, may_need, needs, unbounded, warm_up_days
from survival.indicators.nps import Nps
from survival.indicators.payment import Overdue
from survival.indicators.subscription import AutoRenewOff, Mrr, Plan
from survival.indicators.support import OpenTickets
from survival.indicators.threshold import Level
from survival.indicators.tickets import RepeatTickets, Silence, SlowResolution
from survival.indicators.usage import Usage, UsageDecline

__all__ = [
    "CALENDAR",
    "Abandonment",
    "Adoption",
    "Age",
    "AutoRenewOff",
    "CalendarSpec",
    "Channel",
    "Dated",
    "Distinct",
    "Indicator",
    "LatePayments",
    "LatestScore",
    "Level",
    "Lived",
    "MethodChange",
    "Mrr",
    "Nps",
    "Open",
    "OpenTickets",
    "Overdue",
    "Plan",
    "RepeatTickets",
    "Silence",
    "SlowResolution",
    "Trailing",
    "Unit",
    "Usage",
    "UsageDecline",
    "Windowed",
    "calendar_period",
    "circularity",
    "conditions",
    "delta_rows",
    "indicator_kinds",
    "look_back",
    "may_need",
    "meeting",
    "needs",
    "parse_indicator",
    "register_indicator",
    "unbounded",
    "warm_up_days",
]
