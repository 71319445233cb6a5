# Reference values for adjusted (standardised) retention curves and balancing weights.
#
#   Rscript tests/references/adjusted.R          # writes tests/references/adjusted.csv and adjusted.json
#
# Made with R 4.2, survival 3.5-3 and nnet as Debian 12 has them. Tests read the files and need no R. As the vignette "Adjusted
# survival curves" of survival (Therneau, Crowson & Atkinson 2015): conditional = mean of survfit(fit, newdata) over the data with
# the group set; average = the same over the group's own rows; marginal = weighted survfit. Standard errors of means: the delta
# method written out (slopes by numerical derivatives of coxph(init =, iter = 0)), and the infinitesimal jackknife by refitting with
# each customer's weight moved a little.
suppressPackageStartupMessages({ library(survival); library(nnet) })
here <- local({
  file <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
  if (length(file)) dirname(file) else "tests/references"
})

# ---- JSON, 17 digits, NA as null; a matrix is a list of its columns ----
json <- function(x) {
  if (is.matrix(x)) return(paste0("[", paste(apply(x, 2, json), collapse = ",\n "), "]"))
  if (is.list(x)) {
    pairs <- mapply(function(n, v) paste0('"', n, '": ', json(v)), names(x), x)
    return(paste0("{", paste(pairs, collapse = ",\n "), "}"))
  }
  paste0("[", paste(ifelse(is.finite(x), sprintf("%.17g", x), "null"), collapse = ", "), "]")
}

# ---- data: confounded groups, whole-day ties, late entry, a few customers with two spells (rows) ----
set.seed(20261122)
n <- 160
seats <- round(rexp(n, 1 / 6) + 1)
segment <- sample(c("large", "mid", "small"), n, TRUE)
odds <- cbind(1, exp(0.08 * seats - 0.5), exp(0.7 * (segment == "small") - 0.3))
plan <- apply(odds, 1, function(w) sample(c("basic", "pro", "starter"), 1, prob = w))
rate <- exp(-3.3 - 0.04 * seats + 0.5 * (segment == "small") - 0.4 * (plan == "pro") + 0.2 * (plan == "starter"))
start <- ifelse(runif(n) < 0.2, sample(1:6, n, TRUE), 0)
life <- start + ceiling(rexp(n, rate))
end <- start + sample(10:70, n, TRUE)
d <- data.frame(customer = 1:n, start = start, stop = pmin(life, end), event = as.integer(life <= end), plan, segment, seats)
d <- rbind(d, transform(d[1:25, ], start = 0, stop = ceiling(runif(25, 2, 40)), event = rbinom(25, 1, 0.5)))
d$spell <- c(rep(1, n), rep(2, 25))
d <- d[order(d$customer, d$spell), ]
write.csv(d, file.path(here, "adjusted.csv"), row.names = FALSE)
plans <- c("basic", "pro", "starter")
at <- c(5, 12, 20, 33)
tight <- coxph.control(eps = 1e-14, iter.max = 60, toler.chol = 1e-15)
people <- d[!duplicated(d$customer), ]

read <- function(time, surv) surv[pmax(findInterval(at, time), 1), , drop = FALSE]
predicted <- function(fit, newdata) {            # (times, rows) at `at`; of a stratified fit each row has its own curve
  s <- survfit(fit, newdata = newdata, se.fit = FALSE)
  if (is.null(s$strata)) return(read(s$time, as.matrix(s$surv)))
  first <- c(0, cumsum(s$strata))
  sapply(seq_along(s$strata), function(i) {
    rows <- (first[i] + 1):first[i + 1]
    read(s$time[rows], as.matrix(s$surv[rows]))
  })
}
conditional <- function(fit, reference) sapply(plans, function(p) rowMeans(predicted(fit, transform(reference, plan = p))))
average <- function(fit) sapply(plans, function(p) rowMeans(predicted(fit, people[people$plan == p, ])))

