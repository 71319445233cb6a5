"""The covariate matrix of a fit: columns centred and scaled, turned into rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from survival.estimate.blas_threads import one_blas_thread
from survival.estimate.parallel import WORTH, over_rows, together

Floats = NDArray[np.float64]

Flags = NDArray[np.bool_]

_BLOCK = 65_536  # values of a column at a time: few calls, since between calls threads wait for each other, and still in cache
_VALUES = 327_680  # values of all columns at a time
_ROUNDING = 1e-14  # of sums of squares, relative


@dataclass(frozen=True, eq=False)
class Standardised:
    """x (n, p) of mean 0 and variance 1 (1/(n - 1)), in row order, and of each column before (p,): mean, standard deviation (1
    where it is 0), smallest, largest, and whether it has no value between these two (to a rounding error of its variance)."""

    x: Floats
    centre: Floats
    scale: Floats
    low: Floats
    high: Floats
    two_valued: Flags


def standardised(columns: Sequence[Floats], rows: Floats, n: float) -> Standardised:
    """The columns (n,) as a matrix. rows: (n,) or (1,) how many episodes each row stands for, n in all."""
    tasks = [partial(_moments, column, rows, n) for column in columns]
    if columns[0].size >= WORTH:
        moments = together(tasks)
    else:
        with one_blas_thread():
            moments = [task() for task in tasks]
    centre, scale, low, high, two_valued = np.array(moments).T.copy()
    scale[(scale <= 0) | (low == high)] = 1.0
    x, inverse = np.empty((columns[0].size, len(columns))), 1.0 / scale
    size = max(_VALUES // len(columns), 1024)

    def fill(part: slice) -> None:
        block = np.empty((len(columns), min(size, part.stop - part.start)))
        for i in range(part.start, part.stop, size):  # column by column into a block that stays in cache, then turned
            end = min(i + size, part.stop)
            for j, column in enumerate(columns):
                values = block[j, : end - i]
                np.subtract(column[i:end], centre[j], out=values)
                values *= inverse[j]
            x[i:end] = block[:, : end - i].T

    over_rows(fill, len(x), 8192)
    return Standardised(x, centre, scale, low, high, two_valued > 0)


def by_column(x: Floats) -> Floats:
    """x (n, p) in column order, from row order."""
    turned = np.empty(x.shape[::-1])

    def fill(part: slice) -> None:
        for i in range(part.start, part.stop, _BLOCK):
            rows = slice(i, min(i + _BLOCK, part.stop))
            turned[:, rows] = x[rows].T

    over_rows(fill, len(x), _BLOCK)
    return turned.T


def _moments(column: Floats, rows: Floats, n: float) -> tuple[float, float, float, float, bool]:
    """Mean, standard deviation, smallest, largest, whether no value is between."""
    total = squares = 0.0
    low, high = np.inf, -np.inf
    held = np.empty((2, _BLOCK))
    for i in range(0, column.size, _BLOCK):
        values = column[i : i + _BLOCK]
        # Around a point of the data: an offset must not swallow the sums.
        away = np.subtract(values, column[0], out=held[0, : values.size])
        weighted = away if rows.size == 1 else np.multiply(away, rows[i : i + _BLOCK], out=held[1, : values.size])
        total += float(weighted.sum())
        squares += float(weighted @ away)
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    shift = total / n
    variance = max(squares - total * shift, 0.0) / max(n - 1.0, 1.0)
    # The sum of (value - smallest) x (largest - value), all of them 0 or more.
    bottom, top = low - float(column[0]), high - float(column[0])
    between = (bottom + top) * total - squares - n * bottom * top
    two_valued = between <= _ROUNDING * n * (top - bottom) ** 2
    return float(column[0] + shift), float(np.sqrt(variance)), low, high, two_valued
