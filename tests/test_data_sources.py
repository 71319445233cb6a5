"""Files as they come: encodings, delimiters, layouts, databases, globs; relative to the project's root."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from raw_tables import epoch, finding, reasons, rows

from survival.data import DataSpec, Tables, fingerprint_inputs, open_tables
from survival.errors import DataError

CUSTOMERS = "customer_id,signed_up_on\na,2024-01-10\nb,2024-01-10\n"


def opened(root: Path, need: Any = None, optional: Any = None, **tables: Any) -> Tables:
    """Tables of files under `root`; customers a and b unless given."""
    if "customers" not in tables:
        (root / "customers.csv").write_text(CUSTOMERS)
        tables["customers"] = {"path": "customers.csv"}
    spec = DataSpec.model_validate({"tables": tables, "observed": {"until": "2024-12-31"}})
    return open_tables(spec, root=root, need=need, optional=optional, workspace=root / "scratch")


def orders(root: Path, content: bytes, name: str = "orders.csv", **spec: Any) -> list[tuple[Any, ...]]:
    """The order rows that a file's bytes give."""
    (root / name).write_bytes(content)
    with opened(root, orders={"path": name, **spec}) as tables:
        return rows(tables, "orders", "customer", "day", "amount")


FEB = epoch("2024-02-01")
TWO = [(0, FEB, 1.5), (1, FEB, None)]


@pytest.mark.parametrize(
    "content",
    [
        b"customer_id,ordered_on,amount\na,2024-02-01,1.5\nb,2024-02-01,\n",
        b"\xef\xbb\xbfcustomer_id,ordered_on,amount\r\na,2024-02-01,1.5\r\nb,2024-02-01,\r\n",
        b"customer_id,ordered_on,amount\na,2024-02-01,1.5\nb,2024-02-01,",  # no last newline
        b'"customer_id","ordered_on","amount"\n"a","2024-02-01","1.5"\n"b","2024-02-01",""\n',
        b"customer_id;ordered_on;amount\na;2024-02-01;1.5\nb;2024-02-01;\n",
        b"customer_id\tordered_on\tamount\na\t2024-02-01\t1.5\nb\t2024-02-01\t\n",
        b"amount|ordered_on|customer_id\n1.5|2024-02-01|a\n|2024-02-01|b\n",
        b'note,customer_id,ordered_on,amount\n"he said ""a,b""\nand left",a,2024-02-01,1.5\n;;;,b,2024-02-01,\n',
        b"customer_id, ordered_on, amount\na,2024-02-01,1.5\nb,2024-02-01,\n",  # blanks in the header
        gzip.compress(b"customer_id,ordered_on,amount\na,2024-02-01,1.5\nb,2024-02-01,\n"),
    ],
    ids=["plain", "bom-crlf", "no-newline", "quoted", "semicolon", "tab", "pipe", "quotes", "header", "gzip"],
)
def test_text_files(tmp_path: Path, content: bytes) -> None:
    name = "orders.csv.gz" if content[:2] == b"\x1f\x8b" else "orders.csv"
    assert orders(tmp_path, content, name) == TWO


def test_whitespace_delimited_text(tmp_path: Path) -> None:
    text = b" customer_id  ordered_on amount\r\n a 2024-02-01   1.5\r\n\r\n  a\t2024-02-02 2 \n"
    assert orders(tmp_path, text, "orders.txt") == [(0, FEB, 1.5), (0, FEB + 1, 2.0)]
    assert orders(tmp_path, text, "orders.txt", delimiter="whitespace") == [(0, FEB, 1.5), (0, FEB + 1, 2.0)]
    with pytest.raises(DataError, match=r"orders\.txt has 2 lines with other than 3 values .*: ' a 2024-02-01'"):
        orders(tmp_path, b" customer_id ordered_on amount\n a 2024-02-01\n a 2024-02-01 1 2\n", "orders.txt")


