"""The data engine: Ibis compiles, DuckDB runs, in a scratch database on disk.

Ibis' own execution layer is not used (it breaks with recent DuckDB and sqlglot); every expression is compiled to SQL and
run on the DuckDB client, so a wide join spills to disk instead of filling the memory.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa

from survival.errors import DataError, MemoryLimitError

T = TypeVar("T")

_GIB = 1 << 30
_LARGEST_DEFAULT = (
    2.5 * _GIB
)  # with buckets of 10 million usage rows this is fast, and leaves room for Python within 3 GiB


def default_memory_limit() -> str:
    """Half of the machine's memory, at most 2.5 GiB: DuckDB's own default (80 %) leaves none for the estimates.

    The environment's SURVIVAL_MEMORY (such as `1200MiB`) goes before: parallel runs share out what one would take.
    """
    given = os.environ.get("SURVIVAL_MEMORY", "")
    if given:
        return given
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not every platform tells
        memory = 4 * _GIB
    return f"{int(min(_LARGEST_DEFAULT, memory / 2)) >> 20}MiB"


def default_threads() -> int:
    """The environment's SURVIVAL_THREADS, else the number of cores."""
    given = os.environ.get("SURVIVAL_THREADS", "")
    return int(given) if given.isdigit() and int(given) > 0 else os.cpu_count() or 1


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def plainly(error: Exception) -> str:
    """The part of an engine's message that a user can act on."""
    lines = []
    for line in str(error).splitlines():
        if line.startswith(("Possible", "LINE ", "*")) or not line.strip():
            break
        lines.append(line.strip())
    text = ", ".join(lines) or type(error).__name__
    head, _, rest = text.partition(" Error: ")
    return rest if rest and len(head) < 20 else text


def _tripped(error: Exception) -> bool:
    return "dict-surviving cache" in str(error)


