"""Titles of figures that say what is seen, made from the frames that the figures are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist

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
    many = _many(len(clear), len(known))
    are = "is" if len(clear) == 1 else "are"
    furthest_is = f"that of {name}" if len(clear) == 1 else f"the furthest is that of {name}"
    return f"{many} hazard ratios {are} clearly different from 1: {furthest_is} {hr}"


def _many(some: int, every: int) -> str:
    """'3 of 8', 'Both', 'All 8'."""
    return f"{count(some)} of {count(every)}" if some < every else "Both" if every == 2 else f"All {count(every)}"


def changing_title(failing: int, tested: int, alpha: float) -> str:
    """How many hazard ratios fail the test of proportional hazards."""
    by = f"by the test of proportional hazards (p < {alpha:g})"
    if tested == 1:
        return f"The hazard ratio changes with tenure {by}"
    return f"{_many(failing, tested)} hazard ratios change{'s' if failing == 1 else ''} with tenure {by}"


def periods_title(clear: int, tested: int) -> str:
    """How many hazard ratios differ between periods of tenure by their test."""
    if not clear:
        which = "The hazard ratio does not clearly differ" if tested == 1 else "No hazard ratio clearly differs"
        return f"{which} between periods of tenure"
    if tested == 1:
        return "The hazard ratio differs between periods of tenure"
    return f"{_many(clear, tested)} hazard ratios differ{'s' if clear == 1 else ''} between periods of tenure"


def hazard_title(smooth: pd.DataFrame) -> str:
    """When the hazard is highest, and in which stratum. `smooth`: stratum, tenure (days), hazard (a day)."""
    known = smooth[smooth["hazard"].notna()]
    if known.empty:
        return "Too few churns to smooth the baseline hazard"
    top = known.iloc[int(known["hazard"].to_numpy(float).argmax())]
    month = decimal(float(top["tenure"]) / DAYS_PER_MONTH, 0)
    when = "at the start of tenure" if month == "0" else f"around month {month} of tenure"
    much = f"{percent(30 * float(top['hazard']))} in 30 days"
    if "stratum" in known and known["stratum"].nunique() > 1:
        return f"The highest baseline hazard is that of “{top['stratum']}”, {when}, {much}"
    return f"The baseline hazard is highest {when}, {much}"


def flags_title(totals: pd.DataFrame, level: float = 0.95) -> str:
    """For how many flags more leave while it is on. `totals`: covariate, state (on, off), tenure, cumulative_hazard, se.

    Compared at the last tenure at which both states are known; clear where the interval of the difference leaves 0 outside: no
    customer is in both states at once, so the two estimates vary by themselves.
    """
    last = _last_of_both(totals)
    if last.empty:
        return "No flag was both on and off for long enough to compare"
    apart = (last["on"] - last["off"]).to_numpy(float)
    reach = NormalDist().inv_cdf((1 + level) / 2) * np.hypot(last["se_on"], last["se_off"]).to_numpy(float)
    faster, slower, n = int((apart > reach).sum()), int((apart < -reach).sum()), len(last)
    if n == 1:
        clear = "faster" if faster else "more slowly" if slower else "neither clearly faster nor clearly more slowly"
        return f"Customers leave {clear} while the flag is on"
    if n in (faster, slower):
        return f"Customers leave {'faster' if faster else 'more slowly'} while a flag is on, whichever it is"
    if not faster and not slower:
        which = "neither of the two" if n == 2 else f"none of the {count(n)}"
        return f"While {which} flags is on customers leave clearly faster or more slowly"
    said = [
        f"{count(many)} {'goes' if many == 1 else 'go'} with {how} leaving"
        for many, how in ((faster, "faster"), (slower, "slower"))
        if many
    ]
    rest = n - faster - slower
    unclear = f"; {count(rest)} {'is' if rest == 1 else 'are'} not clear" if rest else ""
    return f"Of {count(n)} flags, {' and '.join(said)} while on{unclear}"


def _last_of_both(totals: pd.DataFrame) -> pd.DataFrame:
    """on, off, se_on, se_off of each flag at the last tenure that both states reach."""
    parts = {}
    for name, rows in totals.dropna(subset=["cumulative_hazard"]).groupby("covariate", sort=False):
        sides = {state: mine.sort_values("tenure") for state, mine in rows.groupby("state")}
        if not {"on", "off"} <= set(sides):
            continue
        until = min(float(mine["tenure"].max()) for mine in sides.values())
        ends = {state: mine[mine["tenure"] <= until].tail(1) for state, mine in sides.items()}
        if all(len(end) for end in ends.values()):
            parts[name] = [
                float(ends[state][column].iloc[0]) for column in ("cumulative_hazard", "se") for state in ("on", "off")
            ]
    return pd.DataFrame.from_dict(parts, orient="index", columns=["on", "off", "se_on", "se_off"])


def hazards_title(smooths: pd.DataFrame, level: float = 0.95) -> str:
    """For how many flags the smoothed hazard is clearly higher, or lower, while it is on, over most of the tenures compared.

    `smooths`: covariate, state (on, off), tenure, hazard, se. Clear at a tenure: the interval of the difference leaves 0 outside.
    """
    kinds = [
        k for _, rows in smooths.groupby("covariate", sort=False) if (k := _higher_or_lower(rows, level)) is not None
    ]
    if not kinds:
        return "Too few customers to compare the smoothed hazards with a flag on and off"
    higher, lower, n = kinds.count("higher"), kinds.count("lower"), len(kinds)
    most = "over most of the tenures compared"
    if n == 1:
        clear = f"clearly {kinds[0]}" if kinds[0] else "neither clearly higher nor clearly lower"
        return f"The smoothed hazard is {clear} while the flag is on {most}"
    said = [f"clearly {how} for {'both' if many == n == 2 else f'{count(many)} of {count(n)}'}"
            for many, how in ((higher, "higher"), (lower, "lower")) if many]  # fmt: skip
    clear = " and ".join(said) if said else f"clearly higher or lower for none of {count(n)}"
    return f"While a flag is on, the smoothed hazard is {clear} flags {most}"


def _higher_or_lower(rows: pd.DataFrame, level: float) -> str | None:
    """'higher', 'lower', '' where neither is clear over most tenures; None where no tenure has both states."""
    on, off = (rows[(rows["state"] == s) & rows["hazard"].notna()].sort_values("tenure") for s in ("on", "off"))
    if on.empty or off.empty:
        return None
    both = on[on["tenure"].between(off["tenure"].min(), off["tenure"].max())]
    if both.empty:
        return None
    other, other_se = (np.interp(both["tenure"], off["tenure"], off[c].fillna(0.0)) for c in ("hazard", "se"))
    apart = both["hazard"].to_numpy(float) - other
    reach = NormalDist().inv_cdf((1 + level) / 2) * np.hypot(both["se"].fillna(0.0).to_numpy(float), other_se)
    return "higher" if (apart > reach).mean() > 0.5 else "lower" if (apart < -reach).mean() > 0.5 else ""


def lag_title(profile: pd.DataFrame) -> str:
    """How many ratios are still clear at the longest lag, of those clear at the shortest. `profile`: one definition's rows."""
    first, last = profile["lag"].min(), profile["lag"].max()
    clear = (profile["ci_lower"] > 1) | (profile["ci_upper"] < 1)
    sides = profile.assign(higher=profile["ci_lower"] > 1)[
        ["covariate", "higher"]
    ]  # clear on the other side is not still clear
    at_first, at_last = (
        set(sides[clear & (profile["lag"] == lag)].itertuples(index=False, name=None)) for lag in (first, last)
    )
    known = int(profile.loc[profile["lag"] == first, "ci_lower"].notna().sum())
    if not at_first:
        return f"No hazard ratio is clearly different from 1 at a lag of {count(first)} days"
    if first == last:
        are = "is" if len(at_first) == 1 else "are"
        return f"{_many(len(at_first), known)} hazard ratios {are} clearly different from 1 at a lag of {count(first)} days"
    kept = len(at_first & at_last)
    still = "none is" if not kept else f"{count(kept)} still {'is' if kept == 1 else 'are'}"
    if len(at_first) == 1:
        flipped = {(name, not higher) for name, higher in at_first} & at_last
        return (
            f"The one hazard ratio that is clear at a lag of {count(first)} days "
            f"{'still is' if kept else 'is on the other side of 1' if flipped else 'is no longer clear'} at {count(last)} days"
        )
    return f"Of {count(len(at_first))} hazard ratios that are clear at a lag of {count(first)} days, {still} at {count(last)} days"
