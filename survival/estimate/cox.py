"""Cox regression on start-stop data: from a frame of episodes, or from flows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from survival.errors import ArgumentError, EstimationError
from survival.estimate import estimability
from survival.estimate.baseline import baseline_of
from survival.estimate.cox_data import CoxData, Options, data_from_flows, data_from_frame
from survival.estimate.cox_fit import CoxFit
from survival.estimate.newton import Maximum, invert, maximise
from survival.estimate.partial_likelihood import Likelihood, evaluate, information, sum_over_events
from survival.estimate.residuals import robust_meat
from survival.estimate.risk_sets import Floats, Ints
from survival.findings import Finding
from survival.flows.table import Flows


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
    ties: str = "efron",
    robust: bool | None = None,
    penalizer: float = 0.0,
    level: float = 0.95,
    not_estimable: str = "raise",
) -> CoxFit:
    """Fit a Cox model to a frame of episodes (start, stop], or to `Flows`.

    frame: anything that speaks Arrow or pandas, a row an episode; or flows, whose patterns hold the covariates
    and strata (the columns of episodes are then not given).
    formula: formulaic's, covariates only. start: None, everybody enters at 0.
    customer, spell: whose episodes these are; overlaps and second events within one are refused. cluster (default:
    customer): the unit of the robust variance. robust: None, when some unit has more than one row.
    ties: efron or breslow. weights: case weights, as R's coxph. penalizer: ridge as lifelines', n x penalizer / 2 x
    |standardised coefficients|².
    not_estimable: raise, or drop: leave the coefficient out, NaN in tidy(), with a Finding in `findings`.

    Raises ArgumentError (an option or column), StructureError (malformed episodes, missing covariates),
    NoEventsError, CollinearityError (constant, collinear, no variation in any risk set), SeparationError,
    ConvergenceError; those of a covariate carry .covariates, .table and .finding.
    """
    options = _options(
        formula, stop, event, start, customer, spell, cluster, strata, weights, ties, robust, penalizer, level
    )
    _one_of("not_estimable", not_estimable, ("raise", "drop"))
    data, options = _prepare(frame, options, robust)
    return _fit(data, options, range(len(data.names)), not_estimable == "drop")


def cox_univariable(frame: Any, formula: str, **options: Any) -> dict[str, CoxFit]:
    """One Cox model per term of the formula (all columns of a text covariate together): term -> fit.

    Takes the options of `cox`; the data are read, checked and indexed once.
    """
    not_estimable = options.pop("not_estimable", "raise")
    _one_of("not_estimable", not_estimable, ("raise", "drop"))
    robust = options.get("robust")
    data, settings = _prepare(frame, _options(formula, **{**_DEFAULTS, **options}), robust)
    drop = not_estimable == "drop"
    fits = {}
    for term, columns in data.coding.terms.items():
        fits[term] = _fit(data, settings, columns, drop)
    return fits


_DEFAULTS: dict[str, Any] = {
    "stop": "stop", "event": "event", "start": None, "customer": None, "spell": None, "cluster": None, "strata": (),
    "weights": None, "ties": "efron", "robust": None, "penalizer": 0.0, "level": 0.95,
}  # fmt: skip


def _options(
    formula: str, stop: str, event: str, start: str | None, customer: str | None, spell: str | None,
    cluster: str | None, strata: str | Sequence[str], weights: str | None, ties: str, robust: bool | None,
    penalizer: float, level: float,
) -> Options:  # fmt: skip
    _one_of("ties", ties, ("efron", "breslow"))
    if robust is not None and not isinstance(robust, bool | np.bool_):
        raise ArgumentError(f"robust must be True, False or None; got {robust!r}")
    if isinstance(penalizer, bool) or not isinstance(penalizer, int | float) or not 0 <= penalizer < np.inf:
        raise ArgumentError(f"penalizer must be a number of at least 0; got {penalizer!r}")
    if not (isinstance(level, float) and 0 < level < 1):
        raise ArgumentError(f"level must be between 0 and 1, such as 0.95; got {level!r}")
    by = (strata,) if isinstance(strata, str) else tuple(strata)
    return Options(
        formula, stop, event, start, customer, spell, cluster, by, weights, ties, bool(robust), float(penalizer), level
    )


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ArgumentError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")


def _prepare(frame: Any, options: Options, robust: bool | None) -> tuple[CoxData, Options]:
    if isinstance(frame, Flows):
        given = [name for name in ("start", "customer", "spell", "cluster", "weights") if getattr(options, name)]
        if given or robust:
            raise ArgumentError(
                f"flows have no {' or '.join(given or ['robust variance'])}: they are sums over customers. "
                "Fit the frame of episodes instead"
            )
        return data_from_flows(frame, options), options
    data = data_from_frame(frame, options)
    assert data.unit is not None
    if robust is None:
        several = (options.customer or options.cluster) and int(data.unit.max()) + 1 < data.unit.size
        options = replace(options, robust=bool(several))
    return data, options


def _fit(data: CoxData, options: Options, columns: Sequence[int], drop: bool) -> CoxFit:
    """Fit the model of these columns; with `drop`, without those that cannot be estimated."""
    kept, findings = list(columns), list(data.episodes.findings if data.episodes is not None else ())
    while True:
        part = data.columns(kept)
        try:
            maximum = _maximise(part, options)
        except EstimationError as error:
            left = [j for j in kept if data.names[j] not in error.covariates]
            if not drop or not error.covariates or not left:
                raise
            kept = left
            findings += [_finding(name, error) for name in error.covariates]
            continue
        return _result(data, part, options, columns, kept, maximum, tuple(findings))


def _finding(name: str, error: EstimationError) -> Finding:
    """What to say of one covariate that is left out; of separation its own 2x2 only, since an error may name many."""
    figure, why = "", str(error)
    if error.finding == "separation":
        mine = error.table[error.table["covariate"] == name]
        others = [other for other in error.covariates if other != name]
        figure = ", ".join(f"{row.events:g} events of {row.episodes:g} at {row.value}" for row in mine.itertuples())
        alone = (mine["events"] == 0).any() or not others
        what = (
            "the events lie on one side of it"
            if alone
            else f"together with {', '.join(others)} it tells the events apart"
        )
        why = f"separation: {what} ({figure} episodes). Merge levels, or pass a penalizer"
    return Finding(error.finding, "warning", name, f"the coefficient of '{name}' is not estimable: {why}", figure)


def _maximise(data: CoxData, options: Options) -> Maximum:
    """Newton's method on the inner columns, after the checks that name what has no estimate."""
    sets, x = data.sets, data.x
    estimability.refuse_constant(data.low, data.high, data.names)
    total = sum_over_events(sets, x)
    p = x.shape[1]
    null = evaluate(sets, x, total, np.zeros(p))
    if null is None:
        raise ArgumentError(
            "the covariates are too large for arithmetic: divide them by their unit (thousands, millions)"
        )
    null_information = information(sets, x, null)
    free = options.penalizer == 0

    def refuse_separated(columns: Ints) -> None:
        if columns.size and free:
            estimability.refuse_separated(sets, x, data.centre, data.scale, data.names, columns)

    if free:
        estimability.refuse_unidentified(sets, null_information, data.scale, data.names)
        inner = ((data.low - data.centre) / data.scale, (data.high - data.centre) / data.scale)
        refuse_separated(estimability.separated_alone(sets, x, null, *inner))
    maximum = maximise(
        lambda beta: evaluate(sets, x, total, beta),
        lambda at: information(sets, x, at),
        null,
        null_information,
        ridge=options.penalizer * data.rows,
        events=float(sets.deaths.sum()),
        separated=lambda direction: free and estimability.is_recession(sets, x, direction),
    )
    if maximum.runaway:
        refuse_separated(np.flatnonzero(estimability.leading(maximum.direction)))
    return maximum


