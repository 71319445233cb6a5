"""A report as one HTML page that needs nothing else, and as Markdown.

The page loads nothing and needs no script; those inside it let long tables be sorted, and show the numbers of curves under the
pointer. Figures are SVG inside it, as images with alt texts. It prints to A4, and on a phone wide tables and figures scroll inside
their own box.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from survival.errors import ArgumentError
from survival.findings import Finding
from survival.plot.readings import readings_of
from survival.plot.style import pdf_bytes, png_bytes, svg_bytes
from survival.report.document import (
    Block,
    Bullets,
    Facts,
    Figure,
    Images,
    Paragraph,
    Preformatted,
    Report,
    Section,
    Table,
)
from survival.report.tables import (
    markdown_escape,
    prose_html,
    prose_markdown,
    shown,
    sortable,
    table_html,
    table_markdown,
)

SEVERITY = {"error": "Error", "warning": "Warning", "note": "Note"}


@lru_cache(maxsize=1)
def templates() -> Environment:
    """The templates of the package; everything they insert is escaped unless it is Markup."""
    environment = Environment(
        loader=PackageLoader("survival.report"),
        autoescape=select_autoescape(("html", "j2"), default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"together": together, "prose": prose, "sentence": sentence, "said": said}
    return environment


def together(text: str) -> str:
    """Keep 'p < 0.001' on one line."""
    return re.sub(r"\bp ([<=>]) (?=\d)", "p\u00a0\\1\u00a0", text)


def prose(text: str) -> Markup:
    """What the audit says: settings between backticks as code, 'p < 0.001' on one line. (Sentences of results may quote data.)"""
    return Markup(prose_html(together(text)))


def sentence(text: str) -> str:
    """The text, closed by a full stop if it has no mark at its end."""
    return text if text.endswith((".", "?", "!", "…")) else text + "."


def said(finding: Finding) -> str:
    """What a finding says, as a sentence: its figure in brackets where the message does not have the numbers already."""
    known = set(_numbers(finding.message))
    new = finding.figure and finding.figure not in finding.message
    if new and (not _numbers(finding.figure) or set(_numbers(finding.figure)) - known):
        return f"{finding.text.rstrip('.')} ({finding.figure})."
    return sentence(finding.text)


def _numbers(text: str) -> list[str]:
    return [number.replace(",", "").rstrip(".") for number in re.findall(r"\d[\d,.]*", text)]


@dataclass(frozen=True)
class Placed:
    """A block with its kind, its number among the tables or figures, and its anchor."""

    kind: str
    block: Block
    number: int | None = None
    anchor: str = ""


def placed(report: Report) -> Iterator[Placed]:
    """Blocks in order with numbers and unique anchors; tables that are not shown are left out."""
    tables = figures = 0
    taken: set[str] = set()
    for block in report.blocks:
        kind = type(block).__name__.lower()
        if isinstance(block, Table):
            if block.shown:
                tables += 1
                yield Placed(kind, block, tables, f"table-{block.name}")
        elif isinstance(block, Figure):
            figures += 1
            yield Placed(kind, block, figures, f"figure-{block.name}")
        elif isinstance(block, Section):
            yield Placed(kind, block, None, _anchor(block.title, taken))
        else:
            yield Placed(kind, block)


def _anchor(title: str, taken: set[str]) -> str:
    base = "section-" + (re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "part")
    anchor, n = base, 1
    while anchor in taken:
        n += 1
        anchor = f"{base}-{n}"
    taken.add(anchor)
    return anchor


def drawings(report: Report) -> dict[str, bytes]:
    """Every figure as SVG, by name."""
    return {f.name: drawn(f, "svg") for f in report.figures()}


def drawn(figure: Figure, kind: str) -> bytes:
    """The figure as `svg`, `png` or `pdf`."""
    if isinstance(figure.figure, Images):
        if kind not in figure.figure.files:
            raise ArgumentError(
                f"figure {figure.name!r} was kept as {', '.join(figure.figure.files)} only, not as {kind}"
            )
        return figure.figure.files[kind]
    if kind == "png":
        return png_bytes(figure.figure)
    return (svg_bytes if kind == "svg" else pdf_bytes)(figure.figure, figure.title)


def to_html(report: Report, images: Mapping[str, bytes] | None = None) -> str:
    """The report as one HTML page. `images`: its figures as SVG, when they are drawn already."""
    images = drawings(report) if images is None else images
    blocks = list(placed(report))

    def image(figure: Figure) -> str:
        return "data:image/svg+xml;base64," + base64.b64encode(images[figure.name]).decode("ascii")

    return (
        templates()
        .get_template("report.html.j2")
        .render(
            report=report,
            blocks=blocks,
            sorts=any(isinstance(p.block, Table) and sortable(shown(p.block)[0]) for p in blocks),
            reads=any(readings_of(image) for image in images.values()),
            contents=[p for p in blocks if p.kind == "section"],
            image=image,
            readings=lambda figure: readings_of(images[figure.name]),
            table=lambda p: Markup(table_html(p.block, p.number)),
            severity=SEVERITY,
        )
    )


def to_markdown(report: Report, extension: str = "svg") -> str:
    """The report as Markdown; figures are links to figures/NAME.svg, or of another format."""
    parts = [f"# {markdown_escape(report.title)}"]
    parts += [markdown_escape(report.subtitle)] if report.subtitle else []
    parts += [_markdown(p, extension) for p in placed(report)]
    if report.meta:
        parts.append(
            "---\n\n" + " · ".join(f"{markdown_escape(k)}: {markdown_escape(v)}" for k, v in report.meta.items())
        )
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _markdown(p: Placed, extension: str) -> str:
    e, block = markdown_escape, p.block
    if isinstance(block, Section):
        return f"{'#' * block.level} {e(block.title)}"
    if isinstance(block, Paragraph):
        return e(block.text)
    if isinstance(block, Bullets):
        return "\n".join(f"- {e(item)}" for item in block.items)
    if isinstance(block, Facts):
        return "\n".join(f"- **{e(k)}**: {e(v)}" for k, v in block.items)
    if isinstance(block, Preformatted):
        fence = "`" * max(3, 1 + max((len(m) for m in re.findall(r"`+", block.text)), default=0))
        return (f"{e(block.title)}\n\n" if block.title else "") + f"{fence}\n{block.text.rstrip()}\n{fence}"
    if isinstance(block, Table):
        return table_markdown(block, p.number)
    if isinstance(block, Figure):
        caption = f"**Figure {p.number}.** {e(sentence(block.title))}" + (
            f" {e(block.caption)}" if block.caption else ""
        )
        return f"![{e(block.alt)}](figures/{block.name}.{extension})\n\n{caption}"
    if not block.items:
        return "The audit found nothing."
    return "\n".join(
        f"- **{SEVERITY[f.severity]}** {e(f.subject)} ({e(f.id)}): {prose_markdown(said(f))}"
        + (f" Accepted: {prose_markdown(sentence(f.allowed))}" if f.allowed else "")
        for f in block.items
    )
