"""Attributes of customers that cannot be as of signup: outcomes, and facts that take time to happen (immortal time)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survival.audit.covariates import MAX_LEVELS
from survival.churn.spells import Spells
from survival.findings import Finding
from survival.flows.door import flows
from survival.flows.table import Flows

_BINNED = "audited"  # the column in which an attribute's values are grouped
_TOLD, _LEFT_OPEN = 0.97, 0.2  # share of outcomes that an attribute tells; of those that guessing leaves open
_GUESSED = 0.95  # where nearly all leave, or nearly all stay, there is nothing to tell
_FEW = 30  # customers below which nothing is said
_EARLY, _LATE = 0.1, 0.5  # the first tenth of the churns, and the later half
_EXPECTED, _RARE = (
    10.0,
    0.3,
)  # early churns to be expected; share of them up to which a value is rare among early leavers
_NEW, _SURPRISE = 0.6, 4.0  # share of newcomers against earlier signups; standard errors
_DATED, _AFTER = 0.5, 0.05  # share of values that are dates; of those after signup
_MISSING = "(missing)"

Floats = NDArray[np.float64]


def attributes(spells: Spells, names: Sequence[str]) -> tuple[Finding, ...]:
    """What is wrong with these columns of customers, as far as the data can tell."""
    return tuple(finding for name in names for finding in _attribute(spells, name))


def _attribute(spells: Spells, name: str) -> list[Finding]:
    column = spells.tables.customers[name]
    if column.type().is_string():
        dated = _dated_after_signup(spells, name)
        levels = spells.tables.engine.rows(spells.tables.customers.aggregate(n=column.nunique()))[0]["n"]
        if dated or levels > MAX_LEVELS:
            return dated or [_identifier(name, levels)]
    grouped = _grouped(spells, name)
    counts = flows(grouped, by=[_BINNED])
    return _restates(counts, name) or [f for level in _levels(counts) for f in _immortal(grouped, counts, name, level)]


def _identifier(name: str, levels: int) -> Finding:
    message = f"'{name}' has {levels:,} different texts: as a covariate each would be a level of its own. Group them, or leave it out"
    return Finding("too-many-levels", "warning", name, message, f"{levels} levels")


def _dated_after_signup(spells: Spells, name: str) -> list[Finding]:
    """Dates that are later than signup: nobody knew them then."""
    people = spells.tables.customers
    day = people[name].try_cast("date")
    tenure = day.epoch_seconds() // 86_400 - people.signup
    row = spells.tables.engine.rows(
        people.aggregate(
            values=people[name].count(), dates=day.count(), after=(tenure > 0).fill_null(False).cast("int64").sum()
        )
    )[0]
    if not row["dates"] or row["dates"] < _DATED * row["values"] or row["after"] <= _AFTER * row["dates"]:
        return []
    message = (
        f"'{name}' holds dates, {row['after']:,} of {row['dates']:,} of them after signup: who stayed had time to get one, so it "
        "protects by definition (immortal time). Make it a table of dated facts and an indicator, or leave it out"
    )
    return [Finding("immortal-time", "warning", name, message, f"after_signup={row['after']:,} of {row['dates']:,}")]


def _grouped(spells: Spells, name: str) -> Spells:
    """The spells, their customers with the column `audited`: levels of text, or missing, zero and quarters of numbers."""
    people = spells.tables.customers
    column = people[name]
    if column.type().is_numeric() and not column.type().is_boolean():
        value = column.cast("float64")
        values = people.aggregate(
            n=value.nunique(), **{f"q{i}": value.quantile(i / 4, where=value != 0) for i in (1, 2, 3)}
        )
        row = spells.tables.engine.rows(values)[0]
        text = value.cast("string") if row["n"] <= MAX_LEVELS else _quarters(value, [row[f"q{i}"] for i in (1, 2, 3)])
    else:
        text = column.cast("string")
    customers = people.mutate(**{_BINNED: text.fill_null(_MISSING)})
    return replace(spells, tables=replace(spells.tables, customers=customers))


def _quarters(value: ir.FloatingValue, cuts: Sequence[float | None]) -> ir.StringValue:
    q1, q2, q3 = (0.0 if cut is None else float(cut) for cut in cuts)
    high = (value <= q2).ifelse(f"up to {q2:g}", (value <= q3).ifelse(f"up to {q3:g}", f"above {q3:g}"))
    return (value == 0).ifelse("0", (value <= q1).ifelse(f"up to {q1:g}", high))


@dataclass(frozen=True, eq=False)
class _Level:
    """One level against all others: spells; and at each churn time (m,) churns and at risk, of the level and of the rest."""

    value: str
    spells: float
    churns: Floats
    at_risk: Floats
    other_churns: Floats
    other_at_risk: Floats

    def period(self, low: float, high: float) -> tuple[float, float]:
        """Churns of the level from share `low` to `high` of all churns, and how many the rest's hazard would give."""
        total = self.churns + self.other_churns
        place = (total.cumsum() - total / 2) / total.sum()
        inside = (place > low) & (place <= high)
        hazard = np.divide(
            self.other_churns, self.other_at_risk, out=np.zeros_like(total), where=self.other_at_risk > 0
        )
        return float(self.churns[inside].sum()), float((self.at_risk * hazard)[inside].sum())


