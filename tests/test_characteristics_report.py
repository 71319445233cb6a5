"""Table 1 in the reports: columns, notes, masked counts, every format."""

from __future__ import annotations

import io
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from survival.cohorts import COHORT
from survival.errors import ConfigError
from survival.estimate.characteristics import characteristics
from survival.experiment.columns import check_names
from survival.experiment.config import load
from survival.experiment.study import opened
from survival.report.characteristics import Column, characteristics_display, hides, spread_display
from survival.report.document import Table
from survival.report.docx import table_docx
from survival.report.tables import numeric_columns, read_csv, table_latex
from survival.simulate import simulate

HERE = Path(__file__).parent
ROOT = HERE.parent


# --- reports -----------------------------------------------------------------------------------------------------------


class Quiet:
    def __call__(self, name: str) -> None: ...

    def part(self, done: int, total: int) -> None: ...


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("characteristics")
    (folder / "configs").mkdir()
    for name in ("crm_hazard_ratios", "crm_cohort_retention", "crm_churn_definitions"):
        shutil.copy(ROOT / "configs" / f"{name}.yaml", folder / "configs")
    simulate("crm", customers=400, seed=3, out=folder / "data" / "crm")
    return folder


def blocks_of(project: Path, name: str, *overrides: str, by_cohort: bool) -> tuple[Table, Any]:
    from survival.experiment.characteristics import characteristics_blocks

    experiment, _ = load(project / "configs" / f"{name}.yaml", list(overrides))
    with opened(experiment, project, Quiet()) as study:  # type: ignore[arg-type]
        (table,) = characteristics_blocks(study, by_cohort=by_cohort)
        assert isinstance(table, Table)
        first = study.definitions[0]
        told = {
            "customers": study.spells(first).customers,
            "days": study.spells(first).person_days,
            "cohorts": study.cohort_labels(first),
            "curves": study.flows(first),
            "episodes": study.built(first).frame() if study.covariates else None,
        }
        return table, told


def test_hazard_ratios_has_entry_beside_customer_days(project: Path) -> None:
    table, told = blocks_of(
        project, "crm_hazard_ratios", "characteristics.columns=[seats, channel]", "sensitivity={}", by_cohort=False
    )
    frame, episodes_ = table.frame, told["episodes"]
    entry, days = (frame[frame["basis"] == basis] for basis in ("customers", "customer days"))
    assert set(entry["total"]) == {told["customers"]}
    assert set(days["total"]) == {told["days"]}
    for variable, rows in entry[entry["kind"] != "number"].groupby("variable"):
        assert rows["n"].sum() + rows["missing"].iloc[0] == told["customers"], variable
    length = episodes_["stop"] - episodes_["start"]
    first = episodes_.drop_duplicates("customer")
    for flag in ("low_usage", "overdue"):
        on = frame[(frame["variable"] == flag) & (frame["level"] == "yes")].set_index("basis")
        assert on.loc["customer days", "share"] == pytest.approx(float((length * episodes_[flag]).sum() / length.sum()))
        assert on.loc["customers", "n"] == int(first[flag].sum())
    display = table.display
    assert display is not None
    assert list(display["Characteristic"][:2]) == ["low usage", "usage halved"]
    assert "plan" in list(display["Characteristic"])
    assert "\u2003basic" in list(display["Characteristic"])
    assert "seats, median (Q1–Q3)" in list(display["Characteristic"])
    assert display.columns[1] == f"At entry, N\u00a0=\u00a0{told['customers']}"
    assert numeric_columns(display) == [False, True, True]
    assert any("% enter on their first day" in note for note in table.notes)


def test_cohorts_with_indicators_have_everybodys_customer_days(project: Path) -> None:
    low = "indicators={low_usage: {kind: usage, measure: quantity, window: 28, below: 5}}"
    table, told = blocks_of(
        project, "crm_cohort_retention", "cohorts={by: segment}", "adjusted=null", "model={churn: cancellation, formula: low_usage}", low,
        "characteristics={columns: [], tests: true}", by_cohort=True,
    )  # fmt: skip
    frame, display = table.frame, table.display
    days = frame[frame["basis"] == "customer days"]
    assert days[["smd", "smd_by_chance", "p"]].isna().all(axis=None)  # of entry only
    totals = days[days["level"] == "yes"].set_index("group")["total"]
    assert totals["all"] == told["days"] == totals.drop("all").sum()
    assert display is not None
    assert display.columns[2] == f"Share of {told['days']:,} customer days"
    on = days[(days["group"] == "all") & (days["level"] == "yes")]["share"].item()
    assert display.loc[0, display.columns[2]] == f"{100 * on:.1f}%"


