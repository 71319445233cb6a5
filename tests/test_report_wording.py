"""Every kind of result has its sentence, exact, and none of them claims a cause."""

from __future__ import annotations

import math
import re
from typing import Any

import pandas as pd
import pytest
from report_demo import hazard_ratios

from survival.report import (
    ASSOCIATION,
    Phrase,
    hazard_findings,
    hazard_sentence,
    methods_hazard_ratios,
    methods_retention,
    rank_test_sentence,
    references,
    retention_range,
    retention_sentence,
)
from survival.report.titles import flags_title, forest_title, hazard_title, hazards_title, lag_title
from survival.report.wording import LEAD, followed

TICKETS = Phrase(who="customers with two or more open tickets")


def row(covariate: str = "open_ticket", hr: float = 1.84, low: float = 1.52, high: float = 2.23, **other: Any) -> dict:
    values = {"p": 1e-9, "exposed_share": 0.2, "events_exposed": 150.0, "ph_p": 0.4, "coef": math.log(hr)}
    return {"covariate": covariate, "hazard_ratio": hr, "ci_lower": low, "ci_upper": high, **values, **other}


NUMBER = {"exposed_share": math.nan, "events_exposed": math.nan}
LOST = {"hr": math.nan, "low": math.nan, "high": math.nan, "p": math.nan, "ph_p": math.nan}

