"""The store under results/: a run is written beside its target and moved into place whole."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from survival.errors import ResultsError

MANIFEST = "manifest.json"
COMPARISON = "comparison"  # key of the manifest of a page that compares two runs
_PREFIX = ".partial-"  # of folders that are being written


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A new folder to write into; it takes the place of `target` only when the block ends without an exception.

    A crash, a full disk or Ctrl-C leaves what was at `target` untouched and removes the unfinished folder.
    Raises ResultsError, with the reason, when the folder cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{target.name}-", dir=target.parent))
        partial.chmod(0o755)
    except OSError as error:
        raise _unwritable(target, error) from None
    try:
        yield partial
        _swap(partial, target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise _unwritable(target, error) from None
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _unwritable(target: Path, error: OSError) -> ResultsError:
    return ResultsError(
        f"{target}: cannot be written ({error.strerror}). Earlier results are untouched. "
        "Free some space or name another folder with --results."
    )


def _swap(partial: Path, target: Path) -> None:
    """Move `partial` to `target`; an earlier folder is put aside first, and back if the move fails."""
    if not target.exists():
        partial.rename(target)
        return
    aside = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}old-{target.name}-", dir=target.parent)) / "run"
    try:
        target.rename(aside)
        partial.rename(target)
    except BaseException:
        if aside.exists() and not target.exists():
            aside.rename(target)
        raise
    finally:
        shutil.rmtree(aside.parent, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write `path` whole or not at all."""
    name = ""
    try:
        handle, name = tempfile.mkstemp(prefix=_PREFIX, dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        if name:
            Path(name).unlink(missing_ok=True)


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """`manifest.json`, sorted and readable."""
    text = json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False, default=str)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a finished run, or None where there is no (readable) one."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def finished(results: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Every finished run under `results`, by name, with its manifest."""
    folders = (
        sorted(p for p in results.iterdir() if p.is_dir() and not p.name.startswith(".")) if results.is_dir() else []
    )
    found = [(folder, read_manifest(folder)) for folder in folders]
    return [(folder, manifest) for folder, manifest in found if manifest is not None]
