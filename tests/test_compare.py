"""Two runs compared: a true story on a company whose truth changed, honest intervals when customers are shared."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from survival.cli import main
from survival.errors import ResultsError
from survival.estimate.cox import cox
from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.shared_customers import difference, retention_by_customer
from survival.experiment import run as runs
from survival.experiment.compare import compare
from survival.experiment.compare_report import _of_customers, _retention, as_json, as_text, page, sentences
from survival.experiment.kept_customers import pseudonyms
from survival.report import to_html
from survival.simulate import find_scenario, simulate

CONFIG = {
    "title": "A quarter",
    "study": "cohort_retention",
    "data": {
        "tables": {n: {"path": f"data/{n}.parquet"} for n in ("customers", "subscriptions")},
        "observed": {"from": "2024-07-01", "until": "2024-09-30"},
    },
    "churn": {"cancellation": {"kind": "cancellation"}},
    "cohorts": {"by": "plan"},
    "retention": {"at": [90, 180, 365]},
    "model": {"formula": "plan"},
}
LATER = ("data.observed.from=2024-10-01", "data.observed.until=2024-12-31")


def run(folder: Path, name: str, *overrides: str) -> Path:
    path = folder / "configs" / "quarter.yaml"
    runs.run_all([path], [f"name={name}", *overrides], None, False, runs.Console(quiet=True))
    return folder / "results" / name


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Last quarter, and this one, in which the starter plan costs more."""
    folder = tmp_path_factory.mktemp("quarters")
    (folder / "configs").mkdir()
    (folder / "configs" / "quarter.yaml").write_text(yaml.safe_dump(CONFIG))
    simulate("crm_price_rise", customers=3000, seed=3, out=folder / "data")
    run(folder, "last")
    run(folder, "this", *LATER)
    run(folder, "ids", *LATER, "keep_customers=ids", "model.ties=breslow")
    run(folder, "none", *LATER, "keep_customers=none")
    return folder / "results"


def test_a_price_rise_is_told_truly(project: Path) -> None:
    found = compare(project / "last", project / "this")
    truth = np.exp(find_scenario("crm_price_rise").changes[pd.Timestamp("2024-10-01").date()]["plan[T.starter]"])
    moved = found.ratios.set_index("covariate")
    starter, pro = moved.loc["plan[T.starter]"], moved.loc["plan[T.pro]"]
    assert starter["ratio_lower"] < truth < starter["ratio_upper"]  # 2.5 times as often, by design
    assert starter["ratio_lower"] > 1
    assert pro["ratio_lower"] < 1 < pro["ratio_upper"]  # nothing happened to these
    at = found.retention.set_index(["cohort", "tenure"])
    assert at.loc[("starter", 180), "difference_upper"] < 0
    for plan in ("basic", "pro"):
        assert at.loc[(plan, 180), "difference_lower"] < 0 < at.loc[(plan, 180), "difference_upper"]
    said = sentences(found)
    assert said[0] == "Not the same in both runs: 2 keys of the config (data.observed.from, data.observed.until)."
    assert any(s.startswith("The hazard ratio of plan: starter under cancellation rose from") for s in said)
    assert any(s.startswith("Retention of starter at day") and " fell from " in s for s in said)
    assert not any("basic" in s or "plan: pro" in s for s in said)
    assert not any(word in " ".join(said) for word in ("because", "caused", "due to", "effect"))


def test_statuses_add_up_to_the_customers_of_both_runs(project: Path) -> None:
    found = compare(project / "last", project / "this")
    kept = [pd.read_parquet(project / name / "customers.parquet") for name in ("last", "this")]
    everybody = set(kept[0]["customer"]) | set(kept[1]["customer"])
    assert found.statuses["customers"].sum() == len(everybody)
    assert found.shared == len(set(kept[0]["customer"]) & set(kept[1]["customer"]))
    same = found.statuses.query("before == after")["customers"].sum()
    assert len(found.changed) == len(everybody) - same
    attrition = pd.read_csv(project / "this" / "tables" / "attrition.csv").query("step == 'at risk' and reason.isna()")
    churned = found.statuses.query("after == 'churned'")["customers"].sum()
    assert churned == attrition["churns"].iloc[0]
    assert churned + found.statuses.query("after == 'retained'")["customers"].sum() == attrition["customers"].iloc[0]


