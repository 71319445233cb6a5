"""How numbers are written, in figures and in reports: as journals want them.

A missing number is an en dash. Ranges have en dashes; below zero there is a true minus sign.
"""

from __future__ import annotations

import math
from decimal import Decimal

DAYS_PER_MONTH = 30.4375
MISSING = "–"
NOT_ESTIMABLE = "not estimable"


def is_missing(x: object) -> bool:
    """None, NaN, NA."""
    return x is None or type(x).__name__ == "NAType" or x != x


def count(x: float | None) -> str:
    """1234 -> '1,234'; a weighted count keeps one decimal."""
    if is_missing(x):
        return MISSING
    assert x is not None
    if math.isinf(x):
        return decimal(x)
    return decimal(x, 0) if float(x).is_integer() else decimal(x, 1)


def counted(x: float, thing: str) -> str:
    """'1 customer', '1,234 customers'."""
    return f"{count(x)} {thing}{'' if x == 1 else 's'}"


def decimal(x: float | None, places: int = 2) -> str:
    """Fixed decimals, thousands separated, a true minus sign."""
    if is_missing(x):
        return MISSING
    assert x is not None
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    text = f"{x:,.{places}f}"
    if text.startswith("-"):
        return text[1:] if float(text.replace(",", "")) == 0 else "−" + text[1:]
    return text


def percent(x: float | None, places: int = 1) -> str:
    """0.8123 -> '81.2%'."""
    return MISSING if is_missing(x) else decimal(100 * x, places) + "%"  # type: ignore[operator]


def confidence(level: float) -> str:
    """A level of confidence with the digits that it was given with: 0.95 -> '95%', 0.975 -> '97.5%', 0.999 -> '99.9%'."""
    return f"{(100 * Decimal(repr(float(level)))).normalize():f}%"


def ratio(x: float | None, *, limit: bool = False) -> str:
    """A hazard ratio: two decimals, more below 0.1, fewer from 10.

    `limit`: a confidence limit that would round to 1.00 gets a third decimal, so that it shows on which side of 1 it is.
    """
    if is_missing(x):
        return MISSING
    assert x is not None
    if limit and x != 1 and 0.9995 <= x < 1.0005:
        return f"{x:.4f}"
    if limit and x != 1 and 0.995 <= x < 1.005:
        return f"{x:.3f}"
    if x < 0.001:
        return "< 0.001"
    if x < 0.0995:
        return f"{x:#.2g}"
    if x < 9.995:
        return f"{x:.2f}"
    if x < 99.95:
        return f"{x:.1f}"
    return "> 10,000" if x > 1e4 else f"{x:,.0f}"


def ratio_with_interval(x: float | None, lower: float | None, upper: float | None) -> str:
    """'1.84 (1.52–2.23)', or 'not estimable'."""
    if is_missing(x):
        return NOT_ESTIMABLE
    if is_missing(lower) or is_missing(upper):
        return ratio(x)
    return f"{ratio(x)} ({ratio(lower, limit=True)}–{ratio(upper, limit=True)})"


def percent_with_interval(x: float | None, lower: float | None, upper: float | None) -> str:
    """'81.2% (79.0–83.3)'; a share at 0 or 1 has no interval."""
    if is_missing(x) or is_missing(lower) or is_missing(upper):
        return percent(x)
    assert lower is not None
    assert upper is not None
    return f"{percent(x)} ({decimal(100 * lower, 1)}–{decimal(100 * upper, 1)})"


def p_value(p: float | None) -> str:
    """'< 0.001', '0.032', '0.41', '> 0.99': three decimals below 0.1, two above."""
    if is_missing(p):
        return MISSING
    assert p is not None
    if p < 0.001:
        return "< 0.001"
    if p > 0.99:
        return "> 0.99"
    return f"{p:.3f}" if p < 0.0995 else f"{p:.2f}"


def p_phrase(p: float | None) -> str:
    """'p < 0.001', 'p = 0.032'."""
    text = p_value(p)
    if text == MISSING:
        return "p not available"
    return f"p {text}" if text[0] in "<>" else f"p = {text}"


def months(days: float) -> float:
    """Days as months of 30.4375 days."""
    return days / DAYS_PER_MONTH
