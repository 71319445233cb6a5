"""Regression by cause: cause-specific Cox models, and Fine and Gray's model of the cumulative incidence.

Cause-specific: what goes with the rate of leaving by a cause among customers still there. Fine-Gray: what goes with the
share lost to it by a tenure; who left by another cause stays in the risk set, with the weight of those not yet censored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survival.errors import ArgumentError, NoEventsError, StructureError
from survival.estimate.causes import CAUSE, read_cause
from survival.estimate.cox import cox
from survival.estimate.cox_fit import CoxFit
from survival.estimate.design import formula_variables
from survival.estimate.fine_gray_flows import chance_observed, fine_gray_from_flows
from survival.flows.columns import read_columns
from survival.flows.frames import EpisodeArrays, pattern_codes
from survival.flows.table import Flows

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
START, STOP, EVENT, WEIGHT, UNIT = "fg_start", "fg_stop", "fg_event", "fg_weight", "fg_customer"


@dataclass(frozen=True, eq=False)
class CauseFits:
    """A Cox fit for each cause; `model` says what its hazard ratios are ratios of."""

    model: str
    fits: Mapping[str, CoxFit]

    def __getitem__(self, cause: str) -> CoxFit:
        return self.fits[cause]

    def tidy(self) -> pd.DataFrame:
        """model (cause-specific or fine-gray), cause, then the columns of `CoxFit.tidy`."""
        parts = [fit.tidy().assign(model=self.model, cause=cause) for cause, fit in self.fits.items()]
        table = pd.concat(parts, ignore_index=True)
        return table[["model", "cause", *[c for c in table.columns if c not in ("model", "cause")]]]

    def glance(self) -> pd.DataFrame:
        """model, cause, then the columns of `CoxFit.glance`."""
        parts = [fit.glance().assign(model=self.model, cause=cause) for cause, fit in self.fits.items()]
        table = pd.concat(parts, ignore_index=True)
        return table[["model", "cause", *[c for c in table.columns if c not in ("model", "cause")]]]


def cox_by_cause(
    frame: Any,
    formula: str,
    cause: str = CAUSE,
    causes: Sequence[str] | None = None,
    stop: str = "stop",
    event: str | None = "event",
    start: str | None = None,
    customer: str | None = None,
    spell: str | None = None,
    strata: str | Sequence[str] = (),
    weights: str | None = None,
    **options: Any,
) -> CauseFits:
    """A Cox model of the rate of each cause (or of `causes`); who leaves by another cause is censored then.

    `frame` and `cause` as in `cumulative_incidence`; other `options` are those of `cox`, and so are the errors. A hazard
    ratio speaks of the rate among customers still there, not of the share lost to the cause: see `fine_gray`.
    """
    if isinstance(frame, Flows):
        wanted = _wanted(frame.causes, causes)
        given: dict[str, Any] = {"start": start, "customer": customer, "spell": spell, "weights": weights}
        fits = {c: cox(frame.of_cause(c), formula, strata=strata, **given, **options) for c in wanted}
        return CauseFits("cause-specific", MappingProxyType(fits))
    table, episodes, said = _read(frame, formula, cause, stop, event, start, customer, spell, strata, weights, options)
    fits = {}
    for name in _wanted(_causes(episodes, said), causes):
        own = table.assign(**{EVENT: episodes.event & (said == name).to_numpy()})
        fits[name] = cox(
            own, formula, stop=stop, event=EVENT, start=start, customer=customer, spell=spell, strata=strata,
            weights=weights, **options,
        )  # fmt: skip
    return CauseFits("cause-specific", MappingProxyType(fits))


def fine_gray(
    frame: Any,
    formula: str,
    cause: str = CAUSE,
    causes: Sequence[str] | None = None,
    stop: str = "stop",
    event: str | None = "event",
    start: str | None = None,
    customer: str | None = None,
    censoring_by: str | Sequence[str] | None = None,
    strata: str | Sequence[str] = (),
    **options: Any,
) -> CauseFits:
    """Fine and Gray's model of the share lost to each cause (or to `causes`), with the robust variance by customer.

    A frame of episodes, a row a customer or, with `customer`, several without gaps; or flows counted with causes, by what is
    fixed at signup. From flows the robust variance is to be had where all customers of a pattern enter at one tenure; with late
    entry pass `robust=False` or the frame (see `fine_gray_flows`).
    `censoring_by`: groups in which censoring (and entry) is estimated apart. After leaving by another cause a customer
    keeps the covariates of the last row. The variance takes the weights as known; cmprsk's crr does not, which is seldom
    seen. Late entry is weighted as R's finegray does. Raises as `cox`, StructureError for gaps.
    Source: Fine & Gray 1999; Geskus 2011; R's finegray() with coxph(cluster = id); with ties="breslow" crr's estimates.
    """
    if isinstance(frame, Flows):
        return _of_flows(
            frame, formula, causes, censoring_by, strata, {"start": start, "customer": customer, **options}
        )
    by = [censoring_by] if isinstance(censoring_by, str) else list(censoring_by or ())
    table, episodes, said = _read(
        frame, formula, cause, stop, event, start, customer, None, strata, None, options, more=by
    )
    _no_gaps(episodes, table, customer)
    groups, _ = pattern_codes(table, by, len(table))
    fits = {}
    for name in _wanted(_causes(episodes, said), causes):
        rows = weighted_rows(episodes, (said == name).to_numpy() & episodes.event, groups)
        wide = table.iloc[rows["row"].to_numpy()].reset_index(drop=True)
        wide = wide.assign(
            **{c: rows[c].to_numpy() for c in (START, STOP, EVENT, WEIGHT)},
            **{UNIT: episodes.customer[rows["row"].to_numpy()]},
        )
        fits[name] = cox(
            wide, formula, stop=STOP, event=EVENT, start=START, customer=UNIT, strata=strata, weights=WEIGHT,
            **{"robust": True, **options},
        )  # fmt: skip
    return CauseFits("fine-gray", MappingProxyType(fits))


def _of_flows(
    flows: Flows, formula: str, causes: Sequence[str] | None, censoring_by: str | Sequence[str] | None,
    strata: str | Sequence[str], options: dict[str, Any],
) -> CauseFits:  # fmt: skip
    named = {name: options.pop(name) for name in ("start", "customer")}
    if any(named.values()):
        raise ArgumentError(f"flows already hold times and customers; leave out {named}")
    if not flows.causes:
        raise ArgumentError("these flows do not know causes: count them with flows(..., causes=True)")
    by = [censoring_by] if isinstance(censoring_by, str) else list(censoring_by or ())
    fits = {c: fine_gray_from_flows(flows, formula, c, by, strata, options) for c in _wanted(flows.causes, causes)}
    return CauseFits("fine-gray", MappingProxyType(fits))


def _read(
    frame: Any, formula: str, cause: str, stop: str, event: str | None, start: str | None, customer: str | None,
    spell: str | None, strata: str | Sequence[str], weights: str | None, options: Mapping[str, Any], more: Sequence[str] = (),
) -> tuple[pd.DataFrame, EpisodeArrays, pd.Series]:  # fmt: skip
    layers = [strata] if isinstance(strata, str) else list(strata)
    names = [stop, event, start, customer, spell, weights, cause, options.get("cluster")]
    table = read_columns(frame, [*names, *formula_variables(formula), *layers, *more])
    episodes, said = read_cause(table, cause, stop, event, start, weights=weights, customer=customer, spell=spell)
    return table, episodes, said


def _causes(episodes: EpisodeArrays, said: pd.Series) -> list[str]:
    there = sorted(set(said[episodes.event]))
    if not there:
        raise NoEventsError("nobody churned: there is no cause to model")
    return there


def _wanted(there: Sequence[str], causes: Sequence[str] | None) -> list[str]:
    wanted = list(there) if causes is None else [causes] if isinstance(causes, str) else list(causes)
    for name in wanted:
        if name not in there:
            raise ArgumentError(f"'{name}' is no cause of a churn in the data; there are: {', '.join(there)}")
    return wanted


def _no_gaps(episodes: EpisodeArrays, table: pd.DataFrame, customer: str | None) -> None:
    """A customer who is away and comes back has no weight in between: refused, as R's finegray does."""
    order = np.lexsort((episodes.start, episodes.spell))
    same = episodes.spell[order][1:] == episodes.spell[order][:-1]
    gap = same & (episodes.start[order][1:] > episodes.stop[order][:-1])
    if gap.any():
        who = table[customer].iloc[order[1:][gap][0]] if customer else order[1:][gap][0]
        raise StructureError(f"fine_gray: customer {who} has a gap between two episodes; close it, or model one spell")


