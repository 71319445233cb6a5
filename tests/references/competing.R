# Reference values for competing causes, Gray's test, Fine-Gray, recurrent events, parametric curves and churn rates.
#
#   Rscript tests/references/competing.R     # writes tests/references/competing.json
#
# Made with R 4.2, survival 3.5-3, cmprsk 2.2-11 and jsonlite. Tests read the JSON and need no R.
suppressPackageStartupMessages({library(survival); library(cmprsk)})
here <- local({
  file <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
  if (length(file)) dirname(file) else "tests/references"
})

# ---- Aalen-Johansen: survfit with a factor as event; variance also by the matrix recursion, which knows late entry ----
status_of <- function(d) factor(ifelse(d$event == 1, d$cause, "none"), levels = c("none", sort(unique(d$cause[d$event == 1]))))

greenwood <- function(d) {
  # cov of the state probabilities: V <- (I + dA)' V (I + dA) + B cov(dA) B', states: retained, causes.
  # A product of matrices, unlike the sums of the package; multinomial steps of the risk set.
  causes <- sort(unique(d$cause[d$event == 1])); k <- length(causes)
  w <- if (is.null(d$weight)) rep(1, nrow(d)) else d$weight
  start <- if (is.null(d$start)) rep(0, nrow(d)) else d$start
  p <- c(1, rep(0, k)); v <- matrix(0, k + 1, k + 1); out <- list()
  for (t in sort(unique(d$stop))) {
    n <- sum(w[start < t & d$stop >= t])
    x <- vapply(causes, function(cause) sum(w[d$stop == t & d$event == 1 & d$cause == cause]), 0)
    a <- x / n
    step <- diag(k + 1); step[1, ] <- c(1 - sum(a), a)
    cov <- (diag(x, k) - outer(x, x) / n) / n^2
    full <- rbind(-colSums(cov), cov); full <- cbind(-rowSums(full), full)
    v <- t(step) %*% v %*% step + p[1]^2 * full
    p <- as.vector(p %*% step)
    out[[length(out) + 1]] <- c(t, p[-1], sqrt(pmax(diag(v)[-1], 0)))
  }
  m <- do.call(rbind, out)
  list(time = m[, 1], incidence = m[, 1 + 1:k, drop = FALSE], se = m[, 1 + k + 1:k, drop = FALSE])
}

aalen <- function(d) {
  d$status <- status_of(d)
  w <- if (is.null(d$weight)) rep(1, nrow(d)) else d$weight
  id <- if (is.null(d$customer)) seq_len(nrow(d)) else d$customer
  y <- if (is.null(d$start)) Surv(d$stop, d$status) else Surv(d$start, d$stop, d$status)
  fits <- lapply(c("log-log", "log", "plain"), function(type) survfit(y ~ 1, id = id, weights = w, conf.type = type))
  keep <- function(x) unname(x[, -1, drop = FALSE])
  limits <- function(f) list(lower = keep(f$lower), upper = keep(f$upper))
  first <- fits[[1]]
  list(causes = levels(d$status)[-1], time = first$time, at_risk = first$n.risk[, 1],
       incidence = keep(first$pstate), jackknife = keep(first$std.err),
       "log-log" = limits(fits[[1]]), log = limits(fits[[2]]), plain = limits(fits[[3]]), greenwood = greenwood(d))
}

incidence_case <- function(d) {
  groups <- sort(unique(d$group))
  list(data = as.list(d), curves = setNames(lapply(groups, function(g) aalen(d[d$group == g, ])), groups))
}

# ---- Gray's test and the variance that comes with it ----
gray <- function(d, strata = NULL) {
  code <- ifelse(d$event == 1, match(d$cause, sort(unique(d$cause[d$event == 1]))), 0)
  fit <- if (is.null(strata)) cuminc(d$stop, code, d$group) else cuminc(d$stop, code, d$group, strata)
  list(statistic = unname(fit$Tests[, "stat"]), p = unname(fit$Tests[, "pv"]), df = unname(fit$Tests[, "df"]))
}

# ---- Fine-Gray: the rows of finegray(), coxph on them, crr ----
fine <- function(d, cause, covariates) {
  d$status <- status_of(d); d$id <- if (is.null(d$customer)) seq_len(nrow(d)) else d$customer
  left <- if (is.null(d$start)) "Surv(stop, status)" else "Surv(start, stop, status)"
  fg <- finegray(as.formula(paste(left, "~ .")), data = d, etype = cause, id = id)
  model <- as.formula(paste("Surv(fgstart, fgstop, fgstatus) ~", paste(covariates, collapse = " + ")))
  rows <- if (nrow(fg) > 2000) NULL else list(id = fg$id, start = fg$fgstart, stop = fg$fgstop, event = fg$fgstatus, weight = fg$fgwt)
  out <- list(cause = cause, rows = rows)
  for (ties in c("efron", "breslow")) {
    fit <- coxph(model, data = fg, weights = fgwt, ties = ties, cluster = id, control = coxph.control(eps = 1e-11, iter.max = 50))
    out[[ties]] <- list(coef = unname(coef(fit)), robust_se = unname(sqrt(diag(fit$var))), se = unname(sqrt(diag(fit$naive.var))))
  }
  if (is.null(d$start)) {
    x <- model.matrix(as.formula(paste("~", paste(covariates, collapse = " + "))), d)[, -1, drop = FALSE]
    r <- crr(d$stop, as.character(d$status), x, failcode = cause, cencode = "none", gtol = 1e-12, maxiter = 100)
    out$crr <- list(coef = unname(r$coef), se = unname(sqrt(diag(r$var))))
  }
  out
}

