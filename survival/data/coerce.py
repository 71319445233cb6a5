"""From raw values to checked ones: each function gives the value, null where the raw value is blank or cannot be read.

Values are `cleaned` first: text is trimmed (ids are not), blank text is null. A cleaned value that is there and gives null
when `checked` is unreadable.
"""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from survival.data.contract import Column
from survival.data.formats import MONTHS, DatePattern, pattern_of

_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?"
_OFFSET = r" ?(?:[zZ]|UTC|[+-]\d{2}(?::?\d{2})?)"
ISO = rf"^\d{{4}}-\d{{2}}-\d{{2}}(?:[ tT]{_CLOCK}(?:{_OFFSET})?)?$"
TRUE = ("true", "t", "yes", "1")
FALSE = ("false", "f", "no", "0")
NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"
_INT32 = 2**31 - 1


def trimmed(text: ir.StringValue) -> ir.StringValue:
    """Text without surrounding whitespace. Every blank sorts before '!': almost no value needs the costly strip."""
    tidy = (text >= "!") & (text.right(1) >= "!")
    return ibis.cases((tidy, text), else_=text.strip())


def raw_text(value: ir.Value) -> ir.StringValue:
    """Any raw value as text, exactly as an id is compared; blank is null.

    Whole floating-point numbers lose their `.0`: they are integers that passed through a tool whose integers cannot be null.
    """
    kind = value.type()
    if kind.is_string():
        return ibis.cases((value >= "!", value), (value.strip().length() > 0, value), else_=ibis.null("string"))
    if kind.is_floating():
        whole = (value % 1 == 0) & (value.abs() < 1e15)  # not by floor(), which Ibis casts to an integer
        text = ibis.cases((whole, value.try_cast("int64").cast("string")), else_=value.cast("string"))
        return ibis.cases((value.isnan(), ibis.null("string")), else_=text)
    return value.cast("string")


def label(value: ir.Value) -> ir.StringValue:
    """Any raw value as trimmed text; blank is null."""
    return trimmed(value).nullif("") if value.type().is_string() else raw_text(value)


def there(value: ir.Value, nulls: Sequence[str]) -> ir.Value:
    """The raw value, null where its text is one of `nulls` (lower case)."""
    if not nulls:
        return value
    return ibis.cases((raw_text(value).strip().lower().isin(nulls), ibis.null(value.type())), else_=value)


def cleaned(value: ir.Value, column: Column) -> ir.Value:
    """A raw value, null where there is none (blank, NaN): text is trimmed unless it is an id, labels become text."""
    kind = value.type()
    if column.kind == "id":
        return raw_text(value)
    if kind.is_string() or column.kind == "text":
        return label(value)
    return ibis.cases((value.isnan(), ibis.null(kind)), else_=value) if kind.is_floating() else value


def checked(value: ir.Value, column: Column, formats: Sequence[str]) -> ir.Value:
    """A cleaned value as the checked column's type, null where it cannot be read."""
    if column.kind == "date":
        return day(value, formats)
    if column.kind == "number":
        return number(value)
    if column.kind == "count":
        return whole_number(value)
    return flag(value) if column.kind == "flag" else value


def number(value: ir.Value) -> ir.FloatingValue:
    """A finite number as float64."""
    kind = value.type()
    if kind.is_string():
        parsed = value.try_cast("float64")
        # 'nan' and 'inf' are words for the engine's cast; a number in a table has digits
        return ibis.cases((value.re_search(NUMBER) & ~parsed.isinf(), parsed), else_=ibis.null("float64"))
    if kind.is_floating():
        as_float = value.cast("float64")
        return ibis.cases((as_float.isnan() | as_float.isinf(), ibis.null("float64")), else_=as_float)
    if kind.is_numeric() or kind.is_boolean():
        return (value.cast("int8") if kind.is_boolean() else value).cast("float64")
    return ibis.null("float64")


def whole_number(value: ir.Value) -> ir.IntegerValue:
    """A number without a fraction as int32."""
    parsed = number(value)
    fits = (parsed % 1 == 0) & (parsed.abs() <= _INT32)
    return ibis.cases((fits, parsed.try_cast("int32")), else_=ibis.null("int32"))


