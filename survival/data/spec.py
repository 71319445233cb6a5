"""Where the data are and how they are to be read: the `data:` part of a config."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, field_validator, model_validator

from survival.data.contract import CONTRACT, nearest
from survival.data.formats import pattern_of
from survival.spec import Spec

DateFormat = str | list[str]
Delimiter = Literal["comma", "semicolon", "tab", "pipe", "whitespace"]


def _date_only(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        raise ValueError(f"a plain date like 2024-12-31 is needed, not the moment {value.isoformat()}")
    return value


def _days_or_auto(value: Any) -> Any:
    """One message, where pydantic has one for each of the types."""
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise ValueError(f"a whole number of days, 0 or more, or auto; got {value!r}")


_BACKSLASH_N = "\\N"


def _words(value: Any) -> Any:
    """One text or a list of them; YAML's null is the text `null`, and a number is as it is written.

    In double quotes YAML reads `\\N` as the control character "next line", which no export writes for no value: `\\N` is meant.
    """
    if value is None or isinstance(value, dict):
        return value
    words = ["null" if v is None else _text(v) for v in (value if isinstance(value, list | tuple) else [value])]
    return [_BACKSLASH_N if word == "\x85" else word for word in words]


Nulls = Annotated[list[str], BeforeValidator(_words)]
Day = Annotated[dt.date, BeforeValidator(_date_only)]


class Observed(Spec):
    """The observation period: logs are complete from `from`, and known until the close of `until`."""

    from_: Day | None = Field(default=None, alias="from")
    until: Day | None = None
    timezone: str = "UTC"
    warm_up: Annotated[Annotated[int, Field(ge=0)] | Literal["auto"], BeforeValidator(_days_or_auto)] = "auto"

    model_config = {"populate_by_name": True}

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{value!r} is no time zone; use an IANA name like 'Europe/Madrid' or 'UTC'") from error
        return value


class TableSpec(Spec):
    """Where one logical table is, and how its columns are called there.

    Exactly one of `path` (a CSV, Parquet, whitespace-delimited or DuckDB file, or a glob, or a list of them; with
    `table` for a table inside a DuckDB file), `table` (of the database that `engine` names) and `derive_from` (customers
    only: each customer's first fact of that table is the signup).
    `columns` maps logical to source names, `where` source columns to accepted values as text, `date_format` is one
    format, a list (the first that parses) or a mapping of logical column to either. `delimiter` is for text files; by default
    it is told from the header line (`whitespace`: runs of blanks and tabs, as in fixed-width exports). `nulls` are texts that
    stand for no value, in any case (`NULL`, `\\N`): a list for all columns, or a mapping of logical column to one.
    """

    path: str | list[str] | None = None
    table: str | None = None
    derive_from: str | None = None
    columns: dict[str, str] = {}
    where: dict[str, list[str]] = {}
    date_format: DateFormat | dict[str, DateFormat] | None = None
    nulls: dict[str, Nulls] | Nulls | None = None
    ends: Literal["exclusive", "inclusive"] = "exclusive"
    delimiter: Delimiter | None = None

    @field_validator("where", mode="before")
    @classmethod
    def _one_value_is_a_list(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {k: [_text(x) for x in (v if isinstance(v, list | tuple) else [v])] for k, v in value.items()}

    @field_validator("date_format")
    @classmethod
    def _readable_formats(cls, value: Any) -> Any:
        for formats in value.values() if isinstance(value, dict) else [value]:
            for one in [formats] if isinstance(formats, str) else formats or []:
                pattern_of(one)
        return value

    @model_validator(mode="after")
    def _exactly_one_source(self) -> TableSpec:
        if self.derive_from is not None and (self.path is not None or self.table is not None):
            raise ValueError("derive_from takes the customers from another table: leave out path and table")
        if self.path is None and self.table is None and self.derive_from is None:
            raise ValueError("one of path, table, derive_from is needed to find the table")
        return self

    def formats(self, column: str, default: DateFormat | None) -> list[str]:
        """The date formats of a logical column, most specific first; none means ISO."""
        chosen: Any = self.date_format
        if isinstance(chosen, dict):
            chosen = chosen.get(column)
        chosen = chosen if chosen is not None else default
        return [chosen] if isinstance(chosen, str) else list(chosen or [])

    def null_words(self, column: str, default: Sequence[str]) -> tuple[str, ...]:
        """The texts that stand for no value in a logical column, in lower case."""
        chosen = self.nulls.get(column) if isinstance(self.nulls, dict) else self.nulls
        return tuple(word.strip().lower() for word in (default if chosen is None else chosen))

    @property
    def paths(self) -> list[str]:
        """The paths and globs, as a list."""
        return [self.path] if isinstance(self.path, str) else list(self.path or [])


def _text(value: Any) -> Any:
    """A scalar of a config as text: YAML's true is `true`, 3 is `3`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float | dt.date) else value


class DataSpec(Spec):
    """The `data:` part of a config: the tables, the observation period, the engine."""

    engine: str = "duckdb"
    tables: dict[str, TableSpec]
    observed: Observed = Observed()
    date_format: DateFormat | None = None
    nulls: Nulls = Field([], description="texts that stand for no value in every table, such as NULL, in any case")

    @field_validator("date_format")
    @classmethod
    def _readable_formats(cls, value: Any) -> Any:
        for one in [value] if isinstance(value, str) else value or []:
            pattern_of(one)
        return value

    @model_validator(mode="after")
    def _contract(self) -> DataSpec:
        problems = [p for name, spec in self.tables.items() for p in _problems(name, spec, self.tables)]
        if problems:
            raise ValueError("; ".join(problems))
        return self


def _problems(name: str, spec: TableSpec, tables: dict[str, TableSpec]) -> list[str]:
    """What is wrong with a table's spec in the light of the contract."""
    if name not in CONTRACT:
        return [f"tables.{name}: no such table; allowed: {', '.join(CONTRACT)}{nearest(name, CONTRACT)}"]
    logical = CONTRACT[name]
    problems = []
    if not logical.open_ended:
        problems += [
            f"tables.{name}.columns.{c}: no such column; allowed: {', '.join(logical.names)}{nearest(c, logical.names)}"
            for c in spec.columns
            if c not in logical.names
        ]
    if isinstance(spec.date_format, dict):
        dates = [c.name for c in logical.columns if c.kind == "date"]
        problems += [
            f"tables.{name}.date_format.{c}: no date column; allowed: {', '.join(dates)}{nearest(c, dates)}"
            for c in spec.date_format
            if c not in dates
        ]
    if isinstance(spec.nulls, dict) and not logical.open_ended:
        problems += [
            f"tables.{name}.nulls.{c}: no such column; allowed: {', '.join(logical.names)}{nearest(c, logical.names)}"
            for c in spec.nulls
            if c not in logical.names
        ]
    if spec.ends == "inclusive" and name != "subscriptions":
        problems.append(f"tables.{name}.ends: only subscriptions have ends")
    if spec.derive_from is not None:
        problems += _derivation_problems(name, spec.derive_from, tables)
    return problems


def _derivation_problems(name: str, source: str, tables: dict[str, TableSpec]) -> list[str]:
    if name != "customers":
        return [f"tables.{name}.derive_from: only customers can be derived"]
    if source not in tables or source == "customers":
        others = [t for t in tables if t != "customers"]
        return [
            f"tables.customers.derive_from: {source!r} is not among the configured tables: "
            f"{', '.join(others) or 'none'}{nearest(source, others)}"
        ]
    return []
