"""Row ranges in threads: NumPy and SciPy release the interpreter lock in the loops that matter."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

_PARTS = 4  # fixed, so that sums over the parts round the same on every machine
WORTH = 200_000  # rows below which starting threads costs more than it saves


def over_rows(work: Callable[[slice], Result], rows: int, multiple: int = 1) -> list[Result]:
    """work(slice) of four ranges of rows (one when they are few), in threads; results in order. Ranges begin at multiples."""
    if rows < WORTH:
        return [work(slice(0, rows))]
    step = -(-rows // (_PARTS * multiple)) * multiple
    return together([_bound(work, slice(low, min(low + step, rows))) for low in range(0, rows, step)])


def together(tasks: Sequence[Callable[[], Result]]) -> list[Result]:
    """The results of independent tasks, in order, run in as many threads as there are cores."""
    with ThreadPoolExecutor(min(len(tasks), os.cpu_count() or 1)) as pool:
        return [future.result() for future in [pool.submit(task) for task in tasks]]


def _bound(work: Callable[[slice], Result], rows: slice) -> Callable[[], Result]:
    return lambda: work(rows)
