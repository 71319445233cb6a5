"""What has been counted in the last days, and what is still to come: rings of one array a day."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class History:
    """The last `depth` days of a count per customer."""

    def __init__(self, depth: int, n: int) -> None:
        self._days = np.zeros((depth, n), dtype=np.int32)
        self._now = 0

    def push(self, counts: NDArray[np.int32]) -> None:
        """Close a day with these counts (n,)."""
        self._now = (self._now + 1) % len(self._days)
        self._days[self._now] = counts

    def ago(self, days: int) -> NDArray[np.int32]:
        """The counts (n,) of so many days ago; 0 is the day that was closed last."""
        return self._days[(self._now - days) % len(self._days)]


class WindowSum:
    """The sum over the `days` days that end `lag` days ago; call `close` once after each `History.push`."""

    def __init__(self, history: History, days: int, lag: int = 0) -> None:
        self._history, self._days, self._lag = history, days, lag
        self.total = np.zeros_like(history.ago(0))

    def close(self) -> None:
        """Move the window on by one day."""
        self.total += self._history.ago(self._lag)
        self.total -= self._history.ago(self._lag + self._days)


class Agenda:
    """Changes of a level per customer that are due on later days, at most `horizon` days ahead."""

    def __init__(self, horizon: int, n: int) -> None:
        self._due = np.zeros((horizon + 1, n), dtype=np.int16)
        self._now = 0

    def plan(self, customers: NDArray[np.intp], days_ahead: NDArray[np.int64], change: int) -> None:
        """Add `change` to each of `customers` so many days from the day at hand (0: today)."""
        slots = (self._now + days_ahead) % len(self._due)
        np.add.at(self._due, (slots, customers), change)

    def close(self) -> NDArray[np.int16]:
        """Today's changes (n,), as a copy; then the next day is at hand."""
        today = self._due[self._now].copy()
        self._due[self._now] = 0
        self._now = (self._now + 1) % len(self._due)
        return today
