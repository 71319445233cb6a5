"""What must hold of bands, conditional curves, robust variances, weighted tests and hazards by piece on any data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.landmark import landmark
from survival.estimate.piecewise import piecewise_hazard
from survival.estimate.rank_tests import rank_test
from survival.estimate.rmst import rmst
from survival.flows.frames import episode_arrays, flows_of

EXAMPLES = settings(max_examples=40, deadline=None)
ROW = st.tuples(
    st.integers(0, 5), st.integers(1, 9), st.booleans(), st.sampled_from("ab"), st.floats(0.1, 50), st.integers(1, 9)
)


@st.composite
def histories(draw: Any, smallest: int = 4) -> pd.DataFrame:
    rows = draw(st.lists(ROW, min_size=smallest, max_size=25))
    frame = pd.DataFrame(rows, columns=["start", "stop", "event", "plan", "mrr", "cut"])
    frame["stop"] += frame["start"]
    frame["id"] = np.arange(len(frame))
    return frame


def cut(frame: pd.DataFrame) -> pd.DataFrame:
    """Each episode in two at `cut`, where that lies inside."""
    inside = (frame["start"] < frame["cut"]) & (frame["cut"] < frame["stop"])
    part = frame[inside]
    first, second = part.assign(stop=part["cut"], event=False), part.assign(start=part["cut"])
    return pd.concat([frame[~inside], first, second], ignore_index=True)


@EXAMPLES
@given(histories())
def test_cutting_an_episode_changes_no_robust_variance(frame: pd.DataFrame) -> None:
    whole = kaplan_meier(frame, start="start", weights="mrr", customer="id", robust=True)
    pieces = kaplan_meier(cut(frame), start="start", weights="mrr", customer="id", robust=True)
    pd.testing.assert_frame_equal(whole.tidy(), pieces.tidy(), rtol=1e-6, atol=1e-9)
    end = whole.curves[0].end
    one, two = (
        rmst(data, end, start="start", weights="mrr", customer="id", robust=True).means[0]
        for data in (frame, cut(frame))
    )
    np.testing.assert_allclose([one.mean, one.se], [two.mean, two.se], rtol=1e-6, atol=1e-9)


@EXAMPLES
@given(histories())
def test_the_jackknife_of_a_robust_variance_is_its_derivative(frame: pd.DataFrame) -> None:
    curves = kaplan_meier(frame, start="start", weights="mrr", robust=True)
    curve, step = curves.curves[0], 1e-6
    squares = np.zeros(curve.retention.size)
    for row in range(len(frame)):
        moved = frame.assign(mrr=np.where(np.arange(len(frame)) == row, frame["mrr"] * (1 + step), frame["mrr"]))
        change = kaplan_meier(moved, start="start", weights="mrr", robust=True).curves[0].retention - curve.retention
        squares += (change / step) ** 2
    known = curve.retention > 1e-6
    np.testing.assert_allclose(curve.se[known], np.sqrt(squares[known]), rtol=1e-3, atol=1e-5)


@EXAMPLES
@given(histories(), st.integers(0, 8))
def test_a_curve_given_is_the_curve_of_a_landmark(frame: pd.DataFrame, at: int) -> None:
    curves = kaplan_meier(frame, start="start")
    assume(curves.curves[0].entry <= at < curves.curves[0].end and curves.at(at)["retention"].iloc[0] > 0)
    table = curves.given(at)
    anew = kaplan_meier(landmark(frame, at, start="start", clock="continue"), start="start")
    columns = ["retention", "ci_lower", "ci_upper"]
    pd.testing.assert_frame_equal(
        table[1:][columns].reset_index(drop=True), anew.at(table["tenure"][1:])[columns], rtol=1e-9
    )
    end = anew.curves[0].end
    residual = curves.mean_residual(at, end).iloc[0]
    area = anew.restricted_means(end).means[0]
    np.testing.assert_allclose([residual["mean_residual"], residual["se"]], [area.mean, area.se], rtol=1e-9)


@settings(EXAMPLES, max_examples=15)
@given(histories())
def test_a_band_holds_the_interval_and_flows_give_the_same(frame: pd.DataFrame) -> None:
    flows = flows_of(episode_arrays(frame, "stop", "event", "start", keep=["plan"]), ["plan"])
    for interval in ("log-log", "arcsin"):
        curves = kaplan_meier(frame, start="start", by="plan", interval=interval)  # type: ignore[arg-type]
        for kind in ("equal-precision", "hall-wellner"):
            rows = curves.band(kind)  # type: ignore[arg-type]
            other = kaplan_meier(flows, by="plan", interval=interval).band(kind)  # type: ignore[arg-type]
            pd.testing.assert_frame_equal(rows, other)
            held = rows[rows["band_lower"].notna()]
            assert (held["band_lower"] <= held["retention"]).all()
            assert (held["band_upper"] >= held["retention"]).all()
            if kind == "equal-precision":
                assert (held["band_lower"] <= held["ci_lower"] + 1e-12).all()
                assert (held["band_upper"] >= held["ci_upper"] - 1e-12).all()


@settings(EXAMPLES, max_examples=20)
@given(histories(6))
def test_weighted_tests_do_not_depend_on_units_labels_or_cuts(frame: pd.DataFrame) -> None:
    assume(frame["plan"].nunique() == 2)
    swapped = frame.assign(
        plan=frame["plan"].map({"a": "b", "b": "a"}), stop=frame["stop"] * 7, start=frame["start"] * 7
    )
    for weighting in ("gehan", "tarone-ware", "modified-peto", "fleming-harrington(1, 2)", "max-combo"):
        p = rank_test(frame, start="start", by="plan", weighting=weighting).tests[0].p
        pieces = rank_test(cut(frame), start="start", by="plan", customer="id", weighting=weighting).tests[0].p
        turned = rank_test(swapped, start="start", by="plan", weighting=weighting).tests[0].p
        np.testing.assert_allclose([pieces, turned], [p, p], rtol=1e-6)
        assert np.isnan(p) or 0 <= p <= 1 + 1e-12


@EXAMPLES
@given(histories())
def test_pieces_add_up_to_all_events_and_all_time_at_risk(frame: pd.DataFrame) -> None:
    table = piecewise_hazard(frame, start="start", width=2.5, offset=0.7).tidy()
    assert table["events"].sum() == frame["event"].sum()
    np.testing.assert_allclose(table["person_time"].sum(), (frame["stop"] - frame["start"]).sum())
    rows = table[table["person_time"] > 0]
    assert ((rows["ci_lower"] <= rows["hazard"]) & (rows["hazard"] <= rows["ci_upper"])).all()
