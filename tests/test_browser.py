"""Every kind of page in a browser, from disk and with the network off: on a desk, a phone and paper; for eyes and ears."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import A4, Browser, found

from survival.experiment import run as runs
from survival.experiment.compare import compare
from survival.experiment.compare_report import page
from survival.plot.adjusted import adjusted_retention
from survival.plot.conditional import conditional_retention
from survival.plot.retention import retention_curves
from survival.plot.style import Drawing
from survival.report import Figure, Report, Section, Table, to_html, write
from survival.report.render import templates
from survival.report.tables import read_csv, table_html
from survival.simulate import simulate

pytestmark = pytest.mark.skipif(found() is None, reason="no Chromium is installed (or name one in CHROMIUM)")

ROOT = Path(__file__).resolve().parent.parent
STUDIES = ("crm_cohort_retention", "crm_churn_rate", "crm_hazard_ratios", "crm_churn_definitions")
SMALL = ("lag_profile=[0, 30]",)
SIZES = {
    "desktop": (1280, 900, False, "screen"), "phone": (360, 740, True, "screen"), "print": (*A4, False, "print"),
}  # fmt: skip

# Text whose contrast with what lies behind it is below 4.5:1 (3:1 when large), as WCAG 2 has it.
FAINT = """
(() => {
  const lum = c => { const f = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
                     return .2126 * f(c[0]) + .7152 * f(c[1]) + .0722 * f(c[2]); };
  const rgb = s => (s.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
                        if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  const faint = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || ['STYLE', 'SCRIPT'].includes(e.tagName)) continue;
    const style = getComputedStyle(e), a = lum(rgb(style.color)), b = lum(behind(e));
    const large = parseFloat(style.fontSize) >= 24;
    if ((Math.max(a, b) + .05) / (Math.min(a, b) + .05) < (large ? 3 : 4.5)) faint.add(e.tagName + '.' + e.className);
  }
  return [...faint];
})()
"""
FOR_EARS = """
({
  lang: document.documentElement.lang,
  title: document.title,
  headings: [...document.querySelectorAll('h1,h2,h3')].filter(h => !h.closest('nav')).map(h => +h.tagName[1]),
  alts: [...document.images].filter(i => !(i.alt || '').trim()).length,
  scopes: [...document.querySelectorAll('th')].filter(t => !['col', 'row'].includes(t.scope)).length,
  captions: [...document.querySelectorAll('table')].filter(t => !t.caption || !t.caption.innerText.trim()).length,
  regions: [...document.querySelectorAll('[tabindex="0"][role]')].filter(r => !r.getAttribute('aria-label')).length,
  unnamed: [...document.querySelectorAll('a,button,summary')].filter(a => !a.textContent.trim() && !a.querySelector('img[alt]')).length,
  twice: [...document.querySelectorAll('[id]')].map(e => e.id).filter((id, i, all) => all.indexOf(id) != i),
  lost: [...document.querySelectorAll('a[href^="#"]')].filter(a => !document.getElementById(a.hash.slice(1))).length,
  main: document.querySelectorAll('main').length,
})
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of every study, a sweep, a comparison, and the index."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "configs").mkdir()
    for name in STUDIES:
        shutil.copy(ROOT / "configs" / f"{name}.yaml", folder / "configs")
    simulate("crm", customers=250, seed=11, out=folder / "data" / "crm")
    sweep = folder / "configs" / "choices.yaml"
    sweep.write_text(
        "extends: crm_cohort_retention.yaml\nname: choices\nmodel: {formula: plan}\nsweep: {model.ties: [efron, breslow]}\n"
    )
    paths = [folder / "configs" / f"{n}.yaml" for n in (*STUDIES, "choices")]
    runs.run_all(paths, SMALL, None, False, runs.Console(quiet=True))
    made = folder / "results"
    write(page(compare(made / "choices--ties=efron", made / "choices--ties=breslow")), made / "compared")
    return made


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as one:
        yield one


