# Reference values for Cox models, from R's survival.
#
#   python tests/references/cox_data.py     # once: lifelines' datasets as CSV
#   Rscript tests/references/cox.R          # writes tests/references/cox.json
#
# Made with R 4.2 and survival 3.5-3. Tests read the JSON and need no R.
suppressPackageStartupMessages(library(survival))
here <- local({
  file <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
  if (length(file)) dirname(file) else "tests/references"
})

# ---- JSON, 17 digits, NA and infinity as null; a matrix is a list of its columns ----
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

# ---- data made here ----
set.seed(20240229)

# Several rows a customer, late entry, heavy whole-day ties, unequal weights on tied rows, three strata.
make_messy <- function(customers = 70) {
  rows <- list()
  for (i in seq_len(customers)) {
    entry <- sample(c(0, 0, 0, 2, 5, 9), 1)
    cuts <- sort(sample((entry + 1):(entry + 14), sample(1:4, 1)))
    plan <- sample(c("basic", "pro", "trial"), 1, prob = c(.5, .3, .2))
    region <- sample(c("north", "south", "west"), 1)
    start <- entry
    for (k in seq_along(cuts)) {
      usage <- round(rnorm(1), 2)
      flag <- rbinom(1, 1, .4)
      last <- k == length(cuts)
      rows[[length(rows) + 1]] <- data.frame(
        customer = i, start = start, stop = cuts[k],
        event = if (last) rbinom(1, 1, plogis(1 + .5 * flag - .4 * usage)) else 0,
        usage = usage, flag = flag, plan = plan, region = region, weight = round(runif(1, .3, 3), 1))
      start <- cuts[k]
    }
  }
  do.call(rbind, rows)
}
messy <- make_messy()

# Non-integer times whose ties differ in the last bits (0.1 + 0.2 against 0.3).
n <- 90
steps <- sample(1:12, n, replace = TRUE)
fractional <- data.frame(
  customer = seq_len(n), start = sample(c(0, 0.1, 0.1 + 0.1), n, replace = TRUE),
  stop = 0.3 + ifelse(runif(n) < .5, cumsum(rep(0.1, 12))[steps], steps / 10),
  event = rbinom(n, 1, .7), usage = round(rnorm(n), 2), flag = rbinom(n, 1, .5))
heart <- read.csv(file.path(here, "cox_heart.csv"))
names(heart)[names(heart) == "id"] <- "customer"
rossi <- read.csv(file.path(here, "cox_rossi.csv"))
rossi <- data.frame(customer = seq_len(nrow(rossi)), start = 0, stop = rossi$week, event = rossi$arrest,
                    fin = rossi$fin, age = rossi$age, prio = rossi$prio, race = rossi$race)
recur <- read.csv(file.path(here, "cox_recur.csv"))
recur <- data.frame(customer = recur$ID, start = recur$TIME0, stop = recur$TIME1, event = recur$CENSOR,
                    age = recur$AGE, treat = recur$TREAT)

# ---- one model ----
among_events <- function(stop, event) {
  ranks <- rank(stop[event == 1])
  function(times) { place <- match(times, stop[event == 1]); ifelse(is.na(place), 0, ranks[place]) }
}

zph <- function(fit, d) {
  y <- fit$y
  stop <- y[, ncol(y) - 1]; event <- y[, ncol(y)]
  one <- function(transform) {
    table <- cox.zph(fit, transform = transform, terms = FALSE)$table
    list(statistic = table[, 1], df = table[, 2], p = table[, 3])
  }
  list(km = one("km"), identity = one("identity"), log = one("log"), rank = one(among_events(stop, event)))
}

at_zero <- function(fit, d, covariates) {
  zero <- d[1, , drop = FALSE]
  zero[covariates] <- 0
  if (!is.null(zero$plan)) zero$plan <- factor("basic", levels = levels(d$plan))
  if (!is.null(fit$strata)) {
    zero <- zero[rep(1, length(unique(d$region))), , drop = FALSE]
    zero$region <- sort(unique(d$region))
  }
  s <- survfit(fit, newdata = zero)
  keep <- s$n.event > 0
  stratum <- if (is.null(s$strata)) rep("all", length(s$time))
  else rep(zero$region, s$strata)
  list(stratum = stratum[keep], time = s$time[keep], cumhaz = s$cumhaz[keep], std.err = s$std.err[keep])
}

# beta(t) as plot.cox.zph draws it, with a 95 % band
smooth_of <- function(fit) {
  z <- cox.zph(fit, "km", terms = FALSE)
  grid <- seq(min(z$x), max(z$x), length = 40)
  basis <- splines::ns(c(grid, z$x), df = 4, intercept = TRUE)
  q <- qr(basis[-(1:40), ])
  b <- backsolve(q$qr[1:4, 1:4], diag(4))
  half <- function(j) qnorm(.975) * sqrt(z$var[j, j] * rowSums((basis[1:40, ] %*% (b %*% t(b))) * basis[1:40, ]))
  one <- function(j) drop(basis[1:40, ] %*% qr.coef(q, z$y[, j]))
  list(estimate = sapply(1:2, one), half = sapply(1:2, half))
}

