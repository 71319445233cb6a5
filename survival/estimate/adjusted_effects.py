"""Partial effects: retention at chosen values of one covariate, the others held at one value each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from survival.errors import ArgumentError
from survival.estimate.design import Coding, Levels, formula_variables, term_variables
from survival.estimate.tenure_effects import TenureCoding
from survival.flows.columns import read_columns

if TYPE_CHECKING:
    from survival.estimate.cox_fit import CoxFit

_SHARES = (0.1, 0.5, 0.9)  # of a number's values in the frame, where none are chosen


def partial_effects(
    fit: CoxFit,
    covariate: str,
    values: Sequence[Any] | None,
    at: Mapping[str, Any] | None,
    frame: Any,
    tenures: Sequence[float] | None,
) -> pd.DataFrame:
    """See `CoxFit.partial_effects`."""
    names = _variables(fit)
    given = dict(at or {})
    for name in (covariate, *given):
        if name not in names:
            near = get_close_matches(str(name), names, n=1, cutoff=0.6)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise ArgumentError(f"partial_effects: the model has no '{name}'{hint} It reads: {', '.join(names)}")
    if covariate in given:
        raise ArgumentError(f"partial_effects: '{covariate}' takes the values asked for; leave it out of `at`")
    _refuse_not_estimable(fit, covariate)
    table = None if frame is None else read_columns(frame, names)
    chosen = _values(fit, covariate, values, table)
    rows = pd.DataFrame({covariate: pd.Series(chosen)})
    for name in names:
        if name != covariate:
            rows[name] = given[name] if name in given else _typical(fit, name, table)
    made = fit.predict_survival(rows[names], tenures)
    made = made.rename(columns={"survival": "retention"}).assign(
        covariate=covariate, value=np.repeat(pd.Series(chosen).to_numpy(), len(made) // len(chosen))
    )
    found = made[["covariate", "value", "tenure", "retention", "se", "ci_lower", "ci_upper"]]
    return found if tenures is not None else found[found["retention"].notna()].reset_index(drop=True)


def _variables(fit: CoxFit) -> list[str]:
    options = fit.options
    names = [*formula_variables(options.formula), *options.strata, *([options.offset] if options.offset else [])]
    return list(dict.fromkeys(names))


def _coding(fit: CoxFit) -> Coding:
    return fit.coding.base if isinstance(fit.coding, TenureCoding) else fit.coding


def _levels(fit: CoxFit, name: str) -> Levels | None:
    return _coding(fit).levels.get(name)


def _refuse_not_estimable(fit: CoxFit, covariate: str) -> None:
    read = term_variables(fit.options.formula)
    mine = [j for term, columns in fit.terms.items() if covariate in read[term] for j in columns]
    missing = [fit.names[j] for j in mine if j not in fit.estimated]
    if missing:
        raise ArgumentError(f"partial_effects: the coefficient of {', '.join(missing)} is not estimable")


def _values(fit: CoxFit, name: str, values: Sequence[Any] | None, table: pd.DataFrame | None) -> list[Any]:
    if values is not None:
        chosen = list(dict.fromkeys([values] if isinstance(values, str) or np.isscalar(values) else values))
        if not chosen:
            raise ArgumentError(f"partial_effects: name at least one value of '{name}'")
        return chosen
    if name in fit.options.strata:
        return list(dict.fromkeys(fit.stratum_values[name]))
    levels = _levels(fit, name)
    if levels is not None:
        return list(levels)
    if _is_flag(fit, name):
        return [0, 1]
    if table is not None:
        return list(dict.fromkeys(np.quantile(table[name].to_numpy(float), _SHARES, method="nearest").tolist()))
    raise ArgumentError(
        f"partial_effects: '{name}' is a number: say at which values=, or give the frame for its quantiles"
    )


def _typical(fit: CoxFit, name: str, table: pd.DataFrame | None) -> Any:
    """What a covariate is held at: of the frame its mean or most frequent value, else its reference."""
    is_stratum, levels = name in fit.options.strata, _levels(fit, name)
    if table is not None:
        return (
            table[name].mode().iloc[0]
            if is_stratum or levels is not None or _is_flag(fit, name)
            else table[name].mean()
        )
    if is_stratum:
        known = list(dict.fromkeys(fit.stratum_values[name]))
        if len(known) == 1:
            return known[0]
        raise ArgumentError(
            f"partial_effects: each stratum has a baseline of its own; say which: at={{'{name}': {known[0]!r}}} "
            f"(there are {', '.join(map(str, known))})"
        )
    if levels is not None:
        return levels[0]
    if _is_flag(fit, name):
        return 0
    if name == fit.options.offset:
        return fit.offset_centre
    mean = _mean(fit, name)
    if mean is None:
        raise ArgumentError(
            f"partial_effects: say at which '{name}' to hold it: at={{'{name}': ...}}, or give the frame for its mean"
        )
    return mean


def _is_flag(fit: CoxFit, name: str) -> bool:
    """Whether a number is 0 or 1 in the data that the fit holds."""
    if fit._data is None or name not in fit.names:
        return False
    data, names = fit._data[0], [fit.names[j] for j in fit.estimated]
    if name not in names:
        return False
    j = names.index(name)
    if (float(data.low[j]), float(data.high[j])) != (0.0, 1.0):
        return False
    values = data.x[:, j] * data.scale[j] + data.centre[j]
    return bool((np.minimum(np.abs(values), np.abs(values - 1)) < 1e-9).all())


def _mean(fit: CoxFit, name: str) -> float | None:
    """Over the episodes fitted; None for a number that is not itself a column, and for a saved fit."""
    names = [fit.names[j] for j in fit.estimated]
    if fit._data is None or name not in names:
        return None
    return float(fit.inner[2][names.index(name)])
