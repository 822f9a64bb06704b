"""Synthetic customers with features like the model's: skewed, counts, partly missing, correlated."""

from datetime import UTC, datetime

import numpy as np

from feature_repo.names import REQUEST_TIME
from holdfast.core.types import Floats
from holdfast.monitoring.drift.aging import OnDemandFunction
from holdfast.monitoring.drift.reference import DriftReference

FEATURES = 18
TRAINED = datetime(2024, 1, 1, tzinfo=UTC)


def customers(rng: np.random.Generator, rows: int) -> Floats:
    """Generate features, shape (rows, FEATURES), of six kinds in turn: normal, log-normal, counts and others."""
    common = rng.normal(size=rows)
    columns = []
    for number in range(FEATURES):
        z = 0.5 * common + np.sqrt(0.75) * rng.normal(size=rows)
        kinds = [z, np.exp(z), np.floor(np.exp(z)), np.where(rng.random(rows) < 0.3, np.nan, z), z**2, np.round(z)]
        columns.append(kinds[number % len(kinds)])
    return np.column_stack(columns)


def reference(rng: np.random.Generator, training: int = 4000, population: int = 2000) -> DriftReference:
    """Generate a reference whose two populations have the same distribution."""
    names = [f"f{number}" for number in range(FEATURES)]
    return DriftReference("1", TRAINED, names, customers(rng, training), customers(rng, population))


def request_time_functions() -> list[OnDemandFunction]:
    """Return the on-demand function of this checkout."""
    from feature_repo.on_demand_feature_views import customer_request_time

    inputs = {REQUEST_TIME, "purchase_days", "first_purchase_us", "last_purchase_us", "mean_gap_days"}
    return [OnDemandFunction(frozenset(inputs), customer_request_time.feature_transformation.udf)]
