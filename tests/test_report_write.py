"""A report on disk: the same bytes each time, everything escaped, nothing from outside, numbers that read back."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from report_demo import NASTY, hazard_ratios, report

from survival.errors import ArgumentError
from survival.findings import Finding
from survival.plot import forest
from survival.plot.style import new_figure
from survival.report import (
    Bullets,
    Figure,
    Findings,
    IndexEntry,
    Paragraph,
    Report,
    Section,
    Table,
    csv_text,
    hazard_ratio_display,
    index_entry,
    index_html,
    read_csv,
    retention_display,
    to_html,
    to_markdown,
    write,
    write_index,
)
from survival.report.document import BOXES
from survival.report.tables import display_frame, latex_escape, table_html, table_latex, table_markdown

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Tags in order with their attributes, and the text inside each kind; refuses tags that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in self.open[-1:]:
            self.text.setdefault(tag, []).append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def html() -> str:
    return to_html(report())


def test_two_writes_give_the_same_bytes_and_every_file(tmp_path: Path) -> None:
    files = write(report(), tmp_path / "a")
    write(report(), tmp_path / "b")
    assert [str(f) for f in files] == [
        "document.json", "figures/forest.png", "figures/forest.svg", "figures/retention.png", "figures/retention.svg",
        "report.html", "report.md",
        *(f"tables/hazard_ratios.{kind}" for kind in ("csv", "docx", "html", "md", "tex")),
        *(f"tables/nasty.{kind}" for kind in ("csv", "docx", "html", "md", "tex")), "tables/retention.csv",
    ]  # fmt: skip
    assert sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*")) == sorted(files)
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_the_page_is_well_formed_and_loads_nothing(html: str) -> None:
    page = Page(html)
    assert not {"link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert page.of("script") in ([], [{}])  # inside the page, where a table can be sorted
    for _, attrs in page.tags:
        for name in ("src", "href", "srcset", "action", "poster"):
            assert (attrs.get(name) or "#").startswith(("#", "data:image/svg+xml;base64,"))
    assert "url(" not in html
    assert "@import" not in html
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {a["href"] for a in page.of("a")} <= {f"#{i}" for i in ids}
    assert page.of("html") == [{"lang": "en"}]


def test_every_figure_has_a_text_and_a_title(html: str) -> None:
    page = Page(html)
    images = page.of("img")
    assert [i["alt"] for i in images] == [f'Alt "{NASTY}"', "Forest plot"]
    assert len(page.of("figcaption")) == len(images) == 2
    for image in images:
        svg = base64.b64decode((image["src"] or "").split(",", 1)[1])
        root = ElementTree.fromstring(svg)
        assert root.tag.endswith("svg")
        titles = [e.text for e in root.iter() if e.tag.endswith("title")]
        assert titles[0] in {f"Figure {NASTY}", "Forest"}


def test_tables_have_captions_and_headers(html: str) -> None:
    page = Page(html)
    shown = 2
    assert len(page.of("table")) == len(page.of("caption")) == shown
    assert {attrs.get("scope") for attrs in page.of("th")} == {"col", "row"}
    rows = html.count('<th scope="row"')
    assert rows == 3 + len(hazard_ratios())
    assert html.count('<div class="table"') == html.count('<div class="table" id="table-') == shown


def test_everything_is_escaped(html: str) -> None:
    assert "<b>&" not in html
    assert "<b>&amp;" not in html
    page = Page(html)
    said = "".join(t for parts in page.text.values() for t in parts)
    for what in (
        "Title",
        "Subtitle",
        "Finding",
        "Term",
        "Value",
        "Figure",
        "Caption",
        "Table",
        "Note",
        "Message",
        "Paragraph",
    ):
        assert f"{what} {NASTY}" in said, what
    assert NASTY in page.text["th"]


def test_contents_lead_to_every_section(html: str) -> None:
    page = Page(html)
    anchors = [a["href"] for a in page.of("a")][1:]
    assert anchors == ["#section-findings", "#section-figures", "#section-figures-2"]
    assert [h["id"] for h in page.of("h2") if "id" in h] == ["section-findings", "section-figures"]


def test_markdown_escapes_and_links_its_figures() -> None:
    text = to_markdown(report())
    plain = r"\<b\>\& 50 % \_x\_ \$5 \{a\}"
    assert text.startswith(f"# Title {plain}\n\nSubtitle {plain}\n")
    assert f'![Alt "{plain}"](figures/retention.svg)' in text
    assert f"| {plain} |" in text
    assert f"````\nconfig: {NASTY}\n  ```: 1\n````" in text
    assert text.count("\n## ") == 2
    assert to_markdown(report()) == text


def test_markdown_text_is_never_a_list() -> None:
    assert to_markdown(Report("R", blocks=(Paragraph("2024. A year"), Paragraph("- x"), Paragraph("-x 1. y")))) == (
        "# R\n\n2024\\. A year\n\n\\- x\n\n-x 1. y\n"
    )


def test_csv_reads_back_as_it_was() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "cohort": ["NA", "2024", "null", NASTY, 'with "quotes", and comma', "é\nline"],
            "retention": [0.1 + 0.2, 1 / 3, 1e-300, np.nan, 1.0, rng.normal()],
            "at_risk": [1, 2, 3, 4, 5, 10**15],
            "p": [0.0, 5e-324, 1.7976931348623157e308, np.inf, -np.inf, -0.5],
        }
    )
    text = csv_text(frame)
    back = read_csv(io.StringIO(text))
    pd.testing.assert_frame_equal(back, frame, check_exact=True)
    assert csv_text(back) == text
    assert "\r" not in text
    assert text.splitlines()[1] == "NA,0.30000000000000004,1,0"


def test_csv_of_counts_with_gaps_flags_and_nothing() -> None:
    frame = pd.DataFrame({"at_risk": [3.0, np.nan], "complete": [True, False], "reason": ["x", None]})
    assert csv_text(frame) == "at_risk,complete,reason\n3,true,x\n,false,\n"
    assert csv_text(pd.DataFrame(columns=["cohort", "tenure"])) == "cohort,tenure\n"


def test_a_figure_can_be_redrawn_from_its_csv() -> None:
    from survival.plot import svg_bytes

    frame = hazard_ratios()
    again = read_csv(io.StringIO(csv_text(frame)))
    assert svg_bytes(forest(again), "t") == svg_bytes(forest(frame), "t")


def test_latex_escapes_all_that_latex_reads() -> None:
    assert latex_escape(r"50 % _x_ & $5 #1 {a} ~ ^ \b <c>") == (
        r"50 \% \_x\_ \& \$5 \#1 \{a\} \textasciitilde{} \textasciicircum{} \textbackslash{}b \textless{}c\textgreater{}"
    )
    assert latex_escape("1.84 (1.52–2.23), −1 ≥ 0…") == r"1.84 (1.52--2.23), $-$1 $\geq$ 0\ldots{}"


def test_latex_table_is_booktabs() -> None:
    frame = pd.DataFrame({"cohort": [NASTY], "at_risk": [1234], "retention": [0.5]})
    assert table_latex(Table("t_one", "A & B", frame, notes=("n_1",))) == (
        "% needs \\usepackage{booktabs}\n\\begin{table}[htbp]\n\\centering\n\\caption{A \\& B}\\label{tab:t-one}\n"
        "\\begin{tabular}{lrr}\n\\toprule\nCohort & At risk & Retention \\\\\n\\midrule\n"
        "\\textless{}b\\textgreater{}\\& 50 \\% \\_x\\_ \\$5 \\{a\\} & 1,234 & 50.0\\% \\\\\n\\bottomrule\n\\end{tabular}\n"
        "\\par\\smallskip\\raggedright\\footnotesize n\\_1\n\\end{table}\n"
    )
    long = table_latex(Table("t", "T", pd.DataFrame({"cohort": [f"c{i}" for i in range(50)]})))
    assert long.startswith("% needs \\usepackage{booktabs, longtable}\n{\\begin{longtable}{l}")
    assert long.count("\\\\") == 52


def test_latex_of_wide_tables_is_scaled_and_other_scripts_are_told() -> None:
    wide = pd.DataFrame({f"a_long_name_of_a_cohort_{j}": ["a long value"] for j in range(8)})
    lines = table_latex(Table("t", "T", wide)).splitlines()
    assert lines[0] == "% needs \\usepackage{booktabs, graphicx}"
    begin = lines.index(r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%")
    assert lines[begin + 1].startswith(r"\begin{tabular}")
    assert lines[-2] == r"\end{tabular}}"
    assert latex_escape('κ = 0.8, “so” 6" †') == "$\\kappa$ = 0.8, ``so'' 6'' \\dag{}"
    plain, other = (table_latex(Table("t", "T", pd.DataFrame({"cohort": [name]}))) for name in ("Zoë", "Жук"))
    assert "XeLaTeX" not in plain
    assert other.splitlines()[1].startswith("% has letters that pdfLaTeX does not know")


@pytest.mark.parametrize(("name", "boxes"), [("Zoë – κ ≥ 3", False), ("東京", True)])
def test_a_caption_says_that_boxes_stand_for_letters(name: str, boxes: bool) -> None:
    drawn = new_figure(3, 2)
    drawn.text(0.1, 0.1, f"{name}\nline")
    first = Figure("curve", "Title", "Caption.", "A curve.", drawn)
    again = Figure("curve", "Title", first.caption, "A curve.", drawn)
    assert again.caption == first.caption == ("Caption. " + BOXES if boxes else "Caption.")


def test_cells_end_no_line_between_number_and_unit() -> None:
    frame = pd.DataFrame({"after": ["365 days", "1 month later", "12 daylight"]})
    assert Page(table_html(Table("t", "T", frame))).text["th"][1:] == [
        "365\u00a0days",
        "1\u00a0month later",
        "12 daylight",
    ]


def test_rows_left_out_are_counted() -> None:
    table = Table("many", "Many", pd.DataFrame({"cohort": [f"c{i}" for i in range(70)], "at_risk": range(70)}))
    html = table_html(table, 1)
    assert html.count('<th scope="row"') == 60
    assert "The first 60 of 70 rows; all are in tables/many.csv." in html
    assert "c69" in csv_text(table.frame)


def test_an_empty_table_is_still_a_table() -> None:
    table = Table("none", "None", pd.DataFrame(columns=["cohort", "retention"]))
    page = Page(table_html(table))
    assert "No rows." in page.text["td"]
    assert page.text["th"] == ["Cohort", "Retention"]
    assert Page(table_html(Table("nothing", "Nothing", pd.DataFrame()))).of("th") == [{"scope": "col"}]
    assert table_latex(table).count("\\midrule") == 1
    assert table_markdown(table).splitlines()[2] == "| Cohort | Retention |"


def test_an_empty_report_renders() -> None:
    page = Page(to_html(Report("Nothing", blocks=(Findings(()), Bullets(())))))
    assert "The audit found nothing." in page.text["p"]
    assert to_markdown(Report("Nothing")) == "# Nothing\n"


def test_numbers_are_formatted_by_their_columns() -> None:
    frame = hazard_ratios()[
        ["covariate", "hazard_ratio", "ci_lower", "ci_upper", "p", "exposed_share", "events_exposed"]
    ]
    shown = display_frame(frame.iloc[[5, 9]])
    assert shown.iloc[0].tolist() == ["open_ticket", "1.84", "1.52", "2.23", "< 0.001", "20.0%", "150"]
    assert shown.iloc[1].tolist() == ["no_renewal", "not estimable", "–", "–", "–", "1.0%", "0"]
    at = pd.DataFrame({"cohort": ["a"], "tenure": [365], "retention": [0.5], "ci_lower": [0.45], "ci_upper": [0.55]})
    assert display_frame(at).iloc[0].tolist() == ["a", "365", "50.0%", "45.0%", "55.0%"]
    rmst = pd.DataFrame({"cohort": ["a"], "rmst": [234.56], "ci_lower": [230.01], "ci_upper": [239.0]})
    assert display_frame(rmst).iloc[0].tolist() == ["a", "234.6", "230.0", "239.0"]


def test_hazard_ratios_as_a_paper_prints_them() -> None:
    shown = hazard_ratio_display(hazard_ratios(), references={"plan": "basic"}, labels={"open_ticket": "Open tickets"})
    assert shown.columns.tolist() == [
        "Covariate", "Time exposed", "Churned while exposed", "Univariable HR (95% CI)", "p, univariable",
        "Multivariable HR (95% CI)", "p, multivariable", "PH test, p",
    ]  # fmt: skip
    assert shown["Covariate"].tolist() == ["Open tickets", "overdue", "plan: basic", "plan: pro", "seats", "no_renewal"]
    assert shown.iloc[0, [1, 2, 5, 6]].tolist() == ["20.0%", "150", "1.84 (1.52–2.23)", "< 0.001"]
    assert shown.iloc[2].tolist() == ["plan: basic", "", "", "reference", "", "reference", "", ""]
    assert shown.iloc[5, 3:].tolist() == ["not estimable", "–", "not estimable", "–", "–"]


def test_retention_as_a_paper_prints_it() -> None:
    at = pd.DataFrame(
        [
            ("a", 90, 0.8, 0.7, 0.9),
            ("a", 30, 0.9, 0.8, 0.95),
            ("b", 30, 1.0, np.nan, np.nan),
            ("b", 90, np.nan, np.nan, np.nan),
        ],
        columns=["cohort", "tenure", "retention", "ci_lower", "ci_upper"],
    )
    shown = retention_display(at)
    assert shown.columns.tolist() == ["Cohort", "30 days (95% CI)", "90 days (95% CI)"]
    assert shown.to_numpy().tolist() == [["a", "90.0% (80.0–95.0)", "80.0% (70.0–90.0)"], ["b", "100.0%", "–"]]


def test_the_index_lists_runs_and_links_them(tmp_path: Path) -> None:
    entries = [IndexEntry("b run", f"B {NASTY}", "s", f"H {NASTY}"), index_entry(report(), "a", "hazard_ratios")]
    html = write_index(entries, tmp_path).read_text()
    assert html == index_html(reversed(entries))
    assert [p.name for p in tmp_path.iterdir()] == ["index.html"]
    page = Page(html)
    assert [i["src"] for i in page.of("img")] == ["a/figures/retention.png"]
    assert all(i["alt"] for i in page.of("img"))
    assert [a["href"] for a in page.of("a")] == ["a/report.html", "a/report.html", "b%20run/report.html"]
    assert "<b>&" not in html
    assert f"Headline {NASTY}" in "".join(page.text["p"])
    assert "No run has finished yet." in index_html([])


def test_findings_come_most_severe_first() -> None:
    found = Findings(
        (Finding("b", "note", "x", "m"), Finding("a", "error", "x", "m"), Finding("c", "warning", "x", "m"))
    )
    assert [f.severity for f in found.items] == ["error", "warning", "note"]


def test_reports_that_cannot_be_written_are_refused() -> None:
    frame = pd.DataFrame()
    with pytest.raises(ArgumentError, match="a file's name"):
        Table("../x", "T", frame)
    with pytest.raises(ArgumentError, match="no alt text"):
        Figure("f", "T", "c", " ", forest(hazard_ratios()))
    with pytest.raises(ArgumentError, match="two tables of the report are named t"):
        Report("R", blocks=(Table("t", "T", frame), Table("t", "T", frame)))
    with pytest.raises(ArgumentError, match="2 or 3"):
        Section("S", level=1)


def test_blocks_are_values() -> None:
    report_ = Report("R", blocks=[Paragraph("p")], meta={"a": "b"})  # type: ignore[arg-type]
    assert report_.blocks == (Paragraph("p"),)
    assert Bullets(["a"]).items == ("a",)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        report_.meta["a"] = "c"  # type: ignore[index]


def test_p_values_stay_on_their_line_and_titles_end() -> None:
    figure = Figure("f", "Title without a stop", "So p = 0.04.", "Alt", forest(hazard_ratios()))
    html = to_html(Report("R", blocks=(Paragraph("It is so (p < 0.001)."), figure)))
    assert "(p\u00a0&lt;\u00a00.001)" in html
    assert "Title without a stop.</b> So p\u00a0=\u00a00.04." in html


def test_long_words_do_not_push_the_page_wide(html: str) -> None:
    style = re.search(r"<style>(.*?)</style>", html, re.S)
    assert style is not None
    assert "overflow-wrap: anywhere" in style.group(1)
    assert ".scroll { overflow-x: auto" in style.group(1)
    assert "@page { size: A4" in style.group(1)
