"""The episode cache gives what a fresh build gives, shares what may be shared, and nothing after any change."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from survival.episodes import Episodes, episodes
from survival.experiment import episode_cache as caches
from survival.experiment.config import experiment_model
from survival.experiment.episode_cache import Description, EpisodeCache, described
from survival.experiment.progress import Console, steps
from survival.experiment.study import Study, opened
from survival.indicators.usage import Usage
from survival.simulate import simulate

CONFIG: dict[str, Any] = {
    "name": "n",
    "study": "hazard_ratios",
    "data": {
        "tables": {n: {"path": f"data/{n}.parquet"} for n in ("customers", "subscriptions", "usage", "nps", "tickets")},
        "observed": {"from": "2023-01-01", "until": "2024-12-31", "warm_up": 60},
    },
    "churn": {"cancellation": {"kind": "cancellation"}},
    "indicators": {
        "low": {"kind": "usage", "window": 28, "below": 5},
        "level": {"kind": "usage", "window": 14},
        "open": {"kind": "open_tickets", "at_least": 1},
        "sad": {"kind": "nps", "at_most": 6, "expires": 100},
    },
    "model": {"formula": "low + level + open + sad + plan"},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    simulate("crm", customers=60, seed=5, out=folder / "data")
    return folder


@pytest.fixture(scope="module")
def company(root: Path) -> Iterator[Study]:
    with study(root) as made:
        made.spells("cancellation")
        yield made


@pytest.fixture(scope="module")
def description(company: Study) -> Description:
    found = described(planned(company), company.config.data)
    assert found is not None
    return found


def through(made: Study, folder: Path, largest: int = 10**9) -> pd.DataFrame:
    """The episodes by way of a cache."""
    return EpisodeCache(folder, largest).built(planned(made), made.config.data).frame()


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SURVIVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SURVIVAL_CACHE_MB", raising=False)


def changed(**changes: Any) -> dict[str, Any]:
    """CONFIG with values at dotted keys replaced."""
    config = json.loads(json.dumps(CONFIG))
    for key, value in changes.items():
        *path, last = key.split("__")
        holder = config
        for part in path:
            holder = holder.setdefault(part, {})
        holder[last] = value
    return config


@contextmanager
def study(root: Path, config: dict[str, Any] = CONFIG) -> Iterator[Study]:
    experiment = experiment_model().model_validate(config)
    with steps(Console(quiet=True)) as step, opened(experiment, root, step) as made:
        yield made


def frame(root: Path, config: dict[str, Any] = CONFIG) -> pd.DataFrame:
    with study(root, config) as made:
        return made.built("cancellation").frame()


def planned(made: Study) -> Episodes:
    return episodes(
        made.spells("cancellation"), made.covariates, attributes=made.attributes, update_every=made.config.update_every
    )


@pytest.fixture
def no_build(monkeypatch: pytest.MonkeyPatch) -> Any:
    def forbid() -> None:
        def build(self: Episodes, progress: Any = None) -> None:
            raise AssertionError("built again")

        monkeypatch.setattr(Episodes, "build", build)

    return forbid


def test_the_second_build_is_read_and_equal(root: Path, no_build: Any, tmp_path: Path) -> None:
    fresh = frame(root)
    assert EpisodeCache.of(root).size()[0] == 1
    no_build()
    other_model = changed(
        model__formula="low * level + open + sad", model__ties="breslow", cohorts={"by": "plan"}, level=0.9, allow={}
    )
    shared = frame(root, other_model)  # another run, another formula: plan is gone, cohort has come
    assert_frame_equal(shared.drop(columns="cohort"), fresh.drop(columns=["plan", "cohort"]))


def test_a_build_of_fewer_indicators_is_cut_from_a_larger_one(root: Path, no_build: Any) -> None:
    frame(root)
    fewer = changed(model__formula="low + level")
    with study(root, fewer) as made:
        direct = planned(made).build().frame()
    no_build()
    cut = frame(root, fewer)
    assert_frame_equal(cut, direct)
    assert len(cut) < len(frame(root))  # neighbours that tickets and answers told apart are one


@pytest.mark.parametrize(
    "change",
    [
        {"update_every": 7},
        {"data__observed__warm_up": 61},
        {"data__observed__until": "2024-12-30"},
        {"data__observed__timezone": "Europe/Berlin"},
        {"data__tables__usage__where": {"feature": ["reports"]}},
        {"churn__cancellation__gap": 3},
        {"churn__cancellation": {"kind": "inactivity", "window": 30}},
        {"indicators__low__below": 6},
        {"indicators__level__lag": 7},
        {"indicators__sad__expires": 99},
        {"indicators__level__measure": "active_days"},
    ],
    ids=lambda c: next(iter(c)),
)
def test_any_change_of_the_config_that_matters_builds_again(
    description: Description, root: Path, change: dict[str, Any]
) -> None:
    with study(root, changed(**change)) as made:
        other = described(planned(made), made.config.data)
    assert other is not None
    assert not description.covers(other)
    assert other.covers(other)
    assert other.key != description.key


def test_changed_data_code_or_versions_build_again(
    company: Study, description: Description, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("package_hash", "other code"), ("versions", {"duckdb": "99"})):
        with monkeypatch.context() as patched:
            patched.setattr(caches, name, lambda value=value: value)
            other = described(planned(company), company.config.data)
        assert other is not None
        assert not description.covers(other)
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    tickets = pd.read_parquet(copy / "data" / "tickets.parquet")
    tickets.iloc[1:].to_parquet(copy / "data" / "tickets.parquet")
    with study(copy) as made:
        other = described(planned(made), made.config.data)
    assert other is not None
    assert not description.covers(other)


def test_names_of_indicators_are_part_of_it(company: Study, description: Description) -> None:
    names = dict(zip(company.covariates, reversed(company.covariates.values())))
    swapped = described(episodes(company.spells("cancellation"), names), company.config.data)
    assert swapped is not None
    assert not description.covers(swapped)


@pytest.mark.parametrize("harm", ["rows", "meta", "fewer"])
def test_a_broken_entry_is_as_none(company: Study, tmp_path: Path, harm: str) -> None:
    fresh = through(company, tmp_path)
    (rows,) = tmp_path.glob("*.parquet")
    if harm == "meta":
        rows.with_suffix(".json").write_text("{half")
    elif harm == "rows":
        rows.write_bytes(rows.read_bytes()[:-40])
    else:
        pd.read_parquet(rows).iloc[:-3].to_parquet(rows)  # a whole file that has lost somebody
    assert_frame_equal(through(company, tmp_path), fresh)
    assert_frame_equal(through(company, tmp_path), fresh)


def test_an_interruption_leaves_no_entry(company: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Any, rows: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("survival.data.engine.Engine.save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            through(company, tmp_path)
    assert [p.name for p in tmp_path.iterdir() if p.suffix in (".parquet", ".json")] == []
    assert len(through(company, tmp_path)) > 0


def test_it_is_bounded_and_the_longest_unused_go_first(company: Study, tmp_path: Path) -> None:
    spells, data = company.spells("cancellation"), company.config.data
    plans = {every: episodes(spells, company.covariates, update_every=every) for every in (1, 2, 3, 4)}
    cache = EpisodeCache(tmp_path, 10**9)
    for every in (1, 2, 3):
        cache.built(plans[every], data)
    size = {e: (tmp_path / f"{described(plans[e], data).key}.parquet").stat().st_size for e in (1, 2, 3)}
    assert cache.size() == (3, sum(size.values()))
    small = EpisodeCache(tmp_path, size[1] + size[3] + 10)
    small.built(plans[1], data)  # used
    small.built(plans[4], data)
    keys = {described(plans[every], data).key for every in (1, 4)}
    assert {p.stem for p in tmp_path.glob("*.parquet")} == keys == {p.stem for p in tmp_path.glob("*.json")}


def test_it_can_be_switched_off(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SURVIVAL_CACHE_MB", "0")
    assert EpisodeCache.of(root) is None
    monkeypatch.setenv("SURVIVAL_CACHE_MB", "100")
    assert EpisodeCache.of(root).largest == 100 << 20
    monkeypatch.setenv("SURVIVAL_CACHE", "off")
    assert EpisodeCache.of(root) is None


def test_clearing_removes_only_what_is_its_own(company: Study, tmp_path: Path) -> None:
    cache = EpisodeCache(tmp_path / "cache", 10**9)
    cache.built(planned(company), company.config.data)
    assert cache.size()[0] == 1
    cache.clear()
    assert cache.size() == (0, 0)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "mine.txt").write_text("")
    EpisodeCache(foreign, 1).clear()
    assert (foreign / "mine.txt").exists()


def test_a_folder_that_cannot_be_written_and_kinds_of_ones_own_are_no_obstacle(company: Study, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert len(through(company, file / "below")) > 0

    class Mine(Usage):
        """A kind whose code is not the package's."""

    own = episodes(company.spells("cancellation"), {"mine": Mine(window=28)})
    assert described(own, company.config.data) is None


def test_no_customer_is_named_in_it(company: Study, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    through(company, folder)
    (rows,) = folder.glob("*.parquet")
    names = "customer, spell, start, stop, event, began, ended, cause, low, level, open, sad"
    assert list(pd.read_parquet(rows).columns) == names.split(", ")
    assert folder.stat().st_mode & 0o077 == 0
