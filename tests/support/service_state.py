"""Small data folder as the flows leave it: snapshots, registry, online store and a saved model.

Run as a separate process (``python -m tests.support.service_state``): the feature definitions read the data folder from
the environment at their import.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from feature_repo.names import FEATURE_SERVICE
from feature_repo.settings import Settings, apply_environment
from feature_repo.timestamps import epoch_us
from feature_repo.transformations import BUILDERS, known_transactions
from holdfast.models.contract import MODEL_FILE, MODEL_NAME, ServedModel, input_matrix, model_inputs
from holdfast.models.fingerprint import fingerprint

AS_OF = datetime(2024, 3, 1, tzinfo=UTC)
KNOWN_AT = AS_OF + timedelta(hours=3)
CUSTOMERS = [f"c{number:03d}" for number in range(300)]
ONE_PURCHASE = CUSTOMERS[0]
THRESHOLD = 0.4
APPLIED_ONLY = "feast-before-materialisation"


def transactions(customers: Sequence[str] = CUSTOMERS) -> pd.DataFrame:
    """Create about nine purchases per customer and a few returns, in the year before ``AS_OF``."""
    rng = np.random.default_rng(7)
    rows = []
    for number, customer in enumerate(customers):
        count = 1 if customer == ONE_PURCHASE else int(rng.integers(1, 18))
        for second in rng.integers(1, 360 * 86_400, count):
            amount = round(float(rng.lognormal(3, 1)), 2) * (-1 if count > 3 and rng.random() < 0.05 else 1)
            rows.append((customer, AS_OF - timedelta(seconds=int(second), microseconds=number), amount))
        rows.append((customer, AS_OF - timedelta(days=int(rng.integers(1, 300))), 10.0))
    frame = pd.DataFrame(rows, columns=["customer_id", "event_timestamp", "amount"])
    frame = frame.drop(frame[frame.customer_id == ONE_PURCHASE].index[1:])
    return frame.assign(
        event_timestamp=frame.event_timestamp.astype("datetime64[us, UTC]"),
        quantity=np.sign(frame.amount),
        ingested_at=pd.Series(KNOWN_AT, index=frame.index).astype("datetime64[us, UTC]"),
        batch_id="b1",
    )


def write_snapshots(customers: Sequence[str] = CUSTOMERS) -> None:
    """Write the snapshots of ``customers`` at ``AS_OF`` into the sources of the feature views."""
    from feature_repo import data_sources

    sources = [item for item in vars(data_sources).values() if hasattr(item, "created_timestamp_column")]
    folders = {source.name.removesuffix("_snapshots"): Path(source.path) for source in sources}
    known = known_transactions(ibis.memtable(transactions(customers)), AS_OF, KNOWN_AT)
    for view, build in BUILDERS.items():
        table = build(known, AS_OF).order_by("customer_id")
        stamps = {"as_of": AS_OF, "known_at": KNOWN_AT}
        table = table.mutate(**{k: ibis.literal(v).cast("timestamp('UTC', 6)") for k, v in stamps.items()})
        file = folders[view] / "20240301" / "known.parquet"
        file.parent.mkdir(parents=True)
        pq.write_table(table.to_pyarrow(), file)


def offline_matrix(customer_ids: list[str], as_of: datetime) -> np.ndarray:
    """Read features as training does, in the order of ``customer_ids``."""
    from holdfast.feast_stores.open_store import open_store

    store = open_store()
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
) -> tuple[ServedModel, bytes]:
    """Train a small model, gradient boosting by default; ``train`` gets inputs, outcomes and seed."""
    import skops.io
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from holdfast.feast_stores.open_store import open_store
    from holdfast.models.calibrated_classifier import CalibratedModel
    from holdfast.training.contract_builder import build_example_rows, score_examples, typical_inputs

    matrix = offline_matrix(list(customers), AS_OF)
    names = [feature.name for feature in model_inputs(open_store())]
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
        fingerprint=fingerprint(open_store(), settings.horizon_days, settings.activity_days),
        model_sha256=hashlib.sha256(content).hexdigest(),
    )
    return served, content


def build(
    customers: Sequence[str] = CUSTOMERS, train: Callable[[np.ndarray, np.ndarray, int], Any] | None = None
) -> None:
    """Build the data folder HOLDFAST_DATA."""
    import shutil
    import subprocess
    import sys
    import tempfile

    from holdfast.feast_stores.open_store import open_store
    from holdfast.feast_stores.settings import FEATURE_REPO
    from holdfast.packaging.bento_stores import save_served_model

    apply_environment()
    settings = Settings.from_environment()
    write_snapshots(customers)
    feast = [sys.executable, "-c", "from feast.cli.cli import cli; cli()", "-c", str(FEATURE_REPO), "apply"]
    subprocess.run([*feast, "--skip-source-validation"], check=True)
    shutil.copytree(settings.feast, settings.data / APPLIED_ONLY)
    store = open_store()
    store.materialize(AS_OF, AS_OF)
    if hasattr(store.provider.online_store, "mark_filled"):  # Redis: else it counts as being filled for 2 minutes
        store.provider.online_store.mark_filled(store.config)
    with tempfile.TemporaryDirectory() as folder:
        save_served_model(settings, *fit(settings, Path(folder), customers=customers, train=train))


if __name__ == "__main__":
    build()
