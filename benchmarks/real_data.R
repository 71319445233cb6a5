# Real data, computed a second time: R's survival on the raw files against the tables that `survival run` wrote.
#   Rscript benchmarks/real_data.R data/telco.csv data/cdnow.txt results
# Run both configs first: .venv/bin/survival run configs/telco_retention.yaml configs/cdnow_retention.yaml
suppressMessages(library(survival))
arguments <- commandArgs(trailingOnly = TRUE)
telco_file <- arguments[1]; cdnow_file <- arguments[2]; results <- arguments[3]

read_table <- function(run, name) read.csv(file.path(results, run, "tables", paste0(name, ".csv")), check.names = FALSE,
                                           colClasses = c(definition = "character"))
worst <- 0
compare <- function(what, ours, theirs) {
  stopifnot(length(ours) == length(theirs), identical(is.na(ours), is.na(theirs)))
  difference <- max(c(0, abs(ours - theirs) / pmax(abs(theirs), 1e-300)), na.rm = TRUE)
  if (all(theirs == 0, na.rm = TRUE)) difference <- max(c(0, abs(ours)), na.rm = TRUE)
  worst <<- max(worst, difference)
  cat(sprintf("  %-58s %8d values, largest relative difference %.1e\n", what, length(ours), difference))
}
level_of <- function(strata) sub("^cohort=", "", strata)

curves <- function(data, run, definition) {
  fit <- survfit(Surv(entry, exit, churned) ~ cohort, data, conf.type = "log-log")
  tidy <- data.frame(cohort = level_of(rep(names(fit$strata), fit$strata)), tenure = fit$time, at_risk = fit$n.risk,
                     events = fit$n.event, retention = fit$surv, ci_lower = fit$lower, ci_upper = fit$upper)
  ours <- read_table(run, "retention"); ours <- ours[ours$definition == definition, ]
  both <- merge(ours, tidy, by = c("cohort", "tenure"), suffixes = c("", ".r"))
  stopifnot(nrow(both) == nrow(tidy))
  for (column in c("at_risk", "events", "retention")) compare(paste(definition, column), both[[column]], both[[paste0(column, ".r")]])
  inside <- both$retention.r > 0 & both$retention.r < 1
  for (column in c("ci_lower", "ci_upper"))
    compare(paste(definition, column), both[[column]][inside], both[[paste0(column, ".r")]][inside])

  tests <- read_table(run, "rank_tests"); tests <- tests[tests$definition == definition, ]
  survdiff_all <- survdiff(Surv(exit, churned) ~ cohort, data)   # everybody enters at 0 in both data sets
  compare(paste(definition, "log-rank statistic"), tests$statistic[tests$test == "logrank"], survdiff_all$chisq)
  pairs <- tests[tests$test == "pairwise", ]
  p <- mapply(function(a, b) {
    test <- survdiff(Surv(exit, churned) ~ cohort, data[data$cohort %in% c(a, b), ])
    pchisq(test$chisq, 1, lower.tail = FALSE)
  }, pairs$cohort_a, pairs$cohort_b)
  compare(paste(definition, "pairwise p"), pairs$p, unname(p))
  compare(paste(definition, "pairwise p, Holm"), pairs$p_adjusted, p.adjust(unname(p), "holm"))

  means <- read_table(run, "rmst"); means <- means[means$definition == definition & !is.na(means$rmst), ]
  table <- summary(fit, rmean = means$horizon[1])$table
  row <- match(means$cohort, level_of(rownames(table)))
  compare(paste(definition, "RMST"), means$rmst, unname(table[row, grep("^rmean", colnames(table))]))
  compare(paste(definition, "RMST, standard error"), means$se, unname(table[row, grep("se\\(rmean\\)", colnames(table))]))
}

cat("telco: a table of tenures in months\n")
telco <- read.csv(telco_file, check.names = FALSE, fileEncoding = "UTF-8-BOM", stringsAsFactors = FALSE)
telco$entry <- 0; telco$exit <- round(telco$tenure * 30.4375); telco$churned <- as.integer(telco$Churn == "Yes")
telco$cohort <- telco$Contract
telco <- telco[telco$exit > 0, ]
curves(telco, "telco_retention", "recorded")
formula <- Surv(exit, churned) ~ Contract + InternetService + PaymentMethod + PaperlessBilling + SeniorCitizen + Partner + Dependents
for (name in c("Contract", "InternetService", "PaymentMethod", "PaperlessBilling", "Partner", "Dependents"))
  telco[[name]] <- factor(telco[[name]], levels = sort(unique(telco[[name]]), method = "radix"))
fit <- coxph(formula, telco, ties = "efron", x = TRUE)
ours <- read_table("telco_retention", "hazard_ratios"); ours <- ours[ours$model == "multivariable", ]
names_of <- gsub("\\[T\\.|\\]", "", ours$covariate)
compare("Cox coefficients", ours$coef, unname(coef(fit)[names_of]))
compare("Cox standard errors", ours$se, unname(sqrt(diag(vcov(fit)))[match(names_of, names(coef(fit)))]))
zph <- cox.zph(fit, transform = "km", terms = FALSE)$table
compare("PH statistics", ours$ph_statistic, unname(zph[names_of, "chisq"]))
figures <- read_table("telco_retention", "fit")
compare("log likelihoods", c(figures$log_likelihood_null, figures$log_likelihood), fit$loglik)
compare("concordance", figures$concordance, unname(concordance(fit)$concordance))

cat("cdnow: purchases; lost after 90 or 180 days without one\n")
orders <- read.table(cdnow_file, header = TRUE, strip.white = TRUE, colClasses = c("character", "character", "numeric", "numeric"))
day <- as.integer(as.Date(orders$date, "%Y%m%d"))
until <- as.integer(as.Date("1998-06-30"))
for (window in c(90L, 180L)) {
  by_customer <- split(day, orders$customer_id)
  rows <- t(vapply(by_customer, function(days) {
    days <- sort(unique(days))
    silent <- which(diff(c(days, .Machine$integer.max)) > window)[1]       # the first activity that none follows in time
    lost <- days[silent] + window
    c(days[1], min(lost, until) - days[1], lost <= until)
  }, numeric(3)))
  cdnow <- data.frame(entry = 0, exit = rows[, 2], churned = rows[, 3],
                      cohort = format(as.Date(rows[, 1], origin = "1970-01-01"), "%Y-%m"))
  curves(cdnow[cdnow$exit > 0, ], "cdnow_retention", paste0("inactive_", window))
}
cat(sprintf("largest relative difference of all: %.1e\n", worst))
stopifnot(worst < 1e-6)
