# Reference values for the diagnostics of Cox models, from R's survival, by the formulas of base R.
#
#   Rscript tests/references/cox_checks.R     # writes tests/references/cox_checks.json
#
# Made with R 4.2 and survival 3.5-3. Tests read the JSON and need no R.
suppressPackageStartupMessages(library(survival))
here <- local({
  file <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
  if (length(file)) dirname(file) else "tests/references"
})
json <- function(x) {
  if (is.matrix(x)) return(paste0("[", paste(apply(x, 1, json), collapse = ",\n "), "]"))
  if (is.list(x)) {
    if (is.null(names(x))) return(paste0("[", paste(vapply(x, json, ""), collapse = ", "), "]"))
    return(paste0("{", paste(mapply(function(n, v) paste0('"', n, '": ', json(v)), names(x), x), collapse = ",\n "), "}"))
  }
  text <- if (is.character(x)) paste0('"', x, '"') else ifelse(is.finite(x), sprintf("%.13g", x), "null")
  if (length(x) == 1) text else paste0("[", paste(text, collapse = ", "), "]")
}

# ---- data: several rows a customer, late entry, ties on whole days, a number that acts along a bend ----
set.seed(20261122)
customers <- 700
rows <- lapply(seq_len(customers), function(i) {
  entry <- sample(c(0, 0, 0, 5, 20), 1)
  seats <- sample(c(1:6, 8, 10, 15, 25, 40), 1, prob = c(30, 20, 15, 10, 8, 5, 5, 4, 2, 1, 1))
  region <- sample(c("north", "south"), 1)
  end <- entry + sample(20:150, 1)
  cuts <- sort(unique(c(entry, sample((entry + 1):(end - 1), sample(0:3, 1)), end)))
  flag <- rbinom(length(cuts) - 1, 1, .35)
  rate <- exp(-5.2 + .7 * flag - .5 * log(seats) + .3 * (region == "north"))
  out <- NULL
  for (k in seq_along(flag)) {
    day <- cuts[k] + ceiling(rexp(1, rate[k]))
    gone <- day <= cuts[k + 1]
    out <- rbind(out, data.frame(customer = i, start = cuts[k], stop = if (gone) day else cuts[k + 1], event = as.numeric(gone),
                                 flag = flag[k], seats = seats, region = region))
    if (gone) break
  }
  out
})
d <- do.call(rbind, rows)

quantile_by <- function(value, weight, shares) {  # the smallest value up to which at least the share of the weight lies
  total <- tapply(weight, value, sum)
  values <- as.numeric(names(total))
  reached <- cumsum(total) / sum(total)
  vapply(shares, function(s) values[which(reached >= s - 1e-12)[1]], 0)
}
spline <- function(x, k) {  # Hmisc::rcspline.eval without the value itself, norm = 2
  m <- length(k); cube <- function(at) pmax(x - at, 0)^3
  sapply(seq_len(m - 2), function(j) (cube(k[j]) - cube(k[m - 1]) * (k[m] - k[j]) / (k[m] - k[m - 1]) +
                                        cube(k[m]) * (k[m - 1] - k[j]) / (k[m] - k[m - 1])) / (k[m] - k[1])^2)
}
wald <- function(fit, which) { b <- coef(fit)[which]; drop(b %*% solve(vcov(fit)[which, which], b)) }

