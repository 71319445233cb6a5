"""The triangle with its inference, and the calendar beside it: what is drawn is what was counted."""

from __future__ import annotations

import datetime as dt

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from survival import plot
from survival.audit.calendar import calendar
from survival.churn import parse_definition, spells
from survival.data import tables_from_frames
from survival.errors import ArgumentError
from survival.estimate.standardised import observed_over_expected
from survival.experiment.calendar_months import calendar_months
from survival.plot.calendar_strip import calendar_strip


def texts(figure: plot.Drawing) -> list[str]:
    return [t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text"))]


def cells(months: int = 3) -> pd.DataFrame:
    rows = [
        (c, 50 + i, m, 40 - 13 * m - i, 0.9 - 0.1 * m, 0.8 - 0.1 * m, 0.95 - 0.1 * m, m < 3)
        for i, c in enumerate(("2024-Q1", "2024-Q2"))
        for m in range(1, months + 1)
    ]
    columns = ["cohort", "customers", "month", "at_risk", "retention", "ci_lower", "ci_upper", "complete"]
    return pd.DataFrame(rows, columns=columns)


def months() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "period": ["2023-12", "2024-02"],
            "expected": 40.0,
            "ratio": [1.0, 2.1],
            "ci_lower": [0.8, 1.6],
            "ci_upper": [1.3, 2.7],
        }
    )


def test_a_cell_holds_retention_interval_and_numbers_at_risk() -> None:
    said = texts(plot.cohort_triangle(cells(), intervals=True))
    assert {"80", "70–85", "n 27", "70", "60–75", "n 14"} <= set(said)
    assert said.count("·") == 2, "one cell below ten at risk, and the key; where nobody is, nothing"
    assert "n 1" not in said
    assert not any(t.startswith("n ") for t in texts(plot.cohort_triangle(cells())))
    wide = pd.concat([cells(), cells().assign(month=20, at_risk=30)])
    assert not any(t.startswith("n ") for t in texts(plot.cohort_triangle(wide, intervals=True))), "too narrow for it"


def test_the_strip_lies_below_the_triangle_and_frames_what_is_clear() -> None:
    figure = plot.cohort_triangle(cells(), calendar=months())
    strip = next(a for a in figure.axes if a.get_gid() == "calendar-strip")
    triangle = figure.axes[0]
    assert strip.get_position().y1 < triangle.get_position().y0
    assert [t.get_text() for t in strip.texts if t.get_text()[0].isdigit()] == ["1.0", "2.1", "2023", "2024"]
    assert [t.get_text() for t in strip.texts if t.get_text() in "DJF"] == ["D", "J", "F"], (
        "a month without a row has its place"
    )
    framed = [p.get_x() for p in strip.patches if not p.get_fill()]
    assert framed == [pytest.approx(2 - 0.46)]
    colours = {round(p.get_x() + 0.5): mpl.colors.to_hex(p.get_facecolor()) for p in strip.patches if p.get_fill()}
    assert plot.style.lightness(colours[0]) > 99
    assert plot.style.lightness(colours[2]) < 75
    assert not any(a.get_gid() == "calendar-strip" for a in plot.cohort_triangle(cells()).axes)
    few = calendar_strip(months().assign(expected=[40.0, 4.9]))
    assert "2.1" not in texts(few), "a ratio of fewer than five expected churns is noise"
    assert "1.0" in texts(few)
    assert texts(calendar_strip(months().iloc[:0])) == ["There is no calendar to draw."]


def test_observed_over_expected_is_exact() -> None:
    found = observed_over_expected([0, 12], [3.0, 8.0])
    np.testing.assert_allclose(found["ratio"], [0, 1.5])
    # Garwood: P(X <= 12 | upper) = P(X >= 12 | lower) = 2.5 %; and of nothing, the upper limit is -log(2.5 %).
    low, high = 8 * found.loc[1, ["ci_lower", "ci_upper"]].astype(float)
    assert stats.poisson.cdf(12, high) == pytest.approx(0.025)
    assert stats.poisson.sf(11, low) == pytest.approx(0.025)
    np.testing.assert_allclose(found.loc[0, ["ci_lower", "ci_upper"]].astype(float), [0, -np.log(0.025) / 3])
    assert observed_over_expected([2], [0.0])["ratio"].isna().all()
    with pytest.raises(ArgumentError, match="negative"):
        observed_over_expected([-1], [1.0])


class _Config:
    level = 0.95


class _Study:
    """As much of a study as the calendar needs."""

    config = _Config()

    def __init__(self, made: object) -> None:
        self._made = made

    def spells(self, name: str) -> object:
        return self._made


def test_a_month_in_which_many_leave_stands_out_whatever_their_tenure() -> None:
    rng = np.random.default_rng(4)
    n, first = 1500, pd.Timestamp("2023-01-01")
    signup = rng.integers(0, 500, n)
    ends = signup + 1 + rng.geometric(0.002, n)
    shock = (first + pd.Timedelta(days=430)).date()  # 6 March 2024: a tenth of those still there leave
    hit = (signup < 430) & (ends > 430) & (rng.random(n) < 0.1)
    ends = np.where(hit, 430, ends)
    date = lambda days: [(first + pd.Timedelta(days=int(d))).date() for d in days]  # noqa: E731
    ids = [f"c{i}" for i in range(n)]
    subscriptions = pd.DataFrame({"customer_id": ids, "started_on": date(signup), "ended_on": date(ends), "plan": "p"})
    frames = {
        "customers": pd.DataFrame({"customer_id": ids, "signed_up_on": date(signup)}),
        "subscriptions": subscriptions,
    }
    with tables_from_frames(frames, until=dt.date(2024, 9, 30)) as tables:
        made = spells(tables, parse_definition({"kind": "cancellation"}))
        found = calendar_months(_Study(made), "x")  # type: ignore[arg-type]
        whole = calendar(made)
    assert whole is not None
    assert found["churned"].sum() == made.churns == whole.observed.sum()
    assert found["expected"].sum() == pytest.approx(made.churns)
    march = found.set_index("period").loc[shock.strftime("%Y-%m")]
    assert march["ci_lower"] > 1.5
    others = found[found["period"] != "2024-03"]
    assert (others["ci_lower"] <= 1).all()
