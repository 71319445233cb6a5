"""Does a number act on the log hazard along a straight line? Martingale residuals by its value, and a spline against the line.

In each range of the covariate the churns seen are compared with those expected under the fit (Therneau, Grambsch & Fleming 1990; as
ratio of the two, after taking the line itself out, Therneau & Grambsch 2000, section 5.7). A restricted cubic spline (Harrell 2015)
in the line's place gives the smooth, and a Wald test of what it adds, from the same kind of variance as the fit's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from survival.errors import ArgumentError
from survival.estimate.cox import cox
from survival.estimate.cox_data import CoxData
from survival.estimate.cox_fit import CoxFit
from survival.estimate.customer_residuals import expected_churns, held
from survival.estimate.piecewise import poisson_limits
from survival.estimate.risk_sets import Floats, Ints, sums_by

KNOTS = {3: (0.1, 0.5, 0.9), 4: (0.05, 0.35, 0.65, 0.95)}  # Harrell's quantiles
FOUR_KNOTS = 100  # events from which there are four
EVENTS_A_BIN = 20
FEWEST, MOST = 4, 12  # bins
BLOCK = 65_536  # values whose columns are alive at a time
SKEWED = 10  # largest value over the median from which the curve's values lie evenly on their logarithm


@dataclass(frozen=True, eq=False)
class FunctionalForm:
    """One covariate.

    bins: lower, upper (values, both inside), mean, observed, expected (churns, under the fit), log_ratio, ci_lower, ci_upper.
    curve: value, linear, spline, ci_lower, ci_upper. All are log hazard ratios against the mean of the covariate among the churns
    expected. knots (m,); statistic, df, p of the Wald test that the spline is a line. bend (days or units of the
    covariate): the largest distance of spline from line between the 5th and 95th hundredth, a log hazard ratio; rises: by how much the
    spline rises from the 5th to the 50th, and from there to the 95th, and quantiles (3,) these values.
    """

    covariate: str
    bins: pd.DataFrame
    curve: pd.DataFrame
    knots: Floats
    statistic: float
    df: int
    p: float
    robust: bool
    bend: float
    rises: tuple[float, float]
    quantiles: tuple[float, float, float]


def has_form(fit: CoxFit, covariate: str) -> bool:
    """Whether an estimated column of the model has more than two values."""
    data, _ = held(fit, "the functional form")
    column = data.x[:, data.names.index(covariate)]
    return bool(((column > column.min()) & (column < column.max())).any())


def functional_form(fit: CoxFit, covariate: str, points: int = 60) -> FunctionalForm:
    """The form of one column of the model, a number of more than two values, the others as they are.

    Raises ArgumentError for a covariate that was not estimated or has two values, and for a fit from flows; EstimationError when
    the model with the spline has no estimate.
    """
    data, _ = held(fit, "the functional form")
    if covariate not in data.names:
        raise ArgumentError(f"'{covariate}' has no estimate in this fit; there are: {', '.join(data.names)}")
    j = data.names.index(covariate)
    values, place = np.unique(data.x[:, j], return_inverse=True)
    values = values * data.scale[j] + data.centre[j]
    if values.size < 3:
        raise ArgumentError(f"'{covariate}' has {values.size} values: there is no form to check, a line joins them")
    events, expected = expected_churns(fit)
    seen = sums_by(place, events, values.size)
    due = sums_by(place, expected, values.size)
    knots = knots_of(values, due, int(events.sum()))
    wide = _with_spline(fit, data, knots, values, place)
    return _form(fit, wide, covariate, j, values, seen, due, knots, points)


def spline_columns(value: Floats, knots: Floats) -> Floats:
    """(n, m - 2) columns of a restricted cubic spline beside the value itself: linear beyond the outer knots. As Hmisc's
    rcspline.eval, in units of the distance of the outer knots."""
    last, before, width = knots[-1], knots[-2], knots[-1] - knots[0]

    def cube(at: float) -> Floats:
        return np.maximum(value - at, 0.0) ** 3

    columns = [
        cube(k) - cube(before) * (last - k) / (last - before) + cube(last) * (before - k) / (last - before)
        for k in knots[:-2]
    ]
    return np.column_stack(columns) / width**2


def knots_of(value: Floats, weight: Floats, events: int) -> Floats:
    """Three or four knots: quantiles of the distinct values (u,), sorted, by weight (u,); of the values alone where one of them
    has so much of the weight that fewer than three differ."""
    shares = KNOTS[4 if events >= FOUR_KNOTS else 3]
    knots = np.unique(weighted_quantiles(value, weight, shares))
    return knots if knots.size >= 3 else np.unique(np.quantile(value, KNOTS[3]))


def weighted_quantiles(value: Floats, weight: Floats, shares: Any) -> Floats:
    """The smallest value (of u, sorted) up to which at least each share of the weight lies."""
    reached = np.cumsum(weight) / weight.sum()
    return np.asarray(value[np.minimum(np.searchsorted(reached, np.asarray(shares) - 1e-12), value.size - 1)])


def _with_spline(fit: CoxFit, data: CoxData, knots: Floats, values: Floats, place: Ints) -> CoxFit:
    """The model with the columns of the spline beside the others, fitted as the fit was."""
    extra = spline_columns(values, knots)
    columns: dict[str, Any] = {f"x{j}": data.x[:, j] for j in range(len(data.names))}
    columns |= {f"s{k}": extra[place, k] for k in range(extra.shape[1])}
    formula = " + ".join(columns)
    episodes, options = data.episodes, fit.options
    assert episodes is not None
    columns |= {"start": episodes.start, "stop": episodes.stop, "event": episodes.event, "spell": episodes.spell}
    columns |= {"customer": episodes.customer, "unit": data.unit, "weight": episodes.weight}
    given: dict[str, Any] = {"strata": (), "penalizer": 0.0}
    if data.stratum is not None:
        columns["stratum"], given["strata"] = data.stratum, ("stratum",)
    if data.offset is not None:
        columns["offset"], given["offset"] = data.offset, "offset"
    if data.penalty.any():
        given |= {"penalizer": [*data.penalty, *np.zeros(extra.shape[1])], "l1_ratio": options.l1_ratio}
    if not (episodes.weight == 1.0).all():
        given["weights"] = "weight"
    return cox(
        pd.DataFrame(columns, copy=False), formula, start="start", stop="stop", event="event", customer="customer",
        spell="spell", cluster="unit", ties=options.ties, robust=options.robust, firth=options.firth, level=options.level, **given,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Spline:
    """The spline of a fit: knots (m,), what is taken from the columns (m - 1,), beta (m - 1,), variance (m - 1, m - 1), shift."""

    knots: Floats
    centre: Floats
    beta: Floats
    variance: Floats
    shift: float = 0.0

    def columns(self, value: Floats) -> Floats:
        """(k, m - 1) of values (k,), centred."""
        return np.column_stack((value, spline_columns(value, self.knots))) - self.centre

    def at(self, value: Floats) -> Floats:
        """(k,) log hazard ratios, a block of values at a time."""
        parts = [self.columns(value[i : i + BLOCK]) @ self.beta for i in range(0, value.size, BLOCK)]
        return np.concatenate(parts) + self.shift

    def error(self, value: Floats) -> Floats:
        """(k,) standard errors."""
        columns = self.columns(value)
        return np.asarray(np.sqrt(np.einsum("ij,jk,ik->i", columns, self.variance, columns)))


def _spline(wide: CoxFit, data: CoxData, j: int, knots: Floats, values: Floats, due: Floats, flat: Floats) -> _Spline:
    """Centred at the mean of its columns among the churns expected, due (u,); shifted so that it expects as many as there were,
    flat (u,) those expected with the covariate at its mean."""
    mine = [j, *range(len(data.names), len(wide.names))]
    unit = np.ones(len(mine))
    unit[0] = data.scale[j]  # the value's own column is the user's, divided
    variance = wide.variance[np.ix_(mine, mine)] / np.outer(unit, unit)
    plain = _Spline(knots, np.zeros(len(mine)), wide.coefficients[mine] / unit, variance)
    blocks = range(0, values.size, BLOCK)
    sums = np.sum([due[i : i + BLOCK] @ plain.columns(values[i : i + BLOCK]) for i in blocks], axis=0)
    centred = replace(plain, centre=sums / due.sum())
    return replace(centred, shift=-float(np.log(flat @ np.exp(centred.at(values)) / due.sum())))


def _form(
    fit: CoxFit, wide: CoxFit, covariate: str, j: int, values: Floats, seen: Floats, due: Floats, knots: Floats, points: int
) -> FunctionalForm:  # fmt: skip
    data, _ = held(fit, "the functional form")
    slope = float(fit.inner[0][j] / data.scale[j])
    mean = float(values @ due / due.sum())
    flat = due * np.exp(-slope * (values - mean))  # churns expected were the covariate at its mean
    spline = _spline(wide, data, j, knots, values, due, flat)
    low, middle, high = (float(v) for v in weighted_quantiles(values, due, (0.05, 0.5, 0.95)))
    grid = _grid(values, due, middle, points)
    smooth = spline.at(grid)
    half = stats.norm.ppf(0.5 + fit.options.level / 2) * spline.error(grid)
    curve = {"value": grid, "linear": slope * (grid - mean), "spline": smooth}
    three = spline.at(np.array([low, middle, high]))
    inside = values[(values >= low) & (values <= high)]
    gap = spline.at(inside) - slope * (inside - mean)
    test = wide.hypothesis(np.eye(len(wide.names))[len(data.names) :])
    return FunctionalForm(
        covariate, _bins(values, seen, due, flat, mean, fit),
        pd.DataFrame({**curve, "ci_lower": smooth - half, "ci_upper": smooth + half}),
        knots, test.statistic, test.df, test.p, test.robust,
        float(np.abs(gap).max()), (float(three[1] - three[0]), float(three[2] - three[1])), (low, middle, high),
    )  # fmt: skip


def _grid(values: Floats, due: Floats, middle: float, points: int) -> Floats:
    """(points,) values from the 1st to the 99th hundredth; evenly on their logarithm where a few are far beyond the median."""
    low, high = (float(v) for v in weighted_quantiles(values, due, (0.01, 0.99)))
    if low >= high:
        low, high = float(values[0]), float(values[-1])
    return np.asarray((np.geomspace if low > 0 and high > SKEWED * middle else np.linspace)(low, high, points))


def bins_of(due: Floats, events: float) -> Ints:
    """(u,) the bin of each distinct value: about as many expected churns (u,) in each, equal values together."""
    wanted = int(np.clip(events / EVENTS_A_BIN, FEWEST, MOST))
    middle = (np.cumsum(due) - due / 2) / due.sum()
    return np.unique(np.minimum((middle * wanted).astype(np.intp), wanted - 1), return_inverse=True)[1]


def _bins(values: Floats, seen: Floats, due: Floats, flat: Floats, mean: float, fit: CoxFit) -> pd.DataFrame:
    bin_of = bins_of(due, float(seen.sum()))
    observed, expected, base = (sums_by(bin_of, v, int(bin_of.max()) + 1) for v in (np.rint(seen), due, flat))
    first = np.flatnonzero(np.diff(bin_of, prepend=-1))
    last = np.append(first[1:], values.size) - 1
    low, high = poisson_limits(observed, fit.options.level)
    with np.errstate(divide="ignore"):
        ratios = [np.log(v / base) for v in (observed, low, high)]
    return pd.DataFrame(
        {
            "lower": values[first],
            "upper": values[last],
            "mean": np.bincount(bin_of, due * values) / expected,
            "observed": observed,
            "expected": expected,
            "log_ratio": ratios[0],
            "ci_lower": ratios[1],
            "ci_upper": ratios[2],
        }
    ).replace(-np.inf, np.nan)
