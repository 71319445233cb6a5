"""Simulate a company and write its raw tables and its truth into a folder, whole or not at all."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa

from survival.errors import ArgumentError, ResultsError
from survival.simulate import crm as _crm  # registers its scenario
from survival.simulate.calendar import Rows
from survival.simulate.company import Company, Lives
from survival.simulate.customers import draw_customers
from survival.simulate.dirt import Dirt, unreadable
from survival.simulate.scenario import Scenario, find_scenario
from survival.simulate.sink import Format, Sink, open_sink
from survival.simulate.tables import SCHEMAS, Tables
from survival.simulate.truth import truth_of

DEFAULT = _crm.CRM.name
Progress = Callable[[int, int], None]


def simulate(
    scenario: str = DEFAULT,
    *,
    customers: int = 5000,
    seed: int = 7,
    out: Path,
    format: Format = "parquet",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the seven raw tables of a simulated company and `truth.json` into `out`; returns the truth.

    The same arguments give the same bytes. `out` may exist: its tables are replaced, other files stay, and an interrupted
    run leaves it as it was. `progress(done, total)` counts simulated days.

    Raises ArgumentError for an unknown scenario or format, fewer than one customer or a negative seed, and ResultsError
    when the folder cannot be written.
    """
    company = find_scenario(scenario)
    _check(customers, seed, format)
    try:
        with _staged(Path(out)) as folder:
            truth = _write(company, customers, seed, folder, format, progress)
            text = json.dumps(truth, indent=2, ensure_ascii=False) + "\n"
            (folder / "truth.json").write_text(text, encoding="utf-8")
    except OSError as error:
        raise ResultsError(f"cannot write the simulated company to {out}: {error.strerror or error}") from error
    return truth


def _check(customers: int, seed: int, kind: str) -> None:
    if customers < 1:
        raise ArgumentError(f"customers must be at least 1; received {customers}")
    if seed < 0:
        raise ArgumentError(f"seed must be 0 or more; received {seed}")
    if kind not in get_args(Format):
        raise ArgumentError(f"format must be one of {', '.join(get_args(Format))}; received {kind!r}")


def _write(
    company: Scenario, n: int, seed: int, folder: Path, kind: Format, progress: Progress | None
) -> dict[str, Any]:
    """Write all tables into `folder`; the truth."""
    customers = draw_customers(company, n, seed)
    tables = Tables(company, customers, seed)
    spoilt = unreadable(customers)
    rows: Counter[str] = Counter()
    sample = SCHEMAS["usage"].empty_table()

    def put(sink: Sink, name: str, table: pa.Table) -> None:
        sink.write(table)
        rows[name] += table.num_rows

    with contextlib.closing(open_sink(folder, "usage", SCHEMAS["usage"], kind, spoilt["usage"])) as usage:

        def put_usage(gathered: Rows) -> None:
            nonlocal sample
            table = tables.usage(gathered)
            if table is not None and table.num_rows:
                sample = table
                put(usage, "usage", table)

        lives = Company(company, customers, seed).live(put_usage, progress=progress)
        dirt = Dirt(company, customers, lives.left_on, seed)
        put(usage, "usage", dirt.rows("usage", sample, rows["usage"]))
    for name, table in _small_tables(tables, lives):
        with contextlib.closing(open_sink(folder, name, SCHEMAS[name], kind, spoilt[name])) as sink:
            put(sink, name, dirt.soil(name, table))
    if kind == "csv":
        for name, lines in spoilt.items():
            rows[name] += len(lines)
            dirt.set_aside[name]["unreadable value"] += len(lines)
    return truth_of(company, n, seed, kind, lives, rows, dirt.set_aside)


def _small_tables(tables: Tables, lives: Lives) -> Iterator[tuple[str, pa.Table]]:
    """All but usage, one at a time, so that one is in memory."""
    yield "customers", tables.customers()
    yield "subscriptions", tables.subscriptions(lives)
    yield "orders", tables.orders(lives)
    yield "nps", tables.nps(lives)
    yield "tickets", tables.tickets(lives)
    yield "invoices", tables.invoices(lives)


@contextlib.contextmanager
def _staged(out: Path) -> Iterator[Path]:
    """A folder beside `out` to write into; its files move into `out` at the end, the truth last."""
    if out.exists() and not out.is_dir():
        raise ResultsError(f"cannot write the simulated company to {out}: it is a file, a folder is needed")
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{out.name}-", suffix=".partial", dir=out.parent))
    try:
        yield staging
        out.mkdir(exist_ok=True)
        _forget_other_format(out, staging)
        for file in sorted(staging.iterdir(), key=lambda path: (path.name == "truth.json", path.name)):
            file.replace(out / file.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _forget_other_format(out: Path, staging: Path) -> None:
    """An earlier simulation there: take away its truth first, and its tables of the format that is not written now."""
    if not (out / "truth.json").exists():
        return
    (out / "truth.json").unlink()
    for name in SCHEMAS:
        for kind in get_args(Format):
            if not (staging / f"{name}.{kind}").exists():
                (out / f"{name}.{kind}").unlink(missing_ok=True)
