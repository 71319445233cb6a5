"""Episodes that were built before, kept beside the project so that runs which differ in the model share one build.

An entry is a Parquet file of the episodes (customers by number: no ids, no attributes) and a JSON file that says what it
was built from: the fingerprints and the reading of every table involved, the definition, the warm-up, the days between
marks, each indicator, the package's code and the versions below it. All of that must be equal for an entry to be used;
its totals are then checked against the spells of the run, as those of a fresh build are. A build of some of an entry's
indicators is cut from it. What cannot be described (kinds of a study's own, tables that are no files) is not kept.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from survival.churn import Definition
from survival.data import DataSpec
from survival.episodes import BuiltEpisodes, Episodes, Progress
from survival.errors import ConservationError, DataError
from survival.experiment.fingerprints import hash_of, package_hash, versions
from survival.indicators import Indicator, may_need, needs

try:
    import fcntl
except ImportError:  # Windows has none: two runs at once then build twice
    fcntl = None  # type: ignore[assignment]

FOLDER = ".survival_cache"
LARGEST = 2048  # MiB, unless SURVIVAL_CACHE_MB says otherwise
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Episodes of earlier runs. Safe to delete: survival cache clear\n"
_ATTRIBUTES_OF = "customers"  # its attributes are joined later: reading more of them builds the same episodes


@dataclass(frozen=True)
class Description:
    """What a build depends on, each part as a hash: `base`, the reading of each table, and each indicator."""

    base: str
    tables: Mapping[str, str]
    indicators: Mapping[str, str]

    @property
    def key(self) -> str:
        """The entry's name."""
        return hash_of([self.base, self.tables, self.indicators])[:32]

    def covers(self, other: Description) -> bool:
        """Whether a build of this one holds all that `other` needs."""
        mine = (self.tables.items(), self.indicators.items())
        return self.base == other.base and all(
            o <= m for o, m in zip((other.tables.items(), other.indicators.items()), mine)
        )


def described(planned: Episodes, data: DataSpec) -> Description | None:
    """What the build depends on; None when that cannot be said."""
    spells, tables = planned.spells, planned.spells.tables
    readers: list[Definition | Indicator] = [spells.definition, *planned.indicators.values()]
    own = [r for r in readers if not all(m.startswith("survival.") for m in _modules(r))]
    need, may = needs(*readers), may_need(*readers)
    derive = data.tables["customers"].derive_from if "customers" in data.tables else None
    involved = sorted({_ATTRIBUTES_OF, *need, *(n for n in may if n in data.tables), *([derive] if derive else [])})
    read = [n for n in involved if data.tables[n].derive_from is None]
    if own or not planned.indicators or any(n not in tables.fingerprint for n in read):
        return None
    base = {
        "definition": _plain(spells.definition), "warm_up": spells.warm_up, "update_every": planned.update_every,
        "observed": data.observed.model_dump(mode="json"), "engine": data.engine, "dates": data.date_format,
        "customers": tables.n_customers, "code": package_hash(), "versions": versions(),
    }  # fmt: skip
    readings = {
        name: hash_of(
            [
                data.tables[name].model_dump(mode="json"),
                sorted(tables.facts[name].columns) if name in tables.facts else "signup" in tables.customers.columns,
                _types(tables.customers, need[name]) if name == _ATTRIBUTES_OF and name in need else None,
                tables.fingerprint.get(name),
            ]
        )
        for name in involved
    }
    return Description(hash_of(base), readings, {name: hash_of(_plain(i)) for name, i in planned.indicators.items()})


def _types(customers: Any, columns: set[str]) -> dict[str, str]:
    return {name: str(dtype) for name, dtype in customers.schema().items() if name in columns}


def _plain(spec: Any) -> dict[str, Any]:
    """A definition or an indicator as plain values, its parts included."""
    parts = {name: _plain(part) for name, part in getattr(spec, "parts", {}).items()}
    return {
        "class": f"{type(spec).__module__}.{type(spec).__qualname__}",
        "keys": spec.model_dump(mode="json"),
        "parts": parts,
    }


def _modules(spec: Any) -> Iterator[str]:
    yield type(spec).__module__
    for part in getattr(spec, "parts", {}).values():
        yield from _modules(part)


