"""A report is a value first, text later: a title and a tuple of frozen blocks.

Studies build these blocks; `survival.report.render` turns them into HTML and Markdown, `survival.report.write` into files.
All text is plain text (never markup): rendering escapes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import pandas as pd

from survival.errors import ArgumentError
from survival.findings import Finding
from survival.plot.style import Drawing, has_boxes

BOXES = "Boxes stand for letters that the figure's font does not have; the tables have them."
NAME = re.compile(r"[a-z0-9][a-z0-9_]*\Z")


def _check_name(kind: str, name: str) -> None:
    if not NAME.match(name):
        raise ArgumentError(
            f"{kind} name {name!r}: it becomes a file's name, so only a-z, 0-9 and _ are allowed; rename it"
        )


@dataclass(frozen=True)
class Section:
    """A heading; level 2 is a chapter, level 3 a part of one. Both are in the table of contents."""

    title: str
    level: int = 2

    def __post_init__(self) -> None:
        if self.level not in (2, 3):
            raise ArgumentError(f"Section level must be 2 or 3; received {self.level} for {self.title!r}")


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of sentences. `key=True` sets it off as what the reader should take home."""

    items: tuple[str, ...]
    key: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", tuple(self.items))


@dataclass(frozen=True)
class Facts:
    """Pairs of a term and its value: the run at a glance, the options used, versions."""

    items: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", tuple((str(k), str(v)) for k, v in self.items))


@dataclass(frozen=True)
class Preformatted:
    """Text whose line breaks matter, such as the resolved config."""

    text: str
    title: str = ""


@dataclass(frozen=True)
class Table:
    """Numbers, raw in `frame` (written to CSV in full) and as text in `display` (shown; None: formatted by column name).

    `display` may have other rows and columns than `frame`. `shown=False` writes the CSV only, for frames of many rows
    that figures are drawn from. No more than `max_rows` rows are shown; what is left out is said under the table. `level`: of
    the intervals in `frame`, said above their limits where `display` is None.
    """

    name: str
    title: str
    frame: pd.DataFrame
    display: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()
    shown: bool = True
    max_rows: int = 60
    level: float = 0.95

    def __post_init__(self) -> None:
        _check_name("Table", self.name)
        object.__setattr__(self, "notes", (self.notes,) if isinstance(self.notes, str) else tuple(self.notes))


@dataclass(frozen=True)
class Images:
    """A figure that was drawn before, as its files: format -> bytes."""

    files: Mapping[str, bytes]


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption, the text that stands for it (`alt`), and the tables it can be redrawn from."""

    name: str
    title: str
    caption: str
    alt: str
    figure: Drawing | Images
    source: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_name("Figure", self.name)
        object.__setattr__(self, "source", (self.source,) if isinstance(self.source, str) else tuple(self.source))
        if not self.alt.strip():
            raise ArgumentError(f"Figure {self.name!r} has no alt text: say in a sentence what it shows")
        if isinstance(self.figure, Drawing) and has_boxes(self.figure) and BOXES not in self.caption:
            object.__setattr__(self, "caption", f"{self.caption} {BOXES}".strip())


@dataclass(frozen=True)
class Findings:
    """What the audit found, most severe first and what is accepted last; an empty one says that nothing was found."""

    items: tuple[Finding, ...]

    def __post_init__(self) -> None:
        order = {"error": 0, "warning": 1, "note": 2}
        items = sorted(self.items, key=lambda f: (order[f.severity], bool(f.allowed), f.id, f.subject, f.message))
        object.__setattr__(self, "items", tuple(items))


Block = Section | Paragraph | Bullets | Facts | Preformatted | Table | Figure | Findings


@dataclass(frozen=True)
class Report:
    """Title, subtitle, blocks in reading order; `headline` is one sentence for the index; `meta` goes to the footer."""

    title: str
    subtitle: str = ""
    blocks: tuple[Block, ...] = ()
    meta: Mapping[str, str] = field(default_factory=dict)
    headline: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        object.__setattr__(self, "meta", MappingProxyType({str(k): str(v) for k, v in self.meta.items()}))
        for kind, names in (("table", [t.name for t in self.tables()]), ("figure", [f.name for f in self.figures()])):
            twice = sorted({n for n in names if names.count(n) > 1})
            if twice:
                raise ArgumentError(f"two {kind}s of the report are named {', '.join(twice)}; each needs its own name")

    def tables(self) -> Iterator[Table]:
        """Every table, in reading order."""
        return (b for b in self.blocks if isinstance(b, Table))

    def figures(self) -> Iterator[Figure]:
        """Every figure, in reading order."""
        return (b for b in self.blocks if isinstance(b, Figure))
