"""The key of a config about adjusted curves."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, field_validator

from survival.cohorts import COHORT
from survival.errors import ArgumentError
from survival.estimate.design import formula_variables
from survival.experiment.problems import each_once
from survival.spec import Spec


class AdjustedSpec(Spec):
    """Which groups are compared as if they had the same customers, and in what their customers are made alike."""

    model_config = ConfigDict(populate_by_name=True)

    for_: tuple[str, ...] = Field(
        alias="for",
        min_length=1,
        description="columns of customers, known at signup: [plan, segment]; terms such as log(seats)",
    )
    by: str = Field(COHORT, description="the groups: cohort, or a text column of customers")
    method: Literal["conditional", "marginal"] = Field(
        "conditional",
        description="conditional: predictions of a Cox model averaged over all customers; marginal: customers weighted",
    )

    @field_validator("for_")
    @classmethod
    def _readable(cls, terms: tuple[str, ...]) -> tuple[str, ...]:
        for term in terms:
            try:
                formula_variables(term)
            except ArgumentError as error:
                raise ValueError(str(error)) from None
        each_once(terms)
        return terms

    @property
    def formula(self) -> str:
        """The right-hand side of what is adjusted for."""
        return " + ".join(self.for_)

    @property
    def covariates(self) -> tuple[str, ...]:
        """The columns that it reads, without the groups."""
        return tuple(name for name in formula_variables(self.formula) if name != self.by)