def flag(value: ir.Value) -> ir.BooleanValue:
    """true/false, t/f, yes/no, 1/0 in any case."""
    if value.type().is_boolean():
        return value
    text = raw_text(value).lower()
    return ibis.cases((text.isin(TRUE), True), (text.isin(FALSE), False), else_=ibis.null("boolean"))


def day(value: ir.Value, formats: Sequence[str]) -> ir.IntegerValue:
    """A day as int32 epoch day. Moments with an offset are cut in the engine's time zone, others are taken to be in it."""
    kind = value.type()
    if kind.is_date():
        return _epoch_day(value)
    if kind.is_timestamp():
        return _epoch_day(value.cast("date"))
    if kind.is_string():
        return _first([_formatted(value, pattern_of(f)) for f in formats]) if formats else _iso(value)
    if kind.is_numeric() and formats:  # 20240131 stored as a number
        text = raw_text(value)
        return _first([_formatted(text, pattern_of(f)) for f in formats])
    return ibis.null("int32")


def _first(days: list[ir.IntegerValue]) -> ir.IntegerValue:
    return ibis.coalesce(*days) if len(days) > 1 else days[0]


def _epoch_day(date: ir.DateValue) -> ir.IntegerValue:
    return date.epoch_days().cast("int32")


def _iso(text: ir.StringValue) -> ir.IntegerValue:
    plain = _epoch_day(text.substr(0, 10).try_cast("date"))
    moved = (text.length() > 10) & text.re_search(_OFFSET + "$")
    return ibis.cases(
        (~text.re_search(ISO), ibis.null("int32")),
        (moved & plain.notnull(), _moment(text.substr(0, 10), text.substr(11))),
        else_=plain,
    )


def _moment(date: ir.StringValue, clock: ir.StringValue) -> ir.IntegerValue:
    """The day, in the engine's time zone, of a moment with an offset."""
    bare = clock.upper().replace("UTC", "Z").replace(" ", "")
    return _epoch_day((date + " " + bare).try_cast("timestamp('UTC')").cast("date"))


def _formatted(text: ir.StringValue, date: DatePattern) -> ir.IntegerValue:
    lowered = text.lower()

    def part(name: str) -> ir.StringValue:
        return lowered.re_extract(date.pattern, date.groups[name])

    iso = _year(part, date) + "-" + _month(part, date) + "-" + part("d").lpad(2, "0")
    read = _epoch_day(iso.try_cast("date"))
    if "z" in date.groups:
        read = _moment(iso, _clock(part, date) + part("z"))
    return ibis.cases((lowered.re_search(date.pattern), read), else_=ibis.null("int32"))


def _year(part, date: DatePattern) -> ir.StringValue:  # type: ignore[no-untyped-def]
    if "Y" in date.groups:
        return part("Y")
    short = part("y")
    return ibis.cases((short >= "69", "19"), else_="20") + short


def _month(part, date: DatePattern) -> ir.StringValue:  # type: ignore[no-untyped-def]
    if "m" in date.groups:
        return part("m").lpad(2, "0")
    name = part("b").substr(0, 3)
    return ibis.cases(*((name == m, f"{i:02d}") for i, m in enumerate(MONTHS, 1)), else_="")


def _clock(part, date: DatePattern) -> ir.StringValue:  # type: ignore[no-untyped-def]
    hour: ir.StringValue = ibis.literal("00")
    if "H" in date.groups:
        hour = part("H").lpad(2, "0")
    elif "I" in date.groups:
        twelve = part("I").try_cast("int32")
        twelve = ibis.cases((twelve == 12, 0), else_=twelve)
        if "p" in date.groups:
            twelve = twelve + ibis.cases((part("p") == "pm", 12), else_=0)
        hour = twelve.cast("string").lpad(2, "0")
    minute = part("M").lpad(2, "0") if "M" in date.groups else ibis.literal("00")
    second = part("S").lpad(2, "0") if "S" in date.groups else ibis.literal("00")
    return hour + ":" + minute + ":" + second
