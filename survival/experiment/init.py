"""`survival init`: a research folder that runs at once, from the templates that ship."""

from __future__ import annotations

import shutil
from pathlib import Path

from survival.errors import ResultsError
from survival.experiment.results import replacing
from survival.experiment.studies import template

_MAKEFILE = Path(__file__).resolve().parent.parent / "templates" / "Makefile"
_IGNORED = ".venv/\n__pycache__/\ndata/\nresults/\n"


def init(directory: Path) -> None:
    """Write configs, experiments, Makefile and .gitignore to a new or empty folder.

    Raises ResultsError when the folder holds anything already, or cannot be written.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ResultsError(f"{directory}: is not empty. Name a new folder; nothing was written.")
    with replacing(directory.resolve()) as folder:
        shutil.copytree(template("configs"), folder / "configs")
        shutil.copytree(template("experiments"), folder / "experiments", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(_MAKEFILE, folder / "Makefile")
        (folder / ".gitignore").write_text(_IGNORED, encoding="utf-8")
