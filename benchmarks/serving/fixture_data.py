"""Data folder and request bodies of the benchmark.

    HOLDFAST_DATA=... python -m benchmarks.serving.fixture_data --customers 10000 --family logistic

A separate process, because the feature definitions read the data folder from the environment when they are imported.
The online store is that of ``FEAST_FS_YAML_FILE_PATH``. In addition to the output of the flows the folder contains

- ``requests/*.jsonl``: request bodies, one per line, for each kind of contender, in the same order of customers;
- ``requests/expected.json``: customer id to the probability by scikit-learn on the offline features;
- ``mlflow-model``: the model in the format of the flows, for ``mlflow models serve``;
- ``mlflow`` and ``mlflow-shadow``: registries whose champion is the model, the second with a challenger in shadow.
"""

import argparse
import json
import math
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.serving.fixture import BATCH, SHADOW_REGISTRY
from feature_repo.database_urls import sqlite_url
from feature_repo.names import FEATURE_SERVICE
from feature_repo.settings import Settings, apply_environment
from feature_repo.timestamps import epoch_us
from holdfast.models.contract import (
    CHALLENGER,
    CHAMPION,
    CONTRACT_FILE,
    MODEL_FILE,
    MODEL_NAME,
    TRUSTED_TYPES,
    ServedModel,
    model_inputs,
)
from tests.support.definition_versions import only_version, open_only
from tests.support.registry import Registry, make_registry
from tests.support.service_state import AS_OF, build, fit, offline_matrix

_EXPECTED = 20  # customers with a known probability
_BATCHES = 20


def main() -> None:
    """Build the data folder of the environment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--customers", type=int, required=True)
    parser.add_argument("--family", choices=["logistic", "boosting"], required=True)
    arguments = parser.parse_args()
    apply_environment()
    build_data([f"c{number:05d}" for number in range(arguments.customers)], arguments.family)


def build_data(customers: list[str], family: str) -> None:
    """Build the data folder of this process.

    Args:
        customers: Customer ids.
        family: Family of the model.
    """
    from feature_repo.feature_services import churn_v1

    names = [field.name for projection in churn_v1.feature_view_projections for field in projection.features]

    def train(matrix: Any, churned: Any, seed: int) -> Any:
        return fit_family(family, matrix, churned, seed, only_version(Settings.from_environment().data))

    build(customers, train)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_environment()
        challenger = fit(settings, Path(folder), "2", seed=1, customers=customers, train=train)
    _register(*challenger)
    # Consecutive requests must not read neighboring keys of the store.
    random.Random(0).shuffle(customers)
    matrix = offline_matrix(customers, AS_OF, only_version(Settings.from_environment().data))
    model = _saved_model()
    _save_for_mlflow(model, matrix, names)
    _write_requests(customers, matrix.tolist(), names)
    expected = dict(zip(customers, model.predict_proba(matrix)[:, 1].tolist(), strict=True))
    _request_file("expected.json").write_text(json.dumps(dict(list(expected.items())[:_EXPECTED])))


def _store() -> Any:
    return open_only(Settings.from_environment().data)


def fit_family(family: str, matrix: Any, churned: Any, seed: int, definitions: str) -> Any:
    """Fit a model of a family.

    Args:
        family: Family of the model.
        matrix: Inputs, shape (customers, inputs).
        churned: Outcomes, shape (customers,).
        seed: Seed of the fit.
        definitions: Version of the feature definitions of the inputs.

    Returns:
        The model.
    """
    import pandas as pd

    from holdfast.feast_stores.open_store import open_store
    from holdfast.training.dataset import TrainingSet
    from holdfast.training.model_families import FAMILIES

    keys = pd.DataFrame({"customer_id": [str(row) for row in range(len(churned))], "cutoff": AS_OF})
    data = TrainingSet(keys, matrix, churned, model_inputs(open_store(definitions=definitions)))
    return FAMILIES[family].fit(FAMILIES[family].defaults, data, seed)


def _request_file(name: str) -> Path:
    folder = Settings.from_environment().data / "requests"
    folder.mkdir(exist_ok=True)
    return folder / name


def _saved() -> Path:
    from holdfast.packaging.bento_stores import open_model_store

    return Path(open_model_store(Settings.from_environment()).get(f"{MODEL_NAME}:latest").path)


def _saved_model() -> Any:
    import skops.io

    return skops.io.load(_saved() / MODEL_FILE, trusted=TRUSTED_TYPES)


def _register(challenger: ServedModel, content: bytes) -> None:
    """Create the registries; the champion is version 1."""
    from holdfast.training.mlflow_client import ModelClient

    folder = Settings.from_environment().mlflow
    alone = make_registry(folder)
    alone.set_alias(
        CHAMPION, alone.register((_saved() / MODEL_FILE).read_bytes(), (_saved() / CONTRACT_FILE).read_text())
    )
    shadow = folder.with_name(SHADOW_REGISTRY)
    shutil.copytree(folder, shadow)
    uri = sqlite_url(shadow / "mlflow.db")
    both = Registry(ModelClient(uri), uri, alone.artifacts)
    both.set_alias(CHALLENGER, both.register(content, challenger.model_dump_json()))
    both.set_traffic("2", '{"mode": "shadow"}')


def _write_requests(customers: list[str], rows: list[list[float]], names: list[str]) -> None:
    def write(name: str, bodies: list[dict[str, Any]]) -> None:
        _request_file(name).write_text("".join(f"{json.dumps(body)}\n" for body in bodies))

    write("predict.jsonl", [{"customer_id": customer} for customer in customers])
    firsts = [i * BATCH % len(customers) for i in range(_BATCHES)]
    repeated = customers * (1 + BATCH // len(customers))
    write("predict_batch.jsonl", [{"customer_ids": (repeated[i:] + repeated)[:BATCH]} for i in firsts])
    as_of = epoch_us(AS_OF)
    write(
        "feast.jsonl",
        [
            {"feature_service": FEATURE_SERVICE, "entities": {"customer_id": [c], "as_of_us": [as_of]}}
            for c in customers
        ],
    )
    known = [[None if math.isnan(value) else value for value in row] for row in rows]
    write("mlflow.jsonl", [{"dataframe_split": {"columns": names, "data": [row]}} for row in known])


def _save_for_mlflow(model: Any, matrix: Any, names: list[str]) -> None:
    """Save the model as ``holdfast.training.registration`` does, without a registry."""
    import mlflow
    import pandas as pd
    from mlflow.models import infer_signature

    assert [feature.name for feature in model_inputs(_store())] == names
    sample = pd.DataFrame(matrix[:5], columns=names)
    folder = Settings.from_environment().data / "mlflow-model"
    shutil.rmtree(folder, ignore_errors=True)
    mlflow.sklearn.save_model(
        model,
        folder,
        signature=infer_signature(sample, model.predict_proba(matrix[:5])),
        pyfunc_predict_fn="predict_proba",
        serialization_format="skops",
        skops_trusted_types=TRUSTED_TYPES,
        pip_requirements=["scikit-learn"],
    )


if __name__ == "__main__":
    main()
