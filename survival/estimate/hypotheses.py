"""Linear hypotheses about coefficients (Wald), and nested fits compared (likelihood ratio).

Sources: R's car::linearHypothesis and survival::anova.coxph.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import linalg, stats

from survival.errors import ArgumentError
from survival.estimate.cox_options import finite_numbers, shown
from survival.estimate.risk_sets import Floats
from survival.estimate.tenure_effects import TenureCoding

if TYPE_CHECKING:
    from survival.estimate.cox_fit import CoxFit
    from survival.estimate.discrete_cox import DiscreteFit


@dataclass(frozen=True, eq=False, repr=False)
class Hypothesis:
    """A Wald test that m linear combinations of coefficients have given values: statistic ~ chi²(df).

    labels (m,); estimate (m,) of the combinations, value (m,) under the hypothesis, variance (m, m).
    """

    labels: tuple[str, ...]
    estimate: Floats
    value: Floats
    variance: Floats
    statistic: float
    df: int
    p: float
    level: float
    robust: bool

    def tidy(self) -> pd.DataFrame:
        """One row a combination: hypothesis, estimate, se, ci_lower, ci_upper, value, z, p, level; of the combination
        itself, on the scale of the coefficients. The joint test is in statistic, df, p."""
        se = np.sqrt(np.diag(self.variance))
        half = stats.norm.ppf(0.5 + self.level / 2) * se
        z = (self.estimate - self.value) / se
        return pd.DataFrame(
            {
                "hypothesis": list(self.labels),
                "estimate": self.estimate,
                "se": se,
                "ci_lower": self.estimate - half,
                "ci_upper": self.estimate + half,
                "value": self.value,
                "z": z,
                "p": 2 * stats.norm.sf(np.abs(z)),
                "level": self.level,
            }
        )

    def __repr__(self) -> str:
        kind = "robust" if self.robust else "model"
        head = f"Wald test ({kind} variance): chi² = {self.statistic:.4g} on {self.df} df, p = {self.p:.4g}"
        return f"{head}\n{self.tidy().to_string(index=False, float_format=lambda v: f'{v:.4g}')}"


def wald_test(
    fit: CoxFit | DiscreteFit, hypothesis: str | Sequence[str] | Any, value: Any = None, robust: bool | None = None
) -> Hypothesis:
    """See `CoxFit.hypothesis`."""
    if robust and not fit.options.robust:
        raise ArgumentError("robust=True needs a fit with the robust variance: pass robust=True to cox")
    is_text = isinstance(hypothesis, str) or (
        isinstance(hypothesis, Sequence) and all(isinstance(part, str) for part in hypothesis)
    )
    if is_text:
        if value is not None:
            raise ArgumentError(
                f"value={shown(value)} goes with a matrix: write it into the hypothesis, 'a - b = 0.5', or pass a matrix"
            )
        texts = [hypothesis] if isinstance(hypothesis, str) else list(hypothesis)
        matrix, values, labels = parse(texts, fit.names, fit.terms)
    else:
        matrix, values, labels = _matrix(hypothesis, value, fit.names)
    variance = fit.model_variance if robust is False else fit.variance
    used = (matrix != 0).any(axis=0)
    unknown = [name for name, use, b in zip(fit.names, used, np.diag(variance)) if use and not np.isfinite(b)]
    if unknown:
        raise ArgumentError(f"hypothesis: {', '.join(unknown)} has no estimate in this fit")
    return _test(matrix[:, used], values, labels, fit.coefficients[used], variance[np.ix_(used, used)], fit, robust)


def _test(
    matrix: Floats, values: Floats, labels: tuple[str, ...], beta: Floats, variance: Floats,
    fit: CoxFit | DiscreteFit, robust: bool | None,
) -> Hypothesis:  # fmt: skip
    spread = matrix @ variance @ matrix.T
    unit = np.sqrt(np.diag(spread))
    if not (unit > 0).all() or np.linalg.matrix_rank(spread / np.outer(unit, unit), tol=1e-10) < len(labels):
        raise ArgumentError(f"hypothesis: one of {'; '.join(labels)} is empty or follows from the others: leave it out")
    gap = (matrix @ beta - values) / unit
    statistic = float(gap @ linalg.solve(spread / np.outer(unit, unit), gap, assume_a="pos"))
    is_robust = fit.options.robust and robust is not False
    p = float(stats.chi2.sf(statistic, len(labels)))
    return Hypothesis(labels, matrix @ beta, values, spread, statistic, len(labels), p, fit.options.level, is_robust)


def _matrix(matrix: Any, value: Any, names: Sequence[str]) -> tuple[Floats, Floats, tuple[str, ...]]:
    made = finite_numbers(matrix)
    held = np.atleast_2d(np.empty(0) if made is None else made)
    if held.ndim != 2 or held.shape[1] != len(names):
        raise ArgumentError(
            f"hypothesis: the matrix must have {len(names)} columns of numbers, one for each of {', '.join(names)}; got "
            f"{shown(matrix)}. Or write it as text, such as '{names[0]} = 0'"
        )
    values = np.zeros(len(held)) if value is None else finite_numbers(value)
    if values is None or values.shape != (len(held),):
        raise ArgumentError(f"hypothesis: value must be {len(held)} numbers, one for each row; got {shown(value)}")
    labels = [f"{_written(row, names)} = {number:g}" for row, number in zip(held, values)]
    return held, values, tuple(labels)


def _written(row: Floats, names: Sequence[str]) -> str:
    parts = [f"{factor:+g} {name}" for factor, name in zip(row, names) if factor]
    return " ".join(parts).replace("+1 ", "+ ").replace("-1 ", "- ").removeprefix("+ ") or "0"


def parse(
    texts: Sequence[str], names: Sequence[str], terms: Mapping[str, tuple[int, ...]]
) -> tuple[Floats, Floats, tuple[str, ...]]:
    """Matrix (m, p), values (m,) and labels of hypotheses such as 'a - b = 0', '2*a + `b c` = 1', or a term's name.

    Without '=', that all of it is 0. Raises ArgumentError for what is not linear, or names no coefficient.
    """
    rows, values, labels = [], [], []
    for text in texts:
        bare = text.strip().strip("`")
        if bare in terms and bare not in names:
            for j in terms[bare]:
                rows.append(np.eye(len(names))[j])
                values.append(0.0)
                labels.append(f"{names[j]} = 0")
            continue
        sides = [_linear(side, text, names) for side in _coded(text, names).split("=")]
        if len(sides) == 1:
            sides.append((np.zeros(len(names)), 0.0))
        for (left, a), (right, b) in pairwise(sides):
            rows.append(left - right)
            values.append(b - a)
            labels.append(text.strip() if "=" in text else f"{text.strip()} = 0")
    if not rows:
        raise ArgumentError("hypothesis: nothing to test; write it as 'a - b = 0'")
    return np.array(rows), np.array(values), tuple(labels)


def _coded(text: str, names: Sequence[str]) -> str:
    """The text with each coefficient's name, which may hold any sign, as a word of its own."""
    ordered = sorted(range(len(names)), key=lambda j: -len(names[j]))
    either = "|".join(f"`{re.escape(names[j])}`|{_bounded(names[j])}" for j in ordered)
    place = {names[j]: j for j in ordered}
    return re.sub(either, lambda found: f" coef_{place[found.group().strip('`')]} ", text)


