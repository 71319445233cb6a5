"""Companies whose truth is known, written as raw tables: `simulate("crm", customers=5000, seed=7, out=...)`."""

from survival.simulate.run import simulate
from survival.simulate.scenario import SCENARIOS, Scenario, find_scenario

__all__ = ["SCENARIOS", "Scenario", "find_scenario", "simulate"]
