"""Hazard ratios within subgroups of customers, and tests of interaction: does a ratio differ between them?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from survival.errors import EstimationError
from survival.estimate.adjustments import holm
from survival.estimate.cox import cox
from survival.estimate.cox_fit import CoxFit
from survival.estimate.design import MISSING_LEVEL, term_variables
from survival.estimate.hypotheses import wald_test
from survival.estimate.wald import coefficients_are_equal
from survival.experiment.models import Models, options
from survival.experiment.study import Study
from survival.findings import Finding

MOST_LEVELS = 8
ALL = "all customers"  # the row of the multivariable model itself
WHOLE = "term as a whole"  # the row of a term of several columns: a test without a ratio
ESTIMATES = ("coef", "hazard_ratio", "ci_lower", "ci_upper", "p")
COLUMNS = [
    "definition", "subgroup", "level", "covariate", "customers", "events", "coef", "hazard_ratio", "ci_lower", "ci_upper", "p",
    "interaction_test", "interaction_statistic", "interaction_df", "p_interaction", "p_adjusted",
]  # fmt: skip
LIKELIHOOD_RATIO, ROBUST_WALD, WALD = "likelihood ratio", "robust Wald", "Wald"


def subgroup_ratios(study: Study, made: Models) -> pd.DataFrame:
    """tables/subgroups.csv: each covariate's ratio among all, then within each level of every name of `model.subgroups`.

    One model a covariate and subgroup: the multivariable one, with the covariate's coefficient in each level in place of one, and
    the subgroup itself if the formula does not hold it. p_interaction: that they are the same, by the test that `interaction_test`
    names (see `_Interaction.test`). A term of several columns has a row WHOLE: that none of its coefficients differs between the levels.
    p_adjusted: Holm's over one test a term and subgroup of the definition; the single columns of such a term have none.
    """
    parts = [pd.DataFrame(columns=COLUMNS)]
    for name in study.config.model.subgroups:
        levels = _levels(study, made, name)
        if levels is not None:
            study.step(f"{made.definition}: hazard ratios by {name}")
            parts.append(_of_one(study, made, name, levels))
    frame = pd.concat([p for p in parts if len(p)] or parts, ignore_index=True)
    if frame.empty:
        return frame
    wholes = set(frame.loc[frame["level"] == WHOLE, "covariate"])
    parts_of = {made.full.names[j] for term in wholes for j in made.full.terms[term]} - wholes
    tests = frame[~frame["covariate"].isin(parts_of)].drop_duplicates(["subgroup", "covariate"]).index
    adjusted = pd.Series(holm(frame.loc[tests, "p_interaction"].to_numpy(float)), index=tests)
    filled = (
        adjusted.reindex(frame.index).groupby([frame["subgroup"], frame["covariate"]], sort=False).transform("first")
    )
    return frame.assign(p_adjusted=filled)[COLUMNS]


def _levels(study: Study, made: Models, name: str) -> pd.Series | None:
    """The level of each episode as text; None, with a note, where there are too many or too few to compare."""
    column = study.episodes(made.definition)[name]
    number = pd.api.types.is_numeric_dtype(column)
    text = column.map(lambda v: MISSING_LEVEL if pd.isna(v) else f"{v:g}" if number else str(v))
    n = text.nunique()
    if 2 <= n <= MOST_LEVELS:
        return text
    why = "there is one only" if n < 2 else f"there are {n:,}, more than {MOST_LEVELS}: use a column of fewer levels"
    message = f"hazard ratios are not shown by '{name}', whose levels are not to be compared ({why})"
    study.note([Finding("no-model", "note", name, message)], about=made.definition)
    return None


def _of_one(study: Study, made: Models, name: str, levels: pd.Series) -> pd.DataFrame:
    frame, full = study.episodes(made.definition), made.full
    names = _ordered(levels)
    matrix = made.coding.encode(frame)
    held = [c for c in ("customer", "spell", "start", "stop", "event", *full.options.strata) if c in frame]
    plain = frame[held].assign(**{f"x{j}": matrix[:, j] for j in full.estimated})
    main = [f"g{k}" for k in range(1, len(names))] if _add_main_effect(full.options.strata, full.terms, name) else []
    inside = {k: (levels == level).to_numpy(float) for k, level in enumerate(names)}
    plain = plain.assign(**{g: inside[int(g[1:])] for g in main})
    counts = _counts(frame, levels)
    rows, interaction = [], _Interaction(options(study), plain, tuple(main), inside)
    read = term_variables(full.options.formula)
    for term, columns in full.terms.items():
        if ":" in term or name in read[term]:
            continue
        mine = [j for j in columns if j in full.estimated]
        if not mine:
            continue
        rows += _rows(study, made, name, interaction, names, term, mine, counts)
    return pd.DataFrame(rows, columns=[c for c in COLUMNS if c != "p_adjusted"])


def _add_main_effect(strata: Sequence[str], terms: dict[str, tuple[int, ...]], name: str) -> bool:
    return name not in strata and name not in terms


def _ordered(levels: pd.Series) -> list[str]:
    """Numbers by value, text as sorted, those without a value last."""
    there = sorted(set(levels) - {MISSING_LEVEL})
    if pd.Series(there).str.fullmatch(r"-?\d+(\.\d+)?(e[-+]?\d+)?").all():
        there.sort(key=float)
    return [*there, *([MISSING_LEVEL] if (levels == MISSING_LEVEL).any() else [])]


def _counts(frame: pd.DataFrame, levels: pd.Series) -> pd.DataFrame:
    """Customers and churns of each level; in the last row, of everybody."""
    grouped = frame[["customer", "event"]].groupby(levels.to_numpy())
    counts = pd.DataFrame({"customers": grouped["customer"].nunique(), "events": grouped["event"].sum()})
    everybody = pd.DataFrame(
        {"customers": [frame["customer"].nunique()], "events": [frame["event"].sum()]}, index=[ALL]
    )
    return pd.concat([counts, everybody])


@dataclass(frozen=True, eq=False)
class _Interaction:
    """The models of one subgroup. plain: the columns `x<j>` of the multivariable model and `main`, those of the subgroup itself;
    inside: level -> whether each episode is in it; restricted: the models already fitted, by their formula."""

    options: dict[str, Any]
    plain: pd.DataFrame
    main: tuple[str, ...]
    inside: dict[int, np.ndarray]
    restricted: dict[str, CoxFit] = field(default_factory=dict)

    def fit(self, apart: Sequence[int]) -> CoxFit:
        """The model in which the columns `apart` have a coefficient in each level, and all others have one."""
        products = {f"x{j}g{k}": self.plain[f"x{j}"] * self.inside[k] for j in apart for k in self.inside}
        others = [c for c in self.plain.columns if c.startswith("x") and int(c[1:]) not in apart]
        return cox(self.plain.assign(**products), " + ".join([*products, *others, *self.main]), **self.options)

    def test(self, fit: CoxFit, apart: Sequence[int], j: int) -> tuple[str, float, int, float]:
        """That column j has one coefficient in all levels: test, statistic, df, p.

        By likelihood ratio where the variance is the model's, as R's anova.coxph. Not under the variance clustered by customer, nor
        with a penalty: there twice the gain in (partial) log-likelihood is not chi-squared, and it is the Wald test with the
        variance that the intervals use. Wald too where a level has no estimate and the models are not nested.
        """
        here = [f"x{j}g{k}" for k in self.inside]
        if not fit.options.robust and not fit.options.penalised and len(fit.estimated) == len(fit.names):
            small = self._restricted([i for i in apart if i != j])
            df = len(fit.estimated) - len(small.estimated)
            if df == len(here) - 1:
                statistic = max(2 * (fit.log_likelihood - small.log_likelihood), 0.0)
                return LIKELIHOOD_RATIO, statistic, df, float(stats.chi2.sf(statistic, df))
        return ROBUST_WALD if fit.options.robust else WALD, *coefficients_are_equal(fit, here)

    def test_all(self, fit: CoxFit, apart: Sequence[int]) -> tuple[str, float, int, float]:
        """That each of the columns `apart` has one coefficient in all levels, together: as `test`."""
        if not fit.options.robust and not fit.options.penalised and len(fit.estimated) == len(fit.names):
            small = self._restricted([])
            df = len(fit.estimated) - len(small.estimated)
            if df == len(apart) * (len(self.inside) - 1):
                statistic = max(2 * (fit.log_likelihood - small.log_likelihood), 0.0)
                return LIKELIHOOD_RATIO, statistic, df, float(stats.chi2.sf(statistic, df))
        pairs = []
        for j in apart:
            known = [i for i in (fit.names.index(f"x{j}g{k}") for k in self.inside) if i in fit.estimated]
            pairs += [(known[0], i) for i in known[1:]]
        name = ROBUST_WALD if fit.options.robust else WALD
        if not pairs:
            return name, float("nan"), 0, float("nan")
        matrix = np.zeros((len(pairs), len(fit.names)))
        for row, (first, other) in enumerate(pairs):
            matrix[row, [first, other]] = -1.0, 1.0
        found = wald_test(fit, matrix)
        return name, found.statistic, found.df, found.p

    def _restricted(self, apart: Sequence[int]) -> CoxFit:
        """For every term of one column it is the same model, fitted once."""
        key = " ".join(map(str, apart))
        if key not in self.restricted:
            self.restricted[key] = self.fit(apart)
        return self.restricted[key]


def _rows(
    study: Study, made: Models, name: str, interaction: _Interaction, names: list[str], term: str, mine: Sequence[int],
    counts: pd.DataFrame,
) -> list[list[object]]:  # fmt: skip
    """The rows of one term: every column of it has a coefficient a level."""
    try:
        fit = interaction.fit(mine)
        tests = {j: interaction.test(fit, mine, j) for j in mine}
        together = interaction.test_all(fit, mine) if len(mine) > 1 else None
    except EstimationError as error:
        message = f"the hazard ratios of '{made.full.names[mine[0]]}' by {name} cannot be estimated: {error}"
        study.note([Finding("no-model", "note", name, message)], about=made.definition)
        return []
    tidy, whole = fit.tidy().set_index("covariate"), made.full.tidy()
    rows: list[list[object]] = []
    everybody = [int(counts["customers"].iloc[-1]), int(counts["events"].iloc[-1])]
    if together:
        rows.append([made.definition, name, WHOLE, term, *everybody, *[np.nan] * len(ESTIMATES), *together])
    for j in mine:
        start = [made.definition, name]
        overall = [float(whole.loc[j, c]) for c in ESTIMATES]
        rows.append([*start, ALL, made.full.names[j], *everybody, *overall, *tests[j]])
        for k in interaction.inside:
            r, n = tidy.loc[f"x{j}g{k}"], counts.loc[names[k]]
            values = [float(r[c]) for c in ESTIMATES]
            rows.append(
                [*start, names[k], made.full.names[j], int(n["customers"]), int(n["events"]), *values, *tests[j]]
            )
    return rows
