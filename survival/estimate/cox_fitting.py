"""From prepared data to a Cox fit: which coefficients have an estimate, the maximum, and what is reported of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from survival.errors import ConvergenceError, EstimationError
from survival.estimate import estimability
from survival.estimate.baseline import baseline_of
from survival.estimate.cox_data import CoxData
from survival.estimate.cox_fit import CoxFit
from survival.estimate.cox_objective import FIRTH_NOISE, objective_of, penalties
from survival.estimate.cox_options import Options
from survival.estimate.elastic_net import maximise_penalised, penalty
from survival.estimate.levels import Levels, factors
from survival.estimate.newton import NOISE, Maximum, invert, maximise
from survival.estimate.objectives import CoxPoint, Objective, Partial, PartialPoint, start_of
from survival.estimate.offset_start import far_apart, levelled, nearer_start, refuse_overwhelmed, without_offset
from survival.estimate.partial_likelihood import Likelihood
from survival.estimate.recession import recession
from survival.estimate.residuals import robust_meat
from survival.estimate.risk_sets import Floats, Ints
from survival.estimate.warm_start import ENOUGH, SETTLED, Preview, samples_of
from survival.findings import Finding
from survival.flows.columns import counted

_FLAT = 15.0  # log risk between the ends of a column: worth a proof that there is a maximum

Start = tuple[Objective, CoxPoint, Floats]  # what is maximised, its point at beta = 0, and the information (p, p) there


def fit_columns(
    data: CoxData, options: Options, columns: Sequence[int], drop: bool, shared: SharedStart | None = None
) -> CoxFit:
    """Fit the model of these columns; with `drop`, without those that cannot be estimated. shared: what is known of all columns,
    when many models start at beta = 0."""
    data = levelled(data)
    kept, findings = list(columns), list(data.episodes.findings if data.episodes is not None else ())
    while True:
        part = data.columns(kept)
        try:
            maximum = _alone_or_shared(part, options, shared, kept)
        except EstimationError as error:
            left = [j for j in kept if data.names[j] not in error.covariates]
            if not drop or not error.covariates or not left:
                raise
            kept = left
            findings += [_finding(name, error) for name in error.covariates]
            continue
        return _result(data, part, options, columns, kept, maximum, tuple(findings))


def _alone_or_shared(
    part: CoxData, options: Options, shared: SharedStart | None, columns: Sequence[int]
) -> Maximum[CoxPoint]:
    """The maximum; where the shared start finds none, what a fit of these columns alone finds, so that both name the same columns."""
    if shared is not None:
        try:
            return find_maximum(part, options, shared.of(part, columns))
        except EstimationError:
            pass
    return find_maximum(part, options)


def find_maximum(data: CoxData, options: Options, start: Callable[[], Start] | None = None) -> Maximum[CoxPoint]:
    """The maximum in the inner units, after the checks that name what has no estimate. start: of a model that shares it."""
    estimability.refuse_constant(data.low, data.high, data.names)
    if options.firth:  # whose likelihood has the determinant of this information
        plain = Partial(data.sets, data.x, None)
        _refuse_unidentified(data, plain.information(start_of(plain, data.x.shape[1])))
    objective, null, null_information = _start(data, options) if start is None else start()
    ridge, lasso = penalties(data, options)
    separation = _Separation(data, options, objective, not options.firth and not (ridge + lasso).any())
    begin, information, seen, seen_information = null, null_information, null, null_information
    apart = far_apart(data)
    if apart:
        seen, seen_information = without_offset(data, options)
        begin = nearer_start(data, objective, null)
        information = objective.information(begin)
    if not (ridge + lasso).all():
        _refuse_unidentified(data, seen_information + np.diag(ridge))
        refuse_overwhelmed(data, information + np.diag(ridge), apart, data.names)
    separation.refuse_alone(seen)
    if lasso.any():
        nearer = begin.log_likelihood - penalty(begin.beta, ridge, lasso) > null.log_likelihood
        return maximise_penalised(objective, begin if nearer else null, null, null_information, ridge, lasso)
    try:
        maximum = maximise(
            objective.evaluate,
            objective.information,
            begin,
            information,
            ridge=ridge,
            events=float(data.sets.deaths.sum()),
            separated=separation.along,
            max_iterations=1000 if options.firth else 100,
            noise=FIRTH_NOISE if options.firth else NOISE,
            **_preview(data, objective),
        )
    except ConvergenceError:
        separation.refuse_by_proof()
        raise
    separation.refuse_runaway(maximum, begin)
    maximum = replace(maximum, null=null, null_information=null_information)
    return replace(maximum, at=objective.complete(maximum.at)) if isinstance(objective, Levels) else maximum


def _refuse_unidentified(data: CoxData, information: Floats) -> None:
    estimability.refuse_unidentified(data.sets, information, data.scale, data.names)


@dataclass(frozen=True, eq=False)
class _Separation:
    """The checks for coefficients without a finite maximum; none where a penalty gives them one (free False)."""

    data: CoxData
    options: Options
    objective: Objective
    free: bool

    def along(self, direction: Floats) -> bool:
        """Whether the likelihood never falls in this direction (p,)."""
        return self.free and self.objective.never_falls(direction)

    def refuse_alone(self, seen: CoxPoint) -> None:
        """SeparationError for columns that separate by themselves; seen: the likelihood at beta = 0, of risks that are seen."""
        if self.free:
            data = self.data
            self._refuse(estimability.separated_alone(data.sets, data.x, seen.likelihood, *data.range()))

    def refuse_runaway(self, maximum: Maximum[CoxPoint], begin: CoxPoint) -> None:
        """SeparationError where Newton has seen a coefficient run away, or stopped so far out that it must be asked."""
        if maximum.runaway:
            self._refuse(np.flatnonzero(estimability.leading(maximum.direction)))
            return
        away = _far_out(self.data, maximum.beta - begin.beta)
        if self.free and away.any():
            if self.objective.never_falls(away):
                self._refuse(np.flatnonzero(away))
            self.refuse_by_proof()

    def refuse_by_proof(self) -> None:
        """SeparationError where a linear program, of few customers, finds a direction."""
        direction = recession(self.data.sets, self.data.x, self.options.ties == "exact") if self.free else None
        if direction is not None:
            self._refuse(np.flatnonzero(estimability.leading(direction)))

    def _refuse(self, columns: Ints) -> None:
        if columns.size and self.free:
            data = self.data
            estimability.refuse_separated(data.sets, data.x, data.centre, data.scale, data.names, columns)


def _far_out(data: CoxData, moved: Floats) -> Floats:
    """(p,) the direction of the coefficients that have moved (p,) so far that the likelihood is flat to rounding; 0 for the others."""
    spread = data.high - data.low
    return np.where(np.abs(moved) / data.scale * spread > _FLAT, np.sign(moved) * data.scale / spread, 0.0)


def _start(data: CoxData, options: Options) -> Start:
    objective = objective_of(data, options)
    null = start_of(objective, data.x.shape[1])
    return objective, null, objective.information(null)


@dataclass(frozen=True, eq=False)
class SharedStart:
    """The partial likelihood at beta = 0 and its information (p, p), of all columns: one pass for all models that start there.

    factors: the terms, as columns, of which that pass already has every sum at any beta (`Levels`).
    """

    point: Likelihood
    information: Floats
    factors: frozenset[int]

    def of(self, part: CoxData, columns: Sequence[int]) -> Callable[[], Start]:
        """Where the model of some columns of a term begins."""
        index = list(columns)

        def start() -> Start:
            at = self.point
            sums = replace(at.sums, s1=at.sums.s1[:, index], e1=at.sums.e1[:, index])
            held = replace(at, beta=at.beta[index], score=at.score[index], sums=sums)
            information = self.information[np.ix_(index, index)]
            if not self.factors.issuperset(index):
                return Partial(part.sets, part.x, part.offset), PartialPoint(held), information
            objective = Levels(part.sets, part.x, part.offset, *part.range(), held)
            return objective, start_of(objective, len(index)), information

        return start


def shared_start(data: CoxData, options: Options) -> SharedStart | None:
    """None where the objective is not the partial likelihood itself, or has no digits at beta = 0."""
    objective = objective_of(data, options)
    if not isinstance(objective, Partial) or far_apart(data):
        return None
    null = start_of(objective, data.x.shape[1])
    return SharedStart(null.likelihood, objective.information(null), factors(data))


def _preview(data: CoxData, objective: Objective) -> dict[str, Any]:
    """Newton's options where there are so many rows that a sample of them is worth a look first."""
    if not isinstance(objective, Partial) or isinstance(objective, Levels):
        return {}
    samples = [Partial(*sample) for sample in samples_of(data.sets, data.x, data.offset)]
    if not samples:
        return {}
    low, high = data.range()

    def settled(step: Floats) -> bool:  # no row's risk changes by more: a rare flag's is far from 0 on the inner scale
        return float(np.abs(step) @ (high - low)) <= SETTLED

    return {"propose": Preview(samples, float(data.sets.event_total.sum())), "enough": ENOUGH, "settled": settled}


