"""A whole run with a calendar factor, a plan that changes, and values that are carried."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from rich.console import Console

from survival.errors import ConfigError
from survival.experiment.config import load
from survival.experiment.run import run_all
from survival.simulate import simulate

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "configs" / "crm_hazard_ratios.yaml"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "configs").mkdir()
    simulate("crm", customers=500, seed=3, out=folder / "data" / "crm")
    shutil.copy(SHIPPED, folder / "configs" / "crm_hazard_ratios.yaml")
    return folder


def written(project: Path, name: str, **changes: object) -> Path:
    """A config that builds on the one that ships, with fewer terms."""
    path = project / "configs" / f"{name}.yaml"
    value = {"extends": "crm_hazard_ratios.yaml", "name": name, "lag_profile": [0, 30], **changes}
    path.write_text(yaml.safe_dump(value), encoding="utf-8")
    return path


def test_calendar_plan_and_carry(project: Path) -> None:
    indicators = {
        "on_plan": {"kind": "plan", "lag": 7},
        "score": {"kind": "nps", "expires": 30},
        "silence": {"kind": "silence", "above": 60},
    }
    model = {
        "churn": "cancellation", "formula": "score + silence + calendar + on_plan + silence:calendar", "strata": [],
        "missing": "carry",
    }  # fmt: skip
    cuts = {"price_rise": "2023-09-01"}
    path = written(project, "with_calendar", indicators=indicators, model=model, calendar={"cuts": cuts})
    run_all([path], [], None, force=True, console=Console(quiet=True))
    tables = project / "results" / "with_calendar" / "tables"
    ratios = pd.read_csv(tables / "hazard_ratios.csv")
    names = set(ratios["covariate"])
    assert {"calendar[T.price_rise]", "score", "silence"} < names
    assert [n for n in names if n.startswith("on_plan[T.")]
    audit = pd.read_csv(tables / "audit.csv").set_index("id")
    assert "take the last known value" in audit.loc["missing-carried", "message"]
    attrition = pd.read_csv(tables / "attrition.csv").set_index("step")
    assert attrition.loc["fitted", "customers"].min() > 0  # of the row left out, and of the row fitted
    profile = pd.read_csv(tables / "lag_profile.csv")
    assert not profile["covariate"].str.fullmatch(r"calendar\[T.price_rise\]").any()  # no lag moves the calendar


def test_calendar_as_a_stratum(project: Path) -> None:
    model = {"churn": "cancellation", "formula": "quiet", "strata": ["calendar"]}
    indicators = {"quiet": {"kind": "silence", "at_least": 45}}
    path = written(project, "by_quarter", indicators=indicators, model=model, calendar={"by": "quarter"})
    run_all([path], [], None, force=True, console=Console(quiet=True))
    ratios = pd.read_csv(project / "results" / "by_quarter" / "tables" / "hazard_ratios.csv")
    assert set(ratios["covariate"]) == {"quiet"}


def test_calendar_is_a_name_of_its_own(project: Path) -> None:
    model = {"churn": "cancellation", "formula": "calendar", "strata": []}
    taken = written(
        project, "taken", indicators={"calendar": {"kind": "silence"}}, calendar={"by": "year"}, model=model
    )
    with pytest.raises(ConfigError, match="'calendar' is a column of every episode"):
        load(taken)
    with pytest.raises(ConfigError, match="either by or cuts"):
        load(written(project, "both", calendar={"by": "year", "cuts": {"a": "2024-01-01"}}))
    absent = written(project, "absent", indicators={}, model=model)
    with pytest.raises(ConfigError, match="'calendar' is no indicator, no column of customers and no cohort"):
        run_all([absent], [], None, force=True, console=Console(quiet=True))
