"""Frames of episodes: every kind of frame gives the same arrays, and what cannot be a history is refused by name."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from survival.errors import ArgumentError, DataError, StructureError
from survival.flows import frames
from survival.flows.door import flows
from survival.flows.frames import EpisodeArrays, episode_arrays, flows_of, timefix

ROWS = pd.DataFrame(
    {
        "id": ["ann", "ann", "bob", "cy", "cy", "cy"],
        "start": [0, 5, 2, 0, 3, 7],
        "stop": [5, 9, 8, 3, 6, 10],
        "event": [0, 1, 0, 0, 0, 1],
        "plan": ["pro", "pro", "free", "free", "free", "pro"],
    }
)


class Capsule:
    """What only speaks Arrow's PyCapsule interface, such as a Polars frame."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._table.__arrow_c_stream__(requested_schema)


class Lazy:
    """What an Ibis table offers: names of columns, a selection, and a computation."""

    def __init__(self, table: pa.Table, computed: list[list[str]]) -> None:
        self._table, self._computed, self.columns = table, computed, tuple(table.column_names)

    def select(self, *names: str) -> Lazy:
        return Lazy(self._table.select(list(names)), self._computed)

    def to_pyarrow(self) -> pa.Table:
        self._computed.append(list(self.columns))
        return self._table


def read(frame: Any = ROWS, **options: Any) -> EpisodeArrays:
    return episode_arrays(frame, **{"stop": "stop", "event": "event", "start": "start", "customer": "id", **options})


FRAMES = {
    "pandas": lambda: ROWS.set_index("plan", drop=False),
    "pandas nullable": lambda: ROWS.convert_dtypes(),
    "pandas arrow": lambda: ROWS.convert_dtypes(dtype_backend="pyarrow"),
    "mapping": lambda: {name: ROWS[name].to_numpy() for name in ROWS},
    "lists": lambda: ROWS.to_dict("list"),
    "pyarrow": lambda: pa.table(ROWS),
    "capsule": lambda: Capsule(pa.table(ROWS)),
    "duckdb": lambda: duckdb.from_arrow(pa.table(ROWS)),
    "ibis": lambda: Lazy(pa.table(ROWS), []),
    "boolean event": lambda: ROWS.assign(event=ROWS["event"] == 1),
    "float event": lambda: ROWS.assign(event=ROWS["event"] * 1.0),
    "categories": lambda: ROWS.assign(plan=ROWS["plan"].astype("category")),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_every_kind_of_frame_gives_the_same(kind: str) -> None:
    episodes, expected = read(FRAMES[kind](), keep=["plan"]), read(keep=["plan"])
    for name in ("start", "stop", "event", "weight", "customer", "spell", "began", "ended"):
        np.testing.assert_array_equal(getattr(episodes, name), getattr(expected, name))
    flows = flows_of(episodes, ["plan"])
    assert flows.patterns["plan"].tolist() == ["free", "pro"]
    assert flows.person_days == 24
    assert flows.total_events == 2


def test_a_lazy_table_computes_only_what_is_named() -> None:
    computed: list[list[str]] = []
    read(Lazy(pa.table(ROWS), computed), customer=None)
    assert computed == [["stop", "event", "start"]]


def test_the_arrays() -> None:
    episodes = read()
    assert episodes.customer.tolist() == [0, 0, 1, 2, 2, 2]
    assert episodes.customers == 3
    assert episodes.began.tolist() == [True, False, True, True, False, True]  # cy has a gap from 6 to 7
    assert episodes.ended.tolist() == [False, True, True, False, True, True]
    assert [finding.id for finding in episodes.findings] == ["gaps"]
    assert len(episodes) == 6
    assert episodes.person_days == 24
    with pytest.raises(ValueError, match="read-only"):
        episodes.stop[0] = 1


def test_the_flows() -> None:
    flows = flows_of(read())
    assert flows.time.tolist() == [0, 2, 3, 5, 6, 7, 8, 9, 10]
    assert flows.entered.tolist() == [2, 1, 1, 1, 0, 1, 0, 0, 0]
    assert flows.exited.tolist() == [0, 0, 1, 1, 1, 0, 1, 1, 1]
    assert flows.began.tolist() == [2, 1, 0, 0, 0, 1, 0, 0, 0]
    assert flows.ended.tolist() == [0, 0, 0, 0, 1, 0, 1, 1, 1]
    assert flows.events.tolist() == flows.deaths.tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 1]
    assert (flows.customers, flows.episodes) == (3, 6)


def test_flows_of_given_patterns_keep_cuts() -> None:
    episodes = read(keep=["plan"])
    codes = np.array([0, 1, 0, 0, 0, 1])
    flows = flows_of(episodes, codes=codes, patterns=pd.DataFrame({"x": [0.0, 1.0]}))
    assert flows.began.sum() == flows.ended.sum() == 4  # ann's change of x is a cut, cy's gap is not
    by = flows_of(read(ROWS.assign(x=codes), keep=["x"]), ["x"])
    assert by.began.sum() == by.ended.sum() == 5  # as groups, ann leaves one and enters the other
    np.testing.assert_array_equal(by.entered, flows.entered)
    with pytest.raises(ArgumentError, match="codes and patterns together"):
        flows_of(episodes, codes=codes)


