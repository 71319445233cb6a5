"""A table as a Word document (Office Open XML, ECMA-376): three rules, header row repeated on every page, notes below.

Written directly, without a library: few parts, no date, so that the same table gives the same bytes.
"""

from __future__ import annotations

import io
import re
import zipfile
from xml.sax.saxutils import escape

import pandas as pd

from survival.report.document import Table
from survival.report.tables import numeric_columns, shown

WIDE = 6  # columns beyond which the page is turned
PORTRAIT, LANDSCAPE = 9638, 14570  # between the margins of A4, in twentieths of a point
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # of XML 1.0

_TYPES = (
    f'{_HEAD}<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    '<Override PartName="/word/document.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/>'
    '<Override PartName="/word/styles.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.styles+xml"/></Types>'
)
_ROOT = (
    f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/relationships/officeDocument" Target="word/document.xml"/></Relationships>'
)
_OF_DOCUMENT = (
    f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/relationships/styles" Target="styles.xml"/></Relationships>'
)
_STYLES = (
    f'{_HEAD}<w:styles xmlns:w="{_W}"><w:docDefaults><w:rPrDefault><w:rPr><w:rFonts w:ascii="Arial" w:hAnsi="Arial" w:cs="Arial"/>'
    '<w:sz w:val="18"/><w:lang w:val="en-GB"/></w:rPr></w:rPrDefault><w:pPrDefault><w:pPr><w:spacing w:before="0" w:after="0"/></w:pPr>'
    '</w:pPrDefault></w:docDefaults>'
    '<w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Caption"><w:name w:val="caption"/><w:basedOn w:val="Normal"/>'
    '<w:pPr><w:keepNext/><w:spacing w:after="120"/></w:pPr><w:rPr><w:b/><w:sz w:val="20"/></w:rPr></w:style>'
    '<w:style w:type="paragraph" w:customStyle="1" w:styleId="TableNote"><w:name w:val="Table note"/><w:basedOn w:val="Normal"/>'
    '<w:pPr><w:spacing w:before="60"/></w:pPr><w:rPr><w:sz w:val="16"/></w:rPr></w:style>'
    '<w:style w:type="table" w:default="1" w:styleId="TableNormal"><w:name w:val="Normal Table"/><w:tblPr><w:tblCellMar>'
    '<w:left w:w="80" w:type="dxa"/><w:right w:w="80" w:type="dxa"/></w:tblCellMar></w:tblPr></w:style></w:styles>'
)  # fmt: skip


def table_docx(table: Table) -> bytes:
    """The table as a .docx file: caption, header row, rows as they are shown in the report, notes."""
    parts = {
        "[Content_Types].xml": _TYPES,
        "_rels/.rels": _ROOT,
        "word/document.xml": _document(table),
        "word/_rels/document.xml.rels": _OF_DOCUMENT,
        "word/styles.xml": _STYLES,
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))  # the earliest that a zip knows
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, text.encode("utf-8"))
    return out.getvalue()


def _document(table: Table) -> str:
    display, notes = shown(table)
    numeric = numeric_columns(display)
    rows = list(display.itertuples(index=False, name=None))
    header = _row([str(c) for c in display.columns], numeric, head=True, last=not rows)
    body = "".join(_row(list(row), numeric, last=i == len(rows) - 1) for i, row in enumerate(rows))
    grid = "".join(
        f'<w:gridCol w:w="{width}"/>' for width in _widths(display, LANDSCAPE if len(numeric) > WIDE else PORTRAIT)
    )
    text = f'<w:tbl><w:tblPr><w:tblW w:w="5000" w:type="pct"/></w:tblPr><w:tblGrid>{grid}</w:tblGrid>{header}{body}</w:tbl>'
    foot = "".join(_paragraph(note, "TableNote") for note in notes)
    page = (
        '<w:pgSz w:w="16838" w:h="11906" w:orient="landscape"/>'
        if len(numeric) > WIDE
        else '<w:pgSz w:w="11906" w:h="16838"/>'
    )
    margins = '<w:pgMar w:top="1134" w:right="1134" w:bottom="1134" w:left="1134" w:header="567" w:footer="567" w:gutter="0"/>'
    # A document must not end in a table: the notes, or an empty paragraph, follow it.
    content = f"{_paragraph(table.title, 'Caption')}{text if numeric else ''}{foot or _paragraph('')}"
    return (
        f'{_HEAD}<w:document xmlns:w="{_W}"><w:body>{content}<w:sectPr>{page}{margins}</w:sectPr></w:body></w:document>'
    )


def _widths(display: pd.DataFrame, whole: int) -> list[int]:
    """Of the columns, in twentieths of a point: shares of the page by their longest text. Word fits them anew; pandoc and others
    leave out a table whose grid has none.
    """
    longest = [
        max([len(word) for word in str(name).split(" ")] + [min(len(v), 40) for v in display.iloc[:, i]])
        for i, name in enumerate(display.columns)
    ]
    return [whole * (n + 2) // sum(n + 2 for n in longest) for n in longest]


def _row(cells: list[str], numeric: list[bool], *, head: bool = False, last: bool = False) -> str:
    kind = "<w:trPr><w:cantSplit/>" + ("<w:tblHeader/>" if head else "") + "</w:trPr>"
    lines = _rule("top", 12) + _rule("bottom", 12 if last else 6) if head else _rule("bottom", 12) if last else ""
    borders = f"<w:tcBorders>{lines}</w:tcBorders>" if lines else ""
    made = "".join(
        f'<w:tc><w:tcPr><w:tcW w:w="0" w:type="auto"/>{borders}<w:vAlign w:val="{"bottom" if head else "top"}"/></w:tcPr>'
        f"{_paragraph(cell, right=right, bold=head)}</w:tc>"
        for cell, right in zip(cells, numeric)
    )
    return f"<w:tr>{kind}{made}</w:tr>"


def _rule(side: str, eighths: int) -> str:
    return f'<w:{side} w:val="single" w:sz="{eighths}" w:space="0" w:color="000000"/>'


def _paragraph(text: str, style: str = "", *, right: bool = False, bold: bool = False) -> str:
    properties = (f'<w:pStyle w:val="{style}"/>' if style else "") + ('<w:jc w:val="right"/>' if right else "")
    run = "<w:rPr><w:b/></w:rPr>" if bold else ""
    said = escape(_FORBIDDEN.sub("", text))
    return f'<w:p><w:pPr>{properties}</w:pPr><w:r>{run}<w:t xml:space="preserve">{said}</w:t></w:r></w:p>'
