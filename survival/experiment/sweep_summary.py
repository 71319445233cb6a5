"""The page of a sweep: the headline numbers of its runs side by side, from the tables that they left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from survival.experiment.config import Experiment
from survival.experiment.results import read_manifest, replacing, write_manifest
from survival.experiment.sweep import Point
from survival.plot.forest import covariate_label
from survival.plot.numbers import confidence, count, percent_with_interval, ratio_with_interval
from survival.plot.sweep import PANELS, sweep_ratios
from survival.report.document import Block, Bullets, Figure, Paragraph, Report, Section, Table
from survival.report.tables import read_csv
from survival.report.write import write

ACROSS = 4  # runs that fit beside each other as columns
NOTE = "Every run is a folder of its own beside this one, with its whole report."


def summarise(target: Path, name: str, config: Experiment, made: Sequence[tuple[Point, Path]]) -> None:
    """Write results/NAME/: the page, its tables, and a manifest that names the runs."""
    done = [(point, folder, read_manifest(folder)) for point, folder in made]
    runs = [(point, folder, manifest) for point, folder, manifest in done if manifest is not None]
    missing = [_called(point) for point, _, manifest in done if manifest is None]
    report = _report(name, config, runs, missing)
    first = next(report.figures(), None)
    with replacing(target) as folder:
        files = write(report, folder, config.figures)
        write_manifest(
            folder,
            {
                "name": name, "title": report.title, "study": "sweep", "headline": report.headline,
                "thumbnail": f"figures/{first.name}.png" if first and "png" in config.figures else "",
                "points": [folder.name for _, folder, _ in runs], "files": [str(f) for f in files],
                "numbers": {"runs": len(runs)}, "started": max((m.get("started", "") for _, _, m in runs), default=""),
            },
        )  # fmt: skip


def _called(point: Point) -> str:
    return ", ".join(f"{key} {value}" for key, value in point.values)


def _report(
    name: str, config: Experiment, runs: Sequence[tuple[Point, Path, dict[str, Any]]], missing: Sequence[str]
) -> Report:
    title = config.title.partition(" (" + ", ".join(f"{k} = " for k, _ in runs[0][0].values[:1]))[0] if runs else name
    ratios, retention = _gathered(runs, "hazard_ratios"), _gathered(runs, "retention_at")
    if len(ratios):
        ratios = ratios[ratios["model"] == "multivariable"].reset_index(drop=True)
    said = [*_ratio_sentences(ratios, len(runs), config), *_retention_sentences(retention)]
    blocks: list[Block] = [
        Section("What holds whatever is chosen, and what does not"),
        Bullets(tuple(said) or (f"{len(runs)} runs; none of them left hazard ratios or retention to put side by side.",), key=True),
        *([Paragraph(f"Not finished, and not in these tables: {'; '.join(missing)}.")] if missing else []),
        Section("The runs"),
        Table("runs", "Runs of the sweep", *_runs(runs), notes=(NOTE,)),
        *_ratio_blocks(ratios, config, runs), *_retention_blocks(retention),
    ]  # fmt: skip
    keys = ", ".join(dict.fromkeys(key for point, _, _ in runs for key, _ in point.values))
    return Report(
        title or name,
        f"{len(runs)} runs, by {keys}",
        tuple(blocks),
        {"study": "sweep"},
        said[0] if said else f"{len(runs)} runs",
    )


def _gathered(runs: Sequence[tuple[Point, Path, dict[str, Any]]], table: str) -> pd.DataFrame:
    """The same table of every run, under each other: run, then a column a swept key, then the table's own."""
    parts = []
    for point, folder, _ in runs:
        path = folder / "tables" / f"{table}.csv"
        if path.exists():
            frame = read_csv(path)
            for i, (key, value) in enumerate(point.values):
                frame.insert(i, f"sweep.{key}", value)
            frame.insert(0, "run", _called(point))
            parts.append(frame)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _runs(runs: Sequence[tuple[Point, Path, dict[str, Any]]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row a run: what was chosen, how many were at risk and churned, and the run's own headline."""
    rows = []
    for point, folder, manifest in runs:
        numbers = manifest.get("numbers", {})
        chosen = {f"sweep.{key}": value for key, value in point.values}
        counts = {"at_risk": numbers.get("customers at risk"), "churned": numbers.get("churned")}
        rows.append({"folder": folder.name, **chosen, **counts, "headline": manifest.get("headline", "")})
    frame = pd.DataFrame(rows)
    if frame.empty:
        return frame, frame
    shown = frame.drop(columns="folder").rename(
        columns=lambda c: str(c).removeprefix("sweep.").replace("_", " ").capitalize()
    )
    for column in ("At risk", "Churned"):
        shown[column] = [count(v) for v in shown[column]]
    return frame, shown


def _ratio_sentences(ratios: pd.DataFrame, runs: int, config: Experiment) -> list[str]:
    said = []
    for (definition, covariate), rows in ratios.groupby(["definition", "covariate"], sort=False) if len(ratios) else ():
        value = rows["hazard_ratio"].dropna()
        if value.empty:
            continue
        clear = ((rows["ci_lower"] > 1) | (rows["ci_upper"] < 1)).sum()
        side = (
            "above 1 in all" if (value > 1).all() else "below 1 in all" if (value < 1).all() else "on both sides of 1"
        )
        label = config.labels.get(str(covariate), covariate_label(str(covariate)))
        of = "" if len(value) == runs else f" (estimated in {len(value)} of {runs} runs)"
        low, high = f"{value.min():.2f}", f"{value.max():.2f}"
        between = f"{low} throughout" if low == high else f"{low} to {high}"
        said.append(
            f"{label}, {definition}: hazard ratio {between}, {side}; its interval leaves out 1 in "
            f"{clear} of {len(value)} runs{of}."
        )
    return said


def _finding(rows: pd.DataFrame, definition: str) -> str:
    """For how many covariates every run says the same: above 1, below 1, or not clear."""
    known = rows.dropna(subset=["hazard_ratio", "ci_lower", "ci_upper"])
    if known.empty:
        return f"No hazard ratio could be estimated in any run, {definition}"
    side = (known["ci_lower"] > 1).astype(int) - (known["ci_upper"] < 1).astype(int)
    kinds = side.groupby(known["covariate"], sort=False).nunique()
    alike, every = int((kinds == 1).sum()), len(kinds)
    if every == 1:
        return f"The conclusion of the one hazard ratio {'is the same' if alike else 'is not the same'} in every run, {definition}"
    which = (
        "both" if every == 2 and alike == 2 else f"all {every}" if alike == every else f"{alike or 'none'} of {every}"
    )
    return f"The conclusion is the same in every run for {which} hazard ratios, {definition}"


def _retention_sentences(retention: pd.DataFrame) -> list[str]:
    if retention.empty:
        return []
    said = []
    for definition, rows in retention.dropna(subset=["retention"]).groupby("definition", sort=False):
        at = rows["tenure"].max()
        last = rows[rows["tenure"] == at].groupby("cohort", sort=False)["retention"].agg(["min", "max"])
        wide = (last["max"] - last["min"]).idxmax()
        low, high = last.loc[wide, "min"], last.loc[wide, "max"]
        said.append(
            f"Retention at day {at:g}, {definition}: over the runs it differs most for {wide}, from {100 * low:.1f}% to {100 * high:.1f}%."
        )
    return said


def _samples(runs: Sequence[tuple[Point, Path, dict[str, Any]]], definition: str) -> str:
    """How many customers and churns the runs' models of a definition are of, for a caption: one number where it is the same."""
    fits = _gathered(runs, "fit")
    mine = fits[fits["definition"] == definition] if len(fits) else fits
    if mine.empty:
        return ""
    sizes = [f"{_span(mine[column])} {what}" for column, what in (("customers", "customers"), ("events", "churns"))]
    return f"{' and '.join(sizes)}{' in each run' if len(mine) > 1 else ''}. "


def _span(values: pd.Series) -> str:
    low, high = count(values.min()), count(values.max())
    return low if low == high else f"{low} to {high}"


def _ratio_blocks(
    ratios: pd.DataFrame, config: Experiment, runs: Sequence[tuple[Point, Path, dict[str, Any]]]
) -> list[Block]:
    if ratios.empty:
        return []
    blocks: list[Block] = [Section("Hazard ratios")]
    for i, (definition, rows) in enumerate(ratios.groupby("definition", sort=False)):
        drawn = rows[["run", "covariate", "hazard_ratio", "ci_lower", "ci_upper"]]
        blocks.append(
            Figure(
                f"hazard_ratios_{i + 1}" if i else "hazard_ratios", _finding(rows, str(definition)),
                f"{_samples(runs, str(definition))}Multivariable Cox models, {confidence(config.level)} intervals; the first {PANELS} "
                "covariates at most.",
                "Hazard ratio of each covariate in every run; the numbers are in the table below.",
                sweep_ratios(drawn, labels=config.labels), ("hazard_ratios",),
            )
        )  # fmt: skip
    text = [ratio_with_interval(*v) for v in ratios[["hazard_ratio", "ci_lower", "ci_upper"]].to_numpy(float)]
    named = [config.labels.get(str(c), covariate_label(str(c))) for c in ratios["covariate"]]
    shown = _crossed(ratios.assign(text=text, Covariate=named), ["definition", "Covariate"])
    return [*blocks, Table("hazard_ratios", "Hazard ratios with confidence intervals in every run", ratios, shown)]


def _retention_blocks(retention: pd.DataFrame) -> list[Block]:
    if retention.empty:
        return []
    text = [percent_with_interval(*v) for v in retention[["retention", "ci_lower", "ci_upper"]].to_numpy(float)]
    rows = retention.assign(text=text, Cohort=retention["cohort"], **{"Tenure (days)": retention["tenure"].map(count)})
    shown = _crossed(rows, ["definition", "Cohort", "Tenure (days)"])
    return [
        Section("Retention"),
        Table("retention_at", "Retention with confidence intervals in every run", retention, shown),
    ]


def _crossed(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The texts with a column a run while they fit, else a row a run and key; `definition` only where there are several."""
    keys = keys if rows["definition"].nunique() > 1 else keys[1:]
    if rows["run"].nunique() > ACROSS:
        return rows[[*keys, "run", "text"]].rename(
            columns={"run": "Run", "text": "Estimate", "definition": "Churn definition"}
        )
    wide = rows.pivot_table(index=keys, columns="run", values="text", aggfunc="first", sort=False).fillna("–")
    wide = wide[list(dict.fromkeys(rows["run"]))]
    return wide.rename_axis(None, axis=1).reset_index().rename(columns={"definition": "Churn definition"})
