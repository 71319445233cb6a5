"""Titles of figures that say what is seen, made from the frames that the figures are drawn from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from survival.plot.forest import covariate_label
from survival.plot.numbers import DAYS_PER_MONTH, count, decimal, percent, ratio

MODEL = "multivariable"


def forest_title(ratios: pd.DataFrame, labels: Mapping[str, str]) -> str:
    """How many ratios are clear, and which lies furthest from 1. `ratios`: one definition's rows of hazard_ratios.csv."""
    rows = ratios[ratios["model"] == MODEL] if "model" in ratios else ratios
    known = rows[rows["hazard_ratio"].notna() & rows["ci_lower"].notna()]
    clear = known[(known["ci_lower"] > 1) | (known["ci_upper"] < 1)]
    if clear.empty:
        if len(known) == 1:
            return "The hazard ratio is not clearly different from 1"
        return f"None of {count(len(known))} hazard ratios is clearly different from 1"
    furthest = clear.loc[np.log(clear["hazard_ratio"]).abs().idxmax()]
    name = labels.get(str(furthest["covariate"]), covariate_label(str(furthest["covariate"])))
    hr = f"(HR {ratio(furthest['hazard_ratio'])})"
    if len(known) == 1:
        return f"The hazard ratio of {name} is clearly different from 1 {hr}"
    many = f"{count(len(clear))} of {count(len(known))}" if len(clear) < len(known) else f"All {count(len(known))}"
    are = "is" if len(clear) == 1 else "are"
    furthest_is = f"that of {name}" if len(clear) == 1 else f"the furthest is that of {name}"
    return f"{many} hazard ratios {are} clearly different from 1: {furthest_is} {hr}"


def hazard_title(smooth: pd.DataFrame) -> str:
    """When the hazard is highest, and in which stratum. `smooth`: stratum, tenure (days), hazard (a day)."""
    known = smooth[smooth["hazard"].notna()]
    if known.empty:
        return "Baseline hazard of churn over tenure"
    top = known.iloc[int(known["hazard"].to_numpy(float).argmax())]
    month = decimal(float(top["tenure"]) / DAYS_PER_MONTH, 0)
    when = "at the start of tenure" if month == "0" else f"around month {month} of tenure"
    much = f"{percent(30 * float(top['hazard']))} in 30 days"
    if "stratum" in known and known["stratum"].nunique() > 1:
        return f"The highest baseline hazard is that of “{top['stratum']}”, {when}, {much}"
    return f"The baseline hazard is highest {when}, {much}"


def flags_title(totals: pd.DataFrame) -> str:
    """For how many flags more leave while it is on. `totals`: covariate, state (on, off), tenure, cumulative_hazard."""
    ends = totals.dropna(subset=["cumulative_hazard"]).pivot_table(
        index=["covariate", "tenure"], columns="state", values="cumulative_hazard", aggfunc="last"
    )
    if not {"on", "off"} <= set(ends.columns):
        return "Cumulative hazard of churn with each flag on and off"
    ends = ends.groupby("covariate", sort=False)[["on", "off"]].ffill().dropna()
    last = ends.groupby("covariate", sort=False).last()
    higher, n = int((last["on"] > last["off"]).sum()), len(last)
    if higher in (0, n):
        which = "a flag is on, whichever it is" if n > 1 else "the flag is on"
        return f"Customers leave {'faster' if higher else 'more slowly'} while {which}"
    rest = "the other" if n - higher == 1 else f"the other {count(n - higher)}"
    return f"For {count(higher)} of the {count(n)} flags customers leave faster while it is on; for {rest}, more slowly"


def hazards_title(smooths: pd.DataFrame) -> str:
    """For how many flags the smoothed hazard is higher while it is on. `smooths`: covariate, state (on, off), tenure, hazard."""
    most = []
    for _, rows in smooths.dropna(subset=["hazard"]).groupby("covariate", sort=False):
        on, off = (rows[rows["state"] == state].sort_values("tenure") for state in ("on", "off"))
        if on.empty or off.empty:
            continue
        both = on[on["tenure"].between(off["tenure"].min(), off["tenure"].max())]
        if len(both):
            most.append(bool((both["hazard"] > np.interp(both["tenure"], off["tenure"], off["hazard"])).mean() > 0.5))
    if not most:
        return "Too few customers to compare the smoothed hazards with a flag on and off"
    higher, n = sum(most), len(most)
    if n == 1:
        return f"The smoothed hazard is higher while the flag is {'on' if higher else 'off'} over most of the tenures compared"
    many = "none" if not higher else ("both" if n == 2 else f"all {count(n)}") if higher == n else count(higher)
    of = "" if higher == n else f" of {count(n)}"
    return f"For {many}{of} flags the smoothed hazard is higher while the flag is on over most of the tenures compared"


def lag_title(profile: pd.DataFrame) -> str:
    """How many ratios are still clear at the longest lag, of those clear at the shortest. `profile`: one definition's rows."""
    first, last = profile["lag"].min(), profile["lag"].max()
    clear = (profile["ci_lower"] > 1) | (profile["ci_upper"] < 1)
    at_first, at_last = (set(profile.loc[clear & (profile["lag"] == lag), "covariate"]) for lag in (first, last))
    if first == last or not at_first:
        return "Hazard ratios by lag"
    kept = len(at_first & at_last)
    still = "none is" if not kept else f"{count(kept)} still {'is' if kept == 1 else 'are'}"
    if len(at_first) == 1:
        return (
            f"The one hazard ratio that is clear at a lag of {count(first)} days "
            f"{'still is' if kept else 'is no longer clear'} at {count(last)} days"
        )
    return f"Of {count(len(at_first))} hazard ratios that are clear at a lag of {count(first)} days, {still} at {count(last)} days"
