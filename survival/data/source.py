"""Opening what a config names: the only module that knows file formats. Rows come out raw, each part one Ibis table."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from survival.data.contract import nearest
from survival.data.engine import Engine, plainly
from survival.data.files import Layout, file_kind, found_files, shown, text_layout
from survival.data.spec import TableSpec
from survival.errors import DataError

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
_NEVER_IN_TEXT = "\x01"  # a delimiter that splits nothing: the line stays whole


@dataclass(frozen=True)
class Part:
    """Files of one layout, or a table, as one raw Ibis table; `label` names it in messages."""

    label: str
    table: ir.Table
    files: tuple[Path, ...] = ()
    reopen: Callable[[Path], ir.Table] | None = None

    def pieces(self, root: Path) -> Iterator[tuple[str, ir.Table]]:
        """File by file, for messages that name the file and the row in it."""
        if self.reopen is None or len(self.files) < 2:
            yield self.label, self.table
            return
        for file in self.files:
            yield shown(file, root), self.reopen(file)


@dataclass(frozen=True)
class Source:
    """All that one logical table is read from. Parts may differ in layout, not in the columns that are read."""

    parts: tuple[Part, ...]
    files: tuple[Path, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that every part has, in the order of the first."""
        first, *others = (p.table.columns for p in self.parts)
        return tuple(c for c in first if all(c in o for o in others))


