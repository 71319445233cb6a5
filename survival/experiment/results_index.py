"""results/index.html: every finished run, sweeps as one, and the comparisons whose two runs are still as they were compared."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from survival.experiment.compare import Comparison, Run
from survival.experiment.compare_report import page
from survival.experiment.results import COMPARISON, finished, read_manifest, replacing, write_manifest, write_text
from survival.report.index import IndexEntry, index_html
from survival.report.write import write

INDEX = "index.html"


def write_index(results: Path) -> None:
    """Write the page; nothing where no run has finished."""
    found = finished(results)
    sweeps = {folder.name for folder, manifest in found if manifest.get("points")}
    kept = [(folder, manifest) for folder, manifest in found if manifest.get("sweep") not in sweeps]
    entries = [_entry(folder, manifest) for folder, manifest in kept if not _is_stale(results, manifest)]
    if entries:
        write_text(results / INDEX, index_html(entries))


def write_comparison(found: Comparison, out: Path) -> None:
    """The page of a comparison into `out`, and onto the index where `out` stands among results. Same runs, same bytes."""
    results, report = out.resolve().parent, page(found)
    first = next(report.figures(), None)
    manifest = {
        "title": report.title, "study": COMPARISON, "headline": report.headline,
        "thumbnail": f"figures/{first.name}.png" if first else "",
        "numbers": {"customers in both": found.shared} if found.shared else {},
        COMPARISON: [_of(run, results) for run in (found.before, found.after)],
    }  # fmt: skip
    with replacing(out.resolve()) as folder:
        files = write(report, folder)
        write_manifest(folder, manifest | {"files": [str(f) for f in files]})
    if (results / INDEX).exists() or any(run.folder.resolve().parent == results for run in (found.before, found.after)):
        write_index(results)


def _of(run: Run, results: Path) -> dict[str, Any]:
    """A run that was compared: where it is, from `results`, and what it was made from."""
    folder = Path(os.path.relpath(run.folder.resolve(), results)).as_posix()
    return {"folder": folder, "identity": run.manifest.get("identity")}


def _is_stale(results: Path, manifest: dict[str, Any]) -> bool:
    """Whether this compares a run that is no longer there, or is another by now."""
    for run in manifest.get(COMPARISON, ()):
        now = read_manifest(results / run["folder"])
        if now is None or now.get("identity") != run["identity"]:
            return True
    return False


def _entry(folder: Path, manifest: dict[str, Any]) -> IndexEntry:
    grave = [w for w in manifest.get("warnings", []) if w.get("severity") != "note" and not w.get("allowed")]
    return IndexEntry(
        folder.name, manifest.get("title", folder.name), manifest.get("study", ""), manifest.get("headline", ""),
        manifest.get("thumbnail", ""), numbers=_largest_first(manifest.get("numbers", {})), warnings=len(grave),
        finished=str(manifest.get("started", ""))[:10], points=tuple(manifest.get("points", ())),
        compares=tuple(Path(run["folder"]).name for run in manifest.get(COMPARISON, ())),
    )  # fmt: skip


def _largest_first(numbers: dict[str, Any]) -> dict[str, int]:
    return {name: int(n) for name, n in sorted(numbers.items(), key=lambda item: -item[1])}
