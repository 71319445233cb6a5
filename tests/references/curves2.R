# Reference values for what stands on the curves: intervals, bands, differences, weighted tests, robust variances.
#
#   Rscript tests/references/curves2.R          # writes tests/references/curves2.json
#
# Made with R 4.2, survival 3.5-3, coin, mvtnorm, survMisc and km.ci as Debian 12 has them. Tests read the JSON and need no R.
suppressPackageStartupMessages({ library(survival); library(coin); library(mvtnorm); library(survMisc); library(km.ci) })
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

# ---- data: whole days with ties, late entry, several rows a customer, weights that are no counts ----
set.seed(20241122)
n <- 120
late <- data.frame(start = sample(0:6, n, TRUE), group = rep(c("a", "b", "c"), n / 3), strata = sample(c("x", "y"), n, TRUE))
late$stop <- late$start + sample(1:14, n, TRUE)
late$event <- rbinom(n, 1, 0.5)
late[1:9, c("start", "stop", "event")] <- rep(c(0, 12, 0), each = 9)
early <- transform(late, stop = stop - start, start = NULL)

several <- do.call(rbind, lapply(1:50, function(i) {
  begin <- sample(0:3, 1); end <- begin + sample(3:15, 1); died <- rbinom(1, 1, 0.6)
  if (i <= 8) { begin <- 0; end <- 16; died <- 0 }  # so that no group is ever empty
  points <- sort(unique(c(begin, (c(4, 9))[c(4, 9) > begin & c(4, 9) < end], end)))
  d <- data.frame(customer = i, start = head(points, -1), stop = tail(points, -1), event = 0)
  d$event[nrow(d)] <- died
  d$group <- c("a", "b")[1 + i %% 2]
  d$weight <- round(runif(1, 5, 400), 2) * cumprod(c(1, rep(1.1, nrow(d) - 1)))
  if (nrow(d) == 3 && i %% 4 == 0) d <- d[-2, ]
  d
}))

# ---- intervals of R's survfit ----
types <- c("log-log", "log", "plain", "logit", "arcsin")
intervals <- lapply(setNames(types, types), function(type) {
  fit <- survfit(Surv(start, stop, event) ~ 1, late, conf.type = type)
  q <- quantile(fit, c(0.1, 0.25, 0.5))
  list(time = fit$time, surv = fit$surv, lower = fit$lower, upper = fit$upper,
       quantile = as.numeric(q$quantile), q.lower = as.numeric(q$lower), q.upper = as.numeric(q$upper))
})

# ---- robust variance by customer; revenue beside customers; restricted means by influence ----
robust <- lapply(split(several, several$group), function(d) {
  d <- d[order(d$customer, d$start), ]
  y <- with(d, Surv(start, stop, event))
  paid <- survfit(y ~ 1, weights = d$weight, id = d$customer, robust = TRUE, conf.type = "log-log", influence = TRUE)
  kept <- survfit(y ~ 1, id = d$customer, robust = TRUE, conf.type = "log-log", influence = TRUE)
  se <- sqrt(colSums((paid$influence.surv - kept$influence.surv)^2))
  inside <- paid$time <= 12
  length_of <- diff(c(paid$time[inside], 12))
  list(time = paid$time, surv = paid$surv, se = summary(paid, times = paid$time)$std.err,
       lower = paid$lower, upper = paid$upper, customers = kept$surv, customers.se = summary(kept, times = kept$time)$std.err,
       difference.se = se, rmst = sum(c(1, paid$surv[inside]) * diff(c(0, paid$time[inside], 12))),
       rmst.se = sqrt(sum((paid$influence.surv[, inside] %*% length_of)^2)))
})

