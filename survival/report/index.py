"""The page that lists all runs: results/index.html."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from survival.report.document import Report
from survival.report.render import templates


@dataclass(frozen=True)
class IndexEntry:
    """One run: `folder` under results/, title, study, headline, and the path of its thumbnail inside the folder ('' for none)."""

    folder: str
    title: str
    study: str
    headline: str = ""
    thumbnail: str = ""

    @property
    def link(self) -> str:
        """Where the report is, from results/."""
        return quote(f"{self.folder}/report.html")

    @property
    def image(self) -> str:
        """Where the thumbnail is, from results/."""
        return quote(f"{self.folder}/{self.thumbnail}")


def index_entry(report: Report, folder: str, study: str) -> IndexEntry:
    """The entry of a report that `write` put into results/FOLDER; its first figure is the thumbnail."""
    first = next(report.figures(), None)
    thumbnail = f"figures/{first.name}.png" if first else ""
    return IndexEntry(folder, report.title, study, report.headline or report.subtitle, thumbnail)


def index_html(entries: Iterable[IndexEntry]) -> str:
    """The page, runs in order of their folders."""
    return templates().get_template("index.html.j2").render(entries=sorted(entries, key=lambda e: e.folder))


def write_index(entries: Iterable[IndexEntry], results: Path) -> Path:
    """Write results/index.html; the file is replaced whole."""
    target = results / "index.html"
    beside = results / ".index.html.new"
    beside.write_bytes(index_html(entries).encode())
    return beside.replace(target)
