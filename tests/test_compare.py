"""Two runs compared: a true story on a company whose truth changed, honest intervals when customers are shared."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
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
from survival.experiment.compare import EVERYBODY, _adjusted, compare
from survival.experiment.compare_report import as_json, as_text, page
from survival.experiment.compare_words import _of_customers, _retention, main_sentence, sentences
from survival.experiment.kept_customers import pseudonyms
from survival.experiment.results_index import write_comparison, write_index
from survival.report import to_html
from survival.report.document import Table
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
    assert said[0] == (
        "Not the same in both runs: 2 keys of the config (data.observed.from, data.observed.until). last observes 2024-07-01 to "
        "2024-09-30, this observes 2024-10-01 to 2024-12-31."
    )
    assert main_sentence(found).startswith("Retention of cohort starter at day 365 under cancellation fell from ")
    assert page(found).headline == main_sentence(found)
    assert any(s.startswith("The hazard ratio of plan: starter under cancellation rose from") for s in said)
    assert any(s.startswith("Retention of cohort starter at day") and " fell from " in s for s in said)
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


def test_titles_of_figures_say_what_moved(project: Path) -> None:
    titles = {f.name: f.title for f in page(compare(project / "last", project / "this")).figures()}
    assert re.match(
        r"[12] of 2 hazard ratios moved clearly, cancellation: (most of all )?that of plan: starter, from",
        titles["forest"],
    )
    assert re.match(r"Retention of all customers .* (fell from .*\)|did not move clearly)$", titles["retention"])
    same = {f.name: f.title for f in page(compare(project / "this", project / "ids")).figures()}
    assert same["retention"] == "Retention under cancellation is the same at every tenure that was asked for"
    assert same["forest"] != titles["forest"]


def test_the_table_of_retention_leaves_out_what_is_the_same(project: Path) -> None:
    found = compare(project / "last", project / "this")
    rows = found.retention.copy()
    cohorts = rows["cohort"] != EVERYBODY
    assert cohorts.sum() > 3
    unmoved = rows.index[cohorts][:3]
    rows.loc[unmoved, ["difference", "difference_lower", "difference_upper"]] = 0.0
    (table,) = (
        b
        for b in page(dataclasses.replace(found, retention=rows)).blocks
        if isinstance(b, Table) and b.name == "retention"
    )
    assert table.display is not None
    assert len(table.frame) == len(rows), "the CSV has every row"
    assert len(table.display) == len(rows) - 3
    assert table.notes[0].startswith(
        f"3 of {len(rows)} rows are left out: retention of that cohort to that tenure is the same in both"
    )
    (everything,) = (b for b in page(found).blocks if isinstance(b, Table) and b.name == "retention")
    assert not everything.notes
    assert everything.display is not None
    assert len(everything.display) == len(rows)


def test_what_no_customer_differs_in_is_no_comparison() -> None:
    """Holm's family is three of six here."""
    frame = pd.DataFrame({"definition": ["a"] * 6, "p": [0.01, 1.0, 0.04, 1.0, 0.6, np.nan]})
    tested = pd.Series([True, False, True, False, True, True])
    assert _adjusted(frame, tested).tolist()[:5] == pytest.approx([0.03, 1.0, 0.08, 1.0, 0.6])
    assert np.isnan(_adjusted(frame, tested)[5])


def test_a_run_against_itself_has_not_moved(project: Path) -> None:
    found = compare(project / "this", project / "this")
    assert found.inputs.empty
    assert found.changed.empty
    assert (found.ratios["ratio"] == 1).all()
    assert (found.ratios["p"] == 1).all()
    assert (found.retention[["difference", "difference_lower", "difference_upper"]] == 0).all().all()
    assert sentences(found)[0] == "Config, data, code and versions are the same in both runs."
    assert sentences(found)[-1] == "The hazard ratios under cancellation are the same."


def test_a_covariate_that_one_run_does_not_have_is_not_in_its_model(project: Path) -> None:
    """It stays "not estimable" where the model had it; the runs keep their names, columns say what they hold."""
    found = compare(project / "last", project / "this")
    lost = found.ratios.assign(
        after=np.where(found.ratios["covariate"] == "plan[T.pro]", np.nan, found.ratios["after"])
    )
    assert found.before.ratios is not None
    fewer = found.before.ratios[found.before.ratios["covariate"] != "plan[T.starter]"]
    ratios = lost.assign(before=np.where(lost["covariate"] == "plan[T.starter]", np.nan, lost["before"]))
    html = page(dataclasses.replace(found, before=dataclasses.replace(found.before, ratios=fewer), ratios=ratios))
    table = next(t for t in html.tables() if t.name == "hazard_ratios").display
    assert table is not None
    cells = table.set_index("Covariate")
    assert cells.loc["plan: starter", "last: HR (95% CI)"] == "not in the model"
    assert cells.loc["plan: pro", "this: HR (95% CI)"] == "not estimable"
    assert (cells == "not in the model").sum().sum() == 1
    figure = next(f for f in html.figures() if f.name == "forest")
    texts = [t.get_text() for t in figure.figure.texts]  # type: ignore[union-attr]
    assert {"last", "this", "not in the model", "not estimable"} <= set(texts)
    assert not {"Last", "This"} & set(texts)
    kept = [pd.read_parquet(project / n / "customers.parquet").query("aside.isna()") for n in ("last", "this")]
    risk = [(k["customer"].nunique(), int(k["churned"].sum())) for k in kept]
    assert [run.size("cancellation") for run in (found.before, found.after)] == risk
    assert f"last, {risk[0][1]:,} churns of {risk[0][0]:,} customers; this, {risk[1][1]:,} churns" in figure.caption


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
    assert said[0] == "Under d, no customer was retained in a. The same customers are in the data of both."
    assert said[1] == (
        "3 customers count as churned under d in a and as retained in b. Such customers came back, or data, definition or observed period "
        "changed."
    )


