"""One Cox fit in this process, by one engine: seconds, CPU seconds, extra peak memory, coefficients, as a line of JSON.

    python benchmarks/cox_engines.py ENGINE DATA.bin NAMES ROBUST

Run by benchmarks/cox.py in a fresh process for each fit, by an interpreter that has the engine: the `survival` package of PyPI
(Rust) has the same import name as this one, so that it needs an environment of its own. Reading the data is not timed.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Run = dict[str, Any]
Frame = dict[str, np.ndarray]
_HEAD = ["customer", "start", "stop", "event"]


def read(path: str, names: list[str]) -> Frame:
    values = np.fromfile(path).reshape(len(names), -1)
    return {name: values[i].copy() for i, name in enumerate(names)}


def status(name: str) -> float:
    """MiB of this process (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def timed(fit: Callable[[], Any]) -> tuple[Any, Run]:
    Path("/proc/self/clear_refs").write_text("5")  # the kernel's record of the peak starts again here
    before = status("VmRSS")
    started, cpu = time.perf_counter(), time.process_time()
    result = fit()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return result, {"seconds": seconds, "cpu": cpu, "memory": status("VmHWM") - before}


def ours(frame: Frame, covariates: list[str], robust: bool) -> Run:
    import pandas as pd

    from survival.estimate.cox import cox

    table, formula = pd.DataFrame(frame), " + ".join(covariates)
    fit, run = timed(lambda: cox(table, formula, start="start", customer="customer" if robust else None))
    started = time.perf_counter()
    concordance = fit.concordance  # computed when first asked for
    run["concordance_seconds"] = time.perf_counter() - started
    run["memory_with_concordance"] = status("VmHWM")
    return run | {
        "coef": fit.coefficients.tolist(),
        "se": np.sqrt(np.diag(fit.variance)).tolist(),
        "concordance": concordance.value,
        "iterations": fit.iterations,
        **floor(fit),
    }


def floor(fit: Any) -> Run:
    """Seconds of one Newton step (score and information) of the fit, and of what bounds it from below: the matrix read once, and
    one cross-product by BLAS."""
    from survival.estimate.partial_likelihood import evaluate, information, sum_over_events

    data, at = fit._data
    total = sum_over_events(data.sets, data.x)

    def best(work: Callable[[], Any]) -> float:
        times = []
        for _ in range(5):
            started = time.perf_counter()
            work()
            times.append(time.perf_counter() - started)
        return min(times)

    def step() -> None:
        here = evaluate(data.sets, data.x, total, at.beta)
        information(data.sets, data.x, here)

    return {"step": best(step), "floor": best(lambda: data.x @ at.beta) + best(lambda: data.x.T @ data.x)}


def flows(frame: Frame, covariates: list[str], robust: bool) -> Run:
    """The flags only, counted by day and pattern (not timed), fitted from the counts."""
    import pandas as pd

    from survival.estimate.cox import cox
    from survival.flows.frames import episode_arrays, flows_of

    flags = covariates[:7]
    arrays = episode_arrays(pd.DataFrame(frame), "stop", "event", "start", keep=flags)
    patterns = pd.DataFrame((np.arange(128)[:, None] >> np.arange(7)) & 1, columns=flags).astype(float)
    codes = sum((frame[name].astype(np.intp) << j for j, name in enumerate(flags)), np.zeros(len(arrays), np.intp))
    counted = flows_of(arrays, codes=codes, patterns=patterns)
    fit, run = timed(lambda: cox(counted, " + ".join(flags)))
    return run | {"coef": fit.coefficients.tolist(), "cells": int(counted.time.size)}


def lifelines(frame: Frame, covariates: list[str], robust: bool) -> Run:
    import pandas as pd
    from lifelines import CoxTimeVaryingFitter

    table = pd.DataFrame(frame)
    fitter = CoxTimeVaryingFitter()
    names = {"id_col": "customer", "event_col": "event", "start_col": "start", "stop_col": "stop"}
    _, run = timed(lambda: fitter.fit(table, robust=robust, **names))
    return run | {"coef": fitter.params_[covariates].tolist(), "se": fitter.standard_errors_[covariates].tolist()}


def rust(frame: Frame, covariates: list[str], robust: bool) -> Run:
    import survival

    formula = f"Surv(start, stop, event) ~ {' + '.join(covariates)}"
    options = {"cluster": "customer"} if robust else {}
    fit, run = timed(lambda: survival.coxph(formula, frame, **options))
    variance = np.asarray(fit.var if hasattr(fit, "var") else fit.vcov(), float)
    coef = np.ravel(list(fit.coefficients.values()) if isinstance(fit.coefficients, dict) else fit.coefficients)
    return run | {"coef": [float(value) for value in coef], "se": np.sqrt(np.diag(variance)).tolist()}


def statsmodels(frame: Frame, covariates: list[str], robust: bool) -> Run:
    from statsmodels.duration.hazard_regression import PHReg

    x = np.column_stack([frame[name] for name in covariates])

    def fit() -> Any:
        model = PHReg(frame["stop"], x, status=frame["event"], entry=frame["start"], ties="efron")
        return model.fit(groups=frame["customer"]) if robust else model.fit()

    result, run = timed(fit)
    return run | {"coef": result.params.tolist(), "se": result.bse.tolist()}


def surpyval(frame: Frame, covariates: list[str], robust: bool) -> Run:
    from surpyval import CoxPH

    x = np.column_stack([frame[name] for name in covariates])
    fit, run = timed(lambda: CoxPH.fit(frame["stop"], x, c=1 - frame["event"], tl=frame["start"]))
    return run | {"coef": np.asarray(fit.params, float).tolist()}


ENGINES = {
    "ours": ours,
    "flows": flows,
    "lifelines": lifelines,
    "rust": rust,
    "statsmodels": statsmodels,
    "surpyval": surpyval,
}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    engine, path, columns, is_robust = sys.argv[1:]
    named = columns.split(",")
    print(json.dumps(ENGINES[engine](read(path, named), named[len(_HEAD) :], is_robust == "robust")))
