# Reference values for tests of interaction: does the ratio of `fin` differ between classes of `prio`?
#
#   Rscript tests/references/interaction.R          # writes tests/references/interaction.json
#
# Made with R 4.2 and survival 3.5-3. Tests read the JSON and need no R.
suppressPackageStartupMessages(library(survival))
here <- local({
  file <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
  if (length(file)) dirname(file) else "tests/references"
})
rossi <- read.csv(file.path(here, "cox_rossi.csv"))
rossi$id <- seq_len(nrow(rossi))
rossi$class <- cut(rossi$prio, c(-1, 1, 4, 99), labels = c("few", "some", "many"))

# Likelihood ratio, as anova.coxph.
small <- coxph(Surv(week, arrest) ~ class + fin + age, rossi)
large <- coxph(Surv(week, arrest) ~ class + class:fin + age, rossi)
ratio <- anova(small, large)

# Wald with the variance clustered by customer, on two episodes each: linear hypothesis that the three ratios are equal.
parts <- survSplit(Surv(week, arrest) ~ ., rossi, cut = 26, start = "start", end = "stop", event = "event")
robust <- coxph(Surv(start, stop, event) ~ class + class:fin + age, parts, cluster = id)
there <- grep(":fin", names(coef(robust)))
contrast <- rbind(c(-1, 1, 0), c(-1, 0, 1))
gap <- contrast %*% coef(robust)[there]
wald <- drop(t(gap) %*% solve(contrast %*% vcov(robust)[there, there] %*% t(contrast)) %*% gap)

values <- c(ratio$Chisq[2], ratio$Df[2], ratio[["Pr(>|Chi|)"]][2], wald, 2, pchisq(wald, 2, lower.tail = FALSE))
cat(sprintf('{"likelihood ratio": [%.15g, %g, %.15g],\n "robust Wald": [%.15g, %g, %.15g]}\n',
            values[1], values[2], values[3], values[4], values[5], values[6]),
    file = file.path(here, "interaction.json"))
