"""The part of a report that puts the hazard ratios of several definitions of churn side by side."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from survival.errors import EstimationError
from survival.experiment.definitions import Compared, compared
from survival.experiment.hazard_blocks import FIT_NOTE, turned
from survival.experiment.models import fits, hazard_ratios
from survival.experiment.phrases import phrases, shown_labels
from survival.experiment.study import Study
from survival.plot.forest import covariate_label
from survival.plot.grouped_forest import grouped_forest
from survival.plot.numbers import confidence, counted, p_value, ratio_with_interval
from survival.report.definition_wording import (
    LOST,
    NOT_COMPARED,
    changes_summary,
    conclusion_sentence,
    listed,
    nothing_changes,
)
from survival.report.document import Block, Bullets, Figure, Paragraph, Section, Table

ALPHA = 0.05


def fitted(study: Study) -> Compared | None:
    """The models where the config has a formula; None without, and where none can be estimated (which is noted)."""
    if not study.config.model.formula:
        return None
    try:
        return compared(study)
    except EstimationError:
        return None


def conclusion_sentences(study: Study, made: Compared, said: pd.DataFrame) -> list[str]:
    """A sentence for each covariate whose direction or significance changes with the definition."""
    words = {name: phrase for m in made.models for name, phrase in phrases(study, m).items()}
    groups = said.groupby("covariate", sort=False)
    texts = [
        conclusion_sentence(rows.to_dict("records"), words.get(str(name)), level=study.config.level)
        for name, rows in groups
    ]
    return [text for text in texts if text]


def changes(study: Study, made: Compared, said: pd.DataFrame) -> str:
    """Which conclusions change with the definition, by name; '' where none does."""
    return changes_summary(_kinds(said), _labels(study, made))


def _kinds(said: pd.DataFrame) -> dict[str, str]:
    """Covariate -> its change, of those compared under two definitions or more."""
    kinds = said.drop_duplicates("covariate").set_index("covariate")["change"]
    return {str(name): str(kind) for name, kind in kinds.items() if kind}


def unchanged(study: Study, said: pd.DataFrame) -> str:
    """What does not change, and how many differences in size are left after adjustment."""
    known = _kinds(said)
    tested = said["p_adjusted"].dropna()
    return nothing_changes(known, len(known), len(study.definitions), int((tested < ALPHA).sum()), len(tested))


def _share_of(changed: int, compared: int) -> str:
    if changed == compared:
        return "The conclusion changes" if compared == 1 else f"All {compared} conclusions change"
    return f"{changed} of {compared} conclusions change{'s' if changed == 1 else ''}"


def _forest(study: Study, made: Compared, said: pd.DataFrame) -> Figure:
    """The forest plot: a block a covariate, a line a definition."""
    words = {NOT_COMPARED: "not compared", LOST: "not estimable"}
    rows = said.assign(said=[words.get(c, "") for c in said["conclusion"]])
    tests = said.groupby("covariate", sort=False)["change"].first()
    notes = {str(name): {"none": "no", "": "–"}.get(kind, f"yes: {kind}") for name, kind in tests.items()}
    churns = listed(
        [
            f"{counted(m.full.customers, 'customer')} and {counted(m.full.events, 'churn')} under {m.definition}"
            for m in made.models
        ]
    )
    changed = int(tests.isin(["direction", "significance"]).sum())
    compared = int((tests != "").sum())
    robust = made.models[0].full.options.robust
    left_out = (
        " Not compared: the indicator reads the table whose silence is churn, within the definition's window, and is left out of that "
        "definition's model."
        if (said["conclusion"] == NOT_COMPARED).any()
        else ""
    )
    return Figure(
        name="forest_definitions",
        title=f"{_share_of(changed, compared)} with the definition of churn"
        if changed
        else "No conclusion changes with the definition of churn",
        caption=f"Hazard ratios of multivariable Cox models, one a definition ({churns}); {confidence(study.config.level)} intervals "
        f"from the {'robust variance, clustered by customer' if robust else 'model-based variance'}.{left_out}",
        alt="Forest plot: for each covariate a line a definition, hazard ratio and interval on a log axis; the table has the numbers.",
        figure=grouped_forest(
            rows,
            row="definition",
            labels=_labels(study, made),
            row_labels=study.config.labels,
            notes=notes,
            note_title="Changes?",
            level=study.config.level,
        ),
        source=("conclusions",),
    )


def ratio_blocks(study: Study, made: Compared, said: pd.DataFrame, echoes: Sequence[str] = ()) -> list[Block]:
    """What to beware of (`echoes`), what was left out, the forest plot, and tables."""
    study.used("definition-differences")
    frame = hazard_ratios(study, made.models)
    table = fits(made.models)
    changed = conclusion_sentences(study, made, said)
    blocks: list[Block] = [
        Section("What goes before churn, under each definition"),
        Bullets(tuple(changed or ["No conclusion changes with the definition."])),
        *(Paragraph(f"Beware: {echo}") for echo in echoes),
        *map(Paragraph, _left_out(study, made)),
        _forest(study, made, said),
        _conclusion_table(said, _labels(study, made), f"{confidence(study.config.level)} CI"),
        Table("hazard_ratios", "Hazard ratios, all columns", frame, shown=False),
        Table("fit", "The models", table, turned(table), notes=(FIT_NOTE,)),
    ]
    return blocks


def _left_out(study: Study, made: Compared) -> list[str]:
    """A sentence for each set of indicators that is left out, with the definitions that are built from them."""
    by: dict[tuple[str, ...], list[str]] = {}
    for name, names in made.left_out.items():
        if names:
            by.setdefault(names, []).append(name)
    return [
        f"Left out under {listed(under)}, which {'is' if len(under) == 1 else 'are'} built from the same log: "
        f"{listed([study.labels.get(n, n) for n in names])}."
        for names, under in by.items()
    ]


def _labels(study: Study, made: Compared) -> dict[str, str]:
    return {name: text for m in made.models for name, text in shown_labels(study, m).items()}


def _conclusion_table(said: pd.DataFrame, labels: dict[str, str], ci: str) -> Table:
    """A row a covariate and definition: the ratio, what it says, and how it differs from the first definition's."""
    rows = said.to_dict("records")
    same = any(r["conclusion_same_covariates"] for r in rows)
    shown = pd.DataFrame(
        {
            "Covariate": [
                labels.get(r["covariate"], covariate_label(r["covariate"])) if first else ""
                for r, first in zip(rows, ~said["covariate"].duplicated())
            ],
            "Definition": [r["definition"] for r in rows],
            f"HR ({ci})": [
                "–" if r["conclusion"] == NOT_COMPARED else ratio_with_interval(r["hazard_ratio"], r["ci_lower"], r["ci_upper"])
                for r in rows
            ],
            "Conclusion": [r["conclusion"] for r in rows],
            f"Ratio to the first ({ci})": [
                "–" if pd.isna(r["ratio_to_first"])
                else ratio_with_interval(r["ratio_to_first"], r["ratio_lower"], r["ratio_upper"])
                for r in rows
            ],
            "p, adjusted": [p_value(r["p_adjusted"]) for r in rows],
            **({"Same covariates": [r["conclusion_same_covariates"] or "–" for r in rows]} if same else {}),
        }
    )  # fmt: skip
    notes = [
        "Conclusion: higher or lower where the interval lies on one side of 1. Ratio to the first: this hazard ratio over that of the "
        "first definition with an estimate; the models share customers, so its variance comes from both by customer (Wei, Lin and "
        "Weissfeld 1989); p adjusted by Holm over the column."
    ]
    if same:
        notes.append(
            "Same covariates: the conclusion when every definition's model holds only the covariates that all have."
        )
    return Table("conclusions", "Conclusions under each definition", said, shown, notes=tuple(notes))
