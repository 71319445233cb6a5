"""Spells on the calendar: who was a customer when a month began, who left in it, and what they paid.

A month is a number, 12 x year + month - 1. Whoever entered in an earlier month and left in this one or later was a customer
at its start, so the months of entry and exit say everything: one GROUP BY, whatever the number of customers.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import pandas as pd

from survival.churn.spells import Spells
from survival.errors import DataError

_EPOCH = dt.date(1970, 1, 1)
REVENUE = "mrr"


@dataclass(frozen=True, eq=False)
class Calendar:
    """Spells by month of entry and exit.

    cells    entered, left (months), churned (bool), spells: how many entered and left then
    first    the first month seen from its first day on by all who were customers then
    last     the last month seen to its end; before `first` when there is none
    revenue  one row a month from `first` to `last`, or None where subscriptions have no mrr: month; known, unknown:
             customers at its start whose mrr is (not) known; mrr, mrr_lost: of all known and of those who churned in
             it; squares, squares_lost: the sums of their squares; contraction, expansion: of who was there at its
             start and still is at its end, how much less and more they then pay together, where both are known
    """

    cells: pd.DataFrame
    first: int
    last: int
    revenue: pd.DataFrame | None


def calendar(spells: Spells) -> Calendar:
    """The spells at risk by calendar month of entry and exit. Raises DataError when they have no calendar (no signup)."""
    rows, engine = spells.at_risk, spells.tables.engine
    if engine.count(rows.filter(rows.origin.isnull())):  # noqa: PD003
        raise DataError("churn by calendar month needs signup dates; this definition has tenures only")
    dated = rows.select("customer", "spell", "churned", since=rows.origin + rows.entry, until=rows.origin + rows.exit)
    months = dated.mutate(
        entered=month_of(dated.since), left=month_of(dated.until), followed=month_of(dated.until + 1)
    )  # a month is seen to its end by whom the day after the last finds in a later one
    cells = months.group_by("entered", "left", "churned").aggregate(
        spells=months.count(), since=months.since.min(), until=months.until.max()
    )
    frame = engine.arrow(cells).to_pandas().sort_values(["entered", "left", "churned"], ignore_index=True)
    first, last = _first(spells, int(frame["since"].min())), _last(frame, spells.tables.until_day)
    frame = frame.drop(columns=["since", "until"]).astype({"entered": int, "left": int, "spells": int})
    return Calendar(frame, first, last, _revenue(spells, months, first, last))


def month_of(day: ir.IntegerValue) -> ir.IntegerValue:
    """The month of an epoch day, as a number."""
    date = ibis.date(1970, 1, 1) + day.as_interval("D")
    return date.year().cast("int32") * 12 + date.month().cast("int32") - 1


def _number(day: int) -> int:
    date = _EPOCH + dt.timedelta(days=day)
    return 12 * date.year + date.month - 1


def _first(spells: Spells, earliest: int) -> int:
    """Late entrants are seen from the day after from + warm-up; before anybody entered there is nothing to see."""
    from_day = spells.tables.from_day
    seen = earliest if from_day is None else max(earliest, from_day + spells.warm_up)
    return _number(seen) + 1


def _last(frame: pd.DataFrame, until_day: int | None) -> int:
    """The month that ends on or before the last day that anybody was followed to.

    Where the last of all to be seen churned, nobody is left whom later days could show: every month until `observed.until` is
    whole, also that in which they did.
    """
    latest, stayed = int(frame["until"].max()), frame.loc[~frame["churned"].astype(bool), "until"]
    last = _number(latest + 1) - 1
    if until_day is None or (len(stayed) and int(stayed.max()) >= latest):
        return last
    return max(last, _number(until_day + 1) - 1)


def exact_sum(amounts: ir.NumericValue) -> ir.Value:
    """The sum of amounts to nine decimals: floats would add up to other digits with other threads."""
    return amounts.cast("decimal(38, 9)").sum().cast("float64")


def _revenue(spells: Spells, months: ir.Table, first: int, last: int) -> pd.DataFrame | None:
    bought = spells.tables.facts.get("subscriptions")
    if bought is None or REVENUE not in bought.columns or last < first:
        return None
    running = bought.select(
        "customer", "mrr", began=month_of(bought.started), over=month_of(bought.ended).fill_null(last + 1)
    )
    both = months.join(running, "customer")
    # Running when month m begins: started in an earlier month, and ended in m or later; at its end the same of m + 1.
    low = ibis.greatest(both.entered + 1, both.began, first)
    high = ibis.least(both.left, both.over, last) + 1
    paid = both.mutate(low=low, high=high).filter(low < high)
    paid = paid.mutate(month=ibis.range(paid.low, paid.high).unnest())
    at_start, at_end = paid.began < paid.month, paid.over > paid.month
    each = paid.group_by("customer", "spell", "month").aggregate(
        there=at_start.any(),
        mrr=exact_sum(at_start.ifelse(paid.mrr, 0.0)),
        after=exact_sum(at_end.ifelse(paid.mrr, 0.0)),
        unknown=(at_start & paid.mrr.isnull()).cast("int32").sum(),  # noqa: PD003
        unknown_after=(at_end & paid.mrr.isnull()).cast("int32").sum(),  # noqa: PD003
        lost=(paid.churned & (paid.left == paid.month)).any(),
        followed=(paid.followed > paid.month).any(),
    )
    each = each.filter(each.there)
    known = each.unknown == 0
    value = known.ifelse(each.mrr, 0.0)
    lost = each.lost.ifelse(value, 0.0)
    kept = known & ~each.lost & each.followed & (each.unknown_after == 0)
    change = kept.ifelse(each.after - each.mrr, 0.0)
    sums = each.group_by("month").aggregate(
        known=known.cast("int64").sum(), unknown=(~known).cast("int64").sum(), mrr=exact_sum(value),
        mrr_lost=exact_sum(lost), squares=exact_sum(value * value), squares_lost=exact_sum(lost * lost),
        contraction=exact_sum((change < 0).ifelse(-change, 0.0)), expansion=exact_sum((change > 0).ifelse(change, 0.0)),
    )  # fmt: skip
    frame = spells.tables.engine.arrow(sums).to_pandas()
    counts = {"month": int, "known": int, "unknown": int}
    frame = frame.set_index("month").reindex(range(first, last + 1), fill_value=0).rename_axis("month").reset_index()
    return frame.astype(counts)