def test_a_run_against_itself_has_not_moved(project: Path) -> None:
    found = compare(project / "this", project / "this")
    assert found.inputs.empty
    assert found.changed.empty
    assert (found.ratios["ratio"] == 1).all()
    assert (found.ratios["p"] == 1).all()
    assert (found.retention[["difference", "difference_lower", "difference_upper"]] == 0).all().all()
    assert sentences(found)[0] == "Config, data, code and versions are the same in both runs."
    assert sentences(found)[-1] == "The hazard ratios under cancellation are the same."


def test_ids_and_pseudonyms_are_the_same_customers(project: Path) -> None:
    found = compare(project / "this", project / "ids")
    assert list(found.inputs["key"]) == ["model.ties"]
    assert found.changed.empty
    ids = pd.read_parquet(project / "ids" / "customers.parquet")["customer"]
    hashed = pd.read_parquet(project / "this" / "customers.parquet")["customer"]
    assert pseudonyms(ids).tolist() == hashed.tolist()
    assert hashed.str.fullmatch("[0-9a-f]{16}").all()
    assert not set(ids) & set(hashed)
    named = compare(project / "ids", project / "ids").before
    assert named.customers is not None
    assert set(named.customers["customer"]) == set(ids)


def test_without_kept_customers_there_are_no_intervals_and_it_says_so(project: Path) -> None:
    assert not (project / "none" / "customers.parquet").exists()
    assert not (project / "none" / "influence.parquet").exists()
    found = compare(project / "last", project / "none")
    assert found.shared is None
    assert found.retention.empty
    assert found.ratios["ratio"].notna().all()
    assert found.ratios["ratio_lower"].isna().all()
    text = as_text(found)
    assert "The second run kept no customers" in text
    assert "it is not known how sure the changes of hazard ratios are" in text
    assert "(no interval)" in to_html(page(found))


