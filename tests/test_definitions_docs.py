"""The churn definition of docs/extending.md, exactly as it stands there, in a project of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from rich.console import Console

from survival.churn import definition as definition_module
from survival.experiment.run import run_all

PAGE = Path(__file__).resolve().parent.parent / "docs" / "extending.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    tickets = [("a", "2024-01-05", "2024-01-27"), ("b", "2024-01-05", "2024-01-26"), ("b", "2024-02-01", None),
               ("c", "2024-01-05", None), ("d", "2024-02-20", None)]  # fmt: skip
    (tmp_path / "experiments").mkdir()
    (tmp_path / "configs").mkdir()
    people = [(name, "2024-01-01") for name in "abcde"]
    pd.DataFrame(people, columns=["customer_id", "signed_up_on"]).to_csv(tmp_path / "customers.csv", index=False)
    frame = pd.DataFrame(tickets, columns=["customer_id", "opened_on", "resolved_on"])
    frame.to_csv(tmp_path / "tickets.csv", index=False)
    yield tmp_path
    definition_module._definitions._classes.pop("ignored", None)


def test_a_definition_of_ones_own(project: Path) -> None:
    """21 days after 5 January is the 26th: a was answered a day late, b in time, then not, c never; d is too late to tell."""
    code = blocks("python")[0]
    assert len([line for line in code.splitlines() if line.strip()]) < 30
    (project / "experiments" / "ignored.py").write_text(code, encoding="utf-8")
    tables = {name: {"path": f"{name}.csv"} for name in ("customers", "tickets")}
    config = yaml.safe_load(blocks("yaml")[0])
    config["data"] = {"tables": tables, "observed": {"until": "2024-02-29"}}
    path = project / "configs" / "mine.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    run_all([path], [], None, force=True, console=Console(quiet=True))
    curve = pd.read_csv(project / "results" / "mine" / "tables" / "retention.csv")
    found = curve.loc[curve["events"] > 0, ["tenure", "at_risk", "events"]].to_numpy().tolist()
    assert found == [[25, 5, 2], [52, 3, 1]]
    assert curve["censored"].sum() == 2
