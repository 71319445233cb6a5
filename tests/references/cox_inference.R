# Reference values for the inference around Cox models: offsets, exact ties, coefficients that change with tenure, linear
# hypotheses, profile-likelihood intervals, Firth's penalty, complementary log-log, case-cohort, terms of cox.zph.
#
#   Rscript tests/references/cox_inference.R          # writes tests/references/cox_inference.json
#
# Made with R 4.2, survival 3.5-3, car 3.1 and sandwich as Debian 12 has them. Tests read the JSON and need no R.
# cox_breast.csv: 100 patients with breast cancer of Heinze & Schemper (2001), distributed with R's coxphf.
suppressPackageStartupMessages({ library(survival); library(car) })
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

# ---- data: several rows a customer, late entry, heavy whole-day ties, unequal weights, two regions, an offset ----
set.seed(20261122)
make <- function(customers) {
  rows <- list()
  for (i in seq_len(customers)) {
    entry <- sample(c(0, 0, 0, 2, 5), 1)
    cuts <- sort(sample((entry + 1):(entry + 12), sample(1:4, 1)))
    plan <- sample(c("basic", "pro", "trial"), 1, prob = c(.5, .3, .2))
    region <- sample(c("north", "south"), 1)
    start <- entry
    for (k in seq_along(cuts)) {
      usage <- round(rnorm(1), 2)
      flag <- rbinom(1, 1, .4)
      last <- k == length(cuts)
      rows[[length(rows) + 1]] <- data.frame(
        customer = i, start = start, stop = cuts[k],
        event = if (last) rbinom(1, 1, plogis(.5 + .8 * flag - .5 * usage)) else 0,
        usage = usage, flag = flag, plan = plan, region = region, weight = round(runif(1, .3, 3), 1),
        known = round(runif(1, -1, 1), 2))
      start <- cuts[k]
    }
  }
  do.call(rbind, rows)
}
d <- make(110)
d$plan <- factor(d$plan)
few <- d[d$customer <= 30, ]
tight <- coxph.control(eps = 1e-14, iter.max = 80, toler.chol = 1e-15)
surv <- "Surv(start, stop, event) ~ "

estimates <- function(fit, extra = list()) {
  naive <- if (is.null(fit$naive.var)) fit$var else fit$naive.var
  c(list(names = names(coef(fit)), coef = unname(coef(fit)), var = unname(fit$var), naive = unname(naive),
         loglik = fit$loglik, score = fit$score, wald = unname(fit$wald.test)), extra)
}

# ---- offsets ----
offset_case <- function(ties, strata, weighted, robust) {
  d$w <- if (weighted) d$weight else 1
  f <- as.formula(paste0(surv, "usage + flag + plan + offset(known)", if (strata) " + strata(region)"))
  fit <- if (robust) coxph(f, d, weights = w, ties = ties, cluster = customer, control = tight)
  else coxph(f, d, weights = w, ties = ties, robust = FALSE, control = tight)
  s <- if (strata) as.integer(factor(d$region)) else rep(1L, nrow(d))
  conc <- survival::concordancefit(fit$y, fit$linear.predictors, s, d$w, reverse = TRUE, timefix = FALSE,
                                   cluster = d$customer, keepstrata = FALSE)
  new <- data.frame(usage = .3, flag = 1, plan = factor("pro", levels(d$plan)), known = .7, region = "north")
  curve <- survfit(fit, newdata = new, conf.type = "log-log")
  keep <- curve$n.event > 0
  estimates(fit, list(
    ties = ties, strata = strata, weighted = weighted, robust = robust,
    martingale = unname(residuals(fit, "martingale")), score_residuals = unname(residuals(fit, "score")),
    zph = cox.zph(fit, "km", terms = FALSE)$table[, 1], concordance = unname(conc$concordance), concordance_se = sqrt(unname(conc$var)),
    prediction = list(time = curve$time[keep], surv = curve$surv[keep], se = (curve$std.err * curve$surv)[keep],
                      lower = curve$lower[keep])))
}
offsets <- list(
  efron = offset_case("efron", FALSE, FALSE, TRUE), efron_strata_weights = offset_case("efron", TRUE, TRUE, TRUE),
  breslow_weights = offset_case("breslow", FALSE, TRUE, FALSE))

