"""Definitions that name one another, and columns that definitions make, in a config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from rich.console import Console

from survival.errors import ConfigError
from survival.experiment.config import load
from survival.experiment.progress import steps
from survival.experiment.references import made_columns
from survival.experiment.study import needed, opened


def written(folder: Path, churn: dict[str, Any], **more: Any) -> Path:
    tables = {name: {"path": f"{name}.csv"} for name in ("customers", "subscriptions", "usage", "orders")}
    config = {
        "study": "cohort_retention",
        "data": {"tables": tables, "observed": {"until": "2024-12-31"}},
        "churn": churn,
        **more,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def problems(folder: Path, churn: dict[str, Any], **more: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(written(folder, churn, **more))
    return str(caught.value)


CANCELLED, SILENT, ONCE = {"kind": "cancellation"}, {"kind": "inactivity"}, {"kind": "single_purchase"}


def test_first_of_holds_what_it_names(tmp_path: Path) -> None:
    churn = {
        "either": {"kind": "first_of", "of": ["gone", "both"]},
        "both": {"kind": "first_of", "of": ["quiet", "gone"]},
        "gone": CANCELLED,
        "quiet": {**SILENT, "window": 45, "table": "orders"},
    }
    experiment, _ = load(written(tmp_path, churn, model={"churn": "either"}))
    either = experiment.churn["either"]
    assert list(either.parts) == ["gone", "both"]
    assert either.parts["both"].parts["quiet"] == experiment.churn["quiet"]
    assert (either.look_back, either.windows, either.clock_origin) == (45, {"orders": 45}, "signup")
    need = needed(experiment)
    assert need["orders"] == {"customer_id", "ordered_on"}
    assert need["subscriptions"] == {"customer_id", "started_on", "ended_on"}
    assert experiment.resolved()["churn"]["either"] == {"kind": "first_of", "of": ["gone", "both"]}


@pytest.mark.parametrize(
    ("churn", "message"),
    [
        ({"x": {"kind": "first_of", "of": ["gone", "quit"]}, "gone": CANCELLED, "quiet": SILENT},
         "churn.x.of: no definition 'quit' under churn (did you mean 'quiet'?). Allowed: gone, quiet."),
        ({"x": {"kind": "first_of", "of": ["y", "gone"]}, "y": {"kind": "first_of", "of": ["gone", "x"]}, "gone": CANCELLED},
         "churn.x.of: it is a part of itself: x -> y -> x"),
        ({"x": {"kind": "first_of", "of": ["gone", "x"]}, "gone": CANCELLED}, "it is a part of itself: x -> x"),
        ({"x": {"kind": "first_of", "of": ["gone", "gone"]}, "gone": CANCELLED}, "'gone' is there twice"),
        ({"x": {"kind": "first_of", "of": ["gone", "once"]}, "gone": CANCELLED, "once": ONCE},
         "the parts must count tenure from one origin: 'gone' from signup, 'once' from first order"),
        ({"x": {"kind": "first_of", "of": ["gone", "quiet"]}, "gone": {**CANCELLED, "spells": "all"}, "quiet": SILENT},
         "'gone' has `spells: all`"),
        ({"x": {**CANCELLED, "causes": {"a": ["price"], "b": ["price"]}}}, "the end_reason 'price' is in 'a' and in 'b'"),
        ({"x": {"kind": "downgrade", "plan_order": ["a", "b"], "min_drop": 0.1}}, "min_drop is a share of mrr"),
        ({"x": {"kind": "downgrade", "plan_order": ["a", "b", "a"]}}, "plan 'a' is there twice"),
        ({"x": {**SILENT, "activated_by": ["reports"]}}, "activated_by: needs `origin: activation`"),
        ({"x": {**CANCELLED, "origin": "first_payment"}}, "reads the table 'invoices', which data.tables does not map"),
        ({"x": {**CANCELLED, "clock": "resett"}}, "Did you mean 'reset'?"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(tmp_path: Path, churn: dict[str, Any], message: str) -> None:
    assert message in problems(tmp_path, churn)


def test_one_origin_may_be_the_first_order(tmp_path: Path) -> None:
    quiet = {**SILENT, "table": "orders", "origin": "first_order"}
    experiment, _ = load(
        written(tmp_path, {"x": {"kind": "first_of", "of": ["once", "quiet"]}, "once": ONCE, "quiet": quiet})
    )
    assert experiment.churn["x"].clock_origin == "first_order"


def test_trials_are_a_column_of_customers(tmp_path: Path) -> None:
    churn = {
        "gone": {**CANCELLED, "trials": "stratum"},
        "x": {"kind": "first_of", "of": ["gone", "quiet"]},
        "quiet": SILENT,
    }
    rows = [("a", "2024-01-01", "2024-01-15", "true"), ("a", "2024-01-15", "", "false"), ("b", "2024-01-03", "", "no"),
            ("c", "2024-01-05", "", "")]  # fmt: skip
    pd.DataFrame(rows, columns=["customer_id", "started_on", "ended_on", "is_trial"]).assign(plan="p").to_csv(
        tmp_path / "subscriptions.csv", index=False
    )
    people = [(name, "2024-01-01") for name in "abcd"]
    pd.DataFrame(people, columns=["customer_id", "signed_up_on"]).to_csv(tmp_path / "customers.csv", index=False)
    pd.DataFrame([("a", "2024-01-09", "f")], columns=["customer_id", "used_on", "feature"]).to_csv(
        tmp_path / "usage.csv", index=False
    )
    model = {"churn": "x", "strata": ["trial"]}
    experiment, _ = load(written(tmp_path, churn, cohorts={"by": "trial"}, model=model))
    assert made_columns(experiment) == ("trial",)
    with steps(Console(quiet=True)) as step, opened(experiment, tmp_path, step) as study:
        found = study.tables.engine.arrow(study.tables.customers.order_by("customer_id")).to_pandas()
        assert found["trial"].tolist() == found["cohort"].tolist() == ["yes", "no", "unknown", "unknown"]
        assert sorted(study.cohort_labels("x")) == ["no", "unknown", "yes"]
    assert "'trial' is a column of every episode" in problems(
        tmp_path, churn, model=model, indicators={"trial": {"kind": "usage"}}
    )
