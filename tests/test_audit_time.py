"""Traps of time: each is built with a known truth, does its damage, and is caught by its finding."""

from __future__ import annotations

import datetime as dt
from typing import Literal

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pytest
from audit_companies import (
    DAYS,
    FIRST,
    UNTIL,
    Company,
    built,
    company,
    date,
    found,
    grave,
    hazard_ratio,
    of_cancellation,
    retention,
)

from survival import (
    Indicator,
    episodes,
    parse_definition,
    parse_indicator,
    register_definition,
    register_indicator,
    spells,
    tables_from_frames,
)
from survival.audit import look_ahead
from survival.churn import Definition, outcome
from survival.data import Tables
from survival.indicators.deltas import Channel
from survival.indicators.indicator import Sums
from survival.indicators.threshold import Level

# What a clean company raises


def test_a_clean_company_raises_nothing_but_notes() -> None:
    made = company(1)
    plan = np.where(made.rng.random(made.n) < 0.5, "basic", "pro")
    frames = {"customers": made.customers(plan=plan), "subscriptions": made.subscriptions(), "usage": made.usage()}
    with made.tables(frames) as tables:
        at_risk = of_cancellation(tables)
        rows = built(at_risk, ["plan"], low={"kind": "usage", "window": 28, "below": 3})
        findings = found(at_risk, rows, "low + plan")
        findings |= {f.id: [f] for f in look_ahead(rows)}
        assert grave(findings) == set()
        assert "look-ahead-tested" in findings