def _levels(counts: Flows) -> list[_Level]:
    """Each level of the flows by `audited`."""
    names = counts.patterns[_BINNED].astype(str).tolist()
    times, place = np.unique(counts.time, return_inverse=True)
    shape = (len(names), times.size)
    entered, exited, churns = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    np.add.at(entered, (counts.pattern, place), counts.entered)
    np.add.at(exited, (counts.pattern, place), counts.exited)
    np.add.at(churns, (counts.pattern, place), counts.events)
    before = entered.cumsum(axis=1) - entered - (exited.cumsum(axis=1) - exited)
    happens = churns.sum(axis=0) > 0
    churns, at_risk = churns[:, happens], before[:, happens]
    return [
        _Level(
            name, float(entered[i].sum()), churns[i], at_risk[i],
            churns.sum(axis=0) - churns[i], at_risk.sum(axis=0) - at_risk[i],
        )
        for i, name in enumerate(names)
    ]  # fmt: skip


def _restates(counts: Flows, name: str) -> list[Finding]:
    """An attribute that tells who left: it was written down afterwards."""
    size = len(counts.patterns)
    spells = np.bincount(counts.pattern, counts.began, minlength=size)
    churns = np.bincount(counts.pattern, counts.events, minlength=size)
    total, left = spells.sum(), churns.sum()
    told = float(np.maximum(churns, spells - churns).sum() / total)
    guessed = float(max(left, total - left) / total)
    if total < _FEW or guessed > _GUESSED or told < _TOLD or 1 - told > _LEFT_OPEN * (1 - guessed):
        return []
    message = (
        f"'{name}' tells of {told:.1%} of the customers whether they left (without it {guessed:.1%} could be guessed): it restates "
        "the outcome, as a status or a reason for leaving does, and is no fact of signup. Leave it out"
    )
    return [Finding("restates-outcome", "error", name, message, f"told={told:.3f}, guessed={guessed:.3f}")]


def _immortal(spells: Spells, counts: Flows, name: str, level: _Level) -> list[Finding]:
    """A value that hardly any early leaver has, though later it makes less difference: it takes time to get it.

    What was fixed at signup is as common among the customers who signed up last as among those before them; what takes
    time is rarer, since they had none.
    """
    if level.spells < _FEW or not level.other_churns.any():
        return []
    late, late_expected = level.period(_LATE, 1.0)
    early, early_expected = level.period(0.0, _EARLY)
    expected = early_expected * late / late_expected if late_expected else 0.0
    if expected < _EXPECTED or early > _RARE * expected:
        return []
    newcomers = _newcomers(spells, counts, level.value)
    if newcomers is None or not newcomers.rarer:
        return []
    message = (
        f"'{name}' = {level.value} is rare among early leavers ({early:.0f} of the first tenth of the churns; {expected:.0f} would be "
        f"expected from the later ones) and among those who signed up last ({newcomers.words}): it takes time to happen, so it is "
        "no fact of signup, and who has it had to stay for it (immortal time). Make it a table of dated facts and an indicator"
    )
    return [Finding("immortal-time", "warning", name, message, f"early={early:.0f}, expected={expected:.1f}")]


@dataclass(frozen=True)
class _Newcomers:
    """Customers with a value among n: who signed up last, and who did before."""

    last: tuple[int, int]
    before: tuple[int, int]

    @property
    def rarer(self) -> bool:
        (a1, n1), (a0, n0) = self.last, self.before
        if n1 < _FEW or n0 < _FEW:
            return False
        p = (a1 + a0) / (n1 + n0)
        return a1 / n1 <= _NEW * a0 / n0 and a0 / n0 - a1 / n1 >= _SURPRISE * sqrt(p * (1 - p) * (1 / n1 + 1 / n0))

    @property
    def words(self) -> str:
        (a1, n1), (a0, n0) = self.last, self.before
        return f"{a1 / n1:.1%} of {n1:,}, against {a0 / n0:.1%} of {n0:,} before them"


def _newcomers(spells: Spells, counts: Flows, value: str) -> _Newcomers | None:
    """How common the value is among who signed up in the last days: as many as a quarter of the churns took, 30 at least."""
    tables = spells.tables
    churned = pd.Series(counts.events).groupby(counts.time).sum().cumsum()
    if tables.until_day is None:
        return None
    days = max(30, int(churned.index[np.searchsorted(churned.to_numpy(), churned.iloc[-1] / 4)]))
    people = tables.customers.filter(tables.customers.signup <= tables.until_day)
    if tables.from_day is not None:  # earlier ones are there because they stayed
        people = people.filter(people.signup >= tables.from_day)
    new = people.signup > tables.until_day - days
    rows = tables.engine.rows(
        people.group_by(new=new).aggregate(n=ibis._.count(), having=(ibis._[_BINNED] == value).cast("int64").sum())
    )
    found = {bool(row["new"]): (int(row["having"]), int(row["n"])) for row in rows}
    return _Newcomers(found.get(True, (0, 0)), found.get(False, (0, 0)))
