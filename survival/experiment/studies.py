"""Studies, found by name: in the project's own `experiments/` first, else the copies that ship with the package."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from survival.errors import ConfigError, SurvivalError

_PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class StudyModule:
    """A study's file and the first line of its docstring."""

    name: str
    path: Path
    summary: str
    ships: bool


def template(part: str) -> Path:
    """`experiments` or `configs` as they ship: inside the wheel, or beside the package in a checkout."""
    inside = _PACKAGE / "templates" / part
    return inside if inside.is_dir() else _PACKAGE.parent / part


def available(root: Path) -> dict[str, StudyModule]:
    """Every study by name, in sorted order; the project's own hide the shipped ones of the same name."""
    found: dict[str, StudyModule] = {}
    for folder, ships in ((template("experiments"), True), (root / "experiments", False)):
        for path in sorted(folder.glob("*.py")) if folder.is_dir() else ():
            if not path.name.startswith("_"):
                found[path.stem] = StudyModule(path.stem, path, _summary(path), ships)
    return dict(sorted(found.items()))


def _summary(path: Path) -> str:
    try:
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    except (SyntaxError, OSError):
        return "(cannot be read)"
    return docstring.partition("\n")[0]


def load(module: StudyModule) -> Callable[[Any], Any]:
    """The study's `run(study) -> Report`. Raises ConfigError for a file that is no study."""
    name = f"_survival_study_{module.name}"
    spec = importlib.util.spec_from_file_location(name, module.path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    try:
        spec.loader.exec_module(loaded)
    except SurvivalError:
        raise
    except Exception as error:
        raise ConfigError(
            f"{module.path}: importing this study failed ({type(error).__name__}: {error}). Mend the file."
        ) from error
    run = getattr(loaded, "run", None)
    if not callable(run):
        raise ConfigError(
            f"{module.path}: a study is a module with a function `run(study)` that returns a Report; it has none."
        )
    return run
