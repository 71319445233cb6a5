"""Fine and Gray's model from flows: what the risk sets of who left otherwise weigh, and the variance where flows hold it.

The weight of who left by another cause at s is K(t)/K(s) at a later t, with K the chance of being observed, so that the
weight of all of them with one pattern of covariates is K(t) times a running sum: time depends on tenures x patterns.
The robust variance is a sum over customers of squared influences. Where all customers of a pattern enter at one tenure, who
leaves when and how says which customers there are, and it is a sum over these cells. With late entry it needs to know who
entered when AND left when, which flows have summed away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from survival.errors import ArgumentError
from survival.estimate.cox import cox
from survival.estimate.cox_data import strata_codes
from survival.estimate.cox_fit import CoxFit
from survival.estimate.efron_ties import efron_terms
from survival.estimate.kaplan_meier import product_limit
from survival.estimate.newton import invert
from survival.flows.frames import pattern_codes
from survival.flows.table import Flows

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
_CELLS = 4_000_000  # of event times x patterns held at a time


@dataclass(frozen=True, eq=False)
class Weighting:
    """Of each censoring group: tenures at which pieces end, and the chance of being observed in the piece before each."""

    group: Ints
    cuts: tuple[Floats, ...]
    chance: tuple[Floats, ...]


def fine_gray_from_flows(
    flows: Flows,
    formula: str,
    cause: str,
    censoring_by: Sequence[str],
    strata: str | Sequence[str],
    options: dict[str, Any],
) -> CoxFit:
    """The model of one cause. Raises ArgumentError for flows with cuts, and for a robust variance with late entry."""
    if not one_pattern(flows):
        raise ArgumentError(
            "fine_gray: in these flows customers change their covariates or come back, and who left by another cause would keep the last "
            "ones, which flows cannot follow: pass the frame of episodes, or flows by what is fixed at signup"
        )
    robust = options.get("robust", True)
    if robust and not one_entry(flows):
        raise ArgumentError(
            "fine_gray: customers of one pattern enter at several tenures, and the robust variance needs to know who of them "
            "left when: pass the frame of episodes, or robust=False for coefficients with the model's standard errors, which "
            "are too small or too large by what the weights add"
        )
    names = [strata] if isinstance(strata, str) else list(strata)
    weighting = weighting_of(flows, censoring_by)
    fit = cox(weighted_flows(flows, cause, weighting), formula, strata=names, **{**options, "robust": False})
    return _robust(fit, flows, cause, weighting, names) if robust else fit


def one_pattern(flows: Flows) -> bool:
    """Whether every customer has one spell with one pattern: nobody goes on, or begins again, in a pattern of flows."""
    cut = (flows.entered != flows.began).any() or (flows.exited != flows.ended).any()
    return not cut and float(flows.began.sum()) <= flows.customers * (1 + 1e-9)


def one_entry(flows: Flows) -> bool:
    """Whether all customers of each pattern enter at one tenure, so that flows say who left when of whom."""
    rows = flows.began > 0
    first = np.full(len(flows.patterns), np.inf)
    last = np.full(len(flows.patterns), -np.inf)
    np.minimum.at(first, flows.pattern[rows], flows.time[rows])
    np.maximum.at(last, flows.pattern[rows], flows.time[rows])
    return bool((last <= first).all())


def weighting_of(flows: Flows, censoring_by: Sequence[str]) -> Weighting:
    """The chance of being observed, by group of censoring."""
    group, _ = pattern_codes(flows.patterns, list(censoring_by), len(flows.patterns))
    made = []
    for code in range(int(group.max()) + 1):
        mine = group[flows.pattern] == code
        time, place = np.unique(flows.time[mine], return_inverse=True)
        columns = (flows.began, flows.entered, flows.exited, flows.events)
        made.append(chance_observed(time, *(np.bincount(place, c[mine], time.size).astype(float) for c in columns)))
    return Weighting(group, tuple(one[0] for one in made), tuple(one[1] for one in made))


def chance_observed(
    time: Floats, began: Floats, entered: Floats, exited: Floats, events: Floats
) -> tuple[Floats, Floats]:
    """Tenures (m,) at which pieces end, and the chance (m,) of being observed in the piece before: G(t) H(t).

    From counts at distinct times. G is the product-limit estimate of not being censored, a churn at a tenure coming before a
    censoring; H, where somebody enters late, that of having entered, from the end backwards.
    """
    inside = np.cumsum(entered - exited)  # start <= t < stop
    at_risk = np.append(0.0, inside[:-1])  # start < t <= stop
    last = time[exited > 0][-1]
    gone = exited - events - (entered - began)  # a cut between two episodes is no censoring
    rows = np.flatnonzero(gone > 0)
    present = at_risk[rows] - events[rows]
    moments, g = time[rows], np.append(1.0, product_limit(present, gone[rows], present - gone[rows])[0])
    came = np.flatnonzero(began > 0)
    if not (time[came] > time[exited > 0][0]).any():
        return np.append(moments, last), g
    new, left = began[came][::-1], inside[came][::-1]
    h = np.append(product_limit(left, new, left - new)[0][::-1][1:], 1.0)
    both = np.union1d(time[came], moments)
    kept = h[np.searchsorted(time[came], both, side="right") - 1] * g[np.searchsorted(moments, both, side="right")]
    return np.append(both, last), np.append(1.0, kept)


def weighted_flows(flows: Flows, cause: str, weighting: Weighting) -> Flows:
    """The flows of Fine and Gray's risk sets: who left by another cause stays, with the weight of those still observed."""
    own = flows.cause_events[flows.causes.index(cause)]
    other = flows.events - own
    group = weighting.group[flows.pattern]
    parts = []
    for code, (cuts, chance) in enumerate(zip(weighting.cuts, weighting.chance)):
        mine = np.flatnonzero(group == code)
        time, pattern = flows.time[mine], flows.pattern[mine]
        none = np.zeros(mine.size)
        piece = np.searchsorted(cuts, time, side="left")
        parts.append((time, pattern, flows.entered[mine], flows.exited[mine] - other[mine], own[mine]))
        parts.append((cuts[np.minimum(piece, cuts.size - 1)], pattern, none, other[mine], none))
        parts += _pieces(cuts, chance, piece, pattern, other[mine], flows.time[own > 0])
    time, pattern, entered, exited, events = (np.concatenate(columns) for columns in zip(*parts))
    return _summed(flows, time, pattern.astype(np.intp), entered, exited, events)


