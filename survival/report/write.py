"""A report as files: report.html, report.md, tables/, figures/. Same report, same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from survival.report.document import Report, Table
from survival.report.docx import table_docx
from survival.report.render import drawings, drawn, to_html, to_markdown
from survival.report.saved import document_files
from survival.report.tables import csv_text, table_html, table_latex, table_markdown

FORMATS = ("svg", "png")  # of figures, unless others are asked for; pdf is a third


def write(report: Report, folder: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write the report into `folder` (made if need be) and return the files, relative to it, in order.

    tables/NAME.csv for every table; .tex, .html, .md and .docx for those shown; figures/NAME.svg and .png, or `formats`, for every
    figure; document.json, from which all of it can be made again (`read_document`). Nothing else in the folder is
    touched. Errors of the file system are raised as they are: the caller writes beside its target.
    """
    images = drawings(report)
    files: dict[str, bytes] = {}
    for table in report.tables():
        files |= table_files(table)
    for figure in report.figures():
        for kind in formats:
            files[f"figures/{figure.name}.{kind}"] = images[figure.name] if kind == "svg" else drawn(figure, kind)
    files["report.html"] = to_html(report, images).encode()
    files["report.md"] = to_markdown(report, next((k for k in FORMATS if k in formats), "pdf")).encode()
    files |= document_files(report, formats)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return [Path(name) for name in sorted(files)]


def table_files(table: Table) -> dict[str, bytes]:
    """The files of one table, by path."""
    files = {f"tables/{table.name}.csv": csv_text(table.frame).encode()}
    if table.shown:
        files[f"tables/{table.name}.tex"] = table_latex(table).encode()
        files[f"tables/{table.name}.html"] = (table_html(table) + "\n").encode()
        files[f"tables/{table.name}.md"] = table_markdown(table).encode()
        files[f"tables/{table.name}.docx"] = table_docx(table)
    return files
