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
from numpy.typing import NDArray
from scipy import special

from survival.errors import ArgumentError
from survival.estimate.estimability import highest_at_risk, leading
from survival.estimate.objectives import CoxPoint, Partial
from survival.estimate.partial_likelihood import Likelihood, information
from survival.estimate.risk_sets import Floats, Ints
from survival.estimate.tied_members import TiedMembers, tied_members

_MOST_TERMS = 100_000_000  # members x Fourier terms of one evaluation: some 20 seconds
_TERMS_ALIVE = 2_000_000
_TAIL = -45.0  # log of what the Fourier sum may leave out, relatively
_SMALL = 50.0  # minus the log of the size at which later Fourier terms are left out
_DIRECTION = 1e-3


@dataclass(frozen=True, eq=False)
class ExactPoint:
    """The exact log likelihood at beta (p,), its gradient and information; `likelihood` is Breslow's at the same beta."""

    beta: Floats
    log_likelihood: float
    score: Floats
    likelihood: Likelihood


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
        self._certain = np.flatnonzero(left[sets.event_slot])

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
        for part in self._parts:
            logs, expected, _ = self._part(part, beta, None)
            value, score = value - logs, score - expected
        return ExactPoint(at.beta, value, score, at) if np.isfinite(value) else None

    def information(self, at: CoxPoint) -> Floats:
        """(p, p)."""
        total = information(self.partial.sets, self.partial.x, at.likelihood, self._untied)
        for part in self._parts:
            total += self._part(part, at.beta, total)[2]
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
        highest[members.slot] = others
        return bool((z[sets.event_row] >= highest[sets.event_slot] - _DIRECTION * spread).all())

    def _part(self, part: _Part, beta: Floats, info: Floats | None) -> tuple[float, Floats, Floats]:
        """Σ log e_d, Σ of its gradient (p,), and, when `info` is asked for, of its second derivatives (p, p)."""
        members = self.members
        here = slice(part.low, part.high)
        group, count = members.group[here], members.count[here]
        x, d = members.x[group], members.deaths[part.slots]
        linear = x @ beta + (0.0 if members.offset is None else members.offset[group])
        tilt, share = _tilt(linear, count, part.first, d)
        each = np.repeat(tilt, np.diff(np.append(part.first, group.size)))
        logs = np.add.reduceat(count * np.logaddexp(0.0, linear + each), part.first) - d * tilt
        spread_of_sum = np.add.reduceat(count * share * (1 - share), part.first)
        kept = int(_kept(np.full(d.size, part.terms), spread_of_sum).max())
        weight, held, log_probability = _fourier(share, count, part.first, d, part.terms, kept)
        expected = np.stack(
            [np.add.reduceat(held * (count * x[:, j])[:, None], part.first, axis=0) for j in range(x.shape[1])], axis=2
        )
        mean = np.einsum("sm,smp->sp", weight, expected).real
        value = float((logs + log_probability).sum())
        if info is None:
            return value, mean.sum(axis=0), np.empty(0)
        lengths = np.diff(np.append(part.first, group.size))
        spread = np.einsum("cm,cm->c", np.repeat(weight, lengths, axis=0), held * (1 - held)).real
        second = np.einsum("sm,smp,smq->pq", weight, expected, expected, optimize=True).real
        return value, mean.sum(axis=0), (x * (count * spread)[:, None]).T @ x + second - mean.T @ mean


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
    share: Floats, count: Floats, first: Ints, deaths: Floats, terms: int, kept: int
) -> tuple[NDArray[np.complex128], NDArray[np.complex128], Floats]:
    """Weights (s, kept) of the terms, tilted shares (c, kept), and the log probability (s,) that the sum is `deaths`.

    terms is odd, so that no angle is π; the second half are conjugates of the first, whose last may be left out.
    """
    angle = 2 * np.pi * np.arange(kept) / terms
    turn = np.exp(1j * angle)
    factor = 1 + share[:, None] * (turn - 1)
    held = share[:, None] * turn / factor
    log_term = np.add.reduceat(count[:, None] * np.log(factor), first, axis=0) - 1j * np.outer(deaths, angle)
    term = np.exp(log_term)
    term[:, 1:] *= 2
    total = term.real.sum(axis=1)
    return term / total[:, None], held, np.log(total / terms)


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