case <- function(ties, strata) {
  rhs <- if (strata) "flag + seats + strata(region)" else "flag + seats + region"
  fit <- coxph(as.formula(paste("Surv(start, stop, event) ~", rhs)), d, ties = ties, cluster = customer)
  q <- length(coef(fit))
  events <- d$event
  martingale <- residuals(fit, type = "martingale")
  expected <- events - martingale

  # ---- customers ----
  by <- function(x) as.numeric(rowsum(x, d$customer))
  seen <- by(events); due <- by(expected)
  m <- seen - due
  deviance <- sign(m) * sqrt(-2 * (m + ifelse(seen == 0, 0, seen * log(due / ifelse(seen == 0, 1, seen)))))
  dfbeta <- rowsum(residuals(fit, type = "dfbeta"), d$customer)
  scaled <- sweep(dfbeta, 2, sqrt(diag(vcov(fit))), "/")
  strongest <- unname(which.max(abs(scaled[, 2])))
  left <- coef(update(fit, data = d[d$customer != strongest, ]))

  # ---- functional form of seats ----
  knots <- quantile_by(d$seats, expected, c(.05, .35, .65, .95))
  bend <- spline(d$seats, knots)
  wide <- update(fit, as.formula(paste(". ~ . + bend")), data = cbind(d, bend = I(bend)))
  mine <- grep("bend", names(coef(wide)))
  slope <- coef(fit)[["seats"]]
  mean_seats <- sum(expected * d$seats) / sum(expected)
  flat <- expected * exp(-slope * (d$seats - mean_seats))
  values <- sort(unique(d$seats))
  ratio <- log(tapply(events, d$seats, sum) / tapply(flat, d$seats, sum))
  all_columns <- c(which(names(coef(wide)) == "seats"), mine)
  design <- function(x) cbind(x, spline(x, knots))
  centre <- colSums(expected * design(d$seats)) / sum(expected)
  ends <- quantile_by(d$seats, expected, c(.01, .99)); at <- seq(ends[1], ends[2], length.out = 7)
  if (ends[2] > 10 * quantile_by(d$seats, expected, .5)) at <- exp(seq(log(ends[1]), log(ends[2]), length.out = 7))
  contrast <- sweep(design(at), 2, centre)
  f <- sweep(design(d$seats), 2, centre) %*% coef(wide)[all_columns]
  shift <- -log(sum(flat * exp(f)) / sum(events))
  half <- qnorm(.975) * sqrt(rowSums((contrast %*% vcov(wide)[all_columns, all_columns]) * contrast))

  # ---- groups of risk: the score test of their indicators, the other coefficients at their estimates ----
  risk <- round(predict(fit, type = "lp", reference = "zero"), 9)
  days <- d$stop - d$start
  total <- tapply(expected, risk, sum)
  middle <- (cumsum(total) - total / 2) / sum(total)
  grouped <- function(g) { w <- pmin(floor(middle * g), g - 1); w <- match(w, sort(unique(w))); w[match(risk, as.numeric(names(total)))] }
  score <- function(group) {
    z <- sapply(sort(unique(group))[-1], function(g) as.numeric(group == g))
    extended <- coxph(as.formula(paste("Surv(start, stop, event) ~", rhs, "+ z")), cbind(d, z = I(z)), ties = ties,
                      init = c(coef(fit), rep(0, ncol(z))), control = coxph.control(iter.max = 0))
    extended$score
  }
  group <- grouped(5)
  # ---- by period: rows cut at the median event, an indicator of each group within each period ----
  cut_day <- unname(quantile(d$stop[d$event == 1], .5, type = 1))
  split <- survSplit(Surv(start, stop, event) ~ ., cbind(d, group = group, row = seq_len(nrow(d))), cut = cut_day, episode = "period")
  cells <- expand.grid(group = 2:5, period = 1:2)
  z <- mapply(function(g, p) as.numeric(split$group == g & split$period == p), cells$group, cells$period)
  halves <- coxph(as.formula(paste("Surv(start, stop, event) ~", rhs, "+ z")), cbind(split, z = I(z)), ties = ties,
                  init = c(coef(fit), rep(0, ncol(z))), control = coxph.control(iter.max = 0))
  part <- coxph(as.formula(paste("Surv(start, stop, event) ~", rhs)), split, ties = ties, init = coef(fit),
                control = coxph.control(iter.max = 0))
  split$expected <- split$event - residuals(part, type = "martingale")
  sums <- function(v, by) as.numeric(t(tapply(v, by, sum)))

  list(ties = ties, strata = strata, coefficients = unname(coef(fit)), churned = seen, expected = due, deviance = deviance,
       dfbeta = unname(t(dfbeta[1:60, ])), in_errors = unname(t(scaled[1:60, ])), largest = apply(abs(scaled), 2, max), strongest = strongest, left = unname(left),
       knots = knots, statistic = wald(wide, mine), values = values, seen = as.numeric(tapply(events, d$seats, sum)),
       due = as.numeric(tapply(expected, d$seats, sum)), log_ratio = as.numeric(ratio), mean = mean_seats, at = at,
       linear = slope * (at - mean_seats), spline = as.numeric(contrast %*% coef(wide)[all_columns] + shift), half = half,
       group = group, group_observed = sums(events, group), group_expected = sums(expected, group), group_days = sums(days, group),
       group_statistic = score(group), group_three = score(grouped(3)), cut = cut_day,
       cell_observed = sums(split$event, list(split$group, split$period)[2:1]),
       cell_expected = sums(split$expected, list(split$group, split$period)[2:1]), cell_statistic = halves$score)
}
numbers <- d[c("customer", "start", "stop", "event", "flag", "seats")]
out <- list(r = R.version.string, survival = as.character(packageVersion("survival")),
            data = c(as.list(numbers), list(region = d$region)),
            cases = list(case("efron", FALSE), case("breslow", FALSE), case("efron", TRUE)))
writeLines(json(out), file.path(here, "cox_checks.json"))
