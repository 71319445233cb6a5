"""Who the customers are, near the top of a report: their characteristics at entry, by cohort or beside their customer days.

Never by outcome: who had churned by the end is known later than entry and depends on how long each customer was observed, so
columns of churned and retained customers would compare what no comparison at entry can see. Hazard ratios, and the churns
and time exposed beside them, answer that question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from survival.churn import Spells
from survival.cohorts import COHORT, EVERYBODY, PERIODS, cohort_order
from survival.episodes import BuiltEpisodes
from survival.estimate.characteristics import COLUMNS, TEST_COLUMNS, Kind, Tally, summary
from survival.experiment.references import model_names
from survival.experiment.retention_numbers import entering_late
from survival.experiment.study import Study
from survival.flows.tallies import tallies
from survival.plot.numbers import count
from survival.report.characteristics import Column, characteristics_display, hides, size, spread_display
from survival.report.document import Block, Bullets, Paragraph, Table

MOST_COLUMNS = 6  # cohorts that fit beside each other on a page
AT_ENTRY, DAYS = "customers", "customer days"
ALL_CUSTOMERS = "all customers"  # where a cohort is called `all`

Tallies = dict[str, pd.DataFrame]  # variable -> group, value, customers, days


def with_characteristics(study: Study, blocks: Sequence[Block], *, by_cohort: bool = False) -> list[Block]:
    """The blocks with the table of characteristics after the first sentences; as they are where there is nothing to describe."""
    made = characteristics_blocks(study, by_cohort=by_cohort)
    place = next((i + 1 for i, block in enumerate(blocks) if isinstance(block, Bullets) and block.key), 0)
    while place < len(blocks) and isinstance(blocks[place], Paragraph):  # what the sentences still say
        place += 1
    return [*blocks[:place], *made, *blocks[place:]]


def characteristics_blocks(study: Study, *, by_cohort: bool = False) -> list[Block]:
    """tables/characteristics.csv of every definition: by cohort where `by_cohort` and there are any, else beside customer days."""
    grouped = by_cohort and study.has_cohorts
    names = variables(study, grouped)
    if not names:
        return []
    study.step("characteristics at entry")
    counted = {name: _tallies(study, name, names, grouped) for name in study.definitions}
    kinds = _kinds(study, counted, names)
    parts = {name: _summaries(study, name, counted[name], kinds, grouped) for name in study.definitions}
    frame = pd.concat(parts.values(), ignore_index=True)
    compared = "characteristics-tests" if study.config.characteristics.tests else "characteristics-smd"
    study.used("characteristics", *([compared] if grouped else []))
    if not grouped:
        return [_beside_days(study, frame, parts)]
    first, *others = study.definitions
    alike = [name for name in others if _same(parts[name], parts[first])]
    apart = [name for name in others if name not in alike]
    notes = [f"Under {', '.join(alike)} the same customers are at risk, with the same values."] if alike else []
    notes += [f"Of customers at risk under {', '.join(apart)}: in tables/characteristics.csv."] if apart else []
    return [_by_cohort(study, first, frame, parts[first], notes)]


def variables(study: Study, grouped: bool) -> list[str]:
    """What is described: the names that the model reads, what cohorts are cut from, and columns with a label or named by the config."""
    config, people = study.config, study.tables.customers.columns
    cohorts = config.cohorts
    source = [cohorts.by] if cohorts is not None and cohorts.by in people and cohorts.by not in PERIODS else []
    labelled = [name for name in config.labels if name in people]
    read = [*model_names(config), *config.model.subgroups, *source, *config.characteristics.columns, *labelled]
    hidden = {COHORT, "customer", "customer_id", "signup"} if grouped or not study.has_cohorts else set()
    hidden |= {cohorts.by} if grouped and cohorts is not None and not cohorts.cuts else set()
    return [name for name in dict.fromkeys(read) if name not in hidden]


# --- counting ----------------------------------------------------------------------------------------------------------


def _source(study: Study, name: str) -> Spells | BuiltEpisodes:
    """Spells will do where nothing that is described changes over time."""
    return study.built(name) if study.covariates else study.spells(name)


def _tallies(study: Study, name: str, names: Sequence[str], grouped: bool) -> Tallies:
    source = _source(study, name)
    return {variable: tallies(source, variable, COHORT if grouped else None) for variable in names}


def _kinds(study: Study, counted: Mapping[str, Tallies], names: Sequence[str]) -> dict[str, Kind]:
    """One kind a variable, whatever values a definition happens to see: an indicator is what its threshold makes it."""
    found: dict[str, Kind] = {}
    for name in names:
        values = pd.concat([tally[name]["value"].dropna() for tally in counted.values()], ignore_index=True)
        kind = Tally(values, np.zeros(len(values), np.intp), np.ones(len(values))).kind()
        indicator = study.covariates.get(name)
        if indicator is not None and kind != "text":
            kind = "flag" if indicator.is_flag else "number"
        found[name] = kind
    return found


def _summaries(study: Study, name: str, counted: Tallies, kinds: Mapping[str, Kind], grouped: bool) -> pd.DataFrame:
    """The rows of one definition: at entry by cohort and all together, or all together and their customer days."""
    groups = study.cohort_labels(name) if grouped else []
    everybody = ALL_CUSTOMERS if EVERYBODY in groups else EVERYBODY
    tests = grouped and study.config.characteristics.tests
    bases = [AT_ENTRY, DAYS] if study.covariates or not grouped else [AT_ENTRY]
    parts = []
    for variable, rows in counted.items():
        value = rows["value"]
        if variable == COHORT:
            value = value.astype(pd.CategoricalDtype(cohort_order(study.config.cohorts, value)))
        code = pd.Index(groups).get_indexer(rows["group"]) if groups else np.zeros(len(rows), np.intp)
        for basis in bases:
            weight = rows["customers" if basis == AT_ENTRY else "days"].to_numpy(np.float64)
            there = weight > 0
            tally = Tally(value[there], code[there].astype(np.intp), weight[there])
            made = summary(
                variable, tally, groups, kind=kinds[variable], everybody=everybody,
                tests=tests and basis == AT_ENTRY, smallest=study.config.retention.mask_below,
            )  # fmt: skip
            if basis == DAYS:  # of cohorts followed for different times
                made = made.assign(smd=np.nan, smd_groups=None, smd_by_chance=np.nan)
            parts.append(made.assign(definition=name, basis=basis))
    columns = ["definition", "basis", *COLUMNS, *(TEST_COLUMNS if tests else [])]
    return pd.concat(parts, ignore_index=True)[columns]


def _same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    return one.drop(columns="definition").equals(other.drop(columns="definition"))


# --- showing -----------------------------------------------------------------------------------------------------------


def _by_cohort(study: Study, name: str, frame: pd.DataFrame, mine: pd.DataFrame, more: Sequence[str]) -> Table:
    mask, tests = study.config.retention.mask_below, study.config.characteristics.tests
    late = entering_late(study, name)
    entry, lived = mine[mine["basis"] == AT_ENTRY], mine[mine["basis"] == DAYS]
    groups: dict[str, pd.DataFrame] = {str(group): rows for group, rows in entry.groupby("group", sort=False)}
    labels = [label for label in study.cohort_labels(name) if label in groups]
    overall = next(group for group in groups if group not in labels)
    called = {label: f"{label}*" if label in late else label for label in labels}
    everybody = [Column(f"Overall, {size(_total(groups[overall]), mask)}", groups[overall])]
    if len(lived):
        everybody.append(_days(lived[lived["group"] == overall]))
    if len(labels) > MOST_COLUMNS:
        inside = {called[label]: groups[label] for label in labels}
        display = spread_display(everybody, inside, labels=_labels(study), mask_below=mask, tests=tests)
        display = display.rename(columns={"Lowest": "Lowest cohort", "Highest": "Highest cohort"})
    else:
        columns = [Column(f"{called[k]}, {size(_total(groups[k]), mask)}", groups[k]) for k in labels]
        display = characteristics_display(
            [*everybody, *columns], labels=_labels(study), mask_below=mask, smd=len(labels) > 1, tests=tests
        )
    return Table(
        "characteristics",
        f"Characteristics of the customers at entry, by {study.cohort_title.lower()}{f', {name}' if len(study.definitions) > 1 else ''}",
        frame,
        display=display,
        notes=(*_notes(study, [name], mine, display, cohorts=labels, late=late), *more),
        max_rows=200,
    )


def _labels(study: Study) -> dict[str, str]:
    return {COHORT: f"cohort ({study.cohort_title.lower()})", **study.labels}


def _days(rows: pd.DataFrame, under: str = "") -> Column:
    return Column(f"Share of {count(_total(rows))} customer days{under}", rows, days=True)


def _total(rows: pd.DataFrame) -> float:
    return float(rows["total"].iloc[0])


def _beside_days(study: Study, frame: pd.DataFrame, parts: Mapping[str, pd.DataFrame]) -> Table:
    """Each definition at entry and its customer days; of many definitions the first at entry, and the customer days of all."""
    mask, several = study.config.retention.mask_below, len(parts) > 1
    first = next(iter(parts))
    few = 2 * len(parts) <= MOST_COLUMNS
    entry, days, sizes = list[Column](), list[Column](), list[str]()
    for name, rows in parts.items():
        began, lived = rows[rows["basis"] == AT_ENTRY], rows[rows["basis"] == DAYS]
        under = f", {name}" if several else ""
        if few or name == first:
            entry.append(Column(f"At entry{under}, {size(_total(began), mask)}", began))
        else:
            sizes.append(f"{size(_total(began), mask)} under {name}")
        days.append(_days(lived, under))
    columns = [c for pair in zip(entry, days) for c in pair] if few else [*entry, *days]
    display = characteristics_display(columns, labels=_labels(study), mask_below=mask)
    notes = _notes(study, list(parts), frame, display)
    more = [] if few else [f"At entry under the other definitions ({', '.join(sizes)}): in tables/characteristics.csv."]
    return Table(
        "characteristics",
        "Characteristics of the customers at risk" + (", by definition of churn" if several else ""),
        frame,
        display=display,
        notes=(*notes, *more),
        max_rows=200,
    )


def _notes(
    study: Study, names: Sequence[str], rows: pd.DataFrame, display: pd.DataFrame, *,
    cohorts: Sequence[str] = (), late: Mapping[str, float] | None = None
) -> tuple[str, ...]:  # fmt: skip
    mask = study.config.retention.mask_below
    kinds = set(rows["kind"])
    counts = ["n (% of customers with a known value)"] if kinds & {"flag", "text"} else []
    counts += ["Q1–Q3: the quartiles (R's type 2)"] if "number" in kinds else []
    absent = " Missing: without a known value." if (rows["missing"] > 0).any() else ""
    hidden = (
        f" Counts from 1 to {count(mask - 1)} are shown as < {count(mask)}."
        if mask > 1 and hides(display, mask)
        else ""
    )
    said = [f"{'; '.join(counts)}.{absent}{hidden}", _entry_note(study, names)]
    if cohorts:
        every = ["Every cohort: in tables/characteristics.csv."] if len(cohorts) > MOST_COLUMNS else []
        said.append(" ".join([*every, _difference_note(study, cohorts)]))
    if DAYS in set(rows["basis"]):
        said.append("Share of customer days: of the days at risk, over all of follow-up; of numbers, the median day.")
    if late:
        said.append(
            "* Not observed from signup: values are those of customers who were still there when first observed."
        )
    return tuple(said)


def _entry_note(study: Study, names: Sequence[str]) -> str:
    """At which day the values are read, and how many enter on a day without a history."""
    said = ["Read at entry, the close of the day with which the time at risk begins; nothing later is looked at."]
    changing = [name for name in study.covariates if name in study.indicators]
    shares = [_entering_at_zero(study, name) for name in names] if changing else [0.0]
    if max(shares) > 0:
        low, high = (f"{100 * share:.0f}%" for share in (min(shares), max(shares)))
        share = low if low == high else f"{low} to {high}"
        who = (
            "Many" if any(study.several_spells(name) for name in names) else share
        )  # of customers, not of their spells
        said.append(
            f"{who} enter on their first day, when indicators of past days have no history yet: look at the customer days too."
        )
    people = [name for name in variables(study, False) if name not in study.covariates]
    said += ["Columns of customers are taken to be as of signup."] if people else []
    return " ".join(said)


def _entering_at_zero(study: Study, name: str) -> float:
    """Share of the spells at risk that begin at tenure 0."""
    found = study.flows(name)
    return float(found.began[found.time == 0].sum() / found.began.sum())


def _difference_note(study: Study, cohorts: Sequence[str]) -> str:
    if len(cohorts) < 2:
        return ""
    mask = study.config.retention.mask_below
    pairs = (
        "the two cohorts" if len(cohorts) == 2 else f"any two cohorts with {count(max(2, mask))} or more known values"
    )
    tests = study.config.characteristics.tests
    p = (
        " p: Wilcoxon's or Kruskal-Wallis test of numbers, Pearson's chi-squared or Fisher's exact test of shares; it falls as the "
        "number of customers grows, and says nothing of confounding."
        if tests
        else ""
    )
    largest = "" if len(cohorts) == 2 else "largest "
    return (
        f"SMD: {largest}standardised mean difference between {pairs}, without sign; 0.1 is often called small. In brackets: what it would "
        f"stay below in 95 of 100 samples if the cohorts did not differ.{p}"
    )
