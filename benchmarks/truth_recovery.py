"""Recovery of the truth: simulate, walk the whole pipeline, fit, and compare with the log hazard ratios that acted.

    python benchmarks/truth_recovery.py [--seeds 20] [--customers 5000] [--first-seed 1]

Prints a table and writes it to truth_recovery.md beside this file. Ends with 1 when a covariate's 95 % intervals cover
the truth in fewer than 85 % of the seeds, or when a mean estimate is off by more than Monte-Carlo error allows: beyond
the two-sided 5 % point of the t distribution, by Bonferroni over the covariates.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from survival.churn import parse_definition, spells
from survival.data import DataSpec, open_tables
from survival.episodes import episodes
from survival.estimate.cox import cox
from survival.indicators import may_need, needs, parse_indicator, warm_up_days
from survival.simulate import simulate

LEAST_COVERAGE = 0.85
LEVEL = 0.95


def fitted(folder: Path, truth: dict[str, Any]) -> tuple[pd.DataFrame, dict[str, float]]:
    """The tidy Cox fit of the true model on the raw tables of `folder`, and the size of the data."""
    definition = parse_definition(truth["churn"]["cancellation"])
    indicators = {name: parse_indicator(value) for name, value in truth["indicators"].items()}
    need: dict[str, set[str]] = {"customers": {"signed_up_on", "plan"}}
    for readers in (needs(definition, *indicators.values()), may_need(definition, *indicators.values())):
        for table, columns in readers.items():
            need.setdefault(table, set()).update(columns)
    paths = {name: {"path": f"{name}.{truth['format']}"} for name in truth["rows"]}
    spec = DataSpec.model_validate({"tables": paths, "observed": truth["observed"]})
    with open_tables(spec, root=folder, need=need) as tables:
        warm_up = warm_up_days(spec.observed, definition, indicators)
        at_risk = spells(tables, definition, warm_up=warm_up)
        frame = episodes(at_risk, indicators, attributes=["plan"]).build().frame()
    fit = cox(
        frame,
        truth["formula"],
        start="start",
        stop="stop",
        event="event",
        customer="customer_id",
        spell="spell",
        robust=True,
    )
    size = {
        "episodes": len(frame),
        "churns": int(frame["event"].sum()),
        "days": float((frame["stop"] - frame["start"]).sum()),
    }
    return fit.tidy().set_index("covariate"), size


def one_seed(seed: int, customers: int) -> tuple[pd.DataFrame, dict[str, float]]:
    """Truth, estimate and both standard errors by covariate, for one simulated company."""
    with tempfile.TemporaryDirectory() as folder:
        truth = simulate("crm", customers=customers, seed=seed, out=Path(folder))
        tidy, size = fitted(Path(folder), truth)
    true = pd.Series(truth["log_hazard_ratios"], name="truth")
    if set(true.index) != set(tidy.index):
        raise SystemExit(f"covariates of the fit {sorted(tidy.index)} are not those of the truth {sorted(true.index)}")
    one = pd.concat([true, tidy[["coef", "se", "robust_se"]]], axis=1).assign(seed=seed)
    return one.rename_axis("covariate").reset_index(), size


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a covariate: mean estimate, Monte-Carlo error of the mean, bias over it, coverage by either variance."""
    z = stats.norm.ppf(0.5 + LEVEL / 2)
    off = (runs["coef"] - runs["truth"]).abs()
    runs = runs.assign(model=off <= z * runs["se"], robust=off <= z * runs["robust_se"])
    by = runs.groupby("covariate", sort=False)
    table = by.agg(
        truth=("truth", "first"),
        mean=("coef", "mean"),
        sd=("coef", "std"),
        mean_se=("se", "mean"),
        mean_robust_se=("robust_se", "mean"),
        coverage_model=("model", "mean"),
        coverage_robust=("robust", "mean"),
    )
    table.insert(2, "mc_error", table["sd"] / np.sqrt(by.size()))
    table.insert(3, "bias_over_mc_error", (table["mean"] - table["truth"]) / table["mc_error"])
    return table


def failures(table: pd.DataFrame, seeds: int) -> list[str]:
    """What is not recovered, in words."""
    limit = stats.t.ppf(1 - 0.025 / len(table), seeds - 1)
    said = []
    for name, row in table.iterrows():
        if abs(row["bias_over_mc_error"]) > limit:
            said.append(f"{name}: bias of {row['bias_over_mc_error']:.1f} Monte-Carlo errors (limit {limit:.1f})")
        for kind in ("model", "robust"):
            if row[f"coverage_{kind}"] < LEAST_COVERAGE:
                said.append(f"{name}: {kind} intervals cover the truth in {row[f'coverage_{kind}']:.0%} of the seeds")
    return said


def report(table: pd.DataFrame, sizes: pd.DataFrame, wall: float, arguments: argparse.Namespace) -> str:
    """The page that goes into the repository."""
    seeds = len(sizes)
    wrong = failures(table, seeds)
    limit = stats.t.ppf(1 - 0.025 / len(table), seeds - 1)
    rows = [
        f"| `{name}` | {row['truth']:.2f} | {row['mean']:.3f} | {row['mc_error']:.3f} | {row['bias_over_mc_error']:+.2f} |"
        f" {row['sd']:.3f} | {row['mean_se']:.3f} | {row['mean_robust_se']:.3f} | {row['coverage_model']:.0%} |"
        f" {row['coverage_robust']:.0%} |"
        for name, row in table.iterrows()
    ]
    lines = [
        "# Recovery of the truth",
        "",
        f"`python benchmarks/truth_recovery.py --seeds {seeds} --customers {arguments.customers}"
        f" --first-seed {arguments.first_seed}`",
        "",
        f"{seeds} simulated companies of {arguments.customers:,} customers, each through the whole pipeline: raw tables,"
        " spells, episodes, Cox's model with Efron's ties. Means over the companies:"
        f" {sizes['churns'].mean():,.0f} churns, {sizes['days'].mean():,.0f} person-days,"
        f" {sizes['episodes'].mean():,.0f} episodes; {wall / seeds:.1f} s a company.",
        "",
        "| covariate | true log HR | mean estimate | MC error of the mean | bias / MC error | sd of estimates | mean se |"
        " mean robust se | coverage, model | coverage, robust |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *rows,
        "",
        f"Over all covariates the 95 % intervals hold the truth in {table['coverage_model'].mean():.1%} (model variance) and"
        f" {table['coverage_robust'].mean():.1%} (robust) of {seeds * len(table)} cases.",
        f"Required: every covariate at least {LEAST_COVERAGE:.0%}, and |bias / MC error| at most {limit:.2f} (5 %, t with"
        f" {seeds - 1} degrees of freedom, Bonferroni over {len(table)} covariates).",
        "",
        "**Met.**" if not wrong else "**Not met**: " + "; ".join(wrong) + ".",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run all seeds, print and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--customers", type=int, default=5000)
    parser.add_argument("--first-seed", type=int, default=1)
    arguments = parser.parse_args()
    begin, runs, sizes = time.perf_counter(), [], []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        run, size = one_seed(seed, arguments.customers)
        runs.append(run)
        sizes.append(size)
        print(f"seed {seed}: {size['churns']:,} churns, {size['episodes']:,} episodes", file=sys.stderr)
    table = summary(pd.concat(runs))
    page = report(table, pd.DataFrame(sizes), time.perf_counter() - begin, arguments)
    print(page)
    Path(__file__).with_suffix(".md").write_text(page, encoding="utf-8")
    return 1 if failures(table, arguments.seeds) else 0


if __name__ == "__main__":
    sys.exit(main())
