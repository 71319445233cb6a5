"""Raw files to flows: wall time and peak memory of each step, in a process of its own.

    python benchmarks/pipeline.py                          # 10 million usage rows of 100,000 customers
    python benchmarks/pipeline.py --customers 1000000      # 100 million of 1 million; needs 2 GB of disk
    python benchmarks/pipeline.py --write                  # puts the table into benchmarks/pipeline.md

The raw tables (Parquet, text ids, in order of time) are made first and removed afterwards; making them is not timed.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

USES_PER_CUSTOMER = 100
CHUNK = 2_000_000
FIRST = (dt.date(2022, 1, 1) - dt.date(1970, 1, 1)).days
DAYS = 1096  # 2022 to 2024
FROM = 365
FEATURES = ("reports", "pipeline", "quotes", "mail", "calendar", "export")
REPORT = Path(__file__).with_suffix(".md")


def make(folder: Path, customers: int, seed: int = 7) -> None:
    """Raw tables of a company: usage falls off before most customers leave; tickets, answers and invoices."""
    rng = np.random.default_rng(seed)
    signup = np.sort(rng.integers(0, DAYS - 30, customers))
    stay = np.minimum(rng.exponential(400, customers).astype(int) + 1, 3 * DAYS)
    ended = signup + stay
    rate = rng.gamma(1.0, 1.0, customers)
    ids = pa.array(np.char.add("c", np.char.zfill(np.arange(customers).astype(str), 7)))

    def write(name: str, owner: np.ndarray, columns: dict[str, Any], writer: Any = None) -> Any:
        table = pa.table({"customer_id": ids.take(pa.array(owner)), **columns})
        writer = writer or pq.ParquetWriter(folder / f"{name}.parquet", table.schema, compression="zstd")
        writer.write_table(table)
        return writer

    everybody = np.arange(customers)
    plans = np.array(["basic", "pro", "enterprise"])[rng.choice(3, customers, p=[0.6, 0.3, 0.1])]
    write("customers", everybody, {"signed_up_on": dates(signup), "plan": plans}).close()
    write(
        "subscriptions", everybody, {"started_on": dates(signup), "ended_on": dates(ended, ended < DAYS), "plan": plans}
    ).close()
    weight = np.cumsum(rate * np.minimum(stay, DAYS - signup))
    total = USES_PER_CUSTOMER * customers
    writer = None
    for start in range(0, total, CHUNK):
        n = min(CHUNK, total - start)
        owner = np.searchsorted(weight, rng.random(n) * weight[-1])
        day = signup[owner] + (rng.random(n) ** 1.2 * np.minimum(stay, DAYS - signup)[owner]).astype(int)
        order = np.argsort(day, kind="stable")
        features = pa.DictionaryArray.from_arrays(pa.array(rng.integers(0, 6, n).astype(np.int8)), list(FEATURES))
        quantity = pa.array(rng.integers(1, 6, n).astype(np.int32))
        columns = {"used_on": dates(day[order]), "feature": features, "quantity": quantity}
        writer = write("usage", owner[order], columns, writer)
    writer.close()
    _small_tables(rng, write, signup, np.minimum(stay, DAYS - signup))


def _small_tables(rng: np.random.Generator, write: Callable[..., Any], signup: np.ndarray, lived: np.ndarray) -> None:
    customers = signup.size

    def some(per_customer: float) -> tuple[np.ndarray, np.ndarray]:
        owner = rng.integers(0, customers, int(per_customer * customers))
        return owner, signup[owner] + (rng.random(owner.size) * lived[owner]).astype(int)

    owner, day = some(2.0)
    resolved = day + rng.exponential(6, owner.size).astype(int)
    write(
        "tickets", owner, {"opened_on": dates(day), "resolved_on": dates(resolved, rng.random(owner.size) < 0.97)}
    ).close()
    owner, day = some(1.5)
    write("nps", owner, {"answered_on": dates(day), "score": pa.array(rng.integers(0, 11, owner.size))}).close()
    owner, day = some(8.0)
    paid = day + rng.integers(-5, 25, owner.size)
    write("invoices", owner, {"due_on": dates(day), "paid_on": dates(paid, rng.random(owner.size) < 0.98)}).close()


def dates(day: np.ndarray, known: np.ndarray | None = None) -> pa.Array:
    return pa.array((day + FIRST).astype(np.int32), mask=None if known is None else ~known).cast(pa.date32())


def run(folder: Path, update_every: int, memory_limit: str | None) -> dict[str, Any]:
    """The walk, step by step; seconds, CPU seconds and peak memory (MiB) of each."""
    from survival.churn import Cancellation, spells
    from survival.cohorts import CohortSpec, with_cohort
    from survival.data import DataSpec, open_tables
    from survival.episodes import episodes
    from survival.flows.door import flows as count_flows
    from survival.indicators import Nps, OpenTickets, Overdue, Usage, UsageDecline, may_need, needs, warm_up_days

    definition = Cancellation()
    indicators = {
        "low_usage": Usage(window=30, below=5),
        "heavy_usage": Usage(window=30, at_least=60),
        "few_days": Usage(window=30, measure="active_days", at_most=2),
        "one_feature": Usage(window=30, measure="features", at_most=1),
        "usage_drop": UsageDecline(window=30, baseline=60, below=0.5, lag=7),
        "detractor": Nps(at_most=6, expires=180),
        "overdue": Overdue(grace=3, at_least=1),
        "open_tickets": OpenTickets(),
    }
    day = dt.date(1970, 1, 1) + dt.timedelta(days=FIRST)
    observed = {"from": day + dt.timedelta(days=FROM), "until": day + dt.timedelta(days=DAYS - 1)}
    names = ("customers", "subscriptions", "usage", "tickets", "nps", "invoices")
    spec = DataSpec.model_validate(
        {"tables": {name: {"path": f"{name}.parquet"} for name in names}, "observed": observed}
    )
    steps = Steps()
    readers = [definition, *indicators.values()]
    tables = steps(
        "raw files -> checked tables",
        lambda: open_tables(
            spec,
            root=folder,
            need=needs(*readers),
            optional=may_need(*readers),
            workspace=folder,
            memory_limit=memory_limit,
        ),
    )
    with tables:
        tables = with_cohort(tables, CohortSpec(by="signup_quarter"))
        days = warm_up_days(tables.observed, definition, indicators, update_every)
        found = steps("-> spells", lambda: spells(tables, definition, warm_up=days))
        built = steps("-> episodes", lambda: episodes(found, indicators, update_every=update_every).build())
        flows = steps("-> flows", lambda: count_flows(built, [*indicators, "cohort"]))
        return {
            "steps": steps.rows,
            "customers": tables.n_customers,
            "usage rows": tables.engine.count(tables.facts["usage"]),
            "buckets": tables.buckets,
            "episodes": built.rows,
            "flow rows": int(flows.time.size),
            "churns": int(flows.total_events),
        }


class Steps:
    """Runs a step and notes its seconds, its CPU seconds (all cores) and the peak memory with DuckDB's, in MiB."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, float, float]] = []

    def __call__(self, name: str, step: Callable[[], Any]) -> Any:
        _reset_peak()
        began, worked = time.perf_counter(), time.process_time()
        result = step()
        seconds, cpu = time.perf_counter() - began, time.process_time() - worked
        self.rows.append((name, seconds, cpu, _peak()))
        return result


