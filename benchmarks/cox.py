"""Cox on start-stop episodes: this package beside R's coxph, the Rust package `survival`, lifelines, statsmodels and SurPyval.

    python benchmarks/cox.py [--peers PYTHON] [--quick] [--limit 120] [--rounds 3]
    python benchmarks/cox.py --report            # tables and figure from the runs that are kept

Needs Rscript with `survival`; PYTHON is an interpreter with the PyPI packages survival, statsmodels and surpyval (the first has
our import name: an environment of its own). Each fit runs in a process of its own, engines in turn; reading the data is not
timed. Coefficients must agree. Writes benchmarks/cox.md, the table of docs/cox_speed.md and docs/images/cox_speed.png.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cox_report import write_report

COVARIATES = [
    "low_usage",
    "usage_drop",
    "detractor",
    "open_ticket",
    "overdue",
    "pro",
    "trial",
    "sessions",
    "seats",
    "mrr",
]
EFFECTS = np.array([0.5, 0.4, 0.3, 0.2, 0.6, -0.3, 0.4, -0.2, 0.1, -0.1])
DAYS = 730
COLUMNS = ["customer", "start", "stop", "event", *COVARIATES]
HERE = Path(__file__).parent
RUNS = HERE / "cox_runs.json"
PYTHON_PEERS = ("rust", "statsmodels", "surpyval")


@dataclass(frozen=True)
class Case:
    """ties: heavy (whole days) or none (times by the second)."""

    episodes: int
    covariates: int = 10
    ties: str = "heavy"
    robust: bool = False


ALL = ("ours", "R", "rust", "lifelines", "statsmodels", "surpyval")
GRID: list[tuple[Case, tuple[str, ...]]] = [
    *((Case(n), ALL) for n in (10_000, 100_000, 1_300_000)),
    (Case(10_000_000), ("ours", "R", "rust")),
    *((Case(n, robust=True), ("ours", "R", "rust")) for n in (100_000, 1_300_000)),
    *((Case(1_300_000, p), ("ours", "R", "rust")) for p in (5, 40)),
    *((Case(n, ties="none"), ("ours", "R", "rust", "surpyval")) for n in (100_000, 1_300_000)),
    *((Case(n), ("flows",)) for n in (100_000, 1_300_000, 10_000_000)),
]


def simulate(episodes: int, seed: int = 7, ties: str = "heavy", covariates: int = 10) -> pd.DataFrame:
    """Customers of about five episodes each. On whole days dozens of events tie on each; with ties = none times are continuous.
    More than ten covariates: the others are normal, some correlated, without effect; fewer: flags first."""
    rng = np.random.default_rng(seed)
    customers = episodes // 5
    entry = np.where(rng.random(customers) < 0.7, 0, rng.integers(0, 400, customers))
    cuts = np.cumsum(np.column_stack([entry, rng.integers(5, 90, (customers, 5))]), axis=1).astype(float)
    if ties == "none":
        cuts[:, 1:] += np.random.default_rng(seed + 1).random((customers, 5)).cumsum(axis=1) / 10
    start, stop = cuts[:, :-1].ravel(), cuts[:, 1:].ravel()
    customer = np.repeat(np.arange(customers), 5)
    fixed = np.column_stack([rng.random(customers) < 0.3, rng.random(customers) < 0.2]).astype(float)[customer]
    flags = (rng.random((start.size, 5)) < [0.25, 0.15, 0.1, 0.2, 0.08]).astype(float)
    numbers = rng.normal(size=(start.size, 3))
    x = np.column_stack([flags, fixed, numbers])
    wait = rng.exponential(1 / (0.0008 * np.exp(x @ EFFECTS)))
    wait = np.ceil(wait) if ties == "heavy" else np.maximum(wait, 0.01)
    event = (wait <= stop - start).astype(int)
    stop = np.where(event == 1, start + wait, stop)
    # Nobody comes back after the first event; nobody is followed beyond DAYS.
    happened = event.reshape(-1, 5).cumsum(axis=1).ravel() - event
    keep = (happened == 0) & (start < DAYS)
    event = np.where(stop > DAYS, 0, event)
    stop = np.minimum(stop, DAYS)
    frame = pd.DataFrame(np.column_stack([customer, start, stop, event, x])[keep], columns=COLUMNS)
    if covariates < len(COVARIATES):
        return frame.drop(columns=COVARIATES[covariates:])
    more = np.random.default_rng(seed + 2)
    for j in range(len(COVARIATES), covariates):
        frame[f"noise_{j}"] = more.normal(size=len(frame)) + 0.5 * frame[COVARIATES[j % 10]]
    return frame


def data_of(case: Case) -> pd.DataFrame:
    """Some episodes fall away after the first event: ask for more, keep the number wanted."""
    return simulate(int(case.episodes * 1.6), ties=case.ties, covariates=case.covariates).iloc[: case.episodes]


R_SCRIPT = """
suppressPackageStartupMessages(library(survival))
args <- commandArgs(TRUE)
names <- strsplit(args[2], ",")[[1]]
values <- matrix(readBin(args[1], "double", file.size(args[1]) / 8), ncol = length(names))
colnames(values) <- names
d <- as.data.frame(values)
rm(values); invisible(gc(reset = TRUE))
memory <- function() { g <- gc(); c(sum(g[, 2]), sum(g[, 6])) }
before <- memory()[1]
f <- as.formula(paste("Surv(start, stop, event) ~", paste(names[-(1:4)], collapse = " + ")))
time <- system.time(
  fit <- if (args[3] == "robust") coxph(f, d, cluster = customer) else coxph(f, d))
