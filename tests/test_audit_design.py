"""Traps of filters, causes, ties, structure and covariates: built with a known truth, with their damage, and caught."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pytest
from audit_companies import DAYS, Company, built, company, date, found, grave, of_cancellation, retention

from survival import CohortSpec, cox, flows, kaplan_meier, parse_definition, spells, with_cohort
from survival.audit import CATALOGUE, Case, audit, fading
from survival.audit.covariates import few_events
from survival.audit.ties import tie_share, ties
from survival.churn import Cancellation
from survival.episodes import episodes
from survival.errors import ConservationError, StructureError
from survival.estimate.cumulative_incidence import cumulative_incidence
from survival.flows.frames import episode_arrays, flows_of

ROOT = Path(__file__).resolve().parent.parent

# Filters that depend on the outcome


def test_early_leavers_filtered_out_are_found() -> None:
    """A billing tool that drops who signs up and cancels within a month."""
    made = company(21)
    early = made.left & (made.life <= 31)
    frames = {"customers": made.customers(), "subscriptions": made.subscriptions(kept=np.where(early, "no", "yes"))}
    with made.tables(frames) as tables:
        whole = of_cancellation(tables)
        assert grave(found(whole)) == set()
    with made.tables(frames, specs={"subscriptions": {"where": {"kept": "yes"}}}) as tables:
        rosy = of_cancellation(tables)
        assert retention(rosy, 90) > retention_of(made, 90) + 0.05
        early_finding = [f for f in found(rosy)["outcome-dependent-filter"] if "within 31 days" in f.message]
        assert [f.subject for f in early_finding] == ["subscriptions"]
        assert f"{early.sum()}/{early.sum()} against 0/{made.left.sum() - early.sum()}" == early_finding[0].figure


def retention_of(made: Company, tenure: int) -> float:
    return float((made.life > tenure).mean())


def test_a_filter_on_the_current_status_is_found() -> None:
    made = company(22, n=600)
    status = np.where(made.left & (made.rng.random(made.n) < 0.8), "cancelled", "active")
    frames = {"customers": made.customers(), "subscriptions": made.subscriptions(status=status)}
    with made.tables(frames, specs={"subscriptions": {"where": {"status": "active"}}}) as tables:
        (finding,) = found(of_cancellation(tables))["outcome-dependent-filter"]
        assert finding.figure == f"{(status == 'cancelled').sum()}/{made.left.sum()} against 0/{(~made.left).sum()}"


@pytest.mark.parametrize("kind", ["inactivity", "cancellation"])
def test_customers_who_were_deleted_when_they_left_are_found(kind: str) -> None:
    made = company(23, n=900, days=120.0)
    gone = made.left & (made.rng.random(made.n) < 0.5)
    frames = {"customers": made.customers()[~gone], "subscriptions": made.subscriptions(), "usage": made.usage()}
    with made.tables(frames) as tables:
        made_spells = spells(tables, parse_definition({"kind": kind}))
        (finding,) = found(made_spells)["outcome-dependent-filter"]
        assert finding.subject == {"inactivity": "usage", "cancellation": "subscriptions"}[kind]
        assert "unknown customer" in finding.message


def test_a_filter_by_a_fact_of_signup_is_none() -> None:
    made = company(24)
    country = np.where(made.rng.random(made.n) < 0.3, "DE", "FR")
    life = np.where(country == "DE", made.life * 2 // 3 + 1, made.life)  # and they do differ
    made = Company(made.rng, made.signup, life)
    frames = {
        "customers": made.customers(country=country),
        "subscriptions": made.subscriptions(),
        "usage": made.usage(),
    }
    with made.tables(frames, specs={"customers": {"where": {"country": "FR"}}}) as tables:
        for kind in ("cancellation", "inactivity"):
            assert "outcome-dependent-filter" not in found(spells(tables, parse_definition({"kind": kind})))


# More than one way to leave


def causes_of(made: Company) -> np.ndarray:
    return made.rng.choice(["price", "product", "payment_failed"], made.n)


def test_one_minus_a_curve_of_one_cause_is_no_share_of_customers() -> None:
    made = company(25, days=120.0)
    frames = {"customers": made.customers(), "subscriptions": made.subscriptions(end_reason=causes_of(made))}
    with made.tables(frames) as tables:
        whole = of_cancellation(tables)
        parts = [of_cancellation(tables, reasons=[cause]) for cause in ("price", "product", "payment_failed")]
        assert sum(1 - retention(part, 365) for part in parts) > 1.2
        incidence = cumulative_incidence(flows(whole, causes=True)).at([365])
        assert incidence["incidence"].sum() == pytest.approx(1 - retention(whole, 365), abs=1e-9)
        for part in parts:
            (finding,) = found(part)["competing-causes"]
            assert finding.severity == "warning"
            other, churned = (int(n.partition("=")[2]) for n in finding.figure.split(", "))
            assert churned == part.churns
            # who leaves on the last day of all cannot be told from who is still there then
            assert 0 <= whole.churns - part.churns - other <= (made.signup + made.life == DAYS).sum()
            (quiet,) = found(part, curves=False)["competing-causes"]
            assert (quiet.severity, "cause-specific" in quiet.message) == ("note", True)
        assert "competing-causes" not in found(whole)
        (several,) = found(whole)["several-causes"]
        assert (several.severity, several.figure) == ("note", "3 causes")


def test_customers_who_come_back_are_noted() -> None:
    made = company(26, n=400, days=100.0)
    again = made.subscriptions()[made.left & (made.signup + made.life < 600)].head(60)
    again = again.assign(started_on=again["ended_on"] + pd.Timedelta(days=40), ended_on=pd.Timestamp("2030-01-01"))
    frames = {"customers": made.customers(), "subscriptions": pd.concat([made.subscriptions(), again])}
    with made.tables(frames) as tables:
        at_risk = of_cancellation(tables)
        (finding,) = found(at_risk)["returns"]
        assert (finding.severity, finding.figure) == ("note", f"60 of {at_risk.churns} churned customers")


def test_spells_of_one_customer_are_not_counted_as_customers() -> None:
    """A warning with `robust: false`; else the standard errors are those clustered by customer, not by spell."""
    made = company(26, n=400, days=100.0)
    again = made.subscriptions()[made.left & (made.signup + made.life < 600)].head(150)
    ended = again["ended_on"] + pd.Timedelta(days=70)
    again = again.assign(started_on=again["ended_on"] + pd.Timedelta(days=40), ended_on=ended)
    plan = np.where(made.rng.random(made.n) < 0.5, "basic", "pro")
    frames = {"customers": made.customers(plan=plan), "subscriptions": pd.concat([made.subscriptions(), again])}
    with made.tables(frames) as tables:
        first = spells(tables, Cancellation())
        every = spells(tables, Cancellation(spells="all"))
        assert every.count == every.customers + 150
        for at_risk, robust, said in (
            (every, False, True),
            (every, None, False),
            (every, True, False),
            (first, False, False),
        ):
            built = episodes(at_risk, {}, attributes=["plan"]).build()
            case = Case(at_risk, built, formula="plan", robust=robust)
            assert ("unclustered-returns" in {f.id for f in audit(case)}) == said
        frame = episodes(every, {}, attributes=["plan"]).build().frame()
    given = {"start": "start", "stop": "stop", "event": "event", "spell": "spell"}
    by_customer = cox(frame, "plan", **given, customer="customer")
    frame["both"] = frame["customer"] * 10 + frame["spell"]
    by_spell = cox(frame, "plan", **given, customer="both", robust=True)
    assert by_customer.options.robust  # without being asked
    influence = by_customer.residuals("dfbeta").iloc[:, -1].groupby(frame["customer"]).sum()
    assert by_customer.tidy()["robust_se"][0] == pytest.approx(np.sqrt((influence**2).sum()))
    assert by_customer.tidy()["robust_se"][0] != pytest.approx(by_spell.tidy()["robust_se"][0], rel=1e-3)


# Ties


def grouped(width: int, seed: int = 27) -> pd.DataFrame:
    """A hazard ratio of 2, with churn seen at the end of periods of `width` days only."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2, 6000)
    life = rng.exponential(150.0 / np.where(x == 1, 2.0, 1.0))
    stop = width * np.ceil(life / width)
    return pd.DataFrame({"stop": np.minimum(stop, 360), "event": (stop <= 360).astype(int), "x": x})


