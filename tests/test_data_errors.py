"""What stops a reading: one error that names every problem, with the facts that mend it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from raw_tables import customers, finding, frame, opened, reasons, rows, subjects

from survival.data import DataSpec, Tables, open_tables
from survival.errors import ConservationError, DataError


def read(root: Path, need: Any = None, engine: str = "duckdb", **tables: Any) -> Tables:
    return open_tables(DataSpec.model_validate({"tables": tables, "engine": engine}), root=root, need=need)


def message(root: Path, **tables: Any) -> str:
    with pytest.raises(DataError) as error:
        read(root, **tables)
    return str(error.value)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "customers.csv").write_text("customer_id,signed_up_on\na,2024-01-10\n")
    return tmp_path


GOOD = {"path": "customers.csv"}


def test_every_problem_is_named_at_once(root: Path) -> None:
    (root / "used.csv").write_text("customer,used_at\na,2024-02-01\n")
    text = message(
        root,
        customers={"path": "costumers.csv"},
        usage={"path": "used.csv", "columns": {"used_on": "used_On"}, "where": {"kind": ["x"]}},
        nps={"path": "nps-*.csv"},
        orders={"path": "elsewhere/orders.csv"},
    )
    assert text.startswith("6 problems with the data:")
    assert (
        f"customers: no file {root}/costumers.csv (did you mean 'customers.csv'?). Relative paths start at {root}"
        in text
    )
    assert f"orders: no file {root}/elsewhere/orders.csv (there is no folder {root}/elsewhere)" in text
    assert f"nps: no file matches {root}/nps-*.csv" in text
    assert (
        "usage: no column 'customer_id'; the source has: customer, used_at (did you mean 'customer'?). Name it with"
        in text
    )
    assert "columns: {customer_id: THE_SOURCE_COLUMN}" in text
    assert (
        "usage: no column 'used_On', which `columns` names for used_on; the source has: customer, used_at (did" in text
    )
    assert "usage: no column 'kind', which `where` names" in text
    assert text.count("\n- ") == 6


def test_tables_and_columns_that_are_needed_but_not_there(root: Path) -> None:
    with pytest.raises(
        DataError, match="usage: this table is needed, and data.tables does not have it; it has: customers"
    ):
        read(root, need={"customers": set(), "usage": set()}, customers=GOOD)
    with pytest.raises(DataError, match=r"no column 'segment'; the source has: customer_id, signed_up_on"):
        read(root, need={"customers": {"segment"}}, customers=GOOD)
    (root / "usage.csv").write_text("customer_id,used_on\na,2024-02-01\n")
    with pytest.raises(DataError, match="usage: no column 'feature'"):
        read(root, need={"usage": {"feature"}}, customers=GOOD, usage={"path": "usage.csv"})
    with pytest.raises(DataError, match="derived customers have only customer_id and signed_up_on"):
        read(root, need={"customers": {"plan"}}, customers={"derive_from": "usage"}, usage={"path": "usage.csv"})


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("o.csv", b"", r"o\.csv is empty \(0 bytes\)"),
        ("o.csv", b"\n\n", r"o\.csv is empty: it has no header line"),
        ("o.parquet", b"customer_id\n", r"is no parquet file, whatever its name says"),
        ("o.parquet", b"PAR1 and nothing more", r"is a damaged Parquet file: No magic bytes"),
        ("o.duckdb", b"12345678DUCK" + bytes(4096), r"cannot be opened as a DuckDB file"),
        ("o.xlsx", b"PK\x03\x04 zipped", r"an Excel workbook; export it as CSV or Parquet"),
        ("o.csv", "customer_id,ordered_on\n".encode("utf-16"), r"UTF-16 text; save it as UTF-8"),
        ("o.csv", b"customer_id,ordered_\xe9n\n", r"cannot be read as UTF-8 text: .*Save it as UTF-8"),
        ("o.csv", b"customer_id,ordered_on\n" + b"a,2024-02-01\n" * 9000 + b"\xe9,2024-02-01\n", r"cannot be read: .*not utf-8"),
        ("o.csv", b"customer_id,ordered_on\na,2024-02-01\nb\n", r"cannot be read: .*Line: 3.*Expected Number of Columns: 2 Found: 1"),
        ("o.csv", b"customer_id,ordered_on,ordered_on\na,2024-02-01,x\n", r"two columns named 'ordered_on'"),
        ("o.bin", b"\x7fELF\x00\x00\x00", r"neither text nor a Parquet or DuckDB file"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_read(root: Path, name: str, content: bytes, what: str) -> None:
    (root / name).write_bytes(content)
    with pytest.raises(DataError, match=what):
        read(root, customers=GOOD, orders={"path": name})


def test_a_folder_and_a_mixture_are_no_table(root: Path) -> None:
    (root / "o").mkdir()
    assert "is a folder; name its files with a glob, e.g. o/*.csv" in message(
        root, customers=GOOD, orders={"path": "o/"}
    )
    (root / "o" / "a.csv").write_text("customer_id,ordered_on\n")
    pq.write_table(pa.table({"customer_id": ["a"]}), root / "o" / "b.parquet")
    assert "files of several kinds (parquet, text)" in message(root, customers=GOOD, orders={"path": "o/*"})
    assert "is for DuckDB files" in message(root, customers=GOOD, orders={"path": "o/a.csv", "table": "x"})
    assert "`table: x` needs a database" in message(root, customers=GOOD, orders={"table": "x"})


def test_another_engine_is_not_available(root: Path) -> None:
    with pytest.raises(DataError, match="engine: 'postgres://host/base' is not available; use 'duckdb'"):
        read(root, engine="postgres://host/base", customers=GOOD)


def test_an_unreadable_end_stops_the_run_and_shows_the_rows() -> None:
    table = frame(
        "customer_id started_on ended_on mrr",
        ("a", "2024-02-01", None, "1"),
        ("a", "2024-02-01", "31/12/2024", "much"),
        ("a", "soon", "01/12/2024", "1"),  # two faults: the end is the one that matters
    )
    with pytest.raises(DataError) as error:
        opened({"customers": customers("a"), "subscriptions": table})
    text = str(error.value)
    assert text.startswith(
        "subscriptions: 2 rows have an unreadable ended_on: '31/12/2024' (the frame 'subscriptions', row 2, customer a), "
    )
    assert "A churn would vanish with each of these rows" in text
    assert 'Way out: tables.subscriptions.date_format: {ended_on: "%d/%m/%Y"}' in text
    good = table.assign(ended_on=[None, "2024-03-01", ""])
    with opened({"customers": customers("a"), "subscriptions": good}) as tables:
        assert reasons(tables, "subscriptions") == {"used": 1, "unreadable value": 2}


def test_a_table_without_one_readable_row_is_an_error_with_the_likely_format() -> None:
    people = frame("customer_id signed_up_on", ("a", "13.02.2024"), ("b", "14.02.2024"))
    with pytest.raises(
        DataError, match="customers: no row can be read: 2 rows have an unreadable signed_up_on"
    ) as error:
        opened({"customers": people})
    assert 'tables.customers.date_format: {signed_up_on: "%d.%m.%Y"}' in str(error.value)
    people = frame("customer_id signed_up_on", ("a", "02/03/2024"), ("b", "04/05/2024"))
    with pytest.raises(DataError, match='"%d/%m/%Y" or "%m/%d/%Y"'):
        opened({"customers": people})
    with pytest.raises(DataError, match=r'\["%Y", "%d|expected a date like %d\.%m\.%Y.*\["%d\.%m\.%Y", "%d/%m/%Y"'):
        opened({"customers": people}, date_format="%d.%m.%Y")


def test_unreadable_values_warn_with_the_first_rows_and_the_way_out() -> None:
    usage = frame(
        "customer_id when quantity",
        ("a", "2024-02-01", "1"),
        ("a", "2024-02-01", "many"),
        ("a", "02/01/2024", "2"),
        ("a", "2024-02-03", "few"),
        ("zz", "2024-02-03", "none"),
        ("a", "2024-02-03", "lots"),
    )
    with opened(
        {"customers": customers("a"), "usage": usage}, specs={"usage": {"columns": {"used_on": "when"}}}
    ) as tables:
        shown = finding(tables, "unreadable-values", "usage.quantity")
        assert "4 rows have an unreadable quantity: 'many' (the frame 'usage', row 2, customer a), 'few'" in shown
        assert "'lots'" not in shown
        assert "expected a number like 1234.5" in shown
        dates = finding(tables, "unreadable-values", "usage.used_on")
        assert (
            "1 row has an unreadable used_on (column 'when'): '02/01/2024' (the frame 'usage', row 3, customer a)"
            in dates
        )
        assert 'date_format: {used_on: "%d/%m/%Y" or "%m/%d/%Y"}' in dates
        assert reasons(tables, "usage") == {"used": 1, "unreadable value": 5}


def test_one_identifier_with_different_contents_is_shown() -> None:
    table = frame(
        "customer_id subscription_id started_on ended_on mrr auto_renew remark",
        ("a", "s1", "2024-02-01", None, "1", "yes", "first"),
        ("a", "s1", "2024-02-01", None, "1.0", "TRUE", "second"),  # the same contents: remark is no logical column
        ("a", "s2", "2024-02-01", "2024-03-01", "1", "no", ""),
        ("a", "s2", "2024-02-01", None, "1", "no", ""),
        ("a", "s3", "2024-02-01", None, "1", "no", ""),
        ("b", "s3", "2024-02-01", None, "2", None, ""),
    )
    frames = {"customers": customers("a", "b"), "subscriptions": table}
    with pytest.raises(DataError) as error:
        opened(frames)
    text = str(error.value)
    assert "2 values of subscription_id stand for rows with different contents" in text
    assert "'s2' has ended_on 2024-03-01 / nothing" in text
    assert "'s3' has customer_id 'a' / 'b', mrr 1.0 / 2.0, auto_renew False / nothing" in text
    assert "s1" not in text
    keep = {"subscriptions": {"where": {"remark": ["first", "second"]}}}
    with opened(frames, specs=keep) as tables:  # filtered rows are not judged
        assert reasons(tables, "subscriptions") == {"used": 1, "filtered": 4, "duplicate": 1}
    two = frame(
        "customer_id signed_up_on plan", ("a", "2024-01-10", "x"), ("a", "2024-01-10", "y"), ("b", "2024-01-10", "y")
    )
    with pytest.raises(DataError, match="customers: one value of customer_id .* 'a' has plan 'x' / 'y'"):
        opened({"customers": two})
    with opened({"customers": two}, need={"customers": {"signed_up_on"}}) as tables:
        assert reasons(tables, "customers") == {"used": 2, "duplicate": 1}


def test_contents_that_only_one_row_can_be_read_with_are_different() -> None:
    table = frame(
        "customer_id ticket_id opened_on resolved_on", ("a", "t", "2024-02-01", "x"), ("a", "t", "2024-02-01", None)
    )
    with pytest.raises(DataError, match="'t' has an unreadable value"):
        opened({"customers": customers("a"), "tickets": table})


def test_nobody_left_and_a_filter_that_keeps_nothing() -> None:
    people = frame("customer_id signed_up_on", ("a", "2025-02-01"), (None, "2024-02-01"))
    with pytest.raises(DataError, match="nobody is left of 2 rows: 1 null key, 1 after until"):
        opened({"customers": people})
    orders = frame("customer_id ordered_on kind", ("a", "2024-02-01", "buy"), ("a", "2024-02-01", "gift"))
    with pytest.raises(DataError, match="orders: `where` keeps none of 2 rows: kind holds 'buy', 'gift'"):
        opened({"customers": customers("a"), "orders": orders}, specs={"orders": {"where": {"kind": "Buy"}}})
    with opened({"customers": customers("a"), "orders": orders.head(0)}) as tables:
        assert subjects(tables, "empty-table") == {"orders"}
        assert reasons(tables, "orders") == {"used": 0}
        assert rows(tables, "orders") == []


def test_the_period_must_not_end_before_it_begins() -> None:
    with pytest.raises(DataError, match=r"from \(2025-01-01\) is after until \(2024-12-31\)"):
        opened({"customers": customers("a")}, from_=dt.date(2025, 1, 1))
    with opened({"customers": customers("a")}, from_=dt.date(2024, 12, 31)) as tables:
        assert tables.from_day == tables.until_day


def test_an_attribute_cannot_take_a_name_of_the_checked_table() -> None:
    people = customers("a").assign(Signup="web")
    with pytest.raises(DataError, match=r"the attribute 'Signup' .* columns: \{customer_Signup: Signup\}"):
        opened({"customers": people})
    with opened({"customers": people}, specs={"customers": {"columns": {"channel": "Signup"}}}) as tables:
        assert rows(tables, "customers", "channel") == [("web",)]


@pytest.mark.parametrize(
    ("tables", "what"),
    [
        ({"customer": {"path": "x"}}, r"no such table; allowed: customers, .*\(did you mean 'customers'\?\)"),
        ({"usage": {"path": "x", "columns": {"quantitiy": "n"}}}, r"usage\.columns\.quantitiy: no such column.*did you mean 'quantity'"),
        ({"usage": {"path": "x", "colums": {}}}, r"colums"),
        ({"usage": {}}, r"one of path, table, derive_from is needed"),
        ({"usage": {"derive_from": "orders"}}, r"only customers can be derived"),
        ({"customers": {"derive_from": "order"}, "orders": {"path": "x"}}, r"'order' is not among .*did you mean 'orders'"),
        ({"customers": {"derive_from": "orders", "path": "x"}, "orders": {"path": "x"}}, r"leave out path and table"),
        ({"usage": {"path": "x", "ends": "inclusive"}}, r"only subscriptions have ends"),
        ({"usage": {"path": "x", "date_format": {"used": "%F"}}}, r"no date column; allowed: used_on"),
        ({"usage": {"path": "x", "delimiter": ","}}, r"'comma', 'semicolon', 'tab', 'pipe' or 'whitespace'"),
    ],
)  # fmt: skip
def test_configs_that_cannot_be(tables: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        DataSpec.model_validate({"tables": tables})


def test_scalars_of_where_are_text() -> None:
    spec = DataSpec.model_validate({"tables": {"usage": {"path": "x", "where": {"a": True, "b": [1, 2.5], "c": "NO"}}}})
    assert spec.tables["usage"].where == {"a": ["true"], "b": ["1", "2.5"], "c": ["NO"]}
    flags = pd.DataFrame(
        {"customer_id": ["a", "a", "a"], "ordered_on": ["2024-02-01"] * 3, "real": [True, False, True]}
    )
    numbers = flags.assign(real=[1.0, 2.0, 1.5])
    for table, where, used in (
        (flags, {"real": True}, 2),
        (numbers, {"real": [1, 1.5]}, 2),
        (numbers, {"real": "2"}, 1),
    ):
        with opened({"customers": customers("a"), "orders": table}, specs={"orders": {"where": where}}) as tables:
            assert reasons(tables, "orders") == {"used": used, "filtered": 3 - used}


def test_a_row_that_gets_lost_on_the_way_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    import survival.data.checking as checking

    honest = checking.finished_facts

    def careless(*arguments: Any) -> Any:
        return honest(*arguments).limit(1)

    monkeypatch.setattr(checking, "finished_facts", careless)
    orders = frame("customer_id ordered_on", ("a", "2024-02-01"), ("a", "2024-02-02"))
    with pytest.raises(ConservationError, match="orders: 2 rows read, but 1 in the checked table"):
        opened({"customers": customers("a"), "orders": orders})
