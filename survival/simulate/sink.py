"""Raw files: columns go in, Parquet or CSV comes out, in pieces, the same bytes for the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

Format = Literal["parquet", "csv"]
_YES, _NO = ("true", "TRUE", "yes", "1", "t"), ("false", "False", "no", "0", "F")


class Sink(Protocol):
    """A file that takes rows in pieces."""

    def write(self, rows: pa.Table) -> None:
        """Append rows, with the columns of the file."""

    def close(self) -> None:
        """Finish the file."""


class ParquetSink:
    """Typed columns in row groups of a million."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = pa.parquet.ParquetWriter(path, schema, compression="snappy")

    def write(self, rows: pa.Table) -> None:
        """Append rows as one or more row groups."""
        self._writer.write_table(rows, row_group_size=1_000_000)

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


class CsvSink:
    """Text as exports have it: booleans in several spellings, nulls empty, and lines with values that cannot be read."""

    def __init__(self, path: Path, schema: pa.Schema, unreadable: Sequence[Mapping[str, str]]) -> None:
        self._path, self._schema, self._unreadable = path, schema, unreadable
        text = pa.schema(
            [(field.name, pa.string() if pa.types.is_boolean(field.type) else field.type) for field in schema]
        )
        options = pa.csv.WriteOptions(quoting_style="none", quoting_header="none")
        self._writer = pa.csv.CSVWriter(path, text, write_options=options)

    def write(self, rows: pa.Table) -> None:
        """Append rows."""
        for place, field in enumerate(rows.schema):
            if pa.types.is_boolean(field.type):
                rows = rows.set_column(place, field.name, self._spelt(rows, place))
        self._writer.write_table(rows)

    def _spelt(self, rows: pa.Table, place: int) -> pa.Array:
        """The booleans as text, in a spelling that goes with the customer: copies of a row stay copies."""
        last_digit = pc.cast(pc.utf8_slice_codeunits(rows.column("customer_id"), -1), pa.int64())
        turn = pc.subtract(last_digit, pc.multiply(pc.greater_equal(last_digit, 5).cast(pa.int64()), 5))
        spelling = pc.if_else(rows.column(place), turn, pc.add(turn, len(_YES)))  # null stays null
        return pa.array([*_YES, *_NO]).take(spelling.combine_chunks())

    def close(self) -> None:
        """Add the unreadable lines and finish the file."""
        self._writer.close()
        with self._path.open("a", encoding="utf-8", newline="") as file:
            for row in self._unreadable:
                file.write(",".join(row.get(name, "") for name in self._schema.names) + "\n")


def open_sink(
    folder: Path, name: str, schema: pa.Schema, kind: Format, unreadable: Sequence[Mapping[str, str]]
) -> Sink:
    """The file of table `name`; lines that cannot be read exist in CSV only, for Parquet is typed."""
    path = folder / f"{name}.{kind}"
    return ParquetSink(path, schema) if kind == "parquet" else CsvSink(path, schema, unreadable)
