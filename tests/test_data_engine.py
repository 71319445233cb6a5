"""The engine: scratch tables on disk, buckets of customers, nothing left behind."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from raw_tables import customers, epoch, frame, opened, rows

from survival.churn import Inactivity, spells
from survival.data import DataSpec, Engine, Tables, as_of, open_tables, tables_from_frames
from survival.episodes import episodes
from survival.errors import DataError, MemoryLimitError
from survival.flows.door import flows
from survival.indicators import Usage


def numbers(n: int) -> ibis.expr.types.Table:
    return ibis.range(n).unnest().name("x").as_table()


def test_tables_are_created_filled_read_and_dropped(tmp_path: Path) -> None:
    with Engine(tmp_path) as engine:
        table = engine.create("squares", numbers(10).mutate(y=ibis._.x * ibis._.x))
        assert engine.insert("squares", table.filter(table.x < 3)) == 3
        assert engine.count(table) == 13
        assert engine.arrow(table.aggregate(total=table.y.sum())).to_pylist() == [{"total": 285 + 5}]
        batches = list(engine.batches(table.select("x"), rows=5))
        assert sum(b.num_rows for b in batches) == 13
        doubled = engine.view("doubled", table.select(z=table.y * 2))
        assert engine.rows(doubled.aggregate(m=doubled.z.max())) == [{"m": 162}]
        engine.create("squares", numbers(2))  # replaced
        assert engine.count(ibis.table({"x": "int64"}, name="squares")) == 2
        engine.drop("squares")
        engine.drop("squares")
        names = {engine.fresh("t") for _ in range(5)}
        assert len(names) == 5
        assert len(list(tmp_path.iterdir())) == 1
    engine.close()  # again: harmless
    assert list(tmp_path.iterdir()) == []


def test_memory_and_disk_that_run_out_are_said(tmp_path: Path) -> None:
    with Engine(tmp_path, memory_limit="20MB", threads=1) as engine:
        rows_ = numbers(3_000_000).mutate(k=ibis._.x.hash())
        with pytest.raises(DataError, match="ran out of memory: .*SURVIVAL_MEMORY"):
            engine.create("wide", rows_.mutate(all=rows_.k.collect().over(order_by=rows_.k)))


def test_an_interruption_is_one(tmp_path: Path) -> None:
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    with Engine(tmp_path, threads=1) as engine:
        long = numbers(200_000)
        endless = long.cross_join(long.select(y="x")).filter(ibis._.x * ibis._.y % 7 == 3)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            engine.count(endless)
        assert engine.count(long) == 200_000  # and the engine goes on
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_no_scratch_database(tmp_path: Path) -> None:
    spec = DataSpec.model_validate({"tables": {"customers": {"path": "none.csv"}}})
    with pytest.raises(DataError, match="no file"):
        open_tables(spec, root=tmp_path, workspace=tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_buckets_part_the_customers() -> None:
    orders = frame("customer_id ordered_on", *[(f"c{i % 7}", f"2024-02-{1 + i:02d}") for i in range(20)])
    with opened({"customers": customers(*(f"c{i}" for i in range(7))), "orders": orders}, buckets=3) as tables:
        parts = [tables.bucket(k) for k in range(3)]
        assert [p.n_customers for p in parts] == [2, 2, 3]
        assert [[c for (c,) in rows(p, "customers", "customer")] for p in parts] == [[0, 1], [2, 3], [4, 5, 6]]
        assert [p.engine.count(p.customers) for p in parts] == [2, 2, 3]
        assert sorted(r for p in parts for r in rows(p, "orders")) == rows(tables, "orders")
        assert {c for (c,) in rows(parts[1], "orders", "customer")} == {2, 3}
        with pytest.raises(ValueError, match=r"bucket must be in 0\.\.2, not 3"):
            tables.bucket(3)
    with opened({"customers": customers("a"), "orders": orders}) as tables:
        assert tables.buckets == 1
        assert tables.bucket(0) is tables


def test_a_bucket_too_large_for_the_memory_is_halved() -> None:
    orders = frame("customer_id ordered_on", *[(f"c{i % 7}", f"2024-02-{1 + i:02d}") for i in range(20)])
    with opened({"customers": customers(*(f"c{i}" for i in range(7))), "orders": orders}, buckets=2) as tables:
        tried: list[list[int]] = []
        told: list[tuple[int, int]] = []

        def some(part: Tables) -> ir.Table:
            tried.append([c for (c,) in rows(part, "customers", "customer")])
            if len(tried[-1]) > 2:
                raise MemoryLimitError("too many at once")
            return part.mine(tables.facts["orders"])

        made = tables.filled("some", some, lambda done, parts: told.append((done, parts)))
        # 7 customers in 2 buckets, then each of both in two, then one of the quarters
        assert tried == [[0, 1, 2], [0], [1, 2], [3, 4], [5, 6]]
        assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
        assert sorted(map(repr, tables.engine.rows(made))) == sorted(
            map(repr, tables.engine.rows(tables.facts["orders"]))
        )
    with (
        opened({"customers": customers("a"), "orders": orders}) as tables,
        pytest.raises(MemoryLimitError, match="too many"),
    ):
        tables.filled("none", lambda part: (_ for _ in ()).throw(MemoryLimitError("too many")))


@pytest.mark.parametrize("buckets", [1, 2])
def test_memory_that_runs_out_costs_time_and_nothing_else(monkeypatch: pytest.MonkeyPatch, buckets: int) -> None:
    """Spells, episodes and flows in four times as many parts are those of the buckets."""
    usage = frame("customer_id used_on", *[(f"c{i % 9}", f"2024-03-{1 + i:02d}") for i in range(30)])
    people = customers(*(f"c{i}" for i in range(9)))
    create, failed = Engine.create, Counter[str]()

    def short(engine: Engine, name: str, expression: ir.Table) -> ir.Table:
        failed[name] += 1
        if failed[name] <= 2:
            raise MemoryLimitError("short of memory")
        return create(engine, name, expression)

    def computed(tables: Tables) -> tuple[Any, ...]:
        parts: list[int] = []
        found = spells(tables, Inactivity(window=20))
        built = episodes(found, {"sum": Usage(window=7)}).build(lambda done, of: parts.append(of))
        counted = flows(built, ["sum"])
        at_risk = tables.engine.rows(found.table.order_by("customer"))
        return at_risk, built.frame().to_dict(), counted.entered.tolist(), counted.events.tolist(), parts[-1]

    with opened({"customers": people, "usage": usage}, buckets=buckets) as tables:
        *whole, one = computed(tables)
        monkeypatch.setattr(Engine, "create", short)
        *in_parts, many = computed(tables)
    assert in_parts == whole
    assert sum(whole[3]) == 9
    assert (one, many) == (buckets, 4 * buckets)
    assert sorted(name.partition("__")[0] for name, n in failed.items() if n > 2) == ["episodes", "flows", "spells"]


@pytest.mark.parametrize("buckets", [1, 3])
def test_what_was_known_on_a_day_has_the_same_customers_in_buckets(buckets: int) -> None:
    """Of who signed up by then, whatever their numbers: the others' numbers are missing between them."""
    days = [f"2024-{1 + (5 * i) % 12:02d}-10" for i in range(30)]
    people = pd.DataFrame({"customer_id": [f"c{i:02d}" for i in range(30)], "signed_up_on": days})
    orders = frame("customer_id ordered_on", *[(f"c{i:02d}", days[i]) for i in range(30)])
    with opened({"customers": people, "orders": orders}, buckets=buckets) as tables:
        known = as_of(tables, epoch("2024-06-30"))
        found = spells(known, Inactivity(window=20, table="orders"))
        assert known.n_customers == found.customers == sum(day <= "2024-06-30" for day in days)
        assert found.churns == sum(day <= "2024-06-10" for day in days)


