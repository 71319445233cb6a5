"""What can be asked of a Cox fit, checked: names of columns, settings, and which of them go together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survival.errors import ArgumentError

TIES = ("efron", "breslow", "exact")
Tenure = str | Callable[[NDArray[np.float64]], NDArray[np.float64]] | tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Options:
    """How a fit was asked for: the names of the columns and the settings.

    penalizer: a number, one for each column, or pairs (column or term, number).
    """

    formula: str
    stop: str = "stop"
    event: str = "event"
    start: str | None = None
    customer: str | None = None
    spell: str | None = None
    cluster: str | None = None
    strata: tuple[str, ...] = ()
    weights: str | None = None
    ties: str = "efron"
    robust: bool = False
    penalizer: float | tuple[Any, ...] = 0.0
    level: float = 0.95
    offset: str | None = None
    l1_ratio: float = 0.0
    firth: bool = False
    time_varying: tuple[tuple[str, Tenure], ...] = ()

    @property
    def penalised(self) -> bool:
        """Whether any coefficient is drawn towards zero."""
        return self.penalizer != 0


def checked_options(formula: str, **given: Any) -> tuple[Options, bool | None]:
    """The options of `cox`, each checked alone and with the others; and `robust` as it was given."""
    _named_columns(given)
    robust = given.pop("robust", None)
    if robust is not None and not isinstance(robust, bool | np.bool_):
        raise ArgumentError(f"robust must be True, False or None; got {robust!r}")
    strata = _strata(given.pop("strata", ()))
    penalizer = _penalizer(given.pop("penalizer", 0.0))
    varying = _time_varying(given.pop("time_varying", None))
    try:
        options = Options(
            formula, strata=strata, robust=bool(robust), penalizer=penalizer, time_varying=varying, **given
        )
    except TypeError as error:
        raise ArgumentError(f"cox: {str(error).partition(' ')[2]}") from error
    one_of("ties", options.ties, TIES)
    checked_level(options.level)
    if (
        isinstance(options.l1_ratio, bool)
        or not isinstance(options.l1_ratio, int | float)
        or not 0 <= options.l1_ratio <= 1
    ):
        raise ArgumentError(f"l1_ratio must be between 0 (ridge) and 1 (lasso); got {options.l1_ratio!r}")
    if not isinstance(options.firth, bool):
        raise ArgumentError(f"firth must be True or False; got {options.firth!r}")
    _together(options)
    return options, None if robust is None else bool(robust)


def one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    """ArgumentError unless `value` is one of those allowed."""
    if not isinstance(value, str) or value not in allowed:
        raise ArgumentError(f"{name} must be one of {', '.join(allowed)}; got {shown(value)}")


def shown(value: Any) -> str:
    """What was received, short enough for a message: of arrays and other long values the type."""
    text = repr(value)
    return text if len(text) <= 60 and "\n" not in text else f"a value of type {type(value).__name__}"


def checked_level(level: Any) -> float:
    """The level of an interval; ArgumentError unless it is a number between 0 and 1."""
    if not isinstance(level, float) or not 0 < level < 1:
        raise ArgumentError(f"level must be between 0 and 1, such as 0.95; got {shown(level)}")
    return level


def finite_numbers(values: Any) -> NDArray[np.float64] | None:
    """`values` as floats of at least one dimension; None when they are not all finite numbers."""
    if isinstance(values, str | Mapping):
        return None
    try:
        made = np.atleast_1d(np.asarray(values, np.float64))
    except (TypeError, ValueError):
        return None
    return made if np.isfinite(made).all() else None


def names_among(given: Any, there: Sequence[str], problem: str) -> list[str]:
    """The names given, all of `there` for None; ArgumentError for one that is not there."""
    names = there if given is None else [given] if isinstance(given, str) or not isinstance(given, Iterable) else given
    names = list(names)
    strange = [name for name in names if name not in there]
    if strange:
        raise ArgumentError(f"{strange[0]!r} {problem}; there are: {', '.join(there)}")
    return names


def _named_columns(given: Mapping[str, Any]) -> None:
    """ArgumentError for a column that is not named by text: what holds the values belongs in the frame."""
    for role in ("stop", "event", "start", "customer", "spell", "cluster", "weights", "offset"):
        value = given.get(role)
        if isinstance(value, str) or (value is None and (role not in given or role not in ("stop", "event"))):
            continue
        raise ArgumentError(
            f"{role} must be the name of a column, as text; got {shown(value)}. Put the values into the frame and name "
            f"their column: {role}='{role}'"
        )


def _strata(given: Any) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else given
    if not isinstance(names, Sequence | Set | np.ndarray | pd.Index) or not all(
        isinstance(name, str) for name in names
    ):
        raise ArgumentError(
            f"strata must be the name of a column or a list of names, such as ['plan']; got {shown(given)}. Leave it out for "
            "one baseline hazard"
        )
    return tuple(map(str, names))


def _together(options: Options) -> None:
    if options.l1_ratio and not options.penalised:
        raise ArgumentError("l1_ratio says how a penalizer is shared between |b| and b²: pass penalizer too")
    if options.firth and options.penalised:
        raise ArgumentError("firth=True is a penalty of its own: leave penalizer out")
    if options.ties != "exact":
        return
    if options.firth:
        raise ArgumentError("firth=True needs ties='efron' or 'breslow'")
    if options.weights:
        raise ArgumentError(
            "ties='exact' counts the ways to choose who leaves, and weights are no counts: leave them out"
        )
    if options.robust:
        raise ArgumentError(
            "ties='exact' has no residuals and so no robust variance: take ties='efron', or robust=False"
        )


def _penalizer(given: Any) -> float | tuple[Any, ...]:
    if isinstance(given, Mapping):
        bad = {name: value for name, value in given.items() if not _is_penalty(value)}
        if bad:
            raise ArgumentError(f"penalizer must be numbers of at least 0; got {bad}")
        return tuple(sorted((str(name), float(value)) for name, value in given.items()))
    if np.ndim(given) == 1 and not isinstance(given, str):
        values = list(given)
        if not all(_is_penalty(value) for value in values):
            raise ArgumentError(f"penalizer must be numbers of at least 0; got {values!r}")
        return tuple(float(value) for value in values)
    if not _is_penalty(given):
        raise ArgumentError(
            f"penalizer must be a number of at least 0, one for each column, or {{column: number}}; got {given!r}"
        )
    return float(given)


def _is_penalty(value: Any) -> bool:
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return is_number and 0 <= value < np.inf


def penalty_of(options: Options, names: Sequence[str], terms: Mapping[str, tuple[int, ...]]) -> NDArray[np.float64]:
    """(p,) the penalizer of each column."""
    given, p = options.penalizer, len(names)
    if not isinstance(given, tuple):
        return np.full(p, given)
    if given and isinstance(given[0], tuple):
        result = np.zeros(p)
        for name, value in given:
            if name not in names and name not in terms:
                raise ArgumentError(
                    f"penalizer names '{name}', which is no column or term; there are: {', '.join(names)}"
                )
            result[[names.index(name)] if name in names else list(terms[name])] = value
        return result
    if len(given) != p:
        raise ArgumentError(f"penalizer has {len(given)} numbers for {p} columns: {', '.join(names)}")
    return np.array(given, np.float64)


def _time_varying(given: Any) -> tuple[tuple[str, Tenure], ...]:
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        raise ArgumentError(f"time_varying must be {{term: 'log' | function | cuts}}; got {shown(given)}")
    return tuple((str(term), _tenure_function(str(term), value)) for term, value in given.items())


def _tenure_function(term: str, value: Any) -> Tenure:
    if isinstance(value, str):
        one_of(f"time_varying of '{term}'", value, ("log", "identity", "sqrt"))
        return value
    if callable(value):
        return value
    cuts = finite_numbers(value)
    if cuts is None or cuts.ndim != 1 or not cuts.size or (np.diff(cuts) <= 0).any():
        raise ArgumentError(
            f"time_varying of '{term}' must be 'log', 'identity', 'sqrt', a function of tenure, or increasing cuts "
            f"such as [90, 365]; got {shown(value)}"
        )
    return tuple(cuts.tolist())


def options_of_term(options: Options, formula: str, term: str, columns: Sequence[int], names: Sequence[str]) -> Options:
    """The options of the model of one term: its own formula, and what was asked of its columns (`names`, all of the design's)."""
    penalizer = options.penalizer
    if isinstance(penalizer, tuple):
        own = {term, *(names[j] for j in columns)}
        pairs = bool(penalizer) and isinstance(penalizer[0], tuple)
        penalizer = tuple(p for p in penalizer if p[0] in own) if pairs else tuple(penalizer[j] for j in columns)
    return replace(
        options,
        formula=formula,
        penalizer=penalizer or 0.0,
        l1_ratio=options.l1_ratio if penalizer else 0.0,
        time_varying=tuple(pair for pair in options.time_varying if pair[0] == term),
    )
