"""A report that was written can be made again from what lies beside it, to the byte, and figures from their CSV."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure as Drawing
from pandas.testing import assert_frame_equal
from report_demo import at_risk, hazard_ratios, report, retention

from survival.errors import ResultsError
from survival.experiment.rerender import rerender
from survival.plot import forest, retention_curves
from survival.plot.style import pdf_bytes, png_bytes, recipe_of, redrawn
from survival.report import Figure, Report, Table, write
from survival.report.plain import NotPlainError, decoded, encoded, frame_from, schema_of
from survival.report.saved import DOCUMENT, read_document
from survival.report.tables import csv_text


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_report_is_made_again_to_the_byte(tmp_path: Path) -> None:
    write(report(), tmp_path / "run", ("svg", "png", "pdf"))
    (tmp_path / "run" / "ledger.csv").write_text("kept\n")
    (tmp_path / "run" / "manifest.json").write_text('{"files": ["a"], "title": "t"}')
    before = contents(tmp_path / "run")
    rerender(tmp_path / "run")
    after = contents(tmp_path / "run")
    assert {"figures/forest.pdf", "figures/forest.svg", "figures/forest.png", "ledger.csv"} <= set(after)
    assert [n for n in after if after[n] != before.get(n)] == ["manifest.json"]
    assert set(after) == set(before)
    assert "report.html" in json.loads(after["manifest.json"])["files"]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_figures_follow_the_csv_beside_them(tmp_path: Path) -> None:
    frame, ratios = retention(["a", "b"]), hazard_ratios()
    figures = (
        Figure("whole", "t", "", "alt", retention_curves(frame), ("retention",)),
        Figure("part", "t", "", "alt", retention_curves(frame[frame["cohort"] == "b"], horizon=200.0)),
        Figure("chosen", "t", "", "alt", forest(ratios.query("model == 'univariable'").reset_index(drop=True))),
        Figure("beside", "t", "", "alt", retention_curves(frame.assign(cohort="c"), at_risk(["c"]))),
    )
    tables = (Table("retention", "t", frame, shown=False), Table("hazard_ratios", "t", ratios, shown=False))
    write(Report("t", blocks=(*figures, *tables)), tmp_path)
    saved = {b["name"]: b for b in json.loads((tmp_path / DOCUMENT).read_text())["report"]["blocks"]}
    where = {n: saved[n]["figure"]["arguments"][0][1]["frame"] for n in ("whole", "part", "chosen", "beside")}
    for place in where.values():
        del place["schema"]
    assert where == {
        "whole": {"table": "retention"},
        "part": {"table": "retention", "rows": [[31, 62]]},
        "chosen": {"table": "hazard_ratios", "rows": [[0, 5]]},
        "beside": {"csv": "figures/beside.csv"},
    }
    assert {p.name for p in (tmp_path / "figures").glob("*.csv")} == {"beside.csv", "beside.at_risk.csv"}
    again, formats = read_document(tmp_path)
    assert formats == ("svg", "png")
    assert [png_bytes(f.figure) for f in again.figures()] == [png_bytes(f.figure) for f in figures]
    text = (tmp_path / "tables" / "retention.csv").read_text()
    (tmp_path / "tables" / "retention.csv").write_text(text.replace(",0.9", ",0.2"))  # the drawing is of these numbers
    changed, _ = read_document(tmp_path)
    assert [png_bytes(a.figure) == png_bytes(b.figure) for a, b in zip(changed.figures(), figures)] == [
        False, False, True, True,
    ]  # fmt: skip


def test_a_figure_of_ones_own_is_kept_as_it_was_drawn(tmp_path: Path) -> None:
    drawing = Drawing(figsize=(2, 1))
    drawing.text(0.1, 0.1, "mine")
    write(Report("t", blocks=(Figure("mine", "t", "", "alt", drawing),)), tmp_path)
    before = contents(tmp_path)
    rerender(tmp_path)
    assert contents(tmp_path) == before
    with pytest.raises(ValueError, match="kept as png, svg only, not as pdf"):
        rerender(tmp_path, ("pdf",))
    assert contents(tmp_path) == before


FRAMES = {
    "numbers": pd.DataFrame({"a": [0.1 + 0.2, np.nan, -0.0, 1e-300, np.inf], "n": [1, 2, 3, 4, 5]}),
    "text": pd.DataFrame({"a": ["NA", "2024", "", "a,b\n\"c'", "é"], "b": [True, False, True, True, False]}),
    "none": pd.DataFrame({"a": ["x", None], "b": ["x", np.nan], "c": [None, None]}, dtype=object),
    "mixed": pd.DataFrame({"a": ["x", None, ""], "b": [1, "one", 2.5]}, dtype=object),
    "small": pd.DataFrame({"a": np.array([1, 2], "int8"), "b": np.array([1.5, np.nan], "float32")}),
    "category": pd.DataFrame(
        {
            "a": pd.Categorical(["b", "a", None], categories=["b", "unused", "a"], ordered=True),
            "n": pd.Categorical([3, 1, 3], categories=[3, 1]),
        }
    ),
    "other": pd.DataFrame({"d": pd.to_datetime(["2024-01-01", None]), "i": pd.array([1, None], "Int64")}),
    "empty": pd.DataFrame({"a": pd.Series([], dtype=float), "b": pd.Series([], dtype=object)}),
    "nothing": pd.DataFrame(),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_come_back_exactly(name: str) -> None:
    frame = FRAMES[name]
    schema = json.loads(json.dumps(schema_of(frame)))
    back = frame_from(csv_text(frame), schema)
    assert_frame_equal(back, frame, check_column_type=False)
    for column in frame.select_dtypes(object).columns:
        assert [type(v) for v in back[column]] == [type(v) for v in frame[column]]


def test_arguments_come_back_with_their_types() -> None:
    values = {
        "a": (1, "x", None, True), "b": {1: 2.5, "k": [np.float64(1.5), np.int64(3)]}, "c": np.array([1.5, 2.5]),
        "d": dt.date(2024, 2, 29), "e": {"map": {"tuple": ()}}, "f": float("inf"),
    }  # fmt: skip
    back = decoded(json.loads(json.dumps(encoded(values))))
    assert list(back) == list(values)
    assert back["a"] == values["a"]
    assert isinstance(back["a"], tuple)
    assert back["b"] == values["b"]
    assert [type(v) for v in back["b"]["k"]] == [np.float64, np.int64]
    assert back["c"].tolist() == [1.5, 2.5]
    assert (back["d"], back["e"], back["f"]) == (values["d"], values["e"], values["f"])
    with pytest.raises(NotPlainError, match="function cannot be saved"):
        encoded({"a": csv_text})


def test_what_cannot_be_read_is_said_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"document.json: cannot be read .*run its config again"):
        rerender(tmp_path)
    write(report(), tmp_path)
    saved = (tmp_path / DOCUMENT).read_text()
    for text, match in (
        ("{half", "is not what a run wrote"),
        (saved.replace('"version": 1', '"version": 99'), "another version"),
        (saved.replace("survival.plot.forest:forest", "os:system"), "os:system draws no figure"),
        (saved.replace('"Bullets"', '"Evil"'), "unknown block 'Evil'"),
    ):
        (tmp_path / DOCUMENT).write_text(text)
        with pytest.raises(ResultsError, match=match):
            rerender(tmp_path)
    (tmp_path / DOCUMENT).write_text(saved)
    (tmp_path / "tables" / "nasty.csv").unlink()
    with pytest.raises(ResultsError, match=r"nasty.csv: cannot be read"):
        rerender(tmp_path)


def test_pdf_has_the_same_bytes_each_time_and_no_date() -> None:
    first, second = (pdf_bytes(forest(hazard_ratios()), "A title") for _ in range(2))
    assert first == second
    assert first.startswith(b"%PDF")
    assert b"CreationDate" not in first
    recipe = recipe_of(forest(hazard_ratios()))
    assert recipe is not None
    assert pdf_bytes(redrawn(recipe), "A title") == first
