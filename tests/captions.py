"""What a reader may expect of every figure of a study: a title that says what is seen, and a caption with n, churns, level, method."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

METHODS = (
    "Kaplan-Meier", "Aalen-Johansen", "Nelson-Aalen", "Cox model", "Cox baseline", "Schoenfeld", "Clopper-Pearson", "exact Poisson",
    "mean cumulative count", "Korn and Graubard", "dfbeta", "martingale residual", "Gronnesby",
)  # fmt: skip
COUNTS = (
    "counts, no estimates",
    "a count of customers and no estimate",
)  # what is counted has no method and no interval
WITHOUT_INTERVAL = (*COUNTS, "Aalen-Johansen", "Deviance residual", "dfbeta")
DULL = re.compile(
    r"^(\w+: )?(Customers retained by|Retention (by|of those|that|with|, observed)|Monthly|Quarterly|Hazard ratios (by|in)|Departures per|"
    r"First and later|Where customers|When do|Cumulative hazard of|Baseline hazard of|Customers and their)"
)
CAUSAL = re.compile(r"\b(because|due to|effects? of|leads? to|drives?|caused?|thanks to|reduces|increases)\b", re.I)
BAD_NUMBERS = re.compile(
    r"\bnan\b|\bNone\b(?! of)|\binf\b|\b1 (customers|churns|spells|points)\b|(?<![\d.,-])(?!(?:19|20)\d\d\b)\d{4,}(?![\d-])|–%|\(–\)"
)
LONGEST = 200  # letters of a title


def figures_of(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Name, title and caption of each figure that a run has saved."""

    def walk(value: Any) -> Iterator[tuple[str, str, str]]:
        if isinstance(value, dict):
            if {"name", "title", "caption"} <= set(value):
                yield value["name"], value["title"], value["caption"]
            for inner in value.values():
                yield from walk(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from walk(inner)

    yield from walk(json.loads((folder / "document.json").read_text()))


def complaints(figures: Iterable[tuple[str, str, str]], level: str = "95%") -> list[str]:
    """What is missing or wrong, a line each; nothing where all is well."""
    wrong = []
    for name, title, caption in figures:
        without = [
            what
            for what, there in (
                ("customers", re.search(r"\d customers?\b", caption)),
                ("churns", re.search(r"\d churns?\b|churned: [\d,]+ of [\d,]+ customer", caption)),
                ("method", any(word in caption for word in (*METHODS, *COUNTS))),
                ("level", level in caption or any(word in caption for word in WITHOUT_INTERVAL)),
            )
            if not there
        ]
        wrong += [f"{name}: the caption lacks {what}: {caption}" for what in without]
        if DULL.search(title) or len(title) > LONGEST or not title or title.endswith((".", ",", ":")):
            wrong.append(f"{name}: the title says nothing, or too much: {title}")
        if CAUSAL.search(title):
            wrong.append(f"{name}: the title claims a cause: {title}")
        wrong += [f"{name}: {text}" for text in (title, caption) if BAD_NUMBERS.search(text)]
    return wrong
