"""Sentences of the methods paragraph about hazard ratios and what every study may show, by topic, with their references."""

from __future__ import annotations

from collections.abc import Iterable

RATIO_TOPICS = {
    "characteristics": "Characteristics of customers were read at entry; their quartiles are those of the second definition of Hyndman "
    "and Fan 1996.",
    "characteristics-smd": "The characteristics of cohorts were compared by standardised mean differences (Austin 2009; of several "
    "levels Yang and Dalton 2012), and not by tests, which STROBE advises against in such a table (Vandenbroucke et al. 2007).",
    "characteristics-tests": "The characteristics of cohorts were compared by standardised mean differences (Austin 2009; of several "
    "levels Yang and Dalton 2012), and by the tests of Wilcoxon, of Kruskal and Wallis, of Pearson and of Fisher.",
    "adjusted": "Adjusted curves are the mean predictions, over all customers of the groups, of a Cox model with a baseline of each "
    "group's own (direct standardisation: Makuch 1982; Therneau, Crowson and Atkinson 2015). Their intervals count the uncertainty of the "
    "coefficients and of the baselines, for customers with just these attributes.",
    "adjusted-weights": "Adjusted curves are Kaplan-Meier curves of customers weighted by the inverse of a probability from a multinomial "
    "logistic model (Therneau, Crowson and Atkinson 2015), with a variance by customer that takes the weights as known.",
    "overlap": "Agreement between definitions is Cohen's kappa (Cohen 1960) with the interval of Fleiss, Cohen and Everitt 1969, and "
    "Jaccard's index with Wilson's interval.",
    "definition-differences": "Hazard ratios of different definitions come from the same customers; their differences were tested with "
    "a variance that adds up both models' influence by customer (Wei, Lin and Weissfeld 1989), p values adjusted by Holm's method "
    "(Holm 1979).",
    "terms": "Terms as a whole were tested by Wald tests; variance inflation is generalised (Fox and Monette 1992).",
    "periods": "Where proportional hazards fail, the terms that fail have a coefficient in each period of tenure, and a Wald test that "
    "these are equal.",
    "subgroups": "Hazard ratios in subgroups are from models with interactions; p values of interaction are adjusted by Holm's method "
    "(Holm 1979).",
    "interaction-likelihood": "Interactions were tested by likelihood-ratio tests.",
    "interaction-robust": "Interactions were tested by Wald tests with the variance clustered by customer (Lin and Wei 1989), with which "
    "a likelihood-ratio test is not valid.",
    "interaction-wald": "Interactions were tested by Wald tests where no likelihood-ratio test could be made.",
    "sensitivity": "The model was refitted with one setting changed at a time.",
    "calendar": "Churns of a calendar month are compared with those expected from the hazard by tenure alone, with exact Poisson limits "
    "(Garwood 1936).",
    "diagnostics functional_form": "The form of numbers was checked by martingale residuals (Therneau, Grambsch and Fleming "
    "1990) and by a Wald test of a restricted cubic spline against the line.",
    "diagnostics influence": "Influence of customers is dfbeta summed over their episodes; the model was refitted without the "
    "strongest of them where its size allows.",
    "diagnostics calibration": "Observed and expected churns by predicted risk were compared by a score test (Gronnesby and "
    "Borgan 1996; May and Hosmer 1998).",
    "diagnostics outliers": "Deviance residuals are of customers (Therneau, Grambsch and Fleming 1990).",
}

RATIO_REFERENCES = {
    "Makuch 1982": "Makuch RW. Adjusted survival curve estimation using covariates. Journal of Chronic Diseases 1982;35:437–443.",
    "Therneau, Crowson and Atkinson 2015": "Therneau TM, Crowson CS, Atkinson EJ. Adjusted survival curves. Vignette of the R package "
    "survival, 2015.",
    "Austin 2009": "Austin PC. Balance diagnostics for comparing the distribution of baseline covariates between treatment groups in "
    "propensity-score matched samples. Statistics in Medicine 2009;28:3083–3107.",
    "Hyndman and Fan 1996": "Hyndman RJ, Fan Y. Sample quantiles in statistical packages. American Statistician 1996;50:361–365.",
    "Vandenbroucke et al. 2007": "Vandenbroucke JP, von Elm E, Altman DG, et al. Strengthening the reporting of observational studies in "
    "epidemiology (STROBE): explanation and elaboration. PLoS Medicine 2007;4:e297.",
    "Yang and Dalton 2012": "Yang D, Dalton JE. A unified approach to measuring the effect size between two groups using SAS. SAS Global "
    "Forum 2012, paper 335.",
    "Cohen 1960": "Cohen J. A coefficient of agreement for nominal scales. Educational and Psychological Measurement 1960;20:37–46.",
    "Fleiss, Cohen and Everitt 1969": "Fleiss JL, Cohen J, Everitt BS. Large sample standard errors of kappa and weighted kappa. "
    "Psychological Bulletin 1969;72:323–327.",
    "Wei, Lin and Weissfeld 1989": "Wei LJ, Lin DY, Weissfeld L. Regression analysis of multivariate incomplete failure time data by "
    "modeling marginal distributions. JASA 1989;84:1065–1073.",
    "Therneau, Grambsch and Fleming 1990": "Therneau TM, Grambsch PM, Fleming TR. Martingale-based residuals for survival models. "
    "Biometrika 1990;77:147–160.",
    "Gronnesby and Borgan 1996": "Grønnesby JK, Borgan Ø. A method for checking regression models in survival analysis based on the "
    "risk score. Lifetime Data Analysis 1996;2:315–328.",
    "May and Hosmer 1998": "May S, Hosmer DW. A simplified method of calculating an overall goodness-of-fit test for the Cox "
    "proportional hazards model. Lifetime Data Analysis 1998;4:109–120.",
    "Fox and Monette 1992": "Fox J, Monette G. Generalized collinearity diagnostics. JASA 1992;87:178–183.",
}


def ratio_topics(topics: Iterable[str]) -> str:
    """The sentences of these topics, each once, in the order of `RATIO_TOPICS`; those of others are not here."""
    there = set(topics)
    return " ".join(sentence for topic, sentence in RATIO_TOPICS.items() if topic in there)
