"""From a formula and a frame to the design matrix, and the same coding for new rows.

Formulas are formulaic's (Wilkinson notation). Text is treatment-coded against its first level in sorted
order, in which "(missing)" is last, and named `plan[T.pro]`; no intercept column is kept, since the baseline
hazard is the intercept.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from formulaic import Formula, ModelSpec, StructuredFormula
from formulaic.errors import FormulaicError
from formulaic.parser.types import Factor
from numpy.typing import NDArray

from survival.errors import ArgumentError, StructureError
from survival.flows.columns import counted

Floats = NDArray[np.float64]
Levels = tuple[str, ...]

MISSING_LEVEL = "(missing)"  # the level of those without a value: last, so that nobody is compared with the unknown

_NUMBERS = ("integer", "floating", "mixed-integer-float", "decimal")  # of pandas' infer_dtype
EvalMethod = Factor.EvalMethod
_MOST_SQUARES = 1e300
_QUOTED = re.compile(r"`([^`]+)`")
_ANSI = re.compile(r"\x1b?\[\d+(;\d+)*m|[⧛⧚]")


@dataclass(frozen=True, eq=False)
class Coding:
    """How a formula's columns are made: names (p,) of the columns, terms -> their columns, levels of each text
    variable (None: a number). `spec` is formulaic's, None when every term is one plain variable."""

    formula: str
    names: tuple[str, ...]
    terms: Mapping[str, tuple[int, ...]]
    levels: Mapping[str, Levels | None]
    spec: ModelSpec | None = field(repr=False, default=None)

    def encode(self, frame: pd.DataFrame) -> Floats:
        """(n, p) matrix of new rows. Raises as `design`, and ArgumentError for a level that was not fitted."""
        variables = {name: _variable(frame, name, known) for name, known in _pick(frame, self.levels).items()}
        _refuse_missing(variables)
        if self.spec is None:
            return np.column_stack(_plain_columns(variables, self.levels))
        with np.errstate(all="ignore"):
            matrix = self.spec.get_model_matrix(pd.DataFrame(variables), context={})
        return np.column_stack(_finite_columns(matrix, self.names))

    def of_term(self, term: str) -> Coding:
        """The coding of one term, which reads its own columns only; an interaction's is that of the whole formula."""
        names = tuple(self.names[j] for j in self.terms[term])
        levels = {name: self.levels[name] for name in term_variables(self.formula)[term]}
        spec = self.spec
        if spec is not None:
            spec = spec.subset([one for one in spec.terms if str(one) in ("1", term)])
        return Coding(term_formulas(self.formula)[term], names, {term: tuple(range(len(names)))}, levels, spec)


def formula_variables(formula: str) -> tuple[str, ...]:
    """The columns that a formula reads, in order of appearance. Raises ArgumentError when it cannot be parsed."""
    return tuple(sorted(_names(_parse(formula)), key=formula.find))


def term_variables(formula: str) -> dict[str, tuple[str, ...]]:
    """The columns that each term of a formula reads, by the name that the term has in `CoxFit.terms`."""
    return {str(term): tuple(sorted(_names([term]), key=formula.find)) for term in _parse(formula) if str(term) != "1"}


def term_formulas(formula: str) -> dict[str, str]:
    """What to write in a formula for each of its terms: a term's name has lost the quotes of a column such as `monthly fee`."""
    return {str(term): ":".join(map(_written, term.factors)) for term in _parse(formula) if str(term) != "1"}


def _written(factor: Any) -> str:
    text = str(factor.expr)
    if factor.eval_method is EvalMethod.LOOKUP:
        return text if text.isidentifier() else f"`{text}`"
    is_call = isinstance(ast.parse(_QUOTED.sub("0", text), mode="eval").body, ast.Call)
    return text if is_call else f"{{{text}}}"  # q ** 2 in a formula is an interaction, {q ** 2} the square