def test_the_number_of_buckets_follows_the_largest_table(monkeypatch: pytest.MonkeyPatch) -> None:
    import survival.data.opening as opening

    monkeypatch.setattr(opening, "_ROWS_PER_BUCKET", 10)
    for n, expected in ((10, 1), (11, 2), (21, 3)):
        usage = frame("customer_id used_on", *[("a", "2024-02-01")] * n)
        with opened({"customers": customers("a"), "usage": usage}) as tables:
            assert tables.buckets == expected


def test_the_order_of_rows_and_the_number_of_threads_change_nothing() -> None:
    random = np.random.default_rng(7)
    n = 400
    subscriptions = pd.DataFrame(
        {
            "customer_id": random.choice(["a", "b", "c"], n),
            "started_on": random.choice(pd.date_range("2024-01-10", periods=20), n),
            "ended_on": random.choice(pd.date_range("2024-02-10", periods=20), n),
            "plan": random.choice(["x", "y"], n),
            "subscription_id": [f"s{i}" for i in range(n)],
        }
    )
    seen = []
    for seed in range(3):
        shuffled = subscriptions.sample(frac=1, random_state=seed)
        with opened({"customers": customers("c", "a", "b"), "subscriptions": shuffled}) as tables:
            seen.append(rows(tables, "subscriptions"))
            numbered = rows(tables, "subscriptions", "row", "customer", "started", "subscription_id")
            assert [r[0] for r in sorted(numbered)] == list(range(n))
            assert [r[1:] for r in sorted(numbered)] == sorted(r[1:] for r in numbered)
    assert seen[0] == seen[1] == seen[2]