# ---- given still here: survfit(start.time), which counts an event on that very day, hence half a day later; mean residual by hand; landmark by hand ----
km <- function(d, from = -Inf) {
  times <- sort(unique(d$stop[d$event == 1 & d$stop > from]))
  risk <- vapply(times, function(t) sum(d$start < t & d$stop >= t), 0)
  events <- vapply(times, function(t) sum(d$stop == t & d$event == 1), 0)
  list(time = times, n = risk, d = events, surv = cumprod(1 - events / risk), v = cumsum(events / (risk * (risk - events))))
}
restricted <- function(d, from, horizon) {
  k <- km(d, from); use <- k$time <= horizon
  area <- function(a) {
    knots <- sort(unique(c(a, k$time[use & k$time > a], horizon)))
    level <- vapply(head(knots, -1), function(t) c(1, k$surv)[1 + sum(k$time <= t)], 0)
    sum(level * diff(knots))
  }
  v <- sum(vapply(k$time[use], area, 0)^2 * (k$d / (k$n * (k$n - k$d)))[use])
  c(area(from), sqrt(v))
}
given <- 5
conditional <- local({
  fit <- survfit(Surv(start, stop, event) ~ 1, late, start.time = given + 0.5, conf.type = "log-log")
  present <- late[late$start <= given & late$stop > given, ]
  here <- km(transform(present, start = pmax(start, given)))
  list(given = given, time = fit$time, surv = fit$surv, se = summary(fit, times = fit$time)$std.err,
       lower = fit$lower, upper = fit$upper,
       residual = restricted(late, given, 14)[1], residual.se = restricted(late, given, 14)[2],
       present.time = here$time, present.surv = here$surv, horizon = 14)
})

# ---- differences at fixed tenures ----
at <- c(5, 8, 12)
groups <- c("a", "b", "c")
values <- function(type) {
  per <- lapply(groups, function(g) {
    s <- summary(survfit(Surv(start, stop, event) ~ 1, late[late$group == g, ], conf.type = type), times = at)
    list(s = s$surv, se = s$std.err, lower = s$lower, upper = s$upper)
  })
  names(per) <- groups
  per
}
differences <- local({
  p <- values("plain"); l <- values("log-log")
  pairs <- combn(groups, 2)
  rows <- lapply(seq_len(ncol(pairs)), function(i) {
    a <- pairs[1, i]; b <- pairs[2, i]
    d <- p[[b]]$s - p[[a]]$s; se <- sqrt(p[[a]]$se^2 + p[[b]]$se^2)
    g <- function(x) -log(-log(x$s)); v <- function(x) (x$se / (x$s * log(x$s)))^2
    list(a = a, b = b, difference = d, se = se, lower = d - qnorm(0.975) * se, upper = d + qnorm(0.975) * se,
         z.plain = d / se, z.loglog = (g(l[[b]]) - g(l[[a]])) / sqrt(v(l[[a]]) + v(l[[b]])),
         mover.lower = d - sqrt((l[[b]]$s - l[[b]]$lower)^2 + (l[[a]]$upper - l[[a]]$s)^2),
         mover.upper = d + sqrt((l[[b]]$upper - l[[b]]$s)^2 + (l[[a]]$s - l[[a]]$lower)^2))
  })
  # All cohorts at once: the Wald statistic of two contrasts.
  all <- vapply(seq_along(at), function(j) {
    g <- vapply(l, function(x) -log(-log(x$s[j])), 0); v <- vapply(l, function(x) (x$se[j] / (x$s[j] * log(x$s[j])))^2, 0)
    contrast <- rbind(c(-1, 1, 0), c(-1, 0, 1)); u <- contrast %*% g
    drop(t(u) %*% solve(contrast %*% diag(v) %*% t(contrast)) %*% u)
  }, 0)
  list(at = at, pairs = rows, statistic = all, p = pchisq(all, 2, lower.tail = FALSE))
})

