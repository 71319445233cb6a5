"""How many points lie before a place and below a level, for many places and levels at once, and the same turned round.

Points have a place (their order) and a level. For a query (c, k) the *below* sum is the weight of the points among the first c
whose level is less than k. Turned round, each point gets the weight of the queries with c <= its place and k <= its level.
Both read the same cells of three small tables, so that one pass over the queries gives both:

    points in groups of 4^b, groups in blocks of 2^b;
    what lies in earlier groups, by level; in earlier blocks of the group, by rank of the level among the group's points;
    in the block before c, by rank of the level among the block's points.

About 2 x 2^b table cells a point, levels / 4^b cells a point beside them, and five look-ups a query: with b a third of the bits of the
number of levels that is n log n in all but name, in memory that depends on the levels alone. No loop over points or queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_CHUNK = 16_384  # queries whose temporaries are alive at a time: they stay in cache
_BITS = (5, 8)  # least and most bits of a block


@dataclass(frozen=True, eq=False)
class Points:
    """level (e,) of the points in their order, 0..levels - 1, and weight (e,)."""

    level: Ints
    weight: Floats
    levels: int

    @property
    def bits(self) -> int:
        """b."""
        return int(np.clip(round(np.log2(max(self.levels, 2)) / 3), *_BITS))


@dataclass(frozen=True, eq=False)
class Queries:
    """place (m,), never falling, 0..e; for each place one or several levels (m,), 0..levels, each with a sign.

    weight (m,) of a query for the points that hear of it, None for 1. below: whether the below sums are asked for; turned: whether the
    points are to hear.
    """

    place: NDArray[Any]
    levels: tuple[tuple[NDArray[Any], float], ...]
    weight: Floats | None = None
    below: bool = True
    turned: bool = True

    def of(self, some: Ints, place: NDArray[Any], *, below: bool = True) -> Queries:
        """Some of them, at other places."""
        levels = tuple((level[some], sign) for level, sign in self.levels)
        return Queries(place, levels, None if self.weight is None else self.weight[some], below)


@dataclass(frozen=True, eq=False)
class Turned:
    """What points hear of one part of the queries: the points first..beyond-1 `own`, all points from `beyond` on `passed`
    (levels + 1,) at their level, those before nothing."""

    first: int
    beyond: int
    own: Floats
    passed: Floats

    def plus(self, more: Turned, less: Turned) -> Turned:
        """With one more, without another, of the same queries' places."""
        return replace(self, own=self.own + more.own - less.own, passed=self.passed + more.passed - less.passed)

    @staticmethod
    def total(parts: Sequence[Turned], points: Points) -> Floats:
        """(e,) what each point hears of all parts."""
        result = np.zeros(points.level.size)
        for part in parts:
            result[part.first : part.beyond] += part.own
            result[part.beyond :] += part.passed[points.level[part.beyond :]]
        return result


def dominance(points: Points, queries: Sequence[Queries]) -> tuple[list[Floats], list[Turned]]:
    """One pass over the queries: of each its sums (m,) over the levels of sign x below sum, and what the points hear.

    What was not asked for is empty, or 0.
    """
    size, e = 1 << (2 * points.bits), points.level.size
    asked = [query.place for query in queries if query.place.size]
    low = min((int(place[0]) for place in asked), default=0) // size
    high = max((int(place[-1]) for place in asked), default=-1) // size + 1
    first, beyond = min(low * size, e), min(high * size, e)
    below = [np.zeros(query.place.size if query.below else 0) for query in queries]
    heard = [np.zeros(beyond - first) for _ in queries]
    passed = [np.zeros(points.levels + 1) for _ in queries]
    earlier = _before(points, slice(0, first))[1]
    for number in range(low, high):
        group = _Group(points, slice(number * size, min((number + 1) * size, e)), earlier)
        here = slice(group.start - first, group.start - first + group.level.size)
        for query, sums, own, through in zip(queries, below, heard, passed):
            edges = np.searchsorted(query.place, (number * size, (number + 1) * size))
            ear = _Ear(group, through) if query.turned and query.place.size else None
            for row in range(edges[0], edges[1], _CHUNK):
                _answer(group, query, slice(row, min(row + _CHUNK, edges[1])), sums, ear)
            if ear is not None:
                own[here] = ear.at_points()
        earlier += group.own
    return below, [Turned(first, beyond, own, np.cumsum(through)) for own, through in zip(heard, passed)]


def _answer(group: _Group, query: Queries, rows: slice, below: Floats, ear: _Ear | None) -> None:
    block, inside = group.places(query.place[rows])
    for level, sign in query.levels:
        cells = group.cells(level[rows].astype(np.intp), block, inside)
        if query.below:
            if sign == 1.0:
                below[rows] += group.below(*cells)
            else:
                below[rows] += sign * group.below(*cells)
        if ear is not None:
            ear.add(*cells, sign if query.weight is None else sign * query.weight[rows])


