"""The part of a report that compares cohorts: retention at fixed tenures and mean days, against a reference cohort."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from survival.cohorts import COHORT
from survival.errors import ConfigError
from survival.estimate.adjustments import adjusted
from survival.estimate.areas import RestrictedMeans
from survival.estimate.curves import Curves
from survival.estimate.rmst import rmst as restricted_means
from survival.experiment.curve_figures import tenure_options
from survival.experiment.problems import listing, suggestion
from survival.experiment.samples import sizes_of_cohorts, under
from survival.experiment.study import Study
from survival.plot.difference import retention_difference
from survival.plot.numbers import confidence, count, decimal, p_value
from survival.report.curve_titles import difference_title
from survival.report.document import Block, Figure, Paragraph, Table

ALPHA = 0.05
MARK = "†"  # a difference that stands after adjustment
ADJUSTED_BY = {"holm": "Holm's method", "bh": "Benjamini and Hochberg's method", "bonferroni": "Bonferroni's method"}


def reference_cohort(study: Study, name: str) -> str:
    """The cohort that the others are compared with, as configured or the first seen from signup (without an order: the largest).

    Raises ConfigError for one that is not there.
    """
    curves, wanted = study.curves(name), study.config.retention.reference
    labels = [str(label) for label in curves.groups]
    if wanted is not None:
        return _known(wanted, labels, "retention.reference", name)
    first = min(curve.entry for curve in curves.curves)
    seen = [curve for curve in curves.curves if curve.entry == first]
    sizes = [float(curve.risk.entered.sum()) for curve in seen]
    return str(seen[0 if study.ordered else int(np.argmax(sizes))].risk.label)


def _known(wanted: str, labels: list[str], key: str, name: str) -> str:
    if wanted in labels:
        return wanted
    near = suggestion(wanted, labels)
    raise ConfigError(f"{key}: '{wanted}' is no cohort of {name}.{near} There are: {listing(labels)}")


def comparable(study: Study, name: str) -> bool:
    """Whether there is something to compare, and an interval to say how sure it is."""
    return len(study.curves(name).groups) > 1 and study.config.retention.interval != "none"


def means(study: Study, name: str, until: float) -> RestrictedMeans:
    """Mean days until the horizon by cohort; the variance by customer where customers have several spells."""
    if not study.several_spells(name):
        return study.curves(name).restricted_means(until)
    return restricted_means(
        study.stays(name), until, start="start", by=COHORT, customer="customer", spell="spell",
        level=study.config.level, order=study.cohort_labels(name),
    )  # fmt: skip


def differences(study: Study, name: str) -> pd.DataFrame:
    """Every other cohort minus the reference at the tenures of `retention.at`; p adjusted over these rows."""
    every = study.curves(name).differences(list(study.config.retention.at), adjust="none").table
    return _against(study, name, every, "tenure", "retention")


def mean_differences(study: Study, name: str, until: float) -> pd.DataFrame:
    """Every pair of cohorts: difference and ratio of mean days until the horizon, p adjusted over the pairs."""
    return means(study, name, until).differences(study.config.retention.adjust).table


def _against(study: Study, name: str, pairs: pd.DataFrame, at: str, value: str) -> pd.DataFrame:
    """The pairs of the reference, each as the other cohort minus it, in the order of the cohorts."""
    reference = reference_cohort(study, name)
    mine = pairs[(pairs["cohort_a"] == reference) | (pairs["cohort_b"] == reference)]
    turned = (mine["cohort_b"] == reference).to_numpy()

    def pick(one: str, other: str, sign: float = 1.0) -> Any:
        return np.where(turned, sign * mine[one], mine[other])

    p = mine["p"].to_numpy(float)
    found = pd.DataFrame(
        {
            "cohort": np.where(turned, mine["cohort_a"], mine["cohort_b"]),
            "reference": reference,
            at: mine[at].to_numpy(),
            value: pick(f"{value}_a", f"{value}_b"),
            f"{value}_reference": pick(f"{value}_b", f"{value}_a"),
            "difference": pick("difference", "difference", -1),
            "se": mine["se"].to_numpy(float),
            "ci_lower": pick("ci_upper", "ci_lower", -1),
            "ci_upper": pick("ci_lower", "ci_upper", -1),
            "p": p,
            "p_adjusted": adjusted(p, study.config.retention.adjust),
        }
    )
    order = {label: number for number, label in enumerate(study.cohort_labels(name))}
    return found.sort_values("cohort", key=lambda c: c.map(order), kind="stable", ignore_index=True)


def comparison_blocks(study: Study, name: str, until: float) -> list[Block]:
    """How far each cohort is from the reference, and the difference over all tenures of the two that are asked for."""
    if not comparable(study, name):
        return []
    study.used("differences", "rmst")
    return [*_table(study, name, until), *_whole_curve(study, name)]


def difference_sentence(study: Study, name: str) -> str | None:
    """What the reader should take home of the differences; None where nothing is compared."""
    if not comparable(study, name):
        return None
    rows, reference = differences(study, name), reference_cohort(study, name)
    tested = rows[rows["p_adjusted"].notna()]
    if tested.empty:
        return None
    clear = tested[tested["p_adjusted"] < ALPHA]
    over = f"adjusted for {count(len(tested))} comparisons" if len(tested) > 1 else "one comparison"
    if clear.empty:
        *tenures, last = (f"{t:g}" for t in sorted(tested["tenure"].unique()))
        at = f"{', '.join(tenures)} or {last}" if tenures else last
        others = tested["cohort"].unique()
        whose = f"Retention of {others[0]} did not differ" if len(others) == 1 else "No cohort's retention differed"
        return f"{whose} clearly from that of {reference} at day {at} ({over})."
    row = clear.loc[clear["difference"].abs().idxmax()]
    number = f"{decimal(100 * abs(row['difference']), 1)} points {'higher' if row['difference'] > 0 else 'lower'}"
    limits = f"{confidence(study.config.level)} CI of the difference {_points(row['ci_lower'])} to {_points(row['ci_upper'])}"
    more = f"; {len(clear)} of {len(tested)} comparisons stand" if len(clear) > 1 else ""
    return f"After {row['tenure']:g} days retention of {row['cohort']} was {number} than that of {reference} ({limits}; {over}{more})."


def _points(share: float) -> str:
    return ("+" if share > 0 else "") + decimal(100 * share, 1)


def _table(study: Study, name: str, until: float) -> list[Block]:
    rows, reference = differences(study, name), reference_cohort(study, name)
    days = _against(study, name, mean_differences(study, name, until), "horizon", "rmst")
    known = [c for c in study.cohort_labels(name) if _any_known(rows, days, c)]
    if not known:
        return []
    shown = pd.DataFrame({"Cohort": known})
    level = f"{confidence(study.config.level)} CI"
    for tenure in study.config.retention.at:
        at = rows[rows["tenure"] == tenure].set_index("cohort")
        shown[f"{count(tenure)} days ({level})"] = [_cell(at, c, 100) for c in known]
    shown[f"Mean days until {until:g} ({level})"] = [_cell(days.set_index("cohort"), c, 1) for c in known]
    frame = rows.assign(definition=name)
    frame = frame[["definition", *[c for c in frame.columns if c != "definition"]]]
    return [
        Table(
            f"retention_differences_{study.slug(name)}", f"Difference from cohort {reference} in retention, percentage points, {name}",
            frame, shown, notes=tuple(filter(None, _notes(study, name, reference, rows, days))),
        )
    ]  # fmt: skip


def _any_known(rows: pd.DataFrame, days: pd.DataFrame, cohort: str) -> bool:
    return any(bool(part.loc[part["cohort"] == cohort, "difference"].notna().any()) for part in (rows, days))


def _cell(at: pd.DataFrame, cohort: str, scale: float) -> str:
    row: Any = at.loc[cohort]
    if np.isnan(row["difference"]):
        return "–"
    low, high = (decimal(scale * row[c], 1) for c in ("ci_lower", "ci_upper"))
    mark = f" {MARK}" if row["p_adjusted"] < ALPHA else ""
    sign = "+" if row["difference"] > 0 else ""
    return f"{sign}{decimal(scale * row['difference'], 1)} ({low} to {high}){mark}"


def _notes(study: Study, name: str, reference: str, rows: pd.DataFrame, days: pd.DataFrame) -> list[str]:
    how = study.config.retention
    by = ADJUSTED_BY.get(how.adjust)
    family = (
        f", adjusted by {by} over all tenures together and over the means by themselves" if by else ", not adjusted"
    )
    equal = study.curves(name).equality(list(how.at))
    tests = [f"day {r.tenure:g}: {p_value(r.p)}" for r in equal.itertuples() if r.df > 0 and r.p == r.p]
    left_out = [c for c in study.cohort_labels(name) if c != reference and not _any_known(rows, days, c)]
    scale = "differences ± z SE" if how.interval == "plain" else f"limits from the two {how.interval} intervals (MOVER)"
    return [
        f"{MARK} p below {ALPHA:g}{family}. {scale[0].upper() + scale[1:]}; tests on the {how.interval} scale.",
        f"Are all cohorts equal? p, not adjusted for the number of tenures: {'; '.join(tests)}."
        if len(study.curves(name).groups) > 2 and tests
        else "",
        f"Not compared with {reference}, since not observed from the same tenure or not long enough: {', '.join(left_out)}."
        " With `retention.landmark` cohorts are compared among those still here at a tenure that all reach."
        if left_out
        else "",
    ]


def _whole_curve(study: Study, name: str) -> list[Block]:
    curves, how = study.curves(name), study.config.retention
    labels = [str(label) for label in curves.groups]
    pair = how.compare
    if pair is None:
        if len(labels) != 2 or curves.curves[0].entry != curves.curves[1].entry:
            return []
        reference = reference_cohort(study, name)
        pair = (reference, next(label for label in labels if label != reference))
    a, b = (_known(one, labels, "retention.compare", name) for one in pair)
    if curves.robust:
        text = f"The difference of {b} and {a} over all tenures has no band where customers have several spells; see the table."
        return [Paragraph(text)]
    made = _difference_curve(study, curves, a, b)
    study.used("difference-curve")
    table, level = f"difference_curve_{study.slug(name)}", confidence(study.config.level)
    return [
        Figure(
            name=table,
            title=under(study, name, difference_title(made)),
            caption=f"Kaplan-Meier curve of {b} minus that of {a} ({sizes_of_cohorts(study, name, (b, a))[:-1]}). Dark: pointwise "
            f"{level} interval at each tenure. Light: the {level} band that holds the whole difference (Parzen, Wei and Ying 1997). The "
            "bar on the zero line: where the band leaves 0 outside.",
            alt=f"Difference of the retention curves of {b} and {a} under {name} over tenure; the numbers are in the table of that name.",
            figure=retention_difference(made, **tenure_options(study)),
            source=(table,),
        ),
        Table(table, f"Retention of {b} minus that of {a}, {name}", made, shown=False),
    ]


def _difference_curve(study: Study, curves: Curves, a: str, b: str) -> pd.DataFrame:
    made = curves.difference_curve(a, b, seed=study.config.seed)
    study.note(made.findings)
    return made.tidy()