# ---- restricted means compared: the formulas of survRM2::rmst2 ----
rmst2 <- local({
  each <- lapply(groups, function(g) restricted(late[late$group == g, ], 0, 12))
  pairs <- combn(3, 2)
  rows <- lapply(seq_len(ncol(pairs)), function(i) {
    a <- each[[pairs[1, i]]]; b <- each[[pairs[2, i]]]
    d <- b[1] - a[1]; se <- sqrt(a[2]^2 + b[2]^2); r <- log(b[1] / a[1]); rse <- sqrt((a[2] / a[1])^2 + (b[2] / b[1])^2)
    list(difference = d, se = se, p = 2 * pnorm(-abs(d / se)), ratio = exp(r),
         ratio.lower = exp(r - qnorm(0.975) * rse), ratio.upper = exp(r + qnorm(0.975) * rse), ratio.p = 2 * pnorm(-abs(r / rse)))
  })
  p <- vapply(rows, function(r) r$p, 0)
  list(horizon = 12, pairs = rows, holm = p.adjust(p, "holm"), bh = p.adjust(p, "BH"))
})

# ---- weighted rank tests ----
weight_of <- function(name, n, d) {
  s <- cumprod(1 - d / n); before <- c(1, s)[seq_along(s)]; peto <- cumprod(1 - d / (n + 1))
  switch(name, logrank = rep(1, length(n)), gehan = n, "tarone-ware" = sqrt(n), peto = peto, "modified-peto" = peto * n / (n + 1), {
    pq <- as.numeric(strsplit(gsub("[a-z() -]", "", name), ",")[[1]])
    before^pq[1] * (1 - before)^pq[2]
  })
}
score <- function(d, groups, names) {
  k <- length(groups); m <- length(names)
  if (is.null(d$start)) d$start <- 0
  u <- matrix(0, m, k); v <- array(0, c(m, k, m, k))
  for (s in unique(d$strata)) {
    own <- d[d$strata == s, ]
    times <- sort(unique(own$stop[own$event == 1]))
    n <- t(vapply(times, function(t) vapply(groups, function(g) sum(own$start < t & own$stop >= t & own$group == g), 0), numeric(k)))
    x <- t(vapply(times, function(t) vapply(groups, function(g) sum(own$stop == t & own$event == 1 & own$group == g), 0), numeric(k)))
    N <- rowSums(n); X <- rowSums(x)
    w <- vapply(names, function(name) weight_of(name, N, X), numeric(length(N)))
    for (j in seq_along(times)) {
      u <- u + outer(w[j, ], x[j, ] - X[j] * n[j, ] / N[j])
      if (N[j] > 1) {
        h <- X[j] * (N[j] - X[j]) / (N[j] - 1) * (diag(n[j, ] / N[j], k) - outer(n[j, ], n[j, ]) / N[j]^2)
        for (a in seq_len(m)) for (b in seq_len(m)) v[a, , b, ] <- v[a, , b, ] + w[j, a] * w[j, b] * h
      }
    }
  }
  list(u = u, v = v)
}
chi <- function(u, v) {
  keep <- -1
  x <- sum(solve(v[keep, keep, drop = FALSE], u[keep]) * u[keep])
  c(x, pchisq(x, length(u) - 1, lower.tail = FALSE))
}
names_of <- c("logrank", "gehan", "tarone-ware", "peto", "modified-peto", "fleming-harrington(0.5, 0)", "fleming-harrington(1, 0)",
              "fleming-harrington(0, 1)", "fleming-harrington(1, 1)", "fleming-harrington(0.5, 2)")
