# Reference values for discrete-time models (complementary log-log) and case-cohort samples.
#
#   Rscript tests/references/cox_discrete.R           # after cox_inference.R; writes tests/references/cox_discrete.json
#
# Made with R 4.2 and survival 3.5-3. Tests read the JSON and need no R. The data are those of cox_inference.json.
suppressPackageStartupMessages(library(survival))
here <- local({
  file <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
  if (length(file)) dirname(file) else "tests/references"
})

json <- function(x) {
  if (is.null(x)) return("null")
  if (is.matrix(x)) return(paste0("[", paste(apply(x, 2, json), collapse = ",\n "), "]"))
  if (is.list(x)) {
    if (is.null(names(x))) return(paste0("[", paste(vapply(x, json, ""), collapse = ", "), "]"))
    pairs <- mapply(function(n, v) paste0('"', n, '": ', json(v)), names(x), x)
    return(paste0("{", paste(pairs, collapse = ",\n "), "}"))
  }
  if (is.factor(x)) x <- as.character(x)
  text <- if (is.character(x)) paste0('"', x, '"')
  else if (is.logical(x)) ifelse(is.na(x), "null", tolower(as.character(x)))
  else ifelse(is.finite(x), sprintf("%.17g", x), "null")
  paste0("[", paste(text, collapse = ", "), "]")
}
d <- as.data.frame(jsonlite::fromJSON(file.path(here, "cox_inference.json"))$data)
d$plan <- factor(d$plan)

# ---- one row a person-period, of the periods with events ----
long_form <- survSplit(Surv(start, stop, event) ~ ., d, cut = 1:max(d$stop), start = "start", end = "stop", event = "event")
tight <- glm.control(epsilon = 1e-15, maxit = 200)
discrete <- function(formula, weighted = FALSE, strata = FALSE, offset = FALSE) {
  long <- long_form
  long$period <- if (strata) paste(long$region, sprintf("%02d", long$stop)) else sprintf("%02d", long$stop)
  long <- long[long$period %in% long$period[long$event == 1], ]
  long$w <- if (weighted) long$weight else 1
  long$o <- if (offset) long$known else 0
  f <- as.formula(paste("event ~ 0 + factor(period) +", formula, "+ offset(o)"))
  fit <- suppressWarnings(glm(f, binomial("cloglog"), long, weights = w, control = tight))
  null <- suppressWarnings(glm(event ~ 0 + factor(period) + offset(o), binomial("cloglog"), long, weights = w, control = tight))
  x <- model.matrix(fit)
  y <- long$event
  value <- function(b) { m <- exp(drop(x %*% b) + long$o); sum(long$w * ifelse(y == 1, log(-expm1(-m)), -m)) }
  slopes <- function(b) { m <- exp(drop(x %*% b) + long$o); long$w * ifelse(y == 1, m * exp(-m) / -expm1(-m), -m) * x }
  b <- coef(fit)
  for (i in 1:4) b <- b - solve(numDeriv::jacobian(function(z) colSums(slopes(z)), b), colSums(slopes(b)))
  observed <- solve(-numDeriv::jacobian(function(z) colSums(slopes(z)), b))
  robust <- observed %*% crossprod(rowsum(slopes(b), long$customer)) %*% observed
  beta <- !grepl("period", names(b))
  list(coef = unname(b[beta]), var = unname(observed[beta, beta]), robust = unname(robust[beta, beta]),
       expected_var = unname(vcov(fit)[beta, beta]), loglik = c(value(c(coef(null), rep(0, sum(beta)))), value(b)),
       period = sub("factor\\(period\\)", "", names(b)[!beta]), log_hazard = unname(b[!beta]),
       log_hazard_se = unname(sqrt(diag(observed))[!beta]),
       at_risk = as.vector(tapply(long$w, long$period, sum)), events = as.vector(tapply(long$w * y, long$period, sum)))
}
discretes <- list(
  plain = discrete("usage + flag + plan"), weights_strata = discrete("usage + flag", TRUE, TRUE),
  offset = discrete("usage + plan", FALSE, FALSE, TRUE))

# ---- case-cohort: National Wilms' tumour study, as R's example of cch ----
subcohort <- nwtco$in.subcohort
part <- nwtco[nwtco$rel == 1 | subcohort == 1, ]
part$sub <- part$in.subcohort == 1
part$age <- part$age / 12
part$advanced <- as.integer(part$stage > 2)
part$unfavourable <- as.integer(part$histol == 2)
cohort <- function(method) {
  fit <- cch(Surv(edrel, rel) ~ advanced + unfavourable + age, data = part, subcoh = ~sub, id = ~seqno,
             cohort.size = nrow(nwtco), method = method)
  list(coef = unname(coef(fit)), var = unname(fit$var))
}
methods <- c("Prentice", "SelfPrentice", "LinYing")
cohorts <- setNames(lapply(methods, cohort), methods)
keep <- c("seqno", "edrel", "rel", "sub", "advanced", "unfavourable", "age")
out <- list(discrete = discretes, cohort_size = nrow(nwtco), nwtco = as.list(part[keep]), cohorts = cohorts)
writeLines(json(out), file.path(here, "cox_discrete.json"))