SENTENCES = {
    "clear": (
        hazard_sentence(row(), TICKETS),
        "Customers with two or more open tickets left at 1.84 times the rate of the others, the other covariates being equal "
        "(95% CI 1.52–2.23, p < 0.001).",
    ),
    "clear, univariable, nobody's words": (
        hazard_sentence(row(), adjusted=False),
        "Customers with open_ticket left at 1.84 times the rate of the others (95% CI 1.52–2.23, p < 0.001).",
    ),
    "protective": (
        hazard_sentence(row(hr=0.41, low=0.23, high=0.73, p=0.003), TICKETS),
        "Customers with two or more open tickets left at a rate 59% lower than the others, the other covariates being equal "
        "(HR 0.41, 95% CI 0.23–0.73, p = 0.003).",
    ),
    "level of a factor": (
        hazard_sentence(row("plan[T.pro]", 0.74, 0.6, 0.92, p=0.006), references={"plan": "basic"}),
        "Customers with plan “pro” left at a rate 26% lower than those with plan “basic”, the other covariates being equal "
        "(HR 0.74, 95% CI 0.60–0.92, p = 0.006).",
    ),
    "null": (
        hazard_sentence(row(hr=1.05, low=0.86, high=1.28, p=0.62), TICKETS),
        "No clear difference in churn rate was seen between customers with two or more open tickets and the others, the other "
        "covariates being equal: HR 1.05 (95% CI 0.86–1.28, p = 0.62). "
        "The data are compatible with a rate from 14% lower to 28% higher.",
    ),
    "null and wide": (
        hazard_sentence(row(hr=1.2, low=0.4, high=3.6, p=0.7), TICKETS, adjusted=False),
        "No clear difference in churn rate was seen between customers with two or more open tickets and the others: HR 1.20 "
        "(95% CI 0.40–3.60, p = 0.70). The data are compatible with a rate from 60% lower to 3.60 times as high.",
    ),
    "not proportional": (
        hazard_sentence(row(ph_p=0.003), TICKETS, adjusted=False),
        "Customers with two or more open tickets left at 1.84 times the rate of the others (95% CI 1.52–2.23, p < 0.001). "
        "The ratio changed with tenure (test of proportional hazards: p = 0.003), so this is an average over the tenures "
        "observed.",
    ),
    "few events": (
        hazard_sentence(row(events_exposed=6.0), TICKETS, adjusted=False),
        "Customers with two or more open tickets left at 1.84 times the rate of the others (95% CI 1.52–2.23, p < 0.001). "
        "Only 6 churns were seen among customers with two or more open tickets, so this is uncertain.",
    ),
    "few events at all other levels of a factor": (
        hazard_sentence(
            row("plan[T.pro]", events_exposed=145.0), events=150, references={"plan": "basic"}, adjusted=False
        ),
        "Customers with plan “pro” left at 1.84 times the rate of those with plan “basic” (95% CI 1.52–2.23, p < 0.001). "
        "Only 5 churns were seen at all other levels together, so this is uncertain.",
    ),
    "few events among the others": (
        hazard_sentence(row(), TICKETS, adjusted=False, events=151),
        "Customers with two or more open tickets left at 1.84 times the rate of the others (95% CI 1.52–2.23, p < 0.001). "
        "Only 1 churn was seen among the others, so this is uncertain.",
    ),
    "not estimable, no event": (
        hazard_sentence(row(**LOST, events_exposed=0.0), TICKETS),
        "For customers with two or more open tickets no hazard ratio could be estimated: no churn was seen among them.",
    ),
    "not estimable, all events": (
        hazard_sentence(row(**LOST), TICKETS, events=150),
        "For customers with two or more open tickets no hazard ratio could be estimated: every churn was seen among them.",
    ),
    "not estimable, never on": (
        hazard_sentence(row(**LOST, exposed_share=0.0, events_exposed=0.0), TICKETS),
        "For customers with two or more open tickets no hazard ratio could be estimated: nobody was ever among them.",
    ),
    "not estimable, always on": (
        hazard_sentence(row(**LOST, exposed_share=1.0, events_exposed=150.0), TICKETS, events=150),
        "For customers with two or more open tickets no hazard ratio could be estimated: everybody always was among them.",
    ),
    "not estimable, otherwise": (
        hazard_sentence(row(**LOST, **NUMBER), Phrase(step="each further seat", what="the number of seats")),
        "For the number of seats no hazard ratio could be estimated; the audit says why.",
    ),
    "number": (
        hazard_sentence(row("seats", 0.99, 0.982, 0.997, p=0.012, **NUMBER), Phrase(step="each further seat")),
        "With each further seat, customers left at a rate 1.0% lower, the other covariates being equal "
        "(HR 0.99, 95% CI 0.98–0.997, p = 0.012).",
    ),
    "number, higher": (
        hazard_sentence(row("silence", 1.3, 1.2, 1.4, **NUMBER), adjusted=False),
        "With each further unit of silence, customers left at 1.30 times the rate (95% CI 1.20–1.40, p < 0.001).",
    ),
    "number in tiny steps": (
        hazard_sentence(row("mrr", 1.0002, 1.0001, 1.0003, **NUMBER), adjusted=False),
        "With each further unit of mrr, customers left at 1.0002 times the rate (95% CI 1.0001–1.0003, p < 0.001).",
    ),
    "number, null": (
        hazard_sentence(row("silence", 1.01, 0.97, 1.05, p=0.6, **NUMBER), adjusted=False),
        "No clear difference in churn rate was seen with each further unit of silence: HR 1.01 (95% CI 0.97–1.05, p = 0.60). "
        "The data are compatible with a rate from 3% lower to 5% higher.",
    ),
    "interaction, null": (
        hazard_sentence(row("low_usage:plan[T.pro]", 1.22, 0.46, 3.25, p=0.69)),
        "No clear interaction was seen in low_usage × plan: pro (ratio of hazard ratios 1.22, 95% CI 0.46–3.25, p = 0.69).",
    ),
    "interaction": (
        hazard_sentence(row("low_usage:plan[T.pro]", 1.5, 1.2, 1.9, p=0.001)),
        "Together (low_usage × plan: pro) the churn rate was higher than the two ratios multiplied "
        "(ratio of hazard ratios 1.50, 95% CI 1.20–1.90, p = 0.001).",
    ),
}


@pytest.mark.parametrize("kind", SENTENCES)
def test_sentence(kind: str) -> None:
    said, expected = SENTENCES[kind]
    assert said == expected


