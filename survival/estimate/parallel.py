"""Row ranges in threads: NumPy and SciPy release the interpreter lock in the loops that matter."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from survival.estimate.blas_threads import one_blas_thread

Result = TypeVar("Result")

_PARTS = 4  # fixed, so that sums over the parts round the same on every machine
WORTH = 200_000  # rows below which starting threads costs more than it saves


class _Threads:
    """One pool for the life of the process, made when first wanted: starting threads at each pass costs milliseconds.

    One thread less than there are cores, since the caller works too.
    """

    def __init__(self) -> None:
        self.pool: ThreadPoolExecutor | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget)  # threads do not survive a fork

    def forget(self) -> None:
        self.pool = None

    def get(self) -> ThreadPoolExecutor:
        if self.pool is None:
            self.pool = ThreadPoolExecutor(max((os.cpu_count() or 1) - 1, 1), thread_name_prefix="survival")
        return self.pool


_threads = _Threads()


def over_rows(work: Callable[[slice], Result], rows: int, multiple: int = 1) -> list[Result]:
    """work(slice) of four ranges of rows (one when they are few), in threads; results in order. Ranges begin at multiples."""
    if rows < WORTH:
        with one_blas_thread():
            return [work(slice(0, rows))]
    step = -(-rows // (_PARTS * multiple)) * multiple
    return together([_bound(work, slice(low, min(low + step, rows))) for low in range(0, rows, step)])


def together(tasks: Sequence[Callable[[], Result]]) -> list[Result]:
    """The results of independent tasks, in order, run in as many threads as there are cores, this one among them."""
    pool = _threads.get()
    with one_blas_thread():
        futures = [pool.submit(task) for task in tasks[1:]]
        results = [tasks[0]()]
        for task, future in zip(tasks[1:], futures):
            # What no thread has begun is done here: a task may itself call `together` without waiting for itself.
            results.append(task() if future.cancel() else future.result())
    return results


def _bound(work: Callable[[slice], Result], rows: slice) -> Callable[[], Result]:
    return lambda: work(rows)
