"""Running sums over the slots of each stratum by itself.

One running sum over all strata, and differences of it, would lose the digits of a stratum whose sums are small beside another's:
with prices in several currencies, or offsets, they differ by factors of 1e15.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


def before(values: NDArray[Any], last: Ints, dtype: Any = np.float64) -> NDArray[Any]:
    """(K, ...) sum of the values (K, ...) over the slots of the same stratum before each; last (K,) the stratum's last slot."""
    total = np.zeros(values.shape, dtype)
    if last[0] == len(last) - 1:
        np.cumsum(values[:-1], axis=0, dtype=dtype, out=total[1:])
        return total
    for slots, there in _padded(last):
        held = np.where(there[(...,) + (None,) * (values.ndim - 1)], values[slots], 0)
        sums = np.cumsum(held[:, :-1], axis=1, dtype=dtype)
        total[slots[:, 1:][there[:, 1:]]] = sums[there[:, 1:]]
    return total


def after(values: NDArray[Any], last: Ints, dtype: Any = np.float64) -> NDArray[Any]:
    """(K, ...) sum of the values over the slots of the same stratum after each."""
    k = len(last)
    first = np.flatnonzero(np.concatenate(([True], last[1:] != last[:-1])))
    turned = np.repeat(k - 1 - first, np.diff(np.append(first, k)))[::-1]
    return before(values[::-1], turned, dtype)[::-1]


def _padded(last: Ints) -> Iterator[tuple[Ints, NDArray[np.bool_]]]:
    """The slots of strata of about the same length, as rows (strata, slots), and which of them are theirs."""
    first = np.flatnonzero(np.concatenate(([True], last[1:] != last[:-1])))
    length = last[first] - first + 1
    size = np.ceil(np.log2(length)).astype(np.intp)
    for power in np.unique(size):
        mine = size == power
        steps = np.arange(1 << int(power))
        there = steps < length[mine][:, None]
        yield np.where(there, first[mine][:, None] + steps, 0), there
