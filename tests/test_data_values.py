"""Values as exports write them: days in time zones and formats, numbers, booleans, ids."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import yaml
from pydantic import ValidationError
from raw_tables import customers, epoch, finding, frame, opened, reasons, rows

from survival.data import DataSpec, Observed
from survival.data.formats import pattern_of
from survival.errors import DataError


def days(values: list[Any] | pa.Array, date_format: Any = None, **options: Any) -> tuple[list[str], int]:
    """The order days that the values give, as ISO text, and how many are unreadable."""
    table = pa.table({"customer_id": ["a"] * len(values), "ordered_on": values})
    people = customers("a", signed_up_on="1900-01-01")
    specs = {"orders": {"date_format": date_format}}
    with opened({"customers": people, "orders": table}, until=None, specs=specs, **options) as tables:
        found = [(dt.date(1970, 1, 1) + dt.timedelta(days=d)).isoformat() for (d,) in rows(tables, "orders", "day")]
        return sorted(found), reasons(tables, "orders").get("unreadable value", 0)


@pytest.mark.parametrize(
    ("zone", "text", "day"),
    [
        ("UTC", "2024-03-01", "2024-03-01"),
        ("UTC", " 2024-03-01 ", "2024-03-01"),
        ("UTC", "2024-02-29", "2024-02-29"),
        ("UTC", "2024-03-01 23:59:59.999", "2024-03-01"),
        ("UTC", "2024-03-01T23:30:00-05:00", "2024-03-02"),
        ("UTC", "2024-03-01T23:30:00-0500", "2024-03-02"),
        ("UTC", "2024-03-01 23:30:00 -05", "2024-03-02"),
        ("UTC", "2024-03-01 23:30:00 UTC", "2024-03-01"),
        ("America/New_York", "2024-03-02T03:30:00Z", "2024-03-01"),
        ("America/New_York", "2024-03-02t03:30z", "2024-03-01"),
        ("America/New_York", "2024-03-02 03:30:00", "2024-03-02"),  # taken to be in the zone
        ("America/New_York", "2024-03-02", "2024-03-02"),  # a plain date is never shifted
        ("America/New_York", "2024-03-10 02:30:00", "2024-03-10"),  # an hour that the clocks skipped
        ("Pacific/Kiritimati", "2024-02-28T12:00:00Z", "2024-02-29"),
        ("Pacific/Pago_Pago", "2024-03-01T10:59:00Z", "2024-02-29"),
        ("Europe/Madrid", "2023-12-31T23:00:00Z", "2024-01-01"),
        ("Europe/Madrid", "2024-06-30T21:59:59Z", "2024-06-30"),  # summer time
    ],
)
def test_a_text_date_is_cut_to_its_day_in_the_zone(zone: str, text: str, day: str) -> None:
    assert days([text], timezone=zone) == ([day], 0)


@pytest.mark.parametrize(
    "text",
    [
        "2023-02-29", "1900-02-29", "2024-13-01", "2024-00-01", "2024-01-32", "01/02/2024", "2024/01/02", "20240102",
        "2024-1-2", "2024-01-02 25:00", "2024-01-02 10:61", "2024-01-02 x", "2024-01-02T10:00:00+5", "infinity", "epoch",
        "yesterday", "-024-01-01", "2024-01-02 (BC)",
    ],
)  # fmt: skip
def test_what_is_no_iso_date_is_unreadable(text: str) -> None:
    assert days([text, "2024-05-05"]) == (["2024-05-05"], 1)


def test_typed_dates_and_moments() -> None:
    late = dt.datetime(2024, 3, 1, 23, 30)
    assert days(pa.array([dt.date(2024, 3, 1), None])) == (["2024-03-01"], 0)
    for unit in ("s", "ms", "us", "ns"):
        assert days(pa.array([late], pa.timestamp(unit)), timezone="Asia/Tokyo") == (["2024-03-01"], 0)
    assert days(pa.array([late], pa.timestamp("us", "UTC")), timezone="Asia/Tokyo") == (["2024-03-02"], 0)
    assert days(pa.array([late], pa.timestamp("ns", "America/New_York")), timezone="UTC")[0] == ["2024-03-01"]
    assert days(pd.array([late]).tz_localize("America/New_York"))[0] == ["2024-03-02"]


@pytest.mark.parametrize(
    ("date_format", "text", "day"),
    [
        ("%d-%m-%Y", "29-02-2024", "2024-02-29"),
        ("%d/%m/%Y", "1/2/2024", "2024-02-01"),
        ("%m/%d/%Y", "1/2/2024", "2024-01-02"),
        ("%Y%m%d", "19970101", "1997-01-01"),
        ("%d.%m.%y", "31.12.68", "2068-12-31"),
        ("%d.%m.%y", "31.12.69", "1969-12-31"),
        ("%d %b %Y", "05 MAR 2024", "2024-03-05"),
        ("%B %d, %Y", "September 5, 2024", "2024-09-05"),
        ("%a %b %d %Y", "Tue Mar 05 2024", "2024-03-05"),
        ("%F %T", "2024-03-05 10:11:12", "2024-03-05"),
        ("%d/%m/%Y %H:%M:%S%z", "01/03/2024 23:30:00-05:00", "2024-03-02"),
        ("%d/%m/%Y %I:%M %p %z", "01/03/2024 11:30 PM -0500", "2024-03-02"),
        ("%d/%m/%Y %I:%M %p %z", "01/03/2024 12:30 AM -0500", "2024-03-01"),
        ("%d/%m/%Y %H:%M %z", "01/03/2024 23:30 Z", "2024-03-01"),
        (["%d-%m-%Y", "%Y-%m-%d"], "2024-02-29", "2024-02-29"),
        (["%d/%m/%Y", "%m/%d/%Y"], "03/04/2024", "2024-04-03"),  # the first that parses
        (["%d/%m/%Y", "%m/%d/%Y"], "04/13/2024", "2024-04-13"),
    ],
)
def test_date_formats(date_format: Any, text: str, day: str) -> None:
    assert days([text], date_format=date_format) == ([day], 0)


@pytest.mark.parametrize(
    ("date_format", "text"),
    [
        ("%d-%m-%Y", "30-02-2024"), ("%d-%m-%Y", "2024-02-01"), ("%d-%m-%Y", "01-02-2024 x"), ("%d-%m-%Y", "1x-02-2024"),
        ("%d %b %Y", "05 Mrz 2024"), ("%d-%m-%Y", "29-02-2023"), ("%Y%m%d", "1997010"), ("%H:%M %d-%m-%Y", "24:00 01-02-2024"),
    ],
)  # fmt: skip
def test_a_text_outside_the_format_is_unreadable(date_format: str, text: str) -> None:
    with pytest.raises(Exception, match="no row can be read: 1 row has an unreadable ordered_on"):
        days([text], date_format=date_format)


def test_formats_by_column_table_and_default() -> None:
    people = frame("customer_id signed_up_on", ("a", "10.01.2024"))
    tickets = frame("customer_id opened_on resolved_on", ("a", "02/03/2024", "2024-05-04"), ("a", "02/03/2024", None))
    orders = frame("customer_id ordered_on", ("a", "20240203"))
    specs = {
        "tickets": {"date_format": {"opened_on": "%d/%m/%Y", "resolved_on": ["%d/%m/%Y", "%Y-%m-%d"]}},
        "orders": {"date_format": "%Y%m%d"},
    }
    frames = {"customers": people, "tickets": tickets, "orders": orders}
    with opened(frames, specs=specs, date_format="%d.%m.%Y") as tables:
        assert rows(tables, "customers", "signup") == [(epoch("2024-01-10"),)]
        assert rows(tables, "tickets", "opened", "resolved") == [
            (epoch("2024-03-02"), epoch("2024-05-04")),
            (epoch("2024-03-02"), None),
        ]
        assert rows(tables, "orders", "day") == [(epoch("2024-02-03"),)]


def test_whole_numbers_can_be_dates_when_a_format_says_so() -> None:
    assert days(pa.array([20240229, 20240230]), date_format="%Y%m%d") == (["2024-02-29"], 1)
    assert days(pa.array([20240229.0, None]), date_format="%Y%m%d") == (["2024-02-29"], 0)
    with pytest.raises(
        Exception, match=r"'20240229'.*Way out: tables\.orders\.date_format: \{ordered_on: \"%Y%m%d\"\}"
    ):
        days(pa.array([20240229]))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("%d-%m", "needs a year"),
        ("%Y-%m-%d %Q", "%Q is not understood"),
        ("%Y-%d-%d-%m", "%d stands twice"),
        ("dd-mm-yyyy", "needs a year"),
    ],
)
def test_a_format_that_cannot_be_one_is_an_error_of_the_config(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        pattern_of(text)
    with pytest.raises(ValidationError, match=what):
        DataSpec.model_validate({"tables": {"customers": {"path": "c.csv", "date_format": {"signed_up_on": [text]}}}})
    with pytest.raises(ValidationError, match=what):
        DataSpec.model_validate({"tables": {"customers": {"path": "c.csv"}}, "date_format": text})


def subscriptions(column: str, values: Any) -> Any:
    return pa.table(
        {
            "customer_id": ["a"] * len(values),
            "started_on": ["2024-02-01"] * len(values),
            "ended_on": pa.nulls(len(values), pa.string()),
            column: values,
        }
    )


@pytest.mark.parametrize(
    ("column", "values", "read", "unreadable"),
    [
        ("auto_renew", ["true", "T", "Yes", "1", " TRUE "], [True] * 5, 0),
        ("auto_renew", ["false", "f", "NO", "0"], [False] * 4, 0),
        ("auto_renew", ["", " ", None], [None] * 3, 0),
        ("auto_renew", ["yes", "y", "2", "on", "oui"], [True], 4),
        ("auto_renew", pa.array([True, False, None]), [False, None, True], 0),
        ("auto_renew", pa.array([1, 0, 2]), [False, True], 1),
        ("auto_renew", pa.array([1.0, 0.0, float("nan")]), [False, None, True], 0),
        ("mrr", ["1", " 2.5 ", "-.5", "1e3", ""], [-0.5, 1.0, 1000.0, 2.5, None], 0),
        ("mrr", ["5", "1,000", "nan", "inf", "1 000", "0x1F", "12 EUR", "1_0"], [5.0], 7),
        ("mrr", pa.array([1.5, float("nan"), float("inf")]), [1.5, None], 1),
        ("mrr", pa.array([1, None]), [1.0, None], 0),
        ("mrr", pa.array([True, False]), [0.0, 1.0], 0),
        ("billing_period_months", ["12", "1.0", "1.5", "99999999999", "1e300", None], [1, 12, None], 3),
        ("plan", ["pro", " pro ", "nan"], ["nan", "pro", "pro"], 0),
    ],
)
def test_values_of_each_kind(column: str, values: Any, read: list[Any], unreadable: int) -> None:
    with opened({"customers": customers("a"), "subscriptions": subscriptions(column, values)}) as tables:
        assert sorted((v for (v,) in rows(tables, "subscriptions", column)), key=repr) == sorted(read, key=repr)
        assert reasons(tables, "subscriptions").get("unreadable value", 0) == unreadable
        if unreadable:
            assert f"unreadable {column}" in finding(tables, "unreadable-values", f"subscriptions.{column}")


END = epoch("2024-03-01")


@pytest.mark.parametrize(
    ("nulls", "read"),
    [
        # In any case, trimmed. A plan is a key: without one its row is set aside. NA is a plan like any other.
        (["NULL", "\\N"], [(None, "NA", -999.0), (None, "NA", None), (None, "pro", 5.0)]),
        (
            {"ended_on": ["null", "\\n"]},
            [(END, "null", 5.0), (None, "NA", -999.0), (None, "NA", None), (None, "pro", 5.0)],
        ),
        (
            {"ended_on": ["null", "\\N"], "mrr": -999},
            [(END, "null", 5.0), (None, "NA", None), (None, "NA", None), (None, "pro", 5.0)],
        ),
    ],
)
def test_texts_that_stand_for_no_value(nulls: Any, read: list[Any]) -> None:
    facts = frame(
        "customer_id started_on ended_on plan mrr",
        ("a", "2024-02-01", "NULL", "NA", "-999"), ("a", "2024-02-01", " null", "pro", "5"),
        ("a", "2024-02-01", "\\N", "NA", None), ("a", "2024-02-01", "2024-03-01", "null", "5"),
    )  # fmt: skip
    given = {"subscriptions": {"nulls": nulls}}
    with opened({"customers": customers("a"), "subscriptions": facts}, specs=given) as tables:
        assert rows(tables, "subscriptions", "ended", "plan", "mrr") == read
        assert reasons(tables, "subscriptions").get("null key", 0) == 4 - len(read)


def test_texts_for_no_value_in_all_tables_and_typed_columns() -> None:
    people = pa.table(
        {"customer_id": ["a", "b"], "signed_up_on": ["2024-01-10"] * 2, "seats": ["3", "NA"], "code": [7, -1]}
    )
    orders = frame("customer_id ordered_on amount", ("a", "2024-02-01", "na"), ("NA", "2024-02-01", "1"))
    given = {"customers": {"nulls": {"code": ["-1"], "seats": ["NA"]}}, "orders": {"nulls": ["NA"]}}
    with opened({"customers": people, "orders": orders}, specs=given) as tables:
        assert rows(tables, "customers", "seats", "code") == [(3.0, 7.0), (None, None)]
        assert rows(tables, "orders", "amount") == [(None,)]
        assert reasons(tables, "orders") == {"used": 1, "null key": 1}
    with opened({"customers": people}) as tables:
        assert rows(tables, "customers", "seats", "code") == [("3", 7.0), ("NA", -1.0)]
    spec = {"tables": {"orders": {"table": "orders"}, "nps": {"table": "nps", "nulls": []}}, "nulls": [None, "N/A", 0]}
    read = DataSpec.model_validate(spec)
    assert read.tables["orders"].null_words("amount", read.nulls) == ("null", "n/a", "0")
    assert read.tables["nps"].null_words("score", read.nulls) == ()
    for quoted in ('"\\N"', "'\\N'", "\\N"):  # in double quotes YAML reads another character
        read = DataSpec.model_validate({"tables": {}, "nulls": yaml.safe_load(f"[{quoted}, NULL]")})
        assert read.nulls == ["\\N", "null"]


def test_a_word_that_may_mean_nothing_names_the_way_out() -> None:
    facts = frame(
        "customer_id started_on ended_on plan", ("a", "2024-02-01", "NULL", "x"), ("a", "2024-02-01", "soon", "x")
    )
    with pytest.raises(
        DataError, match=r'If NULL means .*: tables.subscriptions.nulls: {ended_on: \["NULL"\]}. Name their'
    ):
        opened({"customers": customers("a"), "subscriptions": facts})
    for word, listed in (("\\N", "['\\N']"), ("na", '["na"]')):
        stopped = frame("customer_id started_on ended_on plan", ("a", "2024-02-01", word, "x"))
        with pytest.raises(DataError) as refused:
            opened({"customers": customers("a"), "subscriptions": stopped})
        assert f"unreadable ended_on: '{word}' (" in str(refused.value)
        assert f", set data.nulls: {listed}, or for this column only: tables.subscriptions.nulls" in str(refused.value)
    people = frame(
        "customer_id signed_up_on seats",
        *((f"c{i}", "2024-01-10", str(i)) for i in range(9)),
        ("x", "2024-01-10", "N/A"),
    )
    with opened({"customers": people}) as tables:
        assert 'tables.customers.nulls: {seats: ["N/A"]}' in finding(tables, "text-among-numbers", "customers.seats")
    with pytest.raises(ValidationError, match=r"tables.usage.nulls.quantiti: no such column.*did you mean 'quantity'"):
        DataSpec.model_validate({"tables": {"usage": {"table": "u", "nulls": {"quantiti": ["NA"]}}}})


@pytest.mark.parametrize(("values", "told"), [(["1,5", "2.000,25", "3"], True), (["a,5", "1,5", "x"], False)])
def test_decimal_commas_are_told(values: list[str], told: bool) -> None:
    people = frame(
        "customer_id signed_up_on seats", *((f"c{i}", "2024-01-10", value) for i, value in enumerate(values))
    )
    with opened({"customers": people}) as tables:
        found = [f for f in tables.findings if f.subject == "customers.seats"]
        assert bool(found) == told
        if told:
            assert "seats holds decimal commas, such as '1,5', in 2 rows" in found[0].message
            assert found[0].figure == "2 of 3 values"


def test_ids_are_compared_as_text() -> None:
    people = pa.table({"customer_id": ["1", "01", " 1", "2.5"], "signed_up_on": ["2024-01-10"] * 4})
    for values, numbers in (
        (["1", "01", " 1", "1 "], [0, 1, 2]),  # in the order of the text: ' 1', '01', '1', '2.5'
        (pa.array([1, 1, 2]), [2, 2]),
        (
            pa.array([1.0, 2.5, float("nan"), float("inf"), 1e300, None]),
            [2, 3],
        ),  # integers that passed through a float column
    ):
        orders = pa.table({"customer_id": values, "ordered_on": ["2024-02-01"] * len(values)})
        with opened({"customers": people, "orders": orders}) as tables:
            assert [c for (c,) in rows(tables, "orders", "customer")] == numbers


def test_columns_not_read_are_null_and_quantity_is_one() -> None:
    usage = frame(
        "customer_id used_on quantity feature", ("a", "2024-02-01", "3", "x"), ("a", "2024-02-02", None, None)
    )
    people = customers("a")
    with opened({"customers": people, "usage": usage}, need={"usage": {"quantity"}}) as tables:
        assert rows(tables, "usage", "feature", "quantity", "member_id") == [(None, 1.0, None), (None, 3.0, None)]
        assert {k: str(v) for k, v in tables.facts["usage"].schema().items()} == {
            "customer": "int32", "day": "int32", "feature": "string", "quantity": "float64", "member_id": "string",
        }  # fmt: skip
    with opened({"customers": people, "usage": usage}, need={"usage": {"feature"}}) as tables:
        assert rows(tables, "usage", "feature", "quantity") == [("x", 3.0)]  # a feature that is read is a key
        assert reasons(tables, "usage") == {"used": 1, "null key": 1}
    with opened({"customers": people, "usage": usage}, need={"customers": {"signed_up_on"}}) as tables:
        assert tables.facts == {}


def test_the_period_is_made_of_plain_dates_in_a_known_zone() -> None:
    with pytest.raises(ValidationError, match="'Europe/Madrit' is no time zone"):
        Observed.model_validate({"timezone": "Europe/Madrit"})
    with pytest.raises(ValidationError, match="a plain date like 2024-12-31"):
        Observed.model_validate({"until": dt.datetime(2024, 1, 1, 10)})
    with pytest.raises(ValidationError, match="warm_up"):
        Observed.model_validate({"warm_up": -1})
    assert Observed.model_validate({"from": "2024-02-29", "warm_up": 0}).from_ == dt.date(2024, 2, 29)
