"""A registry: kind -> class. Later kinds, and those of users, join by a decorator; nothing else changes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
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
            near = difflib.get_close_matches(str(kind), self._classes, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            allowed = ", ".join(self._classes)
            raise ConfigError(f"{self.noun} kind {kind!r} is unknown.{hint} Allowed: {allowed}")
        try:
            return self._classes[kind].model_validate(dict(value))
        except ValidationError as error:
            raise ConfigError(f"{self.noun} of kind {kind!r}: {_first(error)}") from None


def _first(error: ValidationError) -> str:
    problems = [f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']}" for e in error.errors()]
    return "; ".join(problems)