def _bounded(name: str) -> str:
    before, after = (r"(?<![\w.])" if name[0].isalnum() else ""), (r"(?![\w.\[])" if name[-1].isalnum() else "")
    return before + re.escape(name) + after


def _linear(side: str, text: str, names: Sequence[str]) -> tuple[Floats, float]:
    """Factors (p,) and constant of one side."""

    def walk(node: ast.AST) -> tuple[Floats, float]:
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            return np.zeros(len(names)), float(node.value)
        if isinstance(node, ast.Name):
            if re.fullmatch(r"coef_\d+", node.id):
                return np.eye(len(names))[int(node.id[5:])], 0.0
            near = get_close_matches(node.id, names, n=1, cutoff=0.5)
            hint = f"; did you mean '{near[0]}'?" if near else f"; there are: {', '.join(names)}"
            raise ArgumentError(f"hypothesis '{text}': '{node.id}' is no coefficient{hint}")
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            factors, constant = walk(node.operand)
            return (-factors, -constant) if isinstance(node.op, ast.USub) else (factors, constant)
        if isinstance(node, ast.BinOp):
            return _combined(node.op, walk(node.left), walk(node.right), text)
        raise ArgumentError(f"hypothesis '{text}' is not linear: write it as '2*a - b = 0'")

    try:
        return walk(ast.parse(side.strip(), mode="eval").body)
    except SyntaxError as error:
        raise ArgumentError(f"hypothesis '{text}' cannot be read: write it as '2*a - b = 0'") from error


def _combined(
    op: ast.operator, left: tuple[Floats, float], right: tuple[Floats, float], text: str
) -> tuple[Floats, float]:
    (a, c), (b, d) = left, right
    if isinstance(op, ast.Add | ast.Sub):
        sign = 1.0 if isinstance(op, ast.Add) else -1.0
        return a + sign * b, c + sign * d
    if isinstance(op, ast.Mult) and not (a.any() and b.any()):
        return a * d + b * c, c * d
    if isinstance(op, ast.Div) and not b.any() and d:
        return a / d, c / d
    raise ArgumentError(f"hypothesis '{text}' is not linear: write it as '2*a - b = 0'")