def test_text_json_and_page(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "sys.argv",
        [
            "survival",
            "compare",
            str(project / "last"),
            str(project / "this"),
            "--out",
            str(tmp_path / "page"),
            "--json",
        ],
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    value = json.loads(capsys.readouterr().out)
    found = compare(project / "last", project / "this")
    assert value == json.loads(as_json(found))
    assert value["findings"] == sentences(found)
    assert value["hazard_ratios"][1]["ratio"] == pytest.approx(found.ratios["ratio"].iloc[1])
    html = (tmp_path / "page" / "report.html").read_text()
    assert "last against this" in html
    assert all(s.split(":")[0] in html for s in sentences(found))
    assert (tmp_path / "page" / "figures" / "forest.svg").exists()
    with pytest.raises(ResultsError, match="no finished run is there"):
        compare(project / "last", tmp_path)


def sample(seed: int, customers: int, first: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2, customers)
    entry = np.where(rng.random(customers) < 0.5, rng.integers(0, 40, customers), 0)
    left = entry + 1 + np.floor(rng.exponential(60 / (1 + x), customers))
    stop = np.minimum(left, entry + 80)
    return pd.DataFrame(
        {"customer": first + np.arange(customers), "x": x, "start": entry, "stop": stop, "event": left == stop}
    )


@pytest.mark.parametrize("late", [False, True])
def test_retention_and_its_variance_are_kaplan_meiers(late: bool) -> None:
    """Greenwood's variance, and with late entry that of the infinitesimal jackknife."""
    frame, at = sample(1, 300), np.array([10.0, 50.0, 70.0])
    frame = frame if late else frame.assign(stop=frame["stop"] - frame["start"], start=0)
    value, influence = retention_by_customer(
        frame["start"].to_numpy(float), frame["stop"].to_numpy(float), frame["event"].to_numpy(), frame["customer"], at
    )
    reference = kaplan_meier(frame, start="start", customer="customer", robust=late)
    assert value == pytest.approx(reference.at(at)["retention"].to_numpy())
    steps = reference.tidy()
    se = [steps[steps["tenure"] <= t]["se"].iloc[-1] for t in at]
    assert np.sqrt(np.square(influence).sum()).to_numpy() == pytest.approx(se, rel=1e-9)


def test_intervals_take_shared_customers_into_account() -> None:
    """Half of the customers are in both samples: the standard errors are those of resampled customers, not of independence."""
    everyone = sample(2, 450)
    first, second = everyone.iloc[:300], everyone.iloc[150:]
    at = np.array([40.0])

    def estimates(rows: pd.DataFrame) -> tuple[float, pd.DataFrame, float, pd.DataFrame]:
        fit = cox(rows, "x", start="start", stop="stop", event="event", customer="customer")
        value, influence = retention_by_customer(
            rows["start"].to_numpy(float), rows["stop"].to_numpy(float), rows["event"].to_numpy(), rows["customer"], at
        )
        return (
            fit.tidy()["coef"].iloc[0],
            fit.residuals("dfbeta", by="customer").set_index("customer"),
            value[0],
            influence,
        )

    one, two = estimates(first), estimates(second)
    se = [
        float(difference(np.array([one[i]]), np.array([two[i]]), one[i + 1], two[i + 1])["se"].iloc[0]) for i in (0, 2)
    ]
    apart = [float(np.sqrt(np.square(one[i + 1]).sum().iloc[0] + np.square(two[i + 1]).sum().iloc[0])) for i in (0, 2)]
    rng, moved = np.random.default_rng(3), []
    for _ in range(150):
        drawn = rng.integers(0, 450, 450)
        rows = everyone.iloc[drawn].assign(customer=np.arange(450))
        a, b = rows[drawn < 300], rows[drawn >= 150]
        values = []
        for part in (a, b):
            fit = cox(part, "x", start="start", stop="stop", event="event")
            values.append((fit.tidy()["coef"].iloc[0], kaplan_meier(part, start="start").at(at)["retention"].iloc[0]))
        moved.append(np.subtract(values[1], values[0]))
    resampled = np.std(moved, axis=0, ddof=1)
    assert se == pytest.approx(resampled, rel=0.2)  # 150 draws: a standard error of some 6 %
    assert all(s < 0.8 * independent for s, independent in zip(se, apart))
    other = sample(5, 200, first=1000)
    three = estimates(other)
    alone = difference(np.array([one[0]]), np.array([three[0]]), one[1], three[1])["se"].iloc[0]
    assert alone == pytest.approx(np.sqrt(np.square(one[1]).sum().iloc[0] + np.square(three[1]).sum().iloc[0]))


@pytest.mark.parametrize(("sign", "way"), [(1.0, "rose"), (-1.0, "fell")])
def test_an_interval_on_both_sides_of_no_change_says_so(sign: float, way: str) -> None:
    ends = sorted((-0.002 * sign, 0.03 * sign))
    row = pd.Series({"tenure": 90, "before": 0.8, "after": 0.8 + 0.014 * sign, "difference": 0.014 * sign})
    row["difference_lower"], row["difference_upper"] = ends
    said = _retention(SimpleNamespace(level=0.99), row, "all customers", "cancellation")  # type: ignore[arg-type]
    assert f" {way} from 80.0%" in said
    assert "(99% interval −0.2 to 3.0)" in said


def test_who_is_no_longer_churned_may_be_observed_for_less_long() -> None:
    rows = pd.DataFrame({"definition": ["d"], "before": ["churned"], "after": ["retained"], "customers": [3]})
    said = list(_of_customers(SimpleNamespace(statuses=rows, names=("a", "b"))))  # type: ignore[arg-type]
    assert said[1].endswith("Such customers came back, or data, definition or observed period changed.")