tests_of <- function(d) {
  s <- score(d, groups, names_of)
  lapply(setNames(seq_along(names_of), names_of), function(i) {
    v <- s$v[i, , i, ]; trend <- sum(1:3 * s$u[i, ])^2 / c(1:3 %*% v %*% 1:3)
    pairs <- apply(combn(groups, 2), 2, function(g) {
      two <- score(d[d$group %in% g, ], g, names_of[i]); chi(two$u[1, ], two$v[1, , 1, ])
    })
    list(test = chi(s$u[i, ], v), trend = c(trend, pchisq(trend, 1, lower.tail = FALSE)),
         pairs = pairs[1, ], pairs.p = pairs[2, ], holm = p.adjust(pairs[2, ], "holm"), bh = p.adjust(pairs[2, ], "BH"))
  })
}
tests <- list(late = tests_of(late), early = tests_of(early), unstratified = tests_of(transform(late, strata = "all")))
# Where packages have the same test they must agree with the above: survdiff's rho, survMisc's weights.
same <- function(a, b, tolerance = 1e-8) stopifnot(isTRUE(all.equal(unname(a), unname(b), tolerance = tolerance)))
for (rho in c(0, 0.5, 1)) {
  name <- if (rho == 0) "logrank" else sprintf("fleming-harrington(%g, 0)", rho)
  same(survdiff(Surv(stop, event) ~ group + strata(strata), early, rho = rho)$chisq, tests$early[[name]]$test[1])
}
# survMisc's variance has no correction for ties, so that it is asked without any.
two <- transform(early[early$group != "c", ], strata = "all")
two$stop <- two$stop + seq_len(nrow(two)) / 1000
table <- ten(Surv(stop, event) ~ group, data = two)
invisible(capture.output(comp(table, p = c(1, 0, 1, 0.5), q = c(0, 1, 1, 2))))
misc <- attr(table, "lrt")
ours <- score(two, c("a", "b"), c("logrank", "gehan", "tarone-ware", "peto", "modified-peto", "fleming-harrington(1, 0)",
                                  "fleming-harrington(0, 1)", "fleming-harrington(1, 1)", "fleming-harrington(0.5, 2)"))
z2 <- vapply(seq_len(nrow(ours$u)), function(i) ours$u[i, 1]^2 / ours$v[i, 1, i, 1], 0)
same(as.numeric(misc$Z)^2, z2)

combined <- c("fleming-harrington(0, 0)", "fleming-harrington(1, 0)", "fleming-harrington(0, 1)", "fleming-harrington(1, 1)")
combo_of <- function(d, g, keep = TRUE) {
  s <- score(d, g, combined)
  z <- s$u[, 1] / sqrt(vapply(1:4, function(i) s$v[i, 1, i, 1], 0))
  corr <- cov2cor(s$v[, 1, , 1])
  set.seed(1)
  # FH(0,0) is the sum of FH(1,0) and FH(0,1): the correlation matrix is singular, which Genz's method takes.
  inside <- pmvnorm(-rep(max(abs(z)), 4), rep(max(abs(z)), 4), sigma = corr, algorithm = GenzBretz(2e6, 1e-8, 0))
  list(z = z, p = 1 - as.numeric(inside), error = attr(inside, "error"))
}
combo <- list(late = combo_of(late[late$group != "c", ], c("a", "b")), early = combo_of(early[early$group != "c", ], c("a", "b")),
              ac = combo_of(early[early$group != "b", ], c("a", "c")))
combo$three <- local({
  s <- score(late, groups, combined); keep <- 2:3
  v <- matrix(aperm(s$v[, keep, , keep], c(2, 1, 4, 3)), 8, 8)
  chisq <- vapply(1:4, function(i) chi(s$u[i, ], s$v[i, , i, ])[1], 0)
  set.seed(2)
  e <- eigen(v, symmetric = TRUE); root <- e$vectors %*% diag(sqrt(pmax(e$values, 0)))
  draws <- root %*% matrix(rnorm(8 * 400000), 8)
  largest <- do.call(pmax, lapply(1:4, function(i) {
    x <- draws[2 * i - 1:0, ]; colSums(x * solve(s$v[i, keep, i, keep], x))
  }))
  list(statistic = chisq, p = mean(largest >= max(chisq)))
})

# ---- exact permutation, no ties: coin's log-rank scores ----
set.seed(5)
small <- data.frame(stop = sample(1:40, 13), event = rbinom(13, 1, 0.7), group = rep(c("a", "b"), c(6, 7)))
permutation <- list(data = as.list(small), p = as.numeric(pvalue(
  logrank_test(Surv(stop, event) ~ factor(group), small, distribution = "exact", ties.method = "mid-ranks"))))

