"""What a run keeps of its customers, so that two runs can be compared: their status, and their weight in the model.

customers.parquet has one row a definition, customer and spell. `customer` is a pseudonym, a keyed hash of the id that is the
same in every run; whoever has the ids can make it too, so it hides names and is no anonymity. `keep_customers: ids` keeps
the ids themselves, `none` keeps neither file. influence.parquet has, for each customer, by how much the coefficients
would change without them (dfbeta): two runs that share customers have an interval for the difference only with it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from survival.cohorts import COHORT
from survival.errors import EstimationError
from survival.estimate.cox_fit import CoxFit
from survival.experiment.study import Study

CUSTOMERS, INFLUENCE = "customers.parquet", "influence.parquet"
COLUMNS = ["definition", "customer", "spell", "cohort", "entry", "exit", "churned", "cause", "aside"]
LARGEST_INFLUENCE = 5_000_000  # numbers: more are not kept (some 20 MB)
_KEY = "churn-survival/1"  # of the hash; 16 bytes


def pseudonyms(ids: pd.Series) -> pd.Series:
    """Sixteen hexadecimal digits for each id: SipHash under a fixed key, the same in every run."""
    hashed = pd.util.hash_array(ids.astype(str).to_numpy(object), hash_key=_KEY, categorize=False)
    return pd.Series([f"{value:016x}" for value in hashed.tolist()], index=ids.index, dtype=object)


def write_customers(study: Study, folder: Path) -> None:
    """customers.parquet and, where models were fitted, influence.parquet, as `keep_customers` says."""
    how = study.config.keep_customers
    if how == "none":
        return
    people = _people(study)
    named = people["customer_id"].astype(str) if how == "ids" else pseudonyms(people["customer_id"])
    name_of = pd.Series(named.to_numpy(), index=people["customer"])
    parts = [_statuses(study, name, name_of, people) for name in study.definitions]
    pd.concat(parts, ignore_index=True)[COLUMNS].to_parquet(folder / CUSTOMERS, index=False, compression="zstd")
    weights = [w for w in (_influence(fit, name, name_of) for name, fit in study.fits.items()) if w is not None]
    if weights:
        pd.concat(weights, ignore_index=True).to_parquet(folder / INFLUENCE, index=False, compression="zstd")


def _people(study: Study) -> pd.DataFrame:
    rows = study.tables.customers.select("customer", "customer_id", COHORT)
    return study.tables.engine.arrow(rows.order_by("customer")).to_pandas()


def _statuses(study: Study, name: str, name_of: pd.Series, people: pd.DataFrame) -> pd.DataFrame:
    rows = study.spells(name).table
    columns = ["customer", "spell", "entry", "exit", "churned", "cause", "aside"]
    frame = study.tables.engine.arrow(rows.select(*columns).order_by("customer", "spell")).to_pandas()
    cohort = people.set_index("customer")[COHORT]
    return frame.assign(
        definition=name, cohort=frame["customer"].map(cohort), customer=frame["customer"].map(name_of)
    ).astype({"entry": "Int32", "exit": "Int32", "cause": "string", "aside": "string"})


def _influence(fit: CoxFit, definition: str, name_of: pd.Series) -> pd.DataFrame | None:
    """definition, customer, and a column a covariate; None where the fit cannot say or it would be too much to keep."""
    if fit.customers * len(fit.names) > LARGEST_INFLUENCE:
        return None
    try:
        frame = fit.residuals("dfbeta", by="customer")
    except EstimationError:
        return None
    names = [c for c in frame.columns if c != "customer"]
    kept = frame[names].astype(np.float32)
    kept.insert(0, "customer", frame["customer"].map(name_of))
    kept.insert(0, "definition", definition)
    return kept
