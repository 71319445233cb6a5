"""Small frames with the fixed columns, for the tests of figures and reports. Nothing here is a real estimate."""

from __future__ import annotations

import numpy as np
import pandas as pd

from survival.findings import Finding
from survival.plot import forest, retention_curves
from survival.report import Bullets, Facts, Figure, Findings, Paragraph, Preformatted, Report, Section, Table

NASTY = "<b>& 50 % _x_ $5 {a}"


def retention(cohorts: list[str], tenures: int = 30) -> pd.DataFrame:
    parts = []
    for i, cohort in enumerate(cohorts):
        t = np.arange(0, 12 * (tenures + 1), 12.0)
        s = np.exp(-t / (300 + 40 * i))
        low, high = s ** (1.2), s ** (0.8)
        low[0] = high[0] = np.nan
        frame = pd.DataFrame(
            {
                "definition": "cancellation",
                "cohort": cohort,
                "tenure": t,
                "retention": s,
                "ci_lower": low,
                "ci_upper": high,
            }
        )
        parts.append(frame.assign(at_risk=100, events=1, censored=0, entered=0))
    return pd.concat(parts, ignore_index=True)


def at_risk(cohorts: list[str], tenures: tuple[float, ...] = (0, 91.3125, 182.625, 273.9375)) -> pd.DataFrame:
    rows = [(c, t, 1000 * (i + 1) + round(t)) for i, c in enumerate(cohorts) for t in tenures]
    return pd.DataFrame(rows, columns=["cohort", "tenure", "at_risk"])


def hazard_ratios() -> pd.DataFrame:
    names = ["open_ticket", "overdue", "plan[T.pro]", "seats", "no_renewal"]
    coef = np.array([np.log(1.84), 0.05, np.log(0.41), -0.01, np.nan])
    se = np.array([0.0977, 0.1, 0.2, 0.004, np.nan])
    parts = []
    for model, k in (("univariable", 1.1), ("multivariable", 1.0)):
        b = k * coef
        parts.append(
            pd.DataFrame(
                {
                    "definition": "cancellation", "model": model, "covariate": names, "coef": b, "hazard_ratio": np.exp(b),
                    "ci_lower": np.exp(b - 1.96 * se), "ci_upper": np.exp(b + 1.96 * se), "se": se, "robust_se": se,
                    "z": b / se, "p": [1e-9, 0.62, 1e-5, 0.012, np.nan],
                    "exposed_share": [0.2, 0.1, 0.3, np.nan, 0.01], "events_exposed": [150, 60, 80, np.nan, 0],
                    "ph_statistic": [1.0] * 4 + [np.nan], "ph_p": [0.3, 0.4, 0.003, 0.5, np.nan],
                }
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def report() -> Report:
    cohorts = ["2024-Q1", NASTY]
    curves = retention(cohorts)
    nasty = pd.DataFrame(
        {"cohort": [NASTY, "NA", "2024"], "tenure": [30, 90, 365], "retention": [0.1 + 0.2, np.nan, 1.0]}
    )
    return Report(
        f"Title {NASTY}",
        f"Subtitle {NASTY}",
        (
            Section("Findings"),
            Bullets((f"Finding {NASTY}",), key=True),
            Facts(((f"Term {NASTY}", f"Value {NASTY}"),)),
            Section("Figures"),
            Figure(
                "retention", f"Figure {NASTY}", "Caption.", f'Alt "{NASTY}"', retention_curves(curves), ("retention",)
            ),
            Figure("forest", "Forest", f"Caption {NASTY}", "Forest plot", forest(hazard_ratios())),
            Section("Figures", 3),
            Table("retention", "Curves", curves, shown=False),
            Table("nasty", f"Table {NASTY}", nasty, notes=(f"Note {NASTY}",)),
            Table("hazard_ratios", "Hazard ratios", hazard_ratios()),
            Findings((Finding("late-entry", "note", "customers", f"Message {NASTY}", "3 of 4", "known"),)),
            Paragraph(f"Paragraph {NASTY}"),
            Preformatted(f"config: {NASTY}\n  ```: 1", f"Config {NASTY}"),
        ),
        {f"Study {NASTY}": f"hazard_ratios {NASTY}"},
        headline=f"Headline {NASTY}",
    )
