"""References of factors, however the formula writes them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from survival.estimate.design import design
from survival.estimate.factors import factor_levels, factor_variable
from survival.plot.forest import covariate_label, factor_level, is_interaction

FRAME = pd.DataFrame(
    {"channel": ["ads", "organic", "partner", "(missing)"] * 3, "low": [0, 1] * 6, "seats": np.tile([1, 2, 3], 4)}
)
ORGANIC = "C(channel, contr.treatment('organic'))"


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("channel", {"channel": ("ads", "organic", "partner", "(missing)")}),
        ("channel * low", {"channel": ("ads", "organic", "partner", "(missing)")}),
        ('low + C(channel, contr.treatment("organic"))', {ORGANIC: ("organic", "ads", "partner", "(missing)")}),
        ("C(seats)", {"C(seats)": ("1.0", "2.0", "3.0")}),
        ("C(channel, contr.sum) + log(seats)", {}),
    ],
)
def test_the_reference_is_the_level_without_a_column(formula: str, expected: dict[str, tuple[str, ...]]) -> None:
    coding = design(FRAME, formula)[1]
    found = factor_levels(coding)
    assert found == expected
    for factor, levels in found.items():
        assert not [n for n in coding.names if n == f"{factor}[T.{levels[0]}]"]
        assert {f"{factor}[T.{level}]" for level in levels[1:]} <= set(coding.names)
        assert factor_variable(coding, factor) in ("channel", "seats")


def test_names_of_factors_are_read() -> None:
    assert covariate_label(f"{ORGANIC}[T.ads]") == "channel: ads"
    assert covariate_label("C(`monthly plan`, contr.treatment('(missing)'))[T.x]") == "monthly plan: x"
    assert factor_level(f"{ORGANIC}[T.ads]") == (ORGANIC, "ads")
    assert factor_level("plan[T.pro]:channel[T.ads]") is None
    assert is_interaction("low:plan[T.a:b]")
    assert not is_interaction("plan[T.a:b]")
