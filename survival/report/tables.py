"""Tables as CSV (raw, round-trips), HTML, LaTeX with booktabs, and Markdown.

`display_frame` formats a raw frame by the names of its columns; every writer below takes the strings it returns.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survival.plot import numbers
from survival.report.document import Table

# Columns of text in the tables that others read: never parsed as numbers (a cohort may be called 2024 or NA).
TEXT_COLUMNS = (
    "definition", "cohort", "cohort_a", "cohort_b", "test", "model", "covariate", "cause", "step", "reason", "id",
    "severity", "subject", "message", "figure", "allowed", "period", "customer_id", "top_indicator", "reasons", "play",
    "table", "stratum", "state", "level_name",
)  # fmt: skip

HEADERS = {
    "definition": "Churn definition", "at_risk": "At risk", "events": "Churned", "censored": "Censored",
    "entered": "Entered", "retention": "Retention", "tenure": "Tenure (days)", "ci_lower": "95% CI, lower",
    "ci_upper": "95% CI, upper", "hazard_ratio": "Hazard ratio", "coef": "Coefficient", "se": "SE",
    "robust_se": "Robust SE", "p": "p", "p_adjusted": "Adjusted p", "statistic": "Statistic", "df": "df", "z": "z",
    "exposed_share": "Share of time exposed", "events_exposed": "Churned while exposed", "ph_statistic": "PH statistic",
    "ph_p": "PH test, p", "rmst": "Mean days retained", "horizon": "Up to day", "cohort_a": "Cohort",
    "cohort_b": "Against", "person_days": "Person-days", "churns": "Churned", "log_likelihood": "Log-likelihood",
    "log_likelihood_null": "Log-likelihood, null", "lr_statistic": "Likelihood ratio", "aic": "AIC", "id": "Finding",
    "lag": "Lag (days)", "customers_at_start": "At start", "joined_and_left": "Joined and left",
    "monthly_rate": "Monthly rate", "annualised_rate": "Annualised rate", "incidence": "Incidence", "figure": "Numbers",
    "quantile": "Share who left", "month": "Tenure (months)", "mrr_at_start": "Revenue at start", "mrr_lost": "Lost",
}  # fmt: skip

_SHARES = {"retention", "exposed_share", "incidence", "monthly_rate", "annualised_rate", "share", "p_30", "p_90"}
_RATIOS = {"hazard_ratio"}
_P = {"p", "p_adjusted", "ph_p"}
_COUNTS = {
    "at_risk", "events", "censored", "entered", "events_exposed", "customers", "episodes", "churns", "person_days", "df",
    "tenure", "lag", "horizon", "rows", "used", "rows_read", "iterations", "churned", "customers_at_start", "month",
    "joined_and_left", "rank",
}  # fmt: skip


def header(column: str) -> str:
    """What stands above a column."""
    return HEADERS.get(column, column.replace("_", " ").strip().capitalize() if column.islower() else column)


def _formatter(column: str, frame: pd.DataFrame) -> Callable[[Any], str]:
    if column in {"ci_lower", "ci_upper"}:
        # The interval is of the column that the table is about: its first ratio or share.
        about = next((c for c in frame.columns if c in _RATIOS | _SHARES), None)
        if about in _RATIOS:
            return lambda x: numbers.ratio(x, limit=True)
        if about in _SHARES and "rmst" not in frame.columns:
            return numbers.percent
        return _places(frame[[c for c in ("ci_lower", "ci_upper") if c in frame]])
    if column in _SHARES:
        return numbers.percent
    if column in _RATIOS:
        return lambda x: numbers.NOT_ESTIMABLE if numbers.is_missing(x) else numbers.ratio(x)
    if column in _P:
        return numbers.p_value
    return numbers.count if column in _COUNTS else _places(frame[column])


def _places(values: pd.Series | pd.DataFrame) -> Callable[[Any], str]:
    """One number of decimals for a column: none for whole numbers, fewer the larger its largest."""
    known = np.abs(np.asarray(values, dtype=float).ravel())
    known = known[np.isfinite(known)]
    whole, largest = bool((known == np.floor(known)).all()), float(known.max(initial=0))
    places = 0 if whole else 1 if largest >= 100 else 2 if largest >= 10 else 3
    return lambda x: numbers.decimal(x, places)


def display_frame(frame: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """The frame as strings under readable headers; numbers as journals write them, by the column's name.

    `level`: of the intervals, said above their limits.
    """
    out = []
    for i, column in enumerate(map(str, frame.columns)):
        values = frame.iloc[:, i]
        if pd.api.types.is_bool_dtype(values.dtype):
            text = ["yes" if v is True or v == 1 else "no" for v in values]
        elif pd.api.types.is_numeric_dtype(values.dtype):
            write = _formatter(column, frame)
            text = [write(v) for v in values.tolist()]
        else:
            text = [numbers.MISSING if numbers.is_missing(v) or v == "" else str(v) for v in values]
        out.append(
            pd.Series(text, dtype=object, name=header(column).replace("95% CI", f"{numbers.confidence(level)} CI"))
        )
    return pd.concat(out, axis=1) if out else pd.DataFrame()


def shown(table: Table) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The strings to show, cut to `max_rows`, and the notes, with one that says what was cut."""
    display = display_frame(table.frame, table.level) if table.display is None else display_as_text(table.display)
    notes = table.notes
    if len(display) > table.max_rows:
        whole = f"The first {numbers.count(table.max_rows)} of {numbers.count(len(display))} rows; "
        notes = (*notes, whole + f"all are in tables/{table.name}.csv.")
        display = display.iloc[: table.max_rows]
    return display, notes


