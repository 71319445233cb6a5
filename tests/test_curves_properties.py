"""What must hold of curves and rank tests on any data, against plain Python where it says so."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from survival.estimate.hazard import hazard
from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.rank_tests import rank_test
from survival.flows.frames import episode_arrays, flows_of

EXAMPLES = settings(max_examples=60, deadline=None)
ROW = st.tuples(
    st.integers(0, 6),
    st.integers(1, 8),
    st.booleans(),
    st.sampled_from("abc"),
    st.sampled_from("xy"),
    st.integers(1, 3),
)


@st.composite
def histories(draw: Any, smallest: int = 1) -> pd.DataFrame:
    rows = draw(st.lists(ROW, min_size=smallest, max_size=25))
    frame = pd.DataFrame(rows, columns=["start", "stop", "event", "plan", "country", "weight"])
    frame["stop"] += frame["start"]
    frame["id"] = np.arange(len(frame))
    return frame


def brute_force(frame: pd.DataFrame) -> list[tuple[float, ...]]:
    """Tenure, at risk, events, censored, entered, retention; customer by customer."""
    rows, retention, ended = [], 1.0, False
    times = sorted({*frame["start"], *frame["stop"]})
    for t in times:
        risk = [r for r in frame.itertuples() if r.start < t <= r.stop]
        events = sum(r.event for r in risk if r.stop == t)
        censored = sum(not r.event for r in risk if r.stop == t)
        if risk:
            retention *= 1 - events / len(risk)
        if not risk and t != times[0]:
            ended = True
        entered = sum(r.start == t for r in frame.itertuples())
        rows.append((t, len(risk), events, censored, entered, np.nan if ended else retention))
    return rows


@EXAMPLES
@given(histories())
def test_curves_equal_brute_force(frame: pd.DataFrame) -> None:
    table = kaplan_meier(frame, start="start").tidy()
    columns = ["tenure", "at_risk", "events", "censored", "entered", "retention"]
    np.testing.assert_allclose(table[columns].to_numpy(float), np.array(brute_force(frame), float), atol=1e-12)


@EXAMPLES
@given(histories(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(frame: pd.DataFrame, random: Any) -> None:
    rows = list(range(len(frame)))
    random.shuffle(rows)
    for make in (kaplan_meier, hazard):
        one = make(frame, start="start", by="plan", customer="id").tidy()
        pd.testing.assert_frame_equal(one, make(frame.iloc[rows], start="start", by="plan", customer="id").tidy())


def cut(frame: pd.DataFrame, points: list[int]) -> pd.DataFrame:
    pieces = []
    for row in frame.itertuples(index=False):
        inside = sorted({p for p in points if row.start < p < row.stop})
        edges = [row.start, *inside, row.stop]
        for begin, end in pairwise(edges):
            pieces.append(row._replace(start=begin, stop=end, event=row.event and end == row.stop))
    return pd.DataFrame(pieces)


@EXAMPLES
@given(histories(), st.lists(st.integers(1, 13), max_size=4))
def test_cutting_an_episode_changes_nothing(frame: pd.DataFrame, points: list[int]) -> None:
    options = {"start": "start", "by": "plan", "customer": "id", "weights": "weight"}
    pieces = cut(frame, points)
    pd.testing.assert_frame_equal(kaplan_meier(frame, **options).tidy(), kaplan_meier(pieces, **options).tidy())
    pd.testing.assert_frame_equal(hazard(frame, **options).tidy(), hazard(pieces, **options).tidy())


@EXAMPLES
@given(histories(smallest=2))
def test_a_weight_of_two_is_two_customers(frame: pd.DataFrame) -> None:
    copies = frame.loc[frame.index.repeat(frame["weight"])]
    one = kaplan_meier(frame, start="start", by="plan", weights="weight").tidy()
    two = kaplan_meier(copies, start="start", by="plan").tidy()
    pd.testing.assert_frame_equal(one, two, rtol=1e-12)
    if frame["plan"].nunique() > 1:
        weighted = rank_test(frame, start="start", by="plan", weights="weight", pairwise="holm", trend=True).tidy()
        copied = rank_test(copies, start="start", by="plan", pairwise="holm", trend=True).tidy()
        pd.testing.assert_frame_equal(weighted, copied, rtol=1e-9)


@EXAMPLES
@given(histories())
def test_flows_and_episodes_give_the_same(frame: pd.DataFrame) -> None:
    flows = flows_of(episode_arrays(frame, "stop", "event", "start", keep=["plan", "country"]), ["plan", "country"])
    pd.testing.assert_frame_equal(
        kaplan_meier(flows, by="plan").tidy(), kaplan_meier(frame, start="start", by="plan").tidy()
    )
    if frame["plan"].nunique() > 1:
        pd.testing.assert_frame_equal(
            rank_test(flows, by="plan", strata="country", pairwise="holm").tidy(),
            rank_test(frame, start="start", by="plan", strata="country", pairwise="holm").tidy(),
        )


@EXAMPLES
@given(histories(), st.lists(st.integers(1, 13), max_size=3))
def test_customers_and_person_time_add_up(frame: pd.DataFrame, points: list[int]) -> None:
    pieces = cut(frame, points)
    flows = flows_of(episode_arrays(pieces, "stop", "event", "start", customer="id", keep=["plan"]), ["plan"])
    lived = float((frame["stop"] - frame["start"]).sum())
    assert flows.person_days == lived
    assert flows.customers == len(frame)
    table = kaplan_meier(pieces, start="start", by="plan", customer="id").tidy()
    assert table["entered"].sum() == len(frame)
    assert table["events"].sum() == frame["event"].sum()
    assert table["events"].sum() + table["censored"].sum() == len(frame)
    step = table.groupby("by")["tenure"].diff().fillna(0)
    assert float((table["at_risk"] * step).sum()) == lived
    # at risk after = before + entered - left
    after = table["at_risk"] + table["entered"] - table["events"] - table["censored"]
    inside = table["by"] == table["by"].shift(-1)
    assert after[inside].tolist() == table["at_risk"].shift(-1)[inside].tolist()
    assert (after[~inside] == 0).all()


@EXAMPLES
@given(st.permutations(list(range(1, 13))), st.lists(st.tuples(st.booleans(), st.booleans()), min_size=12, max_size=12))
def test_logrank_of_two_groups_is_the_score_test_without_ties(stops: list[int], rest: list[tuple[bool, bool]]) -> None:
    frame = pd.DataFrame(rest, columns=["event", "x"]).assign(stop=stops)
    frame["start"] = [stop // 3 for stop in stops]
    score = information = 0.0
    for row in frame[frame["event"]].itertuples():
        risk = frame[(frame["start"] < row.stop) & (frame["stop"] >= row.stop)]
        mean = risk["x"].mean()
        score += row.x - mean
        information += mean * (1 - mean)
    if frame["x"].nunique() < 2:
        return
    statistic = rank_test(frame, start="start", by="x").tests[0].statistic
    if information < 1e-12:
        assert np.isnan(statistic)
    else:
        np.testing.assert_allclose(statistic, score**2 / information, rtol=1e-9, atol=1e-12)


@EXAMPLES
@given(histories(), st.sampled_from([7.0, 30.4375]))
def test_the_unit_of_time_is_free(frame: pd.DataFrame, unit: float) -> None:
    scaled = frame.assign(start=frame["start"] * unit, stop=frame["stop"] * unit)
    one, other = (kaplan_meier(data, start="start", by="plan") for data in (frame, scaled))
    np.testing.assert_allclose(one.tidy()["retention"], other.tidy()["retention"])
    np.testing.assert_allclose(one.quantile([0.25, 0.5])["tenure"] * unit, other.quantile([0.25, 0.5])["tenure"])
    horizon = float(frame["start"].max()) + 1
    np.testing.assert_allclose(one.rmst(horizon)[["rmst", "se"]] * unit, other.rmst(horizon * unit)[["rmst", "se"]])
