"""When and why customers leave: survival analysis of churn, from raw facts to a publishable report.

Step by step: `open_tables` -> `spells` -> `episodes` -> `flows` -> estimates. Every estimate also takes a frame of
episodes (start, stop], anything that speaks Arrow or pandas. Whole experiments: the `survival` command.
"""

import survival.starting  # noqa: F401 (first: Ctrl-C while the rest is imported)
from survival.churn import Definition, Spells, parse_definition, register_definition, spells
from survival.churn.side_by_side import SideBySide, side_by_side
from survival.cohorts import CohortSpec, with_cohort
from survival.data import DataSpec, Tables, open_tables, tables_from_frames
from survival.episodes import BuiltEpisodes, Episodes, episodes
from survival.estimate.adjusted import AdjustedCurves, adjusted_curves
from survival.estimate.characteristics import characteristics
from survival.estimate.cox import cox, cox_univariable
from survival.estimate.cox_fit import CoxFit
from survival.estimate.cox_path import cox_cross_validate, cox_path
from survival.estimate.cumulative_incidence import cumulative_incidence
from survival.estimate.curves import Curves
from survival.estimate.customer_residuals import customer_influence, customer_residuals
from survival.estimate.discrete_cox import discrete_cox
from survival.estimate.fine_gray import cox_by_cause, fine_gray
from survival.estimate.functional_form import functional_form
from survival.estimate.gray_test import gray_test
from survival.estimate.hazard import hazard
from survival.estimate.hypotheses import compare_fits
from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.landmark import landmark
from survival.estimate.permutation import permutation_test
from survival.estimate.piecewise import piecewise_hazard
from survival.estimate.rank_tests import rank_test
from survival.estimate.recurrent import mean_cumulative_count, stay_curves
from survival.estimate.related_fits import coefficient_differences
from survival.estimate.revenue import revenue_retention
from survival.estimate.risk_groups import risk_groups
from survival.estimate.rmst import rmst
from survival.estimate.sampling import case_cohort, sample_customers, sample_risk_sets
from survival.estimate.smoothing import smooth_hazard
from survival.estimate.tails import extrapolate
from survival.estimate.wald import inflation, terms_are_zero
from survival.findings import Finding
from survival.flows.door import flows
from survival.flows.table import Flows
from survival.indicators import Indicator, parse_indicator, register_indicator, warm_up_days

__all__ = [
    "AdjustedCurves",
    "BuiltEpisodes",
    "CohortSpec",
    "CoxFit",
    "Curves",
    "DataSpec",
    "Definition",
    "Episodes",
    "Finding",
    "Flows",
    "Indicator",
    "SideBySide",
    "Spells",
    "Tables",
    "adjusted_curves",
    "case_cohort",
    "characteristics",
    "coefficient_differences",
    "compare_fits",
    "cox",
    "cox_by_cause",
    "cox_cross_validate",
    "cox_path",
    "cox_univariable",
    "cumulative_incidence",
    "customer_influence",
    "customer_residuals",
    "discrete_cox",
    "episodes",
    "extrapolate",
    "fine_gray",
    "flows",
    "functional_form",
    "gray_test",
    "hazard",
    "inflation",
    "kaplan_meier",
    "landmark",
    "mean_cumulative_count",
    "open_tables",
    "parse_definition",
    "parse_indicator",
    "permutation_test",
    "piecewise_hazard",
    "rank_test",
    "register_definition",
    "register_indicator",
    "revenue_retention",
    "risk_groups",
    "rmst",
    "sample_customers",
    "sample_risk_sets",
    "side_by_side",
    "smooth_hazard",
    "spells",
    "stay_curves",
    "tables_from_frames",
    "terms_are_zero",
    "warm_up_days",
    "with_cohort",
]
