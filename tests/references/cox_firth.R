# Reference values of R's coxphf (Heinze, Ploner, Jiricka, Steiner): Cox regression with Firth's penalised likelihood, its
# profile-likelihood intervals and penalised likelihood-ratio tests.
#
#   Rscript tests/references/cox_firth.R          # writes tests/references/cox_firth.json
#
# Needs coxphf 1.13.4: install.packages("coxphf"), with a Fortran compiler (Debian: r-base-dev); COXPHF_LIBRARY names another
# library that holds it. Tests read the JSON and need no R. None of coxphf's code is here.
#
# Made with R 4.2 and survival 3.5-3, the Fortran source of coxphf 1.13.4 compiled with gfortran 12. The build prints, to the last digit,
# what the package's users published for the same call: github.com/tidymodels/broom issue 1238 has
#         coef  se(coef) exp(coef) lower 0.95  upper 0.95    Chisq           p
#   T  1.2244388 0.4916044  3.402256  1.3627461    9.472184 6.983773 0.008225204
#   N  0.9188882 0.4225734  2.506502  1.1204552    5.832863 5.004409 0.025282830
# for coxphf(Surv(TIME, CENS) ~ T + N + G + CD, breast) with its default tolerances ("printed" below).
#
# coxphf takes Breslow's ties, and wants rows sorted by stop, events first among ties: they are. Its log likelihoods are those of columns
# divided by their standard deviations, so that only differences are kept.
suppressPackageStartupMessages({
  library(survival)
  library(coxphf, lib.loc = c(if (nzchar(Sys.getenv("COXPHF_LIBRARY"))) Sys.getenv("COXPHF_LIBRARY"), .libPaths()))
})
here <- local({
  file <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
  if (length(file)) dirname(file) else "tests/references"
})
json <- function(x) {  # 17 digits, NA and infinity as null; a matrix is a list of its columns
  if (is.matrix(x)) return(paste0("[", paste(apply(x, 2, json), collapse = ",\n "), "]"))
  if (is.list(x)) {
    pairs <- mapply(function(n, v) paste0('"', n, '": ', json(v)), names(x), x)
    return(paste0("{", paste(pairs, collapse = ",\n "), "}"))
  }
  text <- if (is.character(x)) paste0('"', x, '"') else ifelse(is.finite(x), sprintf("%.17g", x), "null")
  paste0("[", paste(text, collapse = ", "), "]")
}
in_order <- function(d, stop, event) d[order(d[[stop]], -d[[event]]), ]

fitted <- function(formula, data, keep = TRUE, ...) {
  fit <- coxphf(formula, data, ...)
  stopifnot(fit$iter < 900, all(fit$iter.ci < 900))
  c(list(names = names(coef(fit)), coef = unname(coef(fit)), var = unname(fit$var), likelihood_ratio = 2 * diff(fit$loglik),
         lower = unname(log(fit$ci.lower)), upper = unname(log(fit$ci.upper)), p = unname(fit$prob)),
    if (keep) list(data = as.list(data)))
}
# Without halved steps the iteration comes closer to the maximum, but for one case, which then does not settle.
tight <- function(formula, data, keep = TRUE, maxhs = 0)
  fitted(formula, data, keep, maxit = 1000, maxhs = maxhs, epsilon = 1e-9, gconv = 1e-7)

# ---- late entry, whole-day ties, several rows a customer; a flag nobody who has it leaves with, one that nobody leaves without ----
set.seed(20261122)
rows <- do.call(rbind, lapply(1:90, function(i) {
  entry <- sample(c(0, 0, 0, 2, 4), 1)
  cuts <- sort(sample((entry + 1):(entry + 9), sample(1:3, 1)))
  data.frame(customer = i, start = c(entry, head(cuts, -1)), stop = cuts, usage = round(rnorm(length(cuts)), 2),
             plan = rbinom(length(cuts), 1, .4), last = seq_along(cuts) == length(cuts))
}))
rows$event <- ifelse(rows$last, rbinom(nrow(rows), 1, plogis(.4 + .6 * rows$plan - .5 * rows$usage)), 0)
rows$safe <- ifelse(rows$event == 0, rbinom(nrow(rows), 1, .4), 0)
rows$last <- NULL
rows <- in_order(rows, "stop", "event")
few <- rows[rows$customer <= 25, ]
few$always <- ifelse(few$event == 1, 1, rbinom(nrow(few), 1, .5))

breast <- read.csv(file.path(here, "cox_breast.csv"))
breast <- in_order(breast, "TIME", "CENS")
# The examples of coxphf's help page: start-stop, and a coefficient that changes with log(stop).
page <- in_order(data.frame(start = c(1, 2, 5, 2, 1, 7, 3, 4, 8, 8), stop = c(2, 3, 6, 7, 8, 9, 9, 9, 14, 17),
                            event = c(1, 1, 1, 1, 1, 1, 1, 0, 0, 0), x = c(1, 0, 0, 1, 0, 1, 1, 1, 0, 0)), "stop", "event")
three <- data.frame(time = c(1, 2, 3), cens = c(1, 1, 1), x = c(1, 1, 0))

out <- list(
  r = R.version.string, coxphf = as.character(packageVersion("coxphf")),
  printed = fitted(Surv(TIME, CENS) ~ T + N + G + CD, breast, FALSE),
  breast = tight(Surv(TIME, CENS) ~ T + N + G + CD, breast, FALSE),
  start_stop = tight(Surv(start, stop, event) ~ usage + plan + safe, rows),
  two_separated = tight(Surv(start, stop, event) ~ usage + safe + always, few),
  help_page = tight(Surv(start, stop, event) ~ x, page),
  help_page_log = tight(Surv(start, stop, event) ~ x + x:log(stop), page, maxhs = 5),
  help_page_three = tight(Surv(time, cens) ~ x, three))
writeLines(json(out), file.path(here, "cox_firth.json"))
