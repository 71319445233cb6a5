"""What a Cox fit works on: risk sets, inner columns, strata, units; made once, shared by fits and diagnostics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survival.errors import ArgumentError
from survival.estimate.cox_options import Options, penalty_of
from survival.estimate.design import Coding, design, formula_variables
from survival.estimate.estimability import refuse_no_events
from survival.estimate.parallel import ahead
from survival.estimate.risk_sets import Floats, Ints, RiskSets, episode_risk_sets, flow_risk_sets, sums_by
from survival.estimate.standardise import Standardised, by_column, standardised
from survival.estimate.tenure_effects import TenureCoding, by_tenure, cell_flows, cut_episodes
from survival.flows.columns import column_names, complete, numbers, read_columns
from survival.flows.frames import EpisodeArrays, arrays_of, pattern_codes
from survival.flows.table import Flows


@dataclass(frozen=True, eq=False)
class CoxData:
    """n design rows (episodes, or patterns of flows) and p inner columns x = (user's - centre) / scale.

    low, high (p,) the user's smallest and largest values; two_valued (p,) whether there is none between;
    stratum (n,) codes or None; strata the labels of the S strata in sorted order and stratum_values their columns;
    episodes or flows are what the rows came from; unit (n,) codes and unit_labels (n,) of the clusters of the robust variance.
    rows is how many rows the user gave, weights not counted (the n of lifelines' penalty); penalty (p,) each column's.
    offset (n,) minus offset_centre is added to the linear predictor; None without.
    """

    sets: RiskSets
    x: Floats
    centre: Floats
    scale: Floats
    low: Floats
    high: Floats
    two_valued: NDArray[np.bool_]
    names: tuple[str, ...]
    coding: Coding | TenureCoding
    stratum: Ints | None
    strata: tuple[str, ...]
    stratum_values: pd.DataFrame
    unit: Ints | None
    unit_labels: Any
    episodes: EpisodeArrays | None
    flows: Flows | None
    customers: int
    rows: float
    person_time: float
    penalty: Floats
    offset: Floats | None = None
    offset_centre: float = 0.0

    def columns(self, keep: Sequence[int]) -> CoxData:
        """The same data with only these inner columns."""
        index = list(keep)
        if index == list(range(len(self.names))):
            return self
        return replace(
            self,
            x=np.ascontiguousarray(self.x[:, index] if len(index) > 1 else self.x[:, index[0] : index[0] + 1]),
            centre=self.centre[index],
            scale=self.scale[index],
            low=self.low[index],
            high=self.high[index],
            two_valued=self.two_valued[index],
            names=tuple(self.names[j] for j in index),
            penalty=self.penalty[index],
        )

    def range(self) -> tuple[Floats, Floats]:
        """(p,), (p,): the smallest and the largest values of x."""
        return (self.low - self.centre) / self.scale, (self.high - self.centre) / self.scale

    def by_column(self) -> CoxData:
        """The same data with x in column order, for models of few of the columns."""
        return replace(self, x=by_column(self.x))

    def at_risk(self) -> Floats:
        """(K,) customers' rows at risk at each slot's time, over all strata; of flows, their weight."""
        time = np.nan_to_num(self.sets.slot_time, nan=-np.inf)
        if self.episodes is not None:
            there = self.episodes.weight > 0
            entered = np.searchsorted(np.sort(self.episodes.start[there]), time, side="left")
            left = np.searchsorted(np.sort(self.episodes.stop[there]), time, side="left")
            return (entered - left).astype(np.float64)
        assert self.flows is not None
        order = np.argsort(self.flows.time, kind="stable")
        net = np.concatenate(([0.0], np.cumsum((self.flows.entered - self.flows.exited)[order])))
        return net[np.searchsorted(self.flows.time[order], time, side="left")]


def data_from_frame(frame: Any, options: Options) -> CoxData:
    """Read, check and prepare a frame of episodes."""
    formula = formula_variables(options.formula)
    who = options.cluster or options.customer
    wanted = [options.stop, options.event, options.start, options.weights, options.customer, options.spell]
    try:
        table = _table(frame, [*wanted, *formula, *options.strata, who, options.offset])
    except ArgumentError as error:
        raise _in_formula(error, formula) from error
    read, wrong = ahead(lambda: _read(table, options), len(table)), None
    try:
        columns, plain = design(table, options.formula)
        made = None if options.time_varying else standardised(columns, np.ones(1), float(len(table)))
    except Exception as error:
        wrong = error
    episodes, stratum, values, sets = read()  # what is wrong with the episodes is said first
    if wrong is not None:
        raise wrong
    unit = episodes.customer
    if options.cluster:
        unit = pd.factorize(complete(table, options.cluster, "cluster"))[0].astype(np.intp)
    labels = table[who].to_numpy() if who else None
    coding: Coding | TenureCoding = plain
    offset = None if options.offset is None else numbers(table, options.offset, "offset")
    rows, person_time = float(len(episodes)), episodes.person_days
    if made is None:
        coding = by_tenure(plain, options.time_varying)
        row, episodes = cut_episodes(episodes, sets, coding)
        columns, unit = coding.columns([column[row] for column in columns], episodes.stop), unit[row]
        stratum, labels = _rows(stratum, row), _rows(labels, row)
        offset = _rows(offset, row)
        sets = _risk_sets(episodes, stratum, len(values), options)
        made = standardised(columns, np.ones(1), float(len(episodes)))
    return _prepared(
        sets, made, coding, stratum, values, unit, labels, episodes, None,
        episodes.customers, rows, person_time, options, offset,
    )  # fmt: skip


def _read(table: pd.DataFrame, options: Options) -> tuple[EpisodeArrays, Ints | None, pd.DataFrame, RiskSets]:
    """Episodes, strata and risk sets."""
    episodes = arrays_of(
        table, options.stop, options.event, options.start, weights=options.weights,
        customer=options.customer, spell=options.spell,
    )  # fmt: skip
    stratum, values = strata_codes(table, options.strata)
    sets = _risk_sets(episodes, stratum, len(values), options)
    refuse_no_events(sets)
    return episodes, stratum, values, sets


def _rows(held: Any, row: Ints) -> Any:
    return None if held is None else held[row]


def _risk_sets(episodes: EpisodeArrays, stratum: Ints | None, strata: int, options: Options) -> RiskSets:
    efron = options.ties == "efron"
    held = (episodes.start, episodes.stop, episodes.event, episodes.weight)
    return episode_risk_sets(*held, stratum, strata, efron=efron)


def _table(frame: Any, names: Sequence[str | None]) -> pd.DataFrame:
    """The named columns as pandas, rows numbered from 0; those of a pandas frame are not copied."""
    if "start" in column_names(frame):
        names = [*names, "start"]  # episode_arrays warns when it is there and not used
    if not isinstance(frame, pd.DataFrame):
        return read_columns(frame, names)
    read_columns(frame.iloc[:0], names)  # refuses what is not there
    held = {name: frame[name] for name in names if name is not None}
    # Of plain columns the array itself: pandas looks at every value of an extension array, even one that wraps NumPy's.
    plain = {
        name: column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array for name, column in held.items()
    }
    return pd.DataFrame(plain, copy=False)


def data_from_flows(flows: Flows, options: Options) -> CoxData:
    """Prepare flows; the covariates and strata are columns of their patterns."""
    stratum, values = strata_codes(flows.patterns, options.strata)
    sets = flow_risk_sets(flows, stratum, len(values), efron=options.ties == "efron")
    refuse_no_events(sets)
    columns, plain = design(flows.patterns, options.formula)
    coding: Coding | TenureCoding = plain
    offset = None if options.offset is None else numbers(flows.patterns, options.offset, "offset")
    rows = sums_by(flows.pattern, flows.entered, len(flows.patterns))
    n = float(rows.sum())
    if options.time_varying:
        coding = by_tenure(plain, options.time_varying)
        row, tenure, rows, cells = cell_flows(flows, sets)
        columns = coding.columns([column[row] for column in columns], tenure)
        stratum, offset = _rows(stratum, row), _rows(offset, row)
        cut = flow_risk_sets(cells, stratum, len(values), efron=options.ties == "efron")
        sets = replace(cut, first_entry=sets.first_entry, last_exit=sets.last_exit)
    made = standardised(columns, rows, float(columns[0].size) if rows.size == 1 else float(rows.sum()))
    return _prepared(
        sets, made, coding, stratum, values, None, None, None, flows,
        flows.customers, n, flows.person_days, options, offset,
    )  # fmt: skip


def _in_formula(error: ArgumentError, names: Sequence[str]) -> ArgumentError:
    """Says that it was the formula that named the column, when it was."""
    if any(f"'{name}' is not in the frame" in str(error) for name in names):
        return ArgumentError(f"formula: {error}")
    return error


def strata_codes(frame: pd.DataFrame, strata: Sequence[str]) -> tuple[Ints | None, pd.DataFrame]:
    """Codes (n,) of the distinct combinations of the strata columns, in sorted order, and these; None without."""
    if not strata:
        return None, pd.DataFrame(index=range(1))
    missing = [name for name in strata if name not in frame.columns]
    if missing:
        there = ", ".join(map(str, frame.columns))
        raise ArgumentError(f"strata '{missing[0]}' is no column; there are: {there}")
    return pattern_codes(frame, strata, len(frame), "strata")


def _prepared(
    sets: RiskSets, made: Standardised, coding: Coding | TenureCoding, stratum: Ints | None,
    values: pd.DataFrame, unit: Ints | None, unit_labels: Any, episodes: EpisodeArrays | None, flows: Flows | None,
    customers: int, n: float, person_time: float, options: Options, offset: Floats | None,
) -> CoxData:  # fmt: skip
    """All of it, with the penalty of each column and the offset centred."""
    penalty = penalty_of(options, coding.names, coding.terms)
    middle = 0.0 if offset is None else float((offset.min() + offset.max()) / 2)
    offset = None if offset is None else offset - middle
    labels = tuple(", ".join(map(str, row)) for row in values.itertuples(index=False, name=None))
    return CoxData(
        sets, made.x, made.centre, made.scale, made.low, made.high, made.two_valued, coding.names, coding,
        stratum, labels if len(values.columns) else ("all",),
        values, unit, unit_labels, episodes, flows, customers, n, person_time, penalty, offset, middle,
    )  # fmt: skip