@pytest.mark.parametrize("kind", SENTENCES)
def test_no_sentence_claims_a_cause(kind: str) -> None:
    assert not re.search(
        r"caus|because|due to|effect|leads? to|reduc|increas|driv|prevent|protect", SENTENCES[kind][0], re.I
    )


def test_findings_put_clear_and_large_differences_first() -> None:
    said = hazard_findings(hazard_ratios(), {"open_ticket": TICKETS}, events=400)
    assert [s.split(" left")[0].split(":")[0][:40] for s in said] == [
        "Customers with plan “pro”",
        "Customers with two or more open tickets",
        "With each further unit of seats, custome",
        "No clear difference in churn rate was se",
        "For customers with no_renewal no hazard ",
    ]
    assert "the other covariates being equal" in said[0]
    once = hazard_findings(hazard_ratios(), {"open_ticket": TICKETS}, events=400, lead=True)
    assert once[0] == LEAD
    assert [s.replace(", the other covariates being equal", "") for s in said] == list(once[1:])
    alone = hazard_findings(hazard_ratios()[lambda d: d["covariate"] == "open_ticket"], lead=True)
    assert len(alone) == 1
    assert "the other covariates being equal" in alone[0]
    assert "the other covariates" not in hazard_findings(hazard_ratios(), model="univariable")[0]
    assert hazard_findings(hazard_ratios().iloc[:0]) == ()


def test_retention_sentences() -> None:
    at = {"cohort": "all", "tenure": 365, "retention": 0.485, "ci_lower": 0.446, "ci_upper": 0.523}
    assert (
        retention_sentence(at)
        == "After 365 days (12.0 months), 48.5% (95% CI 44.6–52.3) of customers were still there."
    )
    assert retention_sentence({**at, "cohort": "2024-Q1", "tenure": 30, "retention": 1.0, "ci_lower": math.nan}) == (
        "After 30 days, 100.0% of the customers of cohort 2024-Q1 were still there."
    )
    assert retention_sentence({**at, "retention": math.nan}) == (
        "Retention of customers after 365 days (12.0 months) is not known: nobody was observed that long."
    )


def test_retention_range() -> None:
    frame = pd.DataFrame(
        {"cohort": ["a", "b", "c"], "tenure": 90, "retention": [0.8, 0.7, math.nan], "ci_lower": 0.6, "ci_upper": 0.9}
    )
    assert retention_range(frame, 90) == (
        "After 90 days (3.0 months), retention of the 2 cohorts seen from signup until then ran from 70.0% (cohort b) to 80.0% (cohort a); "
        "1 that was not observed that long is left out."
    )
    assert retention_range(frame.iloc[:1], 90).startswith("After 90 days (3.0 months), 80.0%")
    assert retention_range(frame, 30) == ""
    same = frame.assign(retention=1.0)
    assert retention_range(same, 90) == "After 90 days (3.0 months), retention was 100.0% in each of the 3 cohorts."
    assert retention_range(same.assign(retention=[1, 1, math.nan]), 90) == (
        "After 90 days (3.0 months), retention of the 2 cohorts seen from signup until then was 100.0% in each; "
        "1 that was not observed that long is left out."
    )


def test_a_cohort_of_which_hardly_anybody_was_followed_that_long_is_not_the_best() -> None:
    # Of b two customers were followed to day 365 (one in 188); of c as few are at risk, since the others had left by then.
    frame = pd.DataFrame(
        {"cohort": list("abc"), "tenure": 365, "at_risk": [120, 2, 5], "retention": [0.6, 0.72, 0.025],
         "ci_lower": 0.0, "ci_upper": 0.9}
    )  # fmt: skip
    assert retention_range(followed(frame, 10), 365, starts={}, fewest=10) == (
        "After 365 days (12.0 months), retention of the 2 cohorts seen from signup until then ran from 2.5% (cohort c) "
        "to 60.0% (cohort a); 1 with fewer than 10 customers observed that long is left out."
    )
    assert followed(frame.iloc[1:2], 10)["retention"].tolist() == [0.72], "with nothing else it stays"