@dataclass(frozen=True)
class EpisodeCache:
    """Builds kept under `folder`; never larger than `largest` bytes together, those longest unused go first."""

    folder: Path
    largest: int

    @classmethod
    def of(cls, root: Path) -> EpisodeCache | None:
        """The cache of a project: `.survival_cache/` in it, or what SURVIVAL_CACHE names; `off` for none."""
        named = os.environ.get("SURVIVAL_CACHE", "")
        if named.lower() in ("off", "no", "0"):
            return None
        given = os.environ.get("SURVIVAL_CACHE_MB", "")
        megabytes = int(given) if given.isdigit() else LARGEST
        return cls(Path(named) if named else root / FOLDER, megabytes << 20) if megabytes else None

    def built(self, planned: Episodes, data: DataSpec, progress: Progress | None = None) -> BuiltEpisodes:
        """The episodes: an earlier build of the same, or a new one, which is kept. A cache that fails is as none."""
        description = described(planned, data)
        if description is None or not self._ready():
            return planned.build(progress)
        with self._alone(description):
            found = self._found(planned, description)
            if found is not None:
                return found
            made = planned.build(progress)
            with suppress(OSError, DataError):
                self._keep(made, description)
            return made

    def _ready(self) -> bool:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for name, text in ((".gitignore", "*\n"), ("CACHEDIR.TAG", _TAG)):
                if not (self.folder / name).exists():
                    (self.folder / name).write_text(text)
        except OSError:
            return False
        return True

    @contextmanager
    def _alone(self, description: Description) -> Iterator[None]:
        """Of runs at the same time with the same data and definition, one builds and the others wait for it."""
        if fcntl is None:
            yield
            return
        try:
            lock = (self.folder / f"{description.base[:16]}.lock").open("w")
        except OSError:
            yield
            return
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # let go by the system when the process ends, however it ends
            yield

    def _found(self, planned: Episodes, description: Description) -> BuiltEpisodes | None:
        entries = [self.folder / f"{description.key}.json", *sorted(self.folder.glob("*.json"))]
        for path in dict.fromkeys(entries):
            entry = _entry(path)
            if entry is not None and entry[0].covers(description):
                with suppress(OSError, DataError, ConservationError, KeyError):
                    return _restored(planned, path.with_suffix(".parquet"), entry[1])
        return None

    def _keep(self, built: BuiltEpisodes, description: Description) -> None:
        handle, name = tempfile.mkstemp(prefix=".partial-", suffix=".parquet", dir=self.folder)
        os.close(handle)
        rows, partial = built.table, Path(name)
        try:
            built.spells.tables.engine.save(rows.order_by("customer", "spell", "start"), partial)
            if partial.stat().st_size > self.largest // 2:
                return
            schema = {column: str(dtype) for column, dtype in rows.schema().items()}
            what = {
                "base": description.base,
                "tables": dict(description.tables),
                "indicators": dict(description.indicators),
            }
            partial.replace(self.folder / f"{description.key}.parquet")
            partial.write_text(json.dumps({**what, "schema": schema, "rows": built.rows}))
            partial.replace(self.folder / f"{description.key}.json")
        finally:
            partial.unlink(missing_ok=True)
        self._bound()

    def _bound(self) -> None:
        """Remove those longest unused until the rest is small enough, and what a killed run left half-written."""
        for left in self.folder.glob(".partial-*"):
            if time.time() - left.stat().st_mtime > 86_400:
                left.unlink(missing_ok=True)
        entries = sorted(self.folder.glob("*.parquet"), key=lambda p: p.stat().st_mtime, reverse=True)
        total = 0
        for path in entries:
            total += path.stat().st_size
            if total > self.largest:
                path.with_suffix(".json").unlink(missing_ok=True)
                path.unlink(missing_ok=True)

    def size(self) -> tuple[int, int]:
        """How many builds are kept, and their bytes."""
        files = list(self.folder.glob("*.parquet")) if self.folder.is_dir() else []
        return len(files), sum(f.stat().st_size for f in files)

    def clear(self) -> None:
        """Remove every build, and nothing that is not the cache's own."""
        if (self.folder / "CACHEDIR.TAG").exists():
            shutil.rmtree(self.folder)


def _entry(path: Path) -> tuple[Description, dict[str, str]] | None:
    try:
        value = json.loads(path.read_text())
        return Description(value["base"], value["tables"], value["indicators"]), value["schema"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _restored(planned: Episodes, path: Path, schema: dict[str, str]) -> BuiltEpisodes:
    """The episodes of a kept build in this run's scratch database; ConservationError when they are not those of the spells."""
    engine = planned.spells.tables.engine
    table = engine.load(engine.fresh("episodes"), path, schema)
    names = [c for c in schema if c not in ("customer", "spell", "start", "stop", "event", "began", "ended", "cause")]
    if set(names) != set(planned.indicators):
        kept: dict[str, Any] = dict.fromkeys(names)
        whole = BuiltEpisodes(planned.spells, kept, planned.attributes, planned.update_every, table, 0, 0, 0, 0)
        table = engine.create(engine.fresh("episodes"), whole.merged(list(planned.indicators)))
    first = [c for c in table.columns if c not in names]
    built = planned.counted(table.select(*first, *planned.indicators))
    with suppress(OSError):
        os.utime(path)  # the last use, by which the cache is bounded
    return built