prediction <- function(fit, row) {
  s <- survfit(fit, newdata = row, conf.type = "log-log")
  keep <- s$n.event > 0
  list(row = as.list(row), time = s$time[keep], surv = s$surv[keep], std.err = s$std.err[keep],
       lower = s$lower[keep], upper = s$upper[keep])
}

path_of <- function(fit, path) {
  s <- survfit(fit, newdata = path, id = path$customer)
  keep <- s$n.event > 0
  list(path = as.list(path), time = s$time[keep], cumhaz = s$cumhaz[keep], std.err = s$std.err[keep])
}

model <- function(d, formula, covariates, ties, strata = FALSE, weighted = FALSE, robust = TRUE,
                  residuals = FALSE, path = NULL) {
  d$w <- if (weighted) d$weight else rep(1, nrow(d))
  rhs <- paste(formula, if (strata) "+ strata(region)" else "")
  f <- as.formula(paste("Surv(start, stop, event) ~", rhs))
  control <- coxph.control(eps = 1e-14, iter.max = 60, toler.chol = 1e-15)
  fit <- if (robust) coxph(f, d, weights = w, ties = ties, cluster = customer, control = control, x = TRUE)
  else coxph(f, d, weights = w, ties = ties, robust = FALSE, control = control, x = TRUE)
  naive <- if (robust) fit$naive.var else fit$var
  s <- if (strata) as.integer(factor(d$region)) else rep(1L, nrow(d))
  conc <- survival::concordancefit(fit$y, fit$linear.predictors, s, d$w, reverse = TRUE, timefix = FALSE,
                                   cluster = d$customer, keepstrata = FALSE)
  out <- list(ties = ties, strata = strata, weighted = weighted, robust = robust, formula = formula,
              coef = coef(fit), naive = naive, var = fit$var, loglik = fit$loglik, score = fit$score,
              wald = fit$wald.test, lr = 2 * diff(fit$loglik), concordance = conc$concordance,
              concordance_se = sqrt(conc$var), concordance_coxph = unname(fit$concordance["concordance"]),
              zph = zph(fit, d), baseline = at_zero(fit, d, covariates))
  if (!strata) out$prediction <- prediction(fit, d[nrow(d), c(covariates, if (!is.null(d$plan)) "plan"), drop = FALSE])
  if (!strata) out$smooth <- smooth_of(fit)
  if (!is.null(path)) out$path <- path_of(fit, path)
  if (residuals) {
    id <- d$customer
    scaled <- cox.zph(fit, transform = "identity", terms = FALSE)
    out$residuals <- list(
      martingale = unname(residuals(fit, "martingale")), deviance = unname(residuals(fit, "deviance")),
      deviance_by_customer = unname(residuals(fit, "deviance", collapse = factor(id, levels = unique(id)))),
      score = unname(residuals(fit, "score")), dfbeta = unname(residuals(fit, "dfbeta")),
      schoenfeld = unname(residuals(fit, "schoenfeld")), scaled_schoenfeld = unname(scaled$y))
  }
  out
}

messy$plan <- factor(messy$plan)
path <- data.frame(customer = 1, start = c(0, 4, 8), stop = c(4, 8, 14), event = 0, usage = c(.5, -1, 0.2),
                   flag = c(0, 1, 1), plan = factor("pro", levels = levels(messy$plan)))
still <- transform(path, usage = .5, flag = 1)
cases <- list()
for (ties in c("efron", "breslow")) {
  for (strata in c(FALSE, TRUE)) for (weighted in c(FALSE, TRUE)) {
    name <- paste0("messy_", ties, if (strata) "_strata", if (weighted) "_weights")
    cases[[name]] <- c(list(data = "messy"), model(
      messy, "usage + flag + plan", c("usage", "flag"), ties, strata, weighted,
      residuals = strata == weighted, path = if (!strata) path))
  }
  cases[[paste0("messy_", ties, "_model")]] <- c(list(data = "messy"), model(
    messy, "usage + flag + plan", c("usage", "flag"), ties, FALSE, TRUE, robust = FALSE, path = still))
  cases[[paste0("fractional_", ties)]] <- c(list(data = "fractional"), model(
    fractional, "usage + flag", c("usage", "flag"), ties, robust = FALSE))
  cases[[paste0("heart_", ties)]] <- c(list(data = "heart"), model(
    heart, "age + year + surgery + transplant", c("age", "year", "surgery", "transplant"), ties))
  cases[[paste0("rossi_", ties)]] <- c(list(data = "rossi"), model(
    rossi, "fin + age + prio", c("fin", "age", "prio"), ties, robust = FALSE))
  cases[[paste0("recur_", ties)]] <- c(list(data = "recur"), model(
    recur, "age + treat", c("age", "treat"), ties))
}
data <- list(messy = as.list(messy), fractional = as.list(fractional), heart = as.list(heart),
             rossi = as.list(rossi), recur = as.list(recur))
writeLines(json(list(r = R.version.string, survival = as.character(packageVersion("survival")),
                     data = data, cases = cases)), file.path(here, "cox.json"))
