"""lifelines' CoxTimeVaryingFitter on this package's sums over risk sets: change one import, keep the code.

The class is lifelines' own, and inherits what it says and shows: summary, print_summary, plot, predictions, the words and
classes of its warnings and errors. Replaced is what it computes with: no loop over event times is left. Where its numbers
differ from lifelines', and why, is in docs/lifelines.md.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

import lifelines
import numpy as np
import pandas as pd
from lifelines import utils
from numpy.typing import NDArray

from survival.estimate.cox_data import standardised
from survival.estimate.partial_likelihood import Likelihood, evaluate, information, sum_over_events
from survival.estimate.residuals import robust_meat
from survival.estimate.risk_sets import Floats, RiskSets, episode_risk_sets

_LOW_VARIANCE = 1e-4  # lifelines warns below it


class CoxTimeVaryingFitter(lifelines.CoxTimeVaryingFitter):
    """Cox regression with time-varying covariates: lifelines' class of this name, on this package's engine.

    Constructor, attributes and methods are lifelines'. What lifelines announces and does not have: fit(robust=True), the
    sandwich variance by id_col (by row without). What it gets wrong and this does not: docs/lifelines.md.
    """

    strata: Any

    def fit(
        self,
        df: pd.DataFrame,
        event_col: str,
        start_col: str = "start",
        stop_col: str = "stop",
        weights_col: str | None = None,
        id_col: str | None = None,
        show_progress: bool = False,
        robust: bool = False,
        strata: Any = None,
        initial_point: Any = None,
        formula: str | None = None,
        fit_options: Mapping[str, Any] | None = None,
    ) -> CoxTimeVaryingFitter:
        """Fit to a frame with a row an episode (start, stop]; ties by Efron's method. Arguments as lifelines'.

        initial_point: (p,) on the scale of the standardised covariates. Raises what lifelines raises: KeyError for a
        missing column, ValueError for malformed intervals and weights, TypeError for missing or infinite values,
        lifelines.exceptions.ConvergenceError; warns with lifelines.exceptions.ConvergenceWarning.
        """
        self.strata = utils._to_list_or_singleton(utils.coalesce(strata, self.strata))
        self.robust, self.formula, self.id_col, self.weights_col = robust, formula, id_col, weights_col
        self.event_col, self.start_col, self.stop_col = event_col, start_col, stop_col
        self._time_fit_was_called = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S") + " UTC"
        rows = _rows(df, event_col, start_col, stop_col, weights_col)
        by = [] if self.strata is None else utils._to_list(self.strata)
        who = [] if id_col is None else [id_col]
        for name in [*by, *(who if robust else ())]:
            if df[name].isna().any():  # lifelines leaves such strata out of the fit, and says nothing
                raise TypeError(f"NaNs were detected in column '{name}'.")
        shown = _under_keys(rows, df, [*by, *who], sort=bool(by and who))
        names, columns = self._covariates(df, [event_col, start_col, stop_col, weights_col, *by, *who])
        problem = self._problem(df, rows, shown, names, columns, by)

        beta, self.log_likelihood_, self._hessian_ = self._maximum(
            problem, rows, initial_point, show_progress, dict(fit_options or {})
        )
        spread = self._norm_std.to_numpy()
        self.params_ = pd.Series(beta / spread, index=names)
        inverse = np.asarray(-np.linalg.inv(self._hessian_), np.float64)
        self.variance_matrix_ = pd.DataFrame(inverse / np.outer(spread, spread), index=names)
        at = problem.at(beta)
        used = self._sandwich(problem, at, inverse, df) if robust else inverse
        self.standard_errors_ = pd.Series(np.sqrt(np.diag(used)) / spread, index=names, name="se")
        self.confidence_intervals_ = self._compute_confidence_intervals()
        self.baseline_cumulative_hazard_ = problem.baseline(at, rows)
        self.baseline_survival_ = np.exp(-self.baseline_cumulative_hazard_)
        if self.strata is None:
            self.baseline_survival_.columns = ["baseline survival"]
        self.event_observed, self.start_stop_and_events = shown["event"], shown[["event", "start", "stop"]]
        self.weights = shown["weight"].rename("__weights")
        self._n_examples, self._n_unique = len(shown), int((~shown.index.duplicated()).sum())
        return self

    def print_summary(self, decimals: int = 2, style: str | None = None, columns: Any = None, **kwargs: Any) -> None:
        """Print the fit and its coefficients; style: ascii, html or latex. kwargs: more lines for the head."""
        if self.robust:
            kwargs = {"robust variance": True, **kwargs}
        super().print_summary(decimals, style, columns, **kwargs)

    def check_assumptions(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not there: lifelines' class has it by name, and fails."""
        raise NotImplementedError(
            "check_assumptions is not there for time-varying covariates, in lifelines neither. "
            "survival.cox(...).proportional_hazards() tests them, .time_varying_effects() is for the plot"
        )

    def compute_residuals(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not there: lifelines' class has it by name, and fails."""
        raise NotImplementedError(
            "compute_residuals is not there for time-varying covariates, in lifelines neither. "
            "survival.cox(...).residuals(kind) has all of them"
        )

    def _covariates(self, df: pd.DataFrame, used: Sequence[str | None]) -> tuple[pd.Index, list[Floats]]:
        """Names (p,) and columns (n,) of the design; `self.regressors` is what predictions make theirs with."""
        rest = [name for name in df.columns if name not in used]
        frame = df[rest].reset_index(drop=True) if self.formula else df.iloc[:0][rest]
        self.regressors = utils.CovariateParameterMappings({"beta_": self.formula}, frame, force_no_intercept=True)
        if self.formula:
            frame = self.regressors.transform_df(frame)["beta_"]
            if len(frame) < len(df):  # formulaic leaves them out
                raise TypeError(
                    "NaNs were detected in the dataset. Try using pd.isnull to find the problematic values."
                )
            rest = list(frame.columns)
        else:
            frame = df
        columns = [frame[name].astype(float, copy=False).to_numpy() for name in rest]
        return pd.Index(rest or range(0), name="covariate"), columns

    def _problem(
        self,
        df: pd.DataFrame,
        rows: pd.DataFrame,
        shown: pd.DataFrame,
        names: pd.Index,
        columns: list[Floats],
        by: list[str],
    ) -> _Problem:
        """The standardised covariates and their risk sets, after lifelines' checks in lifelines' order."""
        for column in columns:
            if not np.isfinite(column).all():
                utils.check_nans_or_infs(column)
        n = len(df)
        x, centre, scale, low, high = np.empty((n, 0)), *(np.empty(0),) * 4
        if columns:
            made = standardised(columns, np.ones(1), float(n))
            x, centre, scale, low, high = made.x, made.centre, made.scale, made.low, made.high
        self._norm_mean, self._norm_std = pd.Series(centre, index=names), pd.Series(scale, index=names)
        events = rows["event"]
        if _suspect(x, scale, low == high, events.to_numpy()).any():  # lifelines finds the words, or that all is well
            frame = pd.DataFrame(dict(enumerate(columns)), index=rows.index, copy=False).set_axis(names, axis=1)
            utils.check_low_var(frame)
            utils.check_complete_separation_low_variance(frame, events, self.event_col)
        events, start, stop = (shown[name] for name in ("event", "start", "stop"))  # a warning names the first ids
        utils.check_for_nonnegative_intervals(start, stop)
        utils.check_for_immediate_deaths(events, start, stop)
        utils.check_for_instantaneous_events_at_time_zero(start, stop)
        utils.check_for_instantaneous_events_at_death_time(events, start, stop)
        return _Problem.of(x, rows, df, by, bool((low == high).any()))

    def _maximum(
        self, problem: _Problem, rows: pd.DataFrame, initial_point: Any, show_progress: bool, options: dict[str, Any]
    ) -> tuple[Floats, float, Floats]:
        """Coefficients of the standardised covariates, log likelihood and Hessian, both with the penalty.

        The loop is lifelines', which asks `problem` for derivatives: its damped steps, its smoothed absolute value and
        where it stops are what the last digits, the lines of show_progress and the warnings depend on.
        """
        if initial_point is not None:
            initial_point = np.array(initial_point, float)  # a copy: the loop writes into it
            self._log_likelihood_null = problem.derivatives(np.zeros(problem.shape[1]))[2]
        return self._newton_raphson_for_efron_model(
            problem,
            *(rows[name] for name in ("event", "start", "stop", "weight")),
            initial_point=initial_point,
            show_progress=show_progress,
            **options,
        )

    @staticmethod
    def _get_gradients(problem: Any, events: Any, start: Any, stop: Any, weights: Any, beta: Floats) -> Any:
        return problem.derivatives(beta)

    def _partition_by_strata_and_apply(self, problem: _Problem, *rest: Any) -> Iterator[Any]:
        yield problem.derivatives(rest[-1])  # all strata at once

    def _sandwich(self, problem: _Problem, at: Likelihood | None, inverse: Floats, df: pd.DataFrame) -> Floats:
        """(p, p) robust variance of the standardised coefficients, by id_col or by row."""
        if at is None:
            return np.full_like(inverse, np.nan)
        unit = np.arange(len(df)) if self.id_col is None else pd.factorize(df[self.id_col])[0]
        return inverse @ robust_meat(problem.sets, problem.x, at, problem.weight, unit.astype(np.intp)) @ inverse


def _rows(df: pd.DataFrame, event_col: str, start_col: str, stop_col: str, weights_col: str | None) -> pd.DataFrame:
    """event, start, stop, weight of each row under the frame's own index; raises what lifelines raises."""
    if not (event_col in df and start_col in df and stop_col in df):
        raise KeyError("A column specified in the call to `fit` does not exist in the DataFrame provided.")
    if weights_col is None:
        assert "__weights" not in df.columns, (
            "__weights is an internal lifelines column, please rename your column first."
        )
        weight: Any = 1.0
    else:
        weight = df[weights_col].astype(float)
        if (weight <= 0).any():
            raise ValueError("values in weights_col must be positive.")
    for name in (event_col, start_col, stop_col):  # lifelines takes a missing event for an event, and loses the others
        if df[name].isna().any():
            raise TypeError(f"NaNs were detected in column '{name}'.")
    event = utils.pass_for_numeric_dtypes_or_raise_array(df[event_col]).astype(bool)
    times = {"event": event, "start": df[start_col], "stop": df[stop_col], "weight": weight}
    return pd.DataFrame(times, index=df.index)


def _under_keys(rows: pd.DataFrame, df: pd.DataFrame, keys: list[str], sort: bool) -> pd.DataFrame:
    """The rows as lifelines keeps and shows them: indexed by strata and id, in order of both when there are both."""
    if not keys:
        return rows
    index = pd.Index(df[keys[0]]) if len(keys) == 1 else pd.MultiIndex.from_frame(df[keys])
    keyed = rows.set_axis(index, axis=0)
    return keyed.sort_index() if sort else keyed


def _suspect(x: Floats, scale: Floats, constant: NDArray[np.bool_], event: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(p,) whether a column may vary too little for lifelines: in all rows, in those with an event, or in the others."""
    found = constant | (scale**2 < _LOW_VARIANCE * 1.0001)
    count, row = event.sum(), np.flatnonzero(event)
    mine = x[row]
    total, squares = mine.sum(axis=0), np.einsum("ij,ij->j", mine, mine)
    # Standardised over all n rows, sums are 0 and squares n - 1: what is not the events' is the others'.
    n = len(x)
    for size, first, second in ((count, total, squares), (n - count, -total, n - 1.0 - squares)):
        if size < 2:
            return np.ones_like(found)
        variance = (second - first**2 / size) / (size - 1) * scale**2
        found |= variance < _LOW_VARIANCE * 1.0001 + 1e-9 * scale**2
    return found


@dataclass(frozen=True, eq=False)
class _Problem:
    """What lifelines' Newton loop sees as its frame: n rows, p covariates, and the derivatives at a beta.

    x (n, p) standardised covariates, one column of 0 when there are none; weight (n,), 0 for rows that are never at
    risk; strata: their labels. sound: whether the sums have a meaning, else they are NaN, as lifelines' are.
    """

    x: Floats
    covariates: int
    sets: RiskSets
    weight: Floats
    total: Floats
    strata: list[Hashable] | None
    sound: bool

    @classmethod
    def of(cls, x: Floats, rows: pd.DataFrame, df: pd.DataFrame, by: list[str], constant: bool) -> _Problem:
        start, stop = _times(rows["start"], rows["stop"])
        event, weight = rows["event"].to_numpy(), rows["weight"].to_numpy()
        stratum, strata = None, None
        if by:
            groups = df.groupby(by if len(by) > 1 else by[0], observed=True)
            stratum, strata = groups.ngroup().to_numpy(np.intp), list(groups.size().index)
        live = start < stop
        lost = event & ~live
        sound = not constant and bool(np.isfinite(weight).all())
        if lost.any():  # nobody is at risk in them: lifelines leaves them out, or has 0/0 where no other event is
            keys = pd.MultiIndex.from_arrays([np.zeros(len(x), np.intp) if stratum is None else stratum, stop])
            sound &= bool(keys[lost].isin(keys[event & live]).all())
        weight = np.where(live, weight, 0.0)
        sets = episode_risk_sets(start, stop, event, weight, stratum, len(strata or [0]))
        covariates = x.shape[1]
        x = x if covariates else np.zeros((len(x), 1))
        return cls(x, covariates, sets, weight, sum_over_events(sets, x), strata, sound)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and covariates, as of a frame."""
        return self.x.shape[0], self.covariates

    @property
    def values(self) -> _Problem:
        """Itself: what a frame hands on as its matrix."""
        return self

    def derivatives(self, beta: Floats) -> tuple[Floats, Floats, float]:
        """Hessian (p, p), gradient (p,) and value of the log likelihood; NaN where they do not exist."""
        at = self.at(beta) if self.sound else None
        p = self.covariates
        if at is None:
            return np.full((p, p), np.nan), np.full(p, np.nan), np.nan
        return -information(self.sets, self.x, at)[:p, :p], at.score[:p].copy(), at.log_likelihood

    def at(self, beta: Floats) -> Likelihood | None:
        """The log likelihood at `beta` with the sums over risk sets."""
        return evaluate(self.sets, self.x, self.total, np.array(beta, float) if self.covariates else np.zeros(1))

    def baseline(self, at: Likelihood | None, rows: pd.DataFrame) -> pd.DataFrame:
        """Breslow's cumulative hazard at the mean covariates, by event time; one column, or one a stratum."""
        slot = self.sets.event_slots
        hazard = np.full(slot.size, np.nan)
        if at is not None:
            hazard = self.sets.event_total[slot] / at.sums.s0[slot] * np.exp(-at.shift)
        times = np.unique(rows["stop"].to_numpy()[self.sets.event_row])
        codes = np.unique(self.sets.slot_time[slot])
        table = np.zeros((times.size, len(self.strata or [0])))
        table[np.searchsorted(codes, self.sets.slot_time[slot]), self.sets.slot_stratum[slot]] = hazard
        labels = ["baseline hazard"] if self.strata is None else self.strata
        return pd.DataFrame(table, index=times, columns=pd.Index(labels, tupleize_cols=False)).cumsum()


def _times(start: pd.Series, stop: pd.Series) -> tuple[Floats, Floats]:
    """Both as numbers that keep their order and ties: themselves, or ranks of dates and whatever else compares."""
    if all(times.dtype.kind in "biuf" for times in (start, stop)):
        return start.to_numpy(float), stop.to_numpy(float)
    both = pd.concat([start, stop], ignore_index=True)
    rank = np.unique(both.to_numpy(), return_inverse=True)[1].astype(float)
    return rank[: len(start)], rank[len(start) :]


__all__ = ["CoxTimeVaryingFitter"]
