"""`survival check`: read a config and its data, say what was set aside and what the audit finds, fit nothing.

Of a config with `sweep:` every combination is checked: tables are read once for all that read the same, what is built from them
once for all that build the same, and each finding and each problem is said once, with the combinations that have it.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from survival.data import Tables, open_tables
from survival.errors import ConfigError, DataError, SurvivalError
from survival.experiment.auditing import audited, stopping
from survival.experiment.checkable import Checkable, checkable, said_once, table_problems, where
from survival.experiment.columns import located
from survival.experiment.config import Experiment
from survival.experiment.data_settings import setting_problems
from survival.experiment.episode_cache import EpisodeCache
from survival.experiment.fingerprints import hash_of
from survival.experiment.problems import located_lines, titled_lines
from survival.experiment.progress import Steps, steps
from survival.experiment.run import project_root
from survival.experiment.study import Study, needed, wanted
from survival.experiment.sweep import WHOLE, Point, points
from survival.findings import Finding

# Keys that neither tables nor audit depend on: combinations that differ in these only are built once.
_AFTER_THE_AUDIT = (
    "name", "title", "labels", "figures", "keep_episodes", "keep_customers", "level", "retention", "beyond", "lag_profile",
    "sensitivity", "seed", "allow", "strict",
)  # fmt: skip
_COMBINATIONS = "combinations"


@dataclass(eq=False)
class Checked:
    """What a check says, by what it says: value -> numbers of the combinations that have it (of `points`).

    rows of the ledger and of who is at risk (as tuples, with the columns' names), findings, and those that would stop a run.
    """

    path: Path
    points: Sequence[Point]
    columns: dict[str, list[str]] = field(default_factory=dict)  # of ledger, at_risk
    held: dict[str, dict[Hashable, set[int]]] = field(default_factory=dict)

    def add(self, number: int, what: str, values: Iterable[Hashable]) -> None:
        """Combination `number` has these."""
        for value in values:
            self.held.setdefault(what, {}).setdefault(value, set()).add(number)

    def add_rows(self, number: int, what: str, frame: pd.DataFrame) -> None:
        """Combination `number` has the rows of this frame."""
        self.columns[what] = list(frame.columns)
        rows = frame.astype(object).where(frame.notna(), None)
        self.add(number, what, rows.itertuples(index=False, name=None))

    @property
    def is_sweep(self) -> bool:
        """Whether there are combinations to tell apart."""
        return list(self.points) != [WHOLE]

    @property
    def ok(self) -> bool:
        """Whether nothing stops a run of any combination."""
        return not self.held.get("refused")

    def rows(self, what: str) -> pd.DataFrame:
        """A row once; of a sweep with the combinations that have it, where not all do."""
        held = self.held.get(what, {})
        frame = pd.DataFrame(list(held), columns=self.columns[what])
        said = [where(self.points, among) for among in held.values()]
        frame = frame.assign(**{_COMBINATIONS: said}) if any(said) else frame
        return frame.sort_values(frame.columns[0], key=lambda first: pd.factorize(first)[0], kind="stable")

    def as_json(self) -> str:
        """One JSON object: config, ok, findings, at_risk, ledger; of a sweep also its combinations, and which have what."""
        value: dict[str, Any] = {"config": str(self.path), "ok": self.ok}
        if self.is_sweep:
            stopped = set().union(*self.held.get("refused", {}).values())
            value[_COMBINATIONS] = [
                {"name": point.suffix.removeprefix("--"), "values": dict(point.values), "ok": i not in stopped}
                for i, point in enumerate(self.points)
            ]
        findings = [(finding.row(), among) for finding, among in self._findings()]
        value["findings"] = [row | self._which(among) for row, among in findings]
        value |= {name: self._records(name) for name in ("at_risk", "ledger")}
        return json.dumps(value, indent=2, ensure_ascii=False)

    def as_text(self) -> str:
        """The same to read: the most severe findings last, where the eye is."""
        order = {"note": 0, "warning": 1, "error": 2}
        titles = {"ledger": "Rows read, used and set aside", "at_risk": "Customers at risk"}
        parts = [_table(title, self.rows(name)) for name, title in titles.items()]
        found = list(self._findings())
        if self.is_sweep:  # what several combinations have in variants stands together
            found.sort(key=lambda held: (held[0].id, held[0].subject))
        for finding, among in sorted(found, key=lambda held: order[held[0].severity]):
            at = where(self.points, among)
            parts.append(finding.line)
            parts += [f"  {at}"] if at else []
            parts += [f"  allowed: {finding.allowed}"] if finding.allowed else []
        stops = f", {len(self.held['refused'])} of which would stop a run" if not self.ok else ""
        of = f" in {len(self.points)} combinations" if self.is_sweep else ""
        return "\n".join([*parts, f"{self.path}: {len(found) or 'nothing'} found{of}{stops}"])

    def _findings(self) -> Iterator[tuple[Finding, set[int]]]:
        for finding, among in self.held.get("findings", {}).items():
            assert isinstance(finding, Finding)
            yield finding, among

    def _which(self, among: set[int]) -> dict[str, list[str]]:
        names = [self.points[i].suffix.removeprefix("--") for i in sorted(among)]
        return {_COMBINATIONS: names} if self.is_sweep else {}

    def _records(self, what: str) -> list[dict[str, Any]]:
        held = self.held.get(what, {})
        rows = json.loads(pd.DataFrame(list(held), columns=self.columns[what]).to_json(orient="records"))
        return [row | self._which(among) for row, among in zip(rows, held.values())]


def check(
    config: Path, overrides: Sequence[str], console: Console, *, as_json: bool = False, rebuild: bool = False
) -> bool:
    """Print what was read, who is at risk and every finding; whether nothing stops a run. `rebuild`: test for looking ahead.

    Raises SurvivalError with every problem of the config and of the tables at once; as JSON they are printed instead.
    """
    try:
        checked = _checked(config, overrides, console, rebuild)
    except SurvivalError as error:
        if not as_json:
            raise
        lines = [line.strip() for line in str(error).splitlines()]
        print(json.dumps({"config": str(config), "ok": False, "problems": lines}, indent=2, ensure_ascii=False))
        return False
    print(checked.as_json() if as_json else checked.as_text())
    return checked.ok


def _checked(path: Path, overrides: Sequence[str], console: Console, rebuild: bool) -> Checked:
    root, grid = project_root(path), points(path, overrides)
    every = [checkable(path, overrides, root, point) for point in grid]
    with steps(console) as step:
        if any(one.problems for one in every):
            raise SurvivalError("\n".join(_problems(path, every, root, step)))
        checked, failed, misfit = Checked(path, grid), list[tuple[int, str]](), list[tuple[int, str]]()
        for alike in _alike(every, _reads).values():
            try:
                _look(checked, failed, misfit, every, alike, root, step, rebuild)
            except DataError as error:
                said = str(located(error, every[alike[0]].source)).splitlines()
                failed += [(number, line) for number in alike for line in said]
        if failed or misfit:
            config, data = (said_once(grid, sorted(lines, key=lambda one: one[0])) for lines in (misfit, failed))
            raise SurvivalError("\n".join([*(titled_lines(path, config) if config else []), *data]))
    return checked


def _problems(path: Path, every: Sequence[Checkable], root: Path, step: Steps) -> list[str]:
    """Every problem of every combination, and of the tables of those that can be read."""
    grid = [one.point for one in every]
    written = sorted({(*line, i) for i, one in enumerate(every) for line in located_lines(one.source, one.problems)})
    config = titled_lines(path, said_once(grid, [(number, text) for _, text, number in written]))
    usable = {i: one.usable for i, one in enumerate(every) if one.usable is not None}
    tables: list[tuple[int, str]] = []
    for alike in _alike(every, _reads, among=list(usable)).values():
        said = table_problems(usable[alike[0]], every[alike[0]].source, root, step)
        tables += [(number, line) for number in alike for line in said]
    return [*config, *said_once(grid, tables)]


def _alike(every: Sequence[Checkable], key: Any, among: Sequence[int] | None = None) -> dict[str, list[int]]:
    """Numbers of the combinations that have the same key, in their order."""
    found: dict[str, list[int]] = {}
    for number in range(len(every)) if among is None else among:
        found.setdefault(key(every[number].usable), []).append(number)
    return found


def _reads(experiment: Experiment) -> str:
    """What is read of which tables."""
    columns = [
        {table: sorted(names) for table, names in part.items()} for part in (needed(experiment), wanted(experiment))
    ]
    return hash_of([experiment.data.model_dump(mode="json"), *columns])


def _builds(experiment: Experiment) -> str:
    """What spells, episodes and audit depend on."""
    return hash_of({key: value for key, value in experiment.resolved().items() if key not in _AFTER_THE_AUDIT})


def _look(
    checked: Checked, failed: list[tuple[int, str]], misfit: list[tuple[int, str]], every: Sequence[Checkable],
    alike: Sequence[int], root: Path, step: Steps, rebuild: bool,
) -> None:  # fmt: skip
    """Combinations that read the same: the tables once, and spells, episodes and audit once for those that build the same.

    Adds lines to `failed`, of what is wrong with the data, and to `misfit`, of settings that the data do not allow.
    """
    first = every[alike[0]].experiment
    assert first is not None  # or it had a problem
    step("reading and checking the tables")
    with open_tables(first.data, root=root, need=needed(first), optional=wanted(first)) as tables:
        for same in _alike(every, _builds, alike).values():
            one = every[same[0]]
            if one.point.values:
                like = f" and {len(same) - 1} like it" if len(same) > 1 else ""
                step(f"{', '.join(f'{key} = {value}' for key, value in one.point.values)}{like}")
            try:
                _audit(checked, every, same, tables, root, step, rebuild)
            except DataError as error:
                failed += [(n, line) for n in same for line in str(located(error, one.source)).splitlines()]
            except ConfigError as error:
                misfit += [(n, line) for n in same for line in str(error).splitlines()]


def _audit(
    checked: Checked, every: Sequence[Checkable], same: Sequence[int], tables: Tables, root: Path, step: Steps, rebuild: bool
) -> None:  # fmt: skip
    config = every[same[0]].experiment
    assert config is not None
    study = Study(config, tables, step, EpisodeCache.of(root))
    if lines := located_lines(every[same[0]].source, setting_problems(study)):
        raise ConfigError("\n".join(text for _, text in sorted(lines)))
    at_risk, findings = _at_risk(study), audited(study, rebuild=rebuild)
    for number in same:
        mine = every[number].experiment
        assert mine is not None
        allowed = tuple(replace(finding, allowed=mine.allow.get(finding.id, "")) for finding in findings)
        checked.add_rows(number, "ledger", study.tables.ledger)
        checked.add_rows(number, "at_risk", at_risk)
        checked.add(number, "findings", allowed)
        checked.add(number, "refused", stopping(mine, allowed))


def _at_risk(study: Study) -> pd.DataFrame:
    parts = []
    for name in study.definitions:
        counts = study.spells(name).counts.rename(columns={"aside": "reason"}).assign(definition=name)
        counts["reason"] = counts["reason"].fillna("at risk")
        parts.append(counts[["definition", "reason", "customers", "churns", "person_days"]])
    return pd.concat(parts, ignore_index=True)


def _table(title: str, frame: pd.DataFrame) -> str:
    return f"{title}\n{frame.to_string(index=False)}\n"
