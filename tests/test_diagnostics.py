"""The section "Model diagnostics": its numbers in a study."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import survival as sv
from survival.errors import ConfigError
from survival.experiment.config import load
from survival.experiment.diagnostics import agreement, customer_names, forms, numbers_of, outliers, strongest
from survival.experiment.diagnostics_blocks import CHECKS, diagnostics_blocks
from survival.experiment.kept_customers import pseudonyms
from survival.experiment.log_log import _without_curve, distances, log_log, log_log_curves
from survival.experiment.models import models
from survival.experiment.study import Study, opened
from survival.report import diagnostics_wording as words
from survival.report.document import Bullets, Figure, Paragraph, Section, Table
from survival.report.saved import document_files
from survival.simulate import simulate

ROOT = Path(__file__).resolve().parent.parent
SMALL = (
    "model.formula=low_usage + overdue + open_ticket + plan + seats + sessions",
    "indicators.sessions={kind: usage, measure: active_days, window: 28}", "model.subgroups=[]", "sensitivity={}", "lag_profile=[]",
    "update_every=7", "diagnostics=[functional_form, influence, calibration, outliers, log_log]",
)  # fmt: skip


class Quiet:
    def __call__(self, name: str) -> None: ...

    def part(self, done: int, total: int) -> None: ...


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("diagnostics")
    (folder / "configs").mkdir()
    shutil.copy(ROOT / "configs" / "crm_hazard_ratios.yaml", folder / "configs")
    simulate("crm", customers=500, seed=4, out=folder / "data" / "crm")
    return folder


def loaded(project: Path, *settings: str) -> Any:
    return load(project / "configs" / "crm_hazard_ratios.yaml", (*SMALL, *settings))[0]


@pytest.fixture(scope="module")
def study(project: Path):  # type: ignore[no-untyped-def]
    with opened(loaded(project), project, Quiet()) as made:  # type: ignore[arg-type]
        yield made


# --- In a study ------------------------------------------------------------------------------------------------------


def test_the_form_of_numbers_only_is_checked(study: Study) -> None:
    made = models(study)[0]
    assert numbers_of(study, made) == ["seats", "sessions"]
    found = forms(study, made)
    assert found.tests["covariate"].tolist() == ["seats", "sessions"]
    assert (found.tests["events"] == made.full.events).all()
    for _, rows in found.bins.groupby("covariate"):
        assert rows["observed"].sum() == made.full.events
        assert rows["expected"].sum() == pytest.approx(made.full.events)
    assert found.curve.groupby("covariate").size().tolist() == [60, 60]


def test_a_number_that_two_terms_read_has_no_line_to_check(project: Path) -> None:
    formula = "model.formula=overdue + seats + I(seats * seats) + log(sessions + 1) + overdue:plan"
    with opened(loaded(project, formula), project, Quiet()) as polynomial:  # type: ignore[arg-type]
        assert numbers_of(polynomial, models(polynomial)[0]) == ["log(sessions + 1)"]


def test_several_definitions_are_told_apart(project: Path) -> None:
    two = (
        "churn.inactivity={kind: inactivity, window: 30}",
        "model.churn=[cancellation, inactivity]",
        "diagnostics=true",
    )
    with opened(loaded(project, *two, "model.formula=overdue + seats"), project, Quiet()) as both:  # type: ignore[arg-type]
        blocks = diagnostics_blocks(both, models(both))
    said = [text for b in blocks if isinstance(b, Bullets) for text in b.items]
    assert {text.split(":")[0] for text in said} == {"cancellation", "inactivity"}
    tables = {b.name: b.frame for b in blocks if isinstance(b, Table)}
    assert tables["risk_groups"]["definition"].unique().tolist() == ["cancellation", "inactivity"]
    assert sum(isinstance(b, Figure) for b in blocks) == 8


def test_customers_are_left_out_as_the_table_says(study: Study) -> None:
    made = models(study)[0]
    found = strongest(study, made)
    dfbeta = made.full.residuals("dfbeta", by="customer")
    assert found.customers["covariate"].unique().tolist() == list(made.full.names)
    assert 1 <= found.refits <= 8
    for name, rows in found.customers.groupby("covariate"):
        values = dfbeta[str(name)]
        assert rows["dfbeta"].abs().max() == pytest.approx(values.abs().max())
        assert [rows["dfbeta"].min(), rows["dfbeta"].max()] == pytest.approx([values.min(), values.max()])
    exact = found.customers[found.customers["refitted"]].iloc[0]
    code = dfbeta.loc[(dfbeta[exact["covariate"]] - exact["dfbeta"]).abs().idxmin(), "customer"]
    assert customer_names(study, [code])[code] == exact["customer"]
    frame = study.episodes("cancellation")
    again = sv.cox(frame[frame["customer"] != code], made.full.options.formula, start="start", customer="customer")
    ratio = again.tidy().set_index("covariate").loc[exact["covariate"], "hazard_ratio"]
    assert exact["hazard_ratio_without"] == pytest.approx(ratio)
    assert exact["change"] == pytest.approx(ratio / exact["hazard_ratio"] - 1)
    rest = found.customers[~found.customers["refitted"]]
    np.testing.assert_allclose(rest["hazard_ratio_without"], rest["hazard_ratio"] * np.exp(-rest["dfbeta"]))
    spread = found.spread.set_index("covariate")
    scaled = dfbeta[list(made.full.names)] / np.sqrt(np.diag(made.full.variance))
    np.testing.assert_allclose(spread.loc[list(made.full.names), "maximum"], scaled.max(), rtol=1e-9)
    np.testing.assert_allclose(spread.loc[list(made.full.names), "p1"], scaled.quantile(0.01), rtol=1e-9)


def test_groups_and_outliers_add_up_to_everybody(study: Study) -> None:
    made = models(study)[0]
    found = agreement(study, made)
    assert found.groups["observed"].sum() == found.cells["observed"].sum() == made.full.events
    assert found.groups["expected"].sum() == pytest.approx(made.full.events)
    assert found.groups["days"].sum() == pytest.approx(made.full.person_time)
    assert found.cells["days"].sum() == pytest.approx(made.full.person_time)
    assert found.groups["expected_rate"].is_monotonic_increasing
    people = outliers(study, made)
    assert people.bins["customers"].sum() == made.full.customers
    assert people.bins.loc[people.bins["churned"], "customers"].sum() == made.full.events
    assert len(people.listed) == 10
    assert people.listed["churned"].tolist() == [1] * 5 + [0] * 5
    deviance = made.full.residuals("deviance")["deviance"]
    assert people.listed["deviance"].iloc[0] == pytest.approx(deviance.max())
    assert people.listed["deviance"].iloc[5] == pytest.approx(deviance.min())
    assert people.far_churned + people.far_stayed == (deviance.abs() > 3).sum()


def test_log_log_curves_start_together(study: Study) -> None:
    made = models(study)[0]
    found, left_out = log_log_curves(study, made)
    assert left_out == {"seats": "a number, which has no levels", "sessions": "a number, which has no levels"} | {
        n: w for n, w in left_out.items() if "at risk" in w
    }
    assert set(made.full.terms) == set(found["covariate"]) | {n for n in left_out if ": " not in n}, (
        "each is drawn or named"
    )
    assert set(found["covariate"]) <= {"low_usage", "overdue", "open_ticket", "plan"}
    assert "low_usage" in set(found["covariate"])
    starts = found[found["covariate"] == "low_usage"].groupby("state")["tenure"].min()
    assert (starts >= 28).all(), "low usage cannot be on before its window has passed"
    assert found.groupby(["covariate", "state"]).size().max() <= 120
    apart = distances(found, {"plan": 0.2})
    assert apart.loc[apart["covariate"] == "plan", "reference"].unique().tolist() == ["basic"]
    assert (apart.loc[apart["covariate"] == "plan", "ph_p"] == 0.2).all()


def test_a_log_log_curve_is_that_of_the_hazard_since_the_common_start() -> None:
    t = np.arange(1.0, 9)
    off = pd.DataFrame({"by": "off", "tenure": t, "at_risk": 90, "events": 9, "hazard": 0.1, "se": np.sqrt(0.01 * t)})
    on = off.assign(by="on", hazard=0.2, at_risk=np.where(t < 3, 10, 60))
    rows = log_log(pd.concat([off, on]), 0.95)
    np.testing.assert_allclose(rows.loc[rows["state"] == "off", "log_cumulative_hazard"], np.log(0.1 * np.arange(1, 7)))
    np.testing.assert_allclose(rows.loc[rows["state"] == "on", "log_cumulative_hazard"], np.log(0.2 * np.arange(1, 7)))
    np.testing.assert_allclose(rows["ci_upper"].iloc[0] - np.log(0.1), 1.959964 * 0.1 / 0.1, rtol=1e-6)
    apart = distances(rows.assign(covariate="x"), {})
    assert apart[["since", "until"]].to_numpy().tolist() == [[4, 8]], "from ten churns at each level"
    np.testing.assert_allclose(apart[["first", "last"]].to_numpy(float), np.log(2))


def test_covariates_without_log_log_curves_are_named(project: Path) -> None:
    settings = ("model.formula=overdue + seats + C(plan, contr.treatment('pro')) + plan:overdue",)
    with opened(loaded(project, *settings), project, Quiet()) as there:  # type: ignore[arg-type]
        made = models(there)[0]
        found, left_out = log_log_curves(there, made)
        factor = "C(plan, contr.treatment('pro'))"
        assert found.loc[found["covariate"] == factor, "state"].iloc[0] == "pro", "the reference first"
        assert left_out["seats"] == "a number, which has no levels"
        assert left_out["plan:overdue"] == "an interaction"
        assert next(iter(left_out)) == "seats", "in the order of the formula"
        said = next(
            b.text for b in diagnostics_blocks(there, [made]) if isinstance(b, Paragraph) and "Without" in b.text
        )
        assert said.startswith("Without a curve: seats (a number, which has no levels); ")


def test_a_level_of_few_customers_has_no_curve_and_the_others_have() -> None:
    t = np.arange(1.0, 9)
    one = pd.DataFrame({"by": "a", "tenure": t, "at_risk": 90, "events": 9, "hazard": 0.1, "se": np.sqrt(0.01 * t)})
    rows = pd.concat([one, one.assign(by="b"), one.assign(by="few", at_risk=49), one.assign(by="none", hazard=0.0)])
    curves = log_log(rows, 0.95)
    assert curves["state"].unique().tolist() == ["a", "b"]
    assert _without_curve("plan", ["a", "b", "few", "none"], rows, curves) == {
        "plan: few": "never 50 customers at risk at once", "plan: none": "no churn while 50 customers are at risk at each level",
    }  # fmt: skip
    two = rows[rows["by"].isin(["a", "few"])]
    assert log_log(two, 0.95).empty
    assert _without_curve("plan", ["a", "few"], two, log_log(two, 0.95)) == {
        "plan": "never 50 customers at risk at once at few"
    }


def test_the_section_holds_what_the_config_asks_for(study: Study) -> None:
    blocks = diagnostics_blocks(study, models(study))
    assert next(b.title for b in blocks if isinstance(b, Section)) == "Model diagnostics"
    assert sum(isinstance(b, Section) and b.level == 3 for b in blocks) == len(CHECKS)
    assert sum(isinstance(b, Figure) for b in blocks) == len(CHECKS)
    figures = [b for b in blocks if isinstance(b, Figure)]
    assert all("customers" in f.caption and "churns" in f.caption for f in figures)
    tables = {b.name: b.frame for b in blocks if isinstance(b, Table)}
    assert {"functional_form", "influence", "risk_groups", "risk_group_tests", "outliers", "log_log_distances"} <= set(
        tables
    )
    assert all(set(f.source) <= set(tables) for f in figures)
    # Every figure is drawn from the tables of the report: none needs a file of its own.
    extra = document_files(study.report(blocks, headline=""), ["svg"])
    assert set(extra) == {"document.json"}
    assert not {"ci", "CI"} & {c for t in tables.values() for c in t.columns}


@pytest.mark.parametrize(("setting", "sections"), [("false", 0), ("[outliers]", 1), ("true", 4), ("[]", 0)])
def test_checks_are_chosen(project: Path, study: Study, setting: str, sections: int) -> None:
    experiment = loaded(project, f"diagnostics={setting}")
    original, study.config = study.config, experiment
    try:
        blocks = diagnostics_blocks(study, models(study))
    finally:
        study.config = original
    assert sum(isinstance(b, Section) and b.level == 3 for b in blocks) == sections
    assert bool(blocks) == bool(sections)


def test_a_model_of_flags_has_no_section_about_numbers_unless_asked(project: Path) -> None:
    experiment = loaded(project, "model.formula=overdue + plan + I(seats > 5)", "diagnostics=true")
    with opened(experiment, project, Quiet()) as small:  # type: ignore[arg-type]
        made = models(small)
        titles = [b.title for b in diagnostics_blocks(small, made) if isinstance(b, Section)]
        small.config = loaded(
            project, "model.formula=overdue + plan", "diagnostics=[functional_form]", "keep_customers=none"
        )
        asked = diagnostics_blocks(small, made)
        names = customer_names(small, [0, 1])
        small.config = loaded(project, "model.formula=overdue + plan", "keep_customers=ids")
        ids = customer_names(small, [0, 1])
        small.config = loaded(project, "model.formula=overdue + plan")
        hashed = customer_names(small, [0, 1])
    assert not any("number act" in title for title in titles)
    assert [type(b) for b in asked] == [Section, Section, Paragraph]
    assert set(names.values()) == {words.NOT_NAMED}
    assert len(set(ids.values())) == 2
    assert hashed == dict(zip(ids, pseudonyms(pd.Series(list(ids.values())))))


def test_a_misspelt_check_is_named(project: Path) -> None:
    with pytest.raises(ConfigError, match="diagnostics") as error:
        loaded(project, "diagnostics=[influense]")
    assert "influence" in str(error.value)
    assert len(str(error.value)) < 900


def test_bullets_are_whole_sentences(study: Study) -> None:
    blocks = diagnostics_blocks(study, models(study))
    said = [text for b in blocks if isinstance(b, Bullets) for text in b.items]
    assert len(said) >= 10
    assert all(text[0].isupper() or text[0].isdigit() for text in said)
    assert all(text.endswith(".") for text in said)
    assert not any("cause" in text or "nan" in text for text in said)
