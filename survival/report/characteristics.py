"""A table of characteristics as a paper prints it: a line a flag or number, a heading and indented lines for text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from survival.plot.forest import covariate_label
from survival.plot.numbers import MISSING, count, decimal, is_missing, p_value, percent

INDENT = "\u2003"  # an em space, which HTML keeps at the start of a cell
ABSENT = "Missing"
OF_NUMBERS = "median (Q1–Q3)"
_LAST = "(all others)"
_KEEP = "\u00a0"  # no line break

Rows = dict[tuple[str, str], dict[str, Any]]  # (variable, level) -> its statistics


@dataclass(frozen=True)
class Column:
    """One column of the table: what stands above it, and its rows of characteristics.csv (one row a variable and level).

    `days`: they count customer days, so only shares are shown.
    """

    header: str
    rows: pd.DataFrame
    days: bool = False


def size(n: float, mask_below: float) -> str:
    """'N = 5,000', on one line; a group too small to be counted is only said to be so."""
    return f"N{_KEEP}<{_KEEP}{count(mask_below)}" if 0 < n < mask_below else f"N{_KEEP}={_KEEP}{count(n)}"


def hides(display: pd.DataFrame, mask_below: float) -> bool:
    """Whether a table shows a count, or the size of a group, as below `mask_below` only."""
    mark = f"<{_KEEP}{count(mask_below)}"
    return any(mark in str(text) for text in [*display.columns, *display.to_numpy().ravel()])


def characteristics_display(
    columns: Sequence[Column],
    *,
    labels: Mapping[str, str] | None = None,
    mask_below: float = 0,
    smd: bool = False,
    tests: bool = False,
) -> pd.DataFrame:
    """n (%) of text and flags, median (quartiles) of numbers, how many have no value; `smd` and p from the rows of the first column.

    Counts from 1 to below `mask_below` are shown as '< 10', numbers known of fewer as a dash.
    """
    cells = [_indexed(column.rows) for column in columns]
    made: list[list[str]] = []
    for variable, kind in _variables(columns).items():
        label = (labels or {}).get(variable, covariate_label(variable))
        levels = _levels(cells, variable)
        extra = _extra(cells[0], variable, smd, tests)
        if kind == "text":
            made.append([label, *[""] * len(columns), *extra])
            for level in levels:
                made.append(
                    [f"{INDENT}{level or ABSENT}", *_line(columns, cells, (variable, level), mask_below), *[""] * len(extra)]
                )  # fmt: skip
            made = made[:-1] if levels == [""] else made  # nobody has a value
        else:
            name = f"{label}, {OF_NUMBERS}" if kind == "number" else label
            made.append([name, *_line(columns, cells, (variable, levels[0]), mask_below), *extra])
        absent = _absent(columns, cells, variable, mask_below)
        made += [[f"{INDENT}{ABSENT}", *absent, *[""] * len(extra)]] if absent else []
    more = [*(["SMD (by chance)"] if smd else []), *(["p"] if tests else [])]
    return pd.DataFrame(made, columns=["Characteristic", *(c.header for c in columns), *more], dtype=object)


def spread_display(
    everybody: Sequence[Column], groups: Mapping[str, pd.DataFrame], *, labels: Mapping[str, str] | None = None, mask_below: float = 0,
    tests: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """Where there are too many groups for a column each: everybody, and the groups with the least and the most of each row."""
    base = characteristics_display(everybody, labels=labels, mask_below=mask_below, smd=True, tests=tests)
    keys = _keys(everybody)
    cells = {name: _indexed(rows) for name, rows in groups.items()}
    ends = [_ends(cells, key, mask_below) if key is not None else ("", "") for key in keys]
    base.insert(1 + len(everybody), "Lowest", [low for low, _ in ends])
    base.insert(2 + len(everybody), "Highest", [high for _, high in ends])
    return base


def _indexed(rows: pd.DataFrame) -> Rows:
    return {(str(r["variable"]), str(r["level"])): r for r in rows.to_dict("records")}


def _variables(columns: Sequence[Column]) -> dict[str, str]:
    """Each variable and its kind, in the order of the columns' rows."""
    found: dict[str, str] = {}
    for column in columns:
        for variable, kind in zip(column.rows["variable"], column.rows["kind"]):
            found.setdefault(str(variable), str(kind))
    return found


