"""Facts, checked against the tables contract; the ledger counts every row."""

from survival.data.engine import Engine
from survival.data.files import found_files
from survival.data.headers import customer_attributes
from survival.data.known import as_of
from survival.data.opening import epoch_day, fingerprint_inputs, open_tables, tables_from_frames
from survival.data.spec import DataSpec, Observed, TableSpec
from survival.data.tables import Tables

__all__ = [
    "DataSpec",
    "Engine",
    "Observed",
    "TableSpec",
    "Tables",
    "as_of",
    "customer_attributes",
    "epoch_day",
    "fingerprint_inputs",
    "found_files",
    "open_tables",
    "tables_from_frames",
]
