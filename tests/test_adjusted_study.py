"""Adjusted curves in the reports: the numbers of the library on the study's customers, the sentence, missing values, redrawing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from captions import complaints, figures_of

from survival.churn.stays import stays
from survival.errors import ConfigError
from survival.estimate.adjusted import adjusted_curves
from survival.estimate.adjustments import holm
from survival.estimate.cox import cox
from survival.experiment import run as runs
from survival.experiment.adjusted import adjusted_of, at_tenures, curve_rows
from survival.experiment.adjusted_blocks import adjusted_section, adjusted_sentence
from survival.experiment.adjusted_partial import partial_blocks
from survival.experiment.config import load
from survival.experiment.models import Models, models
from survival.experiment.progress import steps
from survival.experiment.rerender import rerender
from survival.experiment.study import Study, opened
from survival.experiment.terms import terms_blocks
from survival.report.document import Figure, Table
from survival.report.tables import read_csv
from survival.simulate import simulate

CONFIG: dict[str, Any] = {
    "title": "Alike?",
    "study": "cohort_retention",
    "data": {
        "tables": {n: {"path": f"data/{n}.parquet"} for n in ("customers", "subscriptions", "usage")},
        "observed": {"from": "2023-01-01", "until": "2024-12-31"},
    },
    "churn": {
        "cancellation": {"kind": "cancellation"},
        "inactivity": {"kind": "inactivity", "window": 30, "spells": "all"},
    },
    "cohorts": {"by": "plan"},
    "retention": {"at": [90, 365], "revenue": False, "billing": False, "conditional": []},
    "adjusted": {"for": ["segment", "log(seats)"]},
    "model": {"churn": "cancellation"},
    "figures": ["svg"],
}
AT = [90, 365]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adjusted")
    (folder / "configs").mkdir()
    (folder / "configs" / "alike.yaml").write_text(yaml.safe_dump(CONFIG))
    simulate("crm", customers=400, seed=5, out=folder / "data")
    runs.run_all([folder / "configs" / "alike.yaml"], [], None, False, runs.Console(quiet=True))
    return folder


def table(project: Path, name: str) -> pd.DataFrame:
    return read_csv(project / "results" / "alike" / "tables" / f"{name}.csv")


@contextmanager
def studied(project: Path, *overrides: str) -> Iterator[Study]:
    experiment = load(project / "configs" / "alike.yaml", overrides)[0]
    with steps(runs.Console(quiet=True)) as step, opened(experiment, project, step) as study:
        yield study


@pytest.mark.parametrize("name", ["cancellation", "inactivity"])
def test_the_tables_hold_the_curves_of_the_library(project: Path, name: str) -> None:
    """From flows and, where customers return, from their spells with a variance by customer."""
    with studied(project, f"model.churn={name}") as study:
        frame = stays(study.spells(name), ["plan", "segment", "seats"])
        of_study = adjusted_of(study, name)
        assert of_study is not None
        found, rows = at_tenures(study, of_study), curve_rows(of_study)
        crude = study.curves(name).at(AT)
    customer = {"customer": "customer", "spell": "spell"} if name == "inactivity" else {"robust": False}
    fit = cox(frame, "segment + log(seats)", strata="plan", start="start", **customer)
    made = adjusted_curves(fit, frame, "plan")
    assert made.variance == {"cancellation": "model", "inactivity": "robust"}[name]
    at = made.at(AT)
    assert found["group"].tolist() == at["by"].tolist()
    assert found["at_risk"].tolist() == at["at_risk"].tolist()
    for column, of in (("adjusted", "retention"), ("adjusted_lower", "ci_lower"), ("adjusted_upper", "ci_upper")):
        assert found[column].to_numpy() == pytest.approx(at[of].to_numpy(), rel=1e-8)
    curves = rows[rows["curve"] == "adjusted"]
    assert curves["retention"].to_numpy() == pytest.approx(made.tidy()["retention"].to_numpy(), rel=1e-8)
    assert found["observed"].to_numpy() == pytest.approx(crude["retention"].to_numpy(), rel=1e-10)
    assert found["observed_lower"].to_numpy() == pytest.approx(crude["ci_lower"].to_numpy(), rel=1e-10)
    if name == "cancellation":
        pd.testing.assert_frame_equal(table(project, "adjusted_at_cancellation"), found, check_dtype=False, rtol=1e-12)


def test_every_figure_says_what_is_seen_of_whom_and_how(project: Path) -> None:
    figures = list(figures_of(project / "results" / "alike"))
    assert "adjusted_retention_cancellation" in {name for name, *_ in figures}
    assert complaints(figures) == []


def test_returns_follow_the_axis_of_the_config(project: Path) -> None:
    figure = "retention.figure={rows: [churned], unit: months, until: 9, breaks: 3, scale: share, band: none}"
    with studied(project, "model.churn=inactivity", figure) as study:
        made = {b.name: b.figure for b in terms_blocks(study, "inactivity") if isinstance(b, Figure)}
    for name in ("stays_inactivity", "departures_inactivity"):
        axes = made[name].axes[0]
        assert axes.get_xlim() == (0, 9 * 30.4375)
        assert [t.get_text() for t in axes.get_xticklabels()] == ["0", "3", "6", "9"]
    stays = made["stays_inactivity"]
    assert [axes.get_gid() for axes in stays.axes[1:]] == ["churned-table"]
    assert [t.get_text() for t in stays.axes[0].get_yticklabels()][-1] == "1.0"
    assert not stays.axes[0].collections, "no bands"


def test_differences_are_from_the_reference_of_the_report(project: Path) -> None:
    found = table(project, "adjusted_at_cancellation")
    reference = found["reference"].unique().tolist()
    assert reference == table(project, "retention_differences_cancellation")["reference"].unique().tolist()
    for kind in ("observed", "adjusted"):
        base = found.set_index(["group", "tenure"])[kind]
        for row in found[found["group"] != reference[0]].to_dict("records"):
            expected = row[kind] - base[reference[0], row["tenure"]]
            assert row[f"{kind}_difference"] == pytest.approx(expected, abs=1e-12)
            assert row[f"{kind}_difference_lower"] < expected < row[f"{kind}_difference_upper"]
    assert found.loc[found["group"] == reference[0], "adjusted_difference"].isna().all()
    known = found["p"].notna()
    assert found.loc[known, "p_adjusted"].to_numpy() == pytest.approx(holm(found.loc[known, "p"].to_numpy()), rel=1e-12)


def test_the_sentence_has_both_differences_and_claims_no_cause(project: Path) -> None:
    found = table(project, "adjusted_at_cancellation").query("tenure == 365")
    row = found.loc[found["observed_difference"].abs().idxmax()]
    text = (project / "results" / "alike" / "report.md").read_text()
    said = next(
        line for line in text.splitlines() if line.startswith("- ") and "adjusted for segment and seats it was" in line
    )
    for kind in ("observed", "adjusted"):
        assert f"{abs(100 * row[f'{kind}_difference']):.1f} points" in said
    assert f"retention of {row['group']}" in said
    assert "adjusted for segment and seats it was" in said
    assert "(the largest of 2 differences)" in said
    caption = next(line for line in text.splitlines() if "direct standardisation)." in line)
    with studied(project) as study:
        spells = study.spells("cancellation")
        assert f"{spells.customers:,} customers, {spells.churns:,} churns." in caption
    assert "they do not show" in caption or "do not show what would happen" in caption
    assert not re.search(r"\b(caus|effect of|because|due to|drive)", said + caption)
    assert "Makuch RW. Adjusted survival curve" in text


def test_figures_are_drawn_again_from_the_csv_alone(project: Path, tmp_path: Path) -> None:
    saved = tmp_path / "alike"
    shutil.copytree(project / "results" / "alike", saved)
    figure = saved / "figures" / "adjusted_retention_cancellation.svg"
    before = figure.read_bytes()
    figure.unlink()
    rerender(saved)
    assert figure.read_bytes() == before


def test_of_another_column_and_by_weights(project: Path) -> None:
    by = "adjusted={by: plan, for: [country], method: marginal}"
    with studied(project, by) as study:
        made = adjusted_of(study, "cancellation")
        assert made is not None
        assert made is adjusted_of(study, "cancellation")
        frame = stays(study.spells("cancellation"), ["plan", "country"])
        fit = cox(frame, "country", strata="plan", start="start", customer="customer", spell="spell")
        expected = adjusted_curves(fit, frame, "plan", method="marginal").at(AT)
        assert made.curves.at(AT)["retention"].to_numpy() == pytest.approx(expected["retention"].to_numpy(), rel=1e-10)
        assert made.reference == frame["plan"].value_counts().index[0]
        said = adjusted_sentence(study, "cancellation")
        assert said is not None
        assert f"than that of those with plan “{made.reference}” as observed" in said
        blocks = adjusted_section(study, [Models("cancellation", made.fit, {})])
        caption = next(b.caption for b in blocks if hasattr(b, "caption"))
        assert "customers weighted so that every group has the country of all" in caption
        assert study.topics == ["adjusted-weights"]


def test_without_intervals_there_are_none(project: Path) -> None:
    with studied(project, "retention.interval=none") as study:
        said = adjusted_sentence(study, "cancellation")
        assert said is not None
        assert "CI" not in said


@pytest.mark.parametrize("how", ["error", "drop", "level"])
def test_missing_values_follow_the_config(project: Path, how: str) -> None:
    """The channel of some customers is not known."""
    people = pd.read_parquet(project / "data" / "customers.parquet").drop_duplicates("customer_id")
    assert people["channel"].isna().any()
    with studied(project, "adjusted={for: [channel]}", f"model.missing={how}") as study:
        made = adjusted_of(study, "cancellation")
        frame = stays(study.spells("cancellation"), ["plan", "channel"])
        empty = frame["channel"].isna()
        notes = {f.id: f for f in study.findings()}
        if how == "error":
            assert made is None
            assert f"'channel' has no value for {empty.sum()} customers" in notes["no-model"].message
            assert adjusted_section(study, []) == []
            return
        assert made is not None
        if how == "drop":
            assert made.customers == (~empty).sum()
            assert f"{empty.sum()} of {len(frame)} customers" in notes["missing-dropped"].message
        else:
            assert made.customers == len(frame)
            assert made.fit.names[-1] == "channel[T.(missing)]"  # last of the levels, and not the reference
        assert made.events == frame.loc[~empty | (how == "level"), "event"].sum()


def test_the_group_without_a_value_is_last(project: Path) -> None:
    with studied(project, "adjusted={by: channel, for: [segment]}", "model.missing=level") as study:
        made = adjusted_of(study, "cancellation")
        assert made is not None
        groups = list(made.curves.groups)
        assert groups[-1] == "(missing)"
        assert groups[:-1] == sorted(groups[:-1])
        assert list(dict.fromkeys(curve_rows(made)["group"])) == groups


def test_groups_of_one_kind_have_no_part(project: Path) -> None:
    with studied(project, "cohorts=null", "adjusted={by: plan, for: [segment]}") as study:
        assert adjusted_of(study, "cancellation") is not None
    with studied(project, "data.tables.customers.where={plan: [basic]}") as study:
        assert adjusted_of(study, "cancellation") is None
        assert "has only one" in study.findings()[-1].message
    with studied(project, "adjusted=null") as study:
        assert adjusted_of(study, "cancellation") is None
        assert not [f for f in study.findings() if f.subject == "adjusted"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["adjusted={for: [segmnt]}"], "adjusted.for: 'segmnt' is no column of customers. Did you mean 'segment'?"),
        (["adjusted={for: [low], by: plan}", "indicators.low={kind: usage, window: 28, below: 5}"], "'low' is an indicator: it changes"),
        (["adjusted={for: [segment]}", "cohorts=null"], "adjusted.by: 'cohort' is named, but the config has no `cohorts:`"),
        (["adjusted={for: []}"], "adjusted.for"),
        (["adjusted={for: ['segment +']}"], "cannot be read"),
        (["adjusted={for: [segment], method: average}"], "Allowed: conditional, marginal"),
    ],
)  # fmt: skip
def test_names_that_mean_nothing_are_said_before_anything_is_computed(
    project: Path, overrides: list[str], said: str
) -> None:
    with pytest.raises(ConfigError) as error:
        runs.prepare([project / "configs" / "alike.yaml"], overrides, None)
    assert said in str(error.value)


def test_columns_are_read_though_no_model_names_them(project: Path) -> None:
    with studied(project, "adjusted={by: signup_year, for: [country]}") as study:
        assert isinstance(study, Study)
        made = adjusted_of(study, "cancellation")
        assert made is not None
        assert made.curves.covariates == ("country",)
        assert np.isfinite(made.fit.coefficients).all()


def test_what_the_model_predicts(project: Path) -> None:
    """Values, what the others are held at, and the numbers of `fit.partial_effects`."""
    formula = "model={churn: cancellation, formula: low + plan + seats, partial_effects: [low, seats, plan]}"
    with studied(
        project, formula, "indicators.low={kind: usage, window: 28, below: 5}", "labels.low=little use"
    ) as study:
        (made,) = models(study)
        blocks = partial_blocks(study, [made])
        frame = study.episodes("cancellation")
    tables = {b.name: b for b in blocks if isinstance(b, Table)}
    figures = {b.name: b for b in blocks if isinstance(b, Figure)}
    assert list(figures) == [f"partial_effects_cancellation_{n}" for n in ("low", "seats", "plan")]
    seats = float(np.average(frame["seats"], weights=frame["stop"] - frame["start"]))
    expected = made.full.partial_effects("low", at={"plan": "basic", "seats": seats}, tenures=AT)
    found = tables["partial_effects_cancellation_low_at"].frame
    assert found["value"].tolist() == ["off", "off", "on", "on"]
    assert found["retention"].to_numpy() == pytest.approx(expected["retention"].to_numpy(), rel=1e-12)
    values = np.unique(np.quantile(frame["seats"], [0.1, 0.5, 0.9], method="nearest"))
    assert tables["partial_effects_cancellation_seats_at"].frame["value"].unique().tolist() == values.tolist()
    display = tables["partial_effects_cancellation_plan_at"].display
    assert display is not None
    assert display.columns.tolist() == ["Plan", "90 days (95% CI)", "365 days (95% CI)"]
    caption = figures["partial_effects_cancellation_plan"].caption
    assert f"(little use: off; seats: {seats:.3g})" in caption
    assert "Not what would happen if a value were changed" in caption


def test_predictions_of_what_the_model_does_not_have(project: Path) -> None:
    with pytest.raises(ConfigError) as error:
        runs.prepare([project / "configs" / "alike.yaml"], ["model={formula: plan, partial_effects: [plam]}"], None)
    assert "model.partial_effects: the model has no 'plam'. Did you mean 'plan'?" in str(error.value)
