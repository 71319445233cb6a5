"""The parts of a report that puts definitions of churn side by side: retention, who is lost, when, and hazard ratios."""

from __future__ import annotations

import pandas as pd

from survival.experiment.curve_figures import (
    bands_said,
    curve_options,
    medians,
    no_bars,
    no_test,
    options_said,
    whole_bands,
)
from survival.experiment.definition_ratios import changes, ratio_blocks, unchanged
from survival.experiment.definitions import (
    UNDER_ALL,
    Compared,
    Definitions,
    agreement_frame,
    conclusions,
    days_apart,
    days_between,
    overlap_frame,
    populations,
    retention_at,
    retention_frame,
    rmst,
)
from survival.experiment.study import Study
from survival.plot.agreement import days_apart as draw_days_apart
from survival.plot.agreement import overlap_matrix
from survival.plot.numbers import confidence, count, counted, decimal, percent, percent_with_interval
from survival.plot.retention import retention_curves
from survival.report.definition_wording import (
    days_sentence,
    echo_sentence,
    listed,
    overlap_sentence,
    retention_by_definition,
)
from survival.report.document import Block, Bullets, Figure, Paragraph, Section, Table
from survival.report.tables import display_frame

NO_RATIOS = "No hazard ratio could be estimated under any definition; the findings below say why."


def definition_blocks(study: Study, found: Definitions, made: Compared | None) -> list[Block]:
    """Everything but the causes and the closing; key sentences first. `made` is None without a formula."""
    study.used("overlap")
    at, pairs, gaps = retention_at(found), agreement_frame(found), days_between(found)
    said = conclusions(study, made) if made is not None else None
    changed = changes(study, made, said) if made is not None and said is not None else ""
    blocks: list[Block] = [
        Section("What depends on the definition"),
        Bullets(tuple(_key_sentences(found, at, pairs, gaps, changed)), key=True),
        *([Paragraph(unchanged(study, said))] if said is not None else []),
        *_retention(study, found, at),
        *_who(study, found, pairs),
        *_when(study, found, gaps),
    ]
    if made is not None and said is not None:
        blocks += ratio_blocks(study, made, said, _echoes(found, pairs, gaps))
    elif study.config.model.formula:
        blocks += [Section("What goes before churn, under each definition"), Paragraph(NO_RATIOS)]
    return blocks


def _key_sentences(
    found: Definitions, at: pd.DataFrame, pairs: pd.DataFrame, gaps: pd.DataFrame, changed: str
) -> list[str]:
    everybody = at[(at["cohort"] != UNDER_ALL)]
    reached = everybody.groupby("tenure")["retention"].apply(lambda r: r.notna().all())
    tenures = [float(t) for t in reached.index[reached]]
    first = found.names[0]
    mine = pairs[(pairs["definition_a"] == first)].to_dict("records")
    days = gaps[(gaps["definition_a"] == first)].to_dict("records")
    rows = everybody[everybody["tenure"] == max(tenures)].to_dict("records") if tenures else []
    return [
        *([retention_by_definition(rows, max(tenures))] if rows else []),
        *(" ".join(filter(None, (overlap_sentence(p), days_sentence(d)))) for p, d in zip(mine, days)),
        *([changed] if changed else []),
    ]


def _echoes(found: Definitions, pairs: pd.DataFrame, gaps: pd.DataFrame) -> list[str]:
    """Definitions that mostly lose, later, whom the primary one had lost before."""
    rows = gaps.assign(churned_b=(pairs["churned_both"] + pairs["churned_b_only"]).to_numpy())
    mine = rows[rows["definition_a"] == found.names[0]].to_dict("records")
    return [text for r in mine if (text := echo_sentence(r))]


# --- retention ---------------------------------------------------------------------------------------------------------