def _result(
    data: CoxData, part: CoxData, options: Options, columns: Sequence[int], kept: list[int],
    maximum: Maximum, findings: tuple[Finding, ...],
) -> CoxFit:  # fmt: skip
    """Everything that is reported, in the user's units and the order of `columns`."""
    beta, at, inverse = maximum.beta, maximum.at, invert(maximum.information)
    variance = _robust(part, at, inverse) if options.robust else inverse
    names = tuple(data.names[j] for j in columns)
    place = [list(columns).index(j) for j in kept]
    score = maximum.null.score
    return CoxFit(
        options=options,
        names=names,
        terms=_terms(data, columns),
        estimated=tuple(place),
        coefficients=_spread(beta / part.scale, place, len(names)),
        variance=_spread(variance / np.outer(part.scale, part.scale), place, len(names)),
        model_variance=_spread(inverse / np.outer(part.scale, part.scale), place, len(names)),
        log_likelihood_null=maximum.null.log_likelihood,
        log_likelihood=at.log_likelihood,
        wald_statistic=float(beta @ invert(variance) @ beta),
        score_statistic=float(score @ invert(maximum.null_information) @ score),
        iterations=maximum.iterations,
        customers=data.customers,
        episodes=data.flows.episodes if data.flows is not None else len(data.x),
        events=int(data.sets.deaths.sum()),
        person_time=data.person_time,
        findings=findings,
        strata=data.strata,
        stratum_values=data.stratum_values,
        coding=data.coding,
        base=baseline_of(part.sets, at),
        inner=(beta, variance, part.centre, part.scale),
        columns=tuple(columns),
        _data=(part, at),
    )


def _terms(data: CoxData, columns: Sequence[int]) -> dict[str, tuple[int, ...]]:
    place = {column: i for i, column in enumerate(columns)}
    return {
        term: tuple(place[j] for j in mine) for term, mine in data.coding.terms.items() if all(j in place for j in mine)
    }


def _spread(values: Floats, place: list[int], size: int) -> Floats:
    """A (q,) or (q, q) array laid out among all `size` columns, NaN in the others."""
    result = np.full((size,) * values.ndim, np.nan)
    result[np.ix_(*(place,) * values.ndim)] = values
    return result


def _robust(data: CoxData, at: Likelihood, inverse: Floats) -> Floats:
    assert data.episodes is not None
    assert data.unit is not None
    return inverse @ robust_meat(data.sets, data.x, at, data.episodes.weight, data.unit) @ inverse
