"""Tables as Word documents: valid XML in a zip, the report's own strings, the same bytes."""

from __future__ import annotations

import io
import zipfile
from xml.etree import ElementTree

import pandas as pd
from report_demo import NASTY, hazard_ratios

from survival.report import Table, hazard_ratio_display
from survival.report.docx import table_docx
from survival.report.tables import shown

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def parts(content: bytes) -> dict[str, ElementTree.Element]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: ElementTree.fromstring(archive.read(name)) for name in archive.namelist()}


def texts(element: ElementTree.Element) -> list[str]:
    return ["".join(t.text or "" for t in p.iter(f"{W}t")) for p in element.iter(f"{W}p")]


def made() -> Table:
    display = hazard_ratio_display(hazard_ratios(), references={"plan": "basic"})
    return Table("hr", f"Ratios {NASTY}", hazard_ratios(), display=display, notes=("Ties: Efron.", f"Note {NASTY}"))


def test_a_word_table_holds_what_the_report_shows() -> None:
    body = parts(table_docx(made()))["word/document.xml"][0]
    assert [e.tag.removeprefix(W) for e in body] == ["p", "tbl", "p", "p", "sectPr"]
    display, notes = shown(made())
    rows = [texts(row) for row in body[1].iter(f"{W}tr")]
    assert rows == [list(display.columns), *display.to_numpy().tolist()]
    assert ["1.84 (1.52–2.23)" in row for row in rows].count(True) == 1
    assert texts(body[0]) == [f"Ratios {NASTY}"]
    assert texts(body[2]) + texts(body[3]) == list(notes)


def test_the_header_repeats_numbers_stand_right_and_wide_tables_turn_the_page() -> None:
    body = parts(table_docx(made()))["word/document.xml"][0]
    rows = list(body[1].iter(f"{W}tr"))
    assert [row.find(f"{W}trPr/{W}tblHeader") is not None for row in rows] == [True, *[False] * (len(rows) - 1)]
    right = [cell.find(f"{W}p/{W}pPr/{W}jc") is not None for cell in rows[1].iter(f"{W}tc")]
    assert right == [False, *[True] * 7]
    rules = [len(list(row.iter(f"{W}tcBorders"))) > 0 for row in rows]
    assert rules == [True, *[False] * (len(rows) - 2), True], (
        "rules above and below the header and at the end, as booktabs has"
    )
    assert body.find(f"{W}sectPr/{W}pgSz").get(f"{W}orient") == "landscape"
    narrow = parts(table_docx(Table("t", "T", pd.DataFrame({"a": ["x"]}))))["word/document.xml"][0]
    assert narrow.find(f"{W}sectPr/{W}pgSz").get(f"{W}orient") is None
    assert narrow[-2].tag == f"{W}p", "a document must not end in a table"


def test_same_table_same_bytes_and_no_character_that_xml_forbids() -> None:
    assert table_docx(made()) == table_docx(made())
    odd = Table("t", "a\x00b\ufffe", pd.DataFrame({"a": ["\x1b[1m"]}))
    assert texts(parts(table_docx(odd))["word/document.xml"]) == ["ab", "A", "[1m", ""]
    with zipfile.ZipFile(io.BytesIO(table_docx(made()))) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.namelist()[0] == "[Content_Types].xml"


def test_an_empty_table_is_a_document_too() -> None:
    empty = parts(table_docx(Table("t", "T", pd.DataFrame({"a": []}), notes=("n",))))["word/document.xml"]
    assert texts(empty) == ["T", "A", "n"]
