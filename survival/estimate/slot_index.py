"""Where times lie among the event times of their stratum."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from survival.estimate.parallel import over_rows

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_TABLE = 1_000_000  # look-up tables up to this size (or 4 x the rows) are cheaper than searching
_BLOCK = 65_536  # rows whose temporaries are alive at a time


class SlotIndex:
    """Maps (stratum, time) to the number of slots at or before it, by table where time is whole days."""

    def __init__(self, event_time: Floats, event_stratum: Ints, strata: int) -> None:
        self.times = _distinct(event_time)
        self.width = self.times.size + 1
        if strata > 1:
            self.cells = np.unique(event_stratum * self.width + self._rank(event_time))
        else:
            self.cells = np.arange(1, self.width)
        self.strata = strata
        self.slots = self.cells.size + strata
        self.cell_stratum = self.cells // self.width
        self.position = np.arange(self.cells.size) + self.cell_stratum  # one empty slot after each stratum

    def between(self, start: Floats, stop: Floats, stratum: Ints | None) -> NDArray[np.int32]:
        """(n, 2) slots at or before start and at or before stop, a block of rows at a time and in threads."""
        pair = np.empty((start.size, 2), np.int32)
        everybody = np.zeros(1, np.intp)
        if self.times.size:
            _ = self._days, self._cells, self._grid  # made once, before the threads ask for them

        def fill(part: slice) -> None:
            for low in range(part.start, part.stop, _BLOCK):
                rows = slice(low, min(low + _BLOCK, part.stop))
                code = everybody if stratum is None else stratum[rows]
                pair[rows, 0] = self.at(start[rows], code)
                pair[rows, 1] = self.at(stop[rows], code)

        over_rows(fill, start.size, _BLOCK)
        return pair

    def at(self, time: Floats, stratum: Ints) -> Ints:
        """(m,) slots at or before `time` in `stratum`, counted over all strata before it too."""
        rank = self._rank(time)
        if self.strata == 1:
            return rank
        key = stratum * self.width + rank
        if self._cells is not None:
            return self._cells[key] + stratum
        return np.searchsorted(self.cells, key, side="right") + stratum

    def _rank(self, time: Floats) -> Ints:
        """(m,) distinct event times at or before `time`."""
        if not self.times.size:
            return np.zeros(time.size, np.intp)
        if self._days is None:
            return self._searched(time)
        low, high = self.times[0], self.times[-1]
        # floor(t) is enough: the event times are whole. Clip before the cast, times may be far outside.
        day = time - low
        np.floor(day, out=day)
        np.clip(day, -1, high - low, out=day)
        day += 1
        return np.take(self._days, day.astype(np.intp))

    def _searched(self, time: Floats) -> Ints:
        """(m,) `_rank` of times that are in no whole days: a table of equal cells says between which event times, and halving the
        few of a cell does the rest. Binary search among all would miss the cache at every step."""
        cells, times = self._grid, self.times
        low = cells[self._cell(time)]
        high = cells[self._cell(time) + 1]
        step = 1 << max(int((high - low).max(initial=0)).bit_length() - 1, 0)
        while step:
            there = low + step
            inside = there <= high
            inside &= times[np.minimum(there, times.size) - 1] <= time
            low = np.where(inside, there, low)
            step >>= 1
        return low

    def _cell(self, time: Floats) -> Ints:
        """(m,) 0..4 K - 1, never falling with time."""
        last = 4 * self.times.size - 1
        with np.errstate(over="ignore"):  # far outside is the first or the last cell
            place = (time - self.times[0]) * (last / max(self.times[-1] - self.times[0], np.finfo(float).tiny))
        np.clip(place, 0, last, out=place)
        return place.astype(np.intp)

    @cached_property
    def _grid(self) -> Ints:
        """(4 K + 1,) event times in all cells before each."""
        counts = np.bincount(self._cell(self.times), minlength=4 * self.times.size)
        return np.concatenate(([0], np.cumsum(counts)))

    @cached_property
    def _days(self) -> Ints | None:
        """(days,) distinct event times up to each day from the one before the first; None where time is not in whole days."""
        times = self.times
        if not times.size or times[-1] - times[0] > max(4 * times.size, _TABLE) or (times != np.rint(times)).any():
            return None
        table = np.zeros(int(times[-1] - times[0]) + 2, np.intp)
        table[(times - times[0]).astype(np.intp) + 1] = 1
        return np.cumsum(table)

    @cached_property
    def _cells(self) -> Ints | None:
        """(strata x width,) slots with events up to each stratum and time; None where that would be too long a table."""
        if self.strata * self.width > max(4 * self.cells.size, _TABLE):
            return None
        table = np.zeros(self.strata * self.width, np.intp)
        table[self.cells] = 1
        return np.cumsum(table)


def _distinct(time: Floats) -> Floats:
    """Sorted distinct times; whole days by a table, without sorting."""
    if time.size:
        low, high = float(time.min()), float(time.max())
        if high - low <= max(4 * time.size, 1000) and (time == np.rint(time)).all():
            days: Floats = np.flatnonzero(np.bincount((time - low).astype(np.intp))).astype(np.float64)
            return days + low
    return np.unique(time)
