"""When and why customers leave: survival analysis of churn, from raw facts to a publishable report."""