def _levels(cells: Sequence[Rows], variable: str) -> list[str]:
    found = dict.fromkeys(level for rows in cells for name, level in rows if name == variable)
    return sorted(found, key=lambda level: level == _LAST)  # stable: as they come, the rest last


def _line(columns: Sequence[Column], cells: Sequence[Rows], key: tuple[str, str], mask: float) -> list[str]:
    return [_cell(rows.get(key), column.days, mask) for column, rows in zip(columns, cells)]


def _cell(row: dict[str, Any] | None, days: bool, mask: float) -> str:
    if row is None:
        return MISSING
    known = row["total"] - row["missing"]
    if row["kind"] == "number":
        return MISSING if not known or (known < mask and not days) else _quartiles(row)
    if not known:
        return MISSING
    if days:
        return percent(row["share"])
    return f"<{_KEEP}{count(mask)}" if 0 < row["n"] < mask else f"{count(row['n'])} ({percent(row['share'])})"


def _quartiles(row: dict[str, Any]) -> str:
    values = [row["median"], row["lower_quartile"], row["upper_quartile"]]
    places = _places(values)
    median, low, high = (decimal(v, places) for v in values)
    between = " to " if min(values[1:]) < 0 else "–"
    return f"{median} ({low}{between}{high})"


def _places(values: Sequence[float]) -> int:
    """Decimals: none for whole numbers, fewer the larger the largest."""
    known = np.abs([v for v in values if np.isfinite(v)])
    if not known.size or bool((known == np.floor(known)).all()):
        return 0
    return 1 if known.max() >= 10 else 2 if known.max() >= 1 else 3


def _absent(columns: Sequence[Column], cells: Sequence[Rows], variable: str, mask: float) -> list[str] | None:
    """How many have no value, of days their share; None where everybody has one in every column."""
    rows = [next((r for (name, _), r in mine.items() if name == variable), None) for mine in cells]
    if not any(r is not None and r["missing"] > 0 for r in rows):
        return None
    out = []
    for column, r in zip(columns, rows):
        if r is None or not r["total"]:
            out.append(MISSING)
        elif column.days:
            out.append(percent(r["missing"] / r["total"]))
        else:
            out.append(f"<{_KEEP}{count(mask)}" if 0 < r["missing"] < mask else count(r["missing"]))
    return out


def _extra(rows: Rows, variable: str, smd: bool, tests: bool) -> list[str]:
    row = next((r for (name, _), r in rows.items() if name == variable), None)
    values = [MISSING, MISSING]
    if row is not None:
        chance = "" if is_missing(row["smd_by_chance"]) else f" ({decimal(row['smd_by_chance'], 2)})"
        values = [
            MISSING if is_missing(row["smd"]) else decimal(row["smd"], 2) + chance,
            p_value(row["p"]) if tests else "",
        ]
    return [*(values[:1] if smd else []), *(values[1:] if tests else [])]


# --- many groups -------------------------------------------------------------------------------------------------------


def _keys(columns: Sequence[Column]) -> list[tuple[str, str] | None]:
    """The (variable, level) of each line that `characteristics_display` makes of the columns; None for headings and Missing."""
    cells, keys = [_indexed(column.rows) for column in columns], list[tuple[str, str] | None]()
    for variable, kind in _variables(columns).items():
        levels = _levels(cells, variable)
        if kind == "text":
            keys += [None, *((variable, level) for level in levels if level)]
        else:
            keys.append((variable, levels[0]))
        keys += [None] if _absent(columns, cells, variable, 0) else []
    return keys


def _ends(cells: Mapping[str, Rows], key: tuple[str, str], mask: float) -> tuple[str, str]:
    """The lowest and the highest share, or median, with the group that has it; groups of few known values do not count."""
    known = []
    for name, rows in cells.items():
        row = rows.get(key)
        if row is None or row["total"] - row["missing"] < max(1.0, mask):
            continue
        number = row["kind"] == "number"
        value = row["median"] if number else row["share"]
        known.append((value, name, decimal(value, _places([value])) if number else percent(value)))
    if not known:
        return MISSING, MISSING
    low, high = min(known, key=lambda k: k[0]), max(known, key=lambda k: k[0])
    return tuple(f"{text} ({name})" for _, name, text in (low, high))  # type: ignore[return-value]