# ---- critical values of bands, by other methods than ours ----
# Hall-Wellner: sine series of the killed Brownian motion, its coefficients by integrate().
bridge <- function(k, low, high) {
  n <- 1:60
  side <- function(p, shift) vapply(n, function(i) {
    wave <- function(x) sin(i * pi * (x + k) / (2 * k))
    if (p <= 0) wave(0) else integrate(function(x) wave(x) * dnorm(x, 0, sqrt(p)), -k, k, rel.tol = 1e-11, subdivisions = 1000)$value
  }, 0)
  step <- high - low
  sum(exp(-(n * pi)^2 * step / (8 * k^2)) * side(low) * side(1 - high)) / k * sqrt(2 * pi)
}
hall <- function(low, high, level = 0.95) uniroot(function(k) bridge(k, low, high) - level, c(0.4, 3), tol = 1e-11)$root
# Equal precision: the Ornstein-Uhlenbeck process on a lattice of steps, extrapolated to steps of 0 (Richardson).
lattice <- function(c, lasts, m) {
  h <- 2 * c / m; x <- seq(-c + h, c - h, h); between <- seq(-c + h / 2, c - h / 2, h)
  phi <- dnorm(x); mid <- dnorm(between)
  off <- -mid[2:(m - 1)] / (h^2 * sqrt(phi[-1] * phi[-length(phi)]))
  a <- diag((mid[-1] + mid[-m]) / (h^2 * phi)); i <- seq_along(off)
  a[cbind(i, i + 1)] <- off; a[cbind(i + 1, i)] <- off
  e <- eigen(a, symmetric = TRUE); w <- crossprod(e$vectors, sqrt(phi * h))
  sum(exp(-e$values * lasts) * w^2)
}
within <- function(c, lasts) {
  p <- vapply(c(100, 200, 400), function(m) lattice(c, lasts, m), 0)
  q <- (4 * p[-1] - p[-3]) / 3
  (16 * q[2] - q[1]) / 15
}
equal <- function(low, high, level = 0.95) {
  lasts <- 0.5 * (qlogis(high) - qlogis(low))
  uniroot(function(c) within(c, lasts) - level, c(1.9, 4.5), tol = 1e-9)$root
}
ranges <- list(c(0.1, 0.6), c(0.05, 0.95), c(0.3, 0.4), c(0.02, 0.9))
critical <- list(
  low = vapply(ranges, `[`, 0, 1), high = vapply(ranges, `[`, 0, 2),
  hall = vapply(ranges, function(r) hall(r[1], r[2]), 0), hall.from.0 = hall(0, 0.5), hall.99 = hall(0.1, 0.6, 0.99),
  equal = vapply(ranges, function(r) equal(r[1], r[2]), 0), equal.99 = equal(0.1, 0.6, 0.99),
  # Klein & Moeschberger's tables C.4 and C.3, as km.ci has them: rows a_U = 0.10, 0.12 ..., columns a_L.
  table.hall = as.numeric(critical.value.hall.95[c("26", "36"), c("al00")]), table.hall.high = c(0.60, 0.80),
  table.equal = as.numeric(critical.value.nair.95[c("26", "41"), "al10"]), table.equal.high = c(0.60, 0.90))

band <- local({
  bmt <- early[early$group == "a", ]
  fit <- survfit(Surv(stop, event) ~ 1, bmt); n <- nrow(bmt)
  use <- fit$n.event > 0 & fit$surv > 0
  v <- (fit$std.err[use])^2; a <- n * v / (1 + n * v); s <- fit$surv[use]
  k <- hall(min(a), max(a)); inside <- a >= 0.05 & a <= 0.95; c <- equal(min(a[inside]), max(a[inside]))
  loglog <- function(s, spread) list(lower = s^exp(-spread / log(s)), upper = s^exp(spread / log(s)))
  list(time = fit$time[use], hall = k, equal = c, hall.loglog = loglog(s, k * (1 + n * v) / sqrt(n)),
       hall.plain = list(lower = pmax(s - s * k * (1 + n * v) / sqrt(n), 0), upper = pmin(s + s * k * (1 + n * v) / sqrt(n), 1)),
       equal.time = fit$time[use][inside], equal.loglog = loglog(s[inside], c * sqrt(v[inside])))
})

