"""One combination of a config as `survival check` sees it: what is wrong with its keys, names and tables, each line once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from survival.churn import combined, combining_mistakes
from survival.data import open_tables
from survival.errors import ArgumentError, DataError
from survival.experiment.columns import located, name_problems, period_problems
from survival.experiment.config import CharacteristicsSpec, Experiment, ModelSpec, load_partly
from survival.experiment.problems import Problem
from survival.experiment.progress import Steps
from survival.experiment.references import formula_names
from survival.experiment.run import known_studies
from survival.experiment.source import Source
from survival.experiment.study import needed, wanted
from survival.experiment.sweep import Point

MOST_NAMED = 4  # combinations that are named one by one


@dataclass(frozen=True, eq=False)
class Checkable:
    """A combination as read: `usable` is the experiment without what would hide other problems (None: too little is left)."""

    point: Point
    experiment: Experiment | None
    source: Source
    problems: tuple[Problem, ...]
    usable: Experiment | None


def checkable(path: Path, overrides: Sequence[str], root: Path, point: Point) -> Checkable:
    """Read one combination: its keys, and the names that only the header of customers can explain."""
    known = list(known_studies(path, overrides, root, point.settings))
    experiment, source, problems = load_partly(path, overrides, known, point.settings)
    usable = _usable(experiment) if problems else experiment
    named = name_problems(usable, root) if usable is not None else []
    return Checkable(
        point, experiment, source, (*problems, *(problem for problem in named if problem not in problems)), usable
    )


def where(points: Sequence[Point], among: Collection[int]) -> str:
    """Which combinations of a sweep have something: 'where lag is 0 and window is 14 or 30', 'in 2 of 6 combinations (...)';
    '' for all of them."""
    if len(among) == len(points):
        return ""
    mine = [points[i] for i in sorted(among)]
    axes = range(len(points[0].values))
    there = [list(dict.fromkeys(point.values[axis][1] for point in mine)) for axis in axes]
    inside = sum(all(point.values[axis][1] in there[axis] for axis in axes) for point in points)
    if inside == len(mine):  # it depends on the values of each key by itself
        every = [len({point.values[axis][1] for point in points}) for axis in axes]
        parts = [
            f"{points[0].values[axis][0]} is {' or '.join(there[axis])}"
            for axis in axes
            if len(there[axis]) < every[axis]
        ]
        return f"where {' and '.join(parts)}"
    named = [", ".join(f"{key} = {value}" for key, value in point.values) for point in mine]
    more = f"; and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return f"in {len(named)} of {len(points)} combinations ({'; '.join(named[:MOST_NAMED])}{more})"


def said_once(points: Sequence[Point], lines: Iterable[tuple[int, str]]) -> list[str]:
    """Lines of several combinations (number, text), each once in the order of their first, with the combinations that have it."""
    held: dict[str, set[int]] = {}
    for number, line in lines:
        held.setdefault(line, set()).add(number)
    return [f"{line} [{at}]" if (at := where(points, among)) else line for line, among in held.items()]


def table_problems(experiment: Experiment, source: Source, root: Path, step: Steps) -> list[str]:
    """What is wrong with the tables, apart from what the config names wrongly; a line each."""
    data = experiment.data
    if period_problems(experiment):  # said already
        data = data.model_copy(update={"observed": data.observed.model_copy(update={"from_": None})})
    known = [name for name in formula_names(experiment.model.formula) if name in experiment.indicators]
    model = ModelSpec(churn=experiment.model.churn, formula=" + ".join(known) or None)
    bare: dict[str, Any] = {"cohorts": None, "adjusted": None, "characteristics": CharacteristicsSpec()}
    safe = experiment.model_copy(update=bare | {"model": model, "data": data})
    need = {name: columns for name, columns in needed(safe).items() if name in data.tables}
    step("reading and checking the tables")
    try:
        open_tables(data, root=root, need=need, optional=wanted(safe)).close()
    except DataError as error:
        return str(located(error, source)).splitlines()
    return []


def _usable(experiment: Experiment | None) -> Experiment | None:
    """The experiment without what is named among its problems and would hide others: its tables can still be checked.

    A formula that cannot be read, definitions that cannot be combined or are not there.
    """
    if experiment is None:
        return None
    churn = dict(experiment.churn)
    while broken := [name for name, _ in combining_mistakes(churn)]:
        churn = {name: definition for name, definition in churn.items() if name not in broken}
    if not churn:
        return None
    model = experiment.model
    try:
        formula_names(model.formula)
    except ArgumentError:
        model = model.model_copy(update={"formula": None})
    modelled = [name for name in experiment.modelled if name in churn]
    model = model.model_copy(update={"churn": tuple(modelled or churn)})
    others = tuple(name for name in experiment.sensitivity.churn if name in churn)
    sensitivity = experiment.sensitivity.model_copy(update={"churn": others})
    return experiment.model_copy(update={"churn": combined(churn), "model": model, "sensitivity": sensitivity})
