"""A registry: kind -> class. Later kinds, and those of users, join by a decorator; nothing else changes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from survival.errors import ConfigError
from survival.spec import Spec

S = TypeVar("S", bound=Spec)


class Registry(Generic[S]):
    """The kinds of one sort of spec (churn definitions, indicators), each a closed pydantic class."""

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self._classes: dict[str, type[S]] = {}

    def register(self, cls: type[S]) -> type[S]:
        """Class decorator: adds `cls` under the default of its field `kind`. Raises ConfigError if it is taken."""
        kind = cls.model_fields["kind"].default
        if not isinstance(kind, str):
            raise ConfigError(f"{cls.__name__}: needs a field `kind: Literal[...]` with a default")
        taken = self._classes.get(kind)
        if taken is not None and taken.__qualname__ != cls.__qualname__:
            raise ConfigError(f"{self.noun} kind {kind!r} is taken by {taken.__name__}; choose another name")
        self._classes[kind] = cls
        return cls

    def kinds(self) -> Mapping[str, type[S]]:
        """kind -> class, in order of registration."""
        return dict(self._classes)

    def parse(self, value: Mapping[str, Any]) -> S:
        """The spec that a mapping such as `{kind: inactivity, window: 30}` describes. Raises ConfigError."""
        kind = value.get("kind")
        if kind not in self._classes:
            allowed = ", ".join(self._classes)
            raise ConfigError(
                f"{self.noun} kind {kind!r} is unknown.{_nearest(str(kind), self._classes)} Allowed: {allowed}"
            )
        try:
            return self._classes[kind].model_validate(dict(value))
        except ValidationError as error:
            said = "; ".join(_problem(one, self._classes[kind]) for one in error.errors())
            raise ConfigError(f"{self.noun} of kind {kind!r}: {said}") from None


def _problem(error: Mapping[str, Any], cls: type[Spec]) -> str:
    """One of pydantic's errors in words: a key that is not there with the nearest that is."""
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
        allowed = [field.alias or name for name, field in cls.model_fields.items()]
        return f"{key}: unknown key.{_nearest(key, allowed)} Allowed: {', '.join(allowed)}"
    if error["type"] == "literal_error":
        allowed = [part.strip().strip("'") for part in error["ctx"]["expected"].replace(" or ", ", ").split(",")]
        received = error["input"]
        return f"{key}: got {received!r}.{_nearest(str(received), allowed)} Allowed: {', '.join(allowed)}"
    return f"{key or 'value'}: {error['msg'].removeprefix('Value error, ')}"


def _nearest(word: str, allowed: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(allowed), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
