"""What each kind of indicator costs: wall and CPU seconds from checked tables to episodes, and the ratio to `usage`.

    python benchmarks/indicators.py                        # 10 million usage rows of 100,000 customers
    python benchmarks/indicators.py --customers 1000000    # 100 million of 1 million; needs 4 GB of disk
    python benchmarks/indicators.py --write                # puts the table into benchmarks/indicators.md

The company is that of benchmarks/pipeline.py, with plans, revenue, renewal, categories and methods on its small tables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pipeline
import pyarrow as pa
import pyarrow.parquet as pq

REPORT = Path(__file__).with_suffix(".md")
BASE = "usage: quantity"


def make(folder: Path, customers: int) -> None:
    """The raw tables; half of the customers change their plan once."""
    pipeline.make(folder, customers)
    rng = np.random.default_rng(11)

    def more(name: str, **columns: Any) -> None:
        path = folder / f"{name}.parquet"
        table = pq.read_table(path)
        for column, make_values in columns.items():
            table = table.append_column(column, make_values(table.num_rows))
        pq.write_table(table, path, compression="zstd")

    def one_of(*values: str) -> Any:
        return lambda n: pa.array(np.array(values)[rng.integers(0, len(values), n)])

    more("tickets", category=one_of("bug", "billing", "question", "access"))
    more("invoices", method=lambda n: pa.array(np.where(rng.random(n) < 0.9, "card", "transfer")))
    _split(folder, rng, customers)
    more(
        "subscriptions",
        mrr=lambda n: pa.array(np.round(rng.gamma(2.0, 25.0, n), 2)),
        auto_renew=lambda n: pa.array(rng.random(n) < 0.7),
    )


def _split(folder: Path, rng: np.random.Generator, customers: int) -> None:
    path = folder / "subscriptions.parquet"
    table = pq.read_table(path)
    start = table["started_on"].cast(pa.int32()).to_numpy()
    end = table["ended_on"].cast(pa.int32()).fill_null(2**30).to_numpy()
    change = start + rng.integers(30, 400, customers)
    twice = (rng.random(customers) < 0.5) & (change < np.minimum(end, pipeline.FIRST + pipeline.DAYS))
    first = np.where(twice, change, end)

    def days(values: np.ndarray, known: np.ndarray) -> pa.Array:
        return pa.array(values.astype(np.int32), mask=~known).cast(pa.date32())

    ids, plans = table["customer_id"].combine_chunks(), table["plan"].combine_chunks()
    which = pa.array(np.flatnonzero(twice))
    parts = [
        pa.table({"customer_id": ids, "started_on": days(start, start > 0), "ended_on": days(first, first < 2**30), "plan": plans}),
        pa.table({
            "customer_id": ids.take(which),
            "started_on": days(change[twice], change[twice] > 0),
            "ended_on": days(end[twice], end[twice] < 2**30),
            "plan": pa.array(np.array(["basic", "pro", "enterprise"])[rng.integers(0, 3, int(twice.sum()))]),
        }),
    ]  # fmt: skip
    pq.write_table(pa.concat_tables(parts), path, compression="zstd")


def indicators() -> dict[str, Any]:
    """One of every kind, as a level and where it differs as a flag."""
    features = list(pipeline.FEATURES[:3])
    plans = ["basic", "pro", "enterprise"]
    return {
        BASE: {"kind": "usage", "window": 30},
        "usage: active_days": {"kind": "usage", "window": 30, "measure": "active_days"},
        "usage: features": {"kind": "usage", "window": 30, "measure": "features"},
        "usage, a flag": {"kind": "usage", "window": 30, "below": 5},
        "usage_decline, a flag": {"kind": "usage_decline", "window": 30, "baseline": 90, "below": 0.5},
        "adoption": {"kind": "adoption", "window": 30, "features": features},
        "adoption: ever": {"kind": "adoption", "window": "ever", "features": features},
        "abandonment": {"kind": "abandonment", "window": 30, "baseline": 90, "features": features},
        "nps": {"kind": "nps", "expires": 180},
        "open_tickets": {"kind": "open_tickets"},
        "repeat_tickets": {"kind": "repeat_tickets", "window": 90},
        "repeat_tickets: category": {"kind": "repeat_tickets", "window": 90, "per": "category"},
        "slow_resolution": {"kind": "slow_resolution", "window": 90},
        "silence": {"kind": "silence"},
        "silence, a flag": {"kind": "silence", "at_least": 90},
        "overdue": {"kind": "overdue", "grace": 3},
        "late_payments": {"kind": "late_payments", "window": 180, "grace": 3},
        "method_change": {"kind": "method_change", "window": 180},
        "auto_renew_off": {"kind": "auto_renew_off"},
        "mrr": {"kind": "mrr"},
        "plan, text": {"kind": "plan"},
        "plan: plan_order": {"kind": "plan", "plan_order": plans},
    }


def run(folder: Path, update_every: int, memory_limit: str | None) -> dict[str, Any]:
    """Each indicator by itself on the same spells, then one of every kind together, then months of the calendar."""
    from survival.churn import Cancellation, spells
    from survival.data import DataSpec, open_tables
    from survival.episodes import episodes
    from survival.indicators import CalendarSpec, calendar_period, may_need, needs, parse_indicator

    definition = Cancellation()
    parsed = {name: parse_indicator(value) for name, value in indicators().items()}
    observed = {"from": _day(pipeline.FROM), "until": _day(pipeline.DAYS - 1), "warm_up": 180}
    names = ("customers", "subscriptions", "usage", "tickets", "nps", "invoices")
    spec = DataSpec.model_validate({"tables": {n: {"path": f"{n}.parquet"} for n in names}, "observed": observed})
    readers = [definition, *parsed.values()]
    began = time.perf_counter()
    rows: list[tuple[str, float, float, int]] = []
    with open_tables(
        spec,
        root=folder,
        need=needs(*readers),
        optional=may_need(*readers),
        workspace=folder,
        memory_limit=memory_limit,
    ) as tables:
        opening = time.perf_counter() - began
        found = spells(tables, definition)

        def measure(name: str, several: dict[str, Any]) -> None:
            wall, cpu = time.perf_counter(), time.process_time()
            built = episodes(found, several, update_every=update_every).build()
            rows.append((name, time.perf_counter() - wall, time.process_time() - cpu, built.rows))
            tables.engine.drop(built.table.get_name())

        measure("(the first query of all)", {"x": parsed[BASE]})
        for name, indicator in parsed.items():
            measure(name, {"x": indicator})
        measure("calendar: month", {"x": calendar_period(tables, CalendarSpec(by="month"))})
        kinds = {indicator.kind: indicator for name, indicator in parsed.items() if name != "silence"}
        measure(f"one of each of the {len(kinds)} kinds, together", kinds)
        return {
            "rows": rows, "opening": opening, "customers": tables.n_customers, "buckets": tables.buckets,
            "at risk": found.customers, "person-days": found.person_days,
            **{name: tables.engine.count(tables.facts[name]) for name in names[1:]},
        }  # fmt: skip


def _day(tenure: int) -> str:
    return str(np.datetime64("1970-01-01") + pipeline.FIRST + tenure)


def report(result: dict[str, Any], update_every: int) -> str:
    rows = [row for row in result["rows"] if not row[0].startswith("(")]
    wall, cpu = next((row[1], row[2]) for row in rows if row[0] == BASE)
    sizes = ", ".join(
        f"{result[name]:,} of {name}" for name in ("usage", "tickets", "nps", "invoices", "subscriptions")
    )
    lines = [
        f"## {result['usage']:,} usage rows of {result['customers']:,} customers",
        "",
        f"Rows: {sizes}. {result['at risk']:,} customers at risk for {result['person-days']:,} days; marks every {update_every} days; "
        f"{result['buckets']} bucket(s) of customers. Reading and checking the raw tables took {result['opening']:.1f} s. "
        f"{os.cpu_count()} cores, Python {platform.python_version()}, load average before the run (other work) {result['load']:.1f}: "
        "the ratio of CPU seconds is the one to read.",
        "",
        "| indicator | episodes | seconds | CPU seconds | CPU, ratio to `usage` | seconds, ratio |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {name} | {episodes:,} | {w:.1f} | {c:.1f} | {c / cpu:.2f} | {w / wall:.2f} |"
            for name, w, c, episodes in rows
        ),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=100_000, help=f"{pipeline.USES_PER_CUSTOMER} usage rows each")
    parser.add_argument("--update-every", type=int, default=7)
    parser.add_argument("--memory-limit", help="of DuckDB, such as 4GiB; default: the engine's own")
    parser.add_argument("--folder", type=Path, help="where the raw tables are made; default: a temporary folder")
    parser.add_argument("--write", action="store_true", help="append the table to benchmarks/indicators.md")
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
    """Each step in a process of its own, so that making the data does not weigh on the measurement."""
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
            "" if REPORT.exists() else "# What an indicator costs\n\nWritten by `benchmarks/indicators.py --write`.\n\n"
        )
        with REPORT.open("a", encoding="utf-8") as out:
            out.write(head + text + "\n")


if __name__ == "__main__":
    main()
