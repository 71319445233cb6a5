"""How far definitions and indicators look back, and what follows: the warm-up, circularity, unbounded histories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from survival.churn.definition import Definition, Reads
from survival.findings import Finding
from survival.indicators.indicator import Indicator

if TYPE_CHECKING:
    from survival.data import Observed


def look_back(definition: Definition | None, indicators: Iterable[Indicator]) -> int:
    """The longest look-back in use, in days."""
    days = [indicator.look_back for indicator in indicators]
    return max([0, *days, *([definition.look_back] if definition else [])])


def warm_up_days(
    observed: Observed, definition: Definition, indicators: Mapping[str, Indicator], update_every: int = 1
) -> int:
    """Days after `observed.from` on which those who signed up earlier enter.

    `auto`: the longest look-back in use, plus `update_every` - 1. An explicit number is taken as it is.
    """
    if observed.warm_up != "auto":
        return int(observed.warm_up)
    return look_back(definition, indicators.values()) + update_every - 1


def needs(*readers: Definition | Indicator) -> Reads:
    """All tables and columns that the readers must have, as `open_tables(need=...)` takes them."""
    return _merged(reader.reads() for reader in readers)


def may_need(*readers: Definition | Indicator) -> Reads:
    """Optional columns that the readers use when they are mapped."""
    return _merged(reader.may_read() for reader in readers)


def _merged(parts: Iterable[Reads]) -> Reads:
    merged: Reads = {}
    for part in parts:
        for table, columns in part.items():
            merged.setdefault(table, set()).update(columns)
    return merged


def circularity(definition: Definition, indicators: Mapping[str, Indicator]) -> tuple[Finding, ...]:
    """Indicators that read the table whose silence is churn, with a lag shorter than the definition's window."""
    return tuple(
        Finding(
            "circularity",
            "warning",
            name,
            f"{name} and churn by {definition.kind} read the same table ({table}), and its lag of {indicator.lag} days "
            f"is shorter than the definition's window of {window}: the indicator partly restates churn. "
            f"Set `lag: {window}` or more, or leave it out.",
            f"lag={indicator.lag}, window={window}",
        )
        for name, indicator in indicators.items()
        for table, window in definition.windows.items()
        if table in indicator.reads() and indicator.lag < window
    )


def unbounded(indicators: Mapping[str, Indicator], late: int) -> tuple[Finding, ...]:
    """Indicators without a bounded window, when `late` customers enter late: no warm-up completes their history."""
    return tuple(
        Finding(
            "unbounded-look-back",
            "warning",
            name,
            f"{name} ({indicator.kind}) looks back without limit, and {late:,} customers signed up before observed.from: "
            "what happened to them before the log started is not in it, however long the warm-up.",
            f"late={late}",
        )
        for name, indicator in indicators.items()
        if late and not indicator.is_bounded
    )
