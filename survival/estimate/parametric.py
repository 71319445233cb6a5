"""Parametric tenure distributions, fitted to flows: the likelihood needs events and net entries by tenure, nothing else.

log L = Σ events(t) log h(t) + Σ (entered(t) - exited(t)) H(t), with H the cumulative hazard: late entry is in the second sum.
Of whole days it is known only that a churn fell between t - 1 and t: then log(exp(H(t) - H(t - 1)) - 1) takes the place of
log h(t), which otherwise would date the many early churns half a day late and bend the tail. So a fit costs the number of
tenures, whatever the number of customers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gammainc, gammaincc, gammaln, log_ndtr, xlogy

from survival.errors import ConvergenceError, NoEventsError

Floats = NDArray[np.float64]
_TINY = 1e-300
_FAR = 50.0  # beyond this a parameter, a log or of order 1, runs to infinity
_STEP = 1e-4  # of finite differences: parameters are logs or of order 1


@dataclass(frozen=True, eq=False)
class TenureData:
    """What a fit needs, at m tenures in order: events (m,) and net = entered - exited (m,).

    step: how far back of its tenure a churn may have happened: 1 for whole days, 0 for exact times.
    """

    time: Floats
    events: Floats
    net: Floats
    step: float = 0.0

    def until(self, cut: float) -> TenureData:
        """The same, as if observation had ended at tenure `cut`: who is there then is censored, who enters later is not."""
        keep = self.time <= cut
        time, events, net = self.time[keep], self.events[keep], self.net[keep].copy()
        if not time.size or time[-1] < cut:
            time, events, net = np.append(time, cut), np.append(events, 0.0), np.append(net, 0.0)
        net[-1] = -net[:-1].sum()
        return TenureData(time, events, net, self.step)

    @property
    def exposure(self) -> float:
        """Total time at risk."""
        return float(-self.time @ self.net)


@dataclass(frozen=True)
class Family:
    """A distribution: names of its parameters, H(t, θ) and log h(t, θ) with θ unconstrained, and where to start from data."""

    name: str
    parameters: tuple[str, ...]
    cumulative: Callable[[Floats, Floats], Floats]
    log_hazard: Callable[[Floats, Floats], Floats]
    begin: Callable[[TenureData], Floats]
    reported: Callable[[Floats], Floats]


@dataclass(frozen=True, eq=False)
class ParametricFit:
    """A fitted family: θ (p,) unconstrained, its covariance (p, p), log-likelihood."""

    family: Family
    theta: Floats
    covariance: Floats
    log_likelihood: float
    step: float = 0.0

    @property
    def parameters(self) -> dict[str, float]:
        """The parameters by name, on their natural scale."""
        return dict(zip(self.family.parameters, self.family.reported(self.theta).tolist()))

    @property
    def aic(self) -> float:
        """-2 log L + 2 p."""
        return 2 * self.theta.size - 2 * self.log_likelihood

    def cumulative_hazard(self, time: Floats, theta: Floats | None = None) -> Floats:
        """H at tenures (m,)."""
        return self.family.cumulative(np.asarray(time, np.float64), self.theta if theta is None else theta)

    def event_slopes(self, time: Floats) -> Floats:
        """Derivatives (m, p) of the log-likelihood of a churn at tenures (m,): the score is their sum against dN - Y dH."""
        return self.gradient(lambda theta: _of_events(self.family, time, theta, self.step))

    def gradient(self, value: Callable[[Floats], Floats]) -> Floats:
        """Derivatives (..., p) of value(θ) at the estimate, by central differences."""
        p = self.theta.size
        steps = _STEP * np.eye(p)
        return np.stack([(value(self.theta + s) - value(self.theta - s)) / (2 * _STEP) for s in steps], axis=-1)


def fit(family: Family, data: TenureData) -> ParametricFit:
    """Maximum likelihood. Raises NoEventsError without a churn, ConvergenceError when no maximum is found."""
    if not data.events.sum() > 0:
        raise NoEventsError("nobody churned before the cut: there is no tail to fit")

    churns = float(data.events.sum())

    def loss(theta: Floats) -> float:
        """Per churn, so that tolerances mean the same whatever the number of customers."""
        if np.abs(theta).max() > _FAR:
            return 1e300
        value = -log_likelihood(family, data, theta) / churns
        return value if np.isfinite(value) else 1e300

    begin = family.begin(data)
    found = minimize(loss, begin, method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-8, "fatol": 1e-12})
    theta, information = _newton(loss, np.asarray(found.x, np.float64))
    values = np.linalg.eigvalsh(information)
    if values[0] <= 1e-10 * max(values[-1], 1.0) or np.abs(theta).max() > 0.9 * _FAR:
        raise ConvergenceError(
            f"{family.name}: the likelihood has no maximum inside; too few churns for its parameters"
        )
    covariance = np.linalg.inv(information).astype(np.float64) / churns
    return ParametricFit(family, theta, covariance, -float(loss(theta)) * churns, data.step)


def log_likelihood(family: Family, data: TenureData, theta: Floats) -> float:
    """Of unconstrained parameters θ."""
    here = data.events > 0
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        total = data.events[here] @ _of_events(family, data.time[here], theta, data.step)
        return float(total + data.net @ family.cumulative(data.time, theta))


def _of_events(family: Family, time: Floats, theta: Floats, step: float) -> Floats:
    """log h (m,) at tenures (m,), or with a step the log odds of leaving within it."""
    if not step:
        return family.log_hazard(time, theta)
    gained = family.cumulative(time, theta) - family.cumulative(np.maximum(time - step, 0.0), theta)
    return np.log(np.expm1(gained))


def _newton(loss: Callable[[Floats], float], theta: Floats) -> tuple[Floats, Floats]:
    """A few of Newton's steps from near the maximum, while they help; θ and the information (p, p) there."""
    steps = _STEP * np.eye(theta.size)
    information = _hessian(loss, theta)
    for _ in range(20):
        if not np.linalg.eigvalsh(information)[0] > 0:
            break
        slope = np.array([(loss(theta + s) - loss(theta - s)) / (2 * _STEP) for s in steps])
        better = theta - np.linalg.solve(information, slope)
        if not loss(better) < loss(theta):
            break
        theta, information = better, _hessian(loss, better)
    return theta, information


