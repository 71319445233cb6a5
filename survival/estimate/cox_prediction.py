"""Survival of new rows or covariate paths under a Cox fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from survival.errors import ArgumentError
from survival.estimate.baseline import Paths, cumulative_hazard, survival_band
from survival.estimate.cox_options import finite_numbers, shown
from survival.estimate.design import Coding, formula_variables
from survival.estimate.risk_sets import Floats, Ints
from survival.estimate.tenure_effects import TenureCoding, cut, inner_points
from survival.flows.columns import column_names, complete, numbers, read_columns, refuse

if TYPE_CHECKING:
    from survival.estimate.cox_fit import CoxFit


def predict_survival(
    fit: CoxFit, frame: Any, tenures: Sequence[float] | None, given: float | str | None
) -> pd.DataFrame:
    """See `CoxFit.predict_survival`."""
    there = column_names(frame)
    options = fit.options
    path_columns = [options.start or "", options.stop]
    is_path = options.start is not None and all(name in there for name in path_columns)
    who = options.customer if options.customer in there else None
    wanted = [*formula_variables(options.formula), *options.strata, who, options.offset]
    wanted += [given if isinstance(given, str) else None, *(path_columns if is_path else [])]
    table = read_columns(frame, wanted)
    if not len(table):
        raise ArgumentError("predict_survival: the frame has no rows")
    stratum = _stratum(fit, table)
    columns = _base_coding(fit).encode(table)
    offset = numbers(table, options.offset, "offset") - fit.offset_centre if options.offset else np.zeros(len(table))
    subject, labels = _subjects(table, who, is_path)
    begin, end = (
        (numbers(table, path_columns[0], "start"), numbers(table, path_columns[1], "stop"))
        if is_path
        else (fit.base.first_entry[stratum], np.full(len(table), np.inf))
    )
    order = np.lexsort((begin, subject))
    paths = Paths(subject[order], begin[order], end[order], stratum[order], columns[order], offset[order])
    _check_paths(paths, labels)
    paths = _inner(fit, paths)
    first = np.searchsorted(paths.subject, np.arange(len(labels)))
    # Before the first entry of the stratum nobody was seen: the curve starts there.
    origin = np.maximum(paths.begin[first], fit.base.first_entry[paths.stratum[first]])
    since = _given(given, table, order[np.searchsorted(subject[order], np.arange(len(labels)))], origin)
    times = _tenures(fit, tenures)
    hazard, error, log_unit = cumulative_hazard(fit.base, fit.inner[0], fit.inner[1], paths, times, since)
    survival, se, lower, upper = survival_band(hazard, error, options.level, log_unit)
    return pd.DataFrame(
        {
            "customer": np.repeat(np.asarray(labels), times.size),
            "tenure": np.tile(times, len(labels)),
            "survival": survival.ravel(),
            "se": se.ravel(),
            "ci_lower": lower.ravel(),
            "ci_upper": upper.ravel(),
        }
    )


def _base_coding(fit: CoxFit) -> Coding:
    return fit.coding.base if isinstance(fit.coding, TenureCoding) else fit.coding


def _inner(fit: CoxFit, paths: Paths) -> Paths:
    """The paths with the inner columns of the fit for the formula's, cut where these change with tenure."""
    x = paths.x
    if isinstance(fit.coding, TenureCoding):
        grid = fit.coding.grid(fit.base.time)
        is_last = np.append(paths.subject[1:] != paths.subject[:-1], True)
        until = np.where(is_last, np.inf, paths.end)
        first, last = inner_points(grid, paths.begin, until)
        row, begin, end, _, _ = cut(grid, first, last, paths.begin, until)
        known = end if fit.coding.cuts is not None else np.clip(end, grid[0], grid[-1])  # later nothing happens
        x = np.column_stack(fit.coding.columns([column[row] for column in x.T], known))
        paths = Paths(paths.subject[row], begin, end, paths.stratum[row], x, paths.offset[row])
    values = x[:, [fit.columns[j] for j in fit.estimated]]
    return replace(paths, x=(values - fit.inner[2]) / fit.inner[3])


def _stratum(fit: CoxFit, table: pd.DataFrame) -> Ints:
    """Codes of the rows' strata; ArgumentError for one that was not fitted."""
    if not fit.options.strata:
        return np.zeros(len(table), np.intp)
    known = {row: code for code, row in enumerate(fit.stratum_values.itertuples(index=False, name=None))}
    rows = list(table[list(fit.options.strata)].itertuples(index=False, name=None))
    strange = sorted({str(row) for row in rows if row not in known})
    if strange:
        raise ArgumentError(f"strata that were not fitted: {', '.join(strange)}; fitted: {'; '.join(fit.strata)}")
    return np.array([known[row] for row in rows], np.intp)


def _subjects(table: pd.DataFrame, who: str | None, is_path: bool) -> tuple[Ints, Any]:
    """Code of each row's subject, and the subjects' labels: a path's customer, else the row's number."""
    if not is_path:
        each = np.arange(len(table))
        return each, table[who].to_numpy() if who else each
    if who is None:
        return np.zeros(len(table), np.intp), [0]
    codes, labels = pd.factorize(complete(table, who, "customer"))
    return codes.astype(np.intp), labels


def _check_paths(paths: Paths, labels: Any) -> None:
    shown = {"start": paths.begin, "stop": paths.end}
    who = pd.Series(np.asarray(labels)[paths.subject])
    refuse(~(paths.begin < paths.end), "a piece of a path must start before it stops", shown, who)
    overlap = np.zeros(paths.begin.size, bool)
    overlap[1:] = (paths.subject[1:] == paths.subject[:-1]) & (paths.begin[1:] < paths.end[:-1])
    refuse(overlap, "pieces of one path overlap", shown, who)


def _given(given: float | str | None, table: pd.DataFrame, rows: Ints, origin: Floats) -> Floats:
    if given is None:
        return origin
    number = None if isinstance(given, str) else finite_numbers(given)
    if number is not None and number.size == 1:
        values = np.full(origin.size, number.item())
    elif isinstance(given, str):
        values = numbers(table, given, "given_tenure")[rows]
    else:
        raise ArgumentError(
            f"given_tenure must be a number of days, or the name of a column of them; got {shown(given)}"
        )
    if (values < origin).any():
        low = float(origin.max())
        raise ArgumentError(
            f"given_tenure is before the path's start or the first entry of the data ({low:g}): nothing is known there"
        )
    return values


def _tenures(fit: CoxFit, tenures: Sequence[float] | None) -> Floats:
    if tenures is None:
        return np.unique(fit.base.time)
    times = finite_numbers(tenures)
    if times is None or times.ndim != 1 or not times.size:
        raise ArgumentError(f"tenures must be a list of days, such as [30, 90, 365]; got {shown(tenures)}")
    return times
