"""What a churn definition is: it turns tables into one outcome per customer (and spell)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir

from survival.churn.registry import Registry
from survival.errors import DataError
from survival.findings import Finding
from survival.spec import Spec

if TYPE_CHECKING:
    from survival.data import Tables

Reads = dict[str, set[str]]  # logical table -> logical columns that must be there

FOREVER = (
    1_000_000_000  # "not yet", as an epoch day: greater than every date, and no overflow of int32 when a gap is added
)

OUTCOME = {
    "customer": "int32",
    "spell": "int32",  # 0, 1, ...
    "origin": "int32",  # epoch day at which tenure is 0; null only for a recorded tenure without signup
    "begins": "int32",  # tenure from which the customer can leave; null: nothing to leave
    "ends": "int32",  # tenure of leaving, or of the last day that could be observed
    "left": "boolean",  # something ended the spell, whether or not it counts as churn
    "churned": "boolean",  # it counts as churn
    "cause": "string",  # null unless churned
    "aside": "string",  # why the definition itself cannot use this customer; null: it can
}
NOTHING_TO_LEAVE = "nothing to leave"


class Definition(Spec):
    """A churn definition: when a customer is lost, and when that can be known.

    A kind is a subclass with a field `kind: Literal["name"] = "name"`, registered by `@register_definition`.
    Definitions do not know of each other.
    """

    kind: str

    @property
    def look_back(self) -> int:
        """Days that the definition reads back from a day; counts in `warm_up: auto`."""
        return 0

    @property
    def windows(self) -> dict[str, int]:
        """Tables in which silence or activity decides churn -> the window in days; the audit's circularity."""
        return {}

    @property
    def clock_origin(self) -> str:
        """What tenure is counted from; definitions that are combined share it."""
        return "signup"

    @property
    def parts(self) -> Mapping[str, Definition]:
        """The definitions that this one combines, by name."""
        return {}

    def reads(self) -> Reads:
        """The tables and columns that must be there."""
        raise NotImplementedError

    def may_read(self) -> Reads:
        """Optional columns that are used when they are mapped."""
        return {}

    def check(self, tables: Tables) -> None:
        """Raises DataError for facts with which the definition cannot be used; asked once, of all customers."""

    def outcomes(self, tables: Tables) -> ir.Table:
        """One row for EVERY customer (and spell), with the columns of `OUTCOME`."""
        raise NotImplementedError

    def findings(self, tables: Tables) -> tuple[Finding, ...]:
        """What a reader of results under this definition must know."""
        return ()


_definitions: Registry[Definition] = Registry("churn definition")
register_definition = _definitions.register
definition_kinds = _definitions.kinds
parse_definition = _definitions.parse


def outcome(table: ir.Table, **columns: object) -> ir.Table:
    """`table` reduced to the columns of `OUTCOME`; those not given are spell 0, and null for the rest."""
    values: dict[str, object] = {"customer": table.customer, "spell": 0, "cause": None, "aside": None, **columns}
    return table.select(**{name: _typed(values[name], kind) for name, kind in OUTCOME.items()})


def _typed(value: object, kind: str) -> ir.Value:
    # A null literal must carry its type, and Ibis drops a cast that it thinks does nothing.
    if isinstance(value, ir.Value):
        return value.cast(kind)
    return ibis.null(kind) if value is None else ibis.literal(value, kind)


def last_day(tables: Tables, kind: str) -> int:
    """`observed.until` as an epoch day. Raises DataError without one."""
    if tables.until_day is None:
        raise DataError(f"churn definition {kind!r}: needs observed.until, the last day that the data cover")
    return tables.until_day


def enters_late(tables: Tables, signup: ir.IntegerValue) -> ir.BooleanValue:
    """Signed up before the logs are complete."""
    if tables.from_day is None:
        return ibis.literal(False)
    return (signup < tables.from_day).fill_null(False)
