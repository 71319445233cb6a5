"""What survminer's users expect of a retention figure: cumulative counts, tests, medians, units, marks; and figures in grey."""

from __future__ import annotations

import itertools
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from report_demo import retention

import survival as sv
from survival import plot
from survival.errors import ArgumentError
from survival.plot import style
from survival.plot.agreement import FIRST_SIDE, SECOND_SIDE
from survival.plot.calendar_strip import calendar_strip
from survival.plot.censored_bars import step_of
from survival.plot.churn_rate import BAND_COLOURS
from survival.plot.curve import curves_of
from survival.plot.curve_notes import lines_of_tests
from survival.plot.curve_options import CurveOptions
from survival.plot.direct_labels import passes
from survival.plot.incidence import stacked_incidence
from survival.plot.style import Drawing

# Seven customers, three of whom enter late. R 4.2, survival 3.5-3: survfit(Surv(start, stop, event) ~ 1), cumsum(n.event) and
# cumsum(n.censor) at 2, 4, 6, 9, 12.
SEVEN = pd.DataFrame({"start": [0, 0, 3, 0, 5, 2, 0], "stop": [4, 9, 9, 6, 12, 12, 2], "event": [1, 1, 0, 1, 0, 1, 0]})
R_CHURNED, R_CENSORED = ["0", "1", "2", "3", "4"], ["1", "1", "1", "2", "3"]


def seven(**options: Any) -> Drawing:
    curves = sv.kaplan_meier(SEVEN, start="start", stop="stop", event="event")
    return plot.retention_curves(curves.tidy(), by="by", breaks=(2, 4, 6, 9, 12), **options)


def under(figure: Drawing) -> dict[str, list[str]]:
    return {str(a.get_gid()): [t.get_text() for t in a.texts] for a in figure.axes[1:]}


def test_counts_under_the_axis_are_rs() -> None:
    found = under(seven(rows=("at_risk", "churned", "censored")))
    assert list(found) == ["censored-table", "churned-table", "risk-table"], "the first stands highest"
    assert found["churned-table"] == R_CHURNED
    assert found["censored-table"] == R_CENSORED
    # start <= t < stop, by hand: three of the first day stay at day 2, where one enters; ...
    assert found["risk-table"] == ["4", "4", "4", "2", "0"]


def test_entered_is_at_risk_and_churned_and_censored() -> None:
    random = np.random.default_rng(3)
    start = random.integers(0, 30, 400) * (random.random(400) < 0.4)
    frame = pd.DataFrame(
        {"start": start, "stop": start + random.integers(1, 60, 400), "event": random.random(400) < 0.5, "g": random.integers(0, 3, 400)}
    )  # fmt: skip
    curves = sv.kaplan_meier(frame, start="start", stop="stop", event="event", by="g")
    ticks = (0, 7, 20, 41, 60)
    figure = plot.retention_curves(curves.tidy(), by="by", breaks=ticks, rows=("at_risk", "churned", "censored"))
    found = {k: np.array([int(v) for v in texts]).reshape(3, -1) for k, texts in under(figure).items()}
    wanted = curves.numbers_at_risk(ticks)["at_risk"].to_numpy().reshape(3, -1)
    np.testing.assert_array_equal(found["risk-table"], wanted)
    entered = [[(rows["start"] <= t).sum() for t in ticks] for _, rows in frame.groupby("g")]
    np.testing.assert_array_equal(sum(found.values()), entered)


def test_tables_of_facets_stand_line_under_line() -> None:
    cohorts = [f"2024-{m:02d}" for m in range(1, 10)]
    figure = plot.retention_curves(retention(cohorts), ordered=True, rows=("churned", "censored"))
    with style.look():
        FigureCanvasAgg(figure).draw()
    for axes in figure.axes:
        one, two = ([t for t in axes.texts if t.get_gid() == f"{row}-table"] for row in ("churned", "censored"))
        assert len(one) == len(two) == len(axes.get_xticks())
        for a, b, tick in zip(one, two, axes.get_xticks()):
            upper, lower = a.get_window_extent(), b.get_window_extent()
            middle = axes.transData.transform((tick, 0))[0]
            assert abs((upper.x0 + upper.x1) / 2 - middle) < 1
            assert abs((lower.x0 + lower.x1) / 2 - middle) < 1
            assert lower.y1 <= upper.y0 + 0.5
    assert any("below: churned, censored" in t.get_text() for t in figure.texts)


