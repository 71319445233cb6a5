"""A finding: something the run wants its reader to know, with the numbers behind it and a way out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, order=True)
class Finding:
    """One row of `tables/audit.csv`.

    `id` is stable and kebab-case (`separation`, `late-entry`, ...), `subject` is what it is about (a table, a definition,
    an indicator, a covariate), `message` says the way out too, `figure` holds the numbers as short text.
    """

    id: str
    severity: Severity
    subject: str
    message: str
    figure: str = ""
    allowed: str = ""  # the reason given under `allow:` in the config

    @property
    def text(self) -> str:
        """The message, without the subject where it begins with it: that is said before."""
        return self.message.removeprefix(f"{self.subject.rpartition(': ')[2]}: ")

    @property
    def line(self) -> str:
        """The finding in a line of plain text."""
        return f"{self.severity}: {self.id} ({self.subject}): {self.text}"

    def row(self) -> dict[str, Any]:
        """The finding as a plain mapping, in the order of audit.csv."""
        return asdict(self)
