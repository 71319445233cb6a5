"""Curves, tests and hazards from flows: the time depends on days of tenure x cohorts, not on customers. Against lifelines and R.

    python benchmarks/curves.py [--customers 10000 1000000 4000000] [--rounds 3]

Twelve cohorts, two years of tenure, whole days, a third entering late. Reading a frame is one pass over its rows; everything
after it works on flows. lifelines and R's survival (when Rscript is there) read the same frame of the second size. One core.
Prints and writes benchmarks/curves.md.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from survival.estimate.hazard import hazard
from survival.estimate.kaplan_meier import kaplan_meier
from survival.estimate.piecewise import piecewise_hazard
from survival.estimate.rank_tests import rank_test
from survival.estimate.rmst import rmst
from survival.flows.frames import episode_arrays, flows_of
from survival.flows.table import Flows

DAYS, COHORTS = 730, 12


def simulate(customers: int, seed: int = 5) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    start = np.where(random.random(customers) < 0.67, 0, random.integers(1, 200, customers)).astype(np.int32)
    cohort = random.integers(0, COHORTS, customers, dtype=np.int32)
    churn = start + np.ceil(random.exponential(500 + 20 * cohort)).astype(np.int32)
    leave = np.minimum(start + random.integers(60, 1200, customers), DAYS)
    return pd.DataFrame(
        {"start": start, "stop": np.minimum(churn, leave).astype(np.int32), "event": churn <= leave, "cohort": cohort}
    )


def timed(call: Callable[[], object], rounds: int) -> float:
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def from_flows(flows: Flows) -> dict[str, Callable[[], object]]:
    curves = kaplan_meier(flows, by="cohort")
    return {
        "Kaplan-Meier, 12 curves": lambda: kaplan_meier(flows, by="cohort").tidy(),
        "equal-precision bands": lambda: curves.band(),
        "conditional retention": lambda: curves.given(180),
        "66 differences at 4 tenures": lambda: curves.differences([30, 90, 180, 365]),
        "band of one difference, 5,000 draws": lambda: curves.difference_curve(0, 11),
        "RMST with 66 pairs": lambda: rmst(flows, 365, by="cohort").differences(),
        "log-rank, trend, 66 pairs": lambda: rank_test(flows, by="cohort", trend=True, pairwise="holm"),
        "max-combo of 12 cohorts": lambda: rank_test(flows, by="cohort", weighting="max-combo"),
        "Nelson-Aalen": lambda: hazard(flows, by="cohort").tidy(),
        "smoothed hazard, bandwidths chosen": lambda: hazard(flows, by="cohort").smooth(),
        "hazard by billing cycle": lambda: piecewise_hazard(flows, by="cohort").tidy(),
    }


def lifelines(data: pd.DataFrame) -> dict[str, Callable[[], object]]:
    from lifelines import KaplanMeierFitter, NelsonAalenFitter
    from lifelines.statistics import multivariate_logrank_test

    def each(fitter: type) -> None:
        for _, rows in data.groupby("cohort"):
            fitter().fit(rows["stop"], rows["event"], entry=rows["start"])

    return {
        "Kaplan-Meier, 12 curves": lambda: each(KaplanMeierFitter),
        "Nelson-Aalen": lambda: each(NelsonAalenFitter),
        "log-rank (no late entry: entry ignored)": lambda: multivariate_logrank_test(
            data["stop"], data["cohort"], data["event"]
        ),
    }


R = """
suppressPackageStartupMessages(library(survival))
arguments <- commandArgs(TRUE); n <- as.integer(arguments[2])
raw <- readBin(arguments[1], "integer", 4 * n, size = 4)
d <- data.frame(start = raw[1:n], stop = raw[n + 1:n], event = raw[2 * n + 1:n], cohort = raw[3 * n + 1:n])
clock <- function(f) { t <- proc.time()[3]; f(); proc.time()[3] - t }
cat("Kaplan-Meier, 12 curves\\t", clock(function() survfit(Surv(start, stop, event) ~ cohort, d)), "\\n", sep = "")
cat("log-rank (no late entry: entry ignored)\\t", clock(function() survdiff(Surv(stop, event) ~ cohort, d)), "\\n", sep = "")
"""


def r_times(data: pd.DataFrame) -> dict[str, float]:
    if shutil.which("Rscript") is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        table, script = Path(folder, "data.bin"), Path(folder, "time.R")
        table.write_bytes(b"".join(data[c].to_numpy(np.int32).tobytes() for c in ("start", "stop", "event", "cohort")))
        script.write_text(R, encoding="utf-8")
        run = subprocess.run(
            ["Rscript", str(script), str(table), str(len(data))], capture_output=True, text=True, check=True
        )
    return {name: float(value) for name, value in (line.split("\t") for line in run.stdout.splitlines())}


def seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.1f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, nargs="+", default=[10_000, 1_000_000, 4_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    columns: dict[str, dict[str, float]] = {}
    others: list[str] = []
    for number, customers in enumerate(options.customers):
        data = simulate(customers)
        read = timed(
            lambda d=data: flows_of(episode_arrays(d, "stop", "event", "start", keep=["cohort"]), ["cohort"]), 1
        )
        flows = flows_of(episode_arrays(data, "stop", "event", "start", keep=["cohort"]), ["cohort"])
        name = f"{customers:,} customers, {flows.person_days / 1e6:,.0f} million person-days"
        columns[name] = {"(frame to flows, one pass)": read}
        columns[name] |= {what: timed(call, options.rounds) for what, call in from_flows(flows).items()}
        if number == 1:
            ours = {
                "Kaplan-Meier, 12 curves": lambda d=data: kaplan_meier(d, start="start", by="cohort"),
                "Nelson-Aalen": lambda d=data: hazard(d, start="start", by="cohort"),
                "log-rank (no late entry: entry ignored)": lambda d=data: rank_test(
                    d.drop(columns="start"), by="cohort"
                ),
            }
            mine = {what: timed(call, options.rounds) for what, call in ours.items()}
            theirs, r = {what: timed(call, 1) for what, call in lifelines(data).items()}, r_times(data)
            others = [
                f"| {what} | {seconds(mine[what])} | {seconds(theirs.get(what))} | {seconds(r.get(what))} |"
                for what in mine
            ]
    rows = next(iter(columns.values()))
    lines = [
        "# Curves, tests and hazards: time",
        "",
        f"`python benchmarks/curves.py --customers {' '.join(map(str, options.customers))} --rounds {options.rounds}`",
        "",
        f"Twelve cohorts, {DAYS} days of tenure, a third entering late; medians of {options.rounds} runs. From flows:",
        "",
        "| | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 1) + "|",
        *(f"| {what} | " + " | ".join(seconds(column[what]) for column in columns.values()) + " |" for what in rows),
        "",
        f"From the frame of {options.customers[1]:,} customers, reading and checking it included:",
        "",
        "| | this package | lifelines | R survival |",
        "|---|---|---|---|",
        *others,
        "",
    ]
    text = "\n".join(lines)
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