# ---- exact ties; with (start, stop] R goes through every subset, so few customers there ----
exact_case <- function(formula, data = few, left = surv) {
  fit <- coxph(as.formula(paste0(left, formula)), data, ties = "exact", control = tight)
  list(names = names(fit$coefficients), coef = unname(fit$coefficients), var = unname(fit$var), loglik = fit$loglik,
       score = unname(fit$score), wald = unname(fit$wald.test), concordance = unname(fit$concordance["concordance"]))
}
right <- "Surv(stop, event) ~ "
exact <- list(
  start_stop = exact_case("usage + flag + plan"), strata = exact_case("usage + flag + strata(region)"),
  offset = exact_case("usage + flag + offset(known)"), flat = exact_case("usage + plan", d, right),
  flat_strata = exact_case("usage + flag + plan + strata(region) + offset(known)", d, right),
  flags = exact_case("flag + plan"))

# ---- coefficients that change with tenure ----
times <- sort(unique(d$stop[d$event == 1]))
pieces <- survSplit(Surv(start, stop, event) ~ ., d, cut = times, start = "start", end = "stop", event = "event")
pieces$log_t <- log(pieces$stop)
pieces$root_t <- sqrt(pieces$stop)
pieces$pro_root <- (pieces$plan == "pro") * pieces$root_t
pieces$trial_root <- (pieces$plan == "trial") * pieces$root_t
tt <- coxph(Surv(start, stop, event) ~ usage + flag + plan + tt(flag), d, tt = function(x, t, ...) x * log(t), control = tight)
varying_case <- function(formula, ties = "efron", weighted = FALSE, data = pieces) {
  data$w <- if (weighted) data$weight else 1
  estimates(coxph(as.formula(paste0(surv, formula)), data, weights = w, ties = ties, cluster = customer, control = tight),
            list(ties = ties, weighted = weighted))
}
periods <- survSplit(Surv(start, stop, event) ~ ., d, cut = c(4, 8), episode = "period",
                     start = "start", end = "stop", event = "event")
periods$flag1 <- periods$flag * (periods$period == 1)
periods$flag2 <- periods$flag * (periods$period == 2)
periods$flag3 <- periods$flag * (periods$period == 3)
pieces$flag_log <- pieces$flag * pieces$log_t
path_fit <- coxph(Surv(start, stop, event) ~ usage + flag + flag_log, pieces, cluster = customer, control = tight)
path <- data.frame(customer = 1, start = c(0, 4), stop = c(4, 16), event = 0, usage = c(.5, -.4), flag = c(0, 1))
cut_path <- survSplit(Surv(start, stop, event) ~ ., path, cut = times, start = "start", end = "stop", event = "event")
cut_path$flag_log <- cut_path$flag * log(cut_path$stop)
curve <- survfit(path_fit, newdata = cut_path, id = customer)
on <- curve$n.event > 0
varying <- list(
  tt = list(coef = unname(coef(tt)), var = unname(tt$var), loglik = tt$loglik),
  log = varying_case("usage + flag + flag:log_t + plan"),
  log_strata = varying_case("usage + flag + flag:log_t + strata(region)", "breslow", TRUE),
  root_plan = varying_case("usage + plan + pro_root + trial_root", "efron", TRUE),
  periods = varying_case("usage + flag1 + flag2 + flag3", data = periods),
  path = list(time = curve$time[on], cumhaz = curve$cumhaz[on]))

