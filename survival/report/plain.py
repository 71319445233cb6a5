"""Frames and arguments as JSON and back, exactly: so that a figure can be drawn again from the CSV files beside it."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from survival.plot.numbers import is_missing
from survival.report.tables import csv_text

Schema = list[dict[str, Any]]


class NotPlainError(TypeError):
    """A value that JSON cannot hold; who saves keeps what it had made from it."""


def rows_of(text: str) -> tuple[list[str], list[list[str]]]:
    """The header and the cells of a CSV file, as text."""
    lines = list(csv.reader(io.StringIO(text)))
    return (lines[0], lines[1:]) if lines else ([], [])


def schema_of(frame: pd.DataFrame) -> Schema:
    """What CSV does not say of the columns: their types, categories, and what a blank was."""
    return [_column_schema(str(name), frame.iloc[:, i]) for i, name in enumerate(frame.columns)]


def _column_schema(name: str, values: pd.Series) -> dict[str, Any]:
    schema: dict[str, Any] = {"name": name, "type": str(values.dtype)}
    if isinstance(values.dtype, pd.CategoricalDtype):
        categories = values.cat.categories
        schema |= {"type": "category", "ordered": bool(values.cat.ordered)}
        schema["categories"] = [encoded(c) for c in categories.tolist()]
    elif values.dtype == object:
        kinds = {type(v) for v in values if not is_missing(v)}
        blank = {
            ("text" if isinstance(v, str) else "none" if v is None else "nan")
            for v in values
            if is_missing(v) or v == ""
        }
        if kinds - {str} or len(blank) > 1:  # numbers among text, or blanks of two sorts: the values themselves
            schema["values"] = [encoded(v) for v in values.tolist()]
        else:
            schema["blank"] = next(iter(blank), "nan")
    return schema


def frame_from(text: str, schema: Schema, rows: list[list[int]] | None = None) -> pd.DataFrame:
    """The frame whose CSV is `text`, or of it the columns of `schema` and the `rows` in ranges [start, stop), so indexed."""
    header, cells = rows_of(text)
    if rows is not None:
        cells = [line for start, stop in rows for line in cells[start:stop]]
    place = {name: i for i, name in enumerate(header)}
    columns = [_column([line[place[c["name"]]] for line in cells], c) for c in schema]
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=range(len(cells)))
    return frame if rows is None else frame.set_axis([i for start, stop in rows for i in range(start, stop)], axis=0)


def _column(cells: list[str], schema: dict[str, Any]) -> pd.Series:
    kind, name = schema["type"], schema["name"]
    if "values" in schema:
        return pd.Series([decoded(v) for v in schema["values"]], dtype=object, name=name)
    if kind == "category":
        categories = [decoded(c) for c in schema["categories"]]
        of_text = {_text(c): c for c in categories}
        dtype = pd.CategoricalDtype(categories, ordered=schema["ordered"])
        return pd.Series(pd.Categorical([of_text.get(cell) for cell in cells], dtype=dtype), name=name)
    if kind == "object":
        blank: Any = {"text": "", "none": None, "nan": np.nan}[schema["blank"]]
        return pd.Series([cell if cell else blank for cell in cells], dtype=object, name=name)
    if kind == "bool":
        return pd.Series([cell == "true" for cell in cells], dtype=bool, name=name)
    whole = not kind.startswith(("float", "Float"))
    if kind.startswith(("Float", "Int", "UInt")):
        known = [(int(c) if whole else float(c)) if c else None for c in cells]
        return pd.Series(pd.array(known, dtype=kind), name=name)
    if kind.startswith(("float", "int", "uint")):
        return pd.Series([int(c) if whole else float(c or "nan") for c in cells], dtype=kind, name=name)
    return pd.Series([cell if cell else None for cell in cells], name=name).astype(kind)  # dates, nullable types


def _text(value: Any) -> str:
    return csv_text(pd.DataFrame({"x": pd.Series([value], dtype=object)})).split("\n", 1)[1].rstrip("\n").strip('"')


def encoded(value: Any, frame: Callable[[pd.DataFrame], Any] | None = None) -> Any:
    """A value as JSON, with its type where JSON has none; frames as `frame` says. NotPlainError for anything else."""
    if value is None or (isinstance(value, bool | int | float | str) and not isinstance(value, np.generic)):
        return value
    if isinstance(value, np.generic):
        return {"numpy": str(value.dtype), "value": value.item()}
    if isinstance(value, list):
        return [encoded(v, frame) for v in value]
    if isinstance(value, tuple):
        return {"tuple": [encoded(v, frame) for v in value]}
    if isinstance(value, Mapping):
        return {"map": [[encoded(k, frame), encoded(v, frame)] for k, v in value.items()]}
    if isinstance(value, np.ndarray):
        return {"array": [encoded(v) for v in value.tolist()], "dtype": str(value.dtype)}
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return {"date": value.isoformat()}
    if isinstance(value, pd.DataFrame) and frame is not None:
        return {"frame": frame(value)}
    raise NotPlainError(f"{type(value).__name__} cannot be saved as JSON")


def decoded(value: Any, frame: Callable[[Any], pd.DataFrame] | None = None) -> Any:
    """What `encoded` was given."""
    if isinstance(value, list):
        return [decoded(v, frame) for v in value]
    if not isinstance(value, dict):
        return value
    if "tuple" in value:
        return tuple(decoded(v, frame) for v in value["tuple"])
    if "map" in value:
        return {decoded(k, frame): decoded(v, frame) for k, v in value["map"]}
    if "numpy" in value:
        return np.dtype(value["numpy"]).type(value["value"])
    if "array" in value:
        return np.array([decoded(v) for v in value["array"]], dtype=value["dtype"])
    if "date" in value:
        return dt.date.fromisoformat(value["date"])
    if "frame" in value and frame is not None:
        return frame(value["frame"])
    raise NotPlainError(f"{sorted(value)} is no value of a saved document")
