"""The day at hand, and the rows that it leaves behind."""

from __future__ import annotations

import calendar as _calendar
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NEVER = np.int64(-(2**31))  # a date that is null: not ended, not resolved, not paid


@dataclass(frozen=True)
class Day:
    """One calendar day: its number since 1970-01-01, and what billing and habits need to know of it."""

    number: int
    weekday: int  # Monday is 0
    month: int
    of_month: int
    days_in_month: int

    @classmethod
    def at(cls, number: int) -> Day:
        """The day so many days after 1970-01-01."""
        date = dt.date(1970, 1, 1) + dt.timedelta(days=number)
        length = _calendar.monthrange(date.year, date.month)[1]
        return cls(number, date.weekday(), date.month, date.day, length)

    def falls_on(self, day_of_month: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Where a monthly date is due today; the 29th to 31st are clipped to a short month's end."""
        due = np.minimum(day_of_month, self.days_in_month) == self.of_month
        return np.asarray(due)


Columns = Mapping[str, NDArray[Any]]


class Rows:
    """Rows gathered in pieces, one piece a day; every piece has the same columns."""

    def __init__(self) -> None:
        self._pieces: list[Columns] = []
        self.count = 0

    def add(self, **columns: NDArray[Any]) -> None:
        """Append equally long columns."""
        rows = len(next(iter(columns.values())))
        if rows or not self._pieces:  # a first piece without rows still says which columns there are
            self._pieces.append(columns)
            self.count += rows

    def take(self) -> dict[str, NDArray[Any]]:
        """All rows so far, in order of arrival, and start anew."""
        pieces, self._pieces, self.count = self._pieces, [], 0
        if not pieces:
            return {}
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
