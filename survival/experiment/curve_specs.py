"""The keys of a config about retention curves and about what lies beyond the data."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from survival.errors import ArgumentError
from survival.estimate.tail_models import MODELS
from survival.estimate.weightings import weightings_of
from survival.spec import Spec

Days = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]


class CurveFigureSpec(Spec):
    """How the figures of retention curves are drawn: what stands under the axis and on the curves, and the axis itself."""

    rows: tuple[Literal["at_risk", "churned", "censored"], ...] = Field(
        ("at_risk",), description="tables under the axis; churned and censored are cumulative; []: none"
    )
    p_value: bool = Field(False, description="the first of `tests`, and the trend over ordered cohorts, on the figure")
    median: bool = Field(False, description="lines down from one half to each median tenure, with its value")
    unit: Literal["days", "months", "years"] | None = Field(
        None,
        description="of the axis, and of `breaks` and `until`; default: months with days below, the others in days",
    )
    breaks: float | tuple[float, ...] | None = Field(None, description="step of the ticks, or the ticks themselves")
    until: Annotated[float, Field(gt=0)] | None = Field(
        None, description="end of the axis; default: where the curves end"
    )
    band: Literal["pointwise", "simultaneous", "none"] = Field(
        "pointwise", description="simultaneous: of the kind in `bands`, equal precision without one"
    )
    censor_marks: bool = Field(False, description="a stroke on the curve where somebody's observation ended")
    censored_bars: bool = Field(
        False, description="bars at the foot: how many observations ended, by tenure; not under small multiples"
    )
    scale: Literal["percent", "share"] = Field("percent", description="of the y axis: 0 to 100% or 0 to 1")

    @field_validator("rows", mode="before")
    @classmethod
    def _one_row_is_a_list(cls, rows: object) -> object:
        return (rows,) if isinstance(rows, str) else rows

    @field_validator("breaks", mode="before")
    @classmethod
    def _step_or_ticks(cls, breaks: object) -> object:
        several = isinstance(breaks, list | tuple)
        values = breaks if isinstance(breaks, list | tuple) else () if breaks is None else (breaks,)
        right = all(
            isinstance(v, int | float)
            and not isinstance(v, bool)
            and math.isfinite(v)
            and (v >= 0 if several else v > 0)
            for v in values
        )
        if not right or (several and not values):
            raise ValueError(f"give a step above 0, such as 90, or the ticks, such as [0, 90, 365]; got {breaks!r}")
        if any(a >= b for a, b in pairwise(values)):
            raise ValueError(f"ticks ascend, such as [0, 90, 365]; got {list(values)}")
        return tuple(values) if several else breaks

    @model_validator(mode="after")
    def _drawable(self) -> Self:
        if len(set(self.rows)) < len(self.rows):
            raise ValueError(f"rows: each once; got {', '.join(self.rows)}")
        return self


class RetentionSpec(Spec):
    """What is read off the retention curves, and how cohorts are compared."""

    at: tuple[Days, ...] = Field((30, 90, 180, 365), description="tenures in days")
    horizon: Days | None = Field(
        None, description="of RMST, in days; default: the longest of `at` that some cohort reaches"
    )
    interval: Literal["log-log", "log", "plain", "logit", "arcsin", "none"] = "log-log"
    bands: Literal["none", "equal-precision", "hall-wellner"] = Field(
        "none", description="bands that hold the whole curve, drawn beside the pointwise intervals"
    )
    quantiles: tuple[Share, ...] = Field(
        (0.5,), description="shares who left whose tenures are read off; 0.5: the median"
    )
    reference: str | None = Field(
        None,
        description="cohort that the others are compared with; default: the first seen from signup, without an order the largest",
    )
    compare: tuple[str, str] | None = Field(
        None, description="two cohorts whose difference is drawn over all tenures; default: where there are but two"
    )
    tests: tuple[str, ...] = Field(
        ("logrank",),
        min_length=1,
        description="weightings of the rank tests; the first also for trend and pairs: logrank, gehan, tarone-ware, peto, "
        "modified-peto, fleming-harrington(p, q), max-combo",
    )
    adjust: Literal["holm", "bh", "bonferroni", "none"] = Field(
        "holm", description="of p values over a family of comparisons"
    )
    permutations: int = Field(
        0, ge=0, le=1_000_000, description="p of the first test by dealing the cohorts anew, for small cohorts"
    )
    conditional: tuple[Days, ...] | None = Field(
        None, description="tenures reached from which retention is read anew; default: those of `at`; []: left out"
    )
    landmark: Days | None = Field(
        None, description="compare cohorts among who is still here at this tenure, where some enter late"
    )
    revenue: bool = Field(True, description="revenue beside customers, where subscriptions have mrr")
    billing: bool = Field(True, description="hazard by billing cycle, where subscriptions have billing periods")
    figure: CurveFigureSpec = CurveFigureSpec()
    mask_below: int = Field(10, ge=0, description="cells of the cohort triangle with fewer customers show no number")

    @field_validator("tests")
    @classmethod
    def _known_tests(cls, tests: tuple[str, ...]) -> tuple[str, ...]:
        for name in tests:
            try:
                weightings_of(name)
            except ArgumentError as error:
                raise ValueError(str(error)) from None
        if len(set(tests)) < len(tests):
            raise ValueError(f"each test once; got {', '.join(tests)}")
        return tests


class BeyondSpec(Spec):
    """What is extrapolated: how far, by which models, and what a customer is worth."""

    horizon: float = Field(1826.25, gt=0, description="days from signup to which retention is extrapolated")
    models: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description=f"families tried: {', '.join(MODELS)}; default: all of them, the last only with `period`",
    )
    period: Annotated[float, Field(gt=0)] | None = Field(
        None, description="days between renewals, of the shifted beta geometric"
    )
    discount_rate: float = Field(0.10, ge=0, lt=1, description="a year, of lifetime value")
    min_at_risk: int = Field(30, ge=1, description="customers at risk with which the observed curve ends")
    given: tuple[Annotated[int, Field(ge=0)], ...] = Field((0, 180, 365), description="tenures reached, in days")

    @field_validator("models")
    @classmethod
    def _known_models(cls, models: tuple[str, ...] | None) -> tuple[str, ...] | None:
        unknown = [name for name in models or () if name not in MODELS]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no model; there are {', '.join(MODELS)}")
        return models

    @model_validator(mode="after")
    def _period_for_contracts(self) -> Self:
        if self.period is None and MODELS[-1] in (self.models or ()):
            raise ValueError(f"{MODELS[-1]} counts renewals: give `period`, the days between them")
        return self
