"""The indicator of docs/extending.md, exactly as it stands there, in a project of its own."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from rich.console import Console

from survival.estimate.cox import cox
from survival.experiment.run import run_all
from survival.indicators import indicator as indicator_module

PAGE = Path(__file__).resolve().parent.parent / "docs" / "extending.md"
SIGNUP = dt.date(2024, 1, 1)


def blocks(language: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8").split("\n## An indicator\n")[1]
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """Thirty customers; every third has an order of 250 on day 10 (in force from day 13 to 26), others one of 249."""
    for folder in ("experiments", "configs"):
        (tmp_path / folder).mkdir()
    names = [f"c{i:02d}" for i in range(30)]
    stay = [12 + (7 * i) % 25 for i in range(30)]
    day = [SIGNUP + dt.timedelta(days=n) for n in range(60)]
    frames = {
        "customers": {"customer_id": names, "signed_up_on": SIGNUP},
        "subscriptions": {"customer_id": names, "started_on": SIGNUP, "ended_on": [day[n] for n in stay], "plan": "p"},
        "orders": {"customer_id": names, "ordered_on": day[10], "amount": [249 + (i % 3 == 0) for i in range(30)]},
    }
    for name, columns in frames.items():
        pd.DataFrame(columns).to_csv(tmp_path / f"{name}.csv", index=False)
    yield tmp_path
    indicator_module._indicators._classes.pop("large_orders", None)


def test_an_indicator_of_ones_own(project: Path) -> None:
    code = blocks("python")[0]
    assert len([line for line in code.splitlines() if line.strip()]) < 30
    (project / "experiments" / "large_orders.py").write_text(code, encoding="utf-8")
    config = yaml.safe_load(blocks("yaml")[0])
    tables = {name: {"path": f"{name}.csv"} for name in ("customers", "subscriptions", "orders")}
    config["data"] = {"tables": tables, "observed": {"until": "2024-02-29"}}
    config["churn"] = {"cancellation": {"kind": "cancellation"}}
    path = project / "configs" / "mine.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    run_all([path], [], None, force=True, console=Console(quiet=True))
    ratios = pd.read_csv(project / "results" / "mine" / "tables" / "hazard_ratios.csv")
    found = ratios.loc[ratios["model"] == "multivariable", "coef"].item()
    rows = []
    for i in range(30):
        stop = 12 + (7 * i) % 25
        cuts = [c for c in (13, 27) if c < stop]
        for a, b in zip([0, *cuts], [*cuts, stop]):
            rows.append((i, a, b, int(b == stop), int(i % 3 == 0 and 13 <= a < 27)))
    frame = pd.DataFrame(rows, columns=["customer", "start", "stop", "event", "on"])
    by_hand = cox(frame, "on", start="start", stop="stop", event="event", customer="customer").tidy()["coef"].item()
    assert found == pytest.approx(by_hand, abs=1e-9)