@dataclass
class Opener:
    """Opens tables of one run; remembers the databases attached so far."""

    engine: Engine
    root: Path
    database: Path | None = None  # what a bare `table:` is looked up in
    _attached: dict[Path, str] = field(default_factory=dict)

    def open(self, name: str, spec: TableSpec) -> Source:
        """The source of a logical table. Raises DataError for what cannot be opened."""
        try:
            return self._open(name, spec)
        except duckdb.Error as error:
            raise DataError(f"{name}: cannot be read: {plainly(error)}") from error

    def _open(self, name: str, spec: TableSpec) -> Source:
        if spec.path is None:
            if self.database is None:
                raise DataError(
                    f"{name}: `table: {spec.table}` needs a database; give `path: FILE.duckdb` beside it, "
                    "or `engine: duckdb://FILE.duckdb` for all tables"
                )
            return self._in_database(name, spec.table, self.database)
        files = found_files(name, spec.paths, self.root)
        kinds = {file_kind(name, f) for f in files}
        if len(kinds) > 1:
            raise DataError(f"{name}: files of several kinds ({', '.join(sorted(kinds))}); give files of one kind")
        kind = kinds.pop()
        if kind == "duckdb":
            if len(files) > 1:
                raise DataError(f"{name}: {len(files)} DuckDB files; one table is read from one of them")
            return self._in_database(name, spec.table, files[0])
        if spec.table is not None:
            raise DataError(f"{name}: `table: {spec.table}` is for DuckDB files, and {files[0]} is none; leave it out")
        parts = self._parquet(name, files) if kind == "parquet" else self._text(name, files, spec.delimiter)
        return Source(tuple(parts), tuple(files))

    def _parquet(self, name: str, files: list[Path]) -> Iterator[Part]:
        """Files with the same columns and types are one part."""

        def layout(file: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
            relation = self._relation(name, file)
            return tuple(relation.columns), tuple(map(str, relation.types))

        for _, group in itertools.groupby(files, key=layout):
            same = tuple(group)
            relation = self.engine.connection.read_parquet([str(f) for f in same])
            reopen = lambda f: _raw(self.engine, self._relation(name, f))  # noqa: E731
            yield Part(_label(same, self.root), _raw(self.engine, relation), same, reopen)

    def _relation(self, name: str, file: Path) -> duckdb.DuckDBPyRelation:
        try:
            return self.engine.connection.read_parquet(str(file))
        except duckdb.Error as error:
            raise DataError(f"{name}: {file} is a damaged Parquet file: {plainly(error)}") from error

    def _text(self, name: str, files: list[Path], delimiter: str | None) -> Iterator[Part]:
        """Files with the same header line are one part; every value is text."""

        def layout(file: Path) -> Layout:
            return text_layout(name, file, delimiter)

        for shape, group in itertools.groupby(files, key=layout):
            same = tuple(group)
            reopen = lambda f, shape=shape: self._lines(name, (f,), shape)  # noqa: E731
            yield Part(_label(same, self.root), self._lines(name, same, shape), same, reopen)

    def _lines(self, name: str, files: tuple[Path, ...], shape: Layout) -> ir.Table:
        whole = shape.delimiter == " "
        relation = self.engine.connection.read_csv(
            [str(f) for f in files],  # type: ignore[arg-type] # a list is accepted, as documented
            columns=dict.fromkeys(["line"] if whole else shape.names, "VARCHAR"),
            auto_detect=False,
            header=True,
            sep=_NEVER_IN_TEXT if whole else shape.delimiter,
            quotechar="" if whole else '"',
            escapechar="" if whole else '"',
            strict_mode=not whole,  # lines may end in either way
        )
        raw = _raw(self.engine, relation)
        return self._words(name, raw, files, shape.names) if whole else raw

    def _words(self, name: str, raw: ir.Table, files: tuple[Path, ...], names: tuple[str, ...]) -> ir.Table:
        """Lines cut at runs of whitespace; a line with more or fewer words than the header is an error."""
        trimmed = raw.line.strip()
        lines = raw.filter(trimmed.length() > 0).select(line=raw.line, words=trimmed.re_split(r"\s+"))
        odd = lines.filter(lines.words.length() != len(names)).select("line")
        found = self.engine.rows(odd.limit(3))
        if found:
            first = "; ".join(repr(r["line"]) for r in found)
            raise DataError(
                f"{name}: {_label(files, self.root)} has {self.engine.count(odd)} lines with other than "
                f"{len(names)} values ({', '.join(names)}): {first}. If values hold blanks, name the delimiter"
            )
        return lines.select(**{n: lines.words[i] for i, n in enumerate(names)})

    def _in_database(self, name: str, table: str | None, path: Path) -> Source:
        alias = self._attach(name, path)
        found = self.engine.connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_catalog = ?", [alias]
        ).fetchall()
        tables = {(t if s == "main" else f"{s}.{t}"): f'"{alias}"."{s}"."{t}"' for s, t in sorted(found)}
        tables |= {f"main.{t}": f'"{alias}"."main"."{t}"' for s, t in found if s == "main"}
        wanted = table or (name if name in tables or len(found) != 1 else next(iter(tables)))
        if wanted not in tables:
            there = ", ".join(t for t in tables if not t.startswith("main.")) or "no tables"
            raise DataError(f"{name}: {path} has no table {wanted!r}; it has: {there}{nearest(wanted, tables)}")
        raw = _raw(self.engine, self.engine.connection.table(tables[wanted]))
        return Source((Part(f"{shown(path, self.root)}: {wanted}", raw),), (path,))

    def _attach(self, name: str, path: Path) -> str:
        if path not in self._attached:
            alias = self.engine.fresh("source")
            quoted = str(path).replace("'", "''")
            try:
                self.engine.connection.execute(f"ATTACH '{quoted}' AS \"{alias}\" (READ_ONLY)")
            except duckdb.Error as error:
                raise DataError(f"{name}: {path} cannot be opened as a DuckDB file: {plainly(error)}") from error
            self._attached[path] = alias
        return self._attached[path]


def frame_source(engine: Engine, name: str, frame: pd.DataFrame | pa.Table) -> Source:
    """A frame in memory as a source (copied into the scratch database)."""
    table = frame if isinstance(frame, pa.Table) else _arrow(frame)
    with engine.in_order():
        raw = _raw(engine, engine.connection.from_arrow(table), stored=True)
    return Source((Part(f"the frame {name!r}", raw),))


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


def _label(files: tuple[Path, ...], root: Path) -> str:
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return shown(files[0], root) + more


def _arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.table({str(c): _array(frame[c]) for c in frame.columns})


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
