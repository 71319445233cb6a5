"""Figures from tidy frames; nothing is fitted here."""

from survival.plot.adjusted import adjusted_retention, partial_effects
from survival.plot.agreement import days_apart, overlap_matrix
from survival.plot.bands import simultaneous_band
from survival.plot.calendar_strip import calendar_strip
from survival.plot.churn_rate import churn_rates
from survival.plot.cohort_triangle import cohort_triangle
from survival.plot.conditional import conditional_retention
from survival.plot.difference import retention_difference
from survival.plot.forest import covariate_label, forest
from survival.plot.grouped_forest import grouped_forest
from survival.plot.hazard import hazard_by_flag, smoothed_hazard
from survival.plot.incidence import stacked_incidence
from survival.plot.lag_profile import lag_profile
from survival.plot.mean_count import mean_counts
from survival.plot.piecewise import piecewise_hazard
from survival.plot.retention import retention_curves
from survival.plot.revenue import revenue_retention_curves
from survival.plot.rmst import rmst_forest
from survival.plot.schoenfeld import schoenfeld
from survival.plot.style import Drawing, png_bytes, svg_bytes, tenure_ticks
from survival.plot.tail import extrapolated_retention

__all__ = [
    "Drawing",
    "adjusted_retention",
    "calendar_strip",
    "churn_rates",
    "cohort_triangle",
    "conditional_retention",
    "covariate_label",
    "days_apart",
    "extrapolated_retention",
    "forest",
    "grouped_forest",
    "hazard_by_flag",
    "lag_profile",
    "mean_counts",
    "overlap_matrix",
    "partial_effects",
    "piecewise_hazard",
    "png_bytes",
    "retention_curves",
    "retention_difference",
    "revenue_retention_curves",
    "rmst_forest",
    "schoenfeld",
    "simultaneous_band",
    "smoothed_hazard",
    "stacked_incidence",
    "svg_bytes",
    "tenure_ticks",
]
