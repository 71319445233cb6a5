"""Every error a user can meet, one family with one parent.

Each message says what is wrong, where, and what to do. The command line prints it without a traceback and exits with 2.
"""

from __future__ import annotations

from typing import Any


class SurvivalError(Exception):
    """Parent of every error that a user's input can cause."""


class ConfigError(SurvivalError):
    """A config that cannot be used: every problem, each with its file, line and key."""


class DataError(SurvivalError):
    """A table that cannot be used: names the table, the column and the first offending rows."""


class MemoryLimitError(DataError):
    """The data engine ran out of memory; what is computed for customers apart is then tried for fewer of them at once."""


class EstimationError(SurvivalError, ValueError):
    """Something that cannot be estimated; a named answer, not a failure of the program.

    covariates: the coefficients that are not estimable; table: the numbers behind it (a pandas frame) or None;
    finding: the id under which a study reports it.
    """

    def __init__(self, message: str, *, covariates: tuple[str, ...] = (), table: Any = None, finding: str = "") -> None:
        super().__init__(message)
        self.covariates = covariates
        self.table = table
        self.finding = finding


class ArgumentError(EstimationError):
    """An argument out of its rule: says the argument, the rule, the value received and the way out."""


class StructureError(EstimationError):
    """Malformed episodes: start >= stop, overlap, a second terminal event, NaN; shows the first offending rows."""


class NoEventsError(EstimationError):
    """Nothing to estimate from: no event among those at risk."""


class SeparationError(EstimationError):
    """A coefficient runs to infinity while the likelihood is flat; names the covariate and its 2x2 table."""


class CollinearityError(EstimationError):
    """A constant column, or one that others reproduce; names them."""


class ConvergenceError(EstimationError):
    """Newton's method did not converge."""


class AuditError(SurvivalError):
    """Findings of the audit that the config does not allow: nothing was fitted; names each with its way out."""


class ResultsError(SurvivalError):
    """Results that cannot be written or read; earlier results are untouched."""


class ConservationError(SurvivalError):
    """Customers, events or person-days do not add up: a bug in this program or a definition of the user's own."""