def _reset_peak() -> None:
    with contextlib.suppress(OSError):  # elsewhere than on Linux each step shows the peak so far
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    try:
        status = Path("/proc/self/status").read_text()
        return float(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report(result: dict[str, Any], update_every: int) -> str:
    total, cpu = (sum(step[i] for step in result["steps"]) for i in (1, 2))
    peak = max(mib for *_, mib in result["steps"])
    lines = [
        f"## {result['usage rows']:,} usage rows of {result['customers']:,} customers",
        "",
        f"{result['episodes']:,} episodes, {result['flow rows']:,} flow rows, {result['churns']:,} churns; "
        f"{result['buckets']} bucket(s) of customers; marks every {update_every} days; 8 indicators on windows of 30 to "
        "90 days, with tickets, NPS and invoices; 12 cohorts. "
        f"{os.cpu_count()} cores, Python {platform.python_version()}, load average before the run (other work) {result['load']:.1f}.",
        "",
        "| step | seconds | CPU seconds | peak memory, MiB |",
        "|---|---:|---:|---:|",
        *(f"| {name} | {wall:.1f} | {work:.1f} | {mib:,.0f} |" for name, wall, work, mib in result["steps"]),
        f"| **all** | **{total:.1f}** | **{cpu:.1f}** | **{peak:,.0f}** |",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=100_000, help=f"{USES_PER_CUSTOMER} usage rows each")
    parser.add_argument("--update-every", type=int, default=7)
    parser.add_argument("--memory-limit", help="of DuckDB, such as 4GiB; default: the engine's own")
    parser.add_argument("--folder", type=Path, help="where the raw tables are made; default: a temporary folder")
    parser.add_argument("--write", action="store_true", help="append the table to benchmarks/pipeline.md")
    parser.add_argument("--step", choices=["make", "run"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step == "make":
        make(arguments.folder, arguments.customers)
    elif arguments.step == "run":
        print(json.dumps(run(arguments.folder, arguments.update_every, arguments.memory_limit)))
    else:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            _measured(arguments, folder)


def _measured(arguments: argparse.Namespace, folder: str) -> None:
    """Each step in a process of its own, so that making the data does not count in the peak."""
    command = [sys.executable, __file__, "--folder", folder, "--customers", str(arguments.customers)]
    subprocess.run([*command, "--step", "make"], check=True)
    load = os.getloadavg()[0]
    command += ["--step", "run", "--update-every", str(arguments.update_every)]
    command += ["--memory-limit", arguments.memory_limit] if arguments.memory_limit else []
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    text = report({**json.loads(answer.splitlines()[-1]), "load": load}, arguments.update_every)
    print(text)
    if arguments.write:
        head = (
            ""
            if REPORT.exists()
            else "# Raw files to flows: time and memory\n\nWritten by `benchmarks/pipeline.py --write`.\n\n"
        )
        with REPORT.open("a", encoding="utf-8") as out:
            out.write(head + text + "\n")


if __name__ == "__main__":
    main()