@pytest.mark.parametrize(("width", "severity"), [(1, None), (7, "note"), (30, "warning")])
def test_the_tie_share_tells_when_the_method_matters(width: int, severity: str | None) -> None:
    frame = grouped(width)
    share = tie_share(flows_of(episode_arrays(frame, "stop", "event")))
    efron, breslow = (
        float(cox(frame, "x", ties=method).tidy()["hazard_ratio"].iloc[0]) for method in ("efron", "breslow")
    )
    # Breslow shrinks the coefficient by about half of the share; Efron not, until time is discrete
    assert np.log(breslow / 2) == pytest.approx(np.log(efron / 2) - share / 2 * np.log(2), abs=0.06)
    assert efron - breslow == pytest.approx(0, abs=0.03) if width == 1 else efron > breslow
    counts = flows_of(episode_arrays(frame, "stop", "event"))
    assert [f.severity for f in ties(counts, "efron", "x")] == ([severity] if severity else [])
    assert [f.severity for f in ties(counts, "breslow", "x")] == (["warning"] if severity else [])


def test_a_company_billed_by_the_month_is_told_of_its_ties() -> None:
    made = company(29, days=90.0)
    made = Company(made.rng, made.signup, 30 * (made.life // 30 + 1))
    plan = np.where(made.rng.random(made.n) < 0.5, "a", "b")
    with made.tables({"customers": made.customers(plan=plan), "subscriptions": made.subscriptions()}) as tables:
        at_risk = of_cancellation(tables)
        (finding,) = found(at_risk, built(at_risk, ["plan"]), "plan")["ties"]
        assert finding.severity == "warning"
        assert 0.2 < float(finding.figure.removeprefix("share=")) < 0.4
        assert "ties" not in found(at_risk)  # a retention curve does not mind


# Structure


def test_malformed_spells_are_errors_with_their_customers() -> None:
    made = company(30, n=60)
    with made.tables() as tables:
        good = of_cancellation(tables)
        rows = good.table.filter(good.table.customer.isin([3, 4]))
        overlapping = rows.mutate(spell=ibis.literal(1, "int32"), entry=(rows.entry + 1).cast("int32"))
        overlapping = overlapping.mutate(exit=(overlapping.exit + 9).cast("int32"))
        wrong = replace(good, table=good.table.union(overlapping))
        (finding,) = [f for f in audit(Case(wrong)) if f.id == "overlap"]
        assert (finding.severity, finding.figure) == ("error", "c00003, c00004")
        twice = replace(good, table=good.table.union(rows.mutate(churned=True)))
        churned = [i for i in (3, 4) if made.left[i]]
        ids = {f.id: f.figure for f in audit(Case(twice))}
        assert ids["second-terminal-event" if churned else "duplicate-spell"].startswith("c0000")
        assert not {"overlap", "duplicate-spell", "second-terminal-event"} & {f.id for f in audit(Case(good))}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("a", 0, 5, 0), ("a", 3, 9, 1)], "overlapping episodes"),
        ([("a", 0, 5, 0), ("a", 0, 5, 0)], "overlapping episodes"),
        ([("a", 0, 5, 1), ("a", 5, 9, 1)], "a second terminal event"),
    ],
)
def test_malformed_episodes_are_refused_with_their_customer(rows: list[tuple], said: str) -> None:
    frame = pd.DataFrame([*rows, ("b", 0, 3, 1)], columns=["customer", "start", "stop", "event"])
    with pytest.raises(StructureError, match=f"{said}.*customer a: row 0"):
        kaplan_meier(frame, start="start", customer="customer")