def _retention(study: Study, found: Definitions, at: pd.DataFrame) -> list[Block]:
    blocks: list[Block] = [
        Section("Retention under each definition"),
        _curves_figure(study, found),
        _at_table(study, found, at),
    ]
    means = rmst(found)
    order = ["cohort", "definition", "horizon", "rmst", "se", "ci_lower", "ci_upper"]
    shown = display_frame(means[order if found.shared else order[1:]], study.config.level).rename(
        columns={"Cohort": "Customers"}
    )
    note = "The curves are of the same customers, so no log-rank test compares them: it would take them for different people."
    blocks += [
        Table("retention", "Retention curves", retention_frame(found), shown=False),
        Table(
            "rmst",
            f"Mean days retained until day {means['horizon'].iloc[0]:g} (restricted mean, RMST)",
            means,
            shown,
            notes=(note,),
        ),
    ]
    return blocks


def _curves_figure(study: Study, found: Definitions) -> Figure:
    frames = [curves.tidy().assign(definition=name) for name, curves in found.curves.items()]
    frame = pd.concat(frames, ignore_index=True)
    longest = max(curves.curves[0].end for curves in found.curves.values())
    made = list(found.curves.items())
    bands = whole_bands(study, made, "definition")
    no_bars(study, "", "bars of each definition's censored customers would hold the same customers several times")
    no_test(study, "", "the curves are of the same customers under each definition, so no test compares them")
    said = bands_said(study, len(made), _variance(found), whole=bands is not None, ordered=False, layout="together")
    sizes = listed(
        [
            f"{count(found.beside.churned(n))} of {counted(found.beside.at_risk(n), 'customer')} under {n}"
            for n in found.names
        ]
    )
    origins = {study.config.churn[n].clock_origin for n in found.names}
    clock = " Tenure is counted from each definition's own origin." if len(origins) > 1 else ""
    return Figure(
        name="retention",
        title=_spread_title(found),
        caption=f"Kaplan-Meier curves; churned: {sizes}{said}. "
        f"{options_said(study, each=', one row a definition', bars=False)}{clock}",
        alt="Retention over tenure, one curve a definition of churn; "
        + retention_by_definition(_last_known(found), _last_tenure(found)),
        figure=retention_curves(
            frame,
            by="definition",
            horizon=longest,
            layout="together",
            medians=medians(study, made, "definition"),
            **curve_options(study, bands, "definition") | {"censored_bars": False},
        ),
        source=("retention",),
    )


def _variance(found: Definitions) -> str:
    """How the intervals of the curves come about."""
    kinds = {one.curves.robust for one in found.everybody.values()}
    if kinds == {False}:
        return "Greenwood's variance"
    return (
        "variance by customer"
        if kinds == {True}
        else "Greenwood's variance, by customer where they have several spells"
    )


def _last_tenure(found: Definitions) -> float:
    ends = [c.curves[0].end for c in found.curves.values()]
    return float(max((t for t in found.study.config.retention.at if t <= min(ends)), default=min(ends)))


def _last_known(found: Definitions) -> list[dict[str, object]]:
    t = _last_tenure(found)
    return [c.at([t]).assign(definition=n).to_dict("records")[0] for n, c in found.curves.items()]


def _spread_title(found: Definitions) -> str:
    """The finding: how far apart the definitions put retention at the longest tenure that all reach."""
    rows = [r for r in _last_known(found) if r["retention"] == r["retention"]]
    if len(rows) < 2:
        return "Customers retained by tenure under each definition"
    shares = sorted(float(r["retention"]) for r in rows)  # type: ignore[arg-type]
    between = f"between {percent(shares[0], 0)} and {percent(shares[-1], 0)}"
    return f"After {count(_last_tenure(found))} days the definitions put retention {between}"


