"""Results are replaced whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from survival.errors import ResultsError
from survival.experiment.results import finished, read_manifest, replacing, write_manifest, write_text


def earlier(results: Path) -> Path:
    target = results / "run"
    target.mkdir(parents=True)
    (target / "old.txt").write_text("old")
    return target


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_finished_block_replaces_the_folder(tmp_path: Path) -> None:
    target = earlier(tmp_path)
    with replacing(target) as partial:
        (partial / "new.txt").write_text("new")
        assert names(target) == ["old.txt"]
    assert names(target) == ["new.txt"]
    assert names(tmp_path) == ["run"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("bug"), OSError(errno.EIO, "bad disk")])
def test_an_interrupted_block_leaves_earlier_results(tmp_path: Path, error: BaseException) -> None:
    target = earlier(tmp_path)
    with pytest.raises(type(error)), replacing(target) as partial:
        (partial / "half.txt").write_text("half")
        raise error
    assert names(tmp_path) == ["run"]
    assert names(target) == ["old.txt"]


def test_a_full_disk_is_said_and_leaves_earlier_results(tmp_path: Path) -> None:
    target = earlier(tmp_path)
    with pytest.raises(ResultsError, match="No space left on device.*untouched"), replacing(target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert names(tmp_path) == ["run"]
    assert names(target) == ["old.txt"]


def test_a_failed_move_puts_the_earlier_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = earlier(tmp_path)
    rename = Path.rename

    def fail_second(self: Path, to: Path) -> Path:
        if self.name.startswith(".partial-run"):
            raise OSError(errno.EIO, "bad disk")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", fail_second)
    with pytest.raises(OSError, match="bad disk"), replacing(target) as partial:
        (partial / "new.txt").write_text("new")
    assert names(tmp_path) == ["run"]
    assert names(target) == ["old.txt"]


def test_manifests(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (tmp_path / ".partial-b").mkdir()
    (tmp_path / "no_manifest").mkdir()
    write_manifest(folder, {"b": 1, "a": {"c": Path("x")}})
    assert read_manifest(folder) == {"a": {"c": "x"}, "b": 1}
    assert finished(tmp_path) == [(folder, {"a": {"c": "x"}, "b": 1})]
    (folder / "manifest.json").write_text("{half")
    assert finished(tmp_path) == []


def test_text_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "index.html"
    write_text(path, "one\n")
    write_text(path, "two\n")
    assert path.read_text() == "two\n"
    assert names(tmp_path) == ["index.html"]
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="cannot be written"):
        write_text(tmp_path / "file" / "below.html", "a file is no folder")
