"""A report as files: report.html, report.md, tables/, figures/. Same report, same bytes."""

from __future__ import annotations

from pathlib import Path

from survival.plot.style import png_bytes
from survival.report.document import Report, Table
from survival.report.render import drawings, to_html, to_markdown
from survival.report.tables import csv_text, table_html, table_latex


def write(report: Report, folder: Path) -> list[Path]:
    """Write the report into `folder` (made if need be) and return the files, relative to it, in order.

    tables/NAME.csv for every table; .tex and .html for those shown; figures/NAME.svg and .png for every figure. Nothing
    else in the folder is touched. Errors of the file system are raised as they are: the caller writes beside its target.
    """
    images = drawings(report)
    files: dict[str, bytes] = {}
    for table in report.tables():
        files |= table_files(table)
    for figure in report.figures():
        files[f"figures/{figure.name}.svg"] = images[figure.name]
        files[f"figures/{figure.name}.png"] = png_bytes(figure.figure)
    files["report.html"] = to_html(report, images).encode()
    files["report.md"] = to_markdown(report).encode()
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
    return files
