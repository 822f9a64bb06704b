"""Shop that serves churn and spend: a registry with versions of both models."""

import hashlib
import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from starlette.testclient import TestClient

from feature_repo.settings import Settings
from holdfast.core.types import Floats
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_FILE, SERVED_MODEL_TAG, PredictedExample, ServedModel
from holdfast.models.loaded_regressor import load_verified_regressor
from holdfast.models.registered_version import TRAFFIC_TAG
from holdfast.models.spend_models import SPEND_INPUTS, BgNbdGammaGammaModel
from holdfast.training.contract_builder import build_example_rows
from tests.support.definition_versions import only_version
from tests.support.registry import Registry, make_registry
from tests.support.service_fixtures import serve_in_process, service_environment
from tests.support.service_state import AS_OF, CUSTOMERS, fit, offline_matrix

SPEND = "holdfast-spend"


def fit_spend(
    churn: ServedModel, matrix: Floats, family: str = "bg_nbd_gamma_gamma", scale: float = 30.0
) -> tuple[ServedModel, bytes]:
    """Fit a regression on the features of a churn model: a family of the training, or one that is not compiled.

    ``scale`` is the scale of the Gamma-Gamma model; the predicted spend is proportional to it for new customers.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    target = np.abs(np.nan_to_num(matrix[:, churn.inputs.index("mean_purchase_amount")])) + 1
    if family == "bg_nbd_gamma_gamma":
        columns = [churn.inputs.index(name) for name in SPEND_INPUTS]
        purchase, value = (0.8, 25.0, 0.7, 2.5), (2.0, 3.0, scale)
        model: Any = BgNbdGammaGammaModel(purchase, value, (*columns,), 90.0, len(churn.inputs))  # type: ignore[arg-type]
    else:
        model = HistGradientBoostingRegressor(loss="poisson", max_iter=10, interaction_cst="no_interactions")
        model.fit(matrix, target)
    file = io.BytesIO()
    skops.io.dump(model, file)
    rows = build_example_rows(churn.reference, matrix)
    values = model.predict(np.array(rows, dtype=np.float64)).tolist()
    found = [pair for pair in zip(rows, values, strict=True) if np.isfinite(pair[1])]
    changed = {
        "model_name": SPEND,
        "model_version": "",
        "label_name": "spend",
        "threshold": 0.0,
        "examples": [],
        "predicted_examples": [PredictedExample(inputs=row, value=value) for row, value in found],
        "model_sha256": hashlib.sha256(file.getvalue()).hexdigest(),
    }
    return ServedModel(**churn.model_dump() | changed), file.getvalue()


def register_spend(registry: Registry, contract: ServedModel, content: bytes) -> str:
    """Register the first version of the spend model as champion; returns its number."""
    registry.client.create_registered_model(SPEND)
    version = add_spend_version(registry, content, contract.model_dump_json())
    registry.client.set_registered_model_alias(SPEND, CHAMPION, version)
    return version


def add_spend_version(registry: Registry, content: bytes, tag: str) -> str:
    """Register a version of the spend model without an alias; returns its number."""
    client = registry.client
    run = client.create_run(client.get_experiment_by_name("models").experiment_id)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / MODEL_FILE).write_bytes(content)
        client.log_artifact(run.info.run_id, str(Path(folder) / MODEL_FILE), "model")
    source = f"{run.info.artifact_uri}/model"
    return str(client.create_model_version(SPEND, source, run.info.run_id, tags={SERVED_MODEL_TAG: tag}).version)


@dataclass
class TwoModels:
    """Data folder with a registry; version 1 of both models is champion.

    Attributes:
        data: Data folder.
        registry: Registry of churn; its client serves both models.
        contract: Contract of churn.
        matrix: Offline features of ``CUSTOMERS``.
        spend: Contract and file of the spend model.
    """

    data: Path
    registry: Registry
    contract: ServedModel
    matrix: Floats
    spend: tuple[ServedModel, bytes]

    @property
    def client(self) -> Any:
        """Return MLflow's client."""
        return self.registry.client

    def expected_spend(self) -> dict[str, float]:
        """Predict each customer's spend as a score table does, all at once."""
        values = load_verified_regressor(*self.spend).predict(self.matrix)
        return dict(zip(CUSTOMERS, values.tolist(), strict=True))

    def register_spend(self, content: bytes, tag: str) -> str:
        """Register a version of the spend model; returns its number."""
        return add_spend_version(self.registry, content, tag)

    def set_spend(self, alias: str, version: str | None) -> None:
        """Move or remove an alias of the spend model."""
        if version is None:
            self.client.delete_registered_model_alias(SPEND, alias)
        else:
            self.client.set_registered_model_alias(SPEND, alias, version)

    def set_traffic(self, version: str, traffic: str) -> None:
        """Make a version the challenger of spend with traffic, as JSON."""
        self.client.set_model_version_tag(SPEND, version, TRAFFIC_TAG, traffic)
        self.set_spend(CHALLENGER, version)

    def model_file(self, model: str, version: str) -> Path:
        """Return the path of a version's file."""
        run = self.client.get_model_version(model, version).run_id
        (file,) = self.registry.artifacts.rglob(f"{run}/artifacts/model/{MODEL_FILE}")
        return Path(file)

    def serve(self, **variables: str) -> AbstractContextManager[TestClient]:
        """Serve in this process."""
        return serve_in_process(self.data, **SETTINGS | variables)


SETTINGS = {
    "HOLDFAST_REGISTRY_POLL_SECONDS": "0.1",
    "HOLDFAST_REGISTRY_START_SECONDS": "60",  # else the model in the bento is served first
    "HOLDFAST_STORE_TIMEOUT_MS": "10000",  # on a busy machine a read may take longer than its usual limit
}


def build_two_models(service_data: Path, folder: Path) -> TwoModels:
    """Copy ``service_data``, and register a champion of both models."""
    data = Path(shutil.copytree(service_data, folder / "data", ignore=shutil.ignore_patterns("predictions")))
    registry = make_registry(data / "mlflow")
    with service_environment(data) as settings:
        contract, content, matrix = _fit_churn(settings)
    spend = fit_spend(contract, matrix)
    found = TwoModels(data, registry, contract, matrix, spend)
    unnumbered = contract.model_copy(update={"model_version": ""})
    registry.set_alias(CHAMPION, registry.register(content, unnumbered.model_dump_json()))
    register_spend(registry, *spend)
    return found


def _fit_churn(settings: Settings) -> tuple[ServedModel, bytes, Floats]:
    contract, content = fit(settings, settings.data)
    return contract, content, offline_matrix(CUSTOMERS, AS_OF, only_version(settings.data))


@contextmanager
def changed_file(file: Path, content: bytes | None) -> Iterator[None]:
    """Replace or remove a file within the block."""
    original = file.read_bytes()
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    try:
        yield
    finally:
        file.write_bytes(original)