set.seed(20241122)
n <- 90
draw <- function(n, ties = TRUE) {
  d <- data.frame(group = rep(c("a", "b", "c"), length.out = n), x = round(rnorm(n), 2), z = rbinom(n, 1, 0.4),
                  strata = sample(c("u", "v"), n, TRUE))
  d$stop <- if (ties) sample(1:14, n, TRUE) else round(rexp(n, 0.08 * exp(0.5 * d$z)), 3) + 0.001
  d$event <- rbinom(n, 1, 0.7)
  d$cause <- sample(c("payment", "price", "product"), n, TRUE, c(0.25, 0.45, 0.3)); d$cause[d$event == 0] <- NA
  d
}
ties <- draw(n)
fine_times <- draw(120, FALSE)
late <- draw(150); late$start <- sample(0:7, 150, TRUE); late$stop <- late$start + sample(1:12, 150, TRUE)
late[1:9, "start"] <- 0; late[1:9, "stop"] <- 9; late[1:9, "event"] <- 0; late[1:9, "cause"] <- NA
weighted <- transform(draw(80), weight = sample(c(0.5, 1, 2.25, 3), 80, TRUE))
several <- do.call(rbind, lapply(1:60, function(i) {
  begin <- 0; end <- sample(2:15, 1); died <- rbinom(1, 1, 0.65)
  points <- sort(unique(c(begin, (c(4, 9))[c(4, 9) > begin & c(4, 9) < end], end)))
  d <- data.frame(customer = i, group = c("a", "b")[1 + i %% 2], start = head(points, -1), stop = tail(points, -1), event = 0, cause = NA)
  d$z <- rbinom(nrow(d), 1, 0.5); d$x <- round(rnorm(1), 2)
  if (died) { d$event[nrow(d)] <- 1; d$cause[nrow(d)] <- sample(c("payment", "price"), 1) }
  d
}))
mg <- mgus2[1:500, ]
mgus <- with(mg, data.frame(group = as.character(sex), x = age / 10, z = as.numeric(sex == "M"),
  stop = ifelse(pstat == 1, ptime, futime), event = as.numeric(pstat == 1 | death == 1),
  cause = ifelse(pstat == 1, "pcm", ifelse(death == 1, "death", NA))))

# ---- Recurrent events: cumulative hazard of all events with the variance clustered by customer ----
recurrent <- do.call(rbind, lapply(1:40, function(i) {
  begin <- if (i %% 4 == 0) sample(1:3, 1) else 0; end <- begin + sample(4:15, 1)
  at <- sort(unique(sample((begin + 1):end, rpois(1, 1.6 + (i %% 2)), TRUE)))
  cuts <- unique(c(begin, at, end))
  d <- data.frame(customer = i, group = c("a", "b")[1 + i %% 2], start = head(cuts, -1), stop = tail(cuts, -1))
  d$event <- as.numeric(d$stop %in% at); d$spell <- seq_len(nrow(d))
  d
}))
# Away for a while: customer 7 is not at risk between two spells.
recurrent <- recurrent[!(recurrent$customer == 7 & recurrent$spell == 2), ]
mcf <- function(d) {
  fit <- survfit(Surv(start, stop, event) ~ 1, data = d, cluster = customer, robust = TRUE)
  list(time = fit$time, at_risk = fit$n.risk, events = fit$n.event, mean = fit$cumhaz, se = fit$std.chaz)
}
gap <- function(d) {
  d$gap <- d$stop - d$start
  fit <- survfit(Surv(gap, event) ~ 1, data = d[d$spell == 1, ], conf.type = "log-log")
  list(time = fit$time, surv = fit$surv, lower = fit$lower, upper = fit$upper)
}

# ---- Parametric curves without late entry: survreg ----
parametric <- lapply(c(weibull = "weibull", log_normal = "lognormal", log_logistic = "loglogistic", exponential = "exponential"), function(dist) {
  fit <- survreg(Surv(stop, event) ~ 1, data = fine_times, dist = dist, control = survreg.control(rel.tolerance = 1e-13, maxiter = 100))
  list(location = unname(coef(fit)), scale = fit$scale, log_likelihood = fit$loglik[1])
})

# ---- Churn rates ----
lost <- c(31, 28, 40, 22, 35, 51); start <- c(800, 905, 990, 1100, 1180, 1300)
rates <- list(lost = lost, start = start,
  exact = t(mapply(function(x, m) binom.test(x, m)$conf.int, c(0, lost, 12), c(30, start, 12))),
  exact_lost = c(0, lost, 12), exact_start = c(30, start, 12),
  trend = unname(c(prop.trend.test(lost, start)$statistic, prop.trend.test(lost, start)$p.value)),
  homogeneity = unname(prop.test(lost, start)$statistic),
  logit = unname(summary(glm(cbind(lost, start - lost) ~ seq_along(lost), family = binomial, control = list(epsilon = 1e-14)))$coefficients[2, ]))

cases <- list(
  incidence = lapply(list(ties = ties, fine = fine_times, late = late, weighted = weighted, several = several, mgus = mgus), incidence_case),
  gray = list(ties = gray(ties), fine = gray(fine_times), mgus = gray(mgus), strata = gray(ties, ties$strata)),
  fine_gray = list(ties = fine(ties, "price", c("x", "z")), fine = fine(fine_times, "price", c("x", "z")),
                   late = fine(late, "price", c("x", "z")), several = fine(several, "price", c("x", "z")),
                   mgus = fine(mgus, "pcm", c("x", "z"))),
  recurrent = list(data = as.list(recurrent), curves = lapply(split(recurrent, recurrent$group), mcf), gap = gap(recurrent)),
  parametric = parametric,
  rates = rates
)
writeLines(jsonlite::toJSON(cases, digits = I(16), na = "null", auto_unbox = FALSE), file.path(here, "competing.json"))