def test_cohorts_observed_from_a_later_tenure_on_are_not_compared() -> None:
    frame = pd.DataFrame(
        [
            (c, t, r, r, r)
            for c, rs in {"a": (0.9, 0.8), "b": (0.8, 0.6), "late": (math.nan, 0.95)}.items()
            for t, r in zip((30, 90), rs)
        ],
        columns=["cohort", "tenure", "retention", "ci_lower", "ci_upper"],
    )
    said = (
        "After 90 days (3.0 months), retention of the 2 cohorts seen from signup until then ran from 60.0% (cohort b) to 80.0% (cohort a); "
        "1 that was first observed later is left out."
    )
    assert retention_range(frame, 90) == said
    starts = {"a": 0, "b": 0, "late": 45}
    assert retention_range(frame, 90, starts=starts) == said
    assert retention_range(frame, 90, starts=starts | {"b": 3}) == (
        "After 90 days (3.0 months), 80.0% (95% CI 80.0–80.0) of the customers of cohort a were still there; "
        "2 that were first observed later are left out."
    )


def test_rank_tests() -> None:
    test = {"test": "logrank", "statistic": 23.1, "df": 3, "p": 1e-5}
    assert rank_test_sentence(test, 4) == (
        "The retention curves of the 4 cohorts differed (log-rank test: χ² = 23.10, 3 df, p < 0.001)."
    )
    assert rank_test_sentence({**test, "p": 0.4, "df": 1}, 2) == (
        "No clear difference between the retention curves of the two cohorts was seen "
        "(log-rank test: χ² = 23.10, 1 df, p = 0.40)."
    )
    assert rank_test_sentence({**test, "test": "trend"}, 4) == (
        "Retention differed along the order of the 4 cohorts (log-rank test for trend: χ² = 23.10, 3 df, p < 0.001)."
    )
    assert (
        rank_test_sentence({**test, "p": math.nan}, 4)
        == "The cohorts' retention curves could not be compared by a test."
    )


def test_methods_name_what_was_done_and_nothing_else() -> None:
    text = methods_hazard_ratios(
        customers=5000, episodes=81234, events=1234, strata=["plan"], lags=[0, 7, 30], churn="a lapse."
    )
    assert text == (
        "Churn: a lapse. Hazard ratios are from Cox models (Cox 1972) with tenure in days as time scale and covariates that "
        "change over time in counting-process form (Andersen and Gill 1982), on 5,000 customers in 81,234 episodes with 1,234 "
        "churns. A covariate's value on a day is what was known at the close of the day before. Ties were handled by Efron's "
        "method (Efron 1977). The baseline hazard was stratified by plan. Intervals are 95% Wald intervals from a variance "
        "robust to the dependence of one customer's episodes (Lin and Wei 1989). Proportional hazards were tested against one "
        "minus the Kaplan-Meier estimate by the score test on Schoenfeld residuals (Grambsch and Therneau 1994). All models "
        "were refitted with every indicator read 0, 7 and 30 days earlier. " + ASSOCIATION
    )
    plain = methods_hazard_ratios(customers=5, events=2, ties="breslow", robust=False, penalizer=0.1, late_entry=True)
    assert "Breslow 1974" in plain
    assert "model-based variance" in plain
    assert "ridge penalty of 0.1" in plain
    assert "enter late" in plain
    assert "Efron" not in plain
    assert "stratified" not in plain


def test_references_are_those_cited() -> None:
    text = methods_retention(tests=("logrank", "pairwise"))
    assert [r.split(".")[0] for r in references(text)] == ["Holm S", "Kaplan EL, Meier P", "Mantel N"]
    assert references("Nothing is cited.") == ()
    assert "scores 1 to k" not in text
    assert "scores 1 to k" in methods_retention(tests=("trend",))


# --- Titles that state the finding ------------------------------------------------------------------------------------


