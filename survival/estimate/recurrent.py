"""Customers who leave and come back: how many times by a tenure, and how long each stay lasts.

Frames hold a row an episode (customer, spell, start, stop, event). Total time runs from the first signup; gap time starts
again at every return.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from survival.errors import ArgumentError
from survival.estimate.cohort_counts import EVERYBODY, counts, names_of
from survival.estimate.curves import Curves
from survival.estimate.intervals import normal_quantile, one_of, positive_interval
from survival.estimate.kaplan_meier import kaplan_meier
from survival.findings import Finding
from survival.flows.columns import column_names, complete, read_columns
from survival.flows.frames import EpisodeArrays, episode_arrays, pattern_codes

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
MOST_STAYS = 3  # stays that have a curve of their own; later ones are too few, and too selected


@dataclass(frozen=True, eq=False)
class MeanCount:
    """One group: mean number of events (m,) a customer by each event time (m,), at risk and events then, standard error."""

    label: Any
    time: Floats
    at_risk: Floats
    events: Floats
    mean: Floats
    se: Floats
    entry: float
    end: float
    customers: int


@dataclass(frozen=True, eq=False)
class MeanCounts:
    """Mean cumulative counts by group."""

    curves: tuple[MeanCount, ...]
    level: float
    interval: str
    findings: tuple[Finding, ...]

    def tidy(self) -> pd.DataFrame:
        """by, tenure, at_risk, events, mean_count, se, ci_lower, ci_upper; a row an event time, and one at entry and end."""
        return pd.concat([self._rows(curve) for curve in self.curves], ignore_index=True)

    def at(self, tenures: ArrayLike) -> pd.DataFrame:
        """Mean counts at fixed tenures: by, tenure, mean_count, se, ci_lower, ci_upper; NaN outside what was observed."""
        wanted = np.atleast_1d(np.asarray(tenures, np.float64))
        if wanted.ndim != 1 or not np.isfinite(wanted).all():
            raise ArgumentError(f"tenures must be finite numbers; got {tenures!r}")
        parts = []
        for curve in self.curves:
            rows = self._rows(curve).drop(columns=["at_risk", "events"])
            row = np.searchsorted(rows["tenure"], wanted, side="right") - 1
            known = (wanted >= curve.entry) & (wanted <= curve.end)
            part = rows.iloc[np.maximum(row, 0)].assign(tenure=wanted).reset_index(drop=True)
            part.loc[~known, ["mean_count", "se", "ci_lower", "ci_upper"]] = np.nan
            parts.append(part)
        return pd.concat(parts, ignore_index=True)

    def _rows(self, curve: MeanCount) -> pd.DataFrame:
        low, high = positive_interval(curve.mean, curve.se, self.level, self.interval)
        return pd.DataFrame(
            {
                "by": [curve.label] * curve.time.size,
                "tenure": curve.time,
                "at_risk": counts(curve.at_risk),
                "events": counts(curve.events),
                "mean_count": curve.mean,
                "se": curve.se,
                "ci_lower": low,
                "ci_upper": high,
            }
        )


def mean_cumulative_count(
    frame: Any,
    customer: str,
    stop: str = "stop",
    event: str = "event",
    start: str | None = None,
    by: str | Sequence[str] | None = None,
    spell: str | None = None,
    level: float = 0.95,
    interval: str = "log",
    order: Sequence[Any] | None = None,
) -> MeanCounts:
    """How often a customer has left, on average, by each tenure: Σ d/n over customers observed then, events of any number.

    `frame`: rows (start, stop] on one clock since the first signup; a customer may have many events, and may be away
    between rows, when no event can happen: `start` then leaves time away out of the risk set, and the count is of
    departures per customer present. To count departures per customer ever signed up, keep rows for the time away.
    Rows of a customer may not overlap. The variance is robust: it lets a customer's events depend on each other.
    `by` is fixed for a customer. Raises ArgumentError and StructureError as `kaplan_meier`, and for a customer in two groups.
    Source: Nelson 1988; Lawless & Nadeau 1995; R's survfit(Surv(start, stop, event) ~ 1, cluster = id): cumhaz, std.chaz.
    """
    one_of(interval, ("log", "plain"), "interval")
    normal_quantile(level)
    episodes = _episodes(frame, customer, stop, event, start, spell, names_of(by))
    codes, groups = pattern_codes(episodes.columns, names_of(by), len(episodes))
    _one_group(episodes, codes, by)
    names = names_of(by)
    labels = [EVERYBODY] if not names else [
        row[0] if len(names) == 1 else ", ".join(map(str, row)) for row in groups.itertuples(index=False, name=None)
    ]  # fmt: skip
    curves = {label: _mean_count(episodes, np.flatnonzero(codes == i), label) for i, label in enumerate(labels)}
    wanted = labels if order is None else [label for label in order if label in curves]
    missing = [label for label in labels if label not in wanted]
    if missing:
        raise ArgumentError(f"order must name every group; the data also have {missing[:5]}, got {list(order or ())}")
    return MeanCounts(tuple(curves[label] for label in wanted), level, interval, episodes.findings)


def _episodes(
    frame: Any, customer: str, stop: str, event: str, start: str | None, spell: str | None, keep: Sequence[str]
) -> EpisodeArrays:
    """The episodes by customer; each row its own spell, since an event is not the end of a customer."""
    wanted = [customer, stop, event, start, spell, *keep]
    table = read_columns(frame, [*wanted, *(["start"] if "start" in column_names(frame) else [])])
    complete(table, customer, "customer")
    row = "row"
    while row in table.columns:
        row += "_"
    table = table.assign(**{row: np.arange(len(table))})
    episodes = episode_arrays(table, stop, event, start, customer=customer, spell=row, keep=keep)
    order = np.lexsort((episodes.start, episodes.customer))
    same = episodes.customer[order][1:] == episodes.customer[order][:-1]
    overlap = same & (episodes.start[order][1:] < episodes.stop[order][:-1])
    if overlap.any():
        bad = table.iloc[order[1:][overlap][:5]]
        raise ArgumentError(
            f"rows of one customer overlap on the clock, such as {bad[customer].iloc[0]!r} at '{stop}' = {bad[stop].iloc[0]!r}: "
            "count on the total clock (`clock: continue`), where each return starts after the last departure"
        )
    return episodes


def _one_group(episodes: EpisodeArrays, codes: Ints, by: Any) -> None:
    first = np.full(episodes.customers, -1, np.intp)
    first[episodes.customer[::-1]] = codes[::-1]
    if (first[episodes.customer] != codes).any():
        raise ArgumentError(f"by: '{by}' changes within a customer; the mean count needs groups fixed at signup")


def _mean_count(episodes: EpisodeArrays, rows: Ints, label: Any) -> MeanCount:
    """Counts and the variance Σ_i U_i(t)², with U_i(t) = Σ_j (dN_ij - Y_ij dM_j)/n_j; no loop over customers or times.

    U changes by u_j at event time j, so the variance grows by Σ_i (2 U_i(j-1) u_ij + u_ij²), and the sums of U over who
    is at risk and over who leaves follow from U at the start and stop of each row.
    """
    start, stop, event = episodes.start[rows], episodes.stop[rows], episodes.event[rows]
    who = np.unique(episodes.customer[rows], return_inverse=True)[1]
    time = np.unique(stop[event]) if event.any() else np.zeros(0)
    d = np.bincount(np.searchsorted(time, stop[event]), minlength=time.size).astype(float)
    entered, left = np.searchsorted(time, start, side="right"), np.searchsorted(time, stop, side="right")
    net = np.bincount(entered, minlength=time.size + 1) - np.bincount(left, minlength=time.size + 1)
    n = np.cumsum(net)[: time.size].astype(float)
    drift = np.concatenate(([0.0], np.cumsum(d / n**2)))  # what a customer at risk throughout has lost of U
    at_entry, before_exit = _influence(who, start, event, drift, entered, left, n)
    jump = np.zeros(rows.size)
    jump[event] = 1.0 / n[left[event] - 1]
    # S_j: sum of U just before event time j over who is at risk then.
    size = time.size + 1
    step = np.bincount(entered, at_entry, size) - np.bincount(left, before_exit + jump, size)
    step[1:] += np.bincount(left[event], jump[event], size)[1:] - d / n
    at_risk_sum = np.cumsum(step)[: time.size]
    leaving = left[event] - 1
    # `before_exit` is U after the drift at the row's last event time; before that step it was larger by d/n².
    earlier = before_exit[event] + (d / n**2)[leaving]
    event_sum = np.bincount(leaving, earlier, time.size)
    growth = 2 * (event_sum - d / n * at_risk_sum) / n + d * (1 - d / n) / n**2
    variance = np.maximum(np.cumsum(growth), 0.0)
    entry, end = float(start.min()), float(stop.max())
    curve = (time, n, d, np.cumsum(d / n), np.sqrt(variance))
    return MeanCount(label, *_with_ends(curve, entry, end, start, stop), entry, end, int(who.max()) + 1)


def _influence(
    who: Ints, start: Floats, event: NDArray[np.bool_], drift: Floats, entered: Ints, left: Ints, n: Floats
) -> tuple[Floats, Floats]:
    """U of each row's customer when the row starts, and when it stops, the row's own event not yet counted (r,), (r,)."""
    order = np.lexsort((start, who))
    lost = (drift[left] - drift[entered])[order]
    won = np.zeros(order.size)
    mine = event[order]
    won[mine] = 1.0 / n[left[order][mine] - 1]
    total = np.cumsum(won - lost)
    begins = np.append(True, who[order][1:] != who[order][:-1])
    before = np.concatenate(([0.0], total[:-1]))
    base = np.repeat(before[begins], np.diff(np.append(np.flatnonzero(begins), order.size)))
    at_entry, before_exit = np.empty(order.size), np.empty(order.size)
    at_entry[order] = before - base
    before_exit[order] = before - base - lost
    return at_entry, before_exit


def _with_ends(
    curve: tuple[Floats, ...], entry: float, end: float, start: Floats, stop: Floats
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """The curve with a row where observation starts, at 0, and one where it ends."""
    time, n, d, mean, se = curve
    first = (entry, 0.0, 0.0, 0.0, 0.0)
    parts = [[a, *b.tolist()] for a, b in zip(first, (time, n, d, mean, se))]
    if not time.size or end > time[-1]:
        present = float((stop == end).sum())
        for part, value in zip(parts, (end, present, 0.0, parts[3][-1], parts[4][-1])):
            part.append(value)
    time, n, d, mean, se = (np.array(part) for part in parts)
    return time, n, d, mean, se


def stay_curves(
    frame: Any,
    customer: str,
    spell: str,
    stop: str = "stop",
    event: str = "event",
    start: str | None = None,
    clock: str = "gap",
    level: float = 0.95,
    interval: Any = "log-log",
) -> Curves:
    """Retention of the first, second and later stays, on the clock of the stay (`gap`) or since the first signup (`total`).

    `frame`: rows (start, stop] on the total clock, stays numbered by `spell` in their order. On the gap clock a stay starts
    at 0; on the total clock a return enters late. Groups: `first stay`, `second stay`, `third stay and later`.
    A later stay exists only for who left and came back while observed, which the findings say. Raises as `kaplan_meier`.
    Source: Prentice, Williams & Peterson 1981 (the two clocks).
    """
    one_of(clock, ("gap", "total"), "clock")
    wanted = [customer, spell, stop, event, start]
    table = read_columns(frame, [*wanted, *(["start"] if "start" in column_names(frame) else [])])
    complete(table, customer, "customer")
    numbers = pd.to_numeric(complete(table, spell, "spell"))
    stay = (numbers.groupby(table[customer]).rank(method="dense") - 1).to_numpy(np.intp)
    names = ["first stay", "second stay", "third stay and later"]
    data = pd.DataFrame(
        {
            "customer": table[customer],
            "spell": table[spell],
            "event": table[event],
            "start": table[start].to_numpy(float) if start else 0.0,
            "stop": table[stop].to_numpy(float),
            "stay": pd.Categorical.from_codes(np.minimum(stay, MOST_STAYS - 1).tolist(), names, ordered=True),
        }
    )
    if clock == "gap":
        begin = data.groupby(["customer", "spell"])["start"].transform("min")
        data["start"], data["stop"] = data["start"] - begin, data["stop"] - begin
    made = kaplan_meier(
        data, start="start", by="stay", customer="customer", spell="spell", level=level, interval=interval
    )
    return Curves(made.curves, level, made.interval, (*made.findings, *_selected(stay)))


def _selected(stay: Ints) -> tuple[Finding, ...]:
    if not (stay > 0).any():
        return ()
    message = (
        "second and later stays are those of customers who left and came back within what was observed: early leavers and "
        "quick returners. Their curves describe these customers; they do not show that a return changes how long one stays."
    )
    return (Finding("later-stays-selected", "note", "spells", message, f"{int((stay > 0).sum())} rows"),)