def test_a_definition_that_gives_a_spell_twice_is_stopped() -> None:
    class Double(type(parse_definition({"kind": "cancellation"}))):  # type: ignore[misc]
        def outcomes(self, tables):  # type: ignore[no-untyped-def]
            return super().outcomes(tables).union(super().outcomes(tables))

    with company(31, n=20).tables() as tables, pytest.raises(ConservationError, match="20 spells are double"):
        spells(tables, Double())


# Covariates


def test_separation_constants_and_twins_are_found_before_any_fit() -> None:
    made = company(32, n=500)
    frames = {"customers": made.customers(), "subscriptions": made.subscriptions(), "usage": made.usage()}
    loyal = made.rng.choice(np.flatnonzero(~made.left), 40, replace=False)
    plan = np.where(np.isin(np.arange(made.n), loyal), "lifetime", np.where(made.rng.random(made.n) < 0.5, "a", "b"))
    frames["customers"]["plan"] = plan
    with made.tables(frames) as tables:
        at_risk = of_cancellation(tables)
        low = {"kind": "usage", "window": 28, "below": 4}
        rows = built(
            at_risk, ["plan"], low=low, same=low,
            other={"kind": "usage", "window": 28, "at_least": 4, "young": "literal"},
            never={"kind": "usage", "window": 28, "at_least": 1000},
        )  # fmt: skip
        findings = found(at_risk, rows, "low + same + never + plan")
        (separated,) = findings["separation"]
        assert separated.subject == "plan[T.lifetime]"
        days = int(made.stays[loyal].sum())
        assert separated.figure.startswith(f"0 churns in {days:,} days at 1, {at_risk.churns} churns")
        assert [f.subject for f in findings["constant-covariate"]] == ["never"]
        assert [f.subject for f in findings["collinear"]] == ["low, same"]
        # the fit says the same of what it cannot estimate
        names = {f.subject: f.id for f in cox(
            rows.frame(), "low + same + never + plan", start="start", customer="customer", not_estimable="drop"
        ).findings}  # fmt: skip
        assert names["never"] == "constant-covariate"
        assert names["same"] == "collinear"
        assert names["plan[T.lifetime]"] == "separation"
        assert set(found(at_risk, rows, "low + plan")) >= {"separation"}
        (nearly,) = found(at_risk, rows, "low + other").get("nearly-collinear", [None])
        assert nearly is None or nearly.severity == "note"


