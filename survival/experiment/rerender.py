"""`survival report DIR`: a run's report and figures again from what the run saved, without its data."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from survival.experiment.results import read_manifest, replacing, write_manifest
from survival.report.saved import read_document
from survival.report.write import write


def rerender(folder: Path, formats: Sequence[str] = ()) -> None:
    """Write report.html, report.md, tables/ and figures/ of the run in `folder` again; `formats`: of its figures.

    The folder is replaced whole; what else is in it stays. Raises ResultsError when it is no run's or cannot be written.
    """
    report, kept = read_document(folder)
    target = folder.resolve()
    with replacing(target) as partial:
        shutil.copytree(target, partial, dirs_exist_ok=True)
        files = write(report, partial, tuple(formats) or kept)
        manifest = read_manifest(partial)
        if manifest is not None:
            write_manifest(partial, manifest | {"files": sorted({*manifest.get("files", []), *map(str, files)})})