def compare_fits(*fits: CoxFit) -> pd.DataFrame:
    """Likelihood-ratio tests of nested fits, each against the one before: model, log_likelihood, df, statistic, df_change,
    p, aic; as R's anova.coxph.

    The fits must be of the same data, which is for the caller to see to: what is compared is the numbers of episodes and
    events, the days at risk, the strata, ties and firth, and the log likelihood without covariates. Raises ArgumentError where
    these differ, unless each has more columns than the one before and these reproduce its columns (a coefficient for each
    period of tenure those of one for all), and, as R, for robust fits.
    """
    if len(fits) < 2:
        raise ArgumentError(f"compare_fits needs at least two fits; got {len(fits)}")
    for fit in fits:
        _refuse_other(fit)
    for small, large in pairwise(fits):
        _refuse_unlike(small, large)
    df = np.array([len(fit.estimated) for fit in fits], np.float64)
    value = np.array([fit.log_likelihood for fit in fits])
    statistic = np.concatenate(([np.nan], 2 * np.diff(value)))
    change = np.concatenate(([np.nan], np.diff(df)))
    return pd.DataFrame(
        {
            "model": [_described(fit) for fit in fits],
            "log_likelihood": value,
            "df": df.astype(int),
            "statistic": statistic,
            "df_change": change,
            "p": stats.chi2.sf(statistic, change),
            "aic": 2 * df - 2 * value,
        }
    )


def _refuse_other(fit: Any) -> None:
    if not hasattr(fit, "estimated"):
        raise ArgumentError(
            f"compare_fits compares fits of cox(...); got {shown(fit)}. Fits of discrete_cox: test what the larger one adds by its "
            "hypothesis([...])"
        )


def _described(fit: CoxFit) -> str:
    """The formula, and which of its terms have a coefficient that changes with tenure."""
    changing = [f"{term} {_by_tenure(how)}" for term, how in fit.options.time_varying]
    return ", ".join([fit.options.formula, *changing])


def _by_tenure(how: Any) -> str:
    if isinstance(how, tuple):
        return f"by period of tenure (cut at {', '.join(f'{cut:g}' for cut in how)})"
    return f"with {how if isinstance(how, str) else getattr(how, '__name__', 'a function')} of tenure"


def _refuse_unlike(small: CoxFit, large: CoxFit) -> None:
    if small.options.robust or large.options.robust:
        raise ArgumentError(
            "compare_fits: likelihood-ratio tests take rows as independent, and a fit here has the robust variance. Test what the "
            "larger model adds by its hypothesis([...]), which uses it; or, if rows are independent given their covariates (one spell a "
            "customer), fit with robust=False"
        )
    if small.options.penalised or large.options.penalised:
        raise ArgumentError("compare_fits: penalised likelihoods have no likelihood-ratio test")
    same = (
        small.options.ties == large.options.ties
        and small.options.firth == large.options.firth
        and (small.episodes, small.events, small.strata) == (large.episodes, large.events, large.strata)
        and bool(np.isclose(small.person_time, large.person_time, rtol=1e-12))
    )
    if same and not small.options.firth:
        same = bool(np.isclose(small.log_likelihood_null, large.log_likelihood_null, rtol=1e-9))
    if not same:
        raise ArgumentError(
            "compare_fits: the fits differ in more than their covariates (rows, events, strata, offset, ties, or firth)"
        )
    if len(large.estimated) <= len(small.estimated) or not _reproduces(small, large):
        raise ArgumentError(
            f"compare_fits: '{_described(small)}' is not nested in '{_described(large)}': give them in order, each "
            "with all columns of the one before"
        )


def _reproduces(small: CoxFit, large: CoxFit) -> bool:
    """Whether the larger model's columns span the smaller one's; by name, and else by the data when both have them."""
    if {small.names[j] for j in small.estimated} <= _spanned(large):
        return True
    if small._data is None or large._data is None or len(small._data[0].x) != len(large._data[0].x):
        return False
    x, y = large._data[0].x, small._data[0].x
    slope = np.linalg.lstsq(x.T @ x, x.T @ y, rcond=1e-12)[0]
    return bool(np.abs(y - x @ slope).max() < 1e-6)


def _spanned(fit: CoxFit) -> set[str]:
    """Names of columns that are sums of the fit's: its own, and those that have a coefficient in every period of tenure."""
    own = {fit.names[j] for j in fit.estimated}
    if not isinstance(fit.coding, TenureCoding):
        return own
    base = fit.coding.base.names
    parts = {name: [e for e in fit.coding.effects if base[e.base] == name] for name in base}
    return own | {
        name
        for name, effects in parts.items()
        if all(effect.function is None and effect.name in own for effect in effects)
    }
