"""Every row has one reason, the first in the order of judgement; the ledger counts them all."""

from __future__ import annotations

import datetime as dt

import pytest
from raw_tables import customers, epoch, finding, frame, opened, reasons, rows, subjects

# Each row has every fault from its own on: (reason, status, customer, ticket, opened, resolved)
TICKETS = [
    ("filtered", "spam", None, "t9", "when?", "2024-01-01"),
    ("null key", "ok", None, "t1", "when?", "2024-01-01"),
    ("unreadable value", "ok", "zz", "t2", "when?", "2024-01-01"),
    ("unknown customer", "ok", "zz", "t3", "2025-03-03", "2024-01-01"),
    ("ended before it started", "ok", "a", "t4", "2025-03-03", "2024-01-01"),
    ("after until", "ok", "a", "t5", "2025-03-03", None),
    ("before signup", "ok", "a", "t6", "2024-01-01", "2024-01-09"),
    ("used", "ok", "a", "t7", "2024-01-01", "2024-01-11"),
]


@pytest.mark.parametrize("row", TICKETS, ids=[t[0] for t in TICKETS])
def test_a_ticket_has_the_first_reason_that_fits(row: tuple[str, ...]) -> None:
    table = frame(
        "status customer_id ticket_id opened_on resolved_on", row[1:], ("ok", "a", "good", "2024-02-01", None)
    )
    spec = {"tickets": {"where": {"status": ["ok"]}}}
    with opened({"customers": customers("a"), "tickets": table}, specs=spec) as tables:
        expected = {"used": 2} if row[0] == "used" else {"used": 1, row[0]: 1}
        assert reasons(tables, "tickets") == expected


def test_all_reasons_at_once_add_up() -> None:
    table = frame("status customer_id ticket_id opened_on resolved_on", *(t[1:] for t in TICKETS))
    spec = {"tickets": {"where": {"status": ["ok"]}}}
    with opened({"customers": customers("a"), "tickets": table}, specs=spec) as tables:
        assert reasons(tables, "tickets") == {"used": 1} | {t[0]: 1 for t in TICKETS[:-1]}
        lines = tables.ledger[tables.ledger["table"] == "tickets"]
        assert list(lines.columns) == ["table", "rows_read", "used", "set_aside", "reason", "rows"]
        assert set(lines["rows_read"]) == {8}
        assert set(lines["used"]) == {1}
        assert set(lines["set_aside"]) == {7}
        assert list(lines["reason"]) == [
            "used", "filtered", "null key", "unreadable value", "unknown customer", "ended before it started",
            "after until", "before signup",
        ]  # fmt: skip


def test_duplicate_comes_between_unknown_customer_and_ended_before_it_started() -> None:
    copies = [
        ("zz", "1", "2024-02-01", "2024-01-20"),  # unknown, twice: both keep that reason
        ("zz", "1", "2024-02-01", "2024-01-20"),
        ("a", "2", "2024-02-01", "2024-01-20"),  # ends early: one of them says so, the copy is a duplicate
        ("a", "2", "2024-02-01", "2024-01-20"),
        ("a", "2", "2024-02-01", "2024-01-20"),
        ("a", "3", "2024-02-01", None),
        ("a", "3", "2024-02-01", None),
        ("a", "4", "never", None),  # unreadable, twice
        ("a", "4", "never", None),
        ("a", None, "2024-02-01", None),  # no identifier, no duplicate
        ("a", None, "2024-02-01", None),
    ]
    table = frame("customer_id ticket_id opened_on resolved_on", *copies)
    with opened({"customers": customers("a"), "tickets": table}) as tables:
        assert reasons(tables, "tickets") == {
            "used": 3, "unknown customer": 2, "ended before it started": 1, "duplicate": 3, "unreadable value": 2,
        }  # fmt: skip


def test_scores_out_of_range_before_dates() -> None:
    table = frame(
        "customer_id answered_on score",
        ("a", "2024-02-01", "0"),
        ("a", "2024-02-01", "10"),
        ("a", "2025-02-01", "11"),
        ("a", "2023-02-01", "-1"),
        ("a", "2025-02-01", "7"),
        ("a", "2023-02-01", "7"),
        ("a", "2024-02-01", "7.5"),
        ("a", "2024-02-01", None),
    )
    with opened({"customers": customers("a"), "nps": table}) as tables:
        assert reasons(tables, "nps") == {
            "used": 2, "null key": 1, "unreadable value": 1, "out of range": 2, "after until": 1, "before signup": 1,
        }  # fmt: skip
        assert rows(tables, "nps", "score") == [(0,), (10,)]


def test_two_equal_uses_are_two_uses() -> None:
    table = frame("customer_id used_on feature", *[("a", "2024-02-01", "search")] * 3)
    with opened({"customers": customers("a"), "usage": table}) as tables:
        assert rows(tables, "usage", "quantity") == [(1.0,)] * 3


