"""Files on disk: finding them, telling what they are, reading a header line, and their fingerprints."""

from __future__ import annotations

import csv
import glob
import gzip
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from survival.data.contract import nearest
from survival.errors import DataError

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "whitespace": " "}
_GLOB = re.compile(r"[*?\[]")
_MARKS = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; export it as CSV or Parquet",
    b"SQLite format 3": "an SQLite database; export the table as CSV or Parquet",
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
}


def found_files(table: str, paths: Sequence[str], root: Path) -> list[Path]:
    """The files that paths and globs name, each once, globs in sorted order; relative paths start at `root`."""
    files: dict[Path, None] = {}
    for path in paths:
        given = Path(path).expanduser()
        full = given if given.is_absolute() else root / given
        if full.is_dir():
            raise DataError(f"{table}: {full} is a folder; name its files with a glob, e.g. {path.rstrip('/')}/*.csv")
        if full.is_file():
            files[full] = None
        elif _GLOB.search(path):
            matches = sorted(Path(m) for m in glob.glob(str(full), recursive=True) if Path(m).is_file())
            if not matches:
                raise DataError(f"{table}: no file matches {full}")
            files |= dict.fromkeys(matches)
        else:
            raise DataError(f"{table}: no file {full}{_near(full)}. Relative paths start at {root}")
    return list(files)


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (there is no folder {path.parent})"
    return nearest(path.name, sorted(p.name for p in path.parent.iterdir()))


def file_kind(table: str, path: Path) -> str:
    """`parquet`, `duckdb` or `text`, told by the file's first bytes; DataError for what cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise DataError(f"{table}: {path} cannot be read: {error.strerror}") from error
    if not head:
        raise DataError(f"{table}: {path} is empty (0 bytes)")
    if head[:4] == b"PAR1":
        return "parquet"
    if head[8:12] == b"DUCK":
        return "duckdb"
    for mark, what in _MARKS.items():
        if head.startswith(mark):
            raise DataError(f"{table}: {path} is {what}")
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".pq", ".duckdb", ".ddb"):
        raise DataError(
            f"{table}: {path} is no {suffix[1:]} file, whatever its name says (its first bytes are {head[:8]!r})"
        )
    if b"\x00" in head and head[:2] != b"\x1f\x8b":
        raise DataError(f"{table}: {path} is neither text nor a Parquet or DuckDB file")
    return "text"


@dataclass(frozen=True)
class Layout:
    """What a text file's header line says: the column names and the delimiter (a blank: runs of whitespace)."""

    names: tuple[str, ...]
    delimiter: str


def text_layout(table: str, path: Path, delimiter: str | None) -> Layout:
    """Read the header line of a text file; without `delimiter` it is the one that the header has most of."""
    try:
        with _opened(path) as file:
            lines = (line for line in file if line.strip())
            first = next(lines, "")
            chosen = DELIMITERS[delimiter] if delimiter else _told(first)
            names = first.split() if chosen == " " else next(csv.reader(_chain(first, file), delimiter=chosen), [])
    except (UnicodeDecodeError, EOFError, OSError, csv.Error) as error:
        way = ". Save it as UTF-8" if isinstance(error, UnicodeDecodeError) else ""
        raise DataError(f"{table}: {path} cannot be read as UTF-8 text: {error}{way}") from error
    if not first:
        raise DataError(f"{table}: {path} is empty: it has no header line")
    return Layout(_distinct(table, path, [n.strip() for n in names]), chosen)


def _opened(path: Path) -> IO[str]:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    if zipped:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _chain(first: str, rest: Iterable[str]) -> Iterable[str]:
    yield first
    yield from rest


def _told(header: str) -> str:
    """The delimiter of a header line: the most frequent one outside quotes, else runs of whitespace, else a comma."""
    bare = re.sub(r'"[^"]*"', "", header)
    best = max((",", ";", "\t", "|"), key=bare.count)
    if bare.count(best):
        return best
    return " " if len(bare.split()) > 1 else ","


def _distinct(table: str, path: Path, names: list[str]) -> tuple[str, ...]:
    """Names that the engine can tell apart: it does not see case, and a nameless column needs a name."""
    seen: dict[str, int] = {}
    out = []
    for position, name in enumerate(names, 1):
        if name and name in out:
            raise DataError(f"{table}: {path} has two columns named {name!r}; rename one of them in the file")
        kept = name or f"column_{position}"
        again = seen.get(kept.casefold(), 0)
        seen[kept.casefold()] = again + 1
        out.append(f"{kept}_{again}" if again else kept)
    return tuple(out)


def fingerprint_files(files: Iterable[Path], root: Path) -> dict[str, dict[str, Any]]:
    """Size and sha256 of each file, by its path relative to `root` where it lies under it."""
    prints: dict[str, dict[str, Any]] = {}
    for path in files:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        prints[shown(path, root)] = {"size": path.stat().st_size, "sha256": digest}
    return prints


def shown(path: Path, root: Path) -> str:
    """A path as messages show it: relative to the root where it lies under it."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return str(path)
