"""Opening what a config names: the only module that knows file formats. Rows come out raw, each part one Ibis table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from survival.data.engine import Engine


@dataclass(frozen=True)
class Part:
    """Files of one layout, or a table, as one raw Ibis table; `label` names it in messages."""

    label: str
    table: ir.Table


@dataclass(frozen=True)
class Source:
    """All that one logical table is read from. Parts may differ in layout, not in the columns that are read."""

    parts: tuple[Part, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that every part has, in the order of the first."""
        first, *others = (p.table.columns for p in self.parts)
        return tuple(c for c in first if all(c in o for o in others))


def frame_source(engine: Engine, name: str, frame: pd.DataFrame | pa.Table) -> Source:
    """A frame in memory as a source."""
    table = frame if isinstance(frame, pa.Table) else _arrow(frame)
    with engine.in_order():
        raw = _raw(engine, engine.connection.from_arrow(table), stored=True)
    return Source((Part(f"frame {name!r}", raw),))


# Types that Ibis and DuckDB read alike; everything else (UUID, ENUM, HUGEINT, JSON, TIME ...) is read as its text.
_PLAIN = {
    "VARCHAR": "string",
    "BOOLEAN": "boolean",
    "TINYINT": "int8",
    "SMALLINT": "int16",
    "INTEGER": "int32",
    "BIGINT": "int64",
    "UTINYINT": "uint8",
    "USMALLINT": "uint16",
    "UINTEGER": "uint32",
    "UBIGINT": "uint64",
    "FLOAT": "float32",
    "DOUBLE": "float64",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP_S": "timestamp",
    "TIMESTAMP_MS": "timestamp",
    "TIMESTAMP_NS": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamp('UTC')",
}


def _raw(engine: Engine, relation: duckdb.DuckDBPyRelation, stored: bool = False) -> ir.Table:
    """A relation as a raw Ibis table, under a name of its own in the scratch database (frames are `stored` there)."""
    columns, schema = [], {}
    for column, kind in zip(relation.columns, map(str, relation.types), strict=True):
        expression = duckdb.ColumnExpression(column)
        if kind not in _PLAIN and not kind.startswith("DECIMAL("):
            expression = expression.cast("VARCHAR").alias(column)
        columns.append(expression)
        schema[column] = _PLAIN.get(kind) or (kind.lower() if kind.startswith("DECIMAL(") else "string")
    name = engine.fresh("raw")
    selected = relation.select(*columns)
    if stored:
        selected.create(name)
    else:
        selected.create_view(name)
    return ibis.table(schema, name=name)


def _arrow(frame: pd.DataFrame) -> pa.Table:
    arrays: Mapping[str, pa.Array] = {str(c): _array(frame[c]) for c in frame.columns}
    return pa.table(dict(arrays))


def _array(column: pd.Series) -> pa.Array:
    try:
        array = pa.Array.from_pandas(column)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # mixed objects, as a dirty frame has them
        array = pa.array([None if pd.isna(v) else str(v) for v in column], pa.string())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_null(array.type):
        array = array.cast(pa.string())
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def folder_of(root: Path, path: str) -> Path:
    """A path of a config: relative ones start at the project's root."""
    given = Path(path).expanduser()
    return given if given.is_absolute() else root / given
