"""Cohorts that are first observed after signup carry an asterisk, and its note, wherever the report names them."""

from __future__ import annotations

from pathlib import Path

from survival.experiment.adjusted_blocks import adjusted_blocks
from survival.experiment.comparisons import difference_sentence
from survival.experiment.config import load
from survival.experiment.retention_numbers import _rank_table, entering_late, rank_tests
from survival.experiment.study import opened
from survival.report.document import Figure, Table
from survival.report.tables import shown
from survival.simulate import simulate

CONFIG = """
title: Late
study: cohort_retention
data:
  tables: {customers: {path: data/customers.parquet}, subscriptions: {path: data/subscriptions.parquet}}
  observed: {from: 2023-01-01, until: 2024-12-31}
churn: {cancellation: {kind: cancellation}}
cohorts: {by: signup_year}
retention: {at: [90, 365], conditional: []}
adjusted: {for: [segment]}
"""


class Quiet:
    def __call__(self, name: str) -> None: ...

    def part(self, done: int, total: int) -> None: ...


def test_cohorts_first_observed_later_are_marked_in_adjusted_curves_and_tests(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "late.yaml").write_text(CONFIG, encoding="utf-8")
    simulate("crm", customers=400, seed=5, out=tmp_path / "data")
    two, _ = load(
        tmp_path / "configs" / "late.yaml",
        ("cohorts.by=segment", "adjusted=null", "data.tables.customers.where={segment: [mid, enterprise]}"),
    )
    with opened(two, tmp_path, Quiet()) as study:  # type: ignore[arg-type]
        assert difference_sentence(study, "cancellation") == (
            "Retention of enterprise did not differ clearly from that of mid at day 90 or 365 (adjusted for 2 comparisons)."
        )
    experiment, _ = load(tmp_path / "configs" / "late.yaml", ())
    with opened(experiment, tmp_path, Quiet()) as study:  # type: ignore[arg-type]
        assert entering_late(study, "cancellation") == {"2021": 366, "2022": 3}
        figure, at, *_ = adjusted_blocks(study, "cancellation")
        tests = _rank_table(study, rank_tests(study).assign(p_adjusted=0.001))
    assert isinstance(figure, Figure)
    assert isinstance(at, Table)
    groups, notes = shown(at)
    assert list(dict.fromkeys(groups.iloc[:, 0])) == ["2022*", "2023", "2024"], (
        "2021 is not observed at any of the tenures"
    )
    said = "* Not observed from signup: retention among those who were customers when first observed (2021 from day 366"
    assert any(note.startswith(said) for note in notes)
    assert said in figure.caption
    pairs, notes = shown(tests)
    assert {"2021*", "2022*", "2023", "2024"} <= {*pairs["Cohort"], *pairs["Against"]}
    assert "* Not observed from signup: compared at the tenures at which both cohorts are." in notes
