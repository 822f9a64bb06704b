"""Made-up customers whose features look like the model's: skewed, counted, missing for some, and related."""

from datetime import UTC, datetime

import numpy as np

from holdfast.core.types import Floats
from holdfast.monitoring.drift.reference import DriftReference

FEATURES = 18
TRAINED = datetime(2024, 1, 1, tzinfo=UTC)


def customers(rng: np.random.Generator, rows: int) -> Floats:
    """Shape (rows, FEATURES): every third of the kind of the first three, that is normal, log-normal, counts."""
    common = rng.normal(size=rows)
    columns = []
    for number in range(FEATURES):
        z = 0.5 * common + np.sqrt(0.75) * rng.normal(size=rows)
        kinds = [z, np.exp(z), np.floor(np.exp(z)), np.where(rng.random(rows) < 0.3, np.nan, z), z**2, np.round(z)]
        columns.append(kinds[number % len(kinds)])
    return np.column_stack(columns)


def reference(rng: np.random.Generator, training: int = 4000, met: int = 2000) -> DriftReference:
    """Both populations of one distribution."""
    names = [f"f{number}" for number in range(FEATURES)]
    return DriftReference("1", TRAINED, names, customers(rng, training), customers(rng, met))
