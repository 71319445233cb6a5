"""Row ranges in threads: NumPy and SciPy release the interpreter lock in the loops that matter.

As many threads as the environment's SURVIVAL_THREADS says (what `survival run --jobs` shares out), else as there are cores. Ranges
are fixed by the number of rows, so that sums over them round the same whatever the number of threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from survival.estimate.blas_threads import one_blas_thread

Result = TypeVar("Result")

_FEW, _MANY = 4, 16  # ranges
_LEAST = 32_768  # rows of a range, where there may be many
_BESIDE = 8  # rows of a range for each of its result: with fewer, adding up the results is the work
WORTH = 100_000  # rows below which starting threads costs more than it saves


class _Threads:
    """One pool for the life of the process, made when first wanted: starting threads at each pass costs milliseconds."""

    def __init__(self) -> None:
        self.pool: ThreadPoolExecutor | None = None
        self.size = 0
        self.lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget)  # threads do not survive a fork

    def forget(self) -> None:
        self.pool, self.size, self.lock = None, 0, threading.Lock()

    def get(self, size: int) -> ThreadPoolExecutor:
        """A pool of so many threads."""
        with self.lock:
            if self.pool is None or self.size != size:
                # One of another size, should there be one, ends when its last task has ended.
                self.pool, self.size = ThreadPoolExecutor(size, thread_name_prefix="survival"), size
            return self.pool


_threads = _Threads()


def threads() -> int:
    """How many threads work at once, the caller's among them."""
    given = os.environ.get("SURVIVAL_THREADS", "")
    return int(given) if given.isdigit() and int(given) > 0 else os.cpu_count() or 1


def over_rows(work: Callable[[slice], Result], rows: int, multiple: int = 1, held: int | None = None) -> list[Result]:
    """work(slice) of ranges of rows (one when they are few), in threads; results in order. Ranges begin at multiples.

    held: how long a range's result is. All results are there at once, so that there are many ranges only where results are short
    beside them: by default for whole blocks (multiple > 1), whose results are small, and not for others.
    """
    if rows < WORTH:
        with one_blas_thread():
            return [work(slice(0, rows))]
    if held is None:
        held = 0 if multiple > 1 else rows
    parts = ranges(rows, held)
    step = -(-rows // (parts * multiple)) * multiple
    return together([_bound(work, slice(low, min(low + step, rows))) for low in range(0, rows, step)])


def ranges(rows: int, held: int) -> int:
    """Into how many ranges rows are cut, by their number and the length of a range's result: 4 to 16."""
    return max(_FEW, min(_MANY, rows // _LEAST, rows // (_BESIDE * max(held, 1))))


def together(tasks: Sequence[Callable[[], Result]]) -> list[Result]:
    """The results of independent tasks, in order, run in `threads()` threads, this one among them."""
    size = threads() - 1
    with one_blas_thread():
        if not size:
            return [task() for task in tasks]
        pool = _threads.get(size)
        futures = [pool.submit(task) for task in tasks[:-1]]
        mine = {len(futures): tasks[-1]()}
        # What no thread has begun is done here, so that a task may itself call `together` without waiting for itself. From the
        # end: the pool begins at the front, and waiting for what it has just begun would leave it all the rest.
        for i in reversed(range(len(futures))):
            if futures[i].cancel():
                mine[i] = tasks[i]()
        return [mine[i] if i in mine else futures[i].result() for i in range(len(tasks))]


def ahead(task: Callable[[], Result], rows: int) -> Callable[[], Result]:
    """Begins a task in another thread, where its rows are many; calling what is returned gives the result, or raises its error."""
    size = threads() - 1
    if not size or rows < WORTH:
        return task
    future = _threads.get(size).submit(task)
    return lambda: task() if future.cancel() else future.result()


def _bound(work: Callable[[slice], Result], rows: slice) -> Callable[[], Result]:
    return lambda: work(rows)