def weighted_rows(episodes: EpisodeArrays, own: NDArray[np.bool_], groups: Ints) -> pd.DataFrame:
    """The episodes of Fine and Gray's model: row (of `episodes`), fg_start, fg_stop, fg_event, fg_weight.

    own (n,): the event is of the cause; groups (n,): within each, censoring and entry have one distribution. Who left by
    another cause goes on to the last tenure, in pieces that hold an event of the cause, weighted by the chance of still
    being observed there. Source: R's finegray, which with groups keeps only pieces that hold an event of the group itself; here
    an event of any group counts, since all are compared at it.
    """
    first, last = _ends(episodes)
    parts, events = [], np.unique(episodes.stop[own])
    for code in range(int(groups.max()) + 1):
        rows = np.flatnonzero(groups == code)
        cuts, chance = _observed(episodes, rows, first[rows], last[rows])
        parts.append(_extended(episodes, rows, own[rows], last[rows], cuts, chance, events))
    return pd.concat(parts, ignore_index=True)


def _ends(episodes: EpisodeArrays) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which episodes (n,), (n,) are the first and the last of their spell."""
    order = np.lexsort((episodes.start, episodes.spell))
    unit = episodes.spell[order]
    change = unit[1:] != unit[:-1]
    first, last = np.zeros(len(episodes), bool), np.zeros(len(episodes), bool)
    first[order], last[order] = np.append(True, change), np.append(change, True)
    return first, last


def _observed(
    episodes: EpisodeArrays, rows: Ints, first: NDArray[np.bool_], last: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Tenures (m,) at which pieces end, and the chance (m,) of being observed in the piece before (`chance_observed`)."""
    start, stop, event = episodes.start[rows], episodes.stop[rows], episodes.event[rows]
    time = np.unique(np.concatenate((start, stop)))
    into, out = np.searchsorted(time, start), np.searchsorted(time, stop)
    columns = (into[first], into, out, out[event])
    began, entered, exited, events = (np.bincount(place, minlength=time.size).astype(float) for place in columns)
    return chance_observed(time, began, entered, exited, events)


