"""Figures of what stands on the curves: they show their frames, are redrawn from CSV byte by byte, and say what is missing."""

from __future__ import annotations

import io
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from report_demo import NASTY

from survival.estimate.hazard import hazard
from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.piecewise import piecewise_hazard as hazard_by_piece
from survival.estimate.rmst import rmst
from survival.plot import style
from survival.plot.bands import simultaneous_band
from survival.plot.conditional import conditional_retention
from survival.plot.difference import retention_difference
from survival.plot.piecewise import piecewise_hazard
from survival.plot.rmst import rmst_forest
from survival.plot.style import Drawing


def customers() -> pd.DataFrame:
    random = np.random.default_rng(2)
    plan = np.repeat(["basic", NASTY], 250)
    churn = np.ceil(random.exponential(np.where(plan == "basic", 150, 450)))
    leave = random.integers(60, 400, 500)
    return pd.DataFrame({"stop": np.minimum(churn, leave), "event": churn <= leave, "plan": plan})


DATA = customers()
CURVES = kaplan_meier(DATA, by="plan")
DIFFERENCE = CURVES.difference_curve("basic", NASTY, draws=500).tidy()
BAND = CURVES.band()
GIVEN = pd.concat([kaplan_meier(DATA).given(t) for t in (0, 91, 180)], ignore_index=True)
PIECES = hazard_by_piece(DATA, by="plan").tidy()
MEANS = rmst(DATA, 300, by="plan")

FIGURES: dict[str, tuple[Callable[[pd.DataFrame], Drawing], pd.DataFrame]] = {
    "difference": (retention_difference, DIFFERENCE),
    "band": (simultaneous_band, BAND),
    "conditional": (conditional_retention, GIVEN),
    "piecewise": (lambda frame: piecewise_hazard(frame, by="by"), PIECES),
    "piecewise, all": (piecewise_hazard, hazard_by_piece(DATA).tidy()),
    "means": (rmst_forest, MEANS.tidy()),
}


def texts(figure: Drawing) -> str:
    return "\n".join(t.get_text() for t in figure.findobj(mpl.text.Text))


@pytest.mark.parametrize("name", FIGURES)
def test_redrawn_from_its_csv_it_is_the_same_picture(name: str) -> None:
    draw, frame = FIGURES[name]
    again = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    assert style.svg_bytes(draw(frame)) == style.svg_bytes(draw(again))


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_to_draw_is_said(name: str) -> None:
    draw, frame = FIGURES[name]
    assert any(word in texts(draw(frame[:0])) for word in ("there is no", "could be drawn"))


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_leaves_the_figure(name: str) -> None:
    draw, frame = FIGURES[name]
    figure = draw(frame)
    canvas = mpl.backends.backend_agg.FigureCanvasAgg(figure)
    canvas.draw()
    box = figure.bbox
    for text in figure.findobj(mpl.text.Text):
        if text.get_text().strip() and text.get_visible():
            extent = text.get_window_extent(canvas.get_renderer())
            assert extent.x0 >= box.x0 - 2, text.get_text()
            assert extent.x1 <= box.x1 + 2, text.get_text()


def test_the_difference_marks_where_its_band_leaves_zero_outside() -> None:
    figure = retention_difference(DIFFERENCE)
    bars = [line for line in figure.axes[0].lines if line.get_gid() == "apart"]
    outside = DIFFERENCE[(DIFFERENCE["band_lower"] > 0) | (DIFFERENCE["band_upper"] < 0)]["tenure"]
    assert min(line.get_xdata()[0] for line in bars) == outside.min()
    covered = [any(line.get_xdata()[0] <= t <= line.get_xdata()[1] for line in bars) for t in outside]
    assert all(covered)
    inside = DIFFERENCE[(DIFFERENCE["band_lower"] <= 0) & (DIFFERENCE["band_upper"] >= 0)]["tenure"]
    assert not any(line.get_xdata()[0] <= t < line.get_xdata()[1] for line in bars for t in inside)
    steps = figure.axes[0].lines[0].get_ydata()
    np.testing.assert_allclose(steps[:-1], 100 * DIFFERENCE["difference"])


def test_bars_have_the_heights_of_the_hazards() -> None:
    figure = piecewise_hazard(PIECES, by="by", smooth=hazard(DATA, by="plan").smooth())
    for axes, (_, rows) in zip(figure.axes, PIECES.groupby("by", sort=False)):
        np.testing.assert_allclose([bar.get_height() for bar in axes.patches], rows["hazard"] * 30)
        assert f"{rows['events'].sum()} churns" in [t.get_text() for t in axes.texts]


def test_the_band_is_drawn_where_it_holds() -> None:
    figure = simultaneous_band(BAND)
    assert len(figure.axes) == 2
    for axes, (_, rows) in zip(figure.axes, BAND.groupby("by", sort=False)):
        lower = next(line for line in axes.lines if line.get_gid() == "band")
        np.testing.assert_array_equal(lower.get_ydata(), rows["band_lower"])


def test_curves_of_who_is_still_here_start_at_one() -> None:
    text = texts(conditional_retention(GIVEN))
    assert "from signup" in text
    assert "given day 91" in text
    assert "given day 180" in text


def test_the_forest_of_means_shows_every_number() -> None:
    text = texts(rmst_forest(MEANS.tidy(), MEANS.differences().tidy(), title="Mean tenure"))
    for value in [*MEANS.tidy()["rmst"], *MEANS.differences().tidy()["difference"]]:
        assert f"{value:.1f}".replace("-", "−") in text
    unknown = texts(rmst_forest(rmst(DATA, 1000, by="plan").tidy()))
    assert unknown.count("not known") == 2


def test_bands_of_many_cohorts_stand_in_rows_of_four() -> None:
    many = pd.concat([BAND.assign(by=f"cohort {number:02d}") for number in range(13)])
    figure = simultaneous_band(many)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [f"cohort {number:02d}" for number in range(13)]
    lefts = {round(axes.get_position().x0, 3) for axes in figure.axes}
    assert len(lefts) == 4
