"""The infinitesimal jackknife: variances that add up by customer, right for weights that are no counts.

A customer's influence on log Ŝ(t), per unit of weight, is G(min(stop, t)) - G(start) - 1{event by t} / (n - d), with
G = Σ d/(n(n-d)). While at risk it is linear in G(t), so that sums of squares over customers are running sums over time of
what changes when somebody enters or leaves: one pass over the rows, and then days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from survival.errors import ArgumentError
from survival.estimate.cohort_counts import CohortCounts, Counts, cohort_counts, labelled, names_of
from survival.estimate.intervals import normal_quantile
from survival.flows.columns import complete
from survival.flows.frames import EpisodeArrays, episode_arrays, flows_of, pattern_codes
from survival.flows.table import Flows

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Rows:
    """Episodes of one group: start, stop (n,), event (n,) bool, weight (n,), customer (n,) codes."""

    start: Floats
    stop: Floats
    event: NDArray[np.bool_]
    weight: Floats
    customer: Codes


@dataclass(frozen=True, eq=False)
class Changes:
    """What changes a customer's state x = (constant, slope): time, customer (b,) and the steps of x (b, 2).

    At any time the influence of the customer is constant + slope · G(time).
    """

    time: Floats
    customer: Codes
    step: Floats


def hazard_sums(risk: CohortCounts) -> tuple[Floats, Floats]:
    """G (m,) = Σ d/(n(n-d)) and 1/(n-d) (m,); both 0 in steps where all at risk churn, after which retention is 0."""
    step, own = np.zeros_like(risk.time), np.zeros_like(risk.time)
    use = (risk.events > 0) & (risk.left_over > 0)
    step[use] = risk.events[use] / (risk.at_risk[use] * risk.left_over[use])
    own[use] = 1 / risk.left_over[use]
    return np.cumsum(step), own


def changes(rows: Rows, risk: CohortCounts) -> Changes:
    """Entries and exits as steps of the state."""
    total, own = hazard_sums(risk)
    at_start, at_stop = _at(total, risk.time, rows.start), _at(total, risk.time, rows.stop)
    lost = np.where(rows.event, _at(own, risk.time, rows.stop), 0.0)
    w = rows.weight
    step = np.concatenate([np.column_stack([-w * at_start, w]), np.column_stack([w * (at_stop - lost), -w])])
    return Changes(np.concatenate([rows.start, rows.stop]), np.tile(rows.customer, 2), step)


def _at(values: Floats, time: Floats, wanted: Floats) -> Floats:
    """A step function given at `time` (m,), at `wanted` (n,); 0 before."""
    return np.concatenate(([0.0], values))[np.searchsorted(time, wanted, side="right")]


def moments(parts: list[Changes], grid: Floats) -> Floats:
    """Σ over customers of x xᵀ at the times of `grid` (m,): (m, 2p, 2p), x the states of the p `parts` side by side."""
    time, customer, step = _joined(parts)
    state = _within(customer, step)
    before = state - step
    row = np.searchsorted(grid, time, side="left")
    out = np.zeros((grid.size, step.shape[1], step.shape[1]))
    for i in range(step.shape[1]):
        for j in range(i + 1):
            change = state[:, i] * state[:, j] - before[:, i] * before[:, j]
            sums = np.cumsum(np.bincount(row, weights=change, minlength=grid.size + 1)[: grid.size])
            out[:, i, j] = out[:, j, i] = sums
    return out


def _joined(parts: list[Changes]) -> tuple[Floats, Codes, Floats]:
    """All changes by customer and time: time, customer (b,), and the steps of all states side by side (b, 2p)."""
    time = np.concatenate([part.time for part in parts])
    customer = np.concatenate([part.customer for part in parts])
    step = np.zeros((time.size, 2 * len(parts)))
    first = 0
    for number, part in enumerate(parts):
        step[first : first + part.time.size, 2 * number : 2 * number + 2] = part.step
        first += part.time.size
    order = np.lexsort((time, customer))
    return time[order], customer[order], step[order]


def fourth_moments(parts: list[Changes], grid: Floats) -> Floats:
    """Σ over customers of y yᵀ at the times of `grid` (m,), y the q products x_i x_j, i >= j, of the states x: (m, q, q).

    Then Σ u⁴ = a yᵀy a for an influence u = s·x, with a = s_i s_j, twice for i > j (see `products`).
    """
    time, customer, step = _joined(parts)
    state = _within(customer, step)
    now, before = products(state), products(state - step)
    row = np.searchsorted(grid, time, side="left")
    out = np.zeros((grid.size, now.shape[1], now.shape[1]))
    for i in range(now.shape[1]):
        for j in range(i + 1):
            change = now[:, i] * now[:, j] - before[:, i] * before[:, j]
            sums = np.cumsum(np.bincount(row, weights=change, minlength=grid.size + 1)[: grid.size])
            out[:, i, j] = out[:, j, i] = sums
    return out


def products(x: Floats, double: bool = False) -> Floats:
    """The products x_i x_j, i >= j, of the columns of x (b, p); with `double` those of i > j twice."""
    pairs = [(i, j) for i in range(x.shape[1]) for j in range(i + 1)]
    return np.column_stack([(2.0 if double and i != j else 1.0) * x[:, i] * x[:, j] for i, j in pairs])


def t_over_normal(second: Floats, fourth: Floats, customers: int, level: float) -> Floats:
    """By how much Student's quantile exceeds the normal one (m,), at the degrees of freedom of a sum of squares of influence.

    2 V² / (Σ u⁴ - V² / n) with V = Σ u²: n for normal influences of n customers, few where few customers weigh most
    (Satterthwaite 1946). At least 1.
    """
    spare = fourth - second**2 / max(customers, 1)
    df = np.divide(2 * second**2, spare, out=np.full_like(second, float(customers)), where=spare > 0)
    df = np.clip(df, 1.0, max(customers, 1))
    return np.asarray(stdtrit(df, 0.5 + level / 2) / normal_quantile(level))


def _within(customer: Codes, step: Floats) -> Floats:
    """Running sums (b, q) of the steps within each customer; `customer` sorted."""
    total = np.cumsum(step, axis=0)
    starts = np.flatnonzero(np.concatenate(([True], customer[1:] != customer[:-1])))
    lengths = np.diff(np.append(starts, customer.size))
    base = np.concatenate((np.zeros((1, step.shape[1])), total[starts[1:] - 1]))
    return total - np.repeat(base, lengths, axis=0)


def robust_variance(rows: Rows, risk: CohortCounts) -> Floats:
    """Variance (m,) of log retention at the rows of `risk`. Source: R's survfit(robust = TRUE, id =)."""
    total, _ = hazard_sums(risk)
    x = moments([changes(rows, risk)], risk.time)
    variance = x[:, 0, 0] + 2 * total * x[:, 0, 1] + total**2 * x[:, 1, 1]
    return np.maximum(variance, 0.0)


