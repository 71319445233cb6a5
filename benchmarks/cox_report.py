"""Tables and figure of benchmarks/cox.py."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = {
    "ours": "this package",
    "R": "R survival coxph",
    "rust": "survival (PyPI, Rust)",
    "lifelines": "lifelines CoxTimeVaryingFitter",
    "statsmodels": "statsmodels PHReg",
    "surpyval": "SurPyval CoxPH",
    "flows": "this package, from flows",
}
COLOURS = {
    "ours": "#0b5fa5", "R": "#555555", "rust": "#b5480f", "lifelines": "#7a3e9d", "statsmodels": "#2e7d4f", "surpyval": "#a8862a",
}  # fmt: skip
BEGIN, END = "<!-- runs -->", "<!-- end of runs -->"


def median(runs: list[dict[str, Any]], what: str) -> float | None:
    values = [run[what] for run in runs if run.get("seconds") and run.get(what) is not None]
    return statistics.median(values) if values else None


def write_report(kept: dict[str, Any], here: Path) -> str:
    """Writes benchmarks/cox.md, and table and figure under docs/ beside `here`; returns the text."""
    text = "\n".join(lines(kept))
    (here / "cox.md").write_text(f"# Cox benchmark\n\n{text}\n")
    docs = here.parent / "docs"
    page = docs / "cox_speed.md"
    before, rest = page.read_text().split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}")
    (docs / "images").mkdir(exist_ok=True)
    figure(kept, docs / "images" / "cox_speed.png")
    return text


def lines(kept: dict[str, Any]) -> Iterator[str]:
    loads = [result["load"] for result in kept["results"]]
    yield (
        f"{kept['machine']}; load average after each case {min(loads):.1f} to {max(loads):.1f} (above 1: shared with other work; "
        "CPU seconds are then the fairer column). Each fit is the first of a fresh process; reading is not timed; formula, checks, "
        "fit and tests are. R and lifelines include what they always do, R its concordance; ours is computed when first "
        "asked for, and its row says what it adds. Median of the runs; '-' did not end in time or was left out since a smaller "
        "size told that it would not."
    )
    for result in kept["results"]:
        case = result["case"]
        notes = [
            *(["no ties"] if case["ties"] == "none" else []),
            *(["cluster-robust by customer"] if case["robust"] else []),
            *(["flags only, counted into flows before"] if "flows" in result["runs"] else []),
        ]
        yield ""
        yield (
            f"**{case['episodes']:,} episodes x {case['covariates']}**, {result['customers']:,} customers, {result['events']:,} "
            f"events at {result['event_times']:,} times{', ' if notes else ''}{', '.join(notes)}"
        )
        yield ""
        yield "| fit | seconds | ratio | CPU seconds | ratio | extra peak memory, MiB | x matrix |"
        yield "|---|---:|---:|---:|---:|---:|---:|"
        yield from rows(result)
    yield ""
    yield from sentences(kept)


def rows(result: dict[str, Any]) -> Iterator[str]:
    case = result["case"]
    matrix = case["episodes"] * case["covariates"] * 8 / 2**20
    base, work = (median(result["runs"].get("ours", []), what) for what in ("seconds", "cpu"))
    for engine, runs in result["runs"].items():
        seconds, cpu, memory = (median(runs, what) for what in ("seconds", "cpu", "memory"))
        if seconds is None or cpu is None or memory is None:
            yield f"| {NAMES[engine]} | - | | | | | |"
            continue
        name = NAMES[engine] + (f" ({runs[0]['cells']:,} cells)" if "cells" in runs[0] else "")
        ratio = f"{seconds / base:.1f}" if base else ""
        cpu_ratio = f"{cpu / work:.1f}" if work else ""
        yield f"| {name} | {seconds:.3f} | {ratio} | {cpu:.3f} | {cpu_ratio} | {memory:.0f} | {memory / matrix:.2f} |"
        more = median(runs, "concordance_seconds")
        if more is not None and base:
            both = seconds + more
            yield f"| this package, and concordance with its standard error | {both:.3f} | {both / base:.1f} | | | | |"


def sentences(kept: dict[str, Any]) -> Iterator[str]:
    for result in kept["results"]:
        case, runs = result["case"], result["runs"].get("ours", [])
        step, floor = median(runs, "step"), median(runs, "floor")
        if case["episodes"] >= 1_000_000 and step and floor:
            yield (
                f"Floor, {case['episodes']:,} x {case['covariates']}, ties {case['ties']}: one Newton step takes {step * 1000:.0f} ms; "
                f"reading the matrix once and one BLAS cross-product {floor * 1000:.0f} ms: {step / floor:.1f} times the floor."
            )
            yield ""
    gaps = [
        f"{engine} {result['case']['episodes']:,} x {result['case']['covariates']}"
        f"{' robust' if result['case']['robust'] else ''} {runs[0]['coef_gap']:.0e}"
        for result in kept["results"]
        for engine, runs in result["runs"].items()
        if "coef_gap" in runs[0]
    ]
    yield f"Largest relative difference of a coefficient from ours: {'; '.join(gaps)}."


def figure(kept: dict[str, Any], path: Path) -> None:
    """Seconds by episodes, both logarithmic, a line an engine: 10 covariates, heavy ties, model variance."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    points: dict[str, list[tuple[int, float]]] = {}
    for result in kept["results"]:
        case = result["case"]
        if case["covariates"] == 10 and case["ties"] == "heavy" and not case["robust"]:
            for engine, runs in result["runs"].items():
                seconds = median(runs, "seconds")
                if seconds is not None and engine != "flows":
                    points.setdefault(engine, []).append((case["episodes"], seconds))
    figure, axes = pyplot.subplots(figsize=(7.5, 4.5), dpi=150)
    lines = {engine: tuple(zip(*sorted(pairs))) for engine, pairs in points.items()}
    place = 0.0
    for engine, (sizes, seconds) in sorted(lines.items(), key=lambda line: line[1][1][0]):
        ours = engine == "ours"
        axes.plot(
            sizes,
            seconds,
            marker="o",
            color=COLOURS[engine],
            linewidth=2.5 if ours else 1.5,
            markersize=6 if ours else 4,
        )
        place = max(seconds[0], place * 1.4)  # names at the left, where no line passes
        axes.annotate(
            NAMES[engine], (sizes[0], place), xytext=(-8, 0), textcoords="offset points", va="center", ha="right", fontsize=8,
            color=COLOURS[engine], fontweight="bold" if ours else "normal",
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="episodes, 10 covariates, Efron ties", ylabel="seconds for one fit")
    low, high = axes.get_xlim()
    axes.set_xlim(low / 14, high)
    axes.set_xticks([1e4, 1e5, 1e6, 1e7])
    axes.tick_params(axis="x", which="minor", length=0)
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
    pyplot.close(figure)
