"""YAML in, plain values out, each with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from survival.errors import ConfigError
from survival.experiment.source import read


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_scalars_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    path = write(tmp_path, "a.yaml", "a: NO\nb: true\nc: 007\nd: 1e3\ne: ~\nf: '12'\ng: 2023-01-01\nh: yes\ni: -1.5\n")
    values = read(path).values
    assert values == {
        "a": "NO", "b": True, "c": 7, "d": 1000.0, "e": None, "f": "12", "g": "2023-01-01", "h": "yes", "i": -1.5,
    }  # fmt: skip
    assert isinstance(values["c"], int)


def test_where_holds_text(tmp_path: Path) -> None:
    path = write(tmp_path, "a.yaml", "where: {country: [NO, true], id: 007, x: 1.0, none: null}\nother: 007\n")
    assert read(path).values == {
        "where": {"country": ["NO", "true"], "id": "007", "x": "1.0", "none": None},
        "other": 7,
    }


def test_extends_merges_maps_replaces_lists_and_null_removes(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", "a: {x: 1, y: 2, z: {k: 1}}\nlist: [1, 2, 3]\ngone: 5\nkept: 6\n")
    path = write(tmp_path, "own.yaml", "extends: base.yaml\na: {y: 3, z: {m: 2}}\nlist: [9]\ngone: null\n")
    source = read(path)
    assert source.values == {"a": {"x": 1, "y": 3, "z": {"k": 1, "m": 2}}, "list": [9], "kept": 6}
    assert source.place(("a", "x")) == f"{tmp_path}/base.yaml, line 1"
    assert source.place(("a", "y")) == f"{path}, line 2"
    assert source.place(("kept",)) == f"{tmp_path}/base.yaml, line 4"
    assert source.place(("a", "y", "not", "there")) == f"{path}, line 2"


def test_set_overrides_adds_and_removes(tmp_path: Path) -> None:
    path = write(tmp_path, "a.yaml", "model: {ties: efron, robust: true}\n")
    source = read(
        path, ["model.ties=breslow", "model.strata=[plan]", "model.robust=null", "new.deep.key=3", "data.where.x=NO"]
    )
    assert source.values == {
        "model": {"ties": "breslow", "strata": ["plan"]}, "new": {"deep": {"key": 3}}, "data": {"where": {"x": "NO"}},
    }  # fmt: skip
    assert source.place(("model", "ties")) == "--set model.ties"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1,\n", "line 2: this is not YAML"),
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' stands twice"),
        ("- 1\n", "a config is a mapping"),
        ("", "a config is a mapping"),
        ("extends: nowhere.yaml\n", "line 1, extends: no file"),
        ("extends: bad.yaml\n", "extends itself"),
    ],
)
def test_what_is_no_config_says_where(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(write(tmp_path, "bad.yaml", text))


@pytest.mark.parametrize(
    ("override", "said"), [("ties", "key=value"), ("a.b=1", "nothing can be set below"), ("a=[", "not YAML")]
)
def test_a_wrong_override_says_how_to_write_it(tmp_path: Path, override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(write(tmp_path, "a.yaml", "a: 1\n"), [override])


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "none.yaml")
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"title: caf\xe9\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read(path)
