"""What is wrong with a config, said so that it can be mended: file, line, key, what is allowed, the nearest spelling."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from survival.experiment.source import KeyPath, Source

_KINDS_UNDER = ("churn", "indicators")  # maps of name -> one of several kinds: pydantic adds the kind to the path


@dataclass(frozen=True)
class Problem:
    """One thing to mend: the key it is about and what to say of it."""

    path: KeyPath
    message: str


def suggestion(word: str, allowed: Iterable[str]) -> str:
    """` Did you mean 'x'?` when something allowed is spelt nearly like `word`, else nothing."""
    near = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else ""


def listing(allowed: Iterable[str]) -> str:
    """`a, b, c`, or `(none)`."""
    return ", ".join(allowed) or "(none)"


def render(path: Path, source: Source, problems: Sequence[Problem]) -> str:
    """One message for all problems, in the order in which their keys stand in the file."""
    return "\n".join(titled_lines(path, [text for _, text in sorted(located_lines(source, problems))]))


def located_lines(source: Source, problems: Iterable[Problem]) -> list[tuple[tuple[str, int], str]]:
    """Each problem as a line of text, after the place (file, line) that sorts it."""
    lines = []
    for problem in problems:
        place = source.place(problem.path)
        key = ".".join(str(part) for part in problem.path)
        lines.append((_line_number(place), f"  {place}, {key}: {problem.message}"))
    return lines


def titled_lines(path: Path, lines: Sequence[str]) -> list[str]:
    """Lines of problems under the config's path and how many they are."""
    return [f"{path}: {'1 problem' if len(lines) == 1 else f'{len(lines)} problems'}", *lines]


def _line_number(place: str) -> tuple[str, int]:
    file, _, line = place.rpartition("line ")
    return (file, int(line)) if line.isdigit() else (place, 0)


def from_pydantic(error: ValidationError, model: type[BaseModel], source: Source) -> list[Problem]:
    """Pydantic's errors in the words of this framework."""
    return [_problem(item, model, source) for item in error.errors(include_url=False)]


def without(values: Any, path: KeyPath) -> tuple[Any, KeyPath]:
    """A copy of a config's values without the key at `path`, and the path of what was taken away.

    With a required key that is missing, an unknown kind or a bad item of a list goes the value that it belongs to.
    """
    copy, keys = deepcopy(values), tuple(takewhile(lambda part: isinstance(part, str), path))
    if keys[-1:] == ("kind",):
        keys = keys[:-1]
    holder, depth = copy, 0
    while depth < len(keys) - 1 and isinstance(holder.get(keys[depth]), dict):
        holder, depth = holder[keys[depth]], depth + 1
    if depth < len(keys) and keys[depth] in holder:
        del holder[keys[depth]]
        return copy, keys[: depth + 1]
    if not depth:
        return copy, ()
    return without(values, keys[:depth])


def _problem(item: Any, model: type[BaseModel], source: Source) -> Problem:
    kind, context, value = item["type"], item.get("ctx", {}), item.get("input")
    path = _without_kind(item["loc"], kind)
    if kind == "extra_forbidden":
        allowed = _allowed_keys(model, path[:-1], source.values)
        return Problem(path, f"unknown key.{suggestion(str(path[-1]), allowed)} Allowed: {listing(allowed)}.")
    if kind == "missing":
        short = isinstance(path[-1], int)  # a list of a fixed length, such as that of two cohorts
        return Problem(path[:-1], "the list is too short.") if short else Problem(path, "this key is required.")
    if kind == "union_tag_not_found":
        return Problem(path, f"the key `kind` is required. Allowed: {_plain(context, model, path)}.")
    if kind == "union_tag_invalid":
        allowed = _quoted(context["expected_tags"])
        tag = str(context["tag"])
        return Problem((*path, "kind"), f"unknown kind '{tag}'.{suggestion(tag, allowed)} Allowed: {listing(allowed)}.")
    if kind == "literal_error":
        allowed = _quoted(context["expected"])
        return Problem(path, f"got {value!r}.{suggestion(str(value), allowed)} Allowed: {listing(allowed)}.")
    message = item["msg"].removeprefix("Value error, ").rstrip(".")
    if kind == "value_error":
        return Problem(path, f"{message}.")
    return Problem(path, f"got {_short(value)}; it should {_rule(item, model, path, source)}.")


