"""Who the customers are: a "Table 1" of characteristics, by group and overall, as gtsummary's `tbl_summary` has it.

Percentages are of the customers with a known value; quartiles are R's `quantile(type = 2)`, which gtsummary 2 documents. Groups
are compared by standardised mean differences, which estimate the same whatever the number of customers; how large they get by
chance alone, in small groups and among many, is said beside them. Tests are there for who needs them: in a large sample they are
significant for differences of no size, in a small one they are not for large ones, and neither says what confounds. STROBE
advises against them in descriptive tables (Vandenbroucke et al. 2007, item 14a).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survival.errors import ArgumentError
from survival.estimate.group_differences import (
    by_chance,
    largest,
    level_smd,
    level_test_of_counts,
    number_smd,
    rank_test_of_counts,
)
from survival.flows.columns import column_names, complete, numbers, read_columns

Kind = Literal["flag", "text", "number"]
Floats = NDArray[np.float64]

COLUMNS = [
    "variable", "kind", "level", "group", "n", "total", "missing", "share", "mean", "sd", "median", "lower_quartile",
    "upper_quartile", "minimum", "maximum", "smd", "smd_groups", "smd_by_chance",
]  # fmt: skip
TEST_COLUMNS = ["test", "statistic", "p"]
YES, NO, OTHERS = "yes", "no", "(all others)"
EVERYBODY = "all"
_FUZZ = 4 * np.finfo(np.float64).eps  # R's quantile: shares of a count that differ by rounding are equal


@dataclass(frozen=True, eq=False)
class Tally:
    """How many customers have each value of one variable, in each group.

    value  (m,) numbers, text or flags; None or NaN: missing
    group  (m,) int, 0..G-1
    count  (m,) float >= 0, how many customers (or of their days) the row stands for
    """

    value: pd.Series
    group: NDArray[np.intp]
    count: Floats

    def kind(self) -> Kind:
        """flag: true and false, 0 and 1, or yes and no as text; other text is text, other numbers are numbers."""
        known = self.value[self.value.notna()]
        if pd.api.types.is_bool_dtype(self.value.dtype):
            return "flag"
        if pd.api.types.is_numeric_dtype(self.value.dtype):
            return "flag" if len(known) and bool(known.isin([0, 1]).all()) else "number"
        words = {str(v).casefold() for v in known.unique()}
        return "flag" if words in ({"yes", "no"}, {"true", "false"}) else "text"


def characteristics(
    frame: Any,
    variables: Sequence[str] | None = None,
    *,
    by: str | None = None,
    order: Sequence[str] | None = None,
    weight: str | None = None,
    kinds: Mapping[str, Kind] | None = None,
    tests: bool = False,
    most_levels: int = 20,
    smallest: int = 2,
) -> pd.DataFrame:
    """Table 1 of a frame with one row a customer: a row a variable, level and group, the group `all` last.

    variables    columns to describe; default: all others
    by, order    column of groups, and their order (default: sorted); a customer without a group is an error
    weight       column >= 0: how many customers, or customer days, a row stands for
    kinds        variable -> flag, text or number, where `Tally.kind` would be wrong (a count that happens to be 0 and 1)
    tests        add test, statistic and p (Wilcoxon or Kruskal-Wallis; chi-squared or Fisher), not with weights
    most_levels  of text, by count; the rest is one level `(all others)`. Levels are sorted, a categorical's as it has them
    smallest     known values that a group needs to be compared with another (2 at least)

    Columns: n (at the level; of a number: known), total, missing, share (n / known), mean, sd, median, lower_quartile,
    upper_quartile, minimum, maximum (of numbers), smd and smd_groups: the largest standardised mean difference between two groups,
    without sign, and which two; smd_by_chance: what it would stay below in 95 of 100 samples if the groups did not differ, where
    rows are customers. Levels of a flag are yes and no (text keeps its words), yes first. Raises ArgumentError for
    columns that are not there, StructureError for weights that are no numbers.
    """
    if tests and weight is not None:
        raise ArgumentError("characteristics: tests=True counts customers; leave weight out, or tests")
    given = [name for name in (by, weight) if name is not None]
    names = [n for n in column_names(frame) if n not in given] if variables is None else list(variables)
    table = read_columns(frame, [*names, *given])
    count = np.ones(len(table)) if weight is None else numbers(table, weight, "weight")
    if (count < 0).any():
        raise ArgumentError(f"characteristics: weight column '{weight}' has negative values")
    group, groups = _groups(table, by, order)
    parts = [
        summary(
            name, Tally(table[name], group, count), groups, kind=(kinds or {}).get(name), tests=tests,
            most_levels=most_levels, smallest=smallest,
        )
        for name in names
    ]  # fmt: skip
    columns = [*COLUMNS, *(TEST_COLUMNS if tests else [])]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _groups(table: pd.DataFrame, by: str | None, order: Sequence[str] | None) -> tuple[NDArray[np.intp], list[str]]:
    if by is None:
        return np.zeros(len(table), np.intp), []
    code, found = pd.factorize(complete(table, by, "group"))
    names = [str(name) for name in found]
    groups = sorted(set(names)) if order is None else [str(name) for name in order]
    strange = sorted(set(names) - set(groups))
    if strange:
        raise ArgumentError(f"characteristics: order lacks {', '.join(map(repr, strange))} of column '{by}'")
    if EVERYBODY in groups:
        raise ArgumentError(
            f"characteristics: a group of column '{by}' is called '{EVERYBODY}', as all together; rename it"
        )
    return pd.Index(groups).get_indexer(pd.Index(names))[code].astype(np.intp), groups


def summary(
    name: str,
    tally: Tally,
    groups: Sequence[str],
    *,
    kind: Kind | None = None,
    everybody: str = EVERYBODY,
    tests: bool = False,
    most_levels: int = 20,
    smallest: int = 2,
) -> pd.DataFrame:
    """The rows of one variable; `groups` names the codes of the tally (none: all together only), `everybody` them together."""
    kind = kind or tally.kind()
    known = tally.value.notna().to_numpy(bool)
    width = max(1, len(groups))
    total = np.bincount(tally.group, weights=tally.count, minlength=width)
    missing = np.bincount(tally.group[~known], weights=tally.count[~known], minlength=width)
    mine = Tally(tally.value[known], tally.group[known], tally.count[known])
    rows, distances, counts = (
        _numbers(mine, width, tests) if kind == "number" else _levels(mine, width, most_levels, kind)
    )
    used = np.asarray(total - missing, dtype=np.float64)
    few = used < max(2, smallest)
    distances[:, few] = distances[few] = np.nan
    smd, pair = largest(distances)
    degrees = 1 if kind == "number" else rows.loc[rows["n"] > 0, "level"].nunique() - 1
    frame = rows.assign(variable=name, kind=kind, smd=smd, smd_by_chance=by_chance(used[~few], degrees))
    frame["smd_groups"] = None if pair is None else f"{groups[pair[0]]}, {groups[pair[1]]}"
    code = frame["code"].to_numpy(np.intp)
    frame["total"] = np.append(total, total.sum())[code]
    frame["missing"] = np.append(missing, missing.sum())[code]
    with np.errstate(invalid="ignore", divide="ignore"):
        frame["share"] = (frame["n"] / (frame["total"] - frame["missing"])) if kind != "number" else np.nan
    frame["group"] = np.array([*groups, everybody], dtype=object)[code - (0 if groups else 1)]
    if tests:
        done = (rank_test_of_counts if kind == "number" else level_test_of_counts)(counts)
        frame = frame.assign(**dict(zip(TEST_COLUMNS, done if groups else (None, np.nan, np.nan))))
    if not groups:
        frame = frame[frame["code"] == 1]
    return frame.reindex(columns=[*COLUMNS, *(TEST_COLUMNS if tests else [])]).reset_index(drop=True)


# --- text and flags ----------------------------------------------------------------------------------------------------


def _levels(tally: Tally, width: int, most: int, kind: Kind) -> tuple[pd.DataFrame, Floats, Floats]:
    """Rows of every level and group; distances between groups (G, G); counts (k, G)."""
    code, levels = _coded(tally, most, kind)
    counts = np.zeros((len(levels), width))
    np.add.at(counts, (code, tally.group), tally.count)
    both = np.column_stack([counts, counts.sum(axis=1)])
    rows = pd.DataFrame(
        {
            "level": np.repeat(np.array(levels, dtype=object), width + 1),
            "code": np.tile(np.arange(width + 1), len(levels)),
            "n": both.ravel(),
        }
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = counts / counts.sum(axis=0)
    distances = np.full((width, width), np.nan)
    there = np.flatnonzero(counts.sum(axis=0) > 0)
    for i, a in enumerate(there):
        for b in there[i + 1 :]:
            distances[a, b] = level_smd(shares[:, a], shares[:, b])
    return rows, distances, counts


def _coded(tally: Tally, most: int, kind: Kind) -> tuple[NDArray[np.intp], list[str]]:
    """The level of each row, and the levels: yes before no, text as sorted with what is rare last."""
    if kind == "flag":
        return _flag(tally.value)
    code, levels = _sorted_levels(tally.value)
    if len(levels) <= most:
        return code, levels or [""]  # nobody has a value: a row says so
    sizes = np.bincount(code, weights=tally.count, minlength=len(levels))
    kept = np.sort(np.argsort(-sizes, kind="stable")[: most - 1])
    place = np.full(len(levels), len(kept), np.intp)
    place[kept] = np.arange(len(kept))
    return place[code], [*(levels[i] for i in kept), OTHERS]


def _sorted_levels(values: pd.Series) -> tuple[NDArray[np.intp], list[str]]:
    """Codes and levels as text: categories in their order, numbers by value and without .0, others as sorted."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        used = values.cat.remove_unused_categories().cat
        return used.codes.to_numpy(np.intp), [str(level) for level in used.categories]
    code, found = pd.factorize(values)
    text = [f"{v:.15g}" if isinstance(v, float) else str(v) for v in found.tolist()]
    by_value = pd.api.types.is_numeric_dtype(values.dtype)
    levels = list(dict.fromkeys(text[i] for i in np.argsort(found))) if by_value else sorted(set(text))
    place = {level: i for i, level in enumerate(levels)}
    return np.array([place[t] for t in text], np.intp)[code], levels


