"""Indicators: time-varying covariates made of dated facts, as running sums of deltas."""

from survival.indicators.deltas import Channel, Distinct, LatestScore, Lived, Open, Trailing
from survival.indicators.indicator import Indicator, Windowed, indicator_kinds, parse_indicator, register_indicator
from survival.indicators.look_back import circularity, look_back, may_need, needs, unbounded, warm_up_days
from survival.indicators.nps import Nps
from survival.indicators.payment import Overdue
from survival.indicators.support import OpenTickets
from survival.indicators.threshold import Level
from survival.indicators.usage import Usage, UsageDecline

__all__ = [
    "Channel",
    "Distinct",
    "Indicator",
    "LatestScore",
    "Level",
    "Lived",
    "Nps",
    "Open",
    "OpenTickets",
    "Overdue",
    "Trailing",
    "Usage",
    "UsageDecline",
    "Windowed",
    "circularity",
    "indicator_kinds",
    "look_back",
    "may_need",
    "needs",
    "parse_indicator",
    "register_indicator",
    "unbounded",
    "warm_up_days",
]