def _before(points: Points, part: slice) -> tuple[Ints, Floats]:
    """(levels + 1,) each: how many of some points have a level below 0, 1, ..., and their weight."""
    level, weight = points.level[part], points.weight[part]
    number, total = np.zeros(points.levels + 1, np.intp), np.zeros(points.levels + 1)
    np.cumsum(np.bincount(level, minlength=points.levels), out=number[1:])
    np.cumsum(np.bincount(level, weight, minlength=points.levels), out=total[1:])
    return number, total


class _Group:
    """The tables of one group of m points.

    earlier, own (levels + 1,): weight of the points of earlier groups, and of this one, with a level below each; rank (levels + 1,):
    how many of this one. blocks (B, m + 1): weight of the points in the blocks before, by rank. inner (B, m + 1): how many points of the
    block itself are below a rank. inside (B, s + 1, s + 1), s = 2^b: weight of the first points of a block, by rank among the block's.
    """

    def __init__(self, points: Points, part: slice, earlier: Floats) -> None:
        self.bits, self.start = points.bits, part.start
        self.level, weight = points.level[part], points.weight[part]
        self.earlier = earlier
        self.rank, self.own = _before(points, part)
        m, side = self.level.size, (1 << self.bits) + 1
        self.width, self.side, count = m + 1, side, (m >> self.bits) + 1
        number = np.arange(m)
        order = np.argsort(self.level, kind="stable")
        self.t = np.empty(m, np.intp)  # place of each point in order of level
        self.t[order] = number
        self.block, self.inner_place = number >> self.bits, number & (side - 2)
        inner, blocks = np.zeros((count, m + 1), np.int32), np.zeros((count, m + 1))
        inner[self.block, self.t + 1] = 1
        blocks[self.block, self.t + 1] = weight
        np.cumsum(inner, axis=1, out=inner)
        np.cumsum(blocks, axis=1, out=blocks)
        later = np.zeros_like(blocks)
        np.cumsum(blocks[:-1], axis=0, out=later[1:])
        self.u = inner[self.block, self.t].astype(np.intp)
        inside = np.zeros((count, side, side))
        inside[self.block, self.inner_place + 1, self.u + 1] = weight
        np.cumsum(inside, axis=2, out=inside)
        np.cumsum(inside, axis=1, out=inside)
        self.inner, self.blocks, self.inside = inner.ravel(), later.ravel(), inside.ravel()

    def places(self, place: NDArray[Any]) -> tuple[Ints, Ints]:
        """(m,), (m,) where each place's row of `blocks` begins, and its row of `inside`."""
        away = place.astype(np.intp)
        away -= self.start
        block = away >> self.bits
        inside = block * self.side
        inside += away & (self.side - 2)
        inside *= self.side
        block *= self.width
        return block, inside

    def cells(self, level: Ints, block: Ints, inside: Ints) -> tuple[Ints, Ints, Ints]:
        """(m,) each: the cells that queries at these levels read."""
        at = np.take(self.rank, level)
        at += block
        return level, at, inside + np.take(self.inner, at)

    def below(self, level: Ints, at: Ints, inside: Ints) -> Floats:
        result = np.take(self.earlier, level)
        result += np.take(self.blocks, at)
        result += np.take(self.inside, inside)
        return result


class _Ear:
    """What the points of a group hear of queries: tables as the group's, filled by queries and summed the other way."""

    def __init__(self, group: _Group, passed: Floats) -> None:
        self.group, self.passed = group, passed
        self.start = np.cumsum(passed)[group.level]  # of the queries of earlier groups
        self.blocks, self.inside = np.zeros(group.blocks.size), np.zeros(group.inside.size)

    def add(self, level: Ints, at: Ints, inside: Ints, weight: Floats | float) -> None:
        np.add.at(self.passed, level, weight)
        np.add.at(self.blocks, at, weight)
        np.add.at(self.inside, inside, weight)

    def at_points(self) -> Floats:
        """(m,)."""
        group = self.group
        blocks = self.blocks.reshape(-1, group.width)
        np.cumsum(blocks, axis=1, out=blocks)
        before = np.zeros_like(blocks)
        np.cumsum(blocks[:-1], axis=0, out=before[1:])
        inside = self.inside.reshape(-1, group.side, group.side)
        np.cumsum(inside, axis=2, out=inside)
        np.cumsum(inside, axis=1, out=inside)
        return self.start + before[group.block, group.t] + inside[group.block, group.inner_place, group.u]
