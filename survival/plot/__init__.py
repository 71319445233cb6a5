"""Figures from tidy frames; nothing is fitted here."""

from survival.plot.cohort_triangle import cohort_triangle
from survival.plot.forest import covariate_label, forest
from survival.plot.hazard import hazard_by_flag, smoothed_hazard
from survival.plot.lag_profile import lag_profile
from survival.plot.retention import retention_curves
from survival.plot.schoenfeld import schoenfeld
from survival.plot.style import Drawing, png_bytes, svg_bytes, tenure_ticks

__all__ = [
    "Drawing",
    "cohort_triangle",
    "covariate_label",
    "forest",
    "hazard_by_flag",
    "lag_profile",
    "png_bytes",
    "retention_curves",
    "schoenfeld",
    "smoothed_hazard",
    "svg_bytes",
    "tenure_ticks",
]