def _names(terms: Iterable[Any]) -> set[str]:
    """The columns in a parsed formula. (formulaic's own list leaves out what is inside bs(x), center(x) and the like.)"""
    names: set[str] = set()
    for factor in (factor for term in terms for factor in term.factors):
        if factor.eval_method is EvalMethod.LOOKUP:
            names.add(factor.expr)
        elif factor.eval_method is EvalMethod.PYTHON:
            names |= set(_QUOTED.findall(factor.expr))
            tree = ast.parse(_QUOTED.sub("0", factor.expr), mode="eval")
            functions = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
            modules = {node.value for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            names |= {
                node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node not in functions | modules
            }
    return names


def design(frame: pd.DataFrame, formula: str) -> tuple[list[Floats], Coding]:
    """The p columns (n,) of the design matrix, some of them the frame's own, and their coding.

    Raises ArgumentError for a formula that cannot be parsed or names a column that is not there (with the
    nearest spelling), StructureError for missing or infinite values, naming the columns and their counts.
    """
    names = formula_variables(formula)
    variables = {name: _variable(frame, name) for name in _pick(frame, names)}
    _refuse_missing(variables)
    levels = {name: _levels(column) for name, column in variables.items()}
    parsed = _parse(formula)
    plain = [str(term) for term in parsed if str(term) != "1"]
    if set(plain) == set(names):
        return _plain(variables, {name: levels[name] for name in plain}, formula)
    try:
        with np.errstate(all="ignore"):  # log(0) and the like are refused by name below
            matrix = parsed.get_model_matrix(pd.DataFrame(variables), context={}, na_action="ignore")
    except (FormulaicError, TypeError, ValueError, NameError, SyntaxError) as error:
        raise ArgumentError(f"formula '{formula}' cannot be evaluated: {_clean(error)}") from error
    return _from_formulaic(matrix, formula, levels)


def _from_formulaic(matrix: Any, formula: str, levels: Mapping[str, Levels | None]) -> tuple[list[Floats], Coding]:
    spec = matrix.model_spec
    columns = [name for name in spec.column_names if name != "Intercept"]
    place = {name: i for i, name in enumerate(columns)}
    terms = {
        str(term): tuple(place[spec.column_names[i]] for i in where)
        for term, where in spec.term_indices.items()
        if str(term) != "1"
    }
    if len(place) != len(columns):
        twice = sorted({name for name in columns if columns.count(name) > 1})
        raise ArgumentError(f"formula '{formula}' makes a column twice: {', '.join(twice)}")
    coding = Coding(formula, tuple(columns), terms, levels, spec)
    return _finite_columns(matrix, coding.names), coding


def _plain(
    variables: Mapping[str, Any], levels: Mapping[str, Levels | None], formula: str
) -> tuple[list[Floats], Coding]:
    names: list[str] = []
    terms = {}
    for name, known in levels.items():
        columns = [name] if known is None else [f"{name}[T.{level}]" for level in _coded(known)]
        terms[name] = tuple(range(len(names), len(names) + len(columns)))
        names += columns
    return _plain_columns(variables, levels), Coding(formula, tuple(names), terms, levels)


def _plain_columns(variables: Mapping[str, Any], levels: Mapping[str, Levels | None]) -> list[Floats]:
    columns: list[Floats] = []
    for name, known in levels.items():
        if known is None:
            columns.append(variables[name])
        else:
            codes = variables[name].codes
            columns += [(codes == known.index(level)).astype(np.float64) for level in _coded(known)]
    return columns


def _coded(known: Levels) -> Levels:
    """The levels that get a column. A single level keeps its own, constant one: it is refused by name later."""
    return known[1:] if len(known) > 1 else known


@lru_cache(maxsize=64)
def _parsed(formula: str) -> Formula:
    """formulaic takes milliseconds, and a fit asks several times. What it returns is only read."""
    return Formula(formula)


def _parse(formula: str) -> Formula:
    if not isinstance(formula, str):
        raise ArgumentError(f"formula must be text like 'usage_drop + plan'; got {type(formula).__name__}")
    try:
        parsed = _parsed(formula)
        if hasattr(parsed, "lhs"):
            raise ArgumentError(f"formula '{formula}': name the covariates only, without '~'")
        if isinstance(parsed, StructuredFormula):
            raise ArgumentError(f"formula '{formula}' has several parts: write one, without '|' and '||'")
        if "1" not in map(str, parsed):
            parsed = _parsed(f"1 + {formula} + 1")
    except (FormulaicError, SyntaxError) as error:
        raise ArgumentError(f"formula '{formula}' cannot be read: {_clean(error)}") from error
    if not _names(parsed):
        raise ArgumentError(f"formula '{formula}' names no covariate")
    return parsed


def _clean(error: Exception) -> str:
    return " ".join(_ANSI.sub("", str(error)).split())


def _pick(frame: pd.DataFrame, names: Any) -> Any:
    there = [str(name) for name in frame.columns]
    missing = [name for name in names if name not in there]
    if missing:
        raise ArgumentError("; ".join(not_there(name, there) for name in missing))
    return names


def not_there(name: str, there: Sequence[str]) -> str:
    """Says that a name of the formula is no column, with the nearest spelling."""
    near = get_close_matches(name, there, n=1, cutoff=0.6)
    hint = f", did you mean '{near[0]}'?" if near else f"; the columns are: {', '.join(there[:20])}"
    return f"the formula names '{name}', which is not there{hint}"


def _variable(frame: pd.DataFrame, name: str, known: Levels | None = ()) -> Floats | pd.Categorical:
    """A column as (n,) floats, NaN where missing, or as sorted categories; known = () when not yet fitted."""
    column = frame[name]
    kind = column.dtype
    if pd.api.types.is_datetime64_any_dtype(kind) or pd.api.types.is_timedelta64_dtype(kind):
        raise StructureError(f"covariate '{name}' holds dates ({kind}); give it as a number of days")
    if pd.api.types.is_complex_dtype(kind):
        raise _no_complex(name)
    is_text = not (pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind))
    if is_text and not isinstance(kind, pd.CategoricalDtype):
        inferred = pd.api.types.infer_dtype(column, skipna=True)
        if inferred == "complex":
            raise _no_complex(name)
        is_text = inferred not in (*_NUMBERS, "boolean", "empty")
    if known != () and is_text != (known is not None):
        raise ArgumentError(f"covariate '{name}' was fitted as {'text' if known else 'a number'}; now it is not")
    if is_text:
        return _categories(column, name, known or ())
    if isinstance(kind, np.dtype) and kind.kind in "iubf":
        return column.to_numpy(np.float64)
    return pd.to_numeric(column.astype("object"), errors="coerce").to_numpy(np.float64, na_value=np.nan)