def _finding(name: str, error: EstimationError) -> Finding:
    """What to say of one covariate that is left out; of separation its own 2x2 only, since an error may name many."""
    figure, why = "", str(error)
    if error.finding == "separation":
        mine = error.table[error.table["covariate"] == name]
        others = [other for other in error.covariates if other != name]
        figure = ", ".join(
            f"{counted(row.events, 'event')} of {row.episodes:g} at {row.value}" for row in mine.itertuples()
        )
        alone = (mine["events"] == 0).any() or not others
        what = (
            "the events lie on one side of it"
            if alone
            else f"together with {', '.join(others)} it tells the events apart"
        )
        why = f"separation: {what} ({figure} episodes). Merge levels, or pass firth=True"
    return Finding(error.finding, "warning", name, f"the coefficient of '{name}' is not estimable: {why}", figure)


def _result(
    data: CoxData, part: CoxData, options: Options, columns: Sequence[int], kept: list[int],
    maximum: Maximum[CoxPoint], findings: tuple[Finding, ...],
) -> CoxFit:  # fmt: skip
    """Everything that is reported, in the user's units and the order of `columns`."""
    beta, at = maximum.beta, maximum.at.likelihood
    inverse = _inverse(maximum.information, beta, part, options)
    variance = _robust(part, at, inverse) if options.robust else inverse
    names = tuple(data.names[j] for j in columns)
    place = [list(columns).index(j) for j in kept]
    score = maximum.null.score
    unit = np.outer(part.scale, part.scale)
    known = np.where(np.diag(inverse) > 0, 1.0, np.nan)  # a coefficient that the penalty sets to 0 has no variance
    live = np.flatnonzero(np.diag(inverse) > 0)
    return CoxFit(
        options=options,
        names=names,
        terms=_terms(data, columns),
        estimated=tuple(place),
        coefficients=_spread(beta / part.scale, place, len(names)),
        variance=_spread(variance / unit * np.outer(known, known), place, len(names)),
        model_variance=_spread(inverse / unit * np.outer(known, known), place, len(names)),
        log_likelihood_null=maximum.null.log_likelihood,
        log_likelihood=maximum.at.log_likelihood,
        wald_statistic=float(beta[live] @ invert(variance[np.ix_(live, live)]) @ beta[live]) if live.size else 0.0,
        score_statistic=float(score @ invert(maximum.null_information) @ score),
        iterations=maximum.iterations,
        customers=data.customers,
        episodes=data.flows.episodes if data.flows is not None else int(data.rows),
        events=int(data.sets.deaths.sum()),
        person_time=data.person_time,
        findings=findings,
        strata=data.strata,
        stratum_values=data.stratum_values,
        coding=data.coding,
        base=baseline_of(part.sets, at),
        inner=(beta, variance, part.centre, part.scale),
        columns=tuple(columns),
        offset_centre=data.offset_centre,
        _data=(part, at),
    )


def _inverse(information: Floats, beta: Floats, part: CoxData, options: Options) -> Floats:
    """(q, q) inverse information; with a lasso, of the coefficients that are not zero, and 0 elsewhere."""
    if not options.l1_ratio:
        return invert(information)
    active = np.flatnonzero((beta != 0) | (part.penalty == 0))
    inverse = np.zeros_like(information)
    if active.size:
        inverse[np.ix_(active, active)] = invert(information[np.ix_(active, active)])
    return inverse


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