def _pieces(
    cuts: Floats, chance: Floats, piece: Ints, pattern: Ints, other: Floats, events: Floats
) -> list[tuple[Any, ...]]:
    """Pieces (cuts[j - 1], cuts[j]] that hold an event of the cause, with the weight of each pattern in them."""
    kept = np.unique(np.searchsorted(cuts, events, side="left"))
    kept = kept[(kept > 0) & (kept < cuts.size)]
    left = np.flatnonzero(other > 0)
    if not kept.size or not left.size:
        return []
    patterns, column = np.unique(pattern[left], return_inverse=True)
    out = []
    some = max(1, _CELLS // cuts.size)
    for first in range(0, patterns.size, some):
        mine = (column >= first) & (column < first + some)
        width = min(some, patterns.size - first)
        gone = np.zeros((cuts.size + 1, width))
        np.add.at(gone, (piece[left[mine]] + 1, column[mine] - first), other[left[mine]] / chance[piece[left[mine]]])
        weight = np.cumsum(gone, axis=0)[kept] * chance[kept][:, None]
        j, p = np.nonzero(weight > 0)
        who, value, nothing = patterns[first + p], weight[j, p], np.zeros(j.size)
        out.append((cuts[kept[j] - 1], who, value, nothing, nothing))
        out.append((cuts[kept[j]], who, nothing, value, nothing))
    return out


def _summed(flows: Flows, time: Floats, pattern: Ints, entered: Floats, exited: Floats, events: Floats) -> Flows:
    times, place = np.unique(time, return_inverse=True)
    cells, row = np.unique(pattern * np.int64(times.size) + place, return_inverse=True)

    def total(values: Floats) -> Floats:
        return np.bincount(row, weights=values, minlength=cells.size).astype(np.float64)

    into, out, churned = total(entered), total(exited), total(events)
    return Flows(
        time=times[cells % times.size], pattern=(cells // times.size).astype(np.intp), entered=into, exited=out,
        events=churned, deaths=churned.copy(), began=into.copy(), ended=out.copy(), patterns=flows.patterns,
        customers=flows.customers, episodes=flows.episodes,
    )  # fmt: skip


# --- The robust variance ---------------------------------------------------------------------------------------------


def _robust(fit: CoxFit, flows: Flows, cause: str, weighting: Weighting, strata: Sequence[str]) -> CoxFit:
    """The same fit with the variance by customer: inverse information x Σ n u uᵀ x inverse information."""
    data, _ = fit._held("the robust variance")
    beta, _, centre, scale = fit.inner
    own = flows.cause_events[flows.causes.index(cause)]
    weighted = weighted_flows(flows, cause, weighting)
    stratum, _ = strata_codes(flows.patterns, tuple(strata))
    codes = np.zeros(len(flows.patterns), np.intp) if stratum is None else stratum
    x = data.x if data.x.shape[1] == beta.size else data.x[:, list(range(beta.size))]
    middle = np.zeros((beta.size, beta.size))
    for code in np.unique(codes):
        hazard = _hazard_of(weighted, x, beta, codes == code, fit.options.ties == "efron")
        middle += _squares(flows, own, weighting, x, beta, codes == code, hazard)
    inner = fit._model_inner() @ middle @ fit._model_inner()
    outer = np.full_like(fit.model_variance, np.nan)
    outer[np.ix_(fit.estimated, fit.estimated)] = inner / np.outer(scale, scale)
    return replace(
        fit, options=replace(fit.options, robust=True), variance=outer,
        wald_statistic=float(beta @ invert(inner) @ beta), inner=(beta, inner, centre, scale),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Hazard:
    """At m event times: steps of the baseline (m,) and of its product with the mean covariates (m, q), for who stays at risk
    and for who leaves then (`own`), and the mean (m, q) that a churn is compared with."""

    time: Floats
    step: Floats
    step_mean: Floats
    own: Floats
    own_mean: Floats
    mean: Floats


def _hazard_of(flows: Flows, x: Floats, beta: Floats, mine: NDArray[np.bool_], efron: bool) -> _Hazard:
    rows = np.flatnonzero(mine[flows.pattern])
    time = np.unique(flows.time[rows][flows.events[rows] > 0])
    m, q = time.size, beta.size
    s0, s1, d0, d1, deaths = np.zeros(m), np.zeros((m, q)), np.zeros(m), np.zeros((m, q)), np.zeros(m)
    risk = np.exp(x @ beta)
    patterns = np.flatnonzero(mine)
    place = np.full(mine.size, -1, np.intp)
    place[patterns] = np.arange(patterns.size)
    some = max(1, _CELLS // max(m, 1))
    for first in range(0, patterns.size, some):
        part = patterns[first : first + some]
        here = rows[(place[flows.pattern[rows]] >= first) & (place[flows.pattern[rows]] < first + some)]
        change = np.zeros((m + 1, part.size))
        after = np.searchsorted(time, flows.time[here], side="right")  # event times later than the row
        np.add.at(change, (after, place[flows.pattern[here]] - first), flows.entered[here] - flows.exited[here])
        at_risk = np.maximum(np.cumsum(change, axis=0)[:m], 0.0) * risk[part]
        s0 += at_risk.sum(axis=1)
        s1 += at_risk @ x[part]
    churned = rows[flows.events[rows] > 0]
    slot, weight = np.searchsorted(time, flows.time[churned]), flows.events[churned]
    np.add.at(deaths, slot, weight)
    np.add.at(d0, slot, weight * risk[flows.pattern[churned]])
    np.add.at(d1, slot, (weight * risk[flows.pattern[churned]])[:, None] * x[flows.pattern[churned]])
    which, share, count = efron_terms(np.rint(deaths).astype(np.intp)) if efron else (np.arange(m), np.zeros(m), deaths)
    a = s0[which] - share * d0[which]
    mean = (s1[which] - share[:, None] * d1[which]) / a[:, None]
    parts = [(count / a)[:, None], (count / a)[:, None] * mean, ((1 - share) * count / a)[:, None]]
    parts += [parts[2] * mean, (count / deaths[which])[:, None] * mean]
    sums = np.zeros((m, sum(one.shape[1] for one in parts)))
    np.add.at(sums, which, np.concatenate(parts, axis=1))
    step, step_mean, own, own_mean, middle = np.split(sums, [1, 1 + q, 2 + q, 2 + 2 * q], axis=1)
    return _Hazard(time, step[:, 0], step_mean, own[:, 0], own_mean, middle)


def _squares(
    flows: Flows, own: Floats, weighting: Weighting, x: Floats, beta: Floats, mine: NDArray[np.bool_], hazard: _Hazard
) -> Floats:
    """Σ n u uᵀ over cells of pattern, tenure and how they left; u the influence of one customer of the cell."""
    q, time = beta.size, hazard.time
    lived = np.concatenate((np.zeros((1, 1 + q)), np.cumsum(np.column_stack([hazard.step, hazard.step_mean]), axis=0)))
    entry = np.zeros(len(flows.patterns))
    began = flows.began > 0
    entry[flows.pattern[began]] = flows.time[began]
    out = np.zeros((q, q))
    for code, (cuts, chance) in enumerate(zip(weighting.cuts, weighting.chance)):
        rows = np.flatnonzero(mine[flows.pattern] & (weighting.group[flows.pattern] == code) & (flows.exited > 0))
        piece_of = np.searchsorted(cuts, time, side="left")  # beyond the last: nobody of the group is observed
        kept = np.append(chance, 0.0)[piece_of][:, None] * np.column_stack([hazard.step, hazard.step_mean])
        ahead = np.concatenate((np.zeros((1, 1 + q)), np.cumsum(kept, axis=0)))
        pattern, stop = flows.pattern[rows], flows.time[rows]
        z, risk = x[pattern], np.exp(x[pattern] @ beta)[:, None]
        start = np.searchsorted(time, entry[pattern], side="right")

        def influence(total: Floats, z: Floats = z, risk: Floats = risk) -> Floats:
            return -risk * (z * total[:, :1] - total[:, 1:])

        until = np.searchsorted(time, stop, side="right")
        censored = influence(lived[until] - lived[start])
        piece = np.searchsorted(cuts, stop, side="left")
        whole = np.searchsorted(time, cuts[piece], side="right")
        stays = lived[whole] - lived[start] + (ahead[-1] - ahead[whole]) / chance[piece][:, None]
        slot = np.minimum(np.searchsorted(time, stop, side="left"), time.size - 1)
        at_own = lived[slot] - lived[start] + np.column_stack([hazard.own, hazard.own_mean])[slot]
        churned = z - hazard.mean[slot] + influence(at_own)
        others = flows.events[rows] - own[rows]
        for n, u in (
            (own[rows], churned),
            (others, influence(stays)),
            (flows.exited[rows] - flows.events[rows], censored),
        ):
            out += (n[:, None] * u).T @ u
    return out
