"""Rank tests: do groups churn at one rate? Overall, trend over ordered groups, pairs; late entry and strata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtrc

from survival.errors import ArgumentError
from survival.estimate.adjustments import ADJUSTMENTS, adjusted, holm
from survival.estimate.clustered import Members, clustered_variance
from survival.estimate.cohort_counts import CohortCounts, Counts, cohort_counts, labelled, names_of
from survival.estimate.influence import several_spells, units
from survival.estimate.intervals import one_of
from survival.estimate.max_combo import largest_p, statistics
from survival.estimate.weightings import Table, Weighting, weightings_of
from survival.findings import Finding
from survival.flows.frames import EpisodeArrays, episode_arrays, flows_of, pattern_codes
from survival.flows.table import Flows

__all__ = ["RankTest", "RankTests", "holm", "hypergeometric", "rank_test", "tables_of"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RankTest:
    """One test: its name, the two groups of a pair, chi-square statistic, degrees of freedom, p, adjusted p."""

    test: str
    cohort_a: Any
    cohort_b: Any
    statistic: float
    df: int
    p: float
    p_adjusted: float


@dataclass(frozen=True, eq=False)
class RankTests:
    """All tests of one call; `groups` compares observed with expected events, `parts` are what max-combo combines."""

    tests: tuple[RankTest, ...]
    labels: tuple[Any, ...]
    observed: Floats
    expected: Floats
    weighting: str
    findings: tuple[Finding, ...]
    parts: tuple[RankTest, ...] = ()

    def tidy(self) -> pd.DataFrame:
        """test, cohort_a, cohort_b, statistic, df, p, p_adjusted; the cohorts are named for pairs only."""
        return _table_of(self.tests)

    def components(self) -> pd.DataFrame:
        """The overall tests that max-combo takes the largest of, in the columns of `tidy`; no rows for one weighting."""
        return _table_of(self.parts)

    def groups(self) -> pd.DataFrame:
        """by, observed, expected: churns, and churns if every group had one hazard."""
        return pd.DataFrame({"by": list(self.labels), "observed": self.observed, "expected": self.expected})


def _table_of(tests: Sequence[RankTest]) -> pd.DataFrame:
    columns = ["test", "cohort_a", "cohort_b", "statistic", "df", "p", "p_adjusted"]
    return pd.DataFrame([[getattr(test, name) for name in columns] for test in tests], columns=columns)


def rank_test(
    frame: Any,
    stop: str = "stop",
    event: str = "event",
    start: str | None = None,
    by: str | Sequence[str] | None = None,
    strata: str | Sequence[str] | None = None,
    weighting: str = "logrank",
    pairwise: str | None = None,
    trend: bool = False,
    weights: str | None = None,
    customer: str | None = None,
    spell: str | None = None,
    order: Sequence[Any] | None = None,
    cluster: str | None = None,
) -> RankTests:
    """Compare the groups of `by`, on the risk sets (start < t <= stop), with the hypergeometric variance.

    Always the overall test; with `trend` one with scores 1..k in the order of the groups; with `pairwise` (holm, bh,
    bonferroni, none) every pair on the risk sets of the two, p adjusted over the pairs. Within `strata` observed minus
    expected and variances add up. Weights count customers. A test without events, or of groups that are
    never at risk together, is NaN.

    `weighting` of an event time, n at risk and S the Kaplan-Meier curve of all groups (of the stratum) just before:
    `logrank` 1, `gehan` n, `tarone-ware` √n, `peto` the product of 1 - d/(n+1), `modified-peto` this times n/(n+1),
    `fleming-harrington(p, q)` S^p (1-S)^q, and `max-combo`, the largest chi-square of FH(0,0), (1,0), (0,1), (1,1), its p
    from their joint normal distribution (`components()` has the four).

    With `cluster`, and when a customer has several spells, the variance adds up by cluster or customer instead (see
    `clustered`): R's robust score test. Flows hold no customers, so there every spell counts as a customer of its own.

    Raises ArgumentError for an unknown weighting or adjustment and for fewer than two groups; see `episode_arrays` for the
    data. Source: R's survdiff (everybody enters at 0; its rho is p of fleming-harrington(p, 0)); with late entry the
    log-rank test is the score test of coxph(ties = "exact"). Weights: Klein & Moeschberger 2003, section 7.3; max-combo:
    Lin et al. 2020.
    """
    parts = weightings_of(weighting)
    if pairwise is not None:
        one_of(pairwise, ADJUSTMENTS, "pairwise")
    if not names_of(by):
        raise ArgumentError("rank_test compares groups: name the column that holds them in `by`")
    columns: dict[str, Any] = {"weights": weights, "customer": customer, "spell": spell}
    sets, layers = _counted(frame, stop, event, start, names_of(by), names_of(strata), order, cluster, columns)
    labels = _labels(sets.groups)
    if len(labels) < 2:
        raise ArgumentError(f"rank_test needs two groups or more; '{by}' has only {labels}")
    tables, functions = tables_of(sets.groups, sets.strata, labels), [function for _, function in parts]
    name = parts[0][0] if len(parts) == 1 else weighting
    score = _score(tables, functions, layers)
    tests, findings = [_test(name, score.excess, score.variance)], list(sets.findings)
    if tests[0].df < len(labels) - 1:
        findings.append(_not_compared(str(by), tests[0], len(labels)))
    if trend:
        tests.append(_contrast("trend", None, None, score, np.arange(1.0, len(labels) + 1)))
    if pairwise is not None:
        tests += _pairs(tables, labels, functions, pairwise, layers)
    observed = np.sum([table.events.sum(axis=0) for table in tables], axis=0)
    own = [_test(part, score.excess[[a]], score.variance[[a]][:, [a]]) for a, (part, _) in enumerate(parts)]
    return RankTests(
        tuple(tests), tuple(labels), observed, score.expected, name, tuple(findings), tuple(own) if len(own) > 1 else ()
    )


def _counted(
    frame: Any, stop: str, event: str, start: str | None, by: list[str], strata: list[str], order: Sequence[Any] | None,
    cluster: str | None, columns: dict[str, Any],
) -> tuple[Counts, list[Members] | None]:  # fmt: skip
    """Counts by group and stratum; where the variance adds up by unit, the episodes of each stratum beside them."""
    if isinstance(frame, Flows):
        if cluster is not None:
            raise ArgumentError(
                f"cluster='{cluster}' adds up by customer, whom flows do not hold: give the frame of episodes"
            )
        return cohort_counts(frame, stop, event, start, by=by, strata=strata, order=order, **columns), None
    doubled = sorted(set(by) & set(strata))
    if doubled:
        raise ArgumentError(f"{doubled} cannot be in both by and strata: groups are compared within strata")
    keep = [*strata, *by, *([] if cluster is None else [cluster])]
    episodes = episode_arrays(frame, stop, event, start, keep=keep, **columns)
    flows = flows_of(episodes, [*strata, *by])
    sets = cohort_counts(flows, by=by, strata=strata, order=order)
    sets = Counts(sets.groups, sets.strata, episodes.findings)
    everybody = np.zeros(len(episodes), np.intp)
    if cluster is None and (columns["spell"] is None or not several_spells(episodes, everybody)):
        return sets, None
    return sets, _members(episodes, units(episodes, cluster), by, strata, order, sets)


def _members(
    episodes: EpisodeArrays, unit: NDArray[np.intp], by: list[str], strata: list[str], order: Sequence[Any] | None, sets: Counts
) -> list[Members]:  # fmt: skip
    """The episodes of each stratum, in the order of `tables_of`, the groups numbered as its columns."""
    codes, patterns = pattern_codes(episodes.columns, [*strata, *by], len(episodes))
    layer, layer_labels = labelled(patterns, strata, None)
    group, group_labels = labelled(patterns, by, order)
    column = {label: number for number, label in enumerate(_labels(sets.groups))}
    place = np.array([column[label] for label in group_labels], np.intp)
    found = []
    for label in dict.fromkeys(sets.strata):
        mine = np.flatnonzero((layer[codes] == layer_labels.index(label)) & (episodes.weight > 0))
        found.append(
            Members(
                episodes.start[mine],
                episodes.stop[mine],
                episodes.event[mine],
                episodes.weight[mine],
                place[group[codes[mine]]],
                unit[mine],
            )
        )
    return found


def _labels(groups: Sequence[CohortCounts]) -> list[Any]:
    """Labels in the order of the groups, also when the first stratum lacks some."""
    numbers = {group.number: group.label for group in groups}
    return [numbers[number] for number in sorted(numbers)]


def tables_of(groups: Sequence[CohortCounts], strata: Sequence[Any], labels: Sequence[Any]) -> list[Table]:
    """The risk sets of each stratum, with a column for each label."""
    column = {label: index for index, label in enumerate(labels)}
    layers: dict[Any, list[CohortCounts]] = {}
    for group, layer in zip(groups, strata):
        layers.setdefault(layer, []).append(group)
    return [_table(layer, column) for layer in layers.values()]


def _table(groups: Sequence[CohortCounts], column: dict[Any, int]) -> Table:
    times = np.unique(np.concatenate([group.time[group.events > 0] for group in groups]))
    at_risk, events = np.zeros((times.size, len(column))), np.zeros((times.size, len(column)))
    for group in groups:
        here = column[group.label]
        row = np.searchsorted(group.time, times, side="left")  # at risk at t is at risk at the next row of the group
        at_risk[:, here] = np.append(group.at_risk, 0.0)[row]
        churned = group.events > 0
        events[np.searchsorted(times, group.time[churned]), here] = group.events[churned]
    return Table(at_risk, events, at_risk.sum(axis=1), events.sum(axis=1))


@dataclass(frozen=True, eq=False)
class _Score:
    """Over strata, for m weightings of k groups: weighted observed minus expected (m, k), its variance (m, m, k, k).

    expected (k,) events, unweighted.
    """

    excess: Floats
    variance: Floats
    expected: Floats


def _score(tables: Sequence[Table], weightings: Sequence[Weighting], layers: Sequence[Members] | None = None) -> _Score:
    m, k = len(weightings), tables[0].at_risk.shape[1]
    excess, variance, expected = np.zeros((m, k)), np.zeros((m, m, k, k)), np.zeros(k)
    weights = [np.array([weighting(table) for weighting in weightings]) for table in tables]
    for table, weight in zip(tables, weights):
        share = table.at_risk / table.total[:, None]
        excess += weight @ (table.events - share * table.churned[:, None])
        expected += table.churned @ share
        spread = hypergeometric(table.total, table.churned)
        for a in range(m):
            for b in range(a + 1):
                part = weight[a] * weight[b] * spread
                part = np.diag(part @ share) - (share * part[:, None]).T @ share
                variance[a, b] += part
                if a != b:
                    variance[b, a] += part
    if layers is not None:
        units = 1 + max(int(layer.unit.max(initial=0)) for layer in layers)
        variance = clustered_variance(tables, layers, weights, units)
    return _Score(excess, variance, expected)


def hypergeometric(total: Floats, churned: Floats) -> Floats:
    """d (n - d) / (n - 1) at each event time (T,); 0 where one customer or less is at risk."""
    spread = np.zeros_like(total)
    many = total > 1
    n, d = total[many], churned[many]
    spread[many] = d * np.maximum(n - d, 0.0) / (n - 1)
    return spread


def _test(name: str, excess: Floats, variance: Floats, a: Any = None, b: Any = None) -> RankTest:
    """Chi-square of the excess (m, k) in the directions that have variance: the one, or the largest of several.

    k - 1 directions, fewer if some groups never meet.
    """
    found, degrees = statistics(excess, variance)
    df = max(degrees)
    if not df:
        return _none(name, 0, a, b)
    largest = float(found.max())
    p = float(chdtrc(df, largest)) if found.size == 1 else largest_p(largest, variance)
    return RankTest(name, a, b, largest, df, p, float("nan"))


def _contrast(name: str, a: Any, b: Any, score: _Score, scores: Floats) -> RankTest:
    """One degree of freedom: the excess along `scores` (k,)."""
    along = (score.excess @ scores)[:, None]
    variance = np.einsum("i,abij,j->ab", scores, score.variance, scores)[:, :, None, None]
    if not (np.diagonal(variance[:, :, 0, 0]) > 0).any():
        return _none(name, 1, a, b)
    return _test(name, along, variance, a, b)


def _none(name: str, df: int, a: Any = None, b: Any = None) -> RankTest:
    nan = float("nan")
    return RankTest(name, a, b, nan, df, nan, nan)


def _pairs(
    tables: Sequence[Table],
    labels: Sequence[Any],
    weightings: Sequence[Weighting],
    adjust: str,
    layers: Sequence[Members] | None,
) -> list[RankTest]:
    first, tests = np.array([1.0, 0.0]), []
    for a, b in combinations(range(len(labels)), 2):
        own = None if layers is None else [layer.of((a, b)) for layer in layers]
        score = _score([_pair(table, a, b) for table in tables], weightings, own)
        tests.append(_contrast("pairwise", labels[a], labels[b], score, first))
    family = adjusted(np.array([test.p for test in tests]), adjust)
    return [replace(test, p_adjusted=float(p)) for test, p in zip(tests, family)]


def _pair(table: Table, a: int, b: int) -> Table:
    at_risk, events = table.at_risk[:, [a, b]], table.events[:, [a, b]]
    churned = events.sum(axis=1)
    some = churned > 0
    return Table(at_risk[some], events[some], at_risk[some].sum(axis=1), churned[some])


def _not_compared(by: str, test: RankTest, groups: int) -> Finding:
    message = (
        f"{groups} groups give {test.df} degrees of freedom instead of {groups - 1}: there are no events, or some "
        "groups are never at risk together with others at an event. Compare groups that overlap in tenure"
    )
    return Finding("groups-not-compared", "warning", by, message, f"df {test.df}")