# ---- hazards: person-time and exact Poisson limits; muhaz's kernels at a fixed bandwidth ----
cuts <- c(0, 3, 7, 12, 20)
piecewise <- local({
  rows <- lapply(groups, function(g) {
    d <- late[late$group == g, ]
    x <- survSplit(Surv(start, stop, event) ~ ., d, cut = cuts, episode = "piece")
    events <- tapply(x$event, x$piece, sum); time <- tapply(x$stop - x$start, x$piece, sum)
    ci <- mapply(function(e, t) poisson.test(e, t)$conf.int, events, time)
    list(events = as.numeric(events), time = as.numeric(time), lower = unname(ci[1, ]), upper = unname(ci[2, ]))
  })
  names(rows) <- groups
  list(cuts = cuts, groups = rows)
})
smooth <- local({
  fit <- survfit(Surv(start, stop, event) ~ 1, late)
  use <- fit$n.event > 0; t <- fit$time[use]; dh <- (fit$n.event / fit$n.risk)[use]; dv <- (fit$n.event / fit$n.risk^2)[use]
  # A churn on day t stands for the day around it: the mass begins half a day after 0 and ends half a day after the last.
  b <- 4; from <- 0.5; to <- max(fit$time) + 0.5; asked <- c(0, 0.5, 2, 4, 7.3, 9, to - 2.5, to - 0.5); grid <- pmax(asked, from)
  left <- function(x, q) ifelse(x >= -1 & x <= q, 12 * (x + 1) / (1 + q)^4 * (x * (1 - 2 * q) + (3 * q^2 - 2 * q + 1) / 2), 0)
  weight <- function(at) {
    if (at - from < b) left((at - t) / b, (at - from) / b)
    else if (to - at < b) left(-(at - t) / b, (to - at) / b)
    else ifelse(abs(at - t) <= b, 0.75 * (1 - ((at - t) / b)^2), 0)
  }
  # Bias correction: the kernel that follows a parabola, its moments by numerical integration; limits of Fay & Feuer.
  parabola <- function(at) {
    z <- (at - t) / b; ends <- c(max(-1, (at - to) / b), min(1, (at - from) / b))
    m <- vapply(0:4, function(j) integrate(function(x) 0.75 * (1 - x^2) * x^j, ends[1], ends[2], rel.tol = 1e-12)$value, 0)
    c0 <- solve(outer(1:3, 1:3, function(i, j) m[i + j - 1]), c(1, 0, 0))
    list(k = ifelse(abs(z) <= 1, 0.75 * (1 - z^2) * (c0[1] + c0[2] * z + c0[3] * z^2), 0) / b, own = 0.75 * c0[1] / b)
  }
  limits <- vapply(grid, function(x) {
    p <- parabola(x); y <- max(sum(p$k * dh), 0); v <- sum(p$k^2 * dv)
    w <- max(abs(p$k) * dv / dh, abs(p$own) * approx(t, dv / dh, x, rule = 2)$y)
    c(if (y > 0) qgamma(0.025, y^2 / v, y / v) else 0, qgamma(0.975, (y + w)^2 / (v + w^2), (y + w) / (v + w^2)))
  }, c(0, 0))
  list(bandwidth = b, upper = to, at = asked, hazard = vapply(grid, function(x) max(sum(weight(x) * dh) / b, 0), 0),
       se = vapply(grid, function(x) sqrt(sum(weight(x)^2 * dv)) / b, 0), lower = limits[1, ], upper.limit = limits[2, ])
})

writeLines(json(list(
  late = as.list(late), early = as.list(early), several = as.list(several), intervals = intervals, robust = robust,
  conditional = conditional, differences = differences, rmst = rmst2, tests = tests, combo = combo,
  permutation = permutation, critical = critical, band = band, piecewise = piecewise, smooth = smooth
)), file.path(here, "curves2.json"))
