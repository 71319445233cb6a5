from __future__ import annotations

import math

import pytest

from survival.plot import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.8449, "1.84"), (0.034, "0.034"), (0.02, "0.020"), (0.1, "0.10"), (12.34, "12.3"), (123.4, "123"), (2e4, "> 10,000"),
        (1e-5, "< 0.001"), (math.nan, "–"), (1.0, "1.00"), (9.996, "10.0"), (0.0996, "0.10"),
    ],
)  # fmt: skip
def test_ratio(value: float, text: str) -> None:
    assert numbers.ratio(value) == text


def test_a_limit_shows_on_which_side_of_one_it_is() -> None:
    assert numbers.ratio_with_interval(0.9, 0.81, 0.998) == "0.90 (0.81–0.998)"
    assert numbers.ratio_with_interval(1.1, 1.0003, 1.2) == "1.10 (1.0003–1.20)"
    assert numbers.ratio_with_interval(1.84, 1.52, 2.23) == "1.84 (1.52–2.23)"
    assert numbers.ratio_with_interval(math.nan, math.nan, math.nan) == "not estimable"


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0, "p < 0.001"), (0.00099, "p < 0.001"), (0.001, "p = 0.001"), (0.0496, "p = 0.050"), (0.05, "p = 0.050"),
        (0.32, "p = 0.32"), (0.9951, "p > 0.99"), (math.nan, "p not available"),
    ],
)  # fmt: skip
def test_p(p: float, text: str) -> None:
    assert numbers.p_phrase(p) == text


def test_counts_shares_and_signs() -> None:
    assert numbers.count(1234567) == "1,234,567"
    assert numbers.count(12.5) == "12.5"
    assert numbers.percent(0.8123) == "81.2%"
    assert numbers.percent_with_interval(0.8123, 0.79, 0.833) == "81.2% (79.0–83.3)"
    assert numbers.percent_with_interval(1.0, math.nan, math.nan) == "100.0%"
    assert numbers.decimal(-0.345, 2) == "−0.34"
    assert numbers.decimal(-0.001, 2) == "0.00"
    assert numbers.decimal(-math.inf) == "−∞"
