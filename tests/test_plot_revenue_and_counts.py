"""Figures of revenue retention, quarterly churn rates and mean counts: what they show, and that their CSV redraws them."""

from __future__ import annotations

import io
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from report_demo import NASTY

from survival.estimate.churn_rate import churn_rates, rate_trend
from survival.estimate.recurrent import mean_cumulative_count
from survival.estimate.revenue import revenue_retention
from survival.plot import style
from survival.plot.churn_rate import churn_rates as draw_rates
from survival.plot.mean_count import mean_counts
from survival.plot.revenue import revenue_retention_curves
from survival.plot.style import Drawing
from survival.report.tables import csv_text, read_csv


def paying(customers: int = 300) -> pd.DataFrame:
    """Who pays little leaves early; who signs up with `pro` was observed for at most 300 days."""
    random = np.random.default_rng(3)
    plan = np.resize(["basic", "pro", NASTY], customers)
    mrr = np.round(random.lognormal(3.5, 0.8, customers), 2)
    churn = np.ceil(random.exponential(np.where(mrr > 33, 900, 200)))
    leave = np.minimum(random.integers(60, 720, customers), np.where(plan == "pro", 300, 720))
    return pd.DataFrame({"stop": np.minimum(churn, leave), "event": churn <= leave, "plan": plan, "mrr": mrr})


def stays(customers: int = 120) -> pd.DataFrame:
    """Customers with a first stay, and half of those who left with a second."""
    random = np.random.default_rng(4)
    first = random.integers(5, 200, customers)
    left = random.random(customers) < 0.7
    plan = np.resize(["basic", NASTY], customers)
    one = pd.DataFrame({"customer": range(customers), "start": 0, "stop": first, "event": left, "plan": plan})
    back = one[left & (np.arange(customers) % 2 == 0)]
    two = back.assign(start=back["stop"] + 10, stop=back["stop"] + 10 + random.integers(5, 90, len(back)))
    return pd.concat([one, two.assign(event=random.random(len(two)) < 0.5)], ignore_index=True)


def quarters() -> pd.DataFrame:
    """Quarterly rates of 400 customers, counted from months of entry and exit as a study counts them."""
    random = np.random.default_rng(5)
    entered = 12 * 2023 + random.integers(0, 10, 400)
    left = entered + 1 + np.floor(random.exponential(14, 400)).astype(int)
    last = 12 * 2025
    cells = pd.DataFrame({"entered": entered, "left": np.minimum(left, last), "churned": left < last})
    cells = cells.groupby(["entered", "left", "churned"]).size().reset_index(name="spells")
    return churn_rates(cells, 12 * 2023, last - 1, "quarter")


PAYING = paying()
TWO = revenue_retention(PAYING, "mrr", by="plan").tidy()
ONE = revenue_retention(PAYING, "mrr").tidy()
COUNTS = mean_cumulative_count(stays(), "customer", start="start", by="plan").tidy()
QUARTERS = quarters()


def with_trend(frame: pd.DataFrame) -> Drawing:
    """The figure of the study: quarters with the line of their test, both from what the table holds."""
    trend = rate_trend(frame["churned"], frame["customers_at_start"])
    middle = np.arange(len(frame)) - (len(frame) - 1) / 2
    odds = frame["rate"].mean() / (1 - frame["rate"].mean()) * trend.odds_ratio**middle
    line = pd.DataFrame({"period": frame["period"], "rate": odds / (1 + odds)})
    return draw_rates(frame, rate="rate", trend=line, trend_text=f"p {trend.p:.3f}", ylabel="Churned in the quarter")


FIGURES: dict[str, tuple[Callable[[pd.DataFrame], Drawing], pd.DataFrame]] = {
    "revenue by plan": (revenue_retention_curves, TWO),
    "revenue": (revenue_retention_curves, ONE),
    "mean counts": (mean_counts, COUNTS),
    "quarters": (lambda frame: draw_rates(frame, rate="rate", ylabel="Churned in the quarter"), QUARTERS),
    "quarters with their trend": (with_trend, QUARTERS),
}


@pytest.mark.parametrize("name", FIGURES)
def test_redrawn_from_its_csv_it_is_the_same_picture(name: str) -> None:
    draw, frame = FIGURES[name]
    assert style.svg_bytes(draw(frame)) == style.svg_bytes(draw(read_csv(io.StringIO(csv_text(frame)))))


