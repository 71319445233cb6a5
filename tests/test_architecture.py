"""The house stands: imports go one way, and each heavy library stays in its rooms. Read from the syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "survival"

# The walk, left to right; a module imports only from rooms to its left, or from its own.
WALK = [
    {"errors", "findings", "spec", "starting"},
    {"data"},
    {"simulate"},
    {"churn"},
    {"indicators"},
    {"episodes"},
    {"cohorts"},
    {"flows"},
    {"estimate"},
    {"lifelines_compat"},  # lifelines' class on the engine of estimate
    {"audit"},
    {"plot"},
    {"report"},
    {"experiment"},
    {"cli"},
    {"__init__", "__main__"},
]
KNOWS_NO_MODELS = {"plot", "report"}  # they know frames and paths
MODELS = {"data", "churn", "indicators", "episodes", "cohorts", "flows", "estimate", "audit"}
ONLY_IN = {
    "ibis": {"data", "churn", "indicators", "episodes", "cohorts", "flows/door.py", "audit"},
    "duckdb": {"data"},
    "matplotlib": {"plot"},
    "yaml": {"experiment"},
    "typer": {"cli"},
    "rich": {"experiment", "cli"},
    "jinja2": {"report"},
    "formulaic": {"estimate", "experiment"},
    "sksurv": {"estimate/prediction.py"},  # GPL-3: one room only
}


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "templates" not in p.parts)


def room(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports(path: Path) -> Iterator[str]:
    """Every module that is imported at run time; `if TYPE_CHECKING:` blocks are for readers."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {id(n) for block in ast.walk(tree) if _type_checking(block) for n in ast.walk(block)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the whole path"
            assert node.module is not None
            yield node.module
            if node.module == "survival":
                yield from (f"survival.{alias.name}" for alias in node.names)


def _type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    position = {name: i for i, names in enumerate(WALK) for name in names}
    here = room(path)
    assert here in position, f"{here} is no room of the house: add it to the walk, and say why"
    for name in imports(path):
        if not name.startswith("survival."):
            continue
        there = name.split(".")[1]
        if there not in position:  # a name of the package itself, such as survival.cox
            continue
        assert position[there] <= position[here], f"{path} imports {name}, which lies to its right"
        if here in KNOWS_NO_MODELS:
            assert there not in MODELS, f"{path} imports {name}; {here} knows frames, not models"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    relative = path.relative_to(PACKAGE).as_posix()
    for name in imports(path):
        library = name.split(".")[0]
        if library in ONLY_IN:
            allowed = ONLY_IN[library]
            assert room(path) in allowed or relative in allowed, (
                f"{path} imports {library}, which belongs to {sorted(allowed)}"
            )
        assert library != "experiments", f"{path} imports experiments/; studies are found by name"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_are_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 400, f"{path} has {lines} lines: one room or several?"


def test_no_sql_text_outside_the_data_room() -> None:
    for path in modules():
        if room(path) == "data":
            continue
        texts = [n.value for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Constant)]
        sql = [
            t
            for t in texts
            if isinstance(t, str) and t.upper().startswith(("SELECT ", "INSERT ", "CREATE TABLE", "CREATE VIEW"))
        ]
        assert not sql, f"{path}: engine SQL {sql[0]!r}; write an Ibis expression"


def test_importing_the_package_needs_no_extra() -> None:
    """scikit-survival is GPL-3 and an extra: `import survival` must not pull it in."""
    import subprocess
    import sys

    code = "import survival, sys; sys.exit('sksurv' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
