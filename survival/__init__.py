"""When and why customers leave: survival analysis of churn, from raw facts to a publishable report.

Step by step: `open_tables` -> `spells` -> `episodes` -> `flows` -> estimates. Every estimate also takes a frame of
episodes (start, stop], anything that speaks Arrow or pandas. Whole experiments: the `survival` command.
"""

from survival.churn import Definition, Spells, parse_definition, register_definition, spells
from survival.cohorts import CohortSpec, with_cohort
from survival.data import DataSpec, Tables, open_tables, tables_from_frames
from survival.episodes import BuiltEpisodes, Episodes, episodes
from survival.estimate.cox import cox, cox_univariable
from survival.estimate.cox_fit import CoxFit
from survival.estimate.curves import Curves
from survival.estimate.hazard import hazard
from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.rank_tests import rank_test
from survival.estimate.rmst import rmst
from survival.estimate.smoothing import smooth_hazard
from survival.findings import Finding
from survival.flows.door import flows
from survival.flows.table import Flows
from survival.indicators import Indicator, parse_indicator, register_indicator, warm_up_days

__all__ = [
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
    "Spells",
    "Tables",
    "cox",
    "cox_univariable",
    "episodes",
    "flows",
    "hazard",
    "kaplan_meier",
    "open_tables",
    "parse_definition",
    "parse_indicator",
    "rank_test",
    "register_definition",
    "register_indicator",
    "rmst",
    "smooth_hazard",
    "spells",
    "tables_from_frames",
    "warm_up_days",
    "with_cohort",
]
