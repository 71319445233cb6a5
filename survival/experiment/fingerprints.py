"""Short hashes of what a run depends on: its config, its code, the versions of what it is built on."""

from __future__ import annotations

import hashlib
import json
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parent.parent
_CODE = (".py", ".j2", ".css")
_BUILT_ON = (
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "matplotlib",
    "duckdb",
    "ibis-framework",
    "sqlglot",
    "formulaic",
    "pydantic",
)


def hash_of(value: Any) -> str:
    """SHA-256 of a plain value, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def code_hash(study: Path) -> str:
    """SHA-256 of the package's own files and the study's."""
    digest = hashlib.sha256(package_hash().encode())
    digest.update(study.read_bytes())
    return digest.hexdigest()


@cache
def package_hash() -> str:
    """SHA-256 of the package's own files."""
    digest = hashlib.sha256()
    for path in sorted(
        p for p in _PACKAGE.rglob("*") if p.suffix in _CODE and "templates/experiments" not in p.as_posix()
    ):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def versions() -> dict[str, str]:
    """This package, Python and the packages whose version may change a number or a byte."""
    return {"churn-survival": version("churn-survival"), "python": platform.python_version()} | {
        p: version(p) for p in _BUILT_ON
    }
