"""The result of a Cox fit: immutable, tidy, and what can be asked of it afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from survival.errors import ArgumentError
from survival.estimate import adjusted_effects, cox_diagnostics, cox_prediction, cox_streaming, sequential
from survival.estimate.baseline import Baseline, at_zero, survival_band
from survival.estimate.blas_threads import one_blas_thread
from survival.estimate.concordance import Concordance, concordance, linear_predictor
from survival.estimate.cox_data import CoxData
from survival.estimate.cox_objective import profile_intervals
from survival.estimate.cox_options import Options, checked_level, names_among
from survival.estimate.design import Coding
from survival.estimate.hypotheses import Hypothesis, wald_test
from survival.estimate.partial_likelihood import Likelihood
from survival.estimate.risk_sets import Floats
from survival.estimate.tenure_effects import TenureCoding
from survival.findings import Finding
from survival.flows.columns import counted


def coefficient_table(
    names: Sequence[str], coefficients: Floats, model: Floats, variance: Floats, level: float, robust: bool
) -> pd.DataFrame:
    """The columns of `CoxFit.tidy`, from the coefficients (p,), the model's variance (p, p) and that of the inference."""
    used = np.sqrt(np.diag(variance))
    z = coefficients / used
    half = stats.norm.ppf(0.5 + level / 2) * used
    with np.errstate(over="ignore"):
        ratio, lower, upper = (np.exp(coefficients + shift) for shift in (0.0, -half, half))
    return pd.DataFrame(
        {
            "covariate": list(names),
            "coef": coefficients.copy(),
            "hazard_ratio": ratio,
            "ci_lower": lower,
            "ci_upper": upper,
            "se": np.sqrt(np.diag(model)),
            "robust_se": used if robust else np.full(len(names), np.nan),
            "z": z,
            "p": 2 * stats.norm.sf(np.abs(z)),
            "level": level,
        }
    )