def _hessian(loss: Callable[[Floats], float], theta: Floats) -> Floats:
    p = theta.size
    steps = _STEP * np.eye(p)
    value = np.empty((p, p))
    for i in range(p):
        for j in range(i, p):
            a, b = steps[i], steps[j]
            value[i, j] = value[j, i] = (
                loss(theta + a + b) - loss(theta + a - b) - loss(theta - a + b) + loss(theta - a - b)
            ) / (4 * _STEP**2)
    return value


# --- The families ----------------------------------------------------------------------------------------------------


def _rate(data: TenureData) -> float:
    return float(data.events.sum() / data.exposure)


def _location(data: TenureData) -> Floats:
    return np.array([-np.log(_rate(data)), 0.0])


def _weibull_total(t: Floats, theta: Floats) -> Floats:
    return np.exp(np.exp(theta[1]) * (_log(t) - theta[0]))


def _weibull_log_hazard(t: Floats, theta: Floats) -> Floats:
    k = np.exp(theta[1])
    return theta[1] - theta[0] + (k - 1) * (_log(t) - theta[0])


def _normal_total(t: Floats, theta: Floats) -> Floats:
    return -log_ndtr(-(_log(t) - theta[0]) / np.exp(theta[1]))


def _normal_log_hazard(t: Floats, theta: Floats) -> Floats:
    z = (_log(t) - theta[0]) / np.exp(theta[1])
    return -0.5 * z**2 - 0.5 * np.log(2 * np.pi) - theta[1] - _log(t) - log_ndtr(-z)


def _logistic_total(t: Floats, theta: Floats) -> Floats:
    return np.logaddexp(0.0, np.exp(theta[1]) * (_log(t) - theta[0]))


def _logistic_log_hazard(t: Floats, theta: Floats) -> Floats:
    b = np.exp(theta[1])
    w = b * (_log(t) - theta[0])
    return theta[1] - _log(t) + w - np.logaddexp(0.0, w)


def _log(t: Floats) -> Floats:
    return np.log(np.maximum(t, _TINY))


def _gamma_total(t: Floats, theta: Floats) -> Floats:
    mu, sigma, q = theta[0], np.exp(theta[1]), theta[2]
    if abs(q) < 1e-3:  # the limit: log-normal
        return _normal_total(t, theta)
    shape = q**-2
    x = shape * np.exp(np.clip(q * (_log(t) - mu) / sigma, -700, 700))
    survival = gammaincc(shape, x) if q > 0 else gammainc(shape, x)
    return np.where(t > 0, -np.log(np.maximum(survival, _TINY)), 0.0)


