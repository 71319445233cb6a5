"""One script, two imports: lifelines' CoxTimeVaryingFitter and survival.lifelines_compat's, in one run on one machine.

    python benchmarks/lifelines_compat.py [--episodes 100000 1000000] [--rounds 3] [--lifelines-rounds 1]

Simulated start-stop episodes of whole days x 10 covariates (benchmarks/cox.py). Each fit in a process of its own;
importing and reading are not timed. The printed tables must be the same. Writes benchmarks/lifelines_compat.md.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cox import COLUMNS, simulate, worst
from cox_engines import timed

CALL = {"event_col": "event", "start_col": "start", "stop_col": "stop", "id_col": "customer"}
CASES: dict[str, dict[str, Any]] = {"plain": {}, "3 strata, weights": {"strata": "site", "weights_col": "weight"}}


def read(path: str, case: str) -> pd.DataFrame:
    values = np.load(path)
    frame = pd.DataFrame({name: np.ascontiguousarray(values[:, i]) for i, name in enumerate(COLUMNS)})
    if CASES[case]:
        frame = frame.assign(site=frame["customer"] % 3, weight=0.5 + frame["customer"] % 5 / 4)
    return frame


def worker(engine: str, case: str, path: str) -> None:
    if engine == "lifelines":
        from lifelines import CoxTimeVaryingFitter
    else:
        from survival.lifelines_compat import CoxTimeVaryingFitter
    frame = read(path, case)
    fit, run = timed(lambda: CoxTimeVaryingFitter().fit(frame, **CALL, **CASES[case]))
    with contextlib.redirect_stdout(io.StringIO()) as out:
        fit.print_summary(style="ascii")
    table = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "", out.getvalue())
    print(json.dumps({
        **run, "table": table,
        "coef": fit.params_.tolist(), "se": fit.standard_errors_.tolist(), "events": int(fit.event_observed.sum()),
    }))  # fmt: skip


def fit(engine: str, case: str, path: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--worker", engine, "--case", case, "--data", path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(episodes: int, case: str, rounds: int, lifelines_rounds: int) -> str:
    frame = simulate(int(episodes * 1.6)).iloc[:episodes]
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "episodes.npy")
        np.save(path, frame[COLUMNS].to_numpy(np.float64))
        ours, theirs = [], []
        for i in range(max(rounds, lifelines_rounds)):
            ours += [fit("ours", case, path)] if i < rounds else []
            theirs += [fit("lifelines", case, path)] if i < lifelines_rounds else []
    assert ours[0]["table"] == theirs[0]["table"], (ours[0]["table"], theirs[0]["table"])
    gap = max(worst(ours[0][name], theirs[0][name]) for name in ("coef", "se"))
    assert gap < 1e-8, gap
    (a, b), (c, d) = (
        [statistics.median(run[key] for run in runs) for key in ("seconds", "cpu")] for runs in (ours, theirs)
    )
    memory = [max(run["memory"] for run in runs) for runs in (ours, theirs)]
    times = frame.loc[frame["event"] == 1, "stop"].nunique()
    return (
        f"| {episodes:,} | {case} | {ours[0]['events']:,} on {times} | {a:.2f} | {c:.1f} | **{c / a:.0f}** | {b:.2f} | "
        f"{d:.1f} | {d / b:.0f} | {memory[0]:.0f} | {memory[1]:.0f} | {gap:.0e} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lifelines-rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    parser.add_argument("--worker")
    parser.add_argument("--case", default="plain")
    parser.add_argument("--data")
    options = parser.parse_args()
    if options.worker:
        worker(options.worker, options.case, options.data)
        return
    rows = [compare(n, case, options.rounds, options.lifelines_rounds) for n in options.episodes for case in CASES]
    import lifelines

    text = "\n".join([
        "# One script, two imports",
        "",
        f"`CoxTimeVaryingFitter().fit(...)` of lifelines {lifelines.__version__} and of `survival.lifelines_compat` on the same "
        f"frame of episodes of whole days x 10 covariates: seconds, median of {options.rounds} and {options.lifelines_rounds} "
        f"runs, each the first fit of a fresh process, alternating. {platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}; load average at the end {os.getloadavg()[1]:.1f} (above 1: shared with other work, which "
        "costs ours more: it uses both cores). The printed tables are the same, text for text. lifelines' time grows with "
        "rows x event times, ours with rows.",
        "",
        "| episodes | fit | events on days | ours, s | lifelines, s | ratio | ours, CPU s | lifelines, CPU s | ratio "
        "| ours, extra MiB | lifelines, extra MiB | largest relative difference of coefficients and errors |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        *rows,
    ])  # fmt: skip
    print(text)
    options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
