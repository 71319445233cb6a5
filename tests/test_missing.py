"""Covariates without a value: dropped, given a level, or carried, and what that cost."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from survival.errors import EstimationError, SurvivalError
from survival.estimate.design import design, in_order
from survival.experiment import run as runs
from survival.experiment.config import ModelSpec
from survival.experiment.missing import handled, handling
from survival.report.tables import read_csv
from survival.simulate import simulate

#  customer a has no score on days 0-4 and 9-12; b's second spell begins without one; c never has any
EPISODES = pd.DataFrame(
    [
        ("a", 0, 0, 4, 0, None, "basic"),
        ("a", 0, 4, 9, 0, 7.0, "basic"),
        ("a", 0, 9, 12, 1, None, "basic"),
        ("b", 0, 0, 5, 1, 3.0, None),
        ("b", 1, 0, 6, 0, None, None),
        ("b", 1, 6, 8, 0, 9.0, None),
        ("c", 0, 0, 10, 1, None, "pro"),
    ],
    columns=["customer", "spell", "start", "stop", "event", "score", "plan"],
)


def test_carry_takes_the_last_value_of_the_spell_and_no_other() -> None:
    frame, (finding,) = handled(EPISODES, ["score"], "carry")
    assert frame[["customer", "spell", "start", "score"]].to_numpy().tolist() == [
        ["a", 0, 4, 7.0], ["a", 0, 9, 7.0], ["b", 0, 0, 3.0], ["b", 1, 6, 9.0],
    ]  # fmt: skip
    assert (finding.id, finding.severity, finding.subject) == ("missing-carried", "warning", "score")
    assert "1 of 7 episodes, with 1 churn and 3 person-days, take the last known value" in finding.message
    assert "3 of 7 episodes, with 1 churn and 20 person-days, have no earlier value and are left out" in finding.message
    assert finding.figure == "'score' in 4 of 7 episodes"


def test_carrying_everything_is_a_note() -> None:
    frame, (finding,) = handled(EPISODES.iloc[1:4], ["score"], "carry")
    assert (len(frame), finding.severity) == (3, "note")
    assert frame["score"].tolist() == [7.0, 7.0, 3.0]


def test_what_never_has_a_value_is_left_out_when_carried() -> None:
    """A column of customers is the same in all episodes: nothing can be carried."""
    frame, _ = handled(EPISODES, ["score", "plan"], "carry")
    assert frame[["customer", "start"]].to_numpy().tolist() == [["a", 4], ["a", 9]]


def test_drop_level_and_error() -> None:
    dropped, (finding,) = handled(EPISODES, ["score"], "drop")
    assert (len(dropped), finding.id) == (3, "missing-dropped")
    assert "4 of 7 episodes, with 2 churns" in finding.message
    levelled, nothing = handled(EPISODES, ["plan"], "level")
    assert levelled["plan"].tolist() == ["basic"] * 3 + ["(missing)"] * 3 + ["pro"]
    assert nothing == ()
    with pytest.raises(EstimationError, match="`model.missing: level` cannot give a number a level: 'score'"):
        handled(EPISODES, ["score"], "level")
    with pytest.raises(EstimationError, match="'score' in 4 of 7 episodes. Set `model.missing: drop`"):
        handled(EPISODES, ["score"], "error")


def test_nothing_missing_costs_nothing() -> None:
    frame, findings = handled(EPISODES.iloc[3:4], ["score"], "carry")
    assert (len(frame), findings) == (1, ())


def test_each_covariate_has_its_own_rule_and_costs_are_counted_by_covariate() -> None:
    """seats: dropped; plan: a level; score: carried. An episode that lacks two is counted under the first."""
    frame = EPISODES.assign(seats=[1.0, 2.0, None, 4.0, None, 6.0, 7.0], region=["x"] * 6 + [None])
    made = handling(frame, ["seats", "plan", "score"], {"seats": "drop", "plan": "level", "score": "carry"})
    # a: the third lacks seats, the first has no score before; b: the second lacks both; c never has a score.
    assert made.frame[["customer", "spell", "start", "score", "plan"]].to_numpy().tolist() == [
        ["a", 0, 4, 7.0, "basic"], ["b", 0, 0, 3.0, "(missing)"], ["b", 1, 6, 9.0, "(missing)"],
    ]  # fmt: skip
    assert made.gaps.to_numpy().tolist() == [
        ["seats", "drop", 2, 2, 0], ["plan", "level", 3, 0, 3], ["score", "carry", 4, 3, 1],
    ]  # fmt: skip
    assert made.lost.to_numpy().tolist() == [["seats", 0, 2, 1, 9], ["score", 1, 2, 1, 14]]
    assert made.lost["episodes"].sum() == len(frame) - len(made.frame)
    assert made.lost["churns"].sum() == frame["event"].sum() - made.frame["event"].sum()
    days = frame["stop"] - frame["start"]
    assert made.lost["person_days"].sum() == days.sum() - (made.frame["stop"] - made.frame["start"]).sum()
    assert [f.id for f in made.findings] == ["missing-dropped", "missing-carried"]
    assert [f.subject for f in made.findings] == ["seats", "score"]
    with pytest.raises(EstimationError, match=r"'region' in 1 of 7 episodes. Set `model.missing.region: drop`"):
        handling(frame, ["seats", "region"], {"seats": "drop"})


@pytest.mark.parametrize("rule", ["drop", "carry"])
def test_one_word_is_the_same_word_for_each(rule: str) -> None:
    names = ["plan", "score"]
    one, each = handling(EPISODES, names, rule), handling(EPISODES, names, dict.fromkeys(names, rule))  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(one.frame, each.frame)
    assert one.findings == each.findings
    assert one.lost.to_numpy().tolist() == each.lost.to_numpy().tolist()


@pytest.mark.parametrize("wrong", ["drp", {"seats": "drp"}])
def test_a_rule_that_is_none(wrong: object) -> None:
    with pytest.raises(
        ValueError, match="got 'drp'. Did you mean 'drop'\\? Allowed: error, drop, level, carry, for all covariates or"
    ):
        ModelSpec(missing=wrong)  # type: ignore[arg-type]


CONFIG = """\
study: hazard_ratios
data:
  tables:
    customers: {path: customers.parquet}
    subscriptions: {path: subscriptions.parquet}
    nps: {path: nps.parquet}
  observed: {from: 2023-01-01, until: 2024-12-31}
