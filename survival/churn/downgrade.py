"""Downgrade: churn is the first day on which a customer pays less, or has a lower plan, than the day before."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Literal, Self

import ibis
import ibis.expr.types as ir
from pydantic import Field, field_validator, model_validator

from survival.churn.anchored import Clock, SpellsKept, on_clock
from survival.churn.chains import chains
from survival.churn.definition import FOREVER, NOTHING_TO_LEAVE, Reads, last_day, register_definition
from survival.churn.subscribed import Subscribed
from survival.errors import DataError
from survival.findings import Finding
from survival.spec import Written

if TYPE_CHECKING:
    from survival.data import Tables

EXACT = 2.0**53  # whole numbers up to here are exact as float64
MOST_DECIMALS = 9


@register_definition
class Downgrade(Subscribed):
    """The level of a day is the sum of mrr (or, with `plan_order`, the best plan) of the subscriptions running at its
    close. Churn is the first day on which it is lower than the day before, by more than `min_drop` of it, while
    something still runs; a day at whose close nothing runs is leaving, and censors. A day on which a running
    subscription has no mrr is unknown: there is no step into it or out of it.
    """

    kind: Literal["downgrade"] = "downgrade"
    plan_order: tuple[str, ...] = Field(
        (), description="all plans from the lowest to the highest; default: compare mrr"
    )
    min_drop: Written = Field(
        Decimal(0), ge=0, lt=1, description="share of the mrr of the day before; only a greater drop is churn"
    )
    spells: SpellsKept = "first"
    clock: Clock = "reset"

    @field_validator("plan_order")
    @classmethod
    def _each_once(cls, plans: tuple[str, ...]) -> tuple[str, ...]:
        twice = [plan for i, plan in enumerate(plans) if plan in plans[:i]]
        if twice:
            raise ValueError(f"plan {twice[0]!r} is there twice")
        return plans

    @model_validator(mode="after")
    def _drop_of_mrr(self) -> Self:
        if self.plan_order and self.min_drop:
            raise ValueError("min_drop is a share of mrr; with plan_order leave it out")
        return self

    def reads(self) -> Reads:
        """Subscriptions with start and end, and their mrr or plan."""
        return self.subscription_reads("plan" if self.plan_order else "mrr")

    def outcomes(self, tables: Tables) -> ir.Table:
        """The first step down within the first chain of every customer, or within each; else its end."""
        until = last_day(tables, self.kind)
        people = self.people(tables)
        rows = self.subscriptions(tables, people)
        made = chains(rows, 0, every=self.spells == "all")
        made = made.join(people.select("customer", "origin"), "customer")
        made = made.mutate(began=(made.started < made.origin).ifelse(made.origin, made.started))
        steps = self._steps(tables, rows, people)
        inside = made.join(steps, ["customer", (steps.day > made.began) & (steps.day < made.ended)])
        downs = inside.group_by("customer", "chain").aggregate(down=inside.day.min())
        made = made.left_join(downs, ["customer", "chain"])
        rows = people.left_join(made.select("customer", "chain", "began", "ended", "down"), "customer")
        rows = rows.mutate(spell=rows.chain.cast("int32") - 1)
        down = (rows.down <= until).fill_null(False)
        over = ~down & (rows.ended <= until).fill_null(False)
        nothing = rows.began.isnull().ifelse(NOTHING_TO_LEAVE, ibis.null("string"))
        return on_clock(
            rows,
            begins=rows.began,
            ends=down.ifelse(rows.down, over.ifelse(rows.ended, until)),
            reset=self.clock == "reset",
            left=down | over,
            churned=down,
            aside=ibis.coalesce(self.never(rows), nothing),
        )

    def _steps(self, tables: Tables, subscriptions: ir.Table, people: ir.Table) -> ir.Table:
        """customer, day: at whose close the level, known, is lower than it was, known, before."""
        rows = subscriptions.join(people.select("customer", "origin"), "customer")
        start = (rows.started < rows.origin).ifelse(rows.origin, rows.started)
        rows = rows.mutate(start=start, end=rows.ended.fill_null(FOREVER))
        rows = rows.filter(rows.end > rows.start)
        amounts, bound = self._amounts(tables, rows)
        both = [
            rows.select(
                customer=rows.customer, day=rows[day].cast("int32"), **{n: a * sign for n, a in amounts.items()}
            )
            for day, sign in (("start", 1.0), ("end", -1.0))
        ]
        changes = both[0].union(both[1])
        changes = changes.group_by("customer", "day").aggregate(**{n: changes[n].sum() for n in amounts})
        so_far = ibis.window(group_by="customer", order_by="day", preceding=None, following=0)
        sums = changes.select("customer", "day", **{n: changes[n].sum().over(so_far) for n in amounts})
        levels = sums.select("customer", "day", level=self._level(sums), known=self._known(sums))
        order = ibis.window(group_by="customer", order_by="day")
        levels = levels.mutate(before=levels.level.lag().over(order), before_known=levels.known.lag().over(order))
        stepped = levels.known & levels.before_known.fill_null(False)
        return levels.filter(stepped, self._lower(levels, bound)).select("customer", "day")

    def _amounts(self, tables: Tables, rows: ir.Table) -> tuple[dict[str, ir.FloatingValue], float]:
        """What a running subscription adds to each running sum, in whole numbers; and how great a sum can get."""
        if self.plan_order:
            return {f"plan{i}": (rows.plan == p).ifelse(1.0, 0.0) for i, p in enumerate(self.plan_order)}, 2.0**31
        decimals, bound = _decimals(tables, rows)
        whole = (rows.mrr.fill_null(0.0) * float(10**decimals)).round().cast("float64")
        return {"mrr": whole, "unknown": rows.mrr.isnull().ifelse(1.0, 0.0)}, bound

    def _level(self, sums: ir.Table) -> ir.FloatingValue:
        if not self.plan_order:
            return sums.mrr
        ranks = [(sums[f"plan{i}"] > 0, ibis.literal(float(i + 1))) for i in range(len(self.plan_order))]
        return ibis.cases(*reversed(ranks), else_=0.0)

    def _known(self, sums: ir.Table) -> ir.BooleanValue:
        return ibis.literal(True) if self.plan_order else sums.unknown == 0

    def _lower(self, levels: ir.Table, bound: float) -> ir.BooleanValue:
        """Exactly: drop x bottom > top x before, for min_drop = top / bottom."""
        top, bottom = self.min_drop.as_integer_ratio()
        drop, before = levels.before - levels.level, levels.before
        if top and 2 * bound * bottom >= EXACT:
            drop, before = (value.cast("decimal(38, 0)") for value in (drop, before))
            high, low = (ibis.literal(Decimal(n), "decimal(38, 0)") for n in (bottom, top))
            return (levels.level < levels.before) & (drop * high > before * low)
        return (levels.level < levels.before) & (drop * float(bottom) > before * float(top))

    def check(self, tables: Tables) -> None:
        """Raises DataError for a plan that `plan_order` does not name."""
        if not self.plan_order:
            return
        rows = self.subscriptions(tables, self.people(tables))
        unknown = rows.filter(~rows.plan.isin(self.plan_order)).group_by("plan").aggregate(n=ibis._.count())
        found = tables.engine.rows(unknown.order_by("plan"))
        if found:
            named = ", ".join(f"{row['plan']!r} ({row['n']:,} rows)" for row in found)
            raise DataError(
                f"downgrade: plan_order ({', '.join(self.plan_order)}) has no place for {named} of subscriptions. "
                "Name every plan, or filter the table with `where`"
            )

    def findings(self, tables: Tables) -> tuple[Finding, ...]:
        """Origins that the logs may not show, and how much mrr is unknown."""
        rows = self.subscriptions(tables, self.people(tables))
        found = self.unseen_origins(tables)
        if self.plan_order:
            return found
        n, unknown = tables.engine.rows(rows.aggregate(n=rows.count(), unknown=rows.mrr.isnull().cast("int32").sum()))[
            0
        ].values()
        if not unknown:
            return found
        message = f"{unknown:,} of {n:,} subscriptions have no mrr: no downgrade is seen while one of them runs."
        return (*found, Finding("unknown-mrr", "note", self.kind, message, f"share={unknown / n:.3f}"))


def _decimals(tables: Tables, rows: ir.Table) -> tuple[int, float]:
    """How many decimals of mrr count (as many as the data have, up to 9), and the greatest sum of one customer in them."""
    mrr = rows.mrr.fill_null(0.0)

    def off(decimals: int) -> ir.IntegerValue:
        scale = float(10**decimals)
        return ((mrr * scale).round() / scale != mrr).cast("int32").max().fill_null(0)

    per_customer = rows.group_by("customer").aggregate(
        total=mrr.abs().sum(), **{f"off{d}": off(d) for d in range(MOST_DECIMALS + 1)}
    )
    most = {"total": per_customer.total.max().fill_null(0.0)}
    most |= {f"off{d}": per_customer[f"off{d}"].max().fill_null(0) for d in range(MOST_DECIMALS + 1)}
    row = tables.engine.rows(per_customer.aggregate(**most))[0]
    decimals = next((d for d in range(MOST_DECIMALS + 1) if not row[f"off{d}"]), MOST_DECIMALS)
    while decimals > 0 and row["total"] * 10**decimals >= EXACT:
        decimals -= 1
    return decimals, row["total"] * 10**decimals