# ---- the delta method, written out: slope in beta by numerical derivatives, the baseline's own variance from coxph.detail ----
delta <- function(formula, ties) {
  fit <- coxph(formula, d, ties = ties, control = tight)
  beta <- coef(fit); h <- 1e-5
  shifted <- function(b) conditional(coxph(formula, d, ties = ties, init = b, iter = 0), people)
  slope <- sapply(seq_along(beta), function(j) {
    up <- beta; down <- beta; up[j] <- up[j] + h; down[j] <- down[j] - h
    as.vector((shifted(up) - shifted(down)) / (2 * h))
  })
  detail <- coxph.detail(fit)
  own <- cumsum(detail$varhaz)[findInterval(at, detail$time)]    # at the mean covariates of the fit
  steep <- sapply(plans, function(p) {
    new <- transform(people, plan = p)
    risk <- exp(predict(fit, new, type = "lp", reference = "sample"))
    rowSums(sweep(predicted(fit, new), 2, risk, "*")) / nrow(new)
  })
  sqrt(matrix(rowSums((slope %*% vcov(fit)) * slope), length(at)) + steep^2 * own)
}

# ---- the infinitesimal jackknife: every customer's weight moved up and down ----
jackknife <- function(formula, ties) {
  move <- function(who, by) {
    d$w <- ifelse(d$customer == who, 1 + by, 1)
    conditional(coxph(formula, d, weights = w, ties = ties, control = tight, model = TRUE, x = TRUE, y = TRUE), people)
  }
  influence <- sapply(people$customer, function(who) as.vector(move(who, 1e-4) - move(who, -1e-4)) / 2e-4)
  gap <- influence[(length(at) + 1):(2 * length(at)), ] - influence[1:length(at), ]
  list(se = matrix(sqrt(rowSums(influence^2)), length(at)), difference_se = sqrt(rowSums(gap^2)))
}

y <- Surv(start, stop, event) ~ .
in_formula <- update(y, . ~ plan + segment + seats)
own_baseline <- update(y, . ~ segment + seats + strata(plan))
interaction <- update(y, . ~ plan * segment + log(seats))
fit <- function(formula, ties = "efron") coxph(formula, d, ties = ties, control = tight)
single <- survfit(fit(in_formula), newdata = data.frame(plan = "pro", segment = "mid", seats = 5))

# ---- weights: of two groups by logistic, of three by multinomial regression ----
two <- people[people$plan != "starter", ]
logistic <- fitted(glm(I(plan == "pro") ~ segment + seats, binomial, two, control = glm.control(1e-15, 100)))
weight_two <- ifelse(two$plan == "pro", 1 / logistic, 1 / (1 - logistic))
three <- multinom(plan ~ segment + seats, people, reltol = 1e-16, abstol = 1e-16, maxit = 2000, trace = FALSE)
weight_three <- 1 / fitted(three)[cbind(seq_len(nrow(people)), match(people$plan, plans))]
weighted <- function(data, weight, groups) {
  s <- survfit(Surv(start, stop, event) ~ plan, data, weights = weight, robust = TRUE, id = customer)
  out <- lapply(groups, function(g) {
    one <- summary(s[match(g, groups)], times = at)
    cbind(one$surv, one$std.err)
  })
  list(retention = sapply(out, function(o) o[, 1]), se = sapply(out, function(o) o[, 2]))
}
of_customer <- function(weight, who) weight[match(d$customer, who)]

out <- list(
  tenures = at,
  formula = conditional(fit(in_formula), people),
  formula_breslow = conditional(fit(in_formula, "breslow"), people),
  strata = conditional(fit(own_baseline), people),
  interaction = conditional(fit(interaction), people),
  large = conditional(fit(in_formula), people[people$segment == "large", ]),
  average = average(fit(in_formula)),
  formula_se = delta(in_formula, "efron"),
  formula_breslow_se = delta(in_formula, "breslow"),
  single = list(retention = summary(single, times = at)$surv, se = summary(single, times = at)$std.err),
  formula_robust = jackknife(in_formula, "breslow"),
  formula_robust_efron = jackknife(in_formula, "efron"),
  strata_robust = jackknife(own_baseline, "breslow"),
  two = weighted(d[d$plan != "starter", ], of_customer(weight_two, two$customer)[d$plan != "starter"], c("basic", "pro")),
  three = weighted(d, of_customer(weight_three, people$customer), plans)
)
writeLines(json(out), file.path(here, "adjusted.json"))
