"""Which coefficients the data can tell: constant, collinear, separated covariates are named, not fitted.

Separation (monotone likelihood): at every event time the events have the largest value that anybody at risk
has, so the coefficient runs to infinity while the likelihood is flat (Bryson & Johnson 1981; Heinze &
Schemper 2001).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survival.errors import CollinearityError, NoEventsError, SeparationError
from survival.estimate.partial_likelihood import Likelihood
from survival.estimate.risk_sets import Floats, Ints, RiskSets
from survival.flows.columns import counted

NO_VARIATION = 1e-11  # information per event of a column scaled to variance 1, below which it is rounding
_COLLINEAR = 1e-9  # 1 - R² of a column on the others, within the risk sets
_EQUAL = 1e-10  # values this close, in standard deviations, are one value
_FEW_EVENTS = 1000
_MOST_NAMED = 10  # columns in a message; all are in .covariates and .table
_DIRECTION = 1e-3  # share of the range by which a numerical direction may miss a true one
_ROUNDING = 8 * float(np.finfo(np.float64).eps)


def refuse_no_events(sets: RiskSets) -> None:
    """NoEventsError when nobody has an event while at risk."""
    if not sets.event_row.size:
        raise NoEventsError("no events: the event column is 0 everywhere, so there is nothing to explain")


def refuse_constant(low: Floats, high: Floats, names: Sequence[str]) -> None:
    """CollinearityError naming the columns whose smallest (p,) and largest (p,) values are one value."""
    flat = high - low <= _ROUNDING * np.maximum(np.abs(low), np.abs(high))
    if not flat.any():
        return
    which = tuple(name for name, bad in zip(names, flat) if bad)
    values = ", ".join(f"{name} = {value:g}" for name, value, bad in zip(names, low, flat) if bad)
    raise CollinearityError(
        f"constant covariate ({values} in every episode): its effect cannot be told from the baseline. "
        "Leave it out of the formula",
        covariates=which,
        finding="constant-covariate",
    )


def refuse_unidentified(sets: RiskSets, information: Floats, scale: Floats, names: Sequence[str]) -> None:
    """CollinearityError for columns that vary in no risk set at an event time, or that others reproduce.

    information (p, p) at beta = 0, of columns scaled to variance 1; scale (p,) their standard deviations.
    """
    still = np.diag(information) <= NO_VARIATION * sets.event_total.sum()
    if still.any():
        which = tuple(name for name, bad in zip(names, still) if bad)
        raise CollinearityError(
            f"{_listed(which)}: all who are at risk together at an event have the same value, at every event time, so "
            "there is nothing to compare. Leave it out, or do not stratify by it",
            covariates=which,
            finding="no-variation",
        )
    unit = np.sqrt(np.diag(information))
    correlation = information / np.outer(unit, unit)
    kept: list[int] = []
    for j in range(len(names)):
        weights = np.linalg.solve(correlation[np.ix_(kept, kept)], correlation[kept, j])
        if 1.0 - correlation[j, kept] @ weights > _COLLINEAR:
            kept.append(j)
            continue
        slopes = weights * unit[j] / unit[kept] * scale[j] / scale[kept]
        _refuse_collinear(names[j], [names[i] for i in kept], slopes, np.abs(weights) > 1e-6)


def _refuse_collinear(name: str, others: list[str], slopes: Floats, used: NDArray[np.bool_]) -> None:
    parts = [f"{slope:.6g} x {other}" for other, slope, use in zip(others, slopes, used) if use]
    raise CollinearityError(
        f"collinear covariates: {name} = {' + '.join(parts)} (+ a constant) in every risk set, so its effect "
        "cannot be told from theirs. Leave one of them out",
        covariates=(name,),
        table=pd.DataFrame(
            {
                "covariate": name,
                "reproduced_by": [other for other, use in zip(others, used) if use],
                "slope": slopes[used],
            }
        ),
        finding="collinear",
    )


def separated_alone(sets: RiskSets, x: Floats, null: Likelihood, low: Floats, high: Floats) -> Ints:
    """Columns of x (n, p), with values from low (p,) to high (p,), that separate by themselves: one pass over the events.

    A column does when each event has the largest value of all (or each the smallest), but for the event times
    at which everybody has the opposite extreme.
    """
    mean = null.sums.s1 / np.where(sets.deaths > 0, null.sums.s0, 1.0)[:, None]
    left = np.arange(x.shape[1])
    for some in (slice(_FEW_EVENTS), slice(None)):  # a few events clear most columns
        at_event, there = x[sets.event_row[some]][:, left], mean[sets.event_slot[some]][:, left]
        up = ((at_event >= high[left] - _EQUAL) | (there <= low[left] + _EQUAL)).all(axis=0)
        down = ((at_event <= low[left] + _EQUAL) | (there >= high[left] - _EQUAL)).all(axis=0)
        left = left[up | down]
        if not left.size:
            break
    return left


def is_recession(sets: RiskSets, x: Floats, direction: Floats) -> bool:
    """Whether the likelihood never falls along `direction` (p,): at each event time every event has the largest
    x'direction of those at risk, within a thousandth of its range. O(n + K log K)."""
    z = x @ leading(direction)
    spread = float(np.ptp(z))
    if not np.isfinite(spread) or spread == 0:
        return False
    largest = highest_at_risk(sets, z)[sets.event_slot]
    return bool((z[sets.event_row] >= largest - _DIRECTION * spread).all())