def _extended(
    episodes: EpisodeArrays, rows: Ints, own: NDArray[np.bool_], last: NDArray[np.bool_], cuts: Floats, chance: Floats,
    events: Floats,
) -> pd.DataFrame:  # fmt: skip
    start, stop, event = episodes.start[rows], episodes.stop[rows].copy(), episodes.event[rows]
    goes_on = event & ~own & last
    piece = np.searchsorted(cuts, stop, side="left")
    inside = np.searchsorted(cuts, events, side="left")
    kept = np.unique(
        inside[(inside > 0) & (inside < cuts.size)]
    )  # pieces (cuts[j - 1], cuts[j]] that hold an event of the cause
    after = np.searchsorted(kept, piece[goes_on], side="right")
    many = kept.size - after
    who = np.repeat(np.flatnonzero(goes_on), many)
    index = np.arange(who.size) - np.repeat(np.cumsum(many) - many, many) + np.repeat(after, many)
    j = kept[index]
    stop[goes_on] = cuts[piece[goes_on]]
    whole = pd.DataFrame(
        {"row": rows, START: start, STOP: stop, EVENT: own.astype(np.int8), WEIGHT: episodes.weight[rows]}
    )
    more = pd.DataFrame(
        {
            "row": rows[who],
            START: cuts[j - 1],
            STOP: cuts[j],
            EVENT: np.int8(0),
            WEIGHT: episodes.weight[rows][who] * chance[j] / chance[piece[who]],
        }
    )
    return pd.concat([whole, more[more[WEIGHT] > 0]], ignore_index=True)