def display_as_text(display: pd.DataFrame) -> pd.DataFrame:
    """A frame made for display, every cell as text."""
    return display.map(lambda v: numbers.MISSING if numbers.is_missing(v) else str(v)).rename(columns=str)


# --- CSV -------------------------------------------------------------------------------------------------------------


def csv_text(frame: pd.DataFrame) -> str:
    """CSV with line feeds: floats in the fewest digits that read back as the same number, missing as nothing."""
    columns = [_csv_cells(frame.iloc[:, i]) for i in range(frame.shape[1])]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([str(c) for c in frame.columns])
    writer.writerows(zip(*columns))
    return out.getvalue()


def _csv_cells(values: pd.Series) -> list[str]:
    if pd.api.types.is_bool_dtype(values.dtype):
        return ["true" if v else "false" for v in values.tolist()]
    return [_csv_cell(v) for v in values.tolist()]


def _csv_cell(v: Any) -> str:
    if numbers.is_missing(v):
        return ""
    if isinstance(v, float):
        return repr(v)[:-2] if repr(v).endswith(".0") else repr(v)
    if isinstance(v, bool):
        return "true" if v else "false"
    return str(v)


def read_csv(path: Path | io.StringIO, text_columns: tuple[str, ...] = TEXT_COLUMNS) -> pd.DataFrame:
    """Read a table back as it was written: the same floats, and names such as `NA` or `2024` as text."""
    dtype: dict[str, Any] = dict.fromkeys(text_columns, str)
    return pd.read_csv(path, dtype=dtype, keep_default_na=False, na_values=[""], float_precision="round_trip")


# --- HTML ------------------------------------------------------------------------------------------------------------

_SORTABLE = 6  # rows
_WORD = 24  # letters of a name that stay together where its column has no room
_LONG = re.compile(rf"[^\s]{{{_WORD + 5},}}")
_KEPT = re.compile(r"(?<=&lt;) |(?<=&gt;) |(?<=\d) (?=(?:days?|months?)\b)")  # spaces where no line ends
_CODE = re.compile(r"`([^`\n]{1,120})`")
_NUMERIC = re.compile(
    r"[<>]?\s*[+−-]?[\d∞](?:[\d.,%–()\s∞+−†-]|\bto\b)*\Z|–\Z|not estimable\Z|not in the (?:model|run)\Z|reference\Z|\Z"
)


