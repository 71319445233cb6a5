"""A config as a typed, closed, resolved value; what is wrong with it, all at once, each with file, line and key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, create_model, field_validator

from survival.churn import Definition, combined, combining_mistakes, definition_kinds
from survival.cohorts import CohortSpec
from survival.data import DataSpec
from survival.errors import ConfigError
from survival.experiment.adjusted_spec import AdjustedSpec
from survival.experiment.curve_specs import BeyondSpec, RetentionSpec
from survival.experiment.missing import Missing
from survival.experiment.problems import Problem, each_once, from_pydantic, render, suggestion, without
from survival.experiment.references import unresolved
from survival.experiment.source import KeyPath, Setting, Source, read
from survival.indicators import CalendarSpec, Indicator, indicator_kinds
from survival.spec import Spec

Check = Literal["functional_form", "influence", "calibration", "outliers", "log_log"]
CHECKS: tuple[Check, ...] = get_args(Check)
_TRUTH = ("true", "false", "yes", "no", "on", "off")
_ROUNDS = 3  # of taking out what cannot be used: a kind mended may show a key that is not


def _checks(value: Any) -> Any:
    """One message, where pydantic has one for each of the types that a value may have."""
    if isinstance(value, bool) or str(value).lower() in _TRUTH:
        return value
    several = isinstance(value, list | tuple)
    for name in value if several else (value,):
        if not several or name not in CHECKS:
            near = "" if name in CHECKS else suggestion(str(name), CHECKS)
            raise ValueError(
                f"got {name!r}.{near} It should be true, false, or a list, such as [influence, calibration]. "
                f"Allowed in the list: {', '.join(CHECKS)}"
            )
    each_once(value)
    return value


class ModelSpec(Spec):
    """Which model of which definition(s) is fitted, and how."""

    churn: tuple[str, ...] | str | None = Field(
        None, description="definition(s) the study models; default: all of them"
    )
    formula: str | None = Field(None, description="right-hand side, formulaic's: low_usage + plan + low_usage:plan")
    strata: tuple[str, ...] = ()
    ties: Literal["efron", "breslow"] = "efron"
    robust: bool | None = Field(
        None, description="variance clustered by customer; default: when a customer has several rows"
    )
    missing: Missing = Field(
        "error", description="covariates without a value: one policy for all, or covariate: policy; others are an error"
    )
    penalizer: float = Field(0.0, ge=0, description="ridge, as lifelines defines it")
    periods: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        None,
        description="tenures at which hazard ratios that change are cut; default: the median tenure of the churned",
    )
    subgroups: tuple[str, ...] = Field(
        (),
        description="columns of customers, or flags of the formula: hazard ratios within each level, tests of interaction",
    )
    partial_effects: tuple[str, ...] = Field(
        (), description="covariates of the model: the retention that it predicts at their values, the others held"
    )

    @field_validator("subgroups", "partial_effects")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        each_once(names)
        return names

    @field_validator("periods")
    @classmethod
    def _ascending(cls, periods: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if any(a >= b for a, b in pairwise(periods or ())):
            raise ValueError(f"periods ascend, such as [90, 365]; got {list(periods or ())}")
        return periods


class SensitivitySpec(Spec):
    """Other ways to run the model, to see which hazard ratios stand."""

    churn: tuple[str, ...] = Field((), description="other definitions of churn")
    update_every: tuple[Annotated[int, Field(ge=1)], ...] = Field((), description="other numbers of days between marks")


class CharacteristicsSpec(Spec):
    """The table of the customers' characteristics."""

    columns: tuple[str, ...] = Field(
        (),
        description="columns of customers that it shows beside the covariates of the model, such as [segment, seats]",
    )
    tests: bool = Field(False, description="p values between cohorts; STROBE advises against them in such a table")

    @field_validator("columns")
    @classmethod
    def _each_once(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        each_once(columns)
        return columns


class Experiment(Spec):
    """One experiment: one YAML file in, one folder under results/ out."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="folder under results/; default: the file's name"
    )
    title: str = ""
    study: str
    seed: int = 0
    data: DataSpec
    churn: dict[str, SerializeAsAny[Definition]] = Field(min_length=1)
    indicators: dict[str, SerializeAsAny[Indicator]] = {}
    update_every: int = Field(1, ge=1, description="days between marks at which covariates may change")
    cohorts: CohortSpec | None = None
    calendar: CalendarSpec | None = Field(
        None, description="periods of the calendar, as the covariate `calendar` of formula and strata"
    )
    model: ModelSpec = ModelSpec()
    characteristics: CharacteristicsSpec = CharacteristicsSpec()
    retention: RetentionSpec = RetentionSpec()
    beyond: BeyondSpec = BeyondSpec()
    adjusted: AdjustedSpec | None = Field(
        None,
        description="curves of the cohorts, or of other groups, as if their customers were alike in some attributes",
    )
    labels: dict[str, str] = Field(
        {}, description="name of a covariate: what reports call it, such as `two or more open tickets`"
    )
    lag_profile: tuple[Annotated[int, Field(ge=0)], ...] = (0, 7, 14, 30, 60, 90)
    sensitivity: SensitivitySpec = SensitivitySpec()
    diagnostics: Annotated[bool | tuple[Check, ...], BeforeValidator(_checks)] = Field(
        True, description="checks of the model: all but log_log (true), none (false), or a list of those wanted"
    )
    level: float = Field(0.95, gt=0, lt=1, description="of every confidence interval")
    allow: dict[str, str] = Field({}, description="audit finding: the reason for accepting it")
    strict: bool = Field(False, description="a warning of the audit that is not allowed stops the run before any fit")
    keep_episodes: bool = False
    keep_customers: Literal["hashed", "ids", "none"] = Field(
        "hashed",
        description="each customer's status, for `survival compare`: under a pseudonym, their id, or not at all",
    )
    figures: tuple[Literal["svg", "png", "pdf"], ...] = Field(
        ("svg", "png"), min_length=1, description="formats under figures/; the report has its own copies"
    )

    @property
    def modelled(self) -> tuple[str, ...]:
        """The definitions that the study models, in the order of the config."""
        chosen = self.model.churn
        if chosen is None:
            return tuple(self.churn)
        return (chosen,) if isinstance(chosen, str) else chosen

    @property
    def checked(self) -> tuple[str, ...]:
        """The checks of the model that `diagnostics` asks for."""
        if isinstance(self.diagnostics, tuple):
            return self.diagnostics
        return ("functional_form", "influence", "calibration", "outliers") if self.diagnostics else ()

    def resolved(self) -> dict[str, Any]:
        """Every key with its value, defaults included, as plain JSON values."""
        return self.model_dump(mode="json", by_alias=True)


def load(
    path: Path, overrides: Sequence[str] = (), studies: Sequence[str] | None = None, point: Sequence[Setting] = ()
) -> tuple[Experiment, Source]:
    """The experiment that the YAML at `path` describes (`point`: one of its sweep), and where each key of it stands.

    `studies` names the studies that exist (None: not checked). Raises ConfigError with every problem at once.
    """
    experiment, source, problems = load_partly(path, overrides, studies, point)
    if problems or experiment is None:
        raise ConfigError(render(path, source, problems))
    return experiment, source


def load_partly(
    path: Path, overrides: Sequence[str] = (), studies: Sequence[str] | None = None, point: Sequence[Setting] = ()
) -> tuple[Experiment | None, Source, list[Problem]]:
    """The experiment without the keys that cannot be used (None: too little is left), and every problem.

    So one look names all that is wrong: keys, kinds, and the names that mean nothing.
    """
    source = read(path, overrides, point)
    source.values.setdefault("name", path.stem)
    model = experiment_model()
    values, problems, removed = source.values, list[Problem](), set[KeyPath]()
    for _ in range(_ROUNDS):
        try:
            experiment = model.model_validate(values)
        except ValidationError as error:
            found = [p for p in from_pydantic(error, model, source) if p.path not in removed and p not in problems]
            problems += found
            for problem in found:
                values, gone = without(values, problem.path)
                removed.add(gone)
        else:
            names = [gone[-1] for gone in removed if gone]  # what was only taken away is not unknown
            unknown = [p for p in unresolved(experiment, studies) if not any(f"'{n}'" in p.message for n in names)]
            return _combined(experiment), source, problems + unknown
    return None, source, problems


def _combined(experiment: Experiment) -> Experiment:
    """The parts of every `first_of` filled in, unless they cannot be: that is among the problems."""
    if combining_mistakes(experiment.churn):
        return experiment
    return experiment.model_copy(update={"churn": combined(experiment.churn)})


def experiment_model() -> type[Experiment]:
    """`Experiment` with the kinds of definitions and indicators that are registered now."""
    fields: dict[str, Any] = {
        "churn": (_map_of(definition_kinds()), Field(min_length=1)),
        "indicators": (_map_of(indicator_kinds()), Field({})),
    }
    return create_model("Experiment", __base__=Experiment, **fields)


def _map_of(kinds: Mapping[str, type[Spec]]) -> Any:
    """dict[str, one of the kinds], told apart by the key `kind`."""
    classes = tuple(kinds[kind] for kind in sorted(kinds))
    one: Any = classes[0]
    if len(classes) > 1:
        one = Annotated[Union[classes], Field(discriminator="kind")]  # noqa: UP007 (classes are known at run time only)
    return dict.__class_getitem__((str, one))


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a config, for editors."""
    schema = experiment_model().model_json_schema(by_alias=True)
    schema["properties"]["extends"] = {"type": "string", "description": "a config that this one builds on"}
    schema["properties"]["sweep"] = {
        "type": "object",
        "additionalProperties": {"type": "array", "minItems": 1},
        "description": "dotted key: its values; every combination is a run of its own",
    }
    schema["required"] = [key for key in schema["required"] if key != "name"]  # the file's name
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
