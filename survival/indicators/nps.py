"""NPS: the latest answer to "would you recommend us?", while it is in force."""

from __future__ import annotations

from typing import Literal, Self

import ibis.expr.types as ir
from pydantic import Field, model_validator

from survival.churn.definition import Reads
from survival.indicators.deltas import Channel, LatestScore
from survival.indicators.indicator import Indicator, Sums, register_indicator
from survival.indicators.threshold import Level

DETRACTOR, PROMOTER = 6, 9  # at most 6, at least 9: Reichheld (2003)


@register_indicator
class Nps(Indicator):
    """The latest score for `expires` days, the answer's day included; undefined before an answer and after it expired.

    `is: unanswered` is on while no answer is in force.
    """

    kind: Literal["nps"] = "nps"
    expires: int | None = Field(None, ge=1, description="days for which an answer holds; default: for ever")
    is_: Literal["detractor", "passive", "promoter", "unanswered"] | None = Field(
        None, alias="is", description="flag: 0-6, 7-8, 9-10, or no answer in force"
    )

    @model_validator(mode="after")
    def _is_or_threshold(self) -> Self:
        if self.is_ is not None and self.threshold is not None:
            raise ValueError(f"one threshold at most; got is and {self.threshold[0]}")
        return self

    @property
    def is_flag(self) -> bool:
        """0 or 1, and never undefined."""
        return self.is_ is not None or super().is_flag

    @property
    def days_read(self) -> int:
        """How long an answer holds; 0 when for ever."""
        return self.expires or 0

    @property
    def is_bounded(self) -> bool:
        """An answer that never expires may be of any age."""
        return self.expires is not None

    def reads(self) -> Reads:
        """Answers."""
        return {"customers": {"customer_id", "signed_up_on"}, "nps": {"customer_id", "answered_on", "score"}}

    def channels(self) -> tuple[Channel, ...]:
        """The score in force plus one, or 0."""
        return (LatestScore(shift=self.lag, expires=self.expires),)

    def level(self, sums: Sums) -> Level:
        """The score."""
        score = sums(self.channels()[0]).numerator - 1
        return Level(numerator=score, defined=score >= 0)

    def value(self, sums: Sums) -> ir.Value:
        """The score, or the flag."""
        if self.is_ is None:
            return super().value(sums)
        score = sums(self.channels()[0]).numerator - 1
        return {
            "detractor": (score >= 0) & (score <= DETRACTOR),
            "passive": (score > DETRACTOR) & (score < PROMOTER),
            "promoter": score >= PROMOTER,
            "unanswered": score < 0,
        }[self.is_]