PAGES = (*(f"{name}/report.html" for name in (*STUDIES, "choices", "compared")), "index.html")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_whole_at_every_size(results: Path, browser: Browser, page: str) -> None:
    for size, (width, height, mobile, media) in SIZES.items():
        browser.open(results / page, width, height, mobile=mobile, media=media)
        assert browser.problems == [], size
        assert browser.value("document.documentElement.scrollWidth") <= width, size
        assert (
            browser.value("[...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.alt)") == []
        ), size
        assert browser.value("document.images.length") > 0
        assert browser.value("document.querySelector('main').getBoundingClientRect().height") > 100
        faint = browser.value(FAINT)
        assert faint == [], size


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_heard(results: Path, browser: Browser, page: str) -> None:
    browser.open(results / page, 1280, 900)
    heard = browser.value(FOR_EARS)
    assert heard["lang"] == "en"
    assert heard["title"].strip()
    levels = heard["headings"]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))  # no level is skipped
    for what in ("alts", "scopes", "captions", "regions", "unnamed", "lost"):
        assert heard[what] == 0, what
    assert heard["twice"] == []
    assert heard["main"] == 1


SORTABLE = """
<!DOCTYPE html><html><body>TABLE<script>SCRIPT</script></body></html>
"""
ORDER = "[...document.querySelectorAll('tbody tr')].map(r => r.cells[0].textContent).join('')"
CLICK = "document.querySelectorAll('thead button')[{}].click(), document.querySelectorAll('thead th')[{}].ariaSort"


def test_a_long_table_sorts_by_its_headers_and_back(browser: Browser, tmp_path: Path) -> None:
    """Numbers by size with their intervals, signs and limits, text by letters, what is missing last; the third click undoes it."""
    ratio = [
        "1.84 (1.52–2.23)",
        "12.1 (9.0–16.0)",
        "0.33 (0.20–0.50)",
        "not estimable",
        "−0.2 (−1.0–0.6)",
        "reference",
        "1,200",
    ]
    p = ["< 0.001", "0.20", "0.001", "–", "0.04", "–", "> 0.99"]
    days = ["30–644", "9–12", "0–644", "0–99", "1,000–∞", "100+", "2 to 5"]  # both ends count
    hashes = ["9f06ab", "45a4…", "120034", "0c11ff", "…", "7e10aa", "45a3…"]  # a hash is text, with digits alone too
    weeks = ["2024-01-31", "2024-01-08", "2023-12-31", "2024-10-01", "2024-01-09", "not in the model", "2024-02-01"]
    frame = pd.DataFrame({"Covariate": list("dbacgfe"), "HR": ratio, "p": p, "Days": days, "Week": weeks})
    table = table_html(Table("t", "Some", frame, display=frame))
    page = tmp_path / "sort.html"
    script = templates().get_template("sort.js.j2").render()
    page.write_text(SORTABLE.replace("TABLE", table).replace("SCRIPT", script), encoding="utf-8")
    browser.open(page, 800, 600)
    assert browser.problems == []
    for column, rising, falling in (
        (0, "abcdefg", "gfedcba"),
        (1, "gadbecf", "ebdagcf"),
        (2, "dagbecf", "ebgadcf"),
        (3, "caebdfg", "gfdbeac"),
        (4, "abgdecf", "cedgbaf"),
    ):
        assert browser.value(ORDER) == "dbacgfe"
        for direction, order in (("ascending", rising), ("descending", falling), (None, "dbacgfe")):
            assert browser.value(CLICK.format(column, column)) == direction
            assert browser.value(ORDER) == order
    named = frame[["Covariate"]].set_axis(hashes).rename_axis("Customer").reset_index()
    page.write_text(
        SORTABLE.replace("TABLE", table_html(Table("t", "Some", named, display=named))).replace("SCRIPT", script),
        encoding="utf-8",
    )
    browser.open(page, 800, 600)
    assert browser.value(CLICK.format(0, 0)) == "ascending"
    assert browser.value(ORDER) == "…0c11ff12003445a3…45a4…7e10aa9f06ab"
    units = frame.rename(columns={"Covariate": "Figure"})  # customers, churns, a log-likelihood: no order
    assert "data-sort" not in table_html(Table("t", "Some", units, display=units))
    lines = frame.assign(Covariate=["plan", "\u2003pro", "\u2003team", *"cgfe"])
    assert "data-sort" in table
    assert "data-sort" not in table_html(Table("t", "Some", lines, display=lines))