def test_a_delimiter_can_be_named(tmp_path: Path) -> None:
    text = b"customer_id;ordered_on,amount,x,y\na;2024-02-01,1,2,3\n"
    with pytest.raises(DataError, match="no column 'customer_id'"):
        orders(tmp_path, text)
    assert orders(
        tmp_path,
        text,
        delimiter="semicolon",
        columns={"ordered_on": "ordered_on,amount,x,y"},
        date_format="%Y-%m-%d,1,2,3",
    ) == [(0, FEB, None)]


def test_ids_of_csv_keep_their_zeros_and_names_may_need_quoting(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text('"my ""id""",when\n007,2024-01-10\n7,2024-01-10\n')
    (tmp_path / "orders.csv").write_text("who,when\n007,2024-02-01\n7,2024-02-02\n07,2024-02-03\n")
    people = {"path": "people.csv", "columns": {"customer_id": 'my "id"', "signed_up_on": "when"}}
    bought = {"path": "orders.csv", "columns": {"customer_id": "who", "ordered_on": "when"}}
    with opened(tmp_path, customers=people, orders=bought) as tables:
        assert rows(tables, "customers", "customer", "customer_id") == [(0, "007"), (1, "7")]
        assert rows(tables, "orders", "customer", "day") == [(0, FEB), (1, FEB + 1)]
        assert reasons(tables, "orders") == {"used": 2, "unknown customer": 1}


def test_several_files_of_different_layouts(tmp_path: Path) -> None:
    (tmp_path / "o-1.csv").write_text("customer_id,ordered_on,amount,x\na,2024-02-01,1,0\n")
    (tmp_path / "o-2.csv").write_text("ordered_on;customer_id;amount\n2024-02-02;b;2\n2024-02-30;b;2\n")
    (tmp_path / "o-3.csv").write_text("ordered_on;customer_id;amount\n2024-02-03;a;3\nx;b;2\n")
    (tmp_path / "more.csv").write_text("customer_id,ordered_on,amount\nb,2024-02-04,4\n")
    expected = [(0, FEB, 1.0), (0, FEB + 2, 3.0), (1, FEB + 1, 2.0), (1, FEB + 3, 4.0)]
    with opened(tmp_path, orders={"path": ["o-*.csv", "more.csv", "o-1.csv"]}) as tables:
        assert rows(tables, "orders", "customer", "day", "amount") == expected
        assert reasons(tables, "orders") == {"used": 4, "unreadable value": 2}
        shown = finding(tables, "unreadable-values", "orders.ordered_on")
        assert "'2024-02-30' (o-2.csv, row 2, customer b), 'x' (o-3.csv, row 2, customer b)" in shown
        assert list(tables.fingerprint["orders"]) == ["o-1.csv", "o-2.csv", "o-3.csv", "more.csv"]
    (tmp_path / "o-4.csv").write_text("customer_id,day\na,2024-02-01\n")
    with pytest.raises(DataError, match="no column 'ordered_on'; the source has: customer_id\\b"):
        opened(tmp_path, orders={"path": "o-*.csv"})


def test_parquet_of_different_types(tmp_path: Path) -> None:
    day = pa.array([19754], pa.int32()).cast(pa.date32())
    pq.write_table(
        pa.table({"customer_id": pa.array(["a"]).dictionary_encode(), "ordered_on": day}), tmp_path / "o1.parquet"
    )
    pq.write_table(pa.table({"ordered_on": ["2024-02-02"], "customer_id": ["b"]}), tmp_path / "o2.parquet")
    pq.write_table(pa.table({"ordered_on": ["2024-02-03"], "customer_id": ["b"]}), tmp_path / "o3.parquet")
    with opened(tmp_path, orders={"path": "o*.parquet"}) as tables:
        assert rows(tables, "orders", "customer", "day") == [(0, FEB), (1, FEB + 1), (1, FEB + 2)]


def test_a_table_of_a_duckdb_file(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "shop's.duckdb")) as base:
        base.execute("CREATE SCHEMA sales")
        base.execute(
            "CREATE TABLE sales.bought AS SELECT 'a'::ENUM('a', 'b') AS customer_id, DATE '2024-02-01' AS ordered_on, "
            "3::HUGEINT AS amount UNION ALL SELECT 'b', 'infinity', 1"
        )
        base.execute(
            "CREATE TABLE orders AS SELECT 'b' AS customer_id, TIMESTAMPTZ '2024-02-02 00:00:00+00' AS ordered_on"
        )
        base.execute("CREATE VIEW some_view AS SELECT 1 AS x")
    path = "shop's.duckdb"
    with opened(tmp_path, orders={"path": path, "table": "sales.bought"}) as tables:
        assert rows(tables, "orders", "customer", "day", "amount") == [(0, FEB, 3.0)]
        assert reasons(tables, "orders") == {"used": 1, "unreadable value": 1}  # no fact is dated at infinity
    with opened(tmp_path, orders={"path": path}) as tables:  # the table called as the logical one
        assert rows(tables, "orders", "customer", "day") == [(1, FEB + 1)]
    with pytest.raises(
        DataError,
        match=r"no table 'sales.bougt'; it has: orders, some_view, sales.bought \(did you mean 'sales.bought'",
    ):
        opened(tmp_path, orders={"path": path, "table": "sales.bougt"})
    (tmp_path / "customers.csv").write_text(CUSTOMERS)
    tables = {"customers": {"path": "customers.csv"}, "orders": {"table": "main.orders"}}
    spec = DataSpec.model_validate({"engine": f"duckdb://{path}", "tables": tables})
    with open_tables(spec, root=tmp_path) as both:
        assert rows(both, "orders", "customer", "day") == [(1, FEB + 1)]
    with duckdb.connect(str(tmp_path / path)) as base:  # nothing holds the file, nothing changed it
        assert base.execute("SELECT count(*) FROM sales.bought").fetchall() == [(2,)]


