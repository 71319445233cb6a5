# Reference values for variances that add up by customer: several spells a customer, late entry, ties, strata.
#
#   Rscript tests/references/curves3.R          # writes tests/references/curves3.json
#
# Made with R 4.2 and survival 3.5-3. Tests read the JSON and need no R.
suppressPackageStartupMessages(library(survival))
here <- local({
  file <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
  if (length(file)) dirname(file) else "tests/references"
})

json <- function(x) {
  if (is.null(x)) return("null")
  if (is.list(x) || !is.null(names(x))) {
    x <- as.list(x)
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

# ---- customers with one to three spells on the clock of the spell, long stayers staying long again ----
set.seed(20261122)
spells <- do.call(rbind, lapply(1:60, function(i) {
  taste <- rgamma(1, 2, 2); k <- sample(1:3, 1, prob = c(0.4, 0.3, 0.3))
  start <- ifelse(runif(k) < 0.3, sample(1:4, k, TRUE), 0)
  if (i <= 6) start[] <- 0
  length_of <- ceiling(rexp(k, 0.12 * taste)); limit <- sample(6:20, k, TRUE)
  stop <- start + pmin(length_of, limit)
  data.frame(customer = i, spell = seq_len(k), start = start, stop = stop, event = as.integer(length_of <= limit),
             group = c("a", "b", "c")[1 + i %% 3], strata = c("x", "y")[1 + (i %/% 3) %% 2])
}))
spells[spells$customer <= 6 & spells$spell == 1, "stop"] <- 20
spells[spells$customer <= 6 & spells$spell == 1, "event"] <- 0

# ---- Kaplan-Meier: infinitesimal jackknife by customer, and by spell (what Greenwood's formula estimates) ----
curves <- lapply(split(spells, spells$group), function(d) {
  fit <- survfit(Surv(start, stop, event) ~ 1, d, cluster = customer, robust = TRUE, conf.type = "log-log", influence = TRUE)
  inside <- fit$time <= 12
  length_of <- diff(c(fit$time[inside], 12))
  list(time = fit$time, surv = fit$surv, se = summary(fit, times = fit$time)$std.err, lower = fit$lower, upper = fit$upper,
       rmst.se = sqrt(sum((fit$influence.surv[, inside] %*% length_of)^2)))
})

# ---- log-rank: the robust score test of coxph at 0, Breslow's ties, by customer ----
score <- function(formula, d) {
  fit <- coxph(formula, d, ties = "breslow", cluster = customer, init = rep(0, length(unique(d$group)) - 1),
               control = coxph.control(iter.max = 0))
  list(robust = fit$rscore, score = fit$score)
}
two <- spells[spells$group != "c", ]
tests <- list(
  three = score(Surv(start, stop, event) ~ group, spells),
  two = score(Surv(start, stop, event) ~ group, two),
  stratified = score(Surv(start, stop, event) ~ group + strata(strata), spells)
)
trend <- coxph(Surv(start, stop, event) ~ I(as.integer(factor(group))), spells, ties = "breslow", cluster = customer, init = 0,
               control = coxph.control(iter.max = 0))
tests$trend <- list(robust = trend$rscore)

# ---- Gehan's weights: the score residuals of each event time times the number at risk, by customer ----
gehan <- local({
  times <- sort(unique(two$stop[two$event == 1])); x <- as.numeric(two$group == "b")
  u <- numeric(nrow(two)); total <- 0; expected <- 0
  for (t in times) {
    risk <- two$start < t & two$stop >= t; dead <- two$stop == t & two$event == 1
    n <- sum(risk); mean_x <- sum(x[risk]) / n; d <- sum(dead)
    u <- u + n * (x - mean_x) * (dead - risk * d / n)
  }
  sum(u)^2 / sum(tapply(u, two$customer, sum)^2)
})

writeLines(json(list(spells = as.list(spells), curves = curves, tests = tests, gehan = gehan)), file.path(here, "curves3.json"))
