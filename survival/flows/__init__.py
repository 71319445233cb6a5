"""Flows: the sufficient statistic, and the one door from the data engine to arrays."""