def numeric_columns(display: pd.DataFrame) -> list[bool]:
    """Which columns hold numbers, and so are set flush right."""
    return [
        i > 0 and any(display.iloc[:, i]) and all(bool(_NUMERIC.match(v)) for v in display.iloc[:, i])
        for i in range(display.shape[1])
    ]


def table_html(table: Table, number: int | None = None) -> str:
    """A <table> with caption, header scopes and notes, inside a box that scrolls sideways on its own."""
    display, notes = shown(table)
    numeric = numeric_columns(display)
    label = f"<b>Table {number}.</b> " if number else ""
    short = [all(len(v) <= 28 for v in display.iloc[:, i]) for i in range(display.shape[1])]
    kind = [' class="n"' if n else ' class="s"' if s else "" for n, s in zip(numeric, short)]
    head = "".join(f'<th scope="col"{k}>{_cell(str(c))}</th>' for c, k in zip(display.columns, kind))
    head = head or '<th scope="col">Nothing</th>'
    rows = []
    for cells in display.itertuples(index=False, name=None):
        first = f'<th scope="row"{kind[0]}>{_cell(cells[0])}</th>' if cells else ""
        rest = "".join(f"<td{k}>{_cell(c)}</td>" for c, k in zip(cells[1:], kind[1:]))
        rows.append(f"<tr>{first}{rest}</tr>")
    if not rows:
        rows = [f'<tr><td colspan="{max(1, display.shape[1])}">No rows.</td></tr>']
    foot = "".join(f'<p class="note">{prose_html(n)}</p>' for n in notes)
    sort = " data-sort" if sortable(display) else ""
    return (
        f'<div class="table" id="table-{table.name}"><div class="scroll" tabindex="0" role="region" '
        f'aria-label="{escape(table.title)}">\n<table{sort}>\n<caption>{label}{escape(table.title)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + f"\n</tbody>\n</table></div>{foot}</div>"
    )


def sortable(display: pd.DataFrame) -> bool:
    """Whether a page lets its reader sort the rows: many, each complete by itself, not a line below a heading.

    A first column "Figure" names what each row counts: such rows have unlike units and no order.
    """
    if len(display) < _SORTABLE or display.shape[1] < 2 or display.columns[0] == "Figure":
        return False
    first = display.iloc[:, 0]
    return bool(first.ne("").all()) and not any(v != v.lstrip() for v in first)


def _cell(text: str) -> str:
    """Escaped, '< 0.001' and '30 days' kept on one line, and a long name without spaces broken where the column ends."""
    pieces = _LONG.sub(lambda word: "\0".join(re.findall(f".{{1,{_WORD}}}", word[0])), text)
    return _KEPT.sub("\u00a0", escape(pieces)).replace("\0", "<wbr>")