after <- memory()[2]
show <- function(x) paste0("[", paste(sprintf("%.17g", x), collapse = ","), "]")
cat(sprintf('{"seconds": %.6f, "cpu": %.6f, "memory": %.1f, "coef": %s, "se": %s, "concordance": %.17g}\\n', time[["elapsed"]],
            time[["user.self"]] + time[["sys.self"]], after - before,
            show(coef(fit)), show(sqrt(diag(fit$var))), fit$concordance["concordance"]))
"""


def run(engine: str, path: Path, names: list[str], robust: bool, peers: str | None, limit: float) -> dict[str, Any]:
    """One fit in a fresh process; {"seconds": None} when it does not end within `limit` seconds, or fails."""
    words = [str(path), ",".join(names), "robust" if robust else "plain"]
    if engine == "R":
        script = path.parent / "cox.R"
        script.write_text(R_SCRIPT)
        command = ["Rscript", str(script), *words]
    else:
        python = peers if engine in PYTHON_PEERS else sys.executable
        command = [str(python), str(HERE / "cox_engines.py"), engine, *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=limit, cwd=path.parent)
    except subprocess.TimeoutExpired:
        return {"seconds": None, "why": f"not done in {limit:.0f} s"}
    except subprocess.CalledProcessError as error:
        return {"seconds": None, "why": (error.stderr.strip().splitlines() or ["failed"])[-1][:200]}
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def worst(a: Any, b: Any) -> float:
    first, second = np.asarray(a, float), np.asarray(b, float)
    return float(np.abs(first / second - 1).max())


def fit_all(
    case: Case, engines: tuple[str, ...], options: argparse.Namespace, slow: dict[str, float]
) -> dict[str, Any]:
    """Runs of every engine on one case. slow: seconds an episode of each peer so far, to leave out what cannot end in time."""
    frame = data_of(case)
    names = list(frame.columns)
    runs: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "episodes.bin"
        frame.to_numpy().T.astype(np.float64).tofile(path)
        facts = {
            "customers": int(frame["customer"].nunique()),
            "events": int(frame["event"].sum()),
            "event_times": int(frame.loc[frame["event"] == 1, "stop"].nunique()),
        }
        del frame
        for turn in range(options.rounds):
            for engine in engines:
                if engine in PYTHON_PEERS and not options.peers:
                    continue
                if turn and (runs[engine][0]["seconds"] is None or runs[engine][0]["seconds"] > 10):
                    continue  # a long run says it once
                if slow.get(engine, 0.0) * case.episodes > 1.5 * options.limit:
                    runs.setdefault(engine, []).append({"seconds": None, "why": "left out: too slow at a smaller size"})
                    continue
                one = run(engine, path, names, case.robust, options.peers, 1.5 * options.limit + 60)
                runs.setdefault(engine, []).append(one)
                print(f"{case} {engine}: {one['seconds']} s {one.get('why', '')}", flush=True)
                if engine not in ("ours", "flows"):
                    used = one["seconds"] or 10 * options.limit
                    slow[engine] = used / case.episodes
    return {"case": asdict(case), **facts, "load": os.getloadavg()[0], "runs": runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="an interpreter with survival (Rust), statsmodels, surpyval")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds a peer may need")
    parser.add_argument(
        "--quick", action="store_true", help="one round, up to 100,000 episodes, and ours at 1.3 million"
    )
    parser.add_argument("--report", action="store_true", help="no fits: write the report of the runs that are kept")
    options = parser.parse_args()
    if not options.report:
        grid = GRID
        if options.quick:
            options.rounds = 1
            grid = [(case, engines if case.episodes <= 100_000 else ("ours",)) for case, engines in GRID]
            grid = [(case, engines) for case, engines in grid if case.episodes <= 1_300_000]
        slow: dict[str, float] = {}
        results = []
        machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        for case, engines in grid:  # kept case by case: a run that is broken off has not been for nothing
            results.append(fit_all(case, engines, options, slow))
            RUNS.write_text(json.dumps({"machine": machine, "results": results}, indent=1))
    kept = json.loads(RUNS.read_text())
    for result in kept["results"]:
        ours = result["runs"].get("ours", [{}])[0]
        for engine, many in result["runs"].items():
            if engine in ("R", "rust", "lifelines") and many[0]["seconds"] and ours.get("seconds"):
                for what in ("coef", "se"):
                    many[0][f"{what}_gap"] = worst(ours[what], many[0][what])
                    if what == "coef":
                        assert many[0]["coef_gap"] < 1e-4, (result["case"], engine, many[0]["coef_gap"])
    print(write_report(kept, HERE))


if __name__ == "__main__":
    main()