@pytest.mark.parametrize("name", FIGURES)
def test_another_table_is_another_picture(name: str) -> None:
    draw, frame = FIGURES[name]
    column = next(c for c in ("retention", "mean_count", "rate") if c in frame)
    assert style.svg_bytes(draw(frame)) != style.svg_bytes(draw(frame.assign(**{column: 0.9 * frame[column]})))


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_leaves_the_figure(name: str) -> None:
    draw, frame = FIGURES[name]
    figure = draw(frame)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for text in figure.findobj(mpl.text.Text):
        if text.get_text().strip() and text.get_visible():
            extent = text.get_window_extent(canvas.get_renderer())
            assert extent.x0 >= figure.bbox.x0 - 2, text.get_text()
            assert extent.x1 <= figure.bbox.x1 + 2, text.get_text()


def ends(axes: Axes) -> dict[str, tuple[float, float]]:
    """Where the leader of each name points, and where the name stands, in shares of the panel's height."""
    return {t.get_text(): (t.xy[1], t.xyann[1]) for t in axes.texts if isinstance(t, mpl.text.Annotation) and t.xy[1]}


def test_each_cohort_has_its_two_curves_named_at_their_ends() -> None:
    figure = revenue_retention_curves(TWO)
    assert len(figure.axes) == 3
    for axes, plan in zip(figure.axes, style.groups_in_order(TWO["by"])):
        rows = TWO[TWO["by"] == plan]
        named = ends(axes)
        assert list(named) == ["customers", "revenue"]
        for line, weighting in zip(axes.lines, ("customers", "revenue")):
            own = rows[rows["weighting"] == weighting]
            t, kept = (np.asarray(values, float) for values in (line.get_xdata(), line.get_ydata()))
            shown = kept[np.searchsorted(t, own["tenure"], side="right") - 1]
            np.testing.assert_allclose(shown, own["retention"].to_numpy(float), rtol=1e-12)
            assert named[weighting][0] == pytest.approx(own["retention"].dropna().iloc[-1])
        assert len(axes.collections) == 2  # a band each
        apart = named["revenue"][1] - named["customers"][1]
        assert apart * np.sign(named["revenue"][0] - named["customers"][0]) >= 0.165 / 1.6 - 1e-9


def test_a_cohort_that_ends_early_is_named_at_its_end() -> None:
    figure = revenue_retention_curves(TWO, by="by")
    pro = figure.axes[style.groups_in_order(TWO["by"]).index("pro")]
    horizon = TWO["tenure"].max()
    for text in pro.texts:
        if text.get_text() in ("customers", "revenue"):
            assert isinstance(text, mpl.text.Annotation)
            assert text.xy[0] == pytest.approx(300 / horizon)
            assert 300 / horizon < text.xyann[0] < 300 / horizon + 0.1


def test_a_cohort_without_revenue_has_the_curve_of_its_customers() -> None:
    free = pd.concat([TWO, TWO[(TWO["by"] == "basic") & (TWO["weighting"] == "customers")].assign(by="free")])
    axes = revenue_retention_curves(free).axes[-1]
    assert len(axes.lines) == 1
    assert [t.get_text() for t in axes.texts if t.get_text() in ("customers", "revenue")] == ["customers"]


def test_a_band_without_limits_is_not_drawn() -> None:
    rows = ONE.assign(ci_lower=np.nan, ci_upper=np.nan)
    axes = revenue_retention_curves(rows).axes[0]
    heights = [np.ptp(np.asarray(path.vertices)[:, 1]) for band in axes.collections for path in band.get_paths()]
    assert max(heights, default=0.0) == 0.0
    np.testing.assert_allclose(np.asarray(axes.lines[1].get_ydata(), float)[-1], ONE["retention"].iloc[-1])


def test_nobody_and_too_many_are_said() -> None:
    def words(figure: Drawing) -> str:
        return " ".join(t.get_text() for t in figure.texts)

    assert "there is no curve" in words(revenue_retention_curves(TWO[:0]))
    many = pd.concat([ONE.assign(by=f"plan {i}") for i in range(11)], ignore_index=True)
    figure = revenue_retention_curves(many)
    assert len(figure.axes) == 9
    assert "Not shown: the last 2 of 11" in words(figure)
