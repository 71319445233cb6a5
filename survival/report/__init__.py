"""Reports: a list of blocks, rendered to HTML, Markdown and LaTeX."""

from survival.report.document import (
    Block,
    Bullets,
    Facts,
    Figure,
    Findings,
    Paragraph,
    Preformatted,
    Report,
    Section,
    Table,
)
from survival.report.index import IndexEntry, index_entry, index_html, write_index
from survival.report.render import to_html, to_markdown
from survival.report.tables import csv_text, display_frame, read_csv
from survival.report.write import write

__all__ = [
    "Block",
    "Bullets",
    "Facts",
    "Figure",
    "Findings",
    "IndexEntry",
    "Paragraph",
    "Preformatted",
    "Report",
    "Section",
    "Table",
    "csv_text",
    "display_frame",
    "index_entry",
    "index_html",
    "read_csv",
    "to_html",
    "to_markdown",
    "write",
    "write_index",
]