def _no_complex(name: str) -> ArgumentError:
    return ArgumentError(f"covariate '{name}' holds complex numbers; give its real and imaginary part as two columns")


def in_order(levels: Iterable[str]) -> Levels:
    """Distinct levels as sorted, "(missing)" last."""
    return tuple(sorted(set(levels), key=lambda level: (level == MISSING_LEVEL, level)))


def _categories(column: pd.Series, name: str, known: Levels) -> pd.Categorical:
    held = column.array if isinstance(column.dtype, pd.CategoricalDtype) else _distinct(column, name)
    used = held.remove_unused_categories()
    text = [str(level) for level in used.categories]
    levels = known or in_order(text)
    strange = sorted(set(text) - set(levels))
    if strange:
        raise ArgumentError(
            f"covariate '{name}' has levels that were not fitted: {', '.join(strange)}; it has {', '.join(levels)}"
        )
    place = np.array([levels.index(level) for level in text], np.intp)
    codes = np.where(used.codes >= 0, place[used.codes] if place.size else -1, -1)
    return pd.Categorical.from_codes(codes, categories=list(levels))


def _distinct(column: pd.Series, name: str) -> pd.Categorical:
    try:
        return pd.Categorical(column.astype(object))
    except TypeError as error:  # unhashable
        kind = next(type(value).__name__ for value in column if not isinstance(value, Hashable))
        raise ArgumentError(
            f"covariate '{name}' must hold a number or a text in each row; it has values of type {kind}. Make a column of each part"
        ) from error


def _levels(column: Floats | pd.Categorical) -> Levels | None:
    return tuple(column.categories) if isinstance(column, pd.Categorical) else None


def _refuse_missing(variables: Mapping[str, Floats | pd.Categorical]) -> None:
    numeric = {name: column for name, column in variables.items() if not isinstance(column, pd.Categorical)}
    texts = [column for column in variables.values() if isinstance(column, pd.Categorical)]
    if all(_computable(column) for column in numeric.values()) and all((text.codes >= 0).all() for text in texts):
        return
    counts = {name: int(pd.isna(column).sum()) for name, column in variables.items()}
    bad = [f"'{name}' in {counted(count, 'row')}" for name, count in counts.items() if count]
    if bad:
        raise StructureError(
            f"covariates with missing values: {', '.join(bad)}. Drop these rows, or give them a value or level of their own"
        )
    for name, column in numeric.items():
        if np.isinf(column).any():
            raise StructureError(f"covariate '{name}' is infinite in {counted(int(np.isinf(column).sum()), 'row')}")
    _refuse_large(numeric)


def _computable(column: Floats) -> bool:
    """Whether all values are finite, and their squares can be added up."""
    with np.errstate(all="ignore"):
        return bool(column @ column < _MOST_SQUARES)


def _refuse_large(columns: Mapping[str, Floats]) -> None:
    large = [f"'{name}'" for name, column in columns.items() if not _computable(column)]
    if large:
        raise ArgumentError(
            f"the covariates or offsets are too large for arithmetic: {', '.join(large)}; divide them by their unit "
            "(thousands, millions)"
        )


def _finite_columns(matrix: Any, names: Sequence[str]) -> list[Floats]:
    """The columns of formulaic's matrix without its intercept; StructureError when a term is not finite."""
    frame = pd.DataFrame(matrix).drop(columns="Intercept", errors="ignore")
    columns = [frame[name].to_numpy(np.float64) for name in names]
    bad = {name: int((~np.isfinite(column)).sum()) for name, column in zip(names, columns)}
    if any(bad.values()):
        counts = ", ".join(f"'{name}' in {counted(count, 'row')}" for name, count in bad.items() if count)
        raise StructureError(f"terms of the formula that are missing or infinite: {counts}")
    _refuse_large(dict(zip(names, columns)))
    return columns