churn: {cancellation: {kind: cancellation}}
indicators: {score: {kind: nps, expires: 200}}
model: {formula: score + plan + seats, missing: {score: carry, plan: level, seats: drop}}
lag_profile: []
allow: {unbounded-look-back: all there}
"""


def test_a_run_says_how_many_by_covariate(tmp_path: Path) -> None:
    simulate("crm", customers=300, seed=6, out=tmp_path)
    people = pd.read_parquet(tmp_path / "customers.parquet")
    last = people["customer_id"].fillna("").str[-1]
    people.loc[last == "0", "seats"], people.loc[last == "5", "plan"] = None, None
    people.to_parquet(tmp_path / "customers.parquet")
    path = tmp_path / "mine.yaml"
    path.write_text(CONFIG)
    runs.run_all([path], [], None, False, Console(quiet=True))
    attrition = read_csv(tmp_path / "results" / "mine" / "tables" / "attrition.csv")
    fitted = attrition[attrition["step"] == "fitted"].set_index("reason", drop=False)
    said = fitted["reason"].dropna().tolist()
    assert said == ["missing covariate: score", "missing covariate: seats"]
    built = attrition[attrition["step"] == "episodes"].iloc[0]
    for column in ("customers", "episodes", "churns", "person_days"):
        assert fitted[column].sum() == built[column], column
    text = (tmp_path / "results" / "mine" / "report.md").read_text()
    note = re.search(
        r"Missing values: score in [\d,]+ episodes, [\d,]+ with the last value known before \(carry\) and .*", text
    )
    assert note, text
    assert re.search(
        r"; plan in [\d,]+ episodes, a level of its own \(level\); seats in [\d,]+ episodes, left out \(drop\)\.",
        note[0],
    )
    with pytest.raises(
        SurvivalError, match=r"model.missing.seat: the model has no covariate 'seat'. Did you mean 'seats'\?"
    ):
        runs.prepare([path], ["model.missing.seat=drop"], None)
    with pytest.raises(SurvivalError, match=r"no value of 'score' in .* Set `model.missing.score: drop` to leave"):
        runs.run_all([path], ["model.missing={seats: drop, plan: level}"], None, False, Console(quiet=True))


@pytest.mark.parametrize("formula", ["plan", "C(plan)", "plan + uses + plan:uses"])
def test_those_without_a_value_are_never_the_reference(formula: str) -> None:
    """ "(" sorts before letters: everybody would be compared with the few of whom nothing is known."""
    levelled, _ = handled(pd.concat([EPISODES, EPISODES]).assign(uses=1.0), ["plan"], "level")
    coding = design(levelled, formula)[1]
    factor = formula.split(" ")[0]
    assert coding.levels["plan"] == ("basic", "pro", "(missing)")
    assert coding.names[:2] == (f"{factor}[T.pro]", f"{factor}[T.(missing)]")
    again = coding.encode(levelled.iloc[3:4])
    assert again[0, :2].tolist() == [0.0, 1.0]
    assert in_order(["(missing)"]) == ("(missing)",)
