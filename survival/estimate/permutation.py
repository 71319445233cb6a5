"""Permutation p values of rank tests, for cohorts too small for a chi-square: labels are dealt anew, by customer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survival.errors import ArgumentError, StructureError
from survival.estimate.adjustments import ADJUSTMENTS, adjusted
from survival.estimate.cohort_counts import cohort_counts, labelled, names_of
from survival.estimate.fine_gray_flows import one_entry, one_pattern
from survival.estimate.intervals import one_of
from survival.estimate.max_combo import inverse_root
from survival.estimate.rank_tests import tables_of
from survival.estimate.weightings import MAX_COMBO, Weighting, weightings_of
from survival.flows.frames import EpisodeArrays, episode_arrays, pattern_codes
from survival.flows.table import Flows

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
MOST = 100_000  # customers
_CELLS = 2_000_000  # labels dealt at a time
_EQUAL = 1e-9  # relative: the observed arrangement, met again, counts as reached


@dataclass(frozen=True)
class PermutationTest:
    """One test: share of arrangements with a statistic at least as large; `exact` when all were tried."""

    test: str
    cohort_a: Any
    cohort_b: Any
    statistic: float
    p: float
    p_adjusted: float
    arrangements: int
    exact: bool


@dataclass(frozen=True)
class PermutationTests:
    """All tests of one call."""

    tests: tuple[PermutationTest, ...]
    weighting: str
    seed: int

    def tidy(self) -> pd.DataFrame:
        """test, cohort_a, cohort_b, statistic, p, p_adjusted, arrangements, exact."""
        return pd.DataFrame([vars(test) for test in self.tests])


@dataclass(frozen=True, eq=False)
class _Customers:
    """n customers: scores (m, n) in the m weightings, group (n,), stratum (n,)."""

    scores: Floats
    group: Codes
    stratum: Codes


def permutation_test(
    frame: Any,
    stop: str = "stop",
    event: str = "event",
    start: str | None = None,
    by: str | Sequence[str] | None = None,
    strata: str | Sequence[str] | None = None,
    weighting: str = "logrank",
    pairwise: str | None = None,
    customer: str | None = None,
    spell: str | None = None,
    order: Sequence[Any] | None = None,
    permutations: int = 9999,
    seed: int = 0,
) -> PermutationTests:
    """The rank tests of `rank_test` with p from dealing the groups' labels to the customers again, within strata.

    A customer's score is weighted events minus those expected on the pooled risk sets; groups are compared by the sums of
    their customers' scores, standardised by the covariance of these sums over all arrangements. p = (1 + arrangements that
    reach the observed statistic) / (1 + `permutations`), or exact when two groups have no more arrangements than that.
    Right when entry and censoring do not depend on the group; several episodes of a customer move together.

    Flows are taken where all customers of a pattern enter at one tenure: who left when then says which customers there are
    (see `customers_of`). Raises ArgumentError for other flows and for more than 100,000 customers; StructureError for a
    customer in two groups or strata. Source: coxph-style scores as in R's coin::logrank_test, Strasser & Weber 1999.
    """
    parts = weightings_of(weighting)
    if pairwise is not None:
        one_of(pairwise, ADJUSTMENTS, "pairwise")
    if isinstance(permutations, bool) or not isinstance(permutations, int) or permutations < 1:
        raise ArgumentError(f"permutations must be a whole number above 0; got {permutations!r}")
    groups, layers = names_of(by), names_of(strata)
    if not groups:
        raise ArgumentError("permutation_test compares groups: name the column that holds them in `by`")
    if isinstance(frame, Flows):
        named = {"start": start, "customer": customer, "spell": spell}
        if any(named.values()):
            raise ArgumentError(f"flows already hold times and customers; leave out {named}")
        frame, start, stop, event = customers_of(frame), "start", "stop", "event"
    episodes = episode_arrays(frame, stop, event, start, customer=customer, spell=spell, keep=[*layers, *groups])
    group, labels = _labelled(episodes, groups, order)
    stratum, _ = _labelled(episodes, layers, None)
    if len(labels) < 2:
        raise ArgumentError(f"permutation_test needs two groups or more; '{by}' has only {labels}")
    functions = [function for _, function in parts]
    random = np.random.default_rng(seed)
    name = parts[0][0] if len(parts) == 1 else MAX_COMBO

    def run(test: str, rows: Codes, number: Codes, a: Any = None, b: Any = None) -> PermutationTest:
        people = _customers(episodes, rows, number, stratum, functions)
        return _permute(test, people, permutations, random, a, b)

    everyone = np.arange(len(episodes))
    tests = [run(name, everyone, group)]
    if pairwise is not None:
        pairs = []
        for a, b in combinations(range(len(labels)), 2):
            rows = np.flatnonzero((group == a) | (group == b))
            pairs.append(run("pairwise", rows, (group == b).astype(np.intp), labels[a], labels[b]))
        family = adjusted(np.array([test.p for test in pairs]), pairwise)
        tests += [PermutationTest(**{**vars(test), "p_adjusted": float(p)}) for test, p in zip(pairs, family)]
    return PermutationTests(tuple(tests), name, seed)


def customers_of(flows: Flows) -> pd.DataFrame:
    """A row a customer: start, stop, event and the columns of the patterns, where flows say who they are.

    They do when nobody's covariates change and all customers of a pattern enter at one tenure. With late entry they count who
    entered and who left, but not who of those who left had entered when. Raises ArgumentError there, for weights that are no
    counts, and for more than 100,000 customers.
    """
    rows = np.flatnonzero(flows.exited > 0)
    if float(flows.exited.sum()) > MOST:
        raise ArgumentError(
            f"a permutation test is for small cohorts; {flows.exited.sum():,.0f} customers have a chi-square: use rank_test"
        )
    if not (one_pattern(flows) and one_entry(flows)):
        raise ArgumentError(
            "labels are dealt to customers, and these flows do not say which there are: some enter late or change their pattern. "
            "Give the frame of episodes"
        )
    counts = np.column_stack([flows.events[rows], flows.exited[rows] - flows.events[rows]])
    if (counts != np.rint(counts)).any():
        raise ArgumentError("labels are dealt to customers: the weights of these flows are no counts of them")
    entry = np.zeros(len(flows.patterns))
    entry[flows.pattern[flows.began > 0]] = flows.time[flows.began > 0]
    row = np.repeat(np.repeat(rows, 2), counts.astype(np.intp).ravel())
    event = np.repeat(np.tile([1, 0], rows.size), counts.astype(np.intp).ravel())
    pattern = flows.pattern[row]
    frame = flows.patterns.iloc[pattern].reset_index(drop=True)
    return frame.assign(start=entry[pattern], stop=flows.time[row], event=event)


def _labelled(episodes: EpisodeArrays, names: list[str], order: Sequence[Any] | None) -> tuple[Codes, list[Any]]:
    """Group of each episode (n,) and the labels of the groups."""
    codes, patterns = pattern_codes(episodes.columns, names, len(episodes))
    number, labels = labelled(patterns, names, order)
    return number[codes], labels


def _customers(
    episodes: EpisodeArrays, rows: Codes, group: Codes, stratum: Codes, weightings: Sequence[Weighting]
) -> _Customers:
    """Scores by customer on the risk sets of all `rows` together, stratum by stratum."""
    ids, customer = np.unique(episodes.customer[rows], return_inverse=True)
    if ids.size > MOST:
        raise ArgumentError(
            f"a permutation test is for small cohorts; {ids.size:,} customers have a chi-square: use rank_test"
        )
    of_group, of_stratum = np.zeros(ids.size, np.intp), np.zeros(ids.size, np.intp)
    of_group[customer], of_stratum[customer] = group[rows], stratum[rows]
    if (of_group[customer] != group[rows]).any() or (of_stratum[customer] != stratum[rows]).any():
        raise StructureError(
            "a customer is in two groups or strata: labels cannot be dealt to customers. Use rank_test"
        )
    scores = np.zeros((len(weightings), ids.size))
    for layer in np.unique(of_stratum):
        mine = rows[stratum[rows] == layer]
        own = _scores(episodes, mine, weightings)
        place = customer[stratum[rows] == layer]
        scores += np.array([np.bincount(place, weights=one, minlength=ids.size) for one in own])
    return _Customers(scores, of_group, of_stratum)


def _scores(episodes: EpisodeArrays, rows: Codes, weightings: Sequence[Weighting]) -> Floats:
    """(m, n): weight at the own event, minus the weighted hazard lived through."""
    start, stop, event = episodes.start[rows], episodes.stop[rows], episodes.event[rows]
    if not event.any():
        return np.zeros((len(weightings), rows.size))
    sets = cohort_counts({"start": start, "stop": stop, "event": event}, start="start")
    (table,) = tables_of(sets.groups, sets.strata, [sets.groups[0].label])
    times = np.unique(stop[event])
    out = []
    for weighting in weightings:
        weight = weighting(table)
        lived = np.concatenate(([0.0], np.cumsum(weight * table.churned / table.total)))
        at_stop, at_start = (np.searchsorted(times, time, side="right") for time in (stop, start))
        own = np.append(weight, 0.0)[np.searchsorted(times, stop, side="left")]
        out.append(np.where(event, own, 0.0) - (lived[at_stop] - lived[at_start]))
    return np.array(out)


def _permute(
    name: str, people: _Customers, permutations: int, random: np.random.Generator, a: Any, b: Any
) -> PermutationTest:
    groups = int(people.group.max()) + 1
    layers = [np.flatnonzero(people.stratum == layer) for layer in np.unique(people.stratum)]
    roots, centre = _standardised(people, layers, groups)
    if not any(len(root) for root in roots):
        return PermutationTest(name, a, b, float("nan"), float("nan"), float("nan"), 0, False)

    def largest(labels: Codes) -> Floats:
        """Statistic of each arrangement: labels (b, n) -> (b,)."""
        sums = np.stack([(labels == g) @ people.scores.T for g in range(groups)], axis=2) - centre
        return np.max([((sums[:, i] @ root.T) ** 2).sum(axis=1) for i, root in enumerate(roots)], axis=0)

    observed = float(largest(people.group[None, :])[0])
    limit = observed * (1 - _EQUAL)
    arrangements = comb(people.group.size, int((people.group == 0).sum()))
    if groups == 2 and len(layers) == 1 and arrangements <= permutations + 1:
        reached = int((largest(_all_arrangements(people.group)) >= limit).sum())
        return PermutationTest(name, a, b, observed, reached / arrangements, float("nan"), arrangements, True)
    reached, n = 0, people.group.size
    for first in range(0, permutations, max(1, _CELLS // n)):
        rows = min(max(1, _CELLS // n), permutations - first)
        labels = np.empty((rows, n), np.intp)
        for layer in layers:
            labels[:, layer] = random.permuted(np.tile(people.group[layer], (rows, 1)), axis=1)
        reached += int((largest(labels) >= limit).sum())
    p = (1 + reached) / (1 + permutations)
    return PermutationTest(name, a, b, observed, p, float("nan"), permutations, False)


def _standardised(people: _Customers, layers: Sequence[Codes], groups: int) -> tuple[list[Floats], Floats]:
    """For each weighting a root of the inverse covariance of the sums over all arrangements; and their mean (m, k)."""
    m = people.scores.shape[0]
    centre, spread = np.zeros((m, groups)), np.zeros((m, groups, groups))
    for layer in layers:
        sizes = np.bincount(people.group[layer], minlength=groups).astype(float)
        n, scores = layer.size, people.scores[:, layer]
        centre += np.outer(scores.mean(axis=1), sizes)
        if n > 1:
            spread += scores.var(axis=1, ddof=1)[:, None, None] * (np.diag(sizes) - np.outer(sizes, sizes) / n)
    return [inverse_root(one) for one in spread], centre


def _all_arrangements(group: Codes) -> Codes:
    """Every way to deal the labels of two groups: (arrangements, n)."""
    n, first = group.size, int((group == 0).sum())
    chosen = np.array(list(combinations(range(n), first)), np.intp).reshape(-1, first)
    labels = np.ones((len(chosen), n), np.intp)
    np.put_along_axis(labels, chosen, 0, axis=1)
    return labels
