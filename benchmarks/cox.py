"""Cox on 1.3 million start-stop episodes x 10 covariates: this package, R's coxph, lifelines' CoxTimeVaryingFitter.

    python benchmarks/cox.py [--episodes 1300000] [--rounds 3] [--lifelines-limit 600]

Needs Rscript with `survival`. Each fit runs in a process of its own, alternating; reading the data is not timed. The
coefficients must agree. Prints the table and writes benchmarks/cox.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

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


def simulate(episodes: int, seed: int = 7) -> pd.DataFrame:
    """Customers of about five episodes each, whole days of tenure: dozens of events tie on each day."""
    rng = np.random.default_rng(seed)
    customers = episodes // 5
    entry = np.where(rng.random(customers) < 0.7, 0, rng.integers(0, 400, customers))
    cuts = np.cumsum(np.column_stack([entry, rng.integers(5, 90, (customers, 5))]), axis=1)
    start, stop = cuts[:, :-1].ravel(), cuts[:, 1:].ravel()
    customer = np.repeat(np.arange(customers), 5)
    fixed = np.column_stack([rng.random(customers) < 0.3, rng.random(customers) < 0.2]).astype(float)[customer]
    flags = (rng.random((start.size, 5)) < [0.25, 0.15, 0.1, 0.2, 0.08]).astype(float)
    numbers = rng.normal(size=(start.size, 3))
    x = np.column_stack([flags, fixed, numbers])
    wait = np.ceil(rng.exponential(1 / (0.0008 * np.exp(x @ EFFECTS)))).astype(int)
    event = (wait <= stop - start).astype(int)
    stop = np.where(event == 1, start + wait, stop)
    # Nobody comes back after the first event; nobody is followed beyond DAYS.
    happened = event.reshape(-1, 5).cumsum(axis=1).ravel() - event
    keep = (happened == 0) & (start < DAYS)
    event = np.where(stop > DAYS, 0, event)
    stop = np.minimum(stop, DAYS)
    values = np.column_stack([customer, start, stop, event, x])[keep]
    return pd.DataFrame(values, columns=COLUMNS)


def read(path: str, columns: int) -> pd.DataFrame:
    values = np.fromfile(path).reshape(columns, -1).T
    return pd.DataFrame({name: np.ascontiguousarray(values[:, i]) for i, name in enumerate(COLUMNS)})


def start_measuring() -> float:
    """Resident MiB now; the kernel's record of the peak starts again here (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def peak() -> float:
    return _status("VmHWM")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def run_ours(path: str, robust: bool) -> dict[str, object]:
    from survival.estimate.cox import cox

    frame = read(path, len(COLUMNS))
    before = start_measuring()
    started, cpu = time.perf_counter(), time.process_time()
    fit = cox(frame, " + ".join(COVARIATES), start="start", customer="customer" if robust else None)
    fitted = time.perf_counter() - started
    glance = fit.glance()  # the concordance is computed when first asked for
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {
        "seconds": seconds,
        "fit": fitted,
        "cpu": cpu,
        "memory": peak() - before,
        "coef": fit.tidy()["coef"].tolist(),
        "se": np.sqrt(np.diag(fit.variance)).tolist(),
        "concordance": float(glance["concordance"].iloc[0]),
    }


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
cat(sprintf('{"seconds": %.6f, "cpu": %.6f, "memory": %.1f, "coef": %s, "se": %s, "concordance": %.17g}\n', time[["elapsed"]],
            time[["user.self"]] + time[["sys.self"]], after - before,
            show(coef(fit)), show(sqrt(diag(fit$var))), fit$concordance["concordance"]))
