# Reference values for curves, rank tests, restricted means and cumulative hazards, from R's survival.
#
#   python tests/references/curves_data.py     # once: lifelines' datasets as CSV
#   Rscript tests/references/curves.R          # writes tests/references/curves.json
#
# Made with R 4.2 and survival 3.5-3. Tests read the JSON and need no R.
suppressPackageStartupMessages(library(survival))
here <- local({
  file <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
  if (length(file)) dirname(file) else "tests/references"
})

# ---- JSON, 17 digits, NA and infinity as null ----
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

# ---- survfit, group by group ----
surv_of <- function(d) {
  if (is.null(d$start)) Surv(d$stop, d$event) else Surv(d$start, d$stop, d$event)
}

fit_of <- function(d, type, level = 0.95) {
  w <- if (is.null(d$weight)) rep(1, nrow(d)) else d$weight
  y <- surv_of(d)
  if (is.null(d$customer)) survfit(y ~ 1, weights = w, conf.type = type, conf.int = level, robust = FALSE)
  else survfit(y ~ 1, weights = w, id = d$customer, conf.type = type, conf.int = level, robust = FALSE)
}

curve_of <- function(d, type, probs) {
  fit <- fit_of(d, type)
  q <- quantile(fit, probs)
  list(time = fit$time, n.risk = fit$n.risk, n.event = fit$n.event, n.censor = fit$n.censor,
       surv = fit$surv, se = summary(fit, times = fit$time)$std.err, lower = fit$lower, upper = fit$upper,
       cumhaz = fit$cumhaz, std.chaz = fit$std.chaz,
       quantile = as.numeric(q$quantile), q.lower = as.numeric(q$lower), q.upper = as.numeric(q$upper))
}

at_of <- function(d, times) {
  s <- summary(fit_of(d, "log-log"), times = times, extend = FALSE)
  list(time = s$time, n.risk = s$n.risk, surv = s$surv, se = s$std.err, lower = s$lower, upper = s$upper)
}

rmean_of <- function(d, horizon) {
  table <- summary(fit_of(d, "log-log"), rmean = horizon)$table
  entry <- if (is.null(d$start)) 0 else min(d$start)
  # R's area starts at 0; ours at the smallest entry, before which the curve is 1.
  list(horizon = horizon, rmst = unname(table["rmean"]) - entry, se = unname(table["se(rmean)"]))
}

# ---- rank tests: hypergeometric mean and variance on the risk sets ----
hyper <- function(d, groups) {
  k <- length(groups); u <- e <- numeric(k); v <- matrix(0, k, k)
  start <- if (is.null(d$start)) rep(0, nrow(d)) else d$start
  w <- if (is.null(d$weight)) rep(1, nrow(d)) else d$weight
  strata <- if (is.null(d$strata)) rep(1, nrow(d)) else d$strata
  for (s in unique(strata)) for (t in sort(unique(d$stop[d$event == 1 & strata == s]))) {
    risk <- strata == s & start < t & d$stop >= t
    n <- vapply(groups, function(g) sum(w[risk & d$group == g]), 0, USE.NAMES = FALSE)
    x <- vapply(groups, function(g) sum(w[risk & d$group == g & d$stop == t & d$event == 1]), 0, USE.NAMES = FALSE)
    N <- sum(n); X <- sum(x)
    u <- u + x - X * n / N; e <- e + X * n / N
    if (N > 1) v <- v + X * (N - X) / (N - 1) * (diag(n / N, k) - outer(n, n) / N^2)
  }
  list(u = u, e = e, v = v)
}

chi <- function(h) {
  keep <- which(h$e > 0)[-1]
  if (!length(keep)) return(c(NA, NA))
  x <- sum(solve(h$v[keep, keep, drop = FALSE], h$u[keep]) * h$u[keep])
  c(x, pchisq(x, length(keep), lower.tail = FALSE))
}

same <- function(a, b) stopifnot(isTRUE(all.equal(unname(a), unname(b), tolerance = 1e-8)))

ranks_of <- function(d) {
  groups <- sort(unique(d$group)); h <- hyper(d, groups); overall <- chi(h)
  scores <- seq_along(groups)
  x <- sum(scores * h$u)^2 / c(scores %*% h$v %*% scores)
  trend <- c(x, pchisq(x, 1, lower.tail = FALSE))
  # Where survival has the same test, it must agree: survdiff, and the score test of the exact partial likelihood.
  strata <- if (is.null(d$strata)) rep(1, nrow(d)) else d$strata
  if (is.null(d$weight)) {
    score <- match(d$group, groups)
    exact <- coxph(surv_of(d) ~ factor(group) + strata(strata), data = d, ties = "exact")
    same(exact$score, overall[1])
    same(coxph(surv_of(d) ~ score + strata(strata), ties = "exact")$score, trend[1])
    if (is.null(d$start)) {
      diff <- survdiff(Surv(stop, event) ~ group + strata(strata), data = d)
      same(diff$chisq, overall[1])
      same(if (is.matrix(diff$exp)) rowSums(diff$exp) else diff$exp, h$e)
    }
  }
  pairs <- combn(groups, 2)
  tests <- apply(pairs, 2, function(g) chi(hyper(d[d$group %in% g, ], g)))
  list(statistic = overall[1], p = overall[2], observed = h$u + h$e, expected = h$e,
       trend = trend[1], trend_p = trend[2],
       a = pairs[1, ], b = pairs[2, ], pair_statistic = tests[1, ], pair_p = tests[2, ],
       pair_holm = p.adjust(tests[2, ], "holm"))
}