# ---- linear hypotheses and nested fits ----
full <- coxph(Surv(start, stop, event) ~ usage + flag + plan, d, cluster = customer, weights = weight, control = tight)
plain <- coxph(Surv(start, stop, event) ~ usage + flag + plan, d, control = tight)
small <- coxph(Surv(start, stop, event) ~ usage, d, control = tight)
middle <- coxph(Surv(start, stop, event) ~ usage + flag, d, control = tight)
wald <- function(fit, h, v = vcov(fit)) {
  t <- linearHypothesis(fit, h, vcov. = v, test = "Chisq")
  list(statistic = t$Chisq[2], df = t$Df[2], p = t[["Pr(>Chisq)"]][2],
       estimate = unname(attr(t, "value")[, 1]), se = unname(sqrt(diag(attr(t, "vcov")))))
}
two <- c("usage + flag = 0", "2*planpro - plantrial = 0.3")
table <- anova(small, middle, plain)
zph_of <- function(fit, transform) { t <- cox.zph(fit, transform)$table; list(statistic = t[, 1], df = t[, 2], p = t[, 3]) }
zph_terms <- list(km = zph_of(full, "km"), log = zph_of(full, "log"), identity = zph_of(plain, "identity"))
hypotheses <- list(
  one_robust = wald(full, "planpro = plantrial"), two_robust = wald(full, two),
  two_model = wald(full, two, full$naive.var), term = wald(plain, c("planpro = 0", "plantrial = 0")),
  anova = list(loglik = table$loglik, statistic = table$Chisq[-1], df = table$Df[-1], p = table[["Pr(>|Chi|)"]][-1]))

# ---- terms of one fit added one after the other ----
steps <- function(table) list(term = rownames(table), loglik = table$loglik, statistic = table$Chisq, df = table$Df,
                              p = table[["Pr(>|Chi|)"]])
one_by_one <- function(formula, data = d, ties = "efron")
  steps(anova(coxph(as.formula(paste0(surv, formula)), data, ties = ties, robust = FALSE, control = tight)))
# R's anova fits the smaller models without the weights, and has none for exact ties: here each is fitted as the largest one.
fit_by_fit <- function(terms, data, ...) {
  formulas <- Reduce(function(a, b) paste(a, "+", b), terms, accumulate = TRUE)
  fits <- lapply(formulas, function(f) coxph(as.formula(paste0(surv, f)), data, ..., robust = FALSE, control = tight))
  loglik <- c(fits[[1]]$loglik[1], sapply(fits, function(f) f$loglik[2]))
  df <- diff(c(0, sapply(fits, function(f) length(coef(f)))))
  statistic <- 2 * diff(loglik)
  list(term = c("NULL", terms), loglik = loglik, statistic = c(NA, statistic), df = c(NA, df),
       p = c(NA, pchisq(statistic, df, lower.tail = FALSE)))
}
anovas <- list(
  efron = one_by_one("plan + usage + flag"), breslow_strata = one_by_one("flag + plan + usage + flag:usage + strata(region)", ties = "breslow"),
  offset_strata = one_by_one("usage + plan + offset(known) + strata(region)"), exact = fit_by_fit(c("flag", "usage"), few, ties = "exact"),
  weighted = fit_by_fit(c("plan", "usage", "flag"), d, weights = d$weight))

# ---- profile likelihood, by uniroot on fits with an offset ----
profile_of <- function(d, columns, weights, ties, strata = NULL, level = .95) {
  f <- function(columns, fixed) as.formula(paste0(
    surv, paste(c(columns, if (fixed) "offset(held)", strata), collapse = " + ")))
  d$w <- weights
  best <- coxph(f(columns, FALSE), d, weights = w, ties = ties, robust = FALSE, control = tight)
  one <- function(j, level) {
    at <- function(b) {
      d$held <- b * d[[columns[j]]]
      tail(coxph(f(columns[-j], TRUE), d, weights = w, ties = ties, robust = FALSE, control = tight)$loglik, 1)
    }
    drop <- function(b) at(b) - best$loglik[2] + qchisq(level, 1) / 2
    se <- sqrt(best$var[j, j]); b <- coef(best)[[j]]
    c(uniroot(drop, c(b - 4 * se, b), tol = 1e-12)$root, uniroot(drop, c(b, b + 4 * se), tol = 1e-12)$root,
      pchisq(2 * (best$loglik[2] - at(0)), 1, lower.tail = FALSE))
  }
  sapply(seq_along(columns), one, level = level)
}
profiles <- list(
  efron = profile_of(few, c("usage", "flag"), rep(1, nrow(few)), "efron"),
  breslow_weights_strata = profile_of(few, c("usage", "flag"), few$weight, "breslow", "strata(region)", .9))

