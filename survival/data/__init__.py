"""Facts, checked against the tables contract; the ledger counts every row."""

from survival.data.engine import Engine
from survival.data.opening import tables_from_frames
from survival.data.spec import DataSpec, Observed, TableSpec
from survival.data.tables import Tables

__all__ = ["DataSpec", "Engine", "Observed", "TableSpec", "Tables", "tables_from_frames"]
