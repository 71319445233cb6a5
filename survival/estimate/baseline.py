"""The baseline hazard of a Cox fit, and survival along covariate paths with its standard error.

H(t | path) = Σ over the event times on the path of exp(x'beta) dΛ; its variance has the part of the hazard's increments
and the part of beta (Therneau & Grambsch 2000, section 10.2; R's survfit.coxph). Increments are of the ties method of the fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from survival.estimate.partial_likelihood import Likelihood
from survival.estimate.risk_sets import Floats, Ints, RiskSets
from survival.estimate.slot_index import SlotIndex
from survival.estimate.strata_sums import before

_CELLS = 2_000_000  # path pieces x tenures x covariates alive at a time
_FAR = 300.0  # log risk beyond which sums are taken relative to the largest
_ENDLESS = 1e300


@dataclass(frozen=True, eq=False)
class Baseline:
    """Increments at the m event times, ordered by stratum and time, at covariates x = 0 of the fit's inner columns.

    time, stratum (m,); hazard (m,) dΛ; variance (m,) of dΛ; mean_hazard (m, p) dΛ x the mean covariates at risk;
    first_entry, last_exit (S,) of each stratum.
    """

    time: Floats
    stratum: Ints
    hazard: Floats
    variance: Floats
    mean_hazard: Floats
    first_entry: Floats
    last_exit: Floats

    def __post_init__(self) -> None:
        for name in ("time", "stratum", "hazard", "variance", "mean_hazard", "first_entry", "last_exit"):
            getattr(self, name).flags.writeable = False


def baseline_of(sets: RiskSets, at: Likelihood) -> Baseline:
    """Baseline increments at the fitted likelihood `at`."""
    live = sets.event_slots
    m, s1, e1 = at.moments, at.sums.s1[live], at.sums.e1[live]
    unit = np.exp(-at.shift)
    mean_hazard = (m.d2[live, None] * s1 - m.d2c[live, None] * e1) * unit
    return Baseline(
        sets.slot_time[live], sets.slot_stratum[live].astype(np.intp), m.d1[live] * unit, m.d2[live] * unit**2,
        mean_hazard, sets.first_entry.copy(), sets.last_exit.copy(),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Paths:
    """m pieces (begin, end] of the covariate paths of q subjects, in order of subject and time.

    subject (m,) codes 0..q-1; stratum (m,); x (m, p) inner covariates; offset (m,) of the linear predictor.
    """

    subject: Ints
    begin: Floats
    end: Floats
    stratum: Ints
    x: Floats
    offset: Floats


def at_zero(
    base: Baseline, beta: Floats, variance: Floats, zero: Floats, offset: float = 0.0
) -> tuple[Floats, Floats, Floats]:
    """(m,) hazard, cumulative hazard and its standard error where the user's covariates are 0; `zero` (p,) is that point
    in inner units, `offset` a further term of the linear predictor. Far from the data these over- or underflow, as the
    quantity itself does."""
    with np.errstate(over="ignore", invalid="ignore"):
        risk = np.exp(zero @ beta + offset)
        start = np.flatnonzero(np.concatenate(([True], np.diff(base.stratum) != 0)))
        lengths = np.diff(np.append(start, base.stratum.size))
        last = np.repeat(start + lengths - 1, lengths)

        def within(values: Floats) -> Floats:
            return before(values, last) + values

        cumulative = within(base.hazard)
        slope = within(base.mean_hazard) - cumulative[:, None] * zero
        spread = within(base.variance) + np.einsum("ij,ij->i", slope @ variance, slope)
        return base.hazard * risk, cumulative * risk, np.sqrt(spread) * risk


def cumulative_hazard(
    base: Baseline, beta: Floats, variance: Floats, paths: Paths, tenures: Floats, given: Floats
) -> tuple[Floats, Floats, Floats]:
    """(q, T) cumulative hazard of each subject from given (q,) to each tenure (T,), its standard error, and log_unit (q, 1), the
    logarithm of the unit in which a subject has both: 0 but for risks that a number does not hold.

    The last piece of a path goes on for ever. NaN before `given`, and beyond the last exit of the stratum
    in which a subject is then.
    """
    index = SlotIndex(base.time, base.stratum, base.first_entry.size)
    sums = (_from_zero(base.hazard, base), _from_zero(base.variance, base), _from_zero(base.mean_hazard, base))
    subjects = given.size
    first = np.searchsorted(paths.subject, np.arange(subjects))
    end = paths.end.copy()
    end[np.append(first[1:], paths.subject.size) - 1] = np.inf
    begin = np.maximum(paths.begin, given[paths.subject])
    hazard, error = np.empty((subjects, tenures.size)), np.empty((subjects, tenures.size))
    log_risk = np.clip(paths.x @ beta + paths.offset, -_ENDLESS, _ENDLESS)
    unit = np.maximum.reduceat(log_risk, first)
    unit = np.where(np.abs(unit) > _FAR, unit, 0.0)
    risk = np.exp(log_risk - unit[paths.subject])
    piece = _Pieces(index, *sums, variance, paths.x, risk, paths.stratum, base.last_exit)
    step = max(1, _CELLS // max(1, paths.subject.size * beta.size))
    for low in range(0, tenures.size, step):
        part = slice(low, low + step)
        with np.errstate(over="ignore"):  # an error beyond 1e308 hazards: nothing is known
            hazard[:, part], error[:, part] = piece.sum_by(paths.subject, first, begin, end, tenures[part])
    early = tenures < given[:, None]
    hazard[early], error[early] = np.nan, np.nan
    return hazard, error, unit[:, None]


def _from_zero(values: Floats, base: Baseline) -> Floats:
    """(m + S, ...) sums of the values (m, ...) of each stratum by itself, at its first to its last event time, after a 0."""
    strata = base.first_entry.size
    end = np.searchsorted(base.stratum, np.arange(strata), side="right")
    sums = np.zeros((len(values) + strata, *values.shape[1:]))
    if len(values):
        sums[np.arange(len(values)) + base.stratum + 1] = before(values, end[base.stratum] - 1) + values
    return sums


@dataclass(frozen=True, eq=False)
class _Pieces:
    index: SlotIndex
    hazard: Floats
    variance: Floats
    mean_hazard: Floats
    beta_variance: Floats
    x: Floats
    risk: Floats
    stratum: Ints
    last_exit: Floats

    def _place(self, time: Floats) -> Ints:
        """(m, T) places in the sums: event times at or before `time` (m, T), and a 0 for each stratum before."""
        stratum = np.broadcast_to(self.stratum[:, None], time.shape).ravel()
        return self.index.at(time.ravel(), stratum).reshape(time.shape)

    def sum_by(self, subject: Ints, first: Ints, begin: Floats, end: Floats, tenures: Floats) -> tuple[Floats, Floats]:
        until = np.minimum(end[:, None], tenures)
        until = np.maximum(until, begin[:, None])
        low, high = self._place(np.broadcast_to(begin[:, None], until.shape)), self._place(until)
        risk = self.risk[:, None]
        unseen = (until > begin[:, None]) & (until > self.last_exit[self.stratum][:, None])
        total = np.where(unseen, np.nan, self.hazard[high] - self.hazard[low])
        slope = risk[..., None] * (
            self.mean_hazard[high] - self.mean_hazard[low] - total[..., None] * self.x[:, None, :]
        )
        hazard = np.add.reduceat(risk * total, first, axis=0)
        own = np.add.reduceat(risk**2 * (self.variance[high] - self.variance[low]), first, axis=0)
        slope = np.add.reduceat(slope, first, axis=0)
        from_beta = np.einsum("ijk,kl,ijl->ij", slope, self.beta_variance, slope, optimize=True)
        return hazard, np.sqrt(own + from_beta)


def survival_band(
    hazard: Floats, error: Floats, level: float, log_unit: Floats | float = 0.0
) -> tuple[Floats, Floats, Floats, Floats]:
    """Survival, its standard error and a log-log interval from a cumulative hazard and its standard error, both in the unit
    exp(log_unit); no interval (NaN) where the curve is still 1."""
    z = stats.norm.ppf(0.5 + level / 2)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        log_hazard, wide = np.log(hazard) + log_unit, z * error / hazard
        far = np.abs(log_hazard) > _FAR  # exp(log hazard) is no number, or its product with the factor is none
        total, factor = np.where(far, np.exp(log_hazard), hazard * np.exp(log_unit)), np.exp(wide)
        survival = np.exp(-total)
        lower = np.where(far, np.exp(-np.exp(log_hazard + wide)), np.exp(-total * factor))
        upper = np.where(far, np.exp(-np.exp(log_hazard - wide)), np.exp(-total / factor))
        spread = np.where(far, np.exp(np.log(error) + log_unit - total), survival * error * np.exp(log_unit))
    known = hazard > 0
    return survival, np.where(error > 0, spread, error), np.where(known, lower, np.nan), np.where(known, upper, np.nan)
