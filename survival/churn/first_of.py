"""First of several definitions: a customer is lost when the first of them says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal, Self

import ibis
import ibis.expr.types as ir
from pydantic import Field, PrivateAttr, field_validator

from survival.churn.definition import Definition, Reads, outcome, register_definition
from survival.data.contract import nearest
from survival.errors import ConfigError
from survival.findings import Finding

if TYPE_CHECKING:
    from survival.data import Tables


@register_definition
class FirstOf(Definition):
    """Exit is the earliest exit of the parts, entry the latest entry. Churn if any part churns on the day of the exit,
    its cause the name of the first such part in the order of `of`. Who has nothing to leave under a part is removed.

    `of` names definitions of the same config, which has them filled in (`combined`) before anything is computed.
    """

    kind: Literal["first_of"] = "first_of"
    of: tuple[str, ...] = Field(min_length=2, description="names of other definitions; the order decides the cause")
    _parts: dict[str, Definition] = PrivateAttr(default_factory=dict)

    @field_validator("of")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        twice = [name for i, name in enumerate(names) if name in names[:i]]
        if twice:
            raise ValueError(f"{twice[0]!r} is there twice")
        return names

    @property
    def parts(self) -> Mapping[str, Definition]:
        """The definitions that `of` names. Raises ConfigError before they are filled in."""
        if not self._parts:
            raise ConfigError(f"first_of {', '.join(self.of)}: the parts are names only; fill them in with `combined`")
        return self._parts

    def holding(self, parts: Mapping[str, Definition]) -> Self:
        """The same definition with its parts filled in."""
        filled = self.model_copy()
        filled._parts = {name: parts[name] for name in self.of}
        return filled

    @property
    def look_back(self) -> int:
        """The longest of the parts."""
        return max(part.look_back for part in self.parts.values())

    @property
    def windows(self) -> dict[str, int]:
        """The tables of all parts, each with its longest window."""
        longest: dict[str, int] = {}
        for part in self.parts.values():
            for table, days in part.windows.items():
                longest[table] = max(days, longest.get(table, 0))
        return longest

    @property
    def clock_origin(self) -> str:
        """That of the parts."""
        return next(iter(self.parts.values())).clock_origin

    def reads(self) -> Reads:
        """What the parts read."""
        return _merged(part.reads() for part in self.parts.values())

    def may_read(self) -> Reads:
        """What the parts may read."""
        return _merged(part.may_read() for part in self.parts.values())

    def check(self, tables: Tables) -> None:
        """Raises DataError for facts with which a part cannot be used."""
        for part in self.parts.values():
            part.check(tables)

    def outcomes(self, tables: Tables) -> ir.Table:
        """One row a customer: the outcomes of the parts side by side, then the earliest end."""
        rows = self._side_by_side(tables)
        several = range(len(self.of))
        ends = ibis.least(*(rows[f"ends{i}"] for i in several))
        at = [(rows[f"ends{i}"] == ends).fill_null(False) for i in several]
        churned = [at[i] & rows[f"churned{i}"] for i in several]
        left = [at[i] & rows[f"left{i}"] for i in several]
        cause = ibis.cases(
            *((churned[i], ibis.literal(name)) for i, name in enumerate(self.of)), else_=ibis.null("string")
        )
        return outcome(
            rows,
            origin=rows.origin0,
            begins=ibis.greatest(*(rows[f"begins{i}"] for i in several)),
            ends=ends,
            left=_any(left),
            churned=_any(churned),
            cause=cause,
            aside=ibis.coalesce(*(rows[f"aside{i}"] for i in several)),
        )

    def _side_by_side(self, tables: Tables) -> ir.Table:
        """customer, and of each part i origin{i}, begins{i}, ends{i}, left{i}, churned{i}, aside{i}."""
        rows: ir.Table | None = None
        for i, part in enumerate(self.parts.values()):
            made = part.outcomes(tables)
            names = ("origin", "begins", "ends", "left", "churned", "aside")
            mine = made.select("customer", **{f"{name}{i}": made[name] for name in names})
            rows = mine if rows is None else rows.join(mine, "customer")
        assert rows is not None  # there are at least two parts
        return rows

    def findings(self, tables: Tables) -> tuple[Finding, ...]:
        """Those of the parts."""
        return tuple(finding for part in self.parts.values() for finding in part.findings(tables))


def _any(conditions: list[ir.BooleanValue]) -> ir.BooleanValue:
    found = conditions[0]
    for condition in conditions[1:]:
        found = found | condition
    return found


def _merged(several: Iterator[Reads]) -> Reads:
    merged: Reads = {}
    for reads in several:
        for table, columns in reads.items():
            merged.setdefault(table, set()).update(columns)
    return merged


def combined(definitions: Mapping[str, Definition]) -> dict[str, Definition]:
    """The definitions with the parts of every `first_of` filled in. Raises ConfigError with all of `combining_mistakes`."""
    mistakes = combining_mistakes(definitions)
    if mistakes:
        raise ConfigError("; ".join(f"{name}: {message}" for name, message in mistakes))
    filled: dict[str, Definition] = {}

    def fill(name: str) -> Definition:
        if name not in filled:
            spec = definitions[name]
            filled[name] = spec.holding({n: fill(n) for n in spec.of}) if isinstance(spec, FirstOf) else spec
        return filled[name]

    return {name: fill(name) for name in definitions}


def combining_mistakes(definitions: Mapping[str, Definition]) -> list[tuple[str, str]]:
    """(name of a first_of, what is wrong with its parts): unknown, circular, several spells, different origins."""
    found = []
    for name, spec in definitions.items():
        if isinstance(spec, FirstOf):
            found += [(name, message) for message in _mistakes(name, spec, definitions)]
    return found


def _mistakes(name: str, spec: FirstOf, definitions: Mapping[str, Definition]) -> list[str]:
    others = [n for n in definitions if n != name]
    unknown = [part for part in spec.of if part not in definitions]
    if unknown:
        listed = ", ".join(others) or "(none)"
        return [f"no definition '{part}' under churn{nearest(part, others)}. Allowed: {listed}." for part in unknown]
    leaves = list(_leaves(name, definitions, ()))
    if any(part is None for _, part in leaves):
        path = next(way for way, part in leaves if part is None)
        return [f"it is a part of itself: {' -> '.join(path)}. Name other definitions."]
    known = [(way[-1], part) for way, part in leaves if part is not None]
    returns = [part for part, leaf in known if getattr(leaf, "spells", "first") != "first"]
    mistakes = [
        f"'{part}' has `spells: all`, and one is lost first only once. Combine one with `spells: first`."
        for part in returns
    ]
    origins = {leaf.clock_origin: part for part, leaf in known}
    if len(origins) > 1:
        said = ", ".join(f"'{part}' from {origin.replace('_', ' ')}" for origin, part in origins.items())
        mistakes.append(f"the parts must count tenure from one origin: {said}.")
    return mistakes


def _leaves(
    name: str, definitions: Mapping[str, Definition], way: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Definition | None]]:
    """The way to every definition that is combined, and the definition; None where the way comes back to where it was."""
    spec = definitions.get(name)
    if name in way:
        yield (*way[way.index(name) :], name), None
    elif isinstance(spec, FirstOf):
        for part in spec.of:
            yield from _leaves(part, definitions, (*way, name))
    elif spec is not None:
        yield (*way, name), spec