# ---- Firth: log likelihood + log det(information) / 2, by optim and uniroot ----
firth_of <- function(y, x, ties, level = .95) {
  p <- ncol(x)
  start <- if (ncol(y) == 3) y[, 1] else rep(0, nrow(y))
  stop <- y[, ncol(y) - 1]; event <- y[, ncol(y)] == 1
  times <- sort(unique(stop[event]))
  risk <- lapply(times, function(t) which(start < t & t <= stop))
  dead <- lapply(times, function(t) which(stop == t & event))
  parts <- function(b) {  # the textbook's sums, one event after the other
    eta <- drop(x %*% b); r <- exp(eta); ll <- 0; info <- matrix(0, p, p)
    for (k in seq_along(times)) {
      at <- risk[[k]]; d <- dead[[k]]; ll <- ll + sum(eta[d])
      for (l in seq_along(d) - 1) {
        w <- r[at] * (1 - if (ties == "efron") (at %in% d) * l / length(d) else 0)
        z <- x[at, , drop = FALSE]; m <- colSums(w * z) / sum(w)
        ll <- ll - log(sum(w)); info <- info + crossprod(z, w * z) / sum(w) - tcrossprod(m)
      }
    }
    list(loglik = ll, info = info)
  }
  value <- function(b) { q <- parts(b); q$loglik + log(det(q$info)) / 2 }
  climb <- function(f, b, far = FALSE) {
    if (far) b <- optim(b, function(z) -f(z), method = "BFGS", control = list(reltol = 1e-10))$par
    for (i in 1:3) b <- b - solve(numDeriv::hessian(f, b), numDeriv::grad(f, b))
    b
  }
  b <- climb(value, rep(0, p), TRUE)
  best <- value(b)
  var <- solve(parts(b)$info)
  one <- function(j) {
    inner <- b[-j]  # moves along
    at <- function(z) {
      if (p == 1) return(value(z))
      f <- function(o) value(append(o, z, j - 1))
      inner <<- climb(f, inner)
      f(inner)
    }
    drop <- function(z) at(z) - best + qchisq(level, 1) / 2
    se <- sqrt(var[j, j])
    end <- function(side) {  # outwards in small steps, so that each maximum starts near the one before
      inner <<- b[-j]; z <- b[j]
      repeat { z <- z + side * se / 3; if (drop(z) < 0) break }
      uniroot(drop, sort(c(z, z - side * se / 3)), tol = 1e-10)$root
    }
    c(end(-1), end(1),
      { inner <<- b[-j]; for (z in seq(b[j], 0, length = 12)) last <- at(z); pchisq(2 * (best - last), 1, lower.tail = FALSE) })
  }
  list(coef = b, var = var, loglik = c(value(rep(0, p)), best), profile = sapply(seq_len(p), one))
}
breast <- read.csv(file.path(here, "cox_breast.csv"))
breast_y <- Surv(breast$TIME, breast$CENS)
breast_x <- as.matrix(breast[c("T", "N", "G", "CD")])
few$safe <- ifelse(few$event == 0 & few$usage > .6, 1, 0)
few_y <- Surv(few$start, few$stop, few$event)
firth <- list(
  breast_breslow = firth_of(breast_y, breast_x, "breslow"), breast_efron = firth_of(breast_y, breast_x, "efron"),
  separated_efron = firth_of(few_y, as.matrix(few[c("flag", "safe")]), "efron"))

out <- list(r = R.version.string, survival = as.character(packageVersion("survival")), data = as.list(d),
            few = as.list(few), offsets = offsets, exact = exact, varying = varying, hypotheses = hypotheses, zph_terms = zph_terms,
            profiles = profiles, firth = firth, anovas = anovas)
writeLines(json(out), file.path(here, "cox_inference.json"))