def test_weights_count_and_who_weighs_nothing_is_nobody() -> None:
    weighted = read(ROWS.assign(w=[2, 2, 0, 1.5, 1.5, 1.5]), weights="w")
    flows = flows_of(weighted)
    assert flows.entered.tolist() == [3.5, 1.5, 2, 0, 1.5, 0, 0]
    assert 2 not in flows.time
    assert 8 not in flows.time
    assert flows.events.tolist()[-2:] == [2, 1.5]
    assert flows.deaths.tolist()[-2:] == [1, 1]
    changed = read(ROWS.assign(w=[1, 3, 1, 1, 1, 1]), weights="w")
    assert changed.began.tolist()[:2] == [True, True]  # another weight is another size of the risk set


def test_spells_of_one_customer_are_checked_apart() -> None:
    rows = {"id": [1, 1, 1], "spell": [0, 0, 1], "start": [0, 4, 2], "stop": [4, 6, 9], "event": [0, 1, 1]}
    episodes = read(rows, spell="spell")
    assert episodes.customers == 1
    assert episodes.began.tolist() == [True, False, True]
    with pytest.raises(StructureError, match="overlapping"):
        read(rows)
    with pytest.raises(ArgumentError, match="spell='spell' was given without customer"):
        read(rows, spell="spell", customer=None)


