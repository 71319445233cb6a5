"""The smoothed hazard: its kernels, its ends, its band, its bandwidth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from survival.errors import ArgumentError
from survival.estimate.hazard import hazard
from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.piecewise import poisson_limits
from survival.estimate.smoothing import boundary_kernel, choose_bandwidth, smooth_hazard
from survival.estimate.smoothing_band import quadratic_kernel


def company(seed: int, customers: int = 4000, shape: float = 1.0) -> pd.DataFrame:
    """Whole-day tenures with hazard shape/300 (t/300)^(shape-1), censored between day 60 and 720."""
    random = np.random.default_rng(seed)
    churn = np.ceil(300 * random.weibull(shape, customers))
    leave = random.integers(60, 720, customers)
    return pd.DataFrame({"stop": np.minimum(churn, leave), "event": churn <= leave})


@pytest.mark.parametrize("at", [0.0, 3.0, 9.0, 50.0, 92.0, 100.0])
def test_every_kernel_has_mass_one_and_no_first_moment(at: float) -> None:
    grid = np.linspace(0, 100, 400_001)
    weight = boundary_kernel(np.array([at]), grid, 10.0, 0.0, 100.0)[0]
    assert np.trapezoid(weight, grid) == pytest.approx(1, abs=1e-4)
    assert np.trapezoid(weight * (grid - at), grid) == pytest.approx(0, abs=1e-3)
    if 10 <= at <= 90:
        np.testing.assert_allclose(weight, np.maximum(0.075 * (1 - ((grid - at) / 10) ** 2), 0), atol=1e-15)


def test_one_step_by_hand() -> None:
    curve = smooth_hazard([50.0], [0.2], [0.01], lower=0, upper=100, bandwidth=10, at=[45.0, 50.0, 61.0, 101.0])
    np.testing.assert_allclose(curve.hazard, [0.2 * 0.075 * 0.75, 0.2 * 0.075, 0, np.nan], rtol=1e-12)
    np.testing.assert_allclose(curve.se, [0.1 * 0.075 * 0.75, 0.1 * 0.075, 0, np.nan], rtol=1e-12)
    table = curve.tidy()
    # The band's kernel follows a parabola, 0.75 (1 - z²)(15 - 35 z²)/8: 0.2 x 0.75 x 15/8 / 10, four churns of 20 at risk.
    np.testing.assert_allclose(
        table["ci_lower"][1], 0.2 * 0.75 * 1.875 / 10 * poisson_limits(np.array([4.0]), 0.95)[0] / 4
    )
    np.testing.assert_allclose(
        table["ci_upper"][1], 0.2 * 0.75 * 1.875 / 10 * poisson_limits(np.array([4.0]), 0.95)[1] / 4
    )
    # Where nobody churned within a bandwidth there is still an upper limit, of no churn among 20: 3.689 of one's weight.
    assert table["ci_lower"][2] == 0
    np.testing.assert_allclose(table["ci_upper"][2], 3.688879454 * 0.05 * 0.75 * 1.875 / 10)
    assert table["ci_upper"].isna().tolist() == [False, False, False, True]
    assert (curve.bandwidth, curve.chosen) == (10, "given")


@pytest.mark.parametrize("bandwidth", [20.0, 60.0, 200.0])
def test_a_constant_hazard_is_constant_up_to_both_ends(bandwidth: float) -> None:
    days = np.arange(1.0, 401) - 0.5
    curve = smooth_hazard(days, np.full(400, 0.003), np.full(400, 1e-8), upper=400, bandwidth=bandwidth)
    np.testing.assert_allclose(curve.hazard, 0.003, rtol=3e-3)  # steps a day apart instead of an integral


@pytest.mark.parametrize("at", [0.0, 3.0, 9.0, 50.0, 92.0, 100.0])
def test_every_kernel_of_the_band_has_mass_one_and_no_moments(at: float) -> None:
    grid = np.linspace(0, 100, 400_001)
    weight = quadratic_kernel(np.array([at]), grid, 10.0, 0.0, 100.0)[0]
    for power, expected in ((0, 1.0), (1, 0.0), (2, 0.0)):
        assert np.trapezoid(weight * (grid - at) ** power, grid) == pytest.approx(expected, abs=2e-3)


def test_whole_days_do_not_pull_the_first_day_down() -> None:
    """Churns on days 1, 2, ... of one hazard: the kernel at 0 sees all of the first day."""
    days = np.arange(1.0, 401)
    curve = smooth_hazard(
        days, np.full(400, 0.003), np.full(400, 1e-8), upper=400, bandwidth=30, at=[0.0, 1.0, 200, 400]
    )
    np.testing.assert_allclose(curve.hazard, 0.003, rtol=3e-3)
    np.testing.assert_allclose((curve.lower + curve.upper) / 2, 0.003, rtol=1e-2)


def test_the_band_finds_the_peak_that_smoothing_lowers() -> None:
    days = np.arange(1.0, 401)
    true = 0.002 + 0.004 * np.exp(-(((days - 150) / 30) ** 2))
    curve = smooth_hazard(days, true, true / 20_000, upper=400, bandwidth=40, at=[150.0])
    assert curve.hazard[0] < curve.lower[0] < 0.006 < curve.upper[0]


def test_the_true_hazard_lies_in_the_band() -> None:
    inside = []
    for seed in range(12):
        curve = hazard(company(seed)).smooth(at=[5, 60, 120, 240, 400])
        inside.append((curve["ci_lower"] < 1 / 300) & (curve["ci_upper"] > 1 / 300))
    share = np.mean(inside)
    assert 0.85 <= share <= 1  # 60 checks of a 95 % band


def test_a_rising_hazard_is_followed_and_the_bandwidth_follows_the_data() -> None:
    rising = hazard(company(1, 20_000, shape=2.0)).smooth(at=[100, 200, 300])
    np.testing.assert_allclose(rising["hazard"], 2 / 300 * np.array([100, 200, 300]) / 300, rtol=0.12)
    random = np.random.default_rng(5)
    # A wave of churn around day 90: a wide window would drown it.
    wave = np.where(random.random(8000) < 0.3, random.normal(90, 6, 8000), random.exponential(900, 8000))
    waved = pd.DataFrame({"stop": np.clip(np.ceil(wave), 1, 700), "event": wave < 700})
    flat = hazard(company(2, 8000)).smooth()
    assert hazard(waved).smooth()["bandwidth"][0] < 0.3 * flat["bandwidth"][0]


def test_the_area_under_the_smoothed_hazard_is_the_cumulative_hazard() -> None:
    made = hazard(company(3))
    smooth = made.smooth()
    total = made.tidy().set_index("tenure")["cumulative_hazard"]
    until = smooth["tenure"].iloc[-1]
    assert np.trapezoid(smooth["hazard"], smooth["tenure"]) == pytest.approx(total[until], rel=0.05)
    assert until <= made.tidy().query("at_risk >= 10")["tenure"].max()


def test_groups_have_their_own_bandwidth_and_order() -> None:
    data = pd.concat([company(1).assign(plan="b"), company(2, shape=2.0).assign(plan="a")])
    smooth = hazard(data, by="plan").smooth()
    assert smooth["by"].drop_duplicates().tolist() == ["a", "b"]
    assert smooth.groupby("by")["bandwidth"].nunique().tolist() == [1, 1]
    assert smooth["bandwidth"].nunique() == 2
    assert list(smooth.columns) == ["by", "tenure", "hazard", "se", "ci_lower", "ci_upper", "bandwidth"]
    own = hazard(data[data["plan"] == "a"]).smooth()
    np.testing.assert_array_equal(smooth[smooth["by"] == "a"]["hazard"], own["hazard"])


def test_too_few_at_risk_is_no_curve() -> None:
    assert hazard({"stop": [1, 2, 3], "event": [1, 1, 1]}).smooth().empty
    assert len(hazard({"stop": [1, 2, 3], "event": [1, 1, 1]}).smooth(min_at_risk=1)) == 201


def test_the_cumulative_hazard_is_minus_log_retention_for_many() -> None:
    data = company(4, 50_000)
    total = hazard(data).tidy().query("at_risk > 5000")
    retention = kaplan_meier(data).tidy().query("at_risk > 5000")
    np.testing.assert_allclose(total["cumulative_hazard"], -np.log(retention["retention"]), atol=4e-3)


def test_many_steps_choose_nearly_what_their_bins_would() -> None:
    random = np.random.default_rng(8)
    steps = np.sort(random.exponential(200, 3000))
    increments = 1 / np.arange(3000, 0, -1.0)
    use = steps < 500
    width = choose_bandwidth(steps[use], increments[use], increments[use] ** 2, 0.0, 500.0)
    assert 500 / (8 * 3000**0.2) <= width <= 500 / 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"increment": [0.1, np.nan]}, "increment has NaN"),
        ({"increment": [0.1, -0.1]}, "must not be negative"),
        ({"increment": [0.0, 0.0]}, "some increment must be above 0"),
        ({"increment": [0.1]}, "one length"),
        ({"bandwidth": 0}, "bandwidth must be above 0"),
        ({"bandwidth": 6}, "at most half"),
        ({"lower": 30, "upper": 40}, "no step lies between"),
        ({"lower": 10, "upper": 10}, "lower must be before upper"),
        ({"level": 2}, "level must be"),
    ],
)
def test_steps_that_are_no_hazard(change: dict[str, object], said: str) -> None:
    given = {"time": [3.0, 10.0], "increment": [0.1, 0.2], "variance": [0.01, 0.02], **change}
    with pytest.raises(ArgumentError, match=said):
        smooth_hazard(**given)  # type: ignore[arg-type]


def test_a_lattice_of_days_does_not_hide_the_shape_from_the_bandwidth() -> None:
    # A short wave seen through thousands of churns a day: the widest window would flatten it, ties or not.
    day = np.arange(1.0, 366)
    rate = 0.002 + 0.006 * np.exp(-0.5 * ((day - 120) / 15) ** 2)
    at_risk = 20_000 * np.exp(-np.cumsum(rate))
    noise = np.random.default_rng(3).normal(size=day.size)
    variance = rate / at_risk
    width = choose_bandwidth(day, rate + noise * np.sqrt(variance), variance, 0.0, 365.0)
    assert 10 < width < 45
    curve = smooth_hazard(day, rate, variance, upper=365.0, at=[120.0])
    assert curve.hazard[0] > 0.9 * rate.max()
