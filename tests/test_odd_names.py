"""Names that data really hold (colons, brackets, line breaks, quotes, very long ones) come through to tables, sentences and pages."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from survival.experiment.config import load
from survival.experiment.hazard_blocks import _schoenfeld
from survival.experiment.models import hazard_ratios, models
from survival.experiment.phrases import phrases, shown_labels
from survival.experiment.study import Study, opened
from survival.findings import Finding
from survival.plot.diagnostics_customers import influence
from survival.plot.forest import covariate_label, factor_level, factors_of
from survival.plot.grouped_forest import grouped_forest
from survival.report.displays import hazard_ratio_display
from survival.report.document import Bullets, Figure, Findings, Report, Table
from survival.report.render import to_html, to_markdown
from survival.report.tables import prose_html, prose_markdown, table_html
from survival.report.wording import hazard_findings

LEVELS = ("ads: search", "b [x]: y", "line\nbreak", "zz")
CONFIG = """
title: Names
study: hazard_ratios
data:
  tables:
    customers: {path: data/customers.csv}
    subscriptions: {path: data/subscriptions.csv}
  observed: {from: 2023-01-01, until: 2024-06-30}
churn: {ended: {kind: cancellation}}
model: {formula: channel + seats + channel:seats}
"""


class Quiet:
    def __call__(self, name: str) -> None: ...

    def part(self, done: int, total: int) -> None: ...


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    folder = tmp_path_factory.mktemp("names")
    (folder / "configs").mkdir()
    (folder / "data").mkdir()
    (folder / "configs" / "names.yaml").write_text(CONFIG, encoding="utf-8")
    n, rng = 160, np.random.default_rng(5)
    signed = pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 300, n), "D")
    ended = signed + pd.to_timedelta(rng.integers(20, 500, n), "D")
    customers = {"customer_id": range(n), "signed_up_on": signed, "channel": [LEVELS[i % 4] for i in range(n)]}
    pd.DataFrame(customers | {"seats": rng.integers(1, 9, n)}).to_csv(folder / "data" / "customers.csv", index=False)
    over = pd.Series(ended).where(ended <= pd.Timestamp("2024-06-30"))
    pd.DataFrame({"customer_id": range(n), "started_on": signed, "ended_on": over}).to_csv(
        folder / "data" / "subscriptions.csv", index=False
    )
    experiment, _ = load(folder / "configs" / "names.yaml", ())
    with opened(experiment, folder, Quiet()) as made:  # type: ignore[arg-type]
        yield made


def test_levels_with_colons_keep_their_univariable_ratios(study: Study) -> None:
    made = models(study)[0]
    frame = hazard_ratios(study, [made])
    alone = frame[frame["model"] == "univariable"]
    assert alone["covariate"].tolist() == [f"channel[T.{level}]" for level in LEVELS[1:]] + ["seats"]
    assert alone["hazard_ratio"].notna().all()
    dummies = alone[alone["covariate"] != "seats"]
    assert dummies["exposed_share"].notna().all()
    assert dummies["events_exposed"].sum() < made.full.events
    shown = hazard_ratio_display(frame, references=made.references, labels=shown_labels(study, made))
    assert shown["Covariate"].tolist()[:5] == [
        "channel: ads: search", "channel: b [x]: y", "channel: line break", "channel: zz", "seats",
    ]  # fmt: skip
    said = " ".join(hazard_findings(frame, phrases(study, made), references=made.references))
    assert "channel “b [x]: y”" in said
    assert "channel “line break”" in said
    assert "[T." not in said


def test_figures_over_tenure_are_described_by_labels(study: Study) -> None:
    made = models(study)[0]
    figure, *_ = _schoenfeld(
        study, made, ["channel[T.b [x]: y]", "seats"], pd.Series({"channel[T.b [x]: y]": 0.01, "seats": 0.02})
    )
    assert isinstance(figure, Figure)
    assert figure.alt.startswith("Log hazard ratio against tenure for channel: b [x]: y, seats; ")


def test_factors_of_an_interaction_are_told_from_colons_in_levels() -> None:
    assert factors_of("ad[T.a: [b]]") == ["ad[T.a: [b]]"]
    assert factors_of("ad[T.a: b]:low:plan[T.x:y]") == ["ad[T.a: b]", "low", "plan[T.x:y]"]
    assert factors_of("ad[T.a [b]:low") == ["ad[T.a [b]", "low"]  # a lone bracket in a level
    assert covariate_label("ad[T.a\r\n b]") == "ad: a b"
    assert factor_level("ad[T.a\nb]") == ("ad", "a b")


def test_long_names_can_be_broken_in_tables_of_the_page() -> None:
    long = "utm_campaign=" + "x" * 60 + "&y"
    page = table_html(Table("t", "T", pd.DataFrame({"cohort": [long, "a b"], long: [1.0, 2.0]})))
    assert "utm_campaign=xxxxxxxxxxx<wbr>" in page
    assert "&amp;y" in page
    assert max(len(word) for word in re.split(r"<wbr>|[\s<>]", re.sub(r"<[^>]*>", " ", page))) <= 28
    assert page.count("<wbr>") == 5  # three in the cell, two in the header


def test_code_is_code_and_user_text_is_text() -> None:
    assert prose_html("with `spells: all` & <b>") == "with <code>spells: all</code> &amp; &lt;b&gt;"
    assert prose_html("a ` lone one") == "a ` lone one"
    assert prose_markdown("with `spells: all` *and* <b>") == "with `spells: all` \\*and\\* \\<b\\>"
    note = Table("t", "T", pd.DataFrame({"a": ["`x`"]}), notes=("With `retention.landmark` cohorts",))
    assert "With <code>retention.landmark</code> cohorts" in table_html(note)
    assert "`x`</th>" in table_html(note), "a cell is data"


def test_long_names_leave_figures_their_size() -> None:
    long = "plan[T." + "x" * 300 + "]"
    ratios = pd.DataFrame(
        {"covariate": ["low", long, long], "row": ["a", "a", "b\nc" + "y" * 300], "hazard_ratio": 2.0, "ci_lower": 1.5, "ci_upper": 2.5,
         "p": 0.01}
    )  # fmt: skip
    drawn = grouped_forest(ratios, row="row", notes={long: "p = 0.02"}, note_title="Test")
    assert drawn.get_figwidth() < 10.5
    texts = [text.get_text() for text in drawn.texts]
    assert "p = 0.02" in texts
    assert max(map(len, texts)) < 70
    assert not any("\n" in text for text in texts)
    spread = {"minimum": -0.1, "p1": -0.05, "p99": 0.05, "maximum": 0.1, "change_low": -0.01, "change_high": 0.01}
    distribution = pd.DataFrame([{"covariate": name, **spread} for name in ("low", long)])
    strongest = pd.DataFrame({"covariate": ["low"], "in_errors": [0.1], "refitted": [False]})
    assert influence(distribution, strongest).get_figwidth() < 10.5


def test_a_result_that_quotes_data_keeps_its_backticks() -> None:
    said = "Customers with plan “`tick`” left"
    report = Report("T", "", (Bullets((said,)), Findings((Finding("x", "note", "y", "set `lag: 30`"),))), {}, "")
    page = to_html(report)
    assert said in page
    assert "set <code>lag: 30</code>." in page
    assert "“\\`tick\\`”" in to_markdown(report)
    assert "set `lag: 30`." in to_markdown(report)
