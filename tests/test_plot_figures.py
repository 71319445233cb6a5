"""Figures show the numbers of their frames, where they say, and are the same bytes each time."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from report_demo import NASTY, at_risk, hazard_ratios, retention

from survival import plot
from survival.plot import style
from survival.plot.forest import axis_limits, covariate_label
from survival.plot.style import Drawing


def hazard() -> pd.DataFrame:
    t = np.arange(0, 400, 20.0)
    h = 0.001 + 0.001 * np.exp(-t / 100)
    return pd.DataFrame({"tenure": t, "hazard": h, "ci_lower": 0.8 * h, "ci_upper": 1.3 * h, "bandwidth": 42.0})


def by_flag() -> pd.DataFrame:
    parts = []
    for covariate in ("open_ticket", NASTY):
        for state, k in (("off", 1), ("on", 2)):
            part = hazard().assign(covariate=covariate, state=state)
            part["cumulative_hazard"] = k * part["hazard"].cumsum()
            parts.append(part.drop(columns=["ci_lower", "ci_upper"]))
    return pd.concat(parts, ignore_index=True)


def cells() -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("2024-01", 100, 1, 100, 0.9, True),
            ("2024-01", 100, 2, 80, 0.7, False),
            (NASTY, 9, 1, 9, 0.5, True),
            (NASTY, 9, 2, 0, np.nan, False),
        ],
        columns=["cohort", "customers", "month", "at_risk", "retention", "complete"],
    )


def lags() -> pd.DataFrame:
    return pd.DataFrame(
        [("open_ticket", 0, 2.0, 1.5, 2.6), ("open_ticket", 30, 1.4, 1.1, 1.8), (NASTY, 30, np.nan, np.nan, np.nan)],
        columns=["covariate", "lag", "hazard_ratio", "ci_lower", "ci_upper"],
    )


def beta() -> pd.DataFrame:
    t = np.arange(0, 300, 30.0)
    return pd.DataFrame(
        {"covariate": "x", "tenure": t, "coef": t / 300, "ci_lower": t / 300 - 0.2, "ci_upper": t / 300 + 0.2}
    )


FIGURES = {
    "one curve": lambda: plot.retention_curves(retention(["all"])),
    "three curves": lambda: plot.retention_curves(
        retention(["a", "b", NASTY]), at_risk(["a", "b", NASTY]), title=NASTY
    ),
    "facets": lambda: plot.retention_curves(retention(list("abcdefgh")), at_risk(list("abcdefgh"))),
    "forest": lambda: plot.forest(hazard_ratios(), references={"plan": "basic"}, labels={"overdue": NASTY}),
    "hazard": lambda: plot.smoothed_hazard(hazard()),
    "by flag": lambda: plot.hazard_by_flag(by_flag()),
    "hazard by flag": lambda: plot.hazard_by_flag(by_flag(), value="hazard"),
    "triangle": lambda: plot.cohort_triangle(cells()),
    "lags": lambda: plot.lag_profile(lags()),
    "beta": lambda: plot.schoenfeld(beta(), {"x": 0.5}, ph_p={"x": 0.01}),
}


def texts(figure: Drawing) -> list[str]:
    return [t.get_text() for t in figure.findobj(mpl.text.Text) if t.get_text()]


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_frame_gives_the_same_bytes(name: str) -> None:
    before = dict(mpl.rcParams)
    svg, png = plot.svg_bytes(FIGURES[name](), "t"), plot.png_bytes(FIGURES[name]())
    assert svg == plot.svg_bytes(FIGURES[name](), "t")
    assert png == plot.png_bytes(FIGURES[name]())
    assert b"<dc:date>" not in svg
    assert b"Software" not in png
    assert dict(mpl.rcParams) == before, "drawing must leave the user's settings alone"


def test_the_users_settings_do_not_change_a_figure() -> None:
    svg = plot.svg_bytes(FIGURES["three curves"]())
    with mpl.rc_context({"font.size": 22, "axes.grid": True, "svg.fonttype": "none", "lines.linewidth": 7}):
        assert plot.svg_bytes(FIGURES["three curves"]()) == svg


@pytest.mark.parametrize(
    ("draw", "columns"),
    [
        (plot.retention_curves, ["cohort", "tenure", "retention", "ci_lower", "ci_upper"]),
        (plot.forest, ["model", "covariate", "hazard_ratio", "ci_lower", "ci_upper", "p"]),
        (plot.smoothed_hazard, ["tenure", "hazard", "ci_lower", "ci_upper"]),
        (plot.hazard_by_flag, ["covariate", "state", "tenure", "cumulative_hazard"]),
        (plot.cohort_triangle, ["cohort", "customers", "month", "at_risk", "retention", "complete"]),
        (plot.lag_profile, ["covariate", "lag", "hazard_ratio", "ci_lower", "ci_upper"]),
        (lambda frame: plot.schoenfeld(frame, {}), ["covariate", "tenure", "coef", "ci_lower", "ci_upper"]),
    ],
)
def test_an_empty_frame_is_said_in_words(draw, columns) -> None:
    figure = draw(pd.DataFrame(columns=columns))
    assert not figure.axes
    assert len(texts(figure)) == 1
    assert plot.png_bytes(figure)


def test_curves_hold_their_numbers_and_the_axis_runs_from_0_to_100_percent() -> None:
    frame = retention(["a", "b"])
    axes = plot.retention_curves(frame).axes[0]
    assert axes.get_ylim() == (0.0, 1.0)
    for line, (_, rows) in zip(axes.lines, frame.groupby("cohort")):
        assert line.get_drawstyle() == "steps-post"
        np.testing.assert_array_equal(line.get_xdata(), rows["tenure"])
        np.testing.assert_array_equal(line.get_ydata(), rows["retention"])


def test_a_curve_that_has_no_starting_row_starts_at_one() -> None:
    frame = pd.DataFrame(
        {"cohort": "all", "tenure": [5, 9], "retention": [0.8, 0.4], "ci_lower": [0.7, 0.3], "ci_upper": [0.9, 0.5]}
    )
    line = plot.retention_curves(frame).axes[0].lines[0]
    assert line.get_xdata().tolist() == [0, 5, 9]
    assert line.get_ydata().tolist() == [1, 0.8, 0.4]


def test_a_curve_ends_where_it_is_not_known() -> None:
    frame = retention(["a", "b"])
    frame.loc[(frame["cohort"] == "b") & (frame["tenure"] > 120), ["retention", "ci_lower", "ci_upper"]] = np.nan
    axes = plot.retention_curves(frame).axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [dot.get_xdata()[0] for dot in dots] == [120]


def test_tenures_with_censoring_alone_draw_nothing() -> None:
    frame = retention(["all"])
    more = frame.assign(tenure=frame["tenure"] + 5)  # between the steps: the same retention again
    both = pd.concat([frame, more]).sort_values("tenure")
    steps = plot.retention_curves(both).axes[0].lines[0]
    assert steps.get_xdata().tolist() == [*frame["tenure"], frame["tenure"].iloc[-1] + 5]


def test_numbers_at_risk_stand_under_their_ticks() -> None:
    cohorts = ["a", "b", "a much longer name than the others have, for it is long"]
    risk = at_risk(cohorts)
    figure = plot.retention_curves(retention(cohorts), risk)
    axes, table = figure.axes
    with style.look():
        FigureCanvasAgg(figure).draw()
    assert table.get_gid() == "risk-table"
    ticks = axes.get_xticks()
    at = [axes.transData.transform((t, 0))[0] for t in ticks]
    for i, cohort in enumerate(cohorts):
        row = [t for t in table.texts if t.get_position()[1] == i]
        expected = risk[risk["cohort"] == cohort]["at_risk"]
        assert [t.get_text() for t in row] == [f"{n:,}" for n in expected]
        for text, x in zip(row, at):
            box = text.get_window_extent()
            assert abs((box.x0 + box.x1) / 2 - x) < 1, "the number's middle is under the tick"


def test_nothing_of_the_risk_table_overlaps_and_all_of_it_is_inside() -> None:
    cohorts = ["Enterprise, multi-year, negotiated and paid upfront", "b", "12345"]
    figure = plot.retention_curves(retention(cohorts), at_risk(cohorts))
    with style.look():
        FigureCanvasAgg(figure).draw()
    box = figure.bbox
    names = [t.get_window_extent() for t in figure.texts]
    numbers = [t.get_window_extent() for t in figure.axes[1].texts]
    assert not any(a.overlaps(b) for a in names for b in numbers)
    for t in figure.findobj(mpl.text.Text):
        if t.get_text() and t.get_visible():
            inside = t.get_window_extent()
            assert inside.x0 >= box.x0 - 1, t.get_text()
            assert inside.x1 <= box.x1 + 1, t.get_text()


def test_facets_show_each_cohort_with_its_numbers() -> None:
    cohorts = [f"2024-{m:02d}" for m in range(1, 13)]
    figure = plot.retention_curves(retention(cohorts), at_risk(cohorts), ordered=True)
    assert [axes.get_title(loc="left") for axes in figure.axes] == cohorts
    for i, axes in enumerate(figure.axes):
        numbers = [t.get_text() for t in axes.texts if t.get_gid() == "risk-table"]
        assert numbers[0] == f"{1000 * (i + 1):,}"
        assert axes.get_ylim() == (0.0, 1.0)
        assert axes.lines[-1].get_ydata()[-1] == pytest.approx(np.exp(-360 / (300 + 40 * i)))


def test_too_many_cohorts_are_counted_not_dropped_silently() -> None:
    cohorts = [f"c{i}" for i in range(40)]
    figure = plot.retention_curves(retention(cohorts, 3))
    assert len(figure.axes) == 36
    assert any("Not shown: the last 4 of 40 cohorts" in t for t in texts(figure))


@pytest.mark.parametrize(("n", "ordered", "panels"), [(6, False, 1), (7, False, 7), (8, True, 1), (9, True, 9)])
def test_when_curves_are_drawn_together(n: int, ordered: bool, panels: int) -> None:
    assert len(plot.retention_curves(retention([f"c{i}" for i in range(n)], 3), ordered=ordered).axes) == panels


def test_groups_keep_a_categorys_order() -> None:
    frame = retention(["b", "a"])
    frame["cohort"] = pd.Categorical(frame["cohort"], ["a", "unused", "b"])
    axes = plot.retention_curves(frame).axes[0]
    ends = [line.get_ydata()[-1] for line in axes.lines]
    assert ends == pytest.approx([np.exp(-360 / 340), np.exp(-360 / 300)])


def test_forest_positions_are_the_data() -> None:
    frame = hazard_ratios()
    axes = plot.forest(frame, references={"plan": "basic"}).axes[0]
    assert axes.get_xscale() == "log"
    rows = {"open_ticket": 0, "overdue": 1, "plan[T.pro]": 4, "seats": 5}
    spans = {
        (round(line.get_ydata()[0]), line.get_xdata()[0], line.get_xdata()[1])
        for line in axes.lines
        if len(line.get_xdata()) == 2 and line.get_ydata()[0] != 0 and line.get_ydata()[0] == line.get_ydata()[1]
    }
    points = {(round(line.get_ydata()[0]), line.get_xdata()[0]) for line in axes.lines if len(line.get_xdata()) == 1}
    known = frame.dropna(subset=["hazard_ratio"])
    assert points == {(rows[r.covariate], r.hazard_ratio) for r in known.itertuples()}
    assert spans == {(rows[r.covariate], r.ci_lower, r.ci_upper) for r in known.itertuples()}


def test_forest_says_the_numbers_and_what_could_not_be_estimated() -> None:
    said = texts(plot.forest(hazard_ratios(), references={"plan": "basic"}))
    assert said.count("1.84 (1.52–2.23)") == 1
    assert said.count("not estimable") == 2
    assert said.count("1 (reference)") == 2
    assert {"Univariable", "Multivariable", "plan", "basic", "pro", "< 0.001", "0.62"} <= set(said)


def test_forest_cuts_long_intervals_with_arrows() -> None:
    frame = hazard_ratios()[lambda d: d["model"] == "multivariable"].iloc[:1].assign(ci_lower=0.001, ci_upper=900.0)
    axes = plot.forest(frame).axes[0]
    low, high = axes.get_xlim()
    assert (low, high) == (1 / 32, 32)
    assert len([line for line in axes.lines if line.get_marker() == "s"]) == 1
    assert {line.get_marker() for line in axes.lines} >= {"<", ">"}


def test_forest_axis_holds_one_and_every_interval() -> None:
    far = plot.forest(hazard_ratios().assign(hazard_ratio=0.015, ci_lower=0.011, ci_upper=0.02)).axes[0]
    assert far.get_xlim()[0] < 0.011, "an estimate is never outside"
    low, high = axis_limits([])
    assert low < 0.5
    assert high > 2


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("plan[T.pro]", "plan: pro"), ("a:b", "a × b"), ("low:plan[T.a:b]", "low × plan: a:b"), ("C(seats)[T.3]", "seats: 3"),
        ("usage_drop", "usage_drop"),
    ],
)  # fmt: skip
def test_covariate_label(name: str, label: str) -> None:
    assert covariate_label(name) == label


def test_hazard_is_shown_per_30_days_from_zero_with_its_bandwidth() -> None:
    figure = plot.smoothed_hazard(hazard())
    axes = figure.axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 30 * hazard()["hazard"])
    assert axes.get_ylim()[0] == 0
    assert "bandwidth 42 days" in texts(figure)
    assert any("per 30 days" in t for t in texts(figure))
    two = pd.concat([hazard().assign(by="a"), hazard().assign(by="b", bandwidth=55.0)])
    assert "bandwidths 42 to 55 days" in texts(plot.smoothed_hazard(two, by="by"))


def test_curves_and_sets_left_out_are_counted() -> None:
    many = pd.concat([hazard().assign(by=f"s{i}") for i in range(8)])
    figure = plot.smoothed_hazard(many, by="by")
    assert len(figure.axes[0].lines) == 6
    assert any("not shown: the last 2 of 8" in t for t in texts(figure))
    one = hazard_ratios()[lambda d: d["model"] == "multivariable"]
    definitions = pd.concat([one.assign(definition=f"d{i}") for i in range(6)])
    said = texts(plot.forest(definitions, by="definition"))
    assert "Not shown: the last 2 of 6" in said
    assert said.count("1.84 (1.52–2.23)") == 4


def test_flags_share_their_axes() -> None:
    figure = plot.hazard_by_flag(by_flag())
    first, second = figure.axes
    assert first.get_ylim() == second.get_ylim()
    assert first.get_xlim() == second.get_xlim()
    off, on = first.lines
    np.testing.assert_allclose(on.get_ydata(), 2 * off.get_ydata())


def test_triangle_shows_masks_and_greys() -> None:
    figure = plot.cohort_triangle(cells(), mask_below=10)
    axes = figure.axes[0]
    in_cells = {t.get_position(): t.get_text() for t in axes.texts if t.get_text() in {"90", "70", "50", "·"}}
    assert in_cells == {(1, 0): "90", (2, 0): "70", (1, 1): "·"}
    faces = {tuple(np.round(p.get_center(), 6)): mpl.colors.to_hex(p.get_facecolor()) for p in axes.patches}
    hatched = {tuple(np.round(p.get_center(), 6)) for p in axes.patches if p.get_hatch()}
    assert hatched == {(2, 0)}, "grey would be a colour of the scale on a grey printer"
    assert faces[1, 1] == "#ffffff"
    assert (2, 1) not in faces, "nobody was observed there"
    assert faces[1, 0] != faces[2, 0]
    assert NASTY in texts(figure)


def test_lag_profile_draws_what_was_estimated_and_marks_the_rest() -> None:
    figure = plot.lag_profile(lags())
    line = next(line for line in figure.axes[0].lines if line.get_marker() == "o")
    assert line.get_xdata().tolist() == [0, 30]
    assert line.get_ydata().tolist() == [2.0, 1.4]
    assert "n.e." in texts(figure)


def test_beta_and_its_constant() -> None:
    axes = plot.schoenfeld(beta(), {"x": 0.5}, ph_p={"x": 0.0004}).axes[0]
    np.testing.assert_allclose(axes.lines[1].get_ydata(), beta()["coef"])
    assert axes.lines[2].get_ydata() == [0.5, 0.5]
    assert axes.get_title(loc="left") == "x\nPH test: p < 0.001"


def test_colours_differ_in_grey_and_stand_out_on_white() -> None:
    grey = sorted(style.lightness(c) for c in style.NOMINAL)
    assert np.diff(grey).min() > 3.5
    two = [style.lightness(c) for c in style.colours(4)]
    assert min(abs(a - b) for i, a in enumerate(two) for b in two[:i]) > 7
    ordered = [style.lightness(c) for c in style.colours(12, ordered=True)]
    assert (np.diff(ordered) > 3).all()
    assert max(*grey, *ordered) < 62  # 3:1 on white
    assert abs(style.lightness(style.ON) - style.lightness(style.OFF)) > 20
    assert all(style.lightness(style.text_colour(c)) <= 49.5 for c in style.NOMINAL)  # 4.5:1
    assert style.lightness("#ffffff") == pytest.approx(100, abs=1e-6)


def test_ticks() -> None:
    np.testing.assert_allclose(style.tenure_ticks(730), 3 * 30.4375 * np.arange(9))
    assert style.tenure_ticks(40).tolist() == [0, 7, 14, 21, 28, 35]
    assert style.tenure_ticks(0).tolist() == [0]
    assert 1 in style.log_ratio_ticks(0.4, 3)


def test_labels_are_moved_apart_as_little_as_need_be() -> None:
    np.testing.assert_allclose(style.spread([0.5, 0.5, 0.9], 0.1, 0, 1), [0.45, 0.55, 0.9])
    np.testing.assert_allclose(style.spread([0.99, 0.1, 0.98], 0.1, 0, 1), [1.0, 0.1, 0.9])


def test_long_names_keep_start_and_end() -> None:
    short = style.shorten("Enterprise, multi-year, negotiated and paid upfront", 1.6)
    assert short.startswith("Enterprise")
    assert short.endswith("upfront")
    assert style.text_width(short) <= 1.6
    first, second = style.wrap("a detractor's NPS score (0 to 6, in the last 180 days)", 2.5).split("\n")
    assert first + " " + second == "a detractor's NPS score (0 to 6, in the last 180 days)"
    assert style.wrap("Onewordthatistoolongtobebrokenanywhere", 1.0).count("…") == 1