def _gamma_log_hazard(t: Floats, theta: Floats) -> Floats:
    mu, sigma, q = theta[0], np.exp(theta[1]), theta[2]
    if abs(q) < 1e-3:
        return _normal_log_hazard(t, theta)
    shape, w = q**-2, (_log(t) - mu) / sigma
    density = (
        np.log(abs(q)) - theta[1] - _log(t) + xlogy(shape, shape) - gammaln(shape) + shape * (q * w - np.exp(q * w))
    )
    return density + _gamma_total(t, theta)


def _natural_second(theta: Floats) -> Floats:
    return np.array([np.exp(theta[0]), np.exp(theta[1])])


EXPONENTIAL = Family(
    "exponential", ("rate",), lambda t, x: t * np.exp(x[0]), lambda t, x: np.full(t.shape, x[0]),
    lambda data: np.array([np.log(_rate(data))]), np.exp,
)  # fmt: skip
WEIBULL = Family("weibull", ("scale", "shape"), _weibull_total, _weibull_log_hazard, _location, _natural_second)
LOG_NORMAL = Family(
    "log-normal", ("mu", "sigma"), _normal_total, _normal_log_hazard, _location,
    lambda x: np.array([x[0], np.exp(x[1])]),
)  # fmt: skip
LOG_LOGISTIC = Family(
    "log-logistic", ("scale", "shape"), _logistic_total, _logistic_log_hazard, _location, _natural_second
)
GENERALIZED_GAMMA = Family(
    "generalized gamma", ("mu", "sigma", "q"), _gamma_total, _gamma_log_hazard,
    lambda data: np.append(fit(WEIBULL, data).theta * [1, -1], 0.9), lambda x: np.array([x[0], np.exp(x[1]), x[2]]),
)  # fmt: skip


def piecewise(breaks: Floats) -> Family:
    """A constant hazard between breaks (q,), q + 1 of them; the last one goes on for ever."""
    edges = np.concatenate(([0.0], breaks, [np.inf]))

    def inside(t: Floats) -> Floats:
        return np.clip(t[:, None], edges[:-1], edges[1:]) - edges[:-1]

    def begin(data: TenureData) -> Floats:
        exposure = -data.net @ inside(data.time)
        piece = np.searchsorted(breaks, data.time, side="left")
        events = np.bincount(piece, data.events, breaks.size + 1)
        return np.log(np.maximum(events, 0.5) / np.maximum(exposure, _TINY))

    return Family(
        "piecewise exponential",
        tuple(f"rate from {edge:g}" for edge in edges[:-1]),
        lambda t, x: inside(t) @ np.exp(x),
        lambda t, x: x[np.searchsorted(breaks, t, side="left")],
        begin,
        np.exp,
    )


def quantile_breaks(data: TenureData, pieces: int = 4) -> Floats:
    """Tenures between which the churns divide into so many pieces, at whole tenures of the data."""
    share = np.cumsum(data.events) / data.events.sum()
    places = [data.time[np.searchsorted(share, i / pieces)] for i in range(1, pieces)]
    return np.unique(np.array([p for p in places if 0 < p < data.time[-1]]))


def shifted_beta_geometric(period: float) -> Family:
    """Customers renew every `period` days, each with a chance of their own, Beta distributed over customers.

    Retention after k periods is B(a, b + k) / B(a, b). Within a period the hazard is constant, so that a customer followed
    for part of one counts for that part; with data whose step is the period the likelihood is that of renewals.
    Source: Fader & Hardie 2007, Journal of Interactive Marketing 21:76-90.
    """

    def renewed(k: Floats, x: Floats) -> Floats:
        """-log retention after k whole periods."""
        a, b = np.exp(x[0]), np.exp(x[1])
        return gammaln(a + b + k) - gammaln(b + k) - gammaln(a + b) + gammaln(b)

    def total(t: Floats, x: Floats) -> Floats:
        k = np.floor(t / period + 1e-9)
        part = np.clip(t / period - k, 0.0, 1.0)
        return renewed(k, x) + part * (renewed(k + 1, x) - renewed(k, x))

    def log_hazard(t: Floats, x: Floats) -> Floats:
        a, b = np.exp(x[0]), np.exp(x[1])
        return np.log(np.log1p(a / (b + np.ceil(t / period - 1e-9) - 1)) / period)

    def begin(data: TenureData) -> Floats:
        return np.array([0.0, np.log(max(1 / (_rate(data) * period) - 1, 0.1))])

    return Family("shifted beta geometric", ("alpha", "beta"), total, log_hazard, begin, np.exp)
