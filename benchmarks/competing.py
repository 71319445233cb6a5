"""Causes, returns and tails: time, beside R (survival, cmprsk) and lifelines; from flows it does not depend on customers.

    python benchmarks/competing.py [--customers 10000 100000 1000000] [--rounds 3]

Four cohorts, three causes, two years of tenure, whole days, a third entering late. All programs read the same frames of sizes
that each can take, one after the other in one run, and a value of each result is compared where the definition is the same.
Without Rscript or cmprsk their columns stay empty. Prints and writes benchmarks/competing.md.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from survival.estimate.causes import flows_by_cause, read_cause
from survival.estimate.cumulative_incidence import cumulative_incidence
from survival.estimate.fine_gray import cox_by_cause, fine_gray
from survival.estimate.gray_test import gray_test
from survival.estimate.recurrent import mean_cumulative_count
from survival.estimate.tails import extrapolate
from survival.flows.table import Flows

DAYS, COHORTS = 730, 4
CAUSES = np.array(["payment", "price", "product"])
FAMILIES = ["weibull", "log-normal", "log-logistic"]
CURVES, REGRESSION, RETURNS, LIFELINES = 100_000, 4_000, 20_000, 10_000  # customers of the frames that all read

INCIDENCE = f"cumulative incidence, {COHORTS} cohorts, late entry"
GRAY = f"Gray's test, {COHORTS} cohorts"
FINE_GRAY = "Fine-Gray, one cause, 2 covariates"
COUNT = "mean cumulative count, variance by customer"
TAIL = "Weibull, log-normal, log-logistic"
SMALL = f"cumulative incidence, {LIFELINES:,} customers"


def simulate(customers: int, seed: int = 5, late: bool = True) -> pd.DataFrame:
    """One row a customer: start, stop, event, cause, cohort, x, z; x moves the cause `price`."""
    random = np.random.default_rng(seed)
    start = np.where(late & (random.random(customers) < 0.33), random.integers(1, 200, customers), 0)
    cohort = random.integers(0, COHORTS, customers)
    x, z = random.integers(0, 2, customers), random.integers(0, 2, customers)
    rates = np.column_stack(
        (np.full(customers, 1 / 2500), np.exp(0.5 * x) / (1200 + 100 * cohort), 1 / (1800 - 300 * z))
    )
    when = np.ceil(random.exponential(1 / rates))
    cause, churn = when.argmin(axis=1), start + when.min(axis=1)
    leave = np.minimum(start + random.integers(60, 1200, customers), DAYS)
    event = churn <= leave
    named = np.where(event, CAUSES[cause], None)
    stop = np.minimum(churn, leave).astype(np.int32)
    columns = {"start": start.astype(np.int32), "stop": stop, "event": event, "cause": named}
    return pd.DataFrame({**columns, "cohort": cohort, "x": x, "z": z})


def returning(customers: int, seed: int = 5) -> pd.DataFrame:
    """A row a stay: customer, spell, start, stop, event; who leaves is away for a while and comes back, up to four stays."""
    random = np.random.default_rng(seed)
    end = random.integers(200, DAYS, customers)
    customer, start, parts = np.arange(customers), np.zeros(customers, np.int64), []
    for spell in range(4):
        leaves = start + np.ceil(random.exponential(250, customer.size)).astype(np.int64)
        event = leaves <= end[customer]
        stop = np.minimum(leaves, end[customer])
        parts.append(pd.DataFrame({"customer": customer, "spell": spell, "start": start, "stop": stop, "event": event}))
        back = leaves + np.ceil(random.exponential(60, customer.size)).astype(np.int64)
        again = event & (back < end[customer])
        customer, start = customer[again], back[again]
    return pd.concat(parts, ignore_index=True)


def timed(call: Callable[[], object], rounds: int) -> float:
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def counted(data: pd.DataFrame, by: list[str]) -> Flows:
    episodes, cause = read_cause(data, "cause", "stop", "event", "start", keep=by)
    return flows_by_cause(episodes, cause, by)


def from_flows(flows: Flows, covariates: Flows, early: Flows) -> dict[str, Callable[[], object]]:
    return {
        f"cumulative incidence, {COHORTS} cohorts x 3 causes": lambda: cumulative_incidence(flows, by="cohort").tidy(),
        "Gray's test of 3 causes": lambda: gray_test(flows, by="cohort"),
        "cause-specific Cox, 3 causes, 2 covariates": lambda: cox_by_cause(covariates, "x + z"),
        "the same with Breslow's ties": lambda: cox_by_cause(covariates, "x + z", ties="breslow"),
        f"{FINE_GRAY}, model variance": lambda: fine_gray(covariates, "x + z", causes=["price"], robust=False),
        "the same without late entry, robust variance": lambda: fine_gray(early, "x + z", causes=["price"]),
        f"tails: {TAIL}, fitted twice": lambda: extrapolate(flows, by="cohort", models=FAMILIES).tidy(),
        "tails: all six families, fitted twice": lambda: extrapolate(flows, by="cohort").tidy(),
    }


@dataclass
class Column:
    """One program: seconds and a value of the result, by what was computed."""

    seconds: dict[str, float] = field(default_factory=dict)
    value: dict[str, float] = field(default_factory=dict)


def ours(frames: dict[str, pd.DataFrame], rounds: int) -> Column:
    def incidence(data: pd.DataFrame) -> float:
        at = cumulative_incidence(data, start="start", by="cohort").at([365.0])
        return float(at[(at["by"] == 0) & (at["cause"] == "price")]["incidence"].iloc[0])

    def together(data: pd.DataFrame) -> float:
        return float(cumulative_incidence(data).at([365.0]).query("cause == 'price'")["incidence"].iloc[0])

    calls: dict[str, Callable[[], float]] = {
        INCIDENCE: lambda: incidence(frames["curves"]),
        GRAY: lambda: float(gray_test(frames["now"], by="cohort").statistic[1]),
        FINE_GRAY: lambda: float(fine_gray(frames["model"], "x + z", causes=["price"]).tidy()["coef"].iloc[0]),
        COUNT: lambda: float(
            mean_cumulative_count(frames["stays"], "customer", start="start").at([365.0])["se"].iloc[0]
        ),
        TAIL: lambda: float(len(extrapolate(frames["now"], models=FAMILIES).models())),
        SMALL: lambda: together(frames["small"]),
    }
    values = {what: call() for what, call in calls.items()}
    del values[TAIL]  # whole days are intervals here and exact times elsewhere: not one definition
    return Column({what: timed(call, rounds) for what, call in calls.items()}, values)


def lifelines(frames: dict[str, pd.DataFrame]) -> Column:
    from lifelines import AalenJohansenFitter, LogLogisticFitter, LogNormalFitter, WeibullFitter

    made, now, small = Column(), frames["now"], frames["small"]
    code = small["cause"].map({name: i + 1 for i, name in enumerate(CAUSES)}).fillna(0).astype(int)

    def incidence() -> None:
        for i in (1, 2, 3):  # a fitter a cause; tied times are jittered
            AalenJohansenFitter(seed=1, calculate_variance=False).fit(small["stop"], code, event_of_interest=i)

    def tails() -> None:
        for fitter in (WeibullFitter, LogNormalFitter, LogLogisticFitter):
            fitter().fit(now["stop"], now["event"])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.seconds = {SMALL: timed(incidence, 1), TAIL: timed(tails, 1)}
    return made


R = """
suppressPackageStartupMessages(library(survival))
folder <- commandArgs(TRUE)[1]
read <- function(name) {
  d <- read.csv(file.path(folder, paste0(name, ".csv")), na.strings = "")
  if (!is.null(d$cause)) d$status <- factor(ifelse(is.na(d$cause), "none", d$cause), c("none", "payment", "price", "product"))
  d
}
clock <- function(program, what, f) {
  t <- proc.time()[3]; value <- f(); cat(program, what, proc.time()[3] - t, format(value, digits = 15), sep = "\\t"); cat("\\n")
}
curves <- read("curves"); now <- read("now"); model <- read("model"); stays <- read("stays"); small <- read("small")
at <- function(fit) summary(fit, times = 365)$pstate[1, 3]
curves$id <- seq_len(nrow(curves)); small$id <- seq_len(nrow(small))
clock("R survival", "INCIDENCE", function() at(survfit(Surv(start, stop, status) ~ cohort, curves, id = id)))
clock("R survival", "SMALL", function() at(survfit(Surv(stop, status) ~ 1, small, id = id)))
clock("R survival", "FINE_GRAY", function() {
  rows <- finegray(Surv(stop, status) ~ x + z, model, etype = "price")
  rows$id <- seq_len(nrow(rows))
  coef(coxph(Surv(fgstart, fgstop, fgstatus) ~ x + z, rows, weights = fgwt))[1]
})
clock("R survival", "COUNT", function() {
  fit <- survfit(Surv(start, stop, event) ~ 1, stays, cluster = customer, robust = TRUE)
  fit$std.chaz[max(which(fit$time <= 365))]
})
clock("R survival", "TAIL", function() {
  for (d in c("weibull", "lognormal", "loglogistic")) survreg(Surv(stop, event) ~ 1, now, dist = d)
  NA
})
if (suppressWarnings(suppressPackageStartupMessages(require(cmprsk, quietly = TRUE)))) {
  code <- function(d) as.integer(d$status) - 1
  clock("R cmprsk", "GRAY", function() cuminc(now$stop, code(now), now$cohort)$Tests[2, "stat"])
  clock("R cmprsk", "SMALL", function() {
    f <- timepoints(cuminc(small$stop, code(small)), 365)$est; f[2, 1]
  })
  clock("R cmprsk", "FINE_GRAY", function() crr(model$stop, code(model), as.matrix(model[c("x", "z")]), failcode = 2)$coef[1])
}
"""


def r_programs(frames: dict[str, pd.DataFrame]) -> dict[str, Column]:
    made = {"R survival": Column(), "R cmprsk": Column()}
    if shutil.which("Rscript") is None:
        return made
    names = {"INCIDENCE": INCIDENCE, "GRAY": GRAY, "FINE_GRAY": FINE_GRAY, "COUNT": COUNT, "TAIL": TAIL, "SMALL": SMALL}
    with tempfile.TemporaryDirectory() as folder:
        for name, frame in frames.items():
            frame.assign(event=frame["event"].astype(int)).to_csv(Path(folder, f"{name}.csv"), index=False)
        script = Path(folder, "time.R")
        script.write_text(R, encoding="utf-8")
        run = subprocess.run(["Rscript", str(script), folder], capture_output=True, text=True, check=True)
    for line in run.stdout.splitlines():
        program, what, took, value = line.split("\t")
        made[program].seconds[names[what]] = float(took)
        if value.strip() != "NA":
            made[program].value[names[what]] = float(value)
    return made


def seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.1f} s"


def row(what: str, customers: int, mine: Column, programs: dict[str, Column]) -> str:
    """Times, how many times ours each takes, and how far values lie apart."""
    own, cells, apart = mine.seconds[what], [], []
    for name, column in programs.items():
        took = column.seconds.get(what)
        cells.append("" if took is None else f"{seconds(took)} (x {took / own:.3g})")
        if what in column.value and what in mine.value:
            apart.append(f"{name} {abs(column.value[what] / mine.value[what] - 1):.0e}")
    return f"| {what} | {customers:,} | {seconds(own)} | {' | '.join(cells)} | {', '.join(apart)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    columns: dict[str, dict[str, float]] = {}
    for customers in options.customers:
        data = simulate(customers)
        began = time.perf_counter()
        flows = counted(data, ["cohort"])
        read, covariates = time.perf_counter() - began, counted(data, ["x", "z"])
        name = f"{customers:,} customers, {flows.person_days / 1e6:,.0f} million person-days"
        columns[name] = {"(frame to flows by cause, one pass a cause)": read}
        early = counted(data.assign(stop=data["stop"] - data["start"], start=0), ["x", "z"])
        calls = from_flows(flows, covariates, early)
        columns[name] |= {what: timed(call, options.rounds) for what, call in calls.items()}
        stays = returning(customers)
        count = timed(partial(mean_cumulative_count, stays, "customer", start="start"), 1)
        columns[name]["(mean cumulative count, from the frame: adds up by customer)"] = count
    frames = {
        "curves": simulate(CURVES),
        "now": simulate(CURVES, late=False),
        "model": simulate(REGRESSION, late=False),
        "stays": returning(RETURNS),
        "small": simulate(LIFELINES, late=False),
    }
    sizes = {INCIDENCE: CURVES, GRAY: CURVES, FINE_GRAY: REGRESSION, COUNT: RETURNS, TAIL: CURVES, SMALL: LIFELINES}
    mine, programs = ours(frames, options.rounds), {**r_programs(frames), "lifelines": lifelines(frames)}
    rows = next(iter(columns.values()))
    lines = [
        "# Causes, returns and tails: time",
        "",
        f"`python benchmarks/competing.py --customers {' '.join(map(str, options.customers))} --rounds {options.rounds}`",
        "",
        f"{COHORTS} cohorts, {DAYS} days of tenure, a third entering late; medians of {options.rounds} runs. From flows:",
        "",
        "| | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 1) + "|",
        *(f"| {what} | " + " | ".join(seconds(column[what]) for column in columns.values()) + " |" for what in rows),
        "",
        "Lines in brackets read frames and so take longer for more customers; the others do not. The robust variance of Fine-Gray",
        "is to be had from flows where all customers of a pattern enter at one tenure.",
        "",
        "From a frame, reading and checking it included, all in one run (in brackets: how many times as long as this package):",
        "",
        "| | customers | this package | " + " | ".join(programs) + " | apart by (relative) |",
        "|---" * (len(programs) + 4) + "|",
        *(row(what, sizes[what], mine, programs) for what in sizes),
        "",
        "cmprsk and lifelines know no late entry, so everybody enters at 0, except in the first row and in the count, whose",
        "customers come back. Gray's test is of all three causes. Fine-Gray is `finegray` with `coxph` in R's survival (ties Efron's,",
        "as here) and `crr` in cmprsk (Breslow's, with a tie of a churn and a censoring taken otherwise, hence other digits).",
        "R and lifelines fit each family once, to exact times; here each is fitted twice, to whole days as intervals, and judged, so",
        "its values are not compared. lifelines' AalenJohansenFitter gives one cause a fit, without a variance here, and moves tied",
        "times apart at random.",
        "",
    ]
    text = "\n".join(lines)
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
