"""Named columns out of anything that speaks Arrow or pandas, checked value by value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from survival.errors import ArgumentError, StructureError

SHOWN = 5  # offending rows that a message shows


def column_names(frame: Any) -> list[str]:
    """Names of the columns of a frame, without computing a lazy one."""
    if isinstance(frame, Mapping):
        return [str(name) for name in frame]
    if isinstance(frame, pa.Table):
        return list(frame.column_names)
    columns = getattr(frame, "columns", None)
    if columns is not None and not callable(columns):
        return [str(name) for name in columns]
    return []


def read_columns(frame: Any, names: Sequence[str | None]) -> pd.DataFrame:
    """The named columns of `frame` as pandas, with rows numbered from 0.

    `frame` is a pandas frame, a mapping of arrays, or anything with `__arrow_c_stream__` (Polars, PyArrow, a
    DuckDB relation) or `to_pyarrow` (an Ibis table, of which only these columns are computed). `None` among
    the names is skipped. Raises ArgumentError for a column that is not there, with the nearest spelling, and
    for what is no frame.
    """
    wanted = list(dict.fromkeys(name for name in names if name is not None))
    for name in wanted:
        if not isinstance(name, str):
            raise ArgumentError(f"a column is named by text; got {name!r} of type {type(name).__name__}")
    if isinstance(frame, pd.DataFrame):
        _require(wanted, [str(name) for name in frame.columns])
        return frame[wanted].reset_index(drop=True)
    if isinstance(frame, Mapping):
        _require(wanted, [str(name) for name in frame])
        return _from_mapping(frame, wanted)
    table = _arrow(frame, wanted)
    _require(wanted, table.column_names)
    return table.select(wanted).to_pandas()


def _require(wanted: Iterable[str], there: Sequence[str]) -> None:
    for name in wanted:
        count = list(there).count(name)
        if count == 1:
            continue
        if count > 1:
            raise ArgumentError(f"column '{name}' is in the frame {count} times; rename or drop all but one")
        near = get_close_matches(name, there, n=1, cutoff=0.6)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        raise ArgumentError(f"column '{name}' is not in the frame{hint} It has: {_listed(there)}")


def _listed(names: Sequence[str], most: int = 20) -> str:
    text = ", ".join(names[:most])
    return text + (f", … ({len(names)} columns)" if len(names) > most else "")


def _from_mapping(frame: Mapping[str, Any], wanted: Sequence[str]) -> pd.DataFrame:
    arrays = {name: np.atleast_1d(frame[name]) if np.isscalar(frame[name]) else frame[name] for name in wanted}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ArgumentError(f"the columns must have one length; got {lengths}")
    return pd.DataFrame({name: _bare(array) for name, array in arrays.items()})


def _bare(array: Any) -> Any:
    """A column without its index: columns are matched by position."""
    return array.array if isinstance(array, pd.Series) else array


def _arrow(frame: Any, wanted: Sequence[str]) -> pa.Table:
    if isinstance(frame, pa.Table):
        return frame
    if hasattr(frame, "to_pyarrow") and hasattr(frame, "select"):  # an Ibis table: compute these columns only
        _require(wanted, column_names(frame))
        return frame.select(*wanted).to_pyarrow()
    if hasattr(frame, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(frame).read_all()
    raise ArgumentError(
        "the data must be a pandas, Polars or PyArrow frame, a DuckDB relation, an Ibis table, "
        f"a mapping of arrays, or flows; got {type(frame).__name__}"
    )


def numbers(frame: pd.DataFrame, name: str, role: str, who: pd.Series | None = None) -> NDArray[np.float64]:
    """Column `name` as (n,) float64; StructureError for text, missing, NaN, infinity, with the rows."""
    column = frame[name]
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iub":
        return column.to_numpy(np.float64)
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        raise StructureError(f"{role} column '{name}' holds dates ({column.dtype}); give it in days as numbers")
    values = _floats(column, name, role, who)
    with np.errstate(all="ignore"):
        finite = bool(np.isfinite(values.sum()))  # as it mostly is: no look at each
    if not finite:
        refuse(~np.isfinite(values), f"{role} column '{name}' has missing or infinite values", {name: column}, who)
    return values


def _floats(column: pd.Series, name: str, role: str, who: pd.Series | None) -> NDArray[np.float64]:
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "f":
        return column.to_numpy(np.float64)  # without na_value, for which pandas would look at every value
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(np.float64, na_value=np.nan)
    values = pd.to_numeric(column.astype(object), errors="coerce").to_numpy(np.float64, na_value=np.nan)
    is_text = column.map(lambda value: isinstance(value, str)).to_numpy(bool)
    refuse(is_text, f"{role} column '{name}' must hold numbers; it has text", {name: column}, who)
    return values


def complete(frame: pd.DataFrame, name: str, role: str) -> pd.Series:
    """Column `name`, refused when a value is missing: a group or customer that is unknown is no group."""
    column = frame[name]
    refuse(
        column.isna().to_numpy(bool),
        f"{role} column '{name}' has missing values; drop these rows or give them a value of their own",
        {name: column},
    )
    return column


def refuse(bad: NDArray[np.bool_], problem: str, shown: Mapping[str, Any], who: pd.Series | None = None) -> None:
    """Raise StructureError when any row is `bad`: how many, and the first with the values in `shown`."""
    if not bad.any():
        return
    rows = np.flatnonzero(bad)
    raise StructureError(f"{problem}: {counted(rows.size, 'row')}. {show_rows(rows, shown, who)}")


def counted(count: float, thing: str) -> str:
    """'1 row', '2,000 rows', '0.5 events'."""
    number = f"{count:,.0f}" if float(count).is_integer() else f"{count:,.4g}"
    return f"{number} {thing}" if count == 1 else f"{number} {thing}s"


def show_rows(rows: NDArray[np.intp], shown: Mapping[str, Any], who: pd.Series | None = None) -> str:
    """The first few rows as text, counted from 0, with their customers."""
    lines = []
    for row in rows[:SHOWN]:
        values = ", ".join(f"{name} = {_text(np.asarray(values)[row])}" for name, values in shown.items())
        customer = "" if who is None else f" (customer {_text(who.iloc[row])})"
        lines.append(f"row {row}{customer}: {values}")
    return "First (rows counted from 0): " + "; ".join(lines)


def _text(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:g}"
    return str(value)
