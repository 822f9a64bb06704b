"""Small data folder as the flows leave it: batch, snapshots, registries, online store and a saved model.

Run as a separate process (``python -m tests.support.service_state``): the feature definitions read the data folder from
the environment at their import.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from feature_repo.names import FEATURE_SERVICE
from feature_repo.settings import Settings, apply_environment
from feature_repo.timestamps import epoch_us
from holdfast.models.contract import MODEL_FILE, MODEL_NAME, ServedModel, input_matrix, model_inputs
from holdfast.models.fingerprint import fingerprint
from holdfast.training.label_query import current_label
from tests.support.definition_versions import materialize_version, only_version
from tests.support.feature_oracle import Transaction
from tests.support.labels import purchase_label

AS_OF = datetime(2024, 3, 1, tzinfo=UTC)
KNOWN_AT = AS_OF + timedelta(hours=3)
CUSTOMERS = [f"c{number:03d}" for number in range(300)]
ONE_PURCHASE = CUSTOMERS[0]
THRESHOLD = 0.4
APPLIED_ONLY = "feast-before-materialisation"


def transactions(customers: Sequence[str] = CUSTOMERS) -> list[Transaction]:
    """Create about nine purchases per customer and a few returns, in the year before ``AS_OF``."""
    rng = np.random.default_rng(7)
    rows = []
    for number, customer in enumerate(customers):
        count = 1 if customer == ONE_PURCHASE else int(rng.integers(1, 18))
        for second in rng.integers(1, 360 * 86_400, count):
            amount = round(float(rng.lognormal(3, 1)), 2) * (-1 if count > 3 and rng.random() < 0.05 else 1)
            time = AS_OF - timedelta(seconds=int(second), microseconds=number % 1_000_000)
            rows.append(Transaction(customer, time, amount, KNOWN_AT))
        last = AS_OF - timedelta(days=int(rng.integers(1, 300)))
        if customer != ONE_PURCHASE:
            rows.append(Transaction(customer, last, 10.0, KNOWN_AT))
    return rows


def offline_matrix(customer_ids: list[str], as_of: datetime, definitions: str) -> np.ndarray:
    """Read features of a version as training does, in the order of ``customer_ids``."""
    from holdfast.feast_stores.open_store import open_store

    store = open_store(definitions=definitions)
    entities = pd.DataFrame({"customer_id": customer_ids, "event_timestamp": as_of, "as_of_us": epoch_us(as_of)})
    service = store.get_feature_service(FEATURE_SERVICE)
    table = store.get_historical_features(features=service, entity_df=entities).to_arrow()
    by_id = {customer: row for row, customer in enumerate(table["customer_id"].to_pylist())}
    table = table.take([by_id[customer] for customer in customer_ids])
    return input_matrix(model_inputs(store), {name: table[name].to_pylist() for name in table.column_names})


def fit(
    settings: Settings,
    folder: Path,
    version: str = "1",
    seed: int = 0,
    additive: bool = True,
    customers: Sequence[str] = CUSTOMERS,
    train: Callable[[np.ndarray, np.ndarray, int], Any] | None = None,
    definitions: str = "",
) -> tuple[ServedModel, bytes]:
    """Train a small model, gradient boosting by default; ``train`` gets inputs, outcomes and seed.

    ``definitions`` is the version of the feature definitions, by default the only one.
    """
    import skops.io
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from holdfast.feast_stores.open_store import open_store
    from holdfast.models.calibrated_classifier import CalibratedModel
    from holdfast.training.contract_builder import build_example_rows, score_examples, typical_inputs

    definitions = definitions or only_version(settings.data)
    store = open_store(definitions=definitions)
    matrix = offline_matrix(list(customers), AS_OF, definitions)
    names = [feature.name for feature in model_inputs(store)]
    noise = np.random.default_rng(seed).normal(0, 40, len(matrix))
    churned = matrix[:, names.index("days_since_last_purchase")] + noise > 60
    interactions = "no_interactions" if additive else None
    boosting = HistGradientBoostingClassifier(max_iter=15, random_state=seed, interaction_cst=interactions)
    model = train(matrix, churned, seed) if train else make_pipeline(boosting).fit(matrix, churned)
    calibrator = LogisticRegression().fit(model.decision_function(matrix).reshape(-1, 1), churned)
    file = folder / MODEL_FILE
    calibrated = CalibratedModel(model, calibrator)
    skops.io.dump(calibrated, file)
    content, reference = file.read_bytes(), typical_inputs(matrix)
    served = ServedModel(
        model_name=MODEL_NAME,
        model_version=version,
        feature_service=FEATURE_SERVICE,
        inputs=names,
        reference=reference,
        examples=score_examples(calibrated, build_example_rows(reference, matrix)),
        threshold=THRESHOLD,
        horizon_days=settings.horizon_days,
        activity_days=settings.activity_days,
        label_sql=purchase_label(settings.horizon_days, settings.activity_days).sql,
        fingerprint=fingerprint(store, current_label(settings)),
        model_sha256=hashlib.sha256(content).hexdigest(),
    )
    return served, content


def build(
    customers: Sequence[str] = CUSTOMERS, train: Callable[[np.ndarray, np.ndarray, int], Any] | None = None
) -> None:
    """Build the data folder HOLDFAST_DATA."""
    import shutil
    import tempfile

    from holdfast.packaging.bento_stores import save_served_model
    from tests.support.small_shop import ingest, register_definitions

    apply_environment()
    settings = Settings.from_environment()
    ingest(settings.data, transactions(customers), KNOWN_AT)
    version = register_definitions()
    shutil.copytree(settings.feast, settings.data / APPLIED_ONLY)
    materialize_version(settings, version, AS_OF, KNOWN_AT)
    with tempfile.TemporaryDirectory() as folder:
        save_served_model(settings, *fit(settings, Path(folder), customers=customers, train=train))


if __name__ == "__main__":
    build()
