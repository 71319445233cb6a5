"""The same config on the same data gives the same bytes: elsewhere, in another locale and time zone, with other threads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from survival.experiment.rerender import rerender
from survival.simulate import simulate

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ("crm_hazard_ratios", "crm_churn_rate")  # models, and sums of money: where threads may round in another order
SMALL = ("--set", "lag_profile=[0]")
HERE = {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8", "SURVIVAL_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
ELSEWHERE = {
    "PYTHONHASHSEED": "77", "TZ": "Pacific/Auckland", "LC_ALL": "POSIX", "LANG": "POSIX", "PYTHONUTF8": "0",
    "SURVIVAL_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "40", "MPLBACKEND": "svg",
}  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but those that have clocks."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in ("manifest.json", "index.html"))
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same studies in two folders and two environments, at the same time."""
    folder = tmp_path_factory.mktemp("same")
    one, two = folder / "one", folder / "quite another place" / "zwei"
    (one / "configs").mkdir(parents=True)
    for name in CONFIGS:
        shutil.copy(ROOT / "configs" / f"{name}.yaml", one / "configs")
    simulate("crm", customers=200, seed=11, out=one / "data" / "crm")
    shutil.copytree(one, two)
    command = [sys.executable, "-m", "survival", "run", *(f"configs/{name}.yaml" for name in CONFIGS), *SMALL]
    started = [
        subprocess.Popen(command, cwd=place, env={**os.environ, **given}, stderr=subprocess.PIPE, text=True)
        for place, given in ((one, HERE), (two, ELSEWHERE))
    ]
    for process in started:
        said = process.communicate(timeout=300)[1]
        assert process.returncode == 0, said
    return one / "results", two / "results"


def test_two_runs_give_the_same_bytes(runs: tuple[Path, Path]) -> None:
    one, two = map(contents, runs)
    assert set(one) == set(two)
    assert [name for name in one if one[name] != two[name]] == []
    kinds = {Path(name).suffix for name in one}
    assert kinds >= {".html", ".md", ".csv", ".tex", ".svg", ".png", ".json", ".parquet"}
    assert len(one) > 80


@pytest.mark.parametrize("name", CONFIGS)
def test_a_report_made_again_without_the_data_has_the_same_bytes(
    runs: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    shutil.copytree(runs[0] / name, tmp_path / name)
    before = contents(tmp_path / name)
    for figure in (tmp_path / name / "figures").glob("*.[sp][vnd][gf]"):
        figure.unlink()  # so that they are drawn
    rerender(tmp_path / name)
    after = contents(tmp_path / name)
    assert set(after) == set(before)
    assert [file for file in after if after[file] != before[file]] == []
