"""Date formats as users write them (`%d-%m-%Y`) turned into regular expressions, which every engine has.

Each format gives one pattern whose groups are year, month, day and, for moments with an offset, the time and the offset;
the engine then reads the ISO text put together from them, so that the 30th of February stays unreadable.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LONG = "january|february|march|april|may|june|july|august|september|october|november|december"

# directive -> (group name, or empty when the value does not matter for the day, and its pattern)
_DIRECTIVES: dict[str, tuple[str, str]] = {
    "Y": ("Y", r"\d{4}"),
    "y": ("y", r"\d{2}"),
    "m": ("m", r"1[0-2]|0?[1-9]"),
    "d": ("d", r"3[01]|[12]\d|0?[1-9]"),
    "b": ("b", "|".join(MONTHS)),
    "B": ("b", _LONG),
    "H": ("H", r"2[0-3]|[01]?\d"),
    "I": ("I", r"1[0-2]|0?[1-9]"),
    "M": ("M", r"[0-5]?\d"),
    "S": ("S", r"[0-5]?\d"),
    "f": ("", r"\d{1,9}"),
    "p": ("p", r"am|pm"),
    "z": ("z", r"z|[+-]\d{2}:?\d{2}"),
    "a": ("", r"mon|tue|wed|thu|fri|sat|sun"),
    "A": ("", r"monday|tuesday|wednesday|thursday|friday|saturday|sunday"),
}
_SHORTHANDS = {"%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%D": "%m/%d/%y", "%R": "%H:%M"}

# What `date_format` is likely to be when text dates do not parse; unambiguous ones first.
COMMON = (
    "%Y%m%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d %b %Y",
    "%d-%b-%Y",
    "%b %d, %Y",
)


@dataclass(frozen=True)
class DatePattern:
    """A format as a pattern over the lower-cased text, and the group number of each part."""

    format: str
    pattern: str
    groups: dict[str, int]

    def reads(self, text: str) -> bool:
        """Whether the text is a day in this format (used for hints only)."""
        found = re.fullmatch(self.pattern[1:-1], text.strip().lower())
        if not found:
            return False
        part = {k: found.group(v) for k, v in self.groups.items()}
        year = int(part["Y"]) if "Y" in part else century(int(part["y"]))
        month = MONTHS.index(part["b"][:3]) + 1 if "b" in part else int(part["m"])
        try:
            dt.date(year, month, int(part["d"]))
        except ValueError:
            return False
        return True


def century(two_digits: int) -> int:
    """The year of a two-digit one, as POSIX has it: 69-99 are 19xx, 00-68 are 20xx."""
    return two_digits + (1900 if two_digits >= 69 else 2000)


def pattern_of(text: str) -> DatePattern:
    """Turn a date format into a pattern; ValueError names what is not understood."""
    expanded = text
    for short, long in _SHORTHANDS.items():
        expanded = expanded.replace(short, long)
    pieces: list[str] = []
    groups: dict[str, int] = {}
    for literal, directive in re.findall(r"([^%]+)|%(.?)", expanded):
        if literal:
            pieces.append(re.sub(r"(?:\\ )+", r"\\s+", re.escape(literal.lower())))
        elif directive == "%":
            pieces.append("%")
        else:
            pieces.append(_group(text, directive, groups))
    if not ({"Y", "y"} & set(groups) and {"m", "b"} & set(groups) and "d" in groups):
        raise ValueError(f"date_format {text!r} needs a year (%Y or %y), a month (%m, %b or %B) and a day (%d)")
    return DatePattern(text, "^" + "".join(pieces) + "$", groups)


def _group(text: str, directive: str, groups: dict[str, int]) -> str:
    if directive not in _DIRECTIVES:
        allowed = " ".join("%" + d for d in _DIRECTIVES)
        raise ValueError(f"date_format {text!r}: %{directive} is not understood; allowed: {allowed} %F %T %R %D")
    name, pattern = _DIRECTIVES[directive]
    if not name:
        return f"(?:{pattern})"
    if name in groups:
        raise ValueError(f"date_format {text!r}: %{directive} stands twice")
    groups[name] = len(groups) + 1
    return f"({pattern})"
