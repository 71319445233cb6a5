"""Hazard ratios by period, in subgroups and with other settings: the same numbers as from models written out by hand."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from captions import complaints, figures_of
from scipy import stats

import survival as sv
from survival.errors import ArgumentError, SurvivalError
from survival.estimate.hypotheses import compare_fits
from survival.estimate.wald import coefficients_are_equal, inflation, terms_are_zero
from survival.experiment import hazard_blocks
from survival.experiment import run as runs
from survival.experiment.config import load
from survival.experiment.models import models
from survival.experiment.periods import cuts_of, period_label, period_ratios
from survival.experiment.phrases import phrases, shown_labels
from survival.experiment.sensitivity import sensitivity
from survival.experiment.study import Study, opened
from survival.experiment.subgroups import _Interaction, _ordered, subgroup_ratios
from survival.report.detail_wording import (
    interaction_sentence,
    period_sentence,
    sensitivity_sentence,
    sensitivity_summary,
    subgroup_summary,
)
from survival.report.methods import references
from survival.report.methods_ratios import RATIO_TOPICS, ratio_topics
from survival.report.tables import read_csv
from survival.report.wording import Phrase
from survival.simulate import simulate

ROOT = Path(__file__).resolve().parent.parent
SMALL = (
    "model.formula=low_usage + overdue + open_ticket + plan", "model.periods=[120]", "model.subgroups=[plan, segment, overdue]",
    "sensitivity={churn: [inactivity], update_every: [14]}", "churn.inactivity={kind: inactivity, window: 30}", "lag_profile=[]",
)  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("details")
    (folder / "configs").mkdir()
    shutil.copy(ROOT / "configs" / "crm_hazard_ratios.yaml", folder / "configs")
    simulate("crm", customers=400, seed=3, out=folder / "data" / "crm")
    return folder


def config(project: Path) -> Path:
    return project / "configs" / "crm_hazard_ratios.yaml"


@pytest.fixture(scope="module")
def study(project: Path):  # type: ignore[no-untyped-def]
    experiment, _ = load(config(project), SMALL)
    with opened(experiment, project, Quiet()) as made:  # type: ignore[arg-type]
        yield made


class Quiet:
    def __call__(self, name: str) -> None: ...

    def part(self, done: int, total: int) -> None: ...


def test_periods_are_the_split_and_interacted_model(study: Study) -> None:
    made = models(study)[0]
    found = period_ratios(study, made, ["overdue", "plan[T.pro]"])
    assert found["covariate"].unique().tolist() == ["overdue", "plan[T.pro]", "plan[T.starter]"], (
        "a factor's levels go together"
    )
    assert found["period"].unique().tolist() == ["up to day 120", "from day 121"]
    frame = study.episodes("cancellation")
    cut = pd.concat(
        [
            frame[frame["start"] < 120].assign(
                stop=lambda d: d["stop"].clip(upper=120), event=lambda d: d["event"] * (d["stop"] <= 120), late=0
            ),
            frame[frame["stop"] > 120].assign(start=lambda d: d["start"].clip(lower=120), late=1),
        ]
    ).sort_values(["customer", "start"])
    cut.loc[(cut["late"] == 0) & cut.index.isin(cut.index[cut["late"] == 1]), "event"] = 0
    columns = {"o": cut["overdue"], "p": cut["plan"] == "pro", "s": cut["plan"] == "starter"}
    for name, values in columns.items():
        cut[f"{name}0"], cut[f"{name}1"] = values * (1 - cut["late"]), values * cut["late"]
    formula = "low_usage + open_ticket + " + " + ".join(f"{n}{k}" for n in columns for k in (0, 1))
    by_hand = (
        sv.cox(cut, formula, start="start", customer="customer", spell="spell", robust=True)
        .tidy()
        .set_index("covariate")
    )
    expected = by_hand.loc[[f"{n}{k}" for n in columns for k in (0, 1)]]
    np.testing.assert_allclose(found["hazard_ratio"], expected["hazard_ratio"], rtol=1e-6)
    np.testing.assert_allclose(found["ci_upper"], expected["ci_upper"], rtol=1e-6)
    assert found.drop_duplicates("period")["events"].sum() == made.full.events
    assert found["p_equal"].between(0, 1).all()


def test_default_cut_is_the_median_of_the_churned(project: Path) -> None:
    experiment, _ = load(config(project), ("model.formula=overdue",))
    with opened(experiment, project, Quiet()) as made:  # type: ignore[arg-type]
        frame = made.episodes("cancellation")
        assert cuts_of(made, "cancellation") == (int(frame.loc[frame["event"] == 1, "stop"].median()),)
    assert [period_label(0, 90), period_label(90, 365), period_label(365, math.inf)] == [
        "up to day 90",
        "day 91 to 365",
        "from day 366",
    ]


def test_subgroups_are_the_models_with_interactions(study: Study) -> None:
    made = models(study)[0]
    found = subgroup_ratios(study, made)
    by = dict(list(found.groupby("subgroup")))
    assert "plan[T.pro]" not in set(by["plan"]["covariate"]), "a factor is not compared within itself"
    assert "overdue" not in set(by["overdue"]["covariate"])
    frame = study.episodes("cancellation")
    options = {"start": "start", "customer": "customer", "spell": "spell", "robust": True}
    # segment is not in the formula: its own levels join the model.
    fit = sv.cox(frame, "segment + overdue:segment + low_usage + open_ticket + plan", **options)
    expected = fit.tidy().set_index("covariate")["hazard_ratio"].filter(like="overdue")
    mine = by["segment"].query("covariate == 'overdue'").set_index("level")
    levels = sorted(frame["segment"].unique())
    np.testing.assert_allclose(mine.loc[levels, "hazard_ratio"], expected, rtol=1e-6)
    names = [n for n in fit.names if n.startswith("overdue")]
    _, df, p = coefficients_are_equal(fit, names)
    assert df == len(levels) - 1
    assert mine["p_interaction"].iloc[0] == pytest.approx(p)
    assert mine.loc["all customers", "hazard_ratio"] == pytest.approx(
        made.full.tidy().set_index("covariate").loc["overdue", "hazard_ratio"]
    )
    assert mine.loc[levels, "events"].sum() == mine.loc["all customers", "events"] == made.full.events
    tests = found.drop_duplicates(["subgroup", "covariate"]).dropna(subset=["p_interaction"])
    assert (tests["p_adjusted"].dropna() >= tests["p_interaction"][tests["p_adjusted"].notna()]).all()
    levels_of_plan = tests["covariate"].str.startswith("plan[")
    assert tests.loc[levels_of_plan, "p_adjusted"].isna().all(), "the term is adjusted, not its single levels"
    family = tests[~levels_of_plan]
    assert set(family["covariate"]) == {"low_usage", "overdue", "open_ticket", "plan"}
    assert family["p_adjusted"].min() == pytest.approx(min(1, len(family) * family["p_interaction"].min()))


@pytest.mark.parametrize("test", ["likelihood ratio", "robust Wald"])
def test_interactions_are_tested_as_in_r(test: str) -> None:
    """tests/references/interaction.R: anova.coxph, and the linear hypothesis with the clustered variance."""
    references = ROOT / "tests" / "references"
    frame = pd.read_csv(references / "cox_rossi.csv").rename(columns={"fin": "x0", "age": "x1"})
    frame = frame.assign(customer=range(len(frame)), start=0, stop=frame["week"], event=frame["arrest"])
    level = np.digitize(frame["prio"], [2, 5])
    frame = frame.assign(g1=level == 1, g2=level == 2).astype(int)
    if test == "robust Wald":  # two episodes a customer
        early = frame.assign(stop=frame["stop"].clip(upper=26), event=frame["event"] * (frame["stop"] <= 26))
        frame = pd.concat([early, frame[frame["stop"] > 26].assign(start=26)], ignore_index=True)
        level = np.digitize(frame["prio"], [2, 5])
    plain = frame[["customer", "start", "stop", "event", "x0", "x1", "g1", "g2"]]
    options = {"start": "start", "stop": "stop", "event": "event", "customer": "customer"}
    made = _Interaction(options, plain, ("g1", "g2"), {k: (level == k).astype(float) for k in range(3)})
    name, *values = made.test(made.fit([0]), [0], 0)
    assert name == test, "clustered where a customer has several episodes"
    assert values == pytest.approx(json.loads((references / "interaction.json").read_text())[test], rel=1e-7)
    nobody = plain.assign(event=plain["event"] * ((level != 2) | (plain["x0"] == 0)))  # in one level no churn with x0
    lacks = _Interaction({**options, "not_estimable": "drop"}, nobody, made.main, made.inside)
    name, _, df, p = lacks.test(lacks.fit([0]), [0], 0)
    assert (name, df, 0 < p < 1) == ("robust Wald" if test == "robust Wald" else "Wald", 1, True), "of two levels"


def test_likelihood_ratios_are_those_of_nested_fits_and_a_penalty_leaves_wald_tests(study: Study) -> None:
    made = models(study)[0]
    assert set(subgroup_ratios(study, made)["interaction_test"]) == {"robust Wald"}  # `robust: true`
    model = study.config.model.model_copy(
        update={"robust": False, "subgroups": ("segment",), "formula": "overdue + plan"}
    )
    config, study.config = study.config, study.config.model_copy(update={"model": model})
    try:
        plain = models(study)[0]
        found = subgroup_ratios(study, plain).drop_duplicates("covariate").set_index("covariate")
        assert set(found["interaction_test"]) == {"likelihood ratio"}
        frame = study.episodes("cancellation")
        options = {"start": "start", "customer": "customer", "spell": "spell", "robust": False}
        small = sv.cox(frame, "segment + overdue + plan", **options)
        apart = sv.cox(frame, "segment + overdue:segment + plan", **options)
        expected = compare_fits(small, apart).iloc[1]
        mine = found.loc["overdue"]
        assert (mine["interaction_statistic"], mine["interaction_df"]) == (
            pytest.approx(expected["statistic"]),
            expected["df_change"],
        )
        assert mine["p_interaction"] == pytest.approx(expected["p"])
        # Of a factor one level's ratio is tested, the other's stays free in each subgroup.
        frame = frame.assign(pro=(frame["plan"] == "pro") * 1, starter=(frame["plan"] == "starter") * 1)
        fits = [
            sv.cox(frame, f"segment + overdue + starter:segment + {pro}", **options) for pro in ("pro", "pro:segment")
        ]
        assert found.loc["plan[T.pro]", "interaction_statistic"] == pytest.approx(
            compare_fits(*fits)["statistic"].iloc[1]
        )
        whole = compare_fits(small, sv.cox(frame, "segment + overdue + plan:segment", **options)).iloc[1]
        assert found.loc["plan", "level"] == "term as a whole"
        assert found.loc["plan", "interaction_statistic"] == pytest.approx(whole["statistic"])
        assert found.loc["plan", "interaction_df"] == whole["df_change"] == 2 * (frame["segment"].nunique() - 1)
        study.config = study.config.model_copy(update={"model": model.model_copy(update={"penalizer": 0.1})})
        assert set(subgroup_ratios(study, models(study)[0])["interaction_test"]) == {"Wald"}
    finally:
        study.config = config


def test_other_settings_are_what_their_config_gives(study: Study, project: Path) -> None:
    made = models(study)[0]
    found = sensitivity(study, made).set_index(["value", "covariate"])
    other, _ = load(config(project), (*SMALL, "update_every=14"))
    with opened(other, project, Quiet()) as there:  # type: ignore[arg-type]
        expected = models(there)[0].full
    mine = found.loc["covariates read every 14 days"]
    np.testing.assert_allclose(mine["hazard_ratio"], expected.tidy()["hazard_ratio"])
    assert mine["events"].unique().tolist() == [expected.events]
    silent = found.loc["churn: inactivity"]
    assert silent.loc["low_usage", "said"] == "not compared"
    assert silent["said"].drop("low_usage").unique().tolist() == [""]
    assert silent["hazard_ratio"].notna().sum() == 4
    np.testing.assert_allclose(found.loc["as configured", "hazard_ratio"], made.full.tidy()["hazard_ratio"])


def test_the_report_holds_all_of_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hazard_blocks, "PH_ALPHA", 1.01)  # so that the figures of ratios that change are there
    runs.run_all([config(project)], SMALL, None, False, runs.Console(quiet=True))
    folder = project / "results" / "crm_hazard_ratios"
    text = (folder / "report.md").read_text()
    assert "interactions were tested" in text
    assert "Right: robust Wald test of interaction, not adjusted" in text
    assert "a likelihood-ratio test is not valid: the likelihood does not know" in text  # the footnote of the table
    tested = read_csv(folder / "tables" / "interactions_cancellation.csv")
    assert len(tested) == len(tested.drop_duplicates(["subgroup", "covariate"])) > 6
    assert "The model was fitted again with covariates read every 14 days and churn defined as inactivity." in text
    assert set(read_csv(folder / "tables" / "subgroups.csv")["subgroup"]) == {"plan", "segment", "overdue"}
    assert len(read_csv(folder / "tables" / "sensitivity.csv")) == 3 * 5
    for name in ("subgroups_cancellation_plan", "subgroups_cancellation_segment", "sensitivity_cancellation"):
        assert (folder / "figures" / f"{name}.svg").exists()
    figures = list(figures_of(folder))
    assert {"schoenfeld_cancellation", "periods_cancellation", "baseline_hazard_cancellation"} <= {
        name for name, *_ in figures
    }
    assert complaints(figures) == []


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.subgroups=[segmnt]", r"subgroups.*'segmnt' is no column of customers.*Did you mean 'segment'"),
        ("model.subgroups=[cohort]", "Add one, such as"),
        ("sensitivity.churn=[silence]", r"sensitivity.*no definition 'silence' under churn"),
    ],
)
def test_names_that_mean_nothing_are_refused_with_their_place(project: Path, override: str, said: str) -> None:
    with pytest.raises(SurvivalError, match=said):
        runs.prepare([config(project)], ["cohorts=null", override], None)


def test_wald_tests() -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(
        {"x": rng.normal(size=300), "g": rng.choice(list("abc"), 300), "stop": rng.exponential(1, 300), "event": 1}
    )
    fit = sv.cox(frame, "x + g")
    tests = terms_are_zero(fit).set_index("term")
    x = fit.tidy().iloc[0]
    assert tests.loc["x", "statistic"] == pytest.approx(x["z"] ** 2)
    assert tests.loc["x", "p"] == pytest.approx(x["p"])
    assert tests["df"].tolist() == [1, 2]
    b, v = fit.coefficients[1:], fit.variance[1:, 1:]
    assert tests.loc["g", "statistic"] == pytest.approx(b @ np.linalg.inv(v) @ b)
    statistic, df, p = coefficients_are_equal(fit, ["g[T.b]", "g[T.c]"])
    spread = v[0, 0] + v[1, 1] - 2 * v[0, 1]
    assert (statistic, df) == (pytest.approx((b[0] - b[1]) ** 2 / spread), 1)
    assert p == pytest.approx(stats.chi2.sf(statistic, 1))
    assert math.isnan(coefficients_are_equal(fit, ["x"])[2])
    alone = inflation(fit).set_index("term")
    correlation = fit.model_variance / np.outer(*(2 * [np.sqrt(np.diag(fit.model_variance))]))
    assert alone.loc["x", "gvif"] == pytest.approx(np.linalg.inv(correlation)[0, 0]), (
        "of one column it is the usual VIF"
    )
    assert alone.loc["x", "gvif"] == pytest.approx(alone.loc["g", "gvif"]), "of two terms each inflates the other"
    assert alone.loc["g", "gvif_per_df"] == pytest.approx(alone.loc["g", "gvif"] ** 0.25)
    with pytest.raises(ArgumentError, match="no coefficient"):
        coefficients_are_equal(fit, ["y"])


# --- words -----------------------------------------------------------------------------------------------------------

TICKETS = Phrase(who="customers with two or more open tickets")


def test_a_number_of_0_and_1_speaks_of_groups(study: Study) -> None:
    made = models(study)[0]
    said = phrases(study, made)
    assert said["overdue"].who == "customers with an overdue invoice"
    assert said["plan[T.pro]"].others == "those with plan “basic”"
    frame = study.episodes("cancellation")
    study._fitted["cancellation"] = frame.assign(senior=(frame["customer"] % 2), seats=frame["customer"] % 5)
    try:
        more = models(study, {"cancellation": "senior + seats"})[0]
        words = phrases(study, more)
        assert words["senior"] == Phrase(who="customers with senior = 1", others="those with senior = 0")
        assert words["seats"].step == "each further unit of seats"
    finally:
        study._fitted["cancellation"] = frame
    assert shown_labels(study, made)["overdue"] == "an overdue invoice"


def period(name: str, hr: float, low: float, high: float, p: float = 1, **other: object) -> dict:
    row = {"covariate": "open_ticket", "period": name, "hazard_ratio": hr, "ci_lower": low, "ci_upper": high}
    return row | {"p_equal": p} | other


def level(name: str, hr: float, p: float, adjusted: float) -> dict:
    return period("", hr, 1.2, 1.9, subgroup="plan", level=name, p_interaction=p, p_adjusted=adjusted)


def setting(name: str, hr: float, low: float, high: float) -> dict:
    return period("", hr, low, high, value=name, said="")


CONFIGURED = setting("as configured", 1.5, 1.2, 1.9)
EARLY, LATE = period("up to day 90", 2.1, 1.6, 2.8, 0.4), period("from day 91", 1.9, 1.5, 2.5, 0.4)
LOST = (math.nan,) * 3
SENTENCES = {
    "periods that differ": (
        period_sentence([period("up to day 90", 2.1, 1.6, 2.8, 0.01), period("from day 91", 1.1, 0.8, 1.5, 0.01)], TICKETS),
        "For customers with two or more open tickets the hazard ratio was 2.10 (1.60–2.80) up to day 90 and 1.10 (0.80–1.50) from day "
        "91 (test of one ratio for all periods: p = 0.010).",
    ),
    "periods that do not": (
        period_sentence([EARLY, LATE], Phrase(step="each further seat")),
        "For each further seat the hazard ratio was 2.10 (1.60–2.80) up to day 90 and 1.90 (1.50–2.50) from day 91 (test of one ratio "
        "for all periods: p = 0.40; the periods do not clearly differ, so the change may lie within them).",
    ),
    "a period without estimate": (
        period_sentence([EARLY | {"hazard_ratio": math.nan}, LATE], labels={"open_ticket": "open tickets"}),
        "For open tickets the hazard ratio was 1.90 (1.50–2.50) from day 91; up to day 90 it could not be estimated.",
    ),
    "no period with one": (
        period_sentence([period("up to day 90", *LOST, math.nan)], TICKETS),
        "For customers with two or more open tickets no hazard ratio could be estimated in any period of tenure.",
    ),
    "an interaction": (
        interaction_sentence([level(n, hr, 0.001, 0.012) for n, hr in (("all customers", 1.5), ("basic", 1.6), ("pro", 1.3))], TICKETS),
        "For customers with two or more open tickets the hazard ratio differed by plan: 1.60 (1.20–1.90) where plan is “basic” and "
        "1.30 (1.20–1.90) where plan is “pro” (test of interaction: p = 0.001, adjusted p = 0.012).",
    ),
    "an interaction that adjustment takes": (interaction_sentence([level("pro", 1.5, 0.04, 0.5)], TICKETS), ""),
    "many tests": (
        subgroup_summary(14, 1, 0),
        "14 interactions were tested; 1 has p < 0.05, none after Holm's adjustment. So no ratio is shown to differ between the subgroups; "
        "one that is clear in one level only is no evidence of it.",
    ),
    "one test": (subgroup_summary(1, 1, 1), "One interaction was tested; it has p < 0.05."),
    "tests, none clear": (
        subgroup_summary(8, 0, 0),
        "8 interactions were tested; none has p < 0.05. So no ratio is shown to differ between the subgroups; one that is clear in one "
        "level only is no evidence of it.",
    ),
    "tests, some stand": (subgroup_summary(8, 3, 1), "8 interactions were tested; 3 have p < 0.05, 1 after Holm's adjustment."),
    "a conclusion that depends on a setting": (
        sensitivity_sentence([CONFIGURED, setting("churn: silence", 0.7, 0.5, 0.9), setting("x", 1.4, 1.1, 1.8)], TICKETS, {}),
        "For customers with two or more open tickets the conclusion changes: HR 1.50 (1.20–1.90) as configured, 0.70 (0.50–0.90) with "
        "churn defined as silence.",
    ),
    "one that does not": (sensitivity_sentence([CONFIGURED, setting("x", 1.4, 1.1, 1.8)], TICKETS, {}), ""),
    "settings, all stands": (
        sensitivity_summary(4, 0, ["a", "b"]),
        "The model was fitted again with a and b. No conclusion changes: each ratio that could be compared is on the same side of 1, or "
        "as unclear, as before.",
    ),
    "settings, one changes": (sensitivity_summary(2, 1, ["a"]), "The model was fitted again with a. Of 2 conclusions 1 stands throughout."),
}  # fmt: skip


@pytest.mark.parametrize("kind", SENTENCES)
def test_sentence(kind: str) -> None:
    said, expected = SENTENCES[kind]
    assert said == expected
    assert not re.search(r"caus|because|due to|effect|leads? to|driv|prevent", said, re.I)


def test_methods_name_what_was_shown_with_references() -> None:
    said = ratio_topics(["subgroups", "rmst", "overlap", "subgroups"])
    assert said.startswith("Agreement between definitions is Cohen's kappa")
    assert said.count("Hazard ratios in subgroups") == 1
    assert [r.split(".")[0] for r in references(said)] == ["Cohen J", "Fleiss JL, Cohen J, Everitt BS", "Holm S"]
    for topic, sentence in RATIO_TOPICS.items():
        cited = re.findall(r"\(([A-Z][\w, ]+ \d{4})\)", sentence)
        assert len(references(sentence)) >= len(cited), topic


def test_levels_that_look_like_numbers_are_sorted_as_text_when_they_are_none() -> None:
    assert _ordered(pd.Series(["10", "9.5", "-1e2", "(missing)"])) == ["-1e2", "9.5", "10", "(missing)"]
    assert _ordered(pd.Series(["1.10.0", "1.9.2"])) == ["1.10.0", "1.9.2"]