def test_cohorts_are_columns_that_add_up_to_overall(project: Path) -> None:
    table, told = blocks_of(
        project, "crm_cohort_retention", "cohorts={by: plan}", "adjusted=null", "model.churn=cancellation",
        "characteristics={columns: [segment, seats, channel]}", by_cohort=True,
    )  # fmt: skip
    frame = table.frame
    assert set(frame["basis"]) == {"customers"}
    assert set(frame["variable"]) == {"segment", "seats", "channel"}  # not plan, which the columns are
    sizes = frame.drop_duplicates("group").set_index("group")["total"]
    assert sizes["all"] == told["customers"] == sizes.drop("all").sum()
    patterns = told["curves"].patterns[COHORT]
    for cohort in told["cohorts"]:
        mine = told["curves"].pattern == patterns.index[patterns == cohort][0]
        assert sizes[cohort] == told["curves"].began[mine].sum()
    assert frame["smd"].notna().all()
    display = table.display
    assert display is not None
    assert [str(c).split(",")[0] for c in display.columns] == [
        "Characteristic", "Overall", "basic", "pro", "starter", "SMD (by chance)",
    ]  # fmt: skip
    assert numeric_columns(display) == [False] + [True] * 5
    assert not any(word in " ".join(table.notes) for word in ("p:", "Wilcoxon"))


def test_many_cohorts_are_told_by_their_extremes_and_p_is_there_when_asked_for(project: Path) -> None:
    table, _ = blocks_of(
        project, "crm_cohort_retention", "model.churn=cancellation",
        "characteristics={columns: [segment, seats], tests: true}", by_cohort=True,
    )  # fmt: skip
    display = table.display
    assert display is not None
    assert [str(c).split(",")[0] for c in display.columns] == [
        "Characteristic", "Overall", "Lowest cohort", "Highest cohort", "SMD (by chance)", "p",
    ]  # fmt: skip
    frame = table.frame
    assert set(frame.loc[frame["variable"] == "seats", "test"]) == {"Kruskal-Wallis"}
    small = frame[(frame["level"] == "small") & (frame["group"] != "all") & (frame["total"] >= 10)]
    lowest = small.loc[small["share"].idxmin()]
    row = display[display["Characteristic"] == "\u2003small"].iloc[0]
    assert row["Lowest cohort"].startswith(f"{100 * lowest['share']:.1f}% ({lowest['group']}")
    assert any("falls as the number of customers grows" in note for note in table.notes)
    assert any("* Not observed from signup" in note for note in table.notes)


def test_definitions_stand_beside_each_other_and_none_is_split_by_its_outcome(project: Path) -> None:
    two = "churn={cancellation: {kind: cancellation}, silent: {kind: inactivity, window: 30}}"
    table, _ = blocks_of(project, "crm_churn_definitions", two, "model.formula=plan + overdue", by_cohort=False)
    assert set(table.frame["definition"]) >= {"cancellation", "silent"}
    assert set(table.frame["group"]) == {"all"}
    assert table.display is not None
    said = " ".join(map(str, table.display.columns))
    assert "cancellation" in said
    assert "silent" in said
    assert "churned" not in said


def test_a_cohort_in_the_formula_is_a_characteristic_in_its_own_order(project: Path) -> None:
    table, _ = blocks_of(
        project, "crm_hazard_ratios", "cohorts={by: seats, cuts: [5, 20]}", "model={formula: cohort, churn: cancellation}",
        "characteristics={}", "sensitivity={}", by_cohort=False,
    )  # fmt: skip
    assert table.display is not None
    assert table.display["Characteristic"].tolist() == [
        "cohort (seats)", "\u2003<5", "\u20035 to <20", "\u2003>=20", "seats, median (Q1–Q3)",
    ]  # fmt: skip