def test_steps_are_told() -> None:
    told: list[str] = []
    frames = {"customers": customers("a"), "orders": frame("customer_id ordered_on", ("a", "2024-02-01"))}
    with tables_from_frames(frames, progress=told.append):
        assert told == ["check customers", "check orders"]


def test_a_query_that_the_client_trips_over_runs_on_one_thread() -> None:
    """DuckDB 2.0 fails an assertion of its own now and then; any other is raised."""
    said: list[int] = []

    def query(message: str, times: int) -> int:
        said.append(int(engine.connection.execute("SELECT current_setting('threads')").fetchall()[0][0]))
        if len(said) <= times:
            raise duckdb.InternalException(message)
        return 7

    with Engine(threads=2) as engine:
        message = "INTERNAL Error: dict-surviving cache: global dictionary column 3 changed identity"
        assert engine._steadily(lambda: query(message, 1)) == 7
        assert said == [2, 1]
        assert engine.connection.execute("SELECT current_setting('threads')").fetchall() == [(2,)]
        with pytest.raises(duckdb.InternalException, match="another"):
            engine._steadily(lambda: query("another", 9))


@pytest.mark.parametrize("error", [duckdb.InternalException, OSError])
@pytest.mark.parametrize("given", [0, 1, 3, 7, 10])
def test_a_stream_that_the_client_trips_over_goes_on_where_it_stopped(
    monkeypatch: pytest.MonkeyPatch, given: int, error: type[Exception]
) -> None:
    threads: list[int] = []
    streamed = Engine._streamed

    def trips(engine: Engine, expression: ir.Table, most: int) -> Iterator[pa.RecordBatch]:
        threads.append(int(engine.connection.execute("SELECT current_setting('threads')").fetchall()[0][0]))
        first = len(threads) == 1
        done = 0
        for batch in streamed(engine, expression, 3 if first else 4):
            if first and done >= given:
                raise error("INTERNAL Error: dict-surviving cache: column 3 changed identity")
            yield batch
            done += batch.num_rows

    monkeypatch.setattr(Engine, "_streamed", trips)
    with Engine(threads=2) as engine:
        some = engine.create("some", numbers(10)).order_by("x")
        assert [x for batch in engine.batches(some) for x in batch["x"].to_pylist()] == list(range(10))
        assert threads == ([2] if given == 10 else [2, 1])
        assert engine.connection.execute("SELECT current_setting('threads')").fetchall() == [(2,)]
