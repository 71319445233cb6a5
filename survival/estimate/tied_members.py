"""Who is at risk at the event times with more than one event; customers whose covariates are alike are counted together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from survival.errors import ArgumentError
from survival.estimate.risk_sets import Floats, Ints, RiskSets, sums_by

_MOST_ROWS = 10_000_000  # customers at risk, over all tied times, each with its own covariates
_MOST_CELLS = 50_000_000  # distinct covariates x tied times
_ALIKE = 4  # customers per distinct row of covariates from which counting them together pays


@dataclass(frozen=True, eq=False)
class TiedMembers:
    """c members of s tied slots, in order of slot: `group` (c,) of a slot `of` (c,) with `count` (c,) at risk.

    slot (s,) their numbers among all slots; deaths, at_risk (s,); first (s,) the first member of each, lengths (s,);
    staying (c,) those of count who do not leave then; x (g, p) and offset (g,) or None of the groups. Slots at which all
    leave are not here: there is no choice to explain.
    """

    slot: Ints
    deaths: Floats
    at_risk: Floats
    first: Ints
    lengths: Ints
    of: Ints
    group: Ints
    count: Floats
    staying: Floats
    x: Floats
    offset: Floats | None


def tied_members(sets: RiskSets, x: Floats, offset: Floats | None) -> TiedMembers:
    """The members of the tied slots. Raises ArgumentError for weights, and where they are too many."""
    if (sets.moves.data != np.rint(sets.moves.data)).any() or (sets.event_weight != sets.event_count).any():
        raise ArgumentError(
            "ties='exact' counts the ways to choose who leaves, and weights are no counts: leave them out"
        )
    tied = np.flatnonzero(sets.deaths > 1)
    code, groups = _groups(x, offset) if sets.episodes else (np.arange(len(x)), np.arange(len(x)))
    of, group, count = _spread(sets, tied, code, groups.size)
    staying = count - _leaving(sets, tied, code, groups.size, of * groups.size + group)
    some = sums_by(of, staying, tied.size) > 0
    keep = some[of]
    of, group, count, staying = (np.cumsum(some) - 1)[of[keep]], group[keep], count[keep], staying[keep]
    tied = tied[some]
    lengths = np.bincount(of, minlength=tied.size)
    return TiedMembers(
        tied, sets.deaths[tied], sums_by(of, count, tied.size), np.cumsum(lengths) - lengths, lengths,
        of, group, count, staying, x[groups], None if offset is None else offset[groups],
    )  # fmt: skip


def _groups(x: Floats, offset: Floats | None) -> tuple[Ints, Ints]:
    """The group (n,) of each row of covariates, and a row (g,) of each group; every row its own when few are alike."""
    n = len(x)
    columns = [*x.T, *([] if offset is None else [offset])]
    code = np.zeros(n, np.int64)
    for column in columns:
        levels, distinct = pd.factorize(column)
        code = pd.factorize(code * len(distinct) + levels)[0]
        if code.max(initial=0) + 1 > n / _ALIKE:
            return np.arange(n), np.arange(n)
    return code.astype(np.intp), np.unique(code, return_index=True)[1]


def _spread(sets: RiskSets, tied: Ints, code: Ints, groups: int) -> tuple[Ints, Ints, Floats]:
    """of, group, count of the members, by a dense count of groups at each slot or, for single rows, by their intervals."""
    is_tied = np.zeros(sets.slots + 1, np.intp)
    is_tied[tied + 1] = 1
    before = np.cumsum(is_tied)  # tied slots before each slot
    if sets.episodes and groups == len(code):
        begin, end = (before[bound] for bound in sets.bounds())
        live = sets.moves.data[::2] > 0
        length = np.where(live, end - begin, 0)
        _refuse(int(length.sum()), _MOST_ROWS)
        row = np.repeat(np.arange(length.size), length)
        of = np.arange(row.size) - np.repeat(np.cumsum(length) - length, length) + begin[row]
        order = np.argsort(of, kind="stable")
        return of[order], row[order], np.ones(row.size)
    _refuse((tied.size + 1) * groups, _MOST_CELLS)
    there = np.zeros((tied.size + 1, groups))
    column = np.repeat(np.arange(sets.moves.shape[1]), np.diff(sets.moves.indptr))
    np.add.at(there, (before[sets.moves.indices], code[column]), sets.moves.data)
    there = np.cumsum(there, axis=0)[:-1]
    of, group = np.nonzero(there > 0.5)
    return of, group, there[of, group]


def _leaving(sets: RiskSets, tied: Ints, code: Ints, groups: int, key: Ints) -> Floats:
    """(c,) events of each member; key (c,) sorted, slot x groups + group."""
    place = np.full(sets.slots, -1)
    place[tied] = np.arange(tied.size)
    of = place[sets.event_slot]
    here = of >= 0
    found = np.searchsorted(key, of[here] * groups + code[sets.event_row[here]])
    return sums_by(found, sets.event_count[here], key.size)


def _refuse(cells: int, most: int) -> None:
    if cells > most:
        raise ArgumentError(
            f"ties='exact' is too much work here: {cells:,} at risk, over all tied event times; the most is {most:,}. Take "
            "ties='efron', a discrete-time model (discrete_cox), or covariates with few values"
        )