def test_the_days_at_the_borders_count() -> None:
    table = frame(
        "customer_id ordered_on", ("a", "2024-01-10"), ("a", "2024-01-09"), ("a", "2024-12-31"), ("a", "2025-01-01")
    )
    with opened({"customers": customers("a"), "orders": table}) as tables:
        assert rows(tables, "orders", "day") == [(epoch("2024-01-10"),), (epoch("2024-12-31"),)]
        assert reasons(tables, "orders") == {"used": 2, "after until": 1, "before signup": 1}


def test_intervals_keep_true_dates_when_they_reach_past_signup() -> None:
    table = frame(
        "customer_id started_on ended_on",
        ("a", "2023-06-01", "2024-01-10"),  # over when the customer signed up
        ("a", "2023-06-01", "2024-01-11"),
        ("a", "2023-06-01", None),
        ("a", "2024-01-10", "2024-01-10"),  # of no length, but not before signup
    )
    with opened({"customers": customers("a"), "subscriptions": table}) as tables:
        assert reasons(tables, "subscriptions") == {"used": 3, "before signup": 1}
        assert rows(tables, "subscriptions", "started", "ended") == [
            (epoch("2023-06-01"), epoch("2024-01-11")),
            (epoch("2023-06-01"), None),
            (epoch("2024-01-10"), epoch("2024-01-10")),
        ]


def test_an_end_after_until_has_not_happened_yet() -> None:
    table = frame(
        "customer_id started_on ended_on", ("a", "2024-02-01", "2024-12-31"), ("a", "2024-02-01", "2025-01-01")
    )
    with opened({"customers": customers("a"), "subscriptions": table}) as tables:
        assert rows(tables, "subscriptions", "ended") == [(epoch("2024-12-31"),), (None,)]


def test_inclusive_ends_are_the_last_paid_day() -> None:
    table = frame(
        "customer_id started_on ended_on",
        ("a", "2024-02-01", "2024-02-29"),
        ("a", "2024-02-01", "2024-12-31"),  # its first day without is after until
        ("a", "2024-02-01", "2024-01-31"),  # no day at all, but not ended before it started
        ("a", "2024-02-01", "2024-01-30"),
    )
    with opened(
        {"customers": customers("a"), "subscriptions": table}, specs={"subscriptions": {"ends": "inclusive"}}
    ) as tables:
        assert rows(tables, "subscriptions", "ended") == [(epoch("2024-02-01"),), (epoch("2024-03-01"),), (None,)]
        assert reasons(tables, "subscriptions") == {"used": 3, "ended before it started": 1}


def test_an_invoice_is_dated_by_its_first_date() -> None:
    table = frame(
        "customer_id due_on paid_on",
        ("a", "2025-01-15", "2024-12-20"),  # paid early: known before until
        ("a", "2025-01-15", None),  # after until
        ("a", "2025-01-15", "2025-01-20"),  # after until
        ("a", "2024-12-01", "2025-01-20"),  # not paid yet
        ("a", "2024-01-05", "2023-12-20"),  # all before signup
        ("a", "2024-01-15", "2023-12-20"),  # due after signup
        ("a", "2023-12-01", None),  # still open
    )
    with opened({"customers": customers("a"), "invoices": table}) as tables:
        assert reasons(tables, "invoices") == {"used": 4, "after until": 2, "before signup": 1}
        assert rows(tables, "invoices", "due", "paid") == sorted(
            [
                (epoch("2025-01-15"), epoch("2024-12-20")),
                (epoch("2024-12-01"), None),
                (epoch("2024-01-15"), epoch("2023-12-20")),
                (epoch("2023-12-01"), None),
            ],
            key=repr,
        )


def test_facts_of_a_customer_set_aside_are_of_an_unknown_customer() -> None:
    people = frame(
        "customer_id signed_up_on",
        ("a", "2024-01-10"),
        ("b", "soon"),
        ("c", "2025-06-01"),
        (None, "2024-01-10"),
        ("d", None),
    )
    table = frame("customer_id ordered_on", *[(who, "2025-06-02") for who in "abcd"], ("a", "2024-02-01"))
    with opened({"customers": people, "orders": table}) as tables:
        assert reasons(tables, "customers") == {"used": 1, "null key": 2, "unreadable value": 1, "after until": 1}
        assert reasons(tables, "orders") == {"used": 1, "unknown customer": 3, "after until": 1}


def test_negative_tenure_is_out_of_range_and_a_tenure_needs_no_date() -> None:
    people = frame(
        "customer_id tenure churned", ("b", "12", "No"), ("a", "-1", "Yes"), ("c", "3.5", "YES"), ("d", "long", "No")
    )
    need = {"customers": {"customer_id", "tenure", "churned"}}
    with opened({"customers": people}, need=need) as tables:
        assert reasons(tables, "customers") == {"used": 2, "unreadable value": 1, "out of range": 1}
        assert rows(tables, "customers") == [(0, "b", None, 12.0, False), (1, "c", None, 3.5, True)]
        assert tables.customers.columns == ("customer", "customer_id", "signup", "tenure", "churned")