def _flag(values: pd.Series) -> tuple[NDArray[np.intp], list[str]]:
    if pd.api.types.is_bool_dtype(values.dtype) or pd.api.types.is_numeric_dtype(values.dtype):
        return np.where(values.to_numpy(np.float64) == 1, 0, 1).astype(np.intp), [YES, NO]
    code, found = pd.factorize(values)
    spelt = {str(v).casefold(): str(v) for v in found}
    words = ("true", "false") if {"true", "false"} & set(spelt) else (YES, NO)
    second = np.array([str(v).casefold() != words[0] for v in found], np.intp)
    return second[code], [spelt.get(word, word) for word in words]


# --- numbers -----------------------------------------------------------------------------------------------------------


def _numbers(tally: Tally, width: int, tests: bool) -> tuple[pd.DataFrame, Floats, Floats]:
    """One row a group; distances between groups (G, G); with `tests` counts (U, G) by distinct value."""
    order = np.argsort(tally.value.to_numpy(np.float64), kind="stable")
    value, group, count = tally.value.to_numpy(np.float64)[order], tally.group[order], tally.count[order]
    rows = []
    for g in range(width):
        mine = group == g
        rows.append(_described(value[mine], count[mine]))
    rows.append(_described(value, count) if width > 1 else rows[0])
    frame = pd.DataFrame(rows).assign(level="", code=np.arange(width + 1))
    mean, sd = frame["mean"].to_numpy(float), frame["sd"].to_numpy(float)
    distances = np.full((width, width), np.nan)
    for a in range(width):
        for b in range(a + 1, width):
            distances[a, b] = number_smd(mean[a], sd[a], mean[b], sd[b])
    if not tests:
        return frame, distances, np.zeros((0, width))
    distinct, place = np.unique(value, return_inverse=True)
    counts = np.zeros((distinct.size, width))
    np.add.at(counts, (place, group), count)
    return frame, distances, counts


