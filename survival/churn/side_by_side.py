"""The same customers under several definitions: who is at risk and lost under each, and how many days apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import ibis
import ibis.expr.types as ir
import pandas as pd

from survival.churn.spells import Spells
from survival.data import Tables
from survival.errors import ArgumentError, ConservationError

NOT_AT_RISK, STAYED, CHURNED = "not at risk", "stayed", "churned"
SHARED = "at_risk_under_all"


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Customers under the definitions `names`, counted; one row a customer in `table`.

    states  one row a combination that occurs: a column a definition (not at risk, stayed, churned), and customers
    gaps    pair (a, b) of definitions -> gap, customers: days from the churn under a to the churn under b (negative: b came
            first), of customers churned under both whose dates are known
    table   customer, and for definition i there{i}, lost{i}, day{i} (epoch day of the first churn; null without a date),
            and `at_risk_under_all`
    """

    names: tuple[str, ...]
    states: pd.DataFrame
    gaps: Mapping[tuple[str, str], pd.DataFrame]
    table: ir.Table

    def at_risk(self, name: str) -> int:
        """Customers at risk under the definition."""
        return int(self.states.loc[self.states[name] != NOT_AT_RISK, "customers"].sum())

    def churned(self, name: str) -> int:
        """Customers lost under the definition."""
        return int(self.states.loc[self.states[name] == CHURNED, "customers"].sum())

    @property
    def at_risk_under_all(self) -> int:
        """Customers at risk under every definition."""
        everywhere = (self.states[list(self.names)] != NOT_AT_RISK).all(axis=1)
        return int(self.states.loc[everywhere, "customers"].sum())

    def counts(self) -> pd.DataFrame:
        """A row a pair: definition_a, definition_b, at_risk_both, churned_both, churned_a_only, churned_b_only, stayed_both.

        Among customers at risk under both.
        """
        rows = [self._pair(a, b) for a, b in combinations(self.names, 2)]
        columns = ["at_risk_both", "churned_both", "churned_a_only", "churned_b_only", "stayed_both"]
        return pd.DataFrame(rows, columns=["definition_a", "definition_b", *columns])

    def _pair(self, a: str, b: str) -> list[object]:
        both = self.states[(self.states[a] != NOT_AT_RISK) & (self.states[b] != NOT_AT_RISK)]
        lost_a, lost_b, n = both[a] == CHURNED, both[b] == CHURNED, both["customers"]
        cells = [n[lost_a & lost_b], n[lost_a & ~lost_b], n[~lost_a & lost_b], n[~lost_a & ~lost_b]]
        return [a, b, int(n.sum()), *(int(cell.sum()) for cell in cells)]

    def marked(self, spells: Spells) -> Spells:
        """The same spells, whose customers have a column `at_risk_under_all` (yes, no)."""
        people = spells.tables.customers
        flags = self.table.select("customer", SHARED)
        return replace(spells, tables=replace(spells.tables, customers=people.join(flags, "customer")))


def side_by_side(made: Mapping[str, Spells]) -> SideBySide:
    """Compare the spells of several definitions, made from the same tables.

    With several spells a customer counts as lost if any ends in churn, on the day of the first that does. Raises
    ArgumentError for fewer than two definitions, ConservationError when the counts are not those of the spells.
    """
    if len(made) < 2:
        raise ArgumentError(f"side_by_side compares two or more definitions; got {', '.join(made) or 'none'}")
    names, tables = tuple(made), next(iter(made.values())).tables
    table = tables.engine.create(tables.engine.fresh("side_by_side"), _wide(tables, list(made.values())))
    states = _states(tables, table, names)
    pairs = combinations(range(len(names)), 2)
    gaps = {(names[i], names[j]): _gaps(tables, table, i, j) for i, j in pairs}
    found = SideBySide(names, states, gaps, table)
    for name, spells in made.items():
        if found.at_risk(name) != spells.customers:
            raise ConservationError(
                f"{name}: {spells.customers} customers at risk, {found.at_risk(name)} beside the other definitions"
            )
    return found


def _wide(tables: Tables, made: list[Spells]) -> ir.Table:
    rows = tables.customers.select("customer")
    for i, spells in enumerate(made):
        mine = spells.at_risk
        day = mine.origin + mine.exit
        per = mine.group_by("customer").aggregate(
            **{f"lost{i}": mine.churned.any(), f"day{i}": day.min(where=mine.churned), f"there{i}": mine.count() > 0}
        )
        rows = rows.left_join(per, "customer").drop("customer_right")
    filled = {f"{k}{i}": rows[f"{k}{i}"].fill_null(False) for i in range(len(made)) for k in ("there", "lost")}
    rows = rows.mutate(**filled)
    everywhere = ibis.and_(*(rows[f"there{i}"] for i in range(len(made))))
    return rows.mutate(**{SHARED: everywhere.ifelse("yes", "no")})


def _states(tables: Tables, table: ir.Table, names: tuple[str, ...]) -> pd.DataFrame:
    kinds = [f"{k}{i}" for i in range(len(names)) for k in ("there", "lost")]
    counted = tables.engine.arrow(table.group_by(kinds).aggregate(customers=table.count())).to_pandas()
    frame = pd.DataFrame({"customers": counted["customers"].astype("int64")})
    for i, name in enumerate(names):
        state = counted[f"lost{i}"].map({True: CHURNED, False: STAYED})
        frame[name] = state.where(counted[f"there{i}"], NOT_AT_RISK)
    return frame.sort_values(list(names), ignore_index=True)[[*names, "customers"]]


def _gaps(tables: Tables, table: ir.Table, i: int, j: int) -> pd.DataFrame:
    """Days between: where either has no date (a recorded tenure without signup) nothing can be said."""
    both = table.filter(table[f"lost{i}"] & table[f"lost{j}"])
    rows = both.select(gap=both[f"day{j}"] - both[f"day{i}"])
    rows = rows.filter(rows.gap.notnull())  # noqa: PD004
    counted = tables.engine.arrow(rows.group_by("gap").aggregate(customers=rows.count())).to_pandas()
    return counted.astype("int64").sort_values("gap", ignore_index=True)