def test_forest_titles() -> None:
    labels = {"open_ticket": "two open tickets"}
    assert (
        forest_title(hazard_ratios(), labels)
        == "3 of 4 hazard ratios are clearly different from 1: the furthest is that of plan: pro (HR 0.41)"
    )
    one = hazard_ratios()[lambda d: d["covariate"] == "open_ticket"]
    assert forest_title(one, labels) == "The hazard ratio of two open tickets is clearly different from 1 (HR 1.84)"
    null = hazard_ratios()[lambda d: d["covariate"] == "overdue"]
    assert forest_title(null, labels) == "The hazard ratio is not clearly different from 1"
    two = hazard_ratios()[lambda d: d["covariate"].isin(["open_ticket", "overdue"])]
    assert (
        forest_title(two, labels)
        == "1 of 2 hazard ratios is clearly different from 1: that of two open tickets (HR 1.84)"
    )
    both = hazard_ratios()[lambda d: d["covariate"].isin(["open_ticket", "plan[T.pro]"])]
    assert forest_title(both, labels).startswith(
        "Both hazard ratios are clearly different from 1: the furthest is that of plan: pro"
    )


def test_hazard_and_flag_titles() -> None:
    smooth = pd.DataFrame({"tenure": [0, 61, 400], "hazard": [0.001, 0.002, math.nan]})
    assert hazard_title(smooth) == "The baseline hazard is highest around month 2 of tenure, 6.0% in 30 days"
    assert hazard_title(smooth.iloc[:0]) == "Too few churns to smooth the baseline hazard"
    assert (
        hazard_title(smooth.assign(tenure=0))
        == "The baseline hazard is highest at the start of tenure, 6.0% in 30 days"
    )
    strata = pd.concat([smooth.assign(stratum="mid"), smooth.assign(stratum="small", hazard=smooth["hazard"] / 2)])
    assert (
        hazard_title(strata)
        == "The highest baseline hazard is that of “mid”, around month 2 of tenure, 6.0% in 30 days"
    )
    assert hazard_title(strata[strata["stratum"] == "mid"]) == hazard_title(smooth)
    totals = pd.DataFrame(
        [(c, s, t, h) for c, on in (("a", 0.9), ("b", 0.1)) for s, h in (("on", on), ("off", 0.5)) for t in (10, 20)],
        columns=["covariate", "state", "tenure", "cumulative_hazard"],
    ).assign(se=0.1)
    assert flags_title(totals) == "Of 2 flags, 1 goes with faster leaving and 1 goes with slower leaving while on"
    assert flags_title(totals[totals["covariate"] == "a"]) == "Customers leave faster while the flag is on"
    assert flags_title(totals[totals["covariate"] == "b"]) == "Customers leave more slowly while the flag is on"
    both = pd.concat([totals[totals["covariate"] == "a"].assign(covariate=c) for c in "ac"])
    assert flags_title(both) == "Customers leave faster while a flag is on, whichever it is"
    assert flags_title(totals[totals["state"] == "on"]) == "No flag was both on and off for long enough to compare"
    unsure = totals.assign(se=0.15)  # 0.4 apart, 1.96 standard errors of the difference are 0.42
    assert flags_title(unsure) == "While neither of the two flags is on customers leave clearly faster or more slowly"
    assert flags_title(unsure, level=0.9).startswith("Of 2 flags, 1 goes with faster")
    one = flags_title(unsure[unsure["covariate"] == "a"])
    assert one == "Customers leave neither clearly faster nor clearly more slowly while the flag is on"
    mixed = pd.concat([totals, unsure.assign(covariate=unsure["covariate"] + "2")])
    assert flags_title(mixed).endswith("1 goes with slower leaving while on; 2 are not clear")
    alone = totals[(totals["state"] == "on") | (totals["tenure"] == 10)].assign(se=0.1)
    later = alone.assign(cumulative_hazard=alone["cumulative_hazard"].where(alone["tenure"] == 10, 9.0))
    assert flags_title(later) == flags_title(totals), "compared at day 10, where both states are known"