def _described(value: Floats, count: Floats) -> dict[str, float]:
    """n, mean, sd, quartiles and range of values in ascending order, each standing for `count` customers."""
    there = count > 0
    value, count = value[there], count[there]
    n = float(count.sum())
    names = ("mean", "sd", "lower_quartile", "median", "upper_quartile", "minimum", "maximum")
    if not n:
        return {"n": 0.0, **dict.fromkeys(names, float("nan"))}
    mean = float(count @ value / n)
    sd = float("nan")
    if n > 1 and np.isfinite(mean):
        sd = float(np.sqrt(count @ np.square(value - mean) / (n - 1)))
    return {"n": n, **dict(zip(names, (mean, sd, *quartiles(value, count), float(value[0]), float(value[-1]))))}


def quartiles(value: Floats, count: Floats) -> tuple[float, float, float]:
    """The three quartiles of ascending values (m,) that stand for counts (m,) > 0: R's type 2, the inverse of the distribution
    function, averaged where it is flat; with counts it is that of the values repeated."""
    so_far = np.cumsum(count)
    found = []
    for quarter in (1, 2, 3):
        wanted = so_far[-1] * quarter / 4
        j = int(np.searchsorted(so_far, wanted * (1 - _FUZZ)))
        flat = so_far[j] <= wanted * (1 + _FUZZ) and j + 1 < value.size
        found.append(float((value[j] + value[j + 1]) / 2) if flat else float(value[j]))
    return found[0], found[1], found[2]
