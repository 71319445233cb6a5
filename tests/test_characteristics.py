"""Table 1: values worked by hand and by base R, conservation, and what the engine counts."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import raw_tables as raw
from hypothesis import given, settings
from hypothesis import strategies as st

from survival.churn import parse_definition, spells
from survival.episodes import episodes
from survival.errors import ArgumentError, DataError, StructureError
from survival.estimate.characteristics import OTHERS, characteristics, quartiles
from survival.estimate.group_differences import (
    by_chance,
    largest,
    level_smd,
    level_test_of_counts,
    number_smd,
    rank_test_of_counts,
)
from survival.flows.tallies import tallies
from survival.indicators import parse_indicator

HERE = Path(__file__).parent
ROOT = HERE.parent
R = json.loads((HERE / "references" / "characteristics.json").read_text())


# --- base R ------------------------------------------------------------------------------------------------------------


def described(name: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    made = R[name]
    names = [made["numbers"], made["levels"]]
    variables = [v for one in names for v in ([one] if isinstance(one, str) else one)]
    frame = pd.DataFrame(made["data"])
    return characteristics(frame, variables, by=made["by"], kinds={"trt": "text"}, tests=True), made["made"]


@pytest.mark.parametrize("name", ["lung", "veteran"])
def test_numbers_are_those_of_r(name: str) -> None:
    table, expected = described(name)
    seen = 0
    for variable, made in expected.items():
        rows = table[table["variable"] == variable]
        for group, values in made["rows"].items():
            mine = rows[rows["group"] == group]
            assert set(mine["missing"]) == {values["missing"]}
            if "mean" not in values:
                continue
            row = mine.iloc[0]
            found = row[["n", "mean", "sd", "lower_quartile", "median", "upper_quartile", "minimum", "maximum"]]
            wanted = [values["n"], values["mean"], values["sd"], *values["quartiles"], *values["range"]]
            np.testing.assert_allclose(found.to_numpy(float), wanted, rtol=1e-12)
            seen += 1
    assert seen == {"lung": 9, "veteran": 10}[name]


@pytest.mark.parametrize("name", ["lung", "veteran"])
def test_levels_are_those_of_r(name: str) -> None:
    table, expected = described(name)
    words = {"0": "no", "1": "yes"}
    seen = 0
    for variable, made in expected.items():
        rows = table[table["variable"] == variable]
        flag = (rows["kind"] == "flag").all()
        for group, values in made["rows"].items():
            for level, n in values["n"].items() if isinstance(values["n"], dict) else ():
                one = rows[(rows["group"] == group) & (rows["level"] == (words[level] if flag else level))]
                assert one["n"].tolist() == [n]
                assert one["share"].tolist() == pytest.approx([values["share"][level]], rel=1e-12)
                seen += 1
    assert seen == {"lung": 12, "veteran": 20}[name]


@pytest.mark.parametrize("name", ["lung", "veteran"])
def test_differences_and_tests_are_those_of_r(name: str) -> None:
    table, expected = described(name)
    for variable, made in expected.items():
        rows = table[table["variable"] == variable]
        assert rows["smd"].to_numpy() == pytest.approx(made["smd"]["smd"], rel=1e-9)
        assert set(rows["smd_groups"]) == {", ".join(made["smd"]["pair"])}
        if variable == "ecog":  # one customer of ECOG 3: an expected count below 1, for which chi-squared is no test
            assert set(rows["test"]) == {"too few for a test"}
            assert rows["p"].isna().all()
        else:
            assert rows["statistic"].to_numpy() == pytest.approx(made["test"]["statistic"], rel=1e-10)
            assert rows["p"].to_numpy() == pytest.approx(made["test"]["p"], rel=1e-9)


def test_small_groups_have_exact_tests() -> None:
    made = characteristics(pd.DataFrame(R["small"]["data"]), by="g", tests=True).drop_duplicates("variable")
    rows = made.set_index("variable")
    assert rows.loc["y", ["test", "kind"]].tolist() == ["Fisher exact", "flag"]
    assert rows.loc["y", "p"] == pytest.approx(R["small"]["fisher"], rel=1e-9)
    assert rows.loc["x", "p"] == pytest.approx(R["small"]["wilcoxon"], rel=1e-9)
    assert rows.loc["x", "statistic"] == R["small"]["w"]


def test_a_row_that_stands_for_several_is_them_repeated() -> None:
    row = characteristics(pd.DataFrame(R["weighted"]["data"]), weight="count").iloc[0]
    assert row[["lower_quartile", "median", "upper_quartile"]].tolist() == R["weighted"]["quartiles"]
    assert [row["n"], row["mean"], row["sd"]] == pytest.approx([16, R["weighted"]["mean"], R["weighted"]["sd"]])


# --- by hand -----------------------------------------------------------------------------------------------------------


def test_standardised_differences_by_hand() -> None:
    assert number_smd(10, 2, 12, 4) == pytest.approx(2 / np.sqrt(10))
    assert level_smd(np.array([0.2, 0.8]), np.array([0.5, 0.5])) == pytest.approx(0.3 / np.sqrt((0.16 + 0.25) / 2))
    # Without the third level: d = (0.3, 0), S = [[0.205, -0.105], [-0.105, 0.21]], so d' S^-1 d = 0.09 * 0.21 / det.
    expected = np.sqrt(0.09 * 0.21 / (0.205 * 0.21 - 0.105**2))
    assert level_smd(np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])) == pytest.approx(expected)
    absent = level_smd(np.array([0.5, 0.3, 0.2, 0]), np.array([0.2, 0.3, 0.5, 0]))
    assert absent == pytest.approx(expected)  # a level that neither group has changes nothing


def test_groups_that_share_nothing_are_infinitely_far_apart() -> None:
    assert level_smd(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == np.inf
    assert level_smd(np.array([0.5, 0.5, 0, 0]), np.array([0, 0, 0.4, 0.6])) == np.inf
    assert number_smd(1, 0, 2, 0) == np.inf
    assert number_smd(3, 0, 3, 0) == level_smd(np.array([1.0, 0.0]), np.array([1.0, 0.0])) == 0


def test_the_largest_pair_is_named() -> None:
    pairs = np.full((3, 3), np.nan)
    pairs[0, 1], pairs[1, 2] = 0.1, 0.4
    assert largest(pairs) == (0.4, (1, 2))
    nothing = largest(np.full((2, 2), np.nan))
    assert np.isnan(nothing[0])
    assert nothing[1] is None


def test_what_chance_does_to_the_largest_difference() -> None:
    """Of 400 samples without a difference at most about 5 % are beyond it: groups of 40, 200 and 700, four levels."""
    rng = np.random.default_rng(5)
    sizes, shares = [40, 200, 700], [0.4, 0.3, 0.2, 0.1]
    limit = by_chance(np.array(sizes, float), 3)
    beyond = 0
    for _ in range(400):
        drawn = [rng.multinomial(n, shares) / n for n in sizes]
        beyond += max(level_smd(drawn[a], drawn[b]) for a, b in [(0, 1), (0, 2), (1, 2)]) > limit
    assert 4 <= beyond <= 32
    assert by_chance(np.array([50.0, 50.0]), 1) == pytest.approx(1.959963984540054 / 5)  # 1.96 standard errors
    assert np.isnan(by_chance(np.array([50.0]), 1))


def test_quartiles_of_type_two() -> None:
    assert quartiles(np.array([1.0, 2, 3, 4]), np.ones(4)) == (1.5, 2.5, 3.5)
    assert quartiles(np.array([1.0, 2, 3, 4, 5]), np.ones(5)) == (2, 3, 4)
    assert quartiles(np.array([7.0]), np.array([3.0])) == (7, 7, 7)
    assert quartiles(np.array([1.0, 2, 3]), np.array([0.1, 0.1, 0.2])) == (1.5, 2.5, 3)  # 0.1 + 0.1 is half of 0.4


def test_missing_values_are_counted_and_in_no_percentage() -> None:
    frame = pd.DataFrame({"plan": ["a", "a", "b", None, "b"], "seats": [1.0, np.nan, 3, 5, np.nan], "vip": [True] * 5})
    table = characteristics(frame)
    shown = {(r.variable, r.level): (r.n, r.total, r.missing, r.share) for r in table.itertuples()}
    assert shown["plan", "a"] == (2, 5, 1, 0.5)
    assert shown["vip", "yes"] == (5, 5, 0, 1)
    assert shown["vip", "no"] == (0, 5, 0, 0)
    assert shown["seats", ""][:3] == (3, 5, 2)
    assert table.set_index("variable").loc["seats", "median"] == 3
    nobody = characteristics(pd.DataFrame({"plan": [None, None]}))
    assert nobody[["level", "n", "total", "missing"]].to_numpy().tolist() == [["", 0, 2, 2]]


def test_kinds_and_levels() -> None:
    frame = pd.DataFrame({"a": [0, 1, 1], "b": ["Yes", "no", "Yes"], "c": [0, 2, 1], "d": ["x", "yes", "no"]})
    table = characteristics(frame)
    assert table.drop_duplicates("variable")["kind"].tolist() == ["flag", "flag", "number", "text"]
    assert table.loc[table["variable"] == "b", ["level", "n"]].to_numpy().tolist() == [["Yes", 2], ["no", 1]]
    numbers = characteristics(pd.DataFrame({"size": [10.0, 9.0, 10.0, 2.0]}), kinds={"size": "text"})
    assert numbers["level"].tolist() == ["2", "9", "10"]  # by value
    sizes = pd.Categorical(["5 to <20", "<5", ">=20", "<5"], categories=["<5", "5 to <20", ">=20", "never"])
    assert characteristics(pd.DataFrame({"size": sizes}))[["level", "n"]].to_numpy().tolist() == [
        ["<5", 2], ["5 to <20", 1], [">=20", 1],
    ]  # fmt: skip
    many = characteristics(pd.DataFrame({"city": list("aabbbcdefg")}), most_levels=3)
    assert many[["level", "n"]].to_numpy().tolist() == [["a", 2], ["b", 3], [OTHERS, 5]]


def test_groups_of_few_known_values_are_not_compared() -> None:
    frame = pd.DataFrame({"x": [1.0, 2, 3, 2, 3, 4, 90, 91], "g": ["a"] * 3 + ["b"] * 3 + ["c"] * 2})
    assert set(characteristics(frame, by="g", smallest=3)["smd"]) == {1.0}
    assert set(characteristics(frame, by="g", smallest=3)["smd_groups"]) == {"a, b"}
    assert set(characteristics(frame, by="g")["smd_groups"]) == {"a, c"}


def test_mistakes_are_said() -> None:
    frame = pd.DataFrame({"x": [1.0, 2], "g": ["all", "b"], "w": [1.0, -1], "t": ["a", "b"]})
    with pytest.raises(ArgumentError, match="is called 'all'"):
        characteristics(frame, ["x"], by="g")
    with pytest.raises(ArgumentError, match="order lacks 'b'"):
        characteristics(frame, ["x"], by="t", order=["a"])
    with pytest.raises(ArgumentError, match="did you mean 'x'|not in the frame"):
        characteristics(frame, ["X"])
    with pytest.raises(ArgumentError, match="negative"):
        characteristics(frame, ["x"], weight="w")
    with pytest.raises(ArgumentError, match="leave weight out"):
        characteristics(frame, ["x"], by="t", weight="x", tests=True)
    with pytest.raises(StructureError, match="missing"):
        characteristics(frame.assign(t=["a", None]), ["x"], by="t")


def test_tests_of_nothing() -> None:
    assert rank_test_of_counts(np.array([[3.0, 4.0]]))[0] == "too few for a test"
    assert level_test_of_counts(np.array([[3.0, 4.0], [0.0, 0.0]]))[0] == "too few for a test"


# --- relations that must hold ------------------------------------------------------------------------------------------

ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", None]), st.sampled_from([0.0, 1.5, 2.0, 7.0, None]), st.sampled_from("xyz")),
    min_size=1, max_size=40,
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(ROWS)
def test_levels_and_missing_add_up_to_the_group_and_groups_to_everybody(rows: list[tuple[Any, Any, str]]) -> None:
    frame = pd.DataFrame(rows, columns=["text", "number", "g"]).astype({"number": float, "text": object})
    kinds: dict[str, Any] = {"text": "text", "number": "number"}
    table = characteristics(frame, by="g", kinds=kinds)
    for (_, _), mine in table.groupby(["variable", "group"]):
        assert mine["n"].sum() + mine["missing"].iloc[0] == mine["total"].iloc[0]
    for (_, _), mine in table.groupby(["variable", "level"]):
        parts, whole = mine[mine["group"] != "all"], mine[mine["group"] == "all"]
        for column in ("n", "total", "missing"):
            assert parts[column].sum() == whole[column].item()
    again = characteristics(frame.sample(frac=1, random_state=1), by="g", kinds=kinds)
    pd.testing.assert_frame_equal(again, table)
    counted = frame.groupby(["text", "number", "g"], dropna=False, as_index=False).size()
    heavy = characteristics(counted, ["text", "number"], by="g", weight="size", kinds=kinds)
    pd.testing.assert_frame_equal(heavy, table, check_dtype=False)


# --- counted by the engine ---------------------------------------------------------------------------------------------


def dates(*rows: tuple[Any, ...]) -> pd.DataFrame:
    return raw.frame("customer_id started_on ended_on plan", *rows)


def test_entry_is_the_first_day_at_risk_and_nothing_later() -> None:
    """b signed up before the logs begin and enters at 60; c comes back: the first stay counts, the days of both."""
    people = raw.frame(
        "customer_id signed_up_on segment",
        ("a", "2024-03-01", "small"), ("b", "2024-01-01", "large"), ("c", "2024-03-01", None),
    )  # fmt: skip
    subscriptions = dates(
        ("a", "2024-03-01", "2024-05-01", "basic"), ("a", "2024-05-01", None, "pro"),
        ("b", "2024-01-01", None, "basic"),
        ("c", "2024-03-01", "2024-03-31", "basic"), ("c", "2024-06-01", None, "pro"),
    )  # fmt: skip
    used = [("a", "2024-03-01"), ("a", "2024-04-01"), ("b", "2024-02-20"), ("c", "2024-03-01"), ("c", "2024-03-02")]
    frames = {
        "customers": people,
        "subscriptions": subscriptions,
        "usage": raw.frame("customer_id used_on feature", *[(*row, "x") for row in used]),
    }
    indicators = {
        "uses": parse_indicator({"kind": "usage", "window": 28}),
        "active": parse_indicator({"kind": "usage", "window": 28, "at_least": 1}),
    }
    with raw.opened(frames, from_=dt.date(2024, 3, 1), until=dt.date(2024, 6, 30), warm_up=0) as tables:
        made = spells(
            tables, parse_definition({"kind": "cancellation", "spells": "all", "clock": "continue"}), warm_up=0
        )
        built = episodes(made, indicators, attributes=["segment"]).build()
        whole = built.frame()
        for name in ("uses", "active", "segment"):
            counted = tallies(built, name)
            first = whole.sort_values(["customer", "spell", "start"]).drop_duplicates("customer")
            expected = first.groupby(name, dropna=False).size()
            found = counted[counted["customers"] > 0].set_index("value")["customers"]
            assert found.tolist() == expected.tolist()
            days = (whole["stop"] - whole["start"]).groupby(whole[name], dropna=False).sum()
            assert counted["days"].tolist() == days.tolist()
            assert counted["customers"].sum() == 3
            assert counted["days"].sum() == made.person_days
        entry = tallies(built, "uses").set_index("value")["customers"]
        assert (
            entry[1.0] == 3
        )  # a and c used once on the day itself, b on day 50, within 28 days of day 60; c's second use is later
        of_spells = tallies(made, "segment", by="segment")
        assert of_spells["group"].tolist() == ["(missing)", "large", "small"]
        assert of_spells["customers"].tolist() == [1, 1, 1]
        with pytest.raises(DataError, match="'country' is neither"):
            tallies(built, "country")
