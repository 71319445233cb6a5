"""The base of every config value: typed, closed, immutable; and decimals as they were written."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer


class Spec(BaseModel):
    """A closed config value: unknown keys are errors, and nothing changes after validation."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def _as_written(value: Any) -> Any:
    """0.1 in a config is one tenth: the shortest decimal of the float, not its binary value."""
    return Decimal(repr(value)) if isinstance(value, float) else value


Written = Annotated[Decimal, BeforeValidator(_as_written), PlainSerializer(float, return_type=float, when_used="json")]
