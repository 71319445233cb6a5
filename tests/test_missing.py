"""Covariates without a value: dropped, given a level, or carried, and what that cost."""

from __future__ import annotations

import pandas as pd
import pytest

from survival.errors import EstimationError
from survival.experiment.missing import handled

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
    assert "1 of 7 episodes, with 1 churns and 3 person-days, take the last known value" in finding.message
    assert (
        "3 of 7 episodes, with 1 churns and 20 person-days, have no earlier value and are left out" in finding.message
    )
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