def test_few_churns_for_many_coefficients_are_found() -> None:
    made = company(33, n=120, days=900.0)
    attributes = {f"x{i}": made.rng.choice(["a", "b", "c"], made.n) for i in range(4)}
    with made.tables({"customers": made.customers(**attributes), "subscriptions": made.subscriptions()}) as tables:
        at_risk = of_cancellation(tables)
        rows = built(at_risk, list(attributes))
        (finding,) = found(at_risk, rows, "x0 * x1 + x2 + x3")["few-events"]
        assert f"{at_risk.churns} churns for 12 coefficients" in finding.message  # 2 + 2 + 4 + 2 + 2
        assert "few-events" not in found(at_risk, rows, "x0")


def test_missing_values_are_counted_before_any_fit() -> None:
    """Rows without a value vanish silently elsewhere, and with them nearly all churns."""
    made = company(34, n=300)
    seats = np.where(made.left, np.nan, 5.0) + made.rng.integers(0, 9, made.n)
    with made.tables({"customers": made.customers(seats=seats), "subscriptions": made.subscriptions()}) as tables:
        at_risk = of_cancellation(tables)
        rows = built(at_risk, ["seats"])
        (finding,) = found(at_risk, rows, "seats")["missing-covariate"]
        assert (finding.severity, finding.subject) == ("error", "seats")
        assert finding.figure == f"episodes={at_risk.churns}, customers={at_risk.churns}, churns={at_risk.churns}"
        assert "missing-covariate" not in found(at_risk, rows, "seats", missing="drop")
        (finding,) = found(at_risk, rows, "seats", missing="level")["missing-covariate"]
        assert finding.severity == "error"
        assert "numbers have no `level`" in finding.message


def test_text_of_many_levels_is_no_factor() -> None:
    made = company(35, n=200)
    towns = [f"town {i}" for i in range(made.n)]
    with made.tables({"customers": made.customers(town=towns), "subscriptions": made.subscriptions()}) as tables:
        at_risk = of_cancellation(tables)
        (finding,) = found(at_risk, built(at_risk, ["town"]), "town")["too-many-levels"]
        assert finding.figure == "200 levels"


def test_small_cohorts_are_noted() -> None:
    made = company(36, n=300)
    with made.tables() as tables:
        by_month = with_cohort(tables, CohortSpec(by="signup_month"))
        (finding,) = found(spells(by_month, parse_definition({"kind": "cancellation"})))["small-cohort"]
        small = int((pd.Series(date(made.signup)).dt.strftime("%Y-%m").value_counts() < 30).sum())
        assert finding.figure == f"{small} of 24 cohorts"
        assert "small-cohort" not in found(of_cancellation(tables))


def test_a_hazard_ratio_that_fades_with_the_lag_is_noted() -> None:
    profile = pd.DataFrame(
        {
            "lag": [0, 7, 30, 60] * 2,
            "covariate": ["usage_drop"] * 4 + ["overdue"] * 4,
            "hazard_ratio": [3.0, 2.0, 1.1, 1.0, 2.0, 2.0, 1.9, 1.8],
        }
    )
    (finding,) = fading(profile)
    assert (finding.subject, finding.figure) == ("usage_drop", "HR 3.00 at lag 0, 1.10 at lag 30")
    assert "use less" not in finding.message, "tickets and invoices are no usage"
    assert fading(profile[profile["lag"] < 28]) == ()


# Names


def test_every_finding_has_a_known_id_and_is_documented() -> None:
    """`allow:` accepts known ids only: a new finding belongs in survival/audit/catalogue.py (and a trap in docs/audit.md)."""
    used, here = set(), set()
    for path in (ROOT / "survival").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding":
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant):
                    (here if path.parent.name == "audit" else used).add(first.value)
    assert (used | here) - set(CATALOGUE) == set()
    documented = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    assert [id_ for id_ in sorted(here) if f"`{id_}`" not in documented] == []


def test_counts_of_one_are_words_of_one() -> None:
    (finding,) = few_events(1, 3, "model")
    assert finding.message.startswith("1 churn for 3 coefficients: fewer than 10 for each")
    assert few_events(7, 1, "model")[0].message.startswith("7 churns for 1 coefficient: ")
