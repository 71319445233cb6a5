"""A report as it is kept beside its tables (document.json), and read back: the same report, without the data.

Tables are read from tables/*.csv. A figure is drawn again by the function that drew it, from rows and columns of those
tables, or from a CSV of its own under figures/ where what it drew is in none of them; a figure that no function of the
package drew is kept as its files.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survival.errors import ResultsError
from survival.findings import Finding
from survival.plot.style import Recipe, recipe_of, redrawn
from survival.report import document
from survival.report.document import Block, Figure, Findings, Images, Report, Table
from survival.report.plain import NotPlainError, Schema, decoded, encoded, frame_from, schema_of
from survival.report.tables import csv_text, display_frame

DOCUMENT = "document.json"
_VERSION = 1
_TRIED = 12  # values of a column by which a figure's rows may have been chosen
_BLOCKS = ("Section", "Paragraph", "Bullets", "Facts", "Preformatted", "Table", "Figure", "Findings")


def document_files(report: Report, formats: Sequence[str]) -> dict[str, bytes]:
    """document.json, and the CSV files that only figures are drawn from."""
    extra: dict[str, bytes] = {}
    texts = {table.name: csv_text(table.frame) for table in report.tables()}
    value = {
        "version": _VERSION,
        "formats": list(formats),
        "report": {
            "title": report.title, "subtitle": report.subtitle, "headline": report.headline, "meta": dict(report.meta),
            "blocks": [_block(block, report, texts, extra) for block in report.blocks],
        },
    }  # fmt: skip
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return {DOCUMENT: (text + "\n").encode(), **extra}


def _block(block: Block, report: Report, texts: Mapping[str, str], extra: dict[str, bytes]) -> dict[str, Any]:
    if isinstance(block, Table):
        return {"block": "Table", **_plain_fields(block, ("frame", "display")), **_table(block, texts[block.name])}
    if isinstance(block, Figure):
        made = _figure(block, report, texts, extra)
        return {"block": "Figure", **_plain_fields(block, ("figure",)), "figure": made}
    if isinstance(block, Findings):
        return {"block": "Findings", "items": [encoded(dataclasses.asdict(f)) for f in block.items]}
    return {"block": type(block).__name__, **_plain_fields(block, ())}


def _plain_fields(block: Block, without: Sequence[str]) -> dict[str, Any]:
    return {f.name: encoded(getattr(block, f.name)) for f in dataclasses.fields(block) if f.name not in without}


def _table(table: Table, text: str) -> dict[str, Any]:
    """The schema of the frame; what is shown, unless it follows from the CSV."""
    schema = schema_of(table.frame)
    display = table.display
    if display is None and not _follows(table, text, schema):
        schema, display = (
            [{"name": c["name"], "type": "object", "blank": "text"} for c in schema],
            display_frame(table.frame, table.level),
        )
    shown = None if display is None else {"columns": [str(c) for c in display.columns], "rows": _cells(display)}
    return {"schema": schema, "display": shown}


def _follows(table: Table, text: str, schema: Schema) -> bool:
    try:
        again = frame_from(text, schema)
    except (ValueError, TypeError, KeyError):
        return False
    return csv_text(again) == text and (not table.shown or display_frame(again).equals(display_frame(table.frame)))


def _cells(display: pd.DataFrame) -> list[list[Any]]:
    return [[encoded(v) for v in row] for row in display.itertuples(index=False, name=None)]


def _figure(figure: Figure, report: Report, texts: Mapping[str, str], extra: dict[str, bytes]) -> Any:
    if isinstance(figure.figure, Images):
        return None
    recipe = recipe_of(figure.figure)
    if recipe is None:
        return None
    own: dict[str, bytes] = {}

    def place(argument: str, frame: pd.DataFrame) -> dict[str, Any]:
        found = _placed(frame, figure, report, texts)
        if found is None:
            name = f"figures/{figure.name}{f'.{argument}' if own else ''}.csv"
            own[name] = csv_text(frame).encode()
            found = {"csv": name}
        return {**found, "schema": schema_of(frame)}

    try:
        arguments = [[k, encoded(v, partial(place, k))] for k, v in recipe.arguments.items()]
    except NotPlainError:
        return None
    made = {"draw": recipe.function, "arguments": arguments}
    extra |= own
    return made


def _placed(frame: pd.DataFrame, figure: Figure, report: Report, texts: Mapping[str, str]) -> dict[str, Any] | None:
    """Where the frame stands in a table of the report: its name, and the rows if not all."""
    text = csv_text(frame)
    tables = sorted(report.tables(), key=lambda t: t.name not in figure.source)
    for table in tables:
        whole = table.frame
        if not set(frame.columns) <= set(whole.columns) or not whole.columns.is_unique or not len(frame) <= len(whole):
            continue
        if len(frame) == len(whole) and csv_text(whole[list(frame.columns)]) == text:
            return {"table": table.name}
        for positions in _candidates(frame, whole):
            if csv_text(whole.iloc[positions][list(frame.columns)]) == text:
                return {"table": table.name, "rows": _ranges(positions)}
    return None


def _candidates(frame: pd.DataFrame, whole: pd.DataFrame) -> Iterator[np.ndarray]:
    """Rows of the table that the frame may be: those with its index, and those with one definition, cohort, ..."""
    if whole.index.is_unique and frame.index.isin(whole.index).all():
        yield whole.index.get_indexer(frame.index)
    for name in whole.columns:
        if whole[name].dtype == object:
            code, values = pd.factorize(whole[name])
            sizes = np.bincount(code[code >= 0], minlength=len(values))
            yield from (np.flatnonzero(code == i) for i in np.flatnonzero(sizes == len(frame))[:_TRIED])


def _ranges(positions: np.ndarray) -> list[list[int]]:
    """[3, 4, 5, 9] as [[3, 6], [9, 10]]."""
    if not len(positions):
        return []
    cuts = np.flatnonzero(np.diff(positions) != 1) + 1
    return [[int(run[0]), int(run[-1]) + 1] for run in np.split(positions, cuts)]


# --- Reading back ----------------------------------------------------------------------------------------------------


def read_document(folder: Path) -> tuple[Report, tuple[str, ...]]:
    """The report that lies in `folder`, and the formats of its figures. Raises ResultsError when it cannot be read."""
    path = folder / DOCUMENT
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultsError(
            f"{path}: cannot be read ({error.strerror}). Name the folder of a run, such as results/NAME; "
            "one that an earlier version wrote has no such file: run its config again."
        ) from None
    except ValueError as error:
        raise ResultsError(f"{path}: is not what a run wrote ({error}). Run its config again.") from None
    if not isinstance(value, dict) or value.get("version") != _VERSION:
        raise ResultsError(f"{path}: was written by another version. Run its config again.")
    try:
        kept = value["report"]
        blocks = tuple(_read_block(dict(block), folder) for block in kept["blocks"])
        report = Report(kept["title"], kept["subtitle"], blocks, kept["meta"], kept["headline"])
        return report, tuple(value["formats"])
    except OSError as error:
        raise ResultsError(f"{error.filename}: cannot be read ({error.strerror}). Run the config again.") from None
    except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise ResultsError(f"{path}: does not fit the tables beside it ({error}). Run its config again.") from None


def _read_block(fields: dict[str, Any], folder: Path) -> Block:
    kind = fields.pop("block")
    if kind not in _BLOCKS:
        raise ValueError(f"unknown block {kind!r}")
    if kind == "Table":
        text = _csv(folder / "tables" / f"{fields['name']}.csv")
        frame, display = frame_from(text, fields.pop("schema")), fields.pop("display")
        shown = (
            None if display is None else pd.DataFrame(_decoded_rows(display), columns=display["columns"], dtype=object)
        )
        return Table(frame=frame, display=shown, **{k: decoded(v) for k, v in fields.items()})
    if kind == "Figure":
        made = fields.pop("figure")
        plain = {k: decoded(v) for k, v in fields.items()}
        return Figure(figure=_drawn(made, folder) if made else _images(folder, fields["name"]), **plain)
    if kind == "Findings":
        return Findings(tuple(Finding(**decoded(f)) for f in fields["items"]))
    block: Block = getattr(document, kind)(**{k: decoded(v) for k, v in fields.items()})
    return block


def _decoded_rows(display: dict[str, Any]) -> list[list[Any]]:
    return [[decoded(v) for v in row] for row in display["rows"]]


def _csv(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def _drawn(made: dict[str, Any], folder: Path) -> Any:
    def frame(where: dict[str, Any]) -> pd.DataFrame:
        path = folder / (f"tables/{where['table']}.csv" if "table" in where else where["csv"])
        return frame_from(_csv(path), where["schema"], where.get("rows"))

    return redrawn(Recipe(made["draw"], {name: decoded(v, frame) for name, v in made["arguments"]}))


def _images(folder: Path, name: str) -> Images:
    return Images({p.suffix[1:]: p.read_bytes() for p in sorted((folder / "figures").glob(f"{name}.*"))})