ASIDE = "set aside: left before entry"
STAYED = {
    "none": (
        {("retained", "retained"): 2157},
        "none of the 2,157 customers who were retained in q3 and are at risk in q4 too churned in q4.",
    ),
    "one": (
        {("retained", "retained"): 2156, ("retained", "churned"): 1},
        "one of the 2,157 customers who were retained in q3 and are at risk in q4 too churned in q4.",
    ),
    "some": (
        {("retained", "retained"): 1897, ("retained", "churned"): 269},
        "269 of the 2,166 customers who were retained in q3 and are at risk in q4 too churned in q4.",
    ),
    "all": (
        {("retained", "churned"): 12},
        "all 12 customers who were retained in q3 and are at risk in q4 too churned in q4.",
    ),
    "the only one": (
        {("retained", "churned"): 1},
        "the one customer who was retained in q3 and is at risk in q4 too churned in q4.",
    ),
    "who stays": (
        {("retained", "retained"): 1},
        "the one customer who was retained in q3 and is at risk in q4 too did not churn in q4.",
    ),
    "nobody at risk again": (
        {("retained", ASIDE): 81, ("retained", "set aside: began on the last day"): 265},
        "none of the 346 customers who were retained in q3 is at risk in q4 (81 left before entry and 265 began on the last day).",
    ),
    "one, not at risk again": (
        {("retained", ASIDE): 1},
        "the one customer who was retained in q3 is not at risk in q4 (1 left before entry).",
    ),
}


@pytest.mark.parametrize("case", STAYED)
def test_who_stayed_in_every_number(case: str) -> None:
    counts, expected = STAYED[case]
    assert told(counts) == [f"Under d, {expected} The same customers are in the data of both."]


@pytest.mark.parametrize(
    ("new", "gone", "expected"),
    [
        (405, 0, "405 customers are in the data of q4 only."),
        (0, 1, "One customer is in the data of q3 only."),
        (1, 7, "One customer is in the data of q4 only and 7 customers are in the data of q3 only."),
    ],
)
def test_who_came_and_went(new: int, gone: int, expected: str) -> None:
    rows = {("retained", "retained"): 2, ("not there", "retained"): new, ("retained", "not there"): gone}
    said = told({pair: n for pair, n in rows.items() if n})
    assert said[0].endswith(f"churned in q4. {expected}")


def told(counts: dict[tuple[str, str], int]) -> list[str]:
    rows = [{"definition": "d", "before": b, "after": a, "customers": n} for (b, a), n in counts.items()]
    return list(_of_customers(SimpleNamespace(statuses=pd.DataFrame(rows), names=("q3", "q4"))))  # type: ignore[arg-type]


def test_runs_of_other_levels_are_compared_at_one(project: Path) -> None:
    wide = run(project.parent, "wide", "level=0.8")
    same, found = compare(project / "last", project / "this"), compare(wide, project / "this")
    assert found.level == 0.95
    assert found.notes[0] == "wide reports 80% intervals and this 95%; here all intervals, of wide too, are 95%."
    columns = ["before_lower", "before_upper", "after_lower", "after_upper", "ratio_lower", "ratio_upper"]
    np.testing.assert_allclose(found.ratios[columns], same.ratios[columns], rtol=1e-9)
    back = compare(project / "this", wide)
    assert back.level == 0.8
    assert (back.ratios["before_upper"] < found.ratios["after_upper"]).all()
    assert same.notes == ()


def test_ratios_have_the_style_of_the_reports(project: Path) -> None:
    found = compare(project / "last", project / "this")
    rows = found.ratios.assign(
        before=0.0123, after=12.345, ratio=0.0456, ratio_lower=0.0011, ratio_upper=0.9996, p_adjusted=0.001
    )
    said = [
        s for s in sentences(dataclasses.replace(found, ratios=rows)) if s.startswith("The hazard ratio of plan: pro")
    ]
    assert said == [
        "The hazard ratio of plan: pro under cancellation fell from 0.012 to 12.3: 0.046 times what it was (95% interval 0.0011 to 0.9996)."
    ]


def test_a_comparison_is_on_the_index_until_its_runs_change(tmp_path: Path, project: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(project, results)
    write_comparison(compare(results / "last", results / "this"), results / "last_this")
    index = (results / "index.html").read_text()
    assert "last_this/report.html" in index
    assert "last_this/figures/forest.png" in index
    assert main_sentence(compare(results / "last", results / "this")).replace("'", "&#39;") in index
    assert "comparison of last and this · last_this</p>" in index, "no date"
    assert re.search(r"\d runs, 1 comparison<", index)
    files = {p: p.read_bytes() for p in sorted((results / "last_this").rglob("*")) if p.is_file()}
    write_comparison(compare(results / "last", results / "this"), results / "last_this")
    assert {p: p.read_bytes() for p in files} == files, "the manifest too has no clock"
    with pytest.raises(ResultsError, match="this is a comparison of two runs, not a run"):
        compare(results / "last", results / "last_this")
    elsewhere = tmp_path / "pages" / "mine"
    write_comparison(compare(results / "last", results / "this"), elsewhere)
    assert [p.name for p in elsewhere.parent.iterdir()] == ["mine"], "no index outside results"
    manifest = json.loads((results / "this" / "manifest.json").read_text())
    (results / "this" / "manifest.json").write_text(json.dumps(manifest | {"identity": {"config": "another"}}))
    write_index(results)
    assert "last_this/report.html" not in (results / "index.html").read_text(), "this was run again with another config"
    shutil.rmtree(results / "this")
    write_index(results)
    assert "last_this" not in (results / "index.html").read_text()