def robust_area_variance(rows: Rows, risk: CohortCounts, retention: Floats, horizon: float) -> float:
    """Variance of the area under the curve up to `horizon`, by customer: each influence times the area still to come."""
    inside = risk.time <= horizon
    time, curve = risk.time[inside], retention[inside]
    area = np.cumsum((curve * np.diff(np.append(time, horizon)))[::-1])[::-1]
    total, own = hazard_sums(risk)
    total = np.cumsum(np.diff(total[inside], prepend=0.0) * area)
    own = own[inside] * area
    gained = _at(total, time, np.minimum(rows.stop, horizon)) - _at(total, time, np.minimum(rows.start, horizon))
    lost = np.where(rows.event & (rows.stop <= horizon), _at(own, time, np.minimum(rows.stop, horizon)), 0.0)
    return float((np.bincount(rows.customer, weights=rows.weight * (gained - lost)) ** 2).sum())


def counts_and_rows(
    frame: Any,
    stop: str,
    event: str,
    start: str | None,
    *,
    by: str | Sequence[str] | None,
    weights: str | None,
    customer: str | None,
    spell: str | None,
    order: Sequence[Any] | None,
    robust: bool | None,
    cluster: str | None = None,
) -> tuple[Counts, dict[int, Rows] | None]:
    """Counts by group, and, where the variance is to be robust, the episodes of each group by its number.

    `robust` None: with a `cluster`, with weights that are no counts, and when a customer has several spells in one group.
    The variance adds up by `cluster`, else by customer.
    """
    if isinstance(frame, Flows):
        if robust or cluster is not None:
            what = "robust=True" if cluster is None else f"cluster='{cluster}'"
            raise ArgumentError(f"{what} adds up by customer, whom flows do not hold: give the frame of episodes")
        named = {"start": start, "weights": weights, "customer": customer, "spell": spell}
        return cohort_counts(frame, stop, event, by=by, order=order, **named), None
    groups, layer = names_of(by), [] if cluster is None else [cluster]
    given: dict[str, Any] = {"weights": weights, "customer": customer, "spell": spell, "keep": [*groups, *layer]}
    episodes = episode_arrays(frame, stop, event, start, **given)
    flows = flows_of(episodes, groups)
    sets = cohort_counts(flows, by=by, order=order)
    sets = Counts(sets.groups, sets.strata, episodes.findings)
    codes, _ = pattern_codes(episodes.columns, groups, len(episodes))
    if robust is None:
        whole = weights is None or bool((episodes.weight == np.rint(episodes.weight)).all())
        robust = cluster is not None or not whole or (spell is not None and several_spells(episodes, codes))
    if not robust:
        return sets, None
    return sets, rows_by_group(episodes, units(episodes, cluster), groups, codes, flows, sets, order)


def units(episodes: EpisodeArrays, cluster: str | None) -> Codes:
    """Who is one unit of the variance, a code for each episode (n,): its cluster, else its customer."""
    if cluster is None:
        return episodes.customer
    return np.unique(complete(episodes.columns, cluster, "cluster").to_numpy(), return_inverse=True)[1]


def several_spells(episodes: EpisodeArrays, group: Codes) -> bool:
    """Whether a customer has two spells or more within one group (n,)."""
    place = group.astype(np.int64)
    people = np.unique(place * (int(episodes.customer.max()) + 1) + episodes.customer).size
    return bool(np.unique(place * (int(episodes.spell.max()) + 1) + episodes.spell).size > people)


def rows_by_group(
    episodes: EpisodeArrays,
    unit: Codes,
    groups: Sequence[str],
    codes: Codes,
    flows: Flows,
    sets: Counts,
    order: Sequence[Any] | None,
) -> dict[int, Rows]:
    """The episodes of each group, with the unit of each; rows of weight 0 are nobody."""
    number = labelled(flows.patterns, groups, order)[0][codes]
    found = {}
    for risk in sets:
        mine = np.flatnonzero((number == risk.number) & (episodes.weight > 0))
        found[risk.number] = Rows(
            episodes.start[mine], episodes.stop[mine], episodes.event[mine], episodes.weight[mine], unit[mine]
        )
    return found
