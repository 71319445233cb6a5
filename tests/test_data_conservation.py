"""On random dirty tables the data room and a plain reading, row by row, agree on every row and its one reason."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_tables import EPOCH, opened, reasons, rows

from survival.errors import DataError

Row = dict[str, Any]

DAYS = ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-06"]
DATES = [*DAYS * 5, "2024-02-30", "soon", "", None, " 2024-01-03 ", "2024-01-03T23:30:00-02:00"]
ENDS = [*DAYS * 2, "", None, None, "2024-01-03T23:30:00-02:00"]
WHO = [*"aaaabbbbccd", "zz", "", None]
NUMBERS = ["1", "2.5", "0", "7", "10", "3", "", None, "x", "nan", "-3", "11"]
LABELS = ["p", "q", " q", "r", "r", "s", "", None]
FLAGS = ["yes", "NO", "t", "0", "", None, "yes", "no", "maybe"]
KINDS = ["in"] * 8 + ["out", None]
IDS = [None, "", *(f"i{n}" for n in range(20_000))]
UNTIL = "2024-01-05"

# table -> column -> (kind, values); the first date dates a row
TABLES: dict[str, dict[str, tuple[str, list[Any]]]] = {
    "subscriptions": {"started_on": ("date", DATES), "ended_on": ("end", ENDS), "plan": ("key", LABELS), "mrr": ("number", NUMBERS),
                      "auto_renew": ("flag", FLAGS), "subscription_id": ("id", IDS)},
    "usage": {"used_on": ("date", DATES), "feature": ("key", LABELS), "quantity": ("number", NUMBERS)},
    "nps": {"answered_on": ("date", DATES), "score": ("score", NUMBERS)},
    "tickets": {"opened_on": ("date", DATES), "resolved_on": ("end", DATES), "ticket_id": ("id", IDS), "category": ("text", LABELS)},
    "invoices": {"due_on": ("date", DATES), "paid_on": ("end", DATES), "amount": ("number", NUMBERS), "invoice_id": ("id", IDS)},
}  # fmt: skip


@st.composite
def dirty(draw: st.DrawFn, columns: dict[str, tuple[str, list[Any]]], most: int = 60) -> list[Row]:
    """Rows of a table, evenly mixed (hypothesis' own draws lean to empty and equal rows); some are copies of others."""
    random = Random(draw(st.integers(0, 2**32)))
    values = {"customer_id": WHO, "status": KINDS, **{k: v for k, (_, v) in columns.items()}}
    made = [{k: random.choice(v) for k, v in values.items()} for _ in range(random.randint(0, most))]
    copied = random.sample(made, min(len(made), 5))
    return random.sample(made + copied, len(made) + len(copied))


def blank(value: Any) -> bool:
    return value is None or value.strip() == ""


def day_of(text: str) -> int | None:
    """The epoch day of an ISO text in UTC."""
    try:
        moment = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if moment.tzinfo is not None:
        moment = moment.astimezone(dt.UTC)
    return (moment.date() - EPOCH).days


def value_of(kind: str, text: Any) -> Any:
    """The value, None when there is none; 'bad' when it cannot be read."""
    if blank(text):
        return None
    if kind in ("date", "end"):
        found = day_of(text)
        return "bad" if found is None else found
    if kind == "flag":
        return {"yes": True, "t": True, "1": True, "no": False, "0": False}.get(text.strip().lower(), "bad")
    if kind in ("number", "score"):
        try:
            number = float(text)
        except ValueError:
            return "bad"
        if number != number or (kind == "score" and number != int(number)):
            return "bad"
        return number
    return text if kind == "id" else text.strip()


def judged(table: str, rows_: list[Row], signups: dict[str, int]) -> Iterator[tuple[str, Row]]:
    """Each row's reason and values, in the order of semantics.md. Raises ValueError for what stops a run."""
    columns = {"customer_id": "id"} | {k: kind for k, (kind, _) in TABLES[table].items()}
    first, *rest = [k for k, kind in columns.items() if kind in ("date", "end")]
    last = rest[0] if rest else None
    identifier = next((k for k, kind in columns.items() if kind == "id" and k != "customer_id"), None)
    until = day_of(UNTIL)
    seen: dict[str, Row] = {}
    for raw in rows_:
        values = {k: value_of(kind, raw[k]) for k, kind in columns.items()}
        if raw["status"] != "in":
            yield "filtered", values
            continue
        contents = {k: (raw[k] if v == "bad" else v) for k, v in values.items()}
        copy = False
        if identifier and values[identifier] is not None:
            before = seen.setdefault(values[identifier], contents)
            copy = before is not contents
            if before != contents:
                raise ValueError(f"{values[identifier]} has different contents")
        if any(
            values[k] is None for k, kind in columns.items() if kind in ("date", "key", "score") or k == "customer_id"
        ):
            yield "null key", values
            continue
        if "bad" in values.values():
            if last == "ended_on" and values[last] == "bad":
                raise ValueError("an end that cannot be read")
            yield "unreadable value", values
            continue
        begun, ended = values[first], values[last] if last else None
        dated = min(begun, ended) if table == "invoices" and ended is not None else begun
        if values["customer_id"] not in signups:
            reason = "unknown customer"
        elif copy:
            reason = "duplicate"
        elif table != "invoices" and ended is not None and ended < begun:
            reason = "ended before it started"
        elif (table == "nps" and not 0 <= values["score"] <= 10) or (
            table == "usage" and (values["quantity"] or 0) < 0
        ):
            reason = "out of range"
        elif dated > until:
            reason = "after until"
        elif (last is None and dated < signups[values["customer_id"]]) or (
            last is not None
            and dated < (s := signups[values["customer_id"]])
            and ended is not None
            and max(begun, ended) <= s
        ):
            reason = "before signup"
        else:
            reason = "used"
            if ended is not None and ended > until:
                values[last] = None
        yield reason, values


SIGNUPS = {"a": "2024-01-01", "b": "2024-01-03", "c": "2024-01-05", "d": "2024-01-06"}  # d signs up after until
STORED = {"started_on": "started", "ended_on": "ended", "used_on": "day", "answered_on": "day", "opened_on": "opened",
          "resolved_on": "resolved", "due_on": "due", "paid_on": "paid"}  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_every_row_is_used_or_set_aside_for_the_reason_a_reader_would_give(table: str, data: st.DataObject) -> None:
    raw = data.draw(dirty(TABLES[table]))
    people = pd.DataFrame({"customer_id": list(SIGNUPS), "signed_up_on": list(SIGNUPS.values())})
    names = ["customer_id", "status", *TABLES[table]]
    frames = {"customers": people, table: pd.DataFrame(raw, columns=names, dtype=object)}
    options: dict[str, Any] = {"until": dt.date.fromisoformat(UNTIL), "specs": {table: {"where": {"status": ["in"]}}}}
    signups = {who: day for who, text in SIGNUPS.items() if (day := day_of(text)) is not None and text <= UNTIL}
    try:
        expected = list(judged(table, raw, signups))
    except ValueError as stopped:
        with pytest.raises(
            DataError, match=str(stopped).split()[-1] if "contents" in str(stopped) else "unreadable ended_on"
        ):
            opened(frames, **options)
        return
    counts = Counter(reason for reason, _ in expected)
    readable = len(raw) - counts["filtered"] - counts["null key"]
    if (raw and counts["filtered"] == len(raw)) or (readable and counts["unreadable value"] == readable):
        with pytest.raises(DataError, match="keeps none|no row can be read"):
            opened(frames, **options)
        return
    with opened(frames, **options) as tables:
        assert reasons(tables, table) == {"used": counts["used"]} | {k: v for k, v in counts.items() if k != "used"}
        numbers = {who: i for i, who in enumerate(sorted(signups))}
        stored = [STORED.get(k, k) for k in TABLES[table]]
        wanted = []
        for reason, values in expected:
            if reason == "used":
                row = [numbers[values["customer_id"]], *(values[k] for k in TABLES[table])]
                wanted.append(
                    tuple(1.0 if n == "quantity" and v is None else v for n, v in zip(["", *stored], row, strict=True))
                )
        assert rows(tables, table, "customer", *stored) == sorted(wanted, key=repr)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(raw=dirty({"customer_id": ("id", IDS), "signed_up_on": ("date", DATES), "plan": ("text", LABELS)}))
def test_customers_are_read_as_a_reader_would(raw: list[Row]) -> None:
    counts: Counter[str] = Counter()
    kept: dict[str, tuple[int, Any]] = {}
    seen: dict[str, tuple[Any, ...]] = {}
    ambiguous = False
    for row in raw:
        who, when = value_of("id", row["customer_id"]), value_of("date", row["signed_up_on"])
        contents = (row["signed_up_on"] if when == "bad" else when, value_of("text", row["plan"]))
        if row["status"] != "in":
            counts["filtered"] += 1
            continue
        ambiguous |= who is not None and seen.setdefault(who, contents) != contents
        if who is None or when is None:
            counts["null key"] += 1
        elif when == "bad":
            counts["unreadable value"] += 1
        elif who in kept or (who in seen and counts[f"late {who}"]):
            counts["duplicate"] += 1
        elif when > day_of(UNTIL):
            counts["after until"] += 1
            counts[f"late {who}"] += 1
        else:
            kept[who] = (when, contents[1])
    table = pd.DataFrame(raw, columns=["customer_id", "status", "signed_up_on", "plan"], dtype=object)
    options: dict[str, Any] = {
        "until": dt.date.fromisoformat(UNTIL),
        "specs": {"customers": {"where": {"status": ["in"]}}},
    }
    options["need"] = {"customers": {"signed_up_on", "plan"}}
    if ambiguous or not kept:
        with pytest.raises(DataError, match="different contents|nobody is left"):
            opened({"customers": table}, **options)
        return
    with opened({"customers": table}, **options) as tables:
        expected = {k: v for k, v in counts.items() if not k.startswith("late")}
        assert reasons(tables, "customers") == {"used": len(kept), **expected}
        assert tables.n_customers == len(kept)
        assert [r[1:3] for r in sorted(rows(tables, "customers"), key=lambda r: r[0])] == [
            (who, kept[who][0]) for who in sorted(kept)
        ]
