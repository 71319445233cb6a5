"""One BLAS thread while this package uses the cores itself.

OpenBLAS splits even a product of a few thousand rows over all cores and lets its threads wait for each other in busy loops; beside
threads of our own, or on a machine with other work, that costs many times what it saves.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

_lock = threading.Lock()
_depth = [0, 0]  # users now, and how many threads there were before the first


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """NumPy's OpenBLAS, where it is the one of NumPy's wheels, works in the calling thread only; another BLAS is left alone."""
    calls = _openblas()
    if calls is None:
        yield
        return
    get, put = calls
    with _lock:
        if not _depth[0]:
            _depth[1] = get()
            put(1)
        _depth[0] += 1
    try:
        yield
    finally:
        with _lock:
            _depth[0] -= 1
            if not _depth[0]:
                put(_depth[1])


@cache
def _openblas() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """Its functions to get and to set the number of threads."""
    package = Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        for library in sorted(folder.glob("*openblas*")):
            try:
                loaded = ctypes.CDLL(str(library))  # the one that NumPy has loaded already
            except OSError:
                continue
            for name in ("scipy_openblas_{}_num_threads64_", "openblas_{}_num_threads64_", "openblas_{}_num_threads"):
                get, put = (getattr(loaded, name.format(what), None) for what in ("get", "set"))
                if get is not None and put is not None:
                    return get, put
    return None
