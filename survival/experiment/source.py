"""YAML 1.2 with line numbers: every value remembers the file and line it came from, through `extends` and `--set`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from survival.errors import ConfigError

KeyPath = tuple[str | int, ...]

_NULL = re.compile(r"^(~|null|Null|NULL|)$")
_BOOL = re.compile(r"^(true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^[-+]?[0-9]+$")
_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_TEXT_UNDER = {"where", "nulls"}  # values that are text: `NO` is a country, 007 an id and NULL a word


@dataclass(frozen=True)
class Setting:
    """A value for a key of a config, and where it was given."""

    path: KeyPath
    value: Any
    place: str


@dataclass
class Source:
    """A config as plain values, and where each of them stands: key path -> "file, line n".

    `sweep`: what stands under `sweep:`, which is no key of an experiment but makes several of one.
    """

    values: dict[str, Any]
    places: dict[KeyPath, str] = field(default_factory=dict)
    sweep: Any = None

    def place(self, path: KeyPath) -> str:
        """The place of a key, or of its nearest parent that is written somewhere."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return ""


def read(path: Path, overrides: Sequence[str] = (), point: Sequence[Setting] = ()) -> Source:
    """The config at `path`, with what it extends merged in, `key=value` overrides and the settings of a `point` applied.

    Maps merge deep, lists and scalars replace, null removes. Raises ConfigError for what is no YAML.
    """
    source = _read_extending(path, seen=())
    for text in overrides:
        _override(source, text)
    source.sweep = source.values.pop("sweep", None)
    for setting in point:
        _set(source, setting.path, setting.value, setting.place, setting.place)
    return source


def _read_extending(path: Path, seen: tuple[Path, ...]) -> Source:
    if path.resolve() in seen:
        raise ConfigError(f"{path}: extends itself, through {' -> '.join(p.name for p in seen)}. Break the circle.")
    own = _parse(path)
    base_name = own.values.pop("extends", None)
    if base_name is None:
        return own
    base_path = path.parent / str(base_name)
    if not base_path.exists():
        raise ConfigError(
            f"{own.place(('extends',))}, extends: no file {base_path}. Give a path relative to {path.parent}."
        )
    base = _read_extending(base_path, (*seen, path.resolve()))
    _merge(base, own, ())
    return base


def _parse(path: Path) -> Source:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}). Name a config, such as configs/NAME.yaml."
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(
            f"{path}{line}: this is not YAML: {problem}. Check indentation, colons and brackets."
        ) from None
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{path}: a config is a mapping of keys to values, such as `study: cohort_retention`.")
    source = Source({})
    source.values = _value(node, (), str(path), source.places)
    return source


def _value(node: yaml.Node, path: KeyPath, file: str, places: dict[KeyPath, str]) -> Any:
    places.setdefault(path, f"{file}, line {node.start_mark.line + 1}")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, file, places)
    if isinstance(node, yaml.SequenceNode):
        return [_value(child, (*path, i), file, places) for i, child in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode)
    return _scalar(node, as_text=not _TEXT_UNDER.isdisjoint(path))


def _mapping(node: yaml.MappingNode, path: KeyPath, file: str, places: dict[KeyPath, str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, child in node.value:
        key = str(key_node.value)
        line = key_node.start_mark.line + 1
        if key in result:
            raise ConfigError(
                f"{file}, line {line}: the key '{key}' stands twice (first on {places[(*path, key)]}). Keep one."
            )
        places[(*path, key)] = f"{file}, line {line}"
        result[key] = _value(child, (*path, key), file, places)
    return result


def _scalar(node: yaml.ScalarNode, as_text: bool) -> Any:
    text = str(node.value)
    if node.style is not None:  # quoted or a block: always text
        return text
    if _NULL.match(text):
        return None
    if as_text:
        return text
    if _BOOL.match(text):
        return text.lower() == "true"
    if _INT.match(text):
        return int(text)
    return float(text) if _FLOAT.match(text) else text


def _merge(base: Source, own: Source, path: KeyPath) -> None:
    target, extra = _at(base.values, path), _at(own.values, path)
    for key, value in extra.items():
        here = (*path, key)
        if value is None and key in target:
            del target[key]
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(base, own, here)
        else:
            target[key] = value
        for place in [p for p in own.places if p[: len(here)] == here]:
            base.places[place] = own.places[place]
    base.places[path] = own.places.get(path, base.places.get(path, ""))


def _at(values: Any, path: KeyPath) -> Any:
    for key in path:
        values = values[key]
    return values


def _override(source: Source, text: str) -> None:
    """Apply one `--set key.key=value`; the value is YAML, null removes the key."""
    key, equals, value_text = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text}: write it as key=value, such as --set model.ties=breslow.")
    path = tuple(key.strip().split("."))
    try:
        node = yaml.compose(value_text, Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        raise ConfigError(f"--set {text}: the value is not YAML. Quote it, as in --set 'title=\"A: b\"'.") from None
    places: dict[KeyPath, str] = {}
    value = None if node is None else _value(node, path, "--set", places)
    _set(source, path, value, f"--set {text}", f"--set {key.strip()}", places)


def _set(source: Source, path: KeyPath, value: Any, said: str, place: str, places: Iterable[KeyPath] = ()) -> None:
    """Put a value at a key, its maps made if need be; null removes."""
    target: Any = source.values
    for part in path[:-1]:
        inner = target.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{said}: '{part}' holds a value and not keys, so nothing can be set below it.")
        target = inner
    if value is None:
        target.pop(path[-1], None)
    else:
        target[path[-1]] = value
    for here in [*places, path]:
        source.places[here] = place