def prose_html(text: str) -> str:
    """Escaped, and `retention.landmark` set as code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


# --- LaTeX -----------------------------------------------------------------------------------------------------------

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "–": "--", "—": "---", "−": r"$-$", "∞": r"$\infty$", "≥": r"$\geq$", "≤": r"$\leq$",
    "×": r"$\times$", "β": r"$\beta$", "χ": r"$\chi$", "κ": r"$\kappa$", "²": r"\textsuperscript{2}",
    "…": r"\ldots{}", '"': "''", "“": "``", "”": "''", "†": r"\dag{}", "\n": " ",
    "[": "{[}", "]": "{]}", "\u2003": r"\quad ", "\u00a0": "~",
}  # fmt: skip
_LATEX_WIDE = 60  # characters that fit on a line of an A4 page
_LATEX_LETTERS = 0x17F  # the last of those that pdfLaTeX sets as they are


def latex_escape(text: str) -> str:
    """Plain text for LaTeX: every character that means something to it is escaped."""
    return "".join(_LATEX.get(c, c) for c in text)


def table_latex(table: Table) -> str:
    """A booktabs table (more than 40 rows: longtable) with caption, label and notes; scaled down where it is wider than the page.

    Its first line names the packages that it needs.
    """
    display, notes = shown(table)
    columns = "".join("r" if n else "l" for n in numeric_columns(display)) or "l"
    head = " & ".join(latex_escape(str(c)) for c in display.columns) + r" \\"
    body = [" & ".join(latex_escape(c) for c in row) + r" \\" for row in display.itertuples(index=False, name=None)]
    caption = rf"\caption{{{latex_escape(table.title)}}}\label{{tab:{table.name.replace('_', '-')}}}"
    foot = [rf"\par\smallskip\raggedright\footnotesize {latex_escape(n)}" for n in notes]
    widths = [max([len(str(c)), *display[c].map(len)]) + 2 for c in display.columns]
    wide = sum(widths) > _LATEX_WIDE
    if len(body) > 40:
        needs = ["booktabs", "longtable"]
        # A table over several pages cannot be scaled: where it is wide small letters, and as much of both margins.
        margins = r"\setlength{\LTleft}{0pt plus 1fill minus 1fill}\setlength{\LTright}{0pt plus 1fill minus 1fill}"
        size = r"\scriptsize\setlength{\tabcolsep}{3pt}" + margins if wide else ""
        begin = r"{" + size + rf"\begin{{longtable}}{{{columns}}}"
        lines = [begin, caption + r"\\", r"\toprule", head, r"\midrule", r"\endhead"]
        lines += [r"\bottomrule", r"\endfoot", *body, r"\end{longtable}", *foot, r"\par}"]
    else:
        needs = ["booktabs"]
        inner = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule"]
        inner.append(r"\end{tabular}")
        if wide:
            needs.append("graphicx")
            inner = [r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%", *inner[:-1], inner[-1] + "}"]
        lines = [r"\begin{table}[htbp]", r"\centering", caption, *inner, *foot, r"\end{table}"]
    said = [rf"% needs \usepackage{{{', '.join(needs)}}}"]
    if any(ord(c) > _LATEX_LETTERS for line in lines for c in line):
        said.append("% has letters that pdfLaTeX does not know: use XeLaTeX or LuaLaTeX, with a font that has them")
    return "\n".join([*said, *lines]) + "\n"


# --- Markdown --------------------------------------------------------------------------------------------------------


def markdown_escape(text: str) -> str:
    """Plain text for Markdown: nothing in it is read as markup, HTML or a cell border."""
    text = re.sub(r"([\\`*_{}\[\]<>|#&~$])", r"\\\1", text).replace("\n", " ")
    return re.sub(r"^(\s*\d*)([-+.)])(?=\s)", r"\1\\\2", text)  # not a list


def prose_markdown(text: str) -> str:
    """Plain text for Markdown, but what is between backticks stays code."""
    return "".join(f"`{part}`" if i % 2 else markdown_escape(part) for i, part in enumerate(_CODE.split(text)))


def table_markdown(table: Table, number: int | None = None) -> str:
    """A pipe table under its title, notes below."""
    display, notes = shown(table)
    label = f"**Table {number}.** " if number else ""
    lines = [label + markdown_escape(table.title), ""]
    if display.shape[1]:
        lines.append("| " + " | ".join(markdown_escape(str(c)) for c in display.columns) + " |")
        lines.append("|" + "|".join("---:" if n else ":---" for n in numeric_columns(display)) + "|")
        lines += ["| " + " | ".join(map(markdown_escape, r)) + " |" for r in display.itertuples(index=False, name=None)]
    lines += [line for n in notes for line in ("", prose_markdown(n))]
    return "\n".join(lines) + "\n"