def highest_at_risk(sets: RiskSets, z: Floats) -> Floats:
    """(K,) the largest z (n,) of those at risk at each slot."""
    row, begin, end = intervals(sets)
    return _largest(begin, end, z[row], sets.slots)


def tells_apart(sets: RiskSets, x: Floats, direction: Floats) -> bool:
    """Whether at each event time everybody who leaves has an x'direction at least as large as all who stay."""
    z = x @ leading(direction)
    spread = float(np.ptp(z))
    if not np.isfinite(spread) or spread == 0:
        return False
    if sets.episodes:
        row, begin, end = intervals(sets)
        end = end - np.isin(row, sets.event_row)
        highest = _largest(begin, end, z[row], sets.slots)
    else:
        staying = np.cumsum(sets.moves.toarray(), axis=0)
        np.subtract.at(staying, (sets.event_slot, sets.event_row), sets.event_weight)
        highest = np.where(staying > 1e-9 * np.abs(staying).max(), z, -np.inf).max(axis=1)
    return bool((z[sets.event_row] >= highest[sets.event_slot] - _DIRECTION * spread).all())


def leading(direction: Floats) -> Floats:
    """The direction without the coordinates that are only settling (x has variance 1)."""
    size = np.abs(direction)
    return np.where(size > 0.01 * size.max(initial=0.0), direction, 0.0)


def intervals(sets: RiskSets) -> tuple[Ints, Ints, Ints]:
    """Design row and slots [a, b) of each stretch at risk; rows of weight 0 are nobody."""
    n = sets.rows
    if sets.episodes:
        begin, end = sets.bounds()
        row = np.flatnonzero(sets.weight > 0)
        return row, begin[row].astype(np.intp), end[row].astype(np.intp)
    row = np.repeat(np.arange(n), np.diff(sets.moves.indptr))
    order = np.lexsort((sets.moves.indices, row))
    slot, row = sets.moves.indices[order].astype(np.intp), row[order]
    there = np.cumsum(sets.moves.data[order])  # each pattern's movements sum to 0
    stretch = np.flatnonzero((row[1:] == row[:-1]) & (there[:-1] > 1e-9 * np.abs(there).max(initial=0.0)))
    return row[stretch], slot[stretch], slot[stretch + 1]


def _largest(begin: Ints, end: Ints, value: Floats, slots: int) -> Floats:
    """(slots,) the largest value of the intervals [begin, end) over each slot: each interval is the union of two
    whose length is a power of two, and these are halved level by level."""
    some = end > begin
    begin, end, value = begin[some], end[some], value[some]
    level = np.frexp((end - begin).astype(np.float64))[1] - 1
    table = np.full((int(level.max(initial=0)) + 1, slots), -np.inf)
    np.maximum.at(table, (level, begin), value)
    np.maximum.at(table, (level, end - (1 << level)), value)
    for upper in range(len(table) - 1, 0, -1):
        half = 1 << (upper - 1)
        np.maximum(table[upper - 1], table[upper], out=table[upper - 1])
        np.maximum(table[upper - 1, half:], table[upper, :-half], out=table[upper - 1, half:])
    return table[0]


def refuse_separated(
    sets: RiskSets, x: Floats, centre: Floats, scale: Floats, names: Sequence[str], columns: Ints
) -> None:
    """SeparationError naming `columns`, with the events by exposure of each; x = (user's - centre) / scale."""
    which = tuple(names[j] for j in columns)
    tables = [_exposure_table(sets, x[:, j] * scale[j] + centre[j], names[j]) for j in columns]
    table = pd.concat(tables, ignore_index=True)
    lines = [
        f"{row.covariate} {row.value}: {counted(row.events, 'event')} in {counted(round(row.episodes), 'episode')}"
        for row in table.head(_MOST_NAMED).itertuples()
    ]
    raise SeparationError(
        f"separation by {_listed(which)}: the events lie on one side of it, so its coefficient has no finite estimate "
        f"({'; '.join(lines)}). Leave it out, merge levels, or pass firth=True or a penalizer",
        covariates=which,
        table=table,
        finding="separation",
    )


def _exposure_table(sets: RiskSets, value: Floats, name: str) -> pd.DataFrame:
    low, high = float(value.min()), float(value.max())
    middle = (low + high) / 2
    tolerance = 1e-6 * (high - low)
    low, high = (0.0 if abs(end) < tolerance else end for end in (low, high))  # what centring leaves of a zero
    above = value > middle
    two_valued = bool((np.minimum(value - low, high - value) <= tolerance).all())
    labels = (f"= {low:.6g}", f"= {high:.6g}") if two_valued else (f"<= {middle:.6g}", f"> {middle:.6g}")
    entered = np.asarray(sets.moves.maximum(0).sum(axis=0)).ravel() if not sets.episodes else None
    episodes = np.bincount(above, entered, minlength=2)
    events = np.bincount(above[sets.event_row], sets.event_count, minlength=2)
    return pd.DataFrame({"covariate": name, "value": labels, "episodes": episodes, "events": events})


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED + 1 else ""
    shown = names[:_MOST_NAMED] if more else names
    return ", ".join(f"'{name}'" for name in shown) + more
