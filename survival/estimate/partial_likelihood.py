"""The Cox partial likelihood on start-stop data: arrays in, frozen record out.

With D_kl = S0_k - c_kl E0_k, m_kl = (S1_k - c_kl E1_k) / D_kl (Efron: c_kl = l/d_k; Breslow: c = 0) and mean event
weights v, every sum over l that the score, the information and the residuals need is a combination of
S1, E1 and six moments per event time, so that no array is longer than the data:

    information = X' diag(w) X - Σ_kl v m_kl m_kl',   w_i = r_i (Λ_b - Λ_a) - event_i r_i φ

one pass over the episodes for S0, S1 and one cross product. Sources: Therneau & Grambsch (2000), sections
3.3 and 5.2 for what is computed; weights and Efron's correction as R's survival::coxph (agfit4.c) has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial, reduce

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from survival.estimate.parallel import WORTH, over_rows, together
from survival.estimate.risk_sets import Floats, RiskSets, sums_by
from survival.estimate.strata_sums import after, before

BLOCK = 8192  # rows whose weighted copy is alive at a time: stays in cache
_PASS_VALUES = 327_680  # values of x in a block of the pass that sums risks
_SMALLEST = 1e-150  # risk sums whose inverse square overflows below it
_DIGITS = 1e-6  # of a sum over a risk set that must be left
_OVERFLOW = 50.0  # linear predictors above this are shifted down before exp


@dataclass(frozen=True, eq=False)
class RiskSums:
    """Sums of relative risks r over those at risk (S) and over tied events (E), by slot: (K,) and (K, p)."""

    s0: Floats
    s1: Floats
    e0: Floats
    e1: Floats


@dataclass(frozen=True, eq=False)
class TieMoments:
    """Sums over l of v log D, v/D, v c/D, v/D², v c/D², v c²/D², by slot: (K,) each."""

    log_d: Floats
    d1: Floats
    d1c: Floats
    d2: Floats
    d2c: Floats
    d2cc: Floats


@dataclass(frozen=True, eq=False)
class Likelihood:
    """The log partial likelihood at beta (p,), its gradient, and what its second derivatives are made of.

    risk (n,) are exp(x'beta - shift); sums and moments are in the same unit.
    """

    beta: Floats
    log_likelihood: float
    score: Floats
    risk: Floats
    shift: float
    sums: RiskSums
    moments: TieMoments


def evaluate(
    sets: RiskSets, x: Floats, event_sum: Floats, beta: Floats, offset: Floats | None = None
) -> Likelihood | None:
    """Log likelihood and score at `beta`; None where they are not finite (the step was too long).

    x (n, p) in row order, well centred; event_sum (p,) the weighted sum of x over the events (`sum_over_events`);
    offset (n,) is added to the linear predictor.
    """
    shift, sums = 0.0, None
    flat = offset is None and not beta.any()
    risk = np.broadcast_to(1.0, x.shape[0]) if flat else np.empty(x.shape[0])
    while sums is None:
        top, *moved = _pass(sets, x, None if flat else beta, shift, risk, offset)
        if not np.isfinite(top):
            return None
        if top <= _OVERFLOW:
            s0, s1, e0, e1 = moved
            sums = RiskSums(_at_risk(s0, sets), _at_risk(s1, sets), e0, e1)
            if _lost(s0, sums.s0, sets):
                return None
        else:  # start again with the largest linear predictor at 0
            shift = float((x @ beta if offset is None else x @ beta + offset).max())
    offsets = 0.0 if offset is None else float(sets.event_weight @ offset[sets.event_row])
    return from_sums(sets, event_sum, beta, risk, shift, sums, offsets)


def from_sums(
    sets: RiskSets, event_sum: Floats, beta: Floats, risk: Floats, shift: float, sums: RiskSums, offsets: float
) -> Likelihood | None:
    """The likelihood that the sums make; offsets: the weighted sum of the events' offsets. None where it is not finite."""
    moments = tie_moments(sets, sums.s0, sums.e0)
    if moments is None:
        return None
    expected = moments.d1 @ sums.s1 - moments.d1c @ sums.e1
    value = float(event_sum @ beta - moments.log_d.sum() - shift * sets.event_total.sum()) + offsets
    return Likelihood(beta, value, event_sum - expected, risk, shift, sums, moments)


def sum_over_events(sets: RiskSets, x: Floats) -> Floats:
    """(p,) weighted sum of the covariates of the events."""
    row = sets.event_row
    pointer = np.array([0, row.size])
    return (sparse.csr_matrix((sets.event_weight, row, pointer), shape=(1, len(x)), copy=False) @ x).ravel()


def _pass(
    sets: RiskSets, x: Floats, beta: Floats | None, shift: float, risk: Floats, offset: Floats | None
) -> tuple[float, Floats, Floats, Floats, Floats]:
    """One pass over the rows: fills `risk` (n,), and returns the largest linear predictor, the sums of what moves
    at each slot, (K,) and (K, p), and those over the tied events, (K,) and (K, p). beta None: every risk is 1 already."""
    parts = over_rows(lambda rows: _pass_part(sets, x, beta, shift, risk, offset, rows), x.shape[0], held=sets.slots)
    tops, *sums = zip(*parts)
    s0, s1, tied0, tied1 = (reduce(np.ndarray.__iadd__, parts) for parts in sums)  # into the first part's arrays
    e0, e1 = np.zeros(s0.shape), np.zeros(s1.shape)
    e0[sets.ties.slots], e1[sets.ties.slots] = tied0, tied1
    return float(np.max(tops)), s0, s1, e0, e1


def _pass_part(
    sets: RiskSets, x: Floats, beta: Floats | None, shift: float, risk: Floats, offset: Floats | None, part: slice
) -> tuple[float, Floats, Floats, Floats, Floats]:
    """`_pass` over some rows, block by block in cache, with the sums of the T slots of ties only, (T,) and (T, p); stops at a
    predictor whose exp is out of range."""
    p, k, t = x.shape[1], sets.slots, sets.ties.slots.size
    size = part.stop - part.start
    # The sums of a block are K x p: blocks must not be small beside them. All of about one length: each costs calls.
    step = -(-size // max(round(size / max(min(_PASS_VALUES // p, 8 * BLOCK), 4 * k)), 1))
    top, s0, s1 = -np.inf, np.zeros(k), np.zeros((k, p))
    e0, e1 = np.zeros(t), np.zeros((t, p))
    moves, (_, ones) = _Moves(sets, step), _constants(step)
    for low in range(part.start, part.stop, step):
        rows = slice(low, min(low + step, part.stop))
        z, r = x[rows], risk[rows]
        if beta is not None:
            if p == 1:  # a product with one column is slow
                np.multiply(z[:, 0], beta[0], out=r)
            else:
                np.dot(z, beta, out=r)
            if offset is not None:
                r += offset[rows]
            if shift:
                r -= shift
            top = float(np.maximum(top, r.max()))
            if not top <= _OVERFLOW:
                break
            np.exp(r, out=r)
        moving = moves.of(rows, r)
        s0 += moving @ ones[: r.size]
        more = moving @ z
        s1 = more if low == part.start else np.add(s1, more, out=s1)
        row, place, weight = sets.ties.within(rows)
        if row.size:
            mass = weight * r[row]
            e0 += sums_by(place, mass, t)
            e1 += sparse.csc_matrix((mass, place, np.arange(row.size + 1)), shape=(t, row.size), copy=False) @ z[row]
    return (top if beta is not None else 0.0), s0, s1, e0, e1


@lru_cache(maxsize=4)
def _constants(rows: int) -> tuple[NDArray[np.int32], Floats]:
    """Where the two movements of each row begin (rows + 1,), and ones (rows,): the same for every block of a fit."""
    pointer, ones = np.arange(0, 2 * rows + 2, 2, dtype=np.int32), np.ones(rows)
    pointer.flags.writeable = ones.flags.writeable = False
    return pointer, ones


class _Moves:
    """(K, rows) sparse: +weight x risk where a row enters, -weight x risk where it leaves; remade for each block in the
    same buffers."""

    def __init__(self, sets: RiskSets, rows: int) -> None:
        self.sets = sets
        self.mass = np.empty((rows if sets.episodes else 0, 2))
        self.pointer = _constants(len(self.mass))[0]

    def of(self, rows: slice, risk: Floats) -> sparse.csc_matrix:
        sets, size = self.sets, risk.size
        if sets.flow_moves is not None:
            moves = sets.flow_moves
            pointer = moves.indptr[rows.start : rows.stop + 1]
            span = slice(pointer[0], pointer[-1])
            mass, slot = moves.data[span] * np.repeat(risk, np.diff(pointer)), moves.indices[span]
            return sparse.csc_matrix((mass, slot, pointer - pointer[0]), shape=(sets.slots, size), copy=False)
        mass = self.mass[:size]
        if sets.unit:
            mass[:, 0] = risk
        else:
            np.multiply(risk, sets.weight[rows], out=mass[:, 0])
        np.negative(mass[:, 0], out=mass[:, 1])
        moving = (mass.reshape(-1), sets.between[rows].reshape(-1), self.pointer[: size + 1])
        return sparse.csc_matrix(moving, shape=(sets.slots, size), copy=False)


def _at_risk(moved: Floats, sets: RiskSets) -> Floats:
    """Sums over the risk sets from sums of movements (K,) or (K, p): what leaves later, minus what enters later.

    Summed backwards, where the risk sets are small, and in extended precision where the machine has it; the
    empty last slot of each stratum is where its sum is zero.
    """
    # By position and not by subtraction: a slot may move a million times what is still there after it.
    total = np.empty(moved.shape)
    columns = moved.reshape(len(moved), -1)
    result = total.reshape(columns.shape)

    def one(j: int) -> None:  # one at a time: K x p in extended precision would be as long as the data
        later = after(columns[:, j], sets.last_slot, np.longdouble)
        np.subtract(0.0, later, out=result[:, j], casting="same_kind")

    tasks = [partial(one, j) for j in range(columns.shape[1])]
    if moved.size < WORTH:
        for task in tasks:
            task()
    else:
        together(tasks)
    return total


def _lost(moved: Floats, s0: Floats, sets: RiskSets) -> bool:
    """Whether a sum over a risk set (K,) has lost its digits beside what enters later and leaves: with late entry, and risks that
    differ by a factor of billions. Without late entry nothing is subtracted."""
    traffic, at = after(np.abs(moved), sets.last_slot), sets.event_slots
    return bool((np.finfo(np.float64).eps * traffic[at] > _DIGITS * s0[at]).any())


def tie_moments(sets: RiskSets, s0: Floats, e0: Floats) -> TieMoments | None:
    """Moments over the tied events of each slot; None when a risk sum is not positive, or too small to square."""
    slot, share, weight, k = sets.tie_slot, sets.tie_share, sets.tie_weight, sets.slots
    d = s0[slot] - share * e0[slot]
    if not (d > _SMALLEST).all() or not np.isfinite(d).all():
        return None
    first = weight / d
    second = first / d

    def total(values: Floats) -> Floats:
        return sums_by(slot, values, k)

    if not sets.tied.size:
        none = np.zeros(k)
        return TieMoments(total(weight * np.log(d)), total(first), none, total(second), none, none)
    return TieMoments(
        total(weight * np.log(d)),
        total(first),
        total(first * share),
        total(second),
        total(second * share),
        total(second * share * share),
    )


def information(sets: RiskSets, x: Floats, at: Likelihood, time_weight: Floats | None = None) -> Floats:
    """(p, p) observed information; with time_weight g (K,) the sum over event times of g_k V_k."""
    g = np.ones(sets.slots) if time_weight is None else time_weight
    m = at.moments
    return less_between(_gram(sets, x, at.risk, cumulative(g * m.d1, sets), g * m.d1c), at, g)


def less_between(total: Floats, at: Likelihood, g: Floats) -> Floats:
    """(p, p) information: the cross-product over all at risk, minus that of the means of the risk sets, with weights g (K,)."""
    m, s1, e1 = at.moments, at.sums.s1, at.sums.e1
    between = s1.T @ ((g * m.d2)[:, None] * s1)
    if m.d2c.any():
        cross = s1.T @ ((g * m.d2c)[:, None] * e1)
        between += e1.T @ ((g * m.d2cc)[:, None] * e1) - cross - cross.T
    total = total - between
    return (total + total.T) / 2


def cumulative(by_slot: Floats, sets: RiskSets) -> Floats:
    """(K, ...) sum over the slots of the stratum before k, so that a difference at [a, b) is the sum over the slots a..b-1."""
    return before(by_slot, sets.last_slot)


def exposure(sets: RiskSets, total: Floats) -> Floats:
    """(n, ...) weight x (total_b - total_a), summed over a row's movements; total (K, ...)."""
    if not sets.episodes:
        return -(sets.moves.T @ total)
    begin, end = sets.bounds()
    return (sets.weight * (total[end] - total[begin]).T).T


def _gram(sets: RiskSets, x: Floats, risk: Floats, total: Floats, tied: Floats) -> Floats:
    """X' diag(w) X with w = risk x exposure to total (K,), minus risk x tied (K,) of the tied events: a block at a time."""
    every = None if sets.episodes else exposure(sets, total)
    tied = tied[sets.ties.slots]
    size = int(np.clip(10 * BLOCK // x.shape[1], BLOCK // 8, BLOCK))  # two copies of a block stay in cache

    def part(rows: slice) -> Floats:
        gram = np.zeros((x.shape[1], x.shape[1]))
        for i in range(rows.start, rows.stop, size):
            block = slice(i, min(i + size, rows.stop))
            if every is None:
                there = np.take(total, sets.between[block])
                weight = there[:, 1] - there[:, 0]
                if not sets.unit:
                    weight *= sets.weight[block]
            else:
                weight = every[block].copy()
            row, place, mass = sets.ties.within(block)
            np.subtract.at(weight, row, mass * tied[place])
            weight *= risk[block]
            gram += np.dot((x[block] * weight[:, None]).T, x[block])
        return gram

    parts = over_rows(part, x.shape[0], BLOCK)
    return sum(parts[1:], parts[0])


def weighted_gram(x: Floats, weight: Floats) -> Floats:
    """X' diag(weight) X for x (n, p), a block of rows at a time."""

    def part(rows: slice) -> Floats:
        total = np.zeros((x.shape[1], x.shape[1]))
        for i in range(rows.start, rows.stop, BLOCK):
            block = slice(i, min(i + BLOCK, rows.stop))
            total += np.dot((x[block] * weight[block, None]).T, x[block])
        return total

    parts = over_rows(part, x.shape[0], BLOCK)
    return sum(parts[1:], parts[0])


def mean_at_events(at: Likelihood, sets: RiskSets) -> Floats:
    """(K, p) covariate mean over each risk set, averaged over its ties; 0 where there is no event."""
    weight = np.where(sets.event_total > 0, sets.event_total, 1.0)
    return (at.moments.d1[:, None] * at.sums.s1 - at.moments.d1c[:, None] * at.sums.e1) / weight[:, None]
