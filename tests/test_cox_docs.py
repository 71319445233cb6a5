"""Every snippet of docs/cox.md runs as it stands, one after the other, and says what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cox.md"


def test_the_snippets_run_and_agree_with_the_text() -> None:
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL):
        exec(compile(code, str(PAGE), "exec"), names)
    assert names["fading"].names == ("overdue", "overdue:log(tenure)", "seats")
    assert names["test"].df == 2
    assert names["periods"].names[:3] == ("overdue:(0, 90]", "overdue:(90, 180]", "overdue:(180, inf)")
    assert np.isfinite(names["firth"].coefficients).all()
    tidy = names["cycles"].tidy()
    assert (np.abs(tidy["coef"] - [0.8, 0.05]) < 3 * tidy["robust_se"].fillna(tidy["se"])).all()
    for sample in ("weighted", "matched"):
        table = names[sample].tidy()
        se = table["robust_se"].fillna(table["se"])
        assert (np.abs(table["coef"] - names["fit"].coefficients[:2]) < 3.5 * se).all()


def test_the_page_names_every_public_function() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in (
        "compare_fits", "discrete_cox", "cox_path", "cox_cross_validate", "case_cohort", "sample_customers", "sample_risk_sets",
        "profile_intervals", "hypothesis", "proportional_hazards", "predict_survival", "baseline", "residuals",
    ):  # fmt: skip
        assert f"{name}(" in text or f"`{name}`" in text, name
