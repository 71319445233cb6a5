"""Configs: closed, resolved, and every problem said at once with file, line, key, what is allowed, the nearest spelling."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from survival.errors import ConfigError
from survival.experiment.config import experiment_model, json_schema, load
from survival.experiment.references import customer_columns, used_indicators
from survival.experiment.run import job_of, prepare, project_root

ROOT = Path(__file__).resolve().parent.parent

GOOD = """\
title: A test
study: hazard_ratios
data:
  tables:
    customers: {path: data/customers.csv}
    subscriptions: {path: data/subscriptions.csv}
    usage: {path: data/usage.csv}
  observed: {from: 2023-01-01, until: 2023-12-31}
churn:
  cancellation: {kind: cancellation}
  silence: {kind: inactivity, window: 30}
indicators:
  low_usage: {kind: usage, window: 28, below: 5}
  spare: {kind: usage, window: 7}
cohorts: {by: signup_quarter}
model:
  churn: cancellation
  formula: low_usage + plan + seats:low_usage
  strata: [segment]
"""


def config(folder: Path, text: str = GOOD, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def problems(folder: Path, text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as error:
        load(config(folder, text), overrides, ["cohort_retention", "hazard_ratios"])
    return str(error.value)


def test_a_good_config_is_resolved(tmp_path: Path) -> None:
    experiment, _ = load(config(tmp_path), [], ["hazard_ratios"])
    assert experiment.name == "mine"
    assert experiment.modelled == ("cancellation",)
    assert used_indicators(experiment) == ["low_usage"]
    assert customer_columns(experiment) == ["plan", "seats", "segment"]
    resolved = experiment.resolved()
    assert resolved["lag_profile"] == [0, 7, 14, 30, 60, 90]
    assert resolved["data"]["observed"]["from"] == "2023-01-01"
    assert resolved["churn"]["silence"]["window"] == 30
    again = experiment_model().model_validate(resolved)
    assert again.resolved() == resolved


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_configs_that_ship_are_good(path: Path) -> None:
    job = job_of(path)
    assert job.experiment.name == path.stem
    assert job.root == ROOT
    assert job.target == ROOT / "results" / path.stem


def test_every_problem_is_said_at_once_with_its_line(tmp_path: Path) -> None:
    text = (
        GOOD.replace("title:", "titel:")
        .replace("kind: inactivity", "kind: inactivty")
        .replace("below: 5", "bellow: 5")
        .replace("strata: [segment]", "ties: effron")
        .replace("study: hazard_ratios", "study: 7")
    )
    said = problems(tmp_path, text)
    path = tmp_path / "mine.yaml"
    assert said.splitlines()[0] == f"{path}: 5 problems"
    assert f"{path}, line 1, titel: unknown key. Did you mean 'title'? Allowed: name, title, study" in said
    assert (
        f"{path}, line 11, churn.silence.kind: unknown kind 'inactivty'. Did you mean 'inactivity'? Allowed: " in said
    )
    assert f"{path}, line 13, indicators.low_usage.bellow: unknown key. Did you mean 'below'? Allowed: " in said
    assert "at_least" in said
    assert f"{path}, line 19, model.ties: got 'effron'. Did you mean 'efron'? Allowed: efron, breslow." in said
    assert f"{path}, line 2, study: got 7; it should be a valid string." in said


def test_names_that_mean_nothing_are_said_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("churn: cancellation", "churn: cancelation").replace(
        "study: hazard_ratios", "study: hazard_ratio"
    )
    text = text.replace("    usage: {path: data/usage.csv}\n", "").replace("cohorts: {by: signup_quarter}\n", "")
    said = problems(tmp_path, text.replace("low_usage + plan", "low_usage + cohort"))
    assert "model.churn: no definition 'cancelation' under churn. Did you mean 'cancellation'?" in said
    assert (
        "study: no study 'hazard_ratio'. Did you mean 'hazard_ratios'? Allowed: cohort_retention, hazard_ratios."
        in said
    )
    assert (
        "churn.silence: reads the table 'usage', which data.tables does not map. Mapped: customers, subscriptions."
        in said
    )
    assert "indicators.low_usage: reads the table 'usage'" in said
    assert "'cohort' is named, but the config has no `cohorts:`" in said


@pytest.mark.parametrize(
    ("find", "put", "said"),
    [
        ("formula: low_usage", "formula: low_usage +* ", "cannot be read"),
        ("window: 30", "window: thirty", "churn.silence.window: got 'thirty'; it should be a valid integer"),
        ("window: 28", "window: 0", "indicators.low_usage.window: got 0; it should be"),
        (
            "churn:\n  cancellation: {kind: cancellation}",
            "churn:\n  cancellation: {gap: 3}",
            "the key `kind` is required",
        ),
        ("study: hazard_ratios\n", "", "study: this key is required"),
        ("  low_usage:", "  customer_id:", "'customer_id' is a column of every episode"),
        ("until: 2023-12-31", "until: soon", "data.observed.until: got 'soon'"),
        ("title: A test", "name: a/b", "name: got 'a/b'"),
        (
            "title: A test",
            "diagnostics: [influnce]",
            "diagnostics: got 'influnce'. Did you mean 'influence'? It should be",
        ),
        ("title: A test", "diagnostics: maybe", "diagnostics: got 'maybe'. It should be true, false, or a list"),
        ("title: A test", "diagnostics: [outliers, outliers]", "diagnostics: each once; 'outliers' stands twice"),
        ("title: A test", "strict: maybe", "strict: got 'maybe'; it should be true or false."),
        (
            "title: A test",
            "characteristics: {columns: segment}",
            "characteristics.columns: got 'segment'; it should be a list, such as [segment].",
        ),
        (
            "title: A test",
            "characteristics: {columns: [segment, segment]}",
            "characteristics.columns: each once; 'segment' stands twice in segment, segment.",
        ),
        (
            "strata: [segment]",
            "partial_effects: plan",
            "model.partial_effects: got 'plan'; it should be a list, such as [plan].",
        ),
        ("strata: [segment]", "subgroups: [plan, plan]", "model.subgroups: each once; 'plan' stands twice"),
        ("strata: [segment]", "periods: [365, 90]", "model.periods: periods ascend, such as [90, 365]; got [365, 90]."),
        ("title: A test", "adjusted: {for: []}", "adjusted.for: got []; it should have at least 1 entry."),
        ("title: A test", "retention: {compare: [a]}", "retention.compare: the list is too short."),
        ("title: A test", "retention: {figure: {breaks: [6, 3]}}", "breaks: ticks ascend, such as [0, 90, 365]; got"),
        ("title: A test", "retention: 5", "retention: got 5; it should hold keys: at, horizon, "),
        (
            "title: A test",
            "adjusted: {by: plan, for: [plan, seats]}",
            "adjusted.for: cannot adjust plan for plan: the groups (adjusted.by: plan) are made by it",
        ),
        (
            "title: A test",
            "adjusted: {for: [signup_quarter]}",
            "adjusted.for: cannot adjust signup_quarter for signup_quarter: the groups (cohorts by signup_quarter) are",
        ),
    ],
)
def test_each_problem_has_its_words(tmp_path: Path, find: str, put: str, said: str) -> None:
    assert find in GOOD
    text = problems(tmp_path, GOOD.replace(find, put))
    assert said in text
    assert text.splitlines()[0].endswith("mine.yaml: 1 problem")


def test_an_override_is_named_as_the_place(tmp_path: Path) -> None:
    assert "--set model.ties, model.ties: got 'x'. Allowed: efron, breslow." in problems(tmp_path, GOOD, "model.ties=x")


def test_paths_are_relative_to_the_project(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    assert project_root(tmp_path / "configs" / "a.yaml") == tmp_path
    assert project_root(tmp_path / "a.yaml") == tmp_path


def test_two_configs_with_one_name_are_refused(tmp_path: Path) -> None:
    one, two = config(tmp_path, name="a.yaml"), config(tmp_path, GOOD + "name: a\n", name="b.yaml")
    (tmp_path / "data").mkdir()
    for table in ("customers", "subscriptions", "usage"):
        (tmp_path / "data" / f"{table}.csv").write_text("customer_id,signed_up_on,plan,seats,segment\n")
    with pytest.raises(ConfigError, match="two configs write it"):
        prepare([one, two], [], tmp_path / "results")


def test_the_schema_names_every_kind_and_key() -> None:
    schema = json_schema()
    assert set(experiment_model().model_fields) <= set(schema["properties"])
    assert schema["additionalProperties"] is False
    kinds = schema["properties"]["churn"]["additionalProperties"]["discriminator"]["mapping"]
    assert {"cancellation", "inactivity", "recorded"} <= set(kinds)
    assert all(isinstance(model, type) and issubclass(model, BaseModel) for model in [experiment_model()])
