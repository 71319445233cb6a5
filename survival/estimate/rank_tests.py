"""Rank tests: do groups churn at one rate? Overall, trend over ordered groups, pairs; late entry and strata."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtrc

from survival.errors import ArgumentError
from survival.estimate.cohort_counts import CohortCounts, cohort_counts, names_of
from survival.estimate.intervals import one_of
from survival.findings import Finding

Floats = NDArray[np.float64]
_SINGULAR = 1e-10  # of the largest eigenvalue: below it a direction has no variance, groups never compared


@dataclass(frozen=True, eq=False)
class Table:
    """The risk sets of one stratum, at its T event times over k groups.

    at_risk (T, k) weight at risk;  events (T, k) weight of churns;  total (T,) and churned (T,) their sums
    """

    at_risk: Floats
    events: Floats
    total: Floats
    churned: Floats


Weighting = Callable[[Table], Floats]

#: name -> weight (T,) of each event time; a later weighting is one more entry
WEIGHTINGS: dict[str, Weighting] = {"logrank": lambda table: np.ones_like(table.total)}
ADJUSTMENTS = ("holm",)


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
    """All tests of one call; `groups` compares observed with expected events."""

    tests: tuple[RankTest, ...]
    labels: tuple[Any, ...]
    observed: Floats
    expected: Floats
    weighting: str
    findings: tuple[Finding, ...]

    def tidy(self) -> pd.DataFrame:
        """test, cohort_a, cohort_b, statistic, df, p, p_adjusted; the cohorts are named for pairs only."""
        columns = ["test", "cohort_a", "cohort_b", "statistic", "df", "p", "p_adjusted"]
        return pd.DataFrame(
            [[getattr(test, name) for name in columns] for test in self.tests], columns=columns
        )

    def groups(self) -> pd.DataFrame:
        """by, observed, expected: churns, and churns if every group had one hazard."""
        return pd.DataFrame({"by": list(self.labels), "observed": self.observed, "expected": self.expected})


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
) -> RankTests:
    """Compare the groups of `by`, on the risk sets (start < t <= stop), with the hypergeometric variance.

    Always the overall test; with `trend` one with scores 1..k in the order of the groups; with `pairwise` ("holm")
    every pair on the risk sets of the two, p adjusted over the pairs. Within `strata` observed minus
    expected and variances add up. Weights count customers. A test without events, or of groups that are
    never at risk together, is NaN.

    Raises ArgumentError for an unknown weighting or adjustment and for fewer than two groups; see
    `episode_arrays` for the data. Source: R's survdiff (everybody enters at 0); with late entry the score
    test of coxph(ties = "exact").
    """
    one_of(weighting, tuple(WEIGHTINGS), "weighting")
    if pairwise is not None:
        one_of(pairwise, ADJUSTMENTS, "pairwise")
    if not names_of(by):
        raise ArgumentError("rank_test compares groups: name the column that holds them in `by`")
    sets = cohort_counts(
        frame,
        stop,
        event,
        start,
        by=by,
        strata=strata,
        weights=weights,
        customer=customer,
        spell=spell,
        order=order,
    )
    labels = _labels(sets.groups)
    if len(labels) < 2:
        raise ArgumentError(f"rank_test needs two groups or more; '{by}' has only {labels}")
    tables = _tables(sets.groups, sets.strata, labels)
    excess, variance, expected = _score(tables, WEIGHTINGS[weighting])
    tests, findings = [_overall(excess, variance, weighting)], list(sets.findings)
    if tests[0].df < len(labels) - 1:
        findings.append(_not_compared(str(by), tests[0], len(labels)))
    if trend:
        tests.append(_trend(excess, variance))
    if pairwise is not None:
        tests += _pairs(tables, labels, WEIGHTINGS[weighting])
    observed = np.sum([table.events.sum(axis=0) for table in tables], axis=0)
    return RankTests(tuple(tests), tuple(labels), observed, expected, weighting, tuple(findings))


def _labels(groups: Sequence[CohortCounts]) -> list[Any]:
    """Labels in the order of the groups, also when the first stratum lacks some."""
    numbers = {group.number: group.label for group in groups}
    return [numbers[number] for number in sorted(numbers)]


def _tables(groups: Sequence[CohortCounts], strata: Sequence[Any], labels: Sequence[Any]) -> list[Table]:
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
        row = np.searchsorted(
            group.time, times, side="left"
        )  # at risk at t is at risk at the next row of the group
        at_risk[:, here] = np.append(group.at_risk, 0.0)[row]
        churned = group.events > 0
        events[np.searchsorted(times, group.time[churned]), here] = group.events[churned]
    return Table(at_risk, events, at_risk.sum(axis=1), events.sum(axis=1))


def _score(tables: Sequence[Table], weighting: Weighting) -> tuple[Floats, Floats, Floats]:
    """Weighted observed minus expected (k,), its hypergeometric variance (k, k), expected events (k,), over strata."""
    k = tables[0].at_risk.shape[1]
    excess, variance, expected = np.zeros(k), np.zeros((k, k)), np.zeros(k)
    for table in tables:
        weight = weighting(table)
        share = table.at_risk / table.total[:, None]
        excess += weight @ (table.events - share * table.churned[:, None])
        expected += table.churned @ share
        spread = weight**2 * hypergeometric(table.total, table.churned)
        variance += np.diag(spread @ share) - (share * spread[:, None]).T @ share
    return excess, variance, expected


def hypergeometric(total: Floats, churned: Floats) -> Floats:
    """d (n - d) / (n - 1) at each event time (T,); 0 where one customer or less is at risk."""
    spread = np.zeros_like(total)
    many = total > 1
    n, d = total[many], churned[many]
    spread[many] = d * np.maximum(n - d, 0.0) / (n - 1)
    return spread


def _overall(excess: Floats, variance: Floats, name: str) -> RankTest:
    """Chi-square of the excess in the directions that have variance: k - 1 of them, fewer if some never meet."""
    values, vectors = np.linalg.eigh(variance)
    real = values > _SINGULAR * max(float(values[-1]), 0.0)
    df = int(real.sum()) if values[-1] > 0 else 0
    if not df:
        return _none(name, 0)
    statistic = float(((vectors[:, real].T @ excess) ** 2 / values[real]).sum())
    return RankTest(name, None, None, statistic, df, float(chdtrc(df, statistic)), float("nan"))


def _trend(excess: Floats, variance: Floats) -> RankTest:
    scores = np.arange(1.0, excess.size + 1)
    return _one_degree("trend", None, None, float(scores @ excess), float(scores @ variance @ scores))


def _one_degree(name: str, a: Any, b: Any, excess: float, variance: float) -> RankTest:
    if variance <= 0:
        return _none(name, 1, a, b)
    statistic = excess**2 / variance
    return RankTest(name, a, b, statistic, 1, float(chdtrc(1, statistic)), float("nan"))


def _none(name: str, df: int, a: Any = None, b: Any = None) -> RankTest:
    nan = float("nan")
    return RankTest(name, a, b, nan, df, nan, nan)


def _pairs(tables: Sequence[Table], labels: Sequence[Any], weighting: Weighting) -> list[RankTest]:
    tests = []
    for a, b in combinations(range(len(labels)), 2):
        excess, variance, _ = _score([_pair(table, a, b) for table in tables], weighting)
        tests.append(_one_degree("pairwise", labels[a], labels[b], float(excess[0]), float(variance[0, 0])))
    adjusted = holm(np.array([test.p for test in tests]))
    return [
        RankTest(test.test, test.cohort_a, test.cohort_b, test.statistic, test.df, test.p, float(p))
        for test, p in zip(tests, adjusted)
    ]


def _pair(table: Table, a: int, b: int) -> Table:
    at_risk, events = table.at_risk[:, [a, b]], table.events[:, [a, b]]
    churned = events.sum(axis=1)
    some = churned > 0
    return Table(at_risk[some], events[some], at_risk[some].sum(axis=1), churned[some])


def holm(p: Floats) -> Floats:
    """Holm's step-down adjustment of p values (m,); a missing one (NaN) is no test. Source: R's p.adjust."""
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    stepped = p[order] * np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return adjusted


def _not_compared(by: str, test: RankTest, groups: int) -> Finding:
    message = (
        f"{groups} groups give {test.df} degrees of freedom instead of {groups - 1}: there are no events, or some "
        "groups are never at risk together with others at an event. Compare groups that overlap in tenure"
    )
    return Finding("groups-not-compared", "warning", by, message, f"df {test.df}")