def _rule(item: Any, model: type[BaseModel], path: KeyPath, source: Source) -> str:
    """What pydantic asks for, without the names of Python's types: `be true or false`."""
    kind, context, value = item["type"], item.get("ctx", {}), item.get("input")
    if kind.startswith("bool"):
        return "be true or false"
    if kind in ("tuple_type", "list_type"):
        one = "a, b" if value is None or isinstance(value, dict | bool) else value
        return f"be a list, such as [{one}]"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        allowed = _allowed_keys(model, path, source.values)
        return f"hold keys: {listing(allowed)}" if allowed else "hold keys, each with its value"
    if kind in ("too_short", "too_long"):
        most, n = kind == "too_long", context["max_length" if kind == "too_long" else "min_length"]
        return f"have at {'most' if most else 'least'} {n} {'entry' if n == 1 else 'entries'}"
    rule = item["msg"].rstrip(".").partition(", unable to")[0].partition(", got a ")[0]
    return str(rule.replace("Input should ", "").replace("String should ", ""))


def each_once(names: Sequence[str]) -> None:
    """Raises ValueError for a name that stands twice in a list."""
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise ValueError(f"each once; '{twice[0]}' stands twice in {listing(names)}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _quoted(expected: str) -> list[str]:
    """The words of pydantic's "'a', 'b' or 'c'"."""
    return [part.strip().strip("'") for part in expected.replace(" or ", ", ").split(",")]


def _plain(context: dict[str, Any], model: type[BaseModel], path: KeyPath) -> str:
    kinds = [
        k for option in _options(_annotation(model, path, {})) for k in get_args(option.model_fields["kind"].annotation)
    ]
    return listing(sorted(kinds))


def _without_kind(loc: Sequence[str | int], kind: str) -> KeyPath:
    path = tuple(loc)
    if len(path) >= 3 and path[0] in _KINDS_UNDER and not kind.startswith("union_tag"):
        return (*path[:2], *path[3:])
    return path


def _allowed_keys(model: type[BaseModel], path: KeyPath, values: Any) -> list[str]:
    """The keys of the closed value at `path`."""
    options = _options(_annotation(model, path, values))
    return [field.alias or name for option in options for name, field in option.model_fields.items()]


def _annotation(annotation: Any, path: KeyPath, values: Any) -> Any:
    """The type that stands at `path` below `annotation`."""
    for part in path:
        inner = values.get(part) if isinstance(values, dict) else None
        annotation = _step(annotation, part, values)
        values = inner
    return [o for o in _options(annotation) if _has_kind(o, values)] or annotation


def _has_kind(option: type[BaseModel], values: Any) -> bool:
    kind = option.model_fields.get("kind")
    return kind is None or not isinstance(values, dict) or values.get("kind") in get_args(kind.annotation)


def _step(annotation: Any, part: str | int, values: Any) -> Any:
    for option in _options(annotation):
        if isinstance(values, dict) and not _has_kind(option, values):
            continue
        for name, field in option.model_fields.items():
            if part in (name, field.alias):
                return field.annotation
    arguments = get_args(_unwrapped(annotation))
    return arguments[-1] if arguments else None


def _unwrapped(annotation: Any) -> Any:
    while hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    if get_origin(annotation) in (Union, UnionType):
        kept = [a for a in get_args(annotation) if a is not type(None)]
        return kept[0] if len(kept) == 1 else annotation
    return annotation


def _options(annotation: Any) -> list[type[BaseModel]]:
    """The closed values that may stand where `annotation` does."""
    if isinstance(annotation, list):
        return annotation
    annotation = _unwrapped(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType):
        return [option for part in get_args(annotation) for option in _options(part)]
    return []
