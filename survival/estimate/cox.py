"""Cox regression on start-stop data: from a frame of episodes, or from flows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from survival.errors import ArgumentError, EstimationError
from survival.estimate.blas_threads import one_blas_thread
from survival.estimate.cox_data import CoxData, data_from_flows, data_from_frame
from survival.estimate.cox_fit import CoxFit
from survival.estimate.cox_fitting import fit_columns, shared_start
from survival.estimate.cox_options import Options, checked_options, one_of, options_of_term
from survival.estimate.tenure_effects import TenureCoding
from survival.flows.table import Flows

_LEAST = 1e-150  # range of a column: variances are of its square
_MOST_WEIGHT = 1e100


def cox(
    frame: Any,
    formula: str,
    *,
    stop: str = "stop",
    event: str = "event",
    start: str | None = None,
    customer: str | None = None,
    spell: str | None = None,
    cluster: str | None = None,
    strata: str | Sequence[str] = (),
    weights: str | None = None,
    offset: str | None = None,
    ties: str = "efron",
    robust: bool | None = None,
    penalizer: float | Sequence[float] | Mapping[str, float] = 0.0,
    l1_ratio: float = 0.0,
    firth: bool = False,
    time_varying: Mapping[str, Any] | None = None,
    level: float = 0.95,
    not_estimable: str = "raise",
) -> CoxFit:
    """Fit a Cox model to a frame of episodes (start, stop], or to `Flows`.

    frame: anything that speaks Arrow or pandas, a row an episode; or flows, whose patterns hold the covariates
    and strata (the columns of episodes are then not given).
    formula: formulaic's, covariates only. start: None, everybody enters at 0.
    customer, spell: whose episodes these are; overlaps and second events within one are refused. cluster (default:
    customer): the unit of the robust variance. robust: None, when some unit has more than one row or a weight is no count.
    ties: efron, breslow, or exact (the discrete likelihood of R's coxph: no weights, model variance).
    weights: case weights, as R's coxph. offset: a column added to the linear predictor.
    penalizer: a number, one for each column, or {column or term: number}; as lifelines', n x penalizer x (l1_ratio
    Σ|b| + (1 - l1_ratio) / 2 Σb²) for coefficients b of standardised columns, n rows. firth: Firth's penalty.
    time_varying: {term: 'log' | 'identity' | 'sqrt' | function of tenure | cuts}: beside the term its product with the
    function of tenure (R's tt), or in its place a coefficient for each period, [90, 365] for (0, 90], (90, 365], (365, inf).
    not_estimable: raise, or drop: leave the coefficient out, NaN in tidy(), with a Finding in `findings`.

    Raises ArgumentError (an option or column), StructureError (malformed episodes, missing covariates),
    NoEventsError, CollinearityError (constant, collinear, no variation in any risk set), SeparationError,
    ConvergenceError; those of a covariate carry .covariates, .table and .finding.
    """
    options, asked = checked_options(
        formula, stop=stop, event=event, start=start, customer=customer, spell=spell, cluster=cluster, strata=strata,
        weights=weights, offset=offset, ties=ties, robust=robust, penalizer=penalizer, l1_ratio=l1_ratio, firth=firth,
        time_varying=time_varying, level=level,
    )  # fmt: skip
    one_of("not_estimable", not_estimable, ("raise", "drop"))
    with one_blas_thread():
        data, options = prepare(frame, options, asked)
        return fit_columns(data, options, range(len(data.names)), not_estimable == "drop")


def cox_univariable(frame: Any, formula: str, **options: Any) -> dict[str, CoxFit]:
    """One Cox model per term of the formula (all columns of a text covariate together): term -> fit.

    Each fit is the model of its own term: its options, predictions and effects read the columns of this term only. An interaction
    is coded as in the whole formula: f:g of "f*g" is the product without f and g themselves, and other columns than those of "f:g" alone.
    Takes the options of `cox`; the data are read, checked and indexed once. not_estimable: also skip, which drops columns and
    leaves out the terms of which none is left.
    """
    not_estimable = options.pop("not_estimable", "raise")
    one_of("not_estimable", not_estimable, ("raise", "drop", "skip"))
    fits = {}
    with one_blas_thread():
        data, settings = prepare(frame, *checked_options(formula, **options))
        shared, data = shared_start(data, settings), data.by_column()
        for term, columns in data.coding.terms.items():
            try:
                fit = fit_columns(data, settings, columns, not_estimable != "raise", shared)
            except EstimationError:
                if not_estimable != "skip":
                    raise
            else:
                fits[term] = _of_term(fit, term, columns)
    return fits


def _of_term(fit: CoxFit, term: str, columns: Sequence[int]) -> CoxFit:
    """The fit of these columns of the design with the formula, the options and the coding of its term."""
    coding = fit.coding.of_term(term)
    plain = coding.base if isinstance(coding, TenureCoding) else coding
    options = options_of_term(fit.options, plain.formula, term, columns, fit.coding.names)
    return replace(fit, options=options, coding=coding, columns=tuple(range(len(columns))))


def prepare(frame: Any, options: Options, robust: bool | None) -> tuple[CoxData, Options]:
    """The data of a frame or of flows, and the options with `robust` decided."""
    if isinstance(frame, Flows):
        given = [name for name in ("start", "customer", "spell", "cluster", "weights") if getattr(options, name)]
        if given or robust:
            raise ArgumentError(
                f"flows have no {' or '.join(given or ['robust variance'])}: they are sums over customers. "
                "Fit the frame of episodes instead, or give the fit from flows its episodes by robust_from(...)"
            )
        _refuse_columns_of_episodes(frame, options)
        return _not_tiny(data_from_flows(frame, options)), options
    data = _not_tiny(_from_frame(frame, options))
    assert data.unit is not None
    assert data.episodes is not None
    if options.weights is not None:
        _refuse_weights(data.episodes.weight, options.weights)
    if robust is None and options.ties != "exact":
        several = (options.customer or options.cluster) and int(data.unit.max()) + 1 < data.rows
        weight = None if data.episodes is None or options.weights is None else data.episodes.weight
        sampled = weight is not None and bool((weight != np.rint(weight)).any())
        options = replace(options, robust=bool(several) or sampled)
    if options.robust and data.rows > 1 and not data.unit.any():
        raise ArgumentError(
            f"'{options.cluster or options.customer}' has only one unit: a robust variance needs two or more. "
            "Name another cluster, or pass robust=False"
        )
    return data, options


def _from_frame(frame: Any, options: Options) -> CoxData:
    try:
        return data_from_frame(frame, options)
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        roles = dict.fromkeys(
            name for name in (*options.strata, options.customer, options.spell, options.cluster) if name
        )
        raise ArgumentError(
            f"one of {', '.join(map(repr, roles))} holds lists or the like ({error}): strata, customers, spells and clusters are told "
            "apart by numbers or text"
        ) from error


def _refuse_columns_of_episodes(flows: Flows, options: Options) -> None:
    """ArgumentError for names that flows cannot look up: they hold times and events, and the columns of their patterns."""
    for name in ("stop", "event"):
        if getattr(options, name) != name:
            raise ArgumentError(
                f"flows have no column {name}='{getattr(options, name)}': they hold the times and events that they were made with. "
                f"Leave {name} out, or make the flows with it"
            )
    there = [str(name) for name in flows.patterns.columns]
    if options.offset is not None and options.offset not in there:
        raise ArgumentError(
            f"offset='{options.offset}' is no column of the flows' patterns; there are: {', '.join(there) or 'none'}. Keep it "
            "when the flows are made"
        )


def _refuse_weights(weight: NDArray[np.float64], name: str) -> None:
    """ArgumentError for weights of which sums and their squares are no numbers, or 0."""
    there = weight[weight > 0]
    if there.size and (there.max() > _MOST_WEIGHT or there.max() < 1 / _MOST_WEIGHT):
        raise ArgumentError(
            f"the weights '{name}' are too {'large' if there.max() > 1 else 'small'} for arithmetic (up to {there.max():.3g}): divide "
            "them by their mean; coefficients do not change"
        )


def _not_tiny(data: CoxData) -> CoxData:
    """The data; ArgumentError for columns whose squares are too small to be told from 0: the variance of their coefficient
    would not be a number."""
    tiny = [f"'{name}'" for name, spread in zip(data.names, data.high - data.low) if 0 < spread < _LEAST]
    if tiny:
        raise ArgumentError(
            f"the values of {', '.join(tiny)} are too small for arithmetic: multiply them, so that they differ by more than 1e-150"
        )
    return data