def test_without_start_everybody_enters_at_zero_and_an_unused_start_is_said() -> None:
    episodes = read(ROWS, start=None, customer=None)
    assert episodes.start.tolist() == [0] * 6
    assert [finding.id for finding in episodes.findings] == ["start-ignored"]
    assert read({"stop": [1, 2], "event": [0, 1]}, start=None, customer=None).findings == ()


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "nan": ({"stop": [5, np.nan, 8, 3, 6, 10]}, r"stop column 'stop' has missing.*: 1 row.*row 1 \(customer ann\): stop = nan"),
    "infinity": ({"start": [0, 5, -np.inf, 0, 3, 7]}, r"start column 'start' has missing or infinite.*row 2 \(customer bob\)"),
    "text": ({"stop": ["5", "nine", "8", "3", "6", "10"]}, "must hold numbers; it has text.*stop = nine"),
    "dates": ({"stop": pd.date_range("2024-01-01", periods=6)}, "'stop' holds dates"),
    "start at stop": ({"stop": [5, 5, 8, 3, 6, 10]}, r"must be before 'stop': 1 row.*\(customer ann\): start = 5, stop = 5"),
    "event 2": ({"event": [1, 2, 1, 1, 1, 2]}, r"event column 'event' must be 0/1 or true/false: 2 rows.*event = 2"),
    "event missing": ({"event": [0, None, 0, 0, 0, 1]}, "event column 'event' has missing"),
    "overlap": ({"start": [0, 4, 2, 0, 3, 7]}, r"overlapping.*1 customer.*ann: row 0 \(0, 5\] then row 1 \(4, 9\] with an event"),
    "two events": ({"event": [1, 1, 0, 0, 0, 1]}, r"a second terminal event.*'event'.*1 customer.*customer ann"),
    "event in the middle": ({"event": [0, 1, 0, 1, 0, 0]}, r"not on the last row.*cy: row 3 \(0, 3\] with an event then row 4"),
    "customer missing": ({"id": ["ann", "ann", None, "cy", "cy", "cy"]}, "customer column 'id' has missing values.*row 2"),
    "negative weight": ({"w": [1, 1, -1, 1, 1, 1]}, r"'w' has negative weights: 1 row.*row 2 \(customer bob\): w = -1"),
    "all weights 0": ({"w": 0.0}, "every weight is 0"),
    "infinite weight": ({"w": np.inf}, "weights column 'w' has missing or infinite values: 6 rows"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_a_history_is_refused_by_name(case: str) -> None:
    change, said = BAD[case]
    with pytest.raises(StructureError, match=said):
        read(ROWS.assign(**change), weights="w" if "w" in change else None)


def test_negative_tenure_without_start_is_refused() -> None:
    with pytest.raises(StructureError, match=r"'stop' must be after 0, the entry of everybody: 2 rows.*stop = -1"):
        read({"stop": [3, -1, 0], "event": [1, 0, 1]}, start=None, customer=None)


def test_a_group_that_is_missing_is_refused() -> None:
    with pytest.raises(StructureError, match=r"by column 'plan' has missing values.*row 3"):
        flows_of(read(ROWS.assign(plan=["a", "a", "b", None, "b", "b"]), keep=["plan"]), ["plan"])


def test_columns_and_frames_that_are_not_there() -> None:
    with pytest.raises(
        ArgumentError, match=r"column 'stopp' is not in the frame; did you mean 'stop'\? It has: id, start"
    ):
        read(stop="stopp")
    for frame in (pa.table(ROWS), Lazy(pa.table(ROWS), []), ROWS.to_dict("list")):
        with pytest.raises(ArgumentError, match="did you mean 'event'"):
            read(frame, event="evnt")
    with pytest.raises(ArgumentError, match="in the frame 2 times"):
        read(pd.concat([ROWS, ROWS[["stop"]]], axis=1))
    with pytest.raises(ArgumentError, match="must be a pandas, Polars or PyArrow frame.*got int"):
        read(7)
    with pytest.raises(ArgumentError, match="one length"):
        read({"stop": [1, 2], "event": [1]}, start=None, customer=None)
    with pytest.raises(ArgumentError, match="a column is named by text"):
        read(stop=3)
    with pytest.raises(StructureError, match="no rows"):
        read(ROWS.iloc[:0])


def test_times_are_mended_in_every_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the rule, one value at a time."""
    rng = np.random.default_rng(3)
    times = rng.integers(1, 40, 200) / 10 + rng.integers(0, 3, 200) * 1e-13
    ordered = np.unique(times)
    first = {ordered[0]: ordered[0]}
    for before, now in pairwise(ordered):
        first[now] = first[before] if now - before <= 1e-8 else now
    expected = [first[time] for time in times]
    assert len(set(expected)) < len(ordered)
    for block in (7, 64, 1000):
        monkeypatch.setattr(frames, "_BLOCK", block)
        assert timefix(times)[0].tolist() == expected


def test_times_within_rounding_are_ties() -> None:
    (fixed,) = timefix(np.array([0.3, 0.1 + 0.2, 0.7, 0.1 * 7]))
    assert fixed.tolist() == [0.3, 0.3, 0.7, 0.7]
    start, stop = timefix(np.array([0.0, 0.1 + 0.2]), np.array([0.3, 1.0]))
    assert start[1] == stop[0]
    far = np.array([0.3, 0.3 + 1e-6])
    assert timefix(far)[0].tolist() == far.tolist()
    # Relative to the mean: a microsecond in a million days is rounding.
    big = np.array([1e6, 1e6 + 1e-3, 2e6])
    assert timefix(big)[0].tolist() == [1e6, 1e6, 2e6]


def test_times_within_rounding_are_one_however_many_they_are() -> None:
    """Value by value in order, as R's aeqSurv says it; -0.0 is 0."""
    rng = np.random.default_rng(2)
    time = np.concatenate([rng.random(5_000) * 40, [0.0, -0.0, 1e-9]])
    first, second = time[::2], np.append(time[1::2], time[:300] + 1e-8)
    distinct = np.unique(np.concatenate([first, second]))
    close, onto, last = np.finfo(float).eps ** 0.5 * max(1.0, np.abs(distinct).mean()), {}, distinct[0]
    for before, now in pairwise(distinct):
        last = last if now - before <= close else now
        onto[now] = last
    expected = [[onto.get(value, value) for value in part] for part in (first, second)]
    fixed = timefix(first, second)
    assert [part.tolist() for part in fixed] == expected
    assert sum((a != b).sum() for a, b in zip(fixed, (first, second))) > 100
    cut = read({"id": [1, 1], "start": [0, 0.1 + 0.2], "stop": [0.3, 1], "event": [0, 1]})
    assert cut.began.tolist() == [True, False]
    with pytest.raises(StructureError, match="one time up to rounding"):
        read({"id": [1, 2], "start": [0.3, 0], "stop": [0.1 + 0.2, 1.0], "event": [0, 1]})


def test_groups_in_order_and_many_patterns() -> None:
    rows = ROWS.assign(
        year=[10, 10, 9, 100, 100, 100], size=pd.Categorical(list("mmlsss"), ["s", "m", "l"], ordered=True)
    )
    flows = flows_of(read(rows, keep=["size", "year"]), ["size", "year"])
    assert flows.patterns.to_numpy().tolist() == [["s", 100], ["m", 10], ["l", 9]]
    random = np.random.default_rng(0)
    n = 5000
    many = {"stop": random.exponential(size=n), "event": random.random(n) < 0.5, "x": random.random(n)}
    wide = flows_of(read(many, start=None, customer=None, keep=["x"]), ["x"])  # a pattern each: no dense table
    assert len(wide.patterns) == n
    assert wide.time.size == 2 * n
    assert wide.total_events == many["event"].sum()
    assert wide.person_days == pytest.approx(many["stop"].sum(), rel=1e-12)


def test_flows_of_a_frame_says_what_it_takes() -> None:
    """Estimates read frames; `flows` is for spells and episodes."""
    with pytest.raises(DataError, match="`spells` or `episodes`.*got DataFrame"):
        flows(pd.DataFrame({"stop": [1], "event": [1]}))
