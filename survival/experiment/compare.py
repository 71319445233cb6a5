"""Two finished runs side by side: what went in, whose status changed, how hazard ratios and retention moved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survival.errors import ResultsError
from survival.estimate.adjustments import holm
from survival.estimate.intervals import normal_quantile
from survival.estimate.shared_customers import difference, retention_by_customer
from survival.experiment.kept_customers import CUSTOMERS, INFLUENCE, pseudonyms
from survival.experiment.results import COMPARISON, read_manifest
from survival.plot.numbers import confidence
from survival.report.tables import read_csv

EVERYBODY = "(all)"
ABSENT, RETAINED, CHURNED = "not there", "retained", "churned"
RATIO_COLUMNS = [
    "definition", "covariate", "before", "before_lower", "before_upper", "after", "after_lower", "after_upper", "ratio",
    "ratio_lower", "ratio_upper", "p", "p_adjusted",
]  # fmt: skip
RETENTION_COLUMNS = [
    "definition", "cohort", "tenure", "before", "after", "difference", "difference_lower", "difference_upper", "p", "p_adjusted",
]  # fmt: skip
_NAMES = ("name", "title", "labels", "figures", "keep_episodes", "keep_customers", "allow")  # keys that move no number


@dataclass(frozen=True, eq=False)
class Run:
    """A run as it lies under results/: manifest, hazard ratios, customers and their influence, the models' fit (None: not kept)."""

    folder: Path
    manifest: Mapping[str, Any]
    ratios: pd.DataFrame | None
    customers: pd.DataFrame | None
    influence: pd.DataFrame | None
    fit: pd.DataFrame | None = None

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved config."""
        return dict(self.manifest.get("config", {}))

    @property
    def level(self) -> float:
        """Of the run's confidence intervals."""
        return float(self.config.get("level", 0.95))

    @property
    def names_customers(self) -> bool:
        """Whether customers are there by their ids."""
        return self.config.get("keep_customers") == "ids"

    def in_model(self, definition: str) -> frozenset[str]:
        """The covariates of the run's multivariable model, those too that could not be estimated; none without a model."""
        if self.ratios is None:
            return frozenset()
        mine = (self.ratios["model"] == "multivariable") & (self.ratios["definition"] == definition)
        return frozenset(self.ratios.loc[mine, "covariate"].astype(str))

    def size(self, definition: str) -> tuple[int, int] | None:
        """Customers and churns of the run's model, without a table of these those at risk; None where neither is kept."""
        if self.fit is not None and {"definition", "customers", "events"} <= set(self.fit):
            rows = self.fit[self.fit["definition"] == definition]
            if len(rows):
                return int(rows["customers"].iloc[0]), int(rows["events"].iloc[0])
        if self.customers is None:
            return None
        rows = self.customers[(self.customers["definition"] == definition) & self.customers["aside"].isna()]
        return rows["customer"].nunique(), int(rows["churned"].sum())

    def hidden(self) -> Run:
        """The run with pseudonyms for ids."""
        if not self.names_customers:
            return self
        kept = [
            f if f is None else f.assign(customer=pseudonyms(f["customer"])) for f in (self.customers, self.influence)
        ]
        return replace(self, customers=kept[0], influence=kept[1])


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` found. `shared`: customers in both runs (None: not known); `notes`: what the reader must know."""

    before: Run
    after: Run
    names: tuple[str, str]
    inputs: pd.DataFrame
    statuses: pd.DataFrame
    changed: pd.DataFrame
    ratios: pd.DataFrame
    retention: pd.DataFrame
    shared: int | None
    level: float
    notes: tuple[str, ...]


def read_run(folder: Path) -> Run:
    """The run in `folder`. Raises ResultsError when there is none."""
    manifest = read_manifest(folder)
    if manifest is None:
        raise ResultsError(
            f"{folder}: no finished run is there (no manifest.json). Name two folders such as results/NAME."
        )
    ratios, fit = (folder / "tables" / f"{name}.csv" for name in ("hazard_ratios", "fit"))
    if COMPARISON in manifest:
        raise ResultsError(
            f"{folder}: this is a comparison of two runs, not a run. Name two folders such as results/NAME."
        )
    tables = [read_csv(table) if table.exists() else None for table in (ratios, fit)]
    return Run(folder, manifest, tables[0], _kept(folder / CUSTOMERS), _kept(folder / INFLUENCE), tables[1])


def _kept(path: Path) -> pd.DataFrame | None:
    return pd.read_parquet(path) if path.exists() else None


def _alike(one: Run, two: Run) -> tuple[Run, Run]:
    """Both runs' customers under ids, or under pseudonyms where one run kept these."""
    if one.names_customers == two.names_customers:
        return one, two
    return one.hidden(), two.hidden()


def compare(before: Path, after: Path) -> Comparison:
    """Two runs compared. Raises ResultsError when one of the folders holds no run."""
    one, two = _alike(read_run(before), read_run(after))
    level = two.level
    both = _definitions(one, two)
    statuses, changed = _statuses(one, two, both)
    return Comparison(
        one, two, _names(before, after), _inputs(one, two), statuses, changed, _ratios(one, two, level),
        _retention(one, two, both, level), _shared(one, two), level,
        (*_levels(one, two, _names(before, after)), *_notes(one, two, both)),
    )  # fmt: skip


def _names(before: Path, after: Path) -> tuple[str, str]:
    """What the runs are called: their folders, with as much of the path as tells them apart."""
    a, b = before.resolve().parts, after.resolve().parts
    for length in range(1, max(len(a), len(b)) + 1):
        if a[-length:] != b[-length:]:
            return "/".join(a[-length:]), "/".join(b[-length:])
    return f"{a[-1]} (first)", f"{b[-1]} (second)"


# --- What went in ----------------------------------------------------------------------------------------------------


def _inputs(one: Run, two: Run) -> pd.DataFrame:
    """what, key, before, after: every key of the config, file, version and commit that is not the same."""
    rows: list[tuple[str, ...]] = [
        ("config", *change) for change in _changes(_flat(one.config), _flat(two.config)) if change[0] not in _NAMES
    ]
    rows += [("data", *change) for change in _changes(_files(one), _files(two))]
    rows += [
        ("version", *change) for change in _changes(one.manifest.get("versions", {}), two.manifest.get("versions", {}))
    ]
    code = [str(run.manifest.get("identity", {}).get("code", ""))[:12] for run in (one, two)]
    rows += [("code", "package and study", *code)] if code[0] != code[1] else []
    return pd.DataFrame(rows, columns=["what", "key", "before", "after"], dtype=object)


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Dotted key -> value; lists are values."""
    if not isinstance(value, Mapping):
        return {path: value}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= _flat(inner, f"{path}.{key}" if path else str(key))
    return found


def _files(run: Run) -> dict[str, str]:
    return {
        f"{table}: {file}": f"{values['size']:,} bytes, SHA-256 {values['sha256'][:12]}"
        for table, files in run.manifest.get("data", {}).items()
        for file, values in files.items()
    }


def _changes(one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for key in dict.fromkeys([*one, *two]):
        if one.get(key) != two.get(key):
            here, there = ("" if key not in held else _said(held[key]) for held in (one, two))
            yield key, here, there


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "null" if value is None else str(value)


# --- Customers -------------------------------------------------------------------------------------------------------


def _definitions(one: Run, two: Run) -> list[str]:
    """The definitions that both runs kept customers under."""
    if one.customers is None or two.customers is None:
        return []
    there = set(two.customers["definition"])
    return [name for name in dict.fromkeys(one.customers["definition"]) if name in there]


def _shared(one: Run, two: Run) -> int | None:
    if one.customers is None or two.customers is None:
        return None
    return len(set(one.customers["customer"]) & set(two.customers["customer"]))


def _status(customers: pd.DataFrame) -> pd.Series:
    """customer -> retained, churned, or why the customer was set aside; of several spells the last at risk decides."""
    aside = customers["aside"].notna()
    says = np.where(
        aside,
        "set aside: " + customers["aside"].fillna("").astype(str),
        np.where(customers["churned"], CHURNED, RETAINED),
    )
    rows = pd.DataFrame(
        {"customer": customers["customer"], "at_risk": ~aside, "spell": customers["spell"], "status": says}
    )
    return rows.sort_values(["customer", "at_risk", "spell"]).groupby("customer")["status"].last()


def _statuses(one: Run, two: Run, both: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How many passed from which status to which, and who changed; by definition."""
    counts, changed = [], []
    for name in both:
        assert one.customers is not None
        assert two.customers is not None
        pair = [_status(run.customers[run.customers["definition"] == name]) for run in (one, two)]  # type: ignore[index]
        joined = pd.concat(pair, axis=1, keys=["before", "after"]).fillna(ABSENT).rename_axis("customer").reset_index()
        table = joined.groupby(["before", "after"]).size().reset_index(name="customers").assign(definition=name)
        counts.append(table.sort_values("customers", ascending=False, kind="stable"))
        changed.append(joined[joined["before"] != joined["after"]].assign(definition=name))
    columns = ["definition", "before", "after", "customers"]
    if not counts:
        return pd.DataFrame(columns=columns), pd.DataFrame(columns=["definition", "customer", "before", "after"])
    listed = pd.concat(changed, ignore_index=True)[["definition", "customer", "before", "after"]]
    return pd.concat(counts, ignore_index=True)[columns], listed


# --- Estimates -------------------------------------------------------------------------------------------------------


def _ratios(one: Run, two: Run, level: float) -> pd.DataFrame:
    """Each hazard ratio of the multivariable models in both runs, and after : before with its interval where one is known.

    All intervals are at `level`: Wald's, as in hazard_ratios.csv, of a run with another level made again.
    """
    if one.ratios is None or two.ratios is None:
        return pd.DataFrame(columns=RATIO_COLUMNS)
    keys = ["definition", "covariate"]
    mine, theirs = (_at_level(run, level) for run in (one, two))
    rows = mine.merge(theirs, on=keys, how="outer", suffixes=("_1", "_2"), sort=False)
    order = list(
        dict.fromkeys([*zip(theirs["definition"], theirs["covariate"]), *zip(mine["definition"], mine["covariate"])])
    )
    rows = rows.set_index(keys).reindex(pd.MultiIndex.from_tuples(order, names=keys)).reset_index()
    made = [_ratio(row, one, two, level) for row in rows.to_dict("records")]
    frame = pd.DataFrame(made, columns=RATIO_COLUMNS[:-1])
    return frame.assign(p_adjusted=_adjusted(frame, frame["ratio_lower"] != frame["ratio_upper"]))[RATIO_COLUMNS]


def _at_level(run: Run, level: float) -> pd.DataFrame:
    """The rows of a run's multivariable models with intervals at `level`."""
    assert run.ratios is not None
    rows = run.ratios[run.ratios["model"] == "multivariable"]
    if run.level == level:
        return rows
    half = normal_quantile(level) * rows["robust_se"].fillna(rows["se"])
    return rows.assign(ci_lower=np.exp(rows["coef"] - half), ci_upper=np.exp(rows["coef"] + half))


def _ratio(row: Mapping[Any, Any], one: Run, two: Run, level: float) -> dict[str, Any]:
    name, covariate = row["definition"], row["covariate"]
    made = {
        "definition": name, "covariate": covariate, "before": row["hazard_ratio_1"], "before_lower": row["ci_lower_1"],
        "before_upper": row["ci_upper_1"], "after": row["hazard_ratio_2"], "after_lower": row["ci_lower_2"],
        "after_upper": row["ci_upper_2"], "ratio": np.exp(row["coef_2"] - row["coef_1"]),
    }  # fmt: skip
    weights = [_weights(run, name, covariate) for run in (one, two)]
    if weights[0] is None or weights[1] is None:
        return made
    moved = difference(np.array([row["coef_1"]]), np.array([row["coef_2"]]), weights[0], weights[1], level).iloc[0]
    return made | {"ratio_lower": np.exp(moved["ci_lower"]), "ratio_upper": np.exp(moved["ci_upper"]), "p": moved["p"]}


def _weights(run: Run, definition: str, covariate: str) -> pd.DataFrame | None:
    if run.influence is None or covariate not in run.influence.columns:
        return None
    rows = run.influence[run.influence["definition"] == definition]
    values = rows.set_index("customer")[[covariate]].astype(float)
    return values if len(values) and values[covariate].notna().all() else None


def _retention(one: Run, two: Run, both: list[str], level: float) -> pd.DataFrame:
    """Retention at the tenures that either config asks for, of everybody and of each cohort that both runs have."""
    at = sorted({t for run in (one, two) for t in run.config.get("retention", {}).get("at", [])})
    rows: list[pd.DataFrame] = []
    for name in both:
        pair = [_at_risk(run, name) for run in (one, two)]
        cohorts = [c for c in pd.unique(pair[1]["cohort"]) if c in set(pair[0]["cohort"])]
        for cohort in [EVERYBODY, *(sorted(cohorts) if len(pair[1]["cohort"].unique()) > 1 else [])]:
            mine = [p if cohort == EVERYBODY else p[p["cohort"] == cohort] for p in pair]
            rows.append(_moved(mine, np.array(at, float), level).assign(definition=name, cohort=cohort))
    if not rows:
        return pd.DataFrame(columns=RETENTION_COLUMNS)
    frame = pd.concat(rows, ignore_index=True)
    frame = frame[frame["before"].notna() & frame["after"].notna()].reset_index(drop=True)
    return frame.assign(p_adjusted=_adjusted(frame, frame["se"] > 0))[RETENTION_COLUMNS]


def _at_risk(run: Run, definition: str) -> pd.DataFrame:
    assert run.customers is not None
    rows = run.customers
    return rows[(rows["definition"] == definition) & rows["aside"].isna()]


def _moved(pair: list[pd.DataFrame], at: np.ndarray, level: float) -> pd.DataFrame:
    made = [
        retention_by_customer(
            p["entry"].to_numpy(float), p["exit"].to_numpy(float), p["churned"].to_numpy(bool), p["customer"], at
        )
        for p in pair
    ]
    moved = difference(made[0][0], made[1][0], made[0][1], made[1][1], level)
    names = {"ci_lower": "difference_lower", "ci_upper": "difference_upper"}
    return moved.rename(columns=names).assign(tenure=at.astype(int), before=made[0][0], after=made[1][0])


def _adjusted(frame: pd.DataFrame, tested: pd.Series) -> pd.Series:
    """Holm's adjustment of p within each definition, over the rows where some customer's data differ: the others compare nothing,
    and keep their p of 1."""
    p = frame["p"].astype(float)
    adjusted = p.where(tested).groupby(frame["definition"]).transform(lambda values: holm(values.to_numpy(float)))
    return adjusted.where(tested, p)


def _levels(one: Run, two: Run, names: tuple[str, str]) -> Iterator[str]:
    if one.level != two.level:
        yield (
            f"{names[0]} reports {confidence(one.level)} intervals and {names[1]} {confidence(two.level)}; here all intervals, of "
            f"{names[0]} too, are {confidence(two.level)}."
        )


def _notes(one: Run, two: Run, both: list[str]) -> Iterator[str]:
    for run, which in ((one, "first"), (two, "second")):
        if run.customers is None:
            yield (
                f"The {which} run kept no customers (keep_customers: none, or an earlier version): whose status changed is not "
                "known, and differences have no interval."
            )
        elif run.ratios is not None and run.influence is None:
            yield f"The {which} run kept no influence of its customers: the changes of hazard ratios have no interval."
    kept = [set(run.customers["definition"]) for run in (one, two) if run.customers is not None]
    if len(kept) == 2 and kept[0] != kept[1]:
        yield f"Compared by name: {', '.join(both) or 'no definition'}. In one run only: {', '.join(sorted(kept[0] ^ kept[1]))}."
