"""The exact partial likelihood of tied events: d of those at risk leave, and each set of d is one possible choice.

The denominator of an event time is the elementary symmetric polynomial e_d of the relative risks. By tilting each risk to
a probability p = ρr/(1 + ρr) with Σp = d it is a probability that a sum of independent 0/1 variables is d, and that is a
short Fourier sum: about 10 √d terms give all digits, whatever the number at risk, and customers alike count once. Its
derivatives are sums with the same terms. Gail, Lubin & Rubinstein (1981) have the likelihood (R's ties="exact", which
recurses over the risk set); Fernández & Williams (2010) and Hong (2013) the Fourier sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse, special

from survival.errors import ArgumentError
from survival.estimate.estimability import highest_at_risk, leading
from survival.estimate.objectives import CoxPoint, Partial
from survival.estimate.partial_likelihood import Likelihood, information
from survival.estimate.risk_sets import Floats, Ints
from survival.estimate.tied_members import TiedMembers, tied_members

_MOST_TERMS = 500_000_000  # members x Fourier terms of one evaluation: some 15 seconds
_TERMS_ALIVE = 100_000  # members x terms at a time
_LEAST_TERMS = 16
_TAIL = -45.0  # log of what the Fourier sum may leave out, relatively
_SMALL = 50.0  # minus the log of the size at which later Fourier terms are left out
_DIRECTION = 1e-3


@dataclass(frozen=True, eq=False)
class ExactPoint:
    """The exact log likelihood at beta (p,), its gradient, and the part (p, p) of its information that the ties have, which comes
    from the same sums; `likelihood` is Breslow's at the same beta."""

    beta: Floats
    log_likelihood: float
    score: Floats
    likelihood: Likelihood
    tied: Floats


@dataclass(frozen=True, eq=False)
class _Part:
    """Members low..high-1, whose slots begin at `first` (relative to low), tie sizes d, and Fourier terms."""

    low: int
    high: int
    first: Ints
    slots: slice
    terms: int


class ExactTies:
    """The exact likelihood; `partial` must have Breslow's sets, without weights."""

    def __init__(self, partial: Partial) -> None:
        self.partial = partial
        self.members = tied_members(partial.sets, partial.x, partial.offset)
        self._parts = _parts(self.members)
        sets = partial.sets
        self._tied = np.flatnonzero(sets.deaths > 1)
        self._untied = (sets.deaths <= 1).astype(np.float64)
        left = sets.deaths > 1  # where all leave, the choice is certain: log e_d is their linear predictors' sum
        left[self.members.slot] = False
        self._certain, self._all_leave = np.flatnonzero(left[sets.event_slot]), left

    def evaluate(self, beta: Floats) -> ExactPoint | None:
        """At `beta`; None where it is not finite."""
        point = self.partial.evaluate(beta)
        if point is None:
            return None
        at, sets, tied = point.likelihood, self.partial.sets, self._tied
        row, count = sets.event_row[self._certain], sets.event_count[self._certain]
        certain = count @ self.partial.x[row]
        value = at.log_likelihood + float(at.moments.log_d[tied].sum()) + at.shift * float(sets.deaths[tied].sum())
        value -= float(certain @ beta)
        if self.partial.offset is not None:
            value -= float(count @ self.partial.offset[row])
        score = at.score + at.moments.d1[tied] @ at.sums.s1[tied] - certain
        second = np.zeros((beta.size, beta.size))
        for part in self._parts:
            logs, expected, spread = self._part(part, beta)
            value, score, second = value - logs, score - expected, second + spread
        return ExactPoint(at.beta, value, score, at, second) if np.isfinite(value) else None

    def information(self, at: CoxPoint) -> Floats:
        """(p, p)."""
        assert isinstance(at, ExactPoint)
        total = information(self.partial.sets, self.partial.x, at.likelihood, self._untied) + at.tied
        return (total + total.T) / 2

    def never_falls(self, direction: Floats) -> bool:
        """Whether at each event time those who leave have the d largest x'direction."""
        sets, members = self.partial.sets, self.members
        z = self.partial.x @ leading(direction)
        spread = float(np.ptp(z))
        if not np.isfinite(spread) or spread == 0:
            return False
        highest = highest_at_risk(sets, z)
        others = np.full(members.slot.size, -np.inf)
        staying = members.staying > 0
        np.maximum.at(others, members.of[staying], (members.x @ leading(direction))[members.group[staying]])
        highest[members.slot], highest[self._all_leave] = others, -np.inf
        return bool((z[sets.event_row] >= highest[sets.event_slot] - _DIRECTION * spread).all())

    def _part(self, part: _Part, beta: Floats) -> tuple[float, Floats, Floats]:
        """Σ log e_d, Σ of its gradient (p,), and of its second derivatives (p, p)."""
        members = self.members
        here = slice(part.low, part.high)
        group, count = members.group[here], members.count[here]
        x, d = members.x[group], members.deaths[part.slots]
        linear = x @ beta + (0.0 if members.offset is None else members.offset[group])
        tilt, share = _tilt(linear, count, part.first, d)
        lengths = np.diff(np.append(part.first, group.size))
        each = np.repeat(tilt, lengths)
        logs = np.add.reduceat(count * np.logaddexp(0.0, linear + each), part.first) - d * tilt
        spread_of_sum = np.add.reduceat(count * share * (1 - share), part.first)
        kept = int(_kept(np.full(d.size, part.terms), spread_of_sum).max())
        total, mean, cross, spread = _fourier(share, count, x, part.first, d, part.terms, kept)
        mean /= total[:, None]
        second = (x * (count * spread / np.repeat(total, lengths))[:, None]).T @ x
        second += (cross / total[:, None, None]).sum(axis=0) - mean.T @ mean
        return float((logs + np.log(total / part.terms)).sum()), mean.sum(axis=0), second