def test_more_than_a_twentieth_set_aside_warns_and_filtered_rows_do_not_count() -> None:
    def orders(lost: int, filtered: int) -> object:
        good = [("a", "2024-02-01", "y")] * (100 - lost)
        return frame(
            "customer_id ordered_on real", *good, *[("zz", "2024-02-01", "y")] * lost, *[("a", "x", "n")] * filtered
        )

    spec = {"orders": {"where": {"real": "y"}}}
    for lost, warned in ((5, set()), (6, {"orders"})):
        with opened({"customers": customers("a"), "orders": orders(lost, 500)}, specs=spec) as tables:
            assert reasons(tables, "orders") == {"used": 100 - lost, "unknown customer": lost, "filtered": 500}
            assert subjects(tables, "set-aside") == warned
    with opened({"customers": customers("a"), "orders": orders(6, 0)}) as tables:
        message = finding(tables, "set-aside", "orders")
        assert "6 of 100 rows" in message
        assert "6.0%" in message
        assert "6 unknown customer" in message
        assert "unknown ids like 'zz'; customers has ids like 'a'" in message


def test_a_log_that_starts_late_and_customers_who_enter_late_are_findings() -> None:
    people = frame("customer_id signed_up_on", ("a", "2023-01-01"), ("b", "2024-02-01"))
    orders = frame("customer_id ordered_on", ("a", "2024-02-01"), ("b", "2024-03-01"))
    with opened({"customers": people, "orders": orders}) as tables:
        message = finding(tables, "log-starts-late", "orders")
        assert "2024-02-01, 396 days after the first signup (2023-01-01)" in message
        assert subjects(tables, "late-entry") == set()
    with opened({"customers": people, "orders": orders}, from_=dt.date(2024, 1, 15)) as tables:
        assert subjects(tables, "log-starts-late") == set()
        assert finding(tables, "late-entry", "customers").startswith("1 of 2 customers signed up before observed.from")
        assert tables.from_day == epoch("2024-01-15")
        assert tables.until_day == epoch("2024-12-31")


def test_large_counts_are_written_with_separators() -> None:
    rows = [(f"c{i:04d}", "2023-05-01" if i < 1224 else "soon" if i < 2300 else "2024-05-01") for i in range(5000)]
    with opened({"customers": frame("customer_id signed_up_on", *rows)}, from_=dt.date(2024, 1, 1)) as tables:
        assert finding(tables, "late-entry", "customers").startswith("1,224 of 3,924 customers signed up before")
        assert "customers: 1,076 of 5,000 rows are set aside (21.5%): 1,076 unreadable" in finding(
            tables, "set-aside", "customers"
        )
        assert "1,076 rows have an unreadable signed_up_on" in finding(
            tables, "unreadable-values", "customers.signed_up_on"
        )


def test_customers_are_numbered_in_the_order_of_their_ids_and_attributes_are_numbers_or_text() -> None:
    people = frame(
        "customer_id signed_up_on seats plan note zip",
        ("b", "2024-01-10", "10", "pro", "", "0123"),
        ("a", "2024-01-11", " 2.5 ", " basic ", None, "9"),
        ("c", "2024-01-12", None, "", " ", "nan"),
    )
    with opened({"customers": people}) as tables:
        assert rows(tables, "customers") == [
            (0, "a", epoch("2024-01-11"), 2.5, "basic", None, "9"),
            (1, "b", epoch("2024-01-10"), 10.0, "pro", None, "0123"),
            (2, "c", epoch("2024-01-12"), None, None, None, "nan"),
        ]
        assert "seats, plan, note, zip" in finding(tables, "attributes-as-of-signup", "customers")
    with opened({"customers": people}, need={"customers": {"signed_up_on", "plan"}}) as tables:
        assert tables.customers.columns == ("customer", "customer_id", "signup", "plan")


def test_customers_derived_from_their_first_fact() -> None:
    orders = frame(
        "customer_id ordered_on amount kind",
        ("b", "2024-03-01", "1", "buy"),
        ("b", "2024-02-01", "2", "buy"),
        ("b", "2024-01-01", "2", "gift"),  # filtered: no fact of this table
        ("b", "2023-01-01", "dear", "buy"),  # unreadable: no fact
        ("a", "2024-05-01", "3", "buy"),
        ("c", "2025-05-01", "3", "buy"),  # signs up after until
        (None, "2024-05-01", "3", "buy"),
        ("d", "soon", "3", "buy"),  # has no fact at all
    )
    specs = {"customers": {"derive_from": "orders"}, "orders": {"where": {"kind": ["buy"]}}}
    with opened({"orders": orders}, specs=specs) as tables:
        assert rows(tables, "customers") == [(0, "a", epoch("2024-05-01")), (1, "b", epoch("2024-02-01"))]
        assert reasons(tables, "customers") == {"used": 2, "after until": 1}
        assert reasons(tables, "orders") == {
            "used": 3, "filtered": 1, "null key": 1, "unreadable value": 2, "unknown customer": 1,
        }  # fmt: skip