def test_a_report_has_the_table_before_its_first_figure_and_in_every_format(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from survival.experiment import run as runs

    config = yaml.safe_load((project / "configs" / "crm_cohort_retention.yaml").read_text())
    config |= {"study": "cohort_retention", "cohorts": {"by": "plan"}, "labels": {"segment": "size of company"}}
    config |= {"characteristics": {"columns": ["seats"]}, "figures": ["svg"], "adjusted": None}
    config["retention"] = {"at": [90], "conditional": [], "billing": False, "revenue": False}
    config["data"]["tables"].pop("usage")
    config["churn"] = {"cancellation": {"kind": "cancellation"}}
    config["data"]["tables"]["customers"]["columns"] = {"segment": "segment"}
    path = project / "configs" / "small.yaml"
    path.write_text(yaml.safe_dump(config))
    runs.run_all([path], [], None, False, runs.Console(quiet=True))
    folder = project / "results" / "small"
    kinds = sorted(p.suffix for p in (folder / "tables").glob("characteristics.*"))
    assert kinds == [".csv", ".docx", ".html", ".md", ".tex"]
    html = (folder / "report.html").read_text()
    assert html.index('id="table-characteristics"') < html.index("<figure")
    assert html.index('class="key"') < html.index('id="table-characteristics"')
    assert "size of company" in html  # a labelled column is described, under its label
    assert "Yang D, Dalton JE" in html
    frame = read_csv(folder / "tables" / "characteristics.csv")
    assert set(frame["variable"]) == {"seats", "segment"}


def test_a_characteristic_that_is_not_there_is_said_before_anything_is_computed(project: Path) -> None:
    path = project / "configs" / "crm_hazard_ratios.yaml"
    experiment, source = load(path, ["characteristics.columns=[contry]"])
    with pytest.raises(ConfigError, match=r"'contry' is no column of customers\. Did you mean 'country'"):
        check_names(path, experiment, source, project)


# --- display -----------------------------------------------------------------------------------------------------------


def small_table() -> pd.DataFrame:
    plans = ["basic"] * 20 + ["pro"] * 4 + [None] * 3
    return characteristics(pd.DataFrame({"plan": plans, "seats": [1.5, 2.5, *[np.nan] * 25]}))


def test_small_cells_are_masked() -> None:
    display = characteristics_display([Column("Overall", small_table())], mask_below=10)
    shown = dict(zip(display["Characteristic"], display["Overall"]))
    assert shown["\u2003basic"] == "20 (83.3%)"
    assert shown["\u2003pro"] == "<\u00a010"
    assert shown["seats, median (Q1–Q3)"] == "–"
    assert display["Overall"].tolist() == ["", "20 (83.3%)", "<\u00a010", "<\u00a010", "–", "25"]
    open_ = characteristics_display([Column("Overall", small_table())])
    assert open_["Overall"].tolist() == ["", "20 (83.3%)", "4 (16.7%)", "3", "2.00 (1.50–2.50)", "25"]


def test_customer_days_show_shares_only() -> None:
    display = characteristics_display([Column("Days", small_table(), days=True)], mask_below=10)
    assert display["Days"].tolist() == ["", "83.3%", "16.7%", "11.1%", "2.00 (1.50–2.50)", "92.6%"]


def test_levels_are_indented_in_latex_too() -> None:
    display = characteristics_display([Column("N\u00a0=\u00a027", small_table())])
    tex = table_latex(Table("characteristics", "Who", small_table(), display=display))
    assert r"\quad basic & 20 (83.3\%)" in tex
    assert "N~=~27" in tex


def test_a_word_table_has_columns_with_widths() -> None:
    """pandoc and others leave out a table whose grid has none."""
    table = Table(
        "characteristics", "Who", small_table(), display=characteristics_display([Column("All", small_table())])
    )
    with zipfile.ZipFile(io.BytesIO(table_docx(table))) as archive:
        text = archive.read("word/document.xml").decode()
    widths = [int(w) for w in re.findall(r'<w:gridCol w:w="(\d+)"/>', text)]
    assert len(widths) == 2
    assert widths[0] > widths[1] > 0  # the labels are longer than the numbers
    assert sum(widths) <= 9638
    assert ">\u2003basic<" in text


def test_a_negative_quartile_has_no_dash_before_it() -> None:
    table = characteristics(pd.DataFrame({"x": [-3.0, -2, -1, 0]}))
    assert characteristics_display([Column("All", table)])["All"].tolist() == ["−1.50 (−2.50 to −0.50)"]


def test_extremes_leave_out_groups_of_few() -> None:
    frame = pd.DataFrame({"vip": [True] * 3 + [False] * 3 + [True, False, True, True, False]})
    frame["g"] = ["tiny"] * 3 + ["a"] * 4 + ["b"] * 4
    table = characteristics(frame, by="g")
    groups = {str(g): rows for g, rows in table.groupby("group") if g != "all"}
    display = spread_display([Column("Overall", table[table["group"] == "all"])], groups, mask_below=4)
    assert display[["Lowest", "Highest"]].to_numpy().tolist() == [["25.0% (a)", "50.0% (b)"]]


def test_a_note_on_hidden_counts_needs_a_hidden_count() -> None:
    shown, hidden = pd.DataFrame({"x": ["12 (3%)", "< 0.001"]}), pd.DataFrame({"x": ["<\u00a010"]})
    assert not hides(shown, 10)
    assert hides(hidden, 10)
    assert hides(shown.set_axis(["a, N\u00a0<\u00a010"], axis=1), 10)