def _tilt(linear: Floats, count: Floats, first: Ints, deaths: Floats) -> tuple[Floats, Floats]:
    """u (s,) of each slot with Σ count / (1 + exp(-linear - u)) = deaths, and these shares (c,). Newton, kept in bounds."""
    lengths = np.diff(np.append(first, linear.size))
    whole = np.add.reduceat(count, first)
    middle = special.logit(deaths / whole)
    low, high = middle - np.maximum.reduceat(linear, first), middle - np.minimum.reduceat(linear, first)
    u = (low + high) / 2
    for _ in range(100):
        share = special.expit(linear + np.repeat(u, lengths))
        gap = np.add.reduceat(count * share, first) - deaths
        low, high = np.where(gap < 0, u, low), np.where(gap > 0, u, high)
        slope = np.add.reduceat(count * share * (1 - share), first)
        with np.errstate(divide="ignore", invalid="ignore"):
            new = u - gap / slope
        new = np.where((new > low) & (new < high), new, (low + high) / 2)
        if (np.abs(gap) <= 1e-10 * deaths).all():
            break
        u = new
    return u, share


def _fourier(
    share: Floats, count: Floats, x: Floats, first: Ints, deaths: Floats, terms: int, kept: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Sums over the terms, with h = share turn / (1 - share + share turn) of each member: of the terms themselves (s,), which is `terms`
    times the probability that the sum is `deaths`; of term E (s, p) and term E E' (s, p, p), E = Σ count x h over the members; and of
    term h (1 - h) (c,); the real part of each.

    terms is odd, so that no angle is π; the second half are conjugates of the first, whose last may be left out. Some terms at a time, in
    real numbers, so that what is alive stays in cache.
    """
    s, p, stay, alone = first.size, x.shape[1], 1.0 - share, bool((count == 1.0).all())
    lengths = np.diff(np.append(first, share.size))
    pointer = (np.arange(p)[:, None] * share.size + first).ravel()
    member = np.tile(np.arange(share.size), p)
    sums = sparse.csr_matrix(
        ((x.T * count).ravel(), member, np.append(pointer, member.size)), shape=(p * s, share.size)
    )
    total, mean, cross, spread = np.zeros(s), np.zeros((s, p)), np.zeros((s, p, p)), np.zeros(share.size)
    step = max(_TERMS_ALIVE // share.size, _LEAST_TERMS)
    for low in range(0, kept, step):
        angle = 2 * np.pi * np.arange(low, min(low + step, kept)) / terms
        cosine, sine = np.cos(angle), np.sin(angle)
        real, imaginary = 1.0 - share[:, None] * (2 * np.sin(angle / 2) ** 2), share[:, None] * sine
        size = real * real + imaginary * imaginary
        if alone:
            term = np.multiply.reduceat(real + 1j * imaginary, first, axis=0)
        else:
            log_size = np.add.reduceat(count[:, None] * np.log(size), first, axis=0) / 2
            term = np.exp(log_size + 1j * np.add.reduceat(count[:, None] * np.arctan2(imaginary, real), first, axis=0))
        term *= np.exp(-1j * np.outer(deaths, angle)) * np.where(angle > 0, 2.0, 1.0)
        a, b = term.real.copy(), term.imag.copy()
        # h, in the arrays of its denominator.
        np.divide(share[:, None], size, out=size)
        np.multiply(share[:, None], 1.0 - cosine, out=real)
        real += cosine
        real *= size
        np.multiply(stay[:, None], sine, out=imaginary)
        imaginary *= size
        e, f = (sums @ real).reshape(p, s, -1), (sums @ imaginary).reshape(p, s, -1)
        g, h = a * e - b * f, a * f + b * e
        total += a.sum(axis=1)
        mean += g.sum(axis=2).T
        cross += np.einsum("psm,qsm->spq", g, e) - np.einsum("psm,qsm->spq", h, f)
        spread += np.einsum("cm,cm->c", np.repeat(a, lengths, axis=0), real * (1.0 - real) + imaginary * imaginary)
        spread -= np.einsum("cm,cm->c", np.repeat(b, lengths, axis=0), imaginary * (1.0 - 2.0 * real))
    return total, mean, cross, spread


def _parts(members: TiedMembers) -> list[_Part]:
    """The slots in parts of a bounded size, in each of which all have the number of terms of the largest."""
    terms = fourier_terms(members.deaths, members.at_risk)
    kept = _kept(terms, members.deaths * (1 - members.deaths / members.at_risk) / 2)
    cost = float((members.lengths * kept).sum())
    if cost > _MOST_TERMS:
        raise ArgumentError(
            f"ties='exact' is too much work here: {members.deaths.size:,} tied event times with up to "
            f"{members.deaths.max():,.0f} events among {members.lengths.max():,} at risk. Take ties='efron', a "
            "discrete-time model (discrete_cox), or covariates with few values, by which customers are counted together"
        )
    first, parts, low = members.first, [], 0
    while low < terms.size:
        size = np.cumsum(members.lengths[low:]) * np.maximum.accumulate(kept[low:])
        high = low + max(1, int(np.searchsorted(size, _TERMS_ALIVE, side="right")))
        begin, end = int(first[low]), int(first[high]) if high < first.size else members.group.size
        parts.append(_Part(begin, end, first[low:high] - begin, slice(low, high), int(terms[low:high].max())))
        low = high
    return parts


def _kept(terms: Ints, variance: Floats) -> Ints:
    """How many of the terms (s,) are not negligible: the sizes fall as exp(-2 variance sin²(angle / 2))."""
    furthest = 2 * np.arcsin(np.minimum(1.0, np.sqrt(_SMALL / 2 / np.maximum(variance, 1e-300))))
    return np.minimum((terms + 1) // 2, np.ceil(terms * furthest / (2 * np.pi)).astype(np.intp) + 1)


def fourier_terms(deaths: Floats, at_risk: Floats) -> Ints:
    """How many terms, an odd number, give the probability of `deaths` (s,) to all digits: what they leave out are sums
    at a distance of so many, rarer than in Poisson's distribution; at_risk + 1 terms are exact."""
    wanted = np.ones(deaths.size)
    for _ in range(60):  # a bound by fixed point from below: M log d + log d! - log (d + M)! <= tail
        excess = wanted * np.log(deaths) + special.gammaln(deaths + 1) - special.gammaln(deaths + wanted + 1) - _TAIL
        if (excess <= 0).all():
            break
        wanted = np.where(excess > 0, wanted + np.maximum(1.0, np.ceil(0.3 * np.sqrt(deaths))), wanted)
    terms = np.minimum(wanted, at_risk + 1).astype(np.intp)
    return terms + (terms % 2 == 0)