def test_fingerprints_are_those_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("customer_id,ordered_on\na,2024-02-01\n")
    spec = DataSpec.model_validate(
        {"tables": {"customers": {"derive_from": "orders"}, "orders": {"path": "orders.csv"}}}
    )
    digest = hashlib.sha256((tmp_path / "orders.csv").read_bytes()).hexdigest()
    expected = {"orders": {"orders.csv": {"size": 36, "sha256": digest}}}
    assert fingerprint_inputs(spec, root=tmp_path) == expected
    assert fingerprint_inputs(spec, root=tmp_path, need={"customers": set()}) == expected
    with open_tables(spec, root=tmp_path, need={"customers": {"signed_up_on"}}) as tables:
        assert tables.fingerprint == expected
        assert tables.facts == {}
        assert rows(tables, "customers") == [(0, "a", FEB)]


def test_quantities_are_read_unless_the_caller_names_what_may_be(tmp_path: Path) -> None:
    """An indicator needs only the days: without the quantities that are there, it would count every row as one."""
    (tmp_path / "usage.csv").write_text(
        "customer_id,used_on,quantity,member_id\na,2024-02-01,7,ann\na,2024-02-01,,bob\n"
    )
    need = {"usage": {"used_on"}}
    for optional, read in ((None, [1.0, 7.0]), ({"usage": {"quantity"}}, [1.0, 7.0]), ({}, [1.0, 1.0])):
        with opened(tmp_path, usage={"path": "usage.csv"}, need=need, optional=optional) as tables:
            assert rows(tables, "usage", "quantity", "member_id") == [(n, None) for n in read]


def test_a_quick_look_reads_only_what_is_needed(tmp_path: Path) -> None:
    with opened(tmp_path, usage={"path": "not there.csv"}, need={"customers": {"signed_up_on"}}) as tables:
        assert tables.n_customers == 2
    with pytest.raises(DataError, match="no file .*not there.csv"):
        opened(tmp_path, usage={"path": "not there.csv"}, need={"usage": set()})
    (tmp_path / "usage.csv").write_text("customer_id,used_on,quantity\na,2024-02-01,many\n")
    with opened(tmp_path, usage={"path": "usage.csv"}, need={"usage": set()}, optional={}) as tables:
        assert reasons(tables, "usage") == {"used": 1}  # nobody asked how many
    with pytest.raises(DataError, match="unreadable quantity"):  # a mapped column is read
        opened(tmp_path, usage={"path": "usage.csv", "columns": {"quantity": "quantity"}}, need={"usage": set()})