POINT = """
(() => {
  const image = document.querySelector('#figure-retention_inactivity img'), r = image.getBoundingClientRect();
  const [left, bottom, right, top] = JSON.parse(image.dataset.curves)[PANEL].box;
  const at = (x, y) => image.dispatchEvent(new PointerEvent('pointermove', {clientX: r.left + x * r.width,
                                                                           clientY: r.top + (1 - y) * r.height}));
  const reading = image.parentElement.querySelector('.reading');
  at(left + (right - left) * SHARE, (bottom + top) / 2);
  const said = reading.hidden ? '' : reading.innerText, box = reading.getBoundingClientRect();
  at(0.002, 0.002);
  return [said, reading.hidden, box.left >= r.left && box.right <= r.right];
})()
"""


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_the_pointer_reads_the_numbers_of_the_curves(results: Path, browser: Browser, size: str) -> None:
    """Those of the table beside the figure, at the day that is said; nothing beside the panels."""
    folder = results / "crm_cohort_retention"
    table = read_csv(folder / "tables" / "retention.csv")
    table = table[table["definition"] == "inactivity"].sort_values("tenure", kind="stable")
    width, height, mobile, media = SIZES[size]
    browser.open(folder / "report.html", width, height, mobile=mobile, media=media)
    panels = browser.value(
        "JSON.parse(document.querySelector('#figure-retention_inactivity img').dataset.curves).length"
    )
    read = 0
    for panel in range(panels):
        for share in (0.2, 0.6):
            said, hidden, inside = browser.value(POINT.replace("PANEL", str(panel)).replace("SHARE", str(share)))
            assert hidden
            assert inside or not said
            day, *lines = said.replace("\n\n", "\n").split("\n")
            for cohort, value in zip(lines[::2], lines[1::2]):
                rows = table[table["cohort"] == cohort.rstrip("*")]
                before = rows[rows["tenure"] <= int(day.removeprefix("Day ").replace(",", ""))]
                assert value == f"{100 * before['retention'].iloc[-1]:.1f}%", (cohort, day)
                read += 1
    assert read > panels / 2


SHARES = [1, 0.91449, 0.77451, 0.55, 0.42049]


def _drawn(tmp_path: Path, figure: Drawing) -> Path:
    """A page with this figure alone."""
    drawn = Figure("retention_inactivity", "Retention", "Curves.", "Curves", figure)
    made = tmp_path / "drawn.html"
    made.write_text(to_html(Report("Drawn", blocks=(Section("Curves"), drawn))), encoding="utf-8")
    return made


@pytest.mark.parametrize(
    ("unit", "scale", "when", "shown"),
    [
        ("months", "share", r"Month 9\.8 \(day 29[789]\)", "0.775"),
        ("years", "percent", r"Year 0\.8[12] \(day 29[789]\)", "77.5%"),
        ("days", "share", r"Day 29[789]", "0.775"),
        (None, "percent", r"Day 29[789]", "77.5%"),
    ],
)
def test_the_pointer_reads_in_the_unit_and_on_the_scale_of_the_figure(
    browser: Browser, tmp_path: Path, unit: str | None, scale: str, when: str, shown: str
) -> None:
    frame = pd.DataFrame({"cohort": "basic", "tenure": [0.0, 100, 250, 400, 500], "retention": SHARES})
    figure = retention_curves(frame.assign(ci_lower=np.nan, ci_upper=np.nan), horizon=500, unit=unit, scale=scale)
    browser.open(_drawn(tmp_path, figure), 1280, 900)
    last = browser.value("JSON.parse(document.querySelector('img[data-curves]').dataset.curves)[0].span[1]")
    said, hidden, inside = browser.value(POINT.replace("PANEL", "0").replace("SHARE", str(298 / last)))
    head, *rest = said.replace("\n\n", "\n").split("\n")
    assert re.fullmatch(when, head), head
    assert rest == ["basic", shown]
    assert hidden
    assert inside


