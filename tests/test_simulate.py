"""The simulated company: same seed same bytes, dirt counted, and the states that drive leaving follow from the files."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from survival.errors import ArgumentError, ResultsError
from survival.simulate import find_scenario, simulate
from survival.simulate.company import Company
from survival.simulate.customers import Customers, draw_customers

CUSTOMERS, SEED = 1200, 11
EPOCH = dt.date(1970, 1, 1)
COLUMNS = {
    "customers": ["customer_id", "signed_up_on", "plan", "segment", "channel", "country", "seats"],
    "subscriptions": [
        "customer_id",
        "subscription_id",
        "started_on",
        "ended_on",
        "plan",
        "mrr",
        "billing_period_months",
        "end_reason",
        "auto_renew",
        "is_trial",
    ],
    "usage": ["customer_id", "used_on", "feature", "quantity", "member_id"],
    "orders": ["customer_id", "ordered_on", "amount"],
    "nps": ["customer_id", "answered_on", "score"],
    "tickets": ["customer_id", "ticket_id", "opened_on", "resolved_on", "category", "priority"],
    "invoices": ["customer_id", "invoice_id", "due_on", "paid_on", "amount", "method"],
}
SPANS = {  # table -> identifier, first date, last date
    "subscriptions": ("subscription_id", "started_on", "ended_on"),
    "usage": (None, "used_on", None),
    "orders": (None, "ordered_on", None),
    "nps": (None, "answered_on", None),
    "tickets": ("ticket_id", "opened_on", "resolved_on"),
    "invoices": ("invoice_id", "due_on", "paid_on"),
}
YES, NO = {"true", "t", "yes", "1"}, {"false", "f", "no", "0"}


def day(date: dt.date) -> int:
    return (date - EPOCH).days


@dataclass
class World:
    """One simulated company: its files as read, its truth, and what its makers saw while it lived."""

    truth: dict[str, Any]
    raw: dict[str, pd.DataFrame]  # dates as epoch days, NaN for null
    customers: Customers
    left_on: np.ndarray
    days: list[tuple[int, np.ndarray, np.ndarray, dict[str, np.ndarray]]]  # day, at risk, leavers, states before

    def clean(self, table: str) -> pd.DataFrame:
        return self.raw[table][self.reasons(table) == "used"]

    def reasons(self, table: str) -> pd.Series:
        """Why each row must be set aside, by the rules of the tables contract."""
        frame, until = self.raw[table], day(dt.date.fromisoformat(self.truth["observed"]["until"]))
        reason = pd.Series("used", index=frame.index)

        def mark(name: str, where: Any) -> None:
            nonlocal reason
            reason = reason.mask(np.asarray(where, dtype=bool) & (reason == "used"), name)

        if table == "customers":
            mark("null key", frame["customer_id"].isna() | frame["signed_up_on"].isna())
            mark("duplicate", frame.duplicated())
            mark("after until", frame["signed_up_on"] > until)
            return reason
        signup = self.clean("customers").set_index("customer_id")["signed_up_on"]
        id_, begins, ends = SPANS[table]
        mark("null key", frame["customer_id"].isna() | frame[begins].isna())
        mark("unknown customer", ~frame["customer_id"].isin(signup.index))
        if id_ is not None:
            mark("duplicate", frame.duplicated())
        if ends is not None and table != "invoices":
            mark("ended before it started", frame[ends] < frame[begins])
        if table == "nps":
            mark("out of range", ~frame["score"].between(0, 10))
        mark("after until", frame[[c for c in (begins, ends) if c]].min(axis=1) > until)
        last = frame[begins] if ends is None else frame[ends].fillna(np.inf)
        mark("before signup", last < frame["customer_id"].map(signup))
        return reason


def epoch_days(column: pd.Series) -> pd.Series:
    return (pd.to_datetime(column).dt.floor("D") - pd.Timestamp(EPOCH)).dt.days


def read(folder: Path) -> dict[str, pd.DataFrame]:
    raw = {name: pd.read_parquet(folder / f"{name}.parquet") for name in COLUMNS}
    for frame in raw.values():
        for column in [name for name in frame.columns if name.endswith("_on")]:
            frame[column] = epoch_days(frame[column])
    return raw


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("company") / "crm"
    simulate("crm", customers=CUSTOMERS, seed=SEED, out=out)
    return out


@pytest.fixture(scope="module")
def world(folder: Path) -> World:
    company = find_scenario("crm")
    customers = draw_customers(company, CUSTOMERS, SEED)
    days: list[Any] = []
    lives = Company(company, customers, SEED).live(
        write_usage=lambda rows: rows.take() and None, observe=lambda *seen: days.append(seen)
    )
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    return World(truth, read(folder), customers, lives.left_on, days)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path, kind: str) -> None:
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        simulate("crm", customers=120, seed=seed, out=tmp_path / name, format=kind)  # type: ignore[arg-type]
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == sorted([*(f"{name}.{kind}" for name in COLUMNS), "truth.json"])
    for file in files:
        one, two, other = ((tmp_path / name / file).read_bytes() for name in ("one", "two", "other"))
        assert one == two
        assert one != other


def test_every_table_has_the_columns_of_the_contract(world: World) -> None:
    assert {name: list(frame.columns) for name, frame in world.raw.items()} == COLUMNS


def test_dirt_is_there_is_small_and_is_counted_by_reason(world: World) -> None:
    for name, frame in world.raw.items():
        found = Counter(world.reasons(name))
        used = found.pop("used")
        assert found == world.truth["set_aside"][name]
        assert found
        assert 0 < sum(found.values()) < 0.02 * len(frame)
        assert used + sum(found.values()) == world.truth["rows"][name] == len(frame)


def test_chains_run_from_signup_without_a_hole_to_the_day_of_leaving(world: World) -> None:
    rows = world.clean("subscriptions").sort_values(["customer_id", "started_on", "subscription_id"])
    until = find_scenario("crm").last_day
    by = rows.groupby("customer_id")
    assert by.ngroups == CUSTOMERS
    signup = world.clean("customers").set_index("customer_id")["signed_up_on"].sort_index()
    assert (by["started_on"].first() == signup).all()
    follows = rows["customer_id"].eq(rows["customer_id"].shift())
    assert follows.sum() > 300
    assert (rows["started_on"] == rows["ended_on"].shift())[follows].all()
    last = by["ended_on"].agg(lambda ends: ends.iloc[-1]).sort_index()
    left = np.where(last > until, 0, last.fillna(0)).astype(int)
    np.testing.assert_array_equal(left, world.left_on)  # ids are numbered in the order of the customers
    counts = world.truth["counts"]
    begin = day(dt.date.fromisoformat(world.truth["observed"]["from"]))
    assert counts["customers"] == CUSTOMERS
    assert counts["left"] == (left > 0).sum() == counts["left_before_logs"] + counts["left_while_observed"]
    assert counts["left_while_observed"] == (left >= begin).sum()
    observed = CUSTOMERS - counts["left_before_logs"]
    assert 0.30 < counts["left_while_observed"] / observed < 0.45
    assert (last > until).sum() >= 1  # some have given notice for a day after the last observed one
    reasons = rows[~rows["customer_id"].eq(rows["customer_id"].shift(-1)) & rows["ended_on"].notna()]["end_reason"]
    assert {"price", "payment_failed"} <= set(reasons)
    assert reasons.notna().all()


def test_nothing_happens_from_the_day_of_leaving_on(world: World) -> None:
    left = pd.Series(
        np.where(world.left_on > 0, world.left_on, np.inf), world.clean("customers")["customer_id"].sort_values()
    )
    for name, (_, begins, _) in SPANS.items():
        rows = world.clean(name)
        assert (rows[begins] < rows["customer_id"].map(left)).all()
    tickets = world.clean("tickets")
    assert tickets["resolved_on"].isna().any()
    invoices = world.clean("invoices")
    assert invoices["paid_on"].isna().any()
    assert (invoices["paid_on"] > invoices["due_on"] + 3).mean() > 0.05


def test_customers_are_older_than_the_log_and_only_part_of_their_earlier_facts_is_there(world: World) -> None:
    begin = day(dt.date.fromisoformat(world.truth["observed"]["from"]))
    signup = world.clean("customers")["signed_up_on"]
    assert 0.2 < (signup < begin).mean() < 0.3
    assert signup.min() < begin - 365
    used = world.clean("usage")["used_on"]
    per_day = used.value_counts()
    assert begin - 45 <= used.min() < begin
    before, after = (
        per_day[per_day.index < begin].mean(),
        per_day[per_day.index.isin(range(begin, begin + 45))].mean(),
    )
    assert 0.35 < before / after < 0.65


def states(facts: dict[str, pd.DataFrame], signup: int, on: int) -> dict[str, bool]:
    """The indicators of a customer with these facts at the close of day `on`, straight from the definitions in words."""
    used, answers, tickets, invoices = (facts[name] for name in ("usage", "nps", "tickets", "invoices"))

    def quantity(first: int, last: int, features: list[str] | None = None) -> int:
        rows = used[(used["used_on"] >= first) & (used["used_on"] <= last)]
        return int((rows if features is None else rows[rows["feature"].isin(features)])["quantity"].sum())

    tenure, seen = on - signup, on - 7  # the drop is known a week late
    recent, baseline = quantity(seen - 13, seen), quantity(seen - 69, seen - 14)
    answers = answers[(answers["answered_on"] <= on) & (answers["answered_on"] > on - 180)]
    newest = answers[answers["answered_on"] == answers["answered_on"].max()]["score"]
    is_open = (tickets["opened_on"] <= on) & ~(tickets["resolved_on"] <= on)
    is_overdue = (on > invoices["due_on"] + 3) & ~(invoices["paid_on"] <= on)
    return {
        "low_usage": tenure >= 27 and quantity(on - 27, on) < 5,
        "usage_drop": tenure - 7 >= 69 and baseline > 0 and (recent / 14) / (baseline / 56) < 0.5,
        "adopted": quantity(on - 27, on, ["automation", "integrations"]) >= 1,
        "detractor": len(newest) > 0 and newest.min() <= 6,
        "open_ticket": int(is_open.sum()) >= 2,
        "overdue": int(is_overdue.sum()) >= 1,
    }


def sampled(world: World) -> Iterator[tuple[int, int, dict[str, bool]]]:
    """(customer, day, states used that day), where the look-back lies in the logs.

    Days of leaving, others at random, and those on which a state has just changed or is about to: an error of one day
    shows there and nowhere else. Also days after two NPS answers on one day.
    """
    rng = np.random.default_rng(1)
    begin = day(dt.date.fromisoformat(world.truth["observed"]["from"]))
    nps = world.clean("nps")
    twice = nps[nps.duplicated(["customer_id", "answered_on"])].groupby("answered_on")["customer_id"].first()
    before: dict[str, np.ndarray] = {}
    for today, at_risk, leavers, flags in world.days:
        signup = world.customers.signup[at_risk]
        eligible = at_risk[(signup >= begin) | (today > begin + 180)]
        chosen = [int(twice[today - 1][1:]) - 1] if today - 1 in twice.index else []
        if today % 5 == 0:
            chosen += [*rng.choice(eligible, min(1, len(eligible))), *leavers[:1]]
            for name, was in before.items():
                changed = eligible[was[eligible] != flags[name][eligible]]
                chosen += [*changed[rng.permutation(len(changed))[:2]]]
        for who in np.intersect1d(chosen, eligible) if today > begin else ():
            yield who, today, {name: bool(on[who]) for name, on in flags.items()}
            if today - 1 > world.customers.signup[who] and before:
                yield who, today - 1, {name: bool(on[who]) for name, on in before.items()}
        before = flags


def test_the_states_that_drive_leaving_follow_from_the_files(world: World) -> None:
    facts: dict[str, dict[str, pd.DataFrame]] = {f"C{who + 1:06d}": {} for who in range(CUSTOMERS)}
    for name in ("usage", "nps", "tickets", "invoices"):
        clean = world.clean(name)
        by = dict(list(clean.groupby("customer_id")))
        for customer, held in facts.items():
            held[name] = by.get(customer, clean.iloc[:0])
    on: Counter[str] = Counter()
    compared = 0
    for who, today, used in sampled(world):
        signup = int(world.customers.signup[who])
        assert today > signup
        assert states(facts[f"C{who + 1:06d}"], signup, today - 1) == used, (who, today)
        on.update(name for name, value in used.items() if value)
        compared += 1
    assert compared > 1000
    assert set(on) == set(world.truth["indicators"])
    assert 100 < min(on.values()) <= max(on.values()) < 0.7 * compared


def test_leaving_goes_by_the_hazard_as_written(world: World) -> None:
    """Observed against expected, over all days at risk, for each covariate: martingale residuals within 4 sd."""
    effect, base = world.truth["log_hazard_ratios"], np.array(world.truth["baseline"]["hazard"])
    plan = np.array(["starter", "basic", "pro"])[world.customers.plan]
    of_plan = np.array([effect.get(f"plan[T.{name}]", 0.0) for name in plan])
    observed: Counter[str] = Counter()
    expected: Counter[str] = Counter()
    for today, at_risk, leavers, flags in world.days:
        score = of_plan + sum(effect[name] * on for name, on in flags.items())
        hazard = base[today - world.customers.signup[at_risk]] * np.exp(score[at_risk])
        groups = flags | {name: plan == name for name in ("starter", "basic", "pro")}
        for name, on in groups.items():
            observed[name] += int(on[leavers].sum())
            expected[name] += float(-np.expm1(-hazard[on[at_risk]]).sum())
    for name in observed:
        assert observed[name] > 15
        assert abs(observed[name] - expected[name]) < 4 * np.sqrt(expected[name]), name


def test_flags_are_on_often_enough_to_learn_from(world: World) -> None:
    at_risk = sum(len(seen[1]) for seen in world.days)
    for name in world.truth["indicators"]:
        share = sum(int(flags[name][who].sum()) for _, who, _, flags in world.days) / at_risk
        assert 0.03 < share < 0.27, (name, share)


def test_csv_holds_the_same_facts_and_a_few_lines_that_nobody_can_read(tmp_path: Path) -> None:
    truths = {
        kind: simulate("crm", customers=150, seed=5, out=tmp_path / kind, format=kind)  # type: ignore[arg-type]
        for kind in ("parquet", "csv")
    }
    for name, columns in COLUMNS.items():
        text = pd.read_csv(tmp_path / "csv" / f"{name}.csv", dtype=str, keep_default_na=False)
        typed = pd.read_parquet(tmp_path / "parquet" / f"{name}.parquet")
        spoilt = truths["csv"]["set_aside"][name].pop("unreadable value")
        assert 1 <= spoilt <= 2
        assert len(text) == len(typed) + spoilt == truths["csv"]["rows"][name]
        assert truths["csv"]["set_aside"][name] == truths["parquet"]["set_aside"][name]
        for column in columns:
            assert_same(text[column].iloc[: len(typed)], typed[column])


def assert_same(text: pd.Series, typed: pd.Series) -> None:
    null = typed.isna().to_numpy()
    assert (text.to_numpy()[null] == "").all()
    text, typed = text[~null], typed[~null]
    if typed.map(lambda value: isinstance(value, bool)).all() and len(typed):
        spelt = text.str.lower()
        assert (spelt.isin(YES) == typed.astype(bool)).all()
        assert (spelt.isin(NO) == ~typed.astype(bool)).all()
        assert text.nunique() >= 5
    elif pd.api.types.is_numeric_dtype(typed):
        np.testing.assert_array_equal(text.astype(float), typed.astype(float))
    else:
        assert text.tolist() == typed.astype(str).tolist()


def test_a_run_that_is_interrupted_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "crm"
    simulate("crm", customers=60, seed=1, out=out, format="csv")
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def stop(done: int, total: int) -> None:
        if done == total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate("crm", customers=60, seed=2, out=out, progress=stop)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["crm"]


def test_a_second_run_replaces_the_first_and_keeps_other_files(tmp_path: Path) -> None:
    simulate("crm", customers=60, seed=1, out=tmp_path, format="csv")
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    simulate("crm", customers=60, seed=1, out=tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {*(f"{name}.parquet" for name in COLUMNS), "truth.json", "notes.txt"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"scenario": "crn"}, "scenario must be one of crm, crm_price_rise; received 'crn'"),
        ({"customers": 0}, "customers must be at least 1; received 0"),
        ({"seed": -1}, "seed must be 0 or more; received -1"),
        ({"format": "xlsx"}, "format must be one of parquet, csv; received 'xlsx'"),
    ],
)
def test_a_wrong_argument_is_named(tmp_path: Path, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        simulate(**{"out": tmp_path / "crm", **arguments})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "crm").write_text("a file", encoding="utf-8")
    with pytest.raises(ResultsError, match="it is a file, a folder is needed"):
        simulate("crm", customers=5, out=tmp_path / "crm")


@pytest.mark.parametrize("customers", [1, 2, 9])
def test_the_smallest_companies_can_be_written(tmp_path: Path, customers: int) -> None:
    truth = simulate("crm", customers=customers, seed=0, out=tmp_path / "crm", format="csv")
    clean = truth["rows"]["customers"] - sum(truth["set_aside"]["customers"].values())
    assert clean == truth["counts"]["customers"] == customers


def test_a_price_rise_changes_who_leaves_from_its_day_on_and_nothing_before(tmp_path: Path) -> None:
    left = {}
    for name in ("crm", "crm_price_rise"):
        company = find_scenario(name)
        left[name] = Company(company, draw_customers(company, 600, 3), 3).live(lambda rows: rows.take()).left_on
    day = (dt.date(2024, 10, 1) - EPOCH).days
    plain, dear = left["crm"], left["crm_price_rise"]
    early = (plain > 0) & (plain < day)
    assert np.array_equal(early, (dear > 0) & (dear < day))
    assert np.array_equal(plain[early], dear[early])
    assert np.count_nonzero(dear >= day) > np.count_nonzero(plain >= day)
    company = find_scenario("crm_price_rise")
    assert company.effects(company.last_day)["plan[T.starter]"] == pytest.approx(0.25 + 0.9163)
    assert company.effects(company.first_day) == dict(find_scenario("crm").log_hazard_ratios)
    truth = simulate("crm_price_rise", customers=30, seed=3, out=tmp_path)
    assert truth["changes"] == {"2024-10-01": {"plan[T.starter]": 0.9163}}
    assert "no calendar but `changes`" in truth["model"]
