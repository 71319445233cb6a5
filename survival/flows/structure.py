"""The structure of several episodes of one customer: overlaps, gaps, cuts, terminal events."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survival.errors import StructureError
from survival.findings import Finding
from survival.flows.columns import SHOWN, complete

Bools = NDArray[np.bool_]
Codes = NDArray[np.intp]
Floats = NDArray[np.float64]


def units_of(table: pd.DataFrame, customer: str | None, spell: str | None) -> tuple[Codes, Codes, int]:
    """Codes of the customers (n,), codes of the (customer, spell) pairs (n,), and how many customers."""
    if customer is None:
        each = np.arange(len(table), dtype=np.intp)
        return each, each, len(table)
    codes, count = _codes(table[customer])
    if spell is None:
        return codes, codes, count
    spells, kinds = pd.factorize(complete(table, spell, "spell"))
    return codes, (codes * len(kinds) + spells).astype(np.intp), count


def _codes(column: pd.Series) -> tuple[Codes, int]:
    """Codes (n,) in order of appearance, and how many; of sorted numbers without a hash table."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iuf":
        values = column.to_numpy()
        if (values[1:] >= values[:-1]).all():
            codes = np.zeros(values.size, np.intp)
            np.cumsum(values[1:] != values[:-1], out=codes[1:])
            return codes, int(codes[-1]) + 1
    codes, names = pd.factorize(column)
    return codes.astype(np.intp, copy=False), len(names)


Rows = slice | Codes


def _neighbours(order: Codes | None, units: Codes) -> tuple[Rows, Rows, Bools]:
    """Rows (n - 1) and the rows after them in `order`, which sorts by unit and start (None: they are sorted), and whether both are
    of one unit."""
    if order is None:
        return slice(None, -1), slice(1, None), units[1:] == units[:-1]
    before, after = order[:-1], order[1:]
    return before, after, units[after] == units[before]


def check_units(
    order: Codes | None,
    units: Codes,
    start: Floats,
    stop: Floats,
    event: Bools,
    who: pd.Series,
    names: tuple[str | None, str, str],
) -> tuple[Finding, ...]:
    """Refuse overlap and an event that is not the last thing to happen within a unit; note gaps."""
    before, after, same = _neighbours(order, units)
    number = np.arange(units.size, dtype=np.intp)

    def refuse(problem: str, pick: Bools, way: str = "") -> None:
        _refuse(problem, number[before][pick], number[after][pick], start, stop, event, who, names, way)

    overlap = same & (start[after] < stop[before])
    if overlap.any():
        refuse("overlapping episodes of one customer", overlap)
    early = same & event[before]
    if early.any():
        events = np.bincount(units, weights=event, minlength=int(units.max()) + 1)
        twice = early & (events[units[before]] > 1)
        problem = (
            "a second terminal event of one customer"
            if twice.any()
            else "an event that is not on the last row of its customer"
        )
        pick = twice if twice.any() else early
        way = "; name the spell column, or for recurrent events leave customer out and pass cluster"
        refuse(problem, pick, way)
    gaps = int(np.count_nonzero(same & (start[after] > stop[before])))
    if not gaps:
        return ()
    message = f"{gaps:,} gaps between episodes of one customer: nobody is at risk in a gap, which is allowed"
    return (Finding("gaps", "note", str(who.name), message, str(gaps)),)


def _refuse(
    problem: str,
    before: Codes,
    after: Codes,
    start: Floats,
    stop: Floats,
    event: Bools,
    who: pd.Series,
    names: tuple[str | None, str, str],
    way: str = "",
) -> None:
    begin, end, happened = names[0] or "start", names[1], names[2]
    shown = []
    for one, two in zip(before[:SHOWN], after[:SHOWN]):
        pair = "then".join(
            f" row {row} ({start[row]:g}, {stop[row]:g}]{' with an event ' if event[row] else ' '}"
            for row in (one, two)
        )
        shown.append(f"customer {who.iloc[one]}:{pair.rstrip()}")
    count = who.iloc[before].nunique()
    customers = "1 customer" if count == 1 else f"{count:,} customers"
    raise StructureError(
        f"{problem} (columns '{begin}', '{end}', '{happened}'): {customers}{way}. "
        "First (rows counted from 0): " + "; ".join(shown)
    )


def cuts_of(
    order: Codes | None, units: Codes, start: Floats, stop: Floats, weight: Floats, group: Codes | None = None
) -> tuple[Bools, Bools]:
    """Which starts and stops are no cut (n,), (n,).

    A cut is where a row of a unit starts exactly where the previous one stops. Who changes weight there (or
    group) leaves with the old one and enters with the new one: the risk set really changes, so that is an
    exit and an entry.
    """
    before, after, cut = _neighbours(order, units)
    cut &= start[after] == stop[before]
    cut &= weight[after] == weight[before]
    if group is not None:
        cut &= group[after] == group[before]
    began, ended = np.ones(units.size, bool), np.ones(units.size, bool)
    began[after] = ~cut
    ended[before] = ~cut
    return began, ended
