"""The plan of a reading: which source column becomes which checked column, decided before any row is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from survival.data.contract import CONTRACT, Column, LogicalTable, nearest
from survival.data.spec import DateFormat, TableSpec

Need = Mapping[str, Collection[str]]
RESERVED = ("customer", "signup")  # checked columns that no attribute may shadow


@dataclass(frozen=True)
class Reading:
    """How one logical table is read: `columns` logical -> source, `attributes` name -> source (customers only)."""

    logical: LogicalTable
    columns: Mapping[str, str]
    attributes: Mapping[str, str]
    where: Mapping[str, tuple[str, ...]]
    formats: Mapping[str, tuple[str, ...]]
    nulls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # column or attribute -> texts for no value
    inclusive: bool = False
    signup_needed: bool = True
    derived: bool = False  # customers made from another table's facts: one row each by construction

    @property
    def read(self) -> tuple[Column, ...]:
        """The columns of the contract that are read, in its order."""
        return tuple(c for c in self.logical.columns if c.name in self.columns)

    def nullable(self, column: Column) -> bool:
        """Whether null is a value of this column rather than a missing key."""
        return not column.key or column.nullable or (column.stored == "signup" and not self.signup_needed)

    @property
    def identified(self) -> bool:
        """Whether rows carry an identifier, so that there can be duplicates."""
        return self.logical.identifier in self.columns and not self.derived


def plan_reading(
    name: str,
    spec: TableSpec,
    have: Collection[str],
    need: Need | None,
    date_format: DateFormat | None,
    optional: Need | None = None,
    nulls: Sequence[str] = (),
) -> tuple[Reading, list[str]]:
    """Map the table's columns to those that the source has; the problems say what is missing and what is there.

    `optional` names columns that are read where the source has them, and not missed where it has not; by default those that
    are `welcome`.
    """
    logical = CONTRACT[name]
    welcome = {logical.identifier, *(_welcome(logical) if optional is None else optional.get(name, ()))}
    needed = None if need is None else set(need.get(name, ()))
    signup_needed = need is None or "customers" not in need or "signed_up_on" in need["customers"]
    missing: list[str] = []
    columns: dict[str, str] = {}
    for column in logical.columns:
        source = spec.columns.get(column.name, column.name)
        if not _wanted(column, spec, source in have, needed, welcome, signup_needed):
            continue
        if source in have:
            columns[column.name] = source
        else:
            missing.append(_missing(name, column.name, source, have))
    attributes, more = _attributes(logical, spec, have, needed, columns)
    missing += more
    missing += [_missing(name, None, c, have) for c in spec.where if c not in have]
    formats = {c: tuple(spec.formats(c, date_format)) for c in columns if logical.column(c).kind == "date"}
    where = {c: tuple(v) for c, v in spec.where.items()}
    words = {c: found for c in (*columns, *attributes) if (found := spec.null_words(c, nulls))}
    inclusive = spec.ends == "inclusive"
    return (Reading(logical, columns, attributes, where, formats, words, inclusive, signup_needed), missing)


def _welcome(logical: LogicalTable) -> list[str]:
    return [column.name for column in logical.columns if column.welcome]


def _wanted(
    column: Column,
    spec: TableSpec,
    there: bool,
    needed: set[str] | None,
    welcome: Collection[str | None],
    signup_needed: bool,
) -> bool:
    """Keys always; identifiers and optional columns whenever they are there; the others if mapped or needed."""
    if column.name in spec.columns:
        return True
    if column.stored == "signup" and not signup_needed:
        return False
    if column.required or (needed is not None and column.name in needed):
        return True
    return there and (needed is None or column.name in welcome)


def _attributes(
    logical: LogicalTable, spec: TableSpec, have: Collection[str], needed: set[str] | None, columns: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Columns beyond the contract: customers keep them as attributes, other tables have none."""
    extra = {c: spec.columns.get(c, c) for c in [*spec.columns, *sorted(needed or ())] if c not in logical.names}
    if logical.open_ended and needed is None:
        taken = {*columns.values(), *extra.values(), *logical.names}
        extra |= {c: c for c in have if c not in taken}
    problems = [_missing(logical.name, c, source, have) for c, source in extra.items() if source not in have]
    if not logical.open_ended:
        return {}, [
            f"{logical.name}: no logical column {c!r}; it has: {', '.join(logical.names)}{nearest(c, logical.names)}"
            for c in extra
        ]
    problems += [
        f"customers: the attribute {c!r} has a name that checked tables keep for themselves; "
        f"give it another: columns: {{customer_{c}: {extra[c]}}}"
        for c in extra
        if c.casefold() in RESERVED
    ]
    return {c: source for c, source in extra.items() if source in have}, problems


def _missing(table: str, logical: str | None, source: str, have: Collection[str]) -> str:
    """A column that is not there: its name, what is there, the nearest spelling, and how to map it."""
    near = nearest(source, have)
    there = ", ".join(have) or "no columns"
    if logical is None:
        return f"{table}: no column {source!r}, which `where` names; the source has: {there}{near}"
    if logical != source:
        return f"{table}: no column {source!r}, which `columns` names for {logical}; the source has: {there}{near}"
    way = f"columns: {{{logical}: THE_SOURCE_COLUMN}}"
    return f"{table}: no column {source!r}; the source has: {there}{near}. Name it with {way}"
