"""How often do the intervals, bands and tests of this package hold what they promise? Late entry, ties, renewal spikes.

    python benchmarks/coverage.py [--replicates 1500] [--customers 300] [--seed 1]

Each replicate simulates two cohorts on whole days: a hazard with spikes every 30 days, a third of the customers seen only
from a later tenure on, everybody censored between. Truths are exact (the hazard is known), those of weighted retention are
of four million customers. Prints and writes benchmarks/coverage.md. One core, below ten minutes.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from survival.estimate.hazard import hazard
from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.permutation import permutation_test
from survival.estimate.piecewise import piecewise_hazard
from survival.estimate.rank_tests import rank_test
from survival.estimate.revenue import revenue_retention
from survival.estimate.rmst import rmst

DAYS = 365
AT = (30, 90, 180, 300)
HORIZON = 300
CUTS = [0, 29, 30, 59, 60, 180, 300]
INTERVALS = ("log-log", "log", "plain", "logit", "arcsin")
TESTS = ("logrank", "gehan", "tarone-ware", "peto", "modified-peto", "fleming-harrington(0, 1)", "max-combo")


def daily_hazard(cohort: str, scale: float = 1.0) -> np.ndarray:
    """Chance to churn on day 1 ... DAYS for who is still there: falling, with a spike at each renewal."""
    day = np.arange(1, DAYS + 1)
    base = (0.0015 + 0.004 * np.exp(-day / 60)) * scale
    spike = np.where(day % 30 == 0, 0.05, 0.0) * (scale if cohort == "a" else 0.6 * scale)
    return base * (1.0 if cohort == "a" else 0.8) + spike


def truth_of(cohort: str) -> dict[str, np.ndarray]:
    h = daily_hazard(cohort)
    kept = np.concatenate(([1.0], np.cumprod(1 - h)))  # at day 0 ... DAYS
    return {"kept": kept, "hazard": h, "total": np.concatenate(([0.0], np.cumsum(h)))}


def cohort(random: np.random.Generator, name: str, n: int, law: str = "", late: float = 0.33) -> pd.DataFrame:
    """n customers who are seen: entry, exit, churn; mrr, with the large ones staying longer."""
    parts: list[pd.DataFrame] = []
    seen = 0
    while seen < n:
        mrr = np.exp(random.normal(3, 1, 2 * n))
        scale = np.where(mrr > np.exp(3), 0.7, 1.3) if law == "revenue" else np.ones(2 * n)
        # One exponential threshold a customer: churn on the day on which the summed -log(1 - h) passes it.
        day = np.full(2 * n, DAYS + 1)
        draw = random.exponential(size=2 * n)
        for level in np.unique(scale):
            total = np.cumsum(-np.log1p(-daily_hazard(name if law != "null" else "a", level)))
            day[scale == level] = np.searchsorted(total, draw[scale == level]) + 1
        entry = np.where(random.random(2 * n) < late, random.integers(1, 150, 2 * n), 0)
        leave = np.minimum(entry + random.integers(60, 500, 2 * n), DAYS)
        stop = np.minimum(day, leave)
        frame = pd.DataFrame({"start": entry, "stop": stop, "event": (day <= leave).astype(int), "mrr": mrr})
        parts.append(frame[frame["stop"] > frame["start"]].assign(plan=name))
        seen += len(parts[-1])
    return pd.concat(parts, ignore_index=True).iloc[:n]


def weighted_truth(seed: int) -> np.ndarray:
    """Revenue retention at AT of a great many customers who all enter at signup."""
    random = np.random.default_rng(seed)
    mrr = np.exp(random.normal(3, 1, 4_000_000))
    scale = np.where(mrr > np.exp(3), 0.7, 1.3)
    kept = {level: np.cumprod(1 - daily_hazard("a", level)) for level in (0.7, 1.3)}
    values = np.array([[kept[level][t - 1] for t in AT] for level in (0.7, 1.3)])
    share = np.array([mrr[scale == level].sum() for level in (0.7, 1.3)]) / mrr.sum()
    heads = np.array([(scale == level).mean() for level in (0.7, 1.3)])
    return np.array([share @ values, (share - heads) @ values])


class Tally:
    """Coverage by name: how often an interval held the truth, was missing, and how wide it was."""

    def __init__(self) -> None:
        self.held: dict[str, list[float]] = {}
        self.wide: dict[str, list[float]] = {}

    def add(self, name: str, low: object, high: object, truth: object, *, together: bool = False) -> None:
        low, high, truth = (np.atleast_1d(np.asarray(x, float)) for x in (low, high, truth))
        known = np.isfinite(low) & np.isfinite(high)
        if not known.any():
            return
        inside = (low <= truth + 1e-12) & (truth <= high + 1e-12)
        self.held.setdefault(name, []).append(float(inside[known].all() if together else inside[known].mean()))
        self.wide.setdefault(name, []).append(float((high - low)[known].mean()))

    def reject(self, name: str, p: float) -> None:
        if p == p:
            self.held.setdefault(name, []).append(float(p < 0.05))


def one(tally: Tally, sizes: Tally, random: np.random.Generator, n: int, weighted: np.ndarray, number: int) -> None:
    data = pd.concat([cohort(random, "a", n), cohort(random, "b", n)])
    truths = {name: truth_of(name) for name in "ab"}
    a, b = truths["a"]["kept"], truths["b"]["kept"]
    at = np.array(AT)
    curves = None
    for interval in INTERVALS:
        curves = kaplan_meier(data, start="start", by="plan", interval=interval)  # type: ignore[arg-type]
        table = curves.at(at)
        for t in AT:
            rows = table[table["tenure"] == t]
            tally.add(f"retention, {interval}, day {t}", rows["ci_lower"], rows["ci_upper"], [a[t], b[t]])
        found = curves.differences(at).tidy()
        kind = "plain" if interval == "plain" else f"MOVER of {interval}"
        tally.add(f"difference of retention, {kind}", found["ci_lower"], found["ci_upper"], b[at] - a[at])
        for kind in ("equal-precision", "hall-wellner"):
            _bands(tally, curves.band(kind), f"{kind}, {interval}", truths)  # type: ignore[arg-type]
    loglog = kaplan_meier(data, start="start", by="plan")
    quantile = loglog.quantile([0.25, 0.5])
    true_days = [float(np.argmax(kept <= 1 - p)) for kept in (a, b) for p in (0.25, 0.5)]
    tally.add("quantiles of tenure (25 %, 50 %)", quantile["ci_lower"], quantile["ci_upper"], true_days)
    for given in (30, 150):
        rows = loglog.given(given)
        rows = rows[rows["tenure"].isin([given + 60, given + 120])]
        true = [truths[g]["kept"][int(t)] / truths[g]["kept"][given] for g, t in zip(rows["by"], rows["tenure"])]
        tally.add(f"conditional retention given day {given}", rows["ci_lower"], rows["ci_upper"], true)
    residual = loglog.mean_residual([60, 180], HORIZON)
    true = [kept[u:HORIZON].sum() / kept[u] for kept in (a, b) for u in (60, 180)]
    tally.add("mean residual tenure", residual["ci_lower"], residual["ci_upper"], true)
    means = rmst(data, HORIZON, start="start", by="plan")
    table, pair = means.tidy(), means.differences().tidy()
    area = np.array([a[:HORIZON].sum(), b[:HORIZON].sum()])
    tally.add("RMST", table["ci_lower"], table["ci_upper"], area)
    tally.add("RMST difference", pair["ci_lower"], pair["ci_upper"], area[1] - area[0])
    tally.add("RMST ratio", pair["ratio_lower"], pair["ratio_upper"], area[1] / area[0])
    if number % 3 == 0:
        gap = loglog.difference_curve("a", "b", until=HORIZON, draws=1000, seed=number).tidy()
        days = gap["tenure"].to_numpy(int)
        tally.add(
            "band of the difference, to day 300", gap["band_lower"], gap["band_upper"], (b - a)[days], together=True
        )
    hazards = hazard(data, start="start", by="plan").tidy()
    rows = hazards[hazards["tenure"].isin(AT)]
    true = [truths[g]["total"][int(t)] for g, t in zip(rows["by"], rows["tenure"])]
    tally.add("cumulative hazard (Nelson-Aalen), log", rows["ci_lower"], rows["ci_upper"], true)
    pieces = piecewise_hazard(data, start="start", by="plan", cuts=CUTS).tidy()
    pieces = pieces[pieces["stop"].isin(CUTS[1:])]
    single = pieces[pieces["stop"] - pieces["start"] == 1]
    true = [truths[g]["hazard"][int(t) - 1] for g, t in zip(single["by"], single["stop"])]
    tally.add("piecewise hazard, renewal days (exact Poisson)", single["ci_lower"], single["ci_upper"], true)
    long = pieces[pieces["stop"] == 29]
    true = [truths[g]["hazard"][:29].mean() for g in long["by"]]
    tally.add("piecewise hazard, days 1 to 29", long["ci_lower"], long["ci_upper"], true)
    _weighted(tally, random, n, weighted)
    _sizes(sizes, random, number)


def _bands(tally: Tally, band: pd.DataFrame, name: str, truths: dict[str, dict[str, np.ndarray]]) -> None:
    for group, rows in band.groupby("by"):
        kept = truths[str(group)]["kept"][rows["tenure"].to_numpy(int)]
        tally.add(f"band, {name}", rows["band_lower"], rows["band_upper"], kept, together=True)


def _weighted(tally: Tally, random: np.random.Generator, n: int, weighted: np.ndarray) -> None:
    data = cohort(random, "a", n, "revenue", late=0.0)  # who enters late has other weights than who signs up
    both = revenue_retention(data, "mrr", start="start")
    rows, gap = both.revenue.at(AT), both.differences(AT)
    tally.add("revenue retention, robust, log-log", rows["ci_lower"], rows["ci_upper"], weighted[0])
    tally.add("revenue minus customer retention", gap["ci_lower"], gap["ci_upper"], weighted[1])
    naive = kaplan_meier(data, start="start", weights="mrr", robust=False).at(AT)
    tally.add("(revenue retention with Greenwood's formula)", naive["ci_lower"], naive["ci_upper"], weighted[0])


def _sizes(sizes: Tally, random: np.random.Generator, number: int) -> None:
    """Tests between cohorts that are the same: 5 % should reject."""
    same = pd.concat([cohort(random, name, 100, "null") for name in "abc"])
    two = same[same["plan"] != "c"]
    for weighting in TESTS:
        result = rank_test(same, start="start", by="plan", weighting=weighting, trend=True)
        sizes.reject(f"{weighting}, three cohorts of 100", result.tests[0].p)
        sizes.reject(
            f"{weighting}, two cohorts of 100", rank_test(two, start="start", by="plan", weighting=weighting).tests[0].p
        )
    sizes.reject("trend of log-rank", rank_test(same, start="start", by="plan", trend=True).tests[1].p)
    for interval in ("plain", "log-log"):
        curves = kaplan_meier(two, start="start", by="plan", interval=interval)  # type: ignore[arg-type]
        for p in curves.differences([90]).table["p"]:
            sizes.reject(f"difference at day 90, {interval}", p)
    sizes.reject("RMST difference", float(rmst(two, 250, start="start", by="plan").differences().table["p"].iloc[0]))
    if number % 5 == 0:
        small = pd.concat([cohort(random, name, 15, "null") for name in "ab"])
        sizes.reject(
            "permutation of log-rank, two cohorts of 15",
            permutation_test(small, start="start", by="plan", permutations=399).tests[0].p,
        )
        sizes.reject("log-rank's chi-square, the same cohorts", rank_test(small, start="start", by="plan").tests[0].p)


SHAPES = {
    "falling": lambda day: 0.002 + 0.006 * np.exp(-day / 90),
    "with a peak": lambda day: 0.002 + 0.004 * np.exp(-(((day - 150) / 40) ** 2)),
    "constant": lambda day: np.full(day.size, 0.003),
}


def smoothed(replicates: int, seed: int) -> Tally:
    """The smoothed hazard, its bandwidth chosen each time: first day, flank, peak, tail; three shapes, two sizes."""
    tally, random = Tally(), np.random.default_rng(seed)
    day = np.arange(1, DAYS + 1)
    at = np.array([1.0, 10, 30, 60, 100, 150, 200, 250, 300])
    for shape, of in SHAPES.items():
        h = of(day)
        total = np.cumsum(-np.log1p(-h))
        for n in (300, 2000):
            for _ in range(replicates):
                churn = np.searchsorted(total, random.exponential(size=n)) + 1
                entry = np.where(random.random(n) < 0.33, random.integers(1, 100, n), 0)
                leave = np.maximum(random.integers(100, DAYS + 1, n), entry + 1)
                data = pd.DataFrame({"start": entry, "stop": np.minimum(churn, leave), "event": churn <= leave})
                data = data[data["stop"] > data["start"]]
                until = data["stop"].nlargest(10).iloc[-1]
                made = hazard(data, start="start").smooth(at=at[at < until])
                tally.add(
                    f"smoothed hazard, {shape}, {n} customers",
                    made["ci_lower"],
                    made["ci_upper"],
                    h[at[at < until].astype(int) - 1],
                )
    return tally


def several(tally: Tally, sizes: Tally, random: np.random.Generator, n: int) -> None:
    """n customers with one to four spells each, long stayers staying long again; cohorts that are the same."""
    taste = random.gamma(2, 0.5, n)
    k = random.integers(1, 5, n)
    who = np.repeat(np.arange(n), k)
    stay = np.ceil(random.exponential(1 / (0.006 * taste[who])))
    start = np.where(random.random(who.size) < 0.2, random.integers(1, 60, who.size), 0)
    leave = start + random.integers(60, 400, who.size)
    data = pd.DataFrame(
        {"customer": who, "spell": np.arange(who.size), "start": start, "stop": np.minimum(stay, leave)}
    )
    data = data.assign(event=(stay <= leave).astype(int), plan=np.array(["a", "b"])[who % 2])
    data = data[data["stop"] > data["start"]]
    at, of = np.array([90, 180]), {"start": "start", "customer": "customer", "spell": "spell"}
    truth = (1 + 0.5 * 0.006 * at) ** -2.0  # mean of exp(-0.006 t taste), taste gamma with shape 2, scale 1/2
    for name, robust in (("by customer", None), ("(Greenwood's formula)", False)):
        rows = kaplan_meier(data, robust=robust, **of).at(at)  # type: ignore[arg-type]
        tally.add(f"retention of several spells, {name}", rows["ci_lower"], rows["ci_upper"], truth)
    sizes.reject("log-rank by customer, several spells", rank_test(data, by="plan", **of).tests[0].p)  # type: ignore[arg-type]
    plain = rank_test(data, start="start", by="plan").tests[0].p
    sizes.reject("(log-rank that takes spells for customers)", plain)


def _table(tally: Tally, promised: str, shown: Callable[[str], str]) -> list[str]:
    lines = [f"| | cases | {promised} | standard error | mean width |", "|---|---|---|---|---|"]
    for name, values in tally.held.items():
        share, n = float(np.mean(values)), len(values)
        se = float(np.std(values) / np.sqrt(n))
        wide = f"{np.mean(tally.wide[name]):.3g}" if name in tally.wide else ""
        lines.append(f"| {shown(name)} | {n:,} | {100 * share:.1f}% | {100 * se:.1f}% | {wide} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=1500)
    parser.add_argument("--customers", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random, began = np.random.default_rng(options.seed), time.process_time()
    tally, sizes, weighted = Tally(), Tally(), weighted_truth(options.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(options.replicates):
            one(tally, sizes, random, options.customers, weighted, number)
            several(tally, sizes, random, options.customers)
        smooth = smoothed(max(options.replicates // 5, 20), options.seed)
    tally.held.update(smooth.held)
    tally.wide.update(smooth.wide)
    took = time.process_time() - began
    text = "\n".join(
        [
            "# Coverage of intervals and bands, size of tests",
            "",
            f"`python benchmarks/coverage.py --replicates {options.replicates} --customers {options.customers} --seed {options.seed}`",
            "",
            f"{options.replicates:,} replicates of two cohorts of {options.customers} customers: whole days (ties), a third seen from a "
            "later tenure on, renewal spikes every 30 days, censoring from day 60 of observation on. An interval of several tenures "
            "or cohorts counts its share of them; a band counts when it holds the truth everywhere in its range. Where there is no "
            f"interval (a curve at 1) it is not counted. The simulation took {took:.0f} s of one core.",
            "",
            "## Intervals and bands of 95 %",
            "",
            *_table(tally, "hold the truth", str),
            "",
            "Rows in parentheses are what is not used, and why: Greenwood's formula on revenue, or on several spells of one customer. "
            "What a customer pays is log-normal with standard deviation 1, in companies of this size. Of the several spells a fifth "
            "enters late. The smoothed hazard is judged at nine tenures from day 1 to day 300, its bandwidth chosen each time.",
            "",
            "## Tests at 5 %, cohorts that are the same",
            "",
            *_table(sizes, "reject", str),
            "",
        ]
    )
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