def _at_table(study: Study, found: Definitions, at: pd.DataFrame) -> Table:
    both, variance = bool(found.shared), _variance(found)
    cells = at.assign(
        text=[percent_with_interval(r.retention, r.ci_lower, r.ci_upper) for r in at.itertuples()],
        days=[f"{count(t)} days" for t in at["tenure"]],
    )
    keys = ["cohort", "definition"] if both else ["definition"]
    wide = cells.pivot_table(index=keys, columns="days", values="text", aggfunc="first", sort=False).reset_index()
    shown = display_frame(wide.rename_axis(None, axis=1).rename(columns={"cohort": "customers"}))
    notes = [
        f"{confidence(study.config.level)} {study.config.retention.interval} intervals ({variance}). A dash: not observed then."
    ]
    if both:
        notes.append(f"'{UNDER_ALL}': the same customers in every row, so that only the definition differs.")
    return Table("retention_at", "Retention at fixed tenures", at, shown, notes=tuple(notes))


# --- who and when ------------------------------------------------------------------------------------------------------


def _who(study: Study, found: Definitions, pairs: pd.DataFrame) -> list[Block]:
    counts, labels = populations(found), study.config.labels
    overlap = overlap_frame(pairs, found)
    shown = counts.assign(share=[percent(s) for s in counts["share"]])
    return [
        Section("Who is lost under which definition?"),
        Paragraph(_same_people(found)),
        Table(
            "definitions",
            "Customers under each definition",
            counts,
            display_frame(shown),
            notes=(
                "Churned under all: those of the customers at risk under every definition whom this one loses. Customers at risk differ "
                "where a definition needs something to leave, or waits longer for those who signed up before the logs began.",
            ),
        ),
        Figure(
            name="overlap",
            title=_overlap_title(overlap, found.names[0]),
            caption=f"{_sizes(found)}. Each cell, a count of customers and no estimate: of the customers lost under the row's definition, "
            "the share lost under the column's too, at any time in the observed period; among customers at risk under both. Diagonal: "
            "customers lost in all.",
            alt="Matrix of the share of customers lost under one definition who are lost under another; the table has its numbers.",
            figure=overlap_matrix(overlap, labels=labels),
            source=("overlap",),
        ),
        Table("overlap", "Lost under one, lost under the other", overlap, shown=False),
        _agreement_table(study, pairs),
    ]


def _overlap_title(overlap: pd.DataFrame, first: str) -> str:
    """The finding: how many whom the others lose the primary definition loses too."""
    rows = overlap[(overlap["definition_b"] == first) & (overlap["definition_a"] != first) & (overlap["churned_a"] > 0)]
    if rows.empty:
        return "Customers lost under one definition and under another"
    share = rows["churned_both"] / rows["churned_a"]
    least, most = rows.loc[share.idxmin()], rows.loc[share.idxmax()]
    if len(rows) == 1:
        return f"{percent(share.iloc[0], 0)} of those lost under {most['definition_a']} are also lost under {first}"
    return (
        f"Of those lost under another definition, {percent(share.min(), 0)} ({least['definition_a']}) to {percent(share.max(), 0)} "
        f"({most['definition_a']}) are also lost under {first}"
    )


def _same_people(found: Definitions) -> str:
    beside = found.beside
    sizes = listed([f"{count(beside.at_risk(name))} under {name}" for name in found.names])
    n = beside.at_risk_under_all
    if all(beside.at_risk(name) == n for name in found.names):
        same = "The same customer is" if n == 1 else f"The same {count(n)} customers are"
        return f"{same} at risk under every definition."
    return f"At risk are {sizes}; {count(n)} under all of them."


def _agreement_table(study: Study, pairs: pd.DataFrame) -> Table:
    level = f"{confidence(study.config.level)} CI"
    shown = pd.DataFrame(
        {
            "Definition": pairs["definition_a"],
            "Against": pairs["definition_b"],
            "At risk under both": [count(n) for n in pairs["at_risk_both"]],
            "Churned under both": [count(n) for n in pairs["churned_both"]],
            "first only": [count(n) for n in pairs["churned_a_only"]],
            "second only": [count(n) for n in pairs["churned_b_only"]],
            "neither": [count(n) for n in pairs["stayed_both"]],
            f"Cohen's κ ({level})": [_interval(r.kappa, r.kappa_lower, r.kappa_upper) for r in pairs.itertuples()],
            f"Jaccard ({level})": [_interval(r.jaccard, r.jaccard_lower, r.jaccard_upper) for r in pairs.itertuples()],
        }
    )
    notes = (
        "Among customers at risk under both, over the whole observed period: longer observation would change these figures, and who "
        "is lost under one may be censored under the other. κ: agreement "
        "beyond chance (Cohen 1960; interval of Fleiss, Cohen and Everitt 1969). Jaccard: lost under both, of those lost under either "
        "(Wilson interval).",
    )
    return Table("agreement", "Do the definitions agree on who was lost?", pairs, shown, notes=notes)


