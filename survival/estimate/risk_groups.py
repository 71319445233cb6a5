"""Does a Cox model foretell the right number of churns, at every level of risk and throughout tenure?

Episodes are grouped by the risk that the fit gives them, so that a customer whose covariates change moves between groups. Churns
seen and expected are compared in each group and each period of tenure, with the score test that all of them agree: of Gronnesby &
Borgan (1996), which is that of an indicator of each group added to the model (May & Hosmer 1998). In all groups together the two
agree by construction at every event time.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from survival.errors import ArgumentError
from survival.estimate.cox_data import CoxData
from survival.estimate.cox_fit import CoxFit
from survival.estimate.cox_options import shown
from survival.estimate.customer_residuals import held
from survival.estimate.partial_likelihood import Likelihood, cumulative
from survival.estimate.piecewise import poisson_limits
from survival.estimate.risk_sets import Floats, Ints, sums_by
from survival.estimate.strata_sums import after

GROUPS, EVENTS_A_GROUP = 10, 40  # May & Hosmer: as many groups as there are 40 events for
PERIODS, EVENTS_A_CELL = 3, 10
DAYS = 30.0  # of the rates
FIXED = 1e-6  # share of a group's variance left by the coefficients, below which it is rounding


@dataclass(frozen=True, eq=False)
class ScoreTest:
    """statistic ~ chi²(df); p is NaN with no df left: the coefficients fit every group exactly."""

    statistic: float
    df: int
    p: float


@dataclass(frozen=True, eq=False)
class RiskGroups:
    """Churns by group of risk, from the lowest, and period of tenure.

    groups: group (from 1), days (of customers), observed, expected, ratio, ci_lower, ci_upper (of observed over expected),
    expected_rate, observed_rate, rate_lower, rate_upper (churns in 30 customer days). cells: the same by period, since and until (days
    of tenure). overall: the test of the groups; by_period: of groups in periods, None with one period.
    """

    groups: pd.DataFrame
    cells: pd.DataFrame
    overall: ScoreTest
    by_period: ScoreTest | None


@dataclass(frozen=True, eq=False)
class _Window:
    """The event times of a period: sums of churns seen and expected (G,), their information (G, G), and that shared with the
    coefficients (G, q)."""

    observed: Floats
    expected: Floats
    information: Floats
    shared: Floats


def risk_groups(fit: CoxFit, groups: int | None = None, periods: int | None = None) -> RiskGroups:
    """Compare churns seen and expected by risk and tenure. groups: at most, of about as many expected churns each (default:
    by the number of events, 2 to 10). periods: of about as many events each (default 1 to 3).

    Variance of the test: the model's. Raises ArgumentError for a fit from flows, fewer than 2 groups and fewer than 1 period.
    """
    _refuse_number("groups", groups, 2)
    _refuse_number("periods", periods, 1)
    data, at = held(fit, "the comparison by risk")
    events = float(data.sets.deaths.sum())
    wanted = groups or int(np.clip(events // EVENTS_A_GROUP, 2, GROUPS))
    group = group_of(data, at, wanted)
    size = int(group.max()) + 1
    edges = period_edges(data, periods or int(np.clip(events // (EVENTS_A_CELL * size), 1, PERIODS)))
    sums = group_sums(data, at, group, size)
    slot_time = np.nan_to_num(data.sets.slot_time, nan=-np.inf)
    inside = [(slot_time > low) & (slot_time <= high) for low, high in pairwise(edges)]
    windows = [_window(data, at, group, size, sums, mask) for mask in inside]
    inverse = _inverse(fit)
    days = _days(data, group, size, edges)
    level = fit.options.level
    whole = [np.sum([getattr(w, name) for w in windows], axis=0) for name in _Window.__dataclass_fields__]
    cells = [_table(w.observed, w.expected, d, level) for w, d in zip(windows, days)]
    shown = [cell.assign(since=low, until=high) for cell, (low, high) in zip(cells, pairwise(edges))]
    return RiskGroups(
        _table(whole[0], whole[1], days.sum(axis=0), level),
        pd.concat(shown, ignore_index=True),
        _test([_Window(*whole)], inverse),
        _test(windows, inverse) if len(windows) > 1 else None,
    )


def _refuse_number(name: str, given: Any, least: int) -> None:
    is_whole = isinstance(given, int | np.integer) and not isinstance(given, bool)
    if given is not None and not (is_whole and given >= least):
        raise ArgumentError(
            f"{name} must be a whole number of at least {least}; got {shown(given)}. Leave it out to have it chosen by the number of events"
        )


def group_of(data: CoxData, at: Likelihood, groups: int) -> Ints:
    """(n,) the group of each episode, from the lowest risk: about as many expected churns in each, equal risks together."""
    risk = np.round(np.log(at.risk), 9)  # what differs in the last bits only is the same risk
    place = np.unique(risk, return_inverse=True)[1]
    due = _expected(data, at, np.ones(data.sets.slots, bool))
    share = sums_by(place, due, int(place.max()) + 1)
    middle = (np.cumsum(share) - share / 2) / share.sum()
    wanted = np.minimum((middle * groups).astype(np.intp), groups - 1)
    return np.asarray(np.unique(wanted, return_inverse=True)[1][place])


def period_edges(data: CoxData, periods: int) -> Floats:
    """(P + 1,) tenures between which about as many events lie; the first is 0, the last infinite."""
    live = data.sets.event_slots
    times = np.repeat(data.sets.slot_time[live], np.rint(data.sets.deaths[live]).astype(np.intp))
    cuts = np.quantile(times, np.arange(1, periods) / periods, method="inverted_cdf")
    cuts = np.unique(cuts[cuts < times.max()])
    return np.concatenate(([0.0 if times.min() > 0 else -np.inf], cuts, [np.inf]))


def group_sums(data: CoxData, at: Likelihood, group: Ints, size: int) -> tuple[Floats, Floats]:
    """(K, G) and (K, G): sums of relative risks of each group over those at risk, and over tied events, by slot."""
    sets = data.sets
    begin, end = sets.bounds()
    s0, e0 = np.zeros((sets.slots, size)), np.zeros((sets.slots, size))
    row = sets.event_row[sets.tied]
    for g in range(size):
        mine = np.flatnonzero(group == g)
        mass = sets.weight[mine] * at.risk[mine]
        net = sums_by(begin[mine], mass, sets.slots) - sums_by(end[mine], mass, sets.slots)
        s0[:, g] = np.maximum(-after(net, sets.last_slot, np.longdouble), 0.0)  # tiny negative rests of rounding are 0
        there = group[row] == g
        own = sets.event_weight[sets.tied][there] * at.risk[row[there]]
        e0[:, g] = sums_by(sets.event_slot[sets.tied][there], own, sets.slots)
    return s0, e0


def _window(
    data: CoxData, at: Likelihood, group: Ints, size: int, sums: tuple[Floats, Floats], inside: np.ndarray
) -> _Window:
    sets, m = data.sets, at.moments
    s0, e0 = sums
    d1, d1c, d2, d2c, d2cc = (np.where(inside, v, 0.0) for v in (m.d1, m.d1c, m.d2, m.d2c, m.d2cc))
    event = inside[sets.event_slot]
    observed = sums_by(group[sets.event_row[event]], sets.event_weight[event], size)
    expected = d1 @ s0 - d1c @ e0

    def between(s: Floats, e: Floats) -> Floats:
        """(G, ...) sum of products of the means of the groups and of s, e in the risk sets."""
        cross = s0.T @ (d2[:, None] * s) - s0.T @ (d2c[:, None] * e) - e0.T @ (d2c[:, None] * s)
        return np.asarray(cross + e0.T @ (d2cc[:, None] * e))

    due = _expected(data, at, inside)
    shared = np.column_stack([sums_by(group, due * data.x[:, j], size) for j in range(data.x.shape[1])])
    information = np.diag(expected) - between(s0, e0)
    return _Window(observed, expected, information, shared - between(at.sums.s1, at.sums.e1))


def _expected(data: CoxData, at: Likelihood, inside: np.ndarray) -> Floats:
    """(n,) churns expected of each episode at the slots `inside` (K,): its weight in the information."""
    sets, m = data.sets, at.moments
    begin, end = sets.bounds()
    total = cumulative(np.where(inside, m.d1, 0.0), sets)
    due = at.risk * (total[end] - total[begin]) * sets.weight
    row, slot = sets.event_row[sets.tied], sets.event_slot[sets.tied]
    tied = np.where(inside, m.d1c, 0.0)[slot]
    np.subtract.at(due, row, sets.event_weight[sets.tied] * at.risk[row] * tied)
    return np.asarray(due)


def _inverse(fit: CoxFit) -> Floats:
    """(q, q) inverse information of the inner columns."""
    known, scale = list(fit.estimated), fit.inner[3]
    return np.asarray(fit.model_variance[np.ix_(known, known)] * np.outer(scale, scale))


def _test(windows: list[_Window], inverse: Floats) -> ScoreTest:
    """Observed less expected of all groups but the lowest, in every window, against its variance given the coefficients."""
    gap = np.concatenate([(w.observed - w.expected)[1:] for w in windows])
    shared = np.concatenate([w.shared[1:] for w in windows])
    size = len(windows[0].observed) - 1
    variance = -shared @ inverse @ shared.T
    for k, w in enumerate(windows):
        here = slice(k * size, (k + 1) * size)
        variance[here, here] += w.information[1:, 1:]
    unit = np.sqrt(np.concatenate([np.maximum(np.diag(w.information)[1:], 1e-300) for w in windows]))
    values, vectors = np.linalg.eigh(variance / np.outer(unit, unit))
    kept = values > FIXED  # what the coefficients fix is no test
    along = vectors[:, kept].T @ (gap / unit)
    statistic, df = float(along**2 @ (1 / values[kept])), int(kept.sum())
    return ScoreTest(statistic, df, float(stats.chi2.sf(statistic, df)) if df else float("nan"))


def _days(data: CoxData, group: Ints, size: int, edges: Floats) -> Floats:
    """(P, G) customer days at risk of each group in each period."""
    episodes = data.episodes
    assert episodes is not None
    days = []
    for low, high in pairwise(edges):
        spent = np.minimum(episodes.stop, high) - np.maximum(episodes.start, low)
        days.append(sums_by(group, episodes.weight * np.maximum(spent, 0.0), size))
    return np.array(days)


def _table(observed: Floats, expected: Floats, days: Floats, level: float) -> pd.DataFrame:
    observed = np.rint(observed)
    low, high = poisson_limits(observed, level)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = [np.where(expected > 0, v / expected, np.nan) for v in (observed, low, high)]
        rates = [np.where(days > 0, DAYS * v / days, np.nan) for v in (expected, observed, low, high)]
    names = ("ratio", "ci_lower", "ci_upper", "expected_rate", "observed_rate", "rate_lower", "rate_upper")
    counts = {"group": np.arange(1, len(observed) + 1), "days": days, "observed": observed, "expected": expected}
    return pd.DataFrame({**counts, **dict(zip(names, [*ratios, *rates]))})