def test_tests_are_printed_with_their_names() -> None:
    tests = pd.DataFrame(
        {"test": ["logrank", "trend", "fleming-harrington(0, 1)", "permutation of gehan", "pairwise"], "p": [1e-5, 0.2, 0.031, 0.5, 0.01]}
    )  # fmt: skip
    assert lines_of_tests(tests, "") == [
        "log-rank p < 0.001",
        "log-rank trend p = 0.20",
        "Fleming-Harrington(0, 1) p = 0.031",
        "permutation Gehan p = 0.50",
    ]
    assert lines_of_tests(tests.head(1), "stratified") == ["stratified log-rank p < 0.001"]
    figure = plot.retention_curves(retention(["a", "b"]), tests=tests.head(2), test_kind="stratified")
    (text,) = (t for t in figure.axes[0].texts if t.get_gid() == "tests")
    assert text.get_text() == "stratified log-rank p < 0.001\nstratified log-rank trend p = 0.20"


def test_nothing_that_is_written_into_the_panel_overlaps() -> None:
    for n, apart in itertools.product((2, 4, 6), (3, 1)):  # cohorts end 36 days after each other, or 12
        cohorts = [f"cohort {i}" for i in range(n)]
        frame = retention(cohorts)
        frame = frame[frame["tenure"] <= 360 - 12 * frame["cohort"].str[-1].astype(int) * apart]
        medians = pd.DataFrame({"cohort": cohorts, "tenure": [200 + 4 * i for i in range(n - 1)] + [np.nan]})
        tests = pd.DataFrame({"test": ["logrank"], "p": [0.4]})
        figure = plot.retention_curves(frame, medians=medians, tests=tests, unit="days")
        with style.look():
            FigureCanvasAgg(figure).draw()
        words = [t for t in figure.axes[0].texts if t.get_text()]
        boxes = [mpl.text.Text.get_window_extent(t).shrunk(0.98, 0.8) for t in words]  # without the line to a name
        assert not [1 for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)], (n, apart)
        assert all(box.x1 <= figure.bbox.x1 for box in boxes)
        assert any("median not reached: cohort" in t.get_text() for t in figure.axes[0].texts)


def test_medians_are_drawn_where_they_are() -> None:
    curves = sv.kaplan_meier(SEVEN, start="start", stop="stop", event="event")
    median = curves.quantile([0.5])
    axes = seven(medians=median).axes[0]
    lines = [line for line in axes.lines if line.get_gid() == "median"]
    value = float(median["tenure"].iloc[0])
    assert [line.get_xdata().tolist() for line in lines] == [[0, value], [value, value]]
    assert lines[1].get_ydata().tolist() == [0, 0.5]
    assert [t.get_text() for t in axes.texts if t.get_gid() == "median-value"] == [f"{value:g} days"]
    axes = seven(medians=median, until=5).axes[0]
    assert not [line for line in axes.lines if line.get_gid() == "median"]
    assert f"median beyond the axis: {value:g} days" in [t.get_text() for t in axes.texts]


@pytest.mark.parametrize(
    ("unit", "breaks", "until", "labels", "end"),
    [
        ("months", 6, None, ["0", "6"], 360.0),
        ("months", 6, 12, ["0", "6", "12"], 365.25),
        ("days", (0, 90, 180), None, ["0", "90", "180"], 360.0),
        ("years", 0.5, 1, ["0.0", "0.5", "1.0"], 365.25),
        (None, 100, None, ["0", "100", "200", "300"], 360.0),
    ],
)
def test_units_breaks_and_the_end_of_the_axis(
    unit: str, breaks: Any, until: float, labels: list[str], end: float
) -> None:
    axes = plot.retention_curves(retention(["all"]), unit=unit, breaks=breaks, until=until).axes[0]
    assert [t.get_text() for t in axes.get_xticklabels()] == labels
    assert axes.get_xlim() == (0, end)
    words = {"months": "months of 30.4375 days", "years": "years of 365.25 days"}.get(str(unit), "days")
    assert words in axes.get_xlabel()


def test_ticks_without_room_lose_their_number_not_their_place() -> None:
    axes = plot.retention_curves(retention(["all"]), unit="days", breaks=6, rows=("at_risk",)).axes[0]
    assert len(axes.get_xticks()) < 25
    every = sorted([*axes.get_xticks(), *axes.get_xticks(minor=True)])
    np.testing.assert_allclose(every, np.arange(0, 361, 6))


def test_a_curve_that_goes_on_is_drawn_to_the_end_of_the_axis() -> None:
    line = plot.retention_curves(retention(["all"]), until=100).axes[0].lines[0]
    assert line.get_xdata()[-1] == 100
    assert line.get_ydata()[-1] == pytest.approx(np.exp(-96 / 300))


def test_censoring_is_marked_on_the_curve() -> None:
    axes = seven(censor_marks=True).axes[0]
    (marks,) = (line for line in axes.lines if line.get_gid() == "censored")
    curve = sv.kaplan_meier(SEVEN, start="start", stop="stop", event="event").tidy().set_index("tenure")
    assert marks.get_xdata().tolist() == [2, 9, 12]
    assert marks.get_ydata().tolist() == pytest.approx(curve.loc[[2, 9, 12], "retention"].tolist())


