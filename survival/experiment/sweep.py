"""`sweep:` in a config: every combination of the values given is a run of its own, NAME--key=value."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from survival.errors import ConfigError
from survival.experiment.source import KeyPath, Setting, Source, read

LARGEST = 200  # runs
_NOT_SWEPT = ("name", "sweep", "extends")
_LONGEST = 32  # characters of a value in a folder's name


@dataclass(frozen=True)
class Point:
    """One combination: its settings, the end of its folder's name, and each key's value as text, in order."""

    settings: tuple[Setting, ...] = ()
    suffix: str = ""
    values: tuple[tuple[str, str], ...] = ()


WHOLE = Point()  # of a config without a sweep


def points(path: Path, overrides: Sequence[str] = ()) -> list[Point]:
    """The points of a config's sweep, the last key varying fastest; one without settings where there is no sweep.

    Raises ConfigError, with the line, for a sweep that cannot be used.
    """
    source = read(path, overrides)
    if source.sweep is None:
        return [WHOLE]
    axes = _axes(path, source)
    labels = _labels([key for key, _ in axes])
    grid: list[list[tuple[Setting, str, str]]] = []
    for (key, values), label in zip(axes, labels):
        slugs = _slugs(values)
        settings = [Setting(tuple(key.split(".")), v, _place(source, key, i)) for i, v in enumerate(values)]
        grid.append([(s, f"{label}={slug}", _text(s.value)) for s, slug in zip(settings, slugs)])
    size = 1
    for axis in grid:
        size *= len(axis)
    if size > LARGEST:
        raise ConfigError(
            f"{source.place(('sweep',))}, sweep: {size} combinations; at most {LARGEST}. Sweep fewer values."
        )
    return [
        Point(
            tuple(s for s, _, _ in chosen),
            "".join(f"--{slug}" for _, slug, _ in chosen),
            tuple((label, text) for label, (_, _, text) in zip(labels, chosen)),
        )
        for chosen in product(*grid)
    ]


def _axes(path: Path, source: Source) -> list[tuple[str, list[Any]]]:
    place, sweep = source.place(("sweep",)) or str(path), source.sweep
    example = "sweep: {model.ties: [efron, breslow], update_every: [1, 7]}"
    if not isinstance(sweep, Mapping) or not sweep:
        raise ConfigError(f"{place}, sweep: give dotted keys with lists of values, as in {example}.")
    axes = list(_flat(sweep, ()))
    problems = []
    for key, values in axes:
        here = f"{_place(source, key, None)}, sweep.{key}"
        if key.split(".")[0] in _NOT_SWEPT:
            problems.append(f"{here}: this key cannot be swept; each run is named by its values.")
        elif not isinstance(values, list) or not values:
            problems.append(f"{here}: got {values!r}; give a list of values, as in {example}.")
        elif len({repr(v) for v in values}) < len(values):
            problems.append(f"{here}: a value stands twice. Each combination is one run.")
    if problems:
        raise ConfigError("\n".join(problems))
    return axes


def _flat(value: Mapping[str, Any], path: KeyPath) -> list[tuple[str, Any]]:
    """Dotted key -> list, whether the keys are written with dots or as maps in maps."""
    found: list[tuple[str, Any]] = []
    for key, inner in value.items():
        here = (*path, key)
        found += _flat(inner, here) if isinstance(inner, Mapping) else [(".".join(map(str, here)), inner)]
    return found


def _place(source: Source, key: str, item: int | None) -> str:
    """Where a key of the sweep, or one of its values, stands: written with dots, or as maps in maps."""
    parts = tuple(key.split("."))
    written = [("sweep", key), ("sweep", *parts)]
    path = next((p for p in written if p in source.places), ("sweep",))
    return source.place(path if item is None else (*path, item))


def _labels(keys: Sequence[str]) -> list[str]:
    """What a key is called: its last part, or all of it where two keys end alike."""
    last = [key.rpartition(".")[2] for key in keys]
    often = Counter(last)
    return [key if often[short] > 1 else short for key, short in zip(keys, last)]


def _slugs(values: Sequence[Any]) -> list[str]:
    """Each value in a folder's name: itself where it is short and plain, else its number in the list."""
    slugs = [re.sub(r"[^A-Za-z0-9_.+-]+", "_", _text(v)).strip("_") for v in values]
    usable = all(0 < len(s) <= _LONGEST for s in slugs) and len({s.lower() for s in slugs}) == len(slugs)
    return (
        slugs
        if usable and not any(isinstance(v, list | dict) for v in values)
        else [str(i) for i in range(1, len(values) + 1)]
    )


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{k} {_text(v)}" for k, v in value.items())
    return str(value)
