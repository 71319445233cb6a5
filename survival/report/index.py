"""The page that lists all runs: results/index.html."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from survival.plot.numbers import count
from survival.report.document import Report
from survival.report.render import templates


@dataclass(frozen=True)
class IndexEntry:
    """One run: `folder` under results/, title, study, headline, and the path of its thumbnail inside the folder ('' for none).

    `numbers`: counts by name; `warnings`: findings that the config does not allow; `finished`: its day; `points`: folders
    of the runs that a sweep consists of; `compares`: the names of the two runs that a comparison is of.
    """

    folder: str
    title: str
    study: str
    headline: str = ""
    thumbnail: str = ""
    numbers: Mapping[str, int] = field(default_factory=dict)
    warnings: int = 0
    finished: str = ""
    points: tuple[str, ...] = ()
    compares: tuple[str, ...] = ()

    @property
    def facts(self) -> str:
        """The numbers, and how many warnings, in a line."""
        said = [f"{count(number)} {name}" for name, number in self.numbers.items()]
        if self.warnings:
            said.append(f"{self.warnings} warning{'' if self.warnings == 1 else 's'} of the audit")
        return " · ".join(said)

    @property
    def runs(self) -> list[tuple[str, str]]:
        """Of a sweep: where each run's report is, and what tells it from the others."""
        return [
            (quote(f"{p}/report.html"), p.removeprefix(f"{self.folder}--").replace("--", ", ")) for p in self.points
        ]

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
    """The page, runs in order of their folders, then comparisons."""
    ordered = sorted(entries, key=lambda e: (bool(e.compares), e.folder))
    compared = sum(bool(e.compares) for e in ordered)
    return (
        templates()
        .get_template("index.html.j2")
        .render(
            entries=ordered,
            runs=_many(len(ordered) - compared, "run"),
            compared=_many(compared, "comparison") if compared else "",
        )
    )


def _many(n: int, what: str) -> str:
    return f"{count(n)} {what}{'' if n == 1 else 's'}"


def write_index(entries: Iterable[IndexEntry], results: Path) -> Path:
    """Write results/index.html; the file is replaced whole."""
    target = results / "index.html"
    beside = results / ".index.html.new"
    beside.write_bytes(index_html(entries).encode())
    return beside.replace(target)