def test_the_pointer_reads_curves_of_those_who_stayed_and_those_as_observed(browser: Browser, tmp_path: Path) -> None:
    tenure = [0.0, 100, 250, 400, 500]
    whole = pd.DataFrame({"given": 0.0, "tenure": tenure, "retention": SHARES})
    later = pd.DataFrame({"given": 250.0, "tenure": tenure[2:], "retention": [1, 0.71, 0.54]})
    given = pd.concat([whole, later], ignore_index=True).assign(ci_lower=np.nan, ci_upper=np.nan)
    browser.open(_drawn(tmp_path, conditional_retention(given, horizon=500)), 1280, 900)
    said = browser.value(POINT.replace("PANEL", "0").replace("SHARE", "0.9"))[0].replace("\n\n", "\n").split("\n")
    assert said == ["Day 450", "given day 250", "71.0%", "from signup", "55.0%"]
    groups = pd.concat(
        pd.DataFrame({"cohort": c, "curve": k, "tenure": tenure, "retention": SHARES if k == "observed" else [1, 0.9, 0.8, 0.6, 0.5]})
        for c in "abcde" for k in ("observed", "adjusted")
    ).assign(ci_lower=np.nan, ci_upper=np.nan)  # fmt: skip
    browser.open(_drawn(tmp_path, adjusted_retention(groups, horizon=500)), 1280, 900)
    said = browser.value(POINT.replace("PANEL", "2").replace("SHARE", "0.6"))[0].replace("\n\n", "\n").split("\n")
    assert said[1:] == ["adjusted", "80.0%", "as observed", "77.5%"]


@pytest.mark.parametrize("study", STUDIES)
def test_it_prints_on_a4_with_findings_on_the_first_pages(results: Path, browser: Browser, study: str) -> None:
    browser.open(results / study / "report.html", 1280, 900)
    pdf = browser.pdf()
    boxes = {tuple(round(float(v)) for v in box.split()) for box in re.findall(rb"/MediaBox \[([^\]]*)\]", pdf)}
    assert len(boxes) == 1
    assert next(iter(boxes)) == pytest.approx((0, 0, 595, 842), abs=1.5)
    pages = len(re.findall(rb"/Type /Page\b", pdf))
    assert 3 <= pages <= 40
    browser.open(results / study / "report.html", *A4, media="print")
    first = browser.value("document.querySelector('ul.key').getBoundingClientRect().top")
    assert first < A4[1]


def test_a_browser_that_finds_an_error_says_so(browser: Browser, tmp_path: Path) -> None:
    """The tests above could fail."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<!DOCTYPE html><html><body><img src='gone.png' alt=''><img src='http://example.invalid/x.png' alt=''>"
        "<p style='width:3000px;color:#ccc'>wide and faint</p><script>console.error('x'); missing();</script></body></html>"
    )
    browser.open(bad, 800, 600)
    said = " ".join(browser.problems)
    assert "example.invalid" in said
    assert "not loaded" in said
    assert "Uncaught" in said
    assert browser.value("document.documentElement.scrollWidth") > 800
    assert browser.value("[...document.images].filter(i => !i.naturalWidth).length") == 2
    assert browser.value(FAINT) == ["P."]