@dataclass(frozen=True, eq=False, repr=False)
class CoxFit:
    """A fitted Cox model of p columns, of which q were estimable; all arrays are read-only.

    names (p,) in the formula's order; estimated (q,) which of them; coefficients (p,), NaN where not estimable;
    variance (p, p) what inference uses (robust when robust), model_variance (p, p) the inverse information.
    customers, episodes, events, person_time are counts of what was fitted. findings: why something was not.
    offset_centre is what was taken from the offsets inside, beside the centre of the columns.
    The data are held by reference for residuals and diagnostics, and left behind when the fit is pickled.
    """

    options: Options
    names: tuple[str, ...]
    terms: dict[str, tuple[int, ...]]
    estimated: tuple[int, ...]
    coefficients: Floats
    variance: Floats
    model_variance: Floats
    log_likelihood_null: float
    log_likelihood: float
    wald_statistic: float
    score_statistic: float
    iterations: int
    customers: int
    episodes: int
    events: int
    person_time: float
    findings: tuple[Finding, ...]
    strata: tuple[str, ...]
    stratum_values: pd.DataFrame
    coding: Coding | TenureCoding
    base: Baseline
    inner: tuple[Floats, Floats, Floats, Floats]  # beta, variance, centre, scale of the inner columns, (q,) …
    columns: tuple[int, ...]  # of the design matrix, when only some of its columns are in the model
    offset_centre: float = 0.0
    _data: tuple[CoxData, Likelihood] | None = field(default=None)

    def __post_init__(self) -> None:
        for array in (self.coefficients, self.variance, self.model_variance, *self.inner):
            array.flags.writeable = False

    @cached_property
    def concordance(self) -> Concordance:
        """Concordance on risk sets, with its standard error by customer; computed when first asked for."""
        data, _ = self._held("concordance")
        weight = None if data.episodes is None else data.episodes.weight
        with one_blas_thread():
            linear = linear_predictor(data.x, self.inner[0], data.offset)
            return concordance(data.sets, linear, weight, data.unit)

    def __getstate__(self) -> dict[str, Any]:
        self.concordance  # noqa: B018 - kept in __dict__ from now on, and so in what is saved
        return {**self.__dict__, "_data": None}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CoxFit):
            return NotImplemented
        mine, theirs = self._identity(), other._identity()
        return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(mine[0], theirs[0])) and mine[1] == theirs[1]

    def __hash__(self) -> int:
        return hash((self.names, self.log_likelihood, self.log_likelihood_null))

    def _identity(self) -> tuple[list[Floats], tuple[Any, ...]]:
        numbers = np.array([self.log_likelihood, self.log_likelihood_null, float(self.events), float(self.episodes)])
        settings = tuple(getattr(self.options, item.name) for item in fields(Options))
        return [self.coefficients, self.variance, numbers], (self.names, settings)

    def __repr__(self) -> str:
        head = (
            f"Cox model of {counted(self.events, 'event')} in {counted(self.episodes, 'episode')} of {counted(self.customers, 'customer')} "
            f"(ties: {self.options.ties}{', robust' if self.options.robust else ''})"
        )
        shown = self.tidy()[["covariate", "coef", "hazard_ratio", "ci_lower", "ci_upper", "z", "p"]]
        lines = [f"  {finding.id}: {finding.message}" for finding in self.findings]
        return "\n".join([head, shown.to_string(index=False, float_format=lambda v: f"{v:.4g}"), *lines])

    def tidy(self) -> pd.DataFrame:
        """One row a column of the model: covariate, coef, hazard_ratio, ci_lower, ci_upper, se, robust_se, z, p, level.

        The interval is of the hazard ratio; z, p and the interval use the robust variance when the fit is
        robust. What is not estimable is NaN throughout, and has its reason in `findings`.
        """
        options = self.options
        return coefficient_table(
            self.names, self.coefficients, self.model_variance, self.variance, options.level, options.robust
        )

    def glance(self) -> pd.DataFrame:
        """One row: counts, log likelihoods, lr / wald / score statistics, df, p (of the likelihood ratio), aic, concordance."""
        df = len(self.estimated)
        ratio = 2 * (self.log_likelihood - self.log_likelihood_null)
        row = {
            "customers": self.customers,
            "episodes": self.episodes,
            "events": self.events,
            "person_time": self.person_time,
            "log_likelihood_null": self.log_likelihood_null,
            "log_likelihood": self.log_likelihood,
            "lr_statistic": ratio,
            "wald_statistic": self.wald_statistic,
            "score_statistic": self.score_statistic,
            "df": df,
            "p": float(stats.chi2.sf(ratio, df)),
            "aic": 2 * df - 2 * self.log_likelihood,
            "concordance": self.concordance.value,
            "concordance_se": self.concordance.standard_error,
            "iterations": self.iterations,
            "ties": self.options.ties,
        }
        return pd.DataFrame([row])

    def hypothesis(self, hypothesis: Any, value: Any = None, robust: bool | None = None) -> Hypothesis:
        """Wald test of linear hypotheses: chi² with one degree of freedom a combination. As R's car::linearHypothesis.

        hypothesis: 'a - b = 0', '2*a + b = 1', a list of such (tested together), a term's name (all of its columns are
        0), or a matrix (m, p) whose rows times the coefficients are `value` (m,), 0 by default. Names are those of tidy(); put
        them in backticks where they could be misread. robust: None, the variance of the fit; False, the model's.
        Raises ArgumentError for what is not linear, names no coefficient, or is redundant.
        """
        return wald_test(self, hypothesis, value, robust)

    def anova(self) -> pd.DataFrame:
        """Likelihood-ratio test of each term given those before it in the formula: term, log_likelihood, statistic, df, p; the first
        row is the model without covariates. As R's anova(fit); two fits or more: `compare_fits`.

        The order matters: for each term given all others use `hypothesis(term)`. Raises ArgumentError for a robust fit (as R), a
        penalised one, and a saved one.
        """
        return sequential.anova(self)

    def profile_intervals(self, covariates: Sequence[str] | None = None, level: float | None = None) -> pd.DataFrame:
        """Profile-likelihood intervals of the hazard ratios, and likelihood-ratio tests: covariate, coef, hazard_ratio,
        ci_lower, ci_upper, p, level.

        covariates: columns of the model, default all that were estimated. Better than Wald's intervals for few events and
        for large effects; of Firth's penalised likelihood with firth=True. An end is 0 or infinite where
        the likelihood never drops. Raises ArgumentError for other names, a lasso, and a saved fit.
        """
        data, _ = self._held("profile_intervals")
        there = [self.names[j] for j in self.estimated]
        names = names_among(covariates, there, "has no estimate in this fit")
        level = self.options.level if level is None else checked_level(level)
        columns = [there.index(name) for name in names]
        return profile_intervals(names, columns, level, data, self.options, self.inner[0])

    def proportional_hazards(self, transform: str = "km", terms: bool = False) -> pd.DataFrame:
        """Score test of proportional hazards: covariate, statistic, df, p; the last row is GLOBAL. As R's cox.zph.

        terms: one row a term, all columns of a text covariate together (`term` in place of `covariate`).
        transform: km, identity, log or rank (among the events). km counts those at risk by rows, as R; from flows, which do not
        know rows, by weight, so that a fit with weights differs there. A column that varies among those at risk at one event time
        only cannot be tested: NaN, with df 0, and GLOBAL, or its term, is over what can be (R stops: singular).
        Raises ArgumentError for another transform.
        """
        data, at = self._held("proportional_hazards")
        if terms:
            return cox_diagnostics.proportional_hazards_by_term(self.terms, self.estimated, data, at, transform)
        return cox_diagnostics.proportional_hazards(self.names, self.estimated, data, at, transform)

    def time_varying_effects(self, transform: str = "km", points: int = 40) -> pd.DataFrame:
        """Smoothed beta(t): covariate, tenure, estimate, ci_lower, ci_upper, level; `points` rows a covariate.

        A natural cubic spline (4 df) through the scaled Schoenfeld residuals on the transformed time, as R's plot.cox.zph.
        """
        data, at = self._held("time_varying_effects")
        beta, scale = self.inner[0], self.inner[3]
        return cox_diagnostics.time_varying_effects(data, at, beta, scale, transform, points, self.options.level)

    def residuals(self, kind: str, by: str | None = None) -> pd.DataFrame:
        """Residuals: martingale, deviance, score, dfbeta (a row an episode), schoenfeld, scaled_schoenfeld (a row an event).

        by: 'episode' or 'customer' (the unit of the robust variance), summed. Deviance is by customer unless told
        otherwise: of single episodes it means little. Weights and signs as R's residuals.coxph.
        Columns: martingale and deviance have one named so, the others one a covariate; beside these customer (or unit),
        and start, stop, event of an episode, or stratum and tenure of an event.
        Of a fit from flows: sums over the episodes of a `pattern` (a row of the flows' patterns), case weights counted; by 'pattern',
        or 'tenure', each pattern at each event time. Schoenfeld's have a row for the `events` of one pattern at one time.
        Raises ArgumentError for another kind, and from flows by customer or episode.
        """
        data, at = self._held("residuals")
        return cox_diagnostics.residuals(kind, by, data, at, self.inner[0], self.inner[3], self._model_inner())

    def baseline(self) -> pd.DataFrame:
        """Hazard where every covariate is 0, at the event times: stratum, tenure, hazard, cumulative_hazard, survival,
        and se (of the cumulative hazard), ci_lower, ci_upper (of survival, log-log)."""
        beta, variance, centre, scale = self.inner
        hazard, total, error = at_zero(self.base, beta, variance, -centre / scale, -self.offset_centre)
        survival, _, lower, upper = survival_band(total, error, self.options.level)
        return pd.DataFrame(
            {
                "stratum": [self.strata[code] for code in self.base.stratum],
                "tenure": self.base.time.copy(),
                "hazard": hazard,
                "cumulative_hazard": total,
                "survival": survival,
                "se": error,
                "ci_lower": lower,
                "ci_upper": upper,
            }
        )

    def predict_survival(
        self, path_or_rows: Any, tenures: Sequence[float] | None = None, given_tenure: float | str | None = None
    ) -> pd.DataFrame:
        """Survival of each subject at each tenure: customer, tenure, survival, se, ci_lower, ci_upper (log-log).

        path_or_rows: a frame with the covariates (and strata). With the columns of the fit's start and stop it holds
        covariate paths, a row a piece, subjects told apart by the fit's customer column (all one path
        without it); else each row is a subject who keeps its values. A path's last piece goes on for ever.
        tenures: default, the event times. given_tenure: a number, or a column, survived so far: survival is conditional on it.
        NaN before given_tenure (default: the path's start), before the first entry, and beyond the last exit of the stratum.
        Raises ArgumentError for columns, levels or strata that were not fitted and for pieces that overlap.
        """
        return cox_prediction.predict_survival(self, path_or_rows, tenures, given_tenure)

    def partial_effects(
        self,
        covariate: str,
        values: Sequence[Any] | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        frame: Any = None,
        tenures: Sequence[float] | None = None,
    ) -> pd.DataFrame:
        """Predicted retention at chosen values of one covariate: covariate, value, tenure, retention, se, ci_lower, ci_upper.

        values: default, all levels of text, 0 and 1 of a flag, all strata; of a number the 10th, 50th and 90th percentile in `frame`.
        The others are held at `at`, {name: value}; else, with a `frame`, at their mean or most frequent value; else at the
        reference level, 0 for a flag, and the mean of a number over the episodes fitted. What changes over time is held for
        ever. Raises ArgumentError for names, levels and strata that were not fitted. As lifelines' plot_partial_effects_on_outcome.
        """
        return adjusted_effects.partial_effects(self, covariate, values, at, frame, tenures)

    def robust_from(
        self,
        batches: Iterable[Any],
        *,
        customer: str = "customer",
        start: str | None = "start",
        stop: str = "stop",
        event: str = "event",
        cluster: str | None = None,
        weights: str | None = None,
    ) -> CoxFit:
        """The same fit with the cluster-robust variance, and the standard error of the concordance, from the episodes in one
        pass: for fits from flows, which have neither.

        batches: frames or Arrow batches of episodes (as `BuiltEpisodes.batches()` gives) with the covariates and strata of the fit,
        all of them, once. The rows of a customer (or cluster) follow each other, from one batch to the next too; memory is that
        of a batch. Raises ArgumentError when they are not the fit's episodes, or a customer comes in pieces.
        """
        columns = cox_streaming.Columns(start, stop, event, customer, cluster, weights)
        return cox_streaming.robust_from(self, batches, columns)

    def _model_inner(self) -> Floats:
        """Inverse information of the inner columns (q, q)."""
        index = np.ix_(self.estimated, self.estimated)
        return self.model_variance[index] * np.outer(self.inner[3], self.inner[3])

    def _held(self, what: str) -> tuple[CoxData, Likelihood]:
        if self._data is None:
            raise ArgumentError(f"{what} needs the data, which a saved fit does not carry: fit again with cox(...)")
        if self.options.ties == "exact" and what in ("residuals", "proportional_hazards", "time_varying_effects"):
            raise ArgumentError(
                f"{what}: ties='exact' has no residuals of single events; fit with ties='efron' for them"
            )
        return self._data