def test_bars_of_the_censored_stand_under_their_tenure() -> None:
    figure = seven(censored_bars=True, rows=("at_risk",))
    (bars,) = (axes for axes in figure.axes if axes.get_gid() == "censored-bars")
    found = {patch.get_x(): patch.get_height() for patch in bars.patches}
    # R's n.censor is 1 at 2, 9 and 12: a bar holds its left edge, the last one the end of the axis too.
    assert {x: h for x, h in found.items() if h} == {2.0: 1, 9.0: 1, 11.0: 1}
    curve = figure.axes[0]
    assert (bars.get_position().x0, bars.get_position().x1) == (curve.get_position().x0, curve.get_position().x1)
    assert bars.get_xlim() == curve.get_xlim()
    assert "Number censored, by day of tenure" in [t.get_text() for t in figure.texts]
    (table,) = (axes for axes in figure.axes if axes.get_gid() == "risk-table")
    assert bars.get_position().y1 < table.get_position().y0
    until = seven(censored_bars=True, until=9)
    (bars,) = (axes for axes in until.axes if axes.get_gid() == "censored-bars")
    assert sum(patch.get_height() for patch in bars.patches) == 2
    assert len(figure.axes) == len(seven(rows=("at_risk",)).axes) + 1


def test_bars_of_groups_are_stacked_and_small_multiples_have_none() -> None:
    frame = retention(["a", "b", "c"])
    figure = plot.retention_curves(frame, censored_bars=True)
    (bars,) = (axes for axes in figure.axes if axes.get_gid() == "censored-bars")
    step, called = step_of(float(frame["tenure"].max()))
    assert called == "week"
    number = len(bars.patches) // 3
    tops = [max(p.get_y() + p.get_height() for p in bars.patches[i::number]) for i in range(number)]
    place = np.minimum(frame["tenure"] // step, number - 1)
    np.testing.assert_allclose(tops, frame.groupby(place)["censored"].sum().reindex(range(number), fill_value=0))
    many = plot.retention_curves(retention(list("abcdefgh")), censored_bars=True)
    assert "censored-bars" not in {axes.get_gid() for axes in many.axes}
    assert [step_of(days)[1] for days in (80, 81, 560, 561, 2435, 2436, 99_999)] == [
        "day", "week", "week", "month", "month", "quarter", "year",
    ]  # fmt: skip
    with pytest.raises(ArgumentError, match="censored_bars needs the column censored"):
        plot.retention_curves(frame.drop(columns="censored"), censored_bars=True)


def test_bands_are_those_asked_for() -> None:
    curves = sv.kaplan_meier(SEVEN, start="start", stop="stop", event="event")
    band = curves.band("hall-wellner")
    assert len(seven(band="none").axes[0].collections) == 0
    drawn = seven(band="simultaneous", bands=band).axes[0].collections[0].get_paths()
    heights = np.concatenate([path.vertices[:, 1] for path in drawn])
    held = band.dropna(subset=["band_lower"])
    assert heights.min() == pytest.approx(held["band_lower"].min())
    assert heights.max() == pytest.approx(held["band_upper"].max())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"rows": ("at_rsk",)},
            r"rows must be one of at_risk, churned, censored; got 'at_rsk'\. Did you mean 'at_risk'\?",
        ),
        ({"unit": "month"}, r"unit must be one of days, months, years; got 'month'\. Did you mean 'months'\?"),
        ({"band": "simultanous"}, r"Did you mean 'simultaneous'\?"),
        ({"scale": "percentage"}, r"scale must be one of percent, share; got 'percentage'\. Did you mean 'percent'\?"),
        ({"breaks": 0}, r"breaks must be a step above 0"),
        ({"breaks": ()}, r"breaks must be tenures"),
        ({"breaks": 0.001}, r"breaks 0\.001 makes 360,\d\d\d ticks up to day 360; at most 400"),
        ({"until": 0}, r"until must be a tenure above 0, in days; got 0"),
        ({"band": "simultaneous"}, r"needs the limits: give `bands`"),
        ({"rows": ("churned", "churned")}, r"rows: each once"),
    ],
)
def test_wrong_options_are_said_with_the_way_out(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        plot.retention_curves(retention(["all"]), **options)


def test_counts_that_cannot_be_made_are_said() -> None:
    frame = retention(["all"]).drop(columns=["entered", "censored"])
    with pytest.raises(ArgumentError, match="entered, censored is not there"):
        plot.retention_curves(frame, rows=("at_risk",))
    with pytest.raises(ArgumentError, match="censor_marks needs the column censored"):
        plot.retention_curves(frame, censor_marks=True)


def test_a_tenure_in_words() -> None:
    assert CurveOptions(unit="months").tenure(212) == "7.0 months"
    assert CurveOptions(unit="days").tenure(212.5) == "212.5 days"
    assert CurveOptions(unit="years").tenure(1066) == "2.92 years"
    assert CurveOptions().tenure(45) == "45 days"


# --- In grey, and for who has no cones for green ---------------------------------------------------------------------

# Machado, Oliveira and Fernandes 2009, deuteranopia, on linear RGB.
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
APART = 5  # CIE L*, of two lines or areas that nothing else tells apart


def lab(colour: str, *, seen: np.ndarray | None = None) -> np.ndarray:
    """CIE L*a*b* of a colour, as seen through a matrix on linear RGB."""
    rgb = np.array(mpl.colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ (linear if seen is None else np.clip(seen @ linear, 0, 1)) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize(("n", "ordered"), [*((n, False) for n in range(2, 7)), *((n, True) for n in range(2, 9))])
def test_curves_drawn_together_differ_in_grey_and_without_green(n: int, ordered: bool) -> None:
    groups = [f"c{i}" for i in range(n)]
    for a, b in itertools.combinations(curves_of(retention(groups, 3), "cohort", groups, ordered, 36), 2):
        light = abs(style.lightness(a.colour) - style.lightness(b.colour))
        assert light >= APART, (a.label, b.label)
        assert a.dash != b.dash or light >= APART or ordered
        seen = [lab(c.colour, seen=DEUTERANOPIA) for c in (a, b)]
        assert np.linalg.norm(seen[0] - seen[1]) >= APART, (a.label, b.label)


def test_lines_of_other_dashes_where_there_is_no_order() -> None:
    dashes = [str(d) for d in style.dashes(7)]
    assert len(set(dashes)) == 7
    assert lab("#ffffff")[0] == pytest.approx(100, abs=0.1)
    assert lab(style.NOMINAL[0])[0] == pytest.approx(style.lightness(style.NOMINAL[0]), abs=0.1)


def test_grounds_and_areas_differ_in_grey() -> None:
    bands = [style.lightness(c) for c in BAND_COLOURS.values()]
    assert abs(bands[0] - bands[1]) >= 2 * APART
    assert max(bands) < 97, "not white"
    for side in (FIRST_SIDE, SECOND_SIDE):
        assert np.abs(np.diff([style.lightness(c) for c in side])).min() >= 2 * APART


def test_causes_that_a_legend_names_are_hatched() -> None:
    rows = [(g, c, t, t * k / 1000) for g in "ab" for k, c in enumerate("uvwxy", 1) for t in (0.0, 30.0, 60.0)]
    frame = pd.DataFrame(rows, columns=["cohort", "cause", "tenure", "incidence"])
    figure = stacked_incidence(frame)
    hatches = [area.get_hatch() or "" for area in figure.axes[0].collections]
    assert hatches[:5] == list(style.HATCHES[:5])
    assert len(set(style.HATCHES)) == len(style.HATCHES) == 7
    keys = figure.legends[0].get_patches()
    assert {p.get_hatch() or "" for p in keys} == set(style.HATCHES[:5])
    alone = stacked_incidence(frame[frame["cohort"] == "a"])
    assert not any(area.get_hatch() for area in alone.axes[0].collections), "names stand beside the areas"


def test_the_calendar_says_the_direction_without_colour() -> None:
    months = pd.DataFrame(
        {
            "period": ["2024-01", "2024-02", "2024-03"], "expected": [20.0, 20.0, 20.0], "ratio": [1.4, 0.6, 1.01],
            "ci_lower": [1.1, 0.4, 0.8], "ci_upper": [1.8, 0.9, 1.2],
        }
    )  # fmt: skip
    axes = calendar_strip(months).axes[0]
    bars = [
        (np.mean(line.get_xdata()), line.get_ydata()[0] > 0.5) for line in axes.lines if line.get_gid() == "direction"
    ]
    assert bars == [(0, True), (1, False)]


def test_text_keeps_clear_of_a_steep_fall() -> None:
    t = np.arange(0, 365.0)
    frame = pd.DataFrame({"cohort": "all", "tenure": t, "retention": np.where(t < 30, 1, 0.3) * np.exp(-t / 2000)})
    frame = frame.assign(ci_lower=frame["retention"] - 0.01, ci_upper=np.minimum(frame["retention"] + 0.01, 1))
    (curve,) = curves_of(frame, "cohort", ["all"], False, 364)
    assert passes(curve, (5, 200, 0.9, 0.95)), "the fall at day 30 crosses the box from top to bottom"
    assert not passes(curve, (60, 200, 0.9, 0.95))
    assert not passes(curve, (5, 25, 0.1, 0.2))