def test_the_title_of_smoothed_hazards_says_over_which_tenures_they_are_compared() -> None:
    frame = pd.DataFrame(
        [("a", s, t, h) for s, h in (("off", 0.001), ("on", 0.002)) for t in (0, 50, 100)]
        + [("b", "off", t, 0.001) for t in (0, 100)]
        + [("b", "on", t, h) for t, h in ((20, 0.003), (50, 0.0005), (80, 0.0005), (400, 0.9), (500, 0.9))],
        columns=["covariate", "state", "tenure", "hazard"],
    )
    most = "over most of the tenures compared"
    exact = frame.assign(se=1e-9)
    both_ways = "clearly higher for 1 of 2 and clearly lower for 1 of 2 flags"
    assert hazards_title(exact) == f"While a flag is on, the smoothed hazard is {both_ways} {most}"
    b = exact[exact["covariate"] == "b"]
    assert hazards_title(b) == f"The smoothed hazard is clearly lower while the flag is on {most}"
    both = pd.concat([exact[exact["covariate"] == "a"].assign(covariate=c) for c in "ac"])
    assert hazards_title(both) == f"While a flag is on, the smoothed hazard is clearly higher for both flags {most}"
    assert hazards_title(exact[exact["state"] == "on"]).startswith("Too few customers to compare")
    unsure = frame.assign(se=0.0004)  # 0.001 apart, and 1.96 standard errors of the difference are 0.0011
    assert hazards_title(unsure).startswith(
        "While a flag is on, the smoothed hazard is clearly higher or lower for none of 2 flags"
    )
    a = unsure[unsure["covariate"] == "a"]
    assert (
        hazards_title(a)
        == f"The smoothed hazard is neither clearly higher nor clearly lower while the flag is on {most}"
    )
    assert hazards_title(a, level=0.9) == f"The smoothed hazard is clearly higher while the flag is on {most}"


def test_lag_titles() -> None:
    rows = [
        ("a", 0, 1.5, 2.5),
        ("a", 30, 1.1, 2.0),
        ("b", 0, 0.4, 0.9),
        ("b", 30, 0.7, 1.2),
        ("c", 0, 0.8, 1.3),
        ("c", 30, 0.8, 1.3),
    ]
    profile = pd.DataFrame(rows, columns=["covariate", "lag", "ci_lower", "ci_upper"])
    assert lag_title(profile) == "Of 2 hazard ratios that are clear at a lag of 0 days, 1 still is at 30 days"
    first = profile[profile["lag"] == 0]
    assert lag_title(first) == "2 of 3 hazard ratios are clearly different from 1 at a lag of 0 days"
    none = profile[profile["covariate"] == "c"]
    assert lag_title(none) == "No hazard ratio is clearly different from 1 at a lag of 0 days"
    gone = profile.assign(
        **{c: profile[c].where(profile["lag"] == 0, x) for c, x in (("ci_lower", 0.5), ("ci_upper", 9.0))}
    )
    assert "days, none is at 30 days" in lag_title(gone)
    late = profile["lag"] == 30
    other = profile.assign(ci_lower=profile["ci_lower"].mask(late, 0.3), ci_upper=profile["ci_upper"].mask(late, 0.8))
    assert lag_title(other) == "Of 2 hazard ratios that are clear at a lag of 0 days, 1 still is at 30 days", "b, not a"
    assert lag_title(other[other["covariate"] == "a"]) == (
        "The one hazard ratio that is clear at a lag of 0 days is on the other side of 1 at 30 days"
    )


def test_a_main_effect_says_where_it_holds() -> None:
    names = ["overdue", "plan[T.a: b]", "overdue:plan[T.a: b]", "detractor"]
    said = hazard_findings(pd.DataFrame([row(name) for name in names]), model="multivariable")
    assert [text.endswith("this ratio is that where the other part is 0 or at its reference level.") for text in said] == [
        True, True, False, False,
    ]  # fmt: skip
