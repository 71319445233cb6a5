"""Sentences of the methods paragraph about curves, tests, rates and tails, by topic, with their references."""

from __future__ import annotations

from collections.abc import Iterable

TOPICS = {
    "by-customer": "Where customers have several spells, variances add up by customer (infinitesimal jackknife), and so do rank tests, "
    "which are then robust score tests (Lin and Wei 1989).",
    "differences": "Retention of two cohorts at a fixed tenure was compared on the transformed scale (Klein et al. 2007), with limits of "
    "the difference from the two single intervals (Zou and Donner 2008).",
    "rmst": "Restricted mean tenure is the area under the retention curve up to the stated horizon (Irwin 1949); cohorts were compared by "
    "its difference and ratio (Uno et al. 2014).",
    "equal-precision": "Bands of the whole curve are equal-precision bands (Nair 1984) on the scale of the intervals "
    "(Borgan and Liestøl 1990).",
    "hall-wellner": "Bands of the whole curve are those of Hall and Wellner 1980, on the scale of the intervals "
    "(Borgan and Liestøl 1990).",
    "difference-curve": "The band of a difference over all tenures is from simulated maxima (Parzen, Wei and Ying 1997).",
    "conditional": "Retention given still here is the ratio of two points of the curve, with the variance of what happened in between.",
    "landmark": "Cohorts were also compared from a landmark on (Anderson, Cain and Gelber 1983).",
    "revenue": "Revenue retention weights customers by what they paid; its variance adds up by customer.",
    "billing": "Hazards by month of tenure are churns over time at risk with exact Poisson limits (Garwood 1936).",
    "returns": "Departures per customer are mean cumulative counts with a variance by customer (Lawless and Nadeau 1995); later stays are "
    "on the clock of the stay (Prentice, Williams and Peterson 1981).",
    "causes": "Shares lost to each cause are Aalen-Johansen estimates (Aalen and Johansen 1978).",
    "gray": "Cohorts were compared by cause with the tests of Gray 1988.",
    "rates": "Churn rates have exact limits (Clopper and Pearson 1934).",
    "rate-trend": "The trend over quarters was tested by the test of Cochran 1954 and Armitage 1955.",
    "revenue-rates": "Revenue rates have exact limits for an effective number of customers (Korn and Graubard 1998).",
    "tails": "Retention beyond the data was extrapolated by the parametric model that foretold best after a cut, with intervals over all "
    "models that the time after the cut does not tell apart.",
    "shifted beta geometric": "Among the models is the shifted beta geometric (Fader and Hardie 2007).",
    "gehan": "Further rank tests: Gehan's (Gehan 1965).",
    "tarone-ware": "Further rank tests: that of Tarone and Ware 1977.",
    "peto": "Further rank tests: that of Peto and Peto 1972.",
    "modified-peto": "Further rank tests: the modified Peto test (Andersen et al. 1982).",
    "fleming-harrington": "Further rank tests: those of Fleming and Harrington 1981.",
    "max-combo": "Further rank tests: max-combo, the largest of four weighted tests with its joint distribution (Lin et al. 2020).",
    "permutation": "p was also found by dealing the cohorts to the customers anew (Strasser and Weber 1999).",
}
CURVE_REFERENCES = {
    "Aalen and Johansen 1978": "Aalen OO, Johansen S. An empirical transition matrix for non-homogeneous Markov chains based on censored "
    "observations. Scandinavian Journal of Statistics 1978;5:141–150.",
    "Andersen et al. 1982": "Andersen PK, Borgan Ø, Gill R, Keiding N. Linear nonparametric tests for comparison of counting processes. "
    "International Statistical Review 1982;50:219–258.",
    "Anderson, Cain and Gelber 1983": "Anderson JR, Cain KC, Gelber RD. Analysis of survival by tumor response. Journal of Clinical "
    "Oncology 1983;1:710–719.",
    "Armitage 1955": "Armitage P. Tests for linear trends in proportions and frequencies. Biometrics 1955;11:375–386.",
    "Benjamini and Hochberg 1995": "Benjamini Y, Hochberg Y. Controlling the false discovery rate. JRSS B 1995;57:289–300.",
    "Borgan and Liestøl 1990": "Borgan Ø, Liestøl K. A note on confidence intervals and bands for the survival function based on "
    "transformations. Scandinavian Journal of Statistics 1990;17:35–41.",
    "Clopper and Pearson 1934": "Clopper CJ, Pearson ES. The use of confidence or fiducial limits illustrated in the case of the binomial. "
    "Biometrika 1934;26:404–413.",
    "Cochran 1954": "Cochran WG. Some methods for strengthening the common χ² tests. Biometrics 1954;10:417–451.",
    "Fader and Hardie 2007": "Fader PS, Hardie BGS. How to project customer retention. Journal of Interactive Marketing 2007;21:76–90.",
    "Fleming and Harrington 1981": "Fleming TR, Harrington DP. A class of hypothesis tests for one and two sample censored survival data. "
    "Communications in Statistics 1981;10:763–794.",
    "Garwood 1936": "Garwood F. Fiducial limits for the Poisson distribution. Biometrika 1936;28:437–442.",
    "Gehan 1965": "Gehan EA. A generalized Wilcoxon test for comparing arbitrarily singly-censored samples. Biometrika 1965;52:203–223.",
    "Gray 1988": "Gray RJ. A class of K-sample tests for comparing the cumulative incidence of a competing risk. Annals of Statistics "
    "1988;16:1141–1154.",
    "Hall and Wellner 1980": "Hall WJ, Wellner JA. Confidence bands for a survival curve from censored data. Biometrika 1980;67:133–143.",
    "Irwin 1949": "Irwin JO. The standard error of an estimate of expectation of life. Journal of Hygiene 1949;47:188–189.",
    "Klein et al. 2007": "Klein JP, Logan B, Harhoff M, Andersen PK. Analyzing survival curves at a fixed point in time. Statistics in "
    "Medicine 2007;26:4505–4519.",
    "Korn and Graubard 1998": "Korn EL, Graubard BI. Confidence intervals for proportions with small expected number of positive counts "
    "estimated from survey data. Survey Methodology 1998;24:193–201.",
    "Lawless and Nadeau 1995": "Lawless JF, Nadeau C. Some simple robust methods for the analysis of recurrent events. Technometrics "
    "1995;37:158–168.",
    "Lin et al. 2020": "Lin RS, Lin J, Roychoudhury S, et al. Alternative analysis methods for time to event endpoints under "
    "nonproportional hazards. Statistics in Biopharmaceutical Research 2020;12:187–198.",
    "Nair 1984": "Nair VN. Confidence bands for survival functions with censored data: a comparative study. Technometrics 1984;26:265–275.",
    "Parzen, Wei and Ying 1997": "Parzen MI, Wei LJ, Ying Z. Simultaneous confidence intervals for the difference of two survival "
    "functions. Scandinavian Journal of Statistics 1997;24:309–314.",
    "Peto and Peto 1972": "Peto R, Peto J. Asymptotically efficient rank invariant test procedures. JRSS A 1972;135:185–207.",
    "Prentice, Williams and Peterson 1981": "Prentice RL, Williams BJ, Peterson AV. On the regression analysis of multivariate failure "
    "time data. Biometrika 1981;68:373–379.",
    "Strasser and Weber 1999": "Strasser H, Weber C. On the asymptotic theory of permutation statistics. Mathematical Methods of "
    "Statistics 1999;8:220–250.",
    "Tarone and Ware 1977": "Tarone RE, Ware J. On distribution-free tests for equality of survival distributions. Biometrika "
    "1977;64:156–160.",
    "Uno et al. 2014": "Uno H, Claggett B, Tian L, et al. Moving beyond the hazard ratio in quantifying the between-group difference in "
    "survival analysis. Journal of Clinical Oncology 2014;32:2380–2385.",
    "Zou and Donner 2008": "Zou GY, Donner A. Construction of confidence limits about effect measures: a general approach. Statistics in "
    "Medicine 2008;27:1693–1702.",
}


def methods_topics(topics: Iterable[str]) -> str:
    """The sentences of these topics, each once, in the order of `TOPICS`; a weighting's parameters do not matter."""
    names = {topic.split("(")[0] for topic in topics}
    return " ".join(sentence for topic, sentence in TOPICS.items() if topic in names)