"""


def run_r(path: str, robust: bool, folder: str) -> dict[str, object]:
    script = Path(folder) / "cox.R"
    script.write_text(R_SCRIPT)
    command = ["Rscript", str(script), path, ",".join(COLUMNS), "robust" if robust else "plain"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def run_lifelines(path: str) -> dict[str, object]:
    from lifelines import CoxTimeVaryingFitter

    frame = read(path, len(COLUMNS))
    before = start_measuring()
    started, cpu = time.perf_counter(), time.process_time()
    fit = CoxTimeVaryingFitter().fit(frame, id_col="customer", event_col="event", start_col="start", stop_col="stop")
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {
        "seconds": seconds,
        "cpu": cpu,
        "memory": peak() - before,
        "coef": fit.params_[COVARIATES].tolist(),
        "se": fit.standard_errors_[COVARIATES].tolist(),
    }


def in_process(engine: str, path: str, limit: float | None = None) -> dict[str, object] | None:
    """One fit in a fresh process; None when it does not end within `limit` seconds."""
    try:
        command = [sys.executable, __file__, "--worker", engine, "--data", path]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def write(frame: pd.DataFrame, path: Path) -> str:
    frame[COLUMNS].to_numpy().T.astype(np.float64).tofile(path)
    return str(path)


def worst(a: object, b: object) -> float:
    first, second = np.asarray(a, float), np.asarray(b, float)
    return float(np.abs(first / second - 1).max())


def compare(frame: pd.DataFrame, rounds: int, limit: float) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = write(frame, Path(folder) / "episodes.bin")
        runs: dict[str, list[dict]] = {name: [] for name in ("ours", "ours robust", "R", "R robust")}
        for _ in range(rounds):
            runs["ours"].append(in_process("ours", path))
            runs["R"].append(run_r(path, False, folder))
            runs["ours robust"].append(in_process("ours-robust", path))
            runs["R robust"].append(run_r(path, True, folder))
        note, scale, fit = "", 1.0, in_process("lifelines", path, limit)
        if fit is None:
            part = frame[frame["customer"] % 10 == 0]
            small = write(part, Path(folder) / "tenth.bin")
            fit, ours = in_process("lifelines", small), in_process("ours", small)
            scale = len(frame) / len(part)
            note = (
                f"lifelines did not end within {limit:.0f} s on all rows. On {len(part):,} of them (every tenth "
                f"customer) it took {fit['seconds']:.1f} s and {fit['memory']:.0f} MiB, ours {ours['seconds']:.3f} s: "
                f"{fit['seconds'] / ours['seconds']:.0f} x. Its row below is that time x {scale:.1f}, an extrapolation."
            )
        else:
            ours = runs["ours"][0]
        gap_lifelines = worst(ours["coef"], fit["coef"])
    return report(frame, runs, fit, scale, note, gap_lifelines)


def report(
    frame: pd.DataFrame, runs: dict[str, list[dict]], lifelines: dict, scale: float, note: str, gap_lifelines: float
) -> str:
    median = {name: statistics.median(run["seconds"] for run in many) for name, many in runs.items()}
    alone = statistics.median(run["fit"] for run in runs["ours"])
    cpu = {name: statistics.median(run["cpu"] for run in many) for name, many in runs.items()}
    memory = {name: max(run["memory"] for run in many) for name, many in runs.items()}
    gaps = {
        "coefficients, R": worst(runs["ours"][0]["coef"], runs["R"][0]["coef"]),
        "standard errors, R": worst(runs["ours"][0]["se"], runs["R"][0]["se"]),
        "robust standard errors, R": worst(runs["ours robust"][0]["se"], runs["R robust"][0]["se"]),
        "concordance, R": worst(runs["ours"][0]["concordance"], runs["R"][0]["concordance"]),
        "coefficients, lifelines": gap_lifelines,
    }
    seconds = lifelines["seconds"] * scale
    matrix = len(frame) * len(COVARIATES) * 8 / 2**20
    lines = [
        f"{len(frame):,} episodes of {frame['customer'].nunique():,} customers x {len(COVARIATES)} covariates, "
        f"{int(frame['event'].sum()):,} events on {frame.loc[frame['event'] == 1, 'stop'].nunique()} days. "
        f"Efron ties. Median of {len(runs['ours'])} runs, alternating, each the first fit of a fresh process; reading is "
        "not timed; formula, checks, fit, tests and concordance with its standard error are. Ours with customers also "
        "checks the structure of each customer's episodes.",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; load average at the end "
        f"{os.getloadavg()[1]:.1f} (above 1: shared with other work, which costs every row, the short ones most).",
        "",
        "| fit | seconds | ratio | CPU seconds | extra peak memory, MiB |",
        "|---|---:|---:|---:|---:|",
        f"| ours | {median['ours']:.2f} | 1 | {cpu['ours']:.2f} | {memory['ours']:.0f} |",
        f"| R survival coxph | {median['R']:.2f} | {median['R'] / median['ours']:.1f} | {cpu['R']:.2f} | {memory['R']:.0f} |",
        f"| lifelines CoxTimeVaryingFitter | {seconds:.1f} | {seconds / median['ours']:.0f} | "
        f"{lifelines['cpu'] * scale:.1f} | {lifelines['memory']:.0f} |",
        f"| ours, cluster-robust by customer | {median['ours robust']:.2f} | 1 | {cpu['ours robust']:.2f} | {memory['ours robust']:.0f} |",
        f"| R survival coxph, cluster = customer | {median['R robust']:.2f} | "
        f"{median['R robust'] / median['ours robust']:.1f} | {cpu['R robust']:.2f} | {memory['R robust']:.0f} |",
        "",
        f"Of ours, cox() itself takes {alone:.2f} s, so that coxph() takes {median['R'] / alone:.1f} times as long; the rest is the "
        "concordance with its standard error, which R always computes and we when it is first asked for.",
        "",
        f"The covariate matrix itself is {matrix:.0f} MiB. {note}".strip(),
        "",
        "Largest relative difference from ours: " + "; ".join(f"{name} {gap:.1e}" for name, gap in gaps.items()) + ".",
        "",
        "All runs, seconds: "
        + "; ".join(name + " " + ", ".join(f"{run['seconds']:.2f}" for run in many) for name, many in runs.items())
        + ".",
    ]
    assert max(gaps.values()) < 1e-4, gaps
    return "\n".join(lines)


def worker(engine: str, path: str) -> None:
    if engine == "lifelines":
        print(json.dumps(run_lifelines(path)))
    else:
        print(json.dumps(run_ours(path, engine == "ours-robust")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=1_300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lifelines-limit", type=float, default=600.0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    parser.add_argument("--worker")
    parser.add_argument("--data")
    options = parser.parse_args()
    if options.worker:
        worker(options.worker, options.data)
        return
    # Some episodes fall away after the first event: ask for more, keep whole customers up to the number wanted.
    frame = simulate(int(options.episodes * 1.6))
    frame = frame.iloc[: options.episodes]
    text = compare(frame, options.rounds, options.lifelines_limit)
    print(text)
    options.out.write_text(f"# Cox benchmark\n\n{text}\n")


if __name__ == "__main__":
    main()
