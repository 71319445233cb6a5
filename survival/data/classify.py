"""Every raw row gets its checked values and its ONE reason, in one expression over the source."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import ibis
import ibis.expr.types as ir

from survival.data import contract as c
from survival.data.coerce import checked, cleaned, label, number, there
from survival.data.contract import Column
from survival.data.reading import Reading

# Columns of the staging table beside the checked ones.
REASON, COLUMN, RESIDUE = "_reason", "_column", "_residue"


Step = Callable[[ir.Table], ir.Table]


def coerced(part: ir.Table, reading: Reading, step: Step, textual: Collection[str] = (), **extra: ir.Value) -> ir.Table:
    """The raw part with typed values: `_filtered`, `_null` (a key is null), `_column` (1 + the first unreadable one).

    Attributes in `textual` stay text, whatever this part's type: another part has text there. `_residue` is the text of
    the unreadable values: two rows that differ only there are not copies. `step` ends a stage (a view): merged into one
    expression, each value would be cleaned and parsed several times.
    """
    raw = {f"_raw_{k.stored}": cleaned(_there(part, k.name, reading.columns, reading), k) for k in reading.read}
    others = {n: _attribute(_there(part, n, reading.attributes, reading), n in textual) for n in reading.attributes}
    clean = step(part.select(**raw, **others, **extra, _filtered=_filtered(part, reading)))
    values = {k.stored: checked(clean[f"_raw_{k.stored}"], k, reading.formats.get(k.name, ())) for k in reading.read}
    typed = step(clean.mutate(**values))
    unread = {k: _unread(typed, k) for k in judged(reading) if _can_fail(clean[f"_raw_{k.stored}"], k)}
    codes = [(bad, _code(i)) for i, k in enumerate(judged(reading)) if (bad := unread.get(k)) is not None]
    out: dict[str, ir.Value] = {k.stored: _inclusive(k, typed[k.stored], reading) for k in reading.read}
    out |= {name: typed[name] for name in (*others, *extra, "_filtered")}
    out["_null"] = _any([typed[f"_raw_{k.stored}"].isnull() for k in reading.read if not reading.nullable(k)])
    out[COLUMN] = ibis.cases(*codes, else_=_code(-1)) if codes else _code(-1)
    if reading.identified:
        out[RESIDUE] = _residue(typed, unread)
    return step(typed.select(**out))


def _there(part: ir.Table, name: str, columns: Mapping[str, str], reading: Reading) -> ir.Value:
    """A raw column; null where it holds a text that stands for no value."""
    return there(part[columns[name]], reading.nulls.get(name, ()))


def _unread(typed: ir.Table, column: Column) -> ir.BooleanValue:
    return typed[f"_raw_{column.stored}"].notnull() & typed[column.stored].isnull()


def _code(position: int) -> ir.IntegerScalar:
    return ibis.literal(position + 1, type="int8")


def judged(reading: Reading) -> list[Column]:
    """The columns in the order in which the unreadable one is named: `ended_on` first, since it stops the run."""
    return sorted(reading.read, key=lambda column: column.stored != "ended")


def _can_fail(raw: ir.Value, column: Column) -> bool:
    if column.kind in ("id", "text"):
        return False
    kind = raw.type()
    if column.kind == "date":
        # a typed date fails only at infinity, which as an end means that there is none
        return not (column.nullable and (kind.is_date() or kind.is_timestamp()))
    if column.kind == "flag":
        return not kind.is_boolean()
    return not (kind.is_integer() and column.kind == "number")


def _inclusive(column: Column, value: ir.Value, reading: Reading) -> ir.Value:
    """The last paid day becomes the first day without, when the data hold the former."""
    if reading.inclusive and column.stored == "ended":
        return (value + 1).cast("int32")
    return value


def _attribute(raw: ir.Value, textual: bool) -> ir.Value:
    return number(raw) if raw.type().is_numeric() and not textual else label(raw)


def _residue(typed: ir.Table, unread: Mapping[Column, ir.BooleanValue]) -> ir.StringValue:
    text: ir.StringValue = ibis.literal("")
    for column, bad in unread.items():
        text = text + ibis.cases((bad, typed[f"_raw_{column.stored}"].cast("string") + "\x1f"), else_="")
    return text


def _filtered(part: ir.Table, reading: Reading) -> ir.BooleanValue:
    outside = [~label(part[source]).isin(values).fill_null(False) for source, values in reading.where.items()]
    return _any(outside)


def _any(tests: list[ir.BooleanValue]) -> ir.BooleanValue:
    if not tests:
        return ibis.literal(False)
    found = tests[0]
    for test in tests[1:]:
        found = found | test
    return found


def staged_customers(rows: ir.Table, reading: Reading, until: int | None) -> ir.Table:
    """Customers with their reason; duplicates are judged afterwards."""
    reasons = _row_reasons(rows)
    out_of_range = _out_of_range(rows, reading)
    if out_of_range is not None:
        reasons.append((out_of_range, c.RANGE))
    if until is not None and "signup" in rows.columns:
        reasons.append((rows["signup"] > until, c.AFTER))
    keep = [n for n in rows.columns if n not in ("_filtered", "_null")]
    return rows.select(*keep, **{REASON: _chosen(reasons)})


def staged_facts(rows: ir.Table, customers: ir.Table, reading: Reading, until: int | None) -> ir.Table:
    """Facts joined to their customer, with their reason; duplicates are judged afterwards.

    `customers` has customer, customer_id and signup of those that are used, one row each.
    """
    known = customers.select("customer", _known="customer_id", _signup="signup")
    joined = rows.left_join(known, rows["customer_id"] == known["_known"])
    reasons = _row_reasons(joined)
    reasons.append((joined["customer"].isnull(), c.UNKNOWN))
    logical = reading.logical
    first = joined[logical.first]
    last = joined[logical.last] if logical.last in rows.columns else None
    if last is not None and logical.ordered:
        reasons.append((last < first, c.ENDED_EARLY))
    out_of_range = _out_of_range(joined, reading)
    if out_of_range is not None:
        reasons.append((out_of_range, c.RANGE))
    dated = first_day(joined, reading)
    if until is not None:
        reasons.append((dated > until, c.AFTER))
    reasons.append((_before_signup(dated, first, last, joined["_signup"]), c.BEFORE))
    keep = [n for n in rows.columns if n not in ("_filtered", "_null")]
    if not reading.identified:
        keep.remove("customer_id")
    return joined.select("customer", *keep, **{REASON: _chosen(reasons)})


def first_day(rows: ir.Table, reading: Reading) -> ir.IntegerValue:
    """The day that dates a row: its first one (an invoice may be paid before it is due)."""
    logical = reading.logical
    first = rows[logical.first]
    if logical.last is None or logical.ordered or logical.last not in rows.columns:
        return first
    return ibis.cases((rows[logical.last] < first, rows[logical.last]), else_=first)


def _row_reasons(rows: ir.Table) -> list[tuple[ir.BooleanValue, int]]:
    return [(rows["_filtered"], c.FILTERED), (rows["_null"], c.NULL_KEY), (rows[COLUMN] > 0, c.UNREADABLE)]


def _out_of_range(rows: ir.Table, reading: Reading) -> ir.BooleanValue | None:
    outside = []
    for column in reading.read:
        if column.low is not None:
            outside.append((rows[column.stored] < column.low).fill_null(False))
        if column.high is not None:
            outside.append((rows[column.stored] > column.high).fill_null(False))
    return _any(outside) if outside else None


def _before_signup(
    dated: ir.IntegerValue, first: ir.IntegerValue, last: ir.IntegerValue | None, signup: ir.IntegerValue
) -> ir.BooleanValue:
    """Point facts before signup; intervals that begin before it and do not reach past it."""
    if last is None:
        return dated < signup
    over = ibis.cases((last < first, first), else_=last) <= signup  # null (still running) reaches past every day
    return (dated < signup) & over & last.notnull()


def _chosen(reasons: list[tuple[ir.BooleanValue, int]]) -> ir.IntegerValue:
    branches = [(test, ibis.literal(code, type="int8")) for test, code in reasons]
    return ibis.cases(*branches, else_=ibis.literal(c.USED, type="int8"))
