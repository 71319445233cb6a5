# Reference values for a table of characteristics ("Table 1").
#
#   Rscript tests/references/characteristics.R          # writes tests/references/characteristics.json
#
# Made with R 4.2. Tests read the JSON and need no R. Base R and the data sets of the package survival only: quantile(type = 2), mean, sd, prop.table, wilcox.test, kruskal.test,
# chisq.test(correct = FALSE), fisher.test; standardised differences are written out from Yang & Dalton (2012), with one level left
# out and the inverse of the mean covariance matrix (the package under test keeps all levels and takes the pseudo-inverse).
library(survival)
here <- local({
  file <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
  if (length(file)) dirname(file) else "tests/references"
})

num_smd <- function(x, g) {
  p <- combn(levels(g), 2)
  d <- apply(p, 2, function(ab) {
    a <- x[g == ab[1] & !is.na(x)]; b <- x[g == ab[2] & !is.na(x)]
    abs(mean(a) - mean(b)) / sqrt((var(a) + var(b)) / 2)
  })
  list(smd = max(d), pair = p[, which.max(d)])
}
cat_smd <- function(x, g) {
  p <- combn(levels(g), 2)
  d <- apply(p, 2, function(ab) {
    pa <- prop.table(table(x[g == ab[1]])); pb <- prop.table(table(x[g == ab[2]]))
    keep <- (pa + pb) > 0; pa <- pa[keep][-1]; pb <- pb[keep][-1]
    S <- ((diag(pa, length(pa)) - outer(pa, pa)) + (diag(pb, length(pb)) - outer(pb, pb))) / 2
    sqrt(as.numeric(t(pa - pb) %*% solve(S) %*% (pa - pb)))
  })
  list(smd = max(d), pair = p[, which.max(d)])
}
of_numbers <- function(x, g) lapply(c(split(x, g), list(all = x)), function(v) {
  k <- v[!is.na(v)]
  list(n = length(k), missing = sum(is.na(v)), mean = mean(k), sd = sd(k), quartiles = unname(quantile(k, c(.25, .5, .75), type = 2)),
       range = range(k))
})
of_levels <- function(x, g) lapply(c(split(x, g), list(all = x)), function(v)
  list(n = as.list(table(v)), missing = sum(is.na(v)), share = as.list(prop.table(table(v)))))
rank_p <- function(x, g) if (nlevels(g) == 2) {
  t <- wilcox.test(x ~ g, exact = FALSE); list(statistic = unname(t$statistic), p = t$p.value)
} else { t <- kruskal.test(x, g); list(statistic = unname(t$statistic), p = t$p.value) }
level_p <- function(x, g) { t <- suppressWarnings(chisq.test(x, g, correct = FALSE)); list(statistic = unname(t$statistic), p = t$p.value) }
one <- function(d, by, nums, cats) {
  g <- factor(d[[by]]); made <- list()
  for (v in nums) made[[v]] <- list(rows = of_numbers(d[[v]], g), smd = num_smd(d[[v]], g), test = rank_p(d[[v]], g))
  for (v in cats) { x <- factor(d[[v]]); made[[v]] <- list(rows = of_levels(x, g), smd = cat_smd(x, g), test = level_p(x, g)) }
  list(data = as.list(d[c(by, nums, cats)]), by = by, numbers = nums, levels = cats, made = made)
}

lung$sex <- ifelse(lung$sex == 1, "male", "female")
lung$ecog <- ifelse(is.na(lung$ph.ecog), NA, paste0("ecog ", lung$ph.ecog))
veteran$celltype <- as.character(veteran$celltype)
veteran$prior <- veteran$prior / 10
small <- data.frame(g = rep(c("a", "b"), c(9, 7)), y = rep(c("yes", "no", "yes", "no"), c(2, 7, 6, 1)),
                    x = c(1.1, 2.3, 0.4, 5.6, 3.3, 2.2, 9.1, 4.4, 0.9, 7.7, 8.1, 6.2, 5.5, 3.9, 9.9, 2.8))
weighted <- data.frame(value = c(1, 2, 2.5, 4, 7, 11), count = c(3, 1, 4, 2, 5, 1))
long <- rep(weighted$value, weighted$count)

text <- function(x, indent = "") {
  if (is.list(x)) {
    inner <- vapply(x, text, "")
    if (is.null(names(x))) paste0("[", paste(inner, collapse = ", "), "]")
    else paste0("{", paste(sprintf('"%s": %s', names(x), inner), collapse = ", "), "}")
  } else {
    v <- if (is.character(x)) ifelse(is.na(x), "null", sprintf('"%s"', x)) else ifelse(is.na(x), "null", sprintf("%.17g", as.numeric(x)))
    if (length(v) == 1) v else paste0("[", paste(v, collapse = ", "), "]")
  }
}
out <- list(
  lung = one(lung, "sex", c("age", "meal.cal", "wt.loss"), "ecog"),
  veteran = one(veteran, "celltype", c("age", "karno"), c("trt", "prior")),
  small = list(data = as.list(small), fisher = fisher.test(table(small$y, small$g))$p.value,
               wilcoxon = unname(wilcox.test(x ~ g, data = small)$p.value), w = unname(wilcox.test(x ~ g, data = small)$statistic)),
  weighted = list(data = as.list(weighted), quartiles = unname(quantile(long, c(.25, .5, .75), type = 2)), mean = mean(long), sd = sd(long))
)
lines <- sprintf('"%s": %s', names(out), vapply(out, text, ""))
writeLines(c("{", paste(lines, collapse = ",\n"), "}"), file.path(here, "characteristics.json"))
