"""Reports: a list of blocks, rendered to HTML, Markdown and LaTeX."""

from survival.report.displays import hazard_ratio_display, retention_display
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
from survival.report.methods import ASSOCIATION, methods_hazard_ratios, methods_retention, references
from survival.report.render import to_html, to_markdown
from survival.report.tables import csv_text, display_frame, read_csv
from survival.report.wording import (
    Phrase,
    hazard_findings,
    hazard_sentence,
    rank_test_sentence,
    retention_range,
    retention_sentence,
)
from survival.report.write import write

__all__ = [
    "ASSOCIATION",
    "Block",
    "Bullets",
    "Facts",
    "Figure",
    "Findings",
    "IndexEntry",
    "Paragraph",
    "Phrase",
    "Preformatted",
    "Report",
    "Section",
    "Table",
    "csv_text",
    "display_frame",
    "hazard_findings",
    "hazard_ratio_display",
    "hazard_sentence",
    "index_entry",
    "index_html",
    "methods_hazard_ratios",
    "methods_retention",
    "rank_test_sentence",
    "read_csv",
    "references",
    "retention_display",
    "retention_range",
    "retention_sentence",
    "to_html",
    "to_markdown",
    "write",
    "write_index",
]