def _interval(x: float, low: float, high: float) -> str:
    dash = " to " if low < 0 else "–"
    return f"{decimal(x)} ({decimal(low)}{dash}{decimal(high)})" if x == x else "–"


def _when(study: Study, found: Definitions, gaps: pd.DataFrame) -> list[Block]:
    if not gaps["customers"].sum():
        return [Section("When is a customer lost?"), Paragraph("No customer was lost under two definitions."),
                Table("days_between", "Days between the dates", gaps, shown=False)]  # fmt: skip
    apart = days_apart(found)
    shown = pd.DataFrame(
        {
            "Definition": gaps["definition_a"],
            "Against": gaps["definition_b"],
            "Lost under both": [count(n) for n in gaps["customers"]],
            "First earlier": [count(n) for n in gaps["a_first"]],
            "Same day": [count(n) for n in gaps["same_day"]],
            "Second earlier": [count(n) for n in gaps["b_first"]],
            "Median": [decimal(d, 0) for d in gaps["median"]],
            "Middle half": [_span(r.lower_quartile, r.upper_quartile) for r in gaps.itertuples()],
            "Range": [_span(r.minimum, r.maximum) for r in gaps.itertuples()],
        }
    )
    notes = (
        "Days from the first definition's date to the second's: negative where the second comes first. Customers lost under both.",
    )
    return [
        Section("When is a customer lost?"),
        Figure(
            name="days_apart",
            title=_days_title(gaps),
            caption=f"{_sizes(found)}; {_both(gaps)}. For each pair of definitions, the customers lost under both (counts, no "
            "estimates), by which definition dates the loss earlier and by how many days. Customers lost under one only are in the table "
            "above.",
            alt="Bars of the share of customers by days between the dates of two definitions; the numbers are in the table days_between.",
            figure=draw_days_apart(apart, labels=study.config.labels),
            source=("days_apart",),
        ),
        Table("days_between", "Days between the dates of the same customer", gaps, shown, notes=notes),
        Table("days_apart", "Days between the dates, in classes", apart, shown=False),
    ]


def _days_title(gaps: pd.DataFrame) -> str:
    known = gaps[gaps["customers"] > 0]
    row = known.loc[known["median"].abs().idxmax()]
    if row["median"] == 0:
        return "The definitions date most losses on the same day"
    first, second = row["definition_a"], row["definition_b"]
    first, second = (first, second) if row["median"] > 0 else (second, first)
    days = count(abs(row["median"]))
    return f"The same customer is lost up to {days} days earlier (median) under {first} than under {second}"


def _sizes(found: Definitions) -> str:
    """'1,341 customers and 458 churns under cancellation, ...'."""
    beside = found.beside
    return listed(
        [
            f"{counted(beside.at_risk(n), 'customer')} and {counted(beside.churned(n), 'churn')} under {n}"
            for n in found.names
        ]
    )


def _both(gaps: pd.DataFrame) -> str:
    """'186 to 428 customers lost under both of a pair'."""
    least, most = gaps["customers"].min(), gaps["customers"].max()
    if least == most:
        return f"{counted(most, 'customer')} lost under both"
    return f"{count(least)} to {counted(most, 'customer')} lost under both of a pair"


def _span(low: float, high: float) -> str:
    return f"{decimal(low, 0)} to {decimal(high, 0)}" if low == low else "–"


def headline(found: Definitions) -> str:
    """One sentence for the index page."""
    return _spread_title(found) + "."