class Engine:
    """A DuckDB scratch database that runs Ibis expressions over its own tables.

    `memory_limit` is DuckDB's (`2560MiB`), `threads` the number of its workers, `timezone` an IANA name in which timestamps
    with an offset are cut to days. `close()`, or leaving the `with` block, removes the database.
    """

    def __init__(
        self,
        workspace: Path | None = None,
        *,
        memory_limit: str | None = None,
        threads: int | None = None,
        timezone: str = "UTC",
    ) -> None:
        if workspace is not None:
            workspace.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="survival-", dir=workspace))
        self._threads = threads or default_threads()
        self._names = 0
        try:
            self._connection = self._connected(memory_limit or default_memory_limit(), timezone)
        except BaseException:  # Ctrl-C too: nobody else knows of the folder yet
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def _connected(self, memory_limit: str, timezone: str) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(
            str(self.folder / "scratch.duckdb"),
            config={
                "memory_limit": memory_limit,
                "threads": self._threads,
                "temp_directory": str(self.folder / "spill"),
                "preserve_insertion_order": False,
                "python_enable_replacements": False,  # a name is a table of ours, never a Python variable
                "autoinstall_known_extensions": False,  # never fetch anything
                "disable_database_invalidation": True,  # so that `_steadily` can try again
            },
        )
        connection.execute("SET enable_progress_bar = false")  # the steps of a run say how far it is
        connection.execute(f"SET GLOBAL TimeZone = '{ZoneInfo(timezone).key}'")
        return connection

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The client; only the data room, which opens sources, touches it."""
        return self._connection

    def _run(self, statement: str) -> duckdb.DuckDBPyConnection:
        with self._explained():
            return self._steadily(lambda: self._connection.execute(statement))

    def _steadily(self, query: Callable[[], T]) -> T:
        """The query; a second time on one thread where DuckDB 2.0 trips over its own dictionaries.

        Its joins hand on small sides as dictionaries, and with several threads an assertion on them may fail ("dict-surviving
        cache: global dictionary column changed identity"). It fails before there is a result, so there is nothing to undo.
        """
        try:
            return query()
        except duckdb.InternalException as error:
            if not _tripped(error):
                raise
        with self._one_thread():
            return query()

    @contextmanager
    def _one_thread(self) -> Iterator[None]:
        self._connection.execute("SET GLOBAL threads = 1")
        try:
            yield
        finally:
            self._connection.execute(f"SET GLOBAL threads = {self._threads}")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Memory, disk and Ctrl-C are not bugs: say what ran out, and let an interruption be one."""
        try:
            yield
        except (duckdb.InterruptException, RuntimeError) as error:  # the client says Ctrl-C in either way
            if isinstance(error, RuntimeError) and "interrupted" not in str(error).lower():
                raise
            raise KeyboardInterrupt from error
        except duckdb.OutOfMemoryException as error:
            raise MemoryLimitError(
                f"the data engine ran out of memory: {plainly(error)}. Give it more: SURVIVAL_MEMORY=8GiB"
            ) from error
        except duckdb.IOException as error:
            raise DataError(
                f"the data engine could not read or write: {plainly(error)}. Its scratch files are in {self.folder.parent}; "
                "TMPDIR moves them to a larger disk"
            ) from error

    def sql(self, expression: ir.Expr) -> str:
        """The expression compiled for DuckDB."""
        return str(ibis.to_sql(expression, dialect="duckdb", pretty=False))

    @contextmanager
    def in_order(self) -> Iterator[None]:
        """Keep rows in the order of their source inside the block: for messages that show the first offending rows."""
        self._run("SET GLOBAL preserve_insertion_order = true")
        try:
            yield
        finally:
            self._run("SET GLOBAL preserve_insertion_order = false")

    @contextmanager
    def small_right(self) -> Iterator[None]:
        """Hash the right side of joins inside the block, as written: how long a CSV file is cannot be known beforehand,
        and a guess that it is short would hash all facts instead of the customers.
        """
        self._run("SET GLOBAL disabled_optimizers = 'build_side_probe_side'")
        try:
            yield
        finally:
            self._run("SET GLOBAL disabled_optimizers = ''")

    def fresh(self, prefix: str = "t") -> str:
        """A table name not handed out before."""
        self._names += 1
        return f"{prefix}__{self._names}"

    def create(self, name: str, expression: ir.Table) -> ir.Table:
        """Compute the expression into a table of the scratch database (replacing one of that name)."""
        self._run(f"CREATE OR REPLACE TABLE {_quoted(name)} AS {self.sql(expression)}")
        return ibis.table(expression.schema(), name=name)

    def view(self, name: str, expression: ir.Table) -> ir.Table:
        """Name the expression without computing it."""
        self._run(f"CREATE OR REPLACE VIEW {_quoted(name)} AS {self.sql(expression)}")
        return ibis.table(expression.schema(), name=name)

    def step(self, expression: ir.Table) -> ir.Table:
        """A view of a fresh name: what follows reads its columns instead of repeating their expressions."""
        return self.view(self.fresh("step"), expression)

    def insert(self, name: str, expression: ir.Table) -> int:
        """Append the expression's rows to the table `name`, column by column in order; returns how many."""
        done = self._run(f"INSERT INTO {_quoted(name)} {self.sql(expression)}").fetchone()
        return int(done[0]) if done else 0

    def arrow(self, expression: ir.Table) -> pa.Table:
        """The rows as an Arrow table."""
        with self._explained():
            return self._steadily(lambda: self._connection.sql(self.sql(expression)).to_arrow_table())

    def batches(self, expression: ir.Table, rows: int = 1_000_000) -> Iterator[pa.RecordBatch]:
        """The rows as Arrow batches of at most `rows`, streamed from a cursor of their own.

        The expression orders its rows, no two of them alike: a stream that DuckDB trips over goes on where it stopped.
        """
        given = 0
        try:
            for batch in self._streamed(expression, rows):
                given += batch.num_rows
                yield batch
            return
        except (duckdb.InternalException, OSError) as error:  # within a stream the client's errors come as OSError
            if not _tripped(error):
                raise
        with self._one_thread():
            for batch in self._streamed(expression, rows):
                rest = batch.slice(min(given, batch.num_rows))
                given -= batch.num_rows - rest.num_rows
                if rest.num_rows:
                    yield rest

    def _streamed(self, expression: ir.Table, rows: int) -> Iterator[pa.RecordBatch]:
        cursor = self._connection.cursor()
        try:
            with self._explained():
                yield from cursor.sql(self.sql(expression)).to_arrow_reader(rows)
        finally:
            cursor.close()

    def rows(self, expression: ir.Table) -> list[dict[str, Any]]:
        """The rows as plain mappings; for small answers."""
        return list(self.arrow(expression).to_pylist())

    def count(self, expression: ir.Table) -> int:
        """How many rows the expression has."""
        return int(self.rows(expression.aggregate(n=expression.count()))[0]["n"])

    def drop(self, name: str) -> None:
        """Remove a table of the scratch database, if it is there."""
        self._run(f"DROP TABLE IF EXISTS {_quoted(name)}")

    def save(self, expression: ir.Table, path: Path) -> None:
        """Write the rows, in their order, as a Parquet file."""
        quoted = str(path).replace("'", "''")
        with self.in_order():
            self._run(f"COPY ({self.sql(expression)}) TO '{quoted}' (FORMAT parquet, COMPRESSION zstd)")

    def load(self, name: str, path: Path, schema: Mapping[str, str]) -> ir.Table:
        """A table of the scratch database with the rows of a Parquet file that `save` wrote; `schema`: Ibis types by column.

        Raises DataError when the file cannot be read.
        """
        quoted = str(path).replace("'", "''")
        try:
            self._run(f"CREATE OR REPLACE TABLE {_quoted(name)} AS SELECT * FROM read_parquet('{quoted}')")
        except duckdb.Error as error:
            raise DataError(f"{path} cannot be read: {plainly(error)}") from error
        return ibis.table(dict(schema), name=name)

    def close(self) -> None:
        """Close and remove the scratch database; harmless when repeated."""
        self._connection.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