def test_strong_effects_fixed_at_signup_are_no_traps() -> None:
    """A plan with a hazard ratio of 0.2, and a yearly contract that nobody can leave before its end."""
    made = company(2, n=3000)
    rng = made.rng
    plan = np.where(rng.random(made.n) < 0.5, "basic", "pro")
    yearly = rng.random(made.n) < 0.3
    life = np.where(plan == "pro", made.life * 5, made.life)
    life = np.where(yearly, 365 * (life // 365 + 1), life)
    made = Company(rng, made.signup, life)
    term = np.where(yearly, "yearly", "monthly")
    seats = np.where(plan == "pro", rng.integers(20, 400, made.n), rng.integers(1, 20, made.n)).astype(float)
    frames = {"customers": made.customers(plan=plan, term=term, seats=seats), "subscriptions": made.subscriptions()}
    with made.tables(frames) as tables:
        at_risk = of_cancellation(tables)
        rows = built(at_risk, ["plan", "term", "seats"])
        assert grave(found(at_risk, rows, "plan + term + seats")) == set()


# Immortal time


def test_an_attribute_that_takes_time_to_happen_is_immortal_time() -> None:
    """True hazard ratio 1: adoption does not change when they leave, but who leaves early never gets to it."""
    made = company(3)
    adopts = made.rng.exponential(200.0, made.n)
    ever = np.where(adopts <= made.stays, "yes", "no")
    logins = made.rng.poisson(0.5 * made.stays).astype(float)  # a total of the whole life
    frames = {"customers": made.customers(ever_adopted=ever, logins=logins), "subscriptions": made.subscriptions()}
    with made.tables(frames) as tables:
        at_risk = of_cancellation(tables)
        rows = built(at_risk, ["ever_adopted", "logins"])
        assert hazard_ratio(rows, "ever_adopted") < 0.5
        findings = found(at_risk, rows, "ever_adopted + logins")["immortal-time"]
        assert {f.subject for f in findings} == {"ever_adopted", "logins"}
        assert all(f.severity == "warning" and "indicator" in f.message for f in findings)


def test_a_date_after_signup_is_immortal_time() -> None:
    made = company(4, n=400)
    visit = made.signup + made.rng.integers(0, 90, made.n)
    frames = {
        "customers": made.customers(last_visit=date(visit).dt.strftime("%Y-%m-%d")),
        "subscriptions": made.subscriptions(),
    }
    with made.tables(frames) as tables:
        (finding,) = found(of_cancellation(tables), cohort_by="last_visit")["immortal-time"]
        after = int((visit > made.signup).sum())
        assert (finding.subject, finding.figure) == ("last_visit", f"after_signup={after} of 400")


def test_an_attribute_that_restates_the_outcome_is_an_error() -> None:
    made = company(5, n=400)
    status = np.where(made.left, "cancelled", "active")
    frames = {"customers": made.customers(status=status), "subscriptions": made.subscriptions()}
    with made.tables(frames) as tables:
        (finding,) = found(of_cancellation(tables), cohort_by="status")["restates-outcome"]
        assert (finding.severity, finding.subject) == ("error", "status")
        assert finding.figure.startswith("told=1.000, guessed=0.")


def test_churn_dated_back_to_the_last_activity_is_immortal_time() -> None:
    made = company(6, n=300)
    with made.tables({"customers": made.customers(), "usage": made.usage()}) as tables:
        definition = parse_definition({"kind": "inactivity", "window": 30, "dated": "last_activity"})
        (finding,) = found(spells(tables, definition))["immortal-time"]
        assert finding.figure == "window=30"


# Look-ahead


class MonthTotal(Channel):
    """The uses of a calendar month, laid over the whole of it: on its first day nobody knows them."""

    def deltas(self, tables: Tables) -> ir.Table:
        facts = tables.facts["usage"]
        month = (ibis.date(1970, 1, 1) + facts.day.as_interval("D")).truncate("M")
        first = (month.epoch_seconds() // 86_400).cast("int32")
        following = ((month + ibis.interval(months=1)).epoch_seconds() // 86_400).cast("int32")
        comes = facts.select("customer", day=first, amount=ibis.literal(1.0))
        return comes.union(facts.select("customer", day=following, amount=ibis.literal(-1.0)))


@register_indicator
class UsageOfTheMonth(Indicator):
    """A user's own indicator with a bug."""

    kind: Literal["usage_of_the_month"] = "usage_of_the_month"

    def reads(self) -> dict[str, set[str]]:
        return {"usage": {"customer_id", "used_on"}}

    def channels(self) -> tuple[Channel, ...]:
        return (MonthTotal(shift=self.lag),)

    def level(self, sums: Sums) -> Level:
        return sums(self.channels()[0])


def test_a_total_laid_over_its_month_looks_ahead() -> None:
    """True hazard ratio 1: who leaves early in a month has no time to use much in it."""
    made = company(7, n=800)
    frames = {"customers": made.customers(), "subscriptions": made.subscriptions(), "usage": made.usage(0.4)}
    with made.tables(frames) as tables:
        at_risk = of_cancellation(tables)
        rows = built(
            at_risk,
            this_month={"kind": "usage_of_the_month", "at_least": 8},
            recent={"kind": "usage", "window": 28, "at_least": 8},
        )
        assert hazard_ratio(rows, "this_month") < 0.6
        assert 0.75 < hazard_ratio(rows, "recent") < 1.3
        (finding,) = look_ahead(rows)
        assert (finding.id, finding.severity, finding.subject) == ("look-ahead", "error", "this_month")
        assert 100 < int(finding.figure.removeprefix("customers=")) < 800
        assert "2022-09-09" in finding.message
        lagged = built(at_risk, this_month={"kind": "usage_of_the_month", "at_least": 8, "lag": 31})
        assert [f.id for f in look_ahead(lagged)] == ["look-ahead-tested"]


class Backdated(Definition):
    """A user's own definition: lost on the last active day if 120 days of silence follow; the others stay at risk."""

    kind: Literal["backdated"] = "backdated"

    def reads(self) -> dict[str, set[str]]:
        return {"customers": {"signed_up_on"}, "usage": {"customer_id", "used_on"}}

    def outcomes(self, tables: Tables) -> ir.Table:
        facts = tables.facts["usage"]
        last = facts.group_by("customer").aggregate(last=facts.day.max())
        rows = tables.customers.select("customer", "signup").left_join(last, "customer")
        until = tables.until_day or 0
        day = rows.last.fill_null(rows.signup)
        lost = day <= until - 120
        ends = lost.ifelse(day, until) - rows.signup
        return outcome(rows, origin=rows.signup, begins=0, ends=ends, left=lost, churned=lost)


register_definition(Backdated)


def test_unconfirmed_customers_who_stay_at_risk_are_found_twice() -> None:
    """Silence of the last 120 days cannot be told from a pause; counted as survival it lifts the curve."""
    made = company(8, n=2000, days=150.0)
    with made.tables({"customers": made.customers(), "usage": made.usage(0.3)}) as tables:
        wrong = spells(tables, Backdated())
        truth = float((made.life > 180).mean())
        right = spells(tables, parse_definition({"kind": "inactivity", "window": 120}))
        assert retention(wrong, 180) > truth + 0.08
        (finding,) = found(wrong)["unconfirmed-tail"]
        assert finding.severity == "warning"
        assert 110 <= int(finding.figure.split(",")[0].removeprefix("days=")) <= 125
        assert {"unconfirmed-tail", "survivors-only"}.isdisjoint(found(right))
        (ahead,) = look_ahead(wrong)
        assert (ahead.id, ahead.subject) == ("look-ahead", "backdated")
        assert [f.id for f in look_ahead(right)] == ["look-ahead-tested"]


def test_every_definition_and_indicator_that_ships_passes_on_late_entrants_and_returns() -> None:
    made = company(9, n=300)
    tickets = pd.DataFrame({"customer_id": made.customers()["customer_id"], "opened_on": date(made.signup + 5)})
    tickets["resolved_on"] = date(made.signup + made.rng.integers(6, 300, made.n))
    frames = {
        "customers": made.customers(), "subscriptions": made.subscriptions(end_reason="price"), "usage": made.usage(),
        "tickets": tickets,
    }  # fmt: skip
    with made.tables(frames, from_=dt.date(2022, 7, 1)) as tables:
        for definition in (
            parse_definition({"kind": "cancellation", "gap": 7}),
            parse_definition({"kind": "inactivity", "window": 21}),
        ):
            rows = built(
                spells(tables, definition, warm_up=60),
                drop={"kind": "usage_decline", "window": 14, "baseline": 28, "below": 0.5, "lag": 3},
                open={"kind": "open_tickets", "at_least": 1},
                used={"kind": "usage", "window": 28, "measure": "active_days"},
            )
            assert [f.id for f in look_ahead(rows)] == ["look-ahead-tested"], definition


def test_without_dates_no_rebuild_is_possible() -> None:
    people = pd.DataFrame({"customer_id": ["a", "b", "c"], "tenure": [3, 4, 5], "churned": [1, 0, 1]})
    with tables_from_frames({"customers": people}, need={"customers": {"tenure", "churned"}}) as tables:
        (finding,) = look_ahead(spells(tables, parse_definition({"kind": "recorded"})))
        assert finding.id == "look-ahead-not-tested"


# Circularity


def test_inactivity_explained_by_usage_is_circular() -> None:
    """From nothing: everybody uses at the same rate, but whoever is about to be lost has not used for weeks."""
    made = company(10, n=800, days=1e6)
    frames = {"customers": made.customers(), "usage": made.usage(0.12)}
    with made.tables(frames) as tables:
        definition = parse_definition({"kind": "inactivity", "window": 21})
        at_risk = spells(tables, definition)
        now = episodes(at_risk, {"used": usage_of(lag=0)})
        late = episodes(at_risk, {"used": usage_of(lag=21)})
        assert [f.id for f in now.findings] == ["circularity"]
        assert late.findings == ()
        assert hazard_ratio(now.build(), "used") < 0.5
        assert 0.9 < hazard_ratio(late.build(), "used") < 1.1


def usage_of(lag: int) -> Indicator:
    return parse_indicator({"kind": "usage", "window": 28, "lag": lag})


# Logs that begin late, or end early


def test_survivors_of_the_time_before_the_log_are_found() -> None:
    """Only who was there when recording began is recorded: retention of 0.30 at a year looks like 0.4 and more."""
    made = company(11, n=4000)
    began = 365
    there = made.signup + made.life > began
    made = Company(made.rng, made.signup[there], made.life[there])
    with made.tables() as tables:
        wrong = of_cancellation(tables)
        (finding,) = found(wrong)["survivors-only"]
        truth = np.exp(-365 / 300)
        assert retention(wrong, 365) > truth + 0.08
        assert (
            finding.figure.endswith(f"until={FIRST + dt.timedelta(days=began + 1)}")
            or "until=2023-01" in finding.figure
        )
    with made.tables(from_=FIRST + dt.timedelta(days=began)) as tables:
        right = of_cancellation(tables)
        assert abs(retention(right, 365) - truth) < 0.05
        assert {"survivors-only", "unconfirmed-tail"}.isdisjoint(found(right))
        assert "late-entry" in found(right)


def test_a_log_that_begins_late_is_found() -> None:
    made = company(12, n=300)
    usage = made.usage()
    usage = usage[usage["used_on"] >= "2022-06-01"]
    with made.tables({"customers": made.customers(), "usage": usage}) as tables:
        (finding,) = found(spells(tables, parse_definition({"kind": "inactivity"})))["log-starts-late"]
        assert finding.subject == "usage"


@pytest.mark.parametrize("kind", ["inactivity", "cancellation"])
def test_a_log_exported_before_until_is_found(kind: str) -> None:
    """40 days without a log: everybody seems to be lost, or nobody seems to leave."""
    made = company(13)
    last = DAYS - 40
    subscriptions = made.subscriptions()
    subscriptions.loc[made.signup + made.life > last, "ended_on"] = pd.NaT
    subscriptions = subscriptions[made.signup <= last]
    frames = {"customers": made.customers(), "subscriptions": subscriptions, "usage": made.usage(until=last)}
    with made.tables(frames) as tables:
        findings = found(spells(tables, parse_definition({"kind": kind})))
        (finding,) = findings["log-ends-early"]
        assert finding.subject == {"inactivity": "usage", "cancellation": "subscriptions"}[kind]
        assert finding.figure == "days=40"
        assert ("unconfirmed-tail" in findings) == (kind == "cancellation")
    with made.tables(frames, until=UNTIL - dt.timedelta(days=40)) as tables:
        assert grave(found(spells(tables, parse_definition({"kind": kind})))) == set()


# The calendar


def test_a_month_in_which_everybody_leaves_is_noted() -> None:
    made = company(14, n=3000)
    shock = (made.signup < 400) & (made.signup + made.life > 400) & (made.rng.random(made.n) < 0.3)
    life = np.where(shock, 400 - made.signup + made.rng.integers(1, 20, made.n), made.life)
    with Company(made.rng, made.signup, life).tables() as tables:
        (finding,) = found(of_cancellation(tables))["calendar-shock"]
        assert finding.severity == "note"
        assert "2023-01-26" in finding.message


def test_billing_on_the_first_of_the_month_is_no_trap() -> None:
    """Everybody leaves at the end of a calendar month: no quiet stretch, no shock, whatever the last day is."""
    made = company(15, n=2500)
    leaves = date(made.signup + made.life) + pd.offsets.MonthBegin(1)
    life = (leaves - pd.Timestamp(FIRST)).dt.days.to_numpy() - made.signup
    with Company(made.rng, made.signup, life).tables(until=dt.date(2023, 12, 28)) as tables:
        assert grave(found(of_cancellation(tables))) == set()
        assert "calendar-shock" not in found(of_cancellation(tables))