# ---- one case ----
case <- function(d, times, horizon, probs = c(0.1, 0.25, 0.5, 0.75), ranks = TRUE) {
  if (is.null(d$group)) d$group <- "all"
  groups <- sort(unique(d$group))
  per <- lapply(groups, function(g) {
    own <- d[d$group == g, ]
    own <- own[order(own$stop), ]
    if (!is.null(own$customer)) own <- own[order(own$customer, own$stop), ]
    out <- lapply(c("log-log", "log", "plain"), function(type) curve_of(own, type, probs))
    names(out) <- c("log-log", "log", "plain")
    c(out, list(at = at_of(own, times), rmean = rmean_of(own, horizon)))
  })
  names(per) <- groups
  list(data = as.list(d), times = times, probs = probs, curves = per,
       ranks = if (ranks && length(groups) > 1) ranks_of(d) else NULL)
}

set.seed(20240229)
n <- 60
ties <- data.frame(stop = sample(1:12, n, TRUE), event = rbinom(n, 1, 0.65), group = rep(c("a", "b", "c"), n / 3),
                   strata = sample(c("x", "y"), n, TRUE))
weighted <- transform(ties[, c("stop", "event", "group")], weight = sample(c(0.5, 1.25, 2, 3.7), n, TRUE))
late <- data.frame(start = sample(0:6, 90, TRUE), group = rep(c("a", "b", "c"), 30), strata = sample(c("x", "y"), 90, TRUE))
late$stop <- late$start + sample(1:14, 90, TRUE)
late$event <- rbinom(90, 1, 0.55)
late[1:6, "start"] <- 0; late[1:6, "stop"] <- 9; late[1:6, "event"] <- 0
late <- late[, c("start", "stop", "event", "group", "strata")]
late_entry_only <- transform(late[late$group == "a", ], start = start + 3, stop = stop + 3)[, c("start", "stop", "event")]
late_weighted <- transform(late[, c("start", "stop", "event", "group")], weight = round(runif(90, 0.3, 4), 2))

# Several rows a customer: cuts at 4 and 9, sometimes a gap; weight constant within the customer.
several <- do.call(rbind, lapply(1:40, function(i) {
  begin <- sample(0:3, 1); end <- begin + sample(2:15, 1); died <- rbinom(1, 1, 0.6)
  points <- sort(unique(c(begin, (c(4, 9))[c(4, 9) > begin & c(4, 9) < end], end)))
  d <- data.frame(customer = i, start = head(points, -1), stop = tail(points, -1), event = 0)
  d$event[nrow(d)] <- died
  d$group <- c("a", "b")[1 + i %% 2]; d$weight <- c(1, 2.5)[1 + i %% 3 %% 2]
  if (nrow(d) == 3 && i %% 2 == 0) d <- d[-2, ]
  d
}))

# Times that differ by rounding only: 0.1 + 0.2 against 0.3, thirds added up against their product.
steps <- sample(1:9, 45, TRUE)
rounded <- data.frame(stop = ifelse(seq_along(steps) %% 2 == 0, steps * 0.1, vapply(steps, function(s) sum(rep(0.1, s)), 0)),
                      event = rbinom(45, 1, 0.7), group = rep(c("a", "b", "c"), 15))
thirds <- data.frame(start = vapply(sample(1:4, 50, TRUE), function(s) sum(rep(1 / 3, s)), 0))
length_of <- sample(1:8, 50, TRUE)
thirds$stop <- thirds$start + vapply(length_of, function(s) sum(rep(1 / 3, s)), 0)
thirds$start <- ifelse(seq_len(50) %% 3 == 0, round(thirds$start * 3) / 3, thirds$start)
thirds$event <- rbinom(50, 1, 0.5); thirds$group <- rep(c("a", "b"), 25)

read <- function(name) read.csv(file.path(here, paste0(name, ".csv")))
waltons <- with(read("waltons"), data.frame(stop = T, event = E, group = group))
leukemia <- with(read("leukemia"), data.frame(stop = t, event = status, group = paste0("rx", Rx), strata = paste0("sex", sex)))
rossi <- with(read("rossi_curves"), data.frame(stop = week, event = arrest, group = paste0("fin", fin), strata = paste0("race", race)))
heart <- with(read("heart"), data.frame(customer = id, start, stop, event, group = paste0("transplant", transplant)))

# coxph and survdiff apply timefix themselves; `hyper` gets times that are already tied.
tied <- function(d) {
  y <- aeqSurv(surv_of(d))
  if (is.null(d$start)) d$stop <- y[, 1] else { d$start <- y[, 1]; d$stop <- y[, 2] }
  d
}
rounded_case <- case(rounded, c(0.35, 0.55, 0.75), 0.8, ranks = FALSE)
rounded_case$ranks <- ranks_of(tied(rounded))
thirds_case <- case(thirds, c(1, 2, 2.5), 2.6, ranks = FALSE)
thirds_case$ranks <- ranks_of(tied(thirds))

cases <- list(
  ties = case(ties, c(0, 3, 5.5, 9), 10),
  weighted = case(weighted, c(1, 4, 8), 10),
  late_entry = case(late, c(3, 6, 8.5, 12), 12),
  late_entry_only = case(late_entry_only, c(6, 8.5, 12), 12, ranks = FALSE),
  late_weighted = case(late_weighted, c(3, 6, 8.5, 12), 12),
  several_rows = case(several, c(3, 5, 9, 10), 12),
  rounded = rounded_case,
  thirds = thirds_case,
  waltons = case(waltons, c(10, 30, 50, 60), 60),
  leukemia = case(leukemia, c(5, 10, 20), 20),
  rossi = case(rossi, c(10, 26, 52), 52, probs = c(0.05, 0.1, 0.2, 0.5)),
  heart = case(heart, c(30, 100, 500), 600)
)
writeLines(json(cases), file.path(here, "curves.json"))
